"""Covariates from the words of a call or a run file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from geospde.errors import InputError
from geospde.survey.covariates.array import ArraySource
from geospde.survey.covariates.base import MISSING, Covariate
from geospde.survey.covariates.builtin import Coordinate, Distance
from geospde.survey.covariates.raster import METHODS, FileSource, Raster
from geospde.survey.crs import parse_crs
from geospde.text.offline import read_vectors
from geospde.text.words import did_you_mean, listed

COMMON = ("missing", "standardise")
KEYS = {
    "raster": ("band", "method", "labels", "crs"),
    "distance_to": ("layer",),
    "coordinate": (),
}
"""What a covariate may be of, and the keys beside it, besides `COMMON`."""


def check_covariates(given: Any) -> dict[str, dict[str, Any]]:
    """Return the words of each covariate as a table of keys; opens no file.

    Raises
    ------
    InputError
        For what is no table of covariates, or a key that there is not.
    """
    if not isinstance(given, Mapping):
        raise InputError(f"covariates are given by name, as in {{'elev': 'elevation.tif'}}, not as {given!r}")
    return {_name(name): _keys(name, spec) for name, spec in given.items()}


def read_covariates(given: Any, path_of: Callable[[str], Path] | None = None) -> tuple[Covariate, ...]:
    """Open covariates.

    Parameters
    ----------
    given : mapping
        From a name to a raster (a path, a dataset of rasterio, a DataArray of xarray), or to a table of keys:
        ``raster``, ``distance_to`` (a vector layer) or ``coordinate`` (``"x"`` or ``"y"``), ``band``, ``method``,
        ``labels``, ``crs``, ``layer``, ``missing``, ``standardise``.
    path_of : callable, optional
        Where a relative path starts.

    Returns
    -------
    tuple of Covariate

    Raises
    ------
    InputError
        For a file that cannot be read, a band or a key that there is not.
    """
    path_of = path_of or Path
    return tuple(_read(name, keys, path_of) for name, keys in check_covariates(given).items())


def _name(name: Any) -> str:
    if not isinstance(name, str) or not name:
        raise InputError(f"a covariate is called by a text, not {name!r}")
    return name


def _keys(name: str, spec: Any) -> dict[str, Any]:
    """The keys of one covariate."""
    keys = dict(spec) if isinstance(spec, Mapping) else {"raster": spec}
    kinds = [kind for kind in KEYS if kind in keys]
    if len(kinds) != 1:
        raise InputError(f"covariate {name!r} needs one of {listed(KEYS)}, and one only")
    known = (kinds[0], *KEYS[kinds[0]], *COMMON)
    for key in keys:
        if key not in known:
            raise InputError(f"covariate {name!r} has no key {key!r}: {did_you_mean(str(key), known, 'keys')}")
    _one_of(name, keys, "missing", MISSING)
    _one_of(name, keys, "method", METHODS)
    _one_of(name, keys, "coordinate", ("x", "y"))
    if not isinstance(keys.get("standardise", False), bool):
        raise InputError(f"standardise of covariate {name!r} is true or false, not {keys['standardise']!r}")
    if "labels" in keys:
        keys["labels"] = _labels(name, keys["labels"])
        if keys.get("standardise") or keys.get("method") == "bilinear":
            raise InputError(f"covariate {name!r} has labels: it cannot be standardised or interpolated")
    return keys


def _one_of(name: str, keys: Mapping[str, Any], key: str, choices: tuple[str, ...]) -> None:
    if key in keys and keys[key] not in choices:
        raise InputError(f"{key} of covariate {name!r} is one of {listed(choices)}, not {keys[key]!r}")


def _labels(name: str, labels: Any) -> dict[str, str]:
    """From a number, as text, to what it stands for."""
    try:
        read = {f"{float(number):g}": str(text) for number, text in labels.items()}
    except (AttributeError, TypeError, ValueError):
        raise InputError(f"labels of covariate {name!r} hold texts by number, as in {{1: 'forest'}}") from None
    if not read:
        raise InputError(f"labels of covariate {name!r} are empty")
    return read


def _read(name: str, keys: dict[str, Any], path_of: Callable[[str], Path]) -> Covariate:
    common: dict[str, Any] = {key: keys[key] for key in COMMON if key in keys}
    if "coordinate" in keys:
        return Coordinate(name, axis="xy".index(keys["coordinate"]), spec=keys, **common)
    if "distance_to" in keys:
        return _distance(name, keys, common, path_of)
    crs = parse_crs(keys["crs"]) if "crs" in keys else None
    given, band = keys["raster"], keys.get("band")
    labels = {float(number): text for number, text in keys.get("labels", {}).items()}
    common |= {"labels": labels, "how": keys.get("method")}
    if isinstance(given, str | Path):
        path = _existing(name, given, path_of)
        file: Any = FileSource(path, band, name, crs)
        return Raster(name, pixels=file, spec={**keys, "raster": str(path)}, **common)
    if hasattr(given, "dims") and hasattr(given, "coords") and hasattr(given, "isel"):
        return Raster(name, pixels=ArraySource(given, band, name, crs), **common)
    if hasattr(given, "read") and hasattr(given, "transform"):
        return Raster(name, pixels=FileSource(given, band, name, crs), **common)
    raise InputError(
        f"covariate {name!r} is a raster's path, a dataset of rasterio or a DataArray of xarray, not a "
        f"{type(given).__name__}"
    )


def _distance(name: str, keys: dict[str, Any], common: dict[str, Any], path_of: Callable[[str], Path]) -> Covariate:
    import geopandas as gpd

    given = keys["distance_to"]
    if isinstance(given, str | Path):
        path: Path | None = _existing(name, given, path_of)
        assert path is not None
        try:
            frame = read_vectors(path, keys.get("layer"))
        except Exception as error:  # pyogrio's errors have no common base but this
            raise InputError(f"cannot read {given} of covariate {name!r}: {str(error).splitlines()[0]}") from None
        spec: Any = {**keys, "distance_to": str(path)}
    else:
        path, frame, spec = None, given, None
    if not isinstance(frame, gpd.GeoDataFrame | gpd.GeoSeries):
        raise InputError(f"distance_to of covariate {name!r} is a vector layer, not a {type(frame).__name__}")
    features = frame.geometry
    features = features[features.notna() & ~features.is_empty]
    if not len(features):
        raise InputError(f"the layer of covariate {name!r} has no features to be far from")
    return Distance(name, features=features, path=path, spec=spec, **common)


def _existing(name: str, given: str | Path, path_of: Callable[[str], Path]) -> Path:
    path = path_of(str(given))
    if "\0" in str(given) or not (path.is_file() or path.is_dir()):  # no path has a null byte, and some systems raise
        raise InputError(f"there is no file {str(given)!r} for covariate {name!r}")
    return path.resolve()
