"""Commands for single steps of a run: ``geospde mesh``, ``fit``, ``predict``, ``map``, ``report``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from geospde.cli.options import Dask, MaxMemory, Out, RunFile, Silent, Verbose, first_look, listening

if TYPE_CHECKING:
    from geospde.run.config import Config
    from geospde.run.work import Work


def step_command(name: str, what: str) -> Callable[..., None]:
    """Return the command for one step of a run.

    Parameters
    ----------
    name : str
        Of the step.
    what : str
        What the help says that it does.
    """

    def command(
        run_file: RunFile,
        out: Out = None,
        max_memory: MaxMemory = None,
        quiet: Silent = False,
        verbose: Verbose = False,
    ) -> None:
        take_step(name, run_file, out, max_memory, quiet, verbose)

    command.__doc__ = f"One step: {what}"
    return command


def fit(
    run_file: RunFile,
    out: Out = None,
    dask: Dask = None,
    max_memory: MaxMemory = None,
    quiet: Silent = False,
    verbose: Verbose = False,
) -> None:
    """One step: fit the model on the mesh in the run's folder, and check the fit."""
    take_step("fit", run_file, out, max_memory, quiet, verbose, dask)


def regions(
    run_file: RunFile,
    areas: Annotated[
        list[Path] | None,
        typer.Option(metavar="LAYER", show_default=False, help="Polygons, in place of [regions]; may be repeated."),
    ] = None,
    layer: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", show_default=False, help="The layer of LAYER, if several; may be repeated."),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(metavar="RASTER", show_default=False, help="Weights of cells, such as people.")
    ] = None,
    kind: Annotated[
        str | None, typer.Option(metavar="KIND", show_default=False, help="'mean', 'total' or 'share'.")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(metavar="LIMIT", show_default=False, help="What a share is above.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="COL", show_default=False, help="The column with the areas' names.")
    ] = None,
    out: Out = None,
    max_memory: MaxMemory = None,
    quiet: Silent = False,
    verbose: Verbose = False,
) -> None:
    """One step: predict for areas, of [regions] or of LAYER, from the fit in the run's folder."""
    keys = {
        "areas": [str(path.absolute()) for path in areas] if areas else None,
        "layer": layer or None,
        "weights": None if weights is None else str(weights.absolute()),
        "kind": kind,
        "threshold": threshold,
        "name": name,
    }
    take_step("regions", run_file, out, max_memory, quiet, verbose, regions=keys)


def take_step(
    name: str,
    run_file: Path,
    out: Path | None,
    max_memory: int | None,
    quiet: bool,
    verbose: bool,
    scheduler: str | None = None,
    regions: dict[str, Any] | None = None,
) -> None:
    """Do one step of a run, here or on the workers of a scheduler, and say which comes next."""
    source = _with_regions(first_look(run_file), regions or {})
    from geospde.run.pipeline import run_step

    with listening(quiet, verbose, max_memory, scheduler) as progress:
        work = run_step(name, source, out=out, progress=progress)
    if not quiet:
        print(_what_next(name, work, run_file, out))


def _with_regions(source: Path | Config, given: dict[str, Any]) -> Path | Config:
    """Return a run file's content with the keys of [regions] that a call names, other areas in place of all of it."""
    keys = {key: value for key, value in given.items() if value is not None}
    if not keys or isinstance(source, Path):
        return source
    return source.replacing("regions", keys if "areas" in keys else {**source.regions.given(), **keys})


def _what_next(name: str, work: Work, run_file: Path, out: Path | None) -> str:
    """Return the line that tells what a step has made, and which step comes next."""
    from geospde.run.pipeline import STEPS, step_after

    made = next(step.makes for step in STEPS if step.name == name)
    outcome, following = f"{made} made in {out or work.config.folder()}", step_after(work)
    if following is None:
        return outcome
    return f"{outcome}; next: geospde {following.command} {run_file}" + ("" if out is None else f" --out {out}")
