"""Marginals of single quantities, with the prior density drawn beside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from geospde.errors import InputError
from geospde.plots.canvas import SMALL
from geospde.plots.frame import ALARM, BAND, LINE, finish, new_axes, new_panels, plain
from geospde.results.base import Fit
from geospde.results.bayesian import BayesianFit
from geospde.results.estimates import EstimatedFit
from geospde.survey.crs import unit_of
from geospde.text.words import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray


LEVEL = 0.95
NORMAL = "normal, by its standard error"
_WIDEST = 32  # letters of a line in a legend: three panels share a page
_Z = 1.959963984540054  # normal quantile of 0.975


class Curve(NamedTuple):
    """A density as it is drawn."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    middle: float
    low: float
    high: float
    """Median and limits of the central 95 %."""
    words: str
    """What it is: a posterior, or an estimate's normal distribution."""


def plot_marginal(fit: Fit, name: str | Mapping[str, float], ax: Axes | None = None, *, prior: bool = True) -> Axes:
    """Draw the density of one quantity, its median and its central 95 %.

    Parameters
    ----------
    fit : Fit
    name : str or dict
        As `BayesianFit.marginal` takes it. Of a fit without priors the normal distribution of the estimate is drawn,
        on the scale where its interval is one.
    ax : Axes, optional
        A new pyplot figure by default.
    prior : bool
        Draw the prior density of a hyperparameter or fixed effect beside it; where there is none, say why.

    Returns
    -------
    Axes

    Raises
    ------
    InputError
        For an unknown name, or one of which nothing is known.
    """
    curve = density_curve(fit, name)
    ax = new_axes(ax)
    if curve is None:
        return _draw_estimate(ax, fit, str(name))
    inside = np.linspace(curve.low, curve.high, 200)
    words = f"95 %: {number(_rounded(curve.low))} to {number(_rounded(curve.high))}"
    ax.fill_between(inside, np.interp(inside, curve.x, curve.y), color=BAND, lw=0, label=words)
    ax.plot(curve.x, curve.y, color=LINE, lw=1.2, label=curve.words)
    ax.vlines(curve.middle, 0, float(np.interp(curve.middle, curve.x, curve.y)), color=LINE, lw=0.8)
    shown = curve.x[curve.y > 1e-3 * curve.y.max()]
    ax.set(xlim=(shown[0], shown[-1]), ylim=(0, 1.6 * float(curve.y.max())), yticks=[])
    if prior and isinstance(name, str) and isinstance(fit, BayesianFit):
        _draw_prior(ax, fit, name, shown)
    ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    finish(ax, "", quantity_label(fit, name), "density")
    handles, labels = ax.get_legend_handles_labels()
    order = np.argsort([label.startswith("95 %") for label in labels], kind="stable")
    ax.legend(
        [handles[k] for k in order], [labels[k] for k in order], fontsize=SMALL - 1, frameon=False, loc="upper right",
        borderaxespad=0.2, handlelength=1.6, labelspacing=0.3,
    )  # fmt: skip
    return ax


def plot_hyper(fit: Fit, names: Sequence[str] | None = None, ax: Any = None, *, prior: bool = True) -> NDArray[Any]:
    """Draw the hyperparameters, a panel each, as `plot_marginal` does.

    Parameters
    ----------
    fit : Fit
    names : sequence of str, optional
        Rows of `Fit.hyper`; by default all that are not held.
    ax : array of Axes, optional
        As many; a new pyplot figure by default.
    prior : bool

    Returns
    -------
    array of Axes

    Raises
    ------
    InputError
        For a model without hyperparameters, an unknown name, or another number of axes.
    """
    if isinstance(names, str):
        names = [names]
    chosen = [h.name for h in fit.model.hyperparameters if not h.is_fixed] if names is None else list(names)
    if not chosen:
        raise InputError("this model has no hyperparameters to draw: see plot_marginal for its fixed effects")
    for name in chosen:  # unknown names are told before anything is drawn
        density_curve(fit, name)
    axes = new_panels(ax, len(chosen), "hyperparameters")
    for one, name in zip(axes, chosen):
        plot_marginal(fit, name, one, prior=prior)
    return axes


def density_curve(fit: Fit, name: str | Mapping[str, float]) -> Curve | None:
    """Density of one quantity: the posterior's, or after ML and REML that of the estimate; None without its error."""
    if isinstance(name, Mapping) and not any(name.values()):
        raise InputError("a linear combination has a part at least whose weight is not zero")
    if isinstance(fit, BayesianFit):
        marginal, words = fit.marginal(name), "posterior"
    elif isinstance(name, str) and name in fit.hyper.index:
        return _of_estimate(fit, name)
    else:
        assert isinstance(fit, EstimatedFit)
        marginal, words = fit.estimate(name), NORMAL
    low, middle, high = (float(q) for q in marginal.quantile(np.array([0.5 - LEVEL / 2, 0.5, 0.5 + LEVEL / 2])))
    return Curve(marginal.x, marginal.y, middle, low, high, words)


def quantity_label(fit: Fit, name: str | Mapping[str, float]) -> str:
    """What stands along the axis of a quantity: a range has a unit."""
    unit = unit_of(fit.model.crs) if isinstance(name, str) and name.startswith("range(") else ""
    return f"{_called(name)} ({unit})" if unit else _called(name)


def prior_words(fit: Fit, name: str) -> str:
    """What a legend says of a prior."""
    prior = next((h.prior for h in fit.model.hyperparameters if h.name == name), "")
    return plain(fill(f"prior, {prior}" if prior else "prior", _WIDEST))


def _called(name: str | Mapping[str, float]) -> str:
    if isinstance(name, str):
        return name
    return " + ".join(f"{weight:g} {part}" for part, weight in name.items()).replace("+ -", "\N{MINUS SIGN} ")


def _of_estimate(fit: Fit, name: str) -> Curve | None:
    """The normal distribution that a Wald interval is of: on the inner scale, mapped to the user's."""
    h = next(h for h in fit.model.hyperparameters if h.name == name)
    row = fit.hyper.loc[name]
    if not (np.isfinite(row["se"]) and row["lower"] < row["upper"]):
        return None
    try:
        low, high = h.inverse(float(row["lower"])), h.inverse(float(row["upper"]))
    except InputError:  # an error so wide that its interval ends where the scale does
        return None
    if not np.isfinite([low, high]).all():
        return None
    centre, sd = 0.5 * (low + high), 0.5 * (high - low) / _Z
    t = np.linspace(-6.0, 6.0, 601)
    x = np.asarray(h.transform(centre + sd * t))
    slope = np.gradient(x, t)
    seen = (slope > 0) & np.isfinite(x)
    if not seen.any():
        return None
    x, y = x[seen], (np.exp(-0.5 * t**2) / np.sqrt(2 * np.pi))[seen] / slope[seen]
    estimate, lower, upper = (float(row[column]) for column in ("estimate", "lower", "upper"))
    return Curve(x, y, estimate, lower, upper, NORMAL)


def _draw_estimate(ax: Axes, fit: Fit, name: str) -> Axes:
    """Draw an estimate that has no standard error: a variance of zero, say."""
    estimate = float(fit.hyper.loc[name, "estimate"])
    words = "held" if fit.hyper.loc[name, "se"] == 0 else "no standard error"
    if np.isfinite(estimate):
        ax.set_xlim(estimate - 0.5 * max(abs(estimate), 0.1), estimate + 0.5 * max(abs(estimate), 0.1))
        ax.vlines(estimate, 0, 0.75, color=LINE, lw=1.2, label=f"estimate {number(estimate)}, {words}")
        ax.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    else:
        ax.add_line(Line2D([], [], ls="", label="the data say nothing of it"))
    ax.set(ylim=(0, 1), yticks=[])
    ax.legend(fontsize=SMALL - 1, frameon=False, loc="upper right", borderaxespad=0.2, handlelength=1.6)
    return finish(ax, "", quantity_label(fit, name), "")


def _draw_prior(ax: Axes, fit: BayesianFit, name: str, shown: NDArray[np.float64]) -> None:
    """Draw the prior density within the window, or say in the legend why there is none."""
    known = [h.name for h in fit.model.hyperparameters] + fit.model.effects.names
    if name.removeprefix("log ") not in known:
        return
    try:
        prior = fit.prior(name)
    except InputError as reason:
        words = str(reason).replace(f"the prior of {name} is ", "prior: ")
        ax.add_line(Line2D([], [], ls="", label=plain(fill(words, _WIDEST))))
        return
    near = (prior.x >= shown[0]) & (prior.x <= shown[-1])
    x = np.concatenate([shown[:1], prior.x[near], shown[-1:]])
    ax.plot(x, prior.density(x), color=ALARM, lw=1.2, ls=(0, (4, 2)), label=prior_words(fit, name))


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")
