"""Censored responses: densities and derivatives, estimates beside scipy's, an exact posterior, residuals."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from family_checks import slope
from scipy import stats
from scipy.optimize import minimize

import geospde as gs
from geospde.families.censored import Censored, Censoring
from geospde.families.registry import family_by_name

HERE = Path(__file__).parents[1] / "reference" / "families"
KINDS = np.array([0, 1, 2, 3] * 3)
THETA = {
    "gaussian": [-0.3], "t": [-0.2, 1.0], "lognormal": [-0.3], "gamma": [0.4], "weibull": [0.3], "exponential": [],
    "gengamma": [-0.5, 0.6],
}  # fmt: skip


def censored(name, rng, spread=1.0):
    """Responses of each kind of knowledge, at predictors of their own."""
    eta = rng.normal(0, spread, KINDS.size)
    y = np.exp(rng.normal(0, 0.7, KINDS.size))
    bound = family_by_name(name).bind(y, weights=rng.uniform(0.5, 2, y.size), censoring=Censoring(KINDS, 1.7 * y))
    return bound.at(np.array(THETA[name])), eta


@pytest.mark.parametrize("name", THETA)
def test_densities_are_probabilities_of_what_is_known_with_their_derivatives(name):
    here, eta = censored(name, np.random.default_rng(2))
    plain = here.uncensored
    far = replace(plain, y=1.7 * plain.y)
    between = np.where(plain.cdf(eta) < 0.5, far.cdf(eta) - plain.cdf(eta), plain.sf(eta) - far.sf(eta))
    known = [np.exp(plain.log_density(eta)), plain.cdf(eta), plain.sf(eta), between]
    np.testing.assert_allclose(here.unweighted().log_density(eta), np.log(np.choose(KINDS, known)), rtol=1e-9)
    for order, derivative in enumerate(here.derivatives(eta)):
        lower = here.log_density if order == 0 else (lambda e, o=order: here.derivatives(e)[o - 1])
        scale = np.abs(lower(eta)).max() + 1
        # the differences lose what rounding takes from the function, over the step
        np.testing.assert_allclose(derivative, slope(lower, eta), rtol=2e-6, atol=1e-8 * scale)
    assert here.at(here.theta).log_density(eta) == pytest.approx(here.log_density(eta))
    few = here.of_rows(np.array([1, 3, 6]))
    np.testing.assert_allclose(few.log_density(eta[[1, 3, 6]]), here.log_density(eta)[[1, 3, 6]])


@pytest.mark.parametrize("name", THETA)
def test_far_tails_are_finite(name):
    here, _ = censored(name, np.random.default_rng(3))
    for far in (-30.0, -8.0, 8.0, 30.0):
        eta = np.full(here.n, far)
        assert np.isfinite(here.log_density(eta)).all()
        first, second, _ = here.derivatives(eta)
        assert np.isfinite(first).all() and np.isfinite(second).all()
        assert (here.newton_weights(eta, second) >= 0).all()


def survey(n=400):
    """Logs of concentrations with a detection limit of 0.5, a dish that overflows, and a few known to a class."""
    rng = np.random.default_rng(8)
    x = rng.normal(size=n)
    y = np.exp(0.3 + 0.6 * x + 0.8 * rng.normal(size=n))
    how = np.where(y < 0.5, "left", np.where(y > 4, "right", "none")).astype(object)
    how[:40] = "interval"
    low = np.where(how == "left", 0.5, np.where(how == "right", 4.0, y))
    low[:40] = np.floor(2 * y[:40]) / 2 + 1e-3
    return pd.DataFrame({"x": x, "y": low, "how": how, "y2": np.where(how == "interval", low + 0.5, np.nan), "all": y})


@pytest.mark.slow
def test_estimates_are_those_of_scipys_optimum_and_near_the_truth():
    table = survey()
    fit = gs.fit("cens(y, how, y2) ~ x", table, family="lognormal", method="ml")

    def loss(p):
        law = stats.lognorm(np.exp(p[2]), scale=np.exp(p[0] + p[1] * table["x"]))
        y, y2 = table["y"], table["y2"].fillna(99.0)
        parts = {"none": law.logpdf(y), "left": law.logcdf(y), "right": law.logsf(y),
                 "interval": np.log(law.cdf(y2) - law.cdf(y))}  # fmt: skip
        return -sum(part[(table["how"] == how).to_numpy()].sum() for how, part in parts.items())

    best = minimize(loss, [0, 0, 0], method="BFGS", options={"gtol": 1e-7})
    assert fit.log_likelihood == pytest.approx(-best.fun, abs=1e-6)
    found = [*fit.fixed["estimate"], fit.hyper.loc["sigma", "estimate"]]
    assert found == pytest.approx([best.x[0], best.x[1], np.exp(best.x[2])], abs=1e-4)
    assert (np.abs(fit.fixed["estimate"] - [0.3, 0.6]) < 4 * fit.fixed["se"]).all()
    assert stats.kstest(fit.residuals("quantile"), "norm").pvalue > 0.01


@pytest.mark.slow
def test_a_fit_is_saved_predicted_and_scored(tmp_path):
    table = survey(120)
    fit = gs.fit("cens(y, how, y2) ~ x", table, family="lognormal", method="eb")
    assert fit.pointwise["pit"].between(0, 1).all() and len(fit.residuals()) == 120
    fit.save(tmp_path / "lead")
    again = gs.load_fit(tmp_path / "lead")
    pd.testing.assert_frame_equal(again.fitted, fit.fitted)
    assert isinstance(again.model.likelihood, Censored)
    assert len(fit.predict(table[["x"]].head(3)).to_frame()) == 3


def test_the_posterior_below_a_detection_limit_is_the_exact_one():
    table = pd.read_csv(HERE / "data.csv")
    table["how"] = np.where(table["cens"] == 1, "left", "none")
    wide = {"gaussian": [0, 1000**0.5]}
    priors = {"sd(Intercept | g)": {"pc": [1, 0.05]}, "Intercept": wide, "x": wide, "sigma": gs.priors.LogGamma()}
    fit = gs.fit("cens(left, how) ~ x + (1 | g)", table, priors=priors)
    found = pd.concat([fit.fixed, fit.hyper])
    mean, sd = np.array([0.2418588, 0.8274582, 0.5219664]), np.array([0.1233606, 0.05964946, 0.09269822])
    assert (np.abs(found["mean"][:3] - mean) / sd < 0.1).all()
    np.testing.assert_allclose(found["sd"][:3], sd, rtol=0.1)
    # precision 4.779509 in the middle, of a sampled posterior
    assert float(fit.marginal("sigma").quantile(0.5)) ** -2 == pytest.approx(4.779509, abs=0.05)
    assert fit.log_marginal_likelihood == pytest.approx(-226.4691944004, abs=0.05)


# log likelihood, then coefficients and scale of log time, by survreg of R's survival 3.5-3: Surv(time, event), and by
# type = "interval2" of what inspections every half a unit saw, the last of them at 2
SURVREG = {
    ("weibull", "right"): (-166.598237862, 0.181242959221, -0.214641283689, 0.600639821822),
    ("weibull", "seen"): (-353.656089185, 0.163771773571, -0.237266148781, 0.610381615895),
    ("exponential", "right"): (-194.257824527, 0.230441678254, -0.269769352876, 1.0),
    ("exponential", "seen"): (-376.14524018, 0.100261856817, -0.29277124481, 1.0),
    ("lognormal", "right"): (-177.113384538, -0.117104657414, -0.22878037892, 0.827120216847),
    ("lognormal", "seen"): (-357.565603397, -0.12325904466, -0.236689857129, 0.677118664369),
    ("gaussian", "right"): (-191.645231477, 1.04328356048, -0.178551651978, 0.587138542127),
    ("gaussian", "seen"): (-358.47737372, 1.00551866592, -0.248292965974, 0.694588407704),
}


@pytest.mark.parametrize("family, how", SURVREG)
def test_optima_are_those_of_survreg(family, how):
    table = pd.read_csv(HERE / "survival.csv")
    table["end"] = np.where(table["event"] == 1, "none", "right")
    left = "cens(time, end)" if how == "right" else "cens(y, how, y2)"
    fit = gs.fit(f"{left} ~ x", table, family=family, method="ml")
    log_likelihood, intercept, slope, scale = SURVREG[family, how]
    assert fit.log_likelihood == pytest.approx(log_likelihood, abs=1e-7)  # printed to twelve digits
    found = fit.fixed["estimate"].to_numpy()
    if family in ("weibull", "exponential"):  # ours is the log hazard, minus the shape times theirs
        found = -scale * found
    # an optimum is found to the root of its value's error
    assert found == pytest.approx([intercept, slope], abs=2e-6)
    if family != "exponential":
        own = fit.hyper["estimate"].iloc[0]
        assert (1 / own if family == "weibull" else own) == pytest.approx(scale, abs=2e-6)


@pytest.mark.parametrize("name, theta", [("poisson", []), ("nbinomial", [0.7])])
def test_counts_known_by_bounds_have_probabilities_and_their_derivatives(name, theta):
    rng = np.random.default_rng(4)
    eta, y = rng.normal(0.5, 1, KINDS.size), rng.poisson(2.0, KINDS.size).astype(float)
    bound = family_by_name(name).bind(y, exposure=rng.uniform(0.5, 2, y.size), censoring=Censoring(KINDS, y + 3))
    here = bound.at(np.array(theta))
    plain = here.uncensored
    within = [np.exp(replace(plain, y=plain.y + k).log_density(eta)) for k in (1, 2, 3)]
    known = [np.exp(plain.log_density(eta)), plain.cdf(eta), plain.sf(eta), sum(within)]
    np.testing.assert_allclose(here.log_density(eta), np.log(np.choose(KINDS, known)), rtol=1e-9)
    for order, derivative in enumerate(here.derivatives(eta)):
        lower = here.log_density if order == 0 else (lambda e, o=order: here.derivatives(e)[o - 1])
        np.testing.assert_allclose(derivative, slope(lower, eta), rtol=2e-6, atol=1e-7)
    assert here.jumps().all()


def test_censored_counts_have_sdmtmbs_optimum():
    data = pd.read_csv(HERE.parent / "optima" / "family.csv")
    y, upper = data["y_censored_poisson_log"], data["upr_censored_poisson"]
    table = data[["x"]].assign(how=np.where(upper == y, "none", "right"), y=np.where(upper == y, y, y - 1))
    fit = gs.fit("cens(y, how) ~ x", table, family="poisson", method="ml")  # at least y is above y - 1
    assert fit.log_likelihood == pytest.approx(-582.854383, abs=1e-5)
    assert fit.predict(pd.DataFrame({"x": np.linspace(-1, 1, 41)})).to_frame()["mean"].mean() == pytest.approx(
        4.79995732, rel=1e-5
    )
    assert stats.kstest(fit.residuals("quantile"), "norm").pvalue > 0.001


def test_nothing_censored_is_the_family_itself():
    table = survey(50).assign(how="none")
    a, b = (gs.fit(f"{left} ~ x", table, family="gamma", method="ml") for left in ("cens(y, how)", "y"))
    assert a.log_likelihood == b.log_likelihood and not isinstance(a.model.likelihood, Censored)


BAD = [
    ("cens(y, how)", {"how": "below"}, "row 0 holds 'below'"),
    ("cens(y, how)", {"how": "interval"}, "row 0 is censored to an interval, whose upper end is missing"),
    ("cens(y, how, y2)", {"how": "interval", "y2": 0.0}, "row 0 goes from"),
    ("cens(y, how, y2)", {"how": "interval", "y2": None}, "row 0 goes from .* to nan"),
    ("cens(y, how, y2)", {"how": "interval", "y2": "x"}, "upper ends 'y2' .* are numbers: row 0 holds 'x'; 19 further"),
    ("cens(y, how, y2)", {"how": "right", "y2": "x"}, "upper ends 'y2' .* are numbers: row 0 holds 'x'"),
    ("cens(y, how, y2)", {"how": "none", "y2": True}, "are numbers: row 0 holds True"),
    ("cens(y, how, y2)", {"how": "left", "y2": pd.Timestamp("2001-01-01")}, "column 'y2' holds datetime64"),
    ("cens(y, nothing)", {}, "no column 'nothing'"),
    ("cens(y)", {}, r"cens\(y, censored\)"),
    ("cens(y, how)", {"how": None}, "row 0 holds None"),
]


@pytest.mark.parametrize(("left", "columns", "words"), BAD)
def test_what_cannot_be_read_is_told(left, columns, words):
    with pytest.raises(gs.InputError, match=words):
        gs.fit(f"{left} ~ x", survey(20).assign(**columns), family="gamma")


def test_families_that_cannot_be_censored_say_so():
    with pytest.raises(gs.InputError, match="'bernoulli' cannot be censored"):
        gs.fit("cens(y, how) ~ x", survey(20).assign(y=1, how="left"), family="bernoulli")
    with pytest.raises(gs.InputError, match="lower end"):
        gs.fit("cens(y, how) ~ x", survey(20).assign(how="left"))
