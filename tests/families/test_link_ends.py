"""Modes beside the end of a link: counts of zero under an identity link draw a mean to 0, and are nothing beyond."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

import geospde as gs
from geospde.errors import NumericalError
from geospde.families.barrier import Barrier
from geospde.families.registry import family_by_name


def counts(n: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    x, g = rng.uniform(0, 1, n), rng.integers(0, 20, n)
    return pd.DataFrame({"x": x, "y": rng.poisson(0.3 + 1.2 * x), "g": [f"g{i}" for i in g]})


def test_random_intercepts_beside_zeros_are_those_of_other_tools():
    # glmmTMB 1.1.5 (ml): 0.3477, 0.9794, sd 0.1174; gam of mgcv 1.8 (REML): 0.31856, 1.00254, sd 0.12837
    table = counts()
    fits = {m: gs.fit("y ~ x + (1|g)", table, family="poisson", link="identity", method=m) for m in ("ml", "reml")}
    of_ml = [*fits["ml"].fixed["estimate"], fits["ml"].hyper["estimate"].iloc[0]]
    of_reml = [*fits["reml"].fixed["estimate"], fits["reml"].hyper["estimate"].iloc[0]]
    np.testing.assert_allclose(of_ml, [0.3477, 0.9794, 0.1174], atol=1e-4)  # the digits that were printed
    np.testing.assert_allclose(of_reml, [0.31856, 1.00254, 0.12837], rtol=2e-4)


def test_a_posterior_that_reaches_the_end_is_the_exact_one():
    # by importance sampling, 8,000 draws, of the exact likelihood on where all means are positive: each group's
    # intercept by 200 nodes of Gauss-Legendre quadrature
    fit = gs.fit("y ~ x + (1|g)", counts(), family="poisson", link="identity")
    exact = pd.DataFrame({"mean": [0.3776, 0.9472], "sd": [0.1104, 0.2165]}, index=["Intercept", "x"])
    assert (abs(fit.fixed["mean"] - exact["mean"]) < 0.12 * exact["sd"]).all()  # Laplace has a tail beyond the end
    assert (abs(fit.fixed["sd"] / exact["sd"] - 1) < 0.05).all()
    assert abs(fit.hyper["mean"].iloc[0] - 0.1123) < 0.1 * 0.0743


@pytest.mark.parametrize("method", ["inla", "ml"])
def test_a_mode_at_the_end_is_one_sentence(method: str):
    rng = np.random.default_rng(3)
    x = np.linspace(0, 1, 100)
    table = pd.DataFrame({"x": x, "y": rng.poisson(np.maximum(2 * x - 0.3, 0.0))})
    with pytest.raises(NumericalError, match=r"mean of 1 response lies where the link 'identity' ends.*link='log'"):
        gs.fit("y ~ x", table, family="poisson", link="identity", method=method)


def test_a_search_that_halts_at_an_end_goes_on_past_it():
    # the first step runs into the end of a row that the maximum is far from
    x = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 8.0])
    y = np.array([0, 0, 1, 0, 0, 1, 60])
    design = np.column_stack([np.ones_like(x), x])
    fit = gs.fit("y ~ x", pd.DataFrame({"x": x, "y": y}), family="poisson", link="identity", method="ml")

    def loss(b: np.ndarray) -> float:
        mean = design @ b
        return np.inf if (mean <= 0).any() else float((mean - y * np.log(mean)).sum())

    best = minimize(loss, [1.0, 1.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12, "maxiter": 4000})
    np.testing.assert_allclose(fit.fixed["estimate"], best.x, rtol=1e-5)


@pytest.mark.parametrize("family", ["poisson", "nbinomial", "gamma"])
def test_barrier_has_its_own_derivatives(family: str):
    bound = family_by_name(family, "identity").bind(np.array([1.0, 2.0, 3.0]), weights=np.array([1.0, 0.5, 0.0]))
    barrier, eta, h = Barrier(bound, 0.1), np.array([0.3, 1.0, 2.5]), 1e-4
    first, second, third = barrier.derivatives(eta)
    up, down = barrier.derivatives(eta + h), barrier.derivatives(eta - h)
    density = (barrier.log_density(eta + h) - barrier.log_density(eta - h)) / (2 * h)
    # central differences err by h squared times a third derivative, of up to 100 here
    np.testing.assert_allclose(first, density, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(second, (up[0] - down[0]) / (2 * h), rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(third, (up[1] - down[1]) / (2 * h), rtol=1e-5, atol=1e-9)
    assert first[2] == 0.0  # a row without weight is held by nothing
    assert (barrier.newton_weights(eta, second) >= 0).all()
