"""Sets of default priors that go by a name of their own."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geospde.families.links import Link
from geospde.families.priors import GammaPositive, HalfStudentT, LogGamma, LogitBeta, Prior

Vector = NDArray[np.float64]


class Defaults(ABC):
    """A set of priors for parameters that none is given for."""

    @abstractmethod
    def sd(self) -> Prior:
        """Of a standard deviation: of group effects, a walk, a Gaussian process."""

    @abstractmethod
    def of_family(self, kind: str, own: Prior) -> Prior | None:
        """Of a family's hyperparameter of this kind, `own` the family's prior of it; None for the default."""

    @property
    def intercept(self) -> tuple[float, float] | None:
        """Location and scale of a Student t (df 3) of the intercept at the covariates' means; None is flat."""
        return None

    @property
    def coefficient_precision(self) -> float:
        """Of a Gaussian about 0 of every other coefficient; 0 is flat."""
        return 0.0


class InlaDefaults(Defaults):
    """R-INLA's: ``loggamma(1, 5e-5)`` of precisions whatever the data's unit, coefficients of precision 0.001."""

    coefficient_precision = 0.001

    def sd(self) -> Prior:
        """Gamma(1, rate 5e-5) of the precision."""
        return LogGamma()

    def of_family(self, kind: str, own: Prior) -> Prior | None:
        """The same of a residual's; other hyperparameters have R-INLA's priors as it is, in whatever unit."""
        return LogGamma() if kind == "sd" else own


@dataclass(frozen=True)
class BrmsDefaults(Defaults):
    """What brms gives parameters that no prior is given for (Bürkner 2017, J. Stat. Softw. 80(1), and its manual).

    Attributes
    ----------
    location, scale : float
        Of the Student t, with 3 degrees of freedom, of the intercept at the covariates' means; the scale is that of
        every standard deviation's half Student t, too.
    """

    location: float
    scale: float

    @classmethod
    def of_response(cls, values: Vector, link: Link) -> "BrmsDefaults":
        """Median and median absolute deviation (at least 2.5) of the response on the predictor's scale.

        Probabilities have the scale of their links: 0 and 2.5.
        """
        if np.isfinite(link.high):
            return cls(0.0, 2.5)
        with np.errstate(divide="ignore", invalid="ignore"):
            eta = np.asarray(link.forward(np.where(values == 0, 0.1, values)), dtype=float)
        eta = eta[np.isfinite(eta)]
        middle = float(np.median(eta))
        return cls(round(middle, 1), max(2.5, round(1.4826 * float(np.median(np.abs(eta - middle))), 1)))

    @property
    def intercept(self) -> tuple[float, float]:
        """Location and scale of the intercept's Student t."""
        return self.location, self.scale

    def sd(self) -> Prior:
        """Of a standard deviation, of group effects, a Gaussian process or the residual."""
        return HalfStudentT(3.0, self.scale)

    def of_family(self, kind: str, own: Prior) -> Prior | None:
        """Of a family's hyperparameter of this kind; None where brms has no such."""
        if kind == "df":
            return None
        found: dict[str, Prior] = {
            "sd": self.sd(), "shape": GammaPositive(0.01, 0.01), "size": GammaPositive(0.01, 0.01),
            "probability": LogitBeta(1.0, 1.0),
        }  # fmt: skip
        return found.get(kind)
