"""One folder in another's place, so that whatever ends the program, a whole one stands there or can be found again.

While a folder is filled it is called ``.NAME.PID@HOST.xxxx.partial``, and so is what is to be removed; one that gives
way ends in ``.old`` until another stands in its place. The next run, or ``geospde info``, puts back or removes those of
processes that have gone. A process holds a lock on what it fills, for its number alone says little: in containers most
have number 1. Where a drive has no locks, number and machine decide.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # as on Windows
    fcntl = None  # type: ignore[assignment]

WRITTEN: list[str] = []
"""The folders that this process has put in their places, the latest last."""
_EXCHANGE, _HERE = 2, -100  # of renameat2: both names change places at once; paths are from the current folder
_LEFT = re.compile(r"\.(?P<process>\d+)(?:@(?P<host>[\w-]*))?\.[^.]+\.(?P<kind>partial|old)$")


@contextmanager
def partial_folder(target: Path) -> Iterator[Path]:
    """Make an empty folder beside `target` that will take its place, and hold a lock on it."""
    with ExitStack() as stack:
        with _locked(target.parent):  # nobody finds it before it is locked
            partial = Path(tempfile.mkdtemp(prefix=_prefix(target), suffix=".partial", dir=target.parent))
            stack.enter_context(_locked(partial))
        yield partial


def partial_name(target: Path) -> str:
    """A name as `partial_folder` gives it."""
    return f"{_prefix(target)}{'x' * 8}.partial"


def _prefix(target: Path) -> str:
    return f".{target.name}.{os.getpid()}@{_host()}."


def swap(partial: Path, target: Path) -> Path | None:
    """Rename `partial` to `target`; return where what was there stands now, to be removed."""
    with _locked(target.parent):
        if not target.exists():
            partial.rename(target)
            return None
        if _exchanged(partial, target):
            return partial
        aside = partial.with_suffix(".old")
        target.rename(aside)
        try:
            partial.rename(target)
        except BaseException:
            aside.rename(target)
            raise
        return aside.rename(partial)


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
            if left is None or path.name != f".{target.name}{left[0]}" or _is_in_use(path, left):
                continue
            if left["kind"] == "old" and not target.exists():
                path.rename(target)
                done.append(f"{target} was put back: the run that was to replace it was killed")
            else:
                how = "was" if remove(path) else "could not be"
                done.append(f"{path.name} {how} removed: a run that was killed had left it")
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
    """Hold a folder's lock, where the system has locks of folders."""
    handle = None if fcntl is None else _opened(folder)
    if fcntl is None or handle is None:
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


def _is_in_use(folder: Path, left: re.Match[str]) -> bool:
    """Tell whether a process still fills a folder: by its lock, or by whether the process in its name is there."""
    handle = None if fcntl is None else _opened(folder)
    if fcntl is None or handle is None:
        return _is_running(left)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no locks here
        return _is_running(left)
    finally:
        os.close(handle)
    return False


def _opened(folder: Path) -> int | None:
    try:
        return os.open(folder, os.O_RDONLY)
    except OSError:
        return None


def _host() -> str:
    return re.sub(r"[^\w-]", "", platform.node(), flags=re.ASCII)[:40]


def _is_running(left: re.Match[str]) -> bool:
    """Tell whether a process is there, or may be, on another machine."""
    process = int(left["process"])
    if left["host"] not in (None, _host()):
        return True
    if sys.platform == "win32":  # where signal 0 is Ctrl-C
        query, denied = 0x1000, 5
        kernel = ctypes.WinDLL("kernel32", use_last_error=True)
        handle = kernel.OpenProcess(query, False, process)
        if handle:
            kernel.CloseHandle(handle)
        return bool(handle) or ctypes.get_last_error() == denied
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # somebody else's
        return True
    return True
