"""Fitted means against what was observed, and what was observed among replicates of the fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from geospde.formula.parser import parse_expression
from geospde.formula.response import numeric_columns
from geospde.formula.syntax import Call
from geospde.plots.canvas import FRAME, INK, SMALL
from geospde.plots.frame import BAND, LINE, MARK, finish, new_axes
from geospde.plots.random_effects import centre_and_limits
from geospde.results.base import Fit
from geospde.results.simulate import PredictiveCheck, predictive_check

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray


def plot_fitted(fit: Fit, ax: Axes | None = None) -> Axes:
    """Draw fitted means and their 95 % intervals against the observations, both per unit exposure or trial.

    Parameters
    ----------
    fit : Fit
    ax : Axes, optional
        A new pyplot figure by default.

    Returns
    -------
    Axes
        Intervals are of the mean, not of a new observation, which varies more.
    """
    ax = new_axes(ax, 90.0, 90.0)
    table = fit.fitted
    middle, low, high = (table[column] for column in centre_and_limits(table))
    draw_fitted(ax, observed_means(fit), middle, low, high)
    label = fit.model.family.fitted_label(fit.model.response_label)
    return finish(ax, "Fitted against observed, with 95% limits", f"observed {label}", f"fitted {label}")


def observed_means(fit: Fit) -> NDArray[np.float64]:
    """Responses on the scale of `Fit.fitted`: over exposure and trials."""
    return fit.model.likelihood.observed()


def draw_fitted(ax: Axes, observed: ArrayLike, middle: ArrayLike, low: ArrayLike, high: ArrayLike) -> None:
    """Draw points with intervals, and the line where both are the same; one scale along both axes."""
    x, y, low, high = (np.asarray(values, dtype=float) for values in (observed, middle, low, high))
    ends = np.array([min(x.min(), low.min()), max(x.max(), high.max())])
    ends += np.array([-0.03, 0.03]) * (np.ptp(ends) or 1.0)
    ax.set(xlim=tuple(ends), ylim=tuple(ends))
    ax.plot(ends, ends, color=FRAME, lw=0.5, ls=(0, (4, 3)), zorder=1)
    ax.vlines(x, low, high, color=MARK, lw=0.5, zorder=2)
    ax.scatter(x, y, s=6, color=LINE, linewidths=0, zorder=3)


def plot_predictive_check(fit: Fit, ax: Axes | None = None, *, draws: int = 200, seed: int = 0) -> Axes:
    """Draw the distribution of the responses among those of replicates.

    Parameters
    ----------
    fit : Fit
    ax : Axes, optional
        A new pyplot figure by default.
    draws : int
        Replicates.
    seed : int
        Of the replicates.

    Returns
    -------
    Axes
        The observed share of responses up to each value, in the band that holds 95 % of those of replicates. A fit that
        could have made the data has the line in the band; a line beyond it tells where the model's responses are too
        few: zeros, large values.

    References
    ----------
    Gelman, Meng & Stern (1996), Statistica Sinica 6, 733-807.
    """
    return draw_predictive_check(predictive_check(fit, draws, seed), responses_label(fit), ax)


def responses_label(fit: Fit) -> str:
    """What replicates are of: the response by itself, not over trials."""
    left = parse_expression(fit.model.formula.response)
    over_trials = isinstance(left, Call) and left.function == "p"
    return numeric_columns(left)[0] if over_trials else fit.model.formula.response.strip()


def draw_predictive_check(check: PredictiveCheck, label: str, ax: Axes | None = None) -> Axes:
    """Draw a predictive check that is made, of responses of this name."""
    ax = new_axes(ax)
    ax.fill_between(check.at, check.lower, check.upper, step="post", color=BAND, lw=0, label="95% of replicates")
    ax.step(check.at, check.middle, where="post", color=LINE, lw=0.8, label="median replicate")
    ax.step(check.at, check.observed, where="post", color=INK, lw=1.2, label="observed")
    ax.legend(loc="lower right", frameon=False, fontsize=SMALL)
    if np.array_equal(check.at, np.round(check.at)):  # counts and classes
        ax.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10], integer=True))
    return finish(ax, "Posterior predictive check", label, "share of responses up to here")
