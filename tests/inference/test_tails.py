"""Small probabilities against scipy's survival functions: a tail is computed as a tail, not as one less the rest."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import geospde as gs
from geospde.inference.marginals import Marginal, marginal_of_mixture
from geospde.inference.mixture import GaussianMixture

Z = np.array([1.0, 5.0, 8.5, 10.0, 20.0, 37.0])
# ndtr errs by a few units of the last place of its argument, times that argument squared
REL = 1e-12


def mixture(means, sds, weights=(0.25, 0.75), shape=None):
    return GaussianMixture(np.array(weights), np.array(means)[:, None], np.array(sds)[:, None], shape)


def test_a_mixtures_upper_tail_is_that_of_its_components():
    parts = mixture([0.0, 1.0], [1.0, 2.0])
    for z in Z:
        exact = 0.25 * stats.norm.sf(z) + 0.75 * stats.norm.sf(z, 1, 2)
        assert parts.sf(z)[0] == pytest.approx(exact, rel=REL)
        below = 0.25 * stats.norm.cdf(-z) + 0.75 * stats.norm.cdf(-z, 1, 2)
        assert parts.cdf(-z)[0] == pytest.approx(below, rel=REL)
        assert parts.sf(z)[0] + parts.cdf(z)[0] == pytest.approx(1.0, abs=1e-15)


def test_a_skew_components_upper_tail_is_that_of_its_lognormal():
    a = 0.3
    skew = mixture([0.0, 0.0], [1.0, 1.0], shape=np.array([a]))
    # mean 0, variance 1: (exp(a z - a²/2) - 1) / sqrt(expm1(a²))
    law = stats.lognorm(a, loc=-1 / np.sqrt(np.expm1(a**2)), scale=np.exp(-(a**2) / 2) / np.sqrt(np.expm1(a**2)))
    for x in (1.0, 5.0, 20.0, 60.0):
        assert skew.sf(x)[0] == pytest.approx(law.sf(x), rel=1e-10)


def test_a_marginals_tails_are_scipys_on_both_sides_and_beyond_its_grid():
    marginal = marginal_of_mixture(mixture([2.0, 2.0], [3.0, 3.0]))
    for z in (1.0, 4.0, 6.0):
        # within the grid the integral of a spline of the density is good to 1e-8
        assert float(marginal.sf(2 + 3 * z)) == pytest.approx(stats.norm.sf(z), rel=2e-3)
        assert float(marginal.cdf(2 - 3 * z)) == pytest.approx(stats.norm.sf(z), rel=2e-3)
        assert float(marginal.cdf(2 - 3 * z)) == pytest.approx(float(marginal.sf(2 + 3 * z)), rel=1e-6)
    for z in (8.0, 10.0, 15.0):  # a straight line of normal scores
        score = stats.norm.isf(float(marginal.sf(2 + 3 * z)))
        assert score == pytest.approx(z, rel=0.02)


def test_a_marginal_on_a_bent_scale_ends_where_its_grid_does():
    t = np.linspace(-7, 7, 801)
    positive = Marginal(t, stats.norm.pdf(t), np.exp)
    assert float(positive.cdf(-1.0)) < 1e-10 and float(positive.sf(1e9)) < 1e-10
    assert float(positive.sf(np.exp(5.0))) == pytest.approx(stats.norm.sf(5.0), rel=2e-3)


def test_a_quantile_beyond_what_weights_tell_is_at_their_end():
    """A cubic beyond the outermost known place put the level of a millionth at 27, on the other side of the median."""
    inner = np.linspace(-20.0, 8.0, 241)
    below = np.interp(inner, [-18.0, -3.0, 1.0, 5.0], [0.0, 1e-3, 0.9, 1.0])
    found = Marginal(inner, np.gradient(below, inner), None, below)
    levels = np.array([1e-12, 1e-6, 1e-3, 0.5, 1 - 1e-6, 1 - 1e-12])
    quantiles = found.quantile(levels)
    assert (np.diff(quantiles) >= 0).all()
    assert inner[0] <= quantiles[0] and quantiles[-1] <= inner[-1]


@pytest.mark.parametrize("tail, has_mean, has_sd", [(0.8, False, False), (1.5, True, False), (5.0, True, True)])
def test_moments_that_a_far_tail_makes_up_are_absent(tail, has_mean, has_sd):
    # log of a Pareto variable: it has no mean for a tail below 1 and no sd below 2
    t = np.linspace(0, 30 / tail, 2001)
    mean, sd = Marginal(t, stats.expon.pdf(t, scale=1 / tail), np.exp).finite_moments
    assert np.isfinite(mean) == has_mean and np.isfinite(sd) == has_sd
    if has_sd:  # the grid's spacing
        assert [mean, sd] == pytest.approx([stats.pareto.mean(tail), stats.pareto.std(tail)], rel=1e-2)


@pytest.fixture(scope="module")
def fit():
    rng = np.random.default_rng(2)
    table = pd.DataFrame({"x": rng.normal(size=40)})
    table["y"] = 3.0 + 2.0 * table["x"] + rng.normal(0, 0.5, 40)
    return gs.fit("y ~ x", table, priors={"sigma": {"fixed": [0.5]}})


@pytest.mark.parametrize("z", [3.0, 8.0, 10.0, 25.0])
def test_an_exceedance_far_above_the_mean_has_its_digits(fit, z):
    place = pd.DataFrame({"x": [0.0]})
    mean, sd = fit.predict(place).to_frame().loc[0, ["mean", "sd"]]
    found = fit.predict(place, exceed=[mean + z * sd]).to_frame().iloc[0, -1]
    assert found == pytest.approx(stats.norm.sf(z), rel=1e-6)  # the threshold's name has six digits, its value all


def test_a_hypothesis_far_from_the_posterior_has_a_small_probability_and_its_odds(fit):
    mean, sd = fit.fixed.loc["x", ["mean", "sd"]]
    against = fit.hypothesis(f"x > {mean + 10 * sd}")
    assert stats.norm.isf(against.posterior_probability) == pytest.approx(10.0, rel=0.02)
    assert against.evidence_ratio == pytest.approx(against.posterior_probability, rel=1e-12)
    for_it = fit.hypothesis(f"x < {mean + 10 * sd}")
    assert np.log(for_it.evidence_ratio) == pytest.approx(-np.log(against.evidence_ratio), rel=1e-9)


def test_a_residual_beyond_seven_deviations_keeps_its_size():
    from geospde.results.quantile_residuals import quantile_residuals

    table = pd.DataFrame({"y": [0.0, 1.0, -1.0, 0.5, -0.5, 60.0, -60.0]})
    fit = gs.fit("y ~ 1", table, priors={"sigma": {"fixed": [2.0]}})
    np.testing.assert_allclose(quantile_residuals(fit)[-2:], [30.0, -30.0], rtol=1e-9)


@pytest.mark.slow
def test_a_mode_at_the_cusp_of_a_prior_is_found():
    """Of noise a partial autocorrelation has its mode at zero, where its prior has no slope."""
    rng = np.random.default_rng(124)
    table = pd.DataFrame({"t": rng.integers(0, 24, 160), "z": 0.8 * rng.normal(size=160) + 0.5})
    fit = gs.fit("z ~ seasonal(t, period=12) + ar(t, order=2)", table, method="eb")
    mode = fit.posterior.mode.theta
    assert abs(mode[3]) < 1e-4
    # steps that cross the cusp are short of what they promise, and end the search a hundredth below the top
    top = fit.laplace.at(mode, gradient=False).log_posterior
    steps = np.vstack([0.03 * np.eye(mode.size), -0.03 * np.eye(mode.size)])
    assert max(fit.laplace.at(mode + step, gradient=False).log_posterior for step in steps) < top + 0.05
