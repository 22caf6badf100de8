"""A survey of areas: a layer of polygons, one row per area, with what was counted or measured in each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from geospde.errors import InputError, Place
from geospde.survey.crs import parse_crs
from geospde.survey.reading import read_areas_of_survey, read_coastline
from geospde.survey.survey import Survey, name_of, refuse_degrees


def read_areal_survey(
    areas: Any,
    *,
    crs: Any = None,
    source_crs: Any = None,
    layer: str | None = None,
    boundary: Any = None,
    numeric: tuple[str, ...] | list[str] = (),
    missing: tuple[str, ...] | list[str] = (),
    name: str | None = None,
    lengths: bool = True,
    table: Any = None,
    key: str | Sequence[str] | None = None,
) -> Survey:
    """Read the polygons of a survey.

    Parameters
    ----------
    areas : path or GeoDataFrame
        A vector layer with the columns of the model; one row per area.
    crs, source_crs, layer, numeric, missing, name
        As of `geospde.read_survey`.
    boundary : path or polygons, optional
        The area that is mapped; by default the areas together.
    lengths : bool
        Whether coordinates are to have a unit of length: a mesh needs one, areas by their labels do not.
    table : path or DataFrame, optional
        What was counted or measured in the areas, where their layer has the shapes alone.
    key : str or pair of str
        The column of both that has the areas' labels, or that of the table and that of the layer.

    Returns
    -------
    Survey
        Its points are places within the areas.

    Raises
    ------
    InputError
        For a layer of other shapes, rows without one, and columns that are not what they must be.
    """
    import shapely

    read, frame = read_areas_of_survey(
        areas, crs=crs, source_crs=source_crs, layer=layer, numeric=tuple(numeric), missing=tuple(missing), rows=table,
        key=key,
    )  # fmt: skip
    if len(frame) < 2:
        raise InputError("has one area", of=Place(read.source), remedy="a map takes two or more")
    within = frame.set_geometry(frame.representative_point())
    if lengths:
        refuse_degrees(within, frame.crs, read.source, ())
    if boundary is None:
        outline = shapely.union_all(frame.geometry.array)
    else:
        outline, _ = read_coastline(boundary, crs=frame.crs, source_crs=source_crs, layer=None, ring=None)
    files = tuple(Path(given) for given in (areas, table, boundary) if isinstance(given, str | Path))
    came = getattr(read.frame, "crs", None) or (None if source_crs is None else parse_crs(source_crs))
    return Survey(
        within, outline, frame.crs, name or (name_of(files[0]) if files else "survey"), files, read.at,
        source_crs=None if came == frame.crs else came, outline="boundary", areas=frame.geometry,
    )  # fmt: skip
