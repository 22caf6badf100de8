"""Pictures of a survey before any model: rates on the map, their distribution, trends, the variogram.

The panels besides the map are in `geospde.plots.panels`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from geospde.explore.explore import Exploration
from geospde.explore.observed import Observed
from geospde.plots.canvas import FRAME, INK, PAGE, SMALL, View, colour_bar, dress, sheet, title, title_fits
from geospde.plots.drawing import draw_areas, draw_coast, draw_graticule, draw_land, draw_scale_bar
from geospde.plots.figures import in_degrees
from geospde.plots.frame import ALARM, MARK, figure_png, plain
from geospde.plots.panels import has_ticks, plot_histogram, plot_trend, plot_variogram, rate_ticks, trend_names
from geospde.plots.scale import Scale
from geospde.text.findings import findings_frame
from geospde.text.words import area, counted, length, number, numbers_alike, observed_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray


__all__ = [
    "exploration_section", "fact_rows", "plot_exploration", "plot_histogram", "plot_rates", "plot_trend",
    "plot_variogram", "save_exploration", "trend_names",
]  # fmt: skip

MOST_TRENDS = 12
"""Panels that a figure takes; coordinates come first, then covariates in their order."""

# Millimetres of a row of panels with their labels, and of what surrounds the axes of each.
_ROW = 48.0
_PAD_LEFT, _PAD_RIGHT, _PAD_BOTTOM, _PAD_TOP = 13.0, 3.0, 10.0, 6.0
_BESIDE = 110 / 25.4  # inches that title and legend of sizes take side by side
_APART = 0.06  # inches between these two
_MAP_LEFT, _MAP_RIGHT, _MAP_BOTTOM, _MAP_TOP = 14.0, 24.0, 11.0, 7.0


def plot_rates(exploration: Exploration, ax: Axes | None = None) -> Axes:
    """Draw the observed rates on the map, symbols as large as their exposure, over the coastline.

    Parameters
    ----------
    exploration : Exploration
    ax : Axes, optional
        Draw into these axes, with a colour bar beside them; a new pyplot figure by default.

    Returns
    -------
    Axes
        Sites of findings other than "ok" have a red ring.
    """
    view = _view(exploration)
    if ax is None:
        from matplotlib import pyplot as plt

        _, (ax,), place, room = sheet(view, figure=plt.figure())
    else:
        dress(ax, view)
        place, room = ax.inset_axes((1.02, 0.0, 0.025, 1.0)), np.inf
    _draw_rates(exploration, ax, place, room)
    return ax


def plot_exploration(exploration: Exploration, figure: Figure | None = None) -> Figure:
    """Draw all panels as one figure: the map, the variogram, the histogram, and every trend.

    Parameters
    ----------
    exploration : Exploration
    figure : Figure, optional
        Take this one and give it its size; a new pyplot figure by default.

    Returns
    -------
    Figure
        180 mm wide.
    """
    if figure is None:
        from matplotlib import pyplot as plt

        figure = plt.figure()
    view = _view(exploration)
    wide = min(PAGE[0] - _MAP_LEFT - _MAP_RIGHT, 120.0 / view.tallness)
    top = _MAP_TOP + wide * view.tallness + _MAP_BOTTOM
    names, cols = _trends(exploration)
    height = top + (1 + -(-len(names) // cols)) * _ROW
    figure.set_size_inches(PAGE[0] / 25.4, height / 25.4)
    figure.set_facecolor("white")
    left = _MAP_LEFT + (PAGE[0] - _MAP_LEFT - _MAP_RIGHT - wide) / 2
    ax, bar = (
        _placed(figure, x, _MAP_TOP, across, wide * view.tallness)
        for x, across in ((left, wide), (left + wide + 3.0, 3.5))
    )
    dress(ax, view)
    _draw_rates(exploration, ax, bar, (wide + _MAP_RIGHT) / 25.4)
    if exploration.variogram is not None:
        plot_variogram(exploration.variogram, _panel(figure, top, 0.0, 2 / 3))
        plot_histogram(exploration, _panel(figure, top, 2 / 3, 1 / 3))
    else:
        plot_histogram(exploration, _panel(figure, top, 0.0, 1.0))
    for k, name in enumerate(names):
        plot_trend(exploration, name, _panel(figure, top + (1 + k // cols) * _ROW, k % cols / cols, 1 / cols))
    return figure


def save_exploration(folder: str | Path, exploration: Exploration, *, dpi: int = 200) -> list[Path]:
    """Draw every picture of an exploration and write it as ``folder/*.png``.

    Parameters
    ----------
    folder : str or Path
        Made if it is not there.
    exploration : Exploration
    dpi : int, default 200
        Dots per inch of figures of at most 180 mm.

    Returns
    -------
    list of Path
        ``exploration.png``, which holds all panels, then each alone.
    """
    folder, paths = Path(folder), []
    folder.mkdir(parents=True, exist_ok=True)
    whole = plot_exploration(exploration, Figure())
    for name, figure in [("exploration", whole), *((n, f) for n, _, f in _pictures(exploration))]:
        paths.append(folder / f"{name}.png")
        paths[-1].write_bytes(figure_png(figure, dpi))
    return paths


def exploration_section(exploration: Exploration, *, dpi: int = 150) -> dict[str, Any]:
    """Return what a report shows of an exploration: everything is text, or a picture as a data URI.

    Parameters
    ----------
    exploration : Exploration
    dpi : int, default 150
        Dots per inch of the pictures.

    Returns
    -------
    dict
        ``facts``: rows of (quantity, value); ``quantiles``: a ``head`` and ``rows``; ``findings``: mappings of
        level, subject, message and remedy; ``pictures``: mappings of name, caption, uri (PNG), width and
        height (CSS pixels at 96 to the inch).
    """
    quantiles = exploration.quantiles()
    return {
        "facts": fact_rows(exploration),
        "quantiles": {
            "head": ["", *(str(column).replace("%", " %") for column in quantiles.columns)],
            "rows": [_spread_row(str(name), row) for name, row in quantiles.iterrows()],
        },
        "findings": findings_frame(exploration.findings).to_dict("records"),
        "pictures": [
            {
                "name": name,
                "caption": caption,
                "uri": _data_uri(figure, dpi),
                "width": round(96 * figure.get_figwidth()),
                "height": round(96 * figure.get_figheight()),
            }
            for name, caption, figure in _pictures(exploration)
        ],
    }


def _spread_row(name: str, row: pd.Series) -> list[str]:
    """Return a column's distribution as text, all of it with the decimals that its spread asks for."""
    texts = numbers_alike(row, float(row["95%"] - row["5%"]) / 4)
    return [name, *(number(row[key]) if key == "n" else text for key, text in zip(row.index, texts))]


def fact_rows(exploration: Exploration) -> list[list[str]]:
    """Return the survey's facts as rows of text: quantity, and value with its unit."""
    rows = []
    for name, row in exploration.table().iterrows():
        value, unit = row["value"], str(row["unit"])
        words = area(value, unit.removesuffix("²")) if "²" in unit else length(value, unit) if unit else number(value)
        rows.append([str(name), words])
    return rows


def _pictures(exploration: Exploration) -> Iterator[tuple[str, str, Figure]]:
    """Yield name, caption and figure of each picture, one at a time."""
    observed = exploration.observed
    figure, (ax,), bar, room = sheet(_view(exploration))
    _draw_rates(exploration, ax, bar, room)
    larger = f", larger where {observed.exposure} is" if _varies(observed) else ""
    word = exploration.survey.word
    ringed = f"; a red ring marks {word}s of a finding" if _ringed(exploration) else ""
    where = f"{'in' if exploration.survey.areas is not None else 'at'} each {word}{larger}"
    yield (
        "rates",
        f"{observed_words(observed.rate.label)} {where}{ringed}.",
        figure,
    )
    if exploration.variogram is not None:
        figure = Figure(figsize=(120 / 25.4, 70 / 25.4), facecolor="white")
        plot_variogram(exploration.variogram, figure.add_axes((0.11, 0.15, 0.86, 0.76)))
        yield (
            "variogram",
            f"Empirical variogram of {exploration.variogram.label}: points below the band are more alike than chance.",
            figure,
        )
    figure = Figure(figsize=(90 / 25.4, 70 / 25.4), facecolor="white")
    plot_histogram(exploration, figure.add_axes((0.14, 0.15, 0.82, 0.76)))
    ticks = f"; each tick is one {word}" if has_ticks(observed) else ""
    yield "histogram", f"Distribution of {observed.rate.label}{ticks}.", figure
    names, cols = _trends(exploration)
    figure = Figure(figsize=(PAGE[0] / 25.4, -(-len(names) // cols) * _ROW / 25.4), facecolor="white")
    for k, name in enumerate(names):
        plot_trend(exploration, name, _panel(figure, k // cols * _ROW, k % cols / cols, 1 / cols))
    course = "medians, middle halves and rank correlation (ρ), or quartiles of each level"
    if observed.binary:
        course = "shares of ones with a standard error to either side, and rank correlation (ρ)"
    yield "trends", f"{observed.rate.label} along coordinates and covariates{observed.scale_note}: {course}.", figure


def _trends(exploration: Exploration) -> tuple[list[str], int]:
    """Return what to draw rates against, and how many panels stand side by side."""
    covariates = exploration.covariates
    constant = {str(name) for name in covariates if covariates[name].nunique() < 2}
    names = [name for name in trend_names(exploration) if name not in constant][:MOST_TRENDS]
    return names, 2 if len(names) in (2, 4) else 3


def _panel(figure: Figure, top: float, start: float, share: float) -> Axes:
    """Return axes in a row of panels that begins `top` millimetres down, by where across the page and how wide."""
    x, wide = start * PAGE[0] + _PAD_LEFT, share * PAGE[0] - _PAD_LEFT - _PAD_RIGHT
    return _placed(figure, x, top + _PAD_TOP, wide, _ROW - _PAD_TOP - _PAD_BOTTOM)


def _placed(figure: Figure, x: float, y: float, wide: float, tall: float) -> Axes:
    """Return axes by their upper left corner and size, in millimetres from the upper left corner of the page."""
    width, height = 25.4 * figure.get_size_inches()
    return figure.add_axes((x / width, 1 - (y + tall) / height, wide / width, tall / height))


def _draw_rates(exploration: Exploration, ax: Axes, place: Axes, room: float) -> None:
    """Draw coast, sites, legend of sizes, scale bar and colour bar into axes that are dressed."""
    survey, observed = exploration.survey, exploration.observed
    view = _view(exploration)
    if survey.coastline is not None:
        draw_land(ax, survey.coastline)
        draw_coast(ax, survey.coastline)
    known = observed.known
    shown, scale, logarithmic = _colours(observed)
    order = np.flatnonzero(known)[np.argsort(-observed.exposures[known], kind="stable")]  # the smallest on top
    x, y = survey.coordinates.T
    sizes = _sizes(observed, observed.exposures)
    edge: dict[str, Any] = {"edgecolors": INK, "linewidths": 0.25}
    if survey.areas is not None:
        draw_areas(ax, np.asarray(survey.areas.array)[order], shown[order], scale)
    else:
        ax.scatter(x[order], y[order], s=sizes[order], c=shown[order], zorder=4, **edge, **scale.style)
    rows = _ringed(exploration)
    if rows:
        ring = 3 * np.sqrt(sizes[rows])
        ax.scatter(x[rows], y[rows], s=20 + ring**2 / 4, facecolors="none", edgecolors=ALARM, linewidths=0.8, zorder=5)
    if in_degrees(survey):
        draw_graticule(ax, view, survey.crs)
    draw_scale_bar(ax, view, survey.coastline)
    if _varies(observed):
        room = _draw_size_legend(ax, observed, room, edge)
    rate = observed.rate
    words = plain(observed_words(rate.label))
    long = f"{words} {'in' if survey.areas is not None else 'at'} {counted(int(known.sum()), survey.word)}"
    title(ax, long if title_fits(long, room) else words, room)
    colour_bar(place, scale, plain(rate.label), rate.per)
    if logarithmic or observed.classes:
        rate_ticks(place.yaxis, observed)


def _ringed(exploration: Exploration) -> list[int]:
    """Return the rows of findings other than "ok"; none where those are most of the survey."""
    rows = sorted({row for finding in exploration.findings if finding.level != "ok" for row in finding.rows})
    return rows if len(rows) <= len(exploration.observed.values) / 2 else []


def _draw_size_legend(ax: Axes, observed: Observed, room: float, edge: dict[str, Any]) -> float:
    """Draw a legend of exposures beside the title or, where that is narrow, in the map.

    Return the inches left to the title.
    """
    cuts = np.quantile(observed.exposures[observed.known], [0.0, 0.5, 1.0])
    exposures = np.unique([float(f"{cut:.2g}") for cut in cuts])
    for exposure, size in zip(exposures, _sizes(observed, exposures)):
        ax.scatter([], [], s=float(size), color=MARK, label=number(exposure), **edge)
    words: dict[str, Any] = {"fontsize": SMALL, "title_fontsize": SMALL}
    if room < _BESIDE:
        legend = ax.legend(loc="best", title=plain(str(observed.exposure)), framealpha=0.8, **words)
        legend.get_frame().set(linewidth=0.5, edgecolor=FRAME)
        legend.set_zorder(6)
        return room
    handles, labels = ax.get_legend_handles_labels()
    handles, labels = [Line2D([], [], ls=""), *handles], [plain(str(observed.exposure)), *labels]
    words |= {"ncols": 4, "borderpad": 0.2, "borderaxespad": 0.0, "handletextpad": 0.1, "columnspacing": 1.0}
    legend = ax.legend(handles, labels, loc="lower right", bbox_to_anchor=(1.0, 1.0), frameon=False, **words)
    figure = legend.get_figure(root=True)
    assert isinstance(figure, Figure)
    across = legend.get_window_extent(FigureCanvasAgg(figure).get_renderer())  # type: ignore[no-untyped-call]
    return figure.get_figwidth() * ax.get_position().width - float(across.width / figure.dpi) - _APART


def _colours(observed: Observed) -> tuple[NDArray[np.float64], Scale, bool]:
    """Return what colours show, their scale, and whether it is of logarithms: where rates span more than a decade."""
    rates, scaled = observed.rates[observed.known], observed.scaled[observed.known]
    if observed.scale != "log" or not len(scaled) or np.ptp(np.quantile(scaled, [0.05, 0.95])) < np.log(10):
        ends = (1.0, float(len(observed.classes))) if observed.classes else None
        scale = Scale(*ends, ends[1]) if ends else Scale.over([rates], spacing="auto")
        return observed.rates, scale, False
    return observed.scaled, Scale(float(scaled.min()), float(scaled.max()), float(scaled.max())), True


def _sizes(observed: Observed, exposures: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return areas of symbols, in square points, in proportion to exposures within a factor of five of the median.

    Of many sites each is smaller, so that they do not cover one another.
    """
    usual = 14.0 * min(1.0, (300 / max(len(observed.values), 1)) ** 0.7)
    if not _varies(observed):
        return np.full(len(exposures), usual)
    return np.asarray(usual * np.clip(exposures / np.median(observed.exposures[observed.known]), 0.2, 5.0))


def _varies(observed: Observed) -> bool:
    return observed.exposure is not None and len(np.unique(observed.exposures[observed.known])) > 1


def _view(exploration: Exploration) -> View:
    """Return the window of land and sites."""
    survey = exploration.survey
    bounds = [tuple(survey.points.total_bounds)]
    if survey.coastline is not None:
        bounds.append(survey.coastline.bounds)
    return View.of(bounds, survey.crs)


def _data_uri(figure: Figure, dpi: int) -> str:
    return "data:image/png;base64," + base64.b64encode(figure_png(figure, dpi)).decode("ascii")
