"""What a mesh has to keep: sites as vertices, boundaries and lines as edges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from geospde.mesh.triangulation import Triangulation

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Skeleton:
    """Points and segments that meet only at their ends.

    Attributes
    ----------
    points : numpy.ndarray, shape (p, 2)
        Sites first, in their order, then the vertices of the lines.
    segments : numpy.ndarray of int, shape (s, 2)
        Pairs of points to join.
    n_sites : int
        How many of the points are sites.
    """

    points: NDArray[np.float64]
    segments: NDArray[np.int64]
    n_sites: int

    @classmethod
    def of(cls, lines: Any, sites: NDArray[np.float64], cutoff: float, snap: float) -> Skeleton:
        """Join lines and sites.

        Sites nearer than `cutoff` to an earlier one are merged with it. Line vertices nearer than `snap` to a site or
        to each other are merged too, and segments that pass that near go through the point; segments that cross
        get a point there.

        Examples
        --------
        >>> import numpy as np, shapely
        >>> from geospde.mesh.skeleton import Skeleton
        >>> square = shapely.box(0, 0, 1, 1).exterior
        >>> skeleton = Skeleton.of([square], np.array([[0.5, 1e-12], [0.5, 0.5]]), cutoff=1e-6, snap=1e-6)
        >>> len(skeleton.points), len(skeleton.segments), skeleton.n_sites
        (6, 5, 2)
        """
        joined = shapely.union_all(lines)  # puts a vertex on every crossing, and drops what is there twice
        xy, line = shapely.get_coordinates(shapely.get_parts(joined), return_index=True)
        sites, _ = merged(sites, max(cutoff, snap))
        start = np.flatnonzero(line[:-1] == line[1:]) + len(sites)
        points, to = merged(np.vstack([sites, xy]), snap)
        segments = to[np.column_stack([start, start + 1])]
        segments = segments[segments[:, 0] != segments[:, 1]]
        segments = _through_near_points(points, np.unique(np.sort(segments, axis=1), axis=0), snap)
        mesh = Triangulation.of(points, segments)  # resolves the crossings that merging and snapping may have made
        return cls(mesh.points, mesh.segments, len(sites))

    def divided(self, spacing: NDArray[np.float64]) -> Skeleton:
        """Cut every segment into equal pieces no longer than its `spacing`, shape (s,)."""
        a, b = self.points[self.segments].transpose(1, 0, 2)
        pieces = np.maximum(np.ceil(np.hypot(*(b - a).T) / spacing - 1e-9), 1).astype(int)
        owner = np.repeat(np.arange(len(pieces)), pieces - 1)
        first_new = np.cumsum(pieces - 1) - (pieces - 1)
        step = np.arange(len(owner)) - first_new[owner] + 1
        new = a[owner] + (b - a)[owner] * (step / pieces[owner])[:, None]
        number = len(self.points) + np.arange(len(owner))
        first, last = step == 1, step == pieces[owner] - 1
        segments = np.vstack(
            [
                self.segments[pieces == 1],
                np.column_stack([self.segments[owner[first], 0], number[first]]),
                np.column_stack([number[~last], number[~last] + 1]),
                np.column_stack([number[last], self.segments[owner[last], 1]]),
            ]
        )
        return Skeleton(np.vstack([self.points, new]), segments, self.n_sites)


def merged(points: NDArray[np.float64], cutoff: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Leave out every point nearer than `cutoff` to an earlier one that stays.

    Returns
    -------
    points : numpy.ndarray, shape (p, 2)
        Those that stay, in their order.
    to : numpy.ndarray of int
        For each point given, the one among them that stands for it.

    Examples
    --------
    >>> import numpy as np
    >>> from geospde.mesh.skeleton import merged
    >>> merged(np.array([[0.0, 0.0], [0.1, 0.0], [1.0, 0.0]]), cutoff=0.2)[1]
    array([0, 0, 1])
    """
    geometries = shapely.points(points)
    late, early = shapely.STRtree(geometries).query(geometries, predicate="dwithin", distance=cutoff)
    late, early = late[early < late], early[early < late]
    stays = np.zeros(len(points), bool)
    to = np.full(len(points), -1)
    while (open_ := to < 0).any():
        # Of the undecided, those with no undecided neighbour before them stay, and stand for their neighbours.
        blocked = np.zeros(len(points), bool)
        blocked[late[open_[early]]] = True
        fresh = open_ & ~blocked
        stays |= fresh
        to[fresh] = np.flatnonzero(fresh)
        gone = fresh[early] & (to[late] < 0)
        to[late[gone]] = early[gone]
        keep = to[late] < 0
        late, early = late[keep], early[keep]
    return points[stays], (np.cumsum(stays) - 1)[to]


def _through_near_points(points: NDArray[np.float64], segments: NDArray[np.int64], snap: float) -> NDArray[np.int64]:
    """Bend each segment through the points nearer to it than `snap`: they would make triangles that thin."""
    lines = shapely.linestrings(points[segments])
    point, line = shapely.STRtree(lines).query(shapely.points(points), predicate="dwithin", distance=snap)
    between = (segments[line] != point[:, None]).all(axis=1)
    point, line = point[between], line[between]
    a, b = points[segments[line]].transpose(1, 0, 2)
    along = ((points[point] - a) * (b - a)).sum(axis=1) / ((b - a) ** 2).sum(axis=1)
    # One chain a segment, of its ends and the points between them, in order along it.
    owner = np.concatenate([np.arange(len(segments)), np.arange(len(segments)), line])
    place = np.concatenate([np.zeros(len(segments)), np.ones(len(segments)), np.clip(along, 0, 1)])
    order = np.lexsort([place, owner])
    chain, owner = np.concatenate([segments[:, 0], segments[:, 1], point])[order], owner[order]
    joined = owner[:-1] == owner[1:]
    return np.unique(np.sort(np.column_stack([chain[:-1], chain[1:]])[joined], axis=1), axis=0)
