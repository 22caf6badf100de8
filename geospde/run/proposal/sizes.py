"""Lengths of a run: the mesh's edges and extension, the map's cells, from the range and the area."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely

from geospde.mesh.domain import diameter
from geospde.mesh.refine import expected_vertices
from geospde.run.proposal.look import FirstLook
from geospde.run.proposal.response import short
from geospde.survey.survey import Survey

VERTICES = (1000, 8000)
"""Fewest and most vertices of a proposed mesh, but for those that sites add: a fit takes seconds."""
FINE = 2500
"""Vertices up to which edges are made shorter than a fifth of the range, since they cost little."""
EACH = 12
"""Vertices a site that are enough for that."""
CELLS = 100
"""Cells across the shorter side, or as many squared on the area to map if that is narrow."""
MOST_CELLS = 300_000
"""Most cells of the whole raster, those off the area included."""
_THIN = 0.01  # area of the sites' hull, in squares of its diagonal


@dataclass(frozen=True)
class Sizes:
    """Lengths, in the unit of the survey's CRS.

    Attributes
    ----------
    max_edge : (float, float)
    cutoff, offset, convex, concave : float
        As `geospde.build_mesh` takes them.
    cell, buffer : float
        As `geospde.Grid.around` takes them.
    bound : str
        ``"most"`` or ``"fewest"`` if the vertices' budget, ``"sites"`` if the sites' spacing, and not the range, set
        the edges; else empty.
    """

    max_edge: tuple[float, float]
    cutoff: float
    offset: float
    convex: float
    concave: float
    cell: float
    buffer: float
    bound: str

    @classmethod
    def of(cls, survey: Survey, look: FirstLook) -> Sizes:
        """Return the sizes for a survey and what a first look says of its response."""
        domain, buffer = survey.domain, 0.0
        if survey.coastline is None and domain.area < _THIN * look.extent**2:  # a line of sites: map a strip around it
            buffer = short(look.extent / 20)
            domain = domain.buffer(buffer)
        offset, cell = short(look.reach), _cell(domain)
        if survey.coastline is not None:
            least, concave = max(2 * cell, 1.2 * float(survey.offshore().max())), None
        else:
            # the hull's corners are round, and must not cut into the hull of the sites, which is mapped to its edge
            span = diameter(domain)
            least, concave = max(2 * cell, 0.03 * span) + buffer, 5 * span
        wanted, by = look.range / 5, ""
        if wanted < look.spacing / 2:  # no field so rough is seen between sites
            wanted, by = min(look.range / 3, look.spacing / 2), "sites"
        edge, bound = _edge(domain, wanted, offset, least, EACH * len(np.unique(survey.coordinates, axis=0)))
        bound = bound or by
        convex, concave = max(edge, least), concave or edge
        return cls((edge, 2 * edge), short(edge / 5), offset, short(convex), short(concave), cell, buffer, bound)


def _edge(domain: Any, edge: float, offset: float, least: float, enough: int) -> tuple[float, str]:
    """Return the inner edge: the wanted one, within the budget of vertices, for hulls at least so wide.

    Edges that are wanted long are shortened until there are vertices enough.
    """

    def vertices(edge: float) -> float:
        inner = shapely.buffer(shapely.simplify(domain, edge / 10), max(edge, least))
        return expected_vertices([inner, shapely.buffer(inner, offset)], (edge, 2 * edge))

    bound = ""
    most = VERTICES[1]
    fewest = int(np.clip(enough, VERTICES[0], FINE))
    for _ in range(20):
        expected = vertices(edge)
        if expected > most:
            edge, bound = edge * max(np.sqrt(expected / most), 1.02), "most"
        elif expected < fewest:
            edge, bound = edge * min(np.sqrt(expected / fewest), 0.98), "fewest"
        else:
            break
    return short(edge), bound


def _cell(domain: Any) -> float:
    """Return the size of a cell."""
    west, south, east, north = domain.bounds
    fine = min(east - west, north - south, np.sqrt(domain.area)) / CELLS
    return round_length(max(fine, np.sqrt((east - west) * (north - south) / MOST_CELLS)))


def round_length(value: float) -> float:
    """Return the nearest length that a person would choose.

    Examples
    --------
    >>> round_length(33.7), round_length(0.0117), round_length(7100.0)
    (30.0, 0.012, 8000.0)
    """
    step = 10.0 ** np.floor(np.log10(value))
    choices = step * np.array([1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10])
    return float(f"{choices[np.argmin(np.abs(np.log(choices / value)))]:.3g}")
