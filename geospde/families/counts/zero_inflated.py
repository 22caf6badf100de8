"""What zero-inflated counts share: zeros beside those of a family of counts."""

from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit

from geospde.families.counts.shared import CountLikelihood, Counts
from geospde.families.likelihood import Derivatives, Likelihood, Parameter, Vector, probability
from geospde.families.priors import Gaussian

ZERO = Parameter("p0", "probability", Gaussian(-1.0, 0.2, "logit"), -1.0, probability)


class ZeroInflated(CountLikelihood):
    """Zero with probability p0, else a count of `_counts`; the last theta is logit p0.

    With f the log density of a count of zero and q its share in an observed zero, ``log(p0 + (1 - p0) exp(f))`` has
    the derivatives of a mixture: q f', q f'' + q (1 - q) f'², ...
    """

    counts: ClassVar[type[Likelihood]]

    @cached_property
    def _counts(self) -> Likelihood:
        return self.counts(self.y, self.exposure, self.trials, np.ones(self.n), self.link, self.prior, self.theta[:-1])

    @cached_property
    def _zero(self) -> NDArray[np.bool_]:
        value: NDArray[np.bool_] = self.y == 0
        return value

    def _share(self, eta: Vector) -> tuple[Vector, Vector]:
        """Probability that the observation is a count, and that times the probability that it is not."""
        odds = self._counts.log_density(eta) - self.theta[-1]
        zero = np.broadcast_to(self._zero, odds.shape)
        return np.where(zero, expit(odds), 1.0), np.where(zero, expit(odds) * expit(-odds), 0.0)

    def _log_density(self, eta: Vector) -> Vector:
        f = self._counts.log_density(eta)
        values: Vector = log_expit(-self.theta[-1]) + np.where(self._zero, np.logaddexp(self.theta[-1], f), f)
        return values

    def _counts_derivatives(self, eta: Vector, share: Vector) -> Derivatives:
        """Derivatives of the counts' log density; 0 where they have no share, as they may overflow there."""
        first, second, third = self._counts.derivatives(eta)
        return np.where(share > 0, first, 0.0), np.where(share > 0, second, 0.0), np.where(share > 0, third, 0.0)

    def _derivatives(self, eta: Vector) -> Derivatives:
        q, r = self._share(eta)
        first, second, third = self._counts_derivatives(eta, q)
        return (
            q * first,
            q * second + r * first**2,
            q * third + 3 * r * first * second + r * (1 - 2 * q) * first**3,
        )

    def _theta_derivatives(self, eta: Vector) -> Derivatives:
        q, r = self._share(eta)
        first, second, _ = self._counts_derivatives(eta, q)
        skew = r * (1 - 2 * q)
        density = [1 - q - expit(self.theta[-1])]
        of_first = [-r * first]
        of_second = [-r * second - skew * first**2]
        if self.counts.hyper:
            f, f1, f2 = (np.where(q > 0, part, 0.0) for part in self._counts.theta_derivatives(eta))
            density = [*(q * f), *density]
            of_first = [*(q * f1 + r * first * f), *of_first]
            of_second = [
                *(q * f2 + r * (second * f + 2 * first * f1) + skew * first**2 * f),
                *of_second,
            ]
        return np.array(density), np.array(of_first), np.array(of_second)

    def _weights(self, eta: Vector) -> Vector:
        """Information of the count, times its share."""
        q, _ = self._share(eta)
        return -q * self._counts_derivatives(eta, q)[1]

    def cdf(self, eta: Vector) -> Vector:
        """P(Y <= y | eta)."""
        p0 = expit(self.theta[-1])
        values: Vector = p0 + (1 - p0) * self._counts.cdf(eta)
        return values

    def sf(self, eta: Vector) -> Vector:
        """P(Y > y | eta)."""
        values: Vector = expit(-self.theta[-1]) * self._counts.sf(eta)
        return values

    def moments(self, eta: Vector) -> tuple[Vector, Vector]:
        """Mean and variance of each response, its zeros included."""
        p0, q0 = expit(self.theta[-1]), expit(-self.theta[-1])
        mean, variance = self._counts.moments(eta)
        return q0 * mean, q0 * (variance + p0 * mean**2)

    def ends(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """A zero may be no count, so that none draws a coefficient away by itself."""
        nothing = np.zeros(self.n, bool)
        return nothing, nothing

    def end(self) -> str | None:
        """``"lower"`` where there is no count above zero."""
        return None if self.y.any() else "lower"

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta."""
        there = rng.uniform(size=eta.shape) >= expit(self.theta[-1])
        return np.where(there, self._counts.draw(eta, rng), 0.0)

    def first_theta(self) -> Vector:
        """Where the search starts: p0 from the zeros beyond those of a Poisson with the mean of the rest."""
        theta = super().first_theta()
        shares = self.weights / (self.weights.sum() or 1.0)
        zeros = float(shares @ self._zero)
        there = float(shares @ ~self._zero)  # not 1 - zeros, which rounding keeps from 0
        rest = float(shares @ self.y) / there if there > 0 else 1.0
        excess = (zeros - np.exp(-rest)) / (1 - np.exp(-rest))
        theta[-1] = np.log(np.clip(excess, 0.05, 0.95) / (1 - np.clip(excess, 0.05, 0.95)))
        return theta


class ZeroInflatedCounts(Counts):
    """A family of counts with zeros beside its own."""

    @property
    def fitted_is(self) -> str:
        """What fitted values and predictions are of."""
        return "the mean of the counts, before the zeros that are added to them"
