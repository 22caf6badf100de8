"""Integration over theta for a posterior of any shape: an emulator is refined where it is unsure, then integrated.

Points with gradients are added, a few at a time, where the density may be large and the emulator does not know it,
until that uncertainty no longer matters. The same points carry the latent variables: each is weighted by the mass
nearest to it, with the smallest adjustment that gives the points the mean and covariance of theta.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from geospde.errors import NumericalError
from geospde.inference.emulator import REACH, Emulator
from geospde.inference.hyper import Accuracy, HyperPosterior, Posterior, moments_missed, nearest_weights
from geospde.inference.laplace import Laplace, LaplacePoint
from geospde.inference.mode import Arm, Valued, arms
from geospde.inference.residual import Reweighted, ThetaDraws
from geospde.inference.warp import Axes, Warp
from geospde.linalg.student import StudentMixture

Vector = NDArray[np.float64]

FIRST = 1.1  # distance of the first points from the mode, in sqrt(d) standard deviations: in star form they can have
# the moments of a Gaussian
EVIDENCE, SPREAD, QUANTILE = 0.01, 0.02, 0.035  # standard errors at which the refinement ends: of the log evidence,
# relative ones of sds, and of quantiles in sds
LEVELS = ((0.025, 0.01), (0.5, 0.1), (0.975, 0.01))  # of the quantiles, and how far around a density is taken
HIDDEN = 0.5  # and what the mass may do that may lie where the emulator is unsure, in the same units
MOST = 90  # points that are added at most, and for each hyperparameter beyond two:
MORE = 15
ROUGH = 3.0  # tolerances that errors have, beyond which twice as many points are added at once
MOVES = 2  # of the axes
KNOWN = 500  # values and slopes that the second axes are told of: of more a process takes long
MISSED = 0.01  # of the moments of theta, in posterior sds and variances, that the points may miss
DEEP, SOFT = 12.0, 4.0  # log density below the top, beyond which it is drawn as its logarithm, in these units
DEPTH_NOISE = 0.3  # share of what lies beyond that need not be followed
SEEN = 1.0  # standard deviations within which a point vouches for the density
TAIL = 1e-3  # mass beyond the last such place, as a part of the peak's height, that is looked for
FURTHEST = 40.0  # standard deviations that tails are followed
APART = 0.2  # standard deviations around a point that failed in which no other is tried
SCOUT = 4.5  # standard deviations at which each axis is looked at for another arm of the posterior
CANDIDATES = 400
DRAWS, ALL_DRAWS = 512, 2048  # at most, and at most while their own errors do not serve
MOST_DRAWS = 4096  # from a mixture, at most
HOPELESS = 2.0  # errors of the first, in units of those that serve, beyond which all would not serve either
GUIDES, MOST_GUIDES = 2, 6  # rounds of draws that mixtures are fitted to: for each hyperparameter, and at most
SURE, COUNTING = 2**15, 0.4  # nodes that make a proposal a good one, and share of them that then count
ROUND = 64  # new points lie on a grid of a part of this of a standard deviation
# What has rounding errors is told to an emulator on grids, whose digits do not change with the order of rows: beyond
# such a bound of those errors, with steps of log densities and of gradients of at least so much and so many bounds
ROUNDED, STEP, GRADIENT_STEP = 2.0**-27, (2.0**-15, 2.0), (2.0**-12, 16.0)


class Evaluator(Protocol):
    """What evaluates thetas: an `Explorer`."""

    laplace: Laplace
    mode: LaplacePoint

    def at(self, thetas: list[Vector], gradient: bool = False, latent: bool = True) -> list[LaplacePoint | None]:
        """Return a point for each theta, None where it fails; without `latent` only its density is computed."""


class _Points:
    """Evaluated points, and the axes that theta is seen on."""

    def __init__(self, evaluator: Evaluator, axes: Axes, known: Sequence[LaplacePoint] = ()):
        self.evaluator, self.axes, self.points = evaluator, axes, list(known)
        self.holes = np.empty((0, axes.centre.size))
        self.u = axes.bent(np.array([p.theta for p in known])) if known else self.holes
        self._searched = 0

    def __len__(self) -> int:
        return len(self.u) + len(self.holes)

    def add(self, u: Vector) -> None:
        """Evaluate at u, (p, d)."""
        found = self.evaluator.at(list(self.axes.theta(u)), gradient=True)
        good = np.array([p is not None for p in found])
        self.holes = np.vstack([self.holes, u[~good]])
        self.u = np.vstack([self.u, u[good]])
        self.points += [p for p in found if p is not None]

    def others(self, u: Vector) -> Vector:
        """Round u, (p, d), to a grid, so that rounding errors cannot grow, and leave out where a point is already."""
        u = np.unique(np.round(u * ROUND) / ROUND, axis=0)
        seen = np.vstack([self.u, self.holes])
        away: Vector = u[(np.abs(u[:, None] - seen).max(axis=2) > 0.5 / ROUND).all(axis=1)]
        return away

    def on(self, centre: Vector, root: Vector) -> None:
        """Move the points to other axes, straight ones, of the same scale."""
        axes = Axes(centre, root, None, self.axes.scale)
        self.holes = axes.straight(self.axes.theta(self.holes))
        self.u = axes.straight(np.array([p.theta for p in self.points]))
        self.axes = axes

    def emulator(self, near: Emulator | None) -> tuple[Emulator, float]:
        """Return an emulator of the log density of u, and the constant that its values are relative to."""
        corrections = np.array([p.correction for p in self.points])
        values = np.array([p.log_posterior for p in self.points]) - corrections + self.axes.log_volume(self.u)
        gradients = np.array([p.gradient for p in self.points])
        errors = np.array([p.gradient_error for p in self.points])
        gradients, errors = self.axes.gradients(self.u, gradients, errors)
        top = float(values.max())
        # cliffs, where the density is nothing, are made less steep: they would ask for a rougher process everywhere
        slopes = _slope_of_depth(values - top)[:, None]
        gradients, errors = gradients * slopes, errors * slopes
        true_depth = compressed(values - top)
        rounding = np.array([p.rounding for p in self.points])
        steps = _steps(rounding, *STEP)
        depth, noise = _on_grid(true_depth, np.zeros(len(self.u)), steps)
        gradients, errors = _on_grid(gradients, errors, _steps(rounding, *GRADIENT_STEP)[:, None])
        # nor does it matter how deep they are
        noise = noise + DEPTH_NOISE * np.maximum(-DEEP - depth, 0.0)
        errors = errors + DEPTH_NOISE * np.abs(gradients) * (depth < -DEEP)[:, None]
        # so are the corrections there: added whole to a shallow cliff, those of tens would make a peak of it
        corrections = compressed(values + corrections - top) - true_depth
        corrections = _on_grid(corrections, noise, np.minimum(steps, STEP[0]))[0]
        # the process's length and height are looked for again as the points become many more
        search = near is None or len(self) > 1.3 * self._searched
        if search:
            self._searched = len(self)
        found = Emulator.through(self.u, depth, gradients, noise, errors, near, search).around(self.holes)
        return found.with_corrections(corrections, float((depth + corrections).max())).proposing(), top


def _steps(rounding: Vector, least: float, times: float) -> Vector:
    """Steps of grids for errors with these bounds, (n,): powers of two, or zero for no grid."""
    steps = 2.0 ** np.ceil(np.log2(np.maximum(times * rounding, least)))
    values: Vector = np.where(rounding > ROUNDED, steps, 0.0)
    return values


def _on_grid(values: Vector, sds: Vector, steps: Vector) -> tuple[Vector, Vector]:
    """Values on grids with these steps, and standard deviations with theirs, which have digits that change, too."""
    on, wide = steps > 0, np.where(steps > 0, steps, 1.0)
    spread = np.maximum(wide / np.sqrt(12), 2.0 ** np.ceil(np.log2(np.maximum(sds, 1e-300))))
    return np.where(on, np.round(values / wide) * wide, values), np.where(on, spread, sds)


def compressed(log_density: Vector) -> Vector:
    """Log density relative to the top, compressed to a logarithm far below it."""
    below = np.maximum(-DEEP - log_density, 0.0)
    values: Vector = np.maximum(log_density, -DEEP) - SOFT * np.log1p(below / SOFT)
    return values


def _slope_of_depth(log_density: Vector) -> Vector:
    """Derivative of `compressed`."""
    values: Vector = 1.0 / (1.0 + np.maximum(-DEEP - log_density, 0.0) / SOFT)
    return values


def adaptive(evaluator: Evaluator, axes: Axes, others: Axes | None = None, priors: Warp | None = None) -> Posterior:
    """Posterior of theta of any shape, which has about unit scale on these axes, and on others that are tried next.

    Where neither do, or points ran out before what is left unsure was within the tolerance, draws put the emulator
    right: on the scale that makes the priors Gaussian, where there is one.
    """
    found = _refined(evaluator, axes)
    if others is not None and not found.with_tails.serves:
        known = found.points.points if found.emulator.has_islands and found.emulator.observed <= KNOWN else []
        again = _refined(evaluator, others, known)
        found = min(found, again, key=lambda one: one.with_tails.worst)
    points, top, accuracy = found.points, found.top, found.with_tails
    residual: Emulator | Reweighted = found.emulator
    # without priors few draws would be in a tail that the points have not followed to its end
    if not (found.accuracy.serves if priors is None else found.accuracy.within and found.with_tails.serves):
        residual, accuracy = _put_right(points, found.emulator, top, priors)
    axes = points.axes
    hyper = HyperPosterior(axes.centre, axes.root, residual, axes.warp, axes.scale, accuracy)
    carriers, weights = points.points, nearest_weights(hyper, points.points)
    if moments_missed(hyper, carriers, weights) > MISSED:  # where the first axes were poor ones
        d = axes.centre.size
        star = hyper.placed(FIRST * np.sqrt(d) * _star(d))
        carriers = carriers + [p for p in evaluator.at(list(star)) if p is not None]
        weights = nearest_weights(hyper, carriers)
    return Posterior.of(carriers, weights, top + hyper.log_integral(), hyper, evaluator.mode)


class _Refined(NamedTuple):
    """Points, an emulator through them, what its values are relative to, its errors, and those with tails."""

    points: _Points
    emulator: Emulator
    top: float
    accuracy: Accuracy
    with_tails: Accuracy


def _star(d: int) -> Vector:
    """Both directions of each axis, (2 d, d)."""
    return np.vstack([np.eye(d), -np.eye(d)])


def _refined(evaluator: Evaluator, axes: Axes, known: Sequence[LaplacePoint] = ()) -> _Refined:
    """Add points, to those that are known, until the emulator's own errors serve, or there are too many."""
    d = axes.centre.size
    points, star = _Points(evaluator, axes, known), _star(d)
    points.add(np.vstack([np.zeros((1, d)), max(1.5, FIRST * np.sqrt(d)) * star, SCOUT * star]))
    if not points.points:
        centre = axes.theta(np.zeros((1, d)))[0]
        raise NumericalError(f"no point around {evaluator.laplace.describe(centre)} could be evaluated")
    most = len(points) + MOST + MORE * max(0, d - 2)
    emulator, top = points.emulator(None)
    moves, misses = 0, np.ones(1)
    while True:
        if moves < MOVES and (better := _better_axes(points.axes, emulator)) is not None:
            points.on(*better)
            moves += 1
            emulator, top = points.emulator(None)
            continue
        doubt = float(np.clip(np.sqrt((misses[-4 * d :] ** 2).mean()), 1.0, 10.0))
        survey = _survey(points, emulator, 2048, doubt)
        new = points.others(survey.next(emulator, (4 if survey.errors.max() > ROUGH else 2) * d))
        if not len(new):
            new = points.others(_open_tails(emulator)[0])
        if not len(new):
            survey = _survey(points, emulator, 2**14, doubt)
            new = points.others(survey.next(emulator, 2 * d))
        if not len(new) or len(points) >= most:
            break
        predicted, sd = emulator.log_density(new, bounded=False) + top, emulator.sd(new)
        points.add(new)
        emulator, top = points.emulator(emulator)
        # the emulator's errors are taken to be larger than it says by as much as they were at the last points
        found = np.abs(emulator.log_density(new) + top - predicted) / (sd + 0.01)
        misses = np.concatenate([misses, np.minimum(found, 10.0)])
    whole = survey.with_tails(points, emulator) if len(points) >= most else survey
    return _Refined(points, emulator, top, survey.accuracy(), whole.accuracy())


def _put_right(points: _Points, emulator: Emulator, top: float, scale: Warp | None) -> tuple[Reweighted, Accuracy]:
    """Correct the emulator by the exact density at random draws; return it with its Monte Carlo errors.

    The first draws are from the emulator's own density. Where they do not do, more are from mixtures fitted to those
    before them, and the last of these mixtures has the draws that count: of draws that a mixture follows those that
    weigh most would come to weigh too little.
    """

    def log_posterior(theta: Vector) -> Vector:
        found = points.evaluator.at(list(theta), latent=False)
        return np.array([-np.inf if p is None else p.log_posterior for p in found])

    if emulator.share_of_nodes < COUNTING:  # arms have few nodes, which weigh much, until they are of a better proposal
        emulator = emulator.proposing(SURE, 3)
    draws = ThetaDraws(log_posterior, emulator, top, points.axes, scale, _arms(points, scale))
    accuracy = _drawn(draws, None, DRAWS)
    if scale is None:
        accuracy = accuracy if accuracy.serves else _drawn(draws, None, ALL_DRAWS)
    elif not accuracy.is_small:
        rest = accuracy.worst < HOPELESS
        for _ in range(GUIDES if rest else min(GUIDES * points.axes.centre.size, MOST_GUIDES)):
            draws.add(draws.mixture(rest))
        mixture = draws.mixture(rest)
        draws.first = len(draws.rounds)
        accuracy = _drawn(draws, mixture, MOST_DRAWS)
    return draws.corrected(_influence), accuracy


def _arms(points: _Points, scale: Warp | None) -> list[Arm]:
    """Arms of the posterior in which a hyperparameter is at an end of its prior."""
    if scale is None:
        return []
    d = points.axes.centre.size
    axes = Axes(np.zeros(d), np.eye(d), None, scale)

    def value(places: Vector) -> list[Valued]:
        found = points.evaluator.at(list(axes.theta(places)), gradient=True, latent=False)
        volumes = axes.log_volume(places)
        of_theta = np.array([np.zeros(d) if p is None else p.gradient for p in found])
        slopes = axes.gradients(places, of_theta, np.zeros_like(places))[0]
        return [None if p is None else (p.log_posterior + v, g) for p, v, g in zip(found, volumes, slopes)]

    places = axes.bent(np.array([p.theta for p in points.points]))
    levels = np.array([p.log_posterior for p in points.points]) + axes.log_volume(places)
    best = int(np.argmax(levels))
    star = axes.bent(points.axes.theta(0.5 * _star(d)))
    root = (star[:d] - star[d:]).T
    return arms(value, float(levels[best]), places[best], root @ root.T, np.asarray(scale.log_slope.any(axis=1)))


def _drawn(draws: ThetaDraws, mixture: StudentMixture | None, most: int) -> Accuracy:
    """Draw until the errors are small, or there are as many as may be."""
    while True:
        draws.add(mixture)
        accuracy = _accuracy(draws.errors(_influence), False, len(draws))
        if accuracy.is_small or len(draws) >= (DRAWS if accuracy.serves else most):
            return accuracy


def _accuracy(errors: Vector, within: bool, draws: int = 0) -> Accuracy:
    """Convert errors, in units of their tolerances as in `_influence`, to the units of what is estimated."""
    by_coordinate = errors[1:].reshape(-1, 1 + len(LEVELS))
    spread, quantile = by_coordinate[:, 0].max(), by_coordinate[:, 1:].max()
    return Accuracy(EVIDENCE * float(errors[0]), SPREAD * float(spread), QUANTILE * float(quantile), within, draws)


def _better_axes(axes: Axes, emulator: Emulator) -> tuple[Vector, Vector] | None:
    """Centre and root on the moments of the density, where the axes are far from them."""
    mean, root = emulator.proposal.mean, emulator.proposal.root
    scales, turn = np.linalg.eigh(root @ root.T)
    if np.abs(mean).max() < 1.0 and scales.min() > 0.5**2 and scales.max() < 1.8**2:
        return None
    # the moments of a poor emulator: not too far at once
    within = (turn * np.clip(scales, 0.25, 4.0)) @ turn.T
    z, stretch = np.clip(mean, -1.5, 1.5), np.ones(mean.size)
    if axes.warp is not None:
        log_slope = axes.warp.slopes(z[None])[0][0]
        z, stretch = axes.warp(z[None])[0][0], np.exp(log_slope)
    scaled = axes.root * stretch
    return axes.centre + axes.root @ z, np.asarray(np.linalg.cholesky(scaled @ within @ scaled.T))


def _open_tails(emulator: Emulator) -> tuple[Vector, Vector]:
    """Places further out to evaluate, (k, d): on rays along the marginals' tails, if much mass lies beyond.

    And how much, (k,), as a part of all mass, were the tail as wide across as the density is.

    A tail is assumed to fall at the rate it has at the last place along the ray that is near a point.
    """
    u, log_inverse = emulator.nodes(2048)
    log_density = emulator.log_density(u)
    log_mass = log_density + log_inverse
    mass = np.exp(log_mass - logsumexp(log_mass))
    log_peak = float(emulator.log_density(emulator.places).max())
    middle, found, parts = mass @ u, [], []
    log_sum = logsumexp(log_mass) - np.log(len(u)) - log_peak
    sds = np.sqrt(mass @ (u - middle) ** 2)
    for start, toward, own in _rays(emulator, u, mass):
        length = float(np.linalg.norm(toward - start))
        ray = (toward - start) / max(length, 1e-12)
        along = start + np.arange(length, length + FURTHEST, 0.5)[:, None] * ray
        seen = np.flatnonzero(emulator.distances(along) < SEEN)
        if not seen.size:
            found.append(along[0])
            parts.append(own)
            continue
        last = along[seen[-1]]
        place = emulator.places[((emulator.places - last) ** 2).sum(axis=1).argmin()]
        value, before, after = emulator.log_density(place + np.outer([0.0, -0.1, 0.1], ray)) - log_peak
        fall = max((before - after) / 0.2, 0.1)
        # an sd has it by the square of its distance
        away = float(np.sqrt((((last - middle) / sds) ** 2).sum()))
        if np.exp(value) / fall * max(1.0, away / 3.0) ** 2 > TAIL:
            found.append(last + min(3.0, 2.0 / fall) * ray)
            # a slice across of a Gaussian with this integral and peak
            log_across = (1.0 - 1.0 / u.shape[1]) * log_sum
            parts.append(min(0.5, float(np.exp(value - log_sum + log_across)) / fall))
    return np.array(found).reshape(-1, u.shape[1]), np.array(parts)


def _rays(emulator: Emulator, u: Vector, mass: Vector) -> list[tuple[Vector, Vector, float]]:
    """Starts and ends, (d,), of rays along the tails of each coordinate, and the mass of each tail.

    From the mean to a tail's and, where a proposal has tails that no product of marginals follows, from there to the
    mean of the tail's own end: ridges bend.
    """
    rays, middle = [], mass @ u
    for values in u.T:
        order = np.argsort(values)
        below = np.cumsum(mass[order])
        for tail, end in zip((below <= 0.02, below > 0.98), (below <= 0.002, below > 0.998)):
            own, outer = (mass[order[part]] / max(mass[order[part]].sum(), 1e-300) for part in (tail, end))
            if not own.sum() > 0.0:
                continue
            mean, whole = own @ u[order[tail]], float(mass[order[tail]].sum())
            rays.append((middle, mean, whole))
            if emulator.has_islands and outer.sum() > 0.0:
                rays.append((mean, outer @ u[order[end]], whole))
    return rays


@dataclass(frozen=True)
class _Survey:
    """How unsure an emulator is, and the candidates for the next evaluations.

    Attributes
    ----------
    errors : (k,) array
        Standard errors of the quantities of `_influence`, in units of their tolerances.
    hidden : (k,) array
        Change of the same quantities if the density were one standard deviation higher wherever the emulator is unsure.
    places, sd, height : (c, d), (c,) and (c,) arrays
        Candidates, the standard deviation of the log density there, and how much it matters.
    """

    errors: Vector
    hidden: Vector
    places: Vector
    sd: Vector
    height: Vector

    @property
    def is_sure(self) -> bool:
        """Whether all is within the tolerances."""
        return bool(self.errors.max() < 1.0 and self.hidden.max() < HIDDEN)

    def next(self, emulator: Emulator, most: int) -> Vector:
        """Places to evaluate next, (most, d); none if the emulator is sure enough."""
        if self.is_sure:
            return np.empty((0, self.places.shape[1]))
        return _apart(emulator, self.places, self.sd, self.height, most)

    def with_tails(self, points: _Points, emulator: Emulator) -> "_Survey":
        """The same with what tails may hide that points have not followed to their end."""
        places, parts = _open_tails(emulator)
        if not len(places):
            return self
        u, log_inverse = emulator.nodes(2048)
        log_mass = emulator.log_density(u) + log_inverse
        mass = np.append(np.exp(log_mass - logsumexp(log_mass)), np.zeros(len(places)))
        influence = np.abs(_influence(points.axes.theta(np.vstack([u, places])), mass))[len(u) :]
        return replace(self, hidden=self.hidden + parts @ influence)

    def accuracy(self) -> Accuracy:
        """The same in the units of what is wanted."""
        return _accuracy(np.maximum(self.errors, self.hidden), self.is_sure)


def _survey(points: _Points, emulator: Emulator, size: int, doubt: float) -> _Survey:
    """Search many nodes for those where the emulator is unsure and it matters."""
    u, log_inverse = emulator.nodes(size)
    log_density, log_open, far = emulator.survey(u)
    log_mass = log_density + log_inverse
    mass = np.exp(log_mass - logsumexp(log_mass))
    influence = _influence(points.axes.theta(u), mass)
    # those that count most for what is wanted
    matter = mass * np.abs(influence).max(axis=1)
    cumulative = np.cumsum(np.sqrt(matter * mass))
    by_mass = np.searchsorted(cumulative, (np.arange(CANDIDATES) + 0.5) / CANDIDATES * cumulative[-1])
    # and those far from all points that would count most, were the density not drawn down there
    spread = np.argsort(-(log_open + log_inverse + 2.0 * np.minimum(far, 3.0)), kind="stable")[:CANDIDATES]
    share = mass[by_mass] / (np.sqrt(matter * mass)[by_mass] / cumulative[-1]) / CANDIDATES
    sd_by_mass, of_sums = emulator.sds(u[by_mass], share[:, None] * influence[by_mass])
    errors, sd_by_mass, sd_spread = doubt * of_sums, doubt * sd_by_mass, doubt * emulator.sd(u[spread])
    # mass where the emulator is unsure, were it one standard deviation denser there
    unsure = (sd_spread > 0.5) | (far[spread] > REACH * np.sqrt(u.shape[1])) | _beside(points, u[spread])
    log_hidden = log_open[spread] + log_inverse[spread] + np.minimum(sd_spread, 5.0) - logsumexp(log_mass)
    hidden = (np.exp(log_hidden)[:, None] * np.abs(influence[spread]))[unsure].sum(axis=0)
    sd_spread = np.where(unsure, np.maximum(sd_spread, 1.0), sd_spread)
    places, sd = np.vstack([u[by_mass], u[spread]]), np.concatenate([sd_by_mass, sd_spread])
    height = np.concatenate([log_open[by_mass], log_open[spread]])
    height += np.log(np.abs(np.concatenate([influence[by_mass], influence[spread]])).max(axis=1))
    if len(points.holes):
        open_ = ((places[:, None] - points.holes) ** 2).sum(axis=2).min(axis=1) > APART**2
        places, sd, height = places[open_], sd[open_], height[open_]
    return _Survey(errors, hidden, places, sd, height)


def _apart(emulator: Emulator, places: Vector, sd: Vector, height: Vector, most: int) -> Vector:
    """Choose places, (most, d), one after another, each where most can be learnt given those before it."""
    chosen = []
    for _ in range(min(most, len(places))):
        gain = height + np.minimum(sd, 5.0) + 2.0 * np.log(np.minimum(sd, 3.0) + 1e-12)
        at = places[int(np.argmax(gain))]
        chosen.append(at)
        apart = places - at
        near = np.exp(-((apart @ emulator.metric) * apart).sum(axis=1) / emulator.length**2)
        sd = sd * np.sqrt(1.0 - 0.999 * near)
    return np.array(chosen).reshape(-1, places.shape[1])


def _beside(points: _Points, u: Vector) -> NDArray[np.bool_]:
    """Whether each u, (p, d), is as near to a hole as to a point: where the hole ends is not known."""
    found = np.zeros(len(u), dtype=bool)
    for hole in points.holes:
        reach = ((points.u - hole) ** 2).sum(axis=1).min()
        found |= ((u - hole) ** 2).sum(axis=1) < reach
    return found


def _influence(theta: Vector, mass: Vector) -> Vector:
    """Derivatives, (p, k), by the log density at each theta, (p, d), per unit of mass, in units of the tolerances.

    Of the log evidence, and of the sd and the quantiles of each coordinate.
    """
    columns = [np.full(len(mass), 1.0 / EVIDENCE)]
    for values in theta.T:
        mean = mass @ values
        sd = np.sqrt(mass @ (values - mean) ** 2)
        standard = (values - mean) / sd
        columns.append(0.5 * (standard**2 - 1.0) / SPREAD)
        order = np.argsort(standard)
        below = np.cumsum(mass[order]) - 0.5 * mass[order]
        for level, width in LEVELS:
            low, middle, high = np.interp([level - width, level, level + width], below, standard[order])
            columns.append((level - (standard < middle)) * (high - low) / (2 * width) / QUANTILE)
    return np.column_stack(columns)
