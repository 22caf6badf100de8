"""The selected inverse: entries of A⁻¹ on the pattern of its Cholesky factor, by supernodes.

Takahashi's recursion (Takahashi, Fagan & Chen 1973; Erisman & Tinney 1975), run from the last supernode to the
first. For a supernode with columns S and rows J below it, ``Y = L_JS L_SS⁻¹`` gives ``Z_JS = -Z_JJ Y`` and
``Z_SS = L_SS⁻ᵀ L_SS⁻¹ - Yᵀ Z_JS``; Z_JJ is already known, because J is a clique of the factor's pattern. All but
the gathering of Z_JJ is dense matrix algebra.
"""

import numpy as np
import scipy.sparse as sp
from numba import njit
from numpy.typing import NDArray

Vector = NDArray[np.float64]


@njit(cache=True, nogil=True)
def _supernodes(indptr, indices):
    """First columns of maximal runs of columns whose patterns nest without a gap."""
    n = indptr.size - 1
    first = np.empty(n + 1, np.int64)
    count = 0
    for j in range(n):
        start = True
        if j > 0:
            before, here = indptr[j] - indptr[j - 1], indptr[j + 1] - indptr[j]
            if before == here + 1 and before > 1 and indices[indptr[j - 1] + 1] == j:
                start = False
                for k in range(here):
                    if indices[indptr[j - 1] + 1 + k] != indices[indptr[j] + k]:
                        start = True
                        break
        if start:
            first[count] = j
            count += 1
    first[count] = n
    return first[: count + 1]


@njit(cache=True, nogil=True)
def _takahashi(indptr, indices, lower, first):
    z = np.zeros_like(lower)
    for s in range(first.size - 2, -1, -1):
        a, b = first[s], first[s + 1]
        width = b - a
        start = indptr[a] + width  # rows below the diagonal block, in column a
        below = indptr[a + 1] - start
        # inverse of the triangular diagonal block
        block = np.zeros((width, width))
        for c in range(width):
            for r in range(c, width):
                block[r, c] = lower[indptr[a + c] + r - c]
        inverse = np.linalg.inv(block) if width > 1 else 1.0 / block
        inverse_t = np.ascontiguousarray(inverse.T)
        inverse = np.ascontiguousarray(inverse)
        zss = np.dot(inverse_t, inverse)
        if below > 0:
            rows = indices[start : start + below]
            ljs = np.empty((below, width))
            for c in range(width):
                offset = indptr[a + c] + width - c
                for r in range(below):
                    ljs[r, c] = lower[offset + r]
            y = np.dot(ljs, inverse)
            zjj = np.empty((below, below))
            for c in range(below):
                column = rows[c]
                at, end = indptr[column], indptr[column + 1]
                for r in range(c, below):
                    row = rows[r]
                    while at < end and indices[at] < row:
                        at += 1
                    zjj[r, c] = z[at]
                    zjj[c, r] = z[at]
            zjs = np.dot(zjj, y)
            zss += np.dot(np.ascontiguousarray(y.T), zjs)
            for c in range(width):
                offset = indptr[a + c] + width - c
                for r in range(below):
                    z[offset + r] = -zjs[r, c]
        for c in range(width):
            for r in range(c, width):
                z[indptr[a + c] + r - c] = zss[r, c]
    return z


class SelectedInverse:
    """Reads the selected inverse on a fixed pattern out of factors of matrices with that pattern.

    Parameters
    ----------
    pattern : (n, n) csc_matrix
        Lower triangle of A, sorted indices.
    """

    def __init__(self, pattern: sp.csc_matrix):
        self._pattern = pattern
        self._where: NDArray[np.int64] | None = None
        self._first: NDArray[np.int64] | None = None
        self._nnz = -1

    def __call__(self, factor) -> Vector:
        """Entries of A⁻¹ at the pattern's places, (nnz,)."""
        permutation, lower = factor.lower()
        indptr, indices = lower.indptr.astype(np.int64), lower.indices.astype(np.int64)
        if self._where is None or self._first is None or self._nnz != lower.nnz:
            self._nnz = lower.nnz
            self._first = _supernodes(indptr, indices)
            self._where = self._places(permutation, lower)
        return _takahashi(indptr, indices, lower.data, self._first)[self._where]

    def _places(self, permutation: NDArray[np.int64], lower: sp.csc_matrix) -> NDArray[np.int64]:
        n = lower.shape[0]
        rank = np.empty(n, np.int64)
        rank[permutation] = np.arange(n)
        i = rank[self._pattern.indices]
        j = rank[np.repeat(np.arange(n), np.diff(self._pattern.indptr))]
        keys = np.repeat(np.arange(n, dtype=np.int64), np.diff(lower.indptr)) * n + lower.indices
        return np.searchsorted(keys, np.minimum(i, j) * n + np.maximum(i, j))
