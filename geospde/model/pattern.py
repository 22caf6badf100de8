"""A point pattern as a table: its points, then the places of integration, with weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.formula.parser import parse_sides
from geospde.formula.syntax import Symbol, symbols
from geospde.formula.table import coordinates, kind_of, label, refuse_missing
from geospde.mesh.trimesh import Meshes
from geospde.model.window import PLACES, Window
from geospde.survey.polygons import as_region

Vector = NDArray[np.float64]
LABEL = "points"


class Pattern(NamedTuple):
    """What a point pattern's fit is of.

    Attributes
    ----------
    formula : str
        With a response, the column of ones and zeros.
    table : DataFrame or GeoDataFrame
        Points, then the terms of the integral that have a weight, at vertices of the mesh.
    places : (m, 2) array
        Where covariates are taken: nodes beyond the domain take them at its border.
    exposure : (m,) array
        Zero of points, of a vertex the integral of its basis function, or its part of one, over the domain.
    window : Window
    """

    formula: str
    table: Any
    places: Vector
    exposure: Vector
    window: Window


def pattern(
    formula: str, data: Any, domain: Any, mesh: Meshes | None, coords: tuple[str, str] | None, filled: Any = ()
) -> Pattern:
    """Lay a point pattern out as rows.

    Parameters
    ----------
    formula : str
        Without a response, or with one name for it; the name of a column of labels makes them marks, and terms may have
        them.
    data : DataFrame or GeoDataFrame
        One row per point.
    domain : polygons
        Where points would have been seen.
    mesh : Mesh
        At whose vertices the intensity is integrated, or between them.
    coords : (str, str), optional
        Coordinate columns, where the data have no geometry.
    filled : mapping or sequence
        Names of covariates that are known all over the domain.

    Raises
    ------
    InputError
        Where there is no domain, mesh or place; for points outside of the domain; for a covariate that is known at the
        points alone.
    """
    import shapely

    formula = f"{LABEL} {formula}" if formula.lstrip().startswith("~") else formula
    left, right = parse_sides(formula)
    if not isinstance(left, Symbol):
        raise InputError(f"the response of a point pattern is its places: write '~ terms', not {formula!r}")
    mesh = next(iter(mesh.values())) if isinstance(mesh, Mapping) and mesh else mesh
    if mesh is None or isinstance(mesh, Mapping):
        raise InputError("a point pattern needs a mesh, at whose vertices its intensity is integrated: mesh=")
    points, crs = coordinates(data, coords)
    if points is None:
        raise InputError("a point pattern needs places: give a GeoDataFrame, or coords=('x', 'y')")
    region = as_region(_in_crs(domain, crs), "the domain")
    if "Polygon" not in region.geom_type:
        raise InputError("the domain of a point pattern is a polygon, in which points would have been seen")
    outside = np.flatnonzero(~shapely.intersects_xy(shapely.buffer(region, 1e-9 * region.length), *points.T))
    if outside.size:
        x, y = points[outside[0]]
        more = f" ({outside.size} such rows)" if outside.size > 1 else ""
        raise InputError(
            f"{{row}} lies outside of the domain, at {x:g}, {y:g}{more}: drop it", row=data.index[outside[0]]
        )
    named = dict.fromkeys(symbols(right))
    marks = _marks(data, left.name, named)
    if marks is not None:
        formula = f"{LABEL} {formula[formula.index('~') :]}"
    known = {str(one if isinstance(filled, Mapping) else getattr(one, "name", one)) for one in filled or ()}
    place = set(coords or ())
    alone = [name for name in named if name in data.columns and name not in known | place | {left.name}]
    if alone:
        raise InputError(
            f"{alone[0]!r} is known at the points alone, and the integral of the intensity is over all of the domain",
            remedy=f"give a raster, as in covariates={{{alone[0]!r}: 'file.tif'}}",
        )
    column = None if marks is None else left.name
    window = Window(region, mesh, has_covariates=any(name in known for name in named), marks=column)
    nodes = window.nodes
    weights = nodes.weights(region)
    there = np.flatnonzero(weights > 0)
    levels: list[Any] = [None] if marks is None else sorted(set(marks), key=list(marks.dtype.categories).index)
    response = np.repeat([1.0, 0.0], [len(points), len(levels) * len(there)])
    every, places = (np.vstack([points, np.tile(at[there], (len(levels), 1))]) for at in (nodes.vertices, nodes.places))
    clamped = places.copy()
    off = len(points) + np.flatnonzero(~shapely.intersects_xy(region, *places[len(points) :].T))
    nearest = shapely.shortest_line(region, shapely.points(places[off]))
    clamped[off] = shapely.get_coordinates(shapely.get_point(nearest, 0))
    table = pd.DataFrame({LABEL if marks is not None else left.name: response, **dict(zip(PLACES, places.T))})
    if marks is not None:
        table[left.name] = pd.Categorical([*marks, *(one for one in levels for _ in there)], dtype=marks.dtype)
    if coords is None:
        import geopandas as gpd

        table = gpd.GeoDataFrame(table, geometry=gpd.points_from_xy(*every.T), crs=crs)
    else:
        table[list(coords)] = every
    exposure = np.concatenate([np.zeros(len(points)), np.tile(weights[there], len(levels))])
    return Pattern(formula, table, clamped, exposure, window)


def _marks(data: Any, name: str, named: Any) -> Any:
    """Labels that tell points apart, categorical; None where the left side is a name for the pattern alone."""
    if name not in data.columns:
        return None
    values = data[name]
    if kind_of(values, name) == "number":
        raise InputError(
            f"{name!r} is a number measured at the points, and no label that tells points apart",
            remedy=f"write '~ terms' for their places, and beside them gs.Observations('{name} ~ ...'), as the page on "
            "several likelihoods shows",
        )
    refuse_missing(values, name)
    if name not in named:
        raise InputError(
            f"{name!r} tells points apart, and no term has it: as many of each would be expected everywhere",
            remedy=f"write '~ terms' for all points together, or '{name} ~ {name} + ...'",
        )
    if isinstance(values.dtype, pd.CategoricalDtype):
        return values.cat.remove_unused_categories()
    texts = values.map(label)
    return texts.astype(pd.CategoricalDtype(sorted(set(texts))))


def _in_crs(domain: Any, crs: Any) -> Any:
    """The domain in the points' CRS, where both have one."""
    if domain is None:
        raise InputError("a point pattern needs domain=, the polygon in which points would have been seen")
    own = getattr(domain, "crs", None)
    return domain.to_crs(crs) if own is not None and crs is not None and hasattr(domain, "to_crs") else domain


def refuse_rows(family: str, **given: Any) -> None:
    """Refuse what other data have a row: a pattern's rows are points and places of integration."""
    for name, value in given.items():
        if value is not None:
            raise InputError(
                f"family {family!r} takes no {name}=: effort and thinning are offsets that are known all over the "
                "domain, as in + offset(log(effort)) with effort among the covariates"
            )


def refuse_marks(window: Window) -> None:
    """Refuse marks among several likelihoods, where the left side is what tables call a likelihood."""
    if window.marks is not None:
        raise InputError(
            f"{window.marks!r} are marks, which a pattern among several likelihoods does not take",
            remedy="write '~ terms', and a gs.Observations for the rows of each label",
        )
