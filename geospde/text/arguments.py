"""Checks of arguments that several public functions share, each refusal in the same words."""

from typing import Any

import numpy as np

from geospde.errors import InputError


def is_whole(value: Any, least: int) -> bool:
    """Tell whether a value is a whole number, no truth value, of `least` or more.

    Examples
    --------
    >>> is_whole(200, 200), is_whole(1e4, 1), is_whole(True, 0)
    (True, False, False)
    """
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value >= least)


def refuse_seed(seed: Any, *, optional: bool = False) -> None:
    """Raise InputError unless a seed is a whole number, 0 or more, or, where it is `optional`, None."""
    if not (is_whole(seed, 0) or (optional and seed is None)):
        raise InputError(f"a seed is a whole number, 0 or more, not {seed!r}")
