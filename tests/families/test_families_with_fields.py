"""Families beside a field: the Laplace approximation at a theta against a dense one of the same density."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

import geospde as gs

RNG = np.random.default_rng(1)
N = 40
PLACES = RNG.uniform(0, 10, (N, 2))
FIELD = np.sin(PLACES[:, 0] / 2)
MEAN, SHARE = np.exp(0.5 + 0.6 * FIELD), 1 / (1 + np.exp(-FIELD))
TABLE = pd.DataFrame({
    "x": PLACES[:, 0], "y": PLACES[:, 1], "nbinomial": RNG.negative_binomial(2, 2 / (2 + MEAN)),
    "gamma": RNG.gamma(3, MEAN / 3), "t": FIELD + 0.3 * RNG.standard_t(4, N),
    "beta": RNG.beta(8 * SHARE, 8 * (1 - SHARE)),
    "zeroinflatedpoisson1": RNG.poisson(2 * MEAN) * (RNG.uniform(size=N) > 0.3),
    "zeroinflatednbinomial1": RNG.negative_binomial(2, 2 / (2 + 2 * MEAN)) * (RNG.uniform(size=N) > 0.2),
})  # fmt: skip
MESH = gs.build_mesh(sites=PLACES, max_edge=(3, 6))


@pytest.mark.parametrize("family", list(TABLE)[2:])
def test_the_posterior_of_theta_is_that_of_a_dense_laplace_approximation(family):
    priors = {"Intercept": {"gaussian": [0, 10]}}
    options = {"mesh": MESH, "coords": ("x", "y"), "method": "eb", "strategy": "gaussian", "priors": priors}
    fit = gs.fit(f"{family} ~ 1 + spde(mesh)", TABLE, family=family, **options)
    model, theta = fit.model, fit.posterior.mode.theta
    found = fit.laplace.at(theta, None, False)
    likelihood = model.likelihood.at(theta[2:])
    field, design = model.precisions[0], model.design.toarray()
    lower = field.pattern.copy()
    lower.data = field.values(theta[:2])
    precision = np.eye(design.shape[1]) / 100
    precision[: field.n, : field.n] = (lower + lower.T).toarray() - np.diag(lower.diagonal())

    def value(x):
        return 0.5 * x @ precision @ x - likelihood.log_density(design @ x).sum()

    def slope(x):
        return precision @ x - design.T @ likelihood.derivatives(design @ x)[0]

    tight = {"maxiter": 5000, "ftol": 1e-15, "gtol": 1e-9}
    x = minimize(value, np.zeros(design.shape[1]), jac=slope, method="L-BFGS-B", options=tight).x
    np.testing.assert_allclose(found.eta, design @ x, atol=1e-5)  # where L-BFGS ends
    h = 1e-4
    up, middle, down = (likelihood.log_density(design @ x + step) for step in (h, 0.0, -h))
    curved = precision - design.T @ (((up - 2 * middle + down) / h**2)[:, None] * design)
    dense = -value(x) + 0.5 * (np.linalg.slogdet(precision)[1] - np.linalg.slogdet(curved)[1])
    # second differences with steps of 1e-4 err by 1e-8, and 1e-8 of rounding, times 40 observations
    assert found.log_posterior - fit.laplace.log_prior(theta) == pytest.approx(dense, abs=2e-6)
