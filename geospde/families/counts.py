"""Families of counts: Poisson and negative binomial, plain and zero-inflated."""

from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaln, digamma, expit, gammaln, log_expit, pdtr

from geospde.families.base import Derivatives, Family, Observations, Parameter, Vector, not_counts, probability
from geospde.families.links import LOG, Link
from geospde.families.priors import Gaussian, PCSize

SIZE = Parameter("size", "size", PCSize(7.0), float(np.log(10.0)))
ZERO = Parameter("p0", "probability", Gaussian(-1.0, 0.2, "logit"), -1.0, probability)


class CountObservations(Observations):
    """Counts with a mean of ``exposure * exp(eta)``, or a mixture with such a part."""

    def start(self) -> Vector:
        """A rough eta to start from."""
        return np.log((self.y + 0.5) / self.exposure)

    def end(self) -> str | None:
        """``"lower"`` where every count is zero."""
        return None if self.y.any() else "lower"


class PoissonObservations(CountObservations):
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


class NegativeBinomialObservations(CountObservations):
    """Counts with mean ``mu = exposure * exp(eta)`` and variance ``mu + mu² / size``; theta = log size.

    Written in ``z = log(mu / size)``: with p = expit(z), the log density is that of y failures of probability p.
    """

    hyper: ClassVar[tuple[Parameter, ...]] = (SIZE,)

    @cached_property
    def _shift(self) -> Vector:
        return np.log(self.exposure) - self.theta[0]

    @cached_property
    def _constant(self) -> Vector:
        """Log of gamma(y + n) / (gamma(n) y!)."""
        return _log_rising(float(np.exp(self.theta[0])), self.y) - gammaln(self.y + 1)

    @cached_property
    def _slope(self) -> Vector:
        """Its derivative in theta."""
        return _rising_slope(float(np.exp(self.theta[0])), self.y)

    def _log_density(self, eta: Vector) -> Vector:
        z = eta + self._shift
        return self._constant + np.exp(self.theta[0]) * log_expit(-z) + self.y * log_expit(z)

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
        return betainc(np.exp(self.theta[0]), self.y + 1, expit(-eta - self._shift))

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta."""
        size = np.exp(self.theta[0])
        return rng.poisson(rng.gamma(size, self.exposure * np.exp(eta) / size)).astype(float)


def _log_rising(n: float, y: Vector) -> Vector:
    """Log of gamma(n + y) / gamma(n), where both are large by Stirling's series."""
    if n < 1e5:
        return gammaln(y + 1) - betaln(n, y + 1) - np.log(n + y)
    return y * np.log(n) + (n + y - 0.5) * np.log1p(y / n) - y - y / (12 * n * (n + y))


def _rising_slope(n: float, y: Vector) -> Vector:
    """Derivative of `_log_rising` in log n."""
    if n < 1e5:
        return n * (digamma(n + y) - digamma(n))
    return n * np.log1p(y / n) + y / (2 * (n + y)) + y * (2 * n + y) / (12 * n * (n + y) ** 2)


class ZeroInflated(CountObservations):
    """Zero with probability p0, else a count of `_counts`; the last theta is logit p0.

    With f the log density of a count of zero and q its share in an observed zero, ``log(p0 + (1 - p0) exp(f))`` has
    the derivatives of a mixture: q f', q f'' + q (1 - q) f'², ...
    """

    counts: ClassVar[type[Observations]]

    @cached_property
    def _counts(self) -> Observations:
        return self.counts(
            self.y, self.exposure, self.trials, np.ones(self.n), self.link, self.prior, self.theta[:-1]
        )

    @cached_property
    def _zero(self) -> NDArray[np.bool_]:
        return self.y == 0

    def _share(self, eta: Vector) -> tuple[Vector, Vector]:
        """Probability that the observation is a count, and that times the probability that it is not."""
        odds = self._counts.log_density(eta) - self.theta[-1]
        zero = np.broadcast_to(self._zero, odds.shape)
        return np.where(zero, expit(odds), 1.0), np.where(zero, expit(odds) * expit(-odds), 0.0)

    def _log_density(self, eta: Vector) -> Vector:
        f = self._counts.log_density(eta)
        return log_expit(-self.theta[-1]) + np.where(self._zero, np.logaddexp(self.theta[-1], f), f)

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
        return p0 + (1 - p0) * self._counts.cdf(eta)

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta."""
        there = rng.uniform(size=eta.shape) >= expit(self.theta[-1])
        return np.where(there, self._counts.draw(eta, rng), 0.0)

    def first_theta(self) -> Vector:
        """Where the search starts: p0 from the zeros beyond those of a Poisson with the mean of the rest."""
        theta = super().first_theta()
        zeros = float(self._zero.mean())
        rest = float(self.y[~self._zero].mean()) if zeros < 1 else 1.0
        excess = (zeros - np.exp(-rest)) / (1 - np.exp(-rest))
        theta[-1] = np.log(np.clip(excess, 0.05, 0.95) / (1 - np.clip(excess, 0.05, 0.95)))
        return theta


class ZeroInflatedPoissonObservations(ZeroInflated):
    """Zero with probability p0, else Poisson; theta = logit p0."""

    counts = PoissonObservations
    hyper = (ZERO,)


class ZeroInflatedNegativeBinomialObservations(ZeroInflated):
    """Zero with probability p0, else negative binomial; theta = (log size, logit p0)."""

    counts = NegativeBinomialObservations
    hyper = (SIZE, ZERO)


class Counts(Family):
    """What the families of counts share."""

    links: ClassVar[tuple[Link, ...]] = (LOG,)
    needs = "counts 0, 1, 2, ..."
    has_exposure = True

    def outside(self, y: Vector) -> NDArray[np.bool_]:
        """Which responses are no counts."""
        return not_counts(y)


class Poisson(Counts):
    """Poisson counts, log link; `exposure` multiplies the mean.

    Examples
    --------
    >>> counts = Poisson().bind([3, 0], exposure=[2.0, 1.0])
    >>> counts.log_density(np.array([0.0, 0.0])).round(4)
    array([-1.7123, -1.    ])
    """

    name = "poisson"
    observations = PoissonObservations


class NegativeBinomial(Counts):
    """Negative binomial counts of mean mu = exposure × exp(eta) and variance mu + mu² / size, log link.

    `size` does not grow with the exposure (R-INLA's variant 0). Its prior is R-INLA's ``pc.mgamma`` of rate 7.

    Examples
    --------
    >>> counts = NegativeBinomial().bind([3, 0]).at(np.log([2.0]))
    >>> counts.log_density(np.array([0.0, 0.0])).round(4)
    array([-2.7205, -0.8109])
    """

    name = "nbinomial"
    observations = NegativeBinomialObservations


class ZeroInflatedPoisson(Counts):
    """Zero with probability `p0`, else Poisson of mean exposure × exp(eta), log link (R-INLA's type 1).

    The prior of logit(p0) is Gaussian with mean -1 and precision 0.2. Fitted values are means of the Poisson part;
    times 1 - p0 they are means of the response.

    Examples
    --------
    >>> counts = ZeroInflatedPoisson().bind([3, 0]).at(np.array([-1.0]))
    >>> counts.log_density(np.array([0.0, 0.0])).round(4)
    array([-3.105 , -0.6201])
    """

    name = "zeroinflatedpoisson1"
    observations = ZeroInflatedPoissonObservations


class ZeroInflatedNegativeBinomial(Counts):
    """Zero with probability `p0`, else negative binomial of mean exposure × exp(eta) and `size`, log link.

    R-INLA's type 1, with its priors: ``pc.mgamma`` of rate 7 on the size, logit(p0) Gaussian with mean -1 and
    precision 0.2. Fitted values are means of the negative binomial part.
    """

    name = "zeroinflatednbinomial1"
    observations = ZeroInflatedNegativeBinomialObservations
