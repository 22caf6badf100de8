"""Predictions at grid cells, table rows or points, in chunks, with exact standard deviations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype

from geospde.errors import GeospdeWarning, InputError, RowsCalled, alert
from geospde.formula.table import per_row, refuse_other_order
from geospde.linalg.threads import one_blas_thread, side_by_side
from geospde.model.build import Model
from geospde.model.support import Support
from geospde.prediction.excursions import Excursions, excursions
from geospde.prediction.layer import EXTRAPOLATION, Layer, estimate_layers, extrapolation_layer, posterior_layers
from geospde.prediction.layers import Layers
from geospde.prediction.places import FILLED, Places, places, unmeshed
from geospde.prediction.polygons import rows_of_polygons
from geospde.prediction.product import Product, Products
from geospde.prediction.steps import SteppedPrediction, of_step, several_steps, step_words
from geospde.prediction.thresholds import ClassThresholds, class_thresholds
from geospde.results.base import Fit
from geospde.results.estimates import EstimatedFit
from geospde.text.arguments import as_levels, as_thresholds, refuse_values_of
from geospde.text.keywords import answers_keywords
from geospde.text.progress import Callback
from geospde.text.words import in_brief, listed

if TYPE_CHECKING:
    from numpy.typing import NDArray


CHUNK = 20_000  # points at a time: a few hundred bytes each for every theta point


@answers_keywords
@dataclass(frozen=True, eq=False, repr=False)
class Prediction(Layers):
    """Posterior of the mean per unit exposure at many places; made by `Fit.predict`.

    Attributes
    ----------
    label : str
        What is predicted, such as ``"counts / time"``.
    layers : tuple of Layer
        What the columns of `to_frame` mean, and how they are shown.
    grid : Grid or None
        The raster that the points are the cells of.
    points : (m, 2) array or None
        Where, in the units of `crs`.
    crs : pyproj.CRS or None
    model : str
        The model behind it: formula, family and method.

    Examples
    --------
    >>> import geospde as gs
    >>> survey = gs.load_dataset("rongelap")
    >>> mesh = gs.build_mesh(survey.coastline, max_edge=(300, 600), offset=600)
    >>> fit = gs.fit("counts ~ 1 + spde(mesh)", survey.points, mesh=mesh, family="poisson", exposure="time")
    >>> surface = fit.predict(gs.Grid.around(survey.coastline, cell=100), exceed=[8])
    >>> surface.to_frame().columns.tolist()
    ['x', 'y', 'mean', 'sd', 'q0.025', 'q0.5', 'q0.975', 'exceed_8']
    >>> surface.layer("exceed_8").short
    'Probability above 8'
    """

    _fit: Fit = field(kw_only=True)
    _rows: _Rows | Products = field(kw_only=True)
    _step: tuple[str, Any] | None = field(default=None, kw_only=True)

    @property
    def sites(self) -> NDArray[np.float64] | None:
        """Where the model's observations are, (n, 2): of one of several steps its own. None of those without places."""
        model = self._fit.model
        points = getattr(model, "points", None)
        if points is None:
            return None
        seen = np.ones(len(points), dtype=bool)
        if model.family.is_pattern:  # other rows integrate over the domain
            seen &= model.likelihood.y > 0
        if self._step is not None:
            seen &= of_step(model.table, self._step[0], step_words(self._step[1]))
        return np.asarray(points, dtype=float)[seen]

    def each(self, work: Callable[[Prediction], Prediction]) -> Prediction:
        """Return what `work` makes of the prediction; of each step, where it has several."""
        return work(self)

    def exceedance(self, threshold: float | Mapping[Any, float], *, classes: Any = None) -> NDArray[np.float64]:
        """P(mean per unit exposure > threshold) at each place, (m,); by classes as `excursions` takes them."""
        if isinstance(threshold, Mapping | ClassThresholds):
            at = self.by_class(threshold, classes).at
            parts = self._rows.map(self._fit, lambda m, s, t: _exceed(m, self._fit, t, s), beside=at)
            return np.concatenate(list(parts))
        as_thresholds([threshold])
        for layer in self.layers:
            if layer.kind == "probability" and layer.level == threshold:
                return self.values(layer.name)
        return np.concatenate(list(self._rows.map(self._fit, lambda m, s: _exceed(m, self._fit, threshold, s))))

    def excursions(
        self,
        threshold: float | Mapping[Any, float],
        level: float = 0.95,
        kind: str = ">",
        *,
        classes: Any = None,
        draws: int = 4000,
        seed: int = 1,
        callback: Callback | None = None,
    ) -> Excursions:
        """Find where the mean per unit exposure lies above a threshold, all places at once.

        Parameters
        ----------
        threshold : float or mapping
            One for all places, or by class, as in ``{"garden": 100, "field": 300}``: each place has that of its own.
        level : float
            Probability that the whole set is right.
        kind : {">", "<", "!=", "="}
            Above; below; the set that avoids the contour, each place on its side; the set that holds the contour.
        classes : str, raster or (m,) array, optional
            Of the places, for thresholds by class: a column or covariate, a raster such as of land use, as covariates
            are given, or one class a place. A place whose class has no threshold is not decided.
        draws : int
            From the joint posterior.
        seed : int
        callback : callable, optional
            Called as ``callback(done, total, message)`` as draws are done.

        Returns
        -------
        Excursions
            See `geospde.prediction.excursions`.

        Raises
        ------
        InputError
            For a threshold, level or kind that is none.
        """
        one = threshold if classes is None else self.by_class(threshold, classes)
        return self.several_excursions([(one, kind)], level, draws=draws, seed=seed, callback=callback)[0]

    def by_class(self, limits: Any, classes: Any) -> ClassThresholds:
        """Return the threshold of each place by its class, as `excursions` takes them."""
        return class_thresholds(limits, classes, self._rows.table, self.points, self.crs)

    def several_excursions(
        self,
        asked: Sequence[tuple[Any, str]],
        level: float = 0.95,
        *,
        draws: int = 4000,
        seed: int = 1,
        callback: Callback | None = None,
    ) -> list[Excursions]:
        """Return the `excursions` of several thresholds and kinds, pairs, from one set of draws."""
        return excursions(
            self, self._fit, self.exceedance, self._rows.limits, asked, level, draws=draws, seed=seed, callback=callback
        )


class _Rows:
    """Places to predict at, handed out as chunks of design rows."""

    def __init__(
        self, model: Model, table: pd.DataFrame, points: Any, offset: Any, scale: Any, options: dict[str, Any],
        design: Any = None,
    ):  # fmt: skip
        self._model, self._design = model, design
        self.table = table
        self._options = self.options = options
        self.points = points
        self.offset = offset
        self.scale = scale
        self.size = len(table)

    def limits(self, threshold: float | NDArray[np.float64], fit: Fit) -> tuple[Any, NDArray[np.float64]]:
        """All rows of the design at once, and the value of ``rows @ x`` at which the scaled mean is the threshold."""
        link = fit.model.family.link
        if link.falls:
            raise InputError(
                f"excursions need a link whose mean rises with its predictor, which {link.name!r} does not"
            )
        at = link.forward(threshold / np.asarray(self.scale))
        at = np.where(np.isnan(at), -np.inf, at)  # no mean lies below what the link allows
        return self.part(slice(None)), at - self.offset

    def part(self, part: slice) -> Any:
        """Rows of the design, of polygons those that are known."""
        if self._design is not None:
            return self._design[part]
        points = None if self.points is None else self.points[part]
        with RowsCalled(self.table.index[part]):
            return self._model.rows(self.table.iloc[part].reset_index(drop=True), points, **self._options)

    def map(
        self, fit: Fit, work: Callable[..., Any], callback: Callback | None = None, beside: Any = None
    ) -> Iterator[Any]:
        """Results of ``work(mixture of the predictor, exposure)`` for each chunk, in order, chunks side by side.

        With `beside`, a number a place, those of the chunk are the third argument.
        """

        def of_chunk(first: int) -> Any:
            part = slice(first, min(first + CHUNK, self.size))
            mixture = replace(fit.mixture(self.part(part), self.offset[part]), of=self.size)
            return work(mixture, self.scale[part], *(() if beside is None else (beside[part],)))

        with one_blas_thread():
            firsts = range(0, self.size, CHUNK)
            for first, result in zip(firsts, side_by_side(of_chunk, firsts, self.size if len(firsts) > 1 else 0)):
                yield result
                if callback is not None:
                    callback(min(first + CHUNK, self.size), self.size, "prediction")


def predict(
    fit: Fit,
    where: Any,
    *,
    quantiles: Sequence[float] = (0.025, 0.5, 0.975),
    exceed: Sequence[float] = (),
    at: Mapping[str, Any] | None = None,
    exposure: Any = None,
    offset: Any = None,
    groups: bool = True,
    allow_new_levels: bool = False,
    observations: str | None = None,
    callback: Callback | None = None,
) -> Prediction | SteppedPrediction:
    """Posterior of the mean per unit exposure at new places; after ML, REML or UBRE its estimate and standard error.

    Parameters
    ----------
    fit : Fit
    where : Grid, DataFrame, GeoDataFrame or (m, 2) array
        Where. Covariates and groups of the model must be columns of a table. Polygons of a GeoDataFrame are means over
        each of what is predicted at a place, or totals where the fit's own rows are.
    quantiles : sequence of float
        Levels of the quantile columns.
    exceed : sequence of float
        Thresholds: a layer ``exceed_<threshold>`` with P(mean > threshold) for each.
    at : dict, optional
        Values of columns that are the same at all places, such as ``{"year": 2012}``. One column may have several, such
        as ``{"year": [2012, 2013]}``: the prediction is then of all these steps.
    exposure : float, array or str, optional
        Multiplies the mean, as ``exposure="time"`` for the counts that are expected in the time of each row; by default
        the prediction is per unit exposure, whatever the exposure of the fit.
    offset : float, array or str, optional
        Adds to the predictor; asked for where the model was fitted with one.
    groups : bool
        False leaves the effects of groups, ``(x | g)``, out: the population, as lme4's ``re.form = NA``. Then `where`
        need not name them.
    allow_new_levels : bool
        Let a group's level be one that the fit has not seen, missing, or not be named at all: its effects are then a
        draw from the group, of mean zero, and their variance is part of the uncertainty. Rows of one new level share
        its effects; each row without a level has its own.
    observations : str, optional
        Which of several likelihoods the mean is of, by its name.
    callback : callable, optional
        Called as ``callback(done, total, message)`` after each chunk.

    Returns
    -------
    Prediction or SteppedPrediction

    Raises
    ------
    InputError
        For places outside the mesh, missing columns or values, levels that the fit has not seen, or a CRS that differs
        from the data's.
    """
    if isinstance(where, pd.DataFrame):
        refuse_other_order(where, exposure=exposure, offset=offset)
    options = {
        "quantiles": quantiles, "exceed": exceed, "exposure": exposure, "offset": offset, "groups": groups,
        "allow_new_levels": allow_new_levels, "observations": observations,
    }  # fmt: skip
    steps = several_steps(at)
    if steps is None:
        predictor = Predictor(fit, at=at, **options)
        return predict_at(predictor, places(predictor.model, where, polygons=True), callback)
    predictors = [Predictor(fit, at={**(at or {}), steps.along: value}, **options) for value in steps.values]
    place = places(predictors[0].model, where, polygons=True)
    each = [
        replace(predict_at(predictor, place, callback), _step=(steps.along, value))
        for predictor, value in zip(predictors, steps.values)
    ]
    return SteppedPrediction.of(steps.along, steps.values, each)


def predict_at(predictor: Predictor, place: Places, callback: Callback | None = None) -> Prediction:
    """Predict at places that are read; see `predict`."""
    with RowsCalled(place.labels):
        table = predictor.table(place)
        frame, rows = predictor.columns(place, table, callback)
    covariates = predictor.model.covariates
    if covariates is not None and EXTRAPOLATION in frame and (said := covariates.beyond_in_words(table)):
        alert(GeospdeWarning(said, remedy="trust the map less there", subject=EXTRAPOLATION))
    if place.lacking:
        alert(GeospdeWarning(place.lacking, remedy=FILLED, subject="covariates"))
    if place.points is not None:
        for finding in unmeshed(predictor.whole, predictor.model, place.points):
            alert(finding.as_warning())
        frame.insert(0, "x", place.points[:, 0])
        frame.insert(1, "y", place.points[:, 1])
    return Prediction(
        predictor.label, frame, predictor.layers, place.grid, place.points,
        place.crs if place.crs is not None else predictor.model.crs, predictor.words, predictor.contents,
        _fit=predictor.fit, _rows=rows,
    )  # fmt: skip


class Predictor:
    """What is to be predicted, for places that come later, perhaps a part at a time; see `predict` for the arguments.

    Attributes
    ----------
    fit : Fit
        As the likelihood sees it whose mean is predicted.
    layers : tuple of Layer
        What is predicted.
    label, words, contents : str
        As of a `Prediction`: what is predicted, the model in words, what the whole is called.
    is_product : bool
        Whether it is of a delta family, as a whole.

    Raises
    ------
    InputError
        For levels, thresholds or a likelihood that are none.
    """

    def __init__(
        self,
        fit: Fit,
        *,
        quantiles: Sequence[float],
        exceed: Sequence[float],
        at: Mapping[str, Any] | None = None,
        exposure: Any = None,
        offset: Any = None,
        groups: bool = True,
        allow_new_levels: bool = False,
        observations: str | None = None,
    ):
        self.whole, self.is_product = fit, fit.model.multiplies and observations is None
        self.fit = fit = fit.of_likelihood(next(iter(fit.model.parts)) if self.is_product else observations)
        self.model = model = fit.model
        quantiles, exceed = as_levels(quantiles), as_thresholds(exceed)
        refuse_values_of(at)
        is_estimate = isinstance(fit, EstimatedFit)
        layers = (estimate_layers if is_estimate else posterior_layers)(quantiles, exceed)
        self.layers = layers + extrapolation_layers(model)
        self.quantiles, self.at, self.exposure, self.offset = quantiles, at, exposure, offset
        left_out = () if groups else model.groups
        self.options: dict[str, Any] = {"leave_out": left_out, "allow_new_levels": allow_new_levels}
        self.label = model.response_label if exposure is None else model.formula.response_name
        self.words = f"{fit.formula}, {fit.family}, {fit.method}"
        self.contents = "Estimate" if is_estimate else "Posterior"

    @property
    def _thresholds(self) -> dict[str, float]:
        """Of the layers of probabilities, by their names."""
        return {x.name: x.level for x in self.layers if x.kind == "probability" and x.level is not None}

    def table(self, place: Places) -> pd.DataFrame:
        """Return the columns that the model uses, at some places."""
        return with_values(place.table, self.at, self.model)

    def columns(
        self,
        place: Places,
        table: pd.DataFrame,
        callback: Callback | None = None,
    ) -> tuple[pd.DataFrame, _Rows | Products]:
        """Return one column per layer at some places, whose `table` is known, and the places as rows of the design."""
        fit, model = self.fit, self.model
        multiplier = _multiplier(table, self.exposure)
        if place.support is None:
            given = None if self.is_product else self.offset
            rows = _Rows(model, table, place.points, _offset(model, table, given), multiplier, self.options)
        else:
            rows = self._of_polygons(place.support, table, place.points, multiplier)

        def columns_of(mixture: Any, scale: Any) -> pd.DataFrame:
            if self.is_product:
                return pd.DataFrame(mixture.columns(self.quantiles, self._thresholds, scale))
            columns = fit.response(mixture, self.quantiles)
            columns = {name: scale * values for name, values in columns.items()}
            for name, level in self._thresholds.items():
                columns[name] = _exceed(mixture, fit, level, scale)
            return pd.DataFrame(columns)

        asked: _Rows | Products = rows
        if self.is_product:
            second = list(self.whole.model.parts.values())[1]
            offset = _offset(second, table, self.offset)  # of the values above 0
            positive = _Rows(second, table, place.points, offset, np.ones(rows.size), self.options)
            asked = Products(self.whole, rows, positive)
        frame = pd.concat(list(asked.map(fit, columns_of, callback)), ignore_index=True)
        if model.covariates is not None and any(layer.name == EXTRAPOLATION for layer in self.layers):
            frame[EXTRAPOLATION] = model.covariates.beyond(table)
        return frame, asked

    def _of_polygons(self, support: Support, table: pd.DataFrame, points: Any, multiplier: Any) -> _Rows:
        """Polygons, as means or totals of the places within them."""
        if self.is_product:
            raise InputError("a delta family has no rows of polygons: see fit.predict_regions")
        given = support.spread(self.offset)
        design, offset = rows_of_polygons(
            self.fit, support, self.at or {}, lambda of: _offset(self.model, of, given), self.options
        )
        return _Rows(self.model, table, points, offset, multiplier, self.options, design)


def with_values(table: pd.DataFrame, at: Mapping[str, Any] | None, model: Model) -> pd.DataFrame:
    """The table with columns of one value each."""
    refuse_unused(at, model)
    for name, value in (at or {}).items():
        if name in table.columns:
            raise InputError(f"at gives {name!r}, and the places have that column already: leave one of them out")
        if not np.isscalar(value):
            raise InputError(f"at gives {value!r} for {name!r}, which is no value")
    return table.assign(**(at or {}))


def refuse_unused(at: Mapping[str, Any] | None, model: Model) -> None:
    """Raise InputError for values of a column that the model does not use."""
    for name in at or {}:
        if name not in model.used_columns:
            others = [c for c in model.used_columns if c not in model.response_label.split(" / ")]
            uses = f"it uses {listed(others)}" if others else "it uses no column beside the response"
            raise InputError(f"at gives {in_brief(name)}, which the model does not use; {uses}")


def extrapolation_layers(model: Model) -> tuple[Layer, ...]:
    """Return the layer of where a map lies beyond the sites' covariates, for a model that takes some from rasters."""
    return () if model.covariates is None or model.covariates.of_classes else (extrapolation_layer(),)


def _vector(table: pd.DataFrame, value: Any, what: str, default: float) -> Any:
    return per_row(table, default if value is None else value, what, len(table))


def _multiplier(table: pd.DataFrame, exposure: Any) -> Any:
    """What the mean is multiplied with, a row; raises InputError for one that no mean can be of."""
    given = exposure if not isinstance(exposure, str) else table[exposure] if exposure in table.columns else 1.0
    if is_bool_dtype(np.asarray(given).dtype):
        raise InputError("exposure is how much there was at each place: a column's name or numbers, not True and False")
    values = _vector(table, exposure, "exposure", 1.0)
    if (values < 0).any():
        row = int(np.argmax(values < 0))
        raise InputError(f"exposure must not be negative: {{row}} holds {values[row]:g}", row=row)
    return values


def _offset(model: Model, table: pd.DataFrame, given: Any) -> Any:
    """The offset at the new places: given here, or the columns that the model was fitted with."""
    if given is not None or not model.has_offset:
        return _vector(table, given, "offset", 0.0) + model.remainder(table)
    return model.offsets.of(table) + model.remainder(table)


def _exceed(mixture: Any, fit: Fit, threshold: float | NDArray[np.float64], scale: Any) -> NDArray[np.float64]:
    """P(scale * inverse link > threshold)."""
    if isinstance(mixture, Product):
        return mixture.exceedance(threshold, scale)
    link = fit.model.family.link
    at = link.forward(threshold / scale)
    if link.falls:
        return np.where(np.isfinite(at), 1.0 - np.minimum(mixture.sf(np.where(np.isfinite(at), at, 0.0)), 1.0), 1.0)
    sure = np.isnan(at) | np.isneginf(at)  # no mean lies below what the link allows
    return np.where(sure, 1.0, np.minimum(mixture.sf(np.where(sure, 0.0, at)), 1.0))
