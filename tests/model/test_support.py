"""Means and totals over areas, against exact integrals of basis functions and dense posteriors."""

from types import SimpleNamespace

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import shapely
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

import geospde as gs
from geospde.errors import InputError
from geospde.mesh.cover import basis_integrals
from geospde.plots.figures import observed
from geospde.run.work import Work

SPDE = "spde(mesh, prior_range=(1, 0.05), prior_sigma=(2, 0.05))"


@pytest.fixture(scope="module")
def mesh():
    return gs.build_mesh(shapely.box(0, 0, 6, 6), max_edge=(1.3, 3.0), offset=2.0)


@pytest.fixture(scope="module")
def areas():
    """Nine areas with oblique borders, one of them in two parts, one with a hole."""
    lines = shapely.MultiLineString([[(2, 0), (2.5, 6)], [(4, 0), (3.8, 6)], [(0, 2), (6, 2.4)], [(0, 4.1), (6, 4)]])
    parts = shapely.ops.polygonize(shapely.union_all([lines, shapely.box(0, 0, 6, 6).boundary]))
    shapes = sorted(parts, key=lambda shape: (shape.centroid.y // 2, shape.centroid.x))
    shapes[0] = shapes[0].difference(shapely.box(0.5, 0.4, 1.1, 1.5))
    shapes[1] = shapes[1].difference(shapely.box(2.6, 0, 3.1, 6))
    rng = np.random.default_rng(4)
    level = np.array([np.sin(s.centroid.x) + 0.3 * s.centroid.y for s in shapes])
    return gpd.GeoDataFrame(
        {
            "level": level + 0.1 * rng.normal(size=9),
            "cases": rng.poisson(4 * np.exp(0.5 * level)),
            "x": rng.normal(size=9),
        },
        geometry=shapes,
    )


def _averages(mesh, areas):
    return np.array([basis_integrals(mesh, shape) for shape in areas.geometry])


def test_rows_are_exact_integrals(mesh, areas):
    fit = gs.fit(f"level ~ x + {SPDE}", areas, mesh=mesh, areas="mean", method="eb")
    integrals = _averages(mesh, areas)
    n = len(mesh.vertices)
    design = fit.model.design.toarray()
    np.testing.assert_allclose(design[:, :n], integrals / areas.area.to_numpy()[:, None], atol=1e-12)
    np.testing.assert_allclose(design[:, n:], np.column_stack([np.ones(9), areas["x"]]), atol=1e-12)


def test_likelihood_of_points_and_areas_is_the_dense_one(mesh, areas):
    rng = np.random.default_rng(1)
    points = pd.DataFrame(rng.uniform(0, 6, (25, 2)), columns=["e", "n"])
    points["level"] = np.sin(points["e"]) + 0.3 * points["n"] + 0.2 * rng.normal(size=25)
    fit = gs.fit(
        [
            gs.Observations("level ~ 1 + field", areas, areas="mean", name="areas"),
            gs.Observations("level ~ 1 + field", points, coords=("e", "n"), name="points"),
        ],
        terms={"field": "spde(mesh)"}, mesh=mesh, method="ml",
    )  # fmt: skip
    term = fit.model.terms[0]
    theta = fit.point.theta
    covariance = np.linalg.inv(term.precision.matrix(theta[:2]).toarray())
    basis = mesh.basis(points[["e", "n"]].to_numpy()).toarray()
    rows = np.vstack([_averages(mesh, areas) / areas.area.to_numpy()[:, None], basis])
    sigmas = np.repeat(fit.hyper.loc[["areas: sigma", "points: sigma"], "estimate"], [9, 25])
    mean = np.repeat(fit.fixed["estimate"].to_numpy(), [9, 25])
    y = np.concatenate([areas["level"], points["level"]])
    dense = multivariate_normal(mean, rows @ covariance @ rows.T + np.diag(sigmas**2)).logpdf(y)
    assert fit.log_likelihood == pytest.approx(dense, abs=1e-6)  # both are exact; rounding of Q's inverse


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "family", "link"), [("total", "poisson", "log"), ("mean", "binomial", "logit")])
def test_mode_is_that_of_the_aggregate_on_the_response_scale(mesh, areas, kind, family, link):
    frame = areas.assign(n=40)
    response = "cases" if family == "poisson" else "p(cases, n)"
    hyper = {"range(spde)": {"fixed": 3.0}, "sigma(spde)": {"fixed": 1.5}, "Intercept": {"gaussian": [0, 4]}}
    fit = gs.fit(
        f"{response} ~ 1 + spde(mesh)",
        frame,
        mesh=mesh,
        family=family,
        areas=kind,
        method="eb",
        priors=hyper,
        strategy="gaussian",
    )
    precision = fit.model.terms[0].precision.matrix(np.log([3.0, 1.5])).toarray()
    precision = sp.block_diag([precision, [[1 / 16]]]).toarray()
    support = fit.model.support
    rows = np.column_stack([mesh.basis(support.points).toarray(), np.ones(len(support.points))])
    weights, y = support.weights.toarray(), frame["cases"].to_numpy()

    def objective(x):
        mean = weights @ fit.model.family.link.inverse(rows @ x)
        fits = y * np.log(mean) - mean if family == "poisson" else y * np.log(mean) + (40 - y) * np.log1p(-mean)
        return 0.5 * x @ precision @ x - fits.sum()

    found = minimize(objective, np.zeros(len(precision)), method="BFGS", options={"gtol": 1e-5, "maxiter": 3000})
    # the tangent is taken to a thousandth of a predictor's standard deviation, BFGS ends at numerical gradients
    sds = np.sqrt(np.diag(np.linalg.inv(precision)))
    assert np.max(np.abs(fit.point.x - found.x) / sds) < 5e-3
    np.testing.assert_allclose(fit.model.predictors(fit.point.x), fit.point.eta, atol=1e-3)
    expected = 1.0 if kind == "mean" else areas.area.to_numpy()
    np.testing.assert_allclose(weights.sum(axis=1), expected, rtol=1e-10)


def _weighted_draws(fit, scale):
    """Draws from the Gaussian of a fit with range and sigma known, their log weights, and the log evidence by them."""
    (predictor,), point, laplace = fit.model.nonlinearities, fit.point, fit.laplace
    x = laplace.draw(point, np.random.default_rng(1).standard_normal((laplace.n, 10_000)))
    prior = sp.block_diag([fit.model.terms[0].precision.matrix(np.log(scale)), 1.0], format="csr")
    posterior = prior + fit.model.design.T @ sp.diags_array(-point.derivatives[1]) @ fit.model.design
    likelihood = laplace.likelihood_at(point.theta)
    log_weights = np.array([likelihood.log_density(predictor.value(one)).sum() for one in x.T])
    away = x - point.mean[:, None]
    log_weights += 0.5 * np.einsum("ik,ik->k", away, posterior @ away) - 0.5 * np.einsum("ik,ik->k", x, prior @ x)
    determinants = [np.linalg.slogdet(matrix.toarray())[1] for matrix in (prior, posterior)]
    evidence = logsumexp(log_weights) - np.log(len(log_weights)) + 0.5 * (determinants[0] - determinants[1])
    return x, np.exp(log_weights - logsumexp(log_weights)), evidence


@pytest.mark.slow
def test_a_certificate_is_of_the_model_and_not_of_its_tangent(mesh, areas):
    hyper = {"range(spde)": {"fixed": 1.0}, "sigma(spde)": {"fixed": 2.0}, "Intercept": {"gaussian": [0, 1]}}
    priors = {**hyper, "shape": {"fixed": 4.0}}
    frame = areas.assign(cases=areas["cases"] + 1.0)
    fit = gs.fit("cases ~ 1 + spde(mesh)", frame, mesh=mesh, family="gamma", areas="mean", method="eb", priors=priors)
    certificate = fit.certify(draws=4000)
    _, weights, evidence = _weighted_draws(fit, [1.0, 2.0])
    error = np.hypot(np.sqrt((weights**2).sum()), certificate.log_marginal_likelihood_se)
    assert abs(evidence - fit.log_marginal_likelihood) > 0.2 > 3 * error  # the tangent has another
    assert abs(evidence - certificate.log_marginal_likelihood) < 3 * error


@pytest.mark.slow
@pytest.mark.parametrize(("family", "kind"), [("poisson", "total"), ("gamma", "mean")])
def test_maps_have_the_totals_of_the_exact_posterior(mesh, areas, family, kind):
    """Means of places and of areas, against importance sampling from the fit's own Gaussian."""
    hyper = {"range(spde)": {"fixed": 2.5}, "sigma(spde)": {"fixed": 0.8}, "Intercept": {"gaussian": [0, 1]}}
    frame = areas.assign(cases=areas["cases"] + 1.0)
    priors = hyper if family == "poisson" else {**hyper, "shape": {"fixed": 4.0}}
    fit = gs.fit("cases ~ 1 + spde(mesh)", frame, mesh=mesh, family=family, areas=kind, method="eb", priors=priors)
    (predictor,) = fit.model.nonlinearities
    x, weights, _ = _weighted_draws(fit, [2.5, 0.8])
    assert 1 / (weights**2).sum() > 2000  # means of draws err by 0.02 sd
    places = np.exp(predictor.design @ x + predictor.offset[:, None])
    exact = np.array([places @ weights, places**2 @ weights])
    sd = np.sqrt(exact[1] - exact[0] ** 2)
    mixture = fit.mixture(predictor.design, predictor.offset)
    mean = np.exp(mixture.mean + mixture.sd**2 / 2)
    assert np.abs(mean - exact[0]).max() < 0.12 * sd[np.abs(mean - exact[0]).argmax()]
    assert abs(((mean - exact[0]) / sd).mean()) < 0.04  # by tangents at the mode they were 0.1 to 0.2 sd too high
    of_areas = predictor.weights @ places
    centre, spread = of_areas @ weights, np.sqrt(of_areas**2 @ weights - (of_areas @ weights) ** 2)
    assert np.abs((predictor.weights @ mean - centre) / spread).max() < 0.1
    assert np.abs((fit.fitted["mean"] - centre) / spread).max() < 0.1


@pytest.mark.slow
def test_totals_are_shown_in_the_unit_of_their_map(mesh, areas):
    for kind, over in (("total", areas.area), ("mean", 1.0)):
        fit = gs.fit(f"cases ~ 1 + {SPDE}", areas, mesh=mesh, family="poisson", areas=kind, method="ml")
        shown = observed(areas, "cases", fit)
        np.testing.assert_allclose(shown, areas["cases"] / over, rtol=1e-9)
    work = SimpleNamespace(survey=SimpleNamespace(units="km"))
    total = SimpleNamespace(is_pattern=False)
    words = {
        (kind, weighed): Work.quantity(
            work,
            SimpleNamespace(
                family=total, response_label="cases", support=SimpleNamespace(kind=kind, is_weighed=weighed)
            ),
        )
        for kind, weighed in (("total", False), ("total", True), ("mean", False))
    }
    assert list(words.values()) == ["cases per km²", "cases per unit of weight", None]


@pytest.mark.slow
def test_weights_of_a_raster_say_where_in_an_area(mesh, areas):
    import xarray as xr

    people = np.zeros((60, 60))
    people[15, 5] = 100.0  # one cell, at x .55, y 4.45
    people[:, 30:] = 1.0
    where = np.arange(60) * 0.1 + 0.05
    raster = xr.DataArray(people, dims=("y", "x"), coords={"y": where[::-1], "x": where})
    west = areas[[shape.contains(shapely.Point(0.55, 4.45)) for shape in areas.geometry]]
    frame = pd.concat([west, areas[areas.centroid.x > 4]], ignore_index=True)
    for kind in ("mean", "total"):
        fit = gs.fit(f"level ~ 1 + {SPDE}", frame, mesh=mesh, areas={"kind": kind, "weights": raster}, method="eb")
        support = fit.model.support
        nearest = support.points[support.weights[[0]].indices]
        share = support.weights[[0]].data / support.weights[[0]].data.sum()
        # cells as wide as half a triangle share one cell of the raster out
        assert np.hypot(*(share @ nearest - [0.55, 4.45])) < 0.3
        totals = support.weights @ np.ones(len(support.points))
        if kind == "total":
            inside = frame.geometry.iloc[1].area * 100
            assert totals[1] == pytest.approx(inside, rel=0.02)  # raster cells at its edge are cut as squares
        else:
            np.testing.assert_allclose(totals, 1.0)


def test_covariates_are_averaged_on_the_scale_of_the_response(mesh, areas):
    """With exp(x) known, no field and a log link, the total is the integral of exp(a + b x)."""
    rng = np.random.default_rng(6)
    fine = np.arange(0, 6, 0.05) + 0.025
    x, y = np.meshgrid(fine, fine)
    inside = [shapely.contains_xy(shape, x.ravel(), y.ravel()) for shape in areas.geometry]
    totals = np.array([np.exp(1.5 + 0.4 * x.ravel()[here]).sum() * 0.05**2 for here in inside])
    frame = areas.assign(cases=rng.poisson(1000 * totals), exposure=1000.0)
    fit = gs.fit(
        "cases ~ east",
        frame,
        mesh=mesh,
        family="poisson",
        areas="total",
        exposure="exposure",
        covariates={"east": {"coordinate": "x"}},
    )
    assert np.all(np.abs(fit.fixed["mean"] - [1.5, 0.4]) < 4 * fit.fixed["sd"] + 0.005)  # of the midpoint rule
    linear = gs.fit(
        "cases ~ east",
        frame,
        family="poisson",
        exposure=1000 * areas.area.to_numpy(),
        areas="mean",
        covariates={"east": {"coordinate": "x"}},
    )
    assert linear.fixed["mean"].to_numpy() == pytest.approx(fit.fixed["mean"].to_numpy(), abs=0.01)


def test_polygons_are_predicted_as_rows_of_areas(mesh, areas, tmp_path):
    points = pd.DataFrame({"e": [1.0, 2.0, 5.0, 3.0], "n": [1.0, 4.0, 3.0, 2.0], "level": [1.2, 2.0, 0.3, 1.0]})
    options = {"mesh": mesh, "covariates": {"east": {"coordinate": "x"}}, "method": "eb"}
    fit = gs.fit(
        [
            gs.Observations("cases ~ x + field + east", areas, family="poisson", areas="total"),
            gs.Observations("level ~ 1 + field", points, coords=("e", "n")),
        ],
        terms={"field": SPDE}, **options,
    )  # fmt: skip
    own = fit.predict(areas, observations="cases", exceed=[5.0])
    frame = own.to_frame()
    for column in ("mean", "sd", "q0.025"):
        np.testing.assert_allclose(frame[column], fit.fitted[column][:9], rtol=5e-3)  # mode and mean are two tangents
    np.testing.assert_allclose(own.exceedance(5.0), frame["exceed_5"])
    # of the likelihood of points a mean over each polygon, which of an identity link is exact
    means = fit.predict(areas, observations="level").to_frame()["mean"]
    averages = _averages(mesh, areas) / areas.area.to_numpy()[:, None]
    n = len(mesh.vertices)
    level = fit.fixed.loc["level: Intercept", "mean"]
    np.testing.assert_allclose(means, averages @ fit.point.mean[:n] + level, atol=1e-6)
    fit.save(tmp_path / "joint")
    again = gs.load_fit(tmp_path / "joint").predict(areas, observations="cases", exceed=[5.0]).to_frame()
    pd.testing.assert_frame_equal(again, frame)
    estimate = gs.fit(f"cases ~ x + {SPDE}", areas, family="poisson", areas="total", mesh=mesh, method="ml")
    found = estimate.predict(areas).to_frame()["mean"]
    np.testing.assert_allclose(found, estimate.fitted.iloc[:, 0], rtol=1e-3)


def test_polygons_of_a_weighed_fit_are_refused(mesh, areas):
    import xarray as xr

    where = np.arange(60) * 0.1 + 0.05
    raster = xr.DataArray(np.ones((60, 60)), dims=("y", "x"), coords={"y": where[::-1], "x": where})
    given = {"kind": "mean", "weights": raster}
    fit = gs.fit(f"level ~ 1 + {SPDE}", areas, mesh=mesh, areas=given, method="eb", strategy="gaussian")
    with pytest.raises(InputError, match="weighed by a raster"):
        fit.predict(areas)


def test_saved_fits_are_of_areas_again(mesh, areas, tmp_path):
    frame = areas.assign(kind=np.resize(["a", "b"], 9), x=np.arange(9.0))
    options = {"mesh": mesh, "covariates": {"east": {"coordinate": "x"}}, "method": "eb"}
    one = gs.fit(
        f"cases ~ kind + east + {SPDE}", frame, family="poisson", areas="total", offset=frame["x"] / 10, **options
    )
    points = pd.DataFrame({"e": [1.0, 2.0, 5.0], "n": [1.0, 4.0, 3.0], "level": [1.2, 2.0, 0.3]})
    both = gs.fit(
        [
            gs.Observations("cases ~ 1 + field + east", frame, family="poisson", areas="total"),
            gs.Observations("level ~ 1 + field", points, coords=("e", "n")),
        ],
        terms={"field": SPDE}, **options,
    )  # fmt: skip
    for k, fit in enumerate((one, both)):
        fit.save(tmp_path / f"fit{k}")
        again = gs.load_fit(tmp_path / f"fit{k}")
        pd.testing.assert_frame_equal(again.fixed, fit.fixed)
        assert abs(again.model.design - fit.model.design).max() < 1e-12
        np.testing.assert_allclose(again.model.predictors(fit.point.x), fit.model.predictors(fit.point.x), rtol=1e-10)


def test_what_areas_cannot_be_is_told(mesh, areas):
    def refused(message, frame=areas, formula=f"level ~ 1 + {SPDE}", **options):
        with pytest.raises(InputError, match=message):
            gs.fit(formula, frame, **{"mesh": mesh, "areas": "mean", **options})

    refused("'mean' or 'total'", areas="average")
    refused("no key 'weight'", areas={"weight": "a.tif"})
    refused("GeoDataFrame", frame=pd.DataFrame(areas.drop(columns="geometry")))
    refused("covers", frame=areas.set_geometry(areas.translate(7.0)))
    refused("is a LineString", frame=areas.set_geometry([shapely.LineString([(1, 1), (2, 2)])] * 9))
    refused("no total", formula="p(cases, cases) ~ 1", family="binomial", areas="total")
    positive = areas.assign(level=np.exp(areas["level"]))
    refused("its predictor is not that of a mean", frame=positive, family="lognormal")
    refused("mesh must be a Mesh, not a int", mesh=3)
    refused("leave coords out", coords=("x", "x"))
    refused("one CRS", frame=areas.set_crs("EPSG:32633"), mesh=gs.Mesh(mesh.vertices, mesh.triangles, crs="EPSG:32634"))
    with pytest.raises(InputError, match="areas='mean'"):
        gs.fit(f"level ~ 1 + {SPDE}", areas, mesh=mesh)
