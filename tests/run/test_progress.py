"""What is told while a run goes."""

import warnings

import pytest
from numba import njit

from geospde.cli.console import Lines, Quiet
from geospde.errors import GeospdeWarning
from geospde.run.progress import Progress, StepLog, compiling_told


class Heard(Progress):
    def __init__(self):
        self.notes = []

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
    with compiling_told(first):
        assert twice(1) + thrice(1) == 5
    with compiling_told(second):
        twice(2)
    assert len(first.notes) == 1 and "once on this machine" in first.notes[0] and second.notes == []
    with compiling_told(after):
        pass
    twice(1.5)  # compiles again, for floats, when nobody listens any more
    assert after.notes == []


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
