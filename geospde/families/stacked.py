"""Several families at once: one block of rows a likelihood."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import block_diag

from geospde.families.base import Family
from geospde.families.likelihood import Derivatives, Likelihood, Parameter, Vector
from geospde.families.links import Link
from geospde.families.priors import Independent


@dataclass(frozen=True)
class RowLink:
    """Links of blocks of rows, along the last axis: what fitted values of all rows are made by.

    Attributes
    ----------
    links : tuple of Link
    sizes : tuple of int
        Rows of each block.
    """

    links: tuple[Link, ...]
    sizes: tuple[int, ...]

    @property
    def name(self) -> str:
        """Their names."""
        return ", ".join(link.name for link in self.links)

    @property
    def is_linear(self) -> bool:
        """Whether all are."""
        return all(link.is_linear for link in self.links)

    @property
    def is_log(self) -> bool:
        """Whether all are."""
        return all(link.is_log for link in self.links)

    @property
    def falls(self) -> NDArray[np.bool_]:
        """Of which rows the mean falls where the predictor rises."""
        return np.repeat([link.falls for link in self.links], self.sizes)

    def gaussian_moments(self, mean: Vector, sd: Vector) -> tuple[Vector, Vector] | None:
        """Mean and variance of the inverse link of Gaussians; None where one of the links has no closed form."""
        found = []
        ends = np.cumsum(self.sizes)[:-1]
        for link, m, s in zip(self.links, np.split(mean, ends, axis=-1), np.split(sd, ends, axis=-1)):
            each = (m, s**2) if link.is_linear else link.gaussian_moments(m, s)
            if each is None:
                return None
            found.append(each)
        return np.concatenate([m for m, _ in found], axis=-1), np.concatenate([v for _, v in found], axis=-1)

    def inverse(self, eta: Vector) -> Vector:
        """Mean per unit exposure at eta."""
        return self._each(eta, lambda link, part: link.inverse(part))

    def forward(self, mean: Vector) -> Vector:
        """Predictor at a mean per unit exposure."""
        return self._each(mean, lambda link, part: link.forward(part))

    def log_derivative(self, eta: Vector) -> Vector:
        """Logarithm of the derivative of `inverse`."""
        return self._each(eta, lambda link, part: link.log_derivative(part))

    def _each(self, values: Vector, function: Callable[[Link, Vector], Vector]) -> Vector:
        values = np.asarray(values, dtype=float)
        parts = np.split(values, np.cumsum(self.sizes)[:-1], axis=-1)
        return np.concatenate([function(link, part) for link, part in zip(self.links, parts)], axis=-1)


@dataclass(frozen=True)
class Stacked(Likelihood):
    """Likelihoods one after the other, with the hyperparameters of each, under their names.

    Attributes
    ----------
    parts : tuple of Likelihood
        Each without weights, which the whole holds.
    names : tuple of str
    discrete : tuple of bool
        Whether the responses of each have probabilities.
    """

    parts: tuple[Likelihood, ...]
    names: tuple[str, ...]
    discrete: tuple[bool, ...]

    @classmethod
    def of(cls, parts: Sequence[Likelihood], names: Sequence[str], discrete: Sequence[bool]) -> "Stacked":
        """One likelihood of several."""
        y, exposure, trials, weights = (
            np.concatenate([getattr(p, name) for p in parts]) for name in ("y", "exposure", "trials", "weights")
        )
        link: Any = RowLink(tuple(p.link for p in parts), tuple(p.n for p in parts))
        prior = Independent(tuple(each for p in parts for each in p.prior.parts))  # type: ignore[attr-defined]
        theta = np.concatenate([p.theta for p in parts])
        plain = tuple(p.unweighted() for p in parts)
        return cls(y, exposure, trials, weights, link, prior, theta, plain, tuple(names), tuple(discrete))

    @property
    def hyper(self) -> tuple[Parameter, ...]:  # type: ignore[override]
        """Those of all, each after the name of its likelihood."""
        return tuple(replace(h, name=f"{n}: {h.name}") for n, p in zip(self.names, self.parts) for h in p.hyper)

    @property
    def user_map(self) -> Vector:
        """Those of all, along a diagonal."""
        own = [part.user_map for part in self.parts if part.hyper]
        return np.asarray(block_diag(*own)) if own else np.eye(0)

    @property
    def bends_units(self) -> bool:  # type: ignore[override]
        """Whether one of them does."""
        return any(part.bends_units for part in self.parts)

    @property
    def observed_exactly(self) -> bool:
        """Whether every response is known."""
        return all(part.observed_exactly for part in self.parts)

    @property
    def has_cdf(self) -> bool:
        """Whether all have a distribution function."""
        return all(part.has_cdf for part in self.parts)

    @property
    def has_moments(self) -> bool:
        """Whether all have moments."""
        return all(part.has_moments for part in self.parts)

    def at(self, theta: Vector) -> Self:
        """The same observations with these hyperparameters."""
        theta = np.asarray(theta, dtype=float)
        own = np.split(theta, np.cumsum([part.theta.size for part in self.parts])[:-1])
        return replace(self, theta=theta, parts=tuple(part.at(t) for part, t in zip(self.parts, own)))

    def of_rows(self, index: NDArray[np.intp]) -> Self:
        """Some of the observations, which stay in the order of their likelihoods."""
        rows = np.arange(self.n)[index]
        ends = np.cumsum([0, *(part.n for part in self.parts)])
        own = [rows[(rows >= a) & (rows < b)] - a for a, b in zip(ends[:-1], ends[1:])]
        parts = tuple(part.of_rows(mine) for part, mine in zip(self.parts, own))
        link: Any = RowLink(tuple(p.link for p in parts), tuple(p.n for p in parts))
        return replace(super().of_rows(index), parts=parts, link=link)

    def _split(self, eta: Vector) -> list[Vector]:
        return np.split(eta, np.cumsum([part.n for part in self.parts])[:-1], axis=-1)

    def _joined(self, eta: Vector, function: Callable[[Likelihood, Vector], Vector]) -> Vector:
        return np.concatenate([function(p, e) for p, e in zip(self.parts, self._split(eta))], axis=-1)

    def _log_density(self, eta: Vector) -> Vector:
        return self._joined(eta, lambda part, e: part.log_density(e))

    def _derivatives(self, eta: Vector) -> Derivatives:
        found = [part.derivatives(e) for part, e in zip(self.parts, self._split(eta))]
        first, second, third = (np.concatenate(each, axis=-1) for each in zip(*found))
        return first, second, third

    def _theta_derivatives(self, eta: Vector) -> Derivatives:
        out = np.zeros((3, self.theta.size, self.n))
        k = row = 0
        for part, e in zip(self.parts, self._split(eta)):
            own = slice(k, k + part.theta.size), slice(row, row + part.n)
            out[:, own[0], own[1]] = part.theta_derivatives(e)
            k, row = own[0].stop, own[1].stop
        return out[0], out[1], out[2]

    def _weights(self, eta: Vector) -> Vector:
        return self._joined(eta, lambda part, e: part._weights(e))

    def cdf(self, eta: Vector) -> Vector:
        """P(Y <= y | eta)."""
        return self._joined(eta, lambda part, e: part.cdf(e))

    def sf(self, eta: Vector) -> Vector:
        """P(Y > y | eta)."""
        return self._joined(eta, lambda part, e: part.sf(e))

    def refuse_without_cdf(self) -> None:
        """Raise InputError where one of them has none."""
        for part in self.parts:
            part.refuse_without_cdf()

    def jumps(self) -> NDArray[np.bool_]:
        """Which responses have a probability."""
        own = [(part.jumps(), part.n, counts) for part, counts in zip(self.parts, self.discrete)]
        return np.concatenate([np.full(n, counts) if found is None else found for found, n, counts in own])

    def moments(self, eta: Vector) -> tuple[Vector, Vector]:
        """Mean and variance of each response."""
        found = [part.moments(e) for part, e in zip(self.parts, self._split(eta))]
        return np.concatenate([m for m, _ in found], axis=-1), np.concatenate([v for _, v in found], axis=-1)

    def _compared(self, eta: Vector) -> tuple[Vector, Vector, Vector]:
        found = [part._compared(e) for part, e in zip(self.parts, self._split(eta))]
        value, mean, variance = (np.concatenate(each) for each in zip(*found))
        return value, mean, variance

    @property
    def is_replicated(self) -> bool:
        """No."""
        return False

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta."""
        return self._joined(eta, lambda part, e: part.draw(e, rng))

    def replicate(self, presence: Vector, positive: Vector, rng: np.random.Generator) -> Vector:
        """New responses of a delta family: 0, or a value, at rows with these two predictors."""
        # rows of all parts are alike: exposures and weights are those of effort, none here
        rows = np.zeros(len(presence), dtype=np.intp)
        first, second = (part.of_rows(rows) for part in self.parts)
        value = second.draw(self.of_values(presence, positive), rng)
        return np.where(first.draw(presence, rng) > 0, value, 0.0)

    def of_values(self, presence: Vector, positive: Vector) -> Vector:
        """The predictor of a value by itself, from those of the two parts."""
        return positive

    def observed(self) -> Vector:
        """What was observed of the inverse links of eta."""
        return np.concatenate([part.observed() for part in self.parts])

    @property
    def says(self) -> Vector:
        """As of each."""
        values: Vector = self.weights * np.concatenate([part.says for part in self.parts])
        return values

    def start(self) -> Vector:
        """A rough eta to start from."""
        return np.concatenate([part.start() for part in self.parts])

    def first_theta(self) -> Vector:
        """Where the search starts."""
        return np.concatenate([part.first_theta() for part in self.parts])

    def ends(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """As of each."""
        found = [part.ends() for part in self.parts]
        return np.concatenate([a for a, _ in found]), np.concatenate([b for _, b in found])

    @property
    def bounded(self) -> NDArray[np.bool_]:
        """As of each."""
        return np.concatenate([part.bounded for part in self.parts])

    def room(self, eta: Vector) -> Vector:
        """As of each."""
        etas = np.split(eta, np.cumsum([part.n for part in self.parts])[:-1])
        return np.concatenate([part.room(own) for part, own in zip(self.parts, etas)])


class Several(Family):
    """The families of several likelihoods, as one."""

    name = ""

    def __init__(self, families: Sequence[Family], likelihood: Stacked):
        self.families = tuple(families)
        self.name = ", ".join(family.name for family in families)  # type: ignore[misc]
        self.words = "several"  # type: ignore[misc]
        self.link: Any = likelihood.link
        self.priors = {}

    def __repr__(self) -> str:
        return f"Several({', '.join(map(repr, self.families))})"
