"""Gaussian processes of a few covariates: exact at the sites of the data, or by the coefficients of a basis.

At the sites the precision is the inverse of the covariance, which is the kernel's, or that of a basis with more
functions than there are sites; elsewhere the process is conditioned on its values there. The coefficients of a smaller
basis are independent, with the kernel's spectral density for variances.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.linalg import cho_solve, solve_triangular
from scipy.linalg.lapack import dpotri

from geospde.errors import NumericalError
from geospde.families.priors import Independent
from geospde.terms.precisions.base import Precision
from geospde.terms.precisions.covariance import BasisCovariance, KernelCovariance
from geospde.terms.precisions.hilbert import Basis, Spectrum

Vector = NDArray[np.float64]
# Added to the variance of a process at its sites, as a share of it and for each site: a squared exponential matrix of n
# sites has eigenvalues from n down to less than its rounding.
JITTER = 2e-10


class _Inverse(NamedTuple):
    """Of the covariance of the sites."""

    root: Vector  # lower Cholesky factor
    precision: Vector  # on the pattern
    log_determinant: float


class GaussianProcess(Precision):
    """A process at its sites; theta = (log sd, log length-scales).

    Parameters
    ----------
    covariance : KernelCovariance or BasisCovariance
    prior : Independent
        Of sd and length-scales, on their logarithms.
    label : str
        Name in tables.
    """

    def __init__(self, covariance: KernelCovariance | BasisCovariance, prior: Independent, label: str = "gp"):
        self.covariance = covariance
        self.n = covariance.n
        self.label = label
        self.prior = prior
        self.parameters = _parameters(covariance.lengths)
        # column by column, rows downwards: the rows of the upper triangle of a symmetric matrix in C order
        self._upper = np.triu_indices(self.n)
        starts = np.concatenate([[0], np.cumsum(np.arange(self.n, 0, -1))])
        self.pattern = sp.csc_matrix((np.ones(starts[-1]), self._upper[1], starts), shape=(self.n, self.n))
        self._remember()

    def _remember(self) -> None:
        # values, normaliser and gradients are asked for at one theta after the other
        self._inverse = lru_cache(maxsize=2)(self._inverted)
        self._slope = lru_cache(maxsize=2)(self._sloped)

    def __getstate__(self) -> dict[str, Any]:
        """All but what is remembered, which cannot be sent to another process."""
        return {name: value for name, value in vars(self).items() if name not in ("_inverse", "_slope")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin to remember anew."""
        vars(self).update(state)
        self._remember()

    @property
    def basis(self) -> Basis | None:
        """The basis, where the covariance is that of one."""
        return None if isinstance(self.covariance, KernelCovariance) else self.covariance.spectrum.basis

    def values(self, theta: Vector) -> Vector:
        """Lower-triangular entries of Q(theta) on the pattern."""
        values: Vector = np.exp(-2.0 * theta[0]) * self._inverse(tuple(theta[1:])).precision
        return values

    def gradients(self, theta: Vector) -> Vector:
        """Derivative of `values` in each theta, a row each."""
        of_lengths = np.exp(-2.0 * theta[0]) * self._slope(tuple(theta[1:]))[0]
        return np.vstack([-2.0 * self.values(theta), of_lengths])

    def log_normaliser(self, theta: Vector, gradient: bool = True) -> tuple[float, Vector]:
        """½ log|Q| and its gradient."""
        lengths = tuple(theta[1:])
        value = -self.n * float(theta[0]) - 0.5 * self._inverse(lengths).log_determinant
        return value, np.concatenate([[-float(self.n)], -0.5 * self._slope(lengths)[1]])

    def rows(self, theta: Vector, points: Vector) -> tuple[Vector, Vector]:
        """Weights of the values at the sites, (m, n), for other points, and the variance left there, (m,)."""
        towards, own = self.covariance.towards(points, theta[1:])
        weights = cho_solve((self._inverse(tuple(theta[1:])).root, True), towards.T).T
        left = own - np.einsum("mn,mn->m", weights, towards)
        return weights, np.exp(2.0 * theta[0]) * np.maximum(left, 0.0)

    def root(self, theta: Vector, points: Vector) -> Vector:
        """R of the covariance R R' left at other points, (m, m)."""
        towards, _ = self.covariance.towards(points, theta[1:])
        solved = cho_solve((self._inverse(tuple(theta[1:])).root, True), towards.T)
        values, vectors = np.linalg.eigh(self.covariance.between(points, theta[1:]) - towards @ solved)
        return np.asarray(np.exp(theta[0]) * vectors * np.sqrt(np.maximum(values, 0.0)))

    def _inverted(self, log_lengths: tuple[float, ...]) -> _Inverse:
        matrix = self.covariance.among(np.array(log_lengths))
        matrix[np.diag_indices(self.n)] += JITTER * self.n
        try:
            root = np.asarray(np.linalg.cholesky(matrix), dtype=float)
        except np.linalg.LinAlgError:
            lengths = ", ".join(f"{v:.4g}" for v in np.exp(log_lengths))
            raise NumericalError(
                f"the covariance of {self.label} is not positive definite at a length-scale of {lengths}"
            ) from None
        lower = dpotri(root, lower=1)[0]
        return _Inverse(root, lower.T[self._upper], 2.0 * float(np.log(np.diag(root)).sum()))

    def _sloped(self, log_lengths: tuple[float, ...]) -> tuple[Vector, Vector]:
        """Derivatives of the precision, on the pattern, and of the log determinant of its inverse.

        By triangular solves from both sides, kept symmetric: products with the inverse would lose what the two sides of
        the gradient's traces have in common.
        """
        root = self._inverse(log_lengths).root
        entries, traces = [], []
        for slope in self.covariance.slopes(np.array(log_lengths)):
            whitened = _from_both_sides(root, slope, "N")
            traces.append(float(np.trace(whitened)))
            entries.append(-_from_both_sides(root, whitened, "T")[self._upper])
        return np.array(entries), np.array(traces)


def _from_both_sides(root: Vector, matrix: Vector, side: str) -> Vector:
    """L⁻¹ M L⁻ᵀ or, for side T, L⁻ᵀ M L⁻¹, of a symmetric M."""
    half = solve_triangular(root, matrix, lower=True, trans=side)
    whole = solve_triangular(root, half.T, lower=True, trans=side)
    values: Vector = 0.5 * (whole + whole.T)
    return values


class BasisProcess(Precision):
    """The coefficients of a process in its basis; theta = (log sd, log length-scales).

    Parameters
    ----------
    spectrum : Spectrum
    prior : Independent
        Of sd and length-scales, on their logarithms.
    label : str
        Name in tables.
    """

    def __init__(self, spectrum: Spectrum, prior: Independent, label: str = "gp"):
        self.spectrum = spectrum
        self.n = spectrum.basis.size
        self.label = label
        self.prior = prior
        self.parameters = _parameters(spectrum.lengths)
        self.pattern = sp.identity(self.n, format="csc")

    @property
    def basis(self) -> Basis:
        """The basis."""
        return self.spectrum.basis

    def values(self, theta: Vector) -> Vector:
        """Diagonal of Q(theta)."""
        values: Vector = np.exp(-2.0 * theta[0] - self.spectrum.logarithm(theta[1:])[0])
        return values

    def gradients(self, theta: Vector) -> Vector:
        """Derivative of `values` in each theta, a row each."""
        return -self._slopes(theta) * self.values(theta)

    def log_normaliser(self, theta: Vector, gradient: bool = True) -> tuple[float, Vector]:
        """½ log|Q| and its gradient."""
        value = -self.n * float(theta[0]) - 0.5 * float(self.spectrum.logarithm(theta[1:])[0].sum())
        return value, -0.5 * self._slopes(theta).sum(axis=1)

    def rows(self, theta: Vector, points: Vector) -> tuple[Vector, Vector]:
        """The basis at other points, (m, n), and no variance left there, (m,)."""
        return self.spectrum.basis.functions(points), np.zeros(len(points))

    def root(self, theta: Vector, points: Vector) -> Vector:
        """Nothing, (m, 0)."""
        return np.zeros((len(points), 0))

    def _slopes(self, theta: Vector) -> Vector:
        """Derivatives of the log variances in each theta."""
        return np.vstack([np.full(self.n, 2.0), self.spectrum.logarithm(theta[1:])[1]])


def _parameters(lengths: int) -> tuple[str, ...]:
    return ("sdgp", "lscale") if lengths == 1 else ("sdgp", *(f"lscale{j + 1}" for j in range(lengths)))
