"""The families of responses, by name.

=======================  ==================================  ========================  ============================
name                     links                               hyperparameters           other names
=======================  ==================================  ========================  ============================
gaussian                 identity, log, inverse              sigma                     normal
t                        identity, log, inverse              sigma, df                 student, studentt
lognormal                log, inverse                        sigma
gamma                    log, inverse, identity              shape
gengamma                 log, inverse, identity              sigma, Q                  generalisedgamma
tweedie                  log, identity                       p, phi
weibull                  log                                 shape                     weibullsurv
exponential              log                                                           exponentialsurv
poisson                  log, identity, sqrt
nbinomial                log, identity, sqrt                 size                      negbin, negativebinomial, nb
nbinomial1               log                                 phi                       nbinom1, nb1
zeroinflatedpoisson1     log                                 p0                        zip
zeroinflatednbinomial1   log                                 size, p0                  zinb
zeroinflatedpoisson0     log                                 p0                        hurdlepoisson
zeroinflatednbinomial0   log                                 size, p0                  hurdlenbinomial
truncated_poisson        log
truncated_nbinomial      log                                 size                      truncatednbinom2
truncated_nbinomial1     log                                 phi                       truncatednbinom1
gamma_mix                log, inverse, identity              shape, p_extreme, ratio
lognormal_mix            log, inverse, identity               sigma, p_extreme, ratio
nbinomial_mix            log, identity, sqrt                 size, p_extreme, ratio    nbinom2mix
binomial                 logit, probit, cloglog, loglog,
                         cauchit
bernoulli                as binomial
betabinomial             as binomial                         overdispersion
beta                     as binomial                         phi
ordered_beta             logit                               phi, cut, gap             ordbeta
ordinal                  logit, probit, cauchit              gap1, gap2, ...           cumulative, polr
lgcp                     log                                                           cp, pointpattern
=======================  ==================================  ========================  ============================

Names, parametrisations and default priors are those of R-INLA's documentation (inla.doc), Rue, Martino & Chopin
(2009), J. R. Statist. Soc. B 71, 319-392, and https://www.r-inla.org. An exposure is of the families of counts alone,
as there; weights multiply the log density of a row. Fitted values are the inverse link of eta, per unit exposure:
means of the response, but for families whose classes say of what else (`Family.fitted_is`).
"""

import sys
from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from geospde.errors import InputError
from geospde.families.base import Candidate, Family
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
from geospde.families.counts.truncated_negative_binomial_1 import TruncatedNegativeBinomial1
from geospde.families.counts.truncated_poisson import TruncatedPoisson
from geospde.families.counts.zero_inflated_negative_binomial import ZeroInflatedNegativeBinomial
from geospde.families.counts.zero_inflated_poisson import ZeroInflatedPoisson
from geospde.families.delta import DELTAS, delta_like, delta_of
from geospde.families.mixtures.gamma_mix import GammaMix
from geospde.families.mixtures.lognormal_mix import LogNormalMix
from geospde.families.mixtures.negative_binomial_mix import NegativeBinomialMix
from geospde.families.ordered.ordinal import Ordinal
from geospde.families.patterns.lgcp import Lgcp
from geospde.families.proportions.bernoulli import Bernoulli
from geospde.families.proportions.beta import Beta
from geospde.families.proportions.beta_binomial import BetaBinomial
from geospde.families.proportions.binomial import Binomial
from geospde.families.proportions.ordered_beta import OrderedBeta
from geospde.text.words import in_brief, listed

REGISTERED: tuple[type[Family], ...] = (
    Gaussian,
    StudentT,
    LogNormal,
    Gamma,
    GeneralisedGamma,
    Tweedie,
    Weibull,
    Exponential,
    Poisson,
    NegativeBinomial,
    NegativeBinomial1,
    ZeroInflatedPoisson,
    ZeroInflatedNegativeBinomial,
    HurdlePoisson,
    HurdleNegativeBinomial,
    TruncatedPoisson,
    TruncatedNegativeBinomial,
    TruncatedNegativeBinomial1,
    GammaMix,
    LogNormalMix,
    NegativeBinomialMix,
    Binomial,
    Bernoulli,
    BetaBinomial,
    Beta,
    OrderedBeta,
    Ordinal,
    Lgcp,
)
FAMILIES = {family.name: family for family in REGISTERED}
ALIASES = {alias: family.name for family in REGISTERED for alias in family.aliases}
PLAIN = {name.replace("_", ""): name for name in FAMILIES} | ALIASES
DEFAULT = Gaussian.name
SUGGESTED = (Binomial, Bernoulli, Poisson, Beta, Tweedie, LogNormal, Gamma, Gaussian)  # the narrower support first


def binary() -> type[Family]:
    """The family of zeros and ones."""
    return next(family for family in REGISTERED if family.is_binary)


def ordered() -> type[Family]:
    """The family of ordered categories."""
    return next(family for family in REGISTERED if family.takes_categories)


def family_by_name(name: str, link: str | None = None) -> Family:
    """Family from its name or an alias, in any case; raises InputError for an unknown one.

    Parameters
    ----------
    name : str
        Or where a class of one's own is to be imported from: ``"module:Class"``.
    link : str, optional

    Examples
    --------
    >>> family_by_name("negbin").name, family_by_name("binomial", "cloglog").link.name
    ('nbinomial', 'cloglog')
    """
    if ":" in name:
        return imported(name)(link)
    plain = name.lower().replace("_", "").replace("-", "").replace(" ", "")
    if plain not in PLAIN:
        _refuse_name(name, plain)
    return FAMILIES[PLAIN[plain]](link)


def _refuse_name(name: str, plain: str) -> NoReturn:
    """Raise InputError for a name that no family of one predictor has."""
    if delta_of(name) is not None:
        raise InputError(
            f"the family {name!r} has two parts",
            remedy="give it to gs.fit(formula, data, family=...), or its parts as two likelihoods",
        )
    near = delta_like(name, hurdles_alone=True)
    if near is None or "truncated" in near:  # counts behind a hurdle have families of one predictor, too
        near = next(iter(get_close_matches(plain, [*FAMILIES, *ALIASES, *DELTAS], 1)), None)
    hint = f"the families are {listed(FAMILIES)}" if near is None else f"did you mean {near!r}?"
    raise InputError(f"unknown family {name!r}", remedy=hint)


def read_family(given: Any, link: str | None = None) -> Family:
    """Family as users give it: a name, an object, or a class.

    Raises
    ------
    InputError
        For anything else, or a link beside an object that has another.
    """
    if isinstance(given, Family):
        if link not in (None, given.link.name):
            raise InputError(
                f"the link of a family that is given as an object stands on it, as {type(given).__name__}({link!r})"
            )
        return given
    if isinstance(given, type) and issubclass(given, Family):
        return given(link)
    if isinstance(given, str):
        return family_by_name(given, link)
    raise InputError(f"a family is a name, such as {DEFAULT!r}, or a geospde.families.Family, not {in_brief(given)}")


def path_of(family: Family) -> str:
    """What `family_by_name` makes a family of this class from: its name, or ``"module:Class"`` of one's own.

    Raises
    ------
    InputError
        For a class that stands in no module under its own name.
    """
    kind = type(family)
    if FAMILIES.get(family.name) is kind:
        return family.name
    path = f"{kind.__module__}:{kind.__qualname__}"
    try:
        found = imported(path)
    except InputError:
        found = None
    if found is not kind:
        raise InputError(
            f"the family {kind.__name__} cannot be found again as {path!r}: define its class at the top of a module"
        )
    return path


def imported(path: str) -> type[Family]:
    """Class of a family from ``"module:Class"``, the current folder included; raises InputError where there is none."""
    module, _, name = path.partition(":")
    wanted = f"the family {path!r} cannot be imported"
    here, places = str(Path.cwd()), list(sys.path)
    if here not in places:
        sys.path.append(here)  # as Python does for a module that is run
    try:
        found: Any = import_module(module)
    except Exception as error:  # the module may fail in any way
        where = "its module must be where Python looks for modules, or in the current folder"
        raise InputError(f"{wanted}: {type(error).__name__}, {error}; {where}") from None
    finally:
        sys.path[:] = places
    for part in name.split("."):
        found = getattr(found, part, None)
    if not (isinstance(found, type) and issubclass(found, Family)):
        where = "the script that runs now" if module == "__main__" else f"module {module!r}"
        raise InputError(f"{wanted}: {where} has no class {name!r} of a geospde.families.Family")
    return found


def suggest(candidate: Candidate) -> tuple[Family, str]:
    """The family that values of a response suggest, with the reason."""
    found = (family.suggested_by(candidate) for family in SUGGESTED)
    return next(each for each in found if each is not None)


def names(which: Callable[[type[Family]], Any]) -> list[str]:
    """Names of the registered families of which something is true.

    Examples
    --------
    >>> names(lambda family: "skewness" in family.first_choice_for)
    ['lognormal', 'gamma']
    """
    return [family.name for family in REGISTERED if which(family)]
