"""Responses among replicates of a fit: calibrated where the model is right, told where it is not."""

import numpy as np
import pandas as pd
import pytest

import geospde as gs
from geospde.results.simulate import PREDICTIVE, predictive_check


@pytest.fixture(scope="module")
def counts():
    return pd.DataFrame({"y": np.random.default_rng(3).poisson(4.0, 300)})


def test_a_model_that_made_the_data_passes(counts):
    check = predictive_check(gs.fit("y ~ 1", counts, family="poisson"))
    assert check.finding.level == "ok" and check.finding.subject == PREDICTIVE
    assert check.p > 0.05
    assert (np.diff(check.observed) >= 0).all() and check.observed[-1] == 1.0
    assert ((check.lower <= check.middle) & (check.middle <= check.upper)).all()


def test_zeros_that_no_poisson_has_are_told(counts):
    excess = counts.assign(y=counts["y"].where(np.arange(300) % 3 > 0, 0))
    finding = predictive_check(gs.fit("y ~ 1", excess, family="poisson")).finding
    assert finding.level == "warning" and "family" in finding.remedy
    assert "at most 0, where replicates have" in finding.message


def test_bounds_and_several_responses_are_not_compared(counts):
    one = gs.fit("y ~ 1", counts, family="poisson")
    both = gs.fit([gs.Observations("y ~ 1", counts, family="poisson", name=name) for name in ("a", "b")])
    assert one.model.likelihood.is_replicated and not both.model.likelihood.is_replicated
