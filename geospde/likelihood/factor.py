"""Cholesky factors of the covariance of a group's effects, as coordinates that take singular ones.

A likelihood is a smooth function of the factor's entries, down to standard deviations of zero and correlations of one
(Pinheiro & Bates 1996, Statist. Comput. 6, 289-296; Bates et al. 2015, J. Stat. Soft. 67(1), section 2.2).
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]
SMALL = 0.05  # entry, relative to the length of its row, below which zero is tried
NOTHING = 1e-9  # remainder of a row, relative to its length, that is rounding error
FURTHEST = 14.0  # Fisher's z that stands for infinity: 1 - tanh(14) = 1e-12
LEAST = 1e-6  # standard deviation, relative to its unit, that stands for zero


@dataclass(frozen=True)
class Factor:
    """The factor of a covariance of q effects, by rows, each in a unit of its own.

    Attributes
    ----------
    units : (q,) array
    """

    units: Vector

    @property
    def q(self) -> int:
        """Number of effects."""
        return self.units.size

    @cached_property
    def places(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Row and column of each entry."""
        rows, columns = np.tril_indices(self.q)
        return rows, columns

    @cached_property
    def pairs(self) -> list[tuple[int, int]]:
        """Pairs (i, j < i) of effects, in the order of the Fisher's z of a `Correlated` term."""
        return [(i, j) for i in range(self.q) for j in range(i)]

    def matrix(self, entries: Vector) -> Vector:
        """The factor without its units, (q, q)."""
        root = np.zeros((self.q, self.q))
        root[self.places] = entries
        return root

    def root(self, entries: Vector) -> Vector:
        """The factor, (q, q)."""
        return self.units[:, None] * self.matrix(entries)

    def entries_of(self, theta: Vector) -> Vector:
        """Entries at the theta of a `Correlated` term: logarithms of standard deviations, and Fisher's z."""
        q = self.q
        left, root = np.ones(q), np.zeros((q, q))
        for z, (i, j) in zip(theta[q:], self.pairs):
            root[i, j] = np.tanh(z) * left[i]
            left[i] /= np.cosh(z)
        root[np.arange(q), np.arange(q)] = left
        return ((np.exp(theta[:q]) / self.units)[:, None] * root)[self.places]

    def entries_of_covariance(self, covariance: Vector) -> Vector:
        """Entries at a covariance that may be singular: columns of pivots that are zero are zero."""
        scaled = covariance / np.outer(self.units, self.units)
        root = np.zeros_like(scaled)
        for i in range(self.q):
            rest = scaled[i:, i] - root[i:, :i] @ root[i, :i]
            if rest[0] > NOTHING * max(scaled[i, i], LEAST**2):
                root[i:, i] = rest / np.sqrt(rest[0])
        return root[self.places]

    def upright(self, entries: Vector) -> Vector:
        """Entries of the same covariance with pivots that are not negative."""
        signs = np.where(np.diag(self.matrix(entries)) < 0, -1.0, 1.0)
        return entries * signs[self.places[1]]

    def theta(self, entries: Vector) -> Vector:
        """Logarithms of the standard deviations, and Fisher's z of the canonical partial correlations."""
        root = self.matrix(self.upright(entries))
        out = [np.log(self.units * np.maximum(np.linalg.norm(root, axis=1), LEAST))]
        for i, j in self.pairs:
            rest = float(np.linalg.norm(root[i, j + 1 : i + 1]))
            size = abs(root[i, j])
            z = FURTHEST if rest <= NOTHING * size else np.arcsinh(size / rest)
            out.append(np.array([np.sign(root[i, j]) * min(z, FURTHEST)]))
        return np.concatenate(out)

    def jacobian(self, entries: Vector) -> Vector:
        """Derivatives of theta in upright entries; zero where theta stands for an infinity."""
        q, root = self.q, self.matrix(entries)
        out = np.zeros((entries.size, q, q))
        for i in range(q):
            length = float(root[i] @ root[i])
            out[i, i] = root[i] / length if length > 0 else 0.0
        for k, (i, j) in enumerate(self.pairs, start=q):
            rest = root[i, j + 1 : i + 1]
            square = float(rest @ rest)
            whole = np.sqrt(root[i, j] ** 2 + square)
            if square > (NOTHING * whole) ** 2:
                out[k, i, j] = 1.0 / whole
                out[k, i, j + 1 : i + 1] = -root[i, j] * rest / (whole * square)
        return out[:, self.places[0], self.places[1]]

    def uncorrelated(self, entries: Vector) -> Vector:
        """Entries of the same standard deviations, none of them very small, without correlation."""
        lengths = np.linalg.norm(self.matrix(entries), axis=1)
        return np.diag(np.maximum(lengths, 0.3 * max(float(lengths.max()), SMALL)))[self.places]

    def small_pivots(self, entries: Vector) -> list[int]:
        """Effects that are nearly zero, or that those before them nearly determine."""
        root = self.matrix(entries)
        lengths = np.linalg.norm(root, axis=1)
        pivots = np.abs(np.diag(root))
        return [i for i in range(self.q) if lengths[i] < SMALL or (i and pivots[i] < SMALL * lengths[i])]

    def without(self, entries: Vector, pivot: int) -> list[Vector]:
        """Entries with this pivot zero: with the whole effect, where that is small, and with what is its own."""
        out, root = [], self.matrix(entries)
        small = bool(np.linalg.norm(root[pivot]) < SMALL)
        for kept in (slice(0), slice(pivot)) if small and root[pivot, :pivot].any() else (slice(pivot),):
            left = root.copy()
            left[pivot] = 0.0
            left[pivot, kept] = root[pivot, kept]
            out.append(self.entries_of_covariance(np.outer(self.units, self.units) * (left @ left.T)))
        return out

    def ends(self, entries: Vector) -> tuple[NDArray[np.int_], NDArray[np.bool_], NDArray[np.bool_]]:
        """What is at an end where pivots are zero, of entries as `without` gives them.

        Returns
        -------
        edges : (d,) array of int
            -1 and 1 for each theta that runs off to minus or plus infinity.
        idle : (d,) array of bool
            Other thetas that mean nothing there.
        fixed : (d,) array of bool
            Entries that stay zero.
        """
        q, root = self.q, self.matrix(entries)
        edges, idle = np.zeros(entries.size, dtype=int), np.zeros(entries.size, dtype=bool)
        null: NDArray[np.bool_] = np.asarray(np.diag(root) == 0)
        absent: NDArray[np.bool_] = np.asarray(np.abs(root).sum(axis=1) == 0)
        edges[:q][absent] = -1
        for k, (i, j) in enumerate(self.pairs, start=q):
            rest = root[i, j + 1 : i + 1]
            if absent[i] or null[j]:
                idle[k] = True
            elif not rest.any():
                edges[k] = int(np.sign(root[i, j]))
        fixed = null[self.places[1]] | absent[self.places[0]]
        return edges, idle, fixed
