"""Zeros and ones."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from geospde.families.base import Family
from geospde.families.likelihood import Vector
from geospde.families.links import PROBABILITY_LINKS, Link
from geospde.families.proportions.binomial import BinomialLikelihood


class Bernoulli(Family):
    """Zeros and ones, with the links of the binomial. Fitted values are probabilities.

    Examples
    --------
    >>> Bernoulli("probit").bind([1, 0]).log_density(np.array([0.0, 3.0])).round(4)
    array([-0.6931, -6.6077])
    """

    name = "bernoulli"
    links: ClassVar[tuple[Link, ...]] = PROBABILITY_LINKS
    likelihood = BinomialLikelihood
    needs = "zeros and ones"
    without_exposure = "counts of successes are of family 'binomial', p(successes, trials)"

    def outside(self, y: Vector) -> NDArray[np.bool_]:
        """Which responses are neither 0 nor 1."""
        return ~((y == 0) | (y == 1))
