"""Tables for a terminal: findings, and what a survey shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from geospde.text.words import counted, number, numbers_alike

if TYPE_CHECKING:
    from geospde.cli.many import Outcome
    from geospde.results.certificate import Certificate
    from geospde.run.check import Explored
    from geospde.run.compare import Compared
    from geospde.run.validate import Validated
    from geospde.text.findings import Finding

_SCORES = {
    "log_score": "log score", "crps": "CRPS", "dss": "D-S", "rmse": "RMSE", "mae": "MAE", "bias": "bias",
}  # fmt: skip
_CRITERIA = {
    "elpd_loo": "elpd_loo", "se": "se", "elpd_difference": "less best", "difference_se": "se",
    "log_marginal_likelihood": "log evidence", "dic": "DIC", "waic": "WAIC", "pareto_k_above_0.7": "k > 0.7",
    "aic": "AIC", "aic_difference": "above best", "bic": "BIC", "log_likelihood": "log likelihood",
    "parameters": "parameters",
}  # fmt: skip
NARROWEST = 50  # columns: tables squeezed into fewer lose letters of their words, and into few all of them
_WHOLE = ("pareto_k_above_0.7", "parameters")
_STYLES = {"ok": "green", "note": "cyan", "warning": "yellow", "error": "bold red"}


def print_findings(findings: Iterable[Finding]) -> None:
    """Print findings, the gravest last, where the eye is."""
    order = list(_STYLES)
    table = Table("", "subject", "finding", box=SIMPLE_HEAD, pad_edge=False)
    for finding in sorted(findings, key=lambda f: order.index(f.level)):
        message = Text(finding.message)
        if finding.remedy:
            message.append(f"\n→ {finding.remedy}", style="italic")
        table.add_row(Text(finding.level, style=_STYLES[finding.level]), Text(finding.subject), message)
    _print(table)


def print_exploration(explored: Explored) -> None:
    """Print the facts of a survey, its distributions, its findings, and where the files are."""
    from geospde.plots.exploration import fact_rows

    exploration = explored.exploration
    facts = _table("", exploration.survey.name)
    for row in fact_rows(exploration):
        facts.add_row(*map(Text, row))
    quantiles = exploration.quantiles().drop(columns="n")
    spread = _table("", *(column.replace("%", " %") for column in quantiles.columns), dense=True)
    for name, values in zip(quantiles.index, quantiles.to_numpy(dtype=float)):
        spread.add_row(Text(str(name)), *(_short(value) for value in values))
    _print(facts, spread)
    print_findings(explored.findings)
    if explored.folder is not None:
        print(f"pictures and tables: {explored.folder}")


def print_validation(validated: Validated) -> None:
    """Print scores beside those of simpler models, what they say in words, and where the files are."""
    from geospde.prediction.validation import COVERAGE
    from geospde.run.validation_files import in_words

    validation = validated.validation
    print(f"{validation.describe()}.")
    headings = (f"{100 * COVERAGE[c]:.0f} %" if c in COVERAGE else _SCORES.get(c, c) for c in validation.scores)
    table = _table("", *headings, dense=True)
    columns = [
        [f"{100 * value:.0f} %" for value in values] if name in COVERAGE else _alike(values)
        for name, values in validation.scores.items()
    ]
    for model, *row in zip(validation.scores.index, *columns):
        table.add_row(Text(str(model)), *row)
    _print(table)
    print("Smaller is better, but for the shares of observations in their 50, 80 and 95 % intervals.")
    for sentence in in_words(validation):
        print(sentence)
    if validated.folder is not None:
        print(f"scores, single observations and calibration: {validated.folder}")


def print_certificate(certificate: Certificate) -> None:
    """Print the verdict and the corrected figures."""
    print(f"{certificate.verdict[:1].upper()}{certificate.verdict[1:]}.")
    print(f"The log marginal likelihood is {certificate.evidence_words}.")
    frame = certificate.to_frame().drop(columns="q0.5").rename(columns={"mc_error": "MC error"})
    table = _table("", *frame.columns, dense=True)
    for name, row in frame.iterrows():
        table.add_row(Text(str(name)), *(_short(v, 3) for v in row))
    _print(table)
    print("Shift: of the mean, in posterior sd, corrected less fitted; scale: corrected sd over the fitted one.")


def print_runs(outcomes: Iterable[Outcome]) -> None:
    """Print one row per run: how it ended, how long it took, and what there is to look at."""
    table = _table("run file", "survey", "", "s", "warnings", dense=True)
    for outcome in outcomes:
        row = outcome.row()
        state = Text(outcome.state, style=_STYLES["error"] if outcome.error else _STYLES["ok"])
        table.add_row(
            Text(row["run_file"]), Text(outcome.survey), state, f"{outcome.seconds:.1f}", str(row["warnings"])
        )
    _print(table)


def print_comparison(compared: Compared) -> None:
    """Print the models, their criteria and hyperparameters side by side, and what these say in words."""
    comparison = compared.comparison
    for name, model in comparison.models.iterrows():
        print(f"{name}: {model['formula']}, {model['family']}, {model['method']}")
    shown = comparison.table.drop(columns="p_loo", errors="ignore")
    criteria = _table("", *(_CRITERIA[name] for name in shown), dense=True)
    for name, row in shown.iterrows():
        cells = (f"{v:,.0f}" if c in _WHOLE else f"{v:,.1f}".replace("-", "\N{MINUS SIGN}") for c, v in row.items())
        criteria.add_row(Text(str(name)), *cells)
    tables = [criteria]
    for title, frame in (("hyperparameters", comparison.hyper), ("fixed effects", comparison.fixed)):
        if len(frame):
            tables.append(_side_by_side(title, frame))
    _print(*tables)
    for model, test in comparison.tests.iterrows():
        print(
            f"{model} against {test['smaller']}: chi-squared {_short(test['chi_squared'])} on "
            f"{counted(int(test['df']), 'degree')} of freedom, p = {test['p']:.2g}"
        )
    for sentence in (*comparison.in_words(), *compared.notes):
        print(sentence)
    if compared.folder is not None:
        print(f"tables, pictures and difference maps: {compared.folder}")


def _side_by_side(title: str, frame: Any) -> Table:
    """Return estimates with their limits, a column a fit."""
    fits = list(dict.fromkeys(frame.columns.get_level_values(0)))
    table = _table(title, *map(str, fits), dense=True)
    for name, row in frame.iterrows():
        cells = []
        for fit in fits:
            value, low, high = (float(v) for v in row[fit])
            cells.append(f"{_short(value, 3)} ({_short(low, 3)}, {_short(high, 3)})" if value == value else "–")
        table.add_row(Text(str(name)), *cells)
    return table


def verdict(run_file: Any, levels: Mapping[str, int]) -> str:
    """Return the line that says whether a run file can be run.

    Examples
    --------
    >>> verdict("bay.toml", {"note": 1, "warning": 2, "error": 0})
    'bay.toml can be run (2 warnings): geospde run bay.toml'
    >>> verdict("bay.toml", {"note": 1, "warning": 0, "error": 1})
    'bay.toml has 1 error to mend before a run'
    """
    if levels["error"]:
        return f"{run_file} has {counted(levels['error'], 'error')} to mend before a run"
    found = f" ({counted(levels['warning'], 'warning')})" if levels["warning"] else ""
    return f"{run_file} can be run{found}: geospde run {run_file}"


def _alike(values: Iterable[float]) -> list[str]:
    """Return a column's numbers with as many decimals as give its largest three digits, none where they are small."""
    each = [float(value) for value in values]
    return numbers_alike(each, 0.1 * max((abs(value) for value in each if value == value), default=0.0))


def _short(value: float, digits: int = 4) -> str:
    """Return a number narrow enough for nine columns: to four digits, or whole where it is large."""
    return number(float(f"{value:.{digits}g}") if abs(value) < 1000 else float(f"{value:.0f}"))


def _table(first: str, *others: str, dense: bool = False) -> Table:
    """Return a table with words in the first column, which give way, and numbers in the others, which stay whole."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0) if dense else (0, 1))
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(Text(name), justify="right", no_wrap=True)
    return table


def _print(*tables: Table) -> None:
    console = Console(highlight=False)
    console.width = max(console.width, NARROWEST)
    for table in tables:
        console.print(table)
