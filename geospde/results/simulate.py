"""`geospde.simulate`: data of a model, at parameters that are given or drawn from their priors; `Fit.simulate`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.families.base import Family
from geospde.families.registry import DEFAULT, read_family
from geospde.formula.parser import parse_sides
from geospde.formula.syntax import symbols
from geospde.formula.table import require_table
from geospde.linalg.cholesky import Cholesky, NotPositiveDefinite
from geospde.linalg.threads import one_blas_thread
from geospde.mesh.trimesh import Meshes
from geospde.model.build import Model, build_model
from geospde.model.covariates import with_covariates
from geospde.model.dispersion import with_dispersion
from geospde.model.hyperparameters import theta_slices, whole_theta
from geospde.model.pattern import pattern, refuse_rows
from geospde.results.draws import draw
from geospde.results.prior import prior_marginal
from geospde.results.state import FitState
from geospde.survey.polygons import as_region
from geospde.terms.base import LatentTerm
from geospde.terms.rows import MovingRows
from geospde.text.arguments import as_number, refuse_seed
from geospde.text.findings import Finding
from geospde.text.keywords import answers_keywords
from geospde.text.words import did_you_mean, in_brief, listed, number

Vector = NDArray[np.float64]

RESPONSES = ("y", "response")
"""Columns of a response that the formula does not name: the first that the model does not use."""

POINTS = 200
"""Values at which distributions are compared, beside those observed."""

UNLIKELY, PREDICTIVE, PRIOR_PREDICTIVE = 0.01, "predictive check", "prior predictive check"

DRAWN = 25
"""Points of the hyperparameters with replicates of the priors: each takes a factorisation."""

PLACEHOLDERS = ((1.0, 2.0), (0.0, 1.0), (0.3, 0.7))
"""Responses that one family or another takes, to build a model of before there are any."""


@answers_keywords
def simulate(
    formula: str,
    data: Any,
    *,
    hyper: Mapping[str, float] | None = None,
    fixed: Mapping[str, float] | None = None,
    family: str | Family | type[Family] = DEFAULT,
    link: str | None = None,
    mesh: Meshes | None = None,
    coords: tuple[str, str] | None = None,
    exposure: Any = None,
    offset: Any = None,
    weights: Any = None,
    priors: Any = "default",
    covariates: Mapping[str, Any] | None = None,
    domain: Any = None,
    dispformula: str | None = None,
    seed: int | None = None,
) -> Any:
    """Simulate responses of a model at the rows of a table.

    Parameters
    ----------
    formula : str
        As of `geospde.fit`; without a left side, ``"~ 1 + spde(mesh)"``, the response is called ``y``, or
        ``response`` where ``y`` is a coordinate or a covariate.
    data : DataFrame or GeoDataFrame
        Places, covariates, groups, trials. Of a point pattern None, or points whose CRS and labels of marks are taken.
    hyper : dict, optional
        Hyperparameters by the names of `Fit.hyper`, such as ``{"range(spde)": 200, "sigma(spde)": 1}``; those that are
        left out are drawn from their priors.
    fixed : dict, optional
        Fixed effects by the names of `Fit.fixed`; those that are left out are drawn from their priors, which must be
        proper.
    family, link, mesh, coords, exposure, offset, weights, priors, covariates, domain, dispformula
        As of `geospde.fit`.
    seed : int, optional

    Returns
    -------
    DataFrame
        The data with the response, and ``eta``, the linear predictor that it was drawn with; of a point pattern its
        points. What was drawn is in ``attrs``: ``hyper``, ``fixed``, and ``latent``, the random terms' latent
        variables.

    Raises
    ------
    InputError
        For a parameter that the model does not have, one that has no prior to be drawn from, a family that draws no
        responses, and a response named as a coordinate or a covariate is.

    Examples
    --------
    >>> import geospde as gs, pandas as pd
    >>> table = pd.DataFrame({"x": [1.0, 2.0, 3.0]})
    >>> gs.simulate("~ x", table, fixed={"Intercept": 1, "x": 2}, hyper={"sigma": 1e-6}, seed=1)["y"].round(3).tolist()
    [3.0, 5.0, 7.0]
    """
    refuse_seed(seed, optional=True)
    kind = read_family(family, link)
    options: dict[str, Any] = {
        "family": kind, "mesh": mesh, "coords": coords, "exposure": exposure, "offset": offset, "weights": weights,
        "priors": priors, "covariates": covariates, "dispformula": dispformula,
    }  # fmt: skip
    if domain is not None or kind.is_pattern:
        name, made, model = RESPONSES[0], data, _pattern_model(formula, data, domain, options)
    else:
        name, made, model = _table_model(formula, data, options)
    rng = np.random.default_rng(seed)
    theta = _thetas(model, _given(hyper, "hyper"), rng, 1)[0]
    coefficients = _fixed(model, _given(fixed, "fixed"), rng, 1)[:, 0]
    complete = whole_theta(model, theta)
    x = np.concatenate([_draw_terms(model, complete, 1, rng)[:, 0], coefficients])
    eta = model.design @ x + model.offset
    own = complete[len(complete) - len(model.likelihood.hyper) :]
    if model.window is not None:
        made = model.window.draw(model, eta, rng)
    else:
        made = made.assign(**{name: model.likelihood.at(own).draw(eta, rng), "eta": eta})
    made.attrs["hyper"] = {h.name: h.value(theta) for h in model.hyperparameters}
    made.attrs["fixed"] = dict(zip(model.effects.names, map(float, coefficients)))
    made.attrs["latent"] = dict(zip(model.latent_names, map(float, x)))
    return made


def simulate_fit(fit: FitState, n: int = 1, seed: int | None = None) -> pd.DataFrame:
    """Replicate the responses of a fit: each with parameters and effects drawn from its posterior.

    Returns
    -------
    DataFrame
        One row per observation, one column per replicate, from 1; of a point pattern one row per point, with its
        replicate.
    """
    draws = draw(fit, n, seed)
    rng = np.random.default_rng(None if seed is None else [seed, 2])
    if (window := fit.model.window) is not None:
        eta = (fit.laplace.design @ draws.latent.T).T + fit.model.offset
        patterns = [window.draw(fit.model, one, rng) for one in eta]
        return pd.concat([one.assign(replicate=k) for k, one in enumerate(patterns, 1)], ignore_index=True)
    return pd.DataFrame(_responses(fit, draws.theta, draws.latent, rng), columns=range(1, n + 1))


def _responses(fit: FitState, thetas: Vector, latent: Vector, rng: np.random.Generator) -> Vector:
    """Responses, (rows, n), at each of some thetas, (n, d), and latent vectors, (n, n_latent)."""
    eta = (fit.laplace.design @ latent.T).T + fit.model.offset
    return np.array([fit.laplace.likelihood_at(theta).draw(one, rng) for theta, one in zip(thetas, eta)]).T


def is_delta(model: Model) -> bool:
    """Whether a model is that of a delta family: of presence, and of the values where there are some."""
    return model.recipe is not None and bool(model.recipe.delta)


def observed_response(model: Model) -> Vector:
    """What was observed at each row: 0, or a value."""
    presence, positive = (part.likelihood for part in model.parts.values())
    y = np.zeros(presence.n)
    y[presence.y > 0] = positive.y
    return y


def replicated_response(fit: FitState, n: int, seed: int | None = None) -> Vector:
    """Replicates of the response of a delta family, (rows, n); see `_delta_responses`."""
    draws = draw(fit, n, seed)
    return _delta_responses(fit, draws.theta, draws.latent, np.random.default_rng(None if seed is None else [seed, 2]))


def _delta_responses(fit: FitState, thetas: Vector, latent: Vector, rng: np.random.Generator) -> Vector:
    """As `_responses`, of a delta family: presence at every row, times a value.

    Raises
    ------
    InputError
        For values whose predictor is not known where none was observed: their dispersion or a term follows the data.
    """
    presence, positive = fit.model.parts.values()
    table, points = presence.table, presence.points
    rows = positive.rows(table, points, allow_new_levels=True)
    likelihood: Any = fit.laplace.model.likelihood
    if isinstance(rows, MovingRows) or not likelihood.parts[1].has_one_mean:
        raise InputError("values above 0 are not replicated where a term or their dispersion is of the data alone")
    offset = np.asarray(positive.remainder(table), dtype=float)
    if positive.has_offset:
        offset = offset + positive.offsets.of(table)
    first = latent @ presence.design.T + presence.offset
    second = latent @ rows.T + offset
    made = [fit.laplace.likelihood_at(theta).replicate(u, v, rng) for theta, u, v in zip(thetas, first, second)]
    return np.array(made).T


@dataclass(frozen=True)
class PredictiveCheck:
    """The distribution of a fit's responses among those of replicates.

    Attributes
    ----------
    at, observed, lower, middle, upper : (m,) arrays
        Values, and the share of responses up to each: of those observed, and the 2.5 %, 50 % and 97.5 % quantiles of
        that of the replicates.
    p : float
        The share of replicates, the observed responses among them, whose greatest distance from `middle` is at least
        that of the observed: small where the fit could hardly have made the data. Of replicates of the posterior it
        errs to the large side, as both are of the same data.
    reach : (float, float)
        The 2.5 % and 97.5 % quantiles of all replicated responses.
    prior : bool
        Whether replicates are drawn from the priors.
    held : tuple of str
        Fixed effects that were not, as their prior is flat.
    """

    at: Vector
    observed: Vector
    lower: Vector
    middle: Vector
    upper: Vector
    p: float
    reach: tuple[float, float]
    prior: bool = False
    held: tuple[str, ...] = ()

    @property
    def finding(self) -> Finding:
        """What it says, in a sentence."""
        inside = f"{100 * ((self.observed >= self.lower) & (self.observed <= self.upper)).mean():.0f} %"
        worst = int(np.argmax(np.abs(self.observed - self.middle)))
        own, theirs = (f"{100 * share:.0f} %" for share in (self.observed[worst], self.middle[worst]))
        at = number(float(f"{self.at[worst]:.3g}"))
        if self.prior:
            low, high = (number(float(f"{end:.2g}")) if np.isfinite(end) else "infinity" for end in self.reach)
            said = f"95 % of responses drawn from the prior lie from {low} to {high}"
            if self.held:
                return Finding("ok", PRIOR_PREDICTIVE, f"{said}, with estimates where it is flat: {listed(self.held)}")
            if self.p >= UNLIKELY:
                return Finding("ok", PRIOR_PREDICTIVE, f"those observed are no surprise to the prior: {said}")
            return Finding(
                "note",
                PRIOR_PREDICTIVE,
                f"those observed are a surprise to the prior: {said}; {own} of those observed are at most {at}, "
                f"where draws have {theirs} (p = {self.p:.2g})",
                "look at [priors], or the argument priors",
            )
        band = f"replicates of the fit: {inside} of the range of responses lies in their 95 % band"
        if self.p >= UNLIKELY:
            return Finding("ok", PREDICTIVE, f"the responses are spread as those of {band} (p = {self.p:.2g})")
        return Finding(
            "warning",
            PREDICTIVE,
            f"the responses are not spread as those of {band} (p = {self.p:.2g}); {own} of them are at most {at}, "
            f"where replicates have {theirs}",
            "look at it, and try another family: one with more zeros, or with heavier tails",
        )


def predictive_check(fit: FitState, draws: int = 200, seed: int = 0) -> PredictiveCheck:
    """Compare the distribution of the responses with those of replicates.

    Raises
    ------
    InputError
        For a family that draws no responses.

    References
    ----------
    Gelman, Meng & Stern (1996), Statistica Sinica 6, 733-807.
    """
    seen = _seen(fit)
    made = replicated_response(fit, draws, seed) if is_delta(fit.model) else simulate_fit(fit, draws, seed).to_numpy()
    low, high = np.quantile(made, [0.001, 0.999])
    return _compared(seen, made, (min(low, seen.min()), max(high, seen.max())))


def prior_predictive_check(fit: FitState, draws: int = 200, seed: int = 0) -> PredictiveCheck:
    """Compare the distribution of the responses with those of replicates drawn from the priors of a Bayesian fit.

    Hyperparameters are drawn at a Latin hypercube of `DRAWN` points, and at each of them a share of the replicates;
    fixed effects from their priors, too, but those with a flat one, which are as estimated.

    Raises
    ------
    InputError
        For a family that draws no responses, a prior that cannot be drawn from, and a fit without priors.

    References
    ----------
    Gabry, Simpson, Vehtari, Betancourt & Gelman (2019), J. R. Stat. Soc. A 182, 389-402.
    McKay, Beckman & Conover (1979), Technometrics 21, 239-245.
    """
    if fit.plug_in:
        raise InputError("a fit without priors has no replicates of them")
    seen, model, rng, points = _seen(fit), fit.model, np.random.default_rng([seed, 3]), min(DRAWN, draws)
    means = fit.approximation.weights @ fit.approximation.means[:, fit.laplace.n_random :]
    estimated = {name: m for name, m, p in zip(model.effects.names, means, model.fixed_precision) if p == 0}
    each = -(-draws // points)
    thetas, coefficients = _thetas(model, {}, rng, points), _fixed(model, estimated, rng, points * each)
    drawn = _delta_responses if is_delta(model) else _responses
    with one_blas_thread(), np.errstate(all="ignore"):
        random = [_draw_terms(model, whole_theta(model, theta), each, rng) for theta in thetas]
        latent = np.vstack([np.hstack(random), coefficients]).T
        try:
            made = drawn(fit, thetas.repeat(each, axis=0), latent, rng).astype(float)
        except (ValueError, OverflowError) as error:
            raise InputError(f"the priors allow responses that no number holds: {error}") from None
    made[np.isnan(made)] = np.inf  # such as a rest of two that overflow
    low, high = np.quantile(made, [0.001, 0.999], method="nearest")
    room = np.ptp(seen) or 1.0
    ends = (max(min(low, seen.min()), seen.min() - room), min(max(high, seen.max()), seen.max() + room))
    return replace(_compared(seen, made, ends), prior=True, held=tuple(estimated))


def _seen(fit: FitState) -> Vector:
    """The responses that replicates are compared with."""
    if fit.model.family.is_pattern:
        raise InputError("a point pattern has no responses whose distribution could be compared: see fit.simulate")
    return observed_response(fit.model) if is_delta(fit.model) else np.asarray(fit.model.likelihood.y, dtype=float)


def _compared(seen: Vector, replicates: Vector, ends: tuple[float, float]) -> PredictiveCheck:
    """Compare responses with replicates, (rows, n), between two values and at each of those seen."""
    at = np.unique(np.concatenate([np.linspace(*ends, POINTS), seen]))
    shares = np.array([np.searchsorted(np.sort(one), at, "right") for one in replicates.T]) / len(seen)
    own = np.searchsorted(np.sort(seen), at, "right") / len(seen)
    lower, middle, upper = np.quantile(shares, [0.025, 0.5, 0.975], axis=0)
    far = np.abs(shares - middle).max(axis=1)
    p = (1 + np.sum(far >= np.abs(own - middle).max())) / (len(far) + 1)
    low, high = np.quantile(replicates, [0.025, 0.975], method="nearest")
    return PredictiveCheck(at, own, lower, middle, upper, float(p), (float(low), float(high)))


def _table_model(formula: str, data: Any, options: dict[str, Any]) -> tuple[str, Any, Model]:
    """The response's name, the data with covariates, and the model."""
    require_table(data)
    name, whole = _named(formula, options)
    given = with_dispersion(whole, options["dispformula"])
    sampled = with_covariates(given, data, options["covariates"], options["coords"])
    own = {one: sampled.rows_of(options[one]) for one in ("exposure", "offset", "weights")}
    own |= {"covariates": sampled.covariates}
    return name, sampled.table, _placeholder_model(whole, sampled.table, name, **{**options, **own})


def _named(formula: str, options: dict[str, Any]) -> tuple[str, str]:
    """The response's name, which is no other column of the model, and the formula with it on the left."""
    if not isinstance(formula, str):
        raise InputError(
            f"the first argument is the formula, a text, not a {type(formula).__name__}: gs.simulate('~ x', table)"
        )
    unnamed = formula.strip().startswith("~")
    whole = f"{RESPONSES[0]} {formula.strip()}" if unnamed else formula
    right = parse_sides(with_dispersion(whole, options["dispformula"]))[1]
    rows, coords = (options[one] for one in ("exposure", "offset", "weights")), options["coords"]
    places = [one for one in coords if isinstance(one, str)] if isinstance(coords, list | tuple) else []
    used = {*symbols(right), *places, *(one for one in rows if isinstance(one, str))}
    if unnamed and RESPONSES[0] in used:
        whole = f"{RESPONSES[1]} {formula.strip()}"
    name = next(iter(symbols(parse_sides(whole)[0])))
    for column in {name, "eta"} & used:
        raise InputError(
            f"simulated data have a new column {column!r}, which the model uses already: rename one of them"
        )
    return name, whole


def _pattern_model(formula: str, data: Any, domain: Any, options: dict[str, Any]) -> Model:
    """The model of a point pattern, of some point of its domain where none are given."""
    family, coords = options["family"], options["coords"] or ("x", "y")
    if not family.is_pattern:
        raise InputError(f"domain= is only for point patterns, not for family {family.name!r}")
    refuse_rows(family.name, **{one: options[one] for one in ("exposure", "offset", "weights")})
    if data is None and domain is not None:
        at = as_region(domain, "the domain").representative_point()
        data = pd.DataFrame({coords[0]: [at.x], coords[1]: [at.y]})
        options = {**options, "coords": coords}
    laid = pattern(formula, data, domain, options["mesh"], options["coords"], options["covariates"])
    given = with_dispersion(laid.formula, options["dispformula"])
    sampled = with_covariates(given, laid.table, options["covariates"], options["coords"], laid.places)
    own = {"covariates": sampled.covariates, "exposure": sampled.rows_of(laid.exposure), "window": laid.window}
    return build_model(laid.formula, sampled.table, **{**options, **own})


def _placeholder_model(formula: str, table: Any, name: str, **options: Any) -> Model:
    """The model, of responses that its family takes."""
    fault: InputError | None = None
    for pair in PLACEHOLDERS:
        try:
            return build_model(formula, table.assign(**{name: np.resize(pair, len(table))}), **options)
        except InputError as error:
            fault = fault or error
    assert fault is not None
    raise fault


def _thetas(model: Model, given: Mapping[str, float], rng: np.random.Generator, n: int) -> Vector:
    """The free hyperparameters on their inner scale, (n, d), from those given and draws from the others' priors.

    Of several, each prior is drawn from once in each n-th of its probability: a Latin hypercube.
    """
    by_name = {h.name: h for h in model.hyperparameters}
    for name, value in given.items():
        if name not in by_name:
            raise InputError(f"the model has no hyperparameter {name!r}; {did_you_mean(name, by_name, 'names')}")
        if isinstance(value, bool) or not np.isscalar(value) or not np.isfinite(float(value)):  # type: ignore[arg-type]
            raise InputError(f"the hyperparameter {name!r} must be a finite number, not {value!r}")
        if by_name[name].function is not None:
            raise InputError(f"the hyperparameter {name!r} is a function of several: give those")
    size = int(np.isnan(model.fixed_theta).sum())
    rows, values = np.zeros((0, size)), np.zeros((0, n))
    for name in dict.fromkeys((*given, *by_name)):
        h = by_name[name]
        if h.function is not None or h.is_fixed and name not in given:
            continue
        joined = np.vstack([rows, h.direction])
        if np.linalg.matrix_rank(joined) == len(rows):
            if name in given:
                raise InputError(f"the hyperparameter {name!r} follows from the others given, or is held")
            continue
        if name in given:
            drawn = np.full(n, float(given[name]))
        else:
            drawn = prior_marginal(model, name).quantile((rng.permutation(n) + rng.uniform(size=n)) / n)
        rows, values = joined, np.vstack([values, [h.inverse(value) - h.shift for value in drawn]])
    if len(rows) < size:
        raise InputError(f"give more hyperparameters: {listed(by_name)}")
    return np.asarray(np.linalg.solve(rows, values), dtype=float).T


def _given(values: Any, what: str) -> dict[str, float]:
    """Parameters by their names; raises InputError for what is none, and for values that are no numbers."""
    if isinstance(values, pd.Series):
        values = values.to_dict()
    if not isinstance(values, Mapping | None):
        raise InputError(f"{what} gives parameters by their names, as in {{'Intercept': 0}}, not {in_brief(values)}")
    return {str(name): as_number(value, f"{what}[{name!r}]") for name, value in (values or {}).items()}


def _fixed(model: Model, given: Mapping[str, float], rng: np.random.Generator, n: int) -> Vector:
    """Fixed effects, (k, n), given or drawn from their priors."""
    names = model.effects.names
    for name in given:
        if name not in names:
            raise InputError(f"the model has no fixed effect {name!r}; {did_you_mean(name, names, 'names')}")
    values = np.zeros((len(names), n))
    for k, name in enumerate(names):
        if name in given:
            values[k] = float(given[name])
        elif model.fixed_precision[k] > 0:
            values[k] = prior_marginal(model, name).quantile(rng.uniform(size=n))
        else:
            raise InputError(
                f"the fixed effect {name!r} has a flat prior, which nothing can be drawn from",
                remedy=f"give it, as in fixed={{{name!r}: 0}}, or a prior",
            )
    return values


def _draw_terms(model: Model, theta: Vector, n: int, rng: np.random.Generator) -> Vector:
    """Latent variables of all terms at the whole theta, (n_random, n)."""
    slices = zip(model.terms, theta_slices(model.terms))
    drawn = [_draw_term(term, theta[w], rng.standard_normal((term.n, n))) for term, w in slices]
    return np.vstack([np.zeros((0, n)), *drawn])


def _draw_term(term: LatentTerm, theta: Vector, noise: Vector) -> Vector:
    """Latent variables of a term inside its constraints, (n,), or (n, k), from as many standard normal numbers."""
    precision = term.precision
    matrix, constraints = precision.matrix(theta), precision.constraints
    if precision.rank_deficiency:
        if constraints is None or constraints.shape[1] < precision.rank_deficiency:
            raise InputError(f"{term.label} leaves {term.free_part} free, which nothing can be drawn from")
        scale = float(matrix.diagonal().mean())
        matrix = matrix + scale * sp.csc_matrix(constraints @ constraints.T)
    lower = sp.csc_matrix(sp.tril(matrix))
    lower.sort_indices()
    try:
        factor = Cholesky(lower).factor(lower.data)
    except NotPositiveDefinite as error:
        raise InputError(f"{term.label} cannot be drawn at these hyperparameters: {error}") from None
    x = factor.half_solve(noise)
    if constraints is not None:
        solved = factor.solve(constraints)
        x = x - solved @ np.linalg.solve(constraints.T @ solved, constraints.T @ x)
    return np.asarray(x)
