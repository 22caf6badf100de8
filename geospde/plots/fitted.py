"""Fitted means against what was observed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from geospde.plots.canvas import FRAME
from geospde.plots.frame import LINE, MARK, finish, new_axes
from geospde.plots.random_effects import centre_and_limits
from geospde.results.base import Fit

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
    """Responses on the scale of `Fit.fitted`: over exposure and trials, logarithms of a lognormal with its own link."""
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
