"""Quantile residuals: responses as the standard normal scores that they would be if the model were right."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from geospde.results.checks import COUNTS
from geospde.results.result import Fit

Vector = NDArray[np.float64]
LEAST = 1e-12  # probability beyond which a score is cut off, at seven standard deviations


def quantile_residuals(fit: Fit, seed: int = 0) -> Vector:
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
    point = fit.posterior.heaviest
    data = fit.laplace.likelihood_at(point.theta)
    upper = data.cdf(point.eta)
    if fit.model.family.name in COUNTS:
        once = replace(data, weights=np.ones(data.n))  # type: ignore[type-var]
        step = np.minimum(np.exp(once.log_density(point.eta)), upper)
        upper = upper - step * np.random.default_rng(seed).uniform(size=upper.size)
    return ndtri(np.clip(upper, LEAST, 1 - LEAST))
