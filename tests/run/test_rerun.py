"""A run made again from its record is the same, and what differs is named; numbers in its files read back exactly."""

import json
import shutil

import pandas as pd
import pytest
from small_run import quietly_in, write_survey

import geospde as gs
from geospde.cli.commands import main
from geospde.run.repeating.files import compare_files
from geospde.run.repeating.rerun import rerun


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A folder with a survey and the run of it."""
    folder = tmp_path_factory.mktemp("rerun")
    write_survey(folder)
    with quietly_in(folder):
        result = gs.run("bay.toml")
    return folder, result


@pytest.mark.slow
def test_a_run_made_again_is_the_same_from_any_folder(done, tmp_path):
    folder = shutil.copytree(done[0], tmp_path / "called otherwise")  # the survey has its folder's name
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with quietly_in(tmp_path):
        found = rerun(folder / "out")
    assert found.is_same, {name: state for name, state in found.files.items() if state != "same"}
    assert found.files["prediction.tif"] == found.files["fitted.csv"] == found.files["grid.csv"] == "same"
    assert found.files["report.html"] == found.files["mesh.gpkg"] == found.files["fit.json"] == "same content"
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_what_differs_is_named(done, tmp_path):
    folder, _ = done
    other = shutil.copytree(folder / "out", tmp_path / "out")
    (other / "hyper.csv").unlink()
    (other / "more.csv").write_text("1")
    for name, old, new in (
        ("fitted.csv", "0.", "0.1"),
        ("criteria.json", "waic", "aic"),
        ("report.html", "mean", "man"),
    ):
        (other / name).write_text((other / name).read_text().replace(old, new, 1))
    (other / "fit.npz").write_bytes(b"no archive")
    found = {name: state for name, state in compare_files(folder / "out", other).items() if state != "same"}
    assert found.pop("run.log", "not compared") == "not compared"
    differing = dict.fromkeys(("fitted.csv", "criteria.json", "report.html", "fit.npz"), "differs")
    assert found == {"hyper.csv": "missing", "more.csv": "new", **differing}


def test_inputs_that_changed_or_went_are_refused_before_any_work(done, tmp_path, monkeypatch, capsys):
    folder, _ = done
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    assert main(["rerun", "out", "--out", "out"]) == 2
    (tmp_path / "sites.csv").write_text("x,y,caught\n")
    assert main(["rerun", "out"]) == 2
    (tmp_path / "sites.csv").unlink()
    assert main(["rerun", "out"]) == 2
    (tmp_path / "bay.toml").unlink()
    assert main(["rerun", "out"]) == 2
    assert main(["rerun", "nothing"]) == 2
    said = capsys.readouterr().err.splitlines()
    words = ["is to be repeated", "has changed since", "is not there", "run file bay.toml", "no folder 'nothing'"]
    assert all(word in line for word, line in zip(words, said, strict=True)), said


def test_numbers_in_tables_and_json_read_back_exactly(done):
    folder, result = done
    for name in ("fixed", "hyper", "fitted"):
        table = pd.read_csv(folder / "out" / f"{name}.csv", float_precision="round_trip")
        frame = getattr(result.fit, name)
        numbers = frame.select_dtypes("number")
        assert (table[numbers.columns].to_numpy() == numbers.to_numpy()).all()
    read = json.loads((folder / "out" / "criteria.json").read_text())
    assert {key: read[key] for key in result.fit.criteria} == dict(result.fit.criteria)
