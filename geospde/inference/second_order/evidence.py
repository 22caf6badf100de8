"""What cubic and quartic terms add to the log evidence.

A series serves where each observation adds little. Where they add more, and all densities are log-concave, the evidence
is that of expectation propagation: of 150 zeros and ones under a wide field the series misses it by one to five.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geospde.errors import NumericalError
from geospde.families.gauss_hermite import normal_nodes
from geospde.inference.correction import informed
from geospde.inference.laplace import LOG_2PI, Laplace, LaplacePoint
from geospde.inference.second_order.expansion import Expansion

Vector = NDArray[np.float64]

# An observation's share of the correction bends down beyond this: the terms are the first of a series, which diverges
# where the prior is wide. So bent they are right to a tenth for a single 0 or 1, or a count of zero, under a Gaussian
# of the predictor of sd up to 10; plain they are five times too large there.
SHARE = 0.2
ROUGH, MISSED = 2e-4, 0.015  # sum of squares of the shares below which the series serves, and what it may miss of them
# most rounds of finding them; how near the last two must say that the log evidence ends, and how near that it is
SWEEPS, SETTLED, LEFT = 20, 0.05, 0.003
# Of observations that are all alike, as successes alone under a field of a range far beyond their sites, the sum of the
# shares, and what pairs add, bend down towards these: of 80 under an effect of sd 3, 20 and 100 Laplace misses .05, .3
# and .5, where the series has up to 16; under a field of 18 times their extent .26, where pairs have .82. Of others,
# towards as much for each that is unlike the rest.
TOGETHER, PAIRED = 0.5, 0.2
WIDE = 8.0  # standard deviation of a predictor beyond which the integrals over it miss where a density falls
REACH = (-6.0, -3.0, 0.0, 3.0, 6.0)  # standard deviations of a predictor within which densities are to be log-concave
NODES = ((1.0, 15), (2.5, 21), (np.inf, 41))  # of the integrals over predictors of sds up to so much: to a thousandth
SAMPLE = 64  # observations whose column of C is taken for the double sum of cubes
NOTICED = 0.01  # correction of the log evidence below which it is left alone
UNHELD = 1e12  # variance of a predictor that neither data nor prior hold: a separated one, whose fit is refused


def evidence_correction(laplace: Laplace, point: LaplacePoint) -> float:
    """Correction of the log evidence at a point as `Laplace.at` gives it, without one.

    The double sum of cubes is taken over all pairs of a sample of observations with all, evenly spread over responses,
    and the same for every theta, so that its error hardly changes the shape of p(theta | y).
    """
    laplace, point = informed(laplace, point)
    if point.eta_variance.max(initial=0.0) > UNHELD * _unit(laplace.model.likelihood) ** 2:
        return 0.0
    design, third, fourth, h, own, observation = Expansion.at(laplace, point)
    point = laplace.factor_again(point)
    chosen = _sample(laplace, h.size)
    solved = laplace.solve(point, np.column_stack([design.T @ (third * h), design[chosen].T.toarray()]))
    columns = design @ solved[:, 1:]
    weight, by_propagation = 0.0, 0.0
    if observation is None:
        weight, tilted = _weight_of_propagation(laplace, point, fourth * h**2 / 8 + 5 * third * own / 24)
        if tilted is not None and weight:
            try:
                by_propagation = _by_propagation(laplace, point, tilted, columns, 1.0 / weight)
            except NumericalError:
                weight = 0.0
    if weight == 1.0:
        return by_propagation
    cubes = third[chosen] * ((columns * columns * columns).T @ third)
    # the diagonal is known for all; what lies beside it is that of the sample
    diagonal = third * own
    beside = (cubes - diagonal[chosen]).mean()
    each = fourth * h**2 / 8 + third * h * (design @ solved[:, 0]) / 8 + (diagonal + beside) / 12
    if observation is not None:
        each = np.bincount(observation, each)
    by_series = _bent_sum(float(_bent(each).sum()), TOGETHER, columns, h, chosen)
    return weight * by_propagation + (1.0 - weight) * by_series


def _bent(each: Vector) -> Vector:
    """Shares of the correction as far as they are to be believed."""
    return each / (1 + np.abs(each) / SHARE)


def _bent_sum(total: float, each: float, columns: Vector, h: Vector, chosen: NDArray[np.intp]) -> float:
    """A sum of such shares as far as it is to be believed: `each` for an observation that is unlike all others.

    `columns` are those of the predictors' covariance that belong to the chosen ones, h its diagonal.
    """
    safe = np.maximum(h, 1e-300)  # of a predictor that does not vary
    alike = np.maximum((columns * columns).T @ (1 / safe) / safe[chosen], 1.0)
    most = each * h.size * float((1 / alike).mean())
    return float(total / np.hypot(1, total / most))


def _sample(laplace: Laplace, m: int) -> NDArray[np.intp]:
    """Some of m rows, evenly spread whatever their order in the table, or all of few."""
    some = np.arange(m) if m <= 2 * SAMPLE else ((np.arange(SAMPLE) + 0.5) * m / SAMPLE).astype(int)
    return laplace.ranked[some] if some.size < m == laplace.ranked.size else some


def _unit(likelihood: Any) -> float:
    """What standard deviations of predictors are counted in."""
    return likelihood.unit or 1.0


def _weight_of_propagation(laplace: Laplace, point: LaplacePoint, alone: Vector) -> tuple[float, "Tilted | None"]:
    """From 0 where the series has what observations add, each `alone`, (m,), to 1 where it misses much of that.

    In between the density of theta stays smooth. It is 0 where the observations are not log-concave. Beside it stand
    the predictors at the point, where they were looked at.
    """
    if float(alone @ alone) < ROUGH:
        return 0.0, None
    likelihood, eta = laplace.likelihood_at(point.theta), point.eta
    tilted = _tilted(likelihood, eta, point.eta_variance, *_sites(point))
    if point.eta_variance.max() > (WIDE * _unit(likelihood)) ** 2:
        return 1.0, tilted
    missed = tilted.log_mean - likelihood.log_density(eta) - _bent(alone)
    weight = abs(float(missed.sum())) / MISSED - 1.0
    if not weight > 0:
        return 0.0, tilted
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        places = (eta + times * np.sqrt(point.eta_variance) for times in REACH)
        bends = np.array([likelihood.derivatives(place)[1] for place in places])
    is_concave = not (bends > 1e-9 * np.abs(bends).max(initial=0.0)).any()
    return min(weight, 1.0) * is_concave, tilted


def _sites(point: LaplacePoint) -> tuple[Vector, Vector]:
    """The Gaussians exp(nu eta - tau eta² / 2) that the Laplace approximation takes for the densities: nu and tau."""
    tau = -point.derivatives[1]
    return point.derivatives[0] + tau * point.eta, tau


class Tilted(NamedTuple):
    """Each predictor under its Gaussian with the observation's density in the place of the one that stands for it.

    Attributes
    ----------
    log_mean : (m,) array
        Log mean of the density over what stands for it, plus the log of that at the predictor's mean.
    mean, variance, third, fourth : (m,) arrays
        Cumulants.
    """

    log_mean: Vector
    mean: Vector
    variance: Vector
    third: Vector
    fourth: Vector


def _tilted(likelihood: Any, eta: Vector, h: Vector, nu: Vector, tau: Vector) -> Tilted:
    """By quadrature under N(eta, h), the posterior in which exp(nu eta - tau eta² / 2) stands for the density."""
    largest = np.sqrt(h.max(initial=0.0)) / _unit(likelihood)
    nodes, weights = normal_nodes(next(size for sd, size in NODES if largest <= sd))
    places = eta + np.sqrt(h) * nodes[:, None]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        ratios = likelihood.log_density(places) - places * (nu - 0.5 * tau * places)
        ratios[np.isnan(ratios)] = -np.inf
        top = ratios.max(axis=0)
        shares = weights[:, None] * np.exp(ratios - top)
        total = shares.sum(axis=0)
        shares /= total
        log_mean = top + np.log(total) + eta * (nu - 0.5 * tau * eta)
    mean = (shares * places).sum(axis=0)
    off = places - mean
    cumulants = []
    for _ in range(3):
        shares *= off
        cumulants.append((shares * off).sum(axis=0))
    variance, third, fourth = cumulants
    return Tilted(log_mean, mean, variance, third, fourth - 3 * variance**2)


def _by_propagation(
    laplace: Laplace, point: LaplacePoint, tilted: Tilted, columns: Vector, leeway: float = 1.0
) -> float:
    """The same by expectation propagation (Minka 2001; Cseke & Heskes 2011, J. Mach. Learn. Res. 12, 417-454).

    Each observation's density gives way to a Gaussian of its predictor, exp(nu eta - tau eta² / 2), such that mean and
    variance of the predictor are those with the density itself in its place. All are found anew at once, from those of
    the Laplace approximation on, the first time without the taus, for which the factor that is there serves; where
    they go to and fro, as those of many sites under a field of a range far beyond the sites do, by half of the way. The
    evidence is stationary in them. What they have yet to go says to second order where it ends (`_left`).

    Parameters
    ----------
    laplace, point, tilted : Laplace, LaplacePoint, Tilted
        The point with its factor, and the predictors there.
    columns : (m, k) array
        Of their covariance, those of `_sample`.
    leeway : float
        Times by which the result may be further off.

    Raises
    ------
    NumericalError
        Where they do not settle, or have no density together.
    """
    likelihood, theta, design = laplace.likelihood_at(point.theta), laplace.whole(point.theta), laplace.design
    prior = laplace.prior_at(theta)

    def of_prior(x: Vector) -> float:
        centred = laplace.centred(x)
        constant = point.log_prior + 0.5 * (laplace.n - laplace.n_constraints) * LOG_2PI
        return float(constant - 0.5 * centred @ laplace.times(prior, centred))

    chosen = _sample(laplace, point.eta.size)
    eta, h, (nu, tau), x, factor = point.eta, point.eta_variance, _sites(point), point.x, point.factor
    assert factor is not None
    # that of a factor a small step away, mended
    log_determinant = 2 * (float(likelihood.log_density(eta).sum()) + of_prior(x) - point.log_posterior)
    last, moved, step, end = np.nan, np.nan, 1.0, np.nan
    of_sample: Vector | None = columns
    for sweep in range(SWEEPS):
        if h.max() > (WIDE * _unit(likelihood)) ** 2:
            break
        if sweep:
            tilted = _tilted(likelihood, eta, h, nu, tau)
        log_mean, mean, variance, third, fourth = tilted
        value = float(log_mean.sum()) + of_prior(x) - 0.5 * log_determinant
        if not np.isfinite(value):
            break
        before, moved, last = moved, value - last, value
        pull, stiffer = (mean - eta) / variance, 1 / variance - 1 / h
        shift = factor.solve(laplace.design_t @ pull)
        left = 0.5 * float(pull @ (design @ shift) - h @ pull**2)
        if sweep and abs(left) < LEFT * step * leeway:
            if of_sample is None:
                of_sample = design @ factor.solve(design[chosen].T.toarray())
            left += _left(of_sample, stiffer, h, chosen)
        before_end, end = end, value + left
        if abs(end - before_end) < SETTLED * step * leeway and abs(left) < LEFT * step * leeway:
            assert of_sample is not None
            return end - point.log_posterior + _of_neighbours(of_sample, third / h**3, fourth / h**4, h, chosen)
        if not sweep:
            x, nu = x + shift, nu + pull
            eta = design @ x + laplace.model.offset
            continue
        if moved * before < 0 and abs(moved) > 0.5 * abs(before):
            step = max(0.5 * step, 0.25)
        tau, nu = tau + step * stiffer, nu + step * (mean / variance - eta / h)
        factor = laplace.factor_of(theta, prior, tau)
        of_sample, log_determinant = None, factor.log_determinant
        right = laplace.design_t @ (nu - tau * laplace.model.offset)
        right[laplace.n_random :] += laplace.fixed_precision @ laplace.fixed_mean
        x, selected = factor.solve(right), laplace.selected_inverse(factor)
        eta, h = design @ x + laplace.model.offset, laplace.variances(selected)
    raise NumericalError(f"expectation propagation does not settle at {laplace.describe(point.theta)}")


def _left(columns: Vector, stiffer: Vector, h: Vector, chosen: NDArray[np.intp]) -> float:
    """What taus that have so much to go have yet to add, (m,), beside what each adds for itself.

    Half of the first-order change, which is the covariance of the squares of pairs of predictors.
    """
    each = stiffer[chosen] * ((columns * columns).T @ stiffer) - (stiffer[chosen] * h[chosen]) ** 2
    return float(0.25 * h.size * each.mean())


def _of_neighbours(columns: Vector, third: Vector, fourth: Vector, h: Vector, chosen: NDArray[np.intp]) -> float:
    """What the cumulants of pairs of predictors add to the evidence; some, each with all others, stand for all.

    First terms of the second-order correction of Opper, Paquet & Winther (2013), J. Mach. Learn. Res. 14, 2857-2898.
    """
    squared = columns * columns
    cubes = third[chosen] * ((squared * columns).T @ third) - third[chosen] ** 2 * h[chosen] ** 3
    squares = fourth[chosen] * ((squared * squared).T @ fourth) - fourth[chosen] ** 2 * h[chosen] ** 4
    return _bent_sum(float(h.size * (cubes / 12 + squares / 48).mean()), PAIRED, columns, h, chosen)


def worth_correcting(laplace: Laplace, point: LaplacePoint) -> bool:
    """Whether the Laplace approximation errs noticeably at this point, by its own next term."""
    return bool(abs(evidence_correction(laplace, point)) > NOTICED)
