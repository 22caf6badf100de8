"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from geospde.errors import GeospdeError, InputError

_SOURCE = re.compile(r"<(?:Source|Src)\w+[^>]*>\s*([^<>]+?)\s*<")  # where a virtual layer or raster names another file
_VIRTUAL = 1_000_000  # bytes that are looked at of one
MOST_COLUMNS = 2_000  # of a table
_FULL = {errno.ENOSPC, errno.EDQUOT}
_SCRAPS = 1_000_000  # bytes: what SQLite may give back of a full disk when it rolls back


@contextmanager
def whole_file(target: str | os.PathLike[str], *, make_folders: bool = False) -> Iterator[Path]:
    """Give the name of a file to write, which becomes `target` once it is whole; an earlier one stays until then.

    Parameters
    ----------
    target : path
    make_folders : bool
        Make the folders above it that are not there.

    Raises
    ------
    InputError
        If it cannot be written, its folder is not there, or the disk is full.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with whole_file(f"{folder}/sites.csv") as path:
    ...         _ = path.write_text("x,y")
    ...     os.listdir(folder)
    ['sites.csv']
    """
    target = Path(target)
    if not make_folders and not target.parent.is_dir():
        raise InputError(f"cannot write {target}: there is no folder {target.parent}")
    partial = target.with_name(f".{os.getpid()}.partial.{target.name}")  # drivers look at how a name ends
    try:
        if make_folders:
            target.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        os.replace(partial, target)
    except Exception as error:
        if is_full(target.parent, error):
            raise InputError(
                f"cannot write {target}: the disk is full", remedy="free some of it or choose another folder"
            ) from error
        if isinstance(error, OSError):
            why = error.strerror or str(error).splitlines()[0]
            raise InputError(f"cannot write {target}: {why}", remedy="choose another folder or name") from error
        raise
    finally:
        for scrap in (partial, partial.with_name(f"{partial.name}-journal")):
            try:
                scrap.unlink(missing_ok=True)
            except OSError:  # where no file can be, in place of a folder
                pass


def is_full(folder: Path, error: BaseException) -> bool:
    """Tell whether a full disk is behind an error, also where a library has made something else of it."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _FULL:
            return True
        cause = cause.__cause__
    if os.strerror(errno.ENOSPC) in str(error):
        return True
    foreign = isinstance(error, Exception) and not isinstance(error, GeospdeError)
    return foreign and folder.is_dir() and shutil.disk_usage(folder).free < _SCRAPS


def is_special(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path is a pipe or a device: a reader would wait for it, or never come to its end."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def refuse_special(path: str | os.PathLike[str]) -> None:
    """Raise InputError for a pipe or a device.

    Examples
    --------
    >>> refuse_special(os.devnull)
    Traceback (most recent call last):
        ...
    geospde.errors.InputError: '/dev/null' is a pipe or a device, not a file: name a file
    """
    if is_special(path):
        raise InputError(f"{os.fspath(path)!r} is a pipe or a device, not a file", remedy="name a file")


def refuse_special_with(path: str | os.PathLike[str]) -> None:
    """Raise InputError where GDAL, with this file, would open a pipe or a device.

    That is one beside it whose name begins alike, such as ``s.dbf`` or ``z.tif.msk``, or one that a virtual layer or
    raster names.
    """
    seen, open_ = set(), [Path(path)]
    while open_:
        file = open_.pop()
        refuse_special(file)
        if file in seen or not file.is_file():
            continue
        seen.add(file)
        with suppress(PermissionError):  # of a folder whose files may be read, and not listed
            for beside in file.parent.iterdir():
                if beside.name.startswith(f"{file.stem}.") and is_special(beside):
                    what = f"{beside.name!r} beside {file.name!r} is a pipe or a device"
                    raise InputError(what, remedy="take it away")
        if file.suffix.casefold() == ".vrt":
            with file.open(encoding="utf-8", errors="replace") as opened:
                open_ += [file.parent / name for name in _SOURCE.findall(opened.read(_VIRTUAL)) if "\0" not in name]
