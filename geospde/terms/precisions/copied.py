"""A latent block with scaled copies of itself."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.families.priors import Independent, Prior
from geospde.terms.precisions.base import Precision

Vector = NDArray[np.float64]
CLOSE = 1e7  # precision of a copy about its original, over that of the original


class Copied(Precision):
    """A block u, then copies ``v = scale * u`` of it, each with a scale of its own.

    A copy differs from scale * u by independent noise of a precision ten million times that of u given its neighbours:
    the joint precision is ``[[Q + s² t I, -s t I], [-s t I, t I]]``, sparse whatever the scale (R-INLA's ``copy``).

    Parameters
    ----------
    inner : Precision
        Of u.
    names : sequence of str
        One a copy, for its scale.
    priors : sequence of Prior
        Of the scales.
    start : (d,) array
        Theta of u at which its precision is taken for the noise's.
    """

    def __init__(self, inner: Precision, names: tuple[str, ...], priors: tuple[Prior, ...], start: Vector):
        self.inner = inner
        self.copies = len(names)
        self.label = inner.label
        self.n = inner.n * (1 + self.copies)
        self.parameters = (*inner.parameters, *names)
        self.prior = Independent((*inner.prior.parts, *priors))  # type: ignore[attr-defined]
        self.rank_deficiency = inner.rank_deficiency
        if inner.constraints is not None:
            self.constraints = np.vstack([inner.constraints, np.zeros((self.n - inner.n, inner.constraints.shape[1]))])
        m = inner.n
        self._diagonal = np.asarray(inner.pattern.indptr[:-1])  # the first of a column of a lower triangle
        self.tight = CLOSE * float(np.mean(inner.values(start)[self._diagonal]))
        columns = np.repeat(np.arange(m), np.diff(inner.pattern.indptr))
        each = np.arange(m)
        rows_of = [inner.pattern.indices, *(m * k + each for k in range(1, self.copies + 1))]
        rows_of += [m * k + each for k in range(1, self.copies + 1)]
        columns_of = [columns, *[each] * self.copies, *(m * k + each for k in range(1, self.copies + 1))]
        rows, cols = np.concatenate(rows_of), np.concatenate(columns_of)
        self._order = np.lexsort([rows, cols])
        ones = np.ones(rows.size)
        self.pattern = sp.csc_matrix((ones, (rows, cols)), shape=(self.n, self.n))
        self.pattern.sort_indices()

    def set_prior(self, prior: Prior) -> None:
        """Give u its parts of it, too."""
        self.prior, own = prior, len(self.inner.prior.parts)  # type: ignore[attr-defined]
        self.inner.set_prior(Independent(prior.parts[:own]))  # type: ignore[attr-defined]

    def _split(self, theta: Vector) -> tuple[Vector, Vector]:
        d = len(self.inner.parameters)
        return theta[:d], theta[d:]

    def values(self, theta: Vector) -> Vector:
        """Lower-triangular entries of the joint precision."""
        own, scales = self._split(theta)
        q, m = self.inner.values(own).copy(), self.inner.n
        q[self._diagonal] += self.tight * float(scales @ scales)
        parts = [q, *(np.full(m, -s * self.tight) for s in scales), np.full(m * self.copies, self.tight)]
        return np.concatenate(parts)[self._order]

    def gradients(self, theta: Vector) -> Vector:
        """Derivatives in the hyperparameters of u, then in the scales."""
        own, scales = self._split(theta)
        of_q, m = self.inner.gradients(own), self.inner.n
        q = of_q.shape[1]
        out = np.zeros((theta.size, self.pattern.nnz))
        out[: own.size, :q] = of_q
        for k, s in enumerate(scales):
            out[own.size + k, self._diagonal] = 2 * s * self.tight
            out[own.size + k, q + m * k : q + m * (k + 1)] = -self.tight
        return out[:, self._order]

    def log_normaliser(self, theta: Vector, gradient: bool = True) -> tuple[float, Vector]:
        """That of u, and of the noise."""
        own, scales = self._split(theta)
        value, slope = self.inner.log_normaliser(own, gradient)
        noise = 0.5 * self.inner.n * self.copies * float(np.log(self.tight))
        return value + noise, np.concatenate([slope, np.zeros(scales.size)])

    def user(self, theta: Vector) -> Vector:
        """The scales as they are."""
        own, scales = self._split(theta)
        return np.concatenate([self.inner.user(own), scales])
