"""The posterior of the hyperparameters, and the joint posterior as a mixture over points of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, ndtri

from geospde.errors import NumericalError
from geospde.inference.emulator import Emulator
from geospde.inference.laplace import LaplacePoint
from geospde.inference.marginals import Marginal, unwrapped
from geospde.inference.mixture import Transform
from geospde.inference.residual import EvenGrid, Residual, Reweighted
from geospde.inference.warp import Axes, Warp
from geospde.linalg.processes import nearest_of
from geospde.linalg.sequences import scrambled
from geospde.linalg.threads import one_blas_thread

Vector = NDArray[np.float64]

SIZE = 241  # values at which a marginal density is known
LIGHTEST = 1e-7  # points of less weight are left out of a mixture
SUMMED = (Emulator, Reweighted, EvenGrid)  # residuals whose density is summed over points that lie as it does


@dataclass(frozen=True)
class Accuracy:
    """Numerical error of a rule over theta, without that of the Laplace approximation.

    Attributes
    ----------
    evidence : float
        Standard error of the log evidence.
    spread : float
        Largest relative standard error of a posterior sd.
    quantile : float
        Largest standard error of a 2.5, 50 or 97.5 % quantile, in posterior sds.
    within : bool
        Whether the rule ended by its tolerance, and not by its budget of evaluations.
    draws : int
        Number of draws with exact values that corrected the rule; the errors are then those of the draws.
    """

    evidence: float
    spread: float
    quantile: float
    within: bool
    draws: int = 0

    @property
    def serves(self) -> bool:
        """Whether the errors are too small to show in a table."""
        return self.worst <= 1.0

    @property
    def worst(self) -> float:
        """The largest error, in units of those that just serve."""
        return max(self.evidence / 0.03, self.spread / 0.05, self.quantile / 0.1)

    @property
    def is_small(self) -> bool:
        """Whether the errors are those at which refinement ends."""
        return self.worst <= 0.35

    @property
    def is_fair(self) -> bool:
        """Whether the bulk is known: an sd that one tail makes up may be half off, and a quantile between two arms."""
        return self.evidence <= 0.2 and self.spread <= 0.5

    def __str__(self) -> str:
        by = f" and {self.draws} draws" if self.draws else ""
        return (
            f"{'ended by its tolerance' if self.within else f'spent its budget of evaluations{by}'}: quantiles may err "
            f"by {self.quantile:.2g} posterior sds, sds by {100 * self.spread:.2g} %, the log evidence by "
            f"{self.evidence:.2g} (standard errors)"
        )

    @classmethod
    def from_array(cls, values: Vector) -> "Accuracy":
        """From its values."""
        evidence, spread, quantile, within, draws = (float(v) for v in values)
        return cls(evidence, spread, quantile, bool(within), int(draws))


@dataclass(frozen=True)
class HyperPosterior:
    """p(theta | y): a Gaussian in standardised axes times the exponential of a residual.

    Attributes
    ----------
    centre : (d,) array
    root : (d, d) array
        ``theta = scale(centre + root @ warp(u))``, as `Axes` have it.
    residual : Residual
        Log density of u plus u'u/2, up to a constant.
    warp, scale : Warp, optional
        Of its `Axes`.
    accuracy : Accuracy, optional
        None where the rule has no estimate.
    """

    centre: Vector
    root: Vector
    residual: Residual
    warp: Warp | None = None
    scale: Warp | None = None
    accuracy: Accuracy | None = None

    @property
    def axes(self) -> Axes:
        """The axes of theta."""
        return Axes(self.centre, self.root, self.warp, self.scale)

    @property
    def dimension(self) -> int:
        """Number of hyperparameters."""
        return self.centre.size

    def along(self, direction: Vector, size: int = SIZE) -> tuple[Vector, Vector]:
        """Density of the linear functional ``direction @ theta``.

        Returns
        -------
        values, density : (size,) arrays
            Increasing values, and the normalised density there.
        """
        direction = np.asarray(direction, dtype=float)
        if self.warp is None and self.scale is None and self._is_lattice:  # integrals along straight axes
            with one_blas_thread():  # as in all sums here: their last digits are those of any number of threads
                return self._straight(direction, size)
        return self.of(lambda theta: np.asarray(theta @ direction), size)

    def of(
        self, function: Callable[[Vector], Vector], size: int = SIZE, period: float | None = None
    ) -> tuple[Vector, Vector]:
        """Density of any function of theta, which takes thetas as rows and gives a value each; as `along` gives it.

        One with a period has its density about its mean on the circle, half a period to each side.
        """
        with one_blas_thread():
            return _smoothed(*self._values(function, period), size)

    def marginal(
        self, what: Vector | Callable[[Vector], Vector], transform: Transform | None, period: float | None = None
    ) -> Marginal:
        """Marginal of a linear functional of theta, (d,), or of a function as `of` takes it.

        Its quantiles are those of the weighted thetas: a kernel that makes a density of them widens its sharp ends.
        """
        if self._is_lattice:  # many thetas of one value
            found = self.of(what, period=period) if callable(what) else self.along(what)
            return Marginal(*found, transform)
        with one_blas_thread():
            values, weights = self._values(what if callable(what) else lambda theta: np.asarray(theta @ what), period)
            inner, density = _smoothed(values, weights, SIZE)
            order = np.argsort(values, kind="stable")
            ends = np.cumsum(weights[order])
            below = np.interp(inner, values[order], ends - 0.5 * weights[order], left=0.0, right=1.0)
        return Marginal(inner, density, transform, below)

    @property
    def _is_lattice(self) -> bool:
        """Whether thetas of `cloud` lie on a lattice."""
        return self.dimension <= 2 and not isinstance(self.residual, SUMMED)

    def _values(self, function: Callable[[Vector], Vector], period: float | None) -> tuple[Vector, Vector]:
        """A function of the thetas of `cloud`, about its mean on the circle if it has a period, and their weights."""
        theta, weights = self.cloud
        values = function(theta)
        return values if period is None else unwrapped(values, weights, period), weights

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

    @property
    def has_density(self) -> bool:
        """Whether `cloud` is of `log_density` alone, without mass at single thetas."""
        return not (isinstance(self.residual, Reweighted) and self.residual.lumps.any())

    def log_density(self, theta: Vector) -> Vector:
        """Log density of theta, (p, d) -> (p,), normalised."""
        u = self.axes.bent(theta)
        values: Vector = self.residual(u) - 0.5 * (u**2).sum(axis=1) - self.axes.log_volume(u) - self.log_integral()
        return values

    def moments(self) -> tuple[Vector, Vector]:
        """Posterior mean, (d,), and covariance, (d, d), of theta."""
        with one_blas_thread():
            return weighted_moments(*self.cloud)

    def placed(self, v: Vector) -> Vector:
        """Thetas at standardised places v, (k, d): in moments of the posterior on its own bent axes."""
        u, log_weights = self._weighted
        mean, covariance = weighted_moments(u, np.exp(log_weights - logsumexp(log_weights)))
        return self.axes.theta(mean + v @ np.linalg.cholesky(covariance).T)

    def sample(self, size: int) -> Vector:
        """Equally weighted thetas from the posterior, (size, d): a systematic sample of many points."""
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
        return float(1.0 / (weights @ weights) / len(self._weighted[0]))

    def around(self, points: Vector, chosen: NDArray[np.intp], seed: int | None = None) -> Vector:
        """A theta near each chosen point, (n, d), of those to which no other point is nearer, by their density.

        So that draws among a few points, (k, d), become draws of a density.
        """
        theta, weights = self.cloud
        nearest = nearest_of(self.axes.straight(theta), self.axes.straight(points))
        rng, found = np.random.default_rng(seed), points[chosen].copy()
        for k in np.unique(chosen):
            cell, mine = np.flatnonzero(nearest == k), np.flatnonzero(chosen == k)
            if cell.size:
                found[mine] = theta[rng.choice(cell, mine.size, p=weights[cell] / weights[cell].sum())]
        return found

    def log_integral(self) -> float:
        """Log of the integral, over theta, of the Gaussian's kernel times the exponential of the residual."""
        u, log_weights = self._weighted
        if isinstance(self.residual, SUMMED):
            return float(logsumexp(log_weights) - np.log(len(u)) + np.linalg.slogdet(self.root)[1])
        log_gaussian = self._nodes()[1]
        log_ratio = logsumexp(log_weights) - logsumexp(log_gaussian)
        return float(log_ratio + 0.5 * self.dimension * np.log(2 * np.pi) + np.linalg.slogdet(self.root)[1])

    def _nodes(self) -> tuple[Vector, Vector]:
        """Many u and their log weights under the Gaussian."""
        d = self.dimension
        if d <= 2:
            nodes = np.linspace(-5.0, 5.0, {1: 4001, 2: 201}[d])
            u = np.stack(np.meshgrid(*[nodes] * d, indexing="ij"), axis=-1).reshape(-1, d)
            return u, -0.5 * (u**2).sum(axis=1)
        u = ndtri(scrambled(2**14, d))
        u = np.vstack([u, -u])  # mirrored and whitened: first, second and third moments are exact
        u = u @ np.linalg.inv(np.linalg.cholesky(u.T @ u / len(u))).T
        return u, np.zeros(len(u))

    @cached_property
    def _weighted(self) -> tuple[Vector, Vector]:
        """Many u and their log weights under the posterior."""
        if isinstance(self.residual, SUMMED):
            return self.residual.weighted
        u, log_gaussian = self._nodes()
        return u, self.residual(u) + log_gaussian

    @cached_property
    def cloud(self) -> tuple[Vector, Vector]:
        """Thetas all over the posterior, (p, d), and their weights, (p,)."""
        u, log_weights = self._weighted
        weights = np.exp(log_weights - log_weights.max())
        heavy = weights > 1e-9
        return self.axes.theta(u[heavy]), weights[heavy] / weights[heavy].sum()


def weighted_moments(values: Vector, weights: Vector) -> tuple[Vector, Vector]:
    """Mean, (d,), and covariance, (d, d), of rows, (p, d), with weights that sum to one."""
    mean = weights @ values
    return mean, (values - mean).T @ (weights[:, None] * (values - mean))


def moments_missed(hyper: HyperPosterior, points: Sequence[LaplacePoint], weights: Vector) -> float:
    """By how much, in posterior sds and variances, weighted points miss the mean and the covariance of theta."""
    mean, covariance = hyper.moments()
    root = np.linalg.cholesky(covariance)
    z = np.linalg.solve(root, (np.array([p.theta for p in points]) - mean).T).T
    own, spread = weighted_moments(z, weights)
    return float(max(np.abs(own).max(), np.abs(spread - np.eye(len(mean))).max()))


def nearest_weights(hyper: HyperPosterior, points: Sequence[LaplacePoint]) -> Vector:
    """Weights of the points, (n,): the mass nearest to each, adjusted to the mean and covariance of theta."""
    from scipy.optimize import nnls

    theta, mass = hyper.cloud
    own = np.array([p.theta for p in points])
    nearest = nearest_of(hyper.axes.straight(theta), hyper.axes.straight(own))
    voronoi = np.bincount(nearest, mass, len(own))
    mean, covariance = weighted_moments(theta, mass)
    try:
        spread = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        where = "the posterior of the hyperparameters is a single point as far as its rule can see"
        raise NumericalError(f"{where}; other priors may do, or method 'eb'") from None
    own = np.linalg.solve(spread, (own - mean).T).T  # standardised by the moments that are wanted
    i, j = np.tril_indices(len(mean))
    moments = np.column_stack([np.ones(len(own)), own, own[:, i] * own[:, j]])
    wanted = np.concatenate([[1.0], np.zeros(len(mean)), (i == j).astype(float)])
    scale = 1.0 / np.sqrt(voronoi + 1e-3 / len(own))
    matrix = np.vstack([1e3 * moments.T, np.diag(scale)])
    weights = nnls(matrix, np.concatenate([1e3 * wanted, scale * voronoi]), maxiter=100 * len(own))[0]
    values: Vector = weights / weights.sum()
    return values


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
        How the latent marginals were approximated.
    """

    points: Sequence[LaplacePoint]
    weights: Vector
    log_marginal_likelihood: float
    hyper: HyperPosterior | None
    mode: LaplacePoint
    strategy: str = "vb"

    @classmethod
    def of(
        cls,
        points: Sequence[LaplacePoint | None],
        weights: Vector,
        log_marginal_likelihood: float,
        hyper: HyperPosterior,
        mode: LaplacePoint,
        strategy: str = "vb",
    ) -> "Posterior":
        """The same of the points that weigh something; None stands for one that failed. Weights then sum to one."""
        kept = [(point, weight) for point, weight in zip(points, weights) if point is not None and weight > LIGHTEST]
        chosen = np.array([weight for _, weight in kept])
        return cls([point for point, _ in kept], chosen / chosen.sum(), log_marginal_likelihood, hyper, mode, strategy)

    @property
    def accuracy(self) -> Accuracy | None:
        """Numerical error of the rule over theta; None where the rule has no estimate."""
        return None if self.hyper is None else self.hyper.accuracy

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
