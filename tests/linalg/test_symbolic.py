"""Symbolic analysis, against elimination on dense patterns."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from patterns import METHODS, PATTERNS, lower_pattern, random_symmetric

from geospde.linalg.ordering import fill_reducing
from geospde.linalg.symbolic import analyse


def eliminated(pattern, permutation):
    """Pattern of L by eliminating one unknown after another: each joins all that it leaves behind."""
    whole = (pattern + pattern.T).toarray()[np.ix_(permutation, permutation)] != 0
    for k in range(len(whole)):
        left = k + 1 + np.flatnonzero(whole[k + 1 :, k])
        whole[np.ix_(left, left)] = True
    return np.tril(whole)


def stored(layout):
    """Pattern of the panels' lower triangles."""
    found = np.zeros((layout.n, layout.n), bool)
    for s in range(layout.first.size - 1):
        rows = layout.rows[layout.row_start[s] : layout.row_start[s + 1]]
        found[rows, layout.first[s] : layout.first[s + 1]] = True
    return np.tril(found)


def check(pattern, order):
    """Everything a layout says, against the eliminated pattern."""
    layout = analyse(pattern, order)
    n, first = layout.n, layout.first
    factor = eliminated(pattern, layout.permutation)
    np.testing.assert_array_equal(layout.counts, factor.sum(axis=0))
    # the tree may be walked in another order than was asked for, but the fill is that order's
    assert factor.sum() == eliminated(pattern, order).sum()
    panels = stored(layout)
    assert panels[factor].all()
    for s in range(first.size - 1):
        rows = layout.rows[layout.row_start[s] : layout.row_start[s + 1]]
        columns = np.arange(first[s], first[s + 1])
        assert (layout.owner[columns] == s).all()
        # the columns themselves, then each row that any of them has, ascending
        below = 1 + columns[-1] + np.flatnonzero(factor[columns[-1] + 1 :, columns].any(axis=1))
        np.testing.assert_array_equal(rows, [*columns, *below])
        assert layout.start[s + 1] - layout.start[s] == rows.size * columns.size
    # each entry of the pattern, and of the diagonal, is where its row and column meet
    where = np.full((n, n), -1)
    for s in range(first.size - 1):
        rows = layout.rows[layout.row_start[s] : layout.row_start[s + 1]]
        where[rows, first[s] : first[s + 1]] = np.arange(layout.start[s], layout.start[s + 1]).reshape(rows.size, -1)
    rank = np.argsort(layout.permutation)
    i, j = rank[pattern.indices], rank[np.repeat(np.arange(n), np.diff(pattern.indptr))]
    np.testing.assert_array_equal(layout.entries, where[np.maximum(i, j), np.minimum(i, j)])
    np.testing.assert_array_equal(layout.diagonal, np.diag(where))
    assert layout.widest == np.diff(first).max() and layout.tallest == np.diff(layout.row_start).max()
    return factor, panels


@METHODS
@pytest.mark.parametrize("name", PATTERNS)
def test_the_structure_is_that_of_elimination(method, name):
    pattern = lower_pattern(PATTERNS[name])
    check(pattern, fill_reducing(pattern, method))


@pytest.mark.parametrize("name", PATTERNS)
def test_any_order_will_do(name):
    pattern = lower_pattern(PATTERNS[name])
    n = pattern.shape[0]
    for order in (np.arange(n), np.arange(n)[::-1].copy(), np.random.default_rng(1).permutation(n)):
        check(pattern, order)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 90), st.floats(0.0, 0.2), st.integers(0, 2**31))
def test_random_patterns(n, density, seed):
    pattern = lower_pattern(random_symmetric(n, density, seed))
    check(pattern, np.random.default_rng(seed).permutation(n))
    check(pattern, fill_reducing(pattern))


def test_relaxed_supernodes_store_few_zeros():
    side = 30
    line = sp.diags_array(np.ones((2, side)), offsets=[0, -1], shape=(side, side))
    pattern = lower_pattern(sp.kron(line + line.T, line + line.T))
    factor, panels = check(pattern, fill_reducing(pattern))
    widths = np.diff(analyse(pattern, fill_reducing(pattern)).first)
    assert widths.mean() > 4  # no supernode of a few columns is left, but where it would not fit
    assert panels.sum() < 1.5 * factor.sum()
