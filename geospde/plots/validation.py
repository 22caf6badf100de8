"""Calibration of a cross-validation as one picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from geospde.plots.canvas import FRAME, INK, SMALL, TEXT
from geospde.plots.pit import draw_pit, pit_heights
from geospde.prediction.validation import COVERAGE, Validation

if TYPE_CHECKING:
    from matplotlib.axes import Axes


MODEL, OTHER, ALARM = "#1f3a52", "#9db4c8", "#c8452c"


def plot_validation(validation: Validation, figure: Figure | None = None) -> Figure:
    """Draw what was predicted against what was observed, the PIT histogram, and how often intervals hold.

    Parameters
    ----------
    validation : Validation
    figure : matplotlib.figure.Figure, optional
    """
    figure = figure or Figure(figsize=(180 / 25.4, 62 / 25.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    plot_predicted(validation, left)
    plot_pit(validation, middle)
    plot_coverage(validation, right)
    return figure


def plot_predicted(validation: Validation, ax: Axes) -> Axes:
    """Predictive medians and 95 % intervals against the observations; those that miss stand out."""
    frame = validation.pointwise
    missed = ((frame["observed"] < frame["q0.025"]) | (frame["observed"] > frame["q0.975"])).to_numpy()
    for rows, colour in ((~missed, MODEL), (missed, ALARM)):
        part = frame[rows]
        ax.vlines(part["observed"], part["q0.025"], part["q0.975"], color=colour, lw=0.5, alpha=0.5)
        ax.plot(part["observed"], part["q0.5"], "o", ms=2.2, color=colour, mew=0)
    low, high = frame["observed"].min(), frame["observed"].max()
    ax.plot([low, high], [low, high], color=FRAME, lw=0.7, ls="--", zorder=0)
    return _finish(ax, "predicted without it (95 %)", f"observed {validation.label}", "predicted")


def plot_pit(validation: Validation, ax: Axes) -> Axes:
    """Histogram of the probability integral transform: flat where the predictions are calibrated."""
    pit = validation.pointwise["pit"].to_numpy()
    draw_pit(ax, pit_heights(pit, pit), pit.size)
    return _finish(ax, "PIT: flat if calibrated", "probability integral transform", "density")


def plot_coverage(validation: Validation, ax: Axes) -> Axes:
    """Share of observations within intervals, of the model and of simpler ones, against the intervals' level."""
    ax.plot([0, 1], [0, 1], color=FRAME, lw=0.7, ls="--", zorder=0)
    columns = [column for column in COVERAGE if column in validation.scores]
    levels = [COVERAGE[column] for column in columns]
    marks = ["o", "s", "^", "v"]
    for k, (name, row) in enumerate(validation.scores.iterrows()):
        colour = MODEL if name == "model" else OTHER
        ax.plot(levels, row[columns], marks[k % 4] + "-", ms=3.5, lw=0.8, color=colour, label=str(name), zorder=3 - k)
    ax.set_xlim(0, 1.02)
    ax.set_ylim(0, 1.02)
    ax.legend(fontsize=SMALL, frameon=False, loc="upper left", handlelength=1.4)
    return _finish(ax, "coverage of intervals", "level", "share that holds")


def _finish(ax: Axes, words: str, x_label: str, y_label: str) -> Axes:
    ax.set_title(words, fontsize=TEXT, color=INK, loc="left")
    ax.set_xlabel(x_label, fontsize=SMALL, labelpad=2)
    ax.set_ylabel(y_label, fontsize=SMALL, labelpad=2)
    ax.tick_params(labelsize=SMALL, length=2, width=0.5, color=FRAME)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set(color=FRAME, linewidth=0.5)
    return ax
