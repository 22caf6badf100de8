"""The interactive map's data: the raster's own numbers, in the places where they belong."""

import base64
import json

import matplotlib
import numpy as np
import pandas as pd
import pytest
import shapely
from sample_run import ISLAND, made, predicted, scattered

from geospde.prediction.grid import Grid
from geospde.report import webmap
from geospde.report.webmap import thinned, web_map


def unpacked(text, kind="<f4"):
    return np.frombuffer(base64.b64decode(text), dtype=kind)


def index_of(grid):
    """Number of the predicted cell in each cell of the map, row by row from the south, as the page's script has it."""
    runs = unpacked(grid["runs"], "<u4")
    predicted = np.repeat(np.arange(runs.size) % 2 == 1, runs).reshape(grid["rows"], grid["cols"])
    index = np.full(predicted.shape, -1)
    index[predicted] = np.arange(predicted.sum())
    return index


def grid_of(mask):
    return Grid(100.0, 200.0, 10.0, 20.0, mask)


@pytest.fixture
def island():
    grid = Grid.around(ISLAND, cell=100, buffer=100, crs="local:m")
    return predicted(grid, scattered(grid))


def test_every_layer_is_the_rasters_float32_in_its_cell(island):
    data = web_map(prediction=island).data
    grid, index = data["grid"], index_of(data["grid"])
    frame = island.to_frame()
    col = ((frame["x"] - data["origin"][0] - grid["x0"]) // grid["dx"]).astype(int)
    row = ((frame["y"] - data["origin"][1] - grid["y0"]) // grid["dy"]).astype(int)
    assert [band["name"] for band in data["bands"]] == ["mean", "q0.025", "q0.5", "q0.975", "sd", "exceed_6"]
    for band in data["bands"]:
        values = unpacked(band["values"])[index[row, col]]
        np.testing.assert_array_equal(values, frame[band["name"]].to_numpy(dtype=np.float32))


@pytest.mark.parametrize("seed", range(5))
def test_runs_tell_any_mask(seed):
    mask = np.random.default_rng(seed).random((13, 17)) < [0.02, 0.5, 0.98, 0.3, 0.7][seed]
    described, kept, step = thinned(grid_of(mask), 6)
    np.testing.assert_array_equal(index_of(described) >= 0, mask)
    np.testing.assert_array_equal(kept, np.arange(mask.sum()))
    assert step == 1 and (described["dx"], described["dy"], described["x0"]) == (10.0, 20.0, 100.0)


@pytest.mark.parametrize("share", [1.0, 0.4, 0.03])
def test_a_large_raster_is_thinned_to_real_cells_near_the_middle_of_their_blocks(monkeypatch, share):
    monkeypatch.setattr(webmap, "MOST_NUMBERS", 600)
    mask = np.random.default_rng(3).random((83, 61)) < share
    described, kept, step = thinned(grid_of(mask), 6)
    assert kept.size * 6 <= 600 and step > 1
    index, where = index_of(described), np.argwhere(mask)
    assert index.shape == (-(-83 // step), -(-61 // step))
    for (row, col), place in np.ndenumerate(index):
        block = where[(where // step == [row, col]).all(axis=1)]
        if place < 0:
            assert not len(block)
            continue
        chosen = where[kept[place]]
        assert (chosen // step == [row, col]).all()
        away = np.hypot(*(block - np.array([row, col]) * step - (step - 1) / 2).T)
        assert np.hypot(*(chosen - np.array([row, col]) * step - (step - 1) / 2)) == pytest.approx(away.min())


def test_a_thinned_map_says_so(monkeypatch, island):
    monkeypatch.setattr(webmap, "MOST_NUMBERS", 600)
    made = web_map(prediction=island)
    assert made.notes[0].startswith("The raster has 264 cells, too many for a page: the map shows one of every 2 × 2")
    assert web_map(prediction=island).data["grid"]["rows"] == 6
    monkeypatch.undo()
    assert web_map(prediction=island).notes == ()


def test_places_keep_their_precision_far_from_the_origin():
    near, far = made(), made(east=499_123.25, north=8_765_432.75, crs="EPSG:32758")
    here, there = (web_map(**run).data for run in (near, far))
    shift = np.subtract(there["origin"], here["origin"])
    for part in ("coast", "mesh", "sites"):
        a, b = (unpacked(data[part]["xy"]).reshape(-1, 2).astype(float) for data in (here, there))
        np.testing.assert_allclose(a + [499_123.25, 8_765_432.75], b + shift, atol=1e-3)  # a millimetre
    assert there["unit"] == "m" and there["grid"]["x0"] + there["origin"][0] == pytest.approx(499_000)


def test_the_coast_keeps_its_holes_and_a_long_one_is_simplified(monkeypatch):
    run = made()
    island = ISLAND.difference(shapely.box(500, 400, 700, 600)).union(shapely.Point(1700, 1400).buffer(200, 400))
    run["survey"].coastline = island
    data = web_map(**run).data
    assert sorted(data["coast"]["rings"]) == [4, 4, 1600]
    assert unpacked(data["coast"]["xy"]).size == 2 * sum(data["coast"]["rings"])
    monkeypatch.setattr(webmap, "MOST_COAST", 200)
    thinner = web_map(**run)
    assert sum(thinner.data["coast"]["rings"]) <= 200 and "drawn with" in thinner.notes[0]


def test_the_meshs_inner_edges_come_first_and_a_huge_mesh_is_left_out(monkeypatch):
    run = made()
    mesh = web_map(**run).data["mesh"]
    edges = {tuple(edge) for edge in unpacked(mesh["edges"], "<u4").reshape(-1, 2)[: mesh["inner"]]}
    assert edges == {(0, 1), (1, 2), (0, 2)} and unpacked(mesh["edges"], "<u4").size == 10
    monkeypatch.setattr(webmap, "MOST_EDGES", 4)
    without = web_map(**run)
    assert not without.has("mesh") and without.notes == ("The mesh is left out of the map: it has 5 edges.",)


def test_a_site_tells_names_first_then_what_was_observed_and_fitted():
    run = made(year=[2013, 2014, 12345], place=["Ridge", None, "x" * 500], X=[100, 900, 1900], ok=[True, False, True])
    run["survey"].points.loc[1, "time"] = np.nan
    sites = web_map(**run).data["sites"]
    assert sites["head"] == [
        "place", "observed counts / time", "fitted mean", "95 % interval", "counts", "time", "year", "ok", "CPO", "PIT",
    ]  # fmt: skip
    assert sites["rows"][0] == ["Ridge", "4", "4.1", "3 to 5", "1200", "300", "2013", "yes", "0.011", "0.25"]
    assert sites["rows"][1][:2] == ["–", "–"] and sites["rows"][2][6] == "12,345"
    assert len(sites["rows"][2][0]) == 80
    np.testing.assert_array_equal(unpacked(sites["observed"]), np.float32([4, np.nan, 8]))


def test_a_fit_to_other_rows_lends_the_sites_nothing(monkeypatch):
    run = made()
    run["fit"].fitted = run["fit"].fitted.iloc[:2]
    assert "fitted mean" not in web_map(**run).data["sites"]["head"]
    monkeypatch.setattr(webmap, "MOST_SITES", 2)
    thinner = web_map(**run)
    assert thinner.data["sites"]["number"] == [1, 3]
    assert thinner.notes == ("Of 3 sites, the map shows one in 2.",)


def test_colours_are_matplotlibs_and_limits_share_the_means(island):
    data = web_map(prediction=island).data
    scale = {band["name"]: data["scales"][band["scale"]] for band in data["bands"]}
    assert scale["mean"] is scale["q0.025"] is scale["q0.975"] and scale["mean"]["high"] > 15
    ramp = np.frombuffer(bytes.fromhex(scale["mean"]["ramp"]), np.uint8).reshape(256, 3)
    np.testing.assert_array_equal(ramp, matplotlib.colormaps["viridis"](np.arange(256), bytes=True)[:, :3])
    chance = scale["exceed_6"]
    assert (chance["low"], chance["high"]) == (0.0, 1.0)
    red, green, blue = (int(chance["ramp"][6 * 128 + k : 6 * 128 + k + 2], 16) for k in (0, 2, 4))
    assert min(red, green, blue) > 235  # where the data do not decide, no colour


def test_a_map_needs_something_to_lay_it_around():
    assert web_map() is None
    run = made()
    bare = web_map(survey=run["survey"])
    assert not bare.bands and bare.has("coast") and bare.data["sites"]["observed"] is None
    assert web_map(mesh=run["mesh"]).data["view"][2] > 1000


def test_numbers_that_are_none_pass_through(island):
    frame = island.to_frame()
    frame.loc[5, "sd"] = np.nan
    frame["mode"] = np.nan
    grid = island.grid
    data = json.loads(web_map(prediction=predicted(grid, frame)).to_json())
    bands = {band["name"]: band for band in data["bands"]}
    assert np.isnan(unpacked(bands["sd"]["values"])).sum() == 1 and bands["mode"]["greatest"] is None
    assert bands["mode"]["short"] == "mode"


def test_an_object_that_cannot_be_compared_is_shown_as_its_text():
    run = made(stamp=pd.to_datetime(["2020-01-02", None, "2021-05-06"]), empty=pd.array([1, pd.NA, 3], dtype="Int64"))
    sites = web_map(**run).data["sites"]
    rows = [dict(zip(sites["head"], row)) for row in sites["rows"]]
    assert [row["stamp"] for row in rows] == ["2020-01-02 00:00:00", "–", "2021-05-06 00:00:00"]
    assert [row["empty"] for row in rows] == ["1", "–", "3"]
