"""A summary never waits: what takes long is left out until it is asked for."""

import numpy as np
import pandas as pd
import pytest
from arviz_stats.base import array_stats

import geospde as gs
from geospde.inference.pareto import smoothed_leave_one_out
from geospde.results import bayesian


@pytest.fixture
def fit():
    rng = np.random.default_rng(4)
    x = rng.normal(size=60)
    data = {"x": x, "g": rng.integers(0, 8, 60).astype(str), "y": rng.poisson(np.exp(0.5 * x))}
    return gs.fit("y ~ x + (1 | g)", pd.DataFrame(data), family="poisson", strategy="simplified")


def count(monkeypatch, name):
    """Count the calls of a function that takes long."""
    calls, real = [], getattr(bayesian, name)

    def counting(*arguments, **named):
        calls.append(name)
        return real(*arguments, **named)

    monkeypatch.setattr(bayesian, name, counting)
    return calls


def test_a_summary_of_many_data_computes_no_criteria(fit, monkeypatch, capsys):
    calls = count(monkeypatch, "leave_one_out") + count(monkeypatch, "criteria")
    monkeypatch.setattr(bayesian, "QUICK", 0)
    fit.summary()
    assert "see fit.criteria" in capsys.readouterr().out and not calls
    fit.criteria  # noqa: B018  (asked for)
    fit.summary()
    assert "elpd_loo" in capsys.readouterr().out


def test_a_summary_of_a_large_mesh_computes_no_corrections(fit, monkeypatch, capsys):
    for name in ("QUICK_LOADINGS", "QUICK"):
        monkeypatch.setattr(bayesian, name, 0)
    monkeypatch.setattr(bayesian.HigherOrder, "at", lambda *a: pytest.fail("corrections were computed"))
    fit.summary()
    assert "see fit.fixed" in capsys.readouterr().out


def test_criteria_tell_how_far_they_are(fit):
    told = []
    fit.compute_criteria(lambda done, total, message: told.append((done, total, message)))
    assert told[-1] == (60, 60, "leave-one-out") and (2000, 2000, "draws") in told


@pytest.mark.parametrize("draws", [100, 225, 1000])
def test_smoothing_in_batches_is_that_of_arviz(draws):
    rng = np.random.default_rng(draws)
    heaviness = rng.uniform(0.1, 3, (300, 1))
    log_density = -0.5 * (heaviness * rng.normal(size=(300, draws))) ** 2 - rng.gamma(1, 1, (300, draws))
    elpd, k = smoothed_leave_one_out(log_density)
    theirs, their_k, _ = array_stats.loo(log_density[:40].T[None], chain_axis=0, draw_axis=1)
    np.testing.assert_allclose(elpd[:40], theirs, rtol=1e-10)  # the same formulas, summed in another order
    np.testing.assert_allclose(k[:40], their_k, rtol=1e-10)


def test_an_observation_of_weight_zero_has_a_density_of_one():
    elpd, k = smoothed_leave_one_out(np.zeros((2, 100)))
    np.testing.assert_allclose(elpd, 0.0, atol=1e-14)
    assert (k == 0).all()
