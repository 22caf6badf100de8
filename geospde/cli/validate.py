"""``geospde validate``: the model of a run cross-validated."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from geospde.cli.options import Dask, Json, RunOrFolder, Silent, Verbose, first_look, listening, print_json


def validate(
    run: RunOrFolder,
    folds: Annotated[
        str | None,
        typer.Option(metavar="KIND", show_default=False, help="blocks (the default), random, loo or buffered."),
    ] = None,
    k: Annotated[int | None, typer.Option("--k", show_default=False, help="How many folds; 10 by default.")] = None,
    distance: Annotated[
        float | None,
        typer.Option(show_default=False, help="Side of the blocks, radius of the buffer; by default the fitted range."),
    ] = None,
    seed: Annotated[int | None, typer.Option(show_default=False, help="Seed of folds and draws; 0 by default.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", show_default=False, help="Folder to write; by default the run's name with -validation added."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier validation's folder.")] = False,
    dask: Dask = None,
    as_json: Json = False,
    quiet: Silent = False,
    verbose: Verbose = False,
) -> None:
    """Cross-validate the model: its scores beside those of simpler models.

    The fit in the run's folder is used if inputs and settings are still the same. With --json nothing is written
    unless --out is given.
    """
    source = first_look(run)
    from geospde.run.validate import validate_run

    with listening(quiet or as_json, verbose, scheduler=dask) as progress:
        write = out is not None or not as_json
        result = validate_run(
            source, folds=folds, k=k, distance=distance, seed=seed, out=out, write=write, overwrite=overwrite,
            progress=progress,
        )  # fmt: skip
    if as_json:
        print_json(result.to_dict())
    elif not quiet:
        from geospde.cli.terminal import print_validation

        print_validation(result)
