"""Mixtures of Gaussians over the theta points, for many quantities at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from geospde.errors import InputError
from geospde.families.gauss_hermite import normal_nodes
from geospde.families.links import POSITIVE
from geospde.linalg.mixtures import (
    cubics,
    exponential_moments,
    mixture_quantiles,
    mixture_tails,
    positive_moments,
    tabled_moments,
)
from geospde.linalg.plain_mixtures import plain_quantiles
from geospde.linalg.threads import side_by_side

Vector = NDArray[np.float64]
Transform = Callable[[Vector], Vector]
SHARE = 4096  # quantities at a time
FAR, MADE_UP = 1e-3, 1 / 3  # probability at an end that makes up more than this of a moment, which is then no figure
FARTHEST = 40.0  # normal scores, of which the density is zero to the last digit
BLOCK = 1024  # of them, whose numbers stay in the processor's cache
NODES = 21  # of Gauss and Hermite in each component,
# and fewer, which give moments of exp the same to 2e-10 up to |a| of `BENT` and this sd, times 1 + `BENDING` |a|
FEWER, BENT, BENDING = ((8, 0.25), (10, 0.45), (12, 0.65), (16, 1.1)), 0.1, 12.0
SEVERAL = 1_000_000  # components of quantiles or tails, and
MANY = 5_000_000  # evaluations of a function, from which a compiled loop repays its compilation


@dataclass(frozen=True)
class GaussianMixture:
    """Mixtures of k Gaussians with shared weights, for many quantities at once, possibly skew.

    A skew component is a shifted log-normal, ``mean + sd g(Z)`` with ``g(z) = (exp(a z - a²/2) - 1) / expm1(a²)^½``
    (mirrored for a < 0): mean 0, variance 1, and nearly the kurtosis of the log-gamma that a count's log rate follows.

    Attributes
    ----------
    weights : (k,) array
    means, sds : (k, m) arrays
    shape : (m,) array or None
        The a of every component; None for Gaussians.
    gaussian : GaussianMixture or None
        What was corrected to be these, as joint draws still have it; None where nothing was.
    of : int
        How many quantities there are in all, where these are some of more: where many, loops over them are compiled.
    """

    weights: Vector
    means: Vector
    sds: Vector
    shape: Vector | None = None
    gaussian: GaussianMixture | None = None
    of: int = 0

    def corrected(self, means: Vector, sds: Vector, skewness: Vector) -> GaussianMixture:
        """Skew components with these moments, (k, m), and skewness, (m,), in place of Gaussians."""
        return GaussianMixture(self.weights, means, sds, shape_of(skewness), self)

    def part(self, some: slice | NDArray[np.intp]) -> GaussianMixture:
        """Some of the quantities."""
        shape = None if self.shape is None else self.shape[some]
        gaussian = None if self.gaussian is None else self.gaussian.part(some)
        return GaussianMixture(self.weights, self.means[:, some], self.sds[:, some], shape, gaussian)

    @classmethod
    def joined(cls, parts: Sequence[GaussianMixture]) -> GaussianMixture:
        """The quantities of several, whose weights are the same."""
        if len(parts) == 1:
            return parts[0]
        means, sds = (np.concatenate([getattr(part, name) for part in parts], axis=1) for name in ("means", "sds"))
        shapes, gaussians = ([getattr(part, name) for part in parts] for name in ("shape", "gaussian"))
        shape = None if shapes[0] is None else np.concatenate(shapes)
        return cls(parts[0].weights, means, sds, shape, None if gaussians[0] is None else cls.joined(gaussians))

    @cached_property
    def mean(self) -> Vector:
        """Means, (m,)."""
        return self.weights @ self.means

    @cached_property
    def sd(self) -> Vector:
        """Standard deviations, (m,)."""
        return np.sqrt(self.weights @ (self.sds**2 + (self.means - self.mean) ** 2))

    @cached_property
    def finite_sd(self) -> Vector:
        """Standard deviations, (m,), NaN where values far out, of next to no probability, make them up.

        As `Marginal.finite_moments` of a density: an intercept beside a field has no sd where the field's range may be
        any, whatever its interval. Components count as Gaussians.
        """
        low, middle, high = self.quantiles((FAR, 0.5, 1 - FAR))
        away = self.means - middle
        a, b = (np.clip((x - self.means) / self.sds, -FARTHEST, FARTHEST) for x in (low, high))
        at_a, at_b = (np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi) for z in (a, b))
        inside = (away**2 + self.sds**2) * (ndtr(b) - ndtr(a)) + 2 * away * self.sds * (at_a - at_b)
        inside += self.sds**2 * (a * at_a - b * at_b)  # of E (X - median)² between low and high
        whole = self.weights @ (away**2 + self.sds**2)
        return np.where(self.weights @ inside < (1 - MADE_UP) * whole, np.nan, self.sd)

    def _scores(self, x: Vector | float) -> Vector:
        """Normal scores of x in each component, (k, m)."""
        z = (x - self.means) / self.sds
        return z if self.shape is None else _unbend(z, self.shape)

    def cdf(self, x: Vector | float) -> Vector:
        """P(X <= x), (m,)."""
        values: Vector = self.weights @ ndtr(self._scores(x))
        return values

    def sf(self, x: Vector | float) -> Vector:
        """P(X > x), (m,), with its digits where it is small."""
        if self._components < SEVERAL:
            return np.asarray((self.weights[:, None] * ndtr(-self._scores(x))).sum(axis=0))
        out = np.empty(self.means.shape[1])
        at = np.broadcast_to(np.asarray(x, dtype=float), out.shape).copy()
        self._in_shares(lambda *share: mixture_tails(*self._arrays, at, out, *share))
        return out

    def density(self, x: Vector | float) -> Vector:
        """Density at x, (m,)."""
        z = self._scores(x)
        slope = 1.0 if self.shape is None else _bend_slope(z, self.shape)
        with np.errstate(over="ignore", invalid="ignore"):
            height = np.exp(-0.5 * z**2) / (self.sds * slope * np.sqrt(2 * np.pi))
        return self.weights @ np.where(np.isfinite(height), height, 0.0)

    def quantile(self, p: float) -> Vector:
        """The p-quantiles, (m,)."""
        values: Vector = self.quantiles((p,))[0]
        return values

    def quantiles(self, levels: Sequence[float]) -> Vector:
        """Quantiles at several levels, (q, m), to 1e-8 of a standard deviation or better.

        Raises
        ------
        InputError
            For a level that is not between 0 and 1.
        """
        for p in levels:
            if not 0 < p < 1:
                raise InputError(f"a quantile level lies between 0 and 1, not {p}")
        out = np.empty((len(levels), self.means.shape[1]))
        if not levels:
            return out
        scores = ndtri(np.asarray(levels, dtype=float))
        kernel = plain_quantiles if self._components * scores.size < SEVERAL else mixture_quantiles
        self._in_shares(lambda *share: kernel(*self._arrays, scores, out, *share))
        return out

    @property
    def _components(self) -> int:
        """How many there are, with those of all quantities of which these are some."""
        k, m = self.means.shape
        return int(k * max(m, self.of))

    def _in_shares(self, fill: Callable[[int, int], None]) -> None:
        """Call ``fill(first, last)`` for a share of the quantities at a time."""
        m = self.means.shape[1]
        for _ in side_by_side(lambda first: fill(first, min(first + SHARE, m)), range(0, m, SHARE), m):
            pass

    @cached_property
    def _arrays(self) -> tuple[Vector, Vector, Vector, Vector]:
        """Weights, means, sds and shapes as the kernels take them: no shapes for Gaussians."""
        shape = np.zeros(0) if self.shape is None else self.shape
        weights, means, sds, shapes = map(np.ascontiguousarray, (self.weights, self.means, self.sds, shape))
        return weights, means, sds, shapes

    def exponential_moments(self) -> tuple[Vector, Vector]:
        """Mean and sd of exp(X), (m,) each: `transformed_moments` of exp, in compiled loops where there are many."""
        if not self.is_many:
            return self.transformed_moments(exponential)
        return self._moments(exponential_moments, FEWER)

    def function_moments(self, f: Transform) -> tuple[Vector, Vector]:
        """Mean and sd of f(X), (m,) each: `transformed_moments`; of many by a table that is f to 1e-10 of itself."""
        table = cubics(f, self.lowest.min(), self.highest.max()) if self.is_many and self.means.size else None
        return self.transformed_moments(f) if table is None else self._moments(partial(tabled_moments, *table), ())

    def moments_each(self, functions: Sequence[Transform]) -> Vector:
        """Means and sds of f_K(X), (2, k, m), given the component K that X comes from, a function each."""
        out, k = np.empty((2, *self.means.shape)), self.weights.size
        whole = k * max(self.means.shape[1], self.of)
        for c, f in enumerate(functions):
            alone = GaussianMixture(np.ones(1), self.means[c : c + 1], self.sds[c : c + 1], self.shape, of=whole)
            out[:, c] = alone.function_moments(f)
        return out

    def positive_moments(self, falls: bool) -> tuple[Vector, Vector]:
        """Mean and sd of 1 / X, where it `falls`, or X², (m,) each, of the positive part of Gaussian components.

        Which have them as in `geospde.families.links`, where they are few.
        """
        return self._moments(partial(positive_moments, falls, POSITIVE), ())

    @property
    def is_many(self) -> bool:
        """Whether moments of a function are so many evaluations that compiled loops repay their compilation."""
        return self._components * NODES >= MANY

    @property
    def lowest(self) -> Vector:
        """Least value of each quantity, (m,), at the nodes of all components."""
        return self._farthest(normal_nodes(NODES)[0][:1], np.minimum)

    @property
    def highest(self) -> Vector:
        """Largest value of each quantity, (m,), at the nodes of all components."""
        return self._farthest(normal_nodes(NODES)[0][-1:], np.maximum)

    def _farthest(self, node: Vector, further: np.ufunc) -> Vector:
        score = bent(node, self.shape)[0]
        found = self.means[0] + score * self.sds[0]
        for mean, sd in zip(self.means[1:], self.sds[1:]):
            further(found, mean + score * sd, out=found)
        return np.asarray(found)

    def _moments(self, kernel: Callable[..., None], fewer: Sequence[tuple[int, float]]) -> tuple[Vector, Vector]:
        weights, means, sds, shapes = self._arrays
        out = np.empty((2, means.shape[1]))

        def fill(first: int, last: int) -> None:
            for low in range(first, last, BLOCK):
                high = min(low + BLOCK, last)
                bent = np.abs(shapes[low:high]).max(initial=0.0)
                wide = sds[:, low:high].max() * (1.0 + BENDING * bent)
                nodes = next((n for n, most in fewer if wide <= most and bent <= BENT), NODES)
                kernel(weights, means, sds, shapes, *normal_nodes(nodes), out, low, high)

        self._in_shares(fill)
        return out[0], out[1]

    def transformed_moments(self, f: Transform, nodes: int = NODES) -> tuple[Vector, Vector]:
        """Mean and sd of f(X), (m,) each, by Gauss-Hermite within each component, f being evaluated once a node."""
        z, w = normal_nodes(nodes)
        centre = f(self.mean)
        first, second = np.zeros_like(centre), np.zeros_like(centre)
        for low in range(0, centre.size, BLOCK):
            part = slice(low, low + BLOCK)
            scores = bent(z, None if self.shape is None else self.shape[part])
            for weight, mean, sd in zip(self.weights, self.means[:, part], self.sds[:, part]):
                for score, wk in zip(scores, w):
                    off = f(mean + score * sd) - centre[part]
                    first[part] += (weight * wk) * off
                    second[part] += (weight * wk) * off**2
        # about the mean: what is subtracted is small, as the centre is near it
        return centre + first, np.sqrt(np.maximum(second - first**2, 0.0))

    def expectation(self, f: Transform, nodes: int = NODES) -> Vector:
        """E f(X), (m,), by Gauss-Hermite within each component."""
        return self.expectation_each([f] * self.weights.size, nodes)

    def expectation_each(self, functions: Sequence[Transform], nodes: int = NODES) -> Vector:
        """E f_K(X), (..., m) as f gives it, where K is the component that X comes from."""
        z, w = normal_nodes(nodes)
        scores = bent(z, self.shape)
        total: Vector = sum(
            (weight * wk) * f(mean + score * sd)
            for weight, mean, sd, f in zip(self.weights, self.means, self.sds, functions)
            for score, wk in zip(scores, w)
        )
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
        result: Vector = self.mean + (grid[best] + np.clip(move, -1, 1) * (grid[1] - grid[0])) * self.sd
        return result


def exponential(x: Vector) -> Vector:
    """Return exp(x), infinite where it is too large."""
    with np.errstate(over="ignore"):
        return np.exp(x)


def shape_of(skewness: Vector) -> Vector:
    """The a of a shifted log-normal with this skewness, ``(w + 2) (w - 1)^½`` with w = exp(a²)."""
    root = 2.0 * np.sinh(np.arcsinh(0.5 * skewness) / 3.0)  # (w - 1)^½, which solves t³ + 3 t = skewness
    values: Vector = np.sign(skewness) * np.sqrt(np.log1p(root**2))
    return values


def bend(z: Vector, shape: Vector) -> Vector:
    """Standard scores of the skew component at normal scores z."""
    a = np.where(np.abs(shape) < 1e-4, 1e-4, shape)
    value = np.sign(a) * np.expm1(a * z - 0.5 * a**2) / np.sqrt(np.expm1(a**2))
    return np.where(np.abs(shape) < 1e-4, z, value)


def bent(z: Vector, shape: Vector | None) -> Sequence[Vector]:
    """Standard scores at each of a few normal scores, of components with these shapes, None for Gaussians."""
    return list(z) if shape is None else [bend(np.full_like(shape, zk), shape) for zk in z]


def _bend_slope(z: Vector, shape: Vector) -> Vector:
    a = np.where(np.abs(shape) < 1e-4, 1e-4, shape)
    with np.errstate(over="ignore"):
        value = np.abs(a) * np.exp(a * z - 0.5 * a**2) / np.sqrt(np.expm1(a**2))
    return np.where(np.abs(shape) < 1e-4, 1.0, value)


def _unbend(y: Vector, shape: Vector) -> Vector:
    """Inverse of `bend`; infinite beyond the end of the skew component."""
    a = np.where(np.abs(shape) < 1e-4, 1e-4, shape)
    inside = np.sign(a) * y * np.sqrt(np.expm1(a**2))
    with np.errstate(divide="ignore", invalid="ignore"):
        value = (np.log1p(np.maximum(inside, -1.0)) + 0.5 * a**2) / a
    return np.where(np.abs(shape) < 1e-4, y, value)
