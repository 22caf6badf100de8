"""Index by year: sums of a region against sdmTMB's, dense draws, and what is no index."""

import numpy as np
import pandas as pd
import pytest
import shapely
from matplotlib.figure import Figure

import geospde as gs
from geospde.plots.figures import write_picture
from geospde.plots.regions import plot_index
from geospde.prediction.product import Product
from geospde.results.draws import draw

YEARS = [2001, 2002, 2004]


@pytest.fixture(scope="module")
def fish():
    rng = np.random.default_rng(5)
    n = 180
    table = pd.DataFrame(
        {"x": rng.uniform(0, 10, n), "y": rng.uniform(0, 10, n), "year": rng.choice(YEARS, n), "boat": "a"}
    )
    table["depth"] = np.sin(table.x / 3)
    mean = np.exp(0.5 + 0.4 * (table.year - 2001) / 3 + 0.6 * np.sin(table.y))
    table["caught"] = rng.poisson(mean)
    table["weight"] = np.where(rng.uniform(size=n) < 0.6, rng.gamma(3.0, mean / 3), 0.0)
    return table


@pytest.fixture(scope="module")
def mesh():
    return gs.build_mesh(shapely.box(0, 0, 10, 10), max_edge=(2, 4), offset=2)


@pytest.fixture(scope="module")
def fits(fish, mesh):
    options = {"mesh": mesh, "coords": ("x", "y")}
    formula = "caught ~ 0 + C(year) + depth + spde(mesh, prior_range=(3, .5), prior_sigma=(1, .05))"
    delta = "weight ~ C(year) + spde(mesh, prior_range=(3, .5), prior_sigma=(1, .05))"
    return {
        "eb": gs.fit(formula, fish, family="poisson", method="eb", **options),
        "ml": gs.fit("caught ~ 0 + C(year) + depth + spde(mesh)", fish, family="poisson", method="ml", **options),
        "delta": gs.fit(delta, fish, family="delta_gamma", method="eb", **options),
        "delta_ml": gs.fit("weight ~ C(year)", fish, family="delta_gamma", method="ml"),
    }


@pytest.fixture(scope="module")
def cells():
    x, y = np.meshgrid(np.arange(0.5, 10), np.arange(0.5, 10))
    return pd.DataFrame({"x": x.ravel(), "y": y.ravel()}).assign(depth=lambda t: np.sin(t.x / 3), km2=4.0)


def test_the_estimate_is_the_sum_of_predictions_and_its_error_the_delta_methods(fits, cells):
    fit = fits["ml"]
    found = fit.index(cells, "year", weights=4.0).to_frame()
    assert found["year"].tolist() == YEARS
    for row in found.itertuples():
        at = cells.drop(columns="km2").assign(year=row.year)
        sums = 4 * fit.predict(at).to_frame()["mean"].sum()
        np.testing.assert_allclose(row.mean, sums, rtol=1e-12)
        rows = fit.model.rows(at, at[["x", "y"]].to_numpy()).toarray()
        slope = 4 * np.exp(rows @ fit.point.mean) @ rows
        given = slope @ fit.laplace.solve(fit.point, slope[:, None]).ravel()
        np.testing.assert_allclose(row.sd, np.sqrt(given + fit.spread.variances(slope[None])[0]), rtol=1e-8)
        np.testing.assert_allclose(row[4], row.mean * np.exp(-1.959964 * row.sd / row.mean), rtol=1e-5)


def log_likelihood(psi, table, family):
    """Of a constant, a slope of x, log sd of boats, and of a Gaussian log sigma, by Laplace; and the boats' modes."""
    beta, sd = psi[:2], np.exp(psi[2])
    eta, codes, y = beta[0] + beta[1] * table.x.to_numpy(), table.boat.to_numpy(), table[family].to_numpy()
    u = np.zeros(codes.max() + 1)
    for _ in range(30):
        mean = eta + u[codes] if family == "gaussian" else np.exp(eta + u[codes])
        weight = np.full(len(y), np.exp(-2 * psi[-1])) if family == "gaussian" else mean
        h = np.bincount(codes, weight) + sd**-2
        u = u + (np.bincount(codes, (y - mean) * (weight if family == "gaussian" else 1.0)) - u / sd**2) / h
    value = -0.5 * (u**2).sum() / sd**2 - u.size * psi[2] - 0.5 * np.log(h).sum()
    if family == "gaussian":
        return value - 0.5 * (weight * (y - mean) ** 2).sum() - len(y) * psi[-1], u, h
    return value + (y * np.log(mean) - mean).sum(), u, h


@pytest.mark.parametrize("family", ["gaussian", "poisson"])
def test_the_error_of_an_index_has_that_of_hyperparameters_in_it(family):
    """Against second differences of the likelihood of all parameters, as TMB's reports have it."""
    rng = np.random.default_rng(8)
    table = pd.DataFrame({"boat": np.tile(np.arange(12), 4), "x": rng.uniform(-1, 1, 48)})
    eta = 0.5 + 0.6 * table.x + rng.normal(0, 0.8, 12)[table.boat]
    table["gaussian"], table["poisson"] = eta + rng.normal(0, 0.7, 48), rng.poisson(np.exp(eta))
    fit = gs.fit(f"{family} ~ x + (1 | boat)", table, family=family, method="ml")
    places = pd.DataFrame({"boat": [0, 0, 1, 5]})
    found = fit.index(places, "x", [0.7]).to_frame()
    psi, h = np.concatenate([fit.fixed["estimate"], fit.point.theta]), 1e-3

    def total(at):
        predictor = at[0] + 0.7 * at[1] + log_likelihood(at, table, family)[1][places.boat]
        return predictor.sum() if family == "gaussian" else np.exp(predictor).sum()

    steps = h * np.eye(psi.size)
    slope = np.array([total(psi + step) - total(psi - step) for step in steps]) / (2 * h)
    ends = [(1, 1), (1, -1), (-1, 1), (-1, -1)]
    information = -np.array([
        [sum(s * t * log_likelihood(psi + s * a + t * b, table, family)[0] for s, t in ends) for b in steps]
        for a in steps
    ]) / (4 * h**2)  # fmt: skip
    _, u, curvature = log_likelihood(psi, table, family)
    rise = np.ones(4) if family == "gaussian" else np.exp(psi[0] + 0.7 * psi[1] + u[places.boat])
    of_boats = (np.bincount(places.boat, rise, 12) ** 2 / curvature).sum()
    np.testing.assert_allclose(found["mean"], total(psi), rtol=1e-6)
    whole = of_boats + slope @ np.linalg.solve(information, slope)
    np.testing.assert_allclose(found["sd"] ** 2, whole, rtol=2e-4)  # differences of steps of 1e-2 standard errors
    given = of_boats + slope[:2] @ np.linalg.solve(information[:2, :2], slope[:2])
    assert whole > 1.01 * given


def test_a_standard_deviation_next_to_zero_says_nothing_of_an_index():
    """Its logarithm has a standard error of 88: a parabola would make the index three times as uncertain."""
    rng = np.random.default_rng(8)
    table = pd.DataFrame({"b": np.tile(np.arange(12), 6), "x": rng.uniform(-1, 1, 72)})
    table["n"] = rng.poisson(np.exp(1 + 0.3 * table.x))
    fit = gs.fit("n ~ s(x) + (1 | b)", table, family="poisson", method="ml")
    assert fit.maximum.covariance[1, 1] > 1000
    found = fit.index(pd.DataFrame({"b": [0, 1, 2]}), "x", [0.2]).to_frame()
    assert np.abs(fit.spread.theta[1]).max() == 0.0
    assert found["sd"][0] < 2.0  # 1.15 given both, and what the curve's sd leaves open, 1.80; by the parabola 3.83


def test_a_mean_that_is_of_a_hyperparameter_moves_with_it(fish):
    """The mean of a lognormal is exp(eta + sigma² / 2), whose share in log sigma is sigma²."""
    fit = gs.fit("weight ~ C(year)", fish, family="delta_lognormal", method="ml")
    rows = [model.rows(fish.head(3), None) for model in fit.model.parts.values()]
    product = Product(fit, tuple(fit.mixture(own) for own in rows))
    variance = fit.hyper["estimate"].iloc[-1] ** 2
    np.testing.assert_allclose(product.along(np.ones((1, 1)))[:, 0], variance * product.gradient()[0], rtol=1e-6)


@pytest.mark.parametrize("name", ["eb", pytest.param("delta", marks=pytest.mark.slow)])
def test_a_posterior_agrees_with_joint_draws_of_cells(fits, cells, name):
    fit = fits[name]
    found = fit.index(cells, "year", weights="km2", kind="mean", seed=1, draws=3000).to_frame()
    drawn = draw(fit, 4000, seed=3).latent
    models = list(fit.model.parts.values()) or [fit.model]
    for row in found.itertuples():
        at = cells.assign(year=row.year)
        eta = [(m.rows(at, at[["x", "y"]].to_numpy()) @ drawn.T).T for m in models]
        cell = np.exp(eta[-1]) if len(eta) == 1 else np.exp(eta[1]) / (1 + np.exp(-eta[0]))
        mean = cell.mean(axis=1)
        # 4,000 draws: errors of sd / 63 in means, of 1.1 % in sds, of which the index by draws has as much again
        assert abs(row.mean - mean.mean()) < 4 * mean.std() / 63
        np.testing.assert_allclose(row.sd, mean.std(), rtol=0.07)
        np.testing.assert_allclose(row[6], np.quantile(mean, 0.975), rtol=0.03)


def test_of_a_delta_family_without_a_field_it_is_the_product_of_two_glms(fits, fish):
    found = fits["delta_ml"].index(pd.DataFrame({"k": range(7)}), "year").to_frame()
    of_year = fish.groupby("year")["weight"]
    np.testing.assert_allclose(found["mean"], 7 * of_year.mean().to_numpy(), rtol=1e-4)  # saturated: R's means by group
    n, there = of_year.size(), of_year.apply(lambda w: (w > 0).sum())
    assert (found["sd"] > 0).all() and np.isfinite(found.drop(columns="year")).all(axis=None)
    share = there / n
    alone = np.sqrt((1 - share) / there)  # of log p; the mean above 0 adds its own
    assert (found["sd"].to_numpy() / found["mean"].to_numpy() > alone.to_numpy()).all()


def test_regions_of_a_delta_family_are_those_of_the_index(fits, mesh):
    grid = gs.Grid.from_bounds((1, 1, 9, 9), cell=1)
    at = {"year": [2002]}
    region = fits["delta"].predict_regions([shapely.box(1, 1, 9, 9)], grid=grid, kind="total", at=at, seed=2)
    total = fits["delta"].index(grid, "year", [2002], seed=2)
    np.testing.assert_allclose(region.to_frame()["mean"], total.to_frame()["mean"], rtol=1e-9)
    part = fits["delta"].predict_regions([shapely.box(1, 1, 9, 9)], grid=grid, at=at, observations="positive", seed=1)
    assert part.to_frame()["mean"][0] > region.to_frame()["mean"][0] / 64


def test_an_index_is_drawn_and_written(fits, cells, tmp_path):
    index = fits["eb"].index(cells, "year", [2001, 2004])
    assert index.title == "Total of caught by year"
    assert "2 values" in repr(index)
    ax = index.plot()
    assert ax.get_ylabel() == "Total of caught"
    again = pd.read_csv(index.to_csv(tmp_path / "index.csv"))
    pd.testing.assert_frame_equal(again, index.to_frame(), check_dtype=False)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"along": "month"}, "uses no column 'month'"),
        ({"along": "year", "values": []}, "needs a value"),
        ({"along": "year", "values": [1999]}, "1999"),
        ({"along": "year", "kind": "share"}, "kind is one of"),
        ({"along": "year", "weights": [1.0, 2.0]}, "100 places, but the weights"),
        ({"along": "year", "weights": 0.0}, "above zero"),
        ({"along": "year", "weights": -1.0}, "not below zero"),
        ({"along": "year", "weights": "land"}, "weights must be numbers"),
        ({"along": "year", "quantiles": [2]}, "between 0 and 1"),
        ({"along": "year", "draws": 1}, "draws, 10 to"),
        ({"along": "year", "at": {"moon": 1}}, "moon"),
    ],
)
def test_what_is_no_index(fits, cells, options, words):
    with pytest.raises(gs.InputError, match=words):
        fits["eb"].index(cells, **options)


def test_places_of_several_years_are_refused(fits, cells):
    with pytest.raises(gs.InputError, match="give the places once"):
        fits["eb"].index(cells.assign(year=np.arange(100) % 2 + 2001), "year")


def test_a_long_name_of_an_index_stays_in_its_picture(fits, cells, tmp_path):
    figure = Figure(figsize=(5.4, 3.2), layout="constrained")
    index = fits["ml"].index(cells, "year", weights=4.0)
    ax = plot_index(index, figure.add_subplot(), "haddock in numbers per square kilometre swept by the trawl")
    write_picture(figure, tmp_path / "new" / "index.png", ("png", "svg"))
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["index.png", "index.svg"]
    box = ax.yaxis.label.get_window_extent()
    assert box.y0 >= 0 and box.y1 <= figure.bbox.height
