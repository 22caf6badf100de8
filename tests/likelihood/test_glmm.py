"""Generalised linear mixed models by Laplace: lme4's, glmmTMB's and mgcv's numbers, and dense Laplace."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest
from mixed import chapter, effects, hessian, indicator
from oracles import reference_mesh
from scipy.optimize import minimize
from scipy.special import gammaln

import geospde as gs
from geospde.errors import GeospdeWarning
from geospde.likelihood.likelihoods import Joint, Unpriored
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
def cbpp():
    return gs.fit(FORMULA, CBPP, family="binomial", method="ml")


# -- contagious bovine pleuropneumonia ----------------------------------------------------------------------


def test_the_herds_have_the_optimum_of_high_precision(cbpp):
    exact = chapter("exact_optima")["cbpp_nq1"]
    assert cbpp.log_likelihood == pytest.approx(exact["logLik"], abs=1e-8)
    assert cbpp.aic == pytest.approx(exact["AIC"], abs=1e-8)
    assert cbpp.bic == pytest.approx(exact["BIC_n56"], abs=1e-8)
    assert cbpp.criteria["bic_groups"] == pytest.approx(exact["BIC_n15"], abs=1e-8)
    # the reference was optimised to some seven digits
    np.testing.assert_allclose(cbpp.fixed["estimate"], exact["beta"], rtol=1e-6)
    np.testing.assert_allclose(cbpp.fixed["se"], exact["se"], rtol=1e-5)
    assert cbpp.hyper["estimate"].iloc[0] == pytest.approx(exact["sd"], rel=1e-6)
    assert cbpp.hyper["se"].iloc[0] == pytest.approx(exact["sd"] * exact["se_logsd"], rel=1e-5)


def test_their_tables_are_lme4s_and_glmmtmbs(cbpp):
    numbers = chapter("glmm")
    tmb = pd.DataFrame(numbers["glmmTMB"]["coefs"])
    assert list(cbpp.fixed.columns) == ["estimate", "se", "z", "p", "lower", "upper"]
    assert list(cbpp.fixed.index) == ["Intercept", "period[2]", "period[3]", "period[4]"]
    np.testing.assert_allclose(cbpp.fixed["z"], tmb["z value"], rtol=2e-5)
    np.testing.assert_allclose(cbpp.fixed["p"], tmb["Pr(>|z|)"], rtol=2e-4)
    intervals = pd.DataFrame(numbers["glmmTMB"]["confint"])
    wald = [*cbpp.confint(method="wald").iloc[1:].to_numpy(), cbpp.confint(method="wald").iloc[0].to_numpy()]
    np.testing.assert_allclose(wald, intervals[["2.5 %", "97.5 %"]], rtol=2e-5)
    np.testing.assert_allclose(cbpp.random["estimate"], numbers["glmmTMB"]["ranef"], rtol=2e-5)
    # lme4's optimum is off in the fourth digit, and its profile with it
    lme4 = numbers["glmer_nAGQ1"]
    np.testing.assert_allclose(cbpp.confint(), pd.DataFrame(lme4["confint_profile"])[["2.5 %", "97.5 %"]], rtol=2e-4)
    scaled = np.quantile(cbpp.residuals("pearson"), [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(scaled, list(lme4["resid_quant"].values()), atol=1e-3)
    # response residuals are counts of successes
    left = CBPP["incidence"] - CBPP["size"] * cbpp.fitted["estimate"].to_numpy()
    np.testing.assert_allclose(cbpp.residuals(), left, rtol=1e-10)


def test_reml_is_mgcvs_random_effect():
    mgcv = chapter("glmm")["mgcv_REML"]
    fit = gs.fit(FORMULA, CBPP, family="binomial", method="reml")
    assert -fit.log_likelihood == pytest.approx(mgcv["neg_REML"], abs=1e-6)
    assert fit.fixed.loc["Intercept", "estimate"] == pytest.approx(mgcv["p.table"][0]["Estimate"], rel=1e-5)
    assert fit.fixed.loc["Intercept", "se"] == pytest.approx(mgcv["p.table"][0]["Std. Error"], rel=1e-4)


def test_a_saved_fit_is_the_same_again(cbpp, tmp_path):
    cbpp.save(tmp_path / "cbpp")
    again = gs.load_fit(tmp_path / "cbpp")
    for table in ("fixed", "hyper", "random", "fitted"):
        pd.testing.assert_frame_equal(getattr(again, table), getattr(cbpp, table))
    pd.testing.assert_frame_equal(again.predict(CBPP).to_frame(), cbpp.predict(CBPP).to_frame())


def test_the_joint_gaussian_has_the_covariance_of_the_fixed_effects(cbpp):
    for name in ("Intercept", "period[4]"):
        assert cbpp.estimate(name).sd == pytest.approx(cbpp.fixed.loc[name, "se"], rel=1e-8)
    draws = cbpp.sample(4000, seed=2)
    # a standard error of 4,000 draws is 1.6 % of an sd
    assert draws["period[3]"].std() == pytest.approx(cbpp.fixed.loc["period[3]", "se"], rel=0.05)


def test_two_intrinsic_terms_beside_an_intercept_have_the_errors_of_a_dense_likelihood():
    """Both share the intercept's constant; the walk ends at zero, where its precision is large beside the data's."""
    rng = np.random.default_rng(7)
    area, t = rng.integers(1, 13, 120), rng.integers(1, 7, 120)
    own = rng.normal(0, 0.3, 13)
    data = pd.DataFrame({"n": rng.poisson(np.exp(0.4 + own[area])), "area": area, "t": t})
    ring = {i: [(i % 12) + 1, ((i - 2) % 12) + 1] for i in range(1, 13)}
    formula = "n ~ besag(area, graph=w) + rw1(t, cyclic=True)"
    with pytest.warns(GeospdeWarning, match=re.escape("sd(rw1(t))")):
        fit = gs.fit(formula, data, family="poisson", graphs={"w": ring}, method="ml")
    x, log_sd = fit.fixed.loc["Intercept", "estimate"], np.log(fit.hyper.loc["sd(besag(area))", "estimate"])
    u = np.linalg.svd(np.ones((1, 12)))[2][1:].T
    q = 2 * np.eye(12) - sum(np.roll(np.eye(12), k, axis=0) for k in (1, -1))
    q = u.T @ q @ u
    z = np.eye(12)[data.area.to_numpy() - 1] @ u

    def minus(psi):  # without the walk: at zero it is not there
        precision, b = q * np.exp(-2 * psi[1]), np.zeros(11)
        for _ in range(30):
            mean = np.exp(psi[0] + z @ b)
            h = precision + z.T @ (mean[:, None] * z)
            b += np.linalg.solve(h, z.T @ (data.n - mean) - precision @ b)
        mean = np.exp(psi[0] + z @ b)
        value = data.n @ np.log(mean) - mean.sum() - gammaln(data.n + 1).sum() - 0.5 * b @ precision @ b
        return -value - 0.5 * np.linalg.slogdet(precision)[1] + 0.5 * np.linalg.slogdet(h)[1]

    at = np.array([x, log_sd])
    assert -minus(at) == pytest.approx(fit.log_likelihood, abs=1e-4)  # an sd of 0.001 is taken for one of zero
    errors = np.sqrt(np.diag(np.linalg.inv(hessian(minus, at))))
    assert fit.fixed.loc["Intercept", "se"] == pytest.approx(errors[0], rel=1e-3)
    assert fit.sample(4000, seed=2)["Intercept"].std() == pytest.approx(errors[0], rel=0.05)


def test_the_summary_reads_as_a_mixed_models(cbpp, capsys):
    cbpp.summary()
    said = capsys.readouterr().out
    for piece in ("(Laplace)", "herd: 15 levels", "0.64226", "-6.016", "AIC 194.05"):
        assert piece in said


# -- other models, against dense Laplace --------------------------------------------------------------------


def poisson(eta, y):
    return (y * eta - np.exp(eta) - gammaln(y + 1)).sum()


def dense_laplace(y, eta_fixed, z, g):
    """Laplace approximation of a Poisson likelihood with effects u ~ N(0, g), by dense Newton."""
    u, inverse = np.zeros(z.shape[1]), np.linalg.inv(g)
    for _ in range(100):
        mean = np.exp(eta_fixed + z @ u)
        h = inverse + z.T @ (mean[:, None] * z)
        step = np.linalg.solve(h, z.T @ (y - mean) - inverse @ u)
        u = u + step * min(1.0, 2.0 / max(np.abs(step).max(), 1e-300))
    log_joint = poisson(eta_fixed + z @ u, y) - 0.5 * u @ inverse @ u - 0.5 * np.linalg.slogdet(g)[1]
    return log_joint - 0.5 * np.linalg.slogdet(inverse + z.T @ (np.exp(eta_fixed + z @ u)[:, None] * z))[1]


@pytest.fixture(scope="module")
def counts():
    rng = np.random.default_rng(12)
    data = pd.DataFrame({"x": rng.normal(size=100), "a": rng.integers(0, 9, 100), "b": rng.integers(0, 6, 100)})
    slopes = rng.normal(size=(9, 2)) * [0.6, 0.4]
    eta = 0.8 + 0.3 * data["x"] + slopes[data["a"], 0] + slopes[data["a"], 1] * data["x"]
    data["y"] = rng.poisson(np.exp(eta + 0.5 * rng.normal(size=6)[data["b"]]))
    return data


def compared(fit, loss, start, size):
    """The dense maximum, and the standard errors of the fixed effects by its whole Hessian."""
    best = minimize(loss, start, method="BFGS", options={"gtol": 1e-5})
    assert fit.log_likelihood == pytest.approx(-best.fun, abs=1e-6)
    np.testing.assert_allclose(fit.fixed["estimate"], best.x[:size], atol=2e-4)  # where BFGS stops
    se = np.sqrt(np.diag(np.linalg.inv(hessian(loss, best.x))))[:size]
    np.testing.assert_allclose(fit.fixed["se"], se, rtol=2e-3)
    return best.x


@pytest.mark.slow
def test_crossed_groups_of_counts(counts):
    x, y = np.column_stack([np.ones(100), counts["x"]]), counts["y"].to_numpy(float)
    z = np.hstack([indicator(counts["a"]), indicator(counts["b"])])

    def loss(t):
        g = np.diag(np.repeat(np.exp(2 * t[2:]), [9, 6]))
        return -dense_laplace(y, x @ t[:2], z, g)

    fit = gs.fit("y ~ x + (1 | a) + (1 | b)", counts, family="poisson", method="ml")
    best = compared(fit, loss, [0.8, 0.3, -0.5, -0.5], 2)
    np.testing.assert_allclose(fit.hyper["estimate"], np.exp(best[2:]), rtol=2e-4)


@pytest.mark.slow
def test_correlated_slopes_of_counts(counts):
    x, y = np.column_stack([np.ones(100), counts["x"]]), counts["y"].to_numpy(float)
    z = effects(counts["a"], x)

    def loss(t):
        root = np.array([[np.exp(t[2]), 0.0], [t[3], np.exp(t[4])]])
        return -dense_laplace(y, x @ t[:2], z, np.kron(np.eye(9), root @ root.T))

    fit = gs.fit("y ~ x + (x | a)", counts, family="poisson", method="ml")
    best = compared(fit, loss, [0.8, 0.3, -0.5, 0.0, -0.5], 2)
    sd = np.hypot(best[3], np.exp(best[4]))
    np.testing.assert_allclose(fit.hyper["estimate"], [np.exp(best[2]), sd, best[3] / sd], atol=5e-4)


@pytest.mark.parametrize("family", ["poisson", "nbinomial", "gamma"])
def test_gradients_are_exact(counts, family):
    data = counts.assign(y=counts["y"] + 0.5) if family == "gamma" else counts
    likelihood = Joint(Unpriored.of(build_model("y ~ x + (x | a) + (1 | b)", data, family=family)))
    own = {"poisson": [], "nbinomial": [1.0], "gamma": [0.4]}[family]
    for entries in ([0.9, -0.2, 0.7], [0.5, 0.3, 0.0], [0.0, 0.0, 0.0]):
        psi = np.array([*entries, -0.8, *own, 0.7, 0.4])
        numeric = [
            (likelihood.at(psi + h).log_posterior - likelihood.at(psi - h).log_posterior) / 2e-5
            for h in 1e-5 * np.eye(psi.size)
        ]
        # central differences of a value of 200 with 1e-5: rounding of some 1e-8
        np.testing.assert_allclose(likelihood.at(psi).gradient, numeric, atol=2e-6)


def test_without_groups_it_is_poisson_regression(counts):
    x, y = np.column_stack([np.ones(100), counts["x"]]), counts["y"].to_numpy(float)
    fit = gs.fit("y ~ x", counts, family="poisson", method="ml")
    best = compared(fit, lambda b: -poisson(x @ b, y), np.zeros(2), 2)
    assert fit.aic == pytest.approx(-2 * poisson(x @ best, y) + 4, abs=1e-6)


def test_far_covariates_are_no_harder(counts):
    near = gs.fit("y ~ x + (1 | a)", counts, family="poisson", method="ml")
    far = gs.fit("y ~ x + (1 | a)", counts.assign(x=1e5 + 1e4 * counts["x"]), family="poisson", method="ml")
    assert far.log_likelihood == pytest.approx(near.log_likelihood, abs=1e-7)
    assert far.fixed.loc["x", "estimate"] == pytest.approx(1e-4 * near.fixed.loc["x", "estimate"], rel=1e-4)
    assert far.fixed.loc["x", "se"] == pytest.approx(1e-4 * near.fixed.loc["x", "se"], rel=1e-4)


# -- what the data say nothing of ---------------------------------------------------------------------------


def test_a_likelihood_flat_in_a_parameter_of_the_family_is_told():
    data = pd.DataFrame({"y": 1 + np.random.default_rng(1).poisson(3, 80)})  # no zero at all
    with pytest.warns(GeospdeWarning, match="'p0' is estimated as 0, an end of its range"):
        fit = gs.fit("y ~ 1", data, family="zeroinflatedpoisson1", method="ml")
    plain = gs.fit("y ~ 1", data, family="poisson", method="ml")
    assert fit.log_likelihood == pytest.approx(plain.log_likelihood, abs=1e-6)
    assert not plain.notes


def test_limits_that_run_off_are_infinite_without_a_warning():
    data = pd.DataFrame({"y": np.random.default_rng(0).normal(size=60)})
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        with pytest.warns(GeospdeWarning, match="the likelihood is flat in 'df'"):
            fit = gs.fit("y ~ 1", data, family="t", method="ml")
    assert not fit.hyper.loc["df", "upper"] < 1e6


def test_all_intervals_leave_out_what_has_no_profile():
    rng = np.random.default_rng(7)
    data = pd.DataFrame({"g": np.tile(np.arange(6), 5), "y": rng.normal(size=30)})
    fit = gs.fit("y ~ 1 + (1 | g)", data, method="ml", priors={"sd(Intercept | g)": {"fixed": [0.5]}})
    table = fit.confint()
    assert list(table.index) == ["sd(Intercept | g)", "sigma", "Intercept"]
    assert table.loc["sd(Intercept | g)"].isna().all() and table.drop("sd(Intercept | g)").notna().all(axis=None)
    with pytest.raises(gs.InputError, match="is held at 0.5: it has no profile"):
        fit.confint("sd(Intercept | g)")


# -- separation ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formula", "named"),
    [("b ~ k + (1 | g)", r"'k\[c\]'"), ("b ~ k", r"'k\[c\]'"), ("b ~ w + (1 | g)", "'Intercept' and 'w'")],
)
@pytest.mark.parametrize("method", ["ml", "reml"])
def test_separation_names_the_coefficient(formula, named, method):
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"k": np.repeat(["a", "b", "c"], 20), "g": np.tile(np.arange(10), 6)})
    data["b"] = np.where(data["k"] == "c", 0, rng.integers(0, 2, 60))
    data["w"] = data["b"] + 0.1 * rng.uniform(size=60)
    with pytest.raises(gs.InputError, match=rf"the fixed effects? {named} ha(s|ve) no finite estimate"):
        gs.fit(formula, data, family="binomial", method=method)


def test_a_factor_without_any_counts_is_separation():
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"k": np.repeat(["a", "b"], 20), "g": np.tile(np.arange(10), 4)})
    data["y"] = np.where(data["k"] == "b", 0, rng.poisson(3, 40))
    with pytest.raises(gs.InputError, match=r"'k\[b\]' has no finite estimate"):
        gs.fit("y ~ k + (1 | g)", data, family="poisson", method="ml")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["inla", "eb"])
@pytest.mark.parametrize("priors", ["default", "brms"])
def test_separation_under_a_flat_prior_has_no_posterior(method, priors):
    x = np.linspace(-1, 1, 40)
    data = pd.DataFrame({"x": x, "y": (x > 0).astype(int), "g": np.resize(np.arange(4), 40)})
    options = {"family": "bernoulli", "method": method}
    with pytest.raises(gs.InputError, match=r"'x' (has|have) a flat prior and no finite posterior.*prior, such as"):
        gs.fit("y ~ x + (1 | g)", data, priors=priors, **options)
    held = gs.fit("y ~ x", data, priors={"x": {"gaussian": [0, 2.5]}}, **options)
    # the posterior by quadrature over x and the flat intercept
    a, b = np.meshgrid(np.linspace(-8, 8, 801), np.linspace(-5, 20, 801), indexing="ij")
    log = -0.5 * (b / 2.5) ** 2
    for one in data.itertuples():
        log -= np.logaddexp(0, (1 - 2 * one.y) * (a + b * one.x))
    weights = np.exp(log - log.max())
    # corrections of second order leave a twentieth of a posterior sd where ones and zeros are apart
    assert held.fixed.loc["x", "mean"] == pytest.approx(float((weights * b).sum() / weights.sum()), abs=0.1)


# -- a field, as sdmTMB fits one ----------------------------------------------------------------------------


@pytest.mark.slow
def test_a_field_by_maximum_likelihood_is_near_the_literatures():
    """Rongelap, exponential covariance, dense maximum likelihood: beta 1.8306, sigma² 0.2964, phi 103.27 m."""
    survey = gs.load_dataset("rongelap")
    data = pd.DataFrame(survey.points.drop(columns="geometry"))
    options = {"mesh": reference_mesh(), "coords": ("cX", "cY"), "family": "poisson", "exposure": "time"}
    fit = gs.fit("counts ~ 1 + spde(mesh, alpha=1.5)", data, method="ml", **options)
    # the mesh has triangles as long as the range: sigma and range take up what it cannot resolve
    assert fit.fixed.loc["Intercept", "estimate"] == pytest.approx(1.8306, abs=0.02)
    assert fit.hyper.loc["sigma(spde)", "estimate"] == pytest.approx(np.sqrt(0.2964), rel=0.15)
    assert fit.log_likelihood == pytest.approx(-1317.99, abs=1.5)
    assert fit.hyper.loc["range(spde)", "lower"] < 2 * 103.27 < fit.hyper.loc["range(spde)", "upper"]
    assert (fit.hyper["lower"] < fit.hyper["estimate"]).all() and (fit.hyper["estimate"] < fit.hyper["upper"]).all()
    # from the Hessian in (log range, log sigma), whatever they are called: kappa is sqrt(8 nu) / range
    relative = fit.hyper["se"] / fit.hyper["estimate"]
    assert relative["kappa(spde)"] == pytest.approx(relative["range(spde)"], rel=1e-6)
    surface = fit.predict(np.array([[-2787.0, -2344.0]])).to_frame()
    assert 1 < surface["mean"].iloc[0] < 20
