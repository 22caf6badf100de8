"""What no data could tell is told before a fit: terms whose effects are those of fixed effects."""

import warnings

import numpy as np
import pandas as pd
import pytest

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
    "formula", ["v ~ x + ar1(year)", "v ~ C(year) + rw1(year, by=x)", "v ~ year + rw1(year)", "v ~ C(year) + rw2(x)"]
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
