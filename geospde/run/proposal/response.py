"""What a response is: the family that its values suggest, its rates, and how far these spread."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.families.base import Family
from geospde.families.likelihood import Likelihood
from geospde.families.registry import family_by_name
from geospde.formula.syntax import quoted
from geospde.run.proposal.columns import Column, numbers
from geospde.run.proposal.family import candidate, find_family
from geospde.run.proposal.look import FirstLook, scatter_at
from geospde.run.proposal.names import with_unit
from geospde.run.proposal.roles import Roles
from geospde.survey.tables import Table

Vector = NDArray[np.float64]


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
    censored : str, optional
        The column that says which responses are bounds.
    """

    column: Column
    family: Family
    reason: str
    trials: Column | None = None
    exposure: Column | None = None
    censored: str | None = None

    @property
    def formula(self) -> str:
        """The formula's left side."""
        name = quoted(self.column.name)
        if self.censored is not None:
            return f"cens({name}, {quoted(self.censored)})"
        return name if self.trials is None else f"p({name}, {quoted(self.trials.name)})"

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
        if self.family.takes_categories:
            return np.where(numbers(self.column) > 1, 1.0, 0.0)
        return numbers(self.column) if over is None else numbers(self.column) / numbers(over)

    @property
    def label(self) -> str:
        """What figures call the mapped quantity."""
        over = self.trials or self.exposure
        name = with_unit(self.column.name) if over is None else self.column.name
        return self.family.quantity(name, None if over is None else over.name)

    def threshold(self) -> tuple[float, str]:
        """Return a value whose exceedance is worth a map, and what it is."""
        upper, link = short(float(np.quantile(self.rates, 0.75))), self.family.link
        if not (self.family.is_binary or self.family.takes_categories) and link.low < upper < link.high:
            return upper, "the upper quartile of what was observed"
        return short(float(self.rates.mean())), "the mean of what was observed"


def short(value: float) -> float:
    """Return a number to two significant digits."""
    return float(f"{value:.2g}")


def find_response(
    table: Table, roles: Roles, places: Vector, said: str | None, trend: Vector | None = None
) -> tuple[Response, FirstLook]:
    """Return the response with the family that the user names or its values suggest, and a first look at it.

    A family that the values suggest may give way to another once the look says how far sites scatter by themselves.

    Parameters
    ----------
    table : Table
        Says where a value stands that does not fit.
    roles : Roles
    places : (n, 2) array
    said : str, optional
        The name of a family.
    trend : (n, p) array, optional
        Covariates, as `FirstLook.at` takes them.

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
        if family.takes_categories:
            reason = f"{column.describe()}, classes in their order: the chance of one above the first is mapped."
        if trials is not None:
            family.refuse_trials()
    _refuse_outside(table, column, family)
    response = Response(column, family, reason, trials, roles.exposure)
    if roles.censored is not None and response.likelihood.has_flow:
        response = replace(response, censored=roles.censored)
    if np.ptp(response.rates) == 0:
        what = f"a {response.label} of" if response.trials or response.exposure else f"a {column.name} of"
        raise InputError(f"{table.source} has {what} {response.rates[0]:g} in every row: there is nothing to map")
    look = FirstLook.at(places, response.likelihood, trend)
    again = None
    if said is None:
        counts = family.is_discrete and family.has_exposure
        scatter = scatter_at(places, response.likelihood, look, counts=counts)
        again = family.given_scatter(candidate(column, trials), scatter)
    if again is None:
        return response, look
    response = replace(response, family=again[0], reason=again[1])
    return response, look if again[0] is family else FirstLook.at(places, response.likelihood, trend)


def _refuse_outside(table: Table, column: Column, family: Family) -> None:
    wrong = family.outside(numbers(column))
    if wrong.any():
        row = int(np.argmax(wrong))
        value = numbers(column)[row]
        what = f"family {family.name!r} needs {family.needs}, not {value:g}"
        raise InputError(what, where=table.at(row, column.name))
