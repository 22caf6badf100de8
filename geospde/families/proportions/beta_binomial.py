"""Successes among trials whose probability varies, beta-binomial."""

from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, expit

from geospde.families.jets import composed, log_rising, log_rising_jet, plus, shifted
from geospde.families.likelihood import Derivatives, Likelihood, Parameter, Vector, probability
from geospde.families.links import Jet, ProbabilityLink
from geospde.families.priors import Gaussian
from geospde.families.proportions.binomial import OfTrials


class BetaBinomialLikelihood(Likelihood):
    """Successes whose probability is beta of mean mu and a + b = s = (1 - rho) / rho; theta = logit rho.

    A log density of ``log C + R(a, y) + R(b, trials - y) - R(s, trials)``, R(a, y) being log(gamma(a + y) / gamma(a)).
    """

    link: ProbabilityLink

    hyper: ClassVar[tuple[Parameter, ...]] = (
        Parameter("overdispersion", "probability", Gaussian(0.0, 0.4, "logit"), -2.0, probability),
    )
    dispersion = "overdispersion"

    @cached_property
    def _constant(self) -> Vector:
        choose = -np.log1p(self.trials) - betaln(self.y + 1, self.trials - self.y + 1)
        values: Vector = choose - log_rising(-self.theta[0], self.trials)
        return values

    def _parts(self, eta: Vector) -> list[tuple[Jet, Jet]]:
        """For a and b: jets of the log of each in eta, and of R in that log."""
        jets = self.link.log_probability(eta), self.link.log_complement(eta)
        counts = self.y, self.trials - self.y
        return [(jet, log_rising_jet(jet[0] - self.theta[0], y)) for jet, y in zip(jets, counts)]

    def _jet(self, eta: Vector) -> Jet:
        a, b = self._parts(eta)
        return plus(composed(a[1], a[0]), composed(b[1], b[0]))

    def _log_density(self, eta: Vector) -> Vector:
        a, b = (jet(eta)[0] - self.theta[0] for jet in (self.link.log_probability, self.link.log_complement))
        return self._constant + log_rising(a, self.y) + log_rising(b, self.trials - self.y)

    def _derivatives(self, eta: Vector) -> Derivatives:
        return self._jet(eta)[1:]

    def _theta_derivatives(self, eta: Vector) -> Derivatives:
        slope, first, second = shifted(self._parts(eta))
        return (log_rising_jet(-self.theta[0], self.trials)[1] + slope)[None], first[None], second[None]

    def _weights(self, eta: Vector) -> Vector:
        """Information of a binomial share with this variance."""
        p, q = self.link.log_probability(eta), self.link.log_complement(eta)
        return -self.trials * p[1] * q[1] / self._inflation

    @property
    def _inflation(self) -> Vector:
        """Variance over that of a binomial."""
        values: Vector = 1 + (self.trials - 1) * expit(self.theta[0])
        return values

    def _probability(self, eta: Vector, k: int) -> Vector:
        """P(Y = k | eta)."""
        inside = k <= self.trials
        y = np.where(inside, float(k), 0.0)
        choose = -np.log1p(self.trials) - betaln(y + 1, self.trials - y + 1)
        a = self.link.log_probability(eta)[0] - self.theta[0]
        b = self.link.log_complement(eta)[0] - self.theta[0]
        total = choose + log_rising(a, y) + log_rising(b, self.trials - y)
        return np.where(inside, np.exp(total - log_rising(-self.theta[0], self.trials)), 0.0)

    def cdf(self, eta: Vector) -> Vector:
        """P(Y <= y | eta), the sum of its probabilities."""
        total = np.zeros_like(eta)
        for k in range(int(self.y.max()) + 1):
            total = total + np.where(k <= self.y, self._probability(eta, k), 0.0)
        return np.minimum(total, 1.0)

    def sf(self, eta: Vector) -> Vector:
        """P(Y > y | eta), the sum of its probabilities."""
        total = np.zeros_like(eta)
        for k in range(int(self.y.min()) + 1, int(self.trials.max()) + 1):
            total = total + np.where(k > self.y, self._probability(eta, k), 0.0)
        return np.minimum(total, 1.0)

    def moments(self, eta: Vector) -> tuple[Vector, Vector]:
        """Mean and variance of each number of successes."""
        p, q = (np.exp(jet(eta)[0]) for jet in (self.link.log_probability, self.link.log_complement))
        return self.trials * p, self.trials * p * q * self._inflation

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta."""
        mean, size = self.link.inverse(eta), np.exp(-self.theta[0])
        share = rng.beta(np.maximum(mean * size, 1e-300), np.maximum((1 - mean) * size, 1e-300))
        return rng.binomial(self.trials.astype(int), share).astype(float)

    def start(self) -> Vector:
        """A rough eta to start from."""
        return self.link.forward((self.y + 0.5) / (self.trials + 1))

    def ends(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """No success lies at the lower end, no failure at the upper one."""
        return self.y == 0, self.y == self.trials


class BetaBinomial(OfTrials):
    """Successes among trials that scatter more than binomial ones: ``p(successes, trials)`` on the left of a formula.

    The probability of each row is beta distributed about mu, the inverse link of eta: the variance is
    trials mu (1 - mu) (1 + (trials - 1) `overdispersion`), as R-INLA parametrises it. The prior of its logit is
    Gaussian with mean 0 and precision 0.4. Links: as of the binomial. Fitted values are probabilities.

    Examples
    --------
    >>> herds = BetaBinomial().bind([3, 0], trials=[10, 1]).at(np.array([-1.0]))
    >>> herds.log_density(np.array([0.0, 0.0])).round(4)
    array([-2.2913, -0.6931])
    """

    name = "betabinomial"
    words = "a beta-binomial"
    likelihood = BetaBinomialLikelihood
    first_choice_for = ("outliers",)
