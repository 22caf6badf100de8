"""Excursion sets against dense normal probabilities, against the posterior's own draws, and asked for wrongly."""

import json

import numpy as np
import pandas as pd
import pytest
import rasterio
from oracles import square_mesh
from scipy.stats import multivariate_normal
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
    mesh = square_mesh(8, -0.25, 1.25)
    return gs.fit("y ~ 1 + spde(mesh)", table, mesh=mesh, coords=("e", "n"), priors=priors)


@pytest.fixture(scope="module")
def surface(fit):
    return fit.predict(gs.Grid.from_bounds((0, 0, 1, 1), shape=(20, 20)))


def moments(fit, points):
    """Mean and covariance of the predictor, by solves."""
    rows = fit.model.rows(pd.DataFrame(index=range(len(points))), points).toarray()
    (point,) = fit.posterior.points
    return rows @ point.mean, rows @ fit.laplace.solve(point, rows.T)


@pytest.mark.parametrize("kind", [">", "<", "!=", "="])
def test_the_function_is_the_joint_normal_probability(fit, kind):
    points = np.random.default_rng(3).uniform(0.05, 0.6, (7, 2))
    mean, covariance = moments(fit, points)
    found = fit.predict(points).excursions(0.4, 0.5, kind, draws=20_000)
    z = (mean - 0.4) / np.sqrt(np.diag(covariance))
    side = {">": 1.0, "<": -1.0}.get(kind, np.where(z > 0, 1.0, -1.0)) * np.ones(7)
    order = np.argsort(-(side * z))
    for k in range(1, 8):
        own = order[:k]
        signs = side[own]
        inner = np.outer(signs, signs) * covariance[np.ix_(own, own)]
        joint = multivariate_normal.cdf(signs * (mean[own] - 0.4), cov=inner, allow_singular=True, rng=1)
        value = found.function[order[k - 1]]
        # four standard errors of 20,000 draws, and the integral's own error
        assert (1 - value if kind == "=" else value) == pytest.approx(joint, abs=0.015)


def test_all_of_the_set_is_above_as_often_as_it_says(fit, surface):
    found = surface.excursions(0.4, level=0.9, draws=4000)
    latent = fit.sample(4000, seed=99)[[*fit.model.latent_names, *fit.model.effects.names]].to_numpy()
    rows = fit.model.rows(pd.DataFrame(index=range(surface.grid.n)), surface.grid.centres)
    values = rows @ latent.T

    def at_once(places):
        return (values[places] > 0.4).all(axis=0).mean()

    # three standard errors of either side
    assert found.set.any() and at_once(found.set) == pytest.approx(0.9, abs=0.03)
    marginal = surface.exceedance(0.4) >= 0.9
    assert at_once(marginal) < 0.8 and found.set.sum() < marginal.sum()
    assert (found.function <= surface.exceedance(0.4) + 1e-12).all()


def test_the_map_of_classes_has_a_legend_of_their_names(surface):
    ax = surface.excursions(0.4, level=0.9).plot()
    (key,) = [other for other in ax.figure.axes if other is not ax]
    assert [text.get_text() for text in key.texts] == ["below 0.4", "undecided", "above 0.4"]
    assert len(key.patches) == 3 and not key.axison


def test_above_below_and_undecided(surface):
    both = surface.excursions(0.4, 0.9, "!=")
    above, below = (surface.excursions(0.4, 0.9, kind) for kind in "><")
    assert set(np.unique(both.decided)) == {-1, 0, 1}
    assert not (above.set & below.set).any()
    # to be right on both sides at once is to ask for more
    assert (both.decided == 1).sum() <= above.set.sum() and (both.decided == -1).sum() <= below.set.sum()
    contour = surface.excursions(0.4, 0.9, "=")
    np.testing.assert_array_equal(contour.set, both.decided == 0)
    np.testing.assert_array_equal(contour.decided, both.decided)
    assert both.area == pytest.approx(both.set.mean())


def test_thresholds_beyond_all_values(surface):
    assert not surface.excursions(100.0).set.any() and surface.excursions(-100.0).set.all()


def test_a_threshold_below_what_a_link_allows_is_exceeded_everywhere():
    rng = np.random.default_rng(2)
    table = pd.DataFrame(rng.uniform(0, 1, (30, 2)), columns=["e", "n"]).assign(y=rng.poisson(3, 30))
    mesh = square_mesh(6, -0.25, 1.25)
    fit = gs.fit("y ~ 1 + spde(mesh)", table, mesh=mesh, coords=("e", "n"), family="poisson", method="eb")
    surface = fit.predict(gs.Grid.from_bounds((0, 0, 1, 1), shape=(5, 5)))
    assert surface.excursions(-1.0).set.all() and surface.excursions(0.0).set.all()
    assert not surface.excursions(-1.0, kind="<").set.any()


def test_raster_and_picture(surface, tmp_path):
    found = surface.excursions(0.4, 0.9)
    found.to_raster(tmp_path / "e.tif")
    with rasterio.open(tmp_path / "e.tif") as raster:
        assert raster.descriptions == ("excursion_0.4", "decided_0.4")
        np.testing.assert_allclose(raster.read(1), found.surface.grid.to_array(found.function), atol=1e-6)
    assert "decided at 0.9" in found.plot().get_title(loc="left")
    assert "Joint probability" in found.plot(function=True).get_title(loc="left")
    assert "at once, with probability 0.9" in repr(found)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"threshold": "8"}, "a threshold must be a finite number"),
        ({"threshold": np.nan}, "a threshold must be a finite number"),
        ({"threshold": True}, "a threshold must be a finite number"),
        ({"threshold": 1.0, "level": 1.0}, "lies between 0 and 1"),
        ({"threshold": 1.0, "level": 95}, "lies between 0 and 1"),
        ({"threshold": 1.0, "kind": ">="}, "an excursion is of kind '>', '<', '!=', '=', not '>='"),
        ({"threshold": 1.0, "draws": 3}, "100 to 1,000,000, not 3"),
        ({"threshold": 1.0, "draws": 1e4}, "a whole number of draws"),
        ({"threshold": 1.0, "seed": -1}, "a seed is a whole number, 0 or more"),
    ],
)
def test_what_is_no_excursion(surface, arguments, sentence):
    with pytest.raises(gs.InputError, match=sentence.replace("(", r"\(")):
        surface.excursions(**arguments)


def test_points_have_no_area(fit):
    with pytest.raises(gs.InputError, match="no area"):
        _ = fit.predict(np.array([[0.5, 0.5]])).excursions(0.4).area


@pytest.mark.slow
def test_a_run_decides(tmp_path, capsys):
    path = write_survey(tmp_path)
    text = path.read_text().replace("cell = 100", "cell = 200")
    path.write_text(text + "[excursions]\nexceed = 3\nlevel = 0.9\ndraws = 400\n")
    with quietly_in(tmp_path):
        assert main(["run", "bay.toml", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert {"figures/excursion_3.png", "figures/decided_3.png"} <= set(told["files"])
        frame = pd.read_csv(tmp_path / "out" / "grid.csv")
        assert set(frame["decided_3"]) <= {-1, 0, 1} and frame["excursion_3"].between(0, 1).all()
        page = (tmp_path / "out" / "report.html").read_text()
        assert "Decided for the whole" in page
        assert main(["report", "bay.toml", "-q"]) == 0
        for faulty in ("exceed = []", 'exceed = "high"', "exceed = 3\nlevel = 2", "level = 0.9"):
            path.write_text(text + f"[excursions]\n{faulty}\n")
            assert main(["run", "bay.toml", "--out", "other"]) == 2
        assert all("[excursions]" in line for line in capsys.readouterr().err.splitlines() if "geospde:" in line)
