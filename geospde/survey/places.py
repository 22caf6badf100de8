"""Whether sites can be where their coordinate system puts them: strays, areas of use, distorted lengths."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geospde.errors import Place
from geospde.survey.crs import LONGITUDE_LATITUDE, central_place, is_local, parse_crs, transformer, unit_of, utm_of
from geospde.survey.numbers import Vector
from geospde.text.findings import Finding
from geospde.text.systems import crs_name
from geospde.text.words import counted, length

if TYPE_CHECKING:
    import pandas as pd
    from pyproj import CRS

SUBJECT = "coordinates"

STRAY = 3.0
"""A site so many times further from the middle than the sites before it is no part of the same survey."""

FEWEST = 10
"""Sites from which a stray one can be told."""

SLACK = (0.1, 0.5)
"""Share of an area of use by which a whole survey may lie off it, and by which a part may: surveys straddle zones."""

DISTORTION = 0.01
"""Relative error of lengths from which another projection is worth the trouble."""

DEGREES = ("longitude latitude", "lon lat", "long lat", "lng lat")
"""What columns of degrees are called."""

METRES = {"m": 1.0, "km": 1000.0}

_SAMPLE = 200  # sites at which lengths are compared
_STEP = 1000.0  # metres


def check_places(crs: CRS, places: Vector, place_of: Callable[[int, str | None], Place], units: str) -> list[Finding]:
    """Look for sites that cannot be where they are said to be, and for a system that distorts their distances.

    Parameters
    ----------
    crs : pyproj.CRS
        A local frame or a projected system.
    places : ndarray of shape (n, 2)
        In `crs`.
    place_of : callable
        ``place_of(i, None)`` is where row `i` stands in its file.
    units : str
        Of lengths.

    Returns
    -------
    list of Finding
        Warnings on the subject ``coordinates``; none where all is well.
    """
    stray = stray_sites(places)
    found = []
    if len(stray):
        i = int(stray[0])
        far = np.hypot(*(places[i] - np.median(places, axis=0)))
        others = f"; {counted(len(stray) - 1, 'further site')} like it" if len(stray) > 1 else ""
        found.append(
            Finding(
                "warning",
                SUBJECT,
                f"{place_of(i, None)} lies {length(float(far), units)} from the middle of the survey, far from all "
                f"other sites{others}",
                "look for a zero, a wrong sign or swapped columns there, or leave it out",
                tuple(map(int, stray)),
            )
        )
    rest = np.setdiff1d(np.arange(len(places)), stray)
    if not (is_local(crs) or crs.is_geographic):
        found += _on_earth(crs, places, rest, place_of)
    return found


def stray_sites(places: Vector) -> NDArray[np.intp]:
    """Return the rows, at most one in twenty, that lie far outside of the survey made up by the others.

    Examples
    --------
    >>> stray_sites(np.vstack([np.column_stack([np.arange(30.0), np.arange(30.0) % 7]), [[500.0, 500.0]]]))
    array([30])
    """
    n = len(places)
    if n < FEWEST:
        return np.empty(0, np.intp)
    radius = np.hypot(*(places - np.median(places, axis=0)).T)
    order = np.argsort(radius)
    first = n - max(1, n // 20)
    before, outer = radius[order[first - 1 : -1]], radius[order[first:]]
    jumps = np.flatnonzero(outer > STRAY * before)
    return order[first + jumps[0] :][::-1] if len(jumps) and before[0] > 0 else np.empty(0, np.intp)


def looks_like_grid(places: Vector, units: str = "m") -> bool:
    """Tell whether numbers in metres or kilometres look like eastings and northings of UTM or a national grid.

    Of metres six digits before the point, or seven for northings, of a survey that is small against them.

    Examples
    --------
    >>> looks_like_grid([(573_000.0, 5_541_000.0), (606_000.0, 5_580_000.0)]), looks_like_grid([(0.0, 0.0), (9e5, 9e5)])
    (True, False)
    """
    (west, south), (east, north) = np.array([np.min(places, axis=0), np.max(places, axis=0)]) * METRES.get(
        units, np.nan
    )
    fits = 100_000 <= west and east <= 900_000 and 100_000 <= south and north <= 10_000_000
    return bool(fits and max(east - west, north - south) < min(west, south))


def unprojected(table: pd.DataFrame, places: Vector) -> Finding | None:
    """Tell whether places without a coordinate system are columns called longitude and latitude, and hold degrees.

    Near the equator, where a degree is as long east as north to a hundredth, they serve as lengths.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"lon": [7.1, 7.4], "lat": [51.2, 51.0]})
    >>> unprojected(table, table.to_numpy()).message
    "'lon' and 'lat' look like degrees, one east 0.63 of one north here, and no CRS is stated: ranges are no lengths"
    """
    found = next((names for names in _named_degrees(table) if np.array_equal(table[names].to_numpy(), places)), None)
    if found is None:
        return None
    degrees = _degrees(found, places)
    if degrees is None:
        return None
    looks, code, zone = degrees
    return Finding(
        "warning",
        SUBJECT,
        f"{looks} here, and no CRS is stated: ranges are no lengths",
        f"state it with geopandas' set_crs('EPSG:4326'), then project with to_crs({code!r}), {zone}",
    )


def columns_of_degrees(table: pd.DataFrame, columns: Sequence[str], term: str) -> Finding | None:
    """Tell whether a term that measures distances between rows of these columns takes degrees for lengths.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"lon": [7.1, 7.4], "lat": [51.2, 51.0]})
    >>> columns_of_degrees(table, ["lat", "lon"], "s(lat,lon)").message
    "'lon' and 'lat' in s(lat,lon) look like degrees, one east 0.63 of one north: its distances are no lengths"
    """
    names = next((names for names in _named_degrees(table) if set(names) <= set(columns)), None)
    degrees = None if names is None else _degrees(names, table[names].to_numpy(dtype=float))
    if degrees is None:
        return None
    looks, code, zone = degrees
    return Finding(
        "warning",
        SUBJECT,
        f"{looks.replace(' look', f' in {term} look', 1)}: its distances are no lengths",
        f"project the points with geopandas' to_crs({code!r}), {zone}, and take columns of their metres",
    )


def _named_degrees(table: pd.DataFrame) -> Iterator[list[str]]:
    """Pairs of columns that are called longitude and latitude."""
    for pair in DEGREES:
        names = [str(c) for name in pair.split() for c in table.columns if str(c).casefold() == name]
        if len(names) == 2:
            yield names


def _degrees(names: Sequence[str], places: Vector) -> tuple[str, str, str] | None:
    """That columns hold degrees, not alike as lengths, in words; code and name of a zone to project to."""
    shorter = float(np.cos(np.deg2rad(np.abs(places[:, 1]).max())))
    if np.abs(places[:, 0]).max() > 360 or np.abs(places[:, 1]).max() > 90 or shorter > 1 - DISTORTION:
        return None
    code, zone = utm_of(*central_place(places))
    return f"{names[0]!r} and {names[1]!r} look like degrees, one east {shorter:.2f} of one north", code, zone


def code_of_grid(units: str) -> str:
    """Return what names a grid whose numbers are in metres or kilometres: EPSG's codes are of metres."""
    return "its EPSG code ('EPSG:32633')" if units == "m" else "its PROJ string ('+proj=utm +zone=33 +units=km')"


def outside_area_of_use(crs: CRS, places: Vector) -> NDArray[np.bool_]:
    """Tell which places lie outside of the area that a projected system is made for.

    Surveys straddle zones, so there is slack: more where other places lie inside.

    Returns
    -------
    ndarray of bool, shape (n,)
        False everywhere for a system without a stated area.
    """
    if crs.area_of_use is None:
        return np.zeros(len(places), dtype=bool)
    return _outside(crs, _longitude_latitude(crs, places))


def distortion(crs: CRS, degrees: Vector) -> float:
    """Return how far lengths in a projected system are off, relative, at worst, over some places.

    Steps of a kilometre north and east of the places, and the distances between places far from each other, are
    measured on the ellipsoid and on the plane.

    Parameters
    ----------
    crs : pyproj.CRS
    degrees : ndarray of shape (n, 2)
        Longitudes and latitudes.
    """
    from pyproj import Geod

    ellipsoid = Geod(ellps="WGS84")
    some = degrees[np.unique(np.linspace(0, len(degrees) - 1, _SAMPLE).astype(int))]
    metres = crs.axis_info[0].unit_conversion_factor
    forward = transformer(LONGITUDE_LATITUDE, crs)

    def planar(points: Vector) -> Vector:
        return np.column_stack(forward.transform(points[:, 0], points[:, 1])) * metres

    def compare(a: Vector, b: Vector) -> float:
        _, _, true = ellipsoid.inv(a[:, 0], a[:, 1], b[:, 0], b[:, 1])
        apart = true > 1.0
        ratio = np.hypot(*(planar(a) - planar(b)).T)[apart] / true[apart]
        return float(np.max(np.maximum(ratio, 1 / np.maximum(ratio, 1e-9)) - 1, initial=0.0))

    steps = []
    for azimuth in (0.0, 90.0):
        east, north, _ = ellipsoid.fwd(some[:, 0], some[:, 1], np.full(len(some), azimuth), np.full(len(some), _STEP))
        steps.append(np.column_stack([east, north]))
    return max(compare(some, to) for to in (*steps, np.roll(some, len(some) // 2, axis=0)))


def better_projection(degrees: Vector) -> tuple[Any, str]:
    """Return a projected system for places, as `crs` takes it, and its name: UTM where that does, else equal-area."""
    from pyproj import CRS

    longitude, latitude = central_place(degrees)
    code, zone = utm_of(longitude, latitude)
    if np.abs(degrees[:, 1]).max() < 84 and distortion(CRS.from_user_input(code), degrees) <= DISTORTION:
        return code, zone
    own = f"+proj=laea +lat_0={latitude:.1f} +lon_0={longitude:.1f} +datum=WGS84 +units=m +no_defs"
    return own, "an equal-area projection about its middle"


def _on_earth(
    crs: CRS, places: Vector, rows: NDArray[np.intp], place_of: Callable[[int, str | None], Place]
) -> Iterator[Finding]:
    from pyproj import CRS as System

    degrees = _longitude_latitude(crs, places[rows])
    known = np.asarray(np.isfinite(degrees).all(axis=1))
    lost: NDArray[np.bool_] = ~known if crs.area_of_use is None else _outside(crs, degrees)
    swapped = _swapped(crs, places[rows], degrees) if lost.any() else ""
    if lost.any() and (swapped or not known.all() or not _suits(crs, degrees)):
        remedy = "is the CRS right" + (f", or are {swapped} swapped" if swapped else "") + "?"
        if known.all():
            code, name = better_projection(degrees)
            if System.from_user_input(code) != crs:
                remedy += f" if the places are, take crs = {code!r} ({name})"
        first = int(rows[np.argmax(lost)])
        some = f"{lost.sum():,} of {counted(len(lost), 'site')} lie" if not lost.all() else "the sites lie"
        yield Finding(
            "warning",
            SUBJECT,
            f"{some} outside of the area that {crs_name(crs)} is for{_stated(crs)}; "
            f"the first is {place_of(first, None)}",
            remedy,
            tuple(map(int, rows[lost])),
        )
        return
    off = distortion(crs, degrees)
    if off <= DISTORTION:
        return
    code, name = better_projection(degrees)
    if distortion(System.from_user_input(code), degrees) < off / 2:
        share = f"{100 * off:.0f} %" if off < 1 else f"a factor of {1 + off:.1f}"
        yield Finding(
            "warning",
            SUBJECT,
            f"{crs_name(crs)} distorts lengths by up to {share} over the survey, and ranges are lengths",
            f"take crs = {code!r} ({name})",
        )


def _suits(crs: CRS, degrees: Vector) -> bool:
    """Tell whether a survey that goes beyond a zone has no better system than that: it distorts little there, too."""
    from pyproj import CRS as System

    return bool(System.from_user_input(better_projection(degrees)[0]) == crs)


def _stated(crs: CRS) -> str:
    area = crs.area_of_use
    if area is None:
        return ""
    return f" (longitudes {area.west:g} to {area.east:g}, latitudes {area.south:g} to {area.north:g})"


def _longitude_latitude(crs: CRS, places: Vector) -> Vector:
    degrees = transformer(crs, LONGITUDE_LATITUDE).transform(places[:, 0], places[:, 1])
    return np.where(np.isfinite(degrees), degrees, np.nan).T


def _outside(crs: CRS, degrees: Vector) -> NDArray[np.bool_]:
    area = crs.area_of_use
    assert area is not None
    width = (area.east - area.west) % 360 or 360.0

    def outside(slack: float) -> NDArray[np.bool_]:
        room_x, room_y = slack * width, slack * (area.north - area.south)
        x = (degrees[:, 0] - area.west + room_x) % 360 <= min(width + 2 * room_x, 360.0)
        y = (degrees[:, 1] >= area.south - room_y) & (degrees[:, 1] <= area.north + room_y)
        return np.asarray(~(x & y))

    near, far = map(outside, SLACK)
    return near if near.all() else far


def _swapped(crs: CRS, places: Vector, degrees: Vector) -> str:
    """Return which coordinates, if they changed places, would put all sites inside, or nothing."""
    if crs.area_of_use is None:
        return ""
    turns = {"longitude and latitude": degrees[:, ::-1], "x and y": _longitude_latitude(crs, places[:, ::-1])}
    for names, turned in turns.items():
        if np.isfinite(turned).all() and not _outside(crs, turned).any():
            return names
    return ""


def kilometres_per_degree(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how far a degree of longitude and one of latitude go at the middle of some places, (2,).

    Examples
    --------
    >>> kilometres_per_degree(np.array([[30.0, 59.0], [31.0, 61.0]])).round(1)
    array([ 55.7, 111.3])
    """
    south, north = float(np.min(places[:, 1])), float(np.max(places[:, 1]))
    return 111.32 * np.array([np.cos(np.radians((south + north) / 2)), 1.0])


def place_in_words(crs: Any, places: NDArray[np.float64], place: Sequence[float], degrees: bool) -> str:
    """Return where something is, as a sentence says it: to a thousandth of the extent of all places.

    Parameters
    ----------
    crs : pyproj.CRS or None
        What the coordinates are in.
    places : (n, 2) array
        All places.
    place : (x, y)
        The one to tell.
    degrees : bool
        Whether to tell longitude and latitude, where the CRS leads to them.

    Examples
    --------
    >>> places = np.array([[480_000.0, 4_000_000.0], [520_000.0, 4_100_000.0]])
    >>> place_in_words("EPSG:32631", places, (497_123.0, 3_990_911.0), False)
    'easting 497.1 km, northing 3,990.9 km'
    >>> place_in_words("EPSG:32631", places, (497_123.0, 3_990_911.0), True)
    '36.06° N, 2.97° E'
    """
    known = None if crs is None else parse_crs(crs)
    unit, (x, y) = unit_of(known), map(float, place)
    span = float(np.ptp(places, axis=0).max()) or 1.0
    if unit == "degree" or (degrees and known is not None and not is_local(known)):
        if unit != "degree":
            assert known is not None
            to_degrees = transformer(known, LONGITUDE_LATITUDE)
            (x, y), span = to_degrees.transform(x, y), span * known.axis_info[0].unit_conversion_factor / 111_320
        digits = _digits(span)
        return f"{abs(y):.{digits}f}° {'N' if y >= 0 else 'S'}, {abs(x):.{digits}f}° {'E' if x >= 0 else 'W'}"
    if unit == "m" and span >= 3000:
        x, y, span, unit = x / 1000, y / 1000, span / 1000, "km"
    coordinates = [f"{value:,.{_digits(span)}f} {unit}".rstrip().replace("-", "\N{MINUS SIGN}") for value in (x, y)]
    return f"easting {coordinates[0]}, northing {coordinates[1]}" if unit else f"({coordinates[0]}, {coordinates[1]})"


def _digits(span: float) -> int:
    """Return decimals that tell a thousandth of a span."""
    return max(0, 3 - math.ceil(math.log10(span)))
