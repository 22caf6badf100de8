"""Correlated effects of a group's levels: random intercepts and slopes."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.families.priors import LKJ, Independent, PCSd, Prior
from geospde.terms.precisions.base import Precision

Vector = NDArray[np.float64]
LEAST_LEFT = 1e-3  # of an effect's sd, given those before it: an sd moves by its square, a precision keeps its digits


class Correlated(Precision):
    """Independent levels, each with q Gaussian effects of one unstructured covariance.

    Theta is ``(log sd_1, ..., log sd_q, z_12, z_13, z_23, ...)``, where tanh(z) are canonical partial correlations, of
    each effect with every one before it given those further before (Lewandowski, Kurowicka & Joe 2009, J. Multivar.
    Anal. 100, 1989-2001): every theta gives a covariance that is positive definite.

    Parameters
    ----------
    levels : int
        Number of levels; the latent vector holds the q effects of the first level, then of the second, and so on.
    effects : int
        q, at least 2.
    prior : Prior, optional
        Density on theta; by default PC with P(sd > 1) = 0.05 for each sd and LKJ(1), uniform, for the correlations.
    label : str
        Name in tables.
    """

    def __init__(self, levels: int, effects: int, prior: Prior | None = None, label: str = "group"):
        self.levels, self.effects = levels, effects
        self.n = levels * effects
        self.label = label
        # later rows after earlier ones: (0, 1), (0, 2), (1, 2), (0, 3), ...
        self.pairs = [(j, i) for i in range(effects) for j in range(i)]
        self.parameters = tuple(f"sd{i + 1}" for i in range(effects)) + tuple(f"r{j + 1}{i + 1}" for j, i in self.pairs)
        own = [PCSd(1.0, 0.05)] * effects + [LKJ(1.0, effects, j) for j, _ in self.pairs]
        self.prior = prior or Independent(tuple(own))
        block = np.tril(np.ones((effects, effects)))
        self.pattern = sp.kron(sp.identity(levels), block, format="csc")
        self.pattern.sort_indices()
        # entries of a block in the order of the pattern: by columns
        self._rows, self._columns = np.nonzero(block.T)[::-1]

    def user(self, theta: Vector) -> Vector:
        """Standard deviations and partial correlations."""
        return np.concatenate([np.exp(theta[: self.effects]), np.tanh(theta[self.effects :])])

    def root(self, theta: Vector) -> Vector:
        """Lower Cholesky factor of the covariance of a level's effects, (q, q)."""
        return np.exp(theta[: self.effects])[:, None] * self._correlation_root(theta)

    def covariance(self, theta: Vector) -> Vector:
        """Covariance of a level's effects, (q, q)."""
        root = self.root(theta)
        return root @ root.T

    def correlations(self, theta: Vector) -> Vector:
        """Correlation matrix of a level's effects, (..., q, q) for thetas along the last axis."""
        root = self._correlation_root(theta)
        return root @ root.swapaxes(-1, -2)

    def _correlation_root(self, theta: Vector) -> Vector:
        root = np.broadcast_to(np.eye(self.effects), (*theta.shape[:-1], self.effects, self.effects)).copy()
        left = np.ones((*theta.shape[:-1], self.effects))  # what the effects before leave of each one's length
        for k, (j, i) in enumerate(self.pairs, start=self.effects):
            root[..., i, j] = np.tanh(theta[..., k]) * left[..., i]
            left[..., i] /= np.cosh(theta[..., k])
            root[..., i, i] = left[..., i]
        return root

    def regular(self, theta: Vector) -> Vector:
        """The nearest theta whose covariance has a precision that keeps its digits, (d,).

        Partial correlations of one have none. Each is drawn back in turn until the effects up to it leave a thousandth
        of the later one's standard deviation.

        Examples
        --------
        >>> term = Correlated(levels=5, effects=3)
        >>> term.regular(np.array([0.0, 0.0, 0.0, -0.5, 14.0, 14.0])).round(1)
        array([ 0. ,  0. ,  0. , -0.5,  7.6,  0. ])
        """
        out, left = theta.copy(), np.ones(self.effects)
        for k, (_, i) in enumerate(self.pairs, start=self.effects):
            furthest = np.arccosh(max(left[i] / LEAST_LEFT, 1.0))
            out[k] = np.clip(theta[k], -furthest, furthest)
            left[i] /= np.cosh(out[k])
        return out

    def values(self, theta: Vector) -> Vector:
        """Lower-triangular entries of Q(theta) on the pattern."""
        inverse = np.linalg.inv(self.root(theta))
        precision = inverse.T @ inverse
        return np.tile(precision[self._rows, self._columns], self.levels)

    def gradients(self, theta: Vector) -> Vector:
        """Derivative of `values` in each theta, a row each."""
        q, sds = self.effects, np.exp(theta[: self.effects])
        correlation_root = self._correlation_root(theta)
        root = sds[:, None] * correlation_root
        inverse = np.linalg.inv(root)
        precision = inverse.T @ inverse
        blocks = []
        for i in range(q):
            slope = np.zeros((q, q))
            slope[i] = root[i]
            blocks.append(slope)
        for (j, i), z in zip(self.pairs, theta[q:]):
            slope = np.zeros((q, q))
            length = correlation_root[i, j] / np.tanh(z) if z else np.sqrt(np.sum(correlation_root[i, j:] ** 2))
            slope[i, j] = sds[i] * length / np.cosh(z) ** 2
            slope[i, j + 1 :] = -np.tanh(z) * root[i, j + 1 :]
            blocks.append(slope)
        out = np.empty((len(blocks), self.n * (q + 1) // 2))
        for k, slope in enumerate(blocks):
            change = slope @ root.T
            of_precision = -precision @ (change + change.T) @ precision
            out[k] = np.tile(of_precision[self._rows, self._columns], self.levels)
        return out

    def log_normaliser(self, theta: Vector, gradient: bool = True) -> tuple[float, Vector]:
        """½ log|Q| and its gradient."""
        slope = np.concatenate([-np.ones(self.effects), np.tanh(theta[self.effects :])])
        log_determinant = -theta[: self.effects].sum() + np.log(np.cosh(theta[self.effects :])).sum()
        return self.levels * float(log_determinant), self.levels * slope
