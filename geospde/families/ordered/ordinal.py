"""Ordered categories."""

from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.families.base import Family, not_counts
from geospde.families.jets import log_difference, mirrored
from geospde.families.likelihood import Derivatives, Likelihood, Parameter, Vector
from geospde.families.links import CAUCHIT, LOGIT, PROBIT, Jet, Link, ProbabilityLink
from geospde.families.priors import Gaussian

NOWHERE = 1e13  # a cut that no predictor reaches


class OrdinalLikelihood(Likelihood):
    """P(Y <= k) = F(cut_k - eta), the first cut 0; theta = logs of the gaps between the cuts."""

    link: ProbabilityLink

    @property
    def hyper(self) -> tuple[Parameter, ...]:  # type: ignore[override]
        """The gaps, as many as there are categories less two."""
        return gaps(self.theta.size)

    @cached_property
    def _cuts(self) -> Vector:
        """From below the first category to above the last."""
        return np.concatenate([[-NOWHERE, 0.0], np.cumsum(np.exp(self.theta)), [NOWHERE]])

    def _jet(self, eta: Vector) -> Jet:
        """Of the log probability: a difference of F, or of 1 - F, whichever is the smaller."""
        k = self.y.astype(int)
        upper, lower = self._cuts[k] - eta, self._cuts[k - 1] - eta
        first, last = k == 1, k == self._cuts.size - 1
        with np.errstate(all="ignore"):
            below = log_difference(self.link.log_probability(upper), self.link.log_probability(lower))
            above = log_difference(self.link.log_complement(lower), self.link.log_complement(upper))
        parts = (below, above, self.link.log_probability(upper), self.link.log_complement(lower))
        with np.errstate(all="ignore"):
            left = self.link.inverse(upper) + self.link.inverse(lower) < 1
        value, d1, d2, d3 = (np.where(first, c, np.where(last, d, np.where(left, a, b))) for a, b, c, d in zip(*parts))
        return mirrored((value, d1, d2, d3))

    def _log_density(self, eta: Vector) -> Vector:
        return self._jet(eta)[0]

    def _derivatives(self, eta: Vector) -> Derivatives:
        return self._jet(eta)[1:]

    def cdf(self, eta: Vector) -> Vector:
        """P(Y <= y | eta)."""
        return np.exp(self.link.log_probability(self._cuts[self.y.astype(int)] - eta)[0])

    def sf(self, eta: Vector) -> Vector:
        """P(Y > y | eta)."""
        return np.exp(self.link.log_complement(self._cuts[self.y.astype(int)] - eta)[0])

    def moments(self, eta: Vector) -> tuple[Vector, Vector]:
        """Mean and variance of the category's number."""
        mean, square = np.ones_like(eta), np.ones_like(eta)
        for k, cut in enumerate(self._cuts[1:-1], 1):
            beyond = np.exp(self.link.log_complement(cut - eta)[0])
            mean, square = mean + beyond, square + (2 * k + 1) * beyond
        return mean, square - mean**2

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta."""
        behind = self.link.forward(rng.uniform(1e-16, 1.0, eta.shape)) + eta
        return np.searchsorted(self._cuts[1:-1], behind).astype(float) + 1.0

    def start(self) -> Vector:
        """A rough eta to start from."""
        last = self._cuts.size - 1
        return self.link.forward((self.y - 0.5) / last)

    def observed(self) -> Vector:
        """Whether the category is above the first."""
        return np.where(self.y > 1, 1.0, 0.0)

    def ends(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """The first category lies at the lower end, the last at the upper one."""
        return self.y == 1, self.y == self._cuts.size - 1


def gaps(count: int) -> tuple[Parameter, ...]:
    """The gaps from the first cut on."""
    return tuple(Parameter(f"gap{k}", "shape", Gaussian(0.0, 0.5), 0.0) for k in range(1, count + 1))


class Ordinal(Family):
    """Ordered categories 1, 2, ..., K, or the levels of an ordered factor (cumulative, proportional odds).

    P(Y > k) = F(eta - cut_k), F the inverse link.

    The first cut is 0, so that the intercept stays in the formula; `gap1` is the distance of the second from the first
    cut, and so on. R's ``polr`` has the cut -intercept first, then adds the same gaps. Links: logit, probit, cauchit.
    Each log gap has a Gaussian prior with mean 0 and sd 1.4. Fitted values are probabilities
    of a category above the first.

    McCullagh (1980), J. R. Statist. Soc. B 42, 109-142.

    Examples
    --------
    >>> condition = Ordinal().bind([1, 2, 3]).at(np.log([1.0]))
    >>> condition.log_density(np.zeros(3)).round(4)
    array([-0.6931, -1.4651, -1.3133])
    """

    name = "ordinal"
    aliases = ("cumulative", "polr")
    words = "an ordinal"
    links: ClassVar[tuple[Link, ...]] = (LOGIT, PROBIT, CAUCHIT)
    likelihood = OrdinalLikelihood
    needs = "an ordered factor (pandas.Categorical with ordered=True), or category numbers 1, 2, ..."
    is_discrete = True
    takes_categories = True
    without_exposure = "a category has none"

    def hyperparameters(self, y: Vector | None = None) -> tuple[Parameter, ...]:
        """Gaps between the cuts of as many categories as there are; of no responses none."""
        return () if y is None else gaps(max(int(y.max()), 2) - 2)

    def _check_priors(self) -> None:
        """What gaps there are is known with the responses."""

    def outside(self, y: Vector) -> NDArray[np.bool_]:
        """Which responses are no category numbers."""
        value: NDArray[np.bool_] = not_counts(y) | (y == 0) | (y > 100)
        return value

    def _check(self, bound: Likelihood) -> None:
        if bound.y.max() == 1:
            raise InputError(f"family {self.name!r} needs two categories or more, and every row is of one")
        missing = set(range(1, int(bound.y.max()) + 1)) - set(bound.y.astype(int))
        if missing:
            raise InputError(
                f"family {self.name!r} needs categories 1 to {bound.y.max():g}, each seen: none is {min(missing)}",
                remedy="give an ordered factor, whose levels that occur are counted",
            )

    @property
    def fitted_is(self) -> str:
        """What fitted values and predictions are of."""
        return "the probability of a category above the first"

    def quantity(self, response: str, exposure: str | None = None) -> str:
        """What a map of the predictions shows."""
        return f"chance of {response} above the first"
