"""Coordinate reference systems: EPSG codes, WKT, and local frames such as ``local:m``."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from geospde.errors import InputError
from geospde.text.systems import crs_name, crs_names
from geospde.text.words import in_brief

if TYPE_CHECKING:
    from pyproj import CRS, Transformer

# unit: (its name in WKT, metres); "unit" is for frames without a length, such as a simulated unit square
LOCAL_UNITS = {
    "m": ("metre", 1.0),
    "km": ("kilometre", 1000.0),
    "cm": ("centimetre", 0.01),
    "mm": ("millimetre", 0.001),
    "ft": ("foot", 0.3048),
    "us-ft": ("US survey foot", 12 / 39.37),
    "yd": ("yard", 0.9144),
    "mi": ("Statute mile", 1609.344),
    "nmi": ("nautical mile", 1852.0),
    "unit": ("unit", 1.0),
}


LONGITUDE_LATITUDE = "EPSG:4326"


def parse_crs(value: Any) -> CRS:
    """Return the coordinate reference system that `value` names.

    Parameters
    ----------
    value : str, int or pyproj.CRS
        ``"local:m"`` (or another of `LOCAL_UNITS`) for a local frame, an EPSG code (``32758`` or
        ``"EPSG:32758"``), WKT, a PROJ string, or a CRS object.

    Returns
    -------
    pyproj.CRS

    Raises
    ------
    InputError
        If nothing of the kind is known.

    Examples
    --------
    >>> parse_crs("local:m").name
    'local (m)'
    >>> parse_crs("EPSG:32758").name
    'WGS 84 / UTM zone 58S'
    """
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    # "local" and "local:km" are ours; LOCAL_CS["local (km)", ...] is WKT
    if isinstance(value, str) and (ours := re.fullmatch(r"\s*local\s*(?::(.*))?", value, re.IGNORECASE)):
        if ours[1] is not None and not ours[1].strip():
            raise InputError(f"{value!r} names no unit that geospde knows: write 'local:m' for a local frame in metres")
        return local_crs((ours[1] or "").strip() or "m")
    try:
        crs = CRS.from_user_input(value)
    except (CRSError, TypeError, ValueError):
        raise InputError(
            f"crs {in_brief(value)} is not a coordinate reference system that PROJ knows: "
            "give an EPSG code ('EPSG:32633'), WKT, or 'local:m' for a local frame in metres"
        ) from None
    return refuse_placeless(crs)


@lru_cache(64)
def transformer(source: CRS | str, target: CRS | str) -> Transformer:
    """Return what leads from one CRS into another, x or longitude first.

    PROJ takes some 50 ms to find it, and threads may share it.

    Examples
    --------
    >>> transformer(LONGITUDE_LATITUDE, "EPSG:32632").transform(9.0, 0.0)
    (500000.0, 0.0)
    """
    from pyproj import Transformer

    return Transformer.from_crs(source, target, always_xy=True)


def refuse_placeless(crs: CRS) -> CRS:
    """Return `crs` if it tells places on a map; heights alone and axes through the Earth's centre are InputErrors.

    Examples
    --------
    >>> parse_crs("EPSG:5773")
    Traceback (most recent call last):
        ...
    geospde.errors.InputError: crs EGM96 height measures heights, not places: give a projected one ...
    """
    if crs.is_projected or crs.is_geographic or crs.is_engineering:
        return crs
    reason = "tells no places on a map"
    if crs.is_vertical:
        reason = "measures heights, not places"
    elif crs.is_geocentric:
        reason = "counts from the centre of the Earth, not on a map"
    what = f"crs {crs_name(crs)} {reason}"
    raise InputError(what, remedy="give a projected one ('EPSG:32633') or 'local:m'")


def local_crs(unit: str = "m") -> CRS:
    """Return the engineering CRS of a local frame: east and north of an origin that nobody needs to know.

    Written as ``LOCAL_CS``, the form that GeoTIFF and GeoPackage round-trip.

    Parameters
    ----------
    unit : str
        One of `LOCAL_UNITS`.

    Examples
    --------
    >>> local_crs("km").axis_info[0].unit_conversion_factor
    1000.0
    """
    from pyproj import CRS

    if unit not in LOCAL_UNITS:
        units = ", ".join(LOCAL_UNITS)
        raise InputError(f"crs 'local:{unit}' has no unit that geospde knows: take one of {units}")
    name, metres = LOCAL_UNITS[unit]
    return CRS.from_wkt(
        f'LOCAL_CS["local ({unit})",UNIT["{name}",{metres!r}],AXIS["Easting",EAST],AXIS["Northing",NORTH]]'
    )


def check_of_one_crs(what: str, crs: CRS | None, mesh_crs: CRS | None) -> None:
    """Refuse data or areas in another coordinate reference system than the mesh's; an unknown one passes."""
    if crs is not None and mesh_crs is not None and crs != mesh_crs:
        own, other = crs_names(crs, mesh_crs)
        raise InputError(f"the {what} are in {own!r} but the mesh is in {other!r}: bring them to one CRS with to_crs")


def is_local(crs: CRS) -> bool:
    """Tell whether `crs` is a local frame, which no transformation leads to or from."""
    return bool(crs.is_engineering)


def unit_of(crs: CRS | None) -> str:
    """Return the short name of the unit of a CRS's axes, as it stands in tables and on scale bars.

    Examples
    --------
    >>> unit_of(local_crs("km")), unit_of(parse_crs(32758)), unit_of(parse_crs(4326)), unit_of(None)
    ('km', 'm', 'degree', '')
    """
    if crs is None or not crs.axis_info:
        return ""
    axis = crs.axis_info[0]
    if axis.unit_name == "unit":
        return ""
    if "degree" in axis.unit_name:
        return "degree"
    for short, (_, metres) in LOCAL_UNITS.items():
        if math.isclose(metres, axis.unit_conversion_factor, rel_tol=1e-9):
            return short
    return axis.unit_name


def utm_of(longitude: float, latitude: float) -> tuple[str, str]:
    """Return the EPSG code and the name of the UTM zone that holds a place, of the polar system beyond the zones.

    Examples
    --------
    >>> utm_of(166.8, 11.3), utm_of(0.0, 89.5)
    (('EPSG:32658', 'UTM zone 58N'), ('EPSG:5041', 'UPS North'))
    """
    if not -80 <= latitude <= 84:
        return ("EPSG:5041", "UPS North") if latitude > 0 else ("EPSG:5042", "UPS South")
    zone = min(int((longitude + 180) % 360 // 6) + 1, 60)
    north = latitude >= 0
    return f"EPSG:{(32600 if north else 32700) + zone}", f"UTM zone {zone}{'N' if north else 'S'}"


def central_place(degrees: ArrayLike) -> tuple[float, float]:
    """Return longitude and latitude of the middle of some places, also across the date line and at the poles.

    Parameters
    ----------
    degrees : array_like, shape (n, 2)
        Longitudes and latitudes.

    Examples
    --------
    >>> [round(v, 6) for v in central_place([(179.0, -17.0), (-177.0, -17.0)])]
    [-179.0, -17.009764]
    """
    longitude, latitude = np.deg2rad(np.asarray(degrees, dtype=float)).T
    x, y, z = np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)
    middle = np.array([x.mean(), y.mean(), z.mean()])
    return (
        float(np.rad2deg(np.arctan2(middle[1], middle[0]))),
        float(np.rad2deg(np.arctan2(middle[2], np.hypot(middle[0], middle[1])))),
    )
