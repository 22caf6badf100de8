"""Constrained Delaunay triangulation, as arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import condeltri
import numpy as np
import shapely
from numba import njit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_FEW = 2000  # triangles: loops over these take less time as they are written than their compiler
_HELPERS = 3 + 4  # vertices before the points: the triangulator's own, and the corners of a frame


@dataclass(frozen=True)
class Triangulation:
    """Triangles over points and segments, and beyond them out to a frame.

    Attributes
    ----------
    points : numpy.ndarray, shape (n, 2)
        The points given, then those added.
    triangles : numpy.ndarray of int, shape (t, 3)
        Anticlockwise. Negative numbers are vertices of the frame.
    neighbours : numpy.ndarray of int, shape (t, 3)
        Triangle across the side from corner i to the next; -1 if there is none.
    segments : numpy.ndarray of int, shape (s, 2)
        The edges that are kept, cut where points lie on them.
    """

    points: NDArray[np.float64]
    triangles: NDArray[np.int64]
    neighbours: NDArray[np.int64]
    segments: NDArray[np.int64]
    _cdt: Any

    @classmethod
    def of(cls, points: NDArray[np.float64], segments: NDArray[np.int64]) -> Triangulation:
        """Triangulate. No point may be given twice; segments that cross get a point there.

        Examples
        --------
        >>> import numpy as np
        >>> from geospde.mesh.triangulation import Triangulation
        >>> corners = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
        >>> mesh = Triangulation.of(corners, np.array([[0, 1], [1, 2], [2, 3], [3, 0], [1, 3]]))
        >>> mesh.triangles[(mesh.triangles >= 0).all(axis=1)]
        array([[...]])
        """
        order = condeltri.VertexInsertionOrder.AUTO
        cdt = condeltri.Triangulation(order, condeltri.IntersectingConstraintEdges.TRY_RESOLVE, 0.0)
        cdt.insert_vertices(np.vstack([_frame(points), points]))
        cdt.insert_edges(np.ascontiguousarray(segments + 4, dtype=np.uint32))
        return cls._read(cdt)

    @classmethod
    def _read(cls, cdt: Any) -> Triangulation:
        vertices, faces = cdt.vertices_array(copy=False)[_HELPERS:], cdt.triangles_array(copy=False)
        neighbours = faces["neighbors"].astype(np.int64)
        neighbours[neighbours == condeltri.NO_NEIGHBOR] = -1
        segments = np.array([(edge.v1, edge.v2) for edge in cdt.fixed_edges], dtype=np.int64).reshape(-1, 2)
        return cls(
            points=np.column_stack([vertices["x"], vertices["y"]]),
            triangles=faces["vertices"].astype(np.int64) - _HELPERS,
            neighbours=neighbours,
            segments=segments - _HELPERS,
            _cdt=cdt,
        )

    def zones(self, areas: Sequence[Any]) -> NDArray[np.int64]:
        """Tell which of the areas, the first that does, holds each triangle: -1 where none does.

        Triangles that no segment parts lie in the same area, so each patch is asked about once, at its
        largest triangle: rounding of the segments cannot put a thin triangle on the wrong side.
        """
        real = self.triangles.min(axis=1) >= 0
        size = np.empty(len(real))
        _at_its_speed(sizes, len(size))(self.points, self.triangles, size)
        beside = np.where(self.parted(), -1, self.neighbours)
        patch, largest = np.full(len(size), -1), np.empty(len(size), np.int64)
        count = _at_its_speed(patches, len(size))(beside, size, patch, largest, np.empty(len(size), np.int64))
        largest = largest[:count]
        middles = self.points[np.maximum(self.triangles[largest], 0)].mean(axis=1)  # those of the frame are not used
        zone = np.full(count, -1)
        for number in reversed(range(len(areas))):
            shapely.prepare(areas[number])
            zone[shapely.contains_xy(areas[number], middles)] = number
        zone[patch[~real]] = -1
        value: NDArray[np.int64] = zone[patch]
        return value

    def parted(self) -> NDArray[np.bool_]:
        """Whether a segment runs along the side from each corner to the next, (t, 3)."""
        n = len(self.points)
        ends = np.zeros(n + _HELPERS, bool)
        ends[self.segments] = True  # numbers of the frame's vertices count from the end
        tail, head = self.triangles, self.triangles[:, [1, 2, 0]]
        parted = ends[tail] & ends[head]
        low, high = np.sort([tail[parted], head[parted]], axis=0)
        fixed = np.sort(self.segments.min(axis=1) * n + self.segments.max(axis=1))
        parted[parted] = np.isin(low * n + high, fixed)
        return parted

    def refined(self, min_angle: float, outside: NDArray[np.bool_], limit: int, min_edge: float) -> Triangulation:
        """Add points until no angle is below `min_angle` degrees (Ruppert 1995), `limit` at most.

        Triangles marked `outside` are left alone. This triangulation is spent: do not refine it again.
        """
        self._cdt.refine_triangles(
            limit,
            condeltri.RefinementCriterion.SMALLEST_ANGLE,
            np.deg2rad(min_angle),
            to_erase=set(np.flatnonzero(outside).tolist()),
            min_edge_length=min_edge,
        )
        return self._read(self._cdt)


def _at_its_speed(loop: Any, count: int) -> Any:
    return loop if count > _FEW else loop.py_func


@njit(cache=True, nogil=True)
def sizes(points: NDArray[np.float64], triangles: NDArray[np.int64], size: NDArray[np.float64]) -> None:
    """Write twice the area of each triangle, -1 where a corner is negative."""
    for t in range(size.size):
        i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        size[t] = -1.0
        if i >= 0 and j >= 0 and k >= 0:
            x, y = points[j, 0] - points[i, 0], points[j, 1] - points[i, 1]
            size[t] = abs(x * (points[k, 1] - points[i, 1]) - y * (points[k, 0] - points[i, 0]))


@njit(cache=True, nogil=True)
def patches(
    beside: NDArray[np.int64],
    size: NDArray[np.float64],
    patch: NDArray[np.int64],
    largest: NDArray[np.int64],
    waiting: NDArray[np.int64],
) -> int:
    """Number of patches of triangles that `beside` connects; the patch of each, and the largest triangle of each.

    `patch` begins as -1. Of triangles of one size the last counts as the largest.
    """
    count = 0
    for seed in range(size.size):
        if patch[seed] >= 0:
            continue
        patch[seed], waiting[0], ahead, best = count, seed, 1, seed
        while ahead > 0:
            ahead -= 1
            at = waiting[ahead]
            if size[at] > size[best] or (size[at] == size[best] and at > best):
                best = at
            for k in range(3):
                other = beside[at, k]
                if other >= 0 and patch[other] < 0:
                    patch[other] = count
                    waiting[ahead] = other
                    ahead += 1
        largest[count] = best
        count += 1
    return count


def _frame(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Four points far around the others.

    Without them the triangulator fills dents of the outer boundary that come from rounding with triangles of no
    height, and cannot split the segments next to those.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    reach = (high - low).max() or max(np.abs(points).max(), 1.0)
    (x0, y0), (x1, y1) = low - reach, high + reach
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
