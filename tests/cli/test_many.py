"""Several run files by one command."""

import csv
import json
import os
from pathlib import Path

import pytest
from small_run import quietly_in, write_survey

from geospde.cli.commands import main
from geospde.cli.many import Outcome, _common, _sentence, folders_of, listed_files, write_summary
from geospde.errors import InputError


@pytest.fixture
def surveys(tmp_path, edit):
    """Two folders with a run file each, and a third file whose response is no column."""
    for name in ("north", "south"):
        (tmp_path / name).mkdir()
        write_survey(tmp_path / name)
    bad = tmp_path / "north" / "bad.toml"
    bad.write_text((tmp_path / "north" / "bay.toml").read_text().replace('"caught ~', '"cought ~'))
    return tmp_path


@pytest.mark.slow
def test_one_failure_does_not_stop_the_others(surveys, capsys):
    with quietly_in(surveys):
        code = main(["run", "north", "--out", "all", "--json"])
    out, said = capsys.readouterr()
    runs = json.loads(out)["runs"]
    assert code == 2 and [run["exit_code"] for run in runs] == [2, 0]
    assert "no column 'cought'" in runs[0]["error"] and "did you mean 'caught'" in said
    assert (surveys / "all" / "bay" / "report.html").exists() and not (surveys / "all" / "bad").exists()
    with (surveys / "all" / "runs.csv").open() as file:
        assert [(row["state"], row["folder"]) for row in csv.DictReader(file)] == [
            ("refused", ""), ("mapped", os.path.join("all", "bay")),
        ]  # fmt: skip
    page = (surveys / "all" / "runs.html").read_text()
    assert 'href="bay/report.html"' in page and 'src="bay/figures/mean.png"' in page and "1 refused" in page


@pytest.mark.slow
def test_where_every_run_is_refused_nothing_is_written(surveys, capsys):
    (surveys / "north" / "bay.toml").write_text("[survey")
    before = sorted(surveys.rglob("*"))
    with quietly_in(surveys):
        assert main(["run", "north", "--out", "all"]) == 2
    assert sorted(surveys.rglob("*")) == before and "runs.html" not in capsys.readouterr().out


def test_files_and_folders_are_taken_in_order_and_once(surveys):
    south = surveys / "south" / "bay.toml"
    names = [path.relative_to(surveys).as_posix() for path in listed_files([south, surveys / "north"])]
    assert names == ["south/bay.toml", "north/bad.toml", "north/bay.toml"]
    with pytest.raises(InputError, match="given twice"):
        listed_files([south, surveys / "south"])
    (surveys / "empty").mkdir()
    with pytest.raises(InputError, match=r"no run file, \*\.toml, in the folder"):
        listed_files([surveys / "empty"])


def test_no_two_runs_write_one_folder(surveys):
    files = [surveys / "north" / "bay.toml", surveys / "south" / "bay.toml"]
    with pytest.raises(InputError, match="would both write the folder 'out': give each another"):
        folders_of(files, None)
    assert folders_of(files, Path("all")) == [Path("all/north-bay"), Path("all/south-bay")]
    broken = surveys / "south" / "broken.toml"
    broken.write_text("[survey")
    assert folders_of([files[0], broken], None) == [Path("out"), None]  # its own run says why


def test_the_page_shows_text_as_text(tmp_path):
    outcome = Outcome(Path("a.toml"), 2, 1.0, error="the column '<script>' is not there")
    page = write_summary([outcome], [None], tmp_path).read_text()
    assert "&lt;script&gt;" in page and "<script>" not in page


def test_the_page_of_folders_on_two_drives_stands_in_the_current_one(tmp_path):
    """Their common folder is the drive itself, where few may write: after all runs that was an error."""
    assert _common([tmp_path / "a", tmp_path / "b"]) == tmp_path
    assert _common([tmp_path, Path(tmp_path.anchor) / "elsewhere"]) == Path(".") == _common([])


def test_a_process_that_says_nothing_is_spoken_for():
    assert _sentence("warning: x\ngeospde: the file is gone\n", 2) == "the file is gone"
    assert "SIGKILL" in _sentence("", -9)
