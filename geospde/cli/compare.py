"""``geospde compare``: models or runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from geospde.cli.options import Json, Silent, Verbose, listening, print_json


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
    quiet: Silent = False,
    verbose: Verbose = False,
) -> None:
    """Put models or runs side by side: criteria, differences with standard errors, parameters, difference maps.

    Fits and predictions in the runs' folders are used if inputs and settings are still the same.
    """
    from geospde.run.compare import compare_runs

    with listening(quiet or as_json, verbose) as progress:
        compared = compare_runs(runs, out=out, overwrite=overwrite, progress=progress)
    if as_json:
        print_json(compared.to_dict())
    elif not quiet:
        from geospde.cli.terminal import print_comparison

        print_comparison(compared)
