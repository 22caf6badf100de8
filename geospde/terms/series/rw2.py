"""Random walks of order two along a number: ``rw2(x)``."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.terms.series.walks import Walk

Vector = NDArray[np.float64]

FARTHEST = 10_000  # steps beyond the nodes


class SmoothWalk(Walk):
    """A random walk of the slope over the different values of a column, its nodes, which sums to zero over them.

    The change of slope at a node has variance sd² times the mean of the distances to both sides; where nodes are one
    apart, second differences have variance sd². Between the nodes the walk is the line from one to the other: it is
    the finite-element approximation of an integrated Wiener process. A linear trend costs nothing. Beyond the nodes it
    goes on by steps of their median distance.

    References
    ----------
    Lindgren & Rue (2008), On the second-order random walk model for irregular locations, Scand. J. Statist. 35,
    691-700.
    """

    scaled_by_default = True
    least = 3

    @staticmethod
    def structure(gaps: Vector, cyclic: bool) -> sp.csc_matrix:
        """Sum of squared changes of slope over their variances."""
        if cyclic:
            before, after, n = np.roll(gaps, 1), gaps, gaps.size
            middle = np.arange(n)
        else:
            before, after, n = gaps[:-1], gaps[1:], gaps.size + 1
            middle = np.arange(1, n - 1)
        rows = np.tile(np.arange(middle.size), 3)
        columns = np.concatenate([middle - 1, middle, middle + 1]) % n
        entries = np.concatenate([1.0 / before, -1.0 / before - 1.0 / after, 1.0 / after])
        changes = sp.csr_matrix((entries, (rows, columns)), shape=(middle.size, n))
        return sp.csc_matrix(changes.T @ sp.diags_array(2.0 / (before + after)) @ changes)

    @staticmethod
    def null(nodes: Vector, cyclic: bool) -> Vector:
        """The level, and where the walk does not close a linear trend."""
        level = np.ones((nodes.size, 1))
        return level if cyclic else np.column_stack([level, nodes - nodes.mean()])

    @staticmethod
    def step_size(gaps: Vector) -> float:
        """Root mean square of how far the next node is off the line through the two before it."""
        return float(np.sqrt((gaps**3).mean()))

    def beyond(self, ahead: Vector, gap: float) -> tuple[Vector, Vector]:
        """The line through the last two nodes, whose slope changes at the last and at each step beyond it.

        Raises
        ------
        InputError
            For more than 10,000 steps.
        """
        step = float(np.median(self.gaps))
        count = np.ceil(ahead[-1] / step)
        if count > FARTHEST:
            raise InputError(
                f"{self.label} has steps of {step:g}, and a row is {ahead[-1]:g} beyond its values: that is too far"
            )
        changes = np.full(int(count), step)
        changes[0] = 0.5 * (gap + step)
        root = np.maximum(ahead[:, None] - step * np.arange(changes.size), 0.0) * np.sqrt(changes)
        return ahead / gap, root if changes.size <= ahead.size else np.asarray(np.linalg.qr(root.T, mode="r")).T
