"""Which columns of a design can be estimated, where some are combinations of others."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
SMALLEST = 1e-10  # share of a column's length beyond the columns before it, below which it is a combination of them
FAINT = 1e-7  # and below which no digits are left of it: a precision matrix has the square; R's tolerance
ROUNDING = 1e-9  # weight of a column of length 1 that is nothing but rounding
AWAY = 1e-7  # share of a row's size by which it may miss a combination, as new values are rounded


@dataclass(frozen=True)
class Rank:
    """The columns of a matrix that are no combinations of those before them, and how the others follow from them.

    As `lm` and lme4 do, the later of two columns gives way.

    Attributes
    ----------
    kept, dropped : (r,) and (k - r,) arrays of int
        Places of the columns.
    weights : (r, k - r) array
        ``matrix[:, dropped] = matrix[:, kept] @ weights``.
    shares : (r,) array
        Of the length of each column that is kept, what lies beyond those before it.
    """

    kept: NDArray[np.intp]
    dropped: NDArray[np.intp]
    weights: Vector
    shares: Vector

    @classmethod
    def of(cls, matrix: Vector) -> "Rank":
        """Find them by orthogonalising the columns, (m, k), from left to right.

        Examples
        --------
        >>> rank = Rank.of(np.array([[1.0, 0, 1], [1, 1, 2], [1, 2, 3]]))
        >>> rank.kept, rank.dropped, rank.weights.ravel().round(12)
        (array([0, 1]), array([2]), array([1., 1.]))
        """
        lengths = np.linalg.norm(matrix, axis=0)
        scales = np.where(lengths > 0, lengths, 1.0)
        # the triangle has the inner products of the columns in few rows
        columns = np.asarray(np.linalg.qr(matrix / scales, mode="r")) if matrix.size else np.zeros((0, matrix.shape[1]))
        basis = np.zeros((len(columns), 0))
        kept, dropped, shares = [], [], []
        for k in range(columns.shape[1]):
            own = columns[:, k]
            for _ in range(2):  # once more for what rounding left
                own = own - basis @ (basis.T @ own)
            size = np.linalg.norm(own)
            if size < SMALLEST:
                dropped.append(k)
            else:
                kept.append(k)
                shares.append(size)
                basis = np.column_stack([basis, own / size])
        weights, *_ = np.linalg.lstsq(columns[:, kept], columns[:, dropped], rcond=None)
        weights[np.abs(weights) < ROUNDING] = 0.0
        weights = weights * scales[dropped] / scales[kept][:, None]
        return cls(np.array(kept, dtype=np.intp), np.array(dropped, dtype=np.intp), weights, np.array(shares))

    @property
    def faint(self) -> list[int]:
        """Columns that are kept, but of which rounding leaves nothing in a precision matrix."""
        return [int(k) for k in self.kept[self.shares < FAINT]]

    def misses(self, rows: Vector) -> tuple[int, int] | None:
        """The first row of other data, (m, k), that is no such combination, and its column; None where all are.

        The mean of such a row is beyond what the columns that are there can tell.
        """
        follows = rows[:, self.kept] @ self.weights
        size = np.abs(rows[:, self.kept]) @ np.abs(self.weights) + np.abs(rows[:, self.dropped])
        wrong = np.argwhere(np.abs(rows[:, self.dropped] - follows) > AWAY * size)
        return (int(wrong[0, 0]), int(self.dropped[wrong[0, 1]])) if len(wrong) else None
