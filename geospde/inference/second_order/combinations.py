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
LARGEST = 3e7  # numbers in the loadings: beyond, variances and skewness are left to the Gaussian


@dataclass(frozen=True)
class HigherOrder:
    """Corrections of variance and skewness at one theta, for any linear combinations.

    Attributes
    ----------
    loadings : (n, m) array
        Covariance of the latent vector with the predictors.
    third : (m,) array
    inner : (m, m) array
        M of `geospde.inference.second_order`.
    entries : (nnz,) arrays
        Rows and columns of the pattern of H.
    basis : Basis
        That H is of.
    """

    loadings: Vector
    third: Vector
    inner: Vector
    entries: tuple[NDArray[np.int64], NDArray[np.int64]]
    basis: Basis

    @classmethod
    def at(cls, laplace: Laplace, point: LaplacePoint) -> "HigherOrder":
        """At a point whose likelihood is not Gaussian."""
        design, third, fourth, h, *_ = Expansion.at(laplace, point)
        loadings = np.ascontiguousarray(laplace.solve(point, design.T.toarray()))
        covariance = design @ loadings
        inner = 0.5 * np.outer(third, third) * covariance**2
        inner[np.diag_indices_from(inner)] += 0.5 * (fourth * h + third * (covariance @ (third * h)))
        return cls(loadings, third, inner, laplace.entries, laplace.basis)

    @cached_property
    def on_pattern(self) -> Vector:
        """Entries of ``loadings M loadings'`` on the pattern of H, (nnz,), which is all that most rows need."""
        loadings = self.basis.inside(self.loadings)
        weighted, out = loadings @ self.inner, np.empty(self.entries[0].size)
        for a in range(0, out.size, 8192):
            i, j = (each[a : a + 8192] for each in self.entries)
            out[a : a + 8192] = np.einsum("pm,pm->p", weighted[i], loadings[j])
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
                more[part] = ((c @ self.inner) * c).sum(axis=1)
        # the series is one of small terms: where they are not small, it is not to be trusted far
        ratio += np.clip(more / safe, -0.2, 0.3)
        return ratio, np.clip(cubes / safe**1.5, -1.5, 1.5)

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
