"""What the options ``time=``, ``temporal=`` and ``spatial=`` of a field say: its steps, and rows at them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.formula.covariates import measured
from geospde.formula.formula import Name, TermCall
from geospde.formula.table import column_of, numeric
from geospde.terms.calls import flag
from geospde.terms.precisions.spde.base import FieldPrecision
from geospde.terms.precisions.spde.in_time import TEMPORAL, InTime, WithConstant
from geospde.terms.series.lattice import Lattice
from geospde.text.words import did_you_mean

Vector = NDArray[np.float64]
TIME_OPTIONS = ("time", "temporal", "spatial")
MOST = 2_000_000  # latent variables


@dataclass(frozen=True)
class Times:
    """Steps of time of a field.

    Attributes
    ----------
    column : str
    lattice : Lattice
    changing : InTime
    before : int
        Latent variables of a field that does not change, before those of the steps.
    """

    column: str
    lattice: Lattice
    changing: InTime
    before: int

    def rows(self, rows: sp.csr_matrix, table: pd.DataFrame, label: str, new: bool) -> Any:
        """Rows at the steps of a table's rows, from rows of a field of one step, (m, n).

        Raises
        ------
        InputError
            For a time that is no step.
        """
        if self.column not in table.columns:
            raise InputError(
                f"prediction needs {self.column!r}, the time of {label}",
                remedy=f"give predict a table that has it, or at={{{self.column!r}: {self.lattice.places[-1]:g}}}",
            )
        values = numeric(table, self.column, "time")
        step = self.lattice.steps(values, f"the time of {label}", table.index.to_numpy())
        inside = (step >= 0) & (step < self.lattice.size)
        known = self._at(sp.csr_matrix(sp.diags_array(inside.astype(float)) @ rows), np.where(inside, step, 0), rows)
        return known if inside.all() or not new else Ahead(self, known, rows, step)

    def _at(self, rows: sp.csr_matrix, step: NDArray[np.intp], constant: sp.csr_matrix) -> sp.csr_matrix:
        """Rows with each in the place of its step."""
        coo, n = rows.tocoo(), rows.shape[1]
        columns = coo.col + self.before + n * step[coo.row]
        shape = (rows.shape[0], self.before + n * self.lattice.size)
        out = sp.csr_matrix((coo.data, (coo.row, columns)), shape=shape)
        if self.before:
            filler = sp.csr_matrix((rows.shape[0], shape[1] - self.before))
            out = out + sp.hstack([constant, filler], format="csr")
        return sp.csr_matrix(out)

    def theta(self, theta: Vector) -> Vector:
        """Of the field that changes, from that of the term."""
        return np.delete(theta, 1) if self.before else theta


class Ahead:
    """Rows of which some are before the first step or after the last: a `geospde.terms.rows.MovingBlock`."""

    def __init__(self, times: Times, known: sp.csr_matrix, rows: sp.csr_matrix, step: NDArray[np.intp]):
        self.times, self.known, self.rows, self.step = times, known, rows, step
        self.shape = known.shape

    def at(self, theta: Vector) -> tuple[sp.csr_matrix, Vector]:
        """Rows, and the variance that the outer steps leave, (m,)."""
        times, own = self.times, self.times.theta(theta)
        weight, extra = np.zeros(self.step.size), np.zeros(self.step.size)
        end = np.where(self.step < 0, 0, times.lattice.size - 1)
        of_space = self._variances(own)
        for at, weights, covariance, which in self._sides(own):
            weight[at] = weights[which]
            extra[at] = np.diag(covariance)[which] * of_space[at]
        inside = (self.step >= 0) & (self.step < times.lattice.size)
        scaled = sp.csr_matrix(sp.diags_array(np.where(inside, 0.0, weight)) @ self.rows)
        nothing = sp.csr_matrix(self.rows.shape)
        return sp.csr_matrix(self.known + times._at(scaled, end, nothing)), extra

    def root(self, theta: Vector) -> Vector:
        """R of the covariance R R' left, (m, k)."""
        own, parts = self.times.theta(theta), []
        factor = self.times.changing.space_factor(own)
        in_space = self.rows @ factor.draw(np.eye(self.rows.shape[1]))
        for at, _, covariance, which in self._sides(own):
            values, vectors = np.linalg.eigh(covariance)
            in_time = (vectors * np.sqrt(np.maximum(values, 0.0)))[which]
            part = np.zeros((self.step.size, in_time.shape[1] * in_space.shape[1]))
            part[at] = (in_time[:, :, None] * in_space[at][:, None, :]).reshape(at.size, -1)
            parts.append(part)
        return np.hstack(parts)

    def _sides(self, theta: Vector) -> Any:
        changing, last = self.times.changing, self.times.lattice.size - 1
        for beyond in (-self.step, self.step - last):
            at = np.flatnonzero(beyond > 0)
            if at.size:
                ahead, which = np.unique(beyond[at], return_inverse=True)
                yield at, *changing.steps.conditional(changing.split(theta)[1], ahead), which

    def _variances(self, theta: Vector) -> Vector:
        """Of the field of a step at the rows, (m,)."""
        pattern = self.times.changing.field.pattern
        columns = np.repeat(np.arange(pattern.shape[0]), np.diff(pattern.indptr))
        entries = self.times.changing.space_factor(theta).selected_inverse(pattern.indices, columns)
        lower = sp.csc_matrix((entries, pattern.indices, pattern.indptr), shape=pattern.shape)
        covariance = sp.csr_matrix(lower + sp.tril(lower, -1).T)
        return np.asarray((self.rows @ covariance).multiply(self.rows).sum(axis=1)).ravel()


def read_times(
    call: TermCall, table: pd.DataFrame, field: FieldPrecision, copies: int
) -> tuple[FieldPrecision, Times | None]:
    """The precision of a field in time, where its call has ``time=``, and the steps; else the field itself.

    Parameters
    ----------
    call : TermCall
    table : DataFrame
    field : FieldPrecision
        Of one step.
    copies : int
        Fields that the call has, one a column that multiplies one.

    Raises
    ------
    InputError
        For options that do not fit, times without steps, and fewer than two of them.
    """
    name = call.options.get("time")
    if name is None:
        for option in TIME_OPTIONS[1:]:
            if option in call.options:
                raise InputError(f"{option} is only for a field in time, as in spde(mesh, time=year): {call.text}")
        return field, None
    if not isinstance(name, Name):
        raise InputError(f"time is the name of a column: {call.text}")
    temporal = call.options.get("temporal", "ar1")
    if temporal not in TEMPORAL:
        hint = did_you_mean(str(temporal), list(TEMPORAL), "kinds")
        raise InputError(f"a field has no temporal={temporal!r}; {hint}: {call.text}")
    column_of(table, str(name))
    values = np.unique(measured(table, str(name), "time"))
    if values.size < 2:
        raise InputError(
            f"the time {str(name)!r} of {call.text} has one step: nothing changes", remedy="leave time out"
        )
    lattice = Lattice.of(values, f"the time of {call.text}")
    if lattice.size * field.n > MOST:
        raise InputError(
            f"{call.text} has {lattice.size:,} steps of {lattice.step:g} and {field.n:,} vertices, too many: "
            "round times to longer steps, or take a coarser mesh"
        )
    changing = InTime(field, TEMPORAL[temporal](lattice.size), [f"{time:.12g}" for time in lattice.places])
    if not flag(call, "spatial", False):
        return changing, Times(str(name), lattice, changing, 0)
    if copies > 1:
        raise InputError(f"spatial=True is only for a single field: {call.text}", remedy="write two terms")
    return WithConstant(field, changing, str(name)), Times(str(name), lattice, changing, field.n)
