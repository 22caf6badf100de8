"""Positive values whose logarithm is Gaussian."""

from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from geospde.families.base import Family
from geospde.families.continuous.gaussian import GaussianLikelihood
from geospde.families.likelihood import Vector
from geospde.families.links import IDENTITY, LOG, Link


class LogNormalLikelihood(GaussianLikelihood):
    """Positive values whose logarithm has mean eta and standard deviation sigma; theta = log sigma."""

    @property
    def unit(self) -> float | None:
        """None: eta is a logarithm."""
        return None

    @cached_property
    def _values(self) -> Vector:
        return np.log(self.y)

    def _log_density(self, eta: Vector) -> Vector:
        return super()._log_density(eta) - self._values

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta."""
        return np.exp(super().draw(eta, rng))


class LogNormal(Family):
    """Positive values whose logarithm is Gaussian with mean eta and standard deviation `sigma`.

    With the link ``identity``, R-INLA's, fitted values and predictions are means of the logarithm of the response;
    with ``log`` they are its medians, exp(eta). The model is the same. Its mean is exp(eta + sigma² / 2). The prior of
    1 / sigma² is Gamma(1, rate 5e-5).

    Examples
    --------
    >>> values = LogNormal().bind([1.0, np.e]).at(np.log([1.0]))
    >>> values.log_density(np.array([0.0, 1.0])).round(4)
    array([-0.9189, -1.9189])
    """

    name = "lognormal"
    links: ClassVar[tuple[Link, ...]] = (IDENTITY, LOG)
    likelihood = LogNormalLikelihood
    needs = "numbers above 0"
    without_exposure = "divide the response by it"

    def outside(self, y: Vector) -> NDArray[np.bool_]:
        """Which responses are not positive."""
        return ~((y > 0) & np.isfinite(y))
