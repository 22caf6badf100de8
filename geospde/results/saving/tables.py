"""The tables of a saved fit: the columns that its model uses, its sites, and those of several likelihoods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from geospde.families.registry import path_of, read_family
from geospde.formula.formula import parse_formula
from geospde.formula.table import NUMBERS, label
from geospde.model.build import Model
from geospde.model.observations import Observations, Recipe
from geospde.model.support import Support
from geospde.model.window import PLACES, Window
from geospde.results.saving.schema import PartWords, SupportWords, WindowWords
from geospde.survey.covariates.sites import restored
from geospde.terms.registry import special_names


def stored_table(model: Model, names: Iterable[str], before: str = "") -> tuple[dict[str, Any], dict[str, str]]:
    """Arrays of some columns, of offset, exposure, weights and sites, after a prefix; and what each column is."""
    beside = model.offsets.beside_terms(model.sites[0])
    arrays: dict[str, Any] = {
        f"{before}offset": beside if model.support is None else model.support.of_first(beside),
        f"{before}exposure": model.exposure,
        f"{before}observation_weights": model.weights,
    }
    if model.points is not None:
        arrays[f"{before}points"] = model.points
    if model.labels is not None and not model.labels.equals(pd.RangeIndex(len(model.labels))):
        is_whole = pd.api.types.is_integer_dtype(model.labels.dtype)
        arrays[f"{before}labels"] = model.labels.to_numpy() if is_whole else np.array([str(x) for x in model.labels])
    if model.support is not None:
        arrays |= _stored_support(model.support, names, before)
    named = dict.fromkeys([*names, *(one for one in PLACES if one in model.table.columns)])
    of_columns, columns = _stored_columns(model.table, named, before)
    return arrays | of_columns, columns


def _stored_columns(table: pd.DataFrame, names: Iterable[str], before: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Arrays of some columns, after a prefix, and what each is."""
    arrays: dict[str, Any] = {}
    columns: dict[str, str] = {}
    for k, column in enumerate(names):
        values = table[column]
        if isinstance(values.dtype, pd.CategoricalDtype):
            columns[column] = "ordered" if values.cat.ordered else "category"
            arrays[f"{before}column_{k}"] = values.cat.codes.to_numpy()
            levels = values.cat.categories.tolist()
            is_plain = all(isinstance(level, (str, int, float)) for level in levels)  # intervals and dates are not
            arrays[f"{before}levels_{k}"] = np.asarray(levels if is_plain else [label(level) for level in levels])
        else:
            values = values.infer_objects() if values.dtype == object else values
            if pd.api.types.infer_dtype(values) in NUMBERS:  # decimals and numbers of several kinds, too
                values = pd.to_numeric(values)
            kind = "number" if pd.api.types.is_numeric_dtype(values) else "text"
            columns[column] = kind
            arrays[f"{before}column_{k}"] = values.to_numpy() if kind == "number" else values.map(label).to_numpy(str)
    return arrays, columns


def support_words(support: Support | None, names: Iterable[str]) -> dict[str, Any] | None:
    """What `support_of` reads beside arrays: kind, and the columns of the places; None where rows are no areas."""
    if support is None:
        return None
    columns = _of_places(support, names, "")[1]
    return {"kind": support.kind, "columns": columns, "is_weighed": support.is_weighed}


def _of_places(support: Support, names: Iterable[str], before: str) -> tuple[dict[str, Any], dict[str, str]]:
    """Columns of the places, of those that a model uses."""
    own = support.table
    return _stored_columns(own, [c for c in names if c in own.columns], f"{before}place_")


def _stored_support(support: Support, names: Iterable[str], before: str) -> dict[str, Any]:
    """Arrays of the places in areas."""
    parts = {f"{before}support_{name}": getattr(support.weights, name) for name in ("data", "indices", "indptr")}
    return {**parts, f"{before}support_points": support.points, **_of_places(support, names, before)[0]}


def _columns_of(columns: Mapping[str, str], arrays: Mapping[str, Any], before: str) -> pd.DataFrame:
    """The columns as they were."""
    found: dict[str, Any] = {}
    for k, (column, kind) in enumerate(columns.items()):
        values = arrays[f"{before}column_{k}"]
        if kind in ("category", "ordered"):
            levels = arrays[f"{before}levels_{k}"].tolist()
            found[column] = pd.Categorical.from_codes(values, categories=levels, ordered=kind == "ordered")
        else:
            found[column] = values
    return pd.DataFrame(found)


def support_of(
    words: SupportWords | None, arrays: Mapping[str, Any], crs: Any, covariates: Any, before: str = ""
) -> Support | None:
    """The places in areas that were written."""
    if words is None:
        return None
    data, indices, indptr = (arrays[f"{before}support_{name}"] for name in ("data", "indices", "indptr"))
    points, centres = arrays[f"{before}support_points"], arrays[f"{before}points"]
    weights = sp.csr_matrix((data, indices, indptr), shape=(len(centres), len(points)))
    weights.check_format()
    table = _columns_of(words.columns, arrays, f"{before}place_").reindex(range(len(points)))
    return Support(words.kind, weights, table, points, centres, crs, covariates, words.is_weighed)


def window_words(model: Model) -> dict[str, Any] | None:
    """What `window_of` reads; None where the model is of no point pattern."""
    window = model.window
    if window is None:
        return None
    import shapely

    mesh = next(name for name, one in model.meshes.items() if one is window.mesh)
    domain = shapely.to_wkb(window.domain, hex=True)
    return {"domain": domain, "mesh": mesh, "has_covariates": window.has_covariates, "marks": window.marks}


def window_of(words: WindowWords | None, meshes: Mapping[str, Any]) -> Window | None:
    """What `window_words` has written."""
    if words is None:
        return None
    import shapely

    try:
        domain = shapely.from_wkb(words.domain)
    except shapely.errors.ShapelyError:
        domain = None
    if domain is None or "Polygon" not in domain.geom_type or words.mesh not in meshes:
        raise ValueError("its domain is no polygon on a mesh")
    return Window(domain, meshes[words.mesh], words.has_covariates, words.marks)


def table_of(
    columns: Mapping[str, str], arrays: Mapping[str, Any], crs: Any, coords: Any, before: str = ""
) -> pd.DataFrame:
    """The columns as they were, with the sites as geometry where no columns are coordinates."""
    table = _columns_of(columns, arrays, before)
    if f"{before}labels" in arrays:
        table.index = pd.Index(arrays[f"{before}labels"])
    if f"{before}points" not in arrays or coords is not None:
        return table
    import geopandas as gpd

    return gpd.GeoDataFrame(table, geometry=gpd.points_from_xy(*arrays[f"{before}points"].T), crs=crs)


def stored_parts(model: Model) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    """Words of what a model of several likelihoods is made of, None of one, and the arrays of its tables."""
    recipe = model.recipe
    if recipe is None:
        return None, {}
    arrays: dict[str, Any] = {}
    parts = []
    texts = [recipe.terms[name] for name in recipe.terms]
    shared = [c for text in texts for c in parse_formula(f"y ~ 0 + {text}", special_names()).explaining]
    if recipe.delta:  # whose parts have means, knots and levels of all rows, those of the first
        shared += [c for part in model.parts.values() for c in part.used_columns]
    for k, (o, part) in enumerate(zip(recipe.observations, model.parts.values())):
        named = dict.fromkeys([*part.used_columns, *(c for c in shared if c in part.table.columns)])
        own, columns = stored_table(part, named, f"part{k}_")
        arrays |= own
        parts.append(
            {
                "name": o.name, "formula": o.formula, "family": path_of(part.family), "link": part.family.link.name,
                "coords": None if o.coords is None else list(o.coords),
                "offset": o.offset if o.offset is None or isinstance(o.offset, str) else "given a row",
                "columns": columns,
                "crs": None if part.crs is None else part.crs.to_wkt(),
                "covariates": None if part.covariates is None else part.covariates.without_objects(),
                "support": support_words(part.support, named),
                "window": window_words(part),
                "dispformula": o.dispformula,
            }
        )  # fmt: skip
    return {"parts": parts, "terms": dict(recipe.terms), "delta": recipe.delta}, arrays


def recipe_of(
    parts: list[PartWords], terms: Mapping[str, str], delta: str, arrays: Mapping[str, Any], meshes: Mapping[str, Any]
) -> Recipe:
    """What `stored_parts` has written."""
    import pyproj

    observations = []
    for k, words in enumerate(parts):
        before = f"part{k}_"
        crs = None if words.crs is None else pyproj.CRS.from_user_input(words.crs)
        table = table_of(words.columns, arrays, crs, words.coords, before)
        observations.append(
            Observations(
                words.formula, table, family=read_family(words.family, words.link),
                coords=None if words.coords is None else (words.coords[0], words.coords[1]),
                exposure=arrays[f"{before}exposure"],
                offset=arrays[f"{before}offset"] if words.offset == "given a row" else words.offset,
                weights=arrays[f"{before}observation_weights"], name=words.name,
                areas=support_of(words.support, arrays, crs, restored(words.covariates), before),
                dispformula=words.dispformula, domain=window_of(words.window, meshes),
            )
        )  # fmt: skip
    return Recipe(tuple(observations), terms, delta, tuple(restored(words.covariates) for words in parts))
