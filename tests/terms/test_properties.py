"""Precisions and bases keep their promises far from where a search begins."""

import numpy as np
import pytest
from conformance import Case
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import square_mesh

TERMS = [
    "spde(mesh)", "spde(mesh, alpha=1.5, constr=True)", "spde(mesh, nu=0.5)", "iid(g)", "(z | g)", "rw1(w)", "rw2(w)",
    "ar1(w)", "besag(g, graph=w)", "bym2(g, graph=w)", "s(w, bs='gp', k=8)", "car(g, graph=w)", "sar(g, graph=w)",
    "ar(w, order=3)", "spde(mesh, barrier=0.2)", "spde(mesh, anisotropy=True)", "spde(mesh, nu='estimate')",
    "spde(mesh, log_range='~ x', log_sigma='~ elev')", "spde(mesh, time=g6, temporal='ar1')",
    "spde(mesh, time=g6, temporal='rw1', spatial=True)",
]  # fmt: skip
CASES = [Case(term) for term in TERMS]
MESH = square_mesh(6)


@pytest.mark.parametrize("case", CASES, ids=str)
@settings(max_examples=8, deadline=None)
@given(numbers=st.lists(st.floats(-8.0, 8.0), min_size=8, max_size=8))
def test_a_precision_has_no_negative_direction_up_to_eight_away(case, numbers):
    p = case.latent.precision
    theta = case.latent.start(1.0)
    q = p.matrix(theta + np.array(numbers)[: theta.size]).toarray()
    assert np.isfinite(q).all() and np.array_equal(q, q.T)
    assert (np.diag(q) >= 0).all()
    scale = np.sqrt(np.where(np.diag(q) > 0, np.diag(q), 1.0))  # unpenalised parts of a smooth have none
    # its own rounding of 1e-16 an entry, in the scale of its diagonal: flat directions may come out below zero by it
    assert np.linalg.eigvalsh(q / np.outer(scale, scale))[0] > -1e-13 * p.n


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0)), min_size=1, max_size=20))
def test_rows_of_the_basis_are_weights_that_sum_to_one_and_give_the_place_back(places):
    basis = MESH.basis(np.array(places))
    assert basis.data.min() >= -1e-15
    np.testing.assert_allclose(basis.sum(axis=1), 1.0, rtol=1e-14)
    np.testing.assert_allclose(basis @ MESH.vertices, places, atol=1e-14)
