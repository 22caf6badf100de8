"""What the uncertainty of estimated hyperparameters adds to that of predictions, by the delta method.

An estimate T of a sum over a map is a function of the hyperparameters and fixed effects psi, and of the random effects
u, whose mode follows psi. Its variance has two parts (Kass & Steffey 1989, J. Am. Stat. Assoc. 84, 717-726, and as TMB
reports it: Kristensen et al. 2016, J. Stat. Soft. 70(5), section 2): that of u given psi, and that of psi times what T
moves with it. `geospde.likelihood.likelihoods.Estimated` has the first, and of the second what is of the fixed effects.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import NumericalError
from geospde.inference.laplace import Laplace, LaplacePoint
from geospde.likelihood.likelihoods import Estimated, Joint, Unpriored
from geospde.likelihood.search import Maximum
from geospde.linalg.constrained import FollowingFactor

Vector = NDArray[np.float64]
STEP = 1e-2
"""Standard errors to each side, of differences."""
WIDE = 3.0
"""Standard error of a logarithm or logit beyond which it says nothing: within a factor of 400 to each side."""


@dataclass(frozen=True)
class Spread:
    """The hyperparameters' uncertainty, as independent directions of one standard error each.

    Attributes
    ----------
    theta : (d, k) array
        The free hyperparameters along each.
    latent : (n, k) array
        What the latent vector moves.
    counted : (n, k) array
        What of that the covariance of the fixed effects holds, where it is from the curvature of all parameters.
    """

    theta: Vector
    latent: Vector
    counted: Vector

    @classmethod
    def of(cls, laplace: Estimated, point: LaplacePoint, maximum: Maximum) -> Spread | None:
        """About an estimate; None where the latent vector has no slope there.

        Hyperparameters at an end have no standard error, and add nothing; nor do those that are next to one, of which
        the likelihood says too little for a parabola.
        """
        root = _root(maximum.covariance)
        factor = laplace.factor_again(point).factor
        try:
            if isinstance(factor, FollowingFactor):
                alone, moved = _of_joint(laplace, point, maximum, root)
                counted = factor.following(moved)
                return cls(root, alone + counted, counted)
            slope = Laplace(laplace.model, basis=maximum.coordinates[0]).at(point.theta, point.mean).slope
        except (NumericalError, np.linalg.LinAlgError):
            return None
        return cls(root, slope @ root, np.zeros((laplace.n, root.shape[1])))

    def variances(self, rows: sp.csr_matrix, own: Vector | float = 0.0) -> Vector:
        """What is added to the variances of ``rows @ x``, (r,).

        Parameters
        ----------
        rows : (r, n) csr_matrix
        own : (r, k) array
            What they move besides along each direction, not by way of x.
        """
        moved = rows @ self.latent + own
        return np.asarray((moved**2).sum(axis=1) - ((rows @ self.counted) ** 2).sum(axis=1))


def _root(covariance: Vector) -> Vector:
    """R of the covariance R R' of those whose estimates mean something, given the others, (d, k)."""
    sizes = np.sqrt(np.diag(covariance))
    known, wide = np.flatnonzero(sizes <= WIDE), np.flatnonzero(sizes > WIDE)
    own = covariance[np.ix_(known, known)]
    if wide.size:
        across = covariance[np.ix_(wide, known)]
        own = own - across.T @ np.linalg.solve(covariance[np.ix_(wide, wide)], across)
    values, vectors = np.linalg.eigh(own)
    root = np.zeros((len(sizes), known.size))
    root[known] = vectors * np.sqrt(np.maximum(values, 0.0))
    return root


def _of_joint(laplace: Estimated, point: LaplacePoint, maximum: Maximum, root: Vector) -> tuple[Vector, Vector]:
    """What random effects move by themselves as the hyperparameters do, and what the fixed effects, (n, k) each.

    The latter is M = F⁻¹ G, of second differences G of the log likelihood and the curvature F of the fixed effects
    given the hyperparameters, where C = F⁻¹ + M M' is their covariance: with C = L L' and A = L' G, M = L A S with
    S = I - S² A'A.
    """
    basis, covariance = maximum.coordinates
    assert isinstance(laplace.model, Unpriored)
    joint = Joint(replace(laplace.model, design=basis.rows(laplace.model.design)))
    beta, first = basis.inside(point.mean)[basis.first :], basis.first
    alone, moved, slopes = np.zeros((laplace.n, len(root.T))), np.zeros((laplace.n, len(root.T))), []
    for k, step in enumerate(STEP * root.T):
        ends, start = [], None
        for sign in (1.0, -1.0):
            psi = np.concatenate([joint.psi_of(point.theta + sign * step), beta])
            there = joint.at(psi, start)
            start = there.x
            ends.append((joint.latent(psi, there.x), there.gradient[-beta.size :]))
        alone[:first, k] = (ends[0][0] - ends[1][0]) / (2 * STEP)
        slopes.append((ends[0][1] - ends[1][1]) / (2 * STEP))
    if slopes:
        lower = np.linalg.cholesky(covariance)
        of_whitened = lower.T @ np.column_stack(slopes)
        squares, vectors = np.linalg.eigh(of_whitened.T @ of_whitened)
        shrink = 2.0 / (1.0 + np.sqrt(1.0 + 4.0 * np.maximum(squares, 0.0)))
        moved[first:] = lower @ (of_whitened @ (vectors * shrink) @ vectors.T)
    return alone, basis.outside(moved)
