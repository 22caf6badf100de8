"""Positive values, lognormal, some of them extreme."""

from dataclasses import replace
from typing import ClassVar

import numpy as np

from geospde.families.continuous.lognormal import LogNormalLikelihood
from geospde.families.continuous.positive import Positive
from geospde.families.likelihood import Vector
from geospde.families.links import IDENTITY, INVERSE, LOG, Link
from geospde.families.mixtures.mixture import EXTREME, RATIO, MixtureLikelihood


class LogNormalMixLikelihood(MixtureLikelihood):
    """Lognormal of one sigma, with probability p of a mean that is ratio times the usual."""

    component = LogNormalLikelihood
    hyper = (*LogNormalLikelihood.hyper, EXTREME, RATIO)

    @property
    def residual_unit(self) -> float | None:
        """Standard deviation of the logarithms."""
        return replace(self._component, weights=self.weights).residual_unit

    def _log_multiple(self) -> tuple[float, Vector]:
        """A lognormal's mean is exp(sigma² / 2) times its median."""
        variance = float(np.exp(2 * self.theta[0]))
        return 0.5 * variance, np.array([variance])

    def _compared(self, eta: Vector) -> tuple[Vector, Vector, Vector]:
        """Responses, not their logarithms."""
        return self.y, *self.moments(eta)

    def flow(self) -> Vector:
        """Of the logarithm of a scale: y."""
        return self.y


class LogNormalMix(Positive):
    """Positive values of mean exp(eta), lognormal of `sigma`, with probability `p_extreme` of `ratio` times the usual.

    The mean is that of all responses, where the lognormal alone is mapped by its median. Priors of `p_extreme` and
    `ratio` are those of `GammaMix`.

    Examples
    --------
    >>> import numpy as np
    >>> values = LogNormalMix().bind([1.0, np.e]).at(np.array([0.0, -50.0, 0.0]))  # none is extreme
    >>> values.log_density(np.array([0.0, 1.0])).round(4)
    array([-1.0439, -2.0439])
    """

    name = "lognormal_mix"
    words = "a lognormal mixture"
    links: ClassVar[tuple[Link, ...]] = (LOG, INVERSE, IDENTITY)
    likelihood = LogNormalMixLikelihood
