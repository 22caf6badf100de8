"""The calibration study's own figures, and the table that it kept."""

import numpy as np
import pandas as pd

from calibration import CASES, TABLE, drawn, replicate, tabulated  # isort: skip


def test_priors_are_drawn_as_they_are_fitted():
    rng = np.random.default_rng(1)
    ranges = np.array([drawn("range(spde)", rng) for _ in range(4000)])
    sigmas = np.array([drawn("sigma(spde)", rng) for _ in range(4000)])
    # four standard errors of a share of 0.05
    assert abs((ranges < 0.3).mean() - 0.05) < 0.014 and abs((sigmas > 1.5).mean() - 0.05) < 0.014


def test_a_replicate_has_a_rank_for_every_parameter():
    ranks = replicate("mixed, counts", 1)
    assert list(ranks) == ["Intercept", "x", "sd(Intercept | g)"]
    assert all(0 < rank < 1 for rank in ranks.values())


def test_uneven_ranks_are_seen():
    rng = np.random.default_rng(2)
    even = [("mixed, counts", k, {"x": rank}) for k, rank in enumerate(rng.uniform(size=400))]
    narrow = [(case, k, {"x": 0.25 + 0.5 * ranks["x"]}) for case, k, ranks in even]
    assert tabulated(even)["p"].item() > 0.01 and tabulated(narrow)["p"].item() < 1e-6


def test_the_table_holds_every_case_uniform():
    table = pd.read_csv(TABLE)
    assert set(table["case"]) == set(CASES) and (table["failures"] <= 0.01 * table["replicates"]).all()
    # at one in a hundred for all rows together (Bonferroni)
    assert (table["p"] > 0.01 / len(table)).all(), table[table["p"] <= 0.01 / len(table)]
