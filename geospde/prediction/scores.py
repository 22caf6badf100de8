"""Scores of predictive distributions against what was observed."""

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


def crps(draws: Vector, y: Vector) -> Vector:
    """Continuous ranked probability score, ``E|X - y| - ½ E|X - X'|``, unbiased from draws.

    Parameters
    ----------
    draws : (s, m) array
        Of each predictive distribution.
    y : (m,) array

    Returns
    -------
    (m,) array
        In the unit of y; 0 is perfect. Gneiting & Raftery (2007), J. Am. Stat. Assoc. 102, 359-378, equation (21).
    """
    s = len(draws)
    ordered = np.sort(draws, axis=0)
    rank = 2.0 * np.arange(1, s + 1) - s - 1
    spread = (rank[:, None] * ordered).sum(axis=0) / (s * (s - 1))  # ½ E|X - X'| over pairs of different draws
    return np.asarray(np.abs(draws - y).mean(axis=0) - spread)


def dawid_sebastiani(draws: Vector, y: Vector) -> Vector:
    """``((y - mean) / sd)² + 2 log sd``, (m,), of predictive means and sds."""
    mean, sd = draws.mean(axis=0), np.maximum(draws.std(axis=0, ddof=1), 1e-300)
    return np.asarray(((y - mean) / sd) ** 2 + 2 * np.log(sd))


def randomised_pit(draws: Vector, y: Vector, rng: np.random.Generator) -> Vector:
    """``P(X < y) + U P(X = y)``, (m,): uniform where the predictions are calibrated, for counts as well.

    Czado, Gneiting & Held (2009), Biometrics 65, 1254-1261.
    """
    below, equal = (draws < y).mean(axis=0), (draws == y).mean(axis=0)
    return np.asarray(below + rng.uniform(size=y.size) * equal)


def covered(draws: Vector, y: Vector, level: float) -> NDArray[np.bool_]:
    """Whether y lies within each predictive distribution's central interval of this level, ends included, (m,)."""
    low, high = np.quantile(draws, [0.5 * (1 - level), 0.5 * (1 + level)], axis=0)
    return np.asarray((low <= y) & (y <= high))
