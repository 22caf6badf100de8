"""Coordinates of hyperparameters in which a standard deviation of zero is a place like any other.

A likelihood is an even, smooth function of a standard deviation, down to zero. A search in it finds one that vanishes
as an inner maximum, where in its logarithm it would run off without end.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from geospde.terms.precisions.base import Precision

Vector = NDArray[np.float64]
LEAST = 1e-6  # standard deviation, relative to its start, that counts as zero
LEAST_ROUNDED = 1e-3  # the same where digits are lost as it vanishes; `InCoordinates` extrapolates from there to zero
SMALL = 0.05  # relative standard deviation below which zero is tried


@dataclass(frozen=True)
class Coordinates:
    """Coordinates phi of psi: free hyperparameters, and fixed effects after them.

    Attributes
    ----------
    first : (d,) array
        Hyperparameters to start from.
    scales : (d,) array of bool
        Which are logarithms of standard deviations; their coordinate is the ratio to the start, of either sign.
    least : (d,) array
        Coordinates that stand for zero.
    terms : (d,) array of int
        Which term each is of; -1 for those of the family.
    fixed : (p,) array
        Fixed effects to start from.
    root : (p, p) array
        Lower triangular: ``fixed + root @ phi`` standardises them.
    """

    first: Vector
    scales: NDArray[np.bool_]
    least: Vector
    terms: NDArray[np.int_]
    fixed: Vector = field(default_factory=lambda: np.zeros(0))
    root: Vector = field(default_factory=lambda: np.zeros((0, 0)))

    @classmethod
    def of(
        cls, precisions: Sequence[Precision], fixed_theta: Vector, psi: Vector, vanishing: Sequence[int] = ()
    ) -> "Coordinates":
        """Those of a model's free hyperparameters.

        Parameters
        ----------
        precisions : sequence of Precision
        fixed_theta : (d,) array
            Values of the hyperparameters that are fixed_theta, NaN for the free ones.
        psi : array
            The free ones to start from, with factors' entries in the place of correlated effects'.
        vanishing : sequence of int
            Places in `fixed_theta` of residual standard deviations that may be zero.
        """
        scales, least, at = np.zeros(fixed_theta.size, dtype=bool), np.full(fixed_theta.size, LEAST), 0
        terms = np.full(fixed_theta.size, -1)
        for k, term in enumerate(precisions):
            where = slice(at, at + len(term.parameters))
            at, terms[where] = where.stop, k
            standardised = bool(term.pairs) and np.isnan(fixed_theta[where]).all()
            scales[where] = [n.startswith(("sd", "sigma")) and not standardised for n in term.parameters]
            if term.rank_deficiency and term.pattern.nnz > term.n:  # what it leaves free are sums that cancel
                least[where] = LEAST_ROUNDED
        scales[list(vanishing)] = True
        least[list(vanishing)] = LEAST_ROUNDED
        free = np.isnan(fixed_theta)
        return cls(psi, scales[free], least[free], terms[free])

    def with_fixed(self, fixed: Vector, spread: Vector) -> "Coordinates":
        """The same with fixed effects after them, standardised by a guess of their covariance."""
        return replace(self, fixed=fixed, root=np.asarray(np.linalg.cholesky(spread), dtype=float))

    def without(self, place: int) -> "Coordinates":
        """The same of all psi but one."""
        d = self.first.size
        if place < d:
            own = {name: np.delete(getattr(self, name), place) for name in ("first", "scales", "least", "terms")}
            return replace(self, **own)
        spread = self.root @ self.root.T
        for axis in (0, 1):
            spread = np.delete(spread, place - d, axis)
        return self.with_fixed(np.delete(self.fixed, place - d), spread)

    @property
    def fixed_scale(self) -> Vector:
        """Standard deviations by which the fixed effects are standardised, (p,)."""
        return np.asarray(np.linalg.norm(self.root, axis=1))

    def phi(self, psi: Vector) -> Vector:
        """Coordinates of hyperparameters, and zeros, of the fixed effects to start from."""
        own = np.where(self.scales, np.exp(np.where(self.scales, psi - self.first, 0.0)), psi)
        return np.concatenate([own, np.zeros(self.fixed.size)])

    def off_zero(self, phi: Vector) -> Vector:
        """Coordinates with standard deviations no smaller than what stands for zero."""
        d, out = self.first.size, phi.copy()
        out[:d] = np.where(self.scales, np.copysign(np.maximum(np.abs(phi[:d]), self.least), phi[:d]), phi[:d])
        return out

    def psi(self, phi: Vector) -> Vector:
        """Free hyperparameters and fixed effects."""
        d = self.first.size
        logarithms = self.first + np.log(np.maximum(np.abs(phi[:d]), self.least))
        return np.concatenate([np.where(self.scales, logarithms, phi[:d]), self.fixed + self.root @ phi[d:]])

    def jacobian(self, phi: Vector) -> Vector:
        """Derivatives of psi in phi."""
        d = self.first.size
        away = self.off_zero(phi)[:d]
        out = np.zeros((phi.size, phi.size))
        out[range(d), range(d)] = 1.0 / np.where(self.scales, away, 1.0)
        out[d:, d:] = self.root
        return out

    def idle(self, phi: Vector) -> list[tuple[int, int]]:
        """Pairs of a standard deviation that is zero and a hyperparameter of its term, which then means nothing.

        None where another standard deviation of the term is not zero.
        """
        zero = self.scales & (phi[: self.first.size] == 0.0)
        pairs = []
        for k in np.flatnonzero(zero):
            own = self.terms == self.terms[k]
            if self.terms[k] >= 0 and zero[own & self.scales].all():
                pairs += [(int(k), int(j)) for j in np.flatnonzero(own & ~self.scales)]
        return pairs

    def small(self, phi: Vector) -> list[int]:
        """Standard deviations that are nearly zero."""
        return np.flatnonzero(self.scales & (np.abs(phi[: self.first.size]) < SMALL)).tolist()
