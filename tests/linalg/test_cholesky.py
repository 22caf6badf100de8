import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import square_mesh
from patterns import METHODS, PATTERNS, lower_pattern

from geospde.linalg import cholesky
from geospde.linalg.cholesky import Cholesky, NotPositiveDefinite
from geospde.linalg.ordering import fill_reducing
from geospde.linalg.symbolic import analyse
from geospde.terms.precisions.fem import fem_matrices
from geospde.terms.precisions.matern import MaternSpde


def analysed(pattern, method):
    """The solver of a pattern whose graph is ordered by a given method."""
    return Cholesky(pattern, lambda p: fill_reducing(p, method))


def lower_of(matrix):
    lower = sp.tril(matrix).tocsc()
    lower.sort_indices()
    return lower


def random_spd(n, density, decades, seed):
    """A sparse positive definite matrix, randomly permuted, its scales spread over some decades."""
    rng = np.random.default_rng(seed)
    root = sp.random(n, n, density, random_state=rng, format="csc")
    scale = sp.diags_array(10 ** rng.uniform(-decades / 2, decades / 2, n))
    a = scale @ (root @ root.T + sp.diags_array(rng.uniform(0.1, 2, n))) @ scale
    order = rng.permutation(n)
    return a.tocsc()[order][:, order].tocsc()


matrices = st.builds(random_spd, st.integers(1, 200), st.floats(0.0, 0.1), st.floats(0, 6), st.integers(0, 2**31))


@METHODS
@settings(max_examples=50, deadline=None)
@given(a=matrices)
def test_everything_agrees_with_dense_algebra(method, a):
    n, dense, pattern = a.shape[0], a.toarray(), lower_of(a)
    scale = np.sqrt(np.diag(dense))
    unit = dense / np.outer(scale, scale)  # the oracle itself needs a well-scaled matrix
    # rounding grows with the condition of the scaled matrix, entry by entry in its scale
    tolerance = 1e-13 * n * np.linalg.cond(unit) / np.outer(scale, scale)
    columns = np.repeat(np.arange(n), np.diff(pattern.indptr))
    solver = analysed(pattern, method)
    for times in (1.0, 2.5):  # values are refilled on the same pattern
        factor = solver.factor(times * pattern.data)
        inverse = np.linalg.inv(unit) / np.outer(scale, scale) / times
        expected = 2 * np.log(scale).sum() + np.linalg.slogdet(unit)[1] + n * np.log(times)
        assert factor.log_determinant == pytest.approx(expected, rel=1e-10, abs=1e-9)
        assert (np.abs(factor.solve(np.eye(n)) - inverse) <= tolerance).all()
        apart = np.abs(factor.solve(np.ones(n)) - factor.solve(np.ones((n, 1)))[:, 0])
        assert (apart <= tolerance.sum(axis=1)).all()
        half = factor.half_solve(np.eye(n))
        assert (np.abs(half @ half.T - inverse) <= tolerance).all()
        selected = factor.selected_inverse()
        assert (np.abs(selected - inverse[pattern.indices, columns]) <= tolerance[pattern.indices, columns]).all()


@METHODS
def test_a_mesh_precision_with_wide_supernodes(method):
    mesh = square_mesh(40)  # separators of many columns
    term = MaternSpde(*fem_matrices(mesh.vertices, mesh.triangles))
    theta = np.log([0.3, 1.0])
    factor = analysed(term.pattern, method).factor(term.values(theta))
    dense = term.matrix(theta).toarray()
    inverse = np.linalg.inv(dense)
    columns = np.repeat(np.arange(term.n), np.diff(term.pattern.indptr))
    np.testing.assert_allclose(factor.selected_inverse(), inverse[term.pattern.indices, columns], rtol=1e-7)
    assert factor.log_determinant == pytest.approx(np.linalg.slogdet(dense)[1], rel=1e-11)


def test_arguments_are_left_as_they_were():
    a = lower_of(random_spd(40, 0.1, 0, 1))
    values, right = a.data.copy(), np.ones((40, 2))
    factor = Cholesky(a).factor(values)
    before = factor.solve(right)
    factor.selected_inverse(), factor.half_solve(right)
    np.testing.assert_array_equal(values, a.data)
    np.testing.assert_array_equal(right, 1.0)
    np.testing.assert_allclose(factor.solve(right), before, rtol=1e-12)  # a spoilt factor would miss by its entries


@METHODS
@pytest.mark.parametrize(
    "values", [(-1, 1, 2, 1, 2), (2, np.nan, 2, 1, 2), (2, 1, np.inf, 1, 2), (0,) * 5, (1, 2, 1, 0, 1)]
)
def test_what_has_no_factor_is_refused(method, values):
    pattern = lower_of(sp.csc_matrix(np.array([[2.0, 1.0, 0.0], [1.0, 2.0, 1.0], [0.0, 1.0, 2.0]])))
    with pytest.raises(NotPositiveDefinite):
        analysed(pattern, method).factor(np.array(values, dtype=float))


def test_many_right_hand_sides_are_solved_as_one_is():
    a = lower_of(random_spd(300, 0.02, 2, 4))
    factor = Cholesky(a).factor(a.data)
    right = np.random.default_rng(2).normal(size=(300, 7))
    one_by_one = np.column_stack([factor.solve(column) for column in right.T])
    np.testing.assert_allclose(factor.solve(right), one_by_one, rtol=1e-9, atol=1e-12)
    halves = np.column_stack([factor.half_solve(column) for column in right.T])
    np.testing.assert_allclose(factor.half_solve(right), halves, rtol=1e-9, atol=1e-12)


@METHODS
@pytest.mark.parametrize("name", PATTERNS)
def test_patterns_of_every_kind(method, name):
    pattern = lower_pattern(PATTERNS[name])
    n, rng = pattern.shape[0], np.random.default_rng(1)
    columns = np.repeat(np.arange(n), np.diff(pattern.indptr))
    values = np.where(pattern.indices == columns, 0.0, rng.uniform(-1, 1, pattern.nnz))
    lower = sp.csc_matrix((values, pattern.indices, pattern.indptr), shape=(n, n))
    off = (lower + lower.T).toarray()
    dense = off + np.diag(np.abs(off).sum(axis=1) + 1.0)  # diagonally dominant: well conditioned
    factor = analysed(pattern, method).factor(dense[pattern.indices, columns])
    inverse = np.linalg.inv(dense)
    # condition numbers below 100: a hundred roundings of 1e-16 each stay far below
    np.testing.assert_allclose(factor.selected_inverse(), inverse[pattern.indices, columns], rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(factor.solve(np.eye(n)), inverse, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(factor.log_determinant, np.linalg.slogdet(dense)[1], rtol=1e-12)
    assert factor.solve(np.empty((n, 0))).shape == (n, 0)


def test_a_pattern_is_analysed_once_for_fits_one_after_another(monkeypatch):
    ordered = []

    def counted(pattern):
        ordered.append(pattern.shape[0])
        return fill_reducing(pattern)

    monkeypatch.setattr(cholesky, "fill_reducing", counted)
    cholesky._remembered.cache_clear()
    for size, known in ((5, []), (5, [36]), (6, [36]), (5, [36, 49])):
        assert ordered == known
        mesh = square_mesh(size)
        pattern = MaternSpde(*fem_matrices(mesh.vertices, mesh.triangles)).pattern
        layout, plain = Cholesky(pattern).layout, analyse(pattern, fill_reducing(pattern))
        for name in vars(plain):
            np.testing.assert_array_equal(getattr(layout, name), getattr(plain, name))
    assert ordered == [36, 49]
