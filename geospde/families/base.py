"""What a family of responses and its likelihood have in common.

A family is bound to data (`Family.bind`) and gives a `Likelihood`, all that inference sees of the response: log
densities as functions of the linear predictor eta and of the family's hyperparameters theta, on their unbounded
internal scale, with derivatives.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from geospde.errors import InputError
from geospde.families.links import Link
from geospde.families.priors import Independent, Prior

Vector = NDArray[np.float64]
Derivatives = tuple[Vector, Vector, Vector]
FURTHEST = 100.0  # a theta beyond it counts as an overflow


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

    @property
    def hyper(self) -> "tuple[Parameter, ...]":
        """The same hyperparameters with their kinds, priors and transforms."""

    @property
    def unit(self) -> float | None:
        """Standard deviation of the response where eta is in its unit."""

    def user(self, theta: Vector) -> Vector:
        """Hyperparameters on the user's scale."""

    def at(self, theta: Vector) -> "Likelihood":
        """The same observations with these hyperparameters."""

    def log_density(self, eta: Vector) -> Vector:
        """Log p(y | eta), all constants included; eta may have leading axes."""

    def newton_weights(self, eta: Vector, second: Vector) -> Vector:
        """Non-negative weights for Newton steps; `second` is the second derivative at eta."""

    def theta_derivatives(self, eta: Vector) -> Derivatives:
        """Derivatives in each theta, (k, m), of `log_density` and of its first two derivatives in eta."""

    def derivatives(self, eta: Vector) -> Derivatives:
        """First, second and third derivative of `log_density` in eta."""

    def cdf(self, eta: Vector) -> Vector:
        """P(Y <= y | eta)."""

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta; eta may have leading axes."""

    def start(self) -> Vector:
        """A rough eta to start from."""

    def first_theta(self) -> Vector:
        """Where the search for the hyperparameters' mode starts."""

    def end(self) -> str | None:
        """``"lower"`` or ``"upper"`` where every response lies at that end of what the family allows."""


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
class Observations:
    """Responses bound to a family: `Likelihood`, with the log density times the weights.

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

    def at(self, theta: Vector) -> "Observations":
        """The same observations with these hyperparameters; raises FloatingPointError where they overflow."""
        if not self.hyper:
            return self
        theta = np.asarray(theta, dtype=float)
        if not (np.abs(theta) < FURTHEST).all():
            raise FloatingPointError(f"hyperparameters overflow: {theta}")
        return replace(self, theta=theta)

    def of_rows(self, index: NDArray[np.intp]) -> "Observations":
        """Some of the observations."""
        own = {name: getattr(self, name)[index] for name in ("y", "exposure", "trials", "weights")}
        return replace(self, **own)

    def without(self, index: NDArray[np.intp]) -> "Observations":
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


class Family:
    """A family of responses: a name, its links, and how data are bound to it.

    Parameters
    ----------
    link : str, optional
        By default the first of `links`.
    """

    name: ClassVar[str]
    links: ClassVar[tuple[Link, ...]]
    observations: ClassVar[type[Observations]]
    needs: ClassVar[str]
    takes_trials: ClassVar[bool] = False
    has_exposure: ClassVar[bool] = False
    without_exposure: ClassVar[str] = "leave it out"

    def __init__(self, link: str | None = None):
        by_name = {each.name: each for each in self.links}
        if link is not None and link not in by_name:
            choices = ", ".join(map(repr, by_name))
            raise InputError(f"family {self.name!r} has the link {choices}, not {link!r}")
        self.link = self.links[0] if link is None else by_name[link]

    def outside(self, y: Vector) -> NDArray[np.bool_]:
        """Which responses lie outside the family's support."""
        return ~np.isfinite(y)

    def bind(
        self,
        y: Any,
        exposure: Any = None,
        weights: Any = None,
        trials: Any = None,
        priors: Mapping[str, Prior] | None = None,
    ) -> Observations:
        """Check the response and bind it.

        Parameters
        ----------
        y : (m,) array
        exposure : (m,) array, optional
            Multiplies the mean.
        weights : (m,) array, optional
            Multiply the log density.
        trials : (m,) array, optional
            Of a binomial.
        priors : dict from str to Prior, optional
            Priors that replace the defaults, by a hyperparameter's name.

        Raises
        ------
        InputError
            With the row and value that do not fit, or where the family has no exposure or trials.
        """
        y = np.asarray(y, dtype=float)
        ones = np.ones(y.size)
        if trials is not None and not self.takes_trials:
            raise InputError(f"p(successes, trials) is a response of family 'binomial', not of {self.name!r}")
        refuse(self.name, self.needs, y, self.outside(y))
        exposure = ones if exposure is None else np.asarray(exposure, dtype=float)
        if not self.has_exposure and (exposure != 1).any():
            raise InputError(f"family {self.name!r} has no exposure: {self.without_exposure}")
        kind = self.observations
        bound = kind(
            y,
            exposure,
            ones if trials is None else np.asarray(trials, dtype=float),
            ones if weights is None else np.asarray(weights, dtype=float),
            self.link,
            Independent(tuple((priors or {}).get(h.name, h.prior) for h in kind.hyper)),
            np.zeros(len(kind.hyper)),
        )
        self._check(bound)
        return replace(bound, theta=bound.first_theta())

    def _check(self, bound: Observations) -> None:
        """Refuse what only shows with everything bound."""


def refuse(family: str, needs: str, y: Vector, bad: NDArray[np.bool_]) -> None:
    """Raise InputError with the first row and value that are bad."""
    rows = np.flatnonzero(bad)
    if rows.size:
        more = f" ({rows.size} such rows)" if rows.size > 1 else ""
        raise InputError(f"family {family!r} needs {needs}: row {rows[0]} holds {y[rows[0]]:g}{more}")


def not_counts(y: Vector) -> NDArray[np.bool_]:
    """Which values are not 0, 1, 2, ..."""
    return ~((y >= 0) & (y == np.floor(y)) & np.isfinite(y))


def spread(values: Vector) -> float:
    """Standard deviation, kept away from 0."""
    return max(float(np.std(values)), 1e-3 * float(np.abs(values).max(initial=0.0)), 1e-6)
