"""`Certificate`: how far a fit is from the exact posterior, by importance sampling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from geospde.errors import InputError
from geospde.inference.certify import Summary, importance_draws
from geospde.inference.mode import silent
from geospde.results.base import Fit
from geospde.results.state import LEVELS, Vector
from geospde.text.arguments import refuse_draws, refuse_seed
from geospde.text.findings import Finding
from geospde.text.keywords import answers_keywords
from geospde.text.notebook import card, facts, frame_table
from geospde.text.progress import Callback
from geospde.text.words import listed

QUANTILES = [f"q{p:g}" for p in LEVELS]
COLUMNS = ["mean", "sd", *QUANTILES, "mc_error"]
_NUMBERS = (
    "draws", "ess", "pareto_k", "log_marginal_likelihood", "log_marginal_likelihood_se", "evidence_shift",
)  # fmt: skip
FEWEST = 200  # draws: with fewer the tail of the weights says nothing
AGREES = 0.1  # posterior sds by which a mean may move, and share by which an sd may, before a fit is called corrected
WORTH = 100  # draws that they are to be worth at least
MADE_UP = 0.25  # Monte Carlo error of an sd as a share of it, from which one draw far out makes it up: 0.5 if all of it
NORMAL = 3.92  # sds between the outer quantiles of a normal distribution
ALIKE = 0.9  # share of the draws that they are worth, from which weights are so alike that their tail's shape is noise


@answers_keywords
@dataclass(frozen=True)
class Certificate:
    """What exact inference says beside a fit; made by `BayesianFit.certify`.

    Attributes
    ----------
    ess : float
        Effective sample size: how many even draws of the exact posterior the weighted ones are worth.
    pareto_k : float
        Shape of the tail of the weights: below 0.7 (a little less for few draws) they can be trusted.
    log_marginal_likelihood, log_marginal_likelihood_se : float
        The exact one, and its Monte Carlo error; NaN where the weights cannot be trusted.
    hyper, fixed : DataFrame
        Corrected tables, one row per parameter: ``mean``, ``sd``, ``q0.025``, ``q0.5``, ``q0.975``, and ``mc_error``,
        the Monte Carlo error of the mean. Moments that values far out would make up are NaN, as those of a fit are,
        and so are the errors where the weights cannot be trusted: their variance may be infinite.
    shifts : Series
        By how many posterior sds the mean of each moves, corrected less fitted; where it has no moments, the median
        by the width of the interval over 3.92, of its logarithm if it is positive.
    scales : Series
        Corrected sd of each over the fitted one; where it has none, of the widths of the intervals.
    evidence_shift : float
        Of the log marginal likelihood, corrected less fitted.
    draws : int
    """

    ess: float
    pareto_k: float
    log_marginal_likelihood: float
    log_marginal_likelihood_se: float
    hyper: pd.DataFrame
    fixed: pd.DataFrame
    shifts: pd.Series[float]
    scales: pd.Series[float]
    evidence_shift: float
    draws: int

    @property
    def bound(self) -> float:
        """Pareto k up to which so many draws can be trusted: Vehtari et al. (2024), equation (13)."""
        value: float = min(1.0 - 1.0 / np.log10(self.draws), 0.7)
        return value

    @property
    def is_reliable(self) -> bool:
        """Whether the weights reach the exact posterior."""
        return bool(self.ess >= WORTH and (self.pareto_k <= self.bound or self.ess >= ALIKE * self.draws))

    @property
    def agrees(self) -> bool:
        """Whether the fit is as good as exact: no mean is off by a tenth of an sd, no sd by a tenth of itself."""
        return self.is_reliable and self._largest_shift < AGREES and self._largest_scale < AGREES

    @cached_property
    def verdict(self) -> str:
        """What it comes to, in words."""
        worth = f"{self.draws:,} draws are worth {self.ess:,.0f}, Pareto k {self.pareto_k:.2f}"
        if not self.is_reliable:
            return (
                f"not certified: {worth}, and importance sampling does not reach the exact posterior from this fit, "
                "which may be right or wrong"
            )
        off, evidence = self._off(), f"the log evidence by {abs(self.evidence_shift):.2g}"
        if self.agrees:
            return f"certified: {off}, {evidence} ({worth})"
        return f"corrected: {off}, {evidence}; take the tables of the certificate ({worth})"

    @property
    def evidence_words(self) -> str:
        """The log marginal likelihood and its Monte Carlo error, in words."""
        value = f"{self.log_marginal_likelihood:,.3f}".replace("-", "\N{MINUS SIGN}")
        error = self.log_marginal_likelihood_se
        return f"{value}, with a Monte Carlo error " + (f"of {error:.2g}" if np.isfinite(error) else "that is unknown")

    @property
    def finding(self) -> Finding:
        """The verdict among the findings of a check."""
        level = "warning" if not self.is_reliable else "ok" if self.agrees else "note"
        remedy = "" if self.is_reliable else "take a simpler model or tighter priors, or run MCMC"
        return Finding(level, "certificate", self.verdict, remedy)

    def to_frame(self) -> pd.DataFrame:
        """Return the corrected tables in one, with ``shift`` and ``scale``."""
        table = pd.concat([self.fixed, self.hyper])
        return table.assign(shift=self.shifts, scale=self.scales)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain types, for JSON; `from_dict` reads it."""
        table = self.to_frame()
        tables = {"fixed": table.loc[self.fixed.index], "hyper": table.loc[self.hyper.index]}
        return {
            "verdict": self.verdict,
            "reliable": self.is_reliable,
            "agrees": self.agrees,
            **{name: None if np.isnan(getattr(self, name)) else getattr(self, name) for name in _NUMBERS},
            **{name: part.astype(object).where(part.notna(), None).to_dict("index") for name, part in tables.items()},
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Certificate:
        """Return what `to_dict` wrote of; raises InputError for what it did not write."""
        try:
            return cls._read(content)
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError):
            raise InputError("a certificate is made from what its to_dict() gave, not from this") from None

    @classmethod
    def _read(cls, content: Mapping[str, Any]) -> Certificate:
        wide = [*COLUMNS, "shift", "scale"]
        fixed, hyper = (
            pd.DataFrame.from_dict(content[name], orient="index", columns=wide).astype(float)
            for name in ("fixed", "hyper")
        )
        both = pd.concat([fixed, hyper]).dropna(subset=["shift", "scale"])
        numbers: dict[str, Any] = {name: np.nan if content[name] is None else content[name] for name in _NUMBERS}
        return cls(hyper=hyper[COLUMNS], fixed=fixed[COLUMNS], shifts=both["shift"], scales=both["scale"], **numbers)

    def __repr__(self) -> str:
        table = self.to_frame().to_string(float_format=lambda v: f"{v:.4g}")
        return f"{self.verdict}\nlog marginal likelihood {self.evidence_words}\n\n{table}"

    def _repr_html_(self) -> str:
        summary = facts({"log marginal likelihood": self.evidence_words, "Pareto k": f"{self.pareto_k:.2f}"}, "weights")
        return card("Certificate", self.verdict, frame_table(self.to_frame(), "corrected"), summary)

    @property
    def _largest_shift(self) -> float:
        return float(self.shifts.abs().max()) if len(self.shifts) else 0.0

    @property
    def _largest_scale(self) -> float:
        return float((self.scales - 1.0).abs().max()) if len(self.scales) else 0.0

    def _off(self) -> str:
        if not len(self.shifts):
            return "there is no parameter to be off"
        mean, spread = str(self.shifts.abs().idxmax()), str((self.scales - 1.0).abs().idxmax())
        sds = pd.concat([self.fixed, self.hyper])["sd"].reindex(self.shifts.index)
        heavy = [str(name) for name in self.shifts.index[sds.isna()]]
        by = f", {listed(heavy)} by quantiles as far values make up the moments" if heavy else ""
        return (
            f"means move by up to {self._largest_shift:.2g} posterior sd ({mean}), "
            f"sds by up to {100 * self._largest_scale:.2g} % ({spread}){by}"
        )


def certify(
    fit: Fit,
    draws: int = 2000,
    seed: int = 1,
    callback: Callback | None = None,
) -> Certificate:
    """Weigh draws around a fit by the exact joint density; see `BayesianFit.certify`."""
    refuse_draws(draws, FEWEST, "a certificate needs")
    refuse_seed(seed)
    found = importance_draws(fit.laplace, fit.approximation, int(draws), int(seed), callback or silent)
    hyper = {}
    for h in fit.model.hyperparameters:
        value = fit.hyper.loc[h.name, "mean"]
        turns = None if h.period is None else (h.period, value)
        own = Summary(value, 0.0, np.full(3, value), 0.0, 0.0)
        hyper[h.name] = own if h.is_fixed else found.of_theta(h.of, LEVELS, turns)
    fixed = {name: found.of_fixed(k, LEVELS) for k, name in enumerate(fit.model.effects.names)}
    tables = [_table(fixed), _table(hyper)]
    for table, own, rows in zip(tables, (fit.fixed, fit.hyper), (fixed, hyper)):
        table[["mean", "sd"]] = table[["mean", "sd"]].where(own[["mean", "sd"]].notna())
        made_up = [name for name, row in rows.items() if row.sd_error > MADE_UP]
        table.loc[made_up, ["mean", "sd"]] = np.nan
        table.loc[table["mean"].isna(), "mc_error"] = np.nan
    new, old = pd.concat(tables).astype(float), pd.concat([fit.fixed, fit.hyper]).astype(float)
    shifts, scales = _moved(new, old)
    made = Certificate(
        ess=found.ess,
        pareto_k=found.pareto_k,
        log_marginal_likelihood=found.log_marginal_likelihood,
        log_marginal_likelihood_se=found.log_marginal_likelihood_se,
        hyper=tables[1],
        fixed=tables[0],
        shifts=shifts,
        scales=scales,
        evidence_shift=found.log_marginal_likelihood - fit.approximation.log_marginal_likelihood,
        draws=found.weights.size,
    )
    if made.is_reliable:
        return made
    unknown = [table.assign(mc_error=np.nan) for table in tables]
    return replace(made, fixed=unknown[0], hyper=unknown[1], log_marginal_likelihood_se=np.nan)


def _moved(new: pd.DataFrame, old: pd.DataFrame) -> tuple[pd.Series[float], pd.Series[float]]:
    """Shifts of means in new sds, and new sds over old ones, of all that is not held.

    Where values far out make up the moments, they are of medians and of the widths of intervals, on the scale of
    logarithms where all of these are above zero.
    """
    ends = [table[QUANTILES].to_numpy() for table in (new, old)]
    positive = (np.minimum(*ends) > 0).all(axis=1)
    ends = [np.where(positive[:, None], np.log(np.where(positive[:, None], q, 1.0)), q) for q in ends]
    widths = [(q[:, -1] - q[:, 0]) / NORMAL for q in ends]
    sds = [table["sd"].to_numpy() for table in (new, old)]
    by_quantiles = np.isnan(sds[0]) | np.isnan(sds[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = np.where(by_quantiles, (ends[0] - ends[1])[:, 1] / widths[0], (new["mean"] - old["mean"]) / sds[0])
        scale = np.where(by_quantiles, widths[0] / widths[1], sds[0] / sds[1])
    free = (sds[0] != 0) & np.isfinite(shift) & np.isfinite(scale)
    return pd.Series(shift, new.index)[free], pd.Series(scale, new.index)[free]


def _table(rows: dict[str, Summary]) -> pd.DataFrame:
    numbers: list[Vector] = [np.array([s.mean, s.sd, *s.quantiles, s.error]) for s in rows.values()]
    return pd.DataFrame(np.reshape(numbers, (len(rows), len(COLUMNS))), columns=COLUMNS, index=pd.Index(list(rows)))
