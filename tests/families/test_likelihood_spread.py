"""What default priors of fields take for a large standard deviation."""

import numpy as np
import pandas as pd
import pytest

import geospde as gs
from geospde.families.registry import read_family

COUNTS = ["poisson", "nbinomial", "zeroinflatedpoisson1"]


@pytest.mark.parametrize("family", ["poisson", "bernoulli", "nbinomial", "lgcp"])
def test_rare_events_do_not_rule_a_field_out(family):
    # a hundredth of the places has an event: their rough predictors differ little whatever the rate does
    y = np.zeros(400)
    y[::100] = 1
    assert read_family(family).bind(y).largest_sd >= 1


def test_with_a_unit_it_is_counted_in_it():
    y = np.random.default_rng(1).normal(5, 2, 200)
    ones, thousands = (read_family("gaussian").bind(unit * y).largest_sd for unit in (1.0, 1000.0))
    assert thousands == pytest.approx(1000 * ones)  # rounding alone
    assert ones == pytest.approx(3 * y.std())  # the rough predictor of a measurement is itself


@pytest.mark.parametrize("family", [*COUNTS, "gaussian", "t", "lognormal", "gamma", "tweedie"])
@pytest.mark.parametrize("weight", [1e-12, 1e-300, 0.0])
def test_rows_of_no_weight_move_nothing(family, weight):
    y = np.random.default_rng(1).poisson(8, 50) + 1.0
    bind = read_family(family).bind
    plain, more = bind(y), bind(np.append(y, 4e4), weights=np.append(np.ones(50), weight))
    assert more.largest_sd == pytest.approx(plain.largest_sd, rel=1e-5)  # 1e-12 times the square of 4e4 over that of 3
    assert (more.unit is None) == (plain.unit is None) and (more.unit or 1) == pytest.approx(plain.unit or 1, rel=1e-5)


@pytest.mark.parametrize("family", COUNTS)
@pytest.mark.parametrize("exposure", [1e-6, 1e-12, 1e-300])
def test_zeros_of_no_exposure_move_nothing(family, exposure):
    y = np.random.default_rng(1).poisson(8, 50)
    bind = read_family(family).bind
    silent = bind(np.append(y, [0] * 5), exposure=np.append(np.ones(50), [exposure] * 5))
    assert silent.largest_sd == pytest.approx(bind(y).largest_sd)


def test_zeros_of_amounts_spread_a_field_by_no_made_up_logarithm():
    rng = np.random.default_rng(1)
    eta = rng.normal(0, 1.5, 4000)
    y = rng.gamma(rng.poisson(np.exp(0.5 * eta))) * np.exp(0.5 * eta)  # more than half of them zeros
    bind = read_family("tweedie").bind
    assert 3 * 1.5 < bind(y).largest_sd < 2 * 3 * 1.5  # the responses scatter about their means, too
    tiny = bind(np.append(y, 1e-9)).largest_sd
    assert tiny == pytest.approx(bind(y).largest_sd)
    assert bind(np.zeros(9)).largest_sd == 1


def test_a_weight_counts_a_row_so_often():
    bind = read_family("gaussian").bind
    twice = bind([1.0, 2.0, 2.0, 7.0]), bind([1.0, 2.0, 7.0], weights=[1.0, 2.0, 1.0])
    assert twice[0].largest_sd == pytest.approx(twice[1].largest_sd)


@pytest.mark.parametrize(("family", "explained"), [
    ("gaussian", lambda y, o: y - o), ("t", lambda y, o: y - o), ("lognormal", lambda y, o: y / np.exp(o)),
    ("gamma", lambda y, o: y / np.exp(o)), ("gengamma", lambda y, o: y / np.exp(o)),
    ("tweedie", lambda y, o: y / np.exp(o)),
])  # fmt: skip
def test_an_offset_is_taken_out_of_the_responses(family, explained):
    rng = np.random.default_rng(1)
    y, offset = rng.gamma(2, 3, 60), rng.normal(0, 4, 60)
    bind = read_family(family).bind
    assert bind(y).less_offset(offset).largest_sd == pytest.approx(bind(explained(y, offset)).largest_sd)


@pytest.mark.parametrize("family", COUNTS)
def test_an_offset_of_counts_is_an_exposure(family):
    rng = np.random.default_rng(1)
    time = rng.uniform(0.1, 1000, 60)
    y, bind = rng.poisson(time / 20), read_family(family).bind
    assert bind(y).less_offset(np.log(time)).largest_sd == bind(y, exposure=time).largest_sd


def test_an_offset_and_an_exposure_have_one_prior():
    time = np.random.default_rng(1).uniform(0.1, 1000, 40)
    table = pd.DataFrame({"x": np.linspace(0, 1, 40), "time": time, "c": np.arange(40) + 1, "z": 50 * time})
    table["d"] = np.sin(9 * table["x"])
    table["r"] = table["z"] + table["d"]
    as_one, as_other = (
        gs.fit(formula, table, method="eb", **options).describe()["priors"]
        for formula, options in [
            ("c ~ s(x, k=5)", {"family": "poisson", "exposure": "time"}),
            ("c ~ s(x, k=5) + offset(log(time))", {"family": "poisson"}),
        ]
    )
    assert as_one == as_other
    near, far = (gs.fit(f, table, method="eb").describe()["priors"] for f in ("d ~ x", "r ~ x + offset(z)"))
    assert near == far
