"""How the inner loops are compiled."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])
OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}


def compiled(function: F) -> F:
    """Compile by numba at the first call, keep the code on disk, and free the interpreter lock while it runs.

    Division by zero gives infinity, as in numpy: without the check, loops compile faster, too. So they do without the
    wrapper for callers from C, of whom there are none.
    """
    return cast(F, njit(**OPTIONS)(function))


def compiled_sums(function: F) -> F:
    """Compile as `compiled`, and let sums be taken in another order: four numbers at a time."""
    return cast(F, njit(fastmath={"reassoc", "contract"}, **OPTIONS)(function))
