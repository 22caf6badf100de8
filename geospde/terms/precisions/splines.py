"""Spline bases of penalised smooths, as Wood constructs them: thin plate, cubic, cyclic cubic and P-splines.

Wood (2017), Generalized Additive Models, 2nd ed., sections 5.3 and 5.5; the defaults are those of the R package mgcv.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import combinations
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from geospde.errors import InputError
from geospde.terms.precisions.eigenbasis import MOST_KNOTS, SEED, Eigenbasis

Vector = NDArray[np.float64]
AT_ONCE = 1024  # places whose distances from all knots are held


class Spline(ABC):
    """Functions f_j, and the quadratic form of their coefficients that measures how much a sum of them bends.

    Attributes
    ----------
    penalty : (k, k) array
        Positive semi-definite; flat for constants and, unless `closed`, for linear functions.
    """

    closed: ClassVar[bool] = False
    by_values: ClassVar[bool] = False  # whether its coefficients are values at knots
    dimensions: ClassVar[tuple[int, ...]] = (1,)
    least: ClassVar[int] = 3
    penalty: Vector

    @abstractmethod
    def __init__(self, places: Vector, size: int):
        """Choose knots by the covariates of the data, (m, d)."""

    @abstractmethod
    def functions(self, places: Vector) -> Vector:
        """Values of the functions at these places, (m, k)."""


class ThinPlate(Spline):
    """``bs="tp"``: the thin-plate spline of the data's places, cut to its k largest eigenvalues and the trend."""

    dimensions = (1, 2)
    _last: tuple[Vector, Vector] | None

    def __init__(self, places: Vector, size: int):
        self.centre = places.mean(axis=0)
        knots = np.unique(places, axis=0)
        if len(knots) > MOST_KNOTS:
            chosen = np.random.default_rng(SEED).choice(len(knots), MOST_KNOTS, replace=False)
            knots = knots[np.sort(chosen)]
        self.knots = knots - self.centre
        bends = self._radial(self.knots)
        values, vectors = _largest(bends, size)
        trend = np.hstack([np.ones((len(knots), 1)), self.knots])
        free = _null_space(trend.T @ vectors)
        self._map, self._units, self._last = vectors @ free, np.ones(places.shape[1]), None
        self._map /= np.sqrt((self.functions(places)[:, : free.shape[1]] ** 2).mean(axis=0))
        self._units, self._last = places.std(axis=0), None
        within = np.linalg.lstsq(vectors, self._map, rcond=None)[0]
        within = within.T @ (values[:, None] * within)
        self.penalty = np.pad(0.5 * (within + within.T), (0, trend.shape[1]))

    def functions(self, places: Vector) -> Vector:
        """Values of the functions: those that bend, then constant and trend."""
        at = places - self.centre
        last = self._last
        if last is None or not np.array_equal(last[0], at):  # the data's are asked for again and again
            parts = [self._radial(at[a : a + AT_ONCE]) @ self._map for a in range(0, len(at), AT_ONCE)]
            self._last = last = at, np.vstack([np.empty((0, self._map.shape[1])), *parts])
        return np.hstack([last[1], np.ones((len(at), 1)), at / self._units])

    def _radial(self, at: Vector) -> Vector:
        from scipy.spatial.distance import cdist

        distance = cdist(at, self.knots)
        if at.shape[1] == 1:
            values: Vector = distance * distance * distance / 12  # numpy's power takes seven times as long
            return values
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(distance > 0, distance**2 * np.log(distance), 0.0) / (8 * np.pi)


class Cubic(Spline):
    """``bs="cr"``: the natural cubic spline through its values at knots, quantiles of the different values."""

    by_values = True

    def __init__(self, places: Vector, size: int):
        self.knots = np.quantile(np.unique(places), np.linspace(0, 1, size))
        h, k = np.diff(self.knots), size
        bends, change = np.zeros((k - 2, k - 2)), np.zeros((k - 2, k))
        for i in range(k - 2):
            change[i, i : i + 3] = 1 / h[i], -1 / h[i] - 1 / h[i + 1], 1 / h[i + 1]
            bends[i, i] = (h[i] + h[i + 1]) / 3
            if i:
                bends[i, i - 1] = bends[i - 1, i] = h[i] / 6
        second = np.linalg.solve(bends, change)
        self.penalty = change.T @ second
        self._second = np.vstack([np.zeros(k), second, np.zeros(k)])  # derivatives at the knots, from the values

    def functions(self, places: Vector) -> Vector:
        """Values of the functions; beyond the knots they are straight."""
        x, knots = places[:, 0], self.knots
        inside = np.clip(x, knots[0], knots[-1])
        values, second, h = np.eye(knots.size), self._second, np.diff(knots)
        first = (values[1] - values[0]) / h[0] - h[0] * second[1] / 6  # slopes at the ends, which do not bend
        last = (values[-1] - values[-2]) / h[-1] + h[-1] * second[-2] / 6
        before, after = np.minimum(x - knots[0], 0.0), np.maximum(x - knots[-1], 0.0)
        return _hermite(inside, knots, second, values) + np.outer(before, first) + np.outer(after, last)


class CyclicCubic(Spline):
    """``bs="cc"``: the cubic spline that closes: its last knot is its first, with all derivatives."""

    closed = True
    by_values = True
    least = 4

    def __init__(self, places: Vector, size: int):
        self.knots = np.quantile(np.unique(places), np.linspace(0, 1, size))
        h, k = np.diff(self.knots), size - 1
        bends, change = np.zeros((k, k)), np.zeros((k, k))
        for i in range(k):
            before, after = h[i - 1], h[i]
            bends[i, i] += (before + after) / 3
            bends[i, i - 1] += before / 6
            bends[i, (i + 1) % k] += after / 6
            change[i, i] -= 1 / before + 1 / after
            change[i, i - 1] += 1 / before
            change[i, (i + 1) % k] += 1 / after
        self._second = np.linalg.solve(bends, change)
        self.penalty = change.T @ self._second

    def functions(self, places: Vector) -> Vector:
        """Values of the functions; beyond the knots they go round again."""
        first, last = self.knots[0], self.knots[-1]
        x = first + np.mod(places[:, 0] - first, last - first)
        x = np.where(places[:, 0] == last, last, x)
        unit = np.eye(len(self._second))
        return _hermite(x, self.knots, np.vstack([self._second, self._second[:1]]), np.vstack([unit, unit[:1]]))


class PSpline(Spline):
    """``bs="ps"``: cubic B-splines at even knots, penalised by second differences of their coefficients."""

    least = 4

    def __init__(self, places: Vector, size: int):
        from scipy.interpolate import BSpline

        low, high = float(places.min()), float(places.max())
        reach = 0.001 * (high - low)
        self._ends = (low - reach, high + reach)
        step = (self._ends[1] - self._ends[0]) / (size - 3)
        knots = np.linspace(self._ends[0] - 3 * step, self._ends[1] + 3 * step, size + 4)
        self._splines = BSpline(knots, np.eye(size), 3)
        differences = np.diff(np.eye(size), n=2, axis=0)
        self.penalty = differences.T @ differences

    def functions(self, places: Vector) -> Vector:
        """Values of the functions; beyond the outer knots they are straight."""
        inside = np.clip(places[:, 0], *self._ends)
        slope = self._splines(inside, 1) * (places[:, 0] - inside)[:, None]
        return np.asarray(self._splines(inside) + slope)


SPLINES: dict[str, type[Spline]] = {"tp": ThinPlate, "cr": Cubic, "cc": CyclicCubic, "ps": PSpline}


class SplineBasis(Eigenbasis):
    """Functions of a spline whose coefficients are independent, and the linear trend that is left free.

    As those of `Eigenbasis`, whose attributes it has: in the functions' eigenbasis the penalty is a sum of squares.

    Parameters
    ----------
    spline : Spline
    places : (m, d) array
        Covariates of the data.
    constant : bool
        Whether the constant is one of the free functions, the first.
    """

    without_trend = "leave the term out"

    def __init__(self, spline: Spline, places: Vector, constant: bool = False):
        values, vectors = eigh(spline.penalty)
        flat = 1 if spline.closed else 1 + places.shape[1]
        if values[flat] <= 1e-12 * values[-1]:
            raise InputError("its functions cannot be told apart at these places: lower k")
        self._functions = spline.functions
        self._powers = _powers(1 if spline.closed else 2, places.shape[1], 1)
        self._lay(places, vectors[:, flat:] / np.sqrt(values[flat:]), constant)
        self.penalty_scales = np.array([np.abs(spline.penalty).sum(axis=0).max()]) / self._size(places) ** 2

    def _lay(self, places: Vector, to_functions: Vector, constant: bool) -> None:
        """Make columns of the functions that the coefficients multiply, increasing in how much they bend."""
        self.centre, self.units = places.mean(axis=0), places.std(axis=0)
        self.constant = constant
        self._means = np.zeros(len(self._powers))
        self._means = self._trend(places)[:, 1:].mean(axis=0)
        self.n_trend = len(self._powers) + constant
        self._map = to_functions[:, ::-1]
        largest = self._map[np.abs(self._map).argmax(axis=0), np.arange(self._map.shape[1])]
        self._map = self._map * np.where(largest < 0, -1.0, 1.0)  # signs are the solver's whim
        self.n = self._map.shape[1] + self.n_trend
        self._fit_to(places)
        free = np.linalg.lstsq(self._functions(places), self._trend(places), rcond=None)[0]
        self._slopes = free[:, self._first_free :]
        coefficients = self._map if constant else self._map - np.outer(free[:, 0], self._in_trend[0])
        self.slants = self.slants - np.linalg.lstsq(self._slopes, coefficients, rcond=None)[0] / self.scale

    def _size(self, places: Vector) -> float:
        """Largest row sum of the functions, by which `mgcv` divides."""
        return float(np.abs(self._functions(places)).sum(axis=1).max())

    def _trend(self, places: Vector) -> Vector:
        """The constant, and products of covariates about their means over the data."""
        linear = (places - self.centre) / self.units
        products = [linear[:, list(power)].prod(axis=1) for power in self._powers]
        return np.asarray(np.column_stack([np.ones(len(places)), *products]) - np.append(0.0, self._means))

    def trend_names(self, covariates: Sequence[str]) -> list[str]:
        """What each free function is linear in, a product of covariates; empty for the constant."""
        return [""] * self.constant + ["·".join(covariates[j] for j in power) for power in self._powers]

    @property
    def trend_volume(self) -> float:
        """Density of the trend's coefficients that is flat as mgcv's: 1 in orthonormal coordinates of its own."""
        return float(np.sqrt(np.linalg.det(self._slopes.T @ self._slopes)))

    def _kernel_columns(self, places: Vector) -> Vector:
        values: Vector = self._functions(places) @ self._map
        return values

    eigenvalues = np.ones(1)  # of no kernel


class TensorBasis(SplineBasis):
    """Products of the functions of splines of one covariate each, with a penalty along each of them.

    In the products of the margins' eigenfunctions all penalties are diagonal: each function has `shares` of them.

    Parameters
    ----------
    margins : sequence of Spline
        One a covariate.
    places : (m, d) array
        Covariates of the data.
    constant : bool
        Whether the constant is one of the free functions, the first.

    Attributes
    ----------
    shares : (d, q) array
        Of the penalty of each function that bends, along each covariate; they add up to 1.

    References
    ----------
    Wood (2006), Biometrics 62, 1025-1036; Wood (2017), section 5.6.
    """

    def __init__(self, margins: Sequence[Spline], places: Vector, constant: bool = False):
        self._margins = list(margins)
        self._to_values = [_value_coordinates(m, places[:, [j]]) for j, m in enumerate(margins)]
        pairs = []
        for j, (margin, change) in enumerate(zip(self._margins, self._to_values)):
            values, vectors = eigh(change.T @ margin.penalty @ change)
            flat = 1 if margin.closed else 2
            if values[flat] <= 1e-12 * values[-1]:
                raise InputError(f"the functions of covariate {j + 1} cannot be told apart at these places: lower k")
            values[:flat] = 0.0
            pairs.append((values / values[-1], vectors))
        each = np.meshgrid(*(values for values, _ in pairs), indexing="ij")
        penalties = np.array([values.ravel() for values in each])
        vectors = pairs[0][1]
        for _, further in pairs[1:]:
            vectors = np.kron(vectors, further)
        whole = penalties.sum(axis=0)
        order = np.argsort(whole, kind="stable")
        order = order[whole[order] > 0]
        self.shares = (penalties / np.maximum(whole, 1e-300))[:, order[::-1]]
        self._functions = self._products
        self._powers = _powers(tuple(1 if m.closed else 2 for m in self._margins), len(self._margins))
        self._lay(places, vectors[:, order] / np.sqrt(whole[order]), constant)
        sizes = [
            np.abs(penalty := change.T @ m.penalty @ change).sum(axis=0).max() / eigh(penalty, eigvals_only=True)[-1]
            for m, change in zip(self._margins, self._to_values)
        ]
        self.penalty_scales = np.array(sizes) / self._size(places) ** 2

    def _products(self, places: Vector) -> Vector:
        """Values of all products, (m, k), the last covariate's functions fastest."""
        out: Vector = np.ones((len(places), 1))
        for j, (margin, change) in enumerate(zip(self._margins, self._to_values)):
            own = margin.functions(places[:, [j]]) @ change
            out = (out[:, :, None] * own[:, None, :]).reshape(len(places), -1)
        return out


def _powers(degrees: int | Sequence[int], covariates: int, most: int | None = None) -> list[tuple[int, ...]]:
    """Which covariates each free function but the constant is the product of.

    Parameters
    ----------
    degrees : int or sequence of int
        Free functions of each covariate: 1, the constant, or 2, the line, too.
    covariates : int
    most : int, optional
        Covariates in a product.
    """
    each = [degrees] * covariates if isinstance(degrees, int) else degrees
    linear = [j for j in range(covariates) if each[j] == 2]
    sizes = range(1, min(len(linear), most or covariates) + 1)
    return [chosen for size in sizes for chosen in combinations(linear, size)]


def _value_coordinates(spline: Spline, places: Vector) -> Vector:
    """Coefficients as a linear map of values at even places, (k, k); the identity where that is what they are."""
    k = len(spline.penalty)
    if spline.by_values:
        return np.eye(k)
    values = spline.functions(np.linspace(places.min(), places.max(), k)[:, None])
    left, sizes, right = np.linalg.svd(values)
    if sizes[-1] < np.finfo(float).eps ** 0.66 * sizes[0]:
        return np.eye(k)
    return np.asarray(right.T @ (left.T / sizes[:, None]))


def _largest(a: Vector, size: int) -> tuple[Vector, Vector]:
    """Eigenvalues of largest modulus, (size,), from the highest to the lowest as mgcv has them, and their vectors.

    Few of many come from Lanczos' method, whose error is that of a full decomposition: rounding of the largest.
    """
    from scipy.sparse.linalg import eigsh

    if 4 * size > len(a):
        values, vectors = eigh(a)
    else:
        begin = np.random.default_rng(SEED).standard_normal(len(a))
        values, vectors = eigsh(a, k=size, v0=begin, ncv=min(len(a), max(2 * size + 1, 20)))
    largest = np.argsort(-np.abs(values), kind="stable")[:size]
    largest = largest[np.argsort(-values[largest], kind="stable")]
    return values[largest], vectors[:, largest]


def _null_space(a: Vector) -> Vector:
    """An orthonormal basis of the x with a x = 0, by Householder reflections from the last column back."""
    count, size = a.shape
    a, q = a.copy(), np.eye(size)
    for i in range(count):
        v = a[i, : size - i].copy()
        v[-1] += np.copysign(np.linalg.norm(v), v[-1])
        v /= np.linalg.norm(v)
        a[:, : size - i] -= 2.0 * np.outer(a[:, : size - i] @ v, v)
        q[:, : size - i] -= 2.0 * np.outer(q[:, : size - i] @ v, v)
    return q[:, : size - count]


def _hermite(x: Vector, knots: Vector, second: Vector, values: Vector) -> Vector:
    """Cubic pieces between knots from values and second derivatives there, (m, k)."""
    j = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, knots.size - 2)
    h = np.diff(knots)[j]
    left, right = (knots[j + 1] - x)[:, None], (x - knots[j])[:, None]
    h = h[:, None]
    of_values = left / h * values[j] + right / h * values[j + 1]
    bend = (left**3 / h - h * left) * second[j] + (right**3 / h - h * right) * second[j + 1]
    return np.asarray(of_values + bend / 6)
