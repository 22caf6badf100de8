"""Second-order Laplace: what cubic and quartic terms of the log likelihood add to evidence, variances and skewness.

Written in the predictors, with C their posterior covariance, h its diagonal and l3, l4 the third and fourth
derivatives of the log density (Shun & McCullagh 1995, J. R. Statist. Soc. B 57, 749-760, equation (5); the terms are
the one-loop corrections of Tierney & Kadane 1986 for a likelihood that is a product over observations):

    log evidence    + sum l4 h² / 8 + (l3 h)' C (l3 h) / 8 + sum_ij l3_i C_ij³ l3_j / 12
    cov of b'x      + c' M c,  c = cov(b'x, eta),  M = diag(l4 h / 2 + l3 (C l3 h) / 2) + (l3 l3') C² / 2
    third cumulant  sum_i l3_i c_i³

A series serves where each observation adds little. Where they add more, and all densities are log-concave, the evidence
is that of expectation propagation: of 150 zeros and ones under a wide field the series misses it by one to five.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import NumericalError
from geospde.families.gauss_hermite import normal_nodes
from geospde.inference.correction import informed
from geospde.inference.laplace import LOG_2PI, Laplace, LaplacePoint
from geospde.linalg.basis import Basis
from geospde.linalg.mixtures import triple_sums

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
STEP_OF_PAIRS = 1e-3  # of differences in predictors of a pair: second ones lose 1e-10, and err by 1e-6 of the sixth
ALONG = (1.0, -1.0, 2.0)  # of a pair's second predictor, added to its first: rows that say a cubic and a quartic
UNHELD = 1e12  # variance of a predictor that neither data nor prior hold: a separated one, whose fit is refused
# What rows share is computed once for rows of at most so many columns, of which there are so many, so many a set of
# columns on average.
WIDEST = 6
FEWEST = 2000
SHARED = 4
ARRANGEMENTS = {1: 1.0, 2: 3.0, 3: 6.0}  # of three things, so many of them different
LARGEST = 3e7  # numbers in the loadings: beyond, variances and skewness are left to the Gaussian


class Expansion(NamedTuple):
    """Cubic and quartic terms of a log density: sums of powers of rows of the latent vector.

    The rows are the predictors; of a pair, whose density depends on both, u and v, also u + v, u - v and u + 2 v, which
    say any cubic and quartic of two.

    Attributes
    ----------
    rows : (r, n) csr_matrix
    third, fourth : (r,) arrays
        Derivatives along them, less what other rows of a pair have.
    variances : (r,) array
    cubes : (r,) array
        Sums over the rows of the same observation of third derivatives and their covariances cubed.
    observation : (r,) array of int or None
        Which each row is of; None where each is one.
    """

    rows: sp.csr_matrix
    third: Vector
    fourth: Vector
    variances: Vector
    cubes: Vector
    observation: NDArray[np.intp] | None

    @classmethod
    def at(cls, laplace: Laplace, point: LaplacePoint) -> "Expansion":
        """At a point."""
        likelihood, design, h = laplace.likelihood_at(point.theta), laplace.design, point.eta_variance
        if laplace.pairs is None:
            third, fourth = derivatives_beyond(likelihood, point.eta)
            return cls(design, third, fourth, h, third * h * h * h, None)
        m, (i, j) = h.size, laplace.pairs.T
        combined = [design[i] + times * design[j] for times in ALONG]
        observation = np.arange(m)
        observation[i] = j
        observation = np.concatenate([observation, *[j] * len(ALONG)])
        axes = laplace.axes(laplace.variances(point.covariance))
        a, b = (np.concatenate([each, *(each[i] + times * each[j] for times in ALONG)]) for each in axes)
        third, fourth = _of_pairs(likelihood, point.eta)
        cubes = np.zeros_like(a)
        for k, times in enumerate((1, 3, 3, 1)):  # of (a a' + b b')³
            part = a**k * b ** (3 - k)
            cubes += times * part * np.bincount(observation, third * part)[observation]
        rows = sp.csr_matrix(sp.vstack([design, *combined], format="csr"))
        return cls(rows, third, fourth, a**2 + b**2, cubes, observation)


def _of_pairs(likelihood: Any, eta: Vector) -> tuple[Vector, Vector]:
    """Third and fourth derivatives of an `Expansion`, by central differences of the second."""
    m, (i, j) = eta.size, likelihood.pairs.T

    def bends(u: float, v: float) -> Vector:
        """Second derivatives of each pair a step away: in u twice, in both, in v twice."""
        there = eta.copy()
        there[i] += u
        there[j] += v
        second = likelihood.derivatives(there)[1]
        return np.array([second[i] + second[m:], second[m:], second[j] + second[m:]])

    s = STEP_OF_PAIRS
    here, of_u, of_v = bends(0, 0), [bends(s, 0), bends(-s, 0)], [bends(0, s), bends(0, -s)]
    in_u, in_v = ((near - far) / (2 * s) for near, far in (of_u, of_v))
    twice_u, twice_v = ((near - 2 * here + far) / s**2 for near, far in (of_u, of_v))
    third, fourth = derivatives_beyond(likelihood, eta)
    both, apart = (in_u[1] + in_v[1]) / 2, (in_v[1] - in_u[1]) / 2
    third[i], third[j] = in_u[0] - both - apart, in_v[2] - both + apart
    third = np.concatenate([third, both, apart, np.zeros(i.size)])
    beyond = (twice_v[1] - twice_u[1]) / 6
    both, apart = ((twice_u[2] - 4 * beyond + sign * (twice_u[1] - 2 * beyond)) / 2 for sign in (1, -1))
    fourth[i] = twice_u[0] - both - apart - beyond
    fourth[j] = twice_v[2] - both - apart - 16 * beyond
    return third, np.concatenate([fourth, both, apart, beyond])


def derivatives_beyond(likelihood: Any, eta: Vector) -> tuple[Vector, Vector]:
    """Third and fourth derivative of the log density; the fourth by central differences of the third."""
    _, second, third = likelihood.derivatives(eta)
    # predictors in a unit are stepped along by the width of their likelihoods
    step = 1e-3 if likelihood.unit is None else 1e-3 / np.sqrt(np.abs(second).max(initial=np.finfo(float).tiny))
    fourth = (likelihood.derivatives(eta + step)[2] - likelihood.derivatives(eta - step)[2]) / (2 * step)
    return third, fourth


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


@dataclass(frozen=True)
class HigherOrder:
    """Corrections of variance and skewness at one theta, for any linear combinations.

    Attributes
    ----------
    loadings : (n, m) array
        Covariance of the latent vector with the predictors.
    third : (m,) array
    inner : (m, m) array
        M above.
    entries : (nnz,) arrays
        Rows and columns of the pattern of H.
    basis : Basis
        That H is of.
    """

    loadings: Vector
    third: Vector
    inner: Vector
    entries: tuple[NDArray[np.int64], NDArray[np.int64]]
    basis: Basis

    @classmethod
    def at(cls, laplace: Laplace, point: LaplacePoint) -> "HigherOrder":
        """At a point whose likelihood is not Gaussian."""
        design, third, fourth, h, *_ = Expansion.at(laplace, point)
        loadings = np.ascontiguousarray(laplace.solve(point, design.T.toarray()))
        covariance = design @ loadings
        inner = 0.5 * np.outer(third, third) * covariance**2
        inner[np.diag_indices_from(inner)] += 0.5 * (fourth * h + third * (covariance @ (third * h)))
        return cls(loadings, third, inner, laplace.entries, laplace.basis)

    @cached_property
    def on_pattern(self) -> Vector:
        """Entries of ``loadings M loadings'`` on the pattern of H, (nnz,), which is all that most rows need."""
        loadings = self.basis.inside(self.loadings)
        weighted, out = loadings @ self.inner, np.empty(self.entries[0].size)
        for a in range(0, out.size, 8192):
            i, j = (each[a : a + 8192] for each in self.entries)
            out[a : a + 8192] = np.einsum("pm,pm->p", weighted[i], loadings[j])
        return out

    def of(
        self, rows: sp.csr_matrix, variances: Vector, quadratic: sp.csr_matrix | None = None
    ) -> tuple[Vector, Vector]:
        """Factor of the variance, and skewness, of each row's combination.

        Parameters
        ----------
        rows : (k, n) csr_matrix
        variances : (k,) array
            At the same point, before correction.
        quadratic : (k, nnz) csr_matrix, optional
            From entries on the pattern of H to the rows' quadratic forms, where the pattern covers the rows: with it a
            row costs no square of the number of observations.
        """
        ratio, cubes = np.ones(rows.shape[0]), np.empty(rows.shape[0])
        safe = np.maximum(variances, 1e-300)
        more = None if quadratic is None else quadratic @ self.on_pattern
        shared = shared_supports(rows)
        for members, supports, which in shared:
            cubes[members] = self._cubes(rows, members, supports, which)
        alone = np.ones(rows.shape[0], bool)
        for members, _, _ in shared:
            alone[members] = False
        if more is None:
            more, alone = np.empty(rows.shape[0]), np.ones_like(alone)
        left = np.flatnonzero(alone)
        for a in range(0, left.size, 2048):
            part = left[a : a + 2048]
            c = rows[part] @ self.loadings
            cubes[part] = (c * c * c) @ self.third
            if quadratic is None:
                more[part] = ((c @ self.inner) * c).sum(axis=1)
        # the series is one of small terms: where they are not small, it is not to be trusted far
        ratio += np.clip(more / safe, -0.2, 0.3)
        return ratio, np.clip(cubes / safe**1.5, -1.5, 1.5)

    def _cubes(
        self, rows: sp.csr_matrix, members: NDArray[np.intp], supports: NDArray[np.int64], which: NDArray[np.intp]
    ) -> Vector:
        """Third cumulants of rows that share supports: sums over the observations are taken once a support."""
        k = supports.shape[1]
        triples = [(a, b, c) for a in range(k) for b in range(a, k) for c in range(b, k)]
        sums, out = np.empty((len(supports), len(triples))), np.zeros(members.size)
        triple_sums(supports, self.loadings, self.third, sums)
        arranged = iter(np.ascontiguousarray((sums * [ARRANGEMENTS[len(set(each))] for each in triples]).T))
        w = np.ascontiguousarray(rows.data[rows.indptr[members][:, None] + np.arange(k)].T)
        for a in range(k):
            of_a = np.zeros(members.size)
            for b in range(a, k):
                of_pair = np.zeros(members.size)
                for c in range(b, k):
                    of_pair += w[c] * next(arranged)[which]
                of_a += w[b] * of_pair
            out += w[a] * of_a
        return out


def shared_supports(
    rows: sp.csr_matrix,
) -> list[tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.intp]]]:
    """Find the rows whose columns are those of many others, as of a map's cells within one triangle.

    Returns
    -------
    list of (members, supports, which)
        Row numbers; the different sets of columns, (s, k); which of them each row has.
    """
    counts, found = np.diff(rows.indptr), []
    for k in range(1, WIDEST + 1):
        members = np.flatnonzero(counts == k)
        if members.size < FEWEST:
            continue
        columns = rows.indices[rows.indptr[members][:, None] + np.arange(k)].astype(np.int64)
        keys = columns @ np.random.default_rng(k).integers(1, 2**62, k)  # equal for equal columns; wraps around
        _, first, which = np.unique(keys, return_index=True, return_inverse=True)
        supports = columns[first]
        if len(supports) * SHARED <= members.size and (supports[which] == columns).all():
            found.append((members, supports, which))
    return found
