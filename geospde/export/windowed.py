"""Rasters of any size: predicted window by window into a GeoTIFF, in memory that does not grow with the raster."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from geospde.errors import GeospdeWarning, InputError, alert
from geospde.export.raster import BLOCK, RasterWriter, meaning_of, remove_scraps
from geospde.linalg.executor import executor
from geospde.prediction.grid import Grid
from geospde.prediction.layer import EXTRAPOLATION
from geospde.prediction.stored import BY_WINDOWS
from geospde.prediction.surface import CHUNK, Predictor
from geospde.prediction.windows import WindowFile, WindowPredictor, predicted, windows
from geospde.results.base import Fit
from geospde.survey.crs import parse_crs, unit_of
from geospde.text.progress import Callback
from geospde.text.words import bytes_of, counted, duration

CACHE = 200_000_000  # bytes that GDAL may keep of the file
SAMPLES = 3  # chunks of cells that an estimate predicts
WRITTEN = 5_000_000  # numbers a second that are put in the cloud-optimised order, with overviews
FILLED = 0.2  # share of the writing that fills the file, before it is put in that order
SOON = 2.0  # seconds after which the time left can be foreseen


@dataclass(frozen=True)
class RasterEstimate:
    """What a raster will cost.

    Attributes
    ----------
    cells : int
        To predict.
    bands : int
    seconds : float
        Of prediction and writing, from a sample of cells on this machine as it is now.
    bytes : int
        Of the file at most, overviews included: compression takes from it what it can.
    disk : int
        Needed on the disk while it is made, the file included.
    """

    cells: int
    bands: int
    seconds: float
    bytes: int
    disk: int

    def __str__(self) -> str:
        return (
            f"{counted(self.cells, 'cell')} with {counted(self.bands, 'band')}: about {duration(self.seconds)}, "
            f"a file of at most {bytes_of(self.bytes)}, {bytes_of(self.disk)} of the disk while it is made"
        )


def predict_raster(
    fit: Fit,
    path: str | Path,
    grid: Grid,
    *,
    quantiles: Sequence[float] = (0.025, 0.5, 0.975),
    exceed: Sequence[float] = (),
    layers: Sequence[str] = (),
    crop: Any = None,
    unfinished: Path | None = None,
    callback: Callback | None = None,
    **options: Any,
) -> Path:
    """Predict the cells of a grid into a cloud-optimised GeoTIFF, window by window.

    Parameters
    ----------
    fit : Fit
    path : str or Path
        A name that ends in ``.tif``; the file appears whole.
    grid : Grid
    quantiles, exceed, options
        As of `geospde.prediction.surface.predict`; ``at``, ``exposure`` and ``offset`` as numbers.
    layers : sequence of str
        Names of computed layers, such as ``"cv"``.
    crop : polygons, optional
        Cells whose centre lies outside become nodata.
    unfinished : Path, optional
        The file that holds finished windows; by default beside the raster, of its name with a dot before and
        ``.windows`` behind.
    callback : callable, optional
        Called as ``callback(done, total, message)`` with numbers of cells after each window.

    Returns
    -------
    Path
        Where the raster is.

    Raises
    ------
    InputError
        As `predict`, and where the file cannot be written or the disk has no room for it.
    NumericalError
        Where the prediction is not finite.

    Notes
    -----
    If it is interrupted, in whatever way, the same call goes on after the last finished window, and the file is the
    same byte for byte. Windows of another fit, grid or wish are not taken, but made anew.
    """
    import rasterio

    path = Path(path)
    predictor = _read_request(fit, grid, quantiles, exceed, layers, options)
    tell = callback or (lambda done, total, message: None)
    names = [layer.name for layer in predictor.layers]
    meanings = {layer.name: meaning_of(layer, predictor.predictor.label) for layer in predictor.layers}
    crs = grid.crs if grid.crs is not None else predictor.predictor.model.crs
    # a frame without a unit of length is more than the cloud-optimised kind can carry
    cog = crs is None or bool(unit_of(parse_crs(crs)))
    cut = windows(grid)
    tags = {BY_WINDOWS: len(cut)}
    writing = _Writing(grid.n, tell)
    writer = RasterWriter(
        path, grid, names, crs=crs, crop=crop, cog=cog, tags=tags, band_tags=meanings, callback=writing.order
    )
    target = unfinished or path.with_name(f".{path.name}.windows")
    identity = predictor.identity(grid, cut)
    with WindowFile(target, identity, cut, len(names)) as file, rasterio.Env(GDAL_CACHEMAX=CACHE):
        remove_scraps(path)
        _refuse_full_disk(path, target, grid, len(names), cog)
        try:
            _predict(predictor, grid, file, tell)
            _warn_of_extrapolation(names, file)
            writing.begin()
            with writer:
                for strip in grid.strips(BLOCK):
                    writer.write(strip, list(file.read(strip.cells).T))
                    writing.fill(strip.cells.stop / grid.n)
        except BaseException as error:
            if file.done:
                error.add_note(f"started again, it goes on after {file.done} of {counted(len(cut), 'window')}")
            raise
    tell(grid.n, grid.n, "writing the file")
    target.unlink(missing_ok=True)
    return path


def estimate_raster(
    fit: Fit,
    grid: Grid,
    *,
    quantiles: Sequence[float] = (0.025, 0.5, 0.975),
    exceed: Sequence[float] = (),
    layers: Sequence[str] = (),
    **options: Any,
) -> RasterEstimate:
    """Say what `predict_raster` would take, from the prediction of a few cells in the middle of the grid."""
    predictor = _read_request(fit, grid, quantiles, exceed, layers, options)
    parts = windows(grid, CHUNK)
    middle = [parts[round(share * (len(parts) - 1))] for share in np.linspace(0.25, 0.75, SAMPLES)]
    predictor(middle[0].of(grid))  # loops are compiled, corrections made ready
    seconds = []
    for window in middle:
        start = time.perf_counter()
        predictor(window.of(grid))
        seconds.append((time.perf_counter() - start) / window.size)
    bands = len(predictor.layers)
    total = float(np.median(seconds)) * grid.n + _writing(grid, bands)
    size = _bytes(grid, bands)
    return RasterEstimate(grid.n, bands, total, size, 4 * bands * grid.n + 2 * size)


def _read_request(
    fit: Fit, grid: Any, quantiles: Sequence[float], exceed: Sequence[float], layers: Sequence[str], options: Any
) -> WindowPredictor:
    """Read what is to be predicted; raises InputError for what has one value per cell."""
    if not isinstance(grid, Grid):
        raise InputError(f"a raster is predicted on a gs.Grid, not on a {type(grid).__name__}")
    for name in ("exposure", "offset"):
        if options.get(name) is not None and np.ndim(options[name]):
            raise InputError(f"{name} of a raster is one number for all cells: predict(grid) takes one a cell")
    return WindowPredictor(Predictor(fit, quantiles=quantiles, exceed=exceed, **options), tuple(layers))


def _predict(predictor: WindowPredictor, grid: Grid, file: WindowFile, tell: Callable[[int, int, str], None]) -> None:
    """Predict the windows that are not finished yet."""
    start, done = time.perf_counter(), grid.n - sum(window.size for window in file.to_do)
    before, to_do = done, list(file.to_do)
    parts = (window.of(grid) for window in to_do)
    tell(done, grid.n, "prediction")
    for window, values in zip(to_do, executor().map(predicted, parts, predictor)):
        file.append(values)
        done += window.size
        left = (time.perf_counter() - start) * (grid.n - done) / (done - before)
        tell(done, grid.n, f"prediction, about {duration(left)} left" if done < grid.n else "prediction")


class _Writing:
    """Tells how far the writing of a file is, in cells: first they are put in, then in order."""

    def __init__(self, cells: int, tell: Callable[[int, int, str], None]) -> None:
        self._cells, self._tell, self._start = cells, tell, time.perf_counter()

    def begin(self) -> None:
        """Begin."""
        self._start = time.perf_counter()
        self._tell(0, self._cells, "writing the file")

    def fill(self, share: float) -> None:
        """Hear what share of the cells is in the file."""
        self._hear(FILLED * share)

    def order(self, share: float) -> None:
        """Hear what share of the file is in order."""
        self._hear(FILLED + (1 - FILLED) * share)

    def _hear(self, share: float) -> None:
        seconds = time.perf_counter() - self._start
        left = f", about {duration(seconds * (1 - share) / share)} left" if seconds > SOON and share else ""
        self._tell(min(int(self._cells * share), self._cells), self._cells, f"writing the file{left}")


def _warn_of_extrapolation(names: Sequence[str], file: WindowFile) -> None:
    """Warn of cells beyond the covariates of the sites."""
    if EXTRAPOLATION not in names:
        return
    far = sum(int((values[:, names.index(EXTRAPOLATION)] > 0).sum()) for values in file.each())
    if far:
        cells = counted(far, "cell")
        said = f"{cells} of the map lie beyond the covariates of the sites"
        alert(GeospdeWarning(said, remedy="trust the map less there", subject=EXTRAPOLATION))


def _writing(grid: Grid, bands: int) -> float:
    """Seconds that it takes to put the numbers in their order, about."""
    return bands * grid.rows * grid.cols / WRITTEN


def _bytes(grid: Grid, bands: int) -> int:
    """Bytes of the raster without compression, with overviews, which add a third."""
    return 4 * bands * grid.rows * grid.cols * 4 // 3


def _refuse_full_disk(path: Path, target: Path, grid: Grid, bands: int, cog: bool) -> None:
    """Raise before the work if finished windows, the file and the one that it is made from do not fit on the disk."""
    need = 4 * bands * grid.n - target.stat().st_size + (2 if cog else 1) * _bytes(grid, bands)
    free = shutil.disk_usage(target.parent).free
    if need > free:
        raise InputError(
            f"the raster {path.name} needs up to {bytes_of(need)} of the disk while it is made, and {bytes_of(free)} "
            "are free: use larger cells, fewer columns or another disk"
        )
