"""Zeros of their own, and negative binomial counts."""

from geospde.families.counts.hurdle import Hurdle, HurdleCounts
from geospde.families.counts.negative_binomial import SIZE
from geospde.families.counts.truncated_negative_binomial import TruncatedNegativeBinomialLikelihood
from geospde.families.counts.zero_inflated import ZERO


class HurdleNegativeBinomialLikelihood(Hurdle):
    """Zero with probability p0, else negative binomial without zeros; theta = (log size, logit p0)."""

    positive = TruncatedNegativeBinomialLikelihood
    hyper = (SIZE, ZERO)
    dispersion = "size"


class HurdleNegativeBinomial(HurdleCounts):
    """Zero with probability `p0`, else negative binomial of mean exposure × exp(eta) and `size`, without its zeros.

    R-INLA's type 0, with its priors.
    """

    name = "zeroinflatednbinomial0"
    aliases = ("hurdlenbinomial",)
    words = "a hurdle negative binomial"
    likelihood = HurdleNegativeBinomialLikelihood
