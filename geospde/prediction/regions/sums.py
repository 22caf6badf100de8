"""Sums over areas at places that are read: how each kind of fit and link has them computed, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.inference.mixture import GaussianMixture
from geospde.model.build import Model
from geospde.prediction.places import Places
from geospde.prediction.regions.expansion import Factor, expanded_sums
from geospde.prediction.regions.moments import (
    BATCH,
    Cells,
    Sums,
    batches,
    delta_sums,
    drawn_sums,
    identity_sums,
    log_sums,
    of_map,
)
from geospde.prediction.regions.products import ProductCells, drawn_shares, estimated_products, exact_products
from geospde.text.progress import Callback
from geospde.text.words import numeral

if TYPE_CHECKING:
    from geospde.results.base import Fit

Vector = NDArray[np.float64]

LINEAR = 1_000_000  # cells at once of sums that are linear in the predictor
NUMBERS = 6_000_000  # marginals at once, of points and cells, of sums that are not
BLOCKS = 4000
"""Blocks of cells of all areas together, for exact second moments; an area has 4 to 1,000 of them."""
ESTIMATE = "the estimate, with standard errors by the delta method"
WHOLE = f"{ESTIMATE}, over fixed effects and hyperparameters"
SECOND_ORDER = "first and second moments, with all covariance between cells"


def table_of_sums(
    fit: Fit,
    place: Places,
    weights: sp.csr_matrix,
    kind: str,
    threshold: float | None,
    quantiles: Sequence[float],
    exceed: Sequence[float],
    groups: bool,
    draws: int,
    seed: int | None,
    callback: Callback | None,
    spread: Any = None,
) -> tuple[pd.DataFrame, str]:
    """Posterior of ``weights @ mean per unit exposure``, one row per area, and how it was computed.

    Parameters
    ----------
    fit : Fit
    place : Places
        The cells, with the model's columns in their table.
    weights : (areas, cells) csr_matrix
    kind, threshold, quantiles, exceed, groups, draws, seed, callback
        As of `predict_regions`.
    spread : Spread or None
        Of estimated hyperparameters, where the errors are to have it in them.
    """
    if fit.model.multiplies:
        sums, how = _of_products(fit, place, weights, threshold, groups, draws, seed, callback, spread)
        return _table_of(sums, weights.shape[0], quantiles, exceed), how
    model, table = fit.model, place.table
    leave_out = () if groups else model.groups
    parts: list[pd.DataFrame] = []
    how = ""
    moving = hasattr(model.rows(table.iloc[:1], _some(place.points, slice(1)), leave_out=leave_out), "at")
    for part in _pieces(fit, weights, kind, moving):
        some = np.unique(weights[part].indices)
        if not some.size:
            parts.append(_table_of(None, part.stop - part.start, quantiles, exceed))
            continue
        points = _some(place.points, some)
        rows = model.rows(table.iloc[some], points, leave_out=leave_out)
        offset = _offset(model, table.iloc[some])
        own = Cells(fit, rows, offset, sp.csr_matrix(weights[part][:, some]), spread)
        sums, how = _sums(own, points, kind, threshold, weights.shape[0], draws, seed, callback)
        parts.append(_table_of(sums, part.stop - part.start, quantiles, exceed))
        if callback is not None:
            callback(part.stop, weights.shape[0], "areas")
    return pd.concat(parts, ignore_index=True), how


def _of_products(
    fit: Fit,
    place: Places,
    weights: sp.csr_matrix,
    threshold: float | None,
    groups: bool,
    draws: int,
    seed: int | None,
    callback: Callback | None,
    spread: Any,
) -> tuple[Sums, str]:
    """Sums of a delta family, and how they were computed."""
    some = np.unique(weights.indices)
    table, points = place.table.iloc[some], _some(place.points, some)
    models = list(fit.model.parts.values())
    rows = [model.rows(table, points, leave_out=() if groups else model.groups) for model in models]
    offsets = [_offset(model, table) for model in models]
    cells = ProductCells(fit, rows, offsets, sp.csr_matrix(weights[:, some]), spread)
    if threshold is not None:
        return drawn_shares(cells, threshold, draws, seed, callback), _by_draws(draws, seed, "means", "spread")
    if fit.plug_in:
        return estimated_products(cells), _estimate(spread)
    sums = exact_products(cells, _centres(points, some), _blocks(weights.shape[0]), draws, seed, callback)
    return cells.of_map().around(sums), _by_draws(draws, seed)


def _centres(points: Vector | None, cells: Vector) -> Vector:
    """Where cells are; those without a place in a row."""
    if points is not None:
        return points
    return np.column_stack([np.arange(len(cells), dtype=float), np.zeros(len(cells))])


def _blocks(areas: int, most: int = 400) -> int:
    """Most blocks of an area."""
    return int(np.clip(BLOCKS // areas, 4, most))


def _some(points: Vector | None, some: Any) -> Any:
    """Some of the points, where the model has any."""
    return None if points is None else points[some]


def _offset(model: Model, table: pd.DataFrame) -> Vector:
    if not model.has_offset:
        return np.asarray(model.remainder(table))
    return np.asarray(model.offsets.of(table) + model.remainder(table), dtype=float)


def _pieces(fit: Fit, weights: sp.csr_matrix, kind: str, moving: bool) -> list[slice]:
    """Areas to be done at once, each time with factors anew: all of them where draws are shared.

    Few where rows move with theta: they may be dense.
    """
    if not _is_exact(fit, kind):
        return [slice(0, weights.shape[0])]
    if moving:
        return list(batches(weights, BATCH))
    is_linear = fit.plug_in or fit.model.family.link.is_linear
    return list(batches(weights, LINEAR if is_linear else NUMBERS // len(fit.approximation.points)))


def _is_exact(fit: Fit, kind: str) -> bool:
    link = fit.model.family.link
    return kind != "share" and (fit.plug_in or link.is_linear or link.is_log)


def _sums(
    cells: Cells,
    points: Vector | None,
    kind: str,
    threshold: float | None,
    areas: int,
    draws: int,
    seed: int | None,
    callback: Callback | None,
) -> tuple[Sums, str]:
    """Sums over areas, and how they were computed."""
    fit = cells.fit
    link = fit.model.family.link
    if kind == "share":
        if link.falls:
            raise InputError(f"shares need a link whose mean rises with its predictor, which {link.name!r} does not")
        at = float(link.forward(np.asarray(threshold)))
        sums = drawn_sums(
            cells,
            lambda eta: (eta > at).astype(float),
            lambda m: m.density(at) if np.isfinite(at) else np.zeros(m.means.shape[1]),
            lambda m: m.sf(at) if np.isfinite(at) else np.full(m.means.shape[1], float(at < 0)),
            draws, seed, callback,
        )  # fmt: skip
        return sums, _by_draws(draws, seed, "means", "spread")
    if fit.plug_in:
        return delta_sums(cells), _estimate(cells.spread)
    if link.name == "identity":
        return identity_sums(cells), SECOND_ORDER

    def exact(mixture: GaussianMixture) -> Vector:
        return mixture.expectation(link.inverse)

    centres, blocks = _centres(points, cells.offset), _blocks(areas)
    if link.name == "log":
        sums, are_drawn = log_sums(cells, centres, _blocks(areas, 1000), draws, seed)
        how = f"{SECOND_ORDER}; {_draws(draws, seed)} for the quantiles of skew sums" if are_drawn else SECOND_ORDER
        return of_map(cells, exact).around(sums), how
    if hasattr(cells.rows, "at"):
        sums = drawn_sums(
            cells, link.inverse, lambda m: np.exp(link.log_derivative(m.mean)), exact, draws, seed, callback
        )
        return sums, _by_draws(draws, seed, "means", "spread")
    factor = Factor(cells.rows, cells.offset, [link.inverse] * len(fit.approximation.points))
    sums = expanded_sums(fit, [factor], cells.weights, centres, blocks, draws, seed, callback)
    return of_map(cells, exact).around(sums), _by_draws(draws, seed)


def _estimate(spread: Any) -> str:
    return ESTIMATE if spread is None else WHOLE


def _by_draws(draws: int, seed: int | None, known: str = SECOND_ORDER, drawn: str = "quantiles") -> str:
    return f"{known}; {_draws(draws, seed)} for the {drawn}"


def _draws(draws: int, seed: int | None) -> str:
    return f"{draws:,} draws" + ("" if seed is None else f" of seed {seed}")


def _table_of(sums: Sums | None, size: int, quantiles: Sequence[float], exceed: Sequence[float]) -> pd.DataFrame:
    levels = [*(f"q{numeral(p)}" for p in quantiles), *(f"exceed_{numeral(t)}" for t in exceed)]
    names = ["mean", "sd", *levels, "sd_error"]
    if sums is None:
        return pd.DataFrame(np.nan, index=range(size), columns=names)
    columns = [sums.mean, sums.sd, *(sums.quantile(p) for p in quantiles), *(sums.above(t) for t in exceed), sums.error]
    return pd.DataFrame(dict(zip(names, columns)))
