"""Posterior marginals: mixtures of Gaussians over the theta points, and densities on a grid."""

from dataclasses import dataclass
from functools import cached_property
from typing import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from geospde.errors import InputError
from geospde.inference.hyper import Posterior
from geospde.inference.laplace import Laplace, LaplacePoint

Vector = NDArray[np.float64]
Transform = Callable[[Vector], Vector]


def variational_mean(laplace: Laplace, point: LaplacePoint, steps: int = 20) -> Vector:
    """Mean of the latent vector, corrected from the mode by a variational argument.

    Among Gaussians with the Laplace covariance, the mean that minimises the Kullback-Leibler divergence to the
    posterior: ``A' E[d/d eta log p(y | eta)] = Q (m - mu)`` with eta ~ N(A m, h). The mode solves the same equation
    without the expectation.

    References
    ----------
    van Niekerk & Rue (2024), J. Mach. Learn. Res. 25 (62), 1-26. They correct a low-rank part; here all of it,
    at one solve a step with the factor that is there.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(15)
    weights = weights / weights.sum()
    sd = np.sqrt(np.maximum(point.eta_variance, 0.0))
    likelihood = laplace.model.likelihood
    shift = np.zeros_like(point.x)
    modal = point.derivatives[0]
    curvature = np.maximum(-point.derivatives[1], 0.0)
    for _ in range(steps):
        moved = laplace.design @ shift
        expected = sum(
            w * likelihood.derivatives(point.eta + moved + sd * z)[0] for z, w in zip(nodes, weights)
        )
        # A'(E d1 - d1) - Q shift = 0, with Q = H - A'WA
        right = laplace.design.T @ (expected - modal + curvature * moved)
        new = laplace.solve(point, right)
        change = float(np.abs(laplace.design @ (new - shift) / np.maximum(sd, 1e-12)).max(initial=0.0))
        shift = new
        if change < 1e-6:
            break
        if not np.isfinite(change) or change > 3.0:
            return point.x  # the correction is not a small one: leave the mode
    return point.x + shift


@dataclass(frozen=True)
class GaussianMixture:
    """Mixtures of k Gaussians with shared weights, for many quantities at once.

    Attributes
    ----------
    weights : (k,) array
    means, sds : (k, m) arrays
    """

    weights: Vector
    means: Vector
    sds: Vector

    @cached_property
    def mean(self) -> Vector:
        """Means, (m,)."""
        return self.weights @ self.means

    @cached_property
    def sd(self) -> Vector:
        """Standard deviations, (m,)."""
        return np.sqrt(self.weights @ (self.sds**2 + (self.means - self.mean) ** 2))

    def cdf(self, x: Vector | float) -> Vector:
        """P(X <= x), (m,)."""
        return self.weights @ ndtr((x - self.means) / self.sds)

    def density(self, x: Vector | float) -> Vector:
        """Density at x, (m,)."""
        z = (x - self.means) / self.sds
        return self.weights @ (np.exp(-0.5 * z**2) / (self.sds * np.sqrt(2 * np.pi)))

    def quantile(self, p: float) -> Vector:
        """The p-quantiles, (m,), by Newton inside a shrinking bracket."""
        if not 0 < p < 1:
            raise InputError(f"a quantile level lies between 0 and 1, not {p}")
        each = self.means + ndtri(p) * self.sds
        low, high = each.min(axis=0), each.max(axis=0)
        x = self.mean + ndtri(p) * self.sd
        if self.weights.size == 1:
            return each[0]
        active = np.arange(x.size)
        for _ in range(60):
            part = GaussianMixture(self.weights, self.means[:, active], self.sds[:, active])
            at = x[active]
            excess = part.cdf(at) - p
            low[active] = np.where(excess < 0, at, low[active])
            high[active] = np.where(excess > 0, at, high[active])
            with np.errstate(divide="ignore", invalid="ignore"):
                new = at - excess / part.density(at)
            outside = ~((new > low[active]) & (new < high[active]))
            new = np.where(outside, 0.5 * (low[active] + high[active]), new)
            x[active] = np.where(excess == 0, at, new)
            active = active[np.abs(new - at) > 1e-10 * part.sd]
            if active.size == 0:
                break
        return x

    def expectation(self, f: Transform, nodes: int = 21) -> Vector:
        """E f(X), (m,), by Gauss-Hermite within each component."""
        z, w = np.polynomial.hermite_e.hermegauss(nodes)
        w = w / w.sum()
        return sum(wk * (self.weights @ f(self.means + zk * self.sds)) for zk, wk in zip(z, w))

    def mode(self, log_jacobian: Callable[[Vector], Vector] | None = None) -> Vector:
        """Where the density of X, times the exponential of `log_jacobian`, is largest.

        Returns
        -------
        (m,) array
            On the scale of X.
        """
        grid = np.linspace(-2.0, 2.0, 41)
        values = []
        for z in grid:
            at = self.mean + z * self.sd
            value = np.log(np.maximum(self.density(at), 1e-300))
            values.append(value + (0.0 if log_jacobian is None else log_jacobian(at)))
        table = np.array(values)
        best = np.clip(table.argmax(axis=0), 1, grid.size - 2)
        columns = np.arange(table.shape[1])
        a, b, c = table[best - 1, columns], table[best, columns], table[best + 1, columns]
        bend = a - 2 * b + c
        move = np.where(bend < 0, 0.5 * (a - c) / np.where(bend < 0, bend, -1.0), 0.0)
        return self.mean + (grid[best] + np.clip(move, -1, 1) * (grid[1] - grid[0])) * self.sd


@dataclass(frozen=True)
class Marginal:
    """One posterior density, on a grid of an inner scale and a monotone map to the user's.

    Attributes
    ----------
    inner : (g,) array
        Even grid on the inner scale.
    inner_density : (g,) array
    transform : callable
        Increasing map from the inner to the user's scale.

    Examples
    --------
    >>> t = np.linspace(-6, 6, 241)
    >>> normal = Marginal(t, np.exp(-t**2 / 2) / np.sqrt(2 * np.pi))
    >>> normal.mean, normal.sd, normal.quantile(0.975)
    (0.00, 1.000, 1.9600)
    """

    inner: Vector
    inner_density: Vector
    transform: Transform | None = None

    def _map(self, t: Vector) -> Vector:
        return t if self.transform is None else self.transform(t)

    def _average(self, values: Vector) -> float:
        weights = self.inner_density
        return float(np.trapezoid(values * weights, self.inner) / np.trapezoid(weights, self.inner))

    @cached_property
    def mean(self) -> float:
        """Posterior mean."""
        return self._average(self._map(self.inner))

    @cached_property
    def sd(self) -> float:
        """Posterior standard deviation."""
        return self._average((self._map(self.inner) - self.mean) ** 2) ** 0.5

    @cached_property
    def x(self) -> Vector:
        """Grid on the user's scale, for plotting."""
        return self._map(self.inner)

    @cached_property
    def y(self) -> Vector:
        """Density at `x`, on the user's scale."""
        return self.inner_density / np.gradient(self.x, self.inner)

    @cached_property
    def _cumulative(self) -> Vector:
        steps = 0.5 * (self.inner_density[1:] + self.inner_density[:-1]) * np.diff(self.inner)
        total = np.concatenate([[0.0], np.cumsum(steps)])
        return total / total[-1]

    def density(self, x: Vector | float) -> Vector:
        """Density on the user's scale."""
        return np.interp(x, self.x, self.y, left=0.0, right=0.0)

    def cdf(self, x: Vector | float) -> Vector:
        """P(X <= x)."""
        from scipy.interpolate import PchipInterpolator

        return PchipInterpolator(self.x, self._cumulative)(np.clip(x, self.x[0], self.x[-1]))

    def quantile(self, p: Vector | float) -> Vector:
        """Quantiles on the user's scale."""
        p = np.asarray(p, dtype=float)
        if not ((p > 0) & (p < 1)).all():
            raise InputError(f"a quantile level lies between 0 and 1, not {p}")
        from scipy.interpolate import PchipInterpolator

        inside = np.concatenate([[True], np.diff(self._cumulative) > 1e-14])
        return self._map(PchipInterpolator(self._cumulative[inside], self.inner[inside])(p))

    @cached_property
    def mode(self) -> float:
        """Where the density on the user's scale is largest."""
        k = int(np.clip(self.y.argmax(), 1, self.y.size - 2))
        coefficients = np.polyfit(self.x[k - 1 : k + 2] - self.x[k], self.y[k - 1 : k + 2], 2)
        return float(self.x[k] - 0.5 * coefficients[1] / coefficients[0]) if coefficients[0] < 0 else float(self.x[k])

    def interval(self, level: float = 0.95, kind: str = "equal-tailed") -> tuple[float, float]:
        """Credible interval.

        Parameters
        ----------
        level : float
            Its probability.
        kind : {"equal-tailed", "highest-density"}
        """
        if kind == "equal-tailed":
            low, high = self.quantile(np.array([0.5 - level / 2, 0.5 + level / 2]))
            return float(low), float(high)
        if kind != "highest-density":
            raise InputError(f"an interval is 'equal-tailed' or 'highest-density', not {kind!r}")
        tails = np.linspace(1e-4, 1 - level - 1e-4, 400)
        ends = self.quantile(np.concatenate([tails, tails + level]))
        low, high = ends[: tails.size], ends[tails.size :]
        k = int((high - low).argmin())
        return float(low[k]), float(high[k])


def marginal_of_mixture(mixture: GaussianMixture, transform: Transform | None = None) -> Marginal:
    """The one quantity of a mixture (m = 1) as a `Marginal`."""
    sd = mixture.sd[0]
    inner = np.linspace(mixture.mean[0] - 6 * sd, mixture.mean[0] + 6 * sd, 401)
    z = (inner[:, None] - mixture.means[:, 0]) / mixture.sds[:, 0]
    density = (np.exp(-0.5 * z**2) / (mixture.sds[:, 0] * np.sqrt(2 * np.pi))) @ mixture.weights
    return Marginal(inner, density, transform)


@dataclass(frozen=True)
class LatentPosterior:
    """Means and selected covariances of the latent vector at each theta point: all that prediction needs.

    Attributes
    ----------
    weights : (k,) array
    means : (k, n) array
    covariances : (k, nnz) array
        Entries on the pattern of H.
    """

    weights: Vector
    means: Vector
    covariances: Vector


def latent_posterior(laplace: Laplace, posterior: Posterior, strategy: str = "auto") -> LatentPosterior:
    """Collect the theta points' Gaussians.

    Parameters
    ----------
    strategy : {"auto", "vb", "gaussian"}
        Means corrected variationally (`auto`, `vb`), or the modes (`gaussian`).
    """
    if strategy == "gaussian":
        means = np.array([p.x for p in posterior.points])
    else:
        means = np.array([variational_mean(laplace, p) for p in posterior.points])
    covariances = np.array([p.covariance for p in posterior.points])
    return LatentPosterior(posterior.weights, means, covariances)
