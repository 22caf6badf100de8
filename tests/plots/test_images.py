"""Cells as pictures: the same dots as matplotlib's own images have, and stripes over cells alone."""

import numpy as np
import pytest
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from geospde.plots.drawing import Cells, draw_hatching
from geospde.plots.frame import dots_of
from geospde.plots.scale import Scale

EXTENT = (0.0, 17.0, 0.0, 13.0)


def axes(window=((-1, 18), (-1, 14))):
    ax = Figure(figsize=(4, 3)).add_axes((0.1, 0.1, 0.8, 0.8))
    ax.set(xlim=window[0], ylim=window[1])
    return ax


@pytest.mark.parametrize(
    "shape, window, alpha",
    [
        ((13, 17), ((-1, 18), (-1, 14)), None),  # many dots a cell
        ((700, 900), ((-1, 18), (-1, 14)), None),  # many cells a dot
        ((130, 170), ((3.3, 9.1), (-2, 4)), None),  # a part of the image
        ((130, 170), ((18, -1), (14, -1)), None),  # axes that run the other way
        ((40, 30), ((-1, 18), (-1, 14)), 0.5),
    ],
)
def test_cells_have_the_dots_of_matplotlibs_images(shape, window, alpha):
    values = np.random.default_rng(1).normal(size=shape)
    values[3:9, 2:7] = np.nan
    style = {"norm": Normalize(-2, 2), "cmap": "viridis"}
    ours, theirs = axes(window), axes(window)
    Cells(ours, values, EXTENT, **style).set_alpha(alpha)
    theirs.imshow(values, extent=EXTENT, interpolation="nearest", aspect="auto", alpha=alpha, **style)
    assert ours.dataLim.bounds == theirs.dataLim.bounds
    for ax in (ours, theirs):
        ax.set(xlim=window[0], ylim=window[1])
    one, other = (dots_of(ax.figure, 150).astype(int) for ax in (ours, theirs))
    # a dot whose middle lies on the edge of two cells may have either's colour
    assert np.mean(np.abs(one - other).max(axis=2) > 2) < 0.001


def test_cells_outside_the_window_and_narrower_than_a_dot_are_no_fault():
    ax = axes()
    Cells(ax, np.ones((2, 2)), (50.0, 60.0, 50.0, 60.0))
    Cells(ax, np.ones((2, 2)), (5.0, 5.0001, 5.0, 5.0001))
    ax.set(xlim=(-1, 18), ylim=(-1, 14))
    plain = axes()
    np.testing.assert_array_equal(dots_of(ax.figure, 100), dots_of(plain.figure, 100))


def test_stripes_cover_a_quarter_of_what_is_hatched_and_nothing_else():
    shaded = np.zeros((13, 17), dtype=bool)
    shaded[2:8, 3:15] = True
    ax = Figure(figsize=(4, 3), facecolor="black").add_axes((0, 0, 1, 1), facecolor="black")
    ax.set(xlim=(0, 17), ylim=(0, 13))
    ax.axis("off")
    draw_hatching(ax, shaded, (0, 0, 17, 13))
    light = dots_of(ax.figure, 130)[..., 0] / 217  # 520 by 390 dots: 30.6 by 30 a cell
    high, wide = light.shape
    inside = light[2 * high // 13 + 2 : 8 * high // 13 - 2, 3 * wide // 17 + 2 : 15 * wide // 17 - 2]
    assert inside.mean() == pytest.approx(0.25, abs=0.02)  # the widths of stripes are no whole numbers of dots
    assert light.sum() == pytest.approx(inside.sum(), rel=0.05)
    assert draw_hatching(ax, np.zeros((13, 17), dtype=bool), (0, 0, 17, 13)) is None


def test_the_colours_of_a_spaced_scale_take_numbers_arrays_and_gaps():
    norm = Scale(1.0, 100.0, 100.0, spacing="log").style["norm"]
    assert norm(10.0) == pytest.approx(0.5)
    np.testing.assert_allclose(norm(np.array([1.0, np.nan, 100.0])), [0.0, np.nan, 1.0])
    gaps = np.ma.masked_array([1, 10, 100], [False, True, False])
    colours = Scale(1.0, 100.0, 100.0, spacing="log").mappable.to_rgba(gaps)
    assert colours[1, 3] == 0 and (colours[[0, 2], 3] == 1).all()
