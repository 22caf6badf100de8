"""The years of a survey in a proposed run file: a term of the formula, and which of them are mapped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geospde.formula.syntax import quoted
from geospde.run.proposal.columns import Column, numbers

LEVELS = 12
"""Years up to which each has a coefficient of its own."""
ROWS = 5
"""Rows that each of these years has at least."""
MAPPED = 6
"""Years that are mapped, the last ones: each is a map of its own."""


@dataclass(frozen=True)
class YearTerm:
    """How the level of a map changes from year to year.

    Attributes
    ----------
    name : str
        The column of years.
    term : str
        Of the formula.
    mapped : tuple of int
        Years that are mapped.
    reason, of_maps : str
        Comments on the formula, and on the years that are mapped.
    """

    name: str
    term: str
    mapped: tuple[int, ...]
    reason: str
    of_maps: str

    @classmethod
    def of(cls, column: Column) -> YearTerm:
        """Propose a level a year; a random walk where there are many years, or few rows in one."""
        years, rows = np.unique(numbers(column).astype(int), return_counts=True)
        name, span = (
            quoted(column.name),
            f"{len(years)} from {years[0]} to {years[-1]}, of {rows.min()} rows or more each",
        )
        if len(years) <= LEVELS and rows.min() >= ROWS:
            term, why = f"C({name})", f"a level for each year ({span})"
        else:
            term, why = f"rw1({name})", f"a level that walks from year to year ({span})"
        reason = (
            f"An intercept, {why}, and a field, the same in all of them. spde(mesh, time={name}, temporal='ar1') in "
            f"its place is a field that changes, too, with as many unknowns again for each year. Without {name} the "
            "map is that of all years together."
        )
        mapped = tuple(map(int, years[-MAPPED:]))
        which = "Each year is mapped" if len(mapped) == len(years) else f"The last {MAPPED} years are mapped"
        return cls(column.name, term, mapped, reason, f"{which}; index.csv has the mean and total of each.")
