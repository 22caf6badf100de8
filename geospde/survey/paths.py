"""Paths of inputs, before they are opened."""

from __future__ import annotations

from pathlib import Path

from geospde.errors import InputError, Place
from geospde.text.files import is_special
from geospde.text.words import nearest


def refuse_unreadable(source: str | Path, what: str) -> Path:
    """Return the path of a file that is there.

    Parameters
    ----------
    source : path
    what : str
        What errors call it, such as ``points``.

    Raises
    ------
    InputError
        If there is no such file, or it is a folder (but for a geodatabase), a pipe or a device.
    """
    path = Path(source)
    try:
        path.stat()
    except (OSError, ValueError) as error:  # a name too long, or with a character that no name has
        if not isinstance(error, FileNotFoundError):
            why = error.strerror if isinstance(error, OSError) else error
            raise InputError(f"{str(source)!r} cannot be read: {why}", where=Place(what)) from None
    if is_special(path):
        raise InputError(f"{str(source)!r} is a pipe or a device, not a file", where=Place(what), remedy="name a file")
    if path.is_dir() and path.suffix.casefold() != ".gdb":
        raise InputError(f"{str(source)!r} is a folder: name the file in it", where=Place(what))
    if not path.exists():
        raise InputError(f"there is no file {str(source)!r}{_near(path)}", where=Place(what))
    return path


def _near(path: Path) -> str:
    """Return a hint at a file of nearly this name."""
    if not path.parent.is_dir():
        return f" (nor a folder {str(path.parent)!r})"
    files = sorted(p.name for p in path.parent.glob(f"*{path.suffix}") if p.is_file())
    name = nearest(path.name, files) if path.suffix else None
    if name is None:  # called without its ending, or by another
        stem = nearest(path.stem, [Path(file).stem for file in files])
        name = next((file for file in files if Path(file).stem == stem), None)
    return f": did you mean {name!r}?" if name is not None else ""
