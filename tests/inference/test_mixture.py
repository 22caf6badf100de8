from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy.stats import chi2, norm

from geospde.errors import InputError
from geospde.families.gauss_hermite import normal_nodes
from geospde.families.links import IDENTITY, INVERSE, LOG, LOGIT, POSITIVE, PROBABILITY_LINKS, PROBIT, SQRT
from geospde.inference.marginals import Marginal, marginal_of_mixture, response_summary
from geospde.inference.mixture import GaussianMixture
from geospde.linalg.mixtures import cubics, positive_moments

RNG = np.random.default_rng(2)
MIXTURE = GaussianMixture(np.array([0.2, 0.5, 0.3]), RNG.normal(0, 1, (3, 40)), RNG.uniform(0.1, 2, (3, 40)))


def by_simulation(size=400_000):
    which = RNG.choice(3, size, p=MIXTURE.weights)
    return MIXTURE.means[which] + MIXTURE.sds[which] * RNG.standard_normal((size, 40))


def test_quantiles_invert_the_distribution_function():
    for p in (1e-4, 0.025, 0.5, 0.975, 0.9999):
        np.testing.assert_allclose(MIXTURE.cdf(MIXTURE.quantile(p)), p, rtol=1e-8)


@pytest.mark.slow
def test_moments_and_quantiles_are_those_of_a_simulation():
    draws = by_simulation()
    np.testing.assert_allclose(MIXTURE.mean, draws.mean(axis=0), atol=0.02)  # four standard errors
    np.testing.assert_allclose(MIXTURE.sd, draws.std(axis=0), rtol=0.01)
    np.testing.assert_allclose(MIXTURE.quantile(0.9), np.quantile(draws, 0.9, axis=0), atol=0.03)


@pytest.mark.parametrize("degrees, there", [(1.2, False), (2.0, False), (5.0, True), (np.inf, True)])
def test_an_sd_that_far_values_make_up_is_absent(degrees, there):
    """Student t as Gaussians of many variances: it has no sd for two degrees of freedom and less."""
    levels = (np.arange(4000) + 0.5) / 4000
    sds = np.ones(4000) if np.isinf(degrees) else np.sqrt(degrees / chi2.ppf(levels, degrees))
    two = GaussianMixture(np.full(4000, 1 / 4000), np.full((4000, 2), 3.0), sds[:, None] * [1.0, 1e-9])
    assert (np.isfinite(two.finite_sd) == there).all()
    if there:
        np.testing.assert_allclose(two.finite_sd, two.sd)


def test_response_summary_is_of_the_transformed_law():
    table = response_summary(MIXTURE, LOG, (0.025, 0.975), mode=True)
    # moments of a mixture of log-normals in closed form
    v = MIXTURE.sds**2
    mean = MIXTURE.weights @ np.exp(MIXTURE.means + v / 2)
    square = MIXTURE.weights @ np.exp(2 * MIXTURE.means + 2 * v)
    np.testing.assert_allclose(table["mean"], mean, rtol=1e-9)
    np.testing.assert_allclose(table["sd"], np.sqrt(square - mean**2), rtol=1e-3)  # 21 nodes, sds up to 2
    np.testing.assert_allclose(table["q0.975"], np.exp(MIXTURE.quantile(0.975)), rtol=1e-12)


def test_mode_of_one_log_normal_is_analytic():
    one = GaussianMixture(np.ones(1), np.array([[0.3, 1.0]]), np.array([[0.2, 0.5]]))
    mode = response_summary(one, LOG, (), mode=True)["mode"]
    np.testing.assert_allclose(mode, np.exp(one.means[0] - one.sds[0] ** 2), rtol=1e-4)  # grid and parabola


def test_gridded_marginal_agrees_with_the_mixture():
    part = GaussianMixture(MIXTURE.weights, MIXTURE.means[:, :1], MIXTURE.sds[:, :1])
    marginal = marginal_of_mixture(part)
    assert marginal.mean == pytest.approx(part.mean[0], abs=1e-4)
    assert marginal.sd == pytest.approx(part.sd[0], rel=1e-4)
    for p in (0.025, 0.5, 0.975):
        assert marginal.quantile(p) == pytest.approx(part.quantile(p)[0], abs=1e-3)
        assert marginal.cdf(marginal.quantile(p)) == pytest.approx(p, abs=1e-5)


def test_marginal_of_a_log_normal_on_the_users_scale():
    t = np.linspace(-6, 6, 241) * 0.4 + 1.0
    marginal = Marginal(t, norm.pdf(t, 1.0, 0.4), np.exp)
    assert marginal.mean == pytest.approx(np.exp(1 + 0.08), rel=1e-5)
    assert marginal.sd == pytest.approx(np.exp(1.08) * np.sqrt(np.expm1(0.16)), rel=1e-4)
    assert marginal.mode == pytest.approx(np.exp(1 - 0.16), rel=1e-3)
    assert marginal.quantile(0.975) == pytest.approx(np.exp(1 + 0.4 * norm.ppf(0.975)), rel=1e-4)
    assert np.trapezoid(marginal.y, marginal.x) == pytest.approx(1, abs=1e-3)
    low, high = marginal.interval(0.9)
    assert marginal.cdf(high) - marginal.cdf(low) == pytest.approx(0.9, abs=1e-5)
    shortest = marginal.interval(0.9, kind="highest-density")
    assert shortest[1] - shortest[0] < high - low
    assert marginal.density(shortest[0]) == pytest.approx(marginal.density(shortest[1]), rel=0.02)


@pytest.mark.parametrize("p", [0.0, 1.0, -1.0, 2.0])
def test_levels_outside_nought_to_one_are_refused(p):
    with pytest.raises(InputError, match="between 0 and 1"):
        MIXTURE.quantile(p)


def plain_quantile(mixture, p):
    """Quantiles by bisection of the distribution function: the oracle of the searches."""
    reach = 60 * (mixture.sds.max() + np.ptp(mixture.means))
    low, high = mixture.mean - reach, mixture.mean + reach
    for _ in range(200):
        middle = 0.5 * (low + high)
        below = mixture.cdf(middle) < p
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return 0.5 * (low + high)


def mixtures():
    """Mixtures of one and of many components, narrow and wide, far apart, of weights from 1e-9, straight and skew."""
    rng = np.random.default_rng(8)
    for k, spread in ((1, 1.0), (2, 30.0), (9, 1.0), (60, 3.0)):
        weights = rng.dirichlet(np.full(k, 0.2)) + 1e-9
        weights /= weights.sum()
        means, sds = spread * rng.normal(size=(k, 300)), 10.0 ** rng.uniform(-2, 1, (k, 300))
        for shape in (None, rng.uniform(-0.45, 0.45, 300), np.full(300, 1e-5)):
            yield GaussianMixture(weights, means, sds, shape)


@pytest.mark.slow
@pytest.mark.parametrize("several", [0, 1_000_000], ids=["compiled", "numpy"])
def test_quantiles_and_tails_are_those_of_the_plain_search(several, monkeypatch):
    monkeypatch.setattr("geospde.inference.mixture.SEVERAL", several)
    for mixture in mixtures():
        for p in (1e-5, 0.025, 0.5, 0.975, 1 - 1e-5):
            found = mixture.quantile(p)
            np.testing.assert_allclose(found, plain_quantile(mixture, p), atol=2e-7 * mixture.sd.min(), rtol=1e-7)
            np.testing.assert_allclose(mixture.sf(found), 1 - mixture.cdf(found), atol=1e-14)
        np.testing.assert_allclose(mixture.sf(np.inf), 0.0)
        np.testing.assert_allclose(mixture.sf(-np.inf), 1.0)


@pytest.mark.slow
def test_quantiles_at_once_are_those_of_the_plain_search():
    levels = (0.025, 0.5, 0.975)
    for mixture in mixtures():
        plain = np.stack([plain_quantile(mixture, p) for p in levels])
        np.testing.assert_allclose(mixture.quantiles(levels), plain, atol=2e-7 * mixture.sd.min(), rtol=1e-7)


def squared_deviation(link, mean):
    return lambda eta: (link.inverse(eta) - mean) ** 2


@pytest.mark.slow
def test_moments_of_a_response_do_not_depend_on_how_they_are_found():
    for mixture in mixtures():
        narrow = GaussianMixture(mixture.weights, mixture.means / 30, mixture.sds / 30, mixture.shape)
        for link in (LOG, IDENTITY, LOGIT):
            table = response_summary(narrow, link, ())
            mean = narrow.expectation(link.inverse)
            sd = np.sqrt(narrow.expectation(squared_deviation(link, mean)))
            # 21 nodes of a function of sd up to a third, and rounding against the mean of small sds
            np.testing.assert_allclose(table["mean"], mean, rtol=1e-9, atol=1e-12)
            np.testing.assert_allclose(table["sd"], sd, rtol=1e-6)


@pytest.mark.slow
def test_compiled_moments_are_those_of_the_plain_quadrature(monkeypatch):
    monkeypatch.setattr("geospde.inference.mixture.MANY", 0)
    for mixture in mixtures():
        narrow = GaussianMixture(mixture.weights, mixture.means / 30, mixture.sds / 30, mixture.shape)
        for found, plain in zip(narrow.exponential_moments(), narrow.transformed_moments(np.exp)):
            np.testing.assert_allclose(found, plain, rtol=1e-10, atol=1e-13)
        for whole, link in product((narrow, mixture), PROBABILITY_LINKS):
            for found, plain in zip(whole.function_moments(link.inverse), whole.transformed_moments(link.inverse)):
                # the table is the function to 1e-10 of itself, which is 1 at most: so much each may be off
                np.testing.assert_allclose(found, plain, rtol=2e-10, atol=1e-10)
    # fewer nodes where components are narrow and nearly Gaussian, at the ends of what that means
    ends, shapes = (x.ravel() for x in np.meshgrid([0.01, 0.25, 0.45, 0.65, 1.1], [-0.1, -0.04, 0.0, 0.04, 0.07, 0.1]))
    for end, shape in zip(ends, shapes):
        sd = end / (1 + 12 * abs(shape))
        one = GaussianMixture(np.ones(1), np.array([[-3.0, 2.0]]), np.full((1, 2), sd), np.full(2, shape))
        for found, plain in zip(one.exponential_moments(), one.transformed_moments(np.exp)):
            np.testing.assert_allclose(found, plain, rtol=2e-10)
    sure = GaussianMixture(np.ones(1), np.array([[-900.0, 900.0]]), np.ones((1, 2)), np.array([0.2, 0.0]))
    np.testing.assert_allclose(sure.function_moments(LOGIT.inverse)[0], [0.0, 1.0], atol=1e-300)
    huge = GaussianMixture(np.array([0.5, 0.5]), np.array([[0.0], [900.0]]), np.ones((2, 1)), np.array([0.2]))
    assert np.isposinf(huge.exponential_moments()).all()


@pytest.mark.parametrize("link", [*PROBABILITY_LINKS, SQRT], ids=lambda link: link.name)
def test_a_table_is_its_function(link):
    for low, high in ((-3.0, 4.0), (-37.0, -20.0), (5.0, 5.0), (-0.3, 250.0)):
        found = cubics(link.inverse, low, high)
        assert found is not None
        start, rate, table = found
        x = np.linspace(low, high, 1237)
        at = (x - start) * rate
        k = at.astype(int)
        value = (table.reshape(-1, 4)[k] * (at - k)[:, None] ** np.arange(4)).sum(axis=1)
        exact = link.inverse(x)
        # as told, and what rounds in 1 - 1e-16
        np.testing.assert_allclose(value, exact, rtol=1.5e-10, atol=2e-20 * exact.max())


def test_what_no_table_is_has_none():
    assert cubics(np.sin, 0.0, np.inf) is None
    assert cubics(np.sin, 0.0, 2e4) is None
    assert cubics(lambda x: np.sqrt(np.abs(x)), -1.0, 1.0) is None  # it is no cubic near 0
    with np.errstate(divide="ignore"):
        assert cubics(INVERSE.inverse, -1.0, 1.0) is None


@pytest.mark.parametrize("falls", [False, True])
def test_moments_of_a_positive_predictor_are_those_of_its_link(falls):
    rng = np.random.default_rng(1)
    link, weights = INVERSE if falls else SQRT, rng.dirichlet(np.ones(3))
    means, sds = rng.uniform(-0.2, 3, (3, 40)), rng.uniform(0.01, 1, (3, 40))
    means[:, 0] = -1.0  # no part of it is positive
    out = np.empty((2, 40))
    positive_moments.py_func(falls, POSITIVE, weights, means, sds, np.zeros(0), *normal_nodes(21), out, 0, 40)
    each = link.gaussian_moments(means, sds)
    mean = weights @ each[0]
    # variances are differences of squares
    np.testing.assert_allclose(out[0], mean, rtol=1e-12)
    np.testing.assert_allclose(out[1] ** 2, weights @ (each[1] + (each[0] - mean) ** 2), rtol=1e-8, atol=1e-13)


def test_a_mean_that_falls_has_its_quantiles_from_above():
    found = response_summary(MIXTURE, INVERSE, (0.1, 0.5))
    np.testing.assert_array_equal(found["q0.1"], INVERSE.inverse(MIXTURE.quantile(0.9)))


def test_a_part_of_many_quantities_is_found_by_the_loops_that_all_of_them_would_be(monkeypatch):
    taken = []
    monkeypatch.setattr("geospde.inference.mixture.tabled_moments", lambda *args: taken.append(args[-2:]))
    monkeypatch.setattr("geospde.inference.mixture.positive_moments", lambda *args: taken.append(args[-2:]))
    few = GaussianMixture(MIXTURE.weights, MIXTURE.means, MIXTURE.sds)
    for link in (LOGIT, PROBIT, SQRT):
        response_summary(few, link, ())
        assert not taken
        response_summary(replace(few, of=1_000_000), link, ())
        assert taken == [(0, 40)]
        taken.clear()


def test_many_quantities_are_shared_among_threads_without_a_seam():
    rng = np.random.default_rng(9)
    whole = GaussianMixture(np.array([0.4, 0.6]), rng.normal(size=(2, 9000)), rng.uniform(0.5, 2, (2, 9000)))
    some = [0, 4095, 4096, 8999]
    part = GaussianMixture(whole.weights, whole.means[:, some], whole.sds[:, some])
    assert (whole.quantiles((0.1, 0.9))[:, some] == part.quantiles((0.1, 0.9))).all()
