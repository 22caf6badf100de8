"""What a covariate is that a survey does not hold: values at points, and in the cells of a map."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geospde.errors import InputError

Vector = NDArray[np.float64]

MISSING = ("refuse", "drop", "nearest")
"""What to do where a covariate has no value: an error; sites and cells left out; the nearest value there is."""


class Cells(NamedTuple):
    """Cells of a regular grid, numbered row by row from the south, and from the west within a row.

    Attributes
    ----------
    x0, y0 : float
        South-west corner of the south-west cell.
    dx, dy : float
        Width and height of a cell.
    mask : (rows, cols) array of bool
        The cells that are meant; row 0 is the southernmost.
    """

    x0: float
    y0: float
    dx: float
    dy: float
    mask: NDArray[np.bool_]

    @property
    def centres(self) -> Vector:
        """Centres of the cells, (n, 2)."""
        row, col = np.nonzero(self.mask)
        return np.column_stack([self.x0 + self.dx * (col + 0.5), self.y0 + self.dy * (row + 0.5)])

    def strip(self, low: int, high: int) -> Cells:
        """Return the rows from `low` up to, but without, `high`."""
        return Cells(self.x0, self.y0 + low * self.dy, self.dx, self.dy, self.mask[low:high])


@dataclass(frozen=True)
class Covariate(ABC):
    """One covariate: where it comes from, and what to do where it has no value.

    Attributes
    ----------
    name : str
        What formulas call it.
    missing : str
        One of `MISSING`.
    standardise : bool
        Take it less its mean at the sites, over its standard deviation there.
    labels : dict of float to str
        Of a covariate of classes: what each number stands for. Empty for one of numbers.
    spec : dict or None
        The words it was read from, plain types, so that a saved fit can read it again; None where it is an object.
    """

    name: str
    missing: str = field(default="refuse", kw_only=True)
    standardise: bool = field(default=False, kw_only=True)
    labels: Mapping[float, str] = field(default_factory=dict, kw_only=True)
    spec: Any = field(default=None, kw_only=True)

    @abstractmethod
    def at_points(self, points: Vector, crs: Any) -> Vector:
        """Values at points, (m,), NaN where there is none.

        Parameters
        ----------
        points : (m, 2) array
            In the units of `crs`.
        crs : pyproj.CRS or None

        Raises
        ------
        InputError
            Where no point can have a value: another part of the world, no CRS.
        """

    def in_cells(self, cells: Cells, crs: Any) -> Vector:
        """Values of cells, (n,), NaN where there is none; by default those at their centres."""
        return self.at_points(cells.centres, crs)

    def nearest(self, points: Vector, crs: Any) -> tuple[Vector, Vector]:
        """Nearest values there are, (m,), and how far off they are in the units of `crs`, (m,)."""
        raise InputError(f"covariate {self.name!r} has no nearest value to take: leave missing out")

    def method(self, cells: Cells | None, crs: Any) -> str:
        """How its values are taken, at points or in cells, for a reader."""
        return "at the centres" if cells is not None else "at the sites"

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that it is read from."""
        return ()

    @property
    @abstractmethod
    def source(self) -> str:
        """What messages call that which it is read from."""

    def labelled(self, values: Vector) -> NDArray[Any]:
        """Texts of the classes that numbers stand for, (m,), None where there is no value.

        Raises
        ------
        InputError
            For a number without a label.
        """
        known = {float(number): text for number, text in self.labels.items()}
        finite = np.isfinite(values)
        unknown = sorted(set(np.unique(values[finite])) - set(known))
        if unknown:
            raise InputError(
                f"covariate {self.name!r} holds {unknown[0]:g} in {self.source}, for which labels has no text"
            )
        texts = np.full(len(values), None, dtype=object)
        texts[finite] = [known[value] for value in values[finite]]
        return texts
