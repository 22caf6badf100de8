"""What a map says, in sentences with numbers."""

from collections.abc import Iterator, Sequence
from math import isnan
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from geospde.prediction.layer import Layer, interval_percent, outer_limits
from geospde.prediction.layers import Layers
from geospde.results.base import Fit
from geospde.survey.crs import parse_crs, unit_of
from geospde.survey.places import place_in_words
from geospde.survey.survey import Survey
from geospde.text.rates import Rate, with_article
from geospde.text.words import area, counted, joined, lengths, listed, number

MANY_TIMES = 2.0
"""A ratio from which it is told by a number and no more in percent."""

SURE = 0.95
"""Probability from which a place is called above or below a threshold."""


def findings(
    prediction: Layers, *, survey: Survey | None = None, fit: Fit | None = None, label: str | None = None
) -> list[str]:
    """Say what a prediction shows, for the head of a report.

    Parameters
    ----------
    prediction : Prediction
        Its columns are summarised over the cells whose centre is on land, or over all without a coastline.
    survey : Survey, optional
        Gives the land.
    fit : Fit, optional
        Gives the range of correlation.
    label : str, optional
        What is predicted, in words; by default the prediction's own label.

    Returns
    -------
    list of str
        One sentence each.
    """
    if prediction.steps:
        along, last = prediction.layers[0].along, prediction.steps[-1]
        said = findings(prediction.at_step(last), survey=survey, fit=fit, label=label)
        when = str(last) if along is not None and str(along).casefold() == "year" else f"{along} {last}"
        return [f"In {when}, the last of {len(prediction.steps)} that are mapped:", *said]
    coastline = getattr(survey, "coastline", None)
    land, place = on_land(prediction, coastline, getattr(survey, "outline", None))
    frame, layers = prediction.frame[land], prediction.layers
    unit = unit_of(None if prediction.crs is None else parse_crs(prediction.crs))
    rate = prediction.rate(label)
    said = [*_level(frame, layers, rate, place)]
    if {"x", "y"} <= set(frame.columns):
        top = frame.loc[frame["mean"].idxmax()]
        where = place_in_words(prediction.crs, frame[["x", "y"]].to_numpy(), (top["x"], top["y"]), _degrees(survey))
        said += _limits_at_the_top(top, layers, rate, where)
    whole = None
    if prediction.grid is not None and unit not in ("", "degree"):
        whole = coastline.area if coastline is not None else len(frame) * prediction.grid.dx * prediction.grid.dy
    said += _exceedance(frame, layers, rate, place, whole, unit)
    said += _decided(frame, layers, rate, place, whole, unit)
    said += _certainty(frame, layers, place)
    if fit is not None:
        said += _ranges(fit.hyper, unit)
    return said


def area_findings(regions: Sequence[Any]) -> list[str]:
    """Say what figures for areas show, of those that have no map of cells above them.

    Parameters
    ----------
    regions : sequence
        Objects with ``label``, ``per``, ``layers`` and ``frame``, with columns ``area`` and ``mean``.
    """
    said = []
    for one in regions:
        frame = one.frame.dropna(subset=["mean"])
        if not len(frame):
            continue
        low, high = frame.loc[frame["mean"].idxmin()], frame.loc[frame["mean"].idxmax()]
        words = f"Of {counted(len(frame), 'area')}, {high['area']} has the highest {one.label}, "
        words += f"{number(_round(one.per * high['mean']))}{_limits(high, one)}, and {low['area']} the lowest, "
        said.append(f"{words}{number(_round(one.per * low['mean']))}{_limits(low, one)}.")
        for layer in one.layers:
            if layer.kind == "probability" and layer.level is not None:
                above, below = ((frame[layer.name] >= SURE), (frame[layer.name] <= 1 - SURE))
                names = f" ({listed(frame.loc[above, 'area'], most=5)})" if above.any() else ""
                label, threshold = with_article(one.label), number(one.per * layer.level)
                said.append(
                    f"The probability that {label} is above {threshold} is {SURE:g} or more in "
                    f"{_areas(above)}{names}, and {1 - SURE:.2g} or less in {_areas(below)}; "
                    f"{_areas(~above & ~below)} {'is' if (~above & ~below).sum() == 1 else 'are'} undecided."
                )
    return said


def _areas(which: Any) -> str:
    """How many areas, in words."""
    return counted(int(which.sum()), "area") if which.any() else "no area"


def _limits(row: Any, figures: Any) -> str:
    """The limits of a row, in brackets."""
    limits = outer_limits(figures.layers)
    if limits is None:
        return ""
    lower, upper = (number(_round(figures.per * row[layer.name])) for layer in limits)
    return f" ({interval_percent(limits)} limits {lower} and {upper})"


def on_land(prediction: Layers, coastline: Any, outline: str | None = None) -> tuple[NDArray[np.bool_], str]:
    """Tell which rows of a prediction count, and how a sentence calls them together.

    Parameters
    ----------
    prediction : Prediction
    coastline : polygons, optional
    outline : str, optional
        What the survey calls that.

    Returns
    -------
    (rows,) array of bool
        Those on land; all without a coastline, or where none is.
    str
        ``"land"``, ``"area"`` within a boundary, ``"grid"`` or ``"rows"``.
    """
    everywhere = np.ones(len(prediction.frame), dtype=bool)
    if coastline is not None and prediction.points is not None:
        shapely.prepare(coastline)
        land = shapely.intersects_xy(coastline, prediction.points)
        if land.any():
            return land, "area" if outline == "boundary" else "land"
    return everywhere, "grid" if prediction.grid is not None else "rows"


def _degrees(survey: Survey | None) -> bool:
    """Tell whether a survey's places were given as longitude and latitude."""
    source = getattr(survey, "source_crs", None)
    return source is not None and bool(parse_crs(source).is_geographic)


def _level(frame: pd.DataFrame, layers: Sequence[Layer], rate: Rate, place: str) -> Iterator[str]:
    called, _, _ = next(layer for layer in layers if layer.name == "mean").description("").partition(" of ")
    mean = rate.per * frame["mean"]
    low, high = np.quantile(mean, [0.05, 0.95])
    yield (
        f"Over the {place}, {with_article(rate.label)} averages {number(_round(mean.mean()))} ({called}); "
        f"nine tenths of the {place} lie between {number(_round(low))} and {number(_round(high))}, "
        f"the extremes are {number(_round(mean.min()))} and {number(_round(mean.max()))}."
    )


def _limits_at_the_top(top: pd.Series, layers: Sequence[Layer], rate: Rate, where: str) -> Iterator[str]:
    limits = outer_limits(layers)
    if limits is None:
        return
    lower, upper = (number(_round(rate.per * top[layer.name])) for layer in limits)
    yield f"It is highest near {where}, where the {interval_percent(limits)} limits are {lower} and {upper}."


def _exceedance(
    frame: pd.DataFrame, layers: Sequence[Layer], rate: Rate, place: str, whole: float | None, unit: str
) -> Iterator[str]:
    for layer in layers:
        if layer.kind == "probability" and layer.level is not None:
            threshold, probability = number(rate.per * layer.level), frame[layer.name].to_numpy()
            above, below = np.mean(probability >= SURE), np.mean(probability <= 1 - SURE)
            much = f" ({area(above * whole, unit)})" if whole is not None else ""
            sure = f"on {_share(above)} of the {place}{much}" if above else "nowhere"
            yield (
                f"The probability that {with_article(rate.label)} is above {threshold} is {SURE:g} or more {sure}, "
                f"and {1 - SURE:.2g} or less {f'on {_share(below)}' if below else 'nowhere'}; "
                f"on the remaining {_share(1 - above - below)} the data do not decide."
            )


def _decided(
    frame: pd.DataFrame, layers: Sequence[Layer], rate: Rate, place: str, whole: float | None, unit: str
) -> Iterator[str]:
    for layer in layers:
        if layer.kind == "decided" and layer.level is None:
            yield from _decided_by_limits(frame, layer, layers, rate, place, whole, unit)
        if layer.kind == "decided" and layer.level is not None:
            classes = frame[layer.name].to_numpy()
            shares = [float(np.mean(classes == side)) for side in (1, -1, 0)]
            above, below, open_ = (
                _share(share) + (f" ({area(share * whole, unit)})" if whole is not None else "") if share else "nothing"
                for share in shares
            )
            threshold = number(rate.per * layer.level)
            yield (
                f"Decided for the whole {place} at once, {above} lies above {threshold} and {below} below; "
                f"{open_} is undecided."
            )


def _decided_by_limits(
    frame: pd.DataFrame, layer: Layer, layers: Sequence[Layer], rate: Rate, place: str, whole: float | None, unit: str
) -> Iterator[str]:
    """Say what is decided where each class of places has a limit of its own, limit by limit."""
    of = next(other for other in layers if other.kind == "limit")
    limits = frame[of.name].to_numpy()
    classes = frame[layer.name].to_numpy()
    parts: list[str] = []
    for limit in np.unique(limits[np.isfinite(limits)]):
        decided = classes[limits == limit]
        above, below, open_ = (
            _share(share) if (share := float(np.mean(decided == side))) else "nothing" for side in (1, -1, 0)
        )
        much = f" ({area(float(np.mean(limits == limit)) * whole, unit)})" if whole is not None else ""
        parts.append(
            f"where {'it' if parts else 'the limit'} is {number(rate.per * limit)}{much}, {above} lies above, "
            f"{below} below, and {open_} is undecided"
        )
    yield f"Decided for the whole {place} at once with {of.short[:1].lower()}{of.short[1:]}: {'; '.join(parts)}."


def _certainty(frame: pd.DataFrame, layers: Sequence[Layer], place: str) -> Iterator[str]:
    spread = next((layer for layer in layers if layer.name == "sd"), None)
    if spread is None or not (frame["mean"] > 0).all():
        return
    low, middle, high = np.quantile(frame["sd"] / frame["mean"], [0.05, 0.5, 0.95])
    yield (
        f"The {spread.title.lower()} is {_multiple(middle)} the mean at the median of the {place}: at most "
        f"{_multiple(low).removesuffix(' of')} on its surest twentieth, at least {_multiple(high).removesuffix(' of')} "
        "on its least sure."
    )


def _ranges(hyper: Any, unit: str) -> Iterator[str]:
    names = [str(name) for name in hyper.index if str(name).rpartition(": ")[2].startswith("range(")]
    sentences: list[str] = []
    for name in names:
        row, known = hyper.loc[name], {"q0.025", "q0.975"} <= set(hyper.columns)
        mean = row["mean"] if "mean" in hyper.columns else row.iloc[0]
        # a mean whose sd would be made up by values far out says little, too
        mean = row["q0.5"] if known and (isnan(mean) or isnan(row.get("sd", 0.0))) else mean
        ends = [row["q0.025"], row["q0.975"]] if known else []
        limits = f" (95 % limits {lengths(ends, unit, [mean])})" if known else ""
        part, _, own = name.rpartition(": ")
        whose = f" for {part or own.removeprefix('range(').removesuffix(')')}" if len(names) > 1 else ""
        sentences.append(f"{lengths([mean], unit, ends)}{'' if sentences else ' apart'}{whose}{limits}")
    if sentences:
        yield (
            f"Two places are hardly correlated (about 0.1) when {joined(sentences)}: "
            f"further than that from any site, the map falls back on the overall level."
        )


def _round(value: float) -> float:
    """Three significant digits, for sentences."""
    return float(f"{value:.3g}")


def _multiple(value: float) -> str:
    """Return a ratio as a part of something, or how many times it.

    Examples
    --------
    >>> _multiple(0.123), _multiple(11.28), _multiple(100.08)
    ('12 % of', '11 times', '100 times')
    """
    return (
        f"{_share(value)} of" if value < MANY_TIMES else f"{value:,.2g} times" if value < 100 else f"{value:,.0f} times"
    )


def _share(value: float) -> str:
    """Return a share in percent.

    Examples
    --------
    >>> _share(0.1234), _share(0.004), _share(0.998), _share(0.0), _share(1e-5), _share(0.99999)
    ('12 %', '0.4 %', '99.8 %', '0 %', 'less than 0.1 %', 'more than 99.9 %')
    """
    percent = 100 * value
    if 0 < percent < 0.1:
        return "less than 0.1 %"
    if 99.9 < percent < 100:
        return "more than 99.9 %"
    return f"{percent:.1f} %" if 0 < percent < 1 or 99 < percent < 100 else f"{percent:.0f} %"
