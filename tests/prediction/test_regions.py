"""Areas: cells cut exactly, moments against dense algebra and draws, and what cannot be an area."""

import warnings
import zipfile
from dataclasses import replace

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from affine import Affine
from small_run import quietly_in, write_survey

import geospde as gs
from geospde.cli.commands import main
from geospde.plots.regions import regions_map
from geospde.prediction.regions import moments, sums
from geospde.prediction.regions.areas import overlaps
from geospde.results.draws import draw
from geospde.run.check import check
from geospde.run.regions import write_regions

AREAS = [shapely.Point(300, 300).buffer(150), shapely.box(100, 100, 900, 900), shapely.box(700, 650, 760, 690)]
PRIORS = "prior_range=(300, 0.05), prior_sigma=(1, 0.05)"
GRID = gs.Grid.from_bounds((0, 0, 1000, 1000), cell=40)


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(1)
    xy = rng.uniform(0, 1000, (60, 2))
    field = np.sin(xy[:, 0] / 200) + np.cos(xy[:, 1] / 250)
    return pd.DataFrame(
        {
            "x": xy[:, 0],
            "y": xy[:, 1],
            "normal": field + rng.normal(size=60) * 0.4,
            "count": rng.poisson(np.exp(0.3 + 0.7 * field)),
            "cases": rng.binomial(20, 1 / (1 + np.exp(1 - field))),
            "tested": 20,
            "wet": np.tile([0.0, 1.0], 30),
        }
    )


@pytest.fixture(scope="module")
def mesh():
    return gs.build_mesh(shapely.box(0, 0, 1000, 1000), max_edge=(150, 300), offset=200)


@pytest.fixture(scope="module")
def fits(table, mesh):
    def fit(formula, **options):
        # draws of heavy-tailed posteriors have sds that err by more than is allowed for below
        formula = formula if "method" in options else formula.replace("(mesh)", f"(mesh, {PRIORS})")
        return gs.fit(formula, table, coords=("x", "y"), mesh=mesh, **options)

    return {
        "gaussian": fit("normal ~ 1 + spde(mesh)"),
        "poisson": fit("count ~ 1 + wet + spde(mesh)", family="poisson"),
        "binomial": fit("p(cases, tested) ~ 1 + spde(mesh)", family="binomial", method="eb"),
        "reml": fit("normal ~ 1 + spde(mesh)", method="reml"),
    }


def weights_of(areas=AREAS, grid=GRID):
    shares, _ = overlaps(gpd.GeoDataFrame(geometry=list(areas)), grid)
    return shares / np.asarray(shares.sum(axis=1))


def cells_drawn(fit, n=10_000, **columns):
    """Draws of the mean in each cell."""
    places = pd.DataFrame(columns, index=range(GRID.n))
    rows = fit.model.rows(places, GRID.centres)
    return fit.model.family.link.inverse(rows @ draw(fit, n, seed=2).latent.T)


def test_cells_are_cut_exactly():
    rng = np.random.default_rng(3)
    shapes = [shapely.Polygon(rng.uniform(-100, 1100, (3, 2))) for _ in range(20)]
    grid = gs.Grid.from_bounds((0, 0, 1000, 900), cell=70)
    shares, covered = overlaps(gpd.GeoDataFrame(geometry=shapes), grid)
    cells = grid.cell_polygons()
    expected = shapely.area(shapely.intersection(np.array(shapes)[:, None], cells[None])) / shapely.area(cells)
    np.testing.assert_allclose(shares.toarray(), expected, atol=1e-12)
    total = shapely.area(shapely.union_all(cells).intersection(shapes)) / shapely.area(shapes)
    np.testing.assert_allclose(covered, total, rtol=1e-9)


def test_of_the_identity_link_it_is_dense_algebra(fits):
    fit = fits["gaussian"]
    found = fit.predict_regions(AREAS, grid=GRID).to_frame()
    rows = weights_of() @ fit.model.rows(pd.DataFrame(index=range(GRID.n)), GRID.centres)
    means = np.array([rows @ p.mean for p in fit.approximation.points])
    whole = [fit.laplace.solve(p, np.eye(fit.laplace.n)) for p in fit.approximation.points]
    variances = np.array([np.diag(rows @ s @ rows.T) for s in whole])
    w = fit.approximation.weights
    np.testing.assert_allclose(found["mean"], w @ means, rtol=1e-9)
    np.testing.assert_allclose(found["sd"], np.sqrt(w @ (variances + means**2) - (w @ means) ** 2), rtol=1e-6)


@pytest.mark.slow
def test_of_the_log_link_second_moments_are_exact_and_blocks_change_little(fits, monkeypatch):
    fit = fits["poisson"]
    found = fit.predict_regions(AREAS, grid=GRID, at={"wet": [0.0]}).to_frame()
    rows = fit.model.rows(pd.DataFrame({"wet": 0.0}, index=range(GRID.n)), GRID.centres)
    weights, posterior = weights_of(), fit.approximation
    first, second = np.zeros(3), np.zeros(3)
    for point, w in zip(posterior.points, posterior.weights):
        covariance = rows @ fit.laplace.solve(point, rows.T.toarray())
        u = weights.multiply(np.exp(rows @ point.mean + 0.5 * np.diag(covariance))).toarray()
        mean = u.sum(axis=1)
        first += w * mean
        second += w * (np.einsum("ri,ij,rj->r", u, np.expm1(covariance), u) + mean**2)
    # the map's means are of corrected marginals, which sd is scaled along with
    corrected = fit.mixture(rows)
    wider = [weights @ fit.response(one, ())["sd"] for one in (corrected, corrected.gaussian)]
    scaled = np.sqrt(second - first**2) / first * wider[0] / wider[1]  # ... whose sds are wider, too
    few = found["sd"] / found["mean"]
    np.testing.assert_allclose(few, scaled, rtol=1e-3)  # 441 cells in 400 blocks
    monkeypatch.setattr("geospde.prediction.regions.sums.BLOCKS", 48)  # 16 an area
    coarse = fit.predict_regions(AREAS, grid=GRID, at={"wet": [0.0]}).to_frame()
    np.testing.assert_allclose(coarse["sd"] / coarse["mean"], scaled, rtol=5e-3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "kind", "threshold"),
    [("poisson", "mean", None), ("binomial", "mean", None), ("binomial", "total", None), ("gaussian", "share", 0.4)],
)
def test_areas_agree_with_draws_of_cells(fits, family, kind, threshold):
    fit = fits[family]
    columns = {"wet": 1.0} if family == "poisson" else {}
    at = {name: [value] for name, value in columns.items()} or None
    found = fit.predict_regions(AREAS, grid=GRID, kind=kind, threshold=threshold, at=at, seed=1).to_frame()
    cells = cells_drawn(fit, **columns)
    values = cells if threshold is None else (cells > threshold).astype(float)
    drawn = weights_of() @ values * (found["weight"].to_numpy()[:, None] if kind == "total" else 1.0)
    if kind == "share":  # of the last area it is zero in every draw, or nearly
        drawn, found = drawn[:2], found[:2]
    # 10,000 draws have an error of sd / 100 in the mean and of .7 % in the sd; a share's own draws add as much
    assert (np.abs(found["mean"] - drawn.mean(axis=1)) < 4 * drawn.std(axis=1) / 100).all()
    much = 0.04 if kind == "share" else 0.025
    apart = np.abs(found["sd"] - drawn.std(axis=1))
    assert (apart < 0.025 * found["sd"] + 4 * found["sd_error"]).all()
    np.testing.assert_allclose(found["q0.975"], np.quantile(drawn, 0.975, axis=1), rtol=0.03)
    assert (found["sd_error"] / found["sd"] < much).all()


def test_layers_add_up(fits):
    fit = fits["poisson"]
    halves = [shapely.box(0, 0, 500, 1000), shapely.box(500, 0, 1000, 1000)]
    options = {"grid": GRID, "kind": "total", "at": {"wet": [0.0, 1.0]}}
    parts = fit.predict_regions(halves, **options).to_frame()
    whole = fit.predict_regions([shapely.box(0, 0, 1000, 1000)], **options).to_frame()
    np.testing.assert_allclose(parts.groupby("wet")["mean"].sum(), whole["mean"], rtol=1e-9)
    assert whole["wet"].tolist() == [0.0, 1.0]


def test_one_cell_is_the_map(fits):
    area = GRID.cell_polygons()[200]
    for name in ("gaussian", "binomial", "reml"):
        surface = fits[name].predict(GRID)
        found = fits[name].predict_regions([area], grid=GRID, seed=1).to_frame().loc[0]
        assert found["mean"] == pytest.approx(surface.values("mean")[200], rel=1e-6)
        assert found["sd"] == pytest.approx(surface.values("sd")[200], rel=0.02 if name == "binomial" else 1e-6)


@pytest.mark.parametrize("name", ["binomial", "gaussian", "reml", "poisson"])
def test_batches_change_nothing(fits, name, monkeypatch):
    options = {"grid": GRID, "seed": 1, "at": {"wet": [0.0]} if name == "poisson" else None}
    whole = fits[name].predict_regions(AREAS, **options).to_frame()
    monkeypatch.setattr(moments, "BATCH", 100)
    monkeypatch.setattr(sums, "LINEAR", 100)
    monkeypatch.setattr(sums, "NUMBERS", 100)
    again = fits[name].predict_regions(AREAS, **options).to_frame()
    pd.testing.assert_frame_equal(whole, again)


def test_a_raster_of_people_weighs_cells_by_its_sum(fits, tmp_path):
    people = np.random.default_rng(5).uniform(0, 9, (30, 30))
    people[:3] = -1
    kind = {"driver": "GTiff", "height": 30, "width": 30, "count": 1, "dtype": "float64", "nodata": -1}
    with rasterio.open(tmp_path / "people.tif", "w", transform=Affine(33, 0, 5, 0, -33, 995), **kind) as raster:
        raster.write(people, 1)
    area = [shapely.box(0, 0, 1000, 1000), shapely.box(0, 0, 480, 1000)]
    found = fits["gaussian"].predict_regions(area, grid=GRID, weights=tmp_path / "people.tif").to_frame()
    known = np.where(people < 0, 0.0, people)
    assert found["weight"][0] == pytest.approx(known.sum(), rel=1e-5)  # GDAL's weights are float32
    part = known[:, :14].sum() + (480 - 5 - 14 * 33) / 33 * known[:, 14].sum()
    assert found["weight"][1] == pytest.approx(part, rel=1e-5)


@pytest.mark.parametrize(
    ("areas", "options", "said"),
    [
        ([], {}, "has no areas"),
        ([shapely.Polygon()], {}, "is empty"),
        ([shapely.Point(1, 1)], {}, "not a polygon"),
        ([shapely.box(5000, 0, 6000, 10)], {}, "no area lies on the map"),
        (AREAS, {"kind": "share"}, "give threshold"),
        (AREAS, {"kind": "mean", "threshold": 1}, "is only for kind 'share'"),
        (AREAS, {"kind": "sum"}, "one of"),
        (AREAS, {"weights": np.zeros(GRID.n)}, "weighs nothing"),
        (AREAS, {"weights": np.ones(3)}, "the weights are"),
        (AREAS, {"name": "district"}, "no column 'district'"),
        (AREAS, {"at": {"a": 1}}, "at gives 'a', which the model does not use"),
        (AREAS, {"groups": "no"}, r"groups of predict_regions\(\) is True or False, not 'no'"),
        ("nowhere.gpkg", {}, "there is no file"),
        (3, {}, "are a file or a GeoDataFrame"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(fits, areas, options, said):
    with pytest.raises(gs.InputError, match=said):
        fits["gaussian"].predict_regions(areas, grid=GRID, **options)


def test_what_is_odd_is_told_and_done(fits):
    fit = fits["gaussian"]
    with pytest.warns(
        gs.GeospdeWarning, match="1 of 1 area lies partly off the map, and loses that part: 1 \\(50 %\\)"
    ):
        half = fit.predict_regions([shapely.box(900, 0, 1100, 1000)], grid=GRID)
    assert half.to_frame()["covered"][0] == pytest.approx(0.5)
    weights = np.where(GRID.centres[:, 0] < 500, -1.0, 1.0)
    with pytest.warns(gs.GeospdeWarning, match="weigh less than nothing"):
        found = fit.predict_regions([shapely.box(0, 0, 400, 900), AREAS[1]], grid=GRID, weights=weights)
    assert found.to_frame()["mean"].isna().tolist() == [True, False]
    assert [finding.subject for finding in found.findings] == ["areas", "weights", "weights"]
    shares = [
        fit.predict_regions(AREAS, grid=GRID, kind="share", threshold=t, seed=1, draws=50).to_frame()
        for t in (-1e6, 1e6)
    ]
    np.testing.assert_allclose(shares[0]["mean"], 1.0, rtol=1e-12)
    assert (shares[1]["mean"] == 0).all() and (shares[1]["sd"] == 0).all()


def test_a_choropleth_and_a_layer(fits, tmp_path):
    found = fits["gaussian"].predict_regions(AREAS, grid=GRID)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(found.plot_uncertainty().axes) >= 2
        assert found.plot(column="sd").get_title(loc="left") == "Standard deviation"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # there is no CRS
        found.to_gpkg(tmp_path / "areas.gpkg")
    again = gpd.read_file(tmp_path / "areas.gpkg", layer="regions")
    np.testing.assert_allclose(again["mean"], found.to_frame()["mean"])


def test_small_rates_of_areas_are_told_per_so_many(fits):
    found = fits["gaussian"].predict_regions(AREAS, grid=GRID, exceed=[0.5])
    table = found.to_frame().assign(mean=[5.3e-5, 2e-5, 1e-5])
    rare = replace(found, label="cases / population", _table=table)
    figure = regions_map(rare, ("mean", "exceed_0.5"), step="year 2020")
    titles = [ax.get_title(loc="left") for ax in figure.axes[:2]]
    assert titles[0] == "Mean of cases per 100,000 population, year 2020"
    assert titles[1] == "Probability that the mean of cases per 100,000 population is above 50000"
    assert "5" in {text.get_text() for text in regions_map(rare, ("mean",)).axes[-1].get_yticklabels()}


def test_colour_bars_beside_areas_hide_none(fits):
    """Their numbers stood on the areas where these fill a map."""
    figure = regions_map(fits["gaussian"].predict_regions(AREAS, grid=GRID))
    figure.canvas.draw()
    land = figure.axes[0].collections[0].get_window_extent()
    bars = [ax for ax in figure.axes if ax.get_yticklabels() and "inset" in ax.get_label()] or figure.axes[0].child_axes
    boxes = [bar.get_tightbbox() for bar in bars]
    assert boxes and not any(box.x1 > land.x0 and box.y1 > land.y0 for box in boxes)


def test_areas_that_cross_themselves_or_share_a_name_are_warned_of(fits):
    bow = shapely.Polygon([(100, 100), (500, 500), (500, 100), (100, 500)])
    halves = gpd.GeoDataFrame({"name": ["bow", "all"]}, geometry=[bow, shapely.box(600, 100, 900, 500)])
    with pytest.warns(gs.GeospdeWarning, match="1 area of .* crosses itself, such as 'bow'"):
        found = fits["gaussian"].predict_regions(halves, grid=GRID)
    assert found.to_geodataframe().area[0] == pytest.approx(80_000)  # both wings of the bow tie
    with pytest.warns(gs.GeospdeWarning, match="no column of .* has a name of its own for each area"):
        found = fits["gaussian"].predict_regions(halves.assign(name="one").iloc[[1, 1]], grid=GRID)
    assert found.to_frame()["area"].tolist() == ["1", "2"]
    with pytest.warns(gs.GeospdeWarning, match="several areas are called 'one'"):
        fits["gaussian"].predict_regions(halves.assign(name="one").iloc[[1, 1]], grid=GRID, name="name")


@pytest.mark.slow
def test_layers_of_areas_in_one_run_are_told_in_one_unit(fits, tmp_path):
    """Districts stand beside their country: means of 0.2 and of 0.05 are not one per person and one per 1,000."""
    found = replace(fits["gaussian"].predict_regions(AREAS, grid=GRID, exceed=[0.5]), label="cases / population")
    level = {"districts": [0.2, 0.02, 0.01], "country": [0.05, 0.05, 0.05]}
    each = {name: replace(found, _table=found.to_frame().assign(mean=mean)) for name, mean in level.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # there is no CRS
        both = write_regions(tmp_path, each, None)
        (alone,) = write_regions(tmp_path, {"country": each["country"]}, None)
    assert [(one.title, one.per) for one in both] == 2 * [("Mean of cases / population", 1.0)]
    assert (alone.title, alone.per) == ("Mean of cases per 1,000 population", 1000.0)
    assert [words for words, _ in alone.shown][-1].endswith("mean of cases per 1,000 population is above 500.")


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn_here")
def test_a_run_sums_its_map_up_over_areas(tmp_path, capsys):
    run_file = write_survey(tmp_path)
    text = run_file.read_text()
    with quietly_in(tmp_path):
        assert main(["regions", "bay.toml", "--quiet"]) == 2
        assert "it has no [regions]" in capsys.readouterr().err
        assert main(["regions", "bay.toml", "--kind", "total"]) == 2
        assert "[regions] needs the key 'areas'" in capsys.readouterr().err
        section = '[regions]\nareas = ["halves.gpkg", "all.gpkg"]\n'
        run_file.write_text(text + section)
        assert main(["run", "bay.toml", "--quiet"]) == 2
        assert "there is no file" in capsys.readouterr().err
        halves = {"part": ["west", "east"]}
        shapes = [shapely.box(0, 0, 500, 1000), shapely.box(500, 0, 1000, 1000)]
        crs = gs.read_survey("sites.csv", crs="local:m").crs
        gpd.GeoDataFrame(halves, geometry=shapes, crs=crs).to_file("halves.gpkg")
        gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 1000, 1000)], crs=crs).to_file("all.gpkg")
        assert main(["run", "bay.toml", "--quiet"]) == 0
        table = pd.read_csv("out/regions.csv")
        assert table["area"].tolist() == ["west", "east", "1"] and table["layer"].tolist()[-1] == "all"
        assert gpd.read_file("out/regions.gpkg", layer="halves")["part"].tolist() == ["west", "east"]
        assert main(["regions", "bay.toml", "--quiet"]) == 0
        assert main(["regions", "bay.toml", "--areas", "all.gpkg", "--kind", "total", "--out", "out", "--quiet"]) == 0
        assert pd.read_csv("out/regions.csv")["layer"].tolist() == ["all"]
        assert main(["regions", "bay.toml", "--quiet"]) == 0
        assert main(["map", "bay.toml", "--quiet"]) == 0
        assert main(["report", "bay.toml", "--quiet"]) == 0
        page = (tmp_path / "out" / "report.html").read_text()
        assert '<section id="regions">' in page and "Mean of caught" in page
        with zipfile.ZipFile("out/project.qgz") as project:
            assert "regions.gpkg|layername=halves" in project.read("project.qgs").decode()


def test_areas_by_label_have_the_figures_of_predict(tmp_path):
    names = [f"d{i}{j}" for i in range(4) for j in range(4)]
    rng = np.random.default_rng(2)
    districts = gpd.GeoDataFrame(
        {"code": np.arange(16.0), "district": names, "x": rng.normal(size=16), "expected": 10.0},
        geometry=[shapely.box(i, j, i + 1, j + 1) for i in range(4) for j in range(4)], crs=32630,
    )  # fmt: skip
    districts["deaths"] = rng.poisson(10 * np.exp(0.5 * np.sin(np.repeat(np.arange(4), 4))))
    fit = gs.fit(
        "deaths ~ x + bym2(district, graph=w)", districts, family="poisson", exposure="expected", method="eb",
        graphs={"w": districts},
    )  # fmt: skip
    shuffled = districts.iloc[::-1]
    found = fit.predict_regions(shuffled, exceed=[1])
    table = found.to_frame()
    expected = fit.predict(pd.DataFrame(districts[["district", "x"]]), exceed=[1]).to_frame()
    assert table["area"].tolist() == names[::-1]
    for column in ("mean", "sd", "q0.975", "exceed_1"):
        np.testing.assert_allclose(table[column][::-1], expected[column], rtol=1e-12)
    assert found.to_geodataframe().geometry.iloc[0].equals(districts.geometry.iloc[-1])
    assert len(found.plot(column="exceed_1").collections) == 1
    assert found.plot(column="exceed_1").get_title(loc="left") == "Probability that deaths / expected is above 1"
    assert "mean" in gpd.read_file(found.to_gpkg(tmp_path / "risk.gpkg")).columns
    at = fit.predict_regions(districts.drop(columns="x"), at={"x": [0.0, 1.0]}).to_frame()
    assert len(at) == 32 and at["x"].tolist() == [0.0] * 16 + [1.0] * 16
    with pytest.raises(gs.InputError, match="weights= is only for models in space"):
        fit.predict_regions(districts, weights="population.tif")
    with pytest.raises(gs.InputError, match="kind= is only for models in space"):
        fit.predict_regions(districts, kind="total")
    with pytest.raises(gs.InputError, match="needs the column 'x'"):
        fit.predict_regions(districts[["district", "geometry"]])
    with pytest.raises(gs.InputError, match="no area of the graph"):
        fit.predict_regions(districts.assign(district="nowhere"))


def test_areas_of_no_extent_of_one_name_and_off_the_map_are_told(fits):
    fit, inside = fits["reml"], shapely.box(100, 100, 400, 400)
    line = shapely.Polygon([(100, 100), (200, 100), (100, 100)])
    with pytest.raises(gs.InputError, match="area '2' of the list is a line without any area"):
        fit.predict_regions([inside, line], grid=GRID)
    twice = gpd.GeoDataFrame({"n": ["a", "a"]}, geometry=[inside, inside.buffer(-40)])
    found = fit.predict_regions(twice, name="n", grid=GRID)
    assert "several areas are called 'a'" in " ".join(f.message for f in found.findings)
    with pytest.warns(gs.GeospdeWarning) as warned:
        fit.predict_regions([inside, shapely.box(5000, 0, 5100, 90)], grid=GRID)
    said = " ".join(str(w.message) for w in warned)
    assert "1 area lies off the map and has no figures: '2'" in said and "partly" not in said


def test_an_area_without_a_name_has_that_of_its_row(fits):
    areas = gpd.GeoDataFrame({"place": ["a", None, "c"]}, geometry=AREAS)
    assert list(fits["gaussian"].predict_regions(areas, grid=GRID, name="place").to_frame()["area"]) == [
        "a",
        "row 2",
        "c",
    ]


def test_weights_that_do_not_reach_the_map_and_thresholds_beyond_it_are_told(fits, tmp_path):
    fit, inside = fits["reml"], shapely.box(100, 100, 400, 400)
    path = tmp_path / "people.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=9, height=9, count=1, dtype="float32", transform=Affine(10, 0, 9e6, 0, -10, 0)
    ) as raster:
        raster.write(np.ones((9, 9), dtype="float32"), 1)
    with pytest.raises(gs.InputError, match="weighs nothing.*it lies at x 9000000 to 9000090"):
        fit.predict_regions([inside], grid=GRID, weights=path)
    with pytest.raises(gs.InputError, match="more than nothing: 625 cells weigh less"):
        fit.predict_regions([inside], grid=GRID, weights=-np.ones(GRID.n))
    with pytest.warns(
        gs.GeospdeWarning, match="threshold 1,000,000 lies above all that is predicted for '1': each share is 0"
    ):
        fit.predict_regions([inside], grid=GRID, kind="share", threshold=1e6, seed=1, draws=50)
    with pytest.warns(gs.GeospdeWarning, match="threshold −1,000 lies below .* each probability is 1"):
        fit.predict_regions([inside], grid=GRID, exceed=[-1000])


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn_here")
def test_a_run_knows_when_its_areas_change(tmp_path, capsys, monkeypatch):
    def write(*shapes):
        (tmp_path / "areas.gpkg").unlink(missing_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            gpd.GeoDataFrame({"n": [f"a{k}" for k in range(len(shapes))]}, geometry=list(shapes)).to_file(
                tmp_path / "areas.gpkg"
            )

    path = write_survey(tmp_path, '[regions]\nareas = "areas.gpkg"\n')
    path.write_text(path.read_text().replace("cell = 100\n", "cell = 200\nexceed = [1000]\n"))
    monkeypatch.chdir(tmp_path)
    write(shapely.box(9e4, 0, 9.1e4, 900))
    assert main(["check", "bay.toml"]) == 2
    assert "no area lies on the map" in capsys.readouterr().err
    write(shapely.box(300, 300, 600, 600))
    assert main(["run", "bay.toml"]) == 0
    assert "the threshold 1,000 lies above all that is predicted" in "".join(capsys.readouterr())
    write(shapely.box(300, 300, 600, 600), shapely.box(300, 300, 400, 400))
    assert main(["report", "bay.toml"]) == 2
    assert "areas.gpkg changed since the areas in out were made" in capsys.readouterr().err
    assert main(["rerun", "out"]) == 2
    assert "areas.gpkg has changed since the run was made" in capsys.readouterr().err
    assert main(["regions", "bay.toml"]) == 0
    assert "1 pair of areas overlap" in (tmp_path / "out" / "regions.json").read_text()


def test_check_says_before_the_fit_what_a_run_says_of_areas_and_weights(tmp_path):
    path = write_survey(tmp_path, '[regions]\nareas = "areas.gpkg"\nname = "name"\nweights = "people.tif"\n')
    shapes = [shapely.box(500, 500, 1500, 900), shapely.box(0, 0, 400, 400), shapely.box(100, 100, 450, 450)]
    local = gs.read_survey(tmp_path / "sites.csv", crs="local:m").crs
    frame = gpd.GeoDataFrame({"name": ["east", "west", "mid"]}, geometry=shapes, crs=local)
    people = np.ones((10, 10), dtype="float32")
    people[2, 2] = -3
    with rasterio.open(
        tmp_path / "people.tif", "w", driver="GTiff", height=10, width=10, count=1, dtype="float32",
        transform=Affine(120, 0, -100, 0, -120, 1100),
    ) as raster:  # fmt: skip
        raster.write(people, 1)
    with quietly_in(tmp_path):
        frame.to_file("areas.gpkg")
        said = " ".join(str(finding.message) for finding in check(path))
        frame.translate(1e5).to_frame("geometry").assign(name=frame["name"]).to_file("areas.gpkg")
        with pytest.raises(gs.InputError, match="no area lies on the map"):
            check(path)
    assert "partly off the map" in said and "lose that part: east (" in said
    assert "1 pair of areas overlap, most 'west' and 'mid'" in said and "weigh less than nothing, down to" in said
