"""How the inner loops are compiled."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit

F = TypeVar("F", bound=Callable[..., Any])
OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
HOT = 10_000  # entries: Python needs some 2 microseconds for each in each loop, a compiler a third of a second


def compiled(function: F) -> F:
    """Compile by numba at the first call, keep the code on disk, and free the interpreter lock while it runs.

    Division by zero gives infinity, as in numpy: without the check, loops compile faster, too. So they do without the
    wrapper for callers from C, of whom there are none.
    """
    return cast(F, njit(**OPTIONS)(function))


def compiled_when_hot(function: F) -> F:
    """Compile as `compiled`, once the first arguments of all calls have so many entries that it pays.

    Until then the loops run as they are written, on views of the arrays that give Python's own numbers, which is ten
    times as fast as numpy's: arrays have one dimension, and their sizes are asked for by `len`. So the first fit of a
    small survey does not wait for a compiler of loops over what is analysed once. Not for loops that others call: those
    would run as Python in compiled code.
    """
    fast, seen = compiled(function), 0

    @wraps(function)
    def call(first: Any, *others: Any) -> Any:
        nonlocal seen
        if seen < HOT:
            seen += first.size
        if seen >= HOT:
            return fast(first, *others)
        return function(*(a.data if isinstance(a, np.ndarray) else a for a in (first, *others)))

    return cast(F, call)


def compiled_after(few: int, work: Callable[..., int], plain: Callable[..., Any]) -> Callable[[F], F]:
    """Compile as `compiled`, once all calls have had more than `few` of work; until then call `plain` in its place.

    Which is the same by numpy, to the last bit: it does not matter who does what. A map comes in parts, none of them
    large.
    """

    def made(function: F) -> F:
        fast, seen = compiled(function), 0

        @wraps(function)
        def call(*arguments: Any) -> Any:
            nonlocal seen
            if seen <= few:
                seen += work(*arguments)
            return (fast if seen > few else plain)(*arguments)

        return cast(F, call)

    return made


def compiled_fused(function: F) -> F:
    """Compile as `compiled`, and let a product and a sum be rounded once, where the processor can do both in one."""
    return cast(F, njit(fastmath={"contract"}, **OPTIONS)(function))


def compiled_sums(function: F) -> F:
    """Compile as `compiled`, and let sums be taken in another order: four numbers at a time."""
    return cast(F, njit(fastmath={"reassoc", "contract"}, **OPTIONS)(function))
