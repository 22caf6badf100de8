"""Fits from disk, as `geospde.results.storage` writes them."""

import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from geospde.errors import GeospdeError, GeospdeWarning, InputError
from geospde.families.base import Family
from geospde.families.registry import family_by_name
from geospde.inference.hyper import Accuracy, HyperPosterior, Posterior
from geospde.inference.laplace import Laplace
from geospde.inference.residual import residual_from
from geospde.inference.warp import Warp
from geospde.likelihood.refusals import only_smooths
from geospde.likelihood.search import Maximum
from geospde.linalg.basis import Basis
from geospde.linalg.threads import one_blas_thread
from geospde.mesh.trimesh import Mesh
from geospde.model.build import Model, build_model
from geospde.model.coarse import is_fine
from geospde.model.delta import made_again
from geospde.results.base import Fit
from geospde.results.bayesian import BayesianFit
from geospde.results.fit import estimated_fit
from geospde.results.saving.archive import Archive
from geospde.results.saving.compact import expand
from geospde.results.saving.consistency import (
    CHEAP,
    check_again,
    check_criterion,
    check_density,
    check_likelihood,
    check_maximum,
    check_points,
)
from geospde.results.saving.priors import former_priors, nearest, with_priors
from geospde.results.saving.schema import Words, check_shapes, check_values, read_words
from geospde.results.saving.tables import recipe_of, support_of, table_of, window_of
from geospde.results.saving.weighing import check_covariance, check_data, check_moments, check_weights
from geospde.results.storage import files_of
from geospde.survey.covariates.sites import restored
from geospde.survey.graphs import Graph
from geospde.text.keywords import answers_keywords

_FAULTS = (ValueError, TypeError, KeyError, IndexError, AttributeError, ArithmeticError, AssertionError, RuntimeError)


@answers_keywords
def load_fit(path: Any, *, family: Family | type[Family] | None = None) -> Fit:
    """Read a fit that `Fit.save` or a run wrote.

    Parameters
    ----------
    path : str or Path
        Name given to `save`, one of its two files, or a run's folder.
    family : Family, optional
        The class of the fit's family, where it is one's own and its module has not been imported, or is a script.

    Returns
    -------
    Fit
        Tables, marginals, draws and predictions as before saving.

    Raises
    ------
    InputError
        Where there is no such fit, or it is damaged, was altered, or is of a family whose module is not imported.

    Examples
    --------
    >>> import tempfile, geospde as gs
    >>> survey = gs.load_dataset("rongelap")
    >>> mesh = gs.build_mesh(survey.coastline, max_edge=(300, 600), offset=600)
    >>> fit = gs.fit("counts ~ 1 + spde(mesh)", survey.points, mesh=mesh, family="poisson", exposure="time")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     fit.save(f"{folder}/mine")
    ...     again = gs.load_fit(f"{folder}/mine")
    >>> bool((again.fixed == fit.fixed).all(axis=None))
    True
    """
    arrays_file, words_file = files_of(path)
    for file in (arrays_file, words_file):
        if not file.is_file():
            raise InputError(f"no saved fit here: {file} is missing")
    words = read_words(words_file)
    archive = Archive(arrays_file)
    check_shapes(arrays_file, words, archive.shapes, archive.kinds)
    arrays = archive.read(words.arrays)
    check_values(arrays_file, arrays)
    own = None if words.several is not None else _family(words) if family is None else family
    try:
        model = _of_priors(words, arrays, own)
        _check_settings(words, model, arrays.get("points"))
        if "maximum_theta" in arrays:
            return _estimated(model, words, arrays)
        return _bayesian(model, words, arrays, arrays_file)
    except GeospdeError as error:
        raise InputError(f"the saved fit {words_file} does not hold together: {error}") from None
    except _FAULTS as error:
        why = " ".join(str(error).split())[:80] or type(error).__name__
        raise InputError(f"the saved fit {words_file} does not hold together ({why}): save it again") from None


def _of_priors(words: Words, arrays: dict[str, Any], family: Family | type[Family] | None) -> Model:
    """The model with the priors that the fit had, whatever are the defaults now."""

    def made(priors: dict[str, Any]) -> Model:
        model = _joint(words, arrays, priors) if family is None else _model(words, arrays, family, priors)
        return replace(model, priors_given=words.priors or {})

    given = words.priors or {}
    if words.settings.method not in ("inla", "eb"):
        return _with_matched(made(given), words, arrays)
    if words.priors_in_force is not None:
        return _with_matched(with_priors(made(given), words.priors_in_force.model_dump()), words, arrays)
    if words.format > 2:
        raise ValueError("it does not say its priors")
    models = [_with_matched(made(priors), words, arrays) for priors in former_priors(words)]
    at = int(np.argmax(arrays["log_posterior"]))
    return nearest(models, arrays["theta"][at], expand("modes", arrays)[at], float(arrays["log_posterior"][at]))


def _model(words: Words, arrays: dict[str, Any], family: Family | type[Family], priors: dict[str, Any]) -> Model:
    """The model, from the table and the formula that a saved fit holds."""
    settings, meshes = words.settings, _meshes(words, arrays)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeospdeWarning)  # the fit has said it
        model = build_model(
            settings.formula,
            table_of(words.columns, arrays, _crs(words), words.settings.coords),
            family=family,
            link=settings.link,
            mesh=meshes,
            coords=_coords(words),
            exposure=arrays["exposure"],
            offset=arrays["offset"] if settings.offset == "given a row" else settings.offset,
            weights=arrays["observation_weights"],
            priors=priors,
            covariates=restored(words.covariates),
            graphs={name: Graph.from_json(graph) for name, graph in words.graphs.items()},
            support=support_of(words.support, arrays, _crs(words), restored(words.covariates)),
            dispformula=settings.dispformula,
            window=window_of(words.window, meshes),
        )
    return model.labelled(words.label)


def _with_matched(model: Model, words: Words, arrays: dict[str, Any]) -> Model:
    """The model with heavy-tailed priors as the fit had matched them, and linearised where it was."""
    if "linearised_at" in arrays:
        model = model.of_widths(arrays.get("linearised_over", np.zeros(0))).tangent(arrays["linearised_at"])
    if "fixed_precision" not in arrays:
        return model
    priors = replace(model.fixed_priors, precision=arrays["fixed_precision"], log_shift=words.fixed_log_shift)
    return replace(model, fixed_priors=priors)


def _joint(words: Words, arrays: dict[str, Any], priors: dict[str, Any]) -> Model:
    """The model of several likelihoods that a saved fit holds."""
    several = words.several
    assert several is not None
    meshes = _meshes(words, arrays)
    recipe = recipe_of(several.parts, several.terms, several.delta, arrays, meshes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeospdeWarning)
        model = made_again(
            recipe, mesh=meshes, priors=priors,
            graphs={name: Graph.from_json(graph) for name, graph in words.graphs.items()}, label=words.label,
        )  # fmt: skip
    return model


def _estimated(model: Model, words: Words, arrays: dict[str, Any]) -> Fit:
    """A fit without priors."""
    found = {k.removeprefix("maximum_"): v for k, v in arrays.items() if k.startswith("maximum_")}
    maximum = Maximum(**{k: v if v.ndim else v.item() for k, v in found.items()})
    if maximum.x.size != model.design.shape[1] or maximum.fixed.size != len(model.effects.names):
        raise ValueError("the estimates are of another model")
    check_maximum(maximum, words.log_likelihood, model.hyperparameters)
    fit = estimated_fit(model, maximum, _settings(words), tuple(words.notes), words.seconds)
    check_points(fit.laplace, fit.approximation.points, fit.approximation.weights, posterior=False)
    method, points = words.settings.method, words.settings.quadrature
    if method == "ml" and not fit.unpriored.vanishing:
        check_likelihood(fit.laplace, fit.point, maximum.log_likelihood)
    if method == "ubre":
        only_smooths(model)
        if np.isfinite(maximum.covariance).any():
            raise ValueError("the criterion of method 'ubre' knows no covariance of hyperparameters")
    elif words.format > 1 and fit.laplace.n_entries <= CHEAP and not fit.unpriored.vanishing:
        additive = bool(model.terms) and all(term.penalty_scales for term in model.terms)
        check_criterion(fit.unpriored, maximum, method, points, additive=additive)
    check_covariance(words.covariance, maximum)
    if words.moments is not None:
        check_data(words.moments.model_dump(exclude_none=True), fit.point, fit.laplace)
    return fit


@one_blas_thread()
def _bayesian(model: Model, words: Words, arrays: dict[str, Any], file: Path) -> Fit:
    """A fit with priors."""
    if words.log_marginal_likelihood is None or words.strategy is None:
        raise ValueError("it does not say what was made of the latent marginals")
    if words.settings.method == "eb" and len(arrays["theta"]) > 1:
        raise ValueError("empirical Bayes has one point of theta")
    fixed = len(model.effects.names)
    # what the saved covariances are of
    basis = Basis(model.design.shape[1] - fixed, arrays.get("fixed_basis", np.eye(fixed)))
    laplace = Laplace(model, basis=basis)
    modes, covariances = expand("modes", arrays), expand("covariances", arrays)
    means = np.asarray(arrays["means"]) if "means" in arrays else modes + expand("shifts", arrays)
    wanted = (laplace.n, laplace.n_entries, laplace.free.size)
    if (modes.shape[1], covariances.shape[1], arrays["theta"].shape[1]) != wanted:
        raise InputError(f"{file} holds the points of another model")
    rows, columns = laplace.entries
    variances = covariances[:, rows == columns]  # that of a variable which a constraint fixes is zero, but for rounding
    largest = np.abs(variances).max(axis=1, keepdims=True)
    if (variances < -1e-6 * largest).any() or (largest == 0).any():
        raise InputError(f"{file} holds variances that are not positive")
    points = [
        laplace.restored(theta, value, x, mean, covariance)
        for theta, value, x, mean, covariance in zip(
            arrays["theta"], arrays["log_posterior"], modes, means, covariances
        )
    ]
    hyper = None
    if "hyper_centre" in arrays:
        residual = {k.removeprefix("residual_"): v for k, v in arrays.items() if k.startswith("residual_")}
        warp, scale = (
            Warp(*(arrays[f"{name}_{k}"] for k in ("u", "z", "log_slope"))) if f"{name}_u" in arrays else None
            for name in ("warp", "scale")
        )
        accuracy = Accuracy.from_array(arrays["hyper_accuracy"]) if "hyper_accuracy" in arrays else None
        centre, root = arrays["hyper_centre"], arrays["hyper_root"]
        hyper = HyperPosterior(centre, root, residual_from(residual), warp, scale, accuracy)
        if words.format > 1:
            _refuse_left_over(hyper, residual, arrays)
    mode = max(points, key=lambda p: p.log_posterior)
    posterior = Posterior(points, arrays["weights"], words.log_marginal_likelihood, hyper, mode, words.strategy)
    check_points(laplace, points, posterior.weights, posterior=True)
    check_density(posterior, fine=is_fine(model) or words.format == 1)
    if words.format > 1 and not is_fine(model):
        check_weights(posterior)
        _check_again(laplace, posterior, words)
    if words.moments is not None:
        check_moments(words.moments.model_dump(exclude_none=True), posterior, laplace)
    laplace.evaluations, laplace.factorisations = words.evaluations, words.factorisations
    return BayesianFit(model, laplace, posterior, _settings(words), seconds=words.seconds)


def _check_again(laplace: Laplace, posterior: Posterior, words: Words) -> None:
    """As `check_again`; what differs in a fit that does not hold its priors may be these."""
    try:
        check_again(laplace, posterior)
    except ValueError as error:
        if words.priors_in_force is not None:
            raise
        why = "it was altered, or is of an older version, which had other default priors and did not write them down"
        raise InputError(f"{error}: {why}", remedy="fit the model again") from None


def _check_settings(words: Words, model: Model, points: Any) -> None:
    """Raise ValueError where settings, or the sites beside the columns they are read from, are not those of the fit."""
    settings = words.settings
    if points is not None and not (model.points is not None and np.array_equal(points, model.points)):
        raise ValueError("its sites are not where its coordinates are")
    if (settings.family, settings.link) != (model.family.name, model.family.link.name):
        raise ValueError(f"it says that its family is {settings.family[:40]!r}, and has another")
    if settings.exposure is not None and words.several is None and not model.family.has_exposure:
        raise ValueError(f"it says that it has an exposure, of which family {settings.family[:40]!r} knows none")
    if words.strategy is not None and settings.strategy not in ("auto", words.strategy):
        raise ValueError(f"it was to be fitted by strategy {settings.strategy!r}, and was by another")


def _refuse_left_over(hyper: HyperPosterior, residual: dict[str, Any], arrays: dict[str, Any]) -> None:
    """Raise ValueError for arrays of the density that none of its parts took: one lacks, and stood for its kind."""
    taken = {f"residual_{name}" for name in hyper.residual.arrays()}
    taken |= {f"{k}_{name}" for k in ("warp", "scale") for name in ("u", "z", "log_slope") if getattr(hyper, k)}
    given = {f"residual_{name}" for name in residual} | {k for k in arrays if k.startswith(("warp_", "scale_"))}
    if odd := given - taken - {"residual_heavy"}:  # that of older proposals
        raise ValueError(f"the array {min(odd)!r} is of no density beside its others")


def _meshes(words: Words, arrays: dict[str, Any]) -> dict[str, Mesh]:
    return {
        name: Mesh.from_arrays({key: arrays[f"mesh_{name}_{key}"] for key in keys})
        for name, keys in words.meshes.items()
    }


def _crs(words: Words) -> Any:
    import pyproj

    return None if words.crs is None else pyproj.CRS.from_user_input(words.crs)


def _settings(words: Words) -> dict[str, Any]:
    return words.settings.model_dump()


def _coords(words: Words) -> tuple[str, str] | None:
    coords = words.settings.coords
    return None if coords is None else (coords[0], coords[1])


def _family(words: Words) -> Family:
    """The family that a saved fit names; one's own only where its module is imported already.

    A file that came from somewhere must not say what code runs.
    """
    path = words.family or words.settings.family
    module = path.partition(":")[0]
    if ":" in path and module not in sys.modules:
        raise InputError(
            f"the saved fit is of family {path[:60]!r}, and a file does not say what code runs",
            remedy="import that module first, or give load_fit the class itself, as family=",
        )
    try:
        return family_by_name(path, words.settings.link)
    except InputError as error:
        unknown = f"the saved fit is of family {path[:60]!r} with link {words.settings.link!r}, which is not known here"
        why = str(error) if ":" in path else unknown  # that of a name lists all families
        raise InputError(why, remedy="give load_fit the class itself, as family=") from None
