"""``geospde init``: a run file for a survey's files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from geospde.cli.options import Silent, Verbose, listening
from geospde.errors import InputError


def init(
    context: typer.Context,
    points: Annotated[
        Path, typer.Argument(metavar="POINTS", show_default=False, help="The sites: csv or a layer of points.")
    ],
    coastline: Annotated[
        Path | None,
        typer.Option(metavar="LAYER", show_default=False, help="Outline of the land, which is the area to map."),
    ] = None,
    boundary: Annotated[
        Path | None,
        typer.Option(metavar="LAYER", show_default=False, help="Outline of the area to map, where it is not a coast."),
    ] = None,
    covariate: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="RASTER",
            show_default=False,
            help="A raster that becomes a covariate, or RASTER:BAND; may be repeated.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="RUN.toml", help="The run file to write.")] = Path("run.toml"),
    response: Annotated[
        str | None,
        typer.Option(metavar="COL", show_default=False, help="The response; or 'p(successes, trials)'."),
    ] = None,
    exposure: Annotated[
        str | None,
        typer.Option(
            metavar="COL", show_default=False, help="What each count is out of, such as hours or people; or 'none'."
        ),
    ] = None,
    x: Annotated[
        str | None, typer.Option("--x", metavar="COL", show_default=False, help="Easting or longitude.")
    ] = None,
    y: Annotated[
        str | None, typer.Option("--y", metavar="COL", show_default=False, help="Northing or latitude.")
    ] = None,
    crs: Annotated[
        str | None,
        typer.Option(metavar="EPSG", show_default=False, help="The CRS of the coordinates, or the one to work in."),
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
    exceed: Annotated[
        float | None,
        typer.Option(
            metavar="LIMIT",
            show_default=False,
            help="Map the probability of values above this, and decide where they are.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing and accept the likeliest answers.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run file of that name.")] = False,
    quiet: Silent = False,
    verbose: Verbose = False,
) -> None:
    """Look at a survey's files and write a run file with comments."""
    import shlex

    from geospde.run.proposal import Guesser, Options, Terminal, propose, refuse_target

    for other in map(Path, context.args):
        raise InputError(f"init takes one file of sites, and {other.name!r} stands beside it", remedy=_place_of(other))
    if coastline is not None and boundary is not None:
        raise InputError("give either --coastline or --boundary, the outline of the area to map")
    refuse_target(out, filter(None, (points, coastline, boundary, *(covariate or ()))), overwrite)
    named = "" if out.stem == "run" else out.stem
    bounded = boundary is not None
    options = Options(response, exposure, x, y, crs, family, layer, coastline_layer, exceed, bounded, named)
    guesser = Guesser() if yes or not sys.stdin.isatty() else Terminal()
    with listening(True, verbose):
        proposal = propose(points, boundary or coastline, covariates=covariate or (), options=options, guesser=guesser)
    proposal.write(out, overwrite=overwrite)
    if not quiet:
        named = shlex.quote(str(out))
        print(f"{out} is written\n{proposal.summary()}\nNext: geospde check {named}, then geospde run {named}")


_RASTERS = {".tif", ".tiff", ".vrt", ".nc", ".asc", ".img", ".grd"}


def _place_of(path: Path) -> str:
    """Return which option a further file belongs to, as its ending says."""
    if path.suffix.casefold() in _RASTERS:
        return "write --covariate before a raster"
    return "write --boundary before the outline of the area to map, or --coastline where that is a coast"
