"""Point patterns: exact weights, the intensity's likelihood, exact totals, and what is refused."""

import numpy as np
import pandas as pd
import pytest
import shapely
import shapely.ops
from oracles import square_mesh
from scipy.optimize import minimize
from scipy.stats import gamma

import geospde as gs
from geospde.mesh.cover import basis_integrals

DOMAIN = shapely.Polygon([(0.1, 0.05), (0.95, 0.2), (0.8, 0.9), (0.3, 0.7)], [[(0.4, 0.3), (0.6, 0.3), (0.51, 0.5)]])


@pytest.fixture(scope="module")
def mesh():
    return square_mesh(13, -0.6, 1.6)


@pytest.fixture(scope="module")
def points():
    """Of intensity exp(5 + 2 x) in the domain."""
    rng = np.random.default_rng(4)
    places = rng.uniform(0, 1, (rng.poisson(np.exp(7)), 2))
    places = places[rng.uniform(size=len(places)) < np.exp(2 * places[:, 0] - 2)]
    return pd.DataFrame(places[shapely.contains_xy(DOMAIN, *places.T)], columns=["e", "n"])


@pytest.fixture(scope="module")
def fit(mesh, points):
    formula = "~ 1 + spde(mesh, prior_range=(0.3, 0.1), prior_sigma=(1, 0.05))"
    return gs.fit(formula, points, coords=("e", "n"), family="lgcp", domain=DOMAIN, mesh=mesh)


def test_weights_integrate_linear_functions_exactly_over_a_polygon_with_a_hole(mesh):
    weights = basis_integrals(mesh, DOMAIN)
    assert weights.sum() == pytest.approx(DOMAIN.area, rel=1e-12)
    x, y = DOMAIN.centroid.coords[0]
    np.testing.assert_allclose(weights @ mesh.vertices, DOMAIN.area * np.array([x, y]), rtol=1e-12)
    with pytest.raises(gs.InputError, match="covers .* of the domain only"):
        basis_integrals(mesh, shapely.box(0.5, 0.5, 2.5, 1))


def test_the_log_likelihood_is_the_sum_at_points_less_the_integral(mesh, points):
    fit = gs.fit(
        "~ east", points, coords=("e", "n"), family="lgcp", domain=DOMAIN, mesh=mesh, method="ml",
        covariates={"east": {"coordinate": "x"}},
    )  # fmt: skip
    # no node of which is as far from one side of the hole as from another
    fine = mesh.refined().refined().refined()
    weights = basis_integrals(fine, DOMAIN)
    there = weights > 0
    # nodes beyond the domain take covariates at its border
    nearest = [shapely.ops.nearest_points(DOMAIN, shapely.Point(v))[0].x for v in fine.vertices[there]]

    def loss(b):
        return weights[there] @ np.exp(b[0] + b[1] * np.array(nearest)) - (b[0] + b[1] * points["e"]).sum()

    best = minimize(loss, [4.0, 0.0], method="BFGS")
    assert fit.log_likelihood == pytest.approx(-best.fun, abs=1e-6)
    np.testing.assert_allclose(fit.fixed["estimate"], best.x, atol=1e-3)
    assert (np.abs(fit.fixed["estimate"] - [5.0, 2.0]) < 4 * fit.fixed["se"]).all()


@pytest.mark.parametrize("edge", [0.43, *(pytest.param(edge, marks=pytest.mark.slow) for edge in (0.37, 0.5))])
def test_a_step_of_effort_within_triangles_is_seen(edge, mesh, points):
    import xarray as xr

    where = np.arange(-0.2, 1.2, 0.01) + 0.005
    x = np.broadcast_to(where, (len(where), len(where)))
    effort = xr.DataArray(np.where(x < edge, 1.0, 0.05), dims=("y", "x"), coords={"y": where[::-1], "x": where})
    seen = points[(points["e"] < edge) | (np.arange(len(points)) % 20 == 0)]
    fit = gs.fit(
        "~ 1 + offset(log(effort))", seen, coords=("e", "n"), family="lgcp", domain=DOMAIN, mesh=mesh, method="ml",
        covariates={"effort": {"raster": effort, "method": "nearest"}},
    )  # fmt: skip
    before = DOMAIN.intersection(shapely.box(0, 0, edge, 1)).area
    exact = np.log(len(seen) / (before + 0.05 * (DOMAIN.area - before)))
    # half a step of a lattice that is parallel to the edge, at its worst; at the vertices alone 1.4 standard errors
    assert abs(fit.fixed["estimate"].iloc[0] - exact) < 0.25 * len(seen) ** -0.5


def test_the_expected_total_is_gamma_of_the_number_of_points(fit, points):
    n = len(points)
    halves = [shapely.box(0, 0, 0.5, 1), shapely.box(0.5, 0, 1, 1)]
    table = gs.expected_numbers(fit, [DOMAIN, *(shapely.intersection(DOMAIN, half) for half in halves)], draws=400)
    # even draws: their mean errs by less than that of 400 at random by the square root of 400
    assert table["mean"][0] == pytest.approx(n, abs=0.01 * np.sqrt(n))
    assert table["sd"][0] == pytest.approx(np.sqrt(n), rel=0.02)
    limits = gamma(n).ppf([0.025, 0.5, 0.975])
    assert table.iloc[0][["q0.025", "q0.5", "q0.975"]].to_numpy() == pytest.approx(limits, abs=0.05 * np.sqrt(n))
    assert table["mean"][1] + table["mean"][2] == pytest.approx(table["mean"][0], rel=1e-9)
    seen = (points["e"] < 0.5).sum()
    assert table["mean"][1] == pytest.approx(seen, abs=2.5 * np.sqrt(seen))


@pytest.mark.slow
def test_expected_totals_are_exact_with_covariates_and_effort_of_the_domain_alone(mesh, points, tmp_path):
    import xarray as xr

    where = np.arange(-0.2, 1.2, 0.01)
    x, y = np.meshgrid(where, where[::-1])
    inside = shapely.contains_xy(DOMAIN.buffer(0.02), x, y)
    given = {
        name: xr.DataArray(np.where(inside, values, np.nan), dims=("y", "x"), coords={"y": where[::-1], "x": where})
        for name, values in {"east": x, "effort": 0.2 + 0.3 * y}.items()
    }
    fit = gs.fit(
        "~ east + spde(mesh) + offset(log(effort))", points, coords=("e", "n"), family="lgcp", domain=DOMAIN, mesh=mesh,
        covariates=given, method="eb",
    )  # fmt: skip
    fit.save(tmp_path / "seen")
    n = len(points)
    for one in (fit, gs.load_fit(tmp_path / "seen")):
        table = gs.expected_numbers(one, [DOMAIN], draws=4000)
        assert table["mean"][0] == pytest.approx(n, abs=4 * np.sqrt(n / 4000))
        assert table["sd"][0] == pytest.approx(np.sqrt(n), rel=0.05)
    # thinning by a share between .2 and .5
    everyone = gs.expected_numbers(fit, [DOMAIN], offset=0.0)["mean"][0]
    assert 2 < everyone / n < 5
    effort = 0.2 + 0.3 * points["n"]
    assert everyone == pytest.approx((1 / effort).sum(), rel=0.1)  # Horvitz-Thompson: unbiased, of a tenth's error


def test_intensities_are_mapped_and_fits_are_saved(fit, points, tmp_path):
    surface = fit.predict(gs.Grid.around(DOMAIN, shape=(12, 12)))
    frame = surface.to_frame()
    cell = surface.grid.dx * surface.grid.dy
    # cells that meet the domain count whole: more than the points, by their corners
    assert 0.9 < frame["mean"].sum() * cell / len(points) < 2
    fit.save(tmp_path / "pattern")
    again = gs.load_fit(tmp_path / "pattern")
    pd.testing.assert_frame_equal(again.hyper, fit.hyper)
    fit.summary()
    assert len(fit.check()) > 1


@pytest.fixture(scope="module")
def oaks(points):
    """Points with a species: a fifth of them oaks in the west, four fifths in the east."""
    share = 0.2 + 0.6 * points["e"]
    return points.assign(species=np.where(np.random.default_rng(6).uniform(size=len(points)) < share, "oak", "ash"))


@pytest.mark.slow
def test_marks_have_intensities_of_their_own(mesh, oaks, tmp_path):
    place = {"coords": ("e", "n"), "family": "lgcp", "domain": DOMAIN, "mesh": mesh}
    number = oaks["species"].value_counts()
    known = gs.fit("species ~ 0 + species", oaks, method="ml", **place)
    # without a field each is Poisson: the log of its number over the area, with the error of a count
    np.testing.assert_allclose(known.fixed["estimate"], np.log(number[["ash", "oak"]] / DOMAIN.area), atol=1e-6)
    np.testing.assert_allclose(known.fixed["se"], number[["ash", "oak"]] ** -0.5, rtol=1e-6)

    fit = gs.fit(
        "species ~ species + spde(mesh, by=species, prior_range=(0.3, 0.1), prior_sigma=(1, 0.05))",
        oaks, method="eb", **place,
    )  # fmt: skip
    fit.save(tmp_path / "oaks")
    west = DOMAIN.intersection(shapely.box(0, 0, 0.5, 1))
    for one in (fit, gs.load_fit(tmp_path / "oaks")):
        table = gs.expected_numbers(one, [DOMAIN, west]).set_index("species", append=True)["mean"]
        assert table[0, "ash"] + table[0, "oak"] == pytest.approx(table[0, "all"], rel=1e-12)
        # of each mark Gamma(n, 1), in a thousand even draws
        for name, seen in {**number, "all": len(oaks)}.items():
            assert table[0, name] == pytest.approx(seen, abs=0.01 * np.sqrt(seen))
        for name in ("ash", "oak"):  # fields that follow them: within two errors of the counts
            inside = shapely.contains_xy(west, *oaks.loc[oaks["species"] == name, ["e", "n"]].to_numpy().T).sum()
            assert table[1, name] == pytest.approx(inside, abs=2 * np.sqrt(inside))
    maps = {name: fit.predict(gs.Grid.around(DOMAIN, shape=(8, 8)), at={"species": name}) for name in ("ash", "oak")}
    ratio = maps["oak"].to_frame()["mean"] / maps["ash"].to_frame()["mean"]
    assert np.corrcoef(ratio, maps["oak"].to_frame()["x"])[0, 1] > 0.7
    again = fit.simulate(20, seed=2)
    assert list(again.columns) == ["e", "n", "species", "replicate"]
    # 20 replicates, each of Poisson scatter about an expected number that is as unsure
    each = again.groupby("species").size() / 20
    np.testing.assert_allclose(each[["ash", "oak"]], number[["ash", "oak"]], atol=4 * np.sqrt(2 * 100 / 20))


@pytest.mark.slow
def test_drawn_patterns_have_the_intensity_that_rows_integrate(fit):
    rng = np.random.default_rng(9)
    window, eta = fit.model.window, fit.model.design @ fit.laplace.at(fit.approximation.points[0].theta).x
    eta = eta - eta.mean() + 5.0
    drawn = pd.concat([window.draw(fit.model, eta, rng) for _ in range(60)])
    assert shapely.contains_xy(DOMAIN, drawn["e"], drawn["n"]).all()
    at = fit.model.points[fit.model.exposure > 0]
    by_vertex = dict(zip(map(tuple, at), eta[fit.model.exposure > 0]))
    intensity = np.array([np.exp(by_vertex.get(tuple(v), -np.inf)) for v in window.mesh.vertices])
    for k in range(4):
        part = DOMAIN.intersection(shapely.box(0.25 * k, 0, 0.25 * (k + 1), 1))
        expected = 60 * float(basis_integrals(window.mesh, part) @ intensity)
        found = shapely.contains_xy(part, drawn["e"], drawn["n"]).sum()
        assert found == pytest.approx(expected, abs=4 * np.sqrt(expected))  # Poisson


def test_patterns_are_simulated_and_found_again(mesh):
    options = {"family": "lgcp", "domain": DOMAIN, "mesh": mesh, "coords": ("e", "n")}
    drawn = gs.simulate(
        "~ east",
        None,
        fixed={"Intercept": 6.0, "east": 2.0},
        covariates={"east": {"coordinate": "x"}},
        seed=1,
        **options,
    )
    found = gs.fit("~ east", drawn, method="ml", covariates={"east": {"coordinate": "x"}}, **options)
    assert (np.abs(found.fixed["estimate"] - [6.0, 2.0]) < 3 * found.fixed["se"]).all()
    with pytest.raises(gs.InputError, match="would have .* points"):
        gs.simulate("~ 1", None, fixed={"Intercept": 60.0}, seed=1, **options)
    with pytest.raises(gs.InputError, match="domain= is only for point patterns"):
        gs.simulate("~ 1", None, fixed={"Intercept": 1.0}, **{**options, "family": "poisson"})


BAD = [
    ({"domain": None}, "needs domain="),
    ({"mesh": None}, "needs a mesh"),
    ({"exposure": 2.0}, "takes no exposure="),
    ({"domain": shapely.box(0, 0, 0.4, 0.4)}, "lies outside of the domain"),
    ({"coords": None}, "needs places"),
    ({"formula": "height ~ 1"}, "is a number measured at the points"),
    ({"formula": "kind ~ 1"}, "tells points apart, and no term has it"),
    ({"formula": "~ height"}, "'height' is known at the points alone"),
    ({"formula": "log(e) ~ 1"}, "write '~ terms'"),
    (
        {"family": "poisson", "formula": "height ~ 1"},
        "domain= is only for point patterns, family lgcp, not for 'poisson'",
    ),
]


@pytest.mark.parametrize(("change", "words"), BAD)
def test_what_makes_no_pattern_is_refused(change, words, mesh, points):
    options = {"family": "lgcp", "coords": ("e", "n"), "domain": DOMAIN, "mesh": mesh, "formula": "~ 1", **change}
    with pytest.raises(gs.InputError, match=words):
        gs.fit(options.pop("formula"), points.assign(height=1.0, kind="a"), **options)


def test_expected_numbers_are_of_patterns():
    table = pd.DataFrame({"y": [1, 2, 0, 4]})
    with pytest.raises(gs.InputError, match="only for point patterns"):
        gs.expected_numbers(gs.fit("y ~ 1", table, family="poisson"), [DOMAIN])


def test_the_sites_of_its_map_are_the_points_alone(fit, points):
    """The nodes that integrate the intensity were drawn among them, some outside the domain."""
    sites = fit.predict(gs.Grid.from_bounds((0.2, 0.2, 0.8, 0.8), cell=0.3)).sites
    np.testing.assert_allclose(np.sort(sites, axis=0), np.sort(points[["e", "n"]].to_numpy(), axis=0))
