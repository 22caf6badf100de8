"""Maximum likelihood: the search, the edges of the parameter space, and the curvature at the maximum."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geospde.errors import NumericalError
from geospde.inference.coordinates import Coordinates
from geospde.inference.laplace import LaplacePoint
from geospde.inference.likelihoods import Joint, Profiled, Restricted, Unpriored
from geospde.inference.mode import Progress, attempt, find_mode, silent

Vector = NDArray[np.float64]
Likelihood = Restricted | Joint

NO_WORSE = 1e-8  # log likelihood that an edge may cost: what rounding leaves of a difference of zero
FLAT = 1e-6  # curvature in a logarithm or Fisher z below which the data say nothing
STEP = 1e-3  # of the differences of gradients, in logarithms or in standard errors: they err by its square


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


class InCoordinates:
    """A likelihood as a function of coordinates."""

    def __init__(self, likelihood: Any, coordinates: Coordinates):
        self._likelihood = likelihood
        self._coordinates = coordinates
        self.n_theta = coordinates.start().size

    @property
    def evaluations(self) -> int:
        """Of the likelihood."""
        return int(self._likelihood.evaluations)

    def at(self, theta: Vector, start: Vector | None = None, gradient: bool = True) -> LaplacePoint:
        """The likelihood and its gradient at coordinates."""
        point = self._likelihood.at(self._coordinates.psi(theta), start, gradient)
        jacobian = self._coordinates.jacobian(theta)
        return replace(point, theta=theta, gradient=point.gradient @ jacobian, slope=point.slope @ jacobian)

    def describe(self, theta: Vector) -> str:
        """Coordinates in the user's words."""
        return str(self._likelihood.describe(self._coordinates.psi(theta)))


def maximum_likelihood(
    model: Unpriored,
    start: Vector,
    restricted: bool = False,
    make: Callable[[Unpriored], Joint] = Joint,
    progress: Progress = silent,
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
        Makes the likelihood of theta and the fixed effects of a response that is not Gaussian: `Joint` by Laplace, or
        by quadrature.
    progress : callable
        Told of every evaluation.

    Raises
    ------
    NumericalError
        Where none is found; it names the parameters.
    """
    if restricted or model.is_gaussian:
        inside = Restricted(model) if restricted else Profiled(model)
        return climb(inside, Coordinates(model.terms, model.held, start), progress=progress)
    # the restricted likelihood leads near, at the cost of a search in theta alone
    near = Restricted(model)
    coordinates = Coordinates(model.terms, model.held, start)
    phi, guess = coordinates.start(), np.zeros((0, 0))
    point = near.at(start)
    if start.size:
        found, guess = find_mode(InCoordinates(near, coordinates), phi, progress, tolerance=1e-4, least=-1e-3)
        phi, point = found.theta, replace(found, theta=coordinates.psi(found.theta))
    fixed, spread = near.fixed_at(point), near.fixed_covariance(point)
    coordinates = Coordinates(model.terms, model.held, start, fixed, spread)
    curvature = np.eye(phi.size + fixed.size)
    curvature[: phi.size, : phi.size] = np.linalg.inv(guess)
    likelihood = make(model)
    begin = np.concatenate([phi, np.zeros(fixed.size)])
    best = climb(likelihood, coordinates, begin, curvature, progress)
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
    progress: Progress = silent,
) -> Maximum:
    """Maximise a likelihood from these coordinates."""
    phi = coordinates.start() if begin is None else begin
    in_phi = InCoordinates(likelihood, coordinates)
    at = in_phi.at(phi)
    d = coordinates.n_theta
    edges = np.zeros(d, dtype=int)
    if phi.size:
        at, _ = find_mode(in_phi, phi, progress, tolerance=1e-8, least=-1e-3, curvature=curvature)
        for edge in coordinates.edges(at.theta):
            step = np.zeros(phi.size)
            step[list(edge.coordinates)] = -at.theta[list(edge.coordinates)]
            there = attempt(in_phi, at, step)
            if there is not None and there.log_posterior > at.log_posterior - NO_WORSE:
                at, edges[edge.theta] = there, edge.sign
    psi = coordinates.psi(at.theta)
    point = likelihood.at(psi, at.x)
    steps = np.full(psi.size, STEP)
    if likelihood.n_outer:
        steps[d:] *= np.sqrt(np.diag(coordinates.jacobian(at.theta)[d:, d:] @ coordinates.jacobian(at.theta)[d:, d:].T))
    point, covariance, flat = _polished(likelihood, point, edges, steps, progress)
    return _maximum(likelihood, point, covariance, edges, flat[:d])


def _polished(
    likelihood: Likelihood, point: LaplacePoint, edges: NDArray[np.int_], steps: Vector, progress: Progress
) -> tuple[LaplacePoint, Vector, NDArray[np.bool_]]:
    """The maximum to full precision by Newton steps, the covariance by the curvature there, and what is flat."""
    size = point.theta.size
    moving = np.ones(size, dtype=bool)
    moving[: edges.size] = edges == 0
    covariance = np.full((size, size), np.nan)
    flat = np.zeros(size, dtype=bool)
    if not moving.any():
        return point, covariance, flat
    hessian = np.zeros((size, size))
    for j in np.flatnonzero(moving).tolist():
        hessian[:, j] = -_derivative_of_gradient(likelihood, point, j, steps[j])
        progress(likelihood.evaluations, None, "curvature of the likelihood")
    hessian = 0.5 * (hessian + hessian.T)
    scaled = np.diag(hessian) * (steps / STEP) ** 2
    flat = moving & (np.abs(scaled) < FLAT)
    moving &= ~flat
    kept = np.ix_(moving, moving)
    try:
        root = np.linalg.cholesky(hessian[kept])
    except np.linalg.LinAlgError:
        return point, covariance, flat
    inverse = np.linalg.inv(root)
    covariance[kept] = inverse.T @ inverse
    for _ in range(5):
        step = np.zeros(size)
        step[moving] = covariance[kept] @ point.gradient[moving]
        gain = float(step @ point.gradient)
        if gain < 1e-14 * max(1.0, abs(point.log_posterior)):
            break
        trial = attempt(likelihood, point, step)
        if trial is None or trial.log_posterior < point.log_posterior - 1e-9 * max(1.0, abs(point.log_posterior)):
            raise NumericalError(
                f"the search for the maximum of the likelihood did not converge: it ended at "
                f"{likelihood.describe(point.theta)} with {gain:.2g} to gain"
            )
        point = trial
    return point, covariance, flat


def _derivative_of_gradient(likelihood: Likelihood, point: LaplacePoint, j: int, step: float) -> Vector:
    """Derivative of the gradient in one parameter, by a central difference."""
    move = np.zeros(point.theta.size)
    move[j] = step
    above, below = attempt(likelihood, point, move), attempt(likelihood, point, -move)
    if above is None or below is None:
        raise NumericalError(f"no curvature could be found around {likelihood.describe(point.theta)}")
    return (above.gradient - below.gradient) / (2.0 * step)


def _maximum(
    likelihood: Likelihood, point: LaplacePoint, covariance: Vector, edges: NDArray[np.int_], flat: NDArray[np.bool_]
) -> Maximum:
    d = edges.size
    fixed = likelihood.fixed_at(point)
    if isinstance(likelihood, Joint):
        of_fixed, x = covariance[d:, d:], np.concatenate([point.x, fixed])
    else:
        of_fixed, x = likelihood.fixed_covariance(point), point.x
    return Maximum(
        point.theta[:d], fixed, point.log_posterior, covariance[:d, :d], of_fixed, edges, flat, x,
        isinstance(likelihood, Joint), likelihood.evaluations, likelihood.factorisations,
    )  # fmt: skip
