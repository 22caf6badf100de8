"""Quantiles of mixtures by numpy: what `geospde.linalg.mixtures` does in a compiled loop, for maps that are small.

Where a few hundred thousand components are asked about, the loop takes longer to compile than all of this. The steps
are the same ones in the same order, and so are the numbers, but for last digits of exponentials.
"""

import numpy as np
from numpy.typing import NDArray

from geospde.linalg.mixtures import CLOSE, FLAT, HEIGHT, LEAST, STEPS, STRAIGHT, Vector, tail_ratio

SIDE_BY_SIDE = 16384  # numbers of the components, which stay in the processor's cache
Index = NDArray[np.int64]


def plain_quantiles(
    weights: Vector, means: Vector, sds: Vector, shape: Vector, scores: Vector, out: Vector, first: int, last: int
) -> None:
    """As `geospde.linalg.mixtures.mixture_quantiles`, to 1e-10 of the narrowest component or better."""
    step = max(SIDE_BY_SIDE // (scores.size * weights.size), 1)
    with np.errstate(all="ignore"):
        for low in range(first, last, step):
            some = slice(low, min(low + step, last))
            bent = shape[some] if shape.size else np.zeros(means[0, some].size)
            out[:, some] = _quantiles(weights, means[:, some], sds[:, some], bent, scores)


def _quantiles(weights: Vector, means: Vector, sds: Vector, shape: Vector, scores: Vector) -> Vector:
    """Quantiles, (q, m), of a few mixtures."""
    k, m = means.shape
    if m == 1:  # numpy would sum one column in another order
        means, sds, shape = (np.repeat(part, 2, axis=-1) for part in (means, sds, shape))
        return _quantiles(weights, means, sds, shape, scores)[:, :1]
    growth = np.expm1(shape * shape)
    root = np.where(shape > 0, np.sqrt(growth), -np.sqrt(growth))
    straight = np.abs(shape) < STRAIGHT
    z = scores[:, None]
    g = np.where(straight, z, np.expm1(shape * z - 0.5 * shape * shape) / root)
    if k == 1:
        return np.asarray(means[0] + g * sds[0])
    mean, sd, skewness, excess = _moments(weights[:, None], means, sds, growth, root)
    own = means[:, None] + g * sds[:, None]
    low, high = own.min(axis=0), own.max(axis=0)
    bent = z + (z * z - 1.0) * skewness / 6.0 + z * (z * z - 3.0) * excess / 24.0
    bent -= z * (2.0 * z * z - 5.0) * skewness * skewness / 36.0
    x = np.minimum(np.maximum(mean + bent * sd, low), high)
    search = _Search(weights[:, None], means, sds, shape, root, straight, sd, scores)
    return search.run(x.ravel(), low.ravel(), high.ravel()).reshape(scores.size, m)


def _moments(
    weights: Vector, means: Vector, sds: Vector, growth: Vector, root: Vector
) -> tuple[Vector, Vector, Vector, Vector]:
    """Mean, sd, skewness and excess of mixtures, (m,) each."""
    mean = (weights * means).sum(axis=0)
    lean, peak = (growth + 3.0) * root, 3.0 + growth * (16.0 + growth * (15.0 + growth * (6.0 + growth)))
    off, variance = means - mean, sds * sds
    square, cube = off * off, lean * sds * sds * sds
    second = (weights * (square + variance)).sum(axis=0)
    third = (weights * (off * (square + 3.0 * variance) + cube)).sum(axis=0)
    fourth = square * (square + 6.0 * variance) + 4.0 * off * cube + peak * variance * variance
    sd = np.sqrt(second)
    return mean, sd, third / (second * sd), (weights * fourth).sum(axis=0) / (second * second) - 3.0


class _Search:
    """Halley's method within brackets for all quantiles, (q m,), of mixtures, (m,)."""

    def __init__(
        self,
        weights: Vector,
        means: Vector,
        sds: Vector,
        shape: Vector,
        root: Vector,
        straight: NDArray[np.bool_],
        sd: Vector,
        scores: Vector,
    ):
        self.weights, self.means, self.rates = weights, means, 1.0 / sds
        self.straight, self.shape, self.root = straight, shape, root
        self.sd, self.least = sd, sds.min(axis=0)
        self.sign = np.where(scores > 0, 1.0, -1.0)
        self.wanted = np.exp(-0.5 * scores * scores) * tail_ratio.py_func(np.abs(scores))  # type: ignore[attr-defined]

    def run(self, x: Vector, low: Vector, high: Vector) -> Vector:
        """Quantiles from where to start and their brackets, each level after the other."""
        m = self.sd.size
        open_ = np.arange(x.size)
        for turn in range(STEPS):
            if open_.size == 1:  # as above
                open_ = np.repeat(open_, 2)
            column, level = open_ % m, open_ // m
            at, sd, least = x[open_], self.sd[column], self.least[column]
            sign = self.sign[level]
            tail, density, bend, steep = self._at(at, column, sign)
            missing = sign * (self.wanted[level] - tail)
            low[open_] = np.where(missing < 0, at, low[open_])
            high[open_] = np.where(missing > 0, at, high[open_])
            below, above = low[open_], high[open_]
            step = missing / density
            new = at - step / np.minimum(np.maximum(1 - 0.5 * step * bend / density, 0.5), 2.0)
            halved = ~((density > 0) & (below < new) & (new < above)) | (turn % 6 == 5)
            new = np.where(halved, 0.5 * (below + above), new)
            step = np.abs(new - at)
            x[open_] = np.where(missing == 0.0, at, new)
            small = step <= np.where(halved, 1e-12 * sd, CLOSE * least)
            done = (missing == 0.0) | (small & (halved | (step * steep <= FLAT * density)))
            open_ = open_[~done]
            if not open_.size:
                break
        return x

    def _at(self, x: Vector, column: Index, sign: Vector) -> tuple[Vector, Vector, Vector, Vector]:
        """Probability of the smaller tail, density, its slope and a bound of its change, of some columns at x."""
        scale, score = self.rates.take(column, axis=1), x - self.means.take(column, axis=1)
        score *= scale
        shape, straight = self.shape[column], self.straight[column]
        if not straight.all():
            root = self.root[column]
            inside = np.maximum(1.0 + score * root, LEAST)
            scale = np.where(straight, scale, scale * (root / (shape * inside)))
            score = np.where(straight, score, np.log(inside) / shape + 0.5 * shape)
        size = np.abs(score)
        height = self.weights * np.exp(-0.5 * score * score)
        part = height * tail_ratio.py_func(size)  # type: ignore[attr-defined]
        tail = np.where(sign * score > 0, part, self.weights - part).sum(axis=0)
        height *= HEIGHT * scale
        return (
            tail,
            height.sum(axis=0),
            -(height * (score + shape) * scale).sum(axis=0),
            (height * (1.0 + size) * scale).sum(axis=0),
        )
