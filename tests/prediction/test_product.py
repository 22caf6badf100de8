"""Maps of delta families: the product of two means, beside many draws of it."""

import numpy as np
import pandas as pd
import pytest

import geospde as gs
from geospde.inference.mixture import bend
from geospde.inference.sampling import joint_draws
from geospde.prediction.product import Product

DRAWS = 400_000
LEVELS = (0.025, 0.5, 0.975)


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(3)
    table = pd.DataFrame({"x": rng.uniform(-1, 1, 80), "g": np.tile(list("abcdefgh"), 10)})
    table["y"] = (rng.random(80) < 0.6) * (1 + rng.poisson(np.exp(0.5 + 0.5 * table.x)))
    table["share"] = np.where(table.y > 0, np.clip(rng.beta(2, 3, 80), 0.01, 0.99), 0.0)
    return table


@pytest.mark.parametrize(
    ("family", "response"),
    [
        pytest.param("delta_gamma", "y", marks=pytest.mark.slow),
        ("delta_lognormal", "y"),
        pytest.param("delta_beta", "share", marks=pytest.mark.slow),
        pytest.param("delta_truncated_poisson", "y", marks=pytest.mark.slow),
        pytest.param("delta_truncated_nbinomial", "y", marks=pytest.mark.slow),
    ],
)
def test_moments_quantiles_and_tails_are_those_of_many_draws(table, family, response):
    fit = gs.fit(f"{response} ~ x + (1 | g)", table, family=family)
    at = pd.DataFrame({"x": [-1.0, 0.2, 1.0, 0.0], "g": ["a", "b", "c", "h"]})
    level = float(table[response][table[response] > 0].median().round(1))
    found = fit.predict(at, quantiles=LEVELS, exceed=[level]).to_frame()
    product = Product(fit, tuple(fit.mixture(model.rows(at, None)) for model in fit.model.parts.values()))
    rng = np.random.default_rng(1)
    points = rng.choice(product.presence.weights.size, DRAWS, p=product.presence.weights)
    drawn = np.empty((DRAWS, len(at)))
    for k in np.unique(points):
        here = points == k
        first, second = (_drawn(mixture, k, rng, here.sum()) for mixture in (product.presence, product.positive))
        drawn[here] = product.at(k, first, second)
    sd = drawn.std(axis=0)
    # five Monte Carlo errors: of a mean .0016 sd, of a quantile in a tail some .005; what is shared between the two
    # parts' hyperparameters by the rule alone is below that
    np.testing.assert_array_less(np.abs(found["mean"] - drawn.mean(axis=0)), 0.012 * sd)
    np.testing.assert_allclose(found["sd"], sd, rtol=0.02)
    # 2,000 points, where the hyperparameters change the mean's shape, tell a tail's quantile to some .02 sd
    near = 0.05 if family == "delta_truncated_nbinomial" else 0.025
    for q in LEVELS:
        np.testing.assert_array_less(np.abs(found[f"q{q:g}"] - np.quantile(drawn, q, axis=0)), near * sd)
    np.testing.assert_allclose(found[f"exceed_{level:g}"], (drawn > level).mean(axis=0), atol=0.005)


@pytest.mark.parametrize("method", ["eb", pytest.param("inla", marks=pytest.mark.slow)])
def test_an_excursion_set_is_of_joint_draws_of_the_product(table, method):
    fit = gs.fit("y ~ x + (1 | g)", table, family="delta_lognormal", method=method)
    at = pd.DataFrame({"x": np.linspace(-1, 1, 16), "g": list("abcdefgh") * 2})
    surface = fit.predict(at)
    rows = [model.rows(at, None) for model in fit.model.parts.values()]
    product = Product(fit, tuple(fit.mixture(own) for own in rows))
    means = []
    for point, x in joint_draws(fit.laplace, fit.approximation, 20_000, 5):
        k = next(k for k, one in enumerate(fit.approximation.points) if one is point)
        means.append(product.at(k, *(own @ x for own in rows)))
    drawn = np.hstack(means)
    alone = surface.exceedance(1.5)
    # three Monte Carlo errors of 20,000 draws, and what corrections of the marginals, which draws lack, move
    np.testing.assert_allclose(alone, (drawn > 1.5).mean(axis=1), atol=0.03)
    found = surface.excursions(1.5, level=0.8, draws=10_000)
    order = np.argsort(-alone, kind="stable")
    joint = np.logical_and.accumulate(drawn[order] > 1.5, axis=0).mean(axis=1)
    np.testing.assert_allclose(found.function[order], np.minimum(joint, alone[order]), atol=0.025)
    assert 0 < found.set.sum() < 16
    by = {"a": 1.0, "b": 2.0, "c": 1.5, "d": 1.5, "e": 1.5, "f": 1.5, "g": 1.5, "h": 1.5}
    of_each = surface.exceedance(by, classes="g")
    np.testing.assert_allclose(of_each[[0, 8]], surface.exceedance(1.0)[[0, 8]])
    np.testing.assert_allclose(of_each[[1, 9]], surface.exceedance(2.0)[[1, 9]])


def _drawn(mixture, k, rng, n):
    z = rng.standard_normal((n, mixture.means.shape[1]))
    return mixture.means[k] + mixture.sds[k] * (z if mixture.shape is None else bend(z, mixture.shape))


def test_an_exposure_of_nothing_has_no_mean(table):
    fit = gs.fit("y ~ x", table, family="delta_gamma", method="eb")
    found = fit.predict(pd.DataFrame({"x": [0.0, 0.0]}), exposure=[0.0, 2.0], exceed=[0, 3]).to_frame()
    assert found.loc[0, ["mean", "sd", "q0.025", "q0.975", "exceed_3"]].max() < 1e-200
    assert found.loc[1, "q0.5"] > 0 and found.loc[1, "exceed_0"] == 1.0
