"""Gaussian process terms against closed forms, dense algebra and importance sampling."""

import re
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.linalg import block_diag
from scipy.spatial.distance import cdist
from scipy.special import gamma, j0, kv, logsumexp
from scipy.stats import invgamma

import geospde as gs
from geospde.families.priors import Independent, InverseGamma, PCSd
from geospde.inference.combinations import row_variances
from geospde.inference.laplace import Laplace
from geospde.model.build import build_model
from geospde.terms.precisions.covariance import BasisCovariance, KernelCovariance
from geospde.terms.precisions.gaussian_process import JITTER, BasisProcess, GaussianProcess
from geospde.terms.precisions.hilbert import Basis, Spectrum
from geospde.terms.precisions.kernels import KERNELS
from geospde.terms.precisions.side_by_side import SideBySide

NAMES = ("exp_quad", "exponential", "matern32", "matern52")
RNG = np.random.default_rng(11)


def wave(n=40, seed=1):
    """A table with a bent line, a group, a multiplier, and every third row at the place of another."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(2, 7, n)
    x[::3] = x[1 : 1 + len(x[::3])]
    table = pd.DataFrame({"x": x, "w": rng.uniform(0, 3, n), "g": np.resize(["a", "b"], n), "z": rng.normal(size=n)})
    table["y"] = np.sin(2 * table.x) + 0.3 * rng.normal(size=n)
    return table


def covariances(iso, name="exp_quad", sites=12):
    """The two covariances of one kernel, at the same sites."""
    places = RNG.uniform(0, 1, (sites, 2))
    kernel = KERNELS[name]
    basis = Basis(np.array([0.5, 0.4]), 1.1, 6)
    spectrum = Spectrum(basis, kernel, iso)
    return KernelCovariance(places, kernel, iso), BasisCovariance(basis.functions(places), spectrum)


def free_of_prior(laplace, theta):
    """Log marginal likelihood and gradient at theta, without p(theta)."""
    point = laplace.at(theta)
    model = laplace.model
    slope = np.concatenate(
        [
            *(t.prior.gradient(theta[b]) for t, b in zip(laplace.precisions, laplace.theta_blocks)),
            model.likelihood.prior.gradient(theta[laplace.family_block]),
        ]
    )
    return point.log_posterior - laplace.log_prior(theta), point.gradient - slope


def dense_likelihood(covariance, y):
    """Log marginal likelihood of y about a flat intercept."""
    n = y.size
    inverse, ones = np.linalg.inv(covariance), np.ones(n)
    weights = inverse @ ones
    residual = y - (weights @ y) / weights.sum()
    quadratic = residual @ inverse @ residual
    log_determinant = np.linalg.slogdet(covariance)[1] + np.log(weights.sum())
    return -0.5 * (quadratic + log_determinant + (n - 1) * np.log(2 * np.pi))


def kriging(covariance, towards, own, y):
    """Mean and covariance of the curve plus a flat intercept."""
    n, m = y.size, len(own)
    system = np.zeros((n + 1, n + 1))
    system[:n, :n], system[n, :n], system[:n, n] = covariance, 1, 1
    right = np.vstack([towards.T, np.ones(m)])
    weights = np.linalg.solve(system, right)
    return weights[:n].T @ y, own - right.T @ weights


# -- kernels and bases ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES[1:])
def test_matern_kernels_are_the_general_formula(name):
    kernel, r = KERNELS[name], np.array([0.05, 0.4, 1.0, 3.0])
    x = np.sqrt(2 * kernel.nu) * r / 0.7
    general = 2 ** (1 - kernel.nu) / gamma(kernel.nu) * x**kernel.nu * kv(kernel.nu, x)
    assert np.allclose(kernel.correlation(r[None] ** 2, np.log([0.7])), general, rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_spectral_density_is_the_fourier_transform(name):
    kernel, length = KERNELS[name], np.log([0.6])

    def correlation(r):
        return float(kernel.correlation(np.array([[r * r]]), length)[0])

    for frequency in (0.0, 1.3, 4.0):
        line = 2 * quad(correlation, 0, 40, weight="cos", wvar=frequency, limit=400)[0]
        plane = 2 * np.pi * quad(lambda r, w=frequency: r * correlation(r) * j0(w * r), 0, 30, limit=800)[0]
        found = [float(np.exp(kernel.log_spectrum(np.array([[frequency**2]]), length, d)[0][0])) for d in (1, 2)]
        # what the quadrature of a slowly decaying integrand reaches
        assert np.allclose(found, [line, plane], rtol=1e-6)


def test_kernel_is_one_and_smooth_at_zero():
    for name in NAMES:
        squares = np.array([[0.0, 0.0], [0.0, 1e-4]])
        assert KERNELS[name].correlation(squares, np.zeros(2))[0] == 1.0
        assert np.isfinite(KERNELS[name].correlation_slopes(squares, np.zeros(2))).all()


@pytest.mark.parametrize("iso", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_precision_is_the_inverse_of_the_covariance_with_its_gradients(name, iso):
    for covariance in covariances(iso, name):
        term = GaussianProcess(covariance, Independent(()))
        theta = np.array([0.3, *np.log([0.2, 0.3])[: covariance.lengths]])
        lower = term.pattern.copy()
        lower.data = term.values(theta)
        whole = lower.toarray() + np.tril(lower.toarray(), -1).T
        among = np.exp(0.6) * (covariance.among(theta[1:]))
        assert np.allclose(whole @ among, np.eye(term.n), atol=1e-4)  # the jitter, times a condition number of 1e4
        assert term.log_normaliser(theta)[0] == pytest.approx(0.5 * np.linalg.slogdet(whole)[1], abs=1e-8)
        _check_gradients(term, theta)


@pytest.mark.parametrize("iso", [True, False])
def test_gradients_of_coefficients_and_of_terms_side_by_side(iso):
    exact, of_basis = covariances(iso)
    coefficients = BasisProcess(of_basis.spectrum, Independent(()))
    together = SideBySide([GaussianProcess(exact, Independent(())), coefficients], ["a", "b"], "both")
    theta = np.array([0.3, *np.log([0.2, 0.3])[: exact.lengths]])
    _check_gradients(coefficients, theta)
    _check_gradients(together, np.r_[theta, theta + 0.2])
    assert together.parameters[0] == "sdgp[a]"


def _check_gradients(term, theta):
    values, normaliser = term.gradients(theta), term.log_normaliser(theta)[1]
    for k in range(theta.size):
        step = np.zeros(theta.size)
        step[k] = 1e-5
        change = (term.values(theta + step) - term.values(theta - step)) / 2e-5
        # central differences: rounding of entries as large as 1e4, over the step
        assert np.allclose(values[k], change, rtol=1e-5, atol=1e-8 * np.abs(change).max())
        ends = [term.log_normaliser(theta + s)[0] for s in (step, -step)]
        assert normaliser[k] == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-6, abs=1e-6)


def test_spectral_densities_do_not_overflow():
    spectrum = Spectrum(Basis(np.zeros(1), 1.25, 60), KERNELS["exp_quad"])
    term = BasisProcess(spectrum, Independent(()))
    theta = np.log([1.0, 5.0])
    with np.errstate(over="raise"):
        assert np.isfinite(term.values(theta)).all()
    _check_gradients(term, theta)


def test_basis_tends_to_the_kernel():
    places = np.linspace(-0.5, 0.5, 9)[:, None]

    def error(name, each):
        basis, length = Basis(np.zeros(1), 2.0, each), np.log([0.2])
        found = BasisCovariance(basis.functions(places), Spectrum(basis, KERNELS[name])).among(length)
        return np.abs(found - KernelCovariance(places, KERNELS[name]).among(length)).max()

    # frequencies go up to 16 / length; the box's walls are 1.5, eight length-scales, away
    assert error("exp_quad", 20) < 0.01
    assert error("exp_quad", 40) < 1e-8
    # the spectrum falls as frequency to the power -(2 nu + 1); what is left out as its integral
    for name, nu in (("exponential", 0.5), ("matern32", 1.5)):
        order = np.log2(error(name, 40) / error(name, 80))
        assert order == pytest.approx(2 * nu, abs=0.3)


# -- models against dense algebra -----------------------------------------------------------------------------


@pytest.mark.parametrize("log_theta", [(0.0, -2.0, -1.0), (0.7, -1.2, -1.5), (1.0, 0.3, -1.2)])
def test_marginal_likelihood_and_gradient_of_an_exact_process(log_theta):
    """With length-scales up to 1.3 times the extent, where the kernel's matrix is singular in double precision."""
    table, theta = wave(), np.array(log_theta)
    laplace = Laplace(build_model("y ~ gp(x)", table))
    x = table.x.to_numpy() / np.ptp(table.x)

    squares, y = np.subtract.outer(x, x) ** 2, table.y.to_numpy()

    def dense(theta, jitter=0.0):
        sd, length, sigma = np.exp(theta)
        kernel = np.exp(-0.5 * squares / length**2) + jitter * (squares == 0)
        return dense_likelihood(sd**2 * kernel + sigma**2 * np.eye(x.size), y)

    value, gradient = free_of_prior(laplace, theta)
    slope = [(dense(theta + s) - dense(theta - s)) / 2e-4 for s in 1e-4 * np.eye(3)]
    assert value == pytest.approx(dense(theta, JITTER * laplace.precisions[0].n), abs=2e-6)
    # what the jitter adds is a thousandth of sigma at most
    assert value == pytest.approx(dense(theta), abs=2e-4)
    assert np.allclose(gradient, slope, atol=5e-4)


def test_marginal_likelihood_with_a_factor_and_with_a_multiplier():
    table = wave()
    x, y, sigma = table.x.to_numpy(), table.y.to_numpy(), 0.4
    laplace = Laplace(build_model("y ~ gp(x, by=g, cov='matern32')", table))
    assert [h.name for h in laplace.model.hyperparameters] == [
        "sdgp(gp(x, by=g)[a])", "lscale(gp(x, by=g)[a])", "sdgp(gp(x, by=g)[b])", "lscale(gp(x, by=g)[b])", "sigma",
    ]  # fmt: skip
    theta = np.log([0.8, 0.2, 1.5, 0.4, sigma])
    blocks, order = [], []
    for level, (sd, length) in zip("ab", np.exp(theta[:4]).reshape(2, 2)):
        rows = np.flatnonzero(table.g == level)
        distance = np.sqrt(3) * np.abs(np.subtract.outer(x[rows], x[rows])) / np.ptp(x[rows]) / length
        blocks.append(sd**2 * (1 + distance) * np.exp(-distance))
        order += list(rows)
    dense = dense_likelihood(block_diag(*blocks) + sigma**2 * np.eye(x.size), y[order])
    # the jitter, 4e-9 of the variance, is nothing beside a Matérn kernel's own roughness
    assert free_of_prior(laplace, theta)[0] == pytest.approx(dense, abs=1e-6)

    laplace = Laplace(build_model("y ~ gp(x, by=z, cov='exponential')", table))
    theta, z = np.log([0.8, 0.2, sigma]), table.z.to_numpy()
    kernel = 0.64 * np.exp(-np.abs(np.subtract.outer(x, x)) / np.ptp(x) / 0.2)
    dense = dense_likelihood(np.outer(z, z) * kernel + sigma**2 * np.eye(x.size), y)
    assert free_of_prior(laplace, theta)[0] == pytest.approx(dense, abs=1e-6)


def test_the_two_forms_of_the_basis_are_one_model():
    table = wave(60)
    places = (table[["x", "w"]].to_numpy() - [4, 1]) / 6
    table["u"], table["v"] = places.T
    prior = Independent((PCSd(1.0, 0.05), InverseGamma(2.0, 0.2)))
    model = build_model("y ~ gp(u, v, k=5)", table)
    process = model.terms[0].curves[0].process
    assert isinstance(process, BasisProcess)
    sites = np.unique(places, axis=0)
    unit = cdist(sites, sites).max()
    theta = np.log([0.9, 0.3, 0.4])
    functions = process.basis.functions(places / unit)
    covariance = BasisCovariance(functions, process.spectrum).among(theta[1:2])
    dense = dense_likelihood(0.81 * covariance + 0.16 * np.eye(60), table.y.to_numpy())
    value, gradient = free_of_prior(Laplace(model), theta)
    assert value == pytest.approx(dense, abs=1e-8)

    # 8 x 8 functions for 59 sites: by their covariance
    many = build_model("y ~ gp(u, v, k=8)", table)
    other = many.terms[0].curves[0].process
    assert isinstance(other, GaussianProcess)
    coefficients = BasisProcess(other.covariance.spectrum, prior)
    covariance = other.covariance.among(theta[1:2])
    direct = coefficients.spectrum.basis.functions(sites / unit)
    expected = (direct * np.exp(coefficients.spectrum.logarithm(theta[1:2])[0])) @ direct.T
    assert np.allclose(covariance, expected, atol=1e-12)


@pytest.mark.parametrize("terms", ["gp(x)", "gp(x, k=12)", "gp(x, k=60)", "gp(x, by=z)"])
def test_prediction_is_kriging(terms):
    table = wave()
    model = build_model(f"y ~ {terms}", table)
    laplace = Laplace(model)
    theta = np.log([1.1, 0.3, 0.35])
    new = pd.DataFrame({"x": np.linspace(1.8, 7.2, 15), "z": np.linspace(-2, 2, 15)})
    rows, extra = model.rows(new, None).at(theta)
    root = model.rows(new, None).root(theta)
    point = laplace.at(theta)
    process = model.terms[0].curves[0].process
    unit = np.ptp(table.x)
    x, there = table.x.to_numpy()[:, None] / unit, new.x.to_numpy()[:, None] / unit
    if process.basis is None:
        covariance = KernelCovariance(x, KERNELS["exp_quad"])
    else:
        spectrum = Spectrum(process.basis, KERNELS["exp_quad"])
        covariance = BasisCovariance(process.basis.functions(x), spectrum)
    length, (a, b) = theta[1:2], ((t.z if "by" in terms else 0 * t.z + 1).to_numpy() for t in (table, new))
    mean, joint = kriging(
        1.21 * np.outer(a, a) * covariance.among(length) + 0.35**2 * np.eye(len(x)),
        1.21 * np.outer(b, a) * covariance.towards(there, length)[0],
        1.21 * np.outer(b, b) * covariance.between(there, length),
        table.y.to_numpy(),
    )
    # rounding, of a kernel's matrix with a condition number of 1e9
    assert np.allclose(rows @ point.mean, mean, atol=1e-5)
    assert np.allclose(row_variances(laplace, point, rows) + extra, np.diag(joint), atol=1e-5)
    held = (rows @ laplace.solve(point, rows.T.toarray())) + root @ root.T
    assert np.allclose(held, joint, atol=1e-5)


@pytest.mark.slow
def test_units_of_the_covariates_do_not_matter():
    table = wave()
    fit = gs.fit("y ~ gp(x)", table, integration="eb")
    table["far"] = 1000 + 250 * table.x
    again = gs.fit("y ~ gp(far)", table, integration="eb")
    assert np.allclose(fit.hyper["mean"], again.hyper["mean"], rtol=1e-4)  # where the search for the mode stops
    natural = gs.fit("y ~ gp(far, scale=False)", table, integration="eb")
    longest = 250 * np.ptp(table.x)
    assert natural.hyper["mean"].iloc[1] == pytest.approx(longest * again.hyper["mean"].iloc[1], rel=1e-3)
    approximate = [
        gs.fit(f"y ~ gp({term}, k=15)", table, integration="eb").hyper["mean"].iloc[1] for term in ("x", "far")
    ]
    assert approximate[0] == pytest.approx(approximate[1], rel=1e-4)


# -- the posterior --------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_counts_against_importance_sampling():
    rng = np.random.default_rng(4)
    x = np.sort(rng.uniform(0, 1, 18))
    y = rng.poisson(np.exp(0.5 + 1.2 * np.sin(7 * x)))
    fit = gs.fit("y ~ gp(x)", pd.DataFrame({"x": x, "y": y}), family="poisson")

    squares, prior = np.subtract.outer(x, x) ** 2 / np.ptp(x) ** 2, fit.model.precisions[0].prior
    n, draws, log_weights, predictors = x.size, 300, [], []
    weight = np.r_[np.ones(n), 1e-2]  # prior precisions of white noise, and of an intercept that is as good as flat
    for theta in product(np.linspace(-4.0, 2.5, 18), np.linspace(-4.7, 2.5, 18)):
        kernel = np.exp(2 * theta[0] - 0.5 * squares * np.exp(-2 * theta[1]))
        root = np.linalg.cholesky(kernel + 1e-9 * np.exp(2 * theta[0]) * np.eye(n))
        design, noise = np.column_stack([root, np.ones(n)]), np.zeros(n + 1)
        for _ in range(40):
            mean = np.exp(np.minimum(design @ noise, 6.0))
            hessian = np.diag(weight) + design.T @ (mean[:, None] * design)
            step = np.linalg.solve(hessian, design.T @ (y - mean) - weight * noise)
            noise = noise + step * min(1.0, 2.0 / np.abs(step).max())
        half = np.linalg.inv(np.linalg.cholesky(hessian))
        heavy = rng.standard_normal((draws, n + 1)) * np.sqrt(5 / rng.chisquare(5, (draws, 1)))
        found = noise + heavy @ half
        eta = found @ design.T
        log_target = (y * eta - np.exp(eta)).sum(axis=1) - 0.5 * found**2 @ weight + prior.log_density(np.array(theta))
        log_proposal = -0.5 * (5 + n + 1) * np.log1p((heavy**2).sum(axis=1) / 5) - np.log(np.diag(half)).sum()
        log_weights.append(log_target - log_proposal)
        predictors.append(eta)
    log_weights = np.concatenate(log_weights)
    weights = np.exp(log_weights - logsumexp(log_weights))
    rates = np.exp(np.concatenate(predictors))
    mean = weights @ rates
    sd = np.sqrt(weights @ (rates - mean) ** 2)
    assert 1 / (weights**2).sum() > 2000  # so that the error of a mean is 0.02 sd
    # twice what the Laplace approximation and the rule over theta leave beside a larger oracle (0.04)
    assert np.abs((fit.fitted["mean"] - mean) / sd).max() < 0.08
    assert np.allclose(fit.fitted["sd"], sd, rtol=0.05)


@pytest.mark.slow
def test_successes_of_trials_can_be_fitted():
    rng = np.random.default_rng(5)
    x = rng.uniform(0, 1, 60)
    chance = 1 / (1 + np.exp(-2 * np.sin(6 * x)))
    table = pd.DataFrame({"x": x, "n": 8, "y": rng.binomial(8, chance)})
    fit = gs.fit("p(y, n) ~ gp(x, k=10)", table, family="binomial")
    new = pd.DataFrame({"x": np.linspace(0.1, 0.9, 9)})
    found = fit.predict(new).to_frame()
    truth = 1 / (1 + np.exp(-2 * np.sin(6 * new.x)))
    assert (np.abs(found["mean"] - truth) < 3 * found["sd"]).all()
    assert found["sd"].max() < 0.12


def test_saved_fit_predicts_alike(tmp_path):
    table = wave(24)
    fit = gs.fit("y ~ gp(x, by=g)", table, integration="eb")
    fit.save(tmp_path / "curves")
    new = pd.DataFrame({"x": [3.0, 4.0], "g": ["b", "a"]})
    again = gs.load_fit(tmp_path / "curves")
    assert np.allclose(again.predict(new).to_frame(), fit.predict(new).to_frame(), rtol=1e-10)


@pytest.mark.parametrize("term", ["gp(x, by=g, k=6)", "gp(x, w, by=g, k=4)", "gp(x, by=g)"])
def test_rows_of_one_level_are_predicted_as_among_all(term):
    table = wave(24)
    fit = gs.fit(f"y ~ {term}", table, integration="eb")
    one = table["g"] == "a"
    alone, among = fit.predict(table[one]).to_frame(), fit.predict(table).to_frame()[one.to_numpy()]
    assert np.allclose(alone, among, rtol=1e-10)  # the same sums


def test_covariates_that_are_coordinates_come_from_the_points():
    table = wave()
    fit = gs.fit("y ~ gp(x, w)", table, coords=("x", "w"), integration="eb")
    points = table[["x", "w"]].to_numpy()[:4] + 0.05
    by_points = fit.predict(points).to_frame()
    by_table = fit.predict(pd.DataFrame(points, columns=["x", "w"])).to_frame()
    assert np.allclose(by_points["mean"], by_table["mean"], rtol=1e-12)


def test_a_prediction_without_the_covariate_says_how_to_give_it():
    fit = gs.fit("y ~ gp(x, w, k=4)", wave(), integration="eb")
    with pytest.raises(gs.InputError, match=r"needs the column 'x' of the model: .* coords=\(x, y\)"):
        fit.predict(np.ones((2, 2)))
    with pytest.raises(gs.InputError, match="a table or a Grid, not str"):
        fit.predict("x")


def test_draws_of_a_whole_curve_have_the_curve_s_correlation():
    """Draws at two places next to each other are nearly the same, at two far ones not."""
    fit = gs.fit("y ~ gp(x)", wave(), integration="eb")
    theta = fit.posterior.mode.theta
    root = fit.model.rows(pd.DataFrame({"x": [7.6, 7.61, 1.2]}), None).root(theta)
    left = root @ root.T
    assert left[0, 1] / np.sqrt(left[0, 0] * left[1, 1]) > 0.99
    assert abs(left[0, 2]) / np.sqrt(left[0, 0] * left[2, 2]) < 0.1


# -- priors and wrong input -----------------------------------------------------------------------------------


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


def test_priors_are_given_by_name():
    given = {"lscale(gp(x, w), w)": {"inv_gamma": [2.0, 0.5]}, "sdgp(gp(x, w))": {"fixed": [1.5]}}
    fit = gs.fit("y ~ gp(x, w, iso=False)", wave(), priors=given, integration="eb")
    assert fit.hyper.loc["sdgp(gp(x, w))", "mean"] == pytest.approx(1.5)
    assert fit.model.hyperparameters[2].prior.startswith("inverse gamma(2, scale 0.5)")


def test_few_places_have_a_prior_too():
    table = pd.DataFrame({"x": [1.0, 1.0, 3.0, 3.0], "y": [1.0, 1.2, 4.0, 3.8]})
    prior = build_model("y ~ gp(x)", table).precisions[0].prior.parts[1]
    assert invgamma(prior.shape, scale=prior.scale).sf(1.0) == pytest.approx(0.01, abs=1e-6)


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ("gp()", "takes names of columns"),
        ("gp(3)", "takes names of columns"),
        ("gp(x, x)", "appears twice"),
        ("gp(xx)", "no column 'xx'"),
        ("gp(g)", "must be a finite number: row 0 holds 'a'"),
        ("gp(one)", "the covariate 'one' of 'gp(one)' is constant"),
        ("gp(x, one)", "the covariate 'one'"),
        ("gp(x, by=h)", "no column 'h'"),
        ("gp(x, by='g')", "by takes the name of a column"),
        ("gp(x, by=alone)", "is constant among the rows of level 'd'"),
        ("gp(x, by=nothing)", "is zero in every row"),
        ("gp(x, by=gap)", "has no value in row 2"),
        ("gp(x, k=0)", "k of gp"),
        ("gp(x, k=2.5)", "k of gp"),
        ("gp(x, k='ten')", "k of gp"),
        ("gp(x, k=10, c=1)", "c of gp"),
        ("gp(x, k=10, c=-5/4)", "c of gp"),
        ("gp(x, c=5/4)", "give k, too"),
        ("gp(x, k=10, c=5/0)", "arguments of a term"),
        ("gp(x, cov='periodic')", "cov of gp is one of 'exp_quad'"),
        ("gp(x, kov='exp_quad')", "did you mean 'cov'?"),
        ("gp(x, iso=1)", "iso of gp is True or False"),
        ("gp(x, w, k=500)", "too many for its 40 rows"),
    ],
)
def test_what_does_not_fit_is_said_in_a_sentence(terms, message):
    table = wave().assign(one=2.0, nothing=0, alone=["c"] * 39 + ["d"])
    table["gap"] = pd.Series(["a", "b"] * 20).where(lambda s: s.index != 2)
    with pytest.raises(gs.InputError, match=re.escape(message)):
        gs.fit(f"y ~ {terms}", table)


def test_too_many_sites_are_refused_with_a_way_out():
    n = 2_100
    table = pd.DataFrame({"x": np.arange(n) / n, "y": np.zeros(n)})
    with pytest.raises(gs.InputError, match="2100 different places.*spde"):
        gs.fit("y ~ gp(x)", table)


def test_prediction_says_what_is_missing_or_outside():
    table = wave()
    fit = gs.fit("y ~ gp(x, by=g)", table, integration="eb")
    with pytest.raises(gs.InputError, match="no curve for the level 'c' of 'g' .row 1."):
        fit.predict(pd.DataFrame({"x": [3.0, 4.0], "g": ["a", "c"]}))
    with pytest.raises(gs.InputError, match="no column 'g'"):
        fit.predict(pd.DataFrame({"x": [3.0]}))
    fit = gs.fit("y ~ gp(x, k=12)", table, integration="eb")
    with pytest.warns(gs.GeospdeWarning, match="1 of 2 predictions lie outside the box"):
        fit.predict(pd.DataFrame({"x": [4.0, 30.0]}))
