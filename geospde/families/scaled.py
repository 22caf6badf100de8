"""Priors of a dispersion whose unit is the response's to a power that is estimated, too."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from geospde.families.priors import Prior

Vector = NDArray[np.float64]
CENTRE = 1.5  # a power in the middle of its range


@dataclass(frozen=True)
class Shifted:
    """The prior of a parameter of which theta is more by `shift`; `words` say what it is of."""

    of_parameter: Prior
    shift: float
    words: str

    def log_density(self, theta: Vector) -> float:
        """Log density of theta."""
        return self.of_parameter.log_density(theta - self.shift)

    def gradient(self, theta: Vector) -> Vector:
        """Gradient of the log density."""
        return self.of_parameter.gradient(theta - self.shift)

    def describe(self) -> str:
        """One line for the summary."""
        return f"{self.of_parameter.describe()} of {self.words}"


@dataclass(frozen=True)
class OfSize:
    """Prior of (logit(p - 1), log phi) where ``variance = phi mean^p``: that of p, and one of ``phi / m^(2 - p)``.

    The latter is a pure number, with m a size of the responses: no answer then depends on their unit.

    Attributes
    ----------
    power, dispersion : Prior
        Of logit(p - 1), and of the logarithm of ``phi / m^(2 - p)``.
    log_size : float
        Logarithm of m.
    """

    power: Prior
    dispersion: Prior
    log_size: float

    size: ClassVar[int] = 2

    def shifts(self, theta: Vector) -> Vector:
        """``(2 - p) log m`` at values of logit(p - 1)."""
        values: Vector = expit(-theta) * self.log_size
        return values

    def given(self, power: float) -> Shifted:
        """The prior of log phi at a power."""
        words = f"phi / m^(2 - p), m = {np.exp(self.log_size):.4g} the mean of positive responses"
        return Shifted(self.dispersion, (2 - power) * self.log_size, words)

    @property
    def of_theta(self) -> tuple[Prior, Prior]:
        """A prior of each, that of log phi at a power of 1.5: where a dispersion follows a formula."""
        return self.power, self.given(CENTRE)

    def log_density(self, theta: Vector) -> float:
        """Log density: a shift has a Jacobian of 1."""
        return self.power.log_density(theta[:1]) + self.dispersion.log_density(theta[1:] - self.shifts(theta[:1]))

    def gradient(self, theta: Vector) -> Vector:
        """Gradient of the log density."""
        of_phi = self.dispersion.gradient(theta[1:] - self.shifts(theta[:1]))
        slope = expit(theta[:1]) * expit(-theta[:1]) * self.log_size  # less of it as the power rises
        return np.concatenate([self.power.gradient(theta[:1]) + slope * of_phi, of_phi])

    def describe(self) -> str:
        """One line for the summary."""
        return "; ".join(each.describe() for each in self.of_theta)
