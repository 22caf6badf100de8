"""The commands: parse, call the pipeline, print. Heavy imports wait inside them: help comes at once."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geospde import __version__
from geospde.errors import GeospdeError

if TYPE_CHECKING:
    from geospde.run.pipeline import RunResult
    from geospde.run.progress import Progress
    from geospde.run.work import Work

EXIT_CODES = """\b
Exit codes:
  0    well
  1    a fault in geospde
  2    a mistake in the input or in the call
  3    a computation that failed
  130  interrupted
"""

# plain help: the markup mode doubles the time that help takes
app = typer.Typer(
    name="geospde",
    help="Model-based geostatistics with maps at the end.",
    epilog=f"Start with: geospde init POINTS\n\n{EXIT_CODES}",
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

RunFile = Annotated[Path, typer.Argument(metavar="RUN.toml", show_default=False, help="The run file.")]
Out = Annotated[
    Path | None,
    typer.Option(metavar="DIR", show_default=False, help="Folder of the run, in place of the run file's."),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but warnings and errors.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON in place of tables.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more, and show tracebacks.")]


@app.command()
def run(
    run_file: RunFile,
    out: Out = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run's folder.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Run the whole pipeline: survey, mesh, fit, prediction, maps, report."""
    from geospde.run import pipeline

    with _listening(quiet or as_json, verbose) as progress:
        result = pipeline.run(run_file, out=out, overwrite=overwrite, progress=progress)
    if as_json:
        _print_json(result.to_dict())
        return
    if verbose:
        result.fit.summary()
    if not quiet:
        print(_where(result))


@app.command()
def check(run_file: RunFile, as_json: Json = False, quiet: Quiet = False, verbose: Verbose = False) -> None:
    """Read and check everything, fit nothing, write nothing: a table of findings, exit code 2 if one is an error."""
    from geospde.run import check
    from geospde.text.findings import count_levels

    with _listening(quiet or as_json, verbose) as progress:
        findings = check.check(run_file, progress=progress)
    levels = count_levels(findings)
    if as_json:
        told = [finding.to_dict() for finding in findings]
        _print_json({"run_file": str(run_file), "can_run": not levels["error"], **levels, "findings": told})
    elif not quiet:
        from geospde.cli.terminal import print_findings, verdict

        print_findings(findings)
        print(verdict(run_file, levels))
    if levels["error"]:
        raise typer.Exit(2)


@app.command()
def explore(
    run_file: RunFile,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", show_default=False, help="Folder to write; by default the run's with -explore."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier exploration's folder.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Look at the survey before any model: table, findings, map, histogram, trends, variogram.

    With --json nothing is written unless --out says where.
    """
    from geospde.run.check import explore_run

    with _listening(quiet or as_json, verbose) as progress:
        write = out is not None or not as_json
        explored = explore_run(run_file, out=out, write=write, overwrite=overwrite, progress=progress)
    if as_json:
        _print_json(explored.to_dict())
    elif not quiet:
        from geospde.cli.terminal import print_exploration

        print_exploration(explored)


@app.command()
def init(
    points: Annotated[
        Path, typer.Argument(metavar="POINTS", show_default=False, help="The sites: csv or a layer of points.")
    ],
    coastline: Annotated[
        Path | None, typer.Option(metavar="LAYER", show_default=False, help="What bounds the area to map.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="RUN.toml", help="The run file to write.")] = Path("run.toml"),
    response: Annotated[
        str | None,
        typer.Option(metavar="COL", show_default=False, help="The response; or 'p(successes, trials)'."),
    ] = None,
    exposure: Annotated[
        str | None, typer.Option(metavar="COL", show_default=False, help="What a count is of; or 'none'.")
    ] = None,
    x: Annotated[
        str | None, typer.Option("--x", metavar="COL", show_default=False, help="Easting or longitude.")
    ] = None,
    y: Annotated[
        str | None, typer.Option("--y", metavar="COL", show_default=False, help="Northing or latitude.")
    ] = None,
    crs: Annotated[
        str | None,
        typer.Option(metavar="EPSG", show_default=False, help="What the coordinates are in, or to work in."),
    ] = None,
    family: Annotated[
        str | None, typer.Option(metavar="NAME", show_default=False, help="The response's family.")
    ] = None,
    layer: Annotated[
        str | None, typer.Option(metavar="NAME", show_default=False, help="The layer of POINTS, if several.")
    ] = None,
    coastline_layer: Annotated[
        str | None, typer.Option(metavar="NAME", show_default=False, help="The layer of the coastline, if several.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing, take the likeliest.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run file of that name.")] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Look at a survey's files and write a run file with comments."""
    import shlex

    from geospde.run.proposal import Guesser, Options, Terminal, propose, refuse_target, write_run_file

    refuse_target(out, filter(None, (points, coastline)), overwrite)
    options = Options(response, exposure, x, y, crs, family, layer, coastline_layer)
    guesser = Guesser() if yes or not sys.stdin.isatty() else Terminal()
    with _listening(True, verbose):
        proposal = propose(points, coastline, options=options, guesser=guesser)
    write_run_file(proposal, out, overwrite=overwrite)
    if not quiet:
        named = shlex.quote(str(out))
        print(f"{out} is written\n{proposal.summary()}\nNext: geospde check {named}, then geospde run {named}")


def _add_step(name: str, what: str) -> None:
    """Add the command for one step of a run."""

    def command(run_file: RunFile, out: Out = None, quiet: Quiet = False, verbose: Verbose = False) -> None:
        from geospde.run.pipeline import run_step

        with _listening(quiet, verbose) as progress:
            work = run_step(name, run_file, out=out, progress=progress)
        if not quiet:
            print(_what_next(name, work, run_file, out))

    command.__doc__ = what
    app.command(name)(command)


_add_step("mesh", "One step: build the mesh and draw it, in the run's folder.")
_add_step("fit", "One step: fit the model on the mesh in the run's folder, and check the fit.")
_add_step("predict", "One step: predict from the fit in the run's folder.")
_add_step("map", "One step: draw the maps of the prediction in the run's folder, and layers for QGIS.")
_add_step("report", "One step: write the report of what is in the run's folder.")


@app.command()
def validate(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN.toml|FOLDER", show_default=False, help="The run file, or the folder of a run."),
    ],
    folds: Annotated[
        str | None,
        typer.Option(metavar="KIND", show_default=False, help="blocks (the default), random, loo or buffered."),
    ] = None,
    k: Annotated[int | None, typer.Option("--k", show_default=False, help="How many folds; 10 by default.")] = None,
    distance: Annotated[
        float | None,
        typer.Option(show_default=False, help="Side of the blocks, radius of the buffer; by default the fitted range."),
    ] = None,
    seed: Annotated[int | None, typer.Option(show_default=False, help="Of folds and draws; 0 by default.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", show_default=False, help="Folder to write; by default the run's with -validation."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier validation's folder.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Cross-validate the model: its scores beside those of simpler models.

    The fit in the run's folder is taken if inputs and settings are still the same. With --json nothing is written
    unless --out says where.
    """
    from geospde.run.validate import validate_run

    with _listening(quiet or as_json, verbose) as progress:
        write = out is not None or not as_json
        result = validate_run(
            run, folds=folds, k=k, distance=distance, seed=seed, out=out, write=write, overwrite=overwrite,
            progress=progress,
        )  # fmt: skip
    if as_json:
        _print_json(result.to_dict())
    elif not quiet:
        from geospde.cli.terminal import print_validation

        print_validation(result)


@app.command()
def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="A B", show_default=False, help="Run files and folders of runs, of the same data."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", show_default=False, help="Folder to write: tables, pictures, difference maps."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier comparison's folder.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Put models or runs side by side: criteria, differences with standard errors, parameters, difference maps.

    Fits and predictions in the runs' folders are taken if inputs and settings are still the same.
    """
    from geospde.run.compare import compare_runs

    with _listening(quiet or as_json, verbose) as progress:
        compared = compare_runs(runs, out=out, overwrite=overwrite, progress=progress)
    if as_json:
        _print_json(compared.to_dict())
    elif not quiet:
        from geospde.cli.terminal import print_comparison

        print_comparison(compared)


@app.command()
def info(as_json: Json = False) -> None:
    """Print versions, solver and threads."""
    from geospde.export.provenance import machine, versions
    from geospde.survey.datasets import data_folder

    facts: dict[str, Any] = {**versions(), "solver": _solver(), **machine(), "data": str(data_folder())}
    if as_json:
        _print_json(facts)
        return
    width = max(map(len, facts))
    for name, fact in facts.items():
        print(f"{name:{width}}  {fact if fact is not None else '-'}")


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


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0 well; 1 a fault in geospde; 2 a mistake in the input; 3 a computation that failed; 130 interrupted.
    Errors are one sentence on stderr, with ``--json``, too; ``--verbose`` adds the traceback.

    Examples
    --------
    >>> main(["--version"])
    geospde ...
    0
    """
    if arguments is None:
        return _as_program()
    arguments = list(arguments)
    try:
        app(arguments, prog_name="geospde")
        return 0
    except SystemExit as leaving:  # typer's own way out, after help and usage errors too
        return leaving.code if isinstance(leaving.code, int) else 0
    except (_Interrupted, KeyboardInterrupt):
        return _say("interrupted; nothing was written", 130)
    except GeospdeError as error:
        _trace(arguments)
        return _say(str(error), error.exit_code, error)
    except MemoryError as error:
        _trace(arguments)
        return _say("out of memory: take a coarser mesh or larger cells", 3, error)
    except Exception as error:
        _trace(arguments)
        kind = type(error).__name__
        return _say(f"a fault in geospde, please report it: {kind}: {error} (--verbose shows where)", 1, error)


def _as_program() -> int:
    """Run the process's own arguments. Most of a run's objects are modules: collecting them takes a second in all."""
    gc.set_threshold(50_000, 20, 20)
    try:
        return main(sys.argv[1:])
    finally:
        gc.freeze()


def _say(sentence: str, code: int, error: BaseException | None = None) -> int:
    """Print a sentence, with what was noted on the error on its way, and return the exit code."""
    words = "; ".join([sentence, *getattr(error, "__notes__", ())])
    print(f"geospde: {' '.join(words.split())}", file=sys.stderr)
    return code


def _print_json(content: Mapping[str, Any]) -> None:
    from geospde.export.provenance import json_text

    print(json_text(content))


def _trace(arguments: Sequence[str]) -> None:
    if {"--verbose", "-v"} & set(arguments):
        import traceback

        traceback.print_exc()


class _Interrupted(Exception):
    """Ctrl-C, under a name that typer leaves alone."""


@contextmanager
def _listening(quiet: bool, verbose: bool) -> Iterator[Progress]:
    """Give the progress to show: bars on a terminal, else a line a step, else nothing."""
    from geospde.cli.console import Bars, Lines, Quiet

    signal.signal(signal.SIGTERM, _terminate)
    bars = sys.stderr.isatty() and not verbose
    listener = Quiet(verbose) if quiet else Bars() if bars else Lines(verbose)
    try:
        with listener as progress:
            yield progress
    except KeyboardInterrupt:
        raise _Interrupted from None


def _terminate(number: int, _frame: Any) -> None:
    """Leave by an exception, so that what is half written is cleared away."""
    sys.exit(128 + number)


def _where(result: RunResult) -> str:
    """Return the lines that tell where a run's files are."""
    from geospde.text.words import counted

    folder, names = result.folder, [path.stem for path in result.figures]
    bands = ", ".join(c for c in result.prediction.to_frame().columns if c not in ("x", "y"))
    rows = [
        ("report.html", "maps, tables and settings on one page"),
        ("prediction.tif", f"layers for a GIS: {bands}"),
        ("figures/", f"{counted(len(names), 'map')} for a paper: {', '.join(names)}"),
        ("*.csv", "the tables behind them"),
    ]
    width = max(len(name) for name, _ in rows)
    seconds = sum(result.seconds.values())
    lines = [f"{result.survey.name} is mapped, in {seconds:.1f} s: {folder}"]
    return "\n".join([*lines, *(f"  {name:{width}}  {what}" for name, what in rows)])


def _what_next(name: str, work: Work, run_file: Path, out: Path | None) -> str:
    """Return the line that tells what a step has made, and which step comes next."""
    from geospde.run.pipeline import STEPS, step_after

    made = next(step.makes for step in STEPS if step.name == name)
    told, following = f"{made} made in {out or work.config.folder()}", step_after(work)
    if following is None:
        return told
    return f"{told}; next: geospde {following.command} {run_file}" + ("" if out is None else f" --out {out}")


def _solver() -> str:
    try:
        import cvxopt.cholmod  # noqa: F401
    except ImportError:
        return "SuperLU (scipy)"
    return "CHOLMOD (cvxopt)"
