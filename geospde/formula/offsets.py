"""Offsets: what adds to the predictor without a coefficient, ``offset(x)`` in a formula or `offset=`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.formula.expressions import Expression, learn
from geospde.formula.syntax import Node, Symbol
from geospde.formula.table import per_row

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Offset:
    """The offset of a model.

    Attributes
    ----------
    values : (m,) array
        At the observations.
    terms : tuple of Expression
        Those that new data can be asked for.
    by_row : bool
        Whether there are values besides them, given a row.
    """

    values: Vector
    terms: tuple[Expression, ...]
    by_row: bool

    def __bool__(self) -> bool:
        return self.by_row or bool(self.terms)

    @property
    def columns(self) -> list[str]:
        """Columns of a table that are read."""
        return [column for term in self.terms for column in term.columns]

    def beside_terms(self, table: pd.DataFrame) -> Vector:
        """What was given a row, beside the terms, (m,)."""
        return self.values - sum((term(table) for term in self.terms), np.zeros(len(table)))

    def of(self, table: pd.DataFrame) -> Vector:
        """The offset of new data, (m,); raises InputError where they do not tell it."""
        missing = [column for column in self.columns if column not in table.columns]
        if missing or self.by_row:
            asked = f"the column {missing[0]!r}" if missing else "offset="
            raise InputError(f"the model has an offset: give predict {asked}, or offset=0 for none")
        return sum((term(table) for term in self.terms), np.zeros(len(table)))


def read_offset(sums: Sequence[str], given: Any, table: pd.DataFrame) -> Offset:
    """Read the offsets of a formula, each the text in its brackets, and the one given beside it.

    Parameters
    ----------
    sums : sequence of str
        Such as ``"x"`` or ``"log(time)"``.
    given : str, array, float or None
        A column, or values.
    table : DataFrame

    Raises
    ------
    InputError
        For what is no column, or no finite number in every row.
    """
    nodes: list[str | Node] = [*sums, Symbol(given)] if isinstance(given, str) else list(sums)
    terms = tuple(learn(node, table) for node in nodes)
    for term in terms:
        if np.ndim(term(table)) != 1 or isinstance(term(table), pd.Categorical):
            raise InputError(f"an offset is one number per row, which {term.text} is not")
    values = None if isinstance(given, str) else per_row(table, given, "offset", len(table))
    total = sum((term(table) for term in terms), np.zeros(len(table)) if values is None else values)
    return Offset(total, terms, values is not None)
