"""Functions of columns that a formula may call.

Those with a memory, such as ``scale``, learn it from the data of the fit and give a map that is applied to them and to
new data alike; their words and values are R's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geospde.errors import InputError

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Linear:
    """``(x - centre) / unit``."""

    centre: float
    unit: float = 1.0

    def __call__(self, x: Vector) -> Vector:
        """Values at x, (m,)."""
        return (x - self.centre) / self.unit


def center(x: Vector) -> Linear:
    """Values less their mean."""
    return Linear(float(np.mean(x)))


def scale(x: Vector, center: bool = True, scale: bool = True) -> Linear:
    """Values less their mean, over their standard deviation (of divisor n - 1); uncentred, over the root mean square.

    As R's: https://rdrr.io/r/base/scale.html.
    """
    if not isinstance(center, bool) or not isinstance(scale, bool):
        raise InputError("center and scale are True or False")
    centre = float(np.mean(x)) if center else 0.0
    unit = float(np.sqrt(np.sum((x - centre) ** 2) / max(len(x) - 1, 1))) if scale else 1.0
    if not unit > 1e-12 * np.abs(x).max(initial=0.0):
        raise InputError("all its values are the same")
    return Linear(centre, unit)


@dataclass(frozen=True)
class Orthogonal:
    """Polynomials orthogonal over the data they were learnt from, by their three-term recurrence.

    Attributes
    ----------
    alpha : tuple of float
        Centres of the recurrence.
    norms : tuple of float
        Squared lengths of the polynomials of degree 0, 1, ..., over the data.
    """

    alpha: tuple[float, ...]
    norms: tuple[float, ...]

    def __call__(self, x: Vector) -> Vector:
        """Values at x, a column a degree from 1 on."""
        return self._monic(x)[:, 1:] / np.sqrt(self.norms[1:])

    def _monic(self, x: Vector) -> Vector:
        columns = [np.ones_like(x)]
        for k, alpha in enumerate(self.alpha):
            column = (x - alpha) * columns[-1]
            if k:
                column = column - self.norms[k] / self.norms[k - 1] * columns[-2]
            columns.append(column)
        return np.column_stack(columns)


@dataclass(frozen=True)
class Powers:
    """``x, x², ...``."""

    degree: int

    def __call__(self, x: Vector) -> Vector:
        """Values at x, a column a power."""
        return x[:, None] ** np.arange(1, self.degree + 1)


def poly(x: Vector, degree: int = 1, raw: bool = False) -> Callable[[Vector], Vector]:
    """Orthogonal polynomials of the degrees 1, ..., `degree`, or the raw powers.

    Columns have length 1, are orthogonal to each other and to the constant: R's ``poly``, after Kennedy & Gentle
    (1980), Statistical Computing, 343-344.
    """
    _whole(degree, "degree", 1)
    if len(np.unique(x)) <= degree:
        raise InputError(f"a degree of {degree} needs more than {degree} different values")
    if raw:
        return Powers(degree)
    alpha, norms = [float(np.mean(x))], [float(len(x))]
    for k in range(1, degree + 1):
        square = Orthogonal(tuple(alpha), tuple(norms))._monic(x)[:, k] ** 2
        norms.append(float(square.sum()))
        if k < degree:
            alpha.append(float((x * square).sum() / square.sum()))
    return Orthogonal(tuple(alpha), tuple(norms))


@dataclass(frozen=True)
class Spline:
    """B-splines on `knots`, in the combinations that are the columns of `mix`.

    Attributes
    ----------
    knots : tuple of float
        With the ends of the data as often as the degree asks for.
    degree : int
    mix : (n, k) array
    straight : bool
        Whether they go on as straight lines beyond the data, rather than as polynomials.
    """

    knots: tuple[float, ...]
    degree: int
    mix: Vector
    straight: bool = False

    def __call__(self, x: Vector, derivative: int = 0) -> Vector:
        """Values, or a derivative, at x, (m, k)."""
        from scipy.interpolate import BSpline

        spline = BSpline(np.array(self.knots), self.mix, self.degree)
        if not self.straight:
            return np.asarray(spline(x, derivative))
        inside = np.clip(x, self.knots[0], self.knots[-1])
        return np.asarray(spline(inside) + (x - inside)[:, None] * spline(inside, 1))


def bs(x: Vector, df: int | None = None, knots: Sequence[float] | None = None, degree: int = 3) -> Spline:
    """B-splines of `df` columns, without the first, as R's ``bs``; inner knots at quantiles unless given."""
    _whole(degree, "degree", 1)
    inner = _inner_knots(x, x, df, knots, degree)
    every = _every_knot(x, inner, degree)
    return Spline(every, degree, np.eye(len(every) - degree - 1)[:, 1:])


def ns(x: Vector, df: int | None = None, knots: Sequence[float] | None = None) -> Spline:
    """Natural cubic splines of `df` columns, as R's ``ns``; inner knots at quantiles unless given."""
    return _natural(x, _inner_knots(x, x, df, knots, 1))


def cr(x: Vector, df: int = 9) -> Spline:
    """Natural cubic splines of `df` columns, with inner knots at quantiles of the distinct values, as mgcv's ``cr``."""
    return _natural(x, _inner_knots(x, np.unique(x), df, None, 1))


def _natural(x: Vector, inner: list[float]) -> Spline:
    """Cubic splines without curvature at the ends of the data, and without the constant."""
    every = _every_knot(x, inner, 3)
    cubic = Spline(every, 3, np.eye(len(every) - 4)[:, 1:])
    ends = np.array([every[0], every[-1]])
    free = np.linalg.qr(cubic(ends, 2).T, mode="complete")[0][:, 2:]
    return Spline(every, 3, cubic.mix @ free, straight=True)


def _every_knot(x: Vector, inner: Sequence[float], degree: int) -> tuple[float, ...]:
    low, high = float(np.min(x)), float(np.max(x))
    if not low < high:
        raise InputError("all its values are the same")
    if any(not low < knot < high for knot in inner):
        raise InputError(f"inner knots lie between {low:g} and {high:g}, the ends of the data; {list(inner)} do not")
    return (low,) * (degree + 1) + tuple(sorted(map(float, inner))) + (high,) * (degree + 1)


def _inner_knots(x: Vector, of: Vector, df: int | None, knots: Sequence[float] | None, fewest: int) -> list[float]:
    """Inner knots: those given, or as many quantiles of `of` as there are columns beyond the fewest."""
    if (df is None) == (knots is None):
        raise InputError("it takes either df or knots")
    if knots is not None:
        if not isinstance(knots, (list, tuple)) or not all(isinstance(k, (int, float)) for k in knots):
            raise InputError(f"knots is a list of numbers, not {knots!r}")
        return list(knots)
    assert df is not None
    _whole(df, "df", fewest)
    if df - fewest > len(of):
        raise InputError(f"df={df} asks for more knots than there are values")
    inner = np.quantile(of, np.linspace(0, 1, df - fewest + 2)[1:-1])
    if len(np.unique(np.concatenate([inner, [x.min(), x.max()]]))) < len(inner) + 2:
        raise InputError(f"df={df} asks for more knots than there are different values")
    return [float(knot) for knot in inner]


def _whole(value: Any, what: str, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InputError(f"{what} is a whole number from {least} on, not {value!r}")
