"""Adaptive Gauss-Hermite quadrature over the random effects of independent groups.

Pinheiro & Bates (1995), J. Comput. Graph. Statist. 4, 12-35, section 2.4: nodes of a product rule are laid about each
group's mode, along the Cholesky factor of the inverse curvature there. One node is the Laplace approximation.
"""

from dataclasses import replace
from itertools import product

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from geospde.errors import InputError
from geospde.families.gauss_hermite import normal_nodes
from geospde.inference.laplace import LaplacePoint
from geospde.likelihood.likelihoods import Joint, Unpriored
from geospde.likelihood.standardised import Standardised

Vector = NDArray[np.float64]
MOST_POINTS = 100
MOST_VALUES = 20_000_000  # most values of the log density at once: rows times nodes


class Quadrature(Joint):
    """The likelihood of psi = (theta, fixed effects), random effects integrated out group by group.

    Parameters
    ----------
    model : Unpriored
        Its random terms fall into independent groups of a few latent variables each.
    points : int
        Nodes on each axis.

    Raises
    ------
    InputError
        For a number of points that cannot be had.
    """

    def __init__(self, model: Unpriored, points: int):
        super().__init__(model)
        if self.random is None:
            raise InputError("quadrature is over random effects, and the formula has none: leave quadrature out")
        laplace = self.random
        columns = np.repeat(np.arange(laplace.n), np.diff(laplace.pattern.indptr))
        count, self._group = connected_components(laplace.pattern, directed=False)
        order = np.argsort(self._group, kind="stable")
        sizes = np.bincount(self._group)
        self._local = np.empty(laplace.n, dtype=int)
        self._local[order] = np.arange(laplace.n) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        q, m = int(sizes.max()), laplace.design.shape[0]
        if not 1 <= points <= MOST_POINTS:
            raise InputError(f"quadrature takes 1 to {MOST_POINTS} points, not {points}")
        if points**q * m > MOST_VALUES:
            raise InputError(
                f"quadrature={points} over {q} random effects a group takes {points**q:,} nodes at each of {m:,} rows: "
                "take fewer points"
            )
        self._shape = (count, q, q)
        # where an entry on the pattern goes: both triangles of its group's matrix
        at, row, column = self._group[columns], self._local[laplace.pattern.indices], self._local[columns]
        self._lower, self._upper = (at, row, column), (at, column, row)
        self._padding = np.zeros(self._shape)
        for c in np.flatnonzero(sizes < q):
            self._padding[c, range(sizes[c], q), range(sizes[c], q)] = 1.0

        rows = np.repeat(np.arange(m), np.diff(laplace.design.indptr))
        self._place = (rows, self._local[laplace.design.indices])
        self._group_of_row = np.zeros(m, dtype=int)
        self._group_of_row[rows] = self._group[laplace.design.indices]
        self._sum = sp.csr_matrix((np.ones(m), (self._group_of_row, np.arange(m))), shape=(count, m))
        nodes, weights = normal_nodes(points)
        self._nodes = np.array(list(product(nodes, repeat=q)))
        self._log_weights = np.array([sum(c) for c in product(np.log(weights) + 0.5 * nodes**2, repeat=q)])

    def at(self, psi: Vector, start: Vector | None = None, gradient: bool = True) -> LaplacePoint:
        """Log likelihood at psi, its gradient, and the mode of the random effects with its slope."""
        psi = np.asarray(psi, dtype=float)
        point = super().at(psi, start)
        laplace = self.random_at(psi)
        theta = self.split(psi)[0]
        whole = laplace.whole(theta[laplace.rest])
        likelihood = laplace.likelihood_at(whole)
        rows = np.zeros((point.eta.size, self._shape[1]))
        rows[self._place] = laplace.design.data

        prior = self._blocks(laplace.prior_at(whole), self._padding)
        inverse_root = np.linalg.inv(np.linalg.cholesky(prior + self._blocks(laplace.data_part(-point.derivatives[1]))))
        moved = np.einsum("cji,kj->cki", inverse_root, self._nodes)  # of the latent variables from their mode
        latent = self._by_group(point.x)[:, None] + moved
        eta = point.eta + np.einsum("iq,ikq->ki", rows, moved[self._group_of_row])
        pull = latent @ prior
        with np.errstate(over="ignore", invalid="ignore"):
            density = np.nan_to_num(likelihood.log_density(eta), nan=-np.inf)
        log_terms = self._log_weights + (self._sum @ density.T) - 0.5 * (pull * latent).sum(axis=2)
        top = log_terms.max(axis=1, keepdims=True)
        shares = np.exp(log_terms - top)
        totals = shares.sum(axis=1)
        shares /= totals[:, None]
        value = float(
            (top[:, 0] + np.log(totals)).sum()
            + np.log(np.diagonal(inverse_root, axis1=1, axis2=2)).sum()
            + 0.5 * np.linalg.slogdet(prior)[1].sum()
        )
        if not gradient:
            return replace(point, log_posterior=value)

        # each node's derivatives, weighted by its share of the integral
        share = shares[self._group_of_row].T
        with np.errstate(over="ignore", invalid="ignore"):
            first = likelihood.derivatives(eta)[0]
        first = np.where(share > 0, share * first, 0.0)
        by_row = np.einsum("ki,iq->ikq", first, rows)
        slopes = (self._sum @ by_row.reshape(by_row.shape[0], -1)).reshape(latent.shape) - shares[:, :, None] * pull
        of_mode = slopes.sum(axis=1)
        of_root = np.einsum("cab,ckb,kd->cad", inverse_root, slopes, self._nodes)
        total, of_h = self._explicit(laplace, point, whole, shares, latent, first, eta)

        for j in range(psi.size):
            turned = inverse_root @ of_h[j] @ inverse_root.transpose(0, 2, 1)
            half = np.tril(turned, -1) + 0.5 * np.eye(self._shape[1]) * turned
            total[j] += float((of_mode * self._by_group(point.slope[:, j])).sum())
            total[j] -= float((of_root * half.transpose(0, 2, 1)).sum())
            total[j] -= 0.5 * float(np.trace(turned, axis1=1, axis2=2).sum())
        return replace(point, log_posterior=value, gradient=total)

    def _explicit(
        self,
        laplace: Standardised,
        point: LaplacePoint,
        whole: Vector,
        shares: Vector,
        latent: Vector,
        first: Vector,
        eta: Vector,
    ) -> tuple[Vector, list[Vector]]:
        """Derivatives in each psi of the groups' log densities at fixed nodes, and of the groups' H at the mode.

        Parameters
        ----------
        shares : (groups, nodes) array
            Of each node in its group's integral.
        latent : (groups, nodes, q) array
            Latent variables at the nodes.
        first : (nodes, m) array
            Derivatives of the log density in the predictors there, times the shares.
        eta : (nodes, m) array
            Predictors there.
        """
        d, size = point.theta.size - self.n_outer, point.theta.size
        total, of_h = np.zeros(size), [np.zeros(self._shape)] * size
        total[d:] = self.fixed.T @ first.sum(axis=0)
        slope_of_eta = laplace.design @ point.slope
        slope_of_eta[:, d:] += self.fixed.toarray()

        prior_inverse = np.linalg.inv(self._blocks(laplace.prior_at(whole), self._padding))
        second_moment = np.einsum("ck,cka,ckb->cab", shares, latent, latent)
        for j, change in self._of_precision(laplace, whole).items():
            total[j] += 0.5 * float((change * (prior_inverse - second_moment)).sum())
            of_h[j] = change
        at_mode = self._by_group(point.x)[self._group_of_row]
        for e in laplace.effects:
            local = self._local[e.block][: e.factor.q]
            mean = np.einsum("ki,ikq->iq", first, latent[self._group_of_row])
            for j, column, value in e.slopes():
                total[j] += float(value @ mean[:, local[column]])
                slope_of_eta[:, j] += value * at_mode[:, local[column]]
                of_h[j] = self._of_design(laplace, point, local[column], value)
        of_weights = -point.derivatives[2][:, None] * slope_of_eta
        likelihood = laplace.likelihood_at(whole)
        if likelihood.parameters:
            free = laplace.free[laplace.family_block]
            places = laplace.rest[np.cumsum(laplace.free)[laplace.family_block][free] - 1]
            share = shares[self._group_of_row].T
            for weight, at in zip(share, eta):
                total[places] += likelihood.theta_derivatives(at)[0][free] @ np.where(weight > 0, weight, 0.0)
            of_weights[:, places] -= likelihood.theta_derivatives(point.eta)[2][free].T
        return total, [h + self._blocks(laplace.data_part(w)) for h, w in zip(of_h, of_weights.T)]

    def _of_design(self, laplace: Standardised, point: LaplacePoint, column: int, value: Vector) -> Vector:
        """Derivative of the groups' A'WA where one column of each row moves by a value."""
        rows = np.zeros((value.size, self._shape[1]))
        rows[self._place] = laplace.design.data
        half = np.zeros(self._shape)
        half[:, column] = self._sum @ ((-point.derivatives[1] * value)[:, None] * rows)
        return half + half.transpose(0, 2, 1)

    def _blocks(self, entries: Vector, padding: Vector | float = 0.0) -> Vector:
        """A matrix of each group, (groups, q, q), from entries on the pattern."""
        out = np.zeros(self._shape)
        out[self._lower] = entries
        out[self._upper] = entries
        return out + padding

    def _by_group(self, x: Vector) -> Vector:
        """A latent vector by groups, (groups, q)."""
        out = np.zeros(self._shape[:2])
        out[self._group, self._local] = x
        return out

    def _of_precision(self, laplace: Standardised, whole: Vector) -> dict[int, Vector]:
        """Derivative of each group's precision in the free hyperparameters of the terms."""
        number, out = np.cumsum(laplace.free) - 1, {}
        for term, places, where in zip(laplace.precisions, laplace.term_places, laplace.theta_blocks):
            for j, entries in enumerate(term.gradients(whole[where]), start=where.start):
                if laplace.free[j]:
                    on_pattern = np.zeros(laplace.pattern.nnz)
                    on_pattern[places] = entries
                    out[int(laplace.rest[number[j]])] = self._blocks(on_pattern)
        return out
