"""Positive values with zeros among them, Tweedie."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import digamma, expit, gammainc, gammaincc, gammaln

from geospde.errors import InputError
from geospde.families.base import Candidate, Family
from geospde.families.likelihood import (
    Derivatives,
    Likelihood,
    Parameter,
    Vector,
    between_one_and_two,
    deviation,
    scaled,
)
from geospde.families.links import IDENTITY, LOG, Link
from geospde.families.priors import Fixed, GammaPositive, Gaussian, Independent, Prior
from geospde.families.scaled import CENTRE, OfSize, Shifted

NEAREST = 1e-5  # of the power to an end of its range: beyond, where the series loses digits, it is taken as there
AT_END = 1e-3  # of the power to an end, where an estimate counts as at it
FEWEST, MOST = 0.5, 20.0  # dispersions about one mean that the default prior may be near
REACH = 10.0  # standard deviations on either side of the largest summand


class TweedieLikelihood(Likelihood):
    """The sum of Poisson many gammas: mean ``mu = exp(eta)``, variance ``phi mu^p``; theta = (logit(p - 1), log phi).

    Of Poisson mean ``mu^(2 - p) / (phi (2 - p))``, each gamma of shape ``(2 - p) / (p - 1)``.

    Dunn & Smyth (2005), Stat. Comput. 15, 267-280: the density as a series, of which the summands that count are
    summed, every one or, where they are many, some at even steps, which is as exact.
    """

    hyper: ClassVar[tuple[Parameter, ...]] = (
        Parameter("p", "power", Gaussian(0.0, 100.0, "logit of p - 1"), 0.0, between_one_and_two),
        Parameter("phi", "shape", GammaPositive(100.0, 100.0), 0.0),
    )

    dispersion = "phi"

    @property
    def _p(self) -> float:
        power = float(between_one_and_two(np.array([self.common(0)]))[0])
        return min(max(power, 1 + NEAREST), 2 - NEAREST)

    @cached_property
    def _zero(self) -> NDArray[np.bool_]:
        value: NDArray[np.bool_] = self.y == 0
        return value

    @cached_property
    def _logs(self) -> Vector:
        """Log responses, 0 for those of 0."""
        return np.log(np.where(self._zero, 1.0, self.y))

    @cached_property
    def _series(self) -> tuple[Vector, Vector, Vector]:
        """Log of what multiplies the density of a positive response, and its derivatives in p and log phi."""
        p, log_phi = self._p, self.theta[1]
        shape = (2 - p) / (p - 1)
        log_z = shape * self._logs - shape * np.log(p - 1) - (1 + shape) * log_phi - np.log(2 - p)
        largest = np.exp((2 - p) * self._logs - log_phi) / (2 - p)
        spread = np.sqrt(largest * (p - 1)) + 1
        j, log_step = _nodes(largest, spread)
        terms = j * log_z - gammaln(j + 1) - gammaln(shape * j)
        total = np.logaddexp.reduce(terms, axis=0)
        share = np.exp(terms - total)
        count = (share * j).sum(axis=0)
        of_shape = -1 / (p - 1) ** 2  # d shape / d p
        in_p = count * (of_shape * (self._logs - np.log(p - 1) - log_phi) - shape / (p - 1) + 1 / (2 - p))
        in_p = in_p - of_shape * (share * j * digamma(shape * j)).sum(axis=0)
        return total + log_step - self._logs, in_p, -(1 + shape) * count

    def _powers(self, eta: Vector) -> tuple[Vector, Vector]:
        """``y mu^(1 - p) / phi`` and ``mu^(2 - p) / phi``."""
        p, log_phi = self._p, self.theta[1]
        with np.errstate(over="ignore"):  # the line search steps back from an infinite mean
            return self.y * np.exp((1 - p) * eta - log_phi), np.exp((2 - p) * eta - log_phi)

    def _log_density(self, eta: Vector) -> Vector:
        down, up = self._powers(eta)
        p = self._p
        return np.where(self._zero, 0.0, self._series[0]) + down / (1 - p) - up / (2 - p)

    def _derivatives(self, eta: Vector) -> Derivatives:
        down, up = self._powers(eta)
        p = self._p
        return down - up, (1 - p) * down - (2 - p) * up, (1 - p) ** 2 * down - (2 - p) ** 2 * up

    def _theta_derivatives(self, eta: Vector) -> Derivatives:
        down, up = self._powers(eta)
        p = self._p
        inside = NEAREST < expit(self.common(0)) < 1 - NEAREST
        scale = float(expit(self.common(0)) * expit(-self.common(0)) * inside)  # d p / d theta
        _, in_p, in_phi = (np.where(self._zero, 0.0, part) for part in self._series)
        density = in_p - down * (eta / (1 - p) - 1 / (1 - p) ** 2) + up * (eta / (2 - p) - 1 / (2 - p) ** 2)
        first = eta * (up - down)
        second = -down - (1 - p) * eta * down + up + (2 - p) * eta * up
        own = self._derivatives(eta)
        return (
            np.array([scale * density, in_phi - down / (1 - p) + up / (2 - p)]),
            np.array([scale * first, -own[0]]),
            np.array([scale * second, -own[1]]),
        )

    def _compound(self, eta: Vector) -> tuple[Vector, float, Vector]:
        """Mean number of gammas, their shape and their scale."""
        p, phi = self._p, np.exp(self.theta[1])
        with np.errstate(over="ignore"):
            return np.exp((2 - p) * eta) / (phi * (2 - p)), (2 - p) / (p - 1), phi * (p - 1) * np.exp((p - 1) * eta)

    def _tail(self, eta: Vector, above: bool) -> Vector:
        """P(0 < Y <= y | eta), or P(Y > y | eta): over the number of gammas."""
        rate, shape, scale = self._compound(eta)
        n, log_step = _nodes(rate, np.sqrt(rate) + 1)
        with np.errstate(divide="ignore"):
            chance = np.exp(n * np.log(rate) - rate - gammaln(n + 1) + log_step)
        tail = gammaincc if above else gammainc
        return np.asarray((chance * tail(shape * n, self.y / scale)).sum(axis=0))

    def cdf(self, eta: Vector) -> Vector:
        """P(Y <= y | eta)."""
        return np.minimum(np.exp(-self._compound(eta)[0]) + self._tail(eta, False), 1.0)

    def sf(self, eta: Vector) -> Vector:
        """P(Y > y | eta)."""
        return np.minimum(self._tail(eta, True), 1.0)

    def jumps(self) -> NDArray[np.bool_]:
        """Which responses have a probability: those of 0."""
        return self._zero

    def moments(self, eta: Vector) -> tuple[Vector, Vector]:
        """Mean and variance of each response."""
        mean = self.link.inverse(eta)
        return mean, np.exp(self.theta[1]) * mean**self._p

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta."""
        rate, shape, scale = self._compound(eta)
        return np.asarray(rng.gamma(shape * rng.poisson(rate)) * scale)

    def less_offset(self, offset: Vector) -> Self:
        """Values over exp(offset)."""
        return replace(self, y=np.where(self._zero, 0.0, scaled(self.y, -offset)))

    def start(self) -> Vector:
        """A rough eta to start from; a zero stands for a tenth of the least other value."""
        least = self.y[~self._zero].min(initial=1.0)
        return np.where(self._zero, np.log(least / 10), self._logs)

    def _rough_sd(self) -> float:
        """Of the logarithm of a mean that alone would make the responses vary as they do: zeros have no logarithm.

        The coefficient of variation of a lognormal is ``sqrt(exp(sd^2) - 1)``.
        """
        y = self.y / self.y.max(initial=1e-300)
        mean = float(np.average(y, weights=self.says)) if self.says.any() else 0.0
        return float(np.sqrt(np.log1p((deviation(y, self.says) / mean) ** 2))) if mean > 0 else 0.0

    @property
    def rough_words(self) -> str:
        """The logarithm of a mean: of the zeros there is none."""
        return "the log of a mean that would explain by itself how the data vary"

    def first_theta(self) -> Vector:
        """Where the search starts: a power of 1.5, and the dispersion that the responses have about one mean."""
        mean = float(np.average(self.y, weights=self.weights))
        variance = float(np.average((self.y - mean) ** 2, weights=self.weights))
        return np.array([0.0, np.log(variance) - 1.5 * np.log(mean) if mean > 0 and variance > 0 else 0.0])

    @property
    def log_size(self) -> float:
        """Logarithm of the mean of positive responses, which count by their weights; 0 where there is none."""
        seen = ~self._zero & (self.weights > 0)
        largest = self.y[seen].max(initial=0.0)  # over which no sum overflows
        if not seen.any():
            return 0.0
        return float(np.log(np.average(self.y[seen] / largest, weights=self.weights[seen])) + np.log(largest))

    def at_odds(self) -> str:
        """R-INLA's prior has 0.8 to 1.2, of phi or a pure number; covariates make it less than it is about one mean."""
        prior, log_phi = self.prior.of_theta[1], float(self.first_theta()[1])  # type: ignore[attr-defined]
        what, of = "phi near 1 in the unit of the response", "R-INLA's prior"
        if isinstance(prior, Shifted):
            prior, log_phi = prior.of_parameter, log_phi - (2 - CENTRE) * self.log_size
            what, of = "phi / m^(2 - p) near 1, m the mean of positive responses", "the default prior"
        phi = float(np.exp(log_phi))
        if prior != self.hyper[1].prior or FEWEST < phi < MOST:
            return ""
        about = f"{float(f'{phi:.2g}'):,.6g}"
        return f"{of} holds {what}, and these responses have it near {about}"

    def refuse_endless(self) -> None:
        """As the power falls to 1, responses that are multiples of one number have a density without end."""
        if self._p < 1 + AT_END:
            raise InputError(
                "the likelihood of a Tweedie grows without end as 'p' falls to 1, where responses are multiples of one "
                "number",
                remedy="fit the multiples themselves, as counts: family='nbinomial'",
            )

    def ends(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Zeros lie at the lower end; there is no upper one."""
        return self._zero, np.zeros(self.n, bool)


def _nodes(centre: Vector, spread: Vector) -> tuple[Vector, Vector]:
    """Numbers 1, 2, ... about each centre, along a new first axis, and the log of the step between them.

    All numbers within reach, or, where the standard deviation is large, so many at even steps of a seventh of it that
    their sum errs by less than rounding (the trapezoidal rule of a smooth bell).
    """
    step = np.maximum(spread / 7, 1.0)
    low = np.maximum(np.floor(centre - REACH * spread), 1.0)
    many = int(np.ceil(((centre + REACH * spread + 10 - low) / step).max(initial=1.0))) + 1
    return low + step * np.arange(many).reshape(-1, *[1] * centre.ndim), np.log(step)


class Tweedie(Family):
    """Values of 0 and above with a probability of exact zeros: mean mu = exp(eta), variance `phi` mu^`p`, log link.

    The sum of a Poisson number of gammas, such as the catch of a haul or the rain of a day; 1 < p < 2. Priors are
    R-INLA's, with the response counted in m, the mean of its positive values: logit(p - 1) Gaussian with mean 0 and
    precision 100, ``phi / m^(2 - p)`` Gamma(100, rate 100). A prior that is given for phi is of phi itself, which has
    the response's unit to the power of 2 - p. Where phi follows a formula, the default is as at p = 1.5.

    Examples
    --------
    >>> catch = Tweedie().bind([0.0, 2.0]).at(np.array([0.0, 0.0]))  # p = 1.5, phi = 1
    >>> catch.log_density(np.array([0.0, 0.0])).round(4)
    array([-2.    , -1.8553])
    """

    name = "tweedie"
    words = "a Tweedie"
    links: ClassVar[tuple[Link, ...]] = (LOG, IDENTITY)
    natural_link = LOG
    likelihood = TweedieLikelihood
    needs = "numbers of 0 and above"
    without_exposure = "add its logarithm as an offset"
    first_choice_for = ("zeros",)
    former_priors: ClassVar[dict[int, Any]] = {
        2: {"phi": {"loggamma": [100.0, 100.0]}}
    }  # of phi in the response's unit

    def scale(self, theta: Vector) -> float:
        """Its phi."""
        return float(np.exp(theta[1]))

    @classmethod
    def suggested_by(cls, candidate: Candidate) -> tuple[Family, str] | None:
        """Zeros, at least a twentieth of all, among positive values that are not all whole."""
        y = candidate.values
        share = float(np.mean(y == 0))
        if candidate.named_logs or y.min() < 0 or share < 0.05 or not (y > 0).any():
            return None
        return cls(), (
            f"{candidate.described}, {100 * share:.0f} % of them zero: amounts with zeros; delta_gamma fits "
            "where there is any, and how much there, apart."
        )

    def _prior(self, bound: Likelihood, hyper: tuple[Parameter, ...], own: Mapping[str, Prior]) -> Independent:
        """By default that of phi is of a pure number, and joint with p where this is not held."""
        assert isinstance(bound, TweedieLikelihood)
        if "phi" in own:
            return super()._prior(bound, hyper, own)
        power = own.get("p") or hyper[0].prior
        of_size = OfSize(power, hyper[1].prior, bound.log_size)
        return Independent((power, of_size.given(power.value)) if isinstance(power, Fixed) else (of_size,))

    def outside(self, y: Vector) -> NDArray[np.bool_]:
        """Which responses are negative."""
        return ~((y >= 0) & np.isfinite(y))
