"""Answers do not depend on units, on the order of rows and vertices, or on where the origin is."""

import itertools
from functools import cache

import numpy as np
import pandas as pd
import pytest

import geospde as gs

RNG = np.random.default_rng(2)
PLACES = RNG.uniform(0, 100, (60, 2))
DISTANCES = np.linalg.norm(PLACES[:, None] - PLACES[None], axis=2)
FIELD = np.linalg.cholesky(np.exp(-DISTANCES / 20) + 1e-9 * np.eye(60)) @ RNG.normal(size=60)
TABLE = pd.DataFrame({
    "x": PLACES[:, 0], "y": PLACES[:, 1], "z": 3 + FIELD + RNG.normal(0, 0.5, 60), "u": RNG.uniform(0, 10, 60),
    "time": RNG.uniform(100, 1000, 60), "g": np.resize(list("abcdef"), 60),
}).assign(c=lambda d: RNG.poisson(d["time"] / 100 * np.exp(0.5 * FIELD)))  # fmt: skip
MESH = gs.build_mesh(sites=PLACES, max_edge=(14, 30))
NEW = pd.DataFrame({"x": [20.0, 71.0], "y": [20.0, 35.0], "u": [5.0, 2.0], "g": ["a", "b"], "time": [1.0, 1.0]})
SPDE = "z ~ u + spde(mesh)"


def answers(formula, table, *, mesh=MESH, new=NEW, unit=1.0, **options):
    """Map and evidence of a fit, in the unit of the response that `TABLE` has."""
    fit = gs.fit(formula, table, mesh=mesh, coords=("x", "y"), **options)
    surface = fit.predict(new).to_frame()[["mean", "sd", "q0.025", "q0.975"]].to_numpy() / unit
    return np.append(surface.ravel(), fit.log_marginal_likelihood)


@cache
def as_it_is(formula):
    """Answers from the table as it is."""
    return answers(formula, TABLE)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("formula", "unit"),
    [(SPDE, 1e6), (SPDE, 1e-6), *itertools.product(["z ~ u", "z ~ u + (1 | g)"], [1e6, 0.3048, 1e-6])],
)
def test_the_unit_of_the_response_changes_nothing(formula, unit):
    free = 2  # coefficients with a flat prior: each has a unit of its own
    one, other = as_it_is(formula), answers(formula, TABLE.assign(z=unit * TABLE["z"]), unit=unit)
    other[-1] += (len(TABLE) - free) * np.log(unit)
    assert other == pytest.approx(one, rel=1e-6, abs=1e-6)


@pytest.mark.slow
def test_the_unit_of_what_is_positive_changes_nothing():
    """Through an intercept that moves by a logarithm, and the adaptive rule over three hyperparameters."""
    options, size = {"family": "gamma"}, TABLE.assign(z=np.exp(0.3 * TABLE["z"]))
    formula = "z ~ 1 + spde(mesh)"
    one = answers(formula, size, **options)
    other = answers(formula, size.assign(z=1e3 * size["z"]), unit=1e3, **options)
    other[-1] += len(TABLE) * np.log(1e3)
    assert other == pytest.approx(one, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(("family", "link"), [("gamma", "identity"), ("gamma", "inverse"), ("t", None)])
def test_the_unit_of_a_predictor_that_has_one_changes_nothing(family, link):
    """Default priors, starts, and how widely its density is integrated: gamma rates were 5 and 105 % off in another."""
    options = {"family": family, "method": "eb", "mesh": None} | ({"link": link} if link else {})
    table = TABLE.assign(z=TABLE["z"] if family == "t" else np.exp(TABLE["z"] - 4))
    one = answers("z ~ 1 + (1 | g)", table, **options)
    other = answers("z ~ 1 + (1 | g)", table.assign(z=1e3 * table["z"]), unit=1e3, **options)
    other[-1] += (len(TABLE) + {"inverse": 1, "identity": -1, None: -1}[link]) * np.log(1e3)  # of a flat intercept
    assert other == pytest.approx(one, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(("formula", "family"), [(SPDE, "t"), ("z ~ gp(u)", "gaussian")])
def test_the_unit_of_the_response_changes_no_posterior_density(formula, family):
    # at given hyperparameters: how exactly their mode is found depends on rounding where the posterior is flat
    unit, options = 1e-6, {"family": family, "mesh": MESH, "coords": ("x", "y"), "method": "eb"}
    one, other = (gs.fit(formula, TABLE.assign(z=u * TABLE["z"]), **options) for u in (1.0, unit))
    scaled, theta, free = _sds(one), one.posterior.mode.theta, len(one.fixed)
    ours = one.laplace.at(theta, None, False).log_posterior
    theirs = other.laplace.at(theta + np.log(unit) * scaled, None, False).log_posterior
    # rounding of 1e-16 under a process's covariance of condition 1e9
    assert theirs + (len(TABLE) - free) * np.log(unit) == pytest.approx(ours, abs=1e-6)
    if family == "t":  # the correction of the evidence has fourth derivatives, by steps along predictors
        evidence = other.log_marginal_likelihood + (len(TABLE) - free) * np.log(unit)
        assert evidence == pytest.approx(one.log_marginal_likelihood, abs=1e-5)


def _sds(fit):
    """1 for each theta that is the logarithm of a standard deviation."""
    names = [h.name for h in fit.model.hyperparameters if np.count_nonzero(h.direction) == 1 and h.shift == 0]
    return np.array([float(name.startswith(("sigma", "sd"))) for name in names])


def test_metres_and_kilometres_are_one():
    mesh = gs.Mesh(MESH.vertices * 1000, MESH.triangles, inner=MESH.inner)
    longer = {"x": lambda d: 1000 * d["x"], "y": lambda d: 1000 * d["y"]}
    found = answers(SPDE, TABLE.assign(**longer), mesh=mesh, new=NEW.assign(**longer))
    assert found == pytest.approx(as_it_is(SPDE), rel=1e-6)


@pytest.mark.slow
def test_the_origin_is_nowhere():
    mesh = gs.Mesh(MESH.vertices + 1e7, MESH.triangles, inner=MESH.inner)
    far = {"x": lambda d: d["x"] + 1e7, "y": lambda d: d["y"] + 1e7}
    # a coordinate of 1e7 keeps nine digits of a metre
    found = answers(SPDE, TABLE.assign(**far), mesh=mesh, new=NEW.assign(**far))
    assert found == pytest.approx(as_it_is(SPDE), rel=1e-5)


def test_rows_have_no_order():
    # by the adaptive rule, as all of these: rounding could change its every choice of a point
    assert answers(SPDE, TABLE.sample(frac=1, random_state=1)) == pytest.approx(as_it_is(SPDE), rel=1e-6)


@pytest.mark.slow
def test_vertices_have_no_order():
    order = np.random.default_rng(5).permutation(len(MESH.vertices))
    place = np.argsort(order)
    mesh = gs.Mesh(MESH.vertices[order], place[MESH.triangles], inner=MESH.inner)
    assert answers(SPDE, TABLE, mesh=mesh) == pytest.approx(as_it_is(SPDE), rel=1e-6)


@pytest.mark.slow
def test_counts_that_say_little_of_a_range_have_no_order():
    """Where field and intercept cancel, far out, rounding errors of log densities are up to 1e-2."""
    rng = np.random.default_rng(3)
    counts = TABLE.assign(c=rng.poisson(np.exp(0.5 + 0.7 * FIELD)))
    one, other = (
        gs.fit("c ~ u + spde(mesh)", table, mesh=MESH, coords=("x", "y"), family="poisson")
        for table in (counts, counts.sample(frac=1, random_state=3))
    )
    # a number at the end of a step of the grids may fall to the other side: 1e-5 where it did; 4e-3 without grids
    np.testing.assert_allclose(one.hyper, other.hyper, rtol=1e-4)
    assert other.log_marginal_likelihood == pytest.approx(one.log_marginal_likelihood, abs=1e-5)


@pytest.mark.parametrize("family", ["poisson", "bernoulli"])
def test_a_sample_of_observations_has_no_order(family):
    """Of more than 128 a sample stands for the pairs that correct the evidence: of other rows it was 9e-3 off."""
    rng = np.random.default_rng(4)
    table = pd.DataFrame({"u": rng.normal(size=150).round(1), "g": rng.integers(0, 30, 150).astype(str)})
    mean = np.exp(0.5 + 0.3 * table["u"] + rng.normal(size=30)[table["g"].astype(int)])
    table["c"] = rng.poisson(mean) if family == "poisson" else rng.binomial(1, mean / (1 + mean))
    fits = [
        gs.fit("c ~ u + (1 | g)", rows, family=family, method="eb")
        for rows in (table, table.sample(frac=1, random_state=3), table.assign(u=1e3 * table["u"] + 7))
    ]
    assert all(fit.laplace.ranked.size == 150 for fit in fits)
    assert fits[1].log_marginal_likelihood == pytest.approx(fits[0].log_marginal_likelihood, abs=1e-8)
    away = fits[2].log_marginal_likelihood + np.log(1e3)  # a slope with a flat prior
    assert away == pytest.approx(fits[0].log_marginal_likelihood, abs=1e-8)


@pytest.mark.slow
def test_seconds_and_hours_of_exposure_are_one():
    formula, options = "c ~ 1 + spde(mesh)", {"family": "poisson", "exposure": "time"}
    one = answers(formula, TABLE, **options)
    other = answers(formula, TABLE.assign(time=TABLE["time"] / 3600), unit=3600.0, **options)
    assert other == pytest.approx(one, rel=1e-5)


@pytest.mark.parametrize("unit", [0.3048, 1e-5])
def test_a_nugget_beside_a_field_keeps_its_size_in_any_unit(unit):
    fit = gs.fit("z ~ 1 + spde(mesh)", TABLE.assign(z=unit * TABLE["z"]), mesh=MESH, coords=("x", "y"), method="eb")
    said = fit.describe()["priors"]["sigma"]
    assert said == f"PC: P(sd > {3 * unit * TABLE['z'].std(ddof=0):.4g}) = 0.05"
    assert 0.2 < fit.hyper.loc["sigma", "mean"] / unit < 0.9  # 0.5; a gamma prior of the precision has it at 0.07


def test_r_inlas_priors_go_by_their_name():
    fit = gs.fit("z ~ u + (1 | g)", TABLE.assign(z=1e-3 * TABLE["z"]), priors="inla", method="eb")
    said = fit.describe()["priors"]
    assert set(said.values()) == {"loggamma: precision ~ Gamma(1, rate 5e-05)"}
    assert fit.model.fixed_precision.tolist() == [0.0, 0.001]
    ours = gs.fit("z ~ u", TABLE.assign(z=1e-3 * TABLE["z"]), method="eb").describe()["priors"]["sigma"]
    assert ours == f"loggamma: precision ~ Gamma(1, rate {5e-11 * TABLE['z'].var(ddof=0):.4g})"
    assert gs.priors.LogGamma() == gs.priors.LogGamma(1.0, 5e-5)


FAR = 1e7
METHODS = [
    ("inla", "z ~ x + y + (1 | g)", {}), ("eb", "z ~ x + y + spde(mesh)", {}),
    ("eb", "z ~ x + y + spde(mesh)", {"priors": "brms"}), ("reml", "z ~ x + y + (1 | g)", {}),
    ("ml", "z ~ x + y + spde(mesh)", {}), ("eb", "c ~ x + y + (1 | g)", {"family": "poisson"}),
    ("ml", "c ~ x + y + (1 | g)", {"family": "poisson"}), ("ml", "z ~ x + y + s(u)", {}),
    ("ubre", "z ~ x + y + s(u)", {}),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("method", "formula", "options"), METHODS)
def test_covariates_far_from_zero_change_nothing(method, formula, options, tmp_path):
    """Eastings and northings as covariates: their cross products have no digits left of how they differ from a 1."""
    found = []
    for shift in (0.0, FAR):
        far = {"x": lambda d: d["x"] + shift, "y": lambda d: d["y"] + shift}  # noqa: B023
        mesh = gs.Mesh(MESH.vertices + shift, MESH.triangles, inner=MESH.inner)
        use = {"mesh": mesh, "coords": ("x", "y")} if "spde" in formula else {}
        fit = gs.fit(formula, TABLE.assign(**far), method=method, **use, **options)
        evidence = fit.log_marginal_likelihood if method in ("inla", "eb") else fit.log_likelihood
        surface = fit.predict(NEW.assign(**far)).to_frame().filter(regex="mean|sd|se|estimate|q0").to_numpy()
        slopes = fit.fixed.loc[["x", "y"]].iloc[:, :2].to_numpy()
        found.append(np.concatenate([surface.ravel(), slopes.ravel(), [evidence]]))
    # sites keep nine digits of a metre
    assert found[1] == pytest.approx(found[0], rel=1e-6, abs=1e-8)
    if method != "inla":  # the covariances of many points are rounded on disk
        fit.save(tmp_path / "far")
        again = gs.load_fit(tmp_path / "far").predict(NEW.assign(**far)).to_frame()
        assert again.filter(regex="mean|sd|se|estimate|q0").to_numpy() == pytest.approx(surface, rel=1e-6)


@pytest.mark.slow
def test_profiles_and_intervals_are_those_of_covariates_near_zero():
    found = []
    for shift in (0.0, FAR):
        table = TABLE.assign(x=TABLE["x"] + shift, y=TABLE["y"] + shift)
        gaussian = gs.fit("z ~ x + y + (1 | g)", table, method="ml")
        counts = gs.fit("c ~ x + y + (1 | g)", table, method="ml", family="poisson")
        found.append([*gaussian.confint(["x", "sigma"]).to_numpy().ravel(), *counts.confint("y").to_numpy().ravel()])
    # profiles are followed to 1e-7 of a log likelihood
    assert found[1] == pytest.approx(found[0], rel=1e-5)
