"""Gaussian process terms against dense algebra, quadrature and importance sampling."""

import numpy as np
import pytest
from scipy.stats import invgamma

from geospde.latent.priors import InverseGamma


def test_length_scale_prior_is_the_inverse_gamma_of_its_tails():
    prior = InverseGamma.between(0.03, 1.2)
    density = invgamma(prior.shape, scale=prior.scale)
    # the root is found to 1e-13 in the log shape
    assert density.cdf(0.03) == pytest.approx(0.01, abs=1e-9)
    assert density.sf(1.2) == pytest.approx(0.01, abs=1e-9)
    theta = np.array([-1.3])
    assert prior.log_density(theta) == pytest.approx(density.logpdf(np.exp(-1.3)) - 1.3, abs=1e-10)
    change = (prior.log_density(theta + 1e-5) - prior.log_density(theta - 1e-5)) / 2e-5
    assert prior.gradient(theta)[0] == pytest.approx(change, abs=1e-7)  # a central difference
