import numpy as np
import pytest
from shapely import Polygon, box

import geospde as gs
from geospde.mesh.coarse import coarser

ELL = Polygon([(0, 0), (10, 0), (10, 4), (4, 4), (4, 10), (0, 10)])


@pytest.fixture(scope="module")
def mesh():
    """An L of short edges inside a wide ring of long ones, with marks and values."""
    plain = gs.build_mesh(ELL, max_edge=(0.5, 2.0), offset=(0.5, 3.0))
    centres = plain.vertices[plain.triangles].mean(axis=1)
    marked = gs.Mesh(
        plain.vertices, plain.triangles, crs=plain.crs, inner=plain.inner, barrier=centres[:, 0] > 5,
        values={"west": plain.vertices[:, 0]},
    )  # fmt: skip
    return marked


def test_about_a_quarter_of_the_vertices_stay_and_every_place_is_covered(mesh):
    found = coarser(mesh)
    assert 0.2 * mesh.n_vertices < found.n_vertices < 0.4 * mesh.n_vertices
    assert (found.locate(mesh.vertices) >= 0).all()
    assert found.areas.sum() == pytest.approx(mesh.boundary.convex_hull.area, rel=1e-9)  # sums of rounded areas


def test_it_is_fine_where_the_mesh_is_fine(mesh):
    found = coarser(mesh)
    centres = found.vertices[found.triangles].mean(axis=1)
    inside = mesh.inner[mesh.locate(centres)]
    # near a corner of the hull the ring's triangles are small, too
    assert np.median(found.areas[inside]) < 0.4 * np.median(found.areas[~inside])


def test_marks_and_values_are_those_of_the_place(mesh):
    found = coarser(mesh)
    np.testing.assert_array_equal(found.values["west"], found.vertices[:, 0])
    centres = found.vertices[found.triangles].mean(axis=1)
    far = np.abs(centres[:, 0] - 5) > 2  # a fine triangle's centre stands within one edge of a point in it
    np.testing.assert_array_equal(found.barrier[far], centres[far, 0] > 5)


def test_numbers_of_the_vertices_change_nothing(mesh):
    order = np.random.default_rng(1).permutation(mesh.n_vertices)
    place = np.argsort(order)
    turned = gs.Mesh(mesh.vertices[order], place[mesh.triangles])
    one, other = coarser(mesh).vertices, coarser(turned).vertices
    np.testing.assert_array_equal(one[np.lexsort(one.T)], other[np.lexsort(other.T)])


def test_a_square_whose_boundary_is_straight_keeps_its_area():
    found = coarser(gs.build_mesh(box(0, 0, 1, 1), max_edge=0.07, convex=0))
    assert found.areas.sum() == pytest.approx(1.0, rel=1e-9)
    assert found.areas.min() > 1e-6
