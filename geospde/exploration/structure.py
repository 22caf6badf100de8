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


def matern_correlation(distance: ArrayLike, reach: float) -> NDArray[np.float64]:
    """Return the Matérn correlation of smoothness 1 at distances, ``kappa h K1(kappa h)`` with kappa = sqrt(8) / range.

    Examples
    --------
    >>> matern_correlation([0.0, 1.0, 2.0], 1.0).round(3)
    array([1.   , 0.14 , 0.011])
    """
    scaled = np.sqrt(8.0) * np.asarray(distance, dtype=float) / reach
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
    found = []
    for reached in np.geomspace(max(distance[0], 1e-3 * reach), reach, 100):
        rise = 1 - matern_correlation(distance, reached)
        gamma = np.full(len(distance), np.average(semivariance, weights=pairs))
        for _ in range(5):
            weight = pairs / gamma**2
            nugget, sill = _two_positive(rise, semivariance, weight)
            gamma = np.maximum(nugget + sill * rise, 1e-3 * gamma.max())
        loss = float(np.sum(pairs * (semivariance / gamma - 1) ** 2))
        found.append((loss, Structure(float(reached), nugget, sill)))
    best = min(found, key=lambda f: f[0])[1]
    return best if best.sill > 0 else None


def _two_positive(
    rise: NDArray[np.float64], target: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[float, float]:
    """Least squares for target = a + b rise with a, b >= 0."""
    mean_rise, mean = np.average(rise, weights=weight), np.average(target, weights=weight)
    spread = np.average((rise - mean_rise) ** 2, weights=weight)
    slope = np.average((rise - mean_rise) * (target - mean), weights=weight) / spread if spread > 0 else 0.0
    if slope <= 0:
        return float(mean), 0.0
    level = mean - slope * mean_rise
    if level >= 0:
        return float(level), float(slope)
    return 0.0, float(np.average(rise * target, weights=weight) / np.average(rise**2, weights=weight))
