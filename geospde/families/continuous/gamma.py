"""Positive values, gamma."""

from dataclasses import replace
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, gammainc, gammaincc, gammaln, polygamma

from geospde.families.base import Candidate, Family, Scatter
from geospde.families.continuous.gaussian import symmetric
from geospde.families.continuous.lognormal import LogNormal
from geospde.families.likelihood import Derivatives, Likelihood, Parameter, Vector, scaled, spread
from geospde.families.links import IDENTITY, INVERSE, LOG, Link
from geospde.families.priors import GammaPositive


class GammaLikelihood(Likelihood):
    """Positive values of mean mu = exp(eta) and variance mu² / shape; theta = log shape."""

    hyper: ClassVar[tuple[Parameter, ...]] = (Parameter("shape", "shape", GammaPositive(1.0, 0.01), 0.0),)
    dispersion = "shape"

    @cached_property
    def _logs(self) -> Vector:
        return np.log(self.y)

    def _ratio(self, eta: Vector) -> tuple[Vector, Vector]:
        """Y / mu, and its logarithm."""
        with np.errstate(over="ignore"):  # the line search steps back from a mean of zero
            return np.exp(self._logs - eta), self._logs - eta

    def _log_density(self, eta: Vector) -> Vector:
        ratio, log_ratio = self._ratio(eta)
        shape = np.exp(self.theta[0])
        values: Vector = shape * (self.theta[0] + log_ratio - ratio) - gammaln(shape) - self._logs
        return values

    def _derivatives(self, eta: Vector) -> Derivatives:
        shape = np.exp(self.theta[0])
        part = shape * self._ratio(eta)[0]
        return part - shape, -part, part

    def _theta_derivatives(self, eta: Vector) -> Derivatives:
        ratio, log_ratio = self._ratio(eta)
        shape = np.exp(self.theta[0])
        density = shape * (self.theta[0] - digamma(shape) + 1 + log_ratio - ratio)
        return density[None], (shape * (ratio - 1))[None], (-shape * ratio)[None]

    def cdf(self, eta: Vector) -> Vector:
        """P(Y <= y | eta)."""
        shape = np.exp(self.theta[0])
        values: Vector = gammainc(shape, shape * self._ratio(eta)[0])
        return values

    def sf(self, eta: Vector) -> Vector:
        """P(Y > y | eta)."""
        shape = np.exp(self.theta[0])
        values: Vector = gammaincc(shape, shape * self._ratio(eta)[0])
        return values

    def flow(self) -> Vector:
        """Of the logarithm of a scale: y."""
        return self.y

    def moments(self, eta: Vector) -> tuple[Vector, Vector]:
        """Mean and variance of each response."""
        mean = self.link.inverse(eta)
        return mean, mean**2 / np.exp(self.theta[0])

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta."""
        shape = np.exp(self.theta[0])
        values: Vector = rng.gamma(shape, self.link.inverse(eta) / shape)
        return values

    def less_offset(self, offset: Vector) -> Self:
        """Values over exp(offset)."""
        return replace(self, y=scaled(self.y, -offset))

    def start(self) -> Vector:
        """A rough eta to start from."""
        return self._logs

    def first_theta(self) -> Vector:
        """Where the search starts: half of the logarithm's variance is the residual's."""
        return np.array([np.log(2.0) - 2 * np.log(spread(self._logs, self.weights))])


class Gamma(Family):
    """Positive values of mean exp(eta) and variance mean² / `shape`, by default with log link.

    `shape` is R-INLA's precision parameter phi, with its prior Gamma(1, rate 0.01).

    Examples
    --------
    >>> values = Gamma().bind([1.0, 2.0]).at(np.log([1.0]))
    >>> values.log_density(np.array([0.0, 0.0]))
    array([-1., -2.])
    """

    name = "gamma"
    words = "a gamma"
    links: ClassVar[tuple[Link, ...]] = (LOG, INVERSE, IDENTITY)
    natural_link = LOG
    likelihood = GammaLikelihood
    needs = "numbers above 0"
    without_exposure = "divide the response by it, or add its logarithm as an offset"
    first_choice_for = ("skewness",)
    dispersion_power = -1.0

    def outside(self, y: Vector) -> NDArray[np.bool_]:
        """Which responses are not positive."""
        return ~((y > 0) & np.isfinite(y))

    def variance_function(self, mean: Vector) -> Vector:
        """Variance of a response of weight and dispersion 1."""
        return mean**2

    @classmethod
    def suggested_by(cls, candidate: Candidate) -> tuple[Family, str] | None:
        """Positive values that are skewed."""
        if candidate.named_logs or candidate.values.min() <= 0 or symmetric(candidate.values):
            return None
        why = "positive and skewed; lognormal if logs scatter as far up as down, but it maps medians, gamma means"
        return cls(), f"{candidate.described}, {why}{candidate.if_counts}."

    def given_scatter(self, candidate: Candidate, scatter: Scatter) -> tuple[Family, str] | None:
        """Lognormal where logarithms scatter around their neighbours as far up as down, which a gamma's do not.

        The logarithm of a gamma variate of shape a has variance psi'(a) and skewness psi''(a) / psi'(a)^(3/2).
        """
        expected = log_gamma_skewness(scatter.variance)
        if not abs(expected) > 2 * scatter.lean_error:
            return None
        said = f"{candidate.described}, positive and skewed; around those of their neighbours logs have a skewness of "
        said += f"{scatter.lean:.2f}".replace("-", "\N{MINUS SIGN}")
        of_gamma = f"a gamma's {expected:.2f}".replace("-", "\N{MINUS SIGN}")
        if scatter.lean > expected / 2:
            return LogNormal(), f"{said}, {of_gamma}: medians are mapped, gamma maps means{candidate.if_counts}."
        return self, f"{said}, {of_gamma}, a lognormal's 0{candidate.if_counts}."


def log_gamma_skewness(variance: float) -> float:
    """Return the skewness of the logarithm of a gamma variate from that logarithm's variance; NaN of none.

    Examples
    --------
    >>> round(log_gamma_skewness(np.pi**2 / 6), 4)  # shape 1, minus a Gumbel variate
    -1.1395
    """
    from scipy.optimize import brentq

    if not variance > 0:
        return np.nan
    shape = np.exp(brentq(lambda log: np.log(polygamma(1, np.exp(log))) - np.log(variance), -20.0, 20.0))
    return float(polygamma(2, shape) / polygamma(1, shape) ** 1.5)
