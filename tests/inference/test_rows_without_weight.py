"""A row of weight zero says nothing, and changes nothing: neither evidence nor corrections nor where searches begin."""

import numpy as np
import pandas as pd
import pytest

import geospde as gs
from geospde.families.registry import family_by_name


def sites(family: str) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    n = 60
    eta = 0.5 + 0.4 * (x := rng.normal(size=n)) + rng.normal(0, 0.4, 6)[np.arange(n) % 6]
    mean = np.exp(eta)
    y = {
        "poisson": rng.poisson(mean), "gamma": rng.gamma(3, mean / 3), "weibull": mean * rng.weibull(2, n),
        "zeroinflatedpoisson1": rng.poisson(mean) * (rng.uniform(size=n) > 0.3),
        "bernoulli": (rng.uniform(size=n) < 1 / (1 + np.exp(-eta))) * 1,
    }[family]  # fmt: skip
    return pd.DataFrame({"x": x, "y": y, "g": np.resize(list("abcdef"), n), "w": 1.0})


@pytest.mark.parametrize("family", ["poisson", "gamma", "weibull", "zeroinflatedpoisson1", "bernoulli"])
def test_rows_of_weight_zero_change_nothing(family: str):
    table = sites(family)
    # far away, where a predictor varies so much that corrections were left out, and unlike the others
    silent = table.iloc[::3].assign(
        w=0.0, x=lambda t: 30 * t["x"] + 20, y=lambda t: t["y"] if family == "bernoulli" else 9 * t["y"] + 1
    )
    fit, other = (
        gs.fit("y ~ x + (1 | g)", t, family=family, weights="w")
        for t in (table, pd.concat([table, silent], ignore_index=True))
    )
    # rounding, and for p0 the end of the search
    assert abs(fit.log_marginal_likelihood - other.log_marginal_likelihood) < 1e-7
    np.testing.assert_allclose(other.fixed, fit.fixed, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(other.hyper, fit.hyper, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("family", ["zeroinflatedpoisson1", "zeroinflatedpoisson0", "tweedie", "weibull"])
def test_searches_begin_where_they_do_without_them(family: str):
    y = np.array([0.0, 0.0, 1.0, 2.0, 5.0]) + (family == "weibull")
    plain = family_by_name(family).bind(y)
    more = family_by_name(family).bind(np.append(y, [1.0, 40.0]), weights=np.append(np.ones(5), [0.0, 0.0]))
    np.testing.assert_allclose(more.first_theta(), plain.first_theta(), rtol=1e-12)
