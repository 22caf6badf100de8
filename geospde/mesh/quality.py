"""How good a mesh is, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from geospde.mesh.trimesh import Mesh


@dataclass(frozen=True)
class Quality:
    """Angles, edge lengths and shapes of a mesh's triangles.

    Attributes
    ----------
    n_vertices, n_triangles : int
        Size.
    min_angle, angle_q05, max_angle : float
        Smallest angle, 5 % quantile of all angles, largest angle; degrees.
    inner_edges, outer_edges : tuple of float
        Shortest, median and longest edge of each zone; an edge between the zones counts in both. Empty
        where there is no such zone.
    max_aspect : float
        Largest ratio of circumradius to twice the inradius: 1 for an equilateral triangle.
    obtuse : float
        Share of triangles with an angle above 90 degrees.

    Examples
    --------
    >>> import geospde as gs
    >>> mesh = gs.Mesh([[0, 0], [1, 0], [1, 1], [0, 1]], [[0, 1, 2], [0, 2, 3]])
    >>> print(mesh.quality())
    4 vertices, 2 triangles
    angles: smallest 45.0, 5 % quantile 45.0, largest 90.0 degrees; 0.0 % of triangles obtuse
    inner edges: 1 to 1.414, median 1
    """

    n_vertices: int
    n_triangles: int
    min_angle: float
    angle_q05: float
    max_angle: float
    inner_edges: tuple[float, ...]
    outer_edges: tuple[float, ...]
    max_aspect: float
    obtuse: float

    @classmethod
    def of(cls, mesh: Mesh) -> Quality:
        """Measure a mesh."""
        sides = mesh.edge_lengths[mesh.triangle_edges]
        half = sides.sum(axis=1) / 2
        circumradius, inradius = sides.prod(axis=1) / (4 * mesh.areas), mesh.areas / half
        return cls(
            n_vertices=mesh.n_vertices,
            n_triangles=mesh.n_triangles,
            min_angle=float(mesh.angles.min()),
            angle_q05=float(np.quantile(mesh.angles, 0.05)),
            max_angle=float(mesh.angles.max()),
            inner_edges=_spread(mesh, mesh.inner),
            outer_edges=_spread(mesh, ~mesh.inner),
            max_aspect=float((circumradius / (2 * inradius)).max()),
            obtuse=float((mesh.angles.max(axis=1) > 90 + 1e-9).mean()),
        )

    def __str__(self) -> str:
        lines = [
            f"{self.n_vertices} vertices, {self.n_triangles} triangles",
            f"angles: smallest {self.min_angle:.1f}, 5 % quantile {self.angle_q05:.1f}, "
            f"largest {self.max_angle:.1f} degrees; {100 * self.obtuse:.1f} % of triangles obtuse",
        ]
        for zone, edges in [("inner", self.inner_edges), ("outer", self.outer_edges)]:
            if edges:
                lines.append(f"{zone} edges: {edges[0]:.4g} to {edges[2]:.4g}, median {edges[1]:.4g}")
        return "\n".join(lines)


def _spread(mesh: Mesh, zone: np.ndarray) -> tuple[float, ...]:
    lengths = mesh.edge_lengths[np.unique(mesh.triangle_edges[zone])]
    return tuple(float(q) for q in np.quantile(lengths, [0, 0.5, 1])) if len(lengths) else ()
