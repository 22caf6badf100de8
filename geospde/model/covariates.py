"""Covariates that a formula names and the data do not hold, filled in at the sites."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from geospde.errors import InputError
from geospde.formula.formula import Formula, TermCall, parse_formula
from geospde.formula.table import coordinates
from geospde.mesh.trimesh import Mesh
from geospde.survey.covariates.sites import Sampled, SiteCovariates, sample_sites
from geospde.terms.registry import special_names
from geospde.text.words import in_brief


def with_covariates(
    formula: str,
    data: Any,
    covariates: Any,
    coords: tuple[str, str] | None = None,
    places: Any = None,
) -> Sampled:
    """Return the data with a column for each covariate that a formula uses.

    Parameters
    ----------
    formula : str
    data : DataFrame
    covariates : mapping, tuple of Covariate, or None
        As `geospde.fit` takes them, or opened.
    coords : (str, str), optional

    Raises
    ------
    InputError
        As `geospde.survey.covariates.sites.sample_sites`.
    """
    if covariates is not None and not isinstance(covariates, Mapping | tuple):
        raise InputError(
            f"covariates are given by name, as in {{'elev': 'elevation.tif'}}, not as {in_brief(covariates)}"
        )
    if not covariates:
        return Sampled(data, np.ones(len(data) if isinstance(data, pd.DataFrame) else 0, dtype=bool), None)
    if not isinstance(data, pd.DataFrame) or not len(data):
        return Sampled(data, np.ones(0, dtype=bool), None)  # for build_model to say what is wrong
    used = parse_formula(formula, special_names()).columns
    points, crs = coordinates(data, coords)
    return sample_sites(covariates, data, points if places is None else places, crs, used)


def on_meshes(meshes: Any, calls: Sequence[TermCall], covariates: SiteCovariates | None, crs: Any) -> Any:
    """The meshes with values of the covariates that options of terms name, as in ``log_range="~ elev"``.

    A vertex beyond a covariate has the nearest value; what a mesh has values of already stays.
    """
    named = {name for call in calls for name in call.quoted}
    if covariates is None or not named & set(covariates.names):
        return meshes
    if isinstance(meshes, dict):
        return {name: on_meshes(mesh, calls, covariates, crs) for name, mesh in meshes.items()}
    if not isinstance(meshes, Mesh):
        return meshes
    new = named - set(meshes.values or {})
    crs = meshes.crs if meshes.crs is not None else crs
    return meshes.with_values(**covariates.nearest_at(meshes.vertices, crs, new)) if new else meshes


def beside_meshes(
    formula: Formula, others: Sequence[str], covariates: SiteCovariates | None, table: pd.DataFrame
) -> SiteCovariates | None:
    """The covariates without those that only options of terms name, and `others` do not: the map needs none of them."""
    if covariates is None:
        return None
    quoted = {name for call in formula.terms for name in call.quoted}
    return covariates.without(quoted - {*formula.explaining, *others}, table)
