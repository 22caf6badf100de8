"""Fits on their way to disk: ``<name>.npz`` for arrays, ``<name>.json`` for words and checksums; no pickles."""

from dataclasses import asdict, astuple
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from geospde.errors import InputError
from geospde.families.registry import path_of
from geospde.inference.hyper import Posterior
from geospde.inference.laplace import Laplace
from geospde.likelihood.search import Maximum
from geospde.results.saving.archive import write_arrays
from geospde.results.saving.compact import compact, expand
from geospde.results.saving.schema import FORMAT, words_text
from geospde.results.saving.tables import stored_parts, stored_table, support_words
from geospde.results.state import FitState
from geospde.text.files import whole_file

SD_OFF = 1e-6  # what a standard deviation of a predictor may be off by, as a share, for room on disk
MOST_BITS = 20


def files_of(path: Any) -> tuple[Path, Path]:
    """The two files of a saved fit, from its name, either file, or a run's folder."""
    if not isinstance(path, str | PathLike):
        raise InputError(f"a saved fit is found by the path of its files, not by {path!r}")
    path = Path(path)
    if path.is_dir():
        path = path / "fit"
    elif path.suffix in (".npz", ".json"):
        path = path.with_suffix("")
    return path.with_name(path.name + ".npz"), path.with_name(path.name + ".json")


class Stored(NamedTuple):
    """What a kind of fit writes beside the model."""

    arrays: dict[str, Any]
    words: dict[str, Any]


def stored_posterior(posterior: Posterior, laplace: Laplace, notes: tuple[str, ...] = ()) -> Stored:
    """Points, weights and the density of the hyperparameters."""
    basis = laplace.basis
    modes, means = np.array([p.x for p in posterior.points]), posterior.means
    of_modes = compact("modes", modes)
    shifts = {"means": means} if "modes" in of_modes else compact("shifts", means - modes, modes)
    arrays: dict[str, Any] = {
        "theta": np.array([p.theta for p in posterior.points]),
        "log_posterior": np.array([p.log_posterior for p in posterior.points]),
        "weights": posterior.weights,
        **of_modes,
        **shifts,
        **_compact_covariances(posterior, laplace),
    }
    if not basis.is_plain:
        arrays["fixed_basis"] = basis.back
    if posterior.hyper is not None:
        arrays["hyper_centre"], arrays["hyper_root"] = posterior.hyper.centre, posterior.hyper.root
        arrays.update({f"residual_{k}": v for k, v in posterior.hyper.residual.arrays().items()})
        for name, warp in (("warp", posterior.hyper.warp), ("scale", posterior.hyper.scale)):
            if warp is not None:
                arrays.update({f"{name}_{k}": v for k, v in warp.arrays().items()})
        if posterior.hyper.accuracy is not None:
            arrays["hyper_accuracy"] = np.array(astuple(posterior.hyper.accuracy), dtype=float)
    evidence = posterior.log_marginal_likelihood
    words = {"log_marginal_likelihood": evidence, "strategy": posterior.strategy, "notes": list(notes)}
    return Stored(arrays, words)


def _compact_covariances(posterior: Posterior, laplace: Laplace) -> dict[str, Any]:
    """Covariances in little room, by finer steps where variances of predictors are small differences of them."""
    covariances = posterior.covariances
    parts = compact("covariances", covariances)
    if "covariances" in parts:
        return parts
    before, after = (laplace.variances(posterior.weights @ c) for c in (covariances, expand("covariances", parts)))
    off = float(np.max(np.abs(after - before) / (2.0 * np.maximum(before, 1e-300)), initial=0.0))
    finer = int(np.ceil(np.log2(off / SD_OFF))) if off > SD_OFF else 0
    return compact("covariances", covariances, finer=min(finer, MOST_BITS)) if finer else parts


def stored_maximum(maximum: Maximum, notes: tuple[str, ...]) -> Stored:
    """Where the search ended, and what a user should look at."""
    arrays = {f"maximum_{k}": v for k, v in asdict(maximum).items()}
    return Stored(arrays, {"log_likelihood": maximum.log_likelihood, "notes": list(notes)})


def write_fit(fit: FitState, path: str | Path, stored: Stored) -> None:
    """Write a fit as ``<path>.npz`` and ``<path>.json``.

    Raises
    ------
    InputError
        Where the folder does not exist, or the files cannot be written; those that were there then stay.
    """
    arrays_file, words_file = files_of(path)
    model = fit.model
    table, columns = stored_table(model, model.used_columns if model.recipe is None else [])
    arrays: dict[str, Any] = {**stored.arrays, **table}
    if model.fixed_priors.heavy_tailed:
        arrays["fixed_precision"] = model.fixed_precision
    if model.linearised_at is not None:
        arrays["linearised_at"] = model.linearised_at
        arrays["linearised_over"] = np.concatenate([each.widths for each in model.nonlinearities])
    parts, of_parts = stored_parts(model)
    arrays |= of_parts
    meshes: dict[str, list[str]] = {}
    for name, mesh in model.meshes.items():
        own = mesh.to_arrays()
        meshes[name] = list(own)
        arrays.update({f"mesh_{name}_{key}": value for key, value in own.items()})
    words = {
        "format": FORMAT,
        "settings": fit.settings,
        "family": path_of(model.family) if model.recipe is None else None,
        **({} if parts is None else {"several": parts}),
        "priors": model.priors_given,
        "seconds": fit.seconds,
        **stored.words,
        "evaluations": fit.laplace.evaluations,
        "factorisations": fit.laplace.factorisations,
        "columns": columns,
        "meshes": meshes,
        "crs": None if model.crs is None else model.crs.to_wkt(),
        "label": model.response_label,
        "fixed_log_shift": model.fixed_log_shift,
        "graphs": {name: graph.to_json() for name, graph in model.graphs.items()},
        "covariates": None if model.covariates is None else model.covariates.without_objects(),
        "support": support_words(model.support, model.used_columns),
    }
    try:
        words_text(words)
    except TypeError as error:
        raise InputError(f"this fit cannot be saved, a prior was given as an object: {error}") from None
    with whole_file(arrays_file) as arrays_partial, whole_file(words_file) as words_partial:
        sums = write_arrays(arrays_partial, arrays)
        words_partial.write_text(words_text({**words, "arrays": sums}), encoding="utf-8")
