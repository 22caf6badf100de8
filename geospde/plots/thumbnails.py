"""Small pictures for a notebook, quick to draw whatever the size of what they show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from geospde.mesh.trimesh import Mesh
from geospde.plots.canvas import FRAME, INK, SEA, SMALL, View
from geospde.plots.drawing import draw_cells, draw_coast, draw_land
from geospde.plots.frame import LINE, figure_png, plain
from geospde.plots.scale import Scale
from geospde.prediction.grid import Grid
from geospde.prediction.layers import Layers
from geospde.survey.survey import Survey

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray


_LONG, _DPI = 3.0, 200  # inches of the longer side; dots, of which a notebook shows two as one
_FINEST = 400  # cells and steps of a coast along a side
_MOST_TRIANGLES, _MOST_POINTS = 8_000, 5_000


def mesh_png(mesh: Mesh) -> bytes:
    """Draw a mesh; of one too fine to be seen the edges of its zones."""
    view = View.of([mesh.bounds], mesh.crs)
    figure, ax = _sheet(view)
    if mesh.n_triangles <= _MOST_TRIANGLES:
        mesh.plot(ax)
        ax.set(title="", xlabel="", ylabel="")
        _bare(ax, view)
    else:
        between = (mesh.neighbours >= 0) & (mesh.inner[mesh.neighbours] != mesh.inner[:, None])
        zones = mesh.edges[np.unique(mesh.triangle_edges[between])]
        for edges, width in ((zones, 0.6), (mesh.boundary_edges, 1.0)):
            ax.add_collection(LineCollection(list(mesh.vertices[edges]), colors=LINE, linewidths=width))
    ax.set_facecolor("white")
    return _png(figure)


def survey_png(survey: Survey) -> bytes:
    """Draw the sites of a survey and its coast."""
    places = survey.coordinates
    bounds = [(*places.min(axis=0), *places.max(axis=0))]
    if survey.coastline is not None:
        bounds.append(survey.coastline.bounds)
    view = View.of(bounds, survey.crs)
    figure, ax = _sheet(view)
    if survey.coastline is not None:
        coast = _simpler(survey.coastline, view)
        draw_land(ax, coast)
        draw_coast(ax, coast, width=0.4)
    size = 6.0 * min(1.0, (300 / len(places)) ** 0.5)
    x, y = places[:: -(-len(places) // _MOST_POINTS)].T
    ax.scatter(x, y, s=size, color=LINE, linewidths=0, zorder=4)
    return _png(figure)


def layer_png(prediction: Layers, column: str) -> bytes:
    """Draw one layer of a prediction, with a colour bar.

    Parameters
    ----------
    prediction : Layers
        On a grid, or at points.
    column : str
        Name of the layer.
    """
    grid, points = prediction.grid, prediction.points
    layer, values = prediction.layer(column).with_label(prediction.label), prediction.values(column)
    assert points is not None
    domain = None if grid is None else grid.domain
    bounds = domain.bounds if domain is not None else None if grid is None else grid.bounds
    view = View.of([bounds or (*points.min(axis=0), *points.max(axis=0))], prediction.crs)
    figure, ax = _sheet(view, beside=0.8)
    if grid is not None:
        image, extent = _thinned(grid, values)
        coast = None if domain is None else _simpler(domain, view)
        scale = Scale.of(layer, [image])
        draw_cells(ax, image, extent, clip=coast, **scale.style)
        if coast is not None:
            draw_coast(ax, coast, width=0.4)
    else:
        step = -(-len(points) // _MOST_POINTS)
        x, y = points[::step].T
        scale = Scale.of(layer, [values])
        ax.scatter(x, y, c=values[::step], s=8, edgecolors=INK, linewidths=0.2, **scale.style)
    bar = figure.colorbar(scale.mappable, ax=ax, fraction=0.05, pad=0.03)
    bar.ax.tick_params(labelsize=SMALL - 1, length=2, width=0.5, color=FRAME)
    bar.set_label(plain(layer.axis), fontsize=SMALL - 1)
    return _png(figure)


def axes_png(draw: Any, wide: float = 3.4, tall: float = 2.3) -> bytes:
    """Draw what ``draw(ax)`` draws, with its words."""
    figure = Figure(figsize=(wide, tall), layout="constrained", facecolor="white")
    draw(figure.add_subplot())
    return _png(figure)


def _sheet(view: View, beside: float = 0.0) -> tuple[Figure, Axes]:
    """A figure with bare axes in a view's shape, and room beside them."""
    long = _LONG / max(1.0, view.tallness)
    narrow = ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.02)
    figure = Figure(figsize=(long + beside, long * view.tallness), layout=narrow, facecolor="white")
    ax = figure.add_subplot()
    _bare(ax, view)
    return figure, ax


def _bare(ax: Axes, view: View) -> None:
    ax.set(xlim=(view.west, view.east), ylim=(view.south, view.north), xticks=[], yticks=[], facecolor=SEA)
    ax.set_aspect(view.stretch)
    for spine in ax.spines.values():
        spine.set(linewidth=0.5, edgecolor=FRAME)


def _thinned(grid: Grid, values: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[float, float, float, float]]:
    """Every so many cells of a grid as a north-up image, and its bounds; the whole raster is never laid out."""
    step = -(-max(grid.shape) // _FINEST)
    down, across = (np.arange(0, n, step) + min(step, n) // 2 for n in grid.shape)
    down, across = down.clip(max=grid.rows - 1), across.clip(max=grid.cols - 1)
    starts = np.concatenate([[0], np.cumsum(grid.mask.sum(axis=1))])
    image = np.full((len(down), len(across)), np.nan)
    for k, row in enumerate(down):
        line = np.full(grid.cols, np.nan)
        line[grid.mask[row]] = values[starts[row] : starts[row + 1]]
        image[len(down) - 1 - k] = line[across]
    return image, (grid.x0, grid.y0, grid.x0 + len(across) * step * grid.dx, grid.y0 + len(down) * step * grid.dy)


def _simpler(region: Any, view: View) -> Any:
    """A region without what a small picture cannot show."""
    return shapely.simplify(region, max(view.east - view.west, view.north - view.south) / _FINEST)


def _png(figure: Figure) -> bytes:
    return figure_png(figure, _DPI)
