"""What counts behind a hurdle share: zeros of one probability, and counts without zeros."""

from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit

from geospde.families.counts.shared import CountLikelihood, Counts
from geospde.families.counts.truncated import Truncated
from geospde.families.likelihood import Derivatives, Vector


class Hurdle(CountLikelihood):
    """Zero with probability p0, else a count of `positive`, which is not 0; the last theta is logit p0."""

    positive: ClassVar[type[Truncated]]

    @cached_property
    def _zero(self) -> NDArray[np.bool_]:
        value: NDArray[np.bool_] = self.y == 0
        return value

    @cached_property
    def _positive(self) -> Truncated:
        """The counts, zeros standing as ones."""
        y, ones = np.maximum(self.y, 1.0), np.ones(self.n)
        return self.positive(y, self.exposure, self.trials, ones, self.link, self.prior, self.theta[:-1])

    def _log_density(self, eta: Vector) -> Vector:
        logit = self.theta[-1]
        values: Vector = np.where(self._zero, log_expit(logit), log_expit(-logit) + self._positive.log_density(eta))
        return values

    def _derivatives(self, eta: Vector) -> Derivatives:
        first, second, third = (np.where(self._zero, 0.0, part) for part in self._positive.derivatives(eta))
        return first, second, third

    def _theta_derivatives(self, eta: Vector) -> Derivatives:
        own = np.where(self._zero, expit(-self.theta[-1]), -expit(self.theta[-1]))
        density, first, second = (np.where(self._zero, 0.0, p) for p in self._positive.theta_derivatives(eta))
        nothing = np.zeros((1, self.n))
        return np.vstack([density, own]), np.vstack([first, nothing]), np.vstack([second, nothing])

    def _weights(self, eta: Vector) -> Vector:
        return np.where(self._zero, 0.0, self._positive._weights(eta))

    def cdf(self, eta: Vector) -> Vector:
        """P(Y <= y | eta)."""
        p0, q0 = expit(self.theta[-1]), expit(-self.theta[-1])
        values: Vector = np.where(self._zero, p0, p0 + q0 * self._positive.cdf(eta))
        return values

    def sf(self, eta: Vector) -> Vector:
        """P(Y > y | eta)."""
        q0 = expit(-self.theta[-1])
        values: Vector = np.where(self._zero, q0, q0 * self._positive.sf(eta))
        return values

    def moments(self, eta: Vector) -> tuple[Vector, Vector]:
        """Mean and variance of each response, its zeros included."""
        p0, q0 = expit(self.theta[-1]), expit(-self.theta[-1])
        mean, variance = self._positive.moments(eta)
        return q0 * mean, q0 * (variance + p0 * mean**2)

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta."""
        there = rng.uniform(size=eta.shape) >= expit(self.theta[-1])
        return np.where(there, self._positive.draw(eta, rng), 0.0)

    def ends(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Ones lie at the lower end; zeros say nothing of eta."""
        return self.y == 1, np.zeros(self.n, bool)

    def end(self) -> str | None:
        """``"lower"`` where there is no count above one."""
        return None if (self.y > 1).any() else "lower"

    def first_theta(self) -> Vector:
        """Where the search starts: p0 is the share of zeros."""
        theta = super().first_theta()
        share = np.clip(self.weights @ self._zero / (self.weights.sum() or 1.0), 0.02, 0.98)
        theta[-1] = np.log(share / (1 - share))
        return theta


class HurdleCounts(Counts):
    """A family of counts whose zeros are of their own."""

    @property
    def fitted_is(self) -> str:
        """What fitted values and predictions are of."""
        return "the mean of the counts that the positive ones are of, before zeros are left out"
