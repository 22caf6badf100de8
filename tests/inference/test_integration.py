"""Rules over theta on log posteriors whose moments are known, without any latent field."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy.special import digamma, gammaln, polygamma
from scipy.special import gamma as gamma_function

import geospde as gs
from geospde.errors import NumericalError
from geospde.inference import integration
from geospde.inference.hyper import Accuracy, HyperPosterior
from geospde.inference.integration import Explorer, _apart, composite_design, even_grid, integrate
from geospde.inference.marginals import Marginal
from geospde.inference.mode import curvature, find_mode
from geospde.inference.residual import Nothing, Polynomial, ProductSpline
from geospde.inference.second_order.evidence import evidence_correction
from geospde.inference.warm import WarmLaplace


class Known:
    """Stands for a Laplace object: log posterior and gradient are given functions of theta."""

    n, evaluations, factorisations, precisions = 1, 0, 0, ()

    def __init__(self, log_density, gradient, d, fails=lambda theta: False):
        self.log_density, self.slope_of, self.n_theta, self.fails = log_density, gradient, d, fails

    def at(self, theta, start=None, gradient=True):
        self.evaluations += 1
        if self.fails(theta):
            raise NumericalError("no value here")
        return Point(theta, float(self.log_density(theta)), self.slope_of(theta))

    lagging = at

    def log_prior(self, theta):
        return 0.0

    def describe(self, theta):
        return f"theta = {theta}"


class Point(SimpleNamespace):
    def __init__(self, theta, value, gradient):
        super().__init__(
            theta=theta,
            log_posterior=value,
            gradient=gradient,
            x=np.zeros(1),
            slope=np.zeros((1, theta.size)),
            gradient_error=np.zeros(theta.size),
            correction=0.0,
            rounding=0.0,
        )

    def without_factor(self):
        return self


def gaussian(d, seed=1):
    rng = np.random.default_rng(seed)
    root = np.tril(rng.normal(0, 0.4, (d, d)), -1) + np.diag(rng.uniform(0.1, 2, d))
    inverse = np.linalg.inv(root @ root.T)
    mean = rng.normal(0, 2, d)
    known = Known(lambda t: 3.0 - 0.5 * (t - mean) @ inverse @ (t - mean), lambda t: -inverse @ (t - mean), d)
    evidence = 3.0 + 0.5 * d * np.log(2 * np.pi) + np.linalg.slogdet(root)[1]
    return known, mean, root @ root.T, evidence


def log_gamma(shapes, turn=None):
    """Logarithms of independent Gamma(shape, 1) variables, mixed by a matrix: skew, with an exponential tail."""
    shapes = np.asarray(shapes, dtype=float)
    turn = np.eye(shapes.size) if turn is None else turn
    back = np.linalg.inv(turn)

    def value(t):
        v = back @ t
        return (shapes * v - np.exp(v) - gammaln(shapes)).sum()

    def slope(t):
        return back.T @ (shapes - np.exp(back @ t))

    cov = turn @ np.diag(polygamma(1, shapes)) @ turn.T
    return Known(value, slope, shapes.size), turn @ digamma(shapes), cov, np.linalg.slogdet(turn)[1]


def solve(known, rule="auto", monkeypatch=None):
    known = WarmLaplace(known)
    mode, guess = find_mode(known, np.zeros(known.n_theta))
    return integrate(Explorer(known, mode, "vb", lambda *a: None), *curvature(known, mode, guess), rule)


@pytest.fixture(autouse=True)
def no_latent_field(monkeypatch):
    monkeypatch.setattr(integration, "finished", lambda laplace, point, strategy, latent: point)


@pytest.mark.parametrize("d", [1, 2, 3, 4, 5, 6])
def test_a_gaussian_is_integrated_exactly(d):
    known, mean, covariance, evidence = gaussian(d)
    found = solve(known)
    assert found.log_marginal_likelihood == pytest.approx(evidence, abs=1e-3)
    thetas = np.array([p.theta for p in found.points])
    sds = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose((found.weights @ thetas - mean) / sds, 0, atol=1e-3)
    np.testing.assert_allclose(np.sqrt(found.weights @ (thetas - mean) ** 2) / sds, 1, atol=2e-3)
    for k in range(d):
        values, density = found.hyper.along(np.eye(d)[k])
        centre = np.trapezoid(values * density, values)
        assert centre == pytest.approx(mean[k], abs=1e-2 * sds[k])
        # beyond two dimensions the marginals come from 65,536 quasi-random points
        assert np.sqrt(np.trapezoid((values - centre) ** 2 * density, values)) == pytest.approx(sds[k], rel=5e-3)


TURN = np.array([[1.0, 0.0], [0.6, 0.8]])
SKEW = [
    ([8.0], None, 0.01),
    ([0.8], None, 0.02),
    ([20.0, 30.0], TURN, 0.01),
    ([3.0, 5.0], TURN, 0.02),
    ([0.7, 1.5], TURN, 0.02),
    ([2.0, 1.0, 4.0], None, 0.02),
]


@pytest.mark.parametrize("shapes, turn, tolerance", SKEW)
def test_skew_posteriors_keep_their_moments(shapes, turn, tolerance):
    known, mean, covariance, evidence = log_gamma(shapes, turn)
    found = solve(known)
    # 1 % for smooth posteriors, 2 % where the tail is exponential: what the rules are chosen for
    assert found.log_marginal_likelihood == pytest.approx(evidence, abs=0.02)
    for k in range(mean.size):
        values, density = found.hyper.along(np.eye(mean.size)[k])
        sd = np.sqrt(covariance[k, k])
        centre = np.trapezoid(values * density, values)
        assert centre == pytest.approx(mean[k], abs=tolerance * sd)
        assert np.sqrt(np.trapezoid((values - centre) ** 2 * density, values)) == pytest.approx(sd, rel=tolerance)


def test_an_even_grid_serves_two_skew_hyperparameters():
    known, mean, covariance, evidence = log_gamma([1.5, 0.9], TURN)
    found = solve(known, "grid")
    assert found.log_marginal_likelihood == pytest.approx(evidence, abs=0.01)
    thetas = np.array([p.theta for p in found.points])
    sds = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose((found.weights @ thetas - mean) / sds, 0, atol=0.01)
    np.testing.assert_allclose(np.sqrt(found.weights @ (thetas - mean) ** 2) / sds, 1, atol=0.01)


def test_a_composite_design_serves_many_mildly_skew_hyperparameters():
    shapes = [12.0, 20.0, 9.0, 15.0, 30.0]
    known, mean, covariance, evidence = log_gamma(shapes)
    found = solve(known, "ccd")
    assert len(found.points) == 1 + 2 * 5 + 16
    assert found.log_marginal_likelihood == pytest.approx(evidence, abs=0.1)
    for k, sd in enumerate(np.sqrt(np.diag(covariance))):
        values, density = found.hyper.along(np.eye(5)[k])
        centre = np.trapezoid(values * density, values)
        assert centre == pytest.approx(mean[k], abs=0.05 * sd)
        assert np.sqrt(np.trapezoid((values - centre) ** 2 * density, values)) == pytest.approx(sd, rel=0.05)


@pytest.mark.parametrize("rule", [even_grid, composite_design])
def test_points_that_fail_are_left_out(rule):
    known, mean, covariance, _ = gaussian(2)
    edge = mean[0] + 2.2 * np.sqrt(covariance[0, 0])
    known.fails = lambda theta: theta[0] > edge
    known = WarmLaplace(known)
    mode, guess = find_mode(known, mean - 0.3)
    explorer = Explorer(known, mode, "vb", lambda *a: None)
    found = rule(explorer, mode.theta, curvature(known, mode, guess)[0])
    assert all(p.theta[0] <= edge for p in found.points)
    assert found.weights.sum() == pytest.approx(1)


def test_the_mode_is_found_from_three_off_in_each_direction():
    known, mean, *_ = gaussian(3)
    for signs in np.array(np.meshgrid(*[[-3, 3]] * 3)).reshape(3, -1).T:
        np.testing.assert_allclose(find_mode(known, mean + signs)[0].theta, mean, atol=2e-3)


def test_a_search_that_does_not_end_says_so():
    rising = Known(lambda t: t.sum(), lambda t: np.ones(1), 1)
    with pytest.raises(NumericalError, match="did not converge in 30 evaluations"):
        find_mode(rising, np.zeros(1), max_evaluations=30)


def test_residuals_reproduce_what_they_interpolate():
    nodes = np.polynomial.hermite_e.hermegauss(4)[0]
    cubic = lambda z: 0.1 * z[..., 0] ** 3 - 0.2 * z[..., 0] * z[..., 1] + 0.05 * z[..., 1] ** 2  # noqa: E731
    z = np.stack(np.meshgrid(nodes, nodes, indexing="ij"), axis=-1)
    spline = ProductSpline((nodes, nodes), cubic(z))
    inside = np.random.default_rng(0).uniform(-2.3, 2.3, (50, 2))
    np.testing.assert_allclose(spline(inside), cubic(inside), atol=1e-12)
    points = np.random.default_rng(1).normal(0, 1, (40, 2))
    gradients = np.column_stack(
        [0.3 * points[:, 0] ** 2 - 0.2 * points[:, 1], -0.2 * points[:, 0] + 0.1 * points[:, 1]]
    )
    fitted = Polynomial.through(points, cubic(points), gradients, np.ones(40))
    np.testing.assert_allclose(fitted(points), cubic(points), atol=1e-9)


def test_a_gaussian_alone_has_gaussian_marginals():
    hyper = HyperPosterior(np.array([1.0, 2.0]), np.array([[0.5, 0.0], [0.3, 0.4]]), Nothing())
    values, density = hyper.along(np.array([0.0, 1.0]))
    assert np.trapezoid(values * density, values) == pytest.approx(2.0)
    assert np.sqrt(np.trapezoid((values - 2) ** 2 * density, values)) == pytest.approx(0.5, rel=1e-4)


@pytest.mark.parametrize(("evidence", "spread", "fair"), [(0.015, 0.22, True), (0.3, 0.05, False), (0.05, 0.6, False)])
def test_draws_that_know_the_bulk_are_not_given_up_for_a_tail(evidence, spread, fair):
    """Of an AR(2) draws were right to 0.1 posterior sds, and one tail's to 22 %: a polynomial was 1.8 sds off."""
    assert Accuracy(evidence, spread, 0.17, False, 4096).is_fair is fair


def test_what_is_told_of_a_polynomial_has_its_distance_from_draws():
    """Where a polynomial takes the place of draws, the errors of the draws are not its own."""
    told = Accuracy(0.1, 0.25, 0.3, False, 512)
    draws = HyperPosterior(np.zeros(1), np.eye(1), Nothing(), accuracy=told)
    smooth = HyperPosterior(np.array([0.6]), np.array([[1.5]]), Nothing())
    found = _apart(draws, smooth, -0.4)
    assert found.evidence == pytest.approx(np.hypot(0.1, 0.4))
    assert found.spread == pytest.approx(np.hypot(0.25, 0.5), rel=1e-3)
    assert found.quantile == pytest.approx(np.hypot(0.3, 0.6 + 0.5 * 1.96), rel=1e-3)  # of the upper end
    assert (found.within, found.draws) == (False, 512)


@pytest.mark.slow
def test_a_posterior_of_which_the_data_say_little_stays_within_its_priors():
    """Two processes of one covariate cannot be told apart: a polynomial between few points must not run off."""
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"x": rng.uniform(0, 1, 60)})
    data["y"] = np.sin(6 * data["x"]) + rng.normal(0, 0.3, 60)
    fit = gs.fit("y ~ gp(x) + gp(x, k=5)", data)
    # the inverse gamma prior of a length, shape 1.5, has no variance, and where it decides the table shows no sd
    assert np.isfinite(fit.hyper.drop(columns="sd").to_numpy()).all()
    # the response has an sd of 0.7: half Student t of scale 2.5 leaves 1 in 50 above 10
    assert (fit.hyper["q0.975"] < 20).all()
    assert fit.hyper.loc["sigma", "mean"] == pytest.approx(0.3, abs=0.1)


def test_a_distribution_function_that_rounding_lets_fall_has_quantiles():
    inner = np.linspace(-30, 30, 241)
    # spikes narrower than the grid: the spline through them swings below zero beside them
    density = np.exp(-0.5 * (inner / 0.15) ** 2) + np.exp(-0.5 * ((inner - 5.05) / 0.15) ** 2)
    marginal = Marginal(inner, density)
    levels = np.array([0.001, 0.025, 0.5, 0.975, 0.999])
    assert (np.diff(marginal.quantile(levels)) > 0).all()


def test_third_derivatives_at_the_mode_are_those_of_a_cubic():
    # differences of the gradients of a cubic, at equal steps to both sides, are exact
    cubic = np.array([[0.3, 0.2], [-0.1, -0.4]])  # entry (i, j) once in t_i and twice in t_j

    def value(t):
        own, cross = np.diag(cubic) @ t**3 / 6, cubic[0, 1] * t[0] * t[1] ** 2 / 2 + cubic[1, 0] * t[1] * t[0] ** 2 / 2
        return float(own + cross - 0.5 * t @ t)

    def slope(t):
        first = cubic[0, 0] * t[0] ** 2 / 2 + cubic[0, 1] * t[1] ** 2 / 2 + cubic[1, 0] * t[0] * t[1]
        second = cubic[1, 1] * t[1] ** 2 / 2 + cubic[1, 0] * t[0] ** 2 / 2 + cubic[0, 1] * t[0] * t[1]
        return np.array([first, second]) - t

    known = WarmLaplace(Known(value, slope, 2))
    root, third = curvature(known, known.at(np.zeros(2)), np.eye(2))
    np.testing.assert_allclose(root, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(third, cubic, atol=1e-12)


def test_a_product_rule_that_the_mode_foretells_to_fail_is_not_tried():
    # theta_1 turns with the square of theta_0, which no bending of single axes follows
    def value(t):
        return float(-0.5 * t[0] ** 2 - 0.5 * (t[1] - 0.5 * t[0] ** 2) ** 2)

    def slope(t):
        off = t[1] - 0.5 * t[0] ** 2
        return np.array([-t[0] + off * t[0], -off])

    class NoProduct(Known):
        def lagging(self, theta, start=None, gradient=True):
            assert gradient  # the product rule is the one that asks for none
            return self.at(theta)

    found = solve(NoProduct(value, slope, 2))
    assert found.log_marginal_likelihood == pytest.approx(np.log(2 * np.pi), abs=0.03)  # what the rule promises


@pytest.mark.parametrize("seed", [pytest.param(seed, marks=pytest.mark.slow) for seed in (0, 6, 13)])
def test_the_sd_of_groups_keeps_a_long_tail_towards_zero(seed):
    # counts of fifteen groups that hardly differ: the density of log sd falls as slowly as the prior has it
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(15), 6)
    table = pd.DataFrame({"g": group, "y": rng.poisson(np.exp(0.1 + 0.35 * rng.standard_normal(15)[group]))})
    fit = gs.fit("y ~ (1 | g)", table, family="poisson", priors={"sd(Intercept | g)": {"pc": [1.5, 0.05]}})
    theta = np.linspace(-9.0, 2.0, 221)
    points = (fit.laplace.at(np.array([t])) for t in theta)
    log_density = np.array([p.log_posterior + evidence_correction(fit.laplace, p) for p in points])
    below = np.cumsum(np.exp(log_density - log_density.max()))
    exact = np.exp(np.interp([0.025, 0.5, 0.975], below / below[-1], theta + 0.025))
    found = fit.hyper.loc["sd(Intercept | g)", ["q0.025", "q0.5", "q0.975", "sd"]].to_numpy(float)
    # as of any shape; five nodes had the lower one .17 to .26 sds too high, and next to no mass far below it
    np.testing.assert_allclose(found[:3], exact, atol=0.1 * found[3])


def test_where_the_process_sees_a_single_point_a_design_serves(monkeypatch):
    def lost(*_):
        raise NumericalError("a single point")

    monkeypatch.setattr(integration, "adaptive", lost)
    known, _, _, evidence = gaussian(3)
    assert solve(known).log_marginal_likelihood == pytest.approx(evidence, abs=1e-3)
    with pytest.raises(NumericalError, match="a single point"):
        solve(known, "adaptive")


@pytest.mark.parametrize("d", [1, 2])
def test_a_composite_design_steps_as_wide_as_a_flat_top_is(d):
    """Steps by the curvature at the mode, of which there is none, left two places beside it: sds were 64 % off."""
    known = Known(lambda t: -((t / 2.5) ** 4).sum(), lambda t: -4 * t**3 / 2.5**4, d)
    warm = WarmLaplace(known)
    mode, _ = find_mode(warm, np.full(d, 0.1))
    found = composite_design(Explorer(warm, mode, "vb", lambda *a: None), np.zeros(d), 10.0 * np.eye(d))
    width = 2.5 * 2 * gamma_function(1.25)  # the integral of exp(-(t / 2.5)^4)
    sd = 2.5 * np.sqrt(gamma_function(0.75) / gamma_function(0.25))
    # as of any shape
    assert found.log_marginal_likelihood == pytest.approx(d * np.log(width), abs=0.03)
    np.testing.assert_allclose(np.sqrt(np.diag(found.hyper.moments()[1])), sd, rtol=0.05)
