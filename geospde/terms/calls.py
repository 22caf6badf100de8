"""Reading calls of terms: their options, and the priors of their parameters."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geospde.errors import GeospdeWarning, InputError, alert
from geospde.families.priors import PCSd, Prior, read_prior
from geospde.formula.covariates import Covariates, checked_names
from geospde.formula.formula import Name, TermCall
from geospde.survey.numbers import is_text
from geospde.survey.places import columns_of_degrees
from geospde.terms.base import Context
from geospde.text.words import did_you_mean

Vector = NDArray[np.float64]


def refuse_unknown(call: TermCall, options: Sequence[str]) -> None:
    """Raise InputError for an option that the term does not have."""
    unknown = [o for o in call.options if o not in options]
    if unknown and not options:
        raise InputError(f"{call.name} has no option {unknown[0]!r}: {call.text}")
    if unknown:
        raise InputError(
            f"{call.name} has no option {unknown[0]!r}; {did_you_mean(unknown[0], options, 'options')}: {call.text}"
        )


def flag(call: TermCall, option: str, default: bool) -> bool:
    """An option that is True or False."""
    value = call.options.get(option, default)
    if not isinstance(value, bool):
        raise InputError(f"{option} of {call.name} is True or False: {call.text}")
    return value


def whole_number(call: TermCall, option: str, default: int, least: int) -> int:
    """An option that is a whole number, the least or more."""
    value = call.options.get(option, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InputError(f"{option} of {call.name} is a whole number, {least} or more: {call.text}")
    return value


def warn_of_degrees(table: pd.DataFrame, columns: Sequence[str], term: str) -> None:
    """Warn where a term takes longitudes and latitudes for lengths."""
    found = columns_of_degrees(table, columns, term)
    if found is not None:
        alert(GeospdeWarning(found.message, remedy=found.remedy))


def one_column(
    call: TermCall, context: Context, example: str, verb: str = "goes", remedy: str = ""
) -> tuple[Covariates, Vector]:
    """The one column of numbers that a term goes along, and its different values, increasing.

    Raises
    ------
    InputError
        For other than one column of numbers, and one that is constant.
    """
    names = checked_names(call.arguments, call.text, example)
    if len(names) > 1:
        raise InputError(f"{call.name} {verb} along one column: {call.text}", remedy=remedy)
    covariates = Covariates.of_table(names, context.table, context.points)
    nodes = np.unique(covariates.values(context.table, context.points))
    if nodes.size < 2:
        raise InputError(f"the covariate {names[0]!r} of {call.text} is constant")
    return covariates, nodes


def multiplier(call: TermCall, context: Context) -> tuple[Covariates | None, Vector]:
    """The column of numbers that ``by=`` names, if it does, and its values, (m,); ones without."""
    name = call.options.get("by")
    if name is None:
        return None, np.ones(len(context.table))
    if not isinstance(name, Name):
        raise InputError(f"by is the name of a column: {call.text}")
    if name in context.table and is_text(context.table[name]).all():
        raise InputError(
            f"by of {call.name} multiplies its values by numbers, and {str(name)!r} holds labels: {call.text}",
            remedy="make columns of 0 and 1 of it, and write a term for each",
        )
    by = Covariates.of_table((str(name),), context.table, context.points)
    values = by.values(context.table, context.points)[:, 0]
    if not values.any():
        raise InputError(f"the column {str(name)!r}, by in {call.text}, is zero")
    return by, values


def own_prior(context: Context, name: str, kind: str, default: Prior) -> Prior:
    """The prior that was given for a parameter, taken out of the overrides, or the default one."""
    if name not in context.overrides:
        return default
    prior: Prior = read_prior(context.overrides.pop(name), name, kind)
    return prior


def default_sd(context: Context, size: float = 1.0) -> Prior:
    """P(sd > s) = 0.05, s three standard deviations of the response, or 1 where it has no unit, over the size.

    Parameters
    ----------
    context : Context
    size : float
        Of what a typical function of the term is for an sd of 1.
    """
    if context.defaults is not None:
        return context.defaults.sd()
    unit: Any = context.likelihood.unit
    return PCSd((1.0 if unit is None else 3 * unit) / size, 0.05)
