"""What can go wrong, in two kinds: the user can mend an `InputError`; a `NumericalError` names where it happened."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Place:
    """Where in the input something stands.

    Attributes
    ----------
    file : str
        The file's name, or what a sentence calls a table in memory.
    row : int or str, optional
        As the user counts: the line of a text file, the row of a table, or its label.
    column : str, optional
        The column, or the key of a run file.
    word : str
        What to call the row: ``"row"`` or ``"line"``.

    Examples
    --------
    >>> print(Place("sites.csv", 12, "depth", "line"))
    sites.csv, line 12, column 'depth'
    """

    file: str
    row: int | str | None = None
    column: str | None = None
    word: str = "row"

    def __str__(self) -> str:
        row = "" if self.row is None else f", {self.word} {_as_label(self.row)}"
        return _shortened(
            _printable(f"{self.file}{row}") + ("" if self.column is None else f", column {self.column!r}")
        )


QUOTED, SAID = 60, 600
"""Characters that a message quotes of what somebody wrote, and that it has in all, at most."""
_QUOTE = re.compile(r"(?<!\w)(['\"])((?:(?!\1).)*)\1")  # short ones, too: the end of one is no beginning
_LONG_WORD = re.compile(r"\S{200,}")


def _as_label(row: Any) -> str:
    """Return a row's number or, in quotation marks, its label."""
    return repr(row) if isinstance(row, str) else str(row)


def _shortened(text: str) -> str:
    """Return a message that is cut in the middle of quotations, of words of hundreds of characters, and of itself."""
    if len(text) <= QUOTED:
        return text
    text = _QUOTE.sub(lambda m: f"{m[1]}{_cut(m[2])}{m[1]}" if _is_long(m[2]) else m[0], text)
    text = _LONG_WORD.sub(lambda m: _cut(m[0]), text)
    return text if len(text) <= SAID else f"{text[: SAID - 150]} ... {text[-140:]}"


def _printable(text: str) -> str:
    """Return what stands on one line of any terminal: spaces for ends of lines, and commands as Python writes them."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c.isspace() else repr(c)[1:-1] for c in text)


def _is_long(quoted: str) -> bool:
    """Tell whether a quotation is to be cut; paths are left whole up to 200 characters."""
    return len(quoted) > (199 if "/" in quoted else QUOTED)


def _cut(words: str) -> str:
    return f"{words[: QUOTED - 20]}...{words[-17:]}"


class _Said(Exception):
    """Something said to the user, in fields; `str` puts them into one sentence.

    Parameters
    ----------
    what : str
        What is wrong.
    where : Place, optional
        Where it stands in the input. The sentence begins with it and a colon.
    of : Place, optional
        The same where the place is the subject of the sentence, and `what` begins with its verb.
    remedy : str
        What to do about it. The sentence ends with it.
    row : optional
        The label of a table's row, or the place from 0 in an array, which stands in `what` as ``{row}``. `RowsCalled`
        makes a place the label of the user's table, and `placed` names the line of one that came from a file.
    """

    def __init__(
        self, what: str, *, where: Place | None = None, of: Place | None = None, remedy: str = "", row: Any = None
    ) -> None:
        self.row, self._of_a_row = row, what
        what = what if row is None else what.replace("{row}", f"row {_as_label(row)}")
        what, remedy = _shortened(_printable(what)), _shortened(_printable(remedy))
        super().__init__(what)
        self.what, self.where, self.remedy = what, where or of, remedy
        self._joint = " " if where is None else ": "

    def __str__(self) -> str:
        fault = self.what if self.where is None else f"{self.where}{self._joint}{self.what}"
        # a sentence has one colon
        return f"{fault}{'; ' if ': ' in fault else ': '}{self.remedy}" if self.remedy else fault

    def placed(self, place: Callable[[int], Place]) -> Self:
        """Return the same, with its row as the file counts that the table was read from.

        Examples
        --------
        >>> print(GeospdeError("no depth in {row}", row=4).placed(lambda i: Place("sites.csv", i + 2, word="line")))
        no depth in line 6 of sites.csv
        """
        if self.row is None:
            return self
        where = place(self.row)
        words = self._of_a_row.replace("{row}", f"{where.word} {_as_label(where.row)} of {where.file}")
        return self._with(words)

    def within(self, part: str) -> Self:
        """Return the same, of one of several likelihoods: its name stands before a sentence that has no place yet."""
        if self.where is not None:
            return self
        return type(self)(self._of_a_row, where=Place(part), remedy=self.remedy, row=self.row)

    def labelled(self, labels: Sequence[Any]) -> Self:
        """Return the same, with its row, a place from 0, by its label.

        Examples
        --------
        >>> print(GeospdeError("no depth in {row}", row=1).labelled(["north", "south"]))
        no depth in row 'south'
        """
        if self.row is None:
            return self
        return self._with(self._of_a_row, labels[self.row])

    def _with(self, what: str, row: Any = None) -> Self:
        """Return the same of another row."""
        where, of = (self.where, None) if self._joint == ": " else (None, self.where)
        return type(self)(what, where=where, of=of, remedy=self.remedy, row=row)

    def to_dict(self) -> dict[str, Any]:
        """Return kind, fields and the whole sentence as plain JSON types."""
        where = None if self.where is None else asdict(self.where)
        kind = type(self).__name__
        return {"kind": kind, "what": self.what, "where": where, "remedy": self.remedy, "message": str(self)}


class GeospdeError(_Said):
    """Base of every error that geospde raises on purpose: what is wrong, where, and what to do.

    Attributes
    ----------
    what : str
        What is wrong.
    where : Place or None
        The file, row and column that it is about, where it is about some.
    remedy : str
        What to do about it; empty where `what` says it all.

    Examples
    --------
    >>> print(GeospdeError("'many' is no number", where=Place("sites.csv", 2, "caught"), remedy="mend the cell"))
    sites.csv, row 2, column 'caught': 'many' is no number; mend the cell
    """

    exit_code = 1


class InputError(GeospdeError, ValueError):
    """A user's mistake: one sentence that says what is wrong, where, and what to do."""

    exit_code = 2


class RowsCalled:
    """A context whose `InputError` calls rows as the user does: it counted them from 0.

    Parameters
    ----------
    labels : sequence or callable
        Those of the user's table; of a table from a file, `Place` of a row.

    Examples
    --------
    >>> try:
    ...     with RowsCalled([10, 20, 30]):
    ...         raise InputError("no depth in {row}", row=2)
    ... except InputError as error:
    ...     print(error)
    no depth in row 30
    """

    def __init__(self, labels: Sequence[Any] | Callable[[int], Place]):
        self.labels = labels

    def __enter__(self) -> None:
        """Enter."""

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        """Raise an `InputError` of a row again, with its label."""
        if isinstance(error, InputError) and error.row is not None:
            labels = self.labels
            raise error.placed(labels) if callable(labels) else error.labelled(labels) from None


class LackingError(InputError, AttributeError):
    """An attribute that this kind of object does not have: names what has it. `hasattr` is False."""


class KeywordError(InputError, TypeError):
    """An argument that a function does not take: names the nearest one that it does."""


class NumericalError(GeospdeError, ArithmeticError):
    """A computation that failed: names the hyperparameters it happened at and what was tried."""

    exit_code = 3


class OutOfMemory(GeospdeError, MemoryError):
    """Memory ended before the work did, or would have."""

    exit_code = 3


class GeospdeWarning(_Said, UserWarning):
    """Something the user should look at, though the run goes on.

    Attributes
    ----------
    what, where, remedy
        As of `GeospdeError`.
    subject : str
        The subject of the finding that says the same at more length, where a check has one.
    """

    def __init__(
        self, what: str, *, where: Place | None = None, of: Place | None = None, remedy: str = "", subject: str = ""
    ) -> None:
        super().__init__(what, where=where, of=of, remedy=remedy)
        self.subject = subject


def alert(what: GeospdeWarning | str) -> None:
    """Warn, at the line outside of geospde that led here."""
    frame, level = sys._getframe(1), 2
    between = ("geospde", "contextlib")  # which runs geospde's own context managers
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in between:
        frame, level = frame.f_back, level + 1
    warnings.warn(what if isinstance(what, GeospdeWarning) else GeospdeWarning(what), stacklevel=level)
