"""What counts without zeros share."""

from dataclasses import replace
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from geospde.families.base import not_counts
from geospde.families.counts.shared import CountLikelihood, Counts
from geospde.families.jets import composed, log_rest, minus
from geospde.families.likelihood import Derivatives, Likelihood, Vector
from geospde.families.links import Jet


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

    def _there(self, eta: Vector) -> Jet:
        """Log probability of no zero, in eta."""
        f = self._zero.log_density(eta)
        return composed(log_rest(f), (f, *self._zero.derivatives(eta)))

    def _log_density(self, eta: Vector) -> Vector:
        return self._counts.log_density(eta) - log_rest(self._zero.log_density(eta))[0]

    def _derivatives(self, eta: Vector) -> Derivatives:
        return minus((eta, *self._counts.derivatives(eta)), self._there(eta))[1:]

    def _theta_derivatives(self, eta: Vector) -> Derivatives:
        _, l1, l2, l3 = log_rest(self._zero.log_density(eta))
        first, second, _ = self._zero.derivatives(eta)
        (f, f1, f2), (z, z1, z2) = self._counts.theta_derivatives(eta), self._zero.theta_derivatives(eta)
        return (
            f - l1 * z,
            f1 - l2 * z * first - l1 * z1,
            f2 - l3 * z * first**2 - 2 * l2 * z1 * first - l2 * z * second - l1 * z2,
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
