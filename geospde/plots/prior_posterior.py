"""Prior and posterior of one quantity over all that both of them reach: what the data have told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from geospde.plots.canvas import SMALL
from geospde.plots.frame import ALARM, BAND, LINE, finish, new_axes
from geospde.plots.marginals import prior_words, quantity_label
from geospde.results.bayesian import BayesianFit
from geospde.text.words import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray


DECADE = 10.0
"""A positive quantity that reaches further has a logarithmic axis, and densities whose areas are right on it."""


def plot_prior_posterior(fit: BayesianFit, name: str, ax: Axes | None = None) -> Axes:
    """Draw prior and posterior density of a hyperparameter or fixed effect, with 95 % intervals.

    Parameters
    ----------
    fit : BayesianFit
    name : str
        A row of `hyper` or `fixed`, such as ``"range(spde)"``.
    ax : Axes, optional
        A new pyplot figure by default.

    Returns
    -------
    Axes
        With an axis of logarithms, and densities of the logarithm, where a positive quantity runs over more than a
        decade.

    Raises
    ------
    InputError
        Where the prior is improper.
    """
    prior, posterior = fit.prior(name), fit.marginal(name)
    ax = new_axes(ax)
    intervals = [marginal.interval(0.95) for marginal in (prior, posterior)]
    low, high = (float(f(ends)) for f, ends in ((np.min, intervals), (np.max, intervals)))
    logarithmic = low > 0 and high > DECADE * low
    styles = [(ALARM, (0, (4, 2)), prior_words(fit, name)), (LINE, "-", "posterior")]
    tallest = 0.0
    for marginal, (left, right), (colour, dash, words) in zip((prior, posterior), intervals, styles):
        x, y = _curve(marginal, logarithmic)
        inside = np.geomspace(left, right, 200) if logarithmic else np.linspace(left, right, 200)
        if marginal is posterior:
            ax.fill_between(inside, np.interp(inside, x, y), color=BAND, lw=0)
        span = f"95 %: {number(float(f'{left:.3g}'))} to {number(float(f'{right:.3g}'))}"
        ax.plot(x, y, color=colour, ls=dash, lw=1.2, label=f"{words}\n{span}")
        tallest = max(tallest, float(y[(x >= low) & (x <= high)].max()))
    if logarithmic:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if high < 1000 * low else (1.0,)))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
        ax.xaxis.set_minor_formatter(NullFormatter())
        low, high = low / 1.3, high * 1.3
    else:
        low, high = low - 0.1 * (high - low), high + 0.1 * (high - low)
        ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    ax.set(xlim=(low, high), ylim=(0, 1.6 * tallest), yticks=[])
    finish(ax, f"{name}, before and after the data", quantity_label(fit, name), _density(logarithmic))
    ax.legend(fontsize=SMALL - 1, frameon=False, loc="upper right", borderaxespad=0.2, handlelength=1.8)
    return ax


def _curve(marginal: Any, logarithmic: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Grid and density; of the logarithm where the axis is one."""
    x, y = marginal.x[1:-1], marginal.y[1:-1]  # at the ends the slope between the scales is one-sided
    good = np.isfinite(y) & ((x > 0) if logarithmic else np.isfinite(x))
    return x[good], x[good] * y[good] if logarithmic else y[good]


def _density(logarithmic: bool) -> str:
    return "density of the logarithm" if logarithmic else "density"
