"""Likelihoods of the hyperparameters, with exact gradients: what REML and ML maximise.

All of them are Laplace approximations without the priors of the hyperparameters, as functions of psi: theta, with
Cholesky factors in the place of the hyperparameters of correlated effects. REML has the fixed effects in the
latent vector with a flat prior (Harville 1974, Biometrika 61, 383-385). ML has them outside: of a Gaussian response
their best value is the joint mode at each theta, of others they are maximised over together with theta.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import NumericalError
from geospde.inference.laplace import LOG_2PI, Laplace, LaplacePoint
from geospde.inference.system import LatentGaussianModel
from geospde.likelihood.coordinates import Coordinates
from geospde.likelihood.penalties import penalties
from geospde.likelihood.standardised import Effects, NoPrior, Standardised
from geospde.linalg.basis import Basis
from geospde.linalg.constrained import ConstrainedFactor, FollowingFactor
from geospde.linalg.supernodal import symmetric_times
from geospde.model.build import Model

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Unpriored:
    """A latent Gaussian model without priors: of its hyperparameters, and of its fixed effects.

    Attributes
    ----------
    precisions, design, offset, likelihood
        As of a `LatentGaussianModel`.
    fixed_theta : (d,) array
        Values of the hyperparameters that are held, NaN for the free ones.
    start : (k,) array
        The free hyperparameters to start from, whose standard deviations serve as units.
    vanishing : tuple of int
        Places in `fixed_theta` of residual standard deviations whose likelihood is bounded down to zero.
    """

    precisions: Sequence[Any]
    design: sp.csr_matrix
    offset: Vector
    likelihood: Any
    fixed_theta: Vector
    start: Vector = field(default_factory=lambda: np.zeros(0))
    vanishing: tuple[int, ...] = ()

    @classmethod
    def of(cls, model: LatentGaussianModel) -> "Unpriored":
        """The same model with no priors but those that were given, as penalties: `geospde.likelihood.penalties`."""
        terms = [copy(term) for term in model.precisions]
        own: list[Any] = list(penalties(model)) if isinstance(model, Model) else [NoPrior()] * (len(terms) + 1)
        for term, penalty in zip(terms, own):
            term.prior = penalty
        likelihood = replace(model.likelihood, prior=own[-1])
        count = sum(len(term.parameters) for term in terms) + len(likelihood.parameters)
        fixed_theta = np.asarray(getattr(model, "fixed_theta", np.full(count, np.nan)), dtype=float)
        offset, start = np.asarray(model.offset, dtype=float), np.asarray(getattr(model, "start", np.zeros(0)))
        return cls(terms, sp.csr_matrix(model.design), offset, likelihood, fixed_theta, start)

    @property
    def n_random(self) -> int:
        """Number of latent variables of the random terms."""
        return sum(term.n for term in self.precisions)

    @property
    def n_fixed(self) -> int:
        """Number of fixed effects."""
        return int(self.design.shape[1]) - self.n_random

    @property
    def fixed_columns(self) -> sp.csr_matrix:
        """X, (m, p)."""
        return sp.csr_matrix(self.design[:, self.n_random :])

    @property
    def fixed_mean(self) -> Vector:
        """Zeros, (p,)."""
        return np.zeros(self.n_fixed)

    @property
    def fixed_precision(self) -> Vector:
        """Zeros, (p,)."""
        return np.zeros(self.n_fixed)

    @property
    def penalised(self) -> list[str]:
        """Names of the hyperparameters whose priors penalise the likelihood."""
        return [name for prior in self._priors for name in getattr(prior, "names", ())]

    @property
    def penalties(self) -> list[str]:
        """A line for each of those, in words."""
        return [line for prior in self._priors for line in getattr(prior, "lines", ())]

    @property
    def _priors(self) -> list[Any]:
        return [*(term.prior for term in self.precisions), self.likelihood.prior]

    @property
    def is_gaussian(self) -> bool:
        """Whether the log likelihood is quadratic in the predictor, so that the joint mode solves for fixed effects."""
        eta = self.likelihood.start()
        (_, second, third), (_, further, _) = self.likelihood.derivatives(eta), self.likelihood.derivatives(eta + 1.0)
        return not third.any() and bool((second == further).all())

    def coordinates(self, psi: Vector) -> Coordinates:
        """Coordinates of the free hyperparameters, to start from psi; see `Coordinates.of`."""
        return Coordinates.of(self.precisions, self.fixed_theta, psi, self.vanishing)

    def shifted(self, offset: Vector) -> "Unpriored":
        """The same model with this added to its predictor."""
        return replace(self, offset=self.offset + offset)

    def reordered(self, term: int, order: Sequence[int]) -> "Unpriored":
        """The model with the effects of one `Correlated` term in another order, to start from no correlation."""
        own = self.precisions[term]
        first = sum(t.n for t in self.precisions[:term])
        at = sum(len(t.parameters) for t in self.precisions[:term])
        columns = np.arange(self.design.shape[1])
        columns[first : first + own.n] = first + np.arange(own.n).reshape(-1, own.effects)[:, list(order)].ravel()
        where = int(np.isnan(self.fixed_theta[:at]).sum()) + np.arange(own.effects)
        start = self.start.copy()
        start[where] = start[where][list(order)]
        return replace(self, design=sp.csr_matrix(self.design[:, columns]), start=start)

    def with_fixed_trends(self) -> tuple["Unpriored", sp.csr_matrix]:
        """The model with what nothing penalises among the fixed effects, before them.

        Returns
        -------
        Unpriored
        csr_matrix
            T, (n, n), where the latent vector of this model is T x, x that of the other.
        """
        terms = [term.penalised() for term in self.precisions]
        slants: list[Any] = []
        random: list[int] = []
        trends: list[int] = []
        first = 0
        for term, whole in zip(terms, self.precisions):
            random += range(first, first + term.n)
            trends += range(first + term.n, first + whole.n)
            first += whole.n
            block = sp.eye_array(whole.n, format="lil")
            if whole.n > term.n and whole.slants is not None:
                block[term.n :, : term.n] = whole.slants
            slants.append(block)
        order = [*random, *trends, *range(first, self.design.shape[1])]
        back = sp.csr_matrix(sp.block_diag([*slants, sp.eye_array(self.n_fixed)], format="csr"))[:, order]
        return replace(self, precisions=terms, design=sp.csr_matrix(self.design @ back)), back

    def upright(self) -> tuple["Unpriored", Basis]:
        """The model with fixed effects in coordinates that rounding leaves apart, to search in, and these."""
        basis = Basis.of(self.design, self.n_random)
        return replace(self, design=basis.rows(self.design)), basis

    def holding(self, column: int) -> tuple["Unpriored", Vector]:
        """The model without one fixed effect, and the column of that."""
        kept = np.delete(np.arange(self.design.shape[1]), self.n_random + column)
        own = self.design[:, [self.n_random + column]].toarray().ravel()
        return replace(self, design=sp.csr_matrix(self.design[:, kept])), own


class Restricted(Standardised):
    """The restricted likelihood of psi: fixed effects integrated out with a flat prior."""

    @property
    def n_outer(self) -> int:
        """Number of fixed effects among what is maximised over."""
        return 0

    def fixed_at(self, point: LaplacePoint) -> Vector:
        """Fixed effects at a point, (p,)."""
        return point.x[self.n_random :]

    def fixed_covariance(self, point: LaplacePoint) -> Vector:
        """Their covariance given psi, (p, p)."""
        if self.n_fixed == 0:
            return np.zeros((0, 0))
        return self.solve(point, _fixed_units(self))[self.n_random :]


class Profiled(Restricted):
    """The likelihood of psi with the fixed effects at the joint mode for each psi: their best for a Gaussian response.

    It is the restricted likelihood times ``(2 pi)^(-p/2) |C|^(-1/2)``, C the covariance of the fixed effects given
    psi: what integrating them out had multiplied by.
    """

    def shifted(self, offset: Vector) -> "Profiled":
        """The same with this added to the predictor; shares all that was analysed."""
        other = copy(self)
        other.model = self.model.shifted(offset)  # type: ignore[attr-defined]
        return other

    def here(self, psi: Vector, start: Vector | None, gradient: bool) -> LaplacePoint:
        """Log likelihood of a view at psi, by its design."""
        point = super().here(psi, start, gradient)
        if self.n_fixed == 0:
            return point
        solved = self.solve(point, _fixed_units(self))
        covariance = solved[self.n_random :]
        value = point.log_posterior - 0.5 * np.linalg.slogdet(covariance)[1] - 0.5 * self.n_fixed * LOG_2PI
        total = point.gradient
        if gradient:
            weighted = solved @ np.linalg.inv(covariance)  # d½log|C| = -½ tr(C⁻¹ Z' dH Z), Z = H⁻¹ of the unit vectors
            total = total + self._slopes(point, psi, solved, weighted)
            through_mode = point.derivatives[2] * ((self.design @ solved) * (self.design @ weighted)).sum(axis=1)
            if through_mode.any():
                total = total - 0.5 * through_mode @ (self.design @ point.slope)
        return replace(point, log_posterior=value, gradient=total)

    def _slopes(self, point: LaplacePoint, psi: Vector, solved: Vector, weighted: Vector) -> Vector:
        """``½ tr(C⁻¹ Z' dH Z)`` in each psi."""
        whole = self.whole(psi[self.rest])
        slope = np.zeros(self.fixed_theta.size)
        for term, block, where in zip(self.precisions, self.blocks, self.theta_blocks):
            indptr, indices = term.pattern.indptr, term.pattern.indices
            for j, of_h in enumerate(term.gradients(whole[where])):
                slope[where.start + j] = 0.5 * sum(
                    float(w @ symmetric_times(indptr, indices, of_h, z))
                    for z, w in zip(solved[block].T.copy(), weighted[block].T)
                )
        eta_weighted = self.design @ weighted
        likelihood = self.likelihood_at(whole)
        if likelihood.parameters:
            of_weights = -likelihood.theta_derivatives(point.eta)[2]
            slope[self.family_block] = 0.5 * of_weights @ ((self.design @ solved) * eta_weighted).sum(axis=1)
        total = np.zeros(psi.size)
        total[self.rest] = slope[self.free]
        for e in self.effects:
            by_row = e.by_row(solved)
            for k, column, value in e.slopes():
                total[k] = -(point.derivatives[1] * value) @ (by_row[:, column] * eta_weighted).sum(axis=1)
        return total


class Joint:
    """The likelihood of psi = (theta, fixed effects), with the random terms alone in the latent vector.

    Attributes
    ----------
    original : Unpriored
        The model that was given.
    random : Standardised or None
        Of the model without its fixed effects; None where there are no random terms.
    n_theta, n_outer : int
        Size of psi, and how many of it are fixed effects.
    """

    def __init__(self, model: Unpriored):
        self.original = model
        self.fixed = model.fixed_columns
        self.n_outer = model.n_fixed
        self.evaluations = 0
        self.factorisations = 0
        without = replace(model, design=sp.csr_matrix(model.design[:, : model.n_random]))
        self.random = Standardised(without) if model.n_random else None
        self._free = np.isnan(model.fixed_theta)
        self.n_theta = int(self._free.sum()) + self.n_outer

    def split(self, psi: Vector) -> tuple[Vector, Vector]:
        """Theta and the fixed effects of psi."""
        d = self.n_theta - self.n_outer
        return psi[:d], psi[d:]

    def fixed_at(self, point: LaplacePoint) -> Vector:
        """Fixed effects at a point, (p,)."""
        return self.split(point.theta)[1]

    def describe(self, psi: Vector) -> str:
        """Psi in the user's words, for messages."""
        theta, beta = self.split(psi)
        fixed = f"fixed effects {np.array2string(beta, precision=4)}"
        if self.random is None or not self.original.fixed_theta.size:
            return fixed
        return f"{self.random.describe(theta)}, {fixed}"

    def random_at(self, psi: Vector) -> Standardised:
        """The random terms' Laplace approximations with the fixed effects as an offset, viewed at psi."""
        assert self.random is not None
        theta, beta = self.split(psi)
        shifted = copy(self.random.viewed(theta))
        shifted.model = self.random.model.shifted(self.fixed @ beta)  # type: ignore[attr-defined]
        return shifted

    def latent(self, psi: Vector, x: Vector) -> Vector:
        """The random effects in their own units, from the standardised ones."""
        return x if self.random is None else self.random.latent(self.split(psi)[0], x)

    def theta_of(self, psi: Vector) -> Vector:
        """The free theta of the model that was given; see `Standardised.theta_of`."""
        theta = self.split(psi)[0]
        return theta if self.random is None else self.random.theta_of(theta)

    def psi_of(self, theta: Vector) -> Vector:
        """Psi without fixed effects, at a free theta of the model that was given."""
        return theta if self.random is None else self.random.psi_of(theta)

    @property
    def effects(self) -> list[Effects]:
        """Effects that are standardised."""
        return [] if self.random is None else self.random.effects

    def at(self, psi: Vector, start: Vector | None = None, gradient: bool = True) -> LaplacePoint:
        """Log likelihood at psi, its gradient, and the mode of the random effects with its slope.

        The gradient in the fixed effects has the same two parts as in theta: explicit, and through the mode.
        """
        self.evaluations += 1
        psi = np.asarray(psi, dtype=float)
        theta, beta = self.split(psi)
        if self.random is None:
            return self._regression(psi, theta, beta)
        laplace = self.random_at(psi)
        before = laplace.factorisations
        point = laplace.here(theta, start, gradient)
        self.factorisations += laplace.factorisations - before
        if not gradient:
            return replace(point, theta=psi, gradient=np.zeros(psi.size), slope=np.zeros((laplace.n, psi.size)))
        first, second, _ = point.derivatives
        moves = laplace.solve(point, laplace.design_t @ laplace.bent(second, self.fixed.toarray()))
        pull = point.pull
        of_fixed = self.fixed.T @ (first + 0.5 * pull) + 0.5 * moves.T @ (laplace.design_t @ pull)
        return replace(
            point,
            theta=psi,
            gradient=np.concatenate([point.gradient, of_fixed]),
            slope=np.hstack([point.slope, moves]),
        )

    def _regression(self, psi: Vector, theta: Vector, beta: Vector) -> LaplacePoint:
        """The likelihood of a model without random terms."""
        whole = self.original.fixed_theta.copy()
        whole[self._free] = theta
        eta = self.fixed @ beta + self.original.offset
        try:
            with np.errstate(over="raise", invalid="raise"):
                likelihood = self.original.likelihood.at(whole)
                value = float(likelihood.log_density(eta).sum())
                derivatives = likelihood.derivatives(eta)
                of_theta = likelihood.theta_derivatives(eta)[0].sum(axis=1)
        except FloatingPointError:
            raise NumericalError(f"the likelihood overflows at {self.describe(psi)}") from None
        gradient = np.concatenate([of_theta[self._free], self.fixed.T @ derivatives[0]])
        nothing, slope = np.zeros(0), np.zeros((0, psi.size))
        return LaplacePoint(
            psi, value, gradient, nothing, nothing, eta, np.zeros_like(eta), derivatives, slope, nothing,
            np.zeros_like(gradient),
        )  # fmt: skip


class Estimated(Laplace):
    """The joint Gaussian of random and fixed effects about an estimate, for tables, draws and predictions.

    The fixed effects have the covariance that their likelihood gives them, the random effects move with them as their
    mode does: the joint precision of Kristensen et al. (2016), J. Stat. Soft. 70(5), section 2.

    Parameters
    ----------
    model : Unpriored
    theta : (d,) array
        Estimates of the free hyperparameters.
    x : (n,) array
        Modes of the random effects at the estimates, and the estimates of the fixed effects.
    fixed_covariance : (p, p) array or None
        Of the fixed effects in these coordinates; None where it is the one given theta.
    basis : Basis, optional
        Of the fixed effects.
    """

    def __init__(
        self,
        model: Unpriored,
        theta: Vector,
        x: Vector,
        fixed_covariance: Vector | None = None,
        basis: Basis | None = None,
    ):
        super().__init__(model, basis=basis)
        self._theta, self._x = theta, x
        self._inside = _inside(model, theta)
        self._of_fixed = fixed_covariance if self.n_fixed else None

    def factorise(self, values: Vector) -> ConstrainedFactor:
        """Factor of the joint precision, of H's values."""
        factor = super().factorise(values)
        return factor if self._of_fixed is None else FollowingFactor(factor, self._of_fixed, self.basis)

    def point(self, log_likelihood: float) -> LaplacePoint:
        """The estimate as a point."""
        whole = self.whole(self._inside)
        eta = self.design @ self._x + self.model.offset
        derivatives = self.likelihood_at(whole).derivatives(eta)
        factor = self.factor_of(whole, self.prior_at(whole), -derivatives[1])
        selected = self.selected_inverse(factor)
        nothing = np.zeros(0)
        return LaplacePoint(
            self._inside, log_likelihood, nothing, self._x, selected, eta, self.variances(selected)[: eta.size],
            derivatives, nothing, self._x, nothing, 0, factor,
        )  # fmt: skip


def _inside(model: Unpriored, theta: Vector) -> Vector:
    """Theta with the correlations of all terms a little away from one."""
    whole, at = model.fixed_theta.copy(), 0
    free = np.isnan(whole)
    whole[free] = theta
    for term in model.precisions:
        own = slice(at, at + len(term.parameters))
        whole[own] = term.regular(whole[own])
        at = own.stop
    return whole[free]


def _fixed_units(laplace: Laplace) -> Vector:
    """Unit vectors of the fixed effects, (n, p)."""
    units = np.zeros((laplace.n, laplace.n_fixed))
    units[laplace.n_random :] = np.eye(laplace.n_fixed)
    return units
