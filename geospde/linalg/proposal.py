"""Where a density of any shape is summed: even points, bent and stretched to lie as it does."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, logsumexp, ndtri

from geospde.linalg.processes import squared_distances
from geospde.linalg.sequences import low_discrepancy, scrambled, sobol

Vector = NDArray[np.float64]

SPACING = 0.05
PLACES = np.arange(-400, 401) * SPACING  # where distribution functions are tabulated, in standard deviations
WIDTH = 0.25  # width of the kernel that smooths marginals
TAILS = 0.2  # share of a Student t in each marginal
BENT = 0.8  # share of an axis' variance unexplained by those before it, below which it is bent
FURTHEST = 4.0  # standard deviations on those axes beyond which it is bent no further
BITS = 6  # moments are rounded to parts of 2 to this power, so that rounding error is dropped and cannot grow


@dataclass(frozen=True)
class Proposal:
    """A Gaussian or, for a density that is not nearly one, a product of marginals in bent axes.

    Attributes
    ----------
    mean : (d,) array
    root : (d, d) array
        ``u = mean + root @ z``, where z has about unit variances.
    below : (d, g) array
        Distribution functions of z at `PLACES`, less what bends it; none of a Gaussian.
    bends : (d, q) array
        Of what bends each z: coefficients of `_powers` of those before it.
    """

    mean: Vector
    root: Vector
    below: Vector
    bends: Vector

    @classmethod
    def gaussian(cls, mean: Vector, root: Vector) -> "Proposal":
        """With this mean, and the covariance ``root @ root.T``."""
        nothing = np.empty((mean.size, 0))
        return cls(mean, root, nothing, nothing)

    @classmethod
    def heavy_tailed(cls, mean: Vector, root: Vector) -> "Proposal":
        """Student t with 3 degrees of freedom on each axis."""
        d = mean.size
        return cls(mean, root, np.tile(_student(), (d, 1)), np.zeros((d, 1 + d + d * (d + 1) // 2)))

    @property
    def is_gaussian(self) -> bool:
        """Whether it is one."""
        return not self.below.size

    def nodes(self, size: int) -> tuple[Vector, Vector]:
        """Points of low discrepancy, (size, d), size a power of two, and their log density, (size,)."""
        log_volume = float(np.linalg.slogdet(self.root)[1])
        if self.is_gaussian:
            z, log_density = _gaussian_nodes(size, self.mean.size)
            return self.mean + z @ self.root.T, log_density - log_volume
        uniform = sobol(size, self.mean.size)
        z, log_density = np.zeros_like(uniform), np.full(size, -log_volume)
        for k, below in enumerate(self.below):
            left = np.clip(np.searchsorted(below, uniform[:, k]) - 1, 0, PLACES.size - 2)
            slope = np.diff(below)[left] / SPACING
            z[:, k] = PLACES[left] + (uniform[:, k] - below[left]) / slope
            if self.bends[k].any():
                z[:, k] += _powers(z) @ self.bends[k]  # of which those that come later are still zero
            log_density += np.log(slope)
        return self.mean + z @ self.root.T, log_density

    def log_density(self, u: Vector) -> Vector:
        """Log density at u, (p, d) -> (p,)."""
        d, z = self.mean.size, (u - self.mean) @ np.linalg.inv(self.root).T
        values = np.full(len(u), -float(np.linalg.slogdet(self.root)[1]))
        if self.is_gaussian:
            return np.asarray(values - 0.5 * (z**2).sum(axis=1) - 0.5 * d * np.log(2 * np.pi))
        for k, below in enumerate(self.below):
            own = z[:, k] - _powers(np.where(np.arange(d) < k, z, 0.0)) @ self.bends[k]
            left = np.clip(np.floor((own - PLACES[0]) / SPACING).astype(np.intp), 0, PLACES.size - 2)
            inside = (own > PLACES[0]) & (own < PLACES[-1])
            values += np.where(inside, np.log(np.diff(below)[left] / SPACING), -np.inf)
        return values

    def toward(self, u: Vector, log_ratio: Vector, metric: Vector | None = None) -> "Proposal":
        """The proposal on the moments of nodes with these log weights.

        A Gaussian; with a metric, on their marginals along its axes.
        """
        ratio = np.exp(log_ratio - log_ratio.max())
        share = ratio / ratio.sum()
        mean = share @ u
        covariance = (u - mean).T @ (share[:, None] * (u - mean))
        # few nodes that count are a poor guide: move by part of what they say
        d = mean.size
        trust = min(1.0, 1.0 / float(share @ share) / (50 * d))
        mean = trust * mean + (1 - trust) * self.mean
        covariance = trust * covariance + (1 - trust) * self.root @ self.root.T + 1e-9 * np.eye(d)
        mean, root = coarse(mean), coarse(np.asarray(np.linalg.cholesky(covariance), dtype=float))
        if metric is None:
            return Proposal.gaussian(mean, root)
        root = root @ coarse(_axes(root.T @ metric @ root))
        z = (u - mean) @ np.linalg.inv(root).T
        below, bends = [], []
        for k in range(d):
            own, bend = z[:, k], np.zeros(1 + d + d * (d + 1) // 2)
            if k and trust == 1.0:
                powers = _powers(np.where(np.arange(d) < k, z, 0.0))
                weighted = share[:, None] * powers
                found = coarse(np.linalg.solve(powers.T @ weighted + 1e-3 * np.eye(bend.size), weighted.T @ own))
                rest = own - powers @ found
                if share @ rest**2 <= BENT * (share @ own**2):
                    own, bend = rest, found
            bends.append(bend)
            below.append(_distribution(own, share, 1.0 - (1.0 - TAILS) * trust))
        return Proposal(mean, root, np.array(below), np.array(bends))


@dataclass(frozen=True)
class Islands:
    """Gaussians of one width, with shares: where a density has mass that no product of marginals lies along.

    Attributes
    ----------
    places : (n, d) array
    shares : (n,) array
        Which sum to one.
    width : float
    """

    places: Vector
    shares: Vector
    width: float

    def nodes(self, size: int) -> Vector:
        """Points of low discrepancy, (size, d), size a power of two."""
        uniform = sobol(size, 1 + self.places.shape[1])
        chosen = np.searchsorted(np.cumsum(self.shares)[:-1], uniform[:, 0])
        values: Vector = self.places[chosen] + self.width * ndtri(uniform[:, 1:])
        return values

    def log_density(self, u: Vector) -> Vector:
        """Log density at u, (p, d) -> (p,)."""
        log_parts = np.log(self.shares) - 0.5 * squared_distances(u, self.places) / self.width**2
        return np.asarray(logsumexp(log_parts, axis=1) - u.shape[1] * np.log(np.sqrt(2 * np.pi) * self.width))


def log_student(u: Vector, mean: Vector, root: Vector, freedom: float) -> Vector:
    """Log density at u, (p, d), of a Student t about the mean, (d,), with this root of its scale matrix."""
    d = mean.size
    z = np.linalg.solve(root, (u - mean).T)
    constant = gammaln(0.5 * (freedom + d)) - gammaln(0.5 * freedom) - 0.5 * d * np.log(freedom * np.pi)
    log_volume = np.log(np.diag(root)).sum()
    return np.asarray(constant - log_volume - 0.5 * (freedom + d) * np.log1p((z**2).sum(axis=0) / freedom))


def coarse(values: Vector, bits: int = BITS) -> Vector:
    """Values as parts of 2 to the power of `bits`."""
    rounded: Vector = np.round(values * 2.0**bits) / 2.0**bits
    return rounded


def _powers(z: Vector) -> Vector:
    """One, z, and their products by pairs, of z, (p, d)."""
    z = np.clip(z, -FURTHEST, FURTHEST)
    i, j = np.tril_indices(z.shape[1])
    return np.column_stack([np.ones(len(z)), z, z[:, i] * z[:, j]])


@lru_cache(maxsize=1)
def _student() -> Vector:
    """Distribution function of a Student t with 3 degrees of freedom at `PLACES`, within them."""
    middle = PLACES[1:] - 0.5 * SPACING
    below = np.concatenate([[0.0], np.cumsum((1.0 + middle**2 / 3.0) ** -2.0)])
    return np.asarray(below / below[-1])


def _distribution(z: Vector, share: Vector, tails: float) -> Vector:
    """Distribution function of weighted values at `PLACES`, smoothed, with a part of a Student t."""
    along = np.clip((z - PLACES[0]) / SPACING, 0.0, PLACES.size - 1.001)
    left = along.astype(np.intp)
    part = share * (along - left)  # to both neighbours, so that what rounding moves changes little
    mass = np.bincount(left, share - part, PLACES.size) + np.bincount(left + 1, part, PLACES.size)
    reach = int(5 * WIDTH / SPACING)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * SPACING / WIDTH) ** 2)
    density = np.convolve(mass, kernel, mode="same")
    own = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]))])
    values: Vector = (1.0 - tails) * own / own[-1] + tails * _student()
    return values


def _axes(matrix: Vector) -> Vector:
    """Eigenvectors, (d, d), largest first, that rounding does not turn: where none is favoured, the coordinates."""
    d = len(matrix)
    turn = np.linalg.eigh(matrix / np.trace(matrix) + np.diag(0.02 / np.arange(1.0, d + 1)))[1][:, ::-1]
    values: Vector = turn * np.sign(turn.T @ (1.0 + 0.1 * np.sqrt(np.arange(1.0, d + 1))))
    return values


@lru_cache(maxsize=16)
def _gaussian_nodes(size: int, d: int) -> tuple[Vector, Vector]:
    """Nodes of a standard Gaussian, mirrored and whitened: first, second and third moments are exact."""
    z = ndtri(low_discrepancy(size // 2, d) if d < 3 else scrambled(size // 2, d))
    z = np.vstack([z, -z])
    z = z @ np.linalg.inv(np.linalg.cholesky(z.T @ z / len(z))).T
    return z, -0.5 * (z**2).sum(axis=1) - 0.5 * d * np.log(2 * np.pi)
