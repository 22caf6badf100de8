"""The posterior of the hyperparameters, and the joint posterior as a mixture over points of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from geospde.inference.laplace import LaplacePoint
from geospde.inference.residual import Residual

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class HyperPosterior:
    """p(theta | y): a Gaussian in standardised axes times the exponential of a residual.

    Attributes
    ----------
    centre : (d,) array
    root : (d, d) array
        ``theta = centre + root @ z``.
    residual : Residual
        ``log p + z'z/2``, up to a constant.
    """

    centre: Vector
    root: Vector
    residual: Residual

    @property
    def dimension(self) -> int:
        """Number of hyperparameters."""
        return self.centre.size

    def along(self, direction: Vector, size: int = 241) -> tuple[Vector, Vector]:
        """Density of the linear functional ``direction @ theta``.

        Returns
        -------
        values, density : (size,) arrays
            Density on an even grid, normalised there.
        """
        direction = np.asarray(direction, dtype=float)
        projected = self.root.T @ direction
        scale = float(np.linalg.norm(projected))
        reach = self.residual.reach()
        t = np.linspace(-reach, reach, size)
        # an orthonormal basis that begins with the functional: the other axes are integrated out
        axes = np.linalg.qr(np.column_stack([projected / scale, np.eye(self.dimension)]))[0]
        if axes[:, 0] @ projected < 0:
            axes[:, 0] *= -1
        nodes, log_weights = self._other_axis(reach)
        log_density = np.full(size, -np.inf)
        for others in product(range(nodes.size), repeat=self.dimension - 1):
            s = nodes[list(others)]
            z = np.column_stack([t, np.broadcast_to(s, (size, s.size))]) @ axes.T
            log_density = np.logaddexp(log_density, self.residual(z) + float(log_weights[list(others)].sum()))
        log_density -= 0.5 * t**2
        density = np.exp(log_density - log_density.max())
        values = float(direction @ self.centre) + scale * t
        return values, density / np.trapezoid(density, values)

    def _other_axis(self, reach: float) -> tuple[Vector, Vector]:
        """Nodes and log weights, the Gaussian included, of an axis that is integrated out."""
        if self.dimension > 3:
            nodes, weights = np.polynomial.hermite_e.hermegauss(9)
            return nodes, np.log(weights)
        nodes = np.linspace(-reach, reach, 2 * int(np.ceil(reach / (0.2 if self.dimension == 2 else 0.4))) + 1)
        return nodes, -0.5 * nodes**2


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
        At the mode of theta.
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
