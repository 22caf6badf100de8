"""What default priors of fields take for a large standard deviation."""

import numpy as np
import pytest

from geospde.families.registry import read_family


@pytest.mark.parametrize("family", ["poisson", "bernoulli", "nbinomial", "lgcp"])
def test_rare_events_do_not_rule_a_field_out(family):
    # a hundredth of the places has an event: their rough predictors differ little whatever the rate does
    y = np.zeros(400)
    y[::100] = 1
    assert read_family(family).bind(y).largest_sd >= 1


def test_with_a_unit_it_is_counted_in_it():
    y = np.random.default_rng(1).normal(5, 2, 200)
    ones, thousands = (read_family("gaussian").bind(unit * y).largest_sd for unit in (1.0, 1000.0))
    assert thousands == pytest.approx(1000 * ones)  # rounding alone
    assert ones == pytest.approx(3 * y.std())  # the rough predictor of a measurement is itself
