"""Runs of a survey of areas: by their labels, mapped as they are, and over a field; mistakes told in a sentence."""

import zipfile
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from small_run import quietly_in

import geospde as gs
from geospde.cli.commands import main
from geospde.report.areas import areas_on_a_grid
from geospde.run.check import check
from geospde.run.config import read_config
from geospde.run.inputs import load_survey
from geospde.run.pipeline import run, run_step
from geospde.run.regions import read_regions

SIDE = 5
RUN_FILE = """
[survey]
areas = "districts.gpkg"
[model]
formula = "deaths ~ 1 + bym2(district, graph=areas)"
family = "poisson"
exposure = "expected"
[inference]
method = "eb"
[prediction]
exceed = [1]
[output]
dir = "out"
label = "relative risk"
"""


def districts():
    """Twenty-five squares of a kilometre, with risks that fall from west to east."""
    rng = np.random.default_rng(3)
    column, row = (part.ravel() for part in np.meshgrid(range(SIDE), range(SIDE), indexing="ij"))
    shapes = [shapely.box(1000 * i, 1000 * j, 1000 * (i + 1), 1000 * (j + 1)) for i, j in zip(column, row)]
    frame = gpd.GeoDataFrame({"district": [f"d{i}{j}" for i, j in zip(column, row)]}, geometry=shapes)
    frame.geometry = frame.translate(500_000, 4_000_000)
    frame["expected"] = rng.uniform(20, 60, len(frame)).round(1)
    frame["deaths"] = rng.poisson(frame["expected"] * np.exp(0.5 - 0.25 * column))
    return frame.set_crs(32630)


def written(folder, text=RUN_FILE, frame=None):
    """Write the layer and the run file; return its path."""
    (districts() if frame is None else frame).to_file(folder / "districts.gpkg")
    (folder / "areas.toml").write_text(text)
    return folder / "areas.toml"


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    folder = tmp_path_factory.mktemp("areas")
    with quietly_in(folder):
        written(folder)
        return run("areas.toml"), folder


def test_areas_are_mapped_as_they_are(ran):
    result, folder = ran
    frame = districts()
    fit = gs.fit(
        "deaths ~ 1 + bym2(district, graph=w)", frame, family="poisson", exposure="expected", method="eb",
        graphs={"w": frame},
    )  # fmt: skip
    table = pd.read_csv(folder / "out" / "regions.csv")
    assert table["area"].tolist() == frame["district"].tolist()
    expected = fit.predict_regions(frame, exceed=[1]).to_frame()
    assert "exceed_1.2345678" in fit.predict_regions(frame, exceed=[1.2345678]).to_frame()
    np.testing.assert_allclose(table[["mean", "sd", "exceed_1"]], expected[["mean", "sd", "exceed_1"]], rtol=1e-9)
    assert result.mesh is None and result.prediction is None and len(result.regions) == 1
    names = {path.name for path in (folder / "out").rglob("*")}
    assert {"regions-areas.png", "regions-areas-limits.png", "regions-areas-exceed_1.png", "fit.npz"} <= names
    assert not names & {"mesh.gpkg", "prediction.tif", "grid.csv", "layers.gpkg"}
    layer = gpd.read_file(folder / "out" / "regions.gpkg", layer="areas")
    assert {"district", "deaths", "mean", "exceed_1"} <= set(layer.columns) and layer.crs == frame.crs
    with zipfile.ZipFile(folder / "out" / "project.qgz") as project:
        assert "regions.gpkg|layername=areas" in project.read("project.qgs").decode()
    page = (folder / "out" / "report.html").read_text()
    assert "25 areas" in page and "has the highest relative risk" in page and "above 1 is 0.95 or more in" in page


def test_the_report_maps_areas_in_their_colours(ran):
    folder = ran[1] / "out"
    figures = read_regions(folder)[0]
    cells = areas_on_a_grid(figures, "deaths / expected")
    names = [layer.name for layer in cells.layers]
    assert names[:2] == ["mean", "sd"] and "exceed_1" in names and cells.grid.mask.all()
    table = figures.frame.set_index("area")
    for area, (x, y) in {"d00": (500_450, 4_000_550), "d34": (503_500, 4_004_500)}.items():
        at = np.hypot(*(cells.points - (x, y)).T).argmin()
        assert cells.frame["mean"][at] == table["mean"][area]
    page = (folder / "report.html").read_text()
    assert '"title":"Posterior mean"' in page and '"bands":[]' not in page
    years = replace(figures, frame=pd.concat([figures.frame, figures.frame]))
    assert areas_on_a_grid(years, "deaths / expected") is None


@pytest.mark.slow
@pytest.mark.usefixtures("unrendered_here")
def test_each_step_goes_on_from_the_folder_or_says_why_not(ran, capsys):
    _, folder = ran
    with quietly_in(folder):
        for command in ("regions", "map", "report"):
            assert main([command, "areas.toml", "--quiet"]) == 0
        for command in ("mesh", "predict"):
            assert main([command, "areas.toml"]) == 2
            assert "its survey is of areas by their labels" in capsys.readouterr().err
        for rest in (["design", "--add", "2"], ["predict", "--estimate"]):
            assert main([rest[0], "areas.toml", *rest[1:], "--quiet"]) == 2
            assert "the survey is of areas by their labels" in capsys.readouterr().err


def test_degrees_will_do_for_labels_and_not_for_a_field(tmp_path):
    path = written(tmp_path, frame=districts().to_crs(4326))
    findings = check(path)
    assert not [finding for finding in findings if finding.level == "error"]
    path.write_text(OVER_A_FIELD)
    with pytest.raises(gs.InputError, match="is in degrees"):
        check(path)


OVER_A_FIELD = RUN_FILE.replace("bym2(district, graph=areas)", "spde(mesh)").replace(
    'exposure = "expected"', 'areas = "total"\n[mesh]\nmax_edge = [900, 1500]'
).replace("exceed = [1]", "cell = 500").replace('"eb"', '"eb"\nstrategy = "gaussian"')  # fmt: skip


@pytest.mark.slow
@pytest.mark.usefixtures("unrendered_here")
def test_totals_of_areas_are_mapped_in_cells(tmp_path):
    with quietly_in(tmp_path):
        result = run(written(tmp_path, OVER_A_FIELD))
    frame = districts()
    fit = gs.fit(
        "deaths ~ 1 + spde(mesh)", frame, family="poisson", method="eb", strategy="gaussian", mesh=result.mesh,
        areas="total",
    )  # fmt: skip
    np.testing.assert_allclose(result.fit.hyper["mean"], fit.hyper["mean"], rtol=1e-4)
    grid = pd.read_csv(tmp_path / "out" / "grid.csv")
    assert len(grid) == 100
    np.testing.assert_allclose(grid["mean"], fit.predict(result.prediction.grid).to_frame()["mean"], rtol=1e-3)


@pytest.mark.parametrize(
    "old, new, words",
    [
        ('areas = "districts.gpkg"\n', "", r"\[survey\] needs the key 'points', a table of sites, or 'areas'"),
        ("[survey]\n", '[survey]\npoints = "a.csv"\n', "has both points and areas"),
        ("[survey]\n", '[survey]\nx = "east"\n', r"\[survey\] x is only for points, and the survey has areas"),
        ("[inference]", "[mesh]\nmax_edge = 3\n[inference]", r"line \d+: \[mesh\] is of places, and the survey is of"),
        ("exceed = [1]", "exceed = [1]\ncell = 100", r"line \d+: \[prediction\] cell is of a map of cells"),
        ('family = "poisson"', 'family = "poisson"\nareas = "sum"', r'\[model\] areas is "mean", "total", or a table'),
        (
            "[survey]\nareas =",
            '[model]\nareas = "mean"\n[survey]\npoints =',
            "Cannot declare|twice|duplicate|overwrite",
        ),
    ],
)
def test_mistakes_in_the_file_are_told(old, new, words, tmp_path):
    (tmp_path / "areas.toml").write_text(RUN_FILE.replace(old, new))
    with pytest.raises(gs.InputError, match=words):
        read_config(tmp_path / "areas.toml")


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda frame: frame.drop(columns="district"), "no column 'district'"),
        (lambda frame: frame.assign(district="d00"), "the area 'd00' appears twice in the graph 'areas'"),
        (lambda frame: frame.drop(columns="deaths"), "has no column 'deaths'"),
        (lambda frame: frame.set_geometry(frame.centroid), "is a Point.*a layer of points is named with points"),
        (lambda frame: frame.iloc[:1], "has one area"),
        (lambda frame: frame.iloc[:0], "has no rows"),
        (lambda frame: frame.set_geometry(frame.geometry.where(frame.index != 3)), "row 4 has no shape"),
        (lambda frame: frame.iloc[[0, 12, 24]], "no areas of the graph 'areas' are neighbours"),
    ],
)
def test_mistakes_in_the_layer_are_told(change, words, tmp_path):
    with pytest.raises(gs.InputError, match=words):
        check(written(tmp_path, frame=change(districts())))


def test_a_graph_of_other_areas_is_told(tmp_path):
    text = RUN_FILE.replace("graph=areas", "graph=w").replace("[inference]", '[graphs]\nw = "w.graph"\n[inference]')
    (tmp_path / "w.graph").write_text("3\n1 1 2\n2 2 1 3\n3 1 2\n")
    with pytest.raises(
        gs.InputError, match="'d00' of 'district', row 1 of districts.gpkg, is no area of the graph 'w'"
    ):
        check(written(tmp_path, text))


def test_points_that_are_polygons_are_sent_to_areas(tmp_path):
    path = written(tmp_path, RUN_FILE.replace("areas =", "points ="))
    with pytest.raises(gs.InputError, match="a layer of polygons is named with areas"):
        check(path)


def test_a_field_without_a_support_is_told(tmp_path):
    path = written(tmp_path, RUN_FILE.replace("bym2(district, graph=areas)", "spde(mesh)"))
    with pytest.raises(gs.InputError, match=r'areas = "mean" or "total" in \[model\]'):
        check(path)


def test_init_proposes_neighbours_over_what_was_expected(tmp_path, capsys):
    frame = districts().assign(objectid=range(1, 26), deprived=np.linspace(0, 1, 25))
    frame.to_file(tmp_path / "districts.gpkg")
    with quietly_in(tmp_path):
        assert main(["init", "districts.gpkg", "--out", "new.toml", "--yes"]) == 0
        said = capsys.readouterr().out
        text = (tmp_path / "new.toml").read_text()
        assert main(["check", "new.toml", "--quiet"]) == 0
        assert main(["init", "districts.gpkg", "--out", "b.toml", "--yes", "--coastline", "c.csv"]) == 2
        assert "holds areas" in capsys.readouterr().err
        frame.drop(columns="district").to_file("codes.gpkg")
        assert main(["init", "codes.gpkg", "--out", "b.toml", "--yes", "--quiet"]) == 0
        assert "bym2(objectid, graph=areas)" in (tmp_path / "b.toml").read_text()
        frame.assign(district="a").drop(columns="objectid").to_file("same.gpkg")
        assert main(["init", "same.gpkg", "--out", "c.toml", "--yes"]) == 2
        assert "no column that tells its areas apart" in capsys.readouterr().err
    assert 'formula = "deaths ~ 1 + bym2(district, graph=areas)"' in text and 'exposure = "expected"' in text
    assert "exceed = [1]" in text and 'label = "relative risk"' in text and "25 areas" in said


@pytest.mark.slow
@pytest.mark.usefixtures("unrendered_here")
def test_areas_of_several_years_are_mapped_at_each(tmp_path):
    frame = districts()
    years = [frame.assign(year=year, deaths=frame["deaths"] + year - 2001) for year in (2001, 2002, 2003)]
    text = RUN_FILE.replace("graph=areas)", "graph=areas) + year").replace("exceed = [1]", "at.year = [2001, 2004]")
    path = written(tmp_path, text, pd.concat(years, ignore_index=True))
    with quietly_in(tmp_path):
        run(path)
        table = pd.read_csv("out/regions.csv")
        assert table["year"].tolist() == [2001] * 25 + [2004] * 25
        assert (table["mean"][25:].mean() > table["mean"][:25].mean()) and (tmp_path / "out").is_dir()
        assert {f"regions-areas-year_{year}.png" for year in (2001, 2004)} <= {
            path.name for path in (tmp_path / "out" / "figures").iterdir()
        }
        path.write_text(text.replace("at.year = [2001, 2004]", ""))
        with pytest.raises(gs.InputError, match="'year'.*each area is mapped once.*at.year"):
            check(path)


def test_scottish_lips_from_a_run_file_are_those_of_fit(tmp_path):
    reference = Path(__file__).parents[1] / "reference" / "areas"
    table = pd.read_csv(reference / "scotland.csv")
    table["X"] = (table["X"] - table["X"].mean()) / table["X"].std()
    shapes = [shapely.box(k % 8, k // 8, k % 8 + 1, k // 8 + 1) for k in range(len(table))]
    (tmp_path / "w.graph").write_text((reference / "scotland.graph").read_text())
    text = """
    [survey]
    areas = "districts.gpkg"
    [graphs]
    w = "w.graph"
    [model]
    formula = "Counts ~ X + bym2(Region, graph=w)"
    family = "poisson"
    exposure = "E"
    [priors]
    "sd(bym2(Region))" = { pc = [1, 0.01] }
    [inference]
    method = "eb"
    strategy = "gaussian"
    [output]
    dir = "out"
    """
    path = written(tmp_path, text, gpd.GeoDataFrame(table, geometry=shapes, crs=32630))
    with quietly_in(tmp_path):
        found = run_step("fit", path).fit
    fit = gs.fit(
        "Counts ~ X + bym2(Region, graph=w)", table, family="poisson", exposure="E", method="eb", strategy="gaussian",
        graphs={"w": reference / "scotland.graph"}, priors={"sd(bym2(Region))": {"pc": [1, 0.01]}},
    )  # fmt: skip
    np.testing.assert_allclose(found.fixed["mean"], fit.fixed["mean"], rtol=1e-6)
    np.testing.assert_allclose(found.hyper["mean"], fit.hyper["mean"], rtol=1e-6)


def joined(folder, lines=("key = ['code', 'district']",), **changes):
    """Write shapes and counts apart, and a run file that joins them; return its path."""
    frame = districts()
    frame["district"] = [f"{k:02d}" for k in range(len(frame))]
    frame[["district", "geometry"]].to_file(folder / "districts.gpkg")
    counts = pd.DataFrame(frame.drop(columns="geometry")).assign(code=range(len(frame))).drop(columns="district")
    counts.assign(**changes).to_csv(folder / "deaths.csv", index=False)
    text = RUN_FILE.replace(
        '"districts.gpkg"\n', '"districts.gpkg"\n' + "\n".join(['table = "deaths.csv"', *lines]) + "\n"
    )
    (folder / "areas.toml").write_text(text.replace("bym2(district", "bym2(code"))
    return folder / "areas.toml"


@pytest.mark.usefixtures("unrendered_here")
def test_counts_in_a_table_are_joined_to_their_shapes(tmp_path):
    with quietly_in(tmp_path):
        survey = load_survey(read_config(joined(tmp_path)))
    frame = districts()
    np.testing.assert_array_equal(survey.table["deaths"], frame["deaths"])
    assert survey.table["district"].tolist()[:2] == ["00", "01"] and survey.word == "area"
    assert [path.name for path in survey.sources] == ["districts.gpkg", "deaths.csv"]


@pytest.mark.parametrize(
    "lines, code, words",
    [
        (("key = ['code', 'district']",), [77, *range(1, 25)], "deaths.csv, line 2, column 'code'.*has no area '77'"),
        (("key = 'district'",), range(25), "deaths.csv.*has no column 'district'"),
        ((), range(25), "table and key go together"),
    ],
)
def test_areas_that_do_not_join_are_told(tmp_path, lines, code, words):
    with quietly_in(tmp_path), pytest.raises(gs.InputError, match=words):
        load_survey(read_config(joined(tmp_path, lines, code=list(code))))


def test_an_area_without_a_row_is_left_out_with_a_warning(tmp_path):
    file = joined(tmp_path)
    lines = (tmp_path / "deaths.csv").read_text().splitlines()
    (tmp_path / "deaths.csv").write_text("\n".join(lines[:-1]))
    with quietly_in(tmp_path), pytest.warns(gs.GeospdeWarning, match="1 area of districts.gpkg has no row.*'24'"):
        assert len(load_survey(read_config(file)).points) == 24


def test_what_is_recorded_of_areas_by_their_labels_can_be_read_again(tmp_path):
    config = read_config(written(tmp_path))
    again = read_config(config.settings())
    assert again.settings() == config.settings() and "covariates" not in config.settings()
