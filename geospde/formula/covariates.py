"""Numeric columns that a term is a function of; those that are coordinates may come from the points instead."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.formula.formula import Name
from geospde.formula.table import column_of, numeric
from geospde.survey.numbers import as_numbers

Vector = NDArray[np.float64]
FURTHEST = 1e40  # size of a covariate of a term


@dataclass(frozen=True)
class Covariates:
    """Columns by name, and which coordinate each one is, if any.

    Attributes
    ----------
    names : tuple of str
    coordinates : tuple of (int or None)
        0 or 1 for a column that is the points' first or second coordinate.
    """

    names: tuple[str, ...]
    coordinates: tuple[int | None, ...]

    @classmethod
    def of_table(cls, names: tuple[str, ...], table: pd.DataFrame, points: Vector | None) -> "Covariates":
        """Find out which columns hold the points' coordinates; x and y are they where no such column is."""
        return cls(names, tuple(_coordinate(name, table, points) for name in names))

    def values(self, table: pd.DataFrame, points: Vector | None) -> Vector:
        """Values, (m, d): from the table, or for coordinates that it does not hold from the points.

        Raises
        ------
        InputError
            For a missing column, a value that is no finite number, and numbers whose powers are none.
        """
        columns = []
        for name, coordinate in zip(self.names, self.coordinates):
            if name not in table.columns and coordinate is not None and points is not None:
                columns.append(points[:, coordinate])
            else:
                if points is not None and not len(table.columns):
                    raise InputError(
                        f"prediction needs the column {name!r} of the model",
                        remedy=f"give predict a table that has it, or its value at all places as at={{{name!r}: ...}}, "
                        "or, if it is a coordinate, say so to geospde.fit with coords=(x, y)",
                    )
                column_of(table, name)
                columns.append(measured(table, name))
        return np.column_stack(columns)


def measured(table: pd.DataFrame, name: str, what: str = "covariate") -> Vector:
    """A column as floats of which terms take cubes, their squares and quotients; InputError where they have none."""
    values = numeric(table, name, what)
    largest = float(np.abs(values).max(initial=0.0))
    if largest > FURTHEST or 0 < largest < 1 / FURTHEST:
        row = int(np.abs(values).argmax())
        what = f"{name!r} of {{row}} is {values[row]:g}, not between {1 / FURTHEST:g} and {FURTHEST:g}"
        raise InputError(what, remedy="give it in another unit", row=table.index[row])
    return values


def _coordinate(name: str, table: pd.DataFrame, points: Vector | None) -> int | None:
    if points is None:
        return None
    if name not in table.columns:
        return {"x": 0, "y": 1}.get(name)
    values = as_numbers(table[name])
    return next((j for j in (0, 1) if np.array_equal(values, points[:, j])), None)


def checked_names(arguments: tuple[object, ...], text: str, example: str) -> tuple[str, ...]:
    """Arguments of a term as names of columns; raises InputError where they are not, or where one stands twice."""
    if not arguments or not all(isinstance(a, Name) for a in arguments):
        raise InputError(f"{example.partition('(')[0]} takes names of columns, as in {example}: {text!r}")
    names = tuple(str(a) for a in arguments)
    if len(set(names)) < len(names):
        raise InputError(f"a column appears twice in {text!r}")
    return names
