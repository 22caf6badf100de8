"""The kinds of fits: siblings, each with its own vocabulary, and a sentence for what it does not have."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import geospde as gs

SLEEP = gs.load_dataset("sleepstudy")
SMOOTH = gs.load_dataset("gamsim4").query("fac == 3")
COUNTS = SLEEP.assign(n=(SLEEP["Reaction"] / 40).round().astype(int), effort=1.0 + SLEEP["Days"] % 3)
SAVED = Path(__file__).parents[1] / "reference" / "saved"  # written by version 0.1.0, before there were kinds

BAYESIAN = {
    "posterior", "log_marginal_likelihood", "marginal", "prior", "loo", "theta_points", "to_arviz", "validate",
    "plot_pit", "plot_prior_posterior",
}  # fmt: skip
ESTIMATED = {"aic", "bic", "deviance", "confint", "vcov", "correlation", "n_parameters", "is_singular", "estimate"}
OF_MAXIMA = {"profile", "ml_maximum", "quadrature"}
OF_SMOOTHS = {"smooths", "edf", "score", "dispersion", "r_squared", "null_deviance", "variance_components"}
EVERY = {
    "fixed", "hyper", "random", "fitted", "pointwise", "criteria", "log_likelihood", "residuals", "sample", "predict",
    "effects", "hypothesis", "check", "save", "describe", "summary", "plot_hyper", "plot_marginal", "plot_random",
    "plot_fitted", "plot_residual_variogram", "notes",
}  # fmt: skip
HAS = {
    gs.BayesianFit: BAYESIAN,
    gs.MaximumLikelihoodFit: ESTIMATED | OF_MAXIMA,
    gs.PenalisedFit: ESTIMATED | OF_SMOOTHS,
}


@cache
def fitted(name):
    mixed, smooth = "Reaction ~ Days + (Days | Subject)", "y ~ s(x2, bs='gp')"
    return {
        "eb": lambda: gs.fit(mixed, SLEEP, method="eb"),
        "ml": lambda: gs.fit(mixed, SLEEP, method="ml"),
        "reml": lambda: gs.fit(mixed, SLEEP, method="reml"),
        "smooth": lambda: gs.fit(smooth, SMOOTH, method="reml"),
        "counts eb": lambda: gs.fit(
            "n ~ Days + (1 | Subject)", COUNTS, family="poisson", exposure="effort", method="eb"
        ),
        "counts ml": lambda: gs.fit(
            "n ~ Days + (1 | Subject)", COUNTS, family="poisson", exposure="effort", method="ml"
        ),
    }[name]()


KINDS = {
    "eb": gs.BayesianFit,
    "ml": gs.MaximumLikelihoodFit,
    "reml": gs.MaximumLikelihoodFit,
    "smooth": gs.PenalisedFit,
}


@pytest.mark.parametrize("name", KINDS)
def test_kinds_are_siblings(name):
    fit = fitted(name)
    assert isinstance(fit, gs.Fit) and type(fit) is KINDS[name]
    assert not any(issubclass(a, b) for a in HAS for b in HAS if a is not b)


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_has_its_own_words_and_a_sentence_for_those_of_the_others(name):
    fit = fitted(name)
    own = EVERY | HAS[type(fit)]
    assert own <= set(dir(fit))
    for word in set().union(*HAS.values()) - own:
        assert word not in dir(fit) and not hasattr(fit, word) and getattr(fit, word, None) is None
        with pytest.raises(gs.InputError, match=f"a fit by method '{fit.method}' has no ") as raised:
            getattr(fit, word)
        assert isinstance(raised.value, AttributeError) and raised.value.remedy, word


def test_only_a_fit_by_reml_has_its_criterion():
    assert fitted("reml").reml_criterion == fitted("reml").deviance
    for name in ("ml", "eb"):
        assert not hasattr(fitted(name), "reml_criterion")
    with pytest.raises(gs.InputError, match="has no REML criterion: fit with method='reml'"):
        print(fitted("ml").reml_criterion)


def test_a_misspelt_attribute_is_an_attribute_error_with_the_nearest():
    with pytest.raises(AttributeError, match="a BayesianFit has no attribute 'fixd': did you mean 'fixed'"):
        print(fitted("eb").fixd)


@pytest.mark.parametrize("name", ["reml", "smooth"])
def test_a_fit_without_priors_says_nothing_of_posteriors(name, capsys):
    fit = fitted(name)
    fit.summary()
    said = capsys.readouterr().out + repr(fit) + fit._repr_html_() + str(fit.describe()) + str(fit.criteria)
    said += str(fit.hypothesis("Intercept > 1"))
    assert not any(word in said.lower() for word in ("posterior", "marginal", "prior", "evidence"))


@pytest.mark.parametrize("name", ["eb", "reml", "smooth", "counts eb", "counts ml"])
def test_residuals_are_responses_less_what_was_fitted(name):
    fit = fitted(name)
    mean = fit.fitted["mean" if isinstance(fit, gs.BayesianFit) else "estimate"].to_numpy()
    data, scale = (COUNTS, COUNTS["effort"].to_numpy()) if "counts" in name else (fit.model.table, 1.0)
    response = data[fit.formula.partition("~")[0].strip()].to_numpy()
    np.testing.assert_allclose(fit.residuals(), response - scale * mean, atol=1e-8 * np.abs(response).max())
    if "counts" in name:
        pearson = (response - scale * mean) / np.sqrt(scale * mean)
        np.testing.assert_allclose(fit.residuals("pearson"), pearson, atol=1e-8)
    with pytest.raises(gs.InputError, match="kind"):
        fit.residuals("deviance")


def test_quantile_residuals_of_gaussian_responses_are_standardised():
    fit = fitted("reml")
    np.testing.assert_allclose(fit.residuals("quantile"), fit.residuals("pearson"), rtol=1e-8)
    counts = fitted("counts ml")
    assert (counts.residuals("quantile", seed=1) != counts.residuals("quantile", seed=2)).any()


def test_the_log_likelihood_of_a_posterior_is_at_its_means():
    fit = fitted("eb")  # one point of theta, whose mean is the mode
    sigma = fit.theta_points["sigma"].iloc[0]
    expected = stats.norm(fit.fitted["mean"], sigma).logpdf(SLEEP["Reaction"]).sum()
    assert fit.log_likelihood == pytest.approx(expected, rel=1e-10)
    assert fit.criteria["dic"] == pytest.approx(-2 * fit.log_likelihood + 2 * fit.criteria["p_dic"], rel=1e-10)


# -- Wald's test ----------------------------------------------------------------------------------------------


def test_a_linear_hypothesis_is_weighed_by_the_covariance_of_the_estimates():
    fit = fitted("reml")
    weights = np.array([1.0, 9.0])
    estimate = weights @ fit.fixed["estimate"].to_numpy() - 300
    se = np.sqrt(weights @ fit.vcov.to_numpy() @ weights)
    found, df = fit.hypothesis("Intercept + 9 * Days > 300"), fit.fixed["df"].min()
    assert (found.estimate, found.se, found.df) == pytest.approx((estimate, se, df), rel=1e-7)
    assert found.p == pytest.approx(stats.t.sf(estimate / se, df), rel=1e-6)
    assert (found.lower, found.upper) == pytest.approx(stats.t.interval(0.9, df, estimate, se), rel=1e-6)
    other, both = fit.hypothesis("Intercept + 9 * Days < 300"), fit.hypothesis("Intercept + 9 * Days = 300")
    assert other.p == pytest.approx(1 - found.p, rel=1e-9)
    assert both.p == pytest.approx(2 * min(found.p, other.p), rel=1e-9)
    assert (both.lower, both.upper) == pytest.approx(stats.t.interval(0.95, df, estimate, se), rel=1e-6)


def test_one_coefficient_is_tested_as_in_the_table():
    for name in ("reml", "smooth", "counts ml"):
        fit = fitted(name)
        row, found = fit.fixed.iloc[0], fit.hypothesis("Intercept = 0")
        assert (found.estimate, found.se) == pytest.approx((row["estimate"], row["se"]), rel=1e-7)
        assert found.p == pytest.approx(row["p"], rel=1e-5)  # far in a tail, where small differences of se weigh
        assert fit.estimate("Intercept").sd == pytest.approx(row["se"], rel=1e-6)


def test_a_ratio_is_taken_by_the_delta_method():
    fit = fitted("reml")
    b0, b1 = fit.fixed["estimate"]
    slope = np.array([1 / b1, -b0 / b1**2])
    found = fit.hypothesis("Intercept / Days = 20")
    # the error of a central difference with steps of 1e-4 standard errors
    assert found.estimate == pytest.approx(b0 / b1 - 20, rel=1e-9)
    assert found.se == pytest.approx(np.sqrt(slope @ fit.vcov.to_numpy() @ slope), rel=1e-6)


def test_what_cannot_be_tested_is_refused():
    for text, words in (
        ("sigma > 2", "'sigma' is a hyperparameter: see confint"),
        ("Dayz > 2", "did you mean 'Days'"),
        ("log(-Days) > 2", "mind logs and divisions"),
        ("Days", "reads 'left > right'"),
        (3, "a string such as"),
    ):
        with pytest.raises(gs.InputError, match=words):
            fitted("reml").hypothesis(text)
    with pytest.raises(gs.InputError, match="between 0 and 1"):
        fitted("reml").hypothesis("Days > 2", level=95)


# -- quantities by name ---------------------------------------------------------------------------------------


def test_names_that_are_none_are_refused():
    for ask, words in (
        (lambda: fitted("eb").marginal(3), "a quantity is a name, or a dict"),
        (lambda: fitted("eb").marginal({"Days": "much"}), "a quantity is a name, or a dict"),
        (lambda: fitted("eb").marginal({"sigma": 1.0}), "'sigma' is a hyperparameter"),
        (lambda: fitted("eb").marginal({}), "one of them at least not zero"),
        (lambda: fitted("reml").estimate({"Days": np.nan}), "finite numbers"),
        (lambda: fitted("eb").hypothesis("Days - Days = 0"), "one of them at least not zero"),
        (lambda: fitted("reml").hypothesis("Days - Days = 0"), "one of them at least not zero"),
        (lambda: fitted("reml").hypothesis("Days > 1", level="high"), "between 0 and 1, not 'high'"),
        (lambda: fitted("reml").confint(level="high"), "between 0 and 1, not 'high'"),
        (lambda: fitted("reml").confint(3), "by name, not as 3"),
        (lambda: fitted("reml").profile("sigm"), "did you mean 'sigma'"),
        (lambda: fitted("eb").sample(True), "whole number, not True"),
        (lambda: fitted("eb").sample(3, seed="x"), "a seed is a whole number"),
        (lambda: fitted("eb").prior(3), "by its name, not of 3"),
        (lambda: gs.load_fit(3), "by the path of its files"),
        (lambda: fitted("eb").prior("sigm"), "did you mean 'sigma'"),
        (lambda: fitted("reml").estimate("sigma"), "see hyper and confint"),
        (lambda: fitted("smooth").confint("Intersept"), "did you mean 'Intercept'"),
        (lambda: fitted("smooth").confint(method="profile"), "by standard errors alone"),
        (lambda: fitted("smooth").confint(method="boot"), "'wald', not 'boot'"),
    ):
        with pytest.raises(gs.InputError, match=words):
            ask()


# -- on disk --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["eb", "reml", "smooth"])
def test_a_saved_fit_is_of_its_kind_again(name, tmp_path):
    fit = fitted(name)
    fit.save(tmp_path / "mine")
    again = gs.load_fit(tmp_path / "mine")
    assert type(again) is type(fit) and again.notes == fit.notes
    np.testing.assert_allclose(again.fixed, fit.fixed, rtol=1e-12)


@pytest.mark.parametrize(("file", "name"), [("sleep-eb", "eb"), ("sleep-reml", "reml"), ("smooth-reml", "smooth")])
def test_fits_that_version_0_1_0_wrote_are_read(file, name):
    old, fit = gs.load_fit(SAVED / file), fitted(name)
    assert type(old) is type(fit)
    # searches may end elsewhere by a thousandth of a standard error
    np.testing.assert_allclose(old.fixed.iloc[:, 0], fit.fixed.iloc[:, 0], atol=2e-3 * fit.fixed.iloc[:, 1].min())
    np.testing.assert_allclose(old.residuals(), fit.residuals(), atol=1e-2 * np.std(fit.residuals()))
