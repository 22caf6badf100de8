"""Mode and curvature of log p(theta | y), by exact gradients."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from geospde.errors import NumericalError
from geospde.families.barrier import AtEnd
from geospde.inference.laplace import LaplacePoint
from geospde.inference.warm import WarmLaplace
from geospde.text.progress import Callback

Vector = NDArray[np.float64]
SHORTEST = 1e-9  # step, in the coordinates, that is no step
AROUND = (-0.9, 0.9, -2.0, 2.0, -3.0, 3.0)  # of a start at which there is nothing, where to look for another
END, AWAY = 2.2, 0.5  # prior sds at which an arm is looked for, where the mode is at least so far from there
SEARCH = 8  # evaluations of the search for an arm
LEAST_GAIN = 0.2  # that a step of it must promise
NONE = 9.0  # log density below the mode's, from which there is no arm
WIDER = 1.5  # variances of an arm's guess, than its curvature has them
LONGEST = 1.5  # step of it, in prior sds
MOST = 400  # evaluations: a mode at the cusps of two priors of correlations takes a hundred and more


def silent(done: int, total: int | None, message: str) -> None:
    """Report nothing."""


class Objective(Protocol):
    """What is maximised: log p(theta | y) of a `Laplace`, or a likelihood."""

    @property
    def n_theta(self) -> int:
        """Size of theta."""

    @property
    def evaluations(self) -> int:
        """How often it was evaluated."""

    def at(self, theta: Vector, start: Vector | None = None, gradient: bool = True) -> LaplacePoint:
        """Value, as `log_posterior`, with its gradient, the latent mode and the slope of that; or NumericalError."""

    def describe(self, theta: Vector) -> str:
        """Theta in the user's words."""


def find_mode(
    laplace: Objective,
    start: Vector,
    progress: Callback = silent,
    max_evaluations: int = MOST,
    *,
    tolerance: float = 1e-6,
    least: float = 1e-3,
    curvature: Vector | None = None,
) -> tuple[LaplacePoint, Vector]:
    """Maximise log p(theta | y) in a trust region, with exact gradients and a symmetric rank-one curvature.

    Every evaluation, accepted or not, tells its gradient to the curvature. Each starts Newton from the latent mode
    extrapolated along dx*/dtheta.

    Parameters
    ----------
    laplace : WarmLaplace or another Objective
    start : (d,) array
    progress : callable
        Told of every evaluation.
    max_evaluations : int
    tolerance : float
        The search ends where a Newton step promises a gain below half of it,
    least : float
        and where every direction curves by more than this: a negative one lets flat directions be.
    curvature : (d, d) array, optional
        A guess of the negative Hessian.

    Returns
    -------
    point : LaplacePoint
        At the mode.
    covariance : (d, d) array
        Inverse of the curvature found: an estimate of the posterior covariance of theta.

    Raises
    ------
    NumericalError
        When it does not converge, with the last theta.

    References
    ----------
    Nocedal & Wright (2006), Numerical Optimization, algorithm 6.2.
    """
    point = _begun(laplace, start)
    if curvature is None:
        curvature = np.eye(laplace.n_theta) * max(1.0, float(np.linalg.norm(point.gradient)))
    radius = 1.0
    for _ in range(max_evaluations):
        values, vectors = np.linalg.eigh(curvature)
        convex = values.min() > least
        bounded = np.maximum(values, 1e-3)
        if convex and float(((vectors.T @ point.gradient) ** 2 / bounded).sum()) < tolerance:
            return point, (vectors / bounded) @ vectors.T
        step = _step_within(values, vectors, point.gradient, radius)
        expected = float(point.gradient @ step - 0.5 * step @ curvature @ step)
        trial = attempt(laplace, point, step)
        progress(laplace.evaluations, None, "mode of the hyperparameters")
        length = float(np.linalg.norm(step))
        if trial is None:
            radius = 0.25 * length
            if radius < SHORTEST:
                break  # at the end of where there is anything
            continue
        difference = point.gradient - trial.gradient
        miss = difference - curvature @ step
        if abs(step @ miss) > 1e-8 * length * float(np.linalg.norm(miss)):
            curvature = curvature + np.outer(miss, miss) / float(step @ miss)
        gain = trial.log_posterior - point.log_posterior
        ratio = gain / expected
        if ratio > 0.75 and length > 0.8 * radius:
            radius *= 2.0
        elif ratio < 0.25:
            radius = 0.35 * length
        if gain > 0:
            point = trial
        elif length < 1e-6:  # rounding, at the top
            return point, (vectors / bounded) @ vectors.T if convex else np.eye(laplace.n_theta)
    if float(np.linalg.norm(point.gradient)) < 0.1:  # a plateau: the rule over theta will see how far it goes
        return point, np.eye(laplace.n_theta)
    raise NumericalError(
        f"the search for the hyperparameters' mode did not converge in {max_evaluations} evaluations; "
        f"it ended at {laplace.describe(point.theta)} with gradient {np.array2string(point.gradient, precision=3)}"
        f"{getattr(laplace, 'advice', '')}"
    )


def _begun(laplace: Objective, start: Vector) -> LaplacePoint:
    """The point at a start; where modes are at the end of a link there, at the first around it where they are not."""
    try:
        return laplace.at(start)
    except AtEnd:
        directions = np.vstack([np.eye(start.size), np.ones((int(start.size > 1), start.size))])
        for step in AROUND:
            for direction in directions:
                try:
                    return laplace.at(start + step * direction)
                except NumericalError:
                    continue
        raise


def _step_within(values: Vector, vectors: Vector, gradient: Vector, radius: float) -> Vector:
    """Maximiser of a quadratic with this curvature and gradient, no longer than the radius."""
    along = vectors.T @ gradient
    damping = 0.0
    if values.min() > 0:
        step = along / values
        if np.linalg.norm(step) <= radius:
            return vectors @ step
    low, high = max(0.0, -float(values.min())), float(np.linalg.norm(gradient)) / radius + float(np.abs(values).max())
    for _ in range(60):
        damping = 0.5 * (low + high)
        longer = np.linalg.norm(along / (values + damping)) > radius
        low, high = (damping, high) if longer else (low, damping)
    return vectors @ (along / (values + high))


def attempt(laplace: Objective, near: LaplacePoint, step: Vector) -> LaplacePoint | None:
    """The Laplace point a step away, or None where there is none."""
    try:
        return laplace.at(near.theta + step, near.x + near.slope @ step)
    except NumericalError:
        return None


def _on_weights(laplace: WarmLaplace) -> str:
    """What to do about weights that let the density of a response grow without end as its noise vanishes.

    Beside effects that can meet each of n rows it goes as sigma to the power of n less the sum of the weights.
    """
    weights = getattr(laplace.laplace.model.likelihood, "weights", None)
    if weights is None or np.sum(weights) <= 1.01 * np.size(weights):
        return ""
    return (
        f"weights= multiply log densities, and sum to {np.sum(weights):.4g} for {np.size(weights)} rows, which beside "
        "a field can make vanishing noise likely without end: divide them by their mean"
    )


def curvature(
    laplace: WarmLaplace, mode: LaplacePoint, guess: Vector, progress: Callback = silent
) -> tuple[Vector, Vector]:
    """Root of the inverse negative Hessian at the mode, and third derivatives along its columns.

    By differences of exact gradients, half a standard deviation to each side along the axes of the guess: long enough
    to average out what a rule over two or three standard deviations does not see, short enough to stay in the bulk.

    Returns
    -------
    root : (d, d) array
        Lower triangular R: ``theta = mode + R z`` standardises the posterior. Of all roots of the covariance this one
        keeps the axes nearest the parameters, and so their skewness on single axes.
    third : (d, d) array
        Third derivatives of the log density: entry (i, j) once in z_i and twice in z_j.
    """
    eigenvalues, vectors = np.linalg.eigh(guess)
    axes = np.linalg.cholesky((vectors * np.clip(eigenvalues, 1e-6, 4.0)) @ vectors.T)
    d = axes.shape[0]
    hessian, third = np.empty((d, d)), np.zeros((d, d))
    found = list(laplace.all([mode.theta + s * axes[:, j] for j in range(d) for s in (-0.5, 0.5)]))
    progress(laplace.evaluations, None, "curvature of the hyperparameters")
    for j in range(d):
        ends = found[2 * j : 2 * j + 2]
        slopes = [axes.T @ (end.gradient - mode.gradient) / s for end, s in zip(ends, (-0.5, 0.5)) if end is not None]
        if not slopes:
            said = f"no curvature could be found around {laplace.describe(mode.theta)}"
            raise NumericalError(said, remedy=_on_weights(laplace))
        hessian[:, j] = np.mean(slopes, axis=0)
        if len(slopes) == 2:
            third[:, j] = 2.0 * (slopes[1] - slopes[0])  # the slopes are those in the middle of each half
    values, vectors = np.linalg.eigh(-0.5 * (hessian + hessian.T))
    # a direction that the data leave flat keeps the scale of the guess
    root = axes @ (vectors / np.sqrt(np.where(values > 1e-3, values, 1.0)))
    root = np.asarray(np.linalg.cholesky(root @ root.T))
    longer = np.diag(root) / np.diag(axes)
    return root, third * longer[:, None] * longer**2


class Arm(NamedTuple):
    """A part of a posterior in which one coordinate is at an end of its prior.

    Attributes
    ----------
    place : (d,) array
        The densest there, given that coordinate.
    covariance : (d, d) array
        A guess, about the place.
    """

    place: Vector
    covariance: Vector


Valued = tuple[float, Vector] | None  # a log density and its gradient, None where there is none


def arms(
    value: Callable[[Vector], list[Valued]], top: float, mode: Vector, covariance: Vector, ended: NDArray[np.bool_]
) -> list[Arm]:
    """Look for arms of a posterior on the scale that makes its priors standard Gaussians.

    What a standard deviation explains, others may: where one of two is nothing, the data may be as likely as anywhere,
    far from the mode in its own curvature. Each coordinate is held at either end of its prior, and the density is
    climbed in the others, by their quasi-Newton steps, all ends side by side.

    Parameters
    ----------
    value : callable
        Log densities and gradients at places, (p, d).
    top : float
        Log density at the mode.
    mode : (d,) array
    covariance : (d, d) array
        About the mode, as its curvature has it.
    ended : (d,) array of bool
        Which coordinates have a prior.
    """
    values, turn = np.linalg.eigh(covariance)
    covariance = (turn * np.clip(values, 1e-4, 1.0)) @ turn.T
    searches = [
        _Search.toward(mode, covariance, k, end)
        for k in map(int, np.flatnonzero(ended))
        for end in (-END, END)
        if (end - mode[k]) * end > 0 and abs(end - mode[k]) > AWAY
    ]
    for _ in range(SEARCH):
        active = [search for search in searches if not search.ended]
        if not active:
            break
        for search, point in zip(active, value(np.array([search.trial for search in active]))):
            search.told(point)
    kept = [search for search in searches if search.level > top - NONE]
    steps = [search.steps() for search in kept]
    if not kept:
        return []
    beside = value(np.vstack([search.place + np.diag(step) for search, step in zip(kept, steps)]))
    d = mode.size
    return [search.arm(step, beside[d * i : d * (i + 1)]) for i, (search, step) in enumerate(zip(kept, steps))]


@dataclass
class _Search:
    """A climb with one coordinate, k, held; `inverse` is minus the others' inverse Hessian."""

    k: int
    trial: Vector
    inverse: Vector
    place: Vector
    gradient: Vector
    level: float = -np.inf
    ended: bool = False

    @classmethod
    def toward(cls, mode: Vector, covariance: Vector, k: int, end: float) -> "_Search":
        """From where the others are on the mean, were the density a Gaussian."""
        place = np.clip(mode + covariance[:, k] / covariance[k, k] * (end - mode[k]), -END, END)
        place[k] = end
        others = np.arange(mode.size) != k
        rest = covariance - np.outer(covariance[k], covariance[k]) / covariance[k, k]
        return cls(k, place, rest[np.ix_(others, others)] + 1e-6 * np.eye(mode.size - 1), place, np.zeros(mode.size))

    def told(self, found: Valued) -> None:
        """Take what was found at `trial`, and say where to look then."""
        others = np.arange(self.trial.size) != self.k
        is_first = not np.isfinite(self.level)
        if found is None or found[0] < self.level - 0.1:
            self.ended = is_first
            if not is_first:
                self.trial = self.place + 0.3 * (self.trial - self.place)
            return
        level, gradient = found
        if not is_first:
            step, bend = (self.trial - self.place)[others], (self.gradient - gradient)[others]
            if step @ bend > 1e-6:
                away = np.eye(step.size) - np.outer(step, bend) / (step @ bend)
                self.inverse = away @ self.inverse @ away.T + np.outer(step, step) / (step @ bend)
        self.place, self.level, self.gradient = self.trial, level, gradient
        step = self.inverse @ gradient[others]
        self.ended = bool(step @ gradient[others] < 2 * LEAST_GAIN)
        self.trial = self.place.copy()
        self.trial[others] += step * min(1.0, LONGEST / max(float(np.linalg.norm(step)), 1e-12))

    def steps(self) -> Vector:
        """Steps along each coordinate, (d,), over which the gradient tells the curvature: half of an sd."""
        own = 0.5 * np.sqrt(np.diag(self.inverse))
        values: Vector = np.clip(np.insert(own, self.k, 0.3), 0.02, 0.3)
        return values

    def arm(self, steps: Vector, beside: list[Valued]) -> Arm:
        """What was found, with the gradients that many steps away: beyond what the data say the prior's sd is one."""
        d = self.place.size
        rows = [
            unit if found is None else (self.gradient - found[1]) / step
            for unit, step, found in zip(np.eye(d), steps, beside)
        ]
        values, turn = np.linalg.eigh(0.5 * (np.array(rows) + np.array(rows).T))
        covariance = (turn / np.clip(values, 1.0, 1e4)) @ turn.T
        # a last step, by this curvature, with the coordinate held
        rest = covariance - np.outer(covariance[self.k], covariance[self.k]) / covariance[self.k, self.k]
        step = rest @ self.gradient
        step *= min(1.0, LONGEST / max(float(np.linalg.norm(step)), 1e-12))
        return Arm(self.place + step, WIDER * covariance)
