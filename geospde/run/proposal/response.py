"""What a response is: the family that its values suggest, its rates, and how far these spread."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.families.base import Family
from geospde.families.likelihood import Likelihood
from geospde.families.registry import family_by_name
from geospde.run.proposal.columns import Column, numbers
from geospde.run.proposal.look import BELIEVED, FirstLook
from geospde.survey.tables import Table
from geospde.text.words import counted

if TYPE_CHECKING:
    from geospde.run.proposal.roles import Roles

Vector = NDArray[np.float64]

COUNTS = set("abundance case catch count death individual infected number obs observation occurrence seen".split())
SMALL = 5
"""Whole numbers are counts if one is so small, or if they are called so; else they may be rounded measurements."""
PROPORTIONS = set("fraction percentage prevalence prop proportion rate share".split())


@dataclass(frozen=True)
class Response:
    """A response with its family.

    Attributes
    ----------
    column : Column
        The response, or the successes.
    family : Family
    reason : str
        Why this family, and what else it could be: sentences for a comment.
    trials, exposure : Column or None
    """

    column: Column
    family: Family
    reason: str
    trials: Column | None = None
    exposure: Column | None = None

    @property
    def formula(self) -> str:
        """The formula's left side."""
        return self.column.name if self.trials is None else f"p({self.column.name}, {self.trials.name})"

    @cached_property
    def likelihood(self) -> Likelihood:
        """The values bound to the family."""
        exposure = None if self.exposure is None else self.exposure.values
        trials = None if self.trials is None else self.trials.values
        return self.family.bind(self.column.values, exposure=exposure, trials=trials)

    @cached_property
    def rates(self) -> Vector:
        """What is mapped, as observed: the response per trial or per unit of exposure."""
        over = self.trials or self.exposure
        return numbers(self.column) if over is None else numbers(self.column) / numbers(over)

    @property
    def label(self) -> str:
        """What figures call the mapped quantity."""
        name = self.column.name
        if self.family.name in ("binomial", "bernoulli"):
            return f"probability of {name}"
        if self.exposure is not None:
            return f"{name} per {self.exposure.name}"
        return f"median {name}" if self.family.name == "lognormal" else f"expected {name}"

    def threshold(self) -> tuple[float, str]:
        """Return a value whose exceedance is worth a map, and what it is."""
        upper, link = short(float(np.quantile(self.rates, 0.75))), self.family.link
        if self.family.name != "bernoulli" and link.low < upper < link.high:
            return upper, "the upper quartile of what was observed"
        return short(float(self.rates.mean())), "the mean of what was observed"


def short(value: float) -> float:
    """Return a number to two significant digits."""
    return float(f"{value:.2g}")


def find_response(table: Table, roles: Roles, places: Vector, said: str | None) -> tuple[Response, FirstLook]:
    """Return the response with the family that the user names or its values suggest, and a first look at it.

    Counts are taken for Poisson unless the look says that they scatter more than a field with Poisson noise.

    Parameters
    ----------
    table : Table
        Says where a value stands that does not fit.
    roles : Roles
    places : (n, 2) array
    said : str, optional
        The name of a family.

    Raises
    ------
    InputError
        If a value lies outside of what the family allows, or all are the same.
    """
    column, trials = roles.response, roles.trials
    if said is None:
        family, reason = find_family(column, trials)
    else:
        family, reason = family_by_name(said), f"{column.describe()}; the family is as --family says."
        if trials is not None and not family.takes_trials:
            raise InputError(f"p(successes, trials) is a response of family 'binomial', not of {family.name!r}")
    _refuse_outside(table, column, family)
    response = Response(column, family, reason, trials, roles.exposure)
    if np.ptp(response.rates) == 0:
        what = f"a {response.label} of" if response.trials or response.exposure else f"a {column.name} of"
        raise InputError(f"{table.source} has {what} {response.rates[0]:g} in every row: there is nothing to map")
    look = FirstLook.at(places, response.likelihood)
    if family.name != "poisson" or said is not None:
        return response, look
    if look.overdispersed:
        reason = (
            f"{column.describe()}, so counts, and sites scatter by themselves, more than Poisson counts around a "
            "smooth field do. poisson puts that scatter into the field, which is then rough."
        )
        response = replace(response, family=family_by_name("nbinomial"), reason=reason)
        return response, FirstLook.at(places, response.likelihood)
    hint = "nbinomial if sites scatter by themselves, more than Poisson counts around a field do"
    if look.scatter > BELIEVED:
        hint = (
            "neighbours differ by more than Poisson noise, which makes the field rough; nbinomial lets each site "
            "scatter by itself and draws a smoother map"
        )
    return replace(response, reason=f"{reason}; {hint}."), look


def _refuse_outside(table: Table, column: Column, family: Family) -> None:
    wrong = family.outside(numbers(column))
    if wrong.any():
        row = int(np.argmax(wrong))
        value = numbers(column)[row]
        what = f"family {family.name!r} needs {family.needs}, not {value:g}"
        raise InputError(what, where=table.at(row, column.name))


def find_family(column: Column, trials: Column | None) -> tuple[Family, str]:
    """Return the family that the values of a response suggest, with the reason.

    Parameters
    ----------
    column : Column
        The response.
    trials : Column, optional
        Of which the response counts the successes.
    """
    y = numbers(column)
    low, high = float(y.min()), float(y.max())
    if trials is not None:
        reason = f"Successes never exceed {trials.name}: their share is mapped."
        return family_by_name("binomial"), reason
    if column.whole and {low, high} <= {0, 1}:
        return family_by_name("bernoulli"), f"Zeros and ones ({y.mean():.0%}): the probability of a one is mapped."
    if column.whole and low >= 0 and (low <= SMALL or column.words & COUNTS):
        return family_by_name("poisson"), f"{column.describe()}, so counts"
    if 0 < low and high < 1 and (high > 0.1 or column.words & PROPORTIONS):
        return family_by_name("beta"), f"{column.describe()}, all between 0 and 1: proportions."
    if low > 0:
        return _positive(column)
    if low == 0:
        zeros = counted(int((y == 0).sum()), "zero")
        return family_by_name("gaussian"), (
            f"{column.describe()} with {zeros}, which gamma and lognormal cannot take; if these are many, map presence "
            "(zero or not) and the positive values apart."
        )
    return family_by_name("gaussian"), f"{column.describe()}; t if a few of them lie far out."


def _positive(column: Column) -> tuple[Family, str]:
    """Return the family of positive values: Gaussian if they are nearly symmetric, else by their logs' tail."""
    y = numbers(column)
    counts = "; none is small, so taken for measurements, poisson if they are counts" if column.whole else ""
    if skewness(y) < 1 and y.mean() > 2 * y.std():
        family, reason = family_by_name("gaussian"), "nearly symmetric; gamma if they scatter more where they are large"
    elif skewness(np.log(y)) > 0.5:
        family, reason = family_by_name("lognormal", "log"), "skewed even as logs: medians are mapped; gamma maps means"
    else:
        family, reason = family_by_name("gamma"), "skewed; lognormal if the tail is longer"
    return family, f"{column.describe()}, positive and {reason}{counts}."


def skewness(values: Vector) -> float:
    """Return the third standardised moment."""
    spread = values.std()
    return float(((values - values.mean()) ** 3).mean() / spread**3) if spread > 0 else 0.0
