"""What is printed gets through: to streams that lack characters, closed pipes, full devices, any locale."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import unicodedata
from pathlib import Path

import geopandas as gpd
import pytest
from shapely import box
from small_run import quietly_in, write_survey

from geospde.cli import commands
from geospde.cli.commands import main
from geospde.cli.console import ENDED_BY, Lines
from geospde.cli.options import heed_signals
from geospde.cli.streams import plain
from geospde.cli.terminal import print_findings
from geospde.survey.crs import parse_crs
from geospde.text.findings import Finding

pytestmark = pytest.mark.usefixtures("undrawn")

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


@pytest.mark.slow
def test_a_stream_that_lacks_characters_gets_plain_ones(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_survey(tmp_path)
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    shown, said = started("check", "bay.toml", **locale).communicate(timeout=300)
    assert "-> " in shown.decode("ascii") and "bay.toml can be run" in shown.decode("ascii")
    assert said.decode("ascii").startswith("survey ")


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


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="a POSIX shell")
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_stop_no_work(tmp_path, closed):
    command = f"{sys.executable} -m geospde init sites.csv --yes --crs local:m {closed}"
    write_survey(tmp_path)
    ended = subprocess.run(
        ["sh", "-c", command], check=False, cwd=tmp_path, env={**os.environ, "PYTHONPATH": PACKAGE}, capture_output=True
    )
    assert ended.returncode == 0 and b"Error" not in ended.stderr
    assert "sites.csv" in (tmp_path / "run.toml").read_text()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_work_goes_on_where_its_progress_cannot_be_written(monkeypatch):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        Lines().finish("mesh", 1.0, "692 vertices")
        monkeypatch.undo()
        with pytest.raises(OSError, match="space"):
            full.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), full.fileno())


@pytest.mark.parametrize("columns", [1, 20])
def test_a_narrow_terminal_loses_no_words(monkeypatch, capsys, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    subject, message = "coordinates", "local (m), 974 m across, in one triangulation"
    print_findings([Finding("warning", subject, message, "look at them")])
    said = capsys.readouterr().out.split()
    assert {"warning", subject, *message.split(), "look", "at", "them"} <= set(said)


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


# -- every command: in this process, as a program, with streams that are real ones ---------------------------------

COMMANDS = {
    "init": ["init", "sites.csv", "--yes", "--crs", "local:m", "--out", "new.toml"],
    "validate": ["validate", "bay.toml", "--folds", "random", "--k", "2", "--out", "again", "--overwrite"],
    "compare": ["compare", "out", "other"],
    "design": ["design", "bay.toml", "--add", "1", "--out", "sites", "--overwrite"],
    "predict": ["predict", "bay.toml"],
    "certify": ["certify", "bay.toml", "--draws", "200"],
    "info": ["info", "out"],
    "check": ["check", "bay.toml"],
    "regions": ["regions", "bay.toml"],
    "rerun": ["rerun", "out"],
}
AREAS = """
[regions]
areas = "areas.gpkg"
"""


def as_program(words, shown, said):
    """Exit code of the command line with these as its standard output and standard error."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", shown)
        patch.setattr(sys, "stderr", said)
        patch.setattr(sys, "argv", ["geospde", *words])
        return commands._as_program()


def stream_of(path, encoding):
    return open(path, "w+", encoding=encoding, newline="")


def text_of(stream):
    stream.flush()
    stream.buffer.seek(0)
    return stream.buffer.read().decode(stream.encoding)  # fails where what was written is of another encoding


@pytest.fixture(scope="module")
def mapped(tmp_path_factory):
    """A survey that was mapped, into a terminal of ASCII alone."""
    folder = tmp_path_factory.mktemp("streams")
    write_survey(folder, AREAS)
    halves = gpd.GeoDataFrame({"name": ["Ü → −", "語"]}, geometry=[box(0, 0, 500, 1000), box(500, 0, 1000, 1000)])
    halves.set_crs(parse_crs("local:m")).to_file(folder / "areas.gpkg")
    with quietly_in(folder), stream_of("shown", "ascii") as shown, stream_of("said", "ascii") as said:
        assert as_program(["run", "bay.toml"], shown, said) == 0
        assert "report" in text_of(said)
        shutil.copytree("out", "other")
    return folder


@pytest.fixture
def there(mapped, monkeypatch):
    monkeypatch.chdir(mapped)
    yield mapped
    (mapped / "new.toml").unlink(missing_ok=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.filterwarnings("ignore::geospde.GeospdeWarning")
def test_any_command_speaks_to_any_terminal(there, tmp_path, name):
    for encoding in ("ascii", "cp1252", "latin-1") if name in ("info", "check", "predict") else ("ascii",):
        with stream_of(tmp_path / "shown", encoding) as shown, stream_of(tmp_path / "said", encoding) as said:
            assert as_program(COMMANDS[name], shown, said) == 0, text_of(said)
            assert "Traceback" not in text_of(said)
            assert text_of(shown)
            if name == "check":
                assert "-> " in text_of(shown) and "bay.toml can be run" in text_of(shown)
                assert text_of(said).startswith("survey ")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in ("validate", "rerun")])
@pytest.mark.filterwarnings("ignore::geospde.GeospdeWarning")
def test_any_command_ends_in_order_where_its_output_does(there, tmp_path, name):
    with open("/dev/full", "w") as full, stream_of(tmp_path / "said", "utf-8") as said:
        assert as_program(COMMANDS[name], full, said) == 3
        assert text_of(said).count(f"geospde: the output cannot be written: {os.strerror(28)}\n") == 1
        assert "Traceback" not in text_of(said)
    (there / "new.toml").unlink(missing_ok=True)
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe, stream_of(tmp_path / "said", "utf-8") as said:
        assert as_program(COMMANDS[name], pipe, said) == 141
        assert "geospde: " not in text_of(said) and "Traceback" not in text_of(said)


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_a_signal_that_comes_while_a_line_is_written_ends_the_program_with_its_word(monkeypatch, capfd):
    class Interrupted(io.RawIOBase):
        def writable(self):
            return True

        def write(self, data):
            signal.raise_signal(signal.SIGTERM)
            return len(data)

    before = {n: signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGXCPU)}
    heed_signals()
    try:
        with monkeypatch.context() as patched, pytest.raises(SystemExit) as left:
            patched.setattr(sys, "stderr", io.TextIOWrapper(io.BufferedWriter(Interrupted()), line_buffering=True))
            print("mesh", file=sys.stderr)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        ENDED_BY.clear()
    assert left.value.code == 143
    assert "ended by SIGTERM" in capfd.readouterr().err


@pytest.mark.parametrize(("number", "error"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)])
def test_a_signal_whose_exception_is_lost_is_heeded_at_the_next_word(number, error, monkeypatch, capfd):
    class Late:
        def __del__(self):
            signal.raise_signal(number)

    caught = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGXCPU)
    before = {n: signal.getsignal(n) for n in caught}
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: None)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    heed_signals()
    try:
        listener, late = Lines(), Late()
        listener.update(1, 2, "nothing came yet")
        del late  # whose exception Python ignores
        with pytest.raises(error):
            listener.update(2, 2, "")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        ENDED_BY.clear()
