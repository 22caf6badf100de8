"""Finite element matrices of parts of a plane, and by direction: what fields that are not the same everywhere need."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Vector = NDArray[np.float64]


def gradients(vertices: Vector, triangles: NDArray[np.integer]) -> tuple[Vector, Vector]:
    """Gradients of the three basis functions of each triangle, (t, 3, 2), and its area, (t,)."""
    corners = vertices[triangles]
    opposite = np.roll(corners, -2, axis=1) - np.roll(corners, -1, axis=1)  # the edge opposite each corner
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    doubled = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    turned = np.stack([-opposite[..., 1], opposite[..., 0]], axis=-1)
    return turned / doubled[:, None, None], 0.5 * np.abs(doubled)


def assembled(triangles: NDArray[np.integer], local: Vector, n: int) -> sp.csc_matrix:
    """A matrix from those of the triangles, (t, 3, 3)."""
    rows, columns = np.repeat(triangles, 3, axis=1), np.tile(triangles, (1, 3))
    matrix = sp.coo_matrix((local.reshape(len(triangles), 9).ravel(), (rows.ravel(), columns.ravel())), shape=(n, n))
    return sp.csc_matrix(matrix.tocsc())


def stiffness_by_direction(vertices: Vector, triangles: NDArray[np.integer]) -> tuple[sp.csc_matrix, ...]:
    """``integral of d_a psi_i d_b psi_j`` for ab = xx, xy + yx, yy."""
    slopes, areas = gradients(vertices, triangles)
    x, y = slopes[..., 0], slopes[..., 1]
    products = (
        x[:, :, None] * x[:, None, :],
        x[:, :, None] * y[:, None, :] + y[:, :, None] * x[:, None, :],
        y[:, :, None] * y[:, None, :],
    )
    return tuple(assembled(triangles, areas[:, None, None] * p, len(vertices)) for p in products)


def weighted_stiffness(vertices: Vector, triangles: NDArray[np.integer], weights: Vector) -> sp.csc_matrix:
    """``integral of w grad psi_i . grad psi_j`` with one weight per triangle, (t,)."""
    slopes, areas = gradients(vertices, triangles)
    return assembled(triangles, (weights * areas)[:, None, None] * (slopes @ slopes.transpose(0, 2, 1)), len(vertices))


def weighted_mass(triangles: NDArray[np.integer], areas: Vector, weights: Vector, n: int) -> Vector:
    """Lumped ``integral of w psi_i`` with one weight per triangle, (n,)."""
    return np.asarray(np.bincount(triangles.ravel(), np.repeat(weights * areas / 3.0, 3), minlength=n), dtype=float)


def full_mass(triangles: NDArray[np.integer], areas: Vector, n: int) -> sp.csc_matrix:
    """``integral of psi_i psi_j``."""
    return assembled(triangles, areas[:, None, None] * (1.0 + np.eye(3)) / 12.0, n)
