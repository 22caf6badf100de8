"""Compiled loop over the pairs of entries within the rows of a sparse matrix."""

import numpy as np
from numpy.typing import NDArray

from geospde.linalg.compiled import compiled

Vector = NDArray[np.float64]
Index = NDArray[np.int64]


@compiled
def row_pair_places(
    indptr: Index, indices: Index, data: Vector, column_start: Index, column_rows: Index,
    starts: Index, places: Index, values: Vector, inside: NDArray[np.bool_],
) -> None:  # fmt: skip
    """Places on a pattern, and factors, of the pairs of entries within each row of a sparse matrix.

    Parameters
    ----------
    indptr, indices, data
        Of the matrix, by rows.
    column_start, column_rows
        Of the pattern's lower triangle, by columns, sorted.
    starts : (m + 1,) array
        Where each row's pairs begin.
    places, values : (p,) arrays
        Filled: a pair that the pattern lacks has place 0 and value 0.
    inside : (m,) array
        False for a row with such a pair.
    """
    for i in range(indptr.size - 1):
        at = starts[i]
        for a in range(indptr[i], indptr[i + 1]):
            for b in range(indptr[i], a + 1):
                row, column = max(indices[a], indices[b]), min(indices[a], indices[b])
                low, high = column_start[column], column_start[column + 1]
                while low < high:
                    middle = (low + high) // 2
                    if column_rows[middle] < row:
                        low = middle + 1
                    else:
                        high = middle
                if low < column_start[column + 1] and column_rows[low] == row:
                    places[at] = low
                    values[at] = data[a] * data[b] * (1.0 if a == b else 2.0)
                else:
                    places[at], values[at] = 0, 0.0
                    inside[i] = False
                at += 1
