"""What a survey shows of classes, bounds, labels and areas: counts and names, not means of their numbers."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from matplotlib.figure import Figure
from pyproj import Geod

import geospde as gs
from geospde.plots.exploration import exploration_section, plot_exploration
from geospde.run.config import read_config
from geospde.run.inputs import explore_survey, load_survey
from geospde.survey.areal import read_areal_survey
from geospde.survey.crs import parse_crs

NAMES = ("none", "few", "many")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Forty sites in metres with a response in words, one with bounds, and a number that stands for classes."""
    base = tmp_path_factory.mktemp("measured")
    rng = np.random.default_rng(4)
    table = pd.DataFrame({"x": 500_000 + rng.uniform(0, 1000, 40), "y": 4_000_000 + rng.uniform(0, 1000, 40)})
    table["score"] = np.array(NAMES)[np.arange(40) % 3]
    table["zinc"], table["cen"] = rng.uniform(2, 9, 40), np.where(np.arange(40) < 6, "left", "none")
    table["landuse"] = 1 + np.arange(40) % 2
    table.to_csv(base / "s.csv", index=False)
    return base


def looked_at(folder, **model):
    config = read_config({
        "survey": {"points": str(folder / "s.csv"), "x": "x", "y": "y", "crs": "EPSG:32631"},
        "mesh": {"max_edge": [300, 600]}, "model": model, "output": {"dir": str(folder / "out")},
    })  # fmt: skip
    return explore_survey(config, load_survey(config))


@pytest.mark.slow
def test_ordered_classes_are_counted_and_named(folder):
    found = looked_at(folder, formula="score ~ 1 + spde(mesh)", family="ordinal", levels=list(NAMES))
    facts = found.table()["value"]
    assert [facts[f"sites where score is {name}"] for name in NAMES] == [14, 13, 13]
    assert not {"total score", "mean score"} & set(facts.index) and "score" not in found.quantiles().index
    assert any(one.message == "'score' is in 3 classes" for one in found.findings)
    figure = plot_exploration(found, Figure())
    figure.draw_without_rendering()
    histogram = next(ax for ax in figure.axes if ax.get_title(loc="left") == "score")
    assert [text.get_text() for text in histogram.get_xticklabels()] == list(NAMES)


def test_bounds_are_told_and_labels_have_no_mean(folder):
    found = looked_at(folder, formula="cens(zinc, cen) ~ C(landuse) + spde(mesh)", family="gamma")
    assert found.table().loc["sites where zinc is a bound", "value"] == 6
    assert "landuse" not in found.quantiles().index and set(found.covariates["landuse"]) == {"1", "2"}


@pytest.mark.slow
def test_areas_are_painted_and_measured_in_kilometres(tmp_path):
    shapes = [shapely.box(30 + i, 60 + j, 31 + i, 61 + j) for i in range(3) for j in range(2)]
    frame = gpd.GeoDataFrame({"area": list("abcdef"), "observed": [3, 1, 4, 1, 5, 9]}, geometry=shapes, crs=4326)
    frame.to_file(tmp_path / "areas.gpkg")
    found = gs.explore(
        read_areal_survey(tmp_path / "areas.gpkg", lengths=False), "observed", family="poisson", permutations=19
    )
    facts = found.table()
    assert (facts["unit"][["width", "mean nearest neighbour"]] == "km").all()
    geodesic = abs(Geod(ellps="WGS84").geometry_area_perimeter(shapely.box(30, 60, 33, 62))[0]) / 1e6
    assert facts.loc["area within the boundary", "value"] == pytest.approx(geodesic, rel=0.01)
    assert facts.loc["mean nearest neighbour", "value"] == pytest.approx(111.32 * np.cos(np.radians(61)), rel=1e-6)
    said = exploration_section(found, dpi=40)
    captions = {one["name"]: one["caption"] for one in said["pictures"]}
    assert captions["rates"] == "Observed in each area." and captions["histogram"].endswith("one area.")
    figure = plot_exploration(found, Figure())
    assert figure.axes[0].get_title(loc="left") == "Observed in 6 areas"
    painted = max(
        (c for c in figure.axes[0].collections if c.get_array() is not None), key=lambda c: len(c.get_paths())
    )
    assert sorted(painted.get_array()) == [1, 1, 3, 4, 5, 9]


def test_only_what_is_counted_has_a_total():
    """Concentrations are often rounded to whole numbers: a sum of theirs is no amount."""
    rng = np.random.default_rng(3)
    places = gpd.GeoSeries(shapely.points(rng.uniform(0, 100, (40, 2))), crs=parse_crs("local:m"))
    frame = gpd.GeoDataFrame({"zinc": 100 + np.arange(40.0), "shrimps": np.arange(40.0)}, geometry=places)
    survey = gs.read_survey(frame, crs="local:m")

    def totals(response, family=None):
        return [fact for fact in gs.explore(survey, response, family=family).table().index if fact.startswith("total")]

    assert totals("zinc") == totals("zinc", "gamma") == []
    assert totals("shrimps") == totals("shrimps", "poisson") == ["total shrimps"]
    assert totals("zinc", "nbinomial") == ["total zinc"]
