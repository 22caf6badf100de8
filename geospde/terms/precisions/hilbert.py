"""Hilbert-space basis of a Gaussian process: eigenfunctions of the Laplacian in a box, and what each one varies by.

Solin & Särkkä (2020), Statist. Comput. 30, 419-446; Riutort-Mayol, Bürkner, Andersen, Solin & Vehtari (2023),
Statist. Comput. 33, 17.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from geospde.terms.precisions.kernels import Kernel

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Basis:
    """Eigenfunctions of the Laplacian in a box, zero at its faces, all products of the first few of each coordinate.

    Attributes
    ----------
    centre : (d,) array
    half_width : float
        Of the box, from its centre to each face.
    each : int
        Functions a coordinate.
    """

    centre: Vector
    half_width: float
    each: int

    @property
    def size(self) -> int:
        """Number of functions."""
        value: int = self.each**self.centre.size
        return value

    def frequencies(self) -> Vector:
        """Angular frequencies of each function in each coordinate, (size, d)."""
        one = np.arange(1, self.each + 1) * np.pi / (2.0 * self.half_width)
        return np.stack(np.meshgrid(*[one] * self.centre.size, indexing="ij"), axis=-1).reshape(self.size, -1)

    def functions(self, points: Vector) -> Vector:
        """Values at points, (m, d) -> (m, size)."""
        frequencies = np.arange(1, self.each + 1) * np.pi / (2.0 * self.half_width)
        out = np.ones((len(points), 1))
        for coordinate in (points - self.centre + self.half_width).T:
            own = np.sin(np.multiply.outer(coordinate, frequencies)) / np.sqrt(self.half_width)
            out = (out[:, :, None] * own[:, None, :]).reshape(len(points), out.shape[1] * self.each)
        return out

    def holds(self, points: Vector) -> NDArray[np.bool_]:
        """Which points lie in the box."""
        return np.asarray((np.abs(points - self.centre) <= self.half_width).all(axis=1))


@dataclass(frozen=True)
class Spectrum:
    """Prior variances of a basis's coefficients, for a process of about unit variance."""

    basis: Basis
    kernel: Kernel
    iso: bool = True

    @property
    def lengths(self) -> int:
        """Number of length-scales."""
        return 1 if self.iso else self.basis.centre.size

    def logarithm(self, log_lengths: Vector) -> tuple[Vector, Vector]:
        """Log variances, (size,), and their derivatives in each log length-scale, (k, size)."""
        return self.kernel.log_spectrum(self._squares, log_lengths, self.basis.centre.size // self.lengths)

    @cached_property
    def _squares(self) -> Vector:
        """Squared frequencies, summed over the coordinates that share a length-scale."""
        squares = self.basis.frequencies().T ** 2
        return squares.sum(axis=0, keepdims=True) if self.iso else squares
