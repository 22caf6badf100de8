"""The full Laplace approximation of a marginal: the latent field refitted along one linear combination.

Rue, Martino & Chopin (2009), section 3.2.2: p(b'x = t | theta, y) is proportional to p(x, y | theta) over its Gaussian
approximation, both at the mode of x given b'x = t. Here without their shortcuts: each t has a Newton search and a
factorisation of its own, some twenty a combination.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import NumericalError
from geospde.inference.laplace import Laplace, LaplacePoint

Vector = NDArray[np.float64]

PLACES = np.array([-3.5, -2.4, -1.6, -0.8, 0.0, 0.8, 1.6, 2.4, 3.5])  # in standard deviations from the mode


@dataclass(frozen=True)
class Shape:
    """Mean, variance and skewness of one linear combination at one theta."""

    mean: float
    variance: float
    skewness: float


def marginal_shape(laplace: Laplace, point: LaplacePoint, row: sp.csr_matrix) -> Shape:
    """Laplace approximation of the marginal of ``row @ x`` at a point, by its moments."""
    from scipy.interpolate import CubicSpline

    b = row.toarray().ravel()
    spread = laplace.solve(point, b)
    variance = float(b @ spread)
    if not variance > 0:  # a combination that the constraints fix
        return Shape(float(b @ point.mean), 0.0, 0.0)
    sd, centre = np.sqrt(variance), float(b @ point.x)
    prior = laplace.prior_at(laplace.whole(point.theta))
    starts = [point.x + spread * (z * sd / variance) for z in PLACES]
    values = np.array([_log_density(laplace, point, prior, b, start) for start in starts])
    residual = CubicSpline(PLACES, values + 0.5 * PLACES**2)
    z = np.linspace(-6.0, 6.0, 601)
    inside = np.clip(z, PLACES[0], PLACES[-1])
    log_density = residual(inside) + residual(inside, 1) * np.clip(z - inside, -1.0, 1.0) - 0.5 * z**2
    density = np.exp(log_density - log_density.max())
    density /= density.sum()
    mean = float(density @ z)
    second = float(density @ (z - mean) ** 2)
    third = float(density @ (z - mean) ** 3)
    return Shape(centre + sd * mean, variance * second, third / second**1.5)


def _log_density(laplace: Laplace, point: LaplacePoint, prior: Vector, b: Vector, x: Vector) -> float:
    """Log p(b'x | theta, y), up to a constant, at the value of b'x that the start x has."""
    model = laplace.model
    theta = laplace.whole(point.theta)
    likelihood = laplace.likelihood_at(theta)
    furthest = 3.0 * (likelihood.unit or 1.0)
    for _ in range(30):
        eta = laplace.design @ x + model.offset
        first, second, _ = likelihood.derivatives(eta)
        factor = laplace.factor_of(theta, prior, -second)
        along = factor.solve(b)
        inner = float(b @ along)
        gradient = laplace.design_t @ first - laplace.times(prior, laplace.centred(x))
        step = factor.solve(gradient)
        step -= along * (float(b @ step) / inner)
        if float(gradient @ step) < 1e-8:
            density = float(likelihood.log_density(eta).sum())
            density -= 0.5 * float(laplace.centred(x) @ laplace.times(prior, laplace.centred(x)))
            return density - 0.5 * factor.log_determinant - 0.5 * float(np.log(inner))
        x = x + step * min(1.0, furthest / np.abs(laplace.design @ step).max())
    raise NumericalError(f"a marginal's mode search did not converge at {laplace.describe(theta)}")
