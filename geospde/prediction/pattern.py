"""Expected numbers of points of a pattern, by area."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import gammaincinv

from geospde.errors import InputError
from geospde.inference.sampling import joint_draws
from geospde.model.build import Model
from geospde.model.window import PLACES
from geospde.results.bayesian import BayesianFit
from geospde.survey.polygons import as_region
from geospde.text.arguments import as_number
from geospde.text.keywords import answers_keywords
from geospde.text.words import numeral

Vector = NDArray[np.float64]

ALL = "all"
"""What all marks together are called."""

SAME = 1e-8  # of a one that counts as nothing


@answers_keywords
def expected_numbers(
    fit: BayesianFit,
    regions: Any,
    *,
    draws: int = 1000,
    quantiles: Sequence[float] = (0.025, 0.5, 0.975),
    seed: int = 0,
    observations: str | None = None,
    offset: float | None = None,
) -> pd.DataFrame:
    """Posterior of the expected number of points in each region, the integral of the intensity over it.

    Parameters
    ----------
    fit : BayesianFit
        Of a point pattern, by ``"inla"`` or ``"eb"``.
    regions : GeoDataFrame, GeoSeries, or sequence of polygons
        Within the mesh.
    draws : int
        Of the latent variables; the figures have their Monte Carlo error.
    quantiles : sequence of float
    seed : int
    observations : str, optional
        Which of several likelihoods the pattern is, by its name.
    offset : float, optional
        In place of the model's own: 0 for all points, seen or not, where effort or thinning is a share.

    Returns
    -------
    DataFrame
        ``mean``, ``sd`` and quantiles, one row per region, indexed as the regions are; of a pattern with marks first of
        all of them, then of each, with a column of their name.

    Notes
    -----
    With an offset, known effort or thinning, the numbers are of points that are seen under it, unless `offset` is
    given.

    Under a flat intercept the expected number of the whole domain is Gamma(n, 1) a posteriori, n points having been
    seen, and independent of how it is shared out: draws are of the shares, times draws of that, which lie evenly. So
    are those of each mark, where marks have flat intercepts of their own. Under another prior draws are of the
    approximate posterior alone.

    Raises
    ------
    InputError
        For a fit of another family or method, or a region beyond the mesh.
    """
    whole, fit = fit.model, fit.of_likelihood(observations)
    model = fit.model
    window = model.window
    if window is None:
        raise InputError(f"expected numbers are only for point patterns, and this fit has the family {fit.family!r}")
    if not isinstance(fit, BayesianFit):
        raise InputError("expected numbers need a posterior: fit with method='inla' or 'eb'")
    parts = regions.geometry if hasattr(regions, "geometry") else regions
    shapes = [as_region(one, "a region") for one in (parts if np.iterable(parts) else [parts])]
    if not shapes:
        raise InputError("expected numbers are of regions, and there is none")
    offset = None if offset is None else as_number(offset, "the offset of expected numbers")
    nodes = window.nodes
    weights = np.array([nodes.weights(shape) for shape in shapes])
    used = np.flatnonzero(weights.any(axis=0))
    weights = weights[:, used]
    covariates = _covariates(model, nodes.places[used])
    levels = [] if window.marks is None else list(model.table[window.marks].cat.categories)
    tables = [_of_level(covariates, model.table, window.marks, level) for level in levels] or [covariates]
    every: list[Any] = [model.rows(table, nodes.vertices[used]) for table in tables]
    exposure, away = model.likelihood.exposure, model.offset[:, None]
    away_of = [model.offsets.of(t) if offset is None else np.full(len(t), offset) for t in tables]
    beside = [(own + model.remainder(table))[:, None] for own, table in zip(away_of, tables)]
    alike = _moved_alike(whole, model, observations)
    numbers, totals = [], []
    for _, x in joint_draws(fit.laplace, fit.approximation, draws, seed):
        numbers.append(np.array([weights @ np.exp(rows @ x + own) for rows, own in zip(every, beside)]))
        totals.append((exposure[:, None] * np.exp(model.design @ x + away)).T @ alike)
    number, total = np.concatenate(numbers, axis=2), np.vstack(totals)
    rng = np.random.default_rng(seed)
    for k, seen in enumerate(model.likelihood.y @ alike):
        even = (rng.permutation(len(total)) + rng.uniform(size=len(total))) / len(total)
        number[k if alike.shape[1] > 1 else slice(None)] *= gammaincinv(seen, even) / total[:, k]
    number = np.vstack([number.sum(axis=0), *number]) if levels else number[0]
    columns = {"mean": number.mean(axis=1), "sd": number.std(axis=1, ddof=1)}
    columns |= {f"q{numeral(q)}": np.quantile(number, q, axis=1) for q in quantiles}
    index = parts.index if hasattr(regions, "geometry") else pd.RangeIndex(len(shapes))
    if window.marks is None:
        return pd.DataFrame(columns, index=index)
    labels = {window.marks: np.repeat([ALL, *levels], len(shapes))}
    return pd.DataFrame({**labels, **columns}, index=np.tile(index, 1 + len(levels)))


def _moved_alike(whole: Model, model: Model, observations: str | None) -> Vector:
    """Rows of the design that a flat effect of this pattern alone moves alike, (m, k): of each mark, all, or none."""
    every = list(whole.effects.names)
    named = {name: name if observations is None else f"{observations}: {name}" for name in model.effects.names}
    flat = [named[name] for name, p in zip(named, model.fixed_precision) if p == 0 and named[name] in every]
    first = model.design.shape[1] - len(every)
    columns = np.asarray(model.design[:, [first + every.index(name) for name in flat]].todense())
    rows = [np.ones((len(columns), 1))]
    if model.window is not None and model.window.marks is not None:
        rows.insert(0, pd.get_dummies(model.table[model.window.marks], dtype=float).to_numpy())
    for each in rows:
        rest = each - columns @ np.linalg.lstsq(columns, each)[0]
        if np.abs(rest).max() < SAME:
            return each
    return np.zeros((len(columns), 0))


def _of_level(covariates: pd.DataFrame, table: pd.DataFrame, marks: Any, level: Any) -> pd.DataFrame:
    """The covariates beside a mark."""
    return covariates.assign(**{marks: pd.Categorical([level] * len(covariates), dtype=table[marks].dtype)})


def _covariates(model: Model, places: Any) -> pd.DataFrame:
    """Covariates at nodes: those that the fit had there, which beyond the domain are of its border."""
    covariates = model.covariates
    if covariates is None:
        return pd.DataFrame(index=range(len(places)))
    from scipy.spatial import cKDTree

    own = np.flatnonzero(model.likelihood.exposure > 0)
    far, nearest = cKDTree(model.table[list(PLACES)].to_numpy()[own]).query(places)
    table = model.table[list(covariates.names)].iloc[own[nearest]].reset_index(drop=True)
    beyond = np.flatnonzero(far > 0)
    if beyond.size:
        found, usable, _ = covariates.at(places[beyond], model.crs)
        if not usable.all():
            x, y = places[beyond[int(np.argmin(usable))]]
            raise InputError(f"a covariate has no value near {x:g}, {y:g}, which a region reaches beyond the domain")
        for name in covariates.names:
            values = table[name].to_numpy(copy=True)
            values[beyond] = found[name].to_numpy()
            table[name] = values
    return table
