"""The linear system of a latent Gaussian model: pattern of H = Q + A'WA, where each part's values go, constraints."""

from collections.abc import Sequence
from copy import copy
from functools import cached_property
from types import SimpleNamespace
from typing import Any, NamedTuple, Protocol, Self, TypeAlias, cast

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.linalg.basis import Basis
from geospde.linalg.cholesky import Cholesky
from geospde.linalg.constrained import ConstrainedFactor, anchors_of
from geospde.linalg.kernels import row_pair_places
from geospde.linalg.supernodal import symmetric_times
from geospde.terms.precisions.base import Precision

Vector = NDArray[np.float64]
EPSILON = float(np.finfo(float).eps)
QuadraticForms = tuple[sp.csr_matrix, NDArray[np.bool_]]  # see `System.quadratic_map`


class Predictor(NamedTuple):
    """Where Newton starts by a weighted least-squares step from a predictor, (m,), such as another mesh's."""

    eta: Vector


Start: TypeAlias = Vector | Predictor | None


class LatentGaussianModel(Protocol):
    """The model as inference sees it: x = (terms in order, fixed effects), eta = design @ x + offset."""

    @property
    def precisions(self) -> Sequence[Precision]:
        """Of the random terms, in order."""

    @property
    def design(self) -> Any:
        """Sparse (m, n) matrix."""

    @property
    def offset(self) -> Vector:
        """Added to the predictor, (m,)."""

    @property
    def likelihood(self) -> Any:
        """Observations bound to a family."""

    @property
    def fixed_mean(self) -> Vector:
        """Prior means of the fixed effects."""

    @property
    def fixed_precision(self) -> Vector:
        """Their prior precisions, 0 for a flat prior."""

    # Optional: `fixed_transform`, a (k, k) matrix T of determinant 1 where means and precisions are those of T times
    # the fixed effects (of an intercept at the covariates' means, say); `fixed_log_shift`, what their prior has over
    # the Gaussian that stands for it, and `fixed_log_excess`, the same as a function of the fixed effects less that
    # number; `meeting`, rows of latent variables whose covariances predictions need besides those that data have; and
    # `fixed_theta`, the values of the hyperparameters that are held, NaN for the others


class RowPairs(NamedTuple):
    """Pairs of entries within the rows of a matrix, each pair of places once.

    `a` and `b` count entries, the one further right first; `times` is 2 for two entries, 1 for one with itself.
    """

    row: NDArray[np.intp]
    a: NDArray[np.intp]
    b: NDArray[np.intp]
    times: Vector


def row_pairs(rows: sp.csr_matrix) -> RowPairs:
    """All pairs of entries within a row."""
    counts = np.diff(rows.indptr).astype(np.int64)
    row_of = np.repeat(np.arange(rows.shape[0]), counts)
    repeats = counts[row_of]
    a = np.repeat(np.arange(rows.nnz), repeats)
    first_pair = np.concatenate([[0], np.cumsum(repeats)[:-1]]) if rows.nnz else np.zeros(0, int)
    within = np.arange(a.size) - np.repeat(first_pair, repeats)
    b = rows.indptr[row_of[a]] + within
    lower = rows.indices[a] >= rows.indices[b]
    a, b = a[lower], b[lower]
    return RowPairs(row_of[a], a, b, np.where(rows.indices[a] == rows.indices[b], 1.0, 2.0))


class System:
    """Everything about a model's matrices that no theta changes, analysed once.

    Attributes
    ----------
    n, n_random, n_fixed : int
        Size of the latent vector, of its random terms, of its fixed effects (last).
    n_theta : int
        Number of free hyperparameters; `fixed_theta` and `free` tell them from those that are held.
    basis : Basis
        Coordinates of the fixed effects that H, its inverse and entries on its pattern are of. Vectors, the design and
        rows are in the plain ones, as the model has them.
    pattern : (n, n) csc_matrix
        Lower triangle of H.
    constraints : (n, k) array or None
        C of the conditions C'x = 0.
    n_constraints : int
        k.
    """

    def __init__(self, model: LatentGaussianModel, basis: Basis | None = None):
        self.model = model
        self.precisions = list(model.precisions)
        self.design = sp.csr_matrix(model.design)
        self.design_t = self.design.T.tocsr()
        self.n = self.design.shape[1]
        sizes = [term.n for term in self.precisions]
        starts = np.concatenate([[0], np.cumsum(sizes)]).astype(int)
        self.blocks = [slice(a, b) for a, b in zip(starts[:-1], starts[1:])]
        self.n_random = int(starts[-1])
        self.n_fixed = self.n - self.n_random
        self.basis = Basis.of(self.design, self.n_random) if basis is None else basis
        counts = np.concatenate([[0], np.cumsum([len(t.parameters) for t in self.precisions])]).astype(int)
        self.theta_blocks = [slice(a, b) for a, b in zip(counts[:-1], counts[1:])]
        total = int(counts[-1]) + len(model.likelihood.parameters)
        self.family_block = slice(int(counts[-1]), total)
        self.fixed_theta = np.asarray(getattr(model, "fixed_theta", np.full(total, np.nan)), dtype=float)
        self.free = np.isnan(self.fixed_theta)
        self.n_theta = int(self.free.sum())
        self._fixed_prior()
        self._analyse()
        self.constraints = self._constraints()
        self.n_constraints = 0 if self.constraints is None else self.constraints.shape[1]
        self._anchors = self._find_anchors()

    def _fixed_prior(self) -> None:
        """Mean and precision matrix of the fixed effects, and the rank of the prior."""
        mean, precision = np.asarray(self.model.fixed_mean), np.asarray(self.model.fixed_precision)
        transform = getattr(self.model, "fixed_transform", None)
        if transform is None:
            transform = np.eye(self.n_fixed)
        self.fixed_mean = np.linalg.solve(transform, mean)
        self.fixed_precision = transform.T @ (precision[:, None] * transform)
        proper = precision[precision > 0]
        self.proper_rank = proper.size + sum(t.rank for t in self.precisions)
        self.fixed_log_normaliser = 0.5 * float(np.log(proper).sum()) + getattr(self.model, "fixed_log_shift", 0.0)

    # -- patterns -------------------------------------------------------------------------------------------

    def _analyse(self) -> None:
        """The pattern of H, and where each part's values go in it."""
        n = self.n
        blocks = [sp.csc_matrix(t.pattern) for t in self.precisions]
        prior = sp.block_diag([*blocks, sp.csc_matrix((self.n_fixed, self.n_fixed))], format="csc")
        self.pairs = getattr(self.model.likelihood, "pairs", None)
        forms = self.with_pairs(self.design)
        touched = abs(self.basis.rows(forms))
        touched.eliminate_zeros()
        touched.data[:] = 1.0  # squares of values may be too small for a number
        # full rows for the fixed effects, so that their covariance with every latent variable is selected
        rows = sp.csc_matrix((self.n_fixed, n))
        if self.n_fixed:
            rows = sp.csc_matrix(np.ones((self.n_fixed, n)))
        border = sp.vstack([sp.csc_matrix((self.n_random, n)), rows], format="csc")
        pattern = prior + touched.T @ touched + border + sp.identity(n)
        meeting = getattr(self.model, "meeting", None)
        if meeting is not None:
            pattern = pattern + meeting.T @ meeting  # the fixed effects' rows of H are full, in any coordinates
        pattern = sp.tril(pattern, format="csc")
        pattern.sort_indices()
        self.pattern = sp.csc_matrix((np.ones(pattern.nnz), pattern.indices, pattern.indptr), shape=(n, n))
        columns = np.repeat(np.arange(n, dtype=np.int64), np.diff(pattern.indptr))
        self._entry_columns = columns
        self._entry_rows = pattern.indices.astype(np.int64)
        self.n_entries = self._entry_rows.size  # of the pattern's lower triangle
        self._keys = columns * n + pattern.indices
        self.double = np.where(pattern.indices == columns, 1.0, 2.0)
        self.term_places = []
        for term, block in zip(self.precisions, self.blocks):
            c = np.repeat(np.arange(term.n, dtype=np.int64), np.diff(term.pattern.indptr)) + block.start
            self.term_places.append(np.searchsorted(self._keys, c * n + term.pattern.indices + block.start))
        a, b = np.tril_indices(self.n_fixed)
        self._fixed_places = np.searchsorted(self._keys, (b + self.n_random) * n + a + self.n_random)
        self._fixed_values = self.basis.precision_inside(self.fixed_precision)[a, b]
        squares, inside = self.quadratic_map(forms)
        assert inside.all()
        self._set_squares(squares)

    @cached_property
    def solver(self) -> Cholesky:
        """What factorises H, whose order is found the first time: much of a saved fit needs none."""
        return Cholesky(self.pattern)

    def analysed(self) -> Self:
        """Itself, with the order of H found: what needs more memory than there is, is refused now."""
        _ = self.solver
        return self

    @cached_property
    def ranked(self) -> NDArray[np.intp]:
        """Observations in an order that no order of rows or columns and no unit changes, (m,).

        By what they say of their predictors; where that is the same, by its sum over those that share their latent
        variables, weighted by how they do; then by its regressions on single fixed effects, and the like sum of those.
        """
        if getattr(self.model.likelihood, "parts", ()):  # each of several has a unit of its own: as they are given
            return np.arange(self.design.shape[0])
        own, random = np.asarray(self.model.likelihood.start()), self.design[:, : self.n_random]
        own, fixed = own - own.mean(), self.design[:, self.n_random :]
        mean, square = (np.asarray(each.mean(axis=0)).ravel() for each in (fixed, fixed.multiply(fixed)))
        spread = square - mean**2
        slopes = np.where(spread > 1e-12 * square, (fixed.T @ own) / np.where(spread > 0, spread, 1.0), 0.0)
        keys = [own, fixed @ slopes - mean @ slopes]
        keys += [random @ (random.T @ key) for key in keys]
        # what differs by rounding only is the same
        digits = [np.round(key / (1e-9 * (np.abs(key).max(initial=0.0) or 1.0))) for key in keys]
        return np.lexsort([digits[k] for k in (3, 1, 2, 0)])  # the last counts first

    def _set_squares(self, squares: sp.csr_matrix) -> None:
        """Set the `quadratic_map` of the design's rows, and what goes with it at every theta."""
        self._squares, self._squares_t = squares, squares.T
        self._design_squared = self.basis.rows(self.design).T.tocsr().power(2)

    @cached_property
    def informed(self) -> tuple[Self, NDArray[np.intp]] | None:
        """The system of the rows that have a weight, and which they are; None where all have, or rows go in pairs."""
        likelihood = self.model.likelihood
        rows = np.flatnonzero(likelihood.weights > 0)
        if rows.size == self.design.shape[0] or self.pairs is not None:
            return None
        own = copy(self)
        own.__dict__.pop("ranked", None)
        part = SimpleNamespace(likelihood=likelihood.of_rows(rows), offset=np.asarray(self.model.offset)[rows])
        own.model = cast(LatentGaussianModel, part)
        own.design = self.design[rows]
        own.design_t = own.design.T.tocsr()
        own._set_squares(self._squares[rows])
        return own, rows

    def with_pairs(self, design: sp.csr_matrix) -> sp.csr_matrix:
        """The rows of a design, and after them the sums of those that the likelihood couples: `Likelihood.pairs`."""
        if self.pairs is None:
            return design
        i, j = self.pairs.T
        return sp.csr_matrix(sp.vstack([design, design[i] + design[j]], format="csr"))

    def summed(self, predictors: Vector) -> Vector:
        """Predictors, (m, ...), and after them the sums of those that the likelihood couples."""
        if self.pairs is None:
            return predictors
        i, j = self.pairs.T
        return np.concatenate([predictors, predictors[i] + predictors[j]])

    def bent(self, second: Vector, values: Vector) -> Vector:
        """Second derivatives of the log density in the predictors, a matrix, times values, (m, p)."""
        m = len(values)
        out: Vector = second[:m, None] * values
        if self.pairs is not None:
            i, j = self.pairs.T
            both = second[m:, None] * (values[i] + values[j])
            np.add.at(out, i, both)
            np.add.at(out, j, both)
        return out

    def axes(self, variances: Vector) -> tuple[Vector, Vector]:
        """What predictors of these `variances` are of two independent standard normals, (m,) each.

        Those of a pair share the first, which is all of the former.
        """
        m = self.design.shape[0]
        first, second = np.sqrt(np.maximum(variances[:m], 0.0)), np.zeros(m)
        if self.pairs is not None:
            i, j = self.pairs.T
            first[j] = 0.5 * (variances[m:] - variances[i] - variances[j]) / np.maximum(first[i], 1e-150)
            second[j] = np.sqrt(np.maximum(variances[j] - first[j] ** 2, 0.0))
        return first, second

    def quadratic_map(self, rows: sp.csr_matrix) -> QuadraticForms:
        """Matrix M with ``diag(rows S rows') = M @ s`` for a symmetric S held as s on the pattern of H.

        Returns
        -------
        M : (k, nnz) csr_matrix
        inside : (k,) array of bool
            False where a row's support leaves the pattern, and M does not hold.
        """
        rows = self.basis.rows(rows)
        if not rows.data.all():  # a slope's at a covariate of 0, in a group of nothing else
            rows = rows.copy()
            rows.eliminate_zeros()
        counts = np.diff(rows.indptr).astype(np.int64)
        starts = np.concatenate([[0], np.cumsum(counts * (counts + 1) // 2)])
        places, values = np.empty(starts[-1], dtype=np.int64), np.empty(starts[-1])
        inside = np.ones(rows.shape[0], bool)
        row_pair_places(
            rows.indptr.astype(np.int64), rows.indices.astype(np.int64), rows.data.astype(float),
            self.pattern.indptr.astype(np.int64), self._entry_rows, starts, places, values, inside,
        )  # fmt: skip
        return sp.csr_matrix((values, places, starts), shape=(rows.shape[0], self._keys.size)), inside

    @property
    def entries(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows and columns of the pattern's lower triangle."""
        return self._entry_rows, self._entry_columns

    def places(self, i: NDArray[np.int64], j: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Places of entries (i, j) on the pattern of H, and whether they are there."""
        keys = np.minimum(i, j) * self.n + np.maximum(i, j)
        place = np.minimum(np.searchsorted(self._keys, keys), self._keys.size - 1)
        return place, self._keys[place] == keys

    def _constraints(self) -> Vector | None:
        blocks = []
        for precision, block in zip(self.precisions, self.blocks):
            if precision.constraints is not None:
                columns = np.zeros((self.n, precision.constraints.shape[1]))
                columns[block] = precision.constraints
                blocks.append(columns)
        return np.hstack(blocks) if blocks else None

    def _find_anchors(self) -> NDArray[np.intp]:
        """Latent variables that hold the intrinsic blocks while H is factorised; see `ConstrainedFactor`."""
        found = [np.zeros(0, dtype=np.intp)]
        for precision, block in zip(self.precisions, self.blocks):
            if precision.constraints is not None and precision.rank_deficiency:
                found.append(block.start + anchors_of(precision.constraints, precision.rank_deficiency))
        return np.concatenate(found)

    def prior_values(self, values: list[Vector]) -> Vector:
        """Entries of the prior precision on the pattern of H."""
        whole = np.zeros(self._keys.size)
        for place, v in zip(self.term_places, values):
            whole[place] += v
        whole[self._fixed_places] += self._fixed_values
        return whole

    def data_part(self, weights: Vector) -> Vector:
        """Entries of design' W design on the pattern; weights of sums of rows (`with_pairs`) may be left out."""
        if weights.size < self._squares.shape[0]:
            weights = np.pad(weights, (0, self._squares.shape[0] - weights.size))
        values: Vector = (self._squares_t @ weights) / self.double  # the map holds off-diagonal pairs once, doubled
        return values

    # -- small algebra --------------------------------------------------------------------------------------

    def times(self, lower: Vector, x: Vector) -> Vector:
        """Symmetric matrix, given by its lower triangle on the pattern, times x."""
        own = symmetric_times(self.pattern.indptr, self.pattern.indices, lower, self.basis.inside(x))
        return self.basis.dual_outside(own)

    def prior_at(self, theta: Vector) -> Vector:
        """Entries of the prior precision on the pattern of H, at a whole theta."""
        return self.prior_values([t.values(theta[b]) for t, b in zip(self.precisions, self.theta_blocks)])

    def centred(self, x: Vector) -> Vector:
        """The latent vector less its prior mean."""
        out = x.copy()
        out[self.n_random :] -= self.fixed_mean
        return out

    def determinant_rounding(self, prior_values: Vector, second: Vector, selected: Vector) -> float:
        """First-order bound of the rounding error of ``log|H|``: the diagonal of H times that of its inverse."""
        diagonal = self.pattern.indptr[:-1]
        of_data = self._design_squared @ np.abs(second[: self.design_t.shape[1]])
        return EPSILON * float((prior_values[diagonal] + of_data) @ selected[diagonal])

    def quadratic_rounding(self, prior_values: Vector, x: Vector) -> float:
        """Bound of the rounding error of the prior's quadratic form at x: where precisions are large, terms cancel."""
        size = np.abs(self.basis.inside(self.centred(x)))
        times = symmetric_times(self.pattern.indptr, self.pattern.indices, np.abs(prior_values), size)
        return EPSILON * float(size @ times)

    @property
    def advice(self) -> str:
        """What to do where the posterior of the latent vector has no mode of its own; empty where nothing is known."""
        likelihood = self.model.likelihood
        if not likelihood.bounded.any():
            return ""
        return (
            f"; responses of next to nothing draw predictors to where the link {likelihood.link.name!r} ends, and no "
            "Gaussian stands for them there: take link='log'"
        )

    def project(self, x: Vector) -> Vector:
        """Nearest x that meets the constraints."""
        if self.constraints is None:
            return x
        c = self.constraints
        return x - c @ np.linalg.solve(c.T @ c, c.T @ x)

    def factorise(self, values: Vector) -> ConstrainedFactor:
        """Factor, within the constraints, of the matrix with these values on the pattern of H.

        Raises
        ------
        NotPositiveDefinite
            Where it is not, within the constraints.
        """
        strengths = np.zeros(0)
        if self._anchors.size:
            diagonal = self.pattern.indptr[self._anchors]
            strengths = np.abs(values[diagonal])  # any would do: this is neither lost beside the others nor drowns them
            values = values.copy()
            values[diagonal] += strengths
        factor = self.solver.factor(values)
        return ConstrainedFactor(factor, self.constraints, self._anchors, strengths, self.basis)

    def selected_inverse(self, factor: ConstrainedFactor) -> Vector:
        """Entries of the inverse within the constraints, on the pattern of H."""
        return factor.selected_inverse(self._entry_rows, self._entry_columns)

    def dense(self, entries: Vector) -> Vector:
        """A symmetric matrix from its lower triangle on the pattern, zero elsewhere."""
        out = np.zeros((self.n, self.n))
        out[self._entry_rows, self._entry_columns] = entries
        out[self._entry_columns, self._entry_rows] = entries
        return out

    def variances(self, selected: Vector) -> Vector:
        """Variances of the predictors from an inverse on the pattern, and after them those of sums (`with_pairs`)."""
        values: Vector = self._squares @ selected
        return values
