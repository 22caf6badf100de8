"""``geospde predict``: one step of a run, or what it would take."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from geospde.cli.options import Dask, Json, MaxMemory, Out, RunFile, Silent, Verbose, listening, print_json
from geospde.cli.step import take_step


def predict(
    run_file: RunFile,
    out: Out = None,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Say how many cells, seconds and bytes it would take, and write nothing.")
    ] = False,
    dask: Dask = None,
    max_memory: MaxMemory = None,
    as_json: Json = False,
    quiet: Silent = False,
    verbose: Verbose = False,
) -> None:
    """One step: predict from the fit in the run's folder.

    A map of more than five million cells is predicted window by window: interrupted and started again, it goes on
    after the last finished window.
    """
    if not estimate:
        take_step("predict", run_file, out, max_memory, quiet, verbose, dask)
        return
    from geospde.run.progress import StepLog
    from geospde.run.stored_fit import find_run, fitted

    with listening(quiet or as_json, verbose, max_memory) as progress:
        log = StepLog(progress)
        found = fitted(find_run(run_file).with_folder(out), log).estimate(log)
    log.tell()
    if as_json:
        print_json(asdict(found))
    else:
        print(found)
