"""Where text becomes numbers: the one place that says what is a number."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geospde.errors import InputError, Place
from geospde.text.words import counted

Vector = NDArray[np.float64]


def as_numbers(column: Any) -> Vector:
    """Return a column as floats, NaN where a cell is empty or holds text that is no number.

    Parameters
    ----------
    column : Series or array, shape (n,)

    Returns
    -------
    numpy.ndarray of float, shape (n,)

    Examples
    --------
    >>> as_numbers(["1.5", 2, None, "many", "inf"])
    array([1.5, 2. , nan, nan, inf])
    """
    values = column if isinstance(column, pd.Series) else pd.Series(column)
    try:
        numbers = _floats(values)
    except OverflowError:
        numbers = _floats(values.mask(values.map(_is_beyond), np.inf))
    unread = np.flatnonzero(np.isnan(numbers))
    beyond = [_is_beyond(value) for value in values.iloc[unread]]  # pandas before 3 does not read "1e400"
    if any(beyond):
        numbers = numbers.copy()
        numbers[unread[beyond]] = np.inf
    return numbers


def _floats(values: pd.Series) -> Vector:
    try:
        numbers = pd.to_numeric(values, errors="coerce")
    except TypeError:  # a cell that is a list, or another object
        numbers = pd.to_numeric(values.where(values.map(np.isscalar)), errors="coerce")
    if pd.api.types.is_complex_dtype(numbers):  # whose imaginary part a cast drops
        whole = numbers.to_numpy()
        return np.where(whole.imag == 0, whole.real, np.nan)
    return np.asarray(numbers.to_numpy(dtype=float, na_value=np.nan))


def _is_beyond(value: Any) -> bool:
    """Tell whether a cell is a number beyond all floats: a whole one, or text with a power of ten."""
    if isinstance(value, int):
        return value.bit_length() > 1023
    if not isinstance(value, str):
        return False
    power = re.fullmatch(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)[eE]\+?\d+\s*", value) is not None
    return power and math.isinf(float(value)) or re.fullmatch(r"\s*[+-]?\d{308,}\s*", value) is not None


def is_text(column: Any) -> NDArray[np.bool_]:
    """Tell which cells of a column hold text that is no number: an array of bool, shape (n,).

    Examples
    --------
    >>> is_text(["1.5", None, "many"])
    array([False, False,  True])
    """
    values = column if isinstance(column, pd.Series) else pd.Series(column)
    return np.asarray(np.isnan(as_numbers(values)) & values.notna().to_numpy(), dtype=bool)


def finite_numbers(column: Any, place: Callable[[int], Place]) -> Vector:
    """Return a column as finite floats.

    Parameters
    ----------
    column : Series or array, shape (n,)
    place : callable
        ``place(i)`` is where the column's row `i`, from 0, stands.

    Returns
    -------
    numpy.ndarray of float, shape (n,)

    Raises
    ------
    InputError
        At the first cell that is text, else empty, else infinite; it says how many further rows are like it.
    """
    values = column if isinstance(column, pd.Series) else pd.Series(column)
    numbers, empty = as_numbers(values), values.isna().to_numpy()
    text = np.isnan(numbers) & ~empty
    if text.any():
        i = int(np.argmax(text))
        cell = values.iloc[i]
        cell = cell.item() if isinstance(cell, np.generic) else cell
        hint = " (write decimals with a point)" if "," in str(cell) else ""
        bound = re.fullmatch(r"\s*([<>\u2264\u2265])=?\s*[-+.,\d]+\s*", str(cell))
        if bound is not None:
            side = "left" if bound[1] in "<\u2264" else "right"
            hint = (
                f" but a bound: leave the sign out, put {side!r} into a column of its own, and cens() into the formula"
            )
        raise InputError(f"{cell!r} is not a number{hint}{others_like_it(text)}", where=place(i))
    if empty.any():
        remedy = f"give a number or leave the row out{others_like_it(empty)}"
        raise InputError("is empty (or NaN)", of=place(int(np.argmax(empty))), remedy=remedy)
    infinite = np.isinf(numbers)
    if infinite.any():
        remedy = f"give a finite number{others_like_it(infinite)}"
        raise InputError("is infinite", of=place(int(np.argmax(infinite))), remedy=remedy)
    return numbers


def others_like_it(rows: NDArray[np.bool_]) -> str:
    """Return the end of a sentence about the first of some rows: how many more there are.

    Examples
    --------
    >>> others_like_it(np.array([True, False, True, True]))
    '; 2 further rows like it'
    """
    others = int(np.count_nonzero(rows)) - 1
    return f"; {counted(others, 'further row')} like it" if others > 0 else ""
