"""What a run computes: from its survey to mesh, grid, model, fit and prediction, each from those before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from geospde.errors import GeospdeWarning, InputError, NumericalError, alert
from geospde.explore.mesh_checks import check_mesh
from geospde.export import windowed
from geospde.families.delta import delta_of, refuse_formula2
from geospde.families.registry import read_family
from geospde.mesh.build import build_mesh
from geospde.mesh.trimesh import Mesh
from geospde.model.build import Model, build_model
from geospde.model.covariates import with_covariates
from geospde.model.delta import build_delta, refuse_of_delta
from geospde.model.joint import build_joint, likelihood_names
from geospde.model.observations import Observations
from geospde.model.pattern import pattern
from geospde.model.support import Support, read_support
from geospde.prediction.grid import Grid
from geospde.prediction.places import places
from geospde.prediction.steps import SteppedPrediction, several_steps
from geospde.prediction.surface import Prediction, with_values
from geospde.prediction.thresholds import class_thresholds
from geospde.prediction.validation import check_folds
from geospde.prediction.windows import windows
from geospde.results import fit as fitting
from geospde.results.base import Fit
from geospde.results.bayesian import BayesianFit
from geospde.results.certificate import FEWEST
from geospde.results.checks import influential
from geospde.results.loo import row_labels
from geospde.results.simulate import PredictiveCheck, is_delta, predictive_check, prior_predictive_check
from geospde.run.config import Config
from geospde.run.inputs import pattern_domain
from geospde.survey.graphs import warn_of_unused
from geospde.survey.reading import read_coastline
from geospde.survey.survey import Survey
from geospde.text.findings import Finding
from geospde.text.progress import Callback
from geospde.text.words import counted, did_you_mean, joined, listed, number

MOST_REPLICATED = 20_000
"""Responses up to which a run compares them with 200 replicates, and latent variables up to which it draws priors."""

BAYESIAN = ("inla", "eb")
"""Methods of `geospde.fit` that give a posterior."""

SURE = 1e-6
"""A probability that is 0 but for rounding."""

LARGE = 5_000_000
"""Cells beyond which a map is predicted window by window, into a raster alone."""

MOST_LINES = 8
"""Of observations that a finding names."""

OWN_GRAPH = "areas"
"""What formulas call the graph of a survey of areas, in which those that touch are neighbours."""

_CELLS = "the cells of a grid have coordinates only"


def make_mesh(config: Config, survey: Survey) -> Mesh:
    """Build ``[mesh]`` around coastline or sites.

    Where the reach of its outer zone is left to it, it goes around all that is mapped.
    """
    keys: dict[str, Any] = {"sites": survey.points, "crs": survey.crs, **config.mesh.given()}
    if config.is_pattern:  # points of a cluster would be vertices, one beside the other
        keys |= {"use_sites": config.mesh.use_sites and "use_sites" in config.mesh.model_fields_set}
    if config.observations:
        measured = [s.points[["geometry"]] for c, s in zip(config.likelihoods(), survey.parts) if not c.is_pattern]
        keys |= {"sites": pd.concat(measured) if measured else None}
    if config.mesh.barrier is not None:
        path = config.path(config.mesh.barrier)
        keys["barrier"], _ = read_coastline(path, crs=survey.crs, source_crs=None, layer=None, ring=None)
    with survey.rows_called:
        return _mesh_around(config, survey, keys)


def _mesh_around(config: Config, survey: Survey, keys: dict[str, Any]) -> Mesh:
    """Build a mesh around the coastline, the sites or all that is mapped."""
    if survey.coastline is not None:
        mesh = build_mesh(survey.coastline, **keys)
    else:
        mesh = build_mesh(survey.points, **keys)
        if not shapely.covers(mesh.boundary, survey.domain):  # the hull of sites bends inwards between them
            mesh = build_mesh(survey.domain, **keys)
    buffer, is_free = config.prediction.buffer, "offset" not in keys and np.size(keys.get("convex", 0.0)) == 1
    if buffer > 0 and is_free and _unmeshed(_cells(config, survey, mesh), mesh).any():
        mesh = build_mesh(survey.domain.buffer(buffer), **keys)
    return mesh


def make_grid(config: Config, survey: Survey, mesh: Mesh) -> Grid:
    """Lay the cells of ``[prediction]``, but for those at its edge whose centre lies outside of region and mesh.

    Raises
    ------
    InputError
        If a centre in the region lies outside of the mesh.
    """
    grid = _cells(config, survey, mesh)
    outside = int(np.count_nonzero(_unmeshed(grid, mesh)))
    if outside:
        raise InputError(
            f"{outside:,} of {counted(grid.n, 'cell')} to predict have their centre outside of the mesh",
            remedy="take smaller cells or less buffer in [prediction], or widen the mesh (convex, offset in [mesh])",
        )
    return grid


def _cells(config: Config, survey: Survey, mesh: Mesh) -> Grid:
    """Lay the cells, but for those whose centre lies outside of both region and mesh."""
    grid = Grid.around(survey.domain, crs=survey.crs, **config.prediction.given("shape", "cell", "buffer"))
    buffer = config.prediction.buffer
    region = survey.domain.buffer(buffer) if buffer else survey.domain  # seconds, of thousands of islands
    shapely.prepare(region)
    beyond = _unmeshed(grid, mesh, region)
    if not beyond.any() or beyond.all():
        return grid
    mask = grid.mask.copy()
    mask[mask] = ~beyond
    return replace(grid, mask=mask)


def _unmeshed(grid: Grid, mesh: Mesh, but: Any = None) -> NDArray[np.bool_]:
    """Tell whose centre lies outside of the mesh (and of another region), (n,), a window at a time."""
    out = np.empty(grid.n, dtype=bool)
    for window in windows(grid):
        centres = window.of(grid).centres
        found = mesh.locate(centres) < 0
        if but is not None and found.any():
            found[found] = ~shapely.intersects_xy(but, centres[found])
        out[window.cells] = found
    return out


def make_model(config: Config, survey: Survey, mesh: Mesh | None) -> Model:
    """Build ``[model]`` under ``[priors]``, and check that it is for the method of ``[inference]``."""
    inference, priors = config.inference, config.priors or "default"
    fitting.check_options(**inference.how, priors=priors)
    model = _model(config, survey, mesh, priors)
    warn_of_unused(config.graphs, model.graphs)
    fitting.check_model(model, inference.method, inference.quadrature)
    if config.validates and inference.method not in BAYESIAN:
        raise InputError(f"[validation] needs method 'inla' or 'eb' in [inference], not {inference.method!r}")
    if config.validates and not model.parts:
        check_folds(model, config.validation.folds, config.validation.k, config.validation.distance)
    if inference.certify and inference.method not in BAYESIAN:
        raise InputError(f"certify in [inference] needs method 'inla' or 'eb', not {inference.method!r}")
    if inference.certify is not True and 0 < inference.certify < FEWEST:
        raise InputError(f"certify in [inference] is true or a number of draws, {FEWEST} or more")
    return model


def _model(config: Config, survey: Survey, mesh: Mesh | None, priors: Any) -> Model:
    """The model of the survey; an InputError names a row as its file counts."""
    if config.observations:
        return _joint_model(config, survey, mesh, priors)
    with survey.rows_called:
        return _one_response(config, survey, mesh, priors)


def _one_response(config: Config, survey: Survey, mesh: Mesh | None, priors: Any) -> Model:
    """The model of one likelihood, or of the two of a delta family."""
    touching = {} if survey.areas is None else {OWN_GRAPH: survey.table}
    given = {
        "data": survey.table, "mesh": mesh, "priors": priors, "covariates": survey.covariates,
        "graphs": {**touching, **{name: config.path(file) for name, file in config.graphs.items()}},
    }  # fmt: skip
    wanted = config.model.given()
    formula2 = wanted.pop("formula2", None)
    areas = wanted.pop("areas", None)
    wanted.pop("levels", None)  # the survey has numbers for them
    delta = delta_of(config.model.family, config.model.link)
    if delta is None:
        if formula2 is not None:
            refuse_formula2(config.model.family, "formula2 in [model]")
        if config.is_pattern:
            return _pattern_model(config, survey, given)
        if areas is not None:
            given |= {"support": _support(config, areas, survey, mesh), "covariates": None}
        return build_model(**wanted, **given)
    refuse_of_delta(delta.name, exposure=wanted.get("exposure"), weights=wanted.get("weights"), areas=areas)
    own = {name: wanted.get(name) for name in ("offset", "dispformula")}
    return build_delta(delta, config.model.formula, formula2, **own, **given)


def _support(config: Config, areas: Any, survey: Survey, mesh: Mesh | None) -> Support:
    """Places within the areas of a survey, as ``areas`` of ``[model]`` asks for them."""
    if isinstance(areas, Mapping):
        areas = {**areas, "weights": config.path(areas["weights"])}
    family = read_family(config.model.family, config.model.link)
    covariates = config.covariate_files() or None
    return read_support(
        areas, config.model.formula, survey.table, family, mesh=mesh, coords=None, covariates=covariates
    )


def _pattern_model(config: Config, survey: Survey, given: Mapping[str, Any]) -> Model:
    """The model of a point pattern: its points, and places where its intensity is integrated."""
    covariates = config.covariate_files() or None
    laid = pattern(config.model.formula, survey.points, pattern_domain(config, survey), given["mesh"], None, covariates)
    sampled = with_covariates(laid.formula, laid.table, covariates, None, laid.places)
    own: dict[str, Any] = {
        **given, **config.model.given("family", "link", "dispformula"), "data": sampled.table,
        "covariates": sampled.covariates, "exposure": sampled.rows_of(laid.exposure), "window": laid.window,
    }  # fmt: skip
    return build_model(laid.formula, **own)


def _joint_model(config: Config, survey: Survey, mesh: Mesh | None, priors: Any) -> Model:
    """The model of several likelihoods."""
    members = []
    for one, part, own in zip(config.observations, config.likelihoods(), survey.parts):
        domain = pattern_domain(part, own) if part.is_pattern else None
        keys = one.model
        if isinstance(keys.get("areas"), Mapping):
            keys["areas"] = {**keys["areas"], "weights": config.path(keys["areas"]["weights"])}
        members.append(Observations(data=own.table, name=one.name, domain=domain, **keys))
    graphs = {name: config.path(file) for name, file in config.graphs.items()}
    try:
        return build_joint(
            members, terms=config.terms, mesh=mesh, priors=priors, graphs=graphs,
            covariates=config.covariate_files() or None,
        )  # fmt: skip
    except InputError as error:
        parts = dict(zip(likelihood_names(members), survey.parts))
        of = None if error.where is None else parts.get(error.where.file)
        raise error if of is None else error.placed(lambda row: of.place(row, None)) from None


def mapped(config: Config, fit: Fit) -> Fit:
    """Return the fit as what is mapped first sees it: of several likelihoods the first."""
    return fit.of_likelihood(next(iter(fit.model.parts))) if config.observations else fit


def check_predictable(model: Model, grid: Grid, at: Mapping[str, Any] | None = None) -> None:
    """Raise an InputError unless the cells of a grid can be predicted; warn of what their prediction leaves out.

    Parameters
    ----------
    model : Model
    grid : Grid
    at : mapping, optional
        Values of columns, as of ``[prediction]``.
    """
    if any(part.has_offset for part in model.parts.values() or [model]):
        remedy = "use exposure, or geospde.fit and predict at a table"
        raise InputError(f"the model has an offset, and {_CELLS}", remedy=remedy)
    where = places(model, grid if grid.n <= LARGE else windows(grid)[0].of(grid))
    steps = several_steps(at)
    each = [at] if steps is None else [{**(at or {}), steps.along: value} for value in steps.values]
    tables = [with_values(where.table.iloc[:1], one, model) for one in each]
    try:
        for table in tables:
            for part in model.parts.values() or [model]:
                part.rows(table, where.points[:1], leave_out=part.groups)
    except InputError as error:
        remedy = "name a raster for it in [covariates], or its value in [prediction], as in at.year = [2019, 2020]"
        raise InputError(f"{error.what}, and {_CELLS}", remedy=remedy) from None
    if model.groups:
        left_out = listed(dict.fromkeys(term.grouping.name for term in model.terms if term.grouping is not None))
        what = f"the maps show the population, without the effects of {left_out}"
        alert(GeospdeWarning(what, remedy="the cells of a grid belong to no group"))


def covered(model: Model, grid: Grid) -> Grid:
    """Return the cells that have all covariates of a model, where those that miss one may be dropped."""
    if model.covariates is None or not model.covariates.may_drop:
        return grid
    if grid.n <= LARGE:
        return places(model, grid).grid or grid
    mask = np.zeros_like(grid.mask)
    for window in windows(grid):
        part = places(model, window.of(grid), is_part=True).grid
        if part is not None:
            mask[window.rows] = part.mask
    return replace(grid, mask=mask)


def describe_model(model: Model) -> str:
    """Return how large a model is, and what it estimates."""
    names = ", ".join([*model.effects.names, *(h.name for h in model.hyperparameters)])
    return f"{counted(model.design.shape[1], 'latent variable')}; {names}"


def fit_model(config: Config, model: Model, *, callback: Callback | None = None) -> Fit:
    """Fit a model as ``[inference]`` says."""
    arguments: dict[str, Any] = {name: getattr(config.model, name) for name in ("formula", "exposure", "offset")}
    if config.observations or config.is_pattern:
        arguments = {"formula": model.formula.text}
    if config.model.formula2 is not None:
        arguments["formula"] += f"; {config.model.formula2}"
    return fitting.fit_model(model, arguments, **config.inference.how, callback=callback)


def check_fit(survey: Survey, mesh: Mesh | None, fit: Fit) -> tuple[Finding, ...]:
    """Look at a fit, and at what of its mesh the fit's own check does not: that knows the range, a guess no more."""
    found = [_at_its_lines(finding, survey, fit.model) for finding in fit.check()]
    if mesh is None:
        return tuple(found)
    judged = ("mesh edges", "mesh extension") if any(finding.subject == "mesh" for finding in found) else ()
    return (*found, *(finding for finding in check_mesh(mesh, survey) if finding.subject not in judged))


def _at_its_lines(finding: Finding, survey: Survey, model: Model) -> Finding:
    """A finding about observations with the lines of the file that they stand in, some of them."""
    message = influential(len(finding.rows))
    if finding.subject != "influence" or not finding.remedy.startswith(message):
        return finding
    labels, own = row_labels(model), dict(zip(model.parts, survey.parts))
    lines: dict[str, list[str]] = {}
    for name, label in (labels[row] for row in finding.rows[:MOST_LINES]):
        where = own.get(name, survey).place(int(label), None)
        word = where.word if len(finding.rows) == 1 else f"{where.word}s"
        lines.setdefault(f"{word} of {where.file}" + (f" ({name})" if name else ""), []).append(str(where.row))
    places = "; ".join(f"{of.partition(' ')[0]} {joined(each)} {of.partition(' ')[2]}" for of, each in lines.items())
    more = f" and {len(finding.rows) - MOST_LINES} more" if len(finding.rows) > MOST_LINES else ""
    return replace(finding, remedy=f"{message}: {places}{more}")


def check_replicates(fit: Fit, *, prior: bool = False) -> PredictiveCheck | None:
    """Compare the responses with replicates of the fit, or of its priors.

    None of fits whose responses are none, or very many, of priors that cannot be drawn from, and of those of a mesh so
    large that drawing takes long.
    """
    likelihood = fit.model.likelihood
    is_replicated = likelihood.is_replicated or is_delta(fit.model)
    if not is_replicated or len(likelihood.y) > MOST_REPLICATED:
        return None
    if prior and (not isinstance(fit, BayesianFit) or fit.model.design.shape[1] > MOST_REPLICATED):
        return None
    try:
        return (prior_predictive_check if prior else predictive_check)(fit)
    except InputError:  # a family that draws no responses, or an improper prior
        return None


def predict(
    config: Config, fit: Fit, grid: Grid, *, callback: Callback | None = None
) -> Prediction | SteppedPrediction:
    """Predict the intensity in every cell, with the quantiles, exceedances and further layers of ``[prediction]``."""
    wanted = config.prediction
    prediction: Prediction | SteppedPrediction = fit.predict(
        grid, quantiles=wanted.quantiles, exceed=wanted.exceed, at=wanted.at, groups=False, callback=callback
    )
    frame = prediction.to_frame()
    finite = np.isfinite(frame.to_numpy(dtype=float))
    if not finite.all():
        columns = listed(frame.columns[~finite.all(axis=0)])
        raise NumericalError(
            f"the prediction is not finite in {(~finite.all(axis=1)).sum():,} of {counted(len(frame), 'cell')} "
            f"({columns}): the data say too little for these priors",
            remedy='give tighter ones in [priors], such as "sigma(spde)" = { pc = [1, 0.01] }',
        )
    _warn_of_thresholds(prediction, [*wanted.exceed, *config.excursions.exceed])
    for name in wanted.layers:
        prediction = prediction.with_layer(name)
    return prediction.each(partial(decide, config))


def _warn_of_thresholds(prediction: Prediction | SteppedPrediction, thresholds: Sequence[float]) -> None:
    """Warn of thresholds beyond all that is predicted: maps of them are of one colour."""
    for threshold in dict.fromkeys(thresholds):
        above = np.asarray(prediction.exceedance(threshold), dtype=float)
        if above.max() < SURE or above.min() > 1 - SURE:
            side = "above" if above.max() < SURE else "below"
            what = f"the threshold {number(threshold)} lies {side} all that is predicted: its maps are of one colour"
            alert(GeospdeWarning(what, remedy="exceed is in the unit of the map", subject="exceed"))


def predict_raster(
    config: Config,
    fit: Fit,
    grid: Grid,
    path: Path,
    *,
    crop: Any = None,
    unfinished: Path,
    callback: Callback | None = None,
) -> None:
    """Predict the same into a raster, window by window."""
    windowed.predict_raster(
        fit, path, grid, crop=crop, unfinished=unfinished, callback=callback, **raster_wishes(config)
    )


def raster_wishes(config: Config) -> dict[str, Any]:
    """Return what ``[prediction]`` asks of a raster that is predicted window by window.

    Raises
    ------
    InputError
        For ``[excursions]``, which need all cells at once.
    """
    if config.excursions.is_wanted:
        raise InputError(
            f"[excursions] are decided for all cells at once, and more than {LARGE:,} are predicted by windows",
            remedy="take larger cells in [prediction], or leave [excursions] out",
        )
    wanted = config.prediction
    steps = several_steps(wanted.at)
    if steps is not None:
        raise InputError(
            f"{len(steps.values)} steps of {steps.along} are mapped at once, and more than {LARGE:,} cells by windows",
            remedy="take larger cells in [prediction], or one value in its at",
        )
    options = {"quantiles": wanted.quantiles, "exceed": wanted.exceed, "layers": wanted.layers, "groups": False}
    return options | ({"at": wanted.at} if wanted.at else {})


def decide(config: Config, prediction: Prediction) -> Prediction:
    """Add the excursion functions of ``[excursions]``, and what they decide."""
    wanted, limits = config.excursions, list[Any](config.excursions.exceed)
    if wanted.classes:
        limits.append(prediction.by_class(wanted.limits, classes_of(config)))
    asked = [(limit, kind) for limit in limits for kind in (">", "!=")]
    found = prediction.several_excursions(asked, wanted.level, draws=wanted.draws, seed=wanted.seed) if asked else []
    for above, sided in zip(found[::2], found[1::2]):
        prediction = prediction.with_layer(above.surface.layers[0], above.function)
        for layer in sided.surface.layers[1:]:  # that of limits by class, too
            prediction = prediction.with_layer(layer, sided.surface.values(layer.name))
    return prediction


def check_classes(config: Config, survey: Survey, grid: Grid) -> None:
    """Raise an InputError if the classes of ``[excursions]`` cannot be read in the cells, or limits are of none."""
    if config.excursions.classes:
        cells = pd.DataFrame(index=pd.RangeIndex(grid.n))
        class_thresholds(config.excursions.limits, classes_of(config), cells, grid.centres, survey.crs)


def classes_of(config: Config) -> dict[str, Any]:
    """Return the raster of the classes of ``[excursions]``: one of ``[covariates]``, or a file.

    Raises
    ------
    InputError
        If it is neither.
    """
    name = config.excursions.classes or ""
    given = config.covariate_files().get(name)
    if given is None:
        if not config.path(name).is_file():
            near = did_you_mean(name, config.covariates) if config.covariates else "there are no [covariates]"
            raise InputError(f"[excursions] classes: {name!r} is no covariate, and no file", remedy=near)
        return {"raster": config.path(name), "name": Path(name).stem}
    if "raster" not in given:
        raise InputError(f"[excursions] classes: the covariate {name!r} is of no raster")
    return {"name": name, **{key: given[key] for key in ("raster", "band", "crs", "labels") if key in given}}


def criteria_of(fit: Fit) -> dict[str, float]:
    """Return the criteria of a fit, its evidence first where it has priors."""
    evidence = {"log_marginal_likelihood": fit.log_marginal_likelihood} if isinstance(fit, BayesianFit) else {}
    return {**evidence, **fit.criteria}
