"""Pareto-smoothed importance sampling for many observations at once.

Vehtari, Simpson, Gelman, Yao & Gabry (2024), J. Mach. Learn. Res. 25 (72), 1-58; the tail's shape by Zhang & Stephens
(2009), Technometrics 51, 316-325, drawn towards one half as section 6 of the former says.
"""

import numpy as np
from numpy.typing import NDArray

from geospde.inference.mode import silent
from geospde.linalg.threads import side_by_side
from geospde.text.progress import Callback

Vector = NDArray[np.float64]

BATCH = 256  # observations at a time: their candidate shapes take 60 kB each
LEAST = 5  # draws that a tail is fitted to
CANDIDATES, PRIOR_QUARTILE = 30, 3.0  # of Zhang & Stephens: shapes, beside the root of the tail's size; their prior
PRIOR_DRAWS, PRIOR_SHAPE = 10.0, 0.5  # the prior of k counts as so many draws of this shape
NEGLIGIBLE = 10 * np.finfo(float).eps


def smoothed_leave_one_out(
    log_density: Vector, progress: Callback = silent, left_out: Vector | None = None
) -> tuple[Vector, Vector]:
    """Log predictive density of each observation without it, from log densities at draws of the whole posterior.

    Parameters
    ----------
    log_density : (m, s) array
        Of m observations at s independent draws.
    progress : callable, optional
        Called as ``progress(done, total, message)`` after each batch.
    left_out : (m, s) array, optional
        Log densities of all that is left out with each, where that is more.

    Returns
    -------
    elpd, pareto_k : (m,) arrays
        k is zero where all draws weigh the same.
    """
    m = len(log_density)
    elpd, k = np.empty(m), np.empty(m)
    parts = [slice(a, min(a + BATCH, m)) for a in range(0, m, BATCH)]
    whole = log_density if left_out is None else left_out
    for part, found in zip(parts, side_by_side(lambda part: _batch(log_density[part], whole[part]), parts, m)):
        elpd[part], k[part] = found
        progress(part.stop, m, "leave-one-out")
    return elpd, k


def _batch(log_density: Vector, left_out: Vector) -> tuple[Vector, Vector]:
    """The same for few observations."""
    # a draw at which what is left out could not be, beyond the end of a link's predictors, is none of the posterior
    log_weights, k = smoothed_log_weights(np.where(np.isneginf(left_out), -np.inf, -left_out))
    return _log_sum(log_weights + log_density), k


def smoothed_log_weights(log_weights: Vector) -> tuple[Vector, Vector]:
    """Log importance weights, (m, s), with a Pareto tail in place of their largest, normalised in each row.

    Returns
    -------
    log_weights : (m, s) array
    pareto_k : (m,) array
        Zero where all weigh the same.
    """
    log_weights = log_weights - log_weights.max(axis=1, keepdims=True)
    s = log_weights.shape[1]
    tail = max(int(min(0.2 * s, 3 * np.sqrt(s))), LEAST)
    places = np.argpartition(log_weights, (s - tail - 1, s - 1), axis=1)[:, s - tail - 1 :]
    chosen = np.take_along_axis(log_weights, places, axis=1)
    order = np.argsort(chosen, axis=1, kind="stable")
    places, chosen = np.take_along_axis(places, order, axis=1), np.take_along_axis(chosen, order, axis=1)
    cutoff, largest = np.exp(chosen[:, :1]), chosen[:, 1:]
    k, sigma = _generalised_pareto(np.exp(largest) - cutoff)
    share = (np.arange(tail) + 0.5) / tail
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        reach = np.where(k == 0, -np.log1p(-share), np.expm1(-k * np.log1p(-share)) / k)
        smooth = np.minimum(np.log(cutoff + sigma * reach), largest[:, -1:])
    fitted = sigma > 0  # not a number where all draws of the tail weigh the same
    np.put_along_axis(log_weights, places[:, 1:], np.where(fitted, smooth, largest), axis=1)
    log_weights -= _log_sum(log_weights)[:, None]
    return log_weights, np.where(np.isfinite(sigma), k, 0.0)[:, 0]


def _generalised_pareto(excess: Vector) -> tuple[Vector, Vector]:
    """Shape and scale, (m, 1) each, of sorted excesses, (m, n); not a number where all are zero."""
    n = excess.shape[1]
    count = CANDIDATES + int(np.sqrt(n))
    grid = 1 - np.sqrt(count / (np.arange(1, count + 1) - 0.5))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        b = grid / (PRIOR_QUARTILE * excess[:, [int(n / 4 + 0.5) - 1]]) + 1 / excess[:, [-1]]
        shapes = np.empty_like(b)
        for j in range(count):  # a column at a time keeps the work in the cache
            shapes[:, j] = np.log1p(-b[:, [j]] * excess).mean(axis=1)
        log_likelihood = n * (np.log(-b / shapes) - shapes - 1)
        weights = np.exp(log_likelihood - _log_sum(log_likelihood)[:, None])
        weights = np.where(weights >= NEGLIGIBLE, weights, 0.0)
        weights /= weights.sum(axis=1, keepdims=True)
        best = np.where(weights > 0, b * weights, 0.0).sum(axis=1, keepdims=True)
        k = np.log1p(-best * excess).mean(axis=1, keepdims=True)
        return (n * k + PRIOR_DRAWS * PRIOR_SHAPE) / (n + PRIOR_DRAWS), -k / best


def _log_sum(values: Vector) -> Vector:
    """Log of the sum of exponentials along rows."""
    top = values.max(axis=1)
    return np.asarray(top + np.log(np.exp(values - top[:, None]).sum(axis=1)))
