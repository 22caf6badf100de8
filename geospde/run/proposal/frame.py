"""The coordinate system to work in: one of lengths, since meshes and ranges need them, and on Earth where it can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.run.proposal.asking import Guesser
from geospde.run.proposal.columns import words_of
from geospde.run.proposal.roles import named_degrees
from geospde.survey.crs import central_place, is_local, parse_crs, transformer, utm_of
from geospde.survey.places import looks_like_grid
from geospde.survey.reading import LAND, read_coastline, read_table
from geospde.survey.survey import TINY
from geospde.survey.tables import Table
from geospde.text.systems import crs_name
from geospde.text.words import listed

if TYPE_CHECKING:
    from pyproj import CRS


DEGREES = "EPSG:4326"
WIDEST = 12.0
"""Degrees of longitude, twice a zone's width, beyond which UTM stretches lengths by more than half a percent."""

UNITS = ("km", "ft", "mi", "nmi", "yd", "cm", "mm")
"""Units that the name of a coordinate's column may end on."""


@dataclass(frozen=True)
class Layer:
    """Where the coordinates of a file lie, and what is known about their system.

    Attributes
    ----------
    source : str
        What sentences call the file.
    stated : pyproj.CRS or None
        The CRS that the file states.
    places : ndarray of shape (n, 2)
        Its coordinates, or the corners of their bounding box.
    columns : tuple of str
        The columns they were read from, empty for a layer with geometry.
    """

    source: str
    stated: CRS | None
    places: NDArray[np.float64]
    columns: tuple[str, ...] = ()

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north."""
        (west, south), (east, north) = self.places.min(axis=0), self.places.max(axis=0)
        return float(west), float(south), float(east), float(north)

    @property
    def could_be_degrees(self) -> bool:
        """Whether all of it is within the range of longitudes, up to 360, and latitudes."""
        west, south, east, north = self.bounds
        return -180 <= west and east <= 360 and -90 <= south and north <= 90

    @property
    def named_degrees(self) -> bool:
        """Whether its columns are called longitude and latitude."""
        return bool(self.columns) and all(map(named_degrees, self.columns))

    @property
    def looks_like_degrees(self) -> bool:
        """Whether it lies in a small part of the range of degrees, far from the origin, with three decimals or more."""
        west, south, east, north = self.bounds
        away = max(abs(west + east) / max(east - west, 1e-9), abs(south + north) / max(north - south, 1e-9))
        fine = np.abs(self.places * 100 - np.round(self.places * 100)) > 1e-6
        return self.could_be_degrees and away > 3 and bool(fine.any(axis=1).mean() > 0.5)

    @property
    def utm_in_km(self) -> bool:
        """Whether its columns are called UTM and hold what would be kilometres there."""
        west, south, east, north = self.bounds
        named = bool(self.columns) and all(any(word.startswith("utm") for word in words_of(c)) for c in self.columns)
        return named and 0 < west and east < 1000 and 0 <= south and north < 10_000 and north > 1000

    @property
    def gauss_kruger(self) -> str | None:
        """EPSG code of the zone of Germany's grid that columns called Rechtswert and Hochwert are of, by its digit."""
        west, south, east, north = self.bounds
        zone = int(west // 1e6)
        named = len(self.columns) == 2 and "rechtswert" in words_of(self.columns[0])
        within = all(2e5 <= x - 1e6 * zone <= 8e5 for x in (west, east)) and 5.2e6 <= south and north <= 6.2e6
        return f"EPSG:{31464 + zone}" if named and zone in (2, 3, 4, 5) and within else None

    def shown(self) -> str:
        """Return the bounding box for a sentence."""
        west, south, east, north = self.bounds
        return f"x from {west:.6g} to {east:.6g}, y from {south:.6g} to {north:.6g}"


@dataclass(frozen=True)
class Frame:
    """The coordinate system of a run.

    Attributes
    ----------
    crs : str or None
        As ``crs`` of the run file; None where the points' own is taken.
    source_crs : str or None
        As ``source_crs`` of the run file.
    reason : str
        Where it comes from and when to change it: sentences for a comment.
    """

    crs: str | None
    source_crs: str | None
    reason: str


def points_layer(table: Table, path: str | Path, x: str | None, y: str | None) -> Layer:
    """Return where a table's points lie; their coordinates must be numbers."""
    import geopandas as gpd

    if x is not None and y is not None:
        return Layer(table.source, _beside(path), np.column_stack([table.numbers(x), table.numbers(y)]), (x, y))
    assert isinstance(table.frame, gpd.GeoDataFrame)
    return _without_default(Layer(table.source, table.frame.crs, shapely.get_coordinates(table.frame.geometry)))


def _beside(path: str | Path) -> CRS | None:
    """Return the CRS that a .prj file of a table's name says, as beside a shapefile."""
    prj = Path(path).expanduser().with_suffix(".prj")
    try:
        text = prj.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    try:
        return parse_crs(text)
    except InputError as error:
        raise InputError(f"{prj.name} beside the table holds no coordinate reference system: {error}") from None


def coastline_layer(coastline: str | Path, layer: str | None) -> Layer:
    """Return where a coastline lies."""
    import geopandas as gpd

    table = read_table(coastline, layer, want=LAND, what="coastline")
    frame = table.frame
    if isinstance(frame, gpd.GeoDataFrame) and frame.crs is not None and len(frame):
        bounds = np.reshape(frame.total_bounds, (2, 2))
        return _without_default(Layer(table.source, frame.crs, bounds))
    land, name = read_coastline(coastline, crs=parse_crs("local:unit"), source_crs=None, layer=layer, ring=None)
    return Layer(name, None, np.reshape(land.bounds, (2, 2)))


def _without_default(layer: Layer) -> Layer:
    """Drop GeoJSON's default, longitude and latitude, from coordinates that are no degrees."""
    if layer.stated is not None and layer.stated.is_geographic and not layer.could_be_degrees:
        return Layer(layer.source, None, layer.places)
    return layer


def find_frame(
    points: Layer, coast: Layer | None, given: str | None, guesser: Guesser, rasters: Sequence[Layer] = ()
) -> Frame:
    """Return the coordinate system to work in.

    Parameters
    ----------
    points, coast : Layer
        Where points and coastline lie, in the coordinates of their files.
    given : str, optional
        The CRS of the points' numbers, or a projected one to work in.
    guesser : Guesser
        Decides whether numbers that look like degrees are.
    rasters : sequence of Layer
        Where rasters of covariates lie; where no other file states a system, that of the first in which the points
        meet it is taken.

    Raises
    ------
    InputError
        If coordinates are no longitudes and latitudes though they are called so, or points and coastline are in
        systems that no run file can bring together.
    """
    given_crs = None if given is None else parse_crs(_code(given))
    source, why = _source(points, coast, given_crs, guesser, rasters)
    if source is None:
        if points.named_degrees:
            names = listed(points.columns)
            guesser.note(f"{names} do not hold longitude and latitude ({points.shown()}): taken for lengths")
        return _local(points, coast)
    if source.is_geographic:
        _refuse_beyond(points)
    crs: str | None
    if given_crs is not None and not given_crs.is_geographic:
        work, crs, reason = given_crs, _code(str(given)), "As --crs says."
    elif not source.is_geographic:
        own = points.stated is not None and not points.columns and source.to_authority() is None
        work, crs, reason = source, None if own else _named(source), f"{why}."
    elif coast is not None and coast.stated is not None and not coast.stated.is_geographic:
        work, crs = coast.stated, _named(coast.stated)
        reason = f"{why}; brought into the system of {coast.source}, {coast.stated.name}, since lengths need metres."
    else:
        crs, reason = _projection(points)
        work, reason = parse_crs(crs), f"{why}; {reason}"
    if coast is not None and not _meet(points, source, coast, coast.stated or _unstated(coast, work, source)):
        raise InputError(_apart(points, source, coast))
    return Frame(crs, _source_crs(points, coast, source, work), reason)


def _code(given: str) -> str:
    """Return what --crs says as a run file writes it: a bare number is an EPSG code."""
    return f"EPSG:{given.strip()}" if given.strip().isdecimal() else given


def _source(
    points: Layer, coast: Layer | None, given_crs: CRS | None, guesser: Guesser, rasters: Sequence[Layer]
) -> tuple[CRS | None, str]:
    """Return the CRS that the points' numbers are in, None for a local frame, and how that is known."""
    if points.stated is not None:
        said = f"the .prj file beside {points.source} says" if points.columns else f"{points.source} is in"
        return points.stated, f"{said[:1].upper() if points.columns else said[:1]}{said[1:]} {crs_name(points.stated)}"
    degrees = parse_crs(DEGREES)
    if points.named_degrees and np.abs(points.places).max() <= 360 and (given_crs is None or given_crs.is_projected):
        return degrees, f"The columns {points.columns[0]} and {points.columns[1]} are longitude and latitude"
    if given_crs is not None:
        return given_crs, f"The numbers are in {crs_name(given_crs)}, as --crs says"
    if coast is not None and coast.stated is not None:
        return _as_file(points, coast)
    for raster in rasters:
        try:
            return _as_file(points, raster)
        except InputError:
            continue  # not there: its own fault is told when it is read
    if (code := points.gauss_kruger) is not None:
        crs = parse_crs(code)
        return crs, f"Rechtswert and Hochwert with the zone before the former: taken for {crs_name(crs)}"
    if not points.looks_like_degrees:
        if looks_like_grid(points.places):
            _ask_of_grid(points, guesser)
        return None, ""
    choices = {"degrees": "longitude and latitude (EPSG:4326)", "lengths": "a local frame"}
    option = "--crs EPSG:4326 or --crs local:m"
    if guesser.choose(f"the unit of {points.shown()}", choices, "degrees", option) == "lengths":
        return None, ""
    return degrees, f"{points.source} does not say so, but its numbers look like longitude and latitude"


def _ask_of_grid(points: Layer, guesser: Guesser) -> None:
    """Ask whether eastings and northings are of a grid whose code nobody said."""
    choices = {"local": "a frame of its own, of no known place", "grid": "UTM or a national grid"}
    option = "--crs with its EPSG code, such as EPSG:32633, or --crs local:m"
    if guesser.choose(f"the system of {points.shown()}", choices, "local", option) == "grid":
        raise InputError(f"the zone of {points.source} cannot be told from its numbers: give it with {option}")


def _as_file(points: Layer, coast: Layer) -> tuple[CRS, str]:
    """Return the CRS, out of those that a coastline or a raster suggests, in which the points meet it."""
    assert coast.stated is not None
    candidates = [coast.stated]
    if coast.stated.is_geographic:
        candidates.append(parse_crs(utm_of(*central_place(coast.places))[0]))
    else:
        candidates.append(parse_crs(DEGREES))
    for crs in candidates:
        if (points.could_be_degrees or not crs.is_geographic) and _meet(points, crs, coast, coast.stated):
            said = f"it is the system of {coast.source}" if crs is coast.stated else f"there they meet {coast.source}"
            return crs, f"{points.source} does not state its system; taken for {crs_name(crs)}: {said}"
    raise InputError(_apart(points, None, coast))


def _unstated(coast: Layer, work: CRS, source: CRS) -> CRS:
    """Return the CRS of a coastline whose file does not state one: the working one, or the degrees of the points."""
    return parse_crs(DEGREES) if coast.could_be_degrees and (source.is_geographic or not is_local(work)) else work


def _source_crs(points: Layer, coast: Layer | None, source: CRS, work: CRS) -> str | None:
    """Return the run file's source_crs: what the numbers are in where their files do not say, if it is not `work`."""
    silent = {points.source: source} if points.stated is None or points.columns else {}
    if coast is not None and coast.stated is None:
        silent[coast.source] = _unstated(coast, work, source)
    systems = list(silent.values())
    if all(crs == work for crs in systems):
        return None
    if len({crs.is_geographic for crs in systems}) > 1:  # one key serves all files that are silent
        raise InputError(
            f"{' and '.join(silent)} are in different systems ({' and '.join(crs_name(crs) for crs in systems)}) that "
            "neither states: save one of them as a layer that states its system (a GeoPackage does)"
        )
    return _named(systems[0])


def _local(points: Layer, coast: Layer | None) -> Frame:
    """Return a local frame in the unit that the columns' names end on."""
    unit = next((words_of(c)[-1] for c in points.columns[:1] if words_of(c)[-1] in UNITS), "m")
    if unit == "m" and points.utm_in_km:
        return Frame(
            "local:km", None,
            "The columns are called UTM, and their numbers are too small for metres: taken for kilometres. The zone is "
            "not in them: multiplied by 1,000, with its EPSG code here, they would be put into place.",
        )  # fmt: skip
    if coast is not None and not _boxes_meet(points.bounds, coast.bounds):
        raise InputError(_apart(points, None, coast))
    west, south, east, north = points.bounds
    if unit == "m" and points.could_be_degrees and max(east - west, north - south) < TINY:
        return Frame(
            "local:unit", None,
            "No file states a coordinate system, and the survey is small for metres: taken for a local frame "
            "without a unit. Put local:m, local:km, ... if it has one. For longitude and latitude, source_crs = "
            f"'EPSG:4326' and crs = '{utm_of(*central_place(points.places))[0]}'.",
        )  # fmt: skip
    return Frame(
        f"local:{unit}", None,
        f"No file states a coordinate system: taken for a local frame in {unit}, of no known place. If there is a "
        "system, its EPSG code here puts the maps into place.",
    )  # fmt: skip


def _projection(points: Layer) -> tuple[str, str]:
    """Return a projection for a survey in degrees, and why this one."""
    west, south, east, north = points.bounds
    if east - west > 180:  # on both sides of the date line
        x = np.where(points.places[:, 0] < 0, points.places[:, 0] + 360, points.places[:, 0])
        west, east = float(x.min()), float(x.max())
    x0, y0 = (west + east) / 2, (south + north) / 2
    if east - west > WIDEST or north > 84 or south < -80:
        return (
            f"+proj=laea +lat_0={y0:.1f} +lon_0={(x0 + 180) % 360 - 180:.1f} +datum=WGS84 +units=m +no_defs",
            f"brought into metres, since meshes and ranges need lengths. The survey is {east - west:.3g} degrees wide "
            "or near a pole, and no UTM zone holds it: an equal-area projection about its middle does.",
        )
    code, zone = utm_of(x0, y0)
    return code, (
        f"brought into metres, since meshes and ranges need lengths: {zone} holds the middle of the survey. A national "
        "system is as good."
    )


def _meet(points: Layer, source: CRS, coast: Layer, stated: CRS) -> bool:
    """Tell whether the boxes of points and coastline meet, the points' box brought into the coastline's system."""
    from pyproj.exceptions import ProjError

    if source == stated:
        return _boxes_meet(points.bounds, coast.bounds)
    if is_local(source) or is_local(stated):
        return False
    try:
        moved = transformer(source, stated).transform_bounds(*points.bounds)
    except ProjError:
        return False
    if stated.is_geographic and moved[0] > moved[2]:  # over the date line
        return True
    return bool(np.isfinite(moved).all()) and _boxes_meet(moved, coast.bounds)


def _boxes_meet(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    """Tell whether two bounding boxes meet, or nearly: within the larger one's size."""
    near = max(a[2] - a[0], a[3] - a[1], b[2] - b[0], b[3] - b[1])
    return a[0] - near <= b[2] and b[0] - near <= a[2] and a[1] - near <= b[3] and b[1] - near <= a[3]


def _apart(points: Layer, source: CRS | None, coast: Layer) -> str:
    """Return the sentence about points and a coastline that do not meet."""
    system = f" in {source.name}" if source is not None else ""
    theirs = f" in {coast.stated.name}" if coast.stated is not None else ""
    return (
        f"{points.source} ({points.shown()}{system}) and {coast.source} ({coast.shown()}{theirs}) do not meet: "
        "are x and y swapped, or are the points in another system (say which with --crs)?"
    )


def _refuse_beyond(points: Layer) -> None:
    west, south, east, north = points.bounds
    if not points.could_be_degrees:
        what = f"{points.columns[0]} and {points.columns[1]}" if points.columns else points.source
        swapped = " (are they swapped?)" if -90 <= west and east <= 90 and -180 <= south and north <= 360 else ""
        raise InputError(f"{what} cannot be longitude and latitude: {points.shown()}{swapped}")


def _named(crs: Any) -> str:
    """Return a CRS as a run file writes it: an EPSG code where it has one."""
    code = crs.to_authority()
    return ":".join(code) if code else crs.to_wkt()
