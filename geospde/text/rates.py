"""Small rates as a reader takes them in: cases per 1,000, not 0.002."""

import re
from typing import NamedTuple

_PARTS = re.compile(r"(?P<what>.+?)(?P<between> / | per )(?P<of>[^\d\W].*)", re.DOTALL)

_UNITS = ((2e-4, 100_000), (0.1, 1_000))
"""Rates up to this are told per so many, the smallest first."""


_NOUN = re.compile(r"(chance|hazard|intensity|mean|median|probability|rate|share|total) of ")


def with_article(label: str) -> str:
    """Return what is predicted as it stands inside a sentence.

    Examples
    --------
    >>> with_article("chance of malaria"), with_article("expected zinc"), with_article("the mean of zinc")
    ('the chance of malaria', 'expected zinc', 'the mean of zinc')
    """
    return f"the {label}" if _NOUN.match(label) else label


def observed_label(label: str) -> str:
    """Return what was observed, in the words of what is predicted.

    Examples
    --------
    >>> observed_label("expected zinc"), observed_label("median zinc"), observed_label("cases per population")
    ('zinc', 'zinc', 'cases per population')
    """
    return re.sub(r"^(expected|median) ", "", label)


class Rate(NamedTuple):
    """What numbers are of, in words, and what they are multiplied with where they are shown under these words."""

    label: str
    per: float = 1.0

    @classmethod
    def of(cls, label: str, size: float) -> "Rate":
        """Choose how a quantity is told.

        Parameters
        ----------
        label : str
            What it is: a rate if that has ``" per "`` or ``" / "`` in it.
        size : float
            How large it is about at most.

        Examples
        --------
        >>> Rate.of("cases per population", 0.002)
        Rate(label='cases per 1,000 population', per=1000.0)
        >>> Rate.of("cases / population", 3e-5)
        Rate(label='cases per 100,000 population', per=100000.0)
        >>> Rate.of("counts / time", 7.4), Rate.of("zinc", 0.002)
        (Rate(label='counts / time', per=1.0), Rate(label='zinc', per=1.0))
        """
        parts = _PARTS.fullmatch(label)
        per = next((per for most, per in _UNITS if 0 < size < most), None)
        if parts is None or per is None:
            return cls(label)
        return cls(f"{parts['what']} per {per:,} {parts['of']}", float(per))
