"""Loops that wait for their compiler until they are used much."""

import numpy as np
import pytest
import scipy.sparse as sp

from geospde.linalg import compiled, kernels, symbolic


def test_loops_run_as_written_until_so_many_entries_went_through(monkeypatch):
    monkeypatch.setattr(compiled, "HOT", 10)
    lines = []

    def plain(x):  # a compiler would refuse to append to this list
        lines.append(len(x))
        return sum(x)

    monkeypatch.setattr(compiled, "compiled", lambda function: lambda x: -function(x))
    waiting = compiled.compiled_when_hot(plain)
    assert [waiting(np.ones(6)), waiting(np.ones(3)), waiting(np.ones(1)), waiting(np.ones(1))] == [6, 3, -1, -1]


def test_a_loop_is_compiled_once_all_calls_had_much_work(monkeypatch):
    monkeypatch.setattr(compiled, "compiled", lambda function: lambda x: -function(x))
    waiting = compiled.compiled_after(9, len, lambda x: sum(x) + 0.5)(sum)
    assert [waiting(np.ones(n)) for n in (6, 3, 1, 2)] == [6.5, 3.5, -1, -2]  # the last two by the loop


@pytest.mark.parametrize("n", [1, 2, 40, 120])
def test_the_analysis_is_the_same_before_and_after_its_loops_are_compiled(n, monkeypatch):
    rng = np.random.default_rng(n)
    pattern = sp.csc_matrix(sp.tril(sp.random(n, n, min(4 / n, 1), random_state=rng) + sp.eye(n)))
    order = rng.permutation(n)
    layouts = []
    for hot in (np.inf, 0):
        monkeypatch.setattr(compiled, "HOT", hot)
        layouts.append(symbolic.analyse(pattern, order))
    for name in ("permutation", "first", "row_start", "rows", "start", "owner", "entries", "diagonal"):
        np.testing.assert_array_equal(*(getattr(layout, name) for layout in layouts))


def test_places_of_pairs_by_numpy_are_those_of_the_loop():
    rng = np.random.default_rng(7)
    rows = sp.csr_matrix(sp.random(30, 12, 0.3, random_state=rng))
    pattern = sp.csc_matrix(sp.tril(rows[:4].T @ rows[:4]))  # lacks pairs of later rows
    pattern.sort_indices()
    counts = np.diff(rows.indptr)
    starts = np.concatenate([[0], np.cumsum(counts * (counts + 1) // 2)]).astype(np.int64)
    answers = []
    for fill in (kernels._few_row_pair_places, kernels.row_pair_places.__wrapped__):
        places, values, inside = np.zeros(starts[-1], np.int64), np.zeros(starts[-1]), np.ones(30, bool)
        fill(
            *(part.astype(np.int64) for part in (rows.indptr, rows.indices)), rows.data,
            *(part.astype(np.int64) for part in (pattern.indptr, pattern.indices)), starts, places, values, inside,
        )  # fmt: skip
        answers.append((places, values, inside))
    assert not answers[0][2].all()
    for plain, fast in zip(*answers, strict=True):
        np.testing.assert_array_equal(plain, fast)
