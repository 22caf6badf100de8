"""What no data could tell is told before a fit: terms whose effects are those of fixed effects."""

import warnings

import numpy as np
import pandas as pd
import pytest

import geospde as gs
from geospde.errors import GeospdeWarning
from geospde.model.build import build_model


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(4)
    table = pd.DataFrame({"year": np.repeat([2001, 2002, 2004, 2005], 6), "x": rng.normal(size=24)})
    return table.assign(v=rng.normal(size=24))


@pytest.mark.parametrize("term", ["ar1(year)", "rw1(year)", "(1 | year)"])
def test_a_term_beside_an_effect_for_each_of_its_values_is_told(data, term):
    with pytest.warns(GeospdeWarning, match="says nothing of the data"):
        build_model(f"v ~ C(year) + {term}", data)


@pytest.mark.parametrize(
    "first, second",
    [
        ("rw1(year)", "rw1(year)"),
        ("rw1(year, by=x)", "rw1(year, by=x, scale=True)"),
        ("ar1(year)", "ar(year, order=1)"),
    ],
)
def test_series_that_are_alike_are_refused(data, first, second):
    with pytest.raises(gs.InputError, match="are alike: the data tell only the sum of them; leave one out$"):
        build_model(f"v ~ 1 + {first} + {second}", data)


@pytest.mark.parametrize(
    "formula",
    [
        "v ~ x + ar1(year)",
        "v ~ C(year) + rw1(year, by=x)",
        "v ~ year + rw1(year)",
        "v ~ C(year) + rw2(x)",
        "v ~ rw1(year) + rw1(year, by=x)",
        "v ~ ar1(year) + ar(year, order=2)",
    ],
)
def test_terms_that_say_more_are_not(data, formula):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build_model(formula, data)


def test_a_prior_of_the_fixed_effects_tells_them_apart(data):
    names = [name for name in build_model("v ~ C(year)", data).effects.names if name != "Intercept"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build_model("v ~ C(year) + ar1(year)", data, priors={name: {"gaussian": [0, 1]} for name in names})


def test_an_effect_of_each_row_beside_a_residual_is_told(data):
    each = data.assign(id=range(len(data)), w=np.linspace(1, 2, len(data)), n=3)
    with pytest.warns(GeospdeWarning, match="has an effect of each of 24 rows, as the residual has"):
        build_model("v ~ 1 + (1 | id)", each)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        build_model("v ~ 1 + (1 | id)", each, weights="w")  # residuals of known, different spread
        build_model("n ~ 1 + (1 | id)", each, family="poisson")
        build_model("v ~ 1 + (1 | year)", each)


@pytest.mark.parametrize("apart", [1e-6, 1e-8, 1e-9, 1e-12])
def test_a_column_that_is_nearly_another_is_fitted_left_out_or_refused(data, apart):
    table = data.assign(copy=data.x + apart * np.random.default_rng(1).normal(size=len(data)))
    if 1e-10 < apart < 1e-7:
        with pytest.raises(gs.InputError, match="'copy' is so nearly a combination of the columns before it"):
            build_model("v ~ x + copy", table)
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit = gs.fit("v ~ x + copy", table, method="eb")
    assert ("copy" not in fit.fixed.index) == (apart < 1e-10) == any("collinear" in str(w.message) for w in caught)
    assert np.isfinite(fit.predict(table.head(2)).to_frame()["mean"]).all()


def test_products_of_columns_far_from_zero_are_told_how_they_can_be_fitted(data):
    north = 6.5e6 + np.random.default_rng(1).uniform(0, 50, len(data))
    with pytest.raises(gs.InputError, match="'year:north' is so nearly .* take its columns about their means"):
        gs.fit("v ~ year*north", data.assign(north=north))
    assert len(gs.fit("v ~ I(year - 2003)*I(north - 6.5e6)", data.assign(north=north), method="eb").fixed) == 4


def test_a_response_that_would_explain_itself_is_refused(data):
    twice = ("x + v", "log(v)", "s(v)", "ar1(v)", "(1 | v)", "(v | x)", "spde(mesh, time=v)", "offset(v)")
    for right in twice:
        with pytest.raises(gs.InputError, match="the response 'v' is on both sides of '~'"):
            build_model(f"v ~ {right}", data)
    with pytest.raises(gs.InputError, match="the response 'v' is a coordinate, too, by coords=\\('x', 'v'\\)"):
        build_model("v ~ 1", data, coords=("x", "v"))
    with pytest.raises(gs.InputError, match="weights='v' is the response itself"):
        build_model("v ~ x", data, weights="v")
