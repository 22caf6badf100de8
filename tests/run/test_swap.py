"""Whatever kills a run, a whole folder stands, or is put back by the next run or by ``geospde info``."""

import importlib
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from small_run import write_survey

from geospde.cli.commands import main
from geospde.errors import GeospdeWarning, InputError
from geospde.run import folders
from geospde.run.folders import whole_folder
from geospde.run.swap import WRITTEN, partial_folder, recover, remove, swap

GONE = 2**22 - 1  # no process has this number where the tests run
RECORD = '{"configuration": {}}'


def folder(path, text=RECORD):
    path.mkdir()
    (path / "run.json").write_text(text)
    return path


@pytest.fixture(autouse=True)
def nobody_has_that_number():
    try:
        os.kill(GONE, 0)
    except ProcessLookupError:
        return
    except OSError:
        pass
    pytest.skip("a process has the number")


def test_a_folder_that_was_moved_aside_is_put_back(tmp_path, capsys):
    folder(tmp_path / f".out.{GONE}.abc.old")
    assert main(["info", str(tmp_path / "out")]) == 0
    assert "put back" in capsys.readouterr().err
    assert (tmp_path / "out" / "run.json").read_text() == RECORD and len(list(tmp_path.iterdir())) == 1


def test_the_next_run_clears_away_what_a_killed_one_left(tmp_path):
    folder(tmp_path / "out")
    for name in (f".out.{GONE}.abc.old", f".out.{GONE}.abc.partial"):
        folder(tmp_path / name, "old")
    with whole_folder(tmp_path / "out", overwrite=True) as new:
        (new / "run.json").write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "run.json").read_text() == "new"


def test_folders_of_others_and_of_runs_that_go_on_stay(tmp_path):
    stay = [f".output.{GONE}.abc.partial", ".out.partial", f"out.{GONE}.abc.old"]
    for name in stay:
        folder(tmp_path / name)
    with partial_folder(tmp_path / "out") as filled:
        assert recover(tmp_path / "out") == []
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*stay, filled.name])


@pytest.mark.skipif(sys.platform == "win32", reason="no locks of folders")
def test_a_number_that_another_process_has_by_now_keeps_nothing(tmp_path):
    # in a container each run has the number of the one that was killed before it
    folder(tmp_path / f".out.{os.getpid()}.abc.partial")
    assert len(recover(tmp_path / "out")) == 1 and not list(tmp_path.iterdir())


def test_without_locks_numbers_are_believed_on_their_own_machine_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["geospde.run.swap"], "fcntl", None)
    for name in (f".out.{GONE}@elsewhere.abc.partial", f".out.{os.getpid()}.abc.partial", f".out.{GONE}.abc.partial"):
        folder(tmp_path / name)
    with partial_folder(tmp_path / "out"):
        assert [sentence.split()[0] for sentence in recover(tmp_path / "out")] == [f".out.{GONE}.abc.partial"]


def test_a_signal_between_the_renames_waits_for_them(tmp_path, monkeypatch, capsys):
    target, real = folder(tmp_path / "out"), folders.swap

    def interrupted(partial, target):
        signal.raise_signal(signal.SIGINT)
        return real(partial, target)

    monkeypatch.setattr(folders, "swap", interrupted)
    before, handler = len(WRITTEN), signal.signal(signal.SIGINT, signal.default_int_handler)  # a job's shell ignores it
    try:
        with pytest.raises(KeyboardInterrupt), whole_folder(target, overwrite=True) as new:
            (new / "run.json").write_text("new")
    finally:
        signal.signal(signal.SIGINT, handler)
    assert WRITTEN[before:] == [str(target)] and (target / "run.json").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("exchange", [True, False])
def test_swaps_at_one_moment_leave_one_whole_folder(tmp_path, monkeypatch, exchange):
    if not exchange:
        monkeypatch.setattr(sys.modules["geospde.run.swap"], "_exchanged", lambda *paths: False)
    target = folder(tmp_path / "out", "first")

    def replace(k):
        with partial_folder(target) as new:
            (new / "run.json").write_text(str(k))
            remove(swap(new, target))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(replace, range(40)))
    assert (target / "run.json").read_text().isdigit() and [p.name for p in tmp_path.iterdir()] == ["out"]


def test_what_cannot_be_removed_of_an_earlier_run_is_told(tmp_path, monkeypatch):
    folder(tmp_path / "out")
    monkeypatch.setattr(sys.modules["geospde.run.swap"].shutil, "rmtree", lambda *_, **more: None)
    with pytest.warns(GeospdeWarning, match=r"could not be removed wholly.*\.partial; let its owner"):
        with whole_folder(tmp_path / "out", overwrite=True) as new:
            (new / "run.json").write_text("new")
    assert (tmp_path / "out" / "run.json").read_text() == "new"


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no owners")
def test_a_folder_that_only_its_owner_may_rename_is_refused_before_any_work(tmp_path, monkeypatch):
    folder(tmp_path / "out")
    tmp_path.chmod(0o1777)
    monkeypatch.setattr(folders.os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(InputError, match="belongs to another user"):
        with whole_folder(tmp_path / "out", overwrite=True):
            pytest.fail("work was done")


def test_an_interruption_tells_of_what_was_written_before_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_survey(tmp_path)

    def stopped(*arguments, **named):
        with whole_folder("out") as new:
            (new / "run.json").write_text("new")
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib.import_module("geospde.run.check"), "check", stopped)
    assert main(["check", "bay.toml"]) == 130
    assert capsys.readouterr().err == "geospde: interrupted; out was written before\n"


def test_a_mount_point_is_refused_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr(folders.os.path, "ismount", lambda path: True)
    with pytest.raises(InputError, match="mount point"):
        with whole_folder(tmp_path / "out"):
            pytest.fail("work was done")


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no such signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGQUIT"])
def test_a_signal_that_ends_a_run_leaves_nothing_and_says_so(tmp_path, name):
    script = (
        "import time, pathlib, signal\n"
        f"signal.signal(signal.{name}, signal.SIG_DFL)\n"  # shells ignore some in what they start in the background
        "from geospde.cli.options import listening\n"
        "from geospde.run.folders import whole_folder\n"
        "with listening(True, False), whole_folder('out') as new:\n"
        "    pathlib.Path('ready').touch(); time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    )
    while not (tmp_path / "ready").exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(getattr(signal, name))
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 128 + getattr(signal, name) and f"ended by {name}" in said
    assert [path.name for path in tmp_path.iterdir()] == ["ready"]


def test_ctrl_c_before_a_command_listens_is_told(monkeypatch, capsys):
    def stopped():
        raise KeyboardInterrupt

    monkeypatch.setattr(importlib.import_module("geospde.export.provenance"), "versions", stopped)
    assert main(["info"]) == 130
    assert capsys.readouterr().err == "geospde: interrupted; nothing was written\n"
