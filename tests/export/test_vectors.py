"""Vector layers read back by pyogrio, and their styles by SQLite."""

import sqlite3
from types import SimpleNamespace
from xml.etree import ElementTree

import geopandas as gpd
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely

import geospde as gs
from geospde.errors import InputError
from geospde.export.styles import Symbols, marker, outline, store_styles
from geospde.export.vectors import coastline_layer, sites_layer, write_layers
from geospde.survey.crs import parse_crs

LAND = shapely.MultiPolygon([shapely.box(0, 0, 300, 200), shapely.box(500, 0, 600, 100)])


def survey_of(columns, crs="EPSG:32658"):
    n = len(next(iter(columns.values())))
    places = gpd.points_from_xy(np.arange(n) * 10.0, np.arange(n) * 5.0)
    points = gpd.GeoDataFrame(columns, geometry=places, crs=parse_crs(crs))
    return SimpleNamespace(points=points, coastline=LAND, crs=points.crs, name="bay")


def fit_of(n):
    rng = np.random.default_rng(0)
    fitted = pd.DataFrame(rng.uniform(size=(n, 6)), columns=["mean", "sd", "q0.025", "q0.5", "q0.975", "mode"])
    pointwise = pd.DataFrame(rng.uniform(size=(n, 3)), columns=["cpo", "pit", "dic"])
    return SimpleNamespace(fitted=fitted, pointwise=pointwise)


@pytest.mark.parametrize("crs", ["EPSG:32658", "local:m", "local:km", "local:unit"])
def test_sites_come_back_with_what_was_observed_and_fitted(tmp_path, crs):
    survey, fit = survey_of({"counts": [3, 5, 9], "time": [1.0, 2.0, 4.0], "who": ["a", "b", None]}, crs), fit_of(3)
    layer = sites_layer(survey, fit, observed=[3, 2.5, 2.25])
    back = gpd.read_file(write_layers(tmp_path / "l.gpkg", {"sites": layer}), layer="sites")
    assert list(back.columns) == [
        *("counts", "time", "who", "observed", "mean", "sd", "q0.025", "q0.5", "q0.975", "cpo", "pit", "geometry")
    ]
    np.testing.assert_array_equal(back[["mean", "sd", "q0.025", "q0.5", "q0.975"]], fit.fitted.drop(columns="mode"))
    np.testing.assert_array_equal(back[["cpo", "pit"]], fit.pointwise[["cpo", "pit"]])
    assert list(back["observed"]) == [3, 2.5, 2.25] and list(back["counts"]) == [3, 5, 9]
    assert back["who"].isna().tolist() == [False, False, True]
    assert back.geometry.geom_equals(survey.points.geometry, align=False).all()
    # GeoPackage forgets the unit's name of a local frame, not its length
    theirs, ours = back.crs.axis_info[0].unit_conversion_factor, survey.crs.axis_info[0].unit_conversion_factor
    assert theirs == ours


def test_columns_that_a_geopackage_cannot_hold_are_told_apart_and_as_text(tmp_path):
    columns = {
        "fid": [1.5, 2.5],
        "Mean": [1, 2],
        "MEAN": [3, 4],
        "mean_survey": [5, 6],
        "Geom": ["p", "q"],
        "lists": [[1], [2, 3]],
        "complex": [1 + 2j, 0j],
        "kind": pd.Categorical(["<&>", "é"]),
        "gaps": pd.array([None, 7], dtype="Int64"),
        "flag": [True, False],
        "maybe": pd.array([None, True], dtype="boolean"),
        "huge": np.array([2**64 - 1, 0], dtype=np.uint64),
        "half": np.array([0.5, 1], dtype=np.float16),
        "when": pd.to_datetime(["2021-03-01", None]),
        "took": pd.to_timedelta(["1 day", "2 days"]),
        5: [1, 2],
    }
    layer = sites_layer(survey_of(columns), fit_of(2))
    back = gpd.read_file(write_layers(tmp_path / "l.gpkg", {"sites": layer}))
    names = [c for c in back.columns if c != "geometry"]
    assert len({c.casefold() for c in names}) == len(names) == len(columns) + 7
    assert names[:5] == ["fid_survey", "Mean_survey", "MEAN_survey_survey", "mean_survey_survey_survey", "Geom_survey"]
    assert list(back["fid_survey"]) == [1.5, 2.5] and list(back["MEAN_survey_survey"]) == [3, 4]
    assert list(back["lists"]) == ["[1]", "[2, 3]"] and list(back["complex"]) == ["(1+2j)", "0j"]
    assert list(back["kind"]) == ["<&>", "é"] and list(back["flag"]) == [True, False]
    assert np.isnan(back["gaps"][0]) and back["gaps"][1] == 7
    assert list(back["half"]) == [0.5, 1.0] and back["huge"][0] == 2.0**64
    assert back["when"][0] == pd.Timestamp("2021-03-01") and back["took"][1].startswith("2 days")


def test_a_fit_of_other_rows_says_nothing_of_these():
    layer = sites_layer(survey_of({"counts": [1, 2, 3]}), fit_of(2))
    assert list(layer.columns) == ["counts", "geometry"]


def test_the_coastline_is_an_island_a_row():
    layer = coastline_layer(survey_of({"a": [1]}))
    assert sorted(layer["area"]) == [100 * 100, 300 * 200]
    assert layer.union_all().equals(LAND)


def test_styles_stand_where_qgis_looks_for_them(tmp_path):
    survey = survey_of({"a": [1, 2]}, "local:km")
    layers = {"sites": sites_layer(survey), "coastline": coastline_layer(survey)}
    path = write_layers(tmp_path / "l.gpkg", layers)
    styles = {"sites": Symbols(marker("#ff8000", 2)), "coastline": Symbols(outline("#102030", 0.3))}
    store_styles(path, styles)
    with sqlite3.connect(path) as database:
        rows = database.execute(
            "SELECT s.f_table_name, g.column_name, s.styleQML FROM layer_styles s JOIN gpkg_geometry_columns g "
            "ON g.table_name = s.f_table_name AND g.column_name = s.f_geometry_column "
            "WHERE s.f_table_schema = '' AND s.f_table_catalog = '' AND s.useAsDefault"
        ).fetchall()
        kind = database.execute("SELECT data_type FROM gpkg_contents WHERE table_name = 'layer_styles'").fetchone()
    database.close()
    assert [row[0] for row in rows] == ["sites", "coastline"] and kind == ("attributes",)
    for name, _, qml in rows:
        assert qml == styles[name].qml()
        assert ElementTree.fromstring(qml).find("renderer-v2").get("type") == "singleSymbol"
    assert dict(pyogrio.list_layers(path)) == {"sites": "Point", "coastline": "Polygon", "layer_styles": None}
    again = gs.read_survey(path, coastline=path, crs="local:km")
    assert len(again.points) == 2 and again.coastline.equals(LAND)


def test_a_mesh_with_styles_is_still_a_mesh(tmp_path):
    mesh = gs.Mesh([[0, 0], [1, 0], [0, 1]], [[0, 1, 2]], crs="local:m")
    mesh.to_gpkg(tmp_path / "mesh.gpkg")
    styles = {"triangles": Symbols(outline("#102030", 0.3)), "vertices": Symbols(marker("#102030", 1))}
    store_styles(tmp_path / "mesh.gpkg", styles)
    back = gs.Mesh.from_gpkg(tmp_path / "mesh.gpkg")
    np.testing.assert_array_equal(back.vertices, mesh.vertices)
    assert back.crs == mesh.crs


def test_what_cannot_be_written_is_refused(tmp_path):
    layers = {"coastline": coastline_layer(survey_of({"a": [1]}))}
    with pytest.raises(InputError, match=r"\*.gpkg, not l.geojson"):
        write_layers(tmp_path / "l.geojson", layers)
    for name in ("missing/l.gpkg", "folder.gpkg"):
        (tmp_path / "folder.gpkg").mkdir(exist_ok=True)
        with pytest.raises(InputError, match="cannot write .*l.gpkg|cannot write .*folder.gpkg"):
            write_layers(tmp_path / name, layers)
