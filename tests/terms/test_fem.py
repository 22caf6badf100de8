import numpy as np
import pytest
import scipy.io
from oracles import REFERENCE, reference_mesh, square_mesh

from geospde.terms.precisions.fem import fem_matrices


def test_matrices_of_one_triangle_are_the_analytic_integrals():
    # right triangle with legs 3 and 2: area 3; gradients (-1/3, -1/2), (1/3, 0), (0, 1/2)
    mass, stiffness = fem_matrices([[0, 0], [3, 0], [0, 2]], [[0, 1, 2]])
    gradients = np.array([[-1 / 3, -1 / 2], [1 / 3, 0], [0, 1 / 2]])
    np.testing.assert_allclose(mass, 1.0, rtol=1e-14)  # a third of the area each
    np.testing.assert_allclose(stiffness.toarray(), 3.0 * gradients @ gradients.T, atol=1e-14)


def test_energy_of_a_linear_function_is_exact_and_constants_have_none():
    mesh = square_mesh(7, -1, 2)
    mass, stiffness = fem_matrices(mesh.vertices, mesh.triangles)
    f = mesh.vertices @ [2.0, -3.0] + 1
    assert f @ stiffness @ f == pytest.approx(13 * 9)  # |grad|² times area
    assert mass.sum() == pytest.approx(9)
    np.testing.assert_allclose(stiffness @ np.ones(mesh.n_vertices), 0, atol=1e-12)


def test_energy_of_a_quadratic_converges_with_order_two():
    errors = []
    for cells in (4, 8, 16):
        mesh = square_mesh(cells)
        stiffness = fem_matrices(mesh.vertices, mesh.triangles)[1]
        f = mesh.vertices[:, 0] ** 2
        errors.append(abs(f @ stiffness @ f - 4 / 3))  # integral of (2x)²
    slopes = np.diff(np.log(errors)) / np.log(0.5)
    np.testing.assert_allclose(slopes, 2, atol=0.05)


def test_matrices_agree_with_fmesher_on_the_reference_mesh():
    mesh = reference_mesh()
    mass, stiffness = fem_matrices(mesh.vertices, mesh.triangles)
    # coordinates were written with 15 digits and differences of thousands of metres lose some: 1e-10 is rounding
    np.testing.assert_allclose(mass, scipy.io.mmread(REFERENCE / "c0.mtx").diagonal(), rtol=1e-10)
    theirs = scipy.io.mmread(REFERENCE / "g1.mtx").tocsc()
    assert abs(stiffness - theirs).max() < 1e-9
