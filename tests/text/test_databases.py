"""GeoPackages, Shapefiles and Parquet that are read without an end, or as others than they are."""

import os
import sqlite3
import struct
from contextlib import closing

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

import geospde as gs
from geospde.survey.parquet import DEEPEST

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
    gpd.GeoDataFrame({"z": rng.normal(size=20), "m": np.arange(20)}, geometry=points, crs="EPSG:32633").to_file(
        path, layer="t"
    )
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
        ("UPDATE t SET m = 3.7 WHERE fid = 3", "the column 'm' of whole numbers holds others"),  # GDAL reads 3
        ("UPDATE gpkg_ogr_contents SET feature_count = 5", "holds 20 rows, and says that it holds 5"),
        ("UPDATE t SET geom = x'deadbeef'", "row 1 has no place"),
    ],
)
def test_a_package_that_says_other_than_it_holds_is_refused(change, words, tmp_path):
    with pytest.raises(gs.InputError, match=words):
        gs.read_survey(package(tmp_path / "a.gpkg", change))


@pytest.mark.parametrize("rows", [10, 40])
def test_a_shapefile_with_the_table_of_another_is_refused(rows, tmp_path):
    """GDAL left out the sites, or the rows, that were too many."""
    for name, size in (("sites", 25), ("other", rows)):
        places = gpd.points_from_xy(np.arange(size), np.arange(size) ** 2)
        frame = gpd.GeoDataFrame({"z": np.arange(size)}, geometry=places, crs="EPSG:32633")
        frame.to_file(tmp_path / f"{name}.shp")
    os.replace(tmp_path / "other.dbf", tmp_path / "sites.dbf")
    with pytest.raises(gs.InputError, match=f"has 25 shapes, and 'sites.dbf' {rows} rows"):
        gs.read_survey(tmp_path / "sites.shp")


@pytest.mark.parametrize("order", ["<", ">"])
def test_shapes_within_shapes_are_refused_before_geos_reads_them(order, tmp_path):
    """Some tens of thousands of them end the process."""
    first = {"<": 1, ">": 0}[order]
    deep = struct.pack(f"{order}BII", first, 7, 1) * (DEEPEST + 2) + struct.pack(f"{order}BIdd", first, 1, 5, 6)
    frame = gpd.GeoDataFrame({"z": np.arange(3)}, geometry=gpd.points_from_xy(*np.eye(2, 3)), crs="EPSG:32633")
    frame.to_parquet(tmp_path / "a.parquet")
    good = pq.read_table(tmp_path / "a.parquet")
    bad = good.set_column(1, "geometry", pa.array([shapely.to_wkb(shapely.Point(1, 2)), deep, deep]))
    pq.write_table(bad.replace_schema_metadata(good.schema.metadata), tmp_path / "a.parquet")
    with pytest.raises(gs.InputError, match="a.parquet, row 2 holds shapes within shapes"):
        gs.read_survey(tmp_path / "a.parquet")


def test_layers_and_parquet_files_of_thousands_of_columns_are_refused(tmp_path):
    """They took a minute and gigabytes."""
    pq.write_table(pa.table({f"c{k}": [1.0] for k in range(2001)}), tmp_path / "a.parquet")
    names = ", ".join(f'"c{k}": 1' for k in range(2001))
    point = '"geometry": {"type": "Point", "coordinates": [1, 2]}'
    (tmp_path / "a.geojson").write_text(f'{{"type": "Feature", "properties": {{{names}}}, {point}}}')
    for name in ("a.parquet", "a.geojson"):
        with pytest.raises(gs.InputError, match="has 2,001 columns, more than 2,000"):
            gs.read_survey(tmp_path / name)
