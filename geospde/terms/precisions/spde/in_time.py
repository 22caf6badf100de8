"""Fields that change in steps of time: a precision of time by any precision of space."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.families.pc import correlation
from geospde.families.priors import Flat, Gaussian, Independent, Prior
from geospde.linalg.constrained import ConstrainedFactor
from geospde.terms.hyperparameter import Hyperparameter
from geospde.terms.precisions.autoregressive import Autoregressive
from geospde.terms.precisions.spde.base import FieldPrecision, embedded

Vector = NDArray[np.float64]
Index = NDArray[np.intp]


class Steps:
    """How the field of a step follows from that of the step before; by default not at all, ``temporal="iid"``.

    Parameters
    ----------
    size : int
        Number of steps.

    Attributes
    ----------
    parameters : tuple of str
        Names of its hyperparameters.
    pattern : (size, size) csc_matrix
        Lower triangle of its precision, for fields of one unit.
    """

    parameters: tuple[str, ...] = ()

    def __init__(self, size: int):
        self.size = size
        self.pattern = sp.identity(size, format="csc")

    def values(self, theta: Vector) -> Vector:  # noqa: ARG002
        """Entries of its precision on the pattern."""
        return np.ones(self.size)

    def gradients(self, theta: Vector) -> Vector:  # noqa: ARG002
        """Derivative of `values` in each theta, (d, nnz)."""
        return np.zeros((0, self.pattern.nnz))

    def log_normaliser(self, theta: Vector) -> tuple[float, Vector]:  # noqa: ARG002
        """½ log of its determinant and the gradient of that."""
        return 0.0, np.zeros(0)

    def conditional(self, theta: Vector, ahead: Index) -> tuple[Vector, Vector]:  # noqa: ARG002
        """What an outer step tells of those so many beyond it: its weight, (k,), and the covariance left, (k, k)."""
        return np.zeros(ahead.size), np.eye(ahead.size)

    words = "Fields of different steps are independent."


class AutoregressiveSteps(Steps):
    """``temporal="ar1"``: neighbouring steps have correlation rho, and all the same sigma."""

    parameters = ("rho",)

    def __init__(self, size: int):
        self.size = size
        self._series = Autoregressive(size)
        self.pattern = self._series.pattern

    def values(self, theta: Vector) -> Vector:
        """Entries of its precision on the pattern."""
        return self._series.values(np.array([0.0, theta[0]]))

    def gradients(self, theta: Vector) -> Vector:
        """Derivative of `values`."""
        return self._series.gradients(np.array([0.0, theta[0]]))[1:]

    def log_normaliser(self, theta: Vector) -> tuple[float, Vector]:
        """½ log of its determinant and the gradient of that."""
        value, slope = self._series.log_normaliser(np.array([0.0, theta[0]]))
        return value, slope[1:]

    def conditional(self, theta: Vector, ahead: Index) -> tuple[Vector, Vector]:
        """Powers of rho, and what they leave."""
        rho = float(correlation(theta)[0])
        apart, together = np.abs(ahead[:, None] - ahead), ahead[:, None] + ahead
        return np.asarray(rho**ahead, dtype=float), np.asarray(rho**apart - rho**together, dtype=float)

    words = "The field of a step is rho times that of the step before and an innovation: autoregressive, stationary."


class WalkingSteps(Steps):
    """``temporal="rw1"``: the first step is a field, each further one adds another field to the one before."""

    def __init__(self, size: int):
        self.size = size
        diagonal = np.r_[np.full(size - 1, 2.0), 1.0]
        self.pattern = sp.csc_matrix(sp.diags_array([diagonal, -np.ones(size - 1)], offsets=[0, -1]))
        self.pattern.sort_indices()
        self._values = self.pattern.data.copy()

    def values(self, theta: Vector) -> Vector:  # noqa: ARG002
        """Entries of its precision on the pattern."""
        values: Vector = self._values
        return values

    def conditional(self, theta: Vector, ahead: Index) -> tuple[Vector, Vector]:  # noqa: ARG002
        """The outer step goes on, with a field more each step."""
        return np.ones(ahead.size), np.minimum.outer(ahead, ahead).astype(float)

    words = "The field of a step is that of the step before and an innovation: a random walk, which begins at zero."


TEMPORAL: dict[str, type[Steps]] = {"iid": Steps, "ar1": AutoregressiveSteps, "rw1": WalkingSteps}


@dataclass(frozen=True)
class _Kronecker:
    """Entries of the lower triangle of a product of symmetric matrices, each the product of two entries.

    Attributes
    ----------
    pattern : (nT, nT) csc_matrix
    outer, inner : (nnz,) arrays of int
        Places of the factors' entries on their own patterns.
    """

    pattern: sp.csc_matrix
    outer: NDArray[np.int32]
    inner: NDArray[np.int32]

    @classmethod
    def of(cls, outer: sp.csc_matrix, inner: sp.csc_matrix) -> "_Kronecker":
        n, blocks = inner.shape[0], []
        columns, rows = np.repeat(np.arange(n), np.diff(inner.indptr)), inner.indices
        places, below = np.arange(inner.nnz), inner.indices != np.repeat(np.arange(n), np.diff(inner.indptr))
        whole = (np.r_[rows, columns[below]], np.r_[columns, rows[below]], np.r_[places, places[below]])
        for column in range(outer.shape[0]):
            for at in range(outer.indptr[column], outer.indptr[column + 1]):
                row = int(outer.indices[at])
                i, j, k = (rows, columns, places) if row == column else whole
                blocks.append((row * n + i, column * n + j, np.full(k.size, at), k))
        i, j, of_outer, of_inner = (np.concatenate(part) for part in zip(*blocks))
        order = np.lexsort((i, j))
        size = n * outer.shape[0]
        indptr = np.concatenate([[0], np.cumsum(np.bincount(j, minlength=size))])
        pattern = sp.csc_matrix((np.ones(i.size), i[order], indptr), shape=(size, size))
        return cls(pattern, of_outer[order].astype(np.int32), of_inner[order].astype(np.int32))


class InTime(FieldPrecision):
    """A field at each step of time; theta = (that of the field, that of the steps).

    The precision is the Kronecker product of one of time and one of space, and as sparse.

    Parameters
    ----------
    field : FieldPrecision
        Of a step.
    steps : Steps
    times : sequence of str
        What the steps are called.
    """

    def __init__(self, field: FieldPrecision, steps: Steps, times: Sequence[str]):
        self.field, self.steps, self.times = field, steps, tuple(times)
        self.label = field.label
        self.n = field.n * steps.size
        self.layers = field.layers
        self.parameters = (*field.parameters, *steps.parameters)
        self.kinds = (*field.kinds, *("autocorrelation",) * len(steps.parameters))
        self._entries = _Kronecker.of(steps.pattern, field.pattern)
        self.pattern = self._entries.pattern
        if field.constraints is not None:
            self.constraints = np.kron(np.eye(steps.size), field.constraints).astype(float)
        self.factorisations = field.factorisations
        self.prior = field.prior

    @property
    def names(self) -> tuple[str, ...]:
        """User names of the hyperparameters, one for each theta."""
        return (*self.field.names, *(f"{name}({self.label})" for name in self.steps.parameters))

    def default_priors(self, of_range: Prior, of_sigma: Prior) -> list[Prior]:
        """Those of the field; a correlation in time has R-INLA's Gaussian on its logit."""
        own: list[Prior] = [Gaussian(0.0, 0.15, "logit")] * len(self.steps.parameters)
        return self.field.default_priors(of_range, of_sigma) + own

    def prior_of_theta(self, at: int, prior: Prior) -> Prior:
        """That of the field; of a correlation in time it is the same."""
        return self.field.prior_of_theta(at, prior) if at < len(self.field.parameters) else prior

    def nominal_prior(self, diameter: float, text: str, **nominal: float) -> Prior:
        """That of the field."""
        return self.field.nominal_prior(diameter, text, **nominal)

    def start(self, extent: float, unit: float) -> Vector:
        """Where a search begins: neighbouring steps are somewhat alike."""
        return np.concatenate([self.field.start(extent, unit), np.ones(len(self.steps.parameters))])

    def hyperparameters(self) -> list[Hyperparameter]:
        """One for each theta, and what else follows from those of the field."""
        own, size = super().hyperparameters(), len(self.field.parameters)
        lifted = [embedded(h, range(size), len(self.parameters)) for h in described(self.field)]
        of_field = [replace(h, name=mine.name, prior=mine.prior) for h, mine in zip(lifted[:size], own)]
        of_steps = [replace(h, transform=correlation) for h in own[size:]]
        return of_field + of_steps + lifted[size:]

    def split(self, theta: Vector) -> tuple[Vector, Vector]:
        """Theta of the field and that of the steps."""
        size = len(self.field.parameters)
        return theta[:size], theta[size:]

    def user(self, theta: Vector) -> Vector:
        """On the user's scale."""
        of_field, of_steps = self.split(theta)
        return np.concatenate([self.field.user(of_field), correlation(of_steps)])

    def regular(self, theta: Vector) -> Vector:
        """The nearest theta whose correlation is a little within one."""
        of_field, of_steps = self.split(theta)
        return np.concatenate([self.field.regular(of_field), np.clip(of_steps, -14.0, 14.0)])

    def values(self, theta: Vector) -> Vector:
        """Lower-triangular entries of Q(theta) on the pattern."""
        of_field, of_steps = self.split(theta)
        entries = self._entries
        return self.steps.values(of_steps)[entries.outer] * self.field.values(of_field)[entries.inner]

    def gradients(self, theta: Vector) -> Vector:
        """Derivatives of `values` in each theta, (d, nnz)."""
        of_field, of_steps = self.split(theta)
        outer = self.steps.values(of_steps)[self._entries.outer]
        inner = self.field.values(of_field)[self._entries.inner]
        in_space = [outer * row[self._entries.inner] for row in self.field.gradients(of_field)]
        in_time = [inner * row[self._entries.outer] for row in self.steps.gradients(of_steps)]
        return np.array(in_space + in_time)

    def log_normaliser(self, theta: Vector, gradient: bool = True) -> tuple[float, Vector]:
        """From those of space and time: ``½ log|A (x) B| = n_B ½ log|A| + n_A ½ log|B|``."""
        of_field, of_steps = self.split(theta)
        space, space_slope = self.field.log_normaliser(of_field, gradient)
        time, time_slope = self.steps.log_normaliser(of_steps)
        size, rank = self.steps.size, self.field.rank
        return size * space + rank * time, np.concatenate([size * space_slope, rank * time_slope])

    def space_factor(self, theta: Vector) -> ConstrainedFactor:
        """A factor of the field's own precision."""
        values = self.field.values(self.split(theta)[0])
        return ConstrainedFactor(
            self.field._solver.factor(values), self.field.constraints, np.zeros(0, dtype=np.intp), np.zeros(0)
        )

    def latent_names(self, part: str = "") -> list[str]:
        """Names of the latent variables, step by step."""
        return [name for time in self.times for name in self.field.latent_names(f"{part}{time}, ")]

    def method_sentences(self, name: str) -> list[str]:
        """Those of the field, and how it changes."""
        own = f"It changes in {self.steps.size} steps of time. {self.steps.words}"
        return [*self.field.method_sentences(name), own]


def described(field: FieldPrecision) -> list[Hyperparameter]:
    """Hyperparameters of the field of a step, whose priors are those of the whole."""
    alone = copy(field)
    alone.prior = Independent((Flat(),) * len(field.parameters))
    return alone.hyperparameters()


class WithConstant(FieldPrecision):
    """A field that does not change, and one that changes in time, independent and of one range.

    Theta = (log range, log sigma of the first, log sigma of the second, what else they have).

    Parameters
    ----------
    constant : FieldPrecision
    changing : InTime
        Of the same field.
    time : str
        What tells the second apart, in names.
    """

    def __init__(self, constant: FieldPrecision, changing: InTime, time: str):
        self.constant, self.changing, self.time = constant, changing, time
        self.label = constant.label
        self.n = constant.n + changing.n
        self.layers = constant.layers
        self.parameters = ("range", "sigma[1]", f"sigma[{time}]", *changing.parameters[2:])
        self.kinds = ("range", "sd", "sd", *changing.kinds[2:])
        self.pattern = sp.block_diag([constant.pattern, changing.pattern], format="csc")
        self.pattern.sort_indices()
        if constant.constraints is not None and changing.constraints is not None:
            self.constraints = sp.block_diag([constant.constraints, changing.constraints]).toarray()
        self.factorisations = 2 * constant.factorisations
        self.prior = changing.prior
        extra = len(changing.parameters) - 2
        of_field = len(constant.parameters) - 2
        self._of_constant = np.array([0, 1, *range(3, 3 + of_field)])
        self._of_changing = np.array([0, 2, *range(3, 3 + extra)])

    @property
    def names(self) -> tuple[str, ...]:
        """User names of the hyperparameters, one for each theta."""
        first, _, *others = self.changing.names
        return (first, f"sigma({self.label}[1])", f"sigma({self.label}[{self.time}])", *others)

    def default_priors(self, of_range: Prior, of_sigma: Prior) -> list[Prior]:
        """Priors of the parameters; both sigmas have the same."""
        first, second, *others = self.changing.default_priors(of_range, of_sigma)
        return [first, second, second, *others]

    def prior_of_theta(self, at: int, prior: Prior) -> Prior:
        """That of the field that changes."""
        return self.changing.prior_of_theta(at if at < 2 else at - 1, prior)

    def start(self, extent: float, unit: float) -> Vector:
        """Where a search begins."""
        first, second, *others = self.changing.start(extent, unit)
        return np.array([first, second, second, *others])

    def hyperparameters(self) -> list[Hyperparameter]:
        """One for each theta."""
        own, size = super().hyperparameters(), len(self.constant.parameters) + 1
        lifted = [embedded(h, self._of_constant, len(self.parameters)) for h in described(self.constant)[2:]]
        of_field = [replace(h, name=mine.name, prior=mine.prior) for h, mine in zip(lifted, own[3:size])]
        return own[:3] + of_field + [replace(h, transform=correlation) for h in own[size:]]

    def user(self, theta: Vector) -> Vector:
        """On the user's scale."""
        whole = np.exp(theta)
        whole[self._of_changing] = self.changing.user(theta[self._of_changing])
        return whole

    def regular(self, theta: Vector) -> Vector:
        """The nearest theta at which values keep their digits."""
        out = theta.copy()
        out[self._of_changing] = self.changing.regular(theta[self._of_changing])
        return out

    def values(self, theta: Vector) -> Vector:
        """Lower-triangular entries of Q(theta): the field that does not change, then the other."""
        return np.concatenate(
            [self.constant.values(theta[self._of_constant]), self.changing.values(theta[self._of_changing])]
        )

    def gradients(self, theta: Vector) -> Vector:
        """Derivatives of `values` in each theta, (d, nnz)."""
        out = np.zeros((theta.size, self.pattern.nnz))
        split = self.constant.pattern.nnz
        out[self._of_constant, :split] = self.constant.gradients(theta[self._of_constant])
        out[self._of_changing, split:] = self.changing.gradients(theta[self._of_changing])
        return out

    def log_normaliser(self, theta: Vector, gradient: bool = True) -> tuple[float, Vector]:
        """The sum of both."""
        slope = np.zeros(theta.size)
        first, of_constant = self.constant.log_normaliser(theta[self._of_constant], gradient)
        second, of_changing = self.changing.log_normaliser(theta[self._of_changing], gradient)
        slope[self._of_constant] += of_constant
        slope[self._of_changing] += of_changing
        return first + second, slope

    def latent_names(self, part: str = "") -> list[str]:
        """Names of the latent variables: of the field that does not change, then of the other."""
        return self.constant.latent_names(part) + self.changing.latent_names(part)

    def method_sentences(self, name: str) -> list[str]:
        """Those of the field that changes."""
        own = self.changing.method_sentences(name)
        return [*own, "Beside it there is a field of the same range that does not change."]
