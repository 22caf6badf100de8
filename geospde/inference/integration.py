"""Integration over theta: rules of points, each reweighted by the true log posterior.

`auto` lays a product Gauss-Hermite rule on axes standardised by the curvature at the mode and bent by the third
derivatives there (three points an axis leave errors of 3 % in posterior sds, four of 0.5 %). Where the mode or
the points say that this does not fit (few data, heavy tails), and with three hyperparameters, where a product of nodes
costs too much, points are added where a Gaussian process through them is unsure. With more than three
hyperparameters the points are those of central composite designs, and a polynomial through values and gradients.
"""

from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from geospde.errors import NumericalError
from geospde.families.gauss_hermite import normal_nodes
from geospde.inference.adaptive import adaptive, compressed
from geospde.inference.correction import variational_mean
from geospde.inference.hyper import Accuracy, HyperPosterior, Posterior
from geospde.inference.laplace import Laplace, LaplacePoint
from geospde.inference.residual import EvenGrid, Polynomial, ProductSpline
from geospde.inference.second_order.evidence import evidence_correction
from geospde.inference.warm import WarmLaplace
from geospde.inference.warp import Axes, Warp
from geospde.linalg.threads import LARGE
from geospde.text.progress import Callback
from geospde.text.words import counted

Vector = NDArray[np.float64]

STEP = 1.0  # of grids and profiles, in standard deviations: a sum over it integrates a Gaussian to 1e-8
DROP, DEEPER = 7.0, 10.0  # of the log density, where a profile ends: of a design, of a grid
GOOD = 0.9  # agreement of a composite design with the posterior, from which it serves
FEW = 8  # hyperparameters that a Gaussian process follows: of more the covariances of values and gradients are large
FURTHEST = 12  # steps that a profile goes out at most
MOST_NODES = 20_000  # of a grid
FEWEST, TRIES = 6, 6  # places of a profile that tell its shape; changes of its step
UNEVEN = 0.04  # of the sums over even and odd places: their whole is then exact to 1e-6, were it a Gaussian
EDGE = 2e-4  # density at the end of a grid, in standardised axes, from which it goes on
NOTHING = 200.0  # below the top, log density of points that fail
SMOOTH = 0.3  # roughness up to which the Gauss-Hermite rule errs by a per cent or less
SWOLLEN = 0.11  # of z²: a tail of 1.13 times the sd. A curve through few nodes falls short of longer ones: quantiles of
# a group's sd were .17 to .28 sds off in a quarter of simulated surveys of counts; up to here .06
WIDE, NARROW = 1.3, 1.1  # radii of composite designs, in sqrt(d): to see the tails, to carry the bulk
BENT = 0.24  # part of the roughness that the mode foretells, from which the rule is not tried: on everyday fields with
# up to 0.23 the points agreed, and with 0.25 and more they did not
LEVELS = (0.025, 0.5, 0.975)  # of the quantiles that two mixtures are compared by
POOR = 0.3  # agreement below which a polynomial is fitted anew about the moments of the first


class Explorer:
    """Evaluates points of theta around a mode, in parallel, and keeps of each what a posterior needs."""

    def __init__(self, warm: WarmLaplace, mode: LaplacePoint, strategy: str, progress: Callback):
        self.warm = warm
        self.laplace = warm.laplace
        self.mode = mode
        self.strategy = strategy
        self.progress = progress

    def at(self, thetas: list[Vector], gradient: bool = False, latent: bool = True) -> list[LaplacePoint | None]:
        """Return a finished point for each theta, None where it fails; without `latent` its density alone."""
        found: list[LaplacePoint | None] = []
        for point in self.warm.all(thetas, gradient, partial(finished, strategy=self.strategy, latent=latent)):
            found.append(point)
            self.progress(len(found), len(thetas), "integration over the hyperparameters")
        return found


def finished(laplace: Laplace, point: LaplacePoint, strategy: str, latent: bool = True) -> LaplacePoint:
    """Correct the point while its factor is there, and drop the factor."""
    if strategy in ("simplified", "laplace"):
        correction = evidence_correction(laplace, point)
        point = replace(point, log_posterior=point.log_posterior + correction, correction=correction)
    mean = variational_mean(laplace, point) if latent and strategy != "gaussian" else point.x
    return replace(point, mean=mean, factor=None)


def _log_values(points: list[LaplacePoint | None]) -> Vector:
    return np.array([-np.inf if p is None else p.log_posterior for p in points])


def _mixture(
    found: list[LaplacePoint | None], log_mass: Vector, hyper: HyperPosterior, mode: LaplacePoint
) -> Posterior:
    """The points with mass, their weights, and the evidence, from the log mass of each point's cell."""
    top = log_mass.max()
    weights = np.exp(log_mass - top)
    evidence = float(top + np.log(weights.sum()) + np.linalg.slogdet(hyper.root)[1])
    return Posterior.of(found, weights / weights.sum(), evidence, hyper, mode)


def _filled(residual: Vector) -> Vector:
    """Residuals relative to their largest, those of failed points far below."""
    finite = np.isfinite(residual)
    residual = np.where(finite, residual, residual[finite].min() - 10.0)
    values: Vector = residual - residual.max()
    return values


@dataclass(frozen=True)
class Agreement:
    """How well the axes of a rule fit the posterior, as its points see it.

    Attributes
    ----------
    mean, covariance : arrays
        Of standardised theta: zero and the identity where the axes fit.
    roughness : float
        Standard deviation of the residual under the Gaussian: zero where the posterior is one.
    swelling : float
        By what part of z² the log density at the outermost places along the axes lies above the Gaussian's, at most.
    """

    mean: Vector
    covariance: Vector
    roughness: float
    swelling: float

    def within(self, roughness: float, swelling: float) -> bool:
        """Whether the axes fit, the residual is no rougher and no tail swells more than this."""
        scales = np.sqrt(np.linalg.eigvalsh(self.covariance))
        off = float(max(np.abs(self.mean).max(), np.abs(scales - 1.0).max()))
        return off < 0.25 and self.roughness < roughness and self.swelling < swelling


def gauss_hermite(
    explorer: Explorer, centre: Vector, root: Vector, points: int, warp: Warp | None = None
) -> tuple[Posterior, Agreement]:
    """Product Gauss-Hermite rule, on bent axes if there is a warp, and how well it fits."""
    d = centre.size
    nodes, weights = normal_nodes(points)
    combos = [list(c) for c in product(range(points), repeat=d)]
    u = np.array([nodes[c] for c in combos])
    z, log_slope = (u, np.zeros(len(combos))) if warp is None else warp(u)
    found = explorer.at([centre + root @ zk for zk in z])
    residual = _log_values(found) + log_slope + 0.5 * (u**2).sum(axis=1)
    if not np.isfinite(residual).any():
        raise NumericalError(f"no point around {explorer.laplace.describe(centre)} could be evaluated")
    log_mass = residual + np.array([np.log(weights[c]).sum() for c in combos]) + 0.5 * d * np.log(2 * np.pi)
    mass = np.exp(log_mass - log_mass.max())
    mass /= mass.sum()
    mean = mass @ u
    covariance = (u - mean).T @ (mass[:, None] * (u - mean))
    spline = ProductSpline((nodes,) * d, _filled(residual).reshape((points,) * d))
    nominal = weights
    for _ in range(d - 1):
        nominal = np.multiply.outer(nominal, weights)
    roughness = float(np.sqrt((nominal * (spline.values - (nominal * spline.values).sum()) ** 2).sum()))
    inner = (slice(1, -1),) * d
    ends = [spline.values[(*inner[:k], side, *inner[k + 1 :])].max() for k in range(d) for side in (0, -1)]
    swelling = float(max(ends) - np.average(spline.values[inner], weights=nominal[inner])) / nodes[-1] ** 2
    posterior = _mixture(found, log_mass, HyperPosterior(centre, root, spline, warp), explorer.mode)
    return posterior, Agreement(mean, covariance, roughness, swelling)


def profiles(explorer: Explorer, centre: Vector, root: Vector, drop: float) -> list[tuple[Vector, Vector]]:
    """Log density along each axis, out to where it has dropped: places, and values below the largest.

    In steps of the density's own width along each axis, which the curvature at the mode may not tell.
    """

    def value(theta: Vector) -> float:
        return float(_log_values(explorer.at([theta], latent=False))[0])

    middle, out = value(centre), []
    if not np.isfinite(middle):
        raise NumericalError(f"the posterior could not be evaluated at {explorer.laplace.describe(centre)}")
    for column in root.T:
        step = STEP
        for _ in range(TRIES):
            profile = {0: middle}
            for side in (-1, 1):
                for j in range(1, FURTHEST + 1):
                    found = value(centre + column * (side * j * step))
                    if not np.isfinite(found):
                        break
                    profile[side * j] = found
                    if found < max(profile.values()) - drop:
                        break
            taken = np.array(sorted(profile))
            places, values = step * taken, np.array([profile[j] for j in taken])
            is_still_high = values[[0, -1]].max() > values.max() - drop
            if len(taken) < FEWEST:
                step *= 0.5
            elif is_still_high and len(taken) > FURTHEST:
                step *= 2.0
            else:
                break
        out.append((places, compressed(values - values.max())))
    return out


def even_grid(explorer: Explorer, centre: Vector, root: Vector) -> Posterior:
    """Even grid on axes bent by the density along each, made wider and finer until it holds and resolves all mass."""
    axes = Axes(centre, root, Warp.of_profiles(profiles(explorer, centre, root, DEEPER)))
    d = centre.size
    places = [STEP * np.arange(-4.0, 5.0)] * d
    known: dict[tuple[float, ...], LaplacePoint | None] = {}
    while True:
        shape = tuple(nodes.size for nodes in places)
        if np.prod(shape) > MOST_NODES:
            raise NumericalError(
                f"an even grid over {counted(d, 'hyperparameter')} needs more than {MOST_NODES:,} points; "
                "take integration 'adaptive' or 'ccd'"
            )
        u = np.array(list(product(*places)))
        new = [place for place in map(tuple, u.tolist()) if place not in known]
        known.update(zip(new, explorer.at(list(axes.theta(np.array(new))))))
        found = [known[place] for place in map(tuple, u.tolist())]
        log_density = _log_values(found) + axes.log_volume(u)
        if not np.isfinite(log_density).any():
            raise NumericalError(f"no point around {explorer.laplace.describe(centre)} could be evaluated")
        mass = np.exp(log_density - log_density.max()).reshape(shape)
        mass /= mass.sum()
        coarse = _coarse(mass)
        better = [_wider(_halved(nodes) if coarse[k] else nodes, k, mass) for k, nodes in enumerate(places)]
        if all(one.size == nodes.size for one, nodes in zip(better, places)):
            break
        places = better
    values = compressed(np.maximum(log_density - log_density.max(), -NOTHING)) + 0.5 * (u**2).sum(axis=1)
    hyper = HyperPosterior(centre, root, EvenGrid(tuple(places), values.reshape(shape)), axes.warp)
    log_cell = float(sum(np.log(nodes[1] - nodes[0]) for nodes in places))
    return _mixture(found, log_density + log_cell, hyper, explorer.mode)


def _coarse(mass: Vector) -> NDArray[np.bool_]:
    """Along which axes a grid with these masses is too coarse, (d,).

    The sums over even and over odd places, along any axis and any diagonal, differ by 1.4 % of the whole for a
    Gaussian at a step of one sd, where the whole is exact to 1e-8: an error is about the fourth power of that.
    """
    found = np.zeros(mass.ndim, dtype=bool)
    parity = np.indices(mass.shape) % 2
    for chosen in product((False, True), repeat=mass.ndim):
        odd = parity[list(chosen)].sum(axis=0) % 2
        if any(chosen) and abs(float((mass * (1 - 2 * odd)).sum())) > UNEVEN:
            found |= chosen
    return found


def _halved(nodes: Vector) -> Vector:
    """The nodes, and those between them."""
    return np.linspace(nodes[0], nodes[-1], 2 * nodes.size - 1)


def _wider(nodes: Vector, axis: int, mass: Vector) -> Vector:
    """The nodes with one more at each end where much mass lies."""
    step = nodes[1] - nodes[0]
    ends = [float(mass.take(side, axis=axis).sum()) > EDGE * step for side in (0, -1)]
    low, high = nodes[0] - step * ends[0], nodes[-1] + step * ends[1]
    return np.linspace(low, high, nodes.size + sum(ends)) if any(ends) else nodes


def composite_design(explorer: Explorer, centre: Vector, root: Vector, third: Vector | None = None) -> Posterior:
    """Central composite designs, for many hyperparameters: a centre, axial and fractional factorial points.

    On axes bent by the density along each (or, with `third`, by the third derivatives), the log density and its exact
    gradient at a first design give a polynomial, and that the evidence, the marginals of theta and its mean and
    covariance. Where that is far from the Gaussian of the axes, they are laid anew on its moments. A last design, on
    the moments, carries the latent variables: its weights integrate constants and squares exactly (Rue, Martino &
    Chopin 2009, section 6.5).
    """
    return _carrying(explorer, *_fitted(explorer, centre, root, third), third)


def _carrying(explorer: Explorer, hyper: HyperPosterior, log_top: float, third: Vector | None) -> Posterior:
    """The posterior of a polynomial through a first design, which is laid anew where it is poor, with the last one."""
    if third is None and hyper.agreement < POOR:
        moved, scaled = _tamed(hyper)
        again, again_top = _fitted(explorer, moved, scaled, None)
        if again.agreement > hyper.agreement:
            hyper, log_top = again, again_top
    mean, covariance = hyper.moments()
    v, weights = central_composite(hyper.dimension, NARROW)
    carried = explorer.at([mean + step for step in v @ np.linalg.cholesky(covariance).T])
    kept = [(p, w) for p, w in zip(carried, weights) if p is not None]
    if not kept:
        raise NumericalError(f"no point around {explorer.laplace.describe(mean)} could be evaluated")
    chosen = np.array([w for _, w in kept])
    evidence = log_top + hyper.log_integral()
    return Posterior([p for p, _ in kept], chosen / chosen.sum(), evidence, hyper, explorer.mode)


def _fitted(explorer: Explorer, centre: Vector, root: Vector, third: Vector | None) -> tuple[HyperPosterior, float]:
    """A polynomial through values and gradients at a design on bent axes, and the log density it is relative to."""
    if third is None:
        warp = Warp.of_profiles(profiles(explorer, centre, root, DROP))
    else:
        warp = Warp.of_third_derivatives(third)
    u = central_composite(centre.size, WIDE)[0]
    z, log_slope = warp(u)
    found = explorer.at([centre + root @ zk for zk in z], gradient=True)
    good = np.array([p is not None for p in found])
    if not good.any():
        raise NumericalError(f"no point around {explorer.laplace.describe(centre)} could be evaluated")
    log_values = _log_values(found) + log_slope + 0.5 * (u**2).sum(axis=1)
    top = float(log_values.max())
    log_slopes, bends = warp.slopes(u[good])
    gradients = np.array([p.gradient @ root for p in found if p is not None]) * np.exp(log_slopes) + bends + u[good]
    nearness = np.exp(-0.25 * (u[good] ** 2).sum(axis=1))
    polynomial = Polynomial.through(u[good], log_values[good] - top, gradients, nearness)
    return HyperPosterior(centre, root, polynomial, warp), top


def _tamed(hyper: HyperPosterior) -> tuple[Vector, Vector]:
    """Centre and root of axes on the moments, moved no further than a poor polynomial can be trusted."""
    mean, covariance = hyper.moments()
    inverse = np.linalg.inv(hyper.root)
    scales, turn = np.linalg.eigh(inverse @ covariance @ inverse.T)
    root = np.linalg.cholesky(hyper.root @ (turn * np.clip(scales, 0.25, 4.0)) @ turn.T @ hyper.root.T)
    return hyper.centre + hyper.root @ np.clip(inverse @ (mean - hyper.centre), -1.0, 1.0), np.asarray(root)


def central_composite(d: int, f: float) -> tuple[Vector, Vector]:
    """Points of a central composite design, the outer ones at f sqrt(d), and their weights."""
    axial = np.vstack([np.eye(d), -np.eye(d)]) * f * np.sqrt(d)
    z = np.vstack([np.zeros((1, d)), axial, f * _factorial(d)])
    outer = 1.0 / ((len(z) - 1) * f**2)  # so that the sum of w z_k² is one: every outer point has |z|² = f² d
    weights = np.full(len(z), outer)
    weights[0] = 1.0 - (len(z) - 1) * outer
    return z, weights


def _factorial(d: int) -> Vector:
    """Two-level points: all signs up to four axes, beyond a fraction in which no two axes' product is constant."""
    if d <= 4:
        return np.array(list(product((-1.0, 1.0), repeat=d)))
    # base columns, and products of three of them for the other axes: resolution four
    base = 4
    while base + len(list(combinations(range(base), 3))) < d:
        base += 1
    signs = np.array(list(product((-1.0, 1.0), repeat=base)))
    extra = [signs[:, list(c)].prod(axis=1) for c in combinations(range(base), 3)]
    return np.column_stack([signs, *extra])[:, :d]


def integrate(
    explorer: Explorer, root: Vector, third: Vector, rule: str = "auto", origin: Vector | float = 0.0
) -> Posterior:
    """Integrate over theta.

    Parameters
    ----------
    explorer : Explorer
    root : (d, d) array
        ``theta = mode + root z`` standardises the posterior.
    third : (d, d) array
        Third derivatives of the log posterior in z, at the mode: entry (i, j) once in z_i and twice in z_j.
    rule : {"auto", "grid", "ccd", "adaptive"}
        `auto`: Gauss-Hermite, 5 nodes on one axis or 4 on each of two, and a composite design for four and more, where
        they fit, else `adaptive`; of more than eight hyperparameters always the design; `grid`: an even grid; `ccd`: a
        composite design; `adaptive`: points that are added where a Gaussian process through them is unsure.
    origin : (d,) array, optional
        A theta that a change of units shifts as it shifts the mode, such as the start of the search.
    """
    centre = explorer.mode.theta
    d = centre.size
    # the density along every axis costs some ten evaluations each
    along = np.diag(third)
    skew = None if explorer.laplace.n < LARGE else along
    if rule == "ccd" or (rule == "auto" and d > FEW):
        return composite_design(explorer, centre, root, skew)
    design = None
    if rule == "auto" and d > 3:
        design = _fitted(explorer, centre, root, skew)
        if design[0].agreement > GOOD:
            return _carrying(explorer, *design, skew)
    if rule == "grid":
        return even_grid(explorer, centre, root)
    if rule == "auto" and d < 3 and _bend(third) < BENT:
        warp = Warp.of_third_derivatives(along)
        found, fit = gauss_hermite(explorer, centre, root, {1: 5, 2: 4}[d], warp)
        if fit.within(SMOOTH, SWOLLEN):
            return found
    priors = Warp.of_prior(explorer.laplace.log_prior, centre)
    # the last digits of mode and curvature are rounding's, which would decide where points are added
    unit = 2.0 ** (np.floor(np.log2(np.diag(root))) - 10.0)
    centre = origin + np.round((centre - origin) / unit) * unit
    root = np.round(root / unit[:, None]) * unit[:, None]
    # on the priors' scale first: what the data say little of has a tail there that ends, as their logarithm's does not
    first, second = (Axes.at_mode(centre, root, np.round(along, 2), scale) for scale in (priors, None))
    try:
        found = adaptive(explorer, first, None if first.scale is None else second, priors)
    except NumericalError:  # of a survey of zeros alone, one in some dozen: the process saw a single point
        if rule != "auto":
            raise
        return _carrying(explorer, *(design or _fitted(explorer, centre, root, skew)), skew)
    if design is None or found.accuracy is None or found.accuracy.is_fair:
        return found
    # draws that leave as much open as this say less of the bulk than a polynomial does
    smooth = _carrying(explorer, *design, skew)
    assert smooth.hyper is not None and found.hyper is not None
    gap = smooth.log_marginal_likelihood - found.log_marginal_likelihood
    return replace(smooth, hyper=replace(smooth.hyper, accuracy=_apart(found.hyper, smooth.hyper, gap)))


def _apart(draws: HyperPosterior, smooth: HyperPosterior, gap: float) -> Accuracy | None:
    """What draws say of a polynomial's error: their own, and by how much they are apart."""
    error = draws.accuracy
    if error is None:
        return None
    own, other = (np.sqrt(np.diag(one.moments()[1])) for one in (draws, smooth))
    ends = [
        np.array([_quantiles(x, weights, LEVELS) for x in theta.T]) for theta, weights in (draws.cloud, smooth.cloud)
    ]
    spread = np.abs(other / own - 1.0).max()
    quantile = (np.abs(ends[1] - ends[0]).max(axis=1) / own).max()
    errors = zip((error.evidence, error.spread, error.quantile), (gap, spread, quantile))
    evidence, spread, quantile = (float(np.hypot(each, away)) for each, away in errors)
    return Accuracy(evidence, spread, quantile, False, error.draws)


def _quantiles(values: Vector, weights: Vector, levels: tuple[float, ...]) -> Vector:
    """Quantiles of values, (n,), with weights that sum to one."""
    order = np.argsort(values)
    below = np.cumsum(weights[order]) - 0.5 * weights[order]
    return np.asarray(np.interp(levels, below, values[order]))


def _bend(third: Vector) -> float:
    """Roughness, as in `Agreement`, that the third derivatives off the axes leave: no bending of each axis helps."""
    beside = third - np.diag(np.diag(third))
    return float(np.sqrt(0.75 * (beside**2).sum()))  # the variance of z_i z_j² / 2 is 3/4
