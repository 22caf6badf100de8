"""The contract of a precision of a field on a mesh: what an `spde` term asks of it besides being a `Precision`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.families.priors import Prior
from geospde.mesh.trimesh import Mesh
from geospde.terms.hyperparameter import Hyperparameter
from geospde.terms.precisions.base import Precision

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Call:
    """What a kind of precision is made of.

    Attributes
    ----------
    mesh : Mesh
    options : mapping
        Of the ``spde(...)`` call.
    label : str
        Name in tables.
    text : str
        The call, to quote.
    """

    mesh: Mesh
    options: Mapping[str, Any]
    label: str
    text: str


class FieldPrecision(Precision):
    """A precision of a field with theta = (log range, log sigma, more), of values at the vertices of a mesh.

    Q(theta) is that of log sigma = 0 over sigma²; so the field is sigma times another.

    Attributes
    ----------
    options : tuple of str
        Options of ``spde(...)`` that ask for this kind; none for the one that is there without.
    kinds : tuple of str
        What each theta's prior is of; see `geospde.families.priors.prior_by_name`.
    layers : int
        The field is a sum of so many blocks of latent variables, each of one value per vertex.
    constraints : (n, 1) array or None
        At most one, that the field integrates to zero.
    """

    options: ClassVar[tuple[str, ...]] = ()
    parameters: tuple[str, ...] = ("range", "sigma")
    kinds: tuple[str, ...] = ("range", "sd")
    layers: int = 1

    @classmethod
    def read(cls, call: Call) -> "FieldPrecision":
        """The precision that a call asks for; its prior is set by the term.

        Raises
        ------
        InputError
            For options that do not fit.
        """
        raise NotImplementedError

    @property
    def names(self) -> tuple[str, ...]:
        """User names of the hyperparameters, one for each theta."""
        return tuple(f"{parameter}({self.label})" for parameter in self.parameters)

    def default_priors(self, of_range: Prior, of_sigma: Prior) -> list[Prior]:
        """Priors of the parameters, one for each theta, from those that a term has for range and sigma."""
        return [of_range, of_sigma]

    def prior_of_theta(self, at: int, prior: Prior) -> Prior:  # noqa: ARG002
        """The prior that a user gives of one parameter, the one numbered `at`, as one of its theta.

        They differ where theta is in a unit of its own; by default none is.
        """
        return prior

    def nominal_prior(self, diameter: float, text: str, **nominal: float) -> Prior:
        """R-INLA's Gaussian prior on log tau and log kappa, which a call asks for by ``prior='spde2'``.

        It is of range and sigma together, the first two of theta.

        Raises
        ------
        InputError
            Where the field has other parameters.
        """
        raise InputError(f"prior='spde2' is of a stationary field of one sigma: {text}")

    def rows(self, basis: sp.csr_matrix) -> sp.csr_matrix:
        """Rows of the latent variables from those of values at the vertices."""
        return basis if self.layers == 1 else sp.csr_matrix(sp.hstack([basis] * self.layers, format="csr"))

    def start(self, extent: float, unit: float) -> Vector:
        """Where a search begins: a range of a fifth of the extent, and a sigma of the unit."""
        out = np.zeros(len(self.parameters))
        out[:2] = np.log([0.2 * extent, unit])
        return out

    def hyperparameters(self) -> list[Hyperparameter]:
        """On the user's scale, the first one for each theta: exponentials, by default."""
        priors = getattr(self.prior, "of_theta", None)
        words = [p.describe() for p in priors] if priors else [self.prior.describe()] * len(self.names)
        unit = np.eye(len(self.names))
        return [Hyperparameter(name, unit[k], 0.0, words[k]) for k, name in enumerate(self.names)]

    def shortest_range(self, theta: Vector) -> float | None:  # noqa: ARG002
        """The range in the direction where it is shortest; None where all directions are alike."""
        return None

    def method_sentences(self, name: str) -> list[str]:
        """What the methods paragraph of a report says of it, see `LatentTerm.method_sentences`."""
        return [
            f"{name} solves the stochastic partial differential equation (κ² − Δ)^(α/2) (τu) = W with α = 2, a Matérn "
            "covariance of smoothness 1, and is carried by piecewise linear elements, whose precision matrix is sparse "
            "({spde}).",
            "Its range is √(8ν)/κ, where correlation has fallen to about 0.1.",
        ]

    def latent_names(self, part: str = "") -> list[str]:
        """Names of the latent variables; `part` tells copies of a field apart."""
        size = self.n // self.layers
        names = [f"{k}, " if self.layers > 1 else "" for k in range(1, self.layers + 1)]
        return [f"{self.label}[{part}{name}{i}]" for name in names for i in range(size)]


def embedded(h: Hyperparameter, places: Sequence[int] | NDArray[np.intp], total: int) -> Hyperparameter:
    """A hyperparameter of a part as one of the whole, whose theta of `total` numbers has the part's at `places`."""
    own, inner = np.asarray(places, dtype=np.intp), h.function
    direction = np.zeros(total)
    direction[own] = h.direction
    return replace(h, direction=direction, function=None if inner is None else lambda t: inner(t[:, own]))
