"""How a fit looks in a notebook."""

from __future__ import annotations

from typing import Any

from geospde.results.result import Fit
from geospde.results.summary import priors_of
from geospde.text.notebook import card, facts, frame_table
from geospde.text.words import counted


def fit_card(fit: Fit) -> str:
    """Return formula, tables and priors as HTML; what takes time to compute, such as criteria, is left out."""
    model = fit.model
    priors = priors_of(fit) if fit.method in ("inla", "eb") else {}
    subtitle = (
        f"{fit.family} ({model.family.link.name} link), {counted(model.likelihood.n, 'observation')}, "
        f"method {fit.method}, {_evidence(fit)}"
    )
    smooths: Any = getattr(fit, "smooths", ())
    tables = [
        frame_table(fit.fixed, "fixed effects"),
        frame_table(smooths, "smooths") if len(smooths) else "",
        frame_table(fit.hyper, "hyperparameters"),
        facts({", ".join(names): words for words, names in priors.items()}, "priors"),
        facts({str(k): note for k, note in enumerate(getattr(fit, "notes", ()), 1)}, "notes"),
    ]
    return card(fit.formula, subtitle, *tables)


def _evidence(fit: Fit) -> str:
    """What the data say for the model, in one number."""
    marginal = fit.method in ("inla", "eb")
    value = fit.log_marginal_likelihood if marginal else fit.criteria["log_likelihood"]
    return f"log {'marginal ' if marginal else ''}likelihood {value:,.2f}".replace("-", "\N{MINUS SIGN}")
