"""Autoregressive blocks: stationary series of any order, banded."""

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.families.priors import Gaussian, Independent, PCSd, Prior
from geospde.terms.precisions.base import Precision

Vector = NDArray[np.float64]
FURTHEST = 14.0  # logit of a correlation beyond which a precision has no digits left
TINY = 1e-30  # of complex steps


class Autoregressive(Precision):
    """A stationary autoregressive series; theta = (log sd, logits of the partial autocorrelations).

    The sd is that of the series itself, at every step. The logit of a correlation r is ``log((1 + r) / (1 - r))``, as
    R-INLA has it; every theta gives a stationary series (Barndorff-Nielsen & Schou 1973, J. Multivar. Anal. 3,
    408-419).

    Parameters
    ----------
    n : int
        Number of steps, more than the order.
    order : int
    prior : Prior, optional
        Density on theta; by default PC with P(sd > 1) = 0.05, and R-INLA's Gaussian on the logits.
    label : str
        Name in tables.
    """

    def __init__(self, n: int, order: int = 1, prior: Prior | None = None, label: str = "ar1"):
        self.n, self.order, self.label = n, order, label
        self.parameters = ("sd", "rho") if order == 1 else ("sd", *(f"pacf{k + 1}" for k in range(order)))
        self.prior = prior or Independent((PCSd(1.0, 0.05), *(Gaussian(0.0, 0.15, "logit"),) * order))
        bands = [np.ones(n - k) for k in range(order + 1)]
        self.pattern = sp.csc_matrix(sp.diags_array(bands, offsets=[-k for k in range(order + 1)]))
        self.pattern.sort_indices()
        columns = np.repeat(np.arange(n), np.diff(self.pattern.indptr))
        self._places = (self.pattern.indices - columns, columns)

    def user(self, theta: Vector) -> Vector:
        """Standard deviation and partial autocorrelations."""
        return np.concatenate([np.exp(theta[:1]), np.tanh(0.5 * theta[1:])])

    def regular(self, theta: Vector) -> Vector:
        """The nearest theta whose partial autocorrelations are a little within one."""
        return np.concatenate([theta[:1], np.clip(theta[1:], -FURTHEST, FURTHEST)])

    def values(self, theta: Vector) -> Vector:
        """Lower-triangular entries of Q(theta) on the pattern."""
        return np.asarray(self._bands(np.asarray(theta, dtype=float))[self._places])

    def gradients(self, theta: Vector) -> Vector:
        """Derivative of `values` in each theta, (d, nnz), by complex steps: to rounding."""
        steps = 1j * TINY * np.eye(len(self.parameters))
        return np.array([self._bands(theta + step)[self._places].imag / TINY for step in steps])

    def log_normaliser(self, theta: Vector, gradient: bool = True) -> tuple[float, Vector]:
        """½ log|Q| and its gradient."""
        left = self.n - 1.0 - np.arange(self.order)  # steps whose variance each partial autocorrelation lessens
        log_shares = -2.0 * _log_cosh(0.5 * theta[1:])
        value = -self.n * float(theta[0]) - 0.5 * float(left @ log_shares)
        return value, np.concatenate([[-float(self.n)], 0.5 * left * np.tanh(0.5 * theta[1:])])

    def _bands(self, theta: Any) -> Any:
        """Diagonals of Q, (order + 1, n): entry (k, j) is Q[j + k, j]."""
        n, p = self.n, self.order
        predictors, shares = predictors_of(np.tanh(0.5 * theta[1:]))
        scale = np.exp(-2.0 * theta[0])
        out = np.zeros((p + 1, n), dtype=np.asarray(theta).dtype)
        # each step adds the square of its error, weighted; those before the p-th are predicted from fewer
        for i in range(p + 1):
            row = np.concatenate([-predictors[i][::-1], [1.0]])  # of the i steps before, and the step itself
            count = 1 if i < p else n - p
            for a in range(i + 1):
                for b in range(a, i + 1):
                    out[b - a, a : a + count] += scale / shares[i] * row[a] * row[b]
        return out

    def autocorrelations(self, theta: Vector, lags: int) -> Vector:
        """Autocorrelations at lags 0 to `lags`, (lags + 1,)."""
        predictors, shares = predictors_of(np.tanh(0.5 * theta[1:]))
        out = np.ones(lags + 1)
        for k in range(1, lags + 1):
            if k <= self.order:
                before = predictors[k - 1]
                out[k] = before @ out[k - 1 : 0 : -1] + np.tanh(0.5 * theta[k]) * shares[k - 1]
            else:
                out[k] = predictors[-1] @ out[k - 1 : k - self.order - 1 : -1]
        return out


def predictors_of(partial: Any) -> tuple[list[Any], Any]:
    """Best linear predictors from 0, 1, ..., p steps before, the nearest first, and what variance they leave of 1.

    By the Levinson-Durbin recursion, from the partial autocorrelations, (p,).
    """
    predictors, shares = [np.zeros(0, dtype=partial.dtype)], [1.0 + 0.0 * partial.sum()]
    for r in partial:
        last = predictors[-1]
        predictors.append(np.concatenate([last - r * last[::-1], [r]]))
        shares.append(shares[-1] * (1.0 - r) * (1.0 + r))
    return predictors, np.array(shares)


def _log_cosh(t: Vector) -> Vector:
    return np.asarray(np.logaddexp(t, -t) - np.log(2.0))
