"""Whether the numbers of a saved fit are of the model beside them.

No checksum tells, where somebody has made it anew. What a fit's numbers have in common does, and needs no factor. Where
a model is small they are computed again, too.
"""

from collections.abc import Sequence

import numpy as np

from geospde.errors import NumericalError
from geospde.inference.emulator import Emulator
from geospde.inference.hyper import HyperPosterior, Posterior
from geospde.inference.integration import finished
from geospde.inference.laplace import Laplace, LaplacePoint
from geospde.inference.posterior import SAME
from geospde.inference.residual import Nothing, Polynomial, ProductSpline
from geospde.likelihood.intervals import likelihood_of
from geospde.likelihood.likelihoods import Profiled, Restricted, Unpriored
from geospde.likelihood.search import Maximum
from geospde.linalg.threads import side_by_side
from geospde.model.build import Model
from geospde.terms.hyperparameter import Hyperparameter

FORCE = 1e-4  # at the latent mode, as a share of the forces that cancel there; fits have 1e-6 and less
GAIN = 1e-4  # or what a step by it would gain in log density: a hundredth of an sd
INVERSE = 0.05  # by which a diagonal of H times its inverse may miss one; fits miss it by 0.002 and less
ROUNDED = 1e-7  # of the products that make the diagonal: covariances are stored to a step
NATS = 1.0  # between the density of theta and the points' log posterior, for half of the mass
POOR = 5.0  # or of a polynomial, which may miss its points: 2.7 of a field in time at twelve sites
AT_NODES = 1e-3  # where a spline goes through them, or a Gaussian stands on its only one
AT_PLACES = 0.02  # or an emulator does, for all of the mass: at most 0.002 in a hundred fits
FEWEST = 10.0  # points of its summation that count: fits have thousands
MOMENTS = (
    0.02  # in sds, between a density and points that carry its moments: 2e-4 and less; products of nodes miss some
)
SHIFT = 3.0  # of latent means off the mode, in sds; corrections of skewness are a fifth
UNMOVED = 1e-3  # of means of a Gaussian, in sds: they are stored to a step
SAME_SUM = 1e-6  # between a log likelihood and the sum of its observations', as a share of it: rounding has 1e-12
STILL = 1e-10  # variance of random effects that do not vary
AGAIN = 0.02  # nats of a log posterior, or sds of means, or share of a variance, that was computed again: 2e-3 and less
OFF = 0.05  # weight of points that may be others: far out a correction is taken or left by its last digits
CORRECTED = 0.5  # part of the evidence's correction which a later version may put otherwise
CHEAP = 2_000_000  # numbers of which all points are computed again; of more, up to as many a point, the mode alone
MANY = 20_000_000  # numbers of which all points are looked at; else the heaviest, the first and the last


def check_points(laplace: Laplace, points: Sequence[LaplacePoint], weights: np.ndarray, *, posterior: bool) -> None:
    """Raise ValueError where a point is not at the latent mode of its model, or has covariances of another.

    At the mode the data's force on each latent variable, ``A'g``, is the prior's, ``Q (x - mu)``, and a row of H times
    the same column of its inverse is one, which the inverse's entries on the pattern of H are enough for. Neither takes
    a factor.

    Parameters
    ----------
    laplace : Laplace
    points : sequence of LaplacePoint
    weights : (k,) array
    posterior : bool
        Whether fixed effects are at the mode too, and covariances were stored: of estimates they are not.
    """
    for point in (points[k] for k in looked_at(laplace, weights)):
        prior = laplace.prior_at(laplace.whole(point.theta))
        _check_mode(laplace, point, prior, laplace.n if posterior else laplace.n_random)
        if posterior:
            _check_inverse(laplace, point, prior)


def looked_at(laplace: Laplace, weights: np.ndarray) -> list[int]:
    """Which points are looked at: all, or of large models the first, the last and the heaviest."""
    last = len(weights) - 1
    if laplace.n_entries * len(weights) > MANY:
        return sorted({0, last, int(np.argmax(weights))})
    return list(range(last + 1))


def check_maximum(maximum: Maximum, log_likelihood: float | None, hyper: Sequence[Hyperparameter]) -> None:
    """Raise ValueError where the parts of estimates are not of one another, or no estimates.

    Parameters
    ----------
    maximum : Maximum
    log_likelihood : float or None
        As the words of the fit have it.
    hyper : sequence of Hyperparameter
        Of the model: an edge at which one is infinite is none.
    """
    own = maximum.x[maximum.x.size - maximum.fixed.size :]
    basis, inner = maximum.coordinates
    covariances = (maximum.covariance, maximum.fixed_covariance, inner)
    if not np.allclose(own, maximum.fixed, rtol=1e-9, atol=0) or log_likelihood not in (None, maximum.log_likelihood):
        raise ValueError("its estimates are written twice, and differ")
    known = np.isfinite(maximum.covariance.diagonal())
    if (
        not np.isin(maximum.edges, (-1, 0, 1)).all()
        or known[maximum.edges != 0].any()
        or any(_is_infinite(h, maximum.edges) for h in hyper)
        or any(np.isinf(one).any() for one in covariances)
    ):
        raise ValueError("its estimates are none")
    sds = [np.sqrt(np.abs(one.diagonal())) for one in covariances]
    sizes = [np.outer(sd, sd) for sd in sds]  # which correlations are of
    for one, size in zip(covariances, sizes):
        if (one.diagonal() <= 0).any() or not (np.abs(one - one.T) <= 1e-6 * size)[np.isfinite(one)].all():
            raise ValueError("the covariances of its estimates are none")
    odd = ~(np.abs(basis.covariance_outside(inner) - maximum.fixed_covariance) <= 1e-6 * sizes[1])
    if odd[np.isfinite(maximum.fixed_covariance)].any():
        raise ValueError("the covariances of its fixed effects are written twice, and differ")


def _is_infinite(h: Hyperparameter, edges: np.ndarray) -> bool:
    """Whether a hyperparameter has no bound at the edge where its estimate is said to be."""
    (touched,) = np.nonzero(h.direction)
    if h.is_fixed or touched.size != 1 or not edges[touched[0]]:
        return False
    return bool(np.isinf(h.transform(h.direction[touched[0]] * edges[touched[0]] * np.inf)))


def check_likelihood(laplace: Laplace, point: LaplacePoint, log_likelihood: float) -> None:
    """Raise ValueError where a log likelihood is not that of its model, of one whose random effects do not vary.

    It is then the sum of the observations'; with random effects they are at their mode, which `check_points` looks at.
    """
    rows, columns = laplace.entries
    variances = point.covariance[rows == columns][: laplace.n_random]
    if not (variances < STILL).all():
        return
    total = float(laplace.likelihood_at(point.theta).log_density(point.eta).sum())
    if not abs(total - log_likelihood) <= SAME_SUM * (1.0 + abs(log_likelihood)):
        raise ValueError("its log likelihood is not that of its model")


def check_density(posterior: Posterior, *, fine: bool = False) -> None:
    """Raise ValueError where the density of theta, its points' log posterior and the evidence do not go together.

    The log posterior less the log density is the log evidence, at each point; and the moments of the density are those
    of the weighted points.

    Parameters
    ----------
    posterior : Posterior
    fine : bool
        Whether the points may be those that put a coarser mesh right, which stand between a spline's nodes.
    """
    hyper, weights = posterior.hyper, posterior.weights
    if hyper is None:
        return
    theta = np.array([point.theta for point in posterior.points])
    values = np.array([point.log_posterior for point in posterior.points])
    off = values - hyper.log_density(theta) - posterior.log_marginal_likelihood
    if len(values) == 1 and isinstance(hyper.residual, Nothing) and not fine:  # a Gaussian that stands on its only one
        if not (np.abs(theta - hyper.centre).max(initial=0.0) < AT_NODES and np.abs(off).max() < AT_NODES):
            raise ValueError("the density of its hyperparameters is not that of its point")
    middle = _median(off, weights)
    between = fine and isinstance(hyper.residual, ProductSpline)
    whole = weights @ np.minimum(np.abs(off - middle), NATS)
    if isinstance(hyper.residual, ProductSpline | Nothing) and not between:
        apart, most, level = _median(np.abs(off - middle), weights) if fine else whole, AT_NODES, NATS
    elif isinstance(hyper.residual, Emulator) and not fine:
        apart, most, level = whole, AT_PLACES, NATS
    else:
        poor = isinstance(hyper.residual, Polynomial) and not fine  # whose moments are held to its points
        level = POOR if poor else NATS
        apart, most = _median(np.abs(off - middle), weights), SAME if between else level
    if not (abs(middle) < level and apart < most):
        raise ValueError("the density of its hyperparameters is not that of its points")
    if len(values) > 1 and not _has_moments(hyper, weights, theta, loose=fine):
        raise ValueError("the weights of its points are not those of its density")


def _has_moments(hyper: HyperPosterior, weights: np.ndarray, theta: np.ndarray, *, loose: bool) -> bool:
    """Whether weighted points have the moments of a density; `loose` where they are a few that carry it."""
    mean, covariance = hyper.moments()
    own, sd = weights @ theta, np.sqrt(np.diag(covariance))
    away = np.abs(own - mean) / sd
    if loose or isinstance(hyper.residual, ProductSpline | Nothing):
        return bool((away < 1.0).all())
    if hyper.cloud[1] @ hyper.cloud[1] > 1.0 / FEWEST:
        return False
    spread = np.sqrt(weights @ (theta - own) ** 2) / sd
    return bool((away < MOMENTS).all() and (np.abs(spread - 1.0) < MOMENTS).all())


def check_again(laplace: Laplace, posterior: Posterior) -> None:
    """Raise ValueError where what is computed again at points of theta is not what was saved.

    That is all of the points of a small model, and the mode of a larger one; nothing where a factor costs seconds.

    Parameters
    ----------
    laplace : Laplace
    posterior : Posterior
    """
    points, weights = posterior.points, posterior.weights
    if laplace.n_entries > CHEAP:
        return
    if laplace.n_entries * len(points) > CHEAP:
        points, weights = [posterior.mode], np.ones(1)
    again = side_by_side(lambda point: _is_again(laplace, point, posterior.strategy), points, laplace.n)
    same = np.array(list(again))
    if weights @ ~same > OFF:
        raise ValueError("what its model has at its hyperparameters, computed again, is not what was saved")


def _is_again(laplace: Laplace, point: LaplacePoint, strategy: str) -> bool:
    """Whether a point is what is computed at its theta."""
    rows, columns = laplace.entries
    try:
        again = finished(laplace, laplace.at(point.theta, point.x, gradient=False), strategy)
    except NumericalError:
        return False
    variances, others = (one.covariance[rows == columns] for one in (point, again))
    sd, rounded = np.sqrt(np.maximum(others, 1e-300)), ROUNDED * np.max(others, initial=0.0)
    off = abs(point.log_posterior - again.log_posterior)
    return bool(
        off <= AGAIN + CORRECTED * abs(again.correction)
        and (np.abs(variances - others) <= AGAIN * others + rounded).all()
        and (np.abs(point.mean - again.mean) <= AGAIN * sd + rounded).all()
    )


def check_criterion(model: Unpriored, maximum: Maximum, method: str, points: int, *, additive: bool) -> None:
    """Raise ValueError where a likelihood or restricted likelihood is not that of its estimates.

    Parameters
    ----------
    model : Unpriored
    maximum : Maximum
    method : {"ml", "reml"}
    points : int
        Of quadrature.
    additive : bool
        Whether all terms are smooths, whose fixed effects stand at the joint mode.
    """
    whole = model.with_fixed_trends()[0] if method == "ml" else model
    upright, basis = whole.upright()
    inner = additive and points == 1 and upright.likelihood.pairs is None
    if method == "reml" or inner or upright.is_gaussian:
        inside = Restricted(upright) if method == "reml" else Profiled(upright)
        again = inside.at(inside.psi_of(maximum.theta), gradient=False)
    elif upright.n_fixed > model.n_fixed:
        return  # a trend was estimated that is not kept in the coordinates of its search
    else:
        joint = likelihood_of(upright, points)
        fixed = np.linalg.inv(basis.back) @ maximum.fixed
        again = joint.at(np.concatenate([joint.psi_of(maximum.theta), fixed]), gradient=False)
    if not abs(again.log_posterior - maximum.log_likelihood) <= SAME_SUM * (1.0 + abs(maximum.log_likelihood)) + AGAIN:
        raise ValueError("its log likelihood is not that of its model")


def _median(values: np.ndarray, weights: np.ndarray) -> float:
    order = np.argsort(values)
    return float(values[order][np.searchsorted(np.cumsum(weights[order]), 0.5 * weights.sum())])


def _check_mode(laplace: Laplace, point: LaplacePoint, prior: np.ndarray, size: int) -> None:
    centred = laplace.centred(point.x)
    force = laplace.design_t @ point.derivatives[0] - laplace.times(prior, centred)
    if laplace.constraints is not None:  # which may hold against any force along them
        across = laplace.constraints
        force = force - across @ np.linalg.lstsq(across, force, rcond=None)[0]
    if size == laplace.n_random:  # of estimates, and what nothing penalises is estimated as a fixed effect is
        for term, block in zip(laplace.precisions, laplace.blocks):
            if term.unpenalised is not None:
                free = term.unpenalised
                force[block] -= free @ np.linalg.lstsq(free, force[block], rcond=None)[0]
    whole = abs(laplace.design_t) @ np.abs(point.derivatives[0]) + laplace.times(np.abs(prior), np.abs(centred))
    rows, columns = laplace.entries
    gain = force**2 * point.covariance[rows == columns]
    for part in (slice(0, laplace.n_random), slice(laplace.n_random, size)):
        if not (np.linalg.norm(force[part]) <= FORCE * np.linalg.norm(whole[part]) or gain[part].sum() <= GAIN):
            raise ValueError("its latent values are not the mode of its model")


def inverse_excess(
    laplace: Laplace, point: LaplacePoint, prior: np.ndarray, covariance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The diagonal of H times an inverse less one, and how far from nothing that may be; of constraints, their sums.

    Parameters
    ----------
    laplace : Laplace
    point : LaplacePoint
        Whose H it is.
    prior : (nnz,) array
        Its prior's part of H.
    covariance : (nnz,) array
        The inverse, on the pattern of H.
    """
    products = (prior + laplace.data_part(-point.derivatives[1])) * covariance
    rows, columns = laplace.entries
    off = rows != columns

    def summed(values: np.ndarray) -> np.ndarray:
        return np.bincount(rows, values, laplace.n) + np.bincount(columns[off], values[off], laplace.n)

    excess, may = summed(products) - 1.0, INVERSE + ROUNDED * summed(np.abs(products))
    if laplace.n_constraints:  # each takes one away, from all variables together
        excess, may = excess.sum(keepdims=True) + laplace.n_constraints, may.sum(keepdims=True)
    return excess, may


def _check_inverse(laplace: Laplace, point: LaplacePoint, prior: np.ndarray) -> None:
    excess, may = inverse_excess(laplace, point, prior, point.covariance)
    if not (np.abs(excess) <= may).all():
        raise ValueError("its covariances are not those of its model")
    rows, columns = laplace.entries
    variances = point.covariance[rows == columns]
    shifts = np.abs(point.mean - point.x) / np.sqrt(np.maximum(variances, 1e-300))
    if not laplace.basis.is_plain:
        return
    if not (np.mean(shifts**2) < SHIFT**2 and (shifts[laplace.n_random :] < SHIFT).all()):
        raise ValueError("its latent means are far from the mode")
    model = laplace.model
    assert isinstance(model, Model)
    gaussian = not (point.derivatives[2].any() or model.fixed_priors.heavy_tailed or model.linearised_at is not None)
    if gaussian and shifts.max() > UNMOVED:
        raise ValueError("its latent means are not the mode, which a Gaussian has for both")
