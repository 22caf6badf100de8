"""Poisson counts with more zeros."""

from geospde.families.counts.poisson import PoissonLikelihood
from geospde.families.counts.zero_inflated import ZERO, ZeroInflated, ZeroInflatedCounts


class ZeroInflatedPoissonLikelihood(ZeroInflated):
    """Zero with probability p0, else Poisson; theta = logit p0."""

    counts = PoissonLikelihood
    hyper = (ZERO,)


class ZeroInflatedPoisson(ZeroInflatedCounts):
    """Zero with probability `p0`, else Poisson of mean exposure × exp(eta), log link (R-INLA's type 1).

    The prior of logit(p0) is Gaussian with mean -1 and precision 0.2. Fitted values are means of the Poisson part;
    times 1 - p0 they are means of the response.

    Examples
    --------
    >>> import numpy as np
    >>> counts = ZeroInflatedPoisson().bind([3, 0]).at(np.array([-1.0]))
    >>> counts.log_density(np.array([0.0, 0.0])).round(4)
    array([-3.105 , -0.6201])
    """

    name = "zeroinflatedpoisson1"
    aliases = ("zip",)
    words = "a zero-inflated Poisson"
    first_choice_for = ("zeros", "outliers")
    fixed_scatter = True
    likelihood = ZeroInflatedPoissonLikelihood
