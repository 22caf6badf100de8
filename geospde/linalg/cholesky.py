"""Sparse Cholesky factors of symmetric positive definite matrices, behind one small interface.

`Cholesky` analyses a pattern once; `factor` takes the values that go with it and gives a `Factor`, which solves,
draws, and reads out the log determinant and the selected inverse. CHOLMOD (through cvxopt) finds the fill-reducing
order and the supernodes, or SciPy's SuperLU where cvxopt is missing; the numbers, which change with every theta, are
ours (`geospde.linalg.supernodal`), so that nothing is analysed or copied again.
"""

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import NumericalError
from geospde.linalg import supernodal
from geospde.linalg.supernodal import Layout

Vector = NDArray[np.float64]
MANY = 4  # right-hand sides from which matrix products repay their call,
SMALL = 2_000  # but not for so few unknowns: the loops that are compiled already do
Analysis = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


class NotPositiveDefinite(NumericalError):
    """The matrix has no Cholesky factor."""


class Cholesky:
    """Cholesky factorisation on a fixed pattern.

    Parameters
    ----------
    pattern : (n, n) csc_matrix
        Lower triangle, diagonal included, sorted indices; its values are not read.
    analyse : callable, optional
        From a pattern to a permutation and the pattern of L (column starts, row numbers): `by_cholmod` or
        `by_superlu`; by default the first that is installed.

    Examples
    --------
    >>> a = sp.csc_matrix([[4.0, 0.0], [2.0, 5.0]])  # lower triangle of [[4, 2], [2, 5]]
    >>> factor = Cholesky(a).factor(a.data)
    >>> factor.solve(np.array([6.0, 7.0]))
    array([1., 1.])
    >>> factor.selected_inverse() * 16  # the inverse is [[5, -2], [-2, 4]] / 16
    array([ 5., -2.,  4.])
    """

    def __init__(self, pattern: sp.csc_matrix, analyse: Callable[[sp.csc_matrix], Analysis] | None = None):
        self.n = pattern.shape[0]
        if analyse is None:
            try:
                import cvxopt  # noqa: F401

                analyse = by_cholmod
            except ImportError:
                analyse = by_superlu
        self.layout = Layout.of(pattern, *analyse(pattern))

    def factor(self, values: Vector) -> "Factor":
        """Factorise the matrix with these values on the pattern.

        Raises
        ------
        NotPositiveDefinite
            For an indefinite or numerically singular matrix, NaN or infinity.
        """
        if not np.isfinite(values).all():
            raise NotPositiveDefinite("the precision matrix has entries that are not finite")
        where = self.layout
        panels = np.zeros(where.size)
        panels[where.entries] = values
        failed = supernodal.factorise(panels, where.first, where.row_start, where.rows, where.start, where.tallest)
        if failed >= 0:
            raise NotPositiveDefinite("the precision matrix is not positive definite")
        return Factor(where, panels)


class Factor:
    """One factorisation P A P' = L L'."""

    def __init__(self, layout: Layout, panels: Vector):
        self._layout = layout
        self._panels = panels
        self.log_determinant = 2.0 * float(np.log(panels[layout.diagonal]).sum())

    def solve(self, b: Vector) -> Vector:
        """Solve A x = b; b is (n,) or (n, k)."""
        where = self._layout
        x = self._columns(b)[where.permutation]
        self._forward(x)
        self._backward(x)
        return self._back(x, np.shape(b))

    def half_solve(self, b: Vector) -> Vector:
        """P' L'⁻¹ b: turns white noise into a draw of precision A."""
        x = self._columns(b).copy()
        self._backward(x)
        return self._back(x, np.shape(b))

    def selected_inverse(self) -> Vector:
        """Entries of A⁻¹ at the pattern's places, in its order, (nnz,)."""
        w = self._layout
        z = supernodal.selected_inverse(self._panels, w.first, w.row_start, w.rows, w.start, w.owner, w.tallest)
        return z[w.entries]

    def _columns(self, b: Vector) -> Vector:
        return np.ascontiguousarray(b, dtype=float).reshape(self._layout.n, -1)

    def _forward(self, x: Vector) -> None:
        w = self._layout
        if x.shape[1] < MANY or w.n < SMALL:
            supernodal.forward(self._panels, w.first, w.row_start, w.rows, w.start, x)
        else:
            supernodal.forward_many(self._panels, w.first, w.row_start, w.rows, w.start, w.tallest, x)

    def _backward(self, x: Vector) -> None:
        w = self._layout
        if x.shape[1] < MANY or w.n < SMALL:
            supernodal.backward(self._panels, w.first, w.row_start, w.rows, w.start, x)
        else:
            supernodal.backward_many(self._panels, w.first, w.row_start, w.rows, w.start, w.tallest, x)

    def _back(self, x: Vector, shape: tuple[int, ...]) -> Vector:
        out = np.empty_like(x)
        out[self._layout.permutation] = x
        return out.reshape(shape)


def by_cholmod(pattern: sp.csc_matrix) -> Analysis:
    """CHOLMOD's permutation (AMD) and its L, whose pattern is padded to supernodes."""
    from cvxopt import cholmod, matrix, spmatrix

    cholmod.options["supernodal"] = 2
    n = pattern.shape[0]
    columns = np.repeat(np.arange(n), np.diff(pattern.indptr))
    identity = spmatrix((pattern.indices == columns).astype(float), pattern.indices, columns, (n, n))
    handle = cholmod.symbolic(identity)
    cholmod.numeric(identity, handle)
    order = matrix(np.arange(n, dtype=float))
    cholmod.solve(handle, order, sys=7)  # P times 0, 1, 2, ...
    start, rows, _ = cholmod.getfactor(handle).CCS
    return _integers(order), _integers(start), _integers(rows)


def by_superlu(pattern: sp.csc_matrix) -> Analysis:
    """SuperLU's permutation (minimum degree) and the pattern of its L."""
    from scipy.sparse.linalg import splu

    ones = sp.csc_matrix((np.ones(pattern.nnz), pattern.indices, pattern.indptr), shape=pattern.shape)
    row_sums = np.bincount(pattern.indices, minlength=pattern.shape[0]) + np.diff(pattern.indptr) + 1.0
    whole = (ones + ones.T + sp.diags_array(row_sums)).tocsc()  # diagonally dominant: no pivoting
    symmetric = {"SymmetricMode": True, "Equil": False}
    lu = splu(whole, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=symmetric)
    lower = lu.L.tocsc()
    lower.sort_indices()
    return np.argsort(lu.perm_c), lower.indptr.astype(np.int64), lower.indices.astype(np.int64)


def _integers(values: object) -> NDArray[np.int64]:
    return np.asarray(values).ravel().astype(np.int64)
