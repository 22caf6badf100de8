"""A run whose map is predicted window by window, and drawn from an overview of it."""

import json

import numpy as np
import pytest
import rasterio
from small_run import quietly_in, write_survey

import geospde as gs
from geospde.cli.commands import main
from geospde.export import windowed
from geospde.prediction import windows
from geospde.prediction.stored import read_prediction
from geospde.run import analysis

pytestmark = [pytest.mark.filterwarnings("ignore::geospde.GeospdeWarning"), pytest.mark.usefixtures("unrendered")]


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bay")
    write_survey(folder)
    with quietly_in(folder):
        gs.run("bay.toml", out="out")
    return folder


@pytest.mark.slow
def test_a_large_map_goes_on_where_it_was_stopped(fitted, monkeypatch, capsys):
    whole = rasterio.open(fitted / "out/prediction.tif").read()
    monkeypatch.setattr(analysis, "LARGE", 50)
    monkeypatch.setattr(windows, "CELLS", 30)
    monkeypatch.setattr(windowed, "windows", lambda grid, cells=30: windows.windows(grid, cells))
    plain, made = windows.WindowPredictor.__call__, []

    def failing(self, part):
        if len(made) == 2:
            made.append(None)
            raise KeyboardInterrupt
        made.append(part)
        return plain(self, part)

    monkeypatch.setattr(windows.WindowPredictor, "__call__", failing)
    with quietly_in(fitted):
        assert main(["predict", "bay.toml", "-q"]) == 130
        assert "started again, it goes on after 2 of" in capsys.readouterr().err
        assert (fitted / ".out.windows").is_file() and (fitted / "out/grid.csv").is_file()
        assert main(["predict", "bay.toml", "-q"]) == 0
        assert main(["map", "bay.toml", "-q"]) == 0
        assert main(["report", "bay.toml", "-q"]) == 0
    assert not (fitted / ".out.windows").exists() and not (fitted / "out/grid.csv").exists()
    np.testing.assert_allclose(rasterio.open(fitted / "out/prediction.tif").read(), whole, rtol=2e-6)
    stored = read_prediction(fitted / "out", "caught")
    np.testing.assert_allclose(stored.values("mean").mean(), np.nanmean(whole[0]), rtol=1e-5)
    assert (fitted / "out/figures/mean.png").is_file() and (fitted / "out/report.html").is_file()


@pytest.mark.slow
def test_an_estimate_comes_before_the_work(fitted, capsys):
    with quietly_in(fitted):
        assert main(["predict", "bay.toml", "--estimate", "--json"]) == 0
        said = json.loads(capsys.readouterr().out)
        assert main(["predict", "bay.toml", "--estimate", "-q"]) == 0
        assert "cells with 5 bands: about" in capsys.readouterr().out
        assert main(["predict", "bay.toml", "--estimate", "--out", "other", "-q"]) == 0  # fits first
    assert said["cells"] > 50 and said["bytes"] > 0 and not (fitted / "other").exists()
