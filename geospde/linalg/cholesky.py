"""Sparse Cholesky factors of symmetric positive definite matrices, behind one small interface.

`Cholesky` analyses a pattern once: a fill-reducing order (`geospde.linalg.ordering`), then the structure of the factor
(`geospde.linalg.symbolic`). `factor` takes the values that go with the pattern and gives a `Factor`, which solves,
draws, and reads out the log determinant and the selected inverse (`geospde.linalg.supernodal`); values change with
every theta, and nothing is analysed or copied again.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import NumericalError
from geospde.linalg import supernodal
from geospde.linalg.blas import ROUTINES
from geospde.linalg.ordering import fill_reducing
from geospde.linalg.symbolic import Layout, analyse
from geospde.linalg.threads import beside, shared
from geospde.text.memory import refuse_beyond_memory

Vector = NDArray[np.float64]
SMALL = 20_000  # unknowns up to which an analysis is kept for the next fit of the same pattern,
KEPT = 8  # and of how many patterns
COPIES = 8  # memory of a fit in units of one factor: measured 13 at 45,000 unknowns, fewer beyond


def fit_bytes(size: float) -> float:
    """Return the memory of a fit whose factor has so many numbers."""
    return COPIES * 8 * size


class NotPositiveDefinite(NumericalError):
    """The matrix has no Cholesky factor."""


class Cholesky:
    """Cholesky factorisation on a fixed pattern.

    Parameters
    ----------
    pattern : (n, n) csc_matrix
        Lower triangle, diagonal included, sorted indices; its values are not read.
    order : callable, optional
        From a pattern to an order of elimination, (n,); by default `geospde.linalg.ordering.fill_reducing`.

    Examples
    --------
    >>> a = sp.csc_matrix([[4.0, 0.0], [2.0, 5.0]])  # lower triangle of [[4, 2], [2, 5]]
    >>> factor = Cholesky(a).factor(a.data)
    >>> factor.solve(np.array([6.0, 7.0]))
    array([1., 1.])
    >>> factor.selected_inverse() * 16  # the inverse is [[5, -2], [-2, 4]] / 16
    array([ 5., -2.,  4.])
    """

    def __init__(self, pattern: sp.csc_matrix, order: Callable[[sp.csc_matrix], NDArray[np.int64]] | None = None):
        self.n = pattern.shape[0]
        self.layout = _analysed(pattern) if order is None else analyse(pattern, order(pattern))
        refuse_beyond_memory(
            fit_bytes(self.layout.size),
            f"a fit of {self.n:,} latent variables, whose factor has {self.layout.size:,} numbers,",
            "take a coarser mesh: a longer max_edge",
        )

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
        scratch = np.full((4, where.first.size), -1)
        following, position, one, other = scratch

        def part(begin: int, end: int, head: NDArray[np.int64]) -> int:
            work, place = np.empty(where.tallest * where.widest), np.empty(self.n, np.int64)
            return supernodal.factorise(
                ROUTINES, panels, *where.structure, where.owner, work, place, head, following, position, begin, end
            )

        begin = 0
        failed = -1
        if shared(self.n):
            middle, begin = where.halves
            failed = max(beside(lambda: part(0, middle, one), lambda: part(middle, begin, other), self.n))
            if failed < 0:
                _joined(one, other, following)
        if failed < 0:
            failed = part(begin, where.first.size - 1, other)
        if failed >= 0:
            raise NotPositiveDefinite("the precision matrix is not positive definite")
        return Factor(where, panels)


def _analysed(pattern: sp.csc_matrix) -> Layout:
    """The layout in the default order, which fits of one mesh after another ask for again."""
    if pattern.shape[0] > SMALL:
        return analyse(pattern, fill_reducing(pattern))
    return _remembered(*(part.astype(np.int64).tobytes() for part in (pattern.indptr, pattern.indices)))


@lru_cache(KEPT)
def _remembered(starts: bytes, rows: bytes) -> Layout:
    """The same of a pattern's own arrays."""
    indptr, indices = (np.frombuffer(part, np.int64) for part in (starts, rows))
    pattern = sp.csc_matrix((np.ones(indices.size), indices, indptr), shape=2 * (indptr.size - 1,))
    return analyse(pattern, fill_reducing(pattern))


class Factor:
    """One factorisation P A P' = L L'."""

    def __init__(self, layout: Layout, panels: Vector):
        self._layout = layout
        self._panels = panels
        self.log_determinant = 2.0 * float(np.log(panels[layout.diagonal]).sum())

    def solve(self, b: Vector) -> Vector:
        """Solve A x = b; b is (n,) or (n, k)."""
        x = self._columns(b)[self._layout.permutation]
        self._through(supernodal.forward, x)
        self._through(supernodal.backward, x)
        return self._back(x, np.shape(b))

    def half_solve(self, b: Vector) -> Vector:
        """P' L'⁻¹ b: turns white noise into a draw of precision A."""
        x = self._columns(b).copy()
        self._through(supernodal.backward, x)
        return self._back(x, np.shape(b))

    def selected_inverse(self) -> Vector:
        """Entries of A⁻¹ at the pattern's places, in its order, (nnz,)."""
        w = self._layout
        z = np.empty(w.size)

        def part(begin: int, end: int) -> None:
            square, y = np.empty(w.deepest**2), np.empty(w.deepest * w.widest)
            supernodal.selected_inverse(ROUTINES, self._panels, *w.structure, w.owner, square, y, z, begin, end)

        middle, both = w.halves if shared(w.n) else (0, 0)
        part(both, w.first.size - 1)
        if both:
            beside(lambda: part(0, middle), lambda: part(middle, both), w.n)
        return z[w.entries]

    def _columns(self, b: Vector) -> Vector:
        return np.ascontiguousarray(b, dtype=float).reshape(self._layout.n, -1)

    def _through(self, kernel: Callable[..., None], x: Vector) -> None:
        """Overwrite x, (n, k) in the order of L, by what a kernel solves."""
        if x.size:
            work = np.empty(self._layout.deepest * x.shape[1])
            kernel(ROUTINES, self._panels, *self._layout.structure, work, x.reshape(-1), x.shape[1])

    def _back(self, x: Vector, shape: tuple[int, ...]) -> Vector:
        out = np.empty_like(x)
        out[self._layout.permutation] = x
        return out.reshape(shape)


def _joined(one: NDArray[np.int64], other: NDArray[np.int64], following: NDArray[np.int64]) -> None:
    """Put those that wait in the first half's lists behind those of the second's: the order of one after the other."""
    for s in np.flatnonzero(one >= 0):
        at = other[s]
        if at < 0:
            other[s] = one[s]
            continue
        while following[at] >= 0:
            at = following[at]
        following[at] = one[s]
