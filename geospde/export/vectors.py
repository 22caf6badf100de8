"""The vector layers of a run, in one GeoPackage: sites, contours, coastline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from geospde.errors import InputError
from geospde.results.base import Fit
from geospde.survey.survey import Survey
from geospde.text.files import whole_file

if TYPE_CHECKING:
    import geopandas as gpd


_RESERVED = ("fid", "geom", "geometry")
"""Columns that a GeoPackage has of its own."""


def sites_layer(survey: Survey, fit: Fit | None = None, *, observed: Any = None) -> gpd.GeoDataFrame:
    """Return the sites with what was observed and what the fit says of each.

    Parameters
    ----------
    survey : Survey
        Every column of its points is kept; one that is called like a column below gets ``_survey`` at its end.
    fit : Fit, optional
        Of these points: adds ``mean``, ``sd``, ``q0.025``, ``q0.5``, ``q0.975``, ``cpo`` and ``pit``.
    observed : (sites,) array, optional
        The response per unit exposure: adds ``observed``.

    Returns
    -------
    GeoDataFrame
    """
    points = survey.points
    added: dict[str, Any] = {} if observed is None else {"observed": np.asarray(observed, dtype=float)}
    if fit is not None and len(fit.fitted) == len(points):
        added |= {str(name): fit.fitted[name].to_numpy() for name in fit.fitted.columns if name != "mode"}
        pointwise = getattr(fit, "pointwise", {})
        added |= {name: pointwise[name].to_numpy() for name in ("cpo", "pit") if name in pointwise}
    names = _distinct(points.columns.drop("geometry"), [*added, *_RESERVED])
    own = {new: _storable(points[old]) for old, new in names.items()}
    return _frame(own | added, points.geometry.array, survey.crs)


def coastline_layer(survey: Survey) -> gpd.GeoDataFrame:
    """Return the land, a row an island, with its area in square units of the CRS."""
    import shapely

    parts = shapely.get_parts(survey.coastline)
    return _frame({"area": shapely.area(parts)}, parts, survey.crs)


def write_layers(path: str | Path, layers: Mapping[str, gpd.GeoDataFrame]) -> Path:
    """Write layers into one new GeoPackage.

    Parameters
    ----------
    path : str or Path
        A name that ends in ``.gpkg``; a file of this name is replaced by the whole new one.
    layers : mapping of str to GeoDataFrame
        From a layer's name to its rows.

    Raises
    ------
    InputError
        For another ending, or if the file cannot be written.
    """
    import pyogrio

    path = Path(path)
    if path.suffix.lower() != ".gpkg":
        raise InputError(f"layers are written to a GeoPackage; name the file *.gpkg, not {path.name}")
    try:
        with whole_file(path) as partial:
            for name, frame in layers.items():
                # the version of the format that every QGIS 3 reads without a warning
                frame.to_file(partial, layer=name, driver="GPKG", engine="pyogrio", VERSION="1.2")
    except pyogrio.errors.DataSourceError as error:
        raise InputError(f"cannot write the layers {path}: {error}") from error
    return path


def _frame(columns: Mapping[str, Any], geometry: Any, crs: Any) -> gpd.GeoDataFrame:
    import geopandas as gpd

    return gpd.GeoDataFrame(columns, geometry=geometry, crs=crs)


def _distinct(names: Iterable[Any], taken: Iterable[str]) -> dict[Any, str]:
    """Return names that differ from those taken and from each other, as SQLite sees them: whatever their case."""
    used = {name.casefold() for name in taken}
    found = {}
    for name in names:
        new = str(name)
        while new.casefold() in used:
            new += "_survey"
        used.add(new.casefold())
        found[name] = new
    return found


def _storable(values: Any) -> Any:
    """Return a column as an array of a kind that a GeoPackage holds; what is neither number nor time as text."""
    from pandas.api import types

    gaps = bool(values.isna().any())
    if types.is_datetime64_any_dtype(values):
        return values.array
    if types.is_bool_dtype(values) and not gaps:
        return values.to_numpy(dtype=bool)
    if types.is_numeric_dtype(values) and not types.is_complex_dtype(values):
        whole = types.is_integer_dtype(values) and not gaps and values.max() <= np.iinfo(np.int64).max
        return values.to_numpy(dtype=np.int64) if whole else values.to_numpy(dtype=float, na_value=np.nan)
    text = values.astype(object)
    return text.map(str).where(text.notna(), None).to_numpy()
