"""What is drawn on a map: land, coast, cells of a grid, a scale bar."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from matplotlib.image import AxesImage
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from geospde.plots.canvas import INK, SMALL, View
from geospde.plots.frame import ALARM, new_axes

LAND = "#e4e0d8"

_FINEST = 3000
"""Most cells along a side that a picture takes: 180 mm at 300 dpi are 2,126 pixels."""


_HATCHED, _STRIPE = 1200, 12
"""Pixels along the longer side of hatching, and between its stripes."""


def polygon_path(region: Any) -> Path:
    """Return one path of all rings of (multi)polygons; holes wind the other way: filling spares them."""
    parts = shapely.get_parts(region)
    polygons = shapely.orient_polygons(parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON])
    rings = [ring for polygon in polygons for ring in (polygon.exterior, *polygon.interiors)]
    return Path.make_compound_path(*[Path(shapely.get_coordinates(ring), closed=True) for ring in rings])


def draw_land(ax: Axes, coastline: Any) -> None:
    """Fill the land, under everything else."""
    ax.add_artist(PathPatch(polygon_path(coastline), fc=LAND, ec="none", zorder=0.5))


def draw_coast(ax: Axes, coastline: Any, *, color: str = INK, width: float = 0.6) -> None:
    """Draw the outline of the land, over cells and under sites."""
    ax.add_artist(PathPatch(polygon_path(coastline), fc="none", ec=color, lw=width, zorder=3))


def draw_cells(
    ax: Axes,
    image: NDArray[np.float64],
    bounds: Sequence[float],
    *,
    clip: Any = None,
    norm: Normalize | None = None,
    cmap: str | Colormap | None = None,
) -> AxesImage:
    """Paint the north-up image of a grid; with `clip`, only what lies on that land."""
    west, south, east, north = bounds
    (rows, cols), step = image.shape, math.ceil(max(image.shape) / _FINEST)
    if step > 1:  # the middle one of step x step cells: matplotlib would copy all of them several times
        down, across = (np.arange(step // 2, n + step // 2, step).clip(max=n - 1) for n in image.shape)
        image = image[np.ix_(down, across)]
        east = west + (east - west) * len(across) * step / cols
        south = north - (north - south) * len(down) * step / rows
    extent = (west, east, south, north)
    painted = ax.imshow(image, extent=extent, interpolation="nearest", aspect=ax.get_aspect(), norm=norm, cmap=cmap)
    if clip is not None:
        painted.set_clip_path(PathPatch(polygon_path(clip), transform=ax.transData))
    return painted


def draw_hatching(ax: Axes, shaded: NDArray[np.bool_], bounds: Sequence[float], *, clip: Any = None) -> AxesImage:
    """Hatch cells of a north-up image, where a map is not to be trusted as elsewhere."""
    west, south, east, north = bounds
    height, width = (int(round(_HATCHED * side / max(shaded.shape))) for side in shaded.shape)
    row, col = np.arange(max(height, 1))[:, None], np.arange(max(width, 1))[None, :]
    own = shaded[row * shaded.shape[0] // max(height, 1), col * shaded.shape[1] // max(width, 1)]
    stripes = np.zeros((*own.shape, 4))
    stripes[own & ((row + col) % _STRIPE < _STRIPE // 4)] = (1.0, 1.0, 1.0, 0.85)
    extent = (west, east, south, north)
    painted = ax.imshow(stripes, extent=extent, interpolation="antialiased", aspect=ax.get_aspect(), zorder=1.5)
    if clip is not None:
        painted.set_clip_path(PathPatch(polygon_path(clip), transform=ax.transData))
    return painted


def draw_scale_bar(ax: Axes, view: View, land: Any = None) -> None:
    """Draw a scale bar in the corner with the least land; nothing where there is no unit of length."""
    bar = view.scale_bar()
    if bar is None:
        return
    length, label = bar
    height = view.north - view.south
    pad_x = 0.03 * max(view.east - view.west, height * view.stretch)
    pad_y, room, thick = pad_x / view.stretch, 0.08 * height, 0.012 * height
    corners = [
        (x, y)
        for y in (view.south + pad_y, view.north - pad_y - room)
        for x in (view.east - pad_x - length, view.west + pad_x)
    ]
    covered = [0.0]
    if land is not None:
        boxes = [shapely.box(x - pad_x, y - pad_y, x + length + pad_x, y + room + pad_y) for x, y in corners]
        covered = shapely.area(shapely.intersection(land, boxes))
    x, y = corners[int(np.argmin(covered))]
    halo = [withStroke(linewidth=2.5, foreground="white", alpha=0.8)]
    ax.add_patch(Rectangle((x, y), length, thick, fc="white", ec=INK, lw=0.5, zorder=5, path_effects=halo))
    ax.add_patch(Rectangle((x, y), length / 2, thick, fc=INK, ec=INK, lw=0.5, zorder=5))
    ax.annotate(
        label,
        (x + length / 2, y + thick),
        xytext=(0, 2),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=SMALL,
        color=INK,
        zorder=5,
        path_effects=halo,
    )


def plot_design(design: Any, ax: Axes | None = None) -> Axes:
    """Draw the candidates of a sampling design as dots, and the chosen sites with their numbers."""
    ax = new_axes(ax, 120.0, 120.0)
    ax.scatter(design.points[:, 0], design.points[:, 1], s=4, color="0.8", linewidths=0)
    ax.scatter(design.sites["x"], design.sites["y"], s=30, color=ALARM, zorder=3)
    for k, (x, y) in enumerate(zip(design.sites["x"], design.sites["y"]), 1):
        ax.annotate(str(k), (x, y), xytext=(4, 3), textcoords="offset points")
    ax.set_aspect("equal")
    ax.set_title(f"{len(design.sites)} sites leave {100 * design.curve.iloc[-1]:.0f} % of the {design.criterion}")
    return ax
