"""Several likelihoods: beside one of all rows, shared fixed effects, copies with a scale, predictions, mistakes."""

import warnings
from dataclasses import replace

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from oracles import square_mesh

import geospde as gs
from geospde.model.joint import build_joint
from geospde.terms.copies import copied
from geospde.terms.precisions.copied import Copied
from geospde.terms.precisions.iid import Iid

MESH = square_mesh(9, -0.4, 1.4)
SPDE = "spde(mesh, prior_range=(0.3, 0.1), prior_sigma=(1, 0.05))"


@pytest.fixture(scope="module")
def tables():
    """A smooth wave seen by a Gaussian monitor and, at half its height, by counts elsewhere."""
    rng = np.random.default_rng(12)
    e, n = rng.uniform(0, 1, (2, 260))
    x, wave = rng.normal(size=260), 1.2 * np.sin(5 * e) * np.cos(4 * n)
    all_rows = pd.DataFrame({"e": e, "n": n, "x": x})
    first = all_rows[:140].assign(level=0.5 + wave[:140] + 0.2 * rng.normal(size=140))
    second = all_rows[140:].assign(count=rng.poisson(np.exp(1 + 0.5 * wave[140:] + 0.3 * x[140:])))
    return first, second.reset_index(drop=True)


def observations(tables, left="level ~ 1 + field", right="count ~ 1 + x + copy(field)"):
    first, second = tables
    return [
        gs.Observations(left, first, coords=("e", "n")),
        gs.Observations(right, second, family="poisson", coords=("e", "n")),
    ]


@pytest.fixture(scope="module")
def fit(tables):
    return gs.fit(observations(tables), terms={"field": SPDE}, mesh=MESH)


def test_a_copy_has_the_precision_of_what_it_copies_and_its_scale():
    inner = Iid(4, label="u")
    both = Copied(inner, ("s",), (gs.priors.Gaussian(1.0, 10.0),), np.zeros(1))
    theta, scale = np.array([0.3]), 0.7
    q = both.matrix(np.array([*theta, scale])).toarray()
    covariance = np.linalg.inv(q)
    own = np.linalg.inv(inner.matrix(theta).toarray())
    np.testing.assert_allclose(covariance[:4, :4], own, rtol=1e-6)
    np.testing.assert_allclose(covariance[4:, :4], scale * own, rtol=1e-6)
    np.testing.assert_allclose(covariance[4:, 4:], scale**2 * own, rtol=1e-5, atol=1e-6)
    value, slope = both.log_normaliser(np.array([*theta, scale]))
    assert value == pytest.approx(0.5 * np.linalg.slogdet(q)[1], rel=1e-9)
    gradients = both.gradients(np.array([*theta, scale]))
    for k, step in enumerate(1e-6 * np.eye(2)):
        moved = both.values(np.array([*theta, scale]) + step) - both.values(np.array([*theta, scale]) - step)
        np.testing.assert_allclose(gradients[k], moved / 2e-6, rtol=1e-6, atol=1e-2)
    assert slope[1] == 0.0


def test_two_halves_of_one_survey_are_the_whole(tables):
    first, _ = tables
    whole = gs.fit("level ~ x + spde(mesh)", first, mesh=MESH, coords=("e", "n"), method="ml")
    halves = [
        gs.Observations("level ~ 0 + trend + field", part, coords=("e", "n"), name=name)
        for name, part in (("a", first[:70]), ("b", first[70:]))
    ]
    fixed_sigma = {"fixed": float(whole.hyper.loc["sigma", "estimate"])}
    joint = gs.fit(
        halves, terms={"trend": "1 + x", "field": "spde(mesh)"}, mesh=MESH, method="ml",
        priors={"a: sigma": fixed_sigma, "b: sigma": fixed_sigma},
    )  # fmt: skip
    assert list(joint.fixed.index) == ["Intercept", "x"]
    assert joint.log_likelihood == pytest.approx(whole.log_likelihood, abs=1e-6)
    np.testing.assert_allclose(joint.fixed["estimate"], whole.fixed["estimate"], atol=1e-4)
    np.testing.assert_allclose(joint.fitted["estimate"], whole.fitted["estimate"], atol=1e-3)


def test_a_copy_of_scale_one_is_the_field_itself(tables):
    options = {"terms": {"field": SPDE}, "mesh": MESH, "method": "eb", "strategy": "gaussian"}
    shared = gs.fit(observations(tables, right="count ~ 1 + x + field"), **options)
    held = gs.fit(observations(tables), priors={"scale(copy(field))": {"fixed": 1.0}}, **options)
    assert held.log_marginal_likelihood == pytest.approx(shared.log_marginal_likelihood, abs=1e-3)
    np.testing.assert_allclose(held.fixed["mean"], shared.fixed["mean"], atol=1e-3)
    np.testing.assert_allclose(held.fitted["mean"], shared.fitted["mean"], rtol=1e-3)


def test_units_that_make_a_scale_far_from_one_are_told(tables):
    """In grams its prior was against the data, and a range 28 where it is 17 in kilograms."""
    first, second = tables
    grams = observations((first.assign(level=1e3 * first["level"]), second))
    words = r"level varies by \d+ and the predictor of count is a pure number: scale\(copy\(field\)\) may be near 0.00"
    with pytest.warns(gs.GeospdeWarning, match=words):
        build_joint(grams, terms={"field": SPDE}, mesh=MESH)
    with warnings.catch_warnings():
        warnings.simplefilter("error", gs.GeospdeWarning)
        build_joint(observations(tables), terms={"field": SPDE}, mesh=MESH)


def test_the_scale_of_a_copy_is_found(fit):
    assert list(fit.hyper.index)[:3] == ["range(field)", "sigma(field)", "scale(copy(field))"]
    assert list(fit.hyper.index)[-1] == "level: sigma"
    assert list(fit.fixed.index) == ["level: Intercept", "count: Intercept", "count: x"]
    scale = fit.hyper.loc["scale(copy(field))"]
    assert scale["q0.025"] < 0.5 < scale["q0.975"] and scale["sd"] < 0.15
    assert fit.fixed.loc["count: x", "q0.025"] < 0.3 < fit.fixed.loc["count: x", "q0.975"]
    assert float(fit.hyper.loc["level: sigma", "mean"]) == pytest.approx(0.2, abs=0.06)


def test_each_likelihood_is_fitted_predicted_and_checked(fit, tables, capsys):
    first, second = tables
    fitted = fit.fitted["mean"].to_numpy()
    places = pd.concat([first, second])[["e", "n", "x"]]
    for name, rows in (("level", slice(0, 140)), ("count", slice(140, 260))):
        surface = fit.predict(places[rows], observations=name).to_frame()
        np.testing.assert_allclose(surface["mean"], fitted[rows], rtol=1e-8)
    assert np.isfinite(fit.residuals("pearson")).all() and np.isfinite(fit.residuals("quantile")).all()
    assert fit.pointwise["pit"].between(0, 1).all()
    assert np.isfinite(list(fit.criteria.values())).all()
    fit.summary()
    assert "level ~ 1 + field; count ~ 1 + x + copy(field)" in capsys.readouterr().out
    assert len(fit.check()) > 1 and len(fit.sample(20, seed=1)) == 20


def test_a_saved_fit_comes_back(fit, tables, tmp_path):
    _, second = tables
    fit.save(tmp_path / "joint")
    again = gs.load_fit(tmp_path / "joint")
    pd.testing.assert_frame_equal(again.hyper, fit.hyper, rtol=1e-8)
    pd.testing.assert_frame_equal(again.fixed, fit.fixed, rtol=1e-8)
    there, here = (one.predict(second.head(9), observations="count").to_frame() for one in (again, fit))
    pd.testing.assert_frame_equal(there, here, rtol=1e-6)
    assert list(again.model.parts) == ["level", "count"]


@pytest.mark.slow
def test_one_likelihood_is_left_out_and_shown(fit, tables):
    _, second = tables
    curve = fit.effects("x", observations="count", size=5).to_frame()
    slope = np.log(curve["q0.5"].iloc[-1] / curve["q0.5"].iloc[0]) / np.ptp(second["x"])
    assert slope == pytest.approx(fit.fixed.loc["count: x", "q0.5"], rel=1e-2)
    light = gs.fit(observations(tables), terms={"field": SPDE}, mesh=MESH, method="eb", strategy="gaussian")
    found = light.validate("random", k=3, observations="count", seed=1, draws=500)
    assert found.pointwise["row"].tolist() == list(range(len(second)))
    assert found.pointwise["observed"].tolist() == second["count"].tolist()
    assert found.scores.loc["model", "log_score"] < found.scores.loc["intercept only", "log_score"] - 0.1
    left = light.validate("loo", observations="level", draws=200, baselines=False)
    # both divide an observation's site out; the criteria integrate by quadrature, too
    log_cpo = np.log(light.pointwise["cpo"].to_numpy()[:140])
    assert -left.scores.loc["model", "log_score"] == pytest.approx(log_cpo.mean(), abs=0.02)


def test_covariates_are_taken_at_the_sites_of_each(tables):
    first, second = (
        gpd.GeoDataFrame(t, geometry=gpd.points_from_xy(t["e"], t["n"])).drop(columns=["x"]) for t in tables
    )
    both = [
        gs.Observations("level ~ 1 + east", first, coords=("e", "n")),
        gs.Observations("count ~ east + trend", second, family="poisson", coords=("e", "n")),
    ]
    fit = gs.fit(both, terms={"trend": "north"}, method="ml",
                 covariates={"east": {"coordinate": "x"}, "north": {"coordinate": "y"}})  # fmt: skip
    assert list(fit.fixed.index) == ["level: Intercept", "level: east", "count: Intercept", "count: east", "north"]
    assert np.isfinite(fit.predict(second[["e", "n"]], observations="count").to_frame()["mean"]).all()


def test_a_pattern_is_one_of_several(tables):
    first, second = tables
    park = shapely.box(0, 0, 1, 1)
    options = {"family": "lgcp", "coords": ("e", "n"), "domain": park}
    light = {"mesh": MESH, "method": "eb", "strategy": "gaussian"}
    alone = gs.fit(f"~ 1 + {SPDE}", first[["e", "n"]], **options, **light)
    both = [
        gs.Observations("~ 1 + field", first[["e", "n"]], **options),
        gs.Observations("count ~ x", second, family="poisson"),
    ]
    fit = gs.fit(both, terms={"field": SPDE}, **light)
    assert fit.fixed.loc["points: Intercept", "mean"] == pytest.approx(alone.fixed.loc["Intercept", "mean"], abs=1e-3)
    west = [park, shapely.box(0, 0, 0.5, 1)]
    numbers, its_own = gs.expected_numbers(fit, west, observations="points"), gs.expected_numbers(alone, west)
    # the total is Gamma(140, 1); three Monte Carlo errors of a thousand draws
    assert numbers["mean"].iloc[0] == pytest.approx(140, abs=3 * 140**0.5 / 1000**0.5)
    assert numbers["mean"].iloc[1] == pytest.approx(its_own["mean"].iloc[1], rel=0.05)
    with pytest.raises(gs.InputError, match="domain= is only for point patterns, not for family 'poisson'"):
        gs.fit([both[0], gs.Observations("count ~ x", second, family="poisson", domain=park)], **light)
    with pytest.raises(gs.InputError, match="expected numbers are only for point patterns"):
        gs.expected_numbers(fit, west, observations="count")


BAD = [
    ({"terms": None}, "copy.name. takes the name of a shared term"),
    ({"terms": {"field": "spde(mesh)", "other": "iid(x)"}}, "'other', which no formula names"),
    ({"terms": {"field": "spde(mesh) + x"}}, "'field' is one term"),
    ({"terms": {"field": 3}}, "terms hold texts by name"),
    ({"priors": {"sigma": {"pc": [1, 0.1]}}}, "a prior is given for 'sigma'"),
    ({"coords": ("e", "n")}, "coords= is given to each gs.Observations"),
    ({"priors": "brms"}, "take priors by name"),
    ({"method": "ml", "priors": {"count: x": {"gaussian": [0, 1]}}}, "a likelihood takes priors of ranges"),
]


@pytest.mark.parametrize(("change", "words"), BAD)
def test_mistakes_are_told(change, words, tables):
    with pytest.raises(gs.InputError, match=words):
        gs.fit(observations(tables), **{"terms": {"field": SPDE}, "mesh": MESH, **change})


def test_a_likelihood_is_called_by_what_can_be_printed(tables):
    count, level = observations(tables)
    for name in ("hard\ncoral", "\x1b[2J", "a\u202eb", " ", 3):
        with pytest.raises(gs.InputError, match="a likelihood's name is of characters that can be printed"):
            gs.fit([replace(count, name=name), level], terms={"field": SPDE}, mesh=MESH)
    assert gs.Observations("`Zn\n(mg/kg)` ~ 1", None).called == "Zn (mg/kg)"


def test_what_is_no_list_of_observations_is_told(fit, tables):
    first, _ = tables
    with pytest.raises(gs.InputError, match="list of two or more"):
        gs.fit(observations(tables)[:1], mesh=MESH)
    with pytest.raises(gs.InputError, match="terms= is only for several likelihoods"):
        gs.fit("level ~ 1", first, terms={"field": "spde(mesh)"})
    with pytest.raises(gs.InputError, match="say which"):
        fit.predict(first)
    with pytest.raises(gs.InputError, match="none is called 'lev'"):
        fit.predict(first, observations="lev")
    with pytest.raises(gs.InputError, match="say which"):
        fit.effects("x")
    with pytest.raises(gs.InputError, match="say which"):
        fit.validate("random")
    with pytest.raises(gs.InputError, match="cannot be copied"):
        copied(type("Odd", (), {"precision": type("P", (), {"prior": None}), "label": "odd"}), (), (), 1.0)


def test_fields_of_several_likelihoods_are_not_tied_to_each_other(fit):
    assert fit.model.meeting is None


@pytest.mark.parametrize("term", ["(1 | g)", "(z | g)"])
def test_a_group_that_likelihoods_share_is_that_of_all_their_rows(term):
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"g": np.repeat(list("abcdefgh"), 6), "z": rng.normal(size=48), "part": ["one", "two"] * 24})
    data["y"] = rng.poisson(np.exp(1 + data["g"].map(dict(zip("abcdefgh", rng.normal(size=8))))))
    data = data.sort_values("part", ignore_index=True).iloc[:40]  # likelihoods of 24 and 16 rows
    parts = [gs.Observations("y ~ 1 + f", rows, family="poisson", name=name) for name, rows in data.groupby("part")]
    normal = {"gaussian": [0.0, 5.0]}
    fit = gs.fit(parts, terms={"f": term}, method="eb", priors={f"{p}: Intercept": normal for p in ("one", "two")})
    own = {f"part[{p}]": normal for p in ("one", "two")}
    whole = gs.fit(f"y ~ 0 + part + {term}", data, family="poisson", method="eb", priors=own)
    assert abs(fit.log_marginal_likelihood - whole.log_marginal_likelihood) < 1e-6  # the same model, in another order
    np.testing.assert_allclose(fit.fixed["mean"], whole.fixed["mean"], rtol=1e-6)


@pytest.mark.parametrize("term", ["s(z, k=5)", "gp(z)"])
def test_a_smooth_is_no_shared_term(term):
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"z": rng.normal(size=30), "y": rng.poisson(3.0, 30)})
    parts = [gs.Observations("y ~ 1 + f", data, family="poisson", name=name) for name in ("one", "two")]
    with pytest.raises(gs.InputError, match=r"cannot share .*: write each of them one of its own"):
        gs.fit(parts, terms={"f": term}, method="eb")
