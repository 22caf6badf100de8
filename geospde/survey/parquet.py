"""Parquet files that hold more than any survey does, or shapes nested so deep that GEOS ends without a word."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from geospde.errors import InputError, Place
from geospde.text.files import MOST_COLUMNS
from geospde.text.memory import refuse_beyond_memory

COPIES = 3  # of each number while a table is read
DEEPEST = 1000  # shapes inside shapes; GEOS reads each with a call inside a call, and tens of thousands end the process
HEADER = 9  # bytes of such a shape
_KIND = rb"[\x04-\x07\xbc-\xbf\xd4-\xd7\xec-\xef][\x00\x03\x07\x0b]\x00[\x00\x20\x40\x80\xa0\xc0]"
_DNIK = rb"[\x00\x20\x40\x80\xa0\xc0]\x00[\x00\x03\x07\x0b][\x04-\x07\xbc-\xbf\xd4-\xd7\xec-\xef]"
_NESTED = re.compile(rb"\x01" + _KIND + rb"|\x00" + _DNIK, re.DOTALL)  # kinds 4 to 7, of either order of bytes


def refuse_misleading(path: Path) -> None:
    """Raise InputError for more columns or rows than can be read, and for shapes nested too deep.

    Raises
    ------
    ImportError
        Without pyarrow.
    """
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    rows, columns = file.metadata.num_rows, file.metadata.num_columns
    if columns > MOST_COLUMNS:
        what = f"has {columns:,} columns, more than {MOST_COLUMNS:,}"
        raise InputError(what, of=Place(path.name), remedy="leave out those that no model needs")
    refuse_beyond_memory(COPIES * 8.0 * rows * columns, f"{path.name} with {rows:,} rows", "keep those of the survey")
    if b"geo" in (file.schema_arrow.metadata or {}):
        for field in file.schema_arrow:
            if str(field.type).endswith("binary"):
                _refuse_nested(file.read([field.name]).column(0), path)


def _refuse_nested(shapes: Any, path: Path) -> None:
    for row, shape in enumerate(shapes, 1):
        text = shape.as_py() or b""
        if len(text) > HEADER * DEEPEST and len(_NESTED.findall(text)) > DEEPEST:
            raise InputError("holds shapes within shapes, over and over", of=Place(path.name, row))
