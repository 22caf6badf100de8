"""Positive values, gamma, some of them extreme."""

from typing import ClassVar

from geospde.families.continuous.gamma import GammaLikelihood
from geospde.families.continuous.positive import Positive
from geospde.families.likelihood import Vector
from geospde.families.links import IDENTITY, INVERSE, LOG, Link
from geospde.families.mixtures.mixture import EXTREME, RATIO, MixtureLikelihood


class GammaMixLikelihood(MixtureLikelihood):
    """Gamma of one shape, with probability p of a mean that is ratio times the usual."""

    component = GammaLikelihood
    hyper = (*GammaLikelihood.hyper, EXTREME, RATIO)

    def flow(self) -> Vector:
        """Of the logarithm of a scale: y."""
        return self.y


class GammaMix(Positive):
    """Positive values of mean exp(eta), gamma of `shape`, with probability `p_extreme` of `ratio` times the usual mean.

    Catches of which some are of a shoal (Thorson, Stewart & Punt 2011). The mean is that of all values.
    The logit of `p_extreme` is Gaussian with mean -2 and precision 0.5, the log of `ratio` - 1 with mean 0.5 and
    precision 0.5.

    Thorson, Stewart & Punt (2011), Fisheries Research 108, 295-305.

    Examples
    --------
    >>> import numpy as np
    >>> values = GammaMix().bind([1.0, 2.0]).at(np.array([0.0, -50.0, 0.0]))  # none is extreme
    >>> values.log_density(np.array([0.0, 0.0])).round(4)
    array([-1., -2.])
    """

    name = "gamma_mix"
    words = "a gamma mixture"
    links: ClassVar[tuple[Link, ...]] = (LOG, INVERSE, IDENTITY)
    likelihood = GammaMixLikelihood
