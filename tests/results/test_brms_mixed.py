"""Bayesian mixed models under brms's default priors, against NUTS and an exact posterior by importance sampling."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import gammaln
from scipy.stats import t as student

import geospde as gs
from geospde.families.default_priors import BrmsDefaults

REFERENCE = Path(__file__).parents[1] / "reference" / "chapter"


@cache
def sleepstudy():
    return gs.fit("Reaction ~ Days + (Days | Subject)", gs.load_dataset("sleepstudy"), priors="brms")


@cache
def cbpp():
    data = gs.load_dataset("cbpp")
    return gs.fit("p(incidence, size) ~ period + (1 | herd)", data, family="binomial", priors="brms")


def nuts(name):
    return json.loads((REFERENCE / name).read_text())


def exact_sleepstudy(fit, size=60_000):
    """Importance sampling over (log sds, Fisher z, log sigma) and the coefficients; effects integrated analytically.

    The proposal is a Student t around the fit's own posterior: it only decides how good the draws are.
    """
    data = gs.load_dataset("sleepstudy").sort_values(["Subject", "Days"])
    y = data["Reaction"].to_numpy(float).reshape(18, 10)
    x = np.column_stack([np.ones(10), np.arange(10.0)])
    rng = np.random.default_rng(1)
    hyper = fit.posterior.hyper
    g = rng.standard_normal((size, 4)) / np.sqrt(rng.chisquare(6, (size, 1)) / 6)
    centre, covariance = hyper.moments()
    root = np.linalg.cholesky(covariance)
    theta = centre + 1.1 * g @ root.T
    log_proposal = gammaln(5) - gammaln(3) - 2 * np.log(6 * np.pi) - 5 * np.log1p((g**2).sum(axis=1) / 6)
    log_proposal -= 4 * np.log(1.1) + np.linalg.slogdet(root)[1]
    s0, s1, r, sigma = np.exp(theta[:, 0]), np.exp(theta[:, 1]), np.tanh(theta[:, 2]), np.exp(theta[:, 3])
    cov = np.empty((size, 2, 2))
    cov[:, 0, 0], cov[:, 1, 1], cov[:, 0, 1] = s0**2, s1**2, r * s0 * s1
    cov[:, 1, 0] = cov[:, 0, 1]
    # of one subject, V = x cov x' + sigma² I, by Woodbury
    a = (x.T @ x) / sigma[:, None, None] ** 2
    m = np.linalg.inv(cov) + a
    inverse = np.linalg.inv(m)
    log_det = 20 * np.log(sigma) + np.linalg.slogdet(cov)[1] + np.linalg.slogdet(m)[1]
    b = (y @ x)[None] / sigma[:, None, None] ** 2
    information = 18 * (a - a @ inverse @ a)
    right = (b - np.einsum("nij,njk,nsk->nsi", a, inverse, b)).sum(axis=1)
    square = (y**2).sum() / sigma**2 - np.einsum("nsi,nij,nsj->n", b, inverse, b)
    beta_hat = np.linalg.solve(information, right[..., None])[..., 0]
    log_likelihood = -9 * log_det - 90 * np.log(2 * np.pi) - 0.5 * square
    log_likelihood += 0.5 * np.einsum("ni,ni->n", right, beta_hat)
    log_likelihood += np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(information)[1]
    root = np.linalg.cholesky(np.linalg.inv(information))
    beta = beta_hat + np.einsum("nij,nj->ni", root, rng.standard_normal((size, 2)))
    log_prior = sum(np.log(2) + student.logpdf(v / 59.3, 3) - np.log(59.3) + np.log(v) for v in (s0, s1, sigma))
    log_prior += np.log(0.5) + np.log1p(-(r**2)) + student.logpdf((beta @ [1, 4.5] - 288.7) / 59.3, 3) - np.log(59.3)
    log_weight = log_likelihood + log_prior - log_proposal
    weight = np.exp(log_weight - log_weight.max())
    evidence = log_weight.max() + np.log(weight.mean())
    draws = np.column_stack([s0, s1, r, sigma, beta])
    weight /= weight.sum()
    mean = weight @ draws
    return mean, np.sqrt(weight @ (draws - mean) ** 2), evidence, 1 / (weight**2).sum()


@pytest.mark.slow
def test_sleepstudy_against_the_exact_posterior():
    fit = sleepstudy()
    mean, sd, evidence, effective = exact_sleepstudy(fit)
    assert effective > 20_000  # so that the oracle itself errs by 0.007 sd
    ours = pd.concat([fit.hyper, fit.fixed])
    # four sds of the oracle's noise; the integration over theta adds some 0.01 sd and 1.5 % of the sds
    np.testing.assert_allclose((ours["mean"] - mean) / sd, 0, atol=0.04)
    np.testing.assert_allclose(ours["sd"] / sd, 1, atol=0.03)
    assert fit.log_marginal_likelihood == pytest.approx(evidence, abs=0.04)


@pytest.mark.slow
def test_sleepstudy_against_nuts():
    fit, reference = sleepstudy(), nuts("brms_sleep.json")
    rows = [*reference["random"]["Subject"], *reference["spec_pars"], *reference["fixed"]]
    ours = pd.concat([fit.hyper, fit.fixed])
    for row, (name, own) in zip(rows, ours.iterrows()):
        # effective samples of 1,000 to 3,400: four standard errors are 0.07 to 0.13 sd
        assert own["mean"] == pytest.approx(row["Estimate"], abs=0.1 * row["Est.Error"]), name
        assert own["sd"] == pytest.approx(row["Est.Error"], rel=0.05), name


@pytest.mark.slow
def test_sleepstudy_leave_one_out():
    loo, reference = sleepstudy().loo, {r["term"]: r for r in nuts("brms_sleep.json")["loo"]}
    table = loo.table
    # brms keeps importance sampling where k is high; the chapter's own run has -861.7
    assert table.loc["elpd_loo", "estimate"] == pytest.approx(reference["elpd_loo"]["Estimate"], abs=1.5)
    assert table.loc["elpd_loo", "se"] == pytest.approx(reference["elpd_loo"]["SE"], rel=0.03)
    assert table.loc["p_loo", "estimate"] == pytest.approx(reference["p_loo"]["Estimate"], abs=1.5)
    assert table.loc["p_loo", "se"] == pytest.approx(reference["p_loo"]["SE"], rel=0.15)
    assert loo.pareto_table["count"].sum() == 180
    assert "rows" in loo.warning and "nothing better" not in loo.warning
    assert "bad" in str(loo)


def test_cbpp_against_nuts():
    fit, reference = cbpp(), nuts("brms_cbpp.json")
    rows = [*reference["random"]["herd"], *reference["fixed"]]
    ours = pd.concat([fit.hyper, fit.fixed])
    for row, (name, own) in zip(rows, ours.iterrows()):
        assert own["mean"] == pytest.approx(row["Estimate"], abs=0.1 * row["Est.Error"]), name
        assert own["sd"] == pytest.approx(row["Est.Error"], rel=0.06), name
    assert fit.criteria["elpd_loo"] == pytest.approx(reference["loo"][0]["Estimate"], abs=1.5)


def test_default_priors_are_those_brms_prints():
    data = gs.load_dataset("sleepstudy")
    priors = pd.read_csv(REFERENCE / "brms_sleep_priors.csv").set_index("class")["prior"].dropna()
    fit = sleepstudy()
    assert priors["Intercept"] == "student_t(3, 288.7, 59.3)"
    assert fit.model.fixed_priors.mean[0] == pytest.approx(288.7, rel=1e-12)
    assert fit.model.fixed_priors.scale[0] == pytest.approx(59.3, rel=1e-12)
    assert fit.describe()["priors"]["sigma"] == "half Student t, 3 degrees of freedom, scale 59.3"
    defaults = BrmsDefaults.of_response(data["Reaction"].to_numpy(), fit.model.family.link)
    assert defaults.scale == pytest.approx(59.3, rel=1e-12)
    assert cbpp().model.fixed_priors.scale[0] == 2.5


def test_a_students_intercept_prior_is_on_the_covariates_means():
    fit = sleepstudy()
    assert np.allclose(fit.model.fixed_transform @ fit.fixed["mean"], [251.23 + 4.5 * 10.43, 10.43], atol=0.05)
    moved = gs.fit(
        "Reaction ~ Days + (Days | Subject)",
        gs.load_dataset("sleepstudy").assign(Days=lambda d: d["Days"] - 4.5),
        priors={"defaults": "brms", "Intercept": {"student_t": [3, 288.7, 59.3]}},
        method="eb",
    )
    same = gs.fit("Reaction ~ Days + (Days | Subject)", gs.load_dataset("sleepstudy"), priors="brms", method="eb")
    # the correlation's prior is not invariant: only what the intercept's prior does is compared
    assert moved.fixed.loc["Days", "mean"] == pytest.approx(same.fixed.loc["Days", "mean"], abs=0.02)
    assert moved.fixed.loc["Intercept", "mean"] == pytest.approx(
        same.fixed.loc["Intercept", "mean"] + 4.5 * same.fixed.loc["Days", "mean"], abs=0.1
    )


def test_a_saved_fit_keeps_its_student_priors(tmp_path):
    fit = sleepstudy()
    fit.save(tmp_path / "sleep")
    again = gs.load_fit(tmp_path / "sleep")
    pd.testing.assert_frame_equal(again.fixed, fit.fixed)
    assert again.marginal({"Intercept": 1.0, "Days": 9.0}).sd == pytest.approx(
        fit.marginal({"Intercept": 1.0, "Days": 9.0}).sd, rel=1e-10
    )


# ---- hypotheses ----


def test_days_above_ten():
    found, reference = sleepstudy().hypothesis("Days > 10"), nuts("brms_sleep.json")["hypothesis_Days_gt_10"][0]
    assert found.estimate == pytest.approx(reference["Estimate"], abs=0.1 * reference["Est.Error"])
    assert found.se == pytest.approx(reference["Est.Error"], rel=0.05)
    assert [found.lower, found.upper] == pytest.approx([reference["CI.Lower"], reference["CI.Upper"]], abs=0.15)
    # 4,000 draws with 1,450 effective: 0.013 standard error of the probability
    assert found.posterior_probability == pytest.approx(reference["Post.Prob"], abs=0.04)
    assert found.evidence_ratio == pytest.approx(found.posterior_probability / (1 - found.posterior_probability))


@pytest.mark.slow
def test_hypotheses_agree_with_draws_and_among_themselves():
    fit = sleepstudy()
    draws = fit.sample(20_000, seed=1)
    cases = {
        "Intercept + 2 * Days > 270": draws["Intercept"] + 2 * draws["Days"] - 270,
        "exp(Days / 10) > 2.5": np.exp(draws["Days"] / 10) - 2.5,
        "Days | Subject[308] > Days | Subject[309]": draws["Days | Subject[308]"] - draws["Days | Subject[309]"],
    }
    for text, values in cases.items():
        # four standard errors of two samples of 20,000
        assert fit.hypothesis(text).posterior_probability == pytest.approx((values > 0).mean(), abs=0.02), text
    # of hyperparameters alone: importance sampling with 159,000 effective draws gives 0.1884 and 0.5225
    assert fit.hypothesis("log(sigma) < 3.2").posterior_probability == pytest.approx(0.1884, abs=0.01)
    assert fit.hypothesis("sd(Days | Subject) < sigma / 4").posterior_probability == pytest.approx(0.5225, abs=0.01)
    over, under = fit.hypothesis("sd(Days | Subject) > 5"), fit.hypothesis("-sd(Days | Subject) < -5")
    assert over.posterior_probability == pytest.approx(under.posterior_probability, abs=1e-10)
    assert [over.lower, over.upper] == pytest.approx([-under.upper, -under.lower], abs=1e-8)


@pytest.mark.slow
def test_a_point_hypothesis_is_a_ratio_of_densities():
    data = gs.load_dataset("sleepstudy")
    fit = gs.fit("Reaction ~ Days + (Days | Subject)", data, priors={"Days": {"gaussian": [0, 10]}})
    found = fit.hypothesis("Days = 10")
    before = np.exp(-0.5) / (10 * np.sqrt(2 * np.pi))
    assert found.evidence_ratio == pytest.approx(float(fit.marginal("Days").density(10.0)) / before, rel=1e-6)
    assert np.isnan(sleepstudy().hypothesis("Days = 10").evidence_ratio)  # a flat prior has no density


@pytest.mark.parametrize(
    "text, message",
    [
        ("Dayz > 10", "did you mean 'Days'"),
        ("Days", "left > right"),
        ("Days > 10 > 3", "left > right"),
        ("3 > 2", "names no parameter"),
        ("Days > __import__('os')", "nothing is called '__import__'"),
        ("Days > 'a'", "made of numbers"),
        ("Days[0] > 1", "nothing is called 'Days'"),
        ("Days > (", "cannot read"),
        ("log(0 - sigma) > 1", "not a number"),
    ],
)
def test_a_hypothesis_that_cannot_be_read(text, message):
    with pytest.raises(gs.InputError, match=message):
        sleepstudy().hypothesis(text)


def test_default_priors_are_on_the_predictors_scale():
    """As brms takes them: logarithms of a lognormal, and 0 and 2.5 wherever the link is of a probability."""
    y = np.array([1.0, 20.0, 400.0, 8000.0, 50.0])
    table = pd.DataFrame({"y": y, "there": [0, 1, 1, 0, 1]})
    logs = gs.fit("y ~ 1", table, family="lognormal", priors="brms", method="eb").describe()["priors"]["sigma"]
    same = gs.fit("z ~ 1", table.assign(z=np.log(y)), priors="brms", method="eb").describe()["priors"]["sigma"]
    assert logs == same
    bernoulli = gs.families.Bernoulli().link
    assert BrmsDefaults.of_response(table["there"].to_numpy(), bernoulli) == BrmsDefaults(0.0, 2.5)
