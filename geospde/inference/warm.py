"""Evaluations of one model, each of which starts at a latent mode that is predicted from those before."""

from collections.abc import Callable, Iterator, Sequence
from copy import copy
from functools import partial

import numpy as np
from numpy.typing import NDArray

from geospde.errors import NumericalError
from geospde.inference.laplace import DIGITS, Laplace, LaplacePoint, PriorPart
from geospde.inference.system import Start
from geospde.linalg.executor import executor
from geospde.linalg.processes import quadratic, squared_exponential
from geospde.linalg.threads import LARGE, SEVERAL

Vector = NDArray[np.float64]

NEAREST = 6  # points that a latent mode is predicted from
LENGTH, HEIGHT = 2.0, 0.3  # of the process through them, in standard deviations and beside its quadratic trend
FURTHEST = 10.0  # standard deviations from the nearest, beyond which it tends to zero
NOISE = 1e-8  # variance, and share of each: keeps its matrix invertible where points coincide, or lie far away


def evaluated(
    where: tuple[Vector, Start, PriorPart | None],
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

    @property
    def advice(self) -> str:
        """Of the Laplace approximations."""
        return self.laplace.advice

    def at(self, theta: Vector, start: Vector | None = None, gradient: bool = True) -> LaplacePoint:
        """The point at theta; `start` serves where there is none to start from."""
        (predicted,) = self.predicted_modes([theta])
        point = self.laplace.lagging(theta, start if predicted is None else predicted, gradient)
        self._remember([point], gradient)
        return point

    def all(
        self,
        thetas: Sequence[Vector],
        gradient: bool = True,
        finish: Callable[[Laplace, LaplacePoint], LaplacePoint] | None = None,
        starts: Sequence[Start] | None = None,
    ) -> Iterator[LaplacePoint | None]:
        """Evaluate points in parallel, None where one fails; `finish` sees each while its factor is there.

        Searches for latent modes begin at `starts`, by default at their predictions.
        """
        # all modes are predicted before any is found, so that the order in which threads end changes nothing
        known = self.predicted_modes(thetas) if starts is None else starts
        begun = [(theta, start, self._prior_part(theta, gradient)) for theta, start in zip(thetas, known)]
        found = []
        work = partial(evaluated, gradient=gradient, finish=finish)
        for point, evaluations, factorisations in executor().map(work, begun, self.laplace, size=self.laplace.n):
            self.laplace.evaluations += evaluations
            self.laplace.factorisations += factorisations
            found.append(point)
            yield point
        self._remember(found, gradient)

    def _prior_part(self, theta: Vector, gradient: bool) -> PriorPart | None:
        """The prior's part, where it depends on the order of evaluations or is quick."""
        learns = any(term.learns for term in self.laplace.precisions)
        if not (learns or SEVERAL <= self.laplace.n < LARGE):
            return None
        try:
            return self.laplace.prior_part(theta, gradient)
        except NumericalError:
            return None  # as the point will say

    def _remember(self, points: Sequence[LaplacePoint | None], gradient: bool) -> None:
        if gradient:
            self.points += [p.without_factor() for p in points if p is not None]

    def predicted_modes(self, thetas: Sequence[Vector]) -> Sequence[Vector | None]:
        """Predict latent modes at thetas from the modes and slopes of the nearest points, by a process with a trend.

        None where there are no points.
        """
        if not self.points or not thetas:
            return [None] * len(thetas)
        known, wanted = np.array([p.theta for p in self.points]), np.array(thetas)
        shape = len(wanted), *known.shape
        apart = (known - wanted[:, None]).reshape(-1, self.n_theta)
        away = np.linalg.solve(self.root, apart.T).T.reshape(shape)
        near = np.argsort((away**2).sum(axis=2), axis=1, kind="stable")[:, :NEAREST]
        places = np.take_along_axis(away, near[:, :, None], axis=1)
        own = HEIGHT**2 * squared_exponential(places, places, LENGTH) + quadratic(places, places)
        every = np.arange(own.shape[1])
        own[:, every, every] += NOISE * (1 + own[:, every, every])
        middle = np.zeros((1, self.n_theta))
        cross = HEIGHT**2 * squared_exponential(middle, places, LENGTH, values_only=True)
        cross += quadratic(middle, places, values_only=True)
        weights = np.linalg.solve(own, cross.swapaxes(1, 2)).reshape(len(wanted), 1 + self.n_theta, -1)
        turns = self.root @ weights[:, 1:]
        reached = np.linalg.norm(places[:, 0], axis=1) < FURTHEST
        return [self._mixed(*one) for one in zip(near, weights[:, 0], turns, reached)]

    def _mixed(self, near: NDArray[np.intp], weights: Vector, turns: Vector, reached: bool) -> Vector:
        """Modes of points by their weights, (k,), and their slopes along turns, (d, k)."""
        # about the nearest mode: what is added to all modes, by another unit of the response, is added to this one
        about = self.points[near[0]].x * float(reached)
        found: Vector = about.copy()
        for i, weight, turn in zip(near, weights, turns.T):
            point = self.points[i]
            found += weight * (point.x - about) + point.slope @ turn
        return found
