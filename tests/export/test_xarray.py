"""A prediction as an xarray Dataset and as NetCDF, read back by xarray, by GDAL and by HDF5 itself."""

import sys
import warnings

import h5netcdf  # noqa: F401  # which remembers whether h5py was there when it was first imported
import h5py
import numpy as np
import pandas as pd
import pyproj
import pytest
import rasterio
import shapely
import xarray as xr
from layered import layered

import geospde as gs
from geospde.export.dataset import to_dataset, write_netcdf
from geospde.prediction.grid import Grid
from geospde.survey.crs import LOCAL_UNITS, parse_crs


def on_grid(crs="EPSG:32658", corner=(0, 0)):
    """Return values that tell where they belong: 1000 east + north."""
    grid = Grid.around(shapely.Point(*corner).buffer(30), cell=5, crs=None if crs is None else parse_crs(crs))
    x, y = grid.centres.T
    frame = pd.DataFrame({"x": x, "y": y, "mean": 1000 * x + y, "sd": x**2, "q0.975": y, "exceed_8.5": x * 0 + 0.25})
    return layered(frame, "counts / time", grid, model="counts ~ 1 + spde(mesh), poisson, inla")


@pytest.fixture(scope="module")
def surface():
    survey = gs.load_dataset("rongelap")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gs.GeospdeWarning)
        mesh = gs.build_mesh(survey.coastline, max_edge=(300, 600), offset=600)
        formula = "counts ~ 1 + spde(mesh)"
        fit = gs.fit(formula, survey.points, mesh=mesh, family="poisson", exposure="time", method="eb")
    return fit.predict(gs.Grid.around(survey.coastline, cell=200), exceed=[8])


def test_every_value_is_found_at_its_coordinates(surface):
    dataset, frame = surface.to_xarray(), surface.to_frame()
    assert list(dataset.data_vars) == list(frame.columns[2:])
    places = {axis: xr.DataArray(frame[axis], dims="row") for axis in "xy"}
    for name in dataset.data_vars:
        at = dataset[name].sel(places, method="nearest", tolerance=1e-6)
        np.testing.assert_array_equal(at, frame[name])
        assert int(dataset[name].notnull().sum()) == len(frame)
    assert dataset["mean"].dims == ("y", "x")
    assert (np.diff(dataset.x) > 0).all() and (np.diff(dataset.y) > 0).all()


def test_netcdf_comes_back_the_same(tmp_path, surface):
    surface.to_netcdf(tmp_path / "made" / "p.nc", units="s-1")
    with xr.open_dataset(tmp_path / "made" / "p.nc") as back:
        told = surface.to_xarray(units="s-1")
        told.attrs["history"] = back.attrs["history"]  # a second may have passed
        xr.testing.assert_identical(back.load(), told)
    assert [p.name for p in (tmp_path / "made").iterdir()] == ["p.nc"]


@pytest.mark.parametrize("crs", ["EPSG:32658", "EPSG:2263", "local:m", "local:km", "local:us-ft"])
def test_gdal_finds_values_and_frame_in_the_netcdf(tmp_path, crs):
    """GDAL reads CF by its own rules: the oracle of axes, cell corners and CRS."""
    told = on_grid(crs, (2000, -3000))
    write_netcdf(told, tmp_path / "p.nc")
    with rasterio.open(f"netcdf:{tmp_path}/p.nc:mean") as layer:
        np.testing.assert_allclose(layer.bounds, told.grid.bounds, rtol=1e-12)
        np.testing.assert_array_equal(layer.read(1), told.grid.to_array(told.frame["mean"]))
        assert layer.tags(1)["long_name"] == "posterior mean of counts / time"
        back = pyproj.CRS.from_wkt(layer.crs.to_wkt())
    assert back.axis_info[0].unit_conversion_factor == pytest.approx(told.crs.axis_info[0].unit_conversion_factor)
    assert back.name == told.crs.name


def test_the_attributes_are_those_of_cf(tmp_path):
    dataset = to_dataset(on_grid("EPSG:32658"), units="s-1")
    assert dataset.attrs["Conventions"] == "CF-1.11"
    assert dataset.attrs["title"] == "Posterior of counts / time"
    assert f"geospde {gs.__version__}" in dataset.attrs["history"] and "spde(mesh)" in dataset.attrs["source"]
    assert {(v.attrs["standard_name"], v.attrs["units"], v.attrs["axis"]) for v in (dataset.x, dataset.y)} == {
        ("projection_x_coordinate", "m", "X"),
        ("projection_y_coordinate", "m", "Y"),
    }
    for variable in dataset.data_vars.values():
        mapping = dataset[variable.attrs["grid_mapping"]]
        assert pyproj.CRS.from_wkt(mapping.attrs["crs_wkt"]) == pyproj.CRS(32658)
        assert mapping.attrs["grid_mapping_name"] == "transverse_mercator"
        assert variable.attrs["cell_methods"] == "x: y: point"
    assert [v.attrs["units"] for v in dataset.data_vars.values()] == ["s-1", "s-1", "s-1", "1"]
    assert dataset["q0.975"].attrs["long_name"] == "97.5 % quantile of the posterior of counts / time"
    assert dataset["exceed_8.5"].attrs["long_name"] == "posterior probability that counts / time is above 8.5"
    assert "units" not in to_dataset(on_grid()).variables["mean"].attrs, "nobody said them"


def test_degrees_are_longitude_and_latitude():
    dataset = to_dataset(on_grid("EPSG:4326"))
    assert dataset.x.attrs["standard_name"] == "longitude" and dataset.x.attrs["units"] == "degrees_east"
    assert dataset.y.attrs["standard_name"] == "latitude" and dataset.y.attrs["units"] == "degrees_north"


def test_lengths_are_in_the_names_of_udunits():
    # units that cf-units (UDUNITS-2) converts to metres by the factors of LOCAL_UNITS
    names = {"ft": "foot", "us-ft": "US_survey_foot", "yd": "yard", "mi": "mile", "nmi": "nautical_mile"}
    for unit in LOCAL_UNITS:
        attributes = to_dataset(on_grid(f"local:{unit}")).x.attrs
        assert attributes.get("units") == (None if unit == "unit" else names.get(unit, unit))
    assert "units" not in to_dataset(on_grid(None)).x.attrs and "crs" not in to_dataset(on_grid(None))


def test_places_without_a_grid_have_one_dimension(surface):
    points = surface.points[:7]
    at = surface._fit.predict(points)
    dataset = at.to_xarray()
    assert dict(dataset.sizes) == {"place": 7}
    np.testing.assert_array_equal(np.column_stack([dataset.x, dataset.y]), points)
    np.testing.assert_array_equal(dataset["mean"], at.to_frame()["mean"])
    assert dataset["mean"].attrs["grid_mapping"] == "crs"
    rows = layered(pd.DataFrame({"mean": [1.0, 2.0]}))
    assert dict(to_dataset(rows).sizes) == {"place": 2} and not to_dataset(rows).coords


def test_the_file_is_compressed_and_its_coordinates_have_no_gaps(tmp_path):
    write_netcdf(on_grid(), tmp_path / "p.nc")
    with h5py.File(tmp_path / "p.nc") as file:
        assert file["mean"].compression == "gzip" and file["mean"].dtype == np.float64
        assert "_FillValue" not in file["x"].attrs and np.isnan(file["mean"].attrs["_FillValue"]).all()


@pytest.mark.parametrize(
    ("name", "words"),
    [("p.tif", "in .nc, not to p.tif"), ("p", "in .nc, not to p"), ("file.csv/p.nc", "cannot"), ("d.nc", "cannot")],
)
def test_what_cannot_be_written_is_refused_and_leaves_nothing(tmp_path, name, words):
    (tmp_path / "file.csv").write_text("")
    (tmp_path / "d.nc").mkdir()
    with pytest.raises(gs.InputError, match=words):
        write_netcdf(on_grid(), tmp_path / name)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["d.nc", "file.csv"]


def test_a_disk_too_small_is_told_beforehand(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("usage", (), {"free": 1000}))
    with pytest.raises(gs.InputError, match="p.nc needs up to .* kB and the disk has 1 kB free"):
        write_netcdf(on_grid(), tmp_path / "p.nc")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("module", ["xarray", "h5netcdf", "h5py"])
def test_a_missing_library_is_told_with_what_installs_it(tmp_path, monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(gs.InputError, match=rf"need {module}: pip install 'geospde\[io\]'"):
        write_netcdf(on_grid(), tmp_path / "p.nc")
    assert not list(tmp_path.iterdir())
