"""GeoPackages that GDAL reads without an end, or as others than they are."""

import sqlite3
from contextlib import closing

import geopandas as gpd
import numpy as np
import pytest

import geospde as gs

LAYER = "INSERT INTO gpkg_contents(table_name, data_type, identifier, srs_id) VALUES('v', 'features', 'v', 32633)"
SHAPES = "INSERT INTO gpkg_geometry_columns VALUES('v', 'geom', 'POINT', 32633, 0, 0)"
ENDLESS = {
    "calls itself": "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT n fid, geom, n z FROM r, t",
    "joins itself": "SELECT a.fid, a.geom, a.z FROM t a, t b, t c, t d, t e, t f, t g, t h",
}


def package(path, *changes):
    """20 sites in a GeoPackage, and what is done to it by SQL, without its triggers."""
    rng = np.random.default_rng(1)
    points = gpd.points_from_xy(*rng.uniform(0, 1000, (2, 20)))
    gpd.GeoDataFrame({"z": rng.normal(size=20)}, geometry=points, crs="EPSG:32633").to_file(path, layer="t")
    with closing(sqlite3.connect(path)) as to:
        for (trigger,) in to.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            to.execute(f'DROP TRIGGER "{trigger}"')
        for change in changes:
            to.execute(change)
        to.commit()
    return path


@pytest.mark.parametrize("view", ENDLESS)
@pytest.mark.parametrize("layer", ["v", "t"])
def test_a_view_without_an_end_is_refused(view, layer, tmp_path):
    path = package(tmp_path / "a.gpkg", f"CREATE VIEW v AS {ENDLESS[view]}", LAYER, SHAPES)
    with pytest.raises(gs.InputError, match=r"its view 'v' has no end, or is too long to be read; save its rows"):
        gs.read_survey(path, layer=layer)


def test_a_view_of_a_part_is_read(tmp_path):
    path = package(tmp_path / "a.gpkg", "CREATE VIEW v AS SELECT fid, geom, z FROM t WHERE fid < 8", LAYER, SHAPES)
    assert len(gs.read_survey(path, layer="v").points) == 7 and len(gs.read_survey(path, layer="t").points) == 20


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("UPDATE t SET z = 'abc' WHERE fid = 3", "the column 'z' of numbers holds text"),  # GDAL reads 0
        ("UPDATE t SET z = x'00ff' WHERE fid = 3", "the column 'z' of numbers holds text"),
        ("UPDATE gpkg_ogr_contents SET feature_count = 5", "holds 20 rows, and says that it holds 5"),
        ("UPDATE t SET geom = x'deadbeef'", "row 1 has no place"),
    ],
)
def test_a_package_that_says_other_than_it_holds_is_refused(change, words, tmp_path):
    with pytest.raises(gs.InputError, match=words):
        gs.read_survey(package(tmp_path / "a.gpkg", change))
