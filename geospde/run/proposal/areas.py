"""A run file for a survey of areas: neighbours alike, counts over what is expected of each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from geospde.errors import InputError
from geospde.formula.syntax import quoted
from geospde.run.analysis import OWN_GRAPH, make_model
from geospde.run.config import read_config
from geospde.run.proposal.asking import Guesser
from geospde.run.proposal.columns import Column, read_columns
from geospde.run.proposal.family import find_family
from geospde.run.proposal.names import LABELS, folder_of, is_speakable
from geospde.run.proposal.response import Response, find_response
from geospde.run.proposal.roles import Options, find_roles
from geospde.run.proposal.sections import likelihood, title_of
from geospde.run.proposal.writing import Entry, nested
from geospde.survey.areal import read_areal_survey
from geospde.survey.survey import Survey
from geospde.survey.tables import Table
from geospde.text.words import counted, listed

EXPECTED = "expected"  # of an exposure's name: the ratio is a relative risk, and more than 1 is more than expected


def areal_sections(
    path: str | Path, table: Table, options: Options, guesser: Guesser
) -> tuple[tuple[Entry, ...], Survey, Response]:
    """Return the keys of a run file for a layer of polygons, with its survey and response; the model was made.

    Parameters
    ----------
    path : path
        The layer.
    table : Table
        Its rows.
    options : Options
        What the user says about them.
    guesser : Guesser
        Decides what the layer leaves open.

    Raises
    ------
    InputError
        If no column tells the areas apart, or none looks like a response.
    """
    columns = {name: column for name, column in read_columns(table).items() if name != "geometry"}
    label = find_label(table, columns, guesser)
    roles = find_roles(table, columns, {label}, options, guesser)
    survey = read_areal_survey(path, crs=options.crs, layer=options.layer, lengths=False)
    response, _ = find_response(table, roles, survey.coordinates, options.family)
    if options.family is None:  # what areas scatter by themselves is a part of bym2
        family, reason = find_family(roles.response, roles.trials)
        response = replace(response, family=family, reason=reason)
    others = roles.others if roles.year is None else (*roles.others, roles.year)
    entries = tuple(_entries(path, options, survey, response, label, others))
    config = read_config(nested(entries))
    make_model(config, survey, None)
    return entries, survey, response


def find_label(table: Table, columns: dict[str, Column], guesser: Guesser) -> str:
    """Return the column whose values tell the areas apart: a text before a number that is called like a label."""
    texts, codes = [], []
    for name, column in columns.items():
        values = table.frame[name]
        if not is_speakable(name) or values.isna().any() or not values.astype(str).is_unique:
            continue
        if column.values is None:
            texts.append(name)
        elif column.whole and column.words & LABELS:
            codes.append(name)
    found = texts or codes
    if not found:
        raise InputError(
            f"{table.source} has no column that tells its areas apart: a model of areas needs one whose values "
            "differ in every row, such as their names"
        )
    if len(found) == 1:
        return found[0]
    choices = {name: f"such as {table.frame[name].iloc[0]}" for name in found}
    return guesser.choose("what the areas are called", choices, found[0], "a column of names")


def _entries(
    path: str | Path, options: Options, survey: Survey, response: Response, label: str, others: tuple[Column, ...]
) -> Iterator[Entry]:
    names = ", ".join(str(c) for c in survey.points.columns if c != "geometry")
    yield Entry("survey", "areas", str(path), f"{counted(len(survey.points), 'area')}: {names}.")
    optional: dict[str, Any] = {"layer": options.layer, "crs": options.crs}
    for key, value in optional.items():
        if value is not None:
            yield Entry("survey", key, str(value))
    yield Entry("survey", "name", title_of(survey, response, options.named), "The title of maps and report.")
    free = [column.name for column in others]
    more = f" Not used: {listed(free, most=8)}; they may stand beside it, as in ~ 1 + x + bym2(...)." if free else ""
    yield Entry(
        "model", "formula", f"{response.formula} ~ 1 + bym2({quoted(label)}, graph={OWN_GRAPH})",
        "An intercept and an effect of each area, in part alike among those that touch, in part its own. For other "
        f"neighbours write graph=w, and w = a file in [graphs].{more}",
    )  # fmt: skip
    yield from likelihood(response)
    value, what = response.threshold()
    is_risk = response.exposure is not None and EXPECTED in response.exposure.words
    if options.exceed is not None:
        value, what = options.exceed, "the limit that was given"
    elif is_risk:
        value, what = 1.0, "more than expected"
    what += "" if options.exceed is not None else ". Put the limit that matters to you"
    yield Entry("prediction", "exceed", [value], f"The probability of more than this is mapped: {what}.")
    yield Entry("output", "dir", folder_of(options.named or survey.name), "From the folder that the command is run in.")
    words = "relative risk" if is_risk else response.label
    yield Entry("output", "label", words, "What maps and report call the value: put its unit.")


def is_areal(table: Table) -> bool:
    """Tell whether a table is a layer of polygons."""
    kinds = getattr(table.frame, "geom_type", None)
    return kinds is not None and bool(np.all(kinds.dropna().isin(["Polygon", "MultiPolygon"]))) and kinds.notna().any()
