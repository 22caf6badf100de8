"""Gaussian values."""

from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from scipy.special import log_ndtr, ndtr

from geospde.families.base import Candidate, Family, skewness
from geospde.families.likelihood import Derivatives, Likelihood, Parameter, Vector, spread
from geospde.families.links import HALF_LOG_2PI, IDENTITY, INVERSE, LOG, Link
from geospde.families.priors import LogGamma
from geospde.text.words import counted

SIGMA = Parameter("sigma", "sd", LogGamma(1.0, 5e-5), 0.0)
FORMER_SIGMA: dict[int, Any] = {1: {"sigma": {"loggamma": [1.0, 5e-5]}}}  # whatever the response's unit


class GaussianLikelihood(Likelihood):
    """Values of mean eta and standard deviation sigma; theta = log sigma."""

    hyper: ClassVar[tuple[Parameter, ...]] = (SIGMA,)
    dispersion = "sigma"

    @property
    def unit(self) -> float | None:
        """Standard deviation of the response."""
        return spread(self.y, self.weights)

    @cached_property
    def _values(self) -> Vector:
        """What is Gaussian."""
        return self.y

    def _log_density(self, eta: Vector) -> Vector:
        z = (self._values - eta) * np.exp(-self.theta[0])
        values: Vector = -HALF_LOG_2PI - self.theta[0] - 0.5 * z**2
        return values

    def _derivatives(self, eta: Vector) -> Derivatives:
        precision = np.exp(-2 * self.theta[0])
        residual = self._values - eta
        return precision * residual, np.full_like(residual, -precision), np.zeros_like(residual)

    def _theta_derivatives(self, eta: Vector) -> Derivatives:
        precision = np.exp(-2 * self.theta[0])
        residual = self._values - eta
        slope = precision * residual
        return (slope * residual - 1)[None], -2 * slope[None], np.full((1, residual.size), 2 * precision)

    def cdf(self, eta: Vector) -> Vector:
        """P(Y <= y | eta)."""
        values: Vector = ndtr((self._values - eta) * np.exp(-self.theta[0]))
        return values

    def sf(self, eta: Vector) -> Vector:
        """P(Y > y | eta)."""
        values: Vector = ndtr((eta - self._values) * np.exp(-self.theta[0]))
        return values

    def log_cdf(self, eta: Vector) -> Vector:
        """Log P(Y <= y | eta)."""
        values: Vector = log_ndtr((self._values - eta) * np.exp(-self.theta[0]))
        return values

    def log_sf(self, eta: Vector) -> Vector:
        """Log P(Y > y | eta)."""
        values: Vector = log_ndtr((eta - self._values) * np.exp(-self.theta[0]))
        return values

    def flow(self) -> Vector:
        """Of a location: 1."""
        return np.ones(self.n)

    def moments(self, eta: Vector) -> tuple[Vector, Vector]:
        """Mean and variance of each response."""
        return eta, np.full_like(eta, np.exp(self.theta[0]) ** 2)

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta."""
        return rng.normal(eta, np.exp(self.theta[0]))

    def less_offset(self, offset: Vector) -> Self:
        """Values less the offset."""
        return replace(self, y=self.y - offset)

    def start(self) -> Vector:
        """A rough eta to start from."""
        return self._values

    def first_theta(self) -> Vector:
        """Where the search starts: half of the variance is the residual's."""
        return np.array([np.log(spread(self._values, self.weights) / np.sqrt(2))])


class Gaussian(Family):
    """Gaussian values with residual standard deviation `sigma`, by default with identity link.

    The prior of the precision 1 / sigma² is Gamma(1, rate 5e-5), R-INLA's ``loggamma(1, 5e-5)``, with the response
    counted in its own standard deviations: a sigma below a hundredth of that is held up. Beside a term that may follow
    every observation, such as a field, it is P(sigma > three sds of the response) = 0.05: the former is
    largest near 0.

    Examples
    --------
    >>> values = Gaussian().bind([3.0, 0.0]).at(np.log([2.0]))
    >>> values.log_density(np.array([0.0, 0.0])).round(4)
    array([-2.7371, -1.6121])
    """

    name = "gaussian"
    aliases = ("normal",)
    words = "a Gaussian"
    links: ClassVar[tuple[Link, ...]] = (IDENTITY, LOG, INVERSE)
    natural_link = IDENTITY
    likelihood = GaussianLikelihood
    dispersion_power = 2.0
    former_priors: ClassVar[dict[int, Any]] = FORMER_SIGMA
    without_exposure = "divide the response by it, or add an offset"

    def variance_function(self, mean: Vector) -> Vector:
        """Variance of a response of weight and dispersion 1."""
        return np.ones_like(mean)

    @classmethod
    def suggested_by(cls, candidate: Candidate) -> tuple[Family, str] | None:
        """Any numbers, but the skewed ones that other families have been asked for."""
        y = candidate.values
        if candidate.named_logs:
            return cls(), f"{candidate.described}, logarithms by their name; t if a few of them lie far out."
        if symmetric(y):
            why = "positive and nearly symmetric; gamma if they scatter more where they are large"
            return cls(), f"{candidate.described}, {why}{candidate.if_counts}."
        if y.min() == 0:
            zeros = counted(int((y == 0).sum()), "zero")
            return cls(), (
                f"{candidate.described} with {zeros}, which gamma and lognormal cannot take; tweedie if they are "
                "amounts of which some are none."
            )
        return cls(), f"{candidate.described}; t if a few of them lie far out."


def symmetric(y: Vector) -> bool:
    """Whether values are positive and nearly symmetric."""
    return bool(y.min() > 0 and skewness(y) < 1 and y.mean() > 2 * y.std())
