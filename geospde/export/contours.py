"""Contour lines of a prediction, as lines for a GIS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from matplotlib.ticker import MaxNLocator

from geospde.errors import InputError
from geospde.plots.scale import Scale
from geospde.prediction.layers import Layers
from geospde.survey.polygons import as_region

if TYPE_CHECKING:
    import geopandas as gpd
    from numpy.typing import ArrayLike, NDArray


_ABOUT = 10
"""Most levels where the user names none."""


def contour_lines(
    prediction: Layers, column: str = "mean", *, levels: Sequence[float] | None = None, within: Any = None
) -> gpd.GeoDataFrame:
    """Trace the contour lines of one column of a prediction.

    Values are linear between the centres of cells, and lines end where a cell was not predicted.

    Parameters
    ----------
    prediction : Layers
        On a Grid, such as a `Prediction`.
    column : str
        Name of the layer.
    levels : sequence of float, optional
        Values to trace; by default `round_levels`.
    within : polygons, optional
        Cut the lines at this land's edge.

    Returns
    -------
    GeoDataFrame
        One row per line, in order of ``level``; none where no level is met.

    Raises
    ------
    InputError
        If the prediction is not on a grid or has no such column, or a level is not finite.

    Examples
    --------
    >>> import geospde as gs
    >>> survey = gs.load_dataset("rongelap")
    >>> mesh = gs.build_mesh(survey.coastline, max_edge=(300, 600), offset=600)
    >>> fit = gs.fit("counts ~ 1 + spde(mesh)", survey.points, mesh=mesh, family="poisson", exposure="time")
    >>> lines = fit.predict(gs.Grid.around(survey.coastline, cell=100)).contours(levels=[5, 10])
    >>> sorted(set(lines["level"]))
    [5.0, 10.0]
    """
    import geopandas as gpd
    from contourpy import contour_generator

    grid = prediction.grid
    if grid is None:
        raise InputError("contours need a prediction on a Grid: predict(gs.Grid.around(...))")
    values = prediction.values(column)
    wanted = round_levels(values) if levels is None else np.unique(np.asarray(levels, dtype=float))
    if not np.isfinite(wanted).all():
        raise InputError(f"the levels of contours must be finite numbers, not {list(levels or ())}")
    lines: list[Any] = []
    at: list[float] = []
    if min(grid.shape) > 1:
        x = grid.x0 + grid.dx * (np.arange(grid.cols) + 0.5)
        y = grid.y0 + grid.dy * (np.arange(grid.rows) + 0.5)
        tracer = contour_generator(x, y, np.ma.masked_invalid(grid.to_array(values)[::-1]), corner_mask=True)
        region = None if within is None else as_region(within, "the land to cut contours at")
        for level in wanted:
            traced = [shapely.LineString(line) for line in tracer.lines(level)]
            traced = traced if region is None else _parts(shapely.intersection(traced, region))
            lines += traced
            at += [float(level)] * len(traced)
    return gpd.GeoDataFrame({"level": np.array(at, dtype=float)}, geometry=lines, crs=prediction.crs)


def round_levels(values: ArrayLike) -> NDArray[np.float64]:
    """Return about ten round numbers between the least of some values and the upper end of their colours.

    Examples
    --------
    >>> round_levels([2.13, 11.7])
    array([ 3.,  4.,  5.,  6.,  7.,  8.,  9., 10., 11.])
    """
    finite = np.asarray(values, dtype=float)
    finite = finite[np.isfinite(finite)]
    if not finite.size or finite.min() == finite.max():
        return np.array([])
    low, high = float(finite.min()), Scale.over([finite]).high
    ticks = np.asarray(MaxNLocator(_ABOUT, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high))
    return ticks[(low < ticks) & (ticks < high)]


def _parts(shapes: Any) -> list[Any]:
    """Return the lines that a cut leaves; a line that touches the edge leaves a point, too."""
    parts = shapely.get_parts(shapely.get_parts(shapes))
    return list(parts[shapely.get_type_id(parts) == shapely.GeometryType.LINESTRING])
