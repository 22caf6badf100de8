"""Covariates from rasters: values at points and in cells, against brute force; what is refused, and how."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import xarray as xr
from affine import Affine
from pyproj import CRS, Transformer

import geospde as gs
from geospde.survey.covariates import raster as rasters
from geospde.survey.covariates.reading import read_covariates
from geospde.survey.covariates.sites import sample_sites
from geospde.survey.crs import transformer

UTM = CRS.from_epsg(32632)


def plane(x, y):
    return 2.0 + 0.003 * x - 0.005 * y


def write(path, values, place, crs="EPSG:32632", nodata=None, names=()):
    bands = np.atleast_3d(values.T).T if values.ndim == 2 else values
    with rasterio.open(
        path, "w", driver="GTiff", height=bands.shape[1], width=bands.shape[2], count=len(bands), dtype=bands.dtype,
        transform=place, crs=crs, nodata=nodata,
    ) as raster:  # fmt: skip
        raster.write(bands)
        for k, name in enumerate(names, 1):
            raster.set_band_description(k, name)
    return str(path)


def plane_raster(path, cell=10.0, **options):
    """Write a plane over 0 to 1200 in both directions."""
    n = round(1200 / cell)
    centres = cell * (np.arange(n) + 0.5)
    x, y = np.meshgrid(centres, centres[::-1])
    return write(path, plane(x, y), Affine(cell, 0, 0, 0, -cell, 1200), **options)


@pytest.fixture
def points():
    return np.random.default_rng(1).uniform(100, 1100, (50, 2))


@pytest.fixture
def grid():
    return gs.Grid.from_bounds((200, 200, 1000, 900), cell=50, crs=UTM)


def one(spec):
    return read_covariates({"z": spec})[0]


def test_a_plane_is_interpolated_exactly_from_any_orientation(tmp_path, points):
    straight = plane_raster(tmp_path / "a.tif", 40)
    with rasterio.open(straight) as raster:
        values = raster.read()
    down = write(tmp_path / "b.tif", values[:, ::-1], Affine(40, 0, 0, 0, 40, 0))
    mirrored = write(tmp_path / "c.tif", values[:, :, ::-1], Affine(-40, 0, 1200, 0, -40, 1200))
    for path in (straight, down, mirrored):
        # linear between centres, so exact but for rounding
        np.testing.assert_allclose(one(path).at_points(points, UTM), plane(*points.T), rtol=1e-12)


def test_arrays_of_xarray_and_open_datasets_give_what_the_file_gives(tmp_path, points):
    path = plane_raster(tmp_path / "a.tif", 40)
    expected = one(path).at_points(points, UTM)
    centres = 40 * (np.arange(30) + 0.5)
    x, y = np.meshgrid(centres, centres)
    array = xr.DataArray(plane(x, y), coords={"y": centres, "x": centres}, dims=("y", "x"))
    np.testing.assert_allclose(one({"raster": array, "crs": "EPSG:32632"}).at_points(points, UTM), expected)
    with rasterio.open(path) as dataset:
        np.testing.assert_allclose(one(dataset).at_points(points, UTM), expected)


def test_cells_take_the_mean_of_finer_rasters_by_exact_overlap(tmp_path, grid):
    rng = np.random.default_rng(2)
    values = rng.normal(size=(100, 100))  # cells of 12, which do not divide 50
    covariate = one(write(tmp_path / "a.tif", values, Affine(12, 0, 0, 0, -12, 1200)))
    fine = np.kron(values[::-1], np.ones((6, 6)))  # squares of 2, which divide both
    expected = [
        fine[round((y - 25) / 2) : round((y + 25) / 2), round((x - 25) / 2) : round((x + 25) / 2)].mean()
        for x, y in grid.centres
    ]
    np.testing.assert_allclose(covariate.in_cells(grid.cells, UTM), expected, atol=1e-6)  # GDAL's weights are float32
    assert "area average" in covariate.method(grid.cells, UTM)


def test_windows_change_nothing(tmp_path, grid, points, monkeypatch):
    covariate = one(plane_raster(tmp_path / "a.tif", 12))
    whole = covariate.in_cells(grid.cells, UTM), covariate.at_points(points, UTM)
    monkeypatch.setattr(rasters, "WINDOW", 1000)
    monkeypatch.setattr(rasters, "STRIP", 5)
    np.testing.assert_allclose(covariate.in_cells(grid.cells, UTM), whole[0], atol=1e-6)
    np.testing.assert_allclose(covariate.at_points(points, UTM), whole[1], rtol=1e-12)


def test_another_crs_gives_the_same_values(tmp_path, points, grid):
    to = Transformer.from_crs(UTM, 4326, always_xy=True)
    shifted = points + [5e5, 5.3e6]
    lon, lat = to.transform(*shifted.T)
    step = 0.0002
    west, north = lon.min() - 0.01, lat.max() + 0.01
    cols, rows = round((np.ptp(lon) + 0.02) / step), round((np.ptp(lat) + 0.02) / step)
    x, y = np.meshgrid(west + step * (np.arange(cols) + 0.5), north - step * (np.arange(rows) + 0.5))
    east, up = Transformer.from_crs(4326, UTM, always_xy=True).transform(x, y)
    values = plane(east - 5e5, up - 5.3e6)
    for shift in (0, 360):  # rasters from 0 to 360 degrees are no other world
        place = Affine(step, 0, west + shift, 0, -step, north)
        covariate = one(write(tmp_path / f"{shift}.tif", values, place, crs="EPSG:4326"))
        np.testing.assert_allclose(covariate.at_points(shifted, UTM), plane(*points.T), atol=1e-3)
        moved = gs.Grid.from_bounds((5e5 + 200, 5.3e6 + 200, 5e5 + 1000, 5.3e6 + 900), cell=100, crs=UTM)
        expected = plane(*(moved.centres - [5e5, 5.3e6]).T)
        np.testing.assert_allclose(covariate.in_cells(moved.cells, UTM), expected, atol=0.02)
    assert transformer(CRS(UTM), CRS(4326)) is transformer(CRS(UTM), CRS(4326))  # PROJ looks for it once


def test_classes_are_the_commonest_and_have_texts(tmp_path, grid, points):
    values = np.where(np.arange(120) < 60, 1, 2)[None, :].repeat(120, 0).astype("uint8")
    path = write(tmp_path / "a.tif", values, Affine(10, 0, 0, 0, -10, 1200))
    covariate = one({"raster": path, "labels": {1: "west", 2: "east"}})
    in_cells = covariate.labelled(covariate.in_cells(grid.cells, UTM))
    np.testing.assert_array_equal(in_cells == "west", grid.centres[:, 0] < 600)
    at = covariate.labelled(covariate.at_points(points, UTM))
    np.testing.assert_array_equal(at == "west", points[:, 0] < 600)


def test_the_nearest_value_is_the_nearest(tmp_path, points):
    rng = np.random.default_rng(3)
    values = rng.normal(size=(60, 60))
    values[rng.random((60, 60)) < 0.9] = -9999
    covariate = one(write(tmp_path / "a.tif", values, Affine(20, 0, 0, 0, -20, 1200), nodata=-9999))
    row, col = np.nonzero(values != -9999)
    cells = np.floor(points / 20)
    there = np.column_stack([col, 59 - row])
    expected = np.array([np.min(np.hypot(*(there - at).T)) for at in cells]) * 20
    found, far = covariate.nearest(points, UTM)
    np.testing.assert_allclose(far, expected)
    assert np.isin(found, values).all()
    outside, _ = covariate.nearest(np.array([[-5000.0, 600.0]]), UTM)
    assert np.isfinite(outside).all()


def test_distances_and_coordinates(points):
    river = gpd.GeoDataFrame(geometry=gpd.GeoSeries.from_wkt(["LINESTRING (0 0, 0 2000)"]), crs=UTM)
    np.testing.assert_allclose(one({"distance_to": river}).at_points(points, UTM), points[:, 0])
    np.testing.assert_allclose(one({"coordinate": "y"}).at_points(points, UTM), points[:, 1])


def test_standardised_by_the_sites_mean_and_sd_on_the_map_too(tmp_path, points, grid):
    spec = {"z": {"raster": plane_raster(tmp_path / "a.tif"), "standardise": True}}
    table = pd.DataFrame({"y": np.zeros(50)})
    sampled = sample_sites(spec, table, points, UTM)
    raw = plane(*points.T)
    np.testing.assert_allclose(sampled.table["z"], (raw - raw.mean()) / raw.std(ddof=1))
    on_map = sampled.covariates.at(grid.centres, UTM, grid.cells)
    np.testing.assert_allclose(on_map.table["z"], (plane(*grid.centres.T) - raw.mean()) / raw.std(ddof=1), atol=1e-5)


def test_extrapolation_is_told_by_range_and_by_combination(tmp_path):
    along = np.linspace(100, 1100, 60)
    places = np.column_stack([along, along + np.random.default_rng(4).uniform(-50, 50, 60)])
    spec = {"a": {"coordinate": "x"}, "b": {"coordinate": "y"}}
    held = sample_sites(spec, pd.DataFrame({"y": np.zeros(60)}), places, UTM).covariates
    asked = pd.DataFrame({"a": [600.0, 1600.0, 200.0], "b": [600.0, 1000.0, 1000.0]})
    beyond = held.beyond(asked)
    assert beyond[0] == 0 and beyond[1] >= 0.5 and beyond[2] > 0  # the last: within both ranges, off their line


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("none.tif", "there is no file"),
        ("rotated.tif", "is rotated"),
        ("plain.tif", "has no CRS"),
        ("far.tif", "do not meet"),
        ("flat.tif", "at every site"),
        ("two.tif", "has 2 bands"),
        ({"raster": "two.tif", "band": "elevatoin"}, "did you mean 'elevation'"),
        ({"raster": "two.tif", "band": 3}, "no band 3"),
        ({"raster": "holes.tif"}, 'missing = "nearest"'),
        ({"raster": "two.tif", "bands": 1}, "did you mean 'band'"),
        ({"raster": "two.tif", "missing": "guess"}, "one of"),
        ({"coordinate": "z"}, "one of"),
        (3, "not a int"),
        ({}, "needs one of"),
    ],
)
def test_what_cannot_be_a_covariate_is_told_in_a_sentence(tmp_path, monkeypatch, points, spec, said):
    monkeypatch.chdir(tmp_path)
    values = np.arange(14400.0).reshape(120, 120)
    place = Affine(10, 0, 0, 0, -10, 1200)
    write("rotated.tif", values, Affine(10, 2, 0, 2, -10, 1200))
    write("plain.tif", values, place, crs=None)
    write("far.tif", values, Affine(10, 0, 1e6, 0, -10, 1200))
    write("flat.tif", np.ones((120, 120)), place)
    write("two.tif", np.stack([values, values]), place, names=("elevation", "slope"))
    holes = values.copy()
    holes[::2] = -1
    write("holes.tif", holes, place, nodata=-1)
    with pytest.raises(gs.InputError, match=said):
        sample_sites({"z": spec}, pd.DataFrame({"y": np.zeros(50)}), points, UTM)


def test_sites_without_a_value_are_dropped_or_filled_on_request(tmp_path, points):
    values = np.ones((120, 120))
    values[:, :60] = -1
    values[:, 60:] = np.arange(60)
    path = write(tmp_path / "a.tif", values, Affine(10, 0, 0, 0, -10, 1200), nodata=-1)
    table = pd.DataFrame({"y": np.arange(50.0)})
    dropped = sample_sites({"z": {"raster": path, "missing": "drop"}}, table, points, UTM)
    np.testing.assert_array_equal(dropped.table["y"], np.flatnonzero(points[:, 0] >= 600))
    filled = sample_sites({"z": {"raster": path, "missing": "nearest"}}, table, points, UTM)
    np.testing.assert_allclose(filled.table["z"][points[:, 0] < 600], 0.0)
    assert "nearest is taken" in filled.covariates.findings[0].message


def test_a_column_that_differs_from_its_raster_is_a_finding(tmp_path, points):
    path = plane_raster(tmp_path / "a.tif")
    near = pd.DataFrame({"z": plane(*points.T)})
    far = near + np.random.default_rng(1).normal(size=(50, 1))
    levels = [sample_sites({"z": path}, t, points, UTM).covariates.findings[0].level for t in (near, far)]
    assert levels == ["ok", "warning"]
