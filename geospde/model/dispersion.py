"""A formula for the dispersion of the responses, ``dispformula="~ x"``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from geospde.errors import InputError
from geospde.families.dispersed import Dispersed
from geospde.families.likelihood import Likelihood
from geospde.formula.columns import FixedEffects
from geospde.formula.formula import parse_formula
from geospde.terms.registry import special_names


@dataclass(frozen=True)
class Dispersion:
    """The formula of a dispersion, read against a table.

    Attributes
    ----------
    text : str
        As it was given.
    columns : tuple of str
        Columns of the table that it names.
    effects : FixedEffects
    """

    text: str
    columns: tuple[str, ...]
    effects: FixedEffects

    def of(self, likelihood: Likelihood, family: str, priors: dict[str, Any]) -> Likelihood:
        """The responses with a dispersion that follows the formula; priors that are used are taken out.

        Raises
        ------
        InputError
            For a family without a dispersion that may vary.
        """
        if likelihood.dispersion not in likelihood.parameters:
            raise InputError(f"family {family!r} has no dispersion that a formula may stand for: leave dispformula out")
        return Dispersed.of(likelihood, self.effects.matrix, self.effects.names, priors)


def one_sided(text: Any, what: str = "dispformula") -> str:
    """The right side of a formula without a response, ``"~ x"``; raises InputError for anything else."""
    if not isinstance(text, str) or not text.lstrip().startswith("~"):
        raise InputError(f"{what} is a formula without a response, such as '~ x', not {text!r}")
    return text.lstrip()[1:].strip()


def with_dispersion(formula: str, dispformula: str | None) -> str:
    """A formula that names the columns of both."""
    return formula if dispformula is None else f"{formula} + {one_sided(dispformula)}"


def read_dispersion(text: str | None, table: pd.DataFrame) -> Dispersion | None:
    """Read ``dispformula`` against the table of responses; None where there is none.

    Raises
    ------
    InputError
        For a term that is no fixed effect, and whatever fixed effects refuse.
    """
    if text is None:
        return None
    parsed = parse_formula(f"y ~ {one_sided(text)}", special_names())
    if parsed.terms:
        raise InputError(f"dispformula has fixed effects only, not {parsed.terms[0].text}")
    effects = FixedEffects(parsed, table).estimable()
    if effects.has_curves:
        raise InputError("dispformula has no thresholds, whose curves are of the mean: leave them out")
    if not effects.names:
        raise InputError(f"dispformula {text!r} has nothing to estimate: it needs a constant or a covariate")
    return Dispersion(text, tuple(effects.needs), effects)
