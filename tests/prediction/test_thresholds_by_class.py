"""Limits by class of land: against dense normal probabilities, against one limit, in a run, and asked for wrongly."""

import json

import numpy as np
import pandas as pd
import pytest
import rasterio
from affine import Affine
from oracles import square_mesh
from scipy.stats import multivariate_normal, norm
from small_run import quietly_in, write_survey

import geospde as gs
from geospde.cli.commands import main


@pytest.fixture(scope="module")
def fit():
    """A field with everything but itself known: its posterior is one Gaussian."""
    rng = np.random.default_rng(5)
    table = pd.DataFrame(rng.uniform(0, 1, (30, 2)), columns=["e", "n"])
    table["y"] = 0.3 + np.sin(5 * table["e"]) + 0.3 * rng.standard_normal(30)
    held = {"range(spde)": 0.5, "sigma(spde)": 1.0, "sigma": 0.3}
    priors = {name: {"fixed": value} for name, value in held.items()}
    return gs.fit("y ~ 1 + spde(mesh)", table, mesh=square_mesh(8, -0.25, 1.25), coords=("e", "n"), priors=priors)


LIMITS = {"a": -0.2, "b": 0.9}


def test_each_place_has_the_limit_of_its_class(fit):
    points = np.random.default_rng(3).uniform(0.05, 0.6, (7, 2))
    classes = np.array(["a", "b", "a", "b", "b", "a", "a"])
    surface = fit.predict(points)
    rows = fit.model.rows(pd.DataFrame(index=range(7)), points).toarray()
    (point,) = fit.posterior.points
    mean, covariance = rows @ point.mean, rows @ fit.laplace.solve(point, rows.T)
    limit = np.array([LIMITS[one] for one in classes])
    z = (mean - limit) / np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(surface.exceedance(LIMITS, classes=classes), norm.cdf(z), atol=1e-6)
    found = surface.excursions(LIMITS, 0.5, "!=", classes=classes, draws=20_000)
    side = np.where(z > 0, 1.0, -1.0)
    order = np.argsort(-np.abs(z))
    for k in range(1, 8):
        own = order[:k]
        inner = np.outer(side[own], side[own]) * covariance[np.ix_(own, own)]
        joint = multivariate_normal.cdf(side[own] * (mean - limit)[own], cov=inner, allow_singular=True, rng=1)
        # four standard errors of 20,000 draws, and the integral's own error
        assert found.function[order[k - 1]] == pytest.approx(joint, abs=0.015)


def test_one_limit_for_all_classes_is_that_limit_and_places_without_are_undecided(fit):
    surface = fit.predict(gs.Grid.from_bounds((0, 0, 1, 1), shape=(12, 12)))
    numbers = np.where(surface.points[:, 0] < 0.5, 1, 2)
    plain = surface.excursions(0.4, 0.8, "!=")
    same = surface.excursions({1: 0.4, 2: 0.4}, 0.8, "!=", classes=numbers)
    np.testing.assert_array_equal(plain.decided, same.decided)
    table = same.to_frame()
    assert table.index.tolist() == ["1", "2"] and table["area"].sum() == pytest.approx(1.0)
    words = ["area_above", "area_undecided", "area_below"]
    np.testing.assert_allclose(table[words].sum(), plain.to_frame()[words].sum())
    with pytest.warns(gs.GeospdeWarning, match=r"50 % of the map, of class '2', has no threshold"):
        part = surface.excursions({1: 0.4}, 0.8, "!=", classes=numbers)
    assert not part.decided[numbers == 2].any() and not part.set[numbers == 2].any()
    assert (
        part.surface.values("decided_classes")[numbers == 2].size
        == np.isnan(part.surface.values("limit_classes")).sum()
    )


@pytest.mark.parametrize(
    ("limits", "options", "sentence"),
    [
        ({"a": 1.0}, {}, "need the classes of the places"),
        ({}, {"classes": ["a"] * 4}, "there are none"),
        ({"a": "high"}, {"classes": ["a"] * 4}, "the threshold of class 'a' must be a finite number"),
        ({"c": 1.0}, {"classes": ["a"] * 4}, "no place of the map is of class 'c' of classes"),
        ({"a": 1.0}, {"classes": ["a"]}, "there are 4 places, but 1 classes"),
        ({"a": 1.0}, {"classes": "land"}, "have no column 'land'"),
        ({"a": 1.0}, {"classes": "land.tif"}, "land.tif"),
        (1.0, {"classes": ["a"] * 4}, "classes go with thresholds by class"),
    ],
)
def test_what_is_no_limit_by_class(fit, limits, options, sentence):
    surface = fit.predict(np.random.default_rng(1).uniform(0.2, 0.6, (4, 2)))
    with pytest.raises(gs.InputError, match=sentence):
        surface.excursions(limits, **options)


@pytest.mark.slow
def test_a_run_decides_by_class(tmp_path, capsys):
    path = write_survey(tmp_path)
    frame = {"driver": "GTiff", "dtype": "uint8", "count": 1, "height": 2, "width": 2}
    with rasterio.open(tmp_path / "land.tif", "w", transform=Affine(520, 0, -20, 0, -520, 1020), **frame) as raster:
        raster.write(np.array([[1, 2], [1, 2]], dtype="uint8"), 1)
    text = path.read_text().replace("cell = 100", "cell = 200")
    asked = '[excursions]\nclasses = "land"\nlimits = { wood = 2, field = 4 }\nlevel = 0.9\ndraws = 400\n'
    labels = 'land = { raster = "land.tif", crs = "local:m", labels = { 1 = "wood", 2 = "field" } }'
    around = 'label = "caught a haul"\ninset = "sea.csv"'
    (tmp_path / "sea.csv").write_text("x,y\n-3000,-3000\n4000,-3000\n4000,4000\n-3000,4000\n")
    path.write_text(f"{text}{around}\n{asked}[covariates]\n{labels}\n")
    with quietly_in(tmp_path):
        assert main(["run", "bay.toml", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert {"figures/decided_land.png", "figures/limit_land.png"} <= set(told["files"])
        cells = pd.read_csv(tmp_path / "out" / "grid.csv")
        assert (cells["limit_land"] == np.where(cells["x"] < 500, 2, 4)).all()
        page = (tmp_path / "out" / "report.html").read_text()
        assert "at once with limits by land: where the limit is 2" in page
        assert main(["report", "bay.toml", "-q"]) == 0
        for faulty, sentence in (
            (asked.replace('"land"', '"lend"'), "'lend' is no covariate, and no file; did you mean 'land'?"),
            (asked.replace("field", "feld"), "no place of the map is of class 'feld' of land: did you mean 'field'?"),
            ('[excursions]\nclasses = "land"\n', "needs both of 'classes' and 'limits'"),
        ):
            path.write_text(f"{text}{faulty}[covariates]\n{labels}\n")
            assert main(["check", "bay.toml"]) == 2
            assert sentence in " ".join(capsys.readouterr().err.split())
