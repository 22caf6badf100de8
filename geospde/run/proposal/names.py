"""What the name of a column says of it: words in the singular, since tables call the same things by many names."""

from __future__ import annotations

from collections.abc import Set

RESPONSES = set(
    "abundance affected biomass case catch conc concentration count cpue dead death density detected detection died "
    "dose elisa fraction incidence indicator individual infected infection kg level malaria measured measurement nest "
    "npos number obs observation observed occ occurrence pa parasitaemia pf positive pos presab presence present "
    "prevalence prop proportion pv rate response resp richness seen seropositive sick stunted value wasted weight y "
    "yield z".split()
)
SUBSTANCES = set(
    "arsenic cadmium calcium carbon cd chromium cobalt copper cr cu fe fluoride hg iron lead magnesium manganese "
    "mercury mg mn nickel ni nitrate nitrogen nox no2 o3 ozone pb pcb phosphoru phosphorus pm10 pm25 potassium "
    "radon selenium so2 soc thallium thorium uranium zinc zn".split()
)
EXPOSURES = set("area atrisk duration effort expected exposure pop population swept time".split())
TRIALS = set("denom denominator ex examined n ntested samplesize sampled screened size tested total trial".split())
COVARIATES = set(
    "alt altitude aspect cov covariate date day depth dist distance elev elevation humidity latitude lat lon long "
    "longitude month ndvi ph precip precipitation rain rainfall salinity slope soil sst temp temperature year".split()
)
LABELS = set(
    "batch code dup duplicate fid gid id index key label name no objectid plot quadrat rep replicate row sample site "
    "station transect zone".split()
)
CENSORING = set("cens censor censored censoring".split())
YEARS = set("annee ano anno jahr year yr".split())
COUNTERS = ("n", "num", "tot", "total")
"""What a word may begin with that says how many: "ntested", "totalpop"."""


def says(words: Set[str], vocabulary: Set[str]) -> bool:
    """Tell whether one of a name's words is of a vocabulary, or would be without "n" or "total" before it.

    Examples
    --------
    >>> says({"numexamined"}, TRIALS), says({"npos"}, RESPONSES), says({"name"}, RESPONSES)
    (True, True, False)
    """
    return bool(words & vocabulary) or any(
        len(word) > len(start) + 2 and word.removeprefix(start) in vocabulary
        for word in words
        for start in COUNTERS
        if word.startswith(start)
    )
