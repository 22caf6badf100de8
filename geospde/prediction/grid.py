"""Regular grids of prediction cells, and which of their cells a region meets."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geospde.errors import InputError
from geospde.prediction.cells import cells_that_meet
from geospde.survey.covariates.base import Cells
from geospde.survey.crs import parse_crs
from geospde.survey.polygons import as_region
from geospde.text.arguments import as_number
from geospde.text.keywords import answers_keywords
from geospde.text.offline import open_raster
from geospde.text.words import coordinate, in_brief, in_unit

if TYPE_CHECKING:
    from pathlib import Path

    from affine import Affine

MAX_CELLS = 100_000_000
"""Most cells a grid may have: its mask alone is then 100 MB."""

_CELLS_ALONG = 150
"""Cells along the longer side when neither `shape` nor `cell` is given."""


class Strip(NamedTuple):
    """A band of whole rows of a grid, for work in pieces; see `Grid.strips`."""

    top: int
    """First row, counted from the north as in a raster."""
    rows: slice
    """The same rows of `Grid.mask`, counted from the south."""
    cells: slice
    """Where the strip's predicted cells stand in `Grid.centres`."""


@answers_keywords
@dataclass(frozen=True, eq=False, repr=False)
class Grid:
    """A regular raster of cells, some or all of which are predicted.

    Made by `Grid.around`, `Grid.from_bounds` or `Grid.like`. Predicted cells are numbered row by row from the
    south, and from the west within a row; ``centres``, ``indices`` and the values of a prediction are in that
    order.

    Parameters
    ----------
    x0, y0 : float
        South-west corner of the south-west cell, in the units of `crs`.
    dx, dy : float
        Width and height of a cell.
    mask : (rows, cols) array of bool
        The cells to predict; row 0 is the southernmost.
    crs : pyproj.CRS, optional
        Coordinate reference system, as the survey's; given as anything that `geospde.survey.crs.parse_crs` takes.
    domain : shapely.Polygon or shapely.MultiPolygon, optional
        The region that the grid was laid around, without the buffer: what a map of it shows.

    Raises
    ------
    InputError
        If a number is not finite, a cell has no area, or the mask is empty.

    Examples
    --------
    >>> from shapely import Point
    >>> grid = Grid.around(Point(0, 0).buffer(100), cell=20)
    >>> grid
    Grid(10 x 10 cells of 20 x 20, 88 predicted, x -100 to 100, y -100 to 100)
    >>> grid.centres[0]
    array([-50., -90.])
    >>> grid.to_array(range(grid.n)).shape
    (10, 10)
    """

    x0: float
    y0: float
    dx: float
    dy: float
    mask: NDArray[np.bool_]
    crs: Any = None
    domain: Any = None

    def __post_init__(self) -> None:
        mask = np.array(self.mask, dtype=bool)
        if mask.ndim != 2 or not mask.any():
            raise InputError("a grid needs a two-dimensional mask with at least one predicted cell")
        if not all(map(math.isfinite, (self.x0, self.y0, self.dx, self.dy))) or min(self.dx, self.dy) <= 0:
            raise InputError(
                f"a grid needs a finite corner and cells of positive size, not ({self.x0}, {self.y0}) "
                f"and {self.dx} x {self.dy}"
            )
        mask.flags.writeable = False
        object.__setattr__(self, "mask", mask)
        object.__setattr__(self, "crs", None if self.crs is None else parse_crs(self.crs))

    # ---- made from ---------------------------------------------------------------------------------------

    @classmethod
    def around(
        cls,
        domain: Any,
        *,
        shape: tuple[int, int] | None = None,
        cell: float | None = None,
        buffer: float = 0.0,
        quad_segs: int = 30,
        crs: Any = None,
    ) -> "Grid":
        """Lay a grid over a region; the cells that meet the region are predicted.

        Parameters
        ----------
        domain : polygons, closed lines, GeoDataFrame, GeoSeries or Survey
            The region, holes and several parts allowed; with a `buffer` also points and open lines.
        shape : (rows, cols), optional
            Divide the bounding box of the buffered region into so many cells.
        cell : float, optional
            Square cells of this size instead, their edges on whole multiples of it. With neither, 150 square
            cells along the longer side.
        buffer : float, default 0
            Widen the region by this much first, in the units of `crs`.
        quad_segs : int, default 30
            Segments of a quarter circle in the buffer's corners.
        crs : optional
            Taken from `domain` when it has one.

        Returns
        -------
        Grid

        Raises
        ------
        InputError
            If the region is empty or crosses itself, or the grid would have no cell or more than `MAX_CELLS`.
        """
        region = land = as_region(domain, corridors=True)
        buffer = as_number(buffer, "the grid's buffer")
        if buffer:
            region = region.buffer(buffer, quad_segs=quad_segs)
        if region.is_empty or region.area == 0:
            raise InputError(
                f"the region has no area after a buffer of {buffer:g}: no cell of a grid can meet it, "
                "give a wider buffer"
            )
        crs = getattr(domain, "crs", None) if crs is None else crs
        if shape is None and cell is None:
            west, south, east, north = region.bounds
            cell = max(east - west, north - south) / _CELLS_ALONG
        grid = cls.from_bounds(region.bounds, shape=shape, cell=cell, within=region, crs=crs)
        return replace(grid, domain=land if "Polygon" in land.geom_type else None)

    @classmethod
    def from_bounds(
        cls,
        bounds: tuple[float, float, float, float],
        *,
        shape: tuple[int, int] | None = None,
        cell: float | None = None,
        within: Any = None,
        crs: Any = None,
    ) -> "Grid":
        """Divide a rectangle into cells.

        Parameters
        ----------
        bounds : (xmin, ymin, xmax, ymax)
            The rectangle, in the units of `crs`.
        shape : (rows, cols), optional
            Divide it into so many cells.
        cell : float, optional
            Square cells of this size instead; the rectangle grows outward to whole multiples of it.
        within : optional
            Predict only the cells that meet this region (anything `Grid.around` takes); all cells by default.
        crs : optional
            Coordinate reference system.

        Returns
        -------
        Grid

        Raises
        ------
        InputError
            If not exactly one of `shape` and `cell` is given, or they make no sense for the rectangle.

        Examples
        --------
        >>> Grid.from_bounds((0, 0, 100, 60), shape=(3, 5))
        Grid(3 x 5 cells of 20 x 20, 15 predicted, x 0 to 100, y 0 to 60)
        """
        try:
            xmin, ymin, xmax, ymax = (float(b) for b in bounds)
        except (TypeError, ValueError):
            raise InputError(
                f"a grid's bounds are four numbers (xmin, ymin, xmax, ymax), not {in_brief(bounds)}"
            ) from None
        if not (math.isfinite(xmax - xmin) and math.isfinite(ymax - ymin) and xmax > xmin and ymax > ymin):
            raise InputError(f"a grid needs bounds (xmin, ymin, xmax, ymax) with an area, not {tuple(bounds)}")
        if (shape is None) == (cell is None):
            raise InputError("give the grid either a shape (rows, columns) or a cell size, one of the two")
        if shape is not None:
            rows, cols = _whole_shape(shape)
            _refuse_too_many(rows, cols, xmax - xmin, ymax - ymin)
            x0, y0, dx, dy = xmin, ymin, (xmax - xmin) / cols, (ymax - ymin) / rows
        else:
            dx = dy = as_number(cell, "the grid's cell size", "positive")
            if not dx > 0:
                raise InputError(f"the grid's cell size must be a positive number, not {cell}")
            if dx < 1e-12 * max(xmax - xmin, ymax - ymin, abs(xmin), abs(ymin)):
                raise InputError(f"a cell of {dx:g} is too small to tell from its neighbours: take a larger one")
            if dx > max(xmax - xmin, ymax - ymin):
                raise InputError(
                    f"a cell of {dx:g} is larger than the whole region ({xmax - xmin:g} x {ymax - ymin:g}): "
                    f"choose a smaller cell"
                )
            # Bounds that are multiples of the cell but for rounding stay where they are.
            west, south = math.floor(xmin / dx + 1e-9), math.floor(ymin / dy + 1e-9)
            cols, rows = math.ceil(xmax / dx - 1e-9) - west, math.ceil(ymax / dy - 1e-9) - south
            _refuse_too_many(rows, cols, xmax - xmin, ymax - ymin)
            x0, y0 = west * dx, south * dy
        if within is None:
            mask = np.ones((rows, cols), dtype=bool)
        else:
            x, y = x0 + dx * np.arange(cols + 1), y0 + dy * np.arange(rows + 1)
            mask = cells_that_meet(as_region(within), x, y)
            if not mask.any():
                raise InputError(f"no cell of the grid over {tuple(bounds)} meets the region: are both in one CRS?")
        return cls(x0, y0, dx, dy, mask, crs)

    @classmethod
    def like(cls, path: "str | Path", *, within: Any = None) -> "Grid":
        """Take the cells of an existing raster, so that a prediction lies on it cell for cell.

        Parameters
        ----------
        path : str or Path
            Any north-up raster that rasterio reads. Cells where its first band has no data are not predicted.
        within : optional
            Predict only the cells that also meet this region.

        Returns
        -------
        Grid

        Raises
        ------
        InputError
            If the file cannot be read, is rotated, or no cell remains.
        """
        import pyproj
        import rasterio

        if not isinstance(path, str | PathLike):
            own = "its own cells are its grid" if isinstance(getattr(path, "grid", None), Grid) else "give its path"
            raise InputError(f"a grid is made like a raster file, not like {in_brief(path)}", remedy=own)
        try:
            with open_raster(path) as source:
                transform, bounds = source.transform, source.bounds
                crs = pyproj.CRS.from_wkt(source.crs.to_wkt()) if source.crs else None
                width, height = bounds.right - bounds.left, bounds.top - bounds.bottom
                _refuse_too_many(source.height, source.width, width, height)
                mask = source.read_masks(1)[::-1] > 0
        except rasterio.errors.RasterioIOError as error:
            raise InputError(f"cannot read the raster {path}: {error}") from error
        if transform.b or transform.d or transform.a < 0 or transform.e > 0:
            raise InputError(f"the raster {path} is rotated or not north-up: warp it first (gdalwarp does)")
        if within is not None:
            rows, cols = mask.shape
            x = transform.c + transform.a * np.arange(cols + 1)
            y = transform.f + transform.e * np.arange(rows, -1, -1)
            mask &= cells_that_meet(as_region(within), x, y)
        if not mask.any():
            raise InputError(f"the raster {path} has no cell with data to predict at")
        y0 = transform.f + transform.e * mask.shape[0]
        return cls(transform.c, y0, transform.a, -transform.e, mask, crs)

    # ---- looked at ---------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, cols = self.mask.shape
        return rows, cols

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.shape[0]

    @property
    def cols(self) -> int:
        """Number of columns."""
        return self.shape[1]

    @cached_property
    def n(self) -> int:
        """Number of predicted cells."""
        return int(np.count_nonzero(self.mask))

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Outer edges (xmin, ymin, xmax, ymax) of all cells, predicted or not."""
        return self.x0, self.y0, self.x0 + self.cols * self.dx, self.y0 + self.rows * self.dy

    @property
    def transform(self) -> "Affine":
        """North-up affine transform from (column, row) to (x, y), as rasterio's."""
        from affine import Affine

        return Affine(self.dx, 0.0, self.x0, 0.0, -self.dy, self.bounds[3])

    @property
    def indices(self) -> NDArray[np.intp]:
        """Row (from the south) and column of each predicted cell, (n, 2)."""
        return np.argwhere(self.mask)

    @property
    def centres(self) -> NDArray[np.float64]:
        """Centres of the predicted cells, (n, 2)."""
        row, col = np.nonzero(self.mask)
        return np.column_stack([self.x0 + self.dx * (col + 0.5), self.y0 + self.dy * (row + 0.5)])

    @property
    def cells(self) -> Cells:
        """The predicted cells, as covariates are asked for theirs."""
        return Cells(self.x0, self.y0, self.dx, self.dy, self.mask)

    def without(self, left_out: NDArray[np.bool_]) -> "Grid":
        """Return the grid without some of its predicted cells.

        Parameters
        ----------
        left_out : (n,) array of bool
            In the order of `centres`; `InputError` if no cell remains, and for what is no such array.
        """
        left_out = np.asarray(left_out)
        if left_out.shape != (self.n,) or left_out.dtype != bool:
            raise InputError(f"a grid without cells takes True or False for each of its {self.n} cells")
        mask = self.mask.copy()
        mask[mask] = ~left_out
        return replace(self, mask=mask)

    def cell_polygons(self) -> NDArray[np.object_]:
        """Rectangles of the predicted cells, (n,) shapely polygons."""
        import shapely

        row, col = np.nonzero(self.mask)
        west, south = self.x0 + self.dx * col, self.y0 + self.dy * row
        return np.asarray(shapely.box(west, south, west + self.dx, south + self.dy))

    def to_array(self, values: ArrayLike, fill: float = np.nan) -> NDArray[np.float64]:
        """Put one value a predicted cell into an image.

        Parameters
        ----------
        values : (n,) array
            In the order of `centres`; `InputError` if there are more or fewer.
        fill : float, default nan
            Value of the other cells.

        Returns
        -------
        (rows, cols) array
            North up: row 0 is the northernmost.
        """
        try:
            values = np.asarray(values, dtype=float)
        except (TypeError, ValueError):
            raise InputError(f"the values of cells must be {self.n} numbers, not {in_brief(values)}") from None
        if values.shape != (self.n,):
            raise InputError(f"the grid has {self.n} predicted cells, but the values are {values.shape}")
        image = np.full(self.shape, fill)
        image[self.mask] = values
        return image[::-1]

    def strips(self, height: int = 256) -> Iterator[Strip]:
        """Cut the grid into strips of `height` rows from the north, for work in pieces.

        Parameters
        ----------
        height : int, default 256
            Rows in a strip; the last, southernmost one may have fewer.

        Yields
        ------
        Strip
            Its first row from the north, its rows of `mask`, and its slice of the predicted cells.
        """
        before = np.concatenate([[0], np.cumsum(np.count_nonzero(self.mask, axis=1))])
        for top in range(0, self.rows, height):
            high = self.rows - top
            low = max(high - height, 0)
            yield Strip(top, slice(low, high), slice(int(before[low]), int(before[high])))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Grid):
            return NotImplemented
        ours, theirs = (self.x0, self.y0, self.dx, self.dy), (other.x0, other.y0, other.dx, other.dy)
        return ours == theirs and self.crs == other.crs and np.array_equal(self.mask, other.mask)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        xmin, ymin, xmax, ymax = self.bounds
        return (
            f"Grid({self.rows} x {self.cols} cells of {self.dx:.6g} x {self.dy:.6g}, {self.n} predicted, "
            f"x {coordinate(xmin)} to {coordinate(xmax)}, y {coordinate(ymin)} to {coordinate(ymax)})"
        )


def _whole_shape(shape: Any) -> tuple[int, int]:
    """Return (rows, cols) as two positive integers."""
    try:
        rows, cols = (int(s) for s in shape)
        good = rows > 0 and cols > 0 and (rows, cols) == tuple(shape)
    except (TypeError, ValueError, OverflowError):
        good = False
    if not good:
        raise InputError(f"the grid's shape must be two positive whole numbers (rows, columns), not {shape!r}")
    return rows, cols


def _refuse_too_many(rows: int, cols: int, width: float, height: float) -> None:
    """Raise when a grid is too large to hold, and say which cell would do."""
    if rows * cols > MAX_CELLS:
        enough = 1.01 * math.sqrt(width * height / MAX_CELLS)
        raise InputError(
            f"a grid of {rows:,} x {cols:,} = {rows * cols:,} cells is too large (at most {MAX_CELLS:,}): "
            f"use cells of {in_unit(enough, '')} or larger, or predict in parts"
        )
