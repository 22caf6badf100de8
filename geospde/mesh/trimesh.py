"""`Mesh`: a conforming triangulation of a plane domain, as the later steps see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from geospde.errors import InputError
from geospde.mesh.arrays import (
    checked_marks,
    checked_triangulation,
    checked_values,
    frozen,
    point_array,
    row_of,
    signed_areas,
)
from geospde.mesh.inputs import read_crs, unit_of
from geospde.mesh.quality import Quality
from geospde.mesh.storage import read_gpkg, write_gpkg
from geospde.text.keywords import answers_keywords
from geospde.text.notebook import card, facts, picture
from geospde.text.systems import crs_name
from geospde.text.words import coordinate, in_brief, length, lengths, listed, number

if TYPE_CHECKING:
    from os import PathLike

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray
    from pyproj import CRS
    from shapely import MultiPolygon, Polygon


@answers_keywords
@dataclass(frozen=True, eq=False, repr=False)
class Mesh:
    """A triangular mesh that does not change after it is made.

    Parameters
    ----------
    vertices : array_like, shape (n, 2)
        Coordinates, in the units of `crs`. Their order is kept.
    triangles : array_like of int, shape (t, 3)
        Vertex numbers from 0. Clockwise triangles are turned silently.
    crs : optional
        Anything that `geospde.survey.crs.parse_crs` takes: ``"EPSG:32632"``, WKT, ``"local:m"``, a `pyproj.CRS`.
    inner : array_like of bool, shape (t,), optional
        Which triangles lie in the inner zone; by default all do. The default prior of a field's range
        goes by its area.
    barrier : array_like of bool, shape (t,), optional
        Which triangles are a barrier, that fields of ``spde(mesh, barrier=0.1)`` go around; None where none was
        thought of.
    values : dict of str to array_like, shape (n,), optional
        Covariates at the vertices, for fields whose range or sigma depends on them.

    Raises
    ------
    InputError
        If the arrays are no conforming triangulation: a wrong shape, a value that is not finite, an index
        out of range, a vertex given twice or used by no triangle, a triangle without area, or one that
        overlaps another along an edge.

    Examples
    --------
    >>> import geospde as gs
    >>> mesh = gs.Mesh([[0, 0], [1, 0], [1, 1], [0, 1]], [[0, 1, 2], [0, 2, 3]])
    >>> mesh
    Mesh(4 vertices, 2 triangles, edges 1 to 1.41, no CRS)
    >>> mesh.areas
    array([0.5, 0.5])
    >>> mesh.locate([[0.9, 0.1], [2, 2]])
    array([ 0, -1])
    >>> mesh.basis([[0.5, 0.25]]).toarray()
    array([[0.5 , 0.25, 0.25, 0.  ]])
    """

    vertices: NDArray[np.float64]
    triangles: NDArray[np.int64]
    crs: CRS | None = None
    inner: NDArray[np.bool_] = None  # type: ignore[assignment]  # filled in when the mesh is made
    barrier: NDArray[np.bool_] | None = None
    values: Mapping[str, NDArray[np.float64]] | None = None

    if TYPE_CHECKING:  # arrays are accepted in any form, and held as above

        def __init__(
            self,
            vertices: ArrayLike,
            triangles: ArrayLike,
            crs: Any = None,
            inner: ArrayLike | None = None,
            barrier: ArrayLike | None = None,
            values: Mapping[str, ArrayLike] | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        vertices, triangles = checked_triangulation(self.vertices, self.triangles)
        inner = np.ones(len(triangles), bool) if self.inner is None else np.array(self.inner, dtype=bool)
        if inner.shape != (len(triangles),):
            raise InputError(
                f"inner must have one value for each of {len(triangles)} triangles, not shape {inner.shape}"
            )
        barrier = None if self.barrier is None else checked_marks(self.barrier, len(triangles))
        crs = None if self.crs is None else read_crs(self.crs)
        own = {"vertices": vertices, "triangles": triangles, "crs": crs, "inner": inner, "barrier": barrier}
        for name, value in own.items():
            object.__setattr__(self, name, frozen(value) if isinstance(value, np.ndarray) else value)
        if self.values is not None:
            object.__setattr__(self, "values", checked_values(self.values, len(vertices)))

    def __repr__(self) -> str:
        short, long = self.edge_lengths.min(), self.edge_lengths.max()
        crs = "no CRS" if self.crs is None else crs_name(self.crs)
        size = f"{self.n_vertices} vertices, {self.n_triangles} triangle{'s' if self.n_triangles > 1 else ''}"
        edges = " to ".join(number(float(f"{end:.3g}")) for end in (short, long))
        return f"Mesh({size}, edges {edges}, {crs})"

    def _repr_html_(self) -> str:
        """Show it in a notebook: its size, its edges and angles, and a picture."""
        from geospde.plots.thumbnails import mesh_png

        quality = self.quality()
        rows = {"angles": f"{quality.min_angle:.1f}° to {quality.max_angle:.1f}°"}
        for zone, edges in (("inner", quality.inner_edges), ("outer", quality.outer_edges)):
            if edges:
                low, middle, high = edges
                unit = unit_of(self.crs)
                rows[f"{zone} edges"] = f"{lengths([low, high], unit)}, median {length(middle, unit)}"
        rows["coordinates"] = "no CRS" if self.crs is None else crs_name(self.crs)
        size = f"{number(self.n_vertices)} vertices, {number(self.n_triangles)} triangles"
        return card("Mesh", size, facts(rows), picture(mesh_png(self), "The triangles of the mesh"))

    # -- what it is made of ---------------------------------------------------------------------------------

    @property
    def n_vertices(self) -> int:
        """Number of vertices."""
        return len(self.vertices)

    @property
    def n_triangles(self) -> int:
        """Number of triangles."""
        return len(self.triangles)

    @cached_property
    def _topology(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """`edges`, `triangle_edges`, and the triangles at each edge, shape (e, 2), padded with -1."""
        corners = self.triangles[:, [[1, 2], [2, 0], [0, 1]]].reshape(-1, 2)
        key = corners.min(axis=1) * self.n_vertices + corners.max(axis=1)
        unique, of_side = np.unique(key, return_inverse=True)
        edges = np.column_stack(np.divmod(unique, self.n_vertices))
        order = np.argsort(of_side, kind="stable")
        first = np.searchsorted(of_side[order], np.arange(len(unique)))
        sides = np.append(order // 3, -1)
        at = np.full((len(unique), 2), -1)
        at[:, 0] = sides[first]
        shared = np.bincount(of_side) == 2
        at[shared, 1] = sides[first[shared] + 1]
        return frozen(edges), frozen(of_side.reshape(-1, 3)), frozen(at)

    @property
    def edges(self) -> NDArray[np.int64]:
        """Every edge once, as vertex numbers in rising order, shape (e, 2)."""
        return self._topology[0]

    @property
    def triangle_edges(self) -> NDArray[np.int64]:
        """Edge numbers of each triangle, shape (t, 3); the i-th edge is opposite the i-th corner."""
        return self._topology[1]

    @cached_property
    def neighbours(self) -> NDArray[np.int64]:
        """Triangle beyond the edge opposite each corner, shape (t, 3); -1 at the boundary."""
        beside = self._topology[2][self.triangle_edges]
        own = np.arange(self.n_triangles)[:, None]
        return frozen(np.where(beside[..., 0] == own, beside[..., 1], beside[..., 0]))

    @cached_property
    def boundary_edges(self) -> NDArray[np.int64]:
        """Edges with one triangle, shape (b, 2), running with the domain on their left."""
        corner, at = np.nonzero(self.neighbours.T < 0)
        return frozen(np.column_stack([self.triangles[at, (corner + 1) % 3], self.triangles[at, (corner + 2) % 3]]))

    @cached_property
    def boundary_vertices(self) -> NDArray[np.int64]:
        """Vertices on the boundary, in rising order."""
        return frozen(np.unique(self.boundary_edges))

    @cached_property
    def boundary(self) -> Polygon | MultiPolygon:
        """The domain that the mesh covers."""
        import shapely

        # Rings can be read off the boundary edges, which meet only at their ends: far quicker than a union.
        rings = shapely.polygonize(shapely.linestrings(self.vertices[self.boundary_edges]))
        inside = self.locate(shapely.get_coordinates(shapely.point_on_surface(rings.geoms))) >= 0
        return shapely.union_all(np.array(rings.geoms)[inside])

    # -- measures -------------------------------------------------------------------------------------------

    @cached_property
    def areas(self) -> NDArray[np.float64]:
        """Area of each triangle."""
        return frozen(signed_areas(self.vertices, self.triangles))

    @cached_property
    def edge_lengths(self) -> NDArray[np.float64]:
        """Length of each of `edges`."""
        return frozen(np.hypot(*(self.vertices[self.edges[:, 1]] - self.vertices[self.edges[:, 0]]).T))

    @cached_property
    def angles(self) -> NDArray[np.float64]:
        """Angle at each corner of each triangle, in degrees, shape (t, 3)."""
        p = self.vertices[self.triangles]
        to_next, to_last = np.roll(p, -1, axis=1) - p, np.roll(p, 1, axis=1) - p
        cross = to_next[..., 0] * to_last[..., 1] - to_next[..., 1] * to_last[..., 0]
        return frozen(np.degrees(np.arctan2(cross, (to_next * to_last).sum(axis=-1))))

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Smallest x, smallest y, largest x, largest y."""
        low, high = self.vertices.min(axis=0), self.vertices.max(axis=0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])

    @property
    def diameter(self) -> float:
        """Twice the largest distance of a vertex from the middle of the bounding box (fmesher's measure)."""
        middle = (self.vertices.min(axis=0) + self.vertices.max(axis=0)) / 2
        return float(2 * np.hypot(*(self.vertices - middle).T).max())

    def quality(self) -> Quality:
        """Angles, edge lengths and shapes in numbers.

        Examples
        --------
        >>> import geospde as gs
        >>> gs.Mesh([[0, 0], [1, 0], [1, 1], [0, 1]], [[0, 1, 2], [0, 2, 3]]).quality().min_angle
        45.0
        """
        return Quality.of(self)

    # -- points in it ---------------------------------------------------------------------------------------

    def locate(self, points: ArrayLike) -> NDArray[np.int64]:
        """Triangle that holds each point, -1 outside.

        A point on an edge belongs to one of its triangles. Rounding is forgiven: about 1e-9 of a triangle's
        height, more where the coordinates themselves carry fewer digits.

        Parameters
        ----------
        points : array_like, shape (m, 2)
            Coordinates, or a GeoDataFrame or GeoSeries of points.

        Returns
        -------
        numpy.ndarray of int, shape (m,)
        """
        return self.barycentric(points)[0]

    def barycentric(self, points: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Triangle that holds each point, and the point's weights at its three corners.

        Parameters
        ----------
        points : array_like, shape (m, 2)
            Coordinates, or a GeoDataFrame or GeoSeries of points.

        Returns
        -------
        triangle : numpy.ndarray of int, shape (m,)
            -1 for a point outside the mesh.
        weights : numpy.ndarray, shape (m, 3)
            Not negative; each row sums to 1 (to 0 outside the mesh).

        Examples
        --------
        >>> import geospde as gs
        >>> mesh = gs.Mesh([[0, 0], [1, 0], [0, 1]], [[0, 1, 2]])
        >>> mesh.barycentric([[0.25, 0.25]])
        (array([0]), array([[0.5 , 0.25, 0.25]]))
        """
        from geospde.mesh.locate import search

        return search(self._finder, point_array(points, self.crs))

    @cached_property
    def _finder(self) -> Any:
        from geospde.mesh.locate import Finder

        return Finder.over(self.vertices, self.triangles)

    def basis(self, points: ArrayLike, outside: str = "raise") -> sparse.csr_array:
        """Value of every vertex's piecewise linear basis function at every point.

        Parameters
        ----------
        points : array_like, shape (m, 2)
            Coordinates, or a GeoDataFrame or GeoSeries of points.
        outside : {"raise", "zero"}
            What a point outside the mesh gets: an error, or a row of zeros.

        Returns
        -------
        scipy.sparse.csr_array, shape (m, n)
            Rows sum to one. Field values w at the vertices interpolate to ``basis(points) @ w``.

        Raises
        ------
        InputError
            If a point lies outside and `outside` is ``"raise"``; it says how many, and the first.

        Examples
        --------
        >>> import geospde as gs
        >>> mesh = gs.Mesh([[0, 0], [1, 0], [0, 1]], [[0, 1, 2]])
        >>> mesh.basis([[0.5, 0.5]]) @ [0.0, 1.0, 3.0]
        array([2.])
        """
        if outside not in ("raise", "zero"):
            raise InputError(f"outside must be 'raise' or 'zero', not {outside!r}")
        given, points = points, point_array(points, self.crs)
        triangle, weights = self.barycentric(points)
        lost = triangle < 0
        if outside == "raise" and lost.any():
            x, y = map(coordinate, points[np.argmax(lost)])
            raise InputError(
                f"{lost.sum()} of {len(points)} points lie outside the mesh, the first is {{row}} ({x}, {y}); "
                "enlarge the mesh (offset, convex) or drop them",
                row=row_of(given, lost),
            )
        columns = self.triangles[triangle]
        columns[lost] = 0
        starts = np.arange(0, 3 * len(points) + 1, 3)
        matrix = sparse.csr_array((weights.ravel(), columns.ravel(), starts), shape=(len(points), self.n_vertices))
        matrix.sort_indices()
        matrix.eliminate_zeros()
        return matrix

    # -- other meshes, pictures, files ----------------------------------------------------------------------

    def with_values(self, **values: ArrayLike) -> Mesh:
        """The same mesh with these values at its vertices, besides those that it has.

        Parameters
        ----------
        values : array_like, shape (n,)
            By name, in the order of `vertices`.

        Raises
        ------
        InputError
            For values that are not a finite number a vertex.

        Examples
        --------
        >>> import geospde as gs
        >>> mesh = gs.Mesh([[0, 0], [1, 0], [0, 1]], [[0, 1, 2]]).with_values(elev=[10, 20, 30])
        >>> mesh.values["elev"]
        array([10., 20., 30.])
        """
        return replace(self, values=dict(self.values or {}) | values)  # type: ignore[arg-type]  # read when it is made

    def refined(self) -> Mesh:
        """Split every triangle into four at the middles of its edges; the old vertices come first.

        Examples
        --------
        >>> import geospde as gs
        >>> gs.Mesh([[0, 0], [1, 0], [0, 1]], [[0, 1, 2]]).refined()
        Mesh(6 vertices, 4 triangles, edges 0.5 to 0.707, no CRS)
        """
        middles = self.vertices[self.edges].mean(axis=1)
        a, b, c = self.triangles.T
        bc, ca, ab = (self.triangle_edges + self.n_vertices).T
        children = np.stack([[a, ab, ca], [b, bc, ab], [c, ca, bc], [ab, bc, ca]])
        triangles = children.transpose(2, 0, 1).reshape(-1, 3)
        barrier = None if self.barrier is None else np.repeat(self.barrier, 4)
        values = None
        if self.values is not None:
            values = {k: np.concatenate([v, v[self.edges].mean(axis=1)]) for k, v in self.values.items()}
        vertices = np.vstack([self.vertices, middles])
        return Mesh(vertices, triangles, self.crs, np.repeat(self.inner, 4), barrier, values)

    def plot(
        self,
        ax: Axes | None = None,
        *,
        sites: Any = None,
        edge_color: str = "#5b7a95",
        linewidth: float | None = None,
    ) -> Axes:
        """Draw the triangles, the two zones apart, and the sites if given; see `geospde.plots.mesh`."""
        from geospde.plots.mesh import plot_mesh

        return plot_mesh(self, ax, sites=sites, edge_color=edge_color, linewidth=linewidth)

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Everything in plain arrays, fit for `numpy.savez`; `from_arrays` reads them.

        Examples
        --------
        >>> import geospde as gs
        >>> mesh = gs.Mesh([[0, 0], [1, 0], [0, 1]], [[0, 1, 2]])
        >>> sorted(mesh.to_arrays())
        ['crs', 'inner', 'triangles', 'vertices']
        >>> gs.Mesh.from_arrays(mesh.to_arrays())
        Mesh(3 vertices, 1 triangle, edges 1 to 1.41, no CRS)
        """
        crs = "" if self.crs is None else self.crs.to_wkt()
        more: dict[str, NDArray[Any]] = {} if self.barrier is None else {"barrier": self.barrier}
        for name, values in (self.values or {}).items():
            more[f"value {name}"] = values
        return {
            "vertices": self.vertices,
            "triangles": self.triangles,
            "inner": self.inner,
            "crs": np.array(crs),
            **more,
        }

    @classmethod
    def from_arrays(cls, arrays: Any) -> Mesh:
        """Read a mesh from the mapping that `to_arrays` makes (a dict, or an open npz file).

        Raises
        ------
        InputError
            For what is no mapping, and for one that lacks an array.
        """
        if not isinstance(arrays, Mapping):
            raise InputError(f"a mesh is read from the mapping that to_arrays() makes, not {in_brief(arrays)}")
        missing = [name for name in ("vertices", "triangles", "inner", "crs") if name not in arrays]
        if missing:
            raise InputError(f"the arrays of a mesh lack {listed(missing)}: to_arrays() makes them all")
        barrier = arrays["barrier"] if "barrier" in arrays else None
        values = {name.removeprefix("value "): arrays[name] for name in arrays if name.startswith("value ")}
        crs = str(arrays["crs"]) or None
        return cls(arrays["vertices"], arrays["triangles"], crs, arrays["inner"], barrier, values or None)

    def to_gpkg(self, path: str | PathLike[str]) -> None:
        """Write layers ``triangles`` and ``vertices`` to a GeoPackage; see `geospde.mesh.storage`."""
        write_gpkg(self, path)

    @classmethod
    def from_gpkg(cls, path: str | PathLike[str]) -> Mesh:
        """Read what `to_gpkg` wrote: the same arrays to the last bit, and the same CRS."""
        return cls(*read_gpkg(path))


Meshes = Mesh | Mapping[str, Mesh]
"""What a formula calls ``mesh``, or several by their names."""
