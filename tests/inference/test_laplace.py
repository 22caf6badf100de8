"""The Laplace step against dense algebra, with and without the constraint and a proper prior on the intercept."""

import numpy as np
import pytest
from oracles import dense_laplace, small_model

from geospde.errors import NumericalError
from geospde.inference.combinations import row_variances
from geospde.inference.correction import variational_mean
from geospde.inference.laplace import Laplace

THETA = np.log([0.4, 0.9])
CASES = [(constr, precision, alpha) for constr in (False, True) for precision in (0.0, 4.0) for alpha in (1.5, 2.0)]


@pytest.mark.parametrize("constr, precision, alpha", CASES)
def test_value_mode_and_variances_are_those_of_dense_algebra(constr, precision, alpha):
    model = small_model(constr, precision, alpha)
    laplace = Laplace(model)
    point = laplace.at(THETA)
    value, x, covariance = dense_laplace(model, THETA)
    # Newton stops at a gain of 1e-12; its root, the last step, is what the log determinant still feels
    assert point.log_posterior == pytest.approx(value, abs=1e-7)
    np.testing.assert_allclose(point.x, x, atol=1e-7)
    rows, columns = laplace.pattern.indices, np.repeat(np.arange(laplace.n), np.diff(laplace.pattern.indptr))
    np.testing.assert_allclose(point.covariance, covariance[rows, columns], atol=1e-9)
    a = model.design.toarray()
    np.testing.assert_allclose(point.eta_variance, np.diag(a @ covariance @ a.T), atol=1e-9)
    if constr:
        assert abs(model.precisions[0].constraints[:, 0] @ point.x[:-1]) < 1e-10


@pytest.mark.parametrize("constr, precision, alpha", CASES)
def test_gradient_is_that_of_the_dense_value(constr, precision, alpha):
    model = small_model(constr, precision, alpha)
    gradient = Laplace(model).at(THETA).gradient
    step = 1e-4
    numeric = [
        (dense_laplace(model, THETA + step * e)[0] - dense_laplace(model, THETA - step * e)[0]) / (2 * step)
        for e in np.eye(2)
    ]
    # central differences err by step² times a third derivative of order one
    np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-6)


def test_a_flat_intercept_hides_the_constraint_and_a_proper_one_shows_it():
    def evidence(constr, precision):
        return Laplace(small_model(constr, precision)).at(THETA).log_posterior

    assert evidence(True, 0.0) == pytest.approx(evidence(False, 0.0), abs=1e-7)
    assert abs(evidence(True, 4.0) - evidence(False, 4.0)) > 0.05


def test_the_mode_is_found_from_a_bad_start():
    laplace = Laplace(small_model(True, 0.0))
    good = laplace.at(THETA)
    for start in (np.full(laplace.n, 9.0), np.full(laplace.n, -9.0), np.full(laplace.n, 900.0)):
        np.testing.assert_allclose(laplace.at(THETA, start).x, good.x, atol=1e-6)


def test_extrapolated_start_is_second_order_near():
    laplace = Laplace(small_model(True, 0.0))
    point = laplace.at(THETA)
    step = np.array([0.02, -0.01])
    errors = [np.abs(laplace.at(THETA + h * step).x - point.x - point.slope @ (h * step)).max() for h in (1.0, 0.5)]
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)


def test_variational_mean_of_one_count_is_nearer_the_exact_mean_than_the_mode_is():
    from types import SimpleNamespace

    import scipy.sparse as sp

    from geospde.families.registry import Poisson
    from geospde.terms.precisions.iid import Iid

    model = SimpleNamespace(
        precisions=[Iid(1)],
        design=sp.csr_matrix([[1.0]]),
        offset=np.zeros(1),
        likelihood=Poisson().bind([1.0], exposure=[2.0]),
        fixed_mean=np.zeros(0),
        fixed_precision=np.zeros(0),
    )
    laplace = Laplace(model)
    point = laplace.at(np.log([0.8]))
    x = np.linspace(-8, 6, 20001)
    density = np.exp(-0.5 * (x / 0.8) ** 2 + model.likelihood.log_density(x[:, None])[:, 0])
    exact = np.trapezoid(x * density, x) / np.trapezoid(density, x)
    corrected = variational_mean(laplace, point)[0]
    # one count of mean one is about the worst case: what is left is of the next order in its skewness
    assert abs(corrected - exact) < 0.15 * abs(point.x[0] - exact)


@pytest.mark.parametrize("family", ["gamma", "tweedie"])
def test_means_of_predictors_that_must_be_positive_are_those_of_quadrature(family):
    """A Gaussian has mass where there are no such predictors: expectations under it hung on the unit."""
    import pandas as pd

    import geospde as gs

    rng, group, sd = np.random.default_rng(5), np.repeat(np.arange(12), 8), 0.6
    y = rng.gamma(1.0, np.maximum(1.6 + sd * rng.normal(size=12), 0.4)[group])
    power = {}
    if family == "tweedie":
        y, power = np.where(rng.random(y.size) < 0.1, 0.0, y), {"p": {"fixed": 1.5}}

    def fitted(unit):
        spread = {"phi": {"fixed": unit**0.5}} if power else {"shape": {"fixed": 1.0}}
        return gs.fit(
            "y ~ 1 + (1 | g)", pd.DataFrame({"y": unit * y, "g": group.astype(str)}), family=family, link="identity",
            method="eb", priors={"sd(Intercept | g)": {"fixed": sd * unit}} | power | spread,
        )  # fmt: skip

    fit = fitted(1.0)
    means, intercepts = np.exp(np.linspace(np.log(0.01), np.log(15), 800)), np.linspace(0.3, 3.5, 400)
    each = np.array([np.bincount(group, fit.model.likelihood.log_density(np.full(y.size, m))) for m in means])
    prior = np.exp(-0.5 * ((means - intercepts[:, None]) / sd) ** 2) * means
    logs = np.log(prior @ np.exp(each - each.max(axis=0))).sum(axis=1)
    weights = np.exp(logs - logs.max()) / np.exp(logs - logs.max()).sum()
    exact = weights @ intercepts
    mode, mean = fit.posterior.mode.x[-1], fit.fixed["mean"].iloc[0]
    # the first term of a series leaves a tenth and a fifth
    assert abs(mean - exact) < 0.25 * abs(mode - exact)
    assert fitted(1e3).fixed.iloc[0, :2].to_numpy() / 1e3 == pytest.approx(fit.fixed.iloc[0, :2].to_numpy(), rel=1e-6)


def test_an_overflowing_precision_names_theta_and_the_term():
    with pytest.raises(NumericalError, match=r"range\(spde\)"):
        Laplace(small_model(False, 0.0)).at(np.array([-400.0, 0.0]))


def test_draws_have_the_covariance_of_the_point_and_meet_the_constraint():
    model = small_model(True, 4.0)
    laplace = Laplace(model)
    point = laplace.at(THETA)
    draws = laplace.draw(point, np.eye(laplace.n)) - point.mean[:, None]
    covariance = dense_laplace(model, THETA)[2]
    np.testing.assert_allclose(draws @ draws.T, covariance, atol=1e-9)
    assert np.abs(model.precisions[0].constraints[:, 0] @ draws[:-1]).max() < 1e-10


def test_variances_off_the_pattern_come_from_solves():
    import scipy.sparse as sp

    model = small_model(True, 4.0)
    laplace = Laplace(model)
    point = laplace.at(THETA)
    rows = sp.csr_matrix(np.ones((1, laplace.n)) / laplace.n)
    assert not laplace.quadratic_map(rows)[1].any()
    covariance = dense_laplace(model, THETA)[2]
    assert row_variances(laplace, point, rows)[0] == pytest.approx(covariance.mean(), abs=1e-10)


@pytest.mark.parametrize("constr", [False, True])
def test_a_lagging_factor_costs_less_and_changes_next_to_nothing(constr):
    model = small_model(constr, 4.0)
    laplace = Laplace(model)
    near = laplace.at(THETA + [0.1, -0.2])
    whole = laplace.at(THETA, near.x)
    lagging = laplace.at(THETA, near.x, gradient=False)
    assert lagging.newton_steps < whole.newton_steps
    # Newton's last gain is below 1e-4: what is left of it is of second order
    assert lagging.log_posterior == pytest.approx(whole.log_posterior, abs=2e-5)
    np.testing.assert_allclose(lagging.x, whole.x, atol=1e-4)
    np.testing.assert_allclose(lagging.eta_variance, whole.eta_variance, rtol=5e-3)


def test_a_theta_at_which_rounding_is_all_is_refused():
    """Ranges of a million times the square: H is singular to rounding, and Newton ended anywhere, at values above 0."""
    laplace = Laplace(small_model(False, 1e-3, sites=12))
    found = []
    for log_range in np.arange(14.0, 20.0, 0.05):
        try:
            found.append(laplace.at(np.array([log_range, -2.0]), np.full(laplace.n, 0.1), False))
        except NumericalError:
            continue
    assert all(point.rounding < 100.0 for point in found)
