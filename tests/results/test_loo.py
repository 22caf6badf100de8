"""Leave-one-out by refits, against quadrature, against fits of the table without the row, and where there is no fit."""

import numpy as np
import pandas as pd
import pytest

import geospde as gs
from geospde.families.gauss_hermite import normal_nodes

SD = 0.8
OUTLIER = 5
FAMILIES = {
    "poisson": ({}, lambda rng, mean: rng.poisson(mean), 30.0),
    "nbinomial": ({"size": 4.0}, lambda rng, mean: rng.poisson(mean), 40.0),
    "gamma": ({"shape": 3.0}, lambda rng, mean: rng.gamma(3.0, mean / 3.0), 30.0),
    "tweedie": ({"p": 1.4, "phi": 0.8}, lambda rng, mean: rng.poisson(mean) * 1.3, 30.0),
    "t": ({"sigma": 0.5, "df": 5.0}, lambda rng, mean: rng.normal(np.log(mean), 0.5), 6.0),
    "bernoulli": ({}, lambda rng, mean: rng.binomial(1, mean / (1 + mean)), 1.0),
    "beta": ({"phi": 6.0}, lambda rng, mean: rng.beta(6 * mean / (1 + mean), 6 / (1 + mean)), 0.999),
}


def grouped(family):
    """Two observations a level, an outlier among them, where all but the levels is known; and exact densities."""
    held, drawn, odd = FAMILIES[family]
    rng = np.random.default_rng(3)
    table = pd.DataFrame({"g": np.repeat(np.arange(8), 2)})
    mean = np.exp(1 + SD * rng.normal(size=8))[table["g"]]
    y = np.asarray(drawn(rng, mean), dtype=float)
    y[OUTLIER] = odd
    priors = {name: {"fixed": [value]} for name, value in {"sd(Intercept | g)": SD, **held}.items()}
    fit = gs.fit(
        "y ~ 1 + (1 | g)", table.assign(y=y), family=family, priors={**priors, "Intercept": {"gaussian": [1, 1e-4]}}
    )
    z, w = normal_nodes(100)
    likelihood = fit.laplace.likelihood_at(np.zeros(0))
    each = np.array([likelihood.log_density(np.full(16, 1 + SD * at)) for at in z]) + np.log(w)[:, None]
    alone = np.logaddexp.reduce(each, axis=0)
    both = np.logaddexp.reduce(each[:, 0::2] + each[:, 1::2] - np.log(w)[:, None], axis=0)
    return fit, np.repeat(both, 2) - alone.reshape(-1, 2)[:, ::-1].ravel()


@pytest.mark.parametrize("family", FAMILIES)
def test_refits_are_exact_also_of_an_outlier(family):
    fit, exact = grouped(family)
    refitted = fit.loo.refit(-np.inf)
    assert refitted.refitted.all() and not refitted.replaced.any() and not refitted.doubtful.any()
    # second-order corrections leave 0.002; of a t family, whose posterior beside an outlier has two humps, more
    assert refitted.pointwise == pytest.approx(exact, abs=0.1 if family == "t" else 0.01)


@pytest.mark.slow
def test_refits_are_those_of_the_table_without_the_row():
    rng = np.random.default_rng(4)
    table = pd.DataFrame({"x": rng.normal(size=24), "g": np.repeat(np.arange(8), 3)})
    table["y"] = rng.normal(size=8)[table["g"]] + table["x"] + 0.4 * rng.normal(size=24)
    table.loc[7, "y"] += 4.0
    priors = {"sd(Intercept | g)": {"pc": [2, 0.05]}, "sigma": {"pc": [2, 0.05]}}
    whole = gs.fit("y ~ x + (1 | g)", table, priors=priors)
    loo = whole.loo
    k = float(np.sort(loo.pareto_k)[-3])
    refitted = loo.refit(k)
    assert refitted.refitted.sum() == 2 and refitted.refitted[7]
    for row in np.flatnonzero(refitted.refitted):
        without = gs.fit("y ~ x + (1 | g)", table.drop(row), priors=priors)
        gain = whole.log_marginal_likelihood - without.log_marginal_likelihood
        assert refitted.pointwise[row] == pytest.approx(gain, abs=0.02)  # what each evidence may be off by
    kept = ~refitted.refitted
    np.testing.assert_array_equal(refitted.pointwise[kept], loo.pointwise[kept])
    assert "2 observations are left out by a fit without it" in str(refitted)
    again = refitted.refit(k)  # nothing is left to do
    np.testing.assert_array_equal(again.pointwise, refitted.pointwise)


def test_the_warning_says_how_and_names_what_no_refit_can_do():
    rng = np.random.default_rng(5)
    table = pd.DataFrame({"only": np.r_[1.0, np.zeros(19)], "g": np.repeat(np.arange(10), 2)})
    table["y"] = rng.poisson(np.exp(1 + rng.normal(size=10)[table["g"]]))
    priors = {"sd(Intercept | g)": {"fixed": [1.0]}}
    fit = gs.fit("y ~ only + (1 | g)", table, family="poisson", priors=priors)
    assert "fit.loo.refit() fits the model again without each of them" in fit.loo.warning
    calls = []
    refitted = fit.loo.refit(callback=lambda *told: calls.append(told))
    assert calls[-1] == (len(calls), len(calls), "refits") and len(calls) == fit.loo.doubtful.sum()
    assert np.flatnonzero(refitted.needed).tolist() == [0] == np.flatnonzero(refitted.doubtful).tolist()
    assert "(row 0)" in refitted.warning and "the rest does not determine the model" in refitted.warning
    other = gs.fit("y ~ 1 + (1 | g)", table, family="poisson", priors=priors)
    said = gs.compare(fit, other).notes[0]
    assert "refit=True" in said and "at 1 ('fit 1') of 20" in gs.compare(fit, other, refit=True).notes[0]
    for above in ("0.7", float("nan"), True):
        with pytest.raises(gs.InputError, match="a Pareto k above a number, not"):
            fit.loo.refit(above)
