"""Points that fill a cube evenly."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

SOBOL = ((1, 0, 1), (2, 1, 1, 3), (3, 1, 1, 3, 1), (3, 2, 1, 1, 1), (4, 1, 1, 1, 3, 3), (4, 4, 1, 3, 5, 13),
    (5, 2, 1, 1, 5, 5, 17), (5, 4, 1, 1, 5, 5, 5), (5, 7, 1, 1, 7, 11, 19), (5, 11, 1, 1, 5, 1, 1))  # fmt: skip
# degree and inner coefficients of a primitive polynomial, and first directions (Joe & Kuo 2008, SIAM J Sci Comput 30)


def low_discrepancy(size: int, d: int) -> Vector:
    """Points in the unit cube, (size, d): the additive recurrence of the generalised golden ratio."""
    ratio = 2.0
    for _ in range(40):
        ratio = (1.0 + ratio) ** (1.0 / (d + 1))
    steps = ratio ** -np.arange(1.0, d + 1)
    return (0.5 + np.arange(1, size + 1)[:, None] * steps) % 1.0


@lru_cache(maxsize=8)
def sobol(size: int, d: int) -> Vector:
    """Sobol's points in the unit cube, (size, d), size a power of two; of more than 11 axes, `low_discrepancy`'s."""
    if d > len(SOBOL) + 1:
        return low_discrepancy(size, d)
    bits = size.bit_length() - 1
    index = np.arange(size)
    out = np.zeros((size, d), dtype=np.int64)
    for k in range(d):
        if k == 0:
            directions = [1] * bits
        else:
            degree, inner, *directions = SOBOL[k - 1]
            for i in range(degree, bits):
                new = directions[i - degree] ^ (directions[i - degree] << degree)
                for j in range(1, degree):
                    new ^= ((inner >> (degree - 1 - j)) & 1) * (directions[i - j] << j)
                directions.append(new)
        for i in range(bits):
            out[:, k] ^= ((index >> i) & 1) * (directions[i] << (bits - 1 - i))
    return (out + 0.5) / size


@lru_cache(maxsize=8)
def scrambled(size: int, d: int) -> Vector:
    """Sobol's points with digits mixed at random, but the same each time: as even, without a lattice's empty corners.

    The additive recurrence has a tenth of a Gaussian's tail too much or too little along some directions in three and
    in five dimensions, at 16,384 points. Linear matrix scrambling with a digital shift (Matousek 1998, J. Complexity
    14, 527-556).
    """
    if d > len(SOBOL) + 1:
        return low_discrepancy(size, d)
    bits, rng = size.bit_length() - 1, np.random.default_rng(0)
    points = (sobol(size, d) * size).astype(np.int64)
    out = np.zeros_like(points)
    for k in range(d):
        for i in range(bits):
            # each digit is the sum of itself and some of those before it
            chosen = points[:, k] & ((1 << (bits - 1 - i)) | (int(rng.integers(0, 1 << i)) << (bits - i)))
            for half in (32, 16, 8, 4, 2, 1):
                chosen = chosen ^ (chosen >> half)
            out[:, k] |= (chosen & 1) << (bits - 1 - i)
        out[:, k] ^= int(rng.integers(0, size))
    return (out + 0.5) / size
