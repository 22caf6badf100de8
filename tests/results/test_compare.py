"""Fits side by side: criteria, paired standard errors, likelihood-ratio tests, what must not be compared."""

from functools import cache
from inspect import signature

import numpy as np
import pandas as pd
import pytest

import geospde as gs
from geospde.results.compare import Comparison

PARALLEL, OWN, UNCORRELATED = (f"Reaction ~ Days + ({g} Subject)" for g in ("1 |", "Days |", "Days ||"))


@cache
def sleep(formula, method="inla", **options):
    return gs.fit(formula, gs.load_dataset("sleepstudy"), method=method, **options)


@cache
def posteriors():
    fits = {"level": sleep("Reaction ~ 1"), "parallel": sleep(PARALLEL), "own": sleep(OWN)}
    return fits, gs.compare(fits)


@cache
def likelihoods(method="ml"):
    return gs.compare({name: sleep(f, method) for name, f in (("1", PARALLEL), ("2", UNCORRELATED), ("3", OWN))})


def refit(change, **options):
    """Fit a straight line to a changed table."""
    data = gs.load_dataset("sleepstudy")
    return gs.fit("Reaction ~ Days", change(data), **options)


@pytest.mark.slow
def test_differences_have_the_standard_errors_of_paired_densities():
    import xarray
    from arviz_stats import compare
    from arviz_stats.utils import ELPDData

    fits, comparison = posteriors()

    def of_arviz(fit):
        values, k = (xarray.DataArray(v, dims="row") for v in (fit.loo.pointwise, fit.loo.pareto_k))
        se = float(np.sqrt(values.size * values.var()))
        kind = {"kind": "loo"} if "kind" in signature(ELPDData).parameters else {}  # until arviz-stats 1.3
        return ELPDData(
            **kind, elpd=float(values.sum()), se=se, p=1.0, n_samples=1000, n_data_points=values.size, scale="log",
            warning=False, good_k=0.7, elpd_i=values, pareto_k=k,
        )  # fmt: skip

    digits = {"round_to": "none"} if "round_to" in signature(compare).parameters else {}  # since arviz-stats 1
    theirs = compare({name: of_arviz(fit) for name, fit in fits.items()}, **digits)
    ours = comparison.table
    assert ours.index.tolist() == theirs.index.tolist() == ["own", "parallel", "level"]
    np.testing.assert_allclose(ours["elpd_loo"], theirs["elpd"].astype(float), rtol=1e-12)
    gaps = theirs["elpd_diff"].astype(float).abs()  # positive until arviz-stats 1, negative since
    np.testing.assert_allclose(-ours["elpd_difference"], gaps, atol=1e-9)
    unbiased = np.sqrt(180 / 179)  # R's loo, and ours, divide by n - 1; ArviZ by n
    np.testing.assert_allclose(ours["difference_se"], theirs["dse"].astype(float) * unbiased, rtol=1e-9)


def test_the_table_has_each_fits_own_criteria():
    fits, comparison = posteriors()
    for name, fit in fits.items():
        row = comparison.table.loc[name]
        for column in ("elpd_loo", "p_loo", "dic", "waic", "pareto_k_above_0.7"):
            assert row[column] == fit.criteria[column]
        assert row["se"] == fit.loo.table.loc["elpd_loo", "se"]
        assert row["log_marginal_likelihood"] == fit.log_marginal_likelihood
    frame = comparison.to_frame()
    frame.loc["own"] = 0.0
    assert comparison.table.loc["own", "elpd_loo"] < 0


def test_parameters_stand_side_by_side():
    fits, comparison = posteriors()
    slopes = comparison.hyper.loc["sd(Days | Subject)"]
    assert slopes["own", "mean"] == fits["own"].hyper.loc["sd(Days | Subject)", "mean"]
    assert np.isnan(slopes["parallel", "mean"])
    assert comparison.fixed["level"].notna().all(axis=1).tolist() == [True, False]
    text = str(comparison)
    assert f"own: {OWN}, gaussian, inla" in text and "cor(Intercept, Days | Subject)" in text
    told = comparison.to_dict()
    assert set(told["hyper"]["sd(Days | Subject)"]) == {"own"}
    assert told["hyper"]["sigma"]["own"]["q0.975"] == fits["own"].hyper.loc["sigma", "q0.975"]


def comparison(gap, se):
    columns = {"elpd_loo": [-10.0, -10.0 - gap], "elpd_difference": [0.0, -gap], "difference_se": [0.0, se]}
    table = pd.DataFrame(columns, index=["a", "b"])
    nothing = pd.DataFrame()
    return Comparison(table, nothing, nothing, nothing, nothing, ())


@pytest.mark.parametrize(
    ("gap", "se", "words"),
    [
        (12.0, 4.0, "'a' predicts better than 'b': elpd_loo differs by 12, with a standard error of 4."),
        (12.0, 6.5, "'a' and 'b' cannot be told apart"),
        (3.9, 0.5, "'a' and 'b' predict alike"),
        (np.inf, np.nan, "a density of leave-one-out is not finite"),
    ],
)
def test_words_say_better_only_where_it_is_clear(gap, se, words):
    (sentence,) = comparison(gap, se).in_words()
    assert words in sentence


def test_likelihood_ratio_tests_are_lme4s():
    # Bates, Mächler, Bolker & Walker (2015), J. Stat. Softw. 67(1), section 5.2: anova of these two models
    table, tests = likelihoods().table, likelihoods().tests
    assert table.index.tolist() == ["2", "3", "1"]
    np.testing.assert_allclose(table.loc[["2", "3"], "aic"], [1762.0, 1763.9], atol=0.05)
    np.testing.assert_allclose(table.loc[["2", "3"], "bic"], [1778.0, 1783.1], atol=0.05)
    np.testing.assert_allclose(table.loc[["2", "3"], "log_likelihood"], [-876.00, -875.97], atol=0.005)
    assert (tests.loc["3", "smaller"], tests.loc["3", "df"]) == ("2", 1)
    assert tests.loc["3", "chi_squared"] == pytest.approx(0.0639, abs=5e-5)
    assert tests.loc["3", "p"] == pytest.approx(0.8004, abs=5e-5)
    assert tests.loc["2", "smaller"] == "1"
    assert "'2' has the smallest AIC; that of '3' is 1.94 larger." in likelihoods().in_words()


def test_fits_that_are_not_nested_are_not_tested():
    two = gs.compare(sleep("Reaction ~ Days", "ml"), sleep("Reaction ~ 1 + (1 | Subject)", "ml"))
    assert len(two.tests) == 0
    # R: AIC(lm(Reaction ~ Days)) is 1906.29, of lmer(Reaction ~ 1 + (1 | Subject), REML = FALSE) 1916.54
    assert two.table["aic"].round(2).to_dict() == {"fit 1": 1906.29, "fit 2": 1916.54}


def test_restricted_likelihoods_are_compared_where_fixed_effects_are_the_same():
    assert len(likelihoods("reml").tests) == 2
    with pytest.raises(gs.InputError, match="different fixed effects.*method='ml'"):
        gs.compare(sleep(PARALLEL, "reml"), sleep("Reaction ~ 1 + (1 | Subject)", "reml"))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda d: d.iloc[:-1], "'fit 1' is of 180 observations and 'fit 2' of 179: criteria of different data say"),
        (lambda d: d.iloc[::-1], "have the responses in another order: sort their tables alike"),
        (lambda d: d.assign(Reaction=np.log(d["Reaction"])), "the responses of 'fit 1' and 'fit 2' differ in 180 rows"),
        (lambda d: d.assign(Reaction=d["Reaction"].where(d.index != 7, 1)), "differ in 1 row, the first time in row 7"),
    ],
)
def test_fits_of_different_data_are_refused(change, sentence):
    with pytest.raises(gs.InputError) as caught:
        gs.compare(sleep("Reaction ~ Days"), refit(change))
    assert sentence in str(caught.value)


def test_weights_make_different_data():
    with pytest.raises(gs.InputError, match="the weights of 'fit 1' and 'fit 2' differ in 180 rows"):
        gs.compare(sleep("Reaction ~ Days"), refit(lambda d: d, weights=np.full(180, 2.0)))


def test_what_cannot_be_compared_is_a_sentence():
    fit = sleep("Reaction ~ Days")
    for arguments, sentence in (
        ((), "nothing to compare with 0 fits"),
        ((fit,), "nothing to compare with 1 fit: give two or more"),
        (({"a": fit},), "nothing to compare with 1 fit"),
        ((fit, "b"), "'fit 2' is a str"),
        (({"a": fit, "b": None},), "'b' is a NoneType"),
        ((fit, {"b": fit}), "'fit 2' is a dict"),
        ((fit, sleep("Reaction ~ Days", "ml")), "have no criterion in common"),
        ((sleep(OWN, "reml"), sleep(OWN, "ml")), "fits by 'ml' and 'reml' have no criterion in common"),
    ):
        with pytest.raises(gs.InputError) as caught:
            gs.compare(*arguments)
        assert sentence in str(caught.value)


def test_notes_say_what_limits_a_comparison():
    def notes(*fits):
        return " ".join(gs.compare(*fits).notes)

    assert "Pareto k is above 0.7 at" in " ".join(posteriors()[1].notes)
    counts = pd.DataFrame({"y": np.random.default_rng(1).poisson(5, 60), "x": np.linspace(-1, 1, 60)})
    poisson = gs.fit("y ~ x", counts, family="poisson")
    assert notes(poisson, gs.fit("y ~ x", counts, family="nbinomial")) == (
        "With 60 observations the standard errors of differences come out too small."
    )
    assert "some densities" in notes(poisson, gs.fit("y ~ x", counts))
    flat = gs.fit("y ~ 0 + x", counts, family="poisson")
    assert "Coefficients with flat priors differ" in notes(poisson, flat)


def test_the_picture_has_a_fit_a_row_the_best_on_top():
    from matplotlib.figure import Figure

    ax = posteriors()[1].plot(Figure().subplots())
    assert [label.get_text() for label in ax.get_yticklabels()] == ["own", "parallel", "level"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
    (dots,) = [line for line in ax.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(dots.get_xdata(), posteriors()[1].table["elpd_difference"])
    assert likelihoods().plot(Figure().subplots()).get_xlabel() == "difference of AIC"
