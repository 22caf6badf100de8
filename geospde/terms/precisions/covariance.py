"""Covariances of Gaussian processes at the sites of the data and elsewhere, from a kernel or a basis."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geospde.terms.precisions.hilbert import Spectrum
from geospde.terms.precisions.kernels import Kernel

Vector = NDArray[np.float64]
CHUNK = 1_000  # points at a time, whose functions may be many


def squared_differences(a: Vector, b: Vector, iso: bool) -> Vector:
    """Squared differences of all rows of a, (m, d), and b, (n, d), in each coordinate or summed: (d or 1, m, n)."""
    each = (np.subtract.outer(a[:, j], b[:, j]) ** 2 for j in range(a.shape[1]))
    return np.asarray(sum(each))[None] if iso else np.array(list(each))


@dataclass(frozen=True)
class KernelCovariance:
    """The kernel's own.

    Attributes
    ----------
    sites : (n, d) array
    kernel : Kernel
    iso : bool
        One length-scale for all coordinates; otherwise one each.
    """

    sites: Vector
    kernel: Kernel
    iso: bool = True

    @property
    def n(self) -> int:
        """Number of sites."""
        return len(self.sites)

    @property
    def lengths(self) -> int:
        """Number of length-scales."""
        return 1 if self.iso else self.sites.shape[1]

    def among(self, log_lengths: Vector) -> Vector:
        """Of the sites, (n, n)."""
        return self.between(self.sites, log_lengths)

    def slopes(self, log_lengths: Vector) -> Vector:
        """Derivatives of `among` in each log length-scale, (k, n, n)."""
        return self.kernel.correlation_slopes(squared_differences(self.sites, self.sites, self.iso), log_lengths)

    def towards(self, points: Vector, log_lengths: Vector) -> tuple[Vector, Vector]:
        """Of other points with the sites, (m, n), and with themselves, (m,)."""
        squares = squared_differences(points, self.sites, self.iso)
        return self.kernel.correlation(squares, log_lengths), np.ones(len(points))

    def between(self, points: Vector, log_lengths: Vector) -> Vector:
        """Of other points, (m, m)."""
        return self.kernel.correlation(squared_differences(points, points, self.iso), log_lengths)


@dataclass(frozen=True)
class BasisCovariance:
    """That of the expansion in a basis.

    Attributes
    ----------
    functions : (n, size) array
        The basis at the sites.
    spectrum : Spectrum
    """

    functions: Vector
    spectrum: Spectrum

    @property
    def n(self) -> int:
        """Number of sites."""
        return len(self.functions)

    @property
    def lengths(self) -> int:
        """Number of length-scales."""
        return self.spectrum.lengths

    def among(self, log_lengths: Vector) -> Vector:
        """Of the sites, (n, n)."""
        return np.asarray((self.functions * self._variances(log_lengths)) @ self.functions.T)

    def slopes(self, log_lengths: Vector) -> Vector:
        """Derivatives of `among` in each log length-scale, (k, n, n)."""
        log_variances, slopes = self.spectrum.logarithm(log_lengths)
        return np.array([(self.functions * (np.exp(log_variances) * s)) @ self.functions.T for s in slopes])

    def towards(self, points: Vector, log_lengths: Vector) -> tuple[Vector, Vector]:
        """Of other points with the sites, (m, n), and with themselves, (m,)."""
        variances, m = self._variances(log_lengths), len(points)
        covariances, own = np.empty((m, self.n)), np.empty(m)
        for a in range(0, m, CHUNK):
            there = self.spectrum.basis.functions(points[a : a + CHUNK])
            scaled = there * variances
            covariances[a : a + CHUNK] = scaled @ self.functions.T
            own[a : a + CHUNK] = np.einsum("mb,mb->m", scaled, there)
        return covariances, own

    def between(self, points: Vector, log_lengths: Vector) -> Vector:
        """Of other points, (m, m)."""
        there = self.spectrum.basis.functions(points)
        return np.asarray((there * self._variances(log_lengths)) @ there.T)

    def _variances(self, log_lengths: Vector) -> Vector:
        return np.exp(self.spectrum.logarithm(log_lengths)[0])
