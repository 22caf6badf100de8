import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

import geospde as gs
from geospde.survey.polygons import as_land, polygon_from_rings

SITES = "x,y,c\n0,0,1\n500,10,2\n300,400,3\n"
SQUARE = "x,y\n-1000,-1000\n1000,-1000\n1000,1000\n-1000,1000\n"


@pytest.fixture
def write(tmp_path):
    def to_file(text, name="points.csv"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return to_file


def test_rongelap_is_what_its_source_says():
    survey = gs.load_dataset("rongelap")
    assert len(survey.points) == 157
    assert survey.points["counts"].sum() == 472801
    assert survey.points["time"].sum() == 63100
    assert survey.coastline.area == pytest.approx(2120283.32, abs=0.01)
    assert survey.units == "m"
    assert list(survey.points.columns) == ["cX", "cY", "counts", "time", "geometry"]
    np.testing.assert_array_equal(survey.coordinates, survey.points[["cX", "cY"]])
    off = survey.offshore()
    assert (off > 0).sum() == 2
    assert off.max() == pytest.approx(19.34, abs=0.01)


def test_offshore_sites_are_a_warning_with_count_and_distance(island):
    with pytest.warns(gs.GeospdeWarning, match=r"2 of 157 sites .* by up to 19\.3 m"):
        gs.read_survey(island / "points.csv", x="cX", y="cY", coastline=island / "coastline.csv", crs="local:m")


@pytest.mark.parametrize("driver", ["gpkg", "geojson", "shp"])
def test_vector_layers_give_the_survey_that_csv_gives(tmp_path, write, driver):
    table = pd.DataFrame({"x": [5e5, 5.01e5, 5.02e5], "y": [5e6, 5.001e6, 5e6], "c": [1, 2, 3]})
    points = gpd.GeoDataFrame(table, geometry=gpd.points_from_xy(table.x, table.y), crs=32633)
    land = gpd.GeoDataFrame(geometry=[points.union_all().buffer(2000)], crs=32633)
    points.to_file(tmp_path / f"points.{driver}")
    land.to_file(tmp_path / f"coast.{driver}")
    survey = gs.read_survey(tmp_path / f"points.{driver}", coastline=tmp_path / f"coast.{driver}")
    plain = gs.read_survey(write(table.to_csv(index=False)), crs="EPSG:32633")
    assert survey.crs == plain.crs
    np.testing.assert_allclose(survey.coordinates, plain.coordinates)
    assert survey.coastline.area == pytest.approx(land.area.sum())
    assert {"x", "y", "c"} <= set(survey.points.columns)


def test_parquet_is_read_with_and_without_geometry(tmp_path):
    pytest.importorskip("pyarrow")
    table = pd.DataFrame({"x": [0.0, 100.0], "y": [0.0, 50.0]})
    table.to_parquet(tmp_path / "plain.parquet")
    gpd.GeoDataFrame(table, geometry=gpd.points_from_xy(table.x, table.y)).to_parquet(tmp_path / "geo.parquet")
    for name in ("plain", "geo"):
        survey = gs.read_survey(tmp_path / f"{name}.parquet", crs="local:m")
        np.testing.assert_array_equal(survey.coordinates, table)


def test_one_layer_of_several_is_found_by_its_geometry(tmp_path):
    points = gpd.GeoDataFrame({"c": [1, 2]}, geometry=gpd.points_from_xy([5e5, 5.01e5], [5e6, 5e6]), crs=32633)
    points.to_file(tmp_path / "all.gpkg", layer="sites")
    land = gpd.GeoDataFrame(geometry=[shapely.box(4.9e5, 4.9e6, 5.1e5, 5.1e6)], crs=32633)
    land.to_file(tmp_path / "all.gpkg", layer="land")
    survey = gs.read_survey(tmp_path / "all.gpkg", coastline=tmp_path / "all.gpkg")
    assert len(survey.points) == 2
    assert survey.coastline.area == pytest.approx(2e4 * 2e5)
    with pytest.raises(gs.InputError, match="has no layer 'site': did you mean 'sites'"):
        gs.read_survey(tmp_path / "all.gpkg", layer="site")


def test_degrees_are_transformed_when_the_source_crs_is_said(write):
    path = write("lon,lat\n15.0,45.0\n15.1,45.0\n")
    survey = gs.read_survey(path, source_crs="EPSG:4326", crs="EPSG:32633")
    east, north = survey.coordinates[0]
    assert east == pytest.approx(500000, abs=0.01)  # the central meridian of the zone
    assert north == pytest.approx(4982950.4, abs=0.1)


def test_coastline_is_brought_to_the_crs_of_the_points(tmp_path):
    points = gpd.GeoDataFrame(geometry=gpd.points_from_xy([5e5, 5.1e5], [5e6, 5e6]), crs=32633)
    land = gpd.GeoDataFrame(geometry=[shapely.box(4.9e5, 4.9e6, 5.2e5, 5.1e6)], crs=32633)
    survey = gs.read_survey(points, coastline=land.to_crs(4326))
    assert survey.coastline.symmetric_difference(land.geometry[0]).area < 1e-6 * land.area[0]
    with pytest.raises(gs.InputError, match="nothing leads from a local frame to another"):
        gs.read_survey(points.set_crs(None, allow_override=True), crs="local:m", coastline=land)


def test_geojson_of_local_metres_is_not_taken_for_degrees(tmp_path):
    points = gpd.GeoDataFrame(geometry=gpd.points_from_xy([-6000, -5000], [-3000, -3500]), crs=4326)
    points.to_file(tmp_path / "points.geojson")
    survey = gs.read_survey(tmp_path / "points.geojson", crs="local:m")
    np.testing.assert_array_equal(survey.coordinates, [[-6000, -3000], [-5000, -3500]])


@pytest.mark.parametrize(
    ("text", "options", "sentence"),
    [
        (SITES, {"x": "west", "y": "y"}, "points.csv has no column 'west': the columns are 'x', 'y' and 'c'"),
        (SITES, {"x": "x", "y": "Y"}, "has no column 'Y': did you mean 'y'?"),
        (SITES, {"x": "x"}, "give both x and y, or neither; y is missing"),
        (SITES, {"x": "x", "y": "x"}, "x and y are one column, 'x'"),
        (SITES, {"numeric": ["counts"]}, "has no column 'counts'"),
        ("a,b\n1,2\n", {}, "say which columns hold the coordinates"),
        (SITES + "abc,3,4\n", {}, "points.csv, line 5, column 'x': 'abc' is not a number"),
        (
            SITES + "\n9,3,many\n",
            {"numeric": ["c"]},
            "points.csv, line 6, column 'c': 'many' is not a number",
        ),
        ("x;y;z\n1,5;300;0.5\n2,5;10;1\n", {}, "'1,5' is not a number (write decimals with a point); 1 further row"),
        ("x;y\n1,500;300\n2,500;100\n", {}, "'1,500' is not a number (write decimals with a point); 1 further row"),
        ("x;y\n1,5;300\n2,5;<0,7\n4,5;0,1\n", {}, "line 3, column 'y': '<0,7' is not a number but a bound"),
        ('x,y,n\n0,0,"two\nlines"\nq,0,one\n', {}, "points.csv, line 4, column 'x': 'q' is not a number"),
        (SITES + "NaN,3,4\n", {}, "points.csv, line 5, column 'x' is empty (or NaN)"),
        (SITES + "7,3\n", {"numeric": ["c"]}, "line 5, column 'c' is empty"),
        (SITES + "inf,3,4\n", {}, "line 5, column 'x' is infinite"),
        (SITES + "1e400,3,4\n", {}, "line 5, column 'x' is infinite"),
        (SITES + "1e300,3,4\n", {}, "line 5 lies at (1e+300, 3), beyond any survey"),
        (SITES + "7,3,4,5\n", {}, "line 5 has 4 fields, the header has 3"),
        ("x,y\n0,0,1\n9,9,1\n", {}, "line 2 has 3 fields, the header has 2"),
        ("x,y,x\n1,2,3\n", {}, "has two columns called 'x'"),
        ("", {}, "points.csv is empty"),
        ("x,y,c\n", {}, "points.csv has no rows"),
        ("x,y\n500,2\n", {}, "has one site"),
        ("x,y\n500,2\n500,2\n", {}, "has its 2 rows at one place"),
        (bytes(range(256)), {}, "points.csv is not UTF-8 text"),
        (SITES, {"crs": None}, "does not state its coordinate reference system"),
        (SITES, {"crs": "EPSG:999999"}, "is not a coordinate reference system that PROJ knows"),
        (SITES, {"crs": "local:furlong"}, "has no unit that geospde knows"),
        ("lon,lat\n10.1,50.2\n10.3,50.4\n", {"crs": 4326}, "is in degrees (WGS 84)"),
        ("lon,lat\n10.1,50.2\n10.3,50.4\n", {"crs": 4326}, "crs = 'EPSG:32632' (UTM zone 32N)"),
        ("lon,lat\n10,-88\n-170,-89\n100,-88\n", {"crs": 4326}, "crs = 'EPSG:5042' (UPS South)"),
        ("lon,lat\n10,-75\n-170,-75\n100,-75\n-80,-75\n", {"crs": None}, "crs = 'EPSG:5042' (UPS South)"),
        ("x,y\n10.1,-50.2\n10.3,-50.4\n", {"crs": 32632}, "crs = 'EPSG:32732' (UTM zone 32S)"),
        ("lon,lat\n10.1,50.2\n10.3,50.4\n", {}, "has 'lon' and 'lat', degrees"),
        (SITES, {"crs": 4326}, "is not longitude and latitude"),
    ],
)
def test_a_mistake_in_the_points_is_one_sentence_that_says_where(write, text, options, sentence):
    with pytest.raises(gs.InputError) as caught:
        gs.read_survey(write(text), **{"crs": "local:m", **options})
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x,y\n0,0\n100,100\n100,0\n0,100\n", "coast.csv crosses itself near (50, 50)"),
        ("x,y\n0,0\n100,100\n", "fewer than three distinct vertices"),
        ("x,y\n0,0\n100,100\n200,200\n", "on one line and no area"),
        (SQUARE + "north,5\n", "coast.csv, line 6, column 'x': 'north' is not a number"),
        ("x,y\n", "coast.csv has no rows"),
        ("ring,x,y\na,0,0\na,9,0\na,9,9\nb,5,0\nb,30,0\nb,5,9\n", "ring a and ring b of coast.csv cross"),
        ("x,y\n1e6,1e6\n1.1e6,1e6\n1.1e6,1.1e6\n", "points.csv and coast.csv do not meet"),
    ],
)
def test_a_mistake_in_the_coastline_is_one_sentence_that_says_where(write, text, sentence):
    with pytest.raises(gs.InputError) as caught:
        gs.read_survey(write(SITES), coastline=write(text, "coast.csv"), crs="local:m")
    assert sentence in str(caught.value)


def test_layers_without_places_are_refused(tmp_path):
    layer = gpd.GeoDataFrame({"c": [1, 2]}, geometry=[shapely.Point(5e5, 5e6), None], crs=32633)
    with pytest.raises(gs.InputError, match="the points, row 2 has no place"):
        gs.read_survey(layer)
    with pytest.raises(gs.InputError, match="the points has no rows"):
        gs.read_survey(layer.iloc[:0])
    with pytest.raises(gs.InputError, match="row 1 is a Polygon"):
        gs.read_survey(gpd.GeoDataFrame(geometry=[shapely.box(0, 0, 1, 1)], crs=32633))
    with pytest.raises(gs.InputError, match="geometry of its own"):
        gs.read_survey(layer.iloc[:1], x="c", y="c")


def test_unreadable_files_are_told(tmp_path, write):
    write(SITES)
    with pytest.raises(gs.InputError, match="no file .* did you mean 'points.csv'"):
        gs.read_survey(tmp_path / "point.csv")
    with pytest.raises(gs.InputError, match="is not a file that geospde reads"):
        gs.read_survey(write(b"junk", "junk.gpkg"))
    with pytest.raises(gs.InputError, match="is a folder"):
        gs.read_survey(tmp_path)
    with pytest.raises(gs.InputError, match="neither a file's path nor a table"):
        gs.read_survey(3)


def test_repeated_sites_are_a_warning_and_stay(write):
    with pytest.warns(gs.GeospdeWarning, match=r"1 site measured more than once \(again: line 5\)"):
        survey = gs.read_survey(write(SITES + "500,10,7\n"), crs="local:m")
    assert len(survey.points) == 4


def test_stray_text_in_a_column_of_numbers_is_a_warning(write):
    rows = "".join(f"{i * 100},{i * 70},{i if i != 15 else 'deep'}\n" for i in range(20))
    with pytest.warns(gs.GeospdeWarning, match="line 17, column 'depth': 'deep' among numbers"):
        gs.read_survey(write("x,y,depth\n" + rows), crs="local:m")


def test_local_metres_as_small_as_degrees_are_a_warning(write):
    with pytest.warns(gs.GeospdeWarning, match="if these are longitude and latitude"):
        gs.read_survey(write("x,y\n10.1,50.2\n10.3,50.4\n"), crs="local:m")


def test_islands_holes_and_islands_in_holes_follow_from_nesting():
    square = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], float)
    land = polygon_from_rings([square, 3 * square, 10 * square, square + (20, 0), 10.0 * square[::-1] + (60, 0)])
    assert land.area == pytest.approx(400 - 36 + 4 + 4 + 400)
    assert len(land.geoms) == 4
    assert land.covers(shapely.Point(0, 0))
    assert not land.covers(shapely.Point(2, 2))


def test_a_ring_column_parts_the_islands_of_a_csv(write):
    coast = "island,x,y\n" + "".join(
        f"{name},{x},{y}\n" for name, at in (("A", 0), ("B", 900)) for x, y in [(at, 0), (at + 600, 0), (at, 600)]
    )
    with pytest.warns(gs.GeospdeWarning, match="off the coastline"):
        survey = gs.read_survey(write(SITES), coastline=write(coast, "coast.csv"), crs="local:m")
    assert survey.coastline.geom_type == "MultiPolygon"
    assert survey.coastline.area == pytest.approx(2 * 600 * 600 / 2)


@pytest.mark.slow
@given(
    angles=st.lists(st.integers(0, 359), min_size=3, max_size=40, unique=True),
    turn=st.integers(0, 39),
    backwards=st.booleans(),
    closed=st.booleans(),
    repeat=st.booleans(),
)
def test_orientation_closure_start_and_repeats_of_a_ring_do_not_matter(angles, turn, backwards, closed, repeat):
    radians = np.deg2rad(sorted(angles))
    ring = 100 * np.column_stack([np.cos(radians), np.sin(radians)])
    told = np.roll(ring[::-1] if backwards else ring, turn, axis=0)
    told = np.repeat(told, 2, axis=0) if repeat else told
    told = np.vstack([told, told[:1]]) if closed else told
    land = polygon_from_rings([told])
    assert land.equals(polygon_from_rings([ring]))
    assert land.exterior.is_ccw


def test_lines_that_close_are_a_coastline_and_open_ones_are_not():
    ring = shapely.box(0, 0, 4, 4).exterior
    pieces = [shapely.LineString(ring.coords[:3]), shapely.LineString(ring.coords[2:])]
    assert as_land(shapely.MultiLineString(pieces)).area == 16
    with pytest.raises(gs.InputError, match="does not close"):
        as_land(pieces[0])


def test_a_third_dimension_and_neighbours_are_put_right():
    halves = [shapely.Polygon([(0, 0, 9), (1, 0, 9), (1, 1, 9), (0, 1, 9)]), shapely.box(1, 0, 2, 1)]
    land = as_land(shapely.GeometryCollection(halves))
    assert land.geom_type == "Polygon"
    assert not land.has_z
    assert land.area == 2


def test_the_active_geometry_counts_whatever_it_is_called():
    layer = gpd.GeoDataFrame({"c": [1, 2]}, geometry=gpd.points_from_xy([5e5, 5.1e5], [5e6, 5e6]), crs=32633)
    survey = gs.read_survey(layer.rename_geometry("where"))
    assert list(survey.points.columns) == ["c", "geometry"]
    with pytest.raises(gs.InputError, match="say which columns hold the coordinates"):
        gs.read_survey(gpd.GeoDataFrame({"c": [1, 2]}))
