"""Positive values whose logarithm is Gaussian."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from geospde.families.base import Candidate, Family, skewness
from geospde.families.continuous.gaussian import FORMER_SIGMA, GaussianLikelihood, symmetric
from geospde.families.likelihood import Vector, scaled, spread
from geospde.families.links import IDENTITY, INVERSE, LOG, Link


class LogNormalLikelihood(GaussianLikelihood):
    """Positive values whose logarithm has mean eta and standard deviation sigma; theta = log sigma."""

    @property
    def unit(self) -> float | None:
        """None: eta is a logarithm."""
        return None

    @property
    def residual_unit(self) -> float | None:
        """Standard deviation of the logarithms, as the Gaussian's that they are."""
        return spread(self._values, self.weights)

    @cached_property
    def _values(self) -> Vector:
        return np.log(self.y)

    def _log_density(self, eta: Vector) -> Vector:
        return super()._log_density(eta) - self._values

    def flow(self) -> Vector:
        """Of the logarithm of a scale: y."""
        return self.y

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta."""
        return np.exp(super().draw(eta, rng))

    def moments(self, eta: Vector) -> tuple[Vector, Vector]:
        """Mean and variance of each response, not of its logarithm."""
        variance = np.exp(self.theta[0]) ** 2
        mean = np.exp(eta + 0.5 * variance)
        return mean, mean**2 * np.expm1(variance)

    def _compared(self, eta: Vector) -> tuple[Vector, Vector, Vector]:
        """Logarithms of the responses, their means and variances."""
        return self._values, *super().moments(eta)

    def observed(self) -> Vector:
        """Responses, as fitted values are their medians."""
        return self.y

    def less_offset(self, offset: Vector) -> Self:
        """Values over exp(offset)."""
        return replace(self, y=scaled(self.y, -offset))

    def start(self) -> Vector:
        """A rough eta to start from."""
        return self._values


class LogNormal(Family):
    """Positive values whose logarithm is Gaussian with mean eta and standard deviation `sigma`.

    Fitted values and predictions are medians of the response, exp(eta); its mean is exp(eta + sigma² / 2). The link
    ``identity`` is R-INLA's name for the same model, and is taken for ``log``. The prior of 1 / sigma² is that of a
    Gaussian of the logarithm.

    Examples
    --------
    >>> values = LogNormal().bind([1.0, np.e]).at(np.log([1.0]))
    >>> values.log_density(np.array([0.0, 1.0])).round(4)
    array([-0.9189, -1.9189])
    """

    name = "lognormal"
    words = "a lognormal"
    predicts_means = False
    links: ClassVar[tuple[Link, ...]] = (LOG, IDENTITY, INVERSE)
    natural_link = LOG
    likelihood = LogNormalLikelihood
    needs = "numbers above 0"
    without_exposure = "divide the response by it"
    first_choice_for = ("skewness",)
    former_priors: ClassVar[dict[int, Any]] = FORMER_SIGMA

    def __init__(self, link: str | None = None, priors: Mapping[str, Any] | None = None):
        super().__init__(link, priors)
        # whatever R-INLA calls it, a map and its thresholds are of the response
        self.link = LOG if self.link is IDENTITY else self.link

    def outside(self, y: Vector) -> NDArray[np.bool_]:
        """Which responses are not positive."""
        return ~((y > 0) & np.isfinite(y))

    @property
    def fitted_is(self) -> str:
        """What fitted values and predictions are of."""
        return "the response's median"

    def quantity(self, response: str, exposure: str | None = None) -> str:
        """What a map of the predictions shows."""
        return f"median {response}"

    @classmethod
    def suggested_by(cls, candidate: Candidate) -> tuple[Family, str] | None:
        """Positive values that are skewed even as logarithms."""
        y = candidate.values
        if candidate.named_logs or y.min() <= 0 or symmetric(y) or skewness(np.log(y)) <= 0.5:
            return None
        why = "positive and skewed even as logs: medians are mapped; gamma maps means"
        return cls(), f"{candidate.described}, {why}{candidate.if_counts}."
