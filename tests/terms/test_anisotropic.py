"""Anisotropic fields: a published optimum, the ellipse of the covariance, isotropy."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conformance import table
from oracles import square_mesh

import geospde as gs
from geospde.inference.marginals import unwrapped
from geospde.likelihood.notes import notes_on
from geospde.likelihood.search import Maximum
from geospde.model.build import build_model
from geospde.terms.precisions.fem import fem_matrices
from geospde.terms.precisions.matern import MaternSpde
from geospde.terms.precisions.spde.anisotropic import Anisotropic

OPTIMA = Path(__file__).parents[1] / "reference" / "optima"


def test_the_published_optimum_is_found():
    data = pd.read_csv(OPTIMA / "spatial.csv")
    mesh = gs.Mesh(pd.read_csv(OPTIMA / "mesh-loc.csv"), pd.read_csv(OPTIMA / "mesh-tv.csv") - 1)
    keys = {"data": data, "mesh": mesh, "coords": ("X", "Y"), "method": "ml"}
    fit = gs.fit("y_aniso ~ x + spde(mesh, anisotropy=True)", **keys)
    assert -fit.log_likelihood == pytest.approx(251.810662302, abs=1e-6)
    rows = ["anisotropy_ratio(spde)", "anisotropy_angle(spde)"]
    assert list(fit.hyper.index[2:4]) == rows
    assert 1 < fit.hyper.loc[rows[0], "estimate"] < 4 and 0 < fit.hyper.loc[rows[1], "estimate"] < 45


# means and sds of logarithms (the angle: degrees along the circle, where -90 and 90 are one), by 12,000 importance
# draws of theta worth 7,000, each with the dense Gaussian density of the observations from the assembled precision:
# means err by 0.012 sd
EXACT = {
    "range(spde)": (-0.593, 0.505),
    "sigma(spde)": (0.146, 0.263),
    "anisotropy_ratio(spde)": (1.166, 0.397),
    "anisotropy_angle(spde)": (-68.5, 12.3),
    "sigma": (-1.267, 0.102),
}


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(3)
    sites = pd.DataFrame(rng.uniform(0.1, 0.9, (70, 2)), columns=["x", "y"])
    sites["z"] = np.sin(8 * sites.x + 4 * sites.y) + 0.3 * rng.normal(size=70)
    term = "spde(mesh, anisotropy=True, prior_range=(0.3, 0.5), prior_sigma=(1, 0.1))"
    return gs.fit(f"z ~ 1 + {term}", sites, coords=("x", "y"), mesh=square_mesh(9, -0.3, 1.3))


@pytest.mark.slow
def test_the_posterior_is_the_exact_one(fitted):
    for name, (mean, sd) in EXACT.items():
        marginal = fitted.marginal(name if "angle" in name else f"log {name}")
        assert marginal.mean == pytest.approx(mean, abs=0.07 * sd)
        assert marginal.sd == pytest.approx(sd, rel=0.08)


@pytest.mark.slow
def test_an_angle_is_told_along_its_circle(fitted):
    rng = np.random.default_rng(2)
    for middle in (0.0, 80.0, 89.0, -60.0):  # of a narrow distribution that reaches beyond 90 degrees
        angles = (middle + 8.0 * rng.standard_normal(4000) + 90) % 180 - 90
        turned = unwrapped(angles, np.full(4000, 1 / 4000), 180.0)
        assert turned.mean() == pytest.approx(middle, abs=0.5) and turned.std() == pytest.approx(8.0, rel=0.05)
    found = fitted.certify(draws=1000).hyper.loc["anisotropy_angle(spde)"]
    mean, sd = EXACT["anisotropy_angle(spde)"]
    assert found["mean"] == pytest.approx(mean, abs=0.07 * sd) and found["sd"] == pytest.approx(sd, rel=0.08)


@pytest.mark.slow
def test_a_ratio_is_nowhere_below_zero(fitted):
    ratio, logarithm = (fitted.marginal(name) for name in ("anisotropy_ratio(spde)", "log anisotropy_ratio(spde)"))
    assert ratio.x.min() > 0  # smoothed on the scale of the ratio itself its density reached below
    np.testing.assert_allclose(np.log(ratio.quantile([0.025, 0.5])), logarithm.quantile([0.025, 0.5]), rtol=1e-9)


def test_without_direction_it_is_the_field_of_alpha_two():
    mesh = square_mesh(6)
    other = MaternSpde(*fem_matrices(mesh.vertices, mesh.triangles))
    ours, theta = Anisotropic(mesh), np.array([-0.5, 0.3])
    difference = ours.matrix(np.r_[theta, 0.0, 0.0]) - other.matrix(theta)
    assert abs(difference).max() < 1e-10 * other.values(theta).max()


def test_the_covariance_has_its_longest_range_along_the_angle():
    mesh = square_mesh(40, -2.0, 2.0)
    ratio, angle = 2.0, np.radians(30.0)
    v = np.log(ratio) * np.array([np.cos(2 * angle), np.sin(2 * angle)])
    field = Anisotropic(mesh)
    theta = np.array([0.0, 0.0, *v])
    field.hyperparameters()
    words = {h.name: h.value(theta) for h in field.hyperparameters()}
    assert words["anisotropy_ratio(spde)"] == pytest.approx(ratio)
    assert words["anisotropy_angle(spde)"] == pytest.approx(30.0)
    along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    # correlation is about 0.14 at one range: the range is sqrt(2) along and 1 / sqrt(2) across
    places = np.array([[0.0, 0.0], along * np.sqrt(2), across / np.sqrt(2)])
    basis = mesh.basis(places)
    covariance = basis @ np.linalg.solve(field.matrix(theta).toarray(), basis.T.toarray())
    assert covariance[0, 1] == pytest.approx(0.14, abs=0.02) and covariance[0, 2] == pytest.approx(0.14, abs=0.02)


@pytest.mark.parametrize(
    "option, words",
    [
        ("anisotropy=1", "is True, or left out"),
        ("anisotropy=True, prior_anisotropy=(0.5, 0.1)", "with r above 1"),
        ("prior_anisotropy=(5, 0.1)", "is True, or left out"),
        ("anisotropy=True, alpha=1.5", "no field with"),
    ],
)
def test_other_calls_are_refused(option, words):
    with pytest.raises(gs.InputError, match=words):
        build_model(f"v ~ 1 + spde(mesh, {option})", table(), mesh=square_mesh(4), coords=("x", "y"))


def test_a_prior_of_the_ratio_is_an_option():
    with pytest.raises(gs.InputError, match="has a prior by an option"):
        build_model(
            "v ~ 1 + spde(mesh, anisotropy=True)", table(), mesh=square_mesh(4), coords=("x", "y"),
            priors={"anisotropy_ratio(spde)": {"fixed": [2.0]}},
        )  # fmt: skip


def test_an_anisotropy_that_runs_off_on_a_coarse_mesh_is_told():
    """REML of responses that are the same at every y goes to such an estimate, at a cost that a test does not want."""
    rng = np.random.default_rng(0)
    data = pd.DataFrame(rng.uniform(0, 10, (60, 2)), columns=["x", "y"])
    data["z"] = np.sin(data["x"] / 1.5) + 0.4 * rng.normal(size=60)
    mesh = gs.build_mesh(sites=data[["x", "y"]].to_numpy(), max_edge=(3.0, 6.0), offset=3.0)
    model = build_model("z ~ spde(mesh, anisotropy=True)", data, coords=("x", "y"), mesh=mesh)
    none = np.zeros(5)
    for theta, told in (([1.5, 0.0, 0.5, 0.5, -1.0], 0), ([-0.3, 2.1, -8.4, 0.2, -0.9], 1)):
        found = Maximum(
            np.array(theta), np.zeros(1), -40.0, np.eye(5), np.eye(1), none.astype(int), none > 0, none, True
        )
        notes = notes_on(model, found)
        assert len(notes) == told
        assert all("in its shortest direction, 0.011, is within the triangles of the mesh" in note for note in notes)
