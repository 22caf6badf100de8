"""The posterior of the hyperparameters, and the joint posterior as a mixture over points of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, ndtri

from geospde.inference.emulator import Emulator
from geospde.inference.laplace import LaplacePoint
from geospde.inference.residual import Residual
from geospde.inference.warp import Warp
from geospde.linalg.processes import nearest_of
from geospde.linalg.sequences import low_discrepancy

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class HyperPosterior:
    """p(theta | y): a Gaussian in standardised axes times the exponential of a residual.

    Attributes
    ----------
    centre : (d,) array
    root : (d, d) array
        ``theta = centre + root @ z``, with z = u, or z = warp(u).
    residual : Residual
        Log density of u plus u'u/2, up to a constant.
    warp : Warp, optional
        Bends the axes of a posterior that is skew or heavy-tailed.
    """

    centre: Vector
    root: Vector
    residual: Residual
    warp: Warp | None = None

    @property
    def dimension(self) -> int:
        """Number of hyperparameters."""
        return self.centre.size

    def along(self, direction: Vector, size: int = 241) -> tuple[Vector, Vector]:
        """Density of the linear functional ``direction @ theta``.

        Returns
        -------
        values, density : (size,) arrays
            Increasing values, and the normalised density there.
        """
        direction = np.asarray(direction, dtype=float)
        if self.warp is None and self.dimension <= 2 and not isinstance(self.residual, Emulator):
            return self._straight(direction, size)
        theta, weights = self.cloud
        return _smoothed(theta @ direction, weights, size)

    def of(self, function: Callable[[Vector], Vector], size: int = 241) -> tuple[Vector, Vector]:
        """Density of any function of theta, which takes thetas as rows and gives a value each; as `along` gives it."""
        theta, weights = self.cloud
        return _smoothed(function(theta), weights, size)

    def _straight(self, direction: Vector, size: int) -> tuple[Vector, Vector]:
        projected = self.root.T @ direction
        scale = float(np.linalg.norm(projected))
        reach = self.residual.reach()
        t = np.linspace(-reach, reach, size)
        # an orthonormal basis that begins with the functional: the other axes are integrated out
        axes = np.linalg.qr(np.column_stack([projected / scale, np.eye(self.dimension)]))[0]
        if axes[:, 0] @ projected < 0:
            axes[:, 0] *= -1
        others = np.linspace(-reach, reach, 2 * int(np.ceil(reach / 0.2)) + 1) if self.dimension > 1 else np.zeros(1)
        log_density = np.full(size, -np.inf)
        for s in others:
            z = np.column_stack([t, np.full((size, self.dimension - 1), s)]) @ axes.T
            log_density = np.logaddexp(log_density, self.residual(z) - 0.5 * s**2)
        log_density -= 0.5 * t**2
        density = np.exp(log_density - log_density.max())
        values = float(direction @ self.centre) + scale * t
        return values, density / np.trapezoid(density, values)

    def moments(self) -> tuple[Vector, Vector]:
        """Posterior mean, (d,), and covariance, (d, d), of theta."""
        theta, weights = self.cloud
        mean = weights @ theta
        return mean, (theta - mean).T @ (weights[:, None] * (theta - mean))

    def sample(self, size: int) -> Vector:
        """Thetas that stand for the posterior with even weights, (size, d): a systematic sample of many points."""
        theta, weights = self.cloud
        order = np.random.default_rng(0).permutation(len(weights))
        ends = np.cumsum(weights[order])
        chosen = np.searchsorted(ends, (np.arange(size) + 0.5) / size * ends[-1])
        values: Vector = theta[order[chosen]]
        return values

    @property
    def agreement(self) -> float:
        """Share of points of the Gaussian that count after weighting by the posterior: 1 where it is that Gaussian."""
        weights = self.cloud[1]
        return float(1.0 / (weights @ weights) / len(self._nodes()[0]))

    def around(self, points: Vector, chosen: NDArray[np.intp], seed: int | None = None) -> Vector:
        """A theta near each chosen point, (n, d), of those to which no other point is nearer, by their density.

        So that draws among a few points, (k, d), become draws of a density.
        """
        theta, weights = self.cloud
        inverse = np.linalg.inv(self.root)
        places, centres = (theta - self.centre) @ inverse.T, (points - self.centre) @ inverse.T
        nearest = nearest_of(places, centres)
        rng, found = np.random.default_rng(seed), points[chosen].copy()
        for k in np.unique(chosen):
            cell, mine = np.flatnonzero(nearest == k), np.flatnonzero(chosen == k)
            if cell.size:
                found[mine] = theta[rng.choice(cell, mine.size, p=weights[cell] / weights[cell].sum())]
        return found

    def log_integral(self) -> float:
        """Log of the integral, over theta, of the Gaussian's kernel times the exponential of the residual."""
        u, log_gaussian, log_weights = self._weighted
        if isinstance(self.residual, Emulator):
            return float(logsumexp(log_weights) - np.log(len(u)) + np.linalg.slogdet(self.root)[1])
        log_ratio = logsumexp(log_weights) - logsumexp(log_gaussian)
        return float(log_ratio + 0.5 * self.dimension * np.log(2 * np.pi) + np.linalg.slogdet(self.root)[1])

    def _nodes(self) -> tuple[Vector, Vector]:
        """Many u, and the log of what each counts for under the Gaussian."""
        d = self.dimension
        if isinstance(self.residual, Emulator):
            u, log_inverse = self.residual.nodes()
            return u, log_inverse - 0.5 * (u**2).sum(axis=1)
        if d <= 2:
            nodes = np.linspace(-5.0, 5.0, {1: 4001, 2: 201}[d])
            u = np.stack(np.meshgrid(*[nodes] * d, indexing="ij"), axis=-1).reshape(-1, d)
            return u, -0.5 * (u**2).sum(axis=1)
        u = ndtri(low_discrepancy(2**14, d))
        u = np.vstack([u, -u])  # mirrored and whitened: first, second and third moments are exact
        u = u @ np.linalg.inv(np.linalg.cholesky(u.T @ u / len(u))).T
        return u, np.zeros(len(u))

    @cached_property
    def _weighted(self) -> tuple[Vector, Vector, Vector]:
        """`_nodes`, and the log of what each counts for under the posterior."""
        u, log_gaussian = self._nodes()
        return u, log_gaussian, self.residual(u) + log_gaussian

    @cached_property
    def cloud(self) -> tuple[Vector, Vector]:
        """Thetas all over the posterior, (p, d), and their weights, (p,)."""
        u, _, log_weights = self._weighted
        weights = np.exp(log_weights - log_weights.max())
        heavy = weights > 1e-9
        z = u[heavy] if self.warp is None else self.warp(u[heavy])[0]
        return self.centre + z @ self.root.T, weights[heavy] / weights[heavy].sum()


def _smoothed(values: Vector, weights: Vector, size: int) -> tuple[Vector, Vector]:
    """Kernel density of many weighted values, narrow, with mean and variance kept."""
    width = 0.1  # of the kernel, in standard deviations
    mean = float(weights @ values)
    sd = float(np.sqrt(weights @ (values - mean) ** 2))
    z = np.sqrt(1 - width**2) * (values - mean) / sd
    low, high = z.min() - 5 * width, z.max() + 5 * width
    fine = 8 * size
    spacing = (high - low) / fine
    # linear binning, then a convolution
    place = (z - low) / spacing
    left = np.floor(place).astype(int)
    share = place - left
    binned = np.bincount(left, weights * (1 - share), fine + 2) + np.bincount(left + 1, weights * share, fine + 2)
    reach = int(np.ceil(5 * width / spacing))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * spacing / width) ** 2)
    density = np.convolve(binned, kernel, mode="same")[: fine + 1]
    t = np.linspace(low, high, fine + 1)
    bulk = density > 1e-9 * density.max()
    grid = np.linspace(t[bulk][0], t[bulk][-1], size)
    heights = np.interp(grid, t, density)
    grid = mean + sd * grid
    return grid, heights / np.trapezoid(heights, grid)


@dataclass(frozen=True)
class Posterior:
    """The joint posterior as a mixture over theta points.

    Attributes
    ----------
    points : list of LaplacePoint
    weights : (k,) array
        Posterior probability of each point, summing to one.
    log_marginal_likelihood : float
    hyper : HyperPosterior or None
        None without hyperparameters.
    mode : LaplacePoint
        At the mode of theta.
    strategy : {"gaussian", "vb", "simplified", "laplace"}
        What was made of the latent marginals.
    """

    points: Sequence[LaplacePoint]
    weights: Vector
    log_marginal_likelihood: float
    hyper: HyperPosterior | None
    mode: LaplacePoint
    strategy: str = "vb"

    @property
    def heaviest(self) -> LaplacePoint:
        """The point with most weight."""
        return self.points[int(np.argmax(self.weights))]

    @property
    def means(self) -> Vector:
        """Means of the latent vector at each point, (k, n)."""
        return np.array([p.mean for p in self.points])

    @property
    def covariances(self) -> Vector:
        """Selected covariances at each point, on the pattern of H, (k, nnz)."""
        return np.array([p.covariance for p in self.points])
