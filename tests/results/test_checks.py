"""Each finding about a fit, provoked by data made for it, and absent where all is well."""

import re
import sys
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely
from scipy.spatial import Delaunay
from scipy.special import kv

import geospde as gs
from geospde.results.checking.fields import _dip, resolution_findings
from geospde.terms.precisions.fem import fem_matrices
from geospde.terms.precisions.matern import MaternSpde
from geospde.text.words import number

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import lattice  # isort: skip

BOX = shapely.box(0, 0, 10, 10)
AT_MODE = {"integration": "eb"}  # where a finding is of mesh and range, not of the spread of theta


@cache
def mesh(edge, offset=3.0):
    return gs.build_mesh(BOX, max_edge=(edge, 2.0), offset=offset)


def correlation(distances, reach):
    scaled = np.sqrt(8) * distances / reach
    return np.where(scaled > 0, scaled * kv(1, np.maximum(scaled, 1e-9)), 1.0)


def matern(sites, reach, rng):
    covariance = correlation(np.linalg.norm(sites[:, None] - sites[None], axis=2), reach)
    return np.linalg.cholesky(covariance + 1e-8 * np.eye(len(sites))) @ rng.standard_normal(len(sites))


@cache
def counts(reach=3.0, size=150, level=2.0, seed=0):
    rng = np.random.default_rng(seed)
    sites = rng.uniform(0.2, 9.8, (size, 2))
    data = pd.DataFrame({"x": sites[:, 0], "y": sites[:, 1]})
    data["count"] = rng.poisson(np.exp(level + 0.7 * matern(sites, reach, rng)))
    return data


@cache
def good():
    return fit(counts(), mesh(0.5))


def fit(data, on, formula="count ~ 1 + spde(mesh)", **options):
    options = {"family": "poisson", **options}
    return gs.fit(formula, data, mesh=on, coords=("x", "y"), **options)


def found(checks, subject, level=None):
    return [f for f in checks if f.subject == subject and (level is None or f.level == level)]


def test_a_good_fit_passes():
    checks = good().check()
    assert checks.passed, checks
    assert found(checks, "mesh", "ok") and found(checks, "extension", "ok")
    assert found(checks, "prior", "ok") and found(checks, "calibration", "ok")
    assert not found(checks, "range")
    assert list(checks.to_frame().columns) == ["level", "subject", "message", "remedy"]


def test_edges_longer_than_half_the_range():
    checks = fit(counts(), mesh(2.0), **AT_MODE).check()
    (finding,) = found(checks, "mesh", "warning")
    assert "max_edge" in finding.remedy and not checks.passed


@pytest.mark.parametrize("edge", [0.2, 0.5])
def test_what_is_lost_amid_triangles_is_that_of_a_lattice(edge):
    """By the covariance of a field on equilateral triangles, five ranges wide."""
    n = round(5 / edge)
    i, j = (each.ravel() for each in np.meshgrid(np.arange(n), np.arange(n)))
    vertices = edge * np.column_stack([i + 0.5 * (j % 2), np.sqrt(0.75) * j])
    triangles = Delaunay(vertices).simplices
    precision = MaternSpde(*fem_matrices(vertices, triangles), alpha=2.0).matrix(np.log([1.0, 1.0]))
    amid = np.argmin(np.linalg.norm(vertices[triangles].mean(axis=1) - vertices.mean(axis=0), axis=1))
    covariance = np.linalg.inv(precision.toarray())[np.ix_(triangles[amid], triangles[amid])]
    # the edge of the lattice, 2.5 ranges off, raises variances by some thousandths
    assert _dip(edge) == pytest.approx(1 - np.sqrt(covariance.mean() / np.diag(covariance).mean()), rel=0.02)


def test_edges_of_a_third_of_the_range_are_a_note():
    assert found(fit(counts(), mesh(1.0), **AT_MODE).check(), "mesh", "note")


def test_a_sliver_is_told_with_its_angle():
    whole = mesh(2.0)
    corners, new = whole.triangles[0], len(whole.vertices)
    a, b, c = whole.vertices[corners]
    vertex = 0.5 * (a + b) + 1e-3 * (c - 0.5 * (a + b))
    around = [[corners[k], corners[(k + 1) % 3], new] for k in range(3)]
    sharp = gs.Mesh(np.vstack([whole.vertices, vertex]), np.vstack([whole.triangles[1:], around]))
    (finding,) = found(fit(counts(), sharp, **AT_MODE).check(), "angle")
    assert "degrees" in finding.message and finding.level == "warning"


@pytest.mark.slow
def test_a_range_longer_than_the_study_area():
    data = counts(reach=60.0)
    data = data.assign(count=np.random.default_rng(1).poisson(np.exp(1 + 0.25 * data["x"])))
    checks = fit(data, mesh(0.9), priors={"range(spde)": {"pc": [5, 0.01]}}, **AT_MODE).check()
    (finding,) = found(checks, "range", "warning")
    assert "covariates" in finding.remedy


@pytest.mark.slow
def test_a_mesh_that_ends_at_the_study_area():
    tight = gs.build_mesh(BOX, max_edge=(0.5, 0.6), offset=0.3)
    (finding,) = found(fit(counts(), tight, **AT_MODE).check(), "extension")
    assert finding.level == "note" and "offset" in finding.remedy


def test_a_prior_that_holds_a_parameter():
    # the range is about 3: a prior that gives 1 in 100 to ranges below 60
    checks = fit(counts(), mesh(0.5), priors={"range(spde)": {"pc": [60, 0.01]}}).check()
    messages = [f.message for f in found(checks, "prior", "warning")]
    assert any("range(spde)" in m and "up" in m for m in messages)


def test_a_parameter_of_which_the_data_say_nothing():
    rng = np.random.default_rng(2)
    data = pd.DataFrame({"y": rng.normal(0, 1, 60), "g": np.repeat(["a", "b"], 30)})
    data["y"] += (data["g"] == "b") * 0.5
    checks = gs.fit("y ~ 1 + (1 | g)", data, priors={"sd(Intercept | g)": {"gaussian": [0.0, 400.0]}}).check()
    (finding,) = found(checks, "prior", "note")
    assert "sd(Intercept | g)" in finding.message


@cache
def plane():
    """Sites on a smooth surface, all but without noise: the nugget is what its prior says."""
    rng = np.random.default_rng(1)
    sites = rng.uniform(0, 10, (60, 2))
    return pd.DataFrame({"x": sites[:, 0], "y": sites[:, 1], "z": 5 + matern(sites, 3.0, rng)})


@pytest.mark.slow
@pytest.mark.parametrize("priors", [None, "inla"])
def test_a_nugget_that_its_prior_decides_is_named(priors):
    # medians near 0.07 and 0.009: each prior has its own figure
    on = gs.build_mesh(sites=plane()[["x", "y"]].to_numpy(), max_edge=(1.5, 4))
    checks = fit(plane(), on, "z ~ 1 + spde(mesh)", family="gaussian", priors=priors).check()
    assert any("sigma" in f.message.replace("sigma(spde)", "") for f in found(checks, "prior", "note"))
    assert not found(checks, "prior", "ok")


def test_a_prior_that_decides_nothing_is_not_told():
    (finding,) = found(good().check(), "prior")
    assert finding.level == "ok"


def test_a_size_without_moments_has_a_median_and_an_interval(capsys):
    fit = gs.fit("count ~ 1", pd.DataFrame({"count": np.random.default_rng(3).poisson(3.0, 80)}), family="nbinomial")
    row = fit.hyper.loc["size"]
    assert row[["mean", "sd"]].isna().all() and row[["q0.025", "q0.5", "q0.975", "mode"]].notna().all()
    (finding,) = found(fit.check(), "moments", "note")
    assert finding.message.startswith("no mean or sd of 'size'")
    fit.summary()
    printed = capsys.readouterr().out
    assert "no mean or sd of 'size'" in printed and "nan" not in printed.lower()
    assert not found(good().check(), "moments")


TREND_MESH = gs.build_mesh(shapely.box(0, 0, 1, 1), max_edge=(0.15, 0.4), offset=0.3)


@pytest.fixture(scope="module")
def trend():
    rng = np.random.default_rng(3)
    data = pd.DataFrame(rng.random((80, 2)), columns=["e", "n"])
    data["y"], data["c"] = 2 + 3 * data.e - 2 * data.n + 0.3 * rng.normal(size=80), rng.poisson(np.exp(0.5 + data.e))
    data["x"], data["t"] = rng.normal(size=80), np.arange(80) % 8
    data["z"] = 0.5 * data.t + 0.2 * rng.normal(size=80)
    return data


@pytest.mark.slow
def test_an_intercept_beside_a_trend_of_any_range_has_no_sd(trend, capsys):
    fit = gs.fit("c ~ x + spde(mesh)", trend, mesh=TREND_MESH, coords=("e", "n"), family="poisson")
    assert np.isnan(fit.fixed.loc["Intercept", "sd"]) and fit.fixed.loc["x", "sd"] > 0
    assert fit.fixed.loc["Intercept"].drop("sd").notna().all()
    assert "no sd of 'Intercept'" in "".join(f.message for f in found(fit.check(), "moments", "note"))
    fit.summary()
    assert "no sd of 'Intercept'" in capsys.readouterr().out


@pytest.mark.parametrize(
    "formula, words", [("y ~ 1 + spde(mesh)", "study area"), ("z ~ ar1(t)", "'rho(ar1(t))' in comb")]
)
def test_what_the_data_tell_in_combination_alone_is_told(trend, formula, words):
    """Of a trend REML's range runs off, or its correlation towards one, with sigma and the intercept's error."""
    with pytest.warns(gs.GeospdeWarning) as caught:
        fit = gs.fit(formula, trend, mesh=TREND_MESH, coords=("e", "n"), method="reml")
    told = [one for one in caught if issubclass(one.category, gs.GeospdeWarning)]
    assert sum(words in note for note in fit.notes) == len(fit.notes) == len(told) == 1
    assert fit.fixed.loc["Intercept", "se"] > 50  # of a response that scatters by 1: it says where the search ended


@pytest.mark.parametrize("method, noted", [("ml", False), ("reml", True)])
def test_a_range_of_several_study_areas_is_told_with_a_note(method, noted):
    """REML's interval of it reaches beyond 100 study areas, ML's from half of one to two."""
    rng = np.random.default_rng(7)
    data = pd.DataFrame(rng.random((80, 2)), columns=["e", "n"])
    data["y"] = 2 * matern(data.to_numpy(), 2.0, rng) + rng.normal(0, 0.2, 80)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gs.GeospdeWarning)
        fit = gs.fit("y ~ 1 + spde(mesh)", data, mesh=TREND_MESH, coords=("e", "n"), method=method)
    assert [("little more than a trend" in note) for note in fit.notes] == [True] * noted


@pytest.mark.slow
def test_a_posterior_without_an_end_is_told():
    """Under a prior flat in its logarithm an sd next to zero has no posterior: its mode was looked for at 1e-175."""
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"g": np.arange(60) % 5, "y": rng.normal(size=60)})
    with pytest.warns(gs.GeospdeWarning, match=r"sd\(Intercept \| g\)' has no end towards zero under a flat prior"):
        fit = gs.fit("y ~ 1 + (1 | g)", data, priors={"sd(Intercept | g)": "flat"}, integration="ccd")
    assert fit.hyper.loc["sd(Intercept | g)", "q0.025"] < 1e-20 and np.isfinite(fit.hyper["mode"]).all()
    found = [one for one in fit.check() if one.subject == "variance"]
    assert [one.level for one in found] == ["warning"] and "has no end towards zero" in found[0].message


@pytest.mark.slow
def test_a_range_within_the_meshs_triangles_is_told_with_the_edge_to_set():
    """Of effects that each site has by itself the range runs off, and a fifth of it is no edge for a mesh."""
    rng = np.random.default_rng(0)
    data = pd.DataFrame(rng.random((200, 2)), columns=["e", "n"])
    data["y"] = rng.poisson(np.exp(1 + rng.normal(0, 0.7, 200)))
    mesh = gs.build_mesh(shapely.box(0, 0, 1, 1), max_edge=(0.2, 0.4), offset=0.3)
    with pytest.warns(
        gs.GeospdeWarning, match=r"has run off within the triangles of the mesh, 0\.143 wide.*, towards 0\.0285,"
    ):
        fit = gs.fit("y ~ 1 + spde(mesh)", data, mesh=mesh, coords=("e", "n"), family="poisson", method="ml")
    assert fit.hyper.loc["range(spde)", "estimate"] < 0.0135 and len(fit.notes) == 1
    found = next(one for one in fit.check() if one.subject == "mesh")
    assert "nothing in common" in found.message and "towards 0.0285; leave the field out" in found.remedy
    notes = fit.model.terms[0].notes(np.log([0.1, 1.0]))
    assert len(notes) == 1 and "0.1, is within the triangles" in notes[0] and "max_edge, towards 0.0200," in notes[0]
    assert not fit.model.terms[0].notes(np.log([0.3, 1.0]))


@pytest.mark.slow
def test_a_copys_factor_and_a_fields_sigma_are_a_ridge_where_one_likelihood_has_no_field():
    rng = np.random.default_rng(0)
    first, second = (pd.DataFrame(rng.random((70, 2)), columns=["e", "n"]) for _ in range(2))
    first["y"] = 1 + 0.4 * rng.normal(size=70)
    second["c"] = rng.poisson(np.exp(0.5 + 0.7 * np.sin(5 * second.e) * np.cos(4 * second.n)))
    rows = [
        gs.Observations("y ~ 1 + field", first, coords=("e", "n"), name="a"),
        gs.Observations("c ~ 1 + copy(field)", second, family="poisson", coords=("e", "n"), name="b"),
    ]
    with pytest.warns(gs.GeospdeWarning, match=re.escape("'sigma(field)' and 'scale(copy(field))' in combination")):
        gs.fit(rows, terms={"field": "spde(mesh)"}, mesh=TREND_MESH, method="ml")


@pytest.mark.slow
def test_a_variance_that_may_be_zero():
    rng = np.random.default_rng(3)
    data = pd.DataFrame({"y": rng.normal(0, 1, 200), "g": np.tile(np.arange(20), 10)})
    (finding,) = found(gs.fit("y ~ 1 + (1 | g)", data).check(), "variance")
    assert "sd(Intercept | g)" in finding.message
    data["y"] += rng.normal(0, 1, 20)[data["g"]]
    assert not found(gs.fit("y ~ 1 + (1 | g)", data).check(), "variance")


@pytest.mark.parametrize("family, message", [("poisson", "too sure"), ("nbinomial", None)])
def test_counts_with_more_spread_than_their_family(family, message):
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"count": rng.negative_binomial(1.0, 1 / 6, 300)})
    checks = gs.fit("count ~ 1", data, family=family).check()
    warnings = found(checks, "calibration", "warning")
    assert [message in w.message for w in warnings] == ([True] if message else [])


def test_predictions_that_are_too_unsure():
    rng = np.random.default_rng(5)
    data = pd.DataFrame({"y": rng.normal(0, 0.3, 200)})
    checks = gs.fit("y ~ 1", data, priors={"sigma": {"fixed": 1.0}}).check()
    (warning,) = found(checks, "calibration", "warning")
    assert "too unsure" in warning.message


@pytest.mark.slow
def test_an_observation_that_sets_its_own_prediction():
    rng = np.random.default_rng(12)  # the Pareto k of the others is 0.52 at most: far below 0.7 in any order of draws
    data = pd.DataFrame({"x": np.r_[rng.normal(0, 1, 40), 30.0]})
    data["y"] = 0.5 * data["x"] + rng.normal(0, 1, 41)
    data.loc[40, "y"] = -40.0
    (finding,) = found(gs.fit("y ~ x", data).check(), "influence")
    assert finding.rows == (40,) and "40" in finding.remedy
    rongelap_like = fit(counts(level=6.0), mesh(0.5)).check()
    (many,) = found(rongelap_like, "influence")
    assert "blocks" in many.remedy and len(many.rows) > 30


@pytest.mark.slow
def test_where_the_laplace_approximation_errs():
    rng = np.random.default_rng(7)
    data = pd.DataFrame({"g": np.arange(160) // 2})
    data["y"] = rng.integers(0, 2, 80)[data["g"]]  # both of a pair alike: the sd is large
    plain = gs.fit("y ~ 1 + (1 | g)", data, family="bernoulli", strategy="gaussian").check()
    (warning,) = found(plain, "Laplace", "warning")
    assert "strategy='auto'" in warning.remedy
    (hard,) = found(gs.fit("y ~ 1 + (1 | g)", data, family="bernoulli").check(), "Laplace", "warning")
    assert "strategy='laplace'" in hard.remedy
    rng = np.random.default_rng(7)
    data["g"] = np.arange(160) // 4
    data["y"] = rng.binomial(1, 1 / (1 + np.exp(-rng.normal(0, 1.2, 40)[data["g"]])))
    assert found(gs.fit("y ~ 1 + (1 | g)", data, family="bernoulli").check(), "Laplace", "note")
    assert found(fit(counts(level=5.0), mesh(0.9)).check(), "Laplace", "ok")


def test_a_singular_fit_by_likelihood():
    rng = np.random.default_rng(8)
    data = pd.DataFrame({"y": rng.normal(0, 1, 60), "g": np.tile(np.arange(6), 10)})
    data["y"] -= data.groupby("g")["y"].transform("mean")  # no variance between groups at all
    with pytest.warns(gs.GeospdeWarning, match="singular"):
        flat = gs.fit("y ~ 1 + (1 | g)", data, method="reml")
    (finding,) = found(flat.check(), "singular fit", "warning")
    assert "leave out" in finding.remedy
    sleep = gs.fit("Reaction ~ Days + (Days | Subject)", gs.load_dataset("sleepstudy"), method="reml")
    assert found(sleep.check(), "singular fit", "ok")


def exact(sites, field="spde(mesh)"):
    """60 measurements of a field of range 3 with an error of 0.05, on a mesh of edges of 1.2."""
    rng = np.random.default_rng(4)
    places = rng.uniform(0, 10, (60, 2))
    data = pd.DataFrame({"x": places[:, 0], "y": places[:, 1]})
    data["z"] = matern(places, 3.0, rng) + 0.05 * rng.standard_normal(60)
    on = gs.build_mesh(BOX, max_edge=(1.2, 2.0), offset=3.0, sites=places if sites else None)
    priors = {"range(spde)": {"fixed": [3]}, "sigma(spde)": {"fixed": [1]}, "sigma": {"fixed": [0.05]}}
    return gs.fit(f"z ~ 1 + {field}", data, mesh=on, coords=("x", "y"), method="eb", priors=priors)


def test_measurements_more_exact_than_the_mesh():
    fit = exact(sites=False)
    (warning,) = found(fit.check(), "resolution", "warning")
    rows = fit.model.design[:, : fit.model.terms[0].precision.n].toarray()
    prior = np.linalg.inv(
        fit.model.terms[0].precision.matrix(fit.laplace.whole(fit.posterior.mode.theta)[:2]).toarray()
    )
    lost = np.sqrt(rows @ np.diag(prior) - np.einsum("ij,jk,ik->i", rows, prior, rows)).mean()
    assert f"a standard deviation of {number(lost)} " in warning.message
    assert f", {lost / 0.05:.2g} times" in warning.message


@pytest.mark.parametrize("sites, edge, level", [(400, 0.4, "ok"), (10_000, 0.6, "warning")])
def test_observations_that_together_are_more_exact_than_the_mesh(sites, edge, level):
    """10,000 counts on edges of a fifth of the range: the intervals' coverage of the truth is the one that is told."""
    truth = lattice.stationary((250, 250), (0.04, 0.04), lambda h: correlation(h, 3.0), np.random.default_rng(3))
    cells = np.random.default_rng(4).permutation(truth.size)
    row, column = np.divmod(cells, 250)
    places, eta = (np.column_stack([column, row]) + 0.5) * 0.04, truth[row, column]
    counts = np.random.default_rng(5).poisson(np.exp(1 + eta[:sites]))
    data = pd.DataFrame({"x": places[:sites, 0], "y": places[:sites, 1], "z": counts})
    priors = {"range(spde)": {"fixed": [3]}, "sigma(spde)": {"fixed": [1]}}
    on = gs.build_mesh(BOX, max_edge=(edge, 2.0), offset=3.0)
    fit = gs.fit("z ~ 1 + spde(mesh)", data, mesh=on, coords=("x", "y"), family="poisson", method="eb", priors=priors)
    (finding,) = resolution_findings(fit.model, fit.laplace, fit.posterior.mode)
    table = fit.predict(places[-5000:]).to_frame()
    low, high = (np.log(table[name]) for name in ("q0.025", "q0.975"))
    held = 100 * ((low < 1 + eta[-5000:]) & (1 + eta[-5000:] < high)).mean()
    assert finding.level == level
    # 5,000 places of one field on few triangles say the share to two or three
    told = 95 if level == "ok" else int(re.search(r"at some (\d+) %", finding.message)[1])
    assert told == pytest.approx(held, abs=4)


@pytest.mark.parametrize("field", ["spde(mesh)", "spde(mesh, nu=0.5)"])
def test_sites_as_vertices_lose_nothing(field):
    assert found(exact(sites=True, field=field).check(), "resolution", "ok")
