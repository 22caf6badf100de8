"""Mistakes of a first day with Python: each is told in a sentence that says what to give instead."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from matplotlib import pyplot as plt

import geospde as gs

RNG = np.random.default_rng(3)
PLACES = RNG.uniform(0, 100, (30, 2)) + [500_000, 4_500_000]
SITES = gpd.GeoDataFrame(
    {"y": RNG.normal(size=30)}, geometry=gpd.points_from_xy(*PLACES.T), crs="EPSG:32633", index=range(10, 40)
)
SQUARE = shapely.box(500_000, 4_500_000, 500_100, 4_500_100)
MESH = gs.build_mesh(SQUARE, max_edge=30, offset=30, crs=SITES.crs)
FORMULA = "y ~ 1 + spde(mesh)"


def at(*shapes):
    """The sites, the first of them with other geometries."""
    return SITES.set_geometry(gpd.GeoSeries([*shapes, *SITES.geometry[len(shapes) :]], SITES.index, SITES.crs))


@pytest.fixture(scope="module")
def fit():
    return gs.fit(FORMULA, SITES, mesh=MESH, method="eb")


@pytest.mark.parametrize(
    "shape, message",
    [
        (None, "row 10 has no place: its geometry is empty"),
        (shapely.Point(), "row 10 has no place"),
        (shapely.MultiPoint([(1, 1), (2, 2)]), "row 10 is MultiPoint.*explode"),
        (shapely.LineString([(1, 1), (2, 2)]), "row 10 is LineString.*a point of each"),
        (shapely.box(0, 0, 1, 1), "row 10 is Polygon.*areas='mean'"),
    ],
)
def test_rows_that_are_no_points(fit, shape, message):
    with pytest.raises(gs.InputError, match=message):
        gs.fit(FORMULA, at(shape), mesh=MESH)
    with pytest.raises(gs.InputError, match=message):
        fit.predict(at(shape))


@pytest.mark.parametrize(
    "data, message",
    [
        (gs.load_dataset("rongelap"), "not a Survey: give its points, survey.points"),
        ({"y": [1.0]}, "not a dict: make one with pandas.DataFrame"),
        (pd.DataFrame({"y": [1.0]}).to_records(), "not a recarray: make one with pandas.DataFrame"),
        ("sites.csv", "not a str$"),
    ],
)
def test_data_that_are_no_table(data, message):
    with pytest.raises(gs.InputError, match=message):
        gs.fit("y ~ 1", data)


def test_arguments_in_another_order():
    with pytest.raises(gs.InputError, match="first argument is the formula, a text, not a GeoDataFrame"):
        gs.fit(SITES, FORMULA, mesh=MESH)


@pytest.mark.parametrize("name", ["weights", "offset"])
def test_a_series_in_another_order_is_no_column_in_silence(fit, name):
    values = pd.Series(np.linspace(0.5, 1.0, 30), SITES.index)
    of_column = gs.fit(FORMULA, SITES.assign(v=values), mesh=MESH, method="eb", **{name: "v"})
    of_series = gs.fit(FORMULA, SITES, mesh=MESH, method="eb", **{name: values})
    np.testing.assert_array_equal(of_series.fixed, of_column.fixed)
    gs.fit(FORMULA, SITES, mesh=MESH, method="eb", **{name: values.reset_index(drop=True)})  # labels that say nothing
    with pytest.raises(gs.InputError, match=f"{name} is a Series with the labels .* in another order"):
        gs.fit(FORMULA, SITES, mesh=MESH, method="eb", **{name: values[::-1]})
    if name == "offset":
        with pytest.raises(gs.InputError, match="in another order"):
            fit.predict(SITES, offset=values[::-1])


def test_what_is_explored_is_a_survey():
    survey = gs.read_survey(SITES)
    for given, column, message in [
        (SITES, "y", "a Survey is explored, not a GeoDataFrame: make one with gs.read_survey"),
        ("y", survey, "a Survey is explored, not a str"),
        (survey, SITES["y"], "a column of the survey is given by its name, not as a Series"),
    ]:
        with pytest.raises(gs.InputError, match=message):
            gs.explore(given, column)


@pytest.mark.parametrize(
    "sites, message",
    [
        (gs.load_dataset("rongelap"), r"give the survey's points, survey\.points"),
        (pd.DataFrame({"x": [0.0], "y": [1.0], "kind": ["A"]}), "give the two columns of coordinates"),
        ([shapely.Point(1, 1)], "make a GeoSeries"),
        (shapely.MultiPoint([(1, 1)]), "make a GeoSeries"),
    ],
)
def test_sites_of_a_mesh(sites, message):
    with pytest.raises(gs.InputError, match=message):
        gs.build_mesh(sites=sites, max_edge=30)


def test_numbers_that_are_none(fit):
    grid = gs.Grid.around(SQUARE, cell=25)
    with pytest.raises(gs.InputError, match="cell size must be a positive number"):
        gs.Grid.around(SQUARE, cell=(25, 25))
    with pytest.raises(gs.InputError, match=r"bounds are four numbers \(xmin, ymin, xmax, ymax\), not <POLYGON"):
        gs.Grid.from_bounds(SQUARE, cell=25)
    with pytest.raises(gs.InputError, match="buffer must be a finite number, not 'wide'"):
        gs.Grid.around(SQUARE, cell=25, buffer="wide")
    with pytest.raises(gs.InputError, match="permutations must be 19 or more"):
        gs.variogram(PLACES, SITES["y"].to_numpy(), permutations="many")
    with pytest.raises(gs.InputError, match="exposure, a column's name or one number.* finite number, not \\[1\\]"):
        gs.explore(gs.read_survey(SITES), "y", exposure=[1])
    with pytest.raises(gs.InputError, match="mesh must be a Mesh, not a int"):
        gs.fit(FORMULA, SITES, mesh={"mesh": 1})
    with pytest.raises(gs.InputError, match="the first argument is the formula, a text, not a int"):
        gs.simulate(3, SITES)
    with pytest.raises(gs.InputError, match="a threshold must be a finite number, not '6'"):
        fit.predict(grid).exceedance("6")
    with pytest.raises(gs.InputError, match="a raster is written to a path, not to None"):
        fit.predict(grid).to_raster(None)
    with pytest.raises(gs.InputError, match=r"column 0 is called by a int, not by text: .*rename\(columns=str\)"):
        gs.fit("y ~ `0`", pd.DataFrame({"y": [1.0, 2.0], 0: [1.0, 2.0]}))
    for k in ("4", 4.0, True):
        with pytest.raises(gs.InputError, match="k, how many folds, is a whole number"):
            fit.validate("random", k=k)
    with pytest.raises(gs.InputError, match="the distance must be a finite number, not 'far'"):
        fit.validate("blocks", k=4, distance="far")


def test_parameters_to_simulate_come_by_name():
    given = {"Intercept": 6.0}
    one, two = (gs.simulate(FORMULA, SITES, mesh=MESH, fixed=f, seed=1)["y"] for f in (given, pd.Series(given)))
    np.testing.assert_array_equal(one, two)
    for fixed in ([6], pd.DataFrame(given, index=[0])):
        with pytest.raises(gs.InputError, match="fixed gives parameters by their names"):
            gs.simulate(FORMULA, SITES, mesh=MESH, fixed=fixed)
    with pytest.raises(gs.InputError, match=r"hyper\['range\(spde\)'\] must be a finite number, not 'long'"):
        gs.simulate(FORMULA, SITES, mesh=MESH, fixed=given, hyper={"range(spde)": "long"})


def test_a_coastline_of_a_table_is_drawn_in_the_maps_system(fit):
    surface = fit.predict(gs.Grid.around(SQUARE, cell=10))
    half = shapely.box(500_000, 4_500_000, 500_050, 4_500_100)
    table = gpd.GeoDataFrame(geometry=[half], crs=SITES.crs)
    plain = surface.plot(coastline=half)
    for given in (table, table.geometry, table.to_crs(4326)):
        np.testing.assert_allclose(surface.plot(coastline=given).get_xlim(), plain.get_xlim(), atol=1e-3)  # metres
    with pytest.raises(gs.InputError, match="coastline is of polygons, not MultiPoint: places to mark are sites="):
        surface.plot(coastline=SITES)
    with pytest.raises(gs.InputError, match="ax is axes of matplotlib.*not 'here'"):
        surface.plot(ax="here")
    for draw in (fit.plot_fitted, MESH.plot, fit.plot_pit):
        with pytest.raises(gs.InputError, match="ax is axes of matplotlib"):
            draw(ax="here")
    with pytest.raises(gs.InputError, match="ax must hold 1 panel"):
        surface.plot(ax=plt.subplots(1, 2)[1])
    plt.close("all")


def test_a_mesh_far_from_the_origin_has_whole_numbers_along_its_sides():
    north = gs.Mesh([[500_000, 4_500_000], [508_000, 4_500_000], [500_000, 4_507_000]], [[0, 1, 2]], crs="EPSG:32633")
    ax = north.plot()
    ax.figure.canvas.draw()
    assert ax.get_xlabel() == "x (km)" and not ax.yaxis.get_offset_text().get_text()
    assert {"4500", "4502"} <= {text.get_text() for text in ax.get_yticklabels()}
    plt.close("all")


def test_a_grid_lacks_the_columns_of_a_design():
    table = SITES.assign(kind=["a", "b"] * 15)
    by_kind = gs.fit("y ~ 1 + kind + spde(mesh)", table, mesh=MESH, method="eb")
    grid = gs.Grid.around(SQUARE, cell=25, crs=SITES.crs)
    with pytest.raises(gs.InputError, match="needs the column 'kind' .* a Grid has coordinates only"):
        gs.design(by_kind, 2, grid)
    assert len(gs.design(by_kind, 2, table.assign(kind="a")).sites) == 2


def test_weights_that_count_each_row_thrice_are_said_to_be_the_cause():
    fine = gs.build_mesh(SQUARE, sites=SITES, max_edge=12, offset=30, crs=SITES.crs)  # a vertex at each site
    heavy = gs.simulate(
        FORMULA, SITES, mesh=fine, fixed={"Intercept": 6},
        hyper={"range(spde)": 60, "sigma(spde)": 1, "sigma": 0.05}, seed=1,
    )  # fmt: skip
    with pytest.raises(gs.NumericalError, match="weights= multiply log densities, and sum to 90 for 30 rows"):
        gs.fit(FORMULA, heavy, mesh=fine, method="eb", weights=np.full(30, 3.0))
    gs.fit(FORMULA, heavy, mesh=fine, method="eb", weights=np.ones(30))


@pytest.mark.parametrize("method", ["eb", "ml"])
def test_means_are_per_unit_of_the_exposure_and_counts_are_asked_for(capsys, method):
    """As R-INLA's with E; a column of its name says nothing by itself, and the summary says how to ask."""
    table = pd.DataFrame({"x": RNG.normal(size=40), "hours": RNG.uniform(1, 9, 40)})
    table["seen"] = RNG.poisson(table["hours"] * np.exp(0.3 * table["x"]))
    fit = gs.fit("seen ~ x", table, family="poisson", exposure="hours", method=method)
    fit.summary()
    assert "means are per unit of hours; predict(..., exposure='hours') multiplies them" in capsys.readouterr().out
    rates = fit.predict(table).to_frame()
    np.testing.assert_allclose(rates["mean"], fit.predict(table.drop(columns="hours")).to_frame()["mean"])
    counts = fit.predict(table, exposure="hours", exceed=[3]).to_frame()
    np.testing.assert_allclose(counts["q0.975"], rates["q0.975"] * table["hours"], rtol=1e-12)
    for wrong in (-1.0, table["hours"].mask(table.index == 4, -2)):
        with pytest.raises(gs.InputError, match="exposure must not be negative: row . holds -"):
            fit.predict(table, exposure=wrong)
    with pytest.raises(gs.InputError, match="not True and False"):
        fit.predict(table, exposure=True)


@pytest.mark.parametrize(
    "left, said", [("k / m", r"p\(k, m\) is k successes of m trials"), ("k | trials(m)", "successes of trials are p")]
)
def test_trials_of_other_programs_are_told_as_ours(left, said):
    with pytest.raises(gs.InputError, match=said):
        gs.fit(f"{left} ~ 1", pd.DataFrame({"k": [1, 2], "m": [3, 4]}), family="binomial")
