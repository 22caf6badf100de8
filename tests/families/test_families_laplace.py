"""Every family through the Laplace step: values by dense algebra, exact gradients, the Gaussian case in closed form."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from family_checks import drawn_at
from oracles import square_mesh
from scipy.stats import multivariate_normal

import geospde as gs
from geospde.families.registry import FAMILIES, family_by_name
from geospde.inference.laplace import Laplace
from geospde.terms.precisions.fem import fem_matrices
from geospde.terms.precisions.iid import Iid
from geospde.terms.precisions.matern import MaternSpde

FURTHER = {
    "gengamma", "tweedie", "weibull", "exponential", "nbinomial1", "zeroinflatedpoisson0", "zeroinflatednbinomial0",
    "truncated_poisson", "truncated_nbinomial", "truncated_nbinomial1", "betabinomial", "ordered_beta", "ordinal",
    "gamma_mix", "lognormal_mix", "nbinomial_mix",
}  # fmt: skip
CASES = [
    (name, link.name)
    for name, family in FAMILIES.items()
    if not family.is_pattern
    for link in (family.links[:1] if name in FURTHER else family.links)
    if family.natural_link in (None, family(link.name).link)  # test_links.py has the others
]


def simulated(name, link, seed=2, sites=40):
    """A field, a group and an intercept under a family, with responses that the family made."""
    rng = np.random.default_rng(seed)
    mesh = square_mesh(5)
    field = MaternSpde(*fem_matrices(mesh.vertices, mesh.triangles), alpha=2.0)
    group = Iid(6, label="group")
    points = rng.uniform(0.05, 0.95, (sites, 2))
    of = rng.integers(0, 6, sites)
    design = sp.hstack(
        [mesh.basis(points), sp.csr_matrix((np.ones(sites), (np.arange(sites), of))), np.ones((sites, 1))]
    ).tocsr()
    eta = 0.3 + 0.6 * np.sin(6 * points[:, 0]) + rng.normal(0, 0.3, 6)[of]
    weights = rng.uniform(0.5, 1.5, sites)
    if name in FURTHER:
        likelihood = drawn_at(family_by_name(name, link), eta, rng)
    else:
        y, trials, exposure = drawn(rng, name, link, eta)
        likelihood = family_by_name(name, link).bind(y, exposure=exposure, trials=trials)
    likelihood = replace(likelihood, weights=weights)
    return SimpleNamespace(
        precisions=[field, group],
        design=design,
        offset=0.1 * rng.standard_normal(sites),
        likelihood=likelihood,
        fixed_mean=np.array([0.2]),
        fixed_precision=np.array([0.3]),
    )


def drawn(rng, name, link, eta):
    """Responses, trials and exposures of a family at eta."""
    mean = family_by_name(name, link).link.inverse(eta)
    m = eta.size
    exposure = rng.uniform(0.5, 3, m) if FAMILIES[name].has_exposure else None
    if name == "gaussian":
        return rng.normal(eta, 0.5), None, None
    if name == "t":
        return eta + 0.4 * rng.standard_t(4, m), None, None
    if name == "lognormal":
        return np.exp(rng.normal(eta, 0.5)), None, None
    if name == "gamma":
        return rng.gamma(3.0, mean / 3.0), None, None
    if name == "beta":
        return np.clip(rng.beta(8 * mean, 8 * (1 - mean)), 1e-4, 1 - 1e-4), None, None
    if name == "binomial":
        trials = rng.integers(1, 12, m)
        return rng.binomial(trials, mean), trials, None
    if name == "bernoulli":
        return rng.binomial(1, mean), None, None
    rate = exposure * mean * (rng.gamma(4.0, 0.25, m) if "nbinomial" in name else 1.0)
    return rng.poisson(rate) * (rng.uniform(size=m) > 0.3 if name.startswith("zero") else 1), None, exposure


def dense_value(model, theta, x):
    """Log p(y, theta) by Laplace about x, by dense algebra; and the gradient in x of the joint density."""
    sizes = [t.n for t in model.precisions]
    k = [len(t.parameters) for t in model.precisions]
    thetas = np.split(theta, np.cumsum(k))
    blocks = []
    for term, part in zip(model.precisions, thetas):
        lower = sp.csc_matrix((term.values(part), term.pattern.indices, term.pattern.indptr), shape=(term.n, term.n))
        dense = lower.toarray()
        blocks.append(dense + np.tril(dense, -1).T)
    blocks.append(np.diag(model.fixed_precision))
    q = np.zeros((sum(sizes) + 1, sum(sizes) + 1))
    at = 0
    for block in blocks:
        q[at : at + len(block), at : at + len(block)] = block
        at += len(block)
    mu = np.r_[np.zeros(sum(sizes)), model.fixed_mean]
    likelihood = model.likelihood.at(thetas[-1])
    a = model.design.toarray()
    eta = a @ x + model.offset
    first, second, _ = likelihood.derivatives(eta)
    h = q - a.T @ (second[:, None] * a)
    value = likelihood.log_density(eta).sum() - 0.5 * (x - mu) @ q @ (x - mu)
    value += 0.5 * np.linalg.slogdet(q)[1] - 0.5 * np.linalg.slogdet(h)[1]
    value += sum(t.prior.log_density(part) for t, part in zip(model.precisions, thetas))
    value += model.likelihood.prior.log_density(thetas[-1])
    return value, a.T @ first - q @ (x - mu)


def thetas(model):
    """Three places: near the data's own, tighter, looser."""
    own = model.likelihood.first_theta()
    base = np.r_[np.log([0.4, 0.7, 0.4]), own]
    rng = np.random.default_rng(0)
    return [base, base + 0.4 * rng.standard_normal(base.size), base - 0.4 * rng.standard_normal(base.size)]


@pytest.mark.parametrize(("name", "link"), CASES)
def test_value_is_that_of_dense_algebra_at_a_stationary_point(name, link):
    model = simulated(name, link)
    laplace = Laplace(model)
    for theta in thetas(model):
        point = laplace.at(theta)
        value, gradient = dense_value(model, theta, point.x)
        assert point.log_posterior == pytest.approx(value, abs=1e-8)
        assert np.abs(gradient).max() < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize(("name", "link"), CASES)
def test_gradient_is_that_of_central_differences(name, link):
    model = simulated(name, link)
    laplace = Laplace(model, tolerance=1e-18)
    for theta in thetas(model):
        point = laplace.at(theta)
        numeric = np.empty(theta.size)
        for j, axis in enumerate(np.eye(theta.size)):

            def value(step, theta=theta, axis=axis, near=point.x):
                return laplace.at(theta + step * axis, near).log_posterior

            h = 2e-3  # fourth order: errs by h⁴ times a fifth derivative
            numeric[j] = (8 * (value(h) - value(-h)) - value(2 * h) + value(-2 * h)) / (12 * h)
        np.testing.assert_allclose(point.gradient, numeric, rtol=1e-6, atol=1e-6 * np.abs(numeric).max())


def test_gaussian_responses_have_their_closed_form_marginal_likelihood():
    model = simulated("gaussian", "identity")
    model.likelihood = family_by_name("gaussian").bind(model.likelihood.y)
    laplace = Laplace(model)
    a = model.design.toarray()
    for theta in thetas(model):
        point = laplace.at(theta)
        covariance = np.diag(np.r_[np.zeros(36), np.full(6, np.exp(2 * theta[2])), 1 / model.fixed_precision])
        covariance[:36, :36] = np.linalg.inv(model.precisions[0].matrix(theta[:2]).toarray())
        total = a @ covariance @ a.T + np.exp(2 * theta[3]) * np.eye(len(a))
        mean = model.offset + a[:, -1] * model.fixed_mean
        exact = multivariate_normal(mean, total).logpdf(model.likelihood.y)
        exact += laplace.log_prior(theta)
        assert point.log_posterior == pytest.approx(exact, abs=1e-8)
        # and so has the posterior of the latent vector
        gain = covariance @ a.T @ np.linalg.inv(total)
        np.testing.assert_allclose(
            point.x, np.r_[np.zeros(42), model.fixed_mean] + gain @ (model.likelihood.y - mean), atol=1e-8
        )
        left = covariance - gain @ a @ covariance
        np.testing.assert_allclose(point.eta_variance, np.diag(a @ left @ a.T), atol=1e-9)
        assert point.newton_steps <= 2


def test_a_gaussian_fit_integrates_sigma_as_quadrature_does():
    rng = np.random.default_rng(5)
    table = pd.DataFrame({"x": rng.normal(size=30)})
    table["y"] = 100 + 20 * table["x"] + rng.normal(0, 5, 30)
    fit = gs.fit("y ~ x", table)
    assert fit.family == "gaussian" and list(fit.hyper.index) == ["sigma"]
    # flat coefficients, Gamma(1, 5e-5) on the precision: the precision is Gamma(1 + (n - 2) / 2, 5e-5 + rss / 2)
    design = np.column_stack([np.ones(30), table["x"]])
    best, rss = np.linalg.lstsq(design, table["y"], rcond=None)[:2]
    shape, rate = 1 + 14, 5e-5 + rss[0] / 2
    from scipy.stats import gamma, t

    sigma = fit.marginal("sigma")
    for p in (0.025, 0.5, 0.975):
        exact = gamma(shape, scale=1 / rate).ppf(1 - p) ** -0.5
        assert float(sigma.quantile(p)) == pytest.approx(exact, rel=2e-3)
    spread = np.sqrt(rate / shape * np.linalg.inv(design.T @ design).diagonal())
    for k, name in enumerate(["Intercept", "x"]):
        law = t(2 * shape, best[k], spread[k])
        assert fit.fixed.loc[name, "mean"] == pytest.approx(best[k], abs=1e-3 * spread[k])
        np.testing.assert_allclose(
            fit.fixed.loc[name, ["q0.025", "q0.975"]].astype(float), law.ppf([0.025, 0.975]), atol=0.02 * spread[k]
        )
