"""The contract of a block of the latent vector: its sparse precision, as inference sees it."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.families.priors import Prior
from geospde.linalg.cholesky import Cholesky
from geospde.linalg.supernodal import symmetric_times

Vector = NDArray[np.float64]


class Precision(ABC):
    """A Gaussian block of the latent vector: mean zero, precision matrix Q(theta) on a pattern that no theta changes.

    A subclass sets the attributes below when it is made, and writes `values` and `gradients`. It writes
    `log_normaliser` too where it knows a formula, and has to where Q is singular; by default a factor of Q gives it.

    Attributes
    ----------
    n : int
        Number of latent variables.
    label : str
        Name in tables and messages.
    parameters : tuple of str
        A name for each theta, for messages. One that begins with ``sd`` or ``sigma`` is the logarithm of a standard
        deviation, which maximum likelihood lets go to zero.
    prior : Prior
        Density on theta.
    pattern : (n, n) csc_matrix
        Lower triangle of Q, diagonal included, with sorted indices.
    constraints : (n, k) array or None
        C of the conditions ``C'x = 0`` that the block meets.
    rank_deficiency : int
        Dimensions in which Q is flat, n less its rank. Inference conditions on the constraints before it factorises, so
        that an intrinsic block, whose constraints take all or some of these dimensions, stands beside a flat intercept.
    unpenalised : (n, k) array or None
        Directions in which Q is flat and that the constraints leave free: a model that has one of them in another
        term, too, cannot be identified.
    slants : (k, n - k) array or None
        What those that `penalised` leaves out have of the others, in a likelihood with them for fixed effects.
    factorisations : int
        Of matrices, that `log_normaliser` has made so far.
    learns : bool
        Whether `log_normaliser` goes by what it found before, to rounding: then it is asked in one order, in one place.
    is_rough : bool
        Whether on a coarser mesh it is so different that only a mode is sought there.
    effects : int
        Latent variables of each level, which follow one another, where the block is that of a group.
    pairs : sequence of (int, int)
        Pairs (j, i) of those effects whose partial correlations are, as Fisher's z, the last thetas.
    """

    n: int
    label: str
    parameters: tuple[str, ...]
    prior: Prior
    pattern: sp.csc_matrix
    constraints: Vector | None = None
    rank_deficiency: int = 0
    unpenalised: Vector | None = None
    slants: Vector | None = None
    factorisations: int = 0
    learns: bool = False
    is_rough: bool = False
    effects: int = 1
    pairs: Sequence[tuple[int, int]] = ()

    def set_prior(self, prior: Prior) -> None:
        """Put a prior in the place of the one that it was made with: that of a fit which was saved."""
        self.prior = prior

    @abstractmethod
    def values(self, theta: Vector) -> Vector:
        """Lower-triangular entries of Q(theta), (nnz,), in the order of `pattern`."""

    @abstractmethod
    def gradients(self, theta: Vector) -> Vector:
        """Derivative of `values` in each theta, (d, nnz)."""

    def log_normaliser(self, theta: Vector, gradient: bool = True) -> tuple[float, Vector]:
        """Logarithm of the density's constant within the constraints, without powers of 2 pi, and its gradient.

        Half the logarithm of the (generalised) determinant of Q within ``C'x = 0``: for a Q of full rank
        ``½ log|Q| + ½ log|C'Q⁻¹C| - ½ log|C'C|``. By default from a factor of Q and its selected inverse.

        Parameters
        ----------
        theta : (d,) array
        gradient : bool
            Whether the gradient is wanted; zeros will do where not.

        Raises
        ------
        NotPositiveDefinite
            Where Q is not, in this default.
        """
        factor = self._solver.factor(self.values(theta))
        self.factorisations += 1
        value, slope = 0.5 * factor.log_determinant, np.zeros(len(self.parameters))
        if gradient:
            slope = 0.5 * (self.gradients(theta) @ (factor.selected_inverse() * self._double))
        if self.constraints is not None:
            more, of_constraints = self.constraint_part(theta, factor.solve(self.constraints), gradient)
            value, slope = value + more, slope + of_constraints
        return value, slope

    def constraint_part(self, theta: Vector, solved: Vector, gradient: bool) -> tuple[float, Vector]:
        """``½ log|C'Q⁻¹C| - ½ log|C'C|`` and its gradient, from ``solved = Q⁻¹C``."""
        assert self.constraints is not None
        inner = self.constraints.T @ solved
        value = 0.5 * float(np.linalg.slogdet(inner)[1] - np.linalg.slogdet(self.constraints.T @ self.constraints)[1])
        slope = np.zeros(len(self.parameters))
        if gradient:
            weighted = solved @ np.linalg.inv(inner)
            for j, of_q in enumerate(self.gradients(theta)):
                for k in range(solved.shape[1]):
                    q_solved = symmetric_times(
                        self.pattern.indptr, self.pattern.indices, of_q, np.ascontiguousarray(solved[:, k])
                    )
                    slope[j] -= 0.5 * float(weighted[:, k] @ q_solved)
        return value, slope

    def penalised(self) -> "Precision":
        """The block without the latent variables, last, that nothing penalises; itself where there are none."""
        return self

    def user(self, theta: Vector) -> Vector:
        """Theta on the user's scale, for messages: exponentials, unless a subclass has others."""
        return np.exp(theta)

    def regular(self, theta: Vector) -> Vector:
        """The nearest theta at which `values` keep their digits: itself, unless a subclass has singular ends."""
        return theta

    @property
    def rank(self) -> int:
        """Dimensions in which the density is proper: what the power of 2 pi counts.

        Constraints are taken to lie within the directions in which Q is flat, if there are any.
        """
        constrained = 0 if self.constraints is None else self.constraints.shape[1]
        return self.n - max(constrained, self.rank_deficiency)

    def matrix(self, theta: Vector) -> sp.csc_matrix:
        """Q(theta) as a whole symmetric matrix, (n, n)."""
        lower = sp.csc_matrix((self.values(theta), self.pattern.indices, self.pattern.indptr), shape=(self.n, self.n))
        return sp.csc_matrix(lower + sp.tril(lower, -1).T)

    def covariances(self, theta: Vector) -> sp.csr_matrix:
        """Prior covariances of the pairs of latent variables in `pattern`, (n, n), constraints aside.

        Raises
        ------
        NotPositiveDefinite
            Where Q is singular, as that of an intrinsic term is.
        """
        entries = self._solver.factor(self.values(theta)).selected_inverse()
        lower = sp.csc_matrix((entries, self.pattern.indices, self.pattern.indptr), shape=(self.n, self.n))
        return sp.csr_matrix(lower + sp.tril(lower, -1).T)

    @cached_property
    def _solver(self) -> Cholesky:
        return Cholesky(self.pattern)

    @cached_property
    def _double(self) -> Vector:
        columns = np.repeat(np.arange(self.n), np.diff(self.pattern.indptr))
        return np.where(self.pattern.indices == columns, 1.0, 2.0)
