"""Negative binomial counts with more zeros."""

from geospde.families.counts.negative_binomial import SIZE, NegativeBinomialLikelihood
from geospde.families.counts.zero_inflated import ZERO, ZeroInflated, ZeroInflatedCounts


class ZeroInflatedNegativeBinomialLikelihood(ZeroInflated):
    """Zero with probability p0, else negative binomial; theta = (log size, logit p0)."""

    counts = NegativeBinomialLikelihood
    hyper = (SIZE, ZERO)
    dispersion = "size"


class ZeroInflatedNegativeBinomial(ZeroInflatedCounts):
    """Zero with probability `p0`, else negative binomial of mean exposure × exp(eta) and `size`, log link.

    R-INLA's type 1, with its priors: ``pc.mgamma`` of rate 7 on the size, logit(p0) Gaussian with mean -1 and
    precision 0.2. Fitted values are means of the negative binomial part.
    """

    name = "zeroinflatednbinomial1"
    aliases = ("zinb",)
    words = "a zero-inflated negative binomial"
    likelihood = ZeroInflatedNegativeBinomialLikelihood
