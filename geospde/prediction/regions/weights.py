"""What the cells of a map weigh: their area, a population, or what the caller says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.prediction.grid import Grid
from geospde.survey.covariates.raster import Raster
from geospde.survey.covariates.reading import read_covariates
from geospde.text.findings import Finding
from geospde.text.systems import crs_name
from geospde.text.words import coordinate, counted, number

Vector = NDArray[np.float64]


def _reach(raster: Any, grid: Grid) -> str:
    """Where weights and map lie, for one who has to see why they do not meet."""
    if raster is None:
        return "give weights above zero"
    xmin, ymin, xmax, ymax = map(coordinate, grid.bounds)
    crs = "" if raster.pixels.frame.crs is None else f" in {crs_name(raster.pixels.frame.crs)}"
    return f"it lies at {raster.pixels.frame.words}{crs}, the map at x {xmin} to {xmax}, y {ymin} to {ymax}"


def cell_weights(weights: Any, grid: Grid, crs: Any) -> tuple[Vector, str, tuple[Finding, ...]]:
    """What each predicted cell weighs.

    Parameters
    ----------
    weights : None, raster or (grid.n,) array
        By default the cell's area. Of a raster (a path, a dataset, a DataArray, or a table of keys), such as counts of
        people, a cell takes the sum over it: raster cells at its edge are divided by area. No value counts as zero.
    grid : Grid
    crs : pyproj.CRS or None

    Returns
    -------
    weights : (grid.n,) array
    what : str
        What they are, for a reader.
    findings : tuple of Finding

    Raises
    ------
    InputError
        For weights that cannot be read, or are all zero.
    """
    raster = None
    if weights is None:
        return np.full(grid.n, grid.dx * grid.dy), "area", ()
    if isinstance(weights, str | Path | dict) or hasattr(weights, "transform") or hasattr(weights, "dims"):
        raster = read_covariates({"weights": weights})[0]
        if not isinstance(raster, Raster):
            raise InputError("weights are a raster, such as counts of people, or one number per cell")
        values, what = raster.totals_in_cells(grid.cells, crs), raster.source
    else:
        try:
            values, what = np.asarray(weights, dtype=float), "the weights given"
        except (TypeError, ValueError):
            raise InputError(f"weights must be a raster or one number per cell, not {type(weights).__name__}") from None
        if values.shape != (grid.n,):
            raise InputError(f"the grid has {grid.n:,} predicted cells, but the weights are {values.shape}")
        if not np.isfinite(values).all():
            raise InputError("the weights of cells must be finite numbers")
    findings = []
    if (values < 0).any():
        some, least = counted(int((values < 0).sum()), "cell"), number(float(values.min()))
        said = f"{some} weigh less than nothing, down to {least}, by {what}; they count as zero"
        findings.append(Finding("warning", "weights", said, "correct the weights"))
        values = np.maximum(values, 0.0)
    if not (values > 0).any():
        if findings:
            raise InputError(f"no cell of the map weighs more than nothing: {findings[0].message}")
        raise InputError(f"{what} weighs nothing in every cell of the map", remedy=_reach(raster, grid))
    return values, what, tuple(findings)
