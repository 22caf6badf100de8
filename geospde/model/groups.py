"""A group with its levels, as a part of a model."""

from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.latent.iid import Iid
from geospde.latent.priors import Independent, PCSd
from geospde.model.context import Context, round_to
from geospde.model.formula import Name, TermCall
from geospde.model.hyperparameter import Hyperparameter
from geospde.model.priors import read_prior
from geospde.model.table import column_of

Vector = NDArray[np.float64]


class Group:
    """An iid term with the levels of its group."""

    def __init__(self, term: Iid, column: str, levels: list[Any]):
        self.term = term
        self.column = column
        self.levels = levels

    def columns(self, table: pd.DataFrame, points: Vector | None, new: bool) -> sp.csr_matrix:
        """Rows of the design: the level's indicator; a row of zeros for a level that was not seen."""
        code = pd.Index(self.levels).get_indexer(pd.Index(column_of(table, self.column)))
        known = code >= 0
        shape = (len(table), self.term.n)
        return sp.csr_matrix((np.ones(known.sum()), (np.flatnonzero(known), code[known])), shape=shape)

    def names(self) -> list[str]:
        """Names of the latent variables."""
        return [f"{self.term.label}[{level}]" for level in self.levels]

    def hyperparameters(self) -> list[Hyperparameter]:
        """The standard deviation."""
        return [Hyperparameter(f"sd({self.term.label})", np.ones(1), 0.0, self.term.prior.describe())]

    def start(self, unit: float) -> Vector:
        """Half the predictor's scale."""
        return np.log([0.5 * unit])


def make_group(call: TermCall, context: Context) -> Group:
    """Read an ``iid(g)`` or ``(1 | g)`` call; takes its prior out of the overrides.

    By default P(sd > 1) = 0.05, or P(sd > three standard deviations of the response) = 0.05 where the predictor is in
    its unit.
    """
    table, likelihood, overrides = context.table, context.likelihood, context.overrides
    if len(call.arguments) != 1 or not isinstance(call.arguments[0], Name):
        raise InputError(f"iid takes the name of one column: {call.text!r}")
    if call.options:
        raise InputError(f"iid has no option {next(iter(call.options))!r}: {call.text!r}")
    column = str(call.arguments[0])
    values = pd.Series(column_of(table, column))
    if values.isna().any():
        row = int(np.flatnonzero(values.isna())[0])
        raise InputError(f"column {column!r} has no value in row {row}: drop or fill it")
    levels = list(pd.unique(values)) if values.dtype != "category" else list(values.cat.categories)
    if len(levels) < 2:
        raise InputError(f"the group {column!r} has one level only: a random effect needs two or more")
    prior = None if likelihood.unit is None else Independent((PCSd(round_to(3 * likelihood.unit, 2), 0.05),))
    term = Iid(len(levels), prior, label=f"Intercept | {column}")
    name = f"sd({term.label})"
    if name in overrides:
        term.prior = Independent((read_prior(overrides.pop(name), name, "sd"),))
    return Group(term, column, levels)
