"""Columns of values in the cells of a grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from geospde.prediction.grid import Grid

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray



@dataclass(frozen=True)
class Layers:
    """Columns of values in the cells of a grid, which maps draw and rasters hold.

    Attributes
    ----------
    grid : Grid
    label : str
        What they are of, such as ``"counts / time"``.
    frame : DataFrame
        A row a cell: ``x``, ``y``, and the values.
    """

    grid: Grid
    label: str
    frame: pd.DataFrame

    def to_frame(self) -> pd.DataFrame:
        """A row a cell, as `frame`."""
        return self.frame.copy()

    @property
    def points(self) -> NDArray[np.float64]:
        """Centres of the cells, (m, 2)."""
        return self.grid.centres

    @property
    def crs(self) -> Any:
        """Coordinate reference system of the grid."""
        return self.grid.crs
