"""Axes of theta bent so that the posterior along each becomes a standard Gaussian."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Vector = NDArray[np.float64]

REACH, STEP = 24.0, 0.5  # of a prior's profile: how far from theta, and by what
DEEP = 60.0  # log density below its top, beyond which a profile is cut off
WEAK = 0.3  # posterior sds, in prior sds, from which a tail may be the prior's
ENDED = -4.0  # log density at both ends of a profile of a prior that ends


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

    @classmethod
    def of_prior(cls, log_prior: Callable[[Vector], float], theta: Vector) -> "Warp":
        """From the density that a prior has along each coordinate at theta, (d,); straight where it has no end."""
        steps, profiles = np.arange(-REACH, REACH + STEP, STEP), []
        for unit in np.eye(theta.size):
            with np.errstate(over="ignore"):
                values = np.array([log_prior(theta + step * unit) for step in steps])
            values = np.maximum(np.nan_to_num(values, nan=-np.inf) - values.max(), -DEEP)
            ends = max(values[0], values[-1]) < ENDED
            # without an end the hyperparameter keeps its own scale
            profiles.append((theta @ unit + steps, values) if ends else (steps, -0.5 * steps**2))
        return cls.of_profiles(profiles)

    def only(self, rows: NDArray[np.bool_]) -> "Warp":
        """The same with the other axes straight."""
        u, z, log_slope = (np.where(rows[:, None], own, 0.0) for own in (self.u, self.z, self.log_slope))
        straight = np.linspace(-1e3, 1e3, self.u.shape[1])
        return Warp(np.where(rows[:, None], u, straight), np.where(rows[:, None], z, straight), log_slope)

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

    def inverse(self, z: Vector) -> Vector:
        """The u, (p, d), that are mapped to these z."""
        u = np.empty_like(z)
        for k in range(z.shape[1]):
            inside = np.clip(z[:, k], self.z[k, 0], self.z[k, -1])
            own = np.interp(inside, self.z[k], self.u[k])
            u[:, k] = own + (z[:, k] - inside) * np.exp(-np.interp(own, self.u[k], self.log_slope[k]))
        return u

    def arrays(self) -> dict[str, Vector]:
        """What a saved fit keeps of it."""
        return {"u": self.u, "z": self.z, "log_slope": self.log_slope}


@dataclass(frozen=True)
class Axes:
    """Axes that theta is seen on: ``theta = scale(centre + root @ warp(u))``.

    Attributes
    ----------
    centre, root : (d,), (d, d) arrays
    warp : Warp or None
        Bends each axis; None for none.
    scale : Warp or None
        On which hyperparameters are measured: from what their priors make standard Gaussians. None for theta's own.
    """

    centre: Vector
    root: Vector
    warp: Warp | None = None
    scale: Warp | None = None

    @classmethod
    def at_mode(cls, mode: Vector, root: Vector, third: Vector, scale: Warp | None = None) -> "Axes":
        """Those of a log density with this mode, (d,), curvature and third derivatives.

        Parameters
        ----------
        root : (d, d) array
            Of its inverse negative Hessian.
        third : (d,) array
            Third derivatives along the columns of the root.
        scale : Warp, optional
            That of the prior: for the hyperparameters that the data say little of.
        """
        if scale is not None:
            sds = np.sqrt((root**2).sum(axis=1)) * np.exp(-scale.slopes(scale.inverse(mode[None]))[0][0])
            weak = (sds > WEAK) & scale.log_slope.any(axis=1)
            scale = scale.only(weak) if weak.any() else None
        if scale is None:
            return cls(mode, root, Warp.of_third_derivatives(third))
        v = scale.inverse(mode[None])
        # derivatives of the logarithms of the scale's slopes, which it has on a grid, by differences
        logs = scale.slopes(v + 0.1 * np.arange(-2, 3)[:, None])[0]
        slope = np.exp(logs[2])
        first, second = (logs[3] - logs[1]) / 0.2, (logs[3] - 2 * logs[2] + logs[1]) / 0.01
        fourth = (logs[4] - 2 * logs[3] + 2 * logs[1] - logs[0]) / 0.002
        own = root / slope[:, None]
        # along a column of the root the curve bends in theta, and the scale's volume is part of the density
        bend = np.linalg.solve(root, (slope * first)[:, None] * own**2)
        third = third - 3.0 * np.diag(bend) + fourth @ own**3
        # one Newton step to the mode of the density on the scale
        precision = np.linalg.inv(own @ own.T) - np.diag(second)
        values, vectors = np.linalg.eigh(own.T @ precision @ own)
        stretch = vectors / np.sqrt(np.clip(values, 0.25, 4.0))
        whole = own @ stretch
        step = whole.T @ first
        step *= min(1.0, 1.0 / max(float(np.linalg.norm(step)), 1e-12))
        return cls(v[0] + whole @ step, np.linalg.cholesky(whole @ whole.T), Warp.of_third_derivatives(third), scale)

    def theta(self, u: Vector) -> Vector:
        """Theta at u, (p, d)."""
        v = self.on_scale(u)
        return v if self.scale is None else self.scale(v)[0]

    def on_scale(self, u: Vector) -> Vector:
        """The same before the scale."""
        z = u if self.warp is None else self.warp(u)[0]
        values: Vector = self.centre + z @ self.root.T
        return values

    def straight(self, theta: Vector) -> Vector:
        """``warp(u)`` of these thetas, (p, d)."""
        v = theta if self.scale is None else self.scale.inverse(theta)
        values: Vector = (v - self.centre) @ np.linalg.inv(self.root).T
        return values

    def bent(self, theta: Vector) -> Vector:
        """The u of these thetas, (p, d)."""
        z = self.straight(theta)
        return z if self.warp is None else self.warp.inverse(z)

    def log_volume(self, u: Vector) -> Vector:
        """Log of what the maps stretch volumes by at u, (p,), but for the root, which does alike everywhere."""
        total = np.zeros(len(u))
        if self.warp is not None:
            total += self.warp(u)[1]
        if self.scale is not None:
            total += self.scale(self.on_scale(u))[1]
        return total

    def gradients(self, u: Vector, of_theta: Vector, errors: Vector) -> tuple[Vector, Vector]:
        """Gradients in u, and their errors, of a log density with these in theta, (p, d), its volume included."""
        if self.scale is not None:
            log_slopes, bends = self.scale.slopes(self.on_scale(u))
            of_theta, errors = of_theta * np.exp(log_slopes) + bends, errors * np.exp(log_slopes)
        of_theta, errors = of_theta @ self.root, errors @ np.abs(self.root)
        if self.warp is not None:
            log_slopes, bends = self.warp.slopes(u)
            of_theta, errors = of_theta * np.exp(log_slopes) + bends, errors * np.exp(log_slopes)
        return of_theta, errors
