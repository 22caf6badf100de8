"""Quantile residuals: responses as the standard normal scores that they would be if the model were right."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from geospde.results.state import FitState
from geospde.text.arguments import refuse_seed

Vector = NDArray[np.float64]
LEAST = 1e-300  # probability at which a score is cut off, at 37 standard deviations


def quantile_residuals(fit: FitState, seed: int = 0) -> Vector:
    """Normal scores of the responses under the fit, given its latent variables.

    Parameters
    ----------
    fit : Fit
        Of any method.
    seed : int
        Of the uniforms that spread a count over its step of the distribution function.

    Returns
    -------
    (m,) array

    Notes
    -----
    ``Phi⁻¹(u)`` with u uniform between P(Y < y) and P(Y <= y), at the mode of the latent variables and the
    hyperparameters of most weight (Dunn & Smyth 1996, J. Comput. Graph. Statist. 5, 236-244).
    """
    point = fit.point
    data = fit.laplace.likelihood_at(point.theta)
    refuse_seed(seed, optional=True)
    lower, upper = data.cdf(point.eta), data.sf(point.eta)
    jumps = fit.model.jumps
    if jumps.any():
        step = np.where(jumps, np.minimum(np.exp(data.unweighted().log_density(point.eta)), lower), 0.0)
        part = step * np.random.default_rng(seed).uniform(size=step.size)
        lower, upper = lower - part, upper + part
    # of the smaller tail, which has its digits
    score = ndtri(np.clip(np.minimum(lower, upper), LEAST, 0.5))
    return np.asarray(np.where(lower < upper, score, -score))
