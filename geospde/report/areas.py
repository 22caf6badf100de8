"""Figures of areas as cells, for the report's interactive map: each has those of the area that its centre lies in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import shapely

from geospde.prediction.grid import Grid
from geospde.prediction.layers import Layers

ACROSS = 250
"""Cells along the longer side."""


def areas_on_a_grid(figures: Any, label: str) -> Layers | None:
    """Return the figures of areas as layers on a grid; None where an area has several, such as of years.

    Parameters
    ----------
    figures : object
        With ``frame``, a GeoDataFrame that has a column ``area``, and ``layers``.
    label : str
        What they are of, as a prediction calls it.
    """
    frame = figures.frame
    if not frame["area"].is_unique:
        return None
    west, south, east, north = frame.total_bounds
    grid = Grid.from_bounds((west, south, east, north), cell=max(east - west, north - south) / ACROSS, crs=frame.crs)
    found = np.full(grid.n, -1)
    cell, area = shapely.STRtree(frame.geometry.array).query(shapely.points(grid.centres), predicate="intersects")
    found[cell] = area
    # cells along a border whose centre is in no area are of the nearest one that they touch: the map cuts them there
    rest = np.flatnonzero(found < 0)
    near = shapely.STRtree(frame.geometry.array).query_nearest(
        shapely.points(grid.centres[rest]), max_distance=0.71 * max(grid.dx, grid.dy), all_matches=False
    )
    found[rest[near[0]]] = near[1]
    inside = found >= 0
    if not inside.any():  # all are narrower than a cell
        return None
    layers = tuple(layer for layer in figures.layers if layer.name in frame.columns)
    rows = frame.iloc[found[inside]]
    values = {layer.name: rows[layer.name].to_numpy(dtype=float) for layer in layers}
    within = replace(grid, mask=inside.reshape(grid.mask.shape))
    x, y = within.centres.T
    return Layers(label, pd.DataFrame({"x": x, "y": y, **values}), layers, within)
