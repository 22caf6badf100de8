"""Maps of layers: one, several on one page, a panel each, or a panel a step of time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import shapely

from geospde.errors import InputError
from geospde.plots.canvas import INK, PLAIN, Look, View, colour_bar, dress, legend, make_room, right_of, sheet
from geospde.plots.canvas import title as write_title
from geospde.plots.drawing import draw_cells, draw_coast, draw_graticule, draw_hatching, draw_inset, draw_scale_bar
from geospde.plots.frame import new_panels
from geospde.plots.scale import Scale, chosen_scale
from geospde.prediction.cells import cells_that_meet
from geospde.prediction.layer import EXTRAPOLATION, RESPONSE, Layer, outer_limits
from geospde.prediction.layers import Layers
from geospde.prediction.steps import of_step
from geospde.survey.crs import parse_crs
from geospde.survey.polygons import as_region

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

# millimetres beside and above a map of a panel: tick labels and colour bar, title and labels
_BESIDE, _ABOVE = 36.0, 17.0
_LEFT, _BELOW, _NARROW = 14.0, 10.0, 34.0  # of these on the left, and below; and the least that a map is wide


def layers_map(
    prediction: Layers,
    columns: Sequence[str],
    *,
    coastline: Any = None,
    label: str | None = None,
    title: str | None = None,
    crop: bool = True,
    sites: Any = None,
    scale: Scale | None = None,
    figure: Figure | None = None,
    look: Look = PLAIN,
) -> Figure:
    """Draw layers as maps with one colour scale, for a page.

    Parameters
    ----------
    prediction : Layers
        On a grid, or at points; such as a `Prediction`.
    columns : sequence of str
        Names of layers, such as ``["mean", "q0.025", "q0.975"]``.
    coastline : polygons, optional
        Drawn on top.
    label : str, optional
        What is predicted, in words; by default the prediction's own label.
    title : str, optional
        Over each map, in place of the layer's own.
    crop : bool, default True
        Paint only what lies on land, if there is a coastline.
    sites : GeoDataFrame, Survey, bool or (n, 2) array, optional
        Places to mark on top; True takes those that the model was fitted to, of a step its own.
    scale : Scale, optional
        Made from the layers by default.
    figure : Figure, optional
        Draw into this one.
    look : Look
        Style, graticule, small map.

    Returns
    -------
    Figure
        At most 180 by 230 mm.

    Raises
    ------
    InputError
        If the prediction has no such layer, or no places.
    """
    _require_places(prediction)
    rate = prediction.rate(label)
    words = [prediction.layer(column).with_label(*rate) for column in columns]
    painted = _painted(prediction, coastline, crop)
    scale = scale_of(prediction, columns, coastline=coastline, crop=crop) if scale is None else scale
    view = _view(prediction, coastline, look)
    figure, axes, place, room = sheet(view, len(columns), figure=figure, look=look)
    for ax, layer in zip(axes, words):
        _draw_layer(ax, prediction, layer.name, scale, coastline, crop)
        write_title(ax, layer.title if title is None else title, room)
        draw_sites(ax, prediction, sites, layer)
    _draw_around(axes, prediction, view, coastline, look)
    shown = scale.showing(*(prediction.values(column)[painted] for column in columns))
    _draw_key(place, shown, words[0], words[0].axis, rate.per)
    make_room(figure, place)
    return figure


def plot_layer(
    prediction: Layers,
    column: str = "mean",
    ax: Any = None,
    *,
    coastline: Any = None,
    label: str | None = None,
    title: str | None = None,
    crop: bool = True,
    sites: Any = None,
    scale: Scale | None = None,
    spacing: str | None = None,
    cmap: str | Colormap | None = None,
    norm: Normalize | None = None,
    vmin: float | None = None,
    vmax: float | None = None,
    look: Look = PLAIN,
) -> Any:
    """Draw one layer for the screen, as ``prediction.plot()`` does; each step of one that has several.

    Parameters
    ----------
    prediction, label, crop, sites, scale
        As in `layers_map`.
    column : str
        Name of the layer; of several steps the one that it would have alone.
    ax : Axes, or array of Axes of several steps, optional
        Draw into these axes, with a colour bar beside them; a new pyplot figure by default.
    coastline : polygons, optional
        As in `layers_map`; by default the region that the prediction's grid was laid around.
    title : str, optional
        Over the map, in place of the layer's own; of several steps before each of them.
    spacing, cmap, norm, vmin, vmax
        As `geospde.prediction.layers.Layers.plot` takes them.
    look : Look
        Style, graticule, small map; of a style's page nothing holds where `ax` is given.

    Returns
    -------
    Axes, or an array of Axes of several steps
    """
    alone = any(layer.name == column for layer in prediction.layers)
    steps = [] if alone else [layer.name for layer in prediction.over_steps(column)]
    layers = [prediction.layer(name) for name in steps or [column]]
    _require_places(prediction)
    coastline = _coast(prediction, coastline)
    painted = _painted(prediction, coastline, crop)
    values = [prediction.values(layer.name)[painted] for layer in layers]
    scale = Scale.of(layers[0], values) if scale is None else scale
    scale = chosen_scale(scale, np.concatenate(values), spacing=spacing, cmap=cmap, norm=norm, vmin=vmin, vmax=vmax)
    figure = None
    if ax is None:
        from matplotlib import pyplot as plt

        figure = plt.figure()
    elif not steps:
        ax = new_panels(ax, 1, "columns")[0]
    if steps:
        drawn = steps_map(
            prediction, column, None if ax is None else new_panels(ax, len(steps), "steps"), coastline=coastline,
            label=label, title=title, crop=crop, sites=sites, scale=scale, figure=figure, look=look,
        )  # fmt: skip
        return np.array(drawn, dtype=object)
    if ax is None:
        return layers_map(
            prediction, [column], coastline=coastline, label=label, title=title, crop=crop, sites=sites,
            scale=scale, figure=figure, look=look,
        ).axes[0]  # fmt: skip
    rate = prediction.rate(label)
    layer = layers[0].with_label(*rate)
    view = _view(prediction, coastline, look)
    dress(ax, view, ticks=_ticks(ax))
    ax.set_facecolor(look.made().sea)
    _draw_layer(ax, prediction, column, scale, coastline, crop)
    write_title(ax, layer.title if title is None else title)
    draw_sites(ax, prediction, sites, layer)
    _draw_around([ax], prediction, view, coastline, look)
    # An inset is as tall as the map, whatever its aspect.
    _draw_key(ax.inset_axes((1.02, 0.0, 0.025, 1.0)), scale.showing(*values), layer, layer.axis, rate.per)
    return ax


def steps_map(
    prediction: Layers,
    column: str,
    axes: Any = None,
    *,
    coastline: Any = None,
    label: str | None = None,
    title: str | None = None,
    crop: bool = True,
    sites: Any = None,
    scale: Scale | None = None,
    figure: Figure | None = None,
    look: Look = PLAIN,
) -> list[Any]:
    """Draw a layer at each step, as small maps beside each other with one colour bar.

    Parameters
    ----------
    prediction, column, coastline, label, title, crop, sites
        As `plot_layer` takes them.
    axes : sequence of Axes, optional
        One a step; laid out on a page by default.
    scale : Scale, optional
        Made from the layers by default.
    figure : Figure, optional
        Where to lay them out.
    look : Look
        Style, graticule, small map.

    Returns
    -------
    list of Axes
    """
    layers = prediction.over_steps(column)
    names = [layer.name for layer in layers]
    scale = scale_of(prediction, names, coastline=coastline, crop=crop) if scale is None else scale
    view, room, laid = _view(prediction, coastline, look), np.inf, None
    if axes is None:
        laid, axes, bar, room = sheet(view, len(layers), figure=figure, look=look)
    else:
        for one in axes:
            dress(one, view)
        bar = axes[-1].inset_axes((1.02, 0.0, 0.025, 1.0))
    for one, layer in zip(axes, layers):
        _draw_layer(one, prediction, layer.name, scale, coastline, crop)
        draw_sites(one, prediction, sites, layer)
        write_title(one, f"{'' if title is None else f'{title}, '}{layer.along} {layer.step}", room)
    _draw_around(axes, prediction, view, coastline, look)
    shown = _painted(prediction, coastline, crop)
    rate = prediction.rate(label)
    words = layers[0].without_step().with_label(*rate)
    showing = scale.showing(*(prediction.values(name)[shown] for name in names))
    _draw_key(bar, showing, words, words.description(rate.label), rate.per)
    if laid is not None:
        make_room(laid, bar)
    return list(axes)


def plot_panels(
    prediction: Layers,
    columns: Sequence[str] | None = None,
    ax: Any = None,
    *,
    coastline: Any = None,
    label: str | None = None,
    crop: bool = True,
    look: Look = PLAIN,
) -> NDArray[Any]:
    """Draw layers as maps, a panel each; those of one scale, such as mean and quantiles, share their colours.

    Parameters
    ----------
    prediction : Layers
        On a grid, or at points; such as a `Prediction`.
    columns : sequence of str, optional
        By default every layer but the quantiles between the outermost limits.
    ax : array of Axes, optional
        As many; a new pyplot figure by default.
    coastline, label, crop, look
        As `plot_layer` takes them.

    Returns
    -------
    array of Axes

    Raises
    ------
    InputError
        For an unknown column, a prediction without places, or another number of axes.
    """
    _require_places(prediction)
    names = [columns] if isinstance(columns, str) else mapped_layers(prediction) if columns is None else list(columns)
    rate = prediction.rate(label)
    layers = [prediction.layer(name).with_label(*rate) for name in names]
    coastline = _coast(prediction, coastline)
    shared: dict[str, list[str]] = {}
    for layer in layers:
        shared.setdefault(layer.scale, []).append(layer.name)
    scales = {name: scale_of(prediction, of, coastline=coastline, crop=crop) for name, of in shared.items()}
    if ax is None:
        axes, room = _panels(_view(prediction, coastline, look), len(layers), look)
    else:
        axes, room = new_panels(ax, len(layers), "columns"), np.inf
    for one, layer in zip(axes, layers):
        scale = scales[layer.scale]
        plot_layer(prediction, layer.name, one, coastline=coastline, label=label, crop=crop, scale=scale, look=look)
        write_title(one, layer.title, room, 6.0)  # a long one must not run into the next panel
    if ax is None:
        _space(axes)
    return axes


def mapped_layers(prediction: Layers) -> list[str]:
    """Return the layers worth a map, mean and outermost limits first; other quantiles are left out."""
    limits = outer_limits(prediction.layers) or ()
    level = [one for one in prediction.layers if one.kind == "mean"]
    others = [one for one in prediction.layers if one.kind not in ("mean", "quantile")]
    return [layer.name for layer in (*level, *limits, *others)]


def scale_of(prediction: Layers, columns: Sequence[str], *, coastline: Any = None, crop: bool = True) -> Scale:
    """Make the colour scale of layers that share one, from the places that are painted."""
    painted = _painted(prediction, coastline, crop)
    return Scale.of(prediction.layer(columns[0]), [prediction.values(column)[painted] for column in columns])


def _require_places(prediction: Layers) -> None:
    """Raise where there is nothing to lay a map around."""
    if prediction.points is None:
        raise InputError("this prediction has no places to draw: predict on a Grid or at points")


def _coast(prediction: Layers, given: Any) -> Any:
    """Return the polygons around a map, in its system: by default the region that its grid was laid around."""
    if given is None:
        return None if prediction.grid is None else prediction.grid.domain
    own = getattr(given, "crs", None)
    if own is not None and prediction.crs is not None and own != prediction.crs and hasattr(given, "to_crs"):
        given = given.to_crs(prediction.crs)
    land = as_region(given, "the coastline")
    if "Polygon" not in land.geom_type:
        raise InputError(f"the coastline is of polygons, not {land.geom_type}: places to mark are sites=")
    return land


def _painted(prediction: Layers, coastline: Any, crop: bool) -> NDArray[np.bool_]:
    """Tell which rows of a prediction a map shows: with a crop, the cells that meet the land."""
    grid = prediction.grid
    everything = np.ones(len(prediction.frame), dtype=bool)
    if grid is None or coastline is None or not crop:
        return everything
    shown = _land(coastline, grid.x0, grid.dx, grid.cols, grid.y0, grid.dy, grid.rows)[grid.mask]
    return shown if shown.any() else everything


@lru_cache(maxsize=2)
def _land(coastline: Any, x0: float, dx: float, cols: int, y0: float, dy: float, rows: int) -> NDArray[np.bool_]:
    """Tell which cells meet the land: once for all figures of a run."""
    meets = cells_that_meet(coastline, x0 + dx * np.arange(cols + 1), y0 + dy * np.arange(rows + 1))
    meets.setflags(write=False)
    return meets


def _bounds(prediction: Layers, coastline: Any) -> tuple[float, ...]:
    """Return the edges of the land if there is some, else of the grid or the points."""
    if coastline is not None:
        return tuple(coastline.bounds)
    if prediction.grid is not None:
        return prediction.grid.bounds
    assert prediction.points is not None
    return (*prediction.points.min(axis=0), *prediction.points.max(axis=0))


def _view(prediction: Layers, coastline: Any, look: Look = PLAIN) -> View:
    """Return the window of a map: all of the land, but what is mapped where a small map shows the land."""
    return View.of([_bounds(prediction, None if look.has_inset() else coastline)], prediction.crs)


def _draw_around(axes: Sequence[Any], prediction: Layers, view: View, coastline: Any, look: Look) -> None:
    """Draw what stands on a map beside its content: graticule, small map on the first, scale bar on the last."""
    if look.graticule:
        for ax in axes:
            draw_graticule(ax, view, prediction.crs)
    taken, land = None, coastline if look.inset is True else None
    if look.has_inset() and look.inset is not True:
        land = _polygons(look.inset, prediction.crs)
    if land is not None:  # where there is no coastline, the map is all that a small map could show
        taken = draw_inset(axes[0], view, land, coastline)
    filled = coastline
    if coastline is None and prediction.points is not None:
        filled = shapely.convex_hull(shapely.multipoints(prediction.points))
    used = [part for part in (filled, taken if len(axes) == 1 else None) if part is not None]
    draw_scale_bar(axes[-1], view, shapely.union_all(used) if used else None)


def _polygons(given: Any, crs: Any) -> Any:
    """Return what a small map shows as one geometry: polygons, or those of a table, brought to the map's CRS."""
    if hasattr(given, "geometry"):
        moved = given.to_crs(parse_crs(crs)) if given.crs is not None and crs is not None else given
        given = shapely.union_all(np.asarray(moved.geometry.array))
    if not isinstance(given, shapely.Geometry) or given.is_empty or given.area == 0:
        raise InputError(f"inset is True or polygons that the map lies in, not {type(given).__name__}")
    return given


def _draw_layer(ax: Axes, prediction: Layers, column: str, scale: Scale, coastline: Any, crop: bool) -> None:
    """Paint one layer: cells of a grid, hatched where it extrapolates, or marks at points."""
    values = prediction.values(column)
    if prediction.grid is not None:
        image, clip = prediction.grid.to_array(values), coastline if crop else None
        draw_cells(ax, image, prediction.grid.bounds, clip=clip, **scale.style)
        if column != EXTRAPOLATION and any(layer.name == EXTRAPOLATION for layer in prediction.layers):
            far = prediction.grid.to_array(prediction.values(EXTRAPOLATION)) > 0
            draw_hatching(ax, far, prediction.grid.bounds, clip=clip)
    else:
        assert prediction.points is not None
        x, y = prediction.points.T
        ax.scatter(x, y, c=values, s=10, edgecolors=INK, linewidths=0.2, **scale.style)
    if coastline is not None:
        draw_coast(ax, coastline)


def _draw_key(place: Axes, scale: Scale, layer: Layer, label: str, per: float) -> None:
    """Say what the colours mean: a legend of a layer's classes under its own colours, else a colour bar."""
    if scale.classes and scale.norm is None:
        legend(place, scale, layer.classes)
    else:
        colour_bar(place, scale, label, per if layer.unit == RESPONSE else 1.0)


def draw_sites(ax: Axes, prediction: Layers, sites: Any, layer: Layer) -> None:
    """Mark places on the map of a layer: a survey's, a table's, an array's, or with True those of the model.

    Of a layer that is one of several steps, such as years, those of the step, where a table says when.
    """
    if sites is None or sites is False:
        return
    if sites is True:
        sites = prediction.sites_of(layer)
        if sites is None:
            raise InputError("this prediction does not know its sites: give them, plot(sites=survey)")
    elif layer.step:
        sites = getattr(sites, "points", sites)
        sites = sites[of_step(sites, layer.along, layer.step)] if isinstance(sites, pd.DataFrame) else sites
    points = getattr(sites, "points", sites)
    geometry = getattr(points, "geometry", None)
    try:
        xy = np.asarray(points if geometry is None else shapely.get_coordinates(geometry.array), dtype=float)
    except (TypeError, ValueError):
        xy = np.zeros(0)
    if xy.ndim != 2 or xy.shape[1] != 2:
        raise InputError(f"sites are places, an array of shape (n, 2) or a GeoDataFrame, not {type(sites).__name__}")
    size = float(np.clip(800 / max(len(xy), 1), 1.0, 8.0))
    ax.scatter(xy[:, 0], xy[:, 1], s=size, facecolors="white", edgecolors=INK, linewidths=0.4, zorder=4)


def _panels(view: View, count: int, look: Look) -> tuple[NDArray[Any], float]:
    """Lay out panels with a colour bar each, as large as a page lets them be; and the inches that a title may take."""
    from matplotlib import pyplot as plt

    page = look.made().page
    choices = []
    for cols in range(1, min(count, 4) + 1):
        rows = -(-count // cols)
        wide = min(page[0] / cols - _BESIDE, (page[1] / rows - _ABOVE) / view.tallness)
        choices.append((wide, cols))
    wide, cols = choices[-1] if count <= 3 and view.tallness > 1 else max(choices)
    wide = max(wide, _NARROW / max(view.tallness, 1.0))
    rows, tall = -(-count // cols), wide * view.tallness
    width, height = cols * (wide + _BESIDE), rows * (tall + _ABOVE)
    figure = plt.figure(figsize=(width / 25.4, height / 25.4), facecolor="white")
    if look.style is not None:
        figure.set_dpi(look.made().dpi)
    axes = np.empty(count, dtype=object)
    for k in range(count):
        row, col = divmod(k, cols)
        left, bottom = col * (wide + _BESIDE) + _LEFT, (rows - 1 - row) * (tall + _ABOVE) + _BELOW
        axes[k] = figure.add_axes((left / width, bottom / height, wide / width, tall / height))
    return axes, (wide + _BESIDE - _LEFT - 3.0) / 25.4


def _space(axes: NDArray[Any]) -> None:
    """Move panels apart where what stands beside their colour bars needs it; the maps stay as large as they are."""
    figure = axes[0].get_figure()
    wide = figure.get_figwidth()
    boxes = [ax.get_position() for ax in axes]
    lefts = sorted({round(box.x0, 9) for box in boxes})
    pitch = wide / len(lefts)
    need = max(right_of(figure, ax) - wide * box.x0 for ax, box in zip(axes, boxes)) + (_LEFT + 2.0) / 25.4
    if need <= pitch:
        return
    new = need * len(lefts)
    figure.set_figwidth(new)
    for ax, box in zip(axes, boxes):
        left = lefts.index(round(box.x0, 9)) * need + _LEFT / 25.4
        ax.set_position((left / new, box.y0, box.width * wide / new, box.height))


def _ticks(ax: Axes) -> int:
    """Return how many ticks stand along a map without their labels running into each other."""
    figure = ax.get_figure()
    wide = ax.get_position().width * figure.get_figwidth() * 25.4  # type: ignore[union-attr]
    return 6 if wide > 60 else 4 if wide > 34 else 2
