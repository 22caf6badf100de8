"""Curves with a threshold: sdmTMB's optima, least squares, the likelihood on a grid, what a fit does with them."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import least_squares

import geospde as gs
from geospde.errors import InputError
from geospde.formula.thresholds import Breakpoint, Logistic

REFERENCE = Path(__file__).parents[1] / "reference" / "optima"
# sdmTMB's optima and means of predictions at its new data, `y ~ breakpt(z) + field` and logistic(z)
OPTIMA = {"breakpt": 182.877975749, "logistic": 182.37623004}


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(1)
    d = pd.DataFrame({"x": rng.uniform(0, 10, 80), "g": np.repeat(list("abcd"), 20)})
    d["y"] = 2 * np.minimum(d.x, 6) + rng.normal(0, 1, 80)
    d["bent"] = 3 / (1 + np.exp(-np.log(19) * (d.x - 4) / 2)) + rng.normal(0, 0.3, 80)
    return d


@pytest.fixture(scope="module")
def fit(table):
    return gs.fit("y ~ breakpt(x)", table)


@pytest.mark.parametrize("curve", OPTIMA)
def test_optima_are_sdmtmbs(curve):
    data = pd.read_csv(REFERENCE / "spatial.csv")
    places, triangles = (pd.read_csv(REFERENCE / f"mesh-{name}.csv").to_numpy() for name in ("loc", "tv"))
    found = gs.fit(
        f"y_{curve} ~ {curve}(z) + spde(mesh, alpha=2)", data, mesh=gs.Mesh(places, triangles - 1), coords=("X", "Y"),
        method="ml",
    )  # fmt: skip
    assert -found.log_likelihood == pytest.approx(OPTIMA[curve], abs=1e-6)


@pytest.mark.parametrize("curve", [Breakpoint((1.5, 3.3)), Breakpoint((1.5, 3.3), 0.8), Logistic((4.0, 6.5, 2.0))])
def test_slopes_are_those_of_the_curve(curve):
    x, step = np.linspace(0.1, 9.9, 23), 1e-6
    for k, axis in enumerate(np.eye(len(curve.at))):
        ends = [curve.bent(np.array(curve.at) + sign * step * axis).value(x) for sign in (1, -1)]
        # central differences: an error of the order of step² and of rounding over step
        np.testing.assert_allclose(curve(x)[:, k], (ends[0] - ends[1]) / (2 * step), atol=1e-8)
    np.testing.assert_allclose(curve.remainder(x) + curve(x) @ curve.at, curve.value(x), atol=1e-12)


def test_a_logistic_curve_is_that_of_least_squares(table):
    found = gs.fit("bent ~ logistic(x)", table, method="ml")

    def left(p):
        return table.bent - p[0] - Logistic(tuple(p[1:])).value(table.x.to_numpy())

    best = least_squares(left, [0.1, 4.1, 5.8, 3.0], xtol=1e-12, ftol=1e-12, jac="3-point")
    np.testing.assert_allclose(found.fixed["estimate"], best.x, rtol=1e-4)
    covariance = np.linalg.inv(best.jac.T @ best.jac) * 2 * best.cost / 80
    np.testing.assert_allclose(np.sqrt(np.diag(found.vcov)), np.sqrt(np.diag(covariance)), rtol=1e-3)


def test_a_posterior_is_near_that_on_a_grid():
    rng = np.random.default_rng(2)
    d = pd.DataFrame({"x": rng.uniform(0, 10, 400)})
    d["y"] = 2 * np.minimum(d.x, 6) + rng.normal(0, 1, 400)
    fit = gs.fit("y ~ breakpt(x)", d)
    places = np.linspace(5.5, 6.5, 161)
    log_density = []
    for place in places:  # sigma by its prior, nearly 1 / sigma², and the line integrated out
        design = np.column_stack([np.ones(400), np.minimum(d.x, place)])
        beta = np.linalg.lstsq(design, d.y, rcond=None)[0]
        square = ((d.y - design @ beta) ** 2).sum()
        log_density.append(-0.5 * np.linalg.slogdet(design.T @ design)[1] - 199.0 * np.log(square))
    weights = np.exp(np.array(log_density) - max(log_density))
    weights /= weights.sum()
    mean = weights @ places
    sd = np.sqrt(weights @ (places - mean) ** 2)
    row = fit.fixed.loc["breakpt(x)[breakpt]"]
    assert row["mean"] == pytest.approx(mean, abs=0.25 * sd)  # the tangent's Gaussian has no skewness
    assert row["sd"] == pytest.approx(sd, rel=0.25)  # nor tails of lines that end elsewhere


@pytest.mark.parametrize("formula", ["y ~ breakpt(x)", "y ~ logistic(x)"])
@pytest.mark.parametrize("far", [np.inf, -np.inf])
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_nothing_is_predicted_at_infinity(table, formula: str, far: float):
    fit = gs.fit(formula, table, method="ml")
    with pytest.raises(InputError, match=rf"x = {far}: {re.escape(formula[4:])} is no finite number"):
        fit.predict(pd.DataFrame({"x": [1.0, far]}))


def test_predictions_bend_and_a_saved_fit_comes_back(table, fit, tmp_path):
    new = pd.DataFrame({"x": [1.0, 7.0, 9.0]})
    intercept, slope, place = fit.fixed["mean"]
    expected = intercept + slope * np.minimum(new.x, place)
    np.testing.assert_allclose(fit.predict(new).to_frame()["mean"], expected)
    np.testing.assert_allclose(fit.effects("x", size=4).to_frame()["mean"].iloc[-1], expected.iloc[-1])
    fit.save(tmp_path / "bent")
    again = gs.load_fit(tmp_path / "bent")
    pd.testing.assert_frame_equal(again.predict(new).to_frame(), fit.predict(new).to_frame())


@pytest.mark.slow
def test_a_corner_of_the_likelihood_is_rounded(tmp_path):
    rng = np.random.default_rng(1)
    d = pd.DataFrame({"x": rng.uniform(0, 10, 40)})
    for seed in (0, 3):
        d["y"] = np.minimum(d.x, 5) + np.random.default_rng(seed).normal(0, 1, 40)
        found = gs.fit("y ~ breakpt(x)", d, method="ml")

        def log_likelihood(place, y=d.y):
            design = np.column_stack([np.ones(40), np.minimum(d.x, place)])
            left = y - design @ np.linalg.lstsq(design, y, rcond=None)[0]
            return -20 * np.log(2 * np.pi * np.e * (left @ left) / 40)

        best = max(map(log_likelihood, [*np.linspace(1, 9, 400), *d.x]))
        # a corner that is rounded over neighbours leaves a few hundredths
        assert found.log_likelihood == pytest.approx(best, abs=0.1)
        found.save(tmp_path / f"fit{seed}")
        again = gs.load_fit(tmp_path / f"fit{seed}")
        pd.testing.assert_frame_equal(again.predict(d).to_frame(), found.predict(d).to_frame())


@pytest.mark.slow
def test_each_part_of_a_delta_model_has_its_own():
    rng = np.random.default_rng(5)
    d = pd.DataFrame({"x": rng.uniform(0, 10, 600)})
    there = rng.uniform(size=600) < 1 / (1 + np.exp(2 - np.minimum(d.x, 5)))
    d["y"] = there * rng.gamma(4, np.exp(0.4 * np.minimum(d.x, 7)) / 4)
    both = gs.fit("y ~ breakpt(x)", d, family="delta_gamma", method="ml")
    alone = gs.fit("y ~ breakpt(x)", d[d.y > 0], family="gamma", method="ml")
    np.testing.assert_allclose(both.fixed["estimate"].iloc[3:], alone.fixed["estimate"], rtol=1e-4)


@pytest.mark.parametrize(
    "formula, words",
    [
        ("y ~ breakpt(g)", "takes numbers"),
        ("y ~ x:breakpt(x)", "stands as a fixed effect by itself"),
        ("y ~ (breakpt(x) | g)", "stands as a fixed effect by itself"),
        ("y ~ breakpt(few)", "needs at least 4 different values"),
        ("y ~ log(breakpt(x))", "is not a number to calculate with"),
    ],
)
def test_mistakes_are_told(table, formula, words):
    with pytest.raises(gs.InputError, match=words):
        gs.fit(formula, table.assign(few=np.arange(80) % 2), method="ml")


def test_a_dispersion_has_no_threshold(table):
    with pytest.raises(gs.InputError, match="dispformula has no thresholds"):
        gs.fit("y ~ x", table, dispformula="~ breakpt(x)", method="ml")


@pytest.mark.slow
def test_noise_in_which_no_curve_bends_is_told_in_a_sentence():
    """Least squares' logistic curve is a jump at 0.75, and its line breaks where it is level."""
    rng = np.random.default_rng(1)
    noise = pd.DataFrame({"x": rng.uniform(0, 1, 120), "z": rng.normal(size=120)})
    with pytest.raises(gs.InputError, match="do not tell where a curve with a threshold bends.*leave breakpt"):
        gs.fit("z ~ logistic(x)", noise, method="ml")
