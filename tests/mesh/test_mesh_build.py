"""Meshes from polygons and sites keep what they promise: edges, angles, sites, domain."""

import warnings
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geospde.errors import GeospdeWarning, InputError
from geospde.mesh import triangulation
from geospde.mesh.build import build_mesh
from geospde.mesh.domain import nonconvex_hull
from geospde.mesh.triangulation import Triangulation

DATA = Path(__file__).parents[2] / "data" / "rongelap"
CHAPTER = {"max_edge": (300, 600), "convex": (100, 200), "concave": (150, 200), "offset": 100}
SQUARE = shapely.box(0, 0, 1, 1)


@pytest.fixture(scope="module")
def coast():
    return shapely.Polygon(pd.read_csv(DATA / "coastline.csv").to_numpy())


@pytest.fixture(scope="module")
def sites():
    table = pd.read_csv(DATA / "points.csv")
    return table[["cX", "cY"]].to_numpy(float)


@pytest.fixture(scope="module")
def rongelap(coast, sites):
    return build_mesh(coast, sites=sites, **CHAPTER)


def longest_edge(mesh, zone):
    return mesh.edge_lengths[mesh.triangle_edges[zone]].max()


def euler(mesh):
    """Vertices - edges + triangles: pieces less holes."""
    return mesh.n_vertices - len(mesh.edges) + mesh.n_triangles


def is_delaunay(mesh):
    """Whether opposite angles at every edge within a zone add up to 180 degrees at most."""
    triangle, corner = np.nonzero(mesh.neighbours >= 0)
    other = mesh.neighbours[triangle, corner]
    back = np.argmax(mesh.neighbours[other] == triangle[:, None], axis=1)
    same = mesh.inner[triangle] == mesh.inner[other]
    return (mesh.angles[triangle, corner] + mesh.angles[other, back])[same].max() <= 180 + 1e-6


# -- Rongelap --------------------------------------------------------------------------------------------------


def test_rongelap_keeps_its_limits(rongelap):
    assert longest_edge(rongelap, rongelap.inner) <= 300
    assert longest_edge(rongelap, ~rongelap.inner) <= 600
    assert rongelap.angles.min() >= 21
    assert is_delaunay(rongelap)


def test_rongelap_is_no_worse_than_fmesher(rongelap):
    # fmesher 0.1.7 on the same settings: 691 vertices, 5 % quantile of the angles 26.9 degrees.
    quality = rongelap.quality()
    assert quality.n_vertices <= 691
    assert quality.angle_q05 >= 26.9


def test_rongelap_sites_are_the_first_vertices(rongelap, sites):
    np.testing.assert_array_equal(rongelap.vertices[: len(sites)], sites)


def test_rongelap_zones_are_its_hulls(rongelap, coast):
    import geospde as gs

    inner = gs.Mesh(*_part(rongelap, rongelap.inner)).boundary
    for area, convex, concave in [(inner, 100, 150), (rongelap.boundary, 200, 200)]:
        assert area.covers(coast)
        hull = nonconvex_hull(coast, convex, concave)
        assert area.area == pytest.approx(hull.area, rel=0.01)
        assert area.hausdorff_distance(hull) < 0.2 * convex
    assert rongelap.areas.sum() == pytest.approx(rongelap.boundary.area, rel=1e-12)
    assert euler(rongelap) == 1


def _part(mesh, zone):
    used, triangles = np.unique(mesh.triangles[zone], return_inverse=True)
    return mesh.vertices[used], triangles.reshape(-1, 3)


@pytest.mark.parametrize("angle", [0, 10, 28, 30])
def test_min_angle_is_kept(coast, sites, angle):
    assert build_mesh(coast, sites=sites, **CHAPTER, min_angle=angle).angles.min() >= angle


@pytest.mark.parametrize("max_edge", [(150, 150), (100, 800), (60, 90), (31, 500)])
def test_longest_edges_hold_in_both_zones(coast, max_edge):
    mesh = build_mesh(coast, max_edge=max_edge, offset=-0.2)
    assert longest_edge(mesh, mesh.inner) <= max_edge[0]
    assert longest_edge(mesh, ~mesh.inner) <= max_edge[1]
    assert mesh.angles.min() >= 21


def test_a_finer_extension_meets_the_inner_zone_evenly(coast):
    mesh = build_mesh(coast, max_edge=(600, 100), convex=(100, 300))
    assert longest_edge(mesh, ~mesh.inner) <= 100
    assert mesh.edge_lengths.min() > 15


def test_far_from_the_origin_the_mesh_is_as_good(coast, sites):
    move = np.array([5e5, 5e6])
    mesh = build_mesh(shapely.transform(coast, lambda xy: xy + move), sites=sites + move, **CHAPTER)
    assert longest_edge(mesh, mesh.inner) <= 300
    assert mesh.angles.min() >= 21
    np.testing.assert_array_equal(mesh.vertices[: len(sites)], sites + move)


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_units_do_not_matter(coast, sites, unit):
    scaled = {name: np.multiply(value, unit) for name, value in CHAPTER.items()}
    mesh = build_mesh(shapely.transform(coast, lambda xy: xy * unit), sites=sites * unit, **scaled)
    assert longest_edge(mesh, mesh.inner) <= 300 * unit
    assert mesh.angles.min() >= 21


def test_without_settings_the_mesh_is_usable(coast, sites):
    for mesh in [build_mesh(coast), build_mesh(coast, sites=sites), build_mesh(sites=sites)]:
        assert 1000 < mesh.n_vertices < 4000
        assert 0 < mesh.inner.mean() < 1
        assert mesh.angles.min() >= 21
        mesh.basis(sites)


# -- domains ---------------------------------------------------------------------------------------------------


def test_a_hole_stays_a_hole():
    ring = shapely.box(0, 0, 4, 4) - shapely.box(1, 1, 3, 3)
    mesh = build_mesh(ring, max_edge=0.5, convex=0)
    assert mesh.areas.sum() == pytest.approx(12, rel=1e-12)
    assert euler(mesh) == 0
    assert mesh.locate([[2, 2], [0.5, 0.5]]).tolist()[0] == -1
    assert mesh.boundary.equals(ring)


def test_an_extension_reaches_into_a_wide_hole_and_leaves_the_rest_open():
    ring = shapely.box(0, 0, 40, 40) - shapely.box(10, 10, 30, 30)
    mesh = build_mesh(ring, max_edge=(2, 4), convex=0, offset=3)
    zone = mesh.inner[mesh.locate([[5, 5], [11, 20], [-2, 20]])]
    assert zone.tolist() == [True, False, False]
    assert mesh.locate([[20, 20]]) == -1
    assert mesh.areas[mesh.inner].sum() == pytest.approx(1200, rel=1e-12)


@pytest.mark.parametrize(("convex", "pieces"), [(0, 2), (0.3, 2), (0.6, 1)])
def test_two_islands_are_apart_or_bridged(convex, pieces):
    islands = gpd.GeoSeries([SQUARE, shapely.box(2, 0, 3, 1)])
    mesh = build_mesh(islands, max_edge=0.3, convex=convex, concave=0)
    assert shapely.get_num_geometries(mesh.boundary) == pieces
    assert euler(mesh) == pieces
    assert mesh.locate([[1.5, 0.5]]).item() >= 0 or pieces == 2


def test_points_alone_give_a_hull_around_them():
    points = np.random.default_rng(1).uniform(size=(60, 2))
    mesh = build_mesh(sites=points, max_edge=(0.1, 0.3))
    assert shapely.get_num_geometries(mesh.boundary) == 1
    assert mesh.inner[mesh.locate(points)].all()
    np.testing.assert_array_equal(mesh.vertices[:60], points)


def test_two_sites_on_a_line_are_enough():
    mesh = build_mesh(sites=[[0, 0], [1, 0]])
    assert mesh.angles.min() >= 21
    assert mesh.locate([[0, 0], [1, 0], [0.5, 0]]).min() >= 0


def test_one_site_needs_sizes():
    with pytest.raises(InputError, match="convex"):
        build_mesh(sites=[[3, 4]])
    assert build_mesh(sites=[[3, 4]], convex=1, max_edge=0.5).areas.sum() == pytest.approx(np.pi, rel=0.05)


@pytest.mark.slow
def test_lines_become_edges():
    line = np.array([[-0.5, 0.31], [0.4, 0.31], [0.77, 0.9]])
    mesh = build_mesh(SQUARE, max_edge=0.2, convex=0, lines=line)
    drawn = shapely.union_all(shapely.linestrings(mesh.vertices[mesh.edges]))
    kept = shapely.LineString(line) & SQUARE
    assert drawn.buffer(1e-9).covers(kept)
    assert mesh.areas.sum() == pytest.approx(1, rel=1e-12)


@pytest.mark.slow
def test_coast_as_lines_of_a_hull(coast):
    mesh = build_mesh(coast, max_edge=(300, 600), convex=(100, 200), lines=coast, cutoff=20)
    drawn = shapely.union_all(shapely.linestrings(mesh.vertices[mesh.edges]))
    assert drawn.buffer(10).covers(coast.boundary)  # half the cutoff
    assert mesh.edge_lengths.min() > 5


# -- sites -----------------------------------------------------------------------------------------------------


def test_sites_nearer_than_cutoff_are_merged_with_the_first():
    sites = np.array([[0.5, 0.5], [0.51, 0.5], [0.2, 0.2], [0.5, 0.52]])
    mesh = build_mesh(SQUARE, sites=sites, max_edge=0.3, convex=0, cutoff=0.05)
    np.testing.assert_array_equal(mesh.vertices[:2], sites[[0, 2]])
    assert mesh.edge_lengths.min() > 0.025


@pytest.mark.parametrize("cutoff", [20, 100, 300])
def test_a_long_cutoff_leaves_hulls_and_angles_alone(coast, sites, cutoff):
    mesh = build_mesh(coast, sites=sites, **CHAPTER, cutoff=cutoff)
    assert mesh.angles.min() >= 21
    assert euler(mesh) == 1
    assert mesh.boundary.symmetric_difference(build_mesh(coast, **CHAPTER).boundary).area < 1e-6
    is_site = (mesh.vertices[:, None] == sites).all(axis=2).any(axis=1)
    pairs = shapely.STRtree(shapely.points(mesh.vertices[is_site]))
    near, _ = pairs.query(shapely.points(mesh.vertices[is_site]), predicate="dwithin", distance=0.999 * cutoff)
    assert len(near) == is_site.sum() > 3  # each is near itself alone


def test_cutoff_thins_a_coast_that_is_the_domain_and_keeps_its_sites(coast, sites):
    onshore = sites[shapely.contains_xy(coast, sites)]
    fine, coarse = (build_mesh(coast, sites=onshore, max_edge=300, convex=0, cutoff=c) for c in (0, 50))
    assert coarse.n_vertices < 0.7 * fine.n_vertices
    assert coarse.locate(onshore).min() >= 0
    assert coarse.angles.min() >= 21


@pytest.mark.slow
def test_thousands_of_sites_are_little_work(monkeypatch):
    buffer, triangulate = shapely.buffer, Triangulation.of.__func__
    circles, vertices = [], []

    def counted_buffer(geometry, *arguments, **options):
        is_circles = np.asarray(shapely.get_type_id(geometry) == shapely.GeometryType.MULTIPOINT).all()
        circles.append(shapely.get_num_geometries(geometry) if is_circles else 0)
        return buffer(geometry, *arguments, **options)

    def counted(cls, points, segments):
        vertices.append(len(points))
        return triangulate(cls, points, segments)

    monkeypatch.setattr(shapely, "buffer", counted_buffer)
    monkeypatch.setattr(Triangulation, "of", classmethod(counted))
    points = np.random.default_rng(0).uniform(size=(20_000, 2))
    mesh = build_mesh(sites=points, max_edge=(0.1, 0.3), cutoff=0.05)
    assert mesh.n_vertices < 2000
    # of 20,000 circles those on the rim are united, which is what takes minutes; few triangulations see all sites
    assert 0 < sum(circles) < 1000
    assert sum(n > 2000 for n in vertices) <= 4 and len(vertices) < 30


def test_islands_are_grown_one_by_one(monkeypatch):
    buffer, alone = shapely.buffer, []

    def counted_buffer(geometry, *arguments, **options):
        alone.append(max(np.atleast_1d(shapely.get_num_geometries(geometry))))
        return buffer(geometry, *arguments, **options)

    corners = np.random.default_rng(2).uniform(0, 100, (60, 2))
    islands = shapely.union_all(shapely.box(*corners.T, *(corners + 2).T))
    monkeypatch.setattr(shapely, "buffer", counted_buffer)
    hull = nonconvex_hull(islands, 8.0, 5.0)
    assert alone[0] == 1  # many at once cost GEOS ten times as much, and a thousand of them half a minute
    monkeypatch.undo()
    at_once = shapely.buffer(shapely.buffer(islands, 13.0, quad_segs=16), -5.0, quad_segs=16)
    # arcs are polygons of 64 sides, within 0.0012 of the radius, and may begin at another angle
    assert shapely.symmetric_difference(hull, at_once).area < 0.0012 * 13.0 * at_once.length
    assert hull.covers(islands)


def test_equal_sites_are_one_vertex():
    mesh = build_mesh(SQUARE, sites=[[0.5, 0.5]] * 3, max_edge=0.5, convex=0, cutoff=0)
    assert (mesh.vertices == 0.5).all(axis=1).sum() == 1


@pytest.mark.parametrize("distance", [0, 1e-15, 1e-9, -1e-12])
def test_a_site_next_to_an_edge_makes_no_flat_triangle(distance):
    mesh = build_mesh(SQUARE, sites=[[0.37, distance], [0.7, 0.7]], max_edge=0.5, convex=0)
    assert mesh.angles.min() >= 21
    assert mesh.n_vertices < 60
    np.testing.assert_array_equal(mesh.vertices[0], [0.37, distance])


SLIVER = shapely.box(0, 0, 1, 1e-3)


@pytest.mark.parametrize(
    ("domain", "sites"),
    [
        # outlines bend through the sites: by 1e-9 of the diameter it was 5e-10 of one area and 9e-7 of the other
        (shapely.Polygon([(0, 0), (1, 1), (0.5, 0)]), [[1e-9, 2.2e-16]]),
        (SLIVER, [[0.3, 1e-9], [0.5, 5e-10], [1e-9, 5e-4], [0.7, 1e-3 - 9e-10]]),
        (SLIVER, [[0.3, 1e-13]]),
        # numbers whose squares vanish: GEOS took places for far apart, and the triangulation broke off
        (shapely.union_all([shapely.box(0.5, 5e-324, 1, 0.5), shapely.box(0.25, 0, 0.75, 0.5)]), [[0.6, 5e-324]]),
    ],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:the smallest angle")
def test_sites_on_an_outline_leave_the_domain_its_area(domain, sites):
    mesh = build_mesh(domain, sites=sites, max_edge=0.5, convex=0, cutoff=0)
    assert abs(mesh.areas.sum() - domain.area) <= 1e-9 * domain.area
    np.testing.assert_allclose(mesh.vertices[: len(sites)], sites, rtol=0, atol=1e-150)


def test_sites_need_not_be_vertices(coast, sites):
    mesh = build_mesh(coast, sites=sites, use_sites=False, **CHAPTER)
    assert mesh.n_vertices < 400
    assert mesh.basis(sites).shape == (157, mesh.n_vertices)


def test_sites_offshore_of_the_land_are_fine_and_beyond_the_mesh_are_not(coast, sites):
    build_mesh(coast, sites=np.vstack([sites, [[-3000, -2620]]]), **CHAPTER)
    with pytest.raises(InputError, match=r"1 of 158 sites.*row 157.*\(0, 3000\).*offset"):
        build_mesh(coast, sites=np.vstack([sites, [[0, 3000]]]), **CHAPTER)


# -- bad input -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"max_edge": 0}, "max_edge"),
        ({"max_edge": np.nan}, "max_edge"),
        ({"max_edge": (0.1, 0.2, 0.3)}, "max_edge"),
        ({"max_edge": "small"}, "max_edge"),
        ({"max_edge": 1e-5}, "max_edge asks for about .*max_vertices"),
        ({"min_angle": 40}, "min_angle.*30"),
        ({"cutoff": -1}, "cutoff"),
        ({"max_vertices": 0}, "max_vertices"),
        ({"sites": [[0.5, np.nan]]}, "not finite.*row 0"),
        ({"sites": [[0.5, 0.5, 0.5]]}, "m x 2"),
        ({"convex": 0.1, "concave": (0.1, 0.2)}, "convex"),
        ({"convex": (0.2, 0.1)}, "outer hull"),
        ({"crs": "EPSG:0"}, "crs"),
        ({"lines": shapely.Point(0, 0)}, "lines"),
        ({"lines": [[0, 0], [np.inf, 1]]}, "not finite"),
    ],
)
def test_bad_input_is_named(change, words):
    with pytest.raises(InputError, match=words):
        build_mesh(SQUARE, **{"max_edge": 0.3, "convex": 0, **change})


def test_nothing_is_nothing():
    with pytest.raises(InputError, match="sites go to sites="):
        build_mesh(np.array([[0, 0], [1, 1], [1, 0], [0, 1], [3, 2]]), max_edge=1)
    with pytest.raises(InputError, match="domain, or sites"):
        build_mesh()
    with pytest.raises(InputError, match="domain, or sites"):
        build_mesh(sites=np.empty((0, 2)))


def test_close_sites_that_break_the_cap_say_so():
    sites = 0.5 + 1e-4 * np.random.default_rng(0).uniform(size=(200, 2))
    with pytest.raises(InputError, match="max_vertices = 300.*cutoff"):
        build_mesh(SQUARE, sites=sites, max_edge=0.5, convex=0, cutoff=0, max_vertices=300)


def test_degrees_are_refused_with_the_zone_to_use():
    layer = gpd.GeoSeries([shapely.box(166.8, 11.2, 166.9, 11.3)], crs="EPSG:4326")
    with pytest.raises(InputError, match="EPSG:32658"):
        build_mesh(layer)


def test_crs_comes_from_either_input_and_conflicts_are_refused():
    points = gpd.GeoSeries([shapely.Point(0.5, 0.5)], crs="EPSG:32658")
    assert build_mesh(SQUARE, sites=points, max_edge=1).crs.to_epsg() == 32658
    assert build_mesh(SQUARE, max_edge=1, crs="local:m").crs.is_engineering
    with pytest.raises(InputError, match="different CRSs"):
        build_mesh(gpd.GeoSeries([SQUARE], crs="EPSG:32659"), sites=points)
    with pytest.raises(InputError, match="contradicts"):
        build_mesh(SQUARE, sites=points, crs="EPSG:32659")


def test_a_sharp_corner_is_kept_with_a_warning():
    wedge = shapely.Polygon([[0, 0], [1, 0], [1, 0.1]])
    with pytest.warns(GeospdeWarning, match=r"5\.7 degrees, at \(0, 0\)"):
        mesh = build_mesh(wedge, max_edge=0.2, convex=0)
    assert mesh.n_vertices < 200
    assert mesh.areas.sum() == pytest.approx(0.05, rel=1e-12)


# -- random domains --------------------------------------------------------------------------------------------


@st.composite
def star_polygons(draw):
    radius = draw(st.lists(st.floats(0.3, 1), min_size=3, max_size=12))
    turn = 2 * np.pi * np.arange(len(radius)) / len(radius)
    shell = np.column_stack([np.cos(turn), np.sin(turn)]) * np.array(radius)[:, None]
    if draw(st.booleans()):
        return shapely.Polygon(shell, [0.3 * shell[::-1]])
    return shapely.Polygon(shell)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(star_polygons(), st.floats(0.08, 0.6), st.integers(0, 2**32 - 1))
def test_any_domain_is_covered_by_a_conforming_mesh_that_keeps_its_limits(domain, max_edge, seed):
    points = np.random.default_rng(seed).uniform(-1, 1, (12, 2))
    points = points[shapely.contains_xy(domain.buffer(-0.02), points)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GeospdeWarning)  # of corners, judged below
        mesh = build_mesh(domain, sites=points, max_edge=max_edge, convex=0, cutoff=0)
    assert mesh.areas.sum() == pytest.approx(domain.area, rel=1e-9)
    assert mesh.boundary.symmetric_difference(domain).area < 1e-9
    assert euler(mesh) == 1 - len(domain.interiors)
    assert mesh.edge_lengths.max() <= max_edge
    assert is_delaunay(mesh)
    np.testing.assert_array_equal(mesh.vertices[: len(points)], points)
    sharp = min(_corners(domain))
    if sharp > 60:
        assert mesh.angles.min() >= 21
    assert mesh.angles.min() >= min(21, 0.3 * sharp)


def _corners(polygon):
    for ring in [polygon.exterior, *polygon.interiors]:
        p = np.array(shapely.LinearRing(ring).coords)[:-1]
        a, b = np.roll(p, 1, axis=0) - p, np.roll(p, -1, axis=0) - p
        cosine = (a * b).sum(axis=1) / np.hypot(*a.T) / np.hypot(*b.T)
        yield from np.degrees(np.arccos(np.clip(cosine, -1, 1)))


@pytest.mark.parametrize("side", [1e-6, 1e-2])
def test_a_domain_that_its_coordinates_cannot_hold_is_refused(side):
    with pytest.raises(InputError, match="hold too few digits of it: measure them from a place nearby"):
        build_mesh(shapely.box(1e8, 1e8, 1e8 + side, 1e8 + side), convex=0)


def test_a_domain_narrower_than_the_cutoff_is_refused():
    with pytest.raises(InputError, match="narrower than the cutoff of 5, which leaves nothing"):
        build_mesh(shapely.box(0, 0, 1000, 1e-3), max_edge=5000, convex=0)


def test_zones_are_the_same_by_loops_that_are_compiled_and_by_those_as_written(monkeypatch):
    ring = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 3.0], [0.0, 3.0], [1.0, 1.0], [2.0, 1.0], [2.0, 2.0], [1.0, 2.0]])
    segments = np.array([[0, 1], [1, 2], [2, 3], [3, 0], [4, 5], [5, 6], [6, 7], [7, 4]])
    mesh = Triangulation.of(ring, segments)
    areas = [shapely.box(1, 1, 2, 2), shapely.box(0, 0, 4, 3)]
    written = mesh.zones(areas)
    monkeypatch.setattr(triangulation, "_FEW", 0)
    np.testing.assert_array_equal(mesh.zones(areas), written)
    assert set(written) == {-1, 0, 1}
