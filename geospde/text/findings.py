"""Findings: what a check came upon, how much it matters, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from geospde.errors import GeospdeWarning
from geospde.text.keywords import answers_keywords
from geospde.text.words import listed

if TYPE_CHECKING:
    import pandas as pd

LEVELS = ("ok", "note", "warning", "error")
"""Rising: all is well; good to know; look at it before trusting a map; a map cannot be made or would be wrong."""


@answers_keywords
@dataclass(frozen=True)
class Finding:
    """One thing that a check looked at.

    Attributes
    ----------
    level : str
        One of `LEVELS`.
    subject : str
        What was looked at: ``"sites at sea"``.
    message : str
        What was found, with numbers.
    remedy : str
        What to do about it; empty where nothing is to be done.
    rows : tuple of int
        The survey's rows that it is about, from 0, where it is about some.

    Examples
    --------
    >>> print(Finding("warning", "exposure", "it runs from 1 to 4,000", "check its unit"))
    warning: exposure: it runs from 1 to 4,000; check its unit
    """

    level: str
    subject: str
    message: str
    remedy: str = ""
    rows: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise ValueError(f"a finding's level is one of {LEVELS}, not {self.level!r}")

    def __str__(self) -> str:
        return f"{self.level}: {self.subject}: {'; '.join(filter(None, [self.message, self.remedy]))}"

    def as_warning(self) -> GeospdeWarning:
        """Return it as a warning."""
        return GeospdeWarning(f"{self.subject}: {self.message}", remedy=self.remedy, subject=self.subject)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON types."""
        return asdict(self) | {"rows": list(self.rows)}


def count_levels(findings: Iterable[Finding]) -> dict[str, int]:
    """Return how many findings there are of each level.

    Examples
    --------
    >>> count_levels([Finding("ok", "exposure", "even"), Finding("note", "response", "skewed")])
    {'ok': 1, 'note': 1, 'warning': 0, 'error': 0}
    """
    levels = [finding.level for finding in findings]
    return {level: levels.count(level) for level in LEVELS}


def findings_frame(findings: Iterable[Finding]) -> pd.DataFrame:
    """Return findings as a table: ``level, subject, message, remedy``, a row each."""
    import pandas as pd

    columns = ["level", "subject", "message", "remedy"]
    return pd.DataFrame([f.to_dict() for f in findings], columns=[*columns, "rows"])[columns]


class Checks(tuple[Finding, ...]):
    """Findings about a fit, the gravest last when printed."""

    @property
    def levels(self) -> dict[str, int]:
        """How many there are of each level."""
        return count_levels(self)

    @property
    def passed(self) -> bool:
        """Whether there is neither a warning nor an error."""
        return not (self.levels["warning"] or self.levels["error"])

    def to_frame(self) -> pd.DataFrame:
        """A row a finding: ``level, subject, message, remedy``."""
        return findings_frame(self)

    def __str__(self) -> str:
        return "\n".join(str(f) for f in sorted(self, key=lambda f: LEVELS.index(f.level)))

    __repr__ = __str__


def without_moments(table: pd.DataFrame) -> str:
    """Which parameters have no mean or sd, since a far tail would make it up; empty where all have both."""
    if not {"mean", "sd"} <= set(table.columns):
        return ""
    no_mean = [str(name) for name in table.index[table["mean"].isna()]]
    no_sd = [str(name) for name in table.index[table["mean"].notna() & table["sd"].isna()]]
    parts = [f"{what} of {listed(names)}" for what, names in (("mean or sd", no_mean), ("sd", no_sd)) if names]
    return f"no {'; no '.join(parts)}: values far out, of next to no probability, would make it up" if parts else ""
