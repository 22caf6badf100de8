"""What coordinate systems are called, also those that are made of a PROJ string and have no name."""

import re
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from pyproj import CRS

import geospde as gs
from geospde.errors import InputError
from geospde.text.systems import crs_name, crs_names

SAID = {
    "+proj=tmerc +lat_0=-11.3 +lon_0=167 +units=us-ft": "Transverse Mercator about 11.3 S, 167 E, in US survey feet",
    "+proj=utm +zone=33 +ellps=bessel": "Transverse Mercator about 0 N, 15 E on Bessel 1841, in metres",
    "+proj=lcc +lat_1=45 +lat_2=50 +lat_0=47 +lon_0=3": "Lambert Conic Conformal (2SP) about 47 N, 3 E, in metres",
    "+proj=stere +lat_0=90 +lat_ts=70 +lon_0=-45": "Polar Stereographic about 45 W, in metres",
    "+proj=utm +zone=33 +ellps=intl +towgs84=-87,-98,-121": "Transverse Mercator about 0 N, 15 E on International 1924 "
    "(Hayford 1909, 1910), in metres",
}
KILOMETRES = "+proj=laea +lat_0=11.3 +lon_0=167 +units=km"


@pytest.mark.parametrize("text", SAID)
def test_a_nameless_system_is_said_by_what_it_does(text: str):
    assert crs_name(CRS(text)) == SAID[text]


@pytest.mark.parametrize("code", [4326, 32633, 3035, 2193, 5514, 27700])
def test_a_name_is_kept(code: int):
    assert crs_name(CRS(code)) == CRS(code).name


def test_two_of_one_name_are_told_apart():
    one, other = crs_names(CRS("+proj=sinu"), CRS("+proj=sinu +x_0=7"))
    assert one != other
    assert "+x_0=7" in other


def test_no_other_file_asks_a_system_for_its_name():
    asking = re.compile(r"crs\.name\b")
    files = [f for f in Path(gs.__file__).parent.rglob("*.py") if f.name != "systems.py"]
    found = [f"{f.name}: {line}" for f in files for line in f.read_text().splitlines() if asking.search(line)]
    assert found == []


def test_nothing_calls_it_unknown():
    rng = np.random.default_rng(1)
    places = gpd.points_from_xy(rng.uniform(-20, 20, 40), rng.uniform(-20, 20, 40))
    points = gpd.GeoDataFrame({"z": rng.normal(size=40)}, geometry=places, crs=KILOMETRES)
    survey = gs.read_survey(points)
    mesh = gs.build_mesh(sites=points, max_edge=(8, 20))
    said = [repr(survey), *(str(f) for f in gs.explore(survey, response="z").findings), mesh._repr_html_(), str(mesh)]
    for wrong in (points.set_crs("+proj=sinu", allow_override=True), points.set_crs(32658, allow_override=True)):
        with pytest.raises(InputError) as refused:
            gs.fit("z ~ 1 + spde(mesh)", wrong, mesh=mesh)
        said.append(str(refused.value))
    assert "Lambert Azimuthal Equal Area about 11.3 N, 167 E" in said[0]
    assert not [text for text in said if "unknown" in text]
