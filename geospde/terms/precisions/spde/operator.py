"""Precisions ``S K W K S`` of fields of smoothness 1: S and W diagonal, K an operator on the edges of the mesh."""

from abc import abstractmethod
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.linalg.cholesky import Cholesky
from geospde.terms.precisions.spde.base import FieldPrecision

Vector = NDArray[np.float64]


class OperatorPrecision(FieldPrecision):
    """A precision that is a square: a subclass writes its entries, its operator K and its scale S.

    Attributes
    ----------
    mass : (n,) array
        Diagonal of W⁻¹.
    areas : (n,) array
        Of each vertex, for the constraint.
    edge_pattern : (n, n) csc_matrix
        Lower triangle of K.
    """

    mass: Vector
    areas: Vector
    edge_pattern: sp.csc_matrix
    factorisations = 1

    @abstractmethod
    def operator(self, theta: Vector) -> tuple[Vector, Vector]:
        """Entries of K on the pattern of edges, (e,), and their derivatives in each theta, (d, e)."""

    @abstractmethod
    def log_scale(self, theta: Vector) -> tuple[Vector, Vector]:
        """Logarithm of S, (n,), and its derivatives, (d, n)."""

    def log_normaliser(self, theta: Vector, gradient: bool = True) -> tuple[float, Vector]:
        """From a factor of K."""
        entries, slopes = self.operator(theta)
        scale, of_scale = self.log_scale(theta)
        factor = self._edge_solver.factor(entries)
        value = float(scale.sum()) + factor.log_determinant - 0.5 * float(np.log(self.mass).sum())
        slope = of_scale.sum(axis=1)
        if gradient:
            slope = slope + slopes @ (factor.selected_inverse() * self._edge_double)
        if self.constraints is not None:
            solved = factor.solve(self.mass * factor.solve(self.constraints[:, 0] / np.exp(scale))) / np.exp(scale)
            more, of_constraints = self.constraint_part(theta, solved[:, None], gradient)
            value, slope = value + more, slope + of_constraints
        return value, slope

    @cached_property
    def _edge_solver(self) -> Cholesky:
        return Cholesky(self.edge_pattern)

    @cached_property
    def _edge_double(self) -> Vector:
        columns = np.repeat(np.arange(self.n), np.diff(self.edge_pattern.indptr))
        return np.where(self.edge_pattern.indices == columns, 1.0, 2.0)
