"""``geospde info``: versions, solver and threads."""

from __future__ import annotations

from typing import Any

from geospde.cli.options import Json, print_json


def info(as_json: Json = False) -> None:
    """Print versions, solver and threads."""
    from geospde.export.provenance import machine, versions
    from geospde.linalg.ordering import description
    from geospde.survey.datasets import data_folder

    facts: dict[str, Any] = {**versions(), "solver": description(), **machine(), "data": str(data_folder())}
    if as_json:
        print_json(facts)
        return
    width = max(map(len, facts))
    for name, fact in facts.items():
        print(f"{name:{width}}  {fact if fact is not None else '-'}")
