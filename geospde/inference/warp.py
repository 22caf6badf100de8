"""Axes of theta bent so that the posterior along each becomes a standard Gaussian."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Warp:
    """Monotone maps u -> z, one an axis, held on grids.

    Attributes
    ----------
    u, z, log_slope : (d, g) arrays
        Increasing in each row; ``log_slope = log dz/du``.
    """

    u: Vector
    z: Vector
    log_slope: Vector

    @classmethod
    def of_third_derivatives(cls, third: Vector) -> "Warp":
        """For axes along which the log density has these third derivatives at its top, and second derivative -1.

        The shape is that of the logarithm of a gamma variable, as for a variance or a range: Gaussian on one side,
        exponential on the other.
        """
        profiles = []
        for c in np.clip(third, -2.0, 2.0):
            slant = -c if abs(c) > 1e-3 else 1e-3
            places = np.linspace(-9.0 - 30.0 * abs(slant), 9.0 + 30.0 * abs(slant), 1201)
            w = slant * places
            values = (w - np.expm1(np.minimum(w, 50.0))) / slant**2
            profiles.append((places[values > -30.0], values[values > -30.0]))
        return cls.of_profiles(profiles)

    @classmethod
    def of_profiles(cls, profiles: list[tuple[Vector, Vector]], size: int = 401) -> "Warp":
        """From log densities along each axis, as (places, values), that fall away at both ends."""
        from scipy.interpolate import CubicSpline

        rows = []
        for places, values in profiles:
            curve = CubicSpline(places, values)
            fine = np.linspace(places[0], places[-1], 20 * size)
            log_density = curve(fine) - values.max()
            density = np.exp(log_density)
            below = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1])) * (fine[1] - fine[0])])
            share = below / below[-1]
            inside = (share > 1e-5) & (share < 1 - 1e-5)
            u = ndtri(share[inside])
            grid = np.linspace(u[0], u[-1], size)
            log_gaussian = -0.5 * grid**2 - 0.5 * np.log(2 * np.pi)
            slope = log_gaussian - np.interp(grid, u, log_density[inside]) + np.log(below[-1])
            rows.append((grid, np.interp(grid, u, fine[inside]), slope))
        return cls(*(np.array(part) for part in zip(*rows)))

    def __call__(self, u: Vector) -> tuple[Vector, Vector]:
        """Map u, (p, d), to z, (p, d), with the sum of the log slopes, (p,); straight beyond the grids."""
        z, total = np.empty_like(u), np.zeros(u.shape[0])
        for k in range(u.shape[1]):
            inside = np.clip(u[:, k], self.u[k, 0], self.u[k, -1])
            log_slope = np.interp(inside, self.u[k], self.log_slope[k])
            z[:, k] = np.interp(inside, self.u[k], self.z[k]) + np.exp(log_slope) * (u[:, k] - inside)
            total += log_slope
        return z, total

    def slopes(self, u: Vector) -> tuple[Vector, Vector]:
        """``log dz/du`` on each axis at u, (p, d), and its derivative in u; constant beyond the grids."""
        value, change = np.empty_like(u), np.empty_like(u)
        for k in range(u.shape[1]):
            value[:, k] = np.interp(u[:, k], self.u[k], self.log_slope[k])
            change[:, k] = np.interp(u[:, k], self.u[k], np.gradient(self.log_slope[k], self.u[k]), left=0.0, right=0.0)
        return value, change

    def arrays(self) -> dict[str, Vector]:
        """What a saved fit keeps of it."""
        return {"u": self.u, "z": self.z, "log_slope": self.log_slope}
