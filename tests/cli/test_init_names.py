"""What `init` calls things: units out of names of columns, runs of one survey apart, columns that no formula names."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

import geospde as gs
from geospde.cli.commands import main
from geospde.run.check import check
from geospde.run.config import read_config


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    folder = tmp_path_factory.mktemp("named")
    rng = np.random.default_rng(2)
    places = {"easting": 455_000 + rng.uniform(0, 4000, 60), "northing": 5_650_000 + rng.uniform(0, 4000, 60)}
    table = pd.DataFrame(places).assign(zinc_mg_kg=rng.gamma(3, 20, 60).round(1), catch=rng.gamma(2, 5, 60).round(2))
    table.assign(ph=6 + table["zinc_mg_kg"] % 1).to_csv(folder / "soil.csv", index=False)
    return folder


def test_a_unit_in_the_name_of_a_column_becomes_one_in_the_label(survey):
    target = survey / "run.toml"
    assert main(["init", str(survey / "soil.csv"), "--crs", "EPSG:32631", "--out", str(target), "-q", "-y"]) == 0
    config = read_config(target)
    assert config.output.label == "expected zinc (mg/kg)" and config.survey.name == "soil"
    assert "as covariates they need a raster of their name" in target.read_text()
    high = config.replacing("prediction", {**config.prediction.given(), "exceed": [5000]})
    (told,) = (one for one in check(high) if one.subject == "threshold")
    assert told.level == "note" and told.message.startswith("5,000 lies above all that was observed")


def test_a_run_file_of_its_own_name_has_its_own_title_and_folder(survey):
    """Two responses of one survey had one title, and the second run would not write over the first's folder."""
    asked = ["--response", "catch", "--crs", "EPSG:32631", "--out", str(survey / "catch.toml"), "-q", "-y"]
    assert main(["init", str(survey / "soil.csv"), *asked]) == 0
    config = read_config(survey / "catch.toml")
    assert (str(config.output.dir), config.survey.name) == ("outputs/catch", "soil: catch")


def test_areas_whose_names_stand_under_a_name_with_a_dot(tmp_path):
    shapes = [shapely.box(k, 0, k + 1, 1) for k in range(4)]
    frame = gpd.GeoDataFrame({"county names": list("abcd"), "cases": [3, 1, 4, 1]}, geometry=shapes, crs=32631)
    frame.to_file(tmp_path / "areas.gpkg")
    assert main(["init", str(tmp_path / "areas.gpkg"), "-y", "--out", str(tmp_path / "run.toml")]) == 0
    assert "bym2(`county names`, graph=areas)" in (tmp_path / "run.toml").read_text()


@pytest.mark.slow
def test_columns_as_spreadsheets_of_many_countries_write_them(tmp_path):
    """Names with spaces were refused where formulas have backquotes, and numbers with decimal commas."""
    rng = np.random.default_rng(2)
    places = rng.uniform(0, 1000, (40, 2)).round(1)
    catch, year = rng.poisson(np.exp(1 + places[:, 0] / 500)), np.repeat([2019, 2020], 20)
    columns = [*places.T, year, catch, rng.uniform(1, 2, 40).round(2)]
    names = ["Rechtswert", "Hochwert", "Jahr (year)", "Catch n.", "Swept area"]
    table = pd.DataFrame(dict(zip(names, columns)))
    table.to_csv(tmp_path / "a.csv", index=False, sep=";", decimal=",")
    asked = ["--crs", "EPSG:32632", "-q", "-y", "--out", str(tmp_path / "run.toml")]
    assert main(["init", str(tmp_path / "a.csv"), *asked]) == 0
    config = read_config(tmp_path / "run.toml")
    assert config.model.formula == "`Catch n.` ~ 1 + C(`Jahr (year)`) + spde(mesh)"
    assert (config.model.exposure, config.prediction.at) == ("Swept area", {"Jahr (year)": [2019, 2020]})
    assert main(["check", str(tmp_path / "run.toml"), "-q"]) == 0
    table.to_csv(tmp_path / "b.csv", index=False)
    kinds = {"crs": "EPSG:32632", "x": "Rechtswert", "y": "Hochwert"}
    own, plain = (gs.read_survey(tmp_path / name, **kinds).points for name in ("a.csv", "b.csv"))
    pd.testing.assert_frame_equal(own.drop(columns="geometry"), plain.drop(columns="geometry"))


def test_numbers_of_rows_with_gaps_are_no_covariate():
    table = pd.DataFrame(
        {"x": [0.0, 9, 4, 7, 1], "y": [3.0, 1, 8, 2, 9], "cluster_id": [3, 4, 8, 9, 12], "n": [1, 2, 0, 4, 3]}
    )
    found = gs.explore(gs.read_survey(table, x="x", y="y", crs="local:m"), "n", permutations=19)
    assert "cluster_id" not in found.covariates
