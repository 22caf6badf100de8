"""What a user hands a mesh (polygons, coordinate systems), read as a survey's are.

The only file here that knows the survey's readers, and it imports them when they are called: a mesh of plain arrays
needs neither shapely nor pyproj.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from geospde.errors import InputError

_SMALLEST = 1e-150  # of a coordinate that is not 0: its square is a number

if TYPE_CHECKING:
    from pyproj import CRS
    from shapely import MultiPolygon, Polygon


def read_crs(crs: Any) -> CRS:
    """Read a CRS; see `geospde.survey.crs.parse_crs`."""
    from geospde.survey.crs import parse_crs

    return parse_crs(crs)


def read_region(domain: Any, what: str) -> Polygon | MultiPolygon:
    """Read an area or points; see `geospde.survey.polygons.as_region`. Of an array that is none: say what sites are."""
    from geospde.survey.polygons import as_region

    try:
        return _of_plain_numbers(as_region(domain, what))
    except InputError as error:
        if not isinstance(domain, np.ndarray):
            raise
        remedy = "an array is read as an outline's vertices in order; sites go to sites="
        raise InputError(str(error), remedy=remedy) from None


def plain_numbers(xy: Any) -> Any:
    """Coordinates with squares: 0 in place of what is nearer to it, as 5e-324, by which GEOS divides in vain."""
    return np.where(np.abs(xy) < _SMALLEST, 0.0, xy)


def _of_plain_numbers(area: Any) -> Any:
    import shapely

    xy = shapely.get_coordinates(area)
    if not ((xy != 0) & (np.abs(xy) < _SMALLEST)).any():
        return area
    area = shapely.transform(area, plain_numbers)
    return area if area.is_valid else shapely.buffer(area, 0)


def unit_of(crs: CRS | None) -> str:
    """Name the unit of lengths; see `geospde.survey.crs.unit_of`."""
    from geospde.survey import crs as systems

    return systems.unit_of(crs)


def utm_of(degrees: Any) -> tuple[str, str]:
    """Code and name of the UTM zone of the middle of some places; see `geospde.survey.crs.utm_of`."""
    from geospde.survey import crs as systems

    return systems.utm_of(*systems.central_place(degrees))
