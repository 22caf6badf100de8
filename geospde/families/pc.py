"""Penalised-complexity priors: exponential in the distance from a simpler model, seen on the internal scale.

Simpson, Rue, Riebler, Martins & Sørbye (2017), Statist. Sci. 32, 1-28.
"""

from dataclasses import dataclass
from functools import cached_property
from math import exp, expm1, log, pi, sqrt
from typing import TypeVar, dataclass_transform

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, digamma, expit, gammaln, log_expit, polygamma

from geospde.errors import InputError
from geospde.text.keywords import answers_kinds

Kind = TypeVar("Kind")
Vector = NDArray[np.float64]
EULER = float(np.euler_gamma)
END = 12.0  # of the logit of a share, where its prior ends
FAR = -4.5  # a shape's logarithm below which densities are 0
NEAR = 1e-3  # of a shape's logarithm to 0: there divergences cancel, and are taken by their series


@dataclass_transform(frozen_default=True)
def parameters(kind: type[Kind]) -> type[Kind]:
    """A frozen dataclass of a prior's parameters, which answers one that is no number in a sentence."""
    return answers_kinds(dataclass(frozen=True)(kind))


def _check_probability(p: float, what: str) -> None:
    if not 0 < p < 1:
        raise InputError(f"the probability in {what} must lie between 0 and 1, not {p}")


@parameters
class PCRange:
    """Penalised-complexity prior of a range in two dimensions: P(range < range0) = p.

    Fuglstad, Simpson, Lindgren & Rue (2019), J. Am. Statist. Ass. 114, 445-452, theorem 2.6 with d = 2.
    """

    range0: float
    p: float

    def __post_init__(self) -> None:
        _check_probability(self.p, "prior_range")
        if not self.range0 > 0:
            raise InputError(f"the range in prior_range must be positive, not {self.range0}")

    def log_density(self, theta: Vector) -> float:
        """Log density of log(range)."""
        rate = -self.range0 * log(self.p)
        value: float = log(rate) - theta[0] - rate * np.exp(-theta[0])
        return value

    def gradient(self, theta: Vector) -> Vector:
        """Gradient of the log density."""
        rate = -self.range0 * log(self.p)
        return np.array([-1.0 + rate * np.exp(-theta[0])])

    def describe(self) -> str:
        """One line for the summary."""
        return f"PC: P(range < {self.range0:.4g}) = {self.p:g}"


@parameters
class PCSd:
    """Penalised-complexity prior of a standard deviation: P(sd > sd0) = p, an exponential density.

    Simpson, Rue, Riebler, Martins & Sørbye (2017), Statist. Sci. 32, 1-28.
    """

    sd0: float
    p: float

    def __post_init__(self) -> None:
        _check_probability(self.p, "prior_sigma")
        if not self.sd0 > 0:
            raise InputError(f"the standard deviation in prior_sigma must be positive, not {self.sd0}")

    def log_density(self, theta: Vector) -> float:
        """Log density of log(sd)."""
        rate = -log(self.p) / self.sd0
        value: float = log(rate) + theta[0] - rate * np.exp(theta[0])
        return value

    def gradient(self, theta: Vector) -> Vector:
        """Gradient of the log density."""
        rate = -log(self.p) / self.sd0
        return np.array([1.0 - rate * np.exp(theta[0])])

    def describe(self) -> str:
        """One line for the summary."""
        return f"PC: P(sd > {self.sd0:.4g}) = {self.p:g}"


@parameters
class PCSize:
    """Penalised-complexity prior of a negative binomial's size, which shrinks it to the Poisson (infinite size).

    The distance of Gamma(size, size) from the constant one is ``d = sqrt(2 (log(size) - digamma(size)))``, with an
    exponential density of this rate: R-INLA's ``pc.mgamma``, rate 7 by default.

    Simpson, Rue, Riebler, Martins & Sørbye (2017), Statist. Sci. 32, 1-28, section 3.
    """

    rate: float

    def __post_init__(self) -> None:
        if not self.rate > 0:
            raise InputError(f"the rate of a pc prior of a size must be positive, not {self.rate}")

    @staticmethod
    def _divergence(size: float) -> tuple[float, float, float]:
        """Log(size) - digamma(size) with minus its first and plus its second derivative, times powers of size."""
        if size > 50:  # the differences cancel: Stirling's series
            u = 1 / size
            return (
                u / 2 + u**2 / 12 - u**4 / 120 + u**6 / 252,
                u / 2 + u**2 / 6 - u**4 / 30 + u**6 / 42,
                u + u**2 / 2 - u**4 / 6 + u**6 / 6,
            )
        first = size * float(polygamma(1, size)) - 1
        return log(size) - float(digamma(size)), first, -(size**2) * float(polygamma(2, size)) - 1

    def log_density(self, theta: Vector) -> float:
        """Log density of log(size)."""
        kld, first, _ = self._divergence(float(np.exp(theta[0])))
        distance = sqrt(2 * kld)
        return log(self.rate) - self.rate * distance - log(distance) + log(first)

    def gradient(self, theta: Vector) -> Vector:
        """Gradient of the log density."""
        kld, first, second = self._divergence(float(np.exp(theta[0])))
        slope = -first / sqrt(2 * kld)  # of the distance, in log(size)
        return np.array([-self.rate * slope + first / (2 * kld) + 1 - second / first])

    def describe(self) -> str:
        """One line for the summary."""
        return f"PC towards the Poisson: rate {self.rate:g}"


@parameters
class PCWeibull:
    """Penalised-complexity prior of a Weibull's shape, which shrinks it to 1, the exponential; R-INLA's ``pc.alphaw``.

    The distance is ``d = sqrt(2 KLD)`` from the exponential of the same scale, with an exponential density of this
    rate on either side of 1.

    van Niekerk, Bakka & Rue (2021), Spatial Statistics 45, 100475.
    """

    rate: float

    def __post_init__(self) -> None:
        if not self.rate > 0:
            raise InputError(f"the rate of a pc prior of a Weibull's shape must be positive, not {self.rate}")

    @staticmethod
    def _distance(theta: float) -> tuple[float, float, float]:
        """Distance at shape exp(theta), negative below 1, and its first two derivatives in theta."""
        at = max(theta, FAR) if abs(theta) > NEAR else NEAR
        v = exp(-at)
        g, psi, psi1 = exp(gammaln(1 + v)), float(digamma(1 + v)), float(polygamma(1, 1 + v))
        psi2 = float(polygamma(2, 1 + v))
        of_g = [g, g * psi, g * (psi**2 + psi1), g * (psi**3 + 3 * psi * psi1 + psi2)]  # in v
        kld = at - EULER * (1 - v) - 1 + of_g[0]
        first = 1 - EULER * v - of_g[1] * v
        second = EULER * v + of_g[1] * v + of_g[2] * v**2
        third = -EULER * v - of_g[1] * v - 3 * of_g[2] * v**2 - of_g[3] * v**3
        if abs(theta) <= NEAR:  # d² / 2 is c theta² / 2 + e theta³ / 6 + ...
            c, e = second - third * at, third
            root = sqrt(c)
            return root * theta + e * theta**2 / (6 * root), root + e * theta / (3 * root), e / (3 * root)
        d = sqrt(2 * kld) if at > 0 else -sqrt(2 * kld)
        slope = first / d
        return d, slope, (second - slope**2) / d

    def log_density(self, theta: Vector) -> float:
        """Log density of log(shape)."""
        distance, slope, _ = self._distance(float(theta[0]))
        return log(self.rate / 2) - self.rate * abs(distance) + log(slope)

    def gradient(self, theta: Vector) -> Vector:
        """Gradient of the log density."""
        distance, slope, bend = self._distance(float(theta[0]))
        return np.array([-self.rate * np.sign(distance) * slope + bend / slope])

    def describe(self) -> str:
        """One line for the summary."""
        return f"PC towards the exponential: rate {self.rate:g}"


@parameters
class PCDf:
    """Penalised-complexity prior of Student's degrees of freedom: P(df < df0) = p, for df > 2 and unit variance.

    The distance is ``d = sqrt(2 KLD)`` from the standard Gaussian to the t scaled to unit variance, with an
    exponential density: R-INLA's ``pc.dof``. The divergence is exact, from the entropy of t.

    Martins & Rue (2013), Prior for flexibility parameters: the Student's t case, NTNU preprint 8/2013.
    """

    df0: float
    p: float

    def __post_init__(self) -> None:
        _check_probability(self.p, "the prior of df")
        if not self.df0 > 2:
            raise InputError(f"the degrees of freedom in the prior of df must be above 2, not {self.df0}")

    @staticmethod
    def _divergence(theta: float) -> tuple[float, float, float]:
        """Divergence at ``df = 2 + exp(theta)``, w times its first and w² times its second derivative, w = df - 2."""
        w = float(np.exp(theta))
        df = w + 2
        if df > 60:  # the differences cancel: series in 1/df
            c = np.array([3.0, 9, 17, 29, 61, 145, 273, 357, 869]) / 2
            k = np.arange(3, 12)
            terms = c * float(df) ** -k
            return float((terms * df / (k - 1)).sum()), -w * float(terms.sum()), w**2 * float((k * terms).sum()) / df
        a = df / 2
        steps = [float(polygamma(k, a + 0.5) - polygamma(k, a)) for k in range(3)]
        entropy = (df + 1) / 2 * steps[0] + float(betaln(a, 0.5)) + theta / 2
        first = -(df + 1) / 4 * steps[1] * w - 0.5
        second = -(steps[1] / 4 + (df + 1) / 8 * steps[2]) * w**2 + 0.5
        return 0.5 * log(2 * pi) + 0.5 - entropy, first, second

    @property
    def _rate(self) -> float:
        return -log(self.p) / sqrt(2 * self._divergence(log(self.df0 - 2))[0])

    def log_density(self, theta: Vector) -> float:
        """Log density of log(df - 2)."""
        kld, first, _ = self._divergence(float(theta[0]))
        distance = sqrt(2 * kld)
        return log(self._rate) - self._rate * distance + log(-first) - log(distance)

    def gradient(self, theta: Vector) -> Vector:
        """Gradient of the log density."""
        kld, first, second = self._divergence(float(theta[0]))
        return np.array([-self._rate * first / sqrt(2 * kld) + second / first + 1 - first / (2 * kld)])

    def describe(self) -> str:
        """One line for the summary."""
        return f"PC: P(df < {self.df0:g}) = {self.p:g}"


def correlation(theta: Vector) -> Vector:
    """A correlation from its logit, ``log((1 + rho) / (1 - rho))``."""
    return np.tanh(0.5 * theta)


@parameters
class PCCor1:
    """Penalised-complexity prior of an autocorrelation, which shrinks it to one: P(rho > rho0) = p.

    The distance is ``sqrt(1 - rho)``: R-INLA's ``pc.cor1``. Seen on the logit of rho.

    Sørbye & Rue (2017), J. Time Ser. Anal. 38, 923-935, section 4.2.
    """

    rho0: float
    p: float

    def __post_init__(self) -> None:
        _check_probability(self.p, "the prior of rho")
        if not -1 < self.rho0 < 1:
            raise InputError(f"the correlation in the prior of rho lies between -1 and 1, not at {self.rho0}")
        if not self.p > sqrt((1 - self.rho0) / 2):
            raise InputError(
                f"a pc prior that shrinks rho to 1 has P(rho > {self.rho0:g}) above {sqrt((1 - self.rho0) / 2):.3g}, "
                f"not {self.p:g}"
            )

    @cached_property
    def _rate(self) -> float:
        """Of the exponential density of the distance, cut off at rho = -1."""
        from scipy.optimize import brentq

        near = sqrt(1 - self.rho0)

        def excess(log_rate: float) -> float:
            rate = np.exp(log_rate)
            return float(np.expm1(-rate * near) / np.expm1(-rate * sqrt(2.0)) - self.p)

        return float(np.exp(brentq(excess, log(1e-10), log(1e6), xtol=1e-14)))

    def log_density(self, theta: Vector) -> float:
        """Log density of the logit."""
        t, rate = float(theta[0]), self._rate
        distance = sqrt(2 * expit(-t))
        constant = log(rate) - float(np.log(-np.expm1(-sqrt(2.0) * rate)))
        return constant - rate * distance - log(distance) + float(log_expit(t) + log_expit(-t))

    def gradient(self, theta: Vector) -> Vector:
        """Gradient of the log density."""
        up, down = expit(float(theta[0])), expit(-float(theta[0]))
        return np.array([0.5 * up * (1.0 + self._rate * sqrt(2 * down)) + down - up])

    def describe(self) -> str:
        """One line for the summary."""
        return f"PC towards 1: P(rho > {self.rho0:g}) = {self.p:g}"


@parameters
class PCCor0:
    """Penalised-complexity prior of a correlation, which shrinks it to zero: P(abs(rho) > rho0) = p.

    The distance is ``sqrt(-log(1 - rho²))``: R-INLA's ``pc.cor0``. Seen on the logit of rho.

    Sørbye & Rue (2017), J. Time Ser. Anal. 38, 923-935, section 4.1.
    """

    rho0: float
    p: float

    def __post_init__(self) -> None:
        _check_probability(self.p, "the prior of a correlation")
        if not 0 < self.rho0 < 1:
            raise InputError(f"the correlation in a pc prior lies between 0 and 1, not at {self.rho0}")

    @property
    def _rate(self) -> float:
        return -log(self.p) / sqrt(-log(1 - self.rho0**2))

    @staticmethod
    def _distance(theta: float) -> float:
        t = abs(0.5 * theta)
        return sqrt(2 * (t + float(np.log1p(np.exp(-2 * t))) - log(2.0))) if t > 1e-3 else t * (1 - t**2 / 12)

    def log_density(self, theta: Vector) -> float:
        """Log density of the logit."""
        rho, distance = float(np.tanh(0.5 * theta[0])), self._distance(theta[0])
        ratio = log(abs(rho) / distance) if distance else 0.0
        return log(self._rate) - self._rate * distance + ratio - 2 * log(2.0)

    def gradient(self, theta: Vector) -> Vector:
        """Gradient of the log density; at zero, where it has a kink, the mean of both sides."""
        rho, distance = float(np.tanh(0.5 * theta[0])), self._distance(theta[0])
        if not distance:
            return np.zeros(1)
        slope = rho / (2 * distance)
        if distance < 1e-3:
            return np.array([-self._rate * slope - float(theta[0]) / 8])
        return np.array([-self._rate * slope + (1 - rho**2) / (2 * rho) - slope / distance])

    def describe(self) -> str:
        """One line for the summary."""
        return f"PC towards 0: P(|rho| > {self.rho0:g}) = {self.p:g}"


@parameters
class PCMixing:
    """Penalised-complexity prior of the share phi of a structured effect, which shrinks it to none: P(phi < phi0) = p.

    The distance depends on the structure, which `of` tells: R-INLA's ``pc`` of ``phi`` in BYM2. Seen on the logit.

    As R-INLA's it ends at a logit of 12, and has mass 1 up to there: the distance grows so slowly with the logit that a
    quarter of the prior may lie beyond, where phi is 1 to six digits. It ends there as half a Gaussian of sd 1 does.

    Riebler, Sørbye, Simpson & Rue (2016), Stat. Methods Med. Res. 25, 1145-1165, appendix.
    """

    phi0: float
    p: float

    def __post_init__(self) -> None:
        _check_probability(self.p, "the prior of phi")
        if not 0 < self.phi0 < 1:
            raise InputError(f"the share in the prior of phi lies between 0 and 1, not at {self.phi0}")

    def of(self, variances: Vector) -> "PCMixingOf":
        """The density, for the variances of the structured effect along its own axes, zero where it is constrained."""
        return PCMixingOf(self, np.asarray(variances, dtype=float) - 1.0)

    def log_density(self, theta: Vector) -> float:
        """Raise InputError: the density depends on a structure."""
        raise InputError("the pc prior of phi is of a structure: use it in bym2")

    def gradient(self, theta: Vector) -> Vector:
        """Raise InputError: the density depends on a structure."""
        raise InputError("the pc prior of phi is of a structure: use it in bym2")

    def describe(self) -> str:
        """One line for the summary."""
        return f"PC towards 0: P(phi < {self.phi0:g}) = {self.p:g}"


@dataclass(frozen=True, eq=False)
class PCMixingOf:
    """Density of a `PCMixing` on the logit of phi.

    The distance is ``sqrt(sum (phi g - log(1 + phi g)))`` over the excess g of each variance over 1.
    """

    prior: PCMixing
    excess: Vector

    def _distance(self, phi: float, left: float) -> tuple[float, float, float]:
        """Distance d at phi = 1 - left, and in phi the derivative of d²/2 times left, and of that times left again."""
        g = self.excess
        at_end = g == -1.0
        below, x = np.where(at_end, left, 1.0 + phi * g), phi * g
        share = np.where(at_end, 1.0, left / below)
        small = np.abs(x) < 1e-3
        terms = np.where(small, x**2 * (0.5 - x / 3 + x**2 / 4), x - np.log(below))
        first = np.where(small, left * phi * g**2 * (1 - x + x**2), g * (left - share))
        return sqrt(max(float(terms.sum()), 1e-300)), 0.5 * float(first.sum()), 0.5 * float(((g * share) ** 2).sum())

    @cached_property
    def _rate(self) -> float:
        return -log(1 - self.prior.p) / self._distance(self.prior.phi0, 1 - self.prior.phi0)[0]

    @cached_property
    def _log_mass(self) -> float:
        """Log of the mass up to the end, and of the half Gaussian beyond."""
        up_to_end = -expm1(-self._rate * self._distance(float(expit(END)), float(expit(-END)))[0])
        return log(up_to_end + sqrt(pi / 2) * exp(self._endless(END)))

    def _endless(self, t: float) -> float:
        """Log density of a logit without an end."""
        distance, product, _ = self._distance(float(expit(t)), float(expit(-t)))
        return log(self._rate) - self._rate * distance + log(product) - log(distance) + float(log_expit(t))

    def log_density(self, theta: Vector) -> float:
        """Log density of the logit of phi."""
        t = float(theta[0])
        return self._endless(t) - 0.5 * max(t - END, 0.0) ** 2 - self._log_mass

    def gradient(self, theta: Vector) -> Vector:
        """Gradient of the log density."""
        phi, left = float(expit(theta[0])), float(expit(-theta[0]))
        distance, product, second = self._distance(phi, left)
        slope = product / distance * phi  # of the distance, in the logit
        beyond = max(float(theta[0]) - END, 0.0)
        return np.array([-self._rate * slope + second / product * phi - slope / distance + left - phi - beyond])

    def describe(self) -> str:
        """One line for the summary."""
        return self.prior.describe()
