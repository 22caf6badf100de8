"""Commands for single steps of a run: ``geospde mesh``, ``fit``, ``predict``, ``map``, ``report``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from geospde.cli.options import Dask, MaxMemory, Out, RunFile, Silent, Verbose, first_look, listening

if TYPE_CHECKING:
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


def take_step(
    name: str,
    run_file: Path,
    out: Path | None,
    max_memory: int | None,
    quiet: bool,
    verbose: bool,
    scheduler: str | None = None,
) -> None:
    """Do one step of a run, here or on the workers of a scheduler, and say which comes next."""
    source = first_look(run_file)
    from geospde.run.pipeline import run_step

    with listening(quiet, verbose, max_memory, scheduler) as progress:
        work = run_step(name, source, out=out, progress=progress)
    if not quiet:
        print(_what_next(name, work, run_file, out))


def _what_next(name: str, work: Work, run_file: Path, out: Path | None) -> str:
    """Return the line that tells what a step has made, and which step comes next."""
    from geospde.run.pipeline import STEPS, step_after

    made = next(step.makes for step in STEPS if step.name == name)
    outcome, following = f"{made} made in {out or work.config.folder()}", step_after(work)
    if following is None:
        return outcome
    return f"{outcome}; next: geospde {following.command} {run_file}" + ("" if out is None else f" --out {out}")
