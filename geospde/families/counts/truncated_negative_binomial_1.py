"""Negative binomial counts whose variance is proportional to the mean, and that are never 0."""

from typing import ClassVar

import numpy as np
from scipy.special import expit

from geospde.families.counts.negative_binomial_1 import NegativeBinomial1Likelihood
from geospde.families.counts.shared import poisson_variates
from geospde.families.counts.truncated import Truncated, TruncatedCounts, first_event
from geospde.families.likelihood import Parameter, Vector


class TruncatedNegativeBinomial1Likelihood(Truncated):
    """Negative binomial counts of linear variance, given that they are not 0; theta = log phi."""

    counts = NegativeBinomial1Likelihood
    hyper: ClassVar[tuple[Parameter, ...]] = NegativeBinomial1Likelihood.hyper
    dispersion = "phi"

    def _weights(self, eta: Vector) -> Vector:
        """That of a count with this variance, whose density is not log-concave."""
        values: Vector = self.exposure * np.exp(eta) * expit(-self.theta[0])
        return values

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta: a first cluster of a logarithmic size, and the rest."""
        phi = np.exp(self.theta[0])
        size = self.exposure * np.exp(eta) / phi
        clusters = size * np.log1p(phi)
        rest = size * (1 - first_event(clusters, rng) / clusters)
        first = rng.logseries(phi / (1 + phi), size=size.shape)
        values: Vector = first + poisson_variates(rng.gamma(rest, phi), rng)
        return values


class TruncatedNegativeBinomial1(TruncatedCounts):
    """Counts 1, 2, ...: those of `nbinomial1`, of mean exposure × exp(eta), without their zeros; log link.

    Examples
    --------
    >>> litters = TruncatedNegativeBinomial1().bind([3, 1]).at(np.log([2.0]))
    >>> litters.log_density(np.array([0.0, 0.0])).round(4)
    array([-2.0676, -0.7867])
    """

    name = "truncated_nbinomial1"
    aliases = ("truncatednbinom1",)
    words = "a zero-truncated negative binomial of linear variance"
    likelihood = TruncatedNegativeBinomial1Likelihood
