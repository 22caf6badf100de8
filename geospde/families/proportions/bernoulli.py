"""Zeros and ones."""

import numpy as np
from numpy.typing import NDArray

from geospde.families.base import Candidate, Family
from geospde.families.likelihood import Vector
from geospde.families.proportions.binomial import Successes


class Bernoulli(Successes):
    """Zeros and ones, with the links of the binomial. Fitted values are probabilities.

    Examples
    --------
    >>> Bernoulli("probit").bind([1, 0]).log_density(np.array([0.0, 3.0])).round(4)
    array([-0.6931, -6.6077])
    """

    name = "bernoulli"
    words = "a Bernoulli"
    is_binary = True
    needs = "zeros and ones"
    without_exposure = "counts of successes are of family 'binomial', p(successes, trials)"

    def outside(self, y: Vector) -> NDArray[np.bool_]:
        """Which responses are neither 0 nor 1."""
        value: NDArray[np.bool_] = ~((y == 0) | (y == 1))
        return value

    @classmethod
    def suggested_by(cls, candidate: Candidate) -> tuple[Family, str] | None:
        """Zeros and ones."""
        y = candidate.values
        if not ((y == 0) | (y == 1)).all():
            return None
        return cls(), f"Zeros and ones ({100 * y.mean():.0f} %): the probability of a one is mapped."
