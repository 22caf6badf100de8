"""Negative binomial counts."""

from functools import cached_property
from typing import ClassVar

import numpy as np
from scipy.special import betainc, betaln, digamma, expit, gammaln, log_expit

from geospde.families.counts.shared import CountLikelihood, Counts, poisson_variates
from geospde.families.likelihood import Derivatives, Parameter, Vector
from geospde.families.links import IDENTITY, LOG, SQRT, Link
from geospde.families.priors import PCSize

LARGE = 1e5  # a size beyond which differences of gamma functions cancel
SIZE = Parameter("size", "size", PCSize(7.0), float(np.log(10.0)))


class NegativeBinomialLikelihood(CountLikelihood):
    """Counts with mean ``mu = exposure * exp(eta)`` and variance ``mu + mu² / size``; theta = log size.

    Written in ``z = log(mu / size)``: with p = expit(z), the log density is that of y failures of probability p.
    """

    hyper: ClassVar[tuple[Parameter, ...]] = (SIZE,)
    dispersion = "size"

    @cached_property
    def _shift(self) -> Vector:
        values: Vector = np.log(self.exposure) - self.theta[0]
        return values

    @cached_property
    def _constant(self) -> Vector:
        """Log of gamma(y + n) / (gamma(n) y!)."""
        values: Vector = _log_rising(np.exp(self.theta[0]), self.y) - gammaln(self.y + 1)
        return values

    @cached_property
    def _slope(self) -> Vector:
        """Its derivative in theta."""
        return _rising_slope(np.exp(self.theta[0]), self.y)

    def _log_density(self, eta: Vector) -> Vector:
        z = eta + self._shift
        values: Vector = self._constant + np.exp(self.theta[0]) * log_expit(-z) + self.y * log_expit(z)
        return values

    def _derivatives(self, eta: Vector) -> Derivatives:
        z, n = eta + self._shift, np.exp(self.theta[0])
        p, q = expit(z), expit(-z)
        second = -(self.y + n) * p * q
        return self.y * q - n * p, second, second * (q - p)

    def _theta_derivatives(self, eta: Vector) -> Derivatives:
        z, n = eta + self._shift, np.exp(self.theta[0])
        p, q = expit(z), expit(-z)
        both = (self.y + n) * p * q
        density = self._slope + n * log_expit(-z) + n * p - self.y * q
        return density[None], (both - n * p)[None], (both * (q - p) - n * p * q)[None]

    def cdf(self, eta: Vector) -> Vector:
        """P(Y <= y | eta)."""
        values: Vector = betainc(np.exp(self.theta[0]), self.y + 1, expit(-eta - self._shift))
        return values

    def sf(self, eta: Vector) -> Vector:
        """P(Y > y | eta)."""
        values: Vector = betainc(self.y + 1, np.exp(self.theta[0]), expit(eta + self._shift))
        return values

    def flow(self) -> Vector:
        """Of counts that are one higher: themselves."""
        return self.y + 1

    def moments(self, eta: Vector) -> tuple[Vector, Vector]:
        """Mean and variance of each count."""
        mean = self.exposure * self.link.inverse(eta)
        return mean, mean + mean**2 / np.exp(self.theta[0])

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta."""
        size = np.exp(self.theta[0])
        return poisson_variates(rng.gamma(size, self.exposure * np.exp(eta) / size), rng)


def _log_rising(n: Vector, y: Vector) -> Vector:
    """Log of gamma(n + y) / gamma(n), where both are large by Stirling's series, and nothing at all of a zero."""
    values: Vector = gammaln(y + 1) - betaln(np.minimum(n, LARGE), y + 1) - np.log(n + y)
    values = np.where(y == 0, 0.0, values)
    if np.all(n < LARGE):
        return values
    series = y * np.log(n) + (n + y - 0.5) * np.log1p(y / n) - y - y / (12 * n * (n + y))
    return np.where(n < LARGE, values, series)


def _rising_slope(n: Vector, y: Vector) -> Vector:
    """Derivative of `_log_rising` in log n."""
    values: Vector = n * (digamma(n + y) - digamma(n))
    if np.all(n < LARGE):
        return values
    series = n * np.log1p(y / n) + y / (2 * (n + y)) + y * (2 * n + y) / (12 * n * (n + y) ** 2)
    return np.where(n < LARGE, values, series)


class NegativeBinomial(Counts):
    """Negative binomial counts of mean mu = exposure × exp(eta) and variance mu + mu² / size, by default with log link.

    `size` does not grow with the exposure (R-INLA's variant 0). Its prior is R-INLA's ``pc.mgamma`` of rate 7.

    Examples
    --------
    >>> counts = NegativeBinomial().bind([3, 0]).at(np.log([2.0]))
    >>> counts.log_density(np.array([0.0, 0.0])).round(4)
    array([-2.7205, -0.8109])
    """

    name = "nbinomial"
    aliases = ("negbin", "negativebinomial", "nb")
    words = "a negative binomial"
    first_choice_for = ("zeros", "outliers")
    links: ClassVar[tuple[Link, ...]] = (LOG, IDENTITY, SQRT)
    natural_link = LOG
    likelihood = NegativeBinomialLikelihood
