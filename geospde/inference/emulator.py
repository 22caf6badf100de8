"""A Gaussian process through the log posterior of theta and its gradients: values between points, and their error.

Posteriors of few data are flat, ridged, bent or have two arms; neither a product of nodes nor a polynomial follows
them. A Gaussian process with a quadratic trend is exact for a Gaussian posterior, follows the others with few points,
since every evaluation brings a gradient, and knows where it is unsure (Rasmussen & Williams 2006, Gaussian
Processes for Machine Learning, section 9.4, for derivatives; Rasmussen & Ghahramani 2003, NIPS 15, for integrals).
"""

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, solve_triangular
from scipy.special import logsumexp

from geospde.linalg.kernels import kernel_sums
from geospde.linalg.processes import (
    TREND,
    exponential_variances,
    quadratic,
    quadratic_times,
    quadratic_variances,
    squared_distances,
    squared_exponential,
)
from geospde.linalg.proposal import Islands, Proposal, coarse

Vector = NDArray[np.float64]

LENGTHS = (0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)  # of the process, in standard deviations of theta
HEIGHTS = (0.1, 0.3, 1.0, 3.0, 10.0)  # its standard deviation, in units of log density
VALUE_NOISE, GRADIENT_NOISE = 1e-4, 1e-3  # sds: what Newton's tolerance leaves, and what keeps the matrix invertible
REACH = 1.5  # distance from the nearest point, in sqrt(d) standard deviations, beyond which the density is drawn down
CORRECTION_LENGTHS = (1.25, 2.5)  # of the process through second-order corrections, which vary slowly
CORRECTION_NOISE = 0.003  # and its noise, as a part of their spread: keeps its matrix invertible
NOTHING = -700.0  # log density in a hole
RISE = 2.0  # of the log density above that of all points, at most, and above the tangent at the nearest one
UNEVEN = 0.2  # standard deviation of log weights up to which a density is nearly Gaussian
LONG, DEEPEST = 1.0, 4.0  # log density above that Gaussian's, and below its peak less the log of the squared distance,
# of a point in a tail: one that makes up more than two per cent of an sd
RARE = 2.0  # log of that density over the proposal's, from which nodes are laid about points, too,
ISLANDED, ISLAND, PARTS = 2, 0.7, 1024  # on so many axes, with this standard deviation, and shares of so many parts
FEW, MANY = 2048, 2**15  # nodes
ENOUGH = 0.5  # share of them that count after weighting, below which they are four times as many
LOG_2PI = float(np.log(2 * np.pi))
ROUND = 0.15  # shortest axis of the metric, of which the longest is one


@dataclass(frozen=True)
class Corrections:
    """A second process, for the second-order corrections, which are in the values and not in the gradients.

    Attributes
    ----------
    coefficients : (n,) array
        Of its kernels.
    shift : float
        Added everywhere.
    length : float
    spread, level : float
        Standard deviations of the process, and of the constant that it goes about.
    factor : (n, n) array or None
        Lower Cholesky factor of the covariance of the corrections; None in a saved fit.
    """

    coefficients: Vector
    shift: float
    length: float = CORRECTION_LENGTHS[-1]
    spread: float = 0.0
    level: float = 0.0
    factor: Vector | None = None

    @classmethod
    def through(cls, squares: Vector, values: Vector) -> "Corrections":
        """Condition on corrections, (n,), at places with these squared distances, (n, n), by the likelier length."""
        spread, level = float(np.std(values)), 10 * float(np.abs(values).max())
        best = -np.inf
        found: Corrections | None = None
        for length in CORRECTION_LENGTHS:
            matrix = spread**2 * np.exp(-0.5 * squares / length**2) + level**2
            matrix[np.diag_indices_from(matrix)] += (CORRECTION_NOISE * spread + 1e-6) ** 2
            factor = np.asarray(np.linalg.cholesky(matrix), dtype=float)
            weights = np.asarray(cho_solve((factor, True), values))
            evidence = -0.5 * float(values @ weights) - float(np.log(np.diag(factor)).sum())
            if found is None or evidence > best:
                best = evidence
                found = cls(spread**2 * weights, level**2 * float(weights.sum()), length, spread, level, factor)
        assert found is not None
        return found

    def at(self, squares: Vector) -> Vector:
        """Corrections at squared distances from the places, (p, n) -> (p,)."""
        values: Vector = np.exp(-0.5 * squares / self.length**2) @ self.coefficients + self.shift
        return values

    def gradient(self, places: Vector, squares: Vector) -> Vector:
        """Their gradients at the places, (n, d)."""
        weights = np.exp(-0.5 * squares / self.length**2) * self.coefficients
        values: Vector = (weights @ places - weights.sum(axis=1)[:, None] * places) / self.length**2
        return values

    def variances(self, u: Vector, squares: Vector, weights: Vector) -> tuple[Vector, Vector]:
        """Posterior variances at u, (p, d) -> (p,), and of sums with these weights, (p, k) -> (k,)."""
        assert self.factor is not None
        cross = self.spread**2 * np.exp(-0.5 * squares / self.length**2) + self.level**2
        half = solve_triangular(self.factor, cross.T, lower=True)
        own = self.spread**2 + self.level**2 - (half**2).sum(axis=0)
        sums = self.spread**2 * exponential_variances(u, weights, self.length) + (self.level * weights.sum(axis=0)) ** 2
        return np.maximum(own, 0.0), sums - ((half @ weights) ** 2).sum(axis=0)


@dataclass(frozen=True)
class Emulator:
    """Residual of the log posterior, log p + u'u/2 up to a constant: a Gaussian process given values and gradients.

    Attributes
    ----------
    places : (n, d) array
        Points u.
    coefficients : (n (d + 1),) array
        Of the kernels of values, then of derivatives in each coordinate.
    length, height : float
        Of the squared exponential kernel.
    metric : (d, d) array
        Of its distances: long in directions along which the log density is nearly quadratic.
    top : float
        Largest log density at a point.
    proposal : Proposal
    holes : (k, d) array
        Places that could not be evaluated: what is nearer to one of them than to a point has no density.
    factor : (N, N) array or None
        Lower Cholesky factor of the covariance of what was observed; None in a saved fit.
    corrections : Corrections or None
        Of the values; None where there are none.
    """

    rule: ClassVar[str] = "points added where a Gaussian process through the log posterior and its gradients was unsure"

    places: Vector
    coefficients: Vector
    length: float
    height: float
    metric: Vector
    top: float
    proposal: Proposal
    holes: Vector
    factor: Vector | None = None
    corrections: Corrections | None = None

    @classmethod
    def through(
        cls,
        places: Vector,
        values: Vector,
        gradients: Vector,
        noise: Vector,
        errors: Vector,
        near: "Emulator | None" = None,
        search: bool = True,
    ) -> "Emulator":
        """Condition on log densities, (n,), and their gradients, (n, d), with these errors, (n,) and (n, d).

        Length and height have the largest marginal likelihood on a grid; with an emulator of fewer points, beside its
        own, or, without a search, are its own. So has the metric, of two: round, or of the slopes that a first process
        has beside its quadratic trend.
        """
        n, d = places.shape
        target = np.concatenate([values + 0.5 * (places**2).sum(axis=1), (gradients + places).T.ravel()])
        variances = [VALUE_NOISE**2 + noise**2, GRADIENT_NOISE**2 + errors.T.ravel() ** 2]
        trend = quadratic(places, places) + np.diag(np.concatenate(variances))
        shapes = _shapes(near) if search or near is None else [(near.length, near.height)]
        metric = np.eye(d) if near is None else near.metric
        best = _likeliest(places, target, trend, shapes, metric)
        if best is None:  # the noise keeps short lengths positive definite
            return cls.through(places, values, gradients, noise, errors)
        if (search or near is None) and d > 1:
            slopes = best.slopes(places)
            for other in [_metric(slopes)] + ([np.eye(d)] if near is not None else []):
                found = _likeliest(places, target, trend, _shapes(near), other)
                if found is not None and found.evidence > best.evidence:
                    best = found
        proposal = Proposal.gaussian(np.zeros(d), np.eye(d)) if near is None else near.proposal
        top, no_holes = float(values.max()), np.empty((0, d))
        return cls(
            places, best.coefficients, best.length, best.height, best.metric, top, proposal, no_holes, best.factor
        )

    def with_corrections(self, corrections: Vector, top: float) -> "Emulator":
        """The same with corrections, (n,), added to the values, of which the largest is then `top`."""
        if not np.abs(corrections).max() > 1e-6:
            return self
        found = Corrections.through(squared_distances(self.places, self.places), corrections)
        return replace(self, corrections=found, top=top)

    def around(self, holes: Vector) -> "Emulator":
        """The same with holes, (k, d)."""
        return replace(self, holes=holes)

    def __call__(self, z: Vector, bounded: bool = True) -> Vector:
        """The residual at z, (p, d) -> (p,); if `bounded`, lowered beyond the reach of the points."""
        value, distances = self._looked_at(z)
        return self._bounded(value, distances) if bounded else value

    def _bounded(self, value: Vector, distances: Vector) -> Vector:
        """Lower the residual beyond the reach of the points; in holes there is no density at all."""
        drawn: Vector = np.where(value == NOTHING, NOTHING, value - self.drawn_down(distances))
        return drawn

    def _looked_at(self, z: Vector) -> tuple[Vector, Vector]:
        """The residual at z, (p,), and the distance of each to the nearest point."""
        value, nearest, squares = self._sums(z)
        value += quadratic_times(z, self.places, self.coefficients)
        highest = self.top + RISE + 0.5 * (z**2).sum(axis=1)
        # a log-concave density lies below its tangents; others bend up, but by no more than a Gaussian bends down
        level_there, slope_there = self._tangents
        step = z - self.places[nearest]
        tangent = level_there[nearest] + (slope_there[nearest] * step).sum(axis=1) + (step**2).sum(axis=1)
        value = np.minimum(np.minimum(value, highest), tangent + RISE)
        if len(self.holes):
            value[squared_distances(z, self.holes).min(axis=1) < squares] = NOTHING
        return value, np.sqrt(squares)

    def _sums(self, z: Vector) -> tuple[Vector, NDArray[np.int64], Vector]:
        """Both processes at z but for the trend, (p,), the nearest point and the squared distance to it."""
        value, square = np.empty((2, len(z)))
        nearest = np.empty(len(z), np.int64)
        work, stretch = np.empty((3, len(self.places))), np.linalg.cholesky(self.metric)
        kernel_sums(np.ascontiguousarray(z), z @ stretch, *self._terms, work, value, nearest, square)
        if self.corrections is not None:
            value += self.corrections.shift
        return value, nearest, square

    @cached_property
    def _terms(self) -> tuple[Vector, Vector, Vector, Vector]:
        """Places, the same in the metric, slopes and scales as `kernel_sums` takes them."""
        n, d = self.places.shape
        own, slopes = self.coefficients[:n], self.coefficients[n:].reshape(d, n)
        slopes = self.metric @ slopes
        scale = 1.0 / self.length**2
        level = own - scale * (slopes * self.places.T).sum(axis=0)
        terms, scales = [np.vstack([level, scale * slopes]) * self.height**2], [scale]
        if self.corrections is not None:
            terms.append(np.vstack([self.corrections.coefficients, np.zeros((d, n))]))
            scales.append(1.0 / self.corrections.length**2)
        stretched = (self.places @ np.linalg.cholesky(self.metric)).T
        places = np.ascontiguousarray(self.places.T)
        return places, np.ascontiguousarray(stretched), np.array(terms), np.array(scales)

    @cached_property
    def _tangents(self) -> tuple[Vector, Vector]:
        """The residual at the points, (n,), and its gradients there, (n, d)."""
        places = self.places
        n, d = places.shape
        own = self.height**2 * squared_exponential(places, places, self.length, self.metric)
        both = own + quadratic(places, places)
        found = (both @ self.coefficients).reshape(1 + d, n)
        values, slopes = found[0], found[1:].T
        if self.corrections is not None:
            squares = squared_distances(places, places)
            values = values + self.corrections.at(squares)
            slopes = slopes + self.corrections.gradient(places, squares)
        return values, slopes

    def log_density(self, u: Vector, bounded: bool = True) -> Vector:
        """Log density at u, up to a constant."""
        values: Vector = self(u, bounded) - 0.5 * (u**2).sum(axis=1)
        return values

    def survey(self, u: Vector) -> tuple[Vector, Vector, Vector]:
        """Log density at u, (p,), the same without lowering, and the distance of each to the nearest point."""
        value, distances = self._looked_at(u)
        gaussian = 0.5 * (u**2).sum(axis=1)
        return self._bounded(value, distances) - gaussian, value - gaussian, distances

    def distances(self, u: Vector) -> Vector:
        """Distance of each u, (p, d), to the nearest point, (p,)."""
        values: Vector = np.sqrt(squared_distances(u, self.places).min(axis=1))
        return values

    def sds(self, u: Vector, weights: Vector) -> tuple[Vector, Vector]:
        """Standard deviations of both processes at u, (p, d) -> (p,), and of sums with weights (p, k) -> (k,)."""
        half = self._half(u)
        a, b, c = TREND
        square = (u**2).sum(axis=1)
        own = self.height**2 + a**2 + b**2 * square + 0.5 * c**2 * square**2 - (half**2).sum(axis=0)
        sums = self.height**2 * exponential_variances(u, weights, self.length, self.metric)
        sums += quadratic_variances(u, weights) - ((half @ weights) ** 2).sum(axis=0)
        own = np.maximum(own, 0.0)
        if self.corrections is not None:
            more = self.corrections.variances(u, squared_distances(u, self.places), weights)
            own, sums = own + more[0], sums + more[1]
        return np.sqrt(own), np.sqrt(np.maximum(sums, 0.0))

    def _half(self, u: Vector) -> Vector:
        """Covariances of what was observed, whitened, with the values at u, (N, p)."""
        assert self.factor is not None
        cross = self.height**2 * squared_exponential(u, self.places, self.length, self.metric, values_only=True)
        cross += quadratic(u, self.places, values_only=True)
        return np.asarray(solve_triangular(self.factor, cross.T, lower=True))

    def drawn_down(self, distances: Vector) -> Vector:
        """By how much the log density is lowered at these distances from the nearest points."""
        values: Vector = np.maximum(distances - REACH * np.sqrt(self.places.shape[1]), 0.0) ** 2
        return values

    def sd(self, u: Vector) -> Vector:
        """Standard deviation at u, (p, d) -> (p,), of both processes."""
        return self.sds(u, np.empty((len(u), 0)))[0]

    def nodes(self, size: int | None = None) -> tuple[Vector, Vector]:
        """Many u, and minus the log density they are drawn from; by default as many as the proposal needs."""
        if size is None:
            u, log_inverse = self.nodes(FEW)
            ratio = self.log_density(u) + log_inverse
            ratio = np.exp(ratio - ratio.max())
            enough = ENOUGH / (1 + self.has_islands)  # whose half of the nodes count less
            size = MANY if ratio.sum() ** 2 > enough * len(ratio) * (ratio @ ratio) else 4 * MANY
        if self._islands is None:
            u, log_proposal = self.proposal.nodes(size)
            return u, -log_proposal
        # by turns from both, so that a part of them is as good a sum as all
        u, log_proposal = self.proposal.nodes(size // 2)
        beside = self._islands.nodes(size // 2)
        both = np.stack([u, beside], axis=1).reshape(size, -1)
        log_both = np.stack([log_proposal, self.proposal.log_density(beside)], axis=1).ravel()
        return both, float(np.log(2.0)) - np.logaddexp(log_both, self._islands.log_density(both))

    @property
    def observed(self) -> int:
        """Number of values and slopes."""
        return self.coefficients.size

    @property
    def has_islands(self) -> bool:
        """Whether some of the density lies where the proposal has next to no nodes of its own."""
        return self._islands is not None

    @cached_property
    def _islands(self) -> Islands | None:
        """Gaussians about points whose density the proposal has next to none of, if that counts, on up to two axes.

        On more, draws see to what the points do not follow.
        """
        if self.places.shape[1] > ISLANDED:
            return None
        u, log_proposal = self.proposal.nodes(FEW)
        log_whole = float(logsumexp(self.log_density(u) - log_proposal) - np.log(FEW))
        level, own = self.log_density(self.places), self.proposal.log_density(self.places)
        squares = (np.linalg.solve(self.proposal.root, (self.places - self.proposal.mean).T) ** 2).sum(axis=0)
        lacking = level - log_whole > own + RARE
        if not (lacking & (self.top - level < DEEPEST + np.log(squares + 1e-300))).any():
            return None
        level, places = level[lacking], self.places[lacking]
        crowd = np.exp(-0.5 * squared_distances(places, places) / ISLAND**2).sum(axis=1)
        shares = np.exp(level - level.max()) / crowd
        # whole parts, cut where no simple fraction lies, so that rounding errors do not move them
        shares = np.floor(shares / shares.sum() * PARTS + 1.3)
        return Islands(places, shares / shares.sum(), ISLAND)

    @cached_property
    def weighted(self) -> tuple[Vector, Vector]:
        """Many u and their log weights, whose mean on the natural scale is the integral of the density."""
        u, log_inverse = self.nodes()
        return u, self.log_density(u) + log_inverse

    @property
    def share_of_nodes(self) -> float:
        """Share of the nodes of `weighted` that count after weighting."""
        log_weights = self.weighted[1]
        weights = np.exp(log_weights - log_weights.max())
        return float(weights.sum() ** 2 / (weights @ weights) / len(weights))

    def proposing(self, size: int = 1024, rounds: int = 2) -> "Emulator":
        """The same with a proposal on the moments of the density: a Gaussian where it nearly is one."""
        old = self.proposal
        for _ in range(rounds):
            gaussian = Proposal.gaussian(
                old.mean, coarse(np.asarray(np.linalg.cholesky(old.root @ old.root.T), dtype=float))
            )
            u, log_proposal = gaussian.nodes(size)
            log_ratio = self.log_density(u) - log_proposal
            if float(np.std(log_ratio)) < UNEVEN and not self._has_tails_beside(gaussian, float(np.mean(log_ratio))):
                old = gaussian.toward(u, log_ratio)
                continue
            proposal = Proposal.heavy_tailed(old.mean, old.root) if old.is_gaussian else old
            u, log_proposal = proposal.nodes(size)
            old = proposal.toward(u, self.log_density(u) - log_proposal, self.metric)
        return replace(self, proposal=old)

    def _has_tails_beside(self, gaussian: Proposal, log_whole: float) -> bool:
        """Whether a point tells of a tail where a Gaussian of this log integral has next to none of its nodes."""
        z = np.linalg.solve(gaussian.root, (self.places - gaussian.mean).T)
        squares = (z**2).sum(axis=0)
        log_peak = log_whole - float(np.linalg.slogdet(gaussian.root)[1]) - 0.5 * len(z) * LOG_2PI
        depth = log_peak - self.log_density(self.places)
        # by its part of the variance
        return bool(((depth < 0.5 * squares - LONG) & (depth < DEEPEST + np.log(squares + 1e-300))).any())

    def reach(self) -> float:
        """A little beyond the outermost point."""
        return float(np.sqrt((self.places**2).sum(axis=1)).max()) + 2.0

    def arrays(self) -> dict[str, Vector]:
        """What a saved fit keeps of it."""
        proposal, second = self.proposal, self.corrections or Corrections(np.zeros(len(self.places)), 0.0)
        return {
            "places": self.places, "kernels": self.coefficients, "correction": second.coefficients,
            "shape": np.array([self.length, self.height, second.shift, self.top, second.length]),
            "metric": self.metric, "holes": self.holes, "mean": proposal.mean, "root": proposal.root,
            "below": proposal.below, "bends": proposal.bends,
        }  # fmt: skip

    @classmethod
    def from_arrays(cls, arrays: dict[str, Vector]) -> "Emulator":
        """An emulator from what `arrays` gave."""
        length, height, shift, top, *reach = (float(v) for v in arrays["shape"])
        if "below" in arrays:
            proposal = Proposal(arrays["mean"], arrays["root"], arrays["below"], arrays["bends"])
        else:  # that of older fits is a Student t or a Gaussian
            named = Proposal.heavy_tailed if arrays["heavy"] else Proposal.gaussian
            proposal = named(arrays["mean"], arrays["root"])
        length_of_second = reach[0] if reach else CORRECTION_LENGTHS[-1]  # those of older fits have but one
        second = (
            Corrections(arrays["correction"], shift, length_of_second) if arrays["correction"].any() or shift else None
        )
        metric = arrays.get("metric", np.eye(arrays["places"].shape[1]))  # that of older fits is round
        holes = arrays["holes"]
        return cls(
            arrays["places"], arrays["kernels"], length, height, metric, top, proposal, holes, corrections=second
        )


@dataclass(frozen=True)
class _Process:
    """A process of one shape through what was observed."""

    evidence: float
    length: float
    height: float
    metric: Vector
    factor: Vector
    coefficients: Vector

    def slopes(self, places: Vector) -> Vector:
        """Its slopes at the places, (n, d), without those of the quadratic trend."""
        n, d = places.shape
        found = self.height**2 * squared_exponential(places, places, self.length, self.metric)[n:] @ self.coefficients
        values: Vector = found.reshape(d, n).T
        return values


def _likeliest(
    places: Vector, target: Vector, trend: Vector, shapes: list[tuple[float, float]], metric: Vector
) -> _Process | None:
    """The process of most marginal likelihood, None where no covariance is positive definite."""
    best: tuple[float, float, float, Vector, Vector] | None = None
    kernels = {length: squared_exponential(places, places, length, metric) for length in {at[0] for at in shapes}}
    for length, height in shapes:
        try:
            factor = np.asarray(np.linalg.cholesky(height**2 * kernels[length] + trend))
        except np.linalg.LinAlgError:
            continue
        half = np.asarray(solve_triangular(factor, target, lower=True))
        evidence = -0.5 * float(half @ half) - float(np.log(np.diag(factor)).sum())
        if best is None or evidence > best[0]:
            best = evidence, length, height, factor, half
    if best is None:
        return None
    evidence, length, height, factor, half = best
    return _Process(evidence, length, height, metric, factor, solve_triangular(factor, half, lower=True, trans="T"))


def _metric(slopes: Vector) -> Vector:
    """The metric in which a process has slopes, (n, d), alike in all directions, but not far from round."""
    squares = (slopes**2).sum(axis=1)
    weights = 1.0 / (squares + np.median(squares) + 1e-12)  # steep places have no more to say than others
    scales, turn = np.linalg.eigh(slopes.T @ (weights[:, None] * slopes))
    return coarse((turn * np.maximum(scales / max(scales[-1], 1e-300), ROUND**2)) @ turn.T, 9)


def _shapes(near: Emulator | None) -> list[tuple[float, float]]:
    """Lengths and heights to try: all, or those that are neighbours of an emulator's."""
    if near is None:
        return list(product(LENGTHS, HEIGHTS))
    i, j = LENGTHS.index(near.length), HEIGHTS.index(near.height)
    steps = [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (1, 1)]
    inside = [(i + a, j + b) for a, b in steps if 0 <= i + a < len(LENGTHS) and 0 <= j + b < len(HEIGHTS)]
    return [(LENGTHS[a], HEIGHTS[b]) for a, b in inside]
