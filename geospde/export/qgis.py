"""A QGIS project of a run: its raster, its vector layers and its mesh, styled, by paths relative to the folder."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from geospde.errors import InputError
from geospde.export.contours import contour_lines
from geospde.export.styles import (
    QGIS,
    Ramp,
    Symbols,
    coloured,
    filled,
    line,
    marker,
    outline,
    store_styles,
    templates,
    write_qml,
)
from geospde.export.vectors import coastline_layer, sites_layer, write_layers
from geospde.plots.figures import observed
from geospde.prediction.layers import Layers
from geospde.results.base import Fit
from geospde.survey.crs import parse_crs
from geospde.survey.survey import Survey
from geospde.text.rates import observed_label
from geospde.text.systems import crs_name
from geospde.text.words import counted

if TYPE_CHECKING:
    from pyproj import CRS


RASTER, LAYERS, MESH, AREAS = "prediction.tif", "layers.gpkg", "mesh.gpkg", "regions.gpkg"
"""Names that a run's folder has for them."""


@dataclass(frozen=True)
class ProjectLayer:
    """A layer of a project.

    Attributes
    ----------
    id : str
        Unique in the project, of letters, digits and underscores: more than ten, or QGIS takes another.
    name : str
        Shown in the legend.
    source : str
        From the project's folder, such as ``"layers.gpkg|layername=sites"``.
    style : Ramp or Symbols
        A `Ramp` for a raster's band.
    bounds : (xmin, ymin, xmax, ymax)
    shape : str
        ``"Point"``, ``"Line"`` or ``"Polygon"``; empty for a raster.
    on : bool
        Whether it is shown at first.
    """

    id: str
    name: str
    source: str
    style: Ramp | Symbols
    bounds: tuple[float, float, float, float]
    shape: str = ""
    on: bool = False


def write_project(
    folder: str | Path, *, survey: Survey, prediction: Layers | None, fit: Fit | None = None, label: str | None = None,
    crop: Any = None, areas: Mapping[str, tuple[str, Any]] | None = None,
) -> Path:  # fmt: skip
    """Write what QGIS opens: ``project.qgz``, ``layers.gpkg`` and ``prediction.qml``, and styles into ``mesh.gpkg``.

    The project shows the sites, the coastline and the posterior mean; standard deviation, limits, exceedance
    probabilities, contours and mesh are there to be switched on. A layer opened by itself has its style, too.

    Parameters
    ----------
    folder : str or Path
        Holds ``prediction.tif``, as `Prediction.to_raster` writes it, and perhaps ``mesh.gpkg``.
    survey : Survey
        Gives sites, coastline, CRS and title.
    prediction : Layers or None
        On a Grid; the raster's, such as a `Prediction`. Without one the project is of the areas alone.
    fit : Fit, optional
        Gives the sites their fitted values.
    label : str, optional
        What is predicted, in words; by default the prediction's own label.
    crop : polygons, optional
        What the raster was cropped to.
    areas : mapping, optional
        From a layer of ``regions.gpkg`` to its title and its rows, with a column ``mean``.

    Returns
    -------
    Path
        The project.

    Raises
    ------
    InputError
        If the prediction is not on a grid, or a file cannot be written.
    """
    folder = Path(folder)
    several = len(areas or {}) > 1
    regions = [
        _areas(name, f"{name}: {title}" if several else title, frame, on=prediction is None)
        for name, (title, frame) in (areas or {}).items()
    ]
    groups = [("Areas", regions, prediction is None)]
    if prediction is None:
        words, bounds = label or "areas", survey.domain.bounds
    else:
        if prediction.grid is None:
            raise InputError("a project needs a prediction on a Grid: predict(gs.Grid.around(...))")
        words, bounds = label or prediction.label, prediction.grid.bounds
        rasters = _rasters(prediction, words, crop)
        write_qml(folder / "prediction.qml", rasters[0].style)
        vectors = _vectors(folder, survey, prediction, fit, words, rasters[0].style, crop)
        groups = [("Survey", vectors, True), ("Mesh", _mesh(folder), False), *groups, ("Prediction", rasters, True)]
    crs = parse_crs(survey.crs)
    text = (
        templates()
        .get_template("project.qgs")
        .render(
            version=QGIS,
            title=f"{survey.name}: {words}",
            groups=[group for group in groups if group[1]],
            layers=[layer for _, members, _ in groups for layer in members],
            crs=_system(crs),
            view=_view(*bounds),
            unit="degrees" if crs.is_geographic else "meters",
        )
    )
    path = folder / "project.qgz"
    try:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("project.qgs", text)
    except OSError as error:
        raise InputError(f"cannot write the project {path}: {error}") from error
    return path


def _rasters(prediction: Layers, label: str, crop: Any) -> list[ProjectLayer]:
    """Return a layer for each band of the raster, the mean first and shown."""
    grid, points = prediction.grid, prediction.points
    assert grid is not None and points is not None
    shown = np.ones(grid.n, dtype=bool) if crop is None else shapely.intersects_xy(crop, points)
    values = {layer.name: prediction.values(layer.name)[shown] for layer in prediction.layers}
    made = []
    for band, layer in enumerate(prediction.layers, 1):
        # quantiles have one scale, and so have the steps of a layer, so that they can be compared; of the rest each
        # shows all that it has
        same = [one.name for one in prediction.layers if one.kind == layer.kind == "quantile"]
        same = same or [one.name for one in prediction.over_steps(layer.without_step().name)] or [layer.name]
        ramp = Ramp.of_layer(band, layer, np.concatenate([values[name] for name in same]))
        words = layer.with_label(label).title
        made.append(ProjectLayer(_id("prediction", layer.name), words, RASTER, ramp, grid.bounds, on=band == 1))
    return made


def _vectors(
    folder: Path, survey: Survey, prediction: Layers, fit: Fit | None, label: str, mean: Any, crop: Any
) -> list[ProjectLayer]:
    """Write ``layers.gpkg``; return its layers, topmost first."""
    rates = observed(survey.points, prediction.label, fit)
    first = prediction.layers[0]
    frames: dict[str, Any] = {"sites": sites_layer(survey, fit, observed=rates)}
    sites = Symbols(marker("#ffffff", 1.8)) if rates is None else coloured("observed", rates, mean.stops, 1.8)
    words = counted(len(survey.points), "site") + ("" if rates is None else f", observed {observed_label(label)}")
    said: dict[str, tuple[str, str, Symbols]] = {"sites": (words, "Point", sites)}
    contours = contour_lines(prediction, first.name, within=crop)
    if len(contours):
        frames["contours"] = contours
        words = first.with_label(label).title
        said["contours"] = f"Contours of the {words[0].lower()}{words[1:]}", "Line", _CONTOURS
    if survey.coastline is not None:
        frames["coastline"] = coastline_layer(survey)
        words = getattr(survey, "outline", "coastline").capitalize()
        said["coastline"] = words, "Polygon", Symbols(outline("#1a1a1a", 0.3))
    write_layers(folder / LAYERS, frames)
    store_styles(folder / LAYERS, {name: style for name, (_, _, style) in said.items()})
    layers = []
    for name, (words, shape, style) in said.items():
        west, south, east, north = map(float, frames[name].total_bounds)
        source, bounds = f"{LAYERS}|layername={name}", (west, south, east, north)
        layers.append(ProjectLayer(_id("survey", name), words, source, style, bounds, shape, on=name != "contours"))
    return layers


def _areas(name: str, title: str, frame: Any, *, on: bool) -> ProjectLayer:
    """Return the layer of some areas, in the colours of their means."""
    west, south, east, north = map(float, frame.total_bounds)
    style = filled("mean", frame["mean"])
    return ProjectLayer(
        _id("regions", name), title, f"{AREAS}|layername={name}", style, (west, south, east, north), "Polygon", on
    )


def _mesh(folder: Path) -> list[ProjectLayer]:
    """Return the layers of the mesh, if the folder has it, and put their styles into its file."""
    import pyogrio

    path = folder / MESH
    if not path.exists():
        return []
    store_styles(path, _MESH)
    layers = []
    for name, shape in (("vertices", "Point"), ("triangles", "Polygon")):
        west, south, east, north = map(float, pyogrio.read_info(path, layer=name)["total_bounds"])
        source, bounds = f"{MESH}|layername={name}", (west, south, east, north)
        layers.append(ProjectLayer(_id("mesh", name), name.capitalize(), source, _MESH[name], bounds, shape))
    return layers


_CONTOURS = Symbols(line("#1a1a1a", 0.2), label="level")
_MESH: Mapping[str, Symbols] = {
    "vertices": Symbols(marker("#f1f5f8", 0.9, outline="#4a5a68", width=0.1)),
    "triangles": Symbols(outline("#8a9aa8", 0.15)),
}


def _id(group: str, name: str) -> str:
    """Return a layer's id."""
    return re.sub(r"\W", "_", f"{group}_{name}", flags=re.ASCII)


def _system(crs: CRS) -> dict[str, Any]:
    """Return what a project says of its CRS: by its authority's code where it has one, else by WKT."""
    authority = crs.to_authority(min_confidence=100)
    return {
        "wkt": crs.to_wkt(),
        "authid": ":".join(authority) if authority else "",
        "srid": authority[1] if authority and authority[1].isdigit() else "0",
        "description": crs_name(crs),
        "geographic": "true" if crs.is_geographic else "false",
    }


def _view(west: float, south: float, east: float, north: float) -> tuple[float, float, float, float]:
    """Return the window of the map: what is predicted with a margin, wherever the mesh ends."""
    margin = 0.05 * max(east - west, north - south)
    return west - margin, south - margin, east + margin, north + margin
