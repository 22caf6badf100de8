"""Responses that keep away from where a link ends: what an interior-point search for a mode maximises.

Under an identity link a count of zero has a density that rises all the way to a mean of 0 and is nothing beyond, so
that Newton does not feel the end coming and may halt at one that the mode is far from. A logarithm of the room that is
left, times a size that goes to nothing, leads past it (Nocedal & Wright 2006, Numerical Optimization, section 19.6).
"""

from collections.abc import Iterator

import numpy as np

from geospde.errors import NumericalError
from geospde.families.likelihood import Derivatives, Likelihood, Vector
from geospde.text.words import counted

SIZES = tuple(10.0**-k for k in range(8))
"""Sizes of the barrier, one after the other, in log densities of a response."""


class AtEnd(NumericalError):
    """A mode at the end of a link, of responses that bend no further the nearer it is.

    Where effects are smaller there is one inside, for which a Gaussian stands.
    """


class Barrier:
    """A likelihood with `size` times the logarithm of each response's room added to its log density."""

    def __init__(self, likelihood: Likelihood, size: float):
        self.likelihood, self.size = likelihood, size
        self.counted = likelihood.weights > 0

    def _room(self, eta: Vector) -> Vector:
        """Room of responses that count, endless where there is no end."""
        return np.where(self.counted, self.likelihood.room(eta), np.inf)

    def start(self) -> Vector:
        """Where a search of the likelihood starts."""
        return self.likelihood.start()

    def log_density(self, eta: Vector) -> Vector:
        """Log density and barrier; -inf without room."""
        room = self._room(eta)
        ended = np.isfinite(room)
        with np.errstate(divide="ignore"):
            walls = self.size * np.log(np.where(ended, np.maximum(room, 0.0), 1.0))
        return self.likelihood.log_density(eta) + walls

    def derivatives(self, eta: Vector) -> Derivatives:
        """Their first three derivatives in eta."""
        first, second, third = self.likelihood.derivatives(eta)
        pull = self._pull(eta)
        room = self._room(eta)
        second = second.copy()  # may have entries of pairs behind those of rows
        second[: eta.size] -= pull / room
        return first + pull, second, third + 2 * pull / room**2

    def newton_weights(self, eta: Vector, second: Vector) -> Vector:
        """Of the likelihood, and the barrier's own."""
        pull = self._pull(eta) / self._room(eta)
        own = second.copy()
        own[: eta.size] += pull
        weights = self.likelihood.newton_weights(eta, own).copy()
        weights[: eta.size] += pull
        return weights

    def _pull(self, eta: Vector) -> Vector:
        """The barrier's slope."""
        values: Vector = self.size / self._room(eta)
        return values

    def refuse_at_end(self, eta: Vector, where: str) -> None:
        """Raise NumericalError where responses are at an end: their room goes to nothing with the barrier."""
        room = self._room(eta)
        held = int((room < np.sqrt(self.size) * np.median(room[np.isfinite(room)])).sum())
        if held:
            name = self.likelihood.link.name
            nearer = eta - np.where(np.isfinite(room), 0.99 * room, 0.0)
            bend, further = (self.likelihood.derivatives(e)[1] for e in (eta, nearer))
            raise (AtEnd if (further <= 10 * np.abs(bend)).all() else NumericalError)(
                f"the most likely mean of {counted(held, 'response')} lies where the link {name!r} ends, at {where}, "
                "and no Gaussian stands for the posterior there",
                remedy="take link='log', which has no end",
            )


def barriers(likelihood: Likelihood) -> Iterator[Barrier]:
    """Barriers that go to nothing."""
    return (Barrier(likelihood, size) for size in SIZES)
