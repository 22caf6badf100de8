"""Priors beside a likelihood: the maximum of both together, by a search through fits that are held."""

import numpy as np
import pandas as pd
import pytest
from oracles import square_mesh
from scipy.optimize import minimize_scalar

import geospde as gs
from geospde.likelihood.likelihoods import Unpriored
from geospde.results.summaries.likelihood import text


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(2)
    g = np.repeat(np.arange(8), 5)
    x = rng.normal(size=40)
    y = 1 + 0.5 * x + rng.normal(0, 0.8, 8)[g] + rng.normal(0, 1, 40)
    return pd.DataFrame({"y": y, "x": x, "n": rng.poisson(np.exp(0.4 * y)), "g": g.astype(str)})


NAME = "sd(Intercept | g)"


@pytest.mark.parametrize(("formula", "family", "method"), [("y", "gaussian", "reml"), ("n", "poisson", "ml")])
def test_the_maximum_is_that_of_likelihood_and_density(table, formula, family, method):
    fit = gs.fit(f"{formula} ~ x + (1 | g)", table, family=family, method=method, priors={NAME: {"pc": [0.5, 0.05]}})
    rate = -np.log(0.05) / 0.5

    def penalised(sd):
        held = gs.fit(f"{formula} ~ x + (1 | g)", table, family=family, method=method, priors={NAME: {"fixed": sd}})
        return held.log_likelihood + np.log(rate) - rate * sd

    found = minimize_scalar(lambda sd: -penalised(sd), bounds=(0.05, 1.5), method="bounded", options={"xatol": 1e-5})
    assert fit.log_likelihood == pytest.approx(-found.fun, abs=1e-7)
    # a search by values alone finds a maximum to the root of their rounding
    assert fit.hyper.loc[NAME, "estimate"] == pytest.approx(found.x, abs=1e-4)
    assert "by penalised" in (said := text(fit)) and f"{NAME}: PC: P(sd > 0.5) = 0.05" in said


@pytest.mark.slow
def test_a_default_prior_is_none_and_a_field_takes_its_options(table):
    places = table.assign(e=np.linspace(0, 1, 40), w=np.cos(np.arange(40.0)) / 2 + 0.5)
    mesh = square_mesh(4, -0.2, 1.2)

    def of(term, **options):
        return gs.fit(f"y ~ x + {term}", places, mesh=mesh, coords=("e", "w"), method="ml", **options)

    plain = of("spde(mesh)")
    assert plain.unpriored.penalised == [] and "enalised" not in text(plain)
    both = of("spde(mesh, prior_range=(0.2, 0.05), prior_sigma=(1, 0.05))")
    assert both.unpriored.penalised == ["range(spde)", "sigma(spde)"]
    named = of("spde(mesh)", priors={"range(spde)": {"pc": [0.2, 0.05]}, "sigma(spde)": {"pc": [1, 0.05]}})
    assert named.log_likelihood == pytest.approx(both.log_likelihood, abs=1e-9)
    theta = np.log(both.hyper["estimate"].iloc[:2].to_numpy())
    field = Unpriored.of(both.model).precisions[0].prior
    r, s = np.exp(theta)
    rate, per = -0.2 * np.log(0.05), -np.log(0.05)
    # Fuglstad et al. (2019), theorem 2.6, a density of range and sigma
    joint = np.log(rate) - 2 * np.log(r) - rate / r + np.log(per) - per * s
    assert field.log_density(theta) == pytest.approx(joint, abs=1e-12)


def test_a_penalised_fit_comes_back(table, tmp_path):
    fit = gs.fit("y ~ x + (1 | g)", table, method="ml", priors={NAME: {"pc": [0.5, 0.05]}, "sigma": {"pc": [2, 0.05]}})
    fit.save(tmp_path / "one")
    again = gs.load_fit(tmp_path / "one")
    assert text(again) == text(fit) and again.unpriored.penalised == [NAME, "sigma"]


@pytest.mark.parametrize(
    ("formula", "options", "words"),
    [
        ("y ~ x + (x | g)", {"priors": {"sd(x | g)": {"pc": [1, 0.05]}}}, "none of 'sd.x . g.'"),
        ("y ~ s(x)", {"priors": {"sd(s(x))": {"pc": [1, 0.05]}}}, "none of 'sd.s.x..'"),
        (
            "n ~ x + (1 | g)",
            {"priors": {NAME: {"pc": [1, 0.05]}}, "quadrature": 5, "family": "poisson"},
            "no penalties",
        ),
    ],
)
def test_what_takes_no_penalty_is_told(table, formula, options, words):
    with pytest.raises(gs.InputError, match=words):
        gs.fit(formula, table, method="ml", **options)
