"""Columns, coordinates and per-row values out of a table, checked."""

from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geospde.errors import InputError

Vector = NDArray[np.float64]


def coordinates(data: Any, coords: tuple[str, str] | None) -> tuple[Vector | None, Any]:
    """Points of a table, (m, 2), and their CRS: from named columns, or the geometry of a GeoDataFrame."""
    if coords is not None:
        if isinstance(coords, str) or len(coords) != 2:
            raise InputError(f"coords names two columns, such as ('x', 'y'), not {coords!r}")
        points = np.column_stack([numeric(data, c, "coordinate") for c in coords])
        return points, getattr(data, "crs", None)
    geometry = getattr(data, "geometry", None)
    if geometry is None or not hasattr(geometry, "geom_type"):
        return None, None
    bad = np.flatnonzero((geometry.geom_type != "Point") | geometry.is_empty)
    if bad.size:
        raise InputError(f"the geometry must be points: row {bad[0]} is {geometry.iloc[bad[0]].geom_type}")
    return np.column_stack([geometry.x, geometry.y]), data.crs


def numeric(table: pd.DataFrame, column: str, what: str) -> Vector:
    """A column as finite floats; raises InputError with the row and value that are not."""
    values = pd.to_numeric(pd.Series(column_of(table, column)), errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        raw = table[column].iloc[bad[0]]
        raw = raw.item() if isinstance(raw, np.generic) else raw
        raise InputError(
            f"the {what} {column!r} must be a finite number: row {bad[0]} holds {raw!r}"
            + (f" ({bad.size} such rows)" if bad.size > 1 else "")
            + "; drop or mend it"
        )
    return values


def column_of(table: pd.DataFrame, column: str) -> Any:
    """A column; raises InputError that names the nearest one."""
    if column not in table.columns:
        raise InputError(unknown_column(column, table))
    return table[column]


def unknown_column(column: str, table: pd.DataFrame) -> str:
    """What to say of a column that is not there."""
    columns = [str(c) for c in table.columns if c != "geometry"]
    near = get_close_matches(column, columns, 1, 0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(columns)}"
    return f"no column {column!r} in the data; {hint}"


def per_row(table: pd.DataFrame, value: Any, what: str, size: int) -> Vector | None:
    """A value a row, from a column's name, an array or one number; None stays None."""
    if value is None:
        return None
    if isinstance(value, str):
        return numeric(table, value, what)
    values = np.asarray(value, dtype=float)
    if values.ndim == 0:
        values = np.full(size, float(values))
    if values.shape != (size,) or not np.isfinite(values).all():
        raise InputError(f"{what} must be a column's name or {size} finite numbers, one a row")
    return values
