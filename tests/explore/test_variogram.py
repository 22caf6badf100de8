"""Variograms against gstat, against plain loops, and against fields whose variogram is known."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist

import geospde as gs
from geospde.explore.structure import Structure, matern_correlation
from geospde.explore.variogram import FEWEST_PAIRS, MOST_SITES

MEUSE = Path(__file__).parents[1] / "reference" / "meuse"


def sites_and_values(n=60, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 100, (n, 2)), rng.normal(size=n)


@pytest.mark.parametrize("width", [None, 90])
def test_it_is_gstats_on_the_meuse_zinc(width):
    """Counts are equal, distances and semivariances to the digits that gstat prints."""
    zinc = pd.read_csv(MEUSE / "zinc.csv")
    expected = pd.read_csv(MEUSE / "variogram.csv")
    expected = expected[expected["width"].isna() if width is None else expected["width"] == width]
    places = zinc[["x", "y"]].to_numpy(dtype=float)
    reach = 1300 if width else np.hypot(*np.ptp(places, axis=0)) / 3  # gstat's default, in 15 steps
    edges = np.append(np.arange(0, reach - 1e-6, width or reach / 15), reach)
    found = gs.variogram(places, np.log(zinc["zinc"]), bins=edges, permutations=19).table
    assert found["pairs"].tolist() == expected["np"].tolist()
    np.testing.assert_allclose(found["distance"], expected["dist"], atol=0.51e-5)
    np.testing.assert_allclose(found["semivariance"], expected["gamma"], atol=0.51e-7)


def by_loops(places, values, edges):
    """Pairs, mean distance, Matheron's and Cressie and Hawkins' estimates, from their definitions."""
    bins = [[] for _ in edges[1:]]
    for i, j in combinations(range(len(values)), 2):
        h = float(np.hypot(*(places[i] - places[j])))
        for k in range(len(bins)):
            if edges[k] < h <= edges[k + 1] or (k == 0 and h == edges[0]):
                bins[k].append((h, values[i] - values[j]))
    rows = []
    for pairs in bins:
        h, d = np.array(pairs).T
        robust = np.mean(np.sqrt(np.abs(d))) ** 4 / (0.457 + 0.494 / len(d)) / 2
        rows.append((len(d), h.mean(), np.mean(d**2) / 2, robust))
    return np.array(rows)


def test_it_is_what_its_definition_says_with_repeated_sites_too():
    places, values = sites_and_values()
    places[:8] = places[8:16]
    values = np.exp(values) + 1000  # far from zero: sums of squares must not lose the differences
    edges = [0.0, 20.0, 45.0, 70.0]
    found = gs.variogram(places, values, bins=edges, permutations=19).table
    expected = by_loops(places, values, edges)
    columns = found[["pairs", "distance", "semivariance", "robust"]]
    np.testing.assert_allclose(columns, expected, rtol=1e-9)


@pytest.mark.slow
def test_the_envelope_is_that_of_permuted_values():
    """The limits are the 5th lowest and highest of 199 permutations: their own quantiles, by brute force."""
    places, values = sites_and_values(40)
    edges = [0.0, 30.0, 60.0]
    found = gs.variogram(places, values, bins=edges, permutations=4999).table
    rng = np.random.default_rng(8)
    near = cdist(places, places)[np.triu_indices(40, 1)]
    for k in range(2):
        own = (near > edges[k]) & (near <= edges[k + 1])
        draws = []
        for _ in range(4000):
            z = rng.permutation(values)
            draws.append(np.mean((z[:, None] - z)[np.triu_indices(40, 1)][own] ** 2) / 2)
        # 4 standard errors of a 2.5 % quantile of 4000 draws, at a density of about 0.06 / sd there
        margin = 4 * np.sqrt(0.025 * 0.975 / 4000) / (0.058 / np.std(draws))
        np.testing.assert_allclose(found.loc[k, ["lower", "upper"]], np.quantile(draws, [0.025, 0.975]), atol=margin)


@pytest.mark.slow
def test_without_structure_95_of_100_bins_lie_in_the_envelope_and_p_is_uniform():
    inside, p = [], []
    for seed in range(200):
        found = gs.variogram(*sites_and_values(40, seed), permutations=99, seed=seed)
        table = found.table
        inside.append(((table["semivariance"] >= table["lower"]) & (table["semivariance"] <= table["upper"])).mean())
        p.append(found.p)
    error = np.std(inside) / np.sqrt(len(inside))
    assert error < 0.01
    assert abs(np.mean(inside) - 0.95) < 4 * error
    # the sd of a uniform is 0.289, and of the share below 0.05, 0.0154; 4 of them each
    assert abs(np.mean(p) - 0.5) < 4 * 0.289 / np.sqrt(200)
    assert abs(np.mean(np.array(p) <= 0.05) - 0.05) < 4 * 0.0154


def fields(n, reach, nugget, count, wild=0):
    """Gaussian fields with Matérn correlation (nu = 1), variance 1 and a nugget, at random sites in a unit square."""
    rng = np.random.default_rng(5)
    for _ in range(count):
        places = rng.uniform(size=(n, 2))
        root = np.linalg.cholesky(matern_correlation(cdist(places, places), reach) + 1e-9 * np.eye(n))
        values = root @ rng.normal(size=n) + np.sqrt(nugget) * rng.normal(size=n)
        values[:wild] -= 10
        yield places, values


@pytest.mark.slow
def test_on_fields_it_has_the_mean_that_theory_says_and_finds_the_range():
    edges, truth = [0.0, 0.07, 0.12, 0.2, 0.35], Structure(0.2, nugget=0.2, sill=1.0)
    short, ranges, p = [], [], []
    for places, values in fields(100, 0.2, 0.2, 100):
        short.append(gs.variogram(places, values, bins=edges, permutations=19).table)
        found = gs.variogram(places, values, permutations=99)
        p.append(found.p)
        ranges += [found.structure.range] if found.structure else []
    for k in range(4):
        off = [t.loc[k, "semivariance"] - float(truth(t.loc[k, "distance"])) for t in short]
        # 0.005: a bin's mean variogram is below the variogram at its mean distance, which is concave there
        assert abs(np.mean(off)) < 4 * np.std(off) / np.sqrt(len(off)) + 0.005
    assert np.mean(np.array(p) <= 0.05) > 0.9
    # one field tells its range to 45 % (sd of its log); the median of 100 to 6 %, and three of these are allowed
    assert np.std(np.log(ranges)) < 0.55
    assert np.median(ranges) == pytest.approx(0.2, rel=0.15)


@pytest.mark.slow
def test_a_few_wild_values_do_not_hide_the_structure():
    """Two of 150: of the raw values, a third of the fields would show it, and all do of values pulled in."""
    found = [gs.variogram(*case, permutations=99) for case in fields(150, 0.2, 0.2, 40, wild=2)]
    assert np.mean([f.p <= 0.05 for f in found]) > 0.9
    assert np.mean([f.table.loc[0, "semivariance"] < f.table.loc[0, "lower"] for f in found]) < 0.6


def test_bins_widen_with_distance_and_hold_enough_pairs():
    survey = gs.load_dataset("rongelap")
    found = gs.variogram(survey.points, np.log(survey.points["counts"] / survey.points["time"]))
    widths = np.diff(found.edges)
    assert (np.diff(widths) > 0).all()
    assert found.edges[0] == 0
    assert widths[0] == pytest.approx(60)  # 1.5 times the 40 m between neighbours
    assert found.table["pairs"].min() >= FEWEST_PAIRS
    few = gs.variogram(*sites_and_values(12))
    assert few.table["pairs"].sum() <= 66
    assert few.table["pairs"].min() >= FEWEST_PAIRS


def test_the_seed_decides():
    places, values = sites_and_values()
    one, same, other = (gs.variogram(places, values, seed=seed) for seed in (3, 3, 4))
    pd.testing.assert_frame_equal(one.table, same.table)
    assert not one.table["lower"].equals(other.table["lower"])
    pd.testing.assert_series_equal(one.table["semivariance"], other.table["semivariance"])


@pytest.mark.slow
def test_of_very_many_sites_a_random_part_is_taken():
    found = gs.variogram(*sites_and_values(MOST_SITES + 500), permutations=19)
    assert found.sites == MOST_SITES
    assert found.table["semivariance"].iloc[-1] == pytest.approx(1, abs=0.1)


MISTAKES = [
    ({"values": ["a"] * 60}, "must be numbers"),
    ({"values": np.full(60, np.nan)}, "a finite number at each of 60 sites"),
    ({"values": np.zeros(59)}, "a finite number at each of 60 sites"),
    ({"values": np.ones(60)}, "all values are the same"),
    ({"points": np.zeros((60, 2))}, "five sites at three places"),
    ({"points": [[0, 0]], "values": [1.0]}, "five sites at three places"),
    ({"points": np.zeros((60, 3))}, "m x 2 array"),
    ({"bins": 0}, "at least one bin"),
    ({"bins": [3.0, 2.0]}, "rising edges"),
    ({"bins": [1000.0, 2000.0]}, "no two sites are as near"),
    ({"reach": -1.0}, "reach must be a distance above 0"),
    ({"reach": 1e-9}, "no two sites are as near"),
    ({"permutations": 5}, "19 or more"),
    ({"level": 95}, "between 0 and 1"),
]


@pytest.mark.parametrize(("spoilt", "sentence"), MISTAKES, ids=[m[1] for m in MISTAKES])
def test_a_mistake_is_told(spoilt, sentence):
    places, values = sites_and_values()
    arguments = {"points": places, "values": values} | spoilt
    with pytest.raises(gs.InputError, match=sentence):
        gs.variogram(**arguments)
