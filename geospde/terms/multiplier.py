"""What ``by=`` multiplies a smooth with: nothing, a number, or the indicator of one level of a factor."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.formula.formula import Name
from geospde.formula.table import Coding, column_of, label, numeric, refuse_missing
from geospde.terms.by import is_number
from geospde.text.words import listed

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Multiplier:
    """A factor of each row.

    Attributes
    ----------
    column : str or None
    level : str or None
        Of the column, where it is a factor.
    coding : Coding or None
        Its levels.
    """

    column: str | None = None
    level: str | None = None
    coding: Coding | None = None

    @classmethod
    def read(cls, option: Any, table: pd.DataFrame, text: str) -> "list[Multiplier]":
        """One, or one for each level of a factor that the data have; of an ordered factor all but the first.

        Raises
        ------
        InputError
            For what is no column, and one that is zero or constant.
        """
        if option is None:
            return [ALONE]
        if not isinstance(option, Name):
            raise InputError(f"by is the name of a column: {text}")
        values, name = column_of(table, option), str(option)
        if is_number(table, name):
            numbers = numeric(table, name, "covariate")
            if np.ptp(numbers) == 0:
                raise InputError(f"the column {name!r}, by in {text}, is constant")
            return [cls(name)]
        refuse_missing(values, name)
        coding = Coding.learn(values)
        ordered = isinstance(values.dtype, pd.CategoricalDtype) and values.cat.ordered
        if ordered and len(coding.levels) < 2:
            raise InputError(f"the ordered factor {name!r}, by in {text}, has one level, which is its reference")
        return [cls(name, level, coding) for level in coding.labels[1 if ordered else 0 :]]

    @property
    def names(self) -> tuple[str, ...]:
        """The column, if there is one."""
        return () if self.column is None else (self.column,)

    @property
    def needs_constant(self) -> bool:
        """Whether the smooth keeps its constant, which no intercept stands for."""
        return self.column is not None and self.level is None

    @property
    def suffix(self) -> str:
        """What a smooth's label ends with, as in `mgcv`."""
        return "" if self.column is None else f":{self.column}{self.level or ''}"

    def times(self, name: str) -> str:
        """What is linear in a covariate, or constant (an empty name), multiplied."""
        return "·".join(part for part in (name, self.column if self.level is None else "") if part)

    def size(self, table: pd.DataFrame) -> float:
        """Root mean square, where it is not zero."""
        squares = self._factors(table) ** 2
        return float(np.sqrt(squares.sum() / max((squares > 0).sum(), 1))) or 1.0

    def rows(self, rows: sp.csr_matrix, table: pd.DataFrame) -> sp.csr_matrix:
        """Rows times the factors."""
        if self.column is None:
            return rows
        return sp.csr_matrix(sp.diags_array(self._factors(table)) @ rows)

    def _factors(self, table: pd.DataFrame) -> Vector:
        if self.column is None:
            return np.ones(len(table))
        if self.coding is None:
            return numeric(table, self.column, "covariate")
        values = column_of(table, self.column)
        refuse_missing(values, self.column)
        codes = self.coding.codes(values)
        if (codes < 0).any():
            row = int(np.flatnonzero(codes < 0)[0])
            raise InputError(
                f"there is no smooth for the level {label(values.iloc[row])!r} of {self.column!r} ({{row}}); "
                f"there are those of {listed(self.coding.labels)}",
                row=table.index[row],
            )
        return np.asarray(codes == self.coding.labels.index(str(self.level)), dtype=float)


ALONE = Multiplier()
