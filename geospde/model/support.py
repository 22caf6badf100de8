"""Change of support: rows that are means or totals over polygons, as weights of places within them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from geospde.errors import InputError, RowsCalled
from geospde.families.base import Family
from geospde.families.gauss_hermite import normal_nodes
from geospde.families.links import Link
from geospde.mesh.trimesh import Mesh, Meshes
from geospde.model.covariates import with_covariates
from geospde.model.nonlinear import Nonlinear
from geospde.survey.covariates.base import Cells
from geospde.survey.covariates.raster import Raster
from geospde.survey.covariates.reading import read_covariates
from geospde.survey.covariates.sites import SiteCovariates
from geospde.survey.crs import check_of_one_crs
from geospde.text.words import did_you_mean, in_brief

Vector = NDArray[np.float64]
KINDS = ("mean", "total")
UNCOVERED = 1e-6  # share of an area that may lie outside the mesh: rounding error
FEWEST, MOST = 16, 200  # cells along the longer side of an area
STEP = 1e-4  # of the difference that a link's second derivative is taken by


@dataclass(frozen=True)
class Support:
    """Places within the areas of a table, and what each weighs in its row.

    Attributes
    ----------
    kind : {"mean", "total"}
    weights : (m, k) csr_matrix
        Of places in rows; those of a mean sum to 1.
    table : DataFrame
        One row per place: the columns of its area, and covariates that were taken there.
    points : (k, 2) array
    centres : (m, 2) array
        A place within each area.
    crs : pyproj.CRS or None
    covariates : SiteCovariates or None
        Where columns of the places came from.
    is_weighed : bool
        Whether a raster says what places weigh.
    """

    kind: str
    weights: sp.csr_matrix
    table: pd.DataFrame
    points: Vector
    centres: Vector
    crs: Any
    covariates: SiteCovariates | None = None
    is_weighed: bool = False

    @property
    def n(self) -> int:
        """Number of rows."""
        return int(self.weights.shape[0])

    def of_rows(self, rows: NDArray[np.bool_]) -> Support:
        """Of some rows, with the places in them."""
        weights = sp.csr_matrix(self.weights[np.flatnonzero(rows)])
        used = np.unique(weights.indices)
        table = self.table.iloc[used].reset_index(drop=True)
        return replace(
            self, weights=weights[:, used], table=table, points=self.points[used], centres=self.centres[rows]
        )

    def with_columns(self, columns: pd.DataFrame) -> Support:
        """With more columns, of one value a place."""
        return replace(self, table=pd.concat([self.table, columns], axis=1))

    def spread(self, value: Any) -> Any:
        """One value per row as one a place; names, numbers and nothing stay."""
        if value is None or isinstance(value, str) or np.ndim(value) == 0:
            return value
        if len(value) != self.n:
            raise InputError(f"offset must be a column's name or {self.n} finite numbers, one per row")
        return np.asarray(value)[self.area_of_place]

    def of_first(self, values: NDArray[Any]) -> NDArray[Any]:
        """Of values a place, that of the first place in each row."""
        first: NDArray[Any] = values[self.weights.indices[self.weights.indptr[:-1]]]
        return first

    @property
    def area_of_place(self) -> NDArray[np.intp]:
        """The row that each place is in, (k,)."""
        by_place = sp.csc_matrix(self.weights)
        return np.asarray(by_place.indices[by_place.indptr[:-1]], dtype=np.intp)

    def described(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows' table with the covariates of their places: means of numbers, of labels the first."""
        extra: dict[str, Any] = {}
        shares = sp.csr_matrix(sp.diags_array(1 / np.asarray(self.weights.sum(axis=1)).ravel()) @ self.weights)
        for name in self.table.columns:
            if name in table.columns:
                continue
            values = self.table[name]
            if pd.api.types.is_numeric_dtype(values):
                extra[name] = shares @ values.to_numpy(dtype=float)
            else:
                extra[name] = self.of_first(values.to_numpy())
        return table.assign(**extra)


@dataclass(frozen=True)
class Aggregate(Nonlinear):
    """The predictor of means or totals, where it is no linear function of the latent vector.

    ``g(W g^-1(A x + o))`` for the link g.

    Attributes
    ----------
    weights : (m, k) csr_matrix
    design : (k, n) csr_matrix
        Of the places.
    offset : (k,) array
    link : Link
    at : (n,) array or None
        Where the model's design is its tangent; None at zero.
    over : (k + m,) array or None
        Variances of the predictors of places, and of rows, of a posterior over which value and slope are averaged: the
        tangent of a mean over a bent curve lies off the curve. None at a point.
    """

    weights: sp.csr_matrix
    design: sp.csr_matrix
    offset: Vector
    link: Link
    at: Vector | None = None
    over: Vector | None = None

    def value(self, x: Vector) -> Vector:
        """The rows' predictors, (m,)."""
        return self.link.forward(self.weights @ self.link.inverse(self.design @ x + self.offset))

    def of_columns(self, selection: sp.csr_matrix) -> Aggregate:
        """Of a longer latent vector, of which `selection` takes this one."""
        return replace(self, design=sp.csr_matrix(self.design @ selection))

    def linearised(self, x: Vector) -> Aggregate:
        """The same, taken by its tangent at x."""
        return replace(self, at=x)

    def tangent(self, x: Vector) -> tuple[sp.csr_matrix, Vector]:
        """Design, (m, n), and offset, (m,), of the linear predictor that equals it to first order at x.

        Over a posterior of mean x it has the mean of the predictor, to second order, and the slope of its mean.
        """
        eta, places = self.design @ x + self.offset, self.weights.shape[1]
        sd = np.zeros(places) if self.over is None else np.sqrt(self.over[:places])
        nodes, shares = (np.zeros(1), np.ones(1)) if self.over is None else normal_nodes(9)
        at = eta + sd * nodes[:, None]
        value = self.link.forward(self.weights @ (shares @ self.link.inverse(at)))
        slopes = shares @ np.exp(self.link.log_derivative(at)), np.exp(-self.link.log_derivative(value))
        design = sp.csr_matrix(sp.diags_array(slopes[1]) @ (self.weights @ (sp.diags_array(slopes[0]) @ self.design)))
        if self.over is not None:
            bend = self.link.log_derivative(value + STEP) - self.link.log_derivative(value - STEP)
            value = value - 0.5 * bend / (2 * STEP) * self.over[places:]
        return design, value - design @ x

    def averaged(self, x: Vector, variances: Callable[[sp.csr_matrix], Vector]) -> Aggregate:
        """Averaged over a posterior of mean x, of which linear combinations have these variances."""
        of_places = variances(self.design)
        inner = replace(self, over=np.concatenate([of_places, np.zeros(self.weights.shape[0])]))
        return replace(self, over=np.concatenate([of_places, variances(inner.tangent(x)[0])]))

    @property
    def widths(self) -> Vector:
        """What it is averaged over."""
        return np.zeros(sum(self.weights.shape)) if self.over is None else self.over

    def of_widths(self, widths: Vector) -> Aggregate:
        """The same over those."""
        return replace(self, over=widths if widths.any() else None)


def read_support(
    areas: Any,
    formula: str,
    data: Any,
    family: Family,
    *,
    mesh: Meshes | None = None,
    coords: Any = None,
    covariates: Any = None,
) -> Support:
    """Lay places in the areas of a table.

    Without weights they are the parts that the mesh's triangles have in an area, which integrate a field on that mesh
    exactly; with a raster of weights cells about half as wide as those triangles, each with the raster's sum over it.

    Parameters
    ----------
    areas : {"mean", "total"} or dict
        What the response is of each row's polygon; ``{"kind": "mean", "weights": "population.tif"}``.
    formula : str
    data : GeoDataFrame
        One row per area; of a mean rows may be points, too.
    family : Family
    mesh : Mesh or dict of str to Mesh, optional
    coords : None
        Refused: places come as geometry.
    covariates : mapping, optional
        As of `geospde.fit`: taken at the places.

    Raises
    ------
    InputError
        For what is no polygon, or leaves the mesh; for a total of what has none.
    """
    import geopandas as gpd

    kind, weights = _read(areas, family)
    if coords is not None:
        raise InputError("areas are the geometry of a GeoDataFrame: leave coords out")
    if not isinstance(data, gpd.GeoDataFrame) or data.active_geometry_name is None:
        raise InputError("areas= takes polygons: give a GeoDataFrame, one row per area")
    shapes = np.asarray(data.geometry.array)
    finest = _finest(mesh)
    with RowsCalled(data.index):
        _check_shapes(shapes, kind)
        check_of_one_crs("areas", data.crs, getattr(finest, "crs", None))
        row, points, weight = (
            _pieces(shapes, finest) if weights is None else _weighed(shapes, finest, weights, data.crs)
        )
    columns = pd.DataFrame(data.drop(columns=data.active_geometry_name)).iloc[row].reset_index(drop=True)
    places = gpd.GeoDataFrame(columns, geometry=gpd.points_from_xy(*points.T), crs=data.crs)
    found = with_covariates(formula, places, covariates)
    row, weight = row[found.rows], weight[found.rows]
    sums = np.bincount(row, weights=weight, minlength=len(data))
    if not (sums > 0).all():
        empty = data.index[int(np.argmin(sums))]
        raise InputError("the area of {row} has no place with a weight and a value of every covariate", row=empty)
    matrix = sp.csr_matrix((weight, (row, np.arange(row.size))), shape=(len(data), row.size))
    if kind == "mean":
        matrix = sp.csr_matrix(sp.diags_array(1 / sums) @ matrix)
    centres = np.array([[p.x, p.y] for p in (shape.representative_point() for shape in shapes)])
    table = pd.DataFrame(found.table.drop(columns="geometry")).reset_index(drop=True)
    return Support(kind, matrix, table, points[found.rows], centres, data.crs, found.covariates, weights is not None)


def _read(areas: Any, family: Family) -> tuple[str, Any]:
    """Kind and weights."""
    given = dict(areas) if isinstance(areas, Mapping) else {"kind": areas}
    unknown = [key for key in given if key not in ("kind", "weights")]
    if unknown:
        raise InputError(f"areas has no key {unknown[0]!r}; {did_you_mean(unknown[0], ('kind', 'weights'), 'keys')}")
    kind = given.get("kind", "mean")
    if not isinstance(kind, str) or kind not in KINDS:
        remedy = "the polygons are the geometry of the data: give a GeoDataFrame with the responses"
        what = f"areas is 'mean' or 'total', what the response is of each polygon, not {in_brief(kind)}"
        raise InputError(what, remedy="" if isinstance(kind, str) else remedy)
    if family.is_pattern or family.takes_categories or not family.predicts_means:
        raise InputError(f"family {family.name!r} has no means of areas: its predictor is not that of a mean")
    if kind == "total" and np.isfinite(family.link.high):
        raise InputError(f"a response of family {family.name!r} is no total: its mean lies between 0 and 1")
    return kind, given.get("weights")


def _check_shapes(shapes: Any, kind: str) -> None:
    import shapely

    for k, shape in enumerate(shapes):
        if shape is None or shape.is_empty:
            raise InputError("{row} has no polygon", row=k)
        if shape.geom_type == "Point" and kind == "total":
            raise InputError("{row} is a point, which has no total: areas='mean' takes points, too", row=k)
        if shape.geom_type not in ("Polygon", "MultiPolygon", "Point"):
            raise InputError(f"areas= takes polygons: {{row}} is a {shape.geom_type}", row=k)
        if not shapely.is_valid(shape):
            raise InputError("the polygon of {row} crosses itself: repair it, as with make_valid()", row=k)


def _finest(mesh: Meshes | None) -> Any:
    """Of several meshes the one with most triangles."""
    if isinstance(mesh, Mapping):
        return max(map(_finest, mesh.values()), key=lambda one: len(one.triangles), default=None)
    if mesh is not None and not hasattr(mesh, "triangles"):
        raise InputError(f"mesh must be a Mesh, not a {type(mesh).__name__}")
    return mesh


Places = tuple[NDArray[np.intp], Vector, Vector]  # the row, place and weight of each


def _joined(parts: list[Places]) -> Places:
    rows, points, weights = zip(*parts)
    return np.concatenate(rows), np.vstack(points), np.concatenate(weights)


def _pieces(shapes: Any, mesh: Mesh) -> Places:
    """The parts of areas in triangles, or in cells without a mesh: centroid and area of each."""
    if mesh is None:
        return _joined([_in_boxes(k, shape, _boxes(shape, None)[1]) for k, shape in enumerate(shapes)])
    import shapely

    corners = np.asarray(mesh.vertices)[mesh.triangles]
    triangles = shapely.polygons(corners)
    tree = shapely.STRtree(triangles)
    row, triangle = tree.query(shapes, predicate="intersects")
    inside = tree.query(shapes, predicate="contains_properly")
    size = len(triangles)
    whole = np.isin(row * size + triangle, inside[0] * size + inside[1])
    parts = triangles[triangle]
    parts[~whole] = shapely.intersection(shapes[row[~whole]], parts[~whole])
    areas, points = shapely.area(parts), shapely.get_coordinates(shapely.centroid(parts))
    single = shapely.get_type_id(shapes) == 0
    total = shapely.area(shapes)
    missing = total - np.bincount(row, weights=areas, minlength=len(shapes))
    reached = np.bincount(row, minlength=len(shapes)) > 0
    bad = np.flatnonzero(np.where(single, ~reached, missing > UNCOVERED * total))
    if bad.size:
        share = 0.0 if single[bad[0]] else 1 - missing[bad[0]] / total[bad[0]]
        raise InputError(
            f"the mesh covers {100 * share:.1f} % of the area of {{row}} only", remedy="build it around all", row=bad[0]
        )
    first = np.r_[True, row[1:] != row[:-1]] if row.size else np.zeros(0, bool)  # a point lies in one of its triangles
    areas = np.where(single[row], np.where(first, 1.0, 0.0), areas)
    some = areas > 1e-12 * np.where(single, 1.0, total)[row]
    return row[some], points[some], areas[some]


def _boxes(shape: Any, wide: float | None) -> tuple[Cells, Any]:
    """Square cells over an area, `wide` each or as many as there may be, and their outlines."""
    import shapely

    west, south, east, north = shape.bounds
    longest = max(east - west, north - south)
    count = FEWEST if wide is None else int(np.clip(np.ceil(longest / wide), FEWEST, MOST))
    side = longest / count
    shown = max(1, int(np.ceil((north - south) / side - 1e-9))), max(1, int(np.ceil((east - west) / side - 1e-9)))
    cells = Cells(west, south, side, side, np.ones(shown, dtype=bool))
    x, y = (cells.centres - side / 2).T
    return cells, shapely.box(x, y, x + side, y + side)


def _in_boxes(k: int, shape: Any, boxes: Any) -> Places:
    """Parts of an area in cells; a point is one part."""
    import shapely

    if shape.geom_type == "Point":
        return np.array([k]), np.array([[shape.x, shape.y]]), np.ones(1)
    shapely.prepare(shape)
    parts = shapely.intersection(shape, boxes)
    areas = shapely.area(parts)
    some = areas > 0
    return np.full(int(some.sum()), k), shapely.get_coordinates(shapely.centroid(parts[some])), areas[some]


def _weighed(shapes: Any, mesh: Mesh, weights: Any, crs: Any) -> Places:
    """Parts of areas in cells, with the raster's sum over each."""
    raster = read_covariates({"weights": weights})[0]
    if not isinstance(raster, Raster):
        raise InputError("the weights of areas are a raster, such as counts of people")
    import shapely

    wide = None if mesh is None else 0.5 * float(np.sqrt(2 * np.median(np.asarray(mesh.areas)[mesh.inner])))
    found = []
    for k, shape in enumerate(shapes):
        if shape.geom_type == "Point":
            found.append(_in_boxes(k, shape, None))
            continue
        cells, boxes = _boxes(shape, wide)
        parts = shapely.intersection(shape, boxes)
        shares = shapely.area(parts) / shapely.area(boxes)
        totals = np.maximum(raster.totals_in_cells(cells, crs), 0.0) * shares
        some = totals > 0
        if not some.any():
            raise InputError(f"{raster.source} weighs nothing in the area of {{row}}", row=k)
        centroids = shapely.get_coordinates(shapely.centroid(parts[some]))
        found.append((np.full(int(some.sum()), k), centroids, totals[some]))
    return _joined(found)
