"""A first look at a response in space: how far correlation reaches, and whether sites scatter by themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from geospde.explore.structure import matern_correlation
from geospde.families.base import Scatter, skewness
from geospde.families.likelihood import Likelihood
from geospde.linalg.threads import one_blas_thread

Vector = NDArray[np.float64]

MOST = 400
"""Sites that are looked at; of more, a random choice."""
BELIEVED = 2.0
"""Units of log likelihood that structure must gain to be believed."""
SCATTERED = (3.0, 12.0)
"""Units that scatter of single sites must gain to be believed: without structure, and with some."""
NEIGHBOURS = 4
"""Of a site, that it is compared with."""
ROUGH = 0.5
"""Variance of logarithms around those of neighbours from which a field that has it would be a rash of spots."""
_NUGGETS = (0.02, 0.1, 0.3, 0.6, 0.85)
_SILLS = (0.15, 0.3, 0.6, 1.0, 2.0, 5.0)  # in variances of the values
_RANGES = 16


@dataclass(frozen=True)
class FirstLook:
    """What a Gaussian field with Matérn correlation of smoothness 1 and a nugget says of a response.

    Attributes
    ----------
    extent : float
        Diagonal of the sites' bounding box.
    spacing, closest : float
        Distance of a site to its nearest neighbour elsewhere: median and smallest.
    range : float
        Where correlation has fallen to 0.14; a fifth of the extent if the values show no structure.
    reach : float
        The same if sites were free to scatter by themselves, but no less: rough values may still be alike far apart.
    seen : bool
        Whether they show any.
    scatter : float
        Units of log likelihood by which it is likelier that sites scatter by themselves, beyond the family's own
        noise; 0 where the family has a parameter for that.
    less : bool
        Whether range and reach are of what covariates leave of the response.
    """

    extent: float
    spacing: float
    closest: float
    range: float
    reach: float
    seen: bool
    scatter: float
    less: bool = False

    @property
    def overdispersed(self) -> bool:
        """Whether the scatter asks for a family with a parameter of its own: nearly all there is, or beyond doubt."""
        return self.scatter > (SCATTERED[1] if self.seen else SCATTERED[0])

    @classmethod
    def at(cls, places: Vector, likelihood: Likelihood, trend: Vector | None = None) -> FirstLook:
        """Look at a response.

        The restricted likelihood of the rough predictor is maximised on a grid of ranges, from one and a half
        spacings to half of the extent, and of nuggets, with a lognormal prior that holds the range within a factor of
        e of a fifth of the extent.

        Parameters
        ----------
        places : (n, 2) array
        likelihood : Likelihood
            A family bound to the response.
        trend : (n, p) array, optional
            Covariates: what they explain is no part of the field, whose range is often shorter then.
        """
        extent = float(np.hypot(*np.ptp(places, axis=0)))
        distances = nearest_distances(places)
        spacing, closest = float(np.median(distances)), float(distances.min())
        values, noise = likelihood.start(), own_noise(likelihood)
        chosen = np.random.default_rng(0).permutation(len(places))[:MOST]
        places, values = places[chosen], values[chosen]
        fixed = orthonormal(len(chosen), None if trend is None else trend[chosen])
        apart = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1))
        ranges = np.geomspace(min(1.5 * spacing, extent / 4), extent / 2, _RANGES)
        penalty = -0.5 * np.log(5 * ranges / extent) ** 2
        free, bound = np.empty((2, _RANGES))
        with one_blas_thread():
            for i, reach in enumerate(ranges):
                correlation = matern_correlation(apart, reach)
                free[i] = max(profile_likelihood(mixed(1 - n, correlation, n), values, fixed) for n in _NUGGETS)
                if noise is not None:
                    sills = np.array(_SILLS) * values.var()
                    bound[i] = max(
                        restricted_likelihood(mixed(sill, correlation, noise), values, fixed) for sill in sills
                    )
        free += penalty
        bound = bound + penalty if noise is not None else free
        nothing = profile_likelihood(np.eye(len(values)), values, fixed)
        seen = bool(free.max() > nothing + BELIEVED)
        scatter = max(free.max(), nothing) - bound.max() if noise is not None else 0.0
        near = float(ranges[np.argmax(bound)]) if seen else extent / 5
        far = max(near, float(ranges[np.argmax(free)])) if seen else near
        return cls(extent, spacing, closest, near, far, seen, float(scatter), trend is not None)


def nearest_distances(places: Vector) -> Vector:
    """Return the distance of each place to the nearest other one; places taken twice count once."""
    from scipy.spatial import cKDTree

    places = np.unique(places, axis=0)
    return np.asarray(cKDTree(places).query(places, k=2)[0][:, 1])


def scatter_at(places: Vector, likelihood: Likelihood, look: FirstLook, *, counts: bool) -> Scatter:
    """Return how a response scatters from one site to its neighbours.

    Parameters
    ----------
    places : (n, 2) array
    likelihood : Likelihood
        A family bound to the response.
    look : FirstLook
        At the same.
    counts : bool
        Whether the responses are counts of an exposure.
    """
    known = Scatter(look.overdispersed, look.scatter > BELIEVED)
    if len(places) < 5 * NEIGHBOURS:
        return known
    near = _neighbours(places, NEIGHBOURS)
    rough = likelihood.start()
    above = rough - rough[near].mean(axis=1)
    n = len(above)
    # a value less the mean of k others has 1 + 1 / k times the variance, and 1 - 1 / k^2 times the third moment
    wider, leaner = 1 + 1 / NEIGHBOURS, (1 + 1 / NEIGHBOURS) ** 1.5 / (1 - 1 / NEIGHBOURS**2)
    known = replace(
        known, variance=float(above.var() / wider), lean=leaner * skewness(above), lean_error=leaner * math.sqrt(6 / n)
    )  # fmt: skip
    noise = own_noise(likelihood)
    unseen = noise is None or noise > ROUGH or (known.doubtful and known.variance > ROUGH)
    if not (counts and unseen):  # else the first look has seen enough
        return known
    pairs = np.unique(np.sort(np.c_[np.arange(n), near[:, 0]], axis=1), axis=0)
    found, exposure = likelihood.y[pairs], likelihood.exposure[pairs]
    both, share = found.sum(axis=1), exposure[:, 0] / exposure.sum(axis=1)
    informative = both > 1  # one alone is with one of the two, whatever they are
    if informative.sum() < 5:
        return known
    # of Poisson counts of one rate the first is binomial of both (McCullagh & Nelder 1989, section 4.4)
    spread = both[informative] * share[informative] * (1 - share[informative])
    ratio = float(np.mean((found[informative, 0] - both[informative] * share[informative]) ** 2 / spread))
    return replace(
        known, ratio=ratio, ratio_error=math.sqrt(2 * float(np.mean(1 - 1 / both[informative])) / informative.sum())
    )


def _neighbours(places: Vector, count: int) -> NDArray[np.intp]:
    """Return the nearest other sites of each, (n, count), the nearest first."""
    from scipy.spatial import cKDTree

    found = np.asarray(cKDTree(places).query(places, k=count + 1)[1])
    own = found == np.arange(len(places))[:, None]
    own[~own.any(axis=1), -1] = True  # among many sites of one place it may not find itself
    return np.asarray(found[~own].reshape(len(places), count))


def own_noise(likelihood: Likelihood) -> float | None:
    """Return the variance of the rough predictor that is the family's own noise.

    None where a parameter of the family says that, or where it is so large, as of zeros and ones, that the rough
    predictor is no more than a label.
    """
    rough = likelihood.start()
    noise = None if likelihood.hyper else float(np.mean(-1 / likelihood.derivatives(rough)[1]))
    return noise if noise is not None and noise < 0.9 * rough.var() else None


def mixed(sill: float, correlation: Vector, nugget: float) -> Vector:
    """Return the covariance of a field with a nugget."""
    covariance = sill * correlation
    covariance[np.diag_indices_from(covariance)] += nugget
    return covariance


def restricted_likelihood(covariance: Vector, values: Vector, fixed: Vector) -> float:
    """Return the restricted log likelihood of Gaussian values; `fixed` is an orthonormal design."""
    half_determinants, square = _factored(covariance, values, fixed)
    return -half_determinants - 0.5 * square


def profile_likelihood(correlation: Vector, values: Vector, fixed: Vector) -> float:
    """Return the restricted log likelihood at the best multiple of a covariance."""
    half_determinants, square = _factored(correlation, values, fixed)
    free = len(values) - fixed.shape[1]
    if square <= 0 or free < 1:
        return -np.inf
    return float(-half_determinants - 0.5 * free * (1 + np.log(square / free)))


def orthonormal(n: int, trend: Vector | None = None) -> Vector:
    """Return an orthonormal basis of a constant and the columns of a trend, (n, rank)."""
    columns = np.ones((n, 1)) if trend is None else np.column_stack([np.ones(n), trend])
    lengths = np.linalg.norm(columns, axis=0)  # of a rare class that none of the sites looked at is in: nothing
    left, size, _ = np.linalg.svd(columns[:, lengths > 0] / lengths[lengths > 0], full_matrices=False)
    return np.asarray(left[:, size > 1e-8 * size[0]])


def _factored(covariance: Vector, values: Vector, fixed: Vector) -> tuple[float, float]:
    """Return half of the log determinants of a restricted likelihood, and its quadratic form."""
    from scipy.linalg import cho_factor, cho_solve

    try:
        factor = cho_factor(covariance, lower=True, check_finite=False)
    except np.linalg.LinAlgError:
        return np.inf, 0.0
    weights = cho_solve(factor, fixed)
    information = fixed.T @ weights
    residual = values - fixed @ np.linalg.solve(information, weights.T @ values)
    halves = float(np.log(np.diag(factor[0])).sum()) + 0.5 * float(np.linalg.slogdet(information)[1])
    return halves, float(residual @ cho_solve(factor, residual))
