"""Draws as ArviZ takes them: named, with log densities that scipy confirms, and its own loo and summary on them."""

import sys
import warnings

import arviz_stats
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

import geospde as gs


@pytest.fixture(scope="module")
def island():
    survey = gs.load_dataset("rongelap")
    mesh = gs.build_mesh(survey.coastline, max_edge=(300, 600), offset=600)
    points = survey.points.assign(depth=np.linspace(-1, 1, 157), region=np.repeat(["a/b", "c", "d"], [50, 50, 57]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gs.GeospdeWarning)
        formula = "counts ~ 1 + depth + spde(mesh) + (1 | region)"
        return survey, mesh, gs.fit(formula, points, mesh=mesh, family="poisson", exposure="time", method="eb")


@pytest.fixture(scope="module")
def growth():
    """A linear mixed model with correlated effects, of known variances."""
    rng = np.random.default_rng(11)
    who = np.repeat([f"p{i}" for i in range(12)], 6)
    day = np.tile(np.arange(6.0), 12)
    lines = rng.multivariate_normal([10, 2], [[2.0, 0.3], [0.3, 0.4]], 12)
    each = np.repeat(lines, 6, axis=0)
    data = pd.DataFrame({"who": who, "day": day, "y": each[:, 0] + each[:, 1] * day + rng.normal(0, 0.7, 72)})
    return data, gs.fit("y ~ day + (day | who)", data, method="eb")


def test_draws_have_names_dimensions_and_levels(island):
    _, mesh, fit = island
    tree = fit.to_arviz(50, seed=1)
    assert {"posterior", "log_likelihood", "observed_data", "constant_data"} == set(tree.children)
    posterior = tree["posterior"]
    assert dict(posterior.sizes) == {"chain": 1, "draw": 50, "spde_vertex": len(mesh.vertices), "region_level": 3}
    assert set(fit.hyper.index) | {"Intercept", "depth", "spde", "Intercept | region"} == set(posterior.data_vars)
    assert posterior["spde"].dims == ("chain", "draw", "spde_vertex")
    assert posterior["Intercept | region"].dims == ("chain", "draw", "region_level")
    assert list(posterior["region_level"].values) == ["a/b", "c", "d"], "a level is a value, not a name"
    assert tree.attrs["inference_library"] == "geospde" and tree.attrs["formula"] == fit.formula


def test_draws_are_those_of_sample(island, growth):
    for fit in (island[2], growth[1]):
        table, posterior = fit.sample(40, seed=7), fit.to_arviz(40, seed=7)["posterior"]
        seen = 0
        for name, variable in posterior.data_vars.items():
            values = variable.values[0]
            if values.ndim == 1:
                np.testing.assert_allclose(values, table[name], rtol=1e-12)  # drawn twice
                seen += 1
            else:
                for k, level in enumerate(variable[variable.dims[2]].values):
                    np.testing.assert_allclose(values[:, k], table[f"{name}[{level}]"], rtol=1e-12)
                    seen += 1
        assert seen == table.shape[1]


def test_log_densities_are_those_of_scipy(island):
    survey, mesh, fit = island
    tree = fit.to_arviz(30, seed=2)
    posterior = tree["posterior"]
    eta = posterior["Intercept"].values[0][:, None] + posterior["depth"].values[0][:, None] * np.linspace(-1, 1, 157)
    eta = eta + (mesh.basis(survey.coordinates) @ posterior["spde"].values[0].T).T
    eta = eta + np.repeat(posterior["Intercept | region"].values[0], [50, 50, 57], axis=1)
    expected = stats.poisson.logpmf(survey.points["counts"], survey.points["time"].to_numpy() * np.exp(eta))
    found = tree["log_likelihood"]["counts"]
    assert found.dims == ("chain", "draw", "observation")
    # means of thousands, whose logarithms are summed: 1e-9 of densities down to -1e4
    np.testing.assert_allclose(found.values[0], expected, rtol=1e-9, atol=1e-6)
    np.testing.assert_array_equal(tree["observed_data"]["counts"], survey.points["counts"])
    np.testing.assert_array_equal(tree["constant_data"]["exposure"], survey.points["time"])


def test_hyperparameters_of_the_family_come_with_their_draws():
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"y": rng.normal(3, 2, 60), "w": rng.uniform(0.5, 2, 60)})
    fit = gs.fit("y ~ 1", data, weights="w", method="inla")
    tree = fit.to_arviz(300, seed=3)
    posterior = tree["posterior"]
    assert len(np.unique(posterior["sigma"])) > 2, "sigma is drawn, too"
    mean, sigma = (posterior[name].values[0][:, None] for name in ("Intercept", "sigma"))
    expected = data["w"].to_numpy() * stats.norm.logpdf(data["y"].to_numpy(), mean, sigma)
    np.testing.assert_allclose(tree["log_likelihood"]["y"].values[0], expected, rtol=1e-9)
    np.testing.assert_array_equal(tree["constant_data"]["weights"], data["w"])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # arviz's convergence measure of one chain
def test_summary_of_arviz_agrees_with_the_tables(growth):
    _, fit = growth
    n = 4000
    table = arviz_stats.summary(fit.to_arviz(n, seed=4), round_to="none")
    for name, row in pd.concat([fit.fixed, fit.random]).iterrows():
        variable, _, level = name.partition("[")
        found = table.loc[f"{variable}[{level}" if level else variable]
        # five Monte Carlo errors of independent draws: sd / √n of a mean, sd / √2n of an sd
        assert found["mean"] == pytest.approx(row["mean"], abs=5 * row["sd"] / np.sqrt(n))
        assert found["sd"] == pytest.approx(row["sd"], rel=5 / np.sqrt(2 * n))
        assert found["ess_bulk"] > 0.8 * n


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Estimated shape parameter")  # of observations that are left out below
def test_loo_of_arviz_is_the_exact_one_of_a_gaussian_model(growth):
    data, fit = growth
    hyper = fit.hyper["mean"]
    who = pd.get_dummies(data["who"]).to_numpy(float)
    x = np.column_stack([np.ones(72), data["day"]])
    a, b = hyper["sd(Intercept | who)"], hyper["sd(day | who)"]
    c = hyper["cor(Intercept, day | who)"] * a * b
    z = np.concatenate([who[:, :, None] * x[:, None, :1], who[:, :, None] * x[:, None, 1:]], axis=2).reshape(72, -1)
    prior = np.kron(np.eye(12), [[a**2, c], [c, b**2]])
    cov = z @ prior @ z.T + hyper["sigma"] ** 2 * np.eye(72)
    exact = []
    for i in range(72):  # generalised least squares without row i, then its prediction: flat priors of the means
        rest = np.arange(72) != i
        solve = np.linalg.inv(cov[np.ix_(rest, rest)])
        info = np.linalg.inv(x[rest].T @ solve @ x[rest])
        beta = info @ x[rest].T @ solve @ data["y"][rest]
        gain = cov[i, rest] @ solve
        slack = x[i] - gain @ x[rest]
        mean = x[i] @ beta + gain @ (data["y"][rest] - x[rest] @ beta)
        variance = cov[i, i] - gain @ cov[rest, i] + slack @ info @ slack
        exact.append(stats.norm.logpdf(data["y"][i], mean, np.sqrt(variance)))
    loo = arviz_stats.loo(fit.to_arviz(4000, seed=6), pointwise=True)
    good = loo.pareto_k.values < 0.5
    assert good.sum() > 50
    # importance sampling from 4000 draws: seeds scatter by up to 0.022 where k is below a half, and by 0.2 in total
    np.testing.assert_allclose(loo.elpd_i.values[good], np.array(exact)[good], atol=0.1)
    assert loo.elpd == pytest.approx(sum(exact), abs=1.0)
    assert loo.elpd == pytest.approx(fit.criteria["elpd_loo"], abs=1.0)


@pytest.mark.slow
def test_the_tree_goes_through_a_file(tmp_path, growth):
    tree = growth[1].to_arviz(20, seed=8)
    tree.to_netcdf(tmp_path / "draws.nc", engine="h5netcdf")
    with xr.open_datatree(tmp_path / "draws.nc", engine="h5netcdf") as back:
        for group in ("posterior", "log_likelihood", "observed_data", "constant_data"):
            xr.testing.assert_equal(back[group].to_dataset().load(), tree[group].to_dataset())


def test_a_slash_in_a_name_is_no_path():
    rng = np.random.default_rng(1)
    data = pd.DataFrame({"y/z": rng.normal(size=20), "a/b": rng.normal(size=20), "g/h": list("pqrs") * 5})
    fit = gs.fit("`y/z` ~ `a/b` + (1 | `g/h`)", data, method="eb")
    names = set(fit.to_arviz(5, seed=1)["posterior"].data_vars)
    assert {name.replace("/", "÷") for name in [*fit.hyper.index, *fit.fixed.index]} <= names
    assert not any("/" in name for name in names)


def test_a_mistake_is_one_sentence(growth, monkeypatch):
    with pytest.raises(gs.InputError, match="must be positive, not 0"):
        growth[1].to_arviz(0)
    monkeypatch.setitem(sys.modules, "arviz_base", None)
    with pytest.raises(gs.InputError, match=r"pip install 'geospde\[arviz\]'"):
        growth[1].to_arviz(5)
