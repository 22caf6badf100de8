"""Delta families: whether there is something, and how much of it, each with a predictor of its own."""

import re
from typing import Any, NamedTuple

from geospde.errors import InputError


class Delta(NamedTuple):
    """A delta family: the families of its two parts.

    Attributes
    ----------
    name : str
    presence, positive : str
        Of zeros and ones; of the values above 0.
    links : pair
        Of both; None for that of the family.
    alike : str
        A family in one part of the same responses, for a look at them before any model.
    is_coupled : bool
        Whether the two predictors are the logarithms of numbers and of amounts each: `geospde.families.poisson_link`.
    """

    name: str
    presence: str
    positive: str
    links: tuple[str | None, str | None] = (None, None)
    alike: str = "tweedie"
    is_coupled: bool = False


DELTAS = {
    each.name: each
    for each in (
        Delta("delta_gamma", "bernoulli", "gamma"),
        Delta("delta_lognormal", "bernoulli", "lognormal", (None, "log")),
        Delta("delta_gengamma", "bernoulli", "gengamma"),
        Delta("delta_gamma_mix", "bernoulli", "gamma_mix"),
        Delta("delta_lognormal_mix", "bernoulli", "lognormal_mix", (None, "log")),
        Delta("delta_beta", "bernoulli", "beta", alike="ordered_beta"),
        Delta("delta_truncated_nbinomial", "bernoulli", "truncated_nbinomial", alike="nbinomial"),
        Delta("delta_truncated_nbinomial1", "bernoulli", "truncated_nbinomial1", alike="nbinomial1"),
        Delta("delta_truncated_poisson", "bernoulli", "truncated_poisson", alike="poisson"),
        *(
            Delta(f"delta_poisson_link_{name}", "bernoulli", name, ("cloglog", "log"), is_coupled=True)
            for name in ("gamma", "lognormal", "gengamma", "gamma_mix", "lognormal_mix")
        ),
    )
}
ALIASES = {
    "delta_truncated_nbinom2": "delta_truncated_nbinomial",
    "delta_truncated_nbinom1": "delta_truncated_nbinomial1",
}
_LIKE = {
    **{each.positive.replace("_", ""): each.name for each in DELTAS.values() if not each.is_coupled},
    **dict.fromkeys(("poisson", "p"), "delta_truncated_poisson"),
    **dict.fromkeys(
        ("nbinomial", "nbinom2", "nbinom", "negbinomial", "negbinomial2", "negbin", "negativebinomial", "nb", "nb2"),
        "delta_truncated_nbinomial",
    ),
    "truncatednbinom2": "delta_truncated_nbinomial",
    **dict.fromkeys(("nbinomial1", "nbinom1", "nb1", "truncatednbinom1"), "delta_truncated_nbinomial1"),
    "orderedbeta": "delta_beta",
    "tweedie": "delta_gamma",
}
"""The delta family of a family without its zeros, as this package, glmmTMB, brms, mgcv and R-INLA may write it."""
_OF_ZEROS = re.compile("^(hurdle|zeroaltered|zeroinflated|za|zi)(?=.)")
POISSON_LINK = ("poisson-link", "poisson_link")
PARTS = ("presence", "positive")
"""What tables call the two."""


def delta_of(family: Any, link: Any = None) -> Delta | None:
    """The delta family of a name, in any case, with dashes or not; None for another family.

    Its two links are written one after the other, ``"cloglog, log"``, or given as a pair; ``"poisson-link"`` is the
    family ``delta_poisson_link_...``.
    """
    plain = family.lower().replace("-", "_").replace(" ", "_") if isinstance(family, str) else ""
    found = DELTAS.get(ALIASES.get(plain, plain))
    if found is None or link is None:
        return found
    if link in POISSON_LINK or found.is_coupled:
        name = found.name if found.is_coupled else found.name.replace("delta_", "delta_poisson_link_")
        if link not in POISSON_LINK or name not in DELTAS:
            others = ", ".join(each.name for each in DELTAS.values() if each.is_coupled)
            raise InputError(f"family {found.name!r} has no link {link!r}: a Poisson link is of {others}")
        return DELTAS[name]
    pair = [word.strip() for word in link.split(",")] if isinstance(link, str) else list(link)
    if len(pair) != 2:
        words = "has two links, of its own: leave link= out, or give both"
        raise InputError(f"family {found.name!r} {words}, of {PARTS[0]} and of the {PARTS[1]}, as in 'cloglog, log'")
    return found._replace(links=(pair[0], pair[1]))


def delta_like(family: Any, *, hurdles_alone: bool = False) -> str | None:
    """The delta family nearest to a family with one predictor, which may have the name of another package.

    Parameters
    ----------
    family : str or Family
    hurdles_alone : bool
        Whether only names that tell of zeros have one, as ``"hurdle_gamma"`` does.

    Examples
    --------
    >>> delta_like("hurdle_poisson"), delta_like("ziGamma"), delta_like("zeroinflatednbinomial1"), delta_like("t")
    ('delta_truncated_poisson', 'delta_gamma', 'delta_truncated_nbinomial', None)
    """
    plain = re.sub("[-_ .]", "", str(getattr(family, "name", family)).lower())
    found = _OF_ZEROS.match(plain)
    if found is None:
        return None if hurdles_alone else _LIKE.get(plain)
    rest = plain[found.end() :]
    return _LIKE.get(rest[:-1] if found[1] == "zeroinflated" and rest[-1] in "012" else rest)


def refuse_formula2(family: Any, key: str = "formula2=") -> None:
    """Raise InputError for a second formula beside a family with one predictor: names the nearest that has two."""
    near = delta_like(family) or "delta_gamma"
    one = getattr(family, "name", family)
    raise InputError(f"{key} is only for families of two parts, not for {one!r}", remedy=f"take family {near!r}")
