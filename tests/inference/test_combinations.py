"""Linear combinations of many kinds: beyond the pattern of H, of many entries, of areas, against a solve for each."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import shapely

import geospde as gs
from geospde.inference import combinations
from geospde.inference.combinations import UncoveredPairs, mixture_of, row_variances
from geospde.inference.laplace import Laplace
from geospde.inference.mixture import GaussianMixture
from geospde.prediction.regions.blocks import sums_of_pairs


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


def test_rows_of_many_entries_are_taken_in_parts(monkeypatch):
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"x": rng.uniform(0, 1, 80), "g": rng.integers(0, 6, 80), "n": rng.poisson(3, 80)})
    fit = gs.fit("n ~ s(x) + (1 | g)", data, family="poisson", method="eb")
    new = pd.DataFrame({"x": rng.uniform(0, 1, 200), "g": rng.integers(0, 6, 200)})
    whole = fit.predict(new).to_frame()
    parts = []
    monkeypatch.setattr(combinations, "PAIRS", 1000)
    joined = GaussianMixture.joined
    monkeypatch.setattr(GaussianMixture, "joined", lambda each: parts.append(len(each)) or joined(each))
    pd.testing.assert_frame_equal(fit.predict(new).to_frame(), whole, rtol=1e-12)
    assert max(parts) > 5


def test_a_map_of_a_gaussian_process_holds_no_pairs_of_sites(monkeypatch):
    """A row has an entry a site: 10,000 cells of 1,000 sites asked for 37 GB."""
    rng = np.random.default_rng(6)
    data = pd.DataFrame({"x": rng.uniform(0, 9, 40), "y": rng.uniform(0, 9, 40), "n": rng.poisson(3, 40)})
    fit = gs.fit("n ~ 1 + gp(x, y)", data, family="poisson", method="eb")
    places = pd.DataFrame(rng.uniform(0, 9, (300, 2)), columns=["x", "y"])

    def held(*_):
        raise AssertionError("pairs of all sites in each row")

    expected = fit.predict(places).to_frame()
    monkeypatch.setattr(Laplace, "quadratic_map", held)
    pd.testing.assert_frame_equal(fit.predict(places).to_frame(), expected)


def test_areas_take_the_solves_of_corners_where_blocks_are_many():
    rng = np.random.default_rng(7)
    data = pd.DataFrame(rng.uniform(0, 10, (60, 2)), columns=["x", "y"])
    data["n"] = rng.poisson(3, 60)
    mesh = gs.build_mesh(shapely.box(0, 0, 10, 10), max_edge=(2, 4), offset=2)
    fit = gs.fit("n ~ 1 + spde(mesh)", data, mesh=mesh, coords=("x", "y"), family="poisson", method="eb")
    places, point = rng.uniform(0, 10, (300, 2)), fit.posterior.mode
    rows, area = fit.model.rows(pd.DataFrame(places, columns=["x", "y"]), places), np.repeat([0, 1, 2], 100)
    found = sums_of_pairs(fit.laplace, point, [rows], area, 3, lambda some, covariances: covariances[0].sum())
    whole = rows @ fit.laplace.solve(point, rows.T.toarray())
    expected = [whole[area == k][:, area == k].sum() for k in range(3)]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    few = sums_of_pairs(fit.laplace, point, [rows[:4]], area[:4], 1, lambda some, covariances: covariances[0].sum())
    assert few[0] == pytest.approx(whole[:4, :4].sum(), rel=1e-9)  # fewer blocks than corners
