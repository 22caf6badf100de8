"""What an exponential family has beside its likelihood: mean, variance function, dispersion, deviance."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geospde.families.likelihood import Likelihood

Vector = NDArray[np.float64]
EXPONENTIAL = ("gaussian", "gamma", "poisson", "binomial", "bernoulli")
NEAREST = 1e-16  # of a saturated mean to the end of its range, where the predictor is infinite


@dataclass(frozen=True)
class Exponential:
    """Responses bound to an exponential family, of density ``exp(w (y t - b(t)) / dispersion + c)``.

    Attributes
    ----------
    name : str
        One of `EXPONENTIAL`.
    likelihood : Likelihood
        At any hyperparameters.
    link : Link
    """

    name: str
    likelihood: Likelihood
    link: Any

    @property
    def has_dispersion(self) -> bool:
        """Whether the dispersion is the family's hyperparameter, and not 1."""
        return bool(self.likelihood.parameters)

    def theta(self, dispersion: float) -> Vector:
        """The family's hyperparameters at a dispersion, on their inner scale: log sigma, or log shape."""
        if not self.has_dispersion:
            return np.zeros(0)
        return np.array([(0.5 if self.name == "gaussian" else -1.0) * np.log(dispersion)])

    def dispersion(self, theta: Vector) -> float:
        """The dispersion at hyperparameters of the family."""
        if not self.has_dispersion:
            return 1.0
        return float(np.exp((2.0 if self.name == "gaussian" else -1.0) * theta[0]))

    @property
    def response(self) -> Vector:
        """Responses; of a binomial the share of successes."""
        own: Any = self.likelihood
        return own.y / own.trials if self.name == "binomial" else own.y

    @property
    def weights(self) -> Vector:
        """Weights of the responses: of a binomial the trials."""
        own: Any = self.likelihood
        return own.weights * own.trials

    def mean(self, eta: Vector) -> Vector:
        """Means of the responses."""
        own: Any = self.likelihood
        return own.exposure * self.link.inverse(eta)

    def variance(self, mean: Vector) -> Vector:
        """Variance function: variance of a response of weight and dispersion 1."""
        if self.name == "gaussian":
            return np.ones_like(mean)
        if self.name == "gamma":
            return mean**2
        return mean if self.name == "poisson" else mean * (1 - mean)

    def log_likelihood(self, eta: Vector, dispersion: float) -> float:
        """Sum of the log densities, all constants included."""
        return float(self.likelihood.at(self.theta(dispersion)).log_density(eta).sum())

    def saturated(self, dispersion: float) -> float:
        """Log likelihood where every mean is its response."""
        own: Any = self.likelihood
        mean = self.response / own.exposure
        if self.name != "gaussian":
            mean = np.maximum(mean, NEAREST)
        if np.isfinite(self.link.high):
            mean = np.minimum(mean, self.link.high - NEAREST)
        return self.log_likelihood(self.link.forward(mean), dispersion)

    def deviance(self, eta: Vector, dispersion: float) -> float:
        """Twice what the log likelihood falls short of the saturated one, times the dispersion.

        The same at all dispersions, but for rounding: it is least where the dispersion is near the responses' own.
        """
        return 2.0 * dispersion * (self.saturated(dispersion) - self.log_likelihood(eta, dispersion))

    def pearson(self, eta: Vector) -> float:
        """Sum of squared residuals over their variances at dispersion 1."""
        mean = self.mean(eta)
        return float((self.weights * (self.response - mean) ** 2 / self.variance(mean)).sum())

    def null_deviance(self, offset: Vector, intercept: bool, dispersion: float) -> float:
        """Deviance of the model with an intercept, if there is one, and the offset alone; see `deviance`."""
        eta = offset.astype(float)
        if not intercept:
            return self.deviance(eta, dispersion)
        likelihood = self.likelihood.at(self.theta(dispersion))
        shift = float(np.average(likelihood.start() - offset, weights=self.weights))
        for _ in range(100):
            first, second, _ = likelihood.derivatives(offset + shift)
            information = float(likelihood.newton_weights(offset + shift, second).sum())
            step = float(np.clip(first.sum() / information, -5.0, 5.0))
            shift += step
            if abs(step) < 1e-12 * max(1.0, abs(shift)):
                break
        return self.deviance(offset + shift, dispersion)
