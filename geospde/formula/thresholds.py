"""Effects with a threshold, ``breakpt(x)`` and ``logistic(x)``: curves that bend in their coefficients.

Their parameters are sdmTMB's. A model takes a curve by its tangent at the estimate; see `geospde.model.nonlinear`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from geospde.errors import InputError

Vector = NDArray[np.float64]
LOG_19 = float(np.log(19.0))  # log odds of 0.95
TRIED = 19  # places of a threshold to begin from: quantiles of the column
FEWEST = 4  # different values that tell a bend
ROUNDED = 1e-3  # of the distance between values of the data: a corner's width, where it must have one


@dataclass(frozen=True)
class Curve(ABC):
    """A curve along a column, with its tangent at some coefficients for columns of a design.

    Attributes
    ----------
    at : tuple of float
        The coefficients, as `labels` names them.
    width : float
        Of the corner's rounding, where it has one: an estimate at a value of the data is at a corner of the likelihood.
    """

    at: tuple[float, ...]
    width: float = 0.0

    labels: ClassVar[tuple[str, ...]]
    corners: ClassVar[tuple[int, ...]] = ()  # coefficients that say where it has a corner

    @classmethod
    def learn(cls, x: Vector) -> Self:
        """The curve to begin with, for the values of a column; raises InputError where they are too few."""
        if len(np.unique(x)) < FEWEST:
            raise InputError(f"a threshold needs at least {FEWEST} different values")
        return next(cls.beginnings(x))

    @classmethod
    @abstractmethod
    def beginnings(cls, x: Vector) -> Iterator[Self]:
        """Curves of height 1 with thresholds here and there, one of which a search begins from."""

    @abstractmethod
    def of_height(self, height: float) -> Self:
        """The same curve, as many times as high."""

    @abstractmethod
    def value(self, x: Vector) -> Vector:
        """The curve at x, (m,)."""

    @abstractmethod
    def __call__(self, x: Vector) -> Vector:
        """Its slopes in the coefficients at x, (m, k)."""

    def bent(self, coefficients: Vector) -> Self:
        """The curve with other coefficients."""
        return replace(self, at=tuple(float(c) for c in coefficients))

    @abstractmethod
    def bends_within(self, x: Vector) -> bool:
        """Whether it bends between values of the data: elsewhere its coefficients are not told."""

    def rounded(self, x: Vector) -> Self:  # noqa: ARG002
        """With a corner that is rounded over a small part of the distance between values; itself where it has none."""
        return self

    def remainder(self, x: Vector) -> Vector:
        """What the tangent has besides slopes times coefficients, (m,)."""
        return np.asarray(self.value(x) - self(x) @ np.array(self.at))


@dataclass(frozen=True)
class Breakpoint(Curve):
    """A straight line up to the breakpoint and a constant beyond: ``slope min(x, breakpt)``.

    A rounded corner is a parabola over `width` to each side.
    """

    labels = ("slope", "breakpt")
    corners = (1,)

    @classmethod
    def beginnings(cls, x: Vector) -> Iterator[Self]:
        """Lines of slope 1."""
        for place in np.quantile(x, np.linspace(0.02, 0.98, 5 * TRIED)):
            yield cls((1.0, float(place)))

    def of_height(self, height: float) -> Self:
        """With another slope."""
        return self.bent(np.array([height * self.at[0], self.at[1]]))

    def value(self, x: Vector) -> Vector:
        """The line at x."""
        return self.at[0] * self._unit(x)

    def _unit(self, x: Vector) -> Vector:
        """The line of slope 1."""
        x = _finite(x)
        lower = np.asarray(np.minimum(x, self.at[1]))
        if not self.width:
            return lower
        into = np.maximum(self.width - np.abs(x - self.at[1]), 0.0)
        return lower - into**2 / (4 * self.width)

    def __call__(self, x: Vector) -> Vector:
        """Its slopes in both."""
        x = _finite(x)
        beyond = x - self.at[1]
        share = np.clip((beyond / self.width + 1) / 2, 0.0, 1.0) if self.width else np.where(beyond > 0, 1.0, 0.0)
        return np.column_stack([self._unit(x), self.at[0] * share])

    def bends_within(self, x: Vector) -> bool:
        """Whether the breakpoint lies between them."""
        return bool(x.min() < self.at[1] < x.max())

    def rounded(self, x: Vector) -> Self:
        """Over a small part of the distance between the values beside the breakpoint."""
        values = np.unique(x)
        above = int(np.searchsorted(values, self.at[1]))
        near = values[max(above - 3, 0) : above + 3]
        return replace(self, width=ROUNDED * float(np.diff(near).mean()))


@dataclass(frozen=True)
class Logistic(Curve):
    """A logistic curve from 0 to `smax`, with half of it at `s50` and 0.95 of it at `s95`.

    With an intercept one that falls, s95 < s50, is one that rises to a maximum of the other sign: that is taken.
    """

    labels = ("s50", "s95", "smax")

    @classmethod
    def beginnings(cls, x: Vector) -> Iterator[Self]:
        """Curves that rise over a tenth of the column's values to all of them."""
        low, high = np.quantile(x, [0.02, 0.98])
        for place in np.quantile(x, np.linspace(0.05, 0.95, TRIED)):
            for width in (high - low) * np.array([0.1, 0.25, 0.5, 1.0]):
                yield cls((float(place), float(place + width), 1.0))

    def of_height(self, height: float) -> Self:
        """With another maximum."""
        return self.bent(np.array([*self.at[:2], height * self.at[2]]))

    def bends_within(self, x: Vector) -> bool:
        """Whether half of the maximum is reached between them, and not at a jump between two."""
        share = self._share(x)[0]
        return bool(x.min() < self.at[0] < x.max() and ((share > 1e-3) & (share < 1 - 1e-3)).any())

    def _share(self, x: Vector) -> tuple[Vector, Vector]:
        """The share of the maximum, and its derivative in the exponent."""
        x = _finite(x)
        s50, s95, _ = self.at
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            share = 1.0 / (1.0 + np.exp(-LOG_19 * (x - s50) / (s95 - s50)))
        return share, share * (1.0 - share)

    def value(self, x: Vector) -> Vector:
        """The curve at x."""
        return self.at[2] * self._share(x)[0]

    def __call__(self, x: Vector) -> Vector:
        """Its slopes in the three."""
        x = _finite(x)
        s50, s95, highest = self.at
        share, steep = self._share(x)
        scale = highest * steep * LOG_19 / (s95 - s50) ** 2
        return np.column_stack([scale * (x - s95), scale * (s50 - x), share])


def _finite(x: Vector) -> Vector:
    """Values with NaN for those that are infinite: a curve has no value there, as no other effect has."""
    return np.where(np.isfinite(x), x, np.nan)
