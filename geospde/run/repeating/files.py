"""Files of two runs compared: by bytes, or by what they hold where a file tells when, where or how fast it was made."""

from __future__ import annotations

import json
import re
import sqlite3
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

SAME, CONTENT, OTHER, MISSING, NEW, UNTOLD = "same", "same content", "differs", "missing", "new", "not compared"
WELL = (SAME, CONTENT, UNTOLD)
_TIMES = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|\+00:00| UTC)?|\b\d+(\.\d+)?\s*(ms|s|seconds)\b"
    r"|<th scope=\"row\">[a-z]+</th><td>\d+\.?\d*</td>"  # seconds of a step, in a report
    r"|<th scope=\"row\">dir</th><td>[^<]*</td>"
)
_DATED = re.compile(r'INSERT INTO "(gpkg_\w+|layer_styles)"')  # tables of a GeoPackage that hold dates
_OF_THE_RUN = {
    "started",
    "finished",
    "seconds",
    "versions",
    "machine",
    "saved",
    "run_file",
    "made_from",
    "dir",
    "checksum",
    "path",
}
_LOGS = {"run.log"}  # every line begins with the time


def compare_files(before: Path, after: Path) -> dict[str, str]:
    """Compare every file of two folders.

    Parameters
    ----------
    before, after : pathlib.Path

    Returns
    -------
    dict of str to str
        For each file, by its path in the folders: ``"same"`` (every byte), ``"same content"``, ``"differs"``,
        ``"missing"`` (in the second), ``"new"`` (in the second only) or ``"not compared"`` (a log).
    """
    names = sorted({p.relative_to(f).as_posix() for f in (before, after) for p in f.rglob("*") if p.is_file()})
    return {name: _state(before / name, after / name) for name in names}


def _state(before: Path, after: Path) -> str:
    if not after.is_file():
        return MISSING
    if not before.is_file():
        return NEW
    if before.name in _LOGS:
        return UNTOLD
    if before.read_bytes() == after.read_bytes():
        return SAME
    content = _CONTENTS.get(before.suffix)
    try:
        return CONTENT if content is not None and content(before) == content(after) else OTHER
    except (OSError, ValueError, sqlite3.Error, zipfile.BadZipFile):  # not what its name says
        return OTHER


def _timeless(text: str) -> str:
    return _TIMES.sub("", text)


def _of_json(path: Path) -> Any:
    def without(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without(item) for key, item in value.items() if key not in _OF_THE_RUN}
        return [without(item) for item in value] if isinstance(value, list) else value

    return without(json.loads(path.read_text(encoding="utf-8")))


def _of_text(path: Path) -> str:
    return _timeless(path.read_text(encoding="utf-8"))


def _of_database(path: Path) -> list[str]:
    database = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        return [_timeless(line) if _DATED.match(line) else line for line in database.iterdump()]
    finally:
        database.close()


def _of_arrays(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _of_archive(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        return {name: _timeless(archive.read(name).decode("latin-1")) for name in archive.namelist()}


_CONTENTS: dict[str, Callable[[Path], Any]] = {
    ".json": _of_json, ".html": _of_text, ".gpkg": _of_database, ".qgz": _of_archive, ".npz": _of_arrays,
}  # fmt: skip
