"""Whether the weights of a saved posterior's points, and the moments in its words, are those of its density."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geospde import __version__
from geospde.families.gauss_hermite import normal_nodes
from geospde.inference.hyper import HyperPosterior, Posterior, nearest_weights
from geospde.inference.integration import NARROW, central_composite
from geospde.inference.laplace import Laplace, LaplacePoint
from geospde.inference.residual import EvenGrid, Polynomial, ProductSpline
from geospde.likelihood.search import Maximum
from geospde.linalg.threads import one_blas_thread

Vector = NDArray[np.float64]

DIGITS = 9  # of moments that are written
EXACT = 1e-4  # weights in all, of grids and designs: places are found again to 1e-8
FITTED = 0.02  # or of points that carry a density: those of less than 1e-7 were left out since
AT_DESIGN = 1e-4  # sds that points of a design may be off their places
MOVED = 1e-4  # sds that latent moments may be off: covariances of large models are stored to 1e-6
SAME = 1e-6  # or those of theta and of the data, whose arrays are stored as they are, as a part of log densities
OTHERWISE = 0.05  # or those of another version, which may sum over other points
QUANTILES = (0.025, 0.5, 0.975)


def check_weights(posterior: Posterior) -> None:
    """Raise ValueError where weights are not those that the rule gives its points, by their log posterior.

    Of points of the model's own mesh: those that put a coarser one's right are others.
    """
    hyper, weights = posterior.hyper, posterior.weights
    if hyper is None or len(weights) == 1:
        return
    theta = np.array([point.theta for point in posterior.points])
    if isinstance(hyper.residual, Polynomial):
        again: Vector | None = _of_design(hyper, theta)
    elif isinstance(hyper.residual, ProductSpline):
        again = _of_grid(hyper, hyper.residual, theta, np.array([point.log_posterior for point in posterior.points]))
    else:
        again = nearest_weights(hyper, posterior.points)
    most = EXACT if isinstance(hyper.residual, Polynomial | ProductSpline) else FITTED
    if again is None or not np.abs(again - weights).sum() <= most:
        raise ValueError("the weights of its points are not those of its density")


def _of_grid(hyper: HyperPosterior, spline: ProductSpline, theta: Vector, values: Vector) -> Vector:
    """Weights of a product of nodes."""
    u = hyper.axes.bent(theta)
    log_mass = values + hyper.axes.log_volume(u)
    if not isinstance(spline, EvenGrid):
        for k, nodes in enumerate(spline.axes):
            own, weights = normal_nodes(nodes.size)
            log_mass += 0.5 * u[:, k] ** 2 + np.log(weights)[np.abs(u[:, k, None] - own).argmin(axis=1)]
    mass = np.exp(log_mass - log_mass.max())
    return np.asarray(mass / mass.sum())


def _of_design(hyper: HyperPosterior, theta: Vector) -> Vector | None:
    """Weights of a composite design on the moments of a density; None where points are not of it."""
    mean, covariance = hyper.moments()
    v, weights = central_composite(hyper.dimension, NARROW)
    own = np.linalg.solve(np.linalg.cholesky(covariance), (theta - mean).T).T
    away = np.abs(own[:, None] - v).max(axis=2)
    at = away.argmin(axis=1)
    if away.min(axis=1).max() > AT_DESIGN or np.unique(at).size < at.size:
        return None
    return np.asarray(weights[at] / weights[at].sum())


def moments_words(posterior: Posterior, laplace: Laplace) -> dict[str, Any]:
    """Moments of a posterior, for its words: what its arrays must have, when they are read again.

    Returns
    -------
    dict
        ``data``: as of `data_words`; ``latent``: root mean squares of means and sds; ``fixed``: means and sds;
        ``theta``, where there are hyperparameters: means, sds, correlations by rows, and quantiles of each.
    """
    with one_blas_thread():
        weights, means = posterior.weights, posterior.means
        rows, columns = laplace.entries
        mean = weights @ means
        variance = weights @ (posterior.covariances[:, rows == columns] + (means - mean) ** 2)
        sd = np.sqrt(np.maximum(variance, 0.0))
        fixed = slice(laplace.n_random, None)
        found = {
            "data": _of_data(posterior.heaviest, laplace),
            "latent": [np.sqrt(np.mean(mean**2)), np.sqrt(np.mean(sd**2))],
            "fixed": [*mean[fixed], *sd[fixed]],
        }
        if posterior.hyper is not None and posterior.hyper.dimension:
            found["theta"] = _of_theta(posterior.hyper)
    return {"version": __version__, **{name: _rounded(values) for name, values in found.items()}}


def data_words(point: LaplacePoint, laplace: Laplace) -> dict[str, Any]:
    """Root mean square of the predictor and the observations' log density at a point, for the words of a fit."""
    with one_blas_thread():
        return {"version": __version__, "data": _rounded(_of_data(point, laplace))}


def _of_data(point: LaplacePoint, laplace: Laplace) -> list[Any]:
    total = laplace.likelihood_at(point.theta).log_density(point.eta).sum()
    return [np.sqrt(np.mean(point.eta**2)), total]


def _of_theta(hyper: HyperPosterior) -> list[float]:
    mean, covariance = hyper.moments()
    sd = np.sqrt(np.diag(covariance))
    below = np.tril_indices(len(mean), -1)
    theta, weights = hyper.cloud
    quantiles: list[float] = []
    for values in theta.T:
        order = np.argsort(values, kind="stable")
        mass = np.cumsum(weights[order]) - 0.5 * weights[order]
        quantiles += np.interp(QUANTILES, mass, values[order]).tolist()
    return [*mean, *sd, *(covariance / np.outer(sd, sd))[below], *quantiles]


def check_data(words: Mapping[str, Any], point: LaplacePoint, laplace: Laplace) -> None:
    """Raise ValueError where predictor and log density in the words of saved estimates are not those of the arrays."""
    _compare(words, data_words(point, laplace), laplace)


def check_moments(words: Mapping[str, Any], posterior: Posterior, laplace: Laplace) -> None:
    """Raise ValueError where the moments in the words of a saved posterior are not those of its arrays.

    Parameters
    ----------
    words : mapping
        As `moments_words` gave them.
    posterior : Posterior
    laplace : Laplace
    """
    _compare(words, moments_words(posterior, laplace), laplace)


def _compare(words: Mapping[str, Any], again: Mapping[str, Any], laplace: Laplace) -> None:
    own_version = words.get("version") == __version__
    own = again.keys() - {"version"}
    if own != words.keys() - {"version"}:
        raise ValueError("its moments are of another model")
    for name in sorted(own):
        one, other = np.array(words[name], dtype=float), np.array(again[name])
        may = OTHERWISE if not own_version else SAME if name in ("theta", "data") else MOVED
        if one.shape != other.shape or not (np.abs(one - other) <= may * _units(name, other, laplace)).all():
            raise ValueError("the moments in its words are not those of its arrays")


def _units(name: str, values: Vector, laplace: Laplace) -> Vector:
    """What each moment's error is measured in: a posterior sd, and one for correlations."""
    if name == "data":
        return 1.0 + np.abs(values)
    if name == "latent":
        return np.full(2, values[1]) + 1e-12 * np.abs(values)
    if name == "fixed":
        return np.tile(values[len(values) // 2 :], 2)
    d = laplace.free.size
    sd = values[d : 2 * d]
    return np.concatenate([sd, sd, np.ones(d * (d - 1) // 2), np.repeat(sd, len(QUANTILES))])


def covariance_words(maximum: Maximum) -> list[float | None]:
    """The covariance of estimated hyperparameters by rows; None where it is unknown."""
    covariance = maximum.covariance[np.tril_indices(len(maximum.covariance))]
    return [float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None for value in covariance]


def check_covariance(words: Sequence[float | None] | None, maximum: Maximum) -> None:
    """Raise ValueError where the covariance in the words of saved estimates is not that of its arrays."""
    if words is None:
        return
    one, other = (np.array(each, dtype=float) for each in (words, covariance_words(maximum)))
    if one.shape != other.shape or not np.allclose(one, other, rtol=MOVED, atol=0, equal_nan=True):
        raise ValueError("the covariance in its words is not that of its arrays")


def _rounded(values: Sequence[Any]) -> list[float]:
    return [float(f"{float(value):.{DIGITS}g}") for value in values]
