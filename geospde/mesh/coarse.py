"""A coarser mesh over the same ground, for a first look at a model of many vertices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from geospde.mesh.arrays import signed_areas

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from geospde.mesh.trimesh import Mesh

FLAT = 1e-9  # of the mean area: three vertices on a straight boundary make no triangle


def coarser(mesh: Mesh) -> Mesh:
    """Mesh on some of the vertices, no two of which shared an edge: about a quarter, dense where they were dense.

    It covers the convex hull, so that every place of the mesh is in it. Holes and bays are filled: it is for starting
    values, not for answers. Marks of triangles are those at their centres, values those of the vertices.
    """
    from scipy.spatial import ConvexHull, Delaunay

    kept = np.flatnonzero(_apart(mesh, ConvexHull(mesh.vertices).vertices))
    vertices = mesh.vertices[kept]
    triangles = Delaunay(vertices).simplices
    area = np.abs(signed_areas(vertices, triangles))
    triangles = triangles[area > FLAT * area.mean()]
    used, numbers = np.unique(triangles, return_inverse=True)
    kept, triangles = kept[used], numbers.reshape(-1, 3)
    at = mesh.locate(mesh.vertices[kept][triangles].mean(axis=1))
    inner = np.where(at >= 0, mesh.inner[at], False)
    barrier = None if mesh.barrier is None else np.where(at >= 0, mesh.barrier[at], True)
    values = None if mesh.values is None else {name: value[kept] for name, value in mesh.values.items()}
    return type(mesh)(mesh.vertices[kept], triangles, crs=mesh.crs, inner=inner, barrier=barrier, values=values)


def _apart(mesh: Mesh, corners: NDArray[np.intp]) -> NDArray[np.bool_]:
    """The corners, of the convex hull, and vertices as many as can be of which none is another's neighbour, (n,).

    They are taken from west to east, whatever their numbers.
    """
    n = mesh.n_vertices
    i, j = mesh.edges.T
    graph = sparse.coo_matrix((np.ones(i.size, bool), (i, j)), shape=(n, n)).tocsr()
    graph = (graph + graph.T).tocsr()
    start, other = graph.indptr.tolist(), graph.indices
    taken, free = np.zeros(n, bool), np.ones(n, bool)
    for v in [*corners.tolist(), *np.lexsort(mesh.vertices.T[::-1]).tolist()]:
        if free[v]:
            taken[v] = True
            free[other[start[v] : start[v + 1]]] = False
            free[v] = False
    taken[corners] = True
    return taken
