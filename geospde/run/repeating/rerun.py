"""A run made once more from its ``run.json``, and each file of it compared with the one that is there."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geospde.errors import InputError
from geospde.export.provenance import sha256, versions
from geospde.run.config import recorded_config
from geospde.run.pipeline import run
from geospde.run.progress import Progress
from geospde.run.record import read_record
from geospde.run.repeating.files import WELL, compare_files


@dataclass(frozen=True)
class Rerun:
    """What `rerun` found.

    Attributes
    ----------
    folder : pathlib.Path
        The run that was repeated.
    out : pathlib.Path or None
        Where the repetition stands, if it was to stay.
    files : dict of str to str
        How each file compares, as `geospde.run.repeating.files.compare_files` says.
    versions : dict of str to (str, str)
        Libraries that are another version now: that of the record, and this.
    """

    folder: Path
    out: Path | None
    files: dict[str, str]
    versions: dict[str, tuple[str, str]]

    @property
    def is_same(self) -> bool:
        """Whether no file differs, is missing or new."""
        return all(state in WELL for state in self.files.values())

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain types, for JSON."""
        out = None if self.out is None else str(self.out)
        return {
            "folder": str(self.folder), "out": out, "same": self.is_same, "files": self.files,
            "versions": {name: list(pair) for name, pair in self.versions.items()},
        }  # fmt: skip


def rerun(
    folder: str | Path, *, out: str | Path | None = None, overwrite: bool = False, progress: Progress | None = None
) -> Rerun:
    """Repeat a run from what its ``run.json`` says, and compare every file.

    Parameters
    ----------
    folder : path
        The run's; it stays as it is.
    out : path, optional
        Where the repetition is to stay; by default it is removed again.
    overwrite : bool
        Replace an earlier run's folder at `out`.
    progress : Progress, optional
        Told of every step.

    Returns
    -------
    Rerun

    Raises
    ------
    InputError
        If the folder is no run's, or a file that it was made from is not there or has changed.
    NumericalError
        If the model cannot be fitted.
    """
    folder = Path(folder).expanduser()
    record = read_record(folder)
    file, root = _run_file(record, folder)
    _require_inputs(record, root)
    config = recorded_config(record, file)
    changed = _changed_versions(record)
    if out is not None:
        if Path(out).expanduser().resolve() == folder.resolve():
            raise InputError(f"{out} is the run that is to be repeated: choose another folder for the repetition")
        run(config, out=out, overwrite=overwrite, progress=progress)
        return Rerun(folder, Path(out), compare_files(folder, Path(out).expanduser()), changed)
    with tempfile.TemporaryDirectory(prefix="geospde-rerun-") as place:
        again = Path(place) / folder.resolve().name
        run(config, out=again, progress=progress)
        return Rerun(folder, None, compare_files(folder, again), changed)


def _run_file(record: Mapping[str, Any], folder: Path) -> tuple[Path | None, Path]:
    """Return the run file that a record names, and the folder that its paths start at."""
    named = record.get("run_file")
    if not isinstance(named, str):
        return None, Path()
    above = folder.resolve().parents
    for root in (Path(), *above):
        if (root / named).is_file():
            return root / named, root
    raise InputError(
        f"the run file {named} that made {folder} is not there", remedy="go to the folder that it was run in"
    )


def _require_inputs(record: Mapping[str, Any], root: Path) -> None:
    """Raise an InputError for a file that is not what it was; the run file may be, for the record says what it said."""
    for entry in record.get("inputs", ()):
        if entry.get("path") == record.get("run_file"):
            continue
        path = root / str(entry.get("path"))
        if not path.is_file():
            raise InputError(f"{path}, which the run was made from, is not there")
        if sha256(path) != entry["sha256"]:
            raise InputError(f"{path} has changed since the run was made: put the earlier file back, or run anew")


def _changed_versions(record: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    then = record.get("versions")
    then = then if isinstance(then, dict) else {}
    return {n: (str(then[n]), now) for n, now in versions().items() if n in then and str(then[n]) != now}
