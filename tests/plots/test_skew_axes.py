"""Axes of responses that are skew, with zeros or without."""

import numpy as np
import pandas as pd
import shapely
from matplotlib.figure import Figure

import geospde as gs
from geospde.plots.canvas import SMALL, View
from geospde.plots.drawing import draw_scale_bar
from geospde.plots.exploration import plot_exploration
from geospde.plots.fitted import spread_out
from geospde.plots.panels import _even_bins, plot_histogram


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


def test_a_look_at_a_skew_survey_has_them_too_and_no_panel_of_a_constant():
    rng = np.random.default_rng(3)
    table = pd.DataFrame(rng.uniform(0, 1000, (80, 2)), columns=["x", "y"])
    table["caught"] = np.where(rng.uniform(size=80) < 0.5, 0.0, np.exp(rng.normal(2, 3, 80)))
    table["depth"], table["boat"] = rng.uniform(size=80), 1.0
    survey = gs.read_survey(table, x="x", y="y", crs="local:m")
    seen = gs.explore(survey, "caught", covariates=["depth", "boat"])
    axes = plot_exploration(seen, Figure()).axes
    titles = {ax.get_title(loc="left"): ax for ax in axes}
    assert not any(title.startswith("boat") for title in titles)
    (trend,) = (ax for title, ax in titles.items() if title.startswith("depth"))
    assert trend.get_yscale() == "symlog"
    counts = plot_histogram(seen, Figure().subplots()).containers[0]
    assert sum(bar.get_height() for bar in counts) == 80


def test_bins_of_a_logarithmic_axis_hold_the_ends_of_what_they_count():
    ax = Figure().subplots()
    ax.set_xscale("symlog", linthresh=0.5)
    for seed in range(40):  # a transform and back may miss the largest
        values = np.exp(np.random.default_rng(seed).normal(2, 3, 50))
        edges = _even_bins(ax, values)
        assert edges[0] == values.min() and edges[-1] == values.max() and (np.diff(edges) > 0).all()


def test_the_ground_of_a_scale_bar_is_no_higher_than_what_it_holds():
    view = View(0.0, 0.0, 1000.0, 1000.0, "m")
    ax = Figure(figsize=(6, 6)).add_axes((0.0, 0.0, 1.0, 1.0))
    draw_scale_bar(ax, view, shapely.box(0, 0, 1000, 1000))
    ground = max(ax.patches, key=lambda patch: patch.get_height())
    # a bar of 0.012 of the height, a label of 1.5 times its size in 6 inches, half a margin of 0.03
    assert ground.get_height() <= 1000 * (0.012 + 1.5 * SMALL / 72 / 6 + 0.015) + 1e-6
