"""Times until an event, Weibull."""

from dataclasses import replace
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
from scipy.special import gamma

from geospde.families.continuous.positive import Positive
from geospde.families.likelihood import Derivatives, Likelihood, Parameter, Vector, scaled, spread
from geospde.families.pc import PCWeibull


class WeibullLikelihood(Likelihood):
    """P(Y > y) = exp(-H), with the cumulative hazard ``H = exp(eta) y^shape``; theta = log shape."""

    hyper: ClassVar[tuple[Parameter, ...]] = (Parameter("shape", "weibull", PCWeibull(5.0), 0.0),)
    dispersion = "shape"
    bends_units = True

    @cached_property
    def _logs(self) -> Vector:
        return np.log(self.y)

    @property
    def _log_shape(self) -> Vector:
        return np.asarray(self.theta[0])

    @property
    def _shape(self) -> Vector:
        return np.exp(self._log_shape)

    def _hazard(self, eta: Vector) -> Vector:
        with np.errstate(over="ignore"):  # the line search steps back from an infinite hazard
            return np.exp(eta + self._shape * self._logs)

    def _log_density(self, eta: Vector) -> Vector:
        return self._log_shape + (self._shape - 1) * self._logs + eta - self._hazard(eta)

    def _derivatives(self, eta: Vector) -> Derivatives:
        hazard = self._hazard(eta)
        return 1 - hazard, -hazard, -hazard

    def _theta_derivatives(self, eta: Vector) -> Derivatives:
        slope = self._shape * self._logs
        moved = slope * self._hazard(eta)
        return (1 + slope - moved)[None], -moved[None], -moved[None]

    def cdf(self, eta: Vector) -> Vector:
        """P(Y <= y | eta)."""
        return -np.expm1(-self._hazard(eta))

    def sf(self, eta: Vector) -> Vector:
        """P(Y > y | eta)."""
        return np.exp(-self._hazard(eta))

    def log_sf(self, eta: Vector) -> Vector:
        """Log P(Y > y | eta)."""
        return -self._hazard(eta)

    def flow(self) -> Vector:
        """Of the logarithm of a hazard: -y over the shape."""
        return -self.y / self._shape

    def moments(self, eta: Vector) -> tuple[Vector, Vector]:
        """Mean and variance of each time."""
        one, two = (gamma(1 + k / self._shape) for k in (1, 2))
        scale = np.exp(-eta / self._shape)
        return scale * one, scale**2 * (two - one**2)

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta."""
        return np.exp(-eta / self._shape) * rng.weibull(self._shape, eta.shape)

    def less_offset(self, offset: Vector) -> Self:
        """Times whose hazard is without the offset."""
        return replace(self, y=scaled(self.y, offset / self._shape))

    def start(self) -> Vector:
        """A rough eta to start from."""
        return -self._shape * self._logs

    def first_theta(self) -> Vector:
        """Where the search starts: the shape whose log times scatter as the responses do."""
        return np.array([np.log(np.pi / np.sqrt(6) / spread(self._logs, self.weights))])

    def observed(self) -> Vector:
        """What an observed time is worth as a hazard: the one that makes it the mean, were the shape one."""
        return 1 / self.y


class Survival(Positive):
    """A family of times until an event, whose hazard is proportional to exp(eta)."""

    predicts_means = False

    @property
    def fitted_is(self) -> str:
        """What fitted values and predictions are of."""
        return "the factor of the hazard, exp(eta): times are short where it is large"

    def quantity(self, response: str, exposure: str | None = None) -> str:
        """What a map of the predictions shows."""
        return f"hazard of {response}"

    def fitted_label(self, response: str) -> str:
        """What figures call fitted values."""
        return f"hazard of {response}"


class Weibull(Survival):
    """Times until an event with the hazard ``exp(eta) shape y^(shape - 1)``, log link (R-INLA's variant 0).

    A coefficient is a log hazard ratio; over minus the shape, it is an effect on the log time, as R's ``survreg`` gives
    it. The prior of the shape is R-INLA's ``pc.alphaw`` of rate 5, which shrinks it to 1, the exponential. Times that
    are known by bounds only stand as ``cens(y, censored)`` on the left of the formula.

    Examples
    --------
    >>> times = Weibull().bind([1.0, 2.0]).at(np.log([2.0]))
    >>> times.log_density(np.array([0.0, 0.0])).round(4)
    array([-0.3069, -2.6137])
    """

    name = "weibull"
    aliases = ("weibullsurv",)
    words = "a Weibull"
    likelihood = WeibullLikelihood
