"""Cholesky factors of symmetric positive definite matrices, behind one small interface.

A solver analyses a pattern once; `factor` takes the values that go with it. Three interchangeable solvers:
CHOLMOD (through cvxopt), SciPy's SuperLU, and a dense one for small problems and as the tests' oracle.
"""

from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import NumericalError

Vector = NDArray[np.float64]


class Factor(Protocol):
    """One factorisation P A P' = L L'."""

    log_determinant: float

    def solve(self, b: Vector) -> Vector:
        """Solve A x = b; b is (n,) or (n, k)."""

    def half_solve(self, b: Vector) -> Vector:
        """P' L'⁻¹ b: turns white noise into a draw of precision A."""

    def lower(self) -> tuple[NDArray[np.int64], sp.csc_matrix]:
        """Permutation p and L with ``A[p][:, p] = L L'``."""


class NotPositiveDefinite(NumericalError):
    """The matrix has no Cholesky factor."""


class Cholmod:
    """Supernodal sparse Cholesky by CHOLMOD.

    Parameters
    ----------
    pattern : (n, n) csc_matrix
        Lower triangle with sorted indices; its values are not read.
    """

    def __init__(self, pattern: sp.csc_matrix):
        from cvxopt import cholmod, matrix, spmatrix

        self.n = pattern.shape[0]
        columns = np.repeat(np.arange(self.n), np.diff(pattern.indptr))
        self._matrix = spmatrix(1.0, pattern.indices, columns, (self.n, self.n))
        if len(self._matrix) != pattern.nnz:
            raise ValueError("the pattern holds an entry twice")
        self._diagonal = pattern.indptr[:-1]  # first of each column in a lower triangle
        # the fill-reducing order is found once; `symbolic` with it given is cheap, and each factor has its own
        self._order: tuple[Any, ...] = ()
        symbolic = self._symbolic()
        self._matrix.V = matrix(np.where(np.isin(np.arange(pattern.nnz), self._diagonal), 1.0, 0.0))
        cholmod.numeric(self._matrix, symbolic)
        order = matrix(np.arange(self.n, dtype=float))
        cholmod.solve(symbolic, order, sys=7)
        self.permutation = np.asarray(order).ravel().astype(np.int64)
        self._order = (matrix(self.permutation.tolist()),)

    def _symbolic(self) -> Any:
        from cvxopt import cholmod

        cholmod.options["supernodal"] = 2
        return cholmod.symbolic(self._matrix, *self._order)

    def handle(self, values: Vector) -> Any:
        """CHOLMOD's own object for the factor of these values."""
        from cvxopt import cholmod, matrix

        handle = self._symbolic()
        self._matrix.V = matrix(values)
        cholmod.numeric(self._matrix, handle)
        return handle

    def factor(self, values: Vector) -> "CholmodFactor":
        """Factorise the matrix with these values on the pattern.

        Raises
        ------
        NotPositiveDefinite
            When there is no factor: an indefinite or numerically singular matrix, NaN or infinity.
        """
        from cvxopt import cholmod

        values = np.ascontiguousarray(values, dtype=float)
        # CHOLMOD lets NaN and infinity through, and takes a vanishing pivot without a word: check both
        if not np.isfinite(values).all():
            raise NotPositiveDefinite("the precision matrix has entries that are not finite")
        try:
            handle = self.handle(values)
        except ArithmeticError as error:
            raise NotPositiveDefinite(f"the precision matrix is not positive definite ({error})") from None
        diagonal = np.asarray(cholmod.diag(handle)).ravel()
        if not (np.isfinite(diagonal).all() and (diagonal > 0).all()):
            raise NotPositiveDefinite("the precision matrix is numerically singular")
        return CholmodFactor(self, handle, values, diagonal)


class CholmodFactor:
    """A factor made by `Cholmod`."""

    def __init__(self, solver: Cholmod, handle: Any, values: Vector, diagonal: Vector):
        self._solver = solver
        self._handle = handle
        self._values = values
        self.log_determinant = 2.0 * float(np.log(diagonal).sum())
        self._lower: sp.csc_matrix | None = None

    def _apply(self, b: Vector, systems: tuple[int, ...]) -> Vector:
        from cvxopt import cholmod, matrix

        work = matrix(np.asfortranarray(b, dtype=float))
        for system in systems:
            cholmod.solve(self._handle, work, sys=system)
        return np.asarray(work).reshape(np.shape(b))

    def solve(self, b: Vector) -> Vector:
        """Solve A x = b; b is (n,) or (n, k)."""
        return self._apply(b, (0,))

    def half_solve(self, b: Vector) -> Vector:
        """P' L'⁻¹ b: turns white noise into a draw of precision A."""
        return self._apply(b, (5, 8))

    def lower(self) -> tuple[NDArray[np.int64], sp.csc_matrix]:
        """Permutation p and L with ``A[p][:, p] = L L'``; explicit zeros of the supernodes are kept."""
        if self._lower is None:
            from cvxopt import cholmod

            # reading L out of a handle leaves it unfit for solving, so a second one is made for it
            handle = self._solver.handle(self._values)
            start, rows, values = (np.asarray(part).ravel() for part in cholmod.getfactor(handle).CCS)
            self._lower = sp.csc_matrix((values, rows, start), shape=(self._solver.n, self._solver.n))
        return self._solver.permutation, self._lower


class SuperLU:
    """Sparse Cholesky from SciPy's SuperLU: an LU without pivoting, scaled. For where CHOLMOD is missing."""

    def __init__(self, pattern: sp.csc_matrix):
        self.n = pattern.shape[0]
        self._indices, self._indptr = pattern.indices, pattern.indptr

    def factor(self, values: Vector) -> "SuperLUFactor":
        """Factorise the matrix with these values on the pattern; raises NotPositiveDefinite."""
        from scipy.sparse.linalg import splu

        if not np.isfinite(values).all():
            raise NotPositiveDefinite("the precision matrix has entries that are not finite")
        lower = sp.csc_matrix((values, self._indices, self._indptr), shape=(self.n, self.n))
        whole = (lower + sp.tril(lower, -1).T).tocsc()
        try:
            lu = splu(
                whole,
                permc_spec="MMD_AT_PLUS_A",
                diag_pivot_thresh=0.0,
                options={"SymmetricMode": True, "Equil": False},
            )
        except RuntimeError as error:
            raise NotPositiveDefinite(f"the precision matrix is not positive definite ({error})") from None
        pivots = lu.U.diagonal()
        if not (np.array_equal(lu.perm_r, lu.perm_c) and np.isfinite(pivots).all() and (pivots > 0).all()):
            raise NotPositiveDefinite("the precision matrix is not positive definite")
        return SuperLUFactor(lu, pivots)


class SuperLUFactor:
    """A factor made by `SuperLU`."""

    def __init__(self, lu: Any, pivots: Vector):
        self._lu = lu
        self._pivots = pivots
        self.log_determinant = float(np.log(pivots).sum())

    def solve(self, b: Vector) -> Vector:
        """Solve A x = b; b is (n,) or (n, k)."""
        return self._lu.solve(np.asarray(b, dtype=float))

    def half_solve(self, b: Vector) -> Vector:
        """P' L'⁻¹ b: turns white noise into a draw of precision A."""
        from scipy.sparse.linalg import spsolve_triangular

        permutation, lower = self.lower()
        x = np.empty(np.shape(b))
        x[permutation] = spsolve_triangular(lower.T.tocsr(), np.asarray(b, dtype=float), lower=False)
        return x

    def lower(self) -> tuple[NDArray[np.int64], sp.csc_matrix]:
        """Permutation p and L with ``A[p][:, p] = L L'``."""
        permutation = np.argsort(self._lu.perm_c)
        lower = sp.csc_matrix(self._lu.L @ sp.diags_array(np.sqrt(self._pivots)))
        lower.sort_indices()
        return permutation, lower


class Dense:
    """LAPACK's Cholesky on the filled matrix: the oracle."""

    def __init__(self, pattern: sp.csc_matrix):
        self.n = pattern.shape[0]
        self._rows = pattern.indices
        self._columns = np.repeat(np.arange(self.n), np.diff(pattern.indptr))

    def factor(self, values: Vector) -> "DenseFactor":
        """Factorise the matrix with these values on the pattern; raises NotPositiveDefinite."""
        if not np.isfinite(values).all():
            raise NotPositiveDefinite("the precision matrix has entries that are not finite")
        a = np.zeros((self.n, self.n))
        a[self._rows, self._columns] = values
        a[self._columns, self._rows] = values
        try:
            return DenseFactor(np.linalg.cholesky(a))
        except np.linalg.LinAlgError:
            raise NotPositiveDefinite("the precision matrix is not positive definite") from None


class DenseFactor:
    """A factor made by `Dense`."""

    def __init__(self, lower: Vector):
        self._l = lower
        self.log_determinant = 2.0 * float(np.log(np.diag(lower)).sum())

    def solve(self, b: Vector) -> Vector:
        """Solve A x = b; b is (n,) or (n, k)."""
        return np.asarray(np.linalg.solve(self._l.T, np.linalg.solve(self._l, b)), dtype=float)

    def half_solve(self, b: Vector) -> Vector:
        """P' L'⁻¹ b: turns white noise into a draw of precision A."""
        return np.asarray(np.linalg.solve(self._l.T, b), dtype=float)

    def lower(self) -> tuple[NDArray[np.int64], sp.csc_matrix]:
        """Permutation p and L with ``A[p][:, p] = L L'``."""
        n = self._l.shape[0]
        rows, columns = np.tril_indices(n)
        full = sp.csc_matrix((self._l[rows, columns], (rows, columns)), shape=(n, n))
        return np.arange(n), full


Solver = Cholmod | SuperLU | Dense


def cholesky(pattern: sp.csc_matrix) -> Solver:
    """The best solver on this machine for a lower-triangular pattern."""
    try:
        return Cholmod(pattern)
    except ImportError:
        return SuperLU(pattern)
