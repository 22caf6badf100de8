"""The fixed effects' columns of the design."""

from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.model.formula import Formula
from geospde.model.table import unknown_column

Vector = NDArray[np.float64]


class FixedEffects:
    """The fixed effects' columns, by formulae where they are more than an intercept."""

    def __init__(self, formula: Formula, table: pd.DataFrame):
        self._intercept = formula.intercept
        self._design: Any = None
        self.text = " + ".join(["1" if formula.intercept else "0", *formula.fixed])
        self.needs = bool(formula.fixed)
        if not self.needs:
            self.names = ["Intercept"] if formula.intercept else []
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
            raise InputError(f"cannot read the fixed effects {self.text!r}: {error}") from None
        except Exception as error:  # formulae's own parse errors have no common class
            raise InputError(f"cannot read the fixed effects {self.text!r}: {error}") from None
        self.names = [str(c) for c in self._design.as_dataframe().columns]
        matrix = np.asarray(self._design).astype(float)
        rank = np.linalg.matrix_rank(matrix / np.maximum(np.linalg.norm(matrix, axis=0), 1e-300))
        if rank < len(self.names):
            raise InputError(
                f"the fixed effects {', '.join(_collinear(matrix, self.names))} are collinear: drop one of them"
            )

    def columns(self, table: pd.DataFrame, new: bool) -> sp.csr_matrix:
        """Rows of the design."""
        if not self.needs:
            return sp.csr_matrix(np.ones((len(table), len(self.names))))
        if not new:
            return sp.csr_matrix(np.asarray(self._design).astype(float))
        try:
            matrix = self._design.evaluate_new_data(table)
        except KeyError as error:
            raise InputError(
                f"prediction needs the column {error.args[0]!r} of the model: give predict a table that has it"
            ) from None
        return sp.csr_matrix(np.asarray(matrix).astype(float))


def _collinear(matrix: Vector, names: list[str]) -> list[str]:
    """Names of the columns that a null vector of the design joins."""
    scaled = matrix / np.maximum(np.linalg.norm(matrix, axis=0), 1e-300)
    null = np.linalg.svd(scaled, full_matrices=True)[2][-1]
    return [name for name, weight in zip(names, null) if abs(weight) > 1e-6]
