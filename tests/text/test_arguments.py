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


def test_what_is_no_axes_and_no_exposure_is_refused(fit):
    square = gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 1, 1)])
    means = gs.fit("v ~ 1", TABLE, method="eb").predict_regions(square)
    for ax in (-1, "x", [], True):
        with pytest.raises(gs.InputError, match="ax is axes of matplotlib"):
            means.plot(ax=ax)
        with pytest.raises(gs.InputError, match="ax is axes of matplotlib"):
            fit.effects("x").plot(ax=ax)
    for exposure in (np.ones(5, dtype=bool), True, "open"):
        with pytest.raises(gs.InputError, match="True and False"):
            gs.fit("v ~ 1", TABLE.assign(v=1, open=True), family="poisson", exposure=exposure)


def test_what_is_odd_and_can_be_used_is_told():
    with pytest.warns(gs.GeospdeWarning, match="finer than the domain itself"):
        gs.build_mesh(shapely.box(0, 0, 1, 1), max_edge=(0.5, 0.2))
    with pytest.warns(gs.GeospdeWarning, match="only one of 5 rows has a weight above 0"):
        gs.fit("v ~ 1", TABLE, weights=np.array([0.0, 0, 1, 0, 0]), method="eb")


@pytest.mark.parametrize("wrong", [np.datetime64("2020-01-01"), np.ma.masked, True], ids=str)
def test_dates_truths_and_nothing_are_no_offset_and_no_exposure(fit, wrong):
    """A date was the days since 1970, and what is masked 0."""
    for argument in ("offset", "exposure"):
        with pytest.raises(gs.InputError):
            fit.predict(TABLE, **{argument: wrong})


def test_tables_are_quoted_in_a_word_and_seeds_and_graphs_are_looked_at(fit):
    square = gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 1, 1)])
    calls = [
        lambda: fit.simulate(TABLE),
        lambda: fit.simulate(2, seed=TABLE),
        lambda: fit.predict(TABLE, observations=TABLE),
        lambda: fit.effects(TABLE),
        lambda: fit.save(TABLE),
        lambda: gs.load_fit(TABLE),
        lambda: gs.fit("v ~ 1", TABLE, family=TABLE),
        lambda: fit.predict_regions(square, seed=-1),
        lambda: fit.predict_regions(square, seed=[1]),
        lambda: gs.fit("v ~ besag(x, graph=w)", TABLE, graphs={"w": {"a": 1}}),
        lambda: gs.simulate("~ x", TABLE, coords=TABLE),
        lambda: gs.simulate("~ x", TABLE, coords=[[1]]),
        lambda: gs.build_mesh(np.ma.masked, max_edge=1),
    ]
    for call in calls:
        with pytest.raises(gs.InputError) as said:
            call()
        assert "\n" not in str(said.value) and len(str(said.value)) < 400
