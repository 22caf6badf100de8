"""Fits without some observations, which predict them.

Both rows of a pair of coupled likelihoods (of delta families with a Poisson link) are one observation, and left out
together. The first is predicted as any other, the second given the first: the value, given that there is one.
"""

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geospde.errors import InputError, NumericalError
from geospde.inference.combinations import mixture_of
from geospde.inference.criteria import cavity_of_pairs, whole_left_out
from geospde.inference.hyper import Posterior
from geospde.inference.integration import finished
from geospde.inference.laplace import Laplace, LaplacePoint
from geospde.inference.posterior import posterior
from geospde.prediction.folds import Fold
from geospde.text.words import counted, listed

Vector = NDArray[np.float64]
ROUNDING = 1e-8  # share of a direction's square over all rows, up to which the rows that stay say nothing of it
OFF = 0.05  # of the difference of two evidences: each has the errors of a design of its own
LIGHT = 1e-9  # weight of a theta point that says nothing of a fold


class Refit(NamedTuple):
    """A fit without a fold, as its predictors are told by it.

    Attributes
    ----------
    thetas : (k, d) array
    weights : (k,) array, or (k, m) of each predictor's own
    means, sds : (k, m) arrays
    """

    thetas: Vector
    weights: Vector
    means: Vector
    sds: Vector


def refitted(fold: Fold, laplace: Laplace, start: Vector, rule: str, strategy: str) -> Refit:
    """Fit without a fold."""
    without = _without(laplace, fold)
    found = posterior(without, start, rule, strategy=strategy)
    if is_given(laplace, fold.predicted):
        centres = [laplace.design @ p.mean + laplace.model.offset for p in found.points]
        axes = [without.axes(without.variances(p.covariance)) for p in found.points]
        return given_first(laplace, found.points, np.log(found.weights)[:, None], fold.predicted, centres, axes)
    mixture = mixture_of(without, found, laplace.design[fold.predicted], laplace.model.offset[fold.predicted])
    thetas = np.array([without.whole(p.theta) for p in found.points])
    return Refit(thetas, found.weights, mixture.means, mixture.sds)


def log_gain(fold: Fold, whole: Posterior, laplace: Laplace, start: Vector, rule: str, strategy: str) -> float:
    """Log predictive density of a fold as a whole: what all data have over the others.

    That is a mean over thetas that the others leave, at each of which both are Laplace approximations about modes of
    their own, so that it holds far out of the prediction, too. Where the fold moves theta beyond these points, it is
    the difference of two evidences.
    """
    found = posterior(_without(laplace, fold), start, rule, strategy=strategy)
    gains = [
        np.log(weight) + finished(laplace, laplace.at(p.theta, p.x, gradient=False), strategy).log_posterior
        - p.log_posterior
        for p, weight in zip(found.points, found.weights) if weight > LIGHT
    ]  # fmt: skip
    mean, difference = np.logaddexp.reduce(gains), whole.log_marginal_likelihood - found.log_marginal_likelihood
    return float(mean if abs(mean - difference) < OFF else difference)


def _without(laplace: Laplace, fold: Fold) -> Laplace:
    """The same matrices, with likelihoods of no weight."""
    without = copy.copy(laplace)
    left = laplace.model.likelihood.without(with_partners(laplace, fold.left_out))
    without.model = replace(laplace.model, likelihood=left)  # type: ignore[type-var]
    return without


def with_partners(laplace: Laplace, rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """Rows, and those that make one observation with one of them."""
    if laplace.pairs is None:
        return rows
    return np.union1d(rows, laplace.pairs[np.isin(laplace.pairs, rows).any(axis=1)])


def is_given(laplace: Laplace, rows: NDArray[np.intp]) -> bool:
    """Whether rows are the second of pairs, which are predicted given the first."""
    return laplace.pairs is not None and bool(np.isin(rows, laplace.pairs[:, 1]).all())


def given_first(
    laplace: Laplace,
    points: Sequence[LaplacePoint],
    log_weights: Vector,
    rows: NDArray[np.intp],
    centres: Sequence[Vector],
    axes: Sequence[tuple[Vector, Vector]],
) -> Refit:
    """Predictors of the second of pairs, given the first, from those of all rows at each theta point."""
    found = [laplace.likelihood_at(p.theta).given_first(rows, *own) for p, *own in zip(points, centres, axes)]
    log_all = np.concatenate([own + log_nodes for own, (log_nodes, _, _) in zip(log_weights, found)])
    weights = np.exp(log_all - np.logaddexp.reduce(log_all, axis=0))
    thetas = np.repeat([laplace.whole(p.theta) for p in points], len(found[0][0]), axis=0)
    return Refit(thetas, weights, *(np.concatenate([each[k] for each in found]) for k in (1, 2)))


def pairs_left_out(laplace: Laplace, found: Posterior, rows: NDArray[np.intp]) -> Refit:
    """Predictors of rows of coupled likelihoods, each without the observation that it is of, from one fit."""
    cavities = [cavity_of_pairs(laplace, p) for p in found.points]
    refuse_failed([failed[rows] for *_, failed in cavities])
    log_whole = np.array([whole_left_out(laplace, p)[rows] for p in found.points])
    log_weights = np.log(found.weights)[:, None] - log_whole
    if is_given(laplace, rows):
        centres, axes = [c[0] for c in cavities], [(c[1], c[2]) for c in cavities]
        return given_first(laplace, found.points, log_weights, rows, centres, axes)
    weights = np.exp(log_weights - np.logaddexp.reduce(log_weights, axis=0))
    thetas = np.array([laplace.whole(p.theta) for p in found.points])
    return Refit(thetas, weights, *(np.array([c[k][rows] for c in cavities]) for k in (0, 1)))


def refuse_undetermined(laplace: Laplace, folds: Sequence[Fold], names: Sequence[str]) -> None:
    """Refuse folds without which no row says anything of some fixed effect that has no prior, such as a class's.

    Parameters
    ----------
    laplace : Laplace
    folds : sequence of Fold
    names : sequence of str
        Of the fixed effects.

    Raises
    ------
    InputError
        Names the effects of the first such fold.
    """
    values, vectors = np.linalg.eigh(laplace.fixed_precision)
    flat = vectors[:, values <= ROUNDING * max(values.max(initial=0.0), 1.0)]
    if not flat.shape[1]:
        return
    columns = laplace.design[:, laplace.n_random :] @ flat
    basis, triangle = np.linalg.qr(columns)
    for number, fold in enumerate(folds, 1):
        gone = basis[with_partners(laplace, fold.left_out)]
        left, directions = np.linalg.eigh(np.eye(basis.shape[1]) - gone.T @ gone)
        if left[0] > ROUNDING:
            continue
        lost = np.abs(flat @ np.linalg.lstsq(triangle, directions[:, left <= ROUNDING], rcond=None)[0]).max(axis=1)
        what = listed([name for name, size in zip(names, lost) if size > ROUNDING * lost.max()], most=3)
        raise InputError(
            f"without the {counted(len(fold.left_out), 'observation')} of fold {number} of {len(folds)} the data say "
            f"nothing of {what}, and a flat prior adds nothing",
            remedy="take other folds, join rare classes, or give the effect a prior, see the guide to priors",
        )


def refuse_failed(failed: Sequence[NDArray[np.bool_]]) -> None:
    """Refuse to leave out by a fit what cannot be divided out of it."""
    bad = np.flatnonzero(np.any(failed, axis=0))
    if bad.size:
        raise NumericalError(f"observation {bad[0]} cannot be divided out of the fit: take random folds")
