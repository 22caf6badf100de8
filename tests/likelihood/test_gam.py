"""Additive models with Gaussian-process smooths against mgcv's numbers, dense algebra and simulation."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import chi2, f

import geospde as gs
from geospde.likelihood.chi_squares import tail
from geospde.likelihood.exponential import Exponential
from geospde.likelihood.likelihoods import Unpriored
from geospde.likelihood.ubre import PredictionError
from geospde.model.build import build_model

REFERENCE = Path(__file__).parents[1] / "reference" / "chapter"
FORMULA = "counts ~ s(cX, cY, bs='gp', k=50)"
SD = "sd(s(cX,cY))"


@pytest.fixture(scope="module")
def mgcv():
    return json.loads((REFERENCE / "gam.json").read_text())


@pytest.fixture(scope="module")
def survey():
    return gs.load_dataset("rongelap")


def fit_rongelap(survey, method, formula=FORMULA, **options):
    return gs.fit(formula, survey.points, family="poisson", exposure="time", method=method, **options)


@pytest.fixture(scope="module")
def ubre(survey):
    return fit_rongelap(survey, "ubre")


@pytest.fixture(scope="module")
def reml(survey):
    return fit_rongelap(survey, "reml")


@pytest.fixture(scope="module")
def where_mgcv_stopped(survey, ubre, mgcv):
    # sp is in proportion to 1 / sd²
    sd = ubre.hyper.loc[SD, "estimate"] * np.sqrt(ubre.smooths["sp"].iloc[0] / mgcv["default_eig_UBRE"]["sp"])
    return fit_rongelap(survey, "ubre", priors={SD: {"fixed": sd}})


# -- Rongelap, k = 50 --------------------------------------------------------------------------------------


def test_at_its_smoothing_parameter_the_fit_is_that_of_mgcv(where_mgcv_stopped, mgcv):
    fit, theirs = where_mgcv_stopped, mgcv["default_eig_UBRE"]
    # mgcv's penalised least squares stops at a relative change of the deviance of 1e-7, and prints 13 digits
    assert fit.fixed.loc["Intercept", "estimate"] == pytest.approx(theirs["p.table"][0]["Estimate"], abs=1e-7)
    assert fit.fixed.loc["Intercept", "se"] == pytest.approx(theirs["p.table"][0]["Std. Error"], rel=1e-5)
    assert fit.edf == pytest.approx(theirs["edf_total"], rel=1e-6)
    assert fit.score == pytest.approx(theirs["score"], rel=1e-8)
    assert fit.deviance == pytest.approx(theirs["deviance"], rel=1e-7)
    assert fit.null_deviance == pytest.approx(theirs["null_deviance"], rel=1e-10)
    assert fit.r_squared == pytest.approx(theirs["r.sq"], rel=1e-6)
    assert fit.aic == pytest.approx(theirs["AIC"], rel=1e-8)
    assert fit.log_likelihood == pytest.approx(theirs["logLik"], rel=1e-8)
    row = fit.smooths.loc["s(cX,cY)"]
    assert row["ref_df"] == pytest.approx(theirs["s.table"][0]["Ref.df"], rel=1e-6)
    # mgcv's statistic holds a term that has the sign of an eigenvector: 0.23 here
    assert row["chi_sq"] == pytest.approx(theirs["s.table"][0]["Chi.sq"], rel=1e-5)


def test_its_map_is_that_of_mgcv(where_mgcv_stopped, survey):
    cells = pd.read_csv(REFERENCE / "gam_grid.csv")
    rates = where_mgcv_stopped.predict(cells[["cX", "cY"]]).to_frame()["mean"]
    # between the sites the fit extrapolates up to 13 in the logarithm: coefficients that differ by 1e-7 tell there
    assert rates.to_numpy() == pytest.approx(cells["default_eig_UBRE"].to_numpy(), rel=1e-4)


def test_ubre_goes_on_to_its_minimum_where_mgcv_stops(ubre, mgcv):
    theirs = mgcv["default_eig_UBRE"]
    assert ubre.score < theirs["score"]
    # the criterion is flat: mgcv stops at a gradient below 1e-6 of it, where it is 1e-4 above its minimum
    assert ubre.score == pytest.approx(theirs["score"], abs=2e-4)
    assert ubre.fixed.loc["Intercept", "estimate"] == pytest.approx(1.975842, abs=5e-5)
    assert ubre.fixed.loc["Intercept", "se"] == pytest.approx(0.001644, abs=1e-6)
    assert ubre.smooths["edf"].iloc[0] == pytest.approx(48.984, abs=0.01)
    assert ubre.deviance_explained == pytest.approx(0.61466, abs=5e-6)
    assert ubre.r_squared == pytest.approx(0.8777, abs=5e-5)
    assert ubre.score_name == "UBRE"


def test_reml_is_that_of_mgcv(reml, mgcv):
    theirs = mgcv["default_eig_REML"]
    assert reml.score == pytest.approx(theirs["score"], rel=1e-9)
    assert reml.fixed.loc["Intercept", "estimate"] == pytest.approx(theirs["p.table"][0]["Estimate"], abs=1e-6)
    assert reml.smooths["edf"].iloc[0] == pytest.approx(theirs["s.table"][0]["edf"], abs=1e-4)
    # mgcv's own search stops near the maximum
    assert reml.smooths["sp"].iloc[0] == pytest.approx(theirs["sp"], rel=1e-3)
    assert reml.deviance_explained == pytest.approx(theirs["dev_expl"], abs=1e-6)
    assert reml.r_squared == pytest.approx(theirs["r.sq"], abs=1e-6)
    # its AIC counts that the smoothing parameter is estimated
    assert reml.aic == pytest.approx(theirs["AIC"], abs=0.001)
    assert reml.aic > -2 * reml.log_likelihood + 2 * reml.edf + 0.1


def test_reml_map_is_that_of_mgcv(reml):
    cells = pd.read_csv(REFERENCE / "gam_grid.csv")
    rates = reml.predict(cells[["cX", "cY"]]).to_frame()["mean"]
    # three digits, and one more than that where mgcv's search stops
    assert rates.to_numpy() == pytest.approx(cells["default_eig_REML"].to_numpy(), rel=1e-4)


@pytest.mark.parametrize(
    ("m", "name"),
    [
        ("1", "m1_UBRE"),
        ("2", "m2_UBRE"),
        *(pytest.param(m, name, marks=pytest.mark.slow) for m, name in (("4", "m4_UBRE"), ("(3, 500)", "m3_500_UBRE"))),
    ],
)
def test_other_kernels(survey, mgcv, m, name):
    theirs = mgcv[name]
    fit = fit_rongelap(survey, "ubre", f"counts ~ s(cX, cY, bs='gp', k=50, m={m})")
    # mgcv stops where the criterion is up to 1e-4 above its minimum, the intercept up to 5e-5 away
    assert fit.score <= theirs["score"]
    assert fit.score == pytest.approx(theirs["score"], abs=5e-4)
    assert fit.fixed.loc["Intercept", "estimate"] == pytest.approx(theirs["p.table"][0]["Estimate"], abs=5e-5)
    assert fit.deviance_explained == pytest.approx(theirs["dev_expl"], abs=1e-5)


def test_mgcv_itself_is_near(reml, mgcv):
    # its Lanczos tolerance misses part of the eigenspace
    theirs = mgcv["default_REML"]
    assert reml.fixed.loc["Intercept", "estimate"] == pytest.approx(theirs["p.table"][0]["Estimate"], abs=0.001)
    assert reml.deviance_explained == pytest.approx(theirs["dev_expl"], abs=0.01)


# -- cbpp, s(herd, bs="re") ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "formula, family, sp, statistic",
    [
        ("z ~ s(x)", "gaussian", 0.00198018557, None),
        ("z ~ s(x, k=6)", "gaussian", 0.000852344769, None),
        ("z ~ s(x, u, k=15)", "gaussian", 0.0104862914, None),
        ("g ~ s(x)", "gamma", 0.0272086728, 6.46357607),
    ],
)
def test_smoothing_parameters_and_f_statistics_are_those_of_mgcv(formula, family, sp, statistic):
    """mgcv 1.8-41: ``gam(z ~ s(x), method = "REML")``, ``m$sp``; ``Gamma(link = "log")``, ``summary(m)$s.table``."""
    i = np.arange(1, 81)
    data = pd.DataFrame({"x": 10 * ((i * 0.618034) % 1), "u": (i * 0.414214) % 1})
    data["z"] = np.sin(data.x) + 0.5 * data.u + 0.3 * np.cos(37 * i)
    data["g"] = np.exp(0.5 + np.sin(data.x) / 2) * (1 + 0.6 * np.cos(23 * i))
    smooths = gs.fit(formula, data, family=family, method="reml").smooths
    assert smooths["sp"].iloc[0] == pytest.approx(sp, rel=1e-6)  # mgcv's search stops at a gradient of 1e-6
    if statistic is not None:  # without mgcv's term of an eigenvector's sign, a thousandth; the likelihood's own: 0.9
        assert smooths["F"].iloc[0] == pytest.approx(statistic, rel=3e-3)


@pytest.fixture(scope="module")
def herds():
    formula = "p(incidence, size) ~ period + s(herd, bs='re')"
    return gs.fit(formula, gs.load_dataset("cbpp"), family="binomial", method="reml")


def test_random_effects_as_smooths_are_those_of_mgcv(herds):
    theirs = json.loads((REFERENCE / "glmm.json").read_text())["mgcv_REML"]
    assert herds.score == pytest.approx(theirs["neg_REML"], rel=1e-8)
    # mgcv's search stops at a gradient of about 1e-5
    assert herds.smooths.loc["s(herd)", "edf"] == pytest.approx(theirs["s.table"][0]["edf"], abs=1e-5)
    assert herds.smooths.loc["s(herd)", "sp"] == pytest.approx(theirs["sp"], rel=1e-5)
    assert herds.smooths.loc["s(herd)", "ref_df"] == 14
    assert herds.smooths.loc["s(herd)", "chi_sq"] == pytest.approx(theirs["s.table"][0]["Chi.sq"], rel=1e-5)
    # the tail of a weighted sum of chi-squares, by saddlepoint
    assert herds.smooths.loc["s(herd)", "p"] == pytest.approx(theirs["s.table"][0]["p-value"], rel=0.03)
    for row in theirs["p.table"]:
        name = "Intercept" if row["term"] == "(Intercept)" else f"period[{row['term'][-1]}]"
        assert herds.fixed.loc[name, "estimate"] == pytest.approx(row["Estimate"], abs=1e-6)
        assert herds.fixed.loc[name, "se"] == pytest.approx(row["Std. Error"], rel=1e-5)
        assert herds.fixed.loc[name, "p"] == pytest.approx(row["Pr(>|z|)"], rel=1e-4)
    for k in range(1, 16):
        assert herds.random.loc[f"s(herd)[{k}]", "estimate"] == pytest.approx(theirs["coefs"][f"s(herd).{k}"], abs=1e-5)
    assert herds.deviance_explained == pytest.approx(theirs["dev.expl"], rel=1e-6)
    assert herds.r_squared == pytest.approx(theirs["r.sq"], rel=1e-6)
    assert herds.log_likelihood == pytest.approx(theirs["logLik"], rel=1e-7)
    # the correction for the smoothing parameter depends on a root of the covariance, which mgcv takes in another basis
    assert herds.aic == pytest.approx(theirs["AIC"], abs=0.02)


def test_variance_component_has_mgcvs_interval(herds):
    row = herds.variance_components().loc["sd(s(herd))"]
    assert row[["sd", "lower", "upper"]].to_list() == pytest.approx([0.68187, 0.39531, 1.17614], abs=1e-5)
    assert herds.confint("sd(s(herd))").iloc[0].to_list() == pytest.approx([0.39531, 1.17614], abs=1e-5)
    narrow = herds.variance_components(0.5).loc["sd(s(herd))"]
    assert row["lower"] < narrow["lower"] < row["sd"] < narrow["upper"] < row["upper"]


def test_a_smooth_of_a_group_is_the_group(herds):
    formula = "p(incidence, size) ~ period + (1 | herd)"
    group = gs.fit(formula, gs.load_dataset("cbpp"), family="binomial", method="reml")
    assert group.hyper["estimate"].iloc[0] == pytest.approx(herds.hyper["estimate"].iloc[0], rel=1e-8)
    assert group.log_likelihood == pytest.approx(-herds.score, abs=1e-8)


# -- the criteria --------------------------------------------------------------------------------------------


def criterion_of(formula, table, family, **options):
    model = build_model(formula, table, family=family, **options)
    unpriored = Unpriored.of(model)
    bound = Exponential(model.family, model.likelihood)
    if bound.has_dispersion:
        unpriored.fixed_theta[-1] = bound.theta(1.0)[0]
    return PredictionError(unpriored, bound.saturated(1.0), not bound.has_dispersion)


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"x": rng.uniform(size=60), "z": rng.uniform(size=60), "g": np.arange(60) % 6})
    eta = 0.6 + np.sin(6 * frame.x) + frame.z
    return frame.assign(
        y=eta + 0.4 * rng.normal(size=60),
        count=rng.poisson(np.exp(eta)),
        positive=rng.gamma(4.0, np.exp(eta) / 4.0),
        hits=rng.binomial(9, 1 / (1 + np.exp(-eta))),
    )


SMOOTHS = "s(x, bs='gp', k=8) + s(z, bs='gp', k=6) + s(g, bs='re')"


@pytest.mark.parametrize(
    ("response", "family"),
    [("y", "gaussian"), ("count", "poisson"), ("positive", "gamma"), ("p(hits, 9)", "binomial")],
)
def test_gradient_of_the_criterion_is_exact(table, response, family):
    criterion = criterion_of(f"{response} ~ {SMOOTHS}", table, family)
    theta = np.array([0.7, -0.4, -1.0])
    point = criterion.at(theta)
    for k in range(3):
        step = np.zeros(3)
        step[k] = 1e-4
        change = criterion.at(theta + step).log_posterior - criterion.at(theta - step).log_posterior
        # central differences: truncation 1e-8 of values near 1, rounding 1e-13 / 1e-4 of values near 100
        assert point.gradient[k] == pytest.approx(change / 2e-4, abs=1e-6)


def dense(criterion, theta):
    """Design, penalty and offset in dense arrays."""
    penalty = np.zeros(criterion.n)
    for term, block, where in zip(criterion.precisions, criterion.blocks, criterion.theta_blocks):
        penalty[block] = term.values(theta[where])
    return criterion.design.toarray(), np.diag(penalty)


def test_gcv_is_that_of_the_smoother_matrix(table):
    criterion = criterion_of(f"y ~ {SMOOTHS}", table, "gaussian")
    theta = np.array([0.7, -0.4, -1.0])
    x, s = dense(criterion, theta)
    smoother = x @ np.linalg.solve(x.T @ x + s, x.T)
    left = table.y - smoother @ table.y
    expected = 60 * (left @ left) / (60 - np.trace(smoother)) ** 2
    assert criterion.score(criterion.at(theta)) == pytest.approx(expected, rel=1e-9)


def test_ubre_is_that_of_penalised_least_squares(table):
    criterion = criterion_of(f"count ~ {SMOOTHS}", table, "poisson")
    theta = np.array([0.7, -0.4, -1.0])
    x, s = dense(criterion, theta)
    y = table["count"].to_numpy(dtype=float)
    eta = np.log(y + 0.5)
    for _ in range(100):
        mean = np.exp(eta)
        hessian = x.T @ (mean[:, None] * x) + s
        eta = x @ np.linalg.solve(hessian, x.T @ (mean * eta + y - mean))
    edf = np.trace(np.linalg.solve(hessian, hessian - s))
    deviance = 2 * (y * np.log(np.maximum(y, 1) / mean) - y + mean).sum()
    assert criterion.score(criterion.at(theta)) == pytest.approx(deviance / 60 + 2 * edf / 60 - 1, rel=1e-9)


def test_ubre_and_gcv_are_least_where_they_say(table):
    for response, family in [("count", "poisson"), ("y", "gaussian")]:
        formula = f"{response} ~ s(x, bs='gp', k=8)"
        fit = gs.fit(formula, table, family=family, method="ubre")
        criterion = criterion_of(formula, table, family)
        grid = [criterion.score(criterion.at(np.array([t]))) for t in np.linspace(-3, 4, 29)]
        assert fit.score <= min(grid) + 1e-10
        # a grid of this spacing comes this near
        assert fit.score == pytest.approx(min(grid), abs=0.01)


def test_restricted_likelihood_is_the_dense_marginal_one(table):
    fit = gs.fit("y ~ s(x, bs='gp', k=8)", table, method="reml")
    sigma = fit.hyper.loc["sigma", "estimate"]
    x = table[["x"]].to_numpy()
    correlation = (lambda d: (1 + d) * np.exp(-d))(cdist(x, x) / cdist(x, x).max())
    values, vectors = np.linalg.eigh(correlation)
    trend = np.column_stack([np.ones(60), x])
    off = np.eye(60) - trend @ np.linalg.pinv(trend)
    shape = off @ (vectors[:, -6:] * values[-6:]) @ vectors[:, -6:].T @ off
    sd = fit.hyper.loc["sd(s(x))", "estimate"]
    v = sd**2 * shape / (np.trace(shape) / 60) + sigma**2 * np.eye(60)
    inner = trend.T @ np.linalg.solve(v, trend)
    left = table.y - trend @ np.linalg.solve(inner, trend.T @ np.linalg.solve(v, table.y))
    expected = 0.5 * (
        58 * np.log(2 * np.pi) + np.linalg.slogdet(v)[1] + np.linalg.slogdet(inner)[1] + left @ np.linalg.solve(v, left)
    )
    # the trend's slope counts a unit of x, as a fixed effect's
    assert fit.score == pytest.approx(expected, abs=1e-6)
    assert fit.dispersion == pytest.approx(sigma**2)


def test_known_scale_is_honoured(table):
    free = gs.fit("y ~ s(x, bs='gp', k=8)", table, method="ubre")
    held = gs.fit("y ~ s(x, bs='gp', k=8)", table, method="ubre", priors={"sigma": {"fixed": 0.5}})
    assert (free.score_name, held.score_name) == ("GCV", "UBRE")
    assert held.dispersion == pytest.approx(0.25)
    assert held.score == pytest.approx(held.deviance / 60 + 2 * 0.25 * held.edf / 60 - 0.25, rel=1e-9)


def test_tails_of_chi_squares():
    for degrees in (5, 49):
        for p in (0.9, 0.05, 1e-8):
            # the saddlepoint's relative error for 5 degrees is 2 %
            assert tail(chi2.isf(p, degrees), np.ones(degrees), np.ones(degrees)) == pytest.approx(p, rel=0.02)
    assert tail(5.0, np.ones(5), np.ones(5)) == pytest.approx(chi2.sf(5.0, 5), rel=0.005)
    ratio = f.isf(0.05, 5, 40) * 5 / 40
    assert tail(0.0, np.array([1.0, -ratio]), np.array([5.0, 40.0])) == pytest.approx(0.05, rel=0.02)


@pytest.mark.slow
def test_smooths_of_nothing_have_even_p_values():
    # the share of small p-values under the null: binomial of 100 at 0.2 has sd 0.04; smooths' tests are approximate
    rng = np.random.default_rng(11)
    found = []
    for _ in range(100):
        table = pd.DataFrame({"x": rng.uniform(size=50), "y": rng.normal(size=50)})
        found.append(gs.fit("y ~ s(x, bs='gp', k=6)", table, method="reml").smooths["p"].iloc[0])
    assert 0.08 < np.mean(np.array(found) < 0.2) < 0.36


# -- Bayesian ------------------------------------------------------------------------------------------------


def test_intercept_density_is_that_of_ginla(survey):
    theirs = pd.read_csv(REFERENCE / "ginla_intercept.csv")
    mean = np.trapezoid(theirs.beta * theirs.density, theirs.beta)
    sd = np.sqrt(np.trapezoid((theirs.beta - mean) ** 2 * theirs.density, theirs.beta))
    own = fit_rongelap(survey, "inla").marginal("Intercept")
    # ours has the exact eigenbasis, theirs the Lanczos one, which moves the REML intercept by 0.00098
    assert own.mean == pytest.approx(mean, abs=0.001)
    assert own.sd == pytest.approx(sd, rel=0.02)


def test_flat_prior_has_its_mode_at_the_restricted_maximum(survey, reml):
    fit = fit_rongelap(survey, "eb", priors={SD: "flat"})
    # the search ends within 1e-3 posterior standard deviations, 0.1 in the logarithm
    assert fit.hyper.loc[SD, "mode"] == pytest.approx(reml.hyper.loc[SD, "estimate"], rel=0.02)
    assert fit.theta_points[SD].iloc[0] == pytest.approx(reml.hyper.loc[SD, "estimate"], rel=1e-3)
    own, theirs = fit.marginal("s(cX,cY)[3]"), reml.random.loc["s(cX,cY)[3]"]
    # the posterior is nearly Gaussian about its mode
    assert own.mean == pytest.approx(theirs["estimate"], abs=0.1 * theirs["se"])
    assert own.sd == pytest.approx(theirs["se"], rel=0.02)


def test_default_prior_leaves_the_restricted_estimate_inside(survey, reml):
    fit = fit_rongelap(survey, "inla")
    low, high = fit.marginal(SD).interval(0.95)
    assert low < reml.hyper.loc[SD, "estimate"] < high
    assert "P(sd > " in next(h.prior for h in fit.model.hyperparameters)


# -- prediction ----------------------------------------------------------------------------------------------


def test_predicts_on_a_grid_where_covariates_are_coordinates(survey, reml):
    grid = gs.Grid.around(survey.coastline, shape=(12, 24), buffer=50)
    on_grid = reml.predict(grid)
    table = pd.DataFrame(grid.centres, columns=["cX", "cY"])
    assert on_grid.to_frame()["mean"].to_numpy() == pytest.approx(reml.predict(table).to_frame()["mean"].to_numpy())
    assert on_grid.grid is grid


def test_predictions_at_the_sites_are_the_fitted_rates(reml, survey):
    found = reml.predict(survey.points).to_frame()
    for theirs, ours in (("estimate", "mean"), ("se", "sd"), ("lower", "q0.025"), ("upper", "q0.975")):
        assert found[ours].to_numpy() == pytest.approx(reml.fitted[theirs].to_numpy(), rel=1e-6)


def test_predicts_by_the_names_of_coords(survey):
    plain = pd.DataFrame(survey.points.drop(columns="geometry"))
    fit = gs.fit("counts ~ s(cX, cY, bs='gp', k=9)", plain, family="poisson", coords=("cX", "cY"), method="reml")
    points = plain[["cX", "cY"]].to_numpy(dtype=float)[:3]
    by_points, by_table = fit.predict(points).to_frame(), fit.predict(plain.iloc[:3]).to_frame()
    assert by_points["mean"].to_numpy() == pytest.approx(by_table["mean"].to_numpy())


def test_prediction_without_a_covariate_is_refused(table):
    fit = gs.fit("y ~ s(x, z, bs='gp', k=8)", table, method="reml")
    with pytest.raises(gs.InputError, match="'z'"):
        fit.predict(table[["x"]])


# -- what is said --------------------------------------------------------------------------------------------


def test_summary_names_the_figures(ubre, capsys):
    ubre.summary()
    text = capsys.readouterr().out
    for words in ("UBRE", "edf", "deviance explained 61.47 %", "R² (adjusted) 0.8777", "s(cX,cY)"):
        assert words in text


@pytest.mark.parametrize(
    ("formula", "options", "words"),
    [
        ("count ~ s(x, bs='gp', k=6)", {"family": "nbinomial"}, "method 'ubre' is for the families"),
        ("y ~ x", {}, "the formula has none"),
        ("y ~ (x | g)", {}, r"not for .*g"),
        ("y ~ s(x, bs='gp', k=6)", {"priors": {"sd(s(x))": {"fixed": 1.0}}}, "cannot hold"),
        ("y ~ s(x, bs='gp', k=6)", {"priors": {"sd(s(x))": {"pc": [1, 0.05]}}}, "takes no priors"),
        ("y ~ s(x, bs='gp', k=6)", {"quadrature": 3}, "quadrature"),
    ],
)
def test_what_ubre_cannot_do_is_told(table, formula, options, words):
    with pytest.raises(gs.InputError, match=words):
        gs.fit(formula, table, method="ubre", **options)


def test_a_smooth_that_nothing_needs_is_told():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"g": np.repeat(np.arange(10), 5), "c": rng.poisson(3, 50)})
    rng.normal(size=50)
    with pytest.warns(gs.GeospdeWarning, match="estimated as 0"):
        fit = gs.fit("c ~ s(g, bs='re')", table, family="poisson", method="ubre")
    assert fit.smooths.loc["s(g)", "edf"] == pytest.approx(0, abs=1e-6)
    assert fit.smooths.loc["s(g)", "p"] == 1


def test_a_straight_line_needs_no_warning(recwarn):
    rng = np.random.default_rng(2)
    x = rng.uniform(size=80)
    table = pd.DataFrame({"x": x, "y": 2 * x + 0.3 * rng.normal(size=80)})
    fit = gs.fit("y ~ s(x, bs='gp', k=6)", table, method="reml")
    assert fit.smooths.loc["s(x)", "edf"] == pytest.approx(1, abs=1e-4)
    slope, intercept = np.polyfit(x, table.y, 1)
    assert fit.predict(table).to_frame()["mean"].to_numpy() == pytest.approx(intercept + slope * x, abs=1e-4)
    assert fit.notes == () and not [w for w in recwarn if issubclass(w.category, gs.GeospdeWarning)]


def test_ml_of_a_smooth_without_a_trend(table):
    fit = gs.fit("y ~ x + s(x, bs='gp', k=6, m=-3)", table, method="ml")
    assert fit.score_name == "-ML"


def test_saved_fits_come_back(herds, where_mgcv_stopped, table, tmp_path):
    gamma = gs.fit("positive ~ s(x, bs='gp', k=8)", table, family="gamma", method="ubre")
    for k, fit in enumerate([herds, where_mgcv_stopped, gamma]):
        fit.save(tmp_path / str(k))
        again = gs.load_fit(tmp_path / str(k))
        assert again.score == pytest.approx(fit.score, rel=1e-12)
        assert again.score_name == fit.score_name
        pd.testing.assert_frame_equal(again.smooths, fit.smooths, rtol=1e-9)
        pd.testing.assert_frame_equal(again.fixed, fit.fixed, rtol=1e-9)


def test_effects_are_curves_of_the_smooth(table):
    frame = gs.fit("y ~ s(x, bs='gp', k=8)", table, method="reml").effects("x").frame
    # the truth is a sine of amplitude 1; the curve's turning point is its first quarter, pi/12
    assert frame.loc[frame["mean"].idxmax(), "x"] == pytest.approx(np.pi / 12, abs=0.1)


@pytest.mark.parametrize("unit", [1e-9, 1e9])
@pytest.mark.parametrize("method", ["ubre", "reml"])
def test_units_do_not_matter(table, unit, method):
    plain = gs.fit("y ~ s(x, bs='gp', k=8)", table, method=method)
    other = gs.fit("y ~ s(x, bs='gp', k=8)", table.assign(y=unit * table.y, x=table.x / unit), method=method)
    # the search ends where a step promises less than 1e-14 of the criterion
    assert other.edf == pytest.approx(plain.edf, rel=1e-5)
    assert other.dispersion == pytest.approx(unit**2 * plain.dispersion, rel=1e-5)
    assert other.deviance_explained == pytest.approx(plain.deviance_explained, rel=1e-6)
    assert other.fixed["estimate"].iloc[0] == pytest.approx(unit * plain.fixed["estimate"].iloc[0], rel=1e-9)


def test_a_perfect_fit_is_told(table):
    with pytest.raises(gs.InputError, match="fits the response perfectly"):
        gs.fit("y ~ s(x, bs='gp', k=8)", table.assign(y=3 * table.x), method="ubre")


@pytest.mark.parametrize("method", ["ubre", "reml"])
def test_a_trend_that_separates_is_told(table, method):
    separated = table.assign(y=(table.x > 0.5).astype(int))
    with pytest.raises(gs.InputError, match=r"s\(x\), linear in x.*no finite estimate"):
        gs.fit("y ~ s(x, bs='gp', k=8)", separated, family="bernoulli", method=method)
    fit = gs.fit("y ~ s(x, bs='gp', k=8)", table.assign(y=(table.y > 2).astype(int)), family="bernoulli", method=method)
    assert 1 < fit.edf < 8
