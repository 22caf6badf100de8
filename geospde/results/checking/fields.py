"""Each field of a fit against its mesh: its range, what is lost between vertices, how far the mesh goes on."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp
from scipy.special import erf

from geospde.inference.laplace import Laplace, LaplacePoint
from geospde.mesh.trimesh import Mesh
from geospde.model.build import Model
from geospde.survey.crs import unit_of
from geospde.text.findings import Finding
from geospde.text.words import in_unit, length, number

SHARP = 1.0  # degrees
EDGE, COARSE = 0.5, 0.2  # longest inner edge over the range: warn, note
RUN_OFF = 0.1  # range over the median inner edge, below which vertices are independent
LOST, BLURRED = 1.0, 0.5  # sd between vertices over that of an observation: warn, note
OFF = 1 / 8  # squared error of a map over the variance lost: measured on meshes of a twentieth and tenth of the range
NARROW, SHORT = 0.9, 0.935  # share of the truth within 95 % intervals: warn, note
LONG = 1.0  # range over the extent
NEAR = 0.5  # ranges between the inner zone and the mesh's boundary


def range_findings(model: Model, ranges: Mapping[Any, float]) -> Iterator[Finding]:
    """Each field's range against its mesh."""
    seen: set[str] = set()
    for term in model.terms:
        own = f"range({term.label})"
        for name in map(str, ranges.keys()):
            if term.mesh is None or name in seen or not (name == own or name.endswith(f": {own}")):
                continue
            if np.isnan(ranges[name]):
                continue  # of a field whose sigma is estimated as zero
            seen.add(name)  # of several likelihoods each may have a field of this label
            yield from _range_and_mesh(name, term.mesh, float(ranges[name]))


def resolution_findings(model: Model, laplace: Laplace, point: LaplacePoint) -> Iterator[Finding]:
    """What each field loses between the vertices of its mesh, beside what the observations tell of it.

    Within a triangle the field is a mean of its values at the corners, and varies less than they do. Where observations
    are more exact than what is lost so, the fit takes the difference for noise, or bends its hyperparameters. Where
    many together are, the map's intervals are too short: they tell of the field's means over triangles alone.
    """
    theta = laplace.whole(point.theta)
    second = laplace.likelihood_at(point.theta).derivatives(point.eta)[1][: point.eta.size]
    for term, block, own in zip(model.terms, laplace.blocks, laplace.theta_blocks):
        if term.mesh is None:
            continue
        rows, vertices = laplace.design[:, block], len(term.mesh.vertices)
        # of fields side by side, in time or of a rational approximation, each has its own corners
        owner = sp.kron(sp.eye_array(rows.shape[1] // vertices), np.ones((vertices, 1)), format="csr")
        within = np.diff(rows.indptr) <= 3 * np.diff((abs(rows) @ owner).indptr)  # more are sums over an area
        within &= second < 0  # others tell nothing
        rows, known, left = rows[within], -second[within], point.eta_variance[within]
        if not rows.nnz:
            continue
        covariances = term.precision.covariances(theta[own])
        size = abs(rows)
        each = size @ sp.diags_array(covariances.diagonal())
        corners = np.asarray((size @ owner).multiply(each @ owner).sum(axis=1)).ravel()
        shown = np.asarray((rows @ covariances).multiply(rows).sum(axis=1)).ravel()
        lost = np.where(corners - shown > 1e-9 * corners, corners - shown, 0.0)
        sds = float(np.sqrt(lost).mean()), float(np.sqrt(lost * known).mean())
        yield _resolution(term.label, *sds, float((lost / left).mean()))


def _resolution(label: str, lost: float, ratio: float, share: float) -> Finding:
    """Of one field: the sd that it loses at an observation, that over the sd which one or all of them leave it."""
    held = float(erf(1.96 / np.sqrt(2 * (1 + OFF * share))))
    by_noise = (ratio > LOST) + (ratio > BLURRED)
    by_intervals = (held < NARROW) + (held < SHORT)
    level = ("ok", "note", "warning")[max(by_noise, by_intervals)]
    if by_noise and by_noise >= by_intervals:
        return Finding(
            level,
            "resolution",
            f"between the mesh's vertices {label} loses a standard deviation of {number(lost)} at an observation, "
            f"{ratio:.2g} times what its noise leaves open: noise, range and sigma may be off",
            "give build_mesh the sites, whose places are vertices then, or lower max_edge",
        )
    if by_intervals:
        return Finding(
            level,
            "resolution",
            f"the observations together tell more of {label} than its mesh can show: 95 % intervals of a map hold the "
            f"truth at some {100 * held:.0f} % of places",
            "lower max_edge",
        )
    return Finding("ok", "resolution", f"{label} loses little between the mesh's vertices, beside the noise")


def _range_and_mesh(name: str, mesh: Mesh, reach: float) -> Iterator[Finding]:
    """The fitted range between the mesh's edges and the extent of the inner zone."""
    unit = unit_of(mesh.crs)
    quality = mesh.quality()
    if quality.min_angle < SHARP:
        fact = f"its smallest angle is {number(quality.min_angle)} degrees"
        yield Finding("warning", "angle", fact, "build it with gs.build_mesh, or move vertices: slivers cost digits")
    edges = quality.inner_edges
    longest, inner = max(edges, default=0.0), mesh.vertices[np.unique(mesh.triangles[mesh.inner])]
    extent = float(np.hypot(*np.ptp(inner, axis=0)))
    fact = f"{name} is {length(reach, unit)}, the mesh's longest inner edge {length(longest, unit)}"
    lost = f"up to some {np.ceil(100 * _dip(longest / reach)):.0f} % lower than at them"
    if edges and reach < RUN_OFF * edges[1]:
        remedy = (
            f"lower max_edge, towards {in_unit(edges[1] / 5, unit)}; leave the field out where its range runs off again"
        )
        yield Finding("warning", "mesh", f"{fact}: its vertices have nothing in common", remedy)
    elif longest > EDGE * reach:
        remedy = f"lower max_edge, towards {in_unit(reach / 5, unit)}, until maps no longer change"
        too_small = f"{fact}: between vertices standard deviations come out too small, {lost}"
        yield Finding("warning", "mesh", too_small, remedy)
    elif longest > COARSE * reach:
        remedy = f"try max_edge {in_unit(reach / 5, unit)} and see whether the map changes"
        coarse = f"{fact}, more than a fifth of the range: between vertices standard deviations are {lost}"
        yield Finding("note", "mesh", coarse, remedy)
    else:
        yield Finding("ok", "mesh", f"{fact}: between vertices standard deviations are {lost}")
    if reach > LONG * extent:
        yield Finding(
            "warning",
            "range",
            f"{name} is {length(reach, unit)}, longer than the {length(extent, unit)} of the study area: the field is "
            "a trend, and range and sigma cannot be told apart",
            "add coordinates as covariates, or give the range a prior that keeps it within the area",
        )
    from scipy.spatial import cKDTree

    gap = float(cKDTree(mesh.vertices[mesh.boundary_vertices]).query(inner)[0].min())
    fact = f"the mesh goes {length(gap, unit)} beyond the inner zone, {gap / reach:.2g} times the range"
    if gap < NEAR * reach:
        remedy = f"extend it with offset {in_unit(reach, unit)}: variances near its boundary are inflated"
        yield Finding("note", "extension", fact, remedy)
    else:
        yield Finding("ok", "extension", fact)


def _dip(edge: float) -> float:
    """Share of a field's sd that is lost amid a triangle, beside its corners, where edges are in ranges.

    The field is a plane there, so that amid it is the mean of the corners. Their correlation is that of smoothness 1 on
    an even triangular lattice, by its spectrum (Lindgren, Rue & Lindström 2011, J. R. Stat. Soc. B 73(4), section 2).
    """
    a, b = np.meshgrid(*2 * [2 * np.pi * (np.arange(128) + 0.5) / 128])
    stiffness = (6 - 2 * (np.cos(a) + np.cos(b) + np.cos(a - b))) / np.sqrt(3)
    spectrum = (8 * edge**2 * np.sqrt(0.75) + stiffness) ** -2.0
    return float(1 - np.sqrt((1 + 2 * (spectrum * np.cos(a)).sum() / spectrum.sum()) / 3))
