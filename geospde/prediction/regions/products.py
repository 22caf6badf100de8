"""Sums over areas of a product of two means: that of a delta family."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.inference.combinations import row_variances
from geospde.inference.sampling import joint_draws
from geospde.prediction.product import NOWHERE, Product
from geospde.prediction.regions.expansion import Factor, expanded_sums
from geospde.prediction.regions.moments import OfMap, Sums, positive_sums, sums_of_draws
from geospde.results.base import Fit
from geospde.text.progress import Callback

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
    spread : Spread or None
        Of estimated hyperparameters, where the errors of sums are to have it in them.
    """

    def __init__(
        self, fit: Fit, rows: list[sp.csr_matrix], offsets: list[Vector], weights: sp.csr_matrix, spread: Any = None
    ):
        self.fit, self.rows, self.offsets, self.weights = fit, rows, offsets, sp.csr_matrix(weights)
        self.spread = spread

    def parts(self) -> list[slice]:
        """Cells, some at a time."""
        size = self.weights.shape[1]
        return [slice(a, min(a + CELLS, size)) for a in range(0, size, CELLS)]

    def product(self, part: slice) -> Product:
        """The product at some cells."""
        first, second = (self.fit.mixture(r[part], o[part]) for r, o in zip(self.rows, self.offsets))
        return Product(self.fit, (first, second))

    def of_map(self) -> OfMap:
        """Sums of the means of the map, and how much wider its marginals are than those of joint draws."""
        mean, *sds = np.zeros((3, self.weights.shape[0]))
        for part in self.parts():
            product, weights = self.product(part), self.weights[:, part]
            here = product.moments()
            plain = [one.gaussian or one for one in (product.presence, product.positive)]
            mean += weights @ here[0]
            sds[0] += weights @ here[1]
            sds[1] += weights @ Product(self.fit, (plain[0], plain[1])).moments()[1]
        return OfMap.of(mean, *sds)


def estimated_products(cells: ProductCells) -> Sums:
    """Sums at the estimates, with standard errors by the delta method on the scale of logarithms."""
    laplace, point, spread = cells.fit.laplace, cells.fit.point, cells.spread
    total = np.zeros(cells.weights.shape[0])
    slopes, own = sp.csr_matrix((len(total), laplace.n)), np.zeros((len(total), point.theta.size))
    for part in cells.parts():
        product, weights = cells.product(part), cells.weights[:, part]
        value, by_first, by_second = product.gradient()
        if spread is not None:
            own += weights @ product.along(spread.theta)
        total += weights @ value
        for rows, by in zip(cells.rows, (by_first, by_second)):
            slopes = slopes + weights @ sp.diags(by) @ rows[part]
    variances = row_variances(laplace, point, sp.csr_matrix(slopes))
    if spread is not None:
        variances = variances + spread.variances(sp.csr_matrix(slopes), own)
    return positive_sums(total, np.sqrt(np.maximum(variances, 0.0)))


def exact_products(
    cells: ProductCells, centres: Vector, blocks: int, draws: int, seed: int | None, progress: Callback | None = None
) -> Sums:
    """Sums with exact means and standard deviations, quantiles by draws; see `expanded_sums`."""
    whole, points = Product(cells.fit, NOWHERE), range(len(cells.fit.approximation.points))
    presence, positive = (
        Factor(rows, offset, [whole.function(part, k) for k in points])
        for part, (rows, offset) in enumerate(zip(cells.rows, cells.offsets))
    )
    return expanded_sums(cells.fit, [presence, positive], cells.weights, centres, blocks, draws, seed, progress)


def drawn_shares(
    cells: ProductCells, threshold: float, draws: int, seed: int | None, progress: Callback | None = None
) -> Sums:
    """Shares of the weight where the product is above a threshold, by joint draws."""
    fit, weights = cells.fit, cells.weights
    points = {id(point): k for k, point in enumerate(fit.approximation.points)}
    one = Product(fit, NOWHERE)
    sums, done = np.zeros((weights.shape[0], draws)), 0
    for point, x in joint_draws(fit.laplace, fit.approximation, draws, seed):
        here, k = slice(done, done + x.shape[1]), points[id(point)]
        for part in cells.parts():
            first, second = (r[part] @ x + o[part, None] for r, o in zip(cells.rows, cells.offsets))
            sums[:, here] += weights[:, part] @ (one.at(k, first, second) > threshold).astype(float)
        done += x.shape[1]
        if progress is not None:
            progress(done, draws, "draws")
    return sums_of_draws(sums)
