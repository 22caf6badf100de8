"""Which observations are left out together in a cross-validation."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.text.words import counted, in_unit

Vector = NDArray[np.float64]
Index = NDArray[np.intp]

USUAL, FEWEST = 10, 5
"""Folds where their number is not given; blocks beneath which these are made shorter."""


@dataclass(frozen=True)
class Fold:
    """Observations that are predicted, and those that are left out of the fit: these, and a buffer around them."""

    predicted: Index
    left_out: Index


def random_folds(size: int, k: int, seed: int = 0) -> list[Fold]:
    """K folds of nearly even size, at random."""
    _refuse_few(size, k)
    order = np.random.default_rng(seed).permutation(size)
    return [_plain(part) for part in np.array_split(order, k)]


def block_folds(points: Vector, k: int, block: float, seed: int = 0) -> list[Fold]:
    """K folds of square blocks (Roberts et al. 2017, Ecography 40, 913-929).

    Blocks lie on a grid of a random origin and are dealt out, the fullest first, each to the fold that has fewest
    observations so far.

    Parameters
    ----------
    points : (m, 2) array
    k : int
    block : float
        Side of a block, in the unit of the points.
    seed : int
    """
    _refuse_few(len(points), k)
    if not (np.isfinite(block) and block > 0):
        raise InputError(f"the block size must be a positive length, not {block}")
    rng = np.random.default_rng(seed)
    cell = _cells(points, block, rng)
    _, of_block, counts = np.unique(cell, axis=0, return_inverse=True, return_counts=True)
    of_block = of_block.ravel()
    if counts.size < k:
        raise InputError(
            f"the observations lie in {counted(counts.size, 'block')} of side {block:.4g}, too few for {k} folds: "
            "take smaller blocks or fewer folds"
        )
    load = np.zeros(k)
    fold_of_block = np.empty(counts.size, dtype=int)
    for b in np.lexsort((rng.uniform(size=counts.size), -counts)):
        fold_of_block[b] = int(np.argmin(load))
        load[fold_of_block[b]] += counts[b]
    return [_plain(np.flatnonzero(fold_of_block[of_block] == f)) for f in range(k)]


@dataclass(frozen=True)
class Folds:
    """Folds, the side of blocks or radius of a buffer, and why there are fewer, or they are shorter, than usual."""

    folds: list[Fold]
    side: float | None = None
    reason: str = ""


def fitting_blocks(points: Vector, k: int | None, block: float | None, reach: float, seed: int = 0) -> Folds:
    """Folds of square blocks, of a number and size that the places allow where these are not given.

    Blocks are as long as the field's range, or shorter where the places lie in too few of them; folds are
    `USUAL`, or as many as there are blocks.

    Parameters
    ----------
    points : (m, 2) array
    k : int, optional
    block : float, optional
    reach : float
        Range of the field, in the unit of the points.
    seed : int
    """
    side = reach if block is None else float(block)
    need = FEWEST if k is None else k
    reasons = []
    if block is None and (_blocks(points, side, seed) < need):
        extent = float(np.hypot(*np.ptp(points, axis=0)))
        side = min(side, extent)
        while _blocks(points, side, seed) < need and side > extent / 1000:
            side *= 0.8
        reasons.append(
            f"shorter than the range, {in_unit(reach, '')}, within which the places would lie in too few blocks"
        )
    if k is None:
        there = _blocks(points, side, seed)
        k = min(USUAL, there) if there > 1 else USUAL
        if k < USUAL:
            reasons.append(f"{k} folds, since there are no more blocks")
    return Folds(block_folds(points, k, side, seed), side, "; ".join(reasons))


def _blocks(points: Vector, block: float, seed: int) -> int:
    """Return in how many blocks the points lie."""
    if not (np.isfinite(block) and block > 0):
        return 0
    return len(np.unique(_cells(points, block, np.random.default_rng(seed)), axis=0))


def _cells(points: Vector, block: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the block of each point, on a grid of a random origin."""
    return np.asarray(np.floor((points - points.min(axis=0)) / block + rng.uniform(size=2)), dtype=np.int64)


def fitting_buffer(points: Vector, reach: float) -> tuple[float, str]:
    """Return a radius that leaves half of the observations to each fit, the range or less, and why it is less."""
    from scipy.spatial import cKDTree

    tree, radius = cKDTree(points), reach
    most = len(points) // 2
    farthest = tree.query(points, k=most + 1)[0][:, -1]  # within which more than half lie
    if radius < farthest.min():
        return radius, ""
    radius = 0.99 * float(farthest.min())
    return radius, f"less than the range, {in_unit(reach, '')}, which would leave less than half of the data to a fit"


def buffered_folds(points: Vector, k: int | None, buffer: float, seed: int = 0) -> list[Fold]:
    """One observation a fold, left out with all within a buffer (Le Rest et al. 2014, Glob. Ecol. Biogeogr. 23, 811).

    Parameters
    ----------
    points : (m, 2) array
    k : int or None
        How many observations to predict, drawn at random; None for all.
    buffer : float
        Radius, in the unit of the points.
    seed : int
    """
    if not (np.isfinite(buffer) and buffer > 0):
        raise InputError(f"the buffer must be a positive length, not {buffer}")
    size = len(points)
    chosen = np.arange(size)
    if k is not None and k < size:
        chosen = np.sort(np.random.default_rng(seed).choice(size, k, replace=False))
    folds = []
    for i in chosen:
        near = np.flatnonzero(((points - points[i]) ** 2).sum(axis=1) <= buffer**2)
        if near.size == size:
            raise InputError(f"a buffer of {buffer:.4g} around row {i} leaves nothing to fit: take a smaller one")
        folds.append(Fold(np.array([i]), near))
    return folds


def future_folds(times: Vector, k: int) -> list[Fold]:
    """One fold for each of the last k times: predicted from what was before it (leave-future-out).

    Parameters
    ----------
    times : (m,) array
    k : int
        At most all times but the first two.
    """
    steps = np.unique(times)
    if not 1 <= k <= steps.size - 2:
        most = max(steps.size - 2, 0)
        raise InputError(f"times to predict are 1 to {most} of the {steps.size}, two being left to learn from, not {k}")
    return [Fold(np.flatnonzero(times == time), np.flatnonzero(times >= time)) for time in steps[-k:]]


def _plain(index: Index) -> Fold:
    return Fold(np.sort(index), np.sort(index))


def _refuse_few(size: int, k: int) -> None:
    if not 2 <= k <= size:
        raise InputError(f"the number of folds lies between 2 and the {size} observations, not at {k}")
