"""Intrinsic blocks: precisions of one structure, singular, scaled by one standard deviation."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.families.priors import Independent, PCSd, Prior
from geospde.terms.precisions.base import Precision

Vector = NDArray[np.float64]


class Intrinsic(Precision):
    """``Q = R / sd²`` of a structure matrix R that is singular; theta = log sd.

    Parameters
    ----------
    structure : (n, n) sparse matrix
        R.
    constraints : (n, k) array
        C of the conditions C'x = 0, within the directions in which R is flat.
    rank_deficiency : int
        Dimensions in which R is flat, k at least.
    log_determinant : float
        Logarithm of the product of the eigenvalues of R that are not zero.
    prior : Prior, optional
        Density on log sd; by default PC with P(sd > 1) = 0.05.
    label : str
        Name in tables.

    References
    ----------
    Rue & Held (2005), Gaussian Markov Random Fields, chapter 3.
    """

    parameters = ("sd",)

    def __init__(
        self,
        structure: sp.csc_matrix,
        constraints: Vector,
        rank_deficiency: int,
        log_determinant: float,
        prior: Prior | None = None,
        label: str = "intrinsic",
    ):
        lower = sp.csc_matrix(sp.tril(structure))
        lower.sort_indices()
        self.n = lower.shape[0]
        self.label = label
        self.prior = prior or Independent((PCSd(1.0, 0.05),))
        self.pattern = sp.csc_matrix((np.ones(lower.nnz), lower.indices, lower.indptr), shape=lower.shape)
        self.constraints = constraints
        self.rank_deficiency = rank_deficiency
        self._entries = lower.data
        self._log_determinant = log_determinant

    def values(self, theta: Vector) -> Vector:
        """Lower-triangular entries of Q(theta) on the pattern."""
        return np.exp(-2.0 * theta[0]) * self._entries

    def gradients(self, theta: Vector) -> Vector:
        """Derivative of `values`, (1, nnz)."""
        return -2.0 * self.values(theta)[None, :]

    def log_normaliser(self, theta: Vector, gradient: bool = True) -> tuple[float, Vector]:
        """½ log of Q's generalised determinant, and its gradient."""
        rank = self.n - self.rank_deficiency
        return 0.5 * self._log_determinant - rank * float(theta[0]), np.array([-float(rank)])
