"""A picture of a mesh."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from geospde.errors import InputError
from geospde.mesh.arrays import point_array
from geospde.mesh.trimesh import Mesh
from geospde.plots.canvas import View, label_ticks, require_axes
from geospde.text.arguments import as_number
from geospde.text.words import counted, in_brief

if TYPE_CHECKING:
    from matplotlib.axes import Axes


_INNER, _OUTER = "#d6e6f2", "#f1f3f5"


def plot_mesh(
    mesh: Mesh,
    ax: Axes | None = None,
    *,
    sites: Any = None,
    edge_color: str = "#5b7a95",
    linewidth: float | None = None,
) -> Axes:
    """Draw a mesh: the inner zone and its extension in two tints, the boundary, and the sites.

    Parameters
    ----------
    mesh : Mesh
        The mesh.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default a new figure.
    sites : optional
        Points to mark, as `Mesh.locate` takes them.
    edge_color, linewidth
        Of the triangles' edges; by default thinner for larger meshes.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> import matplotlib; matplotlib.use("agg")
    >>> import geospde as gs
    >>> mesh = gs.Mesh([[0, 0], [1, 0], [0, 1]], [[0, 1, 2]])
    >>> mesh.plot(sites=[[0.2, 0.2]]).get_title()
    '3 vertices, 1 triangle'
    """
    from matplotlib.collections import LineCollection, PolyCollection
    from matplotlib.colors import is_color_like

    if ax is None:
        from matplotlib import pyplot as plt

        _, ax = plt.subplots(figsize=(8, 6), layout="constrained")
    require_axes(ax)
    if not is_color_like(edge_color):
        raise InputError(
            f"edge_color is a colour of matplotlib, such as 'grey' or '#5b7a95', not {in_brief(edge_color)}"
        )
    if linewidth is not None and as_number(linewidth, "linewidth") < 0:
        raise InputError(f"linewidth is 0 or more, not {linewidth:g}")
    thin = linewidth if linewidth is not None else float(np.clip(12 / np.sqrt(mesh.n_vertices), 0.1, 0.8))
    for zone, tint in [(~mesh.inner, _OUTER), (mesh.inner, _INNER)]:
        faces = PolyCollection(mesh.vertices[mesh.triangles[zone]], facecolor=tint, edgecolor=edge_color)
        faces.set(linewidth=thin, rasterized=mesh.n_triangles > 50_000)
        ax.add_collection(faces)
    between = (mesh.neighbours >= 0) & (mesh.inner[mesh.neighbours] != mesh.inner[:, None])
    zone_edges = mesh.edges[np.unique(mesh.triangle_edges[between])]
    for edges, width in [(zone_edges, 1.0), (mesh.boundary_edges, 1.4)]:
        ax.add_collection(
            LineCollection(list(mesh.vertices[edges]), colors="#1f3a52", linewidths=width, capstyle="round")
        )
    if sites is not None:
        ax.plot(*point_array(sites, mesh.crs).T, "o", ms=2.6, mfc="#c8452c", mec="white", mew=0.3)
    words = f"{counted(mesh.n_vertices, 'vertex', 'vertices')}, {counted(mesh.n_triangles, 'triangle')}"
    ax.set(aspect="equal", title=words)
    size, unit = View.of([(*mesh.vertices.min(axis=0), *mesh.vertices.max(axis=0))], mesh.crs).tick_unit
    label_ticks(ax, size)
    ax.set(xlabel=f"x ({unit})" if unit else "x", ylabel=f"y ({unit})" if unit else "y")
    ax.margins(0.02)
    return ax
