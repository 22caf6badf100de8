"""Smoothing and splitting by flips, against triangulations made anew."""

import numpy as np
import pytest
import shapely

import geospde as gs
from geospde.mesh import refine
from geospde.mesh.relax import Patchwork, relaxed
from geospde.mesh.triangulation import Triangulation

pytestmark = pytest.mark.slow  # all of it compiles loops of large meshes for 13 s
SITES = 6
LIMITS = np.array([0.09])


@pytest.fixture(scope="module")
def square():
    """Random points in a square with a wall through it, and the zone of each triangle."""
    rng = np.random.default_rng(4)
    ends = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0.5, 0.2], [0.5, 0.8]], dtype=float)
    points = np.vstack([ends, rng.uniform(0.02, 0.98, (300, 2))])
    mesh = Triangulation.of(points, np.array([[0, 1], [1, 2], [2, 3], [3, 0], [4, 5]]))
    return mesh, mesh.zones([shapely.box(0, 0, 1, 1)])


def edges(triangles):
    pairs = np.sort(np.vstack([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    return np.unique(pairs, axis=0)


def work_of(square):
    work = Patchwork.of(*square)
    work.triangles, work.links = work.triangles.copy(), work.links.copy()
    return work


def test_flips_leave_the_constrained_delaunay_triangulation(square):
    work = work_of(square)
    for _ in range(3):
        work.smooth(SITES)
    anew = Triangulation.of(work.points, work.segments)
    inside = anew.zones([shapely.box(0, 0, 1, 1)]) >= 0
    # one triangulation of points in general position is Delaunay
    assert np.array_equal(edges(work.triangles), edges(anew.triangles[inside]))


def test_smoothing_moves_points_as_the_plain_version(square):
    mesh, zone = square
    work = work_of(square)
    work.smooth(SITES)
    plain = refine._smoothed(
        Triangulation(mesh.points, mesh.triangles[zone >= 0], mesh.neighbours[zone >= 0], mesh.segments, None), SITES
    )
    still = (work.points == mesh.points).all(axis=1)  # those of segments, sites, and corners of what would fold
    assert np.array_equal(work.points[~still], plain[~still])
    assert still[:SITES].all()
    assert still.mean() < 0.3


def test_splitting_keeps_links_area_and_limits(square):
    work = work_of(square)
    work.smooth(SITES)
    before = work.segments
    work.split(LIMITS)
    corners = work.points[work.triangles]
    (ax, ay), (bx, by) = (corners[:, 1:] - corners[:, :1]).transpose(1, 2, 0)
    assert (ax * by - ay * bx).min() > 0
    assert (ax * by - ay * bx).sum() / 2 == pytest.approx(1, abs=1e-12)  # rounding of some thousand areas
    assert refine.sides(work.points, work.triangles).max() <= LIMITS[0]
    tail, head = work.triangles, np.roll(work.triangles, -1, axis=1)
    at, side = np.nonzero(work.links >= 0)
    other = work.links[at, side] >> 1
    back = (work.links[other] >> 1 == at[:, None]) & (tail[other] == head[at, side][:, None])
    assert (back.sum(axis=1) == 1).all()
    assert (head[other][back] == tail[at, side]).all()
    assert (work.links[other][back] & 1 == work.links[at, side] & 1).all()
    assert len(work.segments) > len(before)
    assert len(np.unique(np.sort(work.segments, axis=1), axis=0)) == len(work.segments)


def test_relaxing_ends_where_nothing_is_too_long(square):
    points, segments = relaxed(*square, SITES, LIMITS)
    assert np.array_equal(points[:SITES], square[0].points[:SITES])
    wall = points[segments][(points[segments][..., 0] == 0.5).all(axis=1)]
    assert np.ptp(wall, axis=1)[:, 1].sum() == pytest.approx(0.6, abs=1e-12)


def test_large_meshes_keep_what_small_ones_do(monkeypatch):
    rng = np.random.default_rng(2)
    island = shapely.Point(0, 0).buffer(1000).difference(shapely.Point(300, 0).buffer(200))
    wall = shapely.LineString([(-800, -100), (-100, 400)])
    sites = rng.uniform(-600, 0, (20, 2))

    def build():
        return gs.build_mesh(island, sites=sites, max_edge=(60, 120), offset=400, convex=0, lines=wall)

    plain = build()
    monkeypatch.setattr(refine, "_LARGE", 0)
    fast = build()
    # the outer zone's corners come from the domain alone
    assert fast.areas.sum() == pytest.approx(plain.areas.sum(), rel=1e-9)
    assert fast.areas[fast.inner].sum() == pytest.approx(island.area, rel=1e-9)
    assert np.array_equal(fast.vertices[:20], plain.vertices[:20])
    assert fast.quality().min_angle >= 21
    assert fast.quality().inner_edges[2] <= 60
    assert fast.quality().outer_edges[2] <= 120
    # smoothed as well: 5 % of angles lie below some 40 degrees, and random triangles have 5 % below 12
    assert fast.quality().angle_q05 > plain.quality().angle_q05 - 2
    assert fast.n_vertices == pytest.approx(plain.n_vertices, rel=0.05)
    lengths = shapely.length(shapely.intersection(shapely.linestrings(fast.vertices[fast.edges]), wall.buffer(1e-6)))
    assert lengths[lengths > 1e-3].sum() >= wall.length * (1 - 1e-9)
