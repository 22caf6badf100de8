"""What mixtures share: responses of a family, of which a share has means that are larger by a factor."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, log_expit

from geospde.families.jets import of_logarithm, relative
from geospde.families.likelihood import Derivatives, Likelihood, Parameter, Vector, probability
from geospde.families.links import Jet
from geospde.families.priors import Gaussian


def above_one(theta: Vector) -> Vector:
    """``1 + exp(theta)``, the map of a factor."""
    return 1.0 + np.exp(theta)


EXTREME = Parameter("p_extreme", "probability", Gaussian(-2.0, 0.5, "logit"), -1.5, probability)
RATIO = Parameter("ratio", "shape", Gaussian(0.5, 0.5), 0.5, above_one)


class MixtureLikelihood(Likelihood):
    """With probability p a response of mean ``ratio`` times the usual, else one of the usual; exp(eta) is the mean.

    The last two of theta are logit p and log (ratio - 1), those before them the component's own, which both share. A
    subclass names the component, whose mean is a multiple of exp(eta), and has ``hyper`` with `EXTREME` and `RATIO`
    last; where that multiple is not 1, `_log_multiple`.
    """

    component: ClassVar[type[Likelihood]]

    @cached_property
    def _component(self) -> Likelihood:
        ones = np.ones(self.n)
        return self.component(self.y, self.exposure, self.trials, ones, self.link, self.prior, self.theta[:-2])

    @property
    def _ratio(self) -> float:
        """Log of the factor."""
        return float(np.log1p(np.exp(min(self.theta[-1], 700.0))))

    def _log_multiple(self) -> tuple[float, Vector]:
        """Log of the component's mean less its predictor, and its slopes in the component's theta."""
        return 0.0, np.zeros(self.theta.size - 2)

    @cached_property
    def _shift(self) -> tuple[float, Vector]:
        """What the predictor of the usual responses is above eta, and its slopes in theta."""
        p, more = float(expit(self.theta[-2])), float(np.exp(min(self.theta[-1], 700.0)))
        share = p * more / (1 + p * more)
        multiple, slopes = self._log_multiple()
        return -float(np.log1p(p * more)) - multiple, np.concatenate([-slopes, [-share * (1 - p), -share]])

    def _places(self, eta: Vector) -> tuple[Vector, Vector]:
        """Predictors of a usual response and of an extreme one."""
        usual = eta + self._shift[0]
        return usual, usual + self._ratio

    def _logs(self) -> tuple[Vector, Vector]:
        return log_expit(-self.theta[-2]), log_expit(self.theta[-2])

    def _jets(self, eta: Vector) -> tuple[tuple[Jet, Jet], tuple[Vector, Vector], Vector]:
        """Of each component's log density with its probability; their shares in each response; the log of the sum."""
        usual, extreme = (
            (self._component.log_density(e) + log, *self._component.derivatives(e))
            for e, log in zip(self._places(eta), self._logs())
        )
        odds = np.nan_to_num(extreme[0] - usual[0])
        return (usual, extreme), (expit(-odds), expit(odds)), np.logaddexp(usual[0], extreme[0])

    def _jet(self, eta: Vector) -> Jet:
        jets, shares, total = self._jets(eta)
        ratios = [
            sum(np.where(share > 0, share * part, 0.0) for share, part in zip(shares, parts))
            for parts in zip(*(relative(jet) for jet in jets))
        ]
        return of_logarithm(total, (np.asarray(ratios[0]), np.asarray(ratios[1]), np.asarray(ratios[2])))

    def _log_density(self, eta: Vector) -> Vector:
        return self._jets(eta)[2]

    def _derivatives(self, eta: Vector) -> Derivatives:
        return self._jet(eta)[1:]

    def _theta_derivatives(self, eta: Vector) -> Derivatives:
        """Of each theta, from the slopes of both components' jets in it."""
        jets, shares, _ = self._jets(eta)
        nothing = np.zeros_like(eta)
        own = [self._component.theta_derivatives(e) for e in self._places(eta)]
        p, rising = expit(self.theta[-2]), expit(self.theta[-1])
        slopes = [tuple(tuple(part[j] for part in one) for one in own) for j in range(self.theta.size - 2)]
        slopes.append(((nothing - p, nothing, nothing), (nothing + 1 - p, nothing, nothing)))
        slopes.append(((nothing, nothing, nothing), tuple(part * rising for part in jets[1][1:])))
        moved = [
            tuple(tuple(a + by * b for a, b in zip(one, jet[1:])) for one, jet in zip(each, jets))
            for each, by in zip(slopes, self._shift[1])
        ]
        found = [_of_sum(jets, shares, each) for each in moved]
        density, first, second = (np.array(part) for part in zip(*found))
        return density, first, second

    def _weights(self, eta: Vector) -> Vector:
        """Information of the component that each response belongs to, as far as it does."""
        jets, shares, _ = self._jets(eta)
        each = (
            share * self._component.newton_weights(e, jet[2]) for share, e, jet in zip(shares, self._places(eta), jets)
        )
        return np.asarray(sum(each))

    def _mixed(self, eta: Vector, function: Callable[[Vector], Vector]) -> Vector:
        usual, extreme = (np.exp(log) * function(e) for log, e in zip(self._logs(), self._places(eta)))
        return usual + extreme

    def cdf(self, eta: Vector) -> Vector:
        """P(Y <= y | eta)."""
        return self._mixed(eta, self._component.cdf)

    def sf(self, eta: Vector) -> Vector:
        """P(Y > y | eta)."""
        return self._mixed(eta, self._component.sf)

    def moments(self, eta: Vector) -> tuple[Vector, Vector]:
        """Mean and variance of each response, the extreme ones among them."""
        mean = self._mixed(eta, lambda e: self._component.moments(e)[0])
        square = self._mixed(eta, lambda e: self._component.moments(e)[1] + self._component.moments(e)[0] ** 2)
        return mean, square - mean**2

    def draw(self, eta: Vector, rng: np.random.Generator) -> Vector:
        """New responses, one for each eta."""
        extreme = rng.uniform(size=eta.shape) < expit(self.theta[-2])
        return self._component.draw(self._places(eta)[0] + self._ratio * extreme, rng)

    def less_offset(self, offset: Vector) -> Self:
        """As of the component."""
        inner = self._component.less_offset(offset)
        return replace(self, y=inner.y, exposure=inner.exposure)

    def start(self) -> Vector:
        """A rough eta to start from."""
        return self._component.start()

    def first_theta(self) -> Vector:
        """Where the search starts."""
        return np.concatenate([self._component.first_theta(), super().first_theta()[-2:]])

    def ends(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """As of the component."""
        return self._component.ends()


def _of_sum(
    jets: tuple[Jet, Jet], shares: tuple[Vector, Vector], slopes: Sequence[Sequence[Vector]]
) -> tuple[Vector, Vector, Vector]:
    """Slopes of the logarithm of a sum and of its first two derivatives, from those of the parts' logarithms."""
    weight = first = second = of_first = of_second = np.zeros_like(shares[0])
    for (_, f1, f2, _), share, (g, g1, g2) in zip(jets, shares, slopes):
        there = share > 0
        f1, f2, g, g1, g2 = (np.where(there, part, 0.0) for part in (f1, f2, g, g1, g2))
        square = f2 + f1**2
        weight, first, second = weight + share * g, first + share * f1, second + share * square
        of_first = of_first + share * (g * f1 + g1)
        of_second = of_second + share * (g * square + g2 + 2 * f1 * g1)
    of_first, of_second = of_first - first * weight, of_second - second * weight
    return weight, of_first, of_second - 2 * first * of_first
