"""The curves of a Gaussian process term, and the rows of its design at other places than the data's."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.formula.table import numeric

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


@dataclass(frozen=True)
class ProcessRows:
    """Rows of a prediction, which depend on theta; see `geospde.terms.rows.MovingBlock`.

    Attributes
    ----------
    curves : tuple of Curve
    thetas : callable
        From the term's theta to each curve's own.
    values : (m, d) array
        Covariates.
    entered : list
        Rows that each curve enters, and what it is multiplied by there.
    """

    curves: tuple[Curve, ...]
    thetas: Callable[[Vector], list[Vector]]
    values: Vector
    entered: list[tuple[Rows, Vector]]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and latent variables."""
        return len(self.values), sum(curve.process.n for curve in self.curves)

    def at(self, theta: Vector) -> tuple[sp.csr_matrix, Vector]:
        """Rows, and the variance that the values at the sites leave."""
        m = len(self.values)
        blocks, extra = [], np.zeros(m)
        for curve, own, (rows, factors) in zip(self.curves, self.thetas(theta), self.entered):
            weights, left = curve.process.rows(own, self.values[rows] / curve.unit)
            blocks.append(at_rows(factors[:, None] * weights, rows, m))
            extra[rows] += factors**2 * left
        return sp.csr_matrix(sp.hstack(blocks, format="csr")), extra

    def root(self, theta: Vector) -> Vector:
        """R of the covariance R R' that the values at the sites leave, (m, k)."""
        blocks = []
        for curve, own, (rows, factors) in zip(self.curves, self.thetas(theta), self.entered):
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


def at_rows(dense: Vector, rows: Rows, m: int) -> sp.csr_matrix:
    """Dense rows at their places among m."""
    counts = np.zeros(m + 1, dtype=np.int64)
    counts[rows + 1] = dense.shape[1]
    columns = np.tile(np.arange(dense.shape[1]), rows.size)
    return sp.csr_matrix((dense.ravel(), columns, np.cumsum(counts)), shape=(m, dense.shape[1]))
