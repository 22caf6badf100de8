"""Columns of a design that a formula makes of a table: the fixed effects, and the left sides of groups."""

from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.model.formula import Formula
from geospde.model.table import unknown_column

Vector = NDArray[np.float64]


class Columns:
    """Columns that a sum of terms, such as ``1 + x + a:b``, makes of a table, by formulae.

    Attributes
    ----------
    text : str
    names : list of str
        Of the columns, as formulae writes them.
    matrix : (m, k) array
        For the table that the terms were read against.
    """

    def __init__(self, text: str, table: pd.DataFrame):
        self.text = text
        self._design: Any = None
        if text in ("0", "1"):
            self.names = ["Intercept"] * int(text)
            self.matrix = np.ones((len(table), int(text)))
            return
        import formulae

        try:
            self._design = formulae.design_matrices(self.text, table, na_action="error").common
        except KeyError as error:
            raise InputError(unknown_column(str(error.args[0]), table)) from None
        except ValueError as error:
            missing = [c for c in table.columns if c in self.text and table[c].isna().any()]
            if missing:
                row = int(np.flatnonzero(table[missing[0]].isna())[0])
                raise InputError(f"column {missing[0]!r} has no value in row {row}: drop or fill it") from None
            raise InputError(f"cannot read the terms {self.text!r}: {error}") from None
        except Exception as error:  # formulae's own parse errors have no common class
            raise InputError(f"cannot read the terms {self.text!r}: {error}") from None
        self.names = [str(c) for c in self._design.as_dataframe().columns]
        self.matrix = np.asarray(self._design).astype(float)

    def of(self, table: pd.DataFrame) -> Vector:
        """The same columns for a new table, (m, k)."""
        if self._design is None:
            return np.ones((len(table), len(self.names)))
        try:
            matrix = self._design.evaluate_new_data(table)
        except KeyError as error:
            raise InputError(
                f"prediction needs the column {error.args[0]!r} of the model: give predict a table that has it"
            ) from None
        return np.asarray(matrix).astype(float)


class FixedEffects:
    """The fixed effects' columns of the design."""

    def __init__(self, formula: Formula, table: pd.DataFrame):
        self._columns = Columns(" + ".join([str(int(formula.intercept)), *formula.fixed]), table)
        self.names = self._columns.names
        matrix = self._columns.matrix
        rank = np.linalg.matrix_rank(matrix / np.maximum(np.linalg.norm(matrix, axis=0), 1e-300)) if self.names else 0
        if rank < len(self.names):
            raise InputError(
                f"the fixed effects {', '.join(_collinear(matrix, self.names))} are collinear: drop one of them"
            )

    def columns(self, table: pd.DataFrame, new: bool) -> sp.csr_matrix:
        """Rows of the design."""
        return sp.csr_matrix(self._columns.of(table) if new else self._columns.matrix)


def _collinear(matrix: Vector, names: list[str]) -> list[str]:
    """Names of the columns that a null vector of the design joins."""
    scaled = matrix / np.maximum(np.linalg.norm(matrix, axis=0), 1e-300)
    null = np.linalg.svd(scaled, full_matrices=True)[2][-1]
    return [name for name, weight in zip(names, null) if abs(weight) > 1e-6]
