"""A penalised smooth: independent coefficients of one standard deviation or more, and an unpenalised null space."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.families.priors import Independent, PCSd, Prior
from geospde.terms.precisions.base import Precision

Vector = NDArray[np.float64]


class Smooth(Precision):
    """Coefficients of a smooth; theta = log sd, one for each penalty.

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
        Density on log sd; by default PC with P(sd > 1) = 0.05, for each.
    label : str
        Name in tables.
    shares : (k, n - n_null) array, optional
        Of each coefficient's precision that each of k penalties has where all sds are 1; by default one has it all.
    slants : (n_null, n - n_null) array, optional
        What the null space's coefficients have of the others, where these are as a likelihood with the null space for
        fixed effects takes them; by default nothing.
    """

    def __init__(
        self, n: int, n_null: int = 0, null_units: float = 1.0, prior: Prior | None = None, label: str = "s",
        shares: Vector | None = None, slants: Vector | None = None,
    ):  # fmt: skip
        self.n = n
        self.rank_deficiency = n_null
        self.unpenalised = np.eye(n)[:, n - n_null :] if n_null else None
        self.label = label
        self.shares: Vector = np.ones((1, n - n_null)) if shares is None else shares
        self.slants: Vector = np.zeros((n_null, n - n_null)) if slants is None else slants
        self.parameters = ("sd",) * len(self.shares)
        self.prior = prior or Independent((PCSd(1.0, 0.05),) * len(self.shares))
        self.pattern = sp.identity(n, format="csc")
        self._log_units = float(np.log(null_units))

    def penalised(self) -> "Smooth":
        """The coefficients without the null space."""
        return Smooth(self.rank, prior=self.prior, label=self.label, shares=self.shares)

    def values(self, theta: Vector) -> Vector:
        """Diagonal of Q(theta)."""
        return self._padded(np.exp(-2.0 * theta) @ self.shares)

    def gradients(self, theta: Vector) -> Vector:
        """Derivative of `values`, (k, n)."""
        return self._padded(-2.0 * np.exp(-2.0 * theta)[:, None] * self.shares)

    def log_normaliser(self, theta: Vector, gradient: bool = True) -> tuple[float, Vector]:
        """½ log of Q's determinant without the null space, and its gradient."""
        if len(self.shares) == 1:
            return self._log_units - self.rank * float(theta[0]), np.array([-float(self.rank)])
        each = np.exp(-2.0 * theta)[:, None] * self.shares
        whole = each.sum(axis=0)
        return self._log_units + 0.5 * float(np.log(whole).sum()), -(each / whole).sum(axis=1)

    def _padded(self, values: Vector) -> Vector:
        return np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, self.rank_deficiency)])
