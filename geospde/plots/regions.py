"""Choropleths: areas in the colours of what is predicted for them; and a region's index by year as a curve."""

from __future__ import annotations

from dataclasses import replace
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import shapely
from matplotlib.collections import PathCollection
from matplotlib.ticker import FuncFormatter, MaxNLocator

from geospde.errors import InputError
from geospde.plots.canvas import FRAME, View, colour_bar, dress, sheet
from geospde.plots.canvas import title as write_title
from geospde.plots.drawing import LAND, draw_graticule, draw_scale_bar, polygon_path
from geospde.plots.frame import new_axes
from geospde.plots.scale import Scale
from geospde.prediction.layer import RESPONSE, Layer
from geospde.prediction.regions.index import Index
from geospde.prediction.regions.regions import RegionPrediction
from geospde.text.rates import Rate
from geospde.text.words import did_you_mean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BAND = "#0072B2"
UNCERTAIN = ("sd", "plasma")
_BAR = (0.055, 0.4)  # of a map, that a colour bar takes
_NUMBERS = 12.0  # millimetres that the numbers beside it take
_SIDE = 40  # letters along the side of an index's picture


def plot_regions(regions: RegionPrediction, ax: Axes | None = None, column: str = "mean") -> Axes:
    """Draw areas in the colours of a column.

    Parameters
    ----------
    regions : RegionPrediction
    ax : Axes, optional
    column : str
        Of `RegionPrediction.to_frame`.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        For a column that there is not.
    """
    if ax is None:
        from matplotlib import pyplot as plt

        return regions_map(regions, (column,), figure=plt.figure()).axes[0]
    frame = _frame(regions, column)
    view = View.of([tuple(frame.total_bounds)], frame.crs)
    dress(ax, view)
    scale, rate = _scale(regions, frame, column), regions.rate()
    _draw(ax, frame, column, scale)
    write_title(ax, _title(regions, column, rate))
    place = ax.inset_axes((1.02, 0.0, 0.025, 1.0))
    colour_bar(place, scale, _bar_label(regions, column, rate), _per(regions, column, rate))
    return ax


def regions_map(
    regions: RegionPrediction,
    columns: tuple[str, ...] = ("mean", "sd"),
    *,
    label: str | None = None,
    step: str = "",
    degrees: bool = False,
    rate: Rate | None = None,
    figure: Figure | None = None,
) -> Figure:
    """Draw columns as maps on one page: figures on one colour scale, and their uncertainty beside them.

    Parameters
    ----------
    regions : RegionPrediction
    columns : tuple of str
    label : str, optional
        What is summed up, in words; by default the prediction's own label.
    step : str
        Which of several steps it is, such as ``"year 2020"``.
    degrees : bool
        Draw lines of longitude and latitude.
    rate : Rate, optional
        The words and the factor of several maps; by default those of these areas.
    figure : Figure, optional
        Draw into this one.
    """
    frames = [_frame(regions, column) for column in columns]
    view = View.of([tuple(frames[0].total_bounds)], frames[0].crs)
    scales = [_scale(regions, frame, column, columns) for frame, column in zip(frames, columns)]
    one_scale = all(scale == scales[0] for scale in scales)
    land = shapely.union_all(np.asarray(frames[0].geometry.array))
    corner = _corner(view, sheet(view, len(columns), bar=False)[1][0])
    if not one_scale and corner.intersects(land):
        view = replace(view, west=view.west - (corner.bounds[2] - corner.bounds[0]))
    figure, axes, place, room = sheet(view, len(columns), bar=one_scale, figure=figure)
    rate = rate or regions.rate(label)
    for ax, frame, column, scale in zip(axes, frames, columns, scales):
        _draw(ax, frame, column, scale)
        words = _title(regions, column, rate)
        write_title(ax, f"{words}, {step}" if step and column == columns[0] else words, room)
        if not one_scale:
            colour_bar(ax.inset_axes((0.03, 0.04, 0.025, 0.32)), scale, "", _per(regions, column, rate))
        if degrees:
            draw_graticule(ax, view, frame.crs, beneath=True)
    if one_scale:
        colour_bar(place, scales[0], _bar_label(regions, columns[0], rate), _per(regions, columns[0], rate))
    draw_scale_bar(axes[-1], view, land if one_scale else shapely.union(land, _corner(view, axes[0])))
    return figure


def _corner(view: View, ax: Axes) -> Any:
    """What a colour bar and its numbers take of a view in the lower left corner of a map."""
    wide, high = view.east - view.west, view.north - view.south
    figure = ax.get_figure(root=True)
    assert figure is not None
    across = 25.4 * ax.get_position().width * figure.get_figwidth()
    share = min(_BAR[0] + _NUMBERS / across, 0.5)
    return shapely.box(view.west, view.south, view.west + share * wide, view.south + _BAR[1] * high)


def _layer(regions: RegionPrediction, column: str, rate: Rate) -> Layer | None:
    """The layer of a column in the words of its quantity, such as "standard deviation of the mean of lead"."""
    layer = next((one for one in regions.layers if one.name == column), None)
    return None if layer is None else layer.with_label(regions.phrase(rate.label), rate.per)


def _bar_label(regions: RegionPrediction, column: str, rate: Rate) -> str:
    """What the colours of a column are of."""
    layer = _layer(regions, column, rate)
    return column if layer is None else layer.axis.removeprefix("the ")


def _per(regions: RegionPrediction, column: str, rate: Rate) -> float:
    """What the numbers of a column are multiplied with beside its colours."""
    layer = _layer(regions, column, rate)
    return rate.per if layer is not None and layer.unit == RESPONSE else 1.0


def plot_index(index: Index, ax: Axes | None = None, label: str | None = None) -> Axes:
    """Draw an index with its band: a line over numbers, such as years, intervals over words.

    Parameters
    ----------
    index : Index
    ax : Axes, optional
    label : str, optional
        What is summed up, in words; by default the index's own label.

    Returns
    -------
    Axes
    """
    ax = new_axes(ax, 137.16, 81.28)
    frame = index.to_frame()
    low, high = index.band
    if pd.api.types.is_numeric_dtype(frame[index.along]):
        x = frame[index.along].to_numpy(dtype=float)
        ax.fill_between(x, low, high, color=BAND, alpha=0.2, lw=0)
        ax.plot(x, frame["mean"], "o-", color=BAND, ms=4, lw=1.4)
        ax.xaxis.set_major_locator(MaxNLocator(min(len(x) + 1, 9), integer=bool((x == np.round(x)).all())))
    else:
        x = np.arange(len(frame))
        ax.vlines(x, low, high, color=BAND, lw=1.4)
        ax.plot(x, frame["mean"], "o", color=BAND, ms=5)
        ax.set_xticks(x, frame[index.along].astype(str))
    low_end, high_end = float(low.min()), float(high.max())
    if low_end >= 0 and low_end < 0.7 * high_end:
        ax.set_ylim(bottom=0)  # how much is gone is seen from zero
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}".replace("-", "\N{MINUS SIGN}")))
    ax.set_xlabel(index.along)
    ax.set_ylabel(fill(f"{index.kind.capitalize()} of {label or index.label}", _SIDE))
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _frame(regions: RegionPrediction, column: str) -> Any:
    frame = regions.to_geodataframe()
    numbers = [c for c in regions.to_frame().columns if c != "area"]
    if column not in numbers:
        raise InputError(f"areas have no column {column!r}; {did_you_mean(column, numbers, 'columns')}")
    return frame


def _scale(regions: RegionPrediction, frame: Any, column: str, columns: tuple[str, ...] = ()) -> Scale:
    """Colours of a column; limits that are drawn together have one scale, a probability has all of it."""
    layers = {layer.name: layer for layer in regions.layers if layer.kind in ("quantile", "probability")}
    if column not in layers:
        return Scale.over([frame[column]], UNCERTAIN[1] if column == UNCERTAIN[0] else "viridis")
    same = [name for name in columns if name in layers and layers[name].scale == layers[column].scale]
    return Scale.of(layers[column], [frame[name] for name in same or [column]])


def _title(regions: RegionPrediction, column: str, rate: Rate) -> str:
    words = regions.called(rate.label)
    said = {"mean": words, "sd": "Standard deviation"}
    layer = _layer(regions, column, rate)
    return said.get(column, f"{words}: {column}") if column in said or layer is None else layer.title


def _draw(ax: Axes, frame: Any, column: str, scale: Scale) -> None:
    """Paint the areas; those without a figure are grey."""
    values = frame[column].to_numpy(dtype=float)
    known = np.isfinite(values)
    paths = [polygon_path(shape) for shape in frame.geometry.array]
    if (~known).any():
        ax.add_collection(PathCollection([p for p, k in zip(paths, known) if not k], fc=LAND, ec=FRAME, lw=0.3))
    painted = PathCollection([p for p, k in zip(paths, known) if k], ec="white", lw=0.3, **scale.style)
    painted.set_array(values[known])
    ax.add_collection(painted)
