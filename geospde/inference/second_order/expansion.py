"""Cubic and quartic terms of a log density at a point."""

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.inference.laplace import Laplace, LaplacePoint

Vector = NDArray[np.float64]

STEP_OF_PAIRS = 1e-3  # of differences in predictors of a pair: second ones lose 1e-10, and err by 1e-6 of the sixth
ALONG = (1.0, -1.0, 2.0)  # of a pair's second predictor, added to its first: rows that say a cubic and a quartic


class Expansion(NamedTuple):
    """Cubic and quartic terms of a log density: sums of powers of rows of the latent vector.

    The rows are the predictors; of a pair, whose density depends on both, u and v, also u + v, u - v and u + 2 v, which
    say any cubic and quartic of two.

    Attributes
    ----------
    rows : (r, n) csr_matrix
    third, fourth : (r,) arrays
        Derivatives along them, less what other rows of a pair have.
    variances : (r,) array
    cubes : (r,) array
        Sums over the rows of the same observation of third derivatives and their covariances cubed.
    observation : (r,) array of int or None
        Which each row is of; None where each is one.
    """

    rows: sp.csr_matrix
    third: Vector
    fourth: Vector
    variances: Vector
    cubes: Vector
    observation: NDArray[np.intp] | None

    @classmethod
    def at(cls, laplace: Laplace, point: LaplacePoint) -> "Expansion":
        """At a point."""
        likelihood, design, h = laplace.likelihood_at(point.theta), laplace.design, point.eta_variance
        if laplace.pairs is None:
            third, fourth = derivatives_beyond(likelihood, point.eta)
            return cls(design, third, fourth, h, third * h * h * h, None)
        m, (i, j) = h.size, laplace.pairs.T
        combined = [design[i] + times * design[j] for times in ALONG]
        observation = np.arange(m)
        observation[i] = j
        observation = np.concatenate([observation, *[j] * len(ALONG)])
        axes = laplace.axes(laplace.variances(point.covariance))
        a, b = (np.concatenate([each, *(each[i] + times * each[j] for times in ALONG)]) for each in axes)
        third, fourth = of_pairs(likelihood, point.eta)
        cubes = np.zeros_like(a)
        for k, times in enumerate((1, 3, 3, 1)):  # of (a a' + b b')³
            part = a**k * b ** (3 - k)
            cubes += times * part * np.bincount(observation, third * part)[observation]
        rows = sp.csr_matrix(sp.vstack([design, *combined], format="csr"))
        return cls(rows, third, fourth, a**2 + b**2, cubes, observation)


def of_pairs(likelihood: Any, eta: Vector) -> tuple[Vector, Vector]:
    """Third and fourth derivatives of an `Expansion`, by central differences of the second."""
    m, (i, j) = eta.size, likelihood.pairs.T

    def bends(u: float, v: float) -> Vector:
        """Second derivatives of each pair a step away: in u twice, in both, in v twice."""
        there = eta.copy()
        there[i] += u
        there[j] += v
        second = likelihood.derivatives(there)[1]
        return np.array([second[i] + second[m:], second[m:], second[j] + second[m:]])

    s = STEP_OF_PAIRS
    here, of_u, of_v = bends(0, 0), [bends(s, 0), bends(-s, 0)], [bends(0, s), bends(0, -s)]
    in_u, in_v = ((near - far) / (2 * s) for near, far in (of_u, of_v))
    twice_u, twice_v = ((near - 2 * here + far) / s**2 for near, far in (of_u, of_v))
    third, fourth = derivatives_beyond(likelihood, eta)
    both, apart = (in_u[1] + in_v[1]) / 2, (in_v[1] - in_u[1]) / 2
    third[i], third[j] = in_u[0] - both - apart, in_v[2] - both + apart
    third = np.concatenate([third, both, apart, np.zeros(i.size)])
    beyond = (twice_v[1] - twice_u[1]) / 6
    both, apart = ((twice_u[2] - 4 * beyond + sign * (twice_u[1] - 2 * beyond)) / 2 for sign in (1, -1))
    fourth[i] = twice_u[0] - both - apart - beyond
    fourth[j] = twice_v[2] - both - apart - 16 * beyond
    return third, np.concatenate([fourth, both, apart, beyond])


def derivatives_beyond(likelihood: Any, eta: Vector) -> tuple[Vector, Vector]:
    """Third and fourth derivative of the log density; the fourth by central differences of the third."""
    _, second, third = likelihood.derivatives(eta)
    # predictors in a unit are stepped along by the width of their likelihoods
    step = 1e-3 if likelihood.unit is None else 1e-3 / np.sqrt(np.abs(second).max(initial=np.finfo(float).tiny))
    fourth = (likelihood.derivatives(eta + step)[2] - likelihood.derivatives(eta - step)[2]) / (2 * step)
    return third, fourth
