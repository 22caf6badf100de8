"""A family of one's own, as a user writes it: Weibull, for positive values such as lifetimes or wind speeds."""

from typing import ClassVar

import numpy as np
from scipy.special import gamma

import geospde as gs


class WeibullLikelihood(gs.families.Likelihood):
    """With u = (y / exp(eta))^shape, the density is shape u exp(-u) / y; theta = log shape."""

    hyper: ClassVar = (gs.families.Parameter("shape", "shape", gs.priors.GammaPositive(1.0, 0.01), 0.0),)

    def _u(self, eta):
        shape = np.exp(self.theta[0])
        return shape, np.exp(shape * (np.log(self.y) - eta))

    def _log_density(self, eta):
        shape, u = self._u(eta)
        return np.log(shape) + np.log(u) - u - np.log(self.y)

    def _derivatives(self, eta):
        shape, u = self._u(eta)
        return shape * (u - 1), -(shape**2) * u, shape**3 * u

    def cdf(self, eta):
        return -np.expm1(-self._u(eta)[1])

    def sf(self, eta):
        return np.exp(-self._u(eta)[1])

    def draw(self, eta, rng):
        return np.exp(eta) * rng.weibull(np.exp(self.theta[0]), eta.shape)

    def moments(self, eta):
        one, two = (gamma(1 + k / np.exp(self.theta[0])) for k in (1, 2))
        return np.exp(eta) * one, np.exp(2 * eta) * (two - one**2)


class Weibull(gs.families.Family):
    """Positive values with the scale exp(eta), log link."""

    name = "weibull"
    links = (gs.links.LOG,)
    likelihood = WeibullLikelihood
    needs = "numbers above 0"

    def outside(self, y):
        return ~((y > 0) & np.isfinite(y))
