"""Which triangle holds a point: a grid of buckets, searched by numpy for few points and by a compiled loop for many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

FEW = 200_000  # points, of all calls, that numpy finds in less time than a compiler takes
MANY = 100_000  # triangles, which a processor's cache does not hold
SIDE = 256  # squares along each side of the mesh, by which points are sorted
SAMPLE = 1_000  # points that tell whether they are


@dataclass
class Searched:
    """How many points were asked for."""

    points: int = 0


searched = Searched()


@dataclass(frozen=True)
class Finder:
    """Triangles sorted into the cells of a grid over their bounding box.

    Attributes
    ----------
    corners : numpy.ndarray, shape (t, 3, 2)
        Coordinates of the corners.
    slack : numpy.ndarray, shape (t,)
        How far below zero a barycentric weight may be: rounding of the coordinates, as a part of the height.
    low, cell : numpy.ndarray, shape (2,)
        Corner of the grid and sides of a cell.
    shape : tuple of int
        Cells along x and y.
    start, content : numpy.ndarray
        Triangles that meet cell i: ``content[start[i]:start[i + 1]]``.
    """

    corners: NDArray[np.float64]
    slack: NDArray[np.float64]
    low: NDArray[np.float64]
    cell: NDArray[np.float64]
    shape: tuple[int, int]
    start: NDArray[np.int64]
    content: NDArray[np.int64]

    @classmethod
    def over(cls, vertices: NDArray[np.float64], triangles: NDArray[np.int64]) -> Finder:
        """Sort triangles into about two cells for each of them."""
        corners = np.ascontiguousarray(vertices[triangles])
        low, high = vertices.min(axis=0), vertices.max(axis=0)
        side = np.sqrt((high - low).prod() / (2 * len(triangles)))
        shape = np.maximum(np.ceil((high - low) / side), 1).astype(np.int64)
        cell = (high - low) / shape * (1 + 1e-12)

        ulp = 16 * np.finfo(float).eps * np.abs(vertices).max()
        edges = corners - np.roll(corners, 1, axis=1)
        area2 = np.abs(edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0])
        longest = np.hypot(edges[..., 0], edges[..., 1]).max(axis=1)
        slack = 1e-9 + ulp * longest / area2
        reach = 1e-9 * longest + ulp
        first = _cell_of(corners.min(axis=1) - reach[:, None], low, cell, shape)
        last = _cell_of(corners.max(axis=1) + reach[:, None], low, cell, shape)

        wide, tall = (last - first + 1).T  # cells that each bounding box, widened by `reach`, meets
        count = wide * tall
        owner = np.repeat(np.arange(len(triangles)), count)
        step = np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)
        across, up = step % wide[owner], step // wide[owner]
        bucket = (first[owner, 1] + up) * shape[0] + first[owner, 0] + across
        start = np.zeros(shape.prod() + 1, np.int64)
        np.cumsum(np.bincount(bucket, minlength=shape.prod()), out=start[1:])
        content = owner[np.argsort(bucket, kind="stable")]
        return cls(corners, slack, low, cell, (int(shape[0]), int(shape[1])), start, content)


def _cell_of(
    points: NDArray[np.float64], low: NDArray[np.float64], cell: NDArray[np.float64], shape: NDArray[np.int64]
) -> NDArray[np.int64]:
    return np.clip(((points - low) / cell).astype(np.int64), 0, shape - 1)


def search(finder: Finder, points: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Triangle (-1 outside) and barycentric weights of each point."""
    f, points = finder, np.ascontiguousarray(points, dtype=float)
    if len(f.corners) > MANY and (order := sorted_by_place(f, points)) is not None:
        found, weights = np.empty(len(points), np.int64), np.empty((len(points), 3))
        found[order], weights[order] = _found(f, points[order])
        return found, weights
    return _found(f, points)


def sorted_by_place(finder: Finder, points: NDArray[np.float64]) -> NDArray[np.int64] | None:
    """Return an order in which near points follow each other, None where they do: triangles are read once, not anew.

    What no cache holds is waited for: of a mesh of a million vertices scattered points take five times as long.
    """
    with np.errstate(all="ignore"):  # any place does for what lies nowhere
        share = (points - finder.low) / (finder.cell * np.array(finder.shape))
        column, row = np.clip(share * SIDE, 0, SIDE - 1).astype(np.uint16).T
    key = row * np.uint16(SIDE) + column
    steps = np.abs(np.diff(key[:SAMPLE].astype(np.int64)))
    if len(steps) < SAMPLE // 2 or np.median(steps) <= 1:
        return None
    return np.argsort(key, kind="stable")  # of two bytes: counted, not compared


def _found(f: Finder, points: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """As `search`, in the order of the points."""
    found, weights = np.empty(len(points), np.int64), np.zeros((len(points), 3))
    searched.points += len(points)  # a map comes in parts, none of them large
    loop = _search if searched.points > FEW else _plain_search
    loop(points, f.low, f.cell, np.array(f.shape), f.corners, f.slack, f.start, f.content, found, weights)
    return found, weights


def _plain_search(
    points: NDArray[np.float64],
    low: NDArray[np.float64],
    side: NDArray[np.float64],
    shape: NDArray[np.int64],
    corners: NDArray[np.float64],
    slack: NDArray[np.float64],
    start: NDArray[np.int64],
    content: NDArray[np.int64],
    found: NDArray[np.int64],
    weights: NDArray[np.float64],
) -> None:
    """As `_search`, for all points at once, to the last bit: the first triangle of their cells, then the second."""
    found[:] = -1
    with np.errstate(all="ignore"):
        place = (points - low) / side
        near = np.flatnonzero(((place >= -1.0) & (place <= shape + 1.0)).all(axis=1))
        column, row = np.clip(place[near].astype(np.int64), 0, shape - 1).T
        cell = row * shape[0] + column
        best = np.full(len(points), -np.inf)
        k, end = start[cell], start[cell + 1]
        while True:
            left = k < end
            near, k, end = near[left], k[left], end[left]
            if not near.size:
                return
            t = content[k]
            (ax, bx, cx), (ay, by, cy) = (corners[t] - points[near, None]).T
            three = np.array([bx * cy - by * cx, cx * ay - cy * ax, ax * by - ay * bx])
            least = three.min(axis=0) / (three[0] + three[1] + three[2])
            better = (least >= -slack[t]) & (least > best[near])
            at = near[better]
            best[at], found[at] = least[better], t[better]
            inside = np.maximum(three[:, better], 0.0)
            weights[at] = (inside / (inside[0] + inside[1] + inside[2])).T
            going = ~(better & (least >= 0))
            near, k, end = near[going], k[going] + 1, end[going]


@njit(cache=True, error_model="numpy", nogil=True)
def _search(
    points: NDArray[np.float64],
    low: NDArray[np.float64],
    side: NDArray[np.float64],
    shape: NDArray[np.int64],
    corners: NDArray[np.float64],
    slack: NDArray[np.float64],
    start: NDArray[np.int64],
    content: NDArray[np.int64],
    found: NDArray[np.int64],
    weights: NDArray[np.float64],
) -> None:
    """Write the triangle of each point: the first that holds it, or the one it is least outside of; and its weights.

    Rounding puts a point outside every triangle at times: `slack` is how far.
    """
    for i in range(found.size):
        found[i] = -1
        x, y = points[i, 0], points[i, 1]
        across, up = (x - low[0]) / side[0], (y - low[1]) / side[1]
        if not (-1.0 <= across <= shape[0] + 1.0 and -1.0 <= up <= shape[1] + 1.0):  # not a number is near nothing
            continue
        column, row = min(max(int(across), 0), shape[0] - 1), min(max(int(up), 0), shape[1] - 1)
        cell = row * shape[0] + column
        best = -np.inf
        for k in range(start[cell], start[cell + 1]):
            t = content[k]
            ax, ay = corners[t, 0, 0] - x, corners[t, 0, 1] - y
            bx, by = corners[t, 1, 0] - x, corners[t, 1, 1] - y
            cx, cy = corners[t, 2, 0] - x, corners[t, 2, 1] - y
            wa, wb, wc = bx * cy - by * cx, cx * ay - cy * ax, ax * by - ay * bx
            least = wa if wa < wb else wb
            least = (least if least < wc else wc) / (wa + wb + wc)
            if least >= -slack[t] and least > best:
                best = least
                found[i] = t
                wa, wb, wc = max(wa, 0.0), max(wb, 0.0), max(wc, 0.0)
                total = wa + wb + wc
                weights[i, 0], weights[i, 1], weights[i, 2] = wa / total, wb / total, wc / total
                if least >= 0:
                    break
