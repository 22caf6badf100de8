"""What the rows of a point pattern are of: its domain, its marks, and patterns drawn in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from geospde.errors import InputError
from geospde.mesh.cover import basis_integrals
from geospde.mesh.trimesh import Mesh

Vector = NDArray[np.float64]

PLACES = ("covariates of x", "covariates of y")
"""Columns of the places where rows of a pattern take covariates."""

MOST = 10_000_000
"""Points of a drawn pattern: more are a mistake in its parameters."""
ROUNDS = 1000

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


@dataclass(frozen=True)
class Window:
    """Where points of a pattern would have been seen.

    Attributes
    ----------
    domain : Polygon or MultiPolygon
    mesh : Mesh
        Of the field.
    has_covariates : bool
        Whether the intensity is integrated by finer nodes than the vertices of the mesh.
    marks : str, optional
        The column of labels that tells points apart.
    """

    domain: Any = field(repr=False)
    mesh: Mesh = field(repr=False)
    has_covariates: bool
    marks: str | None = None

    @property
    def nodes(self) -> Nodes:
        """Where the intensity is integrated."""
        return Nodes.of(self.mesh, self.has_covariates)

    def draw(self, model: Any, eta: Vector, rng: np.random.Generator) -> pd.DataFrame:
        """Draw a pattern at the predictors of the rows, exactly of the intensity that the rows integrate.

        Its number is Poisson; each point belongs to a term of the integral, and lies where the basis function of the
        term's node is dense, within the domain.

        Raises
        ------
        InputError
            For more points than anyone has.
        """
        rates = model.likelihood.exposure * np.exp(np.minimum(eta, 700.0))
        total = float(rates.sum())
        if not total <= MOST:
            raise InputError(f"the pattern would have {total:.3g} points: its intercept or its field is too large")
        rows = rng.choice(len(rates), size=rng.poisson(total), p=rates / total) if total > 0 else np.zeros(0, int)
        places = self._within(model.table[list(PLACES)].to_numpy(dtype=float)[rows], rng)
        table = model.table[[self.marks]].iloc[rows].reset_index(drop=True) if self.marks else pd.DataFrame()
        if model.coords is not None or model.crs is None:
            return pd.DataFrame(dict(zip(model.coords or ("x", "y"), places.T)), copy=True).join(table)
        import geopandas as gpd

        return gpd.GeoDataFrame(table, geometry=gpd.points_from_xy(*places.T), crs=model.crs)

    def _within(self, nodes: Vector, rng: np.random.Generator) -> Vector:
        """Places of the density of the basis functions of nodes, within the domain."""
        import shapely
        from scipy.spatial import cKDTree

        mesh, out = self.nodes.mesh, nodes.copy()
        if not len(nodes):
            return out
        node = cKDTree(mesh.vertices).query(nodes)[1]
        order = np.argsort(mesh.triangles.ravel(), kind="stable")  # the corners at each node
        ends = np.cumsum(np.bincount(mesh.triangles.ravel(), minlength=mesh.n_vertices))
        areas = np.concatenate([[0.0], np.cumsum(mesh.areas[order // 3])])
        shapely.prepare(self.domain)
        left = np.arange(len(nodes))
        for _ in range(ROUNDS):
            low, high = areas[np.concatenate([[0], ends])[node[left]]], areas[ends[node[left]]]
            corner = order[np.searchsorted(areas, rng.uniform(low, high), "right") - 1]
            inner = rng.dirichlet((2.0, 1.0, 1.0), size=len(left))
            turned = (corner % 3)[:, None] + np.arange(3)
            corners = mesh.vertices[mesh.triangles[corner // 3][np.arange(len(left))[:, None], turned % 3]]
            out[left] = np.einsum("ij,ijk->ik", inner, corners)
            left = left[~shapely.contains_xy(self.domain, *out[left].T)]
            if not len(left):
                return out
        near = shapely.shortest_line(self.domain, shapely.points(out[left]))  # slivers at the border
        out[left] = shapely.get_coordinates(shapely.get_point(near, 0))
        return out
