"""Conditional effects as curves with bands, intervals of levels, or a surface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from geospde.plots.canvas import INK, SMALL
from geospde.plots.frame import new_axes
from geospde.results.effects import Effects

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray


# Okabe & Ito's colours, told apart by colour-blind readers too
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def plot_effects(
    effects: Effects, ax: Axes | None = None, *, spaghetti: int = 0, seed: int = 0, points: Any = None
) -> Axes:
    """Draw conditional effects.

    Parameters
    ----------
    effects : Effects
    ax : Axes, optional
    spaghetti : int
        How many curves of the joint posterior to draw in place of the band.
    seed : int
        Of these.
    points : DataFrame, optional
        Observations to draw beside, with the columns of the covariate and ``response``.

    Returns
    -------
    Axes
    """
    ax = new_axes(ax, 116.84, 81.28)
    frame, names = effects.frame, effects.names
    lines = [("", frame)] if len(names) == 1 else list(frame.groupby(names[1], sort=False, observed=True))
    numeric = pd.api.types.is_numeric_dtype(frame[names[0]])
    # what is left are quantiles, and these rise with their level: the outermost hold the others
    quantiles = frame.drop(columns=[*names, "mean", "sd"])
    low, high = (quantiles.min(axis=1), quantiles.max(axis=1)) if quantiles.shape[1] else (None, None)
    if points is not None:
        _draw_points(ax, points, names, [label for label, _ in lines])
    if effects.surface:
        _draw_surface(ax, frame, names)
        return ax
    draws = effects.draws(spaghetti, seed) if spaghetti else None
    for k, (label, part) in enumerate(lines):
        colour = COLOURS[k % len(COLOURS)]
        word = f"{label:.3g}" if isinstance(label, float) else str(label)
        if not numeric:
            _draw_levels(ax, part, names[0], k, len(lines), colour, word)
            if low is not None and high is not None:
                ax.vlines(_places(len(part), k, len(lines)), low[part.index], high[part.index], color=colour, lw=1.4)
            continue
        x = part[names[0]].to_numpy()
        if draws is not None:
            ax.plot(x, draws[:, part.index].T, color=colour, lw=0.5, alpha=min(1.0, 15 / spaghetti))
        elif low is not None and high is not None:
            ax.fill_between(x, low[part.index], high[part.index], color=colour, alpha=0.18, lw=0)
        ax.plot(x, part["mean"], color=colour, lw=1.6, label=word)
    ax.set_xlabel(names[0])
    ax.set_ylabel(effects.response)
    if len(names) == 2:
        ax.legend(title=names[1], frameon=False, fontsize=SMALL, title_fontsize=SMALL)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _places(size: int, k: int, count: int) -> NDArray[np.float64]:
    """Where the levels of the k-th of `count` lines stand."""
    return np.arange(size, dtype=float) + 0.6 * ((k + 0.5) / count - 0.5)


def _draw_levels(ax: Axes, part: pd.DataFrame, name: str, k: int, count: int, colour: str, label: str) -> None:
    """A point for each level."""
    levels = part[name].astype(str).to_numpy()
    ax.plot(_places(len(levels), k, count), part["mean"], "o", color=colour, ms=5, label=label)
    ax.set_xticks(np.arange(len(levels)), levels)
    ax.set_xlim(-0.5, len(levels) - 0.5)


def _draw_points(ax: Axes, points: pd.DataFrame, names: tuple[str, ...], order: list[Any]) -> None:
    """Observations, in the colour of their line where there are several."""
    colours: Any = INK
    if len(names) == 2 and names[1] in points and not isinstance(order[0], float):
        colours = [COLOURS[order.index(v) % len(COLOURS)] for v in points[names[1]]]
    ax.scatter(points[names[0]], points["response"], s=9, c=colours, alpha=0.45, lw=0, zorder=0.5)


def _draw_surface(ax: Axes, frame: pd.DataFrame, names: tuple[str, ...]) -> None:
    """Filled contours of the mean over two covariates."""
    table = frame.pivot(index=names[1], columns=names[0], values="mean")
    filled = ax.contourf(table.columns, table.index, table.to_numpy(), levels=12, cmap="viridis")
    ax.contour(table.columns, table.index, table.to_numpy(), levels=filled.levels, colors="white", linewidths=0.4)
    ax.set_xlabel(names[0])
    ax.set_ylabel(names[1])
    ax.figure.colorbar(filled, ax=ax, label="mean")
