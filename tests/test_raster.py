"""GeoTIFFs read back by rasterio hold what was written, where it was written."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyproj
import pytest
import rasterio
import shapely

from geospde.crs import parse_crs, unit_of
from geospde.errors import InputError
from geospde.maps.raster import RasterWriter, write_raster
from geospde.prediction.grid import Grid

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "tests/reference/rongelap"


@pytest.fixture(scope="module")
def coastline():
    return shapely.Polygon(np.loadtxt(ROOT / "data/rongelap/coastline.csv", delimiter=",", skiprows=1))


@pytest.fixture(scope="module")
def grid(coastline):
    return Grid.around(coastline, shape=(75, 150), buffer=50, crs="local:m")


@pytest.fixture(scope="module")
def frame(grid):
    frame = pd.read_csv(REFERENCE / "alpha15_exact_pred.csv")
    return pd.concat([pd.read_csv(REFERENCE / "grid.csv"), frame], axis=1)


def test_every_cell_reads_back(tmp_path, grid, frame):
    with rasterio.open(write_raster(tmp_path / "p.tif", grid, frame)) as layer:
        assert layer.descriptions == ("mean", "sd", "q0.025", "q0.5", "q0.975")
        assert layer.shape == (75, 150) and set(layer.dtypes) == {"float32"} and np.isnan(layer.nodata)
        np.testing.assert_allclose(layer.bounds, grid.bounds, rtol=1e-12)
        # Sampled at the frame's own coordinates: position and value together.
        values = np.array(list(layer.sample(frame[["x", "y"]].to_numpy())))
        np.testing.assert_allclose(values, frame.drop(columns=["x", "y"]), rtol=1e-6)
        assert np.isfinite(layer.read(1)).sum() == grid.n
        np.testing.assert_array_equal(layer.read_masks(1)[::-1] > 0, grid.mask)


def test_statistics_are_those_of_the_band(tmp_path, grid, frame):
    with rasterio.open(write_raster(tmp_path / "p.tif", grid, frame, tags={"formula": "counts ~ 1"})) as layer:
        band, tags = layer.read(2).astype(float), layer.tags(2)
        assert layer.tags()["formula"] == "counts ~ 1"
    for key, function in {
        "MINIMUM": np.nanmin,
        "MAXIMUM": np.nanmax,
        "MEAN": np.nanmean,
        "STDDEV": np.nanstd,
    }.items():
        np.testing.assert_allclose(float(tags[f"STATISTICS_{key}"]), function(band), rtol=1e-12)
    assert [f.name for f in tmp_path.iterdir()] == ["p.tif"]


def test_a_raster_of_many_tiles_is_written_whole(tmp_path):
    grid = Grid.around(shapely.Point(0, 0).buffer(300) - shapely.Point(0, 0).buffer(100), cell=0.9)
    values = grid.centres @ [1.0, 1000.0]
    with rasterio.open(write_raster(tmp_path / "p.tif", grid, {"v": values})) as layer:
        assert layer.block_shapes == [(256, 256)] and layer.height > 512
        np.testing.assert_array_equal(layer.read(1), grid.to_array(values).astype("float32"))
        np.testing.assert_allclose(float(layer.tags(1)["STATISTICS_STDDEV"]), values.std(), rtol=1e-6)


@pytest.mark.parametrize("crs", ["local:m", "local:km", "local:unit", "EPSG:32658", 4326, parse_crs("local:m")])
def test_the_crs_comes_back(tmp_path, grid, frame, crs):
    with rasterio.open(write_raster(tmp_path / "p.tif", grid, frame, crs=crs)) as layer:
        back = pyproj.CRS.from_wkt(layer.crs.to_wkt())
    assert back.equals(parse_crs(crs), ignore_axis_order=True)
    assert unit_of(back) == unit_of(parse_crs(crs))
    assert (Grid.like(tmp_path / "p.tif").mask == grid.mask).all()


def test_a_crop_drops_the_cells_centred_in_the_sea(tmp_path, grid, frame, coastline):
    with rasterio.open(write_raster(tmp_path / "p.tif", grid, frame, crop=coastline)) as layer:
        band = layer.read(1)
    land = shapely.contains_xy(coastline, grid.centres)
    assert 0 < land.sum() < grid.n
    expected = grid.to_array(np.where(land, frame["mean"], np.nan)).astype("float32")
    np.testing.assert_array_equal(band, expected)


@pytest.mark.parametrize(
    ("name", "columns", "options", "words"),
    [
        ("p.geojson", {"a": np.zeros(1612)}, {}, "GeoJSON could not"),
        ("p.tif", {"a": np.zeros(3)}, {}, "'a' has shape"),
        ("p.tif", {"x": np.zeros(1612)}, {}, "at least one column"),
        ("p.tif", {"a": np.zeros(1612)}, {"crs": "EPSG:1"}, "not a coordinate reference system"),
        ("p.tif", {"a": np.zeros(1612)}, {"crop": shapely.box(1e6, 0, 2e6, 1)}, "one CRS"),
        ("no.csv/p.tif", {"a": np.zeros(1612)}, {}, "cannot write"),
    ],
)
def test_what_cannot_be_written_is_refused_and_leaves_nothing(tmp_path, grid, name, columns, options, words):
    (tmp_path / "no.csv").write_text("")
    with pytest.raises(InputError, match=words):
        write_raster(tmp_path / name, grid, columns, **options)
    assert [f.name for f in tmp_path.iterdir()] == ["no.csv"]


def test_an_interrupted_raster_leaves_the_old_one(tmp_path, grid, frame):
    path = write_raster(tmp_path / "p.tif", grid, frame)
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt), RasterWriter(path, grid, ["mean"]) as raster:
        raster.write(next(grid.strips()), [frame["mean"].to_numpy()])
        raise KeyboardInterrupt
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_a_disk_too_small_is_told_beforehand(tmp_path, grid, frame, monkeypatch):
    usage = type("usage", (), {"free": 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(InputError, match="larger cells"):
        write_raster(tmp_path / "p.tif", grid, frame)
    assert not list(tmp_path.iterdir())
