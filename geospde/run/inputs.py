"""What a run reads: the survey of its run file, checked against what the model counts with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geospde.errors import GeospdeWarning, InputError, alert
from geospde.explore.explore import Exploration, explore
from geospde.families.base import Family
from geospde.families.delta import delta_of
from geospde.families.registry import binary, family_by_name, ordered
from geospde.formula.formula import parse_formula
from geospde.formula.parser import parse_sides
from geospde.formula.response import numeric_columns, read_response
from geospde.formula.syntax import Call, Symbol, parts, symbols
from geospde.formula.table import label
from geospde.model.dispersion import with_dispersion
from geospde.model.pattern import refuse_rows
from geospde.run.config import Config
from geospde.run.sections.model import INPUTS
from geospde.survey.areal import read_areal_survey
from geospde.survey.covariates.reading import read_covariates
from geospde.survey.levels import numbered
from geospde.survey.numbers import Vector, others_like_it
from geospde.survey.reading import read_coastline
from geospde.survey.survey import Survey, read_survey
from geospde.terms.registry import special_names
from geospde.text.words import length


def load_survey(config: Config) -> Survey:
    """Read ``[survey]``; the columns that the model counts with must hold numbers that it can use."""
    if config.observations:
        return load_several(config)
    model = config.model
    if config.is_pattern:
        return load_pattern(config)
    response = response_columns(model.formula)
    if not config.has_places and "mesh" in symbols(parse_sides(model.formula)[1]):
        raise InputError(
            "a field is of places, and the survey is of areas",
            remedy='say what a row is of its places: areas = "mean" or "total" in [model]; or take a term of areas, '
            "such as bym2(district, graph=areas)",
        )
    words = response[:1] if model.levels else []
    numeric = [*(name for name in response if name not in words), model.exposure, model.offset, model.weights]
    survey = _read(config, numeric, response[:1])
    delta = delta_of(model.family, model.link)
    family = family_by_name(model.family, model.link) if delta is None else family_by_name(delta.alike)
    if words:
        survey = with_levels(survey, words[0], model.levels or (), family)
    for column in response:
        named = family.name if delta is None else model.family
        _refuse(survey, column, family.outside, f"family {named!r} needs {family.needs}")
    if family.takes_trials and len(response) == 2:
        trials = survey.points[response[1]].to_numpy(dtype=float)
        _refuse(survey, response[0], lambda v: v > trials, "there cannot be more successes than trials")
    if model.exposure:
        _refuse(survey, model.exposure, lambda v: v <= 0, "an exposure must be above 0")
    survey = _with_files(config, survey)
    if survey.areas is not None or not config.covariates:  # of areas they are taken all over them
        return survey
    used = list(parse_formula(model.formula, special_names()).columns)
    if model.formula2 is not None:
        used += parse_formula(f"y ~ {model.formula2.rpartition('~')[2]}", special_names()).columns
    used += parse_formula(with_dispersion("y ~ 1", model.dispformula), special_names()).columns
    return survey.with_covariates(config.covariates, path_of=config.path, used=used)


def _read(config: Config, named: Sequence[str | None], drop_missing: Sequence[str] = ()) -> Survey:
    """Read the layer or the table; the columns that are named must hold numbers.

    Rows of places without one of `drop_missing` are left out.
    """
    keys = config.survey.given()
    if config.survey_name is not None:
        keys["name"] = config.survey_name
    for name in INPUTS:
        if name in keys:
            keys[name] = config.path(keys[name])
    numeric = tuple(dict.fromkeys(name for name in named if name))
    domain = keys.pop("domain", None)
    if domain is not None and not {"coastline", "boundary"} & set(keys):
        keys["boundary"] = domain  # that is what is mapped
    if config.survey.areas is not None:
        return read_areal_survey(**keys, numeric=numeric, lengths=config.has_places)
    return read_survey(**keys, numeric=numeric, drop_missing=tuple(drop_missing))


def load_several(config: Config) -> Survey:
    """Read the survey of each of several likelihoods, in the CRS of the first, and put their places together."""
    import pandas as pd

    parts: list[Survey] = []
    for number, part in enumerate(config.likelihoods(), 1):
        if parts and part.survey.crs is None:
            part = part.replacing("survey", {**part.survey.given(), "crs": parts[0].crs.to_wkt()})
        try:
            parts.append(load_survey(part))
        except InputError as error:
            raise InputError(f"[[observations]] number {number}: {error}") from None
    first = parts[0]
    places = pd.concat([part.points[["geometry"]] for part in parts]).drop_duplicates(ignore_index=True)
    files = tuple(dict.fromkeys(path for part in parts for path in part.sources))
    outlined = next((part for part in parts if part.coastline is not None), first)
    together = Survey(
        places, outlined.coastline, first.crs, config.survey_name or first.name, files,
        source_crs=first.source_crs, outline=outlined.outline, parts=tuple(parts),
    )  # fmt: skip
    return _with_files(config, together)


def load_pattern(config: Config) -> Survey:
    """Read the points of a pattern, which must lie in its domain."""
    model = config.model
    refuse_rows(model.family, exposure=model.exposure, offset=model.offset, weights=model.weights)
    survey = _read(config, ())
    left = model.formula.partition("~")[0].strip()
    if left and left not in survey.points.columns:  # a column of labels is of marks
        raise InputError(
            f"the response of a point pattern is its places: write '~ terms' for the formula, not {model.formula!r}"
        )
    off = np.asarray(survey.points.distance(pattern_domain(config, survey)))
    outside = np.flatnonzero(off > 1e-9 * np.hypot(*np.ptp(survey.coordinates, axis=0)))
    if outside.size:
        row = int(outside[0])
        raise InputError(
            f"lies outside of the domain, by {length(float(off[row]), survey.units)}"
            f"{others_like_it(off > 0) if outside.size > 1 else ''}",
            of=survey.place(row, None),
            remedy="drop it, or widen the domain",
        )
    return _with_files(config, survey)


def pattern_domain(config: Config, survey: Survey) -> Any:
    """Return the polygon in which points of a pattern would have been seen: the domain, else the outline."""
    if config.survey.domain is None:
        if survey.coastline is None:
            raise InputError(
                f"family {config.model.family!r} needs the area in which points would have been seen",
                remedy='name its file, domain = "park.gpkg" in [survey]',
            )
        return survey.coastline
    path, source_crs = config.path(config.survey.domain), config.survey.source_crs
    return read_coastline(path, crs=survey.crs, source_crs=source_crs, layer=None, ring=None)[0]


def around_the_map(config: Config, survey: Survey) -> Any:
    """Return what a small map beside each map shows: the polygons of a file, the coastline, or None for no small map.

    A map of all that the coastline bounds has no small one of it, with a warning.
    """
    inset = config.output.inset
    if isinstance(inset, str):
        return read_coastline(config.path(inset), crs=survey.crs, source_crs=None, layer=None, ring=None)[0]
    if not inset:
        return None
    alert(
        GeospdeWarning(
            "inset = true draws no small map: the maps show all of the land",
            remedy='name a layer of polygons around it, inset = "country.gpkg"',
        )
    )
    return None


def _with_files(config: Config, survey: Survey) -> Survey:
    """Return the survey with the files beside it that a model is made from, which its record is to know, too."""
    support = config.model.areas if isinstance(config.model.areas, Mapping) else {}
    if isinstance(config.output.inset, str):  # what cannot be read is refused before the fit
        around_the_map(config, survey)
    named = [*filter(None, (config.survey.domain, support.get("weights"))), *config.graphs.values()]
    rasters = read_covariates(config.covariates, config.path)
    files = [*map(config.path, named), *(path for one in rasters for path in one.files)]
    there = [path for path in dict.fromkeys(files) if path.is_file() and path not in survey.sources]
    return replace(survey, sources=(*survey.sources, *there))


def explore_survey(config: Config, survey: Survey) -> Exploration | None:
    """Explore a survey that was read for a run: the response as the formula has it, on the family's scale.

    None of a point pattern, which has no response, and of several likelihoods, which have several.
    """
    model = config.model
    if config.is_pattern or config.observations:
        return None
    with survey.rows_called:
        response = read_response(parse_sides(model.formula)[0], survey.points)
    column, *trials = response_columns(model.formula)
    over: str | float | None = model.exposure or (trials[0] if trials else None)
    if over is None and response.trials is not None:
        over = float(response.trials[0])
    delta = delta_of(model.family, model.link)
    found = explore(
        _as_measured(survey, model.formula), column, over, family=model.family if delta is None else delta.alike
    )
    bounds = 0 if response.censoring is None else int(np.count_nonzero(response.censoring.kind))
    classes = tuple(model.levels or ()) if found.observed.classes else ()
    observed = replace(found.observed, classes=classes or found.observed.classes, bounds=bounds)
    return replace(found, observed=observed, summary=replace(found.summary, observed=observed))


def _as_measured(survey: Survey, formula: str) -> Survey:
    """A survey to be looked at: numbers as their rasters have them, what a formula takes for labels as labels."""
    # which responses are bounds explains nothing
    points = survey.points.drop(columns=_censored_by(formula), errors="ignore")
    labels = {
        name
        for node in parts(parse_sides(formula)[1])
        if isinstance(node, Call) and node.function == "C"
        for name in symbols(node)
    }
    columns: dict[str, Any] = {name: points[name].map(label, na_action="ignore") for name in labels & {*points.columns}}
    if survey.covariates is not None:
        columns |= survey.covariates.raw(points.drop(columns=columns))
    return replace(survey, points=points.assign(**columns))


def with_levels(survey: Survey, column: str, levels: Sequence[str], family: Family) -> Survey:
    """Return a survey whose response is the number of its word: from 1 of ordered classes, 0 and 1 of yes and no."""
    if column not in survey.points.columns:
        raise InputError(f"levels are of the words of the response, and there is no column {column!r}")
    if not (family.takes_categories or (family.is_binary and len(levels) == 2)):
        others = f"family {ordered().name!r}, or two of {binary().name!r}"
        raise InputError(f"levels are of {others}, not of {family.name!r}")
    points = survey.points
    codes = numbered(points[column], levels, lambda i: survey.place(i, column), from_zero=family.is_binary)
    return replace(survey, points=points.assign(**{column: codes}))


def _censored_by(formula: str) -> str:
    """The column that says which responses are bounds; an empty text where none does."""
    match parse_sides(formula)[0]:
        case Call("cens", (_, Symbol(name), *_), ()):
            return name
    return ""


def in_short(survey: Survey) -> str:
    """Return what a line of progress says of a survey."""
    return repr(survey).strip("<>").removeprefix("Survey ")


def response_columns(formula: str) -> list[str]:
    """Return the columns on the left of a formula that hold numbers.

    Examples
    --------
    >>> response_columns("p(cases, tested) ~ 1 + spde(mesh)")
    ['cases', 'tested']
    """
    left, _ = parse_sides(formula)
    return numeric_columns(left)


def _refuse(survey: Survey, column: str, wrong: Callable[[Vector], NDArray[Any]], rule: str) -> None:
    """Raise an InputError at the first row where a column breaks a rule."""
    values = survey.points[column].to_numpy(dtype=float)
    bad = np.asarray(wrong(values), dtype=bool)
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(f"{rule}, not {values[row]:g}{others_like_it(bad)}", where=survey.place(row, column))
