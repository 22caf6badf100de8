"""What one prediction is above another, cell by cell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from geospde.errors import InputError
from geospde.prediction.grid import Grid
from geospde.prediction.layers import Layers

COLUMNS = ("mean", "sd")


class Difference(Layers):
    """A prediction less another on the same grid: ``x``, ``y``, ``mean``, ``sd``; made by `difference`."""

    def to_raster(self, path: str | Path, *, crop: Any = None) -> None:
        """Write a GeoTIFF with bands ``mean_difference`` and ``sd_difference``."""
        from geospde.export.raster import write_raster

        columns = self.frame.drop(columns=["x", "y"]).add_suffix("_difference")
        write_raster(path, self.grid, columns, crs=self.crs, crop=crop)


def difference(prediction: Any, other: Any) -> Difference:
    """Return a prediction less another.

    Parameters
    ----------
    prediction, other : Prediction or StoredPrediction
        Of the same quantity in the same cells.

    Raises
    ------
    InputError
        If they are not.
    """
    a, b = prediction.grid, other.grid
    if a is None or b is None:
        raise InputError("only predictions on a Grid have a difference map")
    if prediction.label != other.label:
        raise InputError(f"one prediction is of {prediction.label} and the other of {other.label}")
    if not same_cells(a, b):
        raise InputError(f"the predictions are on different grids, {a!r} and {b!r}")
    frame, less = prediction.to_frame(), other.to_frame()
    columns = {name: frame[name] - less[name] for name in COLUMNS}
    return Difference(a, prediction.label, pd.DataFrame({"x": frame["x"], "y": frame["y"], **columns}))


def same_cells(a: Grid, b: Grid) -> bool:
    """Tell whether two grids predict the same cells; corners may differ by what a file's digits lose."""
    if a.shape != b.shape or not np.array_equal(a.mask, b.mask):
        return False
    if a.crs is not None and b.crs is not None and a.crs != b.crs:
        return False
    apart = np.abs(np.subtract(a.bounds, b.bounds)).max()
    return bool(apart <= 1e-3 * min(a.dx, a.dy))
