"""Adaptive Gauss-Hermite quadrature: GLMMadaptive's numbers, and likelihoods integrated on a fine grid."""

import numpy as np
import pandas as pd
import pytest
from mixed import chapter
from scipy.special import gammaln, logsumexp

import geospde as gs
from geospde.likelihood.likelihoods import Joint, Unpriored
from geospde.likelihood.quadrature import Quadrature
from geospde.linalg.threads import one_blas_thread
from geospde.model.build import build_model

CBPP = gs.load_dataset("cbpp")
FORMULA = "p(incidence, size) ~ period + (1 | herd)"


@pytest.fixture(scope="module", autouse=True)
def small_matrices():
    """Small dense matrices are slow where threads wait for each other."""
    with one_blas_thread():
        yield


@pytest.fixture(scope="module")
def counts():
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"g": np.repeat(np.arange(8), 5), "x": rng.normal(size=40)})
    slopes = rng.normal(size=(8, 2)) * [0.9, 0.6]
    eta = 0.5 + 0.4 * data["x"] + slopes[data["g"], 0] + slopes[data["g"], 1] * data["x"]
    data["y"] = rng.poisson(np.exp(eta))
    return data


def test_the_herds_have_the_optimum_of_high_precision():
    exact = chapter("exact_optima")["cbpp_nq60"]
    fit = gs.fit(FORMULA, CBPP, family="binomial", method="ml", quadrature=60)
    assert fit.log_likelihood == pytest.approx(exact["logLik"], abs=1e-8)
    np.testing.assert_allclose(fit.fixed["estimate"], exact["beta"], rtol=1e-6)  # some seven digits in the reference
    np.testing.assert_allclose(fit.fixed["se"], exact["se"], rtol=1e-5)
    assert fit.hyper["estimate"].iloc[0] == pytest.approx(exact["sd"], rel=1e-6)
    assert fit.hyper["se"].iloc[0] == pytest.approx(exact["sd"] * exact["se_logsd"], rel=1e-5)


def test_eleven_points_are_as_good_and_count_groups():
    exact = chapter("exact_optima")["cbpp_nq60"]
    fit = gs.fit(FORMULA, CBPP, family="binomial", method="ml", quadrature=11)
    assert fit.log_likelihood == pytest.approx(exact["logLik"], rel=1e-7)
    assert fit.aic == pytest.approx(exact["AIC"], abs=1e-5)
    assert fit.bic == pytest.approx(exact["BIC_n15"], abs=1e-5)
    np.testing.assert_allclose(fit.fixed["estimate"], exact["beta"], rtol=1e-6)


@pytest.mark.parametrize("points", [5, 25])
def test_other_numbers_of_points_are_lme4s(points):
    lme4 = chapter("glmm")[f"glmer_nAGQ{points}"]
    saturated = chapter("exact_optima")["cbpp_saturated_logLik"]  # lme4's are relative to it
    fit = gs.fit(FORMULA, CBPP, family="binomial", method="ml", quadrature=points)
    assert fit.log_likelihood == pytest.approx(lme4["logLik"] + saturated, abs=1e-6)
    # lme4's optimum is good to five digits
    np.testing.assert_allclose(fit.fixed["estimate"], [c["Estimate"] for c in lme4["coefs"]], rtol=5e-5)
    np.testing.assert_allclose(fit.fixed["se"], [c["Std. Error"] for c in lme4["coefs"]], rtol=1e-4)


@pytest.mark.slow
def test_profiles_follow_the_quadrature():
    fit = gs.fit(FORMULA, CBPP, family="binomial", method="ml", quadrature=11)
    name = "sd(Intercept | herd)"
    low, high = fit.confint(name).loc[name]
    model = Unpriored.of(build_model(FORMULA, CBPP, family="binomial"))
    likelihood, beta = Quadrature(model, 31), fit.fixed["estimate"].to_numpy()
    for end in (low, high):
        # with beta at the estimate, not at its best, the likelihood is lower, by less than a tenth here
        drop = 2 * (fit.log_likelihood - likelihood.at(np.r_[np.log(end), beta]).log_posterior)
        assert 1.959964**2 - 1e-4 < drop < 1.1 * 1.959964**2


def on_a_grid(data, beta, root, reach=8.0, size=241):
    """Log likelihood of Poisson counts with effects ``root @ v`` of a group, v normal, by the trapezium rule."""
    axis = np.linspace(-reach, reach, size)
    v = np.stack(np.meshgrid(*[axis] * len(root), indexing="ij"), -1).reshape(-1, len(root))
    log_weight = -0.5 * (v**2).sum(axis=1) + len(root) * np.log((axis[1] - axis[0]) / np.sqrt(2 * np.pi))
    total = 0.0
    for _, own in data.groupby("g"):
        z = np.column_stack([np.ones(len(own)), own["x"]])
        eta = (z @ beta)[:, None] + z[:, : len(root)] @ np.asarray(root) @ v.T
        y = own["y"].to_numpy()[:, None]
        total += logsumexp(log_weight + (y * eta - np.exp(eta) - gammaln(y + 1)).sum(axis=0))
    return total


def test_one_effect_a_group_against_a_grid(counts):
    model = Unpriored.of(build_model("y ~ x + (1 | g)", counts, family="poisson"))
    beta = np.array([-0.4, 0.3])
    exact = on_a_grid(counts, beta, [[0.8]])
    value = Quadrature(model, 25).at(np.array([np.log(0.8), *beta])).log_posterior
    assert value == pytest.approx(exact, abs=1e-8)
    errors = [abs(Quadrature(model, n).at(np.array([np.log(0.8), *beta])).log_posterior - exact) for n in (3, 5, 9)]
    assert (np.diff(errors) < 0).all()  # more points, smaller errors


def test_two_effects_a_group_against_a_grid(counts):
    model = Unpriored.of(build_model("y ~ x + (x | g)", counts, family="poisson"))
    likelihood = Quadrature(model, 15)
    units = likelihood.effects[0].factor.units
    root, beta = np.array([[0.9, 0.0], [0.2, 0.5]]), np.array([-0.4, 0.3])
    psi = np.r_[(root / units[:, None])[np.tril_indices(2)], beta]
    # fifteen points an axis leave 1e-8 of these counts; the grid is exact
    assert likelihood.at(psi).log_posterior == pytest.approx(on_a_grid(counts, beta, root), abs=1e-6)


@pytest.mark.parametrize("formula", ["y ~ x + (1 | g)", "y ~ x + (x | g)", "y ~ x + (x || g)"])
@pytest.mark.parametrize("family", ["poisson", "nbinomial"])
def test_gradients_are_exact_with_few_points_too(counts, formula, family):
    model = Unpriored.of(build_model(formula, counts, family=family))
    own = {"y ~ x + (1 | g)": [-0.3], "y ~ x + (x | g)": [0.8, 0.3, 0.4], "y ~ x + (x || g)": [-0.3, -0.6]}[formula]
    psi = np.array([*own, *([0.7] if family == "nbinomial" else []), -0.4, 0.3])
    for points in (1, 2, 3):
        likelihood = Quadrature(model, points)
        numeric = [
            (likelihood.at(psi + h).log_posterior - likelihood.at(psi - h).log_posterior) / 2e-5
            for h in 1e-5 * np.eye(psi.size)
        ]
        np.testing.assert_allclose(likelihood.at(psi).gradient, numeric, atol=1e-6)
    # one point is Laplace
    assert Quadrature(model, 1).at(psi).log_posterior == pytest.approx(Joint(model).at(psi).log_posterior, abs=1e-10)


@pytest.mark.slow
def test_a_fit_with_slopes_stands_at_the_maximum_of_the_grid(counts):
    fit = gs.fit("y ~ x + (x | g)", counts, family="poisson", method="ml", quadrature=15)
    a, b, r = fit.hyper["estimate"]
    root = np.array([[a, 0.0], [r * b, b * np.sqrt(1 - r**2)]])
    beta = fit.fixed["estimate"].to_numpy()
    top = on_a_grid(counts, beta, root)
    assert fit.log_likelihood == pytest.approx(top, abs=1e-5)  # what fifteen points leave
    for j in range(2):
        for step in (-0.1, 0.1):
            assert on_a_grid(counts, beta + step * np.eye(2)[j], root) < top
            assert on_a_grid(counts, beta, root + step * np.eye(2)[[j]].T @ np.eye(2)[[0]]) < top


def test_for_gaussian_responses_laplace_is_exact():
    data = gs.load_dataset("sleepstudy")
    by_points = gs.fit("Reaction ~ Days + (Days | Subject)", data, method="ml", quadrature=3)
    assert by_points.log_likelihood == pytest.approx(chapter("exact_optima")["sleep_ML"]["logLik"], abs=1e-8)


@pytest.mark.parametrize(
    ("formula", "options", "said"),
    [
        ("y ~ x + (1 | g) + (1 | h)", {}, "one group, not of 'g' and 'h'"),
        ("y ~ x + (1 | g / h)", {}, "one group, not of 'g' and 'g:h'"),
        ("y ~ x", {}, "over random effects, and the formula has none"),
        ("y ~ x + spde(mesh)", {"mesh": "square", "coords": ("x", "w")}, "'spde' is none"),
        ("y ~ x + (1 | g)", {"quadrature": 101}, "1 to 100 points"),
        ("y ~ x + (1 | g)", {"quadrature": 0}, "not 0"),
        ("y ~ x + (x + w + v + u | g)", {"quadrature": 60}, "take fewer points"),
    ],
)
def test_what_quadrature_cannot_do_is_told(counts, formula, options, said):
    from oracles import square_mesh

    rng = np.random.default_rng(2)
    data = counts.assign(h=np.tile(np.arange(4), 10), **{k: rng.uniform(size=40) for k in "wvu"})
    if "mesh" in options:
        options, data = {**options, "mesh": square_mesh(3)}, data.assign(x=rng.uniform(size=40))
    with pytest.raises(gs.InputError, match=said):
        gs.fit(formula, data, family="poisson", **{"method": "ml", "quadrature": 5, **options})
