"""Areas of several layers of one file, in a run file and on the command line."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from shapely import box
from small_run import quietly_in, write_survey

import geospde as gs
from geospde.cli.commands import main
from geospde.run.config import read_config
from geospde.survey.crs import parse_crs

LOCAL = parse_crs("local:m")
HALVES = gpd.GeoDataFrame(
    {"half": ["west", "east"]}, geometry=[box(100, 100, 500, 900), box(500, 100, 900, 900)], crs=LOCAL
)
LAYERS = '\n[regions]\nareas = "areas.gpkg"\nlayer = ["half", "whole"]\nkind = "total"\n'


def test_layers_of_one_file_add_up(tmp_path):
    path = write_survey(tmp_path, LAYERS)
    whole = gpd.GeoDataFrame({"name": ["all"]}, geometry=[box(100, 100, 900, 900)], crs=LOCAL)
    with quietly_in(tmp_path):
        HALVES.to_file("areas.gpkg", layer="half")
        whole.to_file("areas.gpkg", layer="whole")
        gs.run(path)
        table = pd.read_csv("out/regions.csv")
        assert table["layer"].tolist() == ["half", "half", "whole"]
        np.testing.assert_allclose(table["mean"][:2].sum(), table["mean"][2], rtol=1e-9)  # cells are cut, not lost
        page = (tmp_path / "out/report.html").read_text()
        assert [page.count(f"<caption>{name}: Total of caught") for name in ("half", "whole")] == [1, 1]
        assert main(["regions", "bay.toml", "--areas", "areas.gpkg", "--layer", "whole", "-q"]) == 0
    table = pd.read_csv(tmp_path / "out/regions.csv")
    assert table["layer"].tolist() == ["areas"]


def test_so_many_layers_as_files(tmp_path):
    path = write_survey(tmp_path, LAYERS.replace('"areas.gpkg"', '["a.gpkg", "b.gpkg", "c.gpkg"]'))
    with pytest.raises(gs.InputError, match="2 layers of 3 files: give one file, or one of each"):
        read_config(path)
    pairs = read_config(write_survey(tmp_path, LAYERS.replace('"areas.gpkg"', '["a.gpkg", "b.gpkg"]'))).regions.layers
    assert pairs == [("a.gpkg", "half"), ("b.gpkg", "whole")]
    one = read_config(write_survey(tmp_path, LAYERS.replace('["half", "whole"]', '"half"'))).regions.layers
    assert one == [("areas.gpkg", "half")]
