"""Patterns of sparse symmetric matrices, and the orders to eliminate them in, for tests of `geospde.linalg`."""

import numpy as np
import pytest
import scipy.sparse as sp

from geospde.linalg.ordering import by_metis, by_minimum_degree, pymetis

METHODS = pytest.mark.parametrize(
    "method",
    [
        pytest.param(by_metis, marks=pytest.mark.skipif(pymetis is None, reason="pymetis has no wheel here")),
        by_minimum_degree,
    ],
)


def lower_pattern(matrix):
    """The lower triangle of a symmetric matrix's pattern, diagonal included, sorted, of ones."""
    lower = sp.tril(abs(sp.csc_matrix(matrix)) + sp.identity(matrix.shape[0])).tocsc()
    lower.sum_duplicates()
    lower.data[:] = 1.0
    return lower


def random_symmetric(n, density, seed):
    """A random sparse symmetric matrix."""
    half = sp.random(n, n, density, random_state=np.random.default_rng(seed), format="csc")
    return half + half.T


def shuffled(matrix, seed):
    """The matrix with its rows and columns in a random order."""
    order = np.random.default_rng(seed).permutation(matrix.shape[0])
    return sp.csc_matrix(matrix)[order][:, order]


def _arrow(n, width):
    arrow = np.eye(n)
    arrow[:width], arrow[:, :width] = 1.0, 1.0
    return arrow


PATTERNS = {
    "one unknown": sp.identity(1),
    "two apart": sp.identity(2),
    "diagonal": sp.identity(40),
    "full": np.ones((30, 30)),
    "arrow": shuffled(_arrow(60, 1), 1),
    "wide arrow": shuffled(_arrow(300, 5), 2),
    "chain": shuffled(sp.diags_array([np.ones(99)], offsets=[-1], shape=(100, 100)), 3),
    "band": shuffled(sp.diags_array(np.ones((4, 200)), offsets=[-1, -2, -5, -9], shape=(200, 200)), 4),
    "random": random_symmetric(150, 0.02, 5),
    "denser": random_symmetric(80, 0.2, 6),
    "disconnected": shuffled(sp.block_diag([random_symmetric(n, 0.3, n) for n in (1, 7, 20, 50)]), 7),
    "with isolated": shuffled(sp.block_diag([random_symmetric(60, 0.1, 8), sp.identity(60)]), 8),
}
