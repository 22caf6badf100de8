"""Delta families: the two parts by themselves, predictions of their product, what is refused."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from oracles import square_mesh

import geospde as gs
from geospde.results.simulate import observed_response, predictive_check, replicated_response


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(6)
    x, z, e, n = rng.uniform(-1, 1, (4, 300))
    there = rng.uniform(size=300) < 1 / (1 + np.exp(-0.3 - x))
    return pd.DataFrame({"x": x, "z": z, "e": e, "n": n, "y": there * rng.gamma(2.0, np.exp(0.5 + 0.4 * z) / 2)})


def parts(table, family, **options):
    presence = gs.fit("y ~ x", table.assign(y=table["y"] > 0).astype({"y": float}), family="bernoulli", **options)
    return presence, gs.fit("y ~ z", table[table["y"] > 0], family=family, **options)


@pytest.mark.parametrize("name", ["gamma", "lognormal"])
def test_a_delta_model_is_its_two_parts(table, name):
    fit = gs.fit("y ~ x", table, formula2="~ z", family=f"delta_{name}", method="ml")
    presence, positive = parts(table, name, method="ml")
    assert fit.log_likelihood == pytest.approx(presence.log_likelihood + positive.log_likelihood, abs=1e-7)
    both = pd.concat([presence.fixed, positive.fixed])
    np.testing.assert_allclose(fit.fixed["estimate"], both["estimate"], atol=1e-5)
    assert list(fit.fixed.index) == ["presence: Intercept", "presence: x", "positive: Intercept", "positive: z"]
    # sd of a product by the delta method, with the lognormal's mean and not its median
    frame = fit.predict(table.head(5)).to_frame()
    p, m = (one.predict(table.head(5)).to_frame() for one in (presence, positive))
    factor = np.exp(positive.hyper.loc["sigma", "estimate"] ** 2 / 2) if name == "lognormal" else 1.0
    np.testing.assert_allclose(frame["mean"], p["mean"] * m["mean"] * factor, rtol=1e-4)
    expected = factor * np.hypot(p["sd"] * m["mean"], p["mean"] * m["sd"])
    np.testing.assert_allclose(frame["sd"], expected, rtol=1e-3)


def test_effects_left_out_of_a_part_are_named_with_it(table, capsys):
    with pytest.warns(gs.GeospdeWarning, match="1 fixed effect cannot be estimated"):
        fit = gs.fit(
            "y ~ x", table.assign(twice=2 * table.z), formula2="~ z + twice", family="delta_gamma", method="ml"
        )
    assert fit.model.effects.dropped == ("positive: twice",)
    fit.summary()
    assert "the other fixed effects\n  positive: twice" in capsys.readouterr().out


def test_a_summary_by_likelihood_has_the_groups_of_a_part_and_no_fault_of_a_straight_smooth(table, capsys):
    rng = np.random.default_rng(5)
    level = rng.integers(0, 8, len(table))
    y = table.y * np.exp(rng.normal(0.0, 0.6, 8)[level])
    data = table.assign(g=level.astype(str), y=y, w=rng.uniform(-1, 1, len(table)))
    fit = gs.fit("y ~ x", data, formula2="~ z + (1 | g)", family="delta_gamma", method="ml")
    fit.summary()
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    sd = fit.hyper.loc["positive: sd(Intercept | g)", "estimate"]
    assert ["positive:", "g", "Intercept", f"{sd**2:.5g}", f"{sd:.5g}"] in lines
    smooth = gs.fit("y ~ x + s(w, k=5)", data, formula2="~ z", family="delta_gamma", method="ml")
    assert smooth.hyper.loc["presence: sd(s(w))", "estimate"] == 0
    assert not any("singular" in note for note in smooth.notes)


def test_a_posterior_of_the_product_has_the_moments_of_draws(table):
    fit = gs.fit("y ~ x", table, formula2="~ z", family="delta_gamma", method="eb")
    frame = fit.predict(table.head(4), exceed=[1.0]).to_frame()
    draws = fit.sample(8000, seed=2)
    for row in range(4):
        x, z = table.loc[row, ["x", "z"]]
        p = 1 / (1 + np.exp(-draws["presence: Intercept"] - x * draws["presence: x"]))
        product = p * np.exp(draws["positive: Intercept"] + z * draws["positive: z"])
        # four Monte Carlo standard errors
        assert frame.loc[row, "mean"] == pytest.approx(product.mean(), abs=4 * product.std() / 8000**0.5)
        assert frame.loc[row, "sd"] == pytest.approx(product.std(), rel=0.06)
        assert frame.loc[row, "q0.975"] == pytest.approx(product.quantile(0.975), rel=0.03)
        assert frame.loc[row, "exceed_1"] == pytest.approx((product > 1).mean(), abs=0.05)
    share = fit.predict(table.head(4), observations="presence").to_frame()["mean"]
    assert share.between(0, 1).all()


def test_each_part_has_its_field_and_a_map_is_of_the_product(table):
    mesh = square_mesh(6, -1.4, 1.4)
    spde = "spde(mesh, prior_range=(0.5, 0.1), prior_sigma=(1, 0.05))"
    fit = gs.fit(
        f"y ~ 1 + {spde}", table, formula2=f"~ z + {spde}", family="delta-gamma", method="eb", mesh=mesh,
        coords=("e", "n"),
    )  # fmt: skip
    assert {"presence: range(spde)", "positive: range(spde)", "positive: shape"} <= set(fit.hyper.index)
    surface = fit.predict(table.head(30)[["e", "n", "z"]])
    assert (surface.to_frame()["mean"] > 0).all()
    asked = fit.predict(table.head(30)[["e", "n", "z"]], exceed=[2.0])
    np.testing.assert_allclose(surface.exceedance(2.0), asked.values("exceed_2"), rtol=1e-12)  # the same steps
    assert fit.describe()["family"] == "delta_gamma"


def test_an_offset_to_predict_with_is_of_the_values_above_0(table):
    """It was added to the logit of the presence, beside the model's own of the values."""
    fit = gs.fit("y ~ x", table.assign(effort=0.1 * table.z), family="delta_gamma", method="ml", offset="effort")
    at = table[["x"]].head(3)
    none = fit.predict(at, offset=0).to_frame()["mean"]
    np.testing.assert_allclose(fit.predict(at, offset=[1.0, 1.0, 2.0]).to_frame()["mean"], none * np.exp([1, 1, 2]))
    np.testing.assert_allclose(fit.predict(at.assign(effort=1.0)).to_frame()["mean"], none * np.e)


def test_a_saved_one_comes_back(table, tmp_path):
    fit = gs.fit("y ~ x", table, formula2="~ z", family="delta_lognormal", method="ml")
    fit.save(tmp_path / "delta")
    again = gs.load_fit(tmp_path / "delta")
    assert again.describe()["family"] == "delta_lognormal" and again.model.multiplies
    pd.testing.assert_frame_equal(again.predict(table.head(5)).to_frame(), fit.predict(table.head(5)).to_frame())
    curve = fit.effects("x", observations="presence", size=4).to_frame()
    assert curve["mean"].between(0, 1).all()


@pytest.mark.slow
@pytest.mark.parametrize("family", ["delta_gamma", "delta_poisson_link_gamma"])
def test_replicates_are_of_the_whole_response(table, family):
    """Presence times amount at every row, with the moments of the product at the estimates."""
    fit = gs.fit("y ~ x", table, formula2="~ z", family=family, method="ml")
    seen, made = observed_response(fit.model), replicated_response(fit, 4000, seed=1)
    np.testing.assert_array_equal(seen, table["y"])
    assert made.shape == (300, 4000)
    frame = fit.predict(table).to_frame()
    # 1.2 million draws, whose rows share 4,000 draws of coefficients: mean by the exact density of each row's estimate
    assert made.mean() == pytest.approx(frame["mean"].mean(), rel=0.03)
    assert (made == 0).mean() == pytest.approx((table["y"] == 0).mean(), abs=0.01)
    if family == "delta_gamma":  # given presence, a gamma of the fitted shape
        shape = fit.hyper.loc["positive: shape", "estimate"]
        value = made[:, 0] / frame["mean"] * fit.predict(table, observations="presence").to_frame()["mean"]
        assert value[value > 0].var() == pytest.approx(1 / shape, rel=0.4)  # of some 170 values
    check = predictive_check(fit)
    assert check.observed[0] == pytest.approx((table["y"] == 0).mean()) and check.p > 0.05
    points = fit.plot_fitted().collections[-1].get_offsets()
    np.testing.assert_allclose(points[:, 0], table["y"])
    np.testing.assert_allclose(points[:, 1], frame["mean"])


# sdmTMB's optima and means of predictions at x from -1 to 1, of 300 rows made for its tests; its mean_response of a
# lognormal is not of this parametrisation
OPTIMA = {
    "delta_gamma": (460.179228095, 1.28085947909, "y_delta_Gamma"),
    "delta_gengamma": (438.649618248, 1.49205963986, "y_delta_gengamma"),
    "delta_truncated_nbinom2": (506.39029973, 1.58401351833, "y_delta_truncated_nbinom2"),
}


@pytest.mark.parametrize("family", OPTIMA)
def test_optima_are_sdmtmbs(family):
    here = Path(__file__).parents[1] / "reference" / "optima"
    data, new = pd.read_csv(here / "family.csv"), pd.DataFrame({"x": np.linspace(-1, 1, 41)})
    optimum, mean, column = OPTIMA[family]
    fit = gs.fit(f"{column} ~ x", data, family=family, method="ml")
    assert -fit.log_likelihood == pytest.approx(optimum, abs=1e-6)
    assert fit.predict(new).to_frame()["mean"].mean() == pytest.approx(mean, rel=1e-5)


@pytest.mark.parametrize("link", ["cloglog, inverse", ("cloglog", "inverse")])
def test_both_links_may_be_chosen(table, link, tmp_path):
    fit = gs.fit("y ~ x", table, formula2="~ z", family="delta_gamma", link=link, method="ml")
    presence = gs.fit("n ~ x", table.assign(n=1.0 * (table.y > 0)), family="bernoulli", link="cloglog", method="ml")
    positive = gs.fit("y ~ z", table[table.y > 0], family="gamma", link="inverse", method="ml")
    assert fit.log_likelihood == pytest.approx(presence.log_likelihood + positive.log_likelihood, abs=1e-7)
    parts = [one.predict(table.head(5)).to_frame()["mean"] for one in (presence, positive)]
    np.testing.assert_allclose(fit.predict(table.head(5)).to_frame()["mean"], parts[0] * parts[1], rtol=1e-4)
    fit.save(tmp_path / "fit")
    assert gs.load_fit(tmp_path / "fit").model.family.link.name == "cloglog, inverse"
    assert (fit.fitted["lower"] < fit.fitted["upper"]).all()
    of_draws = gs.fit("y ~ x", table, formula2="~ z", family="delta_gamma", link=link, method="eb").fitted
    assert (of_draws["q0.025"] < of_draws["q0.5"]).all() and (of_draws["q0.5"] < of_draws["q0.975"]).all()


BAD = [
    ({"formula": "log(y) ~ x"}, "is a column"),
    ({"data": lambda t: t.assign(y=-1.0)}, "row 0 holds -1"),
    ({"data": lambda t: t.assign(y=1.0)}, "all are above 0"),
    ({"data": lambda t: t.assign(y=0.0)}, "all are 0"),
    ({"formula2": "x ~ z"}, "formula2 is of the same response as the first"),
    (
        {"family": "gamma", "formula2": "~ z"},
        "formula2= is only for families of two parts, not for 'gamma': take family",
    ),
    ({"weights": "x"}, "takes no weights=: weights of two parts differ"),
    ({"exposure": "x"}, "takes no exposure=: an amount per effort is offset="),
    ({"link": "log"}, "two links"),
    ({"priors": {"sd(g)": {"pc": [1, 0.05]}}}, r"as in 'presence: sd\(g\)'"),
]


@pytest.mark.parametrize(("change", "words"), BAD)
def test_mistakes_are_told(change, words, table):
    options = {"formula": "y ~ x", "data": lambda t: t, "family": "delta_gamma", **change}
    with pytest.raises(gs.InputError, match=words):
        gs.fit(options.pop("formula"), options.pop("data")(table), **options)


@pytest.mark.parametrize(
    ("given", "near"),
    [
        ("hurdle_poisson", "delta_truncated_poisson"),  # brms
        ("hurdle_negbinomial", "delta_truncated_nbinomial"),
        ("hurdle_gamma", "delta_gamma"),
        ("hurdle_lognormal", "delta_lognormal"),
        ("zero_inflated_beta", "delta_beta"),
        ("ziGamma", "delta_gamma"),  # glmmTMB
        ("truncated_nbinom2", "delta_truncated_nbinomial"),
        ("zeroinflatedpoisson0", "delta_truncated_poisson"),  # R-INLA
        ("zeroinflatednbinomial2", "delta_truncated_nbinomial"),
        ("nbinomial1", "delta_truncated_nbinomial1"),
        ("ziP", "delta_truncated_poisson"),  # mgcv
    ],
)
def test_a_second_formula_leads_to_the_family_that_has_two(given, near, table):
    with pytest.raises(gs.InputError, match=f"not for '{given}': take family '{near}'$"):
        gs.fit("y ~ x", table, family=given, formula2="~ z")


def test_an_unknown_family_gets_the_nearest_or_the_first_few(table):
    for given, near in (("hurdle_gamma", "delta_gamma"), ("delta_gama", "delta_gamma"), ("poison", "poisson")):
        with pytest.raises(gs.InputError, match=f"^unknown family '{given}': did you mean '{near}'\\?$"):
            gs.fit("y ~ x", table, family=given)
    with pytest.raises(
        gs.InputError, match="^unknown family 'nonsense': the families are 'gaussian', .* more$"
    ) as told:
        gs.fit("y ~ x", table, family="nonsense")
    assert len(str(told.value)) < 250
    with pytest.raises(gs.InputError, match="y: the family 'delta_gamma' has two parts"):
        gs.fit([gs.Observations("y ~ x", table, family="delta_gamma"), gs.Observations("x ~ z", table)])
