"""Values with heavy tails, Student's t."""

from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
from scipy.special import betaln, digamma, stdtr

from geospde.families.base import Family
from geospde.families.continuous.gaussian import FORMER_SIGMA, SIGMA
from geospde.families.likelihood import Derivatives, Likelihood, Parameter, Vector, above_two, spread
from geospde.families.links import IDENTITY, INVERSE, LOG, Link
from geospde.families.priors import PCDf


class StudentLikelihood(Likelihood):
    """Values of mean eta and standard deviation sigma, in a t of df > 2; theta = (log sigma, log(df - 2)).

    With ``c = sigma² (df - 2)`` the density is that of ``(1 + (y - eta)² / c) ** (-(df + 1) / 2)``.
    """

    hyper: ClassVar[tuple[Parameter, ...]] = (
        SIGMA,
        Parameter("df", "df", PCDf(15.0, 0.5), float(np.log(8.0)), above_two),
    )

    dispersion = "sigma"

    @property
    def unit(self) -> float | None:
        """Standard deviation of the response."""
        return spread(self.y, self.weights)

    @property
    def _df(self) -> float:
        return 2.0 + float(np.exp(self.common(1)))

    def _standard(self, eta: Vector) -> tuple[Vector, Vector, Vector]:
        """With u = (y - eta) / sqrt(c): u, 1 / (1 + u²) and 1 / sqrt(c)."""
        unit = np.exp(-self.theta[0] - 0.5 * self.theta[1])
        u = (self.y - eta) * unit
        return u, 1 / (1 + u**2), unit

    def _log_density(self, eta: Vector) -> Vector:
        u, _, unit = self._standard(eta)
        values: Vector = np.log(unit) - betaln(self._df / 2, 0.5) - 0.5 * (self._df + 1) * np.log1p(u**2)
        return values

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
        values: Vector = stdtr(self._df, np.sqrt(self._df) * u)
        return values

    def sf(self, eta: Vector) -> Vector:
        """P(Y > y | eta)."""
        u, _, _ = self._standard(eta)
        values: Vector = stdtr(self._df, -np.sqrt(self._df) * u)
        return values

    def flow(self) -> Vector:
        """Of a location: 1."""
        return np.ones(self.n)

    def moments(self, eta: Vector) -> tuple[Vector, Vector]:
        """Mean and variance of each response."""
        return eta, np.full_like(eta, np.exp(self.theta[0]) ** 2)

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta."""
        scale = np.exp(self.theta[0]) * np.sqrt(1 - 2 / self._df)
        values: Vector = eta + scale * rng.standard_t(self._df, eta.shape)
        return values

    def less_offset(self, offset: Vector) -> Self:
        """Values less the offset."""
        return replace(self, y=self.y - offset)

    def start(self) -> Vector:
        """A rough eta to start from."""
        return self.y

    def first_theta(self) -> Vector:
        """Where the search starts: half of the variance is the residual's, the tails are moderate."""
        return np.array([np.log(spread(self.y, self.weights) / np.sqrt(2)), self.hyper[1].start])


class StudentT(Family):
    """Student's t about eta with standard deviation `sigma` and `df` > 2 degrees of freedom, identity link.

    As in R-INLA, t is scaled to unit variance, so that sigma is the residual standard deviation whatever the df: the
    usual scale is ``sigma * sqrt((df - 2) / df)``. The prior of 1 / sigma² is the Gaussian family's, that of df the
    penalised-complexity prior with P(df < 15) = 0.5.

    Examples
    --------
    >>> values = StudentT().bind([3.0, 0.0]).at(np.log([1.0, 3.0]))
    >>> values.log_density(np.array([0.0, 0.0])).round(4)
    array([-4.8721, -0.7132])
    """

    name = "t"
    aliases = ("student", "studentt")
    words = "a Student t"
    links: ClassVar[tuple[Link, ...]] = (IDENTITY, LOG, INVERSE)
    natural_link = IDENTITY
    likelihood = StudentLikelihood
    first_choice_for = ("outliers",)
    former_priors: ClassVar[dict[int, Any]] = FORMER_SIGMA
    without_exposure = "divide the response by it, or add an offset"
