"""Points and a coastline: held together in one coordinate reference system, and checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from geospde.errors import GeospdeWarning, InputError, Place, RowsCalled, alert
from geospde.survey.covariates.reading import read_covariates
from geospde.survey.covariates.sites import SiteCovariates, sample_sites
from geospde.survey.crs import central_place, is_local, parse_crs, unit_of, utm_of
from geospde.survey.places import check_places, outside_area_of_use
from geospde.survey.reading import read_coastline, read_points
from geospde.survey.tables import rows_like
from geospde.text.keywords import answers_keywords, answers_kinds
from geospde.text.notebook import card, facts, picture
from geospde.text.systems import crs_name
from geospde.text.words import counted, length, listed, number

if TYPE_CHECKING:
    import geopandas as gpd
    from pyproj import CRS
    from shapely import MultiPolygon, Polygon


BEYOND = 1e12
WITHIN = 1e-100  # across: squares of less are no numbers
"""Coordinates larger than this are mistakes in any unit."""

TINY = 20.0
"""A survey in local metres no wider than this may well be in degrees."""


def _place_in_memory(row: int, column: str | None = None) -> Place:
    """Return the place of a row, from 0, in points that come from no file."""
    return Place("the points", row, column)


@answers_keywords
@answers_kinds
@dataclass(frozen=True, eq=False)
class Survey:
    """A survey: what was measured where, and the coast around it.

    Attributes
    ----------
    points : geopandas.GeoDataFrame
        One row a measurement, with every column of the source and its place as ``geometry``.
    coastline : shapely.Polygon or shapely.MultiPolygon or None
        The land (or whatever area the survey is about), in the points' coordinates.
    crs : pyproj.CRS
        Of both; lengths in its unit.
    name : str
        What titles and reports call it.
    sources : tuple of pathlib.Path
        The files it was read from.
    place : callable
        ``place(i, column)`` is where row `i` (from 0) and a column, if any, stand in their file, for messages.
    covariates : SiteCovariates or None
        Those of `with_covariates`, whose columns the points then have.
    source_crs : pyproj.CRS or None
        What the points came in, where that is not `crs`.
    outline : str
        What sentences call the coastline: ``"coastline"``, or ``"boundary"`` where it was given as one.
    areas : geopandas.GeoSeries or None
        The polygons that the rows are of, where they are of areas; the points are then places within.
    parts : tuple of Survey
        The surveys of several likelihoods, whose places it has together.

    Examples
    --------
    >>> import geospde as gs
    >>> survey = gs.load_dataset("rongelap")
    >>> survey
    <Survey 'rongelap': 157 sites, coastline 2.12 km², local (m)>
    >>> int(survey.points["counts"].sum())
    472801
    >>> round(survey.coastline.area, 2)
    2120283.32
    """

    points: gpd.GeoDataFrame
    coastline: Polygon | MultiPolygon | None
    crs: CRS
    name: str = "survey"
    sources: tuple[Path, ...] = ()
    place: Callable[[int, str | None], Place] = field(default=_place_in_memory, repr=False)
    covariates: SiteCovariates | None = field(default=None, repr=False)
    source_crs: CRS | None = field(default=None, repr=False)
    outline: str = field(default="coastline", repr=False)
    areas: gpd.GeoSeries | None = field(default=None, repr=False)
    parts: tuple[Survey, ...] = field(default=(), repr=False)

    @property
    def units(self) -> str:
        """The unit of lengths: ``"m"``, ``"km"``, ... (empty for a frame without one)."""
        return unit_of(self.crs)

    @property
    def coordinates(self) -> np.ndarray:
        """Where the sites are: an array of shape (n, 2)."""
        geometry = self.points.geometry
        return np.column_stack([geometry.x, geometry.y])

    @property
    def domain(self) -> Polygon | MultiPolygon:
        """The area the survey is about: the coastline or, without one, the convex hull of the sites."""
        return self.coastline if self.coastline is not None else self.points.union_all().convex_hull

    @property
    def word(self) -> str:
        """What a row is of: a site, or an area."""
        return "site" if self.areas is None else "area"

    @property
    def table(self) -> gpd.GeoDataFrame:
        """What models are fitted to: the rows with their places, or with their polygons where they are of areas."""
        return self.points if self.areas is None else self.points.set_geometry(self.areas)

    @property
    def rows_called(self) -> RowsCalled:
        """A context whose errors name the rows of the table as their file counts."""
        return RowsCalled(lambda row: self.place(row, None))

    def offshore(self) -> np.ndarray:
        """Return each site's distance off the coastline, 0 on land: an array of shape (n,).

        Examples
        --------
        >>> import geospde as gs
        >>> off = gs.load_dataset("rongelap").offshore()
        >>> off[off > 0].round(1)
        array([...])
        """
        if self.coastline is None:
            return np.zeros(len(self.points))
        import shapely

        return np.asarray(shapely.distance(self.points.geometry.array, self.coastline))

    def rename(self, name: str) -> Survey:
        """Return the same survey under another name."""
        return replace(self, name=name)

    def with_covariates(
        self, given: Any, *, path_of: Callable[[str], Path] | None = None, used: Sequence[str] | None = None
    ) -> Survey:
        """Return the survey with a column for each covariate, taken at its sites.

        Parameters
        ----------
        given : mapping
            As ``covariates`` of `geospde.fit`.
        path_of : callable, optional
            Where a relative path starts.
        used : sequence of str, optional
            Leave others alone.

        Returns
        -------
        Survey
            Without the sites that miss a covariate, where it says that they may be dropped.

        Raises
        ------
        InputError
            Where a covariate cannot be read, or has no value at a site.
        """
        covariates = read_covariates(given, path_of)
        with self.rows_called:
            sampled = sample_sites(covariates, self.points, self.coordinates, self.crs, used)
        if sampled.covariates is None:
            return self
        rows, place = np.flatnonzero(sampled.rows), self.place

        def remaining(row: int, column: str | None = None) -> Place:
            return place(int(rows[row]), column)

        files = tuple(path for one in sampled.covariates.covariates for path in one.files)
        return replace(
            self,
            points=sampled.table.reset_index(drop=True),
            sources=(*self.sources, *(path for path in files if path not in self.sources)),
            place=remaining,
            covariates=sampled.covariates,
        )

    def __repr__(self) -> str:
        coast = "no coastline" if self.coastline is None else f"{self.outline} {self._area()}"
        coast = "polygons" if self.crs.is_geographic else coast
        return f"<Survey {self.name!r}: {counted(len(self.points), self.word)}, {coast}, {crs_name(self.crs)}>"

    def _repr_html_(self) -> str:
        """Show it in a notebook: where the sites are, and what each column holds."""
        from geospde.plots.thumbnails import survey_png

        table = self.points.drop(columns=self.points.geometry.name)
        summary = repr(self).removeprefix(f"<Survey {self.name!r}: ").removesuffix(">")
        columns = facts({str(name): _content(table.iloc[:, k]) for k, name in enumerate(table)}, "columns")
        return card(f"Survey {self.name}", summary, columns, picture(survey_png(self), "Map of the sites"))

    def _area(self) -> str:
        assert self.coastline is not None
        area, unit = self.coastline.area, self.units
        if unit == "m" and area >= 1e5:
            area, unit = area / 1e6, "km"
        return length(area, f"{unit}²" if unit else "")


def _content(column: Any) -> str:
    """Return what a column holds, in a few words."""
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    known = column.dropna()
    if not len(known):
        return "no values"
    if is_numeric_dtype(column) and not is_bool_dtype(column):
        content = f"{number(float(known.min()))} to {number(float(known.max()))}"
    else:
        content = counted(known.astype(str).nunique(), "different value")
    missing = len(column) - len(known)
    return f"{content}, {missing:,} missing" if missing else content


@answers_keywords
def read_survey(
    points: Any,
    *,
    x: str | None = None,
    y: str | None = None,
    coastline: Any = None,
    crs: Any = None,
    source_crs: Any = None,
    layer: str | None = None,
    coastline_layer: str | None = None,
    ring: str | None = None,
    boundary: Any = None,
    numeric: tuple[str, ...] | list[str] = (),
    missing: tuple[str, ...] | list[str] = (),
    drop_missing: tuple[str, ...] | list[str] = (),
    name: str | None = None,
) -> Survey:
    """Read points and a coastline, bring them into one coordinate reference system, and check them.

    Parameters
    ----------
    points : path, DataFrame or GeoDataFrame
        The measurements: a csv file (UTF-8, with a header line) or any vector layer that geopandas reads
        (GeoPackage, GeoJSON, Shapefile, Parquet, ...), or a table in memory. Every column is kept.
    x, y : str, optional
        Columns that hold the coordinates, where the points have no geometry. Common pairs (``x, y``;
        ``lon, lat``; ``easting, northing``) are found without.
    coastline : path, shapely geometry, GeoDataFrame or GeoSeries, optional
        Polygons or closed lines; a csv file gives rings of vertices in order. A ring inside another is a hole
        in it.
    crs : str, int or pyproj.CRS, optional
        The CRS to hold the survey in: an EPSG code, WKT, or ``"local:m"`` (any unit of
        `geospde.survey.crs.LOCAL_UNITS`) for a local frame. May be left out if the points' file states a projected
        one. What is in another CRS is transformed to it.
    source_crs : str, int or pyproj.CRS, optional
        The CRS that the numbers are in, where a file does not say and it is not `crs`: ``"EPSG:4326"`` for
        longitude and latitude.
    layer, coastline_layer : str, optional
        Which layer of a file that has several.
    ring : str, optional
        The column of a coastline csv that tells its rings apart; a column called ``ring`` or ``island`` is
        taken without.
    boundary : path, shapely geometry, GeoDataFrame or GeoSeries, optional
        In place of `coastline`, where that is no coast but the edge of a country, a park or a field; sentences then
        say so.
    numeric : sequence of str
        Further columns that must hold a finite number in every row.
    missing : sequence of str
        What stands for a missing value beside the empty field: ``["NA", "-9999"]``. Without it, "NA", "None" and
        their like are missing, with a warning, in a column of numbers, and labels in a column of labels.
    drop_missing : sequence of str
        Columns, such as the response, without which a row is left out, with a warning.
    name : str, optional
        What titles and reports call the survey; by default the points' file or folder name.

    Returns
    -------
    Survey

    Raises
    ------
    InputError
        If anything is missing or does not fit; the message names file, row and column.

    Warns
    -----
    GeospdeWarning
        Of repeated sites, of sites off the coastline, of local metres that look like degrees, of sites far from all
        others or outside of the area that the CRS is for, and of a CRS that distorts lengths by more than 1 %.

    Examples
    --------
    >>> import pandas as pd
    >>> import geospde as gs
    >>> table = pd.DataFrame({"x": [0.0, 30.0, 10.0], "y": [0.0, 5.0, 240.0], "catch": [3, 0, 7]})
    >>> gs.read_survey(table, crs="local:m", name="bay")
    <Survey 'bay': 3 sites, no coastline, local (m)>
    """
    if coastline is not None and boundary is not None:
        raise InputError("give either coastline or boundary, the outline of the area that is mapped")
    outline, coastline = ("coastline", coastline) if boundary is None else ("boundary", boundary)
    if coastline is None and (coastline_layer is not None or ring is not None):
        key = "coastline_layer" if coastline_layer is not None else "ring"
        raise InputError(f"{key} is of a coastline, and none is given", remedy="name its file with coastline")
    table, frame, columns = read_points(
        points, x=x, y=y, crs=crs, source_crs=source_crs, layer=layer, numeric=tuple(numeric), missing=tuple(missing),
        drop_missing=tuple(drop_missing),
    )  # fmt: skip
    own_crs = frame.crs
    refuse_degrees(frame, own_crs, table.source, columns)
    land, coast_name = None, f"the {outline}"
    if coastline is not None:
        land, coast_name = read_coastline(
            coastline, crs=own_crs, source_crs=source_crs, layer=coastline_layer, ring=ring
        )
    files = [Path(f) for f in (points, coastline) if isinstance(f, str | Path)]
    name = name or (name_of(files[0]) if files else "survey")
    came = getattr(table.frame, "crs", None) or (None if source_crs is None else parse_crs(source_crs))
    came = None if came == own_crs else came
    survey = Survey(frame, land, own_crs, name, tuple(files), table.at, None, came, outline)
    _check(survey, table, coast_name)
    return survey


def name_of(path: Path) -> str:
    """Return a file's name without its ending, or its folder's where the file's says nothing."""
    stem = path.stem
    return path.resolve().parent.name if stem in {"points", "sites", "survey", "data"} else stem


def refuse_degrees(frame: gpd.GeoDataFrame, crs: CRS, source: str, columns: tuple[str, ...] | None) -> None:
    """Raise an InputError for degrees, stated or hidden, since meshes and ranges need lengths.

    A projected system that somebody stated outranks what numbers look like: they are refused only where it has no
    place for them.
    """
    west, south, east, north = frame.total_bounds
    like_degrees = -180 <= west and east <= 180 and -90 <= south and north <= 90
    if crs.is_geographic and not like_degrees:
        span = f"x from {west:g} to {east:g}, y from {south:g} to {north:g}"
        what = f"is not longitude and latitude ({span}), but {crs_name(crs)} is"
        remedy = "set crs to what it is in"
        if -90 <= west and east <= 90 and -180 <= south and north <= 180:
            remedy = "swap the two columns, if y is the longitude"
        elif 0 <= west and east <= 360 and -90 <= south and north <= 90:
            remedy = "take 360 from longitudes above 180, if they count from 0 to 360"
        raise InputError(what, of=Place(source), remedy=remedy)
    if not like_degrees or (columns is None and not crs.is_geographic):
        return
    places = np.column_stack([frame.geometry.x, frame.geometry.y])
    utm, zone = utm_of(*central_place(places))
    own = crs.to_epsg() if crs.is_geographic else None
    advice = f"set source_crs = 'EPSG:{own or 4326}' and crs = {utm!r} ({zone})"
    if crs.is_geographic:
        raise InputError(
            f"is in degrees ({crs_name(crs)}), and meshes and ranges need lengths",
            of=Place(source),
            remedy=f"{advice} or another projected CRS",
        )
    names = {"lon", "long", "lat", "longitude", "latitude"}
    named = bool(columns) and all(c.casefold() in names for c in columns or ())
    nowhere = crs.area_of_use is not None and (unit_of(crs) == "m" or bool(outside_area_of_use(crs, places).all()))
    if not is_local(crs) and (named or nowhere):
        raise InputError(
            f"looks like longitude and latitude (x from {west:g} to {east:g}, y from {south:g} to {north:g}), "
            f"not like {crs_name(crs)}",
            of=Place(source),
            remedy=advice,
        )
    if named:
        what = f"has {listed(columns or ())}, degrees that {crs_name(crs)} takes for lengths"
        raise InputError(what, of=Place(source), remedy=advice)
    if unit_of(crs) == "m" and max(east - west, north - south) < TINY:
        warning = GeospdeWarning(
            f"is {length(max(east - west, north - south), 'm')} across",
            of=Place(source),
            remedy=f"if these are longitude and latitude and no metres, {advice}",
            subject="coordinates",
        )
        alert(warning)


def _check(survey: Survey, table: Any, coast_name: str) -> None:
    places = survey.coordinates
    beyond = (np.abs(places) > BEYOND).any(axis=1)
    if beyond.any():
        i = int(np.argmax(beyond))
        raise InputError(f"lies at ({places[i, 0]:g}, {places[i, 1]:g}), beyond any survey", of=table.at(i))
    across = float(np.ptp(places, axis=0).max())
    if 0 < across < WITHIN:
        raise InputError(
            f"is {across:.3g} across, less than any survey: give coordinates in another unit", of=Place(table.source)
        )
    unique, first, counts = np.unique(places, axis=0, return_index=True, return_counts=True)
    if len(places) == 1:
        raise InputError("has one site", of=Place(table.source), remedy="a map between sites needs more than that")
    if len(unique) == 1:
        what = f"has its {len(places)} rows at one place"
        raise InputError(what, of=Place(table.source), remedy="are x and y right?")
    if len(unique) < len(places):
        again = np.flatnonzero(~np.isin(np.arange(len(places)), first))
        repeats = f"{counted(int((counts > 1).sum()), 'site')} measured more than once"
        where = f"{table.word}{'s' if len(again) > 1 else ''} {rows_like(table.rows[again])}"
        warning = GeospdeWarning(
            f"{repeats} (again: {where}); each row counts as a measurement of its own",
            where=Place(table.source),
            subject="duplicated sites",
        )
        alert(warning)
    for finding in check_places(survey.crs, places, table.at, survey.units):
        alert(finding.as_warning())
    if survey.coastline is not None:
        _check_offshore(survey, table.source, coast_name)


def off_the(outline: str) -> str:
    """Return where a site beyond an outline lies: off the coastline, outside the boundary."""
    return f"off the {outline}" if outline == "coastline" else f"outside the {outline}"


def _check_offshore(survey: Survey, source: str, coast_name: str) -> None:
    off = survey.offshore()
    n = int((off > 0).sum())
    if n == 0:
        return
    west, south, east, north = survey.coastline.bounds  # type: ignore[union-attr]
    span = max(east - west, north - south)
    if n == len(off) and off.min() > span:
        raise InputError(
            f"{source} and {coast_name} do not meet: the nearest site is {length(off.min(), survey.units)} "
            f"off a coast {length(span, survey.units)} across",
            remedy="are x and y swapped, or the units?",
        )
    some = f"{n} of {counted(len(off), 'site')}" if n < len(off) else f"all {counted(n, 'site')}"
    warning = GeospdeWarning(
        f"{some} of {source} lie {off_the(survey.outline)}, by up to {length(float(off.max()), survey.units)}; "
        "they are used where they are",
        subject="sites at sea",
    )
    alert(warning)
