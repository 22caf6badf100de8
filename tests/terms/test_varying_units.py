"""Fields whose range and sigma vary: the unit and the origin of a covariate change nothing but its coefficient."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from oracles import square_mesh

import geospde as gs
from geospde.model.build import build_model

TERM = "spde(mesh, log_range='~ elev', log_sigma='~ elev')"
COEFFICIENTS = ["log_range(spde, elev)", "log_sigma(spde, elev)"]


@cache
def fitted(unit=1.0, origin=0.0, term=TERM, coefficient=None, integration="ccd"):
    """A small Gaussian survey with a field of this term, the elevation at the vertices in a unit."""
    rng, mesh = np.random.default_rng(3), square_mesh(6)
    elev = 200 + 30 * mesh.vertices[:, 0]
    table = pd.DataFrame(rng.random((50, 2)), columns=["x", "y"])
    table["v"] = 2 + np.sin(6 * table.x) * (0.5 + table.x) + rng.normal(0, 0.2, 50)
    table["by"] = np.where(rng.random(50) < 0.5, "a", "b")
    priors = None if coefficient is None else {name: {"gaussian": coefficient} for name in COEFFICIENTS}
    mesh = mesh.with_values(elev=origin + unit * elev)
    fit = gs.fit(f"v ~ 1 + {term}", table, mesh=mesh, coords=("x", "y"), priors=priors, integration=integration)
    return fit, fit.predict(table.iloc[:5]).to_frame()[["mean", "sd", "q0.025", "q0.5", "q0.975"]].to_numpy()


@pytest.mark.slow
@pytest.mark.parametrize(
    "unit, origin, rule",
    [(1e3, 0.0, "ccd"), (1e-3, 0.0, "ccd"), (1.0, 1e7, "ccd"), pytest.param(1e3, 0.0, "auto", marks=pytest.mark.slow)],
)
def test_units_and_origin_of_a_covariate(unit, origin, rule):
    (plain, of_plain), (other, of_other) = fitted(integration=rule), fitted(unit, origin, integration=rule)
    # the shifted column keeps nine digits
    assert of_other == pytest.approx(of_plain, rel=1e-6)
    assert other.log_marginal_likelihood == pytest.approx(plain.log_marginal_likelihood, abs=1e-6)
    columns = ["mean", "sd", "q0.025", "q0.5", "q0.975"]
    scale = np.where(plain.hyper.index.isin(COEFFICIENTS), unit, 1.0)[:, None]
    assert scale * other.hyper[columns].to_numpy() == pytest.approx(plain.hyper[columns].to_numpy(), rel=1e-5)


@pytest.mark.slow
def test_a_prior_of_a_coefficient_is_in_the_covariates_unit():
    """Mean and precision given of a covariate a thousand times as large are the same prior, and printed as given."""
    (plain, of_plain), (other, of_other) = fitted(coefficient=(0.01, 2500)), fitted(1e3, coefficient=(1e-5, 2.5e9))
    assert of_other == pytest.approx(of_plain, rel=1e-6)
    for fit, unit, words in ((plain, 1.0, "mean 0.01, sd 0.02"), (other, 1e3, "mean 1e-05, sd 2e-05")):
        assert fit.prior(COEFFICIENTS[0]).mean * unit == pytest.approx(0.01, rel=1e-3)
        assert words in next(h.prior for h in fit.model.hyperparameters if h.name == COEFFICIENTS[0])


@pytest.mark.parametrize("options", ["by=by", "by=(1, x)", "time=step, temporal='ar1'"])
def test_copies_of_such_a_field_report_its_coefficients(options):
    """On the scale that they have alone, with the prior that they have there."""
    mesh = square_mesh(3).with_values(elev=np.arange(16.0))
    table = pd.DataFrame({"x": [0.1, 0.5, 0.8], "y": [0.2, 0.7, 0.4], "v": [1.0, 2.0, 4.0]})
    table = table.assign(by=["a", "b", "a"], step=[1, 2, 2])
    own = {name: {"gaussian": [0.3, 4.0]} for name in COEFFICIENTS}
    model = build_model(f"v ~ 1 + {TERM[:-1]}, {options})", table, mesh=mesh, coords=("x", "y"), priors=own)
    theta = np.linspace(-0.4, 0.7, model.start.size)
    sd = np.arange(16.0).std()
    rows = {h.name: h for h in model.hyperparameters}
    for name in COEFFICIENTS:
        at = int(np.flatnonzero(rows[name].direction)[0])
        assert rows[name].value(theta) == pytest.approx(theta[at] / sd)
        there = theta.copy()
        there[at] = 0.3 * sd
        assert model.terms[0].precision.prior.parts[at].gradient(there[at : at + 1]) == pytest.approx(0.0, abs=1e-12)
        assert model.terms[0].precision.user(theta[:-1])[at] == pytest.approx(theta[at] / sd)


@pytest.mark.parametrize("more", ["by=(1, x)", "time=step, temporal='ar1'", "time=step, temporal='ar1', spatial=True"])
@pytest.mark.parametrize("option", ["anisotropy=True", "nu='estimate'"])
def test_copies_of_a_field_report_what_it_reports(option, more):
    """Ratio and angle of two thetas, and a smoothness from 0 to 2, are not exponentials."""
    table = pd.DataFrame({"x": [0.1, 0.5, 0.8], "y": [0.2, 0.7, 0.4], "v": [1.0, 2.0, 4.0], "step": [1, 2, 2]})
    models = [
        build_model(f"v ~ 1 + spde(mesh, {option}{words})", table, mesh=square_mesh(3), coords=("x", "y"))
        for words in ("", f", {more}")
    ]
    one, all_ = ({h.name: h for h in model.hyperparameters} for model in models)
    own = models[0].terms[0].precision.parameters[2:]
    theta = np.array([-1.0, 0.3, *np.linspace(-0.8, 0.6, len(own)), -2.0])
    at = [models[1].terms[0].precision.parameters.index(name) for name in own]
    there = np.linspace(-2.0, 0.1, models[1].start.size)
    there[at] = theta[2:-1]
    for name in own:
        assert all_[f"{name}(spde)"].value(there) == pytest.approx(one[f"{name}(spde)"].value(theta))
