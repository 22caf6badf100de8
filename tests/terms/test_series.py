"""Second-order walks, autoregressive series and seasonal patterns: R-INLA's posterior, dense algebra, forecasts."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.integrate import quad
from scipy.linalg import toeplitz

import geospde as gs
from geospde.errors import InputError
from geospde.families.pc import PCCor0, PCCor1
from geospde.model.build import build_model
from geospde.terms.precisions.autoregressive import Autoregressive
from geospde.terms.precisions.intrinsic import generalised_inverse
from geospde.terms.series.lattice import Lattice
from geospde.terms.series.rw1 import RandomWalk
from geospde.terms.series.rw2 import SmoothWalk

REFERENCE = Path(__file__).parents[1] / "reference" / "temporal"
NOISE = {"sigma": {"pc": [1, 0.05]}}


@pytest.fixture(scope="module")
def data():
    return pd.read_csv(REFERENCE / "series.csv")


@pytest.fixture(scope="module")
def second(data):
    return gs.fit("y_ar ~ 1 + ar(t, order=2)", data, method="eb")


def precisions(fit, names):
    draws = fit.sample(4000, seed=1)  # means have a standard error of sd / 63
    return [(draws[name] ** -2).mean() for name in names]


# R-INLA 26.06.08: pc.prec(1, 0.05) on ar1, pc.cor1(0, 0.9), noise pc.prec(1, 0.05), flat intercept; mean (sd)
def test_ar1_counts_have_r_inlas_posterior(data):
    priors = {"sd(ar1(t))": {"pc.prec": [1, 0.05]}, "rho(ar1(t))": {"pc.cor1": [0, 0.9]}}
    fit = gs.fit("counts ~ 1 + ar1(t)", data, family="poisson", priors=priors)
    assert fit.hyper.loc["rho(ar1(t))", "mean"] == pytest.approx(0.77548, abs=0.1 * 0.0640)
    assert precisions(fit, ["sd(ar1(t))"])[0] == pytest.approx(1.2993, abs=0.2 * 0.3485)
    assert fit.fixed.loc["Intercept", "mean"] == pytest.approx(1.7992, abs=0.1 * 0.2521)
    assert fit.log_marginal_likelihood == pytest.approx(-358.144, abs=0.5)  # its integration says -358.550


@pytest.mark.slow
def test_a_third_order_has_the_exact_posterior(data):
    """Two shapes of series, and a noise that may be none: 14,000 weighted thetas, of which 7,400 count."""
    fit = gs.fit("y_ar ~ 1 + ar(t, order=3)", data)
    exact = {
        "sd(ar(t))": (0.954, 0.244), "pacf1(ar(t))": (0.793, 0.092), "pacf2(ar(t))": (-0.103, 0.186),
        "pacf3(ar(t))": (0.147, 0.160), "sigma": (0.281, 0.130),
    }  # fmt: skip
    for name, (mean, sd) in exact.items():
        assert fit.hyper.loc[name, "mean"] == pytest.approx(mean, abs=0.1 * sd), name
        assert fit.hyper.loc[name, "sd"] == pytest.approx(sd, rel=0.2), name  # the series' sd has a long tail
    assert fit.log_marginal_likelihood == pytest.approx(-127.84, abs=0.04)


# rw2, sum to zero, trend free, pc.prec(1, 0.01); of the scaled one R-INLA's mean is of a tail: its median
@pytest.mark.parametrize("scale, noise, middle", [(False, 5.5208, 235.31), (True, 4.1744, 0.92768)])
def test_rw2_has_r_inlas_posterior(data, scale, noise, middle):
    fit = gs.fit(f"y_rw ~ 1 + rw2(t, scale={scale})", data, priors={**NOISE, "sd(rw2(t))": {"pc": [1, 0.01]}})
    draws = fit.sample(4000, seed=1)
    assert (draws["sigma"] ** -2).mean() == pytest.approx(noise, abs=0.15 * 0.83)
    assert np.median(draws["sd(rw2(t))"] ** -2) == pytest.approx(middle, rel=0.15)
    assert fit.fixed.loc["Intercept", "mean"] == pytest.approx(-0.7332657, abs=1e-5)


@pytest.mark.parametrize("partial", [(0.7,), (0.7, -0.4), (0.5, 0.3, -0.6)])
def test_an_autoregressive_precision_is_the_inverse_of_its_covariance(partial):
    series = Autoregressive(9, len(partial))
    theta = np.array([0.3, *(2 * np.arctanh(partial))])
    acf = series.autocorrelations(theta, 8)
    covariance = np.exp(0.6) * toeplitz(acf)
    assert series.matrix(theta).toarray() @ covariance == pytest.approx(np.eye(9), abs=1e-12)
    assert series.log_normaliser(theta)[0] == pytest.approx(-0.5 * np.linalg.slogdet(covariance)[1], abs=1e-12)
    if len(partial) == 1:
        assert acf == pytest.approx(partial[0] ** np.arange(9))


@pytest.mark.parametrize("prior", [PCCor1(0.0, 0.9), PCCor1(0.9, 0.6), PCCor0(0.5, 0.5), PCCor0(0.9, 0.1)])
def test_priors_of_correlations_are_densities(prior):
    def mass(low, high):
        # pc.cor0 has a kink at zero
        ends = sorted({low, -9.0 if low < 0 else 9.0, min(max(low, 0.0), high), 9.0, high})
        density = lambda t: np.exp(prior.log_density(np.array([t])))  # noqa: E731
        return sum(quad(density, a, b, epsabs=1e-10, limit=200)[0] for a, b in zip(ends[:-1], ends[1:]))

    beyond = mass(2 * np.arctanh(prior.rho0), 600.0) * (2 if isinstance(prior, PCCor0) else 1)
    assert beyond == pytest.approx(prior.p, abs=1e-7)
    assert mass(-600.0, 600.0) == pytest.approx(1.0, abs=1e-7)
    for t in (-3.0, -0.4, 0.0004, 0.7, 5.0):
        slope = (prior.log_density(np.array([t + 1e-5])) - prior.log_density(np.array([t - 1e-5]))) / 2e-5
        assert prior.gradient(np.array([t]))[0] == pytest.approx(slope, abs=1e-4)


def test_a_forecast_is_what_a_longer_series_says(data, second):
    """The same model with steps that have no data, at the same hyperparameters."""
    theta, term = second.posterior.mode.theta, second.model.terms[0]
    longer = Autoregressive(term.n + 12, 2)
    rows = second.model.rows(pd.DataFrame({"t": [-2.0, 0, 1, 60, 121, 122, 128]}), None)
    at = np.array([0, 2, 3, 62, 123, 124, 130])  # three steps before, nine after
    n = term.n
    a = np.zeros((n, longer.n))
    a[:, 3 : n + 3] = np.eye(n)
    h = longer.matrix(theta[:3]).toarray() + np.exp(-2 * theta[3]) * a.T @ a
    own = np.array(rows.at(theta)[0][:, :n].todense())
    inner = h[3 : n + 3, 3 : n + 3] - h[3 : n + 3][:, [0, 1, 2, *range(n + 3, n + 12)]] @ np.linalg.solve(
        h[np.ix_([0, 1, 2, *range(n + 3, n + 12)], [0, 1, 2, *range(n + 3, n + 12)])],
        h[[0, 1, 2, *range(n + 3, n + 12)]][:, 3 : n + 3],
    )
    covariance = own @ np.linalg.inv(inner) @ own.T + rows.root(theta) @ rows.root(theta).T
    at = np.array([1, 3, 4, 63, 124, 125, 131]) - 1
    assert covariance == pytest.approx(np.linalg.inv(h)[np.ix_(at, at)], abs=1e-10)
    assert (rows.root(theta) ** 2).sum(axis=1) == pytest.approx(rows.at(theta)[1], abs=1e-12)
    sds = second.predict(pd.DataFrame({"t": [121.0, 125, 150, 400]})).to_frame()["sd"]
    assert sds.is_monotonic_increasing


@pytest.mark.parametrize("scale", [False, True])
def test_a_smooth_walk_goes_on_beyond_its_nodes(scale):
    """As one with nodes there, which have no data; half a step beyond one is on the line to the next."""
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"t": np.tile(np.arange(2001.0, 2011), 4)})
    data["y"] = np.sin((data.t - 2001) / 3) + rng.normal(0, 0.3, 40)
    held = {"sigma": {"fixed": [0.3]}, "sd(rw2(t))": {"fixed": [0.2]}}
    fit = gs.fit(f"y ~ 1 + rw2(t, scale={scale})", data, priors=held, method="eb")
    sd = 0.2 / np.sqrt(fit.model.terms[0].precision.scaling)
    places = np.arange(1999.0, 2014)
    changes = np.diff(np.eye(places.size), 2, axis=0)
    rows = (np.asarray(data["t"])[:, None] == places).astype(float)
    covariance = np.linalg.inv(changes.T @ changes / sd**2 + rows.T @ rows / 0.09)
    new = pd.DataFrame({"t": [1999.0, 2000, 2011, 2012.5, 2013, 2013]})
    at = np.maximum(1 - np.abs(np.asarray(new["t"])[:, None] - places), 0)
    found = fit.predict(new).to_frame()
    assert found["mean"].to_numpy() == pytest.approx(at @ covariance @ rows.T @ data["y"] / 0.09, abs=1e-6)
    assert found["sd"].to_numpy() == pytest.approx(np.sqrt(np.diag(at @ covariance @ at.T)), rel=1e-6)
    block, theta = fit.model.rows(new, None), fit.posterior.mode.theta
    nodes, root = block.at(theta)[0].toarray(), block.root(theta)
    known = fit.laplace.solve(fit.posterior.mode, np.eye(fit.laplace.n))
    assert nodes @ known @ nodes.T + root @ root.T == pytest.approx(at @ covariance @ at.T, rel=1e-6)
    with pytest.raises(InputError, match="steps of 1, and a row is 99990 beyond its values: that is too far"):
        fit.predict(pd.DataFrame({"t": [102_000.0]}))


def test_the_future_of_a_walk_is_validated():
    data = pd.DataFrame({"t": np.tile(np.arange(8.0), 5), "u": np.tile(np.arange(5.0), 8)})
    data["y"] = np.sin(data.t / 2) + np.random.default_rng(2).normal(0, 0.2, 40)
    checked = gs.fit("y ~ rw1(t)", data, method="eb").validate("future", k=1, baselines=False, draws=500)
    past = gs.fit("y ~ rw1(t)", data[data.t < 7], method="eb").predict(pd.DataFrame({"t": [7.0]})).to_frame()
    assert len(checked.pointwise) == 5
    # the priors of the one are of all rows, of the other of the past; draws have a standard error of 0.04 sd
    assert checked.pointwise["mean"].to_numpy() == pytest.approx(past["mean"].iloc[0], abs=0.2 * past["sd"].iloc[0])
    with pytest.raises(InputError, match="walks go along 't' and 'u': write that of time as ar1"):
        gs.fit("y ~ rw1(t) + rw2(u)", data, method="eb").validate("future")


def test_missing_steps_are_steps(data):
    some = data[~data.t.isin([5, 6, 40])]
    term = build_model("y_ar ~ ar1(t)", some).terms[0]
    assert term.n == 120 and term.names()[5] == "ar1(t)[6]"
    assert Lattice.of(np.array([1.0, 1.5, 3.0]), "x").size == 5
    assert build_model("y_ar ~ rw1(t, cyclic=True)", some).terms[0].n == 120


def test_a_seasonal_pattern_repeats(data):
    with pytest.warns(gs.GeospdeWarning, match="estimated as 0"):
        fit = gs.fit("y_seas ~ 1 + seasonal(t, period=12)", data, method="reml")
    effects = fit.random["estimate"].to_numpy()
    year = pd.DataFrame({"t": np.arange(121.0, 133.0)})
    ahead = fit.predict(year).to_frame()
    at_end = fit.predict(pd.DataFrame({"t": np.arange(109.0, 121.0)})).to_frame()
    assert ahead["mean"].iloc[-1] == pytest.approx(at_end["mean"].iloc[-1], abs=0.02)
    assert ahead["sd"].min() > at_end["sd"].min()
    assert np.abs(np.convolve(effects, np.ones(12), "valid")).max() < 0.5
    term = fit.model.terms[0]
    weights, root = term.conditional(np.zeros(1), np.array([1, 2]))
    assert weights[0] == pytest.approx(-np.ones(11)) and weights[1] == pytest.approx(np.r_[np.zeros(10), 1.0])
    assert root @ root.T == pytest.approx(np.array([[1.0, -1.0], [-1.0, 2.0]]))


def test_a_coefficient_that_walks_has_the_level_of_a_fixed_slope(data):
    """A free walk is a fixed slope and a walk that sums to zero: the same evidence and the same curve."""
    data = data.assign(z=np.cos(data.t))
    free = gs.fit("y_ar ~ rw1(t, by=z)", data, method="eb")
    split = gs.fit("y_ar ~ z + rw1(t, by=z, constr=True)", data, method="eb")
    assert free.log_marginal_likelihood == pytest.approx(split.log_marginal_likelihood, abs=1e-6)
    at = pd.DataFrame({"t": [3.0, 3.5, 80.0], "z": [1.0, -0.5, 2.0]})
    ours, theirs = (f.predict(at).to_frame() for f in (free, split))
    pd.testing.assert_frame_equal(ours, theirs, rtol=1e-4, check_like=True)


@pytest.mark.parametrize(
    "formula, message",
    [
        ("y ~ rw1(t, constr=False)", "the level of rw1\\(t\\) is already in Intercept: drop that, or give the walk"),
        ("y ~ z + rw1(t, by=z)", "the level of rw1\\(t, z\\) is already in"),
        ("y ~ t + rw2(t)", "the linear trend of rw2\\(t\\) is already in"),
        ("y ~ rw2(t) + s(t, bs='gp')", "the linear trend of s\\(t\\) is already in"),
        ("y ~ seasonal(m, period=12)", "the data do not tell the pattern that repeats"),
        ("y ~ seasonal(t)", "has a period"),
        ("y ~ seasonal(t, period=200)", "more than a period"),
        ("y ~ ar1(u)", "have none in common"),
        ("y ~ ar1(t, order=2)", "no option 'order'"),
        ("y ~ ar(t, order=0)", "order of ar is a whole number, 1 or more"),
        ("y ~ ar(two, order=2)", "needs 4 steps or more, and there are 2"),
        ("y ~ rw2(two)", "needs 3 different values"),
        ("y ~ rw1(u, cyclic=True)", "have none in common"),
        ("y ~ rw1(t, by=zero)", "is zero"),
        ("y ~ rw1(t, by=3)", "by is the name of a column"),
    ],
)
def test_a_mistake_is_told(data, formula, message):
    rng = np.random.default_rng(0)
    own = data.assign(
        y=data.y_ar, z=rng.normal(size=120), u=rng.uniform(size=120), two=data.t % 2, zero=0.0,
        m=data.t + (data.t % 12 == 5) + (data.t % 12 == 8),
    )  # fmt: skip
    with pytest.raises(InputError, match=message):
        build_model(formula, own)


def test_a_step_that_is_none_is_told(second):
    with pytest.raises(InputError, match=r"ar\(t\) goes by steps of 1 from 1, and row 0 is at 2.5"):
        second.predict(pd.DataFrame({"t": [2.5]}))
    with pytest.raises(InputError, match="above 0.707"):
        PCCor1(0.0, 0.5)
    assert len(second.effects("t").to_frame()) == 120


@pytest.mark.parametrize("walk, power", [(RandomWalk, 1), (SmoothWalk, 3)])
@pytest.mark.parametrize("unit", [1e-30, 1e4, 1e6, 1e30])
def test_a_walk_is_the_same_in_any_unit_of_its_steps(walk, power, unit):
    gaps = np.random.default_rng(1).uniform(0.5, 1.5, 24)
    found = []
    for size in (1.0, unit):
        nodes = np.r_[0.0, np.cumsum(size * gaps)]
        null = walk.null(nodes, False)
        determinant, variances = generalised_inverse(walk.structure(size * gaps, False), null)
        found.append((determinant + (25 - null.shape[1]) * power * np.log(size), variances / size**power))
    dense = np.linalg.pinv(walk.structure(gaps, False).toarray())
    assert np.allclose(found[0][1], np.diag(dense), rtol=1e-9)
    assert found[1][0] == pytest.approx(found[0][0], abs=1e-9)  # digits of sums of some hundred numbers, as below
    assert np.allclose(found[1][1], found[0][1], rtol=1e-9)
