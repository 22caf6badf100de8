"""Compiled loops over the pairs of entries within the rows of a sparse matrix, and over the points of an emulator."""

import numpy as np
from numpy.typing import NDArray

from geospde.linalg.compiled import compiled_after, compiled_sums

Vector = NDArray[np.float64]
Index = NDArray[np.int64]

FEW = 300_000  # pairs, of all calls, that numpy places in less time than a compiler takes


def _few_row_pair_places(
    indptr: Index, indices: Index, data: Vector, column_start: Index, column_rows: Index,
    starts: Index, places: Index, values: Vector, inside: NDArray[np.bool_],
) -> None:  # fmt: skip
    """As `row_pair_places`, by numpy, for all pairs at once."""
    counts, n = np.diff(indptr), column_start.size - 1
    row_of = np.repeat(np.arange(counts.size), counts)
    before = np.arange(indices.size) - indptr[row_of]  # entries of the row that stand before each
    first = np.repeat(np.arange(indices.size), before + 1)
    pair = np.arange(starts[-1]) - starts[row_of[first]]
    second = indptr[row_of[first]] + pair - before[first] * (before[first] + 1) // 2
    high, low = np.maximum(indices[first], indices[second]), np.minimum(indices[first], indices[second])
    keys, wanted = np.repeat(np.arange(n), np.diff(column_start)) * n + column_rows, low * n + high
    at = np.minimum(np.searchsorted(keys, wanted), max(keys.size - 1, 0))
    there = keys[at] == wanted if keys.size else np.zeros(wanted.size, bool)
    places[:] = np.where(there, at, 0)
    values[:] = np.where(there, data[first] * data[second] * np.where(first == second, 1.0, 2.0), 0.0)
    inside[row_of[first[~there]]] = False


@compiled_after(FEW, lambda *arguments: int(arguments[6].size), _few_row_pair_places)
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
    for i in range(len(indptr) - 1):
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


@compiled_sums
def kernel_sums(
    u: Vector, stretched_u: Vector, places: Vector, stretched: Vector, slopes: Vector, scales: Vector, work: Vector,
    value: Vector, nearest: Index, square: Vector,
) -> None:  # fmt: skip
    """Sums of squared exponentials times linear functions, and which place is nearest.

    Parameters
    ----------
    u, stretched_u : (p, d) arrays
        The second in the metric of the first scale; the others are round.
    places, stretched : (d, n) arrays
        Likewise.
    slopes : (c, 1 + d, n) array
        Of the linear function of u at each place, its constant first, for each of c scales.
    scales : (c,) array
        One over the squared lengths.
    work : (3, n) array
        Scratch.
    value, nearest, square : (p,) arrays
        Filled: the sum, the nearest place and the squared distance to it.
    """
    n, d = work.shape[1], places.shape[0]
    for i in range(value.size):
        for j in range(n):
            work[0, j] = work[1, j] = 0.0
        for k in range(d):
            own, there = stretched_u[i, k], u[i, k]
            for j in range(n):
                apart = own - stretched[k, j]
                work[0, j] += apart * apart
                apart = there - places[k, j]
                work[1, j] += apart * apart
        at, total = 0, 0.0
        for j in range(n):
            if work[1, j] < work[1, at]:
                at = j
        for c in range(scales.size):
            # exp(t)^256 for t within (-1/4, 0): a polynomial and eight squares, which a processor does four at a time
            part = -0.5 * scales[c] / 256.0
            for j in range(n):
                t = max(part * work[min(c, 1), j], -0.25)
                e = 1 / 5040 + t * (1 / 40320 + t / 362880)
                e = 1.0 + t * (1.0 + t * (0.5 + t * (1 / 6 + t * (1 / 24 + t * (1 / 120 + t * (1 / 720 + t * e))))))
                e *= e
                e *= e
                e *= e
                e *= e
                e *= e
                e *= e
                e *= e
                work[2, j] = e * e
            for k in range(d + 1):
                one = u[i, k - 1] if k else 1.0
                own = 0.0
                for j in range(n):
                    own += work[2, j] * slopes[c, k, j]
                total += one * own
        value[i], nearest[i], square[i] = total, at, work[1, at]
