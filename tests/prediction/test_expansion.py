"""Second moments of sums of any link, and of a product of two, against integrals over each pair of cells."""

import numpy as np
import pandas as pd
import pytest
import shapely

import geospde as gs
from geospde.inference.combinations import mixture_of
from geospde.prediction.regions.blocks import enough_blocks
from geospde.results.draws import draw

CELLS = gs.Grid.from_bounds((0, 0, 10, 10), cell=2.5)


@pytest.fixture(scope="module")
def fits():
    rng = np.random.default_rng(8)
    table = pd.DataFrame(rng.uniform(0, 10, (90, 2)), columns=["x", "y"])
    rate = np.sin(table.x / 2) - 1
    table["cases"], table["n"] = rng.binomial(6, 1 / (1 + np.exp(-rate))), 6
    table["catch"] = np.where(rng.uniform(size=90) < 0.5, rng.gamma(1.0, np.exp(rate)), 0.0)
    table["rare"] = rng.poisson(np.exp(rate))
    table["heavy"] = 3 * np.sin(table.x / 2) + rng.standard_t(3, 90)
    mesh = gs.build_mesh(shapely.box(0, 0, 10, 10), max_edge=(2, 4), offset=2)
    field = "spde(mesh, prior_range=(3, .5), prior_sigma=(2, .05))"
    options = {"coords": ("x", "y"), "mesh": mesh, "method": "eb"}
    return {
        "logit": gs.fit(f"p(cases, n) ~ 1 + {field}", table, family="binomial", **options),
        "cloglog": gs.fit(f"p(cases, n) ~ 1 + {field}", table, family="binomial", link="cloglog", **options),
        "log": gs.fit(f"rare ~ 1 + {field}", table, family="poisson", **options),
        "t": gs.fit(f"heavy ~ 1 + {field}", table, family="t", **options),
        "delta": gs.fit(f"catch ~ 1 + {field}", table, family="delta_gamma", **options),
    }


def seconds(f, mean, covariance):
    """``E f(x_i) f(x_j)`` of each pair by Gauss-Hermite in two dimensions."""
    z, w = np.polynomial.hermite_e.hermegauss(60)
    w = w / w.sum()
    sd = np.sqrt(np.diag(covariance))
    out = np.empty_like(covariance)
    for i in range(len(mean)):
        for j in range(len(mean)):
            c = min(covariance[i, j] / (sd[i] * sd[j]), 1.0)
            scores = c * z[:, None] + np.sqrt(1 - c**2) * z[None]
            out[i, j] = w @ (f(mean[i] + sd[i] * z)[:, None] * f(mean[j] + sd[j] * scores)) @ w
    return out


@pytest.mark.parametrize("name", ["logit", "cloglog", "delta"])
def test_the_variance_is_the_sum_of_all_pairs_of_cells(fits, name):
    fit = fits[name]
    found = fit.predict_regions([shapely.box(0, 0, 10, 10)], grid=CELLS, seed=1).to_frame().loc[0]
    models = list(fit.model.parts.values()) or [fit.model]
    functions = [np.exp if m.family.link.name == "log" else m.family.link.inverse for m in models]
    means, plain, pairs = np.ones(CELLS.n), np.ones(CELLS.n), np.ones((CELLS.n, CELLS.n))
    squares, plain_squares = np.ones(CELLS.n), np.ones(CELLS.n)
    for model, f in zip(models, functions):
        rows = model.rows(pd.DataFrame(index=range(CELLS.n)), CELLS.centres)
        gaussian = mixture_of(fit.laplace, fit.approximation, rows)
        corrected = fit.mixture(rows)  # as the map's means are
        means *= corrected.expectation(f)
        squares *= corrected.expectation(lambda eta, f=f: f(eta) ** 2)
        plain *= gaussian.expectation(f)
        plain_squares *= gaussian.expectation(lambda eta, f=f: f(eta) ** 2)
        pairs *= seconds(f, gaussian.means[0], rows @ fit.laplace.solve(fit.point, rows.T.toarray()))
    assert found["mean"] == pytest.approx(means.mean(), rel=1e-9)
    # cells that are no blocks: the terms left out have 1e-4 of a variance at most
    sd = np.sqrt(pairs.mean() - plain.mean() ** 2)
    wider = np.sqrt(squares - means**2).mean() / np.sqrt(plain_squares - plain**2).mean()
    assert found["sd"] / found["mean"] == pytest.approx(wider * sd / plain.mean(), rel=1e-4)
    assert found["sd_error"] == 0


@pytest.mark.parametrize(
    "name", ["log", "t", *(pytest.param(name, marks=pytest.mark.slow) for name in ("logit", "cloglog", "delta"))]
)
def test_sums_are_those_of_the_exact_posterior(fits, name):
    fit = fits[name]
    areas = [shapely.box(0, 0, 10, 10), shapely.box(0, 5, 5, 10), shapely.box(5, 0, 10, 5)]
    found = fit.predict_regions(areas, grid=CELLS, seed=1).to_frame()
    models = list(fit.model.parts.values()) or [fit.model]
    table, laplace, point = pd.DataFrame(index=range(CELLS.n)), fit.laplace, fit.point
    prior = laplace.prior_at(laplace.whole(point.theta))
    covariance = laplace.solve(point, np.eye(laplace.n))
    steps = np.linalg.cholesky(covariance) @ np.random.default_rng(4).standard_normal((laplace.n, 15_000))
    x = point.mean[:, None] + np.hstack([steps, -steps])
    centred = x - (point.x - laplace.centred(point.x))[:, None]
    precision = np.array([laplace.times(prior, one) for one in np.eye(laplace.n)])
    log_weight = laplace.likelihood_at(point.theta).log_density((laplace.design @ x).T).sum(axis=1)
    log_weight -= 0.5 * (centred * (precision @ centred)).sum(axis=0)
    log_weight += 0.5 * np.tile((steps * np.linalg.solve(covariance, steps)).sum(axis=0), 2)
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    assert 1 / (weight**2).sum() > 4_000  # independent draws, which know an sd to a hundredth
    cells = np.ones((CELLS.n, 1))
    for model in models:
        inverse = np.exp if model.family.link.name == "log" else model.family.link.inverse
        cells = cells * inverse(model.rows(table, CELLS.centres) @ x)
    inside = np.array([shapely.contains_xy(area, *CELLS.centres.T) for area in areas], dtype=float)
    sums = inside / inside.sum(axis=1)[:, None] @ cells
    mean = sums @ weight
    sd = np.sqrt((sums - mean[:, None]) ** 2 @ weight)
    np.testing.assert_allclose(found["mean"], mean, atol=0.03 * sd.max())
    np.testing.assert_allclose(found["sd"], sd, rtol=0.03)  # of which Monte Carlo is two hundredths
    for column, p in (("q0.025", 0.025), ("q0.975", 0.975)):
        order = np.argsort(sums, axis=1)
        exact = [s[o][np.searchsorted(np.cumsum(weight[o]), p)] for s, o in zip(sums, order)]
        assert (np.abs(found[column] - exact) < 0.15 * sd).all()


@pytest.mark.slow
def test_blocks_of_cells_change_little(fits, monkeypatch):
    fine = gs.Grid.from_bounds((0, 0, 10, 10), cell=0.5)
    area = [shapely.box(1, 1, 9, 6)]
    for fit in fits.values():
        whole = fit.predict_regions(area, grid=fine, seed=1).to_frame().loc[0]
        with monkeypatch.context() as patch:
            patch.setattr("geospde.prediction.regions.sums.BLOCKS", 40)
            few = fit.predict_regions(area, grid=fine, seed=1).to_frame().loc[0]
        assert few["mean"] == pytest.approx(whole["mean"], rel=1e-9)
        assert few["sd"] == pytest.approx(whole["sd"], rel=0.01)  # squares of 1.1 across, a range of some 3


def test_layers_add_up(fits):
    halves = [shapely.box(0, 0, 5, 10), shapely.box(5, 0, 10, 10)]
    options = {"grid": CELLS, "kind": "total", "seed": 3, "quantiles": (), "draws": 500}
    for fit in fits.values():
        parts = fit.predict_regions(halves, **options).to_frame()
        whole = fit.predict_regions([shapely.box(0, 0, 10, 10)], **options).to_frame()
        assert parts["mean"].sum() == pytest.approx(whole["mean"][0], rel=1e-9)


def test_skew_sums_of_the_log_link_have_the_quantiles_of_draws():
    """The sd of a sum of amounts is that of cells far from any site, and its lognormal lies beside it."""
    rng = np.random.default_rng(4)
    table = pd.DataFrame(rng.uniform(0, (3, 10), (60, 2)), columns=["x", "y"])
    table["count"] = rng.poisson(np.exp(rng.normal(0, 1, 60)) * 3)
    mesh = gs.build_mesh(shapely.box(0, 0, 10, 10), max_edge=(2, 4), offset=2)
    formula = "count ~ 1 + spde(mesh, prior_range=(0.5, .05), prior_sigma=(9, .05))"
    fit = gs.fit(formula, table, family="poisson", method="eb", coords=("x", "y"), mesh=mesh)
    region = fit.predict_regions([shapely.box(0, 0, 10, 10)], grid=CELLS, seed=1)
    found = region.to_frame().loc[0]
    rows = fit.model.rows(pd.DataFrame(index=range(CELLS.n)), CELLS.centres)
    drawn = np.exp(rows @ draw(fit, 8000, seed=9).latent.T).mean(axis=0)
    low, middle, high = np.quantile(drawn, [0.025, 0.5, 0.975])
    third = (high - low) / 3.92
    # of 4,000 and 8,000 draws: 0.05 of a normal's sd at the lower end and in the middle, where the lognormal is off by
    # more; several times that in the tail
    assert found["q0.025"] == pytest.approx(low, abs=0.15 * third)
    assert found["q0.5"] == pytest.approx(middle, abs=0.15 * third)
    assert found["q0.975"] == pytest.approx(high, rel=0.15)
    assert "4,000 draws of seed 1 for the quantiles of skew sums" in region.how


def test_as_few_blocks_are_taken_as_leave_variances_alone():
    tried = []

    def variances(most):
        tried.append(most)
        return np.array([2.0, 5.0]) * (1 - 1.0 / most)

    # a sd may change by .002, and a variance by twice that: 1 part in 250 of most
    assert enough_blocks(1000, variances) == 250 and tried == [1000, 62, 125, 250]
    assert enough_blocks(1000, lambda most: np.array([1.0 + (most == 1000)])) == 1000
    assert enough_blocks(80, variances) == 80 and len(tried) == 4
