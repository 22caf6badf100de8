"""The response of a delta family as one: what was observed at each row, and replicates of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.results.draws import draw
from geospde.results.state import FitState
from geospde.terms.rows import MovingRows

Vector = NDArray[np.float64]


def is_delta(model: Any) -> bool:
    """Whether a model is that of a delta family: of presence, and of the values where there are some."""
    return model.recipe is not None and bool(model.recipe.delta)


def observed_response(model: Any) -> Vector:
    """What was observed at each row: 0, or a value."""
    presence, positive = (part.likelihood for part in model.parts.values())
    y = np.zeros(presence.n)
    y[presence.y > 0] = positive.y
    return y


def replicated_response(fit: FitState, n: int, seed: int | None = None) -> Vector:
    """Replicates of the response, (rows, n): presence at every row, times a value.

    Raises
    ------
    InputError
        For values whose predictor is not known where none was observed: their dispersion or a term follows the data.
    """
    presence, positive = fit.model.parts.values()
    table, points = presence.table, presence.points
    rows = positive.rows(table, points, allow_new_levels=True)
    likelihood: Any = fit.laplace.model.likelihood
    if isinstance(rows, MovingRows) or not likelihood.parts[1].has_one_mean:
        raise InputError("values above 0 are not replicated where a term or their dispersion is of the data alone")
    draws, rng = draw(fit, n, seed), np.random.default_rng(None if seed is None else [seed, 2])
    offset = np.asarray(positive.remainder(table), dtype=float)
    if positive.has_offset:
        offset = offset + positive.offsets.of(table)
    first = draws.latent @ presence.design.T + presence.offset
    second = draws.latent @ rows.T + offset
    made = [fit.laplace.likelihood_at(theta).replicate(u, v, rng) for theta, u, v in zip(draws.theta, first, second)]
    return np.array(made).T
