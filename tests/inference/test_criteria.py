"""Leave-one-out quantities of a Gaussian response against their closed form, by either rule."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

import geospde as gs
from geospde.inference.criteria import SMOOTH, cavity


@pytest.mark.parametrize("noise", [1.0, 0.6, 0.2], ids=["few nodes", "some of each", "panels"])
def test_observations_left_out_have_the_densities_of_their_closed_form(noise):
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"g": rng.integers(0, 20, 300), "h": rng.integers(0, 150, 300)})
    data["y"] = rng.normal(size=20)[data["g"]] + 0.5 * rng.normal(size=150)[data["h"]] + noise * rng.normal(size=300)
    fit = gs.fit("y ~ 1 + (1 | g) + (1 | h)", data, family="gaussian", method="eb")
    point = fit.posterior.mode
    centre, sd, _ = cavity(point)
    own = 1 / np.sqrt(-point.derivatives[1])
    share = (sd < SMOOTH * own).mean()
    assert {1.0: share > 0.9, 0.6: 0.1 < share < 0.9, 0.2: share < 0.1}[noise]
    together = np.hypot(sd, own)
    # the panels end at six sds, beyond which 2e-9 is left
    np.testing.assert_allclose(fit.pointwise["pit"], norm.cdf(data["y"], centre, together), atol=1e-8)
    np.testing.assert_allclose(np.log(fit.pointwise["cpo"]), norm.logpdf(data["y"], centre, together), rtol=1e-10)
