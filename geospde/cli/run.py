"""``geospde run``: the whole pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from geospde.cli.options import Json, Out, RunFile, Silent, Verbose, listening, print_json

if TYPE_CHECKING:
    from geospde.run.pipeline import RunResult


def run(
    run_file: RunFile,
    out: Out = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run's folder.")] = False,
    as_json: Json = False,
    quiet: Silent = False,
    verbose: Verbose = False,
) -> None:
    """Run the whole pipeline: survey, mesh, fit, prediction, maps, report."""
    from geospde.run import pipeline

    with listening(quiet or as_json, verbose) as progress:
        result = pipeline.run(run_file, out=out, overwrite=overwrite, progress=progress)
    if as_json:
        print_json(result.to_dict())
        return
    if verbose:
        result.fit.summary()
    if not quiet:
        print(where(result))


def where(result: RunResult) -> str:
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
