"""`geospde compare`: runs side by side, and where their maps differ."""

import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest
import rasterio
from small_run import quietly_in, write_survey

import geospde as gs
from geospde.cli.commands import main
from geospde.prediction.difference import difference, same_cells
from geospde.run import analysis
from geospde.run.compare import compare_runs

pytestmark = [pytest.mark.filterwarnings("ignore::geospde.GeospdeWarning"), pytest.mark.usefixtures("undrawn")]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Return a folder with run files ``bay`` and ``wide``, and their runs in ``out`` and ``wide``."""
    folder = tmp_path_factory.mktemp("bay")
    text = write_survey(folder).read_text().partition("[output]")[0]
    (folder / "bay.toml").write_text(f'{text}[output]\ndir = "out"\nlabel = "fish"\n')
    wider = text.replace("[150, 300]", "[250, 400]").replace('"poisson"', '"nbinomial"')
    (folder / "wide.toml").write_text(f'{wider}[output]\ndir = "wide"\n')
    with quietly_in(folder):
        gs.run("bay.toml")
        gs.run("wide.toml")
    return folder


def said(capsys):
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("geospde")]
    return line


@pytest.mark.slow
@pytest.mark.parametrize("sources", [("out", "wide"), ("bay.toml", "wide.toml")])
def test_runs_are_compared_from_what_they_left(bay, monkeypatch, capsys, sources):
    monkeypatch.setattr(analysis, "fit_model", None)
    before = sorted(bay.rglob("*"))
    assert main(["compare", *sources]) == 0
    out = capsys.readouterr().out
    assert sorted(bay.rglob("*")) == before
    assert "caught ~ 1 + spde(mesh), poisson, eb" in out and "caught ~ 1 + spde(mesh), nbinomial, eb" in out
    assert "elpd_loo differs by" in out and "size" in out
    assert max(len(line) for line in out.splitlines() if line.startswith(" ")) <= 80
    assert main(["compare", *sources, "--json"]) == 0
    shown = capsys.readouterr()
    told = json.loads(shown.out)
    names = [name.removesuffix(".toml") for name in sources]
    assert shown.err == "" and set(told["saved_fits"]) == set(told["criteria"]) == set(names)
    assert told["saved_fits"] == dict(zip(names, ("out", "wide")))
    fits = {name: gs.load_fit(folder) for name, folder in zip(names, ("out", "wide"))}
    for name, row in gs.compare(fits).table.iterrows():
        assert told["criteria"][name] == pytest.approx(row.to_dict())


@pytest.mark.slow
def test_difference_maps_are_what_the_second_run_is_above_the_first(bay, rendered_here, capsys):
    assert main(["compare", "out", "wide", "--out", "versus"]) == 0
    assert "tables, pictures and difference maps: versus" in capsys.readouterr().out
    folder = bay / "versus"
    assert {p.name for p in folder.iterdir()} == {
        "comparison.json", "comparison.png", "criteria.csv", "hyper.csv", "fixed.csv", "run.log",
        "wide-less-out.tif", "wide-less-out-mean.png", "wide-less-out-sd.png",
    }  # fmt: skip
    a, b = (pd.read_csv(f"{name}/grid.csv") for name in ("out", "wide"))
    with rasterio.open(folder / "wide-less-out.tif") as layers, rasterio.open("out/prediction.tif") as base:
        assert layers.descriptions == ("mean_difference", "sd_difference")
        assert layers.transform == base.transform and layers.crs == base.crs
        rows, cols = rasterio.transform.rowcol(layers.transform, a["x"], a["y"])
        np.testing.assert_allclose(layers.read(1)[rows, cols], b["mean"] - a["mean"], rtol=1e-5, atol=1e-6)  # float32
        np.testing.assert_allclose(layers.read(2)[rows, cols], b["sd"] - a["sd"], rtol=1e-5, atol=1e-6)
    criteria = pd.read_csv(folder / "criteria.csv", index_col="model")
    assert criteria["elpd_difference"].max() == 0
    told = json.loads((folder / "comparison.json").read_text())
    assert told["map_differences"]["wide"]["mean"]["max"] == pytest.approx((b["mean"] - a["mean"]).max())
    assert main(["compare", "out", "wide", "--out", "versus"]) == 2
    assert "versus holds an earlier comparison" in said(capsys)
    assert main(["compare", "out", "wide", "--out", "out", "--overwrite"]) == 2
    assert "so it is not the folder of a comparison" in said(capsys)


@pytest.mark.slow
def test_maps_on_other_grids_are_told_and_the_rest_is_compared(bay, edit, capsys):
    edit(bay / "wide.toml", "cell = 100", "cell = 50")
    assert main(["compare", "bay.toml", "wide.toml", "--out", "versus"]) == 0
    assert "There is no map of wide less bay: the predictions are on different grids" in capsys.readouterr().out
    assert not list((bay / "versus").glob("*less*"))
    (bay / "out" / "grid.csv").unlink()
    assert main(["compare", "out", "wide", "--out", "again"]) == 0
    assert "There is no difference map: out holds no grid.csv" in capsys.readouterr().out


@pytest.mark.slow
def test_a_run_that_left_nothing_is_made(bay, edit):
    edit(bay / "wide.toml", '"nbinomial"', '"poisson"')  # its folder is of another model now
    shutil.rmtree(bay / "out")
    compared = compare_runs(["bay.toml", "wide.toml"], out="versus")
    assert [made.saved for made in compared.runs.values()] == [None, None]
    assert list(compared.maps) == ["wide"] and not (bay / "out").exists()


def test_runs_of_one_name_are_told_apart(bay):
    (bay / "other").mkdir()
    shutil.copytree(bay / "wide", bay / "other" / "out")
    compared = compare_runs(["out", "other/out"])
    assert list(compared.runs) == ["out", "other/out"]
    assert set(compared.comparison.table.index) == {"out", "other/out"}


@pytest.mark.parametrize(
    ("sources", "sentence"),
    [
        (["out"], "name two run files or runs' folders, or more"),
        (["out", "./out/"], "./out/ is named twice" if os.sep != "/" else "out is named twice"),
        (["out", "none.toml"], "there is no run file 'none.toml'"),
        (["out", "empty"], "empty is not the folder of a run: it holds no run.json"),
        (["out", "sites.csv"], "geospde init sites.csv writes a run file"),
    ],
)
def test_what_cannot_be_compared_is_a_sentence_and_nothing_is_written(bay, capsys, sources, sentence):
    (bay / "empty").mkdir()
    before = sorted(bay.rglob("*"))
    assert main(["compare", *sources, "--out", "versus"]) == 2
    assert sentence in said(capsys)
    assert sorted(bay.rglob("*")) == before


def test_runs_of_other_data_are_refused(bay, capsys):
    shutil.copy("sites.csv", "more.csv")
    with open("more.csv", "a") as file:
        file.write("500,500,3\n")
    (bay / "more.toml").write_text((bay / "bay.toml").read_text().replace("sites.csv", "more.csv"))
    assert main(["compare", "bay.toml", "more.toml", "--out", "versus"]) == 2
    assert "'bay' is of 40 observations and 'more' of 41" in said(capsys)
    assert not (bay / "versus").exists()


def test_differences_are_of_one_quantity_in_the_same_cells():
    from dataclasses import replace

    from sample_run import made, predicted

    prediction = made()["prediction"]
    frame = prediction.to_frame()
    above = predicted(prediction.grid, frame.assign(mean=frame["mean"] + 1.5))
    found = difference(above, prediction)
    assert (found.to_frame()["mean"] == 1.5).all() and (found.frame["sd"] == 0).all()
    assert list(found.to_frame()) == ["x", "y", "mean", "sd"] and found.label == "counts / time"
    with pytest.raises(gs.InputError, match="one prediction is of counts / time and the other of rate"):
        difference(prediction, predicted(prediction.grid, frame, "rate"))
    table = replace(predicted(prediction.grid, frame), grid=None)
    with pytest.raises(gs.InputError, match="only predictions on a Grid"):
        difference(prediction, table)


def test_cells_are_the_same_to_what_a_files_digits_lose():
    from dataclasses import replace

    grid = gs.Grid.from_bounds((1e6, 5e6, 1e6 + 400, 5e6 + 300), cell=100, crs="EPSG:32632")
    assert same_cells(grid, replace(grid, y0=grid.y0 + 1e-9))
    assert not same_cells(grid, replace(grid, x0=grid.x0 + 1))
    assert not same_cells(grid, replace(grid, dx=101.0))
    assert not same_cells(grid, replace(grid, mask=np.eye(3, 4, dtype=bool)))
    assert not same_cells(grid, gs.Grid.from_bounds((1e6, 5e6, 1e6 + 400, 5e6 + 300), cell=100, crs="EPSG:32633"))
