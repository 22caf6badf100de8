"""Fitted means against what was observed, and what was observed among replicates of the fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.scale import SymmetricalLogScale
from matplotlib.ticker import MaxNLocator, NullLocator

from geospde.formula.parser import parse_expression
from geospde.formula.response import numeric_columns
from geospde.formula.syntax import Call
from geospde.plots.canvas import FRAME, INK, SMALL
from geospde.plots.frame import BAND, LINE, MARK, finish, new_axes
from geospde.plots.random_effects import centre_and_limits
from geospde.results.base import Fit
from geospde.results.simulate import (
    PredictiveCheck,
    is_delta,
    observed_response,
    predictive_check,
    prior_predictive_check,
)
from geospde.text.words import number

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
    is_whole = is_delta(fit.model)
    table = fitted_response(fit) if is_whole else fit.fitted
    middle, low, high = (table[column] for column in centre_and_limits(table))
    draw_fitted(ax, observed_response(fit.model) if is_whole else observed_means(fit), middle, low, high)
    label = fit.model.response_label if is_whole else fit.model.family.fitted_label(fit.model.response_label)
    return finish(ax, "Fitted against observed, with 95 % limits", f"observed {label}", f"fitted {label}")


def fitted_response(fit: Fit) -> pd.DataFrame:
    """The mean of a delta family's response at its rows, with limits: of probability times amount."""
    import geopandas as gpd

    rows = next(iter(fit.model.parts.values()))
    table = rows.table
    if rows.points is not None:
        table = gpd.GeoDataFrame(table, geometry=gpd.points_from_xy(*rows.points.T), crs=rows.crs)
    return fit.predict(table).to_frame()


def observed_means(fit: Fit) -> NDArray[np.float64]:
    """Responses on the scale of `Fit.fitted`: over exposure and trials."""
    return fit.model.likelihood.observed()


def draw_fitted(ax: Axes, observed: ArrayLike, middle: ArrayLike, low: ArrayLike, high: ArrayLike) -> None:
    """Draw points with intervals, and the line where both are the same; one scale along both axes."""
    x, y, low, high = (np.asarray(values, dtype=float) for values in (observed, middle, low, high))
    every = np.concatenate([x, low, high])
    ends = np.array([every.min(), every.max()])
    ends += np.array([-0.03, 0.03]) * (np.ptp(ends) or 1.0)
    ends = spread_out(ax, "xy", np.concatenate([x, y]), ends)
    ax.set(xlim=tuple(ends), ylim=tuple(ends))
    ax.plot(ends, ends, color=FRAME, lw=0.5, ls=(0, (4, 3)), zorder=1)
    ax.vlines(x, low, high, color=MARK, lw=0.5, zorder=2)
    ax.scatter(x, y, s=6, color=LINE, linewidths=0, zorder=3)


SKEWED = 30.0
"""How many times the median of what is above zero the largest is, from which axes are logarithmic."""


def spread_out(ax: Axes, which: str, values: ArrayLike, ends: NDArray[np.float64]) -> NDArray[np.float64]:
    """Make axes logarithmic where values at and above zero are so skew that most would lie in a corner.

    Below a power of ten that few of those above zero are under they stay linear, so that zeros have a place.

    Returns
    -------
    (2,) array
        The ends that the axes are to have.
    """
    values = np.asarray(values, dtype=float)
    above = values[values > 0]
    if not above.size or values.min() < 0 or values.max() < SKEWED * np.median(above):
        return ends
    step = 10.0 ** np.floor(np.log10(np.quantile(above, 0.05)))
    for name in which:
        ax.set(**{f"{name}scale": SymmetricalLogScale(None, linthresh=step, linscale=0.5)})
        axis = ax.xaxis if name == "x" else ax.yaxis
        axis.set_major_formatter(lambda value, _: number(value))
        axis.set_minor_locator(NullLocator())
    low = -0.2 * step if values.min() < step else values.min() / 1.3
    return np.array([low, 1.3 * values.max()])


def plot_predictive_check(
    fit: Fit, ax: Axes | None = None, *, draws: int = 200, seed: int = 0, prior: bool = False
) -> Axes:
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
    prior : bool
        Draw replicates from the priors: hyperparameters, latent variables, and the fixed effects whose prior is not
        flat; those with a flat one are as estimated.

    Returns
    -------
    Axes
        The observed share of responses up to each value, in the band that holds 95 % of those of replicates. A fit that
        could have made the data has the line in the band; a line beyond it tells where the model's responses are too
        few: zeros, large values. A line beyond the band of replicates of the priors tells of priors that expect other
        data.

    Raises
    ------
    InputError
        For a family that draws no responses; with `prior`, where a prior cannot be drawn from.

    References
    ----------
    Gelman, Meng & Stern (1996), Statistica Sinica 6, 733-807.
    Gabry, Simpson, Vehtari, Betancourt & Gelman (2019), J. R. Stat. Soc. A 182, 389-402.
    """
    check = (prior_predictive_check if prior else predictive_check)(fit, draws, seed)
    return draw_predictive_check(check, responses_label(fit), ax)


def responses_label(fit: Fit) -> str:
    """What replicates are of: the response by itself, not over trials."""
    left = parse_expression(fit.model.formula.response)
    if fit.model.parts:
        return fit.model.response_label
    over_trials = isinstance(left, Call) and left.function == "p"
    return numeric_columns(left)[0] if over_trials else fit.model.formula.response_name


def draw_predictive_check(check: PredictiveCheck, label: str, ax: Axes | None = None) -> Axes:
    """Draw a predictive check that is made, of responses of this name."""
    ax = new_axes(ax)
    ax.fill_between(
        check.at,
        check.lower,
        check.upper,
        step="post",
        color=BAND,
        lw=0,
        label=f"95 % of {'draws from the priors' if check.prior else 'replicates'}",
    )
    ax.step(
        check.at,
        check.middle,
        where="post",
        color=LINE,
        lw=0.8,
        label=f"median {'draw' if check.prior else 'replicate'}",
    )
    ax.step(check.at, check.observed, where="post", color=INK, lw=1.2, label="observed")
    ax.legend(loc="lower right", frameon=False, fontsize=SMALL)
    ax.xaxis.set_major_formatter(lambda value, _: number(value))
    seen = check.at[np.searchsorted(check.observed, np.linspace(0.005, 1.0, 200))]
    ax.set_xlim(*spread_out(ax, "x", np.append(seen, check.at[-1]), np.array(ax.get_xlim())))
    if ax.get_xscale() == "linear" and np.array_equal(check.at, np.round(check.at)):  # counts and classes
        ax.xaxis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10], integer=True))
    return finish(
        ax, f"{'Prior' if check.prior else 'Posterior'} predictive check", label, "share of responses up to here"
    )
