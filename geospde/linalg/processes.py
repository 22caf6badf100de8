"""Processes over theta: covariances of values and derivatives, of a squared exponential and of a random quadratic.

Points are the rows of u, (..., p, d), and v, (..., q, d); leading axes are of problems that are solved at once.
"""

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

TREND = (30.0, 5.0, 0.5)  # prior sds of constant, slopes and curvatures, centred on those of the standard Gaussian


def squared_distances(u: Vector, v: Vector) -> Vector:
    """Squared distances, (..., p, q)."""
    lengths = (u**2).sum(axis=-1)[..., :, None] + (v**2).sum(axis=-1)[..., None, :]
    values: Vector = np.maximum(lengths - 2 * u @ v.swapaxes(-1, -2), 0.0)
    return values


def nearest_of(u: Vector, v: Vector) -> NDArray[np.intp]:
    """Which row of v, (q, d), is nearest to each of u, (p, d)."""
    from scipy.spatial import KDTree

    found: NDArray[np.intp] = KDTree(v).query(u)[1]
    return found


def squared_exponential(
    u: Vector, v: Vector, length: float, metric: Vector | None = None, values_only: bool = False
) -> Vector:
    """Squared exponential covariances of values (and derivatives) at u with values and derivatives at v."""
    d, s = u.shape[-1], 1.0 / length**2
    scale = s * (np.eye(d) if metric is None else metric)
    if metric is None:
        near, other, toward, to = np.sqrt(s) * u, np.sqrt(s) * v, s * u, s * v
    else:
        stretch = np.linalg.cholesky(scale)
        near, other, toward, to = u @ stretch, v @ stretch, u @ scale, v @ scale
    k = np.exp(-0.5 * squared_distances(near, other))
    apart = [toward[..., :, j, None] - to[..., None, :, j] for j in range(d)]
    top = np.concatenate([k, *(apart[j] * k for j in range(d))], axis=-1)
    if values_only:
        return top
    rows = [top]
    for i in range(d):
        rest = [(scale[i, j] - apart[i] * apart[j]) * k for j in range(d)]
        rows.append(np.concatenate([-apart[i] * k, *rest], axis=-1))
    return np.concatenate(rows, axis=-2)


def quadratic(u: Vector, v: Vector, values_only: bool = False) -> Vector:
    """Covariances that a random quadratic adds: a² + b² u'v + c² (u'v)² / 2, and its derivatives."""
    d = u.shape[-1]
    a, b, c = TREND
    inner = u @ v.swapaxes(-1, -2)
    slope = b**2 + c**2 * inner
    value = a**2 + b**2 * inner + 0.5 * c**2 * inner**2
    top = np.concatenate([value, *(u[..., :, j, None] * slope for j in range(d))], axis=-1)
    if values_only:
        return top
    rows = [top]
    for i in range(d):
        to = v[..., None, :, i]
        rest = [(i == j) * slope + c**2 * u[..., :, j, None] * to for j in range(d)]
        rows.append(np.concatenate([to * slope, *rest], axis=-1))
    return np.concatenate(rows, axis=-2)


def quadratic_times(u: Vector, v: Vector, coefficients: Vector) -> Vector:
    """``quadratic(u, v, values_only=True) @ coefficients``, which is a quadratic in u."""
    n, d = v.shape
    a, b, c = TREND
    own, slopes = coefficients[:n], coefficients[n:].reshape(d, n)
    linear = b**2 * (v.T @ own + slopes.sum(axis=1))
    square = c**2 * (0.5 * (v.T * own) @ v + slopes @ v)
    values: Vector = a**2 * own.sum() + u @ linear + ((u @ (0.5 * (square + square.T))) * u).sum(axis=1)
    return values


def exponential_variances(u: Vector, weights: Vector, length: float, metric: Vector | None = None) -> Vector:
    """Of sums over values at u, (p, d), of a process of unit height, with weights, (p, k) -> (k,)."""
    if not weights.size:
        return np.zeros(weights.shape[1])
    near = u / length if metric is None else u @ np.linalg.cholesky(metric / length**2)
    half = 0.5 * (near**2).sum(axis=1)
    kernel = near @ near.T
    kernel -= half
    kernel -= half[:, None]
    np.exp(kernel, out=kernel)
    values: Vector = (weights * (kernel @ weights)).sum(axis=0)
    return values


def quadratic_variances(u: Vector, weights: Vector) -> Vector:
    """The same of a random quadratic."""
    a, b, c = TREND
    i, j = np.tril_indices(u.shape[1])
    twice = np.where(i == j, 1.0, np.sqrt(2.0))
    terms = ((a, np.ones((len(u), 1))), (b, u), (np.sqrt(0.5) * c, twice * u[:, i] * u[:, j]))
    values: Vector = np.sum([scale**2 * ((part.T @ weights) ** 2).sum(axis=0) for scale, part in terms], axis=0)
    return values
