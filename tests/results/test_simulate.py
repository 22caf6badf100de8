"""Simulated data: moments of what is drawn, parameters by name, replicates of a fit."""

import numpy as np
import pandas as pd
import pytest
import shapely
from oracles import square_mesh

import geospde as gs
from geospde.model.build import build_model
from geospde.results.simulate import _draw_term, _thetas


@pytest.fixture(scope="module")
def mesh():
    return gs.build_mesh(shapely.box(0, 0, 1000, 1000), max_edge=(150, 300), offset=300)


@pytest.fixture(scope="module")
def places():
    return pd.DataFrame(np.random.default_rng(1).uniform(0, 1000, (60, 2)), columns=["x", "y"])


PC = {"range(spde)": {"pc": [200, 0.5]}, "sigma(spde)": {"pc": [1, 0.5]}}


@pytest.fixture(scope="module")
def model(places, mesh):
    table = places.assign(seen=np.resize([1.0, 2.0], len(places)))
    return build_model("seen ~ 1 + spde(mesh)", table, coords=("x", "y"), mesh=mesh, priors=PC)


def drawn(places, mesh, seed, **options):
    given = {"coords": ("x", "y"), "mesh": mesh, "fixed": {"Intercept": 1.0}, "seed": seed}
    return gs.simulate("~ 1 + spde(mesh)", places, **{**given, **options})


@pytest.mark.slow
def test_fields_have_the_covariance_that_was_asked_for(places):
    table = places.assign(seen=np.resize([1.0, 2.0], len(places)))
    mesh = square_mesh(7, high=1000)
    model = build_model("seen ~ 1 + spde(mesh)", table, coords=("x", "y"), mesh=mesh, priors=PC)
    theta = _thetas(model, {"range(spde)": 400, "sigma(spde)": 2, "sigma": 0.5}, np.random.default_rng(1), 1)[0]
    assert [h.value(theta) for h in model.hyperparameters][:2] == pytest.approx([400, 2])
    (term,), rng = model.terms, np.random.default_rng(2)
    draws = _draw_term(term, theta[:2], rng.standard_normal((term.n, 1500)))
    expected = np.linalg.inv(term.precision.matrix(theta[:2]).toarray())
    # variances of 1500 draws have an error of 3.7 %, the largest of 2,000 covariances one of four times that
    assert np.abs(np.cov(draws) - expected).max() < 0.15 * expected.diagonal().max()


def test_responses_have_the_family_s_moments():
    rows = pd.DataFrame({"k": np.arange(20_000)})
    table = gs.simulate("count ~ 1", rows, family="poisson", fixed={"Intercept": 2}, seed=1)
    assert table["count"].mean() == pytest.approx(np.exp(2), rel=0.01)
    assert table["count"].var() == pytest.approx(np.exp(2), rel=0.05)
    trials = pd.DataFrame({"n": np.full(5000, 20)})
    cases = gs.simulate("p(cases, n) ~ 1", trials, family="binomial", fixed={"Intercept": 0}, seed=1)
    assert cases["cases"].mean() == pytest.approx(10, rel=0.02)


@pytest.mark.slow
def test_what_is_left_out_comes_from_the_prior(places, mesh, model):
    rng = np.random.default_rng(3)
    ranges = [model.hyperparameters[0].value(_thetas(model, {"sigma": 1}, rng, 1)[0]) for _ in range(100)]
    # P(range < 200) = 0.5; of 100 draws within three standard errors
    assert 35 <= np.sum(np.array(ranges) < 200) <= 65
    options = {"priors": PC, "hyper": {"sigma": 1}}
    pd.testing.assert_frame_equal(drawn(places, mesh, 3, **options), drawn(places, mesh, 3, **options))


def test_places_and_covariates_stay_as_they_are(places, mesh):
    options = {"hyper": {"range(spde)": 400, "sigma(spde)": 1, "sigma": 1e-6}}
    made = drawn(places, mesh, 5, **options)
    pd.testing.assert_frame_equal(made[["x", "y"]], places)
    named = gs.simulate(
        "z ~ 1 + spde(mesh)", places, coords=("x", "y"), mesh=mesh, seed=5, fixed={"Intercept": 1.0}, **options
    )
    np.testing.assert_allclose(made["response"], named["z"])
    line = gs.simulate("~ y", places, fixed={"Intercept": 1.0, "y": 2.0}, hyper={"sigma": 1e-6}, seed=1)
    np.testing.assert_allclose(line["response"], 1 + 2 * places["y"], atol=1e-4)
    for formula in ("y ~ 1 + spde(mesh)", "z ~ eta + spde(mesh)", "~ y + response + spde(mesh)"):
        with pytest.raises(gs.InputError, match="which the model uses already"):
            gs.simulate(formula, places, coords=("x", "y"), mesh=mesh)


def test_groups_and_walks_are_drawn_inside_their_constraints():
    table = pd.DataFrame({"g": np.repeat(list("abcdef"), 5), "t": np.tile(np.arange(5), 6)})
    made = gs.simulate(
        "~ 1 + (1 | g) + rw1(t)", table, fixed={"Intercept": 0}, hyper={"sigma": 1, "sd(Intercept | g)": 2}, seed=1
    )
    walk = [value for name, value in made.attrs["latent"].items() if name.startswith("rw1")]
    assert made["eta"].nunique() > 6 and abs(sum(walk)) < 1e-8


def test_a_fit_replicates_its_responses(places, mesh):
    options = {"family": "poisson", "hyper": {"range(spde)": 400, "sigma(spde)": 0.7}}
    table = drawn(places, mesh, 5, **options)
    fit = gs.fit("response ~ 1 + spde(mesh)", table, coords=("x", "y"), mesh=mesh, family="poisson", method="eb")
    replicates = fit.simulate(400, seed=1)
    assert replicates.shape == (60, 400)
    expected = fit.fitted["mean"].to_numpy()
    error = np.sqrt((expected + fit.fitted["sd"].to_numpy() ** 2) / 400)
    assert (np.abs(replicates.mean(axis=1) - expected) < 5 * error).all()
    lines = fit.plot_predictive_check(draws=50).get_lines()
    assert len(lines) == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"fixed": {}}, "has a flat prior"),
        ({"fixed": {"Intercpet": 1}}, "did you mean 'Intercept'"),
        ({"hyper": {"rnage(spde)": 1}}, "did you mean 'range"),
        ({"hyper": {"range(spde)": np.nan}}, "finite number"),
        ({"hyper": {"range(spde)": 1, "sigma(spde)": 1, "kappa(spde)": 1}}, "follows from the others"),
        ({"hyper": {"range(spde)": -1}}, "cannot be -1"),
        ({"seed": -1}, "a seed is"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(places, mesh, options, said):
    with pytest.raises(gs.InputError, match=said):
        drawn(places, mesh, **{"seed": 1, **options})
