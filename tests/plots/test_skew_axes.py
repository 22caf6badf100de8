"""Axes of responses that are skew, with zeros or without."""

import numpy as np
from matplotlib.figure import Figure

from geospde.plots.fitted import spread_out


def test_skew_responses_have_logarithmic_axes_with_a_place_for_zeros():
    rng = np.random.default_rng(2)
    amount = np.where(rng.uniform(size=60) < 0.4, 0.0, np.exp(rng.normal(2, 2, 60)))
    ax = Figure().subplots()
    ends = spread_out(ax, "xy", amount, np.array([0.0, 1.0]))
    assert ax.get_xscale() == ax.get_yscale() == "symlog"
    assert ends[0] < 0 and ends[1] > amount.max()


def test_others_have_plain_ones():
    rng = np.random.default_rng(2)
    for values in (rng.uniform(size=60), rng.normal(size=60), np.zeros(60)):
        ax = Figure().subplots()
        np.testing.assert_array_equal(spread_out(ax, "x", values, np.array([0.0, 1.0])), [0.0, 1.0])
        assert ax.get_xscale() == "linear"
