"""Compiled loops over many mixtures of Gaussians: quantiles and tails; and over the pairs of entries within rows."""

from math import erfc, exp, expm1, log1p, sqrt

import numpy as np
from numpy.typing import NDArray

from geospde.linalg.compiled import compiled

Vector = NDArray[np.float64]
Index = NDArray[np.int64]

HALF_ROOT = sqrt(0.5)
HEIGHT = 1 / sqrt(2 * np.pi)
STRAIGHT = 1e-4  # shapes of skew components below which they are Gaussian
CLOSE = 1e-4  # of the narrowest component: the next step would be its cube
STEPS = 80


@compiled
def mixture_quantiles(
    weights: Vector, means: Vector, sds: Vector, shape: Vector, scores: Vector, out: Vector, first: int, last: int
) -> None:
    """Quantiles at normal scores, (q,), of mixtures of k components, (k, m) each, into columns of `out`, (q, m).

    Halley's method on the smaller tail, inside a bracket that begins with the components' own quantiles, from the
    quantile of a single component with the mixture's mean and standard deviation. `shape` is empty for Gaussian
    components.
    """
    k = weights.size
    for i in range(first, last):
        a = shape[i] if shape.size else 0.0
        straight = abs(a) < STRAIGHT
        sign = -1.0 if a < 0 else 1.0
        root = 1.0 if straight else sqrt(expm1(a * a))
        mean = 0.0
        for c in range(k):
            mean += weights[c] * means[c, i]
        variance, least = 0.0, np.inf
        for c in range(k):
            least = min(least, sds[c, i])
            variance += weights[c] * (sds[c, i] ** 2 + (means[c, i] - mean) ** 2)
        sd = sqrt(variance)
        for q in range(scores.size):
            z = scores[q]
            g = z if straight else sign * expm1(a * z - 0.5 * a * a) / root
            low, high = np.inf, -np.inf
            for c in range(k):
                own = means[c, i] + g * sds[c, i]
                low, high = min(low, own), max(high, own)
            upper = z > 0
            wanted = 0.5 * erfc(abs(z) * HALF_ROOT)
            x = min(max(mean + g * sd, low), high)
            for _ in range(STEPS if k > 1 else 0):
                tail, density, bend = 0.0, 0.0, 0.0
                for c in range(k):
                    score = (x - means[c, i]) / sds[c, i]
                    slope = 1.0
                    if not straight:
                        inside = sign * score * root
                        if inside <= -1.0:  # beyond the end of a skew component
                            if (sign > 0) != upper:
                                continue
                            tail += weights[c]
                            continue
                        slope = abs(a) * (1.0 + inside) / root
                        score = (log1p(inside) + 0.5 * a * a) / a
                    tail += weights[c] * 0.5 * erfc((score if upper else -score) * HALF_ROOT)
                    scale = sds[c, i] * slope
                    height = weights[c] * HEIGHT * exp(-0.5 * score * score) / scale
                    density += height
                    bend -= height * (score + a) / scale  # a is zero, or so nearly that it does not matter, if straight
                excess = wanted - tail if upper else tail - wanted
                if excess == 0.0:
                    break
                if excess < 0:
                    low = x
                else:
                    high = x
                new = np.inf
                if density > 0:
                    step = excess / density
                    # far out in a tail Halley creeps: what Newton would do then is beyond the bracket, which is halved
                    new = x - step / min(max(1 - 0.5 * step * bend / density, 0.5), 2.0)
                halved = not (low < new < high)
                if halved:
                    new = 0.5 * (low + high)
                step, x = abs(new - x), new
                if step <= (1e-12 * sd if halved else CLOSE * least):
                    break
            out[q, i] = x


@compiled
def mixture_tails(
    weights: Vector, means: Vector, sds: Vector, shape: Vector, x: Vector, out: Vector, first: int, last: int
) -> None:
    """P(X > x), with its digits where it is small, of mixtures, into a part of `out`, (m,)."""
    for i in range(first, last):
        a = shape[i] if shape.size else 0.0
        straight = abs(a) < STRAIGHT
        sign = -1.0 if a < 0 else 1.0
        root = 1.0 if straight else sqrt(expm1(a * a))
        total = 0.0
        for c in range(weights.size):
            score = (x[i] - means[c, i]) / sds[c, i]
            if not straight:
                inside = sign * score * root
                if inside <= -1.0:
                    total += weights[c] if sign > 0 else 0.0
                    continue
                score = (log1p(inside) + 0.5 * a * a) / a
            total += weights[c] * 0.5 * erfc(score * HALF_ROOT)
        out[i] = total


@compiled
def row_pair_places(
    indptr: Index, indices: Index, data: Vector, column_start: Index, column_rows: Index,
    starts: Index, places: Index, values: Vector, inside: NDArray[np.bool_],
) -> None:  # fmt: skip
    """Places on a pattern, and factors, of the pairs of entries within each row of a sparse matrix.

    Parameters
    ----------
    indptr, indices, data
        Of the matrix, by rows.
    column_start, column_rows
        Of the pattern's lower triangle, by columns, sorted.
    starts : (m + 1,) array
        Where each row's pairs begin.
    places, values : (p,) arrays
        Filled: a pair that the pattern lacks has place 0 and value 0.
    inside : (m,) array
        False for a row with such a pair.
    """
    for i in range(indptr.size - 1):
        at = starts[i]
        for a in range(indptr[i], indptr[i + 1]):
            for b in range(indptr[i], a + 1):
                row, column = max(indices[a], indices[b]), min(indices[a], indices[b])
                low, high = column_start[column], column_start[column + 1]
                while low < high:
                    middle = (low + high) // 2
                    if column_rows[middle] < row:
                        low = middle + 1
                    else:
                        high = middle
                if low < column_start[column + 1] and column_rows[low] == row:
                    places[at] = low
                    values[at] = data[a] * data[b] * (1.0 if a == b else 2.0)
                else:
                    places[at], values[at] = 0, 0.0
                    inside[i] = False
                at += 1
