"""Fields of any smoothness: fractions, covariance against Matérn's, an estimated nu."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conformance import table
from oracles import square_mesh
from scipy.special import gamma, kv

import geospde as gs
from geospde.model.build import build_model
from geospde.terms.precisions.fem import fem_matrices
from geospde.terms.precisions.matern import MaternSpde
from geospde.terms.precisions.spde.base import Call
from geospde.terms.precisions.spde.best_rational import best_fractions, interpolated_fractions
from geospde.terms.precisions.spde.rational import RationalMatern

MOSS = Path(__file__).parents[1] / "reference" / "moss" / "moss.csv"
MESH = square_mesh(80, 0, 4.8)  # the range is 1: the middle is 2.4 ranges from the edge
MATRICES = fem_matrices(MESH.vertices, MESH.triangles)


def matern(distance, nu):
    """Correlation at distances over the range."""
    z = np.maximum(np.sqrt(8 * nu) * distance, 1e-12)
    return np.where(distance > 0, 2 ** (1 - nu) / gamma(nu) * z**nu * kv(nu, z), 1.0)


def covariance(field, theta):
    """Covariance of the field at the middle with that at every vertex, and the distances."""
    size = MESH.n_vertices
    middle = int(np.argmin(((MESH.vertices - 2.4) ** 2).sum(axis=1)))
    one = np.zeros(field.n)
    one[middle + size * np.arange(field.layers)] = 1.0
    solved = field._solver.factor(field.values(np.asarray(theta, dtype=float))).solve(one)
    return solved.reshape(field.layers, size).sum(axis=0), np.hypot(*(MESH.vertices - MESH.vertices[middle]).T)


@pytest.mark.slow
@pytest.mark.parametrize("nu", [0.25, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 3.0])
def test_the_covariance_is_materns_to_a_hundredth(nu):
    """Beyond the two nearest vertices, where elements a sixteenth of the range long tell distances apart."""
    order = 4 if nu < 1 else 2
    found, distance = covariance(RationalMatern(*MATRICES, nu=nu, order=order), [0.0, np.log(1.5)])
    seen = (distance < 1.0) & (distance > 0.15)
    assert found[seen] / 1.5**2 == pytest.approx(matern(distance[seen], nu), abs=0.01)


@pytest.mark.parametrize("order, error", [(2, 0.07), (3, 0.08), (4, 0.03)])
def test_fractions_are_near_the_root_at_every_frequency_that_a_mesh_has(order, error):
    """Errors between absolute and relative ones, over x^¼; the bounds are those found, rounded up."""
    x = np.exp(np.linspace(np.log(1e-4), 0.0, 300))
    f = best_fractions(0.5, 1, order)
    assert (f.poles > 0).all() and (f.shares > 0).all()
    assert np.abs((f(x) - np.sqrt(x)) / x**0.25).max() < error


@pytest.mark.parametrize("s, power", [(0.2, 1), (0.613, 1), (0.4, 2), (0.85, 2)])
def test_fractions_as_a_function_of_nu_are_the_best_and_have_their_slopes(s, power):
    found, best = interpolated_fractions(s, power, 2), best_fractions(s, power, 2)
    assert np.log(found.poles) == pytest.approx(np.log(best.poles), abs=1e-3)
    assert np.log(found.shares) == pytest.approx(np.log(best.shares), abs=1e-3)
    up, down = interpolated_fractions(s + 1e-5, power, 2), interpolated_fractions(s - 1e-5, power, 2)
    assert found.pole_slopes == pytest.approx(np.log(up.poles / down.poles) / 2e-5, rel=1e-4)
    assert found.share_slopes == pytest.approx(np.log(up.shares / down.shares) / 2e-5, rel=1e-4, abs=1e-5)


def test_smoothness_one_is_the_field_of_alpha_two():
    theta = np.array([0.3, -0.2])
    ours, other = RationalMatern(*MATRICES, nu=1.0), MaternSpde(*MATRICES)
    assert ours.layers == 1 and abs(ours.matrix(theta) - other.matrix(theta)).max() < 1e-10 * other.values(theta).max()
    assert ours.log_normaliser(theta)[0] == pytest.approx(other.log_normaliser(theta)[0], rel=1e-10)


@pytest.mark.slow
def test_an_estimated_nu_has_the_field_of_the_same_nu_given():
    estimated = RationalMatern(*MATRICES, nu=None)
    for nu in (0.4, 0.99, 1.01, 1.7):
        given = RationalMatern(*MATRICES, nu=nu, order=2)
        found, _ = covariance(estimated, [0.1, 0.2, -np.log(2 / nu - 1)])
        # at 0.99 the second fraction is nearly nothing, and interpolated beyond the last node
        assert found == pytest.approx(covariance(given, [0.1, 0.2])[0], abs=5e-3)  # a variance of 1.5, at corners of 6


@pytest.mark.parametrize("nu", [0.5, 1.5, None])
def test_a_few_factors_tell_the_determinants_of_all_fields(nu):
    """All stand on one curve, `geospde.terms.precisions.determinant`, so that most evaluations make no factor."""
    mesh = square_mesh(6, 0, 3.0)
    field = RationalMatern(*fem_matrices(mesh.vertices, mesh.triangles), nu=nu, order=3)
    rows, columns = field.pattern.indices, np.repeat(np.arange(field.n), np.diff(field.pattern.indptr))
    for theta in np.random.default_rng(0).normal(0.0, 0.3, (20, len(field.parameters))):
        value, slope = field.log_normaliser(theta)
        dense = 0.5 * np.linalg.slogdet(field.matrix(theta).toarray())[1]
        assert value == pytest.approx(dense, abs=1e-8)
        lower = np.linalg.inv(field.matrix(theta).toarray())[rows, columns]
        traces = field.gradients(theta) @ np.where(rows == columns, lower, 2.0 * lower)
        assert slope == pytest.approx(0.5 * traces, abs=1e-6)
    assert field.factorisations < 50  # of 80, and hardly more for another 20 thetas


@pytest.mark.parametrize(
    "kind, option",
    [(MaternSpde, {"alpha": a}) for a in (1.0, 1.5, 2.0)] + [(RationalMatern, {"nu": nu}) for nu in (0.5, 1.5, None)],
)
def test_a_constraint_takes_no_factor(kind, option):
    """Against a dense inverse, and its slope against central differences."""
    mesh = square_mesh(6, 0, 3.0)
    matrices = fem_matrices(mesh.vertices, mesh.triangles)
    free, held = kind(*matrices, **option), kind(*matrices, **option, constr=True)
    theta = np.array([0.2, -0.3, 0.4])[: len(held.parameters)]

    def part(at):
        return held.log_normaliser(at)[0] - free.log_normaliser(at)[0]

    of, q = held.constraints, held.matrix(theta).toarray()
    dense = 0.5 * np.log((of.T @ np.linalg.solve(q, of)) / (of.T @ of)).item()
    assert part(theta) == pytest.approx(dense, abs=1e-9)  # digits of a dense solve
    slope = held.log_normaliser(theta)[1] - free.log_normaliser(theta)[1]
    steps = 1e-4 * np.eye(theta.size)
    assert slope == pytest.approx([(part(theta + h) - part(theta - h)) / 2e-4 for h in steps], abs=1e-6)
    assert held.factorisations == free.factorisations


@pytest.mark.slow
def test_nu_is_a_row_of_its_own_with_a_prior():
    data, mesh = table(), square_mesh(4)
    keys = {"data": data, "mesh": mesh, "coords": ("x", "y"), "method": "eb"}
    fit = gs.fit("v ~ 1 + spde(mesh, nu='estimate')", **keys)
    assert 0 < fit.hyper.loc["nu(spde)", "mean"] < 2 and "kappa(spde)" in fit.hyper.index
    assert "Beta(2, 2) from 0 to 2" in fit.model.hyperparameters[2].prior
    held = gs.fit("v ~ 1 + spde(mesh, nu='estimate')", priors={"nu(spde)": {"fixed": [0.5]}}, **keys)
    given = gs.fit("v ~ 1 + spde(mesh, nu=0.5, order=2)", **keys)
    assert held.log_marginal_likelihood == pytest.approx(given.log_marginal_likelihood, abs=0.01)
    assert held.hyper.loc["range(spde)", "mean"] == pytest.approx(given.hyper.loc["range(spde)", "mean"], rel=0.01)
    exponential = gs.fit("v ~ 1 + spde(mesh, nu=0.5)", **{**keys, "method": "reml"})
    pd.testing.assert_index_equal(exponential.hyper.index[:3], pd.Index(["range(spde)", "sigma(spde)", "kappa(spde)"]))


@pytest.mark.parametrize(
    "option, words",
    [
        ("nu=0", "number from 0.01 to 3"),
        ("nu=4", "number from 0.01 to 3"),
        ("nu=True", "number from 0.01 to 3"),
        ("nu='guess'", "or 'estimate'"),
        ("nu=0.5, alpha=2", "no field with alpha and nu together"),
        ("nu=0.5, order=7", "is 2, 3 or 4"),
        ("order=2", "give nu, too"),
        ("nu=0.5, prior='spde2'", "stationary field of one sigma"),
    ],
)
def test_other_calls_are_refused(option, words):
    with pytest.raises(gs.InputError, match=words):
        build_model(f"v ~ 1 + spde(mesh, {option})", table(), mesh=square_mesh(4), coords=("x", "y"))


def plane_correlation(distance, order, nu=0.5):
    """Of the sum of fractions in the plane, nu < 1, of range 1: each is a difference of two K0 (Whittle 1954)."""
    form, kappa = best_fractions(nu, 1, order), np.sqrt(8 * nu)
    apart = np.where(distance > 0, distance, 1.0)
    out = np.zeros_like(distance)
    for pole, share in zip(form.poles, form.shares):
        inner = kappa * np.sqrt(1.0 + pole)
        at_zero = 0.5 * np.log1p(pole)
        difference = np.where(distance > 0, kv(0, kappa * apart) - kv(0, inner * apart), at_zero)
        out += 2 * nu * share * (1.0 + pole) / pole * difference
    return out


@pytest.mark.parametrize("nu, near", [(0.35, 0.0), (0.5, 0.0), (0.7, 0.0), (0.9, 0.0), (0.25, 0.01)])
def test_four_fractions_are_materns_covariance_in_the_plane(nu, near):
    """To a hundredth, at any distance; at nu = 1/4 the last two hundredths of the variance are beyond any mesh."""
    call = Call(square_mesh(4), {"nu": nu}, "spde", "spde(mesh, nu)")
    assert RationalMatern.read(call).layers == 4
    distance = np.concatenate([[0.0], np.geomspace(1e-3, 2.0, 200)])
    error = np.abs(plane_correlation(distance, 4, nu) - matern(distance, nu))
    assert error[distance >= near].max() < 0.01


@pytest.mark.slow
def test_moss_has_the_range_of_a_dense_exponential_covariance():
    """By REML on the mesh of defaults; dense: 367.196, range 16,277 m, slope -0.5621 (0.0201)."""
    moss = pd.read_csv(MOSS)
    mesh = gs.build_mesh(sites=moss[["x", "y"]].to_numpy())
    formula = "log_Zn ~ log_dist2road + spde(mesh, nu=0.5)"
    fit = gs.fit(formula, moss, mesh=mesh, coords=("x", "y"), method="reml")
    assert -2 * fit.log_likelihood == pytest.approx(
        367.196, abs=0.9
    )  # another mesh of as many vertices moves it by 0.35
    assert fit.hyper.loc["range(spde)"].iloc[0] == pytest.approx(16277, rel=0.02)
    assert fit.fixed.loc["log_dist2road"].iloc[0] == pytest.approx(-0.5621, abs=0.002)  # a tenth of its error


@pytest.mark.slow
def test_an_exponential_covariance_at_sites_converges_as_the_mesh_is_refined():
    """Sites a hundredth of the range apart among others that stand alone, whose triangles differ 20 times in size.

    The limit is the covariance of the fractions in the plane, which is Matérn's to 0.01. A rough field errs as its
    edges are long: at most half the error is left with edges of half the length. The boundary is 2.6 ranges away: at
    1.2 ranges it adds 3 % to the variance, whatever the mesh.
    """
    rng = np.random.default_rng(5)
    alone = rng.uniform(0, 0.6, (8, 2))
    sites = np.vstack([alone, alone[:3] + 0.01])
    distance = np.hypot(*(sites[:, None] - sites[None]).transpose(2, 0, 1))
    limit = plane_correlation(distance, 3)
    assert limit == pytest.approx(matern(distance, 0.5), abs=0.01)
    mesh, errors = gs.build_mesh(sites=sites, max_edge=(0.2, 0.7), offset=2.6), []
    for _ in range(3):
        field = RationalMatern(*fem_matrices(mesh.vertices, mesh.triangles), nu=0.5, order=3)
        rows = field.rows(mesh.basis(sites))
        found = rows @ field._solver.factor(field.values(np.zeros(2))).solve(rows.T.toarray())
        errors.append(float(np.sqrt(np.mean((found - limit) ** 2))))
        mesh = mesh.refined()
    assert errors[1] < 0.5 * errors[0] and errors[2] < 0.5 * errors[1] < 0.005
