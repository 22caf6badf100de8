"""The columns of a survey's table, by the words of their names and the kind of their values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.survey.numbers import as_numbers, is_text
from geospde.survey.tables import Table


@dataclass(frozen=True)
class Column:
    """A column of numbers, or of something else.

    Attributes
    ----------
    name : str
    values : ndarray of shape (n,) or None
        Its numbers, NaN where there is none; None if it holds text or dates.
    """

    name: str
    values: NDArray[np.float64] | None

    @cached_property
    def words(self) -> frozenset[str]:
        """The words of its name, in lower case and the singular."""
        return frozenset(words_of(self.name))

    @cached_property
    def complete(self) -> bool:
        """Whether it has a finite number in every row."""
        return self.values is not None and bool(np.isfinite(self.values).all())

    @cached_property
    def whole(self) -> bool:
        """Whether it holds whole numbers only."""
        return self.complete and bool((numbers(self) == np.round(numbers(self))).all())

    @cached_property
    def constant(self) -> bool:
        """Whether every row holds the same number."""
        return self.complete and bool(np.ptp(numbers(self)) == 0)

    @cached_property
    def numbers_rows(self) -> bool:
        """Whether it only numbers the rows: whole, all different, without a gap between them."""
        return self.whole and len(numbers(self)) > 2 and bool((np.diff(np.sort(numbers(self))) == 1).all())

    def describe(self) -> str:
        """Return a few words about its values."""
        if self.values is None:
            return "text"
        if not self.complete:
            return f"numbers, {int((~np.isfinite(self.values)).sum())} missing"
        low, high = self.values.min(), self.values.max()
        if self.whole and {low, high} <= {0, 1}:
            return "zeros and ones"
        return f"{'whole numbers' if self.whole else 'numbers'} from {low:.6g} to {high:.6g}"


def words_of(name: str) -> list[str]:
    """Return the words of a column's name.

    Examples
    --------
    >>> words_of("decimalLongitude"), words_of("POINT_X"), words_of("cases (total)")
    (['decimal', 'longitude'], ['point', 'x'], ['case', 'total'])
    """
    parts = re.sub(r"([a-z])([A-Z])", r"\1 \2", name).casefold()
    return [w.removesuffix("s") if len(w) > 3 and w[-2] != "s" else w for w in re.split(r"[\W_]+", parts) if w]


def read_columns(table: Table) -> dict[str, Column]:
    """Return a table's columns by their names, the geometry left out.

    Raises
    ------
    InputError
        If the header is a row of numbers, there is one column only, or decimals are written with commas.
    """
    from pandas.api.types import is_datetime64_any_dtype

    columns = {}
    for name in map(str, table.frame.columns):
        if name == "geometry":
            continue
        cells = table.frame[name]
        text = bool(is_text(cells).any())
        columns[name] = Column(name, None if text or is_datetime64_any_dtype(cells) else as_numbers(cells))
        if text and cells.astype(str).str.fullmatch(r"\s*[-+]?\d+,\d+\s*").mean() > 0.5:
            table.numbers(name)  # its sentence says what to do about the comma
    plain = [name for name in table.frame.columns if name != "geometry"]
    if plain and all(re.fullmatch(r"[-+]?[\d.]+([eE][-+]?\d+)?", str(name)) for name in plain):
        raise InputError(f"{table.source} has numbers in its first line, where the columns' names belong: add a header")
    if len(plain) == len(table.frame.columns) == 1:
        raise InputError(
            f"{table.source} has one column, {plain[0]!r}: a survey needs coordinates and a response, in fields "
            "separated by commas, semicolons or tabs"
        )
    return columns


def numbers(column: Column) -> NDArray[np.float64]:
    """Return the values of a column that is known to hold numbers."""
    assert column.values is not None
    return column.values
