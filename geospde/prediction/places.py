"""Where to predict: places and their covariates, read from what a user gives."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from geospde.errors import InputError
from geospde.formula.table import coordinates
from geospde.model.build import Model
from geospde.model.hyperparameters import theta_slices, whole_theta
from geospde.model.support import Support
from geospde.prediction.grid import Grid
from geospde.prediction.polygons import support_of_places
from geospde.results.base import Fit
from geospde.text.findings import Finding
from geospde.text.systems import crs_names

FILLED = "missing = 'nearest' in its place takes the nearest value"
"""What may be done about places that are left out for want of a covariate."""


class Places(NamedTuple):
    """Where to predict: the cells of a grid, if they are, covariates, places and CRS; of polygons the places within.

    Labels are those of the rows of a table; `lacking` says how many were left out for want of a covariate.
    """

    grid: Grid | None
    table: pd.DataFrame
    points: Any
    crs: Any
    support: Support | None = None
    labels: Any = None
    lacking: str = ""


def places(model: Model, where: Any, is_part: bool = False, polygons: bool = False) -> Places:
    """Read where to predict, and fill in the covariates that the model takes from rasters.

    Parameters
    ----------
    model : Model
    where : Grid, DataFrame, GeoDataFrame or (m, 2) array
    is_part : bool
        Whether it is a part of a map, of which all may be dropped.
    polygons : bool
        Whether polygons will do, as the places within them.

    Returns
    -------
    Places
        Without the cells or rows that miss a covariate and may be dropped; of a part that loses all, the grid is None.

    Raises
    ------
    InputError
        As `predict`.
    """
    grid, table, points, crs = _read_places(model, where)
    labels = where.index if isinstance(where, pd.DataFrame) else table.index
    if crs is not None and model.crs is not None and crs != model.crs:
        own, other = crs_names(model.crs, crs)
        raise InputError(
            f"the model is in {own!r} but the prediction is asked for in {other!r}: bring them to one CRS with to_crs"
        )
    support = support_of_places(model, where) if polygons else None
    if support is not None:
        return Places(None, support.described(table), support.centres, crs, support, labels)
    covariates = model.covariates
    if covariates is None or points is None or set(covariates.names) <= set(table.columns):
        return Places(grid, table, points, crs, labels=labels)
    values, usable, lacking = covariates.at(points, model.crs, None if grid is None else grid.cells, is_part)
    table = table.loc[usable].reset_index(drop=True)
    filled = values[[name for name in values.columns if name not in table.columns]]
    if grid is not None and not usable.all():
        grid = grid.without(~usable) if usable.any() else None
    return Places(grid, pd.concat([table, filled], axis=1), points[usable], crs, None, labels[usable], lacking)


def unmeshed(fit: Fit, model: Model, points: Any) -> list[Finding]:
    """What the terms of a model say of predictions at points, where its mesh is too coarse for them.

    Parameters
    ----------
    fit : Fit
        The whole, or as one of several likelihoods sees it.
    model : Model
        Its own, or that of one of its likelihoods, whose terms alone are asked.
    points : (m, 2) array
    """
    whole: Any = fit.model
    theta = fit.point.theta
    if np.isnan(whole.fixed_theta).sum() != theta.size:  # as one of several likelihoods sees it
        whole = fit.laplace.model
    theta = whole_theta(whole, theta)
    asked = model if any(model is part for part in whole.parts.values()) else whole
    own = [id(term.precision) for term in asked.terms]
    notes = [
        note
        for term, where in zip(whole.terms, theta_slices(whole.terms))
        if id(term.precision) in own
        for note in term.notes_at(points, theta[where])
    ]
    return [Finding("warning", "mesh", note) for note in dict.fromkeys(notes)]


def _read_places(model: Model, where: Any) -> tuple[Grid | None, pd.DataFrame, Any, Any]:
    """Grid, table, points and CRS of `where`."""
    if isinstance(where, Grid):
        return where, pd.DataFrame(index=range(where.n)), where.centres, where.crs
    if isinstance(where, pd.DataFrame):
        coords = model.coords if model.coords and set(model.coords) <= set(where.columns) else None
        points, crs = coordinates(where, coords)
        crs = getattr(where, "crs", None) if points is None else crs
        table = pd.DataFrame(where.drop(columns="geometry", errors="ignore")).reset_index(drop=True)
    else:
        wanted = "points to predict at are an (m, 2) array of finite coordinates, a table or a Grid"
        try:
            points, crs = np.asarray(where, dtype=float), None
        except (TypeError, ValueError):
            raise InputError(f"{wanted}, not {type(where).__name__}") from None
        if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
            raise InputError(wanted)
        table = pd.DataFrame(index=range(len(points)))
    if len(table) == 0:
        raise InputError("there is no place to predict at: the table is empty")
    return None, table, points, crs
