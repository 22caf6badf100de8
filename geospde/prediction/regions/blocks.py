"""Cells of an area joined into blocks, and sums over all pairs of an area's blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.inference.sampling import joint_draws
from geospde.results.base import Fit
from geospde.text.progress import Callback

Vector = NDArray[np.float64]
NUMBERS = 2_000_000
"""Numbers that a block of solves may hold."""
LEAST = 100
"""Blocks of an area from which fewer are tried."""
FEWER = (16, 8, 4, 2)
"""Parts of the most blocks that are tried."""
SAME = 0.002
"""Of a standard deviation, by which fewer blocks may change it."""


def joined_blocks(weights: sp.csr_matrix, centres: Vector, most: int) -> tuple[NDArray[np.intp], ...]:
    """Area, block and cell of each weight: an area's cells are joined by squares until there are few enough."""
    owner = np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))
    cell = weights.indices
    block = np.empty(cell.size, dtype=np.intp)
    start = 0
    for r in range(weights.shape[0]):
        part = slice(weights.indptr[r], weights.indptr[r + 1])
        size = part.stop - part.start
        if size == 0:
            continue
        own = np.arange(size)
        if size > most:
            xy = centres[cell[part]]
            low, span = xy.min(axis=0), np.maximum(np.ptp(xy, axis=0), 1e-300)
            side = np.sqrt(span.prod() / most) if span.min() > 1e-9 * span.max() else span.max() / most
            while True:
                square = np.floor((xy - low) / side).astype(np.intp)
                own = np.unique(square, axis=0, return_inverse=True)[1].ravel()
                if own.max() < most:
                    break
                side *= 1.1
        block[part] = start + own
        start += int(own.max()) + 1
    return owner, block, cell.astype(np.intp)


def enough_blocks(most: int, variances: Callable[[int], Vector]) -> int:
    """Fewest blocks of an area with which the variances of all areas are those of the most.

    Their number is that of columns that each point of the hyperparameters solves for; where the field hardly changes
    within an area, a few do.

    Parameters
    ----------
    most : int
    variances : callable
        Of a number of blocks: of each area, at one point of the hyperparameters.
    """
    if most < LEAST:
        return most
    finest = variances(most)
    for part in FEWER:
        if (np.abs(variances(most // part) - finest) <= 2 * SAME * finest).all():
            return most // part
    return most


def sums_of_pairs(
    laplace: Any,
    point: Any,
    rows: Sequence[sp.csr_matrix],
    area: NDArray[Any],
    areas: int,
    of_pairs: Callable[[slice, list[Vector]], float],
) -> Vector:
    """A function of the covariances of all pairs of an area's blocks, for each area.

    Parameters
    ----------
    laplace, point
        The Gaussian.
    rows : sequence of (b, n) csr_matrix
        Of each quantity that a block has.
    area : (b,) array
        Of each block, in order.
    areas : int
    of_pairs : callable
        Of the blocks of an area and their covariances, one matrix for each of `rows`.
    """
    sums = np.zeros(areas)
    bounds = np.searchsorted(area, np.arange(areas + 1))
    first = 0
    while first < areas:
        last = first + 1
        while last < areas and (bounds[last + 1] - bounds[first]) * rows[0].shape[1] <= NUMBERS:
            last += 1
        a, b = bounds[first], bounds[last]
        if b > a:
            own, towards = _compact(laplace, point, [each[a:b] for each in rows])
            for r in range(first, last):
                some = slice(bounds[r], bounds[r + 1])
                here = slice(some.start - a, some.stop - a)
                sums[r] = of_pairs(some, [each[here] @ towards(k, here) for k, each in enumerate(own)])
        first = last
    return sums


def _compact(
    laplace: Any, point: Any, rows: list[sp.csr_matrix]
) -> tuple[list[sp.csr_matrix], Callable[[int, slice], Vector]]:
    """Rows, and what gives the latent vector's covariances with some of one lot, by as few solves as serve.

    Blocks are many a triangle: then its corners' covariances, among the latent variables that the rows have, serve all.
    """
    used = np.unique(np.concatenate([each.indices for each in rows]))
    if used.size >= sum(each.shape[0] for each in rows):
        solved = [laplace.solve(point, each.T.toarray()) for each in rows]
        return rows, lambda k, here: solved[k][:, here]
    units = np.zeros((rows[0].shape[1], used.size))
    units[used, np.arange(used.size)] = 1.0
    covariance, own = laplace.solve(point, units)[used], [sp.csr_matrix(each[:, used]) for each in rows]
    return own, lambda k, here: np.asarray((own[k][here] @ covariance).T)


@dataclass(frozen=True)
class DrawnFactor:
    """A function of a predictor in each block, at one point of the hyperparameters.

    Attributes
    ----------
    rows : (b, n) csr_matrix
    shift : (b,) array
        Is added to the rows' product.
    function : callable
    """

    rows: sp.csr_matrix
    shift: Vector
    function: Callable[[Vector], Vector]


def drawn_sums_of_blocks(
    fit: Fit,
    area: NDArray[Any],
    areas: int,
    at: Callable[[int], tuple[Vector, list[DrawnFactor]]],
    draws: int,
    seed: int | None,
    progress: Callback | None = None,
) -> Vector:
    """Joint draws of sums over blocks, each taken for one cell, (areas, draws).

    Parameters
    ----------
    fit : FitState
    area : (b,) array
        Of each block, in order.
    areas : int
    at : callable
        Of the number of a point of the hyperparameters: what each block counts for, and the factors of its value.
    draws, seed : int
    progress : callable, optional
    """
    points = {id(point): k for k, point in enumerate(fit.approximation.points)}
    to_area = sp.csr_matrix((np.ones(area.size), (area, np.arange(area.size))), shape=(areas, area.size))
    sums, done, last = np.empty((areas, draws)), 0, None
    for point, x in joint_draws(fit.laplace, fit.approximation, draws, seed):
        if point is not last:
            last, (scale, factors) = point, at(points[id(point)])
        value = np.repeat(scale[:, None], x.shape[1], axis=1)
        for factor in factors:
            value *= factor.function(factor.rows @ x + factor.shift[:, None])
        sums[:, done : done + x.shape[1]] = to_area @ value
        done += x.shape[1]
        if progress is not None:
            progress(done, draws, "draws")
    return sums
