"""Responses among replicates of a fit and of its priors: calibrated where the model is right, told where it is not."""

import numpy as np
import pandas as pd
import pytest

import geospde as gs
from geospde.results.prior import prior_marginal
from geospde.results.simulate import PREDICTIVE, PRIOR_PREDICTIVE, _thetas, predictive_check, prior_predictive_check


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


def test_draws_of_priors_are_those_of_the_prior_predictive_distribution():
    table = pd.DataFrame({"y": np.random.default_rng(4).normal(20.0, 2.0, 200)})
    priors = {"Intercept": {"gaussian": [15.0, 6.0]}, "sigma": {"fixed": 8.0}}
    check = prior_predictive_check(gs.fit("y ~ 1", table, priors=priors), draws=2000)
    # normal with mean 15 and variance 6**2 + 8**2, so 95 % within 15 -/+ 19.6; of 2000 draws of the
    # mean the quantiles have a standard error of 0.3
    assert check.reach == pytest.approx((-4.6, 34.6), abs=1.0)
    assert check.prior and check.finding.level == "ok" and "lie from" in check.finding.message


def test_data_that_the_priors_exclude_are_told():
    table = pd.DataFrame({"y": np.random.default_rng(4).normal(20.0, 2.0, 200)})
    priors = {"Intercept": {"gaussian": [0.0, 1.0]}, "sigma": {"fixed": 2.0}}
    finding = prior_predictive_check(gs.fit("y ~ 1", table, priors=priors)).finding
    assert finding.level == "note" and finding.subject == PRIOR_PREDICTIVE
    assert "a surprise to the prior" in finding.message and "[priors]" in finding.remedy


def test_flat_effects_are_as_estimated_and_fields_drawn(counts):
    at = counts.assign(x=np.linspace(0, 10, 300), g=np.arange(300) % 30)
    priors = {"sd(Intercept | g)": {"pc": [0.001, 0.01]}}  # next to nothing: draws are of the estimated mean alone
    check = prior_predictive_check(gs.fit("y ~ 1 + (1 | g)", at, family="poisson", priors=priors))
    assert check.reach == pytest.approx((1, 8), abs=1)  # of a Poisson variable of mean 4
    assert check.held == ("Intercept",) and "flat: 'Intercept'" in check.finding.message
    with pytest.raises(gs.InputError, match="without priors"):
        prior_predictive_check(gs.fit("y ~ 1", at, family="poisson", method="ml"))


def test_draws_of_hyperparameters_are_a_latin_hypercube(counts):
    model = gs.fit("y ~ 1 + (1 | g)", counts.assign(g=np.arange(300) % 30), family="nbinomial").model
    drawn = _thetas(model, {}, np.random.default_rng(1), 20)
    for h in model.hyperparameters:
        below = prior_marginal(model, h.name).cdf(np.array([h.value(theta) for theta in drawn]))
        assert sorted(np.floor(20 * below)) == list(range(20))


def test_a_prior_beyond_all_numbers_is_refused_or_told(counts):
    wide = {"priors": {"Intercept": {"gaussian": [0.0, 1e4]}}}
    finding = prior_predictive_check(gs.fit("y ~ 1", counts, family="poisson", **wide)).finding
    assert finding.message.endswith("from 0 to infinity")
    with pytest.raises(gs.InputError, match="no number holds"):
        prior_predictive_check(gs.fit("y ~ 1", counts, family="tweedie", method="eb", **wide))
