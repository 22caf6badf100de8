"""Responses that are known by bounds: below a detection limit, beyond the end of a study, between two inspections."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.families.jets import log_difference, of_logarithm
from geospde.families.likelihood import Derivatives, Likelihood, Parameter, Vector
from geospde.families.links import Jet

NONE, LEFT, RIGHT, INTERVAL = range(4)
WORDS = {"none": NONE, "left": LEFT, "right": RIGHT, "interval": INTERVAL}
NUMBERS = {-1: LEFT, 0: NONE, 1: RIGHT, 2: INTERVAL}  # as brms and R's Surv have them


@dataclass(frozen=True)
class Censoring:
    """How each response is known.

    Attributes
    ----------
    kind : (m,) array of int
        NONE, exactly; LEFT, it is at most y; RIGHT, above y; INTERVAL, above y and at most `upper`.
    upper : (m,) array
        The upper end of an interval; y elsewhere.
    """

    kind: NDArray[np.intp]
    upper: Vector

    @classmethod
    def read(cls, words: Sequence[Any], y: Vector, upper: Vector | None) -> "Censoring":
        """From words as brms has them, or its numbers -1, 0, 1, 2, or true for right; InputError names a bad row."""
        kind = np.empty(len(words), dtype=np.intp)
        for row, word in enumerate(words):
            known = WORDS.get(word.strip().lower()) if isinstance(word, str) else NUMBERS.get(word)
            if known is None:
                raise InputError(
                    f"cens(y, censored) needs none, left, right or interval: {{row}} holds {word!r}", row=row
                )
            kind[row] = known
        between = np.flatnonzero(kind == INTERVAL)
        if between.size and upper is None:
            raise InputError(
                "{row} is censored to an interval, whose upper end is missing: cens(y, censored, y2)", row=between[0]
            )
        whole = y if upper is None else np.where(kind == INTERVAL, upper, y)
        wrong = np.flatnonzero((kind == INTERVAL) & ~(whole > y))
        if wrong.size:
            row = wrong[0]
            raise InputError(
                f"an interval ends above where it begins: {{row}} goes from {y[row]:g} to {whole[row]:g}", row=row
            )
        return cls(kind, whole)


@dataclass(frozen=True)
class Censored(Likelihood):
    """Responses of a family, of some of which only bounds are known: P(Y <= y) and so on stand for densities.

    Attributes
    ----------
    uncensored : Likelihood
        The same responses as if all were known; of its class are the densities.
    censoring : Censoring
    """

    uncensored: Likelihood
    censoring: Censoring

    @classmethod
    def of(cls, bound: Likelihood, censoring: Censoring) -> "Censored":
        """The responses of a likelihood under a censoring."""
        return cls(
            bound.y, bound.exposure, bound.trials, bound.weights, bound.link, bound.prior, bound.theta,
            bound.unweighted(), censoring,
        )  # fmt: skip

    @property
    def hyper(self) -> tuple[Parameter, ...]:  # type: ignore[override]
        """Those of the responses."""
        return self.uncensored.hyper

    @property
    def dispersion(self) -> str:  # type: ignore[override]
        """As if all were known."""
        return self.uncensored.dispersion

    @property
    def bends_units(self) -> bool:  # type: ignore[override]
        """As of the responses."""
        return self.uncensored.bends_units

    @property
    def observed_exactly(self) -> bool:
        """Not so."""
        return False

    @property
    def unit(self) -> float | None:
        """As if all were known."""
        return replace(self.uncensored, weights=self.weights).unit

    @property
    def says(self) -> Vector:
        """As if all were known."""
        return self.weights * self.uncensored.says

    def at(self, theta: Vector) -> Self:
        """The same observations with these hyperparameters."""
        inner = self.uncensored.at(theta)
        return replace(self, theta=inner.theta, uncensored=inner)

    def of_rows(self, index: NDArray[np.intp]) -> Self:
        """Some of the observations."""
        censoring = Censoring(self.censoring.kind[index], self.censoring.upper[index])
        return replace(super().of_rows(index), uncensored=self.uncensored.of_rows(index), censoring=censoring)

    @cached_property
    def _upper(self) -> Likelihood:
        """The upper ends of intervals."""
        return replace(self.uncensored, y=self.censoring.upper)

    @cached_property
    def _is(self) -> dict[int, NDArray[np.bool_]]:
        return {kind: self.censoring.kind == kind for kind in (LEFT, RIGHT, INTERVAL)}

    def _jet(self, eta: Vector) -> Jet:
        """The log density or probability of each, and its derivatives."""
        inner = self.uncensored
        parts: list[Vector] = [inner.log_density(eta), *inner.derivatives(eta)]
        for kind, rows in self._is.items():
            if rows.any():
                parts = [np.where(rows, new, old) for new, old in zip(self._known(kind, eta), parts)]
        return parts[0], parts[1], parts[2], parts[3]

    def _known(self, kind: int, eta: Vector) -> Jet:
        """The jet of all responses under one kind of censoring."""
        if kind == LEFT:
            return tail_jet(self.uncensored, eta, False)
        if kind == RIGHT:
            return tail_jet(self.uncensored, eta, True)
        with np.errstate(all="ignore"):
            below = log_difference(tail_jet(self._upper, eta, False), tail_jet(self.uncensored, eta, False))
            above = log_difference(tail_jet(self.uncensored, eta, True), tail_jet(self._upper, eta, True))
        left = self.uncensored.cdf(eta) + self._upper.cdf(eta) < 1
        value, first, second, third = (np.where(left, a, b) for a, b in zip(below, above))
        return value, first, second, third

    def _log_density(self, eta: Vector) -> Vector:
        return self._jet(eta)[0]

    def _derivatives(self, eta: Vector) -> Derivatives:
        return self._jet(eta)[1:]

    def _weights(self, eta: Vector) -> Vector:
        return self.uncensored._weights(eta)

    def cdf(self, eta: Vector) -> Vector:
        """P(Y <= y | eta), of the upper end of what is known."""
        below = np.where(self._is[INTERVAL], self._upper.cdf(eta), self.uncensored.cdf(eta))
        return np.where(self._is[RIGHT], 1.0, below)

    def sf(self, eta: Vector) -> Vector:
        """P(Y > y | eta), of the upper end of what is known."""
        above = np.where(self._is[INTERVAL], self._upper.sf(eta), self.uncensored.sf(eta))
        return np.where(self._is[RIGHT], 0.0, above)

    def jumps(self) -> NDArray[np.bool_]:
        """Which responses have a probability: counts, and those that are known by bounds."""
        if self.uncensored.edge() is not self.uncensored:
            return np.ones(self.n, dtype=bool)
        value: NDArray[np.bool_] = self.censoring.kind != NONE
        return value

    def moments(self, eta: Vector) -> tuple[Vector, Vector]:
        """Mean and variance of each response, known or not."""
        return self.uncensored.moments(eta)

    @property
    def is_replicated(self) -> bool:
        """No."""
        return False

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta, none of them censored."""
        return self.uncensored.draw(eta, rng)

    def _compared(self, eta: Vector) -> tuple[Vector, Vector, Vector]:
        return self.uncensored._compared(eta)

    def observed(self) -> Vector:
        """What was observed, bounds as if they were values."""
        return self.uncensored.observed()

    def less_offset(self, offset: Vector) -> Self:
        """As if all were known."""
        inner = self.uncensored.less_offset(offset)
        return replace(self, y=inner.y, exposure=inner.exposure, uncensored=inner)

    def start(self) -> Vector:
        """A rough eta to start from."""
        return self.uncensored.start()

    def first_theta(self) -> Vector:
        """Where the search starts."""
        return self.uncensored.first_theta()

    def ends(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Responses censored on one side draw eta away to that side."""
        lower, upper = self.uncensored.ends()
        rises = self.uncensored.flow() > 0
        known = self.censoring.kind == NONE
        down = np.where(rises, self._is[LEFT], self._is[RIGHT])
        up = np.where(rises, self._is[RIGHT], self._is[LEFT])
        return np.where(known, lower, down), np.where(known, upper, up)


def tail_jet(likelihood: Likelihood, eta: Vector, above: bool) -> Jet:
    """Log P(Y <= y), or P(Y > y), with derivatives in eta, from those of the log density.

    As ``dF/deta = -c f`` with a c that does not depend on eta (`Likelihood.flow`), further derivatives are those of f.
    Where the tail underflows it is taken as its leading term, |c f / (log f)'|.
    """
    edge = likelihood.edge()
    c, log_f = likelihood.flow(), edge.log_density(eta)
    d1, d2, d3 = edge.derivatives(eta)
    value = likelihood.log_sf(eta) if above else likelihood.log_cdf(eta)
    with np.errstate(all="ignore"):
        r1 = (c if above else -c) * np.exp(np.minimum(log_f - value, 600.0))
        parts = of_logarithm(value, (r1, r1 * d1, r1 * (d2 + d1**2)))
        leading = log_f + np.log(np.abs(c)) - np.log(np.abs(d1))
        far = ~np.isfinite(value)
        value, first, second, third = (np.where(far, b, a) for a, b in zip(parts, (leading, d1, d2, d3)))
    return value, first, second, third
