"""Effects of the levels of a group as a caterpillar: sorted, each with its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from geospde.errors import InputError
from geospde.formula.grouping import Grouping
from geospde.plots.canvas import FRAME
from geospde.plots.frame import LINE, MARK, finish, new_axes, plain
from geospde.results.base import Fit
from geospde.terms.base import LatentTerm
from geospde.text.words import counted, did_you_mean

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


MOST_NAMES = 60
"""Levels of which each has its name beside it."""

_LINE = 3.4  # millimetres a level with its name


def plot_random(fit: Fit, term: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw the effects of a group's levels with 95 % intervals, the smallest at the bottom.

    Parameters
    ----------
    fit : Fit
    term : str, optional
        A group such as ``"Subject"``, or one of its effects, ``"Days | Subject"``; by default the first group. Of a
        group with several effects the first is drawn unless one is named.
    ax : Axes, optional
        A new pyplot figure by default.

    Returns
    -------
    Axes
        Levels whose interval holds zero are pale.

    Raises
    ------
    InputError
        For a model without groups, or an unknown term.
    """
    effect, levels, table = _effects(fit, term)
    middle, low, high = (table[column].to_numpy() for column in centre_and_limits(table))
    order = np.argsort(middle, kind="stable")
    named = len(order) <= MOST_NAMES
    ax = new_axes(ax, tall=max(50.0, 16.0 + _LINE * len(order)) if named else 110.0)
    at = np.arange(len(order))
    apart = ((low > 0) | (high < 0))[order]
    ax.axvline(0.0, color=FRAME, lw=0.6, ls=(0, (4, 3)), zorder=1)
    for rows, colour in ((~apart, MARK), (apart, LINE)):
        ax.hlines(at[rows], low[order][rows], high[order][rows], color=colour, lw=1.0 if named else 0.5, zorder=2)
    size = 9.0 if named else 3.0
    ax.scatter(middle[order], at, s=size, c=np.where(apart, LINE, MARK).tolist(), linewidths=0, zorder=3)
    ax.set_ylim(-0.8, len(order) - 0.2)
    ax.set_yticks(at if named else [], [plain(levels[k]) for k in order] if named else [])
    share = f"{int(apart.sum())} of {counted(len(order), 'level')} away from zero"
    return finish(ax, f"{effect}: {share} (95 %)", f"effect of {effect}", "" if named else "levels, sorted")


def centre_and_limits(table: pd.DataFrame) -> tuple[str, str, str]:
    """Return the columns of a fit's table that hold the middle and the 95 % limits."""
    return ("estimate", "lower", "upper") if "estimate" in table else ("mean", "q0.025", "q0.975")


def _effects(fit: Fit, term: str | None) -> tuple[str, list[str], pd.DataFrame]:
    """Name of an effect, the group's levels, and the rows of `Fit.random` that are theirs."""
    known: dict[str, tuple[LatentTerm, Grouping, int, int]] = {}
    by_group: dict[str, str] = {}
    first = 0
    for part in fit.model.terms:
        if part.grouping is not None:
            for k, effect in enumerate(part.effect_names):
                name = f"{effect} | {part.grouping.name}"
                known[name] = (part, part.grouping, first, k)
                by_group.setdefault(part.grouping.name, name)
        first += part.n
    if not known:
        raise InputError(f"the model has no group effects, (1 | group), to draw{_instead(fit)}")
    name = next(iter(known)) if term is None else by_group.get(term, term)
    if name not in known:
        raise InputError(f"no group effect is called {term!r}: {did_you_mean(name, [*by_group, *known], 'effects')}")
    part, grouping, first, k = known[name]
    rows = slice(first + k, first + part.n, len(part.effect_names))
    return name, [str(label) for label in grouping.labels], fit.random.iloc[rows]


def _instead(fit: Fit) -> str:
    """Say how other random terms are seen."""
    labels: list[Any] = [part.label for part in fit.model.terms]
    return f"; {labels[0]} is seen in predict(...).plot() or effects(...).plot()" if labels else ""
