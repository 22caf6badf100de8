"""The tables of a saved fit: the columns that its model uses, its sites, and those of several likelihoods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from geospde.families.registry import path_of, read_family
from geospde.formula.formula import parse_formula
from geospde.model.build import Model
from geospde.model.observations import Observations, Recipe
from geospde.results.saving.schema import PartWords
from geospde.survey.covariates.sites import restored
from geospde.terms.registry import special_names


def stored_table(model: Model, names: Iterable[str], before: str = "") -> tuple[dict[str, Any], dict[str, str]]:
    """Arrays of some columns, of offset, exposure, weights and sites, after a prefix; and what each column is."""
    arrays: dict[str, Any] = {
        f"{before}offset": model.offsets.beside_terms(model.table),
        f"{before}exposure": model.exposure,
        f"{before}observation_weights": model.weights,
    }
    if model.points is not None:
        arrays[f"{before}points"] = model.points
    columns: dict[str, str] = {}
    for k, column in enumerate(names):
        values = model.table[column]
        if isinstance(values.dtype, pd.CategoricalDtype):
            columns[column] = "ordered" if values.cat.ordered else "category"
            arrays[f"{before}column_{k}"] = values.cat.codes.to_numpy()
            arrays[f"{before}levels_{k}"] = np.asarray(values.cat.categories.tolist())
        else:
            kind = "number" if pd.api.types.is_numeric_dtype(values) else "text"
            columns[column] = kind
            text = values.to_numpy() if kind == "number" else values.astype(str).to_numpy(str)
            arrays[f"{before}column_{k}"] = text
    return arrays, columns


def table_of(
    columns: Mapping[str, str], arrays: Mapping[str, Any], crs: Any, coords: Any, before: str = ""
) -> pd.DataFrame:
    """The columns as they were, with the sites as geometry where no columns are coordinates."""
    found: dict[str, Any] = {}
    for k, (column, kind) in enumerate(columns.items()):
        values = arrays[f"{before}column_{k}"]
        if kind in ("category", "ordered"):
            levels = arrays[f"{before}levels_{k}"].tolist()
            found[column] = pd.Categorical.from_codes(values, categories=levels, ordered=kind == "ordered")
        else:
            found[column] = values
    table = pd.DataFrame(found)
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
    shared = [c for text in texts for c in parse_formula(f"y ~ 0 + {text}", special_names()).columns]
    for k, (o, part) in enumerate(zip(recipe.observations, model.parts.values())):
        named = dict.fromkeys([*part.used_columns, *(c for c in shared if c in part.table.columns and c != "y")])
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
            }
        )  # fmt: skip
    return {"parts": parts, "terms": dict(recipe.terms), "delta": recipe.delta}, arrays


def recipe_of(parts: list[PartWords], terms: Mapping[str, str], delta: str, arrays: Mapping[str, Any]) -> Recipe:
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
            )
        )  # fmt: skip
    return Recipe(tuple(observations), terms, delta, tuple(restored(words.covariates) for words in parts))
