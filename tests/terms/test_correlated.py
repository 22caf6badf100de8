"""Correlated effects of a group against dense algebra."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.integrate import quad

from geospde.families.priors import LKJ
from geospde.terms.precisions.correlated import Correlated


def dense(term, theta):
    lower = sp.csc_matrix((term.values(theta), term.pattern.indices, term.pattern.indptr)).toarray()
    return lower + np.tril(lower, -1).T


@pytest.mark.parametrize("effects", [2, 3, 4])
def test_precision_is_the_inverse_of_sds_and_correlations(effects):
    term = Correlated(3, effects)
    theta = np.random.default_rng(1).normal(0, 0.6, len(term.parameters))
    covariance = np.diag(np.exp(theta[:effects])) @ term.correlations(theta) @ np.diag(np.exp(theta[:effects]))
    q = dense(term, theta)
    # rounding of an inverse of a matrix with condition number below 1e4
    assert np.allclose(np.linalg.inv(q), np.kron(np.eye(3), covariance), atol=1e-10)
    assert term.log_normaliser(theta)[0] == pytest.approx(0.5 * np.linalg.slogdet(q)[1], abs=1e-10)


def test_the_first_effects_correlations_are_tanh_of_theta():
    term = Correlated(2, 3)
    theta = np.array([0.1, -0.3, 0.4, 0.7, -0.5, 0.2])
    r = term.correlations(theta)
    assert np.allclose([r[0, 1], r[0, 2]], np.tanh(theta[3:5]), atol=1e-14)
    partial = (r[1, 2] - r[0, 1] * r[0, 2]) / np.sqrt((1 - r[0, 1] ** 2) * (1 - r[0, 2] ** 2))
    assert partial == pytest.approx(np.tanh(theta[5]), abs=1e-12)


@pytest.mark.parametrize("at_zero", [False, True])
def test_gradients_are_derivatives(at_zero):
    term = Correlated(2, 4)
    theta = np.random.default_rng(2).normal(0, 0.5, len(term.parameters))
    if at_zero:
        theta[4:] = 0
    for k in range(theta.size):
        step = np.zeros(theta.size)
        step[k] = 1e-5
        change = (term.values(theta + step) - term.values(theta - step)) / 2e-5
        # central differences: truncation about 1e-10 of the values, rounding 1e-11 / 1e-5
        assert np.allclose(term.gradients(theta)[k], change, rtol=1e-6, atol=1e-6)
        of_normaliser = (term.log_normaliser(theta + step)[0] - term.log_normaliser(theta - step)[0]) / 2e-5
        assert term.log_normaliser(theta)[1][k] == pytest.approx(of_normaliser, abs=1e-7)


def test_lkj_is_a_density_and_uniform_over_correlation_matrices():
    for position in (0, 1):
        prior = LKJ(1.5, 3, position)
        total = quad(lambda z, p=prior: np.exp(p.log_density(np.array([z]))), -20, 20)[0]
        assert total == pytest.approx(1, abs=1e-8)
    # eta = 1 and three effects: the density over (r12, r13, r23) is constant wherever the matrix is positive definite;
    # partial correlations p: r23 = r12 r13 + p sqrt((1 - r12²)(1 - r13²)) is the only change of variable
    term, rng, logs = Correlated(1, 3), np.random.default_rng(3), []
    for z in rng.normal(0, 0.8, (20, 3)):
        r12, r13 = np.tanh(z[:2])
        log_jacobian = -2 * np.log(np.cosh(z)).sum() + 0.5 * np.log((1 - r12**2) * (1 - r13**2))
        own = [LKJ(1.0, 3, j).log_density(np.array([v])) for (j, _), v in zip(term.pairs, z)]
        logs.append(sum(own) - log_jacobian)
    assert np.ptp(logs) < 1e-10
