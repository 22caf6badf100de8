"""Responses under another link than the one that a family's densities are written in."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from geospde.families.jets import composed, of_logarithm, relative_to
from geospde.families.likelihood import Derivatives, Likelihood, Parameter, Vector, spread
from geospde.families.links import Jet, Link

NEAR = 1e-10  # of the end of a link's domain: draws of the predictor beyond it are taken for there


@dataclass(frozen=True)
class Relinked(Likelihood):
    """Responses of a likelihood whose mean is another function of the predictor.

    With t the predictor that the likelihood is written in, a density of eta is that of ``t(eta) = natural link of the
    mean at eta``, with derivatives by the chain rule. Where the link has no mean that the family allows, the density
    is zero.

    Attributes
    ----------
    natural : Likelihood
        The same responses, without weights, under the link that it is written in.
    """

    natural: Likelihood

    @classmethod
    def of(cls, bound: Likelihood, link: Link) -> "Relinked":
        """The responses of a likelihood under another link."""
        return cls(
            bound.y, bound.exposure, bound.trials, bound.weights, link, bound.prior, bound.theta, bound.unweighted()
        )

    @property
    def hyper(self) -> tuple[Parameter, ...]:  # type: ignore[override]
        """Those of the responses."""
        return self.natural.hyper

    @property
    def dispersion(self) -> str:  # type: ignore[override]
        """As under the other link."""
        return self.natural.dispersion

    @property
    def bends_units(self) -> bool:  # type: ignore[override]
        """As of the responses."""
        return self.natural.bends_units

    @property
    def observed_exactly(self) -> bool:
        """As under the other link."""
        return self.natural.observed_exactly

    @property
    def has_cdf(self) -> bool:
        """As under the other link."""
        return self.natural.has_cdf

    @property
    def has_moments(self) -> bool:
        """As under the other link."""
        return self.natural.has_moments

    @property
    def says(self) -> Vector:
        """As under the other link."""
        return self.weights * self.natural.says

    @property
    def unit(self) -> float | None:
        """Standard deviation of the response, or of what its link makes of small differences from its mean."""
        if not self.link.has_unit:
            return None
        seen = self.natural.observed()
        of_response = spread(seen, self.says)
        if self.link.is_linear:
            return of_response
        middle = float(np.average(seen, weights=self.says if self.says.any() else None))
        slope = float(np.exp(self.link.log_derivative(self.link.forward(np.array(middle)))))
        return of_response / slope if np.isfinite(slope) and slope > 0 else None

    @property
    def residual_unit(self) -> float | None:
        """As under the other link: a residual standard deviation is no part of the predictor."""
        return replace(self.natural, weights=self.weights).residual_unit

    @property
    def largest_sd(self) -> float:
        """Three standard deviations of the responses on the predictor's scale."""
        wide = 3 * spread(self._each(), self.says)
        return max(wide, 1.0) if self.link.is_log else wide

    def at(self, theta: Vector) -> Self:
        """The same observations with these hyperparameters."""
        inner = self.natural.at(theta)
        return replace(self, theta=inner.theta, natural=inner)

    def of_rows(self, index: NDArray[np.intp]) -> Self:
        """Some of the observations."""
        return replace(super().of_rows(index), natural=self.natural.of_rows(index))

    @cached_property
    def _inner(self) -> Likelihood:
        """The responses of this one, under the other link."""
        return self.natural if self.y is self.natural.y else replace(self.natural, y=self.y)

    def _inside(self, eta: Vector) -> NDArray[np.bool_]:
        """Where the link has a mean that the family allows."""
        with np.errstate(all="ignore"):
            mean = self.link.inverse(eta)
        natural = self._inner.link
        inside = (eta > self.link.least) & (mean > natural.low) & (mean < natural.high) & np.isfinite(mean)
        # as R has it; for a response above zero a predictor below is the mirror image of one above
        return inside | (np.asarray(self._inner.y) == 0) if self.link.is_even else inside

    def _moved(self, eta: Vector) -> tuple[Jet, NDArray[np.bool_]]:
        """The natural predictor with its derivatives in eta, and where there is one."""
        inside = self._inside(eta)
        least = max(self.link.least, 0.0) + NEAR
        near = np.where(inside, np.maximum(np.abs(eta), least) if self.link.is_even else eta, least)
        jet = self.link.jet(near)
        if self._inner.link.is_log:
            jet = of_logarithm(np.log(jet[0]), relative_to(jet[0], jet[1:]))
        if self.link.is_even:
            side = np.where(eta < 0, -1.0, 1.0)
            jet = jet[0], side * jet[1], jet[2], side * jet[3]
        return jet, inside

    def _predictor(self, eta: Vector) -> Vector:
        return self._moved(eta)[0][0]

    def _log_density(self, eta: Vector) -> Vector:
        jet, inside = self._moved(eta)
        return np.where(inside, self._inner.log_density(jet[0]), -np.inf)

    def _derivatives(self, eta: Vector) -> Derivatives:
        jet, inside = self._moved(eta)
        outer = self._inner.derivatives(jet[0])
        first, second, third = (
            np.where(inside, part, 0.0) for part in composed((jet[0], *outer), jet)[1:]
        )  # fmt: skip
        return first, second, third

    def _theta_derivatives(self, eta: Vector) -> Derivatives:
        jet, inside = self._moved(eta)
        f, f1, f2 = self._inner.theta_derivatives(jet[0])
        density, first, second = (
            np.where(inside, part, 0.0) for part in (f, f1 * jet[1], f2 * jet[1] ** 2 + f1 * jet[2])
        )
        return density, first, second

    def _weights(self, eta: Vector) -> Vector:
        """Information under the other link, times the square of how fast its predictor moves."""
        jet, inside = self._moved(eta)
        second = self._inner.derivatives(jet[0])[1]
        return np.where(inside, self._inner.newton_weights(jet[0], second) * jet[1] ** 2, 0.0)

    def cdf(self, eta: Vector) -> Vector:
        """P(Y <= y | eta)."""
        return self._inner.cdf(self._predictor(eta))

    def sf(self, eta: Vector) -> Vector:
        """P(Y > y | eta)."""
        return self._inner.sf(self._predictor(eta))

    def log_cdf(self, eta: Vector) -> Vector:
        """Log P(Y <= y | eta)."""
        return self._inner.log_cdf(self._predictor(eta))

    def log_sf(self, eta: Vector) -> Vector:
        """Log P(Y > y | eta)."""
        return self._inner.log_sf(self._predictor(eta))

    def jumps(self) -> NDArray[np.bool_] | None:
        """As under the other link."""
        return self._inner.jumps()

    def moments(self, eta: Vector) -> tuple[Vector, Vector]:
        """Mean and variance of each response."""
        return self._inner.moments(self._predictor(eta))

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta."""
        return self._inner.draw(self._predictor(eta), rng)

    def _compared(self, eta: Vector) -> tuple[Vector, Vector, Vector]:
        return self._inner._compared(self._predictor(eta))

    def observed(self) -> Vector:
        """What was observed of the inverse link of eta."""
        return self._inner.observed()

    def _each(self) -> Vector:
        """Responses on the predictor's scale, drawn in where they are at an end of what it allows."""
        seen = self.observed()
        eta = self.link.forward(seen)
        finite = np.isfinite(eta) & self._inside(eta)
        return np.clip(eta, eta[finite].min(), eta[finite].max()) if finite.any() else np.ones_like(seen)

    def start(self) -> Vector:
        """One eta for all, at which every response is possible: the link of their mean."""
        mean = np.average(self.observed(), weights=self.weights + 1e-300)
        value = float(self.link.forward(np.array([mean]))[0])
        usable = np.isfinite(value) and bool(self._inside(np.array([value]))[0])
        return np.full(self.n, value if usable else float(np.mean(self._each())))

    def first_theta(self) -> Vector:
        """Where the search starts."""
        return self._inner.first_theta()

    def ends(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """As under the other link, the other way about where the mean falls; none at an end of the link's domain."""
        lower, upper = self._inner.ends()
        lower, upper = (upper, lower) if self.link.falls else (lower, upper)
        return lower & ~self.bounded, upper

    @property
    def bounded(self) -> NDArray[np.bool_]:
        """All, or none: where the link's predictor has an end, or is a mean that has one."""
        ended = np.isfinite(self.link.least) or (self.link.is_linear and np.isfinite(self._inner.link.low))
        return np.full(self.n, bool(ended))

    def room(self, eta: Vector) -> Vector:
        """How far each predictor is from the end of its link, or of the means that the family allows."""
        least = max(self.link.least, self._inner.link.low if self.link.is_linear else -np.inf)
        return np.full(self.n, np.inf) if self.link.is_even or not np.isfinite(least) else eta - least

    def end(self) -> str | None:
        """As under the other link."""
        return self._inner.end()
