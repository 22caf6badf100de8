"""Integrals of basis functions over a polygon, exact for any polygon cut by the triangles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geospde.errors import InputError

if TYPE_CHECKING:
    from geospde.mesh.trimesh import Mesh

UNCOVERED = 1e-6  # share of a polygon that may lie outside of the mesh: rounding


def basis_integrals(mesh: Mesh, region: Any) -> NDArray[np.float64]:
    """The integral of each vertex's basis function over a polygon, (n_vertices,).

    Each triangle's part of the polygon has the area and centroid that integrate a linear function exactly; the weights
    sum to the area of the polygon.

    Parameters
    ----------
    mesh : Mesh
    region : shapely.Polygon or shapely.MultiPolygon
        In the mesh's coordinates.

    Raises
    ------
    InputError
        If the mesh does not cover the polygon.
    """
    import shapely

    corners = mesh.vertices[mesh.triangles]
    triangles = shapely.polygons(corners)
    shapely.prepare(region)
    near = shapely.intersects(region, triangles)
    whole = np.zeros(len(triangles), dtype=bool)
    whole[near] = shapely.contains_properly(region, triangles[near])
    weights = np.zeros(len(mesh.vertices))
    np.add.at(weights, mesh.triangles[whole], (mesh.areas[whole] / 3)[:, None])
    for k in np.flatnonzero(near & ~whole):
        part = shapely.intersection(region, triangles[k])
        if part.area > 0:
            np.add.at(weights, mesh.triangles[k], part.area * _at(corners[k], np.array(part.centroid.coords[0])))
    missing = region.area - weights.sum()
    if missing > UNCOVERED * region.area:
        raise InputError(
            f"the mesh covers {100 * (1 - missing / region.area):.1f} % of the domain only",
            remedy="build it around the whole domain",
        )
    return weights


def _at(corners: NDArray[np.float64], point: NDArray[np.float64]) -> NDArray[np.float64]:
    """Barycentric coordinates of a point in a triangle."""
    edges = (corners[1:] - corners[0]).T
    inner = np.linalg.solve(edges, point - corners[0])
    return np.array([1 - inner.sum(), *inner])
