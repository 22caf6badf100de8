"""Whether a mesh can carry the field that a survey lets one expect."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from geospde.explore.structure import matern_correlation
from geospde.explore.variogram import Variogram
from geospde.mesh.trimesh import Mesh
from geospde.survey.survey import Survey
from geospde.text.findings import Finding
from geospde.text.words import counted, length, number

FINE, COARSE = 1 / 5, 1.0
"""Longest inner edge over the range: up to FINE nothing is lost; the range being a guess, only COARSE is sure harm."""

THIN, VERY_THIN = 20.0, 10.0
"""Smallest angle in degrees: below THIN the error of linear elements grows (Shewchuk 2002), below VERY_THIN much."""

SLIGHT, LARGE = 0.05, 0.25
"""Share by which the boundary raises standard deviations where the map begins."""

SPARSE, LAVISH = 1.0, 200.0
"""Vertices a site below which sites share triangles, and above which time goes into what the data cannot tell ..."""

QUICK = 20_000
"""... in meshes of more vertices than are fitted in seconds anyway."""


@dataclass(frozen=True)
class ExpectedRange:
    """A range to expect before a fit.

    Attributes
    ----------
    value : float
        In the survey's units.
    source : str
        What in the values speaks for it, ``"the variogram"``; empty where it is a share of the extent.
    longest : float
        The longest that anything speaks for, where that is more: what is sure harm is so for that one, too.
    """

    value: float
    source: str
    longest: float = 0.0

    @classmethod
    def of(cls, survey: Survey, variogram: Variogram | None = None) -> ExpectedRange:
        """Take the variogram's range where it shows one, else a fifth of the survey's longer side."""
        if variogram is not None and variogram.structure is not None:
            return cls(variogram.structure.range, "the variogram")
        west, south, east, north = survey.domain.union(survey.points.union_all()).bounds
        return cls(max(east - west, north - south) / 5, "")

    def sentence(self, unit: str) -> str:
        """Return what is expected, as a sentence says it."""
        about = f"a range of about {length(float(f'{self.value:.2g}'), unit)}"
        return f"{self.source} suggests {about}" if self.source else f"{about}, a fifth of the extent, is taken"


def check_mesh(mesh: Mesh, survey: Survey, expected: ExpectedRange | None = None) -> tuple[Finding, ...]:
    """Look at a mesh beside the survey that it is for.

    Parameters
    ----------
    mesh : Mesh
    survey : Survey
        In the mesh's coordinates.
    expected : ExpectedRange, optional
        By default a fifth of the survey's longer side.

    Returns
    -------
    tuple of Finding
        One on every subject, those where all is well too.
    """
    expected = expected or ExpectedRange.of(survey)
    return (
        _edges(mesh, survey, expected),
        _angles(mesh),
        _extension(mesh, survey, expected),
        _size(mesh, survey),
        _outside(mesh, survey),
    )


def _edges(mesh: Mesh, survey: Survey, expected: ExpectedRange) -> Finding:
    longest, unit = max(mesh.quality().inner_edges, default=0.0), survey.units
    message = f"inner edges of up to {length(longest, unit)}, where {expected.sentence(unit)}"
    if longest <= FINE * expected.value:
        return Finding("ok", "mesh edges", message)
    level = "note" if longest <= COARSE * max(expected.value, expected.longest) else "warning"
    aim = _rough(FINE * expected.value, unit)
    remedy = (
        f"between sites the standard deviations may come out too small: lower max_edge in [mesh] towards {aim}, "
        "until the maps no longer change"
    )
    return Finding(level, "mesh edges", message, remedy)


def _angles(mesh: Mesh) -> Finding:
    least = mesh.quality().min_angle
    message = f"smallest angle {least:.1f} degrees"
    if least >= THIN:
        return Finding("ok", "mesh angles", message)
    triangle, corner = np.unravel_index(np.argmin(mesh.angles), mesh.angles.shape)
    x, y = mesh.vertices[mesh.triangles[triangle, corner]]
    remedy = (
        "raise cutoff in [mesh] where sites or coast have detail finer than needed, or let convex and concave "
        "round corners off"
    )
    return Finding(
        "note" if least >= VERY_THIN else "warning", "mesh angles", f"{message}, at ({x:.6g}, {y:.6g})", remedy
    )


def _extension(mesh: Mesh, survey: Survey, expected: ExpectedRange) -> Finding:
    """Judge how far the mesh reaches beyond the mapped area.

    At distance d from a straight boundary where the field's slope is zero, its variance is raised by the
    correlation at 2 d, that with its mirror image (Lindgren, Rue & Lindström 2011, appendix A.4).
    """
    boundary = shapely.multilinestrings(mesh.vertices[mesh.boundary_edges])
    width = float(survey.domain.distance(boundary))
    raised = float(np.sqrt(1 + matern_correlation(2 * width, expected.value))) - 1
    unit = survey.units
    message = f"it reaches {length(width, unit)} beyond the mapped area, where {expected.sentence(unit)}"
    if raised <= SLIGHT:
        return Finding("ok", "mesh extension", message)
    message += f": its boundary raises standard deviations nearby by up to {100 * raised:.0f} %"
    remedy = "widen it to about the range: offset, or the second number of convex, in [mesh]"
    return Finding("note" if raised <= LARGE else "warning", "mesh extension", message, remedy)


def _size(mesh: Mesh, survey: Survey) -> Finding:
    each = mesh.n_vertices / len(np.unique(survey.coordinates, axis=0))
    message = f"{counted(mesh.n_vertices, 'vertex', 'vertices')}, {each:.3g} for each {survey.word}"
    if each < SPARSE:
        return Finding(
            "note",
            "mesh size",
            message,
            f"{survey.word}s share triangles, and the field is smoothed between them: lower max_edge in [mesh] if the "
            "maps look smoother than the readings",
        )
    if each > LAVISH and mesh.n_vertices > QUICK:
        return Finding(
            "note",
            "mesh size",
            message,
            "a coarser mesh (max_edge, or the second number of it, in [mesh]) is as good and faster, unless the "
            "range is short",
        )
    return Finding("ok", "mesh size", message)


def _outside(mesh: Mesh, survey: Survey) -> Finding:
    rows = np.flatnonzero(mesh.locate(survey.points) < 0)
    if not len(rows):
        return Finding("ok", f"{survey.word}s in the mesh", f"all {survey.word}s lie in the mesh")
    x, y = survey.coordinates[rows[0]]
    return Finding(
        "error",
        f"{survey.word}s in the mesh",
        f"{len(rows)} of {counted(len(survey.points), survey.word)} outside, the first at ({x:.6g}, {y:.6g})",
        "widen the mesh (convex or offset in [mesh]) or leave those out",
        tuple(map(int, rows)),
    )


def _rough(value: float, unit: str) -> str:
    """Return a length to the two digits that a guess deserves."""
    return f"{number(float(f'{value:.2g}'))} {unit}".rstrip()
