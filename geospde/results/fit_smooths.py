"""Fits by the error of prediction, UBRE or GCV: what is refused, and the search."""

import warnings
from time import perf_counter
from typing import Any

import numpy as np

from geospde.errors import GeospdeWarning, InputError, NumericalError
from geospde.families.exponential import EXPONENTIAL, Exponential
from geospde.inference.mode import Progress
from geospde.likelihood.likelihoods import Unpriored
from geospde.likelihood.ubre import LARGEST, least_prediction_error
from geospde.results.fit_likelihood import notes_on, refuse_perfect, refuse_priors, refuse_separated
from geospde.results.penalised import SmoothFit
from geospde.text.words import listed


def fit_smooths(model: Any, settings: dict[str, Any], began: float, progress: Progress) -> SmoothFit:
    """Fit a model by UBRE, or GCV where the dispersion is free.

    Parameters
    ----------
    model : Model
    settings : dict
        Of the fit.
    began : float
        Clock when the fit began.
    progress : callable
        Told of every evaluation.

    Raises
    ------
    InputError
        For other families than exponential ones, other terms than smooths and random intercepts, and priors.
    NumericalError
        Where the search does not converge.
    """
    unpriored = only_smooths(model)
    bound = Exponential(model.family.name, model.likelihood, model.family.link)
    try:
        found = least_prediction_error(unpriored, model.start, bound, progress)
    except NumericalError:
        refuse_perfect(model, unpriored)
        refuse_separated(model)
        raise
    refuse_separated(model, found)
    notes = notes_on(model, found)
    fit = SmoothFit(model, found, settings, notes, perf_counter() - began)
    for note in notes:
        warnings.warn(note, GeospdeWarning, stacklevel=3)
    return fit


def only_smooths(model: Any) -> Unpriored:
    """The model as UBRE sees it; raises InputError for one that it is not for."""
    family = model.family
    if family.name not in EXPONENTIAL:
        raise InputError(
            f"method 'ubre' is for the families {', '.join(EXPONENTIAL)}, not {family.name!r}: fit with method='reml'"
        )
    refuse_priors(model, "ubre")
    if not model.parts:
        raise InputError("method 'ubre' chooses how smooth a smooth is, and the formula has none: fit with method='ml'")
    others = [part.term.label for part in model.parts if part.term.parameters != ("sd",)]
    if others:
        raise InputError(
            f"method 'ubre' is for smooths and random intercepts, not for {listed(others)}: fit with method='reml'"
        )
    size = model.design.shape[1]
    if size > LARGEST:
        raise InputError(f"method 'ubre' is for at most {LARGEST:,} coefficients, not {size:,}: fit with method='reml'")
    unpriored = Unpriored.of(model)
    own = len(model.likelihood.parameters)
    of_terms, of_family = np.split(unpriored.held, [unpriored.held.size - own])
    if np.isnan(of_family).any() and not np.isnan(of_terms).all():
        raise InputError("with a free dispersion, method 'ubre' cannot hold the sd of a smooth: fit with method='reml'")
    return unpriored
