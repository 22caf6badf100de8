import numpy as np
import pytest
from oracles import reference_mesh, square_mesh
from scipy.integrate import quad
from scipy.special import gamma, j0, k0, kv

from geospde.errors import InputError
from geospde.terms.precisions.fem import fem_matrices
from geospde.terms.precisions.matern import MaternSpde, operator_coefficients, pc_prior, spde2_prior

RANGE, SIGMA = 0.25, 1.3


def field(mesh, alpha, **options):
    return MaternSpde(*fem_matrices(mesh.vertices, mesh.triangles), alpha=alpha, **options)


def matern(distance, nu):
    """Matérn covariance, Lindgren, Rue & Lindström (2011) equation (1)."""
    u = np.sqrt(8 * nu) / RANGE * distance
    return SIGMA**2 * 2 ** (1 - nu) / gamma(nu) * u**nu * kv(nu, u) if nu != 1 else SIGMA**2 * u * kv(1, u)


def covariance_from_the_middle(alpha, cells):
    """Covariances of the SPDE between the middle of a square (five ranges from its edge) and vertices east of it."""
    from scipy.sparse.linalg import spsolve

    mesh = square_mesh(cells, -1.25, 1.25)
    term = field(mesh, alpha)
    middle = np.flatnonzero(np.all(np.abs(mesh.vertices) < 1e-9, axis=1))[0]
    unit = np.zeros(mesh.n_vertices)
    unit[middle] = 1.0
    column = spsolve(term.matrix(np.log([RANGE, SIGMA])), unit)
    wanted = np.array([0.125, 0.25, 0.375, 0.5])
    at = [np.argmin(np.hypot(mesh.vertices[:, 0] - d, mesh.vertices[:, 1])) for d in wanted]
    return wanted, column[at], column[middle]


def test_alpha_two_converges_to_the_matern_covariance_with_order_two():
    errors = []
    for cells in (40, 80, 160):
        distance, covariance, _ = covariance_from_the_middle(2.0, cells)
        errors.append(np.abs(covariance - matern(distance, 1.0)).max())
    slopes = np.diff(np.log(errors)) / np.log(0.5)
    assert errors[-1] < 0.005 * SIGMA**2
    # piecewise linear elements: order 2 in the edge length; above it until the edges resolve the kink at nought
    assert (slopes > 1.9).all()
    assert slopes[-1] < slopes[0] < 3


@pytest.mark.slow
def test_variance_at_alpha_two_converges_to_the_nominal_one():
    errors = [covariance_from_the_middle(2.0, cells)[2] / SIGMA**2 - 1 for cells in (40, 80, 160)]
    # the lumped mass makes a vertex's own variance too large, by order h² with a logarithm
    assert 0 < errors[2] < 0.02
    slopes = np.diff(np.log(errors)) / np.log(0.5)
    assert 1 < slopes[0] < slopes[1] < 2


@pytest.mark.slow
@pytest.mark.parametrize("alpha", [1.0, 1.25, 1.5, 1.75])
def test_other_orders_have_the_covariance_of_their_spectrum(alpha):
    term = field(square_mesh(2), alpha)
    log_tau, log_kappa = term.tau_kappa(np.log([RANGE, SIGMA]))
    tau2, kappa = np.exp(2 * log_tau), np.exp(log_kappa)
    b = operator_coefficients(alpha)
    distance, covariance, _ = covariance_from_the_middle(alpha, 160)

    def spectrum(w):
        return 1 / (tau2 * kappa ** (2 * alpha - 4) * (b[0] * kappa**4 + b[1] * kappa**2 * w**2 + b[2] * w**4))

    def exactly(d):
        if alpha == 1:
            return k0(kappa * d) / (2 * np.pi * tau2)
        return quad(lambda w: j0(w * d) * spectrum(w) * w, 0, 4e3, limit=4000)[0] / (2 * np.pi)

    expected = np.array([exactly(d) for d in distance])
    # discretisation at 16 edges a range: below 0.5 %, of the covariance or of the variance
    np.testing.assert_allclose(covariance, expected, rtol=0.005, atol=0.005 * SIGMA**2)


@pytest.mark.slow
def test_alpha_three_halves_is_near_the_exponential_covariance():
    distance, covariance, _ = covariance_from_the_middle(1.5, 160)
    # the parsimonious form is an approximation: it holds the exponential to about 2 % of the variance
    np.testing.assert_allclose(covariance, matern(distance, 0.5 + 1e-12), atol=0.02 * SIGMA**2)


@pytest.mark.parametrize("alpha, centre", [(1.5, (2.387868, -6.613614)), (2, (5.001528, -6.267040))])
def test_prior_centre_is_that_of_spde2_matern(alpha, centre):
    mesh = reference_mesh()
    prior = spde2_prior(field(mesh, alpha), mesh.diameter)
    np.testing.assert_allclose(prior.mean, centre, atol=1e-6)  # printed to six decimals


@pytest.mark.parametrize("alpha", [1.0, 1.3, 1.5, 2.0])
def test_derivatives_of_the_precision_match_central_differences(alpha):
    term, theta, step = field(square_mesh(3), alpha), np.log([0.4, 0.8]), 1e-6
    for j, unit in enumerate(np.eye(2)):
        numeric = (term.values(theta + step * unit) - term.values(theta - step * unit)) / (2 * step)
        np.testing.assert_allclose(term.gradients(theta)[j], numeric, rtol=1e-7, atol=1e-7)


def test_pc_prior_is_a_density_with_the_stated_tails():
    prior = pc_prior((1.5, 0.2), (0.7, 0.1))
    log_range, log_sigma = np.linspace(-4, 9, 4001), np.linspace(-9, 4, 4001)
    of_range = np.exp([prior.parts[0].log_density(np.array([t])) for t in log_range])
    of_sigma = np.exp([prior.parts[1].log_density(np.array([t])) for t in log_sigma])
    assert np.trapezoid(of_range, log_range) == pytest.approx(1, abs=1e-3)
    assert np.trapezoid(of_sigma, log_sigma) == pytest.approx(1, abs=1e-3)
    below, above = log_range < np.log(1.5), log_sigma > np.log(0.7)
    assert np.trapezoid(of_range[below], log_range[below]) == pytest.approx(0.2, abs=2e-3)
    assert np.trapezoid(of_sigma[above], log_sigma[above]) == pytest.approx(0.1, abs=2e-3)
    # the joint density of Fuglstad et al. (2019), theorem 2.6, by hand
    r, s, l1, l2 = 2.0, 0.5, -1.5 * np.log(0.2), -np.log(0.1) / 0.7
    byhand = np.log(l1 * l2) - 2 * np.log(r) - l1 / r - l2 * s + np.log(r) + np.log(s)
    assert prior.log_density(np.log([r, s])) == pytest.approx(byhand)


def test_every_prior_gradient_matches_central_differences():
    from geospde.families.priors import Flat, Gaussian, LogGamma, PCRange, PCSd

    for prior in (PCRange(2, 0.1), PCSd(1.5, 0.05), LogGamma(1, 5e-5), Gaussian(0.3, 2.0), Flat()):
        for t in (-1.0, 0.4, 2.0):
            up, down = (prior.log_density(np.array([t + e])) for e in (1e-6, -1e-6))
            assert prior.gradient(np.array([t]))[0] == pytest.approx((up - down) / 2e-6, rel=1e-6, abs=1e-7)


def test_loggamma_is_a_density():
    from geospde.families.priors import LogGamma

    t = np.linspace(-8, 8, 8001)
    density = np.exp([LogGamma(2.0, 0.5).log_density(np.array([v])) for v in t])
    assert np.trapezoid(density, t) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("alpha", [0.5, 2.5, float("nan")])
def test_alpha_outside_one_to_two_is_refused(alpha):
    with pytest.raises(InputError, match="alpha"):
        operator_coefficients(alpha)
