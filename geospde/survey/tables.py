"""Tables as they come from files, with every row's place kept for the sentence about a mistake in it."""

from __future__ import annotations

import csv
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from geospde.errors import GeospdeWarning, InputError
from geospde.text.words import counted, did_you_mean, listed

if TYPE_CHECKING:
    import pandas as pd

MISSING = ["", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "<NA>", "#N/A", "-nan", "-NaN"]


@dataclass(frozen=True)
class Table:
    """A data frame and where its rows came from.

    Attributes
    ----------
    frame : pandas.DataFrame
        The columns, on a plain 0, 1, ... index.
    source : str
        How a sentence calls it: a file's name, or "the points".
    rows : numpy.ndarray of int
        What a user would call each row: its line in a text file, its number in a layer.
    word : str
        What to call such a number: "line" or "row".
    """

    frame: pd.DataFrame
    source: str
    rows: np.ndarray
    word: str = "row"

    def at(self, i: int, column: str | None = None) -> str:
        """Return the place of row `i` as a sentence names it."""
        place = f"{self.source}, {self.word} {self.rows[i]}"
        return place if column is None else f"{place}, column {column!r}"

    def require(self, *columns: str) -> None:
        """Raise an InputError that names the nearest column, unless all are there."""
        known = [str(c) for c in self.frame.columns if c != "geometry"]
        for column in columns:
            if column not in self.frame.columns:
                hint = did_you_mean(column, known, "columns")
                raise InputError(f"{self.source} has no column {column!r}: {hint}")

    def numbers(self, column: str) -> np.ndarray:
        """Return a column as finite floats; text, gaps and infinities are InputErrors that say where.

        Returns
        -------
        numpy.ndarray of float, shape (n,)
        """
        import pandas as pd

        self.require(column)
        values = self.frame[column]
        parsed = pd.to_numeric(values, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
        missing = values.isna().to_numpy()
        text = np.isnan(parsed) & ~missing
        if text.any():
            i = int(np.argmax(text))
            hint = " (write decimals with a point)" if "," in str(values.iloc[i]) else ""
            more = self._more(text)
            raise InputError(f"{self.at(i, column)}: {values.iloc[i]!r} is not a number{hint}{more}")
        if missing.any():
            place, more = self.at(int(np.argmax(missing)), column), self._more(missing)
            raise InputError(f"{place} is empty (or NaN): give a number or leave the row out{more}")
        infinite = np.isinf(parsed)
        if infinite.any():
            place, more = self.at(int(np.argmax(infinite)), column), self._more(infinite)
            raise InputError(f"{place} is infinite: give a finite number{more}")
        return parsed

    def _more(self, bad: np.ndarray) -> str:
        others = int(bad.sum()) - 1
        return f"; {counted(others, 'further row')} like it" if others else ""

    def warn_of_stray_text(self) -> None:
        """Warn of columns that are numbers but for a few cells: they would be read as categories."""
        import pandas as pd
        from pandas.api.types import is_string_dtype

        for column in self.frame.columns:
            values = self.frame[column]
            if column == "geometry" or not (is_string_dtype(values.dtype) or values.dtype == object):
                continue
            text = (pd.to_numeric(values, errors="coerce").isna() & values.notna()).to_numpy()
            if 0 < text.sum() <= 0.1 * len(values):
                i = int(np.argmax(text))
                warnings.warn(
                    f"{self.at(i, str(column))}: {values.iloc[i]!r} among numbers makes the column text; "
                    f"mend it if a model is to use {column!r} as a number",
                    GeospdeWarning,
                    stacklevel=4,
                )


def read_csv(path: Path) -> Table:
    """Read a text table: a header line, then rows of fields parted by commas, semicolons or tabs; UTF-8.

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
    import pandas as pd

    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            first = file.readline()
            separator = max(",;\t", key=first.count)
            header = [name.strip() for name in next(csv.reader([first], delimiter=separator), [])]
            if not any(header):
                raise InputError(f"{path.name} is empty: it needs a line of column names, then a line a row")
            twice = [name for name in dict.fromkeys(header) if header.count(name) > 1]
            if twice:
                raise InputError(f"{path.name} has two columns called {twice[0]!r}: rename one")
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
                    na_values=MISSING,
                    keep_default_na=False,
                    low_memory=False,
                )
    except UnicodeDecodeError:
        raise InputError(f"{path.name} is not UTF-8 text: save it as csv in UTF-8") from None
    except pd.errors.EmptyDataError:
        frame = pd.DataFrame(columns=header)
    except (pd.errors.ParserError, pd.errors.ParserWarning, csv.Error) as error:
        fault = _ragged(path, separator, len(header)) or f"{path.name} is not a table: {error}"
        raise InputError(fault) from None
    blank = frame.isna().all(axis=1).to_numpy()
    rows = (_lines(path, separator) if _has_line_breaks(frame) else np.arange(2, len(frame) + 2))[~blank]
    return Table(frame.loc[~blank].reset_index(drop=True), path.name, rows, "line")


def _has_line_breaks(frame: pd.DataFrame) -> bool:
    """Tell whether a quoted field runs over lines, so that rows and lines part."""
    text = frame.select_dtypes(exclude="number")
    return any(text[c].astype(str).str.contains("\n").any() for c in text.columns)


def _lines(path: Path, separator: str) -> np.ndarray:
    """Return the line that each row of a text table begins on."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, delimiter=separator)
        ends = [reader.line_num for _ in reader]
    return np.array(ends[:-1]) + 1


def _ragged(path: Path, separator: str, width: int) -> str | None:
    """Return the sentence about the first row that is longer than the header."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, delimiter=separator)
        for row in reader:
            if len(row) > width:
                return (
                    f"{path.name}, line {reader.line_num} has {len(row)} fields, the header has {width}: "
                    "quote text that holds the separator, or mend the row"
                )
    return None


def rows_like(places: np.ndarray, most: int = 5) -> str:
    """Return row numbers for a sentence.

    Examples
    --------
    >>> rows_like(np.array([4, 9, 12]))
    '4, 9 and 12'
    """
    return listed((int(p) for p in places), most=most)
