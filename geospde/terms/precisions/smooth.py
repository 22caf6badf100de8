"""A penalised smooth: independent coefficients of one standard deviation, and an unpenalised null space."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.families.priors import Independent, PCSd, Prior
from geospde.terms.precisions.base import Precision

Vector = NDArray[np.float64]


class Smooth(Precision):
    """Coefficients of a smooth; theta = log sd.

    Those of the null space, last, have precision 0: a flat density, improper. The normaliser is that of the others, so
    that the Laplace approximation with a flat prior of theta is the restricted likelihood (Wood 2011, J. R. Statist.
    Soc. B 73, 3-36).

    Parameters
    ----------
    n : int
        Number of coefficients.
    n_null : int
        Those of them, last, that are not penalised.
    null_units : float
        Volume of the null space's coefficients on the scale where their density counts as 1, to that on their own.
    prior : Prior, optional
        Density on log sd; by default PC with P(sd > 1) = 0.05.
    label : str
        Name in tables.
    """

    parameters = ("sd",)

    def __init__(
        self, n: int, n_null: int = 0, null_units: float = 1.0, prior: Prior | None = None, label: str = "s"
    ):
        self.n = n
        self.rank_deficiency = n_null
        self.unpenalised = np.eye(n)[:, n - n_null :] if n_null else None
        self.label = label
        self.prior = prior or Independent((PCSd(1.0, 0.05),))
        self.pattern = sp.identity(n, format="csc")
        self._log_units = float(np.log(null_units))

    def values(self, theta: Vector) -> Vector:
        """Diagonal of Q(theta)."""
        diagonal = np.zeros(self.n)
        diagonal[: self.rank] = np.exp(-2.0 * theta[0])
        return diagonal

    def gradients(self, theta: Vector) -> Vector:
        """Derivative of `values`, (1, n)."""
        return -2.0 * self.values(theta)[None, :]

    def log_normaliser(self, theta: Vector, gradient: bool = True) -> tuple[float, Vector]:
        """½ log of Q's determinant without the null space, and its gradient."""
        return self._log_units - self.rank * float(theta[0]), np.array([-float(self.rank)])
