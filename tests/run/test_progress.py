"""What is told while a run goes."""

import math
import re
import threading
import warnings

import pytest
from numba import njit

from geospde.cli import console
from geospde.cli.console import Lines, Quiet
from geospde.errors import GeospdeWarning
from geospde.run.progress import Progress, StepLog, announce_compiling


class Heard(Progress):
    def __init__(self):
        self.notes, self.updates = [], []

    def update(self, done, total, message):
        self.updates.append((done, total, message))

    def note(self, message):
        self.notes.append(message)


def test_compiling_is_told_once_and_only_where_there_is_some():
    @njit
    def twice(x):
        return 2 * x

    @njit
    def thrice(x):
        return 3 * x

    first, second, after = Heard(), Heard(), Heard()
    with announce_compiling(first, every=math.inf):
        assert twice(1) + thrice(1) == 5
    with announce_compiling(second):
        twice(2)
    assert len(first.notes) == 1 and "once on this machine" in first.notes[0] and second.notes == []
    with announce_compiling(after):
        pass
    twice(1.5)  # compiles again, for floats, when nobody listens any more
    assert after.notes == []


def test_each_loop_that_is_compiled_is_counted():
    @njit
    def inner(x):
        return max(x, 2)  # numba compiles a part of its own for this, which nobody waits to hear of

    @njit
    def outer(x):
        return 3 * x

    heard = Heard()
    log = StepLog(heard)
    with announce_compiling(log, every=0.0):
        assert inner(1) + outer(1) == 5
    assert [done for done, *_ in heard.updates] == [0, 1] and heard.updates[1][2].endswith("now outer")
    assert len(heard.notes) == 2 and "compiled 1 inner loop in" in heard.notes[1] and "now outer" in heard.notes[1]
    assert "compiled 2 inner loops in" in log.lines[-1]


def test_a_note_is_a_line_unless_nobody_wants_any(capsys):
    for listener, said in [(Lines(), "compiling\n"), (Quiet(), "")]:
        with listener as progress:
            progress.note("compiling")
        assert capsys.readouterr().err == said


def test_a_step_keeps_its_seconds_and_warnings():
    log = StepLog()
    with pytest.warns(GeospdeWarning, match="thin"), log.step("mesh"):
        warnings.warn("thin", GeospdeWarning, stacklevel=1)
    assert log.warnings == ["thin"] and log.seconds["mesh"] >= 0


def test_a_step_that_takes_long_is_told_to_go_on(monkeypatch, capsys):
    monkeypatch.setattr(console, "FIRST", 0.01)
    told, said = threading.Event(), Lines.say

    def heard(self, line):
        said(self, line)
        if "so far" in line:
            told.set()

    monkeypatch.setattr(Lines, "say", heard)
    with Lines() as progress:
        progress.start("mesh")
        progress.update(3, 20, "triangles")
        assert told.wait(60)
        progress.finish("mesh", 1.0, "692 vertices")
    lines = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"mesh +\d+ s so far(  3/20 triangles)?", lines[0]) and "692 vertices" in lines[-1]
