"""Fill-reducing orders."""

import signal
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from oracles import square_mesh
from patterns import METHODS, PATTERNS, lower_pattern

from geospde.linalg import ordering
from geospde.linalg.ordering import by_minimum_degree, fill_reducing
from geospde.linalg.symbolic import analyse
from geospde.terms.precisions.fem import fem_matrices
from geospde.terms.precisions.matern import MaternSpde


@METHODS
@pytest.mark.parametrize("name", PATTERNS)
def test_an_order_is_a_permutation(method, name):
    pattern = lower_pattern(PATTERNS[name])
    order = fill_reducing(pattern, method)
    np.testing.assert_array_equal(np.sort(order), np.arange(pattern.shape[0]))


@METHODS
def test_an_order_reads_no_values(method):
    pattern = lower_pattern(PATTERNS["random"])
    nothing = sp.csc_matrix((np.full(pattern.nnz, np.nan), pattern.indices, pattern.indptr), shape=pattern.shape)
    np.testing.assert_array_equal(fill_reducing(pattern, method), fill_reducing(nothing, method))


@METHODS
def test_full_rows_come_last_wherever_they_stand(method):
    """Two rows joined to all of a chain of 3,000: eliminated early, either would fill the whole matrix."""
    n = 3000
    chain = sp.diags_array([np.ones(n), np.ones(n - 1)], offsets=[0, -1]).tolil()
    for row in (0, 1500):
        chain[row, :], chain[:, row] = 1.0, 1.0
    pattern = lower_pattern(chain)
    order = fill_reducing(pattern, method)
    assert set(order[-2:]) == {0, 1500}
    # 2 entries below the diagonal for the full rows, and 1 or 2 for the chain
    assert analyse(pattern, order).counts.sum() <= 5 * n


@METHODS
def test_a_mesh_is_filled_far_less_than_by_its_own_order(method):
    mesh = square_mesh(60)
    pattern = MaternSpde(*fem_matrices(mesh.vertices, mesh.triangles)).pattern
    fill = analyse(pattern, fill_reducing(pattern, method)).counts.sum()
    assert fill < 0.5 * analyse(pattern, np.arange(pattern.shape[0])).counts.sum()


def test_without_metis_minimum_degree_orders(monkeypatch):
    monkeypatch.setattr(ordering, "pymetis", None)
    monkeypatch.setattr(ordering, "FEW", 0)
    pattern = lower_pattern(PATTERNS["random"])
    np.testing.assert_array_equal(fill_reducing(pattern), fill_reducing(pattern, by_minimum_degree))
    assert ordering.description() == "SuperLU minimum degree, own supernodal Cholesky"


def mesh_graph(side):
    """Neighbours in a square mesh, without a diagonal."""
    mesh = square_mesh(side)
    lower = sp.tril(fem_matrices(mesh.vertices, mesh.triangles)[1], -1)
    return sp.csr_matrix(lower + lower.T)


def test_metis_in_a_process_of_its_own_finds_the_same(monkeypatch):
    pytest.importorskip("pymetis")
    graph = mesh_graph(30)
    here = ordering.by_metis(graph)
    monkeypatch.setattr(ordering, "APART", 1)
    with monkeypatch.context() as patch:
        patch.setattr(ordering.pymetis, "nested_dissection", lambda *_: pytest.fail("in this process"))
        np.testing.assert_array_equal(ordering.by_metis(graph), here)
    for program in ("", "/usr/bin/qgis", "/nowhere/python3"):
        monkeypatch.setattr("sys.executable", program)
        np.testing.assert_array_equal(ordering.by_metis(graph), here)


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="another system's signals")
def test_a_program_that_is_told_to_end_while_metis_orders_ends(monkeypatch):
    """METIS catches SIGTERM itself, fails, and leaves it blocked: that was a fault in geospde."""
    which = signal.SIGTERM

    def fail(_):
        signal.pthread_sigmask(signal.SIG_BLOCK, {which})
        raise RuntimeError("Caught an unknown exception!")

    came, before = [], signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    metis = SimpleNamespace(CSRAdjacency=lambda *_: None, nested_dissection=fail)
    monkeypatch.setattr(ordering, "pymetis", metis)
    try:
        with pytest.raises(RuntimeError, match="unknown"):
            ordering.by_metis(mesh_graph(5))
        assert came == [signal.SIGTERM]
        which = signal.SIGABRT
        with pytest.raises(MemoryError):
            ordering.by_metis(mesh_graph(5))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & {signal.SIGTERM, signal.SIGABRT}


def test_metis_orders_large_graphs_only(monkeypatch):
    called = []
    monkeypatch.setattr(ordering, "pymetis", object())
    for name in ("by_metis", "by_minimum_degree"):
        monkeypatch.setattr(ordering, name, lambda graph, name=name: called.append(name) or np.arange(graph.shape[0]))
    pattern = lower_pattern(PATTERNS["random"])
    fill_reducing(pattern)
    monkeypatch.setattr(ordering, "FEW", pattern.shape[0] - 1)
    fill_reducing(pattern)
    assert called == ["by_minimum_degree", "by_metis"]
