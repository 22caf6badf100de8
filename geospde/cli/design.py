"""``geospde design``: where to sample next."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from geospde.cli.options import Dask, Json, RunFile, Silent, Verbose, first_look, listening, print_json


def design(
    run_file: RunFile,
    add: Annotated[int, typer.Option(help="How many sites.")] = 20,
    candidates: Annotated[
        Path | None,
        typer.Option(
            metavar="LAYER",
            show_default=False,
            help="Points where they may be, or 'mesh' for its vertices; by default anywhere.",
        ),
    ] = None,
    criterion: Annotated[
        str, typer.Option(metavar="WHAT", help="What to reduce: variance, misclassification or region.")
    ] = "variance",
    threshold: Annotated[
        float | None,
        typer.Option(show_default=False, help="The value that places are above or below; for misclassification."),
    ] = None,
    min_distance: Annotated[
        float, typer.Option(help="Smallest distance between new sites, in the unit of the survey's CRS.")
    ] = 0.0,
    costs: Annotated[
        str | None,
        typer.Option(metavar="COL", show_default=False, help="Column of the candidates: what each would cost."),
    ] = None,
    fixed: Annotated[
        Path | None,
        typer.Option(metavar="LAYER", show_default=False, help="Points that are visited anyway."),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(metavar="RASTER", show_default=False, help="What places weigh, such as people; by default even."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", show_default=False, help="Folder to write; by default the run's name with -design added."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier design's folder.")] = False,
    dask: Dask = None,
    as_json: Json = False,
    quiet: Silent = False,
    verbose: Verbose = False,
) -> None:
    """Choose sites to sample next, in order: each is the one that adds most to those already there.

    The fit in the run's folder is used if inputs and settings are still the same.
    """
    source = first_look(run_file)
    from geospde.run.design import design_run

    with listening(quiet or as_json, verbose, scheduler=dask) as progress:
        result = design_run(
            source, add=add, candidates="mesh" if str(candidates) == "mesh" else candidates, criterion=criterion,
            threshold=threshold, min_distance=min_distance, costs=costs, fixed=fixed, weights=weights, out=out,
            overwrite=overwrite, progress=progress,
        )  # fmt: skip
    if as_json:
        print_json(result.to_dict())
    elif not quiet:
        print(f"{str(repr(result.design)).strip('<>')}; sites, waypoints, map and gain: {result.folder}")
