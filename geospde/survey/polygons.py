"""Coastlines as polygons: from rings of vertices, from lines and from polygon layers.

Orientation, closure and repeated vertices are put right silently. Rings that touch or retrace themselves, and parts
and holes without area, are mended with a warning, as what is meant is plain; a ring that crosses itself is an error
that says where.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from geospde.errors import GeospdeWarning, InputError, alert
from geospde.text.words import counted

if TYPE_CHECKING:
    from shapely import MultiPolygon, Polygon
    from shapely.geometry.base import BaseGeometry


ROUNDING = 1e-9  # of the box around a ring: an area that rounding does not make


def polygon_from_rings(
    rings: Sequence[np.ndarray], *, names: Sequence[str] | None = None, source: str = "the coastline"
) -> Polygon | MultiPolygon:
    """Return the polygon that rings of vertices bound.

    Nesting tells land from water: a ring inside another is a hole in it, a ring inside a hole is an island.

    Parameters
    ----------
    rings : sequence of ndarray, each of shape (n, 2)
        Vertices in order, either way round, closed or not.
    names : sequence of str, optional
        What errors call each ring.
    source : str
        What errors call them all: a file's name.

    Returns
    -------
    shapely.Polygon or shapely.MultiPolygon
        Shells counter-clockwise, holes clockwise.

    Raises
    ------
    InputError
        If a ring has fewer than three distinct vertices, no area, or crosses itself or another.

    Examples
    --------
    >>> square = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
    >>> polygon_from_rings([4 * square, 1 + square]).area
    15.0
    """
    import shapely

    if names is None:
        names = ["the ring"] if len(rings) == 1 else [f"ring {i + 1}" for i in range(len(rings))]
    if not len(rings):
        raise InputError(f"{source} has no vertices")
    whole = [k for k, ring in enumerate(rings) if _hull_has_area(np.asarray(ring, float))] or [0]
    if len(whole) < len(rings):
        _note(f"{counted(len(rings) - len(whole), 'ring')} of {source} without area left out")
    names = [names[k] for k in whole]
    shapes = [_ring(np.asarray(rings[k], float), f"{name} of {source}") for k, name in zip(whole, names)]

    # larger rings first, so that what contains a ring stands before it; even-odd nesting
    order = sorted(range(len(shapes)), key=lambda i: -shapes[i].area)
    land: BaseGeometry = shapely.Polygon()
    rank, near = {i: place for place, i in enumerate(order)}, shapely.STRtree(shapes)
    alone = []
    for place, i in enumerate(order):
        met = [int(j) for j in near.query(shapes[i]) if j != i]  # all others are disjoint
        if not met:
            alone.append(shapes[i])
            continue
        for j in sorted((j for j in met if rank[j] < place), key=rank.__getitem__):
            inner, outer = shapes[i], shapes[j]
            if not (outer.contains(inner) or outer.disjoint(inner) or outer.touches(inner)):
                where = shapely.get_coordinates(inner.boundary.intersection(outer.boundary))
                spot = f" at {_spot(where[0])}" if len(where) else ""
                raise InputError(f"{names[i]} and {names[j]} of {source} cross each other{spot}: correct them")
        land = land.symmetric_difference(shapes[i])
    return as_land(shapely.union_all([land, *alone]) if alone else land, source)


def _hull_has_area(vertices: np.ndarray) -> bool:
    import shapely

    return bool(shapely.convex_hull(shapely.multipoints(vertices)).area > 0)


def _have_area(polygons: list[Polygon]) -> NDArray[np.bool_]:
    """Tell whose outer ring has an area: plain of most, and of others (holes, rings that cross) by its hull."""
    import shapely

    west, south, east, north = shapely.bounds(polygons).T
    have: NDArray[np.bool_] = shapely.area(polygons) > ROUNDING * (east - west) * (north - south)
    for k in np.flatnonzero(~have):
        have[k] = _hull_has_area(shapely.get_coordinates(polygons[k].exterior))
    return have


def _ring(vertices: np.ndarray, what: str) -> Polygon | MultiPolygon:
    import shapely

    if len(np.unique(vertices, axis=0)) < 3:
        raise InputError(f"{what} has fewer than three distinct vertices")
    shape = shapely.Polygon(vertices)
    if not shape.convex_hull.area > 0:
        raise InputError(f"{what} has its vertices on one line and no area")
    return _mended(shape, what)


def as_land(geometry: BaseGeometry, source: str = "the coastline") -> Polygon | MultiPolygon:
    """Return polygons, or closed lines, as one valid plane polygon with its rings the usual way round.

    Parameters
    ----------
    geometry : shapely geometry
        Polygon, MultiPolygon, closed LineString or MultiLineString, or a collection of them; neighbours are
        joined.
    source : str
        What errors call it.

    Returns
    -------
    shapely.Polygon or shapely.MultiPolygon

    Raises
    ------
    InputError
        If it is empty, has points or open lines, or crosses itself.

    Examples
    --------
    >>> import shapely
    >>> as_land(shapely.box(0, 0, 1, 1).exterior).area
    1.0
    """
    import shapely

    parts = [p for p in shapely.get_parts(shapely.force_2d(geometry), return_index=False) if not p.is_empty]
    parts = [q for p in parts for q in shapely.get_parts(p)]
    if not parts:
        raise InputError(f"{source} is empty: it needs at least one polygon")
    kinds = {p.geom_type for p in parts}
    if not np.isfinite(shapely.get_coordinates(parts)).all():
        raise InputError(f"{source} has a vertex that is not a finite number")
    if kinds <= {"LineString", "LinearRing"}:
        return _closed(parts, source)
    if kinds != {"Polygon"}:
        other = ", ".join(sorted(kinds - {"Polygon"}))
        raise InputError(f"{source} holds {other} where polygons or closed lines belong")
    solid = [part for part, has_area in zip(parts, _have_area(parts)) if has_area]
    if not solid:
        raise InputError(f"{source} has no area")
    if len(solid) < len(parts):
        _note(f"{counted(len(parts) - len(solid), 'part')} of {source} without area left out")
    valid = shapely.is_valid(solid)
    parts = list(shapely.get_parts([p if fine else _mended(p, source) for p, fine in zip(solid, valid)]))
    if len(parts) > 1 and not shapely.MultiPolygon(parts).is_valid:  # neighbours: islands apart are a union already
        parts = list(shapely.get_parts(shapely.union_all(parts)))
    islands = [p for p in parts if p.geom_type == "Polygon" and p.area > 0]
    if not islands:
        raise InputError(f"{source} has no area")
    islands = list(shapely.orient_polygons(np.array(islands, dtype=object)))
    return islands[0] if len(islands) == 1 else shapely.MultiPolygon(islands)


def as_region(layer: Any, what: str = "the region", *, corridors: bool = False) -> Any:
    """Read one region out of whatever describes it.

    Orientation, closure and overlaps between polygons are put right silently.

    Parameters
    ----------
    layer : geometry, GeoDataFrame, GeoSeries, array, Survey or a sequence of geometries
        Polygons; closed lines, or a k x 2 array of the vertices of one ring, which become polygons; or points,
        which stay points. A survey stands for its coastline or, without one, the hull of its sites.
    what : str
        What errors call it.
    corridors : bool
        Whether open lines may stay lines, for a buffer around them.

    Returns
    -------
    shapely.Polygon, shapely.MultiPolygon or shapely.MultiPoint; with `corridors` also lines

    Raises
    ------
    InputError
        If there is nothing in it, a ring crosses itself (the message says where), a line is not closed, or a
        coordinate is not finite.

    Examples
    --------
    >>> as_region([[0, 0], [0, 1], [1, 1], [1, 0]]).area
    1.0
    """
    import shapely

    if hasattr(layer, "coastline"):
        layer = layer.coastline if layer.coastline is not None else layer.domain
    if isinstance(layer, shapely.Geometry):
        parts = [layer]
    elif hasattr(layer, "geometry"):
        parts = [part for part in layer.geometry if part is not None]
    elif isinstance(layer, Sequence | np.ndarray) and np.iterable(layer) and _begin_with_a_shape(layer):
        parts = list(layer)
    else:
        return polygon_from_rings(_ring_array(layer, what), source=what)
    kinds = {part.geom_type for part in parts if not part.is_empty}
    if kinds and kinds <= {"Point", "MultiPoint"}:
        points = shapely.get_coordinates(parts)
        return shapely.multipoints(points[np.isfinite(points).all(axis=1)])
    if corridors and kinds and kinds <= {"LineString", "MultiLineString"}:
        lines = shapely.line_merge(shapely.union_all(parts))
        if not all(line.is_closed for line in shapely.get_parts(lines)):
            return lines
    return as_land(shapely.GeometryCollection(parts), what)


def _begin_with_a_shape(given: Any) -> bool:
    import shapely

    return len(given) > 0 and isinstance(given[0], shapely.Geometry)


def _ring_array(vertices: Any, what: str) -> list[np.ndarray]:
    """Return a list of one ring's vertices; of none if there are no vertices."""
    try:
        ring = np.asarray(vertices, dtype=float)
    except (TypeError, ValueError):
        ring = np.empty(())
    if ring.size == 0 and ring.ndim:
        return []
    if ring.ndim != 2 or ring.shape[1] != 2:
        given = type(vertices).__name__ if ring.ndim == 0 else f"one of shape {ring.shape}"
        raise InputError(f"{what} must be polygons (shapely or geopandas) or a k x 2 array of vertices, not {given}")
    if not np.isfinite(ring).all():
        raise InputError(f"{what} has a vertex that is not a finite number, row {np.argmin(np.isfinite(ring).all(1))}")
    return [ring]


def _closed(lines: list[Any], source: str) -> Polygon | MultiPolygon:
    import shapely

    merged = shapely.get_parts(shapely.line_merge(shapely.MultiLineString(lines)))
    open_ends = [line for line in merged if not line.is_closed]
    if open_ends:
        ends = shapely.get_coordinates(open_ends[0])[[0, -1]]
        raise InputError(
            f"{source} has a line that does not close, from {_spot(ends[0])} to {_spot(ends[1])}: "
            "a coastline is a polygon or closed lines"
        )
    return polygon_from_rings([shapely.get_coordinates(line) for line in merged], source=source)


def _mended(polygon: Polygon, what: str) -> Polygon | MultiPolygon:
    """Return a valid polygon: itself, or where its rings only touch or retrace themselves, the area that they bound.

    That is plain where all readings of the rings agree: inside is what is gone round once. Warns of what was mended.

    Raises
    ------
    InputError
        If a ring crosses itself or another one, or nothing has an area; it says where.
    """
    import shapely

    if polygon.is_valid:
        return polygon
    spot = _invalid_at(polygon)
    shell = _gone_round_once(polygon.exterior)
    given = [shapely.Polygon(ring) for ring in polygon.interiors]
    once = {hole.normalize().wkb: hole for hole in given}.values()  # one that is given twice is one
    holes = [_gone_round_once(hole.exterior) for hole in once]
    solid = [hole for hole in holes if hole is not None and hole.area > 0]
    if shell is None or shell.area == 0 or None in holes:
        _refuse_invalid(polygon, what)
    water = shapely.union_all(solid) if solid else shapely.Polygon()
    land = shapely.difference(shell, water)
    slack = 1e-9 * shell.area
    if abs(sum(hole.area for hole in solid) - water.area) > slack or abs(shell.area - water.area - land.area) > slack:
        _refuse_invalid(polygon, what)
    faults = "has holes without area, left out" if len(solid) < len(holes) else "touches or retraces itself"
    _note(f"{what} {faults}{spot}: mended, what its rings go round once is {land.area:.6g} in area")
    return polygons_of(land)


def _gone_round_once(ring: Any) -> Polygon | MultiPolygon | None:
    """Return the area of a ring, None where it crosses itself: then even-odd and winding readings differ."""
    import shapely

    vertices = _first_round(shapely.get_coordinates(ring))
    x, y = (vertices - vertices.mean(axis=0)).T
    signed = abs(float(0.5 * np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])))
    area = polygons_of(shapely.make_valid(shapely.Polygon(vertices)))
    return area if abs(area.area - signed) <= 1e-9 * shapely.box(*ring.bounds).area else None


def _first_round(vertices: np.ndarray) -> np.ndarray:
    """Return a closed ring, (k, 2), once where it goes through the same vertices in the same order several times."""
    once = vertices[:-1][(vertices[1:] != vertices[:-1]).any(axis=1)]  # a vertex given twice running counts once
    for size in range(3, len(once) // 2 + 1):
        if len(once) % size == 0 and np.array_equal(once, np.tile(once[:size], (len(once) // size, 1))):
            return np.vstack([once[:size], once[:1]])
    return vertices


def polygons_of(geometry: BaseGeometry) -> Polygon | MultiPolygon:
    """Return the polygons of a geometry, without lines and points."""
    import shapely

    parts = [p for g in shapely.get_parts(geometry) for p in shapely.get_parts(g) if p.geom_type == "Polygon"]
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)


def _note(sentence: str) -> None:
    alert(GeospdeWarning(sentence, subject="coastline"))


def _invalid_at(shape: BaseGeometry) -> str:
    import shapely

    spot = re.search(r"\[(\S+) (\S+?)\]", shapely.is_valid_reason(shape))
    return f" near {_spot((float(spot[1]), float(spot[2])))}" if spot else ""


def _refuse_invalid(shape: BaseGeometry, what: str) -> NoReturn:
    """Raise an InputError that says where and how a polygon is not valid."""
    import shapely

    where, fault = _invalid_at(shape), shapely.is_valid_reason(shape).partition("[")[0].strip()
    if "self-intersection" in fault.casefold():
        raise InputError(f"{what} crosses itself{where}: correct its vertices there")
    raise InputError(f"{what} is not a valid polygon{where} ({fault.lower()}): correct it there")


def _spot(point: Sequence[float] | np.ndarray) -> str:
    return f"({point[0]:.10g}, {point[1]:.10g})"
