"""Estimates at the ends of their ranges, a residual or a walk of standard deviation zero, against dense algebra."""

import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from scipy.optimize import minimize, minimize_scalar

import geospde as gs
from geospde.likelihood.search import _polished
from geospde.model.build import build_model


@pytest.fixture(scope="module")
def sites():
    rng = np.random.default_rng(2)
    xy = rng.uniform(0, 1000, (30, 2))
    z = xy[:, 0] / 100 + xy[:, 1] / 10 + rng.normal(0, 0.3, 30)
    return pd.DataFrame({"x": xy[:, 0], "y": xy[:, 1], "z": z, "bowl": ((xy - 500) ** 2).sum(axis=1) / 1e5})


@pytest.fixture(scope="module")
def mesh(sites):
    return gs.build_mesh(sites=sites[["x", "y"]].to_numpy(), max_edge=(150, 400))


@pytest.fixture(scope="module")
def followed(sites, mesh):
    with pytest.warns(gs.GeospdeWarning, match="'sigma' is estimated as 0"):
        return gs.fit("z ~ 1 + spde(mesh)", sites, mesh=mesh, coords=("x", "y"), method="ml")


def without_residual(model, restricted):
    """The log likelihood of the field's hyperparameters where the residual is zero, by dense algebra."""
    term = model.terms[0].precision
    a, x = model.design[:, : term.n].toarray(), model.design[:, term.n :].toarray()
    y = model.likelihood.start()

    def value(theta):
        lower = np.zeros((term.n, term.n))
        rows, indptr = term.pattern.indices, term.pattern.indptr
        lower[rows, np.repeat(np.arange(term.n), np.diff(indptr))] = term.values(theta)
        q = lower + np.tril(lower, -1).T
        s = a @ np.linalg.solve(q, a.T)
        xs = np.linalg.solve(s, x)
        information = x.T @ xs
        left = y - x @ np.linalg.solve(information, xs.T @ y)
        out = -0.5 * (y.size * np.log(2 * np.pi) + np.linalg.slogdet(s)[1] + left @ np.linalg.solve(s, left))
        if restricted:
            out += 0.5 * (x.shape[1] * np.log(2 * np.pi) - np.linalg.slogdet(information)[1])
        return out

    return value


@pytest.mark.slow
@pytest.mark.parametrize("restricted", [False, True])
@pytest.mark.parametrize("response", ["z", "bowl"])
def test_a_residual_of_zero_is_an_estimate(sites, mesh, restricted, response):
    method = "reml" if restricted else "ml"
    with pytest.warns(gs.GeospdeWarning, match="'sigma' is estimated as 0"):
        fit = gs.fit(f"{response} ~ 1 + spde(mesh)", sites, mesh=mesh, coords=("x", "y"), method=method)
    value = without_residual(fit.model, restricted)
    # beyond ranges of 3e5, 300 times the survey's width, the dense determinants wander by 0.03
    inside = {"method": "Nelder-Mead", "options": {"fatol": 1e-6}, "bounds": [(None, np.log(3e5)), (None, None)]}
    best = minimize(lambda t: -value(t), fit.maximum.theta[:2], **inside)
    # REML rises towards an infinite range, by ever less: the search ends on the way, at what rounding leaves
    assert fit.log_likelihood == pytest.approx(-best.fun, abs=0.02 if restricted else 1e-4)
    assert fit.log_likelihood == pytest.approx(value(fit.maximum.theta[:2]), abs=0.01 if restricted else 1e-4)
    assert fit.hyper.loc["sigma", "estimate"] == 0.0 and fit.is_singular


@pytest.mark.slow
def test_it_predicts_profiles_and_is_told(followed, sites):
    at = followed.predict(sites.iloc[:5]).to_frame()
    assert at["mean"].to_numpy() == pytest.approx(sites["z"].iloc[:5].to_numpy(), abs=0.01)  # it follows the responses
    low, high = followed.confint("sigma").loc["sigma"]
    assert low == 0.0 and 0.1 < high < 2.0
    assert followed.profile("sigma", size=3)["log_likelihood"].iloc[0] == pytest.approx(followed.log_likelihood)
    assert "no residual" in [finding.subject for finding in followed.check()]


@pytest.mark.slow
def test_students_t_and_the_lognormal_have_it_too(followed, sites, mesh):
    k = {"mesh": mesh, "coords": ("x", "y"), "method": "ml"}
    with pytest.warns(gs.GeospdeWarning, match="'sigma' is estimated as 0"):
        student = gs.fit("z ~ 1 + spde(mesh)", sites, family="t", **k)
    assert student.log_likelihood == pytest.approx(followed.log_likelihood, abs=0.01)  # df runs off to the Gaussian's
    with pytest.warns(gs.GeospdeWarning, match="'sigma' is estimated as 0"):
        logs = gs.fit("z ~ 1 + spde(mesh)", sites.assign(z=np.exp(sites["z"] / 20)), family="lognormal", **k)
    jacobian = -sites["z"].sum() / 20 + len(sites) * np.log(20.0)
    assert logs.log_likelihood == pytest.approx(followed.log_likelihood + jacobian, abs=1e-3)


@pytest.mark.parametrize("method", ["ml", "reml"])
def test_what_fewer_effects_than_responses_fit_has_no_maximum(method):
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"y": np.repeat(rng.normal(size=8), 4), "g": np.repeat(list("abcdefgh"), 4), "t": range(32)})
    with pytest.raises(gs.InputError, match="perfectly"):
        gs.fit("y ~ 1 + (1 | g)", table, method=method)
    with pytest.raises(gs.InputError, match="perfectly"):
        gs.fit("y ~ 1 + ar1(t)", table.assign(y=1.0), method=method)


@pytest.mark.parametrize(
    "family", ["gamma", "t", "weibull", pytest.param("gengamma", marks=pytest.mark.slow), "tweedie", "beta"]
)
@pytest.mark.parametrize("formula", ["same ~ u", "y ~ 1 + (1 | g)"])
def test_a_perfect_fit_of_any_family_that_has_a_spread_is_told(family, formula):
    """The searches ended at likelihoods of 1e19 and called them flat, or without convergence."""
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"y": np.repeat(rng.uniform(0.1, 0.9, 8), 4), "g": np.repeat(list("abcdefgh"), 4)})
    table = table.assign(u=rng.normal(size=32), same=0.4)
    with pytest.raises(gs.InputError, match="perfectly, so that nothing is left to tell '"):
        gs.fit(formula, table, family=family, method="ml")
    near = gs.fit("same ~ u", table.assign(same=rng.uniform(0.38, 0.42, 32)), family=family, method="ml")
    assert np.isfinite(near.log_likelihood)


def test_a_posterior_without_a_mode_for_a_constant_response_is_told():
    with pytest.raises(gs.InputError, match="perfectly, so that nothing is left to tell 'sigma' and 'df' by"):
        gs.fit("y ~ u", pd.DataFrame({"y": 5.0, "u": np.arange(20.0)}), family="t", method="eb")


def test_a_walk_without_noise_has_a_residual_of_zero():
    """Its increments are independent: the estimate is their root mean square, but for what the constraint counts."""
    y = np.cumsum(np.random.default_rng(5).normal(size=40))
    with pytest.warns(gs.GeospdeWarning, match="'sigma' is estimated as 0"):
        fit = gs.fit("y ~ 1 + rw1(t)", pd.DataFrame({"y": y, "t": np.arange(40)}), method="reml")
    assert fit.hyper.loc["sd(rw1(t))", "estimate"] == pytest.approx(np.sqrt(np.mean(np.diff(y) ** 2)), rel=1e-5)


def test_a_fixed_seasonal_pattern_is_a_maximum_at_zero():
    """REML of a seasonal term from the contrasts that its pattern leaves; only the constant is another."""
    n, rng = 60, np.random.default_rng(11)
    table = pd.DataFrame({"t": np.arange(n), "y": np.resize(rng.normal(size=12), n) + 0.5 * rng.normal(size=n)})
    with pytest.warns(gs.GeospdeWarning, match="'sd.seasonal.t..' is estimated as 0"):
        fit = gs.fit("y ~ 1 + seasonal(t, period=12)", table, method="reml")
    sums = np.array([np.r_[np.zeros(i), np.ones(12), np.zeros(n - 12 - i)] for i in range(n - 11)])
    pattern = np.linalg.svd(sums)[2][n - 11 :].T
    left = np.linalg.qr(np.hstack([np.ones((n, 1)), pattern]), mode="complete")[0][:, 12:]
    values, vectors = np.linalg.eigh(left.T @ np.linalg.pinv(sums) @ np.linalg.pinv(sums).T @ left)
    z = vectors.T @ left.T @ table["y"].to_numpy()

    def loss(sd):
        def of_residual(log_sigma):
            v = sd**2 * values + np.exp(2 * log_sigma)
            return 0.5 * float(np.sum(np.log(v) + z**2 / v))

        return minimize_scalar(of_residual, bounds=(-3, 1), method="bounded", options={"xatol": 1e-9})

    assert loss(0.0).fun < min(loss(sd).fun for sd in (1e-3, 1e-2, 0.03, 0.1, 0.3))
    assert fit.hyper.loc["sigma", "estimate"] == pytest.approx(np.exp(loss(0.0).x), rel=1e-4)
    assert fit.hyper.loc["sd(seasonal(t))", "estimate"] == 0.0


def test_the_latent_mode_is_found_where_a_precision_has_lost_its_digits():
    """From a start that is not the mode: what rounding leaves to gain is no reason to stop."""
    from geospde.likelihood.likelihoods import Restricted, Unpriored

    table = pd.DataFrame({"t": np.arange(48), "y": np.resize(np.arange(12.0), 48) + np.sin(np.arange(48.0))})
    restricted = Restricted(Unpriored.of(build_model("y ~ 1 + seasonal(t, period=12)", table)))
    values = [restricted.at(np.array([s, 0.0]), np.full(49, 3.0)).log_posterior for s in (-11.0, -9.0, -7.0)]
    assert values == pytest.approx([values[1]] * 3, abs=1e-3)


def test_a_newton_step_that_leaves_a_bent_ridge_is_shortened():
    """Rosenbrock's valley, upside down: a whole step from its floor overshoots, and ended the search in an error."""

    class Ridge:
        def at(self, theta, start=None, gradient=True):
            a, b = theta
            value = -100.0 * (b - a**2) ** 2 - (1 - a) ** 2
            slope = np.array([400.0 * a * (b - a**2) + 2 * (1 - a), -200.0 * (b - a**2)])
            return SimpleNamespace(
                theta=theta, log_posterior=value, gradient=slope, x=np.zeros(0), slope=np.zeros((0, 2)), rounding=0.0
            )

        def describe(self, theta):
            return str(theta)

    here = np.array([0.7, 0.49])
    hessian = np.array([[1200 * 0.49 - 400 * 0.49 + 2, -400 * 0.7], [-400 * 0.7, 200.0]])
    at, _, _ = _polished(Ridge(), Ridge().at(here), hessian, np.ones(2, dtype=bool), np.ones(2))
    assert at.log_posterior > Ridge().at(here).log_posterior


@pytest.mark.slow
def test_what_the_data_hardly_tell_is_drawn_and_tested_all_the_same():
    """A size without an end, a correlation from -1 to 1, and a smooth of responses at which the likelihood bends up."""
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"x": rng.uniform(-1, 1, 90), "t": rng.integers(1, 7, 90)})
    data["c"] = rng.poisson(np.exp(0.2 + data.x))
    data.loc[:2, "c"] = 14  # at such a count of a small mean -log f of nbinomial1 is not convex
    data["p"], data["u"] = rng.binomial(4, 0.4, 90), rng.exponential(1.0, 90)
    counts = gs.fit("c ~ s(x, k=5)", data, family="nbinomial1", method="reml")
    assert (counts.point.derivatives[1] > 0).any() and 0 <= counts.smooths.loc["s(x)", "p"] <= 1
    with pytest.warns(gs.GeospdeWarning, match="the likelihood is flat in 'size'"):
        flat = gs.fit("p ~ 1", data, family="nbinomial", method="ml")
    times = gs.fit("u ~ x + ar1(t)", data, family="exponential", method="reml")
    for fit in (flat, times):
        fit.plot_hyper()
    plt.close("all")


@pytest.mark.slow
def test_a_power_or_a_share_at_an_end_of_its_range_is_an_estimate_with_a_note():
    """Without zeros a Tweedie's likelihood is largest as a gamma, and counts without zeros too many have p0 = 0."""
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"x": rng.uniform(0, 1, 120)})
    data["g"] = rng.gamma(0.8, 1, 120) * np.exp(np.sin(5 * data.x))
    data["c"] = rng.poisson(np.exp(0.5 + data.x))
    data["pairs"] = 2.0 * rng.poisson(3, 120)
    with pytest.warns(gs.GeospdeWarning, match="'p' is estimated as 2, an end of its range"):
        fit = gs.fit("g ~ x", data, family="tweedie", method="ml")
    gamma = gs.fit("g ~ x", data, family="gamma", method="ml")
    assert fit.log_likelihood == pytest.approx(gamma.log_likelihood, abs=1e-3)  # p stops 1e-5 before its end
    assert fit.fixed["se"].to_numpy() == pytest.approx(gamma.fixed["se"].to_numpy(), rel=1e-3)
    assert fit.hyper.loc["p", "estimate"] == 2 and np.isnan(fit.hyper.loc["p", "se"])
    with pytest.warns(gs.GeospdeWarning, match="'p' is estimated as 2"):
        smooth = gs.fit("g ~ s(x, k=5)", data, family="tweedie", method="reml")
    assert smooth.hyper.loc["p", "estimate"] == 2
    with pytest.warns(gs.GeospdeWarning, match="'p0' is estimated as 0"):
        fit = gs.fit("c ~ x", data, family="zeroinflatednbinomial1", method="ml")
    counts = gs.fit("c ~ x", data, family="nbinomial", method="ml")
    assert fit.log_likelihood == pytest.approx(counts.log_likelihood, abs=1e-4) and fit.hyper.loc["p0", "estimate"] == 0
    with pytest.raises(gs.InputError, match="grows without end as 'p' falls to 1"):
        gs.fit("pairs ~ x", data, family="tweedie", method="ml")


@pytest.mark.parametrize(
    ("family", "seed"), [("gaussian", 19), *(pytest.param("poisson", k, marks=pytest.mark.slow) for k in (0, 4))]
)
def test_a_field_that_vanishes_at_one_range_is_looked_for_at_others(family, seed):
    """No maximum with the range held is higher; the search ended at a sigma of zero, .02, .13 and .15 below."""
    rng = np.random.default_rng(seed)
    xy = rng.uniform(0, 100, (60, 2))
    distances = np.linalg.norm(xy[:, None] - xy, axis=2)
    field = np.linalg.cholesky(np.exp(-distances / 12) + 1e-9 * np.eye(60)) @ rng.normal(size=60)
    z = rng.poisson(np.exp(1 + 0.15 * field)) if family == "poisson" else 0.3 * field + rng.normal(size=60)
    table = pd.DataFrame({"x": xy[:, 0], "y": xy[:, 1], "z": z})
    mesh = gs.build_mesh(sites=np.random.default_rng(0).uniform(0, 100, (60, 2)), max_edge=(14, 35))

    def fitted(**options):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", gs.GeospdeWarning)
            return gs.fit(
                "z ~ 1 + spde(mesh)", table, mesh=mesh, coords=("x", "y"), method="ml", family=family, **options
            )

    found = fitted()
    assert found.hyper.loc["sigma(spde)", "estimate"] > 0.05
    held = [fitted(priors={"range(spde)": {"fixed": r}}).log_likelihood for r in (10.0, 60.0)]
    assert found.log_likelihood > max(held)


def test_a_field_that_vanishes_has_no_range_to_speak_of():
    """Where its search left the range says nothing of the mesh: a lower max_edge was asked for."""
    xy = np.random.default_rng(3).uniform(0, 100, (60, 2))
    table = pd.DataFrame({"x": xy[:, 0], "y": xy[:, 1], "z": np.random.default_rng(10).normal(size=60)})
    mesh = gs.build_mesh(sites=xy, max_edge=(14, 35))
    with pytest.warns(gs.GeospdeWarning, match=r"'sigma\(spde\)' is estimated as 0"):
        fit = gs.fit("z ~ 1 + spde(mesh)", table, mesh=mesh, coords=("x", "y"), method="ml")
    assert len(fit.notes) == 1
