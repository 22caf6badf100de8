"""What counts without zeros share."""

from dataclasses import replace
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from geospde.families.base import not_counts
from geospde.families.counts.shared import CountLikelihood, Counts
from geospde.families.jets import composed, log_rest, log_rest_jet, minus, of_logarithm, relative_to
from geospde.families.likelihood import Derivatives, Likelihood, Vector

RAREST = 1e-300  # least rate that is told from 0


class Truncated(CountLikelihood):
    """A count of `counts` that is known not to be 0: its density over ``1 - exp(f)``, f the log density of a 0."""

    counts: ClassVar[type[Likelihood]]

    @cached_property
    def _counts(self) -> Likelihood:
        """The counts before zeros are left out."""
        ones = np.ones(self.n)
        return self.counts(self.y, self.exposure, self.trials, ones, self.link, self.prior, self.theta)

    @cached_property
    def _zero(self) -> Likelihood:
        """The same, of counts of 0."""
        return replace(self._counts, y=np.zeros(self.n))

    def _rate(self, eta: Vector) -> Vector:
        """Minus the log probability of a zero."""
        return np.maximum(-self._zero.log_density(eta), RAREST)

    def _log_density(self, eta: Vector) -> Vector:
        return self._counts.log_density(eta) - log_rest(-self._rate(eta))

    def _derivatives(self, eta: Vector) -> Derivatives:
        rate = self._rate(eta)
        of_log_rate = of_logarithm(rate, relative_to(-rate, self._zero.derivatives(eta)))
        there = composed(log_rest_jet(rate), of_log_rate)
        return minus((eta, *self._counts.derivatives(eta)), there)[1:]

    def _theta_derivatives(self, eta: Vector) -> Derivatives:
        rate = self._rate(eta)
        _, h1, h2, h3 = log_rest_jet(rate)
        # of the log rate: u in eta, t in theta and eta
        r1, r2, _ = relative_to(-rate, self._zero.derivatives(eta))
        t, s1, s2 = relative_to(-rate, self._zero.theta_derivatives(eta))
        u1, u2 = r1, r2 - r1**2
        t1, t2 = s1 - r1 * t, s2 - r2 * t - 2 * r1 * s1 + 2 * r1**2 * t
        f, f1, f2 = self._counts.theta_derivatives(eta)
        return (
            f - h1 * t,
            f1 - h2 * u1 * t - h1 * t1,
            f2 - h3 * u1**2 * t - h2 * (u2 * t + 2 * u1 * t1) - h1 * t2,
        )

    def _weights(self, eta: Vector) -> Vector:
        """Information of the count before it is truncated."""
        return -self._counts.derivatives(eta)[1]

    def sf(self, eta: Vector) -> Vector:
        """P(Y > y | eta)."""
        return np.minimum(self._counts.sf(eta) / self._zero.sf(eta), 1.0)

    def cdf(self, eta: Vector) -> Vector:
        """P(Y <= y | eta)."""
        return 1.0 - self.sf(eta)

    def moments(self, eta: Vector) -> tuple[Vector, Vector]:
        """Mean and variance of each count."""
        mean, variance = self._counts.moments(eta)
        there = self._zero.sf(eta)
        new = mean / there
        return new, np.maximum((variance + mean**2) / there - new**2, 1e-300)

    def ends(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Ones lie at the lower end."""
        return self.y == 1, np.zeros(self.n, bool)


class TruncatedCounts(Counts):
    """A family of counts that are never 0."""

    needs = "counts 1, 2, ..."

    def outside(self, y: Vector) -> NDArray[np.bool_]:
        """Which responses are no counts, or 0."""
        value: NDArray[np.bool_] = not_counts(y) | (y == 0)
        return value

    @property
    def fitted_is(self) -> str:
        """What fitted values and predictions are of."""
        return "the mean of the counts, before zeros are left out"


def first_event(rate: Vector, rng: np.random.Generator) -> Vector:
    """Where the first event of a Poisson process on (0, rate) is, given that there is one."""
    return np.minimum(-np.log1p(rng.uniform(size=rate.shape) * np.expm1(-rate)), rate)
