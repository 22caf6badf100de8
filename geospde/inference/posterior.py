"""The posterior of a latent Gaussian model: its mode in theta, and the rule that integrates over theta.

A model on a fine mesh is integrated on a coarser one. The difference of the two log densities of theta is a smooth
function, which a few points of the fine mesh determine; the same points carry its latent variables (the idea of
multilevel Monte Carlo, Giles 2015, Acta Numerica 24, 259-328).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product

import numpy as np
from numpy.typing import NDArray

from geospde.errors import NumericalError
from geospde.families.gauss_hermite import normal_nodes
from geospde.inference.hyper import Accuracy, HyperPosterior, Posterior, nearest_weights
from geospde.inference.integration import FEW, LEVELS, NARROW, Explorer, central_composite, finished, integrate
from geospde.inference.laplace import Laplace, LaplacePoint
from geospde.inference.mixture import GaussianMixture
from geospde.inference.mode import curvature, find_mode, silent
from geospde.inference.residual import Nothing
from geospde.inference.second_order.evidence import worth_correcting
from geospde.inference.system import Predictor
from geospde.inference.warm import WarmLaplace
from geospde.linalg.processes import quadratic, squared_exponential
from geospde.linalg.threads import one_blas_thread
from geospde.text.progress import Callback

Vector = NDArray[np.float64]

# the process for what two meshes differ by: length in sds of theta, height in log density beside a quadratic trend, and
# the share of its variance that keeps its matrix invertible
LENGTH, HEIGHT, NOISE = 3.0, 0.3, 1e-8
# what a unit of log density does to a Gaussian: beyond 1.2 sds to its log integral and its sd, and beyond its 97.5 %
# quantile to that
TAILS = (0.23, 0.23, 0.43)
SOME = 500  # latent variables, beside fixed effects, whose quantiles a few points must have,
CARRIED = 0.01  # to this part of an interval, to carry a posterior;
LIGHT = 1e-4  # else all of a rule's own points do that have this weight
COUNTS = 0.025  # weight of a point beyond which all of an error there counts
LEVEL = 1.5  # sd of what two meshes differ by, up to which it may be uneven,
BEYOND = 0.5  # and sds from the points, up to which the process goes on: its trend would outgrow a posterior's tails
SAME = 0.1  # log density: error of that process, at a point of the fine mesh left out, up to which it serves,
ALIKE = 0.04  # and that error times the sd: the less even a difference, the further off the fine posterior may lie


def posterior(
    laplace: Laplace,
    start: Vector,
    rule: str = "auto",
    strategy: str = "auto",
    progress: Callback = silent,
    smaller: Laplace | None = None,
) -> Posterior:
    """Posterior of a latent Gaussian model.

    Parameters
    ----------
    laplace : Laplace
    start : (d,) array
        Where the search for the mode of theta starts.
    rule : {"auto", "grid", "ccd", "adaptive", "eb"}
        How to integrate over theta; `eb` stays at its mode (empirical Bayes).
    strategy : {"auto", "gaussian", "vb", "simplified", "laplace"}
        Latent Gaussians at the mode; with variational means; with second-order variances, skewness and evidence,
        too; with a full Laplace approximation of each marginal that is asked for. `auto` is `simplified` where the
        Laplace approximation errs noticeably by its own next term, else `vb`.
    progress : callable
        Told of every evaluation.
    smaller : Laplace, optional
        Of a model of the same observations and hyperparameters on a coarser mesh. `auto` integrates on that, and puts
        it right by points of the model itself, where these say that it can be. Else, and with a rough field, the
        search starts at its mode.
    """
    with one_blas_thread():
        if laplace.n_theta == 0:
            only = laplace.at(np.zeros(0))
            strategy = _settled(strategy, laplace, only)
            only = finished(laplace, only, strategy)
            return Posterior([only], np.ones(1), only.log_posterior, None, only, strategy)
        near, bend = start, None
        if smaller is not None:
            try:
                peak = _Peak.of(smaller, start, strategy, progress)
            except NumericalError:
                peak = None
            if peak is not None:
                serves = laplace.n_theta <= FEW and not any(term.is_rough for term in laplace.precisions)
                found = _lifted(laplace, peak, start, progress) if rule == "auto" and serves else None
                if found is not None:
                    return found
                near, bend = peak.mode.theta, np.asarray(np.linalg.inv(peak.covariance), dtype=float)
        peak = _Peak.of(laplace, near, strategy, progress, bend)
        if rule == "eb":
            mode = finished(laplace, peak.mode, peak.strategy)
            evidence = mode.log_posterior + 0.5 * mode.theta.size * np.log(2 * np.pi) + np.linalg.slogdet(peak.root)[1]
            gaussian = HyperPosterior(mode.theta, peak.root, Nothing())
            return Posterior([mode], np.ones(1), float(evidence), gaussian, mode, peak.strategy)
        explorer = Explorer(peak.warm, peak.mode.without_factor(), peak.strategy, progress)
        return replace(integrate(explorer, peak.root, peak.third, rule, start), strategy=peak.strategy)


@dataclass(frozen=True)
class _Peak:
    """The mode of theta, the search's covariance, root and third derivatives (`curvature`), and the strategy."""

    warm: WarmLaplace
    mode: LaplacePoint
    covariance: Vector
    root: Vector
    third: Vector
    strategy: str

    @classmethod
    def of(
        cls, laplace: Laplace, start: Vector, strategy: str, progress: Callback, bend: Vector | None = None
    ) -> "_Peak":
        """Search from a start, with a guess of the negative Hessian."""
        warm = WarmLaplace(laplace)
        mode, covariance = find_mode(warm, start, progress, curvature=bend)
        warm.root = np.asarray(np.linalg.cholesky(covariance), dtype=float)
        root, third = curvature(warm, mode, covariance, progress)
        warm.root = root
        return cls(warm, mode, covariance, root, third, _settled(strategy, laplace, mode))


def _settled(strategy: str, laplace: Laplace, mode: LaplacePoint) -> str:
    """The strategy that `auto` chooses for this model."""
    if strategy != "auto":
        return strategy
    return "simplified" if worth_correcting(laplace, mode) else "vb"


# -- two meshes ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Difference:
    """Log density of theta on a fine mesh less that on a coarse one: a process with a quadratic trend."""

    centre: Vector
    inverse: Vector  # of the root that standardises theta
    places: Vector
    coefficients: Vector
    error: float  # largest, of what the other points say of one that counts
    spread: float  # sd of the difference

    @classmethod
    def between(
        cls, fine: Sequence[LaplacePoint], coarse: Sequence[LaplacePoint], weights: Vector, root: Vector
    ) -> "_Difference":
        """Through points of the two meshes, of these weights, whose thetas have about unit scale on the root's axes."""
        thetas = np.array([point.theta for point in coarse])
        values = np.array([own.log_posterior - other.log_posterior for own, other in zip(fine, coarse)])
        inverse = np.asarray(np.linalg.inv(root), dtype=float)
        places = (thetas - thetas[0]) @ inverse.T
        own = _covariance(places, places)[:, : len(places)]
        own[np.diag_indices_from(own)] *= 1.0 + NOISE
        precision = np.linalg.inv(own)
        coefficients = precision @ values
        counts = np.minimum(weights / COUNTS, 1.0)
        error = float((counts * np.abs(coefficients / np.diag(precision))).max())
        return cls(thetas[0], inverse, places, coefficients, error, _spread(values, weights))

    @property
    def serves(self) -> bool:
        """Whether it tells the fine mesh's density well enough."""
        return self.error <= SAME and self.error * self.spread <= ALIKE

    def added_to(self, point: LaplacePoint) -> LaplacePoint:
        """A point of the coarse mesh with the density of the fine one, and its gradient."""
        place = (point.theta - self.centre)[None] @ self.inverse.T
        inside = np.clip(place, self.places.min(axis=0) - BEYOND, self.places.max(axis=0) + BEYOND)
        value, *slopes = self.coefficients @ _covariance(self.places, inside)
        gradient = (np.array(slopes) * (inside == place)[0]) @ self.inverse
        return replace(point, log_posterior=point.log_posterior + float(value), gradient=point.gradient + gradient)

    def beside(self, accuracy: Accuracy | None) -> Accuracy | None:
        """Add the error of this difference to the errors of a rule, as it acts on a Gaussian's tails."""
        if accuracy is None:
            return None
        evidence, spread, quantile = (
            float(np.hypot(own, share * self.error))
            for own, share in zip((accuracy.evidence, accuracy.spread, accuracy.quantile), TAILS)
        )
        return replace(accuracy, evidence=evidence, spread=spread, quantile=quantile)


def _spread(values: Vector, weights: Vector) -> float:
    """Standard deviation under weights that sum to one."""
    return float(np.sqrt(weights @ (values - weights @ values) ** 2))


def _covariance(u: Vector, v: Vector) -> Vector:
    """Of values at u, (p, d), with values and derivatives at v, (q, d)."""
    process = HEIGHT**2 * squared_exponential(u, v, LENGTH, values_only=True)
    values: Vector = process + quadratic(u, v, values_only=True)
    return values


class _Led(Explorer):
    """Evaluates thetas on a coarse mesh, each once, and adds the difference to the fine mesh."""

    difference: _Difference | None = None

    def __init__(self, peak: _Peak, progress: Callback):
        super().__init__(peak.warm, peak.mode.without_factor(), peak.strategy, progress)
        self._known: dict[bool, dict[bytes, LaplacePoint | None]] = {False: {}, True: {}}  # without, with gradients

    def at(self, thetas: list[Vector], gradient: bool = False, latent: bool = True) -> list[LaplacePoint | None]:  # noqa: ARG002
        """Return a point for each theta, None where it fails; only its density is computed."""
        known = self._known[True] if gradient else self._known[True] | self._known[False]
        new = [theta for theta in thetas if theta.tobytes() not in known]
        fresh = {theta.tobytes(): point for theta, point in zip(new, super().at(new, gradient, latent=False))}
        self._known[gradient] |= fresh
        known |= fresh
        found, more = [known[theta.tobytes()] for theta in thetas], self.difference
        return found if more is None else [None if point is None else more.added_to(point) for point in found]


def _lifted(laplace: Laplace, coarse: _Peak, start: Vector, progress: Callback) -> Posterior | None:
    """The posterior by that on a coarse mesh and some points of the fine one; None where they differ too much."""
    led = _Led(coarse, progress)
    try:
        rough = integrate(led, coarse.root, coarse.third, "auto", start)
        below = _places(led, rough)
        above = _carriers(laplace, coarse.strategy, rough, below, progress)
        assert rough.hyper is not None
        led.difference = _Difference.between(above, below, nearest_weights(rough.hyper, below), coarse.root)
        if not led.difference.serves:
            return None
        found = integrate(led, coarse.root, coarse.third, "auto", start)
    except NumericalError:
        return None
    assert found.hyper is not None
    weights = nearest_weights(found.hyper, above)
    hyper = replace(found.hyper, accuracy=led.difference.beside(found.hyper.accuracy))
    return Posterior.of(above, weights, found.log_marginal_likelihood, hyper, above[0], coarse.strategy)


def _places(led: _Led, rough: Posterior) -> list[LaplacePoint]:
    """Points of the coarse mesh about a posterior, the densest first: a few that carry it, or else its own."""
    assert rough.hyper is not None
    found = _all(led.at([*rough.hyper.placed(_around(rough.hyper.dimension))]))
    if not _is_carried(led.laplace, rough, found):
        found = _all(led.at([point.theta for point, weight in zip(rough.points, rough.weights) if weight > LIGHT]))
    return sorted(found, key=lambda point: -point.log_posterior)


def _all(found: Iterable[LaplacePoint | None]) -> list[LaplacePoint]:
    """The points, where all are there."""
    points = list(found)
    known = [point for point in points if point is not None]
    if len(known) < len(points):
        raise NumericalError("one of the two meshes has no density at some hyperparameters")
    return known


def _around(d: int) -> Vector:
    """Standardised places around a mode, (k, d), that carry moments: of Gauss-Hermite rules, or a composite design."""
    if d > 2:
        return central_composite(d, NARROW)[0]
    nodes = normal_nodes({1: 7, 2: 3}[d])[0]
    every: Vector = np.array(list(product(nodes, repeat=d)))
    return every


def _is_carried(laplace: Laplace, whole: Posterior, few: list[LaplacePoint]) -> bool:
    """Whether a few points give the latent variables the quantiles that all of a rule's points do."""
    assert whole.hyper is not None
    # the fixed effects are last
    some = np.unique(np.linspace(0, laplace.n - 1, SOME).astype(int))
    some = np.union1d(some, np.arange(laplace.n_random, laplace.n))
    diagonal = laplace.pattern.indptr[:-1][some]

    def quantiles(points: Sequence[LaplacePoint], weights: Vector) -> Vector:
        sds = np.sqrt([point.covariance[diagonal] for point in points])
        mixture = GaussianMixture(weights, np.array([point.x[some] for point in points]), sds)
        return np.array([mixture.quantile(p) for p in LEVELS])

    own = quantiles(whole.points, whole.weights)
    away = (quantiles(few, nearest_weights(whole.hyper, few)) - own) / (own[2] - own[0])
    return bool(np.abs(away).max() < CARRIED)


def _carriers(
    laplace: Laplace, strategy: str, rough: Posterior, below: list[LaplacePoint], progress: Callback
) -> list[LaplacePoint]:
    """Points of the fine mesh at the thetas of the coarse one's, whose predictors their modes are near.

    The second-order correction, which hardly depends on the mesh, is taken at the first alone.

    Raises
    ------
    NumericalError
        Where there is none, or where the meshes differ by more in one place than in another: after half of the points.
    """
    assert rough.hyper is not None
    warm, (leader, *others) = WarmLaplace(laplace), below
    (first,) = _all(warm.all([leader.theta], False, partial(finished, strategy=strategy), [Predictor(leader.eta)]))
    points, more = [first], first.correction - leader.correction
    finish = partial(finished, strategy="gaussian" if strategy == "gaussian" else "vb")
    half = len(others) // 2
    for part in (others[:half], others[half:]):
        starts = [Predictor(own.eta + first.eta - leader.eta) for own in part]
        for point, own in zip(_all(warm.all([own.theta for own in part], False, finish, starts)), part):
            correction = own.correction + more
            points.append(replace(point, log_posterior=point.log_posterior + correction, correction=correction))
        progress(len(points), len(below), "integration over the hyperparameters")
        gaps = np.array([point.log_posterior - own.log_posterior for point, own in zip(points, below)])
        weights = nearest_weights(rough.hyper, points)
        if _spread(gaps, weights) > LEVEL:
            raise NumericalError("two meshes differ by more at some hyperparameters than at others")
    return points
