"""Areas of a layer, and how much of each cell of a grid lies in each of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.prediction.cells import quarters
from geospde.prediction.grid import Grid
from geospde.text.findings import Finding
from geospde.text.offline import read_vectors, reason
from geospde.text.systems import crs_names
from geospde.text.words import coordinate, counted, did_you_mean, listed

if TYPE_CHECKING:
    import geopandas as gpd

Vector = NDArray[np.float64]

OVERLAP = 1e-3
"""Share of an area that another one may cover before it is told: borders never meet exactly."""


@dataclass(frozen=True, eq=False)
class Areas:
    """Areas by name.

    Attributes
    ----------
    frame : GeoDataFrame
        As it was given, in the CRS of the model.
    names : list of str
    findings : tuple of Finding
    """

    frame: gpd.GeoDataFrame
    names: list[str]
    findings: tuple[Finding, ...]


def read_areas(areas: Any, crs: Any, name: str | None = None, layer: str | None = None) -> Areas:
    """Read areas.

    Parameters
    ----------
    areas : path, GeoDataFrame, GeoSeries or sequence of polygons
    crs : pyproj.CRS or None
        What they are brought to.
    name : str, optional
        The column that names them; by default the first whose texts differ, or else their row.
    layer : str, optional
        Of a file that has several.

    Raises
    ------
    InputError
        For a file that cannot be read, an area that is none, and a CRS from which nothing leads to the model's.
    """
    import geopandas as gpd
    import shapely

    source = f"the {type(areas).__name__}"
    if isinstance(areas, str | Path):
        source = Path(areas).name
        if Path(areas).exists() and not (Path(areas).is_file() or Path(areas).is_dir()):
            raise InputError(f"{str(areas)!r} is a pipe or a device, not a file", remedy="name a file of areas")
        if not Path(areas).exists():
            raise InputError(f"there is no file {str(areas)!r} of areas")
        try:
            areas = read_vectors(areas, layer)
        except Exception as error:  # pyogrio's errors have no common base but this
            raise InputError(f"cannot read the areas of {source}: {reason(error)}") from None
    if isinstance(areas, gpd.GeoSeries):
        areas = gpd.GeoDataFrame(geometry=areas)
    if isinstance(areas, shapely.Geometry):
        areas = [areas]
    if isinstance(areas, list | tuple) and all(isinstance(one, shapely.Geometry) for one in areas):
        areas = gpd.GeoDataFrame(geometry=gpd.GeoSeries(list(areas)))
    if not isinstance(areas, gpd.GeoDataFrame) or areas.active_geometry_name is None:
        raise InputError(f"areas are a file or a GeoDataFrame of polygons, not {type(areas).__name__}")
    frame = areas.reset_index(drop=True)
    if not len(frame):
        raise InputError(f"{source} has no areas")
    frame = _brought_to(frame, crs, source)
    names = _names(frame, name, source)
    shapes = frame.geometry.array
    for k, shape in enumerate(shapes):
        if shape is None or shape.is_empty or shape.geom_type not in ("Polygon", "MultiPolygon"):
            kind = "is empty" if shape is None or shape.is_empty else f"is a {shape.geom_type}, not a polygon"
            raise InputError(f"the area {names[k]!r} of {source} {kind}", remedy="leave it out or correct it")
    found = []
    broken = ~shapely.is_valid(np.asarray(shapes))
    if broken.any():
        mended = np.asarray(shapes).copy()
        mended[broken] = shapely.make_valid(mended[broken])
        frame = frame.set_geometry(gpd.GeoSeries(mended, crs=frame.crs))
        first = names[int(np.argmax(broken))]
        cross = "crosses itself" if broken.sum() == 1 else "cross themselves"
        said = f"{counted(int(broken.sum()), 'area')} of {source} {cross}, such as {first!r}"
        taken = "what their lines go round an odd number of times is taken"
        found.append(Finding("warning", "areas", f"{said}: {taken}", "look at them on the map, or mend them"))
    flat = ~(shapely.area(frame.geometry.to_numpy()) > 0)
    if flat.any():
        first = names[int(np.argmax(flat))]
        raise InputError(
            f"the area {first!r} of {source} is a line without any area", remedy="leave it out or correct it"
        )
    return Areas(frame, names, (*found, *_alike(frame, names, name, source), *_overlaps(frame, names)))


def _brought_to(frame: Any, crs: Any, source: str) -> Any:
    if crs is None or frame.crs == crs:
        return frame
    if frame.crs is None:
        if crs.is_engineering:
            return frame.set_crs(crs)
        raise InputError(f"{source} has no CRS", remedy="set it, as ogr2ogr -a_srs EPSG:4326 does, or areas.set_crs")
    if crs.is_engineering or frame.crs.is_engineering:
        own, other = crs_names(frame.crs, crs)
        raise InputError(f"{source} is in {own} and the model in {other}, with no transformation between them")
    return frame.to_crs(crs)


def _names(frame: Any, name: str | None, source: str) -> list[str]:
    columns = [str(c) for c in frame.columns if c != frame.geometry.name]
    if name is not None:
        if name not in columns:
            raise InputError(f"{source} has no column {name!r}; {did_you_mean(name, columns, 'columns')}")
        return [
            f"row {k}" if missing else str(v) for k, (v, missing) in enumerate(zip(frame[name], frame[name].isna()), 1)
        ]
    for column in columns:
        values = frame[column]
        if values.dtype.kind not in "fiub" and values.notna().all() and values.astype(str).is_unique:
            return [str(value) for value in values]
    return _rows(frame)


def _alike(frame: Any, names: list[str], name: str | None, source: str) -> Iterator[Finding]:
    """Tell of areas of one name: each is computed by itself."""
    texts = [c for c in frame.columns if c != frame.geometry.name and frame[c].dtype.kind not in "fiubM"]
    if name is None and texts and names == _rows(frame):
        said = f"no column of {source} has a name of its own for each area: they are called by their rows"
        yield Finding("warning", "areas", said, "dissolve those that are one, or say which column names them")
    several = [name for name, count in Counter(names).items() if count > 1]
    if several:
        said = f"several areas are called {listed(several, most=5)}: each is computed by itself"
        yield Finding("warning", "areas", said, "dissolve them if they are one, or name another column")


def _rows(frame: Any) -> list[str]:
    return [str(k) for k in range(1, len(frame) + 1)]


def _overlaps(frame: Any, names: list[str]) -> Iterator[Finding]:
    """Tell of areas that cover each other: each is computed by itself, and their totals do not add up."""
    import shapely

    shapes = np.asarray(frame.geometry.array)
    one, other = shapely.STRtree(shapes).query(shapes, predicate="intersects")
    one, other = one[one < other], other[one < other]
    if not one.size:
        return
    common = shapely.area(shapely.intersection(shapes[one], shapes[other]))
    much = common > OVERLAP * np.minimum(shapely.area(shapes[one]), shapely.area(shapes[other]))
    if much.any():
        k = int(np.argmax(common * much))
        pairs = counted(int(much.sum()), "pair")
        said = f"{pairs} of areas overlap, most {names[one[k]]!r} and {names[other[k]]!r}"
        yield Finding("note", "areas", f"{said}: each is computed by itself, and totals do not add up")


def overlaps(frame: Any, grid: Grid) -> tuple[sp.csr_matrix, Vector]:
    """Share of each predicted cell in each area, and share of each area that lies in predicted cells.

    Parameters
    ----------
    frame : GeoDataFrame
    grid : Grid

    Returns
    -------
    shares : (areas, grid.n) csr_matrix
        Exact: cells at an area's edge are cut by it.
    covered : (areas,) array
    """
    number = np.full(grid.shape, -1)
    number[grid.mask] = np.arange(grid.n)
    x, y = grid.x0 + grid.dx * np.arange(grid.cols + 1), grid.y0 + grid.dy * np.arange(grid.rows + 1)
    areas, cells, shares = [], [], []
    for k, shape in enumerate(frame.geometry.array):
        row, col, share = _cut(shape, x, y)
        inside = number[row, col] >= 0
        cells.append(number[row[inside], col[inside]])
        shares.append(share[inside])
        areas.append(np.full(int(inside.sum()), k))
    matrix = sp.csr_matrix(
        (np.concatenate(shares), (np.concatenate(areas), np.concatenate(cells))), shape=(len(frame), grid.n)
    )
    size = frame.geometry.area.to_numpy()
    return matrix, np.asarray(matrix.sum(axis=1)).ravel() * grid.dx * grid.dy / size


def _cut(shape: Any, x: NDArray[Any], y: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.intp], Vector]:
    """Row, column and share of the cells that a polygon covers."""
    import shapely

    west, south, east, north = shape.bounds
    left, right = np.searchsorted(x, west, "right") - 1, np.searchsorted(x, east, "left")
    low, high = np.searchsorted(y, south, "right") - 1, np.searchsorted(y, north, "left")
    left, right, low, high = max(left, 0), min(right, len(x) - 1), max(low, 0), min(high, len(y) - 1)
    none = np.zeros(0, dtype=np.intp)
    if left >= right or low >= high:
        return none, none, np.zeros(0)
    shapely.prepare(shape)
    rows, cols, shares = [none], [none], [np.zeros(0)]
    blocks = np.array([[low, high, left, right]])
    while len(blocks):
        a, b, c, d = blocks.T
        boxes = shapely.box(x[c], y[a], x[d], y[b])
        meets = shapely.intersects(shape, boxes)
        single = (b - a == 1) & (d - c == 1)
        inside = np.zeros(len(blocks), dtype=bool)
        inside[meets] = shapely.contains(shape, boxes[meets])
        if inside.any():
            own_rows, own_cols = _cells_of(blocks[inside])
            rows.append(own_rows)
            cols.append(own_cols)
            shares.append(np.ones(own_rows.size))
        edge = meets & single & ~inside
        rows.append(a[edge])
        cols.append(c[edge])
        shares.append(shapely.area(shapely.intersection(shape, boxes[edge])) / shapely.area(boxes[edge]))
        blocks = quarters(blocks[meets & ~single & ~inside])
    share = np.concatenate(shares)
    some = share > 0
    return np.concatenate(rows)[some], np.concatenate(cols)[some], share[some]


def _cells_of(blocks: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and column of each cell of blocks, (b, 4): first row, past the last row, first column, past the last."""
    low, high, left, right = blocks.T
    wide = right - left
    count = (high - low) * wide
    owner = np.repeat(np.arange(len(blocks)), count)
    step = np.arange(owner.size) - np.repeat(np.cumsum(count) - count, count)
    return low[owner] + step // wide[owner], left[owner] + step % wide[owner]


def refuse_elsewhere(areas: Areas, grid: Grid) -> None:
    """Raise an InputError where no area reaches the frame of a grid."""
    xmin, ymin, xmax, ymax = grid.bounds
    west, south, east, north = areas.frame.geometry.bounds.to_numpy().T
    if not ((west < xmax) & (east > xmin) & (south < ymax) & (north > ymin)).any():
        raise InputError(
            "no area lies on the map",
            remedy="see whether both are in one CRS, since areas begin at "
            f"({coordinate(west.min())}, {coordinate(south.min())}), the map at "
            f"({coordinate(xmin)}, {coordinate(ymin)})",
        )


def lost_finding(names: list[str], covered: Vector) -> Iterator[Finding]:
    """Tell of areas that the map does not cover whole."""
    lost = 1.0 - covered
    some = np.flatnonzero((lost > 1e-3) & (covered > 0))  # those that lie off it whole are told by themselves
    if some.size:
        order = some[np.argsort(-lost[some])]
        lie, lose = ("lies", "loses") if some.size == 1 else ("lie", "lose")
        worst = ", ".join(f"{names[k]} ({100 * lost[k]:.3g} %)" for k in order[:5])
        yield Finding(
            "warning",
            "areas",
            f"{some.size:,} of {counted(len(names), 'area')} {lie} partly off the map, and {lose} that part: {worst}",
            "widen the grid or the mesh, or judge whether anything is there",
        )
