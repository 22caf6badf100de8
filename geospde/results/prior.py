"""Priors: of single quantities, as a `Marginal` beside the posterior's; Student t ones matched to Gaussians."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from geospde.errors import GeospdeWarning, InputError, alert
from geospde.families.priors import LKJ, Flat, Independent, LinearGaussian
from geospde.families.scaled import OfSize
from geospde.inference.laplace import Laplace
from geospde.inference.marginals import Marginal
from geospde.model.build import Model
from geospde.model.coarse import coarser
from geospde.model.hyperparameters import theta_slices
from geospde.model.priors import FixedPriors
from geospde.terms.hyperparameter import Hyperparameter
from geospde.text.words import did_you_mean, listed

Vector = NDArray[np.float64]
Density = tuple[Vector, Vector]  # rising values, and the density there

FALL = 25.0  # of the log density, from the mode to where a prior is cut off
FURTHEST = 700.0  # exp of more overflows
POINTS = 400  # to each side of the mode
NOWHERE = -1e300
ROUNDS = 3  # from a prior's centre; the coefficients move by a hundredth of their sd in the second


def prior_marginal(model: Model, name: str) -> Marginal:
    """Prior of one hyperparameter or fixed effect.

    Parameters
    ----------
    model : Model
    name : str
        A row of `hyper` or of `fixed`, or ``"log "`` and a row of `hyper`.

    Returns
    -------
    Marginal
        On the user's scale. Of a function of several hyperparameters, such as ``tau(spde)``, it is the density of that
        function.

    Raises
    ------
    InputError
        Where there is no density: for an improper prior, a value that is held, an unknown name.
    """
    if not isinstance(name, str):
        raise InputError(f"a prior is of a parameter by its name, not of {name!r}")
    for h in model.hyperparameters:
        if h.name == name.removeprefix("log "):
            inner, density = _of_hyperparameter(model, h)
            return _resolved(inner, density, h.inner_map(name.startswith("log ")))
    names = model.effects.names
    if name in names:
        return _of_fixed(model.fixed_priors, names.index(name), name)
    if name in model.latent_names:
        raise InputError(f"{name} has no prior of its own: its distribution is the term's")
    known = [h.name for h in model.hyperparameters] + names
    raise InputError(f"nothing is called {name!r}: {did_you_mean(name, known, 'priors')}")


def _resolved(inner: Vector, density: Vector, transform: Any) -> Marginal:
    """A marginal on as much of the inner scale as the user's scale tells apart."""
    if transform is None:
        return Marginal(inner, density)
    flat, mode = np.flatnonzero(np.diff(transform(inner)) <= 0), int(density.argmax())
    first, last = max(flat[flat < mode] + 1, default=0), min(flat[flat >= mode], default=len(inner) - 1)
    return Marginal(inner[first : last + 1], density[first : last + 1], transform)


# -- hyperparameters ----------------------------------------------------------------------------------------


def _of_hyperparameter(model: Model, h: Hyperparameter) -> Density:
    """Density of ``direction @ theta + shift``: a sum of independent parts."""
    if h.is_fixed:
        raise InputError(f"{h.name} is held: it has no prior density")
    direction = np.zeros(model.fixed_theta.size)
    direction[np.isnan(model.fixed_theta)] = h.direction
    touched = [(prior, where) for prior, where in _independent(model) if direction[where].any()]
    if h.function is not None:
        return _of_correlation(model, h, touched)
    total: Density | None = None
    for prior, where in touched:
        one = _of_part(prior, direction[where], h.name)
        total = one if total is None else _sum(total, one)
    assert total is not None
    return total[0] + h.shift, total[1]


def _independent(model: Model) -> Iterator[tuple[Any, slice]]:
    """Priors that are independent of one another, with their places in the whole theta."""
    family = slice(model.fixed_theta.size - len(model.likelihood.hyper), model.fixed_theta.size)
    owners = [(part.precision.prior, where) for part, where in zip(model.terms, theta_slices(model.terms))]
    for prior, where in [*owners, (model.likelihood.prior, family)]:
        if isinstance(prior, Independent):
            for part, at in zip(prior.parts, prior.places):
                yield part, slice(where.start + at.start, where.start + at.stop)
        else:
            yield prior, where


def _of_part(prior: Any, direction: Vector, name: str) -> Density:
    """Density of ``direction @ theta`` for the thetas of one prior."""
    if isinstance(prior, LinearGaussian):
        row = np.linalg.solve(prior.transform.T, direction)
        centre, sd = float(row @ (prior.mean - prior.shift)), float(np.linalg.norm(row)) / prior.precision**0.5
        t = np.linspace(-8.0, 8.0, 4 * POINTS + 1)
        return centre + sd * t, np.exp(-0.5 * t**2) / (sd * np.sqrt(2 * np.pi))
    if isinstance(prior, OfSize):
        return _of_dispersion(prior, name) if direction[1] else _of_part(prior.power, direction[:1], name)
    if direction.size != 1:
        raise InputError(f"the prior of {name} is joint with others: its own density is not known")
    theta, log_density = _grid(prior, name)
    values, density = direction[0] * theta, np.exp(log_density) / abs(direction[0])
    return (values, density) if direction[0] > 0 else (values[::-1], density[::-1])


def _of_dispersion(prior: OfSize, name: str) -> Density:
    """Density of log phi: of a pure number's logarithm, moved by what the power says."""
    (power, log_density), (pure, density) = _grid(prior.power, name), _of_part(prior.dispersion, np.ones(1), name)
    shares, shifts = np.exp(log_density) * np.gradient(power), prior.shifts(power)
    values = np.linspace(pure[0] + shifts.min(), pure[-1] + shifts.max(), 4 * POINTS + 1)
    total = np.zeros(values.size)
    for share, shift in zip(shares / shares.sum(), shifts):
        total += share * np.interp(values - shift, pure, density, left=0.0, right=0.0)
    return values, total


def _grid(prior: Any, name: str) -> Density:
    """Thetas over all that a prior's density reaches, dense about the mode, and the log density there."""
    from scipy.optimize import minimize_scalar

    improper = f"the prior of {name} is improper, {prior.describe()}: it has no density"
    if isinstance(prior, Flat):
        raise InputError(improper)

    def at(theta: float) -> float:
        try:
            with np.errstate(all="ignore"):
                value = float(prior.log_density(np.array([theta])))
        except (ValueError, OverflowError):  # so far out that the logarithm of a distance of 0 is asked for
            return NOWHERE
        return value if np.isfinite(value) else NOWHERE

    coarse = np.linspace(-60.0, 60.0, 241)
    best = float(coarse[int(np.argmax([at(t) for t in coarse]))])
    mode = float(minimize_scalar(lambda t: -at(t), bounds=(best - 0.5, best + 0.5), method="bounded").x)
    ends = [_end(at, mode, side) for side in (-1.0, 1.0)]
    if all(abs(end) >= FURTHEST for end in ends):
        raise InputError(improper)
    steps = (np.arange(1, POINTS + 1) / POINTS) ** 2
    left, right = ends
    theta = np.concatenate([mode - (mode - left) * steps[::-1], [mode], mode + (right - mode) * steps])
    return theta, np.array([at(t) for t in theta])


def _end(at: Callable[[float], float], mode: float, side: float) -> float:
    """Where, on one side of the mode, a log density has fallen by `FALL`."""
    height, near, far = at(mode), 0.0, 1e-3
    while height - at(mode + side * far) < FALL and abs(mode + side * far) < FURTHEST:
        near, far = far, 2.0 * far
    for _ in range(30):
        middle = 0.5 * (near + far)
        near, far = (middle, far) if height - at(mode + side * middle) < FALL else (near, middle)
    return float(np.clip(mode + side * far, -FURTHEST, FURTHEST))


def _sum(a: Density, b: Density) -> Density:
    """Density of the sum of two independent quantities."""
    step = (np.ptp(a[0]) + np.ptp(b[0])) / (20 * POINTS)
    evenly = [np.interp(np.arange(x[0], x[-1] + step, step), x, density, right=0.0) for x, density in (a, b)]
    density = step * np.convolve(evenly[0], evenly[1])
    return a[0][0] + b[0][0] + step * np.arange(density.size), density


def _of_correlation(model: Model, h: Hyperparameter, touched: list[tuple[Any, slice]]) -> Density:
    """Prior of Fisher's z of a correlation that is a function of several thetas; returned against the correlation.

    Under LKJ all correlations of a matrix have one distribution (Lewandowski, Kurowicka & Joe 2009, theorem 1).
    """
    first = touched[0][0]
    own = next(where for where in theta_slices(model.terms) if where.start <= touched[0][1].start < where.stop)
    alike = all(isinstance(prior, LKJ) and prior.eta == first.eta for prior, _ in touched)
    if not alike or not np.isnan(model.fixed_theta[own]).all():
        raise InputError(f"the prior of {h.name} is joint with others: its own density is not known")
    z, log_density = _grid(replace(first, position=0), h.name)
    return z, np.exp(log_density)


# -- fixed effects ------------------------------------------------------------------------------------------


def _of_fixed(priors: FixedPriors, at: int, name: str) -> Marginal:
    """Gaussian or Student t; its grid widens towards the tails."""
    if priors.precision[at] == 0:
        raise InputError(f"the prior of {name} is improper, flat: it has no density")
    if np.count_nonzero(priors.transform[at]) > 1:
        raise InputError(f"the prior of {name} is of its value at the covariates' means, not of {name} itself")
    mean, df = float(priors.mean[at]), float(priors.df[at])
    t = np.linspace(-8.0, 8.0, 4 * POINTS + 1)
    if np.isinf(df):
        sd = float(priors.precision[at]) ** -0.5
        return Marginal(mean + sd * t, np.exp(-0.5 * t**2) / (sd * np.sqrt(2 * np.pi)))
    scale, z = float(priors.scale[at]), np.sinh(t)
    constant = gammaln(0.5 * (df + 1)) - gammaln(0.5 * df) - 0.5 * np.log(df * np.pi)
    density = np.exp(constant - 0.5 * (df + 1) * np.log1p(z**2 / df)) * np.cosh(t)
    return Marginal(t, density, lambda s: mean + scale * np.sinh(s))


def with_matched_priors(model: Model) -> tuple[Model, Laplace]:
    """The model with its Student t priors matched to Gaussians at the mode of the coefficients, ready for inference.

    A model without any stays as it is. A default prior that the responses contradict is warned of, and one that leaves
    a standard deviation no end towards zero, where a likelihood is level.
    """
    endless = [
        h.name for h in model.hyperparameters if h.name.startswith(("sd(", "sigma(")) and h.prior == Flat().describe()
    ]
    if endless:
        words = f"the posterior of {listed(endless)} has no end towards zero under a flat prior"
        alert(GeospdeWarning(words, remedy="give it a proper one", subject="variance"))
    if odds := model.likelihood.at_odds():
        remedy = "give it a prior that suits them, such as {'loggamma': [1, 0.001]}"
        alert(GeospdeWarning(odds, remedy=remedy))
    laplace = Laplace(model)
    if model.fixed_priors.heavy_tailed:
        for _ in range(ROUNDS):
            mode = laplace.at(model.start, gradient=False).x
            model = replace(model, fixed_priors=model.fixed_priors.matched(mode[laplace.n_random :]))
            laplace = Laplace(model)
    return model, laplace.analysed()


def first_look(model: Model) -> Laplace | None:
    """The model on a coarser mesh, ready for inference; None for a model that is small itself."""
    smaller = coarser(model)
    return None if smaller is None else Laplace(smaller)
