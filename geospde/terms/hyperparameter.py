"""A hyperparameter in the user's words."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geospde.errors import InputError

Vector = NDArray[np.float64]
AT_END = 1e-2  # of a bounded range, from an end of it that counts as being there where the data say no more


@dataclass(frozen=True)
class Hyperparameter:
    """A hyperparameter in the user's words: ``transform(direction @ theta + shift)``.

    One that is no function of a single direction, such as the third correlation of a group with three slopes, has
    `function`, which takes thetas as the rows of a (k, d) array and gives (k,) values. Values that differ by `period`
    are one: angles of axes.
    """

    name: str
    direction: Vector
    shift: float = 0.0
    prior: str = ""
    transform: Callable[[Any], Any] = np.exp
    function: Callable[[Vector], Vector] | None = None
    is_fixed: bool = False
    period: float | None = None

    def inverse(self, value: float) -> float:
        """The inner value of one on the user's scale; raises InputError where there is none."""
        low, high = -40.0, 40.0
        if not self.transform(low) <= value <= self.transform(high):
            raise InputError(f"{self.name} cannot be {value:g}")
        for _ in range(100):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if self.transform(middle) < value else (low, middle)
        return 0.5 * (low + high)

    def nearest_end(self, theta: Vector) -> float | None:
        """The end of a bounded range of positive numbers that the value is all but at: 0 of a share; None elsewhere."""
        if self.function is not None:
            return None
        low, high = (float(self.transform(t)) for t in (-np.inf, np.inf))
        if low < 0 or not np.isfinite(high):
            return None
        near, value = AT_END * (high - low), self.value(theta)
        return low if value < low + near else high if value > high - near else None

    def placed(self, at: int, total: int) -> "Hyperparameter":
        """The same as a function of all hyperparameters of a model, its own beginning at `at`."""
        own = slice(at, at + self.direction.size)
        direction = np.zeros(total)
        direction[own] = self.direction
        inner = self.function
        return replace(self, direction=direction, function=None if inner is None else lambda t: inner(t[:, own]))

    def holding(self, fixed_theta: Vector) -> "Hyperparameter":
        """The same as a function of the free parameters alone, the others held where `fixed_theta` is a number."""
        free = np.isnan(fixed_theta)
        if free.all():
            return self
        touched = self.direction != 0
        shift = self.shift + float(self.direction[~free] @ fixed_theta[~free])
        inner = self.function

        def whole(thetas: Vector) -> Vector:
            assert inner is not None
            filled = np.tile(fixed_theta, (len(thetas), 1))
            filled[:, free] = thetas
            return inner(filled)

        return replace(
            self,
            direction=self.direction[free],
            shift=shift,
            function=None if inner is None else whole,
            is_fixed=not free[touched].any(),
        )

    def value(self, theta: Vector) -> float:
        """On the user's scale."""
        return float(self.of(np.asarray(theta, dtype=float)[None, :])[0])

    def of(self, thetas: Vector) -> Vector:
        """On the user's scale, of many: thetas as rows, a value each."""
        if self.function is not None:
            return np.asarray(self.function(thetas), dtype=float)
        return np.asarray(self.transform(thetas @ self.direction + self.shift), dtype=float)

    def inner_function(self, logarithm: bool) -> tuple[Callable[[Vector], Vector], Callable[[Any], Any] | None]:
        """The function, or its logarithm where it is positive, and the map from that as `inner_map` gives it.

        Densities are smoothed on the inner scale: on the user's own they would reach below what is possible.
        """
        inner = self.function
        assert inner is not None
        if self.transform is not np.exp:
            return inner, np.log if logarithm else None
        return lambda thetas: np.log(inner(thetas)), None if logarithm else np.exp

    def inner_map(self, logarithm: bool) -> Callable[[Any], Any] | None:
        """Map from the inner scale to the user's or to its logarithm; None for the identity."""
        if not logarithm:
            return self.transform
        return None if self.transform is np.exp else lambda t: np.log(self.transform(t))
