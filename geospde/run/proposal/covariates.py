"""Covariates of a proposed run file: a term of the formula for each raster, and what to do where it has no value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.prediction.grid import Grid
from geospde.run.proposal.writing import Entry
from geospde.survey.covariates.reading import read_covariates
from geospde.survey.survey import Survey
from geospde.text.words import counted, in_unit, listed

CLASSES = 12
"""Whole numbers of at most so many values at the sites are taken for classes."""


def with_covariates(
    entries: Sequence[Entry], files: Sequence[str | Path], survey: Survey, grid: Grid
) -> tuple[Entry, ...]:
    """Return the keys of a run file with those of its covariates.

    Parameters
    ----------
    entries : sequence of Entry
        The other keys.
    files : sequence of path
        Rasters.
    survey : Survey
    grid : Grid
        The cells of the map.

    Raises
    ------
    InputError
        For a raster that cannot be read, or has no value at any site.
    """
    proposed = list(_proposed(files, survey, grid))
    terms = [term for term, _ in proposed]
    of_them = [entry for _, entry in proposed]
    done = []
    for entry in entries:
        if (entry.section, entry.key) == ("model", "formula"):
            formula = entry.value.replace("~ 1 + ", f"~ 1 + {' + '.join(terms)} + ")
            entry = replace(entry, value=formula, comment=f"{entry.comment} {listed(terms)}: from [covariates].")
        if entry.section == "prediction" and of_them:
            done += of_them
            of_them = []
        done.append(entry)
    return tuple(done)


def trend_at_sites(files: Sequence[str | Path], survey: Survey) -> NDArray[np.float64] | None:
    """Return columns of what rasters have at the sites, (sites, columns), classes as indicators; None of none.

    A site without a value has the mean of the others.
    """
    columns: list[NDArray[np.float64]] = []
    for file in files:
        one = read_covariates({"raster": {"raster": str(file), "method": "nearest"}})[0]
        values = one.at_points(survey.coordinates, survey.crs)
        known = values[np.isfinite(values)]
        each = np.unique(known)
        if len(each) < 2:
            continue  # is told later, if it is a fault
        if _are_classes(each):
            columns += [(values == level).astype(float) for level in each[1:]]
        else:
            columns.append(np.where(np.isfinite(values), values - known.mean(), 0.0) / known.std())
    # more columns than a tenth of the sites would explain any response
    return np.column_stack(columns) if columns and len(columns) <= len(survey.points) / 10 else None


def _are_classes(values: NDArray[np.float64]) -> bool:
    """Tell whether distinct values are few, and whole numbers."""
    return len(values) <= CLASSES and bool((values == np.round(values)).all())


def _proposed(files: Sequence[str | Path], survey: Survey, grid: Grid) -> Iterator[tuple[str, Entry]]:
    names: set[str] = set()
    for file in files:
        name = _name(Path(file), {*names, *map(str, survey.points.columns)})
        names.add(name)
        one = read_covariates({name: file})[0]
        values = one.at_points(survey.coordinates, survey.crs)
        plain = read_covariates({name: {"raster": file, "method": "nearest"}})[0]  # not between classes
        own = plain.at_points(survey.coordinates, survey.crs)
        known = np.isfinite(values)
        if not known.any():
            survey.with_covariates({name: file})  # says what is wrong
            raise InputError(f"the raster {file} has no value at any site")
        keys: dict[str, Any] = {"raster": str(file)}
        few = np.unique(own[np.isfinite(own)])
        classes = _are_classes(few)
        ends = (few[0], few[-1]) if classes else (values[known].min(), values[known].max())
        span = f"{' to '.join(in_unit(float(end), '') for end in ends)} at the sites"
        taken = (plain if classes else one).method(grid.cells, survey.crs)
        said = f"{one.source}, {span}; {taken}."
        if classes:
            keys["method"] = "nearest"
            said += ' Whole numbers, few of them: taken for classes; labels = { 1 = "forest" } would name them.'
        else:
            keys["standardise"] = True
            said += " Standardised: its coefficient is the effect of one standard deviation between the sites."
        if not known.all():
            keys["missing"] = "nearest"
            said += f" {counted(int((~known).sum()), 'site')} without a value: the nearest is taken, on the map, too."
        elif not np.isfinite(one.in_cells(grid.cells, survey.crs)).all():
            keys["missing"] = "drop"
            said += ' Cells of the map without a value are left out; missing = "nearest" would fill them.'
        yield f"C({name})" if classes else name, Entry("covariates", name, keys, said)


def _name(path: Path, taken: set[str]) -> str:
    """Return a word for a file's raster that no column has."""
    name = re.sub(r"\W+", "_", path.stem).strip("_").lower() or "raster"
    name = name if not name[0].isdigit() else f"r{name}"
    while name in taken:
        name += "_raster"
    return name
