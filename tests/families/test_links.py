"""Links beside the one that densities are written in: R's estimates, tails the right way about, ends of domains."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from oracles import square_mesh

import geospde as gs
from geospde.errors import InputError, NumericalError
from geospde.families.links import INVERSE, SQRT
from geospde.families.registry import family_by_name
from geospde.inference.pareto import smoothed_leave_one_out

DATA = Path(__file__).parents[1] / "reference" / "optima" / "family.csv"

# coefficients by glm of R 4.2.2 with start = c(0.5, 0.1), and log likelihoods of the first three by logLik
ESTIMATES = [
    ("gaussian", "log", "y_gaussian_log", (0.5818640105, 0.5229093911), -66.5721769),
    ("gaussian", "inverse", "y_gaussian_inverse", (0.4961940028, 0.1385345506), -76.7725876),
    ("poisson", "identity", "y_poisson_identity", (1.92989846, 0.728381449), -508.4456409),
    ("poisson", "sqrt", "y_poisson_identity", (1.380801258, 0.2688126019), None),
    ("gamma", "inverse", "y_Gamma_inverse", (0.5236040968, 0.1272572356), None),
    ("gamma", "identity", "y_Gamma_identity", (1.901277633, 0.5760392607), None),
]


@pytest.mark.parametrize("family, link, column, coefficients, log_likelihood", ESTIMATES)
def test_estimates_are_those_of_glm(family, link, column, coefficients, log_likelihood):
    fit = gs.fit(f"{column} ~ x", pd.read_csv(DATA), family=family, link=link, method="ml")
    assert fit.fixed["estimate"].to_numpy() == pytest.approx(coefficients, abs=2e-5)
    if log_likelihood is not None:
        assert fit.log_likelihood == pytest.approx(log_likelihood, abs=1e-6)


def test_a_density_is_that_of_the_natural_predictor():
    y, eta = np.array([0.3, 1.0, 4.0]), np.array([0.4, 1.3, 0.2])
    inverse, log = (family_by_name("gamma", link).bind(y, weights=[1, 2, 3]).at([0.7]) for link in ("inverse", "log"))
    np.testing.assert_allclose(inverse.log_density(eta), log.log_density(-np.log(eta)), rtol=1e-14)
    np.testing.assert_allclose(inverse.sf(eta), log.sf(-np.log(eta)), rtol=1e-14)
    assert np.isneginf(inverse.log_density(np.array([0.0, -1.0, -2.0]))).all()
    assert not np.any(inverse.derivatives(-eta))
    assert inverse.of_rows(np.array([2])).log_density(eta[[2]]) == pytest.approx(inverse.log_density(eta)[[2]])


@pytest.mark.parametrize("link", [INVERSE, SQRT])
def test_jets_and_slopes_are_those_of_the_mean(link):
    eta, step = np.array([0.3, 1.2, 5.0]), 1e-5
    jet = link.jet(eta)
    for k in range(3):
        slope = (link.jet(eta + step)[k] - link.jet(eta - step)[k]) / (2 * step)
        np.testing.assert_allclose(jet[k + 1], slope, rtol=1e-7)
    np.testing.assert_allclose(np.log(np.abs(jet[1])), link.log_derivative(eta), rtol=1e-12)
    np.testing.assert_allclose(link.forward(link.inverse(eta)), eta, rtol=1e-14)


def few_counts():
    """Poisson counts, half of them zero, of the squares of a predictor that is below zero in some rows."""
    rng = np.random.default_rng(3)
    g, x = np.repeat(np.arange(20), 10), rng.normal(size=200)
    y = rng.poisson((1.0 + 0.3 * x + rng.normal(0, 0.3, 20)[g]) ** 2)
    return pd.DataFrame({"y": y, "x": x, "g": g.astype(str)})


def test_a_zero_may_have_a_square_root_below_zero():
    # glmmTMB 1.1.5 of R 4.2.2, started at these values: from its own it ends at -281.04, another maximum
    fit = gs.fit("y ~ x + (1 | g)", few_counts(), family="poisson", link="sqrt", method="ml")
    assert fit.log_likelihood == pytest.approx(-253.257611352, abs=1e-6)
    assert fit.fixed["estimate"].to_numpy() == pytest.approx([0.93032930, 0.31113624], abs=2e-6)
    assert fit.hyper["estimate"].to_numpy() == pytest.approx([0.20035929], abs=2e-6)
    likelihood, step = family_by_name("poisson", "sqrt").bind(np.array([0.0, 0.0, 2.0])), 1e-5
    below, above = np.array([-0.7, -0.1, 0.5]), np.array([0.7, 0.1, -0.5])
    assert likelihood.log_density(below) == pytest.approx(
        [-0.49, -0.01, np.log(0.25**2 * np.exp(-0.25) / 2)], rel=1e-12
    )
    assert np.isneginf(likelihood.log_density(above)[2])  # the mirror image of what is seen at 0.5
    slope = (likelihood.log_density(below + step) - likelihood.log_density(below - step)) / (2 * step)
    assert likelihood.derivatives(below)[0] == pytest.approx(slope, rel=1e-6)


def test_draws_beyond_an_end_of_the_predictor_do_not_spoil_what_is_left_out():
    table = few_counts().assign(z=lambda t: np.random.default_rng(4).gamma(3.0, (0.4 + t.y) / 3))
    fit = gs.fit("z ~ x + (1 | g)", table, family="gamma", link="identity", method="eb")
    assert np.isfinite(fit.loo.pointwise).all()
    eta = np.random.default_rng(5).normal(1.0, 0.5, (2, 4000))
    density = np.where(eta > 0, -2.0 / np.maximum(eta, 1e-9) - 2 * np.log(np.maximum(eta, 1e-9)), -np.inf)
    some = density[:1, eta[0] > 0]
    assert some.size < 3950  # that an observation allows
    # but for how many of the largest weights are smoothed, of 4,000 draws or of those
    assert smoothed_leave_one_out(density)[0][0] == pytest.approx(smoothed_leave_one_out(some)[0][0], abs=0.02)


@pytest.fixture(scope="module")
def waiting():
    """Gamma values whose mean is one over a smooth surface."""
    rng = np.random.default_rng(8)
    t = pd.DataFrame(rng.uniform(0.1, 0.9, (150, 2)), columns=["east", "north"])
    return t.assign(x=rng.normal(size=150), y=rng.gamma(8.0, 1 / (8.0 * (0.6 + 0.2 * np.sin(6 * t.east)))))


@pytest.mark.parametrize("method", [pytest.param("ml", marks=pytest.mark.slow), "eb"])
def test_a_falling_mean_has_its_tails_the_right_way_about(waiting, method):
    spde = "spde(mesh, prior_range=(0.3, 0.1), prior_sigma=(0.5, 0.05))" if method == "eb" else "spde(mesh)"
    keys = {"mesh": square_mesh(5), "coords": ("east", "north"), "family": "gamma", "method": method}
    fit = gs.fit(f"y ~ 1 + {spde}", waiting, link="inverse", **keys)
    places = waiting[["east", "north"]].head(20)
    exceed = () if method == "ml" else (1.5,)
    frame = fit.predict(places, exceed=exceed).to_frame()
    assert (frame["q0.025"] < frame["q0.5"]).all() and (frame["q0.5"] < frame["q0.975"]).all()
    fitted = fit.fitted
    low, high = ("lower", "upper") if method == "ml" else ("q0.025", "q0.975")
    assert (fitted[low] < fitted[high]).all()
    # of places that are seen well a reciprocal and an exponential say the same
    other = gs.fit(f"y ~ 1 + {spde.replace('0.5', '1')}", waiting, **keys).predict(places, exceed=exceed).to_frame()
    np.testing.assert_allclose(frame["mean"], other["mean"], rtol=0.12)
    if exceed:
        eta = fit.sample(400, seed=1)
        assert len(eta) == 400
        np.testing.assert_allclose(frame["exceed_1.5"], other["exceed_1.5"], atol=0.15)
        with pytest.raises(InputError, match="a link whose mean rises"):
            fit.predict(places).excursions(1.5)


def test_what_has_no_place_to_begin_is_told():
    t = pd.DataFrame({"x": np.linspace(-1, 1, 40), "y": np.arange(40) % 5})
    with pytest.raises(NumericalError, match="'identity' has no mean at any predictor.*has the model an intercept"):
        gs.fit("y ~ 0 + x", t, family="poisson", link="identity", method="ml")
    with pytest.raises(InputError, match="family 'poisson' has the link 'log', 'identity', 'sqrt', not 'inverse'"):
        gs.fit("y ~ x", t, family="poisson", link="inverse")


def test_zeros_that_draw_a_predictor_to_the_end_of_its_link_are_told():
    t = pd.DataFrame({"y": np.where(np.arange(40) % 5 < 2, 0.0, np.arange(40.0)), "g": np.arange(40).astype(str)})
    with pytest.raises(NumericalError, match="to where the link 'identity' ends.*take link='log'"):
        gs.fit("y ~ 1 + (1 | g)", t, family="tweedie", link="identity", method="eb")
