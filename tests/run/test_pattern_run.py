"""Runs of a point pattern: the map of its intensity, expected numbers, and mistakes told in a sentence."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from small_run import quietly_in

import geospde as gs
from geospde.cli.commands import main
from geospde.run.check import check
from geospde.run.pipeline import run

pytestmark = pytest.mark.usefixtures("unrendered")

PARK = shapely.Polygon([(0, 0), (800, 100), (1000, 600), (600, 900), (100, 700)])
RUN_FILE = """
[survey]
points = "nests.csv"
domain = "park.csv"
crs = "local:m"
[mesh]
max_edge = [200, 400]
[model]
formula = "~ 1 + spde(mesh)"
family = "lgcp"
[priors]
"range(spde)" = { pc = [100, 0.05] }
"sigma(spde)" = { pc = [2, 0.05] }
[inference]
method = "eb"
strategy = "gaussian"
[prediction]
cell = 100
[regions]
areas = "parts.gpkg"
kind = "total"
draws = 200
[output]
dir = "out"
"""


def written(folder, text=RUN_FILE):
    """Write points, domain, areas and the run file; return its path."""
    places = np.random.default_rng(3).uniform(0, 1000, (400, 2))
    likely = np.exp(-((places[:, 0] - 300) ** 2 + (places[:, 1] - 400) ** 2) / 8e4)
    seen = (np.random.default_rng(4).uniform(size=400) < likely) & shapely.contains_xy(PARK, places)
    pd.DataFrame(places[seen], columns=["x", "y"]).to_csv(folder / "nests.csv", index=False)
    pd.DataFrame(PARK.exterior.coords[:], columns=["x", "y"]).to_csv(folder / "park.csv", index=False)
    crs = gs.read_survey(folder / "nests.csv", crs="local:m").crs
    parts = [shapely.intersection(PARK, shapely.box(0, 0, 500, 1000)), shapely.box(500, 0, 1000, 1000)]
    gpd.GeoDataFrame({"part": ["west", "east"]}, geometry=parts, crs=crs).to_file(folder / "parts.gpkg")
    (folder / "nests.toml").write_text(text)
    return folder / "nests.toml"


@pytest.mark.slow
def test_a_pattern_is_mapped_and_its_numbers_told(tmp_path, capsys):
    with quietly_in(tmp_path):
        result = run(written(tmp_path))
        points = result.survey.points
        fit = gs.fit(
            "~ 1 + spde(mesh)", points, family="lgcp", domain=PARK, mesh=result.mesh, method="eb", strategy="gaussian",
            priors={"range(spde)": {"pc": [100, 0.05]}, "sigma(spde)": {"pc": [2, 0.05]}},
        )  # fmt: skip
        for command in ("predict", "regions", "map", "report"):
            assert main([command, "nests.toml", "--quiet"]) == 0
        for command in (["explore"], ["validate"]):
            assert main([*command, "nests.toml", "--quiet"]) == 2
            assert "a point pattern" in capsys.readouterr().err
    np.testing.assert_allclose(result.fit.hyper["mean"], fit.hyper["mean"], rtol=1e-6)
    intensity = pd.read_csv(tmp_path / "out" / "grid.csv")["mean"]
    np.testing.assert_allclose(intensity, fit.predict(result.prediction.grid).to_frame()["mean"], rtol=1e-6)
    numbers = pd.read_csv(tmp_path / "out" / "numbers.csv").set_index("area")
    assert numbers.index.tolist() == ["domain", "west", "east"]
    # Gamma(n, 1) for the whole; the mean of 200 draws is within three of its own standard errors
    assert abs(numbers.loc["domain", "mean"] - len(points)) < 3 * np.sqrt(len(points) / 200)
    np.testing.assert_allclose(numbers["mean"].iloc[1:].sum(), numbers["mean"].iloc[0], rtol=1e-9)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Expected numbers of points" in page and "intensity of points" in page


@pytest.mark.parametrize(
    "old, new, words",
    [
        ('domain = "park.csv"\n', "", "needs the area in which points would have been seen.*domain ="),
        ('domain = "park.csv"', 'domain = "part.csv"', "there is no file .*part.csv"),
        ('"~ 1 +', '"nests ~ 1 +', "the response of a point pattern is its places: write '~ terms'"),
        ('family = "lgcp"', 'family = "lgcp"\nexposure = "x"', "family 'lgcp' takes no exposure="),
        (
            'formula = "~ 1 + spde(mesh)"\nfamily = "lgcp"',
            'formula = "x ~ 1"',
            "domain is only for point patterns",
        ),
        ("~ 1 + spde", "~ 1 + x + spde", "'x' is known at the points alone"),
        ("[output]", "[validation]\nfolds = 'random'\n[output]", "a point pattern is not cross-validated"),
    ],
)
def test_mistakes_are_told(old, new, words, tmp_path):
    assert old in RUN_FILE
    with quietly_in(tmp_path), pytest.raises(gs.InputError, match=words):
        check(written(tmp_path, RUN_FILE.replace(old, new)))


def test_points_outside_and_domains_without_area_are_told(tmp_path):
    path = written(tmp_path)
    table = pd.read_csv(tmp_path / "nests.csv")
    pd.concat([table, pd.DataFrame({"x": [2000.0], "y": [0.0]})]).to_csv(tmp_path / "nests.csv", index=False)
    with (
        quietly_in(tmp_path),
        pytest.raises(gs.InputError, match=rf"line {len(table) + 2}.* lies outside of"),
    ):
        check(path)
    table.to_csv(tmp_path / "nests.csv", index=False)
    pd.DataFrame({"x": [0, 1, 2], "y": [0, 1, 2]}).to_csv(tmp_path / "park.csv", index=False)
    with quietly_in(tmp_path), pytest.raises(gs.InputError, match="no area"):
        check(path)


@pytest.mark.slow
def test_marks_are_a_column_of_the_points(tmp_path):
    with quietly_in(tmp_path):
        file = written(tmp_path, RUN_FILE.replace('"~ 1 + spde', '"kind ~ kind + spde'))
        nests = pd.read_csv(tmp_path / "nests.csv")
        nests.assign(kind=np.where(nests["x"] < 300, "a", "b")).to_csv(tmp_path / "nests.csv", index=False)
        with pytest.raises(gs.InputError, match="needs the column 'kind' .* or its value in .prediction."):
            check(file)
        file.write_text(file.read_text().replace("cell = 100", "cell = 100\nat.kind = ['a', 'b']"))
        result = run(file)
    numbers = pd.read_csv(tmp_path / "out" / "numbers.csv")
    assert numbers["kind"].tolist() == [kind for kind in ("all", "a", "b") for _ in range(3)]
    assert list(result.fit.fixed.index) == ["Intercept", "kind[b]"]
    assert ">all<" in (tmp_path / "out" / "report.html").read_text()
