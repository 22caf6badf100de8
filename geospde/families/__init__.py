"""Families of responses, their links, and the priors of their hyperparameters.

A family is a class derived from `Family`, the responses bound to it one derived from `Likelihood`; ``FAMILIES`` has
those that go by a name. A family of one's own is written in the same way: see "Add a family" in the documentation.
"""

from geospde.families import links, priors
from geospde.families.base import Candidate, Family, not_counts
from geospde.families.continuous.exponential import Exponential
from geospde.families.continuous.gamma import Gamma
from geospde.families.continuous.gaussian import Gaussian
from geospde.families.continuous.generalised_gamma import GeneralisedGamma
from geospde.families.continuous.lognormal import LogNormal
from geospde.families.continuous.student_t import StudentT
from geospde.families.continuous.tweedie import Tweedie
from geospde.families.continuous.weibull import Weibull
from geospde.families.counts.hurdle_negative_binomial import HurdleNegativeBinomial
from geospde.families.counts.hurdle_poisson import HurdlePoisson
from geospde.families.counts.negative_binomial import NegativeBinomial
from geospde.families.counts.negative_binomial_1 import NegativeBinomial1
from geospde.families.counts.poisson import Poisson
from geospde.families.counts.truncated_negative_binomial import TruncatedNegativeBinomial
from geospde.families.counts.truncated_poisson import TruncatedPoisson
from geospde.families.counts.zero_inflated_negative_binomial import ZeroInflatedNegativeBinomial
from geospde.families.counts.zero_inflated_poisson import ZeroInflatedPoisson
from geospde.families.likelihood import Derivatives, Likelihood, Parameter, spread
from geospde.families.links import Link
from geospde.families.ordered.ordinal import Ordinal
from geospde.families.patterns.lgcp import Lgcp
from geospde.families.proportions.bernoulli import Bernoulli
from geospde.families.proportions.beta import Beta
from geospde.families.proportions.beta_binomial import BetaBinomial
from geospde.families.proportions.binomial import Binomial
from geospde.families.proportions.ordered_beta import OrderedBeta
from geospde.families.registry import FAMILIES, family_by_name

__all__ = [
    "FAMILIES", "Bernoulli", "Beta", "BetaBinomial", "Binomial", "Candidate", "Derivatives", "Exponential",
    "Family", "Gamma", "Gaussian", "GeneralisedGamma", "HurdleNegativeBinomial", "HurdlePoisson", "Lgcp", "Likelihood",
    "Link", "LogNormal", "NegativeBinomial", "NegativeBinomial1", "OrderedBeta", "Ordinal", "Parameter", "Poisson",
    "StudentT", "TruncatedNegativeBinomial", "TruncatedPoisson", "Tweedie", "Weibull",
    "ZeroInflatedNegativeBinomial", "ZeroInflatedPoisson", "family_by_name", "links", "not_counts", "priors",
    "spread",
]  # fmt: skip
