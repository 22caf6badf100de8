"""Fields whose range and sigma vary in space: R-INLA's precision and posterior, the local covariance, refusals."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from conformance import table
from oracles import square_mesh

import geospde as gs
from geospde.model.build import build_model
from geospde.terms.precisions.fem import fem_matrices
from geospde.terms.precisions.matern import MaternSpde
from geospde.terms.precisions.spde.varying import Varying

REFERENCE = Path(__file__).parents[1] / "reference" / "nonstationary"


def read(name):
    return pd.read_csv(REFERENCE / f"{name}.csv")


@pytest.fixture(scope="module")
def mesh():
    return gs.Mesh(read("mesh_vertices"), read("mesh_triangles")).with_values(xv=read("covariate").xv)


def varying(mesh, of_range, of_sigma):
    """A field with one column of each, or none."""
    columns = [np.zeros((mesh.n_vertices, 0)) if c is None else np.asarray(c)[:, None] for c in (of_range, of_sigma)]
    return Varying(mesh, *columns, ["a"] * columns[0].shape[1], ["b"] * columns[1].shape[1])


def test_the_precision_is_r_inlas_entry_by_entry(mesh):
    own = read("precision")
    q = varying(mesh, None, mesh.values["xv"]).matrix(np.array([np.log(0.35), np.log(0.8), 1.2]))
    assert np.asarray(q[own.i, own.j]).ravel() == pytest.approx(own.x.to_numpy(), rel=1e-8)


@pytest.mark.slow
def test_the_posterior_is_r_inlas(mesh):
    """The coefficient within a tenth of its standard deviation, the rest within a fifth: R-INLA, too, approximates."""
    priors = {
        "range(spde)": {"gaussian": [float(np.log(0.3)), 1]},
        "sigma(spde)": {"gaussian": [0, 1]},
        "log_sigma(spde, xv)": {"gaussian": [0, 1]},
        "sigma": {"pc": [1, 0.05]},
    }
    term = "spde(mesh, log_sigma='~ xv')"
    fit = gs.fit(f"z ~ 1 + {term}", read("data"), mesh=mesh, coords=("x", "y"), priors=priors)
    assert fit.hyper.loc["log_sigma(spde, xv)", "mean"] == pytest.approx(1.0801, abs=0.0357)
    assert fit.marginal("log range(spde)").mean == pytest.approx(-0.7066, abs=0.2 * 0.288)
    # by importance sampling over theta with this Gaussian model's exact evidence -0.155 (0.001); R-INLA has -0.195
    assert fit.marginal("log sigma(spde)").mean == pytest.approx(-0.155, abs=0.05 * 0.222)


def test_without_columns_it_is_the_stationary_field():
    mesh = square_mesh(6)
    theta = np.array([-0.4, 0.3])
    ours, other = varying(mesh, None, None), MaternSpde(*fem_matrices(mesh.vertices, mesh.triangles))
    assert abs(ours.matrix(theta) - other.matrix(theta)).max() < 1e-10 * other.values(theta).max()


@pytest.mark.slow
def test_range_and_sigma_are_those_of_the_place():
    """Standard deviations rise with log sigma, and correlation reaches as far as the range."""
    mesh = square_mesh(40, 0.0, 5.0)
    x = mesh.vertices[:, 0] - 2.5
    field = varying(mesh, x, x)
    inverse = np.linalg.inv(field.matrix(np.array([np.log(0.6), 0.0, 0.15, 0.4])).toarray())
    for at in (1.5, 2.5, 3.5):
        here = np.exp(0.15 * (at - 2.5)) * 0.6
        basis = mesh.basis([[at, 2.5], [at, 2.5 + here]])
        c = basis @ inverse @ basis.T
        # elements a sixth of the range long change a variance by some per cent
        assert np.sqrt(c[0, 0]) == pytest.approx(np.exp(0.4 * (at - 2.5)), rel=0.08)
        assert c[0, 1] / np.sqrt(c[0, 0] * c[1, 1]) == pytest.approx(0.14, abs=0.03)


def test_values_stay_with_the_mesh(tmp_path):
    mesh = square_mesh(3).with_values(elev=np.arange(16.0))
    mesh.to_gpkg(tmp_path / "mesh.gpkg")
    for again in (gs.Mesh.from_gpkg(tmp_path / "mesh.gpkg"), gs.Mesh.from_arrays(mesh.to_arrays())):
        assert (again.values["elev"] == mesh.values["elev"]).all()
    assert mesh.refined().values["elev"].size == mesh.refined().n_vertices
    with pytest.raises(gs.InputError, match="a finite number for each of its 16 vertices"):
        mesh.with_values(bad=[1.0, 2.0])


@pytest.mark.slow
def test_a_covariate_of_the_map_is_taken_at_the_vertices(tmp_path):
    """As values at the vertices are; beyond the raster the nearest holds."""
    mesh, data = square_mesh(5), table().drop(columns="elev", errors="ignore")
    x = np.linspace(0.0, 1.0, 51)
    raster = xr.DataArray(np.tile(x**2, (51, 1)), coords={"y": x[::-1], "x": x}, dims=("y", "x"))
    call, options = "v ~ 1 + spde(mesh, log_sigma='~ elev')", {"coords": ("x", "y"), "method": "eb"}
    sampled = gs.fit(call, data, mesh=mesh, covariates={"elev": raster}, **options)
    at_vertices = np.interp(mesh.vertices[:, 0], x, x**2)
    given = gs.fit(call, data, mesh=mesh.with_values(elev=at_vertices), **options)
    pd.testing.assert_frame_equal(sampled.hyper, given.hyper, rtol=1e-6)
    sampled.save(tmp_path / "fit.gs")
    again = gs.load_fit(tmp_path / "fit.gs").predict(data.head()).to_frame()
    pd.testing.assert_frame_equal(again, sampled.predict(data.head()).to_frame())


@pytest.mark.parametrize(
    "option, words",
    [
        ("log_range='~ elevation'", "needs 'elevation' at the vertices"),
        ("log_range='elev'", "takes a formula in quotes"),
        ("log_sigma=2", "takes a formula in quotes"),
        ("log_sigma='~ 1'", "names no column"),
        ("log_sigma='~ flat'", "is the same at every vertex"),
        ("log_sigma='~ x', nu=0.5", "no field with"),
    ],
)
def test_other_calls_are_refused(option, words):
    mesh = square_mesh(4).with_values(flat=np.ones(25))
    with pytest.raises(gs.InputError, match=words):
        build_model(f"v ~ 1 + spde(mesh, {option})", table(), mesh=mesh, coords=("x", "y"))
