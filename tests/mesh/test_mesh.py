"""`Mesh`: what it holds, what it refuses, points in it, files of it."""

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import scipy.io
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import Delaunay

import geospde as gs
from geospde.errors import InputError
from geospde.mesh import locate

REFERENCE = Path(__file__).parents[1] / "reference" / "rongelap"
LOCAL = 'LOCAL_CS["local (m)",UNIT["metre",1],AXIS["Easting",EAST],AXIS["Northing",NORTH]]'
SQUARE = [[0, 0], [1, 0], [1, 1], [0, 1]]


def load(name):
    return np.loadtxt(REFERENCE / name, delimiter=",", skiprows=1)


@pytest.fixture(scope="module")
def reference():
    return gs.Mesh(load("mesh_vertices.csv"), load("mesh_triangles.csv"), crs="local:m")


def random_mesh(seed, n=200, scale=1.0, shift=0.0):
    points = np.random.default_rng(seed).uniform(size=(n, 2))
    points = np.vstack([points, [[0, 0], [1, 0], [1, 1], [0, 1]]])
    return gs.Mesh(points * scale + shift, Delaunay(points).simplices)


# -- what it holds ---------------------------------------------------------------------------------------------


def test_reference_mesh_has_fmeshers_diameter_and_areas(reference):
    assert reference.diameter == pytest.approx(7451.712, abs=5e-4)
    lumped = np.bincount(reference.triangles.ravel(), np.repeat(reference.areas / 3, 3))
    np.testing.assert_allclose(lumped, scipy.io.mmread(REFERENCE / "c0.mtx").diagonal(), rtol=1e-9)
    assert reference.quality().min_angle == pytest.approx(21.0, abs=0.05)
    assert reference.quality().angle_q05 == pytest.approx(26.9, abs=0.05)


def test_order_and_numbers_of_vertices_are_kept(reference):
    np.testing.assert_array_equal(reference.vertices, load("mesh_vertices.csv"))
    np.testing.assert_array_equal(np.sort(reference.triangles), np.sort(load("mesh_triangles.csv")))


def test_clockwise_triangles_are_turned():
    mesh = gs.Mesh(SQUARE, [[0, 2, 1], [0, 2, 3]])
    np.testing.assert_array_equal(mesh.areas, [0.5, 0.5])
    assert set(mesh.triangles[0]) == {0, 1, 2}


def test_topology_of_two_triangles():
    mesh = gs.Mesh(SQUARE, [[0, 1, 2], [0, 2, 3]])
    assert mesh.edges.tolist() == [[0, 1], [0, 2], [0, 3], [1, 2], [2, 3]]
    assert mesh.neighbours.tolist() == [[-1, 1, -1], [-1, -1, 0]]
    assert sorted(mesh.boundary_edges.tolist()) == [[0, 1], [1, 2], [2, 3], [3, 0]]
    assert mesh.boundary_vertices.tolist() == [0, 1, 2, 3]
    assert mesh.boundary.equals(shapely.box(0, 0, 1, 1))
    assert mesh.bounds == (0, 0, 1, 1)
    np.testing.assert_allclose(mesh.angles, [[45, 90, 45], [45, 45, 90]])


def test_neighbours_share_the_edge_opposite_the_corner(reference):
    triangle, corner = np.nonzero(reference.neighbours >= 0)
    for t, c in zip(triangle, corner):
        shared = set(reference.triangles[t]) - {reference.triangles[t, c]}
        assert shared < set(reference.triangles[reference.neighbours[t, c]])
    assert (reference.neighbours < 0).sum() == len(reference.boundary_edges)


def test_boundary_with_a_hole_touched_at_a_corner():
    side = np.arange(5)
    x, y = (a.ravel() for a in np.meshgrid(side, side))
    quads = [[i + 5 * j, i + 1 + 5 * j, i + 6 + 5 * j, i + 5 + 5 * j] for j in range(4) for i in range(4)]
    quads = [q for k, q in enumerate(quads) if k not in (5, 10)]  # two holes that meet at the middle
    triangles = [t for a, b, c, d in quads for t in ([a, b, c], [a, c, d])]
    mesh = gs.Mesh(np.column_stack([x, y]), triangles)
    assert mesh.boundary.area == 14
    assert mesh.boundary.is_valid


def test_a_mesh_does_not_change():
    given_vertices = np.array(SQUARE, float)
    mesh = gs.Mesh(given_vertices, [[0, 1, 2], [0, 2, 3]])
    given_vertices[0] = 9
    assert mesh.vertices[0].tolist() == [0, 0]
    for array in [mesh.vertices, mesh.triangles, mesh.inner, mesh.areas, mesh.edges, mesh.angles, mesh.neighbours]:
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(AttributeError):
        mesh.vertices = SQUARE


def test_refined_halves_every_edge():
    mesh = random_mesh(0).refined()
    old = random_mesh(0)
    assert mesh.n_triangles == 4 * old.n_triangles
    np.testing.assert_array_equal(mesh.vertices[: old.n_vertices], old.vertices)
    np.testing.assert_allclose(mesh.areas.reshape(-1, 4), np.repeat(old.areas[:, None] / 4, 4, axis=1))
    assert mesh.edge_lengths.max() == pytest.approx(old.edge_lengths.max() / 2)


def test_refined_keeps_zones():
    mesh = gs.Mesh(SQUARE, [[0, 1, 2], [0, 2, 3]], inner=[True, False])
    assert mesh.refined().areas[mesh.refined().inner].sum() == 0.5


@pytest.mark.parametrize(
    ("vertices", "triangles", "words"),
    [
        ([[0, 0], [1, 0], [0, np.nan]], [[0, 1, 2]], "not finite.*row 2"),
        ([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 1, 2]], "m x 2"),
        (SQUARE, [[0, 1], [2, 3]], "t x 3"),
        (SQUARE, np.empty((0, 3)), "t x 3"),
        (SQUARE, [[1, 2, 3], [1, 3, 4]], "1 to 4.*there are 4"),
        (SQUARE, [[0, 1, 2.5]], "whole"),
        (SQUARE, [[0, 1, 2]], "1 vertices belong to no triangle, the first is 3"),
        ([*SQUARE, [0, 0]], [[0, 1, 2], [4, 2, 3]], "vertices 0 and 4 are the same"),
        ([*SQUARE, [2, 0]], [[0, 1, 2], [0, 2, 3], [0, 1, 4]], "triangle 2 has no area"),
        ([*SQUARE, [0.5, -5e-7]], [[0, 1, 2], [0, 2, 3], [0, 4, 1]], "triangle 2 has an angle of 5.73×10⁻⁵ degrees"),
        ([*SQUARE, [0.9, 0.1]], [[0, 1, 2], [0, 2, 3], [0, 4, 2]], "overlaps"),
    ],
)
def test_what_is_no_triangulation_is_refused(vertices, triangles, words):
    with pytest.raises(InputError, match=words):
        gs.Mesh(vertices, triangles)


@pytest.mark.slow
def test_zone_and_crs_are_checked():
    with pytest.raises(InputError, match="inner"):
        gs.Mesh(SQUARE, [[0, 1, 2], [0, 2, 3]], inner=[True])
    with pytest.raises(InputError, match="crs"):
        gs.Mesh(SQUARE, [[0, 1, 2], [0, 2, 3]], crs="nonsense")


# -- points in it ----------------------------------------------------------------------------------------------


def test_few_points_are_found_as_many_are(reference, monkeypatch):
    """By numpy and by the loop as it is written, to the last bit: the same arithmetic in the same order."""
    rng, v, t = np.random.default_rng(5), reference.vertices, reference.triangles
    inside = rng.uniform(v.min(axis=0) - 100, v.max(axis=0) + 100, (400, 2))
    some = rng.choice(len(t), 60)
    points = np.vstack(
        [inside, v[:60], v[t[some]].mean(axis=1), 0.5 * (v[t[some, 0]] + v[t[some, 1]]), [[np.nan, 0.0]]]
    )
    monkeypatch.setattr(locate, "FEW", np.inf)
    found = locate.search(reference._finder, points)
    f, own = reference._finder, (np.empty(len(points), np.int64), np.zeros((len(points), 3)))
    locate._search.py_func(points, f.low, f.cell, np.array(f.shape), f.corners, f.slack, f.start, f.content, *own)
    assert 0 < (found[0] < 0).sum() < len(inside)
    for numpy, loop in zip(found, own):
        np.testing.assert_array_equal(numpy, loop)


@pytest.mark.slow
def test_many_points_are_found_as_few_are(reference, monkeypatch):
    points = np.random.default_rng(6).uniform(reference.vertices.min(axis=0), reference.vertices.max(axis=0), (9000, 2))
    answers = []
    for few, parts in ((np.inf, 1), (0, 1), (locate.searched.points + 4000, 3)):
        monkeypatch.setattr(locate, "FEW", few)
        found = [locate.search(reference._finder, part) for part in np.array_split(points, parts)]
        answers.append([np.concatenate(each) for each in zip(*found)])
    for other in answers[1:]:
        for one, same in zip(answers[0], other):
            np.testing.assert_array_equal(one, same)


def test_scattered_points_are_found_as_sorted_ones_are(reference, monkeypatch):
    rng = np.random.default_rng(8)
    points = rng.uniform(reference.vertices.min(axis=0) - 50, reference.vertices.max(axis=0) + 50, (3000, 2))
    points[7] = np.nan
    plain = locate.search(reference._finder, points)
    monkeypatch.setattr(locate, "MANY", 0)
    order = locate.sorted_by_place(reference._finder, points)
    assert sorted(order) == list(range(3000))
    step = np.linalg.norm(np.diff(points[order], axis=0), axis=1)
    assert np.nanmedian(step) < 0.2 * np.nanmedian(np.linalg.norm(np.diff(points, axis=0), axis=1))
    for one, same in zip(plain, locate.search(reference._finder, points)):
        np.testing.assert_array_equal(one, same)
    assert locate.sorted_by_place(reference._finder, points[np.lexsort(points.T)][:1]) is None
    cells = np.stack(np.meshgrid(*(np.linspace(a, b, 3000) for a, b in zip(points[0], points[1]))), axis=-1)[:2]
    assert locate.sorted_by_place(reference._finder, cells.reshape(-1, 2)) is None


def test_parts_of_a_map_are_searched_by_the_loop_once_they_are_many(reference, monkeypatch):
    taken = []
    monkeypatch.setattr(locate, "FEW", locate.searched.points + 5)
    monkeypatch.setattr(locate, "_search", lambda points, *_: taken.append(len(points)))
    for _ in range(3):
        locate.search(reference._finder, reference.vertices[:3])
    assert taken == [3, 3]


def dense_locate(mesh, points):
    """For each point the triangles that hold it, by solving for the weights in all of them."""
    a, b, c = mesh.vertices[mesh.triangles].transpose(1, 0, 2)
    frames = np.stack([b - a, c - a], axis=-1)
    w = np.einsum("tij,ptj->pti", np.linalg.inv(frames), points[:, None] - a)
    return np.dstack([1 - w.sum(axis=-1), w]).min(axis=-1)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([(1, 0), (1e-4, 0), (1e5, 5e6), (100, 5e6)]))
def test_locate_agrees_with_every_triangle_asked(seed, frame):
    mesh = random_mesh(seed, 40, *frame)
    points = np.random.default_rng(seed + 1).uniform(-0.2, 1.2, (200, 2)) * frame[0] + frame[1]
    found = mesh.locate(points)
    least = dense_locate(mesh, points)
    np.testing.assert_array_equal(found >= 0, least.max(axis=1) >= -1e-9)
    inside = found >= 0
    assert least[inside, found[inside]].min() >= -1e-7


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([(1, 0), (1e5, 5e6), (100, 5e6)]))
def test_basis_carries_linear_functions_and_sums_to_one(seed, frame):
    mesh = random_mesh(seed, 40, *frame)
    points = np.random.default_rng(seed).uniform(size=(100, 2)) * frame[0] + frame[1]
    basis = mesh.basis(points)
    assert basis.shape == (100, mesh.n_vertices)
    np.testing.assert_allclose(basis.sum(axis=1), 1, rtol=1e-14)
    assert basis.data.min() >= 0
    np.testing.assert_allclose(basis @ mesh.vertices, points, rtol=0, atol=1e-9 * frame[0] + 1e-15 * frame[1])


@pytest.mark.parametrize("frame", [(1, 0), (1e-3, 1e3), (1e5, 5e6), (50, 5e6)])
def test_vertices_and_points_on_edges_and_boundary_are_inside(frame):
    mesh = random_mesh(3, 60, *frame)
    share = np.random.default_rng(0).uniform(size=(len(mesh.edges), 1))
    ends = mesh.vertices[mesh.edges]
    on_edges = share * ends[:, 0] + (1 - share) * ends[:, 1]
    assert mesh.locate(on_edges).min() >= 0
    identity = mesh.basis(mesh.vertices) - np.eye(mesh.n_vertices)
    assert np.abs(identity).max() < 1e-6


def test_sites_of_the_reference_are_its_vertices(reference):
    basis = reference.basis(reference.vertices)
    assert basis.nnz == 691
    assert np.abs(basis - np.eye(691)).max() < 1e-14


def test_points_outside_are_counted_and_the_first_is_named(reference):
    points = np.array([[-500, -1800], [-6000, 0], [0, 5000]])
    assert (reference.locate(points) >= 0).tolist() == [True, False, False]
    with pytest.raises(InputError, match=r"2 of 3 points.*row 1 \(-6000, 0\)"):
        reference.basis(points)
    zeroed = reference.basis(points, outside="zero")
    np.testing.assert_allclose(zeroed.sum(axis=1), [1, 0, 0])
    with pytest.raises(InputError, match="outside"):
        reference.basis(points, outside="ignore")


def test_a_hole_is_outside():
    mesh = gs.build_mesh(shapely.box(0, 0, 3, 3) - shapely.box(1, 1, 2, 2), max_edge=0.5, convex=0)
    assert mesh.locate([[1.5, 1.5], [0.5, 1.5]])[0] == -1


@pytest.mark.parametrize("size", [1e-9, 1e9])
def test_steep_grading_is_no_matter_for_locate(size):
    mesh = gs.build_mesh(
        shapely.box(0, 0, size, size),
        sites=[[0.3 * size, 0.3 * size], [0.30001 * size, 0.3 * size]],
        max_edge=0.5 * size,
        convex=0,
        cutoff=0,
    )
    middles = mesh.vertices[mesh.triangles].mean(axis=1)
    np.testing.assert_array_equal(mesh.locate(middles), np.arange(mesh.n_triangles))


def test_points_come_in_any_form_and_in_the_meshs_crs(reference):
    layer = gpd.GeoDataFrame(geometry=gpd.points_from_xy([-500], [-1800]), crs=LOCAL)
    assert reference.locate(layer) == reference.locate([[-500, -1800]])
    assert reference.locate(layer.geometry) == reference.locate(layer)
    with pytest.raises(InputError, match="to_crs"):
        reference.locate(layer.set_crs("EPSG:32658", allow_override=True))
    with pytest.raises(InputError, match="row 0 is not a point"):
        reference.locate(gpd.GeoSeries([shapely.Point()]))
    with pytest.raises(InputError, match="not finite"):
        reference.locate([[0, np.inf]])
    with pytest.raises(InputError, match="m x 2"):
        reference.locate([0, 1])
    assert reference.basis(np.empty((0, 2))).shape == (0, 691)


# -- numbers, pictures, files ----------------------------------------------------------------------------------


def test_quality_of_an_equilateral_triangle():
    quality = gs.Mesh([[0, 0], [2, 0], [1, np.sqrt(3)]], [[0, 1, 2]]).quality()
    assert quality.min_angle == pytest.approx(60)
    assert quality.max_aspect == pytest.approx(1)
    assert quality.inner_edges == pytest.approx((2, 2, 2))
    assert quality.outer_edges == ()


@pytest.mark.parametrize(
    "crs", [None, "EPSG:32658", "local:m", "local:km", "+proj=tmerc +lon_0=2.5 +ellps=GRS80 +units=km"]
)
def test_files_and_arrays_give_the_same_mesh_back(tmp_path, crs):
    mesh = random_mesh(5)
    mesh = gs.Mesh(mesh.vertices, mesh.triangles, crs, inner=np.arange(mesh.n_triangles) % 3 > 0)
    mesh.to_gpkg(tmp_path / "mesh.gpkg")
    mesh.to_gpkg(tmp_path / "mesh.gpkg")  # again, over it
    np.savez(tmp_path / "mesh.npz", **mesh.to_arrays())
    for back in [gs.Mesh.from_gpkg(tmp_path / "mesh.gpkg"), gs.Mesh.from_arrays(np.load(tmp_path / "mesh.npz"))]:
        np.testing.assert_array_equal(back.vertices, mesh.vertices)
        np.testing.assert_array_equal(back.triangles, mesh.triangles)
        np.testing.assert_array_equal(back.inner, mesh.inner)
        assert back.crs == mesh.crs
        assert (back.crs.to_wkt() if crs else None) == (mesh.crs.to_wkt() if crs else None)


def test_a_gis_reads_the_layers(tmp_path, reference):
    reference.to_gpkg(tmp_path / "mesh.gpkg")
    triangles = gpd.read_file(tmp_path / "mesh.gpkg", layer="triangles")
    assert triangles.area.sum() == pytest.approx(reference.areas.sum())
    assert triangles.crs == reference.crs
    assert len(gpd.read_file(tmp_path / "mesh.gpkg", layer="vertices")) == 691


def test_other_files_are_refused(tmp_path):
    gpd.GeoDataFrame(geometry=[shapely.Point(0, 0)], crs=LOCAL).to_file(tmp_path / "points.gpkg", layer="vertices")
    for name in ["points.gpkg", "missing.gpkg"]:
        with pytest.raises(InputError, match=name):
            gs.Mesh.from_gpkg(tmp_path / name)
    with pytest.raises(InputError, match="gpkg"):
        random_mesh(1).to_gpkg(tmp_path / "mesh.shp")


def test_plot_draws_every_triangle_once(reference):
    import matplotlib

    matplotlib.use("agg")
    mesh = gs.Mesh(SQUARE, [[0, 1, 2], [0, 2, 3]], crs="local:m", inner=[True, False])
    ax = mesh.plot(sites=[[0.5, 0.5]])
    assert sum(len(c.get_paths()) for c in ax.collections[:2]) == 2
    assert ax.get_aspect() == 1
    assert ax.get_xlabel() == "x (m)"
    assert len(ax.lines) == 1


def test_mesh_import_is_light():
    import subprocess
    import sys

    code = (
        "import sys, geospde.mesh.trimesh; "
        "print([m for m in ('numba', 'geopandas', 'matplotlib', 'pyproj', 'shapely') if m in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
