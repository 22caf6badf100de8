"""A Matérn variogram put through the bins of an empirical one: a first guess at range, nugget and sill."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import k1

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Structure:
    """A variogram ``nugget + sill (1 - correlation)``, with the Matérn correlation of smoothness 1.

    Attributes
    ----------
    range : float
        Distance at which the correlation is about 0.14, as `geospde.fit` counts ranges.
    nugget, sill : float
        Variance at distance zero, and what the distance adds to it.
    """

    range: float
    nugget: float
    sill: float

    def __call__(self, distance: ArrayLike) -> NDArray[np.float64]:
        """Semivariance at distances."""
        return self.nugget + self.sill * (1 - matern_correlation(distance, self.range))


def matern_correlation(distance: ArrayLike, reach: ArrayLike) -> NDArray[np.float64]:
    """Return the Matérn correlation of smoothness 1 at distances, ``kappa h K1(kappa h)`` with kappa = sqrt(8) / range.

    Examples
    --------
    >>> matern_correlation([0.0, 1.0, 2.0], 1.0).round(3)
    array([1.   , 0.14 , 0.011])
    """
    scaled = np.sqrt(8.0) * np.asarray(distance, dtype=float) / np.asarray(reach, dtype=float)
    at = np.where(scaled > 0, scaled, 1.0)
    return np.where(scaled > 0, at * k1(at), 1.0)


def fitted_structure(
    distance: NDArray[np.float64], semivariance: NDArray[np.float64], pairs: NDArray[np.int64], reach: float
) -> Structure | None:
    """Fit by least squares with Cressie's weights, pairs / gamma² (1985, Math. Geology 17, 563-586).

    The range is searched between the first bin's distance and `reach`, beyond which the bins know nothing; a range at
    `reach` says "that or more". None if fewer than three bins, or if no distance adds any variance.
    """
    if len(distance) < 3:
        return None
    ranges = np.geomspace(max(distance[0], 1e-3 * reach), reach, 100)
    rise = 1 - matern_correlation(distance, ranges[:, None])
    gamma = np.full(rise.shape, np.average(semivariance, weights=pairs))
    for _ in range(5):  # the weights depend on the fit, and settle soon
        nugget, sill = _two_positive(rise, semivariance, pairs / gamma**2)
        gamma = nugget[:, None] + sill[:, None] * rise
        gamma = np.maximum(gamma, 1e-3 * gamma.max(axis=1, keepdims=True))
    best = int(np.argmin(np.sum(pairs * (semivariance / gamma - 1) ** 2, axis=1)))
    return Structure(float(ranges[best]), float(nugget[best]), float(sill[best])) if sill[best] > 0 else None


def _two_positive(
    rise: NDArray[np.float64], target: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least squares for target = a + b rise with a, b >= 0, a row of `rise` at a time."""
    weight = weight / weight.sum(axis=1, keepdims=True)
    mean_rise, mean = (weight * rise).sum(axis=1), weight @ target
    off = rise - mean_rise[:, None]
    slope = (weight * off * target).sum(axis=1) / np.maximum((weight * off**2).sum(axis=1), 1e-300)
    level = mean - slope * mean_rise
    through_zero = (weight * rise * target).sum(axis=1) / (weight * rise**2).sum(axis=1)
    slope, level = np.where(level < 0, through_zero, slope), np.maximum(level, 0.0)
    return np.where(slope > 0, level, mean), np.maximum(slope, 0.0)
