"""Cross-validation: folds, scores against closed forms, refits, calibration."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy.stats import gamma, norm, poisson

import geospde as gs
from geospde.prediction.folds import block_folds, buffered_folds, random_folds
from geospde.prediction.scores import covered, crps, dawid_sebastiani, randomised_pit
from geospde.prediction.validation import validate

RNG = np.random.default_rng(0)
POINTS = RNG.uniform(0, 10, (120, 2))


# ---- folds ----


def test_random_folds_part_the_observations_evenly():
    folds = random_folds(23, 5, seed=3)
    assert np.array_equal(np.sort(np.concatenate([f.predicted for f in folds])), np.arange(23))
    assert {f.predicted.size for f in folds} == {4, 5}


def test_blocks_keep_neighbours_together():
    folds = block_folds(POINTS, 5, 2.0, seed=1)
    assert np.array_equal(np.sort(np.concatenate([f.predicted for f in folds])), np.arange(120))
    assert max(f.predicted.size for f in folds) < 2 * min(f.predicted.size for f in folds)
    # the nearest neighbour of a site is in its fold far more often than by chance (one fifth)
    fold_of = np.empty(120, int)
    for k, fold in enumerate(folds):
        fold_of[fold.predicted] = k
    distance = np.linalg.norm(POINTS[:, None] - POINTS[None], axis=2) + 99 * np.eye(120)
    assert (fold_of == fold_of[distance.argmin(axis=1)]).mean() > 0.6


def test_a_buffer_leaves_out_all_within_it():
    for fold in buffered_folds(POINTS, 10, 1.5):
        (i,) = fold.predicted
        near = np.linalg.norm(POINTS - POINTS[i], axis=1) <= 1.5
        assert np.array_equal(np.flatnonzero(near), fold.left_out)
    assert len(buffered_folds(POINTS, None, 1.5)) == 120


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: random_folds(5, 6), "between 2 and the 5"),
        (lambda: block_folds(POINTS, 10, 50.0), "too few for 10 folds"),
        (lambda: block_folds(POINTS, 5, -1.0), "positive length"),
        (lambda: buffered_folds(POINTS, 5, 100.0), "leaves nothing"),
        (lambda: buffered_folds(POINTS, 5, np.nan), "positive length"),
    ],
)
def test_folds_that_cannot_be(make, message):
    with pytest.raises(gs.InputError, match=message):
        make()


# ---- scores ----


def test_crps_of_a_gaussian_is_its_closed_form():
    draws = np.random.default_rng(1).normal(2.0, 3.0, (40_000, 3))
    y = np.array([2.0, 5.0, -4.0])
    z = (y - 2.0) / 3.0
    exact = 3.0 * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))  # Gneiting & Raftery (2007)
    np.testing.assert_allclose(crps(draws, y), exact, atol=0.04)  # four standard errors of 40,000 draws
    np.testing.assert_allclose(dawid_sebastiani(draws, y), z**2 + 2 * np.log(3.0), rtol=0.03, atol=0.03)


def test_crps_is_unbiased_from_few_draws():
    few = np.random.default_rng(2).normal(size=(5, 60_000))
    exact = 2 * norm.pdf(0) - 1 / np.sqrt(np.pi)
    assert crps(few, np.zeros(60_000)).mean() == pytest.approx(exact, abs=0.005)


@pytest.mark.slow
def test_pit_of_counts_is_uniform_where_the_law_is_right():
    rng = np.random.default_rng(3)
    mean = rng.uniform(0.2, 6, 3000)
    draws, y = rng.poisson(mean, (2000, 3000)), rng.poisson(mean)
    pit = randomised_pit(draws, y, rng)
    heights = np.histogram(pit, 10, (0, 1))[0] / 300
    assert np.abs(heights - 1).max() < 4 * np.sqrt(0.9 / 300)
    held = covered(draws, y, 0.8)
    # the probability of each interval's integers, ends included, is known
    low, high = np.quantile(draws, [0.1, 0.9], axis=0)
    exact = poisson.cdf(np.floor(high), mean) - poisson.cdf(np.ceil(low) - 1, mean)
    assert held.mean() == pytest.approx(exact.mean(), abs=4 * np.sqrt(0.25 / 3000))


# ---- validation ----


@cache
def simulated():
    rng = np.random.default_rng(5)
    mesh = gs.build_mesh(BOX, max_edge=(0.9, 2), offset=2)
    sites = rng.uniform(0.2, 9.8, (150, 2))
    distance = np.linalg.norm(sites[:, None] - sites[None], axis=2)
    scaled = np.sqrt(8) * distance / 3.0
    from scipy.special import kv

    with np.errstate(invalid="ignore"):
        covariance = np.where(scaled > 0, scaled * kv(1, np.maximum(scaled, 1e-9)), 1.0)
    field = np.linalg.cholesky(covariance + 1e-8 * np.eye(150)) @ rng.standard_normal(150)
    effort = rng.uniform(1, 4, 150)
    data = pd.DataFrame({"x": sites[:, 0], "y": sites[:, 1], "effort": effort})
    data["count"] = rng.poisson(effort * np.exp(1 + field))
    options = {"mesh": mesh, "coords": ("x", "y"), "family": "poisson", "exposure": "effort"}
    return data, gs.fit("count ~ 1 + spde(mesh)", data, **options)


def box():
    import shapely

    return shapely.box(0, 0, 10, 10)


BOX = box()


@pytest.mark.slow
def test_a_fold_is_predicted_as_by_a_fit_of_the_others():
    data, _ = simulated()
    fold = random_folds(150, 5, seed=2)[3]
    kept = data.drop(index=fold.left_out)
    priors = {"range(spde)": {"pc": [0.62, 0.05]}, "sigma(spde)": {"pc": [3.0, 0.05]}}
    mesh = gs.build_mesh(BOX, max_edge=(1.5, 3), offset=2)
    options = {"mesh": mesh, "coords": ("x", "y"), "family": "poisson", "exposure": "effort"}
    same, refit = (gs.fit("count ~ 1 + spde(mesh)", rows, priors=priors, **options) for rows in (data, kept))
    again = validate(same, "random", k=5, baselines=False, draws=4000, seed=2).pointwise
    assert len(again) == 150
    again = again.set_index("row").loc[fold.predicted]
    frame = refit.predict(data.loc[fold.predicted]).to_frame()
    # a count per effort has the mean of the intensity; 4,000 draws leave 1.6 % of an sd, four standard errors 6 %
    np.testing.assert_allclose((again["mean"].to_numpy() - frame["mean"]) / again["sd"].to_numpy(), 0, atol=0.08)


@pytest.mark.slow
def test_leave_one_out_agrees_with_cpo_and_pit_of_the_fit():
    _, fit = simulated()
    found = validate(fit, "loo", baselines=False, draws=4000)
    # another quadrature of the same integrals
    np.testing.assert_allclose(np.exp(found.pointwise["log_density"]), fit.pointwise["cpo"], rtol=2e-3)
    assert found.scores.loc["model", "log_score"] == pytest.approx(fit.criteria["log_score"], abs=1e-3)
    # P(Y <= y) lies above the randomised one; four standard errors of 4,000 draws
    assert (found.pointwise["pit"] <= fit.pointwise["pit"] + 0.032).all()


@cache
def by_random_folds():
    return validate(simulated()[1], "random", k=5, draws=1000)


@pytest.mark.slow
def test_a_field_beats_simpler_models_and_is_calibrated():
    found = by_random_folds()
    scores = found.scores
    assert list(scores.index) == ["model", "intercept only", "iid"]
    assert (scores.loc["model", ["log_score", "crps", "rmse"]] < scores.loc["iid", ["log_score", "crps", "rmse"]]).all()
    assert (found.differences["log_score"] > 2 * found.differences["log_score_se"]).all()
    # 150 observations: three standard errors of a share
    for level in (50, 80, 95):
        p = level / 100
        assert p - 3 * np.sqrt(p * (1 - p) / 150) < scores.loc["model", f"cover_{level}"] <= 1
    # the intercept alone knows no spread between sites: four standard errors below 0.95
    assert scores.loc["intercept only", "cover_95"] < 0.95 - 4 * np.sqrt(0.95 * 0.05 / 150)
    assert "random folds" in str(found)


@pytest.mark.slow
def test_blocks_take_the_fitted_range_and_predict_worse_than_random_folds():
    _, fit = simulated()
    blocks = validate(fit, "blocks", k=5, baselines=False, draws=500)
    assert blocks.distance == pytest.approx(float(fit.hyper.loc["range(spde)", "q0.5"]))
    random = by_random_folds()
    assert blocks.scores.loc["model", "log_score"] > random.scores.loc["model", "log_score"]
    few = validate(fit, "buffered", k=4, distance=1.0, baselines=False, draws=500)
    assert len(few.pointwise) == 4


def test_predictive_density_of_a_gaussian_model_is_exact():
    rng = np.random.default_rng(7)
    data = pd.DataFrame({"y": rng.normal(1.0, 2.0, 40)})
    fit = gs.fit("y ~ 1", data, priors={"sigma": {"fixed": 2.0}})
    found = validate(fit, "random", k=4, baselines=False, draws=4000, seed=1)
    for fold in random_folds(40, 4, seed=1):
        rest = data["y"].drop(index=fold.left_out)
        law = norm(rest.mean(), 2.0 * np.sqrt(1 + 1 / len(rest)))
        ours = found.pointwise.set_index("row").loc[fold.predicted]
        np.testing.assert_allclose(ours["log_density"], law.logpdf(data["y"][fold.predicted]), atol=1e-6)


def test_predictive_density_of_counts_is_negative_binomial_under_a_gamma_posterior():
    y = np.array([33, 20, 22, 35, 27, 21, 24, 29, 30, 23, 32, 26])
    fit = gs.fit("y ~ 1", pd.DataFrame({"y": y}), family="poisson")
    found = validate(fit, "loo", baselines=False, draws=500)
    # a flat prior on the log rate: posterior Gamma(sum, n), predictive negative binomial
    for i in range(len(y)):
        rest = np.delete(y, i)
        grid = gamma(rest.sum(), scale=1 / len(rest))
        rates = grid.ppf((np.arange(20_000) + 0.5) / 20_000)
        exact = np.log(poisson.pmf(y[i], rates).mean())
        # a Gaussian stands for the count that is divided out: its cubic term, y (log y - eta)³ / 6, is up to 0.09 for
        # the outermost and acts where the predictor moves, a tenth of that way
        assert found.pointwise["log_density"][i] == pytest.approx(exact, abs=0.02)


def test_the_picture_has_three_panels():
    data = simulated()[0].head(40)
    fit = gs.fit(
        "count ~ 1 + (1 | site)", data.assign(site=data.index), family="poisson", exposure="effort", method="eb"
    )
    figure = fit.validate("random", k=2, draws=200).plot()
    assert [ax.get_xlabel() for ax in figure.axes] == [
        "observed count / effort", "probability integral transform", "level",
    ]  # fmt: skip
    assert len(figure.axes[2].get_legend().get_texts()) == 3


@pytest.mark.parametrize(
    "options, message",
    [
        ({"folds": "leave"}, "folds are one of"),
        ({"folds": "random", "k": 1}, "between 2"),
        ({"draws": 5}, "100 to 1,000,000, not 5"),
        ({"folds": "blocks", "distance": -2}, "positive length"),
    ],
)
def test_a_choice_that_does_not_fit(options, message):
    _, fit = simulated()
    with pytest.raises(gs.InputError, match=message):
        validate(fit, **options)


def test_observations_are_named_by_the_labels_of_their_rows(tmp_path):
    rng = np.random.default_rng(12)
    table = pd.DataFrame({"x": np.r_[rng.normal(0, 1, 40), 30.0]}, index=[f"site {k}" for k in range(41)])
    table["y"] = 0.5 * table["x"] + rng.normal(0, 1, 41)
    table.loc["site 40", "y"], table.loc["site 3", "y"] = -40.0, np.nan
    with pytest.warns(gs.GeospdeWarning, match="left out: 'site 3'"):
        fit = gs.fit("y ~ x", table, method="eb")
    fit.save(tmp_path / "fit")
    for one in (fit, gs.load_fit(tmp_path / "fit")):
        assert one.validate("random", k=2, baselines=False).pointwise["row"].tolist() == [*table.index.drop("site 3")]
        assert "of 40 observations (row site 40):" in one.loo.warning
        assert "see whether it is an outlier: row site 40" in str(one.check())


def test_folds_are_refused_without_which_nothing_is_known_of_a_class():
    rng = np.random.default_rng(13)
    table = pd.DataFrame({"y": rng.normal(0, 1, 30), "kind": ["heath", *["field", "wood"] * 14, "field"]})
    fit = gs.fit("y ~ C(kind)", table, method="eb")
    message = r"without the \d+ observations? of fold \d+ of (4|30) the data say nothing of .*heath"
    for options in ({"folds": "random", "k": 4}, {"folds": "loo"}):
        with pytest.raises(gs.InputError, match=message):
            fit.validate(baselines=False, **options)
    prior = {name: {"gaussian": [0.0, 1.0]} for name in fit.model.effects.names[1:]}
    assert len(gs.fit("y ~ C(kind)", table, method="eb", priors=prior).validate("random", k=4).pointwise) == 30


def test_blocks_need_coordinates():
    fit = gs.fit("y ~ 1", pd.DataFrame({"y": [1, 2, 3, 4]}), family="poisson")
    with pytest.raises(gs.InputError, match="need coordinates"):
        fit.validate()
