"""Linear combinations of the latent vector under the mixture over theta: means and variances."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.inference.laplace import Laplace, LaplacePoint
from geospde.inference.mixture import GaussianMixture
from geospde.inference.system import QuadraticForms
from geospde.linalg.threads import one_blas_thread

Vector = NDArray[np.float64]
PAIRS = 20_000_000  # of entries in rows of which quadratic forms are taken at once
AT_ONCE = 256  # right sides of one solve
SMALL = 3_000  # latent variables of which a dense covariance costs less than solves


def mixture_of(
    laplace: Laplace, posterior: Any, rows: Any, offset: Vector | float = 0.0, forms: QuadraticForms | None = None
) -> GaussianMixture:
    """Posterior of ``rows @ x + offset`` as a mixture of Gaussians over the theta points.

    Variances come from the selected covariances. Rows whose support leaves the pattern cost some solves per point, at
    most one each, as do those that depend on theta (`rows` then has ``at(theta)``, which gives rows and further
    variances).
    `forms` is the rows' `quadratic_map`, where it is known.
    """
    if hasattr(rows, "at"):
        means, variances = np.empty((2, len(posterior.points), rows.shape[0]))
        with one_blas_thread():  # one point's rows at a time: they may be dense
            for k, point in enumerate(posterior.points):
                own, more = rows.at(point.theta)
                means[k] = own @ point.mean + offset
                variances[k] = _covered_variances(laplace, point, own) + more
        return GaussianMixture(posterior.weights, means, np.sqrt(np.maximum(variances, 1e-300)))
    quadratic, inside = forms or laplace.quadratic_map(rows)
    means = np.array([rows @ p.mean + offset for p in posterior.points])
    variances = np.array([quadratic @ p.covariance for p in posterior.points])
    outside = np.flatnonzero(~inside)
    if outside.size:
        pairs = UncoveredPairs.of(laplace, rows[outside])
        for k, point in enumerate(posterior.points):
            if pairs.cover.size < outside.size:
                variances[k, outside] += pairs.times(partial(_columns, laplace, laplace.factor_again(point)))
            else:
                variances[k, outside] = row_variances(laplace, point, rows[outside])
    # rounding may leave a variance that is zero in truth (a row of zeros) a little negative
    return GaussianMixture(posterior.weights, means, np.sqrt(np.maximum(variances, 1e-300)))


def in_parts(
    rows: Any, offset: Vector | float, mixture: Callable[[Any, Vector | float], GaussianMixture]
) -> GaussianMixture:
    """A mixture of many rows, part by part where their pairs of entries would fill the memory."""
    if hasattr(rows, "at"):
        return mixture(rows, offset)
    counts = np.diff(rows.indptr).astype(np.int64)
    part = np.cumsum(counts * (counts + 1) // 2) // PAIRS
    bounds = [0, *(np.flatnonzero(np.diff(part)) + 1), counts.size]
    of = np.broadcast_to(offset, counts.shape)
    return GaussianMixture.joined([mixture(rows[a:b], of[a:b]) for a, b in zip(bounds[:-1], bounds[1:])])


@dataclass(frozen=True)
class UncoveredPairs:
    """Pairs that a selected inverse does not hold, as of a map's places with a group that was not seen near all.

    One of each pair is among a few latent variables, `cover`, whose columns of the inverse are solved for.

    Attributes
    ----------
    cover : (c,) array
    one, other : (p,) arrays
        Which of `cover` the first of each pair is, and the second's latent variable.
    products : (k, p) csr_matrix
        Twice the products of each row's two entries.
    """

    cover: NDArray[np.intp]
    one: NDArray[np.intp]
    other: NDArray[np.intp]
    products: sp.csr_matrix

    @classmethod
    def of(cls, laplace: Laplace, rows: sp.csr_matrix) -> "UncoveredPairs":
        """Of rows, (k, n)."""
        rows, n = laplace.basis.rows(rows), laplace.n
        counts, found = np.diff(rows.indptr), []
        for size in np.unique(counts[counts > 1]):
            members = np.flatnonzero(counts == size)
            places = rows.indptr[members][:, None] + np.arange(size)
            first, second = (places[:, each].ravel() for each in np.triu_indices(size, 1))
            i, j = rows.indices[first].astype(np.int64), rows.indices[second].astype(np.int64)
            values = 2.0 * rows.data[first] * rows.data[second]
            lacking = ~laplace.places(i, j)[1] & (values != 0)
            found.append([each[lacking] for each in (np.repeat(members, first.size // members.size), i, j, values)])
        row, i, j, values = (np.concatenate(each) for each in zip(*found))
        keys, place = np.unique(np.minimum(i, j) * n + np.maximum(i, j), return_inverse=True)
        low, high = np.divmod(keys, n)
        partners = np.bincount(low, minlength=n) + np.bincount(high, minlength=n)
        is_low = partners[low] > partners[high]
        cover, one = np.unique(np.where(is_low, low, high), return_inverse=True)
        products = sp.csr_matrix((values, (row, place)), shape=(rows.shape[0], keys.size))
        return cls(cover, one, np.where(is_low, high, low), products)

    def times(self, columns: Callable[[NDArray[np.intp]], Vector]) -> Vector:
        """What these pairs add to each row's form, (k,).

        Parameters
        ----------
        columns : callable
            From numbers of latent variables, (c,), to their columns of the symmetric matrix, (n, c).
        """
        values = np.empty(self.one.size)
        for a in range(0, self.cover.size, AT_ONCE):
            own = (self.one >= a) & (self.one < a + AT_ONCE)
            values[own] = columns(self.cover[a : a + AT_ONCE])[self.other[own], self.one[own] - a]
        return np.asarray(self.products @ values)


def _columns(laplace: Laplace, point: LaplacePoint, which: NDArray[np.intp]) -> Vector:
    """Columns of the latent vector's covariance, in the coordinates of `Laplace.basis`: (n, c)."""
    units = np.zeros((laplace.n, which.size))
    units[which, np.arange(which.size)] = 1.0
    return laplace.basis.inside(laplace.solve(point, laplace.basis.dual_outside(units)))


def row_variances(laplace: Laplace, point: LaplacePoint, rows: sp.csr_matrix) -> Vector:
    """``diag(rows S rows')`` by one solve per row, for rows that the pattern does not cover."""
    point, out = laplace.factor_again(point), np.empty(rows.shape[0])
    for a in range(0, rows.shape[0], AT_ONCE):
        part = rows[a : a + AT_ONCE].T.toarray()
        out[a : a + AT_ONCE] = (part * laplace.solve(point, part)).sum(axis=0)
    return out


def _covered_variances(laplace: Laplace, point: LaplacePoint, rows: sp.csr_matrix) -> Vector:
    """The same by a dense S, where that is small and the pattern covers the rows."""
    if laplace.n > SMALL or not _covers(laplace, rows):
        return row_variances(laplace, point, rows)
    rows = laplace.basis.rows(rows)
    covariance, out = laplace.dense(point.covariance), np.empty(rows.shape[0])
    for a in range(0, rows.shape[0], 256):
        part = rows[a : a + 256].toarray()
        out[a : a + 256] = np.einsum("ij,ij->i", part @ covariance, part)
    return out


def _covers(laplace: Laplace, rows: sp.csr_matrix) -> bool:
    """Whether all pairs of entries within each row lie on the pattern."""
    there, pattern = abs(laplace.basis.rows(rows)).sign(), laplace.dense(np.ones(laplace.entries[0].size))
    for a in range(0, rows.shape[0], 256):
        part = there[a : a + 256].toarray()
        if (np.einsum("ij,ij->i", part @ pattern, part) < part.sum(axis=1) ** 2).any():
            return False
    return True
