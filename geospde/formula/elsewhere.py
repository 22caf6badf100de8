"""Fixed effects that several likelihoods share: learnt from the rows of all, and told apart by them."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geospde.errors import InputError, RowsCalled
from geospde.formula.algebra import Sum
from geospde.formula.columns import FixedEffects
from geospde.formula.formula import Formula
from geospde.formula.parser import parse_expression
from geospde.formula.syntax import Node, symbols

Vector = NDArray[np.float64]
RowNames = Any  # what `RowsCalled` takes
Summand = frozenset[str]  # the variables that a column crosses; none of the intercept
TELLS = 1e-9  # share of the largest row below which what a likelihood tells of shared columns is rounding


@dataclass(frozen=True)
class Elsewhere:
    """What the fixed effects of one likelihood have from rows of others.

    Attributes
    ----------
    table : DataFrame
        Rows that variables are learnt from.
    variables : frozenset of str or None
        Which ones; None for all of which it has the columns.
    names : tuple of str
        Columns that others share.
    rows : (r, k) array
        Combinations of these that others tell.
    """

    table: pd.DataFrame
    variables: frozenset[str] | None = None
    names: tuple[str, ...] = ()
    rows: Vector = field(default_factory=lambda: np.zeros((0, 0)))

    def teaches(self, variable: Node) -> bool:
        """Whether a variable is learnt from its table."""
        if self.variables is None:
            return set(symbols(variable)) <= set(self.table.columns)
        return str(variable) in self.variables

    def told(self, names: Sequence[str]) -> Vector:
        """The combinations of columns of these names that others tell, (r, n)."""
        out = np.zeros((len(self.rows), len(names)))
        for k, name in enumerate(self.names):
            if len(self.rows):
                out[:, names.index(name)] = self.rows[:, k]
        return out


@dataclass(frozen=True)
class SharedEffects:
    """The fixed effects that likelihoods share.

    Attributes
    ----------
    names : frozenset of str
        Of all shared coefficients.
    elsewhere : tuple of (Elsewhere or None)
        Of each likelihood.
    """

    names: frozenset[str]
    elsewhere: tuple[Elsewhere | None, ...]


def summands(text: str) -> tuple[Summand, ...]:
    """What stands in a text of fixed effects, such as ``1 + a*b``: the intercept if it is named, and each term."""
    node = parse_expression(text)
    found = [frozenset(map(str, term)) for term in Sum.of([("+", node)], text).terms]
    # without it, an intercept that nobody mentions is each likelihood's own
    named = Sum.of([("-", parse_expression("1")), ("+", node)], text).intercept
    return (*([frozenset()] if named else []), *found)


def shared_effects(
    formulas: Sequence[Formula],
    shared: Sequence[Collection[Summand]],
    tables: Sequence[tuple[pd.DataFrame, RowNames]],
    names: Sequence[str],
) -> SharedEffects:
    """Learn shared fixed effects from the rows of all likelihoods that have them.

    Parameters
    ----------
    formulas : sequence of Formula
        Of the likelihoods, shared effects written out.
    shared : sequence of collections of Summand
        Which summands each shares.
    tables : sequence of (DataFrame, names)
        Their rows, and what the user calls these.
    names : sequence of str
        What they are called.

    Raises
    ------
    InputError
        Where likelihoods code the levels of a shared factor otherwise.
    """
    users = [k for k, own in enumerate(shared) if own]
    variables = frozenset(variable for k in users for summand in shared[k] for variable in summand)
    table = pd.concat([tables[k][0] for k in users], ignore_index=True)
    effects: dict[int, FixedEffects] = {}
    for k in users:
        try:
            with warnings.catch_warnings(), RowsCalled(tables[k][1]):
                warnings.simplefilter("ignore")  # they come again where the likelihood is built
                effects[k] = FixedEffects(formulas[k], tables[k][0], Elsewhere(table, variables))
        except InputError as error:
            raise error.within(names[k]) from None
    common = {k: [n for n, s in zip(e.names, e.summands) if s in shared[k]] for k, e in effects.items()}
    for k, other in zip(users[1:], users):
        if set(shared[k]) == set(shared[other]) and set(common[k]) != set(common[other]):
            level = min(set(common[k]) ^ set(common[other]))
            raise InputError(
                f"{names[other]!r} and {names[k]!r} share a factor, but {level!r} is a column of one alone",
                remedy="give the formulas of both an intercept, or neither",
            )
    every = tuple(dict.fromkeys(name for own in common.values() for name in own))
    told = {k: _told(e, every, common[k]) for k, e in effects.items()}
    elsewhere: list[Elsewhere | None] = [None] * len(formulas)
    for k in users:
        beyond = np.vstack([np.zeros((0, len(every))), *(told[j] for j in users if j != k)])
        mine = [every.index(name) for name in common[k]]
        elsewhere[k] = Elsewhere(table, variables, tuple(common[k]), _combinations(beyond[:, mine]))
    return SharedEffects(frozenset(every), tuple(elsewhere))


def _told(effects: FixedEffects, every: Sequence[str], common: Collection[str]) -> Vector:
    """What the rows of a likelihood tell of the shared columns, beside columns of its own, (m, k)."""
    matrix, names = effects.matrix, effects.names
    own = matrix[:, [j for j, name in enumerate(names) if name not in common]]
    out = np.zeros((len(matrix), len(every)))
    for name in common:
        out[:, every.index(name)] = matrix[:, names.index(name)]
    sizes = np.linalg.norm(out, axis=0)
    left = out - own @ np.linalg.lstsq(own, out, rcond=None)[0]
    return np.where(np.linalg.norm(left, axis=0) > TELLS * sizes, left, 0.0)


def _combinations(rows: Vector) -> Vector:
    """An orthogonal basis of the rows, but for their rounding."""
    if not rows.size:
        return np.zeros((0, rows.shape[1]))
    scales = np.linalg.norm(rows, axis=0)
    scales[scales == 0] = 1.0
    _, sizes, basis = np.linalg.svd(rows / scales, full_matrices=False)
    return np.asarray(basis[sizes > TELLS * sizes.max(initial=0.0)] * scales)
