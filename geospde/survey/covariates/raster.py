"""Rasters as covariates: any CRS, resolution and orientation, read in windows.

At a point a raster of numbers is interpolated between the centres of its cells (bilinear) and one of classes takes the
cell around the point. A cell of a map takes the mean, or the commonest class, of what it covers where it is larger than
the raster's cells, else the value at its centre.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.survey.covariates.base import Cells, Covariate, Vector
from geospde.survey.crs import transformer
from geospde.text.files import refuse_special_with
from geospde.text.offline import open_raster, reason
from geospde.text.systems import crs_name
from geospde.text.words import bytes_of, coordinate, counted, did_you_mean, listed

METHODS = ("bilinear", "nearest", "average")
COARSER = 1.5
"""A map's cells that are so many times as wide as the raster's take its mean."""
WINDOW = 4_000_000
"""Raster cells that are read at once."""
LARGEST_BLOCK = 2**28
"""Bytes that are read, or uncompressed, at once at most."""
STRIP = 64
"""Rows of a map that are filled at once."""


class Frame(NamedTuple):
    """Where a raster lies: its north-west corner, the size of its cells, how many, and its CRS."""

    x0: float
    y1: float
    dx: float
    dy: float
    rows: int
    cols: int
    crs: Any

    def place(self, xy: Vector) -> tuple[Vector, Vector]:
        """Row and column of coordinates, counted in cells from the north-west corner."""
        return (self.y1 - xy[:, 1]) / self.dy, (xy[:, 0] - self.x0) / self.dx

    @property
    def words(self) -> str:
        """Its extent, for messages."""
        x1, y0 = self.x0 + self.cols * self.dx, self.y1 - self.rows * self.dy
        return f"x {coordinate(self.x0)} to {coordinate(x1)}, y {coordinate(y0)} to {coordinate(self.y1)}"


class Source(ABC):
    """Something that holds a raster: a file, a dataset of rasterio, an array of xarray."""

    frame: Frame
    called: str

    @abstractmethod
    def read(self, rows: slice, cols: slice) -> Vector:
        """Values of a window, north up, NaN where there are none."""


@dataclass(frozen=True)
class Raster(Covariate):
    """A covariate from a raster.

    Attributes
    ----------
    pixels : Source
    how : str or None
        One of `METHODS` for the cells of a map; by default by the ratio of the cells' sizes.
    """

    pixels: Source = field(kw_only=True)
    how: str | None = field(default=None, kw_only=True)

    @property
    def source(self) -> str:
        """The file's name."""
        return self.pixels.called

    @property
    def files(self) -> tuple[Path, ...]:
        """The file, where it is one on this machine."""
        path = getattr(self.pixels, "path", None)
        return (path,) if path is not None and path.is_file() else ()

    def at_points(self, points: Vector, crs: Any) -> Vector:
        """Values at points, (m,): bilinear, or of classes those of the cell around each."""
        places = self._places(points, crs)
        return self._sampled(*places, smooth=not self.labels and self.how != "nearest")

    def in_cells(self, cells: Cells, crs: Any) -> Vector:
        """Values of cells, (n,): means or commonest classes of what they cover, or values at their centres."""
        self._places(cells.centres[:1], crs)  # refuses a raster without a CRS
        average = self._takes_average(cells, crs)
        parts = [np.zeros(0)]
        for low in range(0, len(cells.mask), STRIP):
            strip = cells.strip(low, low + STRIP)
            if strip.mask.any():
                how = "mode" if self.labels else "average"
                parts.append(self._warped(strip, crs, how) if average else self.at_points(strip.centres, crs))
        return np.concatenate(parts)

    def totals_in_cells(self, cells: Cells, crs: Any) -> Vector:
        """Sums over cells, (n,), such as of counts of people; raster cells at the edge of one are divided by area.

        No value counts as zero.
        """
        self._places(cells.centres[:1], crs)  # refuses a raster without a CRS
        strips = (cells.strip(low, low + STRIP) for low in range(0, len(cells.mask), STRIP))
        parts = [self._warped(strip, crs, "sum") for strip in strips if strip.mask.any()]
        return np.nan_to_num(np.concatenate(parts))

    def nearest(self, points: Vector, crs: Any) -> tuple[Vector, Vector]:
        """Values of the nearest raster cells that have one, (m,), and their distance, (m,); NaN where all is empty."""
        frame = self.pixels.frame
        row, col = (np.floor(place).astype(int) for place in self._places(points, crs))
        values, reach = np.full(len(points), np.nan), np.full(len(points), np.nan)
        size = self._cell_size(points.mean(axis=0), crs)
        steps = np.array([size[1], size[0]])
        margin = 8
        open_ = np.arange(len(points))
        while open_.size:
            last = margin >= max(frame.rows, frame.cols) + max(
                0, int(np.max(np.abs(row - np.clip(row, 0, frame.rows - 1)), initial=0)),
                int(np.max(np.abs(col - np.clip(col, 0, frame.cols - 1)), initial=0)),
            )  # fmt: skip
            for some in _pieces(row[open_], col[open_], margin, WINDOW):
                here = open_[some]
                window = _window(row[here], col[here], margin, frame)
                if window is None:
                    continue
                block = self.pixels.read(*window)
                found = np.argwhere(np.isfinite(block))
                if not len(found):
                    continue
                from scipy.spatial import cKDTree

                at = np.column_stack([row[here] - window[0].start, col[here] - window[1].start])
                far, which = cKDTree(found * steps).query(at * steps)
                sure = (far <= margin * steps.min()) | last
                values[here[sure]] = block[tuple(found[which[sure]].T)]
                reach[here[sure]] = far[sure]
            if last:
                break
            open_ = open_[~np.isfinite(values[open_])]
            margin *= 4
        return values, reach

    def method(self, cells: Cells | None, crs: Any) -> str:
        """How its values are taken, for a reader."""
        point = "the class of the raster's cell" if self.labels else "nearest raster cell"
        if not self.labels and self.how != "nearest":
            point = "bilinear"
        if cells is None:
            return point
        sizes = self._cell_size(cells.centres[0], crs)
        ratio = f"the map's cells are {np.sqrt(cells.dx * cells.dy / np.prod(sizes)):.2g} times as wide as the raster's"
        if not self._takes_average(cells, crs):
            return f"{point} at the centre of each cell; {ratio}"
        return f"{'commonest class' if self.labels else 'area average'} in each cell; {ratio}"

    def _takes_average(self, cells: Cells, crs: Any) -> bool:
        if self.how is not None:
            return self.how == "average"
        sizes = self._cell_size(cells.centres[len(cells.centres) // 2], crs)
        return bool(np.sqrt(cells.dx * cells.dy / np.prod(sizes)) >= COARSER)

    def _xy(self, points: Vector, crs: Any) -> Vector:
        """Coordinates in the raster's CRS; raises InputError where there is no way into it."""
        frame = self.pixels.frame
        if frame.crs is None and crs is not None and not crs.is_engineering:
            raise InputError(
                f"the raster {self.source} of covariate {self.name!r} has no CRS",
                remedy=f'say it, as in {self.name} = {{ raster = "{self.source}", crs = "EPSG:4326" }}',
            )
        if frame.crs is None or crs is None or frame.crs == crs:
            return points
        if crs.is_engineering or frame.crs.is_engineering:
            raise InputError(
                f"the raster {self.source} of covariate {self.name!r} is in {crs_name(frame.crs)} and the survey in "
                f"{crs_name(crs)}, a local frame, from which no transformation leads there"
            )
        x, y = transformer(crs, frame.crs).transform(points[:, 0], points[:, 1])
        if frame.crs.is_geographic:  # rasters from 0 to 360 degrees
            x = frame.x0 + (np.asarray(x) - frame.x0) % 360.0
        return np.column_stack([x, y])

    def _places(self, points: Vector, crs: Any) -> tuple[Vector, Vector]:
        """Row and column of points, counted in cells from the north-west corner."""
        return self.pixels.frame.place(self._xy(points, crs))

    def _cell_size(self, at: Vector, crs: Any) -> tuple[float, float]:
        """Width and height of the raster's cells near a point, in the units of `crs`."""
        frame = self.pixels.frame
        step = 1e-3 * max(1.0, float(np.abs(at).max()) * 1e-3)
        around = at + step * np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        row, col = self._places(around, crs)
        slope = np.column_stack([col[1:] - col[0], row[1:] - row[0]]) / step  # raster cells a unit of the map
        size = np.abs(np.linalg.det(slope))
        if not np.isfinite(size) or size == 0:
            return frame.dx, frame.dy
        across, down = np.linalg.norm(slope[:, 0]), np.linalg.norm(slope[:, 1])
        root = np.sqrt(across * down / size)
        return float(root / across), float(root / down)

    def _sampled(self, row: Vector, col: Vector, smooth: bool) -> Vector:
        """Values at places counted in cells, (m,); NaN outside the raster and where the cell around holds none."""
        frame, values = self.pixels.frame, np.full(len(row), np.nan)
        with np.errstate(invalid="ignore"):
            inside = (row >= 0) & (row <= frame.rows) & (col >= 0) & (col <= frame.cols)
        inside &= np.isfinite(row) & np.isfinite(col)
        number = np.flatnonzero(inside)
        if not number.size:
            return values
        r = np.minimum(np.floor(row[number]), frame.rows - 1).astype(int)
        c = np.minimum(np.floor(col[number]), frame.cols - 1).astype(int)
        for some in _pieces(r, c, 1, WINDOW):
            window = _window(r[some], c[some], 1, frame)
            assert window is not None
            block = self.pixels.read(*window)
            top, left = window[0].start, window[1].start
            here = number[some]
            own = block[r[some] - top, c[some] - left]
            if smooth:
                own = np.where(np.isfinite(own), _bilinear(block, row[here] - top, col[here] - left), np.nan)
            values[here] = own
        return values

    def _warped(self, cells: Cells, crs: Any, how: str) -> Vector:
        """Means, sums or commonest classes of what each cell covers, (n,), as GDAL calls them."""
        from affine import Affine
        from rasterio.warp import Resampling, reproject

        frame, (rows, cols) = self.pixels.frame, cells.mask.shape
        edge = _outline(cells)
        row, col = self._places(edge, crs)
        sure = np.isfinite(row) & np.isfinite(col)
        if not sure.any():
            return np.full(int(cells.mask.sum()), np.nan)
        r, c = (np.floor(place[sure]).astype(int) for place in (row, col))
        if (np.ptp(r) + 5) * (np.ptp(c) + 5) > WINDOW and (rows > 1 or cols > 1):
            return self._warped_in_halves(cells, crs, how)
        window = _window(r, c, 2, frame)
        if window is None:
            return np.full(int(cells.mask.sum()), np.nan)
        block = self.pixels.read(*window)
        image = np.full((rows, cols), np.nan)
        same = frame.crs is None or crs is None or frame.crs == crs
        left, top = frame.x0 + window[1].start * frame.dx, frame.y1 - window[0].start * frame.dy
        if not same and frame.crs.is_geographic and left > 180:
            left -= 360.0
        reproject(
            block,
            image,
            src_transform=Affine(frame.dx, 0, left, 0, -frame.dy, top),
            dst_transform=Affine(cells.dx, 0, cells.x0, 0, -cells.dy, cells.y0 + rows * cells.dy),
            src_crs="EPSG:3857" if same else frame.crs.to_wkt(),  # one and the same: nothing is transformed
            dst_crs="EPSG:3857" if same else crs.to_wkt(),
            src_nodata=np.nan,
            dst_nodata=np.nan,
            resampling=Resampling[how],
        )
        return np.asarray(image[::-1][cells.mask])

    def _warped_in_halves(self, cells: Cells, crs: Any, how: str) -> Vector:
        rows, cols = cells.mask.shape
        image = np.full((rows, cols), np.nan)
        half = max(rows, cols) // 2
        x = cells.x0 + half * cells.dx
        if rows >= cols:
            parts = [(slice(0, half), slice(None), cells.x0), (slice(half, rows), slice(None), cells.x0)]
        else:
            parts = [(slice(None), slice(0, half), cells.x0), (slice(None), slice(half, cols), x)]
        for down, across, west in parts:
            y0 = cells.y0 + (down.start or 0) * cells.dy
            part = Cells(west, y0, cells.dx, cells.dy, cells.mask[down, across])
            if part.mask.any():
                image[down, across][part.mask] = self._warped(part, crs, how)
        return np.asarray(image[cells.mask])


def _bilinear(block: Vector, row: Vector, col: Vector) -> Vector:
    """Between the centres of a block's cells, by those of the four around that hold a value, (m,)."""
    at_row, at_col = np.clip(row - 0.5, 0, block.shape[0] - 1), np.clip(col - 0.5, 0, block.shape[1] - 1)
    r, c = np.floor(at_row).astype(int), np.floor(at_col).astype(int)
    total, weight = np.zeros(len(row)), np.zeros(len(row))
    for down in (0, 1):
        for right in (0, 1):
            share = np.abs(1 - down - (at_row - r)) * np.abs(1 - right - (at_col - c))
            value = block[np.minimum(r + down, block.shape[0] - 1), np.minimum(c + right, block.shape[1] - 1)]
            known = np.isfinite(value)
            total += np.where(known, share * np.where(known, value, 0.0), 0.0)
            weight += np.where(known, share, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(total / weight)


def _outline(cells: Cells) -> Vector:
    """Points along the edge of a block of cells, and some inside, (m, 2)."""
    rows, cols = cells.mask.shape
    x = cells.x0 + cells.dx * np.linspace(0, cols, min(cols, 20) + 1)
    y = cells.y0 + cells.dy * np.linspace(0, rows, min(rows, 20) + 1)
    return np.column_stack([a.ravel() for a in np.meshgrid(x, y)])


def _window(row: NDArray[Any], col: NDArray[Any], margin: int, frame: Frame) -> tuple[slice, slice] | None:
    """The window of a raster around places, or None where they lie outside."""
    top, bottom = max(int(row.min()) - margin, 0), min(int(row.max()) + margin + 1, frame.rows)
    left, right = max(int(col.min()) - margin, 0), min(int(col.max()) + margin + 1, frame.cols)
    return (slice(top, bottom), slice(left, right)) if top < bottom and left < right else None


def _pieces(row: NDArray[Any], col: NDArray[Any], margin: int, most: int) -> list[NDArray[np.intp]]:
    """Divide places until the window around each part is small."""
    done, todo = [], [np.arange(len(row))]
    while todo:
        some = todo.pop()
        high, wide = np.ptp(row[some]), np.ptp(col[some])
        if some.size <= 1 or (high + 2 * margin + 1) * (wide + 2 * margin + 1) <= most or high + wide == 0:
            done.append(some)
            continue
        along = row[some] if high >= wide else col[some]
        low = along <= (along.min() + along.max()) / 2
        todo += [some[low], some[~low]]
    return done


class FileSource(Source):
    """A file that rasterio reads, or an open dataset of it.

    Parameters
    ----------
    path : Path or rasterio dataset
    band : int or str, optional
        By number, from 1, or by its description.
    name : str
        Of the covariate: a band of that name is taken without.
    crs : pyproj.CRS, optional
        Where the file does not say.
    """

    def __init__(self, path: Any, band: int | str | None, name: str, crs: Any = None):
        import rasterio

        self._dataset = None if isinstance(path, Path) else path
        self.path = path if isinstance(path, Path) else None
        self.called = path.name if isinstance(path, Path) else Path(str(path.name)).name or "the dataset"
        if self.path is not None:
            refuse_special_with(self.path)
        try:
            with self._opened() as raster:
                self.frame = self._frame(raster, crs)
                self._band = _band_of(raster, band, name, self.called)
                _refuse_large_blocks(raster, self._band, self.called)
                self._scale, self._offset = raster.scales[self._band - 1], raster.offsets[self._band - 1]
                if raster.dtypes[self._band - 1].startswith("complex"):
                    raise InputError(f"the raster {self.called} holds complex numbers")
        except rasterio.errors.RasterioIOError as error:
            raise InputError(f"cannot read the raster {self.called} of covariate {name!r}: {reason(error)}") from None

    def _opened(self) -> Any:
        return nullcontext(self._dataset) if self.path is None or self._dataset is not None else open_raster(self.path)

    def _frame(self, raster: Any, crs: Any) -> Frame:
        from pyproj import CRS

        place = raster.transform
        if place.b or place.d:
            raise InputError(f"the raster {self.called} is rotated", remedy="warp it first (gdalwarp does)")
        if place.is_identity:
            raise InputError(f"the raster {self.called} does not say where it lies: it has no geotransform")
        self._south_up, self._east_first = place.e > 0, place.a < 0
        x0 = place.c + raster.width * place.a if self._east_first else place.c
        y1 = place.f + raster.height * place.e if self._south_up else place.f
        own = crs if crs is not None else CRS.from_wkt(raster.crs.to_wkt()) if raster.crs else None
        return Frame(x0, y1, abs(place.a), abs(place.e), raster.height, raster.width, own)

    def read(self, rows: slice, cols: slice) -> Vector:
        """Values of a window, north up, NaN where there are none."""
        import rasterio
        from rasterio.windows import Window

        top = self.frame.rows - rows.stop if self._south_up else rows.start
        left = self.frame.cols - cols.stop if self._east_first else cols.start
        window = Window(left, top, cols.stop - cols.start, rows.stop - rows.start)
        try:
            with self._opened() as raster:
                block = raster.read(self._band, window=window, masked=True)
        except rasterio.errors.RasterioIOError as error:
            raise InputError(f"cannot read the raster {self.called}: {reason(error)}") from None
        values = block.astype(float).filled(np.nan) * self._scale + self._offset
        values[~np.isfinite(values)] = np.nan
        return np.asarray(values[:: -1 if self._south_up else 1, :: -1 if self._east_first else 1])


def _refuse_large_blocks(raster: Any, band: int, called: str) -> None:
    """Raise InputError where the smallest piece that can be read is hundreds of megabytes."""
    rows, cols = raster.block_shapes[band - 1]
    size = rows * cols * np.dtype(raster.dtypes[band - 1]).itemsize
    if size > LARGEST_BLOCK and raster.driver != "VRT":  # which reads what its sources have
        what = f"the raster {called} stores {rows:,} x {cols:,} cells in one piece, {bytes_of(size)}"
        raise InputError(what, remedy="write it in tiles: gdal_translate -co TILED=YES -co COMPRESS=DEFLATE")


def _band_of(raster: Any, band: int | str | None, name: str, called: str) -> int:
    """Number of a band."""
    names = [text for text in raster.descriptions if text]
    has = f"has {counted(raster.count, 'band')}" + (f" ({listed(names)})" if names else "")
    if band is None and raster.count > 1 and name not in raster.descriptions:
        one = f"--covariate {called}:{names[0] if names else 1}"
        raise InputError(f"the raster {called} {has}", remedy=f"say which one {name!r} is with band; init takes {one}")
    if band is None:
        band = name if raster.count > 1 else 1
    if isinstance(band, int) and not isinstance(band, bool):
        if not 1 <= band <= raster.count:
            raise InputError(f"the raster {called} {has}, and no band {band}")
        return band
    if raster.descriptions.count(band) > 1:
        raise InputError(f"the raster {called} has two bands called {band!r}", remedy="say which by number with band")
    if band not in raster.descriptions:
        near = did_you_mean(str(band), names, "bands") if names else "its bands have numbers only"
        raise InputError(f"the raster {called} has no band {band!r}; {near}")
    return int(raster.descriptions.index(band)) + 1
