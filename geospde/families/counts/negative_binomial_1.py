"""Negative binomial counts whose variance is proportional to the mean."""

from functools import cached_property
from typing import ClassVar

import numpy as np
from scipy.special import betainc, expit, gammaln

from geospde.families.counts.shared import CountLikelihood, Counts, poisson_variates
from geospde.families.jets import log_rising, log_rising_jet
from geospde.families.likelihood import Derivatives, Parameter, Vector
from geospde.families.links import Jet
from geospde.families.priors import GammaPositive


class NegativeBinomial1Likelihood(CountLikelihood):
    """Counts with mean ``mu = exposure * exp(eta)`` and variance ``mu (1 + phi)``; theta = log phi.

    A negative binomial of size r = mu / phi, which grows with the mean.
    """

    hyper: ClassVar[tuple[Parameter, ...]] = (Parameter("phi", "shape", GammaPositive(1.0, 0.1), 0.0),)
    dispersion = "phi"

    @cached_property
    def _constant(self) -> Vector:
        values: Vector = self.y * (self.theta[0] - np.logaddexp(0.0, self.theta[0])) - gammaln(self.y + 1)
        return values

    def _log_size(self, eta: Vector) -> Vector:
        values: Vector = eta + np.log(self.exposure) - self.theta[0]
        return values

    def _size(self, eta: Vector) -> Vector:
        """The size r."""
        with np.errstate(over="ignore"):  # the line search steps back from an infinite mean
            values: Vector = np.exp(self._log_size(eta))
        return values

    def _parts(self, eta: Vector) -> tuple[Jet, Vector, Vector]:
        """What gamma functions add, in log r; r; and r log(1 + phi)."""
        size = self._size(eta)
        return log_rising_jet(self._log_size(eta), self.y), size, size * np.logaddexp(0.0, self.theta[0])

    def _log_density(self, eta: Vector) -> Vector:
        pull = self._size(eta) * np.logaddexp(0.0, self.theta[0])
        values: Vector = self._constant + log_rising(self._log_size(eta), self.y) - pull
        return values

    def _derivatives(self, eta: Vector) -> Derivatives:
        rising, _, pull = self._parts(eta)
        return rising[1] - pull, rising[2] - pull, rising[3] - pull

    def _theta_derivatives(self, eta: Vector) -> Derivatives:
        (_, h1, h2, h3), size, pull = self._parts(eta)
        share = expit(self.theta[0])
        density = pull - h1 - size * share + self.y * (1 - share)
        return density[None], (pull - h2 - size * share)[None], (pull - h3 - size * share)[None]

    def _weights(self, eta: Vector) -> Vector:
        """That of a count with this variance."""
        values: Vector = self.exposure * np.exp(eta) * expit(-self.theta[0])
        return values

    def cdf(self, eta: Vector) -> Vector:
        """P(Y <= y | eta)."""
        values: Vector = betainc(self._size(eta), self.y + 1, expit(-self.theta[0]))
        return values

    def sf(self, eta: Vector) -> Vector:
        """P(Y > y | eta)."""
        values: Vector = betainc(self.y + 1, self._size(eta), expit(self.theta[0]))
        return values

    def moments(self, eta: Vector) -> tuple[Vector, Vector]:
        """Mean and variance of each count."""
        mean = self.exposure * self.link.inverse(eta)
        return mean, mean * (1 + np.exp(self.theta[0]))

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta."""
        return poisson_variates(rng.gamma(self._size(eta), np.exp(self.theta[0])), rng)


class NegativeBinomial1(Counts):
    """Negative binomial counts of mean mu = exposure × exp(eta) and variance mu (1 + `phi`), log link.

    Overdispersed alike where the mean is small and where it is large; with ``nbinomial`` the variance grows with the
    square of the mean. The prior of `phi` is Gamma(1, rate 0.1).

    Examples
    --------
    >>> counts = NegativeBinomial1().bind([3, 0]).at(np.log([2.0]))
    >>> counts.log_density(np.array([0.0, 0.0])).round(4)
    array([-2.9289, -0.5493])
    """

    name = "nbinomial1"
    aliases = ("nbinom1", "nb1")
    words = "a negative binomial of linear variance"
    first_choice_for = ("outliers",)
    likelihood = NegativeBinomial1Likelihood
