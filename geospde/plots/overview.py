"""All layers of a prediction side by side, each with its colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from geospde.errors import InputError
from geospde.plots.canvas import PAGE, View, title
from geospde.plots.figures import heading, limit_columns, plot_prediction, scale_of
from geospde.plots.frame import new_panels
from geospde.text.words import did_you_mean

if TYPE_CHECKING:
    from numpy.typing import NDArray

# millimetres beside and above a map: tick labels and colour bar, title and labels
_BESIDE, _ABOVE, _MARGIN = 34.0, 16.0, 16.0


def plot_panels(
    prediction: Any,
    columns: Sequence[str] | None = None,
    ax: Any = None,
    *,
    coastline: Any = None,
    label: str | None = None,
    crop: bool = True,
) -> NDArray[Any]:
    """Draw columns of a prediction as maps, a panel each; mean and quantiles share their colours.

    Parameters
    ----------
    prediction : Prediction
        On a grid, or at points.
    columns : sequence of str, optional
        By default the mean, its outermost limits, the standard deviation and every exceedance probability.
    ax : array of Axes, optional
        As many; a new pyplot figure by default.
    coastline, label, crop
        As `geospde.plots.figures.plot_prediction` takes them.

    Returns
    -------
    array of Axes

    Raises
    ------
    InputError
        For an unknown column, a prediction without places, or another number of axes.
    """
    if prediction.points is None:
        raise InputError("this prediction has no places to draw: predict on a Grid or at points")
    frame = prediction.to_frame()
    chosen = [columns] if isinstance(columns, str) else _layers(frame) if columns is None else list(columns)
    for column in chosen:
        if column not in frame.columns:
            raise InputError(f"the prediction has no column {column!r}: {did_you_mean(str(column), frame.columns)}")
    if coastline is None and prediction.grid is not None:
        coastline = prediction.grid.domain
    level = [column for column in chosen if column == "mean" or column in limit_columns(frame, every=True)]
    shared = scale_of(prediction, level, coastline=coastline, crop=crop) if level else None
    cols, row = _layout(prediction, coastline, len(chosen))
    axes = new_panels(ax, len(chosen), "columns", cols, row, PAGE[0])
    for one, column in zip(axes, chosen):
        scale = shared if column in level else None
        plot_prediction(prediction, column, coastline=coastline, label=label, crop=crop, scale=scale, ax=one)
        if ax is None:  # a long label must not run into the next panel
            title(one, heading(column, label or prediction.label), (PAGE[0] / cols - _MARGIN) / 25.4)
    return axes


def _layers(frame: Any) -> list[str]:
    """The columns worth a map."""
    others = [c for c in frame.columns if c == "sd" or str(c).startswith("exceed_")]
    return ["mean", *limit_columns(frame), *others]


def _layout(prediction: Any, coastline: Any, count: int) -> tuple[int, float]:
    """Columns of panels, and the height of a row in millimetres, that make the maps largest on a page."""
    points = prediction.points
    bounds = (*points.min(axis=0), *points.max(axis=0)) if coastline is None else coastline.bounds
    tallness = View.of([bounds], prediction.crs).tallness
    choices = []
    for cols in range(1, min(count, 4) + 1):
        rows = -(-count // cols)
        wide = min(PAGE[0] / cols - _BESIDE, (PAGE[1] / rows - _ABOVE) / tallness)
        choices.append((wide, cols))
    wide, cols = max(choices)
    return cols, wide * tallness + _ABOVE
