"""Smooth and split a mesh where it stands, by flips of its edges, in place of one triangulation after another.

Points that move a little leave nearly all triangles Delaunay, so the few edges that are not are flipped (Lawson 1977,
Software for C1 surface interpolation). For large meshes, of which a triangulation takes a second.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from geospde.mesh.triangulation import Triangulation

_SWEEPS = (3, 2, 1)  # of smoothing, each followed by splitting
_PASSES = 40  # of splitting
_ROUNDED = 1e-10  # sine of an angle that is nothing: four points on a circle are flipped neither way
_FLAT = 0.05  # least area that a move may leave of what a triangle had


@dataclass
class Patchwork:
    """Triangles that meet along their sides, to be changed.

    Attributes
    ----------
    points : numpy.ndarray, shape (n, 2)
    triangles : numpy.ndarray of int, shape (t, 3)
        Anticlockwise.
    links : numpy.ndarray of int, shape (t, 3)
        Across the side from corner i to the next: twice the number of the triangle, plus 1 if the side stays; below 0
        if there is none.
    zone : numpy.ndarray of int, shape (t,)
        Zones part at sides that stay.
    """

    points: NDArray[np.float64]
    triangles: NDArray[np.int64]
    links: NDArray[np.int64]
    zone: NDArray[np.int64]

    @classmethod
    def of(cls, mesh: Triangulation, zone: NDArray[np.int64]) -> Patchwork:
        """Take the triangles that lie in a zone."""
        inside = zone >= 0
        number = np.append(np.where(inside, np.cumsum(inside) - 1, -1), -1)
        links = 2 * number[mesh.neighbours[inside]] + mesh.parted()[inside]
        return cls(mesh.points, mesh.triangles[inside], links, zone[inside])

    @property
    def segments(self) -> NDArray[np.int64]:
        """The sides that stay, shape (s, 2)."""
        once = (self.links % 2 == 1) & (self.links // 2 < np.arange(len(self.zone))[:, None])
        at, side = np.nonzero(once)
        return np.column_stack([self.triangles[at, side], self.triangles[at, (side + 1) % 3]])

    def smooth(self, n_sites: int) -> None:
        """Move points to where `smoothed` has them, but none that would fold a triangle, and flip."""
        new = smoothed(self.points, self.triangles, self.segments, n_sites)
        shaken = np.empty(len(self.zone), bool)
        while _put_back(self.points, self.triangles, new, shaken, _FLAT):
            pass
        self.points = new
        _flip(self.points, self.triangles, self.links, np.flatnonzero(shaken))

    def split(self, limits: NDArray[np.float64]) -> None:
        """Halve the longest sides of triangles until none passes the limit of its zone."""
        for _ in range(_PASSES):
            bad = too_long(self.points, self.triangles, self.zone, limits)
            if not len(bad):
                return
            n, t, more = len(self.points), len(self.zone), len(bad)
            self.points = np.vstack([self.points, np.zeros((more, 2))])
            self.triangles = np.vstack([self.triangles, np.zeros((2 * more, 3), np.int64)])
            self.links = np.vstack([self.links, np.zeros((2 * more, 3), np.int64)])
            self.zone = np.append(self.zone, np.zeros(2 * more, np.int64))
            n, t = _halve(self.points, self.triangles, self.links, self.zone, bad, limits, n, t)
            self.points = self.points[:n]
            self.triangles, self.links, self.zone = self.triangles[:t], self.links[:t], self.zone[:t]


def relaxed(
    mesh: Triangulation, zone: NDArray[np.int64], n_sites: int, limits: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Smooth and split the zones of a triangulation.

    Parameters
    ----------
    mesh : Triangulation
    zone : numpy.ndarray of int, shape (t,)
        Zone of each triangle, -1 outside.
    n_sites : int
        How many of the points are sites, which stay where they are, as do those of segments.
    limits : numpy.ndarray
        Longest edge in each zone.

    Returns
    -------
    points : numpy.ndarray, shape (n, 2)
        Those of the mesh first.
    segments : numpy.ndarray of int, shape (s, 2)
        The edges to keep.
    """
    work = Patchwork.of(mesh, zone)
    for sweeps in _SWEEPS:
        for _ in range(sweeps):
            work.smooth(n_sites)
        work.split(limits)
    return work.points, work.segments


def smoothed(
    points: NDArray[np.float64], triangles: NDArray[np.int64], segments: NDArray[np.int64], n_sites: int
) -> NDArray[np.float64]:
    """Move each free point to the area-weighted mean of its triangles' centroids (Chen & Holst's CPT).

    The first `n_sites` stay, and those of segments; triangles with a negative corner do not count.
    """
    free = np.ones(len(points), bool)
    free[:n_sites] = False
    free[segments] = False
    new = np.empty_like(points)
    _centre(points, triangles, free, new)
    return new


def too_long(
    points: NDArray[np.float64], triangles: NDArray[np.int64], zone: NDArray[np.int64], limits: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Triangles with a side that passes the limit of their zone; those of zone -1 have none."""
    bad = np.empty(len(zone), bool)
    _measure(points, triangles, zone, limits, bad)
    return np.flatnonzero(bad)


@njit(cache=True, nogil=True)
def _centre(
    points: NDArray[np.float64], triangles: NDArray[np.int64], free: NDArray[np.bool_], new: NDArray[np.float64]
) -> None:
    """Write area-weighted means of centroids for the free points, and the others as they are."""
    mass = np.zeros(free.size)
    for v in range(free.size):
        new[v, 0] = new[v, 1] = 0.0
    for t in range(triangles.shape[0]):
        i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        if i < 0 or j < 0 or k < 0:
            continue
        ax, ay, bx, by, cx, cy = points[i, 0], points[i, 1], points[j, 0], points[j, 1], points[k, 0], points[k, 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        x, y = area * ((ax + bx + cx) / 3.0), area * ((ay + by + cy) / 3.0)
        for corner in range(3):
            v = triangles[t, corner]
            mass[v] += area
            new[v, 0] += x
            new[v, 1] += y
    for v in range(free.size):
        if free[v] and mass[v] > 0:
            new[v, 0] /= mass[v]
            new[v, 1] /= mass[v]
        else:
            new[v, 0], new[v, 1] = points[v, 0], points[v, 1]


@njit(cache=True, nogil=True)
def _put_back(
    points: NDArray[np.float64],
    triangles: NDArray[np.int64],
    new: NDArray[np.float64],
    shaken: NDArray[np.bool_],
    least: float,
) -> int:
    """Put the corners of triangles back that kept less than `least` of their area; how many were put back.

    Writes which triangles have a corner that moves by more than rounding.
    """
    count = 0
    for t in range(triangles.shape[0]):
        i, j, k = triangles[t, 0], triangles[t, 1], triangles[t, 2]
        before = (points[j, 0] - points[i, 0]) * (points[k, 1] - points[i, 1])
        before -= (points[j, 1] - points[i, 1]) * (points[k, 0] - points[i, 0])
        after = (new[j, 0] - new[i, 0]) * (new[k, 1] - new[i, 1])
        after -= (new[j, 1] - new[i, 1]) * (new[k, 0] - new[i, 0])
        way = 0.0
        for corner in range(3):
            v = triangles[t, corner]
            way = max(way, abs(new[v, 0] - points[v, 0]), abs(new[v, 1] - points[v, 1]))
        shaken[t] = way * way > 1e-14 * before
        if way > 0.0 and after < least * before:
            for corner in range(3):
                v = triangles[t, corner]
                new[v, 0], new[v, 1] = points[v, 0], points[v, 1]
            count += 1
    return count


@njit(cache=True, nogil=True)
def _measure(
    points: NDArray[np.float64],
    triangles: NDArray[np.int64],
    zone: NDArray[np.int64],
    limits: NDArray[np.float64],
    bad: NDArray[np.bool_],
) -> None:
    """Write whether the longest side of each triangle passes the limit of its zone."""
    for t in range(zone.size):
        bad[t] = False
        if zone[t] >= 0:
            limit = limits[zone[t]]
            for i in range(3):
                a, b = triangles[t, i], triangles[t, (i + 1) % 3]
                x, y = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1]
                if x * x + y * y > 0.999999 * limit * limit and np.hypot(x, y) > limit:
                    bad[t] = True


@njit(cache=True, nogil=True)
def _flip(
    points: NDArray[np.float64], triangles: NDArray[np.int64], links: NDArray[np.int64], at: NDArray[np.int64]
) -> None:
    """Flip sides until the triangles `at`, and what changes around them, are constrained Delaunay."""
    waiting = np.empty(1024, np.int64)
    for t in at:
        waiting[0], waiting[1], waiting[2] = 3 * t, 3 * t + 1, 3 * t + 2
        waiting = _legalise(points, triangles, links, waiting, 3)


@njit(cache=True, nogil=True)
def _halve(
    points: NDArray[np.float64],
    triangles: NDArray[np.int64],
    links: NDArray[np.int64],
    zone: NDArray[np.int64],
    bad: NDArray[np.int64],
    limits: NDArray[np.float64],
    n: int,
    t: int,
) -> tuple[int, int]:
    """Put a point in the middle of the longest side of each bad triangle that still passes its limit, and flip.

    The arrays have room behind the first `n` points and `t` triangles; how many there are then.
    """
    waiting = np.empty(1024, np.int64)
    for k in bad:
        i, longest = 0, 0.0
        for side in range(3):
            a, b = triangles[k, side], triangles[k, (side + 1) % 3]
            length = np.hypot(points[b, 0] - points[a, 0], points[b, 1] - points[a, 1])
            if length > longest:
                i, longest = side, length
        if longest <= limits[zone[k]]:
            continue
        a, b, c = triangles[k, i], triangles[k, (i + 1) % 3], triangles[k, (i + 2) % 3]
        points[n, 0], points[n, 1] = (points[a, 0] + points[b, 0]) / 2, (points[a, 1] + points[b, 1]) / 2
        stays, u, beyond, back = links[k, i] & 1, links[k, i] >> 1, links[k, (i + 1) % 3], links[k, (i + 2) % 3]
        one, other = t, t + 1 if u >= 0 else -1
        zone[one] = zone[k]
        _put(triangles, links, k, a, n, c, 2 * other + stays, 2 * one, back)
        _put(triangles, links, one, n, b, c, 2 * u + stays, beyond, 2 * k)
        _meet(triangles, links, beyond >> 1, c, one)
        waiting[0], waiting[1], ahead = 3 * k + 2, 3 * one + 1, 2
        if u >= 0:
            j = _corner(triangles, u, b)
            d, beyond, back = triangles[u, (j + 2) % 3], links[u, (j + 1) % 3], links[u, (j + 2) % 3]
            zone[other] = zone[u]
            _put(triangles, links, u, b, n, d, 2 * one + stays, 2 * other, back)
            _put(triangles, links, other, n, a, d, 2 * k + stays, beyond, 2 * u)
            _meet(triangles, links, beyond >> 1, d, other)
            waiting[2], waiting[3], ahead = 3 * u + 2, 3 * other + 1, 4
        waiting = _legalise(points, triangles, links, waiting, ahead)
        n, t = n + 1, t + (2 if u >= 0 else 1)
    return n, t


@njit(cache=True, nogil=True)
def _legalise(
    points: NDArray[np.float64],
    triangles: NDArray[np.int64],
    links: NDArray[np.int64],
    waiting: NDArray[np.int64],
    ahead: int,
) -> NDArray[np.int64]:
    """Flip the first `ahead` sides that wait, as 3 t + i, and those around each flip; the array that they wait in."""
    while ahead > 0:
        ahead -= 1
        t, i = waiting[ahead] // 3, waiting[ahead] % 3
        u = links[t, i] >> 1
        if u < 0 or links[t, i] & 1:
            continue
        a, b, c = triangles[t, i], triangles[t, (i + 1) % 3], triangles[t, (i + 2) % 3]
        j = _corner(triangles, u, b)
        d = triangles[u, (j + 2) % 3]
        if not _bent(points, a, b, c, d):
            continue
        bc, ca, ad, db = links[t, (i + 1) % 3], links[t, (i + 2) % 3], links[u, (j + 1) % 3], links[u, (j + 2) % 3]
        _put(triangles, links, t, c, a, d, ca, ad, 2 * u)
        _put(triangles, links, u, d, b, c, db, bc, 2 * t)
        _meet(triangles, links, ad >> 1, d, t)
        _meet(triangles, links, bc >> 1, c, u)
        if ahead + 4 > waiting.size:
            longer = np.empty(2 * waiting.size, np.int64)
            longer[:ahead] = waiting[:ahead]
            waiting = longer
        for side in (3 * t, 3 * t + 1, 3 * u, 3 * u + 1):
            waiting[ahead] = side
            ahead += 1
    return waiting


@njit(cache=True, nogil=True)
def _put(
    triangles: NDArray[np.int64], links: NDArray[np.int64], t: int, a: int, b: int, c: int, ab: int, bc: int, ca: int
) -> None:
    """Write the corners and links of a triangle."""
    triangles[t, 0], triangles[t, 1], triangles[t, 2] = a, b, c
    links[t, 0], links[t, 1], links[t, 2] = ab, bc, ca


@njit(cache=True, nogil=True)
def _meet(triangles: NDArray[np.int64], links: NDArray[np.int64], t: int, start: int, other: int) -> None:
    """Link triangle t, if there is one, to `other` across its side from `start`."""
    if t >= 0:
        i = _corner(triangles, t, start)
        links[t, i] = 2 * other + (links[t, i] & 1)


@njit(cache=True, nogil=True)
def _corner(triangles: NDArray[np.int64], t: int, vertex: int) -> int:
    """Which corner of triangle t a vertex is."""
    return 0 if triangles[t, 0] == vertex else (1 if triangles[t, 1] == vertex else 2)


@njit(cache=True, nogil=True)
def _bent(points: NDArray[np.float64], a: int, b: int, c: int, d: int) -> bool:
    """Whether side ab of the triangles abc and bad gives way to cd: the angles at c and d pass 180 degrees."""
    ax, ay, bx, by = points[a, 0], points[a, 1], points[b, 0], points[b, 1]
    cx, cy, dx, dy = points[c, 0], points[c, 1], points[d, 0], points[d, 1]
    cos_c = (ax - cx) * (bx - cx) + (ay - cy) * (by - cy)
    cos_d = (ax - dx) * (bx - dx) + (ay - dy) * (by - dy)
    if cos_c >= 0 and cos_d >= 0:
        return False
    sin_c = (ax - cx) * (by - cy) - (ay - cy) * (bx - cx)
    sin_d = (bx - dx) * (ay - dy) - (by - dy) * (ax - dx)
    size = (abs(sin_c) + abs(cos_c)) * (abs(sin_d) + abs(cos_d))
    if sin_c * cos_d + cos_c * sin_d >= -_ROUNDED * size:
        return False
    at_a = (ax - cx) * (dy - cy) - (ay - cy) * (dx - cx)
    at_b = (dx - cx) * (by - cy) - (dy - cy) * (bx - cx)
    return bool(at_a > 0 and at_b > 0)  # both new triangles are anticlockwise
