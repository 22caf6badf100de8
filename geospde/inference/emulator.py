"""A Gaussian process through the log posterior of theta and its gradients: what lies between the points, and how sure.

Posteriors of few data are flat, ridged, bent or have two arms; neither a product of nodes nor a polynomial follows
them. A Gaussian process with a quadratic trend is exact for a Gaussian posterior, follows the others with few points,
since every evaluation brings a gradient, and tells where it does not know (Rasmussen & Williams 2006, Gaussian
Processes for Machine Learning, section 9.4, for derivatives; Rasmussen & Ghahramani 2003, NIPS 15, for integrals).
"""

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, solve_triangular
from scipy.special import gammaincinv, gammaln, ndtri

from geospde.inference.kernels import kernel_sums
from geospde.linalg.processes import TREND, quadratic, quadratic_times, squared_distances, squared_exponential
from geospde.linalg.sequences import low_discrepancy

Vector = NDArray[np.float64]

LENGTHS = (0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)  # of the process, in standard deviations of theta
HEIGHTS = (0.1, 0.3, 1.0, 3.0, 10.0)  # its standard deviation, in units of log density
VALUE_NOISE, GRADIENT_NOISE = 1e-4, 1e-3  # sds: what Newton's tolerance leaves, and what keeps the matrix invertible
REACH = 1.5  # distance from the nearest point, in sqrt(d) standard deviations, beyond which the density is drawn down
CORRECTION_LENGTHS = (1.25, 2.5)  # of the process through second-order corrections, which vary slowly
CORRECTION_NOISE = 0.003  # and its noise, as a part of their spread: keeps its matrix invertible
FREEDOM = 5.0  # degrees of freedom of the proposal's Student t
NOTHING = -700.0  # log density in a hole
RISE = 2.0  # of the log density above that of all points, at most, and above the tangent at the nearest one


@dataclass(frozen=True)
class Proposal:
    """Where an emulated density is summed: a Gaussian, or a Student t where it is not nearly one.

    Attributes
    ----------
    mean : (d,) array
    root : (d, d) array
        Of its scale matrix.
    heavy : bool
        Whether it is the Student t.
    """

    mean: Vector
    root: Vector
    heavy: bool = True

    def nodes(self, size: int) -> tuple[Vector, Vector]:
        """Points of low discrepancy, (2 size, d), in mirrored pairs, and their log density, (2 size,)."""
        standard, log_density = _standard_nodes(size, self.mean.size, self.heavy)
        return self.mean + standard @ self.root.T, log_density - np.log(np.diag(self.root)).sum()


@lru_cache(maxsize=16)
def _standard_nodes(size: int, d: int, heavy: bool) -> tuple[Vector, Vector]:
    """Nodes of a standard proposal, and their log density."""
    if heavy:
        uniform = low_discrepancy(size, d + 1)
        chi_square = 2.0 * gammaincinv(0.5 * FREEDOM, uniform[:, d])
        t = ndtri(uniform[:, :d]) * np.sqrt(FREEDOM / chi_square)[:, None]
        t = np.vstack([t, -t])
        constant = gammaln(0.5 * (FREEDOM + d)) - gammaln(0.5 * FREEDOM) - 0.5 * d * np.log(np.pi * FREEDOM)
        return t, constant - 0.5 * (FREEDOM + d) * np.log1p((t**2).sum(axis=1) / FREEDOM)
    t = ndtri(low_discrepancy(size, d))
    t = np.vstack([t, -t])  # mirrored and whitened: first, second and third moments are exact
    t = t @ np.linalg.inv(np.linalg.cholesky(t.T @ t / len(t))).T
    return t, -0.5 * (t**2).sum(axis=1) - 0.5 * d * np.log(2 * np.pi)


@dataclass(frozen=True)
class Corrections:
    """A second process, through second-order corrections of the values, which the gradients have no part of.

    Attributes
    ----------
    coefficients : (n,) array
        Of its kernels.
    shift : float
        What is added everywhere.
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

    def variance(self, squares: Vector) -> Vector:
        """How unsure they are there, (p,)."""
        assert self.factor is not None
        cross = self.spread**2 * np.exp(-0.5 * squares / self.length**2) + self.level**2
        half = solve_triangular(self.factor, cross.T, lower=True)
        values: Vector = np.maximum(self.spread**2 + self.level**2 - (half**2).sum(axis=0), 0.0)
        return values


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

    places: Vector
    coefficients: Vector
    length: float
    height: float
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
        errors: Vector,
        near: "Emulator | None" = None,
        search: bool = True,
    ) -> "Emulator":
        """Condition on log densities, (n,), and their gradients, (n, d), the latter with these errors, (n, d).

        Length and height have the largest marginal likelihood on a grid; with an emulator of fewer points, beside its
        own, or, without a search, are its own.
        """
        n, d = places.shape
        target = np.concatenate([values + 0.5 * (places**2).sum(axis=1), (gradients + places).T.ravel()])
        noise = np.concatenate([np.full(n, VALUE_NOISE**2), GRADIENT_NOISE**2 + errors.T.ravel() ** 2])
        trend = quadratic(places, places) + np.diag(noise)
        best: tuple[float, float, float, Any, Any] | None = None
        for length, height in _shapes(near) if search or near is None else [(near.length, near.height)]:
            try:
                factor = np.linalg.cholesky(height**2 * squared_exponential(places, places, length) + trend)
            except np.linalg.LinAlgError:
                continue
            half = solve_triangular(factor, target, lower=True)
            evidence = -0.5 * float(half @ half) - float(np.log(np.diag(factor)).sum())
            if best is None or evidence > best[0]:
                best = evidence, length, height, factor, half
        if best is None:  # the noise keeps short lengths positive definite
            return cls.through(places, values, gradients, errors)
        _, length, height, factor, half = best
        coefficients = solve_triangular(factor, half, lower=True, trans="T")
        proposal = Proposal(np.zeros(d), np.eye(d)) if near is None else near.proposal
        top, no_holes = float(values.max()), np.empty((0, d))
        return cls(places, coefficients, length, height, top, proposal, no_holes, factor)

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
        """The residual at z, (p, d) -> (p,), drawn down beyond the reach of the points unless it is not `bounded`."""
        value, distances = self._looked_at(z)
        return self._bounded(value, distances) if bounded else value

    def _bounded(self, value: Vector, distances: Vector) -> Vector:
        """Drawn down beyond the reach of the points, but in holes, where there is nothing."""
        beyond = np.maximum(distances - REACH * np.sqrt(self.places.shape[1]), 0.0)
        drawn: Vector = np.where(value == NOTHING, NOTHING, value - beyond**2)
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
        terms = self._terms
        work = np.empty((2, len(self.places)))
        kernel_sums(np.ascontiguousarray(z), *terms, work, value, nearest, square)
        if self.corrections is not None:
            value += self.corrections.shift
        return value, nearest, square

    @cached_property
    def _terms(self) -> tuple[Vector, Vector, Vector]:
        """Places, slopes and scales as `kernel_sums` takes them."""
        n, d = self.places.shape
        own, slopes = self.coefficients[:n], self.coefficients[n:].reshape(d, n)
        scale = 1.0 / self.length**2
        level = own - scale * (slopes * self.places.T).sum(axis=0)
        terms, scales = [np.vstack([level, scale * slopes]) * self.height**2], [scale]
        if self.corrections is not None:
            terms.append(np.vstack([self.corrections.coefficients, np.zeros((d, n))]))
            scales.append(1.0 / self.corrections.length**2)
        return np.ascontiguousarray(self.places.T), np.array(terms), np.array(scales)

    @cached_property
    def _tangents(self) -> tuple[Vector, Vector]:
        """The residual at the points, (n,), and its gradients there, (n, d)."""
        places = self.places
        n, d = places.shape
        both = self.height**2 * squared_exponential(places, places, self.length) + quadratic(places, places)
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
        """Log density at u, (p,), the same not drawn down, and the distance of each to the nearest point."""
        value, distances = self._looked_at(u)
        gaussian = 0.5 * (u**2).sum(axis=1)
        return self._bounded(value, distances) - gaussian, value - gaussian, distances

    def distances(self, u: Vector) -> Vector:
        """Distance of each u, (p, d), to the nearest point, (p,)."""
        values: Vector = np.sqrt(squared_distances(u, self.places).min(axis=1))
        return values

    def sd(self, u: Vector) -> Vector:
        """Standard deviation at u, (p, d) -> (p,), of both processes."""
        assert self.factor is not None
        cross = self.height**2 * squared_exponential(u, self.places, self.length, values_only=True)
        cross += quadratic(u, self.places, values_only=True)
        half = solve_triangular(self.factor, cross.T, lower=True)
        a, b, c = TREND
        square = (u**2).sum(axis=1)
        own = self.height**2 + a**2 + b**2 * square + 0.5 * c**2 * square**2
        variance = np.maximum(own - (half**2).sum(axis=0), 0.0)
        if self.corrections is not None:
            variance += self.corrections.variance(squared_distances(u, self.places))
        values: Vector = np.sqrt(variance)
        return values

    def nodes(self, size: int = 2**14) -> tuple[Vector, Vector]:
        """Many u, and minus the log of the density that they are drawn from."""
        u, log_proposal = self.proposal.nodes(size)
        return u, -log_proposal

    def proposing(self, size: int = 512, rounds: int = 2) -> "Emulator":
        """The same with a proposal on the moments of the density: a Gaussian where it nearly is one."""
        found = self
        for _ in range(rounds):
            proposal = replace(found.proposal, heavy=False)
            u, log_proposal = proposal.nodes(size)
            log_ratio = self.log_density(u) - log_proposal
            heavy = float(np.std(log_ratio)) > 0.2
            if heavy:
                proposal = replace(proposal, heavy=True)
                u, log_proposal = proposal.nodes(size)
                log_ratio = self.log_density(u) - log_proposal
            found = replace(found, proposal=_moved(proposal, u, log_ratio))
        return found

    def reach(self) -> float:
        """A little beyond the outermost point."""
        return float(np.sqrt((self.places**2).sum(axis=1)).max()) + 2.0

    def arrays(self) -> dict[str, Vector]:
        """What a saved fit keeps of it."""
        proposal, second = self.proposal, self.corrections or Corrections(np.zeros(len(self.places)), 0.0)
        return {
            "places": self.places, "kernels": self.coefficients, "correction": second.coefficients,
            "shape": np.array([self.length, self.height, second.shift, self.top, second.length]),
            "heavy": np.array(proposal.heavy), "holes": self.holes, "mean": proposal.mean, "root": proposal.root,
        }  # fmt: skip

    @classmethod
    def from_arrays(cls, arrays: dict[str, Vector]) -> "Emulator":
        """An emulator from what `arrays` gave."""
        length, height, shift, top, *reach = (float(v) for v in arrays["shape"])
        proposal = Proposal(arrays["mean"], arrays["root"], bool(arrays["heavy"]))
        length_of_second = reach[0] if reach else CORRECTION_LENGTHS[-1]  # those of older fits have but one
        second = (
            Corrections(arrays["correction"], shift, length_of_second) if arrays["correction"].any() or shift else None
        )
        return cls(
            arrays["places"], arrays["kernels"], length, height, top, proposal, arrays["holes"], corrections=second
        )


def _moved(proposal: Proposal, u: Vector, log_ratio: Vector) -> Proposal:
    """A proposal on the moments of nodes with these log weights."""
    ratio = np.exp(log_ratio - log_ratio.max())
    share = ratio / ratio.sum()
    mean = share @ u
    covariance = (u - mean).T @ (share[:, None] * (u - mean))
    # few nodes that count are a poor guide: move by part of what they say
    d = mean.size
    trust = min(1.0, 1.0 / float(share @ share) / (50 * d))
    mean = trust * mean + (1 - trust) * proposal.mean
    covariance = trust * covariance + (1 - trust) * proposal.root @ proposal.root.T + 1e-9 * np.eye(d)
    return replace(proposal, mean=mean, root=np.linalg.cholesky(covariance))


def _shapes(near: Emulator | None) -> list[tuple[float, float]]:
    """Lengths and heights to try: all, or those that are neighbours of an emulator's."""
    if near is None:
        return list(product(LENGTHS, HEIGHTS))
    i, j = LENGTHS.index(near.length), HEIGHTS.index(near.height)
    steps = [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (1, 1)]
    inside = [(i + a, j + b) for a, b in steps if 0 <= i + a < len(LENGTHS) and 0 <= j + b < len(HEIGHTS)]
    return [(LENGTHS[a], HEIGHTS[b]) for a, b in inside]
