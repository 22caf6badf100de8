"""What each method does with a model: the search, what it refuses afterwards, and the result that it makes."""

import warnings
from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np

from geospde.errors import GeospdeWarning, NumericalError
from geospde.inference.laplace import Laplace
from geospde.inference.mode import Progress
from geospde.likelihood.exponential import Exponential
from geospde.likelihood.intervals import likelihood_of
from geospde.likelihood.likelihoods import Unpriored
from geospde.likelihood.notes import notes_on
from geospde.likelihood.refusals import PERFECT, only_smooths, refuse_perfect, refuse_separated, without_priors
from geospde.likelihood.search import Maximum, maximum_likelihood
from geospde.likelihood.ubre import least_prediction_error
from geospde.linalg.threads import LARGE, one_blas_thread
from geospde.model.build import Model
from geospde.results.maximum_likelihood import LikelihoodFit
from geospde.results.penalised import SmoothFit, likelihood_fit

ROUNDS = 3  # from a prior's centre; the coefficients move by a hundredth of their sd in the second


def fit_likelihood(model: Any, settings: dict[str, Any], began: float, progress: Progress) -> LikelihoodFit:
    """Fit a model by ML or REML.

    Parameters
    ----------
    model : Model
    settings : dict
        Of the fit: `method` and `quadrature` tell what to maximise.
    began : float
        Clock when the fit began.
    progress : callable
        Told of every evaluation.

    Raises
    ------
    InputError
        Where the data cannot tell the parameters: as many effects as observations, separation, a perfect fit.
    NumericalError
        Where no maximum is found.
    """
    method, points = settings["method"], int(settings["quadrature"])
    unpriored = without_priors(model, method, points)
    try:
        if model.design.shape[1] < LARGE:
            found = _maximum(unpriored, model.start, method, points, progress)
        else:
            with one_blas_thread():
                found = _maximum(unpriored, model.start, method, points, progress)
    except NumericalError:
        refuse_perfect(model, unpriored)
        refuse_separated(model)
        raise
    refuse_separated(model, found)
    if unpriored.is_gaussian and np.isnan(unpriored.held[-1]) and found.theta[-1] < model.start[-1] + np.log(PERFECT):
        refuse_perfect(model, unpriored)
    fit = likelihood_fit(model, found, settings, notes_on(model, found), perf_counter() - began)
    for note in fit.notes:
        warnings.warn(note, GeospdeWarning, stacklevel=3)
    return fit


def _maximum(unpriored: Unpriored, start: Any, method: str, points: int, progress: Progress) -> Maximum:
    return maximum_likelihood(
        unpriored, start, method == "reml", lambda m: likelihood_of(m, points), progress  # type: ignore[arg-type, return-value]
    )


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
    bound = Exponential(model.family, model.likelihood)
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


def settled(model: Model) -> tuple[Model, Laplace]:
    """The model with its Student t priors matched to Gaussians at the mode of the coefficients, ready for inference.

    A model without any stays as it is.
    """
    laplace = Laplace(model)
    if model.fixed_priors.heavy_tailed:
        for _ in range(ROUNDS):
            mode = laplace.at(model.start, gradient=False).x
            model = replace(model, fixed_priors=model.fixed_priors.matched(mode[laplace.n_random :]))
            laplace = Laplace(model)
    return model, laplace
