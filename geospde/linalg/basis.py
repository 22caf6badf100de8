"""Coordinates of regression coefficients in which their columns are not nearly combinations of each other.

Beside a constant a column of numbers far from zero (a year, an easting in metres) is nearly a multiple of it: the
precision matrix has its square, in which nothing is left of how the two differ. A column that is taken less its
regression on those before it tells the same, and keeps all digits. The coordinates change by a triangular matrix of
determinant 1, and with them neither likelihoods nor priors.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

Vector = NDArray[np.float64]
NEAR = 0.1  # share of a column outside the span of those before it, below which its regression on them is subtracted
ROUNDING = 1e-12  # weight in that regression, for columns of length 1, that counts as zero


@dataclass(frozen=True)
class Basis:
    """Coordinates z of the last k entries b of vectors of length n: ``b = back @ z``.

    Attributes
    ----------
    first : int
        Number of entries before them, which stay as they are.
    back : (k, k) array
        Upper triangular, with ones on the diagonal.
    """

    first: int
    back: Vector

    @classmethod
    def of(cls, design: sp.csr_matrix, first: int) -> "Basis":
        """For the columns of a design, (m, n), from `first` on.

        Examples
        --------
        >>> years = sp.csr_matrix([[1.0, 2001], [1, 2002], [1, 2006]])
        >>> basis = Basis.of(years, 0)
        >>> basis.rows(years).toarray().round(9)
        array([[ 1., -2.],
               [ 1., -1.],
               [ 1.,  3.]])
        """
        back = np.eye(design.shape[1] - first)
        if len(back) < 2 or not design.shape[0]:
            return cls(first, back)
        columns = design[:, first:].toarray()
        lengths = np.linalg.norm(columns, axis=0)
        lengths[lengths == 0] = 1.0
        r = np.asarray(np.linalg.qr(columns / lengths, mode="r"))
        for k in range(1, min(len(r), len(back))):
            if abs(r[k, k]) < NEAR:
                own = np.linalg.lstsq(r[:k, :k], r[:k, k])[0]
                own[np.abs(own) < ROUNDING] = 0.0
                back[:k, k] = -own * lengths[k] / lengths[:k]
        return cls(first, back)

    @cached_property
    def is_plain(self) -> bool:
        """Whether they are the coefficients themselves."""
        return bool((self.back == np.eye(len(self.back))).all())

    def rows(self, rows: sp.csr_matrix) -> sp.csr_matrix:
        """What multiplies the vector with z, of what multiplies the one with b, (m, n)."""
        if self.is_plain:
            return sp.csr_matrix(rows)
        own = sp.csr_matrix(rows[:, self.first :] @ sp.csr_matrix(self.back))
        return sp.csr_matrix(sp.hstack([rows[:, : self.first], own], format="csr"))

    def inside(self, x: Vector) -> Vector:
        """The vector with z from the one with b, (n,) or (n, k)."""
        return self._with(x, lambda own: solve_triangular(self.back, own, unit_diagonal=True))

    def outside(self, x: Vector) -> Vector:
        """The vector with b from the one with z."""
        return self._with(x, lambda own: self.back @ own)

    def dual_inside(self, gradient: Vector) -> Vector:
        """Derivatives in z from those in b."""
        return self._with(gradient, lambda own: self.back.T @ own)

    def dual_outside(self, gradient: Vector) -> Vector:
        """Derivatives in b from those in z."""
        return self._with(gradient, lambda own: solve_triangular(self.back, own, trans=1, unit_diagonal=True))

    def precision_inside(self, precision: Vector) -> Vector:
        """Precision of z from that of b, (k, k)."""
        return np.asarray(self.back.T @ precision @ self.back)

    def covariance_outside(self, covariance: Vector) -> Vector:
        """Covariance of b from that of z, (k, k)."""
        return np.asarray(self.back @ covariance @ self.back.T)

    def _with(self, x: Vector, turn: Callable[[Vector], Vector]) -> Vector:
        if self.is_plain:
            return x
        out = x.copy()
        out[self.first :] = turn(x[self.first :])
        return out
