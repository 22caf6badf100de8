"""Signals that wait: where an exception would be lost, as in what numba's compiler calls back."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGXCPU")


class Postponed:
    """Signals that end a program, noted while it lasts and handled at its end; in the main thread only."""

    def __init__(self) -> None:
        self._handlers: dict[int, Callable[..., Any]] = {}
        self._came: list[int] = []

    def __enter__(self) -> Postponed:
        self.begin()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def begin(self) -> None:
        """From here on note signals."""
        if self._handlers or threading.current_thread() is not threading.main_thread():
            return
        for name in NAMES:
            number = getattr(signal, name, None)
            handler = None if number is None else signal.getsignal(number)
            if number is not None and callable(handler):
                self._handlers[number] = handler
                signal.signal(number, lambda number, _: self._came.append(number))

    def check(self) -> None:
        """Handle what came, if anything did."""
        if self._came and threading.current_thread() is threading.main_thread():
            self.end()

    def end(self) -> None:
        """Handle what came, and signals as before."""
        if not self._handlers or threading.current_thread() is not threading.main_thread():
            return
        handlers, came = self._handlers, self._came
        self._handlers, self._came = {}, []
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number in came:
            handlers[number](number, None)


@contextmanager
def postponed_while_compiling() -> Iterator[None]:
    """Let signals wait while numba compiles a loop or reads a compiled one: it loses exceptions in what it calls back.

    Between the loops that one takes they are handled.
    """
    from numba.core import event

    postponed, main = Postponed(), threading.main_thread()

    class Lock(event.Listener):
        depth = 0

        def on_start(self, _: event.Event) -> None:
            if threading.current_thread() is main:
                postponed.check()
                postponed.begin()
                self.depth += 1

        def on_end(self, _: event.Event) -> None:
            if threading.current_thread() is main:
                self.depth -= 1
                if self.depth:
                    postponed.check()
                else:
                    postponed.end()

    try:
        with event.install_listener("numba:compiler_lock", Lock()):
            yield
    finally:
        postponed.end()
