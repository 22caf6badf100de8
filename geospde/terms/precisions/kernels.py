"""Stationary kernels of Gaussian processes: correlation, spectral density, and their derivatives in length-scales.

Rasmussen & Williams (2006), Gaussian Processes for Machine Learning, section 4.2.1.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import lgamma, log, pi, sqrt

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Profile = Callable[[Vector], tuple[Vector, Vector]]
LOWEST = -80.0  # of the log spectral density beside its top: nothing is seen of less, and its inverse would overflow


@dataclass(frozen=True)
class Kernel:
    """A correlation of the squared distance in units of the length-scale, s = sum_j (x_j - x'_j)² / l_j².

    Attributes
    ----------
    name : str
    nu : float
        Smoothness: the process has derivatives of every order below it.
    of_square : callable
        From s to the correlation and its derivative in s.
    """

    name: str
    nu: float
    of_square: Profile

    def correlation(self, squares: Vector, log_lengths: Vector) -> Vector:
        """Correlations.

        Parameters
        ----------
        squares : (k, ...) array
            Squared differences, summed over the coordinates that share a length-scale.
        log_lengths : (k,) array
        """
        return self.of_square(_scaled_sum(np.exp(-2.0 * log_lengths), squares))[0]

    def correlation_slopes(self, squares: Vector, log_lengths: Vector) -> Vector:
        """Derivatives of `correlation` in each log length-scale, of the shape of `squares`."""
        inverse = np.exp(-2.0 * log_lengths)
        slope = self.of_square(_scaled_sum(inverse, squares))[1]
        return np.array([-2.0 * a * s * slope for a, s in zip(inverse, squares)])

    def log_spectrum(self, squares: Vector, log_lengths: Vector, each: int) -> tuple[Vector, Vector]:
        """Logarithm of the spectral density, the Fourier transform of the correlation, and its derivatives.

        Parameters
        ----------
        squares : (k, p) array
            Squared angular frequencies, summed over the coordinates that share a length-scale.
        log_lengths : (k,) array
        each : int
            Coordinates that share a length-scale.

        Returns
        -------
        values : (p,) array
        slopes : (k, p) array
            Derivatives in each log length-scale.
        """
        d = each * log_lengths.size
        scaled = np.exp(2.0 * log_lengths)[:, None] * squares
        total = scaled.sum(axis=0)
        if np.isinf(self.nu):
            constant = 0.5 * d * log(2 * pi)
            values, slope = np.maximum(-0.5 * total, LOWEST), np.where(total < -2.0 * LOWEST, -0.5, 0.0)
        else:
            power = self.nu + 0.5 * d
            constant = 0.5 * d * log(2 * pi / self.nu) + lgamma(power) - lgamma(self.nu)
            values = -power * np.log1p(total / (2 * self.nu))
            slope = -power / (2 * self.nu + total)
        return constant + each * float(log_lengths.sum()) + values, each + 2.0 * scaled * slope


def _scaled_sum(factors: Vector, squares: Vector) -> Vector:
    return np.asarray(sum(a * s for a, s in zip(factors, squares)))


def _exp_quad(s: Vector) -> tuple[Vector, Vector]:
    value = np.exp(-0.5 * s)
    return value, -0.5 * value


def _exponential(s: Vector) -> tuple[Vector, Vector]:
    r = np.sqrt(s)
    value = np.exp(-r)
    # the derivative in s is infinite at 0, but only ever multiplied by squared differences that are 0 there
    return value, -0.5 * value / np.maximum(r, 1e-150)


def _matern32(s: Vector) -> tuple[Vector, Vector]:
    r = sqrt(3.0) * np.sqrt(s)
    value = np.exp(-r)
    return (1.0 + r) * value, -1.5 * value


def _matern52(s: Vector) -> tuple[Vector, Vector]:
    r = sqrt(5.0) * np.sqrt(s)
    value = np.exp(-r)
    return (1.0 + r + r**2 / 3.0) * value, -(5.0 / 6.0) * (1.0 + r) * value


KERNELS = {
    "exp_quad": Kernel("exp_quad", np.inf, _exp_quad),
    "exponential": Kernel("exponential", 0.5, _exponential),
    "matern12": Kernel("exponential", 0.5, _exponential),
    "matern32": Kernel("matern32", 1.5, _matern32),
    "matern52": Kernel("matern52", 2.5, _matern52),
}
