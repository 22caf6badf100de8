"""What a run looks like in a terminal, in a log file, and when nobody listens."""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Any

from geospde.errors import GeospdeWarning
from geospde.run.progress import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID


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
    """Tells each step in a line when it is done; with `verbose`, all it says on the way."""

    def update(self, done: int, total: int | None, message: str) -> None:
        """Print how far a step is, if asked to."""
        if self.verbose:
            self.say(f"  {done}{'' if total is None else f'/{total}'} {message}".rstrip())

    def note(self, message: str) -> None:
        """Print why a step takes its time."""
        self.say(message)

    def finish(self, step: str, seconds: float, summary: str) -> None:
        """Print what a step took and made."""
        self.say(f"{step:<8} {seconds:6.2f} s  {summary}".rstrip())


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
        self._task = self._rich.add_task(step, total=None, message="")

    def update(self, done: int, total: int | None, message: str) -> None:
        """Move the bar."""
        if self._task is not None:
            self._rich.update(self._task, completed=done, total=total, message=message)

    def finish(self, step: str, seconds: float, summary: str) -> None:
        """Put the step's line in place of its bar."""
        if self._task is not None:
            self._rich.remove_task(self._task)
            self._task = None
        super().finish(step, seconds, summary)
