"""Proportions with zeros and ones among them, ordered beta."""

from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from geospde.families.base import Family
from geospde.families.jets import mirrored
from geospde.families.likelihood import Derivatives, Likelihood, Parameter, Vector, unchanged
from geospde.families.links import LOGIT, Jet, Link
from geospde.families.priors import Gaussian
from geospde.families.proportions.beta import BetaLikelihood


class OrderedBetaLikelihood(Likelihood):
    """Zero below a first cut of a logistic variable about eta, one above a second, else beta of mean expit(eta).

    theta = (log phi, first cut, log of the gap between the cuts).
    """

    hyper: ClassVar[tuple[Parameter, ...]] = (
        *BetaLikelihood.hyper,
        Parameter("cut", "real", Gaussian(-2.0, 0.25, "natural"), -2.0, unchanged),
        Parameter("gap", "shape", Gaussian(1.0, 1.0), 1.0),
    )
    dispersion = "phi"

    @cached_property
    def _zero(self) -> NDArray[np.bool_]:
        value: NDArray[np.bool_] = self.y == 0
        return value

    @cached_property
    def _one(self) -> NDArray[np.bool_]:
        value: NDArray[np.bool_] = self.y == 1
        return value

    @cached_property
    def _beta(self) -> BetaLikelihood:
        """The proportions in between; zeros and ones stand as halves."""
        y, ones = np.where(self._zero | self._one, 0.5, self.y), np.ones(self.n)
        return BetaLikelihood(y, ones, ones, ones, self.link, self.prior, self.theta[:1])

    @property
    def _cuts(self) -> tuple[float, float]:
        return self.common(1), self.common(1) + float(np.exp(self.common(2)))

    def _parts(self, eta: Vector) -> tuple[Jet, Jet, Jet]:
        """Jets of the log probabilities of a zero, of something in between, of a one."""
        a, b = self._cuts
        zero, above = mirrored(LOGIT.log_probability(a - eta)), LOGIT.log_probability(eta - a)
        below, one = mirrored(LOGIT.log_probability(b - eta)), LOGIT.log_probability(eta - b)
        inside = tuple(x + y for x, y in zip(above, below))
        # expit(u) - expit(v) = expit(u) expit(-v) (1 - exp(v - u))
        log_gap = np.log(-np.expm1(a - b))
        return zero, (inside[0] + log_gap, inside[1], inside[2], inside[3]), one

    def _chosen(self, zero: Vector, inside: Vector, one: Vector) -> Vector:
        return np.where(self._zero, zero, np.where(self._one, one, inside))

    def _log_density(self, eta: Vector) -> Vector:
        zero, inside, one = self._parts(eta)
        return self._chosen(zero[0], inside[0] + self._beta.log_density(eta), one[0])

    def _derivatives(self, eta: Vector) -> Derivatives:
        zero, inside, one = self._parts(eta)
        beta = self._beta.derivatives(eta)
        first, second, third = (self._chosen(zero[k], inside[k] + beta[k - 1], one[k]) for k in (1, 2, 3))
        return first, second, third

    def _weights(self, eta: Vector) -> Vector:
        zero, inside, one = self._parts(eta)
        return -self._chosen(zero[2], inside[2] - self._beta._weights(eta), one[2])

    def _chances(self, eta: Vector) -> tuple[Vector, Vector, Vector]:
        zero, inside, one = self._parts(eta)
        return np.exp(zero[0]), np.exp(inside[0]), np.exp(one[0])

    def cdf(self, eta: Vector) -> Vector:
        """P(Y <= y | eta)."""
        zero, inside, _ = self._chances(eta)
        return self._chosen(zero, zero + inside * self._beta.cdf(eta), np.ones_like(zero))

    def sf(self, eta: Vector) -> Vector:
        """P(Y > y | eta)."""
        _, inside, one = self._chances(eta)
        return self._chosen(inside + one, one + inside * self._beta.sf(eta), np.zeros_like(one))

    def jumps(self) -> NDArray[np.bool_]:
        """Which responses have a probability: those of 0 and 1."""
        return self._zero | self._one

    def moments(self, eta: Vector) -> tuple[Vector, Vector]:
        """Mean and variance of each response, its zeros and ones included."""
        _, inside, one = self._chances(eta)
        mean, variance = self._beta.moments(eta)
        whole = inside * mean + one
        return whole, inside * (variance + mean**2) + one - whole**2

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta."""
        a, b = self._cuts
        behind = eta + rng.logistic(size=eta.shape)
        least = 1e-15  # of a beta that is no zero
        between = np.clip(self._beta.draw(eta, rng), least, 1 - least)
        return np.where(behind < a, 0.0, np.where(behind > b, 1.0, between))

    def start(self) -> Vector:
        """A rough eta to start from."""
        return LOGIT.forward(np.clip(self.y, 0.05, 0.95))

    def ends(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Zeros lie at the lower end, ones at the upper."""
        return self._zero, self._one


class OrderedBeta(Family):
    """Proportions from 0 to 1, both included: zero, one, or beta of mean expit(eta) and precision `phi` in between.

    A logistic variable about eta says which: zero below `cut`, one above cut + `gap`, so that what makes proportions
    large makes zeros rare and ones frequent (Kubinec 2023, Political Analysis 31, 519-536). Priors: phi as of the beta,
    the cut Gaussian with mean -2 and sd 2, log(gap) Gaussian with mean 1 and sd 1. Fitted values are expit(eta), the
    mean of proportions in between.

    Examples
    --------
    >>> cover = OrderedBeta().bind([0.0, 0.5, 1.0]).at(np.array([np.log(2.0), -1.0, np.log(2.0)]))
    >>> cover.log_density(np.zeros(3)).round(4)
    array([-1.3133, -0.7719, -1.3133])
    """

    name = "ordered_beta"
    aliases = ("ordbeta",)
    words = "an ordered beta"
    links: ClassVar[tuple[Link, ...]] = (LOGIT,)
    likelihood = OrderedBetaLikelihood
    needs = "values from 0 to 1"
    without_exposure = "a proportion has none"
    first_choice_for = ("zeros",)

    @property
    def fitted_is(self) -> str:
        """What fitted values and predictions are of."""
        return "the mean of the proportions that are neither 0 nor 1"

    def outside(self, y: Vector) -> NDArray[np.bool_]:
        """Which responses are not between 0 and 1."""
        return ~((y >= 0) & (y <= 1))
