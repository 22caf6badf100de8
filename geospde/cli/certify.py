"""``geospde certify``: how far a run's fit is from the exact posterior."""

from __future__ import annotations

from typing import Annotated

import typer

from geospde.cli.options import Json, RunOrFolder, Silent, Verbose, first_look, listening, print_json


def certify(
    run: RunOrFolder,
    draws: Annotated[int, typer.Option(help="How many draws.")] = 2000,
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 1,
    as_json: Json = False,
    quiet: Silent = False,
    verbose: Verbose = False,
) -> None:
    """Measure how far a fit is from the exact posterior by importance sampling, and correct its figures; write nothing.

    The fit in the run's folder is used if inputs and settings are still the same.
    """
    source = first_look(run)
    from geospde.run.certify import certify_run

    with listening(quiet or as_json, verbose) as progress:
        result = certify_run(source, draws=draws, seed=seed, progress=progress)
    if as_json:
        print_json(result.to_dict())
    elif not quiet:
        from geospde.cli.terminal import print_certificate

        print_certificate(result.certificate)
