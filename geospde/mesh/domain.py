"""The domain of a field: hulls around land or points, and their size and CRS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from geospde.errors import InputError
from geospde.mesh.inputs import read_crs, read_region, utm_of
from geospde.mesh.triangulation import Triangulation
from geospde.text.systems import crs_name, crs_names

if TYPE_CHECKING:
    from pyproj import CRS
    from shapely import MultiPolygon, Polygon


def nonconvex_hull(
    geometry: Any, convex: float, concave: float | None = None, *, tolerance: float = 0.0
) -> Polygon | MultiPolygon:
    """Grow a smooth hull around an area or points: a morphological closing.

    Everything within ``convex + concave`` of the geometry, less what is within `concave` of the outside of
    that. The hull reaches `convex` beyond the geometry, and where it turns inwards its radius is at least
    `concave`, so gaps, inlets and lakes narrower than twice ``convex + concave`` are bridged, and wider ones
    stay open. The arguments are those of R-INLA's ``inla.nonconvex.hull``.

    Parameters
    ----------
    geometry
        What `geospde.survey.polygons.as_region` takes.
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
    area = read_region(geometry, "the domain")
    span = diameter(area)
    convex = -convex * span if convex < 0 else convex
    concave = convex if concave is None else -concave * span if concave < 0 else concave
    if not (np.isfinite(convex) and np.isfinite(concave)):
        raise InputError("convex and concave must be finite")
    if convex == 0 and (concave == 0 or area.geom_type == "MultiPoint"):
        if area.geom_type == "MultiPoint":
            raise InputError("a hull around points needs convex above 0")
        return area
    grown = _grown(area, convex + concave)
    hull = shapely.buffer(grown, -concave, quad_segs=16) if concave else grown
    if convex == 0:  # the hull touches the geometry, and rounding must not put it inside
        hull = shapely.union(hull, area).buffer(1e-9 * span)
    return simplified(hull, tolerance, area)


def simplified(area: Polygon | MultiPolygon, tolerance: float, keep: Any) -> Polygon | MultiPolygon:
    """Leave out vertices of an area, none further than `tolerance` from the new boundary.

    The tolerance is halved, up to five times, until the area covers `keep`, if that is not None; failing that
    nothing is left out.

    Examples
    --------
    >>> import shapely
    >>> from geospde.mesh.domain import simplified
    >>> bumpy = shapely.Polygon([(0, 0), (2, 0.1), (4, 0), (4, 4), (0, 4)])
    >>> simplified(bumpy, 0.2, keep=shapely.Point(2, 0.2)).area
    16.0
    """
    for halving in range(6 if tolerance > 0 else 0):
        simple = shapely.simplify(area, tolerance / 2**halving)
        if simple.is_valid and not simple.is_empty and (keep is None or simple.covers(keep)):
            return simple
    return area


def _grown(area: Any, reach: float) -> Polygon | MultiPolygon:
    """Everything within `reach` of an area or of points."""
    if area.geom_type != "MultiPoint":
        # each island by itself and then united: many at once cost GEOS ten times as much
        return shapely.union_all(shapely.buffer(shapely.get_parts(area), reach, quad_segs=16))
    # Circles around thousands of points take minutes to unite, so only those on the rim are drawn: three points on a
    # circle no larger than `reach` cover the triangle between them.
    points = np.unique(shapely.get_coordinates(area), axis=0)
    mesh = Triangulation.of(points, np.empty((0, 2), np.int64))
    triangles = mesh.triangles[mesh.triangles.min(axis=1) >= 0]
    corners = points[triangles]
    (a, b), sides = (corners[:, 1:] - corners[:, :1]).transpose(1, 2, 0), corners - np.roll(corners, 1, axis=1)
    twice = np.abs(a[0] * b[1] - a[1] * b[0])
    small = np.hypot(sides[..., 0], sides[..., 1]).prod(axis=1) <= 2 * reach * twice
    n, triangles = len(points), triangles[small]
    edge = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    key, uses = np.unique(edge[:, 0] * n + edge[:, 1], return_counts=True)
    rim = np.setdiff1d(np.arange(n), triangles)
    rim = np.union1d(rim, np.divmod(key[uses == 1], n))
    circles = shapely.buffer(shapely.multipoints(points[rim]), reach, quad_segs=16)
    return shapely.union(shapely.coverage_union_all(shapely.polygons(points[triangles])), circles)


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
            names = " and ".join(crs_names(found, crs))
            raise InputError(f"the inputs are in different CRSs ({names}); convert one with .to_crs(...)")
        found = read_crs(crs)
        if crs.is_geographic:
            west, south, east, north = layer.total_bounds
            code, name = utm_of([(west, south), (east, north)])
            raise InputError(
                f"the coordinates are degrees ({crs_name(crs)}), and lengths need a projected CRS; "
                f"convert every layer, for {name} with .to_crs({code!r})"
            )
    return found
