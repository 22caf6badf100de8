"""Databases, GeoPackages and Shapefiles among them, that GDAL would read without an end, or as others than they are."""

import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd

from geospde.errors import InputError

MAGIC = b"SQLite format 3\x00"
SHX_HEADER, SHX_RECORD = 100, 8  # bytes
STEPS = 10_000_000  # of SQLite's machine: less than a second, and the rows of a survey many times over


@contextmanager
def _opened(path: str | PathLike[str]) -> Iterator[sqlite3.Connection | None]:
    """A connection that gives up after so many steps; None for another file."""
    file = Path(path)
    if not _is_database(file):
        yield None
        return
    with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        yield connection


def _is_database(file: Path) -> bool:
    if not file.is_file():  # a folder, or an address that GDAL knows
        return False
    with file.open("rb") as opened:
        return opened.read(len(MAGIC)) == MAGIC


def _count(connection: sqlite3.Connection, query: str) -> int | None:
    """The first number of a query; None where SQLite cannot do it; raises TimeoutError after too many steps."""
    connection.set_progress_handler(_stop, STEPS)
    try:
        return int(connection.execute(query).fetchone()[0])
    except (sqlite3.OperationalError, TypeError) as error:
        if "interrupted" in str(error):
            raise TimeoutError from None
        return None
    except sqlite3.DatabaseError:
        return None


def _stop() -> int:
    return 1


def _name(name: str) -> str:
    return '"{}"'.format(name.replace('"', '""'))


def refuse_endless(path: str | PathLike[str]) -> None:
    """Raise InputError where a view of a database does not end: one that calls itself, or joins tables over and over.

    GDAL would read its rows until the memory is full. Databases that cannot be read are left to the reader to tell.
    """
    with _opened(path) as connection:
        if connection is None:
            return
        for view in _views(connection):
            try:
                _count(connection, f"SELECT COUNT(*) FROM {_name(view)}")
            except TimeoutError:
                why = f"{str(path)[-60:]!r}: its view {view[:60]!r} has no end, or is too long to be read"
                raise InputError(why, remedy="save its rows as a layer") from None


def _views(connection: sqlite3.Connection) -> list[str]:
    try:
        return [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'view'")]
    except sqlite3.DatabaseError:
        return []


def refuse_other_rows(path: str | PathLike[str], layer: str, frame: Any) -> None:
    """Raise InputError where a layer holds other rows than were read, or text in a column of numbers, read as 0.

    A GeoPackage says how many rows it has, which GDAL believes, and SQLite takes any value in any column.

    Parameters
    ----------
    path : path
    layer : str
    frame : DataFrame
        What was read.
    """
    with _opened(path) as connection, suppress(TimeoutError):  # of millions of rows nothing is looked at
        if connection is None:
            return
        there = _count(connection, f"SELECT COUNT(*) FROM {_name(layer)}")
        if there is not None and there != len(frame):
            says = f"{there:,} rows, and says that it holds {len(frame):,}"
            raise InputError(f"{str(path)[-60:]!r}: its layer {layer[:60]!r} holds {says}", remedy="save it again")
        for column in frame.columns:
            if not pd.api.types.is_numeric_dtype(frame[column].dtype):
                continue
            kind, what = f"typeof(t.{_name(str(column))})", f"{str(path)[-60:]!r}: the column {str(column)[:60]!r}"
            among = f"SELECT COUNT(*) FROM {_name(layer)} AS t WHERE {kind}"
            if _count(connection, f"{among} IN ('text', 'blob')"):
                raise InputError(f"{what} of numbers holds text", remedy="correct it, or make it a column of text")
            if pd.api.types.is_integer_dtype(frame[column].dtype) and _count(connection, f"{among} = 'real'"):
                why = f"{what} of whole numbers holds others"  # which are read without their fractions
                raise InputError(why, remedy="correct them, or make it a column of real numbers")


def refuse_unequal(path: str | PathLike[str]) -> None:
    """Raise InputError for a Shapefile whose table has another number of rows than it has shapes.

    GDAL leaves out those of either that are too many, though nothing tells which belong together.
    """
    shapes, table = Path(path).with_suffix(".shx"), Path(path).with_suffix(".dbf")
    if Path(path).suffix.casefold() != ".shp" or not (shapes.is_file() and table.is_file()):
        return
    there = (shapes.stat().st_size - SHX_HEADER) // SHX_RECORD
    with table.open("rb") as file:
        head = file.read(8)
    rows = struct.unpack_from("<I", head, 4)[0] if len(head) == 8 else 0
    if rows != there:
        both = f"{str(path)[-60:]!r} has {there:,} shapes, and {table.name[-60:]!r} {rows:,} rows"
        what = f"{both}, so that they are not of one layer"
        raise InputError(what, remedy="take both from where they come from")
