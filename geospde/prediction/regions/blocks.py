"""Cells of an area joined into blocks, and sums over all pairs of an area's blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Vector = NDArray[np.float64]
NUMBERS = 2_000_000
"""Numbers that a block of solves may hold."""


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
            solved = [laplace.solve(point, own[a:b].T.toarray()) for own in rows]
            for r in range(first, last):
                some = slice(bounds[r], bounds[r + 1])
                here = slice(some.start - a, some.stop - a)
                sums[r] = of_pairs(some, [own[some] @ x[:, here] for own, x in zip(rows, solved)])
        first = last
    return sums
