"""The sheet a map is drawn on: window, axes laid out in millimetres, tick labels, colour bar."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from textwrap import fill
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from geospde.errors import InputError
from geospde.plots.scale import Scale
from geospde.survey.crs import parse_crs, unit_of
from geospde.text.words import did_you_mean, in_brief
from geospde.text.words import number as number_in_words

PAGE = (180.0, 230.0)
"""Width (two columns) and height (without a caption) of a journal's page, mm."""

TEXT, SMALL = 8.0, 7.0  # points, as printed
SEA, INK, FRAME = "#f1f5f8", "#1a1a1a", "#666666"


@dataclass(frozen=True)
class Style:
    """What figures are made for.

    Parameters
    ----------
    page : (float, float)
        The most that one may measure, mm. Letters and lines have the same points on any page: on a smaller one, shown
        as large, they are larger.
    dpi : int
        Dots per inch.
    sea : str
        Colour of what is no land.
    """

    page: tuple[float, float] = PAGE
    dpi: int = 200
    sea: str = SEA


USUAL = Style()
"""Of who names none."""

STYLES = {"paper": Style(dpi=300, sea="white"), "screen": Style(page=(140.0, 90.0), dpi=220)}
"""By name: for a printed page, and for slides and screens."""


class Look(NamedTuple):
    """What a caller wants of maps besides their content.

    Parameters
    ----------
    style : str, optional
        One of `STYLES`.
    graticule : bool
        Whether lines of longitude and latitude are drawn, and their degrees written at the frame.
    inset : bool or polygons, optional
        Whether a small map shows where the map is: in the land, or in these polygons.
    """

    style: str | None = None
    graticule: bool = False
    inset: Any = None

    def made(self) -> Style:
        """Return the style itself; `InputError` for a name of none."""
        if self.style is None:
            return USUAL
        if self.style not in STYLES:
            raise InputError(f"there is no style {self.style!r}: {did_you_mean(str(self.style), STYLES, 'styles')}")
        return STYLES[self.style]

    def has_inset(self) -> bool:
        """Tell whether there is to be a small map."""
        return self.inset is not None and self.inset is not False


PLAIN = Look()

# Millimetres around the maps, and between them.
_LEFT, _RIGHT, _BOTTOM, _TOP, _GAP = 14.0, 3.0, 11.0, 7.0, 5.0
_BAR, _BAR_GAP, _BAR_TEXT = 3.5, 3.0, 15.0
_NARROWEST, _LONGEST_BAR = 90.0, 120.0

_SET_WIDTH = 0.58
"""Width of a letter over its size, on average and with a little to spare."""

_SMALLEST = 5.5
"""Points below which a label of a colour bar is broken into lines."""

_SMALLEST_TITLE, _TWO_LINES = 6.5, 7.0
"""Points below which a title is broken into two lines, and the most that these may have above a map."""

_STACKED = 1.5
"""How much wider maps must get by being stacked, which takes the height of a page."""

_RIBBON = 3.5
"""Most that one side of a window may exceed the other."""


@dataclass(frozen=True)
class View:
    """The window of a map.

    Parameters
    ----------
    west, south, east, north : float
        Edges, in the units of the CRS.
    unit : str
        Unit of the CRS's axes (``"m"``, ``"km"``, ``"degree"``), empty if it has none.

    Examples
    --------
    >>> view = View.of([(0, 0, 6000, 4000)], "local:m")
    >>> view.tick_unit, view.scale_bar()
    ((1000.0, 'km'), (1000.0, '1 km'))
    """

    west: float
    south: float
    east: float
    north: float
    unit: str = ""

    @classmethod
    def of(cls, bounds: Iterable[Sequence[float]], crs: Any = None, *, margin: float = 0.03) -> "View":
        """Make the window that holds several (xmin, ymin, xmax, ymax), and a margin of its longer side.

        A region much longer than wide gets more of its surroundings: no map is a ribbon.
        """
        each = np.array(list(bounds), dtype=float)
        low, high = each[:, :2].min(axis=0), each[:, 2:].max(axis=0)
        unit = unit_of(None if crs is None else parse_crs(crs))
        to_ground = np.array([1.0, cls(low[0], low[1], high[0], high[1], unit).stretch])
        half = (high - low) / 2 * to_ground
        longer = half.max() or 1.0
        half = (np.maximum(half, longer / _RIBBON) + 2 * margin * longer) / to_ground
        west, south, east, north = map(float, [*((low + high) / 2 - half), *((low + high) / 2 + half)])
        return cls(west, south, east, north, unit)

    @property
    def stretch(self) -> float:
        """Ground length of a unit of y over that of a unit of x: 1 unless they are degrees."""
        if self.unit != "degree":
            return 1.0
        return 1.0 / max(math.cos(math.radians((self.south + self.north) / 2)), 0.01)

    @property
    def tallness(self) -> float:
        """Height over width, on the ground and on paper."""
        return self.stretch * (self.north - self.south) / (self.east - self.west)

    @property
    def tick_unit(self) -> tuple[float, str]:
        """Unit of the tick labels and its name: kilometres where metres would need thousands."""
        if self.unit == "m" and max(self.east - self.west, self.north - self.south) >= 3000:
            return 1000.0, "km"
        return 1.0, self.unit

    def scale_bar(self) -> tuple[float, str] | None:
        """Length of a round scale bar in units of x, and its label; None where there is no unit of length."""
        if not self.unit:
            return None
        unit, size = self.unit, 1.0
        if unit == "degree":
            unit, size = "km", self.stretch / 111.32
        rough = (self.east - self.west) / size / 5
        power = 10.0 ** math.floor(math.log10(rough))
        length = power * max(step for step in (1, 2, 5) if step * power <= rough * (1 + 1e-9))
        shown = length
        if unit == "m" and length >= 1000:
            shown, unit = length / 1000, "km"
        elif unit == "km" and length < 1:
            shown, unit = length * 1000, "m"
        return length * size, f"{shown:.10g} {unit}"


class Sheet(NamedTuple):
    """A figure with its parts in place."""

    figure: Figure
    axes: list[Axes]
    """One for each map."""
    bar: Axes
    """The place of the colour bar."""
    room: float
    """Inches that a map's title may take."""


def sheet(view: View, count: int = 1, *, bar: bool = True, figure: Figure | None = None, look: Look = PLAIN) -> Sheet:
    """Lay out equal maps, as large as a page lets them be, and the place of one colour bar for all.

    Millimetres rather than a layout engine, so that every figure of one coast has the same frame.

    Parameters
    ----------
    view : View
        The window of every map.
    count : int
        How many maps: side by side, or stacked where that leaves them much larger, as those of wide land; four or
        more also in rows.
    bar : bool
        Whether to leave room for a colour bar on the right; without, its axes are hidden.
    figure : Figure, optional
        Take this one and give it its size; a new one by default.
    look : Look
        Its style is that of the page.

    Returns
    -------
    Sheet
    """
    style = look.made()
    page = style.page
    right = _RIGHT + (_BAR_GAP + _BAR + _BAR_TEXT if bar else 0.0)

    def map_width(rows: int, cols: int) -> float:
        across = (page[0] - _LEFT - right - (cols - 1) * _GAP) / cols
        down = (page[1] - _BOTTOM - rows * _TOP) / rows
        return min(across, down / view.tallness)

    if count < 4:
        stacked = map_width(count, 1) > _STACKED * map_width(1, count)
        rows, cols = (count, 1) if stacked else (1, count)
    else:
        ways = [(-(-count // cols), cols) for cols in range(1, count + 1)]
        rows, cols = max(ways[::-1], key=lambda way: map_width(*way))
    wide = map_width(rows, cols)
    tall = wide * view.tallness
    body = rows * (tall + _TOP) - _TOP
    width = max(_LEFT + cols * (wide + _GAP) - _GAP + right, _NARROWEST)
    height = _BOTTOM + body + _TOP
    figure = Figure() if figure is None else figure
    figure.set_size_inches(width / 25.4, height / 25.4)
    figure.set_facecolor("white")
    if look.style is not None:
        figure.set_dpi(style.dpi)

    def place(x: float, y: float, w: float, h: float) -> Axes:
        return figure.add_axes((x / width, y / height, w / width, h / height))

    axes = []
    for number in range(count):
        row, col = divmod(number, cols)
        ax = place(_LEFT + col * (wide + _GAP), _BOTTOM + (rows - 1 - row) * (tall + _TOP), wide, tall)
        dress(ax, view, x_labels=number + cols >= count, y_labels=col == 0, ticks=6 if wide > 90 else 4)
        ax.set_facecolor(style.sea)
        axes.append(ax)
    long = min(body, _LONGEST_BAR)
    left = _LEFT + cols * (wide + _GAP) - _GAP + _BAR_GAP
    room = (wide if cols > 1 else width - _LEFT - _RIGHT) / 25.4
    colours = place(left, _BOTTOM + (body - long) / 2, _BAR, long)
    colours.set_visible(bar)
    return Sheet(figure, axes, colours, room)


def require_axes(given: Any) -> None:
    """Raise InputError for what is no axes of matplotlib."""
    if not hasattr(given, "get_figure"):
        raise InputError(f"ax is axes of matplotlib, as plt.subplots() makes them, not {in_brief(given)}")


def dress(ax: Axes, view: View, *, x_labels: bool = True, y_labels: bool = True, ticks: int = 6) -> None:
    """Set window, aspect, ticks and their labels; raises InputError for what is no axes."""
    require_axes(ax)
    ax.set(xlim=(view.west, view.east), ylim=(view.south, view.north), facecolor=SEA)
    ax.set_aspect(view.stretch)
    size, unit = view.tick_unit
    label_ticks(ax, size, ticks)
    ax.tick_params(labelsize=SMALL, length=2, width=0.5, color=FRAME, labelbottom=x_labels, labelleft=y_labels)
    for spine in ax.spines.values():
        spine.set(linewidth=0.5, edgecolor=FRAME)
    names = ("Longitude", "Latitude") if unit == "degree" else ("Easting", "Northing") if unit else ("x", "y")
    of = f" ({'°' if unit == 'degree' else unit})" if unit else ""
    ax.set_xlabel(names[0] + of if x_labels else "", fontsize=SMALL, labelpad=2)
    ax.set_ylabel(names[1] + of if y_labels else "", fontsize=SMALL, labelpad=2)


def label_ticks(ax: Axes, size: float, ticks: int = 6) -> None:
    """Label both axes by whole numbers in a unit of `size`, never as what is above an offset."""
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 5, 10]))
        axis.set_major_formatter(FuncFormatter(partial(_tick, size=size)))


def _tick(value: float, _: int, *, size: float) -> str:
    """Return a tick's label in the unit of the labels, with a true minus sign."""
    return f"{value / size:.10g}".replace("-", "\N{MINUS SIGN}")


def title(ax: Axes, text: str, room: float = math.inf, pad: float = 3.0) -> None:
    """Write a map's title above its left edge, at most `room` inches wide and `pad` points above it.

    It takes two lines, for which there is room above a map, before its letters are too small to be read.
    """
    size = _fitting(text, TEXT, room)
    if size < _SMALLEST_TITLE:
        text = fill(text, -(-len(text) // 2) + 4)
        size = _fitting(max(text.splitlines(), key=len), _TWO_LINES, room)
    # above a map stand no numbers that matplotlib would have to look for, a quarter of the time of drawing it
    y = 1.0 if isinstance(ax.yaxis.get_major_formatter(), FuncFormatter) else None
    ax.set_title(text, loc="left", y=y, pad=pad, color=INK, fontsize=size)


def title_fits(text: str, room: float) -> bool:
    """Tell whether a title of `room` inches has the size of its letters that all have."""
    return _fitting(text, TEXT, room) >= TEXT


def _fitting(text: str, size: float, room: float) -> float:
    """Return the size of type in points, `size` or less, at which a line fits into `room` inches."""
    return min(size, 72 * room / (_SET_WIDTH * max(len(text), 1)))


def make_room(figure: Figure, place: Axes) -> None:
    """Widen a figure to hold all that stands beside a colour bar, the axes staying as large as they are."""
    right = right_of(figure, place) + _RIGHT / 25.4
    wide = figure.get_figwidth()
    if right <= wide:
        return
    figure.set_figwidth(right)
    for ax in figure.axes:
        if ax in figure.get_children():  # insets follow their maps
            box = ax.get_position()
            ax.set_position((box.x0 * wide / right, box.y0, box.width * wide / right, box.height))


def right_of(figure: Figure, ax: Axes) -> float:
    """Return how far to the right axes and their labels reach, in inches."""
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    box = ax.get_tightbbox(renderer)
    return 0.0 if box is None else float(box.x1 / figure.get_dpi())


def legend(place: Axes, scale: Scale, classes: Sequence[str]) -> None:
    """Draw a square and one name per class, the highest above, beside the middle of a map."""
    figure = place.get_figure()
    assert isinstance(figure, Figure)
    place.set_axis_off()
    box = place.get_position()
    across, down = (figure.get_figwidth() * 25.4 * box.width, figure.get_figheight() * 25.4 * box.height)
    side, step = _BAR / across, 2.0 * _BAR / down
    first = 0.5 - 0.5 * step * (len(classes) - 1)
    for k, (colour, name) in enumerate(zip(scale.class_colours, classes)):
        middle = first + k * step
        square = Rectangle(
            (0.0, middle - 0.5 * _BAR / down), side, _BAR / down, fc=colour, ec=FRAME, lw=0.5,
            transform=place.transAxes, clip_on=False,
        )  # fmt: skip
        place.add_patch(square)
        size = _fitting(name, SMALL, _BAR_TEXT / 25.4)
        place.text(side + 1.2 / across, middle, name, transform=place.transAxes, va="center", fontsize=size, color=INK)


def colour_bar(place: Axes, scale: Scale, label: str, per: float = 1.0) -> None:
    """Draw a colour bar into its axes; an arrow and a second line tell of values beyond its ends.

    Very large or small numbers are written as multiples of a power of ten, which the label names; colours that are not
    evenly spaced are said.

    Parameters
    ----------
    place : Axes
    scale : Scale
    label : str
        What the values are.
    per : float
        What they are multiplied with under this label, 1000 for "cases per 1,000 population".
    """
    figure = place.get_figure()
    assert isinstance(figure, Figure)
    slack = 1e-9 * max(abs(scale.low), abs(scale.high))
    above = scale.largest > scale.high + slack
    below = scale.least is not None and scale.least < scale.low - slack
    extend = {(False, False): "neither", (True, False): "max", (False, True): "min", (True, True): "both"}[above, below]
    bar = figure.colorbar(scale.mappable, cax=place, extend=extend, extendfrac=0.03)
    exponent = _exponent(scale, per)
    size = 10.0**exponent / per
    if scale.norm is None:
        ticks = scale.ticks(per=per)
        bar.set_ticks(list(ticks), labels=[_tick_label(value / size) for value in ticks])
        bar.minorticks_off()
    bar.outline.set(linewidth=0.5, edgecolor=FRAME)
    place.tick_params(labelsize=SMALL, length=2, width=0.5, color=FRAME)
    label = f"{label} (× 10{_raised(exponent)})" if exponent else label
    room = place.get_position().height * figure.get_figheight()
    reach = [f"down to {_short(scale.least / size)}"] if below and scale.least is not None else []
    reach += [f"up to {_short(scale.largest / size)}"] if above else []
    notes = [scale.said] if scale.said else []
    notes += [f"{'arrow' if len(reach) == 1 else 'arrows'}: {', '.join(reach)}"] if reach else []
    note = "\n" + fill(f"({'; '.join(notes)})", max(int(72 * room / (_SET_WIDTH * SMALL)), 12)) if notes else ""
    size = _fitting(label, SMALL, room)
    if size < _SMALLEST:  # in two lines rather than too small to be read
        label = fill(label, -(-len(label) // 2) + 4)
        size = _fitting(max(label.splitlines(), key=len), SMALL, room)
    place.set_ylabel(label + note, fontsize=size, labelpad=3)


def _exponent(scale: Scale, per: float) -> int:
    """Return the power of ten that a colour bar's numbers are multiples of, 0 where they need none."""
    largest, steps = per * max(abs(scale.low), abs(scale.high)), sorted(abs(per * knot) for knot in scale.knots)
    if steps:  # of skewed quantiles the ends are far from where the others are
        usual = steps[len(steps) // 2]
        largest = usual if largest < 1e4 * usual else 0.0
    if scale.norm is not None or largest == 0:
        return 0
    exponent = math.floor(math.log10(largest))
    return 0 if -3 <= exponent < 5 or scale.spacing != "linear" and 0 <= exponent < 7 else exponent


def _tick_label(value: float) -> str:
    """Return what stands beside a colour: a round value as it is."""
    text = f"{value:.10g}"
    return _power(value) if "e" in text else f"{float(text) + 0.0:,.10g}".replace("-", "\N{MINUS SIGN}")


def _power(value: float) -> str:
    """Return three digits times a power of ten, as a printed page has it.

    Examples
    --------
    >>> _power(8.65e-08)
    '8.65×10⁻⁸'
    """
    digits, _, exponent = f"{value:.3g}".partition("e") if "e" in f"{value:.3g}" else f"{value:.2e}".partition("e")
    return f"{digits}×10{_raised(int(exponent))}".replace("-", "\N{MINUS SIGN}")


def _raised(exponent: int) -> str:
    """Return an exponent in small raised figures."""
    return str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _short(value: float) -> str:
    """Return three digits, without an exponent where few zeros would do.

    Examples
    --------
    >>> _short(3468.2), _short(0.01554), _short(-2.0)
    ('3,470', '0.0155', '−2')
    """
    text = number_in_words(float(f"{value:.3g}"))
    return _power(value) if "e" in text else text
