"""Fill zones with triangles whose edges are short enough and whose angles are not too small.

A hexagonal lattice of points in each zone gives nearly equilateral triangles away from boundaries and sites.
Ruppert's refinement grades the rest; smoothing evens it out; what is still too long is split. See Ruppert
(1995), A Delaunay refinement algorithm for quality 2-dimensional mesh generation, and Chen & Holst (2011),
Efficient mesh optimization schemes based on optimal Delaunay triangulations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from geospde.errors import InputError, NumericalError
from geospde.mesh.relax import relaxed
from geospde.mesh.skeleton import Skeleton
from geospde.mesh.triangulation import Triangulation
from geospde.text.memory import refuse_beyond_memory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_SPACING = 0.8  # of the lattice, in longest edges: leaves room for uneven triangles next to boundaries
_CLEARANCE = 0.7  # of lattice points from all that is fixed, in lattice spacings
_SMOOTHING = (3, 2, 1)  # sweeps in the first rounds; later rounds only split, so that they come to an end
_ROUNDS = 40
_CHUNK = 32_768  # triangles that are looked at together
_LARGE = 100_000  # points from which smoothing flips edges rather than triangulate anew
BYTES = 700  # of memory a vertex while a mesh is made, measured up to 220,000


@dataclass(frozen=True)
class Controls:
    """Limits that a mesh must keep.

    Attributes
    ----------
    max_edge : tuple of float
        Longest edge in each zone.
    min_angle : float
        Smallest angle, in degrees.
    max_vertices : int
        Most vertices.
    snap : float
        Distance below which a point counts as lying on a segment.
    """

    max_edge: tuple[float, ...]
    min_angle: float
    max_vertices: int
    snap: float


def fill(
    skeleton: Skeleton, areas: Sequence[Any], controls: Controls
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Triangulate nested areas.

    Parameters
    ----------
    skeleton : Skeleton
        Points and segments to keep; the segments include the boundaries of the areas.
    areas : sequence of polygons
        The zones, each inside the next.
    controls : Controls
        Limits, `max_edge` one for each area.

    Returns
    -------
    points : numpy.ndarray, shape (n, 2)
        The skeleton's points first.
    triangles : numpy.ndarray, shape (t, 3)
    zone : numpy.ndarray of int, shape (t,)
        Number of the area that each triangle lies in.

    Raises
    ------
    InputError
        If the limits ask for more than `max_vertices`; it names the one to relax.

    Examples
    --------
    >>> import numpy as np, shapely
    >>> from geospde.mesh.refine import Controls, Skeleton, fill
    >>> square = shapely.box(0, 0, 1, 1)
    >>> skeleton = Skeleton.of([square.exterior], np.empty((0, 2)), cutoff=1e-9, snap=1e-9)
    >>> points, triangles, zone = fill(skeleton, [square], Controls((0.5,), 21.0, 1000, 1e-9))
    >>> bool(np.hypot(*(points[triangles[:, 0]] - points[triangles[:, 1]]).T).max() <= 0.5)
    True
    """
    _refuse_too_many(areas, controls)
    limits = np.array(controls.max_edge)
    middles = shapely.points(skeleton.points[skeleton.segments].mean(axis=1))
    parts = areas[0], areas[0].boundary
    shapely.prepare(parts)  # an archipelago's boundary is looked at for every segment
    inner, between = (shapely.dwithin(part, middles, controls.snap) for part in parts)
    finest = np.where(between, limits.min(), np.where(inner, limits[0], limits[-1]))
    skeleton = skeleton.divided(_SPACING * finest)
    points = np.vstack([skeleton.points, *_lattices(skeleton, areas, limits)])
    mesh = Triangulation.of(points, skeleton.segments)
    mesh, zone = _graded(mesh, areas, controls)
    large = len(mesh.points) > _LARGE
    if large:
        mesh = Triangulation.of(*relaxed(mesh, zone, skeleton.n_sites, limits))
    for turn in range(_ROUNDS):
        for _ in range(_SMOOTHING[turn] if turn < len(_SMOOTHING) and not large else 0):
            mesh = Triangulation.of(_smoothed(mesh, skeleton.n_sites), mesh.segments)
        mesh, zone = _graded(mesh, areas, controls)
        split = _too_long(mesh, zone, limits)
        if not len(split):
            break
        mesh = _split(mesh, split)
    else:
        raise NumericalError(
            f"edges longer than max_edge = {controls.max_edge} remain after {_ROUNDS} rounds of splitting"
        )
    inside = zone >= 0
    triangles = mesh.triangles[inside]
    used = np.zeros(len(mesh.points), bool)
    used[triangles] = True
    return mesh.points[used], (np.cumsum(used) - 1)[triangles], zone[inside]


def expected_vertices(areas: Sequence[Any], max_edge: tuple[float, ...]) -> float:
    """Estimate the number of vertices that the zones need, without what sites and boundaries add.

    Examples
    --------
    >>> import shapely
    >>> from geospde.mesh.refine import expected_vertices
    >>> round(expected_vertices([shapely.box(0, 0, 1, 1)], (0.1,)))
    180
    """
    total = np.array([area.area for area in areas])
    cell = (_SPACING * np.array(max_edge[: len(areas)])) ** 2 * np.sqrt(3) / 2  # of the hexagonal lattice
    return float((np.diff(total, prepend=0) / cell).sum())


def _refuse_too_many(areas: Sequence[Any], controls: Controls) -> None:
    """Raise before a lattice is made that is far too large."""
    expected = expected_vertices(areas, controls.max_edge)
    if expected <= controls.max_vertices:
        what = f"a mesh of about {expected:.2g} vertices"
        refuse_beyond_memory(BYTES * expected, what, "take a longer max_edge")
    if expected > controls.max_vertices:
        enough = [float(f"{1.1 * edge * np.sqrt(expected / controls.max_vertices):.2g}") for edge in controls.max_edge]
        raise InputError(
            f"max_edge asks for about {expected:.2g} vertices, more than max_vertices = "
            f"{controls.max_vertices}; take max_edge = {enough[0] if len(enough) == 1 else tuple(enough)} or "
            "longer, or raise max_vertices"
        )


def _lattices(skeleton: Skeleton, areas: Sequence[Any], limits: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Hexagonal lattices in the zones, clear of the skeleton's points."""
    fixed = skeleton.points
    lattices = []
    for number, area in enumerate(areas):
        step = _SPACING * limits[number]
        x0, y0, x1, y1 = shapely.bounds(area)
        row, column = np.mgrid[0 : (y1 - y0) / (step * np.sqrt(0.75)), 0 : (x1 - x0) / step + 1]
        points = np.column_stack(
            [(x0 + step * (column - row % 2 / 2)).ravel(), (y0 + step * np.sqrt(0.75) * row).ravel()]
        )
        shapely.prepare(area)
        points = points[shapely.contains_xy(area, points)]
        if number:
            points = points[~shapely.contains_xy(areas[number - 1], points)]
        lattices.append(points[~_near(points, fixed, _CLEARANCE * step)])
    return lattices


def _near(points: NDArray[np.float64], others: NDArray[np.float64], distance: float) -> NDArray[np.bool_]:
    """Whether each point is within a distance of one of the others; those in cells far from all are not looked at."""
    near = np.zeros(len(points), bool)
    if not len(points):
        return near
    low = points.min(axis=0)
    cells = [((xy - low) // (1.001 * distance)).astype(np.int64) + 1 for xy in (points, others)]
    width, height = cells[0].max(axis=0) + 2
    inside = ((cells[1] >= 0) & (cells[1] < (width, height))).all(axis=1)
    column, row = cells[1][inside].T
    around = np.zeros((height + 2, width + 2), bool)
    for step in np.ndindex(3, 3):
        around[row + step[0], column + step[1]] = True
    at = np.flatnonzero(around[cells[0][:, 1] + 1, cells[0][:, 0] + 1])
    tree = shapely.STRtree(shapely.points(others))
    near[at[tree.query(shapely.points(points[at]), predicate="dwithin", distance=distance)[0]]] = True
    return near


def _graded(mesh: Triangulation, areas: Sequence[Any], controls: Controls) -> tuple[Triangulation, NDArray[np.int64]]:
    """Refine until the angles hold; also the zone of each triangle."""
    zone = mesh.zones(areas)
    if has_angle_below(controls.min_angle, mesh.points, mesh.triangles[zone >= 0]):
        room = controls.max_vertices - len(mesh.points) + 1
        mesh = mesh.refined(controls.min_angle, zone < 0, max(room, 0), controls.snap / 4)
        zone = mesh.zones(areas)
    if len(mesh.points) > controls.max_vertices:
        raise InputError(
            f"the mesh needs more than max_vertices = {controls.max_vertices} vertices for angles of "
            f"{controls.min_angle:g} degrees; raise cutoff (sites or boundary vertices that are very close "
            "ask for very small triangles), lower min_angle, raise max_edge or raise max_vertices"
        )
    return mesh, zone


def _smoothed(mesh: Triangulation, n_sites: int) -> NDArray[np.float64]:
    """Move each free point to the area-weighted mean of its triangles' centroids (Chen & Holst's CPT)."""
    n = len(mesh.points)
    triangles = mesh.triangles[mesh.triangles.min(axis=1) >= 0]
    corners = mesh.points[triangles]
    first, second = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    moment = area[:, None] * corners.mean(axis=1)
    at = triangles.ravel()
    mass = np.bincount(at, np.repeat(area, 3), n)
    sums = np.column_stack([np.bincount(at, np.repeat(moment[:, k], 3), n) for k in (0, 1)])
    free = mass > 0
    free[:n_sites] = False
    free[mesh.segments] = False
    points = mesh.points.copy()
    points[free] = sums[free] / mass[free, None]
    return points


def _too_long(mesh: Triangulation, zone: NDArray[np.int64], limits: NDArray[np.float64]) -> NDArray[np.int64]:
    """Longest edges, shape (k, 2), of the triangles where they pass the limit."""
    triangles = mesh.triangles[zone >= 0]
    length = sides(mesh.points, triangles)
    bad = np.flatnonzero(length.max(axis=1) > limits[zone[zone >= 0]])
    corner = np.argmax(length[bad], axis=1)
    pairs = np.column_stack([triangles[bad, corner], triangles[bad, (corner + 1) % 3]])
    return np.unique(np.sort(pairs, axis=1), axis=0)


def _split(mesh: Triangulation, pairs: NDArray[np.int64]) -> Triangulation:
    """Put a point in the middle of each edge; segments among them become two."""
    n = len(mesh.points)
    middle = n + np.arange(len(pairs))
    points = np.vstack([mesh.points, mesh.points[pairs].mean(axis=1)])
    segments = np.sort(mesh.segments, axis=1)
    key, of_segment = pairs[:, 0] * n + pairs[:, 1], segments[:, 0] * n + segments[:, 1]
    cut = np.isin(key, of_segment)
    halves = [np.column_stack([pairs[cut, k], middle[cut]]) for k in (0, 1)]
    return Triangulation.of(points, np.vstack([segments[~np.isin(of_segment, key)], *halves]))


def sides(points: NDArray[np.float64], triangles: NDArray[np.int64]) -> NDArray[np.float64]:
    """Length of the side from each corner to the next, shape (t, 3)."""
    corners = points[triangles]
    value: NDArray[np.float64] = np.hypot(*(np.roll(corners, -1, axis=1) - corners).transpose(2, 0, 1))
    return value


def has_angle_below(degrees: float, points: NDArray[np.float64], triangles: NDArray[np.int64]) -> bool:
    """Whether a triangle has an angle below so many degrees, up to 60."""
    steepness = np.tan(np.deg2rad(degrees))
    for start in range(0, len(triangles), _CHUNK):
        a, b, c = points[triangles[start : start + _CHUNK]].transpose(1, 2, 0)
        ab, bc, ca = b - a, c - b, a - c
        sine = ab[0] * bc[1] - ab[1] * bc[0]  # times the lengths of both sides, as the cosine: the same at all corners
        cosine = -np.minimum(np.minimum((ab * ca).sum(axis=0), (ab * bc).sum(axis=0)), (bc * ca).sum(axis=0))
        if (sine < steepness * cosine).any():
            return True
    return False
