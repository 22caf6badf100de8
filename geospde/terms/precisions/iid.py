"""Independent effects, one a level of a group: the nugget, the random intercept."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.families.priors import Independent, PCSd, Prior
from geospde.terms.precisions.base import Precision

Vector = NDArray[np.float64]


class Iid(Precision):
    """Independent Gaussian effects with one standard deviation; theta = log sd.

    Parameters
    ----------
    n : int
        Number of levels.
    prior : Prior, optional
        Density on log sd; by default PC with P(sd > 1) = 0.05.
    label : str
        Name in tables.
    """

    def __init__(self, n: int, prior: Prior | None = None, label: str = "iid", parameter: str = "sd"):
        self.n = n
        self.label = label
        self.parameters = (parameter,)
        self.prior = prior or Independent((PCSd(1.0, 0.05),))
        self.pattern = sp.identity(n, format="csc")

    def root(self, theta: Vector) -> Vector:
        """Root of the covariance of a level's effects, as `Correlated` gives it, (1, 1)."""
        return np.exp(theta[None, :1])

    def values(self, theta: Vector) -> Vector:
        """Diagonal of Q(theta)."""
        return np.full(self.n, np.exp(-2.0 * theta[0]))

    def gradients(self, theta: Vector) -> Vector:
        """Derivative of `values`, (1, n)."""
        return -2.0 * self.values(theta)[None, :]

    def log_normaliser(self, theta: Vector, gradient: bool = True) -> tuple[float, Vector]:
        """½ log|Q| and its gradient."""
        return -self.n * float(theta[0]), np.array([-float(self.n)])
