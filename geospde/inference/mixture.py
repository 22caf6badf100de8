"""Mixtures of Gaussians over the theta points, for many quantities at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from geospde.errors import InputError

Vector = NDArray[np.float64]
Transform = Callable[[Vector], Vector]


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
        return self.expectation_each([f] * self.weights.size, nodes)

    def expectation_each(self, functions: Sequence[Transform], nodes: int = 21) -> Vector:
        """E f_K(X), (m,), where K is the component that X comes from."""
        z, w = np.polynomial.hermite_e.hermegauss(nodes)
        w = w / w.sum()
        total = np.zeros(self.means.shape[1])
        for weight, mean, sd, f in zip(self.weights, self.means, self.sds, functions):
            for zk, wk in zip(z, w):
                total += weight * wk * f(mean + zk * sd)
        return total

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
