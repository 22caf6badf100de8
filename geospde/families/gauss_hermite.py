"""Gauss-Hermite quadrature: means under a standard normal."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


@lru_cache(maxsize=32)
def normal_nodes(size: int) -> tuple[Vector, Vector]:
    """Nodes z and weights w, (size,) each, not to be written into: sum(w f(z)) is the mean of f under N(0, 1).

    Exact for polynomials of degree 2 size - 1; the weights sum to one (Abramowitz and Stegun 1964, 25.4.46, for the
    density exp(-z²/2) in place of exp(-z²)).
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(size)
    weights = weights / weights.sum()
    nodes.flags.writeable = weights.flags.writeable = False
    return nodes, weights
