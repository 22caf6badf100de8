"""Fits on their way to disk: ``<name>.npz`` for arrays, ``<name>.json`` for words and checksums; no pickles."""

from dataclasses import asdict, astuple
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.families.registry import path_of
from geospde.inference.hyper import Posterior
from geospde.inference.laplace import Laplace, LaplacePoint
from geospde.likelihood.search import Maximum
from geospde.linalg.threads import one_blas_thread
from geospde.results.saving.archive import write_arrays
from geospde.results.saving.compact import compact, expand
from geospde.results.saving.consistency import check_points, inverse_excess, looked_at
from geospde.results.saving.priors import priors_words
from geospde.results.saving.schema import FORMAT, words_text
from geospde.results.saving.tables import stored_parts, stored_table, support_words, window_words
from geospde.results.saving.weighing import covariance_words, data_words, moments_words
from geospde.results.state import FitState
from geospde.text.files import whole_file
from geospde.text.words import in_brief

Vector = NDArray[np.float64]
SD_OFF = 5e-7  # what a sd of a predictor at the data may be off by, as a share, for room on disk; elsewhere it is more
VARIANCE_OFF = 1e-7  # and a latent variance, as a share of the largest at its theta, where that has most weight
LIGHT = 0.01  # of the largest weight: what weighs less may be off by a hundred times as much, no more
FEWEST_BITS, MOST_BITS = -8, 20  # steps of 1e-6 of the largest are tried first; beyond the last, nothing is rounded


def files_of(path: Any) -> tuple[Path, Path]:
    """The two files of a saved fit, from its name, either file, or a run's folder."""
    if not isinstance(path, str | PathLike):
        raise InputError(f"a saved fit is found by the path of its files, not by {in_brief(path)}")
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


@one_blas_thread()
def stored_posterior(posterior: Posterior, laplace: Laplace, notes: tuple[str, ...] = ()) -> Stored:
    """Points, weights and the density of the hyperparameters."""
    basis = laplace.basis
    arrays: dict[str, Any] = {
        "theta": np.array([p.theta for p in posterior.points]),
        "log_posterior": np.array([p.log_posterior for p in posterior.points]),
        "weights": posterior.weights,
        **_compact_modes(posterior, laplace),
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
    words = {
        "log_marginal_likelihood": evidence,
        "strategy": posterior.strategy,
        "notes": list(notes),
        "moments": moments_words(posterior, laplace),
    }
    return Stored(arrays, words)


def _compact_covariances(posterior: Posterior, laplace: Laplace) -> dict[str, Any]:
    """Covariances in little room: points that weigh little by larger steps, and all by finer ones until they serve."""
    covariances, finer = posterior.covariances, FEWEST_BITS
    rows = _bits(posterior, laplace) + np.rint(np.log2(_shares(posterior))).astype(np.int64)
    while finer <= MOST_BITS:
        parts = compact("covariances", covariances, finer=finer, rows=rows)
        if "covariances" in parts:
            return parts
        off = _rounded_off(posterior, covariances, expand("covariances", parts), laplace)
        if off <= 1.0:
            return parts
        finer += int(np.ceil(np.log2(off)))  # what was rounded to nothing is off by all of it: looked at again
    return {"covariances": covariances}


def _compact_modes(posterior: Posterior, laplace: Laplace) -> dict[str, Any]:
    """Modes in little room, by steps at which a reader takes them for modes, and what means are off them."""
    modes, means, finer = np.array([p.x for p in posterior.points]), posterior.means, 0
    rows = _bits(posterior, laplace) // 2
    while finer <= MOST_BITS:
        parts = compact("modes", modes, finer=finer, rows=rows)
        if "modes" in parts:
            break
        if _are_modes(posterior, expand("modes", parts), laplace):
            return {**parts, **compact("shifts", means - modes, modes, finer=finer, rows=rows)}
        finer += 4
    return {"modes": modes, "means": means}


def _are_modes(posterior: Posterior, modes: Vector, laplace: Laplace) -> bool:
    """Whether a reader takes these for the modes of the posterior's points, (k, n)."""
    points = [
        laplace.restored(point.theta, point.log_posterior, x, x, point.covariance)
        for point, x in zip(posterior.points, modes)
    ]
    try:
        check_points(laplace, points, posterior.weights, posterior=True)
    except ValueError:
        return False
    return True


def _shares(posterior: Posterior) -> Vector:
    """Weight of each point beside the largest, (k,), at least `LIGHT`."""
    shares: Vector = np.maximum(posterior.weights / posterior.weights.max(), LIGHT)
    return shares


def _bits(posterior: Posterior, laplace: Laplace) -> NDArray[np.int64]:
    """Bits more for covariances of each point, (k,): at one theta variances may be a millionth of another's.

    Those of predictors count, and those of each term, which may be large and cancel in a predictor, or small beside it.
    """
    rows, columns = laplace.entries
    variances = posterior.covariances[:, rows == columns]
    each = [np.array([point.eta_variance for point in posterior.points])]
    each += [variances[:, block] for block in laplace.blocks if block.stop > block.start]
    least = np.min([np.median(one, axis=1) for one in each], axis=0)
    bits: NDArray[np.int64] = np.rint(-np.log2(np.maximum(least, 1e-300))).astype(np.int64)
    return bits


def _rounded_off(posterior: Posterior, before: Vector, after: Vector, laplace: Laplace) -> float:
    """How far sds of predictors, and the latent variances of each theta point, are off, over what they may be."""
    whole, rounded = (laplace.variances(posterior.weights @ each) for each in (before, after))
    of_sds = np.max(np.abs(rounded - whole) / (2.0 * np.maximum(whole, 1e-300)), initial=0.0)
    rows, columns = laplace.entries
    variances = before[:, rows == columns]
    off = _shares(posterior) * np.abs(after[:, rows == columns] - variances).max(axis=1) / variances.max(axis=1)
    return max(float(of_sds) / SD_OFF, float(off.max()) / VARIANCE_OFF, _inverse_off(posterior, before, after, laplace))


def _inverse_off(posterior: Posterior, before: Vector, after: Vector, laplace: Laplace) -> float:
    """How far inverses are off in what a reader checks of them, over a half of what they may be.

    A field whose sd is next to nothing at one theta has variances there beneath the steps of its others, though another
    term's are large.
    """
    most = 0.0
    for k in looked_at(laplace, posterior.weights):
        point = posterior.points[k]
        prior = laplace.prior_at(laplace.whole(point.theta))
        excess, may = inverse_excess(laplace, point, prior, after[k])
        change = excess - inverse_excess(laplace, point, prior, before[k])[0]
        most = max(most, float(np.max(2.0 * np.abs(change) / may)))
    return most


def stored_maximum(maximum: Maximum, notes: tuple[str, ...], point: LaplacePoint, laplace: Laplace) -> Stored:
    """Where the search ended, and what a user should look at."""
    arrays = {f"maximum_{k}": v for k, v in asdict(maximum).items()}
    words = {
        "log_likelihood": maximum.log_likelihood,
        "notes": list(notes),
        "covariance": covariance_words(maximum),
        "moments": data_words(point, laplace),
    }
    return Stored(arrays, words)


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
        "priors_in_force": priors_words(model) if fit.method in ("inla", "eb") else None,
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
        "window": window_words(model),
    }
    try:
        words_text(words)
    except TypeError as error:
        raise InputError(f"this fit cannot be saved, a prior was given as an object: {error}") from None
    with whole_file(arrays_file) as arrays_partial, whole_file(words_file) as words_partial:
        sums = write_arrays(arrays_partial, arrays)
        words_partial.write_text(words_text({**words, "arrays": sums}), encoding="utf-8")
