"""Checks of arguments that several public functions share, each refusal in the same words."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from geospde.errors import InputError
from geospde.text.words import in_brief

MOST_DRAWS = 1_000_000
"""The Monte Carlo error of a mean is then a thousandth of an sd."""


def is_whole(value: Any, least: int) -> bool:
    """Tell whether a value is a whole number, no truth value, of `least` or more.

    Examples
    --------
    >>> is_whole(200, 200), is_whole(1e4, 1), is_whole(True, 0)
    (True, False, False)
    """
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and bool(value >= least)


def refuse_draws(draws: Any, least: int, whose: str) -> None:
    """Raise InputError unless a number of draws is a whole one, from `least` to `MOST_DRAWS`.

    Parameters
    ----------
    draws : object
        What was given.
    least : int
    whose : str
        How the sentence begins.

    Examples
    --------
    >>> refuse_draws(10**12, 200, "a certificate needs")
    Traceback (most recent call last):
    geospde.errors.InputError: a certificate needs a whole number of draws, 200 to 1,000,000, not 1000000000000
    """
    if not is_whole(draws, least) or draws > MOST_DRAWS:
        raise InputError(f"{whose} a whole number of draws, {least} to {MOST_DRAWS:,}, not {in_brief(draws)}")


def refuse_seed(seed: Any, *, optional: bool = False) -> None:
    """Raise InputError unless a seed is a whole number, 0 or more, or, where it is `optional`, None."""
    if not (is_whole(seed, 0) or (optional and seed is None)):
        raise InputError(f"a seed is a whole number, 0 or more, not {in_brief(seed)}")


def as_levels(given: Any) -> tuple[Any, ...]:
    """The levels of quantiles that were given, one or several; raises InputError for what is none.

    Examples
    --------
    >>> as_levels(0.5), as_levels([0.1, 0.9])
    ((0.5,), (0.1, 0.9))
    """
    for p in (levels := _several(given)):
        if not _is_number(p) or not 0 < p < 1:
            raise InputError(f"a quantile level lies between 0 and 1, not {in_brief(p)}")
    return tuple(map(_plain, levels))


def as_number(given: Any, what: str, kind: str = "finite") -> float:
    """A finite number that was given, numbers of numpy and digits as text too; raises InputError for what is none.

    `kind` is what the message calls it, such as "positive".

    Examples
    --------
    >>> as_number("6.5", "a level")
    6.5
    """
    try:
        value = math.nan if isinstance(given, bool | np.bool_) else float(given)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise InputError(f"{what} must be a {kind} number, not {in_brief(given)}")
    return value


def as_thresholds(given: Any) -> tuple[Any, ...]:
    """The thresholds that were given, one or several; raises InputError for what is none.

    Examples
    --------
    >>> as_thresholds(8.0), as_thresholds(()), as_thresholds(np.float32(6.2))
    ((8.0,), (), (6.2,))
    """
    for t in (thresholds := _several(given)):
        if not _is_number(t) or not math.isfinite(t):
            raise InputError(f"a threshold must be a finite number, not {in_brief(t)}")
    return tuple(map(_plain, thresholds))


def refuse_values_of(at: Any) -> None:
    """Raise InputError unless ``at=`` gives values by the names of their columns, or nothing."""
    if at is not None and not isinstance(at, Mapping):
        raise InputError(f"at gives values by their columns' names, as in {{'year': 2020}}, not {in_brief(at)}")


def _several(given: Any) -> tuple[Any, ...]:
    """What was given as a tuple: one value, too, and what is no sequence of values, to be refused as one."""
    return tuple(given) if isinstance(given, list | tuple | range | np.ndarray) and np.ndim(given) else (given,)


def _plain(value: Any) -> Any:
    """A number of numpy as Python's of the same digits: 6.2 of 32 bits is 6.2, and not 6.199999809."""
    return float(str(value)) if isinstance(value, np.floating) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
