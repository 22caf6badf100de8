"""``geospde rerun``: a run repeated from its record, and compared."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from geospde.cli.options import Json, MaxMemory, Out, Silent, Verbose, listening, print_json


def rerun(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", show_default=False, help="A run's folder.")],
    out: Out = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier run at --out.")] = False,
    max_memory: MaxMemory = None,
    as_json: Json = False,
    quiet: Silent = False,
    verbose: Verbose = False,
) -> None:
    """Repeat a run from its run.json and compare every file; exit code 3 if one differs. The run stays as it is."""
    from geospde.run.repeating.rerun import rerun

    with listening(quiet or as_json, verbose, max_memory) as progress:
        found = rerun(folder, out=out, overwrite=overwrite, progress=progress)
    if as_json:
        print_json(found.to_dict())
    elif not quiet or not found.is_same:
        width = max(map(len, found.files))
        for name, state in found.files.items():
            print(f"{name:{width}}  {state}")
        for name, (then, now) in found.versions.items():
            print(f"{name} was {then} and is {now}")
        print(f"{folder} {'was made again, the same' if found.is_same else 'was made again and differs'}")
    if not found.is_same:
        raise typer.Exit(3)
