"""Factors within linear conditions, against dense algebra."""

import numpy as np
import pytest
import scipy.sparse as sp

from geospde.linalg.basis import Basis
from geospde.linalg.cholesky import Cholesky
from geospde.linalg.constrained import ConstrainedFactor, FollowingFactor


@pytest.mark.parametrize("times", [0.01, 1.0, 40.0])
def test_other_variables_follow_those_whose_covariance_is_another(times):
    """H is singular: a constant of the walk is one of the intercept, and its conditions tell them apart."""
    step = np.diff(np.eye(6), axis=0)
    design = np.column_stack([np.eye(6), np.ones(6), 2000 + np.array([3.0, 1, 4, 1, 5, 9])])
    h = design.T @ (np.array([1.0, 3, 2, 0.5, 4, 1])[:, None] * design)
    basis = Basis.of(sp.csr_matrix(design), 6)
    to = np.eye(8)
    to[6:, 6:] = basis.back
    h[:6, :6] += 1e4 * step.T @ step
    inside = to.T @ h @ to
    across = np.zeros((8, 1))
    across[:6] = 1.0
    pattern = sp.csc_matrix(np.tril(np.ones((8, 8))))
    columns = np.repeat(np.arange(8), np.diff(pattern.indptr))
    values, anchor, strength = inside[pattern.indices, columns], np.array([2]), np.array([5.0])
    values[pattern.indptr[2]] += 5.0
    plain = ConstrainedFactor(Cholesky(pattern).factor(values), across, anchor, strength, basis)

    null = np.linalg.svd(across.T)[2][1:].T
    p = null @ np.linalg.inv(null.T @ inside @ null) @ null.T
    given = p[6:, 6:]
    wanted = times * given * np.array([[1.0, 0.3], [0.3, 1.0]]) + 0.5 * times * np.diag(np.diag(given))
    moved = p[:, 6:] @ np.linalg.inv(given)
    own = p + moved @ (wanted - given) @ moved.T
    expected = to @ own @ to.T

    factor = FollowingFactor(plain, wanted, basis)
    close = {"rtol": 1e-6, "atol": 1e-9 * np.abs(expected).max()}  # the condition number of H is 1e9
    np.testing.assert_allclose(factor.solve(np.eye(8)), expected, **close)
    selected = factor.selected_inverse(pattern.indices, columns)
    np.testing.assert_allclose(selected, own[pattern.indices, columns], rtol=1e-6, atol=1e-9 * np.abs(own).max())
    drawn = factor.draw(np.eye(8)) - factor.draw(np.zeros((8, 8)))
    np.testing.assert_allclose(drawn @ drawn.T, expected, **close)
    ratio = np.linalg.slogdet(given)[1] - np.linalg.slogdet(wanted)[1]
    assert factor.log_determinant == pytest.approx(plain.log_determinant + ratio, rel=1e-8)
