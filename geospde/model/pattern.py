"""A point pattern as a table: its points, then the places of integration, with weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.formula.parser import parse_sides
from geospde.formula.syntax import Symbol, symbols
from geospde.formula.table import coordinates
from geospde.mesh.cover import basis_integrals
from geospde.mesh.trimesh import Mesh
from geospde.survey.polygons import as_region

Vector = NDArray[np.float64]
LABEL = "points"

PLACES = ("covariates of x", "covariates of y")
"""Columns of the places where rows of a pattern take covariates."""

TERMS = 100_000
"""Of an integral beside covariates, about: triangles are halved that often, thrice at most and once at least."""


@dataclass(frozen=True)
class Nodes:
    """Terms of the sum that the integral of an intensity is.

    The field is taken at the vertices of its mesh, exp of it being straight between them (Simpson et al. 2016, as
    R-INLA and inlabru do). Covariates and effort are taken at those of a finer mesh, and one that lies between vertices
    has a term for each of them.

    Attributes
    ----------
    mesh : Mesh
        At whose vertices covariates are taken.
    node : (k,) array of int
        Which of them.
    vertices : (k, 2) array
        Where the field is taken.
    share : (k,) array
        The basis function of that vertex, at the node.
    """

    mesh: Mesh
    node: NDArray[np.intp]
    vertices: Vector
    share: Vector

    @classmethod
    def of(cls, mesh: Mesh, has_covariates: bool) -> Nodes:
        """The vertices of a field's mesh, or beside covariates finer nodes."""
        if not has_covariates:
            return cls(mesh, np.arange(mesh.n_vertices), mesh.vertices, np.ones(mesh.n_vertices))
        fine = mesh.refined()
        for halvings in (2, 3):
            if 2 * 4**halvings * mesh.n_vertices <= TERMS:
                fine = fine.refined()
        basis = mesh.basis(fine.vertices).tocoo()
        real = basis.data > 1e-9  # rounding leaves something of a vertex that a node is not between
        return cls(fine, basis.row[real], mesh.vertices[basis.col[real]], basis.data[real])

    @property
    def places(self) -> Vector:
        """Where covariates are taken, (k, 2)."""
        return np.asarray(self.mesh.vertices[self.node])

    def weights(self, region: Any) -> Vector:
        """What each term counts in the integral over a polygon, (k,); they sum to its area."""
        return np.asarray(self.share * basis_integrals(self.mesh, region)[self.node])


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
    """

    formula: str
    table: Any
    places: Vector
    exposure: Vector


def pattern(
    formula: str, data: Any, domain: Any, mesh: Any, coords: tuple[str, str] | None, filled: Any = ()
) -> Pattern:
    """Lay a point pattern out as rows.

    Parameters
    ----------
    formula : str
        Without a response, or with one name for it.
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
        raise InputError(f"row {outside[0]} lies outside of the domain, at {x:g}, {y:g}{more}: drop it")
    named = dict.fromkeys(symbols(right))
    known = {str(one if isinstance(filled, Mapping) else getattr(one, "name", one)) for one in filled or ()}
    place = set(coords or ())
    alone = [name for name in named if name in data.columns and name not in known | place]
    if alone:
        raise InputError(
            f"{alone[0]!r} is known at the points alone, and the integral of the intensity is over all of the domain",
            remedy=f"give a raster, as in covariates={{{alone[0]!r}: 'file.tif'}}",
        )
    nodes = Nodes.of(mesh, has_covariates=any(name in known for name in named))
    weights = nodes.weights(region)
    there = np.flatnonzero(weights > 0)
    response = np.repeat([1.0, 0.0], [len(points), len(there)])
    every, places = (np.vstack([points, at[there]]) for at in (nodes.vertices, nodes.places))
    clamped = places.copy()
    off = len(points) + np.flatnonzero(~shapely.intersects_xy(region, *places[len(points) :].T))
    nearest = shapely.shortest_line(region, shapely.points(places[off]))
    clamped[off] = shapely.get_coordinates(shapely.get_point(nearest, 0))
    table = pd.DataFrame({left.name: response, **dict(zip(PLACES, places.T))})
    if coords is None:
        import geopandas as gpd

        table = gpd.GeoDataFrame(table, geometry=gpd.points_from_xy(*every.T), crs=crs)
    else:
        table[list(coords)] = every
    return Pattern(formula, table, clamped, np.concatenate([np.zeros(len(points)), weights[there]]))


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
