"""Processes over theta: covariances of values and derivatives, of a squared exponential and of a random quadratic."""

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

PART = 1024  # rows at a time
TREND = (30.0, 5.0, 0.5)  # prior sds of constant, slopes and curvatures about the standard Gaussian's


def squared_distances(u: Vector, v: Vector) -> Vector:
    """Squared distances, (p, q)."""
    values: Vector = np.maximum((u**2).sum(axis=1)[:, None] + (v**2).sum(axis=1) - 2 * u @ v.T, 0.0)
    return values


def nearest_of(u: Vector, v: Vector) -> NDArray[np.intp]:
    """Which row of v, (q, d), is nearest to each of u, (p, d)."""
    found = np.empty(len(u), np.intp)
    lengths = (v**2).sum(axis=1)
    for a in range(0, len(u), PART):
        apart = u[a : a + PART] @ (-2 * v.T)
        apart += lengths  # the squared distances, but for what a row of them has in common
        found[a : a + PART] = apart.argmin(axis=1)
    return found


def squared_exponential(
    u: Vector, v: Vector, length: float, metric: Vector | None = None, values_only: bool = False
) -> Vector:
    """Squared exponential covariances of values (and derivatives) at u with values and derivatives at v."""
    d, s = u.shape[1], 1.0 / length**2
    scale = s * (np.eye(d) if metric is None else metric)
    if metric is None:
        near, other, toward, to = np.sqrt(s) * u, np.sqrt(s) * v, s * u, s * v
    else:
        stretch = np.linalg.cholesky(scale)
        near, other, toward, to = u @ stretch, v @ stretch, u @ scale, v @ scale
    k = np.exp(-0.5 * squared_distances(near, other))
    apart = [toward[:, j, None] - to[:, j] for j in range(d)]
    top = np.hstack([k, *(apart[j] * k for j in range(d))])
    if values_only:
        return top
    rows = [top]
    for i in range(d):
        rest = [(scale[i, j] - apart[i] * apart[j]) * k for j in range(d)]
        rows.append(np.hstack([-apart[i] * k, *rest]))
    return np.vstack(rows)


def quadratic(u: Vector, v: Vector, values_only: bool = False) -> Vector:
    """Covariances that a random quadratic adds: a² + b² u'v + c² (u'v)² / 2, and its derivatives."""
    d = u.shape[1]
    a, b, c = TREND
    inner = u @ v.T
    slope = b**2 + c**2 * inner
    top = np.hstack([a**2 + b**2 * inner + 0.5 * c**2 * inner**2, *(u[:, j, None] * slope for j in range(d))])
    if values_only:
        return top
    rows = [top]
    for i in range(d):
        rest = [(i == j) * slope + c**2 * np.outer(u[:, j], v[:, i]) for j in range(d)]
        rows.append(np.hstack([v[:, i] * slope, *rest]))
    return np.vstack(rows)


def quadratic_times(u: Vector, v: Vector, coefficients: Vector) -> Vector:
    """``quadratic(u, v, values_only=True) @ coefficients``, which is a quadratic in u."""
    n, d = v.shape
    a, b, c = TREND
    own, slopes = coefficients[:n], coefficients[n:].reshape(d, n)
    linear = b**2 * (v.T @ own + slopes.sum(axis=1))
    square = c**2 * (0.5 * (v.T * own) @ v + slopes @ v)
    values: Vector = a**2 * own.sum() + u @ linear + ((u @ (0.5 * (square + square.T))) * u).sum(axis=1)
    return values
