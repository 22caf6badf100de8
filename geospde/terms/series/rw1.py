"""Random walks of order one along a number: ``rw1(x)``."""

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.terms.series.walks import Walk

Vector = NDArray[np.float64]


class RandomWalk(Walk):
    """A random walk over the different values of a column, its nodes, which sums to zero over them.

    The difference between neighbouring nodes has variance sd² times the distance of the nodes: sd² itself where they
    are one apart. Between the nodes the walk goes on as a Brownian bridge.

    References
    ----------
    Rue & Held (2005), Gaussian Markov Random Fields, section 3.3.1; for irregular locations section 3.5.
    """

    @staticmethod
    def structure(gaps: Vector, cyclic: bool) -> sp.csc_matrix:
        """Sum of squared differences over their variances."""
        n = gaps.size + (not cyclic)
        steps = sp.diags_array([-np.ones(gaps.size), np.ones(n - 1)], offsets=[0, 1], shape=(gaps.size, n)).tolil()
        if cyclic:
            steps[-1, 0] = 1.0
        steps = steps.tocsr()
        return sp.csc_matrix(steps.T @ sp.diags_array(1.0 / gaps) @ steps)

    @staticmethod
    def null(nodes: Vector, cyclic: bool) -> Vector:  # noqa: ARG004
        """The level."""
        return np.ones((nodes.size, 1))

    @staticmethod
    def step_size(gaps: Vector) -> float:
        """Root mean square of a step to the next node."""
        return float(np.sqrt(gaps.mean()))

    def with_bridges(self, rows: sp.csr_matrix, left: NDArray[np.intp], share: Vector) -> Any:
        """Rows with a Brownian bridge about the line between two nodes."""
        return Bridges(rows, left, share, self.gaps[left] / self.precision.scaling)


class Bridges:
    """Rows between nodes: the line between the two, and a Brownian bridge about it.

    A `geospde.terms.rows.MovingBlock`.

    Parameters
    ----------
    rows : (m, n) csr_matrix
        Weights of the nodes.
    left : (m,) array of int
        The node before each row.
    share : (m,) array
        How far towards the next it is.
    gaps : (m,) array
        Variance of the difference of the two, for an sd of 1.
    """

    def __init__(self, rows: sp.csr_matrix, left: NDArray[np.intp], share: Vector, gaps: Vector):
        self.rows, self.left, self.share, self.gaps = rows, left, share, gaps
        self.shape = rows.shape

    def at(self, theta: Vector) -> tuple[sp.csr_matrix, Vector]:
        """Rows, and the variances of the bridges, (m,)."""
        return self.rows, np.exp(2.0 * theta[0]) * self.gaps * self.share * (1.0 - self.share)

    def root(self, theta: Vector) -> Vector:
        """R of the bridges' covariance R R', (m, m)."""
        out = np.zeros((self.share.size, self.share.size))
        for node in np.unique(self.left):
            own = np.flatnonzero(self.left == node)
            share = self.share[own]
            covariance = np.minimum.outer(share, share) - np.multiply.outer(share, share)
            values, vectors = np.linalg.eigh(self.gaps[own[0]] * covariance)
            out[np.ix_(own, own)] = vectors * np.sqrt(np.maximum(values, 0.0))
        value: Vector = np.exp(theta[0]) * out
        return value
