"""Exact second moments of sums of a function of Gaussian predictors, or of a product of such functions.

Of two predictors with means m, standard deviations s and correlation c, Mehler's expansion gives

    E f(x) f(y) = sum_q c^q a_q(x) a_q(y),    a_q(x) = E f(m + s Z) He_q(Z) / sqrt(q!),

which is exact as q grows and takes few terms of a smooth f. Of a product of functions of independent predictors, such
as the two parts of a delta family, the expectations multiply. Predictors are Gaussian here, as those of joint draws
are; `moments.OfMap` makes the sums as wide as the corrected marginals of a map.

Cells of an area are joined into blocks as those of `moments.log_sums` are: a block's row is the mean of its cells'
rows, weighted with how much the sum rises with each, so that the linear part of the sum is that of the cells.

References
----------
Mehler (1866), J. Reine Angew. Math. 66, 161-176; Abramowitz & Stegun (1972), 22.9.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.families.gauss_hermite import normal_nodes
from geospde.inference.combinations import mixture_of
from geospde.linalg.threads import one_blas_thread
from geospde.prediction.regions.blocks import (
    DrawnFactor,
    drawn_sums_of_blocks,
    enough_blocks,
    joined_blocks,
    sums_of_pairs,
)
from geospde.prediction.regions.moments import Sums
from geospde.results.base import Fit
from geospde.text.progress import Callback

Vector = NDArray[np.float64]
Transform = Callable[[Vector], Vector]

CELLS = 5_000
"""Cells at once, whose functions are integrated."""
TERMS = 30
"""Most terms of an expansion."""
LEFT = 1e-4
"""Share of a block's variance that the terms left out may have."""


@dataclass(frozen=True)
class Factor:
    """A function of a predictor in each cell.

    Attributes
    ----------
    rows : (c, n) csr_matrix
    offset : (c,) array
    functions : sequence of callable
        One for each point of the hyperparameters, elementwise.
    """

    rows: sp.csr_matrix
    offset: Vector
    functions: Sequence[Transform]


def expanded_sums(
    fit: Fit,
    factors: Sequence[Factor],
    weights: sp.csr_matrix,
    centres: Vector,
    blocks: int,
    draws: int,
    seed: int | None,
    progress: Callback | None = None,
) -> Sums:
    """Sums of a product of functions: exact mean and standard deviation, quantiles by draws of the blocks.

    Parameters
    ----------
    fit : FitState
    factors : sequence of Factor
        Above zero, of predictors that are independent of each other.
    weights : (r, c) csr_matrix
    centres : (c, 2) array
        Where the cells are, to join neighbours.
    blocks : int
        Most of them an area.
    draws, seed : int
    progress : callable, optional
    """
    posterior, weights = fit.approximation, weights.tocsr()
    heaviest = int(np.argmax(posterior.weights))
    alone = replace(posterior, points=[posterior.points[heaviest]], weights=np.ones(1))
    at_it = [replace(factor, functions=[factor.functions[heaviest]]) for factor in factors]

    def variances_of(most: int) -> Vector:
        found: Vector = _Blocks(fit.laplace, alone, at_it, weights, centres, most).variances()[0]
        return found

    joined = _Blocks(fit.laplace, posterior, factors, weights, centres, enough_blocks(blocks, variances_of))
    means, variances = joined.means, joined.variances()
    share = posterior.weights
    mean = share @ means
    sd = np.sqrt(np.maximum(share @ (variances + means**2) - mean**2, 0.0))
    sums = joined.drawn(fit, draws, seed, progress)
    sums *= (mean / _safe(sums.mean(axis=1)))[:, None]
    sums.sort(axis=1)
    return Sums(
        mean, sd, np.zeros(len(mean)), lambda p: np.quantile(sums, p, axis=1),
        lambda t: np.asarray((sums > t).mean(axis=1)),
    )  # fmt: skip


class _Blocks:
    """What blocks have of their cells, at each point of the hyperparameters.

    Attributes
    ----------
    area : (b,) array
        Of each block.
    total : (points, b) array
        Sums of weighted means.
    """

    def __init__(
        self,
        laplace: Any,
        posterior: Any,
        factors: Sequence[Factor],
        weights: sp.csr_matrix,
        centres: Vector,
        blocks: int,
    ):
        self._laplace, self._posterior, self._factors, self._areas = laplace, posterior, factors, weights.shape[0]
        owner, block, cell = joined_blocks(weights, centres, blocks)
        size, points = int(block.max()) + 1, len(posterior.points)
        self.area = np.zeros(size, dtype=np.intp)
        self.area[block] = owner
        self.total = np.zeros((points, size))
        self._slope, self._size, self._mean, self._sd = np.zeros((4, points, len(factors), size))
        self._rows = [[sp.csr_matrix((size, f.rows.shape[1])) for f in factors] for _ in range(points)]
        to_block = sp.csc_matrix((weights.data, (block, cell)), shape=(size, weights.shape[1]))
        for a in range(0, weights.shape[1], CELLS):
            part = slice(a, min(a + CELLS, weights.shape[1]))
            self._add(part, sp.csr_matrix(to_block[:, part]))
        share = np.where(self.total > 0, self.total, 1.0)[:, None]
        for sums in (self._slope, self._mean, self._sd):
            sums /= share

    def _add(self, part: slice, to_block: sp.csr_matrix) -> None:
        """Add some cells."""
        mixtures = [mixture_of(self._laplace, self._posterior, f.rows[part], f.offset[part]) for f in self._factors]
        for k in range(len(self.total)):
            at = [(mixture.means[k], mixture.sds[k]) for mixture in mixtures]
            both = [_mean_and_slope(f.functions[k], *here) for f, here in zip(self._factors, at)]
            value = np.prod([mean for mean, _ in both], axis=0)
            self.total[k] += to_block @ value
            for j, ((mean, slope), (middle, sd)) in enumerate(zip(both, at)):
                rise = value * slope / np.where(mean > 0, mean, 1.0)
                self._slope[k, j] += to_block @ rise
                rise = np.abs(rise)  # a function may fall at some cells of a block and rise at others
                self._size[k, j] += to_block @ rise
                self._mean[k, j] += to_block @ (value * middle)
                self._sd[k, j] += to_block @ (value * sd)
                self._rows[k][j] = self._rows[k][j] + to_block @ sp.diags(rise) @ self._factors[j].rows[part]

    @property
    def means(self) -> Vector:
        """Of the sums, (points, r)."""
        return np.array([np.bincount(self.area, total, self._areas) for total in self.total])

    def variances(self) -> Vector:
        """Of the sums, (points, r)."""
        out = np.zeros((len(self.total), self._areas))
        with one_blas_thread():
            for k, point in enumerate(self._posterior.points):
                series = [
                    (_series(f.functions[k], mean, sd, rise * sd), sd)
                    for f, mean, sd, rise in zip(self._factors, self._mean[k], self._sd[k], self._slope[k])
                ]
                excess = _excess(series, self.total[k])
                out[k] = sums_of_pairs(self._laplace, point, self._rows_at(k), self.area, self._areas, excess)
        return np.maximum(out, 0.0)

    def drawn(self, fit: Fit, draws: int, seed: int | None, progress: Callback | None) -> Vector:
        """Joint draws of the sums, (r, draws), each block taken for one cell."""

        def at(k: int) -> tuple[Vector, list[DrawnFactor]]:
            point, scale, factors = self._posterior.points[k], self.total[k].copy(), []
            for f, own, mean, sd in zip(self._factors, self._rows_at(k), self._mean[k], self._sd[k]):
                scale /= _safe(_mean_and_slope(f.functions[k], mean, sd)[0])
                factors.append(DrawnFactor(own, mean - own @ point.mean, f.functions[k]))
            return scale, factors

        return drawn_sums_of_blocks(fit, self.area, self._areas, at, draws, seed, progress)

    def _rows_at(self, k: int) -> list[sp.csr_matrix]:
        """Rows of each factor's predictor in each block."""
        return [sp.csr_matrix(sp.diags(1.0 / _safe(size)) @ own) for size, own in zip(self._size[k], self._rows[k])]


def _safe(values: Vector) -> Vector:
    return np.where(values != 0, values, 1.0)


def _mean_and_slope(f: Transform, mean: Vector, sd: Vector) -> tuple[Vector, Vector]:
    """``E f(x)`` and ``E f'(x)`` of Gaussians, the latter by Stein's identity."""
    first, second = np.zeros((2, len(mean)))
    for z, w in zip(*normal_nodes(21)):
        value = w * f(mean + z * sd)
        first += value
        second += z * value
    return first, second / sd


FINE, SHARES = normal_nodes(41)


def _polynomials() -> Vector:
    """``He_q(z) / sqrt(q!)`` at the fine nodes, (1 + TERMS, nodes)."""
    out = np.ones((1 + TERMS, len(FINE)))
    out[1] = FINE
    for q in range(1, TERMS):
        out[q + 1] = (FINE * out[q] - np.sqrt(q) * out[q - 1]) / np.sqrt(q + 1)
    return out


HERMITE = _polynomials()


def _series(f: Transform, mean: Vector, sd: Vector, first: Vector) -> Vector:
    """Coefficients ``a_q / a_0`` of each block, (terms, b), from q = 1.

    The first is the mean of the cells' own; the others, of second order in how the field differs within a block, are
    those of its mean predictor.
    """
    values = f(mean + np.multiply.outer(FINE, sd))
    terms = (HERMITE * SHARES) @ values
    ratio = terms[1:] / _safe(terms[0])
    whole = (SHARES @ values**2) / _safe(terms[0]) ** 2 - 1
    left = whole - np.cumsum(ratio**2, axis=0)
    enough = (left <= LEFT * whole + 1e-12).all(axis=1)
    ratio = ratio[: int(np.argmax(enough)) + 1 if enough.any() else TERMS]
    ratio[0] = first
    return ratio


def _excess(series: list[tuple[Vector, Vector]], total: Vector) -> Callable[[slice, list[Vector]], float]:
    """What blocks of an area add to its variance, from their covariances."""

    def of(some: slice, covariances: list[Vector]) -> float:
        product = np.ones_like(covariances[0])
        for (ratio, sd), covariance in zip(series, covariances):
            c = np.clip(covariance / np.multiply.outer(sd[some], sd[some]), -1.0, 1.0)
            more = np.zeros_like(c)
            for one in ratio[::-1, some]:
                more = (more + np.multiply.outer(one, one)) * c
            product *= 1.0 + more
        return float(total[some] @ (product - 1.0) @ total[some])

    return of
