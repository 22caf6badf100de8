"""The log determinant of a matrix that a diagonal is added to, as a function of how much: few factors, then a curve.

``f(s) = log|G + exp(s) C|`` is the sum of ``s + log c_i`` or ``log(exp(s) c_i + g_i)`` over eigenvalues g_i >= 0 of G
beside C: in the complex plane its nearest singularities lie at a distance of pi, so that its m-th Taylor coefficient
is at most ``2 n / (m pi^m)`` at any s. A polynomial through values and slopes at k places then errs by at most
``n / (k pi^2k)`` times the product of the squared distances to them (the remainder of Hermite interpolation).
"""

from dataclasses import dataclass, field

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.linalg.cholesky import Cholesky, Factor

Vector = NDArray[np.float64]

SURE = 1e-9  # bound of the curve's error, below which no factor is made
APART = 0.1  # of the places that the polynomial goes through: nearer ones would lose digits by cancellation
MOST = 10  # of them: an even 0.7 apart they err by 1e-11 n


@dataclass
class DeterminantCurve:
    """``log|G + exp(s) C|`` and its derivative, by a factor where those made before do not tell them to a billionth.

    Parameters
    ----------
    pattern : (n, n) csc_matrix
        Lower triangle of G, diagonal included.
    stiffness : (nnz,) array
        G on the pattern.
    mass : (n,) array
        Diagonal of C.

    Attributes
    ----------
    factorisations : int
        So far.
    """

    pattern: sp.csc_matrix
    stiffness: Vector
    mass: Vector
    factorisations: int = 0
    _found: list[tuple[float, float, float]] = field(default_factory=list)  # place, value, slope

    def __post_init__(self) -> None:
        self._solver = Cholesky(self.pattern)
        self._diagonal = self.pattern.indptr[:-1]

    def factor(self, s: float) -> Factor:
        """Factor of ``G + exp(s) C``.

        Raises
        ------
        NotPositiveDefinite
            Where rounding has made it singular.
        """
        values = self.stiffness.copy()
        values[self._diagonal] += np.exp(s) * self.mass
        self.factorisations += 1
        return self._solver.factor(values)

    def __call__(self, s: float) -> tuple[float, float]:
        """Value and derivative at s."""
        near = self._near(s)
        if near:
            places, values, slopes = np.array(near).T
            # about the nearest, so that little is lost where all are large
            value, slope = hermite_at_zero(places - s, values - values[0], slopes)
            return value + float(values[0]), slope
        factor = self.factor(s)
        slope = float(np.exp(s) * self.mass @ factor.selected_inverse()[self._diagonal])
        self._found.append((s, factor.log_determinant, slope))
        return factor.log_determinant, slope

    def _near(self, s: float) -> list[tuple[float, float, float]]:
        """What was found at places through which a polynomial is sure at s, nearest first; none if too few."""
        chosen: list[tuple[float, float, float]] = []
        log_error = np.log(self.mass.size)
        for found in sorted(self._found, key=lambda found: abs(found[0] - s))[: 3 * MOST]:
            if any(abs(found[0] - other[0]) < APART for other in chosen):
                continue
            chosen.append(found)
            log_error += 2.0 * np.log(max(abs(found[0] - s), 1e-300) / np.pi)
            if log_error - np.log(len(chosen)) < np.log(SURE):
                return chosen
            if len(chosen) == MOST:
                break
        return []


def hermite_at_zero(places: Vector, values: Vector, slopes: Vector) -> tuple[float, float]:
    """Value and derivative at zero of the polynomial with these values and slopes, (k,), by divided differences."""
    twice = np.repeat(places, 2)
    coefficients, differences = [float(values[0])], np.empty(twice.size - 1)
    differences[::2], differences[1::2] = slopes, (values[1:] - values[:-1]) / (places[1:] - places[:-1])
    for order in range(1, twice.size):
        coefficients.append(float(differences[0]))
        differences = (differences[1:] - differences[:-1]) / (twice[order + 1 :] - twice[: -order - 1])
    value = slope = 0.0
    for coefficient, place in zip(reversed(coefficients), reversed(twice.tolist())):
        slope = value - slope * place
        value = coefficient - value * place
    return value, slope
