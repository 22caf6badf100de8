"""The summary of a fit: as plain text, or with ruled tables in a terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from math import isnan, nan
from typing import TYPE_CHECKING, NamedTuple

from geospde.inference.hyper import Accuracy
from geospde.model.build import Model
from geospde.results.base import Fit
from geospde.text.findings import without_moments
from geospde.text.words import plain_alike

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console
    from rich.table import Table


ABSENT = "-"


class Block(NamedTuple):
    """A table under its title."""

    title: str
    frame: pd.DataFrame


def posterior_blocks(
    fit: Fit,
    evidence: float,
    fixed: Block | None = None,
    criteria: Mapping[str, float] | None = None,
    accuracy: Accuracy | None = None,
) -> list[str | Block]:
    """What the summary of a posterior says, from top to bottom.

    Parameters
    ----------
    fit : Fit
    evidence : float
    fixed : Block, optional
        What to show for its fixed effects.
    criteria : mapping, optional
        What to show for its criteria; empty where they would take long.
    accuracy : Accuracy, optional
        Of its integration over the hyperparameters: told where it does not serve.
    """
    tables = [Block("Fixed effects", fit.fixed) if fixed is None else fixed, Block("Hyperparameters", fit.hyper)]
    size = fit.model.likelihood.n
    head = (
        f"{fit.formula}\n{fit.family} ({fit.model.family.link.name} link), {size} observations, "
        f"{fit.laplace.n} latent variables, method {fit.method}, {fit.seconds:.2f} s{of_exposure(fit)}"
    )
    priors = [f"  {', '.join(names)}: {words}" for words, names in priors_of(fit.model).items()]
    last = f"log marginal likelihood {evidence:.2f}\n"
    c = fit.criteria if criteria is None else criteria
    if not c:
        last += "DIC, WAIC and leave-one-out take time: see fit.criteria"
    else:
        last += (
            f"DIC {c['dic']:.2f} (p {c['p_dic']:.2f})   WAIC {c['waic']:.2f} (p {c['p_waic']:.2f})   "
            f"log score {c['log_score']:.4f}\n"
            f"elpd_loo {c['elpd_loo']:.2f} (p {c['p_loo']:.2f}); Pareto k is above 0.7 at "
            f"{c['pareto_k_above_0.7']:.0f} of {size} observations, where CPO stands in"
        )
    said = ["\n".join(["Priors", *priors])] if priors else []
    heavy = "; ".join(filter(None, (without_moments(table.frame) for table in tables)))
    left_out = [fit.model.effects.left_out] if fit.model.effects.dropped else []
    notes = [*left_out, *([f"{heavy}: see the median and the interval"] if heavy else [])]
    return [head, *(table for table in tables if len(table.frame)), *notes, *said, last]


def of_exposure(fit: Fit) -> str:
    """A line that says what means are per unit of, where the fit was given an exposure."""
    given = fit.settings.get("exposure")
    if given is None or fit.model.family.is_pattern:
        return ""
    if given == "given a row":
        return "\nmeans are per unit of the exposure given; predict(..., exposure=...) multiplies them"
    return f"\nmeans are per unit of {given}; predict(..., exposure={given!r}) multiplies them"


def priors_of(model: Model) -> dict[str, list[str]]:
    """Each prior in words, with the hyperparameters that it is of: a joint one stands once."""
    named: dict[str, list[str]] = {}
    for h in model.hyperparameters:
        if h.prior:
            named.setdefault(h.prior, []).append(h.name)
    return named


def plain_text(blocks: Sequence[str | Block]) -> str:
    """Return a summary as plain text."""
    return "\n\n".join(block if isinstance(block, str) else _plain(block) for block in blocks)


def show(blocks: Sequence[str | Block], console: Console | None = None) -> None:
    """Print a summary: with ruled tables where stdout is a terminal, else as plain text.

    Parameters
    ----------
    blocks : sequence of str and Block
    console : rich.console.Console, optional
        Print there, with ruled tables.
    """
    if console is None:
        if not sys.stdout.isatty():
            print(plain_text(blocks))
            return
        from rich.console import Console

        console = Console(highlight=False)
    for k, block in enumerate(blocks):
        if k:
            console.print()
        if isinstance(block, str):
            first, _, rest = block.partition("\n")
            console.print(first, style="bold" if k == 0 or first == "Priors" else None, markup=False)
            console.print(rest, markup=False)
            continue
        plain = _plain(block)
        if max(map(len, plain.splitlines())) + 2 > console.width:  # broken lines read better than folded words
            console.print(plain, markup=False, soft_wrap=True)
        else:
            console.print(_ruled(block))


def _plain(block: Block) -> str:
    texts = block.frame.astype(object)
    texts[:] = _texts(block.frame)
    return f"{block.title}\n{texts.to_string()}"


def _ruled(block: Block) -> Table:
    """A table for a terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table("", title=Text(block.title, style="bold"), title_justify="left", box=SIMPLE_HEAD, padding=0)
    for name in block.frame.columns:
        table.add_column(Text(name), justify="right")
    for name, row in zip(block.frame.index, _texts(block.frame)):
        table.add_row(Text(str(name)), *row)
    return table


def _texts(frame: pd.DataFrame) -> list[list[str]]:
    """Numbers as text, those of a row with the decimals that show two digits of its standard deviation."""
    sds = frame["sd"] if "sd" in frame else [nan] * len(frame)
    rows = zip(frame.to_numpy(dtype=float).tolist(), sds)
    return [[ABSENT if isnan(value) else text for value, text in zip(row, plain_alike(row, sd))] for row, sd in rows]
