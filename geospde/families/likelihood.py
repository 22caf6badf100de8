"""What a family of responses and its likelihood have in common.

A family is bound to data (`Family.bind`) and gives a `Likelihood`, all that inference sees of the response: log
densities as functions of the linear predictor eta and of the family's hyperparameters theta, on their unbounded
internal scale, with derivatives.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from geospde.families.priors import Prior

Vector = NDArray[np.float64]
Derivatives = tuple[Vector, Vector, Vector]
FURTHEST = 100.0  # a theta beyond it counts as an overflow


@dataclass(frozen=True)
class Parameter:
    """A hyperparameter of a family.

    Attributes
    ----------
    name : str
        The user's.
    kind : str
        What priors it can have, see `geospde.families.priors.prior_by_name`.
    prior : Prior
        The default.
    start : float
        Where the search for its mode starts, on the internal scale.
    transform : callable
        Increasing map from the internal to the user's scale.
    """

    name: str
    kind: str
    prior: Prior
    start: float
    transform: Callable[[Vector], Vector] = np.exp


def above_two(theta: Vector) -> Vector:
    """``2 + exp(theta)``, the map of degrees of freedom."""
    return 2.0 + np.exp(theta)


def probability(theta: Vector) -> Vector:
    """The logistic map."""
    return expit(theta)


@dataclass(frozen=True)
class Likelihood:
    """Responses bound to a family: everything is per observation, as a function of eta, times the weights.

    A family's own class gives `_log_density`, `_derivatives`, `cdf`, `draw` and `start`; where it has hyperparameters,
    `_theta_derivatives`; where it is not log-concave, `_weights`.

    Attributes
    ----------
    y, exposure, trials, weights : (m,) arrays
    link : Link
    prior : Prior
        Of the hyperparameters, on their internal scale.
    theta : (k,) array
        Hyperparameters, on their internal scale.
    """

    y: Vector
    exposure: Vector
    trials: Vector
    weights: Vector
    link: Any
    prior: Prior
    theta: Vector

    hyper: ClassVar[tuple[Parameter, ...]] = ()

    @property
    def n(self) -> int:
        """Number of observations."""
        return self.y.size

    @property
    def unit(self) -> float | None:
        """Standard deviation of the response where eta is in its unit."""
        return None

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the hyperparameters on the user's scale."""
        return tuple(h.name for h in self.hyper)

    def user(self, theta: Vector) -> Vector:
        """Hyperparameters on the user's scale."""
        near = np.clip(np.asarray(theta, dtype=float), -700.0, 700.0)
        return np.array([h.transform(t) for h, t in zip(self.hyper, near)])

    def at(self, theta: Vector) -> "Likelihood":
        """The same observations with these hyperparameters; raises FloatingPointError where they overflow."""
        if not self.hyper:
            return self
        theta = np.asarray(theta, dtype=float)
        if not (np.abs(theta) < FURTHEST).all():
            raise FloatingPointError(f"hyperparameters overflow: {theta}")
        return replace(self, theta=theta)

    def of_rows(self, index: NDArray[np.intp]) -> "Likelihood":
        """Some of the observations."""
        own = {name: getattr(self, name)[index] for name in ("y", "exposure", "trials", "weights")}
        return replace(self, **own)

    def without(self, index: NDArray[np.intp]) -> "Likelihood":
        """The same observations, some of which count for nothing."""
        weights = self.weights.copy()
        weights[index] = 0.0
        return replace(self, weights=weights)

    def log_density(self, eta: Vector) -> Vector:
        """Log p(y | eta), all constants included; eta may have leading axes."""
        return self.weights * self._log_density(eta)

    def derivatives(self, eta: Vector) -> Derivatives:
        """First, second and third derivative of `log_density` in eta."""
        first, second, third = self._derivatives(eta)
        return self.weights * first, self.weights * second, self.weights * third

    def newton_weights(self, eta: Vector, second: Vector) -> Vector:
        """The observed information where it is positive, a positive stand-in elsewhere."""
        if (second <= 0).all():
            return -second
        return np.where(second <= 0, -second, self.weights * self._weights(eta))

    def theta_derivatives(self, eta: Vector) -> Derivatives:
        """Derivatives in each theta, (k, m), of `log_density` and of its first two derivatives in eta."""
        if not self.hyper:
            nothing = np.zeros((0, self.n))
            return nothing, nothing, nothing
        density, first, second = self._theta_derivatives(eta)
        return self.weights * density, self.weights * first, self.weights * second

    def _log_density(self, eta: Vector) -> Vector:
        raise NotImplementedError

    def _derivatives(self, eta: Vector) -> Derivatives:
        raise NotImplementedError

    def _theta_derivatives(self, eta: Vector) -> Derivatives:
        raise NotImplementedError

    def _weights(self, eta: Vector) -> Vector:
        """Stand-in for the information, positive; log-concave families differ from it by rounding alone."""
        return np.zeros_like(eta)

    def cdf(self, eta: Vector) -> Vector:
        """P(Y <= y | eta)."""
        raise NotImplementedError

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta; eta may have leading axes."""
        raise NotImplementedError

    def start(self) -> Vector:
        """A rough eta to start from."""
        raise NotImplementedError

    def first_theta(self) -> Vector:
        """Where the search for the hyperparameters' mode starts."""
        return np.array([h.start for h in self.hyper])

    def end(self) -> str | None:
        """``"lower"`` or ``"upper"`` where every response lies at that end of what the family allows.

        The likelihood then draws an intercept away without end.
        """
        return None


def spread(values: Vector) -> float:
    """Standard deviation, kept away from 0."""
    return max(float(np.std(values)), 1e-3 * float(np.abs(values).max(initial=0.0)), 1e-6)
