"""Covariates of a proposed run file: a term of the formula for each raster, and what to do where it has no value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.prediction.grid import Grid
from geospde.run.proposal.frame import Layer
from geospde.run.proposal.writing import Entry
from geospde.survey.covariates.base import Covariate
from geospde.survey.covariates.raster import Raster
from geospde.survey.covariates.reading import read_covariates
from geospde.survey.survey import Survey
from geospde.text.words import counted, in_unit, listed

CLASSES = 12
"""Whole numbers of at most so many values at the sites are taken for classes."""


@dataclass(frozen=True)
class SiteRaster:
    """A raster, and what it has at the sites.

    Attributes
    ----------
    name : str
        What the run file calls it, a name that no column of the survey has.
    file : path
        As it was given.
    plain : Covariate
        Read without a mean of neighbouring cells, which between two classes is neither.
    values : (sites,) array
        By it, NaN where there is none.
    band : str or int, optional
        Which band, where the file has several.
    """

    name: str
    file: str
    plain: Covariate
    values: NDArray[np.float64]
    band: str | int | None = None

    @cached_property
    def levels(self) -> NDArray[np.float64]:
        """Its distinct values at the sites."""
        return np.unique(self.values[np.isfinite(self.values)])

    @property
    def has_classes(self) -> bool:
        """Whether its values are few, and whole numbers."""
        return len(self.levels) <= CLASSES and bool((self.levels == np.round(self.levels)).all())


def rasters_at_sites(files: Sequence[str | Path], survey: Survey) -> list[SiteRaster]:
    """Read rasters at the sites.

    Raises
    ------
    InputError
        For one that cannot be read.
    """
    found: list[SiteRaster] = []
    for file in files:
        path, band = _file_and_band(file)
        taken = {*(one.name for one in found), *map(str, survey.points.columns)}
        name = _name(Path(path).stem if band is None or isinstance(band, int) else band, taken)
        keys = {"raster": path} if band is None else {"raster": path, "band": band}
        (plain,) = read_covariates({name: {**keys, "method": "nearest"}})
        found.append(SiteRaster(name, path, plain, plain.at_points(survey.coordinates, survey.crs), band))
    return found


def raster_layers(files: Sequence[str | Path]) -> list[Layer]:
    """Return where rasters lie that state their CRS; what cannot be read is told later."""
    found: list[Layer] = []
    for file in files:
        path, _ = _file_and_band(file)
        try:
            (raster,) = read_covariates({"raster": {"raster": path, "band": 1}})
        except InputError:
            continue
        assert isinstance(raster, Raster)
        frame = raster.pixels.frame
        if frame.crs is not None:
            ends = [[frame.x0, frame.y1 - frame.rows * frame.dy], [frame.x0 + frame.cols * frame.dx, frame.y1]]
            found.append(Layer(raster.source, frame.crs, np.array(ends)))
    return found


def _file_and_band(given: str | Path) -> tuple[str, str | int | None]:
    """Return the file and the band of ``FILE:BAND``."""
    text = str(given)
    file, colon, band = text.rpartition(":")
    if not colon or Path(text).exists() or not Path(file).is_file():
        return text, None
    return file, int(band) if band.isdecimal() else band


def with_covariates(
    entries: Sequence[Entry], rasters: Sequence[SiteRaster], survey: Survey, grid: Grid
) -> tuple[Entry, ...]:
    """Return the keys of a run file with those of its covariates.

    Parameters
    ----------
    entries : sequence of Entry
        The other keys.
    rasters : sequence of SiteRaster
    survey : Survey
    grid : Grid
        The cells of the map.

    Raises
    ------
    InputError
        For a raster that has no value at any site.
    """
    proposed = list(_proposed(rasters, survey, grid))
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


def trend_of(rasters: Sequence[SiteRaster]) -> NDArray[np.float64] | None:
    """Return columns of what rasters have at the sites, (sites, columns), classes as indicators; None of none.

    A site without a value has the mean of the others.
    """
    columns: list[NDArray[np.float64]] = []
    for raster in rasters:
        values = raster.values
        if len(raster.levels) < 2:
            continue  # is told later, if it is a fault
        if raster.has_classes:
            columns += [(values == level).astype(float) for level in raster.levels[1:]]
        else:
            known = np.isfinite(values)
            mean, sd = values[known].mean(), values[known].std()
            columns.append(np.where(known, values - mean, 0.0) / sd)
    # more columns than a tenth of the sites would explain any response
    return np.column_stack(columns) if columns and len(columns) <= len(rasters[0].values) / 10 else None


def _proposed(rasters: Sequence[SiteRaster], survey: Survey, grid: Grid) -> Iterator[tuple[str, Entry]]:
    for raster in rasters:
        name, file, classes, few = raster.name, raster.file, raster.has_classes, raster.levels
        one, values = raster.plain, raster.values
        keys: dict[str, Any] = {"raster": file} if raster.band is None else {"raster": file, "band": raster.band}
        if not classes:
            (one,) = read_covariates({name: keys.copy()})
            values = one.at_points(survey.coordinates, survey.crs)
        known = np.isfinite(values)
        if not known.any():
            survey.with_covariates({name: keys})  # says what is wrong
            raise InputError(f"the raster {file} has no value at any site")
        ends = (few[0], few[-1]) if classes else (values[known].min(), values[known].max())
        span = f"{' to '.join(in_unit(float(end), '') for end in ends)} at the sites"
        said = f"{one.source}, {span}; {one.method(grid.cells, survey.crs)}."
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


def _name(called: str, taken: set[str]) -> str:
    """Return a word for a raster that no column has."""
    name = re.sub(r"\W+", "_", called).strip("_").lower() or "raster"
    name = name if not name[0].isdigit() else f"r{name}"
    while name in taken:
        name += "_raster"
    return name
