"""Independent fields that share their range, and all else but sigma."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.families.priors import Prior
from geospde.terms.hyperparameter import Hyperparameter
from geospde.terms.precisions.spde.base import FieldPrecision, embedded

Vector = NDArray[np.float64]


class OneRange(FieldPrecision):
    """Independent fields with a sigma each: theta = (log range, log sigma of each, what else the field has).

    Parameters
    ----------
    field : FieldPrecision
        Of one of them.
    parts : sequence of str
        What tells them apart, in names.
    """

    def __init__(self, field: FieldPrecision, parts: Sequence[str]):
        self.field = field
        self.parts = tuple(parts)
        self.label = field.label
        count, more = len(parts), field.parameters[2:]
        self.n = count * field.n
        self.layers = field.layers
        self.parameters = ("range", *(f"sigma[{part}]" for part in parts), *more)
        self.kinds = ("range", *(["sd"] * count), *field.kinds[2:])
        self.pattern = sp.block_diag([field.pattern] * count, format="csc")
        self.pattern.sort_indices()
        if field.constraints is not None:
            self.constraints = np.asarray(np.kron(np.eye(count), field.constraints), dtype=float)
        self.prior = field.prior

    @property
    def names(self) -> tuple[str, ...]:
        """User names of the hyperparameters, one for each theta."""
        first, _, *others = self.field.names
        return (first, *(f"sigma({self.label}[{part}])" for part in self.parts), *others)

    def default_priors(self, of_range: Prior, of_sigma: Prior) -> list[Prior]:
        """Priors of the parameters; all sigmas have the same."""
        first, second, *others = self.field.default_priors(of_range, of_sigma)
        return [first, *([second] * len(self.parts)), *others]

    def prior_of_theta(self, at: int, prior: Prior) -> Prior:
        """That of one field."""
        return self.field.prior_of_theta(min(at, 1) if at <= len(self.parts) else at + 1 - len(self.parts), prior)

    def start(self, extent: float, unit: float) -> Vector:
        """Where a search begins."""
        first, second, *others = self.field.start(extent, unit)
        return np.array([first, *([second] * len(self.parts)), *others])

    def hyperparameters(self) -> list[Hyperparameter]:
        """One for each theta, and what else the fields have that no sigma enters."""
        own, of_field, first = super().hyperparameters(), self.field.hyperparameters(), len(self.parts) + 1
        more = [replace(self._lifted(f), name=h.name, prior=h.prior) for h, f in zip(own[first:], of_field[2:])]
        derived = of_field[len(self.field.names) :]
        return own[:first] + more + [self._lifted(h) for h in derived if h.direction[1] == 0.0]

    def user(self, theta: Vector) -> Vector:
        """On the user's scale."""
        own, sigmas = self._own(theta)
        of_field = self.field.user(own)
        return np.concatenate([of_field[:1], np.exp(sigmas), of_field[2:]])

    def _lifted(self, h: Hyperparameter) -> Hyperparameter:
        """A hyperparameter of one field as one of all, the first field's."""
        return embedded(h, [0, 1, *range(1 + len(self.parts), len(self.parameters))], len(self.parameters))

    def _own(self, theta: Vector) -> tuple[Vector, Vector]:
        """Theta of a field with sigma = 1, and the logarithms of the sigmas."""
        count = len(self.parts)
        return np.concatenate([theta[:1], [0.0], theta[1 + count :]]), theta[1 : 1 + count]

    def values(self, theta: Vector) -> Vector:
        """Lower-triangular entries of Q(theta), block by block."""
        own, sigmas = self._own(theta)
        return np.multiply.outer(np.exp(-2.0 * sigmas), self.field.values(own)).ravel()

    def gradients(self, theta: Vector) -> Vector:
        """Derivatives of `values` in each theta, (d, nnz)."""
        own, sigmas = self._own(theta)
        scales, count = np.exp(-2.0 * sigmas), len(self.parts)
        of_field = self.field.gradients(own)
        shared = [np.multiply.outer(scales, row).ravel() for row in np.delete(of_field, 1, axis=0)]
        each = np.zeros((count, count, of_field.shape[1]))
        each[np.arange(count), np.arange(count)] = scales[:, None] * of_field[1]
        return np.vstack([shared[0], each.reshape(count, -1), *shared[1:]])

    @property
    def factorisations(self) -> int:  # type: ignore[override]
        """The field's, so far."""
        return self.field.factorisations

    @property
    def learns(self) -> bool:  # type: ignore[override]
        """Whether the field does."""
        return self.field.learns

    def log_normaliser(self, theta: Vector, gradient: bool = True) -> tuple[float, Vector]:
        """From that of one field: sigma scales it."""
        own, sigmas = self._own(theta)
        value, slope = self.field.log_normaliser(own, gradient)
        count, rank = len(self.parts), self.field.rank
        shared = count * np.delete(slope, 1)
        slopes = np.concatenate([shared[:1], np.full(count, -float(rank)), shared[1:]])
        return count * value - rank * float(sigmas.sum()), slopes

    def method_sentences(self, name: str) -> list[str]:
        """Those of one field."""
        return self.field.method_sentences(name)

    def latent_names(self, part: str = "") -> list[str]:
        """Names of the latent variables, field by field."""
        return [name for each in self.parts for name in self.field.latent_names(f"{part}{each}, ")]
