"""`propose`: from the files of a survey to a run file with a reason for every key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from geospde.errors import InputError
from geospde.families.registry import binary, family_by_name, ordered
from geospde.mesh.trimesh import Mesh
from geospde.prediction.grid import Grid
from geospde.run.analysis import check_predictable, make_grid, make_mesh, make_model
from geospde.run.config import read_config
from geospde.run.inputs import with_levels
from geospde.run.proposal.areas import areal_sections, is_areal
from geospde.run.proposal.asking import Guesser
from geospde.run.proposal.columns import read_columns
from geospde.run.proposal.covariates import raster_layers, rasters_at_sites, trend_of, with_covariates
from geospde.run.proposal.frame import coastline_layer, find_frame, points_layer
from geospde.run.proposal.response import Response, find_response
from geospde.run.proposal.roles import Options, find_coordinates, find_roles
from geospde.run.proposal.sections import lower, sections
from geospde.run.proposal.sizes import Sizes
from geospde.run.proposal.writing import Entry, nested, write_run_file
from geospde.survey.crs import is_local, unit_of
from geospde.survey.levels import in_order, numbered
from geospde.survey.numbers import is_text
from geospde.survey.reading import SITES, read_points, read_table
from geospde.survey.survey import Survey, read_survey
from geospde.survey.tables import Table
from geospde.text.systems import crs_name
from geospde.text.words import counted, length

MOST_LEVELS = 12
"""Different words up to which a response of words is taken for a scale."""


@dataclass(frozen=True)
class Proposal:
    """A run file for a survey, not yet written.

    Attributes
    ----------
    entries : tuple of Entry
        Its keys in order, paths as they were given.
    survey : Survey
    response : Response
    mesh : Mesh or None
    grid : Grid or None
        Of a survey of areas there are none.
    doubts : tuple of str
        What was guessed without being sure, and what looks odd.
    """

    entries: tuple[Entry, ...]
    survey: Survey
    response: Response
    mesh: Mesh | None
    grid: Grid | None
    doubts: tuple[str, ...]

    def write(self, target: str | Path, *, overwrite: bool = False) -> Path:
        """Write the run file, whole or not at all.

        Parameters
        ----------
        target : path
            The file; its folder must exist. Paths of inputs are written from there.
        overwrite : bool
            Replace a run file of that name.

        Returns
        -------
        pathlib.Path
            The file.

        Raises
        ------
        InputError
            If there is a file already, it is one of the survey's own, or it cannot be written.
        """
        target = Path(target).expanduser()
        write_run_file(self.entries, self._heading(target), target, overwrite=overwrite)
        return target

    def _heading(self, target: Path) -> str:
        """Return the comment at the head of the file."""
        *more, last = (path.name for path in self.survey.sources)
        files = f"{', '.join(more)} and {last}" if more else last
        label, unit = self.response.label, unit_of(self.survey.crs)
        crs = self.survey.crs
        frame = "the local frame" if is_local(crs) else crs_name(crs, unit=False)
        return (
            f"{label[:1].upper()}{label[1:]}: maps from {counted(len(self.survey.points), self.survey.word)}.\n"
            f"Proposed by geospde init from {files}: look at every line, and change what you know better.\n\n"
            f"    geospde check {target.name}     reads and checks everything, fits nothing\n"
            f"    geospde run {target.name}       fits the model and draws the maps\n\n"
            f"Paths start at this file, lengths are in {unit or 'the unit'} of {frame}."
        )

    def summary(self) -> str:
        """Return what was found, a line a topic, then what to look at."""
        keys, unit = nested(self.entries), unit_of(self.survey.crs)
        over = f" / {self.response.exposure.name}" if self.response.exposure is not None else ""
        rows = [
            ("survey", repr(self.survey).strip("<>").removeprefix("Survey ")),
            ("response", f"{self.response.formula}{over}: {lower(self.response.reason)}"),
            ("family", self.response.family.name),
            ("crs", keys["survey"].get("crs") or crs_name(self.survey.crs)),
            *self._places(keys, unit),
            *(("look at", doubt) for doubt in self.doubts),
        ]
        return "\n".join(f"  {topic:<9} {text}" for topic, text in rows)

    def _places(self, keys: dict[str, dict[str, Any]], unit: str) -> list[tuple[str, str]]:
        """Mesh and map, where there are any."""
        if self.mesh is None or self.grid is None:
            return [("model", keys["model"]["formula"])]
        inner, outer = (length(edge, unit) for edge in keys["mesh"]["max_edge"])
        vertices = counted(self.mesh.n_vertices, "vertex", "vertices")
        cells = f"{counted(self.grid.n, 'cell')} of {length(self.grid.dx, unit)}"
        return [("mesh", f"{vertices}, edges of {inner} and, outside, {outer}"), ("map", cells)]


def propose(
    points: str | Path,
    coastline: str | Path | None = None,
    *,
    covariates: Sequence[str | Path] = (),
    options: Options | None = None,
    guesser: Guesser | None = None,
) -> Proposal:
    """Propose a run file.

    Parameters
    ----------
    points, coastline : path
        The survey's files, as `geospde.read_survey` reads them.
    covariates : sequence of path
        Rasters that become terms of the formula.
    options : Options, optional
        What the user says about them.
    guesser : Guesser, optional
        Decides what the files leave open; by default the likeliest is taken.

    Returns
    -------
    Proposal
        One that can be run as it is: its mesh, grid and model were made.

    Raises
    ------
    InputError
        If a file cannot be used, or does not tell what is needed; the message names the option that would.
    """
    import geopandas as gpd

    options, guesser = options or Options(), guesser or Guesser()
    if options.exceed is not None and not np.isfinite(options.exceed):
        raise InputError(f"the limit to decide the map at must be a finite number, not {options.exceed}")
    table = read_table(points, options.layer, want=SITES, what="points")
    if not len(table.frame):
        raise InputError(f"{table.source} has no rows: a survey needs sites")
    if is_areal(table):
        return Proposal(*_of_areas(points, table, coastline, covariates, options, guesser))
    table, options, levels = _of_words(table, options, guesser)
    columns = read_columns(table)
    if isinstance(table.frame, gpd.GeoDataFrame):
        _refuse_geometry(points, table, options)
        x = y = None
    else:
        x, y = find_coordinates(table, columns, options, guesser)
    coast = coastline_layer(coastline, options.coastline_layer) if coastline is not None else None
    frame = find_frame(points_layer(table, points, x, y), coast, options.crs, guesser, raster_layers(covariates))
    roles = find_roles(table, columns, {name for name in (x, y) if name is not None}, options, guesser)
    files: dict[str, Any] = {
        "points": points, "layer": options.layer, "x": x, "y": y,
        "boundary" if options.bounded else "coastline": coastline, "coastline_layer": options.coastline_layer,
    }  # fmt: skip
    said = {key: str(value) for key, value in files.items() if value is not None}
    others: dict[str, Any] = {key: value for key, value in said.items() if key != "points"}
    survey = read_survey(
        points, **others, crs=frame.crs, source_crs=frame.source_crs, drop_missing=(roles.response.name,)
    )
    if coast is not None:
        _refuse_elsewhere(survey, table.source, coast.source)
    if levels and options.family is not None:
        survey = with_levels(survey, roles.response.name, levels, family_by_name(options.family))
    rasters = rasters_at_sites(covariates, survey)
    response, look = find_response(roles.table, roles, survey.coordinates, options.family, trend_of(rasters))
    sizes = Sizes.of(survey, look)
    entries = tuple(
        sections(
            said, frame, survey, response, roles.others, look, sizes, options.exceed, roles.year, levels, options.named
        )
    )
    config = read_config(nested(entries))
    mesh = make_mesh(config, survey)
    grid = make_grid(config, survey, mesh)
    if rasters:
        entries = with_covariates(entries, rasters, survey, grid)
        config = read_config(nested(entries))
        survey = survey.with_covariates(config.covariates)
    check_predictable(make_model(config, survey, mesh), grid, config.prediction.at)
    return Proposal(entries, survey, response, mesh, grid, (*guesser.doubts, *_cautions(survey)))


def _of_words(table: Table, options: Options, guesser: Guesser) -> tuple[Table, Options, list[str]]:
    """Number a response of words on a scale: its table, with the family that takes them, and the words in order."""
    name = options.response
    if name is None or name not in table.frame.columns or not is_text(table.frame[name]).all():
        return table, options, []
    levels, known = in_order(table.frame[name])
    if not 1 < len(levels) <= MOST_LEVELS:
        return table, options, []
    family = options.family or (binary() if len(levels) == 2 else ordered()).name
    from_zero = family_by_name(family).is_binary
    codes = numbered(table.frame[name], levels, lambda i: table.at(i, name), from_zero=from_zero)
    if not known:
        guesser.note(f"the words of {name!r} are in alphabetical order: put levels in [model] in theirs")
    return replace(table, frame=table.frame.assign(**{name: codes})), replace(options, family=family), levels


def _of_areas(
    path: str | Path, table: Table, coastline: Any, covariates: Sequence[Any], options: Options, guesser: Guesser
) -> tuple[Any, ...]:
    """Return what a proposal for a layer of polygons consists of."""
    for option, given in {"coastline": coastline, "covariate": covariates, "x": options.x, "y": options.y}.items():
        if given:
            raise InputError(f"{table.source} holds areas, which are mapped as they are: leave out --{option}")
    entries, survey, response = areal_sections(path, table, options, guesser)
    return entries, survey, response, None, None, tuple(guesser.doubts)


def _refuse_geometry(points: str | Path, table: Table, options: Options) -> None:
    """Raise an InputError for a layer that holds other than points, or comes with columns of coordinates."""
    if options.x is not None or options.y is not None:
        raise InputError(f"{table.source} has a geometry of its own: leave out --x and --y")
    if not (table.frame.geom_type == "Point").all() or not np.isfinite(table.frame.total_bounds).all():
        crs = "local:unit" if table.frame.crs is None else None
        read_points(points, x=None, y=None, crs=crs, source_crs=None, layer=options.layer, numeric=())  # says which row


def _refuse_elsewhere(survey: Survey, source: str, coast: str) -> None:
    """Raise an InputError if no site lies in the area that would be mapped, or near it."""
    west, south, east, north = survey.coastline.bounds  # type: ignore[union-attr]
    off = survey.offshore()
    if off.min() > 0.02 * max(east - west, north - south):
        raise InputError(
            f"none of the {len(off):,} sites of {source} lies in {coast}, the nearest is "
            f"{length(off.min(), survey.units)} off: are they in another system (--crs), are x and y swapped, or is it "
            "a survey at sea? What --coastline bounds is mapped: leave it out to map the sites' hull"
        )


def _cautions(survey: Survey) -> Iterator[str]:
    """Yield what a user should know about the area that would be mapped."""
    if survey.coastline is None:
        return
    west, south, east, north = survey.coastline.bounds
    wider = float(np.hypot(east - west, north - south) / np.hypot(*np.ptp(survey.coordinates, axis=0)))
    if wider > 4:
        yield f"the coastline is {wider:.0f} times as wide as the survey, and all of it is mapped: cut it to the survey"
    off = (survey.offshore() > 0).mean()
    if off > 0.25:
        which = f"{100 * off:.0f} % of the sites"
        yield f"{which} lie off the coastline, which bounds the map: leave it out for a survey at sea"
