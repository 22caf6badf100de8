"""Families of proportions: binomial and Bernoulli, beta."""

from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaln, digamma, gammaln, polygamma

from geospde.errors import InputError
from geospde.families.base import Derivatives, Family, Observations, Parameter, Vector, not_counts, refuse
from geospde.families.links import PROBABILITY_LINKS, Jet, Link
from geospde.families.priors import GammaPositive


class BinomialObservations(Observations):
    """Successes among trials, of probability ``inverse link(eta)``."""

    @cached_property
    def _constant(self) -> Vector:
        return -np.log1p(self.trials) - betaln(self.y + 1, self.trials - self.y + 1)

    def _jets(self, eta: Vector) -> tuple[Jet, Jet]:
        return self.link.log_probability(eta), self.link.log_complement(eta)

    def _log_density(self, eta: Vector) -> Vector:
        p, q = self._jets(eta)
        return self._constant + _times(self.y, p[0]) + _times(self.trials - self.y, q[0])

    def _derivatives(self, eta: Vector) -> Derivatives:
        p, q = self._jets(eta)
        first, second, third = (
            _times(self.y, a) + _times(self.trials - self.y, b) for a, b in zip(p[1:], q[1:])
        )
        return first, second, third

    def _weights(self, eta: Vector) -> Vector:
        """Expected information: trials p'² / (p (1 - p)) = -trials (log p)' (log (1 - p))'."""
        p, q = self._jets(eta)
        return -self.trials * p[1] * q[1]

    def cdf(self, eta: Vector) -> Vector:
        """P(Y <= y | eta)."""
        failures = self.trials - self.y
        below = betainc(np.maximum(failures, 0.5), self.y + 1, np.exp(self.link.log_complement(eta)[0]))
        return np.where(failures > 0, below, 1.0)

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta."""
        return rng.binomial(self.trials.astype(int), self.link.inverse(eta)).astype(float)

    def start(self) -> Vector:
        """A rough eta to start from."""
        return self.link.forward((self.y + 0.5) / (self.trials + 1))

    def end(self) -> str | None:
        """``"lower"`` where there is no success, ``"upper"`` where there is no failure."""
        return "lower" if not self.y.any() else "upper" if (self.y == self.trials).all() else None


def _times(count: Vector, value: Vector) -> Vector:
    """The product, 0 where the count is 0 whatever the value."""
    return np.where(count > 0, count * np.where(count > 0, value, 0.0), 0.0)


class BetaObservations(Observations):
    """Proportions of mean mu = inverse link(eta) and variance mu (1 - mu) / (1 + phi); theta = log phi.

    The two parameters a = mu phi and b = (1 - mu) phi enter through their logarithms, of which both link and
    gamma function keep their derivatives however small a and b are.
    """

    hyper: ClassVar[tuple[Parameter, ...]] = (
        Parameter("phi", "shape", GammaPositive(1.0, 0.1), float(np.log(10.0))),
    )

    @cached_property
    def _logs(self) -> tuple[Vector, Vector]:
        return np.log(self.y), np.log1p(-self.y)

    def _parts(self, eta: Vector) -> list[tuple[Jet, Jet]]:
        """For a and b: jets of the log of each in eta, and of ``log gamma(a) - a log(y)`` in log(a)."""
        parts = []
        for jet, log_y in zip((self.link.log_probability(eta), self.link.log_complement(eta)), self._logs):
            parts.append((jet, _log_gamma_jet(jet[0] + self.theta[0], log_y)))
        return parts

    def _log_density(self, eta: Vector) -> Vector:
        total = gammaln(np.exp(self.theta[0])) - sum(self._logs)
        for _, h in self._parts(eta):
            total = total - h[0]
        return total

    def _derivatives(self, eta: Vector) -> Derivatives:
        first, second, third = np.zeros_like(eta), np.zeros_like(eta), np.zeros_like(eta)
        for (_, l1, l2, l3), (_, h1, h2, h3) in self._parts(eta):
            first = first - h1 * l1
            second = second - h2 * l1**2 - h1 * l2
            third = third - h3 * l1**3 - 3 * h2 * l1 * l2 - h1 * l3
        return first, second, third

    def _theta_derivatives(self, eta: Vector) -> Derivatives:
        phi = np.exp(self.theta[0])
        density, first, second = phi * digamma(phi) + np.zeros_like(eta), np.zeros_like(eta), np.zeros_like(eta)
        for (_, l1, l2, _), (_, h1, h2, h3) in self._parts(eta):
            density = density - h1
            first = first - h2 * l1
            second = second - h3 * l1**2 - h2 * l2
        return density[None], first[None], second[None]

    def _weights(self, eta: Vector) -> Vector:
        """Expected information: a² trigamma(a) ((log a)')², and the same of b."""
        total = np.zeros_like(eta)
        for (_, l1, _, _), (_, h1, h2, _) in self._parts(eta):
            total = total + (h2 - h1) * l1**2
        return total

    def cdf(self, eta: Vector) -> Vector:
        """P(Y <= y | eta)."""
        phi = np.exp(self.theta[0])
        a, b = (phi * np.exp(jet(eta)[0]) for jet in (self.link.log_probability, self.link.log_complement))
        return betainc(np.maximum(a, 1e-300), np.maximum(b, 1e-300), self.y)

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta."""
        phi, mean = np.exp(self.theta[0]), self.link.inverse(eta)
        return rng.beta(np.maximum(mean * phi, 1e-300), np.maximum((1 - mean) * phi, 1e-300))

    def start(self) -> Vector:
        """A rough eta to start from."""
        return self.link.forward(np.clip(self.y, 0.01, 0.99))


def _log_gamma_jet(t: Vector, log_y: Vector) -> Jet:
    """``log gamma(a) - a log(y)`` and its first three derivatives in ``t = log(a)``."""
    near = np.maximum(t, -100.0)  # below it log gamma(a) is -t
    with np.errstate(over="ignore"):
        a = np.exp(near)
    pull = a * log_y
    second, third = a**2 * polygamma(1, a), a**3 * polygamma(2, a)
    first = a * digamma(a)
    return (
        gammaln(a) + near - t - pull,
        first - pull,
        first + second - pull,
        first + 3 * second + third - pull,
    )


class Binomial(Family):
    """Successes among trials: ``p(successes, trials)`` on the left of a formula, or 0 and 1 alone.

    Links: logit, probit, cloglog, loglog, cauchit. Fitted values are probabilities.

    Examples
    --------
    >>> herds = Binomial().bind([3, 0], trials=[10, 1])
    >>> herds.log_density(np.array([0.0, 0.0])).round(4)
    array([-2.144 , -0.6931])
    """

    name = "binomial"
    links: ClassVar[tuple[Link, ...]] = PROBABILITY_LINKS
    observations = BinomialObservations
    needs = "successes 0, 1, 2, ..."
    takes_trials = True
    without_exposure = "give the number of trials as p(successes, trials) on the left of the formula"

    def outside(self, y: Vector) -> NDArray[np.bool_]:
        """Which responses are no counts."""
        return not_counts(y)

    def _check(self, bound: Observations) -> None:
        refuse(self.name, "trials 1, 2, ...", bound.trials, not_counts(bound.trials) | (bound.trials < 1))
        rows = np.flatnonzero(bound.y > bound.trials)
        if rows.size:
            row = rows[0]
            hint = "; is it p(successes, trials)?" if (bound.trials == 1).all() else ""
            raise InputError(
                f"family {self.name!r} needs at most as many successes as trials: row {row} holds "
                f"{bound.y[row]:g} of {bound.trials[row]:g}{hint}"
            )


class Bernoulli(Family):
    """Zeros and ones, with the links of the binomial. Fitted values are probabilities.

    Examples
    --------
    >>> Bernoulli("probit").bind([1, 0]).log_density(np.array([0.0, 3.0])).round(4)
    array([-0.6931, -6.6077])
    """

    name = "bernoulli"
    links: ClassVar[tuple[Link, ...]] = PROBABILITY_LINKS
    observations = BinomialObservations
    needs = "zeros and ones"
    without_exposure = "counts of successes are of family 'binomial', p(successes, trials)"

    def outside(self, y: Vector) -> NDArray[np.bool_]:
        """Which responses are neither 0 nor 1."""
        return ~((y == 0) | (y == 1))


class Beta(Family):
    """Proportions strictly between 0 and 1, of mean mu and variance mu (1 - mu) / (1 + phi).

    Links: as of the binomial. The prior of `phi` is Gamma(1, rate 0.1), as R-INLA's ``loggamma(1, 0.1)``.

    Examples
    --------
    >>> cover = Beta().bind([0.2, 0.5]).at(np.log([2.0]))
    >>> cover.log_density(np.array([0.0, 0.0])).round(4) + 0.0
    array([0., 0.])
    """

    name = "beta"
    links: ClassVar[tuple[Link, ...]] = PROBABILITY_LINKS
    observations = BetaObservations
    needs = "values above 0 and below 1"
    without_exposure = "a proportion has none"

    def outside(self, y: Vector) -> NDArray[np.bool_]:
        """Which responses are not strictly between 0 and 1."""
        return ~((y > 0) & (y < 1))
