"""Latent modes foretold from those of other hyperparameters."""

from types import SimpleNamespace

import numpy as np
import pytest

from geospde.inference.warm import WarmLaplace


def warm(*thetas: float) -> WarmLaplace:
    """One that remembers latent modes which are straight lines of theta, ``(3 + 2 theta, -theta)``."""
    made = WarmLaplace(SimpleNamespace(n=2, n_theta=1))
    slope = np.array([[2.0], [-1.0]])
    made.points = [SimpleNamespace(theta=np.array([t]), x=np.array([3 + 2 * t, -t]), slope=slope) for t in thetas]
    return made


@pytest.mark.parametrize("thetas", [(0.0,), (0.0, 1.0), (0.0, 1e-9, 2.0)])
def test_a_straight_line_is_followed(thetas):
    # the process about its trend, of height 0.3, keeps a hundredth of what is half a length away from a single point
    np.testing.assert_allclose(warm(*thetas).predicted_modes([np.array([0.5])])[0], [4.0, -0.5], atol=0.01)


@pytest.mark.parametrize("thetas", [(50.0, 51.0), (200.0, 200.1, 260.0, 400.0), (3000.0, 3000.5, 3001.0)])
def test_points_far_away_are_a_start_still(thetas):
    # the trend's variance grows as the fourth power of the distance: beside it the noise was lost in rounding
    found = warm(*thetas).predicted_modes([np.array([0.5])])[0]
    assert np.isfinite(found).all() and (np.abs(found) < max(thetas)).all()


def test_what_is_added_to_all_modes_is_added_to_the_one_foretold():
    # another unit of the response moves the intercept by its logarithm
    here, moved = warm(0.0, 1.0, 1.7), warm(0.0, 1.0, 1.7)
    moved.points = [SimpleNamespace(theta=p.theta, x=p.x + [0.0, 1e3], slope=p.slope) for p in here.points]
    at = np.array([0.4])
    apart = moved.predicted_modes([at])[0] - here.predicted_modes([at])[0]
    np.testing.assert_allclose(apart, [0.0, 1e3], rtol=1e-12, atol=1e-9)


def test_nothing_is_foretold_from_nothing():
    assert warm().predicted_modes([np.zeros(1)]) == [None]
