"""The domain of a field: polygons as users have them, and hulls around land or points."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from shapely import GeometryType

from geospde.errors import InputError
from geospde.mesh.arrays import point_array

if TYPE_CHECKING:
    from pyproj import CRS
    from shapely import MultiPoint, MultiPolygon, Polygon

_POLYGONS = (GeometryType.POLYGON, GeometryType.MULTIPOLYGON)
_LINES = (GeometryType.LINESTRING, GeometryType.LINEARRING, GeometryType.MULTILINESTRING)
_POINTS = (GeometryType.POINT, GeometryType.MULTIPOINT)


def as_polygon(layer: Any) -> Polygon | MultiPolygon | MultiPoint:
    """Read one valid area out of whatever describes it.

    Orientation, closure, overlaps between polygons and rings that touch themselves are put right silently.

    Parameters
    ----------
    layer : polygon, ring, GeoDataFrame, GeoSeries, array or a sequence of geometries
        Polygons; closed lines, or a k x 2 array of the vertices of one ring, which become polygons; or points
        (a MultiPoint, or a layer of points), which stay points, for a hull around them.

    Returns
    -------
    shapely.Polygon, shapely.MultiPolygon or shapely.MultiPoint

    Raises
    ------
    InputError
        If there is nothing in it, a ring crosses itself (the message says where), a line is not closed, or a
        coordinate is not finite.

    Examples
    --------
    >>> from geospde.mesh.domain import as_polygon
    >>> as_polygon([[0, 0], [0, 1], [1, 1], [1, 0]]).area
    1.0
    """
    parts = _geometries(layer)
    if not parts:
        raise InputError("the domain is empty; give at least one polygon, ring or point")
    kinds = {GeometryType(shapely.get_type_id(part)) for part in parts}
    if not np.isfinite(shapely.get_coordinates(parts)).all():
        raise InputError("the domain has a coordinate that is not finite; remove or mend that vertex")
    if kinds <= set(_POINTS):
        return shapely.multipoints(shapely.get_coordinates(parts))
    if not kinds <= {*_POLYGONS, *_LINES}:
        names = ", ".join(sorted(kind.name.lower() for kind in kinds))
        raise InputError(f"the domain must be polygons, closed lines or points, not {names}")
    areas = [piece for part in parts for piece in _areas(part)]
    return areas[0] if len(areas) == 1 else shapely.union_all(areas)


def nonconvex_hull(
    geometry: Any, convex: float, concave: float | None = None, *, tolerance: float = 0.0
) -> Polygon | MultiPolygon:
    """Grow a smooth hull around an area or points: a morphological closing.

    Everything within ``convex + concave`` of the geometry, less what is within `concave` of the outside of that. The
    hull reaches `convex` beyond the geometry, and where it turns inwards its radius is at least `concave`, so
    gaps, inlets and lakes narrower than twice ``convex + concave`` are bridged, and wider ones stay open. These
    are the arguments of R-INLA's ``inla.nonconvex.hull``, applied to the polygon and not to its vertices.

    Parameters
    ----------
    geometry
        What `as_polygon` takes.
    convex : float
        Reach beyond the geometry, in its units; negative: that fraction of its diameter.
    concave : float, optional
        Smallest radius of an inward turn, as `convex`; by default the same as `convex`.
    tolerance : float
        How far a vertex left out of the hull may have been from it. Less is left out where the hull would
        otherwise cut into the geometry.

    Returns
    -------
    shapely.Polygon or shapely.MultiPolygon
        Covers the geometry; the geometry itself where `convex` and `concave` are zero.

    Examples
    --------
    >>> import shapely
    >>> from geospde.mesh.domain import nonconvex_hull
    >>> island = shapely.box(0, 0, 4, 2)
    >>> round(nonconvex_hull(island, convex=1).area, 1)  # 4 * 2 + 12 * 1 + pi
    23.1
    """
    area = as_polygon(geometry)
    span = diameter(area)
    convex = -convex * span if convex < 0 else convex
    concave = convex if concave is None else -concave * span if concave < 0 else concave
    if not (np.isfinite(convex) and np.isfinite(concave)):
        raise InputError("convex and concave must be finite")
    if convex == 0 and (concave == 0 or area.geom_type == "MultiPoint"):
        if area.geom_type == "MultiPoint":
            raise InputError("a hull around points needs convex above 0")
        return area
    grown = shapely.buffer(area, convex + concave, quad_segs=16)
    hull = shapely.buffer(grown, -concave, quad_segs=16) if concave else grown
    if convex == 0:  # buffers of polygons with straight sides leave some rounding
        hull = shapely.union(hull, area)
    for halving in range(6 if tolerance else 0):
        simple = shapely.simplify(hull, tolerance / 2**halving)
        if simple.is_valid and simple.covers(area):
            return simple
    return hull


def diameter(geometry: Any) -> float:
    """Twice the largest distance of a vertex from the middle of the bounding box.

    Examples
    --------
    >>> import shapely
    >>> from geospde.mesh.domain import diameter
    >>> diameter(shapely.box(0, 0, 3, 4))
    5.0
    """
    xy = shapely.get_coordinates(geometry)
    return float(2 * np.hypot(*(xy - (xy.min(axis=0) + xy.max(axis=0)) / 2).T).max())


def common_crs(*layers: Any) -> CRS | None:
    """Find the CRS of the layers that have one; they must agree, and be projected.

    Raises
    ------
    InputError
        If two differ, or the CRS counts in degrees (the message names the UTM zone to project to).

    Examples
    --------
    >>> import geopandas, shapely
    >>> from geospde.mesh.domain import common_crs
    >>> layer = geopandas.GeoSeries([shapely.Point(500_000, 6e6)], crs="EPSG:32632")
    >>> common_crs(None, layer).name
    'WGS 84 / UTM zone 32N'
    """
    found = None
    for layer in layers:
        crs = getattr(layer, "crs", None)
        if crs is None:
            continue
        if found is not None and crs != found:
            raise InputError(
                f"the inputs are in different CRSs ({found.name} and {crs.name}); convert one with .to_crs(...)"
            )
        found = crs
        if crs.is_geographic:
            advice = "a projected CRS"
            if len(layer):
                utm = layer.estimate_utm_crs()
                advice = f"a projected CRS, say {utm.name}: .to_crs({utm.to_epsg()})"
            raise InputError(f"the coordinates are degrees ({crs.name}); convert every layer to {advice}")
    return found


def _geometries(layer: Any) -> list[Any]:
    """Non-empty geometries of a layer."""
    if isinstance(layer, shapely.Geometry):
        parts = [layer]
    elif hasattr(layer, "geometry"):
        parts = [part for part in layer.geometry if part is not None]
    elif isinstance(layer, (list, tuple)) and layer and isinstance(layer[0], shapely.Geometry):
        parts = list(layer)
    else:
        ring = point_array(layer) if len(layer) else np.empty((0, 2))
        if len(np.unique(ring, axis=0)) < 3:
            raise InputError(
                f"a ring needs at least 3 different vertices, not {len(np.unique(ring, axis=0))}"
            )
        parts = [shapely.LinearRing(ring)]
    flat = [piece for part in parts for piece in shapely.get_parts(part)]
    return [piece for piece in flat if not piece.is_empty]


def _areas(part: Any) -> list[Any]:
    """One part as valid polygons."""
    if shapely.get_type_id(part) in _LINES:
        if not part.is_closed:
            x, y = part.coords[0]
            raise InputError(
                f"the line that starts at ({x:.6g}, {y:.6g}) is not closed; close it, or give a polygon"
            )
        part = shapely.Polygon(part.coords)
    if not part.is_valid:
        reason = shapely.is_valid_reason(part)
        where = re.search(r"\[(\S+) (\S+)\]", reason)
        place = f" at ({float(where[1]):.6g}, {float(where[2]):.6g})" if where else ""
        if not reason.startswith("Ring Self-intersection"):  # a ring that only touches itself has one reading
            what = "crosses itself" if reason.startswith("Self-intersection") else f"is not valid ({reason})"
            raise InputError(
                f"a ring of the domain {what}{place}; mend it there, or run shapely.make_valid on it and look at the result"
            )
        part = shapely.make_valid(part)
    pieces = [
        piece for piece in shapely.get_parts(part) if shapely.get_type_id(piece) == GeometryType.POLYGON
    ]
    if not pieces or shapely.area(pieces).sum() == 0:
        raise InputError("a ring of the domain encloses no area; its vertices lie on a line")
    return pieces
