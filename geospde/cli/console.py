"""What a run looks like in a terminal, in a log file, and when nobody listens."""

from __future__ import annotations

import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from geospde.errors import GeospdeWarning
from geospde.run.progress import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID


FIRST, LONGEST = 10.0, 60.0  # seconds before a step is told to go on, and between two such lines at most


ENDED_BY: list[int] = []
"""Signals that came to end the program."""


def leave_if_ended() -> None:
    """Leave by the exception of a signal that has come: Python loses it where it ignores them, as in a finaliser."""
    if ENDED_BY and threading.current_thread() is threading.main_thread():
        raise KeyboardInterrupt if ENDED_BY[0] == signal.SIGINT else SystemExit(128 + ENDED_BY[0])


def beating(tell: Callable[[float], None]) -> Callable[[], None]:
    """Call `tell` now and then, with the seconds since; return what ends it.

    Parameters
    ----------
    tell : callable
        Called in a thread of its own, so that it is heard while a library computes.
    """
    over, begun = threading.Event(), time.perf_counter()

    def beat() -> None:
        while not over.wait(min(FIRST + (time.perf_counter() - begun) / 2, LONGEST)):
            try:
                tell(time.perf_counter() - begun)
            except OSError:  # whoever listened has gone, which the step's own line meets too
                return

    threading.Thread(target=beat, daemon=True).start()
    return over.set


class Quiet(Progress):
    """Tells warnings only. A context: inside, a `GeospdeWarning` is one line on stderr.

    What libraries warn each other of is shown with `verbose` only.
    """

    def __init__(self, verbose: bool = False) -> None:
        self.verbose = verbose

    def __enter__(self) -> Quiet:
        self._shown = warnings.showwarning
        warnings.showwarning = self._show
        return self

    def __exit__(self, *_: object) -> None:
        warnings.showwarning = self._shown

    def start(self, step: str) -> None:
        """Hear that a step begins, unless the program is to end."""
        leave_if_ended()

    def update(self, done: int, total: int | None, message: str) -> None:
        """Hear how far it is, unless the program is to end."""
        leave_if_ended()

    def finish(self, step: str, seconds: float, summary: str) -> None:
        """Hear that it is done, unless the program is to end."""
        leave_if_ended()

    def say(self, line: str) -> None:
        """Print a line to stderr; a device that is full loses it, and the work goes on."""
        try:
            print(line, file=sys.stderr, flush=True)
        except BrokenPipeError:
            raise
        except OSError:
            pass

    def _show(self, message: Any, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, GeospdeWarning):
            self.say(f"warning: {' '.join(str(message).split())}")
        elif self.verbose:
            self._shown(message, category, *place, **more)


class Lines(Quiet):
    """Tells each step in a line when it is done, and how long it takes while it does; with `verbose`, all it says."""

    _beat: Callable[[], None] | None = None
    _message = ""

    def __exit__(self, *error: object) -> None:
        self._stop()
        super().__exit__(*error)

    def start(self, step: str) -> None:
        """Begin to tell now and then that the step goes on."""
        super().start(step)
        self._stop()
        self._message = ""
        self._beat = beating(lambda seconds: self.say(f"{step:<8} {seconds:4.0f} s so far  {self._message}".rstrip()))

    def update(self, done: int, total: int | None, message: str) -> None:
        """Print how far a step is, if asked to."""
        super().update(done, total, message)
        self._message = f"{done}{'' if total is None else f'/{total}'} {message}".rstrip()
        if self.verbose:
            self.say(f"  {self._message}")

    def note(self, message: str) -> None:
        """Print why a step takes its time."""
        self.say(message)

    def finish(self, step: str, seconds: float, summary: str) -> None:
        """Print what a step took and made."""
        super().finish(step, seconds, summary)
        self._stop()
        self.say(f"{step:<8} {seconds:6.2f} s  {summary}".rstrip())

    def _stop(self) -> None:
        if self._beat is not None:
            self._beat()
            self._beat = None


class Bars(Lines):
    """Tells the running step as a bar, and each step in a line when it is done."""

    _rich: RichProgress
    _task: TaskID | None = None

    def __enter__(self) -> Bars:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._rich = Progress(
            SpinnerColumn(),
            TextColumn("{task.description:<8}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("{task.fields[message]}"),
            console=Console(stderr=True, highlight=False),
            transient=True,
        )
        self._rich.start()
        super().__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self._rich.stop()

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._rich.console.print(line, markup=False)

    def start(self, step: str) -> None:
        """Show a bar that does not know yet how long it is."""
        leave_if_ended()
        self._task = self._rich.add_task(step, total=None, message="")

    def update(self, done: int, total: int | None, message: str) -> None:
        """Move the bar."""
        leave_if_ended()
        if self._task is not None:
            self._rich.update(self._task, completed=done, total=total, message=message)

    def finish(self, step: str, seconds: float, summary: str) -> None:
        """Put the step's line in place of its bar."""
        if self._task is not None:
            self._rich.remove_task(self._task)
            self._task = None
        super().finish(step, seconds, summary)
