"""The summary of a likelihood fit, as a user of mixed models reads one."""

import numpy as np
import pandas as pd

from geospde.model.hyperparameters import names_by_term
from geospde.results.estimates import EstimatedFit
from geospde.results.summaries.posterior import of_exposure
from geospde.text.words import four_digits


def text(fit: EstimatedFit) -> str:
    """The whole summary."""
    parts = (_heading, _criteria, _penalties, _residuals, _random, _others, _fixed, _correlation)
    blocks = [part(fit) for part in parts] + ["\n".join(fit.notes)]
    return "\n\n".join(block for block in blocks if block)


def _heading(fit: EstimatedFit) -> str:
    linear, grouped = fit.unpriored.is_gaussian, bool(fit.model.groups)
    kind = ("Linear" if linear else "Generalised linear") + (" mixed" if grouped else "") + " model"
    points = int(fit.settings["quadrature"])
    by = {"ml": "maximum likelihood", "reml": "REML"}.get(fit.method, fit.method)
    by = f"penalised {by}" if fit.unpriored.penalised else by
    if not linear and fit.model.terms:
        by += " (Laplace)" if points == 1 else f" (adaptive Gauss-Hermite quadrature, {points} points)"
    groups = "".join(f"; {name}: {count} levels" for name, count in fit.groups.items())
    return (
        f"{kind} by {by}\n{fit.formula}\n{fit.family} ({fit.model.family.link.name} link), "
        f"{fit.model.likelihood.n} observations{groups}{of_exposure(fit)}"
    )


def _criteria(fit: EstimatedFit) -> str:
    first = f"REML criterion {fit.deviance:.2f}" if fit.method == "reml" else f"deviance {fit.deviance:.2f}"
    return f"log likelihood {fit.log_likelihood:.2f}   {first}   AIC {fit.aic:.2f}   BIC {fit.bic:.2f}"


def _penalties(fit: EstimatedFit) -> str:
    """The priors that are in the log likelihood."""
    lines = [f"  {line}" for line in fit.unpriored.penalties]
    return "\n".join(["Penalised, log likelihood and AIC with it, by the priors of", *lines]) if lines else ""


def _residuals(fit: EstimatedFit) -> str:
    """Five numbers; nothing where the family's class does not write its moments."""
    if not fit.model.likelihood.has_moments:
        return ""
    scaled = fit.residuals("pearson")
    table = pd.DataFrame([np.quantile(scaled, [0, 0.25, 0.5, 0.75, 1])], columns=["min", "1q", "median", "3q", "max"])
    return f"Scaled residuals\n{table.to_string(index=False, float_format=lambda v: f'{v:.4f}')}"


def _random(fit: EstimatedFit) -> str:
    """Variances, standard deviations and correlations of groups, as lme4 lays them out."""
    estimate, rows = fit.hyper["estimate"], []
    for part, own in zip(fit.model.terms, names_by_term(fit.model)):
        if part.grouping is None:
            continue
        before = own[0].removesuffix(part.hyperparameters()[0].name)
        names, place = part.effect_names, {pair: k for k, pair in enumerate(part.precision.pairs)}
        for i, name in enumerate(names):
            sd = estimate[own[i]]
            correlations = [f"{estimate[own[len(names) + place[j, i]]]:.2f}" if place else "" for j in range(i)]
            group = "" if i else before + part.grouping.name
            rows.append([group, name, f"{sd**2:.5g}", f"{sd:.5g}", "  ".join(correlations)])
    if not rows:
        return ""
    if "sigma" in estimate.index:
        rows.append(["residual", "", f"{estimate['sigma'] ** 2:.5g}", f"{estimate['sigma']:.5g}", ""])
    header = ["group", "effect", "variance", "sd", "corr" if any(row[4] for row in rows) else ""]
    widths = [max(len(row[k]) for row in [header, *rows]) for k in range(5)]
    lines = [
        "  ".join(cell.ljust(w) if k < 2 or k == 4 else cell.rjust(w) for k, (cell, w) in enumerate(zip(row, widths)))
        for row in [header, *rows]
    ]
    return "Random effects\n" + "\n".join(line.rstrip() for line in lines)


def _others(fit: EstimatedFit) -> str:
    """Hyperparameters that are not of groups."""
    by_term = zip(fit.model.terms, names_by_term(fit.model))
    own = {name for part, names in by_term if part.grouping is not None for name in names}
    own |= {"sigma"} if own else set()
    table = fit.hyper.loc[[name for name in fit.hyper.index if name not in own]]
    if not len(table):
        return ""
    return f"Hyperparameters\n{table.to_string(float_format=four_digits)}"


def _fixed(fit: EstimatedFit) -> str:
    if not len(fit.fixed):
        return ""
    plain = {name: f"{{:.{digits}f}}".format for name, digits in (("t", 3), ("z", 3))}
    forms = {
        **{name: (lambda v: f"{v:.5g}") for name in ("estimate", "se", "lower", "upper")},
        "df": lambda v: f"{v:.0f}" if np.isfinite(v) else "inf" if np.isinf(v) else "",
        "p": lambda v: "<1e-15" if v < 1e-15 else f"{v:.3g}",
        **plain,
    }
    table = "Fixed effects\n" + fit.fixed.to_string(formatters={c: forms[c] for c in fit.fixed.columns})
    return "\n\n".join(filter(None, [table, fit.model.effects.left_out]))


def _correlation(fit: EstimatedFit) -> str:
    names = fit.model.effects.names
    if not 2 <= len(names) <= 20:
        return ""
    values = fit.correlation.to_numpy()
    cells = [[f"{values[i, j]:.3f}" if j < i else "" for j in range(len(names) - 1)] for i in range(1, len(names))]
    table = pd.DataFrame(cells, index=pd.Index(names[1:]), columns=names[:-1])
    return f"Correlation of fixed effects\n{table.to_string()}"
