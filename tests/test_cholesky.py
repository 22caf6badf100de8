import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from geospde.inference.cholesky import Cholmod, Dense, NotPositiveDefinite, SuperLU
from geospde.inference.selected_inverse import SelectedInverse

SOLVERS = [Cholmod, SuperLU, Dense]


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


matrices = st.builds(
    random_spd,
    st.integers(1, 60),
    st.floats(0.0, 0.3),
    st.floats(0, 5),
    st.integers(0, 2**31),
)


@pytest.mark.parametrize("solver", SOLVERS)
@settings(max_examples=40, deadline=None)
@given(a=matrices)
def test_solvers_agree_with_dense_algebra(solver, a):
    n = a.shape[0]
    dense = a.toarray()
    scale = np.sqrt(np.diag(dense))
    pattern = lower_of(a)
    analysed = solver(pattern)
    for factor_of in (1.0, 2.5):  # values are refilled on the same pattern
        factor = analysed.factor(factor_of * pattern.data)
        inverse = np.linalg.inv(dense / np.outer(scale, scale)) / np.outer(scale, scale) / factor_of
        tolerance = 1e-9 * np.outer(1 / scale, 1 / scale) * np.linalg.cond(dense / np.outer(scale, scale))
        expected = 2 * np.log(scale).sum() + np.linalg.slogdet(dense / np.outer(scale, scale))[1]
        assert factor.log_determinant == pytest.approx(expected + n * np.log(factor_of), rel=1e-10, abs=1e-9)
        assert (np.abs(factor.solve(np.eye(n)) - inverse) <= tolerance).all()
        np.testing.assert_allclose(factor.solve(np.ones(n)), factor.solve(np.ones((n, 1)))[:, 0], rtol=1e-10)
        half = factor.half_solve(np.eye(n))
        assert (np.abs(half @ half.T - inverse) <= tolerance).all()
        order, lower = factor.lower()
        product = (lower @ lower.T).toarray()
        assert (
            np.abs(product - factor_of * dense[np.ix_(order, order)])
            <= 1e-12 * np.outer(scale, scale)[np.ix_(order, order)] * n * factor_of
        ).all()
        columns = np.repeat(np.arange(n), np.diff(pattern.indptr))
        selected = SelectedInverse(pattern)(factor)
        assert (np.abs(selected - inverse[pattern.indices, columns]) <= tolerance[pattern.indices, columns]).all()


@pytest.mark.parametrize("solver", SOLVERS)
def test_solving_still_works_after_the_factor_was_read_out(solver):
    pattern = lower_of(random_spd(30, 0.1, 0, 1))
    analysed = solver(pattern)
    factor = analysed.factor(pattern.data)
    before = factor.solve(np.ones(30))
    factor.lower()
    np.testing.assert_array_equal(factor.solve(np.ones(30)), before)
    np.testing.assert_allclose(analysed.factor(pattern.data).solve(np.ones(30)), before)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("wrong", ["indefinite", "nan", "infinite", "singular"])
def test_what_has_no_factor_is_refused(solver, wrong):
    a = np.array([[2.0, 1.0, 0.0], [1.0, 2.0, 1.0], [0.0, 1.0, 2.0]])
    pattern = lower_of(sp.csc_matrix(a))
    values = pattern.data.copy()
    if wrong == "indefinite":
        values[0] = -1.0
    elif wrong == "nan":
        values[1] = np.nan
    elif wrong == "infinite":
        values[2] = np.inf
    else:
        values[:] = 0.0
    with pytest.raises(NotPositiveDefinite):
        solver(pattern).factor(values)


def test_selected_inverse_of_a_mesh_precision_is_the_dense_inverse():
    from oracles import square_mesh

    from geospde.latent.fem import fem_matrices
    from geospde.latent.matern import MaternSpde

    mesh = square_mesh(18)
    term = MaternSpde(*fem_matrices(mesh.vertices, mesh.triangles))
    values = term.values(np.log([0.3, 1.0]))
    inverse = np.linalg.inv(term.precision(np.log([0.3, 1.0])).toarray())
    columns = np.repeat(np.arange(term.n), np.diff(term.pattern.indptr))
    for solver in SOLVERS:
        selected = SelectedInverse(term.pattern)(solver(term.pattern).factor(values))
        np.testing.assert_allclose(selected, inverse[term.pattern.indices, columns], rtol=1e-8)
