import numpy as np
import pytest
from scipy.stats import poisson

from geospde.errors import InputError
from geospde.model.families import Poisson

Y = np.array([0.0, 1.0, 7.0, 300.0])
TIME = np.array([1.0, 0.5, 3.0, 100.0])
ETA = np.array([-1.0, 0.3, 1.1, 1.2])


def test_density_and_distribution_are_scipys():
    bound = Poisson().bind(Y, exposure=TIME)
    np.testing.assert_allclose(bound.log_density(ETA), poisson.logpmf(Y, TIME * np.exp(ETA)), rtol=1e-12)
    np.testing.assert_allclose(bound.cdf(ETA), poisson.cdf(Y, TIME * np.exp(ETA)), rtol=1e-12)


def test_derivatives_are_those_of_the_log_density():
    bound, step = Poisson().bind(Y, exposure=TIME, weights=[1.0, 2.0, 0.5, 1.0]), 1e-4
    functions = [bound.log_density, *(lambda e, k=k: bound.derivatives(e)[k] for k in range(2))]
    for function, derivative in zip(functions, bound.derivatives(ETA)):
        numeric = (function(ETA + step) - function(ETA - step)) / (2 * step)
        np.testing.assert_allclose(derivative, numeric, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("bad", [-1.0, 2.5, np.nan, np.inf])
def test_what_is_no_count_is_refused_by_row_and_value(bad):
    with pytest.raises(InputError, match=f"row 1 holds {bad:g}"):
        Poisson().bind([3.0, bad])


def test_the_link_is_log_only():
    with pytest.raises(InputError, match="'log'"):
        Poisson("identity")
