"""Pictures of a comparison: how far each fit is behind the best, and where two maps differ."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from geospde.plots.canvas import FRAME, SMALL
from geospde.plots.frame import LINE, MARK, finish, new_axes, plain
from geospde.plots.maps import layers_map
from geospde.prediction.difference import Difference
from geospde.results.compare import Comparison

if TYPE_CHECKING:
    from matplotlib.axes import Axes


ROW = 9.0  # millimetres a fit


def plot_comparison(comparison: Comparison, ax: Axes | None = None) -> Axes:
    """Draw how far each fit is behind the best: elpd with two standard errors of the difference, or AIC.

    Parameters
    ----------
    comparison : Comparison
    ax : Axes, optional
        A new pyplot figure by default.
    """
    table = comparison.table
    ax = new_axes(ax, 120.0, 22.0 + ROW * len(table))
    at = np.arange(len(table))
    column = "elpd_difference" if comparison.is_bayesian else "aic_difference"
    gap = table[column].to_numpy(dtype=float)
    if comparison.is_bayesian:
        reach = 2 * table["difference_se"].to_numpy(dtype=float)
        ax.hlines(at, gap - reach, gap + reach, color=MARK, lw=1.2, zorder=2)
        words, axis = "elpd_loo less that of the best, with two standard errors", "difference of elpd_loo (nats)"
    else:
        words, axis = "AIC above that of the best", "difference of AIC"
    ax.axvline(0.0, color=FRAME, lw=0.6, ls=(0, (4, 3)), zorder=1)
    ax.plot(gap, at, "o", ms=4, color=LINE, zorder=3)
    ax.set_yticks(at, [plain(_short(str(name))) for name in table.index], fontsize=SMALL)
    ax.set_ylim(len(table) - 0.5, -0.5)
    return finish(ax, words, axis, "")


def difference_map(
    difference: Difference,
    column: str,
    names: tuple[str, str],
    *,
    coastline: Any = None,
    label: str | None = None,
    figure: Figure | None = None,
) -> Figure:
    """Draw where one prediction is above another, and where below.

    Parameters
    ----------
    difference : Difference
    column : str
        ``"mean"`` or ``"sd"``.
    names : (str, str)
        Of the prediction and of the one that is subtracted.
    coastline : polygons, optional
        Drawn on top; what lies outside is left out.
    label : str, optional
        What is predicted, in words; by default the prediction's own label.
    figure : Figure, optional
        Draw into this one.

    Returns
    -------
    Figure
        White is no difference; the scale is as wide below zero as above.
    """
    title = plain(f"{difference.layer(column).short}: {_short(names[0])} less {_short(names[1])}")
    return layers_map(difference, [column], coastline=coastline, label=label, title=title, figure=figure)


def _short(name: str, most: int = 40) -> str:
    """Return a name, cut where it would not fit."""
    return name if len(name) <= most else f"{name[: most - 1].rstrip()}…"
