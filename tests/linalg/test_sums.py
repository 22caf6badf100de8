"""Sums of two functions of independent standard normals, beside a fine sum over one of them."""

import numpy as np
import pytest
from scipy.special import log_expit, ndtr, ndtri

from geospde.linalg.sums import SCORES, IndependentSum, Monotone

GRID = np.linspace(-9, 9, 20_001)
WEIGHTS = np.exp(-0.5 * GRID**2) / np.exp(-0.5 * GRID**2).sum()


def test_a_sum_of_two_normals_is_normal():
    sds = np.array([[1.0, 0.01, 5.0], [1.0, 2.0, 0.02]])
    parts = (Monotone.through(sd * SCORES[:, None]) for sd in sds)
    found = IndependentSum(*parts)
    wanted = np.hypot(*sds)
    for level in (1e-3, 0.025, 0.5, 0.9, 0.999):
        np.testing.assert_allclose(found.quantile(level), ndtri(level) * wanted, atol=1e-6)  # what a score settles to
        np.testing.assert_allclose(found.tail(ndtri(level) * wanted), 1 - level, atol=1e-7)


@pytest.mark.parametrize("level", [0.001, 0.025, 0.5, 0.975, 0.999])
def test_a_bent_part_may_be_much_wider_or_narrower_than_the_other(level):
    """The logarithm of a probability, which ends at 0, and a normal one, up to a hundred times as wide or as narrow."""
    rng = np.random.default_rng(2)
    m = 60
    middle, sd = rng.normal(0, 3, m), np.exp(rng.uniform(np.log(0.02), np.log(3), m))
    other = np.exp(rng.uniform(np.log(0.02), np.log(2), m))
    first = Monotone.through(log_expit(middle + sd * SCORES[:, None]))
    found = IndependentSum(first, Monotone.through(other * SCORES[:, None]))
    x = found.quantile(level)
    below = np.array([WEIGHTS @ ndtr((x[i] - log_expit(middle[i] + sd[i] * GRID)) / other[i]) for i in range(m)])
    score = ndtri(below) - ndtri(level)
    assert np.abs(score).max() < 2e-3  # between scores a logarithm three sds wide is a spline's; nodes leave 1e-3
    assert np.quantile(np.abs(score), 0.8) < 1e-4
    np.testing.assert_allclose(found.tail(x), 1 - level, atol=1e-4)


def test_no_place_has_no_quantile():
    none = Monotone.through(np.zeros((SCORES.size, 0)))
    assert IndependentSum(none, none).quantile(0.5).shape == (0,)
    assert IndependentSum(none, none).tail(np.zeros(0)).shape == (0,)
