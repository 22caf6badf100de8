"""What the name of a column says of it: words in the singular, since tables call the same things by many names."""

from __future__ import annotations

import re
from collections.abc import Set

RESPONSES = set(
    "abundance affected biomass case catch conc concentration count cpue dead death density detected detection died "
    "dose elisa fraction incidence indicator individual infected infection kg level malaria measured measurement nest "
    "npos number obs observation observed occ occurrence pa parasitaemia pf positive pos presab presence present "
    "prevalence prop proportion pv rate response resp richness seen seropositive sick stunted value wasted weight y "
    "yield z".split()
)
SUBSTANCES = set(
    "arsenic assay cadmium calcium carbon cd chromium cobalt concentration copper cr cu fe fluoride grade hg iron lead "
    "magnesium manganese "
    "mercury mg mn nickel ni nitrate nitrogen nox no2 o3 ozone pb pcb phosphoru phosphorus pm10 pm25 potassium "
    "radon selenium so2 soc thallium thorium uranium zinc zn".split()
)
EXPOSURES = set("area atrisk duration effort expected exposure pop population swept time".split())
AMOUNTS = set("biomass catch cpue kg weight yield".split())
"""Amounts that are of an effort."""
DURATIONS = set("hours hrs minutes mins nights trapnights".split())
"""Exposures by the plural alone."""
TRIALS = set("denom denominator ex examined n ntested samplesize sampled screened size tested total trial".split())
COVARIATES = set(
    "alt altitude aspect bathymetry coast cov covariate date day dem depth dist distance elev elevation evi humidity "
    "latitude lat lon long longitude month ndvi ph precip precipitation rain rainfall salinity shore slope soil sst "
    "temp temperature year".split()
)
TERRAIN = set("alt altitude aspect bathymetry dem elev elevation slope".split())
"""Covariates that are measured to explain others, hardly ever to be mapped."""
PEOPLE = {"pop", "population"}
LABELS = set(
    "batch code dup duplicate fid gid id index key label name no nr objectid plot profile quadrat rec record rep "
    "replicate row sample serial site station survey transect zone".split()
)
CENSORING = set("cens censor censored censoring".split())
YEARS = set("annee ano anno jahr year yr".split())
COUNTERS = ("n", "num", "tot", "total")
"""What a word may begin with that says how many: "ntested", "totalpop"."""


_UNITS_ALONE = set("bq cm count degc ha kg km2 l m m2 m3 mg mm pct percent ppb ppm ug".split())


def without_unit(words: Set[str]) -> Set[str]:
    """Return the words of a name but for those that are units.

    Examples
    --------
    >>> without_unit({"rain", "mm"}), without_unit({"kg"})
    ({'rain'}, set())
    """
    return words - _UNITS_ALONE


_UNIT = re.compile(
    r"(?P<what>.+)_(?:(?P<amount>[kmµun]?g|[mµn]?mol|kg|[mc]?l|count|n)_(?:per_)?(?P<of>kg|g|l|ml|m2|m3|ha|km2)"
    r"|(?P<alone>ppm|ppb|pct|percent|mm|cm|degc|celsius))",
    re.IGNORECASE,
)
_SIGNS = {"pct": "%", "percent": "%", "degc": "°C", "celsius": "°C", "m2": "m²", "m3": "m³", "km2": "km²", "l": "l"}


def with_unit(name: str) -> str:
    """Return the name of a column with the unit at its end in brackets, where it has one.

    Examples
    --------
    >>> with_unit("zinc_mg_kg"), with_unit("no2_ug_m3"), with_unit("clay_pct"), with_unit("sick_n")
    ('zinc (mg/kg)', 'no2 (µg/m³)', 'clay (%)', 'sick_n')
    """
    found = _UNIT.fullmatch(name)
    if found is None:
        return name
    amount, of, alone = (found[key].lower() if found[key] else "" for key in ("amount", "of", "alone"))
    if alone:
        return f"{found['what']} ({_SIGNS.get(alone, alone)})"
    amount = amount.replace("ug", "µg").replace("umol", "µmol")
    return f"{found['what']} ({amount}/{_SIGNS.get(of, of)})"


def is_speakable(name: str) -> bool:
    """Tell whether a formula can name a column: whatever its name, in backquotes, unless it has some itself.

    Examples
    --------
    >>> is_speakable("Zn (mg/kg)"), is_speakable("so`called")
    (True, False)
    """
    return "`" not in name


def folder_of(name: str) -> str:
    """Return the folder of a run of this name, from the folder that the command is run in."""
    slug = re.sub(r"[^\w.-]+", "-", name).strip("-.") or "survey"
    return f"outputs/{slug}"


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
