"""A prediction as it stands in a run's folder: read again, without the fit behind it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from geospde.errors import InputError
from geospde.prediction.grid import Grid
from geospde.prediction.layer import PLACES, Layer
from geospde.prediction.layers import Layers
from geospde.text.offline import open_raster

if TYPE_CHECKING:
    from numpy.typing import NDArray

TABLE, RASTER = "grid.csv", "prediction.tif"

OVERVIEW = 500_000  # cells that a raster made by windows is drawn from

BY_WINDOWS = "GEOSPDE_WINDOWS"
"""Tag of a raster that was made window by window: how many."""

LAYER_TAG = "GEOSPDE_LAYER"
"""Tag of a raster's band with the whole of its `Layer`."""


@dataclass(frozen=True, eq=False, repr=False)
class StoredPrediction(Layers):
    """Posterior of the mean per unit exposure in the cells of a grid, as `Prediction`, to be drawn and written."""


def read_prediction(folder: Path, label: str, grid: Grid | None = None, crs: Any = None) -> StoredPrediction:
    """Read the prediction in a run's folder.

    Parameters
    ----------
    folder : pathlib.Path
        With ``grid.csv``, and ``prediction.tif``, whose bands say what the columns mean.
    label : str
        What is predicted.
    grid : Grid, optional
        By default the raster's.
    crs : optional
        Of that grid.

    Raises
    ------
    InputError
        If a file is not there, cannot be read, or does not hold the grid's cells.
    """
    path = folder / TABLE
    try:
        frame = pd.read_csv(path)
        places = frame[["x", "y"]].to_numpy(dtype=float)
        if not np.isfinite(places).all():
            raise ValueError("a cell has no place")
    except FileNotFoundError:
        if _is_by_windows(folder / RASTER):
            return read_overview(folder / RASTER, label, grid.crs if grid is not None else crs)
        raise InputError(f"{folder} holds no {TABLE}: the prediction is missing") from None
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"{path} is not a table of predicted cells: {error}") from None
    if grid is None:
        grid = _grid_of(folder / RASTER, places, crs)
    centres = grid.centres
    # a raster keeps its corner in the north, and half a cell tells any two cells apart
    if centres.shape != places.shape or (np.abs(centres - places) > 1e-3 * np.array([grid.dx, grid.dy])).any():
        raise InputError(f"{path} does not hold the cells of the grid: predict again")
    known = _layers_of(folder / RASTER)
    columns = list(frame.columns.drop(list(PLACES)))
    unknown = [name for name in columns if name not in known]
    if unknown:
        raise InputError(f"{folder / RASTER} does not say what the column {unknown[0]!r} of {TABLE} is: predict again")
    return StoredPrediction(label, frame, tuple(known[name] for name in columns), grid)


def read_overview(path: Path, label: str, crs: Any = None, cells: int = OVERVIEW) -> StoredPrediction:
    """Read a raster in cells so large that they are at most so many: averages of its own.

    Raises
    ------
    InputError
        If it cannot be read, or its bands do not say what they are.
    """
    import rasterio

    known = _layers_of(path)
    try:
        with open_raster(path) as raster:
            by = max(math.sqrt(raster.height * raster.width / cells), 1.0)
            shape = math.ceil(raster.height / by), math.ceil(raster.width / by)
            values = raster.read(out_shape=(raster.count, *shape), resampling=rasterio.enums.Resampling.average)
            west, south, east, north = raster.bounds
    except rasterio.errors.RasterioIOError as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    if len(known) != len(values):
        raise InputError(f"{path} does not say what its bands are: predict again")
    values = values[:, ::-1].astype(float)
    mask = np.isfinite(values).any(axis=0)
    grid = Grid(west, south, (east - west) / shape[1], (north - south) / shape[0], mask, crs)
    frame = pd.DataFrame(dict(zip(PLACES, grid.centres.T)) | {name: v[mask] for name, v in zip(known, values)})
    return StoredPrediction(label, frame, tuple(known.values()), grid)


def is_there(folder: Path) -> bool:
    """Tell whether a run's folder holds a prediction."""
    return (folder / TABLE).exists() or _is_by_windows(folder / RASTER)


def _is_by_windows(path: Path) -> bool:
    """Tell whether a raster was made window by window, and has no table beside it."""
    if not path.is_file():
        return False
    with open_raster(path) as raster:
        return BY_WINDOWS in raster.tags()


def _layers_of(path: Path) -> dict[str, Layer]:
    """Return the layers that a raster's bands are of, by name."""
    import rasterio

    try:
        with open_raster(path) as raster:
            texts = [raster.tags(band).get(LAYER_TAG) for band in raster.indexes]
    except rasterio.errors.RasterioIOError as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    layers = [Layer.from_json(text) for text in texts if text is not None]
    return {layer.name: layer for layer in layers}


def _grid_of(path: Path, places: NDArray[np.float64], crs: Any) -> Grid:
    """Return the grid of a raster's cells, those predicted that have their centre among `places`."""
    import rasterio

    try:
        with open_raster(path) as raster:
            shape, place = raster.shape, raster.transform
    except rasterio.errors.RasterioIOError as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    x0, y0, dx, dy = place.c, place.f + shape[0] * place.e, place.a, -place.e
    mask = np.zeros(shape, dtype=bool)
    cols, rows = np.floor((places - [x0, y0]) / [dx, dy]).astype(int).T
    within = (rows >= 0) & (rows < shape[0]) & (cols >= 0) & (cols < shape[1])
    mask[rows[within], cols[within]] = True
    return Grid(x0, y0, dx, dy, mask, crs)
