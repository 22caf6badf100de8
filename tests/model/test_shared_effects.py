"""Fixed effects of several likelihoods: one coefficient, one meaning, whatever rows each has."""

import numpy as np
import pandas as pd
import pytest

import geospde as gs
from geospde.errors import InputError
from geospde.formula.columns import Columns


@pytest.fixture(scope="module")
def tables():
    """Two surveys far apart in x, of other soils."""
    rng = np.random.default_rng(1)
    first = pd.DataFrame({"x": rng.uniform(0, 1, 60), "soil": rng.choice(["p", "q"], 60)})
    second = pd.DataFrame({"x": rng.uniform(3, 9, 50), "soil": rng.choice(["q", "r"], 50)})
    effect = {"p": 0.0, "q": 1.0, "r": -2.0}
    first["u"] = 1 + 2 * first.x + first.soil.map(effect) + rng.normal(0, 0.1, 60)
    second["v"] = 5 + 2 * second.x + second.soil.map(effect) + rng.normal(0, 0.3, 50)
    return first, second


def fitted(tables, trend, own="1", method="ml", **more):
    parts = [gs.Observations(f"{y} ~ {own} + trend", table) for y, table in zip("uv", tables)]
    return gs.fit(parts, terms={"trend": trend}, method=method, **more)


def maximum(designs, responses):
    """Coefficients and log likelihood of rows with one coefficient a column and a noise a likelihood."""
    sigmas = np.ones(len(responses))
    for _ in range(500):
        x = np.vstack([d / s for d, s in zip(designs, sigmas)])
        beta = np.linalg.lstsq(x, np.concatenate([y / s for y, s in zip(responses, sigmas)]), rcond=None)[0]
        sigmas = np.array([np.sqrt(np.mean((y - d @ beta) ** 2)) for d, y in zip(designs, responses)])
    return beta, sum(-len(y) / 2 * (np.log(2 * np.pi * s**2) + 1) for y, s in zip(responses, sigmas))


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("name, trend", [("x", "x"), ("scale(x)", "scale(x)"), ("center(x)", "center(x)")])
def test_what_a_variable_learns_is_of_all_rows(tables, name, trend, shared):
    fit = fitted(tables, f"{'1' if shared else '0'} + {trend}", own="0" if shared else "1")
    first, second = tables
    every = np.concatenate([first.x, second.x])
    size = every.std(ddof=1) if name == "scale(x)" else 1.0
    designs = []
    for k, table in enumerate(tables):
        own = np.zeros((len(table), 1 if shared else 2))
        own[:, 0 if shared else k] = 1
        x = table.x if name == "x" else (table.x - every.mean()) / size
        designs.append(np.column_stack([own, x]))
    beta, likelihood = maximum(designs, [first.u, second.v])
    assert fit.log_likelihood == pytest.approx(likelihood, abs=1e-6)
    assert fit.fixed.loc[name, "estimate"] == pytest.approx(beta[-1], rel=1e-5)  # ends where it changes by 1e-6


def test_levels_are_those_of_all_rows(tables):
    """The first of all is the reference; each survey lacks one."""
    first, second = tables
    fit = fitted(tables, "0 + soil + x")
    designs = [
        np.column_stack([np.full(len(t), k == 0), np.full(len(t), k == 1), t.soil == "q", t.soil == "r", t.x])
        for k, t in enumerate(tables)
    ]
    beta, likelihood = maximum([d.astype(float) for d in designs], [first.u, second.v])
    assert fit.log_likelihood == pytest.approx(likelihood, abs=1e-6)
    names = ["u: Intercept", "v: Intercept", "soil[q]", "soil[r]", "x"]
    np.testing.assert_allclose(fit.fixed.loc[names, "estimate"], beta, atol=1e-5)
    # a level that the first has no rows of is known from the other
    new = pd.DataFrame({"x": [0.5], "soil": ["r"]})
    found = fit.predict(new, observations="u").to_frame()["mean"]
    np.testing.assert_allclose(found, beta[0] + beta[3] + 0.5 * beta[4], atol=1e-5)


def test_an_interaction_is_shared(tables):
    fit = fitted(tables, "soil*x", own="1")
    assert [name for name in fit.fixed.index if name.startswith(("u:", "v:"))] == ["u: Intercept", "v: Intercept"]
    assert "soil[q]:x" in fit.fixed.index


def test_a_column_that_one_survey_cannot_tell_is_told_by_another(tables):
    """All rows of the first at one x, which looks like the intercept there."""
    first, second = tables
    still = first.assign(x=3.0)
    fit = fitted((still, second), "1 + x", own="0")
    designs = [np.column_stack([np.ones(len(t)), t.x]) for t in (still, second)]
    beta, likelihood = maximum(designs, [first.u, second.v])
    assert fit.log_likelihood == pytest.approx(likelihood, abs=1e-6)
    np.testing.assert_allclose(fit.fixed["estimate"], beta, atol=1e-5)


def test_a_column_that_no_survey_tells_is_left_out(tables):
    with pytest.warns(gs.GeospdeWarning, match="twice"):
        fit = fitted([t.assign(twice=2 * t.x) for t in tables], "0 + x + twice")
    assert list(fit.fixed.index) == ["u: Intercept", "x", "v: Intercept"]


def test_factors_coded_otherwise_are_refused(tables):
    first, second = tables
    parts = [gs.Observations("u ~ 1 + trend", first), gs.Observations("v ~ 0 + trend", second)]
    with pytest.raises(InputError, match="share a factor, but 'soil.p.' is a column of one alone"):
        gs.fit(parts, terms={"trend": "0 + soil"}, method="ml")


def test_a_saved_one_has_its_columns_whatever_they_are_called(tables, tmp_path):
    named = [t.rename(columns={"x": "y"}) for t in tables]
    fit = fitted(named, "0 + scale(y)")
    fit.save(tmp_path / "fit")
    new = named[0].head(5)
    again, before = (f.predict(new, observations="u").to_frame() for f in (gs.load_fit(tmp_path / "fit"), fit))
    pd.testing.assert_frame_equal(again, before, rtol=1e-9)


def test_a_prior_is_of_the_shared_coefficient(tables):
    prior = {"soil[q]:x": {"gaussian": [0.25, 1e-4]}, "v: Intercept": {"gaussian": [5, 1e-4]}}
    fit = fitted(tables, "soil*x", method="eb", priors=prior)
    assert fit.fixed.loc["soil[q]:x", "mean"] == pytest.approx(0.25, abs=1e-3)
    assert fit.fixed.loc["v: Intercept", "mean"] == pytest.approx(5, abs=1e-3)


def test_parts_of_a_delta_model_have_the_columns_of_the_whole_table(tmp_path):
    """As sdmTMB's and pscl's: ``poly`` is orthogonal over all rows, not over those with a catch."""
    rng = np.random.default_rng(8)
    table = pd.DataFrame({"depth": rng.gamma(3, 1, 150)})
    table["catch"] = (rng.uniform(size=150) < 1 / (1 + np.exp(table.depth - 3))) * rng.gamma(
        2, np.exp(0.3 * table.depth)
    )
    fit = gs.fit("catch ~ poly(depth, 2)", table, family="delta_gamma", method="ml")
    there = table[table["catch"] > 0]
    alone = gs.fit("catch ~ poly(depth, 2)", there, family="gamma", method="ml")
    rows = Columns("1 + poly(depth, 2)", table).of(there)
    found = rows @ fit.fixed["estimate"][-3:].to_numpy()
    np.testing.assert_allclose(np.exp(found), alone.predict(there).to_frame()["mean"], rtol=1e-5)
    fit.save(tmp_path / "fit")
    again = gs.load_fit(tmp_path / "fit")
    new = table.head(5)
    pd.testing.assert_frame_equal(again.predict(new).to_frame(), fit.predict(new).to_frame(), rtol=1e-9)
