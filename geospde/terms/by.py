"""What the option ``by=`` of a term multiplies it with: a number, a field for each level, or several columns."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.formula.formula import Name
from geospde.formula.table import Coding, column_of, label, numeric, refuse_missing
from geospde.text.words import listed

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class By:
    """Columns that copies of a term are multiplied with, (m, k): numbers, or indicators of a factor's levels.

    Attributes
    ----------
    columns : tuple of (str or None)
        Columns of numbers, None for a one; empty where there is a factor.
    factor : str or None
    coding : Coding or None
        Levels of the factor, as they were learnt.
    """

    columns: tuple[str | None, ...] = (None,)
    factor: str | None = None
    coding: Coding | None = None

    @classmethod
    def read(cls, option: Any, table: pd.DataFrame, text: str) -> "By":
        """Read the option of a call: a column, or a tuple of 1 and columns of numbers.

        Raises
        ------
        InputError
            For columns that are not there, zero or constant in all rows, or not numbers where numbers are meant.
        """
        if option is None:
            return cls()
        if isinstance(option, Name) and not is_number(table, option):
            values = column_of(table, option)
            refuse_missing(values, option)
            return cls((), str(option), Coding.learn(values))
        parts = option if isinstance(option, (tuple, list)) else (option,)
        names = tuple(None if _is_one(part) else part for part in parts)
        if not names or not all(name is None or isinstance(name, Name) for name in names):
            raise InputError(f"by takes a column, or 1 and columns, as in by=x or by=(1, x): {text}")
        if len(set(names)) < len(names):
            raise InputError(f"a column appears twice in {text}")
        for name in names:
            values = np.ones(1) if name is None else numeric(table, name, "covariate")
            if not values.any():
                raise InputError(f"the column {name!r}, which multiplies the field of {text}, is zero in every row")
            if name is not None and np.ptp(values) == 0:
                raise InputError(f"the column {name!r}, which multiplies the field of {text}, is constant")
        return cls(tuple(None if name is None else str(name) for name in names))

    @property
    def labels(self) -> list[str]:
        """Of each copy: its column, ``1``, or its level."""
        if self.coding is not None:
            return self.coding.labels
        return ["1" if name is None else name for name in self.columns]

    @property
    def is_plain(self) -> bool:
        """Whether the term is multiplied with nothing."""
        return self.columns == (None,)

    def factors(self, table: pd.DataFrame) -> Vector:
        """What each copy is multiplied with in each row, (m, k).

        Raises
        ------
        InputError
            For a column that the table has not, a value that is no number, a level that was not learnt.
        """
        if self.coding is None or self.factor is None:
            columns = [np.ones(len(table)) if c is None else numeric(table, c, "covariate") for c in self.columns]
            return np.column_stack(columns)
        values = column_of(table, self.factor)
        refuse_missing(values, self.factor)
        codes = self.coding.codes(values)
        if (codes < 0).any():
            row = int(np.flatnonzero(codes < 0)[0])
            raise InputError(
                f"there is no field for the level {label(values.iloc[row])!r} of {self.factor!r} ({{row}}); "
                f"there are those of {listed(self.coding.labels)}",
                row=table.index[row],
            )
        return np.asarray(codes[:, None] == np.arange(len(self.coding.levels)), dtype=float)

    def sizes(self, table: pd.DataFrame) -> Vector:
        """Root mean square of each column where it is not zero, (k,): 1 for indicators."""
        squares = self.factors(table) ** 2
        values: Vector = np.sqrt(squares.sum(axis=0) / (squares > 0).sum(axis=0))
        return values

    def method_sentences(self) -> list[str]:
        """What the methods paragraph of a report says of it."""
        shared = " Fields of one term are independent and share all but their standard deviation."
        if self.factor is not None:
            return [f"Each level of {self.factor} has such a field.{shared}"]
        named = [name for name in self.columns if name is not None]
        if not named:
            return []
        if len(self.columns) == 1:
            return [f"It multiplies {named[0]}: a coefficient that varies in space."]
        own = "There is one by itself, and" if None in self.columns else "There is"
        others = "; ".join(f"one that multiplies {name}" for name in named)
        return [f"{own} {others}: coefficients that vary in space.{shared}"]

    def rows(self, rows: sp.csr_matrix, table: pd.DataFrame) -> sp.csr_matrix:
        """Rows of the copies, side by side, from those of one."""
        if self.is_plain:
            return rows
        return sp.csr_matrix(sp.hstack([sp.diags_array(f) @ rows for f in self.factors(table).T], format="csr"))


def is_number(table: pd.DataFrame, column: str) -> bool:
    """Whether a column multiplies a term; labels and truth values tell copies of it apart."""
    kind = column_of(table, column).dtype
    return pd.api.types.is_numeric_dtype(kind) and not pd.api.types.is_bool_dtype(kind)


def _is_one(part: Any) -> bool:
    return isinstance(part, (int, float)) and not isinstance(part, bool) and part == 1
