"""GeoTIFFs read back by rasterio hold what was written, where it was written."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyproj
import pytest
import rasterio
import shapely

from geospde.errors import InputError
from geospde.export.raster import RasterWriter, write_raster
from geospde.prediction.grid import Grid
from geospde.survey.crs import parse_crs, unit_of

ROOT = Path(__file__).parents[2]
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


def test_a_cloud_optimised_raster_has_the_same_values_and_overviews_of_their_means(tmp_path):
    grid = Grid.around(shapely.Point(0, 0).buffer(300), cell=0.8, crs="EPSG:32658")
    values = {"mean": grid.centres @ [1.0, 1000.0], "sd": grid.centres[:, 0] ** 2}
    for name in ("plain", "cog"):
        write_raster(tmp_path / f"{name}.tif", grid, values, tags={"formula": "counts ~ 1"}, cog=name == "cog")
    with rasterio.open(tmp_path / "plain.tif") as plain, rasterio.open(tmp_path / "cog.tif") as cog:
        np.testing.assert_array_equal(cog.read(), plain.read())
        assert cog.profile["tiled"] and cog.block_shapes == [(256, 256)] * 2 and cog.compression.name == "deflate"
        assert cog.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        for what in ("descriptions", "transform", "crs", "dtypes", "shape"):
            assert getattr(cog, what) == getattr(plain, what)
        assert np.isnan(cog.nodata) and cog.tags() == plain.tags() and cog.tags(2) == plain.tags(2)
        assert cog.overviews(1) == [2, 4]  # 750 cells: 375, 188, which is less than a tile
        image = plain.read(1)
    with rasterio.open(tmp_path / "cog.tif", overview_level=0) as half:
        blocks = image.reshape(375, 2, 375, 2).swapaxes(1, 2).reshape(375, 375, 4)
        whole = np.isfinite(blocks).all(axis=2)
        # a float32 mean of four numbers below 4e5
        np.testing.assert_allclose(half.read(1)[whole], blocks[whole].mean(axis=1), rtol=1e-6, atol=0.1)
    assert sorted(f.name for f in tmp_path.iterdir()) == ["cog.tif", "plain.tif"]


def test_a_cloud_optimised_raster_has_its_directories_and_overviews_before_the_values(tmp_path):
    """Walk the file's own structure, as a reader over a network would."""
    grid = Grid.from_bounds((0, 0, 600, 600), cell=1)
    path = write_raster(tmp_path / "p.tif", grid, {"v": np.arange(grid.n)}, cog=True)
    data = path.read_bytes()
    assert data[:4] == b"II*\0" and b"LAYOUT=IFDS_BEFORE_DATA" in data[:300]
    directories, tiles, at = [], [], int.from_bytes(data[4:8], "little")
    while at:
        directories.append(at)
        entries = int.from_bytes(data[at : at + 2], "little")
        for e in range(at + 2, at + 2 + 12 * entries, 12):
            tag, kind, count = (int.from_bytes(data[e + a : e + b], "little") for a, b in ((0, 2), (2, 4), (4, 8)))
            if tag == 324:  # TileOffsets
                assert kind == 4
                place = e + 8 if count == 1 else int.from_bytes(data[e + 8 : e + 12], "little")
                tiles.append([int.from_bytes(data[place + 4 * i : place + 4 * i + 4], "little") for i in range(count)])
        at = int.from_bytes(data[at + 2 + 12 * entries : at + 6 + 12 * entries], "little")
    assert [len(t) for t in tiles] == [9, 4, 1]  # 600, 300 and 150 cells in tiles of 256
    assert max(directories) < min(t for each in tiles for t in each)
    assert min(tiles[0]) > max(tiles[1]) > max(tiles[2]), "the coarse comes first"


def test_a_cloud_optimised_raster_keeps_the_unit_of_its_frame_or_is_refused(tmp_path, grid, frame):
    for crs in ("local:km", "local:us-ft", "EPSG:4326"):
        with rasterio.open(write_raster(tmp_path / "p.tif", grid, frame, crs=crs, cog=True)) as layer:
            assert unit_of(pyproj.CRS.from_wkt(layer.crs.to_wkt())) == unit_of(parse_crs(crs))
    with pytest.raises(InputError, match="no unit of length"):
        write_raster(tmp_path / "q.tif", grid, frame, crs="local:unit", cog=True)
    assert not (tmp_path / "q.tif").exists()


def test_a_failure_while_the_order_is_made_leaves_nothing(tmp_path, grid, frame, monkeypatch):
    def fail(source, target, **_):
        target.with_name(f"{target.name}.ovr.tmp").write_text("half of it")
        raise RuntimeError("TIFFAppendToStrip: no space left")

    monkeypatch.setattr("rasterio.shutil.copy", fail)
    with pytest.raises(InputError, match="cannot write the raster .* no space left"):
        write_raster(tmp_path / "map [1].tif", grid, frame, cog=True)
    assert not list(tmp_path.iterdir())


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
