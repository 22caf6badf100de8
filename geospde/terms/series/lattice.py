"""Places one step apart along a number: years, months, hours."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geospde.errors import InputError

Vector = NDArray[np.float64]
NEAR = 1e-6  # of a step that counts as none
LARGEST = 100_000  # steps
DIGITS = 1e-12  # of a value: in shorter steps, rounding of the values leaves none of the four digits of a step


@dataclass(frozen=True)
class Lattice:
    """Places ``first + step * i`` for i from 0 to size - 1.

    Attributes
    ----------
    first, step : float
    size : int
    """

    first: float
    step: float
    size: int

    @classmethod
    def of(cls, values: Vector, what: str) -> "Lattice":
        """The coarsest one that has all these increasing values, those between that are missing included.

        Raises
        ------
        InputError
            Where the distances of the values have no common step.

        Examples
        --------
        >>> Lattice.of(np.array([2011.0, 2013.0, 2014.0]), "ar1(year)")
        Lattice(first=2011.0, step=1.0, size=4)
        """
        gaps = np.diff(values)
        whole, tolerance = float(values[-1] - values[0]), NEAR * float(gaps.min())
        step = float(gaps[0])
        for gap in gaps[1:]:
            a, b = max(step, float(gap)), min(step, float(gap))
            while b > tolerance:
                rest = a % b
                a, b = b, min(rest, b - rest)
            step = a
        size = round(whole / step) + 1
        places = np.round((values - values[0]) / step)
        if step < DIGITS * np.abs(values).max():
            raise InputError(f"{what} goes by steps, and its values differ in their last digits: take an origin nearer")
        if size > LARGEST or np.abs(values - values[0] - step * places).max() > NEAR * max(step, whole):
            raise InputError(
                f"{what} goes by steps, and its values have none in common",
                remedy="round them to steps, or take rw1, rw2 or gp, which know distances",
            )
        return cls(float(values[0]), whole / (size - 1), size)

    @property
    def places(self) -> Vector:
        """All of them, (size,)."""
        return self.first + self.step * np.arange(self.size, dtype=float)

    def steps(self, values: Vector, what: str, rows: NDArray[np.generic] | None = None) -> NDArray[np.intp]:
        """How many steps from the first each value is, (m,), negative before it.

        Raises
        ------
        InputError
            For a value between two steps.
        """
        exact = (values - self.first) / self.step
        out = np.round(exact)
        off = np.flatnonzero(np.abs(exact - out) > 1e-4)
        if off.size:
            row = off[0] if rows is None else rows[off[0]]
            raise InputError(
                f"{what} goes by steps of {self.step:g} from {self.first:g}, and {{row}} is at {values[off[0]]:g}",
                remedy="give a value that is a step",
                row=row,
            )
        if (np.abs(out) > 10 * LARGEST).any():
            raise InputError(f"{what} is asked for {np.abs(out).max():g} steps away from its first")
        return out.astype(np.intp)
