"""Arrays of points and triangles, checked where they come in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from geospde.errors import InputError
from geospde.text.systems import crs_names
from geospde.text.words import number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike, NDArray
    from pyproj import CRS

Scalar = TypeVar("Scalar", bound=np.generic)

THIN = 4e-7  # area over squared width, of an angle of a ten-thousandth of a degree: precisions have its inverse square


def point_array(points: Any, crs: CRS | None = None) -> NDArray[np.float64]:
    """Take the coordinates, shape (m, 2), of an array, a GeoDataFrame or a GeoSeries of points in `crs`."""
    given, own = points, getattr(points, "crs", None)
    if own is not None and crs is not None and own != crs:
        mine, other = crs_names(own, crs)
        raise InputError(f"the points are in {mine} and the mesh in {other}; convert them with .to_crs(mesh.crs)")
    if hasattr(points, "geometry"):
        import shapely

        shapes = np.asarray(points.geometry)
        wrong = ~((shapely.get_type_id(shapes) == 0) & ~shapely.is_empty(shapes))
        if wrong.any():
            raise InputError(f"{{row}} is not a point: {shapes[np.argmax(wrong)]!r}", row=row_of(points, wrong))
        points = shapely.get_coordinates(shapes)
    try:
        array = np.array(points, dtype=np.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"points must be numbers in an m x 2 array: {error}", remedy=_instead_of(points)) from error
    if array.ndim != 2 or array.shape[1] != 2:
        raise InputError(f"points must be an m x 2 array, not of shape {array.shape}")
    bad = ~np.isfinite(array).all(axis=1)
    if bad.any():
        raise InputError(
            f"{bad.sum()} points have a coordinate that is not finite, the first is {{row}}: {array[np.argmax(bad)]}",
            row=row_of(given, bad),
        )
    return array


def _instead_of(points: Any) -> str:
    """What to give in place of what holds no points."""
    if hasattr(points, "points"):
        return "give the survey's points, survey.points"
    if hasattr(points, "columns"):
        return "give the two columns of coordinates, as in table[['x', 'y']], or a GeoDataFrame"
    first = next(iter(points), None) if isinstance(points, list | tuple) else points
    return "make a GeoSeries of the geometries" if hasattr(first, "geom_type") else ""


def row_of(points: Any, bad: Any) -> Any:
    """The first of some rows: by its label of a table or series, else by its place from 0."""
    first = int(np.argmax(bad))
    return points.index[first] if hasattr(points, "iloc") else first


def frozen(array: NDArray[Scalar]) -> NDArray[Scalar]:
    """Make an array read-only, and return it."""
    array.setflags(write=False)
    return array


def signed_areas(vertices: NDArray[np.float64], triangles: NDArray[np.int64]) -> NDArray[np.float64]:
    """Area of each triangle, negative where it runs clockwise."""
    a, b, c = vertices[triangles].transpose(1, 2, 0)
    value: NDArray[np.float64] = ((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])) / 2
    return value


def checked_triangulation(vertices: Any, triangles: Any) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Copy both, with every triangle anticlockwise; raise an InputError that names the first fault."""
    vertices = point_array(vertices)
    numbers = np.asarray(triangles)
    if numbers.ndim != 2 or numbers.shape[1] != 3 or len(numbers) == 0:
        raise InputError(f"triangles must be a t x 3 array of vertex numbers, not of shape {numbers.shape}")
    triangles = numbers.astype(np.int64)
    if not np.array_equal(triangles, numbers):
        raise InputError("triangles must hold whole numbers: the numbers of the vertices, from 0")
    if triangles.min() < 0 or triangles.max() >= len(vertices):
        raise InputError(
            f"triangles refer to vertices {triangles.min()} to {triangles.max()}, but there are "
            f"{len(vertices)}, numbered from 0 (subtract 1 from numbers that start at 1)"
        )
    idle = np.bincount(triangles.ravel(), minlength=len(vertices)) == 0
    if idle.any():
        raise InputError(f"{idle.sum()} vertices belong to no triangle, the first is {int(np.argmax(idle))}; drop them")
    if _has_repeats(np.ascontiguousarray(vertices).view(np.complex128).ravel()):
        order = np.lexsort(vertices.T)
        same = np.flatnonzero((np.diff(vertices[order], axis=0) == 0).all(axis=1))
        first, second = sorted(order[same[0] : same[0] + 2])
        raise InputError(f"vertices {first} and {second} are the same point {vertices[first]}; merge them")
    areas = signed_areas(vertices, triangles)
    triangles[areas < 0] = triangles[areas < 0][:, [0, 2, 1]]
    span = np.maximum(*(np.ptp(vertices[:, k][triangles.T], axis=0) for k in (0, 1)))
    flat = np.abs(areas) <= 1e-12 * span**2
    if flat.any():
        at = int(np.argmax(flat))
        raise InputError(f"triangle {at} has no area: its corners {triangles[at]} lie on a line")
    thin = np.abs(areas) <= THIN * span**2
    if thin.any():
        at = int(np.argmin(np.where(thin, np.abs(areas) / span**2, np.inf)))
        raise InputError(
            f"triangle {at} has an angle of {number(_smallest_angle(vertices[triangles[at]]))} degrees: its corners "
            f"{triangles[at]} nearly lie on a line, where rounding error would swamp the data; merge or move a vertex"
        )
    # Neighbours that turn the same way run along their common edge in opposite directions.
    key = (triangles * len(vertices) + np.roll(triangles, -1, axis=1)).ravel()
    if _has_repeats(key):
        _, first_use, uses = np.unique(key, return_index=True, return_counts=True)
        at = int(first_use[np.argmax(uses > 1)]) // 3
        raise InputError(f"triangle {at} overlaps another that shares an edge with it; the triangles must only touch")
    return vertices, triangles


def _smallest_angle(corners: NDArray[np.float64]) -> float:
    """Smallest angle of a triangle, (3, 2), in degrees."""
    a, b, c = corners
    sides = np.sort([np.hypot(*(b - a)), np.hypot(*(c - b)), np.hypot(*(a - c))])
    doubled = abs((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))
    return float(np.degrees(np.arcsin(min(1.0, doubled / (sides[1] * sides[2])))))


def _has_repeats(values: NDArray[Any]) -> bool:
    """Whether a number, real or complex, stands twice."""
    ordered = np.sort(values)
    return bool((ordered[1:] == ordered[:-1]).any())


def checked_marks(values: ArrayLike, triangles: int) -> NDArray[np.bool_]:
    """Marks of triangles as true and false, one each; raises InputError where they are not that."""
    marks = np.asarray(values)
    if marks.shape != (triangles,) or not (marks.dtype == bool or np.isin(marks, (0, 1)).all()):
        raise InputError(
            f"barrier has True or False for each of {triangles} triangles, not {marks.dtype} of shape {marks.shape}"
        )
    return np.array(marks, dtype=bool)


def checked_values(given: Mapping[str, ArrayLike], vertices: int) -> dict[str, NDArray[np.float64]]:
    """Values at vertices by name, as frozen floats; raises InputError where one is not a finite number a vertex."""
    out = {}
    for name, values in given.items():
        try:
            array = np.array(values, dtype=float)
        except (TypeError, ValueError, OverflowError):
            array = np.empty(0)
        if array.shape != (vertices,) or not np.isfinite(array).all():
            raise InputError(f"the values {name!r} of a mesh are a finite number for each of its {vertices} vertices")
        out[str(name)] = frozen(array)
    return out
