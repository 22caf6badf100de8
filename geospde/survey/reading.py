"""Read a survey's points and coastline, from files and tables, into geometry in a known CRS."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from geospde.errors import GeospdeWarning, InputError, Place, alert
from geospde.survey.crs import central_place, is_local, parse_crs, refuse_placeless, utm_of
from geospde.survey.joined import joined
from geospde.survey.numbers import others_like_it
from geospde.survey.parquet import refuse_misleading
from geospde.survey.paths import refuse_unreadable
from geospde.survey.places import code_of_grid, looks_like_grid
from geospde.survey.polygons import as_land, polygon_from_rings, polygons_of
from geospde.survey.tables import Table, labels_of, read_csv
from geospde.text.files import refuse_special_with
from geospde.text.hints import as_frame, called
from geospde.text.offline import offline, read_vectors, reason
from geospde.text.systems import crs_name, crs_names
from geospde.text.words import counted, did_you_mean, listed

if TYPE_CHECKING:
    import geopandas as gpd
    from numpy.typing import NDArray
    from pyproj import CRS
    from shapely import MultiPolygon, Polygon

TEXT = {".csv", ".tsv", ".txt"}
PARQUET = {".parquet", ".geoparquet", ".pq"}
COORDINATES = ["x y", "lon lat", "long lat", "longitude latitude", "easting northing", "cx cy"]
RINGS = {"ring", "island"}
SITES = [{"Point"}]
LAND = [{"Polygon"}, {"LineString"}]
AREAS = [{"Polygon"}]


def read_points(
    points: Any,
    *,
    x: str | None,
    y: str | None,
    crs: Any,
    source_crs: Any,
    layer: str | None,
    numeric: tuple[str, ...],
    missing: Sequence[str] = (),
    drop_missing: Sequence[str] = (),
) -> tuple[Table, gpd.GeoDataFrame, tuple[str, ...] | None]:
    """Return the table of a survey's points, the points in the survey's CRS, and which columns are its coordinates.

    The columns are an empty tuple for a layer with geometry, and None where the points were transformed.
    """
    import geopandas as gpd

    table = read_table(points, layer, want=SITES, what="points", missing=missing)
    if not len(table.frame):
        raise InputError("has no rows", of=Place(table.source), remedy="a survey needs sites")
    table = table.without_gaps(drop_missing)
    for column in numeric:
        table.numbers(column)
    table.warn_of_stray_text()

    frame = table.frame
    columns: tuple[str, ...] = ()
    if isinstance(frame, gpd.GeoDataFrame):
        if x is not None or y is not None:
            raise InputError("has a geometry of its own", of=Place(table.source), remedy="leave out x and y")
        frame = frame.set_geometry(_single_points(table), crs=frame.crs)
    else:
        x, y = columns = _coordinate_columns(table, x, y)
        if x == y:
            remedy = "name one for each direction"
            raise InputError(f"x and y are one column, {x!r}", of=Place(table.source), remedy=remedy)
        if "geometry" in frame.columns:
            what = "has a column 'geometry', a name geospde needs"
            raise InputError(what, of=Place(table.source), remedy="rename it")
        places = gpd.points_from_xy(table.numbers(x), table.numbers(y))
        frame = gpd.GeoDataFrame(frame, geometry=places)
    _warn_of_unused(frame, source_crs, table.source)
    given_crs = parse_crs(crs) if crs is not None else None
    points = _into_crs(frame, given_crs, source_crs, table)
    return table, points, columns if np.array_equal(points.total_bounds, frame.total_bounds) else None


def read_coastline(
    coastline: Any, *, crs: CRS, source_crs: Any, layer: str | None, ring: str | None
) -> tuple[Polygon | MultiPolygon, str]:
    """Return a coastline as one valid polygon in `crs`, and the name it goes by."""
    import geopandas as gpd
    import shapely
    from shapely.geometry.base import BaseGeometry

    if isinstance(coastline, BaseGeometry):
        return as_land(coastline), "the coastline"
    if isinstance(coastline, gpd.GeoSeries):
        coastline = coastline.to_frame("geometry").set_geometry("geometry")
    table = read_table(coastline, layer, want=LAND, what="coastline")
    if not len(table.frame):
        raise InputError("has no rows", of=Place(table.source), remedy="a coastline needs three vertices or a polygon")
    frame = table.frame
    if not isinstance(frame, gpd.GeoDataFrame):
        frame = gpd.GeoDataFrame(geometry=[_rings(table, ring)])
    geometry = _into_crs(frame, crs, source_crs, table).geometry.dropna()
    land = [shape for shape in geometry if not shape.is_empty]
    if not all(shape.geom_type.endswith("LineString") for shape in land):  # lines bound the land together
        # each feature is checked before the union, which would heal or hide a crossing
        land = [as_land(shape, table.source) for shape in land]
    return as_land(shapely.GeometryCollection(land), table.source), table.source


def _rings(table: Table, ring: str | None) -> Polygon | MultiPolygon:
    x, y = _coordinate_columns(table, None, None)
    vertices = np.column_stack([table.numbers(x), table.numbers(y)])
    if ring is None:
        ring = next((str(c) for c in table.frame.columns if str(c).casefold() in RINGS), None)
    if ring is None:
        return polygon_from_rings([vertices], source=table.source)
    table.require(ring)
    labels = table.frame[ring].astype(str).to_numpy()
    names = list(dict.fromkeys(labels))
    return polygon_from_rings(
        [vertices[labels == n] for n in names], names=[f"{ring} {n}" for n in names], source=table.source
    )


def _coordinate_columns(table: Table, x: str | None, y: str | None) -> tuple[str, str]:
    columns = [str(c) for c in table.frame.columns]
    if x is not None and y is not None:
        table.require(x, y)
        return x, y
    if x is not None or y is not None:
        missing = "y" if y is None else "x"
        raise InputError(f"give both x and y, or neither; {missing} is missing", where=Place(table.source))
    for pair in COORDINATES:
        found = [[c for c in columns if c.casefold() == name] for name in pair.split()]
        pairs = [(east, north) for east in found[0] for north in found[1]]
        alike = [both for both in pairs if all(map(str.islower, both)) or not any(map(str.islower, both))]
        if len(pairs) == 1 or len(alike) == 1:
            return (alike or pairs)[0]
        if pairs:
            what = f"has columns {listed([*found[0], *found[1]])}: say which two hold the coordinates"
            raise InputError(what, of=Place(table.source), remedy="name them with x and y")
    what = f"say which columns hold the coordinates (x and y); it has {listed(columns)}"
    raise InputError(what, where=Place(table.source))


def read_areas_of_survey(
    areas: Any,
    *,
    crs: Any,
    source_crs: Any,
    layer: str | None,
    numeric: tuple[str, ...],
    missing: Sequence[str] = (),
    rows: Any = None,
    key: str | Sequence[str] | None = None,
) -> tuple[Table, gpd.GeoDataFrame]:
    """Return the table of a survey's areas, and their polygons in the survey's CRS.

    `rows` is a table that is joined to the polygons by its column `key`.
    """
    import geopandas as gpd

    table = read_table(areas, layer, want=AREAS, what="areas", missing=missing)
    if rows is not None:
        assert key is not None
        table = joined(read_table(rows, None, want=[], what="table", missing=missing), table, key)
    frame = table.frame
    if not isinstance(frame, gpd.GeoDataFrame):
        raise InputError("has no polygons", of=Place(table.source), remedy="a survey's areas are a vector layer")
    if not len(frame):
        raise InputError("has no rows", of=Place(table.source), remedy="a survey needs areas")
    for column in numeric:
        table.numbers(column)
    table.warn_of_stray_text()
    _warn_of_unused(frame, source_crs, table.source)
    frame = frame.set_geometry(_polygons(table), crs=frame.crs)
    return table, _into_crs(frame, parse_crs(crs) if crs is not None else None, source_crs, table)


def _polygons(table: Table) -> Any:
    """Return the polygons of a layer's rows in the plane; those that cross themselves are mended, with a warning."""
    import shapely

    geometry = table.frame.geometry
    empty = (geometry.isna() | geometry.is_empty).to_numpy()
    if empty.any():
        raise InputError("has no shape", of=table.at(int(np.argmax(empty))), remedy="give it one or leave it out")
    right = geometry.geom_type.isin(["Polygon", "MultiPolygon"]).to_numpy()
    if not right.all():
        i = int(np.argmin(right))
        kind = geometry.geom_type.iloc[i]
        remedy = "a survey's areas must be polygons" + ("; a layer of points is named with points" * ("Point" in kind))
        raise InputError(f"is a {kind}", of=table.at(i), remedy=remedy)
    shapes = shapely.force_2d(np.asarray(geometry.array))
    if not np.isfinite(shapely.get_coordinates(shapes)).all():
        i = next(k for k, shape in enumerate(shapes) if not np.isfinite(shapely.get_coordinates(shape)).all())
        raise InputError("has a vertex that is not finite", of=table.at(i))
    broken = ~shapely.is_valid(shapes)
    if broken.any():
        shapes = shapes.copy()
        shapes[broken] = [polygons_of(shape) for shape in shapely.make_valid(shapes[broken])]
        what = f"{counted(int(broken.sum()), 'area')} crossed itself, first {table.at(int(np.argmax(broken)))}: mended"
        alert(GeospdeWarning(what, where=Place(table.source), subject="areas"))
    flat = shapely.area(shapes) <= 0
    if flat.any():
        raise InputError("has no area", of=table.at(int(np.argmax(flat))), remedy="mend it or leave it out")
    return shapes


def _single_points(table: Table) -> Any:
    """Return the places of a layer's rows as plane points; a MultiPoint of one point is that point."""
    import shapely

    geometry = table.frame.geometry
    empty = (geometry.isna() | geometry.is_empty).to_numpy()
    if empty.any():
        raise InputError("has no place", of=table.at(int(np.argmax(empty))), remedy="give it one or leave it out")
    counts = shapely.get_num_geometries(geometry)
    single = geometry.geom_type.isin(["Point", "MultiPoint"]).to_numpy() & (counts == 1)
    if not single.all():
        i = int(np.argmin(single))
        kind = geometry.iloc[i].geom_type
        kind += f" of {counts[i]} points" if kind == "MultiPoint" else ""
        remedy = "a survey's points must be points"
        remedy += "; a layer of polygons is named with areas" if "Polygon" in kind else ""
        raise InputError(f"is a {kind}", of=table.at(i), remedy=remedy)
    places = shapely.get_coordinates(geometry)
    finite = np.isfinite(places).all(axis=1)
    if not finite.all():
        raise InputError("has a coordinate that is not finite", of=table.at(int(np.argmin(finite))))
    return shapely.points(places)


def _to_state(frame: gpd.GeoDataFrame) -> str:
    """What to say of the system that numbers are in, by what they look like."""
    west, south, east, north = frame.total_bounds
    corners = np.array([[west, south], [east, north]])
    if -180 <= west and east <= 180 and -90 <= south and north <= 90:
        utm, zone = utm_of(*central_place(frame.get_coordinates().to_numpy()))
        degrees = f"if they are longitude and latitude, set source_crs = 'EPSG:4326' and crs = {utm!r} ({zone})"
        return f"{degrees}; crs = 'local:m' is for a local frame in metres"
    for unit, words in (("m", "metres"), ("km", "kilometres")):
        if looks_like_grid(corners, unit):
            grid = f"they look like eastings and northings in {words}: set crs to {code_of_grid(unit)}"
            return f"{grid}, or to 'local:{unit}' for a local frame"
    return "set crs to an EPSG code ('EPSG:32633'), WKT, or 'local:m' for a local frame in metres"


def _into_crs(frame: gpd.GeoDataFrame, crs: CRS | None, source_crs: Any, table: Table) -> gpd.GeoDataFrame:
    """Return places of a table in `crs`, from the CRS its file states, else `source_crs`, else taken to be in `crs`."""
    stated = frame.crs
    if stated is not None and crs is not None and is_local(crs) and _unstated(frame):
        stated = None
    if source_crs is not None and stated is None:
        stated = parse_crs(source_crs)
        frame = frame.set_crs(stated, allow_override=True)
    if stated is None and crs is None:
        raise InputError(
            "does not state its coordinate reference system",
            of=Place(table.source),
            remedy=_to_state(frame),
        )
    if stated is not None:
        refuse_placeless(stated)
    if stated is None or crs is None or stated == crs:
        return frame.set_crs(crs if crs is not None else stated, allow_override=True)
    if is_local(stated) or is_local(crs):
        raise InputError(
            "is in {} and the survey in {}".format(*crs_names(stated, crs)),
            of=Place(table.source),
            remedy="nothing leads from a local frame to another; give both in one",
        )
    moved = frame.to_crs(crs)
    own, lost = frame.bounds.to_numpy(), ~np.isfinite(moved.bounds.to_numpy()).all(axis=1)
    lost &= np.isfinite(own).all(axis=1)
    if lost.any():
        first, way = int(np.argmax(lost)), f"be brought from {crs_name(stated)} to {crs_name(crs)}"
        x, y = (f"{value:.10g}" for value in own[first, :2])
        if lost.all() or len(frame) != len(table.frame):
            what = f"cannot {way}; the first lies at {x}, {y}"
            remedy = "are longitude and latitude swapped?" if _is_swapped(stated, own) else "is that CRS right?"
            raise InputError(what, of=Place(table.source), remedy=remedy)
        what = f"lies at {x}, {y}, which cannot {way}"
        raise InputError(what, of=table.at(first), remedy=f"correct or drop it{others_like_it(lost)}")
    return moved


def _is_swapped(stated: CRS, bounds: NDArray[np.float64]) -> bool:
    """Whether places, (m, 4), are longitude and latitude by their CRS, and only in the other order can be."""
    easting, northing = np.abs(bounds[:, [0, 1]]).T
    return bool(stated.is_geographic and easting.max() <= 90 < northing.max() <= 180)


def _warn_of_unused(frame: gpd.GeoDataFrame, source_crs: Any, source: str) -> None:
    """Warn where points state another CRS than `source_crs`."""
    if source_crs is None or frame.crs is None or frame.crs.equals(parse_crs(source_crs), ignore_axis_order=True):
        return
    own, given = crs_names(frame.crs, parse_crs(source_crs))
    what = f"says that it is in {own}, and source_crs {given}: the file's own is used"
    remedy = "leave source_crs out, or mend the file"
    alert(GeospdeWarning(what, of=Place(source), remedy=remedy))


def _unstated(frame: gpd.GeoDataFrame) -> bool:
    """Tell whether GeoJSON's default, longitude and latitude, stands over coordinates that are no degrees."""
    west, south, east, north = frame.total_bounds
    return bool(frame.crs.is_geographic and (west < -180 or east > 180 or south < -90 or north > 90))


def read_table(
    source: Any, layer: str | None, *, want: list[set[str]], what: str, missing: Sequence[str] = ()
) -> Table:
    """Return the rows of a file or a frame as they are, with where they came from.

    Parameters
    ----------
    source : path, DataFrame or GeoDataFrame
    layer : str, optional
        Which layer of a file that has several.
    want : list of set of str
        The kinds of geometry to take of several layers, those preferred first: `SITES` or `LAND`.
    what : str
        What errors call it: ``points``, ``areas`` or ``coastline``.
    missing : sequence of str
        Marks of missing values, beside the empty field.

    Returns
    -------
    Table

    Raises
    ------
    InputError
        If there is no such file or layer, or it cannot be read.
    """
    import geopandas as gpd
    import pandas as pd

    if isinstance(source, pd.DataFrame):
        frame, rows = source.reset_index(drop=True), labels_of(source.index)
        if isinstance(frame, gpd.GeoDataFrame):
            frame = pd.DataFrame(frame) if frame.active_geometry_name is None else _plain(frame)
        return Table(frame, f"the {what}", rows).without_marks(missing)
    if not isinstance(source, str | Path):
        kind = type(source).__name__ if type(source).__module__ == "builtins" else called(source)
        raise InputError(f"{kind} is neither a file's path nor a table", where=Place(what), remedy=as_frame(source))
    path = refuse_unreadable(source, what)
    ending = path.suffix.casefold()
    try:
        if layer is not None and ending in (*TEXT, *PARQUET):
            raise InputError(f"{path.name} has no layers, and {layer!r} is named: leave it out", where=Place(what))
        if ending in TEXT:
            return read_csv(path).without_marks(missing).with_numbers()
        frame = _read_parquet(path) if ending in PARQUET else _read_layer(path, layer, want, what)
    except PermissionError:
        raise InputError(f"no permission to read {str(source)!r}", where=Place(what)) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror or error}", of=Place(path.name)) from None
    return Table(frame, path.name, np.arange(1, len(frame) + 1)).without_marks(missing)


def _read_parquet(path: Path) -> Any:
    import geopandas as gpd
    import pandas as pd

    try:
        refuse_misleading(path)
        try:
            return _plain(gpd.read_parquet(path))
        except ValueError:  # no geometry in it: a plain table
            return pd.read_parquet(path)
    except ImportError:
        raise InputError(f"reading {path.name} needs pyarrow", remedy="pip install 'geospde[io]'") from None
    except InputError:
        raise
    except (KeyError, AttributeError, TypeError, RecursionError):
        what = "is not a readable Parquet file: what it says of its own columns is not as GeoParquet or pandas write it"
        raise InputError(what, of=Place(path.name)) from None
    except Exception as error:
        raise InputError(f"is not a readable Parquet file: {_first_line(error)}", of=Place(path.name)) from None


def _read_layer(path: Path, layer: str | None, want: list[set[str]], what: str) -> Any:
    import geopandas as gpd
    import pyogrio
    import shapely

    refuse_special_with(path)
    try:
        with offline():
            known = pyogrio.list_layers(path)
        layers = {str(n): str(kind) for n, kind in known if n != "layer_styles"}  # QGIS's own
        if layer is None and len(layers) == 1:
            layer = next(iter(layers))
        elif layer is None and layers:
            kinds = {n: kind.split(" ")[0].removeprefix("Multi") for n, kind in layers.items()}
            fitting = next(filter(None, ([n for n in layers if kinds[n] in wanted] for wanted in want)), [])
            if len(fitting) != 1:
                key = "coastline_layer" if what == "coastline" else "layer"
                what = f"has the layers {listed(fitting or layers)}"
                raise InputError(what, of=Place(path.name), remedy=f"name one of them with {key}")
            layer = fitting[0]
        if layer is not None and layer not in layers:
            hint = did_you_mean(layer, layers, "layers")
            raise InputError(f"has no layer {layer!r}", of=Place(path.name), remedy=hint)
        frame = read_vectors(path, layer)
    except pyogrio.errors.DataSourceError as error:
        raise InputError(
            "is not a file that geospde reads (csv, GeoPackage, GeoJSON, Shapefile, Parquet): " + _first_line(error),
            of=Place(path.name),
        ) from None
    except shapely.errors.ShapelyError as error:  # such as a ring that does not close
        raise InputError(f"holds a shape that is none: {_first_line(error)}", of=Place(path.name)) from None
    except pyogrio.errors.DataLayerError as error:
        raise InputError(f"cannot be read: {_first_line(error)}", of=Place(path.name)) from None
    return _plain(frame) if isinstance(frame, gpd.GeoDataFrame) else frame


def _plain(frame: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    return frame if frame.geometry.name == "geometry" else frame.rename_geometry("geometry")


def _first_line(error: Exception) -> str:
    return reason(error).partition(".;")[0].rstrip(".") or type(error).__name__
