"""The simulated satellite image: its shares, its scores, and a small one filled."""

import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import lattice  # isort: skip


@pytest.mark.slow
def test_the_image_has_the_shares_of_the_competition():
    cells = lattice.simulated()
    counts = cells.role.value_counts()
    assert (counts["observed"], counts["held out"], len(cells)) == (105_569, 42_740, 150_000)


@pytest.mark.slow
def test_simulated_fields_have_their_covariance():
    rng = np.random.default_rng(1)
    shape, steps = (40, 50), (1.0, 2.0)
    fields = np.array([lattice.stationary(shape, steps, lambda d: 4 * np.exp(-d / 3), rng) for _ in range(800)])
    # six standard errors of a covariance from 800 fields: 6 * 4 * sqrt(2 / 800)
    for down, across in ((0, 0), (3, 0), (0, 2), (4, 1)):
        expected = 4 * np.exp(-np.hypot(down, 2 * across) / 3)
        assert abs((fields[:, 5, 5] * fields[:, 5 + down, 5 + across]).mean() - expected) < 1.2


def test_scores_are_those_of_their_definitions():
    rng = np.random.default_rng(2)
    observed, mean, sd = rng.normal(size=5), rng.normal(size=5), rng.uniform(0.5, 2, 5)
    found = lattice.scores(observed, mean, sd)
    grid = np.linspace(-30, 30, 60_001)
    squares = (norm.cdf(grid, mean[:, None], sd[:, None]) - (grid >= observed[:, None])) ** 2
    # the integral of the definition, by a sum of steps of 0.001
    assert found["crps"] == pytest.approx(squares.sum(axis=1).mean() * 0.001, abs=1e-3)
    low, high = (norm.ppf(p, mean, sd) for p in (0.025, 0.975))
    beyond = np.maximum(low - observed, 0) + np.maximum(observed - high, 0)
    assert found["interval"] == pytest.approx((high - low + 40 * beyond).mean())
    assert found["coverage"] == pytest.approx(((low < observed) & (observed < high)).mean())


@pytest.mark.slow
def test_a_small_image_is_filled():
    options = Namespace(field="alpha=1.5", method="eb", edge=1.5, wide=0, crs="EPSG:32615", verbose=False)
    found = lattice.filled(lattice.simulated(40, 30), options)
    assert found["observed"] == round(105_569 / 150_000 * 1200)
    # an sd of 4 unpredicted; 342 values that hang together
    assert found["mae"] < 2 and 0.85 < found["coverage"] <= 1
