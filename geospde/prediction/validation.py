"""Cross-validation: folds that are left out, predicted by refits, and scored against simpler models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geospde.errors import InputError, NumericalError
from geospde.families.gauss_hermite import normal_nodes
from geospde.inference.criteria import cavity
from geospde.inference.hyper import Posterior
from geospde.inference.laplace import Laplace
from geospde.inference.posterior import posterior
from geospde.linalg.executor import cluster
from geospde.model.build import Model, build_model
from geospde.prediction.folds import (
    USUAL,
    Fold,
    Folds,
    buffered_folds,
    fitting_blocks,
    fitting_buffer,
    future_folds,
    random_folds,
)
from geospde.prediction.refits import Refit, log_gain, pairs_left_out, refitted, refuse_failed, refuse_undetermined
from geospde.prediction.scores import covered, crps, dawid_sebastiani, randomised_pit
from geospde.results.base import Fit
from geospde.results.bayesian import BayesianFit
from geospde.results.loo import row_labels
from geospde.survey.crs import unit_of
from geospde.text.arguments import as_number, is_whole, refuse_draws, refuse_seed
from geospde.text.keywords import answers_keywords
from geospde.text.notebook import card, frame_table
from geospde.text.progress import Callback
from geospde.text.words import in_brief, length, listed

if TYPE_CHECKING:
    from matplotlib.figure import Figure


Vector = NDArray[np.float64]
KINDS = ("blocks", "random", "loo", "buffered", "future")
LATEST = 3  # times that a validation of the future predicts, where k is not given
LEVELS = (0.5, 0.8, 0.95)
COVERAGE = {f"cover_{100 * level:.0f}": level for level in LEVELS}
"""Columns of `Validation.scores` with the share of observations within a central interval, and the interval's level."""
FEW = 40  # observations that a buffered validation predicts, each by a refit, where k is not given
ROW = "geospde_row"
NODES = 41


@answers_keywords
@dataclass(frozen=True)
class Validation:
    """How well a model predicts what it has not seen.

    Attributes
    ----------
    scores : DataFrame
        One row per model: ``log_score`` (mean of -log predictive density), ``crps``, ``dss`` (Dawid-Sebastiani),
        ``rmse``, ``mae`` (of the predictive median), ``bias`` (mean of predicted less observed), ``cover_50``,
        ``cover_80`` and ``cover_95`` (shares of observations within central intervals). Per unit exposure (or trial)
        but the log score; the smaller the better but for coverage.
    pointwise : DataFrame
        One row per observation that was predicted: ``row`` (its label in the data), ``fold``, ``observed``, ``mean``,
        ``sd``, ``q0.025``, ``q0.5``, ``q0.975``, ``log_density``, ``crps``, ``dss``, ``pit``, by the model itself.
    differences : DataFrame
        Mean difference of each simpler model's log score and CRPS from the model's own, with standard errors: positive
        where the model predicts better.
    kind : str
        ``"blocks"``, ``"random"``, ``"loo"``, ``"buffered"`` or ``"future"``.
    folds : int
    distance : float or None
        Side of the blocks or radius of the buffer.
    reason : str
        Why folds or distance are not those of the defaults, where the data allow no such; else empty.
    unit : str
        Of the distance; empty where no mesh says it.
    """

    scores: pd.DataFrame
    pointwise: pd.DataFrame
    differences: pd.DataFrame
    kind: str
    folds: int
    distance: float | None
    label: str
    reason: str = ""
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.describe()}\n\n{self.scores.to_string(float_format=lambda v: f'{v:.4g}')}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """Show the scores in a notebook."""
        parts = frame_table(self.scores, "scores"), frame_table(self.differences, "loss of simpler models")
        return card(f"Validation of {self.label}", self.describe(), *parts)

    def describe(self) -> str:
        """One sentence on what was left out."""
        far = length(self.distance or 0.0, self.unit)
        how = {
            "blocks": f"{self.folds} folds of square blocks, {far} a side",
            "random": f"{self.folds} random folds",
            "loo": "leave-one-out, from the fit itself",
            "buffered": f"single observations, left out with all within {far}",
            "future": f"the last {self.folds} times, each from those before it",
        }[self.kind]
        why = f" ({self.reason})" if self.reason else ""
        return f"{len(self.pointwise)} observations of {self.label} predicted from the rest: {how}{why}"

    def plot(self, figure: Figure | None = None) -> Figure:
        """Draw calibration: predicted against observed, PIT histogram, coverage; see `geospde.plots.validation`."""
        from geospde.plots.validation import plot_validation

        return plot_validation(self, figure)


@dataclass(frozen=True)
class _Predicted:
    """Predictive distributions of some observations."""

    rows: NDArray[np.intp]
    log_density: Vector
    draws: Vector


def validate(
    fit: Fit,
    folds: str = "blocks",
    *,
    k: int | None = None,
    distance: float | None = None,
    baselines: bool = True,
    draws: int = 2000,
    seed: int = 0,
    observations: str | None = None,
    callback: Callback | None = None,
    client: Any = None,
) -> Validation:
    """Cross-validate a fit.

    Parameters
    ----------
    fit : Fit
        By method ``"inla"`` or ``"eb"``; it is refitted without each fold, hyperparameters included.
    folds : {"blocks", "random", "loo", "buffered", "future"}
        Square blocks, which tell how the model predicts between surveyed places; random folds, which tell how it
        predicts beside them; leave-one-out from the fit itself (each observation's Gaussian site divided out); single
        observations left out with all within a distance; the last times of a model in time, each predicted from those
        before it.
    k : int, optional
        Number of folds, 10 by default or as many as there are blocks; of ``"buffered"`` the number of observations, at
        most 40 by default; of ``"future"`` the number of times, 3 by default.
    distance : float, optional
        Side of the blocks or radius of the buffer; by default the posterior median of the first field's range, or less
        where too few blocks, or too few observations outside of the buffer, would be left.
    baselines : bool
        Score a model of an intercept alone, too, and for counts and successes one with an effect for each observation.
    draws : int
        From each predictive distribution: CRPS and coverage come from them.
    seed : int
    observations : str, optional
        Which of several likelihoods is left out and predicted, by its name; the rows of the others stay.
    callback : callable, optional
        Called as ``callback(done, total, message)`` after each fold.
    client : distributed.Client or str, optional
        A Dask cluster whose workers refit the folds, see `geospde.cluster`.

    Returns
    -------
    Validation

    Raises
    ------
    InputError
        For a choice that does not fit; without coordinates only ``"random"`` and ``"loo"`` do.
    """
    if not isinstance(fit, BayesianFit):
        raise InputError(f"a validation needs a fit by method 'inla' or 'eb', not {fit.method!r}")
    if folds not in KINDS:
        raise InputError(f"folds are one of {', '.join(map(repr, KINDS))}, not {folds!r}")
    refuse_draws(draws, 100, "a validation needs")
    own, first = fit.of_likelihood(observations), _first_row(fit, observations)
    model, size = own.model, own.model.likelihood.n
    _refuse_pattern(model)
    refuse_seed(seed)
    laid = _laid_out(fit, model, folds, k, distance, seed)
    every = laid.folds or [Fold(row, row) for row in np.arange(size)[:, None]]
    every = [Fold(fold.predicted + first, fold.left_out + first) for fold in every]
    refuse_undetermined(fit.laplace, every, fit.model.effects.names)
    contenders = {"model": (fit.laplace, fit.posterior.mode.theta)}
    if baselines:
        contenders |= {name: (Laplace(simple), simple.start) for name, simple in _simpler(model).items()}
    rows = {}
    for at, (name, (laplace, start)) in enumerate(contenders.items()):
        rng, begin = np.random.default_rng([seed, at]), first if name == "model" else 0
        if folds == "loo":
            rows_of_it = begin + np.arange(size)
            parts = [_leave_one_out(laplace, fit, start if name != "model" else None, draws, rng, rows_of_it)]
        else:
            parts = []
            left_out = [Fold(fold.predicted + begin, fold.left_out + begin) for fold in laid.folds]
            for fold, found in _refits(fit, laplace, start, left_out, client):
                parts.append(_of_fold(laplace, fold, found, draws, rng))
                if callback is not None:
                    done = at * len(left_out) + len(parts)
                    callback(done, len(contenders) * len(left_out), "validation")
        rows[name] = _scored(model.likelihood, [replace(part, rows=part.rows - begin) for part in parts], rng)
    table = pd.DataFrame({name: frame.attrs["scores"] for name, frame in rows.items()}).T
    unit = next((unit_of(term.mesh.crs) for term in model.terms if term.mesh is not None), "")
    labels = [label for _, label in row_labels(fit.model)[first : first + size]]
    pointwise = rows["model"].assign(row=[labels[row] for row in rows["model"]["row"]])
    return Validation(
        table, pointwise, _differences(rows), folds, len(laid.folds) or size, laid.side, model.response_label,
        laid.reason, unit,
    )  # fmt: skip


def _laid_out(fit: BayesianFit, model: Model, folds: str, k: int | None, distance: float | None, seed: int) -> Folds:
    """The folds of a kind: how many, how far apart, and why not as the defaults have it; none where they are single."""
    size = model.likelihood.n
    _refuse_size(k, distance)
    if folds == "random":
        return Folds(random_folds(size, min(USUAL, size) if k is None else k, seed))
    if folds == "future":
        return Folds(_future(model, k))
    if folds == "loo":
        return Folds([])
    if model.points is None:
        raise InputError(f"folds={folds!r} need coordinates, and the data have none: take 'random' or 'loo'")
    reach = _range(fit, model) if distance is None else float(distance)
    if folds == "blocks":
        return fitting_blocks(model.points, k, distance, reach, seed)
    side, reason = fitting_buffer(model.points, reach) if distance is None else (reach, "")
    return Folds(buffered_folds(model.points, min(FEW, size) if k is None else k, side, seed), side, reason)


def _refits(
    fit: BayesianFit, laplace: Laplace, start: Vector, folds: list[Fold], client: Any
) -> Iterator[tuple[Fold, Refit]]:
    """Fit without each fold, by the rule and strategy of the whole fit, here or on the workers of a cluster."""
    with cluster(client) as workers:
        yield from zip(folds, workers.map(partial(refitted, start=start, **_rules(fit)), folds, laplace))


def _rules(fit: BayesianFit) -> dict[str, Any]:
    """How a fit integrates."""
    rule = "eb" if fit.method == "eb" else str(fit.settings["integration"])
    return {"rule": rule, "strategy": fit.posterior.strategy}


def left_out_by_refits(
    fit: BayesianFit, rows: NDArray[np.intp], callback: Callback | None = None, client: Any = None
) -> Vector:
    """Log predictive density of observations, (k,), each by a fit without it; not a number where there is none."""
    _refuse_pattern(fit.model)
    folds, out = [Fold(row, row) for row in rows[:, None]], np.empty(rows.size)
    work = partial(_left_out, start=fit.posterior.mode.theta, **_rules(fit))
    with cluster(client) as workers:
        for k, found in enumerate(workers.map(work, folds, fit.posterior, fit.laplace)):
            out[k] = found
            if callback is not None:
                callback(k + 1, rows.size, "refits")
    return out


def _left_out(fold: Fold, whole: Posterior, laplace: Laplace, start: Vector, rule: str, strategy: str) -> float:
    """Log predictive density of an observation by a fit without it; not a number where the rest determines none."""
    try:
        if laplace.pairs is None:
            return log_gain(fold, whole, laplace, start, rule, strategy)
        _, weights, log_each = _at_points(laplace, fold, refitted(fold, laplace, start, rule, strategy))
        return float(np.logaddexp.reduce(np.log(weights) + log_each, axis=0)[0])
    except NumericalError:
        return float("nan")


def _refuse_pattern(model: Model) -> None:
    """Refuse a point pattern: its rows, points and places of integration, cannot be left out one without others."""
    if model.family.is_pattern:
        raise InputError(
            "a point pattern is not cross-validated: its rows are points and places of integration, no observations"
        )


def _refuse_size(k: Any, distance: Any) -> None:
    """Refuse a number of folds that is no whole one, and a distance that is no number."""
    if k is not None and not is_whole(k, 1):
        raise InputError(f"k, how many folds, is a whole number, not {in_brief(k)}")
    if distance is not None:
        as_number(distance, "the distance")


def check_folds(model: Model, folds: str, k: int | None, distance: float | None) -> None:
    """Raise the InputError that `validate` would for these folds, before any fit: those that hang on no range."""
    size, points = model.likelihood.n, model.points
    _refuse_pattern(model)
    _refuse_size(k, distance)
    if folds in ("blocks", "buffered") and points is None:
        raise InputError(f"folds={folds!r} need coordinates, and the data have none: take 'random' or 'loo'")
    if folds == "random" or (folds == "blocks" and k is not None and k > size):
        random_folds(size, min(USUAL, size) if k is None else k)
    elif folds == "future":
        _future(model, k)
    elif folds == "blocks" and distance is not None and points is not None:
        fitting_blocks(points, k, distance, distance)
    elif folds == "buffered" and distance is not None and points is not None:
        buffered_folds(points, min(FEW, size) if k is None else k, distance)


def _future(model: Model, k: int | None) -> list[Fold]:
    """Folds of the last times of the first term that goes along time, or of the only column that walks go along."""
    along = [term.time_column for term in model.terms if term.time_column][:1]
    along = along or list(dict.fromkeys(term.walks_along for term in model.terms if term.walks_along))
    if not along:
        raise InputError("folds='future' need a model in time, such as spde(mesh, time=year), ar1(year) or rw1(year)")
    if len(along) > 1:
        raise InputError(f"folds='future': walks go along {listed(along)}: write that of time as ar1(...)")
    column = along[0]
    times = model.table[column].to_numpy(dtype=float)
    return future_folds(times, min(LATEST, np.unique(times).size - 2) if k is None else k)


def _first_row(fit: BayesianFit, name: str | None) -> int:
    """Where the rows of one of several likelihoods begin among all."""
    sizes = {part: model.likelihood.n for part, model in fit.model.parts.items()}
    before = list(sizes)[: list(sizes).index(name)] if name is not None else []
    return sum(sizes[part] for part in before)


def _range(fit: BayesianFit, model: Model) -> float:
    """Posterior median of the first field's range; a tenth of the extent without a field."""
    for name in fit.hyper.index:
        if "range(" in str(name):
            return float(fit.hyper.loc[name, "q0.5"])
    points = model.points
    assert points is not None
    return float(np.hypot(*np.ptp(points, axis=0))) / 10


def _simpler(model: Model) -> dict[str, Any]:
    """Models of an intercept alone, and of that with an effect for each observation."""
    table = model.table.assign(**{ROW: np.arange(len(model.table)).astype(str)})
    formulas = {"intercept only": f"{model.formula.response} ~ 1"}
    if model.family.fixed_scatter:
        formulas["iid"] = f"{model.formula.response} ~ 1 + (1 | {ROW})"
    return {
        name: build_model(
            formula, table, family=model.family,
            exposure=model.exposure if model.family.has_exposure else None, offset=model.offset, weights=model.weights,
        )
        for name, formula in formulas.items()
    }  # fmt: skip


def _of_fold(laplace: Laplace, fold: Fold, found: Refit, draws: int, rng: np.random.Generator) -> _Predicted:
    """Predictive distributions of a fold from the fit without it."""
    likelihoods, weights, log_each = _at_points(laplace, fold, found)
    return _predicted(fold.predicted, likelihoods, weights, found.means, found.sds, log_each, draws, rng)


def _at_points(laplace: Laplace, fold: Fold, found: Refit) -> tuple[list[Any], Vector, Vector]:
    """Likelihoods of a fold's observations at each theta point, and weights and log densities there, (k, m)."""
    kept = laplace.model.likelihood.of_rows(fold.predicted)
    likelihoods = [kept.at(theta[laplace.family_block]) for theta in found.thetas]
    weights = np.broadcast_to(found.weights.reshape(len(found.thetas), -1), found.means.shape)
    return likelihoods, weights, _log_densities(likelihoods, found.means, found.sds)


def _leave_one_out(
    laplace: Laplace, fit: BayesianFit, start: Vector | None, draws: int,
    rng: np.random.Generator, rows: NDArray[np.intp],
) -> _Predicted:  # fmt: skip
    """Predictive distributions of observations, each without itself, from one fit."""
    found = fit.posterior if start is None else posterior(laplace, start, strategy=fit.posterior.strategy)
    if laplace.pairs is not None:
        return _of_fold(laplace, Fold(rows, rows), pairs_left_out(laplace, found, rows), draws, rng)
    likelihoods = [laplace.likelihood_at(p.theta).of_rows(rows) for p in found.points]
    cavities = [cavity(p) for p in found.points]
    refuse_failed([failed[rows] for *_, failed in cavities])
    means, sds = (np.array([c[j][rows] for c in cavities]) for j in (0, 1))
    # the weights of theta without observation i go with w / p(y_i | theta, the others)
    log_each = _log_densities(likelihoods, means, sds)
    log_weights = np.log(found.weights)[:, None] - log_each
    weights = np.exp(log_weights - np.logaddexp.reduce(log_weights, axis=0))
    return _predicted(rows, likelihoods, weights, means, sds, log_each, draws, rng)


def _log_densities(likelihoods: Sequence[Any], means: Vector, sds: Vector) -> Vector:
    """`_log_density` at each theta point, (k, m)."""
    return np.array([_log_density(*each) for each in zip(likelihoods, means, sds)])


def _log_density(likelihood: Any, mean: Vector, sd: Vector) -> Vector:
    """Log of the integral of p(y | eta) over Gaussians of eta, (m,): by quadrature around where it peaks."""
    # Newton to the mode of p(y | eta) N(eta), whose curvature sets the nodes
    precision = sd**-2.0
    eta = mean.copy()
    for _ in range(50):
        first, second, _ = likelihood.derivatives(eta)
        step = (first - precision * (eta - mean)) / (precision + likelihood.newton_weights(eta, second))
        eta = eta + np.clip(step, -2.0, 2.0)
        if np.abs(step).max() < 1e-8:
            break
    width = 1 / np.sqrt(precision + likelihood.newton_weights(eta, likelihood.derivatives(eta)[1]))
    nodes, weights = normal_nodes(NODES)
    at = eta + width * nodes[:, None]
    terms = likelihood.log_density(at) - 0.5 * precision * (at - mean) ** 2 + 0.5 * nodes[:, None] ** 2
    total = np.logaddexp.reduce(terms + np.log(weights)[:, None], axis=0)
    return np.asarray(total + np.log(width) + 0.5 * np.log(precision))


def _predicted(
    rows: NDArray[np.intp],
    likelihoods: Sequence[Any],
    weights: Vector,
    means: Vector,
    sds: Vector,
    log_each: Vector,
    draws: int,
    rng: np.random.Generator,
) -> _Predicted:
    """Predictive distributions that are mixtures over theta points, with weights of each observation's own, (k, m)."""
    with np.errstate(divide="ignore"):
        log_density = np.logaddexp.reduce(np.log(weights) + log_each, axis=0)
    # a stratified uniform chooses the component of each draw
    strata = rng.permuted(np.tile(np.arange(draws)[:, None], rows.size), axis=0)
    u = (strata + rng.uniform(size=strata.shape)) / draws
    ends = np.cumsum(weights, axis=0) / weights.sum(axis=0)
    chosen = np.minimum((u[None] > ends[:, None, :]).sum(axis=0), len(likelihoods) - 1)
    new = np.empty((draws, rows.size))
    for c, likelihood in enumerate(likelihoods):
        mine = chosen == c
        if mine.any():
            eta = means[c] + sds[c] * rng.standard_normal((draws, rows.size))
            new[mine] = likelihood.draw(eta, rng)[mine]
    return _Predicted(rows, log_density, new)


def _scored(likelihood: Any, parts: Sequence[_Predicted], rng: np.random.Generator) -> pd.DataFrame:
    """One row per observation, and the totals as ``attrs["scores"]``."""
    frames, inside = [], []
    for fold, part in enumerate(parts):
        scale = (likelihood.exposure * likelihood.trials)[part.rows]
        y, draws = likelihood.y[part.rows] / scale, part.draws / scale
        low, median, high = np.quantile(draws, [0.025, 0.5, 0.975], axis=0)
        frames.append(
            pd.DataFrame(
                {
                    "row": part.rows, "fold": fold, "observed": y, "mean": draws.mean(axis=0),
                    "sd": draws.std(axis=0, ddof=1), "q0.025": low, "q0.5": median, "q0.975": high,
                    "log_density": part.log_density, "crps": crps(draws, y), "dss": dawid_sebastiani(draws, y),
                    "pit": randomised_pit(draws, y, rng),
                }
            )
        )  # fmt: skip
        inside.append(np.array([covered(draws, y, level) for level in LEVELS]))
    frame = pd.concat(frames, ignore_index=True)
    error = frame["mean"] - frame["observed"]
    coverage = np.concatenate(inside, axis=1).mean(axis=1)
    order = frame.sort_values("row", ignore_index=True)
    order.attrs["scores"] = {
        "log_score": -frame["log_density"].mean(), "crps": frame["crps"].mean(), "dss": frame["dss"].mean(),
        "rmse": float(np.sqrt((error**2).mean())), "mae": (frame["q0.5"] - frame["observed"]).abs().mean(),
        "bias": error.mean(), **dict(zip(COVERAGE, coverage)),
    }  # fmt: skip
    return order


def _differences(rows: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """What simpler models lose against the model, with standard errors."""

    def each() -> Iterator[tuple[str, dict[str, float]]]:
        own = rows["model"]
        for name, frame in rows.items():
            if name == "model":
                continue
            found = {}
            for column, sign, title in (("log_density", -1.0, "log_score"), ("crps", 1.0, "crps")):
                gap = sign * (frame[column] - own[column])
                found[title] = float(gap.mean())
                found[f"{title}_se"] = float(gap.std(ddof=1) / np.sqrt(len(gap)))
            yield name, found

    return pd.DataFrame.from_dict(dict(each()), orient="index")
