"""The outer step: mode and curvature of log p(theta | y), and integration over theta.

The gradient is exact, so the mode takes about ten evaluations and the curvature two a hyperparameter. The
integration is a product Gauss-Hermite rule on axes standardised by the curvature, each point reweighted by the
true log posterior; where the points themselves say that the axes were wrong, the axes are moved and the rule is
laid again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

import numpy as np
from numpy.typing import NDArray

from geospde.errors import NumericalError
from geospde.inference.correction import variational_mean
from geospde.inference.laplace import Laplace, LaplacePoint
from geospde.inference.threads import one_blas_thread, side_by_side

Vector = NDArray[np.float64]
Progress = Callable[[int, int | None, str], None]


def silent(done: int, total: int | None, message: str) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class HyperPosterior:
    """p(theta | y): a Gaussian in standardised axes times the exponential of an interpolated residual.

    ``theta = centre + root @ z``; the residual ``log p + z'z/2`` is interpolated through the points of the product
    rule and continued linearly beyond them.

    Attributes
    ----------
    centre : (d,) array
    root : (d, d) array
    nodes : (k,) array
        Nodes of the rule on each axis; empty for the Gaussian alone.
    residual : (k, ..., k) array
        Residual at the product of the nodes, up to a constant.
    """

    centre: Vector
    root: Vector
    nodes: Vector
    residual: Vector

    @property
    def dimension(self) -> int:
        """Number of hyperparameters."""
        return self.centre.size

    def residual_at(self, z: Vector) -> Vector:
        """Interpolated residual at z, (..., d)."""
        if self.nodes.size == 0:
            return np.zeros(z.shape[:-1])
        values = self.residual[None, ...] if z.ndim == 1 else np.broadcast_to(
            self.residual, (z.reshape(-1, self.dimension).shape[0], *self.residual.shape)
        )
        flat = z.reshape(-1, self.dimension)
        for axis in range(self.dimension):
            weights = _lagrange(self.nodes, flat[:, axis])
            values = np.einsum("pk,pk...->p...", weights, values)
        return values.reshape(z.shape[:-1])

    def along(self, direction: Vector, size: int = 241, reach: float = 6.0) -> tuple[Vector, Vector]:
        """Density of the linear functional ``direction @ theta``.

        Returns
        -------
        values, density : (size,) arrays
            Density on an even grid, normalised there.
        """
        direction = np.asarray(direction, dtype=float)
        projected = self.root.T @ direction
        scale = float(np.linalg.norm(projected))
        t = np.linspace(-reach, reach, size)
        axes = np.linalg.qr(np.column_stack([projected / scale, np.eye(self.dimension)]))[0]
        if axes[:, 0] @ projected < 0:
            axes[:, 0] *= -1
        nodes, weights = np.polynomial.hermite_e.hermegauss(21 if self.dimension < 4 else 9)
        log_density = np.full(size, -np.inf)
        for others in product(range(nodes.size), repeat=self.dimension - 1):
            s = nodes[list(others)]
            z = np.column_stack([t, np.broadcast_to(s, (size, s.size))]) @ axes.T
            log_density = np.logaddexp(
                log_density, self.residual_at(z) + float(np.log(weights[list(others)]).sum())
            )
        log_density -= 0.5 * t**2
        density = np.exp(log_density - log_density.max())
        values = float(direction @ self.centre) + scale * t
        return values, density / np.trapezoid(density, values)


def _lagrange(nodes: Vector, z: Vector) -> Vector:
    """Interpolation weights at z, (points, nodes): Lagrange within the nodes, linear beyond the outer ones."""

    def inside(u: Vector) -> Vector:
        weights = np.ones((u.size, nodes.size))
        for k, node in enumerate(nodes):
            for j, other in enumerate(nodes):
                if j != k:
                    weights[:, k] *= (u - other) / (node - other)
        return weights

    clipped = np.clip(z, nodes[0], nodes[-1])
    step = 1e-3 * np.sign(clipped - nodes.mean())
    slope = (inside(clipped) - inside(clipped - step)) / np.where(step == 0, 1.0, step)[:, None]
    return inside(clipped) + slope * (z - clipped)[:, None]


@dataclass(frozen=True)
class Posterior:
    """The joint posterior as a mixture over theta points.

    Attributes
    ----------
    points : list of LaplacePoint
    weights : (k,) array
        Posterior probability of each point, summing to one.
    log_marginal_likelihood : float
    hyper : HyperPosterior or None
        None without hyperparameters.
    mode : LaplacePoint
    """

    points: Sequence[LaplacePoint]
    weights: Vector
    log_marginal_likelihood: float
    hyper: HyperPosterior | None
    mode: LaplacePoint

    @property
    def means(self) -> Vector:
        """Means of the latent vector at each point, (k, n)."""
        return np.array([p.mean for p in self.points])

    @property
    def covariances(self) -> Vector:
        """Selected covariances at each point, on the pattern of H, (k, nnz)."""
        return np.array([p.covariance for p in self.points])


def find_mode(
    laplace: Laplace, start: Vector, progress: Progress = silent, max_evaluations: int = 100
) -> tuple[LaplacePoint, Vector]:
    """Maximise log p(theta | y) in a trust region, with exact gradients and a symmetric rank-one curvature.

    Every evaluation, accepted or not, tells its gradient to the curvature. Each starts Newton from the latent mode
    extrapolated along dx*/dtheta.

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
    point = laplace.at(start)
    curvature = np.eye(laplace.n_theta) * max(1.0, float(np.linalg.norm(point.gradient)))
    radius = 1.0
    for _ in range(max_evaluations):
        values, vectors = np.linalg.eigh(curvature)
        convex = values.min() > 1e-3
        if convex and float(((vectors.T @ point.gradient) ** 2 / values).sum()) < 1e-6:
            return point, (vectors / values) @ vectors.T
        step = _step_within(values, vectors, point.gradient, radius)
        expected = float(point.gradient @ step - 0.5 * step @ curvature @ step)
        trial = _try(laplace, point, step)
        progress(laplace.evaluations, None, "mode of the hyperparameters")
        length = float(np.linalg.norm(step))
        if trial is None:
            radius = 0.25 * length
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
            return point, np.asarray(np.linalg.inv(curvature if convex else np.eye(laplace.n_theta)))
    raise NumericalError(
        f"the search for the hyperparameters' mode did not converge in {max_evaluations} evaluations; "
        f"it ended at {laplace.describe(point.theta)} with gradient {np.array2string(point.gradient, precision=3)}"
    )


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


def _try(laplace: Laplace, near: LaplacePoint, step: Vector) -> LaplacePoint | None:
    """The Laplace point a step away, or None where there is none."""
    try:
        return laplace.at(near.theta + step, near.x + near.slope @ step)
    except NumericalError:
        return None


def curvature_root(laplace: Laplace, mode: LaplacePoint, guess: Vector, progress: Progress = silent) -> Vector:
    """Root R of the inverse negative Hessian at the mode: central differences of exact gradients.

    The steps are half a standard deviation along the axes of the guess: long enough to average out what a
    product rule over two or three standard deviations does not see, short enough to stay in the bulk.
    """
    eigenvalues, vectors = np.linalg.eigh(guess)
    axes = vectors * np.sqrt(np.clip(eigenvalues, 1e-6, 4.0))
    hessian = np.empty_like(axes)
    for j in range(axes.shape[1]):
        ends = [_try(laplace, mode, s * axes[:, j]) for s in (-0.5, 0.5)]
        progress(laplace.evaluations, None, "curvature of the hyperparameters")
        differences = [
            (end.gradient - mode.gradient) / s for end, s in zip(ends, (-0.5, 0.5)) if end is not None
        ]
        if not differences:
            raise NumericalError(f"no curvature could be found around {laplace.describe(mode.theta)}")
        hessian[:, j] = axes.T @ np.mean(differences, axis=0)
    hessian = -0.5 * (hessian + hessian.T)
    eigenvalues, vectors = np.linalg.eigh(hessian)
    # a direction that the data leave flat keeps the scale of the guess
    eigenvalues = np.where(eigenvalues > 1e-3, eigenvalues, 1.0)
    return axes @ (vectors / np.sqrt(eigenvalues))


def _finished(laplace: Laplace, point: LaplacePoint, corrected: bool) -> LaplacePoint:
    """The point as it is kept: its mean corrected while the factor is there, the factor dropped."""
    mean = variational_mean(laplace, point) if corrected else point.x
    return replace(point, mean=mean, factor=None, constraint_solve=None)


def _point(laplace: Laplace, mode: LaplacePoint, corrected: bool, theta: Vector) -> LaplacePoint | None:
    """A finished integration point, or None where there is none."""
    point = _try(laplace, mode, theta - mode.theta)
    return None if point is None else _finished(laplace, point, corrected)


def integrate(
    laplace: Laplace,
    mode: LaplacePoint,
    root: Vector,
    points: int | None = None,
    corrected: bool = True,
    progress: Progress = silent,
) -> Posterior:
    """Product Gauss-Hermite over theta, reweighted by the true log posterior.

    Parameters
    ----------
    laplace : Laplace
    mode : LaplacePoint
    root : (d, d) array
        ``theta = centre + root z`` standardises the posterior.
    points : int, optional
        Nodes on each axis; by default 5 on one axis, 4 on two, 3 on three and more.
    corrected : bool
        Whether the latent means are corrected variationally.
    """
    d = mode.theta.size
    points = points or {1: 5, 2: 4}.get(d, 3)
    nodes, weights = np.polynomial.hermite_e.hermegauss(points)
    log_weights = np.log(weights)  # sums to log sqrt(2 pi)
    combos = list(product(range(points), repeat=d))
    centre = mode.theta
    for attempt in range(4):
        thetas = [centre + root @ nodes[list(combo)] for combo in combos]
        found: list[LaplacePoint | None] = []
        for point in side_by_side(partial(_point, laplace, mode, corrected), thetas, laplace.n):
            found.append(point)
            progress(len(found), len(combos), "integration over the hyperparameters")
        z = np.array([nodes[list(c)] for c in combos])
        log_values = np.array([-np.inf if p is None else p.log_posterior for p in found])
        residual = log_values + 0.5 * (z**2).sum(axis=1)
        total = residual + np.array([log_weights[list(c)].sum() for c in combos])
        top = total.max()
        w = np.exp(total - top)
        evidence = top + np.log(w.sum()) + float(np.linalg.slogdet(root)[1])
        w /= w.sum()
        mean = w @ z
        spread = (z - mean).T @ (w[:, None] * (z - mean))
        scales, turn = np.linalg.eigh(spread)
        # the rule is trusted where the points agree with the axes they were laid on
        fits = np.abs(mean).max() < 0.5 and 0.6 < np.sqrt(scales.min()) and np.sqrt(scales.max()) < 1.35
        if fits or attempt == 3:
            break
        centre = centre + root @ mean
        root = root @ (turn * np.sqrt(np.clip(scales, 0.25, 4.0)))
    finite = np.where(np.isfinite(residual), residual, residual[np.isfinite(residual)].min() - 10.0)
    hyper = HyperPosterior(centre, root, nodes, (finite - finite.max()).reshape((points,) * d))
    kept = [(p, wk) for p, wk in zip(found, w) if p is not None and wk > 1e-12]
    chosen = np.array([wk for _, wk in kept])
    mode = replace(mode, factor=None, constraint_solve=None)
    return Posterior([p for p, _ in kept], chosen / chosen.sum(), float(evidence), hyper, mode)


def posterior(
    laplace: Laplace,
    start: Vector,
    method: str = "inla",
    points: int | None = None,
    corrected: bool = True,
    progress: Progress = silent,
) -> Posterior:
    """Posterior of a latent Gaussian model.

    Parameters
    ----------
    laplace : Laplace
    start : (d,) array
        Where the search for the mode of theta starts.
    method : {"inla", "eb"}
        Integrate over theta, or stay at its mode (empirical Bayes).
    points : int, optional
        Nodes on each axis of theta.
    corrected : bool
        Whether the latent means are corrected variationally.
    """
    with one_blas_thread():
        return _posterior(laplace, start, method, points, corrected, progress)


def _posterior(
    laplace: Laplace, start: Vector, method: str, points: int | None, corrected: bool, progress: Progress
) -> Posterior:
    if laplace.n_theta == 0:
        only = laplace.at(np.zeros(0))
        only = _finished(laplace, only, corrected)
        return Posterior([only], np.ones(1), only.log_posterior, None, only)
    mode, guess = find_mode(laplace, start, progress)
    root = curvature_root(laplace, mode, guess, progress)
    if method == "eb":
        d = mode.theta.size
        evidence = mode.log_posterior + 0.5 * d * np.log(2 * np.pi) + float(np.linalg.slogdet(root)[1])
        gaussian = HyperPosterior(mode.theta, root, np.zeros(0), np.zeros(0))
        mode = _finished(laplace, mode, corrected)
        return Posterior([mode], np.ones(1), float(evidence), gaussian, mode)
    return integrate(laplace, mode, root, points, corrected, progress)
