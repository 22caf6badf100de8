"""Columns of a design that a formula makes of a table: the fixed effects, and the left sides of groups."""

import warnings
from functools import reduce
from itertools import product

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import GeospdeWarning, InputError
from geospde.formula.algebra import Sum, coded
from geospde.formula.expressions import Expression, learn
from geospde.formula.formula import Formula
from geospde.formula.parser import parse_expression
from geospde.text.words import counted

Vector = NDArray[np.float64]


class Columns:
    """Columns that a sum of terms, such as ``1 + x + log(z):fac``, makes of a table.

    Attributes
    ----------
    names : list of str
        Of the columns: of numbers ``x``, of levels ``fac[b]``, of those crossed ``x:fac[b]``.
    matrix : (m, k) array
        For the table that the terms were read against.
    """

    def __init__(self, terms: str | Sum, table: pd.DataFrame):
        if isinstance(terms, str):
            terms = Sum.of([("+", parse_expression(terms))], terms)
        for note in terms.notes:
            warnings.warn(note, GeospdeWarning, stacklevel=2)
        self._intercept = terms.intercept
        crossed, self._variables = _learnt(terms, table)
        values = {name: variable(table) for name, variable in self._variables.items()}
        factors = {name for name, value in values.items() if isinstance(value, pd.Categorical)}
        self._pieces: list[list[tuple[str, bool]]] = [
            [(v, piece.get(v, True)) for v in term if v in piece or v not in factors]
            for term, pieces in zip(crossed, coded(crossed, factors, terms.intercept))
            for piece in pieces
        ]
        self.names = ["Intercept"] * terms.intercept
        for parts in self._pieces:
            own = [_names(name, values[name], whole) for name, whole in parts]
            self.names += [":".join(names) for names in product(*own)]
        self.matrix = self._columns(values, len(table))

    @property
    def needs(self) -> list[str]:
        """Columns of a table that are read."""
        return list(dict.fromkeys(column for variable in self._variables.values() for column in variable.columns))

    def of(self, table: pd.DataFrame) -> Vector:
        """The same columns for a new table, (m, k).

        Raises
        ------
        InputError
            For a column that is not there, a value that is missing, or a level that the fit has not seen.
        """
        for column in self.needs:
            if column not in table.columns:
                raise InputError(
                    f"prediction needs the column {column!r} of the model", remedy="give predict a table that has it"
                )
        return self._columns({name: variable(table) for name, variable in self._variables.items()}, len(table))

    def _columns(self, values: dict[str, Vector | pd.Categorical], size: int) -> Vector:
        """The columns, of the variables' values."""
        blocks = [np.ones((size, int(self._intercept)))]
        for parts in self._pieces:
            blocks.append(reduce(_crossed, [_block(values[name], whole) for name, whole in parts]))
        return np.hstack(blocks)


def _learnt(terms: Sum, table: pd.DataFrame) -> tuple[list[list[str]], dict[str, Expression]]:
    """The terms by names of their variables, and the variables by name."""
    variables: dict[str, Expression] = {}
    named = []
    for term in terms.terms:
        names = []
        for node in term:
            variable = learn(node, table)
            if variable.text == "Intercept":
                raise InputError(
                    "a column called 'Intercept' cannot be a term, as the constant of a model has that name: rename it"
                )
            names.append(variables.setdefault(variable.text, variable).text)
        named.append(names)
    return named, variables


def _names(name: str, values: Vector | pd.Categorical, whole: bool) -> list[str]:
    """Names of a variable's own columns."""
    if isinstance(values, pd.Categorical):
        return [f"{name}[{level}]" for level in values.categories[0 if whole else 1 :]]
    return [name] if values.ndim == 1 else [f"{name}[{j}]" for j in range(values.shape[1])]


def _block(values: Vector | pd.Categorical, whole: bool) -> Vector:
    """A variable's own columns, (m, k); of a factor the indicators of all its levels, or of all but the first."""
    if isinstance(values, pd.Categorical):
        levels = np.arange(0 if whole else 1, len(values.categories))
        return np.asarray(np.equal.outer(values.codes, levels), dtype=float)
    return values.reshape(len(values), -1)


def _crossed(left: Vector, right: Vector) -> Vector:
    """Products of each column of one with each of the other; the last varies fastest."""
    return (left[:, :, None] * right[:, None, :]).reshape(len(left), -1)


class FixedEffects:
    """The fixed effects' columns of the design."""

    def __init__(self, formula: Formula, table: pd.DataFrame):
        self._columns = Columns(formula.effects, table)
        self.names = self._columns.names
        refuse_collinear(self._columns.matrix, self.names)

    @property
    def needs(self) -> list[str]:
        """Columns of a table that are read."""
        return self._columns.needs

    def columns(self, table: pd.DataFrame, new: bool) -> sp.csr_matrix:
        """Rows of the design."""
        return sp.csr_matrix(self._columns.of(table) if new else self._columns.matrix)


def refuse_collinear(matrix: Vector, names: list[str]) -> None:
    """Raise InputError where columns of a design are a combination of others, or more than its rows; it names them."""
    rows, width = matrix.shape
    if width > rows:
        raise InputError(
            f"{counted(rows, 'observation')} cannot tell {counted(width, 'fixed effect')}: take fewer terms, or make a "
            "factor of many levels a group, (1 | g)"
        )
    lengths = np.linalg.norm(matrix, axis=0)
    for name, size in zip(names, lengths):
        if size == 0:
            what = "no row is in this cell of the interaction" if ":" in name else "it is 0 in every row"
            raise InputError(f"the fixed effect {name!r} cannot be estimated: {what}; drop it or merge levels")
    scaled: Vector = np.asarray(np.linalg.qr(matrix / lengths, mode="r")) if width else matrix
    if np.linalg.matrix_rank(scaled) == width:
        return
    for k in range(1, width):
        weights, *_ = np.linalg.lstsq(scaled[:, :k], scaled[:, k], rcond=None)
        if np.linalg.norm(scaled[:, :k] @ weights - scaled[:, k]) < 1e-9:
            others = [name for name, weight in zip(names, weights) if abs(weight) > 1e-7]
            raise InputError(
                f"the fixed effects {', '.join([*others, names[k]])} are collinear, {names[k]} is a combination of the "
                f"{'others' if len(others) > 1 else 'other'}: drop one of them"
            )
