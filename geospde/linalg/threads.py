"""Work side by side: the compiled kernels free the interpreter lock, so threads share a fit's large matrices.

BLAS keeps to one thread meanwhile: its products here are small, and its own threads would wait for each other.
"""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

A = TypeVar("A")
B = TypeVar("B")

NAME = "geospde"  # prefix of the threads' names
SEVERAL = 1_000  # unknowns from which threads pay where each has a whole task,
LARGE = 4_000  # and where they share one


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep BLAS to one thread inside the block."""
    with _libraries().limit(limits=1, user_api="blas"):
        yield


@cache
def _libraries() -> Any:
    """Those that have threads, which take milliseconds to find; numpy's and SciPy's are loaded before any matrix is."""
    import scipy.linalg  # noqa: F401  # its BLAS is another than numpy's
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _is_worth_threads(size: int) -> bool:
    """Whether tasks of a problem of this size are for threads, and none run yet."""
    return size >= SEVERAL and cores() > 1 and not threading.current_thread().name.startswith(NAME)


def side_by_side(work: Callable[..., Any], items: Iterable[Any], size: int) -> Iterator[Any]:
    """Results of `work` in order, by threads where a problem of this size is worth it and none run yet."""
    if not _is_worth_threads(size):
        yield from map(work, items)
        return
    with ThreadPoolExecutor(cores(), NAME) as pool:
        yield from pool.map(work, items)


def ahead(work: Callable[..., Any], items: Iterable[Any], size: int) -> Iterator[Any]:
    """Results of `work` in order, as `side_by_side`, but no more of them under way or waiting than threads do at once.

    The caller's thread is free for what is done with them; items are made as they are wanted, one after the other.
    """
    if not _is_worth_threads(size):
        yield from map(work, items)
        return
    with ThreadPoolExecutor(cores(), NAME) as pool:
        waiting: deque[Any] = deque()
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > cores():
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def shared(size: int) -> bool:
    """Whether two threads share one task on a problem of this size."""
    return size >= LARGE and cores() > 1 and not threading.current_thread().name.startswith(NAME)


def beside(first: Callable[[], A], second: Callable[[], B], size: int) -> tuple[A, B]:
    """Results of two calls, the first on a thread of its own where a problem of this size is worth it and none run yet.

    The second stays on the caller's thread, and may so have work beside it in its turn.
    """
    if not shared(size):
        return first(), second()
    with ThreadPoolExecutor(1, NAME) as pool:
        found = pool.submit(first)
        try:
            own = second()
        except Exception:
            found.result()  # what the first raises counts, as it would one after the other
            raise
        return found.result(), own
