"""The model of a first look: the same hyperparameters on fewer vertices."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from oracles import square_mesh
from shapely import box

import geospde as gs
from geospde.inference import posterior
from geospde.inference.laplace import Laplace
from geospde.inference.mode import find_mode
from geospde.inference.warm import WarmLaplace
from geospde.model import coarse
from geospde.model.build import build_model

MESH = square_mesh(40)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """What is large here has some hundred latent variables."""
    monkeypatch.setattr(coarse, "MANY", 1_000)
    monkeypatch.setattr(coarse, "FEW", 100)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(4)
    table = pd.DataFrame({"x": rng.uniform(0, 1, 300), "y": rng.uniform(0, 1, 300), "year": rng.integers(1, 4, 300)})
    wave = np.sin(15 * table.x) * np.cos(13 * table.y)
    return table.assign(
        z=rng.standard_normal(300), level=wave + 0.3 * rng.standard_normal(300), counts=rng.poisson(np.exp(1 + wave))
    )


def model(data, formula="counts ~ z + spde(mesh)", family="poisson", **given):
    return build_model(formula, data, family=family, mesh=MESH, coords=("x", "y"), **given)


@pytest.mark.slow
@pytest.mark.parametrize(
    "call",
    [
        "spde(mesh)",
        "spde(mesh, alpha=1.5, constr=True)",
        "spde(mesh, nu=0.5)",
        "spde(mesh, anisotropy=True)",
        "spde(mesh, by=(1, z))",
        "spde(mesh, time=year, temporal='ar1')",
        "spde(mesh, time=year, temporal='ar1', spatial=True)",
        "spde(mesh) + (1 | year)",
    ],
)
def test_a_coarser_model_has_the_same_hyperparameters_and_a_posterior_near_the_model_s(data, call):
    whole = model(data, f"counts ~ 1 + {call}")
    found = coarse.coarser(whole)
    assert found.design.shape[0] == whole.design.shape[0]
    assert found.design.shape[1] < 0.5 * whole.design.shape[1]
    assert [h.name for h in found.hyperparameters] == [h.name for h in whole.hyperparameters]
    assert [h.prior for h in found.hyperparameters] == [h.prior for h in whole.hyperparameters]
    own, smaller = (Laplace(m).at(m.start) for m in (whole, found))
    # its triangles are twice as wide: a deviance of up to a fifth a count
    assert smaller.log_posterior == pytest.approx(own.log_posterior, abs=0.1 * len(data))


def test_a_small_model_and_one_that_has_no_mesh_are_their_own(data, monkeypatch):
    """A field of three parts is as small as one: being rough, it gains nothing by another mesh."""
    assert coarse.coarser(model(data, "counts ~ z + (1 | year)")) is None
    monkeypatch.setattr(coarse, "MANY", 5_000)
    assert coarse.coarser(model(data)) is None
    assert coarse.coarser(model(data, "counts ~ z + spde(mesh, nu=0.5)")) is None


def moved(fit, other):
    """Means and quantiles of hyperparameters, in posterior sds."""
    shown = ["mean", "q0.025", "q0.5", "q0.975"]
    return (fit.hyper[shown] - other.hyper[shown]).div(other.hyper["sd"], axis=0).abs().to_numpy().max()


def fitted(data, **given):
    return gs.fit("counts ~ z + spde(mesh)", data, mesh=MESH, coords=("x", "y"), family="poisson", **given)


@pytest.mark.slow
def test_a_coarser_mesh_put_right_at_some_points_has_the_posterior(data):
    smooth = data.assign(counts=np.random.default_rng(5).poisson(np.exp(1 + np.sin(6 * data.x) * np.cos(5 * data.y))))
    fit, plain = fitted(smooth), fitted(smooth, integration="adaptive")
    assert fit.laplace.evaluations < plain.laplace.evaluations
    # what the meshes differ by is interpolated between some points: to a few hundredths of a posterior sd in the tails
    assert moved(fit, plain) < 0.05
    # an intercept beside a field whose range has no end has no sd to speak of: its quantiles, in intervals
    shown = ["q0.025", "q0.5", "q0.975"]
    apart = (fit.fixed[shown] - plain.fixed[shown]).div(plain.fixed["q0.975"] - plain.fixed["q0.025"], axis=0)
    assert apart.abs().to_numpy().max() < 0.05
    # the rules on both meshes end at standard errors of 0.01
    assert fit.log_marginal_likelihood == pytest.approx(plain.log_marginal_likelihood, abs=0.02)


@pytest.mark.parametrize(("nu", "integrated"), [(0.5, "one mesh"), (1.5, "two meshes")])
def test_a_rough_field_is_sought_but_not_integrated_on_a_coarser_mesh(data, monkeypatch, nu, integrated):
    """On the survey of moss its two meshes never agreed, and the rule over the coarser took half of the time."""
    whole = model(data, f"level ~ 1 + spde(mesh, nu={nu}, order=2)", "gaussian")
    sizes = []

    def peak(laplace, start, *_):
        sizes.append(laplace.n)
        mode = SimpleNamespace(theta=start, without_factor=lambda: None)
        return SimpleNamespace(
            warm=WarmLaplace(laplace), mode=mode, covariance=np.eye(3), root=0, third=0, strategy="vb"
        )

    def stop(words):
        def stopped(*_):
            raise KeyboardInterrupt(words)

        return stopped

    monkeypatch.setattr(posterior._Peak, "of", peak)
    monkeypatch.setattr(posterior, "_lifted", stop("two meshes"))
    monkeypatch.setattr(posterior, "integrate", stop("one mesh"))
    with pytest.raises(KeyboardInterrupt, match=integrated):
        posterior.posterior(Laplace(whole), whole.start, smaller=Laplace(coarse.coarser(whole)))
    assert sizes[0] < 0.5 * whole.design.shape[1]
    assert sizes[1:] == [whole.design.shape[1]] * (nu < 1)


@pytest.mark.slow
def test_a_fit_by_two_meshes_is_saved_and_read(data, tmp_path):
    fit = fitted(data.assign(counts=np.random.default_rng(6).poisson(np.exp(1 + np.sin(6 * data.x)))))
    fit.save(tmp_path / "fit")
    again = gs.load_fit(tmp_path / "fit")
    np.testing.assert_allclose(again.hyper["mean"], fit.hyper["mean"], rtol=1e-9)


@pytest.mark.slow
def test_meshes_that_differ_too_much_leave_the_first_look_alone(data, monkeypatch):
    # triangles of a third of the range
    fit = fitted(data)
    monkeypatch.setattr(coarse, "MANY", 5_000)
    plain = fitted(data)
    assert len(fit.posterior.points) == len(plain.posterior.points)
    # the mode is the same; the axes, found by differences along those of the search, to a few thousandths
    assert moved(fit, plain) < 0.01
    np.testing.assert_allclose(fit.fixed["sd"], plain.fixed["sd"], rtol=1e-3)
    assert fit.log_marginal_likelihood == pytest.approx(plain.log_marginal_likelihood, abs=1e-3)


@pytest.mark.slow
def test_meshes_that_differ_smoothly_but_much_are_not_taken_for_one_another(monkeypatch):
    # the process through nine points foretold each from the others to 0.09, and ran off where there were none:
    # quantiles of the range were an sd off
    folder = Path(__file__).parents[1] / "reference" / "everyday"
    table = pd.read_csv(folder / "data.csv.gz")[:500]
    mesh = gs.Mesh(*(pd.read_csv(folder / f"{name}.csv.gz").to_numpy() for name in ("vertices", "triangles")))
    arguments = {"mesh": mesh, "coords": ("x", "y"), "family": "poisson"}
    fit = gs.fit("c ~ 1 + spde(mesh)", table, **arguments)
    assert len(fit.posterior.points) == 16
    monkeypatch.setattr(coarse, "MANY", 5_000)
    assert moved(fit, gs.fit("c ~ 1 + spde(mesh)", table, **arguments)) < 0.02


@pytest.mark.slow
def test_meshes_that_differ_much_but_foretellably_share_a_posterior(monkeypatch):
    monkeypatch.setattr(coarse, "FEW", 150)
    mesh = gs.build_mesh(box(-0.2, -0.2, 1.2, 1.2), max_edge=0.05, convex=0)
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0, 1, (2, 1500))
    wave = np.sin(5 * x) * np.cos(4 * y) + 0.5 * np.sin(9 * x + 3 * y)
    table = pd.DataFrame({"x": x, "y": y, "c": rng.poisson(np.exp(1 + wave))})
    arguments = {"mesh": mesh, "coords": ("x", "y"), "family": "poisson"}
    fit = gs.fit("c ~ 1 + spde(mesh)", table, **arguments)
    monkeypatch.setattr(coarse, "MANY", 5_000)
    plain = gs.fit("c ~ 1 + spde(mesh)", table, **arguments)
    # the log densities differ by half a unit (an sd), the process between nine points errs by a thirtieth
    assert fit.laplace.evaluations < plain.laplace.evaluations
    assert moved(fit, plain) < 0.05
    assert fit.log_marginal_likelihood == pytest.approx(plain.log_marginal_likelihood, abs=0.03)


@pytest.mark.parametrize(("family", "response"), [("gaussian", "level"), ("poisson", "counts")])
def test_the_mode_is_the_same_after_fewer_evaluations(data, family, response):
    whole = model(data, f"{response} ~ z + spde(mesh)", family)
    own, led = WarmLaplace(Laplace(whole)), WarmLaplace(Laplace(whole))
    plain = find_mode(own, whole.start)[0]
    rough, covariance = find_mode(WarmLaplace(Laplace(coarse.coarser(whole))), whole.start)
    found = find_mode(led, rough.theta, curvature=np.linalg.inv(covariance))[0]
    assert led.evaluations < own.evaluations
    # the search ends where a Newton step promises half a millionth: within a thousandth of a posterior sd
    np.testing.assert_allclose(found.theta, plain.theta, atol=2e-3)
