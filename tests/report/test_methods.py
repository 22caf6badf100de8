"""The methods paragraph: true of the fit that it is written from."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import shapely

import geospde as gs
from geospde.report.findings import _ranges
from geospde.report.methods import Methods


def told(fit, *, mesh=None, prediction=None, label="y", settings=None):
    methods = Methods(mesh, fit, prediction, label, settings or {})
    return " ".join(methods.sentences), [work.short for work in methods.references]


@pytest.fixture(scope="module")
def island():
    survey = gs.load_dataset("rongelap")
    return survey, gs.build_mesh(survey.coastline, sites=survey.points, max_edge=(300, 600), offset=600)


@pytest.fixture(scope="module")
def groups():
    rng = np.random.default_rng(5)
    g = np.repeat(np.arange(12), 5)
    y = 2 + rng.normal(0, 0.5, 12)[g] + rng.normal(0, 0.3, 60)
    return pd.DataFrame({"g": g.astype(str), "x": rng.normal(size=60), "y": y, "positive": np.exp(y)})


@pytest.mark.slow
def test_a_fractional_field_with_gaussian_priors(island):
    survey, mesh = island
    formula = "counts ~ 1 + spde(mesh, alpha=1.5, constr=True, prior='spde2')"
    fit = gs.fit(formula, survey.points, mesh=mesh, family="poisson", exposure="time")
    grid = gs.Grid.around(survey.coastline, cell=300)
    settings = {"mesh": {"max_edge": [300, 600], "offset": 600.0, "cutoff": None}}
    prediction = fit.predict(grid)
    text, works = told(fit, mesh=mesh, prediction=prediction, label="counts per second", settings=settings)
    for words in (
        f"The model of 157 observations is {formula}, with a Poisson likelihood and a log link, "
        "the mean multiplied by the exposure (time).",
        "with α = 1.5, near a Matérn covariance of smoothness 0.5,",
        "parsimonious approximation",
        "conditioned on integrating to zero",
        f"The mesh has {mesh.n_vertices} vertices and {mesh.n_triangles} triangles "
        "(settings: max_edge 300, 600; offset 600, lengths in m).",
        "Priors of hyperparameters: range(spde) and sigma(spde), Gaussian: log tau about",
        "Fixed effects have flat priors.",
        "integrated over 16 points: products of nodes on the axes of the posterior, reweighted by its density.",
        f"centres of {grid.n} cells of 300 by 300 m",
        "quantiles of the posterior of counts per second",
    ):
        assert words in text
    assert "Simpson et al. 2017" not in works and "PC" not in text
    assert {"Rue, Martino & Chopin 2009", "Lindgren, Rue & Lindström 2011"} <= set(works)


@pytest.mark.parametrize(("alpha", "smooth"), [(2, "smoothness 1,"), (1.2, None), (1, None)])
def test_other_fields_are_told_by_their_own_alpha(island, alpha, smooth):
    survey, mesh = island
    formula = f"counts ~ 1 + spde(mesh, alpha={alpha}, prior_range=(300, 0.05), prior_sigma=(1, 0.01))"
    fit = gs.fit(formula, survey.points, mesh=mesh, family="nbinomial", exposure="time", method="eb")
    text, works = told(fit, mesh=mesh)
    assert f"with α = {alpha}" in text and "a negative binomial likelihood" in text
    assert "The hyperparameters are at their posterior mode." in text and "integrated over" not in text
    assert "conditioned on" not in text
    assert ("parsimonious" in text) == (alpha == 1.2)
    assert (smooth in text) if smooth else ("Matérn" not in text and "nominal, as of smoothness 0.5" in text)
    assert "P(range < 300) = 0.05" in text and {"Simpson et al. 2017", "Fuglstad et al. 2019"} <= set(works)


@pytest.mark.slow
def test_a_model_without_a_field_tells_of_none(groups):
    priors = {"x": {"gaussian": [0, 1]}}
    fit = gs.fit("y ~ 1 + x + iid(g)", groups, priors=priors, strategy="gaussian", integration="grid")
    text, works = told(fit)
    assert "with a Gaussian likelihood and an identity link." in text
    assert "an even grid" in text and "Latent marginals are Gaussian about the modes." in text
    assert "Intercept: flat." in text and "Fixed effects have flat" not in text
    assert "field" not in text and "mesh" not in text and "exposure" not in text
    assert not any("Lindgren" in work or "Niekerk" in work for work in works)


def test_the_parts_of_a_delta_model_are_told_each_once(groups):
    """They were 'several likelihood and a logit, log link', and the sentences of their fields stood there twice."""
    rng = np.random.default_rng(3)
    data = groups.assign(
        catch=np.where(rng.random(60) < 0.5, 0.0, groups["positive"]), a=rng.random(60), b=rng.random(60)
    )
    mesh = gs.build_mesh(shapely.box(0, 0, 1, 1), max_edge=(0.4, 0.8))
    fit = gs.fit(
        "catch ~ 1 + spde(mesh)", data, mesh=mesh, coords=("a", "b"), family="delta_gamma", method="eb",
        strategy="gaussian",
    )  # fmt: skip
    text, _ = told(fit, mesh=mesh)
    above = int((data["catch"] > 0).sum())
    assert (
        "with 2 likelihoods: presence, a Bernoulli likelihood and a logit link (60 observations); "
        f"positive, a gamma likelihood and a log link ({above} observations). Each has spde of its own."
    ) in text
    assert "the product of their means" in text
    assert text.count("stochastic partial differential equation") == 1
    (said,) = _ranges(fit.hyper, "m")
    assert "apart for presence" in said and "for positive" in said


def test_what_is_predicted_is_named_where_it_is_not_the_mean(groups):
    fit = gs.fit("positive ~ 1", groups, family="lognormal")
    grid = gs.Grid.around(shapely.box(0, 0, 10, 10), cell=5)
    prediction = SimpleNamespace(grid=grid, crs=None, label="positive")
    assert "They are of the response's median." in told(fit, prediction=prediction)[0]


def test_nothing_is_told_of_nothing():
    assert told(None) == ("", [])
