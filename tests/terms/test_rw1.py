"""Random walks of order one: exact evidence beside a flat intercept, R-INLA's posterior, prediction between nodes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import multivariate_normal

import geospde as gs
from geospde.errors import InputError
from geospde.inference.laplace import Laplace
from geospde.model.build import build_model

REFERENCE = Path(__file__).parents[1] / "reference" / "temporal"
LOG_2PI = np.log(2 * np.pi)


def series(n=40, seed=7, uneven=True):
    """A noisy walk at repeated, uneven places."""
    rng = np.random.default_rng(seed)
    x = np.sort(np.round(rng.uniform(0, 12, n), 1)) if uneven else np.arange(n) + 1.0
    walk = np.cumsum(rng.normal(0, 0.5, n))
    z = rng.normal(size=n)
    counts = rng.poisson(np.exp(1 + 0.5 * (walk - walk.mean())))
    return pd.DataFrame({"x": x, "z": z, "y": 2 + walk + 0.3 * z + rng.normal(0, 0.4, n), "counts": counts})


def dense_walk(x):
    """Nodes, Q of a walk with sd 1 by its differences, and an orthonormal basis of the vectors that sum to zero."""
    nodes = np.unique(x)
    differences = np.diff(np.eye(nodes.size), axis=0)
    q = differences.T @ (differences / np.diff(nodes)[:, None])
    basis = np.linalg.svd(np.ones((1, nodes.size)))[2][1:].T
    return nodes, q, basis


def dense_restricted(data, log_sd, log_sigma, fixed):
    """Log p(y | theta) of a Gaussian response, flat fixed effects integrated out, in orthonormal coordinates."""
    nodes, q, basis = dense_walk(data.x)
    q, n = q * np.exp(-2 * log_sd), nodes.size
    x = np.column_stack([np.ones(len(data)), *(data[f] for f in fixed)])
    a = np.hstack([(data.x.to_numpy()[:, None] == nodes) @ basis, x])
    h = np.exp(-2 * log_sigma) * a.T @ a
    h[: n - 1, : n - 1] += basis.T @ q @ basis
    mean = np.linalg.solve(h, a.T @ data.y) * np.exp(-2 * log_sigma)
    walk, residual = mean[: n - 1], data.y - a @ mean
    value = -0.5 * len(data) * LOG_2PI - len(data) * log_sigma - 0.5 * np.exp(-2 * log_sigma) * residual @ residual
    value += 0.5 * np.linalg.slogdet(basis.T @ q @ basis)[1] - 0.5 * walk @ basis.T @ q @ basis @ walk
    return value + 0.5 * x.shape[1] * LOG_2PI - 0.5 * np.linalg.slogdet(h)[1]


def dense_likelihood(data, log_sd, log_sigma, fixed):
    """The same with the fixed effects at their best, by the covariance of y."""
    nodes, q, basis = dense_walk(data.x)
    walk = (data.x.to_numpy()[:, None] == nodes) @ basis
    v = np.exp(2 * log_sd) * walk @ np.linalg.solve(basis.T @ q @ basis, walk.T)
    v += np.exp(2 * log_sigma) * np.eye(len(data))
    x = np.column_stack([np.ones(len(data)), *(data[f] for f in fixed)])
    beta = np.linalg.solve(x.T @ np.linalg.solve(v, x), x.T @ np.linalg.solve(v, data.y))
    return multivariate_normal.logpdf(data.y, x @ beta, v)


# far sds and residuals on purpose: what holds the singular matrix must come off again to the last digit
@pytest.mark.parametrize("log_sd, log_sigma", [(0.0, -0.7), (-6.0, 0.3), (3.0, -3.0)])
@pytest.mark.parametrize("fixed", [[], ["z"]])
def test_evidence_beside_a_flat_intercept_is_the_dense_ones(log_sd, log_sigma, fixed):
    data = series()
    model = build_model(f"y ~ 1 {''.join('+ ' + f for f in fixed)} + rw1(x)", data)
    laplace = Laplace(model)
    theta = np.array([log_sd, log_sigma])
    theta[1] = next(h for h in model.hyperparameters if h.name == "sigma").inverse(np.exp(log_sigma))
    found = laplace.at(theta)
    expected = dense_restricted(data, log_sd, log_sigma, fixed)
    assert found.log_posterior - laplace.log_prior(theta) == pytest.approx(expected, abs=1e-8)
    # its gradient is the difference's
    for k, step in enumerate(1e-5 * np.eye(2)):
        slope = (laplace.at(theta + step).log_posterior - laplace.at(theta - step).log_posterior) / 2e-5
        assert found.gradient[k] == pytest.approx(slope, rel=1e-5, abs=1e-5)


def test_evidence_of_counts_is_the_dense_laplace_ones():
    data = series()
    model = build_model("counts ~ 1 + rw1(x)", data, family="poisson")
    laplace, theta = Laplace(model, tolerance=1e-20), np.array([-0.5])  # the mode to full precision
    found = laplace.at(theta)
    nodes, q, basis = dense_walk(data.x)
    n = nodes.size
    a = np.column_stack([data.x.to_numpy()[:, None] == nodes, np.ones(len(data))]).astype(float)
    whole_q = np.zeros((n + 1, n + 1))
    whole_q[:n, :n] = q * np.exp(-2 * theta[0])
    inside = np.zeros((n + 1, n))
    inside[:n, : n - 1], inside[n, n - 1] = basis, 1.0
    x = inside @ np.r_[np.zeros(n - 1), np.log(data["counts"].mean())]
    for _ in range(100):
        rate = np.exp(a @ x)
        h = inside.T @ (whole_q + a.T @ (rate[:, None] * a)) @ inside
        x = x + inside @ np.linalg.solve(h, inside.T @ (a.T @ (data["counts"] - rate) - whole_q @ x))
    prior = 0.5 * np.linalg.slogdet(basis.T @ whole_q[:n, :n] @ basis)[1] - 0.5 * (n - 1) * LOG_2PI
    prior -= 0.5 * x @ whole_q @ x
    expected = model.likelihood.log_density(a @ x).sum() + prior
    expected += 0.5 * n * LOG_2PI - 0.5 * np.linalg.slogdet(h)[1] + laplace.log_prior(theta)
    assert found.log_posterior == pytest.approx(expected, abs=1e-8)
    assert found.x == pytest.approx(x, abs=1e-7)
    covariance = inside @ np.linalg.inv(h) @ inside.T
    assert found.eta_variance == pytest.approx(np.einsum("ij,jk,ik->i", a, covariance, a), rel=1e-8)
    draws = laplace.draw(found, np.random.default_rng(0).standard_normal((n + 1, 40_000)))
    assert np.abs(draws[:n].sum(axis=0)).max() < 1e-8
    # standard error of a variance of 40,000 draws: sqrt(2 / 40,000) = 0.7 % of it
    assert np.diag(np.cov(draws)) == pytest.approx(np.diag(covariance), rel=0.04)


@pytest.mark.parametrize("method", ["ml", "reml"])
def test_likelihood_is_the_dense_ones(method):
    data = series()
    fit = gs.fit("y ~ z + rw1(x)", data, method=method)
    sd, sigma = fit.hyper["estimate"]
    dense = dense_restricted if method == "reml" else dense_likelihood
    expected = dense(data, np.log(sd), np.log(sigma), ["z"])
    assert fit.log_likelihood == pytest.approx(expected, abs=1e-6)
    for step in ([1e-3, 0], [-1e-3, 0], [0, 1e-3], [0, -1e-3]):  # no better place beside it
        assert dense(data, np.log(sd) + step[0], np.log(sigma) + step[1], ["z"]) < expected


def test_a_walk_that_is_not_there_is_estimated_as_zero():
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"x": np.arange(30.0), "y": np.tile([1.0, -1.0], 15) + 0.01 * rng.normal(size=30)})
    with pytest.warns(gs.GeospdeWarning, match=r"sd\(rw1\(x\)\)'? is estimated as 0"):
        fit = gs.fit("y ~ rw1(x)", data, method="reml")
    assert fit.hyper.loc["sd(rw1(x))", "estimate"] == 0
    assert fit.log_likelihood == pytest.approx(dense_restricted(data, -20.0, np.log(data.y.std()), []), abs=1e-6)


RINLA = {  # R-INLA 26.06.08: rw1, sum to zero, pc.prec(1, 0.01), noise pc.prec(1, 0.05), flat intercept; mean, sd
    False: {"Intercept": (-0.7332657, 0.0337957), "noise": (7.488849, 1.581058), "walk": (15.427229, 5.570563)},
    True: {"Intercept": (-0.7332657, 0.0349636), "noise": (7.002073, 1.387010), "walk": (1.062080, 0.370759)},
}


@pytest.mark.parametrize("scale", [False, True])
def test_posterior_is_r_inlas(scale):
    data = pd.read_csv(REFERENCE / "series.csv")
    call = f"rw1(t, scale={scale})" if scale else "rw1(t)"
    fit = gs.fit(f"y_rw ~ 1 + {call}", data, priors={"sd(rw1(t))": {"pc": [1, 0.01]}, "sigma": {"pc": [1, 0.05]}})
    expected = RINLA[scale]
    assert fit.fixed.loc["Intercept", "mean"] == pytest.approx(expected["Intercept"][0], abs=1e-5)
    assert fit.fixed.loc["Intercept", "sd"] == pytest.approx(expected["Intercept"][1], rel=0.02)
    for name, theirs in (("sd(rw1(t))", expected["walk"]), ("sigma", expected["noise"])):
        precision = fit.sample(4000, seed=1)[name] ** -2  # its mean has a standard error of sd / 63
        assert precision.mean() == pytest.approx(theirs[0], abs=0.1 * theirs[1])
    if not scale:
        # R-INLA leaves out half the log of the structure's determinant, which is the number of nodes
        assert fit.log_marginal_likelihood - 0.5 * np.log(120) == pytest.approx(-98.6205, abs=0.05)


def test_degrees_of_freedom_beside_a_smooth_are_those_within_the_constraint():
    data = series()
    fit = gs.fit("y ~ s(z, bs='gp', k=6) + rw1(x)", data, method="reml")
    point, laplace = fit.point, fit.laplace
    a = laplace.design.toarray()
    covariance = laplace.solve(point, np.eye(laplace.n))
    dense = np.diag(covariance @ a.T @ (-point.derivatives[1][:, None] * a))
    assert fit.edf == pytest.approx(dense.sum(), rel=1e-6)
    assert fit.model.terms[1].n - 1 > dense[fit.laplace.blocks[1]].sum() > 0
    assert np.isfinite(fit.aic)


def test_prediction_between_nodes_is_a_brownian_bridge():
    data = series()
    fit = gs.fit("y ~ z + rw1(x)", data, method="eb")
    nodes = fit.model.terms[0].nodes
    at = pd.DataFrame({"x": [nodes[3], 0.3 * nodes[3] + 0.7 * nodes[4]], "z": 0.0})
    found = fit.predict(at).to_frame()
    point = fit.posterior.mode
    weights = np.zeros((2, fit.laplace.n))
    weights[:, fit.laplace.n_random] = 1.0
    weights[0, 3], weights[1, 3:5] = 1.0, (0.3, 0.7)
    variance = (weights * fit.laplace.solve(point, weights.T).T).sum(axis=1)
    variance[1] += np.exp(2 * point.theta[0]) * (nodes[4] - nodes[3]) * 0.21
    assert found["mean"].to_numpy() == pytest.approx(weights @ point.mean, abs=1e-8)
    assert found["sd"].to_numpy() == pytest.approx(np.sqrt(variance), rel=1e-6)
    rows = fit.model.rows(pd.DataFrame({"x": np.linspace(nodes[0], nodes[-1], 50), "z": 0.0}), None)
    root = rows.root(point.theta)
    assert (root**2).sum(axis=1) == pytest.approx(rows.at(point.theta)[1], abs=1e-12)
    assert fit.effects("x").draws(20, seed=1).shape == (20, 100)


def test_prediction_beyond_nodes_goes_on_as_a_walk():
    """Against the walk on the nodes and the new places together, its level free; both sides, one place twice."""
    data = pd.DataFrame({"x": [0.0, 1, 3, 4, 4, 6], "z": [1.0, 2, -1, 1, 0.5, 2], "y": [1.0, 3, -2, 1, 1.5, 4]})
    held = {"sigma": {"fixed": [0.5]}, "sd(rw1(x, z))": {"fixed": [0.7]}}
    fit = gs.fit("y ~ 0 + rw1(x, by=z)", data, priors=held, method="eb")
    new = pd.DataFrame({"x": [-2.5, 7.0, 9.0, 7.0], "z": [1.0, 2, -1, 0.5]})
    found = fit.predict(new).to_frame()
    places = np.array([-2.5, 0, 1, 3, 4, 6, 7, 9])
    steps = np.diff(np.eye(places.size), axis=0)
    rows, at = (np.asarray(t["z"])[:, None] * (np.asarray(t["x"])[:, None] == places) for t in (data, new))
    precision = steps.T @ (steps / (0.49 * np.diff(places))[:, None]) + rows.T @ rows / 0.25
    covariance = at @ np.linalg.solve(precision, at.T)
    assert found["mean"].to_numpy() == pytest.approx(at @ np.linalg.solve(precision, rows.T @ data["y"] / 0.25))
    assert found["sd"].to_numpy() == pytest.approx(np.sqrt(np.diag(covariance)), rel=1e-6)
    block = fit.model.rows(new, None)
    nodes, root = block.at(fit.posterior.mode.theta)[0].toarray(), block.root(fit.posterior.mode.theta)
    known = fit.laplace.solve(fit.posterior.mode, np.eye(fit.laplace.n))
    assert nodes @ known @ nodes.T + root @ root.T == pytest.approx(covariance, rel=1e-6)


def test_a_cyclic_walk_ends_at_its_nodes():
    months = pd.DataFrame({"x": np.tile(np.arange(1.0, 13), 2), "y": np.sin(np.arange(24.0))})
    fit = gs.fit("y ~ rw1(x, cyclic=True)", months, method="eb")
    assert np.isfinite(fit.predict(pd.DataFrame({"x": [12.5, 13.0]})).to_frame()["mean"]).all()
    for beyond in (0.5, 13.5):
        with pytest.raises(InputError, match=r"rw1\(x\) is known from 1 to 13, and row 1 is at"):
            fit.predict(pd.DataFrame({"x": [5.0, beyond]}))


@pytest.mark.parametrize(
    "term, message",
    [
        ("rw1(x, z)", "walks along one column"),
        ("rw1()", "takes names of columns"),
        ("rw1('x')", "takes names of columns"),
        ("rw1(w)", "no column 'w'"),
        ("rw1(g)", "finite number: row 0 holds 'a'"),
        ("rw1(c)", "'c' of .* is constant"),
        ("rw1(x, scale=2)", "scale of rw1 is True or False"),
        ("rw1(x, scaled=True)", "did you mean 'scale'"),
        ("rw1(gap)", "finite number: row 3 holds nan"),
    ],
)
def test_a_mistake_is_told(term, message):
    data = series().assign(g="a", c=1.0, gap=lambda d: d.x.where(d.index != 3))
    with pytest.raises(InputError, match=message):
        build_model(f"y ~ {term}", data)


def test_the_default_prior_is_of_a_step_whatever_the_unit():
    data = series(uneven=False)
    unit = build_model("y ~ rw1(x)", data).likelihood.unit
    described = {}
    for factor in (1.0, 100.0):
        model = build_model("y ~ rw1(x)", data.assign(x=factor * data.x))
        described[factor] = model.precisions[0].prior.parts[0]
    assert described[1.0].describe() == f"PC: P(sd > {3 * unit:.4g}) = 0.05"
    assert described[100.0].describe() == f"PC: P(sd > {0.3 * unit:.4g}) = 0.05"


def test_names_are_the_nodes():
    model = build_model("y ~ rw1(x) + rw1(z)", series())
    assert model.latent_names[0] == f"rw1(x)[{model.terms[0].nodes[0]:g}]"
    assert [h.name for h in model.hyperparameters] == ["sd(rw1(x))", "sd(rw1(z))", "sigma"]


def test_a_scaled_walk_has_variances_of_geometric_mean_one():
    model = build_model("y ~ rw1(x, scale=True)", series())
    term = model.terms[0]
    _, _, basis = dense_walk(term.nodes)
    q = term.precision.matrix(np.zeros(1)).toarray()
    variances = np.diag(basis @ np.linalg.inv(basis.T @ q @ basis) @ basis.T)
    assert np.exp(np.log(variances).mean()) == pytest.approx(1.0, rel=1e-10)
