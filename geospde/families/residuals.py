"""Residuals: what is left of the response, in its own unit or in standard deviations."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geospde.errors import InputError

Vector = NDArray[np.float64]
Moments = Callable[[Any, Vector, Vector], tuple[Vector, Vector]]
KINDS = ("response", "pearson", "standardized")


def _gaussian(data: Any, mean: Vector, theta: Vector) -> tuple[Vector, Vector]:
    return mean, np.full_like(mean, theta[0] ** 2)


def _gamma(data: Any, mean: Vector, theta: Vector) -> tuple[Vector, Vector]:
    mean = mean * data.exposure
    return mean, mean**2 / theta[0]


def _poisson(data: Any, mean: Vector, theta: Vector) -> tuple[Vector, Vector]:
    mean = mean * data.exposure
    return mean, mean


def _negative_binomial(data: Any, mean: Vector, theta: Vector) -> tuple[Vector, Vector]:
    mean = mean * data.exposure
    return mean, mean + mean**2 / theta[0]


def _with_zeros(moments: Moments) -> Moments:
    def inflated(data: Any, mean: Vector, theta: Vector) -> tuple[Vector, Vector]:
        centre, variance = moments(data, mean, theta[:-1])
        p = theta[-1]
        return (1 - p) * centre, (1 - p) * (variance + p * centre**2)

    return inflated


def _binomial(data: Any, mean: Vector, theta: Vector) -> tuple[Vector, Vector]:
    return mean * data.trials, mean * (1 - mean) * data.trials


def _beta(data: Any, mean: Vector, theta: Vector) -> tuple[Vector, Vector]:
    return mean, mean * (1 - mean) / (1 + theta[0])


MOMENTS: dict[str, Moments] = {
    "gaussian": _gaussian,
    "t": _gaussian,
    "lognormal": _gaussian,
    "gamma": _gamma,
    "poisson": _poisson,
    "nbinomial": _negative_binomial,
    "zeroinflatedpoisson1": _with_zeros(_poisson),
    "zeroinflatednbinomial1": _with_zeros(_negative_binomial),
    "binomial": _binomial,
    "bernoulli": _binomial,
    "beta": _beta,
}


def residuals(family: Any, data: Any, eta: Vector, theta: Vector, kind: str) -> Vector:
    """Residuals at predictors.

    Parameters
    ----------
    family : Family
    data : Likelihood
    eta : (m,) array
    theta : (k,) array
        The family's hyperparameters on the user's scale.
    kind : {"response", "pearson", "standardized"}
        Response less its mean; that over its standard deviation, which the last two both are.

    Returns
    -------
    (m,) array
        Those of a lognormal are of the logarithms.
    """
    if kind not in KINDS:
        raise InputError(f"residuals are of kind {', '.join(map(repr, KINDS))}, not {kind!r}")
    logs = family.name == "lognormal"
    mean, variance = MOMENTS[family.name](data, eta if logs else family.link.inverse(eta), theta)
    left = (np.log(data.y) if logs else data.y) - mean
    return left if kind == "response" else left / np.sqrt(variance)
