"""What is told while a run goes, and what is kept of it: its log, and seconds and warnings of each step."""

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from geospde.errors import GeospdeWarning, alert

ABOUT = "five to ten, in 2 to 4 seconds of a processor's time, longer where it has other work"


class Progress:
    """A listener to a run that keeps silent: override what should be heard."""

    def start(self, step: str) -> None:
        """Hear that a step begins."""

    def update(self, done: int, total: int | None, message: str) -> None:
        """Hear that the step has done so much of so much (None: nobody knows)."""

    def note(self, message: str) -> None:
        """Hear why a step takes its time."""

    def finish(self, step: str, seconds: float, summary: str) -> None:
        """Hear that the step is done, and what came out."""


@dataclass
class StepLog:
    """The log of a run: its steps with their seconds, and its warnings, each line with the time.

    Examples
    --------
    >>> log = StepLog()
    >>> with log.step("mesh") as summarise:
    ...     summarise("692 vertices")
    >>> list(log.seconds)
    ['mesh']
    """

    progress: Progress = field(default_factory=Progress)
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    seconds: dict[str, float] = field(default_factory=dict)
    caught: list[GeospdeWarning] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    _unreported: list[GeospdeWarning] = field(default_factory=list)

    @contextmanager
    def step(self, name: str) -> Iterator[Callable[[str], None]]:
        """Time a step and collect its warnings; gives the caller a function to say what came out."""
        summary: list[str] = []
        self.progress.start(name)
        start = time.perf_counter()
        caught: list[warnings.WarningMessage] = []
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", GeospdeWarning)
                yield summary.append
            self.seconds[name] = round(time.perf_counter() - start, 3)
            self.say(f"{name}: {self.seconds[name]:.2f} s  {''.join(summary)}")
            self.progress.finish(name, self.seconds[name], "".join(summary))
        except BaseException:
            self.say(f"{name}: stopped after {time.perf_counter() - start:.2f} s")
            raise
        finally:
            for warning in {str(one.message): one for one in caught}.values():  # maps of several years have the same
                if isinstance(warning.message, GeospdeWarning):
                    self._keep(warning.message)
                # once more, now under the caller's own filters
                warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)

    def say(self, text: str) -> None:
        """Write a line into the log; one of several lines is indented from its second."""
        first, *rest = text.rstrip().splitlines() or [""]
        self.lines += [f"{datetime.now(UTC):%Y-%m-%d %H:%M:%SZ} {first}", *(f"    {line}" for line in rest)]

    def note(self, message: str) -> None:
        """Write a line, and tell whoever listens."""
        self.say(message)
        self.progress.note(message)

    @property
    def warnings(self) -> list[str]:
        """The warnings, each a sentence."""
        return [str(warning) for warning in self.caught]

    def warn_at_the_end(self, warning: GeospdeWarning) -> None:
        """Keep a warning that is to be told once the run is done, where the eye is."""
        self._keep(warning)
        self._unreported.append(warning)

    def tell(self) -> None:
        """Tell the warnings that were kept for the end."""
        for warning in self._unreported:
            alert(warning)
        self._unreported.clear()

    def text(self) -> str:
        """Return the whole log."""
        return "\n".join(self.lines) + "\n"

    def _keep(self, warning: GeospdeWarning) -> None:
        self.caught.append(warning)
        self.say(f"warning: {' '.join(str(warning).split())}")


@contextmanager
def announce_compiling(listener: Progress | StepLog, every: float = 5.0) -> Iterator[None]:
    """Tell when numba compiles: the first run on a machine waits for it, the next ones do not.

    Parameters
    ----------
    listener : Progress or StepLog
        It hears a note at the first loop, a note each time that `every` seconds have passed, and in its bar, if it has
        one, each loop. A log ends with how many there were.
    every : float, default 5
        Seconds between two notes.
    """
    from numba.core import event

    from geospde.linalg.signals import postponed_while_compiling  # and a room with it, which help has no use for

    heard = _Compiling(listener, every)

    class Forward(event.Listener):
        def on_start(self, event: event.Event) -> None:
            heard.start(event.data["dispatcher"].py_func.__name__)

        def on_end(self, _: event.Event) -> None:
            heard.end()

    try:
        with postponed_while_compiling(), event.install_listener("numba:compile", Forward()):
            yield
    finally:
        if heard.done and isinstance(listener, StepLog):
            listener.say(heard.so_far())


class _Compiling:
    """Count loops that are compiled. numba compiles one at a time, whatever thread asks, and parts of it within."""

    def __init__(self, listener: Progress | StepLog, every: float) -> None:
        self.listener, self.every = listener, every
        self.progress = listener.progress if isinstance(listener, StepLog) else listener
        self.done, self.depth, self.seconds = 0, 0, 0.0
        self.began = self.noted = 0.0

    def start(self, name: str) -> None:
        self.depth += 1
        if self.depth > 1:
            return
        self.began = time.perf_counter()
        if not self.done:
            self.noted = self.began
            self.listener.note(f"compiling the inner loops, once on this machine: {ABOUT}")
        elif self.began - self.noted >= self.every:
            self.noted = self.began
            self.listener.note(f"{self.so_far()}, now {name.strip('_')}")
        self.progress.update(self.done, None, f"inner loops compiled, now {name.strip('_')}")

    def end(self) -> None:
        self.depth -= 1
        if not self.depth:
            self.done += 1
            self.seconds += time.perf_counter() - self.began

    def so_far(self) -> str:
        return f"compiled {self.done} inner loop{'s' * (self.done > 1)} in {self.seconds:.0f} s"
