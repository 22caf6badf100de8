"""Laplace approximations with the correlated effects of a group standardised: independent, of unit variance.

With b = R v, R the Cholesky factor of the effects' covariance, the design is Z R, and a singular covariance is no
special case (Bates et al. 2015, J. Stat. Soft. 67(1), section 2.3). Its hyperparameters are the entries of R.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.inference.laplace import TIGHT, Laplace, LaplacePoint
from geospde.inference.system import row_pairs
from geospde.likelihood.factor import Factor
from geospde.linalg.basis import Basis
from geospde.terms.precisions.base import Precision

Vector = NDArray[np.float64]


class NoPrior:
    """Density 1 of hyperparameters of any number."""

    def log_density(self, theta: Vector) -> float:
        """Zero."""
        return 0.0

    def gradient(self, theta: Vector) -> Vector:
        """Zeros."""
        return np.zeros(np.size(theta))

    def describe(self) -> str:
        """One line for the summary."""
        return "none"


class Standard(Precision):
    """Independent latent variables of unit variance."""

    parameters = ()

    def __init__(self, n: int, label: str):
        self.n = n
        self.label = label
        self.prior = NoPrior()
        self.pattern = sp.identity(n, format="csc")

    def values(self, theta: Vector) -> Vector:
        """Ones."""
        return np.ones(self.n)

    def gradients(self, theta: Vector) -> Vector:
        """None."""
        return np.zeros((0, self.n))

    def log_normaliser(self, theta: Vector, gradient: bool = True) -> tuple[float, Vector]:
        """Zero."""
        return 0.0, np.zeros(0)


class Assembly:
    """A design put together from blocks, of which the entries can be set anew.

    Attributes
    ----------
    pattern : (m, n) csr_matrix
        Ones where there are entries.
    own : list of slice
        Each block's own entries among all, in their order in the block.
    """

    def __init__(self, blocks: Sequence[sp.csr_matrix]):
        ends = np.cumsum([0, *(block.nnz for block in blocks)])
        self.own = [slice(int(a), int(b)) for a, b in zip(ends[:-1], ends[1:])]
        numbers = [
            sp.csr_matrix((np.arange(own.start, own.stop) + 1.0, block.indices, block.indptr), block.shape)
            for own, block in zip(self.own, blocks)
        ]
        whole = sp.csr_matrix(sp.hstack(numbers, format="csr"))
        whole.sort_indices()
        self._order = whole.data.astype(int) - 1
        self.pattern = sp.csr_matrix((np.ones(whole.nnz), whole.indices, whole.indptr), whole.shape)
        turned = sp.csr_matrix((np.arange(whole.nnz) + 0.0, whole.indices, whole.indptr), whole.shape).T.tocsr()
        self._turn = turned.data.astype(int)
        self._transposed = turned

    def of(self, entries: Vector) -> tuple[sp.csr_matrix, sp.csr_matrix]:
        """The design with these entries, and its transpose."""
        data, p, t = entries[self._order], self.pattern, self._transposed
        design = sp.csr_matrix((data, p.indices, p.indptr), p.shape)
        return design, sp.csr_matrix((data[self._turn], t.indices, t.indptr), t.shape)


@dataclass(frozen=True)
class Effects:
    """The correlated effects of one group in a standardised model.

    Attributes
    ----------
    factor : Factor
    where : slice
        Of the factor's entries in psi.
    block : slice
        Of the effects in the latent vector.
    values : (m, q) array
        What the effects multiply.
    level : (m,) array
    own : slice
        Of the group's entries of the design, row by row.
    pairs : (q, nnz) array
        For each effect, and each entry of the design: place on the pattern of H of the entry's column and the effect of
        the row's level.
    """

    factor: Factor
    where: slice
    block: slice
    values: Vector
    level: NDArray[np.intp]
    own: slice
    pairs: NDArray[np.intp]

    def by_row(self, x: Vector) -> Vector:
        """Latent variables of each row's level: (m, q), or (m, q, k) for k vectors."""
        return x[self.block].reshape(-1, self.factor.q, *x.shape[1:])[self.level]

    def slopes(self) -> list[tuple[int, int, Vector]]:
        """For each entry of the factor: its place in psi, the effect it multiplies, and what that adds to each row."""
        scaled = self.values * self.factor.units
        rows, columns = self.factor.places
        return [(self.where.start + e, int(c), scaled[:, r]) for e, (r, c) in enumerate(zip(rows, columns))]

    def scattered(self, n: int, column: int, values: Vector) -> Vector:
        """Sums of one value per row over each level, at one effect's place in the latent vector, (n,)."""
        out = np.zeros(n)
        levels = (self.block.stop - self.block.start) // self.factor.q
        out[self.block.start + column : self.block.stop : self.factor.q] = np.bincount(self.level, values, levels)
        return out


class Standardised(Laplace):
    """Laplace approximations as a function of psi: theta, with a factor's entries in the place of correlated effects'.

    Parameters
    ----------
    model : Unpriored
        Its correlated terms are standardised where none of their hyperparameters is held.

    Attributes
    ----------
    original : Unpriored
        The model that was given; `model` is the one with standardised terms.
    effects : list of Effects
        Of the terms that are standardised.
    rest : array of int
        Places in psi of the free hyperparameters of `model`.
    """

    def __init__(self, model: Any):
        self.original = model
        free = np.isnan(model.fixed_theta)
        number = np.cumsum(free) - 1
        start = model.start if model.start.size == free.sum() else np.zeros(int(free.sum()))
        kept = np.ones(free.size, dtype=bool)
        terms: list[Any] = []
        blocks: list[sp.csr_matrix] = []
        found: list[tuple[int, slice, slice, Factor, Vector, NDArray[np.intp]]] = []
        first = at = 0
        for term in model.precisions:
            whole, columns = slice(at, at + len(term.parameters)), slice(first, first + term.n)
            at, first = whole.stop, columns.stop
            block = sp.csr_matrix(model.design[:, columns])
            if term.pairs and free[whole].all() and model.likelihood.pairs is None:
                where = slice(int(number[whole.start]), int(number[whole.start]) + len(term.parameters))
                values, level = _by_level(block, term.effects)
                factor = Factor(np.exp(start[where][: term.effects]))
                found.append((len(blocks), where, columns, factor, values, level))
                block, kept[whole] = _indicator(level, term), False
                terms.append(Standard(term.n, term.label))
            else:
                terms.append(term)
            blocks.append(block)
        blocks.append(sp.csr_matrix(model.design[:, first:]))
        self._assembly = Assembly(blocks)
        self._entries = np.concatenate([block.data for block in blocks])
        inner = replace(model, precisions=terms, design=self._assembly.pattern, fixed_theta=model.fixed_theta[kept])
        # of a model that is upright, and the design has no entries yet
        super().__init__(inner, TIGHT, basis=Basis(first, np.eye(model.n_fixed)))
        self._pairs = row_pairs(self.design)
        i, j = (self.design.indices[k].astype(np.int64) for k in (self._pairs.a, self._pairs.b))
        self._pair_places = self.places(i, j)[0]
        counts = np.bincount(self._pairs.row, minlength=self.design.shape[0])
        self._pair_starts = np.concatenate([[0], np.cumsum(counts)])
        self.effects = [
            Effects(
                factor, where, block, values, level, self._assembly.own[k], self._places_beside(block, level, factor.q)
            )
            for k, where, block, factor, values, level in found
        ]
        self.n_theta = start.size
        standardised = [k for e in self.effects for k in range(self.n_theta)[e.where]]
        self.rest = np.setdiff1d(np.arange(self.n_theta), standardised)
        if not self.effects:
            self._set(self._entries)

    def _places_beside(self, block: slice, level: NDArray[np.intp], q: int) -> NDArray[np.intp]:
        """`Effects.pairs`."""
        rows = np.repeat(np.arange(self.design.shape[0]), np.diff(self.design.indptr))
        columns = self.design.indices.astype(np.int64)
        base = block.start + q * level[rows].astype(np.int64)
        return np.array([self.places(columns, base + k)[0] for k in range(q)])

    def _set(self, entries: Vector) -> None:
        """Set the entries of the design, and of all that is made of them."""
        self.design, self.design_t = self._assembly.of(entries)
        data, pair = self.design.data, self._pairs
        weight = data[pair.a] * data[pair.b] * pair.times
        shape = (self.design.shape[0], self.pattern.nnz)
        squares = sp.csr_matrix((weight, self._pair_places, self._pair_starts), shape)
        if self.pairs is not None:
            sums = self.with_pairs(self.design)[self.design.shape[0] :]
            squares = sp.csr_matrix(sp.vstack([squares, self.quadratic_map(sums)[0]], format="csr"))
        self._set_squares(squares)

    def viewed(self, psi: Vector) -> "Standardised":
        """The same with the design that psi gives; itself where there is nothing to standardise."""
        if not self.effects:
            return self
        view, entries = copy(self), self._entries.copy()
        for e in self.effects:
            entries[e.own] = (e.values @ e.factor.root(psi[e.where])).ravel()
        view._set(entries)
        return view

    def at(self, theta: Vector, start: Vector | None = None, gradient: bool = True) -> LaplacePoint:
        """Laplace approximation at psi; see `Laplace.at`."""
        psi = np.asarray(theta, dtype=float)
        view = self.viewed(psi)
        point = view.here(psi, start, gradient)
        self.evaluations, self.factorisations = view.evaluations, view.factorisations
        return point

    def here(self, psi: Vector, start: Vector | None, gradient: bool) -> LaplacePoint:
        """The same of a view at psi, by its design."""
        point = super().at(psi[self.rest], start, gradient)
        if not self.effects:
            return point
        total, slope = np.zeros(psi.size), np.zeros((self.n, psi.size))
        if gradient:
            total[self.rest], slope[:, self.rest] = point.gradient, point.slope
            self._add_slopes(point, total, slope)
        return replace(point, theta=psi, gradient=total, slope=slope)

    def _add_slopes(self, point: LaplacePoint, total: Vector, slope: Vector) -> None:
        """Derivatives in the factors' entries, of the value and of the mode.

        An entry moves the design by dA: the log density by d1'dA x, H by dA'WA + A'W dA and, through W, by the third
        derivatives and how eta moves; the mode by ``H⁻¹ (dA'd1 + A' d2 dA x)``.
        """
        first, second, third = point.derivatives
        pull = point.eta_variance * third
        rows = np.repeat(np.arange(self.design.shape[0]), np.diff(self.design.indptr))
        places, right = [], []
        for e in self.effects:
            latent = e.by_row(point.x)
            beside = [  # covariances of eta and each effect of the row's level
                np.bincount(rows, self.design.data * point.covariance[where], first.size) for where in e.pairs
            ]
            for k, column, value in e.slopes():
                moved = value * latent[:, column]
                total[k] = first @ moved + (second * value) @ beside[column] + 0.5 * pull @ moved
                right.append(e.scattered(self.n, column, first * value) + self.design_t @ (second * moved))
                places.append(k)
        moves = np.column_stack(right)
        slope[:, places] = self.solve(point, moves)
        total[places] += 0.5 * (self.design_t @ pull) @ slope[:, places]

    def latent(self, psi: Vector, x: Vector) -> Vector:
        """The latent vector with the effects in their own units, from the standardised one."""
        out = x.copy()
        for e in self.effects:
            out[e.block] = (x[e.block].reshape(-1, e.factor.q) @ e.factor.root(psi[e.where]).T).ravel()
        return out

    def theta_of(self, psi: Vector) -> Vector:
        """The free theta of the model that was given, infinities as `Factor.theta` gives them."""
        out = psi.copy()
        for e in self.effects:
            out[e.where] = e.factor.theta(psi[e.where])
        return out

    def psi_of(self, theta: Vector) -> Vector:
        """Psi at a free theta of the model that was given."""
        out = theta.copy()
        for e in self.effects:
            out[e.where] = e.factor.entries_of(theta[e.where])
        return out

    def describe(self, theta: Vector) -> str:
        """Psi, or the theta of the standardised model, in the user's words."""
        if not self.effects or theta.size != self.n_theta:
            return super().describe(theta)
        sds = []
        for e in self.effects:
            label = self.precisions[[b.start for b in self.blocks].index(e.block.start)].label
            lengths = np.linalg.norm(e.factor.root(theta[e.where]), axis=1)
            sds.append(f"sds({label}) = {', '.join(f'{sd:.4g}' for sd in lengths)}")
        return ", ".join([*sds, super().describe(theta[self.rest])])


def _by_level(block: sp.csr_matrix, effects: int) -> tuple[Vector, NDArray[np.intp]]:
    """What the effects multiply in each row of a group's part of the design, (m, q), and its level, (m,)."""
    rows = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr))
    values, level = np.zeros((block.shape[0], effects)), np.zeros(block.shape[0], dtype=int)
    values[rows, block.indices % effects] = block.data
    level[rows] = block.indices // effects
    return values, level


def _indicator(level: NDArray[np.intp], term: Precision) -> sp.csr_matrix:
    """Ones at all effects of each row's level."""
    q, m = term.effects, level.size
    columns = (q * level[:, None] + np.arange(q)).ravel()
    return sp.csr_matrix((np.ones(m * q), columns, q * np.arange(m + 1)), shape=(m, term.n))
