"""Rasters that are predicted window by window: the same as in one go, and the same again after an interruption."""

import numpy as np
import pytest
import rasterio
from oracles import square_mesh

import geospde as gs
from geospde.errors import InputError
from geospde.export import windowed
from geospde.prediction import windows
from geospde.prediction.windows import Window, WindowPredictor

pytestmark = pytest.mark.filterwarnings("ignore::geospde.GeospdeWarning")


@pytest.fixture(scope="module")
def fit():
    import geopandas as gpd

    rng = np.random.default_rng(3)
    x, y = rng.uniform(0.05, 0.95, (2, 60))
    points = gpd.GeoDataFrame({"n": rng.poisson(np.exp(1 + x))}, geometry=gpd.points_from_xy(x, y))
    return gs.fit("n ~ 1 + spde(mesh)", points, mesh=square_mesh(7), family="poisson", method="eb")


@pytest.fixture(scope="module")
def grid():
    import shapely

    return gs.Grid.around(shapely.Point(0.5, 0.5).buffer(0.4), cell=0.02, crs="local:m")


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    monkeypatch.setattr(windows, "CELLS", 200)
    monkeypatch.setattr(windowed, "windows", lambda grid, cells=200: windows.windows(grid, cells))


def test_windows_are_whole_rows_in_order(grid):
    cut = windows.windows(grid, 200)
    assert cut[0].cells.start == 0 and cut[-1].cells.stop == grid.n
    assert all(one.cells.stop == two.cells.start for one, two in zip(cut, cut[1:]))
    assert max(window.size for window in cut) <= 200
    centres = np.vstack([window.of(grid).centres for window in cut])
    np.testing.assert_allclose(centres, grid.centres, rtol=1e-12)
    rows = windows.windows(grid, 1)
    assert len(rows) == grid.rows and sum(row.size for row in rows) == grid.n
    empty = gs.Grid(0, 0, 1, 1, np.array([[0, 1], [0, 0], [1, 1]], dtype=bool))
    assert windows.windows(empty, 1) == [Window(slice(0, 2), slice(0, 1)), Window(slice(2, 3), slice(1, 3))]


def test_the_values_are_those_of_one_prediction(tmp_path, fit, grid):
    path = fit.predict_raster(tmp_path / "map.tif", grid, exceed=[5], layers=["cv"])
    surface = fit.predict(grid, exceed=[5]).with_layer("cv")
    surface.to_raster(tmp_path / "whole.tif", cog=True)
    with rasterio.open(path) as ours, rasterio.open(tmp_path / "whole.tif") as whole:
        np.testing.assert_allclose(ours.read(), whole.read(), rtol=2e-6)  # of 32 bits
        assert ours.descriptions == whole.descriptions and ours.crs == whole.crs
        assert ours.transform == whole.transform and ours.tags(1)["TITLE"] == whole.tags(1)["TITLE"]
        assert ours.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["map.tif", "whole.tif"]


def test_an_interrupted_raster_goes_on_and_is_the_same_file(tmp_path, monkeypatch, fit, grid):
    whole = fit.predict_raster(tmp_path / "whole.tif", grid).read_bytes()
    made, plain = [], WindowPredictor.__call__

    def failing(self, part, at=3):
        if len(made) == at:
            raise KeyboardInterrupt
        made.append(part)
        return plain(self, part)

    monkeypatch.setattr(WindowPredictor, "__call__", failing)
    with pytest.raises(KeyboardInterrupt):
        fit.predict_raster(tmp_path / "map.tif", grid)
    assert [file.name for file in tmp_path.iterdir() if "map" in file.name] == [".map.tif.windows"]
    with (tmp_path / ".map.tif.windows").open("ab") as file:
        file.write(b"half of a window")
    monkeypatch.setattr(WindowPredictor, "__call__", lambda self, part: failing(self, part, None))
    told = []
    path = fit.predict_raster(tmp_path / "map.tif", grid, callback=lambda *news: told.append(news))
    assert path.read_bytes() == whole
    assert len(made) == len(windows.windows(grid, 200))  # each window once
    assert told[0][0] == sum(part.n for part in made[:3]) and told[-1][0] == told[-1][1] == grid.n
    assert "left" in told[1][2]


def test_the_writing_is_told_and_can_be_interrupted(tmp_path, monkeypatch, fit, grid):
    whole = fit.predict_raster(tmp_path / "whole.tif", grid).read_bytes()
    shares = []

    def stopping(done, total, message):
        if message.startswith("writing"):
            shares.append(done / total)
            if done > windowed.FILLED * total:  # GDAL is at work
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as stopped:
        fit.predict_raster(tmp_path / "map.tif", grid, callback=stopping)
    count = len(windows.windows(grid, 200))
    assert stopped.value.__notes__ == [f"started again, it goes on after {count} of {count} windows"]
    assert shares[0] == 0 and shares == sorted(shares)
    monkeypatch.setattr(WindowPredictor, "__call__", None)  # nothing is predicted again
    assert fit.predict_raster(tmp_path / "map.tif", grid).read_bytes() == whole
    assert sorted(file.name for file in tmp_path.iterdir()) == ["map.tif", "whole.tif"]


def test_what_a_killed_writer_left_goes_and_one_at_work_is_left_alone(tmp_path, fit, grid):
    for name in (".map.tif.99.partial", ".map.tif.99.partial.cog.ovr.tmp", ".amap.tif.99.partial"):
        (tmp_path / name).write_bytes(b"half")  # of 100 million cells gigabytes
    cut = windows.windows(grid, 200)
    with windows.WindowFile(tmp_path / ".map.tif.windows", "x" * windows.HEADER, cut, 5):
        with pytest.raises(InputError, match="another process is at work on .*windows: wait for it"):
            fit.predict_raster(tmp_path / "map.tif", grid)
        assert (tmp_path / ".map.tif.99.partial").is_file()
    fit.predict_raster(tmp_path / "map.tif", grid)
    assert sorted(file.name for file in tmp_path.iterdir()) == [".amap.tif.99.partial", "map.tif"]


def test_windows_of_another_wish_are_not_taken(tmp_path, monkeypatch, fit, grid):
    whole = fit.predict_raster(tmp_path / "whole.tif", grid, quantiles=()).read_bytes()
    plain = WindowPredictor.__call__

    def failing(self, part):
        if part.y0 > grid.y0:
            raise MemoryError
        return plain(self, part)

    with monkeypatch.context() as patch:
        patch.setattr(WindowPredictor, "__call__", failing)
        with pytest.raises(MemoryError):
            fit.predict_raster(tmp_path / "map.tif", grid, quantiles=(0.1, 0.9), exceed=[3])
    assert fit.predict_raster(tmp_path / "map.tif", grid, quantiles=()).read_bytes() == whole


def test_what_is_no_raster_is_refused(tmp_path, fit, grid):
    with pytest.raises(InputError, match="on a gs.Grid, not on a ndarray"):
        fit.predict_raster(tmp_path / "map.tif", grid.centres)
    with pytest.raises(InputError, match="one number for all cells"):
        fit.predict_raster(tmp_path / "map.tif", grid, exposure=np.ones(grid.n))
    with pytest.raises(InputError, match="must end in .tif"):
        fit.predict_raster(tmp_path / "map.png", grid)
    with pytest.raises(InputError, match="no layer 'cvv'"):
        fit.predict_raster(tmp_path / "map.tif", grid, layers=["cvv"])
    assert not list(tmp_path.iterdir())


def test_an_estimate_says_what_it_will_take(fit, grid):
    estimate = windowed.estimate_raster(fit, grid, exceed=[5])
    assert (estimate.cells, estimate.bands) == (grid.n, 6)
    assert estimate.seconds > 0 and estimate.bytes > 4 * 6 * grid.n
    assert str(estimate).startswith(f"{grid.n:,} cells with 6 bands: about ")
