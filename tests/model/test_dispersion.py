"""A formula for the dispersion: each row by itself, glmmTMB's and sdmTMB's likelihoods, what a fit does with it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from family_checks import simulated, slope

import geospde as gs
from geospde.families.dispersed import Dispersed
from geospde.families.registry import REGISTERED

REFERENCE = Path(__file__).parents[1] / "reference"
VARYING = [family for family in REGISTERED if family.likelihood.dispersion]


@pytest.fixture(scope="module")
def table():
    return pd.read_csv(REFERENCE / "families" / "dispersion.csv")


@pytest.fixture(scope="module")
def fit(table):
    return gs.fit("pos ~ x", table, family="gamma", dispformula="~ z")


@pytest.mark.parametrize("family", VARYING, ids=lambda family: family.name)
def test_each_row_is_that_of_its_own_dispersion(family):
    rng = np.random.default_rng(4)
    plain, eta = simulated(family(), rng)
    columns = np.column_stack([np.ones(plain.n), rng.uniform(1, 3, plain.n)])
    whole = Dispersed.of(plain, columns, ["Intercept", "z"], {})
    k = whole.place
    theta = np.insert(np.delete(plain.theta, k), k, [plain.theta[k], 0.3])
    here = whole.at(theta)
    own = np.tile(plain.theta, (plain.n, 1))
    own[:, k] += 0.3 * whole.rows[:, 1]
    rows = [plain.at(t).of_rows(np.array([i])) for i, t in enumerate(own)]
    each = [np.array([e]) for e in eta]

    def by_row(ask):
        return np.concatenate([np.atleast_1d(ask(row, e)) for row, e in zip(rows, each)])

    np.testing.assert_allclose(here.log_density(eta), by_row(lambda r, e: r.log_density(e)), rtol=1e-12)
    for order in range(3):
        theirs = by_row(lambda r, e, order=order: r.derivatives(e)[order])
        np.testing.assert_allclose(here.derivatives(eta)[order], theirs, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(here.cdf(eta), by_row(lambda r, e: r.cdf(e)), rtol=1e-10)
    for order in range(2):
        theirs = by_row(lambda r, e, order=order: r.moments(e)[order])
        np.testing.assert_allclose(here.moments(eta)[order], theirs, rtol=1e-12)
    assert here.draw(np.tile(eta, (3, 1)), rng).shape == (3, plain.n)
    some = here.of_rows(np.array([2, 0, 2]))
    np.testing.assert_allclose(some.log_density(eta[[2, 0, 2]]), here.log_density(eta)[[2, 0, 2]], rtol=1e-12)
    for j, axis in enumerate(np.eye(theta.size)):

        def along(t, axis=axis):
            return here.at(theta + t * axis).log_density(eta)

        exact = here.theta_derivatives(eta)[0][j]
        # differences lose what rounding takes from the density, over a step of 1e-4
        np.testing.assert_allclose(exact, slope(along, 0.0), rtol=2e-6, atol=1e-8 * (1 + np.abs(along(0.0)).max()))


# glmmTMB 1.1.5 (R 4.2.2), dispformula = ~ z: log likelihood, and its coefficient of z as one of ours (its Gaussian's
# is of the variance)
GLMMTMB = {
    ("gaussian", "gauss", "ml"): (-269.26041735, 1.213151 / 2),
    ("gaussian", "gauss", "reml"): (-272.34843239, 1.205380 / 2),
    ("nbinomial", "count", "ml"): (-433.72768089, 0.636509),
    ("nbinomial1", "count", "ml"): (-434.28937898, -0.701334),
    ("gamma", "pos", "ml"): (-306.00763665, 0.636498),
    ("beta", "share", "ml"): (59.15708439, 0.434119),
}


@pytest.mark.parametrize("family, response, method", GLMMTMB)
def test_likelihoods_are_glmmtmbs(table, family, response, method):
    fit = gs.fit(f"{response} ~ x + (1 | g)", table, family=family, dispformula="~ z", method=method)
    value, coefficient = GLMMTMB[family, response, method]
    assert fit.log_likelihood == pytest.approx(value, abs=1e-6)
    # its search ends some 1e-5 from the maximum
    assert fit.hyper["estimate"].iloc[-1] == pytest.approx(coefficient, abs=3e-5)


def test_the_optimum_of_a_field_is_sdmtmbs():
    here = REFERENCE / "optima"
    mesh = gs.Mesh(pd.read_csv(here / "mesh-loc.csv").to_numpy(), pd.read_csv(here / "mesh-tv.csv").to_numpy() - 1)
    data = pd.read_csv(here / "spatial.csv")
    fit = gs.fit(
        "y_gauss ~ x + spde(mesh)", data, mesh=mesh, coords=("X", "Y"), dispformula="~ z", method="ml"
    )  # fmt: skip
    assert -fit.log_likelihood == pytest.approx(437.707045339, abs=1e-6)


def test_no_answer_depends_on_the_units_of_a_covariate(table, fit):
    other = gs.fit("pos ~ x", table.assign(z=1000 * table["z"] + 300), family="gamma", dispformula="~ z")
    assert other.log_marginal_likelihood == pytest.approx(fit.log_marginal_likelihood, abs=1e-8)
    mean = fit.hyper["mean"]
    assert other.hyper["mean"]["log(shape): z"] == pytest.approx(mean["log(shape): z"] / 1000, rel=1e-6)
    assert mean["log(shape): z"] == pytest.approx(0.6, abs=0.1)


def test_levels_without_a_constant_have_the_dispersions_prior(table):
    data = table.assign(half=np.where(table["z"] > 1, "b", "a"))
    fit = gs.fit("gauss ~ x", data, dispformula="~ 0 + half", method="eb")
    assert list(fit.hyper.index) == ["log(sigma): half[a]", "log(sigma): half[b]"]
    apart = [gs.fit("gauss ~ x", part, method="ml").hyper.loc["sigma", "estimate"] for _, part in data.groupby("half")]
    # both have the slope of x in common here, and a prior that is next to flat
    np.testing.assert_allclose(np.exp(fit.hyper["mean"]), apart, rtol=0.06)


@pytest.mark.slow
def test_residuals_replicates_and_folds_know_the_dispersion(table, fit):
    size = np.exp(fit.hyper["mean"].iloc[0] + fit.hyper["mean"].iloc[1] * table["z"])
    left = fit.residuals("pearson")
    direct = (table["pos"] - fit.fitted["mean"]) / (fit.fitted["mean"] / np.sqrt(size))
    assert np.corrcoef(left, direct)[0, 1] > 0.999
    made = fit.simulate(400, seed=1)
    spread = (made.std(axis=1) / made.mean(axis=1)).to_numpy()
    near, far = spread[table["z"] < 0.5].mean(), spread[table["z"] > 1.5].mean()
    expected = np.sqrt(size[table["z"] < 0.5].mean() / size[table["z"] > 1.5].mean())
    assert far / near == pytest.approx(expected, rel=0.1)
    assert fit.check() and np.isfinite(fit.residuals("quantile")).all()
    same = gs.fit("pos ~ x", table, family="gamma", method="eb")
    ours, theirs = (one.validate("random", k=2, seed=1).scores["log_score"].iloc[0] for one in (fit, same))
    assert ours < theirs


def test_a_saved_fit_comes_back(table, fit, tmp_path):
    fit.save(tmp_path / "one")
    again = gs.load_fit(tmp_path / "one")
    pd.testing.assert_frame_equal(again.hyper, fit.hyper)
    assert again.settings["dispformula"] == "~ z"
    np.testing.assert_allclose(again.residuals("pearson"), fit.residuals("pearson"))
    data = table.assign(pos=table["pos"] * (table["z"] > 0.4))
    delta = gs.fit("pos ~ 1", data, family="delta_gamma", dispformula="~ z", method="ml")
    delta.save(tmp_path / "two")
    back = gs.load_fit(tmp_path / "two")
    assert list(back.hyper.index) == ["positive: log(shape): Intercept", "positive: log(shape): z"]
    pd.testing.assert_frame_equal(back.predict(data.head(3)).to_frame(), delta.predict(data.head(3)).to_frame())


def test_simulated_responses_scatter_as_they_should(table):
    made = gs.simulate(
        "y ~ x", table, dispformula="~ z", fixed={"Intercept": 0, "x": 0},
        hyper={"log(sigma): Intercept": -20, "log(sigma): z": 15}, seed=3,
    )  # fmt: skip
    assert made["y"][made["z"] < 0.5].abs().max() < 1e-3 < 1 < made["y"][made["z"] > 1.6].abs().max()


@pytest.mark.parametrize(
    "options, words",
    [
        ({"dispformula": "z"}, "dispformula is a formula without a response, such as '~ x', not 'z'"),
        ({"dispformula": "pos ~ z"}, "without a response"),
        ({"dispformula": 3}, "without a response"),
        ({"dispformula": "~ missing"}, "no column 'missing'"),
        ({"dispformula": "~ (1 | g)"}, "dispformula has fixed effects only, not"),
        ({"dispformula": "~ 0"}, "has nothing to estimate"),
        ({"dispformula": "~ z", "family": "exponential"}, "'exponential' has no dispersion that a formula may stand"),
        ({"dispformula": "~ z", "priors": {"sigma": {"fixed": 1}}}, "sigma cannot be held at a value and follow"),
        ({"dispformula": "~ z", "priors": {"log(sigma): z": {"fixed": 1}}}, "is gaussian or flat, not fixed"),
        ({"dispformula": "~ z", "priors": {"log(sigma): y": "flat"}}, "a prior is given for 'log.sigma.: y'"),
    ],
)
def test_mistakes_are_told(table, options, words):
    with pytest.raises(gs.InputError, match=words):
        gs.fit("pos ~ x", table, **options)


def test_a_product_whose_mean_needs_the_dispersion_is_refused(table):
    data = table.assign(pos=table["pos"] * (table["z"] > 0.4))
    delta = gs.fit("pos ~ 1", data, family="delta_lognormal", dispformula="~ z", method="ml")
    with pytest.raises(gs.InputError, match="depends on their dispersion"):
        delta.predict(data.head(3))
    with pytest.raises(gs.InputError, match="dispformula= is given to each gs.Observations"):
        gs.fit([gs.Observations("gauss ~ x", table), gs.Observations("count ~ x", table)], dispformula="~ z")
