"""Sums over areas of a product of two means: that of a delta family."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.inference.mixture import GaussianMixture
from geospde.inference.sampling import joint_draws
from geospde.prediction.product import Product
from geospde.prediction.regions.moments import Sums, positive_sums

Vector = NDArray[np.float64]
CELLS = 5_000
"""Cells at once, whose products are integrated or drawn."""


class ProductCells:
    """The cells that carry weight, as both parts of a delta family see them.

    Parameters
    ----------
    fit : Fit
        Whose model multiplies.
    rows : pair of csr_matrix
        (c, n), on the whole latent vector.
    offsets : pair of (c,) arrays
    weights : (r, c) csr_matrix
    """

    def __init__(self, fit: Any, rows: list[sp.csr_matrix], offsets: list[Vector], weights: sp.csr_matrix):
        self.fit, self.rows, self.offsets, self.weights = fit, rows, offsets, sp.csr_matrix(weights)

    def parts(self) -> list[slice]:
        """Cells, some at a time."""
        size = self.weights.shape[1]
        return [slice(a, min(a + CELLS, size)) for a in range(0, size, CELLS)]

    def product(self, part: slice) -> Product:
        """The product at some cells."""
        first, second = (self.fit.mixture(r[part], o[part]) for r, o in zip(self.rows, self.offsets))
        return Product(self.fit, (first, second))


def estimated_products(cells: ProductCells) -> Sums:
    """Sums at the estimates, with standard errors by the delta method on the scale of logarithms."""
    laplace, point = cells.fit.laplace, cells.fit.point
    total = np.zeros(cells.weights.shape[0])
    slopes = sp.csr_matrix((len(total), laplace.n))
    for part in cells.parts():
        value, by_first, by_second = cells.product(part).gradient()
        weights = cells.weights[:, part]
        total += weights @ value
        for rows, by in zip(cells.rows, (by_first, by_second)):
            slopes = slopes + weights @ sp.diags(by) @ rows[part]
    sd = np.sqrt(np.maximum(laplace.row_variances(point, sp.csr_matrix(slopes)), 0.0))
    return positive_sums(total, sd)


def drawn_products(
    cells: ProductCells,
    threshold: float | None,
    draws: int,
    seed: int | None,
    progress: Callable[[int, int | None, str], None] | None = None,
) -> Sums:
    """Sums by joint draws, about exact means; of the share above a threshold by draws alone."""
    fit, weights = cells.fit, cells.weights
    points = {id(point): k for k, point in enumerate(fit.approximation.points)}
    one = Product(fit, (_NOWHERE, _NOWHERE))
    sums, done = np.zeros((weights.shape[0], draws)), 0
    for point, x in joint_draws(fit.laplace, fit.approximation, draws, seed):
        here, k = slice(done, done + x.shape[1]), points[id(point)]
        for part in cells.parts():
            first, second = (r[part] @ x + o[part, None] for r, o in zip(cells.rows, cells.offsets))
            value = one.at(k, first, second)
            sums[:, here] += weights[:, part] @ (value if threshold is None else (value > threshold).astype(float))
        done += x.shape[1]
        if progress is not None:
            progress(done, draws, "draws")
    mean = sums.mean(axis=1)
    if threshold is None:
        mean = sum((weights[:, part] @ cells.product(part).moments()[0] for part in cells.parts()), np.zeros(len(mean)))
        sums *= np.where(mean > 0, mean / np.where(mean > 0, sums.mean(axis=1), 1.0), 1.0)[:, None]
    sd = sums.std(axis=1)
    return Sums(
        mean, sd, sd / np.sqrt(2 * draws), lambda p: np.quantile(sums, p, axis=1),
        lambda t: np.asarray((sums > t).mean(axis=1)),
    )  # fmt: skip


_NOWHERE = GaussianMixture(np.ones(1), np.zeros((1, 0)), np.zeros((1, 0)))
