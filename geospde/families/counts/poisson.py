"""Poisson counts."""

from functools import cached_property
from typing import ClassVar

import numpy as np
from scipy.special import gammaln, pdtr, pdtrc

from geospde.families.base import Candidate, Family, Scatter
from geospde.families.counts.negative_binomial import NegativeBinomial
from geospde.families.counts.shared import CountLikelihood, Counts, poisson_variates
from geospde.families.likelihood import Derivatives, Vector
from geospde.families.links import IDENTITY, LOG, SQRT, Link

SMALL = 5  # the least of values that are taken for counts whatever they are called

APART = 3.0
"""Standard errors by which neighbours' counts must differ more than Poisson counts of one rate."""


class PoissonLikelihood(CountLikelihood):
    """Counts with mean ``exposure * exp(eta)``."""

    @cached_property
    def _constant(self) -> Vector:
        values: Vector = self.y * np.log(self.exposure) - gammaln(self.y + 1)
        return values

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
        values: Vector = pdtr(self.y, self._mean(eta))
        return values

    def sf(self, eta: Vector) -> Vector:
        """P(Y > y | eta)."""
        values: Vector = pdtrc(self.y, self._mean(eta))
        return values

    def flow(self) -> Vector:
        """Of counts that are one higher: themselves."""
        return self.y + 1

    def moments(self, eta: Vector) -> tuple[Vector, Vector]:
        """Mean and variance of each count."""
        mean = self._mean(eta)
        return mean, mean

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta."""
        return poisson_variates(self._mean(eta), rng)


class Poisson(Counts):
    """Poisson counts, by default with log link; `exposure` multiplies the mean.

    Examples
    --------
    >>> counts = Poisson().bind([3, 0], exposure=[2.0, 1.0])
    >>> counts.log_density(np.array([0.0, 0.0])).round(4)
    array([-1.7123, -1.    ])
    """

    name = "poisson"
    words = "a Poisson"
    links: ClassVar[tuple[Link, ...]] = (LOG, IDENTITY, SQRT)
    natural_link = LOG
    likelihood = PoissonLikelihood
    fixed_scatter = True

    def variance_function(self, mean: Vector) -> Vector:
        """Variance of a count of weight 1."""
        return mean

    @classmethod
    def suggested_by(cls, candidate: Candidate) -> tuple[Family, str] | None:
        """Whole numbers, one of which is small, or that are called counts: else they may be rounded measurements."""
        least = candidate.values.min()
        if candidate.named_amounts and not candidate.named_counts:
            return None
        if candidate.whole and least >= 0 and (least <= SMALL or candidate.named_counts):
            return cls(), f"{candidate.described}, so counts"
        return None

    def given_scatter(self, candidate: Candidate, scatter: Scatter) -> tuple[Family, str] | None:
        """Negative binomial where sites scatter by themselves, more than counts around a field do."""
        described = candidate.described
        if scatter.ratio > 1 + max(0.5, APART * scatter.ratio_error):
            return NegativeBinomial(), (
                f"{described}, so counts, and neighbours' counts have {scatter.ratio:.2g} times the variance of "
                "Poisson counts of one rate. poisson puts that into the field, which is then rough."
            )
        if scatter.beyond:
            return NegativeBinomial(), (
                f"{described}, so counts, and sites scatter by themselves, more than Poisson counts around a "
                "smooth field do. poisson puts that scatter into the field, which is then rough."
            )
        hint = "nbinomial if sites scatter by themselves, more than Poisson counts around a field do"
        if scatter.doubtful:
            hint = (
                "neighbours differ by more than Poisson noise, which makes the field rough; nbinomial lets each site "
                "scatter by itself and draws a smoother map"
            )
        return self, f"{described}, so counts; {hint}."
