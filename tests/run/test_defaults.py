"""Defaults of the run file fit each other: what is left out of [mesh] and [prediction] is no reason to refuse."""

import itertools
import warnings

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from small_run import quietly_in

import geospde as gs
from geospde.run import analysis
from geospde.run.check import check
from geospde.run.config import read_config
from geospde.run.inputs import around_the_map, load_survey

pytestmark = pytest.mark.usefixtures("unrendered")

KEYS = {
    "mesh": {"offset": 300, "convex": 60, "concave": 200},
    "prediction": {"cell": 40, "crop": True, "buffer": 150},
}


# every two of the seven keys, max_edge among them, are there together, or all but them
@pytest.mark.slow
@pytest.mark.parametrize("max_edge, sizes", [(None, (0, 1, 5, 6)), (150, (0, 1, 5, 6)), ([150, 300], (0, 1, 2, 5, 6))])
def test_a_survey_without_a_coastline_is_meshed_where_it_is_mapped(tmp_path, max_edge, sizes):
    rng = np.random.default_rng(1)
    table = pd.DataFrame(rng.uniform(0, 1000, (60, 2)), columns=["x", "y"])
    table = table[(table["x"] < 300) | (table["y"] < 300)]  # their hull bends far inwards
    table.assign(caught=3).to_csv(tmp_path / "sites.csv", index=False)
    sections = {
        "survey": {"points": str(tmp_path / "sites.csv"), "crs": "local:m"},
        "model": {"formula": "caught ~ 1 + spde(mesh)", "family": "poisson"},
    }
    survey = load_survey(read_config(sections))
    named = [(section, key) for section, keys in KEYS.items() for key in keys]
    for chosen in itertools.chain.from_iterable(itertools.combinations(named, r) for r in sizes):
        keys = {"mesh": {} if max_edge is None else {"max_edge": max_edge}, "prediction": {}}
        for section, key in chosen:
            keys[section][key] = KEYS[section][key]
        config = read_config({**sections, **keys})
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", gs.GeospdeWarning)
            mesh = analysis.make_mesh(config, survey)
        grid = analysis.make_grid(config, survey, mesh)
        assert (mesh.locate(grid.centres) >= 0).all()
        whole = gs.Grid.around(survey.domain, crs=survey.crs, **config.prediction.given("cell", "buffer"))
        inside = shapely.intersects_xy(survey.domain.buffer(config.prediction.buffer), whole.centres)
        kept, wanted = (centres @ [1, 1j] for centres in (grid.centres, whole.centres[inside]))
        assert np.isin(wanted, kept).all()


# -- the other sections: the simplest run file of all, and each with the keys that may be left out ------------

SIMPLEST = {
    "survey": {"points": "sites.csv", "crs": "local:m"},
    "mesh": {"max_edge": 250.0},
    "model": {"formula": "caught ~ 1 + spde(mesh)", "family": "poisson"},
}
OPTIONAL = {
    "survey": {"name": "bay", "x": "x", "y": "y", "missing": ["NA"]},
    "mesh": {"offset": 300.0, "convex": 150.0, "cutoff": 5.0, "min_angle": 25.0, "use_sites": False},
    "model": {"exposure": "hours", "link": "log"},
    "priors": {"range(spde)": {"pc": [100, 0.05]}},
    "inference": {"method": "eb", "integration": "eb", "strategy": "gaussian", "certify": 200},
    "prediction": {
        "cell": 100.0, "buffer": 50.0, "quantiles": [0.1, 0.9], "exceed": [2.0], "layers": ["cv"], "crop": True,
    },
    "excursions": {"exceed": [2.0], "level": 0.9, "draws": 200, "seed": 2},
    "validation": {"folds": "random", "k": 2, "distance": 300.0, "seed": 1},
    "output": {
        "label": "per hour", "sites": True, "formats": ["pdf"], "style": "paper", "graticule": True, "inset": True,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    rng = np.random.default_rng(1)
    table = pd.DataFrame(rng.uniform(0, 1000, (40, 2)), columns=["x", "y"])
    table["hours"] = rng.uniform(1, 3, 40)
    table["caught"] = rng.poisson(table["hours"] * np.exp(1 + np.sin(table["x"] / 200)))
    table.to_csv(folder / "sites.csv", index=False)
    return folder


@pytest.mark.parametrize("sections", [(), *((name,) for name in OPTIONAL), tuple(OPTIONAL)], ids="+".join)
def test_defaults_fit_one_another(sections, folder):
    keys = {name: {**SIMPLEST.get(name, {}), **OPTIONAL[name]} for name in sections}
    with quietly_in(folder):
        found = check({**SIMPLEST, **keys})
    assert not [finding for finding in found if finding.level == "error"]


def test_what_a_small_map_shows_is_a_file_or_nothing(folder):
    around = shapely.box(-4000, -3000, 5000, 6000)
    gpd.GeoDataFrame(geometry=[around], crs="EPSG:32632").to_file(folder / "country.gpkg")
    with quietly_in(folder):
        told = {}
        for name, inset in (("file", "country.gpkg"), ("true", True), ("none", False)):
            survey = {**SIMPLEST["survey"], "crs": "EPSG:32632"}
            config = read_config({**SIMPLEST, "survey": survey, "output": {"inset": inset}})
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                told[name] = around_the_map(config, load_survey(config)), [str(w.message) for w in caught]
        with pytest.raises(gs.InputError, match="'land.gpkg'"):
            check({**SIMPLEST, "output": {"inset": "land.gpkg"}})
    assert shapely.equals(told["file"][0], around) and told["none"][0] is None is told["true"][0]
    assert any("draws no small map" in words for words in told["true"][1])


@pytest.mark.parametrize("rows, place", [([3], (0.0, 0.0)), ([5, 9], (5.58e6, 5.9e5))])
def test_no_mesh_is_built_between_a_stray_site_and_the_survey(tmp_path, rows, place, monkeypatch):
    """One site at (0, 0), or two with coordinates swapped: what is wrong is said, and no mesh of 60,000 vertices."""
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"x": rng.uniform(573e3, 606e3, 60), "y": rng.uniform(5541e3, 5580e3, 60), "z": 1.0})
    table["z"] += rng.normal(size=60)
    table.loc[rows, ["x", "y"]] = place
    table.to_csv(tmp_path / "sites.csv", index=False)
    sections = {
        "survey": {"points": str(tmp_path / "sites.csv"), "crs": "EPSG:32632"},
        "mesh": {"max_edge": [1900, 3800]},
        "model": {"formula": "z ~ 1 + spde(mesh)"},
    }
    monkeypatch.setattr(analysis, "make_mesh", lambda *_: pytest.fail("a mesh was built"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        told = [f for f in check(sections) if f.level == "warning"]
    assert any("line" in f.message and "far from all other sites" in f.message for f in told)
    assert [f.message for f in told if f.subject == "mesh" and "not built" in f.message]
    sections["mesh"] = {"max_edge": [190e3, 380e3]}  # few vertices: it is, for who knows better
    with pytest.raises(pytest.fail.Exception, match="a mesh was built"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(sections)


def test_no_mesh_is_built_where_the_crs_is_of_another_part_of_the_earth(tmp_path, monkeypatch):
    """Fiji in a zone of Europe: 200 km are 200,000 vertices of a mesh whose lengths are none."""
    places = np.column_stack([np.linspace(177, 179, 25), np.linspace(-17, -16, 25)])
    table = pd.DataFrame(places, columns=["lon", "lat"]).assign(z=np.random.default_rng(1).normal(size=25))
    table.to_csv(tmp_path / "sites.csv", index=False)
    sections = {
        "survey": {"points": str(tmp_path / "sites.csv"), "crs": "EPSG:32633", "source_crs": "EPSG:4326"},
        "mesh": {"max_edge": [400, 800]},
        "model": {"formula": "z ~ 1 + spde(mesh)"},
    }
    monkeypatch.setattr(analysis, "make_mesh", lambda *_: pytest.fail("a mesh was built"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        told = [f for f in check(sections) if f.level == "warning"]
    assert {f.subject for f in told} == {"coordinates", "mesh"} and "not built" in told[-1].message
