"""``geospde info``: versions, solver and threads; or what a run's folder is of."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from geospde.cli.options import Json, print_json


def info(
    folder: Annotated[Path | None, typer.Argument(metavar="FOLDER", show_default=False, help="A run's folder.")] = None,
    as_json: Json = False,
) -> None:
    """Print versions, solver and threads; or what a run's folder holds, after tidying up what a killed run left."""
    if folder is not None:
        _print_facts(_of_run(folder), as_json)
        return
    from geospde.export.provenance import machine, versions
    from geospde.linalg.ordering import description
    from geospde.survey.datasets import data_folder

    facts: dict[str, Any] = {**versions(), "solver": description(), **machine(), "data": str(data_folder())}
    _print_facts(facts, as_json)


def _of_run(folder: Path) -> dict[str, Any]:
    """What is known of a run's folder, after what a killed run left has been put right."""
    import sys

    from geospde.run.record import read_record
    from geospde.run.swap import recover

    for sentence in recover(folder.expanduser().absolute()):
        print(f"geospde: {sentence}", file=sys.stderr)
    record = read_record(folder)
    model = record["configuration"].get("model", {})
    return {
        "folder": str(folder),
        "run file": record.get("run_file"),
        "formula": model.get("formula") if isinstance(model, dict) else None,
        "finished": record.get("finished"),
        "steps": ", ".join(record.get("steps", {})),
        "warnings": len(record.get("warnings", [])),
        "geospde": record.get("versions", {}).get("geospde") if isinstance(record.get("versions"), dict) else None,
    }


def _print_facts(facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(facts)
        return
    width = max(map(len, facts))
    for name, fact in facts.items():
        print(f"{name:{width}}  {fact if fact is not None else '-'}")
