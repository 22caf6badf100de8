"""Fits of the same data side by side: criteria with the standard errors of their differences, and parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.special import chdtrc

from geospde.errors import InputError
from geospde.results.base import Fit
from geospde.results.bayesian import BayesianFit
from geospde.results.estimates import EstimatedFit
from geospde.results.loo import Loo
from geospde.results.penalised import PenalisedFit
from geospde.text.keywords import answers_keywords
from geospde.text.words import counted, listed, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

SMALL = 4.0
"""Difference of elpd in nats below which models predict alike, whatever its standard error says."""

POSTERIOR = "inla or eb"
"""What messages call the kind of fits that are posteriors."""

FEW = 100
"""Observations below which the standard error of a difference comes out too small."""


@answers_keywords
@dataclass(frozen=True)
class Comparison:
    """Fits of the same data, the best first; made by `compare`.

    Attributes
    ----------
    table : DataFrame
        A row a fit. Of posteriors, by ``elpd_loo``: that and its ``se``; ``elpd_difference`` from the best with its
        standard error, ``difference_se``; ``p_loo``, ``log_marginal_likelihood``, ``dic``, ``waic``, and the number of
        observations with ``pareto_k_above_0.7``. Of likelihoods, by ``aic``: that, ``aic_difference`` from the best,
        ``bic``, ``log_likelihood``, ``parameters``.
    models : DataFrame
        One row per fit: ``formula``, ``family``, ``method``, number of ``latent`` variables.
    hyper, fixed : DataFrame
        One row per parameter, columns by fit and statistic: ``mean``, ``q0.025``, ``q0.975`` or ``estimate``,
        ``lower``, ``upper``.
    tests : DataFrame
        Likelihood-ratio tests of likelihood fits that are nested, each against the next smaller: ``smaller``,
        ``chi_squared``, ``df``, ``p``.
    notes : tuple of str
        What limits the comparison.

    References
    ----------
    Vehtari, Gelman & Gabry (2017), Statist. Comput. 27, 1413-1432; Sivula, Magnusson, Matamoros & Vehtari (2020),
    arXiv:2008.10296.
    """

    table: pd.DataFrame
    models: pd.DataFrame
    hyper: pd.DataFrame
    fixed: pd.DataFrame
    tests: pd.DataFrame
    notes: tuple[str, ...]

    @property
    def is_bayesian(self) -> bool:
        """Whether the fits are posteriors."""
        return "elpd_loo" in self.table

    def to_frame(self) -> pd.DataFrame:
        """The criteria, a row a fit, the best first."""
        return self.table.copy()

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain types, for JSON."""
        return {
            "models": self.models.to_dict(orient="index"),
            "criteria": self.table.to_dict(orient="index"),
            "hyper": _nested(self.hyper),
            "fixed": _nested(self.fixed),
            "tests": self.tests.to_dict(orient="index"),
            "in_words": self.in_words(),
            "notes": list(self.notes),
        }

    def in_words(self) -> list[str]:
        """Return what the criteria say, the best fit against each other one."""
        best, *others = map(str, self.table.index)
        return [self._against(best, name, self.table.loc[name]) for name in others]

    def _against(self, best: str, name: str, row: Any) -> str:
        if not self.is_bayesian:
            above = number(round(float(row["aic_difference"]), 2))
            return f"{best!r} has the smallest AIC; that of {name!r} is {above} larger."
        gap, se = -float(row["elpd_difference"]), float(row["difference_se"])
        gaps = f"elpd_loo differs by {number(round(gap, 1))}, with a standard error of {number(round(se, 1))}"
        if not np.isfinite(gap) or not np.isfinite(se):
            return f"{best!r} and {name!r} cannot be told apart: a density of leave-one-out is not finite."
        if gap < SMALL:
            return f"{best!r} and {name!r} predict alike: {gaps}; below {SMALL:g} is little."
        if gap <= 2 * se:
            return f"{best!r} and {name!r} cannot be told apart: {gaps}, and under two of these say little."
        return f"{best!r} predicts better than {name!r}: {gaps}."

    def __str__(self) -> str:
        def shown(title: str, frame: pd.DataFrame) -> list[str]:
            return ["", title, frame.to_string(float_format=lambda v: f"{v:.5g}")] if len(frame) else []

        parts = [f"{name}: {row.formula}, {row.family}, {row.method}" for name, row in self.models.iterrows()]
        tables = {
            "Criteria": self.table, "Hyperparameters": self.hyper, "Fixed effects": self.fixed,
            "Likelihood-ratio tests": self.tests,
        }  # fmt: skip
        for title, frame in tables.items():
            parts += shown(title, frame)
        return "\n".join([*parts, "", *self.in_words(), *self.notes])

    __repr__ = __str__

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw how far each fit is behind the best; see `geospde.plots.comparison.plot_comparison`."""
        from geospde.plots.comparison import plot_comparison

        return plot_comparison(self, ax)


@answers_keywords
def compare(*fits: Fit | Mapping[str, Fit], refit: bool = False) -> Comparison:
    """Put fits of the same data side by side.

    Parameters
    ----------
    *fits : Fit, or one dict of str to Fit
        Two or more, all of them posteriors (methods ``"inla"`` and ``"eb"``) or all of one method of likelihood. Those
        without a name are ``"fit 1"``, ``"fit 2"`` and so on.
    refit : bool
        Leave observations with a Pareto k above 0.7 out of posteriors by refits, which take time; see `Loo.refit`.

    Returns
    -------
    Comparison

    Raises
    ------
    InputError
        For fewer than two fits; for fits of different data, whose criteria say nothing of each other; for posteriors
        beside likelihoods, and restricted likelihoods of different fixed effects.

    Examples
    --------
    >>> import geospde as gs
    >>> sleep = gs.load_dataset("sleepstudy")
    >>> line = gs.fit("Reaction ~ Days + (1 | Subject)", sleep)
    >>> lines = gs.fit("Reaction ~ Days + (Days | Subject)", sleep)
    >>> comparison = gs.compare({"a line each": lines, "parallel lines": line})
    >>> comparison.table.index.tolist()
    ['a line each', 'parallel lines']
    >>> comparison.in_words()
    ["'a line each' and 'parallel lines' cannot be told apart: elpd_loo differs by 23.2, with a standard error of 12.1,
      and under two of these say little."]
    """
    named = _named(fits)
    _refuse_other_data(named)
    kinds = {_kind(fit) for fit in named.values()}
    if len(kinds) > 1:
        raise InputError(f"fits by {listed(sorted(kinds))} have no criterion in common: compare fits of one kind")
    (kind,) = kinds
    if kind == "reml":
        _refuse_other_effects(named)
    posterior = kind == POSTERIOR
    posteriors = {name: fit for name, fit in named.items() if isinstance(fit, BayesianFit)}
    loos = {name: fit.loo.refit() if refit else fit.loo for name, fit in posteriors.items()}
    table = _of_posteriors(named, loos) if posterior else _of_likelihoods(named)
    order = list(table.index)
    columns = ["mean", "q0.025", "q0.975"] if posterior else ["estimate", "lower", "upper"]
    models = pd.DataFrame(
        {
            name: {"formula": fit.formula, "family": fit.family, "method": fit.method, "latent": fit.laplace.n}
            for name, fit in named.items()
        }
    ).T
    return Comparison(
        table,
        models.loc[order],
        pd.concat({name: named[name].hyper[columns] for name in order}, axis=1, sort=False),
        pd.concat({name: named[name].fixed[columns] for name in order}, axis=1, sort=False),
        _tests(named) if kind in ("ml", "reml") else pd.DataFrame(),
        tuple(_notes(named, loos)),
    )


def _named(fits: tuple[Any, ...]) -> dict[str, Fit]:
    """Return the fits by name."""
    named: dict[str, Any]
    if len(fits) == 1 and isinstance(fits[0], Mapping):
        named = {str(name): fit for name, fit in fits[0].items()}
    else:
        named = {f"fit {k}": fit for k, fit in enumerate(fits, 1)}
    for name, fit in named.items():
        if not isinstance(fit, Fit):
            raise InputError(f"compare takes fits, or one dict of names to fits; {name!r} is a {type(fit).__name__}")
    if len(named) < 2:
        raise InputError(f"there is nothing to compare with {counted(len(named), 'fit')}: give two or more")
    return named


def _kind(fit: Fit) -> str:
    if isinstance(fit, PenalisedFit):
        return "penalised likelihood"
    return POSTERIOR if isinstance(fit, BayesianFit) else fit.method


def _refuse_other_data(named: Mapping[str, Fit]) -> None:
    """Raise an InputError where two fits are not of the same responses in the same order."""
    (base, first), *others = named.items()
    ours = first.model.likelihood
    useless = "criteria of different data say nothing of each other"
    for name, fit in others:
        theirs = fit.model.likelihood
        if ours.n != theirs.n:
            raise InputError(f"{base!r} is of {ours.n:,} observations and {name!r} of {theirs.n:,}: {useless}")
        for what in ("y", "trials", "weights"):
            a, b = (np.broadcast_to(getattr(data, what), ours.n) for data in (ours, theirs))
            rows = np.flatnonzero(a != b)
            if not rows.size:
                continue
            noun = {"y": "the responses"}.get(what, f"the {what}")
            if what == "y" and np.array_equal(np.sort(a), np.sort(b)):
                raise InputError(f"{base!r} and {name!r} have the responses in another order: sort their tables alike")
            at = rows[0]
            raise InputError(
                f"{noun} of {base!r} and {name!r} differ in {counted(rows.size, 'row')}, the first time in row {at} "
                f"({a[at]:g} and {b[at]:g}): {useless}"
            )


def _refuse_other_effects(named: Mapping[str, Fit]) -> None:
    """Raise an InputError where restricted likelihoods are of different fixed effects: they are of different data."""
    (base, first), *others = named.items()
    for name, fit in others:
        if fit.model.effects.names != first.model.effects.names:
            raise InputError(
                f"{base!r} and {name!r} have different fixed effects, and restricted likelihoods of those cannot be "
                "compared: fit with method='ml'"
            )


def _of_posteriors(named: Mapping[str, Any], loos: Mapping[str, Loo]) -> pd.DataFrame:
    rows = {}
    for name, fit in named.items():
        of_loo, criteria = loos[name].table["estimate"], fit.criteria
        rows[name] = {
            "elpd_loo": of_loo["elpd_loo"],
            "se": loos[name].table.loc["elpd_loo", "se"],
            "elpd_difference": 0.0,
            "difference_se": 0.0,
            "p_loo": of_loo["p_loo"],
            "log_marginal_likelihood": fit.log_marginal_likelihood,
            "dic": criteria["dic"],
            "waic": criteria["waic"],
            "pareto_k_above_0.7": criteria["pareto_k_above_0.7"],
        }
    table = pd.DataFrame.from_dict(rows, orient="index").sort_values("elpd_loo", ascending=False, kind="stable")
    best = loos[str(table.index[0])].pointwise
    for name in map(str, table.index[1:]):
        gap = loos[name].pointwise - best
        table.loc[name, "elpd_difference"] = gap.sum()
        # observations are paired: what makes both fits' densities vary does not count (Vehtari et al. 2017, eq. 24)
        table.loc[name, "difference_se"] = np.sqrt(gap.size * gap.var(ddof=1))
    return table


def _of_likelihoods(named: Mapping[str, Fit]) -> pd.DataFrame:
    rows = {}
    for name, fit in named.items():
        assert isinstance(fit, EstimatedFit)
        rows[name] = {
            "aic": fit.aic,
            "aic_difference": 0.0,
            "bic": fit.bic,
            "log_likelihood": fit.log_likelihood,
            "parameters": fit.n_parameters,
        }
    table = pd.DataFrame.from_dict(rows, orient="index").sort_values("aic", kind="stable")
    return table.assign(aic_difference=table["aic"] - table["aic"].iloc[0])


def _tests(named: Mapping[str, Any]) -> pd.DataFrame:
    """Likelihood-ratio tests along the fits by their number of parameters, where each holds the one before."""
    order = sorted(named, key=lambda name: named[name].n_parameters)
    rows = {}
    for smaller, larger in pairwise(order):
        a, b = named[smaller], named[larger]
        df = b.n_parameters - a.n_parameters
        if df > 0 and a.family == b.family and all(i <= j for i, j in zip(_parts(a), _parts(b))):
            chi_squared = max(2 * (b.log_likelihood - a.log_likelihood), 0.0)
            rows[larger] = {"smaller": smaller, "chi_squared": chi_squared, "df": df, "p": chdtrc(df, chi_squared)}
    return pd.DataFrame.from_dict(rows, orient="index")


def _parts(fit: Fit) -> tuple[set[str], set[str]]:
    """Names of the fixed effects and of the hyperparameters."""
    return set(fit.model.effects.names), set(map(str, fit.hyper.index))


def _notes(named: Mapping[str, Fit], loos: Mapping[str, Loo]) -> Iterator[str]:
    """Say what limits a comparison."""
    discrete = {fit.model.family.is_discrete for fit in named.values()}
    if len(discrete) > 1:
        yield "Some families give probabilities of counts and some densities: these compare roughly at best."
    if not loos:
        return
    n = next(iter(named.values())).model.likelihood.n
    high = {name: int(loo.doubtful.sum()) for name, loo in loos.items()}
    if any(high.values()):
        words = " and ".join(f"{count} ({name!r})" for name, count in high.items() if count)
        yield (
            f"Pareto k is above 0.7 at {words} of {n} observations, where CPO stands in: compare by refits "
            "(compare(..., refit=True)) or by cross-validation, too (fit.validate, geospde validate)."
        )
    if n < FEW:
        yield f"With {counted(n, 'observation')} the standard errors of differences come out too small."
    if any(_flat(a) != _flat(b) for a, b in combinations(named.values(), 2)):
        yield "Coefficients with flat priors differ: log marginal likelihoods say nothing of each other."


def _flat(fit: Fit) -> set[str]:
    """Names of the fixed effects with a flat prior, which has no density."""
    model = fit.model
    return {name for name, precision in zip(model.effects.names, model.fixed_precision) if precision == 0}


def _nested(frame: pd.DataFrame) -> dict[str, dict[str, dict[str, float]]]:
    """Return a frame with columns by fit and statistic as dicts: parameter, fit, statistic."""
    nested: dict[str, dict[str, dict[str, float]]] = {}
    for parameter, row in frame.iterrows():
        nested[str(parameter)] = {}
        for fit, statistic in frame.columns:
            if pd.notna(row[fit, statistic]):
                nested[str(parameter)].setdefault(str(fit), {})[str(statistic)] = float(row[fit, statistic])
    return nested
