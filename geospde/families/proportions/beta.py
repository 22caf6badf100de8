"""Proportions between 0 and 1."""

from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaincc, digamma, gammaln

from geospde.families.base import Candidate, Family
from geospde.families.jets import composed, plus, shifted, tetragamma, trigamma
from geospde.families.likelihood import Derivatives, Likelihood, Parameter, Vector
from geospde.families.links import PROBABILITY_LINKS, Jet, Link, ProbabilityLink
from geospde.families.priors import GammaPositive


class BetaLikelihood(Likelihood):
    """Proportions of mean mu = inverse link(eta) and variance mu (1 - mu) / (1 + phi); theta = log phi.

    The two parameters a = mu phi and b = (1 - mu) phi enter through their logarithms, of which both link and
    gamma function keep their derivatives however small a and b are.
    """

    link: ProbabilityLink

    hyper: ClassVar[tuple[Parameter, ...]] = (Parameter("phi", "shape", GammaPositive(1.0, 0.1), float(np.log(10.0))),)
    dispersion = "phi"

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
        total: Vector = gammaln(np.exp(self.theta[0])) - sum(self._logs)
        for jet, log_y in zip((self.link.log_probability, self.link.log_complement), self._logs):
            total = total - _log_gamma(jet(eta)[0] + self.theta[0], log_y)
        return total

    def _derivatives(self, eta: Vector) -> Derivatives:
        a, b = (composed(h, log) for log, h in self._parts(eta))
        _, first, second, third = plus(a, b)
        return -first, -second, -third

    def _theta_derivatives(self, eta: Vector) -> Derivatives:
        phi = np.exp(self.theta[0])
        slope, first, second = shifted(self._parts(eta))
        return (phi * digamma(phi) + slope)[None], first[None], second[None]

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
        values: Vector = betainc(np.maximum(a, 1e-300), np.maximum(b, 1e-300), self.y)
        return values

    def sf(self, eta: Vector) -> Vector:
        """P(Y > y | eta)."""
        phi = np.exp(self.theta[0])
        a, b = (phi * np.exp(jet(eta)[0]) for jet in (self.link.log_probability, self.link.log_complement))
        values: Vector = betaincc(np.maximum(a, 1e-300), np.maximum(b, 1e-300), self.y)
        return values

    def moments(self, eta: Vector) -> tuple[Vector, Vector]:
        """Mean and variance of each response."""
        p, q = (np.exp(jet(eta)[0]) for jet in (self.link.log_probability, self.link.log_complement))
        return p, p * q / (1 + np.exp(self.theta[0]))

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta; what rounds to 0 or 1 is the number next to it."""
        phi, mean = np.exp(self.theta[0]), self.link.inverse(eta)
        values: Vector = rng.beta(np.maximum(mean * phi, 1e-300), np.maximum((1 - mean) * phi, 1e-300))
        return np.clip(values, 1e-100, np.nextafter(1.0, 0.0))

    def start(self) -> Vector:
        """A rough eta to start from."""
        return self.link.forward(np.clip(self.y, 0.01, 0.99))


def _log_gamma(t: Vector, log_y: Vector) -> Vector:
    """``log gamma(a) - a log(y)`` at ``t = log(a)``."""
    near, a = _not_too_small(t)
    values: Vector = gammaln(a) + near - t - a * log_y
    return values


def _log_gamma_jet(t: Vector, log_y: Vector) -> Jet:
    """`_log_gamma` and its first three derivatives in t."""
    a = _not_too_small(t)[1]
    pull = a * log_y
    first, second, third = a * digamma(a), a**2 * trigamma(a), a**3 * tetragamma(a)
    return _log_gamma(t, log_y), first - pull, first + second - pull, first + 3 * second + third - pull


def _not_too_small(t: Vector) -> tuple[Vector, Vector]:
    """Both t and a where log gamma(a) is more than -t, which it is below."""
    near = np.maximum(t, -100.0)
    with np.errstate(over="ignore"):
        return near, np.exp(near)


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
    words = "a beta"
    links: ClassVar[tuple[Link, ...]] = PROBABILITY_LINKS
    likelihood = BetaLikelihood
    needs = "values above 0 and below 1"
    without_exposure = "a proportion has none"

    def outside(self, y: Vector) -> NDArray[np.bool_]:
        """Which responses are not strictly between 0 and 1."""
        return ~((y > 0) & (y < 1))

    @classmethod
    def suggested_by(cls, candidate: Candidate) -> tuple[Family, str] | None:
        """Values between 0 and 1, not all of them small unless they are called proportions."""
        y = candidate.values
        if 0 < y.min() and y.max() < 1 and (y.max() > 0.1 or candidate.named_proportions):
            return cls(), f"{candidate.described}, all between 0 and 1: proportions."
        return None
