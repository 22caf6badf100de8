"""What an exponential family has beside its likelihood: mean, variance function, dispersion, deviance."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from geospde.families.base import Family
from geospde.families.likelihood import Likelihood
from geospde.families.registry import names
from geospde.families.relinked import Relinked
from geospde.inference.laplace import Laplace, LaplacePoint

Vector = NDArray[np.float64]
STEP = 1e-4  # step of differences in a predictor, whose error goes with its square
NEAREST = 1e-16  # closest that a saturated mean comes to the end of its range, where the predictor is infinite


def expected_weights(likelihood: Likelihood, eta: Vector) -> Vector:
    """Information of the predictors that responses have in the mean, (m,): what mgcv's edf and GCV are of.

    The second derivative of an exponential family's log density is linear in the response. Under a natural link it is
    the information that is observed.
    """
    means = likelihood.moments(eta)[0]
    at_means = replace(likelihood, y=means)
    if isinstance(likelihood, Relinked):
        at_means = replace(likelihood, y=means, natural=replace(likelihood.natural, y=means))
    return -at_means.derivatives(eta)[1]


def in_the_mean(laplace: Laplace, point: LaplacePoint) -> LaplacePoint:
    """A point with the factor of H, its inverse and derivatives that responses have in the mean."""
    likelihood, eta = laplace.likelihood_at(point.theta), point.eta
    weights = expected_weights(likelihood, eta)
    if np.allclose(weights, -point.derivatives[1], rtol=1e-9, atol=0.0):
        return point
    whole = laplace.whole(point.theta)
    factor = laplace.factor_of(whole, laplace.prior_at(whole), weights)
    third = expected_weights(likelihood, eta - STEP) - expected_weights(likelihood, eta + STEP)
    derivatives = (point.derivatives[0], -weights, third / (2 * STEP))
    return replace(point, factor=factor, covariance=laplace.selected_inverse(factor), derivatives=derivatives)


@dataclass(frozen=True)
class Exponential:
    """Responses bound to an exponential family, of density ``exp(w (y t - b(t)) / dispersion + c)``.

    Attributes
    ----------
    family : Family
        One that `is_exponential`.
    likelihood : Likelihood
        At any hyperparameters.
    """

    family: Family
    likelihood: Likelihood

    @property
    def has_dispersion(self) -> bool:
        """Whether the dispersion is the family's hyperparameter, and not 1."""
        return self.family.dispersion_power is not None

    def theta(self, dispersion: float) -> Vector:
        """The family's hyperparameters at a dispersion, on their inner scale: log sigma, or log shape."""
        power = self.family.dispersion_power
        return np.zeros(0) if power is None else np.array([np.log(dispersion) / power])

    def dispersion(self, theta: Vector) -> float:
        """The dispersion at hyperparameters of the family."""
        power = self.family.dispersion_power
        return 1.0 if power is None else float(np.exp(power * theta[0]))

    @property
    def response(self) -> Vector:
        """Responses; of trials the share of successes."""
        return self.likelihood.y / self.likelihood.trials

    @property
    def weights(self) -> Vector:
        """Weights of the responses: with trials, times these."""
        return self.likelihood.weights * self.likelihood.trials

    def mean(self, eta: Vector) -> Vector:
        """Means of the responses."""
        return self.likelihood.exposure * self.family.link.inverse(eta)

    def variance(self, mean: Vector) -> Vector:
        """Variance function: variance of a response of weight and dispersion 1."""
        return self.family.variance_function(mean)

    def log_likelihood(self, eta: Vector, dispersion: float) -> float:
        """Sum of the log densities, all constants included."""
        return float(self.likelihood.at(self.theta(dispersion)).log_density(eta).sum())

    def saturated(self, dispersion: float) -> float:
        """Log likelihood where every mean is its response."""
        link = self.family.link
        mean = np.clip(self.response / self.likelihood.exposure, link.low + NEAREST, link.high - NEAREST)
        return self.log_likelihood(link.forward(mean), dispersion)

    def deviance(self, eta: Vector, dispersion: float) -> float:
        """Twice what the log likelihood falls short of the saturated one, times the dispersion.

        The same at all dispersions, but for rounding: it is least where the dispersion is near the responses' own.
        """
        return 2.0 * dispersion * (self.saturated(dispersion) - self.log_likelihood(eta, dispersion))

    def pearson(self, eta: Vector) -> float:
        """Sum of squared residuals over their variances at dispersion 1."""
        mean = self.mean(eta)
        return float((self.weights * (self.response - mean) ** 2 / self.variance(mean)).sum())

    def moment_dispersion(self, eta: Vector, edf: float) -> float:
        """Pearson's estimate of the dispersion, less what the skewness of responses does to it, as mgcv tests by it.

        References
        ----------
        Fletcher (2012), Biometrika 99, 230-237.
        """
        mean = self.mean(eta)
        step = STEP * np.minimum(np.abs(mean), 1.0)
        slope = (self.variance(mean + step) - self.variance(mean - step)) / (2 * step)
        skew = float((slope * (self.response - mean) * np.sqrt(self.weights) / self.variance(mean)).mean())
        return self.pearson(eta) / (eta.size - edf) / (1.0 + max(skew, -0.9))

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


def exponential_names() -> str:
    """The families that are exponential ones, for a sentence."""
    return ", ".join(names(lambda family: family().is_exponential))
