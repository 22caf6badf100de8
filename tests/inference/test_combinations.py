"""Variances of rows that the pattern of H does not cover, against a solve for each."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import shapely

import geospde as gs
from geospde.inference.combinations import UncoveredPairs, mixture_of, row_variances


@pytest.mark.parametrize("formula", ["n ~ year + (1 | g) + spde(mesh)", "n ~ year + (w | g) + spde(mesh, constr=True)"])
@pytest.mark.parametrize("groups", [1, 20], ids=["one group", "all groups"])
def test_places_with_groups_that_were_not_seen_there_have_the_variances_of_solves(formula, groups):
    rng = np.random.default_rng(2)
    data = pd.DataFrame(rng.uniform(0, 10, (60, 2)), columns=["x", "y"])
    data["year"], data["g"] = 2000.0 + rng.integers(0, 9, 60), rng.integers(0, 20, 60)
    data["w"], data["n"] = rng.normal(size=60), rng.poisson(3, 60)
    mesh = gs.build_mesh(shapely.box(0, 0, 10, 10), max_edge=(1.5, 3), offset=2)
    fit = gs.fit(formula, data, mesh=mesh, coords=("x", "y"), family="poisson", method="eb")
    new = pd.DataFrame(rng.uniform(0, 10, (300, 2)), columns=["x", "y"])
    new["year"], new["g"], new["w"] = 2004.0, data["g"].iloc[0], rng.normal(size=300)
    if groups > 1:
        new["g"] = rng.choice(data["g"].unique(), 300)
    new.loc[:9, "w"] = 0.0
    rows, laplace = fit.model.rows(new, new[["x", "y"]].to_numpy()), fit.laplace
    point = laplace.at(fit.posterior.mode.theta)  # whose covariance is of its last step, not of the one before
    inside = laplace.quadratic_map(rows)[1]
    assert inside.mean() < 0.5
    # so many solves, not one a row
    assert UncoveredPairs.of(laplace, rows[~inside]).cover.size < 0.2 * (~inside).sum()
    found = mixture_of(laplace, SimpleNamespace(points=[point], weights=np.ones(1)), rows).sds[0] ** 2
    np.testing.assert_allclose(found, row_variances(laplace, point, rows), rtol=1e-9)
