"""``geospde explore``: the survey before any model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from geospde.cli.options import Json, RunFile, Silent, Verbose, first_look, listening, print_json


def explore(
    run_file: RunFile,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", show_default=False, help="Folder to write; by default the run's name with -explore added."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier exploration's folder.")] = False,
    as_json: Json = False,
    quiet: Silent = False,
    verbose: Verbose = False,
) -> None:
    """Look at the survey before any model: table, findings, map, histogram, trends, variogram.

    With --json nothing is written unless --out is given.
    """
    source = first_look(run_file)
    from geospde.run.check import explore_run

    with listening(quiet or as_json, verbose) as progress:
        write = out is not None or not as_json
        explored = explore_run(source, out=out, write=write, overwrite=overwrite, progress=progress)
    if as_json:
        print_json(explored.to_dict())
    elif not quiet:
        from geospde.cli.terminal import print_exploration

        print_exploration(explored)
