"""Maximum likelihood: the search, the edges of the parameter space, and the curvature at the maximum."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import NumericalError
from geospde.inference.laplace import LaplacePoint
from geospde.inference.mode import attempt, find_mode, silent
from geospde.likelihood.coordinates import LEAST, Coordinates
from geospde.likelihood.likelihoods import Joint, Profiled, Restricted, Unpriored
from geospde.linalg.basis import Basis
from geospde.text.progress import Callback

Vector = NDArray[np.float64]
Likelihood = Restricted | Joint

NO_WORSE = 1e-9  # relative loss of log likelihood allowed for going to an edge: rounding error of a difference
NO_WORSE_ROUNDED = 1e-6  # the same where the precision, or the likelihood itself, loses digits towards the edge
FLAT = 1e-6  # curvature in a logarithm or Fisher's z below which the data say nothing about it
LEAST_CURVATURE = 1e-3  # curvature in the coordinates below which a direction counts as level
ELSEWHERE = (-1.2, 0.0, 1.2, 2.4)  # from where it starts, where to try what means nothing at an edge
OFF_EDGE = 1e-2  # distance from an edge at which to see whether the likelihood rises from it
MOST_SADDLES = 4  # most searches that are started again from a saddle
MOST_EVALUATIONS = 500
LITTLE = 1e-4  # gain in log likelihood that may remain at the end
ROUNDINGS = 10.0  # times what a log likelihood is seen to lose of its digits, that may remain as well
STEP = 1e-3  # step of differences of gradients, in logarithms or standard errors; the error goes with its square


@dataclass(frozen=True)
class Maximum:
    """Where a likelihood is largest.

    Attributes
    ----------
    theta : (d,) array
        The free hyperparameters on their inner scale; those that run off stand where it makes no more difference.
    fixed : (p,) array
    log_likelihood : float
    covariance : (d, d) array
        Of theta, by the curvature there (with the fixed effects at their best, or integrated out); NaN where theta
        runs off or the likelihood is flat.
    fixed_covariance : (p, p) array
        Of the fixed effects.
    edges : (d,) array of int
        -1 and 1 for those that run off to minus or plus infinity, 0 for the others.
    flat : (d,) array of bool
        Those of which the likelihood says nothing there.
    x : (n,) array
        Modes of the random effects, and the fixed effects.
    whole_curvature : bool
        Whether `fixed_covariance` is from the curvature of all parameters, not given theta.
    evaluations, factorisations : int
    basis, inner_covariance : (p, p) arrays
        Coordinates of the fixed effects as `Basis.back`, and their covariance there, which keeps the digits that
        `fixed_covariance` loses; empty where they are not known.
    """

    theta: Vector
    fixed: Vector
    log_likelihood: float
    covariance: Vector
    fixed_covariance: Vector
    edges: NDArray[np.int_]
    flat: NDArray[np.bool_]
    x: Vector
    whole_curvature: bool
    evaluations: int = 0
    factorisations: int = 0
    basis: Vector = field(default_factory=lambda: np.zeros((0, 0)))
    inner_covariance: Vector = field(default_factory=lambda: np.zeros((0, 0)))

    def mapped(self, back: sp.csr_matrix, n_fixed: int) -> "Maximum":
        """The same of a model whose latent vector is `back` times this one's; its last are the fixed effects."""
        first = self.fixed.size - n_fixed
        own = np.s_[first:, first:]
        return replace(
            self, x=back @ self.x, fixed=self.fixed[first:], fixed_covariance=self.fixed_covariance[own],
            basis=self.basis[own], inner_covariance=self.inner_covariance[own],
        )  # fmt: skip

    @property
    def coordinates(self) -> tuple[Basis, Vector]:
        """Coordinates of the fixed effects, their own where no others are known, and their covariance there."""
        first = self.x.size - self.fixed.size
        if len(self.basis) != self.fixed.size:
            return Basis(first, np.eye(self.fixed.size)), self.fixed_covariance
        return Basis(first, self.basis), self.inner_covariance

    def outside(self, basis: Basis) -> "Maximum":
        """The same with fixed effects that were found in other coordinates in their own."""
        return replace(
            self, x=basis.outside(self.x), fixed=basis.back @ self.fixed, basis=basis.back,
            inner_covariance=self.fixed_covariance, fixed_covariance=basis.covariance_outside(self.fixed_covariance),
        )  # fmt: skip

    def inside(self, basis: Basis) -> "Maximum":
        """The same with fixed effects in other coordinates, to search in."""
        to = np.linalg.inv(basis.back)
        of_fixed = to @ self.fixed_covariance @ to.T
        return replace(self, x=basis.inside(self.x), fixed=to @ self.fixed, fixed_covariance=of_fixed)


class InCoordinates:
    """A likelihood as a function of coordinates."""

    def __init__(self, likelihood: Any, coordinates: Coordinates):
        self._likelihood = likelihood
        self._coordinates = coordinates
        self.n_theta = coordinates.first.size + coordinates.fixed.size

    @property
    def evaluations(self) -> int:
        """Of the likelihood."""
        return int(self._likelihood.evaluations)

    def at(self, theta: Vector, start: Vector | None = None, gradient: bool = True) -> LaplacePoint:
        """The likelihood and its gradient at coordinates.

        Nearer to zero than where it can be evaluated it is the parabola, even in the coordinate, that goes on from
        there with its value and slope: what is left out is of fourth order.
        """
        point = self._likelihood.at(self._coordinates.psi(theta), start, gradient)
        jacobian = self._coordinates.jacobian(theta)
        slope, of_mode, value = point.gradient @ jacobian, point.slope @ jacobian, point.log_posterior
        edge = self._coordinates.off_zero(theta)
        inside = theta != edge
        if inside.any():
            share = np.where(inside, theta / np.where(inside, edge, 1.0), 1.0)
            value += 0.5 * float(slope @ ((share**2 - 1.0) * edge))
            slope, of_mode = slope * share, of_mode * share
        own: LaplacePoint = replace(point, theta=theta, log_posterior=value, gradient=slope, slope=of_mode)
        return own

    def describe(self, theta: Vector) -> str:
        """Coordinates in the user's words."""
        return str(self._likelihood.describe(self._coordinates.psi(theta)))

    @property
    def advice(self) -> str:
        """Of the likelihood."""
        return str(getattr(self._likelihood, "advice", ""))


def maximum_likelihood(
    model: Unpriored,
    start: Vector,
    restricted: bool = False,
    make: Callable[[Unpriored], Likelihood] = Joint,
    progress: Callback = silent,
    additive: bool = False,
) -> Maximum:
    """Maximise the likelihood of a model.

    Parameters
    ----------
    model : Unpriored
    start : (d,) array
        Free hyperparameters to start from.
    restricted : bool
        Whether to maximise the restricted likelihood (REML).
    make : callable
        Makes the likelihood of psi and the fixed effects of a response that is not Gaussian: `Joint` by Laplace, or
        by quadrature.
    progress : callable
        Told of every evaluation.
    additive : bool
        Whether the fixed effects stand at the joint mode for each psi, as in mgcv, and not where the approximated
        likelihood is largest, as in lme4: the two are the same for a Gaussian response.

    Raises
    ------
    NumericalError
        Where none is found; it names the parameters.
    """
    upright, basis = model.upright()
    return _maximum_of(upright, start, restricted, make, progress, additive).outside(basis)


def _maximum_of(
    model: Unpriored,
    start: Vector,
    restricted: bool,
    make: Callable[[Unpriored], Likelihood],
    progress: Callback,
    additive: bool,
) -> Maximum:
    """The maximum of a model that is upright."""
    coupled = model.likelihood.pairs is not None  # the profiled likelihood's slopes are of one predictor a row
    if restricted or (additive and not coupled) or model.is_gaussian:
        inside = Restricted(model) if restricted else Profiled(model)
        return climb(inside, model.coordinates(inside.psi_of(start)), progress=progress)
    # the restricted likelihood leads near, at the cost of a search in theta alone
    near = Restricted(model)
    coordinates = model.coordinates(near.psi_of(start))
    phi, guess = coordinates.phi(coordinates.first), np.zeros((0, 0))
    if not start.size:
        point = near.at(coordinates.first)
    else:
        found, guess = find_mode(InCoordinates(near, coordinates), phi, progress, tolerance=1e-4, least=-1e-3)
        phi, point = found.theta, replace(found, theta=coordinates.psi(found.theta))
    fixed = near.fixed_at(point)
    curvature = np.eye(phi.size + fixed.size)
    curvature[: phi.size, : phi.size] = np.linalg.inv(guess)
    best = climb(
        make(model),
        coordinates.with_fixed(fixed, near.fixed_covariance(point)),
        np.concatenate([phi, np.zeros(fixed.size)]),
        curvature,
        progress,
    )
    return replace(
        best,
        evaluations=best.evaluations + near.evaluations,
        factorisations=best.factorisations + near.factorisations,
    )


def climb(
    likelihood: Likelihood,
    coordinates: Coordinates,
    begin: Vector | None = None,
    curvature: Vector | None = None,
    progress: Callback = silent,
) -> Maximum:
    """Maximise a likelihood from these coordinates."""
    phi = coordinates.phi(coordinates.first) if begin is None else begin
    in_phi = InCoordinates(likelihood, coordinates)
    at = _off_saddles(likelihood, coordinates, in_phi, _searched(in_phi, phi, progress, curvature), progress)
    if any(e.factor.ends(at.theta[e.where])[2].any() for e in likelihood.effects):
        # singular covariances have maxima beside each other: look from uncorrelated effects, too
        again = at.theta.copy()
        for e in likelihood.effects:
            again[e.where] = e.factor.uncorrelated(again[e.where])
        other = _off_saddles(likelihood, coordinates, in_phi, _searched(in_phi, again, progress), progress)
        at = max(at, other, key=lambda point: point.log_posterior)
    at = _upright(likelihood, in_phi, at)
    edges, idle, moving = _ends(likelihood, coordinates, at.theta)
    for _ in range(MOST_SADDLES):
        scale = _scale(likelihood, coordinates, at.theta)
        hessian = _hessian(in_phi, at, moving, STEP * scale, progress)
        values, vectors = np.linalg.eigh(scale[:, None] * hessian * scale)
        if not phi.size or values[0] > -LEAST_CURVATURE:
            break
        step = 0.1 * scale * vectors[:, 0]
        step = step if step @ at.gradient >= 0 else -step
        at = _off_saddles(likelihood, coordinates, in_phi, _searched(in_phi, at.theta + step, progress), progress)
        at = _upright(likelihood, in_phi, at)
        edges, idle, moving = _ends(likelihood, coordinates, at.theta)
    at, covariance, curved = _polished(in_phi, at, hessian, moving, scale)
    return _maximum(likelihood, coordinates, at, covariance, (edges, idle, moving & ~curved))


def _scale(likelihood: Likelihood, coordinates: Coordinates, phi: Vector) -> Vector:
    """What a coordinate moves where its parameter moves by one, in logarithms, Fisher's z or standard errors."""
    scale = np.ones(phi.size)
    d = coordinates.first.size
    scale[:d] = np.where(coordinates.scales, np.maximum(np.abs(phi[:d]), STEP), 1.0)
    for e in likelihood.effects:
        lengths = np.linalg.norm(e.factor.matrix(phi[e.where]), axis=1)
        scale[e.where] = np.maximum(lengths, STEP)[e.factor.places[0]]
    return scale


def _searched(in_phi: InCoordinates, phi: Vector, progress: Callback, curvature: Vector | None = None) -> LaplacePoint:
    """Where a search from these coordinates ends."""
    if phi.size == 0:
        return in_phi.at(phi)
    return find_mode(
        in_phi, phi, progress, MOST_EVALUATIONS, tolerance=1e-8, least=-LEAST_CURVATURE, curvature=curvature
    )[0]


def _off_saddles(
    likelihood: Likelihood, coordinates: Coordinates, in_phi: InCoordinates, at: LaplacePoint, progress: Callback
) -> LaplacePoint:
    """The point at the edges it is near to, and away from those that the likelihood rises from."""
    for _ in range(MOST_SADDLES):
        at = _to_edges(likelihood, coordinates, in_phi, at)
        upwards = _ascent(in_phi, at, ~_ends(likelihood, coordinates, at.theta)[2])
        if upwards is None:
            upwards = _ascent_elsewhere(coordinates, in_phi, at)
        if upwards is None:
            return at
        at = _searched(in_phi, at.theta + upwards, progress)
    return _to_edges(likelihood, coordinates, in_phi, at)


def _upright(likelihood: Likelihood, in_phi: InCoordinates, at: LaplacePoint) -> LaplacePoint:
    """The same point with the pivots of all factors positive."""
    phi = at.theta.copy()
    for e in likelihood.effects:
        phi[e.where] = e.factor.upright(phi[e.where])
    return at if (phi == at.theta).all() else in_phi.at(phi)


def _ascent(in_phi: InCoordinates, at: LaplacePoint, fixed: NDArray[np.bool_]) -> Vector | None:
    """A step up from coordinates that are zero, in which the likelihood is even; None where it falls off them all."""
    places = np.flatnonzero(fixed)
    if not places.size:
        return None
    hessian = np.zeros((places.size, places.size))
    for k, j in enumerate(places):
        there = attempt(in_phi, at, OFF_EDGE * (np.arange(at.theta.size) == j))
        if there is not None:
            hessian[k] = there.gradient[places] / OFF_EDGE
    values, vectors = np.linalg.eigh(0.5 * (hessian + hessian.T))
    if values[-1] < LEAST_CURVATURE:
        return None
    step = np.zeros(at.theta.size)
    step[places] = 0.1 * vectors[:, -1]
    return step


def _ascent_elsewhere(coordinates: Coordinates, in_phi: InCoordinates, at: LaplacePoint) -> Vector | None:
    """A step up from a standard deviation of zero at another value of what means nothing there, as a field's range.

    The likelihood is level in a range where the field vanishes, and may rise with the field at one and fall at another:
    surveys that tell little have a field of a short or long range, and none of a middling one.
    """
    best, upwards = LEAST_CURVATURE, None
    for k, j in coordinates.idle(at.theta):
        for shift in ELSEWHERE:
            step = np.zeros(at.theta.size)
            step[j], step[k] = coordinates.first[j] + shift - at.theta[j], OFF_EDGE
            there = attempt(in_phi, at, step)
            if there is not None and there.gradient[k] / OFF_EDGE > best:
                best, step[k] = float(there.gradient[k]) / OFF_EDGE, 0.1
                upwards = step
    return upwards


def _to_edges(
    likelihood: Likelihood, coordinates: Coordinates, in_phi: InCoordinates, at: LaplacePoint
) -> LaplacePoint:
    """The point, with what nearly vanishes put to zero where that costs nothing."""

    def better(moved: Vector, no_worse: float = NO_WORSE) -> LaplacePoint:
        there = attempt(in_phi, at, moved - at.theta)
        enough = at.log_posterior - no_worse * max(1.0, abs(at.log_posterior))
        return at if there is None or there.log_posterior < enough else there

    for k in coordinates.small(at.theta):
        no_worse = NO_WORSE if coordinates.least[k] == LEAST else NO_WORSE_ROUNDED
        at = better(np.where(np.arange(at.theta.size) == k, 0.0, at.theta), no_worse)
    for e in likelihood.effects:
        for pivot in e.factor.small_pivots(at.theta[e.where]):
            for entries in e.factor.without(at.theta[e.where], pivot):
                moved = at.theta.copy()
                moved[e.where] = entries
                there = better(moved)
                if there is not at:
                    at = there
                    break
    return at


def _ends(
    likelihood: Likelihood, coordinates: Coordinates, phi: Vector
) -> tuple[NDArray[np.int_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Edges that theta is at, thetas that mean nothing there, and which psi still move."""
    d = coordinates.first.size
    edges = np.where(coordinates.scales & (phi[:d] == 0.0), -1, 0)
    idle, moving = np.zeros(d, dtype=bool), np.ones(phi.size, dtype=bool)
    moving[:d] = edges == 0
    for e in likelihood.effects:
        edges[e.where], idle[e.where], fixed = e.factor.ends(phi[e.where])
        moving[e.where] = ~fixed
    return edges, idle, moving


def _hessian(
    in_phi: InCoordinates, at: LaplacePoint, moving: NDArray[np.bool_], steps: Vector, progress: Callback
) -> Vector:
    """Negative second derivatives in the coordinates that move, by differences of gradients; zero in the others."""
    out = np.zeros((steps.size, steps.size))
    for j in np.flatnonzero(moving):
        move = steps * (np.arange(steps.size) == j)
        above, below = attempt(in_phi, at, move), attempt(in_phi, at, -move)
        if above is None or below is None:
            raise NumericalError(f"no curvature could be found around {in_phi.describe(at.theta)}")
        out[:, j] = (below.gradient - above.gradient) / (2.0 * steps[j])
        progress(in_phi.evaluations, None, "curvature of the likelihood")
    out[~moving] = 0.0
    return 0.5 * (out + out.T)


def _polished(
    in_phi: InCoordinates, at: LaplacePoint, hessian: Vector, moving: NDArray[np.bool_], scale: Vector
) -> tuple[LaplacePoint, Vector, NDArray[np.bool_]]:
    """The maximum to full precision by Newton steps, the inverse of its curvature, and which coordinates have one."""
    covariance = np.full_like(hessian, np.nan)
    moving = moving & (np.diag(hessian) * scale**2 > FLAT)
    kept = np.ix_(moving, moving)
    try:
        root = np.linalg.cholesky(hessian[kept])
    except np.linalg.LinAlgError:
        return at, covariance, moving
    inverse = np.linalg.inv(root)
    covariance[kept] = inverse.T @ inverse
    before, least = at, np.inf
    for _ in range(5):
        step = np.zeros(scale.size)
        step[moving] = covariance[kept] @ at.gradient[moving]
        gain, rounding = float(step @ at.gradient), max(1.0, abs(at.log_posterior))
        if gain < 1e-14 * rounding:
            break
        if gain > least and least < LITTLE:
            return before, covariance, moving  # slopes of rounding error, as a precision is all but singular
        before, least = at, gain
        trial = attempt(in_phi, at, step)
        if trial is None or trial.log_posterior < at.log_posterior - NO_WORSE * rounding:
            if gain < max(LITTLE, at.rounding):
                break  # a ridge so level and bent that a Newton step leaves it, or so flat that values are rounding
            trial = _shorter(in_phi, at, step)
        if trial is None and gain < ROUNDINGS * _rounding(in_phi, at, step):
            break
        if trial is None:
            raise NumericalError(
                f"the search for the maximum of the likelihood did not converge: it ended at "
                f"{in_phi.describe(at.theta)} with {gain:.2g} to gain"
            )
        at = trial
    return at, covariance, moving


def _shorter(in_phi: InCoordinates, at: LaplacePoint, step: Vector) -> LaplacePoint | None:
    """Where a part of a step leads higher, which leaves a bent ridge as a whole; None where none does."""
    for length in (0.5, 0.2, 0.05):
        trial = attempt(in_phi, at, length * step)
        if trial is not None and trial.log_posterior > at.log_posterior:
            return trial
    return None


def _rounding(in_phi: InCoordinates, at: LaplacePoint, step: Vector) -> float:
    """By how much the log likelihood changes next to a place, where its slope is next to nothing."""
    near = attempt(in_phi, at, 1e-3 * step)
    return 0.0 if near is None else abs(near.log_posterior - at.log_posterior)


def _maximum(
    likelihood: Likelihood,
    coordinates: Coordinates,
    at: LaplacePoint,
    covariance: Vector,
    ends: tuple[NDArray[np.int_], NDArray[np.bool_], NDArray[np.bool_]],
) -> Maximum:
    """The maximum in the terms of the model that was given; `ends` are edges, idle thetas, and flat coordinates."""
    edges, idle, flat = ends
    d, psi = edges.size, coordinates.psi(at.theta)
    point = likelihood.at(psi, at.x, False)
    fixed, x = likelihood.fixed_at(point), likelihood.latent(psi, point.x)
    slope = coordinates.jacobian(at.theta)  # of psi, and below of theta, in phi
    if isinstance(likelihood, Joint):
        of_fixed = slope[d:, d:] @ covariance[d:, d:] @ slope[d:, d:].T
        x = np.concatenate([x, fixed])
    else:
        of_fixed = likelihood.fixed_covariance(point)
    for e in likelihood.effects:
        slope[e.where, e.where] = e.factor.jacobian(psi[e.where])
    unknown = idle | (np.abs(slope[:d]) @ flat > 0)
    of_theta = np.full((d, d), np.nan)
    known = np.flatnonzero(~np.isnan(np.diag(covariance)))
    if known.size:
        inner = np.flatnonzero((edges == 0) & ~unknown)
        own = slope[np.ix_(inner, known)]
        of_theta[np.ix_(inner, inner)] = own @ covariance[np.ix_(known, known)] @ own.T
    return Maximum(
        likelihood.theta_of(psi), fixed, at.log_posterior, of_theta, of_fixed, edges, unknown, x,
        isinstance(likelihood, Joint), likelihood.evaluations, likelihood.factorisations,
    )  # fmt: skip
