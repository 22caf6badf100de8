"""What is known of the weights of draws without drawing: it may not make up mass where nothing was drawn."""

import numpy as np
import pytest
from scipy.special import logsumexp

from geospde.linalg.importance import BATCHES, BENT, ThetaCloud, ThetaProposal

TURN = 1.5  # where the first coordinate's Gaussian goes over into an exponential


def log_target(theta):
    """Log density of two Gaussians beside a Gaussian with an exponential tail to one side."""
    s = theta[:, 0]
    return -0.5 * np.where(s < TURN, s**2, 2 * TURN * s - TURN**2) - 0.5 * (theta[:, 1:] ** 2).sum(axis=1)


def draws(seed):
    """Thetas, their weights and log densities, by a fit that takes the tail to be a Gaussian's."""
    rng = np.random.default_rng(seed)
    many = rng.standard_normal((20_000, 3))
    proposal = ThetaProposal.following(many, np.full(len(many), 1 / len(many)), many[:500])
    theta = np.vstack([proposal.draw(250, rng) for _ in range(BATCHES)])
    log_drawn = proposal.log_density(theta, 250)
    log_weights = log_target(theta) - log_drawn
    log_fit = -0.5 * (theta**2).sum(axis=1) - 1.5 * np.log(2 * np.pi)
    return many, theta, np.exp(log_weights - logsumexp(log_weights)), log_drawn, log_fit


@pytest.fixture(scope="module")
def drawn():
    return draws(3)


def moments(cloud, theta, weights):
    """Mean, sd and stated error of the mean of the exponential of the first coordinate's half."""
    rest = weights - cloud.at
    total = cloud.weights.sum() + rest.sum()
    x = np.exp(0.5 * np.concatenate([theta[:, 0], cloud.theta[:, 0]]))
    mass = np.concatenate([rest, cloud.weights]) / total
    mean = mass @ x
    parts = (rest / total * (x[: len(rest)] - mean)).reshape(BATCHES, -1).sum(axis=1)
    return mean, np.sqrt(mass @ (x - mean) ** 2), np.sqrt(BATCHES) * parts.std(ddof=1)


def test_draws_come_from_all_kernels():
    """Their density says so: from the same part of them in every batch, no spread of batches would show the error."""
    rng = np.random.default_rng(5)
    skewed = rng.gamma(0.5, size=(1000, 1))  # unlike a Gaussian, so that there are kernels
    proposal = ThetaProposal.following(skewed, np.full(1000, 1e-3), np.sort(skewed[:100], axis=0))
    assert len(proposal.centres) == 100
    apart = ThetaProposal(100.0 * np.arange(100)[:, None], proposal.root, proposal.mean - 1e6, 1e-3 * proposal.spread)
    for size in (50, 300):
        drawn = np.concatenate([apart.draw(size, rng)[:, 0] for _ in range(BATCHES)])
        counts = np.bincount(np.round(drawn[drawn > -1e5] / 100).astype(int), minlength=100)
        each = counts.sum() / 100
        # of a hypergeometric count in each batch, the standard deviation is below the square root of its mean
        assert np.abs(counts - each).max() < 5 * np.sqrt(each)


@pytest.mark.slow
def test_a_tail_unlike_the_fits_is_corrected():
    s = np.linspace(-9, 60, 200_001)
    mass = np.exp(log_target(np.column_stack([s, 0 * s, 0 * s])))
    x, mass = np.exp(0.5 * s), mass / mass.sum()
    true_mean = mass @ x
    true_sd = np.sqrt(mass @ (x - true_mean) ** 2)
    found, plain = [], []
    for seed in range(20):
        many, theta, weights, log_drawn, log_fit = draws(seed)
        cloud = ThetaCloud.bent(many, np.full(len(many), 1 / len(many)), theta, weights, log_drawn, log_fit)
        mean, sd, error = moments(cloud, theta, weights)
        # ten batches tell their error to a quarter; the cloud itself is of 20,000 random thetas
        assert abs(mean - true_mean) < 4 * np.hypot(error, true_sd / np.sqrt(len(many)))
        found.append((bool(len(cloud.weights)), sd / true_sd, error))
        plain.append(moments(ThetaCloud.none(theta), theta, weights)[2])
    used, ratio, errors = np.mean(found, axis=0)
    # one sd errs by 7 %: its tail has 0.5 % of the mass, and is seen by some 30 draws
    assert ratio == pytest.approx(1.0, abs=0.05)
    assert errors < np.mean(plain)
    assert used > 0.5


def test_no_mass_is_made_up_where_nothing_was_drawn(drawn):
    many, theta, weights, log_drawn, log_fit = drawn
    far = np.array([[9.0, 9.0, -1.0], [-8.0, 6.0, 6.0]])  # as lone thetas of a cloud lie
    even = np.append(np.full(len(many), 1 / len(many)), [1e-9, 1e-9])
    cloud = ThetaCloud.bent(np.vstack([many, far]), even, theta, weights, log_drawn, log_fit)
    assert (cloud.weights[-2:] <= 1e-9 * np.exp(BENT)).all()  # a polynomial alone would give them any


def test_a_density_of_other_thetas_than_were_drawn_is_left_out(drawn):
    many, theta, weights, log_drawn, log_fit = drawn
    even = np.full(len(many), 1 / len(many))
    assert len(ThetaCloud.bent(many + 0.3, even, theta, weights, log_drawn, log_fit).weights) == 0
