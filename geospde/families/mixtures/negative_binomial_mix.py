"""Negative binomial counts, some of them extreme."""

from typing import ClassVar

from geospde.families.counts.negative_binomial import NegativeBinomialLikelihood
from geospde.families.counts.shared import CountLikelihood, Counts
from geospde.families.links import IDENTITY, LOG, SQRT, Link
from geospde.families.mixtures.mixture import EXTREME, RATIO, MixtureLikelihood


class NegativeBinomialMixLikelihood(MixtureLikelihood, CountLikelihood):
    """Negative binomial of one size, with probability p of a mean that is ratio times the usual."""

    component = NegativeBinomialLikelihood
    hyper = (*NegativeBinomialLikelihood.hyper, EXTREME, RATIO)


class NegativeBinomialMix(Counts):
    """Negative binomial counts of mean exposure × exp(eta), with probability `p_extreme` of `ratio` times the usual.

    The mean is that of all counts. Priors of `p_extreme` and `ratio` are those of `GammaMix`.

    Examples
    --------
    >>> import numpy as np
    >>> counts = NegativeBinomialMix().bind([3, 0]).at(np.array([np.log(2.0), -50.0, 0.0]))  # none is extreme
    >>> counts.log_density(np.array([0.0, 0.0])).round(4)
    array([-2.7205, -0.8109])
    """

    name = "nbinomial_mix"
    aliases = ("nbinom2mix", "negativebinomialmix")
    words = "a negative binomial mixture"
    links: ClassVar[tuple[Link, ...]] = (LOG, IDENTITY, SQRT)
    natural_link = LOG
    likelihood = NegativeBinomialMixLikelihood
