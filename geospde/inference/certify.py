"""Exact inference by importance sampling from a fit, with its Monte Carlo error.

A fit is Laplace's approximation at points of theta. Here theta comes from a density that is known exactly, spread to
be wider than the fit's, and the latent vector from a Gaussian about its mode at that very theta; each draw is weighted
by the joint density of model and data over the density that it was drawn from:

    w = p(y | x, theta) p(x | theta) p(theta) / (q(theta) q(x | theta)).

The mean of w is the evidence, and weighted means of anything are its posterior means, without Laplace's error. How far
to trust them is told by the tail of the weights (Pareto's k) and by independent batches. The idea is that of section 6
of Rue, Martino & Chopin (2009); the tails are smoothed as Vehtari, Simpson, Gelman, Yao & Gabry (2024), J. Mach. Learn.
Res. 25 (72), have it.

Three things make a few thousand draws enough. Thetas are of low discrepancy, shifted at random in each batch (Owen
1998). Latent vectors come in mirrored pairs. And what is known exactly is not left to chance (control variates). Of the
latent vector: with c L the weight that Laplace's approximation at that theta gives,
E[w f(x)] = E[c L E_q f(x)] + E[(w - c L) f(x)], where only the second, small term is a mean over draws. Of theta: with
the fit's own density r(theta), bent to the weights by a bounded polynomial in its logarithm,
E[w f(theta)] = E_q[f r / q] + E[(w - r / q) f(theta)], the first by very many thetas that cost nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp, ndtr

from geospde.errors import NumericalError
from geospde.inference.correction import expected_slopes
from geospde.inference.hyper import Posterior
from geospde.inference.laplace import DIGITS, LOG_2PI, Laplace
from geospde.inference.marginals import unwrapped
from geospde.inference.mode import silent
from geospde.inference.pareto import smoothed_log_weights
from geospde.linalg.constrained import ConstrainedFactor
from geospde.linalg.importance import BATCHES, ThetaCloud, ThetaProposal
from geospde.linalg.threads import one_blas_thread
from geospde.text.progress import Callback

Vector = NDArray[np.float64]

EACH = 8  # latent vectors per theta: four mirrored pairs
EVEN = 1e-8  # spread of log weights that is rounding error
NEAR = 0.5  # gain in log density below which a Newton step is the last


class Summary(NamedTuple):
    """Mean, standard deviation, quantiles, and the Monte Carlo errors of the mean and, as a share, of the sd."""

    mean: float
    sd: float
    quantiles: Vector
    error: float
    sd_error: float


@dataclass(frozen=True)
class WeightedDraws:
    """Draws of theta and of the fixed effects, with their weights.

    Attributes
    ----------
    theta : (t, d) array
        Free hyperparameters on their internal scale.
    weights : (t, e) array
        Of e latent vectors at each theta, smoothed; they sum to one.
    laplace : (t,) array
        Weight that Laplace's approximation gives each of the vectors at a theta, so scaled that its sum is that of
        `weights`; zero where it does not help.
    cloud : ThetaCloud
    batch : (t,) array of int
    fixed : (t, e, k) array
        Fixed effects of each draw.
    centres, sds : (t, k) arrays
        Mean and standard deviation of the Gaussian that they are drawn from.
    log_marginal_likelihood, log_marginal_likelihood_se : float
    pareto_k : float
    """

    theta: Vector
    weights: Vector
    laplace: Vector
    cloud: ThetaCloud
    batch: NDArray[np.intp]
    fixed: Vector
    centres: Vector
    sds: Vector
    log_marginal_likelihood: float
    log_marginal_likelihood_se: float
    pareto_k: float

    @property
    def ess(self) -> float:
        """Effective sample size: the reciprocal of the sum of squared weights."""
        return float(1.0 / (self.weights**2).sum())

    def of_theta(
        self,
        function: Callable[[Vector], Vector],
        levels: Sequence[float],
        turns: tuple[float, float] | None = None,
    ) -> Summary:
        """Summary of a function of theta, which takes thetas as rows and gives a value each.

        `turns` are the period of one on a circle, and where its mean is looked for. Mean and sd are with the cloud or
        without, whichever has the smaller error: where a tail is heavy a few thetas make up the variance.
        """
        cloud, rest = self.cloud, self.weights.sum(axis=1) - self.cloud.at
        values, many = function(self.theta), function(cloud.theta)
        if turns is not None:
            both = unwrapped(np.concatenate([values, many]), np.concatenate([rest, cloud.weights]), *turns)
            values, many = both[: len(values)], both[len(values) :]
        x, mass = np.concatenate([values, many]), np.concatenate([rest, cloud.weights])
        order = np.argsort(x)
        x, mass = x[order], mass[order] / mass.sum()
        quantiles = np.interp(levels, _rising(np.cumsum(mass) - 0.5 * mass), x)
        several = (self._moments(values, many), replace(self, cloud=ThetaCloud.none(self.theta))._moments(values))
        mean, sd, error, of_square = min(several, key=lambda found: found[3])
        return Summary(mean, sd, quantiles, error, of_square / (2.0 * sd**2) if sd > 0 else 0.0)

    def _moments(self, values: Vector, many: Vector | None = None) -> tuple[float, float, float, float]:
        """Mean and sd of a function of theta, and the errors of the mean and of the second moment."""
        w, rest = self.cloud.weights, self.weights.sum(axis=1) - self.cloud.at
        many = np.zeros(0) if many is None else many
        total = w.sum() + rest.sum()
        mean = float(w @ many + rest @ values) / total
        square = float(w @ (many - mean) ** 2 + rest @ (values - mean) ** 2) / total
        first, second = rest / total * (values - mean), rest / total * ((values - mean) ** 2 - square)
        return mean, float(np.sqrt(max(square, 0.0))), self._error(first), self._error(second)

    def of_fixed(self, k: int, levels: Sequence[float]) -> Summary:
        """Summary of a fixed effect.

        Mean and sd are with those control variates that leave the least error, as in `of_theta`. Shares below a value
        are bounded, and have all of them.
        """
        none = ThetaCloud.none(self.theta)
        plain = replace(self, cloud=none, laplace=np.zeros_like(self.laplace))
        several = (self, replace(self, cloud=none), plain) if self.cloud.weights.size else (self, plain)
        mean, sd, error, of_square = min((one._moments_of_fixed(k) for one in several), key=lambda found: found[3])
        x, (w, mean_of, sd_of), rest = self.fixed[:, :, k].ravel(), self._normals(k), self._rest.ravel()
        grid = mean + sd * np.linspace(-6.0, 6.0, 241)
        order = np.argsort(x)
        steps = np.concatenate([[0.0], np.cumsum(rest[order])])
        below = steps[np.searchsorted(x[order], grid, side="right")]
        below = below + np.array([w @ ndtr((t - mean_of) / sd_of) for t in grid])
        below = _rising(below / (w.sum() + rest.sum()))
        rising = np.concatenate([[True], np.diff(below) > 0])
        return Summary(mean, sd, np.interp(levels, below[rising], grid[rising]), error, of_square / (2.0 * sd**2))

    @property
    def _rest(self) -> Vector:
        """Weights of the draws that Laplace's approximation leaves, (t, e)."""
        return self.weights - self.laplace[:, None]

    def _normals(self, k: int) -> tuple[Vector, Vector, Vector]:
        """Weights, means and sds of the normal densities of a fixed effect that are summed exactly.

        Of Laplace's approximation at each theta, of the cloud, and, taken away, of the cloud's density at each theta.
        """
        m, s, cloud = self.centres[:, k], self.sds[:, k], self.cloud
        parts = [(self.laplace * self.weights.shape[1], m, s)]
        if cloud.weights.size:  # what varies smoothly with theta is summed over the cloud
            (m_many, m_at), (s_many, s_at) = cloud.carried(m), cloud.carried(np.log(s))
            m_at, s_at = np.where(cloud.at > 0, (m_at, s_at), (m, np.log(s)))
            parts += [(cloud.weights, m_many, np.exp(s_many)), (-cloud.at, m_at, np.exp(s_at))]
        w, mean_of, sd_of = (np.concatenate(part) for part in zip(*parts))
        return w, mean_of, sd_of

    def _moments_of_fixed(self, k: int) -> tuple[float, float, float, float]:
        """Mean and sd of a fixed effect, and the errors of the mean and of the second moment."""
        x, (w, mean_of, sd_of), rest = self.fixed[:, :, k], self._normals(k), self._rest
        total = w.sum() + rest.sum()
        mean = float(w @ mean_of + (rest * x).sum()) / total
        squares = (mean_of - mean) ** 2 + sd_of**2
        square = float(w @ squares + (rest * (x - mean) ** 2).sum()) / total
        first = (rest * (x - mean)).sum(axis=1)
        second = (rest * ((x - mean) ** 2 - square)).sum(axis=1)
        t = len(x)
        for at in [slice(t), *([slice(-t, None)] if len(w) > t else [])]:
            first = first + w[at] * (mean_of[at] - mean)
            second = second + w[at] * (squares[at] - square)
        return mean, float(np.sqrt(max(square, 1e-300))), self._error(first / total), self._error(second / total)

    def _error(self, influence: Vector) -> float:
        """Standard error of a ratio of means, from each theta's share in its deviation, by batches."""
        sums = np.bincount(self.batch, influence)
        return float(np.sqrt((sums**2).sum() * sums.size / max(sums.size - 1, 1)))


@dataclass(frozen=True)
class _At:
    """Draws at one theta: log weights of the latent vectors, Laplace's weight, and the fixed effects."""

    log_weights: Vector
    log_laplace: float
    fixed: Vector
    centres: Vector
    sds: Vector


def _rising(below: Vector) -> Vector:
    """Make a distribution function monotone where negative weights let it fall: halfway between its two hulls."""
    within = np.clip(below, 0.0, 1.0)
    upper, lower = np.maximum.accumulate(within), np.minimum.accumulate(within[::-1])[::-1]
    values: Vector = 0.5 * (upper + lower)
    return values


class Sampler:
    """Draws latent vectors at any theta and weights them, without the density of theta.

    Parameters
    ----------
    laplace : Laplace
    posterior : Posterior
        Its points are where Newton starts.
    """

    def __init__(self, laplace: Laplace, posterior: Posterior):
        self.laplace = laplace
        self._thetas = [point.theta for point in posterior.points]
        self._modes = [point.x for point in posterior.points]
        self._shifts = [point.mean - point.x for point in posterior.points]
        # of a model whose predictor is linearised the laplace has the tangent
        self._curve: Any = getattr(laplace.model, "predictors", None)
        self.is_curved = bool(getattr(laplace.model, "is_linearised", False))
        self._inverse_root = np.eye(posterior.heaviest.theta.size)
        if posterior.hyper is not None:
            self._inverse_root = np.linalg.inv(np.linalg.cholesky(posterior.hyper.moments()[1]))

    def at(self, theta: Vector, each: int, rng: np.random.Generator) -> _At | None:
        """Draws at one theta; None where the model cannot be evaluated: a weight of zero."""
        laplace = self.laplace
        whole = laplace.whole(theta)
        try:
            with np.errstate(over="raise", invalid="raise", divide="raise"):
                prior_values = laplace.prior_at(whole)
                likelihood = laplace.likelihood_at(theta)
                log_prior = self._log_prior(whole)
            centre, factor, weights = self._gaussian(theta, likelihood, prior_values)
        except (NumericalError, FloatingPointError):
            return None
        eta = self._predictors(centre)
        centred = laplace.centred(centre)
        pull = laplace.times(prior_values, centred)
        at_centre = float(likelihood.log_density(eta).sum()) - 0.5 * float(centred @ pull)
        constant = log_prior - 0.5 * factor.log_determinant + 0.5 * (laplace.n - laplace.n_constraints) * LOG_2PI

        half = factor.draw(rng.standard_normal((laplace.n, (each + 1) // 2)))
        steps = np.hstack([half, -half])[:, :each]
        eta_steps = laplace.design @ steps
        each_eta = (eta + step for step in eta_steps.T)
        if self.is_curved:
            each_eta = (self._predictors(centre + step) for step in steps.T)
        density = np.array([float(likelihood.log_density(one).sum()) for one in each_eta])
        if self.is_curved:
            density[np.isnan(density)] = -np.inf  # where a curve bends outside of the data
        # of both quadratic forms about the centre, what is in Q cancels
        log_weights = (
            density - 0.5 * float(centred @ pull) - pull @ steps + 0.5 * (weights @ laplace.summed(eta_steps) ** 2)
        )
        first = laplace.n_random
        units = np.zeros((laplace.n, laplace.n_fixed))
        units[np.arange(first, laplace.n), np.arange(laplace.n_fixed)] = 1.0
        variances = np.einsum("ik,ik->k", units, factor.solve(units)) if laplace.n_fixed else np.zeros(0)
        log_densities = log_weights[log_weights > -np.inf] if self.is_curved else log_weights
        if (variances <= 0).any() or not np.isfinite([at_centre, constant, *log_densities]).all():
            return None  # so far out that nothing has digits
        fixed = (centre[first:, None] + steps[first:]).T
        excess = getattr(laplace.model, "fixed_log_excess", None)  # of heavy-tailed priors over their Gaussians
        if excess is not None:
            log_weights = log_weights + excess(fixed)
        return _At(log_weights + constant, at_centre + constant, fixed, centre[first:], np.sqrt(variances))

    def _predictors(self, x: Vector) -> Vector:
        """Those of the model itself, of which a linearised one has the tangent."""
        laplace = self.laplace
        return np.asarray(self._curve(x) if self.is_curved else laplace.design @ x + laplace.model.offset)

    def _log_prior(self, whole: Vector) -> float:
        """Log prior of theta, and log normaliser of p(x | theta)."""
        laplace = self.laplace
        total = laplace.fixed_log_normaliser - 0.5 * laplace.proper_rank * LOG_2PI + laplace.log_prior(whole)
        for term, where in zip(laplace.precisions, laplace.theta_blocks):
            total += term.log_normaliser(whole[where], False)[0]
        return total

    def _gaussian(
        self, theta: Vector, likelihood: Any, prior_values: Vector
    ) -> tuple[Vector, ConstrainedFactor, Vector]:
        """Mean, factor of the proposal's precision and its weights of the predictors; any would do, near ones do well.

        Newton starts at the mode of the nearest theta that is done.
        """
        laplace = self.laplace
        gaps = (np.array(self._thetas) - theta) @ self._inverse_root.T
        nearest = int((gaps**2).sum(axis=1).argmin())
        x, shift = laplace.project(self._modes[nearest]), self._shifts[nearest]
        for _ in range(2):
            eta = laplace.design @ x + laplace.model.offset
            # curvature at the mean, not at the mode: of a count's log rate its Gaussian has the posterior's variance
            there = eta + laplace.design @ shift
            weights = likelihood.newton_weights(there, likelihood.derivatives(there)[1])
            factor = laplace.factor_of(theta, prior_values, weights)
            gradient = laplace.design_t @ likelihood.derivatives(eta)[0]
            gradient -= laplace.times(prior_values, laplace.centred(x))
            step = factor.solve(gradient)
            gain = float(gradient @ step)
            if gain < NEAR:
                x = x + step
                break
            x = laplace.at(theta, x, gradient=False).x
        selected = laplace.selected_inverse(factor)
        if laplace.rounding(prior_values, -weights, selected, x) > DIGITS:
            raise NumericalError(f"rounding error swamps the data at {laplace.describe(theta)}")
        shift = self._shift(x, factor, likelihood, selected)
        self._thetas.append(theta)
        self._modes.append(x)
        self._shifts.append(shift)
        return x + shift, factor, weights

    def _shift(self, x: Vector, factor: ConstrainedFactor, likelihood: Any, selected: Vector) -> Vector:
        """From mode to mean, by the slope of the log likelihood that is expected about the mode.

        The first step of `geospde.inference.correction.variational_mean`; no predictor goes further than its sd.
        """
        laplace = self.laplace
        eta = laplace.design @ x + laplace.model.offset
        axes = laplace.axes(laplace.variances(selected))
        sd = np.maximum(np.hypot(*axes), 1e-150)
        modal, _, third = likelihood.derivatives(eta)
        with np.errstate(all="ignore"):
            pull = expected_slopes(likelihood, eta, axes) - modal
        bounded = likelihood.bounded
        pull[bounded] = 0.5 * (sd**2 * third[: sd.size])[bounded]
        if not np.isfinite(pull).all():
            return np.zeros_like(x)
        shift = factor.solve(laplace.design_t @ pull)
        return np.asarray(shift / max(1.0, float(np.abs(laplace.design @ shift / sd).max(initial=0.0))))


def importance_draws(
    laplace: Laplace, posterior: Posterior, draws: int, seed: int | None = None, progress: Callback = silent
) -> WeightedDraws:
    """Draw from a fit, and weight the draws by the exact joint density.

    Parameters
    ----------
    laplace : Laplace
    posterior : Posterior
    draws : int
        Of (theta, x); rounded up to whole batches.
    seed : int, optional
    progress : callable
        Told of every theta.

    Raises
    ------
    NumericalError
        Where no theta could be evaluated.
    """
    rng = np.random.default_rng(seed)
    size = -(-draws // (BATCHES * EACH))
    batch = np.repeat(np.arange(BATCHES), size)
    if posterior.hyper is None:
        thetas, log_density = np.zeros((batch.size, 0)), np.zeros(batch.size)
    else:
        proposal = ThetaProposal.following(*posterior.hyper.cloud, posterior.hyper.sample(max(2 * size, 40)))
        thetas = np.vstack([proposal.draw(size, rng) for _ in range(BATCHES)])
        log_density = proposal.log_density(thetas, size)
    sampler = Sampler(laplace, posterior)
    # from the middle outwards: Newton starts at the mode of the nearest that is done
    order = np.argsort(((thetas - posterior.heaviest.theta) ** 2).sum(axis=1), kind="stable")
    found: list[_At | None] = [None] * batch.size
    with one_blas_thread():
        for done, k in enumerate(order, 1):
            found[k] = sampler.at(thetas[k], EACH, rng)
            progress(done, batch.size, "certificate")
    good = np.array([one is not None for one in found])
    if not good.any():
        raise NumericalError("no draw of the hyperparameters could be evaluated")
    there = [one for one in found if one is not None]
    log_weights = np.full((batch.size, EACH), -np.inf)
    log_weights[good] = np.array([one.log_weights for one in there]) - log_density[good, None]
    log_laplace = np.full(batch.size, -np.inf)
    log_laplace[good] = np.array([one.log_laplace for one in there]) - log_density[good]

    smoothed, k_hat = _smoothed(log_weights.ravel())
    evidence = float(logsumexp(smoothed) - np.log(smoothed.size))
    weights = np.exp(smoothed - logsumexp(smoothed)).reshape(log_weights.shape)
    gaussian = np.exp(log_laplace - log_laplace.max())
    gaussian *= 1.0 / (EACH * gaussian.sum())
    if ((weights - gaussian[:, None]) ** 2).sum() > (weights**2).sum():
        gaussian = np.zeros_like(gaussian)

    cloud, hyper = ThetaCloud.none(thetas), posterior.hyper
    if hyper is not None and hyper.has_density:
        cloud = ThetaCloud.bent(
            *hyper.cloud, thetas, weights.sum(axis=1), log_density, log_fit=hyper.log_density(thetas)
        )
    rest = weights.sum(axis=1) - cloud.at
    evidence += float(np.log(cloud.weights.sum() + rest.sum()))
    error = np.bincount(batch, rest).std(ddof=1) * np.sqrt(BATCHES)

    def gathered(values: list[Vector]) -> Vector:
        out = np.zeros((batch.size, *values[0].shape))
        out[good] = np.array(values)
        return out

    sds = gathered([one.sds for one in there]) + ~good[:, None]
    return WeightedDraws(
        thetas, weights, gaussian, cloud, batch, gathered([one.fixed for one in there]),
        gathered([one.centres for one in there]), sds, evidence, float(error), k_hat,
    )  # fmt: skip


def _smoothed(log_weights: Vector) -> tuple[Vector, float]:
    """Log weights with a Pareto tail in place of their own, on their own scale, and its shape k."""
    finite = np.maximum(log_weights, log_weights.max() - 700.0)
    if np.ptp(finite) < EVEN:  # nothing to weigh: every draw counts alike
        return log_weights, -np.inf
    (smoothed,), (k_hat,) = smoothed_log_weights(finite[None])
    least = int(finite.argmin())  # not one of those that are smoothed
    return np.where(np.isfinite(log_weights), smoothed + finite[least] - smoothed[least], -np.inf), float(k_hat)
