"""Linear mixed models by REML and ML: nlme's and lme4's numbers, and dense Gaussian likelihoods."""

import warnings

import numpy as np
import pandas as pd
import pytest
from mixed import CHAPTER, chapter, dense_log_likelihood, effects, hessian, indicator
from scipy.optimize import minimize

import geospde as gs
from geospde.errors import GeospdeWarning
from geospde.likelihood.factor import Factor
from geospde.likelihood.likelihoods import Profiled, Restricted, Unpriored
from geospde.linalg.threads import one_blas_thread
from geospde.model.build import build_model

SLEEP = gs.load_dataset("sleepstudy")
FORMULA = "Reaction ~ Days + (Days | Subject)"
HYPER = ["sd(Intercept | Subject)", "sd(Days | Subject)", "cor(Intercept, Days | Subject)", "sigma"]


@pytest.fixture(scope="module", autouse=True)
def small_matrices():
    """Small dense matrices are slow where threads wait for each other."""
    with one_blas_thread():
        yield


@pytest.fixture(scope="module")
def reml():
    return gs.fit(FORMULA, SLEEP, method="reml")


@pytest.fixture(scope="module")
def ml():
    return gs.fit(FORMULA, SLEEP, method="ml")


# -- the sleep study ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["reml", "ml"])
def test_the_sleep_study_has_the_optimum_of_high_precision(method, reml, ml):
    fit, exact = {"reml": reml, "ml": ml}[method], chapter("exact_optima")[f"sleep_{method.upper()}"]
    # the reference holds at least eight digits of the log likelihood, and of estimates half as many
    assert fit.log_likelihood == pytest.approx(exact["logLik"], abs=1e-8)
    assert fit.deviance == pytest.approx(exact["crit"], abs=1e-8)
    assert list(fit.hyper.index) == HYPER
    np.testing.assert_allclose(fit.hyper["estimate"], [*exact["sd"], exact["corr"], exact["sigma"]], rtol=2e-5)
    np.testing.assert_allclose(fit.fixed["estimate"], exact["beta"], rtol=1e-10)
    np.testing.assert_allclose(fit.fixed["se"], exact["se"], rtol=1e-6)
    assert fit.correlation.loc["Intercept", "Days"] == pytest.approx(exact["cor_beta"], rel=1e-5)
    assert not fit.is_singular


def test_its_tables_are_nlmes(reml):
    nlme = chapter("lmm")["lme_REML"]
    table = pd.DataFrame(nlme["tTable"])
    assert list(reml.fixed.columns) == ["estimate", "se", "df", "t", "p", "lower", "upper"]
    np.testing.assert_array_equal(reml.fixed["df"], table["DF"])
    # nlme's own optimum is off in the sixth digit
    np.testing.assert_allclose(reml.fixed["t"], table["t-value"], rtol=2e-5)
    np.testing.assert_allclose(reml.fixed["p"], table["p-value"], rtol=2e-3)
    intervals = pd.DataFrame(nlme["intervals"]["fixed"])
    np.testing.assert_allclose(reml.fixed[["lower", "upper"]], intervals[["lower", "upper"]], rtol=2e-5)
    assert reml.aic == pytest.approx(nlme["AIC"], abs=1e-4)
    assert reml.criteria["bic_residual"] == pytest.approx(nlme["BIC"], abs=1e-4)
    scaled = np.quantile(reml.residuals("standardized"), [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(scaled, list(nlme["resid_quant"].values()), atol=5e-5)


@pytest.mark.slow
def test_its_criteria_intervals_and_modes_are_lme4s(reml, ml):
    lme4 = chapter("lmm")
    assert reml.bic == pytest.approx(lme4["lmer_REML"]["BIC"], abs=1e-6)
    assert ml.aic == pytest.approx(lme4["lmer_ML"]["AIC"], abs=1e-6)
    assert ml.bic == pytest.approx(lme4["lmer_ML"]["BIC"], abs=1e-6)
    profile = pd.DataFrame(lme4["lmer_REML"]["confint_profile"]).set_index("term")[["2.5 %", "97.5 %"]]
    order = ["sd_Intercept", "sd_Days", "cor", "sigma", "(Intercept)", "Days"]
    # lme4 interpolates its profile with a spline: four digits
    np.testing.assert_allclose(reml.confint(), profile.loc[order], rtol=1e-4)
    wald = pd.DataFrame(lme4["lmer_REML"]["confint_wald"]).set_index("term").loc[["(Intercept)", "Days"]]
    np.testing.assert_allclose(reml.confint(["Intercept", "Days"], method="wald"), wald[["2.5 %", "97.5 %"]], rtol=2e-6)
    modes = pd.read_csv(CHAPTER / "lmm_ranef.csv")
    modes.index = modes["term"].str.strip("()") + " | Subject[" + modes["grp"].astype(str) + "]"
    ours = reml.random.loc[modes.index]
    np.testing.assert_allclose(ours["estimate"], modes["condval"], atol=5e-4)  # lme4's optimum: 5 digits of 40
    np.testing.assert_allclose(ours["se"], modes["condsd"], rtol=2e-5)


def test_wald_intervals_of_hyperparameters_come_from_the_exact_curvature(reml):
    y, x = SLEEP["Reaction"].to_numpy(), np.column_stack([np.ones(180), SLEEP["Days"]])
    z = effects(SLEEP["Subject"], x)

    def dense(theta):
        (a, b), r = np.exp(theta[:2]), np.tanh(theta[2])
        g = np.array([[a * a, r * a * b], [r * a * b, b * b]])
        return dense_log_likelihood(y, x, [(z, np.kron(np.eye(18), g))], np.exp(theta[3]), True)

    theta = np.array([*np.log(reml.hyper["estimate"].iloc[:2]), 0.0, np.log(reml.hyper["estimate"].iloc[3])])
    theta[2] = np.arctanh(reml.hyper["estimate"].iloc[2])
    sd = np.sqrt(np.diag(np.linalg.inv(-hessian(dense, theta))))
    a, b, z, s = theta + 1.959964 * sd
    # differences of second order on both sides
    np.testing.assert_allclose(reml.hyper["upper"], [np.exp(a), np.exp(b), np.tanh(z), np.exp(s)], rtol=1e-4)
    # nlme's are from coarse differences: 3 % of the interval
    nlme = pd.DataFrame(chapter("lmm")["lme_REML"]["intervals"]["sd_cor"])
    np.testing.assert_allclose(reml.hyper["upper"].iloc[:2], nlme["upper"].iloc[:2], rtol=2e-3)


@pytest.mark.slow
def test_the_profile_crosses_its_limits(ml):
    curve = ml.profile("sd(Days | Subject)", size=9, reach=2.0)
    assert curve["zeta"].iloc[[0, -1]].to_numpy() == pytest.approx([-2.0, 2.0], abs=1e-4)
    assert (np.diff(curve["zeta"]) > 0).all()
    low, high = ml.confint("sd(Days | Subject)", level=0.9544997).loc["sd(Days | Subject)"]
    assert (low, high) == pytest.approx((curve["value"].iloc[0], curve["value"].iloc[-1]), rel=1e-4)


def test_the_summary_reads_as_a_mixed_models(reml, capsys):
    reml.summary()
    said = capsys.readouterr().out
    for piece in ("REML criterion 1743.63", "Subject: 18 levels", "-3.9536 -0.4634  0.0231 0.4634 5.1793", "24.74",
                  "161 36.838", "Correlation of fixed effects", "AIC 1755.63", "BIC 1774.79"):  # fmt: skip
        assert piece in said


@pytest.mark.slow
def test_a_saved_fit_is_the_same_again(reml, tmp_path):
    reml.save(tmp_path / "sleep")
    again = gs.load_fit(tmp_path / "sleep")
    assert type(again) is type(reml)
    for table in ("fixed", "hyper", "random", "fitted"):
        pd.testing.assert_frame_equal(getattr(again, table), getattr(reml, table))
    assert again.criteria == reml.criteria
    new = pd.DataFrame({"Days": [0.0, 9.0], "Subject": ["308", "309"]})
    pd.testing.assert_frame_equal(again.predict(new).to_frame(), reml.predict(new).to_frame())
    np.testing.assert_allclose(again.confint("Days"), reml.confint("Days"))


def test_predictions_and_draws_are_those_of_the_joint_gaussian(reml):
    """Henderson's mixed model equations, densely, at the estimates."""
    x = np.column_stack([np.ones(180), SLEEP["Days"]])
    z = effects(SLEEP["Subject"], x)
    a, b, r, sigma = reml.hyper["estimate"]
    g = np.kron(np.eye(18), [[a * a, r * a * b], [r * a * b, b * b]])
    joint = np.hstack([z, x])
    precision = joint.T @ joint / sigma**2
    precision[:36, :36] += np.linalg.inv(g)
    covariance = np.linalg.inv(precision)
    mean = covariance @ joint.T @ SLEEP["Reaction"].to_numpy() / sigma**2
    new = SLEEP.iloc[[3, 100]]
    rows = joint[[3, 100]]
    found = reml.predict(new).to_frame()
    np.testing.assert_allclose(found["mean"], rows @ mean, rtol=1e-8)
    np.testing.assert_allclose(found["sd"], np.sqrt(np.diag(rows @ covariance @ rows.T)), rtol=1e-6)
    draws = reml.sample(4000, seed=1)
    # a standard error of 4,000 draws is 1.6 % of an sd
    assert draws["Days"].std() == pytest.approx(reml.fixed.loc["Days", "se"], rel=0.05)
    assert draws["Intercept"].mean() == pytest.approx(mean[36], abs=5 * 6.8 / np.sqrt(4000))


# -- other groups, against dense likelihoods ----------------------------------------------------------------


def simulated(seed, n=90):
    rng = np.random.default_rng(seed)
    data = pd.DataFrame(
        {
            "x": rng.normal(size=n),
            "w": rng.normal(size=n),
            "a": rng.integers(0, 8, n),
            "b": [f"b{k}" for k in rng.integers(0, 6, n)],
        }
    )
    of_a, of_b = rng.normal(size=(8, 3)) @ np.diag([1.0, 0.6, 0.5]), rng.normal(size=6)
    data["inner"] = rng.integers(0, 3, n)
    of_inner = 0.7 * rng.normal(size=(8, 3))
    slopes = of_a[data["a"], 1] * data["x"] + of_a[data["a"], 2] * data["w"]
    data["y"] = 2 + 0.5 * data["x"] + of_a[data["a"], 0] + slopes + of_inner[data["a"], data["inner"]]
    data["y"] += 0.8 * of_b[[int(k[1]) for k in data["b"]]] + 0.6 * rng.normal(size=n)
    return data


def iid(levels):
    return lambda sd: sd[0] ** 2 * np.eye(len(np.unique(levels)))


def agreement(formula, data, x, parts, method):
    """A fit and the dense maximum; `parts` are z, the function from numbers to the effects' covariance, their count."""
    y = data["y"].to_numpy()

    def loss(theta):
        at, given = 0, []
        for z, g, count in parts:
            given.append((z, g(theta[at : at + count])))
            at += count
        return -dense_log_likelihood(y, x, given, np.exp(theta[-1]), method == "reml")

    size = sum(count for *_, count in parts) + 1
    starts = [np.r_[np.full(size - 1, s), 0.0] for s in (0.5, 1.0)]
    best = min((minimize(loss, s, method="BFGS", options={"gtol": 1e-5}) for s in starts), key=lambda o: o.fun)
    fit = gs.fit(formula, data, method=method)
    assert fit.log_likelihood == pytest.approx(-best.fun, abs=1e-6)
    return fit, best.x


@pytest.mark.parametrize("method", ["reml", "ml"])
def test_crossed_groups(method):
    data = simulated(1)
    x = np.column_stack([np.ones(90), data["x"]])
    parts = [(indicator(data["a"]), iid(data["a"]), 1), (indicator(data["b"]), iid(data["b"]), 1)]
    fit, best = agreement("y ~ x + (1 | a) + (1 | b)", data, x, parts, method)
    np.testing.assert_allclose(fit.hyper["estimate"], [*np.abs(best[:2]), np.exp(best[2])], rtol=1e-4)
    # no nesting, no inner-outer rule: a normal's p
    assert np.isinf(fit.fixed["df"]).all()
    of_x = fit.fixed.loc["x"]
    assert of_x["upper"] == pytest.approx(of_x["estimate"] + 1.959964 * of_x["se"])


@pytest.mark.parametrize("method", ["reml", "ml"])
def test_nested_groups(method):
    data = simulated(2)
    both = 10 * data["a"] + data["inner"]
    x = np.column_stack([np.ones(90), data["x"]])
    parts = [(indicator(data["a"]), iid(data["a"]), 1), (indicator(both), iid(both), 1)]
    fit, best = agreement("y ~ x + (1 | a / inner)", data, x, parts, method)
    found = dict(zip(["sd(Intercept | a)", "sd(Intercept | a:inner)"], np.abs(best)))
    np.testing.assert_allclose(fit.hyper["estimate"][list(found)], list(found.values()), rtol=1e-4)
    # x varies within the innermost groups: 90 observations less their number and itself
    assert (fit.fixed["df"] == 90 - both.nunique() - 1).all()


def test_uncorrelated_effects():
    data = simulated(3)
    x = np.column_stack([np.ones(90), data["x"]])
    parts = [(indicator(data["a"]), iid(data["a"]), 1), (effects(data["a"], data["x"]), iid(data["a"]), 1)]
    fit, best = agreement("y ~ x + (x || a)", data, x, parts, "reml")
    np.testing.assert_allclose(fit.hyper["estimate"], [*np.abs(best[:2]), np.exp(best[2])], rtol=1e-4)


def factored(levels, q):
    def covariance(entries):
        root = np.zeros((q, q))
        root[np.tril_indices(q)] = entries
        return np.kron(np.eye(len(np.unique(levels))), root @ root.T)

    return covariance


@pytest.mark.slow
@pytest.mark.parametrize("method", ["reml", "ml"])
def test_three_correlated_effects(method):
    data = simulated(11, 120)
    x = np.column_stack([np.ones(120), data["x"], data["w"]])
    part = (effects(data["a"], x), factored(data["a"], 3), 6)
    fit, best = agreement("y ~ x + w + (x + w | a)", data, x, [part], method)
    g = part[1](best[:6])[:3, :3]
    sd = np.sqrt(np.diag(g))
    estimates = fit.hyper["estimate"]
    np.testing.assert_allclose(estimates.iloc[:3], sd, rtol=1e-4)
    np.testing.assert_allclose(estimates.iloc[3:6], (g / np.outer(sd, sd))[np.tril_indices(3, -1)], atol=1e-4)


@pytest.mark.slow
def test_the_profile_of_a_correlation_of_later_effects_holds_it():
    data = simulated(11, 120)
    fit = gs.fit("y ~ x + w + (x + w | a)", data, method="ml")
    name = "cor(x, w | a)"
    low, high = fit.confint(name).loc[name]
    assert low < fit.hyper.loc[name, "estimate"] < high
    x = np.column_stack([np.ones(120), data["x"], data["w"]])
    z, y = effects(data["a"], x), data["y"].to_numpy()

    def loss(t, held):
        """Dense, with the correlation of the last two effects held: the first two rows of the factor are theirs."""
        root = np.zeros((3, 3))
        root[0, 0], root[1] = t[0], t[1] * np.array([held, np.sqrt(1 - held**2), 0.0])
        root[2] = t[2:5]
        g = (root @ root.T)[np.ix_([2, 0, 1], [2, 0, 1])]
        return -dense_log_likelihood(y, x, [(z, np.kron(np.eye(8), g))], np.exp(t[5]), False)

    for end in (low, high):
        if abs(end) < 1:
            best = minimize(loss, [0.6, 0.5, 0.1, 0.1, 1.0, -0.4], (end,), method="BFGS", options={"gtol": 1e-6})
            assert 2 * (fit.log_likelihood + best.fun) == pytest.approx(1.959964**2, abs=1e-3)


def test_without_groups_it_is_least_squares():
    data = simulated(5)
    x = np.column_stack([np.ones(90), data["x"]])
    beta, rss = np.linalg.lstsq(x, data["y"].to_numpy(), rcond=None)[:2]
    fit = gs.fit("y ~ x", data, method="reml")
    np.testing.assert_allclose(fit.fixed["estimate"], beta, rtol=1e-8)
    assert fit.hyper.loc["sigma", "estimate"] == pytest.approx(np.sqrt(rss[0] / 88), rel=1e-7)
    assert (fit.fixed["df"] == 88).all()
    se = np.sqrt(np.diag(np.linalg.inv(x.T @ x)) * rss[0] / 88)
    np.testing.assert_allclose(fit.fixed["se"], se, rtol=1e-7)


@pytest.mark.parametrize("kind", [Restricted, Profiled])
def test_gradients_are_exact_at_singular_covariances_too(kind):
    data = simulated(6, 60)
    model = Unpriored.of(build_model("y ~ x + (x + w | a) + (1 | b)", data))
    likelihood = kind(model)
    for entries in ([1.0, 0.3, 0.8, -0.2, 0.4, 0.6], [1.0, 0.5, 0.0, 0.3, 0.2, 0.0], [0.0] * 6):
        psi = np.array([*entries, 0.2, -0.1])
        numeric = [
            (likelihood.at(psi + h).log_posterior - likelihood.at(psi - h).log_posterior) / 2e-5
            for h in 1e-5 * np.eye(psi.size)
        ]
        # central differences of a value of 100 with 1e-5: rounding of 1e-8
        np.testing.assert_allclose(likelihood.at(psi).gradient, numeric, atol=1e-6)


def test_theta_and_factor_go_into_each_other():
    factor = Factor(np.array([2.0, 0.5, 1.0]))
    theta = np.array([0.3, -1.0, 0.2, 0.4, -0.7, 1.1])
    entries = factor.entries_of(theta)
    np.testing.assert_allclose(factor.theta(entries), theta, atol=1e-12)
    root = factor.root(entries)
    np.testing.assert_allclose(factor.entries_of_covariance(root @ root.T), entries, atol=1e-12)
    numeric = [(factor.theta(entries + h) - factor.theta(entries - h)) / 2e-6 for h in 1e-6 * np.eye(6)]
    np.testing.assert_allclose(factor.jacobian(entries), np.transpose(numeric), rtol=1e-6, atol=1e-9)


def test_a_factor_of_any_signs_is_of_the_same_covariance():
    factor = Factor(np.array([2.0, 0.5, 1.0]))
    entries = np.array([1.0, 0.3, 0.8, -0.2, 0.4, 0.6])
    root = factor.root(entries) @ np.diag([-1.0, 1.0, -1.0])
    turned = (root / factor.units[:, None])[np.tril_indices(3)]
    np.testing.assert_allclose(factor.theta(turned), factor.theta(entries), atol=1e-12)
    np.testing.assert_array_equal(factor.upright(turned), entries)


@pytest.mark.parametrize("change", [{"by": 1e7}, {"by": -3e3}, {"times": 1e-8}, {"times": 1e6}])
def test_the_unit_and_origin_of_the_response_do_not_matter(change, reml):
    times, by = change.get("times", 1.0), change.get("by", 0.0)
    fit = gs.fit(FORMULA, SLEEP.assign(Reaction=times * SLEEP["Reaction"] + by), method="reml")
    # a response of 1e7 with a residual of 25 has lost seven digits
    scale = np.array([times, times, 1.0, times])
    np.testing.assert_allclose(fit.hyper["estimate"], reml.hyper["estimate"] * scale, rtol=1e-5)
    assert fit.log_likelihood == pytest.approx(reml.log_likelihood - 178 * np.log(times), abs=1e-5)


# -- singular fits ------------------------------------------------------------------------------------------

BATCHES = pd.DataFrame(
    {
        "batch": np.repeat(list("ABCDEF"), 5),
        "yield": [1545, 1440, 1440, 1520, 1580, 1540, 1555, 1490, 1560, 1495, 1595, 1550, 1605, 1510, 1560,
                  1445, 1440, 1595, 1465, 1545, 1595, 1630, 1515, 1635, 1625, 1520, 1455, 1450, 1480, 1445],
        "simulated": [7.298, 3.846, 2.434, 9.566, 7.99, 5.22, 6.556, 0.608, 11.788, -0.892, 0.11, 10.386, 13.434, 5.51,
                      8.166, 2.212, 4.852, 7.092, 9.288, 4.98, 0.282, 9.014, 4.458, 9.446, 7.198, 1.722, 4.782, 8.106,
                      0.758, 3.758],
    }
)  # fmt: skip


def test_the_dyestuff_has_its_published_numbers():
    """Box & Tiao (1973), 5.1.2, as fitted by lme4 in Bates (2010), lme4: Mixed-effects modeling with R, 1.3."""
    fit = gs.fit("`yield` ~ 1 + (1 | batch)", BATCHES, method="reml")
    assert fit.reml_criterion == pytest.approx(319.6543, abs=5e-5)
    np.testing.assert_allclose(fit.hyper["estimate"], [42.00, 49.51], atol=5e-3)
    np.testing.assert_allclose(fit.fixed.loc["Intercept", ["estimate", "se"]].astype(float), [1527.5, 19.38], atol=5e-3)
    ml = gs.fit("`yield` ~ 1 + (1 | batch)", BATCHES, method="ml")
    assert ml.deviance == pytest.approx(327.3271, abs=5e-5)
    published = [[12.1985, 84.0632], [38.2300, 67.6577], [1486.4515, 1568.5485]]
    np.testing.assert_allclose(ml.confint(), published, rtol=3e-4)  # interpolated there


def test_the_simulated_dyestuff_is_singular():
    """Box & Tiao (1973), table 5.1.4; lme4: REML criterion 161.8283, residual sd 3.716, intercept 5.6656 (0.6784)."""
    with pytest.warns(GeospdeWarning, match="singular fit"):
        fit = gs.fit("simulated ~ 1 + (1 | batch)", BATCHES, method="reml")
    assert fit.deviance == pytest.approx(161.8283, abs=5e-5)
    assert fit.hyper["estimate"].to_dict() == {"sd(Intercept | batch)": 0.0, "sigma": pytest.approx(3.716, abs=5e-4)}
    np.testing.assert_allclose(fit.fixed.iloc[0, :2], [5.6656, 0.6784], atol=5e-5)


def without_groups(seed=5):
    """A response whose groups have exactly the same mean, so that no variance is between them."""
    rng = np.random.default_rng(seed)
    data = pd.DataFrame({"g": np.repeat(np.arange(10), 6), "x": np.tile(np.arange(6.0), 10), "y": rng.normal(size=60)})
    data["y"] -= data.groupby("g")["y"].transform("mean")
    return data


@pytest.mark.parametrize("method", ["reml", "ml"])
def test_a_variance_of_zero_is_a_singular_fit_and_no_failure(method):
    data = without_groups()
    with pytest.warns(GeospdeWarning, match=r"singular fit: 'sd\(Intercept \| g\)' is estimated as 0"):
        fit = gs.fit("y ~ x + (1 | g)", data, method=method)
    plain = gs.fit("y ~ x", data, method=method)
    assert fit.is_singular and not plain.is_singular
    assert fit.hyper.loc["sd(Intercept | g)", "estimate"] == 0.0
    assert fit.log_likelihood == pytest.approx(plain.log_likelihood, abs=1e-8)
    np.testing.assert_allclose(fit.fixed["se"], plain.fixed["se"], rtol=1e-6)
    assert (fit.random == 0).all(axis=None)
    low, high = fit.confint("sd(Intercept | g)").iloc[0]
    assert low == 0.0 and high > 0.05


@pytest.mark.slow
def test_a_correlation_of_one_is_a_singular_fit():
    rng = np.random.default_rng(7)
    data = without_groups()
    data["y"] = 1 + rng.normal(size=10)[data["g"]] * (1 + 0.5 * data["x"]) + 2 * rng.normal(size=60)
    x = np.column_stack([np.ones(60), data["x"]])
    part = (effects(data["g"], x), factored(data["g"], 2), 3)
    with pytest.warns(GeospdeWarning, match="singular fit"):
        fit, best = agreement("y ~ x + (x | g)", data, x, [part], "ml")
    assert fit.hyper.loc["cor(Intercept, x | g)", "estimate"] == 1.0
    assert np.isnan(fit.hyper.loc["cor(Intercept, x | g)", "se"])
    sd = np.sqrt(np.diag(part[1](best[:3])[:2, :2]))
    np.testing.assert_allclose(fit.hyper["estimate"].iloc[:2], sd, rtol=1e-4)
    assert np.isfinite(fit.hyper["se"].iloc[:2]).all()


def test_a_correlation_of_one_beside_a_slope_near_zero_is_a_singular_fit():
    rng = np.random.default_rng(4)
    data = without_groups()
    data["y"] = 1 + rng.normal(size=10)[data["g"]] * (1 + 0.03 * data["x"]) + 0.8 * rng.normal(size=60)
    with pytest.warns(GeospdeWarning, match=r"'cor\(Intercept, x \| g\)' is estimated as 1 or -1"):
        fit = gs.fit("y ~ x + (x | g)", data, method="reml")
    estimate = fit.hyper["estimate"].to_numpy()
    assert 0 < estimate[1] < 0.1 and abs(estimate[2]) == 1.0
    # of rank one, the effects of a level are one effect of one combined column
    data["both"] = 1 + estimate[2] * estimate[1] / estimate[0] * data["x"]
    combined = gs.fit("y ~ x + (0 + both | g)", data, method="reml")
    assert fit.log_likelihood == pytest.approx(combined.log_likelihood, abs=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_covariances_of_low_rank_reach_the_dense_maximum(seed):
    rng = np.random.default_rng(seed)
    g, z = np.repeat(np.arange(9), 6), np.column_stack([np.ones(54), rng.normal(size=(54, 2))])
    data = pd.DataFrame({"g": g, "x": z[:, 1], "w": z[:, 2]})
    own = rng.normal(size=(9, seed % 3)) @ rng.normal(size=(seed % 3, 3))
    data["y"] = 1 + (own[g] * z).sum(axis=1) + rng.normal(size=54)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeospdeWarning)
        fit, _ = agreement("y ~ x + w + (x + w | g)", data, z, [(effects(g, z), factored(g, 3), 6)], "reml")
    assert fit.is_singular
    assert np.isfinite(fit.fixed["se"]).all()
    # given the coefficients, effects have a covariance that needs no precision of theirs, which a singular one lacks
    sd, (r12, r13, r23), sigma = np.split(fit.hyper["estimate"].to_numpy(), [3, 6])
    correlation = np.array([[1, r12, r13], [r12, 1, r23], [r13, r23, 1]])
    design, own = effects(g, z), np.kron(np.eye(9), sd[:, None] * correlation * sd)
    gain = own @ design.T @ np.linalg.inv(design @ own @ design.T + sigma**2 * np.eye(54))
    expected = np.sqrt(np.diag(own - gain @ design @ own))
    some = expected > 1e-4 * expected.max()  # not effects that vanish
    np.testing.assert_allclose(fit.random["se"][some], expected[some], rtol=1e-3)


# -- what is refused ----------------------------------------------------------------------------------------

REFUSED = {
    "as many levels": ("y ~ x + (1 | row)", {}, "60 random effects"),
    "as many effects": ("y ~ x + (x | pair)", {}, "60 random effects .30 levels of 2 effects."),
    "a perfect fit": ("line ~ x + (1 | g)", {}, "perfectly"),
    "a constant": ("flat ~ 1 + (1 | g)", {}, "perfectly"),
    "as many coefficients": ("y ~ C(row)", {}, "60 fixed effects cannot be told"),
    "priors by name": ("y ~ x", {"priors": "brms"}, "takes no priors"),
    "a prior": ("y ~ x + (1 | g)", {"priors": {"x": {"gaussian": [0, 1]}}}, "a likelihood takes priors of ranges.*'x'"),
    "a rule": ("y ~ x", {"integration": "grid"}, "only for method 'inla'"),
    "a strategy": ("y ~ x", {"strategy": "vb"}, "only for method 'inla'"),
    "quadrature": ("y ~ x + (1 | g)", {"method": "reml", "quadrature": 5}, "only for method 'ml'"),
    "half a point": ("y ~ x + (1 | g)", {"quadrature": 1.5}, "number of points"),
    "quadrature elsewhere": ("y ~ x + (1 | g)", {"method": "inla", "quadrature": 5}, "only for method 'ml'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_answer_is_refused_in_a_sentence(case):
    data = without_groups().assign(row=np.arange(60), pair=np.arange(60) // 2, flat=3.0)
    data["line"] = 2 * data["x"] + 1
    formula, options, said = REFUSED[case]
    with pytest.raises(gs.InputError, match=said):
        gs.fit(formula, data, **{"method": "ml", **options})


def test_a_hyperparameter_can_be_held():
    data = simulated(1)
    fit = gs.fit("y ~ x + (1 | a)", data, method="ml", priors={"sd(Intercept | a)": {"fixed": 0.5}})
    x = np.column_stack([np.ones(90), data["x"]])
    given = [(indicator(data["a"]), 0.25 * np.eye(8))]
    best = dense_log_likelihood(data["y"].to_numpy(), x, given, fit.hyper.loc["sigma", "estimate"], False)
    assert fit.log_likelihood == pytest.approx(best, abs=1e-8)
    assert fit.n_parameters == 3
    with pytest.raises(gs.InputError, match="held"):
        fit.confint("sd(Intercept | a)")


def test_observations_have_their_log_density_and_residual(reml):
    own = reml.pointwise
    sigma = reml.hyper.loc["sigma", "estimate"]
    left = (SLEEP["Reaction"].to_numpy() - reml.fitted["estimate"]) / sigma
    np.testing.assert_allclose(own["residual"], left, rtol=1e-8)
    np.testing.assert_allclose(own["log_likelihood"], -0.5 * (np.log(2 * np.pi * sigma**2) + left**2), rtol=1e-8)


def test_what_a_likelihood_has_not_is_told(reml):
    with pytest.raises(gs.InputError, match="confint"):
        reml.marginal("sigma")
    with pytest.raises(gs.InputError, match="did you mean 'Days'"):
        reml.confint("Dayz")
    with pytest.raises(gs.InputError, match="between 0 and 1"):
        reml.confint(level=95)
    with pytest.raises(gs.InputError, match="'profile' or 'wald'"):
        reml.confint(method="boot")
    with pytest.raises(gs.InputError, match="kind"):
        reml.residuals("deviance")


# -- degrees of freedom -------------------------------------------------------------------------------------


def test_a_covariate_between_groups_is_judged_against_them():
    """Orthodont: nlme gives age and age:Sex 79 degrees, Sex 25, the intercept 79 (27 subjects of 4 visits)."""
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"age": np.tile([8.0, 10, 12, 14], 27), "s": np.repeat([f"s{k}" for k in range(27)], 4)})
    data["sex"] = np.where(np.arange(108) < 64, "m", "f")
    data["y"] = 20 + rng.normal(size=27)[np.arange(108) // 4] * 2 + 0.6 * data["age"] + rng.normal(size=108)
    fit = gs.fit("y ~ age * sex + (1 | s)", data, method="reml")
    assert fit.fixed["df"].to_dict() == {"Intercept": 79, "age": 79, "sex[m]": 25, "age:sex[m]": 79}


def test_two_levels_of_groups_have_their_own_degrees():
    """Oats: nlme gives nitro and its interactions 45 degrees, Variety 10 (6 blocks of 3 plots of 4 subplots)."""
    rng = np.random.default_rng(2)
    block, plot, nitro = (v.ravel() for v in np.indices((6, 3, 4)))
    data = pd.DataFrame({"block": block, "variety": np.array(["a", "b", "c"])[plot], "nitro": nitro.astype(str)})
    data["y"] = 100 + 5 * rng.normal(size=6)[block] + 4 * rng.normal(size=(6, 3))[block, plot] + rng.normal(size=72)
    fit = gs.fit("y ~ nitro * variety + (1 | block / variety)", data, method="reml")
    df = fit.fixed["df"]
    assert (df[["variety[b]", "variety[c]"]] == 10).all()
    assert (df.drop(["variety[b]", "variety[c]"]) == 45).all()
