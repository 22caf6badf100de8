"""Rows of series by steps, within them and beyond their ends."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Vector = NDArray[np.float64]
Conditional = Callable[[Vector, NDArray[np.intp]], tuple[Vector, Vector]]


def rows_of_steps(step: NDArray[np.intp], n: int, conditional: Conditional) -> Any:
    """Rows of a series of n steps at these, counted from its first: sparse, or a `Forecast` where some are beyond."""
    inside = (step >= 0) & (step < n)
    places = (np.flatnonzero(inside), step[inside])
    rows = sp.csr_matrix((np.ones(places[0].size), places), shape=(step.size, n))
    return rows if inside.all() else Forecast(rows, step, conditional)


class Forecast:
    """Rows of which some are before or after a series: a `geospde.terms.rows.MovingBlock`.

    Parameters
    ----------
    rows : (m, n) csr_matrix
        Of those within the series.
    step : (m,) array of int
        Of all of them, counted from the first of the series.
    conditional : callable
        From theta and numbers of steps beyond an end, increasing, (k,), to the weights, (k, p), of the p steps at that
        end, the last first, and a root R of the covariance R R', (k, k), that they leave: alike for both ends.
    """

    def __init__(self, rows: sp.csr_matrix, step: NDArray[np.intp], conditional: Conditional):
        self.rows, self.step, self.conditional = rows, step, conditional
        self.shape = rows.shape

    def at(self, theta: Vector) -> tuple[sp.csr_matrix, Vector]:
        """Rows, and the variances of the forecasts, (m,)."""
        out, variance = self.rows, np.zeros(self.step.size)
        for at, ends, weights, root in self._sides(theta):
            places = (np.repeat(at, weights.shape[1]), np.tile(ends[: weights.shape[1]], at.size))
            out = out + sp.csr_matrix((weights.ravel(), places), shape=self.shape)
            variance[at] = (root**2).sum(axis=1)
        return sp.csr_matrix(out), variance

    def root(self, theta: Vector) -> Vector:
        """R of the forecasts' covariance R R', (m, k)."""
        parts = []
        for at, _, _, root in self._sides(theta):
            part = np.zeros((self.step.size, root.shape[1]))
            part[at] = root
            parts.append(part)
        return np.hstack(parts)

    def _sides(self, theta: Vector) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp], Vector, Vector]]:
        """Before and after: rows, steps from the end inwards, weights of those, root of what is left."""
        n = self.shape[1]
        inwards = np.arange(n)
        for beyond, ends in ((-self.step, inwards), (self.step - (n - 1), inwards[::-1])):
            at = np.flatnonzero(beyond > 0)
            if at.size:
                ahead, which = np.unique(beyond[at], return_inverse=True)
                weights, root = self.conditional(theta, ahead)
                yield at, ends, weights[which], root[which]
