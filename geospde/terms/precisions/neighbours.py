"""Proper autoregressions over areas: conditional (CAR) and simultaneous (SAR)."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.special import expit

from geospde.families.pc import correlation
from geospde.families.priors import Gaussian, Independent, PCSd, Prior
from geospde.terms.precisions.base import Precision

Vector = NDArray[np.float64]
FURTHEST = 14.0  # logit of rho beyond which the precision has no digits left


class Neighbours(Precision):
    """``Q = (A + rho B + rho² C) / sd²``; theta = (log sd, logit rho).

    Parameters
    ----------
    constant, linear, square : (n, n) sparse matrices
        A, B and C.
    signed : bool
        Whether rho lies between -1 and 1, and not between 0 and 1.
    prior : Prior, optional
    label : str
    """

    parameters = ("sd", "rho")
    factorisations = 1

    def __init__(
        self,
        constant: sp.csc_matrix,
        linear: sp.csc_matrix,
        square: sp.csc_matrix,
        signed: bool,
        prior: Prior | None = None,
        label: str = "car",
    ):
        self.n, self.label, self.signed = constant.shape[0], label, signed
        self.prior = prior or Independent((PCSd(1.0, 0.05), Gaussian(0.0, 0.15, "logit")))
        parts = [sp.csc_matrix(sp.tril(part)) for part in (constant, linear, square)]
        union = sp.csc_matrix(sum(abs(part) for part in parts) + sp.identity(self.n))
        union.sort_indices()
        self.pattern = sp.csc_matrix((np.ones(union.nnz), union.indices, union.indptr), shape=union.shape)
        columns = np.repeat(np.arange(self.n), np.diff(union.indptr))
        self._parts = np.array([np.asarray(part.tocsr()[union.indices, columns]).ravel() for part in parts])

    def rho(self, theta: Vector) -> tuple[float, float]:
        """Rho and its derivative in theta."""
        if self.signed:
            rho = float(correlation(theta[1:])[0])
            return rho, 0.5 * (1.0 - rho**2)
        rho = float(expit(theta[1]))
        return rho, rho * (1.0 - rho)

    def user(self, theta: Vector) -> Vector:
        """Standard deviation and rho."""
        return np.array([np.exp(theta[0]), self.rho(theta)[0]])

    def regular(self, theta: Vector) -> Vector:
        """The nearest theta whose rho is a little within its bounds."""
        return np.array([theta[0], np.clip(theta[1], -FURTHEST, FURTHEST)])

    def values(self, theta: Vector) -> Vector:
        """Lower-triangular entries of Q(theta) on the pattern."""
        rho, _ = self.rho(theta)
        return np.asarray(np.exp(-2.0 * theta[0]) * (np.array([1.0, rho, rho**2]) @ self._parts))

    def gradients(self, theta: Vector) -> Vector:
        """Derivatives of `values`, (2, nnz)."""
        rho, slope = self.rho(theta)
        of_rho = np.exp(-2.0 * theta[0]) * slope * (np.array([0.0, 1.0, 2.0 * rho]) @ self._parts)
        return np.array([-2.0 * self.values(theta), of_rho])
