"""Linear combinations of the latent vector under the mixture over theta: means and variances."""

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.inference.laplace import Laplace, LaplacePoint
from geospde.inference.mixture import GaussianMixture
from geospde.inference.system import QuadraticForms
from geospde.linalg.threads import one_blas_thread

Vector = NDArray[np.float64]
SMALL = 3_000  # latent variables of which a dense covariance costs less than solves


def mixture_of(
    laplace: Laplace, posterior: Any, rows: Any, offset: Vector | float = 0.0, forms: QuadraticForms | None = None
) -> GaussianMixture:
    """Posterior of ``rows @ x + offset`` as a mixture of Gaussians over the theta points.

    Variances come from the selected covariances; a row whose support leaves the pattern costs one solve per point,
    as does one that depends on theta (`rows` then has ``at(theta)``, which gives rows and further variances).
    `forms` is the rows' `quadratic_map`, where it is known.
    """
    if hasattr(rows, "at"):
        means, variances = np.empty((2, len(posterior.points), rows.shape[0]))
        with one_blas_thread():  # one point's rows at a time: they may be dense
            for k, point in enumerate(posterior.points):
                own, more = rows.at(point.theta)
                means[k] = own @ point.mean + offset
                variances[k] = _covered_variances(laplace, point, own) + more
        return GaussianMixture(posterior.weights, means, np.sqrt(np.maximum(variances, 1e-300)))
    quadratic, inside = forms or laplace.quadratic_map(rows)
    means = np.array([rows @ p.mean + offset for p in posterior.points])
    variances = np.array([quadratic @ p.covariance for p in posterior.points])
    if not inside.all():
        outside = np.flatnonzero(~inside)
        for k, point in enumerate(posterior.points):
            variances[k, outside] = row_variances(laplace, point, rows[outside])
    # rounding may leave a variance that is zero in truth (a row of zeros) a little negative
    return GaussianMixture(posterior.weights, means, np.sqrt(np.maximum(variances, 1e-300)))


def row_variances(laplace: Laplace, point: LaplacePoint, rows: sp.csr_matrix) -> Vector:
    """``diag(rows S rows')`` by one solve per row, for rows that the pattern does not cover."""
    point, out = laplace.factor_again(point), np.empty(rows.shape[0])
    for a in range(0, rows.shape[0], 256):
        part = rows[a : a + 256].T.toarray()
        out[a : a + 256] = (part * laplace.solve(point, part)).sum(axis=0)
    return out


def _covered_variances(laplace: Laplace, point: LaplacePoint, rows: sp.csr_matrix) -> Vector:
    """The same by a dense S, where that is small and the pattern covers the rows."""
    if laplace.n > SMALL or not _covers(laplace, rows):
        return row_variances(laplace, point, rows)
    rows = laplace.basis.rows(rows)
    covariance, out = laplace.dense(point.covariance), np.empty(rows.shape[0])
    for a in range(0, rows.shape[0], 256):
        part = rows[a : a + 256].toarray()
        out[a : a + 256] = np.einsum("ij,ij->i", part @ covariance, part)
    return out


def _covers(laplace: Laplace, rows: sp.csr_matrix) -> bool:
    """Whether all pairs of entries within each row lie on the pattern."""
    there, pattern = abs(laplace.basis.rows(rows)).sign(), laplace.dense(np.ones(laplace.entries[0].size))
    for a in range(0, rows.shape[0], 256):
        part = there[a : a + 256].toarray()
        if (np.einsum("ij,ij->i", part @ pattern, part) < part.sum(axis=1) ** 2).any():
            return False
    return True
