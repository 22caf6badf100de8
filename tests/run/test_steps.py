"""Single steps of a run: together they make what a run makes, and each refuses what is out of date."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import rasterio
from matplotlib.image import imread
from small_run import VALIDATION, quietly_in, write_survey

import geospde as gs
from geospde.cli.commands import main
from geospde.errors import NumericalError
from geospde.run import analysis
from geospde.run.config import read_config
from geospde.run.folders import amended_folder
from geospde.run.pipeline import commands, run_step
from geospde.run.steps import validate as validate_step

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::geospde.GeospdeWarning")]  # all of one run


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """Return a folder with a survey, its run in ``whole``, and the same by steps in ``out``."""
    folder = tmp_path_factory.mktemp("bay")
    write_survey(folder, VALIDATION)
    with quietly_in(folder):
        gs.run("bay.toml", out="whole")
        for name in commands(read_config("bay.toml")):
            run_step(name, "bay.toml")
    return folder


def said(capsys):
    (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("geospde")]
    return line


def band_values(path):
    with rasterio.open(path) as raster:
        return raster.read()


def numbers_apart(text):
    """A text without its decimal numbers, and those."""
    decimal = r"-?\d+\.\d+(?:e[-+]?\d+)?"
    return re.sub(decimal, "", text), [float(number) for number in re.findall(decimal, text)]


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_steps_make_what_a_run_makes(done):
    whole, steps = content(done / "whole"), content(done / "out")
    assert set(whole) == set(steps)
    for name in whole:
        one, other = done / "whole" / name, done / "out" / name
        if name.endswith(".csv"):
            pd.testing.assert_frame_equal(pd.read_csv(one), pd.read_csv(other), rtol=1e-9)
        elif name.endswith(".tif"):  # of 32 bits
            np.testing.assert_allclose(band_values(one), band_values(other), rtol=2e-7)
        elif name.endswith(".png"):  # a last digit may turn a colour, of a pixel here and there
            assert np.mean(imread(one) != imread(other)) < 1e-3, name
        elif name.endswith(".qml") or name in ("criteria.json", "validation-summary.json"):
            words, numbers = zip(*(numbers_apart(path.read_text("utf-8")) for path in (one, other)))
            assert words[0] == words[1] and numbers[0] == pytest.approx(numbers[1], rel=1e-9), name
    ours, theirs = (json.loads((done / name / "run.json").read_text()) for name in ("whole", "out"))
    assert ours["configuration"] == theirs["configuration"] and ours["warnings"] == theirs["warnings"]
    made_from = [{name: step["made_from"] for name, step in record["steps"].items()} for record in (ours, theirs)]
    assert made_from[0] == made_from[1]
    assert list(made_from[0]) == ["mesh", "fit", "validate", "predict", "map", "report"]
    log = (done / "out" / "run.log").read_text()
    begun = [line.split(": ")[1].split()[0] for line in log.splitlines() if "Z geospde" in line]
    assert begun == commands(read_config(done / "bay.toml"))


def test_the_report_of_the_steps_says_what_the_runs_does(done):
    def words(name):
        page = (done / name / "report.html").read_text()
        assert "Calibration: observed against predicted" in page and "Scores: smaller is better" in page
        page = re.sub(r"<script.*?</script>", "", page, flags=re.S)
        # sizes of files and seconds differ from run to run
        return [line for line in page.splitlines() if not re.search(r'class="size"|>seconds<|>\d+\.\d\d<', line)]

    assert words("whole") == words("out")


@pytest.mark.usefixtures("undrawn_here")
def test_a_step_before_any_other_says_which_comes_first(bay, capsys):
    shutil.rmtree("out")
    for name, first in (("fit", "mesh"), ("predict", "mesh"), ("map", "mesh"), ("report", "mesh")):
        assert main([name, "bay.toml"]) == 2
        assert said(capsys) == f"geospde: out holds no {first} yet: geospde {first} bay.toml comes first"
    assert not (bay / "out").exists()
    assert main(["mesh", "bay.toml"]) == 0
    assert capsys.readouterr().out == "mesh made in out; next: geospde fit bay.toml\n"
    assert {p.name for p in (bay / "out").iterdir()} == {"mesh.gpkg", "figures", "run.json", "run.log"}
    assert main(["predict", "bay.toml"]) == 2
    assert said(capsys) == "geospde: out holds no fit yet: geospde fit bay.toml comes first"


@pytest.mark.parametrize(
    ("old", "new", "step", "sentence"),
    [
        ("[150, 300]", "[200, 300]", "fit", "[mesh] changed since the mesh in out was made: geospde mesh bay.toml"),
        ('"poisson"', '"nbinomial"', "predict", "[model] changed since the fit in out was made: geospde fit bay.toml"),
        ("cell = 100", "cell = 50", "map", "[prediction] changed since the prediction in out was made"),
        ('dir = "out"', 'dir = "out"\nlabel = "fish"', "report", "[output] changed since the maps in out were made"),
        ("k = 3", "k = 4", "report", "[validation] changed since the validation in out was made: geospde fit bay.toml"),
    ],
)
def test_what_changed_since_is_told_and_the_folder_stays(bay, edit, capsys, old, new, step, sentence):
    before = content(bay / "out")
    edit(bay / "bay.toml", old, new)
    assert main([step, "bay.toml"]) == 2
    assert sentence in said(capsys)
    assert content(bay / "out") == before
    assert sorted(p.name for p in bay.iterdir()) == ["bay.toml", "out", "sites.csv", "whole"]


def test_other_data_under_the_same_name_are_noticed(bay, capsys):
    table = pd.read_csv("sites.csv")
    table.loc[0, "caught"] += 1
    table.to_csv("sites.csv", index=False)
    assert main(["predict", "bay.toml"]) == 2
    assert "sites.csv changed since the mesh in out was made" in said(capsys)


@pytest.mark.usefixtures("undrawn_here")
def test_a_fit_of_an_earlier_mesh_is_refused(bay, edit, capsys):
    edit(bay / "bay.toml", "[150, 300]", "[200, 300]")
    assert main(["mesh", "bay.toml"]) == 0
    assert "next: geospde fit bay.toml" in capsys.readouterr().out
    assert main(["predict", "bay.toml"]) == 2
    assert said(capsys) == (
        "geospde: the fit in out was made from an earlier mesh: geospde fit bay.toml makes it again"
    )


def test_maps_are_redrawn_from_the_fit_that_is_there(bay, edit, monkeypatch, capsys):
    monkeypatch.setattr(analysis, "fit_model", None)
    monkeypatch.setattr(analysis, "predict", None)
    (bay / "out" / "figures" / "exceed_9.png").write_bytes(b"of an earlier threshold")
    (bay / "out" / "notes.txt").write_text("mine")
    shutil.copy("out/figures/mean.png", "out/figures/poster.png")
    edit(bay / "bay.toml", 'dir = "out"', 'dir = "out"\nlabel = "fish a haul"')
    mean = (bay / "out" / "figures" / "mean.png").read_bytes()
    assert main(["map", "bay.toml"]) == 0
    assert capsys.readouterr().out == "maps made in out; next: geospde report bay.toml\n"
    assert main(["report", "bay.toml"]) == 0
    assert capsys.readouterr().out == "report made in out\n"
    assert (bay / "out" / "figures" / "mean.png").read_bytes() != mean
    assert not (bay / "out" / "figures" / "exceed_9.png").exists()
    assert (bay / "out" / "notes.txt").read_text() == "mine" and (bay / "out" / "figures" / "poster.png").exists()
    assert "fish a haul" in (bay / "out" / "report.html").read_text()


def test_a_step_that_fails_leaves_the_folder_and_its_log_beside(bay, monkeypatch, capsys):
    def fail(*_, **__):
        raise gs.NumericalError("no mode at range 3")

    before = content(bay / "out")
    monkeypatch.setattr(analysis, "fit_model", fail)
    assert main(["fit", "bay.toml"]) == 3
    assert said(capsys) == f"geospde: no mode at range 3; the log is {bay / 'out-failed.log'}"
    assert content(bay / "out") == before


@pytest.mark.parametrize("text", ["", "[]", '{"configuration": 3}', '{"configuration": {}, "steps": {"mesh": 1}}'])
def test_a_record_that_is_not_ours_is_a_sentence(bay, capsys, text):
    (bay / "out" / "run.json").write_text(text)
    assert main(["fit", "bay.toml"]) == 2
    assert "run.json" in said(capsys)


@pytest.mark.parametrize(
    ("step", "name", "spoilt"),
    [
        ("fit", "mesh.gpkg", None),
        ("fit", "mesh.gpkg", b"not a mesh"),
        ("predict", "fit.npz", None),
        ("map", "grid.csv", None),
        ("map", "grid.csv", b"x,y,mean\n1,2,3\n"),
        ("map", "grid.csv", b"\x00\xff"),
        ("map", "mesh.gpkg", None),
        ("report", "validation-summary.json", b"{}"),
    ],
)
def test_a_file_that_is_gone_or_spoilt_is_a_sentence(bay, capsys, step, name, spoilt):
    path = bay / "out" / name
    path.unlink()
    if spoilt is not None:
        path.write_bytes(spoilt)
    assert main([step, "bay.toml"]) == 2
    assert "please report" not in said(capsys)


def test_a_copy_of_a_folder_shares_no_file_that_is_written_anew(tmp_path):
    old = tmp_path / "run"
    (old / "figures").mkdir(parents=True)
    for name in ("run.json", "table.csv", "figures/a.png", "figures/b.txt"):
        (old / name).write_text("old")
    with pytest.raises(RuntimeError), amended_folder(old, ["table.csv", "figures/*.png"]) as folder:
        assert sorted(str(p.relative_to(folder)) for p in folder.rglob("*.*")) == ["figures/b.txt", "run.json"]
        (folder / "table.csv").write_text("new")
        raise RuntimeError
    assert (old / "table.csv").read_text() == "old"
    with amended_folder(old, ["table.csv"]) as folder:
        (folder / "table.csv").write_text("new")
    assert (old / "table.csv").read_text() == "new" and (old / "figures" / "a.png").read_text() == "old"
    with amended_folder(tmp_path / "begun", ["table.csv"]) as folder:
        (folder / "run.json").write_text("{}")
    assert (tmp_path / "begun" / "run.json").is_file()
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "text").write_text("years of work")
    with pytest.raises(gs.InputError, match="not the folder of a run"), amended_folder(tmp_path / "thesis", []):
        raise AssertionError


@pytest.mark.usefixtures("undrawn_here")
def test_a_validation_that_fails_is_a_warning_and_the_run_goes_on(bay, monkeypatch, capsys):
    def failing(*_, **__):
        raise NumericalError("a fold has no mode")

    monkeypatch.setattr(validate_step, "validate", failing)
    with pytest.warns(gs.GeospdeWarning, match="the model is not cross-validated: a fold has no mode"):
        gs.run("bay.toml", out="other")
    assert not (bay / "other" / "validation.csv").exists()
    assert main(["report", "bay.toml", "--out", "other"]) == 0


def test_a_validation_of_a_likelihood_is_refused_before_the_fit(bay, edit, capsys):
    edit(bay / "bay.toml", '"eb"', '"ml"')
    assert main(["check", "bay.toml"]) == 2
    assert "[validation] needs method 'inla' or 'eb' in [inference], not 'ml'" in said(capsys)


def test_a_step_of_a_run_s_folder_asks_for_the_run_file(bay, capsys):
    assert main(["report", "out"]) == 2
    assert said(capsys) == "geospde: 'out' is the folder of a run: name the run file that made it"
    assert main(["report", "."]) == 2
    assert said(capsys) == "geospde: '.' is a folder: name the run file in it"


@pytest.mark.usefixtures("unrendered_here")
def test_a_layer_asked_for_by_name_goes_through_every_step_and_leaves_with_the_request(bay, edit):
    before = (bay / "bay.toml").read_text()
    edit(bay / "bay.toml", "cell = 100", 'cell = 100\nlayers = ["cv"]')
    assert [main([name, "bay.toml"]) for name in ("predict", "map", "report")] == [0, 0, 0]
    with rasterio.open(bay / "out" / "prediction.tif") as raster:
        assert raster.descriptions[-1] == "cv"
    assert (bay / "out" / "figures" / "cv.png").exists()
    assert "Coefficient of variation" in (bay / "out" / "report.html").read_text()
    (bay / "bay.toml").write_text(before)
    assert [main([name, "bay.toml"]) for name in ("predict", "map")] == [0, 0]
    assert not (bay / "out" / "figures" / "cv.png").exists()
