"""The families of responses, by name.

=======================  ==================================  ========================  ============================
name                     links                               hyperparameters           other names
=======================  ==================================  ========================  ============================
gaussian                 identity                            sigma                     normal
t                        identity                            sigma, df                 student, studentt
lognormal                identity, log                       sigma
gamma                    log                                 shape
poisson                  log
nbinomial                log                                 size                      negbin, negativebinomial, nb
zeroinflatedpoisson1     log                                 p0                        zip
zeroinflatednbinomial1   log                                 size, p0                  zinb
binomial                 logit, probit, cloglog, loglog,
                         cauchit
bernoulli                as binomial
beta                     as binomial                         phi
=======================  ==================================  ========================  ============================

Names, parametrisations and default priors are those of R-INLA's documentation (inla.doc), Rue, Martino & Chopin
(2009), J. R. Statist. Soc. B 71, 319-392, and https://www.r-inla.org. An exposure is of the families of counts alone,
as there; weights multiply the log density of a row. Fitted values are the inverse link of eta, per unit exposure:
means of the response, but for the lognormal (its classes say what) and the zero-inflated (means of the counts).
"""

from difflib import get_close_matches

from geospde.errors import InputError
from geospde.families.base import Family
from geospde.families.continuous.gamma import Gamma
from geospde.families.continuous.gaussian import Gaussian
from geospde.families.continuous.lognormal import LogNormal
from geospde.families.continuous.student_t import StudentT
from geospde.families.counts.negative_binomial import NegativeBinomial
from geospde.families.counts.poisson import Poisson
from geospde.families.counts.zero_inflated_negative_binomial import ZeroInflatedNegativeBinomial
from geospde.families.counts.zero_inflated_poisson import ZeroInflatedPoisson
from geospde.families.likelihood import Likelihood, Parameter
from geospde.families.links import LOG, Link
from geospde.families.proportions.bernoulli import Bernoulli
from geospde.families.proportions.beta import Beta
from geospde.families.proportions.binomial import Binomial

__all__ = [
    "ALIASES", "FAMILIES", "LOG", "Bernoulli", "Beta", "Binomial", "Family", "Gamma", "Gaussian", "Likelihood", "Link",
    "LogNormal", "NegativeBinomial", "Parameter", "Poisson", "StudentT",
    "ZeroInflatedNegativeBinomial", "ZeroInflatedPoisson", "family_by_name",
]  # fmt: skip

FAMILIES: dict[str, type[Family]] = {
    family.name: family
    for family in (
        Gaussian, StudentT, LogNormal, Gamma, Poisson, NegativeBinomial, ZeroInflatedPoisson,
        ZeroInflatedNegativeBinomial, Binomial, Bernoulli, Beta,
    )
}  # fmt: skip
ALIASES = {
    "normal": "gaussian",
    "student": "t",
    "studentt": "t",
    "negbin": "nbinomial",
    "nb": "nbinomial",
    "negativebinomial": "nbinomial",
    "zip": "zeroinflatedpoisson1",
    "zinb": "zeroinflatednbinomial1",
}


def family_by_name(name: str, link: str | None = None) -> Family:
    """Family from its name or an alias, in any case; raises InputError for an unknown one.

    Examples
    --------
    >>> family_by_name("negbin").name, family_by_name("binomial", "cloglog").link.name
    ('nbinomial', 'cloglog')
    """
    plain = str(name).lower().replace("_", "").replace("-", "").replace(" ", "")
    plain = ALIASES.get(plain, plain)
    if plain not in FAMILIES:
        near = get_close_matches(plain, [*FAMILIES, *ALIASES], 1)
        hint = f"did you mean {near[0]!r}? geospde has" if near else "geospde has"
        raise InputError(f"unknown family {name!r}; {hint} {', '.join(map(repr, FAMILIES))}")
    return FAMILIES[plain](link)
