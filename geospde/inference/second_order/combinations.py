"""What cubic and quartic terms add to variance and skewness of linear combinations of the latent vector."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.inference.laplace import Laplace, LaplacePoint
from geospde.inference.second_order.expansion import Expansion
from geospde.linalg.basis import Basis
from geospde.linalg.mixtures import triple_sums

Vector = NDArray[np.float64]

# What rows share is computed once for rows of at most so many columns, of which there are so many, so many a set of
# columns on average.
WIDEST = 6
FEWEST = 2000
SHARED = 4
ARRANGEMENTS = {1: 1.0, 2: 3.0, 3: 6.0}  # of three things, so many of them different
BEYOND = 1e5  # ratio of a sum of sds squared to the variance of the sum, whose square loses as many digits twice
BLOCK = 512  # columns of M, or pairs of latent variables, at a time
LARGEST = 3e7  # numbers in the loadings: beyond, variances and skewness are left to the Gaussian


@dataclass(frozen=True)
class HigherOrder:
    """Corrections of variance and skewness at one theta, for any linear combinations.

    All arrays are in the coordinates of `basis`.

    Attributes
    ----------
    rows : (m, n) csr_matrix
        What the terms of the expansion are of: the predictors, of pairs also sums of two.
    loadings : (n, m) array
        Covariance of the latent vector with them.
    third : (m,) array
    diagonal : (m,) array
        The first part of M of `geospde.inference.second_order`.
    covariance : (n, n) array or None
        Of the latent vector; None where there are more latent variables than rows, or it has no digits to spare.
    entries : (nnz,) arrays
        Rows and columns of the pattern of H.
    basis : Basis
        That H is of.
    """

    rows: sp.csr_matrix
    loadings: Vector
    third: Vector
    diagonal: Vector
    covariance: Vector | None
    entries: tuple[NDArray[np.int64], NDArray[np.int64]]
    basis: Basis

    @classmethod
    def at(cls, laplace: Laplace, point: LaplacePoint) -> "HigherOrder":
        """At a point whose likelihood is not Gaussian."""
        design, third, fourth, h, *_ = Expansion.at(laplace, point)
        basis, point = laplace.basis, laplace.factor_again(point)

        def solve(b: Vector) -> Vector:
            return np.ascontiguousarray(basis.inside(laplace.solve(point, basis.dual_outside(b))))

        rows = basis.rows(design)
        covariance = solve(np.eye(rows.shape[1])) if rows.shape[1] < rows.shape[0] else None
        if covariance is not None and ((abs(rows) @ np.sqrt(covariance.diagonal())) ** 2 > BEYOND * h).any():
            covariance = None  # h would be left of differences of numbers much larger
        loadings = solve(rows.T.toarray()) if covariance is None else np.ascontiguousarray((rows @ covariance).T)
        diagonal = 0.5 * (fourth * h + third * (rows @ (loadings @ (third * h))))
        return cls(rows, loadings, third, diagonal, covariance, laplace.entries, basis)

    @cached_property
    def on_pattern(self) -> Vector:
        """Entries of ``loadings M loadings'`` on the pattern of H, (nnz,), which is all that most rows need."""
        if self.whole is not None:
            return np.asarray(self.whole[self.entries])
        weighted, out = self._times_m(self.loadings), np.empty(self.entries[0].size)
        for a in range(0, out.size, 8192):
            i, j = (each[a : a + 8192] for each in self.entries)
            out[a : a + 8192] = np.einsum("pm,pm->p", weighted[i], self.loadings[j])
        return out

    @cached_property
    def whole(self) -> Vector | None:
        """``loadings M loadings'``, (n, n), where it takes less than M, as of many predictors of few latent variables.

        With ``eta = W x`` and S the covariance of x, ``C_ij²`` is a sum over the pairs (a, b) of columns of row i and
        (c, d) of row j of ``W_ia W_ib W_jc W_jd S_ac S_bd``: the sums over i and j are taken first, pair by pair.
        """
        covariance = self.covariance
        pairs = None if covariance is None else pairs_of_columns(self.rows, self.third.size // 2)
        if covariance is None or pairs is None:
            return None
        (a, b), products = pairs
        of_pairs = np.ascontiguousarray((products.T @ (self.loadings * self.third).T).T)
        squares = sp.csr_matrix(self.rows.T @ sp.diags_array(self.diagonal) @ self.rows)
        out: Vector = covariance @ (squares @ covariance)
        for k in range(0, a.size, BLOCK):
            c, d = a[k : k + BLOCK], b[k : k + BLOCK]
            both = covariance[np.ix_(a, c)] * covariance[np.ix_(b, d)]
            both += covariance[np.ix_(a, d)] * covariance[np.ix_(b, c)]
            out += 0.25 * (of_pairs @ both) @ of_pairs[:, k : k + BLOCK].T
        return out

    def _times_m(self, c: Vector) -> Vector:
        """``c M`` for c (k, m), by columns of M: there are as many as observations, and as many in each."""
        out, scaled = c * self.diagonal, 0.5 * c * self.third
        for a in range(0, self.third.size, BLOCK):
            part = slice(a, a + BLOCK)
            out[:, part] += (scaled @ (self.rows @ self.loadings[:, part]) ** 2) * self.third[part]
        return out

    def of(
        self, rows: sp.csr_matrix, variances: Vector, quadratic: sp.csr_matrix | None = None
    ) -> tuple[Vector, Vector]:
        """Factor of the variance, and skewness, of each row's combination.

        Parameters
        ----------
        rows : (k, n) csr_matrix
        variances : (k,) array
            At the same point, before correction.
        quadratic : (k, nnz) csr_matrix, optional
            From entries on the pattern of H to the rows' quadratic forms, where the pattern covers the rows: with it a
            row costs no square of the number of observations.
        """
        rows = self.basis.rows(rows)
        ratio, cubes = np.ones(rows.shape[0]), np.empty(rows.shape[0])
        safe = np.maximum(variances, 1e-300)
        more = None if quadratic is None else quadratic @ self.on_pattern
        shared = shared_supports(rows)
        for members, supports, which in shared:
            cubes[members] = self._cubes(rows, members, supports, which)
        alone = np.ones(rows.shape[0], bool)
        for members, _, _ in shared:
            alone[members] = False
        if more is None:
            more, alone = np.empty(rows.shape[0]), np.ones_like(alone)
        left = np.flatnonzero(alone)
        for a in range(0, left.size, 2048):
            part = left[a : a + 2048]
            c = rows[part] @ self.loadings
            cubes[part] = (c * c * c) @ self.third
            if quadratic is None:
                more[part] = self._forms(rows[part], c)
        # the series is one of small terms: where they are not small, it is not to be trusted far
        ratio += np.clip(more / safe, -0.2, 0.3)
        return ratio, np.clip(cubes / safe**1.5, -1.5, 1.5)

    def _forms(self, rows: sp.csr_matrix, c: Vector) -> Vector:
        """``c M c'`` of each row, c (k, m) its covariances with the predictors."""
        if self.whole is None:
            return np.asarray((self._times_m(c) * c).sum(axis=1))
        return np.asarray(rows.multiply(rows @ self.whole).sum(axis=1)).ravel()

    def _cubes(
        self, rows: sp.csr_matrix, members: NDArray[np.intp], supports: NDArray[np.int64], which: NDArray[np.intp]
    ) -> Vector:
        """Third cumulants of rows that share supports: sums over the observations are taken once a support."""
        k = supports.shape[1]
        triples = [(a, b, c) for a in range(k) for b in range(a, k) for c in range(b, k)]
        sums, out = np.empty((len(supports), len(triples))), np.zeros(members.size)
        triple_sums(supports, self.loadings, self.third, sums)
        arranged = iter(np.ascontiguousarray((sums * [ARRANGEMENTS[len(set(each))] for each in triples]).T))
        w = np.ascontiguousarray(rows.data[rows.indptr[members][:, None] + np.arange(k)].T)
        for a in range(k):
            of_a = np.zeros(members.size)
            for b in range(a, k):
                of_pair = np.zeros(members.size)
                for c in range(b, k):
                    of_pair += w[c] * next(arranged)[which]
                of_a += w[b] * of_pair
            out += w[a] * of_a
        return out


def shared_supports(
    rows: sp.csr_matrix,
) -> list[tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.intp]]]:
    """Find the rows whose columns are those of many others, as of a map's cells within one triangle.

    Returns
    -------
    list of (members, supports, which)
        Row numbers; the different sets of columns, (s, k); which of them each row has.
    """
    counts, found = np.diff(rows.indptr), []
    for k in range(1, WIDEST + 1):
        members = np.flatnonzero(counts == k)
        if members.size < FEWEST:
            continue
        columns = rows.indices[rows.indptr[members][:, None] + np.arange(k)].astype(np.int64)
        keys = columns @ np.random.default_rng(k).integers(1, 2**62, k)  # equal for equal columns; wraps around
        _, first, which = np.unique(keys, return_index=True, return_inverse=True)
        supports = columns[first]
        if len(supports) * SHARED <= members.size and (supports[which] == columns).all():
            found.append((members, supports, which))
    return found


def pairs_of_columns(
    rows: sp.csr_matrix, most: int
) -> tuple[tuple[NDArray[np.intp], NDArray[np.intp]], sp.csr_matrix] | None:
    """Find the pairs of columns that rows, (m, n), have entries in both of; None where there are more than `most`.

    Returns
    -------
    pairs : two (p,) arrays
        The smaller column and the larger, which may be the same.
    products : (m, p) csr_matrix
        Products of the two entries, twice those of different columns.
    """
    together = sp.triu(abs(rows.T).sign() @ abs(rows).sign(), format="coo")
    if together.nnz > most:
        return None
    n, counts = rows.shape[1], np.diff(rows.indptr)
    keys = np.sort(together.row.astype(np.int64) * n + together.col)
    entries = []
    for k in np.unique(counts[counts > 0]):
        members = np.flatnonzero(counts == k)
        places = rows.indptr[members][:, None] + np.arange(k)
        first, second = np.triu_indices(k)
        low, high = np.sort([rows.indices[places[:, first]], rows.indices[places[:, second]]], axis=0).astype(np.int64)
        values = rows.data[places[:, first]] * rows.data[places[:, second]] * np.where(first == second, 1.0, 2.0)
        entries.append((np.repeat(members, first.size), np.searchsorted(keys, low * n + high).ravel(), values.ravel()))
    row, column, value = (np.concatenate(each) for each in zip(*entries))
    return np.divmod(keys, n), sp.csr_matrix((value, (row, column)), shape=(rows.shape[0], keys.size))
