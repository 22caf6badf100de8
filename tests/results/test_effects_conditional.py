"""Conditional effects against brms's, against linear algebra, and as pictures."""

from functools import cache
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import numpy as np
import pandas as pd
import pytest

import geospde as gs

REFERENCE = Path(__file__).parents[1] / "reference" / "chapter"


@cache
def sleepstudy():
    return gs.fit("Reaction ~ Days + (Days | Subject)", gs.load_dataset("sleepstudy"), priors="brms")


@cache
def cbpp():
    data = gs.load_dataset("cbpp")
    return gs.fit("p(incidence, size) ~ period + (1 | herd)", data, family="binomial", priors="brms")


@cache
def two_covariates():
    rng = np.random.default_rng(0)
    data = pd.DataFrame({"x": rng.normal(3, 2, 60), "z": rng.normal(0, 1, 60), "f": rng.choice(["a", "b"], 60)})
    data["y"] = 1 + 0.5 * data["x"] - data["z"] + (data["f"] == "b") + rng.normal(0, 0.5, 60)
    return data, gs.fit("y ~ x * f + z", data)


def test_days_against_brms():
    theirs = pd.read_csv(REFERENCE / "brms_sleep_ce_Days.csv")
    ours = sleepstudy().effects("Days", size=100).frame
    np.testing.assert_allclose(ours["Days"], theirs["Days"], atol=1e-10)
    pd.testing.assert_frame_equal(sleepstudy().effects("Days", size=100).to_frame(), ours)
    # of 4,000 draws, 1,450 effective: 0.03 sd of noise in a mean, 0.06 in a quantile
    sd = ours["sd"]
    assert (np.abs(ours["q0.5"] - theirs["estimate__"]) / sd).max() < 0.1
    assert (np.abs(ours["q0.025"] - theirs["lower__"]) / sd).max() < 0.25
    assert (np.abs(ours["q0.975"] - theirs["upper__"]) / sd).max() < 0.25


def test_levels_of_a_factor_against_brms():
    theirs = pd.read_csv(REFERENCE / "brms_cbpp_ce_period.csv")
    ours = cbpp().effects("period").frame
    assert ours["period"].astype(str).tolist() == ["1", "2", "3", "4"]
    assert (np.abs(ours["q0.5"] - theirs["estimate__"]) / ours["sd"]).max() < 0.1
    assert (np.abs(ours["q0.975"] - theirs["upper__"]) / ours["sd"]).max() < 0.25


def test_others_stay_at_their_mean_and_first_level():
    data, fit = two_covariates()
    found = fit.effects("x", size=5)
    assert found.at == {"z": pytest.approx(data["z"].mean()), "f": "a"}
    weights = {"Intercept": 1.0, "x": found.frame["x"].iloc[3], "z": data["z"].mean()}
    marginal = fit.marginal(weights)
    assert found.frame.loc[3, ["mean", "sd"]].tolist() == pytest.approx([marginal.mean, marginal.sd], rel=1e-5)
    at = fit.effects("x", at={"f": "b", "z": 0.0}, size=5)
    weights = {"Intercept": 1.0, "x": at.frame["x"].iloc[1], "f[b]": 1.0, "x:f[b]": at.frame["x"].iloc[1]}
    assert at.frame.loc[1, "mean"] == pytest.approx(fit.marginal(weights).mean, rel=1e-6)


@pytest.mark.parametrize("method", ["eb", "ml"])
@pytest.mark.parametrize("term", ["C(year)", "factor(year)", "C(year, reference=3)", "C(year):x"])
def test_numbers_that_are_labels_stay_at_their_first_level(method, term):
    """Their mean is no level: effects of anything beside them were refused."""
    rng = np.random.default_rng(4)
    data = pd.DataFrame({"x": rng.normal(size=60), "year": np.arange(60) % 4 + 1})
    data["y"] = data.x + data.year % 3 + rng.normal(size=60)
    fit = gs.fit(f"y ~ x + {term}", data, method=method)
    first = 3 if "reference" in term else 1
    found = fit.effects("x", size=5)
    assert found.at == {"year": first}
    wanted = fit.predict(pd.DataFrame({"x": found.frame["x"], "year": first})).to_frame()
    assert found.frame["mean"].to_numpy() == pytest.approx(wanted["mean"].to_numpy(), rel=1e-6)
    levels = [first, *(year for year in (1, 2, 3, 4) if year != first)]
    assert fit.effects("year").frame["year"].tolist() == levels
    assert fit.effects("x", at={"year": 4}, size=3).at == {"year": 4}


def test_two_covariates_vary_together():
    data, fit = two_covariates()
    by_level = fit.effects("x:f", size=7).frame
    assert len(by_level) == 14 and set(by_level["f"]) == {"a", "b"}
    by_number = fit.effects(["x", "z"], size=7).frame
    middle, sd = data["z"].mean(), data["z"].std()
    assert sorted(by_number["z"].unique()) == pytest.approx([middle - sd, middle, middle + sd])
    assert len(fit.effects("x:z", size=7, surface=True).frame) == 49


def test_draws_are_whole_curves():
    found = sleepstudy().effects("Days", size=10)
    draws = found.draws(4000, seed=1)
    assert draws.shape == (4000, 10)
    # lines, as each is: a joint draw of intercept and slope
    assert np.abs(np.diff(draws, n=2, axis=1)).max() < 1e-8
    # four standard errors of 4,000 draws
    assert np.abs(draws.mean(axis=0) - found.frame["mean"]).max() < 4 * found.frame["sd"].max() / np.sqrt(4000)
    np.testing.assert_allclose(draws.std(axis=0), found.frame["sd"], rtol=0.06)


@pytest.mark.parametrize("name", ["x", "f", "x:f", "x:z", "f:x"])
def test_pictures_have_a_line_or_a_point_for_each_level(name):
    data, fit = two_covariates()
    ax = fit.effects(name, size=9).plot(points=data.assign(response=data["y"]) if name == "x:f" else None)
    expected = {"x": 1, "f": 1, "x:f": 2, "x:z": 3, "f:x": 3}[name]
    assert len(ax.lines) == expected
    assert ax.get_xlabel() == name.split(":")[0] and ax.get_ylabel() == "y"
    spaghetti = fit.effects("x", size=9).plot(spaghetti=20)
    assert len(spaghetti.lines) == 21
    assert fit.effects("x:z", size=9, surface=True).plot().get_ylabel() == "z"
    matplotlib.pyplot.close("all")


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"name": "Dayz"}, "did you mean 'Days'"),
        ({"name": "Subject"}, "there are Days"),
        ({"name": "Days:Days"}, "one covariate or two"),
        ({"name": "Days", "at": {"Dayz": 1}}, "did you mean 'Days'"),
        ({"name": "Days", "size": 1}, "size must be"),
    ],
)
def test_a_covariate_that_is_not_there(arguments, message):
    with pytest.raises(gs.InputError, match=message):
        sleepstudy().effects(**arguments)


def test_a_level_that_is_not_there():
    data = gs.load_dataset("cbpp").assign(x=lambda d: np.arange(len(d)) % 7)
    fit = gs.fit("p(incidence, size) ~ period + x + (1 | herd)", data, family="binomial", method="eb")
    with pytest.raises(gs.InputError, match="'5' is not a level of 'period'"):
        fit.effects("x", at={"period": "5"})


def test_a_field_is_left_out():
    survey = gs.load_dataset("rongelap")
    points = survey.points.assign(east=survey.points["cX"] / 1000)
    mesh = gs.build_mesh(survey.coastline, max_edge=(300, 600), offset=600)
    fit = gs.fit("counts ~ east + spde(mesh)", points, mesh=mesh, family="poisson", exposure="time")
    found = fit.effects("east", size=3)
    weights = {"Intercept": 1.0, "east": found.frame["east"].iloc[0]}
    # the median passes through the link
    assert found.frame["q0.5"].iloc[0] == pytest.approx(np.exp(float(fit.marginal(weights).quantile(0.5))), rel=1e-4)
    assert found.response == "counts / time"
