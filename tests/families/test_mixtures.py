"""Mixtures: sdmTMB's optima, the mean of all, recovery of what data were made with."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import geospde as gs
from geospde.families.registry import family_by_name

DATA = Path(__file__).parents[1] / "reference" / "optima" / "family.csv"

# sdmTMB's negative log likelihoods, and means of predictions at x from -1 to 1
OPTIMA = [("gamma_mix", 456.551787159, 2.76607206212), ("lognormal_mix", 394.909876859, 2.78074367431)]


@pytest.mark.parametrize("family, optimum, mean", OPTIMA)
def test_optima_are_sdmtmbs(family, optimum, mean):
    fit = gs.fit(f"y_{family}_log ~ x", pd.read_csv(DATA), family=family, method="ml")
    assert -fit.log_likelihood == pytest.approx(optimum, abs=1e-6)
    new = pd.DataFrame({"x": np.linspace(-1, 1, 41)})
    assert fit.predict(new).to_frame()["mean"].mean() == pytest.approx(mean, rel=1e-5)


@pytest.mark.parametrize("name", ["gamma_mix", "lognormal_mix", "nbinomial_mix"])
def test_what_data_were_made_with_is_found(name):
    rng = np.random.default_rng(5)
    x = rng.uniform(-1, 1, 1500)
    family, theta = family_by_name(name), np.array([0.8 if name == "nbinomial_mix" else -0.5, -2.0, 1.3])
    theta[0] = 1.0 if name == "gamma_mix" else theta[0]
    likelihood = family.bind(np.ones(x.size)).at(theta)
    table = pd.DataFrame({"x": x, "y": likelihood.draw(1.5 + 0.7 * x, rng)})
    fit = gs.fit("y ~ x", table, family=name, method="ml")
    truth = [*likelihood.user(theta), 1.5, 0.7]
    found = pd.concat([fit.hyper, fit.fixed])
    # 4 standard errors, once in ten thousand
    assert (np.abs(found["estimate"] - truth) < 4 * found["se"]).all()
    posterior = gs.fit("y ~ x", table, family=name, method="eb")
    assert posterior.fixed["mean"].to_numpy() == pytest.approx(fit.fixed["estimate"].to_numpy(), abs=0.1)


def test_without_extremes_a_mixture_is_its_component():
    y, eta = np.array([0.2, 1.0, 5.0]), np.array([0.1, -0.5, 0.7])
    mixed = family_by_name("gamma_mix").bind(y).at(np.array([0.3, -60.0, 1.0]))
    plain = family_by_name("gamma").bind(y).at(np.array([0.3]))
    np.testing.assert_allclose(mixed.log_density(eta), plain.log_density(eta), rtol=1e-12)
    for ours, theirs in zip(mixed.derivatives(eta), plain.derivatives(eta)):
        np.testing.assert_allclose(ours, theirs, rtol=1e-10)
