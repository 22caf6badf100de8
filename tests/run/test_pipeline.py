import json
import re
import warnings

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio

import geospde as gs
from geospde.export.provenance import sha256
from geospde.run import analysis, room
from geospde.run.check import check
from geospde.run.config import read_config
from geospde.run.progress import Progress
from geospde.run.work import figures_in
from geospde.survey.datasets import data_folder
from geospde.text import memory
from geospde.text.memory import limited_memory

RUN_FILE = data_folder() / "rongelap" / "survey.toml"


@pytest.fixture(scope="module")
def rongelap(tmp_path_factory):
    """Return the run of the bundled run file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gs.GeospdeWarning)
        return gs.run(RUN_FILE, out=tmp_path_factory.mktemp("run") / "rongelap")


def test_a_run_writes_the_whole_set_of_files_and_no_other(rongelap):
    names = {str(p.relative_to(rongelap.folder)) for p in rongelap.files}
    figures = {n for n in names if n.startswith("figures/")}
    assert names - figures == {
        "run.json",
        "run.log",
        "mesh.gpkg",
        "fixed.csv",
        "hyper.csv",
        "fitted.csv",
        "criteria.json",
        "checks.csv",
        "grid.csv",
        "prediction.tif",
        "prediction.qml",
        "layers.gpkg",
        "project.qgz",
        "fit.npz",
        "fit.json",
        "report.html",
    }
    assert len(figures) >= 6
    assert all(f.endswith(".png") for f in figures)
    assert [p.name for p in rongelap.folder.parent.iterdir()] == ["rongelap"]


def test_run_json_says_what_was_run_on_what_with_what(rongelap):
    record = json.loads((rongelap.folder / "run.json").read_text())
    assert record["configuration"]["model"]["family"] == "poisson"
    assert record["configuration"]["mesh"]["min_angle"] == 21
    assert {i["path"].rpartition("/")[2]: i["sha256"] for i in record["inputs"]} == {
        name: sha256(RUN_FILE.parent / name) for name in ("survey.toml", "points.csv", "coastline.csv")
    }
    assert record["versions"]["geospde"] == gs.__version__
    assert list(record["seconds"]) == ["survey", "mesh", "fit", "check", "predict", "write", "figures", "report"]
    assert list(record["steps"]) == ["mesh", "fit", "predict", "map", "report"]
    assert len(record["warnings"]) >= 1
    assert "2 of 157 sites" in record["warnings"][0]
    assert any("longest inner edge 278 m" in said and "lower max_edge" in said for said in record["warnings"])


def test_the_grid_table_has_the_cells_and_columns_asked_for(rongelap):
    grid = pd.read_csv(rongelap.folder / "grid.csv")
    assert len(grid) == 1612
    assert list(grid.columns) == ["x", "y", "mean", "sd", "q0.025", "q0.5", "q0.975", "exceed_8"]
    assert (grid["q0.025"] < grid["q0.5"]).all()
    assert (grid["q0.5"] < grid["q0.975"]).all()
    assert grid["exceed_8"].between(0, 1).all()


def test_the_raster_is_the_grid_table(rongelap):
    grid = pd.read_csv(rongelap.folder / "grid.csv")
    with rasterio.open(rongelap.folder / "prediction.tif") as layers:
        assert layers.descriptions == tuple(grid.columns[2:])
        assert layers.shape == (75, 150)
        assert (layers.count, layers.dtypes[0]) == (6, "float32")
        rows, cols = rasterio.transform.rowcol(layers.transform, grid["x"], grid["y"])
        values = layers.read(masked=True)
        assert (~values.mask[0]).sum() == len(grid)
        smallest = np.finfo(np.float32).tiny  # a probability of 1e-47 is zero in 32 bits
        np.testing.assert_allclose(values[:, rows, cols].T, grid.iloc[:, 2:], rtol=1e-6, atol=smallest)
        assert "local (m)" in layers.crs.to_wkt()
        assert layers.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"


def test_the_sites_layer_is_the_table_of_the_fitted(rongelap):
    sites = gpd.read_file(rongelap.folder / "layers.gpkg", layer="sites")
    fitted = pd.read_csv(rongelap.folder / "fitted.csv", index_col=0)
    columns = ["mean", "sd", "q0.025", "q0.5", "q0.975"]
    np.testing.assert_allclose(sites[columns], fitted[columns], rtol=1e-12)
    np.testing.assert_allclose(sites["observed"], sites["counts"] / sites["time"])
    np.testing.assert_array_equal(sites[["cpo", "pit"]], rongelap.fit.pointwise[["cpo", "pit"]])
    coast = gpd.read_file(rongelap.folder / "layers.gpkg", layer="coastline")
    assert coast.area.sum() == pytest.approx(2120283.32, abs=0.01)


def test_the_tables_are_those_of_the_fit(rongelap):
    fixed = pd.read_csv(rongelap.folder / "fixed.csv", index_col=0)
    pd.testing.assert_frame_equal(fixed, rongelap.fit.fixed, check_names=False)
    assert len(pd.read_csv(rongelap.folder / "fitted.csv")) == 157
    criteria = json.loads((rongelap.folder / "criteria.json").read_text())
    assert criteria["log_marginal_likelihood"] == rongelap.fit.log_marginal_likelihood
    assert {"dic", "waic"} <= set(criteria)


def test_the_intercept_is_the_chapters(rongelap):
    # the reference posterior is on another mesh (691 vertices): 1.828 with sd 0.062
    assert rongelap.fit.fixed.loc["Intercept", "mean"] == pytest.approx(1.828, abs=0.03)
    assert rongelap.fit.fixed.loc["Intercept", "sd"] == pytest.approx(0.062, rel=0.2)


def test_the_report_stands_alone(rongelap):
    page = (rongelap.folder / "report.html").read_text()
    assert "Rongelap" in page
    assert 'src="figures' not in page
    assert "://" not in page.partition("<style")[0]
    assert (rongelap.folder / "report.html").stat().st_size < 5_000_000
    for name in ("run.json", "prediction.tif", "figures/maps.png"):
        assert f'href="{name}"' in page


def test_the_saved_fit_is_the_fit(rongelap):
    again = gs.load_fit(rongelap.folder)
    pd.testing.assert_frame_equal(again.hyper, rongelap.fit.hyper)


@pytest.mark.usefixtures("undrawn_here")
def test_a_failure_late_in_a_run_leaves_nothing(island, monkeypatch):
    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(analysis, "fit_model", fail)
    with pytest.raises(gs.InputError, match="disk of .* is full"), pytest.warns(gs.GeospdeWarning):
        gs.run(island / "survey.toml", out=island / "out")
    assert sorted(p.name for p in island.iterdir()) == ["coastline.csv", "points.csv", "survey.toml"]


@pytest.mark.parametrize(("resource", "what"), [("disk_usage", "on the disk"), ("memory_of_machine", "of memory")])
def test_a_raster_too_large_is_refused_before_the_fit(island, monkeypatch, resource, what):
    if resource == "memory_of_machine":
        monkeypatch.setattr(memory, "memory_of_machine", lambda: 500_000)
    else:
        small = type("usage", (), {"free": 100_000})
        monkeypatch.setattr(room.shutil, "disk_usage", lambda _: small)
    config = read_config(island / "survey.toml")
    with pytest.raises(gs.InputError, match=rf"75 x 150 cells with 6 bands .* {what}"):
        with pytest.warns(gs.GeospdeWarning):
            check(config)


def test_a_fit_too_large_is_refused_by_check_before_it_begins(island):
    config = read_config(island / "survey.toml").replacing("prediction", {"shape": [10, 20]})
    with limited_memory(300_000), pytest.warns(gs.GeospdeWarning):
        with pytest.raises(gs.InputError, match=r"fit of .* latent variables.* needs about .*: take a coarser mesh"):
            check(config)


def test_progress_hears_every_step(island):
    heard = []

    class Listener(Progress):
        def start(self, step):
            heard.append(step)

        def finish(self, step, seconds, summary):
            assert heard[-1] == step
            assert seconds >= 0

    with pytest.warns(gs.GeospdeWarning, match="2 of 157"):
        findings = check(island / "survey.toml", progress=Listener())
    assert heard == ["survey", "mesh", "grid", "model"]
    assert [f.subject for f in findings if f.level in ("warning", "error")] == ["sites at sea"]


@pytest.mark.filterwarnings("ignore::geospde.GeospdeWarning")
@pytest.mark.usefixtures("undrawn_here")
def test_a_survey_without_a_coastline_is_mapped_within_its_hull(tmp_path):
    generator = np.random.default_rng(1)
    table = pd.DataFrame(generator.uniform(0, 1000, (40, 2)), columns=["x", "y"])
    table["caught"] = generator.poisson(5, 40)
    table.to_csv(tmp_path / "fish.csv", index=False)
    config = read_config(
        {
            "survey": {"points": str(tmp_path / "fish.csv"), "crs": "local:m"},
            "mesh": {"max_edge": [150, 300]},
            "model": {"formula": "caught ~ 1 + spde(mesh)", "family": "poisson"},
            "inference": {"method": "eb"},
            "prediction": {"cell": 50, "crop": True},
        }
    )
    result = gs.run(config, out=tmp_path / "out")
    hull = result.survey.points.union_all().convex_hull
    assert result.survey.name == "fish"
    assert result.prediction.grid.n > hull.area / 50**2
    assert (result.prediction.to_frame()["mean"] > 0).all()


def test_a_prediction_that_is_not_finite_is_a_failure_that_names_the_columns(island):
    class Fit:
        def predict(self, grid, **_):
            frame = pd.DataFrame({"mean": [1.0, 2.0], "sd": [np.nan, 1.0]})
            return type("Prediction", (), {"to_frame": lambda _: frame})()

    with pytest.raises(gs.NumericalError, match=r"not finite in 1 of 2 cells \('sd'\)"):
        analysis.predict(read_config(island / "survey.toml"), Fit(), grid=None)


@pytest.mark.usefixtures("undrawn_here")
def test_what_the_fit_is_warned_of_is_told_once_at_the_end_and_kept(island):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", gs.GeospdeWarning)
        made = gs.run(island / "survey.toml", out=island / "out")
    told = [str(w.message) for w in caught if w.category is gs.GeospdeWarning]
    assert told == list(made.warnings)
    assert "2 of 157 sites" in told[0] and told[-1].startswith("mesh: range(spde) is 23")
    table = pd.read_csv(made.folder / "checks.csv")
    assert [f.message for f in made.checks] == table["message"].tolist()
    graver = table[table["level"] == "warning"]
    assert graver["subject"].tolist() == ["sites at sea", "mesh"]
    assert table["subject"].is_unique  # what the fit's own check looked at is not looked at again
    page = (made.folder / "report.html").read_text()
    assert page.count("the mesh&#39;s longest inner edge") == 1


def test_the_log_has_each_step_with_its_time_and_each_warning(rongelap):
    lines = (rongelap.folder / "run.log").read_text().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ ", line) for line in lines)
    said = [line.partition("Z ")[2] for line in lines]
    assert said[0] == f"geospde {gs.__version__}: run {RUN_FILE}" and "numpy" in said[1]
    assert [w for w in said if w.startswith("warning: ")] == [f"warning: {w}" for w in rongelap.warnings]
    steps = [line.partition(":")[0] for line in said[3:] if re.match(r"\w+: \d+\.\d\d s", line)]
    assert steps == list(rongelap.seconds)


@pytest.mark.usefixtures("undrawn_here")
def test_the_log_of_a_fault_is_kept_beside_and_the_error_says_where(island, monkeypatch):
    def fail(*_, **__):
        raise gs.NumericalError("no mode at range 3")

    monkeypatch.setattr(analysis, "fit_model", fail)
    with pytest.raises(gs.NumericalError) as caught, pytest.warns(gs.GeospdeWarning):
        gs.run(island / "survey.toml", out=island / "new" / "out")
    log = island / "new" / "out-failed.log"
    assert caught.value.__notes__ == [f"the log is {log}"]
    assert [p.name for p in log.parent.iterdir()] == [log.name]
    text = log.read_text()
    assert "fit: stopped after" in text and "failed: NumericalError: no mode at range 3" in text
    assert "warning: 2 of 157 sites" in text and "Traceback" not in text
    monkeypatch.setattr(analysis, "fit_model", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError), pytest.warns(gs.GeospdeWarning):
        gs.run(island / "survey.toml", out=island / "new" / "out")
    assert "Traceback" in log.read_text()


def test_figures_stand_in_the_order_of_their_thresholds(tmp_path):
    (tmp_path / "figures").mkdir()
    for name in ("exceed_10", "exceed_8", "exceed_all", "exceed_-2", "sd", "mean"):
        (tmp_path / "figures" / f"{name}.png").touch()
    names = [path.stem for path in figures_in(tmp_path)]
    assert names == ["exceed_all", "mean", "sd", "exceed_-2", "exceed_8", "exceed_10"]
