"""What holds of every posterior, whatever the numbers: hypothesis looks for numbers of which it does not."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import square_mesh

import geospde as gs
from geospde.inference.laplace import Laplace
from geospde.inference.mixture import GaussianMixture
from geospde.model.build import build_model

MESH = square_mesh(4)
LEVELS = (1e-9, 1e-4, 0.025, 0.3, 0.5, 0.7, 0.975, 1 - 1e-4, 1 - 1e-9)
PRIORS = {"range(spde)": {"pc": [0.2, 0.5]}, "sigma(spde)": {"pc": [2.0, 0.01]}}
seeds = st.integers(0, 2**32 - 1)
places = st.lists(st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0)), min_size=1, max_size=6)


def table(seed, m=20):
    """Sites, a Gaussian response, counts."""
    rng = np.random.default_rng(seed)
    data = pd.DataFrame({"x": rng.uniform(size=m), "y": rng.uniform(size=m)})
    data["v"] = np.sin(5 * data.x) + rng.normal(0, 0.3, m)
    data["n"] = rng.poisson(np.exp(1 + np.sin(5 * data.x)))
    return data


@st.composite
def mixtures(draw):
    """One to five Gaussians, skew or not, of three quantities: near each other or ten orders of size apart."""
    rng, k = np.random.default_rng(draw(seeds)), draw(st.integers(1, 5))
    spread = draw(st.floats(0.0, 5.0))
    sds = 10.0 ** rng.uniform(-spread, spread, (k, 3))
    shape = draw(st.sampled_from([None, np.array([-0.8, 0.0, 0.5])]))
    return GaussianMixture(rng.dirichlet(np.ones(k)), rng.normal(0, 10.0**spread, (k, 3)), sds, shape)


@settings(max_examples=40, deadline=None)
@given(mixtures())
def test_quantiles_increase_with_their_level(mixture):
    quantiles = mixture.quantiles(LEVELS)
    assert np.isfinite(quantiles).all()
    # they are found to 1e-10 of a standard deviation
    assert (np.diff(quantiles, axis=0) >= -1e-9 * mixture.sds.max(axis=0)).all()


@settings(max_examples=40, deadline=None)
@given(mixtures(), st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=8).map(sorted))
def test_exceedance_falls_with_the_threshold_and_is_a_probability(mixture, thresholds):
    tails = np.array([mixture.sf(threshold) for threshold in thresholds])
    assert ((tails >= 0) & (tails <= 1 + 1e-15)).all()
    assert (np.diff(tails, axis=0) <= 1e-15).all()  # sums of at most five products round
    np.testing.assert_allclose(tails[0] + mixture.cdf(thresholds[0]), 1.0, rtol=1e-12)


@pytest.mark.parametrize("method", ["inla", "eb"])
def test_predictions_are_in_order(method):
    fit = gs.fit("n ~ 1 + spde(mesh)", table(1), mesh=MESH, coords=("x", "y"), family="poisson", method=method)
    thresholds = [0.0, 1e-300, 0.5, 3.0, 10.0, 1234567, 1234568, 1e300]
    predicted = fit.predict(table(2), exceed=thresholds, quantiles=LEVELS).to_frame()
    quantiles = predicted.filter(regex=r"^q").to_numpy()
    tails = predicted.filter(like="exceed").to_numpy()
    assert quantiles.shape[1] == len(LEVELS) and (np.diff(quantiles, axis=1) > 0).all()
    assert tails.shape[1] == len(thresholds) and (np.diff(tails, axis=1) <= 1e-15).all()
    assert (tails[:, 0] == 1).all() and (tails[:, -1] < 1e-300).all()


@pytest.mark.slow
@settings(max_examples=6, deadline=None)
@given(seeds, places, st.floats(-8.0, 8.0), st.floats(-8.0, 8.0))
def test_another_site_widens_nothing_about_it(seed, added, log_range, log_sigma):
    """Of a Gaussian response, at hyperparameters that stay: by matrix algebra, no variance can grow."""
    data = table(seed)
    more = pd.concat([data, pd.DataFrame(added, columns=["x", "y"]).assign(v=0.0, n=0)], ignore_index=True)
    variances = []
    for each in (data, more):
        laplace = Laplace(build_model("v ~ 1 + spde(mesh)", each, mesh=MESH, coords=("x", "y")))
        point = laplace.at(np.array([log_range / 4, log_sigma / 4, 2.0]), gradient=False)
        variances.append(np.diag(laplace.solve(point, np.eye(laplace.n))))
    before, after = variances
    assert (after <= before * (1 + 1e-9)).all()


@pytest.mark.parametrize("silent", [{"w": 0.0}, {"t": 1e-20}], ids=["weight", "exposure"])
@settings(max_examples=4, deadline=None)
@given(seed=seeds, added=places)
def test_an_observation_that_says_nothing_changes_nothing(silent, seed, added):
    """A weight of 0, an exposure of nearly nothing; default priors look at all sites, so that others are given."""
    data = table(seed).assign(t=1.0, w=1.0)
    more = pd.DataFrame(added, columns=["x", "y"]).assign(**{"n": 0, "t": 1.0, "w": 1.0, **silent})
    found = []
    for each in (data, pd.concat([data, more], ignore_index=True)):
        place = {"mesh": MESH, "coords": ("x", "y"), "exposure": "t", "weights": "w", "priors": PRIORS}
        model = build_model("n ~ 1 + spde(mesh)", each, family="poisson", **place)
        found.append(Laplace(model, tolerance=1e-20).at(np.array([-0.7, 0.3])))
    np.testing.assert_allclose(found[1].x, found[0].x, rtol=1e-7, atol=1e-8)
    assert found[1].log_posterior == pytest.approx(found[0].log_posterior, abs=1e-8)
    np.testing.assert_allclose(found[1].gradient, found[0].gradient, atol=1e-6)
