"""Columns, coordinates, labels and per-row values out of a table, checked."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.survey.numbers import as_numbers, others_like_it
from geospde.survey.tables import FOLDED
from geospde.text.hints import as_frame
from geospde.text.words import did_you_mean, in_brief

Vector = NDArray[np.float64]


def coordinates(data: Any, coords: tuple[str, str] | None) -> tuple[Vector | None, Any]:
    """Points of a table, (m, 2), and their CRS: from named columns, or the geometry of a GeoDataFrame.

    None of a table of polygons, which have no places but labels.
    """
    if coords is not None:
        if not isinstance(coords, list | tuple) or len(coords) != 2 or not all(isinstance(c, str) for c in coords):
            raise InputError(f"coords names two columns, such as ('x', 'y'), not {in_brief(coords)}")
        if coords[0] == coords[1]:
            raise InputError(f"coords names the column {coords[0]!r} twice: name one for each direction")
        points = np.column_stack([numeric(data, c, "coordinate") for c in coords])
        return points, getattr(data, "crs", None)
    geometry = getattr(data, "geometry", None)
    if geometry is None or not hasattr(geometry, "geom_type"):
        return None, None
    if len(geometry) and geometry.geom_type.isin(["Polygon", "MultiPolygon"]).all():
        return None, None
    bad = np.flatnonzero((geometry.geom_type != "Point") | geometry.is_empty)
    if bad.size:
        said, remedy = _no_point(geometry.iloc[bad[0]])
        raise InputError(said, remedy=remedy, row=data.index[bad[0]])
    return np.column_stack([geometry.x, geometry.y]), data.crs


def _no_point(shape: Any) -> tuple[str, str]:
    """What a row's geometry is instead of a point, and what to do."""
    if shape is None or shape.is_empty:
        return "{row} has no place: its geometry is empty", "drop or correct it"
    said = f"the geometry must be points: {{row}} is {shape.geom_type}"
    if shape.geom_type == "MultiPoint":
        return said, "make a row of each point with data.explode(), or take one of them, such as the centroid"
    if "Polygon" in shape.geom_type:
        return said, "say what the response is of polygons, as in areas='mean'"
    return said, "take a point of each, such as the centroid"


def require_table(data: Any) -> None:
    """Raise InputError for data that are no DataFrame, with what to give instead."""
    if isinstance(data, pd.DataFrame):
        return
    said = f"data must be a DataFrame or GeoDataFrame, not a {type(data).__name__}"
    if hasattr(data, "points") and hasattr(data, "coastline"):
        raise InputError(said, remedy="give its points, survey.points")
    if remedy := as_frame(data):
        raise InputError(said, remedy=remedy)
    if isinstance(data, Mapping) or (isinstance(data, np.ndarray) and data.dtype.names):
        raise InputError(said, remedy="make one with pandas.DataFrame(data)")
    raise InputError(said)


def refuse_other_order(data: pd.DataFrame, **given: Any) -> None:
    """Raise InputError for a Series whose labels are the table's in another order: its values go by their place."""
    for name, values in given.items():
        if not isinstance(values, pd.Series) or len(values) != len(data) or values.index.equals(data.index):
            continue
        if data.index.is_unique and values.index.is_unique and values.index.isin(data.index).all():
            said = f"{name} is a Series with the labels of the table's rows in another order"
            raise InputError(said, remedy="put it in theirs, as in values.loc[table.index], or make a column of it")


def numeric(table: pd.DataFrame, column: str, what: str) -> Vector:
    """A column as finite floats; raises InputError with the row and value that are not."""
    given = column_of(table, column)
    dates = pd.api.types.is_datetime64_any_dtype(given) or pd.api.types.is_timedelta64_dtype(given)
    if dates or isinstance(given.dtype, pd.PeriodDtype):  # a period would be months since 1970
        raise InputError(f"the {what} {column!r} holds dates: make a number of it, such as days since a date")
    values = as_numbers(given)
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raw = table[column].iloc[bad[0]]
        raw = raw.item() if isinstance(raw, np.generic) else raw
        raise InputError(
            f"the {what} {column!r} must be a finite number: {{row}} holds {raw!r}"
            + (f" ({bad.size} such rows)" if bad.size > 1 else ""),
            remedy="drop or correct it",
            row=table.index[bad[0]],
        )
    return values


def column_of(table: pd.DataFrame, column: str) -> Any:
    """A column; raises InputError that names the nearest one."""
    if column not in table.columns:
        raise InputError(unknown_column(column, table))
    values = table[column]
    if isinstance(values, pd.DataFrame):
        raise InputError(f"{values.shape[1]} columns of the data are called {column!r}")
    if isinstance(values.dtype, pd.ArrowDtype) and values.dtype.kind == "O":  # a dictionary has no texts for pandas
        return values.astype(object)
    return values


def unknown_column(column: str, table: pd.DataFrame) -> str:
    """What to say of a column that is not there."""
    columns = [str(c) for c in table.columns if c != "geometry"]
    if column in columns:  # as text, which a name in a formula is
        said = f"the column {column} is called by a {type(table.columns[columns.index(column)]).__name__}, not by text"
        return f"{said}: name the columns by text, as in table.rename(columns=str)"
    return f"no column {column!r} in the data; {did_you_mean(column, columns, 'columns')}"


NUMBERS = ("integer", "floating", "mixed-integer-float", "decimal")
TRUTHS = {"true": True, "1": True, "false": False, "0": False}  # as text, in small letters
LABELS = (str, bool, int, float, np.generic, Decimal, UUID, date, timedelta, pd.Period)
"""What may be a level: values that are equal where their texts are."""
KINDS = {"number": "numbers", "truth": "True and False", "label": "labels"}


def kind_of(values: pd.Series, column: str) -> str:
    """What a column holds: "number", "truth" or "label"; raises InputError for dates and complex numbers."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return "label"
    kind = str(pd.api.types.infer_dtype(values))
    if kind == "bytes" or (kind == "mixed" and values.map(lambda value: isinstance(value, bytes)).any()):
        raise InputError(f"column {column!r} holds bytes: make text of it, such as with .str.decode('utf-8')")
    if kind.startswith(("date", "time", "period", "complex")):
        raise InputError(f"column {column!r} holds {kind} values: make a number of it, such as days since a date")
    if kind.startswith("mixed") and (dates := values.map(lambda value: isinstance(value, date)).to_numpy(bool)).any():
        said = f"column {column!r} holds dates among other values, the first in {{row}}: make one kind of it"
        raise InputError(said, row=values.index[int(np.argmax(dates))])
    return "number" if kind in NUMBERS else "truth" if kind == "boolean" else "label"


def values_of(table: pd.DataFrame, column: str, kind: str | None = None) -> Any:
    """A column of a formula: an array of floats, a Series of truth values, or a Series of labels.

    Parameters
    ----------
    table : DataFrame
    column : str
    kind : {"number", "truth", "label"}, optional
        What the column held in the data of the fit; by default what it holds.

    Raises
    ------
    InputError
        For a missing value, with its row, for dates, and for what is not of the kind.
    """
    values = column_of(table, column)
    refuse_missing(values, column)
    own = kind_of(values, column)
    if kind == "label" or (kind is None and own == "label"):
        return values
    if own == "label":
        texts = values.map(lambda value: label(value).casefold())
        truths = texts.map({text: float(truth) for text, truth in TRUTHS.items()})
        numbers = as_numbers(values.astype(object) if kind == "number" else truths)
    else:
        numbers = values.to_numpy(dtype=float)
    wrong = np.isnan(numbers) if kind != "truth" else ~np.isin(numbers, (0.0, 1.0))
    if wrong.any():
        row = int(np.argmax(wrong))
        value = values.iloc[row].item() if isinstance(values.iloc[row], np.generic) else values.iloc[row]
        raise InputError(
            f"column {column!r} holds {value!r} in {{row}}, "
            f"where the fit has {KINDS[str(kind)]}{others_like_it(wrong)}",
            row=values.index[row],
        )
    return pd.Series(numbers == 1.0, index=values.index) if (kind or own) == "truth" else numbers


_NEARLY = re.compile(
    r"\s*[(\[]?\s*[<>~≈≤≥$€£]*\s*[-+\N{MINUS SIGN}]?\s*\d[\d.,'’\s]*(?:[eE][-+]?\d*)?\s*"  # (<1,019.5
    r"(?:±\s*\d[\d.,]*)?\s*"
    r"(?:[%‰$€£]|°?[^\W\d_]{1,4}(?:/[^\W\d_]{1,4})?[²³]?)?\s*[)\]]?[-+*†‡?]*\s*"  # mg/l)*
)
_DATE = re.compile(r"\s*(?:\d{4}([-/.])\d{1,2}\1\d{1,2}|\d{1,2}([-/.])\d{1,2}\2\d{2,4})(?:[T ]\d.*)?\s*")
MOSTLY = 0.8  # of the rows
HALF = 0.5  # of the rows, where there are many texts


def refuse_near_numbers(values: pd.Series, column: str) -> None:
    """Raise InputError for texts that are numbers with a unit, a sign or a comma, where they would be a level a row.

    Levels such as "5 mg" and "10 mg", many rows each, are labels; numbers and marks of missing ones ("NA") never are.
    """
    if isinstance(values.dtype, pd.CategoricalDtype) or not values.map(lambda value: isinstance(value, str)).all():
        return
    many = values.nunique() > max(0.25 * len(values), 2)
    if many and values.map(lambda text: bool(_DATE.fullmatch(text))).mean() >= MOSTLY:
        remedy = "make a number of it, such as days since a date, or write C(...) for labels"
        said = f"column {column!r} holds dates as text, such as {values.iloc[0]!r} in {{row}}: {remedy}"
        raise InputError(said, row=values.index[0])
    plain = ~np.isnan(as_numbers(values))
    marks = values.map(lambda text: text.strip().casefold() in FOLDED | {""}).to_numpy() & ~plain
    commas = values.str.fullmatch(r"\s*[-+]?\d+,\d+\s*").to_numpy(dtype=bool)
    kinds = {"numbers": plain, "True and False": values.str.casefold().isin(TRUTHS).to_numpy()}
    kind = next((name for name, are in kinds.items() if are.any() and (are | marks).all()), None)
    if kind is not None and marks.any():
        row = int(np.argmax(marks))
        said = f"column {column!r} is text, {kind} but for {values.iloc[row]!r} in {{row}}{others_like_it(marks)}"
        remedy = f"make {kind} of it, with no value there, or write C(...) for labels"
        raise InputError(f"{said}: {remedy}", row=values.index[row])
    many = many or bool(commas.any() and (commas | plain | marks).all())  # decimals are no labels
    nearly = ~plain & values.map(lambda text: bool(_NEARLY.fullmatch(text))).to_numpy()
    share = float((plain | nearly).mean())
    if share < (HALF if many else MOSTLY) or not (many or (nearly.any() and plain.mean() >= MOSTLY)):
        return
    others = ~plain & ~nearly
    rows = np.flatnonzero(nearly if nearly.any() else others if others.any() else plain)
    shown = f"{values.iloc[rows[0]]!r} in {{row}}"
    shown += f" and {values.iloc[rows[1]]!r}" if rows.size > 1 else ""
    more = f" ({rows.size} such rows)" if rows.size > 2 else ""
    what = "numbers but for" if others.any() and not nearly.any() else "nearly numbers, such as"
    what = "all numbers, such as" if plain.all() else what
    remedy = "make numbers of it, or write C(...) for labels"
    raise InputError(f"column {column!r} is text, {what} {shown}{more}: {remedy}", row=values.index[rows[0]])


def refuse_missing(values: pd.Series, column: str) -> None:
    """Raise InputError with the first row that holds no value."""
    rows = np.flatnonzero(values.isna())
    if rows.size:
        raise InputError(f"column {column!r} has no value in {{row}}: drop or fill it", row=values.index[rows[0]])


def label(value: Any) -> str:
    """A level as text: ``2`` for 2.0, too."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _distinct(values: Any) -> tuple[Any, Any]:
    """Which of the distinct values each is, -1 for a missing one, and these; InputError for lists and their like."""
    try:
        places, labels = pd.factorize(values)
    except TypeError:
        raise _no_label(values, next(k for k, value in enumerate(values) if not _is_hashable(value))) from None
    odd = [k for k, value in enumerate(labels) if not isinstance(value, LABELS)]
    if odd:
        raise _no_label(values, int(np.argmax(places == odd[0])))
    return places, labels


def _no_label(values: pd.Series, row: int) -> InputError:
    """What to say of a value that is no label, with what makes labels of its kind."""
    value = values.iloc[row]
    remedy = "make text of it, as in .astype(str), or numbers, as its middle" if isinstance(value, pd.Interval) else ""
    said = f"column {values.name!r} holds {in_brief(value)} in {{row}}, which is no label"
    return InputError(said, remedy=remedy, row=values.index[row])


def _is_hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


@dataclass(frozen=True)
class Coding:
    """The levels of a factor, learnt from data.

    Attributes
    ----------
    levels : tuple
        As they were in the data.
    """

    levels: tuple[Any, ...]

    @classmethod
    def learn(cls, values: Any, levels: Sequence[Any] | None = None, reference: Any = None) -> "Coding":
        """Levels that occur, in the order of the categories or else sorted; `reference` comes first.

        Raises
        ------
        InputError
            Where `levels` or `reference` do not fit the values.
        """
        if isinstance(values.dtype, pd.CategoricalDtype):
            present = set(values.cat.codes)
            own = [level for code, level in enumerate(values.cat.categories) if code in present]
        else:
            own = list(_distinct(values)[1])
            try:
                own.sort()
            except TypeError:
                own.sort(key=str)
        if levels is not None:
            if not isinstance(levels, (list, tuple)):
                raise InputError(f"levels is a list of the column's levels, not {levels!r}")
            given = [label(level) for level in levels]
            missing = [label(level) for level in own if label(level) not in given]
            extra = [level for level in given if level not in map(label, own)]
            if missing or extra or len(set(given)) < len(given):
                wrong = f"has no {extra[0]!r}" if extra else f"has {missing[0]!r}, too" if missing else "has each once"
                raise InputError(f"levels={list(levels)} do not fit the column, which {wrong}")
            own.sort(key=lambda level: given.index(label(level)))
        if reference is not None:
            first = [level for level in own if label(level) == label(reference)]
            if not first:
                hint = did_you_mean(label(reference), map(label, own), "levels")
                raise InputError(f"there is no level {reference!r}; {hint}")
            own = first + [level for level in own if label(level) != label(reference)]
        return cls(tuple(own))

    @property
    def labels(self) -> list[str]:
        """Levels as text."""
        return [label(level) for level in self.levels]

    def codes(self, values: Any) -> NDArray[np.intp]:
        """Number of each value's level, by value or else by its text; -1 for one that was not learnt, or missing.

        True and False are also what `TRUTHS` spells so.
        """
        if isinstance(getattr(values, "dtype", None), pd.CategoricalDtype):
            places, labels = values.cat.codes.to_numpy(), list(values.cat.categories)
        else:
            places, labels = _distinct(values)
        by_value = {level: k for k, level in enumerate(self.levels)}
        by_text = {text: k for k, text in enumerate(self.labels)}
        if all(isinstance(level, (bool, np.bool_)) for level in self.levels):
            by_text |= {text: by_value[truth] for text, truth in TRUTHS.items() if truth in by_value}
            numbers = [by_value.get(value, by_text.get(label(value).casefold(), -1)) for value in labels]
        else:
            numbers = [by_value.get(value, by_text.get(label(value), -1)) for value in labels]
        return np.asarray(np.array([*numbers, -1], dtype=np.intp)[places])

    def __call__(self, values: Any) -> pd.Categorical:
        """The values as an ordered factor of labels."""
        return pd.Categorical.from_codes(self.codes(values), categories=self.labels, ordered=True)


def per_row(table: pd.DataFrame, value: Any, what: str, size: int) -> Vector | None:
    """One value per row, from a column's name, an array or one number; None stays None."""
    if value is None:
        return None
    if isinstance(value, str):
        return numeric(table, value, what)
    try:
        if np.ma.is_masked(value) or np.asarray(value).dtype.kind in ("mM" if what == "weights" else "mMb"):
            raise TypeError  # dates and truths would be numbers, and what is masked nothing
        values = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise InputError(f"{what} must be a column's name or {size} finite numbers, not {in_brief(value)}") from None
    if values.ndim == 0:
        values = np.full(size, float(values))
    if values.shape != (size,) or not np.isfinite(values).all():
        raise InputError(f"{what} must be a column's name or {size} finite numbers, one per row")
    return values
