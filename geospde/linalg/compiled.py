"""How the inner loops are compiled."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile by numba at the first call, keep the code on disk, and free the interpreter lock while it runs.

    Division by zero gives infinity, as in numpy: without the check, loops compile faster, too.
    """
    return cast(F, njit(cache=True, nogil=True, error_model="numpy")(function))
