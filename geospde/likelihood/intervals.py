"""Intervals of the parameters of a likelihood fit: by standard errors, and by the profile of the likelihood."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.special import ndtri

from geospde.errors import InputError
from geospde.likelihood.likelihoods import Joint, Profiled, Unpriored
from geospde.likelihood.profile import Correlation, CurveOfFixed, CurveOnLevels, Linear, Profile
from geospde.likelihood.quadrature import Quadrature
from geospde.likelihood.search import Maximum, maximum_likelihood
from geospde.model.build import Model
from geospde.terms.hyperparameter import Hyperparameter
from geospde.text.words import in_brief

Vector = NDArray[np.float64]
COLUMNS = ["estimate", "se", "lower", "upper"]
LEVEL = 10.0  # standard error of a logarithm or logit above which the data say nothing about it
AS_GOOD_AS_ONE = 1e-6  # 1 - |correlation| below which a singular covariance counts as having a correlation of one


# -- by standard errors -------------------------------------------------------------------------------------


def wald(estimate: Vector, se: Vector, names: Any = None, level: float = 0.95) -> pd.DataFrame:
    """Estimates, standard errors and normal limits."""
    reach = float(ndtri(0.5 + 0.5 * level)) * se
    columns = np.column_stack([estimate, se, estimate - reach, estimate + reach])
    return pd.DataFrame(columns, columns=COLUMNS, index=None if names is None else pd.Index(names))


def hyper_table(model: Model, maximum: Maximum, level: float = 0.95) -> pd.DataFrame:
    """The same of hyperparameters: normal on the inner scale, mapped to the user's."""
    idle = _idle(model, maximum)
    rows = [
        [np.nan] * 4 if h.name in idle else _estimate(h, maximum, float(ndtri(0.5 + 0.5 * level)))
        for h in model.hyperparameters
    ]
    return pd.DataFrame(rows, columns=COLUMNS, index=pd.Index([h.name for h in model.hyperparameters]))


def _estimate(h: Hyperparameter, m: Maximum, quantile: float) -> list[float]:
    """Estimate, standard error and limits of one hyperparameter; NaN where the data say nothing."""
    touched = h.direction != 0
    value = h.value(m.theta)
    if h.is_fixed:
        return [value, 0.0, value, value]
    if m.edges[touched].any() or m.flat[touched].any():
        if h.function is not None:  # a correlation
            value = float(np.sign(value)) if abs(value) > 1 - AS_GOOD_AS_ONE else value
        elif touched.sum() == 1 and m.edges[touched][0]:
            value = float(h.transform(h.direction[touched][0] * m.edges[touched][0] * np.inf))
        elif m.flat[touched].any():
            end = h.nearest_end(m.theta)
            value = np.nan if end is None else end
        return [value, np.nan, np.nan, np.nan]
    inner, slope = float(h.direction @ m.theta + h.shift), h.direction
    if h.function is not None:
        inner = h.inverse(value)
        slope, steps = np.zeros(m.theta.size), 1e-4 * np.eye(m.theta.size)
        for k in np.flatnonzero(touched):
            slope[k] = (h.inverse(h.value(m.theta + steps[k])) - h.inverse(h.value(m.theta - steps[k]))) / 2e-4
    se = float(np.sqrt(slope[touched] @ m.covariance[np.ix_(touched, touched)] @ slope[touched]))
    if se > LEVEL and (end := h.nearest_end(m.theta)) is not None:
        return [end, np.nan, np.nan, np.nan]
    rate = float(h.transform(inner + 1e-4) - h.transform(inner - 1e-4)) / 2e-4
    low, high = inner - quantile * se, inner + quantile * se
    with np.errstate(over="ignore"):  # the limits of a parameter that the data say little of may be 0 and infinity
        return [value, rate * se, float(h.transform(low)), float(h.transform(high))]


def _idle(model: Model, maximum: Maximum) -> set[str]:
    """Correlations of effects of which one has a standard deviation of zero."""
    out: set[str] = set()
    for _, part, own in _parts(model):
        pairs = part.precision.pairs
        zero = [not h.is_fixed and maximum.edges[h.direction != 0].any() for h in own]
        correlations = own[part.precision.effects :] if pairs else ()
        out |= {h.name for h, (j, i) in zip(correlations, pairs) if zero[j] or zero[i]}
    return out


def vanished(model: Model, maximum: Maximum) -> NDArray[np.bool_]:
    """Which latent variables are zero because their standard deviation is estimated as zero."""
    masks = [np.zeros(0, dtype=bool)]
    for _, part, own in _parts(model):
        q = part.precision.effects
        zero = [not h.is_fixed and bool((maximum.edges[h.direction != 0] < 0).any()) for h in own[:q]]
        of_level = zero if part.precision.parameters[0].startswith("sd") else [False] * q
        masks.append(np.tile(of_level, part.precision.n // q))
    return np.concatenate(masks)


def _parts(model: Model) -> list[tuple[int, Any, tuple[Hyperparameter, ...]]]:
    """Each random term with its first hyperparameter's place in the whole theta, and its own hyperparameters."""
    out, at, place = [], 0, 0
    for part in model.terms:
        count = len(part.hyperparameters())
        out.append((place, part, model.hyperparameters[at : at + count]))
        at, place = at + count, place + len(part.precision.parameters)
    return out


# -- by the profile -----------------------------------------------------------------------------------------


def likelihood_of(model: Unpriored, points: int) -> Profiled | Joint:
    """The likelihood that ML maximises."""
    if model.is_gaussian:
        return Profiled(model)
    return Joint(model) if points == 1 else Quadrature(model, points)


def _upright(model: Unpriored, maximum: Maximum, column: int | None = None) -> tuple[Unpriored, Maximum]:
    """A model and its maximum in coordinates that rounding leaves apart, with one fixed effect last: it is its own."""
    if column is not None:
        order = [*np.delete(np.arange(model.n_fixed), column), column]
        places = np.concatenate([np.arange(model.n_random), model.n_random + np.array(order)])
        model = replace(model, design=sp.csr_matrix(model.design[:, places]))
        maximum = replace(
            maximum, x=maximum.x[places], fixed=maximum.fixed[order],
            fixed_covariance=maximum.fixed_covariance[np.ix_(order, order)],
        )  # fmt: skip
    upright, basis = model.upright()
    return upright, maximum.inside(basis)


@dataclass(frozen=True)
class Maximised:
    """A model where its likelihood, or its restricted one, is largest.

    Attributes
    ----------
    model : Model
    unpriored : Unpriored
        The same without priors.
    maximum : Maximum
    is_restricted : bool
        Whether `maximum` is of the restricted likelihood.
    quadrature : int
        Points of adaptive Gauss-Hermite quadrature; 1 is Laplace.
    """

    model: Model
    unpriored: Unpriored
    maximum: Maximum
    is_restricted: bool
    quadrature: int = 1


def ml_maximum(found: Maximised) -> Maximum:
    """Where the likelihood, not the restricted one, is largest."""
    if not found.is_restricted:
        return found.maximum
    return maximum_likelihood(found.unpriored, found.model.start)


def profile_of(found: Maximised, name: str) -> tuple[Profile, Callable[[float], float]]:
    """The profile of one parameter, and the map from what it runs over to the user's scale."""
    maximum = found.maximum
    if name in found.model.effects.names:
        return _of_fixed(found, maximum, found.model.effects.names.index(name)), float
    h = next((h for h in found.model.hyperparameters if h.name == name), None)
    if h is None:
        raise InputError(f"nothing is called {in_brief(name)} that could have a profile")
    if h.is_fixed:
        raise InputError(f"{name} is held at {h.value(maximum.theta):g}: it has no profile")
    row = hyper_table(found.model, maximum).loc[name]
    effects = _of_group(found, h)
    if effects is not None:
        return _of_effects(found, maximum, row, *effects), float
    upright, maximum = _upright(found.unpriored, maximum)
    likelihood = likelihood_of(upright, found.quadrature)
    psi = likelihood.psi_of(maximum.theta)
    own = np.flatnonzero(h.direction)
    curve = CurveOnLevels(likelihood, maximum, psi, Linear(_outer(h.direction, likelihood)))
    start = found.model.start
    coordinates = found.unpriored.coordinates(psi)
    if own.size == 1 and coordinates.scales[own[0]]:
        unit = float(np.exp(start[own[0]]))
        step = row["se"] if np.isfinite(row["se"]) else 0.5 * unit

        def logarithm(value: float) -> float:
            return float(np.log(max(value, coordinates.least[own[0]] * unit)))

        return Profile(curve, row["estimate"], maximum.log_likelihood, step, logarithm, 0.0), float
    step = float(np.sqrt(h.direction[own] @ maximum.covariance[np.ix_(own, own)] @ h.direction[own]))
    if h.function is not None or not np.isfinite(step):
        raise InputError(f"{name} has no profile: the likelihood says nothing of it, or it is no single parameter")
    at = float(h.direction @ maximum.theta)
    return Profile(curve, at, maximum.log_likelihood, step, float), lambda t: float(h.transform(t + h.shift))


def _outer(direction: Vector, likelihood: Profiled | Joint) -> Vector:
    return np.concatenate([direction, np.zeros(likelihood.n_outer)])


def _of_fixed(found: Maximised, maximum: Maximum, column: int) -> Profile:
    model = found.unpriored
    estimate, se = maximum.fixed[column], float(np.sqrt(maximum.fixed_covariance[column, column]))
    curve: CurveOfFixed | CurveOnLevels
    if model.is_gaussian:
        curve = CurveOfFixed(model, maximum, column)
    else:
        upright, inside = _upright(model, maximum, column)
        likelihood = likelihood_of(upright, found.quadrature)
        curve = CurveOnLevels(
            likelihood, inside, likelihood.psi_of(maximum.theta), Linear(np.eye(likelihood.n_theta)[-1])
        )
    return Profile(curve, estimate, maximum.log_likelihood, se, float)


def _of_group(found: Maximised, h: Hyperparameter) -> tuple[int, int, tuple[int, ...]] | None:
    """Of correlated effects: the term, where its hyperparameters begin, and the effect or the two that `h` is of."""
    for term, (place, part, own) in enumerate(_parts(found.model)):
        pairs = part.precision.pairs
        where = slice(place, place + len(part.precision.parameters))
        if pairs and h in own and np.isnan(found.unpriored.fixed_theta[where]).all():
            k, q = own.index(h), part.precision.effects
            return (
                term,
                int(np.isnan(found.unpriored.fixed_theta[:place]).sum()),
                (k,) if k < q else tuple(pairs[k - q]),
            )
    return None


def _of_effects(
    found: Maximised, maximum: Maximum, row: Any, term: int, place: int, chosen: tuple[int, ...]
) -> Profile:
    """The profile of a standard deviation or correlation of a group's effects, which are brought first."""
    own = found.unpriored.precisions[term]
    order = [*chosen, *(k for k in range(own.effects) if k not in chosen)]
    model, maximum = _upright(found.unpriored.reordered(term, order), maximum)
    likelihood = likelihood_of(model, found.quadrature)
    where = slice(place, place + len(own.parameters))
    covariance = own.covariance(maximum.theta[where])[np.ix_(order, order)]
    factor = next(e.factor for e in likelihood.effects if e.where == where)
    psi = likelihood.psi_of(maximum.theta)
    psi[where] = factor.entries_of_covariance(covariance)
    largest = maximum.log_likelihood
    if len(chosen) == 1:
        unit = float(factor.units[0])
        curve = CurveOnLevels(likelihood, maximum, psi, Linear(_outer(np.eye(psi.size)[place], likelihood)))
        step = row["se"] if np.isfinite(row["se"]) else 0.5 * unit
        return Profile(curve, row["estimate"], largest, step, lambda sd: sd / unit, 0.0)
    curve = CurveOnLevels(likelihood, maximum, psi, Correlation(place + 2))
    estimate = 0.0 if np.isnan(row["estimate"]) else row["estimate"]
    return Profile(curve, estimate, largest, row["se"] if np.isfinite(row["se"]) else 0.5, float, -1.0, 1.0)
