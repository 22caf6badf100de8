"""Fields around barriers: against R-INLA's precision matrix and an exact posterior; meshes with marked triangles."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely

import geospde as gs
from geospde.terms.precisions.spde.barrier import Barrier

REFERENCE = Path(__file__).parents[1] / "reference" / "barrier"


def read(name):
    return pd.read_csv(REFERENCE / f"{name}.csv")


@pytest.fixture(scope="module")
def mesh():
    triangles = read("mesh_triangles").to_numpy()
    land = np.isin(np.arange(len(triangles)), read("barrier_triangles").to_numpy())
    return gs.Mesh(read("mesh_vertices"), triangles, barrier=land)


def test_the_precision_is_r_inlas_entry_by_entry(mesh):
    q = Barrier(mesh, 0.1).matrix(np.log([3.0, 1.5]))
    own = read("precision")
    assert np.asarray(q[own.i, own.j]).ravel() == pytest.approx(own.x.to_numpy(), rel=1e-9)
    variance = np.diag(np.linalg.inv(q.toarray()))
    assert np.sqrt(variance) == pytest.approx(read("sd").sd.to_numpy(), rel=1e-8)


@pytest.mark.slow
def test_the_posterior_is_the_exact_one(mesh):
    """Means within a tenth of a standard deviation of those of a grid, and the evidence within a tenth of it."""
    term = "spde(mesh, barrier=0.1, prior_range=(3, 0.5), prior_sigma=(1, 0.1))"
    fit = gs.fit(f"z ~ 1 + {term}", read("data"), mesh=mesh, coords=("x", "y"), priors={"sigma": {"pc": [0.5, 0.1]}})
    mean = fit.hyper["mean"]
    assert mean["range(spde)"] == pytest.approx(3.289, abs=0.0701)
    assert mean["sigma(spde)"] == pytest.approx(0.8967, abs=0.0128)
    assert mean["sigma"] == pytest.approx(0.3295, abs=0.0037)
    assert fit.log_marginal_likelihood == pytest.approx(-145.121, abs=0.1)
    grid = gs.Grid.around(shapely.box(0, 0, 10, 10), cell=2)
    assert np.isfinite(fit.predict(grid).to_frame()["mean"]).all()


def test_a_mesh_is_marked_from_polygons_and_keeps_the_marks_in_files(tmp_path):
    land = shapely.MultiPolygon([shapely.box(4, 1, 6, 9), shapely.box(0.5, 7, 2, 9)])
    mesh = gs.build_mesh(shapely.box(0, 0, 10, 10), max_edge=1.0, barrier=land, convex=0, offset=0)
    assert mesh.areas[mesh.barrier].sum() == pytest.approx(land.area, rel=1e-6)  # outlines are edges
    mesh.to_gpkg(tmp_path / "mesh.gpkg")
    for again in (gs.Mesh.from_gpkg(tmp_path / "mesh.gpkg"), gs.Mesh.from_arrays(mesh.to_arrays())):
        assert (again.barrier == mesh.barrier).all()
    assert mesh.refined().areas[mesh.refined().barrier].sum() == pytest.approx(land.area, rel=1e-6)


def test_correlation_goes_around_land():
    wall = shapely.box(4.8, 0, 5.2, 8)
    mesh = gs.build_mesh(shapely.box(0, 0, 10, 10), max_edge=0.5, barrier=wall, convex=0, offset=0)
    inverse = np.linalg.inv(Barrier(mesh, 0.1).matrix(np.log([3.0, 1.0])).toarray())
    open_inverse = np.linalg.inv(Barrier(mesh, 0.999).matrix(np.log([3.0, 1.0])).toarray())
    near, far = mesh.basis([[4.0, 2.0]]), mesh.basis([[6.0, 2.0]])
    assert (near @ inverse @ far.T)[0, 0] < 0.1 * (near @ open_inverse @ far.T)[0, 0]


def test_what_is_no_barrier_is_refused(mesh):
    data, plain = read("data"), gs.Mesh(mesh.vertices, mesh.triangles)
    for own, option, words in (
        (plain, "barrier=0.1", "has no barriers"),
        (mesh, "barrier=1.5", "fraction of the range"),
        (mesh, "barrier=True", "fraction of the range"),
        (mesh, "barrier=0.1, nu=0.5", "no field with"),
    ):
        with pytest.raises(gs.InputError, match=words):
            gs.fit(f"z ~ 1 + spde(mesh, {option})", data, mesh=own, coords=("x", "y"))
    with pytest.raises(gs.InputError, match="True or False for each"):
        gs.Mesh(mesh.vertices, mesh.triangles, barrier=[True, False])
    with pytest.raises(gs.InputError, match="outside of the mesh"):
        gs.build_mesh(shapely.box(0, 0, 1, 1), max_edge=0.3, barrier=shapely.box(50, 50, 60, 60))
    with pytest.raises(gs.InputError, match="must be polygons"):
        gs.build_mesh(shapely.box(0, 0, 1, 1), max_edge=0.3, barrier=shapely.MultiPoint([(0.2, 0.2), (0.4, 0.6)]))
