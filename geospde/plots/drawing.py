"""What is drawn on a map: land, coast, cells of a grid, a scale bar."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import shapely
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator
from matplotlib.transforms import Bbox, IdentityTransform
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.plots.canvas import FRAME, INK, SEA, SMALL, View, dress, sheet, title
from geospde.plots.frame import ALARM, LINE, finish, new_axes
from geospde.plots.scale import Scale
from geospde.survey.crs import LONGITUDE_LATITUDE, is_local, parse_crs, transformer
from geospde.text.words import counted

LAND = "#e4e0d8"

_FINEST = 3000
"""Most cells along a side that a picture takes: 180 mm at 300 dpi are 2,126 pixels."""


GRATICULE = "#9fb2c1"

_SECONDS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200, 18000, 36000, 54000, 108000)
"""Steps of a graticule, in seconds of arc."""

_DEGREE_ROOM = 28.0, 20.0, 12.0
"""Millimetres between two lines of a graticule, at least, in seconds, minutes and degrees: 166°53′20″E has 17."""

_INSET = (0.26, 0.34)
"""Most that a small map takes of a map's width and height."""

_STRIPES = 100
"""Stripes of hatching along the longer side of a grid."""

_WHITE = 217
"""How opaque a stripe is, of 255."""


class Cells(AxesImage):
    """The north-up image of a grid, each dot in the colour of the cell that its middle lies in.

    Cells are coloured, not dots, which is what takes longest in matplotlib's own.

    Parameters
    ----------
    ax : Axes
    cells : (rows, columns) array
        Values, NaN where there is none.
    extent : tuple of float
        West, east, south and north.
    norm, cmap
        From values to colours, as `imshow` takes them.
    """

    def __init__(
        self,
        ax: Axes,
        cells: NDArray[Any],
        extent: tuple[float, float, float, float],
        norm: Normalize | None = None,
        cmap: str | Colormap | None = None,
    ) -> None:
        super().__init__(ax, cmap=cmap, norm=norm, extent=extent, interpolation="nearest", origin="upper")
        self.set_data(cells)
        self.set_clip_path(ax.patch)
        self.autoscale_None()
        self.set_extent(extent)
        ax.add_image(self)

    def make_image(self, renderer: Any, magnification: float = 1.0, unsampled: bool = False) -> Any:
        """Return the dots of the image from the lowest line up, and how far from the left and from below they begin."""
        if unsampled or not self.get_transform().is_affine:
            return super().make_image(renderer, magnification, unsampled)
        west, east, south, north = self.get_extent()
        (left, low), (right, high) = magnification * self.get_transform().transform([(west, south), (east, north)])
        window = self.get_clip_box() or self.axes.bbox
        window = Bbox.from_extents(*(magnification * edge for edge in window.extents))
        seen = Bbox.intersection(Bbox.from_extents(left, low, right, high), window)
        nothing = None, 0.0, 0.0, None
        if seen is None:
            return nothing
        x = np.arange(math.floor(seen.xmin + 0.5), math.floor(seen.xmax + 0.5))
        y = np.arange(math.floor(seen.ymin + 0.5), math.floor(seen.ymax + 0.5))
        if not x.size or not y.size:
            return nothing
        rows, columns = np.ma.asarray(self.get_array()).shape
        column = np.floor((x + 0.5 - left) / (right - left) * columns).astype(int).clip(0, columns - 1)
        row = np.floor((high - y - 0.5) / (high - low) * rows).astype(int).clip(0, rows - 1)
        dots = self._dots(x, y, row, column, max(abs(right - left), abs(high - low)))
        return dots, x[0] / magnification, y[0] / magnification, IdentityTransform()

    def _dots(
        self, x: NDArray[np.int_], y: NDArray[np.int_], row: NDArray[np.int_], column: NDArray[np.int_], longer: float
    ) -> NDArray[np.uint8]:
        """Return the colours of the dots of these lines and columns, which lie in these cells, (lines, columns, 4)."""
        colours = self.to_rgba(np.ma.asarray(self.get_array()), alpha=self.get_alpha(), bytes=True)
        whole = np.ascontiguousarray(colours).view(np.uint32)[..., 0]  # a colour is moved as one number
        return whole[row[:, None], column].view(np.uint8).reshape(len(row), len(column), 4)


class Hatching(Cells):
    """White stripes over the cells of a north-up image that are 1, not 0: a hundred along its longer side."""

    def _dots(
        self, x: NDArray[np.int_], y: NDArray[np.int_], row: NDArray[np.int_], column: NDArray[np.int_], longer: float
    ) -> NDArray[np.uint8]:
        """Return white dots, as opaque as a stripe covers them."""
        period = max(longer / _STRIPES, 4.0)
        sums = np.arange(x[0] - y[-1], x[-1] - y[0] + 1)  # a stripe goes up by as much as to the right
        off = np.abs(sums % period - period / 2)  # from its middle
        opaque = (_WHITE * (period / 8 + 0.5 - off).clip(0.0, 1.0)).astype(np.uint8)
        dots = np.full((len(row), len(column), 4), 255, dtype=np.uint8)
        dots[..., 3] = opaque[(x - x[0]) + (y[-1] - y)[:, None]]
        dots[..., 3] *= np.asarray(self.get_array())[row[:, None], column]
        return dots


def polygon_path(region: Any) -> Path:
    """Return one path of all rings of (multi)polygons; holes wind the other way: filling spares them."""
    parts = shapely.get_parts(region)
    polygons = shapely.orient_polygons(parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON])
    rings = [ring for polygon in polygons for ring in (polygon.exterior, *polygon.interiors)]
    return Path.make_compound_path(*[Path(shapely.get_coordinates(ring), closed=True) for ring in rings])


def draw_land(ax: Axes, coastline: Any) -> None:
    """Fill the land, under everything else."""
    ax.add_artist(PathPatch(polygon_path(coastline), fc=LAND, ec="none", zorder=0.5))


def draw_areas(ax: Axes, shapes: NDArray[Any], values: NDArray[np.float64], scale: Scale) -> None:
    """Paint polygons in the colours of their values."""
    painted = PathCollection([polygon_path(shape) for shape in shapes], ec="white", lw=0.3, zorder=2, **scale.style)
    painted.set_array(values)
    ax.add_collection(painted)


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
) -> Cells:
    """Paint the north-up image of a grid; with `clip`, only what lies on that land."""
    west, south, east, north = bounds
    (rows, cols), step = image.shape, math.ceil(max(image.shape) / _FINEST)
    if step > 1:  # the middle one of step x step cells: matplotlib would copy all of them several times
        down, across = (np.arange(step // 2, n + step // 2, step).clip(max=n - 1) for n in image.shape)
        image = image[np.ix_(down, across)]
        east = west + (east - west) * len(across) * step / cols
        south = north - (north - south) * len(down) * step / rows
    painted = Cells(ax, image, (west, east, south, north), norm=norm, cmap=cmap)
    if clip is not None:
        painted.set_clip_path(PathPatch(polygon_path(clip), transform=ax.transData))
    return painted


def draw_hatching(ax: Axes, shaded: NDArray[np.bool_], bounds: Sequence[float], *, clip: Any = None) -> Hatching | None:
    """Hatch cells of a north-up image, where a map is not to be trusted as elsewhere; None where there are none."""
    if not shaded.any():
        return None
    west, south, east, north = bounds
    ax.autoscale(False)  # the window is the map's
    painted = Hatching(ax, shaded.astype(np.uint8), (west, east, south, north))
    painted.set_zorder(1.5)
    if clip is not None:
        painted.set_clip_path(PathPatch(polygon_path(clip), transform=ax.transData))
    return painted


def draw_graticule(ax: Axes, view: View, crs: Any, *, beneath: bool = False) -> None:
    """Draw lines of longitude and latitude, and write their degrees at the ticks of the lower and the left side.

    Beneath areas, where they are not to be taken for borders.

    Raises
    ------
    InputError
        For a CRS that has no place on Earth.
    """
    known = None if crs is None else parse_crs(crs)
    if known is None or is_local(known):
        raise InputError("a graticule needs a CRS that has a place on Earth, which a local frame does not have")
    there = transformer(known, LONGITUDE_LATITUDE)
    across, up = np.linspace(view.west, view.east, 200), np.linspace(view.south, view.north, 200)
    edges = np.concatenate([
        np.column_stack([across, np.full(200, side)]) for side in (view.south, view.north)
    ] + [np.column_stack([np.full(200, side), up]) for side in (view.west, view.east)])  # fmt: skip
    lon, lat = there.transform(*edges.T)
    lon = lon[0] + (np.asarray(lon) - lon[0] + 180.0) % 360.0 - 180.0  # in one piece across the date line
    figure = ax.get_figure()
    assert isinstance(figure, Figure)
    box = ax.get_position()
    sizes = figure.get_figwidth() * 25.4 * box.width, figure.get_figheight() * 25.4 * box.height
    others = np.linspace(lon.min(), lon.max(), 60), np.linspace(lat.min(), lat.max(), 60)
    for axis, along, edge, own, size, sides in (
        (ax.xaxis, across, lon[:200], lon, sizes[0], "EW"),
        (ax.yaxis, up, lat[400:600], lat, sizes[1], "NS"),
    ):
        values, seconds = _round_degrees(float(own.min()), float(own.max()), size)
        for value in values:
            line = np.full((2, 60), value)
            line[1 if axis is ax.xaxis else 0] = others[1 if axis is ax.xaxis else 0]
            x, y = there.transform(line[0], line[1], direction="INVERSE")
            ax.plot(x, y, color=GRATICULE, lw=0.4, zorder=0.5 if beneath else 2.5, scalex=False, scaley=False)
        seen = [value for value in values if edge.min() <= value <= edge.max()]
        order = np.argsort(edge)
        axis.set_major_locator(FixedLocator(np.interp(seen, edge[order], along[order])))
        axis.set_major_formatter(FixedFormatter([_degrees(value, seconds, sides) for value in seen]))
    ax.set(xlabel="", ylabel="")
    for tick in ax.get_yticklabels():
        tick.set(rotation=90, va="center")


def _round_degrees(low: float, high: float, size: float) -> tuple[NDArray[np.float64], int]:
    """Return round values between two, whose labels fit along so many millimetres, and their step in seconds of arc.

    Examples
    --------
    >>> _round_degrees(11.1, 11.9, 80.0)
    (array([11.25, 11.5 , 11.75]), 900)
    >>> _round_degrees(-5.0, -1.0, 35.0)
    (array([-4., -2.]), 7200)
    """

    def most(step: int) -> int:
        return max(2, int(size / _DEGREE_ROOM[0 if step % 60 else 1 if step % 3600 else 2]))

    step = next((s for s in _SECONDS if (high - low) * 3600 / s <= most(s)), _SECONDS[-1])
    first, last = math.ceil(low * 3600 / step - 1e-9), math.floor(high * 3600 / step + 1e-9)
    return np.arange(first, last + 1) * step / 3600.0, step


def _degrees(value: float, step: int, sides: str) -> str:
    """Return degrees, minutes and seconds, as many as steps of these seconds need.

    Examples
    --------
    >>> _degrees(-11.25, 900, "NS"), _degrees(190.0, 3600, "EW")
    ('11°15′S', '170°W')
    """
    value = value if sides == "NS" else (value + 180.0) % 360.0 - 180.0
    total = round(abs(value) * 3600)
    text = f"{total // 3600}°"
    if step % 3600:
        text += f"{total % 3600 // 60:02d}′"
    if step % 60:
        text += f"{total % 60:02d}″"
    return text + ("" if total == 0 else sides[int(value < 0)])


def draw_inset(ax: Axes, view: View, whole: Any, land: Any = None) -> Any:
    """Draw a small map of what lies around, with the map's own window in it, in the corner with the least land.

    Parameters
    ----------
    ax : Axes
    view : View
        Its window.
    whole : polygons
        What the small map shows.
    land : polygons, optional
        What is drawn on the map.

    Returns
    -------
    Polygon or None
        The room that it takes of the map; None where it would show no more than that, and is not drawn.
    """
    window = (view.west, view.south, view.east, view.north)
    if shapely.covers(shapely.box(*window), shapely.box(*shapely.bounds(whole))):
        return None
    around = replace(View.of([tuple(shapely.bounds(whole)), window], margin=0.06), unit=view.unit)
    wide = min(_INSET[0], _INSET[1] * view.tallness / around.tallness)
    tall = wide * around.tallness / view.tallness
    size, high = view.east - view.west, view.north - view.south
    pad_x, pad_y = (0.015, 0.015 / view.tallness) if view.tallness > 1 else (0.015 * view.tallness, 0.015)
    corners = [(x, y) for y in (1 - pad_y - tall, pad_y) for x in (1 - pad_x - wide, pad_x)]
    boxes = [
        shapely.box(
            view.west + x * size, view.south + y * high, view.west + (x + wide) * size, view.south + (y + tall) * high
        )
        for x, y in corners
    ]
    covered = [0.0] * 4 if land is None else shapely.area(shapely.intersection(land, boxes))
    best = int(np.argmin(covered))
    small = ax.inset_axes((*corners[best], wide, tall), zorder=6)
    small.set(xlim=(around.west, around.east), ylim=(around.south, around.north), xticks=[], yticks=[], facecolor=SEA)
    for spine in small.spines.values():
        spine.set(linewidth=0.5, edgecolor=FRAME)
    small.add_artist(PathPatch(polygon_path(whole), fc=LAND, ec=FRAME, lw=0.3))
    small.add_patch(Rectangle(window[:2], size, high, fc="none", ec=ALARM, lw=1.0))
    return boxes[best]


OVER_LAND = 0.1
"""Share of a scale bar's corner from which land lies under it."""


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
    best = int(np.argmin(covered))
    x, y = corners[best]
    if land is not None and covered[best] > OVER_LAND * boxes[best].area:  # no corner is free: it needs a ground
        figure = ax.get_figure(root=True)
        inches = ax.get_position().height * (figure.get_figheight() if figure is not None else 1.0)
        tall = thick + (1.5 * SMALL / 72) / inches * height  # the bar, and the label above it
        west, south, wide = x - pad_x / 2, y - pad_y / 3, length + pad_x
        ax.add_patch(Rectangle((west, south), wide, tall + pad_y / 2, fc="white", ec="none", alpha=0.8, zorder=4.9))
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
    """Draw a sampling design: candidates as dots, sites that are there as rings, new ones with their numbers."""
    x, y = design.sites["x"].to_numpy(), design.sites["y"].to_numpy()
    there = np.zeros((0, 2)) if design.there is None else design.there
    fixed = np.zeros((0, 2)) if design.fixed is None else design.fixed
    places = np.vstack([design.points, np.column_stack([x, y]), there, fixed])
    view = View.of([(*places.min(axis=0), *places.max(axis=0))], design.crs)
    room = math.inf
    if ax is None:
        from matplotlib import pyplot as plt

        _, (ax,), _, room = sheet(view, bar=False, figure=plt.figure())
    else:
        dress(ax, view)
    if design.outline is not None:
        draw_land(ax, design.outline)
        draw_coast(ax, design.outline)
    open_ = design.points  # where a site may be: cells that only touch the region have their centres outside
    if design.outline is not None:
        open_ = open_[shapely.intersects_xy(design.outline, open_)]
    ax.scatter(open_[:, 0], open_[:, 1], s=4, color="#b4bcc4", linewidths=0, label="candidate")
    if len(there):
        ax.scatter(there[:, 0], there[:, 1], s=9, fc="none", ec=INK, linewidths=0.5, zorder=3, label="there already")
        rows = design.least()["row"].to_numpy(dtype=int)
        label = "matters least" if len(rows) == 1 else f"the {len(rows)} that matter least"
        ax.scatter(
            there[rows, 0], there[rows, 1], s=16, marker="x", color=LINE, linewidths=1.0, zorder=3.2, label=label
        )
    if len(fixed):
        ax.scatter(
            fixed[:, 0], fixed[:, 1], s=20, marker="s", fc="white", ec=ALARM, linewidths=1.0, zorder=3.4, label="fixed"
        )
    ax.scatter(x, y, s=30, color=ALARM, ec="white", linewidths=0.5, zorder=3.5, label="new, in order")
    legend = ax.legend(loc="best", fontsize=SMALL, framealpha=0.8, handletextpad=0.2, labelcolor=INK)
    legend.get_frame().set(linewidth=0)  # as the scale bar's: candidates lie beneath
    for k, place in enumerate(zip(x, y), 1):
        ax.annotate(
            str(k), place, xytext=(3.5, 2.5), textcoords="offset points", fontsize=SMALL, color=INK, zorder=4,
            path_effects=[withStroke(linewidth=2.0, foreground="white")],
        )  # fmt: skip
    left = 100 * design.curve.iloc[-1]
    title(ax, f"{counted(len(x), 'new site')}, in order: {left:.0f} % of the {design.of} is left", room)
    draw_scale_bar(ax, view, design.outline)
    return ax


def plot_gain(design: Any, ax: Axes | None = None) -> Axes:
    """Draw what each new site leaves of the criterion, in percent: along their number, or what they cost."""
    ax = new_axes(ax)
    left = 100 * design.curve.to_numpy()
    costs = design.sites["cost"].to_numpy()
    even = bool((costs == costs[0]).all())
    along = np.arange(len(left)) if even else np.concatenate([[0.0], np.cumsum(costs)])
    ax.vlines(along[1:], left[1:], left[:-1], color=ALARM, lw=1.6, alpha=0.45, label="taken by this site")
    ax.plot(along, left, "-", color=LINE, lw=0.9, zorder=3)
    ax.plot(along, left, "o", color=LINE, ms=3.0, zorder=3, label="left after it")
    if not even:
        for k, place in enumerate(zip(along[1:], left[1:]), 1):
            ax.annotate(str(k), place, xytext=(-2, -3), textcoords="offset points", fontsize=SMALL, color=INK,
                        ha="right", va="top")  # fmt: skip
    low = float(left[-1])
    ax.set_ylim(max(0.0, low - 0.12 * (100 - low)), 100 + 0.04 * (100 - low))
    ax.xaxis.set_major_locator(MaxNLocator(8, integer=even))
    ax.grid(axis="y", color=GRATICULE, lw=0.4, alpha=0.6)
    ax.set_axisbelow(True)
    ax.legend(fontsize=SMALL, frameon=False, loc="upper right", labelcolor=INK)
    words = f"{counted(len(costs), 'new site')}: {low:.0f} % of the {design.of} is left"
    return finish(ax, words, "new sites" if even else "cost, summed", f"{design.of} left (%)")
