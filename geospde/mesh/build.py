"""`build_mesh`: from a coastline and survey sites to a mesh."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from geospde.errors import GeospdeWarning, InputError, alert
from geospde.mesh.arrays import point_array, row_of
from geospde.mesh.domain import common_crs, diameter, nonconvex_hull, simplified
from geospde.mesh.inputs import plain_numbers, read_crs, read_region
from geospde.mesh.refine import Controls, expected_vertices, fill, has_angle_below
from geospde.mesh.skeleton import Skeleton
from geospde.mesh.trimesh import Mesh
from geospde.text.keywords import answers_keywords
from geospde.text.systems import crs_name
from geospde.text.words import coordinate, in_brief

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shapely import MultiPolygon, Polygon

_STEEPEST = 30.0  # degrees; beyond about here refinement may have no end
MAX_VERTICES = 300_000
MOST_VERTICES = 50_000_000  # of what `max_vertices` may allow
_FARTHEST = 1000.0  # diameters of the domain that any length may have
_ROUNDED = 1e-9  # of its coordinates that a domain must be across
_NOTHING = 1e-12  # of the diameter of a domain: no length at all, nor is any within eight roundings of its coordinates
_FINER = 10.0  # how much finer than the inner zone an extension may be
_USUAL_SIZE = 2000  # vertices of a mesh whose max_edge is not given


@answers_keywords
def build_mesh(
    domain: Any = None,
    *,
    sites: Any = None,
    max_edge: float | Sequence[float] | None = None,
    offset: float | Sequence[float] | None = None,
    cutoff: float | None = None,
    min_angle: float = 21.0,
    convex: float | Sequence[float] | None = None,
    concave: float | Sequence[float] | None = None,
    lines: Any = None,
    barrier: Any = None,
    use_sites: bool = True,
    crs: Any = None,
    max_vertices: int = MAX_VERTICES,
) -> Mesh:
    """Build a triangular mesh: an inner zone, and an extension that keeps the boundary away from it.

    Lengths are in the units of the coordinates; a negative `convex`, `concave` or `offset` is a fraction of
    the domain's diameter.

    Parameters
    ----------
    domain : polygon, GeoDataFrame, GeoSeries, array of shape (k, 2) or points, optional
        Land, study area, or whatever the field lives on, islands and holes included; an array is a ring.
        Without it the mesh is built around the sites.
    sites : GeoDataFrame, GeoSeries or array of shape (m, 2), optional
        Survey sites.
    max_edge : float or (inner, outer), optional
        Longest edge; one number is for both zones. By default such that about 2000 vertices do, with the
        outer twice the inner.
    offset : float or (inner, outer), optional
        Width of the extension, for a mesh whose `convex` has no outer hull; or fmesher's two, how far the inner zone
        reaches around the domain, as `convex` says too, and that width. By default 0.15 of the diameter, and no
        extension if `max_edge` is one number.
    cutoff : float, optional
        Sites nearer than this to an earlier one are merged with it, and detail finer than half of it is left out of
        `lines` and, with ``convex=0``, of the domain. By default a thousandth of the inner `max_edge`; 0 keeps
        all that differs.
    min_angle : float
        Smallest angle in degrees, up to 30. Sharp corners of the domain and of `lines` may force
        smaller ones.
    convex, concave : float or (inner, outer), optional
        Reach and smallest inward radius of the hulls that bound the zones, as `nonconvex_hull` in
        `geospde.mesh.domain` takes them. By default 0.02 of the diameter each; around points 0.05 and 0.15, or
        what makes one piece.
        ``convex=0`` takes the domain as it is, holes and all.
    lines : lines or polygons, optional
        Lines to keep as edges inside the mesh, such as the coast or a fault; an array of shape (k, 2) is one.
    barrier : polygons, optional
        Land or whatever else a field of ``spde(mesh, barrier=0.1)`` is to go around: polygons, a GeoDataFrame or
        GeoSeries. Their outlines become edges, except for detail finer than half the `cutoff`, and triangles within
        them are marked.
    use_sites : bool
        Whether sites become vertices.
    crs : optional
        CRS of the coordinates, where the inputs carry none.
    max_vertices : int
        Stop with advice rather than make a larger mesh.

    Returns
    -------
    Mesh
        Sites that are vertices come first, in their order.

    Raises
    ------
    InputError
        If an input cannot be used (empty, crossing itself, in degrees, in different CRSs), sites lie outside,
        or the limits cannot be kept with `max_vertices`.

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
    found = common_crs(domain, sites, lines, barrier)
    if crs is not None and found is not None and read_crs(crs) != found:
        raise InputError(f"crs={crs} contradicts the inputs, which are in {crs_name(found)}; leave crs out")
    crs = found if found is not None else crs
    points = np.empty((0, 2)) if sites is None else plain_numbers(point_array(sites))
    if crs is not None and read_crs(crs).is_geographic:
        raise InputError(
            f"crs={crs} has coordinates in degrees, and a mesh measures lengths",
            remedy="project them first with to_crs",
        )
    if domain is None and not len(points):
        raise InputError("there is nothing to mesh: give a domain, or sites")
    area = read_region(domain if domain is not None else shapely.multipoints(points), "the domain")
    _check(cutoff, min_angle, max_vertices)
    if cutoff and convex is not None and not any(_pair("convex", convex)[:1] + _pair("concave", concave)[:1]):
        inside = points[shapely.intersects_xy(area, points)]
        area = simplified(area, cutoff / 2, keep=shapely.multipoints(inside) if len(inside) else None)
    zones, edges = _zones(area, max_edge, offset, convex, concave)
    if cutoff is not None and cutoff >= diameter(zones[-1]):
        raise InputError(f"cutoff of {cutoff:g} merges all there is: the mesh is {diameter(zones[-1]):.4g} across")
    cutoff = 1e-3 * edges[0] if cutoff is None else cutoff
    _refuse_outside(sites, points, zones[-1])
    kept = points if use_sites else np.empty((0, 2))
    tiny = _rounding(zones[-1])
    snap = max(min(cutoff / 2, edges[0] / 100), tiny)
    land = None if barrier is None else _barriers(barrier, zones[-1])
    outlines = [zone.boundary for zone in zones] + _inside(lines, zones[-1], cutoff)
    outlines += [] if land is None else _inside(land, zones[-1], cutoff)
    skeleton = Skeleton.of(outlines, kept, max(cutoff, tiny), snap)
    vertices, triangles, zone = fill(skeleton, zones, Controls(edges, min_angle, max_vertices, snap))
    if not len(triangles):
        raise InputError(
            f"the domain is narrower than the cutoff of {cutoff:g}, which leaves nothing of it: take a smaller one"
        )
    marks = None if land is None else shapely.contains_xy(land, vertices[triangles].mean(axis=1))
    mesh = Mesh(vertices, triangles, crs, zone == 0, marks)
    _warn_of_thin(mesh, min_angle)
    return mesh


def _zones(
    area: Any, max_edge: Any, offset: Any, convex: Any, concave: Any
) -> tuple[list[Polygon | MultiPolygon], tuple[float, ...]]:
    """Inner zone, and outer zone if there is one, with the longest edge of each."""
    span, of_points = diameter(area), area.geom_type == "MultiPoint"
    _refuse_rounded(area, span)
    edges = _pair("max_edge", max_edge)
    reach = _lengths("convex", convex, span)
    radius = _lengths("concave", concave, span)
    if edges and min(edges) <= 0:
        raise InputError(f"max_edge must be above 0, not {max_edge}")
    if len(edges) == 2 and edges[1] < edges[0]:
        what = f"max_edge = ({edges[0]:g}, {edges[1]:g}) makes the zone beyond the domain finer than the domain itself"
        alert(GeospdeWarning(what, subject="mesh edges", remedy="the first number is of the domain, the second beyond"))
    widths = _lengths("offset", offset, span)
    if len(widths) == 2:
        if reach:
            raise InputError("offset of two numbers says how far the inner zone reaches, and so does convex: give one")
        reach = widths[:1]
    _refuse_lengths(span, edges, {"offset": widths, "convex": reach, "concave": radius})
    if len(radius) > max(len(reach), 1):
        raise InputError("concave has an outer hull and convex has none; give convex two numbers too")
    if of_points and not (span > 0 or min(reach, default=0) > 0):
        raise InputError("the sites are all in one place; give convex, in the units of the coordinates")
    if of_points and not reach:
        reach, radius = (0.05 * span,), radius or _bridging(area, 0.05 * span, span)
    reach = reach or (0.02 * span,)
    radius = radius or reach
    extension = widths[-1:] or ((0.0,) if len(edges) == 1 else (0.15 * span,))
    width = extension[0]
    if not edges:
        edge = np.sqrt(expected_vertices(_hulls(area, reach, radius, width, (0.0, 0.0)), (1.0, 2.0)) / _USUAL_SIZE)
        edges = (edge, 2 * edge)
    zones = _hulls(area, reach, radius, width, edges)
    return zones, (edges[0], edges[-1])[: len(zones)]


def _rounding(area: Any) -> float:
    """Length within which points are one, whatever the cutoff: outlines that bend through them keep their area."""
    far = float(np.abs(shapely.bounds(area)).max())
    return float(max(_NOTHING * diameter(area), 8 * np.spacing(far)))


def _refuse_rounded(area: Any, span: float) -> None:
    """Raise InputError for a domain so far from the origin that its coordinates hold few digits of its shape."""
    far = float(np.abs(shapely.bounds(area)).max())
    if 0 < span < _ROUNDED * far:
        raise InputError(
            f"the domain is {span:.4g} across at coordinates of {far:.4g}, which hold too few digits of it: measure "
            "them from a place nearby"
        )


def _refuse_lengths(span: float, edges: tuple[float, ...], lengths: dict[str, tuple[float, ...]]) -> None:
    """Raise InputError for lengths that have nothing to do with a domain of this diameter."""
    if len(edges) == 2 and edges[1] < edges[0] / _FINER:
        raise InputError(
            f"max_edge is (inner, outer), and an extension with edges of {edges[1]:g} around a map with edges of "
            f"{edges[0]:g} holds nearly all vertices: give an outer one at least as long"
        )
    if not span > 0:
        return
    if edges and not span / 1e6 <= edges[0] <= 10 * span:
        raise InputError(
            f"max_edge of {edges[0]:g} does not fit a domain of {span:.4g} across: a tenth of it is coarse"
        )
    for name, values in lengths.items():
        if values and max(values) > _FARTHEST * span:
            raise InputError(f"{name} of {max(values):g} is out of proportion to a domain of {span:.4g} across")


def _hulls(
    area: Any, reach: tuple[float, ...], radius: tuple[float, ...], width: float, edges: tuple[float, ...]
) -> list[Polygon | MultiPolygon]:
    """One hull, or two; what is too small for their triangles to follow is simplified away."""
    inner = nonconvex_hull(area, reach[0], radius[0], tolerance=min(edges[0] / 10, reach[0] / 8))
    if len(reach) == 2:
        room = max(reach[1] - reach[0], 0.0)
        outer = nonconvex_hull(area, reach[1], radius[-1], tolerance=min(edges[-1] / 10, room / 8))
        if not outer.covers(inner):
            raise InputError("the outer hull does not hold the inner one; raise convex[1], or concave[1]")
        return [inner, outer]
    if width == 0:
        return [inner]
    return [inner, nonconvex_hull(inner, width, tolerance=min(edges[-1] / 10, width / 8))]


def _bridging(points: Any, reach: float, span: float) -> tuple[float]:
    """Inward radius that leaves one hull around all points: 0.15 of the span if that does."""
    radius = 0.15 * span
    while shapely.get_num_geometries(nonconvex_hull(points, reach, radius)) > 1:
        radius *= 1.5
    return (radius,)


def _lengths(name: str, value: Any, span: float) -> tuple[float, ...]:
    """One or two lengths, or none; negative ones are fractions of the span."""
    return tuple(-v * span if v < 0 else v for v in _pair(name, value))


def _pair(name: str, value: Any) -> tuple[float, ...]:
    """One or two numbers, or none."""
    if value is None:
        return ()
    try:
        if np.iscomplexobj(value) or np.asarray(value).dtype == bool:
            raise TypeError
        numbers = tuple(float(v) for v in np.atleast_1d(value))
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{name} must be one number or two (inner, outer), not {in_brief(value)}") from error
    if len(numbers) not in (1, 2) or not np.isfinite(numbers).all():
        raise InputError(f"{name} must be one finite number or two (inner, outer), not {value!r}")
    return numbers


def _check(cutoff: float | None, min_angle: float, max_vertices: int) -> None:
    for name, given in (("cutoff", cutoff), ("min_angle", min_angle), ("max_vertices", max_vertices)):
        if isinstance(given, bool):
            raise InputError(f"{name} must be a number, not {given}")
    if cutoff is not None and not 0 <= cutoff < np.inf:
        raise InputError(f"cutoff must be a length of 0 or more, not {cutoff}")
    if not 0 <= min_angle <= _STEEPEST:
        raise InputError(f"min_angle must lie between 0 and {_STEEPEST:g} degrees, not {min_angle:g}; 21 is usual")
    if not 3 <= max_vertices <= MOST_VERTICES:
        raise InputError(f"max_vertices must lie between 3 and {MOST_VERTICES:,}, not {max_vertices:g}")


def _refuse_outside(given: Any, points: Any, area: Any) -> None:
    lost = ~shapely.dwithin(area, shapely.points(points), 1e-9 * diameter(area))
    if lost.any():
        x, y = map(coordinate, points[np.argmax(lost)])
        raise InputError(
            f"{lost.sum()} of {len(points)} sites lie outside the mesh's domain, the first is {{row}} ({x}, {y}); "
            "raise convex or offset, or leave those sites out",
            row=row_of(given, lost),
        )


def _barriers(barrier: Any, area: Any) -> Any:
    """Barriers within the domain, as one region."""
    region = read_region(barrier, "the barrier")
    if "Polygon" not in region.geom_type:
        raise InputError("barrier must be polygons")
    inside = shapely.intersection(region, area)
    if shapely.area(inside) == 0:
        raise InputError("the barrier lies outside of the mesh: give polygons that it has within it")
    shapely.prepare(inside)
    return inside


def _inside(lines: Any, area: Any, cutoff: float) -> list[Any]:
    """Constraint lines, cut off at the domain's boundary."""
    if lines is None:
        return []
    if hasattr(lines, "geometry"):
        lines = list(lines.geometry)
    elif not isinstance(lines, shapely.Geometry) and not (len(lines) and isinstance(lines[0], shapely.Geometry)):
        lines = shapely.LineString(point_array(lines))
    lines = shapely.transform(lines, plain_numbers)
    parts = [p.boundary if "Polygon" in p.geom_type else p for p in shapely.get_parts(lines)]
    if not parts or not all("Line" in part.geom_type for part in parts):
        raise InputError("lines must be lines or polygons, with at least one of them")
    cut = shapely.get_parts(shapely.intersection(shapely.union_all(shapely.simplify(parts, cutoff / 2)), area))
    return [part for part in cut if "Line" in part.geom_type]


def _warn_of_thin(mesh: Mesh, min_angle: float) -> None:
    if not has_angle_below(min_angle, mesh.vertices, mesh.triangles):
        return
    least = mesh.angles.min()
    if least < min_angle - 1e-6:
        triangle, corner = np.unravel_index(np.argmin(mesh.angles), mesh.angles.shape)
        x, y = mesh.vertices[mesh.triangles[triangle, corner]]
        warning = GeospdeWarning(
            f"the smallest angle of the mesh is {least:.1f} degrees, at ({coordinate(x)}, {coordinate(y)}); a sharp "
            "corner of the domain or of lines forces it (convex and concave round corners off)",
            subject="mesh angles",
        )
        alert(warning)
