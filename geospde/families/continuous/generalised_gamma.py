"""Positive values, generalised gamma."""

from dataclasses import replace
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
from scipy.special import gammainc, gammaincc, gammaln, ndtr

from geospde.families.continuous.positive import Positive
from geospde.families.likelihood import Derivatives, Likelihood, Parameter, Vector, scaled, spread, unchanged
from geospde.families.links import HALF_LOG_2PI, IDENTITY, INVERSE, LOG, Link
from geospde.families.priors import Gaussian, LogGamma

NORMAL = 1e-5  # |Q| below which tails are those of the lognormal


class GeneralisedGammaLikelihood(Likelihood):
    """Positive values of mean exp(eta); with ``w = (log y - m) / sigma``, exp(Q w) / Q² is gamma of shape 1 / Q².

    theta = (log sigma, Q). At Q = 0, where it is lognormal, every form below is a limit that is taken by series.
    """

    hyper: ClassVar[tuple[Parameter, ...]] = (
        Parameter("sigma", "sd", LogGamma(1.0, 5e-5), 0.0),
        Parameter("Q", "real", Gaussian(0.0, 1.0, "natural"), 0.5, unchanged),
    )

    def at(self, theta: Vector) -> Self:
        """The same observations with these hyperparameters; raises FloatingPointError where there is no mean."""
        theta = np.asarray(theta, dtype=float)
        if not np.exp(min(theta[0], 100.0)) * theta[1] > -1:
            raise FloatingPointError(f"a generalised gamma of log sigma and Q {theta} has no mean")
        return super().at(theta)

    @cached_property
    def _logs(self) -> Vector:
        return np.log(self.y)

    @property
    def _sigma(self) -> float:
        return float(np.exp(self.theta[0]))

    @property
    def _q(self) -> float:
        return float(self.theta[1])

    @cached_property
    def _shift(self) -> float:
        """The log of the mean, less m."""
        e = self._sigma * self._q
        more = _stirling(_over_square(self._q)) - _stirling(_over_square(self._q) * (1 + e))
        return self._sigma**2 * _bend(e) - 0.5 * float(np.log1p(e)) - more

    def _score(self, eta: Vector) -> Vector:
        return (self._logs - eta + self._shift) / self._sigma

    def _log_density(self, eta: Vector) -> Vector:
        w = self._score(eta)
        constant = self.theta[0] + HALF_LOG_2PI + _stirling(_over_square(self._q))
        values: Vector = -constant - self._logs - w**2 * _second(self._q * w)
        return values

    def _derivatives(self, eta: Vector) -> Derivatives:
        z, s = self._q * self._score(eta), self._sigma
        with np.errstate(over="ignore"):
            growth = np.exp(z)
        return self._score(eta) * _first(z) / s, -growth / s**2, self._q * growth / s**3

    def _weights(self, eta: Vector) -> Vector:
        return np.full_like(eta, self._sigma**-2)

    def _tails(self, eta: Vector) -> tuple[Vector, Vector]:
        w, q = self._score(eta), self._q
        if abs(q) < NORMAL:
            return ndtr(w), ndtr(-w)
        with np.errstate(over="ignore"):
            scaled = np.exp(q * w) / q**2
        below, above = gammainc(1 / q**2, scaled), gammaincc(1 / q**2, scaled)
        return (below, above) if q > 0 else (above, below)

    def cdf(self, eta: Vector) -> Vector:
        """P(Y <= y | eta)."""
        return self._tails(eta)[0]

    def sf(self, eta: Vector) -> Vector:
        """P(Y > y | eta)."""
        return self._tails(eta)[1]

    def flow(self) -> Vector:
        """Of the logarithm of a scale: y."""
        return self.y

    def moments(self, eta: Vector) -> tuple[Vector, Vector]:
        """Mean and variance of each response; the variance is infinite for a Q of -1 / (2 sigma) and below."""
        mean, e = self.link.inverse(eta), self._sigma * self._q
        if 2 * e <= -1:
            return mean, np.full_like(mean, np.inf)
        k = _over_square(self._q)
        log_second = (
            4 * self._sigma**2 * _bend(2 * e) - 0.5 * np.log1p(2 * e) - _stirling(k) + _stirling(k * (1 + 2 * e))
        )
        return mean, mean**2 * np.expm1(log_second - 2 * self._shift)

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta."""
        if abs(self._q) < NORMAL:
            w = rng.standard_normal(eta.shape)
        else:
            w = (np.log(rng.gamma(self._q**-2, size=eta.shape)) + 2 * np.log(abs(self._q))) / self._q
        return np.exp(eta - self._shift + self._sigma * w)

    def less_offset(self, offset: Vector) -> Self:
        """Values over exp(offset)."""
        return replace(self, y=scaled(self.y, -offset))

    def start(self) -> Vector:
        """A rough eta to start from."""
        return self._logs

    def first_theta(self) -> Vector:
        """Where the search starts: half of the logarithm's variance is the residual's."""
        return np.array([np.log(spread(self._logs, self.weights) / np.sqrt(2)), self.hyper[1].start])


def _over_square(q: float) -> float:
    """1 / q², finite."""
    return 1 / max(q**2, 1e-300)


def _stirling(k: float) -> float:
    """Log gamma(k) less Stirling's ``(k - 1/2) log k - k + log(2 pi) / 2``."""
    if k > 30:
        u = 1 / k
        return u / 12 - u**3 / 360 + u**5 / 1260
    return float(gammaln(k) - (k - 0.5) * np.log(k) + k - HALF_LOG_2PI)


def _bend(e: float) -> float:
    """``((1 + e) log(1 + e) - e) / e²``, by its series where e is small."""
    if abs(e) > 0.02:
        return ((1 + e) * float(np.log1p(e)) - e) / e**2
    return sum((-e) ** k / ((k + 1) * (k + 2)) for k in range(12))


def _first(z: Vector) -> Vector:
    """``(exp(z) - 1) / z``."""
    small = np.abs(z) < 1e-12
    with np.errstate(over="ignore"):
        return np.where(small, 1.0, np.expm1(z) / np.where(small, 1.0, z))


def _second(z: Vector) -> Vector:
    """``(exp(z) - 1 - z) / z²``, by its series where z is small."""
    small = np.abs(z) < 0.1
    near = np.where(small, z, 0.0)
    series = sum(near**k / float(np.exp(gammaln(k + 3))) for k in range(11))
    with np.errstate(over="ignore"):
        return np.where(small, series, (np.expm1(z) - z) / np.where(small, 1.0, z) ** 2)


class GeneralisedGamma(Positive):
    """Positive values of mean exp(eta), spread `sigma` and shape `Q`, log link (Prentice 1974).

    Gamma where Q = sigma, Weibull where Q = 1, lognormal where Q = 0; the tail to the right is the longer the smaller
    Q. The prior of 1 / sigma² is Gamma(1, rate 5e-5), that of Q a standard Gaussian.

    Prentice (1974), Biometrika 61, 539-544.

    Examples
    --------
    >>> values = GeneralisedGamma().bind([1.0, 2.0]).at(np.array([0.0, 1.0]))  # exponential
    >>> values.log_density(np.array([0.0, 0.0])).round(4)
    array([-1., -2.])
    """

    name = "gengamma"
    aliases = ("generalisedgamma", "generalizedgamma")
    words = "a generalised gamma"
    links: ClassVar[tuple[Link, ...]] = (LOG, INVERSE, IDENTITY)
    likelihood = GeneralisedGammaLikelihood
