"""Successes among trials."""

from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaln

from geospde.errors import InputError
from geospde.families.base import Candidate, Family, not_counts, refuse
from geospde.families.likelihood import Derivatives, Likelihood, Vector
from geospde.families.links import PROBABILITY_LINKS, Jet, Link, ProbabilityLink, times


class BinomialLikelihood(Likelihood):
    """Successes among trials, of probability ``inverse link(eta)``."""

    link: ProbabilityLink

    @cached_property
    def _constant(self) -> Vector:
        values: Vector = -np.log1p(self.trials) - betaln(self.y + 1, self.trials - self.y + 1)
        return values

    def _jets(self, eta: Vector) -> tuple[Jet, Jet]:
        return self.link.log_probability(eta), self.link.log_complement(eta)

    def _log_density(self, eta: Vector) -> Vector:
        p, q = self._jets(eta)
        return self._constant + times(self.y, p[0]) + times(self.trials - self.y, q[0])

    def _derivatives(self, eta: Vector) -> Derivatives:
        return self.link.of_counts(self.y, self.trials - self.y, eta)

    def _weights(self, eta: Vector) -> Vector:
        """Expected information: trials p'² / (p (1 - p)) = -trials (log p)' (log (1 - p))'."""
        p, q = self._jets(eta)
        return -self.trials * p[1] * q[1]

    def cdf(self, eta: Vector) -> Vector:
        """P(Y <= y | eta)."""
        failures = self.trials - self.y
        below = betainc(np.maximum(failures, 0.5), self.y + 1, np.exp(self.link.log_complement(eta)[0]))
        return np.where(failures > 0, below, 1.0)

    def sf(self, eta: Vector) -> Vector:
        """P(Y > y | eta)."""
        failures = self.trials - self.y
        above = betainc(self.y + 1, np.maximum(failures, 0.5), np.exp(self.link.log_probability(eta)[0]))
        return np.where(failures > 0, above, 0.0)

    def moments(self, eta: Vector) -> tuple[Vector, Vector]:
        """Mean and variance of each number of successes."""
        p, q = (np.exp(jet[0]) for jet in self._jets(eta))
        return self.trials * p, self.trials * p * q

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta."""
        return rng.binomial(self.trials.astype(int), self.link.inverse(eta)).astype(float)

    def start(self) -> Vector:
        """A rough eta to start from."""
        return self.link.forward((self.y + 0.5) / (self.trials + 1))

    def ends(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """No success lies at the lower end, no failure at the upper one."""
        return self.y == 0, self.y == self.trials


class OfProbability(Family):
    """What families share whose fitted values are probabilities of a response."""

    links: ClassVar[tuple[Link, ...]] = PROBABILITY_LINKS
    is_discrete = True

    def quantity(self, response: str, exposure: str | None = None) -> str:
        """What a map of the predictions shows."""
        return f"chance of {response}" if exposure is None else f"{response} / {exposure}"


class Successes(OfProbability):
    """What families of binomial successes share."""

    likelihood = BinomialLikelihood
    fixed_scatter = True

    def variance_function(self, mean: Vector) -> Vector:
        """Variance of a share of successes of weight 1."""
        return mean * (1 - mean)


class OfTrials(OfProbability):
    """What families of successes among trials share."""

    needs = "successes 0, 1, 2, ..."
    takes_trials = True
    without_exposure = "give the number of trials as p(successes, trials) on the left of the formula"

    def outside(self, y: Vector) -> NDArray[np.bool_]:
        """Which responses are no counts."""
        return not_counts(y)

    def _check(self, bound: Likelihood) -> None:
        refuse(self.name, "trials 1, 2, ...", bound.trials, not_counts(bound.trials) | (bound.trials < 1))
        rows = np.flatnonzero(bound.y > bound.trials)
        if rows.size:
            row = rows[0]
            hint = "; is it p(successes, trials)?" if (bound.trials == 1).all() else ""
            raise InputError(
                f"family {self.name!r} needs at most as many successes as trials: {{row}} holds "
                f"{bound.y[row]:g} of {bound.trials[row]:g}{hint}",
                row=int(row),
            )


class Binomial(OfTrials, Successes):
    """Successes among trials: ``p(successes, trials)`` on the left of a formula, or 0 and 1 alone.

    Links: logit, probit, cloglog, loglog, cauchit. Fitted values are probabilities.

    Examples
    --------
    >>> herds = Binomial().bind([3, 0], trials=[10, 1])
    >>> herds.log_density(np.array([0.0, 0.0])).round(4)
    array([-2.144 , -0.6931])
    """

    name = "binomial"
    words = "a binomial"

    @classmethod
    def suggested_by(cls, candidate: Candidate) -> tuple[Family, str] | None:
        """Whatever has trials."""
        if candidate.trials is None:
            return None
        return cls(), f"Successes never exceed {candidate.trials}: their share is mapped."
