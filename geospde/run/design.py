"""Where to sample next, for the fit of a run."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import shapely

from geospde.errors import GeospdeWarning, InputError
from geospde.plots.frame import figure_png
from geospde.prediction.design import Design, design
from geospde.prediction.grid import Grid
from geospde.run.config import Config
from geospde.run.folders import whole_folder
from geospde.run.logs import LOG, begin, keep_log
from geospde.run.progress import Progress, StepLog, announce_compiling
from geospde.run.stored_fit import find_run, fitted
from geospde.survey.paths import refuse_unreadable
from geospde.survey.survey import Survey, off_the, read_survey
from geospde.text.words import counted, length

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd

MARK = "design.csv"
"""Tells a design's folder, which may be replaced, from somebody's other work."""
FILES = ("present.csv", "design.gpkg", "design.gpx", "design.png", LOG)
"""What the folder holds, beside its mark."""

ALONG = 40  # cells of the grid of candidates, along the longer side of the area


@dataclass(frozen=True)
class Designed:
    """What `design_run` made.

    Attributes
    ----------
    design : Design
    folder : pathlib.Path
    """

    design: Design
    folder: Path

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain types, for JSON."""
        sites = self.design.sites.to_dict(orient="records")
        return {
            "folder": str(self.folder),
            "criterion": self.design.criterion,
            "start": self.design.start,
            "sites": sites,
        }


def design_run(
    source: str | Path | Mapping[str, Any] | Config,
    *,
    add: int,
    candidates: str | Path | None = None,
    criterion: str = "variance",
    threshold: float | None = None,
    min_distance: float = 0.0,
    out: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Designed:
    """Choose sites to sample next for a run file; the fit in its folder is taken if that is up to date.

    Parameters
    ----------
    source : path, mapping or Config
    add : int
    candidates : path, optional
        A layer of points, of which those outside of the survey's area are left out, with a warning; by default the
        cells of a grid over the area, 40 along its longer side.
    criterion, threshold, min_distance
        As of `geospde.design`.
    out : path, optional
        The folder to write; by default the run's with ``-design`` after its name.
    overwrite : bool
        Replace the folder of an earlier design.
    progress : Progress, optional

    Raises
    ------
    InputError
        If the run file, the data, a choice or the folder need mending.
    """
    log = StepLog(progress or Progress())
    run = find_run(source)
    if candidates is not None:
        refuse_unreadable(candidates, "candidates")
    if not run.config.has_places:
        raise InputError("a design is of places to sample, and the survey is of areas by their labels")
    begin(log, f"design {run.source}".strip())
    target = Path(out) if out is not None else run.beside("design")
    reads = [*run.config.files_read(), *([] if candidates is None else [candidates])]
    with (
        keep_log(log, target),
        whole_folder(target, overwrite=overwrite, mark=MARK, what="design", reads=reads, writes=FILES) as folder,
    ):
        with announce_compiling(log):
            made = fitted(run, log)
            if made.survey is None:
                raise InputError("a design needs the area of the survey: name the run file, not the folder of the run")
            area = made.survey.domain
            west, south, east, north = area.bounds
            grid = Grid.around(area, cell=max(east - west, north - south) / ALONG, crs=made.survey.crs)
            chosen: Any = grid
            with log.step("design") as summarise:
                if candidates is not None:
                    chosen = _within(read_survey(candidates, crs=made.survey.crs).points, made.survey)
                found = design(
                    made.fit, add, chosen, criterion=criterion, where=grid, threshold=threshold,
                    min_distance=min_distance,
                )  # fmt: skip
                summarise(repr(found).strip("<>"))
        with log.step("write"):
            found.sites.to_csv(folder / MARK, index=False)
            _with_places(found.present, made.survey).to_csv(folder / "present.csv", index=False)
            found.to_gpkg(folder / "design.gpkg")
            if found.has_longitudes:
                found.to_gpx(folder / "design.gpx")
            figure: Any = found.plot().figure
            (folder / "design.png").write_bytes(figure_png(figure, 200))
        (folder / LOG).write_text(log.text(), encoding="utf-8")
    return Designed(found, target)


def _with_places(present: pd.DataFrame, survey: Survey) -> pd.DataFrame:
    """Return the table of present sites with where in the file each stands, and its coordinates."""
    if survey.parts:
        return present
    rows = present["row"].to_numpy(dtype=int)
    x, y = survey.coordinates[rows].T
    places = [str(survey.place(int(row), None)) for row in rows]
    table = present.copy()
    for at, (name, values) in enumerate({"place": places, "x": x, "y": y}.items(), 1):
        table.insert(at, name, values)
    return table


def _within(candidates: gpd.GeoDataFrame, survey: Survey) -> gpd.GeoDataFrame:
    """The candidates on the land, or in the boundary, of a survey that has one."""
    if survey.coastline is None:
        return candidates
    inside = shapely.intersects_xy(survey.coastline, candidates.geometry.x, candidates.geometry.y)
    out = int((~inside).sum())
    if not out:
        return candidates
    what = (
        f"{out:,} of {counted(len(candidates), 'candidate')} {'lies' if out == 1 else 'lie'} {off_the(survey.outline)}"
    )
    if not inside.any():
        raise InputError(what, remedy="check their coordinates and their CRS")
    far = shapely.distance(candidates.geometry.array[~inside], survey.coastline).max()
    message = f"{what}, by up to {length(float(far), survey.units)}"
    warnings.warn(GeospdeWarning(message, remedy="they are left out", subject="candidates"), stacklevel=2)
    return candidates[inside]
