"""Lower triangles of symmetric matrices on a pattern that they share."""

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Vector = NDArray[np.float64]


def union_pattern(matrices: Sequence[sp.csc_matrix]) -> sp.csc_matrix:
    """The lower triangle in which any of the matrices has entries, filled with ones."""
    union = sp.csc_matrix(sum(sp.tril(abs(m), format="csc") for m in matrices))
    union.sort_indices()
    return sp.csc_matrix((np.ones(union.nnz), union.indices, union.indptr), shape=union.shape)


def on_pattern(pattern: sp.csc_matrix, matrix: sp.csc_matrix) -> Vector:
    """Lower-triangular entries of a matrix in the order of a pattern that has them all, (nnz,)."""
    lower = sp.csc_matrix(sp.tril(matrix, format="csc"))
    lower.sort_indices()
    out = np.zeros(pattern.nnz)
    out[np.searchsorted(keys(pattern), keys(lower))] = lower.data
    return out


def keys(m: sp.csc_matrix) -> NDArray[np.int64]:
    """One sorted integer an entry of a csc matrix with sorted indices: column by column, row by row."""
    n = m.shape[0]
    value: NDArray[np.int64] = np.repeat(np.arange(n, dtype=np.int64), np.diff(m.indptr)) * n + m.indices
    return value
