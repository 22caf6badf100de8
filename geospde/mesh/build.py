"""`build_mesh`: from a coastline and survey sites to a mesh."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from geospde.errors import GeospdeWarning, InputError
from geospde.mesh.arrays import point_array
from geospde.mesh.domain import as_polygon, common_crs, diameter, nonconvex_hull
from geospde.mesh.refine import Controls, fill
from geospde.mesh.skeleton import Skeleton
from geospde.mesh.trimesh import Mesh

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shapely import MultiPolygon, Polygon

_STEEPEST = 33.0  # degrees; Ruppert's refinement ends in practice up to about here


def build_mesh(
    domain: Any = None,
    *,
    sites: Any = None,
    max_edge: float | Sequence[float] | None = None,
    offset: float | None = None,
    cutoff: float | None = None,
    min_angle: float = 21.0,
    convex: float | Sequence[float] | None = None,
    concave: float | Sequence[float] | None = None,
    lines: Any = None,
    use_sites: bool = True,
    crs: Any = None,
    max_vertices: int = 300_000,
) -> Mesh:
    """Build a triangular mesh of a domain: an inner zone, and an extension that keeps the boundary away from it.

    Lengths are in the units of the coordinates; a negative `convex`, `concave` or `offset` is a fraction of the domain's
    diameter.

    Parameters
    ----------
    domain : polygon, GeoDataFrame, GeoSeries, array of shape (k, 2) or points, optional
        Land, study area, or whatever the field lives on, islands and holes included; an array is a ring. Without
        it the mesh is built around the sites.
    sites : GeoDataFrame, GeoSeries or array of shape (m, 2), optional
        Survey sites.
    max_edge : float or (inner, outer), optional
        Longest edge. One number is for both zones. By default a thirtieth of the square root of the inner
        zone's area, and twice that outside.
    offset : float, optional
        Width of the extension, where `convex` has no outer hull. By default 0.15 of the diameter, and no extension
        if `max_edge` is one number.
    cutoff : float, optional
        Sites and boundary vertices nearer than this to an earlier one are merged with it. By default a thousandth of
        the inner `max_edge`; 0 keeps all that differ.
    min_angle : float
        Smallest angle in degrees, up to 33. Sharp corners of the domain and of `lines` may force smaller ones.
    convex, concave : float or (inner, outer), optional
        Reach and smallest inward radius of the hulls that bound the zones; see
        `geospde.mesh.domain.nonconvex_hull`. By default half the inner `max_edge` (around points 0.05 of the
        diameter, and 0.15 for `concave`). ``convex=0`` takes the domain as it is.
    lines : lines or polygons, optional
        Lines to keep as edges inside the mesh, such as the coast or a fault.
    use_sites : bool
        Whether sites become vertices.
    crs : optional
        CRS of the coordinates, where the inputs carry none.
    max_vertices : int
        Give up, with advice, rather than make a larger mesh.

    Returns
    -------
    Mesh
        Sites that are vertices come first, in their order.

    Raises
    ------
    InputError
        If an input cannot be used (empty, crossing itself, in degrees, in different CRSs), sites lie outside, or the
        limits cannot be kept with `max_vertices`.

    Warns
    -----
    GeospdeWarning
        If an angle below `min_angle` had to stay.

    Examples
    --------
    >>> import geospde as gs, shapely
    >>> island = shapely.box(0, 0, 2000, 1000)
    >>> mesh = gs.build_mesh(island, sites=[[500, 500], [1500, 500]], max_edge=(200, 400), offset=500)
    >>> bool(mesh.quality().min_angle >= 21 and mesh.quality().inner_edges[2] <= 200)
    True
    >>> mesh.vertices[:2]
    array([[ 500.,  500.],
           [1500.,  500.]])
    """
    found = common_crs(domain, sites, lines)
    if crs is not None and found is not None and not _same_crs(crs, found):
        raise InputError(f"crs={crs} contradicts the inputs, which are in {found.name}; leave crs out")
    crs = found if found is not None else crs
    points = np.empty((0, 2)) if sites is None else point_array(sites)
    if domain is None and not len(points):
        raise InputError("there is nothing to mesh: give a domain, or sites")
    area = as_polygon(domain if domain is not None else shapely.multipoints(points))
    zones, edges = _zones(area, max_edge, offset, convex, concave)
    cutoff = 1e-3 * edges[0] if cutoff is None else cutoff
    _check(cutoff, min_angle, max_vertices)
    _refuse_outside(points, zones[-1])
    kept = points if use_sites else np.empty((0, 2))
    tiny = 1e-9 * diameter(zones[-1])
    snap = max(min(cutoff / 2, edges[0] / 100), tiny)
    outlines = [zone.boundary for zone in zones] + _inside(lines, zones[-1])
    skeleton = Skeleton.of(outlines, kept, max(cutoff, tiny), snap)
    vertices, triangles, zone = fill(skeleton, zones, Controls(edges, min_angle, max_vertices, snap))
    mesh = Mesh(vertices, triangles, crs, zone == 0)
    _warn_of_thin(mesh, min_angle)
    return mesh


def _zones(
    area: Any, max_edge: Any, offset: float | None, convex: Any, concave: Any
) -> tuple[list[Polygon | MultiPolygon], tuple[float, ...]]:
    """Inner zone, and outer zone if there is one, with the longest edge of each."""
    of_points, span = area.geom_type == "MultiPoint", diameter(area)
    edges, reach, radius = _pair("max_edge", max_edge), _pair("convex", convex), _pair("concave", concave)
    if edges and min(edges) <= 0:
        raise InputError(f"max_edge must be above 0, not {max_edge}")
    if len(radius) > max(len(reach), 1):
        raise InputError("concave has an outer hull and convex has none; give convex two numbers too")
    if of_points and span == 0 and not (edges and reach and min(reach) > 0):
        raise InputError(
            "the points are all in one place; give convex and max_edge, in the units of the coordinates"
        )
    if of_points and not reach:
        reach, radius = (-0.05,), radius or (-0.15,)
    if not edges:
        land = nonconvex_hull(area, reach[0], *radius[:1]) if of_points else area
        size = np.sqrt(land.area) / 30
        edges = (size, 2 * size)
        offset = -0.15 if offset is None else offset
    elif len(edges) == 2 and offset is None:
        offset = -0.15
    reach = tuple(-r * span if r < 0 else r for r in reach) or (edges[0] / 2,)
    radius = tuple(-r * span if r < 0 else r for r in radius) or reach
    inner = nonconvex_hull(area, reach[0], radius[0], tolerance=min(edges[0] / 10, reach[0] / 4))
    if len(reach) == 2:
        slack = min(edges[-1] / 10, abs(reach[1] - reach[0]) / 4)
        outer = nonconvex_hull(area, reach[1], radius[-1], tolerance=slack)
        if not outer.covers(inner):
            raise InputError("the outer hull does not hold the inner one; raise convex[1], or concave[1]")
        return [inner, outer], (edges[0], edges[-1])
    if not offset:
        return [inner], edges[:1]
    width = -offset * span if offset < 0 else offset
    outer = nonconvex_hull(inner, width, tolerance=min(edges[-1] / 10, width / 4))
    return [inner, outer], (edges[0], edges[-1])


def _pair(name: str, value: Any) -> tuple[float, ...]:
    """One or two numbers, or none."""
    if value is None:
        return ()
    try:
        numbers = tuple(float(v) for v in np.atleast_1d(value))
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be one number or two (inner, outer), not {value!r}") from error
    if len(numbers) not in (1, 2) or not np.isfinite(numbers).all():
        raise InputError(f"{name} must be one finite number or two (inner, outer), not {value!r}")
    return numbers


def _check(cutoff: float, min_angle: float, max_vertices: int) -> None:
    if not (np.isfinite(cutoff) and cutoff >= 0):
        raise InputError(f"cutoff must be a length of 0 or more, not {cutoff}")
    if not 0 <= min_angle <= _STEEPEST:
        raise InputError(
            f"min_angle must lie between 0 and {_STEEPEST:g} degrees, not {min_angle:g}; 21 is usual"
        )
    if max_vertices < 3:
        raise InputError(f"max_vertices must be 3 or more, not {max_vertices}")


def _refuse_outside(points: Any, area: Any) -> None:
    lost = ~shapely.dwithin(area, shapely.points(points), 1e-9 * diameter(area))
    if lost.any():
        row = int(np.argmax(lost))
        raise InputError(
            f"{lost.sum()} of {len(points)} sites lie outside the mesh's domain, the first is row {row} "
            f"({points[row, 0]:.6g}, {points[row, 1]:.6g}); raise convex or offset, or leave those sites out"
        )


def _inside(lines: Any, area: Any) -> list[Any]:
    """Constraint lines, cut off at the domain's boundary."""
    if lines is None:
        return []
    if hasattr(lines, "geometry"):
        lines = list(lines.geometry)
    elif not isinstance(lines, shapely.Geometry) and not (
        len(lines) and isinstance(lines[0], shapely.Geometry)
    ):
        lines = shapely.LineString(point_array(lines))
    parts = [p.boundary if "Polygon" in p.geom_type else p for p in shapely.get_parts(lines)]
    if not parts or not all("Line" in part.geom_type for part in parts):
        raise InputError("lines must be lines or polygons, with at least one of them")
    cut = shapely.get_parts(shapely.intersection(shapely.union_all(parts), area))
    return [part for part in cut if "Line" in part.geom_type]


def _same_crs(crs: Any, found: Any) -> bool:
    from pyproj import CRS

    return CRS.from_user_input(crs) == found


def _warn_of_thin(mesh: Mesh, min_angle: float) -> None:
    least = mesh.angles.min()
    if least < min_angle - 1e-6:
        triangle, corner = np.unravel_index(np.argmin(mesh.angles), mesh.angles.shape)
        x, y = mesh.vertices[mesh.triangles[triangle, corner]]
        warnings.warn(
            f"the smallest angle of the mesh is {least:.1f} degrees, at ({x:.6g}, {y:.6g}); a sharp corner of the "
            "domain or of lines forces it (convex and concave round corners off)",
            GeospdeWarning,
            stacklevel=3,
        )
