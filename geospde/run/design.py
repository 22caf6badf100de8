"""Where to sample next, for the fit of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from geospde.errors import GeospdeWarning, InputError, alert
from geospde.export.vectors import write_layers
from geospde.plots.frame import figure_png
from geospde.prediction.design import Design, design
from geospde.prediction.grid import Grid
from geospde.run.config import Config
from geospde.run.folders import whole_folder
from geospde.run.logs import LOG, begin, keep_log
from geospde.run.progress import Progress, StepLog, announce_compiling
from geospde.run.stored_fit import find_run, fitted
from geospde.survey.crs import parse_crs
from geospde.survey.paths import refuse_unreadable
from geospde.survey.reading import read_points
from geospde.survey.survey import Survey, off_the, refuse_degrees
from geospde.text.words import counted, did_you_mean, length

if TYPE_CHECKING:
    import geopandas as gpd
    import pandas as pd
    from numpy.typing import NDArray

MESH = "mesh"
"""In place of a layer of candidates: the vertices of the mesh."""
MARK = "design.csv"
"""Tells a design's folder, which may be replaced, from somebody's other work."""
FILES = ("present.csv", "design.gpkg", "design.gpx", "design.png", "gain.png", LOG)
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
    costs: str | None = None,
    fixed: str | Path | None = None,
    weights: str | Path | None = None,
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
        A layer of points, of which those outside of the survey's area are left out, with a warning, or ``"mesh"`` for
        the vertices of the run's mesh in the area; by default the cells of a grid over the area, 40 along its longer
        side.
    criterion, threshold, min_distance
        As of `geospde.design`.
    costs : str, optional
        The column of the candidates' layer that holds what each would cost.
    fixed : path, optional
        A layer of points that are to be visited anyway.
    weights : path, optional
        A raster, such as counts of people, that weighs the places of the criterion; by default all weigh the same.
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
    for layer, what in ((candidates, "candidates"), (fixed, "fixed sites"), (weights, "weights")):
        if layer is not None and layer != MESH:
            refuse_unreadable(layer, what)
    if costs is not None and candidates in (None, MESH):
        raise InputError("costs are a column of the candidates' layer", remedy="name that layer with --candidates")
    if not run.config.has_places:
        raise InputError("a design is of places to sample, and the survey is of areas by their labels")
    begin(log, f"design {run.source}".strip())
    target = Path(out) if out is not None else run.beside("design")
    named = [path for path in (candidates, fixed, weights) if path is not None and path != MESH]
    reads = [*run.config.files_read(), *named]
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
                if candidates == MESH:
                    chosen = _vertices(made.fit, made.survey)
                elif candidates is not None:
                    chosen = _within(_read(candidates, made.survey, run.config), made.survey)
                found = design(
                    made.fit, add, chosen, criterion=criterion, where=grid, threshold=threshold,
                    min_distance=min_distance, costs=None if costs is None else _column(chosen, costs, candidates),
                    fixed=None if fixed is None else _read(fixed, made.survey, run.config), weights=weights,
                )  # fmt: skip
                summarise(repr(found).strip("<>"))
        with log.step("write"):
            found.sites.to_csv(folder / MARK, index=False)
            present = _with_places(found.present, made.survey)
            present.to_csv(folder / "present.csv", index=False)
            write_layers(folder / "design.gpkg", {"sites": found.to_geodataframe(), "present": _points(present, found)})
            if found.has_longitudes:
                found.to_gpx(folder / "design.gpx")
            for name, drawn in (("design.png", found.plot()), ("gain.png", found.plot_gain())):
                figure: Any = drawn.figure
                (folder / name).write_bytes(figure_png(figure, 200))
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


def _read(file: str | Path, survey: Survey, config: Config) -> gpd.GeoDataFrame:
    """Read points in the survey's system; a table in degrees, where the survey's own sites are in degrees."""
    options: dict[str, Any] = {"x": None, "y": None, "layer": None, "numeric": ()}
    table, points, columns = read_points(file, crs=survey.crs, source_crs=None, **options)
    given = config.survey.source_crs
    west, south, east, north = points.total_bounds
    in_degrees = -180 <= west and east <= 180 and -90 <= south and north <= 90
    if given is not None and columns and in_degrees and parse_crs(given).is_geographic:
        table, points, columns = read_points(file, crs=survey.crs, source_crs=given, **options)
    refuse_degrees(points, survey.crs, table.source, columns)
    return points


def _points(present: pd.DataFrame, found: Design) -> gpd.GeoDataFrame:
    """Return the present sites as points, with the rank of each: 1 is the one that matters least."""
    import geopandas as gpd

    there = np.zeros((0, 2)) if found.there is None else found.there[present["row"].to_numpy(dtype=int)]
    table = present.iloc[: len(there)].drop(columns=["x", "y"], errors="ignore")
    table.insert(0, "rank", np.arange(1, len(there) + 1))
    return gpd.GeoDataFrame(table, geometry=gpd.points_from_xy(*there.T), crs=found.crs)


def _vertices(fit: Any, survey: Survey) -> NDArray[np.float64]:
    """The vertices of a fit's mesh in the survey's area."""
    meshes = [m for m in fit.model.meshes.values() if m is not None]
    if not meshes:
        raise InputError("the model has no mesh, whose vertices could be candidates")
    vertices: NDArray[np.float64] = meshes[0].vertices
    inside = np.asarray(shapely.intersects_xy(survey.domain, *vertices.T), dtype=bool)
    return np.asarray(vertices[inside])


def _column(candidates: Any, name: str, file: Any) -> Any:
    """What each candidate costs."""
    if name not in candidates:
        near = did_you_mean(name, map(str, candidates.columns))
        raise InputError(f"{Path(file).name} has no column {name!r} for the costs: {near}")
    return candidates[name]


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
    alert(GeospdeWarning(message, remedy="they are left out", subject="candidates"))
    return candidates[inside]
