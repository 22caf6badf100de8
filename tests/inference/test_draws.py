"""Draws that put a posterior of theta right, and the mixtures that they come from."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

import geospde as gs
from geospde.inference.emulator import Emulator
from geospde.inference.residual import ThetaDraws
from geospde.inference.warp import Axes
from geospde.linalg.student import StudentMixture

D = 5
ARM = np.array([3.0, 0.0, -2.0, 0.0, 0.0])
PARTS = [(0.7, multivariate_normal(np.zeros(D), np.eye(D))), (0.3, multivariate_normal(ARM, 0.6 * np.eye(D)))]


def two_arms(theta):
    return logsumexp([np.log(share) + part.logpdf(theta) for share, part in PARTS], axis=0)


TOP = float(two_arms(np.zeros(D)))


def test_a_mixture_is_a_density_that_follows_its_draws():
    rng = np.random.default_rng(1)
    draws = 1.5 * rng.normal(size=(4000, D)) + ARM / 2
    weights = np.exp(two_arms(draws) - multivariate_normal(ARM / 2, 2.25 * np.eye(D)).logpdf(draws))
    mixture = StudentMixture.fitted(draws, weights / weights.sum(), rng)
    new = mixture.draw(4096, rng)
    ratio = np.exp(two_arms(new) - mixture.log_density(new))
    assert abs(ratio.mean() - 1) < 4 * ratio.std() / 64  # both are densities
    assert ratio.sum() ** 2 / (ratio @ ratio) > 0.6 * len(new)  # .70; of those that it was fitted to .23 counted
    assert abs((new[:, 0] > 2).mean() - 0.286) < 0.05  # .7 of the tail of one, .3 of most of the other


def test_draws_find_an_arm_that_no_point_saw():
    """An emulator of the bulk knows nothing of three tenths of the mass: mixtures find them, without bias."""
    axes = Axes(np.zeros(D), np.eye(D))
    places = np.vstack([np.zeros((1, D)), 2 * np.eye(D), -2 * np.eye(D)])
    nothing = np.zeros(len(places))
    values = -0.5 * (places**2).sum(axis=1)
    emulator = Emulator.through(places, values, -places, nothing, np.zeros_like(places)).proposing()
    draws = ThetaDraws(two_arms, emulator, TOP, axes, None)

    def influence(theta, mass):
        """Of the log evidence and of the mean along the way to the arm."""
        away = theta[:, 0]
        return np.column_stack([np.ones(len(mass)), away - mass @ away])

    for _ in range(2):
        draws.add()
    for _ in range(6):
        draws.add(draws.mixture())
    mixture, draws.first = draws.mixture(), 8
    for _ in range(6):
        draws.add(mixture)
    errors = draws.errors(influence)
    found = draws.corrected(influence)
    u, log_weights = found.weighted
    weights = np.exp(log_weights - logsumexp(log_weights))
    log_evidence = logsumexp(log_weights) - np.log(len(u)) + TOP
    assert abs(log_evidence) < 3 * errors[0] < 0.15
    assert abs(weights @ u[:, 0] - 0.3 * ARM[0]) < 3 * errors[1]


@pytest.mark.slow
def test_an_autoregression_of_third_order_keeps_its_arms():
    """Forty steps are an autoregression, white noise or nearly constant; the densest arm is not the heaviest.

    The values are of 40,000 importance draws, 27,000 of which count, with a dense covariance of the series.
    """
    rng = np.random.default_rng(2)
    series = np.zeros(40)
    for i in range(3, 40):
        series[i] = 0.6 * series[i - 1] - 0.3 * series[i - 2] + 0.2 * series[i - 3] + 0.5 * rng.normal()
    data = pd.DataFrame({"t": np.arange(40), "y": 1 + series + 0.3 * rng.normal(size=40)})
    fit = gs.fit("y ~ 1 + ar(t, order=3)", data)
    exact = pd.DataFrame(
        [[0.2391, 0.0098, 0.2401, 0.7547], [0.5105, -0.9843, 0.2002, 0.9993], [0.4884, -0.9747, -0.1708, 0.9471],
         [0.4172, -0.8934, -0.0490, 0.8634], [0.1499, 0.0741, 0.5278, 0.7063]],
        fit.hyper.index, ["sd", "q0.025", "q0.5", "q0.975"],
    )  # fmt: skip
    ends = list(exact)[1:]
    away = (fit.hyper[ends] - exact[ends]).div(exact["sd"], axis=0).abs()
    told = fit.posterior.accuracy
    # of draws; before them one fitted polynomial had the densest arm alone, up to 2.1 sds off
    assert away["q0.5"].max() < 0.1
    assert away.to_numpy().max() < 0.5  # 13 of 15 to .16; sd's upper end, of a flat tail, to .37, and .32 is told
    assert told.draws > 512 and abs(fit.log_marginal_likelihood + 38.073) < 3 * told.evidence < 0.1
    np.testing.assert_allclose(fit.hyper["sd"], exact["sd"], rtol=0.15)
