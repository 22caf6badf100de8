"""No family's answers depend on the unit of the response, be it days or years, grams or tonnes."""

import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest

import geospde as gs
from geospde.families.registry import read_family
from geospde.model.build import build_model
from geospde.results.prior import prior_marginal

RNG = np.random.default_rng(3)
ROWS = 80
X, G = RNG.normal(size=ROWS), np.repeat(list("abcdefgh"), 10)
SIZE = RNG.gamma(3, np.exp(0.5 + 0.4 * X + np.repeat([0.4, -0.3, 0.1, -0.5, 0.6, 0.2, -0.2, -0.3], 10)) / 3)
TABLE = pd.DataFrame({
    "x": X, "g": G, "positive": SIZE, "zeros": np.where(RNG.random(ROWS) < 0.3, 0.0, SIZE),
    "real": 2 * np.log(SIZE) + 1, "known": np.where(RNG.random(ROWS) < 0.2, "right", "none"),
})  # fmt: skip
NEW = pd.DataFrame({"x": [0.0, 1.0], "g": ["a", "b"]})
COLUMNS = {"zeros": (TABLE["zeros"] > 0).sum(), "positive": ROWS, "real": ROWS}  # whose densities have the unit
FAMILIES = {
    "gaussian": "real", "t": "real", "gamma": "positive", "lognormal": "positive", "gengamma": "positive",
    "weibull": "positive", "exponential": "positive", "tweedie": "zeros", "delta_gamma": "zeros",
    "delta_lognormal": "zeros", "delta_gengamma": "zeros",
}  # fmt: skip
SURVIVAL = ("weibull", "exponential")


@cache
def answers(family, method, unit):
    """Evidence, hyperparameters that are no scales, slopes and predictions, in the unit that `TABLE` has."""
    column = FAMILIES[family]
    left = f"cens({column}, known)" if family in SURVIVAL else column
    # a unit shears a Tweedie's (p, phi): where p is free, the adaptive rule has other points, see the next test
    options = {"priors": {"p": {"fixed": 1.5}}} if (family, method) == ("tweedie", "inla") else {}
    if method == "ccd":
        method, options = "inla", {"integration": "ccd"}
    fit = gs.fit(f"{left} ~ x + (1 | g)", TABLE.assign(**{column: unit * TABLE[column]}), family=family, method=method,
                 **options)  # fmt: skip
    evidence = fit.log_likelihood if method == "ml" else fit.log_marginal_likelihood
    known = (TABLE["known"] == "none").sum() if family in SURVIVAL else COLUMNS[column]
    in_unit = column == "real"
    free = 2 if in_unit and method != "ml" else 0  # coefficients with flat priors, in the unit
    found = [evidence + (known - free) * np.log(unit)]
    slope = fit.fixed.loc[fit.fixed.index.str.endswith("x")].iloc[:, :2].to_numpy().ravel()
    found += list(slope / unit if in_unit else slope)
    pure = [name for name in fit.hyper.index if name.split(": ")[-1] in ("shape", "df", "p", "Q", "cv")]
    found += list(fit.hyper.loc[pure].filter(regex="q0.5|estimate").to_numpy().ravel())
    if family not in SURVIVAL:  # their maps are of hazards
        surface = fit.predict(NEW).to_frame().filter(regex="^(mean|sd|q0.025|q0.975)$")
        found += list(surface.to_numpy().ravel() / unit)
    return np.array(found)


@pytest.mark.slow
@pytest.mark.parametrize("unit", [1 / 365250, 1e6])  # thousands of years for days, tonnes for grams
@pytest.mark.parametrize("method", ["inla", "ml"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_unit_of_the_response_changes_nothing(family, method, unit):
    # the curvature of a Tweedie's likelihood, an end of its search, is by differences in p and phi, which a unit turns
    exact = 1e-5 if (family, method) == ("tweedie", "ml") else 1e-6
    one = answers(family, method, 1.0)
    assert answers(family, method, unit) == pytest.approx(one, rel=exact, abs=1e-6, nan_ok=True)


@pytest.mark.slow
@pytest.mark.parametrize("unit", [1 / 365250, 1e6])
@pytest.mark.parametrize("method", ["eb", "ccd"])
def test_a_unit_changes_nothing_where_a_power_is_estimated_with_the_dispersion(method, unit):
    # the search for a mode ends where a step gains less than 5e-7, a thousandth of an sd; a design lies about it
    assert answers("tweedie", method, unit) == pytest.approx(answers("tweedie", method, 1.0), rel=1e-4, abs=1e-6)


def test_a_default_prior_of_a_dispersion_is_of_a_pure_number():
    """Its density is that at (p, c^(2 - p) phi) of responses that are c times as much; a gradient is a difference."""
    one, grams = (read_family("tweedie").bind(c * TABLE["zeros"]).prior for c in (1.0, 1e6))
    for theta in np.array([[0.0, 0.3], [0.4, -0.2], [-0.7, 1.1]]):
        power = 1 + 1 / (1 + np.exp(-theta[0]))
        there = theta + [0.0, (2 - power) * np.log(1e6)]
        assert grams.log_density(there) == pytest.approx(one.log_density(theta), abs=1e-9)
        steps = [(grams.log_density(there + d) - grams.log_density(there - d)) / 2e-5 for d in 1e-5 * np.eye(2)]
        assert grams.gradient(there) == pytest.approx(steps, rel=1e-6, abs=1e-4)


def test_the_prior_of_a_dispersion_is_told_as_it_is_drawn():
    model = build_model("zeros ~ x", TABLE.assign(zeros=1e6 * TABLE["zeros"]), family="tweedie")
    rng, size = np.random.default_rng(5), TABLE["zeros"][TABLE["zeros"] > 0].mean() * 1e6
    power = 1 + 1 / (1 + np.exp(-rng.normal(0, 0.1, 100_000)))
    drawn = rng.gamma(100, 0.01, 100_000) * size ** (2 - power)
    found = [float(prior_marginal(model, "phi").quantile(share)) for share in (0.025, 0.5, 0.975)]
    assert found == pytest.approx(np.quantile(drawn, [0.025, 0.5, 0.975]), rel=0.02)  # 4 standard errors of the draws
    assert model.hyperparameters[-1].prior.endswith(f"m = {size:.4g} the mean of positive responses")


@pytest.mark.slow
def test_a_prior_that_is_of_one_unit_is_told_where_responses_are_of_another():
    formula, options = "zeros ~ x + (1 | g)", {"family": "tweedie", "method": "eb"}
    grams = TABLE.assign(zeros=1e6 * TABLE["zeros"])
    with pytest.warns(gs.GeospdeWarning, match="R-INLA's prior holds phi near 1 in the unit of the response"):
        gs.fit(formula, grams, priors="inla", **options)
    uneven = TABLE.assign(zeros=np.where(np.arange(ROWS) == 0, 1e4, TABLE["zeros"]))
    with pytest.warns(gs.GeospdeWarning, match=r"the default prior holds phi / m\^\(2 - p\) near 1"):
        gs.fit(formula, uneven, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error", gs.GeospdeWarning)
        gs.fit(formula, TABLE, **options)
        gs.fit(formula, grams, **options)
        gs.fit(formula, grams, priors={"phi": {"loggamma": [1, 1e-3]}}, **options)


@pytest.mark.slow
@pytest.mark.parametrize("family", [name for name in FAMILIES if not name.startswith("delta")])
def test_rows_of_next_to_no_weight_say_nothing(family):
    """Far off, of weights that leave them a share of 1e-9 of what a row says."""
    column = FAMILIES[family]
    far = pd.DataFrame({"x": [0.0, 1.0], "g": ["a", "b"], column: [50.0, 50.0], "w": 1e-12})
    table = TABLE[["x", "g", column]].assign(w=1.0)
    fits = [
        gs.fit(f"{column} ~ x + (1 | g)", each, family=family, weights="w", method="eb")
        for each in (table, pd.concat([table, far], ignore_index=True))
    ]
    one, other = (np.append(fit.fixed[["mean", "sd"]].to_numpy(), fit.hyper["mode"]) for fit in fits)
    # the search for a mode ends where a step gains less than 5e-7, a thousandth of an sd; a t's latent mode is found by
    # steps of linear convergence, whose number differs
    assert other == pytest.approx(one, rel=1e-4 if family == "t" else 1e-6, abs=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "family"), [("reml", "gaussian"), ("eb", "poisson"), ("ml", "poisson")])
def test_crossed_groups_of_2000_levels_of_which_half_say_nothing(method, family):
    rng = np.random.default_rng(4)
    a, b, x = rng.integers(0, 2000, 6000), rng.integers(0, 40, 6000), rng.normal(size=6000)
    effects = rng.normal(0, 0.5, 2000)[a] + rng.normal(0, 0.3, 40)[b]
    eta = 0.5 + 0.3 * x + effects
    y = rng.poisson(np.exp(eta)) if family == "poisson" else eta + rng.normal(size=6000)
    table = pd.DataFrame({"x": x, "a": a.astype(str), "b": b.astype(str), "y": y, "w": np.where(a < 1000, 1.0, 1e-12)})
    options = {"family": family, "weights": "w", "method": method}
    # a default prior of a Poisson's standard deviations has two digits of the data's scale, which silent rows leave
    whole, told = (gs.fit("y ~ x + (1 | a) + (1 | b)", each, **options) for each in (table, table[table["w"] == 1]))
    assert whole.fixed.iloc[:, :2].to_numpy() == pytest.approx(told.fixed.iloc[:, :2].to_numpy(), rel=1e-5)
    column = "mode" if method == "eb" else "estimate"
    assert whole.hyper[column].to_numpy() == pytest.approx(told.hyper[column].to_numpy(), rel=1e-5)
