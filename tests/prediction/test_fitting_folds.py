"""Numbers and sizes of folds that the data allow, where nobody said them."""

import numpy as np
import pandas as pd
import pytest

import geospde as gs
from geospde.prediction.folds import FEWEST, USUAL, fitting_blocks, fitting_buffer
from geospde.prediction.validation import check_folds, validate

POINTS = np.random.default_rng(3).uniform(0, 10, (80, 2))


def test_blocks_are_as_long_as_the_range_where_there_are_enough():
    found = fitting_blocks(POINTS, None, None, 2.0)
    assert (found.side, len(found.folds), found.reason) == (2.0, USUAL, "")


def test_blocks_are_shorter_where_the_range_is_long():
    found = fitting_blocks(POINTS, None, None, 500.0)
    assert found.side < 10 and FEWEST <= len(found.folds) <= USUAL
    assert "shorter than the range, 500" in found.reason
    assert np.array_equal(np.sort(np.concatenate([f.predicted for f in found.folds])), np.arange(80))
    said = fitting_blocks(POINTS, 10, None, 500.0)
    assert len(said.folds) == 10 and said.side < found.side * 1.01


def test_what_is_said_stays():
    found = fitting_blocks(POINTS, None, 5.0, 1.0)
    assert found.side == 5.0 and len(found.folds) <= 9 and "no more blocks" in found.reason
    with pytest.raises(gs.InputError, match="too few for 10 folds"):
        fitting_blocks(POINTS, 10, 50.0, 1.0)
    with pytest.raises(gs.InputError, match="between 2 and the 5"):
        fitting_blocks(POINTS[:1].repeat(5, axis=0), None, 5.0, 1.0)


def test_a_buffer_leaves_half_of_the_data():
    assert fitting_buffer(POINTS, 1.0) == (1.0, "")
    radius, reason = fitting_buffer(POINTS, 100.0)
    near = (np.hypot(*(POINTS[:, None] - POINTS[None]).transpose(2, 0, 1)) <= radius).sum(axis=1)
    assert 0.4 * len(POINTS) < near.max() <= len(POINTS) / 2 and "less than the range" in reason


@pytest.mark.slow
def test_few_sites_of_a_smooth_field_are_validated():
    rng = np.random.default_rng(5)
    table = pd.DataFrame(rng.uniform(0, 10, (9, 2)), columns=["x", "y"])
    table["level"] = table["x"] + rng.normal(0, 0.1, 9)
    mesh = gs.build_mesh(sites=table[["x", "y"]].to_numpy(), max_edge=(3, 6), offset=6)
    fit = gs.fit(
        "level ~ 1 + spde(mesh, prior_range=(30, 0.05), prior_sigma=(5, 0.05))", table, coords=("x", "y"), mesh=mesh,
        method="eb",
    )  # fmt: skip
    blocks, random = validate(fit, draws=100, baselines=False), validate(fit, "random", draws=100, baselines=False)
    assert "shorter than the range" in blocks.describe() and len(blocks.pointwise) == 9
    assert random.folds == 9
    check_folds(fit.model, "random", None, None)
    check_folds(fit.model, "blocks", None, 5.0)
