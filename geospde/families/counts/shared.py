"""What the families of counts share."""

from dataclasses import replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from geospde.families.base import Family, not_counts
from geospde.families.likelihood import Likelihood, Vector, scaled
from geospde.families.links import LOG, Link

MOST = 1e15  # of a mean: NumPy's Poisson variates end at 9e18, and doubles hold whole numbers to 9e15


def poisson_variates(mean: Vector, rng: np.random.Generator) -> Vector:
    """Poisson variates, (n,); of a mean beyond `MOST` the normal ones that no double tells from them."""
    values = rng.poisson(np.minimum(mean, MOST)).astype(float)
    if (mean > MOST).any():
        values = np.where(mean > MOST, rng.normal(mean, np.sqrt(mean)), values)
    return values


class CountLikelihood(Likelihood):
    """Counts with a mean of ``exposure * exp(eta)``, or a mixture with such a part."""

    def less_offset(self, offset: Vector) -> Self:
        """Counts whose exposure is exp(offset) times as large."""
        return replace(self, exposure=scaled(self.exposure, offset))

    def start(self) -> Vector:
        """A rough eta to start from."""
        return np.log((self.y + 0.5) / self.exposure)

    @property
    def says(self) -> Vector:
        """Weights, of rows whose count and expected count, at the rate of all, are below one by that much less."""
        with np.errstate(over="ignore"):
            seen = float((self.weights * self.y).sum())
            rate = max(seen, 0.5) / max(float((self.weights * self.exposure).sum()), 1e-300)
            values: Vector = self.weights * np.clip(np.maximum(self.y, rate * self.exposure), 0.0, 1.0)
        return values

    def edge(self) -> Self:
        """The same of counts that are one higher, of which the slope of P(Y <= y) is a multiple."""
        return replace(self, y=self.y + 1)

    def ends(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Zeros lie at the lower end; there is no upper one."""
        return self.y == 0, np.zeros(self.n, bool)


class Counts(Family):
    """What the families of counts share."""

    links: ClassVar[tuple[Link, ...]] = (LOG,)
    needs = "counts 0, 1, 2, ..."
    is_discrete = True
    has_exposure = True

    def outside(self, y: Vector) -> NDArray[np.bool_]:
        """Which responses are no counts."""
        return not_counts(y)
