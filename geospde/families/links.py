"""Links: monotone maps between the mean (per unit exposure) and the linear predictor.

McCullagh & Nelder (1989), Generalized Linear Models, section 4.3. A link of a probability also gives the logarithms
of both probabilities with three derivatives, which stay exact where the probability itself rounds to 0 or 1.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, expit, log_expit, log_ndtr, logit, ndtr, ndtri

from geospde.families.gauss_hermite import normal_nodes

__all__ = [
    "CAUCHIT", "CLOGLOG", "IDENTITY", "INVERSE", "LINKS", "LOG", "LOGIT", "LOGLOG", "PROBABILITY_LINKS", "PROBIT",
    "SQRT", "Link", "ProbabilityLink",
]  # fmt: skip

Vector = NDArray[np.float64]
Jet = tuple[Vector, Vector, Vector, Vector]  # a function and its first three derivatives
HALF_LOG_2PI = 0.5 * float(np.log(2 * np.pi))
FAR = 700.0  # exp of it is finite
POSITIVE = 0.05  # of its mean: what lies lower counts as no value of a predictor that is positive


@dataclass(frozen=True)
class Link:
    """A link by its functions.

    Attributes
    ----------
    name : str
    low, high : float
        Bounds of the mean; a mean at or beyond them has a predictor of -inf or inf.

    Examples
    --------
    >>> LOGIT.inverse(np.array([0.0, 40.0])), LOGIT.forward(np.array([0.5, 2.0]))
    (array([0.5, 1. ]), array([ 0., inf]))
    """

    name: str
    low: float
    high: float
    _inverse: Callable[[Vector], Vector]
    _forward: Callable[[Vector], Vector]
    _log_derivative: Callable[[Vector], Vector]

    def inverse(self, eta: Vector) -> Vector:
        """Mean per unit exposure at eta."""
        return self._inverse(np.asarray(eta, dtype=float))

    def forward(self, mean: Vector) -> Vector:
        """Predictor at a mean per unit exposure; -inf below the least mean, inf above the largest."""
        mean = np.asarray(mean, dtype=float)
        inside = (mean > self.low) & (mean < self.high)
        half_way = 0.5 if np.isfinite(self.high) else 1.0
        values = self._forward(np.where(inside, mean, half_way))
        return np.where(inside, values, np.where(np.isnan(mean), np.nan, np.where(mean <= self.low, -np.inf, np.inf)))

    def log_derivative(self, eta: Vector) -> Vector:
        """Logarithm of the derivative of `inverse`."""
        return self._log_derivative(np.asarray(eta, dtype=float))

    def gaussian_moments(self, mean: Vector, sd: Vector) -> tuple[Vector, Vector] | None:
        """Mean and variance of the inverse of Gaussian predictors, or None where they have no closed form."""
        return None

    def jet(self, eta: Vector) -> Jet:
        """The mean and its first three derivatives in the predictor."""
        raise NotImplementedError(f"the link {self.name} gives logarithms of its mean")

    @property
    def is_even(self) -> bool:
        """Whether a predictor below zero has the mean of its size: where the mean may be zero it then runs on."""
        return False

    @property
    def least(self) -> float:
        """What the predictor lies above."""
        return -np.inf

    @property
    def has_unit(self) -> bool:
        """Whether the predictor has a unit, the response's or a power of it."""
        return self.is_linear

    @property
    def falls(self) -> bool:
        """Whether the mean falls where the predictor rises."""
        return False

    @property
    def is_linear(self) -> bool:
        """Whether the mean is the predictor."""
        return False

    @property
    def is_log(self) -> bool:
        """Whether the mean is the exponential of the predictor."""
        return False


class _Identity(Link):
    """The mean is the predictor."""

    def jet(self, eta: Vector) -> Jet:
        """The predictor, which rises by itself."""
        return eta, np.ones_like(eta), np.zeros_like(eta), np.zeros_like(eta)

    def gaussian_moments(self, mean: Vector, sd: Vector) -> tuple[Vector, Vector]:
        """The predictor's own."""
        return mean, sd**2

    @property
    def is_linear(self) -> bool:
        """It is."""
        return True


class _Log(Link):
    """The mean is the exponential of the predictor."""

    def jet(self, eta: Vector) -> Jet:
        """The exponential, four times."""
        mean = _exp(eta)
        return mean, mean, mean, mean

    def gaussian_moments(self, mean: Vector, sd: Vector) -> tuple[Vector, Vector]:
        """Those of log-normals."""
        variance = sd**2
        with np.errstate(over="ignore"):
            of_mean = np.exp(mean + 0.5 * variance)
            return of_mean, of_mean**2 * np.expm1(variance)

    @property
    def is_log(self) -> bool:
        """It is."""
        return True


class _Positive(Link):
    """A link whose predictor is positive."""

    @property
    def least(self) -> float:
        """The predictor is positive."""
        return 0.0

    @property
    def has_unit(self) -> bool:
        """It has."""
        return True

    def gaussian_moments(self, mean: Vector, sd: Vector) -> tuple[Vector, Vector]:
        """Of the predictor where it is positive, by Gauss-Hermite quadrature."""
        first, second, mass = np.zeros_like(mean), np.zeros_like(mean), np.zeros_like(mean)
        for node, weight in zip(*normal_nodes(21)):
            eta = mean + sd * node
            near = np.maximum(eta, POSITIVE * np.abs(mean) + 1e-300)
            there = weight * (eta > POSITIVE * np.abs(mean))
            value = self._inverse(near)
            first, second, mass = first + there * value, second + there * value**2, mass + there
        mass = np.maximum(mass, 1e-300)
        return first / mass, np.maximum(second / mass - (first / mass) ** 2, 0.0)


class _Inverse(_Positive):
    """The mean is one over the predictor."""

    def jet(self, eta: Vector) -> Jet:
        """1 / eta and its derivatives."""
        mean = 1 / eta
        return mean, -(mean**2), 2 * mean**3, -6 * mean**4

    @property
    def falls(self) -> bool:
        """It does."""
        return True


class _Sqrt(_Positive):
    """The mean is the square of the predictor."""

    @property
    def is_even(self) -> bool:
        """It is."""
        return True

    def jet(self, eta: Vector) -> Jet:
        """The square and its derivatives."""
        return eta**2, 2 * eta, np.full_like(eta, 2.0), np.zeros_like(eta)


@dataclass(frozen=True)
class ProbabilityLink(Link):
    """A link of a probability p."""

    _log_probability: Callable[[Vector], Jet]
    _log_complement: Callable[[Vector], Jet]

    def log_probability(self, eta: Vector) -> Jet:
        """Log p at eta and its first three derivatives."""
        return self._log_probability(np.asarray(eta, dtype=float))

    def log_complement(self, eta: Vector) -> Jet:
        """Log (1 - p) at eta and its first three derivatives."""
        return self._log_complement(np.asarray(eta, dtype=float))

    def of_counts(self, successes: Vector, failures: Vector, eta: Vector) -> tuple[Vector, Vector, Vector]:
        """First three derivatives of ``successes log p + failures log (1 - p)``."""
        p, q = self.log_probability(eta), self.log_complement(eta)
        first, second, third = (times(successes, a) + times(failures, b) for a, b in zip(p[1:], q[1:]))
        return first, second, third


class _Logit(ProbabilityLink):
    """The canonical link: what its derivatives share is computed once."""

    def of_counts(self, successes: Vector, failures: Vector, eta: Vector) -> tuple[Vector, Vector, Vector]:
        """First three derivatives of ``successes log p + failures log (1 - p)``."""
        p, q = expit(eta), expit(-eta)
        second = -(successes + failures) * p * q
        return successes * q - failures * p, second, second * (q - p)


def times(count: Vector, value: Vector) -> Vector:
    """The product, 0 where the count is 0 whatever the value."""
    return np.where(count > 0, count * np.where(count > 0, value, 0.0), 0.0)


def _mirrored(jet: Callable[[Vector], Jet]) -> Callable[[Vector], Jet]:
    """The function of -eta, with derivatives in eta."""

    def mirrored(eta: Vector) -> Jet:
        value, first, second, third = jet(-eta)
        return value, -first, second, -third

    return mirrored


def _exp(eta: Vector) -> Vector:
    with np.errstate(over="ignore"):  # a line search steps back from an infinite mean
        return np.exp(eta)


def _logit_jet(eta: Vector) -> Jet:
    p, q = expit(eta), expit(-eta)
    return log_expit(eta), q, -p * q, p * q * (p - q)


def _probit_jet(eta: Vector) -> Jet:
    # the ratio of density and distribution function, by erfcx as neither of them underflows there
    ratio = np.sqrt(2 / np.pi) / erfcx(-eta / np.sqrt(2))
    both = eta + ratio
    return log_ndtr(eta), ratio, -ratio * both, ratio * (both * (both + ratio) - 1)


def _cloglog_jet(eta: Vector) -> Jet:
    u = np.exp(np.clip(eta, -FAR, FAR))
    with np.errstate(over="ignore"):
        first = u / np.expm1(u)  # 0 for a large u
    # 1 - u - first cancels for a small u: its series there
    small = np.minimum(u, 0.05)
    series = -small / 2 - small**2 / 12 + small**4 / 720 - small**6 / 30240
    bend = np.where(u < 0.05, series, 1 - u - first)
    value = np.log(-np.expm1(-u)) + np.minimum(eta + FAR, 0.0)
    slope = first * bend
    return value, first, slope, slope * bend - first * (u + slope)


def _negative_exp_jet(eta: Vector) -> Jet:
    value = -_exp(eta)
    return value, value, value, value


def _cauchit_jet(eta: Vector) -> Jet:
    p = np.arctan2(1.0, -eta) / np.pi
    spread = 1 + eta**2
    density = 1 / (np.pi * spread)
    a = density / p
    b = -2 * eta / spread * a  # f' / p
    c = (6 * eta**2 - 2) / spread**2 * a  # f'' / p
    return np.log(p), a, b - a**2, c - 3 * a * b + 2 * a**3


def _same(eta: Vector) -> Vector:
    return eta


def _cloglog_inverse(eta: Vector) -> Vector:
    return -np.expm1(-_exp(eta))


def _reciprocal(eta: Vector) -> Vector:
    with np.errstate(divide="ignore"):
        return np.where(eta > 0, 1 / np.where(eta > 0, eta, 1.0), np.inf)


def _square(eta: Vector) -> Vector:
    return np.maximum(eta, 0.0) ** 2


def _of_positive(slope: Callable[[Vector], Vector]) -> Callable[[Vector], Vector]:
    return lambda eta: slope(np.log(np.maximum(eta, 1e-300)))


IDENTITY = _Identity("identity", -np.inf, np.inf, _same, _same, np.zeros_like)
LOG = _Log("log", 0.0, np.inf, _exp, np.log, _same)
INVERSE = _Inverse("inverse", 0.0, np.inf, _reciprocal, _reciprocal, _of_positive(lambda log: -2 * log))
SQRT = _Sqrt("sqrt", 0.0, np.inf, _square, np.sqrt, _of_positive(lambda log: np.log(2.0) + log))
LOGIT = _Logit(
    "logit", 0.0, 1.0, expit, logit, lambda eta: log_expit(eta) + log_expit(-eta), _logit_jet, _mirrored(_logit_jet)
)
PROBIT = ProbabilityLink(
    "probit", 0.0, 1.0, ndtr, ndtri, lambda eta: -0.5 * eta**2 - HALF_LOG_2PI, _probit_jet, _mirrored(_probit_jet)
)
CLOGLOG = ProbabilityLink(
    "cloglog", 0.0, 1.0, _cloglog_inverse, lambda p: np.log(-np.log1p(-p)), lambda eta: eta - _exp(eta),
    _cloglog_jet, _negative_exp_jet,
)  # fmt: skip
LOGLOG = ProbabilityLink(
    "loglog", 0.0, 1.0, lambda eta: _exp(-_exp(-eta)), lambda p: -np.log(-np.log(p)), lambda eta: -eta - _exp(-eta),
    _mirrored(_negative_exp_jet), _mirrored(_cloglog_jet),
)  # fmt: skip
CAUCHIT = ProbabilityLink(
    "cauchit", 0.0, 1.0, lambda eta: np.arctan2(1.0, -eta) / np.pi, lambda p: -1 / np.tan(np.pi * p),
    lambda eta: -np.log(np.pi) - np.log1p(eta**2), _cauchit_jet, _mirrored(_cauchit_jet),
)  # fmt: skip

PROBABILITY_LINKS = (LOGIT, PROBIT, CLOGLOG, LOGLOG, CAUCHIT)
LINKS = {link.name: link for link in (IDENTITY, LOG, INVERSE, SQRT, *PROBABILITY_LINKS)}
