"""Rows of a walk that are off its nodes."""

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Vector = NDArray[np.float64]


class Apart:
    """Rows between a walk's nodes and beyond them, where it does what its nodes leave unsaid.

    A `geospde.terms.rows.MovingBlock`.

    Parameters
    ----------
    rows : (m, n) csr_matrix
        Weights of the nodes.
    parts : sequence of ((k,) array of int, (k, j) array)
        Of each gap, and of each end, rows and R: what is left unsaid of them has the covariance R R' for an sd of 1,
        and is independent of that of other parts.
    """

    def __init__(self, rows: sp.csr_matrix, parts: Sequence[tuple[NDArray[np.intp], Vector]]):
        self.rows, self.parts = rows, parts
        self.shape = rows.shape

    def at(self, theta: Vector) -> tuple[sp.csr_matrix, Vector]:
        """Rows, and the variances left unsaid, (m,)."""
        variance = np.zeros(self.shape[0])
        for own, root in self.parts:
            variance[own] = np.exp(2.0 * theta[0]) * (root**2).sum(axis=1)
        return self.rows, variance

    def root(self, theta: Vector) -> Vector:
        """R of the covariance R R' left unsaid, (m, j)."""
        out, column = np.zeros((self.shape[0], sum(root.shape[1] for _, root in self.parts))), 0
        for own, root in self.parts:
            out[own, column : column + root.shape[1]] = np.exp(theta[0]) * root
            column += root.shape[1]
        return out
