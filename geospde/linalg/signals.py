"""Signals that wait: where an exception would be lost, as in what numba's compiler calls back."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
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
