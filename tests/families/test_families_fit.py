"""Families as a user meets them: formulas, names, priors, tables, saving, and intervals that hold the truth."""

import numpy as np
import pandas as pd
import pytest
from oracles import square_mesh
from recovery import COEFFICIENTS, LEVEL, STUDIES, draw, study, tabulated

import geospde as gs
from geospde.families.registry import FAMILIES

RNG = np.random.default_rng(3)
N = 120
TABLE = pd.DataFrame({"x": RNG.normal(size=N), "g": np.repeat(np.arange(12), 10)})
ETA = 0.5 + 0.6 * TABLE["x"].to_numpy() + 0.7 * RNG.normal(size=12)[TABLE["g"]]


def data(family):
    """A table with a response of the family."""
    own = next(own for of, _, own in STUDIES.values() if of == family)
    own = {**own, "df": 5.0} if "df" in own else own
    return TABLE.assign(**draw(family, ETA, own, np.random.default_rng(1)))


def fitted(family, **options):
    table = data(family)
    left = "p(y, trials)" if "trials" in table else "y"
    if "exposure" in table:
        options.setdefault("exposure", "exposure")
    return gs.fit(f"{left} ~ x + (1 | g)", table, family=family, **options)


@pytest.mark.slow
@pytest.mark.parametrize("family", dict.fromkeys(family for family, *_ in STUDIES.values()))
def test_every_family_fits_saves_and_predicts(family, tmp_path):
    fit = fitted(family)
    own = [h.name for h in FAMILIES[family].likelihood.hyper]
    assert list(fit.hyper.index) == ["sd(Intercept | g)", *own]
    assert np.isfinite(fit.fixed.to_numpy()).all() and np.isfinite(fit.hyper.to_numpy()).all()
    assert (fit.hyper["q0.025"] < fit.hyper["q0.5"]).all() and (fit.hyper["q0.5"] < fit.hyper["q0.975"]).all()
    assert np.isfinite(list(fit.criteria.values())).all()
    assert fit.pointwise["pit"].between(0, 1).all()
    assert set(fit.describe()["priors"]) == set(fit.hyper.index)
    for name in own:
        logarithm, value = fit.marginal(f"log {name}"), fit.marginal(name)
        assert float(np.exp(logarithm.quantile(0.5))) == pytest.approx(float(value.quantile(0.5)), rel=1e-6)
    draws = fit.sample(50, seed=1)
    if own:
        low, high = {"df": (2, np.inf), "p0": (0, 1)}.get(own[-1], (0, np.inf))
        assert draws[own[-1]].between(low, high).all()
    again = (fit.save(tmp_path / "mine"), gs.load_fit(tmp_path / "mine"))[1]
    pd.testing.assert_frame_equal(again.hyper, fit.hyper)
    pd.testing.assert_frame_equal(again.fitted, fit.fitted)
    frame = fit.predict(TABLE.head(3)).to_frame()
    np.testing.assert_allclose(frame["mean"], fit.fitted["mean"].head(3), rtol=1e-9)


def test_fitted_is_the_inverse_link_of_the_predictor():
    fit = fitted("binomial", link="cloglog")
    assert fit.fitted["mean"].between(0, 1).all() and fit.fitted["q0.975"].between(0, 1).all()
    exceed = fit.predict(TABLE.head(2), exceed=[0.5, 1.5, -0.5]).to_frame()
    assert (exceed["exceed_1.5"] == 0).all() and (exceed["exceed_-0.5"] == 1).all()
    assert fit.model.response_label == "y / trials"


@pytest.mark.parametrize("link", ["identity", "log", None])
def test_a_lognormal_is_predicted_on_the_responses_scale_whatever_the_link(link):
    priors = {"sd(Intercept | g)": {"pc": [1, 0.05]}}
    fit, table = fitted("lognormal", link=link, priors=priors), data("lognormal")
    middle = float(table["y"].median())
    surface = fit.predict(table, exceed=[middle]).to_frame()
    np.testing.assert_allclose(surface["q0.5"], fit.fitted["q0.5"], rtol=1e-6)
    gaussian = gs.fit("z ~ x + (1 | g)", table.assign(z=np.log(table["y"])), priors=priors)
    np.testing.assert_allclose(surface["q0.5"], np.exp(gaussian.fitted["q0.5"]), rtol=1e-4)
    above = gaussian.predict(table.assign(z=0.0), exceed=[np.log(middle)]).to_frame().filter(like="exceed_").iloc[:, 0]
    np.testing.assert_allclose(surface.filter(like="exceed_").iloc[:, 0], above, atol=1e-4)


def test_a_lognormal_is_a_gaussian_of_the_logarithm():
    table = data("lognormal")
    priors = {"sd(Intercept | g)": {"pc": [1, 0.05]}}
    a = gs.fit("y ~ x + (1 | g)", table, family="lognormal", priors=priors)
    b = gs.fit("z ~ x + (1 | g)", table.assign(z=np.log(table["y"])), priors=priors)
    np.testing.assert_allclose(a.hyper, b.hyper, rtol=1e-4)
    # p(y) = p(log y) / y
    gap = b.log_marginal_likelihood - np.log(table["y"]).sum()
    assert a.log_marginal_likelihood == pytest.approx(gap, abs=1e-4)


def test_the_unit_of_a_gaussian_response_does_not_matter():
    table = data("gaussian")
    small = gs.fit("y ~ x + (1 | g)", table)
    large = gs.fit("z ~ x + (1 | g)", table.assign(z=5000 * table["y"]))
    pd.testing.assert_frame_equal(5000 * small.hyper, large.hyper, rtol=0.02)
    pd.testing.assert_frame_equal(5000 * small.fixed, large.fixed, rtol=0.02)


@pytest.mark.slow
def test_a_gaussian_field_in_any_unit_has_a_prior_of_its_scale():
    rng = np.random.default_rng(6)
    table = pd.DataFrame(rng.uniform(0.1, 0.9, (80, 2)), columns=["e", "n"])
    table["y"] = np.sin(6 * table["e"]) + 0.2 * rng.normal(size=80)
    options = {"mesh": square_mesh(8, -0.3, 1.3), "coords": ("e", "n"), "integration": "ccd"}
    unit = gs.fit("y ~ spde(mesh)", table, **options)
    milli = gs.fit("y ~ spde(mesh)", table.assign(y=1000 * table["y"]), **options)
    names = ["sigma(spde)", "sigma"]
    np.testing.assert_allclose(milli.hyper.loc[names, "mean"] / unit.hyper.loc[names, "mean"], 1000, rtol=0.03)
    # R-INLA's prior of the precision knows the unit and holds a small sigma up, ours and the pc prior need not
    table["small"] = table["y"] / 1000
    assert gs.fit("small ~ spde(mesh)", table, priors="inla", **options).hyper.loc["sigma", "mean"] > 4e-4
    small = gs.fit("small ~ spde(mesh)", table, **options)
    np.testing.assert_allclose(1000 * small.hyper.loc[names, "mean"], unit.hyper.loc[names, "mean"], rtol=0.03)
    free = gs.fit("small ~ spde(mesh)", table, priors={"sigma": {"pc": [1e-3, 0.1]}}, **options)
    assert free.hyper.loc["sigma", "q0.025"] < 2e-4 < free.hyper.loc["sigma", "q0.975"]
    assert unit.hyper.loc["sigma", "q0.025"] < 0.2 < unit.hyper.loc["sigma", "q0.975"]


@pytest.mark.slow
def test_bernoulli_is_a_binomial_of_one_trial():
    a = fitted("bernoulli")
    b = gs.fit("p(y, 1) ~ x + (1 | g)", data("bernoulli"), family="binomial")
    c = gs.fit("y ~ x + (1 | g)", data("bernoulli"), family="binomial")
    pd.testing.assert_frame_equal(a.fixed, b.fixed)
    pd.testing.assert_frame_equal(b.fixed, c.fixed)


def test_weights_count_a_row_twice():
    table = data("nbinomial")
    doubled = gs.fit("y ~ x", pd.concat([table, table]), family="nbinomial", exposure="exposure")
    weighted = gs.fit("y ~ x", table, family="negbin", exposure="exposure", weights=np.full(N, 2.0))
    np.testing.assert_allclose(doubled.hyper, weighted.hyper, rtol=1e-5)
    assert weighted.family == "nbinomial"


@pytest.mark.slow
def test_priors_of_a_family_are_set_by_name():
    tight = fitted("nbinomial", priors={"size": {"loggamma": [4e4, 1e4]}})
    assert tight.hyper.loc["size", "mean"] == pytest.approx(4.0, abs=0.1)
    assert tight.describe()["priors"]["size"] == "loggamma: Gamma(40000, rate 10000)"
    held = fitted("zeroinflatedpoisson1", priors={"p0": {"beta": [5e4, 5e4]}})
    assert held.hyper.loc["p0", "mean"] == pytest.approx(0.5, abs=0.01)
    heavy = fitted("t", priors={"df": {"pc": [2.5, 0.99]}, "sigma": {"pc": [2, 0.01]}}, integration="ccd")
    assert heavy.hyper.loc["df", "q0.5"] < fitted("t", integration="ccd").hyper.loc["df", "q0.5"]
    with pytest.raises(gs.InputError, match="no prior 'pc' for a shape"):
        fitted("gamma", priors={"shape": {"pc": [1, 0.1]}})
    with pytest.raises(gs.InputError, match="did you mean 'size'"):
        fitted("nbinomial", priors={"sise": {"pc": [7]}})


@pytest.mark.slow
def test_t_shrugs_off_an_outlier():
    table = data("gaussian")
    table.loc[7, "y"] = 60.0
    gaussian, t = gs.fit("y ~ x", table), gs.fit("y ~ x", table, family="student")
    clean = gs.fit("y ~ x", data("gaussian"))
    assert abs(t.fixed.loc["x", "mean"] - clean.fixed.loc["x", "mean"]) < 0.05
    assert abs(gaussian.fixed.loc["Intercept", "mean"] - clean.fixed.loc["Intercept", "mean"]) > 0.3
    assert t.criteria["waic"] < gaussian.criteria["waic"]


BAD = [
    ("p(y, none) ~ x", {"family": "binomial"}, "no column 'none'"),
    ("p(y, trials) ~ x", {"family": "poisson"}, "family 'binomial', not of 'poisson'"),
    ("log(y) ~ x", {}, r"p\(successes, trials\), not log\(y\)"),
    ("p(trials, y) ~ x", {"family": "binomial"}, "row . holds"),
    ("y ~ x", {"family": "gamma"}, "family 'gamma' needs numbers above 0: row . holds 0"),
    ("y ~ x", {"family": "beta"}, "above 0 and below 1"),
    ("y ~ x", {"family": "gaussian", "exposure": "trials"}, "has no exposure"),
    ("y ~ x", {"family": "binomial", "exposure": "trials"}, r"p\(successes, trials\)"),
]


@pytest.mark.parametrize(("formula", "options", "words"), BAD)
def test_what_does_not_fit_the_family_is_refused(formula, options, words):
    with pytest.raises(gs.InputError, match=words):
        gs.fit(formula, data("binomial"), **options)


@pytest.mark.slow
def test_intervals_hold_the_truth_about_as_often_as_they_say():
    # the whole study is scripts/coverage; here a few replicates of a few families, pooled
    cases = ["gaussian", "nbinomial", "binomial"]
    table, failures = tabulated(study(cases, 12, 1))
    assert not failures
    assert set(table["parameter"]) >= {*COEFFICIENTS, "sigma", "size"}
    trials = int(table["replicates"].sum())
    mean = float(np.average(table["coverage"], weights=table["replicates"]))
    # four standard errors, intervals of a replicate taken as independent
    assert abs(mean - LEVEL) < 4 * np.sqrt(LEVEL * (1 - LEVEL) / trials)


def test_the_kept_study_covers_as_it_should():
    from recovery import HIGH, LOW, TABLE

    kept = pd.read_csv(TABLE)
    assert set(kept["case"]) == set(STUDIES)
    assert (kept["replicates"] >= 200).all() and (kept["failures"] == 0).all()
    assert kept["coverage"].between(LOW, HIGH).all()
