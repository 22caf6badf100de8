"""Delta families with a Poisson link: densities of two predictors, dense algebra, sdmTMB's optima, what a fit does."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from family_checks import slope
from oracles import square_mesh
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import kstest, multivariate_normal

import geospde as gs
from geospde.families.poisson_link import PoissonLinked
from geospde.families.registry import read_family
from geospde.families.stacked import Stacked
from geospde.inference.second_order.expansion import ALONG, of_pairs
from geospde.likelihood.likelihoods import Joint, Unpriored

REFERENCE = Path(__file__).parents[1] / "reference" / "optima"


@pytest.fixture(scope="module")
def table():
    return pd.read_csv(REFERENCE / "family.csv")


@pytest.fixture(scope="module")
def fit(table):
    return gs.fit("y_deltapl_Gamma ~ x", table, family="delta_gamma", link="poisson-link", method="ml")


def linked(family, rng):
    presence = read_family("bernoulli", "cloglog").bind([0.0, 1.0, 1.0, 0.0, 1.0])
    positive = read_family(family, "log").bind(rng.gamma(2.0, 1.0, 3))
    both = Stacked.of([presence, positive], ["presence", "positive"], [True, False])
    found = PoissonLinked.of_parts(both)
    return found.at(np.full(found.theta.size, 0.2))


def hessian(likelihood, eta):
    """The second derivatives as a matrix, from what `Likelihood.pairs` says of them."""
    second = likelihood.derivatives(eta)[1]
    out = np.diag(second[: eta.size])
    for c, (i, j) in zip(second[eta.size :], likelihood.pairs):
        both = np.zeros(eta.size)
        both[[i, j]] = 1.0
        out += c * np.outer(both, both)
    return out


@pytest.mark.parametrize("family", ["gamma", "lognormal", "gengamma"])
def test_derivatives_are_those_of_the_density(family):
    rng = np.random.default_rng(1)
    here = linked(family, rng)
    eta, weights = rng.normal(0.0, 0.7, 8), rng.uniform(0.5, 2.0, 11)
    first, _, third = here.derivatives(eta)
    close = {"rtol": 1e-8, "atol": 1e-8}  # differences of fourth order at a step of 1e-4 lose 1e-16 over it
    for k, axis in enumerate(np.eye(8)):

        def along(t, axis=axis):
            return here.log_density(eta + t * axis).sum()

        np.testing.assert_allclose(first[k], slope(along, 0.0), **close)

        def along(t, axis=axis):
            return here.derivatives(eta + t * axis)[0]

        np.testing.assert_allclose(hessian(here, eta)[k], slope(along, 0.0), **close)

        def along(t, axis=axis):
            return weights @ here.derivatives(eta + t * axis)[1]

        np.testing.assert_allclose(here.pull(eta, third, weights)[k], slope(along, 0.0), **close)
    for j, axis in enumerate(np.eye(here.theta.size)):
        for order, exact in enumerate(here.theta_derivatives(eta)):

            def along(t, axis=axis, order=order):
                moved = here.at(here.theta + t * axis)
                return moved.log_density(eta) if order == 0 else moved.derivatives(eta)[order - 1]

            np.testing.assert_allclose(exact[j], slope(along, 0.0), **close)


def test_a_density_is_that_of_the_formulas():
    rng = np.random.default_rng(2)
    here = linked("gamma", rng)
    eta, shape = rng.normal(0.0, 0.7, 8), np.exp(0.2)
    n, w, y = np.exp(eta[:5]), np.exp(eta[5:]), here.parts[1].y
    p = 1 - np.exp(-n)
    there = np.array([1, 2, 4])
    mean = n[there] * w / p[there]
    np.testing.assert_allclose(here.moments(eta)[0], [*p, *mean])
    values = gs.families.Gamma().bind(y).at(np.log([shape])).log_density(np.log(mean))
    np.testing.assert_allclose(here.log_density(eta), [*np.where(here.parts[0].y == 1, np.log(p), -n), *values])


@pytest.mark.slow
def test_a_laplace_approximation_is_that_of_dense_algebra():
    rng = np.random.default_rng(3)
    sites = pd.DataFrame(rng.uniform(0.1, 0.9, (30, 2)), columns=["e", "n"])
    sites["y"] = rng.gamma(2.0, 0.5, 30) * (rng.uniform(size=30) < 0.6)
    spde = "spde(mesh)"
    fit = gs.fit(
        f"y ~ 1 + {spde}", sites, mesh=square_mesh(3), coords=("e", "n"), family="delta_poisson_link_gamma",
        formula2=f"~ 1 + {spde}", method="ml",
    )  # fmt: skip
    model = fit.model
    joint = Joint(Unpriored.of(model))
    psi = np.array([-1.0, -0.3, -1.2, -0.5, 0.4, 0.1, -0.2])
    point = joint.at(psi)
    likelihood, design = model.likelihood.at(psi[4:5]), model.design.toarray()
    q = np.zeros((32, 32))
    for k, term in enumerate(model.precisions):
        own = slice(16 * k, 16 * k + 16)
        q[own, own] = term.matrix(psi[2 * k : 2 * k + 2]).toarray()

    def eta(x):
        return design @ np.concatenate([x, psi[5:]])

    def value(x):
        return 0.5 * x @ q @ x - likelihood.log_density(eta(x)).sum()

    def downhill(x):
        return q @ x - design[:, :32].T @ likelihood.derivatives(eta(x))[0]

    def curvature(x):
        return q - design[:, :32].T @ hessian(likelihood, eta(x)) @ design[:, :32]

    x = minimize(value, np.zeros(32), jac=downhill).x
    for _ in range(3):  # the search stops at gradients of 1e-5: to full precision by Newton
        x = x - np.linalg.solve(curvature(x), downhill(x))
    dense = -value(x) + 0.5 * np.linalg.slogdet(q)[1] - 0.5 * np.linalg.slogdet(curvature(x))[1]
    assert point.log_posterior == pytest.approx(dense, abs=1e-9)
    slopes = slope(
        lambda t: np.array([joint.at(psi + t * axis, gradient=False).log_posterior for axis in np.eye(7)]), 0.0
    )
    np.testing.assert_allclose(point.gradient, slopes, atol=1e-6)


# sdmTMB's optima and means of predictions at x from -1 to 1, of 300 rows made for its tests
OPTIMA = {"Gamma": (506.817365926, 1.99739922083), "lognormal": (454.36222248, 1.94508285496)}


@pytest.mark.parametrize("name", OPTIMA)
def test_optima_are_sdmtmbs(table, name):
    optimum, mean = OPTIMA[name]
    fit = gs.fit(f"y_deltapl_{name} ~ x", table, family=f"delta_poisson_link_{name.lower()}", method="ml")
    assert -fit.log_likelihood == pytest.approx(optimum, abs=1e-6)
    found = fit.predict(pd.DataFrame({"x": np.linspace(-1, 1, 41)})).to_frame()["mean"].mean()
    assert found == pytest.approx(mean, abs=1e-5)


def test_predictions_are_of_numbers_times_amounts(table, fit):
    new = table.head(4)
    whole = fit.predict(new, exceed=[2.0]).to_frame()
    p = fit.predict(new, observations="presence").to_frame()["mean"]
    w = fit.predict(new, observations="positive").to_frame()["mean"]
    np.testing.assert_allclose(whole["mean"], -np.log1p(-p) * w, rtol=1e-10)
    rows = np.column_stack([np.ones(4), new["x"], np.ones(4), new["x"]])
    se = np.sqrt(np.einsum("ij,jk,ik->i", rows, fit.vcov.to_numpy(), rows))
    np.testing.assert_allclose(whole["sd"], whole["mean"] * se, rtol=1e-6)
    assert whole["exceed_2"].between(0, 1).all()


def test_replicates_and_residuals_are_of_both_parts(table, fit):
    y = table["y_deltapl_Gamma"]
    left = fit.residuals("quantile")
    # five standard errors of a mean and of a variance of so many standard normals
    assert abs(left.mean()) < 5 / left.size**0.5 and abs(left.var() - 1) < 5 * (2 / left.size) ** 0.5
    made = fit.simulate(200, seed=1).to_numpy()
    assert made[:300].mean() == pytest.approx((y > 0).mean(), abs=0.02)
    assert made[300:].mean() == pytest.approx(y[y > 0].mean(), rel=0.05)
    assert np.isfinite(fit.residuals("pearson")).all()


@pytest.fixture(scope="module")
def bayesian(table):
    return gs.fit("y_deltapl_Gamma ~ x", table, family="delta_gamma", link="poisson-link")


def of_observations(rows, pairs):
    """The last axis by observation: of a pair the second row has both."""
    whole = rows.copy()
    whole[..., pairs[:, 1]] += rows[..., pairs[:, 0]]
    return whole


def given_the_first(each, pairs):
    each[pairs[:, 1]] -= each[pairs[:, 0]]
    return each


@pytest.fixture(scope="module")
def exact(bayesian):
    """Draws of four coefficients and the log shape, their weights, and log densities of the rows of each."""
    draws = bayesian.sample(4000, seed=1)
    own = np.column_stack([draws[bayesian.fixed.index], np.log(draws[bayesian.hyper.index])])
    rng, spread = np.random.default_rng(2), 1.2 * np.cov(own.T)
    psi = rng.multivariate_normal(own.mean(axis=0), spread, 6000)
    model, prior = bayesian.model, bayesian.laplace
    away = psi[:, :4] - model.fixed_mean
    rows = np.array([model.likelihood.at(p[4:]).log_density(model.design @ p[:4]) for p in psi])
    log_weights = rows.sum(axis=1) - 0.5 * away**2 @ model.fixed_precision
    log_weights += [prior.log_prior(p[4:]) for p in psi]
    log_weights -= multivariate_normal(own.mean(axis=0), spread).logpdf(psi)
    weights = np.exp(log_weights - log_weights.max())
    return psi, weights / weights.sum(), rows


@pytest.mark.slow
def test_its_posterior_is_the_exact_one(bayesian, exact):
    psi, weights, _ = exact
    mean = weights @ psi[:, :4]
    sd = np.sqrt(weights @ (psi[:, :4] - mean) ** 2)
    # five thousand independent draws tell a mean to 0.014 sd and an sd to 1 per cent
    assert (np.abs(bayesian.fixed["mean"] - mean) < 0.06 * sd).all()
    np.testing.assert_allclose(bayesian.fixed["sd"], sd, rtol=0.04)
    assert bayesian.hyper["mean"].iloc[0] == pytest.approx(weights @ np.exp(psi[:, 4]), abs=0.02)
    certificate = bayesian.certify(400)
    assert certificate.log_marginal_likelihood == pytest.approx(bayesian.log_marginal_likelihood, abs=0.02)


@pytest.mark.slow
def test_criteria_are_of_whole_observations(bayesian, exact):
    _, weights, rows = exact
    pairs = bayesian.model.likelihood.pairs
    joint, log_w = of_observations(rows, pairs), np.log(weights)[:, None]
    whole = joint.copy()
    whole[:, pairs[:, 0]] = joint[:, pairs[:, 1]]
    left_out = logsumexp(log_w - whole + joint, axis=0) - logsumexp(log_w - whole, axis=0)
    left_out = given_the_first(left_out, pairs)
    # draws tell each to a hundredth; what is wrong in kind, such as one of a pair left out alone, moves them by tenths
    np.testing.assert_allclose(np.log(bayesian.pointwise["cpo"]), left_out, atol=0.03)
    np.testing.assert_allclose(bayesian.pointwise["loo"], left_out, atol=0.08)
    variance = weights @ joint**2 - (weights @ joint) ** 2
    waic = given_the_first(-2 * (logsumexp(log_w + joint, axis=0) - variance), pairs)
    np.testing.assert_allclose(bayesian.pointwise["waic"], waic, atol=0.03)
    assert bayesian.criteria["p_dic"] == pytest.approx(5, abs=0.2)  # five parameters
    pit = bayesian.pointwise["pit"].to_numpy()[300:]
    assert kstest(pit, "uniform").pvalue > 0.001


@pytest.mark.slow
def test_observations_are_left_out_whole(bayesian):
    pairs = bayesian.model.likelihood.pairs
    for name, first, size in [("presence", 0, 300), ("positive", 300, len(pairs))]:
        left = bayesian.validate("loo", observations=name, baselines=False, draws=200).pointwise
        np.testing.assert_allclose(
            left["log_density"], np.log(bayesian.pointwise["cpo"])[first : first + size], rtol=1e-9
        )
        # a fifth of the data tells five parameters almost as much less
        refit = bayesian.validate("random", k=5, observations=name, baselines=False, draws=200).pointwise
        assert refit["log_density"].sum() == pytest.approx(left["log_density"].sum(), abs=2)


def test_second_order_terms_are_those_of_the_density():
    rng = np.random.default_rng(5)
    here = linked("gamma", rng)
    eta, (i, j) = rng.normal(0.0, 0.7, 8), here.pairs.T
    third, fourth = of_pairs(here, eta)
    for _ in range(3):
        way = rng.normal(size=8)
        along = np.concatenate([way, *(way[i] + times * way[j] for times in ALONG)])
        curved = [float(way @ hessian(here, eta + t * way) @ way) for t in (-0.01, 0.0, 0.01)]
        assert third @ along**3 == pytest.approx((curved[2] - curved[0]) / 0.02, rel=1e-3)  # of steps of 0.01
        assert fourth @ along**4 == pytest.approx((curved[2] - 2 * curved[1] + curved[0]) / 1e-4, rel=1e-2)


@pytest.mark.slow
def test_second_order_evidence_is_nearer_to_the_exact_one():
    rng = np.random.default_rng(4)
    group, x = np.repeat(np.arange(15), 4), rng.normal(size=60)
    n = np.exp(-0.4 + 0.5 * x + rng.normal(0, 0.9, 15)[group])
    value = n * np.exp(0.2 + 0.3 * x + rng.normal(0, 0.6, 15)[group]) / (1 - np.exp(-n))
    y = (rng.uniform(size=60) < 1 - np.exp(-n)) * rng.gamma(1.5, value / 1.5)
    groups = pd.DataFrame({"y": y, "x": x, "g": group.astype(str)})
    held = {"presence: sd(Intercept | g)": 0.9, "positive: sd(Intercept | g)": 0.6, "positive: shape": 2.0}
    held = {name: {"fixed": value} for name, value in held.items()}
    found = {}
    for strategy in ("vb", "auto"):
        fit = gs.fit("y ~ x + (1 | g)", groups, family="delta_poisson_link_gamma", strategy=strategy, priors=held)
        found[strategy] = fit.log_marginal_likelihood
    exact = fit.certify(600)
    assert fit.posterior.strategy == "simplified"
    assert abs(found["auto"] - exact.log_marginal_likelihood) < 0.5 * abs(found["vb"] - exact.log_marginal_likelihood)


@pytest.mark.parametrize("method", ["ml", "reml"])
def test_a_part_may_have_a_smooth(method):
    rng = np.random.default_rng(1)
    d = pd.DataFrame({"z": rng.uniform(0, 1, 200), "x": rng.normal(0, 1, 200)})
    d["y"] = (rng.uniform(size=200) < 0.7) * rng.gamma(2.0, 0.5 * np.exp(np.sin(6 * d.z)), 200)
    found = gs.fit("y ~ x", d, formula2="~ s(z, k=6)", family="delta_poisson_link_gamma", method=method)
    # information of the coefficients by dense algebra: of both predictors of a row, which one density couples
    likelihood = found.model.likelihood.at(found.point.theta[-1:])
    design = found.model.design.toarray()
    information = -design.T @ hessian(likelihood, found.point.eta) @ design
    penalty = np.diag([1 / found.hyper.loc["positive: sd(s(z))", "estimate"] ** 2] * 4 + [0.0] * 4)
    edf = np.trace(np.linalg.solve(information + penalty, information))
    assert found.edf == pytest.approx(edf, rel=1e-5)  # the search leaves a hundred-thousandth of the sd
    assert found.smooths.loc["s(z)", "edf"] > 3 and found.smooths.loc["s(z)", "p"] < 1e-6
    assert found.aic == pytest.approx(-2 * found.log_likelihood + 2 * (edf + 1), abs=3)  # more, as sp is estimated


def test_a_saved_one_comes_back(table, fit, tmp_path):
    fit.save(tmp_path / "one")
    again = gs.load_fit(tmp_path / "one")
    assert again.describe()["family"] == "delta_poisson_link_gamma"
    pd.testing.assert_frame_equal(again.predict(table.head(3)).to_frame(), fit.predict(table.head(3)).to_frame())
    np.testing.assert_allclose(again.residuals("pearson"), fit.residuals("pearson"))


@pytest.mark.parametrize(
    "options, words",
    [
        ({"family": "delta_beta"}, "has no link 'poisson-link': a Poisson link is of delta_poisson_link_gamma"),
        ({"family": "delta_poisson_link_gamma", "link": "cloglog, log"}, "has no link 'cloglog, log'"),
    ],
)
def test_mistakes_are_told(table, options, words):
    given = {"family": "delta_gamma", "link": "poisson-link", "method": "ml", **options}
    with pytest.raises(gs.InputError, match=words):
        gs.fit("y_deltapl_Gamma ~ x", table, **given)
