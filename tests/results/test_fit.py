"""gs.fit as a user calls it: models beside the reference one, bad input, saving, draws, prediction."""

import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest
from oracles import reference_fit, square_mesh

import geospde as gs

RNG = np.random.default_rng(8)
MESH = square_mesh(8)
SITES = pd.DataFrame(
    {
        "x": RNG.uniform(0, 1, 80),
        "y": RNG.uniform(0, 1, 80),
        "depth": RNG.normal(0, 1, 80),
        "station": [f"s{i % 10}" for i in range(80)],
        "effort": RNG.uniform(1, 3, 80),
    }
)
SITES["count"] = RNG.poisson(SITES["effort"] * np.exp(0.5 + 0.4 * SITES["depth"] + np.sin(5 * SITES["x"])))
PLACE = {"coords": ("x", "y"), "family": "poisson"}


def fit(formula, data=SITES, **options):
    return gs.fit(formula, data, **{"mesh": MESH, **PLACE, **options})


@cache
def by_effort():
    return fit("count ~ depth + spde(mesh)", exposure="effort")


def test_without_random_terms_it_is_poisson_regression():
    from scipy.optimize import minimize

    ours = fit("count ~ depth + log_effort", SITES.assign(log_effort=np.log(SITES["effort"])), method="eb",
               strategy="gaussian")  # fmt: skip
    x = np.column_stack([np.ones(80), SITES["depth"], np.log(SITES["effort"])])
    y = SITES["count"].to_numpy()
    best = minimize(lambda b: (np.exp(x @ b) - y * (x @ b)).sum(), np.zeros(3), method="BFGS")
    np.testing.assert_allclose(ours.fixed["mean"], best.x, atol=1e-4)
    information = x.T @ (np.exp(x @ best.x)[:, None] * x)
    np.testing.assert_allclose(ours.fixed["sd"], np.sqrt(np.diag(np.linalg.inv(information))), rtol=1e-4)
    assert list(ours.fixed.index) == ["Intercept", "depth", "log_effort"]
    assert len(ours.hyper) == 0


@pytest.mark.slow
def test_exposure_and_offset_are_the_same_thing_on_two_scales():
    logs = SITES.assign(log_e=np.log(SITES["effort"]))
    by_offset = fit("count ~ depth + offset(log_e) + spde(mesh)", logs, method="eb")
    # the default PC prior looks at the rate, which an offset leaves alone
    assert by_offset.hyper.shape == by_effort().hyper.shape
    same = {"priors": {"sigma(spde)": {"pc": [1, 0.05]}, "range(spde)": {"pc": [0.1, 0.05]}}}
    a = fit("count ~ depth + spde(mesh)", exposure="effort", **same)
    b = fit("count ~ depth + spde(mesh)", offset=np.log(SITES["effort"]), **same)
    np.testing.assert_allclose(a.fixed, b.fixed, rtol=1e-6)
    np.testing.assert_allclose(a.hyper, b.hyper, rtol=1e-5)
    # fitted values are per unit exposure: the offset's include it
    np.testing.assert_allclose(a.fitted["mean"] * SITES["effort"], b.fitted["mean"], rtol=1e-6)


@pytest.mark.slow
def test_field_and_nugget_together_with_priors_by_name():
    ours = fit(
        "count ~ depth + spde(mesh, prior_range=(0.1, 0.05), prior_sigma=(2, 0.05)) + (1 | station)",
        exposure="effort",
        priors={"sd(Intercept | station)": {"pc": [1, 0.01]}, "depth": {"gaussian": [0, 1]}},
        integration="ccd",
    )
    assert list(ours.hyper.index) == [
        "range(spde)", "sigma(spde)", "kappa(spde)", "tau(spde)", "sd(Intercept | station)",
    ]  # fmt: skip
    assert "Intercept | station[s3]" in ours.random.index
    assert ours.describe()["priors"]["sd(Intercept | station)"] == "PC: P(sd > 1) = 0.01"
    # the stations were simulated without an effect, depth with 0.4
    assert ours.hyper.loc["sd(Intercept | station)", "mean"] < 0.5
    assert ours.fixed.loc["depth", "q0.025"] < 0.4 < ours.fixed.loc["depth", "q0.975"]


def test_a_tight_prior_on_a_coefficient_holds_it():
    held = fit("count ~ depth", priors={"depth": {"gaussian": [2.0, 0.001]}})
    assert held.fixed.loc["depth", "mean"] == pytest.approx(2.0, abs=0.01)


@pytest.mark.slow
def test_sampled_draws_have_the_tables_moments_and_are_reproducible():
    ours = reference_fit(1.5)
    draws = ours.sample(4000, seed=5)
    pd.testing.assert_frame_equal(draws, ours.sample(4000, seed=5), rtol=1e-10)
    names = ["Intercept", "range(spde)", "spde[3]", "spde[200]"]
    tables = pd.concat([ours.fixed, ours.hyper, ours.random]).loc[names]
    standard_error = tables["sd"] / np.sqrt(4000)
    assert ((draws[names].mean() - tables["mean"]).abs() < 5 * standard_error).all()
    np.testing.assert_allclose(draws[names].std(), tables["sd"], rtol=0.06)  # five standard errors
    assert np.abs(draws.filter(like="spde[").to_numpy() @ ours.model.precisions[0].mass).max() < 1e-5


def test_a_saved_fit_predicts_as_before(tmp_path):
    ours = fit("count ~ depth + spde(mesh) + (1 | station)", exposure="effort")
    ours.save(tmp_path / "mine")
    again = gs.load_fit(tmp_path / "mine")
    for table in ("fixed", "hyper", "random", "fitted", "pointwise"):
        pd.testing.assert_frame_equal(getattr(again, table), getattr(ours, table))
    assert again.criteria == ours.criteria
    new = SITES.head(5).assign(station="s1")
    pd.testing.assert_frame_equal(again.predict(new).to_frame(), ours.predict(new).to_frame())
    assert again.predict(new).label == "count / effort"


def test_prediction_at_the_sites_is_the_fitted_value():
    ours = by_effort()
    frame = ours.predict(SITES).to_frame()
    np.testing.assert_allclose(frame["mean"], ours.fitted["mean"], rtol=1e-9)
    np.testing.assert_allclose(frame["q0.975"], ours.fitted["q0.975"], rtol=1e-9)


def test_exceedance_is_the_tail_of_the_quantiles():
    surface = reference_fit(1.5).predict(gs.load_dataset("rongelap").points.iloc[[3, 90]], exceed=[8.0])
    frame = surface.to_frame()
    np.testing.assert_allclose(surface.exceedance(8.0), frame["exceed_8"])
    for row in range(2):
        assert surface.exceedance(frame["q0.975"][row])[row] == pytest.approx(0.025, abs=1e-6)
    for below in (0.0, -1.0):  # a rate is above them; the weights of a mixture sum to one but for rounding
        np.testing.assert_allclose(surface.exceedance(below), 1.0, rtol=1e-14)


@pytest.mark.slow
def test_chunks_do_not_show(monkeypatch):
    from geospde.prediction import surface

    places = RNG.uniform(0.1, 0.9, (50, 2))
    ours = fit("count ~ 1 + spde(mesh)")
    whole = ours.predict(places, exceed=[2.0]).to_frame()
    monkeypatch.setattr(surface, "CHUNK", 7)
    pd.testing.assert_frame_equal(ours.predict(places, exceed=[2.0]).to_frame(), whole)


def test_two_fields_keep_apart():
    ours = fit("count ~ 1 + spde(coarse) + spde(fine, label='near')", mesh={"coarse": square_mesh(3), "fine": MESH},
               method="eb")  # fmt: skip
    assert {"range(spde)", "sigma(near)"} <= set(ours.hyper.index)


BAD = [
    ("cuonts ~ 1 + spde(mesh)", {}, "did you mean 'count'"),
    ("count ~ dpeth + spde(mesh)", {}, "did you mean 'depth'"),
    ("count ~ 1 + spde(mesh)", {"family": "poison"}, "family"),
    ("count ~ 1 + spde(mesh)", {"family": "poisson", "link": "inverse"}, "link"),
    ("count ~ 1 + spde(mesh)", {"method": "magic"}, "method"),
    ("count ~ 1 + spde(mesh)", {"exposure": "efort"}, "did you mean 'effort'"),
    ("count ~ 1 + spde(mesh)", {"exposure": "station"}, "'station' must be a finite number: row 0 holds 's0'"),
    ("count ~ 1 + spde(mesh)", {"exposure": np.r_[0.0, np.ones(79)]}, "exposure must be positive: row 0 holds 0"),
    ("count ~ 1 + spde(mesh)", {"exposure": np.ones(3)}, "80 finite numbers"),
    ("count ~ 1 + spde(mesh)", {"coords": "x"}, "two columns"),
    ("count ~ 1 + spde(mesh)", {"coords": None}, "needs coordinates"),
    ("count ~ 1 + spde(mesh)", {"mesh": None}, "needs a mesh"),
    ("count ~ 1 + spde(mesh)", {"mesh": {"sea": MESH}}, "no mesh 'mesh'"),
    ("count ~ 1 + spde(mesh, alhpa=2)", {}, "did you mean 'alpha'"),
    ("count ~ 1 + spde(mesh, alpha=3)", {}, "between 1 and 2"),
    ("count ~ 1 + spde(mesh, alpha='two')", {}, "number"),
    ("count ~ 1 + spde(mesh, constr=1)", {}, "True or False"),
    ("count ~ 1 + spde(mesh, prior='flat')", {}, "'pc' or 'spde2'"),
    ("count ~ 1 + spde(mesh, prior_range=(1, 2))", {}, "between 0 and 1"),
    ("count ~ 1 + spde(mesh, prior_range=5)", {}, "two numbers"),
    ("count ~ 1 + spde(mesh, prior='spde2', prior_range=(1, 0.5))", {}, "belong"),
    ("count ~ 1 + spde()", {}, "name of one mesh"),
    ("count ~ 1 + spde(mesh)", {"priors": {"range(sdpe)": {"pc": [1, 0.5]}}}, r"did you mean 'range\(spde\)'"),
    ("count ~ 1 + spde(mesh)", {"priors": {"range(spde)": {"beta": [1, 0.5]}}}, "choose from"),
    ("count ~ 1 + spde(mesh)", {"priors": {"range(spde)": {"pc": [1]}}}, "does not take"),
    ("count ~ 1 + spde(mesh)", {"priors": "weak"}, "priors is"),
    ("count ~ 0", {}, "nothing to estimate"),
    ("count ~ (1 | one)", {}, "one level"),
    ("count ~ missing", {}, "no value in row 4"),
    ("holes ~ 1 + spde(mesh)", {}, "'holes' must be a finite number: row 2 holds inf"),
    ("negative ~ 1 + spde(mesh)", {}, "row 5 holds -1"),
]


@pytest.mark.parametrize("formula, options, message", BAD, ids=[f"{i}-{m[:20]}" for i, (_, _, m) in enumerate(BAD)])
def test_a_mistake_gets_one_sentence(formula, options, message):
    data = SITES.assign(twice=2 * SITES["depth"], one="a", missing=SITES["depth"], holes=SITES["count"] * 1.0)
    data.loc[4, "missing"], data.loc[2, "holes"] = np.nan, np.inf
    data["negative"] = SITES["count"].where(SITES.index != 5, -1)
    with pytest.raises(gs.InputError, match=message) as caught:
        fit(formula, data, **options)
    assert "\n" not in str(caught.value)


def test_rows_of_no_trials_are_left_out_with_a_note():
    table = SITES.assign(tried=np.where(SITES.index < 3, 0, 5), hit=np.where(SITES.index < 3, 0, SITES.index % 5))
    weights = np.where(SITES.index % 2, 1.0, 2.0)
    options = {"family": "binomial", "method": "ml"}
    with pytest.warns(gs.GeospdeWarning, match="3 rows with no trials left out: 0, 1 and 2"):
        some = gs.fit("p(hit, tried) ~ depth", table, weights=weights, **options)
    rest = gs.fit("p(hit, tried) ~ depth", table.iloc[3:], weights=weights[3:], **options)
    pd.testing.assert_frame_equal(some.fixed, rest.fixed)
    with pytest.raises(gs.InputError, match="trials"):
        gs.fit("p(hit, tried) ~ depth", table.assign(hit=1), **options)
    with pytest.raises(gs.InputError, match="trials"):
        gs.fit("p(hit, tried) ~ depth", table.assign(hit=0, tried=0), **options)


def test_rows_without_a_response_or_exposure_are_left_out_and_predicted():
    table = SITES.assign(count=SITES["count"] * 1.0, time=1.0)
    table.loc[[3, 7], "count"] = np.nan
    table.loc[9, ["count", "time"]] = 0.0
    options = {"family": "poisson", "method": "ml", "exposure": "time"}
    with (
        pytest.warns(gs.GeospdeWarning, match="2 rows without a response left out: 3 and 7") as told,
        pytest.warns(gs.GeospdeWarning, match="1 row of no exposure, with nothing counted, left out: 9") as inner,
    ):
        some = gs.fit("count ~ depth", table, **options)
    assert {one.message.subject for one in (*told, *inner)} == {"response", "exposure"}
    rest = gs.fit("count ~ depth", table.drop(index=[3, 7, 9]), **options)
    pd.testing.assert_frame_equal(some.fixed, rest.fixed)
    assert np.isfinite(some.predict(table).to_frame()["mean"]).all()
    with pytest.raises(gs.InputError, match="exposure must be positive: row 9 holds 0"):
        gs.fit("count ~ depth", table.fillna(1.0).assign(count=1), **options)


def test_a_fit_that_left_columns_out_is_loaded_in_silence(tmp_path):
    with pytest.warns(gs.GeospdeWarning, match="collinear"):
        fit("count ~ depth + twice", SITES.assign(twice=2 * SITES["depth"])).save(tmp_path / "fit")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert gs.load_fit(tmp_path / "fit").fixed.index.tolist() == ["Intercept", "depth"]


def test_a_column_that_says_nothing_new_is_left_out_and_named(capsys):
    with pytest.warns(gs.GeospdeWarning, match="depth, twice are collinear"):
        both = fit("count ~ depth + twice", SITES.assign(twice=2 * SITES["depth"]))
    alone = fit("count ~ depth")
    # the same model of the same numbers, in other runs of the optimiser
    assert both.fixed.index.tolist() == ["Intercept", "depth"]
    assert np.allclose(both.fixed, alone.fixed, rtol=1e-6)
    both.summary()
    assert "Left out, as the data do not tell them from the other fixed effects\n  twice" in capsys.readouterr().out


def test_sites_off_the_mesh_are_counted():
    with pytest.raises(gs.InputError, match="2 of 80 points lie outside the mesh"):
        fit("count ~ 1 + spde(mesh)", SITES.assign(x=SITES["x"].where(SITES.index > 1, 7.0)))


def test_an_empty_table_and_a_table_that_is_none_are_refused():
    with pytest.raises(gs.InputError, match="empty"):
        fit("count ~ 1", SITES.head(0))
    with pytest.raises(gs.InputError, match="DataFrame"):
        fit("count ~ 1", {"count": [1]})


def test_crs_of_data_and_mesh_must_agree():
    import geopandas as gpd

    points = gpd.GeoDataFrame(SITES, geometry=gpd.points_from_xy(SITES["x"], SITES["y"]), crs="EPSG:32658")
    mesh = gs.Mesh(MESH.vertices, MESH.triangles, crs="EPSG:32659")
    with pytest.raises(gs.InputError, match="one CRS"):
        gs.fit("count ~ 1 + spde(mesh)", points, mesh=mesh, family="poisson")


@pytest.mark.parametrize(
    "where, options, message",
    [
        (np.zeros((0, 2)), {}, "empty"),
        (np.array([[0.5, np.nan]]), {}, "finite"),
        (np.array([0.5, 0.5]), {}, r"\(m, 2\)"),
        (np.array([[5.0, 5.0]]), {}, "outside the mesh"),
        (np.array([[0.5, 0.5]]), {"quantiles": [2]}, "between 0 and 1"),
        (np.array([[0.5, 0.5]]), {"exceed": [np.inf]}, "threshold"),
    ],
)
def test_bad_places_are_refused(where, options, message):
    with pytest.raises(gs.InputError, match=message):
        fit("count ~ 1 + spde(mesh)", method="eb").predict(where, **options)


def test_prediction_asks_for_what_the_model_had():
    covariate = fit("count ~ depth + spde(mesh)", method="eb")
    with pytest.raises(gs.InputError, match="'depth'"):
        covariate.predict(np.array([[0.5, 0.5]]))
    offset = fit("count ~ 1 + spde(mesh)", offset="depth", method="eb")
    with pytest.raises(gs.InputError, match="offset"):
        offset.predict(np.array([[0.5, 0.5]]))
    assert len(offset.predict(np.array([[0.5, 0.5]]), offset=0.0).to_frame()) == 1


def test_an_unknown_marginal_names_the_nearest():
    with pytest.raises(gs.InputError, match=r"did you mean 'range\(spde\)'"):
        reference_fit(1.5).marginal("rnage(spde)")


def test_the_summary_prints_tables_priors_and_criteria(capsys):
    reference_fit(1.5).summary()
    text = capsys.readouterr().out
    for word in ("Intercept", "range(spde)", "log marginal likelihood -1327.5", "DIC 1834", "Priors"):
        assert word in text


def test_loo_is_that_of_refits_and_flags_what_importance_sampling_cannot_do():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"x": rng.normal(size=60), "g": np.repeat(np.arange(12), 5)})
    table["y"] = rng.poisson(np.exp(1 + 0.3 * table["x"]))
    ours = gs.fit("y ~ x + (1 | g)", table, family="poisson")
    # importance sampling and the Laplace approximation without the observation are two ways to one number
    difference = ours.pointwise["loo"] - np.log(ours.pointwise["cpo"])
    assert difference.abs().max() < 0.1 and abs(difference.mean()) < 0.01  # noise of 2,000 draws
    assert ours.criteria["pareto_k_above_0.7"] == 0
    assert ours.criteria["looic"] == pytest.approx(ours.criteria["waic"], abs=1.0)
    # every Rongelap site has a vertex of its own: its count alone says what the field is there
    survey = reference_fit(1.5)
    assert survey.criteria["pareto_k_above_0.7"] > 100
    assert survey.criteria["elpd_loo"] == pytest.approx(np.log(survey.pointwise["cpo"]).sum(), abs=5)


def test_marginals_of_predictors_and_linear_combinations():
    ours = by_effort()
    row = ours.fitted.iloc[7]
    marginal = ours.marginal("fitted[7]")
    assert marginal.mean == pytest.approx(row["mean"], rel=1e-4)
    assert marginal.quantile(0.975) == pytest.approx(row["q0.975"], rel=1e-4)
    assert ours.marginal("eta[7]").quantile(0.5) == pytest.approx(np.log(row["q0.5"]), abs=1e-4)
    draws = ours.sample(4000, seed=1)
    weights = {"Intercept": 1.0, "depth": -2.0, "spde[40]": 1.0}
    combined = ours.marginal(weights)
    simulated = sum(w * draws[name] for name, w in weights.items())
    assert combined.mean == pytest.approx(simulated.mean(), abs=5 * combined.sd / np.sqrt(4000))
    assert combined.sd == pytest.approx(simulated.std(), rel=0.06)
    with pytest.raises(gs.InputError, match="did you mean 'depth'"):
        ours.marginal({"dpeth": 1.0})
    with pytest.raises(gs.InputError, match="nothing is called"):
        ours.marginal("fitted[80]")


def test_points_and_weights_of_the_integration_are_there():
    points = reference_fit(1.5).theta_points
    assert len(points) == 16 and points["weight"].sum() == pytest.approx(1)
    mean = reference_fit(1.5).hyper.loc["range(spde)", "mean"]
    assert points["weight"] @ points["range(spde)"] == pytest.approx(mean, rel=0.01)


def test_a_hyperparameter_can_be_held():
    from oracles import dense_laplace

    held = fit("count ~ 1 + spde(mesh)", exposure="effort", priors={"range(spde)": {"fixed": [0.3]}})
    assert held.laplace.n_theta == 1
    np.testing.assert_allclose(held.hyper.loc["range(spde)"].drop("sd"), 0.3)
    assert held.hyper.loc["range(spde)", "sd"] == 0 and held.hyper.loc["sigma(spde)", "sd"] > 0
    point = held.posterior.heaviest
    dense = dense_laplace(held.model, held.laplace.whole(point.theta))[0]
    assert held.laplace.at(point.theta).log_posterior == pytest.approx(dense, abs=1e-6)
    # kappa follows range alone, so it is held as well; tau follows both
    assert held.hyper.loc["kappa(spde)", "mean"] == pytest.approx(np.sqrt(8) / 0.3)
    assert held.hyper.loc["tau(spde)", "sd"] > 0
    both = {"range(spde)": {"fixed": [0.3]}, "sigma(spde)": {"fixed": [1.0]}}
    none_left = fit("count ~ 1 + spde(mesh)", exposure="effort", priors=both)
    assert len(none_left.posterior.points) == 1
    draws = none_left.sample(10, seed=1)
    np.testing.assert_allclose(draws["sigma(spde)"], 1.0)
    with pytest.raises(gs.InputError, match="cannot be -1"):
        fit("count ~ 1 + spde(mesh)", priors={"range(spde)": {"fixed": [-1]}})
    with pytest.raises(gs.InputError, match="held at 0.3"):
        held.marginal("range(spde)")


@pytest.mark.slow
@pytest.mark.parametrize("family, value", [("poisson", 0), ("bernoulli", 0), ("bernoulli", 1)])
def test_responses_all_at_one_end_need_a_prior_on_the_intercept(family, value):
    table = SITES.assign(count=value)
    with pytest.raises(gs.InputError, match="no finite estimate"):
        fit("count ~ 1 + spde(mesh)", table, family=family, method="eb")
    priors = {"Intercept": {"gaussian": [0, 3]}}
    held = fit("count ~ 1 + spde(mesh)", table, family=family, priors=priors, method="eb")
    assert np.isfinite(held.fixed).all(axis=None)
    assert (held.fixed.loc["Intercept", "mean"] < 0) == (value == 0)


def test_strategies_agree_where_counts_are_large_and_refine_where_they_are_small():
    few = SITES.assign(count=np.minimum(SITES["count"], 2))
    fits = {s: fit("count ~ 1 + (1 | station)", few, strategy=s) for s in ("gaussian", "vb", "simplified", "laplace")}
    assert fit("count ~ 1 + (1 | station)", few).posterior.strategy in ("vb", "simplified")
    sd = fits["vb"].random["sd"]
    for table in ("fixed", "random"):
        best = getattr(fits["laplace"], table)
        # two second-order approximations agree more closely than with the first-order one
        near = ((getattr(fits["simplified"], table)["q0.025"] - best["q0.025"]).abs() / best["sd"]).max()
        assert near < 0.03
    assert ((fits["gaussian"].random["mean"] - fits["laplace"].random["mean"]).abs() < 0.3 * sd).all()


def test_an_observation_beyond_all_prediction_has_a_finite_log_score():
    data = pd.DataFrame({"count": np.r_[np.full(20, 3), 4000]})  # its CPO is below the smallest number
    found = gs.fit("count ~ 1", data, family="poisson")
    assert np.isfinite(found.criteria["log_score"]) and found.criteria["log_score"] > 100
    assert np.isfinite(found.pointwise["loo"]).all()


@pytest.mark.slow
def test_draws_of_hyperparameters_follow_their_marginals():
    data = gs.load_dataset("sleepstudy")
    found = gs.fit("Reaction ~ Days + (Days | Subject)", data, priors="brms")
    draws = found.sample(8000, seed=3)
    for name, row in found.hyper.iterrows():
        assert draws[name].nunique() > 2000  # and not one value an integration point
        # four standard errors of 8,000 draws are 0.045 sd; cells around points shift some more
        assert draws[name].mean() == pytest.approx(row["mean"], abs=0.07 * row["sd"])
        assert draws[name].std() == pytest.approx(row["sd"], rel=0.06)
        assert draws[name].quantile(0.975) == pytest.approx(row["q0.975"], abs=0.15 * row["sd"])


def test_a_saved_fit_counts_each_offset_once(tmp_path):
    data = pd.DataFrame({"y": [3, 5, 2, 8, 4, 6], "t": [1.0, 2.0, 1.0, 3.0, 2.0, 2.0]})
    found = gs.fit("y ~ 1 + offset(log(t))", data, family="poisson", offset=np.linspace(0, 1, 6))
    found.save(tmp_path / "twice")
    again = gs.load_fit(tmp_path / "twice")
    np.testing.assert_allclose(again.model.offset, found.model.offset)
    pd.testing.assert_frame_equal(again.fitted, found.fitted)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda f: f.sample(2.5), "whole number, not 2.5"),
        (lambda f: f.sample(0), "positive"),
        (lambda f: f.effects(3), "by name, not of 3"),
        (lambda f: f.predict(pd.DataFrame({"x": [1.0]}), exceed=["a"]), "finite number, not 'a'"),
    ],
)
def test_an_argument_of_the_wrong_kind_gets_one_sentence(call, message):
    data = pd.DataFrame({"y": [1.0, 2.0, 2.5, 4.0, 5.5], "x": [1.0, 2.0, 3.0, 4.0, 5.0]})
    with pytest.raises(gs.InputError, match=message):
        call(gs.fit("y ~ x", data))


def test_a_negative_weight_is_told_with_its_row():
    data = pd.DataFrame({"y": [1.0, 2.0, 3.0], "w": [1.0, -2.0, 1.0]})
    with pytest.raises(gs.InputError, match="row 1 holds -2"):
        gs.fit("y ~ 1", data, weights="w")


@pytest.mark.parametrize("formula, method", [("count ~ s(depth, k=5)", "ubre"), ("count ~ (1 | station)", "ml"),
                                             ("count ~ spde(mesh)", "reml"), ("count ~ spde(mesh)", "eb")])  # fmt: skip
def test_blas_keeps_to_one_thread_in_a_fit(formula, method):
    """Products are small, and BLAS's threads wait for each other: on a busy machine they took four times the work."""
    from threadpoolctl import threadpool_info, threadpool_limits

    seen = []
    with threadpool_limits(2, user_api="blas"):
        fit(formula, method=method, callback=lambda *_: seen.extend(one["num_threads"] for one in threadpool_info()
                                                                    if one["user_api"] == "blas"))  # fmt: skip
    assert set(seen) == {1}
