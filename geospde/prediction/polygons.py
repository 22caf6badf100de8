"""Predictions for polygons of a model in space: means or totals over them, as rows of areas are fitted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError, RowsCalled
from geospde.model.build import Model
from geospde.model.support import Aggregate, Support, read_support
from geospde.results.base import Fit
from geospde.results.bayesian import BayesianFit

Vector = NDArray[np.float64]


def support_of_places(model: Model, where: Any) -> Support | None:
    """The places within polygons that a model in space is asked for; None where it is asked for something else.

    Means, unless the model's own rows are totals.

    Raises
    ------
    InputError
        Where its rows were weighed by a raster, for polygons beyond the mesh, or where a covariate has no value.
    """
    shapes = getattr(where, "geometry", None) if isinstance(where, pd.DataFrame) else None
    if shapes is None or not hasattr(shapes, "geom_type"):
        return None
    polygons = len(shapes) > 0 and shapes.geom_type.isin(["Polygon", "MultiPolygon"]).all()
    own = model.support
    if not polygons or (own is None and not any(term.mesh is not None for term in model.terms)):
        return None
    if model.family.is_pattern:
        raise InputError(
            "a point pattern is of places, and polygons have numbers of points",
            remedy="see geospde.expected_numbers(fit, polygons)",
        )
    if own is not None and own.is_weighed:
        raise InputError(
            "the rows of this fit were weighed by a raster, which polygons to predict do not have",
            remedy="see fit.fitted for its own rows, or fit.predict_regions(areas, weights=raster)",
        )
    kind = "mean" if own is None else own.kind
    given = where.reset_index(drop=True)
    with RowsCalled(where.index):
        support = read_support(kind, "~ 1", given, model.family, mesh=model.meshes or None)
    covariates = model.covariates
    if covariates is None or set(covariates.names) <= set(support.table.columns):
        return support
    values, usable, _ = covariates.at(support.points, model.crs)
    if not usable.all():
        row = int(support.area_of_place[int(np.argmin(usable))])
        raise InputError("a covariate has no value all over the polygon of {row}", row=where.index[row])
    new = values[[name for name in values.columns if name not in support.table.columns]]
    return support.with_columns(new)


def rows_of_polygons(
    fit: Fit,
    support: Support,
    at: Mapping[str, Any],
    offset_of: Callable[[pd.DataFrame], Vector],
    options: Mapping[str, Any],
) -> tuple[sp.csr_matrix, Vector]:
    """Rows of the design, (m, n), and offset, (m,), of the predictors of polygons.

    With a link that is bent they are of a tangent: at estimates, or averaged over the posterior (`Aggregate`).
    """
    model = fit.model
    table = support.table.assign(**at)
    rows = model.rows(table, support.points, **options)
    if not sp.issparse(rows):
        raise InputError("a term whose rows depend on hyperparameters is predicted at points, not for polygons")
    aggregate = Aggregate(support.weights, sp.csr_matrix(rows), offset_of(table), model.family.link)
    if not isinstance(fit, BayesianFit):
        return aggregate.tangent(fit.point.x)
    centre = fit.point.mean
    if not model.family.link.is_linear:
        aggregate = aggregate.averaged(centre, lambda rows: fit.mixture(rows).sd ** 2)
    return aggregate.tangent(centre)
