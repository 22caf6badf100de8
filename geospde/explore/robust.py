"""Location and spread that a few wild values do not move."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

OUTLYING = 3.5
"""Robust z-score beyond which a value stands out (Iglewicz & Hoaglin 1993, How to Detect and Handle Outliers)."""


def robust_z(values: ArrayLike) -> NDArray[np.float64]:
    """Return how far values lie from their median, in standard deviations estimated from their middle half.

    The median absolute deviation times 1.4826; where that is zero, since half of the values are the same, the mean
    absolute deviation times 1.2533. Both are standard deviations for a Gaussian. NaN stays NaN.

    Examples
    --------
    >>> robust_z([1.0, 2.0, 3.0, 4.0, 100.0]).round(2)
    array([-1.35, -0.67,  0.  ,  0.67, 65.43])
    >>> robust_z([5.0, 5.0, 5.0])
    array([0., 0., 0.])
    """
    values = np.asarray(values, dtype=float)
    known = np.isfinite(values)
    if not known.any():
        return np.full(values.shape, np.nan)
    off = values - np.median(values[known])
    spread = 1.4826 * np.median(np.abs(off[known])) or 1.2533 * np.mean(np.abs(off[known]))
    return np.asarray(off / (spread or 1.0))


def pulled_in(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values with those that stand out moved to where they just do not.

    Examples
    --------
    >>> pulled_in(np.array([1.0, 2.0, 3.0, 4.0, 100.0])).round(2)
    array([1.  , 2.  , 3.  , 4.  , 8.19])
    """
    z, middle = robust_z(values), np.median(values)
    beyond = np.abs(z) > OUTLYING
    pulled = values.copy()
    pulled[beyond] = middle + (values[beyond] - middle) * OUTLYING / np.abs(z[beyond])
    return pulled
