"""Point patterns, log-Gaussian Cox."""

from typing import ClassVar, NoReturn

import numpy as np
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.families.base import Family
from geospde.families.likelihood import Derivatives, Likelihood, Vector
from geospde.families.links import LOG, Link


class PatternLikelihood(Likelihood):
    """``y eta - exposure exp(eta)``: points have y = 1 and no exposure, places of integration y = 0 and a weight.

    The sum over rows is the log likelihood of the pattern, the integral of the intensity by the weights.
    """

    def _integral(self, eta: Vector) -> Vector:
        with np.errstate(over="ignore"):  # the line search steps back from an infinite intensity
            return self.exposure * np.exp(eta)

    def _log_density(self, eta: Vector) -> Vector:
        return self.y * eta - self._integral(eta)

    def _derivatives(self, eta: Vector) -> Derivatives:
        mean = self._integral(eta)
        return self.y - mean, -mean, -mean

    def observed(self) -> Vector:
        """A point, or none."""
        return self.y

    def start(self) -> Vector:
        """The log of the mean intensity, everywhere."""
        area = float(self.exposure.sum())
        return np.full(self.n, np.log(max(float(self.y.sum()), 0.5) / area) if area > 0 else 0.0)

    def end(self) -> str | None:
        """``"lower"`` where there is no point."""
        return None if self.y.any() else "lower"

    def _refuse(self, method: str, gives: str) -> NoReturn:
        raise InputError(
            f"a point pattern has no {method.partition('(')[0]} a row: its rows are points and places of integration"
        )


class Lgcp(Family):
    """A point pattern in a domain, of intensity exp(eta) per unit area: with a field a log-Gaussian Cox process.

    ``gs.fit("~ elevation + spde(mesh)", points, family="lgcp", domain=polygon, mesh=mesh)``. The integral of the
    intensity over the domain is a sum over the vertices of the mesh with the exact integrals of their basis functions
    over the domain as weights: Simpson, Illian, Lindgren, Sørbye & Rue (2016), Biometrika 103, 49-70. Known effort or
    thinning is an offset, its logarithm. Fitted values are intensities.
    """

    name = "lgcp"
    aliases = ("cp", "pointpattern")
    words = "a log-Gaussian Cox process"
    links: ClassVar[tuple[Link, ...]] = (LOG,)
    likelihood = PatternLikelihood
    needs = "zeros and ones, of places of integration and points"
    has_exposure = True
    is_pattern = True

    def outside(self, y: Vector) -> NDArray[np.bool_]:
        """Which responses are neither 0 nor 1."""
        value: NDArray[np.bool_] = ~((y == 0) | (y == 1))
        return value

    @property
    def fitted_is(self) -> str:
        """What fitted values and predictions are of."""
        return "the intensity, points per unit area"

    def quantity(self, response: str, exposure: str | None = None) -> str:
        """What a map of the predictions shows."""
        return f"intensity of {response}"
