"""Eigenbasis and precision of smooth terms against mgcv's numbers and dense algebra."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import cdist

import geospde as gs
from geospde.model.build import build_model
from geospde.terms.precisions import eigenbasis
from geospde.terms.precisions.eigenbasis import Correlation, Eigenbasis
from geospde.terms.precisions.smooth import Smooth

REFERENCE = Path(__file__).parents[1] / "reference" / "chapter"


@pytest.fixture(scope="module")
def sites():
    points = gs.load_dataset("rongelap").points
    return points[["cX", "cY"]].to_numpy(dtype=float)


@pytest.fixture(scope="module")
def mgcv():
    return json.loads((REFERENCE / "gam.json").read_text())


@pytest.mark.parametrize(
    ("kind", "at", "value"),
    # by hand: 1 - 0.75 + 0.0625; e^-0.5; 1.5 e^-0.5; (1.5 + 1/12) e^-0.5; (1.5 + 0.1 + 1/120) e^-0.5
    [(1, 0.5, 0.3125), (2, 0.5, 0.60653066), (3, 0.5, 0.90979599), (4, 0.5, 0.96034021), (5, 0.5, 0.97550348),
     (1, 2.0, 0.0)],
)  # fmt: skip
def test_correlations_by_hand(kind, at, value):
    assert Correlation(kind, 10.0)(np.array([10.0 * at, 0.0])) == pytest.approx([value, 1.0], abs=1e-8)


def test_power_exponential_has_its_power():
    assert Correlation(2, 2.0, 1.5)(np.array([8.0])) == pytest.approx(np.exp(-8.0))


def test_eigenvalues_are_those_that_r_finds(sites):
    expected = np.loadtxt(REFERENCE / "gam_gp_eigenvalues.txt")[:47]
    # the file has 16 digits; rounding of an eigenvalue is 1e-16 of the largest, 143, and the least is 0.0003
    assert Eigenbasis(sites, 50).eigenvalues == pytest.approx(expected, rel=1e-9)


def test_knots_range_and_scale_are_those_of_mgcv(sites, mgcv):
    for name, options in [
        ("default_eig_UBRE", {}), ("m1_UBRE", {"kind": 1}), ("m2_500_UBRE", {"kind": 2, "reach": 500.0}),
        ("m4_UBRE", {"kind": 4}), ("m5_500_REML", {"kind": 5, "reach": 500.0}),
    ]:  # fmt: skip
        basis, theirs = Eigenbasis(sites, 50, **options), mgcv[name]
        assert len(basis.knots) == theirs["n_knots"]
        assert basis.centre == pytest.approx(theirs["shift"], rel=1e-12)
        assert basis.correlation.range == pytest.approx(theirs["gp.defn"][1], rel=1e-12)
        # where mgcv's truncated Lanczos eigenvectors enter (all but the first) they move this by up to 1e-6
        assert basis.penalty_scales[0] == pytest.approx(theirs["S.scale"], rel=1e-5)


@pytest.mark.parametrize("trend", [True, False])
def test_columns_sum_to_zero_and_have_unit_size_about_the_trend(sites, trend):
    columns = Eigenbasis(sites, 30, trend=trend).at(sites)
    penalised = columns[:, :27] if trend else columns
    assert columns.shape == (157, 29)
    # sums of 157 numbers of size 1 at rounding 1e-16 each, through a basis of condition 1e3
    assert np.abs(columns.sum(axis=0)).max() < 1e-9
    assert (penalised**2).sum(axis=1).mean() == pytest.approx(1, abs=1e-12)
    if trend:
        assert np.abs(penalised.T @ (sites - sites.mean(axis=0)) / sites.std(axis=0)).max() < 1e-8


def test_smooth_has_the_covariance_of_the_best_low_rank_process(sites):
    basis = Eigenbasis(sites, 60)
    correlation = basis.correlation(cdist(sites, sites))
    values, vectors = np.linalg.eigh(correlation)
    best = (vectors[:, -57:] * values[-57:]) @ vectors[:, -57:].T
    trend = np.column_stack([np.ones(157), (sites - basis.centre) / basis.units])
    off = np.eye(157) - trend @ np.linalg.pinv(trend)
    own = basis.at(sites)[:, :-2] * basis.scale
    # rounding of the eigenvectors, whose least eigenvalue is 1e-6 of the largest
    assert np.allclose(own @ own.T, off @ best @ off, atol=1e-9)


def test_basis_does_not_depend_on_the_solvers_whims():
    # a square grid: pairs of equal eigenvalues, whose eigenvectors a solver may turn; here the order of rows turns them
    x = np.stack(np.meshgrid(np.arange(6.0), np.arange(6.0)), axis=-1).reshape(-1, 2)
    basis = Eigenbasis(x, 13)
    shuffled = np.random.default_rng(1).permutation(36)
    # cut between different eigenvalues
    assert basis.eigenvalues[-1] > 1.0001 * np.linalg.eigvalsh(basis.correlation(cdist(x, x)))[-11]
    assert np.allclose(basis.at(x[shuffled]), Eigenbasis(x[shuffled], 13).at(x[shuffled]), atol=1e-10)


def test_many_places_take_two_thousand_of_them_as_knots(monkeypatch):
    assert eigenbasis.MOST_KNOTS == 2000
    monkeypatch.setattr(eigenbasis, "MOST_KNOTS", 200)  # of which an eigendecomposition takes a thousandth of the time
    places = np.random.default_rng(1).uniform(size=(250, 1))
    first, again = Eigenbasis(places, 8), Eigenbasis(places, 8)
    assert first.knots.shape == (200, 1)
    assert np.array_equal(first.knots, again.knots)


def test_precision_and_normaliser_leave_the_null_space_out():
    term = Smooth(7, 2, null_units=0.25)
    theta = np.array([0.3])
    q = term.values(theta)
    assert q == pytest.approx([np.exp(-0.6)] * 5 + [0.0, 0.0])
    assert term.log_normaliser(theta)[0] == pytest.approx(0.5 * np.log(q[:5]).sum() + np.log(0.25))
    step = 1e-6
    # central differences, error 1e-10
    change = (term.values(theta + step) - term.values(theta - step)) / (2 * step)
    assert np.allclose(term.gradients(theta)[0], change, atol=1e-8)
    assert term.log_normaliser(theta)[1] == pytest.approx(-5)


# -- reading -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"x": rng.uniform(size=40), "z": rng.uniform(size=40), "one": 1.0, "text": ["a", "b"] * 20})
    frame["double"] = 2 * frame.x + 1
    frame["far"] = 1e160 * frame.x
    frame["g"] = np.repeat(np.arange(8), 5)
    return frame.assign(y=rng.normal(size=40))


def test_default_dimension_is_that_of_mgcv(table):
    assert build_model("y ~ s(x, bs='gp')", table).terms[0].precision.n == 2 + 10 - 1
    assert build_model("y ~ s(x, z, bs='gp')", table).terms[0].precision.n == 3 + 30 - 1
    assert build_model("y ~ s(x, bs='gp', m=-3)", table).terms[0].precision.n == 1 + 10 - 1


def test_names_are_of_the_term_and_its_coefficients(table):
    model = build_model("y ~ s(x, z, bs='gp', k=5) + s(g, bs='re')", table)
    assert [h.name for h in model.hyperparameters] == ["sd(s(x,z))", "sd(s(g))", "sigma"]
    assert model.latent_names[:2] + model.latent_names[-1:] == ["s(x,z)[1]", "s(x,z)[2]", "s(g)[7]"]


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        ("y ~ s(x, bs='ad')", "no smooth bs='ad'; there are 'tp', 'cr', 'cc', 'ps', 'gp', 're'"),
        ("y ~ s(x, bs='so')", "no smooth bs='so'.*'gp'"),
        ("y ~ s(x, bs='gp', K=5)", "no option 'K'; did you mean 'k'"),
        ("y ~ s(x, bs='gp', fx=True)", "no option 'fx'"),
        ("y ~ s(bs='gp')", "names of columns"),
        ("y ~ s(2, bs='gp')", "names of columns"),
        ("y ~ s(x, x, bs='gp')", "twice"),
        ("y ~ s(xx, bs='gp')", "no column 'xx'.*did you mean 'x'"),
        ("y ~ s(text, bs='gp')", "'text' must be a finite number: row 0 holds 'a'"),
        ("y ~ s(x, one, bs='gp')", "'one'.*constant"),
        ("y ~ s(x, double, bs='gp')", "on a line"),
        ("y ~ s(x, bs='gp', k=41)", "k=41 is more than the 40 distinct places"),
        ("y ~ s(g, bs='gp')", "k=12 is more than the 8 distinct places"),
        ("y ~ s(x, z, bs='gp', k=3)", "k=3 leaves no function.*k=4"),
        ("y ~ s(x, bs='gp', k=4.5)", "whole number"),
        ("y ~ s(x, bs='gp', k=True)", "whole number"),
        ("y ~ s(x, bs='gp', m=6)", "kernel's number.*3 Matérn 3/2"),
        ("y ~ s(x, bs='gp', m=(3, -1))", "positive distance"),
        ("y ~ s(x, bs='gp', m=(2, 1, 3))", "between 0 and 2"),
        ("y ~ s(x, bs='gp', m=(3, 1, 2))", "only kernel 2"),
        ("y ~ s(x, bs='gp', m='3')", "kernel's number"),
        ("y ~ s(x, z, bs='gp', m=(1, 1e-9))", "too short.*stands alone"),
        ("y ~ s(x, bs='gp', k=39, m=5)", "functions apart"),
        ("y ~ x + s(x, z, bs='gp', k=6)", r"trend of s\(x,z\) is already in x.*m=-3"),
        ("y ~ s(x, bs='gp', k=6) + s(x, z, bs='gp', k=6)", r"already in s\(x\)"),
        ("y ~ s(far, bs='gp')", "give it in another unit"),
        ("y ~ s(x, bs='re')", r"'x' is a number.*\(0 \+ x \| group\)"),
        ("y ~ s(one, bs='re')", "'one' is a number"),
        ("y ~ s(g, bs='re', k=4)", "no k"),
    ],
)
def test_mistakes_get_a_sentence(table, formula, words):
    with pytest.raises(gs.InputError, match=words):
        build_model(formula, table)


def test_half_a_metre_of_range_is_refused():
    points = gs.load_dataset("rongelap").points
    with pytest.raises(gs.InputError, match="too short"):
        build_model("counts ~ s(cX, cY, bs='gp', k=50, m=(1, 0.5))", points, family="poisson")


def test_coordinates_of_the_geometry_are_x_and_y():
    points = gs.load_dataset("rongelap").points
    named = build_model("counts ~ s(cX, cY, bs='gp', k=9)", points, family="poisson")
    bare = build_model("counts ~ s(x, y, bs='gp', k=9)", points.drop(columns=["cX", "cY"]), family="poisson")
    np.testing.assert_allclose(named.design.toarray(), bare.design.toarray(), rtol=0, atol=1e-10)
