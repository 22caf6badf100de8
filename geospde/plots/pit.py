"""Histograms of the probability integral transform: flat where predictions are calibrated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geospde.errors import InputError
from geospde.plots.canvas import FRAME
from geospde.plots.frame import BAND, LINE, finish, new_axes
from geospde.results.bayesian import BayesianFit
from geospde.text.arguments import is_whole
from geospde.text.words import in_brief

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray


BINS = 10
MOST_BINS = 1_000
"""Beyond them a bar is thinner than what is drawn."""


def plot_pit(fit: BayesianFit, ax: Axes | None = None, *, bins: int = BINS) -> Axes:
    """Draw the PIT histogram of each observation under its prediction from the others.

    Parameters
    ----------
    fit : BayesianFit
    ax : Axes, optional
        A new pyplot figure by default.
    bins : int

    Returns
    -------
    Axes
        A hump: predictions are too unsure. A trough: too sure. A slope: to one side. The band holds 95 % of the bars of
        calibrated predictions.

    Raises
    ------
    InputError
        For a family without a distribution function, or where no leave-one-out prediction holds.

    Notes
    -----
    Counts have the non-randomised histogram of Czado, Gneiting & Held (2009), Biometrics 65, 1254-1261, from
    `Fit.pointwise`.
    """
    if not is_whole(bins, 2) or bins > MOST_BINS:
        raise InputError(f"a histogram has a whole number of bins, 2 to {MOST_BINS:,}, not {in_brief(bins)}")
    fit.model.likelihood.refuse_without_cdf()
    holds = (fit.pointwise["failure"] == 0).to_numpy()
    table = fit.pointwise[holds]
    if not len(table):
        raise InputError("no leave-one-out prediction holds: there is no PIT to draw")
    upper = table["pit"].to_numpy()
    lower = upper - np.where(fit.model.jumps[holds], table["cpo"].to_numpy(), 0.0)
    ax = new_axes(ax)
    draw_pit(ax, pit_heights(lower, upper, bins), len(table))
    return finish(ax, "Leave-one-out PIT: flat if calibrated", "probability integral transform", "density")


def pit_heights(lower: ArrayLike, upper: ArrayLike, bins: int = BINS) -> NDArray[np.float64]:
    """Return the heights of a PIT histogram over equal bins from 0 to 1; their mean is 1.

    Parameters
    ----------
    lower, upper : (m,) arrays
        P(Y < y) and P(Y <= y) under each prediction; the same for continuous responses. Each observation is spread
        evenly between them.
    bins : int

    Examples
    --------
    >>> pit_heights([0.0, 0.2], [0.5, 0.2], 4)
    array([2., 2., 0., 0.])
    """
    start, end = (np.clip(np.asarray(limit, dtype=float), 0.0, 1.0)[:, None] for limit in (lower, upper))
    edges, width = np.linspace(0.0, 1.0, bins + 1), end - start
    share = np.clip((edges - start) / np.where(width > 0, width, 1.0), 0.0, 1.0)
    below = np.where(width > 0, share, edges > start)
    below[:, 0], below[:, -1] = 0.0, 1.0
    return np.asarray(bins * np.diff(below.mean(axis=0)))


def draw_pit(ax: Axes, heights: NDArray[np.float64], count: int) -> None:
    """Draw the bars, and the band that holds 95 % of those of calibrated predictions."""
    bins = len(heights)
    ax.bar(np.arange(bins) / bins, heights, 1 / bins, align="edge", color=BAND, edgecolor=LINE, lw=0.5, zorder=2)
    noise = 1.96 * np.sqrt((bins - 1) / max(count, 1))  # of a bin's height, were it calibrated
    low, high = max(0.0, 1 - noise), 1 + noise
    ax.axhspan(low, high, color=FRAME, alpha=0.12, lw=0, zorder=1)  # the bars stand before it, its ends before them
    for end, dashes in ((low, ":"), (1.0, "--"), (high, ":")):
        ax.axhline(end, color=FRAME, lw=0.7, ls=dashes, zorder=3)
    ax.set(xlim=(0, 1), ylim=(0, 1.1 * max(float(heights.max()), 1 + noise)))
