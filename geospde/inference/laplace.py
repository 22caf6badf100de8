"""The inner step: mode, curvature and Laplace approximation of the latent field at one theta, with the gradient.

The Laplace approximation of p(theta | y) is equation (3) of Rue, Martino & Chopin (2009), J. R. Statist. Soc. B 71,
319-392. Its gradient is exact, by implicit differentiation of the mode; the traces in it come from selected inverses.
"""

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geospde.errors import NumericalError
from geospde.families.barrier import barriers
from geospde.inference.system import EPSILON, LatentGaussianModel, Predictor, Start, System
from geospde.linalg.basis import Basis
from geospde.linalg.cholesky import NotPositiveDefinite
from geospde.linalg.constrained import ConstrainedFactor
from geospde.linalg.supernodal import symmetric_times
from geospde.linalg.threads import beside

Vector = NDArray[np.float64]
PriorPart = tuple[float, Vector]
MOST_STEPS = 60  # of Newton
TIGHT = 1e-20  # Newton's expected gain where differences of gradients need the mode to full precision
LAG = 1e-4  # gain of a Newton step after which H need not be factorised again: the next gain is its square or so
SMALL_LAG = 1e-6  # and where a gradient is wanted to a thousandth, which no first order mends
DIGITS = 0.1  # of a log density, that rounding may take: beyond it has none
NOISE = 100.0  # of a log density: beyond such a bound of rounding Newton ends anywhere, at values up to 1e63
ROUNDING = 1e-10  # expected gain an observation that may be rounding, where steps no longer make it smaller
SHARE = 1e-3  # of the log density that stands for observations where it is large, as of counts of millions
LOG_2PI = float(np.log(2 * np.pi))


@dataclass(frozen=True)
class LaplacePoint:
    """The Laplace approximation at one theta.

    Attributes
    ----------
    theta : (d,) array
    log_posterior : float
        log p(y, theta) by Laplace, all constants included.
    gradient : (d,) array
        Its exact derivative.
    gradient_error : (d,) array
        Bound of its rounding error: where a precision is nearly singular, large terms cancel.
    x : (n,) array
        Mode of the latent vector.
    covariance : (nnz,) array
        Entries of the (constrained) inverse of H on its own pattern.
    eta, eta_variance : (m,) arrays
        Predictor at the mode and its variance.
    rounding : float
        Bound of the rounding error of `log_posterior`: where H is nearly singular, its determinant loses digits.
    newton_steps : int
        Factorisations of H that the mode took.
    correction : float
        The second-order part of `log_posterior`, which the gradient does not include.
    log_prior : float
        Log normaliser of p(x | theta) plus log p(theta).
    """

    theta: Vector
    log_posterior: float
    gradient: Vector
    x: Vector
    covariance: Vector
    eta: Vector
    eta_variance: Vector
    derivatives: tuple[Vector, Vector, Vector]
    slope: Vector  # dx/dtheta, (n, d)
    mean: Vector  # of the Gaussian taken for p(x | theta, y): the mode, or corrected
    gradient_error: Vector
    newton_steps: int = 0
    factor: ConstrainedFactor | None = None  # dropped where many points are kept
    correction: float = 0.0
    rounding: float = 0.0
    pull: Vector = field(default_factory=lambda: np.zeros(0))  # of -log|H| in eta, (m,)
    log_prior: float = np.nan

    def without_factor(self) -> "LaplacePoint":
        """The point without its factor, which takes most of its memory."""
        return replace(self, factor=None)


class _Mode(NamedTuple):
    """Where Newton ended.

    `moved` is how far the predictors have gone since the factor was made, `exact` whether the factor is of H with the
    curvature that is there and not with positive stand-ins.
    """

    x: Vector
    eta: Vector
    derivatives: tuple[Vector, Vector, Vector]
    factor: ConstrainedFactor
    steps: int
    moved: Vector
    exact: bool


class _Curved(NamedTuple):
    """A factor of H at second derivatives of the log density, and whether with these or with positive stand-ins."""

    second: Vector
    factor: ConstrainedFactor
    exact: bool


class Laplace(System):
    """Laplace approximations of one model, with all patterns analysed once.

    Parameters
    ----------
    model : LatentGaussianModel
    tolerance : float
        Newton stops when the expected gain in log density is below it.
    basis : Basis, optional
        Coordinates of the fixed effects to compute in; by default those that `Basis.of` finds.
    """

    def __init__(self, model: LatentGaussianModel, tolerance: float = 1e-14, basis: Basis | None = None):
        super().__init__(model, basis)
        bends = getattr(model.likelihood, "bends_units", False)
        self.tolerance, self.lags = min(tolerance, TIGHT) if bends else tolerance, not bends
        self.evaluations = 0
        self.factorisations = 0

    def at(self, theta: Vector, start: Vector | None = None, gradient: bool = True) -> LaplacePoint:
        """Laplace approximation at theta.

        Parameters
        ----------
        theta : (d,) array
            Hyperparameters on their internal, unbounded scale.
        start : (n,) array, optional
            Where Newton starts; the nearer to the mode, the fewer factorisations.
        gradient : bool
            Whether the gradient and dx/dtheta are wanted; without them they are zero.

        Raises
        ------
        NumericalError
            With theta, where a precision is not positive definite or Newton does not converge.
        """
        return self._at(theta, start, gradient, 0.0 if gradient else LAG)

    def lagging(
        self, theta: Vector, start: Start = None, gradient: bool = True, prior: PriorPart | None = None
    ) -> LaplacePoint:
        """The same from near the mode: a factorisation fewer, a gradient to a thousandth; `prior` where it is known."""
        return self._at(theta, start, gradient, SMALL_LAG if gradient else LAG, prior)

    def _at(
        self, theta: Vector, start: Start, gradient: bool, lag: float, prior: PriorPart | None = None
    ) -> LaplacePoint:
        """The same, where the factor of a Newton step's start serves for its end if it promises a gain below `lag`."""
        self.evaluations += 1
        theta = self.whole(np.asarray(theta, dtype=float))
        try:
            with np.errstate(over="raise", invalid="raise", divide="raise"):
                values = [t.values(theta[b]) for t, b in zip(self.precisions, self.theta_blocks)]
                likelihood = self.likelihood_at(theta)
        except FloatingPointError:
            raise NumericalError(f"a precision overflows at {self.describe(theta)}") from None
        prior_values = self.prior_values(values)
        # the prior's factor and inverse wait for nothing: they are found beside the mode
        of_prior, of_mode = beside(
            lambda: self.prior_part(theta, gradient) if prior is None else prior,
            lambda: self._mode_and_inverse(theta, likelihood, prior_values, start, lag),
            self.n,
        )
        log_prior, total_gradient = of_prior
        (x, eta, derivatives, factor, steps, moved, _), selected = of_mode
        h = self.variances(selected)
        pull = likelihood.pull(eta, derivatives[2], h)
        centred = self.centred(x)
        log_posterior = (
            float(likelihood.log_density(eta).sum())
            - 0.5 * float(centred @ self.times(prior_values, centred))
            + log_prior
            - 0.5 * (factor.log_determinant - float(pull @ moved))
            + 0.5 * (self.n - self.n_constraints) * LOG_2PI
        )

        rounding = self.rounding(prior_values, derivatives[1], selected, x)
        if not rounding < NOISE:
            raise NumericalError(
                f"a precision is so nearly singular that only rounding error is left: {self.describe(theta)}"
            )
        slope, error = np.zeros((self.n, self.n_theta)), np.zeros(theta.size)
        if gradient:
            total_gradient, slope, error = self._gradient(
                theta, likelihood, total_gradient, x, eta, h, pull, factor, selected
            )
        return LaplacePoint(
            theta[self.free], log_posterior, total_gradient[self.free], x, selected, eta, h[: eta.size], derivatives,
            slope, x, error[self.free], steps, factor, 0.0, rounding, pull, log_prior,
        )  # fmt: skip

    def rounding(self, prior_values: Vector, second: Vector, selected: Vector, x: Vector) -> float:
        """Bound of the rounding error of the log posterior with its mode at x, (n,), and H's selected inverse."""
        of_determinant = self.determinant_rounding(prior_values, second, selected)
        return max(of_determinant, self.quadratic_rounding(prior_values, x))

    def _gradient(
        self,
        theta: Vector,
        likelihood: Any,
        gradient: Vector,
        x: Vector,
        eta: Vector,
        h: Vector,
        pull: Vector,
        factor: ConstrainedFactor,
        selected: Vector,
    ) -> tuple[Vector, Vector, Vector]:
        """Gradient of the log posterior, begun with the prior's part, dx/dtheta, and the rounding of the gradient.

        The explicit part of each theta, and the part through the mode by one solve for all of them.
        """
        gradient = gradient.copy()
        right, error = np.zeros((self.n, theta.size)), np.zeros(theta.size)
        for term, block, places, where in zip(self.precisions, self.blocks, self.term_places, self.theta_blocks):
            try:
                with np.errstate(over="raise", invalid="raise", divide="raise"):
                    slopes = term.gradients(theta[where])
            except FloatingPointError:
                raise NumericalError(f"the slope of a precision overflows at {self.describe(theta)}") from None
            doubled = selected[places] * self.double[places]
            for k, q_k in enumerate(slopes, where.start):
                qx = symmetric_times(term.pattern.indptr, term.pattern.indices, q_k, x[block])
                products = doubled * q_k
                gradient[k] -= 0.5 * (float(x[block] @ qx) + float(products.sum()))
                error[k] = EPSILON * float(np.abs(products).sum())
                right[block, k] = -qx
        if likelihood.parameters:
            of_density, of_first, of_second = likelihood.theta_derivatives(eta)
            gradient[self.family_block] += of_density.sum(axis=1) + 0.5 * of_second @ h
            right[:, self.family_block] = self.design_t @ of_first.T
        solved = factor.solve(np.column_stack([self.design_t @ pull, right[:, self.free]]))
        gradient += 0.5 * solved[:, 0] @ right
        return gradient, np.ascontiguousarray(solved[:, 1:]), error

    def whole(self, theta: Vector) -> Vector:
        """Insert the hyperparameters that are held into theta; a whole theta stays as it is."""
        if theta.size == self.free.size:
            return theta
        out = self.fixed_theta.copy()
        out[self.free] = theta
        return out

    def likelihood_at(self, theta: Vector) -> Any:
        """The likelihood with its own hyperparameters taken from theta."""
        return self.model.likelihood.at(self.whole(theta)[self.family_block])

    def factor_again(self, point: LaplacePoint) -> LaplacePoint:
        """The point with its factor, made anew where it was dropped."""
        if point.factor is not None:
            return point
        prior_values = self.prior_at(self.whole(point.theta))
        return replace(point, factor=self.factorise(prior_values + self.data_part(-point.derivatives[1])))

    def restored(
        self, theta: Vector, log_posterior: float, x: Vector, mean: Vector, covariance: Vector
    ) -> LaplacePoint:
        """A point from what was saved of it."""
        eta = self.design @ x + self.model.offset
        derivatives = self.likelihood_at(theta).derivatives(eta)
        nothing = np.zeros(0)
        variance = self.variances(covariance)[: eta.size]
        return LaplacePoint(
            theta, float(log_posterior), nothing, x, covariance, eta, variance, derivatives, nothing, mean, nothing
        )

    def solve(self, point: LaplacePoint, b: Vector) -> Vector:
        """(Constrained) H⁻¹ b at a point, b (n,) or (n, k)."""
        point = self.factor_again(point)
        assert point.factor is not None
        return point.factor.solve(b)

    def draw(self, point: LaplacePoint, noise: Vector) -> Vector:
        """Draws of the latent vector at a point, (n, k), inside the constraints, of so many standard normals."""
        point = self.factor_again(point)
        assert point.factor is not None
        return point.mean[:, None] + point.factor.draw(noise)

    def describe(self, theta: Vector) -> str:
        """Theta in the user's words, for messages."""
        words, theta = [], self.whole(theta)
        for term, where in zip(self.precisions, self.theta_blocks):
            for name, value in zip(term.parameters, term.user(np.clip(theta[where], -700, 700))):
                words.append(f"{name}({term.label}) = {value:.4g}")
        likelihood = self.model.likelihood
        for name, value in zip(likelihood.parameters, likelihood.user(theta[self.family_block])):
            words.append(f"{name} = {value:.4g}")
        return ", ".join(words) if words else "its only point"

    def log_prior(self, theta: Vector) -> float:
        """Log density of the hyperparameters' prior."""
        theta = self.whole(theta)
        of_terms = sum(t.prior.log_density(theta[b]) for t, b in zip(self.precisions, self.theta_blocks))
        return float(of_terms + self.model.likelihood.prior.log_density(theta[self.family_block]))

    def prior_part(self, theta: Vector, gradient: bool = True) -> PriorPart:
        """Log normaliser of p(x | theta) plus log p(theta), and its gradient in the whole theta.

        A precision may remember what it found at one theta for the next.
        """
        theta = self.whole(theta)
        total = self.fixed_log_normaliser - 0.5 * self.proper_rank * LOG_2PI
        slope = np.zeros(theta.size)
        for term, where in zip(self.precisions, self.theta_blocks):
            before = term.factorisations
            try:
                value, of_term = term.log_normaliser(theta[where], gradient)
            except NotPositiveDefinite as error:
                raise NumericalError(f"{error}: term {term.label} at {self.describe(theta)}") from None
            finally:
                self.factorisations += term.factorisations - before
            total += value + term.prior.log_density(theta[where])
            slope[where] = of_term + term.prior.gradient(theta[where])
        prior = self.model.likelihood.prior
        total += prior.log_density(theta[self.family_block])
        slope[self.family_block] = prior.gradient(theta[self.family_block])
        return total, slope

    def _mode_and_inverse(
        self, theta: Vector, likelihood: Any, prior_values: Vector, start: Start, lag: float
    ) -> tuple[_Mode, Vector]:
        try:
            mode = self._mode(theta, likelihood, prior_values, start, lag)
        except NumericalError:
            if not np.isfinite(likelihood.room(likelihood.start())).any():
                raise
            mode = self._mode_from_inside(theta, likelihood, prior_values)
        if not mode.exact:
            # Newton went with positive weights; the Laplace approximation takes the curvature that is there
            mode = mode._replace(factor=self.factor_of(theta, prior_values, -mode.derivatives[1]), exact=True)
        return mode, self.selected_inverse(mode.factor)

    def _mode(self, theta: Vector, likelihood: Any, prior_values: Vector, start: Start, lag: float) -> _Mode:
        """Newton with a backtracking line search, inside the constraints.

        Below `lag` the factor may be that of the last step's start: the log determinant is then mended to first order
        by how far the predictors have moved. Where the curvature is the same again, as a Gaussian's, so is the factor.
        """
        model = self.model
        near: _Curved | None = None
        if start is None or isinstance(start, Predictor):
            rough = likelihood.start() if start is None else start.eta
            start, near = self._start(theta, likelihood, prior_values, rough)
        x = self.project(start)

        def objective(x: Vector) -> tuple[float, Vector]:
            eta = self.design @ x + model.offset
            centred = self.centred(x)
            density = float(likelihood.log_density(eta).sum())
            return density - 0.5 * float(centred @ self.times(prior_values, centred)), eta

        value, eta = objective(x)
        for flat in (False, True):
            if not np.isfinite(value):
                rough = self._start(theta, likelihood, prior_values, likelihood.start(), True)[0] if flat else 0.0 * x
                x = self.project(rough)
                value, eta, near = *objective(x), None
        if np.isneginf(value):
            words = f"the link {model.likelihood.link.name!r} has no mean at any predictor that a search may begin at"
            raise NumericalError(f"{words}: has the model an intercept? {self.describe(theta)}")
        last_gain = np.inf
        for step in range(1, MOST_STEPS + 1):
            derivatives = likelihood.derivatives(eta)
            if near is None or not np.array_equal(near.second, derivatives[1]):
                near = self._newton_factor(theta, likelihood, prior_values, eta, derivatives[1])
            _, factor, exact = near
            gradient = self.design_t @ derivatives[0] - self.times(prior_values, self.centred(x))
            direction = factor.solve(gradient)
            gain = float(gradient @ direction)
            scale = max(eta.size, SHARE * abs(value))  # a response's unit adds to each log density
            small = ROUNDING * scale > gain > 0.1 * last_gain  # rounding is all that is left
            if small or gain < self.tolerance * scale:
                return _Mode(x, eta, derivatives, factor, step, np.zeros_like(eta), exact)
            last_gain = gain
            if self.lags and gain < lag and (derivatives[1] <= 0).all():
                near_eta = self.design @ (x + direction) + model.offset
                if (likelihood.room(near_eta) > 0).all():
                    near_by = likelihood.derivatives(near_eta)
                    return _Mode(x + direction, near_eta, near_by, factor, step, near_eta - eta, exact)
            length = 1.0
            while True:
                trial = x + length * direction
                new_value, new_eta = objective(trial)
                # rounding of the objective itself is the only loss allowed
                if np.isfinite(new_value) and new_value >= value - ROUNDING * scale:
                    break
                if gain < self.quadratic_rounding(prior_values, x):
                    return _Mode(x, eta, derivatives, factor, step, np.zeros_like(eta), exact)
                length *= 0.5
                if length < 1e-10:
                    where = f"at {self.describe(theta)} after {step} Newton steps"
                    raise NumericalError(f"the mode search of the latent field stalled {where}{self.advice}")
            x, value, eta = trial, new_value, new_eta
        where = f"in {MOST_STEPS} Newton steps at {self.describe(theta)}"
        raise NumericalError(f"the mode search of the latent field did not converge {where}{self.advice}")

    def _mode_from_inside(self, theta: Vector, likelihood: Any, prior_values: Vector) -> _Mode:
        """The mode where Newton failed and a link has an end: by barriers that go to nothing, and Newton from there."""
        rough, _ = self._start(theta, likelihood, prior_values, likelihood.start(), True)
        for barrier in barriers(likelihood):
            rough = (found := self._mode(theta, barrier, prior_values, rough, 0.0)).x
        barrier.refuse_at_end(found.eta, self.describe(theta))
        return self._mode(theta, likelihood, prior_values, rough, 0.0)

    def _newton_factor(
        self, theta: Vector, likelihood: Any, prior_values: Vector, eta: Vector, second: Vector
    ) -> _Curved:
        """H with the curvature that is there, for quadratic convergence, or with positive weights where indefinite."""
        exact = True
        if (second > 0).any():
            self.factorisations += 1
            try:
                return _Curved(second, self.factorise(prior_values + self.data_part(-second)), exact)
            except NotPositiveDefinite:
                exact = False
        return _Curved(second, self.factor_of(theta, prior_values, likelihood.newton_weights(eta, second)), exact)

    def factor_of(self, theta: Vector, prior_values: Vector, weights: Vector) -> ConstrainedFactor:
        """Factor of H = Q + A'WA; raises NumericalError that names theta."""
        self.factorisations += 1
        try:
            return self.factorise(prior_values + self.data_part(weights))
        except NotPositiveDefinite as error:
            raise NumericalError(f"{error}: the posterior precision at {self.describe(theta)}{self.advice}") from None

    def _start(
        self, theta: Vector, likelihood: Any, prior_values: Vector, eta: Vector, flat: bool = False
    ) -> tuple[Vector, _Curved | None]:
        """One weighted least-squares step from a predictor, such as the data's own, and the factor if it was of H.

        With `flat` it is to that predictor, which lies in the domain of its link, whatever the responses.
        """
        derivatives = likelihood.derivatives(eta)
        weights = likelihood.newton_weights(eta, derivatives[1])[: eta.size]
        weights = np.maximum(weights, 1e-8 * (weights.max(initial=0.0) or 1.0))
        right = self.design_t @ (derivatives[0] * (not flat) + weights * (eta - self.model.offset))
        right[self.n_random :] += self.fixed_precision @ self.fixed_mean
        factor = self.factor_of(theta, prior_values, weights)
        own = np.array_equal(weights, -derivatives[1])
        return factor.solve(right), _Curved(derivatives[1], factor, True) if own else None
