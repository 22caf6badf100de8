"""No family's answers depend on the unit of the response, be it days or years, grams or tonnes."""

import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest

import geospde as gs

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
    options = {}
    if family == "tweedie" and method != "ml":  # R-INLA's priors of phi are of one unit: that of another is given
        options["priors"] = {"p": {"fixed": 1.5}, "phi": {"loggamma": [100, 100 * unit**-0.5]}}
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
def test_a_prior_that_is_of_one_unit_is_told_where_responses_are_of_another():
    formula, options = "zeros ~ x + (1 | g)", {"family": "tweedie", "method": "eb"}
    grams = TABLE.assign(zeros=1e6 * TABLE["zeros"])
    with pytest.warns(gs.GeospdeWarning, match="R-INLA's prior holds phi near 1 in the unit of the response"):
        gs.fit(formula, grams, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error", gs.GeospdeWarning)
        gs.fit(formula, TABLE, **options)
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
