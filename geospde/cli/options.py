"""Arguments and options that several commands share, and what they do before they begin."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geospde.cli.console import ENDED_BY, Bars, Lines, Quiet
from geospde.errors import GeospdeError
from geospde.run.progress import Progress

if TYPE_CHECKING:
    from geospde.run.config import Config

RunFile = Annotated[Path, typer.Argument(metavar="RUN.toml", show_default=False, help="The run file.")]
RunOrFolder = Annotated[
    Path, typer.Argument(metavar="RUN.toml|FOLDER", show_default=False, help="The run file, or the folder of a run.")
]
Out = Annotated[
    Path | None,
    typer.Option(metavar="DIR", show_default=False, help="The run's folder, instead of the one in the run file."),
]
Silent = Annotated[bool, typer.Option("--quiet", "-q", help="Print only warnings and errors.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON in place of tables.")]


def _size(text: str) -> int:
    from geospde.text.memory import read_size

    try:
        return read_size(text)
    except GeospdeError as error:
        raise typer.BadParameter(str(error)) from None


MaxMemory = Annotated[
    int | None,
    typer.Option(
        "--max-memory", metavar="SIZE", parser=_size, show_default=False,
        help="Refuse what needs more memory than this, such as 4GB; by default, more than the machine has.",
    ),
]  # fmt: skip
Dask = Annotated[
    str | None,
    typer.Option(
        "--dask", metavar="SCHEDULER", show_default=False,
        help="Share the work out on a Dask cluster: the address of its scheduler, or its file.",
    ),
]  # fmt: skip
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more, and show tracebacks.")]


class Interrupted(Exception):
    """Ctrl-C, under a name that typer leaves alone."""


@contextmanager
def listening(
    quiet: bool, verbose: bool, max_memory: int | None = None, scheduler: str | None = None
) -> Iterator[Progress]:
    """Give the progress to show: bars on a terminal, else one line per step, else nothing.

    The work inside is shared out on the workers of a `scheduler`, if there is one.
    """
    heed_signals()
    from geospde.text.memory import limited_memory

    bars = sys.stderr.isatty() and not verbose
    listener = Quiet(verbose) if quiet else Bars() if bars else Lines(verbose)
    try:
        with limited_memory(max_memory), _workers(scheduler), listener as progress:
            yield progress
    except KeyboardInterrupt as stop:
        notes = getattr(stop, "__notes__", [])
        raise Interrupted("; ".join(["interrupted", *notes]) if notes else "") from None


def _workers(scheduler: str | None) -> AbstractContextManager[Any]:
    if scheduler is None:
        return nullcontext()
    from geospde.linalg.executor import cluster

    return cluster(scheduler)


def heed_signals() -> None:
    """Let signals that end a program end it with a word, once what is half written is cleared away."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    for name in ("SIGTERM", "SIGHUP", "SIGQUIT", "SIGXCPU"):
        if hasattr(signal, name) and signal.getsignal(getattr(signal, name)) != signal.SIG_IGN:  # as under nohup
            signal.signal(getattr(signal, name), _terminate)


def first_look(source: Path) -> Path | Config:
    """Read a run file, unless it is a run's folder: its mistakes are told before what takes seconds to import."""
    from geospde.run.config import read_config

    if source.expanduser().is_dir():
        return source
    config = read_config(source)
    config.refuse_at_once()
    return config


def print_json(content: Mapping[str, Any]) -> None:
    """Print what a command answers as JSON."""
    from geospde.export.provenance import json_text

    print(json_text(content))


def _interrupt(number: int, _frame: Any) -> None:
    ENDED_BY.append(number)
    raise KeyboardInterrupt


def _terminate(number: int, _frame: Any) -> None:
    """Leave by an exception, so that what is half written is cleared away, with a word.

    The word goes past the stream: the signal may have come while the stream writes, which cannot be begun anew.
    """
    ENDED_BY.append(number)
    word = f"geospde: ended by {signal.Signals(number).name}; what was half written is cleared away\n"
    with suppress(OSError):  # the terminal has gone
        os.write(2, word.encode())
    sys.exit(128 + number)
