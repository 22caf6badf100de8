"""What one prediction is above another, cell by cell."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from geospde.errors import InputError
from geospde.prediction.grid import Grid
from geospde.prediction.layer import difference_layer
from geospde.prediction.layers import Layers

LAYERS = (
    difference_layer("mean", "means"),
    difference_layer("sd", "standard deviations"),
)
COLUMNS = tuple(layer.name for layer in LAYERS)


@dataclass(frozen=True, eq=False, repr=False)
class Difference(Layers):
    """A prediction less another on the same grid: ``x``, ``y``, ``mean``, ``sd``; made by `difference`."""

    contents: str = "Difference"

    def to_raster(self, path: str | Path, *, crop: Any = None, cog: bool = False) -> None:
        """Write a GeoTIFF with bands ``mean_difference`` and ``sd_difference``; else as `Layers.to_raster`."""
        from geospde.export.raster import write_layers_raster

        bands = {layer.name: f"{layer.name}_difference" for layer in self.layers}
        layers = tuple(replace(layer, name=bands[layer.name]) for layer in self.layers)
        named = Layers(self.label, self.frame.rename(columns=bands), layers, self.grid, crs=self.crs)
        write_layers_raster(path, named, crop=crop, cog=cog)


def difference(prediction: Layers, other: Layers) -> Difference:
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
    columns = {name: prediction.values(name) - other.values(name) for name in COLUMNS}
    frame = pd.DataFrame({"x": prediction.frame["x"], "y": prediction.frame["y"], **columns})
    return Difference(prediction.label, frame, LAYERS, a)


def same_cells(a: Grid, b: Grid) -> bool:
    """Tell whether two grids predict the same cells; corners may differ by what a file's digits lose."""
    if a.shape != b.shape or not np.array_equal(a.mask, b.mask):
        return False
    if a.crs is not None and b.crs is not None and a.crs != b.crs:
        return False
    apart = np.abs(np.subtract(a.bounds, b.bounds)).max()
    return bool(apart <= 1e-3 * min(a.dx, a.dy))
