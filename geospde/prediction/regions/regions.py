"""`predict_regions`: means, totals and shares over areas, with their uncertainty."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError, alert
from geospde.model.build import Model
from geospde.prediction.grid import Grid
from geospde.prediction.layer import Layer, posterior_layers
from geospde.prediction.places import Places, places, unmeshed
from geospde.prediction.regions.areas import Areas, lost_finding, overlaps, read_areas
from geospde.prediction.regions.neighbours import (
    HOW,
    areas_by_label,
    figures_by_label,
    is_of_areas,
    refuse_cells,
)
from geospde.prediction.regions.sums import table_of_sums
from geospde.prediction.regions.weights import cell_weights
from geospde.prediction.surface import refuse_unused
from geospde.text.arguments import as_levels, as_thresholds, refuse_draws, refuse_seed, refuse_values_of
from geospde.text.findings import Finding
from geospde.text.keywords import answers_keywords
from geospde.text.notebook import card, frame_table
from geospde.text.progress import Callback
from geospde.text.rates import Rate, with_article
from geospde.text.words import counted, did_you_mean, in_brief, listed, number, numeral

if TYPE_CHECKING:
    import geopandas as gpd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from geospde.results.base import Fit

Vector = NDArray[np.float64]

KINDS = ("mean", "total", "share")


@answers_keywords
@dataclass(frozen=True, eq=False, repr=False)
class RegionPrediction:
    """Means, totals or shares over areas; made by `Fit.predict_regions`.

    Attributes
    ----------
    label : str
        What is summed up, such as ``"counts / time"``.
    kind : {"mean", "total", "share"}
    threshold : float or None
        Of a share.
    weights : str
        What weighs the cells: ``"area"``, or a raster's name.
    how : str
        How the uncertainty was computed.
    findings : tuple of Finding
        What is to be known about areas and weights.
    layers : tuple of Layer
        What its columns are, and how they are drawn.
    has_cells : bool
        Whether the figures sum up cells of a map; those of a model of areas are the areas' own.
    """

    label: str
    kind: str
    threshold: float | None
    weights: str
    how: str
    findings: tuple[Finding, ...]
    _table: pd.DataFrame
    _areas: gpd.GeoDataFrame
    layers: tuple[Layer, ...] = ()
    has_cells: bool = True

    def to_frame(self) -> pd.DataFrame:
        """Return one row per area: ``area, mean, sd``, quantiles, exceedances, and what they rest on.

        ``weight`` is the sum of the cells' weights, ``covered`` the share of the area that lies on the map,
        ``sd_error`` the Monte Carlo standard error of ``sd``, 0 where that is exact.
        """
        return self._table.copy()

    def to_geodataframe(self) -> gpd.GeoDataFrame:
        """Return the same with the polygons, and the columns that the areas came with."""
        rows = self._areas.iloc[np.resize(np.arange(len(self._areas)), len(self._table))].reset_index(drop=True)
        shape = rows.geometry.name
        own = rows.drop(columns=[c for c in rows.columns if c in self._table.columns and c != shape])
        return own.assign(**{name: self._table[name].to_numpy() for name in self._table})

    def plot(self, ax: Axes | None = None, column: str = "mean") -> Axes:
        """Draw the areas in the colours of a column; see `geospde.plots.regions.plot_regions`."""
        from geospde.plots.regions import plot_regions

        return plot_regions(self, ax, column)

    def plot_uncertainty(self) -> Figure:
        """Draw mean and standard deviation side by side; see `geospde.plots.regions.regions_map`."""
        from geospde.plots.regions import regions_map

        return regions_map(self)

    def to_gpkg(self, path: Any, layer: str = "regions") -> Any:
        """Write the areas with their figures as a layer of a new GeoPackage."""
        from geospde.export.vectors import write_layers

        return write_layers(path, {layer: self.to_geodataframe()})

    @property
    def title(self) -> str:
        """What the figures are, in words."""
        return self.called(self.label)

    def called(self, label: str) -> str:
        """Return the title where what is summed up goes by another name."""
        by = "" if self.weights == "area" else f", weighted by {self.weights}"
        words = f"{self.phrase(label)}{by}".removeprefix("the ")
        return f"{words[:1].upper()}{words[1:]}"

    def phrase(self, label: str) -> str:
        """Return what the figures are as it stands inside a sentence, such as "the mean of lead"."""
        if self.kind == "share":
            of = "area" if self.weights == "area" else "weight"
            return f"the share of the {of} with {with_article(label)} above {self.threshold:g}"
        return f"the {self.kind} of {with_article(label)}" if self.has_cells else label

    def rate(self, label: str | None = None) -> Rate:
        """Return what is summed up in words, and what the figures are multiplied with beside them: 1 if not small.

        Parameters
        ----------
        label : str, optional
            Words for it, in place of its own.
        """
        known = self._table["mean"].dropna() if self.kind == "mean" else ()
        return Rate.of(label or self.label, float(np.quantile(known, 0.95)) if len(known) else 0.0)

    def __repr__(self) -> str:
        return f"<RegionPrediction: {self.title[:1].lower()}{self.title[1:]}, {len(self._table)} rows>"

    def _repr_html_(self) -> str:
        """Show the table in a notebook."""
        return card(self.title, self.how, frame_table(self._table, "areas"))


def predict_regions(
    fit: Fit,
    areas: Any,
    *,
    weights: Any = None,
    kind: str = "mean",
    threshold: float | None = None,
    grid: Grid | None = None,
    name: str | None = None,
    layer: str | None = None,
    at: Mapping[str, Sequence[Any]] | None = None,
    quantiles: Sequence[float] = (0.025, 0.5, 0.975),
    exceed: Sequence[float] = (),
    groups: bool = True,
    draws: int = 4000,
    seed: int | None = 0,
    observations: str | None = None,
    callback: Callback | None = None,
) -> RegionPrediction:
    """Posterior of means, totals or shares above a threshold over areas, with all covariance between their cells.

    Parameters
    ----------
    fit : Fit
    areas : path, GeoDataFrame, GeoSeries or sequence of polygons
        In any CRS. Of a model of areas by their labels, such as `bym2`, the polygons with these labels and what else
        the model reads: each has the figures that `predict` gives it.
    weights : raster or (grid.n,) array, optional
        Such as counts of people: a path, a dataset of rasterio, a DataArray of xarray, whose sum over each cell weighs
        it. By default the area of the cell.
    kind : {"mean", "total", "share"}
        Weighted mean; weighted sum, such as of people times prevalence; share of the weight where the mean per unit
        exposure is above `threshold`.
    threshold : float, optional
        For a share.
    grid : Grid, optional
        The cells; by default 150 along the longer side of the areas.
    name : str, optional
        The column that names the areas.
    layer : str, optional
        Of a file that has several.
    at : mapping, optional
        Values of other columns of the model, such as ``{"year": [2003, 2004]}``: the areas at each of them, an index by
        year.
    quantiles : sequence of float
    exceed : sequence of float
        Thresholds: a column ``exceed_<threshold>`` with the probability that the area's figure is above each.
    groups : bool
        False leaves the effects of groups, ``(x | g)``, out.
    draws : int
        Of the quantiles under other links than identity and log, and of shares.
    seed : int, optional
        Of the draws: layers of areas that are given one share theirs.
    observations : str, optional
        Which of several likelihoods the figures are of, by its name.
    callback : callable, optional
        Called as ``callback(done, total, message)``.

    Returns
    -------
    RegionPrediction

    Raises
    ------
    InputError
        For areas that are none or lie off the map, weights that weigh nothing, a share without a threshold.

    Warns
    -----
    GeospdeWarning
        Of areas that leave the map, with the share lost, and of weights below zero.

    Notes
    -----
    Sums are of the mean per unit exposure, as a map shows it. See `geospde.prediction.regions.moments` for how their
    variances are computed. After ML, REML or UBRE they are those of the estimate, with standard errors by the delta
    method.
    """
    _check(kind, threshold, draws)
    quantiles, exceed = as_levels(quantiles), as_thresholds(exceed)
    refuse_values_of(at)
    refuse_seed(seed, optional=True)
    whole = fit.model.multiplies and observations is None
    label, given = fit.model.response_label, fit
    if not whole:
        fit = fit.of_likelihood(observations)
    model = next(iter(fit.model.parts.values())) if whole else fit.model
    label = label if whole else model.response_label
    refuse_unused(at, model)
    combinations, layers = _combinations(at), posterior_layers(quantiles, exceed)
    if is_of_areas(model):
        refuse_cells(weights=weights, threshold=threshold, grid=grid, kind=None if kind == "mean" else kind)
        polygons = areas_by_label(areas, model, name, layer)
        _warn_of(polygons.findings)
        tables = [(v, figures_by_label(fit, polygons, v, quantiles, exceed, groups, callback)) for v in combinations]
        frame = pd.concat([_labelled(one, polygons.names, v) for v, one in tables], ignore_index=True)
        frame = frame.assign(weight=1.0, covered=1.0)
        return RegionPrediction(
            label, kind, None, "area", HOW, polygons.findings, frame, polygons.frame, layers, has_cells=False
        )  # fmt: skip
    polygons = read_areas(areas, model.crs, name, layer)
    on_map = _on_map(polygons, model, grid, weights)
    _warn_of(on_map.findings)
    averaging, frames, how = on_map.averaging(kind), [], ""
    for values in combinations:
        rows = on_map.cells._replace(table=on_map.cells.table.assign(**values))
        one, how = table_of_sums(
            fit, rows, averaging, kind, threshold, quantiles, exceed, groups, draws, seed, callback
        )
        one.loc[on_map.weight == 0] = np.nan
        frames.append(_labelled(one, polygons.names, values).assign(weight=on_map.weight, covered=on_map.covered))
    frame = pd.concat(frames, ignore_index=True)
    beyond = list(_beyond(frame, kind, threshold, exceed))
    beyond += unmeshed(given, fit.model, on_map.cells.points[np.unique(on_map.sums.indices)])
    _warn_of(beyond)
    findings = (*on_map.findings, *beyond)
    return RegionPrediction(label, kind, threshold, on_map.what, how, findings, frame, polygons.frame, layers)


@dataclass(frozen=True)
class _OnMap:
    """Areas on the cells of a map.

    Attributes
    ----------
    cells : Places
    sums : (a, n) csr_matrix
        What each cell weighs in each area.
    weight, covered : (a,) arrays
        Of each area: the sum of its weights, and the share of it that lies on the map.
    what : str
        What weighs.
    findings : tuple of Finding
    """

    cells: Places
    sums: sp.csr_matrix
    weight: Vector
    covered: Vector
    what: str
    findings: tuple[Finding, ...]

    def averaging(self, kind: str) -> sp.csr_matrix:
        """What each cell counts for in the figure of each area, (a, n): of means and shares they sum to one."""
        if kind == "total":
            return self.sums
        return sp.csr_matrix(sp.diags(1.0 / np.where(self.weight > 0, self.weight, 1.0)) @ self.sums)


def _on_map(areas: Areas, model: Model, given: Grid | None, weights: Any) -> _OnMap:
    """Lay areas over the cells of the grid given, or of one made for them."""
    if given is not None and not isinstance(given, Grid):
        raise InputError(f"grid is a Grid, as gs.Grid.from_bounds makes, not {in_brief(given)}")
    grid = _grid(model, areas) if given is None else given
    cells = places(model, grid)
    grid = grid if cells.grid is None else cells.grid
    cell, what, found = cell_weights(_on_grid(weights, given, grid), grid, model.crs)
    sums, weight, covered, told = laid_over(areas, grid, cell)
    return _OnMap(cells, sums, weight, covered, what, (*areas.findings, *found, *told))


def laid_over(areas: Areas, grid: Grid, cell: Vector) -> tuple[sp.csr_matrix, Vector, Vector, tuple[Finding, ...]]:
    """Lay areas over cells of some weights.

    Returns
    -------
    sums : (a, n) csr_matrix
        What of each cell's weight is in each area.
    weight : (a,) array
    covered : (a,) array
        The share of each area that lies on the map.
    findings : tuple of Finding
        Areas off the map, or without weight.

    Raises
    ------
    InputError
        Where no area lies on the map.
    """
    shares, covered = overlaps(areas.frame, grid)
    sums = sp.csr_matrix(shares @ sp.diags(cell))
    sums.eliminate_zeros()
    weight = np.asarray(sums.sum(axis=1)).ravel()
    return sums, weight, covered, (*_empty(areas.names, covered, weight), *lost_finding(areas.names, covered))


def _warn_of(findings: Iterable[Finding]) -> None:
    for finding in findings:
        if finding.level == "warning":
            alert(finding.as_warning())


def _labelled(table: pd.DataFrame, names: list[str], values: Mapping[str, Any]) -> pd.DataFrame:
    """The table with the areas' names and the values of other columns before it."""
    own = {"area": names, **{column: [value] * len(names) for column, value in values.items()}}
    return pd.concat([pd.DataFrame(own), table], axis=1)


def _check(kind: str, threshold: Any, draws: Any) -> None:
    if not isinstance(kind, str) or kind not in KINDS:
        raise InputError(f"kind is one of {listed(KINDS)}, not {in_brief(kind)}; {did_you_mean(str(kind)[:20], KINDS)}")
    if kind == "share" and threshold is None:
        raise InputError("a share needs the threshold above which it is taken: give threshold")
    if kind != "share" and threshold is not None:
        raise InputError(
            f"a threshold is only for kind 'share', not {kind!r}",
            remedy=f"exceed gives the probability that a {kind} is above",
        )
    if threshold is not None and (
        isinstance(threshold, bool) or not np.isreal(threshold) or not np.isfinite(threshold)
    ):
        raise InputError(f"a threshold must be a finite number, not {in_brief(threshold)}")
    refuse_draws(draws, 10, "regions need")


def _grid(model: Model, areas: Areas) -> Grid:
    """Cells over the areas, those whose centre lies in every mesh."""
    grid = Grid.around(areas.frame, crs=model.crs)
    outside = np.zeros(grid.n, dtype=bool)
    for mesh in model.meshes.values():
        outside |= mesh.locate(grid.centres) < 0
    if outside.all():
        raise InputError("no area lies on the mesh of the model: are both in one CRS?")
    return grid.without(outside) if outside.any() else grid


def _on_grid(weights: Any, given: Grid | None, grid: Grid) -> Any:
    """Weights a cell, without those of cells that were left out of the grid given."""
    if given is None or given.n == grid.n or np.ndim(weights) != 1 or len(weights) != given.n:
        return weights
    return np.asarray(weights)[grid.mask[given.mask]]


def _combinations(at: Mapping[str, Sequence[Any]] | None) -> list[dict[str, Any]]:
    """Every combination of values of other columns."""
    if at is None:
        return [{}]
    if not isinstance(at, Mapping) or not all(len(np.atleast_1d(v)) for v in at.values()):
        raise InputError(f"at holds values by column, as in {{'year': [2003, 2004]}}, not {at!r}")
    columns = {column: list(np.atleast_1d(np.asarray(values, dtype=object))) for column, values in at.items()}
    return [dict(zip(columns, values)) for values in product(*columns.values())]


def _beyond(frame: pd.DataFrame, kind: str, threshold: float | None, exceed: Sequence[float]) -> Iterator[Finding]:
    """Tell of thresholds beyond all that there is: every area has the same answer."""
    columns = [(t, f"exceed_{numeral(t)}", "probability") for t in exceed]
    if kind == "share" and threshold is not None:
        columns.append((threshold, "mean", "share"))
    for level, column, what in columns:
        values = frame[column].dropna().to_numpy(dtype=float)
        sure = 1e-6  # of a probability that is one but for rounding
        if values.size and (values.max() < sure or values.min() > 1 - sure):
            side = "above" if values.max() < sure else "below"
            areas = listed(list(dict.fromkeys(frame["area"])), most=3)
            said = f"the threshold {number(level)} lies {side} all that is predicted for {areas}"
            yield Finding("warning", "thresholds", f"{said}: each {what} is {round(float(values[0]))}")


def _empty(names: list[str], covered: Vector, weight: Vector) -> list[Finding]:
    """Tell of areas without a cell, or without weight."""
    off = [name for name, share in zip(names, covered) if share == 0]
    light = [name for name, share, w in zip(names, covered, weight) if share > 0 and w == 0]
    if len(off) == len(names):
        raise InputError("no area lies on the map", remedy="see whether both are in one CRS")
    found = []
    if off:
        lie = "lies" if len(off) == 1 else "lie"
        said = f"{counted(len(off), 'area')} {lie} off the map and {'has' if len(off) == 1 else 'have'} no figures"
        said = f"{said}: {listed(off, most=5)}"
        found.append(Finding("warning", "areas", said))
    if light:
        found.append(Finding("warning", "weights", f"the weights are zero in {listed(light, most=5)}: no figures"))
    return found
