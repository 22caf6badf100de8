"""Priors beside a likelihood: the maximum of the penalised likelihood, as sdmTMB has it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.families.priors import PCRange, PCSd, Prior
from geospde.model.build import Model
from geospde.terms.hyperparameter import Hyperparameter

Vector = NDArray[np.float64]
FURTHEST = 700.0  # largest logarithm whose exponential is finite
STEP = 1e-3  # step of differences of a transform that is neither exp nor the identity
OPTIONS: dict[str, type[PCRange] | type[PCSd]] = {"prior_range": PCRange, "prior_sigma": PCSd}


@dataclass(frozen=True)
class Part:
    """The prior of one hyperparameter: its place in its owner's theta, and how the user's scale follows from that."""

    place: int
    prior: Prior
    of: Hyperparameter

    def log_slope(self, theta: float) -> float:
        """Log of the derivative of the user's value in theta: the density of that has it less."""
        if self.of.transform is np.exp:
            return theta
        risen = float(self.of.transform(theta + STEP) - self.of.transform(theta - STEP))
        return float(np.log(max(risen, 1e-300) / (2 * STEP)))

    def gradient_of_log_slope(self, theta: float) -> float:
        """Its derivative."""
        if self.of.transform is np.exp:
            return 1.0
        return (self.log_slope(theta + STEP) - self.log_slope(theta - STEP)) / (2 * STEP)


@dataclass(frozen=True)
class Penalty:
    """Log densities of hyperparameters on the user's scale, as functions of theta; see `Prior`.

    A density of log(range), say, has the Jacobian of the logarithm, and with it another maximum than one of the range:
    what is maximised here is the latter.
    """

    parts: tuple[Part, ...] = ()

    def log_density(self, theta: Vector) -> float:
        """Sum over those that have a prior; where a standard deviation vanishes, that at zero."""
        theta = np.clip(theta, -FURTHEST, FURTHEST)
        with np.errstate(over="ignore"):
            return self._sum(theta)

    def _sum(self, theta: Vector) -> float:
        return sum(p.prior.log_density(theta[p.place : p.place + 1]) - p.log_slope(theta[p.place]) for p in self.parts)

    def gradient(self, theta: Vector) -> Vector:
        """In theta; zero for those that have none."""
        theta, out = np.clip(theta, -FURTHEST, FURTHEST), np.zeros(np.size(theta))
        for p in self.parts:
            own = p.prior.gradient(theta[p.place : p.place + 1])[0]
            out[p.place] += own - p.gradient_of_log_slope(theta[p.place])
        return out

    def describe(self) -> str:
        """One line for the summary."""
        return "; ".join(self.lines) or "none"

    @property
    def lines(self) -> list[str]:
        """A line for each."""
        return [f"{p.of.name}: {p.prior.describe()}" for p in self.parts]

    @property
    def names(self) -> list[str]:
        """Of the hyperparameters that have a prior."""
        return [p.of.name for p in self.parts]


def penalties(model: Model) -> list[Penalty]:
    """Of each term's theta, in order, and of the family's: the priors that were given, and no default ones.

    Raises
    ------
    InputError
        For a prior that a likelihood takes none of: of a fixed effect, a correlation, or a smooth.
    """
    given, free = set(model.priors_given), np.isnan(np.asarray(model.fixed_theta, dtype=float))
    numbers, at, out = np.cumsum(free) - 1, 0, []
    options, used = _options(model), set()
    owners = [(term.precision.prior, term) for term in model.terms] + [(model.likelihood.prior, None)]
    for prior, term in owners:
        size = len(model.likelihood.hyper) if term is None else len(term.precision.parameters)
        priors, found = getattr(prior, "of_theta", (None,) * size), []
        for k in range(size):
            of, own = _alone(model, numbers[at + k], int(free.sum())) if free[at + k] else None, priors[k]
            if of is None or own is None or not (of.name in given or own in options.values()):
                continue
            if term is not None and (term.penalty_scales or term.precision.pairs):
                continue
            found.append(Part(k, own, of))
            given.discard(of.name)
            used |= {name for name, prior in options.items() if prior == own}
        at += size
        out.append(Penalty(tuple(found)))
    fixed = {h.name for h in model.hyperparameters if h.is_fixed}
    left = [name for name in model.priors_given if name in given and name not in fixed]
    left += [name for name in options if name not in used]
    if left:
        raise InputError(
            f"a likelihood takes priors of ranges, standard deviations and a family's parameters, none of {left[0]!r}: "
            "leave it out, hold it at a value with {'fixed': value}, or fit with method='inla'"
        )
    return out


def _alone(model: Model, number: int, size: int) -> Hyperparameter | None:
    """The hyperparameter that is a function of this free theta alone."""
    axis = np.arange(size) == number
    for h in model.hyperparameters:
        if h.function is None and h.shift == 0.0 and np.array_equal(h.direction, axis.astype(float)):
            found: Hyperparameter = h
            return found
    return None


def _options(model: Model) -> dict[str, Prior]:
    """Priors that stand in the formula, by how they are written."""
    found: dict[str, Prior] = {}
    for call in model.formula.terms:
        for name, value in call.options.items():
            if name in OPTIONS:
                found[f"{name} of {call.text}"] = OPTIONS[name](*value)
    return found


def refuse_formula_priors(model: Model, method: str) -> None:
    """Raise InputError for options of priors that no likelihood takes."""
    for call in model.formula.terms:
        for option in call.options:
            if option.startswith("prior") and option not in OPTIONS:
                raise InputError(
                    f"method {method!r} takes no priors such as {option}: leave it out of {call.text!r}, take "
                    "prior_range and prior_sigma, or fit with method='inla'"
                )
