"""Columns of a design that a formula makes of a table: the fixed effects, and the left sides of groups."""

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from functools import reduce
from itertools import product
from typing import Any, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError, alert
from geospde.formula.algebra import Sum, coded
from geospde.formula.expressions import Expression, learn
from geospde.formula.formula import Formula
from geospde.formula.parser import parse_expression
from geospde.formula.rank import Rank
from geospde.formula.thresholds import Curve
from geospde.text.words import counted

Vector = NDArray[np.float64]
FURTHEST = 1e140  # largest number of a column: a sum of many squares is finite


class Columns:
    """Columns that a sum of terms, such as ``1 + x + log(z):fac``, makes of a table.

    Attributes
    ----------
    names : list of str
        Of the columns: of numbers ``x``, of levels ``fac[b]``, of those crossed ``x:fac[b]``.
    kept : (k,) array of int
        Places of the columns that are estimated among all that the terms make: all of them, but for `FixedEffects`.

    Parameters
    ----------
    terms : str or Sum
    table : DataFrame
    curves : bool
        Whether curves with a threshold may stand among them.
    elsewhere : Elsewhere, optional
        Other rows that some variables are learnt from.
    """

    def __init__(self, terms: str | Sum, table: pd.DataFrame, curves: bool = False, elsewhere: Any = None):
        if isinstance(terms, str):
            terms = Sum.of([("+", parse_expression(terms))], terms)
        for note in terms.notes:
            alert(note)
        self._intercept = terms.intercept
        crossed, self._variables = _learnt(terms, table, elsewhere)
        values = {name: variable(table) for name, variable in self._variables.items()}
        factors = {name: value.categories for name, value in values.items() if isinstance(value, pd.Categorical)}
        for name, levels in factors.items():
            if len(levels) == 1:
                sentence = f"the factor {name!r} has one level, {levels[0]!r}, in these data, and no effect to estimate"
                alert(sentence)
        coding = [
            (frozenset(map(str, written)), [(v, piece.get(v, True)) for v in term if v in piece or v not in factors])
            for written, term, pieces in zip(terms.terms, crossed, coded(crossed, factors, terms.intercept))
            for piece in pieces
        ]
        self._pieces: list[list[tuple[str, bool]]] = [parts for _, parts in coding]
        self.names = ["Intercept"] * terms.intercept
        self._summands: list[frozenset[str]] = [frozenset()] * terms.intercept
        self._curves: dict[str, slice] = {}
        for summand, parts in coding:
            own = [_names(self._variables[name], values[name], whole) for name, whole in parts]
            bends = [name for name, _ in parts if self._variables[name].curve is not None]
            if bends and (len(parts) > 1 or not curves):
                raise InputError(f"{bends[0]} stands as a fixed effect by itself: it has a threshold of its own")
            for name in bends:
                self._curves[name] = slice(len(self.names), len(self.names) + len(own[0]))
            crossings = [":".join(names) for names in product(*own)]
            self.names += crossings
            self._summands += [summand] * len(crossings)
        self._along = {name: self._variables[name].along(table) for name in self._curves}
        self._all_names, self.kept = self.names, np.arange(len(self.names))
        self._matrix = self._columns(values, len(table))

    @property
    def matrix(self) -> Vector:
        """The columns, for the table that the terms were read against, (m, k)."""
        return self._matrix[:, self.kept]

    @property
    def summands(self) -> list[frozenset[str]]:
        """Of each column in `names`, the variables that its summand of the formula crosses: none of the intercept."""
        return [self._summands[k] for k in self.kept]

    @property
    def has_curves(self) -> bool:
        """Whether some of the columns are tangents of curves, which depend on the coefficients."""
        return bool(self._curves)

    def bent(self, coefficients: Vector) -> Self:
        """The same with the tangents of curves at these coefficients, (k,)."""
        every = np.zeros(len(self._all_names))
        every[self.kept] = coefficients
        return self._along_curves({n: self._curve(n).bent(every[own]) for n, own in self._curves.items()})

    def begun(self, y: Vector, weights: Vector) -> Self:
        """The same with curves that follow y, (m,), by weighted least squares, one after the other."""
        found = self
        for name, own in self._curves.items():
            best, least = self._curve(name), np.inf
            for curve in self._curve(name).beginnings(self._along[name]):
                others = np.delete(found._matrix, own, axis=1)
                matrix = np.column_stack([others, curve.value(self._along[name])])
                root = np.sqrt(weights)
                beta = np.linalg.lstsq(matrix * root[:, None], y * root, rcond=None)[0]
                left = float(weights @ (y - matrix @ beta) ** 2)
                if left < least and beta[-1] != 0:
                    best, least = curve.of_height(float(beta[-1])), left
            found = found._along_curves({name: best})
        return found

    def rounded(self) -> Self:
        """The same with corners of curves rounded a little."""
        return self._along_curves({n: self._curve(n).rounded(x) for n, x in self._along.items()})

    @property
    def corners(self) -> NDArray[np.intp]:
        """Which coefficients say where a curve has a corner."""
        places = [own.start + k for name, own in self._curves.items() for k in self._curve(name).corners]
        return np.flatnonzero(np.isin(self.kept, places))

    @property
    def bends_within(self) -> bool:
        """Whether all curves bend between values of the data."""
        return all(self._curve(name).bends_within(x) for name, x in self._along.items())

    @property
    def widths(self) -> Vector:
        """Of the curves' rounding, a number each."""
        return np.array([self._curve(name).width for name in self._curves])

    def of_widths(self, widths: Vector) -> Self:
        """The same with those."""
        curves = {n: replace(self._curve(n), width=float(w)) for n, w in zip(self._curves, widths)}
        return self._along_curves(curves)

    def begin(self) -> Vector:
        """Coefficients, of curves those that their tangents are at, and zero of others, (k,)."""
        out = np.zeros(len(self._all_names))
        for name, own in self._curves.items():
            out[own] = self._curve(name).at
        return out[self.kept]

    def remainder(self, table: pd.DataFrame | None = None) -> Vector:
        """What tangents of curves have besides columns times coefficients, (m,); by default where they were read."""
        total = np.zeros(len(self._matrix) if table is None else len(table))
        for name in self._curves:
            x = self._along[name] if table is None else self._variables[name].along(table)
            total += self._curve(name).remainder(x)
        return total

    def _curve(self, name: str) -> Curve:
        curve = self._variables[name].curve
        assert curve is not None
        return curve

    def _along_curves(self, curves: dict[str, Curve]) -> Self:
        out = copy(self)
        out._variables = {**self._variables, **{n: self._variables[n].with_curve(c) for n, c in curves.items()}}
        out._matrix = self._matrix.copy()
        for name, curve in curves.items():
            out._matrix[:, self._curves[name]] = curve(self._along[name])
        return out

    @property
    def needs(self) -> list[str]:
        """Columns of a table that are read."""
        return list(dict.fromkeys(column for variable in self._variables.values() for column in variable.columns))

    def levels_of(self, column: str) -> tuple[Any, ...]:
        """Values of a table's column that are labels to some variable, in the order of its levels; else none."""
        found = (variable.levels for variable in self._variables.values() if variable.columns == (column,))
        return next((levels for levels in found if levels), ())

    def of(self, table: pd.DataFrame) -> Vector:
        """All columns for a new table, (m, n).

        Raises
        ------
        InputError
            For a column that is not there, a value that is missing, or a level that the fit has not seen.
        """
        for column in self.needs:
            if column not in table.columns:
                raise InputError(
                    f"prediction needs the column {column!r} of the model",
                    remedy=f"give predict a table that has it, or its value at all places as at={{{column!r}: ...}}",
                )
        return self._columns({name: variable(table) for name, variable in self._variables.items()}, len(table))

    def _columns(self, values: dict[str, Vector | pd.Categorical], size: int) -> Vector:
        """The columns, of the variables' values."""
        blocks = [np.ones((size, int(self._intercept)))]
        for parts in self._pieces:
            blocks.append(reduce(_crossed, [_block(values[name], whole) for name, whole in parts]))
        return np.hstack(blocks)


def _learnt(terms: Sum, table: pd.DataFrame, elsewhere: Any) -> tuple[list[list[str]], dict[str, Expression]]:
    """The terms by names of their variables, and the variables by name."""
    variables: dict[str, Expression] = {}
    named = []
    for term in terms.terms:
        names = []
        for node in term:
            there = elsewhere is not None and elsewhere.teaches(node)
            variable = learn(node, elsewhere.table if there else table)
            if variable.text == "Intercept":
                raise InputError(
                    "a column called 'Intercept' cannot be a term, as the constant of a model has that name: rename it"
                )
            names.append(variables.setdefault(variable.text, variable).text)
        named.append(names)
    return named, variables


def _names(variable: Expression, values: Vector | pd.Categorical, whole: bool) -> list[str]:
    """Names of a variable's own columns."""
    name = variable.text
    if variable.curve is not None:
        return [f"{name}[{label}]" for label in variable.curve.labels]
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


def refuse_extreme(matrix: Vector, names: Sequence[str]) -> None:
    """Raise InputError for a column whose squares are no numbers, or all 0."""
    sizes = np.abs(matrix).max(axis=0, initial=0.0)
    for k in map(int, np.flatnonzero((sizes > FURTHEST) | ((sizes > 0) & (sizes < 1 / FURTHEST)))):
        row = int(np.abs(matrix[:, k]).argmax())
        what = f"{names[k]!r} of {{row}} is {matrix[row, k]:g}, not between {1 / FURTHEST:g} and {FURTHEST:g}"
        raise InputError(what, remedy="give it in another unit", row=row)


class FixedEffects(Columns):
    """The fixed effects' columns of the design, without those that data and priors cannot tell from others.

    Attributes
    ----------
    names : list of str
        Of the columns that are estimated.
    dropped : tuple of str
        Names of those left out.
    faint : tuple of str
        Of the ones estimated, those that are so nearly combinations of others that rounding hides how they differ.
    """

    def __init__(self, formula: Formula, table: pd.DataFrame, elsewhere: Any = None):
        super().__init__(formula.effects, table, curves=True, elsewhere=elsewhere)
        self._rank: Rank | None = None
        self.dropped: tuple[str, ...] = ()
        self.faint: tuple[str, ...] = ()

    def estimable(self, priors: Vector | None = None) -> Self:
        """The same without columns that are combinations of those before them, of which a warning tells.

        Parameters
        ----------
        priors : (r, k) array, optional
            Combinations of the coefficients that have a proper prior; it tells apart what the data cannot.

        Raises
        ------
        InputError
            Where there are more coefficients than observations, each of which has one of its own.
        """
        matrix, names = self._matrix, self._all_names
        refuse_extreme(matrix, names)
        rows, width = matrix.shape
        known = np.zeros((0, width)) if priors is None else priors
        # of a prior it matters what it is of, not how narrow it is
        lengths = np.linalg.norm(known, axis=1, keepdims=True)
        size = float(np.linalg.norm(matrix, axis=0).max(initial=1.0))
        rank = Rank.of(np.vstack([matrix, known * size / np.where(lengths > 0, lengths, 1.0)]))
        out = copy(self)
        out.faint = tuple(names[k] for k in rank.faint)
        if not rank.dropped.size:
            return out
        if width > rows and rank.kept.size >= rows:
            raise InputError(
                f"{counted(rows, 'observation')} cannot tell {counted(width, 'fixed effect')}: take fewer terms, or "
                "make a factor of many levels a group, (1 | g)"
            )
        lost = {names[k].rpartition("[")[0] for k in rank.dropped} & set(self._curves)
        if lost:
            raise InputError(f"the data do not tell the threshold of {min(lost)}: leave it out, or give it a prior")
        out._rank, out.kept = rank, rank.kept
        out.names = [names[k] for k in rank.kept]
        out.dropped = tuple(names[k] for k in rank.dropped)
        alert(_dropped_words(matrix, names, rank))
        return out

    def refuse_indistinct(self) -> None:
        """Raise InputError for effects that rounding hides."""
        if self.faint:
            raise InputError(
                f"{self.faint[0]!r} is so nearly a combination of the columns before it that rounding hides the rest",
                remedy="leave it out, or take its columns about their means, as in I(year - 2010)",
            )

    @property
    def means(self) -> Vector:
        """Means of all columns, of those left out, too."""
        return np.asarray(self._matrix.mean(axis=0))

    @property
    def left_out(self) -> str:
        """What a summary says of the columns left out; empty where there are none."""
        return left_out_words(self.dropped)

    def columns(self, table: pd.DataFrame, new: bool) -> sp.csr_matrix:
        """Rows of the design.

        Raises
        ------
        InputError
            For a new row whose mean the data do not tell, such as one in a cell of an interaction that they leave
            empty.
        """
        if not new:
            return sp.csr_matrix(self.matrix)
        rows = self.of(table)
        if self._rank is not None and (missed := self._rank.misses(rows)) is not None:
            row, column = missed
            name, value = self._all_names[column], rows[row, column]
            what = f"where {name!r} is {value:g}" if value else f"which needs {name!r}"
            raise InputError(
                f"the fit cannot tell the mean of {{row}}, {what}: its data do not tell this effect "
                "from others, so that it was left out",
                row=table.index[row],
            )
        return sp.csr_matrix(rows[:, self.kept])


def left_out_words(dropped: Sequence[str]) -> str:
    """What a summary says of fixed effects that are left out; empty where there are none."""
    said = "Left out, as the data do not tell them from the other fixed effects"
    return f"{said}\n  {', '.join(dropped)}" if dropped else ""


def _dropped_words(matrix: Vector, names: list[str], rank: Rank) -> str:
    """What to say of columns that are left out: a sentence each for the first few."""
    said = []
    for at, k in enumerate(rank.dropped[:3]):
        others = [names[j] for j, weight in zip(rank.kept, rank.weights[:, at]) if weight]
        if others:
            rest = "others" if len(others) > 1 else "other"
            said.append(f"{', '.join([*others, names[k]])} are collinear, {names[k]} is a combination of the {rest}")
        else:
            cell = not matrix[:, k].any() and ":" in names[k]
            said.append(f"{names[k]!r} has no row in its cell" if cell else f"{names[k]!r} is 0 in every row")
    more = [names[k] for k in rank.dropped[3:]]
    if more:
        said.append(f"so it is with {', '.join(more[:9])}{f' and {len(more) - 9} more' if len(more) > 9 else ''}")
    many = rank.dropped.size
    left = f"{counted(many, 'fixed effect')} cannot be estimated and {'is' if many == 1 else 'are'} left out"
    return f"{left}: {'; '.join(said)}"
