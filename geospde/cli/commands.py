"""The command line: its commands, what each failure says, and its exit code.

Each command stands in a file of its own; heavy imports wait in their bodies, so that help comes at once.
"""

from __future__ import annotations

import errno
import gc
import json
import sys
from collections.abc import Callable, Sequence
from functools import cache
from typing import Annotated, Any

import typer

from geospde import __version__
from geospde.cli.certify import certify
from geospde.cli.check import check
from geospde.cli.compare import compare
from geospde.cli.console import ENDED_BY
from geospde.cli.design import design
from geospde.cli.explore import explore
from geospde.cli.info import info
from geospde.cli.init import init
from geospde.cli.options import Interrupted, heed_signals
from geospde.cli.predict import predict
from geospde.cli.rerun import rerun
from geospde.cli.run import run
from geospde.cli.step import fit, regions, step_command
from geospde.cli.streams import open_closed, write_anywhere, written_out
from geospde.cli.validate import validate
from geospde.errors import GeospdeError, InputError, OutOfMemory
from geospde.run.swap import WRITTEN
from geospde.text.words import in_brief

EXIT_CODES = """\b
Exit codes:
  0    success
  1    a fault in geospde
  2    a mistake in the input or in the call
  3    a computation that failed, or output that cannot be written
  130  interrupted
  141  the reader of the output closed it
"""

# plain help: the markup mode doubles the time that help takes
app = typer.Typer(
    name="geospde",
    help="Model-based geostatistics, from a survey to its maps.",
    epilog=f"Start with: geospde init POINTS\n\n{EXIT_CODES}",
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"geospde {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Model-based geostatistics with maps at the end: meshes, SPDE models, INLA, rasters, reports."""
    from geospde.text.memory import refuse_few_addresses

    refuse_few_addresses()


_OF_PATHS = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP,
}  # fmt: skip
FAILED = 3
"""Exit code of a computation that failed, and of output that cannot be written."""

INTERRUPTED = 130

CLOSED_PIPE = 141
"""Exit code where whoever read the output has gone: that of other programs that a closed pipe ends."""

COMMANDS: dict[str, Callable[..., None]] = {
    "run": run,
    "check": check,
    "explore": explore,
    "init": init,
    "mesh": step_command("mesh", "build the mesh and draw it, in the run's folder."),
    "fit": fit,
    "predict": predict,
    "regions": regions,
    "map": step_command("map", "draw the maps of the prediction in the run's folder, and layers for QGIS."),
    "report": step_command("report", "write the report of what is in the run's folder."),
    "certify": certify,
    "design": design,
    "validate": validate,
    "compare": compare,
    "rerun": rerun,
    "info": info,
}
for name, command in COMMANDS.items():
    # init says itself where a second file goes
    app.command(name, context_settings={"allow_extra_args": command is init})(command)


@cache
def _program() -> Callable[..., Any]:
    """Return the commands as typer makes them out of their signatures."""
    return typer.main.get_command(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0 success; 1 a fault in geospde; 2 a mistake in the input; 3 a computation that failed, or output that cannot be
    written; 130 interrupted; 141 the reader of the output closed it. An error is one sentence on stderr; with
    ``--json`` a line of JSON follows it, with the error's fields; with ``--verbose`` the traceback stands before it.

    Examples
    --------
    >>> main(["--version"])
    geospde ...
    0
    """
    if arguments is None:
        return _as_program()
    arguments, before = list(arguments), len(WRITTEN)
    ENDED_BY.clear()  # by what ended an earlier call in this process
    try:
        _refuse_empty(arguments)
        _program()(arguments, prog_name="geospde")
        return 0
    except SystemExit as leaving:  # typer's own way out, after help and usage errors too
        if isinstance(leaving.__context__, BrokenPipeError):
            return CLOSED_PIPE
        if leaving.code == INTERRUPTED:  # typer's, of a Ctrl-C while libraries were imported
            return _interrupted("", before)
        return leaving.code if isinstance(leaving.code, int) else 0
    except (Interrupted, KeyboardInterrupt) as stopped:
        return _interrupted(str(stopped), before)
    except Exception as error:
        return _failed(error, arguments)


def _refuse_empty(arguments: Sequence[str]) -> None:
    """Raise InputError for a word that is empty, as of a variable that is not set: as a path it is the folder here."""
    for before, word in zip(["geospde", *arguments], arguments):
        if word == "" or (word.startswith("--") and word.endswith("=")):
            place = f"after {in_brief(before)}" if word == "" else f"of {in_brief(word[:-1])}"
            raise InputError(f"the word {place} is empty: give it, or leave it out")


def _as_program() -> int:
    """Run the process's own arguments. Most of a run's objects are modules: collecting them takes a second in all."""
    gc.set_threshold(50_000, 20, 20)
    heed_signals()
    open_closed()
    write_anywhere(sys.stdout, sys.stderr)
    try:
        code = main(sys.argv[1:])
        for error in filter(None, map(written_out, (sys.stdout, sys.stderr))):
            code = code if code == FAILED else _failed(error, ())  # one sentence, where printing failed before
        return code
    except OSError as error:  # not even stderr takes anything
        return CLOSED_PIPE if isinstance(error, BrokenPipeError) else 3
    finally:
        written_out(sys.stderr)
        gc.freeze()


def _interrupted(said: str, before: int) -> int:
    """Say that the program was interrupted, and what of this command's stands; return the exit code."""
    stand = ", ".join(dict.fromkeys(WRITTEN[before:]))
    _say(said or f"interrupted; {f'{stand} was written before' if stand else 'nothing was written'}")
    return INTERRUPTED


def _failed(error: Exception, arguments: Sequence[str]) -> int:
    """Say what went wrong and return the exit code."""
    if isinstance(error, BrokenPipeError):
        return CLOSED_PIPE
    if {"--verbose", "-v"} & set(arguments):
        import traceback

        traceback.print_exc()
    fault, code = _in_words(error)
    _say(str(fault), *getattr(error, "__notes__", ()))
    if "--json" in arguments:
        content = fault.to_dict() | {"kind": type(error).__name__, "exit_code": code}
        print(json.dumps({"error": content}), file=sys.stderr)
    return code


def _in_words(error: Exception) -> tuple[GeospdeError, int]:
    """Return an error as one of ours, and its exit code."""
    if isinstance(error, GeospdeError):
        return error, error.exit_code
    from geospde.text.memory import is_short_of_addresses

    short = isinstance(error, SystemError | ImportError) and is_short_of_addresses()
    if short or isinstance(error, MemoryError):
        remedy = "raise ulimit -v, or " if short else ""
        return OutOfMemory("out of memory", remedy=f"{remedy}take a coarser mesh (longer max_edge) or larger cells"), 3
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:  # of stdout: folders tell their own
        return GeospdeError(f"the output cannot be written: {error.strerror}"), 3
    if (of_path := _of_path(error)) is not None:
        return of_path, of_path.exit_code
    what = f"a fault in geospde, please report it: {type(error).__name__}: {error} (--verbose shows where)"
    return GeospdeError(what), 1


def _of_path(error: Exception) -> InputError | None:
    """Return what to say of a path that may not be used, or that no file can have: a user's mistake wherever it is."""
    if isinstance(error, RuntimeError) and str(error).startswith("Symlink loop"):  # pathlib's own, before Python 3.13
        return InputError(f"{str(error)[:200]}: name the file itself")
    if isinstance(error, RuntimeError) and str(error).startswith("Could not determine home"):  # of ~name
        return InputError("a path begins with '~' and the name of nobody: write it in full")
    if isinstance(error, OSError) and error.errno in _OF_PATHS and isinstance(error.filename, str):
        return InputError(f"{in_brief(error.filename)} cannot be used: {error.strerror}", remedy="choose another path")
    return None


def _say(*sentences: str) -> None:
    """Print sentences to stderr, in one line."""
    print(f"geospde: {' '.join('; '.join(sentences).split())}", file=sys.stderr)
