"""Sets of default priors that go by a name of their own."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geospde.families.links import Link
from geospde.families.priors import GammaPositive, HalfStudentT, LogitBeta, Prior

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class BrmsDefaults:
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

    def sd(self) -> Prior:
        """Of a standard deviation, of group effects, a Gaussian process or the residual."""
        return HalfStudentT(3.0, self.scale)

    def of_family(self, kind: str) -> Prior | None:
        """Of a family's hyperparameter of this kind; None where brms has no such."""
        if kind == "df":
            return None
        own: dict[str, Prior] = {
            "sd": self.sd(), "shape": GammaPositive(0.01, 0.01), "size": GammaPositive(0.01, 0.01),
            "probability": LogitBeta(1.0, 1.0),
        }  # fmt: skip
        return own.get(kind)
