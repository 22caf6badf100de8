"""Intrinsic blocks: precisions of one structure, singular, scaled by one standard deviation."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.families.priors import Independent, PCSd, Prior
from geospde.linalg.cholesky import Cholesky
from geospde.linalg.constrained import ConstrainedFactor, anchors_of
from geospde.terms.precisions.base import Precision

Vector = NDArray[np.float64]


class Intrinsic(Precision):
    """``Q = R / sd²`` of a structure matrix R that is singular; theta = log sd.

    Parameters
    ----------
    structure : (n, n) sparse matrix
        R.
    constraints : (n, k) array or None
        C of the conditions C'x = 0, within the directions in which R is flat; None for no conditions.
    rank_deficiency : int
        Dimensions in which R is flat, k at least.
    log_determinant : float
        Logarithm of the product of the eigenvalues of R that are not zero.
    prior : Prior, optional
        Density on log sd; by default PC with P(sd > 1) = 0.05.
    label : str
        Name in tables.
    unpenalised : (n, d) array, optional
        Directions in which R is flat and the constraints are not; their density is 1 for a unit of each.

    Attributes
    ----------
    scaling : float
        What a structure was multiplied by, see `of_structure`.
    typical_sd : float
        Geometric mean of the standard deviations of the variables, for an sd of 1; 1 where it was not looked for.

    References
    ----------
    Rue & Held (2005), Gaussian Markov Random Fields, chapter 3.
    """

    scaling: float = 1.0
    typical_sd: float = 1.0

    parameters = ("sd",)

    def __init__(
        self,
        structure: sp.csc_matrix,
        constraints: Vector | None,
        rank_deficiency: int,
        log_determinant: float,
        prior: Prior | None = None,
        label: str = "intrinsic",
        unpenalised: Vector | None = None,
    ):
        lower = sp.csc_matrix(sp.tril(structure))
        lower.sort_indices()
        self.n = lower.shape[0]
        self.label = label
        self.prior = prior or Independent((PCSd(1.0, 0.05),))
        self.pattern = sp.csc_matrix((np.ones(lower.nnz), lower.indices, lower.indptr), shape=lower.shape)
        self.constraints = constraints
        self.rank_deficiency = rank_deficiency
        self.unpenalised = unpenalised
        self._entries = lower.data
        self._log_determinant = log_determinant

    @classmethod
    def of_structure(
        cls,
        structure: sp.csc_matrix,
        null: Vector,
        constraints: Vector | None,
        *,
        scale: bool,
        prior: Prior | None = None,
        label: str = "intrinsic",
        unpenalised: Vector | None = None,
    ) -> "Intrinsic":
        """The block of a structure whose null space is known.

        Parameters
        ----------
        structure : (n, n) sparse matrix
        null : (n, d) array
            A basis of the directions in which it is flat.
        constraints : (n, k) array or None
            Of them those that the block is kept from.
        scale : bool
            Divide the structure so that the variances of its generalised inverse have geometric mean 1 (Sørbye & Rue
            2014, Spat. Stat. 8, 39-51).
        prior, label, unpenalised
            As of the class.
        """
        determinant, variances = generalised_inverse(structure, null)
        rank = structure.shape[0] - null.shape[1]
        typical = float(np.exp(np.log(np.maximum(variances, 1e-300)).mean()))
        factor = typical if scale else 1.0
        structure, determinant = factor * structure, determinant + rank * np.log(factor)
        if unpenalised is not None:
            determinant -= float(np.linalg.slogdet(unpenalised.T @ unpenalised)[1])
        out = cls(structure, constraints, null.shape[1], determinant, prior, label, unpenalised)
        out.scaling, out.typical_sd = factor, float(np.sqrt(typical / factor))
        return out

    def values(self, theta: Vector) -> Vector:
        """Lower-triangular entries of Q(theta) on the pattern."""
        values: Vector = np.exp(-2.0 * theta[0]) * self._entries
        return values

    def gradients(self, theta: Vector) -> Vector:
        """Derivative of `values`, (1, nnz)."""
        return -2.0 * self.values(theta)[None, :]

    def log_normaliser(self, theta: Vector, gradient: bool = True) -> tuple[float, Vector]:
        """½ log of Q's generalised determinant, and its gradient."""
        rank = self.n - self.rank_deficiency
        return 0.5 * self._log_determinant - rank * float(theta[0]), np.array([-float(rank)])


def generalised_inverse(structure: sp.csc_matrix, null: Vector) -> tuple[float, Vector]:
    """Log of the product of the eigenvalues that are not zero, and the diagonal of the generalised inverse, (n,).

    Parameters
    ----------
    structure : (n, n) sparse matrix
        Positive semi-definite.
    null : (n, d) array
        A basis of its null space.
    """
    lower = sp.csc_matrix(sp.tril(structure) + sp.identity(structure.shape[0])).sorted_indices()
    values = lower.data.copy()
    diagonal = lower.indptr[:-1]
    values[diagonal] = structure.diagonal()  # nothing was lost beside the ones that make it explicit
    anchors = anchors_of(null, null.shape[1])
    strengths = values[diagonal[anchors]]
    strengths[strengths <= 0] = 1.0
    values[diagonal[anchors]] += strengths
    factor = ConstrainedFactor(Cholesky(lower).factor(values), null if null.size else None, anchors, strengths)
    rows, columns = lower.indices, np.repeat(np.arange(lower.shape[0]), np.diff(lower.indptr))
    return factor.log_determinant, factor.selected_inverse(rows, columns)[diagonal]
