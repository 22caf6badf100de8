"""Sites that cannot be where they are said to be, and systems that distort what is between them."""

import warnings

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest

import geospde as gs
from geospde.explore.survey_checks import check_survey
from geospde.survey.crs import parse_crs
from geospde.survey.places import better_projection, distortion, stray_sites

LON_LAT = np.random.default_rng(1).uniform((10, 50), (10.5, 50.4), (30, 2))


def read(lon_lat, crs):
    """Return the warnings about coordinates of reading a survey in degrees, and what a check finds of them."""
    table = pd.DataFrame(lon_lat, columns=["lon", "lat"])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        survey = gs.read_survey(table, source_crs="EPSG:4326", crs=crs)
    found = [f for f in check_survey(survey) if f.subject == "coordinates"]
    said = [str(w.message) for w in caught]
    assert len(said) == sum(f.level == "warning" for f in found)
    return said


def with_site(lon, lat):
    return np.vstack([LON_LAT, [(lon, lat)]])


@pytest.mark.parametrize(
    ("lon_lat", "crs"),
    [
        (LON_LAT, "EPSG:32632"),
        (LON_LAT, "EPSG:25832"),
        (LON_LAT, "EPSG:3035"),
        (LON_LAT, "EPSG:31467"),  # three degrees wide
        (LON_LAT + (2, 0), "EPSG:32632"),  # over the edge of the zone
        (LON_LAT - (84, 9.5), "EPSG:2263"),  # feet
        (LON_LAT * (1, 0.5) + (169.5, -42), "EPSG:3460"),  # over the date line
        (LON_LAT, "+proj=laea +lat_0=50 +lon_0=10 +units=km"),
        (LON_LAT * (100, 50) - (1000, 2500), "EPSG:3035"),  # no projection does better for half a continent
    ],
)
def test_a_survey_where_its_system_belongs_says_nothing(lon_lat, crs):
    lon_lat = np.column_stack([(lon_lat[:, 0] + 180) % 360 - 180, lon_lat[:, 1]])
    assert read(lon_lat, crs) == [] or crs == "EPSG:3035"


@pytest.mark.parametrize(
    ("lon_lat", "crs", "sentence"),
    [
        (LON_LAT[:, ::-1], "EPSG:32632", "are longitude and latitude swapped"),
        (with_site(0, 0), "EPSG:32632", "row 31 lies 5,6"),
        (with_site(-10.2, 50.2), "EPSG:32632", "row 31 lies 1,4"),
        (with_site(10.2, -50.2), "EPSG:32632", "row 31 lies 11,"),
        (with_site(50.2, 10.2), "+proj=laea +lat_0=50 +lon_0=10 +units=km", "row 31 lies"),
        (LON_LAT, "EPSG:32658", "outside of the area that WGS 84 / UTM zone 58N is for"),
        (LON_LAT, "EPSG:27700", "take crs = 'EPSG:32632' (UTM zone 32N)"),
        (LON_LAT + (0, 15), "EPSG:3857", "distorts lengths by up to a factor of 2.4"),
        (LON_LAT + (0, 15), "EPSG:3857", "take crs = 'EPSG:32632'"),
        (LON_LAT + (16, 0), "+proj=utm +zone=32 +datum=WGS84", "distorts lengths by up to"),
        (np.column_stack([np.where(LON_LAT[:, 0] < 10.25, 179.9, -179.9), LON_LAT[:, 1] - 67]), "EPSG:3857", "EPSG:32"),
    ],
)
def test_places_that_cannot_be_right_and_distorted_lengths_are_a_warning_and_a_finding(lon_lat, crs, sentence):
    said = read(lon_lat, crs)
    assert any(sentence in s for s in said), said


def test_a_survey_wider_than_its_zone_is_told_nothing_until_that_distorts():
    """Nothing is better than the zone of its middle."""
    assert not read(LON_LAT * (28, 1) - (276, 0), "EPSG:32632")
    wide = " ".join(read(LON_LAT * (60, 1) - (603, 0), "EPSG:32632"))
    assert "outside of the area that WGS 84 / UTM zone 32N is for" in wide
    assert "take crs = '+proj=laea" in wide


def test_degrees_of_another_datum_keep_it():
    table = pd.DataFrame(LON_LAT + (120, -80), columns=["lon", "lat"])
    with pytest.raises(gs.InputError, match="set source_crs = 'EPSG:4202' and crs = "):
        gs.read_survey(table, crs="EPSG:4202")


def test_lengths_are_compared_on_the_ellipsoid():
    for latitude in (0, 30, 65):
        off = distortion(parse_crs("EPSG:3857"), np.array([(25.0, latitude), (25.01, latitude)]))
        e2, phi = 0.00669438, np.deg2rad(latitude)
        along = 1 / np.cos(phi) * np.sqrt(1 - e2 * np.sin(phi) ** 2)  # a radius of the sphere over one of the ellipsoid
        up = along**3 * np.cos(phi) ** 2 / (1 - e2)
        assert off == pytest.approx(max(along, up) - 1, abs=2e-3)
    code, name = better_projection(np.array([(-60.0, 0.0), (60.0, 10.0)]))
    assert "laea" in code and "equal-area" in name


def test_islands_and_small_surveys_have_no_strays():
    rng = np.random.default_rng(0)
    assert not len(stray_sites(rng.uniform(0, 1, (200, 2))))
    assert not len(stray_sites(np.vstack([rng.uniform(0, 1, (20, 2)), rng.uniform(9, 10, (15, 2))])))
    assert not len(stray_sites(np.array([[0.0, 0], [30, 5], [10, 900]])))
    assert stray_sites(np.vstack([rng.uniform(0, 1, (60, 2)), [[50.0, 0], [0, 70]]])).tolist() == [61, 60]


@pytest.mark.parametrize("crs", ["EPSG:5773", "EPSG:4978"])
def test_systems_that_tell_no_places_are_refused(crs):
    table = pd.DataFrame({"x": [0.0, 30, 10], "y": [0.0, 5, 240]})
    for given in ({"crs": crs}, {"source_crs": crs, "crs": "EPSG:32632"}):
        with pytest.raises(gs.InputError, match="not places|not on a map"):
            gs.read_survey(table, **given)
    layer = gpd.GeoDataFrame(geometry=gpd.points_from_xy(table.x, table.y), crs=crs)
    with pytest.raises(gs.InputError, match="not places|not on a map"):
        gs.read_survey(layer)
    with pytest.raises(gs.InputError, match="not places|not on a map"):
        gs.build_mesh(sites=layer, max_edge=50)


@pytest.mark.parametrize("proj", ["laea", "tmerc", "aeqd"])
def test_a_stated_projection_outranks_what_numbers_look_like(tmp_path, proj):
    crs = f"+proj={proj} +lat_0=50.2 +lon_0=10.2 +units=km"
    layer = gpd.GeoDataFrame(geometry=gpd.points_from_xy(*LON_LAT.T), crs=4326)
    inside = layer.to_crs(crs)
    table = pd.DataFrame({"x": inside.geometry.x, "y": inside.geometry.y, "lon": LON_LAT[:, 0], "lat": LON_LAT[:, 1]})
    for survey in (
        gs.read_survey(layer, crs=crs),
        gs.read_survey(inside),
        gs.read_survey(table, x="x", y="y", crs=crs),
    ):
        assert survey.coordinates == pytest.approx(np.column_stack([inside.geometry.x, inside.geometry.y]))
    local = gs.read_survey(table, x="x", y="y", crs="local:km")  # the columns lon and lat are not the coordinates
    assert local.units == "km"


def test_numbers_of_a_grid_in_a_frame_of_their_own_are_a_note():
    east = pd.DataFrame({"x": 573_000 + 900 * np.arange(30.0) % 17, "y": 5_541_000 + 700 * np.arange(30.0) % 13})
    found = check_survey(gs.read_survey(east, crs="local:m"))
    assert any(f.level == "note" and "UTM or a national grid" in f.message for f in found)


@pytest.mark.parametrize(
    ("scale", "shift", "said"),
    [
        (0.1, (10.0, 50.0), "if they are longitude and latitude, set source_crs = 'EPSG:4326' and crs = 'EPSG:32632'"),
        (4e4, (5e5, 5.54e6), r"eastings and northings in metres: set crs to its EPSG code \('EPSG:32633'\)"),
        (40.0, (500.0, 5540.0), r"in kilometres: set crs to its PROJ string .*units=km'\), or to 'local:km'"),
        (5000.0, (0.0, 0.0), "set crs to an EPSG code"),
    ],
)
def test_numbers_without_a_system_are_told_of_those_they_look_like(scale, shift, said):
    places = np.array(shift) + scale * np.random.default_rng(1).uniform(size=(20, 2))
    table = pd.DataFrame({"x": places[:, 0], "y": places[:, 1], "z": 1.0})
    with pytest.raises(gs.InputError, match=said):
        gs.read_survey(table)


@pytest.mark.parametrize("kind", ["table", "file", "layer"])
def test_a_row_whose_place_is_nowhere_is_named(tmp_path, kind):
    """A decimal point lost, and marks of what is missing: one row is wrong, not the system."""
    table = pd.DataFrame(LON_LAT, columns=["lon", "lat"]).assign(z=1.0)
    table.loc[4, "lon"] *= 100
    table.loc[7, ["lon", "lat"]] = -999
    source, row, given = table, "row 5", {"source_crs": "EPSG:4326"}
    if kind == "file":
        source, row = tmp_path / "sites.csv", "line 6"
        table.to_csv(source, index=False)
    elif kind == "layer":
        source, given = gpd.GeoDataFrame(table, geometry=gpd.points_from_xy(table.lon, table.lat), crs="EPSG:4326"), {}
    told = rf"{row} lies at \d+\.\d+, \d+\.\d+, which cannot be brought from WGS 84 .* drop it; 1 further row like it"
    with pytest.raises(gs.InputError, match=told):
        gs.read_survey(source, crs="EPSG:32632", **given)
    with pytest.raises(gs.InputError, match="cannot be brought .*; the first lies at 1.*: is that CRS right"):
        gs.read_survey(table.assign(lon=1e7, lat=5e7), source_crs="EPSG:4326", crs="EPSG:32632")


def test_swapped_columns_that_no_system_takes_are_told_as_such():
    """South-east of Australia, with its longitudes for latitudes; and longitudes from 0 to 360 in Brazil."""
    table = pd.DataFrame({"lon": [-37.0, -36.9, -36.8], "lat": [147.1, 147.3, 147.2], "z": 1.0})
    with pytest.raises(gs.InputError, match="cannot be brought .*: are longitude and latitude swapped"):
        gs.read_survey(table, source_crs="EPSG:4326", crs="EPSG:32755")
    with pytest.raises(gs.InputError, match="y from 147.1 to 147.3.*: swap the two columns"):
        gs.read_survey(table, source_crs="EPSG:4326")
    far = pd.DataFrame({"lon": [313.1, 313.4], "lat": [-15.9, -15.7], "z": 1.0})
    with pytest.raises(gs.InputError, match="x from 313.1 to 313.4.*: take 360 from longitudes above 180"):
        gs.read_survey(far, source_crs="EPSG:4326")
