"""Excursion sets: where a map lies above a threshold everywhere at once, with a stated probability.

A map of exceedance probabilities speaks of one cell at a time: where each is above 8 with probability 0.95, that all of
them are is far less likely. The excursion set is the largest of a family of sets on all of which the field exceeds the
threshold at once with the probability asked for; the family adds cells in the order of their own probabilities, and
the excursion function has for each cell the probability of the smallest set of the family that holds it (Bolin &
Lindgren 2015, J. R. Statist. Soc. B 77, 85-106).

They integrate over cells one after the other along a factor (Genz & Bretz 2009). Here the cells are the rows of a
projector of far fewer vertices, and the posterior is a mixture over the hyperparameters: draws from the joint posterior
are followed along the family until each meets a cell where it fails. That is unbiased for any number of cells, at a
Monte Carlo error of at most half over the root of the number of draws, and most draws end within few cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from operator import methodcaller
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.inference.laplace import LaplacePoint
from geospde.inference.sampling import joint_draws
from geospde.linalg.threads import side_by_side
from geospde.prediction.layer import Layer, decided_layer, excursion_layer, limit_layer
from geospde.prediction.layers import Layers
from geospde.prediction.thresholds import ClassThresholds
from geospde.results.base import Fit
from geospde.results.state import level_between
from geospde.text.arguments import refuse_draws, refuse_seed
from geospde.text.keywords import answers_keywords
from geospde.text.progress import Callback
from geospde.text.words import in_brief

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

Vector = NDArray[np.float64]
KINDS = (">", "<", "!=", "=")
SIDES = {"above": 1, "undecided": 0, "below": -1}
PART = 2_048  # cells at a time
FEWEST = 100  # draws


@answers_keywords
@dataclass(frozen=True, eq=False, repr=False)
class Excursions:
    """Where a prediction lies above, below or about a threshold, all places at once; made by `Prediction.excursions`.

    Attributes
    ----------
    set : (m,) array of bool
        The places of the set: with probability `level` all of them lie above the threshold (``">"``), or below
        (``"<"``), or each on its side (``"!="``, the set that avoids the contour); of ``"="`` the complement of that:
        all places at the threshold lie in it with that probability.
    function : (m,) array
        The excursion function: the largest level at which a place still belongs to the set.
    decided : (m,) array of int
        1 above the threshold, -1 below, 0 where the data do not decide, at `level` for all decided places at once.
    threshold : float or ClassThresholds
    level : float
    kind : {">", "<", "!=", "="}
    draws : int
        That it was computed from: the Monte Carlo error of the function F is ``sqrt(F (1 - F) / draws)``.
    surface : Layers
        Function and decided classes as layers of a map.
    """

    function: Vector
    threshold: float | ClassThresholds
    level: float
    kind: str
    draws: int
    surface: Layers
    _side: NDArray[np.int8]

    @cached_property
    def set(self) -> NDArray[np.bool_]:
        """The places of the set."""
        return self.function >= self.level if self.kind != "=" else self.function > 1.0 - self.level

    @cached_property
    def decided(self) -> NDArray[np.int8]:
        """Above, below or undecided."""
        surely = self.set if self.kind != "=" else ~self.set
        return np.where(surely, self._side, 0).astype(np.int8)

    @property
    def area(self) -> float:
        """Area of the set, of the cells of a grid in squares of its unit.

        Raises
        ------
        InputError
            Where the places are not the cells of a grid.
        """
        grid = self.surface.grid
        if grid is None:
            raise InputError("places that are not the cells of a grid have no area")
        return float(self.set.sum() * grid.dx * grid.dy)

    def to_frame(self) -> pd.DataFrame:
        """Return the shares of the places, and of a grid the areas, that are above, undecided and below.

        Returns
        -------
        DataFrame
            One row, or one a class of places: ``threshold``, ``places``, ``above``, ``undecided``, ``below``, and of a
            grid ``area``, ``area_above``, ``area_undecided``, ``area_below`` in squares of its unit.
        """
        by = self.threshold
        classes = by.classes if isinstance(by, ClassThresholds) else np.full(self.set.size, "all", dtype=object)
        limits = by.limits if isinstance(by, ClassThresholds) else {"all": by}
        cell = None if self.surface.grid is None else self.surface.grid.dx * self.surface.grid.dy
        rows: dict[str, dict[str, float]] = {}
        for label, limit in limits.items():
            decided = self.decided[classes == label]
            shares = {word: float((decided == side).mean()) for word, side in SIDES.items()}
            rows[label] = {"threshold": limit, "places": decided.size, **shares}
            if cell is not None:
                whole = decided.size * cell
                rows[label] |= {"area": whole, **{f"area_{word}": share * whole for word, share in shares.items()}}
        return pd.DataFrame.from_dict(rows, orient="index")

    def to_raster(self, path: str | Path, *, crop: Any = None, cog: bool = False) -> None:
        """Write a GeoTIFF: the excursion function, and the classes; see `Prediction.to_raster`."""
        self.surface.to_raster(path, crop=crop, cog=cog)

    def plot(self, ax: Axes | None = None, *, function: bool = False, **options: Any) -> Axes:
        """Draw the classes above, below and undecided, or the excursion function.

        Parameters
        ----------
        ax : matplotlib Axes, optional
        function : bool
            Draw the function in place of the classes.
        **options
            As of `Prediction.plot`.
        """
        drawn: Axes = self.surface.plot(self.surface.layers[0 if function else 1].name, ax, **options)
        return drawn

    def __repr__(self) -> str:
        return f"<Excursions: {self.describe()}>"

    def describe(self) -> str:
        """Say what it is and how large."""
        what = {">": "above", "<": "below", "!=": "on one side of", "=": "where it may be at"}[self.kind]
        return (
            f"{self.set.sum():,} of {self.set.size:,} places {what} {self.threshold:g} at once, "
            f"with probability {self.level:g}"
        )


def excursions(
    surface: Layers,
    fit: Fit,
    exceedance: Callable[[Any], Vector],
    rows_at: Callable[[Any, Fit], tuple[Any, Vector]],
    asked: Sequence[tuple[float | ClassThresholds, str]],
    level: float = 0.95,
    *,
    draws: int = 4000,
    seed: int = 1,
    callback: Callback | None = None,
) -> list[Excursions]:
    """Find where a prediction lies above thresholds, all places at once; see `Prediction.excursions`.

    Parameters
    ----------
    surface : Layers
        The prediction.
    fit : Fit
        Behind it.
    exceedance : callable
        From a threshold to the probability that each place lies above it.
    rows_at : callable
        From a threshold and the fit to the rows of the design and where each row times x meets it.
    asked : sequence of (threshold, kind)
        What is found from the same draws.
    level, draws, seed, callback
        As of `Prediction.excursions`.
    """
    for threshold, kind in asked:
        check_excursion(threshold, kind, draws, seed)
    level = level_between(level)
    events = []
    for threshold, kind in asked:
        by = threshold if isinstance(threshold, ClassThresholds) else None
        limit: Any = float(threshold) if by is None else by.at  # type: ignore[arg-type]
        above = exceedance(limit if by is None else by)
        if kind in (">", "<"):
            side = np.full(above.size, 1 if kind == ">" else -1, np.int8)
            own = above if kind == ">" else 1.0 - above
        else:
            side = np.where(above >= 0.5, 1, -1).astype(np.int8)
            own = np.maximum(above, 1.0 - above)
        if by is not None:  # a place without a limit is in no set: it comes last, and alone has no probability
            own[np.isnan(limit)] = 0.0
            limit = np.nan_to_num(limit)
        events.append(_Event(own, side, np.argsort(-own, kind="stable"), *rows_at(limit, fit)))
    if not events:
        return []
    failed = [np.zeros(event.own.size + 1) for event in events]
    done = 0
    for firsts in _first_failures(fit, events, int(draws), int(seed)):
        for count, first in zip(failed, firsts):
            count += np.bincount(first, minlength=count.size)
        done += firsts[0].size
        if callback is not None:
            callback(done, draws, "excursions")
    return [
        _found(
            surface,
            event,
            1.0 - np.cumsum(count[:-1]) / draws,
            threshold if isinstance(threshold, ClassThresholds) else float(threshold),
            level,
            kind,
            int(draws),
        )
        for event, count, (threshold, kind) in zip(events, failed, asked)
    ]


class _Event(NamedTuple):
    """Places on their sides of a threshold."""

    own: Vector
    """Probability of each place by itself."""
    side: NDArray[np.int8]
    order: NDArray[np.intp]
    """The likeliest first."""
    rows: Any
    limits: Vector


def _found(
    surface: Layers,
    event: _Event,
    joint: Vector,
    threshold: float | ClassThresholds,
    level: float,
    kind: str,
    draws: int,
) -> Excursions:
    """Return the excursions of an event, from the probability that its first so many places hold at once."""
    function = np.empty(joint.size)
    # all of a set at once is no likelier than its last cell alone
    function[event.order] = np.minimum(np.maximum(joint, 0.0), event.own[event.order])
    if kind == "=":
        function = 1.0 - function
    surely = function >= level if kind != "=" else function <= 1.0 - level
    frame = surface.frame[[c for c in ("x", "y") if c in surface.frame]].copy()
    values = [function, np.where(surely, event.side, 0).astype(float)]
    if isinstance(threshold, ClassThresholds):
        name, free = threshold.name, np.isnan(threshold.at)
        layers: tuple[Layer, ...] = (
            excursion_layer(name, kind),
            decided_layer(name, level, threshold.limits),
            limit_layer(name),
        )  # fmt: skip
        values = [*(np.where(free, np.nan, part) for part in values), threshold.at]
    else:
        layers = (excursion_layer(threshold, kind), decided_layer(threshold, level))
    frame = frame.assign(**{layer.name: part for layer, part in zip(layers, values)})
    shown = Layers(
        surface.label, frame, layers, surface.grid, surface.points, surface.crs, surface.model, surface.contents
    )
    return Excursions(function, threshold, level, kind, draws, shown, event.side)


def check_excursion(threshold: Any, kind: Any, draws: Any, seed: Any) -> None:
    """Raise InputError for options that are none."""
    if isinstance(threshold, Mapping):
        raise InputError("thresholds by class need the classes of the places: classes= a raster, a column, an array")
    if isinstance(threshold, ClassThresholds):
        threshold = 0.0  # its own were looked at
    is_number = isinstance(threshold, int | float | np.number) and not isinstance(threshold, bool | np.bool_)
    if not is_number or not isfinite(threshold):
        raise InputError(f"a threshold must be a finite number, not {in_brief(threshold)}")
    if kind not in KINDS:
        raise InputError(f"an excursion is of kind {', '.join(map(repr, KINDS))}, not {kind!r}")
    refuse_draws(draws, FEWEST, "excursions need")
    refuse_seed(seed)


def _first_failures(fit: Fit, events: Sequence[_Event], draws: int, seed: int) -> Iterator[list[NDArray[np.intp]]]:
    """Of each draw the first place, in an event's order, where it lies on the wrong side; their number where none."""
    asked = [_Asked(event, np.random.default_rng([seed, 1])) for event in events]
    for point, x in joint_draws(fit.laplace, fit.approximation, draws, seed):
        first = methodcaller("first_failures", point, x)
        yield list(side_by_side(first, asked, x.shape[0]))


class _Asked:
    """The rows of an event in its order, and the noise of what no vertex knows, each event's the same."""

    def __init__(self, event: _Event, noise: np.random.Generator) -> None:
        self.rows, self.order, self.noise = event.rows, event.order, noise
        self.moving, self.root = hasattr(event.rows, "at"), np.zeros((0, 0))
        self.placed: Any = None if self.moving else event.rows[event.order]
        self.limits, self.side = event.limits[event.order], event.side[event.order]
        self.at: LaplacePoint | None = None

    def first_failures(self, point: LaplacePoint, x: Vector) -> NDArray[np.intp]:
        """Of each draw of the latent vector at a point the first place that fails."""
        unsaid = None
        if self.moving:
            if self.at is not point:
                self.placed = self.rows.at(point.theta)[0][self.order]
                self.root, self.at = self.rows.root(point.theta)[self.order], point
            unsaid = self.noise.standard_normal((self.root.shape[1], x.shape[1]))
        first = np.full(x.shape[1], self.order.size)
        alive = np.arange(x.shape[1])
        for a in range(0, self.order.size, PART):
            part = slice(a, a + PART)
            eta = self.placed[part] @ x[:, alive]
            if unsaid is not None:
                eta = eta + self.root[part] @ unsaid[:, alive]
            wrong = (eta - self.limits[part, None]) * self.side[part, None] <= 0
            fails = wrong.any(axis=0)
            first[alive[fails]] = a + wrong[:, fails].argmax(axis=0)
            alive = alive[~fails]
            if not alive.size:
                break
        return first
