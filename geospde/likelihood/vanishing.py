"""Residual standard deviations that are estimated as zero: where random effects reach every response.

A field at sites that all differ, or a walk with one observation a step, can follow every response, and the likelihood
then is bounded as the residual vanishes: its value there is the density of the responses under the random effects
alone. Where fewer effects than responses fit perfectly, it grows without end instead.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import structural_rank

from geospde.likelihood.coordinates import LEAST_ROUNDED
from geospde.likelihood.likelihoods import Unpriored
from geospde.likelihood.search import Maximum
from geospde.model.build import Model

Vector = NDArray[np.float64]
SMALL = 0.05  # residual standard deviation, relative to its start, below which zero is tried
PERFECT = 1e-6  # residual, relative to the response, that counts as zero
LARGEST_RANK = 1_500  # most responses for which a rank is found from eigenvalues
RANK = 1e-9  # eigenvalue, relative to the largest, that counts as zero


def residual_places(model: Model) -> tuple[int, ...]:
    """Places among all hyperparameters of residual standard deviations that are free."""
    own = model.likelihood.hyper
    fixed_theta = np.asarray(model.fixed_theta, dtype=float)
    first = fixed_theta.size - len(own)
    return tuple(first + k for k, h in enumerate(own) if h.kind == "sd" and np.isnan(fixed_theta[first + k]))


def is_small(model: Model, found: Maximum, share: float = SMALL) -> bool:
    """Whether a residual ended below this share of where it starts, so near to zero that it may be there."""
    number = np.cumsum(np.isnan(model.fixed_theta)) - 1
    return any(found.theta[number[k]] < model.start[number[k]] + np.log(share) for k in residual_places(model))


def down_to_zero(model: Model, unpriored: Unpriored, restricted: bool) -> Unpriored | None:
    """The model with its residual's standard deviation searched down to zero; None where that has no likelihood."""
    places = residual_places(model)
    if len(places) != 1 or not reach_all(unpriored, range(len(model.terms)), restricted) or _fixed_fit(unpriored):
        return None
    return replace(unpriored, vanishing=places)


def fits_perfectly(model: Model, unpriored: Unpriored, found: Maximum, restricted: bool) -> bool:
    """Whether the residual vanished because effects that do not reach every response fit all the same."""
    number, at, left = np.cumsum(np.isnan(unpriored.fixed_theta)) - 1, 0, []
    for k, term in enumerate(unpriored.precisions):
        own = range(at, at + len(term.parameters))
        at = own.stop
        if not any(np.isnan(unpriored.fixed_theta[j]) and found.edges[number[j]] < 0 for j in own):
            left.append(k)
    return bool(residual_edges(model, found)) and not reach_all(unpriored, left, restricted)


def no_worse(model: Model, lowest: Maximum, found: Maximum) -> bool:
    """Whether to believe the search down to zero; what is found nearer to it than where that goes is rounding."""
    return is_small(model, found, LEAST_ROUNDED) or not lowest.log_likelihood < found.log_likelihood


def residual_edges(model: Model, found: Maximum) -> tuple[int, ...]:
    """Places among the free hyperparameters of residuals that are estimated as zero."""
    number = np.cumsum(np.isnan(model.fixed_theta)) - 1
    return tuple(int(number[k]) for k in residual_places(model) if found.edges[number[k]] < 0)


def reach_all(unpriored: Unpriored, terms: Sequence[int], restricted: bool) -> bool:
    """Whether what is integrated over reaches every response on its own: rows of full rank.

    It is the random effects of these terms, within their constraints, and the fixed effects of a restricted likelihood.
    """
    ends = np.cumsum([0, *(term.n for term in unpriored.precisions)])
    parts, conditions = [], []
    for k in terms:
        own = unpriored.precisions[k].constraints
        parts.append(sp.csr_matrix(unpriored.design[:, ends[k] : ends[k + 1]]))
        conditions.append(sp.csr_matrix((0, parts[-1].shape[1]) if own is None else own.T))
    if restricted:
        parts.append(unpriored.fixed_columns)
        conditions.append(sp.csr_matrix((0, unpriored.n_fixed)))
    if not parts:
        return False
    there = unpriored.likelihood.weights > 0
    rows = sp.vstack([sp.hstack(parts, format="csr")[there], sp.block_diag(conditions)], format="csr")
    m, n = rows.shape
    if n < m or structural_rank(rows) < m:
        return False
    if m > LARGEST_RANK:
        return True
    values = np.linalg.eigvalsh((rows @ rows.T).toarray())
    return bool(values[0] > RANK * values[-1])


def _fixed_fit(unpriored: Unpriored) -> bool:
    """Whether fixed effects alone fit the responses."""
    y, x = unpriored.likelihood.start() - unpriored.offset, unpriored.fixed_columns.toarray()
    left = y - x @ np.linalg.lstsq(x, y, rcond=None)[0]
    return bool(np.linalg.norm(left) < PERFECT * max(float(np.linalg.norm(y)), 1e-300))
