"""What is printed gets through: to streams that lack characters, closed pipes, full devices, any locale."""

import json
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from small_run import write_survey

from geospde.cli.commands import main
from geospde.cli.console import Lines
from geospde.cli.streams import plain

PACKAGE = str(Path(__file__).parents[2])


def started(*arguments, stdout=subprocess.PIPE, **environment):
    """Return the command as a process of its own, in another environment."""
    settings = {"PYTHONPATH": PACKAGE, **environment}
    return subprocess.Popen(
        [sys.executable, "-m", "geospde", *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={**os.environ, **settings},
    )


@pytest.mark.parametrize(
    ("environment", "encoding"),
    [
        ({"PYTHONIOENCODING": "cp1252"}, "cp1252"),
        ({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, "ascii"),
    ],
    ids=["cp1252", "C"],
)
def test_a_stream_that_lacks_characters_gets_plain_ones(tmp_path, monkeypatch, environment, encoding):
    monkeypatch.chdir(tmp_path)
    write_survey(tmp_path)
    shown, said = started("check", "bay.toml", **environment).communicate(timeout=300)
    assert "-> " in shown.decode(encoding) and "bay.toml can be run" in shown.decode(encoding)
    assert said.decode(encoding).startswith("survey ")


def test_every_character_has_a_plain_one():
    for code in range(0x80, 0x3000):
        if unicodedata.category(chr(code)) != "Cs":
            assert plain(chr(code)).isascii() and plain(chr(code))


@pytest.mark.skipif(os.name == "nt", reason="POSIX pipes")
def test_a_pipe_that_closes_is_a_quiet_end():
    running = started("info")
    running.stdout.close()
    assert running.stderr.read() == b""
    assert running.wait(timeout=300) == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_a_full_device_is_a_sentence():
    with open("/dev/full", "w") as full:
        running = started("info", stdout=full)
        _, said = running.communicate(timeout=300)
    assert said.decode() == f"geospde: the output cannot be written: {os.strerror(28)}\n"
    assert running.returncode == 3


@pytest.mark.skipif(os.name == "nt", reason="a POSIX shell")
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_stop_no_work(tmp_path, closed):
    command = f"{sys.executable} -m geospde explore bay.toml {closed}"
    write_survey(tmp_path)
    ended = subprocess.run(
        ["sh", "-c", command], check=False, cwd=tmp_path, env={**os.environ, "PYTHONPATH": PACKAGE}, capture_output=True
    )
    assert ended.returncode == 0 and b"Error" not in ended.stderr
    assert (tmp_path / "out-explore" / "explore.json").is_file()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_work_goes_on_where_its_progress_cannot_be_written(monkeypatch):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        Lines().finish("mesh", 1.0, "692 vertices")
        monkeypatch.undo()
        with pytest.raises(OSError, match="space"):
            full.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())


def test_an_error_beside_json_has_its_fields(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_survey(tmp_path)
    sites = Path("sites.csv").read_text().splitlines()
    Path("sites.csv").write_text("\n".join([*sites[:3], "1,2,many", *sites[4:]]))
    assert main(["check", "bay.toml", "--json"]) == 2
    shown = capsys.readouterr()
    sentence, told = [line for line in shown.err.splitlines() if not line.startswith("warning")]
    assert shown.out == ""
    assert sentence == "geospde: sites.csv, line 4, column 'caught': 'many' is not a number"
    assert json.loads(told)["error"] == {
        "kind": "InputError",
        "what": "'many' is not a number",
        "where": {"file": "sites.csv", "row": 4, "column": "caught", "word": "line"},
        "remedy": "",
        "message": "sites.csv, line 4, column 'caught': 'many' is not a number",
        "exit_code": 2,
    }
