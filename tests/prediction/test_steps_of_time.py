"""Predictions at several steps of time: each as alone, and together in every format."""

from types import SimpleNamespace

import geopandas
import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray
from matplotlib.collections import PathCollection
from oracles import square_mesh

import geospde as gs
from geospde.errors import InputError
from geospde.prediction.layer import Layer, posterior_layers
from geospde.report.webmap import _steps_of

YEARS = [2001, 2003, 2006]


@pytest.fixture(scope="module")
def fit():
    rng = np.random.default_rng(5)
    data = pd.DataFrame(rng.uniform(0.1, 0.9, (60, 2)), columns=["x", "y"])
    data["year"] = rng.choice([2001, 2002, 2004], 60)
    data["v"] = np.sin(5 * data.x + 0.4 * (data.year - 2000)) + rng.normal(0, 0.3, 60)
    return gs.fit("v ~ 1 + spde(mesh, time=year)", data, mesh=square_mesh(5), coords=("x", "y"), method="eb")


@pytest.fixture(scope="module")
def grid():
    return gs.Grid.from_bounds((0.1, 0.1, 0.9, 0.9), shape=(3, 4))


@pytest.fixture(scope="module")
def found(fit, grid):
    return fit.predict(grid, at={"year": YEARS}, exceed=[0.5])


def test_each_step_is_as_predicted_alone(fit, grid, found):
    for year in YEARS:
        alone = fit.predict(grid, at={"year": year}, exceed=[0.5]).to_frame()
        pd.testing.assert_frame_equal(found[year].to_frame(), alone)
        pd.testing.assert_frame_equal(found.at_step(str(year)).to_frame(), alone)
    assert found.steps == ("2001", "2003", "2006") and len(found) == 3
    assert found.exceedance(0.1).columns.tolist() == YEARS
    long = found.to_long()
    assert long.columns[:4].tolist() == ["x", "y", "year", "mean"] and len(long) == 3 * grid.n


def test_layers_know_their_step_and_share_their_scale():
    for layer in posterior_layers([0.1, 0.5], [3]):
        stepped = layer.at_step("year", "2003")
        assert stepped.scale == layer.scale and stepped.title == f"{layer.title}, year 2003"
        assert stepped.without_step() == layer
        assert Layer.from_json(stepped.to_json()) == stepped
    assert stepped.with_label("y").caption == "Posterior probability that y is above 3, year 2003."


def test_a_layer_of_before_steps_is_read():
    text = Layer("mean").to_json().replace(', "along": "", "step": ""', "")
    assert "step" not in text and Layer.from_json(text) == Layer("mean")


def test_rasters_have_a_band_a_step(found, tmp_path):
    found.to_raster(tmp_path / "years.tif")
    with rasterio.open(tmp_path / "years.tif") as raster:
        assert raster.descriptions[:4] == ("mean_2001", "mean_2003", "mean_2006", "sd_2001")
        assert raster.read(2) == pytest.approx(found.grid.to_array(found[2003].values("mean")), rel=1e-6)
        assert raster.tags(2)["TITLE"] == "Posterior mean, year 2003"


def test_netcdf_has_an_axis_of_steps(found, tmp_path):
    found.to_netcdf(tmp_path / "years.nc")
    with xarray.open_dataset(tmp_path / "years.nc", engine="h5netcdf") as cube:
        assert cube["mean"].dims == ("year", "y", "x") and cube["year"].values.tolist() == YEARS
        assert cube["year"].attrs["axis"] == "T"
        here = cube["sd"].sel(year=2006).to_numpy()[::-1]
        assert here == pytest.approx(found.grid.to_array(found[2006].values("sd")))
    assert found.to_xarray().sizes == {"year": 3, "y": 3, "x": 4}


def test_panels_have_one_scale(found):
    from matplotlib import pyplot as plt

    axes = found.plot("mean")
    assert [ax.get_title(loc="left") for ax in axes] == [f"year {year}" for year in YEARS]
    limits = {ax.images[0].get_clim() for ax in axes}
    assert len(limits) == 1
    low, high = limits.pop()
    assert low <= min(one.values("mean").min() for _, one in found.items())
    plt.close("all")
    one = found.plot("mean_2003", title="Then")
    assert one.get_title(loc="left") == "Then"
    _, three = plt.subplots(1, 3)
    assert len(found.plot("sd", three)) == 3
    plt.close("all")


def test_more_layers_come_to_every_step(found):
    more = found.with_layer(gs.Layer("wide"), lambda one: one.values("q0.975") - one.values("q0.025"))
    assert more.values("wide_2006") == pytest.approx(found.values("q0.975_2006") - found.values("q0.025_2006"))
    with pytest.raises(InputError, match="needs a function"):
        found.with_layer(gs.Layer("ones"), np.ones(12))


def test_forecasts_are_ever_less_sure_up_to_the_stationary_field(fit):
    """A thousand steps on the field is a draw from its prior: the dense covariance of a step tells how wide."""
    place = pd.DataFrame({"x": [0.5], "y": [0.5]})
    years = [2004, 2005, 2007, 2010, 3000]
    sds = [one.values("sd")[0] for _, one in fit.predict(place, at={"year": years}).items()]
    assert sds == sorted(sds)
    term, point = fit.model.terms[0], fit.posterior.mode
    changing = term.precision
    space, _ = changing.split(point.theta[: len(changing.parameters)])
    row = square_mesh(5).basis(place.to_numpy()).toarray()
    prior = (row @ np.linalg.inv(changing.field.matrix(space).toarray()) @ row.T).item()
    intercept = fit.fixed.loc["Intercept", "sd"] ** 2
    assert sds[-1] ** 2 == pytest.approx(prior + intercept, rel=1e-3)


@pytest.mark.parametrize(
    "at, message",
    [
        ({"year": []}, "gives no value of 'year'"),
        ({"year": [2001, 2001.0]}, "gives 2001 twice"),
        ({"year": [2001, None]}, "gives None as a value"),
        ({"year": [2001, np.nan]}, "gives nan as a value"),
        ({"year": [2001], "x": [1]}, "several values of 'year' and 'x'"),
        ({"yeer": [2001]}, "'yeer', which the model does not use; it uses .*'year'"),
        ({"year": [2001, 2001.5]}, "goes by steps of 1 from 2001"),
    ],
)
def test_a_mistake_is_told(fit, grid, at, message):
    with pytest.raises(InputError, match=message):
        fit.predict(grid, at=at)


def test_a_step_that_was_not_asked_for_is_told(found):
    with pytest.raises(InputError, match="nothing was predicted at year 2002"):
        found[2002]
    with pytest.raises(InputError, match="an excursion set is of one year"):
        found.excursions(1.0)


def _marked(axes):
    return [sum(len(c.get_offsets()) for c in ax.collections if isinstance(c, PathCollection)) for ax in axes]


def test_a_map_of_a_year_has_the_models_own_sites_of_that_year(fit, found):
    visits = [int((fit.model.table["year"] == year).sum()) for year in YEARS]
    assert sum(visits) > 0
    assert _marked(found.plot("mean", sites=True)) == visits
    assert _marked([found.plot("mean_2003", sites=True), found[2003].plot(sites=True)]) == 2 * [visits[1]]
    assert len(found.sites) == len(fit.model.points)


def test_a_map_of_a_year_has_the_sites_of_that_year(found):
    sites = pd.DataFrame({"x": [0.2, 0.4, 0.6], "y": 0.5, "year": [2001.0, 2003.0, 2003.0]})
    sites = geopandas.GeoDataFrame(sites, geometry=geopandas.points_from_xy(sites.x, sites.y))
    assert _marked(found.plot("mean", sites=sites)) == [1, 2, 0]
    assert _marked([found.plot("mean_2003", sites=sites)]) == [2]
    prediction = SimpleNamespace(steps=found.steps, layers=found.layers)
    assert _steps_of(sites, prediction, slice(None)) == [0, 1, 1]
    assert _steps_of(sites.drop(columns="year"), prediction, slice(None)) is None
