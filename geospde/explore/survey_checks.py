"""What may be wrong with a survey before anything is fitted to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from geospde.explore.observed import Observed
from geospde.explore.robust import OUTLYING, robust_z
from geospde.explore.variogram import Variogram
from geospde.families.base import Family
from geospde.families.registry import names
from geospde.survey.crs import is_local
from geospde.survey.places import check_places, code_of_grid, looks_like_grid
from geospde.survey.survey import TINY, Survey, off_the
from geospde.text.findings import Finding
from geospde.text.systems import crs_name
from geospde.text.words import counted, length, number

if TYPE_CHECKING:
    import pandas as pd


FEW, VERY_FEW = 30, 10
"""Sites below which a range of correlation is told by its prior (note), and by nothing else (warning)."""

UNEVEN, VERY_UNEVEN = 20.0, 200.0
"""Largest exposure over the smallest."""

WILD = 10.0
"""Robust z-score that no family's tail explains: more likely a slipped digit than a reading."""

MANY = 0.1
"""Share of outliers from which they are the distribution's shape."""


def check_survey(
    survey: Survey,
    observed: Observed | None = None,
    *,
    covariates: pd.DataFrame | None = None,
    variogram: Variogram | None = None,
) -> tuple[Finding, ...]:
    """Look for what may be wrong with a survey.

    Parameters
    ----------
    survey : Survey
    observed : Observed, optional
        Its response and exposure, to be looked at too.
    covariates : DataFrame, optional
        Its covariates, one row per site.
    variogram : Variogram, optional
        Of the response.

    Returns
    -------
    tuple of Finding
        One or more on every subject, those where all is well too.
    """
    found = [_size(survey), *_coordinates(survey), _duplicates(survey, observed), *_at_sea(survey)]
    if observed is not None:
        found += [*_exposure(survey, observed), _response(observed), *_outliers(survey, observed)]
    if covariates is not None:
        found += _covariates(survey, covariates)
    if variogram is not None:
        found.append(check_structure(variogram, survey.word))
    return tuple(found)


def _size(survey: Survey) -> Finding:
    n = len(np.unique(survey.coordinates, axis=0))
    message = f"{counted(n, 'place')} with measurements"
    if n < FEW:
        level = "warning" if n < VERY_FEW else "note"
        remedy = "the priors decide on range and spread: state them in [priors], and measure at more places if you can"
        return Finding(level, f"number of {survey.word}s", message, remedy)
    return Finding("ok", f"number of {survey.word}s", message)


def _coordinates(survey: Survey) -> list[Finding]:
    west, south, east, north = survey.points.total_bounds
    span, subject = max(east - west, north - south), "coordinates"
    if survey.areas is not None and survey.crs.is_geographic:  # only those that need no lengths come so far
        return [Finding("ok", subject, f"{crs_name(survey.crs)}; areas by their labels need no lengths")]
    if survey.crs.is_geographic:
        what = f"they are in degrees ({crs_name(survey.crs)}), and meshes and ranges need lengths"
        remedy = "set crs in [survey] to a projected one, such as the UTM zone of the place"
        return [Finding("error", subject, what, remedy)]
    found = check_places(survey.crs, survey.coordinates, survey.place, survey.units)
    like_degrees = -180 <= west and east <= 180 and -90 <= south and north <= 90
    if like_degrees and survey.units == "m" and span < TINY:
        what = f"the survey is {length(span, survey.units)} across, and all of it would pass for longitude and latitude"
        remedy = "if it is, set source_crs = 'EPSG:4326' and a projected crs in [survey]"
        found.append(Finding("warning", subject, what, remedy))
    if is_local(survey.crs) and looks_like_grid(survey.coordinates, survey.units):
        what = "the numbers are such as UTM or a national grid has, and crs says a frame of its own"
        remedy = f"if they are, that grid's crs in [survey], by {code_of_grid(survey.units)}, puts the maps into place"
        found.append(Finding("note", subject, what, remedy))
    return found or [Finding("ok", subject, f"{crs_name(survey.crs)}, {length(span, survey.units)} across")]


def _duplicates(survey: Survey, observed: Observed | None) -> Finding:
    _, again, counts = np.unique(survey.coordinates, axis=0, return_inverse=True, return_counts=True)
    rows = np.flatnonzero(counts[again.ravel()] > 1)
    if not len(rows):
        return Finding("ok", f"duplicated {survey.word}s", "no place was measured twice")
    message = f"{counted(int((counts > 1).sum()), 'place')} measured more than once, in {counted(len(rows), 'row')}"
    remedy = "if they are repeats, keep them: each counts as a measurement of its own; else drop them"
    if observed is not None:
        whole = np.column_stack([survey.coordinates, observed.values, observed.exposures])
        copies = len(whole) - len(np.unique(whole, axis=0))
        if copies:
            message += f"; {counted(copies, 'row repeats', 'rows repeat')} the reading too, as if entered twice"
            remedy = "drop what was entered twice; true repeats may stay"
    return Finding("warning", f"duplicated {survey.word}s", message, remedy, tuple(map(int, rows)))


def _at_sea(survey: Survey) -> Iterator[Finding]:
    if survey.coastline is None:
        yield Finding(
            "note",
            "coastline",
            "there is none: what is mapped is the convex hull of the sites",
            "give coastline in [survey], a polygon of the land or whatever area the survey is about",
        )
        return
    subject = f"{survey.word}s at sea" if survey.outline == "coastline" else f"{survey.word}s outside"
    off = survey.offshore()
    rows = np.flatnonzero(off > 0)
    if not len(rows):
        yield Finding("ok", subject, f"all {survey.word}s lie within the {survey.outline}")
        return
    rows = rows[np.argsort(-off[rows])]
    by = ", ".join(length(float(off[i]), survey.units) for i in rows[:5]) + (", ..." if len(rows) > 5 else "")
    yield Finding(
        "warning",
        subject,
        f"{len(rows)} of {counted(len(off), survey.word)} {off_the(survey.outline)}, by {by}; the first of these is "
        f"{_where(survey, rows[0])}",
        f"correct the {survey.word}s or the {survey.outline}, or leave them: they are used where they are, if the mesh "
        "reaches them",
        tuple(map(int, rows)),
    )


def _exposure(survey: Survey, observed: Observed) -> Iterator[Finding]:
    if observed.exposure is None:
        return
    e = observed.exposures
    rows = np.flatnonzero(~(e > 0))
    if len(rows):
        untried = observed.over == "trials"
        nothing = "the fit leaves them out" if untried else f"nothing can be counted over no {observed.over}"
        yield Finding(
            "note" if untried else "error",
            observed.over,
            f"{observed.exposure!r} is not above 0 in {counted(len(rows), 'row')}, first in {_where(survey, rows[0])}",
            f"correct these rows or leave them out: {nothing}",
            tuple(map(int, rows)),
        )
    low, high = e[e > 0].min(initial=np.inf), e.max()
    few = "few trials" if observed.over == "trials" else "short exposures"
    spread = f"{observed.exposure!r} runs from {number(low)} to {number(high)}"
    if high == low:
        yield Finding(
            "note",
            observed.over,
            f"{observed.exposure!r} is {number(low)} everywhere",
            "" if observed.over == "trials" else "it sets the unit of the rate, and changes nothing else",
        )
    elif high / low > UNEVEN:
        level = "warning" if high / low > VERY_UNEVEN else "note"
        yield Finding(
            level,
            observed.over,
            f"{spread}, {number(_rough(high / low))} to 1",
            f"check its unit in every row; {few} make noisy rates: read the map of rates with their size",
        )
    elif not len(rows):
        yield Finding("ok", observed.over, spread)


def _response(observed: Observed) -> Finding:
    y = observed.values
    if np.ptp(y) == 0 and (observed.exposure is None or y[0] == 0 or np.ptp(observed.exposures) == 0):
        return Finding(
            "error",
            "response",
            f"{observed.response!r} is {number(y[0])} in every row",
            "name the column that varies: a constant has no map",
        )
    zeros = float(np.mean(y == 0))
    spread = f"{observed.response!r} runs from {number(y.min())} to {number(y.max())}"
    if observed.classes:
        spread = f"{observed.response!r} is in {counted(len(observed.classes), 'class', 'classes')}"
    if observed.scale == "log" and zeros > 0.5:
        return Finding(
            "note",
            "response",
            f"{spread}, and {100 * zeros:.0f} % of it is zero",
            f"if a field does not explain the zeros, compare family = {_choices('zeros', observed)}",
        )
    return Finding("ok", "response", spread)


def _outliers(survey: Survey, observed: Observed) -> Iterator[Finding]:
    if not observed.known.any():
        return
    z = robust_z(observed.scaled)
    rows = np.flatnonzero(np.abs(z) > OUTLYING)
    rows = rows[np.argsort(-np.abs(z[rows]))]
    if not len(rows):
        yield Finding("ok", "outliers", f"no {observed.scale_label} stands out")
        return
    share, positive = len(rows) / len(z), bool((observed.values > 0).all())
    stand = f"{counted(len(rows), 'value stands', 'values stand')} out in {observed.scale_label}"
    if observed.scale == "value" and positive and (np.abs(robust_z(np.log(observed.rates))) <= OUTLYING).all():
        yield Finding(
            "note",
            "outliers",
            f"{stand}, none of its logarithm: the distribution is skewed",
            f"take family = {_choices('skewness', observed)}",
            tuple(map(int, rows)),
        )
    elif share > MANY:
        yield Finding(
            "note",
            "outliers",
            f"{stand}, {100 * share:.0f} % of all: that is its shape, not a mistake in some",
            f"take a family with heavier tails, {_choices('outliers', observed)}, or covariates that explain it",
            tuple(map(int, rows)),
        )
    else:
        furthest = rows[0]
        yield Finding(
            "warning" if abs(z[furthest]) > WILD else "note",
            "outliers",
            f"{stand}; the furthest, by {abs(z[furthest]):.1f} robust standard deviations: "
            f"{number(_rough(observed.rates[furthest], 3))} in {_where(survey, furthest)}",
            "check these rows at the source; if they are right, keep them, and see if a family with heavier tails fits",
            tuple(map(int, rows)),
        )


def _choices(shown: str, observed: Observed) -> str:
    """The families to try first where a survey shows this: those that are for such values, and not the one it has."""
    known = observed.values[np.isfinite(observed.values)]
    whole = bool((known == np.round(known)).all())

    def suits(family: type[Family]) -> bool:
        mine = family.name == observed.family
        return shown in family.first_choice_for and not mine and not family().outside(known).any()

    alike = names(lambda family: suits(family) and family.is_discrete == whole)
    return " or ".join(f'"{name}"' for name in alike or names(suits))


def _covariates(survey: Survey, covariates: pd.DataFrame) -> Iterator[Finding]:
    for name in covariates.columns:
        column = covariates[name]
        missing = np.flatnonzero(column.isna())
        if len(missing):
            yield Finding(
                "warning",
                f"covariate {name}",
                f"it is missing in {counted(len(missing), 'row')}, first in {_where(survey, missing[0])}",
                "fill it in or leave these rows out before a model uses it",
                tuple(map(int, missing)),
            )
        elif column.nunique() == 1:
            yield Finding("note", f"covariate {name}", "it is the same in every row", "it cannot explain anything")


def check_structure(variogram: Variogram, word: str, says_range: bool = True) -> Finding:
    """Say whether neighbours are alike, and from how far, unless something else says that."""
    subject, p = "spatial structure", f"p = {variogram.p:.2g}, {variogram.permutations} permutations"
    if variogram.p > 1 - variogram.level:
        what = "a field" if word == "site" else "an effect that neighbours share"
        return Finding(
            "note",
            subject,
            f"{variogram.label} varies no less between neighbours than between any two {word}s ({p})",
            f"{what} may have nothing to carry at these distances: compare with a model without it",
        )
    reach = variogram.structure
    about = f"; the variogram suggests a range of about {length(_rough(reach.range), variogram.unit)}" if reach else ""
    guess = about if says_range else ""
    return Finding("ok", subject, f"{variogram.label} is similar at neighbouring {word}s ({p}){guess}")


def _where(survey: Survey, row: int) -> str:
    """Return a row's place in its file and on the ground."""
    x, y = survey.coordinates[row]
    return f"{survey.place(int(row), None)} ({number(x)}, {number(y)})"


def _rough(value: float, digits: int = 2) -> float:
    """Two significant digits, all that a guess deserves, or as many as asked for."""
    return float(f"{value:.{digits}g}")
