"""Which family the values of a response suggest, and its name."""

from __future__ import annotations

from geospde.families.base import Candidate, Family
from geospde.families.registry import suggest
from geospde.run.proposal.columns import Column, numbers
from geospde.run.proposal.names import SUBSTANCES

COUNTS = set("abundance case catch count death individual infected number obs observation occurrence seen".split())
LOGS = {"log", "log10", "ln", "logged"}
PROPORTIONS = set("fraction percentage prevalence prop proportion rate share".split())


def find_family(column: Column, trials: Column | None) -> tuple[Family, str]:
    """Return the family that the values of a response suggest, with the reason.

    Parameters
    ----------
    column : Column
        The response.
    trials : Column, optional
        Of which the response counts the successes.
    """
    return suggest(candidate(column, trials))


def candidate(column: Column, trials: Column | None) -> Candidate:
    """Return what families are asked about: the values of a response, and what its name says of them."""
    return Candidate(
        numbers(column),
        column.describe(),
        named_counts=bool(column.words & COUNTS),
        named_amounts=bool(column.words & SUBSTANCES),
        named_proportions=bool(column.words & PROPORTIONS),
        trials=None if trials is None else trials.name,
        named_logs=bool(column.words & LOGS),
    )
