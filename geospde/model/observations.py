"""What a model of several likelihoods is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from geospde.errors import InputError
from geospde.families.registry import DEFAULT
from geospde.formula.parser import parse_sides
from geospde.formula.syntax import Symbol
from geospde.model.pattern import LABEL
from geospde.text.keywords import answers_keywords
from geospde.text.words import in_brief, is_name


@answers_keywords
@dataclass(frozen=True)
class Observations:
    """Responses of one family, for a fit of several likelihoods.

    Parameters
    ----------
    formula : str
        As of `geospde.fit`; names of shared terms stand in it as columns do, ``copy(name)`` is a copy with an
        estimated scale.
    data : DataFrame or GeoDataFrame
    family, link, coords, exposure, offset, weights
        As of `geospde.fit`.
    name : str, optional
        What tables call it; by default the response.
    domain : polygons, optional
        Of a point pattern, ``family="lgcp"``, whose formula needs no response.
    areas : {"mean", "total"} or dict, optional
        As of `geospde.fit`, where the rows are polygons.
    dispformula : str, optional
        As of `geospde.fit`.

    Examples
    --------
    >>> import pandas as pd
    >>> Observations("count ~ 1 + field", pd.DataFrame({"count": [1, 2]}), family="poisson").called
    'count'
    """

    formula: str
    data: Any = field(repr=False)
    family: Any = DEFAULT
    link: str | None = None
    coords: tuple[str, str] | None = None
    exposure: Any = None
    offset: Any = None
    weights: Any = None
    name: str | None = None
    domain: Any = field(default=None, repr=False)
    areas: Any = field(default=None, repr=False)
    dispformula: str | None = None

    @property
    def full_formula(self) -> str:
        """The formula, with a response."""
        return f"{LABEL} {self.formula}" if self.formula.lstrip().startswith("~") else self.formula

    @property
    def called(self) -> str:
        """Its name, or the response on one line; raises InputError for what is no name, or commands a terminal."""
        name = self.name
        if name is None:
            left = parse_sides(self.full_formula)[0]
            name = " ".join((left.name if isinstance(left, Symbol) else str(left)).split())
        if not is_name(name):
            raise InputError(
                f"a likelihood's name is of characters that can be printed, on one line, not {in_brief(name)}",
                remedy="give Observations(..., name=)",
            )
        return name


@dataclass(frozen=True)
class Recipe:
    """What a model of several likelihoods is made of, so that it can be made again.

    Attributes
    ----------
    observations : tuple of Observations
        By name, with the columns that were taken from rasters.
    terms : mapping
        Shared terms, as they were written.
    delta : str
        The name of a delta family, whose two parts they are; empty for others.
    covariates : tuple of (SiteCovariates or None), optional
        Of each, where the columns came from.
    """

    observations: tuple[Observations, ...]
    terms: Mapping[str, str]
    delta: str = ""
    covariates: tuple[Any, ...] = ()


def refuse_beside(formula: Any, **given: Any) -> None:
    """Refuse a formula that is neither text nor a list, and beside a list what each likelihood has itself."""
    if not isinstance(formula, Sequence):
        raise InputError(
            f"the first argument is the formula, a text, not a {type(formula).__name__}: gs.fit('y ~ x', table)"
        )
    for name, value in given.items():
        if value is not None:
            raise InputError(f"{name}= is given to each gs.Observations(...), not beside a list of them")
