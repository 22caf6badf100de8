"""How much memory there is, and what is refused for want of it before it is computed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from geospde.errors import InputError, OutOfMemory
from geospde.text.words import bytes_of

try:
    import resource
except ImportError:  # as on Windows
    resource = None  # type: ignore[assignment]

LIMIT = "GEOSPDE_MAX_MEMORY"  # in the environment, so that processes of a run's share it
ADDRESSES = 2_500_000_000  # bytes of address space that a run's libraries and threads map, most of it never used
_CONTAINERS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
_UNITS = {unit: 1000**power for power, unit in enumerate(("", *"kmgt"))}


def memory_of_machine() -> int | None:
    """Return the machine's memory in bytes, where the system says."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def memory_limit() -> int | None:
    """Return the bytes that may be used: the least of machine, container, ``ulimit -v`` and ``--max-memory``."""
    asked = os.environ.get(LIMIT)
    known = [memory_of_machine(), _of_container(), _address_space(), None if asked is None else read_size(asked)]
    return min((size for size in known if size is not None), default=None)


def read_size(text: str) -> int:
    """Return the bytes that a size such as ``"4GB"`` or ``"500M"`` names.

    Raises
    ------
    InputError
        If it names none.

    Examples
    --------
    >>> read_size("4GB"), read_size("0.5 m"), read_size("1000000")
    (4000000000, 500000, 1000000)
    """
    match = re.fullmatch(r"\s*(\d{1,15}(?:\.\d{1,15})?)\s*([kmgt]?)i?b?\s*", text, re.IGNORECASE | re.ASCII)
    size = int(float(match[1]) * _UNITS[match[2].lower()]) if match else 0
    if size < 1:
        raise InputError(f"a memory limit is a size such as 4GB or 500MB, not {text!r}")
    return size


@contextmanager
def limited_memory(most: int | None) -> Iterator[None]:
    """Let computations inside take no more than this many bytes; None changes nothing."""
    before = os.environ.get(LIMIT)
    if most is not None:
        os.environ[LIMIT] = str(most)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(LIMIT, None)
        else:
            os.environ[LIMIT] = before


def refuse_beyond_memory(need: float, what: str, remedy: str) -> None:
    """Raise an InputError for what needs more bytes than `memory_limit`."""
    most = memory_limit()
    if most is not None and need > most:
        message = f"{what} needs about {bytes_of(need)} of memory, and there are {bytes_of(most)}"
        raise InputError(message, remedy=remedy)


def refuse_few_addresses() -> None:
    """Raise OutOfMemory where the address space is too small for the libraries: they would end without a word."""
    most = _address_space()
    if most is not None and most < ADDRESSES:
        raise OutOfMemory(
            f"out of memory: the address space is limited to {bytes_of(most)}, and the libraries of a run map "
            f"{bytes_of(ADDRESSES)}",
            remedy="raise ulimit -v; --max-memory limits what is computed",
        )


def is_short_of_addresses() -> bool:
    """Tell whether the address space is limited: libraries then fail in ways of their own."""
    return _address_space() is not None


def _address_space() -> int | None:
    if resource is None:
        return None
    most = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if most == resource.RLIM_INFINITY else most


def _of_container() -> int | None:
    """Return the limit of the control group, where there is one."""
    for path in _CONTAINERS:
        try:
            with open(path, encoding="ascii") as file:
                text = file.read(40).strip()
        except (OSError, ValueError):
            continue
        return int(text) if text.isdigit() else None
    return None
