"""`Fit.index`: the total or mean over a region at each value of a column, such as the years of a survey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError, alert
from geospde.model.build import Model
from geospde.prediction.grid import Grid
from geospde.prediction.places import Places, places, unmeshed
from geospde.prediction.regions.sums import table_of_sums
from geospde.prediction.regions.weights import cell_weights
from geospde.prediction.surface import with_values
from geospde.text.arguments import as_levels, refuse_draws, refuse_seed, refuse_values_of
from geospde.text.files import whole_file
from geospde.text.findings import Finding
from geospde.text.keywords import answers_keywords
from geospde.text.notebook import card, frame_table
from geospde.text.progress import Callback
from geospde.text.words import counted, did_you_mean, listed, numeral

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from geospde.results.base import Fit

Vector = NDArray[np.float64]
KINDS = ("total", "mean")
MOST = 1000
"""Values of a column that an index has by itself."""


@answers_keywords
@dataclass(frozen=True, eq=False, repr=False)
class Index:
    """Totals or means over a region at each value of a column; made by `Fit.index`.

    Attributes
    ----------
    label : str
        What is summed up, such as ``"density"``.
    kind : {"total", "mean"}
    along : str
        The column, such as ``"year"``.
    weights : str
        What weighs the places: ``"area"``, a raster's or a column's name.
    how : str
        How the uncertainty was computed.
    quantiles : tuple of float
        Levels of the quantile columns.
    findings : tuple of Finding
        What is to be known about the weights.
    """

    label: str
    kind: str
    along: str
    weights: str
    how: str
    quantiles: tuple[float, ...]
    findings: tuple[Finding, ...]
    _table: pd.DataFrame

    def to_frame(self) -> pd.DataFrame:
        """Return a row a value: the column, ``mean, sd``, quantiles, and what they rest on.

        ``weight`` is the sum of the places' weights, ``sd_error`` the Monte Carlo standard error of ``sd``, 0 where
        that is exact.
        """
        return self._table.copy()

    def to_csv(self, path: str | Path) -> Path:
        """Write the table."""
        with whole_file(path) as partial:
            self._table.to_csv(partial, index=False)
        return Path(path)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the index with its band; see `geospde.plots.regions.plot_index`."""
        from geospde.plots.regions import plot_index

        return plot_index(self, ax)

    @property
    def band(self) -> tuple[pd.Series, pd.Series]:
        """The outermost quantiles; the means themselves where there are none."""
        ends = (min(self.quantiles), max(self.quantiles)) if self.quantiles else ()
        columns = [f"q{numeral(level)}" for level in ends] or ["mean", "mean"]
        return self._table[columns[0]], self._table[columns[1]]

    @property
    def title(self) -> str:
        """What the figures are, in words."""
        by = "" if self.weights in ("area", "places") else f", weighted by {self.weights}"
        return f"{self.kind.capitalize()} of {self.label} by {self.along}{by}"

    def __repr__(self) -> str:
        return f"<Index: {self.title[:1].lower()}{self.title[1:]}, {len(self._table)} values>"

    def _repr_html_(self) -> str:
        """Show the table in a notebook."""
        return card(self.title, self.how, frame_table(self._table, "index"))


def index(
    fit: Fit,
    where: Any,
    along: str,
    values: Sequence[Any] | None = None,
    *,
    weights: Any = None,
    kind: str = "total",
    at: Mapping[str, Any] | None = None,
    quantiles: Sequence[float] = (0.025, 0.5, 0.975),
    groups: bool = True,
    draws: int = 4000,
    seed: int | None = 0,
    observations: str | None = None,
    callback: Callback | None = None,
) -> Index:
    """Total or mean over places at each value of a column, with all covariance between the places.

    Parameters
    ----------
    fit : Fit
    where : Grid, DataFrame, GeoDataFrame or (m, 2) array
        The region: the cells of a grid, or places that stand for it, with the model's other columns.
    along : str
        The column, such as ``"year"``.
    values : sequence, optional
        Of the column; by default all that the data have, in order.
    weights : float, array, str or raster, optional
        What a place stands for, such as 4 for square kilometres: a number, one a place, a column of the table, or, of a
        grid's cells, a raster. By default the areas of a grid's cells, in the unit of the CRS, and 1 for other places.
    kind : {"total", "mean"}
        Weighted sum or mean.
    at : mapping, optional
        Values of other columns that are the same at all places.
    quantiles : sequence of float
    groups : bool
        False leaves the effects of groups, ``(x | g)``, out.
    draws, seed : int
        Of the quantiles under other links than identity and log, and of delta families.
    observations : str, optional
        Which of several likelihoods, by its name.
    callback : callable, optional
        Called as ``callback(done, total, message)`` after each value.

    Returns
    -------
    Index

    Raises
    ------
    InputError
        For a column that the model does not have, places off the mesh, and weights that weigh nothing.

    Notes
    -----
    After ML and REML this is the index of sdmTMB (`get_index` without bias correction): totals at the estimates, with
    intervals by the delta method on the scale of logarithms under a log link. A posterior's mean needs no correction
    for bias. Standard errors have the uncertainty of hyperparameters in them, as sdmTMB's do; those of maps and of
    areas are given the hyperparameters.
    """
    _check(kind, draws)
    quantiles = as_levels(quantiles)
    refuse_values_of(at)
    refuse_seed(seed, optional=True)
    whole = fit.model.multiplies and observations is None
    view = fit if whole else fit.of_likelihood(observations)
    model = next(iter(view.model.parts.values())) if whole else view.model
    steps = _values(model, along, values)
    place = places(model, _without(where, along))
    place = place._replace(table=with_values(place.table, at, model))
    weight, what, found = _weights(weights, where, place, model.crs)
    if place.points is not None:
        found = (*found, *unmeshed(fit, view.model, place.points[weight > 0]))
    for finding in found:
        alert(finding.as_warning())
    row = sp.csr_matrix((weight if kind == "total" else weight / weight.sum())[None])
    row.eliminate_zeros()
    parts, how = [], ""
    spread = view.spread
    for done, value in enumerate(steps, 1):
        here = place._replace(table=place.table.assign(**{along: value}))
        one, how = table_of_sums(view, here, row, kind, None, quantiles, (), groups, draws, seed, None, spread)
        one.insert(0, along, [value])
        parts.append(one.assign(weight=weight.sum()))
        if callback is not None:
            callback(done, len(steps), "index")
    frame = pd.concat(parts, ignore_index=True)
    label = fit.model.response_label if whole else model.response_label
    return Index(label, kind, along, what, how, tuple(map(float, quantiles)), found, frame)


def _check(kind: str, draws: Any) -> None:
    if kind not in KINDS:
        raise InputError(f"kind is one of {listed(KINDS)}, not {kind!r}; {did_you_mean(str(kind), KINDS)}")
    refuse_draws(draws, 10, "an index needs")


def _values(model: Model, along: str, values: Sequence[Any] | None) -> list[Any]:
    """The values of the column, those of the data if none are given."""
    known = list(model.used_columns)
    if along not in known:
        raise InputError(f"the model uses no column {along!r} to have an index by; {did_you_mean(str(along), known)}")
    if values is not None:
        given = list(np.atleast_1d(np.asarray(values, dtype=object)))
        if not given:
            raise InputError(f"an index needs a value of {along!r} at least")
        return given
    column = model.table[along]
    if isinstance(column.dtype, pd.CategoricalDtype):
        return list(column.cat.categories)
    found = np.sort(column.dropna().unique())
    if len(found) > MOST:
        raise InputError(
            f"{along!r} has {len(found):,} values, each of which would be a sum over the region",
            remedy="name those that are wanted, as in values=[2003, 2004]",
        )
    return list(found.tolist())


def _without(where: Any, along: str) -> Any:
    """The places without the column itself, which takes each of its values in turn."""
    if isinstance(where, pd.DataFrame) and along in where.columns:
        if where[along].nunique(dropna=False) > 1:
            raise InputError(
                f"the places have several values of {along!r}, which takes each of its values at all of them",
                remedy="give the places once",
            )
        return where.drop(columns=along)
    return where


def _weights(weights: Any, where: Any, place: Places, crs: Any) -> tuple[Vector, str, tuple[Finding, ...]]:
    """What each place weighs, and by what."""
    size = len(place.table)
    if isinstance(weights, str) and isinstance(where, pd.DataFrame) and weights in where.columns:
        return _positive(np.asarray(where[weights]), weights, size)
    if weights is None and place.grid is None:
        return np.ones(size), "places", ()
    if np.ndim(weights) == 0 and isinstance(weights, int | float | np.number):
        return _positive(np.full(size, weights, dtype=float), "the weights given", size, "places")
    if place.grid is None:
        return _positive(weights, "the weights given", size)
    given = where if isinstance(where, Grid) else place.grid
    if np.ndim(weights) == 1 and given.n != place.grid.n and len(weights) == given.n:
        weights = np.asarray(weights)[place.grid.mask[given.mask]]  # cells without a covariate are left out
    return cell_weights(weights, place.grid, crs)


def _positive(given: Any, what: str, size: int, name: str | None = None) -> tuple[Vector, str, tuple[Finding, ...]]:
    try:
        weight = np.asarray(given, dtype=float)
    except (TypeError, ValueError):
        raise InputError("weights must be numbers, one per place, or the name of a column of the places") from None
    if weight.shape != (size,):
        raise InputError(f"there are {counted(size, 'place')}, but the weights are {weight.shape}")
    if not np.isfinite(weight).all() or (weight < 0).any():
        raise InputError("weights of places must be finite numbers, and not below zero")
    if not weight.any():
        raise InputError(f"{what} weighs nothing at every place" if name is None else "the weight must be above zero")
    return weight, name or what, ()
