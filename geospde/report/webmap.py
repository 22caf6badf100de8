"""The interactive map of a report: layers, coast, sites and mesh in the numbers that the page's script draws.

Everything lies relative to an origin near the data, since a browser's canvas works in single precision; layers are the
float32 of the GeoTIFF, so that what the page reads out is what the raster holds.
"""

import base64
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import ArrayLike, NDArray

from geospde.mesh.trimesh import Mesh
from geospde.plots.canvas import View
from geospde.plots.figures import observed
from geospde.plots.maps import mapped_layers, scale_of
from geospde.plots.scale import colour_map
from geospde.prediction.layer import RESPONSE, Layer, interval_percent, outer_limits
from geospde.prediction.layers import Layers
from geospde.prediction.steps import step_words
from geospde.results.base import Fit
from geospde.survey.crs import parse_crs, unit_of
from geospde.survey.survey import Survey
from geospde.text.rates import Rate, observed_label
from geospde.text.words import counted, number

MOST_NUMBERS = 500_000
"""Numbers of all layers together: 2.7 MB of text."""

MOST_CELLS = 4_000_000
"""Cells of the raster, predicted or not: a picture that a phone still holds."""

MOST_SITES, MOST_EDGES, MOST_COAST, MOST_COLUMNS = 5_000, 100_000, 40_000, 12
LONGEST_TEXT = 80

_KNOTS = 33
"""Places along a scale's colours at which the page knows their values."""

DARK_ENDED = ("PuOr", "PuOr_r", "RdBu", "RdBu_r")
"""Diverging colour maps whose ends are near black, where no two values are told apart; the page leaves them out."""


@dataclass(frozen=True)
class WebMap:
    """An interactive map, ready for the page.

    Attributes
    ----------
    data : dict
        What the script draws: numbers and text, JSON throughout.
    notes : tuple of str
        What was left out or thinned for the page's sake.
    """

    data: dict[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def bands(self) -> list[dict[str, Any]]:
        """Layers that a reader can choose from."""
        bands: list[dict[str, Any]] = self.data["bands"]
        return bands

    def has(self, part: str) -> bool:
        """Whether the map has a ``coast``, ``sites`` or ``mesh``."""
        return self.data.get(part) is not None

    def to_json(self) -> str:
        """JSON that may stand in a script element: nothing in it can end the element or open a comment."""
        text = json.dumps(self.data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
        return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def web_map(
    *,
    survey: Survey | None = None,
    mesh: Mesh | None = None,
    fit: Fit | None = None,
    prediction: Layers | None = None,
    label: str | None = None,
) -> WebMap | None:
    """Collect what an interactive map shows.

    Parameters
    ----------
    survey : Survey, optional
        Gives coastline and sites.
    mesh : Mesh, optional
        Its edges, those of the inner zone apart.
    fit : Fit, optional
        Gives the sites' fitted means, CPO and PIT, where it has one row per site.
    prediction : Prediction, optional
        Gives the layers, if it is on a grid.
    label : str, optional
        What is predicted, in words; by default the prediction's own label.

    Returns
    -------
    WebMap or None
        None where there is nothing to lay a map around.
    """
    raster = None if prediction is None else prediction.grid
    coastline = getattr(survey, "coastline", None)
    if raster is None and survey is None and mesh is None:
        return None
    label = label or (prediction.label if prediction is not None else "")
    known = (getattr(part, "crs", None) for part in (prediction, survey, mesh))
    crs = next((one for one in known if one is not None), None)
    unit = unit_of(None if crs is None else parse_crs(crs))
    view = View.of(_bounds(raster, survey, mesh), crs)
    origin = np.array([round((view.west + view.east) / 2), round((view.south + view.north) / 2)], dtype=float)
    rate = label if prediction is None else prediction.rate(label).label
    data = _blank(rate, unit, view, origin, getattr(survey, "word", "site"))
    notes: list[str] = []
    if prediction is not None and raster is not None:
        grid, kept, step = thinned(raster, len(prediction.layers))
        if step > 1:
            notes.append(
                f"The raster has {counted(raster.n, 'cell')}, too many for a page: the map shows one of every "
                f"{step} × {step}, the nearest to their middle, with its own values."
            )
        data["grid"] = grid | {"x0": grid["x0"] - origin[0], "y0": grid["y0"] - origin[1]}
        data |= _layers(prediction, coastline, label, kept)
    if coastline is not None:
        data["coast"], thinner = _coast(coastline, origin)
        outline = getattr(survey, "outline", "coastline")
        data["outline"] = outline.capitalize()
        notes += [f"The {outline} is drawn with {counted(thinner, 'vertex', 'vertices')}."] if thinner else []
    if survey is not None:
        data["sites"], every = _sites(survey, fit, prediction, origin)
        notes += (
            [f"Of {counted(len(survey.points), data['place'])}, the map shows one in {every}."] if every > 1 else []
        )
    if mesh is not None:
        if len(mesh.edges) <= MOST_EDGES:
            data["mesh"] = _mesh(mesh, origin)
        else:
            notes.append(f"The mesh is left out of the map: it has {counted(len(mesh.edges), 'edge')}.")
    return WebMap(data, tuple(notes))


def _blank(label: str, unit: str, view: View, origin: NDArray[np.float64], place: str) -> dict[str, Any]:
    """All that the page's script reads, with a frame and nothing in it."""
    return {
        "label": label,
        "unit": unit,
        "origin": origin.tolist(),
        "view": [view.west - origin[0], view.south - origin[1], view.east - origin[0], view.north - origin[1]],
        "stretch": view.stretch,
        "grid": None,
        "bands": [],
        "steps": None,
        "scales": [],
        "interval": None,
        "coast": None,
        "outline": "",
        "sites": None,
        "place": place,
        "mesh": None,
    }


def thinned(grid: Any, bands: int) -> tuple[dict[str, Any], NDArray[np.intp], int]:
    """Lay a grid coarse enough for a page, and tell which predicted cell stands for each of its cells.

    Parameters
    ----------
    grid : Grid
    bands : int
        Layers that there will be.

    Returns
    -------
    dict
        South-west corner, cell, shape, and ``runs``: how many cells in turn are not predicted and predicted, row by
        row from the south.
    (n,) array of int
        Numbers of the predicted cells that are kept, in the order of the runs.
    int
        Cells of the grid along the side of one of the page: 1 if nothing had to be thinned.
    """
    rows, cols = grid.mask.shape
    step = max(math.ceil(math.sqrt(grid.n * bands / MOST_NUMBERS)), math.ceil(math.sqrt(rows * cols / MOST_CELLS)), 1)
    while True:
        index = _blocks(grid.mask, step)
        kept = index[index >= 0]
        if kept.size * bands <= MOST_NUMBERS or index.size == 1:
            break
        step += 1
    described = {
        "x0": grid.x0,
        "y0": grid.y0,
        "dx": grid.dx * step,
        "dy": grid.dy * step,
        "rows": index.shape[0],
        "cols": index.shape[1],
        "runs": packed(_runs(index.ravel() >= 0), "<u4"),
    }
    return described, kept, step


def _blocks(mask: NDArray[np.bool_], step: int) -> NDArray[np.intp]:
    """Number of the predicted cell nearest to the middle of each block of step x step cells, -1 where none is."""
    rows, cols = mask.shape
    across = math.ceil(cols / step)
    middle = (step - 1) / 2
    distance = np.add.outer((np.arange(step) - middle) ** 2, (np.arange(step) - middle) ** 2)
    nearest_first = np.argsort(distance.ravel(), kind="stable")
    found = np.empty((math.ceil(rows / step), across), dtype=np.intp)
    before = 0
    for row, bottom in enumerate(range(0, rows, step)):
        strip = mask[bottom : bottom + step]
        numbers = np.full((step, across * step), -1, dtype=np.intp)
        predicted = int(np.count_nonzero(strip))
        numbers[: len(strip), :cols][strip] = np.arange(before, before + predicted)
        before += predicted
        ranked = numbers.reshape(step, across, step).swapaxes(0, 1).reshape(across, -1)[:, nearest_first]
        found[row] = ranked[np.arange(across), (ranked >= 0).argmax(axis=1)]
    return found


def _runs(predicted: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Lengths of the stretches of False and True in turn, False first."""
    ends = np.flatnonzero(np.diff(predicted)) + 1
    runs = np.diff(np.concatenate([[0], ends, [predicted.size]]))
    return np.concatenate([[0], runs]) if predicted[0] else runs


def packed(values: ArrayLike, kind: str = "<f4") -> str:
    """Numbers as base64 of their bytes."""
    return base64.b64encode(np.ascontiguousarray(values, dtype=kind).tobytes()).decode("ascii")


def _layers(prediction: Layers, coastline: Any, label: str, kept: NDArray[np.intp]) -> dict[str, Any]:
    """Bands and the colour scales they share, layers of one scale beside each other; where there are steps, of each."""
    if prediction.steps:
        each = [_layers(prediction.at_step(step), coastline, label, kept) for step in prediction.steps]
        first = each[0]
        for band, *same in zip(*(one["bands"] for one in each)):
            greatest = [one["greatest"] for one in (band, *same) if one["greatest"] is not None]
            band["values"] = [one["values"] for one in (band, *same)]
            band["greatest"] = max(greatest, default=None)
        for scale, *same in zip(*(one["scales"] for one in each)):
            scale["low"] = min(one["low"] for one in (scale, *same))
            scale["high"] = max(one["high"] for one in (scale, *same))
        return first | {"steps": {"along": prediction.layers[0].along, "values": list(prediction.steps)}}
    names = list(dict.fromkeys(layer.scale for layer in prediction.layers))
    layers = sorted(prediction.layers, key=lambda layer: names.index(layer.scale))
    bands, rate = [], prediction.rate(label)
    for layer in layers:
        values = prediction.values(layer.name)[kept]
        finite, words = values[np.isfinite(values)], layer.with_label(*rate)
        bands.append(
            {
                "name": layer.name,
                "title": words.title,
                "short": words.short,
                "scale": names.index(layer.scale),
                "greatest": float(finite.max()) if finite.size else None,
                "values": packed(values),
            }
        )
    scales = [_scale(prediction, [one for one in layers if one.scale == name], coastline, label) for name in names]
    limits, interval = outer_limits(layers), None
    if limits is not None:
        at = [layers.index(limit) for limit in limits]
        interval = {"title": f"{interval_percent(limits)} interval", "lower": at[0], "upper": at[1]}
    return {"bands": bands, "scales": scales, "interval": interval}


def _scale(prediction: Layers, sharing: Sequence[Layer], coastline: Any, label: str) -> dict[str, Any]:
    """Return the colour scale of layers that share one, from those of them that are worth a map."""
    mapped = mapped_layers(prediction)
    columns = [layer.name for layer in sharing if layer.name in mapped] or [sharing[0].name]
    made, first = scale_of(prediction, columns, coastline=coastline), sharing[0]
    rate = prediction.rate(label)
    per = rate.per if first.unit == RESPONSE else 1.0
    return {
        "kind": first.scale,
        "low": made.low,
        "high": made.high,
        "label": first.with_label(*rate).axis,
        "ramp": _ramp(first.page_colours),
        "per": per,
        "spacing": made.said,
        # values at equal steps along the colours, between which colours follow them; none where all is linear
        "knots": [] if made.spacing == "linear" else made.values_at(np.linspace(0, 1, _KNOTS)).tolist(),
        "ticks": made.ticks(per=per).tolist(),
    }


def _ramp(name: str) -> str:
    """Return 256 colours of a matplotlib colour map, six hexadecimal digits each, without ends that are too dark."""
    cut = 0.1 if name in DARK_ENDED else 0.0
    colours = colour_map(name)(np.linspace(cut, 1 - cut, 256), bytes=True)[:, :3]
    return colours.tobytes().hex()


def _coast(coastline: Any, origin: NDArray[np.float64]) -> tuple[dict[str, Any], int]:
    """Rings of the land, and how many vertices are left if it had to be simplified."""
    west, south, east, north = coastline.bounds
    tolerance = max(east - west, north - south) / 20_000  # a tenth of a pixel of the whole on a wide screen
    land, thinner = coastline, 0
    while shapely.get_num_coordinates(land) > MOST_COAST:
        land = coastline.simplify(tolerance)
        thinner = int(shapely.get_num_coordinates(land))
        tolerance *= 2
    parts = [p for p in shapely.get_parts(land) if shapely.get_type_id(p) == shapely.GeometryType.POLYGON]
    rings = [shapely.get_coordinates(ring)[:-1] for part in parts for ring in (part.exterior, *part.interiors)]
    return {"xy": packed(np.vstack(rings) - origin), "rings": [len(ring) for ring in rings]}, thinner


def _mesh(mesh: Mesh, origin: NDArray[np.float64]) -> dict[str, Any]:
    """Vertices and edges, those of the inner zone first."""
    of_inner = np.zeros(len(mesh.edges), dtype=bool)
    of_inner[mesh.triangle_edges[mesh.inner].ravel()] = True
    edges = np.vstack([mesh.edges[of_inner], mesh.edges[~of_inner]])
    return {"xy": packed(mesh.vertices - origin), "edges": packed(edges, "<u4"), "inner": int(of_inner.sum())}


def _sites(
    survey: Survey, fit: Fit | None, prediction: Layers | None, origin: NDArray[np.float64]
) -> tuple[dict[str, Any], int]:
    """Places of the sites, what is known of each as text, and what was observed as a number."""
    points = survey.points
    every = math.ceil(len(points) / MOST_SITES)
    chosen = slice(None, None, every)
    xy = shapely.get_coordinates(points.geometry.array)
    columns = "" if prediction is None else prediction.label
    facts = _facts(points, xy, fit, columns, Rate("") if prediction is None else prediction.rate())
    rates = None if prediction is None else observed(points, columns, fit)
    names = _names(points)
    rows = [list(row) for row in zip(*([shown_value(v) for v in list(values)[chosen]] for values in facts.values()))]
    return {
        "xy": packed(xy[chosen] - origin),
        "number": (np.arange(len(points))[chosen] + 1).tolist(),
        "name": None if names is None else list(map(shown_value, names[chosen])),
        "head": list(facts),
        "rows": rows,
        "observed": None if rates is None else packed(rates[chosen]),
        "step": _steps_of(points, prediction, chosen),
    }, every


def _steps_of(points: Any, prediction: Layers | None, chosen: slice) -> list[int] | None:
    """The step that each site was visited at, -1 for none; None where maps have no steps, or sites not their column."""
    if prediction is None or not prediction.steps or prediction.layers[0].along not in points.columns:
        return None
    along = prediction.layers[0].along
    number = {step: k for k, step in enumerate(prediction.steps)}
    return [number.get(step_words(value), -1) for value in points[along].iloc[chosen]]


def _names(points: Any) -> pd.Series | None:
    """Return the column that names the sites: the first whose words tell nearly all of them apart."""
    for column in points.columns:
        values = points[column]
        if column != points.geometry.name and pd.api.types.is_string_dtype(values) and values.notna().all():
            if values.nunique() > 0.9 * len(values):
                return values
    return None


def _facts(points: Any, xy: NDArray[np.float64], fit: Fit | None, label: str, rate: Rate) -> dict[str, Iterable[Any]]:
    """Collect what is known of each site: names, what was observed and fitted, the survey's numbers, CPO and PIT."""
    columns = [c for c in points.columns if c != points.geometry.name and not _is_coordinate(points[c], xy)]
    columns = columns[:MOST_COLUMNS]
    words = [c for c in columns if not pd.api.types.is_numeric_dtype(points[c])]
    facts: dict[str, Iterable[Any]] = {str(c): points[c] for c in words}
    rates = observed(points, label, fit)
    if rates is not None and label not in columns:
        facts[f"observed {observed_label(rate.label)}"] = rate.per * rates
    fitted, alone = getattr(fit, "fitted", None), None
    if fitted is not None and len(fitted) == len(points):
        alone = getattr(fit, "pointwise", None)
        facts["fitted mean"] = rate.per * fitted.iloc[:, 0]  # mean, or the estimate of a likelihood
        if {"q0.025", "q0.975"} <= set(fitted.columns):
            limits = zip(rate.per * fitted["q0.025"], rate.per * fitted["q0.975"])
            facts["95 % interval"] = [f"{number(low)} to {number(high)}" for low, high in limits]
    facts |= {str(c): points[c] for c in columns if c not in words}
    if alone is not None:
        facts |= {name.upper(): alone[name] for name in ("cpo", "pit") if name in alone.columns}
    return facts


def _is_coordinate(column: Any, xy: NDArray[np.float64]) -> bool:
    """Tell a column that only repeats where the sites are."""
    return pd.api.types.is_numeric_dtype(column) and any(np.array_equal(column, at) for at in xy.T)


def shown_value(value: Any) -> str:
    """Return what a table holds as text: numbers rounded, long words cut.

    Examples
    --------
    >>> shown_value(2013), shown_value(-8.15321), shown_value(True), shown_value("Ridge"), shown_value(None)
    ('2013', '−8.153', 'yes', 'Ridge', '–')
    """
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer) and abs(int(value)) < 10_000:
        return str(value).replace("-", "\N{MINUS SIGN}")  # no comma: it may be a year
    if isinstance(value, int | float | np.number):
        return number(float(value))
    text = "–" if value is None or value is pd.NA or value is pd.NaT else str(value)
    return text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 1] + "…"


def _bounds(grid: Any, survey: Survey | None, mesh: Mesh | None) -> list[tuple[float, ...]]:
    """Return what the map shows at first: the land and the sites, else the grid, else the mesh."""
    if survey is not None:
        around = [tuple(survey.points.total_bounds)]
        return around if survey.coastline is None else [*around, survey.coastline.bounds]
    if grid is not None:
        return [grid.bounds]
    assert mesh is not None  # a page shows one of the three
    return [(*mesh.vertices.min(axis=0), *mesh.vertices.max(axis=0))]
