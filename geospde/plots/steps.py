"""Maps of a layer at several steps, such as years: small panels of one colour scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from geospde.plots.canvas import colour_bar, dress, sheet
from geospde.plots.canvas import title as write_title
from geospde.plots.drawing import draw_scale_bar
from geospde.plots.frame import new_panels
from geospde.plots.maps import draw_layer, painted_cells, plot_layer, require_places, scale_of, view_of
from geospde.plots.scale import Scale, chosen_scale
from geospde.prediction.layers import Layers

if TYPE_CHECKING:
    from matplotlib.colors import Colormap, Normalize
    from matplotlib.figure import Figure
    from numpy.typing import NDArray


def plot_named(prediction: Layers, column: str = "mean", ax: Any = None, **options: Any) -> Any:
    """Draw a layer by `geospde.plots.maps.plot_layer`, or, where it has several steps, by `plot_steps`."""
    alone = any(layer.name == column for layer in prediction.layers) or not prediction.over_steps(column)
    return (plot_layer if alone else plot_steps)(prediction, column, ax, **options)


def plot_steps(
    prediction: Layers,
    column: str = "mean",
    ax: Any = None,
    *,
    coastline: Any = None,
    label: str | None = None,
    title: str | None = None,
    crop: bool = True,
    cmap: str | Colormap | None = None,
    norm: Normalize | None = None,
    vmin: float | None = None,
    vmax: float | None = None,
) -> NDArray[Any]:
    """Draw a layer at each step for the screen, as ``prediction.plot()`` does.

    Parameters
    ----------
    prediction, coastline, label, crop, cmap, norm, vmin, vmax
        As `geospde.plots.maps.plot_layer` takes them.
    column : str
        The layer, by the name that it would have alone.
    ax : array of Axes, optional
        As many as steps; a new pyplot figure by default.
    title : str, optional
        Before the step over each panel.

    Returns
    -------
    array of Axes
    """
    require_places(prediction)
    if coastline is None and prediction.grid is not None:
        coastline = prediction.grid.domain
    names = [layer.name for layer in prediction.over_steps(column)]
    values = np.concatenate([prediction.values(name)[painted_cells(prediction, coastline, crop)] for name in names])
    scale = scale_of(prediction, names, coastline=coastline, crop=crop)
    scale = chosen_scale(scale, values, cmap=cmap, norm=norm, vmin=vmin, vmax=vmax)
    figure = None
    if ax is None:
        from matplotlib import pyplot as plt

        figure = plt.figure()
    else:
        ax = new_panels(ax, len(names), "steps")
    drawn = steps_map(
        prediction, column, ax, coastline=coastline, label=label, title=title, crop=crop, scale=scale, figure=figure
    )
    return np.array(drawn, dtype=object)


def steps_map(
    prediction: Layers,
    column: str,
    axes: Any = None,
    *,
    coastline: Any = None,
    label: str | None = None,
    title: str | None = None,
    crop: bool = True,
    scale: Scale | None = None,
    figure: Figure | None = None,
) -> list[Any]:
    """Draw a layer at each step, as small maps beside each other with one colour bar.

    Parameters
    ----------
    prediction, column, coastline, label, title, crop
        As `plot_steps` takes them.
    axes : sequence of Axes, optional
        One a step; laid out on a page by default.
    scale : Scale, optional
        Made from the layers by default.
    figure : Figure, optional
        Where to lay them out.

    Returns
    -------
    list of Axes
    """
    layers = prediction.over_steps(column)
    names = [layer.name for layer in layers]
    scale = scale_of(prediction, names, coastline=coastline, crop=crop) if scale is None else scale
    view, room = view_of(prediction, coastline), np.inf
    if axes is None:
        _, axes, bar, room = sheet(view, len(layers), figure=figure)
    else:
        for one in axes:
            dress(one, view)
        bar = axes[-1].inset_axes((1.02, 0.0, 0.025, 1.0))
    for one, layer in zip(axes, layers):
        draw_layer(one, prediction, layer.name, scale, coastline, crop)
        write_title(one, f"{'' if title is None else f'{title}, '}{layer.along} {layer.step}", room)
    draw_scale_bar(axes[-1], view, coastline)
    shown = painted_cells(prediction, coastline, crop)
    words = layers[0].without_step().with_label(label or prediction.label)
    what = words.description(label or prediction.label)
    colour_bar(bar, scale.showing(*(prediction.values(name)[shown] for name in names)), what)
    return list(axes)
