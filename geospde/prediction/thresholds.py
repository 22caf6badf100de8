"""Thresholds by class: of each place the limit of the class of land, or of anything else, that it lies in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geospde.errors import GeospdeWarning, InputError, alert
from geospde.survey.covariates.raster import Raster
from geospde.survey.covariates.reading import read_covariates
from geospde.text.words import did_you_mean, in_brief, listed

if TYPE_CHECKING:
    import pandas as pd

Vector = NDArray[np.float64]
SHOWN = 8  # classes that a warning names


@dataclass(frozen=True, eq=False)
class ClassThresholds:
    """A threshold for each place, by its class.

    Attributes
    ----------
    name : str
        Of the classes, such as ``"landuse"``: it names the layers.
    limits : dict
        From a class to its threshold.
    classes : (m,) array of str
        The class of each place.
    at : (m,) array
        The threshold of each place; NaN where its class has none.
    """

    name: str
    limits: dict[str, float]
    classes: NDArray[Any]
    at: Vector

    def __format__(self, spec: str) -> str:
        return f"the limits of {self.name}"


def class_thresholds(
    limits: Mapping[Any, Any] | ClassThresholds, classes: Any, table: pd.DataFrame, points: Any, crs: Any
) -> ClassThresholds:
    """Give each place the threshold of its class.

    Parameters
    ----------
    limits : mapping
        From a class, a label or a whole number, to its threshold.
    classes : str, raster or (m,) array
        A column of the table; a raster, as covariates are given: a path, ``{"raster": ..., "labels": ...}``, a dataset
        or a DataArray, of whose cells the nearest to the middle of a place counts; or the class of each place.
    table : DataFrame
        Of the places, (m) rows.
    points : (m, 2) array or None
    crs : pyproj.CRS or None
        Of the points.

    Raises
    ------
    InputError
        For thresholds that are no numbers, classes that cannot be read, and a class that no place is of.
    """
    if isinstance(limits, ClassThresholds):
        return limits
    if not isinstance(limits, Mapping):
        raise InputError("classes go with thresholds by class, as in {'garden': 100, 'field': 300}")
    given = {_called(label): _threshold(label, value) for label, value in limits.items()}
    if not given:
        raise InputError("thresholds by class are given as in {'garden': 100, 'field': 300}: there are none")
    name, found = _classes(classes, table, points, crs)
    if len(found) != len(table):
        raise InputError(f"there are {len(table):,} places, but {len(found):,} classes")
    there = sorted(set(found) - {""})
    for label in given:
        if label not in there:
            some = did_you_mean(label, there, "classes") if there else "no place has one"
            raise InputError(f"no place of the map is of class {label!r} of {name}: {some}")
    at = np.array([given.get(label, math.nan) for label in found])
    if (lacks := np.isnan(at)).any():
        without = [label for label in there if label not in given]
        words = listed(without[:SHOWN]) + (" and others" if len(without) > SHOWN else "")
        of = f"of class {words}" if without else f"without a class of {name}"
        what = f"{100 * lacks.mean():.2g} % of the map, {of}, has no threshold"
        alert(GeospdeWarning(what, remedy="it is not decided", subject="thresholds"))
    return ClassThresholds(name, given, found, at)


def _classes(given: Any, table: pd.DataFrame, points: Any, crs: Any) -> tuple[str, NDArray[Any]]:
    """Name and class of each place."""
    if given is None:
        remedy = "a raster, a column of the places, or an array"
        raise InputError("thresholds by class need the classes of the places", remedy=f"say classes= {remedy}")
    if isinstance(given, str) and given in table.columns:
        return given, _labels(table[given].to_numpy())
    if isinstance(given, str | Path | dict) or hasattr(given, "transform") or hasattr(given, "dims"):
        spec = dict(given) if isinstance(given, dict) else {"raster": given}
        file = spec.get("raster")
        name = str(spec.pop("name", "")) or (Path(file).stem if isinstance(file, str | Path) else "classes")
        if isinstance(given, str) and not Path(given).exists() and not Path(given).suffix:
            raise InputError(f"the places have no column {given!r}, and there is no raster of that name")
        raster = read_covariates({name: {**spec, "method": "nearest"}})[0]
        if not isinstance(raster, Raster):
            raise InputError("classes are a raster, a column of the places, or one class a place")
        if points is None:
            raise InputError("classes of a raster need places with coordinates")
        values = raster.at_points(np.asarray(points, dtype=float), crs)
        return name, _labels(raster.labelled(values) if raster.labels else values)
    found = np.asarray(given, dtype=object)
    if found.ndim != 1:
        raise InputError(f"classes are one a place, not {in_brief(given)}")
    return "classes", _labels(found)


def _labels(values: Any) -> NDArray[Any]:
    """Classes as text: of a number its digits, of none nothing."""
    kinds, which = np.unique(np.asarray([_called(value) for value in np.asarray(values)]), return_inverse=True)
    return np.asarray(kinds, dtype=object)[which]


def _called(label: Any) -> str:
    """A class as text."""
    if label is None or (isinstance(label, float | np.floating) and math.isnan(label)):
        return ""
    if isinstance(label, int | float | np.number) and not isinstance(label, bool):
        return f"{float(label):g}"
    return str(label)


def _threshold(label: Any, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not math.isfinite(value):
        raise InputError(f"the threshold of class {_called(label)!r} must be a finite number, not {in_brief(value)}")
    return float(value)
