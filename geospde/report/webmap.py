"""The interactive map of a report: layers, coast, sites and mesh in the numbers that the page's script draws.

Everything lies relative to an origin near the data, since a browser's canvas works in single precision; layers are the
float32 of the GeoTIFF, so that what the page reads out is what the raster holds.
"""

import base64
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import shapely
from numpy.typing import ArrayLike, NDArray

from geospde.plots.canvas import Scale, View
from geospde.plots.figures import heading, observed, scale_of
from geospde.survey.crs import parse_crs, unit_of
from geospde.text.words import counted, number

MOST_NUMBERS = 500_000
"""Numbers of all layers together: 2.7 MB of text."""

MOST_CELLS = 4_000_000
"""Cells of the raster, predicted or not: a picture that a phone still holds."""

MOST_SITES, MOST_EDGES, MOST_COAST, MOST_COLUMNS = 5_000, 100_000, 40_000, 12
LONGEST_TEXT = 80

PROBABILITY_RAMP = "PuOr_r"
"""Diverges at 0.5, where the data do not decide; purple and orange are told apart by every kind of colour vision."""


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
        return self.data["bands"]

    def has(self, part: str) -> bool:
        """Whether the map has a ``coast``, ``sites`` or ``mesh``."""
        return self.data.get(part) is not None

    def to_json(self) -> str:
        """JSON that may stand in a script element: nothing in it can end the element or open a comment."""
        text = json.dumps(self.data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
        return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def web_map(
    *, survey: Any = None, mesh: Any = None, fit: Any = None, prediction: Any = None, label: str | None = None
) -> WebMap | None:
    """Collect what an interactive map shows.

    Parameters
    ----------
    survey : Survey, optional
        Gives coastline and sites.
    mesh : Mesh, optional
        Its edges, those of the inner zone apart.
    fit : Fit, optional
        Gives the sites' fitted means, CPO and PIT, where it has a row a site.
    prediction : Prediction, optional
        Gives the layers, if it is on a grid.
    label : str, optional
        What is predicted, in words; by default the prediction's own label.

    Returns
    -------
    WebMap or None
        None where there is nothing to lay a map around.
    """
    on_grid = prediction is not None and prediction.grid is not None
    coastline = getattr(survey, "coastline", None)
    if not on_grid and survey is None and mesh is None:
        return None
    label = label or (prediction.label if prediction is not None else "")
    crs = next((part.crs for part in (prediction, survey, mesh) if getattr(part, "crs", None) is not None), None)
    unit = unit_of(None if crs is None else parse_crs(crs))
    view = View.of(_bounds(prediction if on_grid else None, survey, mesh), crs)
    origin = np.array([round((view.west + view.east) / 2), round((view.south + view.north) / 2)], dtype=float)
    data: dict[str, Any] = {
        "label": label,
        "unit": unit,
        "origin": origin.tolist(),
        "view": [view.west - origin[0], view.south - origin[1], view.east - origin[0], view.north - origin[1]],
        "stretch": view.stretch,
        "grid": None,
        "bands": [],
        "scales": [],
        "interval": None,
        "coast": None,
        "sites": None,
        "mesh": None,
    }
    notes: list[str] = []
    if on_grid:
        grid, kept, step = thinned(prediction.grid, len(prediction.to_frame().columns) - 2)
        if step > 1:
            notes.append(
                f"The raster has {counted(prediction.grid.n, 'cell')}, too many for a page: the map shows one of every "
                f"{step} × {step}, the nearest to their middle, with its own values."
            )
        data["grid"] = grid | {"x0": grid["x0"] - origin[0], "y0": grid["y0"] - origin[1]}
        data |= _layers(prediction, coastline, label, kept)
    if coastline is not None:
        data["coast"], thinner = _coast(coastline, origin)
        notes += [f"The coastline is drawn with {counted(thinner, 'vertex', 'vertices')}."] if thinner else []
    if survey is not None:
        data["sites"], every = _sites(survey, fit, prediction, origin)
        notes += [f"Of {counted(len(survey.points), 'site')}, the map shows one in {every}."] if every > 1 else []
    if mesh is not None:
        if len(mesh.edges) <= MOST_EDGES:
            data["mesh"] = _mesh(mesh, origin)
        else:
            notes.append(f"The mesh is left out of the map: it has {counted(len(mesh.edges), 'edge')}.")
    return WebMap(data, tuple(notes))


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


def _layers(prediction: Any, coastline: Any, label: str, kept: NDArray[np.intp]) -> dict[str, Any]:
    """Bands and the colour scales they share: one for all that is on the response's scale."""
    frame = prediction.to_frame().drop(columns=["x", "y"], errors="ignore")
    level = {c: float(c[1:]) for c in frame.columns if _is_quantile(c)}
    lower = min((c for c in level if level[c] < 0.5), key=level.__getitem__, default=None)
    upper = max((c for c in level if level[c] > 0.5), key=level.__getitem__, default=None)
    limits = [lower, upper] if lower and upper else []
    response = [c for c in ("mean", *limits) if c in frame.columns]
    scales: list[dict[str, Any]] = []
    places: dict[str, int] = {}

    def scale(kind: str, column: str) -> int:
        if kind not in places:
            places[kind] = len(scales)
            if kind == "probability":
                made, words = Scale(0.0, 1.0, 1.0, PROBABILITY_RAMP), "probability"
            else:
                shared = (response or [column]) if kind == "response" else [column]
                made = scale_of(prediction, shared, coastline=coastline)
                words = f"standard deviation of {label}" if kind == "sd" else label
            scales.append({"kind": kind, "low": made.low, "high": made.high, "label": words, "ramp": _ramp(made.ramp)})
        return places[kind]

    bands = []
    order = {"response": 0, "sd": 1, "probability": 2}
    kinds = {c: "probability" if c.startswith("exceed_") else "sd" if c == "sd" else "response" for c in frame.columns}
    for name in sorted(frame.columns, key=lambda c: order[kinds[c]]):
        kind = kinds[name]
        values = frame[name].to_numpy(dtype=float)[kept]
        finite = values[np.isfinite(values)]
        bands.append(
            {
                "name": name,
                "title": heading(name, label),
                "short": _short(name),
                "scale": scale(kind, name),
                "greatest": float(finite.max()) if finite.size else None,
                "values": packed(values),
            }
        )
    names = [band["name"] for band in bands]
    interval = None
    if lower and upper:
        title = f"{100 * (level[upper] - level[lower]):.4g}% interval"
        interval = {"title": title, "lower": names.index(lower), "upper": names.index(upper)}
    return {"bands": bands, "scales": scales, "interval": interval}


def _is_quantile(column: str) -> bool:
    return column.startswith("q0.")


def _short(column: str) -> str:
    """Return a layer's name where there is little room.

    Examples
    --------
    >>> _short("mean"), _short("q0.975"), _short("exceed_8"), _short("sd")
    ('Mean', '97.5% limit', 'Probability above 8', 'Standard deviation')
    """
    if column.startswith("exceed_"):
        return f"Probability above {column.removeprefix('exceed_')}"
    if _is_quantile(column):
        return "Median" if column == "q0.5" else f"{100 * float(column[1:]):.4g}% limit"
    return {"mean": "Mean", "sd": "Standard deviation"}.get(column, column)


def _ramp(name: str) -> str:
    """Return 256 colours of a matplotlib colour map, six hexadecimal digits each; a diverging one without its ends."""
    cut = 0.1 if name == PROBABILITY_RAMP else 0.0  # they are near black
    colours = matplotlib.colormaps[name](np.linspace(cut, 1 - cut, 256), bytes=True)[:, :3]
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


def _mesh(mesh: Any, origin: NDArray[np.float64]) -> dict[str, Any]:
    """Vertices and edges, those of the inner zone first."""
    of_inner = np.zeros(len(mesh.edges), dtype=bool)
    of_inner[mesh.triangle_edges[mesh.inner].ravel()] = True
    edges = np.vstack([mesh.edges[of_inner], mesh.edges[~of_inner]])
    return {"xy": packed(mesh.vertices - origin), "edges": packed(edges, "<u4"), "inner": int(of_inner.sum())}


def _sites(survey: Any, fit: Any, prediction: Any, origin: NDArray[np.float64]) -> tuple[dict[str, Any], int]:
    """Places of the sites, what is known of each as text, and what was observed as a number."""
    points = survey.points
    every = math.ceil(len(points) / MOST_SITES)
    chosen = slice(None, None, every)
    xy = shapely.get_coordinates(points.geometry.array)
    facts = _facts(points, xy, fit, "" if prediction is None else prediction.label)
    rates = None if prediction is None else observed(survey, prediction.label)
    rows = [list(row) for row in zip(*([_fact(v) for v in list(values)[chosen]] for values in facts.values()))]
    return {
        "xy": packed(xy[chosen] - origin),
        "number": (np.arange(len(points))[chosen] + 1).tolist(),
        "head": list(facts),
        "rows": rows,
        "observed": None if rates is None else packed(rates[chosen]),
    }, every


def _facts(points: Any, xy: NDArray[np.float64], fit: Any, label: str) -> dict[str, Iterable[Any]]:
    """Collect what is known of each site: names, what was observed and fitted, the survey's numbers, CPO and PIT."""
    columns = [c for c in points.columns if c != points.geometry.name and not _is_coordinate(points[c], xy)]
    columns = columns[:MOST_COLUMNS]
    words = [c for c in columns if not pd.api.types.is_numeric_dtype(points[c])]
    facts: dict[str, Iterable[Any]] = {str(c): points[c] for c in words}
    rates = observed(SimpleNamespace(points=points), label)
    if rates is not None and label not in columns:
        facts[f"observed {label}"] = rates
    fitted, alone = getattr(fit, "fitted", None), None
    if fitted is not None and len(fitted) == len(points):
        alone = getattr(fit, "pointwise", None)
        facts["fitted mean"] = fitted.iloc[:, 0]  # mean, or the estimate of a likelihood
        if {"q0.025", "q0.975"} <= set(fitted.columns):
            limits = zip(fitted["q0.025"], fitted["q0.975"])
            facts["95% interval"] = [f"{number(low)} to {number(high)}" for low, high in limits]
    facts |= {str(c): points[c] for c in columns if c not in words}
    if alone is not None:
        facts |= {name.upper(): alone[name] for name in ("cpo", "pit") if name in alone.columns}
    return facts


def _is_coordinate(column: Any, xy: NDArray[np.float64]) -> bool:
    """Tell a column that only repeats where the sites are."""
    return pd.api.types.is_numeric_dtype(column) and any(np.array_equal(column, at) for at in xy.T)


def _fact(value: Any) -> str:
    """Return what a table holds as text: numbers rounded, long words cut.

    Examples
    --------
    >>> _fact(2013), _fact(-8.15321), _fact(True), _fact("Ridge"), _fact(None)
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


def _bounds(prediction: Any, survey: Any, mesh: Any) -> list[tuple[float, ...]]:
    """Return what the map shows at first: the land and the sites, else the grid, else the mesh."""
    if survey is not None:
        around = [tuple(survey.points.total_bounds)]
        return around if survey.coastline is None else [*around, survey.coastline.bounds]
    if prediction is not None:
        return [prediction.grid.bounds]
    return [(*mesh.vertices.min(axis=0), *mesh.vertices.max(axis=0))]
