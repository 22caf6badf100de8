"""Gaussian processes of covariates as a part of a model: rows of the design for the data and for other places."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import GeospdeWarning, InputError
from geospde.formula.covariates import Covariates
from geospde.formula.table import Coding, column_of, label, numeric, refuse_missing
from geospde.terms.hyperparameter import Hyperparameter
from geospde.terms.precisions.gaussian_process import BasisProcess
from geospde.terms.precisions.side_by_side import SideBySide
from geospde.text.words import listed

Vector = NDArray[np.float64]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Curve:
    """One process: of all rows, or of those with one level of a factor.

    Attributes
    ----------
    process : GaussianProcess or BasisProcess
    level : str or None
        Of the factor, as text.
    unit : float
        That the covariates are divided by.
    sites : (m,) array of int
        The site of each row of the data that the process enters.
    first : (k,) array
        Log length-scales that the search for the mode starts from.
    names : tuple of str
        Of the hyperparameters.
    """

    process: Any
    level: str | None
    unit: float
    sites: Rows
    first: Vector
    names: tuple[str, ...]


class Process:
    """Gaussian processes of the same covariates: one, or one for each level of a factor.

    Attributes
    ----------
    precision : GaussianProcess, BasisProcess or SideBySide
    covariates : Covariates
    by : str or None
        Column of the factor, or of what the one process is multiplied by.
    coding : Coding or None
        Levels of the factor, one a curve.
    curves : tuple of Curve
    """

    def __init__(
        self, covariates: Covariates, by: str | None, coding: Coding | None, curves: Sequence[Curve], label: str
    ):
        self.covariates = covariates
        self.by = by
        self.coding = coding
        self.curves = tuple(curves)
        self.precision: Any = curves[0].process
        if len(curves) > 1:
            self.precision = SideBySide([c.process for c in curves], [str(c.level) for c in curves], label)

    def columns(self, table: pd.DataFrame, points: Vector | None, new: bool) -> Any:
        """Rows of the design: of the data the sites or the basis, of a prediction those of `ProcessRows`."""
        values, entered = self.covariates.values(table, points), self._entered(table)
        if new:
            self._warn_outside(values, entered)
            return ProcessRows(self, values, entered)
        blocks = []
        for curve, (rows, factors) in zip(self.curves, entered):
            process, m = curve.process, len(table)
            if isinstance(process, BasisProcess):
                functions = process.spectrum.basis.functions(values[rows] / curve.unit)
                blocks.append(_block(factors[:, None] * functions, rows, m))
            else:
                blocks.append(sp.csr_matrix((factors, (rows, curve.sites)), shape=(m, process.n)))
        return sp.csr_matrix(sp.hstack(blocks, format="csr"))

    def _entered(self, table: pd.DataFrame) -> list[tuple[Rows, Vector]]:
        """Rows that each curve enters, and what it is multiplied by there."""
        if self.by is None:
            return [(np.arange(len(table)), np.ones(len(table)))]
        if self.coding is None:
            return [multiplied(table, self.by)]
        values = column_of(table, self.by)
        refuse_missing(values, self.by)
        codes = self.coding.codes(values)
        if (codes < 0).any():
            row = int(np.flatnonzero(codes < 0)[0])
            raise InputError(
                f"the term {self.precision.label!r} has no curve for the level {label(values.iloc[row])!r} of "
                f"{self.by!r} (row {row}); it has {listed(self.coding.labels)}"
            )
        return [(rows, np.ones(rows.size)) for rows in (np.flatnonzero(codes == k) for k in range(len(self.curves)))]

    def _warn_outside(self, values: Vector, entered: list[tuple[Rows, Vector]]) -> None:
        for curve, (rows, _) in zip(self.curves, entered):
            basis = curve.process.basis
            if basis is None:
                continue
            outside = int((~basis.holds(values[rows] / curve.unit)).sum())
            if outside:
                warnings.warn(
                    f"{outside} of {len(values)} predictions lie outside the box of the basis of "
                    f"{self.precision.label}, where they mean nothing: give gp a larger c",
                    GeospdeWarning,
                    stacklevel=2,
                )

    def names(self) -> list[str]:
        """Names of the latent variables: values at the sites, or coefficients of the basis, curve by curve."""
        levels = ["" if curve.level is None else f"{curve.level}, " for curve in self.curves]
        sizes = [curve.process.n for curve in self.curves]
        return [f"{self.precision.label}[{own}{i + 1}]" for own, n in zip(levels, sizes) for i in range(n)]

    def hyperparameters(self) -> list[Hyperparameter]:
        """Standard deviation and length-scales of each curve."""
        out: list[Hyperparameter] = []
        unit = np.eye(len(self.precision.parameters))
        for curve in self.curves:
            for k, (name, prior) in enumerate(zip(curve.names, curve.process.prior.parts)):
                share = f", as a share of the largest distance, {curve.unit:.4g}" if k and curve.unit != 1 else ""
                out.append(Hyperparameter(name, unit[len(out)], 0.0, prior.describe() + share))
        return out

    def start(self, unit: float) -> Vector:
        """The predictor's scale, and each curve's first length-scales."""
        return np.concatenate([np.r_[np.log(unit), curve.first] for curve in self.curves])

    def own(self, theta: Vector) -> list[Vector]:
        """Each curve's part of theta."""
        return self.precision.own(theta) if len(self.curves) > 1 else [theta]


@dataclass(frozen=True)
class ProcessRows:
    """Rows of a prediction, which depend on theta; see `geospde.terms.rows.MovingBlock`.

    Attributes
    ----------
    part : Process
    values : (m, d) array
        Covariates.
    entered : list
        Rows that each curve enters, and what it is multiplied by there.
    """

    part: Process
    values: Vector
    entered: list[tuple[Rows, Vector]]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and latent variables."""
        return len(self.values), self.part.precision.n

    def at(self, theta: Vector) -> tuple[sp.csr_matrix, Vector]:
        """Rows, and the variance that the values at the sites leave."""
        m = len(self.values)
        blocks, extra = [], np.zeros(m)
        for curve, own, (rows, factors) in zip(self.part.curves, self.part.own(theta), self.entered):
            weights, left = curve.process.rows(own, self.values[rows] / curve.unit)
            blocks.append(_block(factors[:, None] * weights, rows, m))
            extra[rows] += factors**2 * left
        return sp.csr_matrix(sp.hstack(blocks, format="csr")), extra

    def root(self, theta: Vector) -> Vector:
        """R of the covariance R R' that the values at the sites leave, (m, k)."""
        blocks = []
        for curve, own, (rows, factors) in zip(self.part.curves, self.part.own(theta), self.entered):
            root = curve.process.root(own, self.values[rows] / curve.unit)
            block = np.zeros((len(self.values), root.shape[1]))
            block[rows] = factors[:, None] * root
            blocks.append(block)
        return np.hstack(blocks)


def multiplied(table: pd.DataFrame, by: str) -> tuple[Rows, Vector]:
    """Rows where a numeric column is not zero, and its values there."""
    factors = numeric(table, by, "covariate")
    rows = np.flatnonzero(factors)
    return rows, factors[rows]


def _block(dense: Vector, rows: Rows, m: int) -> sp.csr_matrix:
    """Dense rows at their places among m."""
    counts = np.zeros(m + 1, dtype=np.int64)
    counts[rows + 1] = dense.shape[1]
    columns = np.tile(np.arange(dense.shape[1]), rows.size)
    return sp.csr_matrix((dense.ravel(), columns, np.cumsum(counts)), shape=(m, dense.shape[1]))
