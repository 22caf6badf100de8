"""Covariates that a formula names and the data do not hold, filled in at the sites."""

from typing import Any

import numpy as np
import pandas as pd

from geospde.errors import InputError
from geospde.formula.formula import parse_formula
from geospde.formula.table import coordinates
from geospde.survey.covariates.sites import Sampled, sample_sites
from geospde.terms.registry import special_names


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
    if not covariates:
        if covariates is not None and not isinstance(covariates, dict | tuple):
            raise InputError(f"covariates are given by name, as in {{'elev': 'elevation.tif'}}, not as {covariates!r}")
        return Sampled(data, np.ones(len(data) if hasattr(data, "__len__") else 0, dtype=bool), None)
    if not isinstance(data, pd.DataFrame) or not len(data):
        return Sampled(data, np.ones(0, dtype=bool), None)  # for build_model to say what is wrong
    used = parse_formula(formula, special_names()).columns
    points, crs = coordinates(data, coords)
    return sample_sites(covariates, data, points if places is None else places, crs, used)
