"""Points that fill a cube evenly."""

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


def low_discrepancy(size: int, d: int) -> Vector:
    """Points in the unit cube, (size, d): the additive recurrence of the generalised golden ratio."""
    ratio = 2.0
    for _ in range(40):
        ratio = (1.0 + ratio) ** (1.0 / (d + 1))
    steps = ratio ** -np.arange(1.0, d + 1)
    return (0.5 + np.arange(1, size + 1)[:, None] * steps) % 1.0
