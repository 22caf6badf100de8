import errno
import os
import re
from functools import partial

import pytest

import geospde as gs
from geospde.run.check import check, explore_run
from geospde.run.folders import amended_folder, refuse_folder, whole_folder
from geospde.run.pipeline import run


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def fill(folder, content="new"):
    (folder / "run.json").write_text(content)


def test_a_folder_appears_with_its_parents_and_the_users_rights(tmp_path):
    old = os.umask(0o027)
    try:
        with whole_folder(tmp_path / "a" / "b" / "run") as folder:
            fill(folder)
            assert names(tmp_path / "a" / "b") == [folder.name]  # not there under its own name yet
    finally:
        os.umask(old)
    assert names(tmp_path / "a" / "b") == ["run"]
    assert (tmp_path / "a" / "b" / "run").stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, gs.NumericalError, RuntimeError])
def test_a_failure_leaves_nothing_not_even_the_parents(tmp_path, error):
    with pytest.raises(error), whole_folder(tmp_path / "a" / "run") as folder:
        fill(folder)
        raise error("stopped")
    assert names(tmp_path) == []


def test_an_earlier_run_is_kept_unless_asked_and_until_the_new_one_is_whole(tmp_path):
    target = tmp_path / "run"
    target.mkdir()
    fill(target, "old")
    with pytest.raises(gs.InputError, match="--overwrite"), whole_folder(target):
        raise AssertionError
    with pytest.raises(RuntimeError), whole_folder(target, overwrite=True) as folder:
        fill(folder)
        assert (target / "run.json").read_text() == "old"
        raise RuntimeError
    assert (target / "run.json").read_text() == "old"
    with whole_folder(target, overwrite=True) as folder:
        fill(folder)
    assert (target / "run.json").read_text() == "new"
    assert names(tmp_path) == ["run"]


def test_a_folder_of_other_work_is_never_replaced(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(gs.InputError, match="not the folder of a run"), whole_folder(tmp_path, overwrite=True):
        raise AssertionError
    assert names(tmp_path) == ["thesis.txt"]
    with pytest.raises(gs.InputError, match="is a file"), whole_folder(tmp_path / "thesis.txt"):
        raise AssertionError


@pytest.mark.parametrize("name", ["notes.txt", ".git/config", "figures/mine.png", "grid2.csv", "figures/mean.png.d/a"])
def test_a_folder_with_somebodys_file_in_it_is_never_replaced(tmp_path, name):
    """Notes, and a repository, were removed with the earlier run."""
    old = tmp_path / "run"
    mine = old / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    (old / "run.json").write_text("old")
    patterns = ("grid.csv", "figures/mean.*")
    if name == "figures/mean.png.d/a":  # patterns are of files, wherever they lie
        patterns = ("grid.csv", "figures/mean.png")
    with pytest.raises(gs.InputError, match="which no run writes"):
        with whole_folder(old, overwrite=True, writes=patterns):
            raise AssertionError
    assert mine.read_text() == "mine" and names(tmp_path) == ["run"]


def test_a_link_is_somebodys_and_what_programs_leave_beside_a_file_is_not(tmp_path):
    old = tmp_path / "run"
    old.mkdir()
    for name in ("run.json", "prediction.tif", "prediction.tif.aux.xml", "layers.gpkg-wal", ".DS_Store"):
        (old / name).write_text("old")
    patterns = ("prediction.tif", "layers.gpkg")
    (old / "home").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(gs.InputError, match="'home', which no run writes"):
        with whole_folder(old, overwrite=True, writes=patterns):
            raise AssertionError
    (old / "home").unlink()
    with whole_folder(old, overwrite=True, writes=patterns) as folder:
        fill(folder)
    assert names(old) == ["run.json"]


def test_a_folder_that_holds_what_a_run_reads_is_never_replaced(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    for name in ("run.json", "explore.json", "sites.csv", "weights.tif"):
        (tmp_path / "out" / name).write_text("{}")
    keys = {"model": {"formula": "y ~ 1"}, "output": {"dir": "out"}}
    own = {"survey": {"points": "out/sites.csv"}, **keys}
    nested = {
        "survey": {"points": "sites.csv"},
        "regions": {"areas": "a.gpkg", "weights": {"raster": "out/weights.tif"}},
        **keys,
    }
    (tmp_path / "link").symlink_to("out")
    linked = {"survey": {"points": "link/sites.csv"}, **keys}
    for command in (run, explore_run):
        for sections, lost in ((own, "sites.csv"), (nested, "weights.tif"), (linked, "sites.csv")):
            with pytest.raises(gs.InputError, match=f"out holds '{lost}', which is read.*: move that file"):
                command(sections, out="out", overwrite=True)
    assert len(list((tmp_path / "out").iterdir())) == 4


def test_a_file_that_comes_while_a_run_works_is_not_lost(tmp_path):
    """They were looked for at the beginning alone, and went with the earlier run."""
    old = tmp_path / "run"
    old.mkdir()
    fill(old, "old")
    with pytest.raises(gs.InputError, match="'notes.txt', which no run writes"):
        with whole_folder(old, overwrite=True, writes=("grid.csv",)) as folder:
            fill(folder)
            (old / "notes.txt").write_text("mine")
    assert names(tmp_path) == ["run"] and (old / "run.json").read_text() == "old"
    with amended_folder(old, ["grid.csv"]) as folder:
        (old / "figures").mkdir()
        (old / "figures" / "later.txt").write_text("mine")
    assert (old / "figures" / "later.txt").read_text() == "mine" and (old / "notes.txt").read_text() == "mine"


OUTPUTS = (
    "..", "/dev/null", "/dev/null/a", "file", "file/a", "foreign", "mixed", "survey", "loop", "loop/a", "a" * 300,
    "a" * 240, f"new/{'a' * 300}/b", " ", "/proc/a", "/".join(["b" * 200] * 25),
)  # fmt: skip


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_check_refuses_every_output_that_a_run_refuses(name, tmp_path, monkeypatch):
    if name == "/proc/a" and not os.path.isdir("/proc/self"):
        pytest.skip("a system without /proc")
    monkeypatch.chdir(tmp_path)
    for folder in ("foreign", "mixed", "survey"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "sites.csv").write_text("x,y,z\n1,1,1\n")
    (tmp_path / "mixed" / "run.json").write_text("{}")
    (tmp_path / "survey" / "run.json").write_text("{}")
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    points = "survey/sites.csv" if name == "survey" else "foreign/sites.csv"
    source = {"survey": {"points": points}, "model": {"formula": "z ~ 1"}, "output": {"dir": name}}
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    for command in (check, partial(run, overwrite=True)):
        with pytest.raises(gs.InputError) as caught:
            command(source)
        assert re.search("choose another folder|move|name that shows", str(caught.value)), str(caught.value)
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="a system without users")
def test_a_check_sees_a_folder_that_may_not_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write everywhere
    with pytest.raises(gs.InputError, match="cannot write .*: Permission denied; choose another folder"):
        refuse_folder(tmp_path / "new" / "run")


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "run").mkdir()
    with whole_folder(tmp_path / "run") as folder:
        fill(folder)
    assert names(tmp_path / "run") == ["run.json"]


def test_a_full_disk_is_a_sentence_and_leaves_nothing(tmp_path):
    with pytest.raises(gs.InputError, match="the disk of .* is full"), whole_folder(tmp_path / "run"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert names(tmp_path) == []


def test_a_name_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    for target in (tmp_path / "file" / "run", tmp_path / ("x" * 300)):
        with pytest.raises(gs.InputError, match="cannot write"), whole_folder(target):
            raise AssertionError
    assert names(tmp_path) == ["file"]
    if os.path.isdir("/proc/self"):
        with pytest.raises(gs.InputError, match="cannot write /proc/run"), whole_folder("/proc/run"):
            raise AssertionError


@pytest.mark.parametrize("name", ["a\nb", "  ", "loop"])
def test_a_folder_that_has_no_plain_name_is_a_sentence(tmp_path, name):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(gs.InputError, match="cannot be called|a link to itself"), whole_folder(tmp_path / name):
        pass


def test_faults_other_than_the_disks_stay_what_they_are(tmp_path):
    with pytest.raises(ConnectionError), whole_folder(tmp_path / "run"):
        raise ConnectionError


def test_a_full_disk_is_recognised_behind_the_sentence_of_the_step_that_met_it(tmp_path):
    with pytest.raises(gs.InputError, match="the disk of .* is full"), whole_folder(tmp_path / "run"):
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise gs.InputError("cannot write the figures") from error


def test_a_full_disk_is_recognised_behind_a_librarys_own_error(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("usage", (), {"free": 4096}))
    with pytest.raises(gs.InputError, match="the disk of .* is full"), whole_folder(tmp_path / "run"):
        raise RuntimeError("sqlite3_exec failed")
    with pytest.raises(gs.NumericalError), whole_folder(tmp_path / "run"):
        raise gs.NumericalError("not positive definite")
