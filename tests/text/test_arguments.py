"""What is given for an argument and is no such thing: one sentence, never a fault from within."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

import geospde as gs

TABLE = pd.DataFrame({"v": [1.0, 2.0, 2.5, 4.0, 3.0], "x": [0.0, 1.0, 2.0, 3.0, 4.0]})
POLYGONS = gpd.GeoDataFrame({"v": [1.0]}, geometry=[shapely.box(0, 0, 1, 1)])
WRONG = [TABLE, POLYGONS, np.arange(3), {"a": TABLE}, object()]


@pytest.fixture(scope="module")
def fit():
    return gs.fit("v ~ x", TABLE, method="eb")


@pytest.mark.parametrize("wrong", WRONG, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize(
    "argument",
    [
        "family", "link", "coords", "exposure", "offset", "weights", "priors", "covariates", "areas", "domain",
        "method", "integration", "strategy", "quadrature", "dispformula", "formula2",
    ],
)  # fmt: skip
def test_an_argument_of_another_kind_is_refused(argument, wrong):
    if argument == "covariates" and isinstance(wrong, dict):
        pytest.skip("a mapping it may be")
    with pytest.raises(gs.InputError):
        gs.fit("v ~ x", TABLE, **{argument: wrong})


@pytest.mark.parametrize("wrong", WRONG, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("argument", ["quantiles", "at", "observations"])
def test_so_is_one_of_a_prediction(fit, argument, wrong):
    with pytest.raises(gs.InputError):
        fit.predict(TABLE, **{argument: wrong})


def test_polygons_are_told_where_they_belong():
    with pytest.raises(gs.InputError, match="the polygons are the geometry of the data"):
        gs.fit("v ~ 1", POLYGONS, areas=POLYGONS)


def test_one_level_and_one_threshold_are_several_of_one(fit):
    one, same = fit.predict(TABLE, quantiles=0.5, exceed=2.0), fit.predict(TABLE, quantiles=[0.5], exceed=[2.0])
    pd.testing.assert_frame_equal(one.to_frame(), same.to_frame())
    for bad in ("high", np.nan, True):
        with pytest.raises(gs.InputError, match="a threshold must be a finite number"):
            fit.predict(TABLE, exceed=bad)
        with pytest.raises(gs.InputError, match="a quantile level lies between 0 and 1"):
            fit.predict(TABLE, quantiles=bad)
