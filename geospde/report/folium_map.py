"""Interactive maps for a notebook, as geopandas' `explore` makes them: a layer's cells, and the sites of a fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import ArrayLike, NDArray

from geospde.errors import InputError
from geospde.model.build import Model
from geospde.plots.scale import Scale, chosen_scale, colour_map
from geospde.prediction.grid import Grid
from geospde.prediction.layer import RESPONSE, Layer
from geospde.report.webmap import shown_value
from geospde.survey.crs import LONGITUDE_LATITUDE, is_local, transformer
from geospde.text.words import did_you_mean, in_brief

if TYPE_CHECKING:
    import geopandas as gpd
    from matplotlib.colors import Colormap

    from geospde.prediction.layers import Layers
    from geospde.results.state import FitState

SCREEN = "EPSG:3857"
"""The projection of web maps."""
INK = "#333333"
CLASSES = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb")
"""Colours of classes, distinct to eyes that see red and green alike (P. Tol, Colour Schemes, 2021)."""


def explore_layer(
    prediction: Layers,
    column: str,
    *,
    tiles: Any,
    coastline: Any,
    sites: Any,
    label: str | None,
    spacing: str | None,
    cmap: str | Colormap | None,
    vmin: float | None,
    vmax: float | None,
    opacity: float,
    m: Any,
) -> Any:
    """Show one layer on an interactive map; see `geospde.prediction.layers.Layers.explore`."""
    import geopandas as gpd

    folium = _folium()
    layer = prediction.layer(column)
    values = prediction.values(column)
    scale = chosen_scale(Scale.of(layer, [values]), values, spacing=spacing, cmap=cmap, vmin=vmin, vmax=vmax)
    rate = prediction.rate(label)
    words = layer.with_label(*rate)
    per, caption = (rate.per, words.axis) if words.unit == RESPONSE else (1.0, words.title)
    if coastline is None and prediction.grid is not None:
        coastline = prediction.grid.domain
    if prediction.grid is None:
        if prediction.points is None:
            raise InputError("these predictions have no places: a map needs a grid or points")
        frame = _placed({layer.name: values}, prediction.points, prediction.crs)
        made = _map(m, prediction.crs, tiles)
        _mark(made, frame, _colours(scale, values), layer.name)
        _legend(scale, caption, per).add_to(made)
        return made
    image, corners = _image(prediction.grid, values, scale, prediction.crs)
    m = _map(m, prediction.crs, tiles)
    folium.raster_layers.ImageOverlay(image, bounds=corners, opacity=opacity, name=layer.name).add_to(m)
    if coastline is not None:
        outline = _in_degrees(gpd.GeoDataFrame(geometry=[coastline], crs=_known(prediction.crs)))
        folium.GeoJson(
            outline.to_json(), style_function=lambda _: {"fill": False, "weight": 1, "color": INK}, name="outline"
        ).add_to(m)
    _legend(scale, caption, per).add_to(m)
    where = _sites(prediction, sites, layer)
    if where is not None:
        _mark(m, where, [INK] * len(where), None)
    m.fit_bounds(corners)
    return m


def explore_fit(
    fit: FitState,
    column: str | None,
    *,
    tiles: Any,
    spacing: str,
    cmap: str | Colormap,
    vmin: float | None,
    vmax: float | None,
    m: Any,
) -> Any:
    """Show the sites of a fit on an interactive map; see `geospde.results.state.FitState.explore`."""
    _folium()
    model: Model = fit.model
    if model.points is None:
        raise InputError("the data have no places: a map needs coordinates")
    table = model.table.drop(columns="geometry", errors="ignore").reset_index(drop=True)
    every: Any = fit
    fitted = every.fitted.drop(columns="mode", errors="ignore").reset_index(drop=True)
    both = pd.concat([table.drop(columns=[c for c in table if c in fitted]), fitted], axis=1)
    column = str(fitted.columns[0]) if column is None else column
    if column not in both:
        raise InputError(f"the fit has no column {column!r}: {did_you_mean(column, list(map(str, both)), 'columns')}")
    made = _map(m, model.crs, tiles)
    values = both[column]
    frame = _placed(both, model.points, model.crs)
    if not pd.api.types.is_numeric_dtype(values):
        codes = pd.factorize(values)[0]
        _mark(made, frame, [CLASSES[code % len(CLASSES)] if code >= 0 else INK for code in codes], column)
        return made
    scale = Scale.over([values], "viridis", spacing=spacing)
    scale = chosen_scale(scale, values, cmap=cmap, vmin=vmin, vmax=vmax)
    _mark(made, frame, _colours(scale, values), column)
    _legend(scale, column).add_to(made)
    return made


def _folium() -> Any:
    try:
        import folium
    except ImportError:
        raise InputError("an interactive map needs folium", remedy="pip install 'geospde[explore]'") from None
    return folium


def _map(m: Any, crs: Any, tiles: Any) -> Any:
    """Return the map to draw into: a new one has no basemap unless that is asked for, since it needs a network."""
    if m is not None:
        return m
    plane = crs is None or is_local(crs)
    if plane and tiles is not None:
        raise InputError("a survey in a local frame has no place on Earth: leave out tiles, or state its CRS")
    if plane:  # lengths are no degrees: a survey of kilometres is seen whole far below zoom 0
        return _folium().Map(tiles=None, crs="Simple", minZoom=-20, zoomSnap=0.25)
    try:
        return _folium().Map(tiles=tiles, control_scale=True)
    except (AttributeError, TypeError, ValueError):  # folium's, of a name that it does not know, or of no name
        remedy = "a name that folium knows, such as 'OpenStreetMap', or its TileLayer, which names its source"
        raise InputError(f"there are no tiles {in_brief(tiles)}", remedy=f"give {remedy}") from None


def _known(crs: Any) -> Any:
    """Return a CRS that has a place on Earth; None for a local frame."""
    return None if crs is None or is_local(crs) else crs


def _placed(columns: Any, points: ArrayLike, crs: Any) -> gpd.GeoDataFrame:
    """Return a table with its places as geometry, without a CRS for a local frame."""
    import geopandas as gpd

    x, y = np.asarray(points, dtype=float).T
    return gpd.GeoDataFrame(columns, geometry=gpd.points_from_xy(x, y), crs=_known(crs))


def _in_degrees(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Return a layer in longitude and latitude, as Leaflet takes it; one of a local frame as it is."""
    return frame if frame.crs is None else frame.to_crs(4326)


def _colours(scale: Scale, values: ArrayLike) -> list[str]:
    """Return the colour of each value, grey where there is none."""
    from matplotlib.colors import to_hex

    known = np.isfinite(np.asarray(values, dtype=float))
    painted = scale.mappable.to_rgba(np.where(known, values, scale.low))
    return [to_hex(colour) if there else CLASSES[-1] for colour, there in zip(painted, known)]


def _mark(m: Any, frame: gpd.GeoDataFrame, colours: list[str], shown: str | None) -> None:
    """Add points to a map: one value of each where the pointer is, all in its pop-up."""
    folium = _folium()
    words = frame.drop(columns="geometry").map(shown_value)
    words.columns = list(map(str, words.columns))
    marked = _in_degrees(frame[["geometry"]]).join(words).assign(geospde_colour=colours)
    names = list(words.columns)
    folium.GeoJson(
        marked.to_json(),
        marker=folium.CircleMarker(radius=5, weight=1, color=INK, fill=True, fill_opacity=0.95),
        style_function=lambda feature: {"fillColor": feature["properties"]["geospde_colour"]},
        popup=folium.GeoJsonPopup(fields=names) if names else None,
        tooltip=folium.GeoJsonTooltip(fields=[shown]) if shown is not None else None,
        name="sites",
    ).add_to(m)
    west, south, east, north = map(float, marked.total_bounds)
    m.fit_bounds([[south, west], [north, east]])


def _sites(prediction: Layers, sites: Any, layer: Layer) -> Any:
    """Return the sites to mark: a survey's or a layer's with all their columns, or those of the model."""
    if sites is None or sites is False:
        return None
    if sites is True:
        sites = prediction.sites_of(layer)
        if sites is None:
            raise InputError("this prediction does not know its sites: give them, explore(sites=survey)")
    points = getattr(sites, "points", sites)
    geometry = getattr(points, "geometry", None)
    if geometry is None:
        return _placed({"site": np.arange(len(points)) + 1}, points, prediction.crs)
    columns = pd.DataFrame(points.drop(columns=geometry.name))
    return _placed(columns.reset_index(drop=True), shapely.get_coordinates(geometry.array), prediction.crs)


def _image(grid: Grid, values: ArrayLike, scale: Scale, crs: Any) -> tuple[NDArray[np.uint8], list[list[float]]]:
    """Return a layer as a picture for a web map, and its south-western and north-eastern corners as (y, x)."""
    cells = np.asarray(grid.to_array(values), dtype=float)
    west, south, east, north = grid.bounds
    if crs is not None and not is_local(crs):
        cells, (west, south, east, north) = _on_screen(cells, grid, crs)
    colours = np.asarray(scale.mappable.to_rgba(np.where(np.isfinite(cells), cells, scale.low), bytes=True))
    colours[..., 3] = np.where(np.isfinite(cells), 255, 0)
    return colours.astype(np.uint8), [[south, west], [north, east]]


def _on_screen(cells: NDArray[np.float64], grid: Grid, crs: Any) -> tuple[NDArray[np.float64], tuple[float, ...]]:
    """Return cells in the projection of web maps, the nearest cell for each, with their bounds in degrees."""
    from rasterio.warp import Resampling, calculate_default_transform, reproject

    west, south, east, north = grid.bounds
    transform, wide, high = calculate_default_transform(
        crs.to_wkt(), SCREEN, grid.cols, grid.rows, left=west, bottom=south, right=east, top=north
    )
    warped = np.full((int(high), int(wide)), np.nan)
    reproject(
        cells, warped, src_transform=grid.transform, src_crs=crs.to_wkt(), dst_transform=transform, dst_crs=SCREEN,
        src_nodata=np.nan, dst_nodata=np.nan, resampling=Resampling.nearest,
    )  # fmt: skip
    x, y = transform.c + transform.a * np.array([0, wide]), transform.f + transform.e * np.array([high, 0])
    lon, lat = transformer(SCREEN, LONGITUDE_LATITUDE).transform(x, y)
    return warped, (float(lon[0]), float(lat[0]), float(lon[1]), float(lat[1]))


def _legend(scale: Scale, caption: str, per: float = 1.0) -> Any:
    """Return a colour bar, with round numbers where the colours are."""
    import branca.colormap as cm
    from matplotlib.colors import to_hex

    steps = np.linspace(0, 1, 33)
    ramp = colour_map(scale.ramp)
    values = per * scale.values_at(steps)
    ticks = [float(f"{t:.6g}") for t in per * scale.ticks(9)]  # as fine as Leaflet writes them
    words = f"{caption} ({scale.said})" if scale.said else caption
    return cm.LinearColormap(
        [to_hex(ramp(s)) for s in steps], index=list(values), vmin=values[0], vmax=values[-1], caption=words,
        tick_labels=ticks,
    )  # fmt: skip
