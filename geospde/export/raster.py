"""GeoTIFF layers of a prediction, written strip by strip."""

import errno
import os
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from glob import escape
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from geospde.errors import InputError
from geospde.export.provenance import processors
from geospde.prediction.grid import Grid, Strip
from geospde.prediction.layer import Layer
from geospde.prediction.layers import Layers
from geospde.prediction.stored import LAYER_TAG
from geospde.survey.crs import is_local, parse_crs, unit_of
from geospde.survey.polygons import as_region
from geospde.text.systems import crs_name
from geospde.text.words import counted, in_brief

BLOCK = 256
"""Side of a tile of the file, in cells."""
SCRAPS = 1_000_000
"""Bytes of a disk that is full: less than what did not find room."""
LOOK = 1.0
"""Seconds between looks at the size of a file that grows."""
_NUMBERS = count()


def write_raster(
    path: str | Path,
    grid: Grid,
    columns: Mapping[str, ArrayLike],
    *,
    crs: Any = None,
    crop: Any = None,
    tags: Mapping[str, Any] | None = None,
    cog: bool = False,
    band_tags: Mapping[str, Mapping[str, str]] | None = None,
) -> Path:
    """Write values on a grid as a GeoTIFF, one named float32 band for each column.

    Parameters
    ----------
    path : str or Path
        A name that ends in ``.tif``; folders are made. The file appears whole or not at all.
    grid : Grid
        Where the values lie.
    columns : DataFrame or mapping of str to (grid.n,) array
        One value a predicted cell; columns ``x`` and ``y`` are left out.
    crs : optional
        Anything that `geospde.survey.crs.parse_crs` takes; the grid's own by default.
    crop : optional
        Polygons: cells whose centre lies outside become nodata, as a coastline crops the cells in the sea.
    tags : mapping, optional
        Metadata of the whole file, such as the model's formula.
    cog : bool, default False
        Write a cloud-optimised GeoTIFF: the same values, with overviews and in the order that lets a viewer read
        what it shows and no more.
    band_tags : mapping of str to mapping, optional
        Metadata of bands, by column.

    Returns
    -------
    Path
        Where the file is.

    Raises
    ------
    InputError
        If a column does not fit the grid, `crop` leaves nothing, or the file cannot be written.

    Notes
    -----
    Nodata is NaN: no prediction can equal it, arithmetic carries it on, and GDAL, QGIS and terra show it as
    empty.

    Examples
    --------
    >>> import tempfile
    >>> import rasterio
    >>> from geospde.prediction.grid import Grid
    >>> grid = Grid.from_bounds((0, 0, 60, 40), cell=20)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = write_raster(f"{folder}/depth.tif", grid, {"mean": range(6)}, crs="local:m")
    ...     with rasterio.open(path) as layer:
    ...         layer.descriptions, layer.read(1)
    (('mean',), array([[3., 4., 5.],
           [0., 1., 2.]], dtype=float32))
    """
    layers = {str(name): np.asarray(values, dtype=float) for name, values in columns.items() if name not in ("x", "y")}
    for name, values in layers.items():
        if values.shape != (grid.n,):
            raise InputError(
                f"column {name!r} has shape {values.shape}, but the grid has {counted(grid.n, 'predicted cell')}"
            )
    with RasterWriter(path, grid, list(layers), crs=crs, crop=crop, tags=tags, cog=cog, band_tags=band_tags) as raster:
        for strip in grid.strips(BLOCK):
            raster.write(strip, [values[strip.cells] for values in layers.values()])
    return raster.path


def write_layers_raster(path: str | Path, layers: Layers, *, crop: Any = None, cog: bool = False) -> Path:
    """Write layers on a grid as a GeoTIFF, a band each, whose tags say what it is: by `write_raster`.

    Parameters
    ----------
    layers : Layers
        On a Grid, such as a `Prediction`.
    path, crop, cog
        As in `write_raster`.

    Raises
    ------
    InputError
        As `write_raster`, and where the layers are not on a grid.
    """
    if layers.grid is None:
        raise InputError("only a prediction on a Grid can be written as a raster: predict(gs.Grid.around(...))")
    columns = {layer.name: layers.values(layer.name) for layer in layers.layers}
    meanings = {layer.name: meaning_of(layer, layers.label) for layer in layers.layers}
    return write_raster(path, layers.grid, columns, crs=layers.crs, crop=crop, cog=cog, band_tags=meanings)


def meaning_of(layer: Layer, label: str) -> dict[str, str]:
    """Return the tags of a layer's band: words for a reader, and the whole of it for `read_prediction`."""
    words = layer.with_label(label)
    return {"TITLE": words.title, "CAPTION": words.caption, LAYER_TAG: layer.to_json()}


class RasterWriter:
    """A GeoTIFF that is filled strip by strip, so that memory depends on the strip and not on the raster.

    A context manager: the file is renamed into place when the block ends, and removed if it fails.

    Parameters
    ----------
    path, grid, crs, crop, tags, cog, band_tags
        As in `write_raster`.
    names : sequence of str
        Names of the bands.
    callback : callable, optional
        Called with the share that is done, from 0 to 1, while the file is put in the cloud-optimised order.
    """

    def __init__(
        self,
        path: str | Path,
        grid: Grid,
        names: Sequence[str],
        *,
        crs: Any = None,
        crop: Any = None,
        tags: Mapping[str, Any] | None = None,
        cog: bool = False,
        band_tags: Mapping[str, Mapping[str, str]] | None = None,
        callback: Callable[[float], None] | None = None,
    ) -> None:
        self._callback = callback or (lambda share: None)
        if not isinstance(path, str | os.PathLike):
            raise InputError(f"a raster is written to a path, not to {in_brief(path)}")
        self.path, self.grid, self.names = Path(path), grid, list(names)
        if self.path.suffix.lower() not in (".tif", ".tiff"):
            raise InputError(
                f"a raster is written as GeoTIFF, so its name must end in .tif: {self.path.name} "
                f"(GeoJSON could not carry a local CRS)"
            )
        if not self.names:
            raise InputError("a raster needs at least one column besides x and y")
        crs = grid.crs if crs is None else crs
        self._crs = None if crs is None else parse_crs(crs)
        self._cog = cog
        if cog and self._crs is not None and not unit_of(self._crs):  # it would come back in metres
            raise InputError(
                f"a cloud-optimised GeoTIFF cannot carry {crs_name(self._crs)}, which has no unit of length: "
                "write it with cog=False"
            )
        self._crop = None if crop is None else as_region(crop, "the crop")
        self._tags = dict(tags or {})
        self._band_tags = dict(band_tags or {})
        self._statistics = _Statistics(len(self.names))
        # Beside the target, so that the rename stays on one file system; another name for each, as one that was
        # interrupted may still be written.
        self._partial = self.path.with_name(f".{self.path.name}.{os.getpid()}-{next(_NUMBERS)}.partial")

    def __enter__(self) -> "RasterWriter":
        import rasterio

        rows, cols = self.grid.shape
        # GeoTIFF's own keys lose a local frame's unit unless it is the metre (an abstract unit becomes one).
        unnamed = self._crs is not None and is_local(self._crs) and unit_of(self._crs) != "m"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._refuse_full_disk()
            self._file = rasterio.open(
                self._partial,
                "w",
                driver="GTiff",
                width=cols,
                height=rows,
                count=len(self.names),
                dtype="float32",
                nodata=np.nan,
                crs=None if self._crs is None else rasterio.crs.CRS.from_wkt(self._crs.to_wkt()),
                transform=self.grid.transform,
                tiled=True,
                blockxsize=BLOCK,
                blockysize=BLOCK,
                bigtiff="if_safer",
                interleave="band",
                geotiff_keys_flavor="ESRI_PE" if unnamed else "STANDARD",
                **({} if self._cog else {"compress": "deflate", "predictor": 3}),  # once is enough
            )
        except OSError as error:
            raise self._unwritten(error) from error
        return self

    def write(self, strip: Strip, values: Sequence[ArrayLike]) -> None:
        """Write one strip of `Grid.strips(BLOCK)`.

        Parameters
        ----------
        strip : Strip
            Where.
        values : sequence of (cells of the strip,) arrays, or one 2-d array
            A row for each band.
        """
        from rasterio.windows import Window

        mask = self.grid.mask[strip.rows]
        keep = self._inside(strip)
        for band, column in enumerate(values):
            layer = np.full(mask.shape, np.nan, dtype=np.float32)
            layer[mask] = np.where(keep, column, np.nan)
            self._statistics.add(band, layer[np.isfinite(layer)].astype(float))
            window = Window(0, strip.top, mask.shape[1], mask.shape[0])
            self._file.write(layer[::-1], band + 1, window=window)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._describe()
            self._file.close()
            if error is None:
                if self._crop is not None and not self._statistics.count.any():
                    raise InputError("the crop leaves no cell of the raster: are both in one CRS?")
                if self._cog:
                    self._optimise()
                os.replace(self._partial, self.path)
        except OSError as failure:
            error = failure
        finally:
            unwritten = self._unwritten(error) if isinstance(error, OSError) else None
            self._remove_scraps()
        if unwritten is not None:
            raise unwritten from error

    def _describe(self) -> None:
        """Name the bands and leave their statistics, by which QGIS stretches its colours without a scan."""
        self._file.update_tags(**{key: str(value) for key, value in self._tags.items()})
        for band, name in enumerate(self.names):
            self._file.set_band_description(band + 1, name)
            self._file.update_tags(band + 1, **self._statistics.tags(band), **self._band_tags.get(name, {}))

    def _optimise(self) -> None:
        """Rewrite the file in the cloud-optimised order, with overviews that average the cells."""
        import rasterio.shutil

        ordered = self._partial.with_name(f"{self._partial.name}.cog")
        overviews = ordered.with_name(f"{ordered.name}.ovr.tmp")  # as GDAL calls them, while it makes them
        most = 4 * len(self.names) * self.grid.rows * self.grid.cols / 3  # bytes of overviews, uncompressed

        def rewrite() -> None:
            rasterio.shutil.copy(
                self._partial,
                ordered,
                driver="COG",
                blocksize=BLOCK,
                compress="deflate",
                predictor="floating_point",
                overview_resampling="average",
                bigtiff="if_safer",
                num_threads=processors(),
            )

        made = 0

        def look() -> None:
            # the cells are three times their overviews, of which a copy stands before them
            nonlocal made
            made, written = max(made, _size(overviews)), _size(ordered)  # they are removed at the end
            self._callback(min((made + written) / (5 * (made if made and written else most)), 0.99))

        try:
            _watch(rewrite, look, self._remove_scraps)
        except Exception as error:  # GDAL's own, whose class is private to rasterio
            raise OSError(str(error)) from error
        os.replace(ordered, self._partial)

    def _remove_scraps(self) -> None:
        for scrap in self.path.parent.glob(f"{escape(self._partial.name)}*"):
            with suppress(OSError):  # on Windows, one that is still written
                scrap.unlink()

    def _inside(self, strip: Strip) -> NDArray[np.bool_]:
        """Tell which predicted cells of a strip have their centre in the crop."""
        row, col = np.nonzero(self.grid.mask[strip.rows])
        if self._crop is None:
            return np.ones(len(row), dtype=bool)
        shapely.prepare(self._crop)
        x = self.grid.x0 + self.grid.dx * (col + 0.5)
        y = self.grid.y0 + self.grid.dy * (row + strip.rows.start + 0.5)
        return np.asarray(shapely.intersects_xy(self._crop, x, y))

    def _unwritten(self, error: OSError) -> InputError:
        """Return why the file cannot be written, told while it is there: GDAL's errors do not name a full disk."""
        full = self.path.parent.is_dir() and shutil.disk_usage(self.path.parent).free < SCRAPS
        return InputError(f"cannot write the raster {self.path}: {os.strerror(errno.ENOSPC) if full else error}")

    def _refuse_full_disk(self) -> None:
        """Raise before the work if the values would not fit on the disk uncompressed."""
        need = 4 * len(self.names) * self.grid.n
        if self._cog:  # it stands beside the file it is made from, and overviews add a third
            need = need * 7 // 3
        free = shutil.disk_usage(self.path.parent).free
        if need > free:
            raise InputError(
                f"the raster {self.path.name} needs up to {need / 1e9:.1f} GB and the disk has "
                f"{free / 1e9:.1f} GB free: use larger cells, fewer columns or another disk"
            )


def _size(path: Path) -> int:
    """Return the bytes of a file, 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _watch(work: Callable[[], None], look: Callable[[], None], after: Callable[[], None]) -> None:
    """Call `work` on a thread of its own, and `look` again and again until it is done.

    What does not come back to Python for minutes cannot be interrupted; who waits for it can. It then ends by itself,
    unless the process does before, and `after` is called.
    """
    failed: list[Exception] = []
    left = threading.Event()

    def run() -> None:
        try:
            work()
        except Exception as error:
            failed.append(error)
        if left.is_set():
            after()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(LOOK)
            look()
    except BaseException:
        left.set()
        raise
    if failed:
        raise failed[0]


def remove_scraps(path: Path) -> None:
    """Remove what writers of a raster have left that were killed; no other may be at work on it."""
    for scrap in path.parent.glob(f"{escape(f'.{path.name}')}.*.partial*"):
        with suppress(OSError):
            scrap.unlink()


class _Statistics:
    """Running minimum, maximum, mean and sd of each band (Chan, Golub & LeVeque 1983)."""

    def __init__(self, bands: int) -> None:
        self.count = np.zeros(bands)
        self.low, self.high = np.full(bands, np.inf), np.full(bands, -np.inf)
        self.mean, self.squares = np.zeros(bands), np.zeros(bands)

    def add(self, band: int, values: NDArray[np.float64]) -> None:
        """Take in finite values."""
        if not values.size:
            return
        before, total = self.count[band], self.count[band] + values.size
        step = values.mean() - self.mean[band]
        self.squares[band] += np.square(values - values.mean()).sum() + step**2 * before * values.size / total
        self.mean[band] += step * values.size / total
        self.low[band] = min(self.low[band], values.min())
        self.high[band] = max(self.high[band], values.max())
        self.count[band] = total

    def tags(self, band: int) -> dict[str, str]:
        """Return GDAL's names and values; none for an empty band."""
        if not self.count[band]:
            return {}
        sd = np.sqrt(self.squares[band] / self.count[band])
        values = {"MINIMUM": self.low, "MAXIMUM": self.high, "MEAN": self.mean}
        tags = {f"STATISTICS_{key}": repr(float(value[band])) for key, value in values.items()}
        return tags | {"STATISTICS_STDDEV": repr(float(sd))}
