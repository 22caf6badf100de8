"""Evaluations of one model that start from each other: the latent mode at a new theta, foretold from those before."""

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from geospde.errors import NumericalError
from geospde.inference.laplace import DIGITS, Laplace, LaplacePoint, PriorPart
from geospde.linalg.executor import executor
from geospde.linalg.processes import quadratic, squared_exponential
from geospde.linalg.threads import LARGE, SEVERAL

Vector = NDArray[np.float64]

NEAREST = 6  # points that a latent mode is foretold from
LENGTH, HEIGHT = 2.0, 0.3  # of the process through them, in standard deviations and beside its quadratic trend
FURTHEST = 10.0  # standard deviations from the nearest, beyond which it tends to zero
NOISE = 1e-8  # variance, and share of each: keeps its matrix invertible where points coincide, or lie far away


def evaluated(
    where: tuple[Vector, Vector | None, PriorPart | None],
    laplace: Laplace,
    gradient: bool,
    finish: Callable[[Laplace, LaplacePoint], LaplacePoint] | None,
) -> tuple[LaplacePoint | None, int, int]:
    """A point at theta from a start, None where there is none, with the evaluations and factorisations it took."""
    own = copy(laplace)
    own.evaluations = own.factorisations = 0
    try:
        theta, start, prior = where
        known = () if prior is None else (prior,)
        found: LaplacePoint | None = own.lagging(theta, start, gradient, *known)
        if found is not None and found.rounding > DIGITS:
            found = None
    except NumericalError:
        found = None
    if found is not None and finish is not None:
        found = finish(own, found)
    return found, own.evaluations, own.factorisations


class WarmLaplace:
    """A `Laplace` that remembers its points.

    Parameters
    ----------
    laplace : Laplace
    root : (d, d) array, optional
        ``theta = root @ z`` has about unit scale; by default the identity.
    """

    def __init__(self, laplace: Laplace, root: Vector | None = None):
        self.laplace = laplace
        self.root = np.eye(laplace.n_theta) if root is None else root
        self.points: list[LaplacePoint] = []

    @property
    def n_theta(self) -> int:
        """Size of theta."""
        return self.laplace.n_theta

    @property
    def evaluations(self) -> int:
        """How often it was evaluated."""
        return self.laplace.evaluations

    def describe(self, theta: Vector) -> str:
        """Theta in the user's words."""
        return self.laplace.describe(theta)

    def at(self, theta: Vector, start: Vector | None = None, gradient: bool = True) -> LaplacePoint:
        """The point at theta; `start` serves where there is none to start from."""
        foretold = self.foretold(theta)
        point = self.laplace.lagging(theta, start if foretold is None else foretold, gradient)
        self._remember([point], gradient)
        return point

    def all(
        self,
        thetas: Sequence[Vector],
        gradient: bool = True,
        finish: Callable[[Laplace, LaplacePoint], LaplacePoint] | None = None,
    ) -> Iterator[LaplacePoint | None]:
        """Points side by side, None where there is none, each as `finish` leaves it while its factor is there."""
        # all are foretold before any is found, so that the order in which threads end changes nothing
        starts = [(theta, self.foretold(theta), self._prior_part(theta, gradient)) for theta in thetas]
        found = []
        work = partial(evaluated, gradient=gradient, finish=finish)
        for point, evaluations, factorisations in executor().map(work, starts, self.laplace, size=self.laplace.n):
            self.laplace.evaluations += evaluations
            self.laplace.factorisations += factorisations
            found.append(point)
            yield point
        self._remember(found, gradient)

    def _prior_part(self, theta: Vector, gradient: bool) -> PriorPart | None:
        """The prior's part, of workers, and of threads if it takes little time: what it remembers has an order."""
        learns = executor().apart and any(term.learns for term in self.laplace.precisions)
        if not (learns or SEVERAL <= self.laplace.n < LARGE):
            return None
        try:
            return self.laplace.prior_part(theta, gradient)
        except NumericalError:
            return None  # as the point will say

    def _remember(self, points: Sequence[LaplacePoint | None], gradient: bool) -> None:
        if gradient:
            self.points += [p.without_factor() for p in points if p is not None]

    def foretold(self, theta: Vector) -> Vector | None:
        """Latent mode at theta: a process with a quadratic trend through modes and slopes of the nearest points."""
        if not self.points:
            return None
        away = np.linalg.solve(self.root, (np.array([p.theta for p in self.points]) - theta).T).T
        near = np.argsort((away**2).sum(axis=1), kind="stable")[:NEAREST]
        places = np.asarray(away[near], dtype=float)
        own = HEIGHT**2 * squared_exponential(places, places, LENGTH) + quadratic(places, places)
        own[np.diag_indices_from(own)] += NOISE * (1 + own.diagonal())
        middle = np.zeros((1, theta.size))
        cross = HEIGHT**2 * squared_exponential(middle, places, LENGTH, values_only=True)
        cross += quadratic(middle, places, values_only=True)
        weights = cho_solve(cho_factor(own, lower=True), cross[0]).reshape(1 + theta.size, -1)
        # about the nearest mode: what is added to all modes, by another unit of the response, is added to this one
        found: Vector = self.points[near[0]].x * float(np.linalg.norm(places[0]) < FURTHEST)
        about = found.copy()
        for k, i in enumerate(near):
            point = self.points[i]
            found += weights[0, k] * (point.x - about) + point.slope @ (self.root @ weights[1:, k])
        return found
