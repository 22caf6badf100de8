"""Response families: log density of an observation given its linear predictor, with derivatives.

A family is bound to data (`bind`) and gives a `Likelihood`, all that inference sees of the response.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, pdtr

from geospde.errors import InputError
from geospde.latent.priors import Independent, Prior

Vector = NDArray[np.float64]


class Likelihood(Protocol):
    """Observations bound to a family: everything is per observation, as a function of eta."""

    @property
    def n(self) -> int:
        """Number of observations."""

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the family's hyperparameters on the user's scale."""

    @property
    def prior(self) -> Prior:
        """Their prior density, on the internal scale."""

    def user(self, theta: Vector) -> Vector:
        """Hyperparameters on the user's scale."""

    def at(self, theta: Vector) -> "Likelihood":
        """The same observations with these hyperparameters."""

    def log_density(self, eta: Vector) -> Vector:
        """Log p(y | eta), all constants included; eta may have leading axes."""

    def newton_weights(self, eta: Vector, second: Vector) -> Vector:
        """Non-negative weights for Newton steps; `second` is the second derivative at eta."""

    def theta_derivatives(self, eta: Vector) -> tuple[Vector, Vector, Vector]:
        """Derivatives in each theta, (k, m), of `log_density` and of its first two derivatives in eta."""

    def derivatives(self, eta: Vector) -> tuple[Vector, Vector, Vector]:
        """First, second and third derivative of `log_density` in eta."""

    def cdf(self, eta: Vector) -> Vector:
        """P(Y <= y | eta)."""

    def start(self) -> Vector:
        """A rough eta to start from."""


@dataclass(frozen=True)
class Link:
    """A monotone map between the mean per unit exposure and the predictor."""

    name: str

    def inverse(self, eta: Vector) -> Vector:
        """Mean per unit exposure at eta."""
        return np.exp(eta)

    def forward(self, mean: Vector) -> Vector:
        """Predictor at a mean per unit exposure."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log(mean)

    def log_derivative(self, eta: Vector) -> Vector:
        """Logarithm of the derivative of `inverse`."""
        return eta


LOG = Link("log")


@dataclass(frozen=True)
class PoissonLikelihood:
    """Counts with mean ``exposure * exp(eta)``."""

    y: Vector
    exposure: Vector
    weights: Vector

    parameters: ClassVar[tuple[str, ...]] = ()
    prior: ClassVar[Prior] = Independent(())

    @property
    def n(self) -> int:
        """Number of observations."""
        return self.y.size

    def user(self, theta: Vector) -> Vector:
        """Nothing: the family has no hyperparameters."""
        return np.zeros(0)

    def at(self, theta: Vector) -> "PoissonLikelihood":
        """Itself: the family has no hyperparameters."""
        return self

    def newton_weights(self, eta: Vector, second: Vector) -> Vector:
        """The observed information, never negative."""
        return -second

    def theta_derivatives(self, eta: Vector) -> tuple[Vector, Vector, Vector]:
        """Empty: the family has no hyperparameters."""
        nothing = np.zeros((0, self.n))
        return nothing, nothing, nothing

    def log_density(self, eta: Vector) -> Vector:
        """Log p(y | eta), all constants included; eta may have leading axes."""
        constant = self.y * np.log(self.exposure) - gammaln(self.y + 1)
        return self.weights * (self.y * eta - self._mean(eta) + constant)

    def _mean(self, eta: Vector) -> Vector:
        with np.errstate(over="ignore"):  # the line search steps back from an infinite mean
            return self.exposure * np.exp(eta)

    def derivatives(self, eta: Vector) -> tuple[Vector, Vector, Vector]:
        """First, second and third derivative of `log_density` in eta."""
        mean = self.weights * self._mean(eta)
        return self.weights * self.y - mean, -mean, -mean

    def cdf(self, eta: Vector) -> Vector:
        """P(Y <= y | eta)."""
        return pdtr(self.y, self._mean(eta))

    def start(self) -> Vector:
        """A rough eta to start from."""
        return np.log((self.y + 0.5) / self.exposure)


class Poisson:
    """Poisson counts, log link; `exposure` multiplies the mean.

    Examples
    --------
    >>> counts = Poisson().bind([3, 0], exposure=[2.0, 1.0])
    >>> counts.log_density(np.array([0.0, 0.0])).round(4)
    array([-1.7123, -1.    ])
    """

    name: ClassVar[str] = "poisson"
    links: ClassVar[tuple[str, ...]] = ("log",)

    def __init__(self, link: str | None = None):
        if link not in (None, *self.links):
            raise InputError(f"family 'poisson' has the link 'log', not {link!r}")
        self.link = LOG

    def bind(
        self, y: NDArray, exposure: NDArray | None = None, weights: NDArray | None = None
    ) -> PoissonLikelihood:
        """Check the response and bind it; raises InputError with the row and value that do not fit."""
        y = np.asarray(y, dtype=float)
        bad = np.flatnonzero(~((y >= 0) & (y == np.floor(y)) & np.isfinite(y)))
        if bad.size:
            raise InputError(
                f"family 'poisson' needs counts 0, 1, 2, ...: row {bad[0]} holds {y[bad[0]]:g}"
                + (f" ({bad.size} such rows)" if bad.size > 1 else "")
            )
        ones = np.ones(y.size)
        return PoissonLikelihood(
            y,
            ones if exposure is None else np.asarray(exposure, dtype=float),
            ones if weights is None else np.asarray(weights, dtype=float),
        )


FAMILIES = {"poisson": Poisson}


def family_by_name(name: str, link: str | None = None) -> Poisson:
    """Family from its name; raises InputError for an unknown one."""
    if name not in FAMILIES:
        raise InputError(f"unknown family {name!r}; geospde has {', '.join(map(repr, FAMILIES))}")
    return FAMILIES[name](link)
