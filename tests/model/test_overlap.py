"""Fields that overlap: predictions in a gap of the survey take their covariances from the selected inverse."""

import numpy as np
import pandas as pd
import pytest
import shapely

import geospde as gs
from geospde.inference.combinations import row_variances
from geospde.model.overlap import overlap


@pytest.fixture(scope="module")
def fit():
    rng = np.random.default_rng(1)
    data = pd.DataFrame(rng.uniform(0, 10, (300, 2)), columns=["x", "y"])
    data = data[np.hypot(data.x - 5, data.y - 5) > 3]
    data["z"] = np.sin(data.x) + 0.3 * data.y + rng.normal(0, 0.3, len(data))
    square = shapely.box(0, 0, 10, 10)
    meshes = {
        "fine": gs.build_mesh(square, max_edge=0.8, convex=0),
        "wide": gs.build_mesh(square, max_edge=4, convex=0),
    }
    formula = "z ~ spde(fine, alpha=1) + spde(wide)"
    return gs.fit(formula, data, mesh=meshes, coords=("x", "y"), method="eb")


def test_rows_in_a_gap_lie_on_the_pattern_and_have_the_variances_of_solves(fit):
    rng = np.random.default_rng(2)
    places = 5 + rng.uniform(-2, 2, (200, 2))
    rows = fit.model.rows(pd.DataFrame(places, columns=["x", "y"]), places)
    quadratic, inside = fit.laplace.quadratic_map(rows)
    # a place beyond a long edge, in a corner of its triangle that no corner or centre stands for, may be left out
    assert inside.mean() > 0.95
    point = fit.posterior.points[0]
    solved = row_variances(fit.laplace, point, rows)
    assert np.allclose((quadratic @ point.covariance)[inside], solved[inside], rtol=1e-9)


def test_fields_that_overlap_meet_in_every_triangle(fit):
    meeting = overlap(fit.model.terms, 1)
    assert meeting.shape == (fit.model.meshes["fine"].n_triangles, fit.laplace.n)
    fine = fit.model.terms[0].n
    assert (np.diff(meeting[:, :fine].indptr) >= 3).all() and (np.diff(meeting[:, fine:].indptr) >= 3).all()


def test_one_field_meets_none(fit):
    assert overlap(fit.model.terms[:1]) is None


@pytest.mark.parametrize(
    "formula", ["z ~ spde(mesh, nu=0.5)", "z ~ spde(mesh, by=(1, u))", "z ~ spde(mesh) + spde(mesh, by=u)"]
)
def test_fields_of_one_mesh_meet_where_no_site_is(formula):
    rng = np.random.default_rng(3)
    data = pd.DataFrame(rng.uniform(0, 10, (20, 2)), columns=["x", "y"])
    data["z"], data["u"] = rng.normal(size=20), rng.normal(size=20)
    mesh = gs.build_mesh(shapely.box(0, 0, 10, 10), max_edge=2, convex=0)
    fit = gs.fit(formula, data, mesh=mesh, coords=("x", "y"), method="eb")
    places = rng.uniform(0, 10, (200, 2))
    rows = fit.model.rows(pd.DataFrame(places, columns=["x", "y"]).assign(u=1.0), places)
    assert fit.laplace.quadratic_map(rows)[1].all()
