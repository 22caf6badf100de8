"""Families of continuous responses: Gaussian, Student's t, lognormal, gamma."""

from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, digamma, gammainc, gammaln, ndtr, stdtr

from geospde.families.base import Derivatives, Family, Observations, Parameter, Vector, above_two, spread
from geospde.families.links import HALF_LOG_2PI, IDENTITY, LOG, Link
from geospde.families.priors import GammaPositive, LogGamma, PCDf

SIGMA = Parameter("sigma", "sd", LogGamma(1.0, 5e-5), 0.0)


class GaussianObservations(Observations):
    """Values of mean eta and standard deviation sigma; theta = log sigma."""

    hyper: ClassVar[tuple[Parameter, ...]] = (SIGMA,)

    @property
    def unit(self) -> float | None:
        """Standard deviation of the response."""
        return spread(self.y)

    @cached_property
    def _values(self) -> Vector:
        """What is Gaussian."""
        return self.y

    def _log_density(self, eta: Vector) -> Vector:
        z = (self._values - eta) * np.exp(-self.theta[0])
        return -HALF_LOG_2PI - self.theta[0] - 0.5 * z**2

    def _derivatives(self, eta: Vector) -> Derivatives:
        precision = np.exp(-2 * self.theta[0])
        residual = self._values - eta
        return precision * residual, np.full_like(residual, -precision), np.zeros_like(residual)

    def _theta_derivatives(self, eta: Vector) -> Derivatives:
        precision = np.exp(-2 * self.theta[0])
        residual = self._values - eta
        slope = precision * residual
        return (slope * residual - 1)[None], -2 * slope[None], np.full((1, residual.size), 2 * precision)

    def cdf(self, eta: Vector) -> Vector:
        """P(Y <= y | eta)."""
        return ndtr((self._values - eta) * np.exp(-self.theta[0]))

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta."""
        return rng.normal(eta, np.exp(self.theta[0]))

    def start(self) -> Vector:
        """A rough eta to start from."""
        return self._values

    def first_theta(self) -> Vector:
        """Where the search starts: half of the variance is the residual's."""
        return np.array([np.log(spread(self._values) / np.sqrt(2))])


class LogNormalObservations(GaussianObservations):
    """Positive values whose logarithm has mean eta and standard deviation sigma; theta = log sigma."""

    @property
    def unit(self) -> float | None:
        """None: eta is a logarithm."""
        return None

    @cached_property
    def _values(self) -> Vector:
        return np.log(self.y)

    def _log_density(self, eta: Vector) -> Vector:
        return super()._log_density(eta) - self._values

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta."""
        return np.exp(super().draw(eta, rng))


class StudentObservations(Observations):
    """Values of mean eta and standard deviation sigma, in a t of df > 2; theta = (log sigma, log(df - 2)).

    With ``c = sigma² (df - 2)`` the density is that of ``(1 + (y - eta)² / c) ** (-(df + 1) / 2)``.
    """

    hyper: ClassVar[tuple[Parameter, ...]] = (
        SIGMA,
        Parameter("df", "df", PCDf(15.0, 0.5), float(np.log(8.0)), above_two),
    )

    @property
    def unit(self) -> float | None:
        """Standard deviation of the response."""
        return spread(self.y)

    @property
    def _df(self) -> float:
        return 2.0 + float(np.exp(self.theta[1]))

    def _standard(self, eta: Vector) -> tuple[Vector, Vector, Vector]:
        """With u = (y - eta) / sqrt(c): u, 1 / (1 + u²) and 1 / sqrt(c)."""
        unit = np.exp(-self.theta[0] - 0.5 * self.theta[1])
        u = (self.y - eta) * unit
        return u, 1 / (1 + u**2), unit

    def _log_density(self, eta: Vector) -> Vector:
        u, _, unit = self._standard(eta)
        return np.log(unit) - betaln(self._df / 2, 0.5) - 0.5 * (self._df + 1) * np.log1p(u**2)

    def _derivatives(self, eta: Vector) -> Derivatives:
        u, share, unit = self._standard(eta)
        n = self._df + 1
        return (
            n * unit * u * share,
            n * unit**2 * (u**2 - 1) * share**2,
            n * unit**3 * u * (2 * u**2 - 6) * share**3,
        )

    def _theta_derivatives(self, eta: Vector) -> Derivatives:
        u, share, unit = self._standard(eta)
        df = self._df
        n, w = df + 1, df - 2
        # in log c, and in df at a fixed c
        density = 0.5 * n * u**2 * share - 0.5
        first = -n * unit * u * share**2
        second = n * unit**2 * (1 - 3 * u**2) * share**3
        # digamma((df + 1) / 2) - digamma(df / 2), which cancels for a large df
        gap = digamma(0.5 * n) - digamma(0.5 * df) if df < 1e3 else 1 / df + 0.5 / df**2 - 0.25 / df**4
        of_df = 0.5 * (gap - np.log1p(u**2))
        return (
            np.array([2 * density, density + w * of_df]),
            np.array([2 * first, first + w * unit * u * share]),
            np.array([2 * second, second + w * unit**2 * (u**2 - 1) * share**2]),
        )

    def _weights(self, eta: Vector) -> Vector:
        """Of the scale mixture of Gaussians that t is, as the EM algorithm takes them."""
        _, share, unit = self._standard(eta)
        return (self._df + 1) * unit**2 * share

    def cdf(self, eta: Vector) -> Vector:
        """P(Y <= y | eta)."""
        u, _, _ = self._standard(eta)
        return stdtr(self._df, np.sqrt(self._df) * u)

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta."""
        scale = np.exp(self.theta[0]) * np.sqrt(1 - 2 / self._df)
        return eta + scale * rng.standard_t(self._df, eta.shape)

    def start(self) -> Vector:
        """A rough eta to start from."""
        return self.y

    def first_theta(self) -> Vector:
        """Where the search starts: half of the variance is the residual's, the tails are moderate."""
        return np.array([np.log(spread(self.y) / np.sqrt(2)), self.hyper[1].start])


class GammaObservations(Observations):
    """Positive values of mean mu = exp(eta) and variance mu² / shape; theta = log shape."""

    hyper: ClassVar[tuple[Parameter, ...]] = (Parameter("shape", "shape", GammaPositive(1.0, 0.01), 0.0),)

    @cached_property
    def _logs(self) -> Vector:
        return np.log(self.y)

    def _ratio(self, eta: Vector) -> tuple[Vector, Vector]:
        """Y / mu, and its logarithm."""
        with np.errstate(over="ignore"):  # the line search steps back from a mean of zero
            return np.exp(self._logs - eta), self._logs - eta

    def _log_density(self, eta: Vector) -> Vector:
        ratio, log_ratio = self._ratio(eta)
        shape = np.exp(self.theta[0])
        return shape * (self.theta[0] + log_ratio - ratio) - gammaln(shape) - self._logs

    def _derivatives(self, eta: Vector) -> Derivatives:
        shape = np.exp(self.theta[0])
        part = shape * self._ratio(eta)[0]
        return part - shape, -part, part

    def _theta_derivatives(self, eta: Vector) -> Derivatives:
        ratio, log_ratio = self._ratio(eta)
        shape = np.exp(self.theta[0])
        density = shape * (self.theta[0] - digamma(shape) + 1 + log_ratio - ratio)
        return density[None], (shape * (ratio - 1))[None], (-shape * ratio)[None]

    def cdf(self, eta: Vector) -> Vector:
        """P(Y <= y | eta)."""
        shape = np.exp(self.theta[0])
        return gammainc(shape, shape * self._ratio(eta)[0])

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta."""
        shape = np.exp(self.theta[0])
        return rng.gamma(shape, self.link.inverse(eta) / shape)

    def start(self) -> Vector:
        """A rough eta to start from."""
        return self._logs

    def first_theta(self) -> Vector:
        """Where the search starts: half of the logarithm's variance is the residual's."""
        return np.array([np.log(2.0) - 2 * np.log(spread(self._logs))])


class Gaussian(Family):
    """Gaussian values with residual standard deviation `sigma`, identity link.

    The prior of the precision 1 / sigma² is Gamma(1, rate 5e-5), as R-INLA's ``loggamma(1, 5e-5)``. It knows the unit
    of the response: a sigma below 0.01 is held up, so give a smaller unit or another prior there.

    Examples
    --------
    >>> values = Gaussian().bind([3.0, 0.0]).at(np.log([2.0]))
    >>> values.log_density(np.array([0.0, 0.0])).round(4)
    array([-2.7371, -1.6121])
    """

    name = "gaussian"
    links: ClassVar[tuple[Link, ...]] = (IDENTITY,)
    observations = GaussianObservations
    needs = "finite numbers"
    without_exposure = "divide the response by it, or add an offset"


class StudentT(Family):
    """Student's t about eta with standard deviation `sigma` and `df` > 2 degrees of freedom, identity link.

    As in R-INLA, t is scaled to unit variance, so that sigma is the residual standard deviation whatever the df: the
    usual scale is ``sigma * sqrt((df - 2) / df)``. The prior of 1 / sigma² is Gamma(1, rate 5e-5), that of df the
    penalised-complexity prior with P(df < 15) = 0.5.

    Examples
    --------
    >>> values = StudentT().bind([3.0, 0.0]).at(np.log([1.0, 3.0]))
    >>> values.log_density(np.array([0.0, 0.0])).round(4)
    array([-4.8721, -0.7132])
    """

    name = "t"
    links: ClassVar[tuple[Link, ...]] = (IDENTITY,)
    observations = StudentObservations
    needs = "finite numbers"
    without_exposure = "divide the response by it, or add an offset"


class LogNormal(Family):
    """Positive values whose logarithm is Gaussian with mean eta and standard deviation `sigma`.

    With the link ``identity``, R-INLA's, fitted values and predictions are means of the logarithm of the response;
    with ``log`` they are its medians, exp(eta). The model is the same. Its mean is exp(eta + sigma² / 2). The prior of
    1 / sigma² is Gamma(1, rate 5e-5).

    Examples
    --------
    >>> values = LogNormal().bind([1.0, np.e]).at(np.log([1.0]))
    >>> values.log_density(np.array([0.0, 1.0])).round(4)
    array([-0.9189, -1.9189])
    """

    name = "lognormal"
    links: ClassVar[tuple[Link, ...]] = (IDENTITY, LOG)
    observations = LogNormalObservations
    needs = "numbers above 0"
    without_exposure = "divide the response by it"

    def outside(self, y: Vector) -> NDArray[np.bool_]:
        """Which responses are not positive."""
        return ~((y > 0) & np.isfinite(y))


class Gamma(Family):
    """Positive values of mean exp(eta) and variance mean² / `shape`, log link.

    `shape` is R-INLA's precision parameter phi, with its prior Gamma(1, rate 0.01).

    Examples
    --------
    >>> values = Gamma().bind([1.0, 2.0]).at(np.log([1.0]))
    >>> values.log_density(np.array([0.0, 0.0]))
    array([-1., -2.])
    """

    name = "gamma"
    links: ClassVar[tuple[Link, ...]] = (LOG,)
    observations = GammaObservations
    needs = "numbers above 0"
    without_exposure = "divide the response by it, or add its logarithm as an offset"

    def outside(self, y: Vector) -> NDArray[np.bool_]:
        """Which responses are not positive."""
        return ~((y > 0) & np.isfinite(y))
