"""What a coordinate reference system is called, also one that has no name."""

from typing import Any

from geospde.text.words import in_brief

NAMELESS = ("", "unknown", "unnamed", "undefined", "none")
"""What PROJ and others write where there is no name."""


def crs_name(crs: Any, unit: bool = True) -> str:
    """Return the name of a CRS, or what it does where it has none, as one that is made of a PROJ string.

    Parameters
    ----------
    crs : pyproj.CRS
    unit : bool
        Whether to say what its axes count where it has no name.

    Examples
    --------
    >>> from pyproj import CRS
    >>> crs_name(CRS("EPSG:32758"))
    'WGS 84 / UTM zone 58S'
    >>> crs_name(CRS("+proj=laea +lat_0=11.3 +lon_0=-167 +units=km"))
    'Lambert Azimuthal Equal Area about 11.3 N, 167 W, in kilometres'
    >>> crs_name(CRS("+proj=longlat +ellps=intl"))
    'longitude and latitude on International 1924 (Hayford 1909, 1910)'
    """
    if not _nameless(crs):
        return str(crs.name)
    crs = crs.source_crs if crs.is_bound else crs
    counts = _unit(crs) if unit else ""
    if crs.is_engineering:
        return f"a local frame without a name{counts}"
    operation = crs.coordinate_operation
    if crs.is_geographic:
        turned = " about a pole elsewhere" if operation is not None else ""
        return f"longitude and latitude{turned} on {crs.ellipsoid.name}"
    if operation is None:
        return in_brief(crs.srs)
    earth = "" if crs.ellipsoid is None or crs.ellipsoid.name == "WGS 84" else f" on {crs.ellipsoid.name}"
    method = operation.method_name.removeprefix("PROJ ").split(" (variant")[0]
    return f"{method}{_middle(operation)}{earth}{counts}"


def crs_names(first: Any, second: Any) -> tuple[str, str]:
    """Return the names of two CRSs that are not one, with their definitions where the names are.

    Examples
    --------
    >>> from pyproj import CRS
    >>> crs_names(CRS("+proj=sinu"), CRS("+proj=sinu +x_0=100"))[1]
    "Sinusoidal about 0 E, in metres ('+proj=sinu +x_0=100 +type=crs')"
    """
    names = crs_name(first), crs_name(second)
    if names[0] != names[1]:
        return names
    return f"{names[0]} ({in_brief(first.srs)})", f"{names[1]} ({in_brief(second.srs)})"


def _nameless(crs: Any) -> bool:
    return str(crs.name or "").strip().lower() in NAMELESS


def _middle(operation: Any) -> str:
    """Where a projection is about."""
    places = []
    for name, letters in (("Latitude", "NS"), ("Longitude", "EW")):
        of_middle = (p for p in operation.params if p.name.startswith(name) and p.name.endswith(("origin", "centre")))
        if (found := next(of_middle, None)) is not None:
            places.append(f"{abs(found.value):.6g} {letters[found.value < 0]}")
    return f" about {', '.join(places)}" if places else ""


def _unit(crs: Any) -> str:
    """What its axes count."""
    unit = crs.axis_info[0].unit_name if crs.axis_info else ""
    return f", in {unit.replace('foot', 'feet') if 'foot' in unit else unit + 's'}" if unit and unit != "unit" else ""
