"""Tables as they come from files, with every row's place kept for the sentence about a mistake in it."""

from __future__ import annotations

import csv
import re
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_bool_dtype, is_float_dtype, is_numeric_dtype, is_string_dtype

from geospde.errors import GeospdeWarning, InputError, Place, alert
from geospde.survey.numbers import Vector, as_numbers, finite_numbers, is_text
from geospde.text.files import MOST_COLUMNS
from geospde.text.words import counted, did_you_mean, listed

MOST_LETTERS = 2_000_000  # of a field
MARKS = (
    "NA", "N/A", "n/a", "na", "NaN", "nan", "NULL", "null", "None", "none", "<NA>", "#N/A", "-nan", "-NaN", ".", "-",
    "--", "?",
)  # fmt: skip
"""What people write for no number, in any case; among labels these are labels, but for those that the user lists."""
FOLDED = frozenset(mark.casefold() for mark in MARKS)


TRUTHS = {
    "True": True,
    "TRUE": True,
    "true": True,
    "False": False,
    "FALSE": False,
    "false": False,
}  # as pandas has them


@dataclass(frozen=True)
class Table:
    """A data frame and where its rows came from.

    Attributes
    ----------
    frame : pandas.DataFrame
        The columns, on a plain 0, 1, ... index.
    source : str
        How a sentence calls it: a file's name, or "the points".
    rows : numpy.ndarray of int or str
        What a user would call each row: its line in a text file, its number in a layer, its label in a data frame.
    word : str
        What to call such a number: "line" or "row".
    """

    frame: pd.DataFrame
    source: str
    rows: NDArray[Any]
    word: str = "row"

    def at(self, i: int, column: str | None = None) -> Place:
        """Return where row `i`, from 0, stands."""
        row = self.rows[i]
        return Place(self.source, row if isinstance(row, str) else int(row), column, self.word)

    def require(self, *columns: str) -> None:
        """Raise an InputError that names the nearest column, unless all are there."""
        known = [str(c) for c in self.frame.columns if c != "geometry"]
        for column in columns:
            if column not in self.frame.columns:
                hint, where = did_you_mean(column, known, "columns"), Place(self.source)
                raise InputError(f"has no column {column!r}", of=where, remedy=hint)

    def numbers(self, column: str) -> Vector:
        """Return a column as finite floats; text, gaps and infinities are InputErrors that say where.

        Returns
        -------
        numpy.ndarray of float, shape (n,)
        """
        self.require(column)
        return finite_numbers(self.frame[column], lambda i: self.at(i, column))

    def without_gaps(self, columns: Sequence[str], warn: bool = True) -> Table:
        """Return the table without the rows in which one of some columns is empty, and warn of these.

        A column that is empty in every row stays, for `numbers` to refuse.
        """
        gaps = np.zeros(len(self.frame), dtype=bool)
        for column in columns:
            empty = self.frame[column].isna().to_numpy() if column in self.frame.columns else gaps
            gaps |= empty & (not empty.all())
        if not gaps.any() or gaps.all():
            return self
        if warn:
            first = self.at(int(np.argmax(gaps)), columns[0] if len(columns) == 1 else None)
            what = f"{counted(int(gaps.sum()), 'row')} of {len(gaps):,} without {listed(columns)} left out"
            alert(GeospdeWarning(f"{what}, this one first", where=first))
        return replace(self, frame=self.frame.loc[~gaps].reset_index(drop=True), rows=self.rows[~gaps])

    def without_marks(self, missing: Sequence[str]) -> Table:
        """Return the table without values where a cell is one of the marks that the user lists.

        Parameters
        ----------
        missing : sequence of str
            Numbers are compared as numbers: ``"-9999"`` is -9999.0, too.
        """
        if not missing:
            return self
        texts = [str(mark).strip() for mark in missing]
        numbers = [n for n in as_numbers(pd.Series(texts, dtype=object)) if not np.isnan(n)]
        frame = self.frame.copy()
        for column in frame.columns:
            values = frame[column]
            if column == "geometry" or is_bool_dtype(values.dtype):
                continue
            marked = values.isin(numbers) if is_numeric_dtype(values.dtype) else values.astype(object).isin(texts)
            if marked.any():
                frame[column] = values.mask(marked)
        return replace(self, frame=frame)

    def with_numbers(self) -> Table:
        """Return the table with numbers or truths where texts are nothing else but `MARKS`, and warn of these."""
        frame = self.frame.copy()
        for column in frame.columns:
            values = frame[column]
            if column == "geometry" or not (is_string_dtype(values.dtype) or values.dtype == object):
                continue
            texts = [text for text in values.unique() if isinstance(text, str) and text.casefold() in FOLDED]
            marked = values.isin(texts).to_numpy()
            rest = values.mask(marked)
            truths = rest.map(lambda value: TRUTHS.get(str(value)))
            if truths.notna().any() and (truths.notna() | rest.isna()).all():
                frame[column], kind = truths.astype("boolean" if rest.isna().any() else bool), "True and False"
            elif is_text(rest).any() or np.isnan(as_numbers(rest)).all():
                continue
            else:
                kind = "numbers"
                try:
                    frame[column] = pd.to_numeric(rest)
                except (OverflowError, ValueError):  # a number beyond all floats
                    frame[column] = as_numbers(rest)
            words = [w for w in dict.fromkeys(values[marked]) if w.casefold().strip("-") != "nan"]
            if words:
                meant = values.isin(words).to_numpy()
                first = self.at(int(np.argmax(meant)), str(column))
                what = f"{listed(words)} among {kind} counts as missing, in {counted(int(meant.sum()), self.word)}"
                alert(GeospdeWarning(what, where=first))
        return replace(self, frame=frame)

    def warn_of_stray_text(self) -> None:
        """Warn of columns that are numbers but for a few cells: they would be read as categories."""
        for column in self.frame.columns:
            values = self.frame[column]
            if column == "geometry" or not (is_string_dtype(values.dtype) or values.dtype == object):
                continue
            text = is_text(values)
            if 0 < text.sum() <= 0.1 * len(values):
                i = int(np.argmax(text))
                warning = GeospdeWarning(
                    f"{values.iloc[i]!r} among numbers makes the column text",
                    where=self.at(i, str(column)),
                    remedy=f"correct it if a model is to use {column!r} as a number",
                )
                alert(warning)


def read_csv(path: Path) -> Table:
    """Read a text table: a header line, then rows of fields parted by commas, semicolons or tabs; UTF-8.

    A first line ``sep=;`` and comments before the header, lines that begin with ``#``, are read over. Empty fields are
    missing. Where semicolons or tabs part the fields, numbers may have decimal commas, as spreadsheets of many
    countries write them; see `with_decimal_points`.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Returns
    -------
    Table
        Its `rows` are line numbers in the file.

    Raises
    ------
    InputError
        If the file is not such a table: no header, two columns of one name, a row longer than the header.
    """
    file_place = Place(path.name)
    try:
        top = _preamble(path)
        with path.open(newline="", encoding="utf-8-sig") as file:
            for _ in range(top.lines):
                file.readline()
            first = top.header or file.readline()
            separator = top.separator or max(",;\t", key=first.count)
            header = [name.strip() for name in next(csv.reader([first], delimiter=separator), [])]
            if not any(header):
                raise InputError(
                    "is empty", of=file_place, remedy="it needs a line of column names, then one line per row"
                )
            if len(header) > MOST_COLUMNS:
                what = f"has {len(header):,} columns, more than {MOST_COLUMNS:,}"
                raise InputError(what, of=file_place, remedy="leave out those that no model needs")
            twice = [name for name, times in Counter(header).items() if times > 1]
            if twice:
                raise InputError(f"has two columns called {twice[0]!r}", of=file_place, remedy="rename one")
            with warnings.catch_warnings():
                warnings.simplefilter("error", pd.errors.ParserWarning)  # fields beyond the header would be lost
                frame = pd.read_csv(
                    file,
                    sep=separator,
                    header=None,
                    names=header,
                    index_col=False,
                    skip_blank_lines=False,
                    skipinitialspace=True,
                    na_values=[""],
                    keep_default_na=False,
                    low_memory=False,
                )
    except UnicodeDecodeError:
        raise InputError("is not UTF-8 text", of=file_place, remedy="save it as csv in UTF-8") from None
    except pd.errors.EmptyDataError:
        frame = pd.DataFrame(columns=header)
    except (pd.errors.ParserError, pd.errors.ParserWarning, csv.Error) as error:
        _refuse_ragged(path, separator, len(header))
        raise InputError(f"is not a table: {error}", of=file_place) from None
    _refuse_long(frame, lambda i: Place(path.name, i + top.lines + (1 if top.header else 2), word="line"))
    blank = frame.isna().all(axis=1).to_numpy()
    begin = top.lines + (0 if top.header else 1)  # lines before the first row
    lines = _lines(path, separator, begin) if _has_line_breaks(frame) else np.arange(len(frame)) + begin + 1
    frame = frame.loc[~blank].reset_index(drop=True)
    return Table(frame if separator == "," else with_decimal_points(frame), path.name, lines[~blank], "line")


def _refuse_long(frame: pd.DataFrame, place: Callable[[int], Place]) -> None:
    """Raise an InputError where a field is as long as no text of a table is."""
    for column in frame.columns:
        if is_string_dtype(frame[column].dtype):
            letters = _letters(frame[column])
            if letters.max(initial=0) > MOST_LETTERS:
                i = int(np.argmax(letters > MOST_LETTERS))
                what = f"has a field of {int(letters[i]):,} letters, more than {MOST_LETTERS:,}"
                raise InputError(what, of=place(i), remedy="shorten it, or is a quotation mark missing?")


def _letters(cells: pd.Series[Any]) -> NDArray[np.int_]:
    """Return how many letters each cell has, none of what is no text."""
    if isinstance(cells.dtype, pd.StringDtype):
        return np.asarray(cells.str.len().fillna(0), dtype=int)
    return np.array([len(cell) if isinstance(cell, str) else 0 for cell in cells], dtype=int)


_WITH_COMMA = r"\s*[-+]?\d*,\d+(?:[eE][-+]?\d+)?\s*"
_WITH_POINT = r"\s*[-+]?\d*\.\d+(?:[eE][-+]?\d+)?\s*"
_THOUSANDS = r"\s*[-+]?[1-9]\d{0,2},\d{3}\s*"


def with_decimal_points(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table with numbers where columns of text are numbers with decimal commas.

    Nothing changes unless all the table is written so: a number with a point says that commas mean something else, and
    where each has three digits behind it, commas may part thousands.

    Examples
    --------
    >>> with_decimal_points(pd.DataFrame({"zinc": ["1,5", "12"], "plot": ["a", "b"]}))["zinc"].tolist()
    [1.5, 12.0]
    >>> with_decimal_points(pd.DataFrame({"zinc": ["1,500", "12"]}))["zinc"].tolist()
    ['1,500', '12']
    """
    columns, decimal = {}, False
    for name, values in frame.items():
        if is_float_dtype(values.dtype) and (values.dropna() % 1 != 0).any():
            return frame
        if not (is_string_dtype(values.dtype) or values.dtype == object):
            continue
        cells = values.dropna().astype(str)
        if cells.str.fullmatch(_WITH_POINT).any():
            return frame
        commas = cells.str.fullmatch(_WITH_COMMA)
        known = commas | cells.str.fullmatch(r"\s*[-+]?\d+\s*") | cells.str.casefold().isin(FOLDED)
        if commas.any() and known.mean() > 0.5:
            decimal = decimal or not cells[commas].str.fullmatch(_THOUSANDS).all()
            cells[commas] = cells[commas].str.replace(",", ".")
            cells = cells.reindex(values.index)
            columns[name] = cells if is_text(cells).any() else pd.Series(as_numbers(cells), index=values.index)
    return frame.assign(**columns) if decimal else frame


@dataclass(frozen=True)
class _Preamble:
    """What stands before the header of a text table, and the header where it stands behind a ``#``."""

    lines: int
    separator: str = ""
    header: str = ""


def _preamble(path: Path) -> _Preamble:
    """Read the lines before the header: ``sep=;`` as spreadsheets write it, and comments that begin with ``#``.

    A last comment of as many fields as the line of numbers below it is the header.
    """
    lines, separator, comment = 0, "", ""
    with path.open(newline="", encoding="utf-8-sig") as file:
        for line in file:
            if line.startswith("#"):
                comment = line
            elif not separator and (said := re.fullmatch(r'"?sep=(.|\\t)"?\s*', line, re.IGNORECASE)):
                separator = said[1].replace("\\t", "\t")
            elif line.strip():
                break
            lines += 1
        else:
            return _Preamble(lines, separator)
    used, comment = separator or max(",;\t", key=line.count), comment.lstrip("#").strip()
    fields, names = line.split(used), comment.split(used)
    if comment and len(fields) == len(names) and not np.isnan(as_numbers(pd.Series(fields, dtype=object))).any():
        return _Preamble(lines, separator, comment)
    return _Preamble(lines, separator)


def _has_line_breaks(frame: pd.DataFrame) -> bool:
    """Tell whether a quoted field runs over lines, so that rows and lines part."""
    text = frame.select_dtypes(exclude="number")
    return any(text[c].astype(str).str.contains("\n").any() for c in text.columns)


def _lines(path: Path, separator: str, begin: int) -> NDArray[np.int64]:
    """Return the line that each row of a text table begins on, where so many lines stand before the first."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        for _ in range(begin):
            file.readline()
        reader = csv.reader(file, delimiter=separator)
        ends = [reader.line_num for _ in reader]
    return np.array([0, *ends[:-1]]) + begin + 1


def _refuse_ragged(path: Path, separator: str, width: int) -> None:
    """Raise an InputError at the first row that is longer than the header."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, delimiter=separator)
        for row in reader:
            if len(row) > width:
                raise InputError(
                    f"has {len(row)} fields, the header has {width}",
                    of=Place(path.name, reader.line_num, word="line"),
                    remedy="quote text that holds the separator, or correct the row",
                )


def labels_of(index: pd.Index) -> NDArray[Any]:
    """Return what a user calls the rows of a data frame: their labels, or numbers from 1 where it has none of its own.

    Examples
    --------
    >>> labels_of(pd.Index(["S1", "S2"])).tolist(), labels_of(pd.RangeIndex(2)).tolist()
    (['S1', 'S2'], [1, 2])
    """
    if index.equals(pd.RangeIndex(len(index))):
        return np.arange(1, len(index) + 1)
    if pd.api.types.is_integer_dtype(index.dtype):
        return np.asarray(index)
    return np.array([str(label) for label in index], dtype=object)


def rows_like(places: NDArray[Any], most: int = 5) -> str:
    """Return row numbers for a sentence.

    Examples
    --------
    >>> rows_like(np.array([4, 9, 12]))
    '4, 9 and 12'
    """
    return listed((p if isinstance(p, str) else int(p) for p in places), most=most)
