"""Moments of weighted sums of the response over cells, from the Gaussians of the latent vector.

T_r = sum_i w_ri g(eta_i) with eta = A x + o. The mean of T_r is a sum of marginal means, for any g. Its variance is

- of the identity exact: the sum is linear in the latent vector, with a marginal as a cell has;
- of the log link exact: ``sum_ij u_i u_j (exp(s_ij) - 1)`` with ``u_i = w_i exp(m_i + s_ii / 2)``. Cells of a large
  area are joined into blocks, whose rows are the means of their cells' rows with weights u: the linear part of the sum
  is that of the cells, and what blocks change is of second order in how the field differs within one;
- of other links, and of the product of a delta family, exact by an expansion: `geospde.prediction.regions.expansion`;
- of the share above a threshold by draws. The linear functional ``sum_i w_i g'(m_i) (eta_i - m_i)``, whose moments are
  known exactly, goes along as a control variate, so that the standard deviation is several times as precise as the
  draws alone.

These are the moments of joint Gaussians. The marginals of a map are corrected in variance and skewness, and sums above
zero are made as wide as they say, with the correlations of the Gaussians: `OfMap`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.inference.combinations import mixture_of, row_variances
from geospde.inference.mixture import GaussianMixture
from geospde.inference.sampling import joint_draws
from geospde.linalg.threads import one_blas_thread
from geospde.prediction.regions.blocks import (
    DrawnFactor,
    drawn_sums_of_blocks,
    enough_blocks,
    joined_blocks,
    sums_of_pairs,
)
from geospde.results.base import Fit
from geospde.text.progress import Callback

Vector = NDArray[np.float64]
BATCH = 40_000
"""Cells whose marginals are computed at once."""
LEVELS, NORMAL = (0.025, 0.5, 0.975), 3.92
"""Where quantiles of two kinds are compared, and how many sds lie between the outer ones."""
APART = 0.15
"""Sds by which they may differ: those of 4,000 draws err by 0.04."""
PIECE = 4000
"""Cells of which a block of draws stays in a processor's cache."""


@dataclass(frozen=True)
class Sums:
    """Posterior of weighted sums over areas.

    Attributes
    ----------
    mean, sd : (r,) array
    error : (r,) array
        Monte Carlo standard error of `sd`; 0 where it is exact.
    quantile, above : callable
        Of a level, of a threshold: (r,) arrays.
    """

    mean: Vector
    sd: Vector
    error: Vector
    quantile: Callable[[float], Vector]
    above: Callable[[float], Vector]


class Cells:
    """The rows of the cells of a map that carry weight, with the weights of areas on them.

    Parameters
    ----------
    fit : FitState
    rows : csr_matrix or MovingRows
        (c, n).
    offset : (c,) array
    weights : (r, c) csr_matrix
    spread : Spread or None
        Of estimated hyperparameters, where the errors of sums are to have it in them.
    """

    def __init__(self, fit: Fit, rows: Any, offset: Vector, weights: sp.csr_matrix, spread: Any = None):
        self.fit, self.rows, self.offset, self.weights, self.spread = fit, rows, offset, weights, spread

    def at(self, point: Any) -> tuple[sp.csr_matrix, Vector]:
        """Rows at a theta, and the variance that they leave unsaid."""
        if hasattr(self.rows, "at"):
            own, more = self.rows.at(point.theta)
            return own, more
        return self.rows, np.zeros(self.rows.shape[0])


def linear(cells: Cells, weights: sp.csr_matrix | None = None, centre: Vector | None = None) -> GaussianMixture:
    """Exact distribution of ``weights @ (eta - centre)``, a Gaussian a theta and area."""
    laplace, posterior = cells.fit.laplace, cells.fit.approximation
    weights = cells.weights if weights is None else weights
    shift = weights @ (cells.offset if centre is None else cells.offset - centre)
    means, variances = np.empty((2, len(posterior.points), weights.shape[0]))
    with one_blas_thread():
        for k, point in enumerate(posterior.points):
            own, more = cells.at(point)
            joined = sp.csr_matrix(weights @ own)
            means[k] = joined @ point.mean + shift
            variances[k] = row_variances(laplace, point, joined) + weights.power(2) @ more
    return GaussianMixture(posterior.weights, means, np.sqrt(np.maximum(variances, 1e-300)))


def identity_sums(cells: Cells) -> Sums:
    """Sums of a response with the identity link, which are linear in the predictor: as its own marginals are."""
    mixture = cells.fit.mixture(_Sum(cells), cells.weights @ cells.offset)
    return Sums(mixture.mean, mixture.sd, np.zeros(len(mixture.mean)), mixture.quantile, mixture.sf)


def delta_sums(cells: Cells) -> Sums:
    """Sums at the estimated predictor, with standard errors by the delta method: of fits without priors.

    Under a log link intervals are those of the sum's logarithm, and never reach zero.
    """
    link, point = cells.fit.model.family.link, cells.fit.point
    eta = cells.at(point)[0] @ point.mean + cells.offset
    slopes = cells.weights @ sp.diags(np.exp(link.log_derivative(eta)))
    at, around = cells.weights @ link.inverse(eta), linear(cells, slopes, eta)
    sd = around.sd
    if cells.spread is not None:
        sd = np.sqrt(np.maximum(sd**2 + cells.spread.variances(slopes @ cells.at(point)[0]), 0.0))
    if link.is_log:
        return positive_sums(at, sd)
    normal = GaussianMixture(around.weights, around.means + at, sd[None])
    return Sums(at, sd, np.zeros(len(at)), normal.quantile, normal.sf)


def positive_sums(estimate: Vector, sd: Vector) -> Sums:
    """Estimates of positive sums, whose logarithms are normal by the delta method."""
    safe = np.where(estimate > 0, estimate, 1.0)
    logs = GaussianMixture(np.ones(1), np.log(safe)[None], np.maximum(sd / safe, 1e-150)[None])
    return Sums(
        estimate, sd, np.zeros(len(estimate)), lambda p: np.where(estimate > 0, np.exp(logs.quantile(p)), 0.0),
        lambda t: logs.sf(np.log(t)) if t > 0 else (estimate > t).astype(float),
    )  # fmt: skip


def sums_of_draws(sums: Vector) -> Sums:
    """Sums, (r, draws), as they were drawn, and the standard error that the fourth moment gives the deviation."""
    mean, sd = sums.mean(axis=1), sums.std(axis=1)
    spread = ((sums - mean[:, None]) ** 2).std(axis=1) / np.sqrt(sums.shape[1])
    error = np.where(sd > 0, spread / np.where(sd > 0, 2 * sd, 1.0), 0.0)
    return Sums(mean, sd, error, lambda p: np.quantile(sums, p, axis=1), lambda t: np.asarray((sums > t).mean(axis=1)))


def log_sums(cells: Cells, centres: Vector, blocks: int, draws: int, seed: int | None) -> tuple[Sums, bool]:
    """Sums of a response with the log link: exact first and second moments, lognormals of these for the quantiles.

    Where draws have other quantiles, as where the sd of a sum is that of a few cells far from any site, they are those
    of the draws.

    Parameters
    ----------
    cells : Cells
    centres : (c, 2) array
        Where they are, to join neighbours.
    blocks : int
        Most of them an area.
    draws, seed : int

    Returns
    -------
    sums : Sums
    are_drawn : bool
        Whether there is an area with the quantiles of draws.
    """
    fit, areas = cells.fit, cells.weights.shape[0]
    posterior = fit.approximation
    marginals = mixture_of(fit.laplace, posterior, cells.rows, cells.offset)
    heaviest = int(np.argmax(posterior.weights))

    def variances_of(most: int) -> Vector:
        return _LogBlocks(cells, marginals, centres, most).at(heaviest).variances

    with one_blas_thread():
        joined = _LogBlocks(cells, marginals, centres, enough_blocks(blocks, variances_of))
        at = [joined.at(k) for k in range(len(posterior.points))]
    means, variances = (np.array([getattr(one, name) for one in at]) for name in ("means", "variances"))
    sums = _lognormals(posterior.weights, means, variances)
    drawn = drawn_sums_of_blocks(fit, joined.area, areas, lambda k: (at[k].total, [at[k].drawn]), draws, seed)
    return _either(sums, drawn)


@dataclass(frozen=True)
class _LogSums:
    """Sums at a theta: their means and variances, and what draws of the blocks need."""

    means: Vector
    variances: Vector
    total: Vector
    drawn: DrawnFactor


class _LogBlocks:
    """Cells joined into at most so many blocks an area, whose rows weigh each cell by its mean."""

    def __init__(self, cells: Cells, marginals: GaussianMixture, centres: Vector, most: int):
        self._cells, self._marginals, self._weights = cells, marginals, cells.weights.tocsr()
        self._owner, self._block, self._cell = joined_blocks(self._weights, centres, most)
        self.area = np.zeros(int(self._block.max()) + 1, dtype=np.intp)
        self.area[self._block] = self._owner

    def at(self, k: int) -> _LogSums:
        """The sums at a point of the hyperparameters."""
        laplace, point = self._cells.fit.laplace, self._cells.fit.approximation.points[k]
        own, more = self._cells.at(point)
        areas, count, block, cell = self._weights.shape[0], self.area.size, self._block, self._cell
        sds = self._marginals.sds[k]
        u = self._weights.data * np.exp(self._marginals.means[k] + 0.5 * sds**2)[cell]
        total: Vector = np.bincount(block, u, count).astype(float)
        safe = np.where(total > 0, total, 1.0)
        joined = sp.csr_matrix(sp.csr_matrix((u / safe[block], (block, cell)), shape=(count, own.shape[0])) @ own)
        variances = sums_of_pairs(laplace, point, [joined], self.area, areas, _lognormal_pairs(total))
        variances += np.bincount(self._owner, u**2 * np.expm1(more[cell]), areas)
        half = np.bincount(block, 0.5 * u * sds[cell] ** 2, count) / safe
        drawn = DrawnFactor(joined, -(joined @ point.mean) - half, np.exp)
        means: Vector = np.bincount(self.area, total, areas).astype(float)
        return _LogSums(means, variances, total, drawn)


def _either(sums: Sums, drawn: Vector) -> tuple[Sums, bool]:
    """Sums with the quantiles of draws, (r, draws), where those are others; and whether there are such."""
    average = drawn.mean(axis=1)
    drawn *= (sums.mean / np.where(average > 0, average, 1.0))[:, None]
    drawn.sort(axis=1)
    ends = [np.quantile(drawn, p, axis=1) for p in LEVELS]
    sd = (ends[-1] - ends[0]) / NORMAL
    off = np.max([np.abs(end - sums.quantile(p)) for p, end in zip(LEVELS, ends)], axis=0)
    other = off > APART * sd
    return replace(
        sums,
        quantile=lambda p: np.where(other, np.quantile(drawn, p, axis=1), sums.quantile(p)),
        above=lambda t: np.where(other, (drawn > t).mean(axis=1), sums.above(t)),
    ), bool(other.any())


def _lognormal_pairs(total: Vector) -> Callable[[slice, list[Vector]], float]:
    """What the blocks of an area add to its variance, from their covariances."""
    return lambda some, covariances: float(total[some] @ np.expm1(covariances[0]) @ total[some])


def _lognormals(weights: Vector, means: Vector, variances: Vector) -> Sums:
    """Sums whose distribution at each theta is taken for the lognormal of its moments (Fenton & Wilkinson)."""
    mean = weights @ means
    sd = np.sqrt(np.maximum(weights @ (variances + means**2) - mean**2, 0.0))
    safe = np.where(means > 0, means, 1.0)
    spread = np.sqrt(np.log1p(np.maximum(variances, 1e-300) / safe**2))
    logs = GaussianMixture(weights, np.log(safe) - 0.5 * spread**2, np.maximum(spread, 1e-150))

    def above(threshold: float) -> Vector:
        return logs.sf(np.log(threshold)) if threshold > 0 else np.ones(len(mean))

    return Sums(mean, sd, np.zeros(len(mean)), lambda p: np.exp(logs.quantile(p)), above)


def drawn_sums(
    cells: Cells,
    of_predictor: Callable[[Vector], Vector],
    slope: Callable[[GaussianMixture], Vector],
    exact: Callable[[GaussianMixture], Vector],
    draws: int,
    seed: int | None,
    progress: Callback | None = None,
) -> Sums:
    """Sums of a function of the predictor by draws, with exact means, and control variates for the variance.

    Parameters
    ----------
    cells : Cells
    of_predictor : callable
        g, elementwise.
    slope : callable
        Of the marginals of some cells: about how g rises there.
    exact : callable
        Of the marginals of some cells: means of g.
    draws : int
    seed : int, optional
    progress : callable, optional
    """
    fit = cells.fit
    gradients, means, middle = [], [], []
    for part in _parts(len(cells.offset)):
        mixture = fit.mixture(_some(cells.rows, part), cells.offset[part])
        gradients.append(slope(mixture))
        means.append(exact(mixture))
        middle.append(mixture.mean)
    mean, centre = cells.weights @ np.concatenate(means), np.concatenate(middle)
    gradient = sp.csr_matrix(cells.weights @ sp.diags(np.concatenate(gradients)))
    control = linear(cells, gradient, centre)
    known = control.weights @ (control.sds**2 + control.means**2)
    sums, along = np.empty((2, cells.weights.shape[0], draws))
    done = 0
    rng = np.random.default_rng(None if seed is None else [seed, 1])
    pieces = _pieces(cells.weights, gradient)
    shift, last = gradient @ (cells.offset - centre), None
    for point, x in joint_draws(fit.laplace, fit.approximation, draws, seed):
        if point is not last and (last is None or hasattr(cells.rows, "at")):
            own, more = cells.at(point)
            blocks, slopes, is_noisy = [own[part] for part, *_ in pieces], sp.csr_matrix(gradient @ own), more.any()
        last = point
        here = slice(done, done + x.shape[1])
        sums[:, here], along[:, here] = 0.0, slopes @ x + shift[:, None]
        for (part, areas, weighing, sloping), block in zip(pieces, blocks):
            eta = block @ x + cells.offset[part, None]
            if is_noisy:
                noise = np.sqrt(more[part])[:, None] * rng.standard_normal(eta.shape)
                eta += noise
                along[areas, here] += sloping @ noise
            sums[areas, here] += weighing @ of_predictor(eta)
        done += x.shape[1]
        if progress is not None:
            progress(done, draws, "draws")
    square, other = (sums - mean[:, None]) ** 2, along**2
    spread = other.var(axis=1)
    both = ((square - square.mean(axis=1)[:, None]) * (other - other.mean(axis=1)[:, None])).mean(axis=1)
    factor = np.where(spread > 0, both / np.where(spread > 0, spread, 1.0), 0.0)
    variance = square.mean(axis=1) - factor * (other.mean(axis=1) - known)
    variance = np.where(variance > 0, variance, square.mean(axis=1))
    sd = np.sqrt(variance)
    left = np.sqrt(np.maximum(square.var(axis=1) - factor * both, 0.0) / draws)
    error = np.where(sd > 0, left / np.where(sd > 0, 2 * sd, 1.0), 0.0)
    raw = sums.std(axis=1)
    stretch = np.where(raw > 0, sd / np.where(raw > 0, raw, 1.0), 1.0)
    moved = mean[:, None] + (sums - sums.mean(axis=1)[:, None]) * stretch[:, None]
    moved.sort(axis=1)
    return Sums(
        mean, sd, error, lambda p: np.quantile(moved, p, axis=1), lambda t: np.asarray((moved > t).mean(axis=1))
    )


def _pieces(weights: sp.csr_matrix, gradient: sp.csr_matrix) -> list[tuple[slice, NDArray[np.intp], Any, Any]]:
    """Cells a piece at a time: which, the areas that they are in, and their columns of two matrices for these."""
    pieces = []
    columns, slopes = weights.tocsc(), gradient.tocsc()
    for a in range(0, weights.shape[1], PIECE):
        part = slice(a, min(a + PIECE, weights.shape[1]))
        own = columns[:, part].tocsr()
        areas = np.flatnonzero(np.diff(own.indptr))
        pieces.append((part, areas, own[areas], slopes[:, part].tocsr()[areas]))
    return pieces


@dataclass(frozen=True)
class OfMap:
    """What the marginals of a map say of sums, whose variances and skewness are corrected where those of draws are not.

    Attributes
    ----------
    mean : (r,) array
    wider : (r,) array
        The corrected standard deviations of the cells over those without correction, each weighed as the sum has it.
        With the correlations of the Gaussians that makes the standard deviation of the sum (a Gaussian copula).
    """

    mean: Vector
    wider: Vector

    @classmethod
    def of(cls, mean: Vector, corrected: Vector, plain: Vector) -> OfMap:
        """From sums of means, and of standard deviations with and without correction."""
        known = np.isfinite(corrected) & np.isfinite(plain) & (plain > 0) & (corrected > 0)
        return cls(mean, np.where(known, corrected / np.where(known, plain, 1.0), 1.0))

    def around(self, sums: Sums) -> Sums:
        """Sums above zero of joint Gaussians, about the means of the map and as wide as it says."""
        scale = np.where(sums.mean > 0, self.mean / np.where(sums.mean > 0, sums.mean, 1.0), 1.0)
        middle = np.where(sums.mean > 0, sums.mean, 1.0)

        def quantile(p: float) -> Vector:
            return scale * middle * (np.maximum(sums.quantile(p), 0.0) / middle) ** self.wider

        def above(threshold: float) -> Vector:
            if threshold <= 0:
                return sums.above(threshold)
            at = middle * (threshold / (scale * middle)) ** (1 / self.wider)
            if np.allclose(at, at[0], rtol=1e-9):
                return sums.above(float(at[0]))
            return np.array([sums.above(one)[k] for k, one in enumerate(at)])

        return Sums(self.mean, sums.sd * scale * self.wider, sums.error, quantile, above)


def of_map(cells: Cells, exact: Callable[[GaussianMixture], Vector]) -> OfMap:
    """What the map says of sums over its cells; `exact` gives the means of some."""
    mean, *sds = np.zeros((3, cells.weights.shape[0]))
    columns = cells.weights.tocsc()
    for part in _parts(len(cells.offset)):
        mixture, weights = cells.fit.mixture(_some(cells.rows, part), cells.offset[part]), columns[:, part]
        mean += weights @ exact(mixture)
        if mixture.gaussian is not None:
            sds[0] += weights @ cells.fit.response(mixture, ())["sd"]
            sds[1] += weights @ cells.fit.response(mixture.gaussian, ())["sd"]
    return OfMap.of(mean, *sds)


def _parts(size: int) -> Sequence[slice]:
    return [slice(a, min(a + BATCH, size)) for a in range(0, size, BATCH)]


def _some(rows: Any, part: slice) -> Any:
    """Some of the rows, moving ones as they are where it is all of them."""
    if hasattr(rows, "at"):
        return _Part(rows, part)
    return rows[part]


@dataclass(frozen=True)
class _Sum:
    """Weighted sums of the rows of cells, as rows that move with theta: wide ones, whose variances are solved for."""

    cells: Cells

    @property
    def shape(self) -> tuple[int, int]:
        """Of the sums."""
        return self.cells.weights.shape[0], self.cells.rows.shape[1]

    def at(self, theta: Vector) -> tuple[sp.csr_matrix, Vector]:
        """Rows and the variance left unsaid."""
        if not hasattr(self.cells.rows, "at"):
            return self._joined, np.zeros(self.shape[0])
        own, more = self.cells.rows.at(theta)
        return sp.csr_matrix(self.cells.weights @ own), self.cells.weights.power(2) @ more

    @cached_property
    def _joined(self) -> sp.csr_matrix:
        return sp.csr_matrix(self.cells.weights @ self.cells.rows)


@dataclass(frozen=True)
class _Part:
    """Some of the rows of a design that moves with theta."""

    rows: Any
    part: slice

    @property
    def shape(self) -> tuple[int, int]:
        """Of the part."""
        return self.part.stop - self.part.start, self.rows.shape[1]

    def at(self, theta: Vector) -> tuple[sp.csr_matrix, Vector]:
        """Rows and the variance left unsaid."""
        own, more = self.rows.at(theta)
        return own[self.part], more[self.part]


def batches(weights: sp.csr_matrix, most: int) -> Iterator[slice]:
    """Yield areas, few enough at a time that their cells are at most so many."""
    first, size = 0, np.diff(weights.indptr)
    for r in range(1, len(size) + 1):
        if r == len(size) or size[first : r + 1].sum() > most:
            yield slice(first, r)
            first = r
