"""Times until an event of constant hazard."""

from typing import ClassVar

import numpy as np

from geospde.families.continuous.weibull import Survival, WeibullLikelihood
from geospde.families.likelihood import Parameter, Vector


class ExponentialLikelihood(WeibullLikelihood):
    """P(Y > y) = exp(-exp(eta) y)."""

    hyper: ClassVar[tuple[Parameter, ...]] = ()
    dispersion = ""

    def first_theta(self) -> Vector:
        """There is nothing to search for."""
        return np.zeros(0)

    @property
    def _log_shape(self) -> Vector:
        return np.zeros(())


class Exponential(Survival):
    """Times until an event of the constant hazard exp(eta), log link; the mean is exp(-eta).

    Times that are known by bounds only stand as ``cens(y, censored)`` on the left of the formula.

    Examples
    --------
    >>> Exponential().bind([1.0, 2.0]).log_density(np.array([0.0, 0.0]))
    array([-1., -2.])
    """

    name = "exponential"
    aliases = ("exponentialsurv",)
    words = "an exponential"
    likelihood = ExponentialLikelihood
