"""Poisson counts."""

from functools import cached_property

import numpy as np
from scipy.special import gammaln, pdtr

from geospde.families.counts.shared import CountLikelihood, Counts
from geospde.families.likelihood import Derivatives, Vector


class PoissonLikelihood(CountLikelihood):
    """Counts with mean ``exposure * exp(eta)``."""

    @cached_property
    def _constant(self) -> Vector:
        return self.y * np.log(self.exposure) - gammaln(self.y + 1)

    def _mean(self, eta: Vector) -> Vector:
        with np.errstate(over="ignore"):  # the line search steps back from an infinite mean
            return self.exposure * np.exp(eta)

    def _log_density(self, eta: Vector) -> Vector:
        return self.y * eta - self._mean(eta) + self._constant

    def _derivatives(self, eta: Vector) -> Derivatives:
        mean = self._mean(eta)
        return self.y - mean, -mean, -mean

    def cdf(self, eta: Vector) -> Vector:
        """P(Y <= y | eta)."""
        return pdtr(self.y, self._mean(eta))

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta."""
        return rng.poisson(self._mean(eta)).astype(float)


class Poisson(Counts):
    """Poisson counts, log link; `exposure` multiplies the mean.

    Examples
    --------
    >>> counts = Poisson().bind([3, 0], exposure=[2.0, 1.0])
    >>> counts.log_density(np.array([0.0, 0.0])).round(4)
    array([-1.7123, -1.    ])
    """

    name = "poisson"
    likelihood = PoissonLikelihood
