"""DIC, WAIC, CPO and PIT from the mixture over theta."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geospde.families.gauss_hermite import normal_nodes
from geospde.families.likelihood import Likelihood
from geospde.inference.hyper import Posterior
from geospde.inference.laplace import Laplace, LaplacePoint
from geospde.inference.mixture import GaussianMixture

Vector = NDArray[np.float64]
MANY, FEW = 25, 9  # nodes of the integrals over a predictor without its observation
SMOOTH = 0.5  # sd of such a predictor, in those of what its observation says of it, below which few serve
PLANE = [(z, t, v * w) for z, v in zip(*normal_nodes(15)) for t, w in zip(*normal_nodes(15))]  # in two dimensions


@dataclass(frozen=True)
class Criteria:
    """Information criteria and leave-one-out quantities, one value per observation.

    Attributes
    ----------
    dic, p_dic, waic, p_waic : (m,) arrays
        On the deviance scale; their sums are the totals.
    log_cpo : (m,) array
        Log of p(y_i | y_-i).
    failure : (m,) array
        0 where the leave-one-out quantities hold, 1 where the Gaussian of the rest has no positive variance.
    integrate : callable
        What gives `pit`, which takes as long as all others or longer.
    """

    dic: Vector
    p_dic: Vector
    waic: Vector
    p_waic: Vector
    log_cpo: Vector
    failure: Vector
    integrate: Callable[[], Vector]

    @cached_property
    def pit(self) -> Vector:
        """P(Y_i <= y_i | y_-i): not a number for a family without a distribution function."""
        return np.clip(self.integrate(), 0.0, 1.0)

    @property
    def cpo(self) -> Vector:
        """Conditional predictive ordinates; 0 where they underflow."""
        return np.exp(self.log_cpo)

    def totals(self) -> dict[str, float]:
        """Totals; `log_score` is the mean of -log CPO."""
        good = self.failure == 0
        return {
            "dic": float(self.dic.sum()),
            "p_dic": float(self.p_dic.sum()),
            "waic": float(self.waic.sum()),
            "p_waic": float(self.p_waic.sum()),
            "log_score": float(-self.log_cpo[good].mean()) if good.any() else float("nan"),
            "cpo_failures": float((~good).sum()),
        }


def criteria(laplace: Laplace, posterior: Posterior, mixture: GaussianMixture) -> Criteria:
    """Compute all criteria.

    Parameters
    ----------
    laplace : Laplace
    posterior : Posterior
    mixture : GaussianMixture
        Of the predictors at the observations.

    References
    ----------
    Spiegelhalter et al. (2002) J. R. Statist. Soc. B 64, 583-639 (DIC, at the posterior means of the predictor and
    of theta); Watanabe (2010) J. Mach. Learn. Res. 11, 3571-3594 (WAIC, with the posterior variance of the log
    density); Vehtari et al. (2016) J. Mach. Learn. Res. 17 (103), 1-38, section 3.4 (leave-one-out from a Laplace
    approximation: the observation's own Gaussian site is divided out).
    """
    likelihoods = [laplace.likelihood_at(p.theta) for p in posterior.points]
    if laplace.pairs is not None:
        return _of_pairs(laplace, posterior, mixture, likelihoods)
    mean_theta = posterior.weights @ np.array([p.theta for p in posterior.points])
    at_mean = laplace.likelihood_at(mean_theta).log_density(mixture.mean)
    with np.errstate(over="ignore", invalid="ignore"):  # of a count of 1e15, say: not a number rather than an error
        return _criteria(posterior, mixture, likelihoods, at_mean)


def _criteria(
    posterior: Posterior, mixture: GaussianMixture, likelihoods: list[Likelihood], at_mean: Vector
) -> Criteria:
    def allowed(v: Vector) -> Vector:
        """The posterior has nothing beyond the domain of a link, a Gaussian of it a little."""
        return np.where(np.isneginf(v), at_mean, v)

    def beside_the_mean(v: Vector) -> Vector:
        """Off the log density at the means, that squared, and its exponential."""
        off = allowed(v) - at_mean
        return np.array([off, off * off, np.exp(v - at_mean)])

    first, second, ratio = mixture.expectation_each([_then(f, beside_the_mean) for f in likelihoods])
    mean_log, square, p_dic = at_mean + first, second - first**2, -2.0 * first
    waic = -2.0 * (np.log(ratio) + at_mean - square)
    rest = LeftOut(posterior, likelihoods)
    return Criteria(p_dic - 2.0 * mean_log, p_dic, waic, square, rest.log_cpo, rest.failure, rest.pit)


def _of_pairs(
    laplace: Laplace, posterior: Posterior, mixture: GaussianMixture, likelihoods: list[Likelihood]
) -> Criteria:
    """The same where densities depend on two predictors: of such a pair the second is given the first.

    Both are one observation, and left out together: their sums are its criteria.
    """
    assert laplace.pairs is not None
    i, j = laplace.pairs.T
    mean_theta = posterior.weights @ np.array([p.theta for p in posterior.points])

    def joint(likelihood: Likelihood, eta: Vector) -> Vector:
        """Log densities, of the second of a pair with that of the first."""
        out = likelihood.log_density(eta)
        out[..., j] += out[..., i]
        return out

    def second_given_first(values: Vector) -> Vector:
        values[j] -= values[i]
        return values

    at_mean = joint(laplace.likelihood_at(mean_theta), mixture.mean)
    first, square, ratio = np.zeros((3, at_mean.size))
    log_own, log_whole, pits, failure = [], [], [], np.zeros(at_mean.size)
    for weight, mean, sd, point, likelihood in zip(
        posterior.weights, mixture.means, mixture.sds, posterior.points, likelihoods
    ):
        a, b = laplace.axes(laplace.variances(point.covariance))
        scale = sd / np.hypot(a, b)  # of second-order variances
        for z, t, w in PLANE:
            off = joint(likelihood, mean + scale * (a * z + b * t)) - at_mean
            first += weight * w * off
            square += weight * w * off**2
            ratio += weight * w * np.exp(off)
        own, pit, failed = _pairs_left_out(laplace, point, likelihood)
        log_own.append(own)
        log_whole.append(_of_whole(laplace, own))
        pits.append(pit)
        failure = np.maximum(failure, failed)
    variance = second_given_first(square - first**2)
    p_dic = second_given_first(-2.0 * first)
    log_ratio = np.log(posterior.weights)[:, None] - np.array(log_whole)
    total = np.logaddexp.reduce(log_ratio, axis=0)
    log_cpo = second_given_first(np.logaddexp.reduce(log_ratio + np.array(log_own), axis=0) - total)
    pit = (np.exp(log_ratio - total) * np.array(pits)).sum(axis=0)
    lppd, deviance = second_given_first(np.log(ratio) + at_mean), second_given_first(-2.0 * (at_mean + first))
    return Criteria(p_dic + deviance, p_dic, -2.0 * (lppd - variance), variance, log_cpo, failure, lambda: pit)


def cavity_of_pairs(laplace: Laplace, point: LaplacePoint) -> tuple[Vector, Vector, Vector, NDArray[np.bool_]]:
    """Mean and `System.axes` of each row's predictor without its observation, and where there is no such Gaussian."""
    assert laplace.pairs is not None
    (i, j), (a, b) = laplace.pairs.T, laplace.axes(laplace.variances(point.covariance))
    centre, sd, failed = cavity(point)
    first, second, _ = point.derivatives
    m = sd.size
    both = np.array([[a[i] ** 2, a[i] * a[j]], [a[i] * a[j], a[j] ** 2 + b[j] ** 2]]).T
    bend = np.array([[second[i] + second[m:], second[m:]], [second[m:], second[j] + second[m:]]]).T
    rest = np.linalg.inv(both) + bend
    bad = (rest[:, 0, 0] <= 0) | (np.linalg.det(rest) <= 1e-8 / np.linalg.det(both))
    rest[bad] -= bend[bad]
    left = np.linalg.inv(rest)
    lower = np.linalg.cholesky(left)
    step = np.einsum("kab,bk->ak", left, np.array([first[i], first[j]]))
    centre[i], centre[j] = point.eta[i] - step[0], point.eta[j] - step[1]
    near, far = sd.copy(), np.zeros(m)
    near[i], near[j], far[j] = lower[:, 0, 0], lower[:, 1, 0], lower[:, 1, 1]
    failed[i], failed[j] = bad, bad
    return centre, near, far, failed


def _pairs_left_out(
    laplace: Laplace, point: LaplacePoint, likelihood: Likelihood
) -> tuple[Vector, Vector, NDArray[np.bool_]]:
    """Log predictive density of each row at a theta, of pairs jointly at the second; PIT of each; where it failed."""
    assert laplace.pairs is not None
    (i, j), (a, b) = laplace.pairs.T, laplace.axes(laplace.variances(point.covariance))
    centre, near, far, failed = cavity_of_pairs(laplace, point)
    joint, alone, pit, there = [], [], np.zeros(near.size), np.zeros(near.size)
    for z, t, w in PLANE:
        # of a pair jointly about the full posterior, where the integrand is
        eta = point.eta + a * z + b * t
        found = likelihood.log_density(eta)
        of_first = (eta[i] - centre[i]) / near[i]
        of_second = (eta[j] - centre[j] - near[j] * of_first) / far[j]
        joint.append(found[i] + found[j] - 0.5 * (of_first**2 + of_second**2 - z * z - t * t) + np.log(w))
        # the others, and PIT, about what is left
        eta = centre + near * z + far * t
        found = likelihood.log_density(eta)
        alone.append(found + np.log(w))
        weight = np.full(near.size, w)
        weight[j] *= np.exp(found[i])
        pit += weight * (likelihood.cdf(eta) if likelihood.has_cdf else np.nan)
        there += weight
    own = np.logaddexp.reduce(alone, axis=0)
    own[j] = np.logaddexp.reduce(joint, axis=0) + np.log(a[i] * b[j] / (near[i] * far[j]))
    return own, pit / there, failed


def whole_left_out(laplace: Laplace, point: LaplacePoint) -> Vector:
    """Log predictive density of the observation that each row is of, without it, at a theta."""
    return _of_whole(laplace, _pairs_left_out(laplace, point, laplace.likelihood_at(point.theta))[0])


def _of_whole(laplace: Laplace, own: Vector) -> Vector:
    """Of both rows of each pair what the second has."""
    assert laplace.pairs is not None
    whole = own.copy()
    whole[laplace.pairs[:, 0]] = own[laplace.pairs[:, 1]]
    return whole


def _then(likelihood: Any, g: Callable[[Vector], Vector]) -> Callable[[Vector], Vector]:
    return lambda eta: g(likelihood.log_density(eta))


def cavity(point: LaplacePoint) -> tuple[Vector, Vector, NDArray[np.bool_]]:
    """Mean and sd of each observation's predictor without it, at a theta, and where there is no such Gaussian."""
    slope, curvature = point.derivatives[0], -point.derivatives[1][: point.eta.size]
    rest = 1.0 / point.eta_variance - curvature  # precision of eta_i without observation i
    least = 1e-8 * np.maximum(np.abs(curvature), 1e-300)
    precision = np.maximum(rest, least)
    return point.eta - slope / precision, 1.0 / np.sqrt(precision), rest <= least


@dataclass(frozen=True)
class LeftOut:
    """Each observation given all others, by the predictors' Gaussians without it at each theta point.

    Attributes
    ----------
    posterior : Posterior
    likelihoods : list
        One a theta point.
    """

    posterior: Posterior
    likelihoods: list[Likelihood]

    @cached_property
    def _near(self) -> Vector:
        """About where the distribution function of each observation passes one half."""
        return self.likelihoods[0].start()

    @cached_property
    def _cavities(self) -> list[tuple[Vector, Vector, NDArray[np.bool_]]]:
        return [cavity(point) for point in self.posterior.points]

    @cached_property
    def failure(self) -> Vector:
        """1 where there is no Gaussian of the rest at some theta point."""
        return np.asarray(np.any([failed for _, _, failed in self._cavities], axis=0), dtype=float)

    @cached_property
    def _log_densities(self) -> Vector:
        """Log p(y_i | y_-i, theta) of each theta point, (K, m)."""
        out = np.empty((len(self.likelihoods), self._near.size))
        for k, rows, likelihood, centre, sd, few in self._parts():
            point = self.posterior.points[k]
            own = point.eta[rows], np.sqrt(point.eta_variance[rows])
            out[k, rows] = _log_density(likelihood, *own, centre, sd, FEW if few else MANY)
        return out

    @cached_property
    def _log_shares(self) -> Vector:
        """Log weights of the theta points without each observation, (K, m): harmonic, they go with w_k / p_k(y_i)."""
        out: Vector = np.log(self.posterior.weights)[:, None] - self._log_densities
        return out

    @cached_property
    def log_cpo(self) -> Vector:
        """Log p(y_i | y_-i), (m,)."""
        total: Vector = np.logaddexp.reduce(self._log_shares, axis=0)
        return -total

    def pit(self) -> Vector:
        """P(Y_i <= y_i | y_-i), (m,); not a number where the family has no distribution function."""
        total: Vector = np.zeros(self._near.size)
        for k, rows, likelihood, centre, sd, few in self._parts():
            if not likelihood.has_cdf:
                return np.full_like(total, np.nan)
            if few:
                below: Vector = sum(w * likelihood.cdf(centre + z * sd) for z, w in zip(*normal_nodes(FEW)))
            else:
                below = _below(likelihood, self._near[rows], centre, sd)
            total[rows] += np.exp(self._log_shares[k, rows] + self.log_cpo[rows]) * np.clip(below, 0.0, 1.0)
        return total

    def _parts(self) -> Iterator[tuple[int, NDArray[np.intp], Likelihood, Vector, Vector, bool]]:
        """Of each theta point the observations of which few nodes are enough, and the others, without their own."""
        for k, (point, likelihood, (centre, sd, _)) in enumerate(
            zip(self.posterior.points, self.likelihoods, self._cavities)
        ):
            bends = np.maximum(-likelihood.derivatives(self._near)[1], -point.derivatives[1])
            smooth = sd * np.sqrt(np.maximum(bends, 0.0)) < SMOOTH
            for few in (True, False):
                rows = np.flatnonzero(smooth == few)
                if rows.size:
                    own = likelihood if rows.size == smooth.size else likelihood.of_rows(rows)
                    yield k, rows, own, centre[rows], sd[rows], few


def _log_density(likelihood: Likelihood, eta: Vector, scale: Vector, centre: Vector, sd: Vector, nodes: int) -> Vector:
    """Log of ``int N(x; centre, sd²) p(y | x) dx``, about the posterior N(eta, scale²), where the integrand is."""
    log_terms = []
    for z, w in zip(*normal_nodes(nodes)):
        at = eta + scale * z
        log_terms.append(likelihood.log_density(at) - 0.5 * ((at - centre) / sd) ** 2 + 0.5 * z**2 + np.log(w))
    out: Vector = np.logaddexp.reduce(log_terms, axis=0) + np.log(scale / sd)
    return out


def _below(likelihood: Likelihood, near: Vector, centre: Vector, sd: Vector) -> Vector:
    """``int N(eta; centre, sd²) P(Y <= y | eta)``, by panels about the step of the distribution function."""
    steps = 4.0 / np.sqrt(np.maximum(-likelihood.derivatives(near)[1], 1e-6))
    low, high = centre - 6 * sd, centre + 6 * sd
    edges = [low, *(np.clip(near + k * steps, low, high) for k in (-1, 0, 1)), high]
    total = np.zeros_like(centre)
    for a, b in zip(edges[:-1], edges[1:]):
        for u, w in zip(*np.polynomial.legendre.leggauss(16)):
            eta = 0.5 * (a + b) + 0.5 * (b - a) * u
            gaussian = np.exp(-0.5 * ((eta - centre) / sd) ** 2) / (sd * np.sqrt(2 * np.pi))
            total += 0.5 * (b - a) * w * gaussian * likelihood.cdf(eta)
    return total
