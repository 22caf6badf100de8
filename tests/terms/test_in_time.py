"""Fields in steps of time: sdmTMB's likelihoods, forecasts against longer lattices, missing steps, mistakes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from oracles import square_mesh
from scipy.stats import norm

import geospde as gs
from geospde.errors import InputError
from geospde.model.build import build_model
from geospde.results.prior import prior_marginal

REFERENCE = Path(__file__).parents[1] / "reference" / "optima"


@pytest.fixture(scope="module")
def published():
    vertices, triangles = (pd.read_csv(REFERENCE / f"mesh-{name}.csv").to_numpy() for name in ("loc", "tv"))
    return pd.read_csv(REFERENCE / "spatial.csv"), gs.Mesh(vertices, triangles - 1)


def survey(years=(2001, 2002, 2004), each=20, seed=2):
    rng = np.random.default_rng(seed)
    t = pd.DataFrame({"x": rng.uniform(0.1, 0.9, each * len(years)), "y": rng.uniform(0.1, 0.9, each * len(years))})
    t["year"] = np.repeat(years, each)
    t["v"] = np.sin(5 * t.x + 0.4 * (t.year - 2000)) + rng.normal(0, 0.3, len(t))
    return t


@pytest.fixture(scope="module")
def keys():
    return {"mesh": square_mesh(5), "coords": ("x", "y")}


# sdmTMB's negative log likelihoods at the optimum, see the README of the reference
@pytest.mark.slow
@pytest.mark.parametrize(
    "formula, expected",
    [
        ("y_gauss ~ 0 + C(year) + x + spde(mesh, time=year, temporal='iid')", 434.982828037),
        ("y_gauss ~ x + spde(mesh, time=year, temporal='ar1')", 379.172098104),
        ("y_gauss ~ x + spde(mesh, time=year, temporal='rw1', spatial=True)", 379.750118621),
        ("y_tv ~ 0 + rw1(year, constr=False) + rw1(year, by=z) + spde(mesh)", 256.174423304),
    ],
)
def test_likelihoods_are_sdmtmbs(published, formula, expected):
    data, mesh = published
    fit = gs.fit(formula, data, mesh=mesh, coords=("X", "Y"), method="ml")
    assert -fit.log_likelihood == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("temporal", ["ar1", "rw1", "iid"])
@pytest.mark.parametrize("spatial", [False, True])
def test_a_forecast_is_what_more_steps_say(keys, temporal, spatial):
    """Rows two steps after the last, and their joint covariance, against a model whose steps go on so far."""
    data = survey()
    formula = f"v ~ 1 + spde(mesh, time=year, temporal='{temporal}', spatial={spatial})"
    later = data.head(6).assign(year=[2005, 2005, 2006, 2004, 2006, 2005])
    model = build_model(formula, data, **keys)
    term, points = model.terms[0], later[["x", "y"]].to_numpy()
    theta = term.start(1.0) + 0.1
    block = term.columns(later, points, True)
    rows, extra = block.at(theta)
    covariance = np.linalg.inv(term.precision.matrix(theta).toarray())
    ours = rows @ covariance @ rows.T + block.root(theta) @ block.root(theta).T
    assert (block.root(theta) ** 2).sum(axis=1) == pytest.approx(extra, abs=1e-10)
    longer = build_model(formula, pd.concat([data, later]), **keys).terms[0]
    whole = longer.columns(later, points, True)
    assert longer.times.lattice.size == 6
    expected = whole @ np.linalg.inv(longer.precision.matrix(theta).toarray()) @ whole.T
    assert ours == pytest.approx(expected, abs=1e-8)


def test_uncertainty_grows_beyond_the_steps(keys):
    data = survey()
    fit = gs.fit("v ~ 1 + spde(mesh, time=year)", data, method="eb", **keys)
    assert fit.model.terms[0].times.lattice.size == 4  # 2003 is a step, though no one was there
    assert fit.hyper.index[:3].tolist() == ["range(spde)", "sigma(spde)", "rho(spde)"]
    place = pd.DataFrame({"x": 0.5, "y": 0.5, "year": [2004, 2005, 2006, 2010, 2100]})
    sds = fit.predict(place).to_frame()["sd"]
    assert sds.is_monotonic_increasing
    back = fit.predict(place.assign(year=[2001, 2000, 1999, 1995, 1900])).to_frame()["sd"]
    assert back.is_monotonic_increasing and back.iloc[-1] == pytest.approx(sds.iloc[-1], rel=1e-3)


@pytest.mark.parametrize("more", ["by=(1, x)", "anisotropy=True, spatial=True", "nu=0.5"])
def test_any_field_may_change_in_time(keys, more):
    model = build_model(f"v ~ 1 + spde(mesh, time=year, {more})", survey(), **keys)
    names = [h.name for h in model.hyperparameters]
    assert "rho(spde)" in names and len(set(names)) == len(names)
    assert model.precisions[0].matrix(model.terms[0].start(1.0)).shape[0] == model.terms[0].n


def test_r_inlas_prior_is_of_the_field_of_a_step(keys):
    """Gaussians of precision 0.1 on log tau and log kappa, as of `spde2.matern`, and rho's own beside them."""
    model = build_model("v ~ 1 + spde(mesh, time=year, prior='spde2')", survey(), **keys)
    prior, theta = model.precisions[0].prior, np.array([-1.2, 0.4, 0.7])
    alone = build_model("v ~ 1 + spde(mesh, prior='spde2')", survey(), **keys).precisions[0]
    expected = alone.prior.log_density(theta[:2]) + norm.logpdf(0.7, 0.0, 0.15**-0.5)
    assert prior.log_density(theta) == pytest.approx(expected, abs=1e-12)
    steps = 1e-5 * np.eye(3)
    slopes = [(prior.log_density(theta + h) - prior.log_density(theta - h)) / 2e-5 for h in steps]
    assert prior.gradient(theta) == pytest.approx(slopes, abs=1e-8)  # rounding of differences
    told = [h.prior for h in model.hyperparameters[:3]]
    assert told[0] == told[1] != told[2]
    spread = prior_marginal(model, "range(spde)").quantile([0.16, 0.84])  # of 1 / kappa
    assert np.log(spread[1] / spread[0]) == pytest.approx(2 * 0.99446 / 0.1**0.5, rel=1e-4)
    formula = "v ~ 1 + spde(mesh, time=year, prior='spde2')"
    held = build_model(formula, survey(), priors={"rho(spde)": {"fixed": 0.5}}, **keys)
    assert held.hyperparameters[2].is_fixed


def test_memory_is_linear_in_steps(keys):
    short, long = (
        build_model("v ~ spde(mesh, time=year, temporal='ar1')", survey(range(2000, 2000 + n), 5), **keys).precisions[0]
        for n in (5, 50)
    )
    per_step = (long.pattern.nnz - short.pattern.nnz) / 45  # a block on the diagonal and one beside it
    assert per_step == (short.pattern.nnz + (2 * short.field.pattern.nnz - short.field.n)) / 5


@pytest.mark.parametrize(
    "term, message",
    [
        ("spde(mesh, time=2)", "time is the name of a column"),
        ("spde(mesh, time=when)", "no column 'when'"),
        ("spde(mesh, time=one)", "has one step: nothing changes"),
        ("spde(mesh, time=x)", "have none in common|too many"),
        ("spde(mesh, time=year, temporal='ar')", "did you mean 'ar1'"),
        ("spde(mesh, temporal='ar1')", "temporal is only for a field in time"),
        ("spde(mesh, time=year, spatial=1)", "spatial of spde is True or False"),
        ("spde(mesh, time=year, by=(1, x), spatial=True)", "spatial=True is only for a single field"),
        ("spde(mesh, time=year, spatial=True, prior='spde2')", "prior='spde2' is of a stationary field of one sigma"),
        ("spde(mesh) + spde(mesh, time=year, label='u') + spde(mesh, label='w')", "spde and w are alike"),
        ("spde(mesh) + spde(mesh, time=year, spatial=True, label='u')", "spde and u are alike"),
    ],
)
def test_a_mistake_is_told(keys, term, message):
    with pytest.raises(InputError, match=message):
        build_model(f"v ~ {term}", survey().assign(one=1), **keys)


def test_a_prediction_asks_for_the_time(keys):
    fit = gs.fit("v ~ 1 + spde(mesh, time=year)", survey(), method="eb", **keys)
    with pytest.raises(InputError, match="needs 'year', the time of spde"):
        fit.predict(np.array([[0.5, 0.5]]))
    grid = gs.Grid.from_bounds((0.1, 0.1, 0.9, 0.9), cell=0.2)
    table = pd.DataFrame(grid.centres, columns=["x", "y"]).assign(year=2003)
    shown = fit.predict(table).to_frame()
    assert fit.predict(grid, at={"year": 2003}).to_frame()["mean"].to_numpy() == pytest.approx(shown["mean"].to_numpy())
    with pytest.raises(InputError, match="'month', which the model does not use"):
        fit.predict(grid, at={"month": 3})
    both = fit.predict(grid, at={"year": [2003, 2004]})
    assert both[2003].values("mean") == pytest.approx(shown["mean"].to_numpy())
    with pytest.raises(InputError, match="goes by steps of 1 from 2001, and row 0 is at 2001.5"):
        fit.predict(pd.DataFrame({"x": [0.5], "y": [0.5], "year": [2001.5]}))


def test_the_future_is_validated_from_the_past(keys):
    data = survey((2001, 2002, 2003, 2004, 2005), 12)
    fit = gs.fit("v ~ 1 + spde(mesh, time=year)", data, method="eb", **keys)
    checked = fit.validate("future", k=2, baselines=False, draws=200)
    assert data.year[checked.pointwise["row"]].tolist() == [2004] * 12 + [2005] * 12
    # the last year is predicted as a fit of the years before it predicts it
    before = gs.fit("v ~ 1 + spde(mesh, time=year)", data[data.year < 2005], method="eb", **keys)
    ahead = before.predict(data[data.year == 2005]).to_frame()
    own = checked.pointwise.iloc[12:]
    assert own["mean"].to_numpy() == pytest.approx(ahead["mean"].to_numpy(), abs=4 * ahead["sd"].max() / np.sqrt(200))
    with pytest.raises(InputError, match="times to predict are 1 to 3 of the 5"):
        fit.validate("future", k=4)
    with pytest.raises(InputError, match="need a model in time"):
        gs.fit("v ~ 1 + spde(mesh)", data, method="eb", **keys).validate("future")
