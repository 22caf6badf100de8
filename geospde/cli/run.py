"""``geospde run``: the whole pipeline."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from geospde.cli.options import (
    Dask,
    Interrupted,
    Json,
    MaxMemory,
    Out,
    Silent,
    Verbose,
    first_look,
    listening,
    print_json,
)  # fmt: skip

if TYPE_CHECKING:
    from geospde.run.pipeline import RunResult


def run(
    run_files: Annotated[
        list[Path],
        typer.Argument(metavar="RUN.toml|FOLDER ...", show_default=False, help="Run files, or folders of them."),
    ],
    out: Out = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run's folder.")] = False,
    jobs: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, show_default=False, help="How many runs at a time; by default one per processor."
        ),
    ] = None,
    dask: Dask = None,
    max_memory: MaxMemory = None,
    as_json: Json = False,
    quiet: Silent = False,
    verbose: Verbose = False,
) -> None:
    """Run the whole pipeline: survey, mesh, fit, prediction, maps, report.

    Several run files run side by side, each into its own folder, with a page and a table over all; one that fails
    stops none of the others, and the exit code is then the highest of theirs.
    """
    if len(run_files) > 1 or run_files[0].is_dir():
        raise typer.Exit(_run_many(run_files, out, overwrite, jobs, dask, max_memory, as_json, quiet))
    source = first_look(run_files[0])
    from geospde.run import pipeline

    with listening(quiet or as_json, verbose, max_memory) as progress:
        result = pipeline.run(source, out=out, overwrite=overwrite, progress=progress, client=dask)
    if as_json:
        print_json(result.to_dict())
        return
    if verbose:
        result.fit.summary()
    if not quiet:
        print(where(result))


def _run_many(
    sources: list[Path],
    out: Path | None,
    overwrite: bool,
    jobs: int | None,
    scheduler: str | None,
    max_memory: int | None,
    as_json: bool,
    quiet: bool,
) -> int:
    """Run several files, tell of each as it ends, and return the highest exit code."""
    from geospde.cli.many import Outcome, folders_of, listed_files, run_all, write_summary

    files = listed_files(sources)
    folders = folders_of(files, out)
    silent = quiet or as_json

    def tell(outcome: Outcome) -> None:
        if outcome.error or not silent:
            end = outcome.error or f"{outcome.seconds:.1f} s  {outcome.folder}"
            print(f"{outcome.run_file}: {outcome.state}: {end}", file=sys.stderr, flush=True)

    try:
        with listening(silent, False, max_memory):
            outcomes = run_all(files, folders, overwrite=overwrite, jobs=jobs, tell=tell, scheduler=scheduler)
    except Interrupted:
        raise Interrupted("interrupted; the folders of runs that had ended stay") from None
    mapped = any(outcome.exit_code == 0 for outcome in outcomes)  # else nothing is written
    page = write_summary(outcomes, folders, out) if mapped else None
    if as_json:
        print_json({"runs": [outcome.to_dict() for outcome in outcomes], "page": None if page is None else str(page)})
    elif not quiet:
        from geospde.cli.terminal import print_runs

        print_runs(outcomes)
        if page is not None:
            print(f"maps and reports of all: {page}")
    return max(outcome.exit_code for outcome in outcomes)


def where(result: RunResult) -> str:
    """Return the lines that tell where a run's files are."""
    from geospde.text.words import counted

    folder, names = result.folder, [path.stem for path in result.figures]
    layers = ("regions.gpkg", "the areas with their figures, for a GIS")
    if result.prediction is not None:
        bands = ", ".join(c for c in result.prediction.to_frame().columns if c not in ("x", "y"))
        layers = ("prediction.tif", f"layers for a GIS: {bands}")
    rows = [
        ("report.html", "maps, tables and settings on one page"),
        layers,
        ("figures/", f"{counted(len(names), 'map')} for a paper: {', '.join(names)}"),
        ("*.csv", "the tables behind them"),
    ]
    width = max(len(name) for name, _ in rows)
    seconds = sum(result.seconds.values())
    lines = [f"{result.survey.name} is mapped, in {seconds:.1f} s: {folder}"]
    return "\n".join([*lines, *(f"  {name:{width}}  {what}" for name, what in rows)])
