"""Effects of areas that are in part alike among neighbours and in part independent."""

from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.special import expit

from geospde.families.pc import PCMixing
from geospde.families.priors import Independent, PCSd, Prior
from geospde.terms.precisions.base import Precision

Vector = NDArray[np.float64]


class Mixed(Precision):
    """BYM2: ``b = sd (sqrt(1 - phi) v + sqrt(phi) u)``, v independent, u intrinsic and scaled.

    The latent vector is (b, u), whose precision is sparse; theta = (log sd, logit phi).

    Parameters
    ----------
    structure : (n, n) sparse matrix
        Precision of u.
    constraints : (n, k) array
        Of u.
    log_determinant : float
        Of the structure within the constraints.
    prior : Prior, optional
    label : str

    References
    ----------
    Riebler, Sørbye, Simpson & Rue (2016), Stat. Methods Med. Res. 25, 1145-1165.
    """

    parameters = ("sd", "phi")

    def __init__(
        self,
        structure: sp.csc_matrix,
        constraints: Vector,
        log_determinant: float,
        prior: Prior | None = None,
        label: str = "bym2",
    ):
        m = self.size = structure.shape[0]
        self.n = 2 * m
        self.label = label
        self.structure = structure
        self._log_determinant = log_determinant
        self.constraints = np.vstack([np.zeros_like(constraints), constraints])
        self.rank_deficiency = constraints.shape[1]
        self.prior = prior or Independent((PCSd(1.0, 0.01), PCMixing(0.5, 0.5).of(self.eigenvalues)))
        lower = sp.csc_matrix(sp.tril(structure))
        unit = sp.identity(m, format="csc")
        parts = [
            sp.block_array([[unit, None], [None, sp.csc_matrix((m, m))]], format="csc"),
            sp.block_array([[sp.csc_matrix((m, m)), None], [unit, sp.csc_matrix((m, m))]], format="csc"),
            sp.block_array([[sp.csc_matrix((m, m)), None], [None, unit]], format="csc"),
            sp.block_array([[sp.csc_matrix((m, m)), None], [None, lower]], format="csc"),
        ]
        union = sp.csc_matrix(sum(abs(part) for part in parts))
        union.sort_indices()
        self.pattern = sp.csc_matrix((np.ones(union.nnz), union.indices, union.indptr), shape=union.shape)
        columns = np.repeat(np.arange(self.n), np.diff(union.indptr))
        # what b, b with u, and u have on the diagonals of their blocks, and the structure
        self._parts = np.array([np.asarray(part.tocsr()[union.indices, columns]).ravel() for part in parts])

    @cached_property
    def eigenvalues(self) -> Vector:
        """Variances of u along its own axes, (n,): zero where it is constrained."""
        values = np.linalg.eigvalsh(self.structure.toarray())
        values[: self.rank_deficiency] = np.inf
        return np.asarray(1.0 / values)

    def user(self, theta: Vector) -> Vector:
        """Standard deviation and share."""
        return np.array([np.exp(theta[0]), expit(theta[1])])

    def regular(self, theta: Vector) -> Vector:
        """The nearest theta whose share is a little within zero and one."""
        return np.array([theta[0], np.clip(theta[1], -16.0, 12.0)])

    def values(self, theta: Vector) -> Vector:
        """Lower-triangular entries of Q(theta) on the pattern."""
        odds, left, root = np.exp(theta[1]), np.exp(-theta[0]), np.sqrt(expit(theta[1]))
        weights = np.array([left**2 * (1.0 + odds), -left * root * (1.0 + odds), odds, 1.0])
        return np.asarray(weights @ self._parts)

    def gradients(self, theta: Vector) -> Vector:
        """Derivatives of `values`, (2, nnz)."""
        odds, left, root = np.exp(theta[1]), np.exp(-theta[0]), np.sqrt(expit(theta[1]))
        cross = -left * root * (1.0 + odds)
        of_sd = np.array([-2.0 * left**2 * (1.0 + odds), -cross, 0.0, 0.0])
        of_phi = np.array([left**2 * odds, cross * (0.5 * expit(-theta[1]) + expit(theta[1])), odds, 0.0])
        values: Vector = np.array([of_sd, of_phi]) @ self._parts
        return values

    def log_normaliser(self, theta: Vector, gradient: bool = True) -> tuple[float, Vector]:
        """½ log of Q's determinant within the constraints, and its gradient."""
        value = 0.5 * self._log_determinant - self.size * (float(theta[0]) - 0.5 * float(np.logaddexp(0.0, theta[1])))
        return value, np.array([-float(self.size), 0.5 * self.size * float(expit(theta[1]))])
