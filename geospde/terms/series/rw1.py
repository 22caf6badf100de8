"""Random walks of order one along a number: ``rw1(x)``."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.terms.series.walks import Walk

Vector = NDArray[np.float64]


class RandomWalk(Walk):
    """A random walk over the different values of a column, its nodes, which sums to zero over them.

    The difference between neighbouring nodes has variance sd² times the distance of the nodes: sd² itself where they
    are one apart. Between the nodes the walk goes on as a Brownian bridge, beyond them as a walk.

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

    def between(self, node: int, share: Vector) -> Vector:
        """Root of the covariance of a Brownian bridge, for an sd of 1."""
        values, vectors = np.linalg.eigh(np.minimum.outer(share, share) - np.multiply.outer(share, share))
        root: Vector = vectors * np.sqrt(self.gaps[node] * np.maximum(values, 0.0))
        return root

    def beyond(self, ahead: Vector, gap: float) -> tuple[Vector, Vector]:  # noqa: ARG002
        """From the last node, on which it is centred, the walk goes on."""
        steps = np.diff(ahead, prepend=0.0)
        return np.zeros(ahead.size), np.tril(np.tile(np.sqrt(steps), (ahead.size, 1)))
