"""Log normaliser of a latent term's density, ``½ log|Q|`` and what a constraint adds, with its gradient in theta."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from geospde.linalg.cholesky import Cholesky
from geospde.linalg.supernodal import symmetric_times

Vector = NDArray[np.float64]


class Normaliser(Protocol):
    """``½ log|Q| + ½ log(a'Q⁻¹a)`` of one term; the second part where its field is constrained to a'x = 0."""

    factorisations: int

    def at(self, theta: Vector, values: Vector, gradient: bool) -> tuple[float, Vector]:
        """Value and gradient (zeros if not wanted) where Q has these entries; raises NotPositiveDefinite."""


def normaliser_of(term: Any) -> Normaliser:
    """The cheapest way for a term."""
    if hasattr(term, "log_normaliser"):
        return OfFormula(term)
    return OfProduct(term) if hasattr(term, "factored") else OfPrecision(term)


def _constraint_part(term: Any, theta: Vector, v: Vector, gradient: bool) -> tuple[float, Vector]:
    """½ log(a'Q⁻¹a) and its gradient, from v = Q⁻¹a."""
    scale = float(term.constraint @ v)
    slope = np.zeros(theta.size)
    if gradient:
        for j, q_j in enumerate(term.gradients(theta)):
            slope[j] = -0.5 * float(v @ symmetric_times(term.pattern.indptr, term.pattern.indices, q_j, v)) / scale
    return 0.5 * float(np.log(scale)), slope


class OfFormula:
    """By the term's own formula; a term that is improper in some directions leaves them out."""

    factorisations = 0

    def __init__(self, term: Any):
        self._term = term

    def at(self, theta: Vector, values: Vector, gradient: bool) -> tuple[float, Vector]:
        """Value and gradient at theta."""
        value, slope = self._term.log_normaliser(theta)
        return float(value), slope


class OfPrecision:
    """By a factor of Q and its selected inverse: ``½ tr(Q⁻¹ dQ)``."""

    factorisations = 1

    def __init__(self, term: Any):
        self._term = term
        self._solver = Cholesky(term.pattern)
        columns = np.repeat(np.arange(term.n), np.diff(term.pattern.indptr))
        self._double = np.where(term.pattern.indices == columns, 1.0, 2.0)

    def at(self, theta: Vector, values: Vector, gradient: bool) -> tuple[float, Vector]:
        """Value and gradient (zeros if not wanted) where Q has these entries; raises NotPositiveDefinite."""
        term = self._term
        factor = self._solver.factor(values)
        total, slope = 0.5 * factor.log_determinant, np.zeros(theta.size)
        if gradient:
            slope = 0.5 * (term.gradients(theta) @ (factor.selected_inverse() * self._double))
        if term.constraint is not None:
            more, of_constraint = _constraint_part(term, theta, factor.solve(term.constraint), gradient)
            total, slope = total + more, slope + of_constraint
        return total, slope


class OfProduct:
    """By factors of the sparser matrices that Q is a product of; a factor that stands twice is found once."""

    def __init__(self, term: Any):
        self._term = term
        self._solver = Cholesky(term.edge_pattern)
        self._diagonal = term.edge_pattern.indptr[:-1]
        self._log_mass = float(np.log(term.mass).sum())
        self.factorisations = len(set(np.round(term.shifts, 6)))

    def at(self, theta: Vector, values: Vector, gradient: bool) -> tuple[float, Vector]:
        """Value and gradient (zeros if not wanted) at theta; raises NotPositiveDefinite."""
        term = self._term
        form = term.factored(theta)
        twice = len(form.matrices) == 2 and self.factorisations == 1
        factors = [self._solver.factor(matrix) for matrix in form.matrices[: self.factorisations]]
        weight = 1.0 if twice else 0.5
        total = 0.5 * term.n * form.log_scale - 0.5 * (len(form.matrices) - 1) * self._log_mass
        slope = 0.5 * term.n * form.log_scale_gradient
        for factor, own in zip(factors, form.slopes):
            total += weight * factor.log_determinant
            if gradient:
                trace = float(own @ factor.selected_inverse()[self._diagonal])
                slope = slope + weight * trace * form.log_kappa_gradient
        if term.constraint is not None:
            v = factors[0].solve(term.constraint)
            if len(form.matrices) == 2:
                v = factors[-1].solve(term.mass * v)
            more, of_constraint = _constraint_part(term, theta, np.exp(-form.log_scale) * v, gradient)
            total, slope = total + more, slope + of_constraint
        return total, slope
