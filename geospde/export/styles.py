"""How QGIS draws a layer: the XML that a QML file, a GeoPackage's style and a project share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.colors import to_hex
from numpy.typing import ArrayLike

from geospde.errors import InputError
from geospde.plots.scale import Scale, colour_map
from geospde.prediction.layer import Layer
from geospde.text.words import number

QGIS = "3.22.0"
"""Version whose XML is written; later ones read it."""


_STOPS = 10
"""Most round values of a legend: straight lines between so many colours pass for the ramp."""


class Stop(NamedTuple):
    """A value with its colour, ``#rrggbb``, and its words in a legend."""

    value: float
    colour: str
    label: str


@dataclass(frozen=True)
class Ramp:
    """Colours of a raster's band, linear between stops, and where it stands beyond them the last colour.

    Attributes
    ----------
    band : int
        From 1.
    stops : tuple of Stop
        Least first; both ends, and round values between them.
    is_classed : bool
        Whether each stop is a class, and nothing lies between them.
    """

    band: int
    stops: tuple[Stop, ...]
    is_classed: bool = False

    @classmethod
    def of(cls, band: int, values: ArrayLike, ramp: str = "viridis") -> Ramp:
        """Make the colours of a band from the values it shows.

        From the least to the largest; where a few values are far above the rest, to the upper end of `Scale.over`.

        Examples
        --------
        >>> [stop.label for stop in Ramp.of(1, [2.1374, 5.0, 11.7]).stops]
        ['2.137', '3', '4', '5', '6', '7', '8', '9', '10', '11', '11.7']
        """
        return cls(band, _stops(_to_the_least(Scale.over([values], ramp), values)))

    @classmethod
    def of_layer(cls, band: int, layer: Layer, values: ArrayLike) -> Ramp:
        """Make the colours of a layer's band: of its classes, between its limits or around its centre.

        Examples
        --------
        >>> from geospde.prediction.layer import probability_layer
        >>> [stop.label for stop in Ramp.of_layer(1, probability_layer(8), [0.2, 0.7]).stops][::5]
        ['0', '0.5', '1']
        """
        scale = Scale.of(layer, [values])
        if layer.classes:
            places = np.linspace(scale.low, scale.high, len(layer.classes))
            classed = zip(map(float, places), map(to_hex, scale.class_colours), layer.classes)
            return cls(band, tuple(Stop(*one) for one in classed), True)
        free = layer.limits == (None, None) and layer.centre is None
        return cls(band, _stops(_to_the_least(scale, values) if free else scale))

    def qml(self) -> str:
        """Return the text of a QML file."""
        return _render("raster", ramp=self)

    @property
    def gradient(self) -> str:
        """The stops between the ends as QGIS's own colour ramps have them: parts of the way, and colours."""
        low, high = self.stops[0].value, self.stops[-1].value
        return ":".join(f"{(s.value - low) / (high - low):.6f};{rgb(s.colour)}" for s in self.stops[1:-1])


def _to_the_least(scale: Scale, values: ArrayLike) -> Scale:
    """Return a scale from the least value on: a legend in QGIS has no need of a round or robust end."""
    finite = np.asarray(values, dtype=float)
    finite = finite[np.isfinite(finite)]
    least = float(finite.min()) if finite.size else scale.high
    if least >= scale.high or scale.spacing == "quantiles" or (scale.spacing == "log" and least <= 0):
        return scale
    return replace(scale, low=least)


def _stops(scale: Scale) -> tuple[Stop, ...]:
    """Return the ends and some round values between them that are not too near to the ends."""
    low, high = scale.low, scale.high
    ticks = scale.ticks(_STOPS)
    shares = scale.shares(ticks)
    room = 0.25 * float(np.diff(shares).max(initial=0.0))
    inner = ticks[(shares > room) & (shares < 1 - room)]
    values = [low, *map(float, inner), high]
    labels = [number(value) for value in values]
    if scale.largest > high + 1e-9 * abs(high):
        labels[-1] += f" and more, up to {number(scale.largest)}"
    colours = colour_map(scale.ramp)(scale.shares(values))
    return tuple(Stop(v, to_hex(c), text) for v, c, text in zip(values, colours, labels))


@dataclass(frozen=True)
class Symbol:
    """A marker, line or fill with QGIS's own properties.

    Attributes
    ----------
    kind : str
        ``"marker"``, ``"line"`` or ``"fill"``.
    properties : mapping of str to str
        As in QGIS's SimpleMarker, SimpleLine and SimpleFill; the others stay at its defaults.
    """

    kind: str
    properties: Mapping[str, str]

    @property
    def layer(self) -> str:
        """The class of its only layer."""
        return f"Simple{self.kind.capitalize()}"


class Class(NamedTuple):
    """Features whose value lies between two bounds, and their symbol."""

    lower: float
    upper: float
    label: str
    symbol: Symbol


@dataclass(frozen=True)
class Symbols:
    """How a vector layer is drawn: with one symbol, or with one for each class of a column; and its labels.

    Attributes
    ----------
    symbol : Symbol
        Of all features, or of a legend without classes.
    column : str
        What classes are of; empty for none.
    classes : tuple of Class
    label : str
        A column to write along the lines; empty for none.
    """

    symbol: Symbol
    column: str = ""
    classes: tuple[Class, ...] = field(default=())
    label: str = ""

    def qml(self) -> str:
        """Return the text of a QML file."""
        return _render("vector", style=self)


def marker(colour: str, size: float, *, outline: str = "#1a1a1a", width: float = 0.2) -> Symbol:
    """Make a circle; size and width of its outline in millimetres."""
    return Symbol("marker", {"name": "circle", "color": rgb(colour), "size": f"{size:g}", **_outline(outline, width)})


def line(colour: str, width: float) -> Symbol:
    """Make a line; width in millimetres."""
    properties = {"line_color": rgb(colour), "line_width": f"{width:g}", "line_width_unit": "MM"}
    return Symbol("line", {**properties, "line_style": "solid", "joinstyle": "round", "capstyle": "round"})


def outline(colour: str, width: float) -> Symbol:
    """Make the outline of a polygon, which stays empty; width in millimetres."""
    return Symbol("fill", {"style": "no", "color": "0,0,0,0", **_outline(colour, width)})


def _outline(colour: str, width: float) -> dict[str, str]:
    return {
        "outline_color": rgb(colour),
        "outline_style": "solid",
        "outline_width": f"{width:g}",
        "outline_width_unit": "MM",
        "joinstyle": "round",
    }


def coloured(column: str, values: ArrayLike, stops: Sequence[Stop], size: float) -> Symbols:
    """Make circles in the colours of a raster, a class between each two of its stops.

    Parameters
    ----------
    column : str
        The layer's column that holds the values.
    values : array
        They may lie beyond the stops: the outer classes reach to them.
    stops : sequence of Stop
        The raster's.
    size : float
        Of a circle, in millimetres.
    """
    finite = np.asarray(values, dtype=float)
    finite = finite[np.isfinite(finite)]
    classes = []
    for low, high in zip(stops[:-1], stops[1:]):
        first, last = low is stops[0], high is stops[-1]
        lower = min(low.value, float(finite.min(initial=low.value))) if first else low.value
        upper = max(high.value, float(finite.max(initial=high.value))) if last else high.value
        label = f"{number(lower)} to {number(upper)}"
        classes.append(Class(lower, upper, label, marker(_between(low.colour, high.colour), size)))
    return Symbols(marker("#ffffff", size), column, tuple(classes))


def rgb(colour: str) -> str:
    """Return ``#rrggbb`` as QGIS writes a colour.

    Examples
    --------
    >>> rgb("#ff8000")
    '255,128,0,255'
    """
    return ",".join(str(int(colour[k : k + 2], 16)) for k in (1, 3, 5)) + ",255"


def filled(column: str, values: ArrayLike) -> Symbols:
    """Make areas in the colours of a column's values, a class between each two stops of their ramp."""
    numbers = np.asarray(values, dtype=float)
    stops = Ramp.of(1, numbers).stops
    circles = coloured(column, numbers, stops, 1.0)
    classes = tuple(
        one._replace(symbol=_fill(_between(low.colour, high.colour)))
        for one, low, high in zip(circles.classes, stops[:-1], stops[1:])
    )
    return Symbols(_fill("#e4e0d8"), column, classes)


def _fill(colour: str) -> Symbol:
    return Symbol("fill", {"style": "solid", "color": rgb(colour), **_outline("#ffffff", 0.2)})


def _between(one: str, other: str) -> str:
    """Return the colour halfway between two."""
    pairs = [(int(one[k : k + 2], 16), int(other[k : k + 2], 16)) for k in (1, 3, 5)]
    return "#" + "".join(f"{(a + b) // 2:02x}" for a, b in pairs)


def write_qml(path: str | Path, style: Ramp | Symbols) -> Path:
    """Write a style beside a layer: QGIS takes ``prediction.qml`` for ``prediction.tif``.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    path = Path(path)
    try:
        path.write_text(style.qml(), encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write the style {path}: {error}") from error
    return path


def store_styles(path: str | Path, styles: Mapping[str, Ramp | Symbols]) -> None:
    """Put styles into a GeoPackage, by layer, where QGIS looks for them: its table ``layer_styles``.

    Parameters
    ----------
    path : path
        A GeoPackage with these layers.
    styles : mapping of str to Symbols
        From the name of a layer to its style.
    """
    import pandas as pd
    import pyogrio

    rows = [
        {
            "f_table_catalog": "",
            "f_table_schema": "",
            "f_table_name": layer,
            "f_geometry_column": pyogrio.read_info(path, layer=layer)["geometry_name"],
            "styleName": layer,
            "styleQML": style.qml(),
            "styleSLD": "",
            "useAsDefault": True,
            "description": "",
            "owner": "",
            "ui": "",
            "update_time": pd.Timestamp.now(tz="UTC"),
        }
        for layer, style in styles.items()
    ]
    pyogrio.write_dataframe(pd.DataFrame(rows), path, layer="layer_styles", driver="GPKG", layer_options={"FID": "id"})


def _render(macro: str, **what: Any) -> str:
    return str(getattr(templates().get_template("qgis.xml").module, f"{macro}_qml")(**what, version=QGIS)) + "\n"


@cache
def templates() -> Any:
    """Return the environment of the XML templates; what goes into them is escaped."""
    import jinja2

    folder = files("geospde.export").joinpath("templates")
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: folder.joinpath(name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_allowed,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["rgb"] = rgb
    return environment


def _allowed(value: Any) -> Any:
    """Return plain text without the characters that XML cannot hold, not even escaped."""
    return "".join(c for c in value if c.isprintable()) if type(value) is str else value
