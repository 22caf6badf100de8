"""Low-rank basis of a Gaussian process: eigenvectors of its correlation at knots, beside a linear trend.

Kammann & Wand (2003), J. R. Statist. Soc. C 52, 1-18; Wood (2017), Generalized Additive Models, 2nd ed., section 5.8.2.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh, qr

from geospde.errors import InputError

Vector = NDArray[np.float64]
KINDS = ("spherical", "power exponential", "Matérn 3/2", "Matérn 5/2", "Matérn 7/2")
MOST_KNOTS = 2_000
SEED = 1  # of the knots taken where there are more places
ALONE = 0.01  # correlation of the nearest two places below which the kernel joins nothing
LEAST = 1e-13  # of an eigenvalue to the largest: rounding is 2e-16 of that, and below it spoils the functions
EQUAL = 1e-10  # as are differences of eigenvalues
CHUNK = 256  # places at a time: what they need stays in the cache


@dataclass(frozen=True)
class Correlation:
    """A correlation as a function of distance.

    Attributes
    ----------
    kind : int
        1 spherical, 2 power exponential ``exp(-(d/range)^power)``, 3, 4 and 5 Matérn of smoothness 3/2, 5/2 and 7/2
        with exponential factor ``exp(-d/range)``.
    range : float
        In the unit of the distances.
    power : float
        Of the power exponential, in (0, 2].
    """

    kind: int
    range: float
    power: float = 1.0

    def __call__(self, distance: Vector) -> Vector:
        """Correlation at these distances."""
        d = distance / self.range
        if self.kind == 1:
            return np.where(d < 1, 1 - 1.5 * d + 0.5 * d**3, 0.0)
        if self.kind == 2:
            return np.exp(-(d**self.power))
        polynomial = {3: 1 + d, 4: 1 + d + d**2 / 3, 5: 1 + d + 0.4 * d**2 + d**3 / 15}[self.kind]
        return polynomial * np.exp(-d)


class Eigenbasis:
    """Functions whose independent Gaussian coefficients make a smooth, and the linear trend that is left free.

    With the correlation matrix E of the knots and its largest eigenvalues D and eigenvectors U, the smooth is
    ``E(., knots) U D^(-1/2) z``, z of one variance: at the knots its covariance is the best of that rank. What of it is
    constant or linear over the data is left to the trend, which is flat, so that the model is the same whether it is
    taken out or not; taken out here, the columns sum to zero over the data, and their mean square summed over the
    columns is 1: the standard deviation of z is that of the smooth about its trend, a priori.

    Parameters
    ----------
    places : (m, d) array
        Covariates of the data, a row each.
    size : int
        Dimension of the basis, the constant included.
    kind, reach, power
        Of the kernel; `reach` is its range, by default the largest distance between knots.
    trend : bool
        Whether a linear trend stays unpenalised.
    constant : bool
        Whether the constant is one of the free functions, too.

    Attributes
    ----------
    correlation : Correlation
    knots : (p, d) array
        The distinct places, less the mean of the data; a fixed random choice where there are more than 2,000.
    eigenvalues : (q,) array
        The largest of the knots' correlation matrix, decreasing.
    columns : (m, n) array
        At the data.
    n, n_trend : int
        Columns, and those of them that are the trend, last: covariates about their means, in units of their standard
        deviations, `units`.
    typical : float
        Standard deviation of the smooth whose columns were all equally large, to that of this one: near 1 where few
        functions carry as much as the others.
    constant : bool
        Whether the constant is one of the trend's columns, the first.
    shares : (k, q) array or None
        Of each function's penalty that each of k penalties has; None where there is one.
    penalty_scales : (k,) array
        Of each penalty: largest eigenvalue over the squared largest absolute row sum of the basis as Wood has it, in
        which ``mgcv`` gives its smoothing parameters.
    slants : (n_trend, q) array
        What the functions have of the trend's in ``mgcv``'s coordinates, where the two are orthogonal as coefficients
        and not, as here, over the data: a likelihood with the trend for fixed effects is of those.

    Raises
    ------
    InputError
        For a kernel or size that these places do not bear.
    """

    without_trend: ClassVar[str] = "give the smooth a negative m, such as m=-3, for no trend of its own"
    shares: Vector | None = None
    slants: Vector
    penalty_scales: Vector

    def __init__(
        self,
        places: Vector,
        size: int,
        kind: int = 3,
        reach: float | None = None,
        power: float = 1.0,
        trend: bool = True,
        constant: bool = False,
    ):
        self.constant = constant
        self.centre = places.mean(axis=0)
        self.units = places.std(axis=0)
        self._linear = places.shape[1] if trend else 0
        self.n_trend = self._linear + constant
        distinct = np.unique(places, axis=0)
        if len(distinct) < size:
            raise InputError(f"k={size} is more than the {len(distinct)} distinct places of the data: lower k")
        if len(distinct) > MOST_KNOTS:
            chosen = np.random.default_rng(SEED).choice(len(distinct), MOST_KNOTS, replace=False)
            distinct = distinct[np.sort(chosen)]
        self.knots = distinct - self.centre
        distances = _distances(self.knots, self.knots)
        self.correlation = Correlation(kind, float(distances.max()) if reach is None else reach, power)
        correlation = self.correlation(distances)
        self._refuse_islands(distances, correlation)
        rank = size - 1 - self._linear
        p = len(distinct)
        values, vectors = eigh(correlation, subset_by_index=(p - rank, p - 1))
        self.eigenvalues = values[::-1]
        vectors = _oriented(self.eigenvalues, vectors[:, ::-1])
        bad = np.flatnonzero(self.eigenvalues < LEAST * self.eigenvalues[0])
        if bad.size:
            raise InputError(
                f"this kernel tells only {bad[0]} functions apart at these places: "
                f"give k={bad[0] + 1 + self._linear} at most, a shorter range or a rougher kernel"
            )
        self._map = vectors / np.sqrt(self.eigenvalues)
        self.n = rank + self.n_trend
        self._fit_to(places)
        self.penalty_scales = np.array([self.eigenvalues[0]]) / self._size(places) ** 2

    def _refuse_islands(self, distances: Vector, correlation: Vector) -> None:
        """Refuse a range so short that no place tells of another: the eigenvectors would be arbitrary."""
        p = len(distances)
        nearest = np.where(np.eye(p, dtype=bool), np.inf, distances).min()
        if p > 1 and (correlation - np.eye(p)).max() < ALONE:
            raise InputError(
                f"a range of {self.correlation.range:g} is too short: the nearest two places are {nearest:.4g} apart "
                "and have no correlation, so that every place stands alone"
            )

    def _fit_to(self, places: Vector) -> None:
        """Take the trend out of the columns over the data, and scale them."""
        columns, trend = self._kernel_columns(places), self._trend(places)
        self._in_trend = np.linalg.lstsq(trend, columns, rcond=None)[0]
        left = columns - trend @ self._in_trend
        squares = (left**2).mean(axis=0)
        self.scale = float(np.sqrt(squares.sum()))
        self.typical = float(np.exp(0.5 * np.log(squares).mean()) * np.sqrt(squares.size) / self.scale)
        self.columns = np.hstack([left / self.scale, trend[:, self._first_free :]])
        self.slants = np.asarray(self._in_trend[self._first_free :] / self.scale)

    def _size(self, places: Vector) -> float:
        """Largest row sum of the functions, by which `mgcv` divides."""
        own = np.abs(self._kernel_columns(places) * np.sqrt(self.eigenvalues)).sum(axis=1) + 1.0
        own += np.abs(places - self.centre)[:, : self._linear].sum(axis=1)
        return float(own.max())

    @property
    def _first_free(self) -> int:
        """Of the trend's columns."""
        return 0 if self.constant else 1

    def trend_names(self, covariates: Sequence[str]) -> list[str]:
        """What each free function is linear in, a product of covariates; empty for the constant."""
        return [""] * self.constant + list(covariates[: self._linear])

    @property
    def trend_volume(self) -> float:
        """Density of the trend's coefficients that is flat as mgcv's: 1 for slopes a unit of the covariates."""
        return 1.0 / float(np.prod(self.units[: self._linear]))

    def at(self, places: Vector) -> Vector:
        """The columns at these places, (m, n)."""
        trend = self._trend(places)
        left = self._kernel_columns(places) - trend @ self._in_trend
        return np.hstack([left / self.scale, trend[:, self._first_free :]])

    def _kernel_columns(self, places: Vector) -> Vector:
        out = np.empty((len(places), self._map.shape[1]))
        for a in range(0, len(places), CHUNK):
            part = slice(a, a + CHUNK)
            out[part] = self.correlation(_distances(places[part] - self.centre, self.knots)) @ self._map
        return out

    def _trend(self, places: Vector) -> Vector:
        """The constant and the trend's columns."""
        linear = ((places - self.centre) / self.units)[:, : self._linear]
        return np.hstack([np.ones((len(places), 1)), linear])


def _oriented(values: Vector, vectors: Vector) -> Vector:
    """Eigenvectors turned one way: their signs, and the axes of a space of equal eigenvalues, are the solver's whim.

    A saved fit would not know its coefficients again after another solver.
    """
    p = len(vectors)
    earlier = np.linspace(1.0, 0.9, p)  # of rows that are equally large by symmetry the first is taken
    out, ends = np.empty_like(vectors), np.flatnonzero(-np.diff(values) > EQUAL * values[0]) + 1
    for own in np.split(np.arange(values.size), ends):
        q, r, _ = qr((earlier[:, None] * vectors[:, own]).T, pivoting=True)
        out[:, own] = vectors[:, own] @ (q * np.where(np.diag(r) < 0, -1.0, 1.0))
    return out


def _distances(a: Vector, b: Vector) -> Vector:
    from scipy.spatial.distance import cdist

    distances: Vector = cdist(a, b)
    return distances
