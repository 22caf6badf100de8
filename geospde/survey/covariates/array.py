"""Rasters as covariates that are arrays of xarray."""

from __future__ import annotations

from typing import Any

import numpy as np

from geospde.errors import InputError
from geospde.survey.covariates.base import Vector
from geospde.survey.covariates.raster import Frame, Source
from geospde.text.words import listed

AXES = {
    "x": ("x", "lon", "longitude", "easting", "east"),
    "y": ("y", "lat", "latitude", "northing", "north"),
}


class ArraySource(Source):
    """An array of xarray, with coordinates of its cells' centres along two dimensions."""

    path = None

    def __init__(self, array: Any, band: int | str | None, name: str, crs: Any = None):
        self.called = str(array.name) if array.name is not None else "the array"
        dims = {key: next((d for d in array.dims if str(d).lower() in names), None) for key, names in AXES.items()}
        if None in dims.values():
            raise InputError(f"the array of covariate {name!r} has the dimensions {listed(array.dims)}, not x and y")
        others = [d for d in array.dims if d not in dims.values()]
        for other in others:
            array = _one_of(array, other, band, name)
        array = array.transpose(dims["y"], dims["x"])
        x, y = (np.asarray(array[dims[key]].values, dtype=float) for key in ("x", "y"))
        dx, dy = _even(x, "x", name), _even(y, "y", name)
        self._array = array.isel({dims["y"]: slice(None, None, -1)}) if dy > 0 else array
        self._array = self._array.isel({dims["x"]: slice(None, None, -1)}) if dx < 0 else self._array
        dx, dy = abs(dx), abs(dy)
        own = crs if crs is not None else _crs_of(array)
        self.frame = Frame(x.min() - dx / 2, y.max() + dy / 2, dx, dy, len(y), len(x), own)
        self._nodata = array.attrs.get("_FillValue", array.attrs.get("missing_value"))

    def read(self, rows: slice, cols: slice) -> Vector:
        """Values of a window, north up, NaN where there are none."""
        values = np.array(self._array[rows, cols].values, dtype=float)
        if self._nodata is not None:
            values[values == float(np.ravel(self._nodata)[0])] = np.nan
        values[~np.isfinite(values)] = np.nan
        return values


def _one_of(array: Any, dim: Any, band: int | str | None, name: str) -> Any:
    """One slice of an array along a further dimension."""
    if band is None:
        if array.sizes[dim] == 1:
            return array.isel({dim: 0})
        raise InputError(f"the array of covariate {name!r} has {array.sizes[dim]} along {dim!r}: say which with band")
    try:
        return array.sel({dim: band})
    except (KeyError, TypeError):
        pass
    if isinstance(band, int) and 1 <= band <= array.sizes[dim]:
        return array.isel({dim: band - 1})
    raise InputError(f"the array of covariate {name!r} has no {band!r} along {dim!r}")


def _even(values: Vector, axis: str, name: str) -> float:
    """Step of evenly spaced coordinates."""
    steps = np.diff(values)
    if len(values) < 2 or not np.isfinite(steps).all() or steps[0] == 0:
        raise InputError(f"the array of covariate {name!r} needs two coordinates or more along {axis}")
    if np.abs(steps - steps.mean()).max() > 1e-3 * abs(steps.mean()):
        raise InputError(f"the array of covariate {name!r} is not evenly spaced along {axis}")
    return float(steps.mean())


def _crs_of(array: Any) -> Any:
    """CRS that an array says, as rioxarray writes it, or None."""
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    mapping = array.attrs.get("grid_mapping", array.encoding.get("grid_mapping", "spatial_ref"))
    attributes = array.coords[mapping].attrs if mapping in array.coords else {}
    text = attributes.get("crs_wkt", attributes.get("spatial_ref", array.attrs.get("crs")))
    try:
        return None if text is None else CRS.from_user_input(text)
    except CRSError:
        return None
