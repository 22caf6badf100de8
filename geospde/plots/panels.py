"""Panels that take and return axes: a histogram, a trend along a covariate, a variogram."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter, MaxNLocator

from geospde.errors import InputError
from geospde.explore.explore import Exploration
from geospde.explore.observed import Observed
from geospde.explore.variogram import Variogram
from geospde.plots.canvas import FRAME, SMALL, View
from geospde.plots.fitted import spread_out
from geospde.plots.frame import ALARM, BAND, LINE, MARK, finish, new_axes, plain
from geospde.plots.scale import round_numbers
from geospde.text.words import did_you_mean, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray


_STEPS = [1, 2, 5, 10]

MOST_TICKS = 500
"""Sites of which each has a tick under the histogram; more would be a bar."""

FEW_BARS = 12
"""Whole numbers that have a bar each."""

FEW_LEVELS = 5
"""A number that takes no more values (a year, a grade) is drawn as levels, a box each."""


def plot_histogram(exploration: Exploration, ax: Axes | None = None) -> Axes:
    """Draw how the rates are distributed, on the scale that they are compared on, with their median.

    Parameters
    ----------
    exploration : Exploration
    ax : Axes, optional
        A new pyplot figure by default.
    """
    ax = new_axes(ax)
    observed = exploration.observed
    values = observed.scaled[observed.known]
    few = observed.scale == "value" and _are_few(values)
    skew = not few and _is_spread_out(ax, "x", observed)
    ax.hist(
        values,
        bins=_whole_bins(values) if few else _even_bins(ax, values).tolist() if skew else _bins(values),
        rwidth=0.7 if few else 1.0,
        color=BAND,
        edgecolor=MARK,
        linewidth=0.5,
    )
    if len(values) and not few:
        ax.axvline(float(np.median(values)), color=LINE, lw=0.8)
    if has_ticks(observed):
        ax.plot(values, np.zeros(len(values)), "|", color=LINE, ms=5, mew=0.4, alpha=0.6, clip_on=False)
    ax.yaxis.set_major_locator(MaxNLocator(5, steps=_STEPS, integer=True))
    rate = observed.rate
    middle = f"{number(values.mean())} are 1" if observed.binary else f"median {number(rate.per * _median(observed))}"
    words = rate.label if observed.classes else f"{rate.label}, {middle}"
    finish(ax, words, rate.label + observed.scale_note, f"{exploration.survey.word}s")
    if not skew:
        rate_ticks(ax.xaxis, observed)
    return ax


def has_ticks(observed: Observed) -> bool:
    """Tell whether each row has a tick under the histogram."""
    values = observed.scaled[observed.known]
    return len(values) <= MOST_TICKS and not (observed.scale == "value" and _are_few(values))


def _are_few(values: NDArray[np.float64]) -> bool:
    """Tell whether values are whole numbers within a few, which have a bar each."""
    return bool(len(values) and np.ptp(values) <= FEW_BARS and np.array_equal(values, np.round(values)))


def _whole_bins(values: NDArray[np.float64]) -> list[float]:
    return [float(edge) for edge in np.arange(values.min() - 0.5, values.max() + 1.0)]


def _even_bins(ax: Axes, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bins of one width on an axis that is logarithmic; both ends are values, which a transform and back would miss."""
    spread, ends = ax.xaxis.get_transform(), [values.min(), values.max()]
    low, high = np.asarray(spread.transform(np.array(ends)), dtype=float)
    edges = np.asarray(spread.inverted().transform(np.linspace(low, high, 26)), dtype=float)
    edges[[0, -1]] = ends
    return edges


def _bins(values: NDArray[np.float64]) -> int:
    return int(np.clip(len(np.histogram_bin_edges(values, "auto")) - 1, 5, 40)) if len(values) else 5


def plot_trend(exploration: Exploration, name: str, ax: Axes | None = None) -> Axes:
    """Draw the rates against a covariate or a coordinate, with medians and middle halves along it.

    Of zeros and ones these are shares of ones, with a standard error to either side.

    Parameters
    ----------
    exploration : Exploration
    name : str
        A covariate, or one of `trend_names`.
    ax : Axes, optional
        A new pyplot figure by default.

    Raises
    ------
    InputError
        If there is no such covariate.
    """
    known = trend_names(exploration)
    if name not in known:
        raise InputError(f"there is no covariate {name!r}: {did_you_mean(str(name), known, 'covariates')}")
    ax, observed = new_axes(ax), exploration.observed
    along, unit = _along(exploration, name)
    shown = _short(name, 24)
    if along.dtype.kind == "f":
        known_too = observed.known & np.isfinite(along)
        rank = _draw_course(ax, along[known_too], observed.scaled[known_too], binary=observed.binary)
        words = f"{shown}, ρ = {number(round(rank, 2))}" if np.isfinite(rank) else shown
        across = "" if observed.classes else observed.rate.label  # whose names take its place
        finish(ax, words, f"{shown} ({unit})" if unit else shown, across)
        if not _is_spread_out(ax, "y", observed):
            rate_ticks(ax.yaxis, observed)
    else:
        _draw_levels(ax, along[observed.known], observed.scaled[observed.known], binary=observed.binary)
        finish(ax, shown, observed.rate.label, "")
        if not _is_spread_out(ax, "x", observed):
            rate_ticks(ax.xaxis, observed)
    return ax


def _is_spread_out(ax: Axes, which: str, observed: Observed) -> bool:
    """Make an axis of rates logarithmic, with a place for zeros, where they are very skew; tell whether it is."""
    if observed.scale != "value" or observed.classes or observed.rate.per != 1:
        return False
    before = np.asarray(ax.get_ylim() if which == "y" else ax.get_xlim())
    ends = spread_out(ax, which, observed.scaled[observed.known], before)
    if np.array_equal(ends, before):
        return False
    ax.set(**{f"{which}lim": tuple(ends)})
    return True


def plot_variogram(variogram: Variogram, ax: Axes | None = None) -> Axes:
    """Draw an empirical variogram in its envelope.

    Parameters
    ----------
    variogram : Variogram
    ax : Axes, optional
        A new pyplot figure by default.

    Returns
    -------
    Axes
        Bins below the band are more alike than values thrown at random among the sites would be.
    """
    ax = new_axes(ax)
    table, structure = variogram.table, variogram.structure
    h = table["distance"]
    band = f"{100 * variogram.level:g} % of {variogram.permutations} permutations"
    ax.fill_between(h, table["lower"], table["upper"], color=BAND, lw=0, label=band)
    ax.axhline(variogram.variance, color=FRAME, lw=0.6, ls=(0, (4, 3)), label="variance")
    ax.plot(h, table["semivariance"], "o-", color=LINE, ms=3.5, lw=0.8, label="classical")
    if not np.array_equal(table["robust"], table["semivariance"]):
        ax.plot(h, table["robust"], "s", mfc="none", mec=MARK, mew=0.8, ms=3.5, label="robust")
    if structure is not None:
        along = np.linspace(0, float(variogram.edges[-1]), 200)
        words = f"Matérn, range {number(float(f'{structure.range:.2g}'))} {variogram.unit}".rstrip()
        ax.plot(along, structure(along), color=ALARM, lw=0.9, label=words)
    # the band may rise far above what was observed: it is cut rather than the points pressed flat under the legend
    seen = float(max(table["semivariance"].max(), table["robust"].max(), variogram.variance))
    ax.set(xlim=(0, float(variogram.edges[-1])), ylim=(0, 1.45 * seen))
    size, unit = View(0.0, 0.0, float(variogram.edges[-1]), 0.0, variogram.unit).tick_unit
    ax.xaxis.set_major_locator(MaxNLocator(6, steps=_STEPS))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / size:.10g}"))
    finish(ax, f"Variogram of {variogram.label}", f"distance ({unit})" if unit else "distance", "semivariance")
    ax.legend(fontsize=SMALL - 1, frameon=False, ncols=3, loc="upper left", borderaxespad=0.2, handlelength=1.6)
    return ax


def trend_names(exploration: Exploration) -> list[str]:
    """Return what rates can be drawn against: the two coordinates, then the covariates."""
    unit = exploration.survey.units
    axes = ("longitude", "latitude") if unit == "degree" else ("easting", "northing") if unit else ("x", "y")
    return [*axes, *map(str, exploration.covariates)]


def rate_ticks(axis: Any, observed: Observed) -> None:
    """Label an axis of scaled rates with rates."""
    per = observed.rate.per
    if observed.classes:
        axis.set_major_locator(FixedLocator(list(range(1, len(observed.classes) + 1))))
        axis.set_major_formatter(FixedFormatter([plain(_short(name, 9)) for name in observed.classes]))
        axis.set_tick_params(labelsize=SMALL - 1)
        return
    if observed.scale == "value":
        axis.set_major_locator(MaxNLocator(5, steps=_STEPS))
        if per != 1:
            axis.set_major_formatter(FuncFormatter(lambda value, _: number(float(f"{per * value:.12g}"))))
        return
    low, high = axis.get_view_interval()
    if observed.scale == "logit":
        rates = np.array([0.001, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99, 0.999])
        at = np.log(rates / (1 - rates))
    else:
        rates = round_numbers(per * np.exp(low), per * np.exp(high)) / per
        at = np.log(rates)
    shown = (at >= low) & (at <= high)
    axis.set_major_locator(FixedLocator(at[shown]))
    axis.set_major_formatter(FixedFormatter([number(float(f"{per * rate:.12g}")) for rate in rates[shown]]))


def _median(observed: Observed) -> float:
    return float(f"{np.median(observed.rates[observed.known]):.3g}") if observed.known.any() else np.nan


def _along(exploration: Exploration, name: str) -> tuple[NDArray[Any], str]:
    """Return a coordinate or a covariate, as floats or as text, and its unit."""
    coordinate, survey = trend_names(exploration)[:2], exploration.survey
    if name in coordinate:
        size, unit = View.of([survey.points.total_bounds], survey.crs).tick_unit
        return survey.coordinates[:, coordinate.index(name)] / size, unit.replace("degree", "°")
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    column = next(exploration.covariates[c] for c in exploration.covariates if str(c) == name)
    if is_numeric_dtype(column) and not is_bool_dtype(column):
        values = column.to_numpy(dtype=float, na_value=np.nan)
        if len(np.unique(values[np.isfinite(values)])) > FEW_LEVELS:
            return values, ""
        column = column.map("{:.6g}".format, na_action="ignore")
    return column.astype(object).where(column.notna(), "missing").astype(str).to_numpy(dtype=object), ""


def _draw_course(ax: Axes, x: NDArray[np.float64], y: NDArray[np.float64], *, binary: bool) -> float:
    """Draw points, and their course with its band; return the rank correlation."""
    ax.scatter(x, y, s=5, color=MARK, linewidths=0, alpha=0.6, zorder=2)
    middles, low, median, high = _running(x, y, binary=binary)
    ax.fill_between(middles, low, high, color=BAND, lw=0, zorder=1)
    ax.plot(middles, median, color=LINE, lw=1.2, zorder=3)
    ax.xaxis.set_major_locator(MaxNLocator(5, steps=_STEPS))
    return _rank_correlation(x, y)


def _running(x: NDArray[np.float64], y: NDArray[np.float64], *, binary: bool) -> NDArray[np.float64]:
    """Return medians of x, and low, middle and high of y, in bins of equally many sites: rows of these four."""
    order = np.argsort(x, kind="stable")
    parts = np.array_split(order, int(np.clip(np.sqrt(len(x)), 1, 12))) if len(x) else []
    return np.array([[np.median(x[p]), *_middle(y[p], binary)] for p in parts]).reshape(-1, 4).T


def _middle(y: NDArray[np.float64], binary: bool) -> NDArray[np.float64]:
    """Return the quartiles; of zeros and ones the share of ones within a standard error (Agresti & Coull 1998)."""
    if not binary:
        return np.asarray(np.quantile(y, [0.25, 0.5, 0.75]))
    raised = (y.sum() + 0.5) / (len(y) + 1)
    error = np.sqrt(raised * (1 - raised) / (len(y) + 1))
    return np.array([max(raised - error, 0.0), y.mean(), min(raised + error, 1.0)])


def _rank_correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Return Spearman's rank correlation, NaN where either is constant."""
    import pandas as pd

    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(pd.Series(x).rank(), pd.Series(y).rank())[0, 1])


def _draw_levels(ax: Axes, along: NDArray[Any], scaled: NDArray[np.float64], *, binary: bool) -> None:
    """Draw quartiles and sites of each level of a covariate, lying, so that the levels' names can be read."""
    levels = sorted(set(along), reverse=True)
    ax.use_sticky_edges = False  # else sites of the least value are cut in half
    for k, level in enumerate(levels, start=1):
        group = scaled[along == level]
        low, median, high = _middle(group, binary)
        ax.barh(k, high - low, left=low, height=0.6, color=BAND, edgecolor=MARK, linewidth=0.5, zorder=1)
        ax.vlines(median, k - 0.3, k + 0.3, color=LINE, lw=1.2, zorder=3)
        spread = np.linspace(-0.2, 0.2, len(group)) if len(group) > 1 else np.zeros(1)
        ax.scatter(group, k + spread, s=5, color=MARK, linewidths=0, alpha=0.6, zorder=2)
    ax.set_yticks(range(1, len(levels) + 1), [plain(_short(level)) for level in levels])


def _short(word: str, most: int = 7) -> str:
    """Return a word, cut where it would not fit beside a panel."""
    return word if len(word) <= most else f"{word[: most - 1].rstrip()}…"
