"""A run file as text: sections, keys, and above each key why it is what it is."""

from __future__ import annotations

import json
import os
import re
import tempfile
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from geospde.errors import InputError
from geospde.run.sections.model import INPUTS

WIDTH = 110


@dataclass(frozen=True)
class Entry:
    """A key of a run file.

    Attributes
    ----------
    section, key : str
        An empty key stands for a comment alone.
    value
        Text, number, list, or a mapping that becomes an inline table.
    comment : str
        What stands above it.
    """

    section: str
    key: str
    value: Any
    comment: str = ""


def nested(entries: Iterable[Entry]) -> dict[str, dict[str, Any]]:
    """Return entries as a run file's nested keys, as `geospde.run.config.read_config` takes them."""
    keys: dict[str, dict[str, Any]] = {}
    for entry in entries:
        keys.setdefault(entry.section, {})
        if entry.key:
            keys[entry.section][entry.key] = entry.value
    return keys


def toml(entries: Iterable[Entry], heading: str = "") -> str:
    """Return entries as TOML, each with its comment above it.

    Examples
    --------
    >>> print(toml([Entry("mesh", "max_edge", [80.0, 160.0], "A quarter of the range.")]))
    [mesh]
    # A quarter of the range.
    max_edge = [80, 160]
    """
    lines = [_comment(heading)] if heading else []
    section = None
    for entry in entries:
        if entry.section != section:
            section = entry.section
            lines += ["", f"[{section}]"] if lines else [f"[{section}]"]
        if entry.comment:
            lines.append(_comment(entry.comment))
        if entry.key:
            lines.append(f"{_key(entry.key)} = {_value(entry.value)}")
    return "\n".join(lines) + "\n"


def _comment(text: str) -> str:
    """Wrap paragraphs into comment lines; an indented line stays as it is."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        wrapped = [paragraph] if paragraph.startswith(" ") else textwrap.wrap(
            paragraph, WIDTH - 2, break_long_words=False, break_on_hyphens=False
        )  # fmt: skip
        lines += [f"# {line}".rstrip() for line in wrapped or [""]]
    return "\n".join(lines)


def _key(key: str) -> str:
    return key if re.fullmatch(r"[\w-]+", key, re.ASCII) else _value(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{_key(str(k))} = {_value(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    return f"{value:.10g}"


def write_run_file(entries: Iterable[Entry], heading: str, target: Path, *, overwrite: bool = False) -> None:
    """Write entries as a run file, whole or not at all.

    Parameters
    ----------
    entries : iterable of Entry
        In order; the paths in them as they were given.
    heading : str
        The comment at the head of the file.
    target : Path
        The file; its folder must exist. Paths of inputs are written from there.
    overwrite : bool
        Replace a run file of that name.

    Raises
    ------
    InputError
        If there is a file already, it is one of the survey's own, or it cannot be written.
    """
    entries = list(entries)
    refuse_target(target, [e.value for e in entries if e.section == "survey" and e.key in INPUTS], overwrite)
    text = toml([_from_there(entry, target.parent) for entry in entries], heading)
    partial = None
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=target.parent, prefix=f".{target.name}.", delete=False
        ) as file:
            partial = Path(file.name)
            file.write(text)
        partial.chmod(0o666 & ~_umask())
        partial.replace(target)
    except OSError as error:
        raise InputError(f"cannot write {str(target)!r}: {error.strerror}; choose another file with --out") from None
    finally:
        if partial is not None:
            partial.unlink(missing_ok=True)


def refuse_target(target: Path, inputs: Iterable[str | Path], overwrite: bool) -> None:
    """Raise an InputError if a run file must not be written there."""
    if target.is_dir():
        raise InputError(f"{str(target)!r} is a folder: name a file in it, such as {str(target / 'run.toml')!r}")
    if not target.parent.is_dir():
        raise InputError(f"there is no folder {str(target.parent)!r} for the run file")
    for name in inputs:
        if Path(name).expanduser().resolve() == target.resolve():
            raise InputError(f"{str(target)!r} is the survey's own file: choose another one with --out")
    if target.exists() and not overwrite:
        raise InputError(f"{str(target)!r} already exists: choose another file (--out) or replace it (--overwrite)")


def _from_there(entry: Entry, folder: Path) -> Entry:
    """Return an entry with the path in it, if it has one, as it is written."""
    if entry.section == "survey" and entry.key in INPUTS:
        return replace(entry, value=_from(entry.value, folder))
    if entry.section == "covariates":
        return replace(entry, value={**entry.value, "raster": _from(entry.value["raster"], folder)})
    return entry


def _from(path: str, folder: Path) -> str:
    """Return an input's path as it is written: from the run file's folder, absolute where that climbs far."""
    whole = Path(path).expanduser().resolve()
    try:
        relative = Path(os.path.relpath(whole, folder.resolve())).as_posix()
    except ValueError:  # another drive
        return whole.as_posix()
    return whole.as_posix() if relative.startswith("../../..") else relative


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
