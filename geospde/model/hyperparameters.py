"""The hyperparameters of a model: those of its terms in order, then those of its likelihood."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geospde.families.likelihood import Likelihood
from geospde.families.priors import Fixed
from geospde.terms.base import LatentTerm
from geospde.terms.hyperparameter import Hyperparameter

Vector = NDArray[np.float64]


def hyperparameters_of(
    terms: list[LatentTerm], likelihood: Likelihood, unit: float | None, owners: Sequence[str] = ()
) -> tuple[tuple[Hyperparameter, ...], Vector, Vector]:
    """User names of all hyperparameters, where the search for their mode starts, and which are fixed_theta where.

    Parameters
    ----------
    terms : list of LatentTerm
    likelihood : Likelihood
    unit : float or None
        Of the predictor.
    owners : sequence of str, optional
        Of several likelihoods, the one whose own each term is; empty for those that are shared.
    """
    own = likelihood.first_theta()
    total = sum(len(term.precision.parameters) for term in terms) + own.size
    hyper: list[Hyperparameter] = []
    start = np.zeros(total)
    for term, where, owner in zip(terms, theta_slices(terms), owners or [""] * len(terms)):
        before = f"{owner}: " if owner else ""
        hyper += [replace(h.placed(where.start, total), name=before + h.name) for h in term.hyperparameters()]
        start[where] = term.start(unit or 1.0)
    at = total - own.size
    start[at:] = own
    for k, h in enumerate(likelihood.hyper):
        prior = likelihood.prior.of_theta[k]  # type: ignore[attr-defined]
        direction = np.concatenate([np.zeros(at), likelihood.user_map[k]])
        hyper.append(Hyperparameter(h.name, direction, 0.0, prior.describe(), h.transform))
    fixed_theta = _fixed_values(terms, likelihood, hyper)
    return tuple(h.holding(fixed_theta) for h in hyper), start[np.isnan(fixed_theta)], fixed_theta


def names_by_term(model: Any) -> list[list[str]]:
    """What each term's own hyperparameters are called in the model: of several likelihoods, with their names before."""
    ends = np.cumsum([0, *(len(term.hyperparameters()) for term in model.terms)])
    names = [h.name for h in model.hyperparameters]
    return [names[a:b] for a, b in zip(ends[:-1], ends[1:])]


def theta_slices(terms: Sequence[LatentTerm]) -> list[slice]:
    """Each term's own hyperparameters among those of the model."""
    ends = np.cumsum([0, *(len(term.precision.parameters) for term in terms)])
    return [slice(int(a), int(b)) for a, b in zip(ends[:-1], ends[1:])]


def whole_theta(model: Any, theta: Vector) -> Vector:
    """Theta with the hyperparameters of a model that are held."""
    whole = np.asarray(model.fixed_theta, dtype=float).copy()
    whole[np.isnan(whole)] = theta
    return whole


def _fixed_values(terms: list[LatentTerm], likelihood: Likelihood, hyper: list[Hyperparameter]) -> Vector:
    """Inner values of the hyperparameters that are fixed, NaN for the others."""
    priors: list[Any] = []
    for term in terms:
        priors += getattr(term.precision.prior, "of_theta", [None] * len(term.precision.parameters))
    priors += getattr(likelihood.prior, "of_theta", ())
    fixed_theta = np.full(len(priors), np.nan)
    for k, prior in enumerate(priors):
        if isinstance(prior, Fixed):
            own = next(h for h in hyper if h.shift == 0.0 and np.array_equal(h.direction, np.eye(len(priors))[k]))
            fixed_theta[k] = own.inverse(prior.value)
    return fixed_theta
