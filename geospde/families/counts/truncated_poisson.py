"""Poisson counts that are never 0."""

import numpy as np

from geospde.families.counts.poisson import PoissonLikelihood
from geospde.families.counts.shared import poisson_variates
from geospde.families.counts.truncated import Truncated, TruncatedCounts, first_event
from geospde.families.likelihood import Vector


class TruncatedPoissonLikelihood(Truncated):
    """Poisson counts of mean ``exposure * exp(eta)``, given that they are not 0."""

    counts = PoissonLikelihood

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta."""
        mean = self.exposure * np.exp(eta)
        return poisson_variates(mean - first_event(mean, rng), rng) + 1.0


class TruncatedPoisson(TruncatedCounts):
    """Counts 1, 2, ...: Poisson of mean exposure × exp(eta), without its zeros; log link.

    Examples
    --------
    >>> litters = TruncatedPoisson().bind([1, 3])
    >>> litters.log_density(np.array([0.0, 0.0])).round(4)
    array([-0.5413, -2.3331])
    """

    name = "truncated_poisson"
    words = "a zero-truncated Poisson"
    likelihood = TruncatedPoissonLikelihood
