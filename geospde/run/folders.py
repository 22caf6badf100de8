"""Folders that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

from geospde.errors import GeospdeWarning, InputError, alert
from geospde.linalg.signals import Postponed
from geospde.run.swap import WRITTEN, partial_folder, partial_name, recover, remove, swap
from geospde.text.files import is_full
from geospde.text.words import is_name

# what a user can mend: no permission, a read-only disk, a name too long, a file where a folder belongs
_MENDABLE = {
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.EFBIG,
}

_LONGEST = "PC_NAME_MAX"  # bytes of a name


@contextmanager
def whole_folder(
    target: str | Path,
    *,
    overwrite: bool = False,
    mark: str = "run.json",
    what: str = "run",
    reads: Sequence[str | Path] = (),
    writes: Sequence[str] = (),
) -> Iterator[Path]:
    """Give a folder to fill that becomes `target` once all is written; on any failure nothing is left of it.

    Parameters
    ----------
    target : path
        Where the folder is to appear. Its parents are made.
    overwrite : bool
        Replace a folder that is there already. The old one stays until the new one is whole.
    mark : str
        Only a folder that holds a file of this name is replaced: others hold somebody's other work.
    what : str
        What the folder is of, for messages.
    reads : sequence of paths
        Files that it is made from: a folder that holds one of them is not replaced.
    writes : sequence of str
        Patterns of all files that it may hold, such as ``"figures/*.png"``, beside `mark`: a folder that holds any
        other is somebody's, too, and not replaced. None are looked for where there are no patterns.

    Yields
    ------
    pathlib.Path
        The folder to fill: a sibling of `target`, so that a rename moves it.

    Raises
    ------
    InputError
        If `target` cannot or must not be written, or the disk is full.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     with whole_folder(Path(parent) / "run") as folder:
    ...         _ = (folder / "run.json").write_text("{}")
    ...     os.listdir(parent)
    ['run']
    """
    shown, target = str(target), _placed(target)
    made: list[Path] = []
    partial, aside = None, None
    with ExitStack() as stack:
        try:
            recover(target)
            _refuse_all(target, shown, overwrite, mark, what, reads, writes)
            made = _make_parents(target.parent)
            partial = stack.enter_context(partial_folder(target))
            partial.chmod(0o777 & ~_umask())
            yield partial
            # it may have come into being meanwhile, or somebody has put something there
            _refuse_all(target, shown, overwrite, mark, what, reads, writes)
            with Postponed():
                aside = swap(partial, target)
                WRITTEN.append(shown)
        except BaseException as error:
            full = partial is not None and is_full(partial, error)
            if partial is not None:
                shutil.rmtree(partial, ignore_errors=True)
            for folder in reversed(made):
                try:
                    folder.rmdir()
                except OSError:  # somebody else has put something there
                    break
            if full:
                raise InputError(
                    f"the disk of {shown} is full, and nothing was written: free some or choose another folder"
                ) from error
            mendable = _MENDABLE if partial is not None else {*_MENDABLE, errno.ENOENT}  # as of folders in /proc
            if isinstance(error, OSError) and error.errno in mendable:
                raise _unwritable(shown, error) from error
            raise
    if aside is not None and not remove(aside):
        message = f"the {what} that was in {shown} could not be removed wholly: what is left of it is {aside}"
        alert(GeospdeWarning(message, remedy="let its owner remove it"))


def refuse_folder(
    target: str | Path,
    *,
    overwrite: bool = False,
    mark: str = "run.json",
    what: str = "run",
    reads: Sequence[str | Path] = (),
    writes: Sequence[str] = (),
) -> None:
    """Raise InputError where `whole_folder` would, as far as that can be seen without writing anything.

    Parameters
    ----------
    target, overwrite, mark, what, reads, writes
        As of `whole_folder`.

    Examples
    --------
    >>> refuse_folder("/dev/null")
    Traceback (most recent call last):
        ...
    geospde.errors.InputError: /dev/null is a file: choose another folder for the output
    """
    shown, target = str(target), _placed(target)
    try:
        _refuse_all(target, shown, overwrite, mark, what, reads, writes)
        above = nearest_folder(target.parent)
        missing = [partial_name(target), *target.parent.relative_to(above).parts]
        if not above.is_dir():
            raise _os_error(errno.ENOTDIR)
        if not os.access(above, os.W_OK | os.X_OK) or above.parts[1:2] in (("proc",), ("sys",)):
            raise _os_error(errno.EACCES)
        if hasattr(os, "pathconf") and max(len(os.fsencode(name)) for name in missing) > os.pathconf(above, _LONGEST):
            raise _os_error(errno.ENAMETOOLONG)
    except OSError as error:
        if error.errno in {*_MENDABLE, errno.ENOENT}:
            raise _unwritable(shown, error) from error
        raise


def nearest_folder(target: str | Path) -> Path:
    """The folder itself, or the nearest one above it that is there."""
    folder = Path(target).expanduser().absolute()
    while not folder.exists():
        folder = folder.parent
    return folder


def _os_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def _unwritable(shown: str, error: OSError) -> InputError:
    return InputError(f"cannot write {shown}: {error.strerror}; choose another folder")


def _placed(target: str | Path) -> Path:
    """The folder itself, whatever links to it; raises InputError for what no folder can be called."""
    shown, target = str(target), Path(target).expanduser().absolute()
    if os.path.islink(target):
        target = Path(os.path.realpath(target))
    try:
        os.stat(target)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise InputError(f"{shown} leads to a link to itself: choose another folder for the output") from None
    if target.name and not is_name(target.name):
        raise InputError(f"a folder cannot be called {target.name!r}: choose a name that shows, on one line")
    return target


@contextmanager
def amended_folder(target: str | Path, replaced: Sequence[str], *, mark: str = "run.json") -> Iterator[Path]:
    """Give a copy of a folder without some of its files; it takes the folder's place once those are written anew.

    Parameters
    ----------
    target : path
        The folder; one that is not there yet is begun.
    replaced : sequence of str
        Patterns of the files to leave out, such as ``"figures/*.png"``. Every other file of the copy is the same file
        under a second name where the disk allows it: replace it, never write into it.
    mark : str
        As of `whole_folder`.

    Yields
    ------
    pathlib.Path
        The copy.

    Raises
    ------
    InputError
        As of `whole_folder`.
    """
    with whole_folder(target, overwrite=True, mark=mark) as folder:
        old = Path(target).expanduser()
        if old.is_dir():
            shutil.copytree(old, folder, symlinks=True, copy_function=_linked, dirs_exist_ok=True)
        before = _files(folder)
        for pattern in replaced:
            for path in folder.glob(pattern):
                path.unlink()
        yield folder
        for name in _files(old) - before - _files(folder):  # that somebody has put there meanwhile
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            _linked(str(old / name), str(folder / name))


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def unlink_from_original(path: Path) -> None:
    """Make a file of an `amended_folder` one of its own, to be written into."""
    own = path.with_name(f".{path.name}.own")
    shutil.copy2(path, own)
    own.replace(path)


def _linked(source: str, destination: str) -> None:
    """Give a file a second name, or copy it where the disk has no such links."""
    try:
        os.link(source, destination)
    except OSError:
        shutil.copy2(source, destination)


def _refuse_all(
    target: Path, shown: str, overwrite: bool, mark: str, what: str, reads: Sequence[str | Path], writes: Sequence[str]
) -> None:
    """Raise an InputError if no folder may take the place of `target`."""
    _refuse(target, shown, overwrite, mark, what)
    _refuse_to_lose(target, shown, reads)
    if writes:
        _refuse_strangers(target, shown, (mark, *writes), what)
    _refuse_mount(target, shown)
    _refuse_foreign(target, shown)


def _refuse(target: Path, shown: str, overwrite: bool, mark: str, what: str) -> None:
    """Raise an InputError if `target` must not be replaced."""
    if target.exists() and not target.is_dir():
        raise InputError(f"{shown} is a file: choose another folder for the output")
    if not target.is_dir() or not any(target.iterdir()):
        return
    if not (target / mark).is_file():
        raise InputError(
            f"{shown} is not empty and holds no {mark}, so it is not the folder of a {what} and stays as it is: "
            "choose another folder"
        )
    if not overwrite:
        raise InputError(f"{shown} holds an earlier {what}: choose another folder (--out) or replace it (--overwrite)")


def _refuse_to_lose(target: Path, shown: str, files: Sequence[str | Path]) -> None:
    """Raise an InputError if one of some files would go with the folder that stands at `target`."""
    for path in map(Path, files):
        if path.exists() and (target.resolve() in path.resolve().parents or target in path.absolute().parents):
            what = f"{shown} holds {path.name!r}, which is read, and would be lost with what else is in the folder"
            raise InputError(what, remedy="move that file, or choose another folder (--out)")


_BESIDE = (".aux.xml", ".ovr", "-wal", "-shm", "-journal", "~")
"""What programs that open a file leave beside it: after its name."""
_OF_SYSTEMS = {".DS_Store", "Thumbs.db", "desktop.ini"}


def _refuse_strangers(target: Path, shown: str, patterns: Sequence[str], what: str) -> None:
    """Raise an InputError if a file in `target` is none of those that are written there: it would be lost."""
    for above, folders, files in os.walk(target):
        links = [name for name in folders if os.path.islink(os.path.join(above, name))]
        for name in sorted([*files, *links]):
            place = Path(above, name).relative_to(target).as_posix()
            own = next((place.removesuffix(end) for end in _BESIDE if name.endswith(end)), place)
            if name not in _OF_SYSTEMS and not any(fnmatchcase(own, pattern) for pattern in patterns):
                raise InputError(
                    f"{shown} holds {place!r}, which no {what} writes, and which would be lost",
                    remedy="move it, or choose another folder (--out)",
                )


def _make_parents(folder: Path) -> list[Path]:
    """Make a folder and those above it; return what was made, outermost first."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    made: list[Path] = []
    try:
        for path in reversed(missing):
            path.mkdir(exist_ok=True)
            made.append(path)
    except OSError:  # as of a name too long beneath one that is not
        for path in reversed(made):
            path.rmdir()
        raise
    return made


def _refuse_mount(target: Path, shown: str) -> None:
    """Raise an InputError for a folder that no other can take the place of."""
    if os.path.ismount(target):
        raise InputError(f"{shown} is a mount point, which cannot be replaced: name a folder inside it")


def _refuse_foreign(target: Path, shown: str) -> None:
    """Raise an InputError for another user's folder among those that only their owners may rename, as in /tmp."""
    if not target.exists() or not hasattr(os, "geteuid") or os.geteuid() == 0:
        return
    above = target.parent.stat()
    if above.st_mode & stat.S_ISVTX and os.geteuid() not in (above.st_uid, target.stat().st_uid):
        raise InputError(f"{shown} belongs to another user, who alone can replace it: choose another folder")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
