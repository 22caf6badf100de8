"""One folder in another's place, so that whatever ends the program, a whole one stands there or can be found again.

While a folder is filled it is called ``.NAME.PID.xxxx.partial``, and one that gives way ``.NAME.PID.xxxx.old``. The
next run, or ``geospde info``, puts back or removes those of processes that have gone.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # as on Windows
    fcntl = None  # type: ignore[assignment]

_EXCHANGE, _HERE = 2, -100  # of renameat2: both names change places at once; paths are from the current folder
_WHOSE = {
    "partial": "the run that was filling it was killed",
    "old": "a newer one has taken its place",
}
_LEFT = re.compile(r"\.(\d+)\.[^.]+\.(partial|old)$")


def partial_folder(target: Path) -> Path:
    """Make an empty folder beside `target` that will take its place."""
    return Path(tempfile.mkdtemp(prefix=f".{target.name}.{os.getpid()}.", suffix=".partial", dir=target.parent))


def swap(partial: Path, target: Path) -> Path | None:
    """Rename `partial` to `target`; return where what was there stands now, to be removed."""
    with _locked(target.parent):
        if not target.exists():
            partial.rename(target)
            return None
        aside = partial.with_suffix(".old")
        if _exchanged(partial, target):
            partial.rename(aside)
        else:
            target.rename(aside)
            try:
                partial.rename(target)
            except BaseException:
                aside.rename(target)
                raise
    return aside


def recover(target: Path) -> list[str]:
    """Put back or remove what processes that were killed have left of `target`; say what was done.

    Parameters
    ----------
    target : pathlib.Path
        A run's folder, there or not.

    Returns
    -------
    list of str
        A sentence for each folder.
    """
    if not target.parent.is_dir():
        return []
    done = []
    with _locked(target.parent):
        for path in sorted(target.parent.iterdir()):
            left = _LEFT.search(path.name)
            if left is None or path.name != f".{target.name}{left[0]}" or _is_running(int(left[1])):
                continue
            if left[2] == "old" and not target.exists():
                path.rename(target)
                done.append(f"{target} was put back: the run that was to replace it was killed")
            else:
                done.append(f"{path.name} {'was' if remove(path) else 'could not be'} removed: {_WHOSE[left[2]]}")
    return done


def remove(path: Path) -> bool:
    """Remove a folder, and tell whether nothing is left of it: what other users own in it may stay."""
    shutil.rmtree(path, ignore_errors=True)
    return not path.exists()


def _exchanged(one: Path, other: Path) -> bool:
    """Let two folders change names in one step, where the system can; tell whether it did."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    return bool(rename(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let one process at a time swap folders here, where the system has locks of folders."""
    if fcntl is None:
        yield
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        yield
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:  # a network drive without locks
            pass
        yield
    finally:
        os.close(handle)


def _is_running(process: int) -> bool:
    """Tell whether a process is there."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True
