"""Negative binomial counts that are never 0."""

import numpy as np

from geospde.families.counts.negative_binomial import SIZE, NegativeBinomialLikelihood
from geospde.families.counts.shared import poisson_variates
from geospde.families.counts.truncated import Truncated, TruncatedCounts, first_event
from geospde.families.likelihood import Vector


class TruncatedNegativeBinomialLikelihood(Truncated):
    """Negative binomial counts, given that they are not 0; theta = log size."""

    counts = NegativeBinomialLikelihood
    hyper = (SIZE,)
    dispersion = "size"

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta.

        A negative binomial is the sum of Poisson many clusters, each of a logarithmic size: there is a first one.
        """
        size = np.exp(self.theta[0])
        mean = self.exposure * np.exp(eta)
        clusters = size * np.log1p(mean / size)
        rest = size * (1 - first_event(clusters, rng) / clusters)
        values: Vector = rng.logseries(mean / (size + mean)) + poisson_variates(rng.gamma(rest, mean / size), rng)
        return values


class TruncatedNegativeBinomial(TruncatedCounts):
    """Counts 1, 2, ...: negative binomial of mean exposure × exp(eta) and `size`, without its zeros; log link."""

    name = "truncated_nbinomial"
    aliases = ("truncatednbinom2",)
    words = "a zero-truncated negative binomial"
    likelihood = TruncatedNegativeBinomialLikelihood
