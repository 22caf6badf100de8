"""Ctrl-C while numba compiles is not lost in what the compiler calls back."""

import signal

import pytest
from numba.core.compiler_lock import global_compiler_lock

from geospde.linalg.signals import Postponed
from geospde.run.progress import Progress, announce_compiling


@pytest.fixture(autouse=True)
def _heard():
    """Ctrl-C is an exception also where a shell started the tests in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interruption_waits_for_the_end_of_a_compilation():
    reached = False
    with pytest.raises(KeyboardInterrupt), announce_compiling(Progress()), global_compiler_lock:
        signal.raise_signal(signal.SIGINT)
        reached = True
    assert reached and signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interruption_comes_before_the_next_part_of_a_compilation():
    with pytest.raises(KeyboardInterrupt), announce_compiling(Progress()), global_compiler_lock:
        signal.raise_signal(signal.SIGINT)
        with global_compiler_lock:
            pytest.fail("it went on")


def test_signals_are_handled_as_before_once_they_no_longer_wait():
    postponed = Postponed()
    before = {name: signal.getsignal(getattr(signal, name)) for name in ("SIGINT", "SIGTERM")}
    postponed.begin()
    postponed.begin()
    postponed.end()
    postponed.end()
    assert before == {name: signal.getsignal(getattr(signal, name)) for name in before}
