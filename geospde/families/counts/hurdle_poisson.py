"""Zeros of their own, and Poisson counts."""

from geospde.families.counts.hurdle import Hurdle, HurdleCounts
from geospde.families.counts.truncated_poisson import TruncatedPoissonLikelihood
from geospde.families.counts.zero_inflated import ZERO


class HurdlePoissonLikelihood(Hurdle):
    """Zero with probability p0, else Poisson without zeros; theta = logit p0."""

    positive = TruncatedPoissonLikelihood
    hyper = (ZERO,)


class HurdlePoisson(HurdleCounts):
    """Zero with probability `p0`, else Poisson of mean exposure × exp(eta) without its zeros (R-INLA's type 0).

    A hurdle: the probability of a zero is the same everywhere, and only counts above 0 say anything of eta. Its prior
    is that of the zero-inflated Poisson.

    Examples
    --------
    >>> import numpy as np
    >>> counts = HurdlePoisson().bind([3, 0]).at(np.array([0.0]))
    >>> counts.log_density(np.array([0.0, 0.0])).round(4)
    array([-3.0262, -0.6931])
    """

    name = "zeroinflatedpoisson0"
    aliases = ("hurdlepoisson",)
    words = "a hurdle Poisson"
    likelihood = HurdlePoissonLikelihood
