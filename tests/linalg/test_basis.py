"""Coordinates of regression coefficients beside columns far from zero."""

import numpy as np
import pytest
import scipy.sparse as sp

from geospde.linalg.basis import Basis

RNG = np.random.default_rng(1)
Z = RNG.normal(size=(40, 3))
FAR = np.column_stack([np.zeros(40), np.ones(40), Z[:, 0] + 1e7, Z[:, 1], Z[:, 2] + 1e7])


def test_only_columns_near_others_are_changed():
    basis = Basis.of(sp.csr_matrix(FAR), 1)
    inner = basis.rows(sp.csr_matrix(FAR)).toarray()
    assert (inner[:, [0, 1, 3]] == FAR[:, [0, 1, 3]]).all()
    # 1e7 has 9 digits after the point, and centring loses them once
    assert inner[:, 2] == pytest.approx(Z[:, 0] - Z[:, 0].mean(), abs=1e-8)
    assert np.linalg.cond(inner[:, 1:]) < 10
    assert np.linalg.det(basis.back) == 1.0


def test_columns_that_are_apart_are_left_alone():
    groups = np.eye(4)[RNG.integers(0, 4, 40)][:, 1:]
    assert Basis.of(sp.csr_matrix(np.column_stack([np.ones(40), groups, 2 + Z[:, :2]])), 0).is_plain
    assert Basis.of(sp.csr_matrix(np.zeros((3, 2))), 0).back[0, 1] == 0.0


def test_vectors_rows_and_matrices_go_along():
    basis = Basis(1, np.array([[1.0, -3.0], [0.0, 1.0]]))
    x, row = np.array([5.0, 2.0, 7.0]), sp.csr_matrix([[1.0, 1.0, 4.0]])
    z = basis.inside(x)
    assert basis.outside(z).tolist() == x.tolist()
    assert (basis.rows(row) @ z).tolist() == (row @ x).tolist()
    assert basis.dual_inside(basis.dual_outside(x)).tolist() == x.tolist()
    covariance = np.array([[2.0, 0.3], [0.3, 1.0]])
    back = basis.covariance_outside(covariance)
    # what inverse matrices are of goes the other way
    assert basis.precision_inside(np.linalg.inv(back)) == pytest.approx(np.linalg.inv(covariance))
