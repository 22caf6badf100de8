"""Corrections of the Laplace approximation's Gaussians."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geospde.families.gauss_hermite import normal_nodes
from geospde.inference.laplace import Laplace, LaplacePoint

Vector = NDArray[np.float64]

CLOSE = 1e-6  # change of the mean, in sds of a predictor, at which the search ends
CLOSE_PAIRS = 1e-3  # and where each step takes expectations over two predictors
NODES_OF_PAIRS = ((0.5, 3), (1.0, 4), (np.inf, 7))  # of each, up to this sd: an exponential's mean to a thousandth
NEAR = 0.02  # shift up to which the remainder of a cubic expansion is below that
REACH = 0.3  # shift up to which the cubic expansion serves on the way
BATCH = 30_000  # densities computed at once


def variational_mean(laplace: Laplace, point: LaplacePoint, steps: int = 25) -> Vector:
    """Mean of the latent vector, corrected from the mode by a variational argument.

    Among Gaussians with the Laplace covariance, the mean that minimises the Kullback-Leibler divergence to the
    posterior: ``A' E[d/d eta log p(y | eta)] = Q (m - mu)`` with eta ~ N(A m, h). The mode solves the same equation
    without the expectation. Each step is a solve with the factor that is there; the expectation is taken anew only
    where its expansion to third order no longer tells it.

    Under a Gaussian of a predictor that has an end, as that of a gamma family with the identity link, the expectation
    is of no density beyond it, and the divergence infinite: of such responses it is the first term of its expansion,
    ``h d³/d eta³ log p / 2`` at the mode, which gives the posterior mean to the order of the simplified Laplace
    approximation (Rue, Martino & Chopin 2009, section 3.2.3).

    References
    ----------
    van Niekerk & Rue (2024), J. Mach. Learn. Res. 25 (62), 1-26. They correct a low-rank part; here all of it,
    at one solve a step with the factor that is there.
    """
    if laplace.pairs is not None:
        return _mean_of_pairs(laplace, point, steps)
    laplace, point = informed(laplace, point)
    sd = np.sqrt(np.maximum(point.eta_variance, 0.0))
    unit = np.maximum(sd, 1e-12)
    likelihood = laplace.likelihood_at(point.theta)
    modal = point.derivatives[0]
    curvature = -point.derivatives[1]
    bounded, series = _series(likelihood, point)
    shift, moved = np.zeros_like(point.x), np.zeros_like(sd)
    centre = moved
    expected = expected_derivatives(likelihood, point.eta, sd)
    change = np.inf
    for _ in range(steps):
        away = float(np.abs((moved - centre) / unit).max(initial=0.0))
        if away > (NEAR if change < NEAR else REACH):
            centre = moved
            expected = expected_derivatives(likelihood, point.eta + centre, sd)
        elif change < CLOSE:
            break
        if not np.isfinite(expected)[:, ~bounded].all():
            return point.x  # nodes beyond all means: the correction is not a small one
        first, second, third = expected
        step = moved - centre
        # A'(E d1 - d1) - Q shift = 0, with Q = H - A'WA
        right = first + step * (second + 0.5 * step * third) - modal + curvature * moved
        right[bounded] = series
        shift = laplace.solve(point, laplace.design_t @ right)
        last, moved = moved, laplace.design @ shift
        change = float(np.abs((moved - last) / unit).max(initial=0.0))
        if not np.isfinite(change) or change > 3.0:
            return point.x  # the correction is not a small one: leave the mode
    return point.x + shift


def informed(laplace: Laplace, point: LaplacePoint) -> tuple[Laplace, LaplacePoint]:
    """The approximation and a point of the rows that have a weight: what the others would be moves no correction."""
    if laplace.informed is None:
        return laplace, point
    own, rows = laplace.informed
    first, second, third = (each[rows] for each in point.derivatives)
    of_rows = {name: getattr(point, name)[rows] for name in ("eta", "eta_variance")}
    return own, replace(point, **of_rows, derivatives=(first, second, third))


def _mean_of_pairs(laplace: Laplace, point: LaplacePoint, steps: int) -> Vector:
    """The same, where densities depend on two predictors: the expectation is taken anew at each step."""
    axes = laplace.axes(laplace.variances(point.covariance))
    unit = np.maximum(np.hypot(*axes), 1e-12)
    likelihood = laplace.likelihood_at(point.theta)
    modal, second, _ = point.derivatives
    bounded, series = _series(likelihood, point)
    shift, moved = np.zeros_like(point.x), np.zeros_like(unit)
    for _ in range(steps):
        pull = expected_slopes(likelihood, point.eta + moved, axes) - modal
        pull[bounded] = 0.0
        if not np.isfinite(pull).all():
            return point.x
        right = pull - laplace.bent(second, moved[:, None])[:, 0]
        right[bounded] = series
        shift = laplace.solve(point, laplace.design_t @ right)
        last, moved = moved, laplace.design @ shift
        change = float(np.abs((moved - last) / unit).max(initial=0.0))
        if not np.isfinite(change) or change > 3.0:
            return point.x
        if change < CLOSE_PAIRS:
            break
    return point.x + shift


def _series(likelihood: Any, point: LaplacePoint) -> tuple[NDArray[np.bool_], Vector]:
    """Which responses have no expectation beside the mode's, and what the first term of its expansion adds there."""
    bounded = likelihood.bounded
    return bounded, 0.5 * point.eta_variance[bounded] * point.derivatives[2][bounded]


def expected_slopes(likelihood: Any, eta: Vector, axes: tuple[Vector, Vector]) -> Vector:
    """Expectation of the first derivative of the log density, under predictors of mean eta and these `System.axes`."""
    first, second = axes
    if not second.any():
        nodes, weights = normal_nodes(7)
        return np.asarray(sum(w * likelihood.derivatives(eta + first * z)[0] for z, w in zip(nodes, weights)))
    largest = np.hypot(*axes).max(initial=0.0)
    nodes, weights = normal_nodes(next(size for sd, size in NODES_OF_PAIRS if largest <= sd))
    found = np.zeros_like(eta)
    for z, w in zip(nodes, weights):
        for t, v in zip(nodes, weights):
            found += w * v * likelihood.derivatives(eta + first * z + second * t)[0]
    return found


def expected_derivatives(likelihood: Any, eta: Vector, sd: Vector) -> tuple[Vector, Vector, Vector]:
    """Expectations of the first three derivatives of the log density, under predictors of mean eta and this sd."""
    # seven nodes integrate a count's exp(eta) to 1e-9 up to an sd of 0.5, in whatever unit
    nodes, weights = normal_nodes(7 if sd.max(initial=0.0) < 0.5 * (likelihood.unit or 1.0) else 15)
    found = np.empty((3, eta.size))
    batch = max(1, BATCH // nodes.size)
    for a in range(0, eta.size, batch):
        rows = np.arange(a, min(a + batch, eta.size))
        # each row once a node: the rows stay in their order
        at_nodes = likelihood.of_rows(np.repeat(rows, nodes.size))
        places = eta[rows, None] + sd[rows, None] * nodes
        for out, values in zip(found, at_nodes.derivatives(places.ravel())):
            out[rows] = values.reshape(places.shape) @ weights
    return found[0], found[1], found[2]
