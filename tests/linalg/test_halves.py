"""Two halves of an elimination tree, done side by side: what one after the other gives, to the last bit."""

import numpy as np
import pandas as pd
import pytest
from oracles import square_mesh

import geospde as gs
from geospde.linalg import threads
from geospde.linalg.cholesky import Cholesky, NotPositiveDefinite
from geospde.terms.precisions.fem import fem_matrices
from geospde.terms.precisions.matern import MaternSpde


@pytest.fixture(scope="module")
def field():
    mesh = square_mesh(70)
    return MaternSpde(*fem_matrices(mesh.vertices, mesh.triangles))


@pytest.fixture(scope="module")
def solver(field):
    return Cholesky(field.pattern)


def test_no_supernode_of_one_half_is_above_one_of_the_other(solver):
    layout = solver.layout
    middle, both = layout.halves
    assert 0 < middle < both < layout.first.size - 1
    for s in range(both):
        rows = layout.owner[layout.rows[layout.row_start[s] : layout.row_start[s + 1]]]
        top = middle if s < middle else both
        assert ((rows < top) | (rows >= both)).all()


def test_halves_share_the_work(solver):
    layout = solver.layout
    middle, both = layout.halves
    width, height = np.diff(layout.first), np.diff(layout.row_start)
    work = np.cumsum(width * height.astype(float) ** 2)
    assert 0.2 < work[middle - 1] / work[both - 1] < 0.8


def test_side_by_side_changes_no_bit(field, solver, monkeypatch):
    values = field.values(np.log([0.3, 1.0]))
    found = []
    for cores, large in ((1, 4_000), (2, 0)):
        monkeypatch.setattr(threads, "cores", lambda n=cores: n)
        monkeypatch.setattr(threads, "LARGE", large)
        factor = solver.factor(values)
        found.append((factor.selected_inverse(), factor.solve(np.ones(field.n)), factor.log_determinant))
    for one, other in zip(*found):
        assert np.array_equal(one, other)


def test_either_half_refuses_a_matrix_that_is_not_positive_definite(field, solver, monkeypatch):
    monkeypatch.setattr(threads, "LARGE", 0)
    monkeypatch.setattr(threads, "cores", lambda: 2)
    layout = solver.layout
    middle, both = layout.halves
    diagonal = field.pattern.indptr[:-1]
    for supernode in (0, middle, both, layout.first.size - 2):
        values = field.values(np.log([0.3, 1.0]))
        values[diagonal[layout.permutation[layout.first[supernode]]]] = -1.0
        with pytest.raises(NotPositiveDefinite):
            solver.factor(values)


def test_what_the_first_raises_counts(monkeypatch):
    monkeypatch.setattr(threads, "cores", lambda: 2)

    def failing(message):
        raise ValueError(message)

    assert threads.beside(lambda: 1, lambda: 2, 10**6) == (1, 2)
    with pytest.raises(ValueError, match="first"):
        threads.beside(lambda: failing("first"), lambda: failing("second"), 10**6)
    with pytest.raises(ValueError, match="second"):
        threads.beside(lambda: 1, lambda: failing("second"), 10**6)


@pytest.mark.slow
def test_a_fit_has_the_same_digits_by_one_thread_and_by_two(monkeypatch):
    places = np.random.default_rng(4).uniform(0.05, 0.95, (40, 2))
    data = pd.DataFrame(places, columns=["x", "y"]).assign(n=lambda t: np.round(5 * t.x).astype(int))
    found = []
    for cores, large in ((1, 4_000), (2, 0)):
        monkeypatch.setattr(threads, "cores", lambda n=cores: n)
        monkeypatch.setattr(threads, "LARGE", large)
        monkeypatch.setattr(threads, "SEVERAL", large)
        fit = gs.fit("n ~ 1 + spde(mesh)", data, mesh=square_mesh(6), coords=("x", "y"), family="poisson")
        found.append((fit.hyper, fit.fixed, fit.predict(data).to_frame()))
    for one, other in zip(*found):
        assert one.equals(other)
