"""Likelihoods of the hyperparameters, with exact gradients: what REML and ML maximise.

All of them are Laplace approximations without the priors of the hyperparameters. REML has the fixed effects in the
latent vector with a flat prior (Harville 1974, Biometrika 61, 383-385). ML has them outside: of a Gaussian response
their best value is the joint mode at each theta, of others they are maximised over together with theta.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import NumericalError
from geospde.inference.laplace import LOG_2PI, Laplace, LaplacePoint
from geospde.inference.supernodal import symmetric_times
from geospde.inference.system import LatentGaussianModel

Vector = NDArray[np.float64]
TIGHT = 1e-20  # Newton's expected gain: differences of gradients need the latent mode to full precision


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


@dataclass(frozen=True)
class Unpriored:
    """A latent Gaussian model without priors: of its hyperparameters, and of its fixed effects."""

    terms: Sequence[Any]
    design: sp.csr_matrix
    offset: Vector
    likelihood: Any
    held: Vector

    @classmethod
    def of(cls, model: LatentGaussianModel) -> "Unpriored":
        """The same model without its priors."""
        terms = [copy(term) for term in model.terms]
        for term in terms:
            term.prior = NoPrior()
        likelihood = replace(model.likelihood, prior=NoPrior())
        count = sum(len(term.parameters) for term in terms) + len(likelihood.parameters)
        held = np.asarray(getattr(model, "held", np.full(count, np.nan)), dtype=float)
        return cls(terms, sp.csr_matrix(model.design), np.asarray(model.offset, dtype=float), likelihood, held)

    @property
    def n_random(self) -> int:
        """Number of latent variables of the random terms."""
        return sum(term.n for term in self.terms)

    @property
    def n_fixed(self) -> int:
        """Number of fixed effects."""
        return self.design.shape[1] - self.n_random

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
    def is_gaussian(self) -> bool:
        """Whether the log likelihood is quadratic in the predictor, so that the joint mode solves for fixed effects."""
        eta = self.likelihood.start()
        (_, second, third), (_, further, _) = self.likelihood.derivatives(eta), self.likelihood.derivatives(eta + 1.0)
        return not third.any() and bool((second == further).all())

    def shifted(self, offset: Vector) -> "Unpriored":
        """The same model with this added to its predictor."""
        return replace(self, offset=self.offset + offset)

    def holding(self, column: int) -> tuple["Unpriored", Vector]:
        """The model without one fixed effect, and the column of that."""
        kept = np.delete(np.arange(self.design.shape[1]), self.n_random + column)
        own = self.design[:, [self.n_random + column]].toarray().ravel()
        return replace(self, design=sp.csr_matrix(self.design[:, kept])), own


class Restricted(Laplace):
    """The restricted likelihood of theta: fixed effects integrated out with a flat prior."""

    def __init__(self, model: Unpriored):
        super().__init__(model, TIGHT)

    @property
    def n_outer(self) -> int:
        """Number of fixed effects among what is maximised over."""
        return 0

    def fixed_at(self, point: LaplacePoint) -> Vector:
        """Fixed effects at a point, (p,)."""
        return point.x[self.n_random :]

    def fixed_covariance(self, point: LaplacePoint) -> Vector:
        """Their covariance given theta, (p, p)."""
        if self.n_fixed == 0:
            return np.zeros((0, 0))
        return self.solve(point, _fixed_units(self))[self.n_random :]


class Profiled(Restricted):
    """The likelihood of theta for a Gaussian response, with the fixed effects at their best for each theta.

    It is the restricted likelihood times ``(2 pi)^(-p/2) |C|^(-1/2)``, C the covariance of the fixed effects given
    theta: what integrating them out had multiplied by.
    """

    def shifted(self, offset: Vector) -> "Profiled":
        """The same with this added to the predictor; shares all that was analysed."""
        other = copy(self)
        other.model = self.model.shifted(offset)  # type: ignore[attr-defined]
        return other

    def at(self, theta: Vector, start: Vector | None = None, gradient: bool = True) -> LaplacePoint:
        """Log likelihood at theta; see `Laplace.at`."""
        point = super().at(theta, start, gradient)
        if self.n_fixed == 0:
            return point
        solved = self.solve(point, _fixed_units(self))
        covariance = solved[self.n_random :]
        value = point.log_posterior - 0.5 * np.linalg.slogdet(covariance)[1] - 0.5 * self.n_fixed * LOG_2PI
        slope = np.zeros(self.held.size)
        if gradient:
            whole = self.whole(point.theta)
            weighted = solved @ np.linalg.inv(covariance)  # d½log|C| = -½ tr(C⁻¹ Z' dH Z), Z = H⁻¹ of the unit vectors
            for term, block, where in zip(self.terms, self.blocks, self.theta_blocks):
                indptr, indices = term.pattern.indptr, term.pattern.indices
                for j, of_h in enumerate(term.gradients(whole[where])):
                    slope[where.start + j] = 0.5 * sum(
                        float(w @ symmetric_times(indptr, indices, of_h, z))
                        for z, w in zip(solved[block].T.copy(), weighted[block].T)
                    )
            likelihood = self.likelihood_at(whole)
            if likelihood.parameters:
                of_weights = -likelihood.theta_derivatives(point.eta)[2]
                both = ((self.design @ solved) * (self.design @ weighted)).sum(axis=1)
                slope[self.family_block] = 0.5 * of_weights @ both
        return replace(point, log_posterior=value, gradient=point.gradient + slope[self.free])


class Joint:
    """The likelihood of psi = (theta, fixed effects), with the random terms alone in the latent vector.

    Attributes
    ----------
    random : Laplace or None
        Of the model without its fixed effects; None where there are no random terms.
    n_theta, n_outer : int
        Size of psi, and how many of it are fixed effects.
    """

    def __init__(self, model: Unpriored):
        self.model = model
        self.fixed = model.fixed_columns
        self.n_outer = model.n_fixed
        self.evaluations = 0
        self.factorisations = 0
        without = replace(model, design=sp.csr_matrix(model.design[:, : model.n_random]))
        self.random = Laplace(without, TIGHT) if model.n_random else None
        self._free = np.isnan(model.held)
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
        if self.random is None or not self.model.held.size:
            return fixed
        return f"{self.random.describe(theta)}, {fixed}"

    def random_at(self, beta: Vector) -> Laplace:
        """The random terms' Laplace approximations with the fixed effects as an offset."""
        assert self.random is not None
        shifted = copy(self.random)
        shifted.model = self.random.model.shifted(self.fixed @ beta)  # type: ignore[attr-defined]
        return shifted

    def at(self, psi: Vector, start: Vector | None = None, gradient: bool = True) -> LaplacePoint:
        """Log likelihood at psi, its gradient, and the mode of the random effects with its slope.

        The gradient in the fixed effects has the same two parts as in theta: explicit, and through the mode.
        """
        self.evaluations += 1
        theta, beta = self.split(np.asarray(psi, dtype=float))
        if self.random is None:
            return self._regression(psi, theta, beta)
        laplace = self.random_at(beta)
        before = laplace.factorisations
        point = laplace.at(theta, start, gradient)
        self.factorisations += laplace.factorisations - before
        if not gradient:
            return replace(point, theta=psi, gradient=np.zeros(psi.size), slope=np.zeros((laplace.n, psi.size)))
        first, second, third = point.derivatives
        moves = laplace.solve(point, laplace.design_t @ (second[:, None] * self.fixed.toarray()))
        pull = point.eta_variance * third  # derivative of -½ log|H| in eta, doubled
        of_fixed = self.fixed.T @ (first + 0.5 * pull) + 0.5 * moves.T @ (laplace.design_t @ pull)
        return replace(
            point,
            theta=psi,
            gradient=np.concatenate([point.gradient, of_fixed]),
            slope=np.hstack([point.slope, moves]),
        )

    def _regression(self, psi: Vector, theta: Vector, beta: Vector) -> LaplacePoint:
        """The likelihood of a model without random terms."""
        whole = self.model.held.copy()
        whole[self._free] = theta
        eta = self.fixed @ beta + self.model.offset
        try:
            with np.errstate(over="raise", invalid="raise"):
                likelihood = self.model.likelihood.at(whole)
                value = float(likelihood.log_density(eta).sum())
                derivatives = likelihood.derivatives(eta)
                of_theta = likelihood.theta_derivatives(eta)[0].sum(axis=1)
        except FloatingPointError:
            raise NumericalError(f"the likelihood overflows at {self.describe(psi)}") from None
        gradient = np.concatenate([of_theta[self._free], self.fixed.T @ derivatives[0]])
        nothing, slope = np.zeros(0), np.zeros((0, psi.size))
        return LaplacePoint(
            psi, value, gradient, nothing, nothing, eta, np.zeros_like(eta), derivatives, slope, nothing
        )


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
        Of the fixed effects; None where it is the one given theta.
    """

    def __init__(self, model: Unpriored, theta: Vector, x: Vector, fixed_covariance: Vector | None = None):
        super().__init__(model)
        self._theta, self._x = theta, x
        if fixed_covariance is not None and self.n_fixed:
            given = self.solve(self.point(0.0), _fixed_units(self))[self.n_random :]
            correction = np.linalg.inv(fixed_covariance) - np.linalg.inv(given)
            self._fixed_values = correction[np.tril_indices(self.n_fixed)]

    def point(self, log_likelihood: float) -> LaplacePoint:
        """The estimate as a point."""
        whole = self.whole(self._theta)
        eta = self.design @ self._x + self.model.offset
        derivatives = self.likelihood_at(whole).derivatives(eta)
        factor = self.factor_of(whole, self.prior_at(whole), -derivatives[1])
        selected, v = factor.selected_inverse(), self.constraint_solve(factor)
        if v is not None:
            selected = selected - self.constraint_correction(v)
        nothing = np.zeros(0)
        return LaplacePoint(
            self._theta, log_likelihood, nothing, self._x, selected, eta, self.variances(selected), derivatives,
            nothing, self._x, 0, factor, v,
        )  # fmt: skip


def _fixed_units(laplace: Laplace) -> Vector:
    """Unit vectors of the fixed effects, (n, p)."""
    units = np.zeros((laplace.n, laplace.n_fixed))
    units[laplace.n_random :] = np.eye(laplace.n_fixed)
    return units
