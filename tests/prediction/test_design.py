"""Sampling designs against refitting with every candidate in turn, against simulation, and asked for wrongly."""

import json

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from oracles import square_mesh
from scipy.stats import norm
from small_run import quietly_in, write_survey

import geospde as gs
from geospde.cli.commands import main

HELD = {"range(spde)": {"fixed": 0.5}, "sigma(spde)": {"fixed": 1.0}, "sigma": {"fixed": 0.3}}


def fitted(table):
    mesh = square_mesh(7, -0.25, 1.25)
    return gs.fit("y ~ 1 + spde(mesh)", table, mesh=mesh, coords=("e", "n"), priors=HELD)


def survey(seed):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.uniform(0, 1, (12, 2)) ** 1.5, columns=["e", "n"])
    return table.assign(y=np.sin(4 * table["e"]) + 0.3 * rng.standard_normal(12)), rng.uniform(0, 1, (12, 2))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_order_is_that_of_refits(seed):
    table, candidates = survey(seed)
    where = np.random.default_rng(9).uniform(0, 1, (40, 2))
    found = gs.design(fitted(table), 5, candidates, where=where)
    left = list(range(12))
    for k in range(5):
        values = {}
        for c in left:
            more = pd.DataFrame({"e": [candidates[c, 0]], "n": [candidates[c, 1]], "y": [0.0]})
            sd = fitted(pd.concat([table, more])).predict(where).to_frame()["sd"]
            values[c] = (sd**2).mean()
        best = min(values, key=values.get)
        assert found.sites["candidate"][k] == best
        assert found.sites["remaining"][k] == pytest.approx(values[best], rel=1e-6)
        table = pd.concat([table, pd.DataFrame({"e": candidates[[best], 0], "n": candidates[[best], 1], "y": [0.0]})])
        left.remove(best)


def test_present_sites_against_leaving_each_out():
    table, candidates = survey(4)
    found = gs.design(fitted(table), 1, candidates)
    for row, loss in found.present.to_numpy()[[0, -1]]:
        sd = fitted(table.drop(index=int(row))).predict(candidates).to_frame()["sd"]
        assert (sd**2).mean() - found.start == pytest.approx(loss, rel=1e-6)
    assert found.present["loss"].is_monotonic_increasing


def test_present_sites_beside_fixed_ones_against_leaving_each_out():
    table, candidates = survey(4)
    fixed = candidates[:2]
    found = gs.design(fitted(table), 1, candidates, fixed=fixed)
    more = pd.concat([table, pd.DataFrame(fixed, columns=["e", "n"]).assign(y=0.0)], ignore_index=True)
    for row, loss in found.present.to_numpy()[[0, -1]]:
        sd = fitted(more.drop(index=int(row))).predict(candidates).to_frame()["sd"]
        assert (sd**2).mean() - found.start == pytest.approx(loss, rel=1e-6)


@pytest.mark.parametrize("fixed", [0, 1])
def test_what_a_present_site_promised_of_misclassification(fixed):
    """It is the gain of the design that has all but that site, and may have it."""
    table, candidates = survey(5)
    options = {"criterion": "misclassification", "threshold": 0.3, "where": candidates}
    options |= {"fixed": candidates[:1]} if fixed else {}
    found = gs.design(fitted(table), 1, candidates, **options)
    for row, loss in found.present.to_numpy()[[0, 5, -1]]:
        place = table.loc[[int(row)], ["e", "n"]].to_numpy()
        before = gs.design(fitted(table.drop(index=int(row))), 1, place, **options)
        assert before.sites["gain"][0] == pytest.approx(loss, rel=1e-5, abs=1e-9)  # draws of nothing: rounding only


def test_weights_of_a_raster_are_its_sums_in_the_cells(tmp_path):
    import rasterio
    from affine import Affine

    people = np.random.default_rng(3).integers(0, 9, (6, 6)).astype("float32")
    path = tmp_path / "people.tif"
    frame = {"driver": "GTiff", "dtype": "float32", "count": 1, "height": 6, "width": 6}
    with rasterio.open(path, "w", transform=Affine(1 / 6, 0, 0, 0, -1 / 6, 1), **frame) as raster:
        raster.write(people, 1)
    table, candidates = survey(6)
    fit, grid = fitted(table), gs.Grid.from_bounds((0, 0, 1, 1), shape=(6, 6))
    options = {"criterion": "region", "where": grid}
    found = gs.design(fit, 2, candidates, weights=path, **options)
    row = np.round(6 * grid.centres[:, 1] - 0.5).astype(int)
    given = people[5 - row, np.round(6 * grid.centres[:, 0] - 0.5).astype(int)]
    assert found.start == pytest.approx(gs.design(fit, 2, candidates, weights=given, **options).start, rel=1e-9)
    with pytest.raises(gs.InputError, match="weighs the cells of a Grid"):
        gs.design(fit, 2, candidates, weights=path)


def test_misclassification_against_simulation():
    table, candidates = survey(5)
    fit = fitted(table)
    found = gs.design(fit, 2, candidates, criterion="misclassification", threshold=0.3)
    before = fit.predict(candidates).to_frame()
    z = (before["mean"] - 0.3) / before["sd"]
    assert found.start == pytest.approx(norm.cdf(-abs(z)).mean(), rel=1e-6)
    # two sites more: truth and the mean to come, drawn together
    left = gs.design(fit, 1, candidates, fixed=candidates[found.sites["candidate"]])
    assert left.start < (before["sd"] ** 2).mean()
    more = pd.DataFrame(candidates[found.sites["candidate"]], columns=["e", "n"]).assign(y=0.0)
    after = fitted(pd.concat([table, more])).predict(candidates).to_frame()["sd"]
    rng = np.random.default_rng(1)
    explained = np.sqrt(np.maximum(before["sd"] ** 2 - after**2, 0)).to_numpy()
    mean = before["mean"].to_numpy() + explained * rng.standard_normal((40_000, 12))
    truth = mean + after.to_numpy() * rng.standard_normal((40_000, 12))
    wrong = ((mean > 0.3) != (truth > 0.3)).mean()
    assert found.sites["remaining"].iloc[-1] == pytest.approx(wrong, abs=0.003)  # three standard errors and more


def test_a_regional_mean_costs_distances_and_fixed_sites():
    table, candidates = survey(6)
    fit = fitted(table)
    region = gs.design(fit, 4, candidates, criterion="region", weights=np.linspace(1, 2, 12))
    assert region.curve.is_monotonic_decreasing and region.curve.iloc[0] == 1.0
    apart = gs.design(fit, 4, candidates, min_distance=0.25).sites[["x", "y"]].to_numpy()
    gaps = np.hypot(*(apart[:, None] - apart).transpose(2, 0, 1)) + np.eye(4)
    assert gaps.min() >= 0.25
    first = gs.design(fit, 1, candidates).sites["candidate"][0]
    costs = np.ones(12)
    costs[first] = 1e6
    assert first not in set(gs.design(fit, 4, candidates, costs=costs).sites["candidate"])
    fixed = gs.design(fit, 4, candidates, fixed=candidates[[first]], min_distance=0.01)
    assert first not in set(fixed.sites["candidate"])
    plain = gs.design(fit, 2, candidates)
    assert (
        fixed.start == pytest.approx(plain.sites["remaining"][0])
        and fixed.sites["candidate"][0] == plain.sites["candidate"][1]
    )


def test_counts_from_a_grid_and_a_mesh():
    rng = np.random.default_rng(7)
    table = pd.DataFrame(rng.uniform(0, 1, (25, 2)), columns=["e", "n"]).assign(y=rng.poisson(4, 25))
    mesh = square_mesh(7, -0.25, 1.25)
    fit = gs.fit("y ~ 1 + spde(mesh)", table, mesh=mesh, coords=("e", "n"), family="poisson", method="eb")
    for candidates in (gs.Grid.from_bounds((0, 0, 1, 1), shape=(6, 6)), mesh):
        assert gs.design(fit, 3, candidates).curve.is_monotonic_decreasing


def test_files_and_picture(tmp_path):
    import geopandas as gpd

    table, candidates = survey(8)
    fit = fitted(table)
    places = gpd.GeoDataFrame(geometry=gpd.points_from_xy(*candidates.T))
    found = gs.design(fit, 3, places)
    found.to_gpkg(tmp_path / "d.gpkg")
    assert gpd.read_file(tmp_path / "d.gpkg")["order"].tolist() == [1, 2, 3]
    assert len(found.plot().texts) == 3 and "3 sites leave" in repr(found)
    assert found.plot().get_title(loc="left").startswith("3 new sites, in order: ")
    _, line = found.plot_gain().lines
    np.testing.assert_allclose(line.get_xydata(), np.column_stack([range(4), 100 * found.curve]))
    paid = gs.design(fit, 3, places, costs=np.linspace(1, 2, 12))
    ax = paid.plot_gain()
    np.testing.assert_allclose(ax.lines[1].get_xdata()[1:], paid.sites["cost"].cumsum())
    assert [words.get_text() for words in ax.texts] == ["1", "2", "3"]
    with pytest.raises(gs.InputError, match="longitude and latitude"):
        found.to_gpx(tmp_path / "d.gpx")


def test_waypoints(tmp_path):
    from dataclasses import replace
    from xml.etree import ElementTree

    from pyproj import CRS

    table, candidates = survey(8)
    found = replace(gs.design(fitted(table), 2, candidates), crs=CRS(4326))
    found.to_gpx(tmp_path / "d.gpx")
    points = ElementTree.parse(tmp_path / "d.gpx").getroot()
    assert len(points) == 2 and float(points[0].get("lon")) == pytest.approx(found.sites["x"][0], abs=1e-6)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"criterion": "entropy"}, "criterion is one of"),
        ({"add": 0}, "a positive whole number, not 0"),
        ({"add": 2.0}, "a positive whole number"),
        ({"add": 13}, "only 12 of 13 sites can be placed"),
        ({"criterion": "misclassification"}, "needs a threshold"),
        ({"threshold": 1.0}, "the criterion is .variance"),
        ({"criterion": "misclassification", "threshold": np.nan}, "a finite number"),
        ({"criterion": "misclassification", "threshold": 1e9}, "in no doubt anywhere"),
        ({"min_distance": -1.0}, "min_distance is a distance"),
        ({"min_distance": 0.9}, "can be placed"),
        ({"costs": [1.0, 2.0]}, "one for each of the 12 candidates"),
        ({"costs": np.zeros(12)}, "costs are positive"),
        ({"weights": "even"}, "a raster weighs the cells of a Grid"),
        ({"weights": ["a"]}, "weights are numbers"),
        ({"weights": np.zeros(12)}, "weights are positive"),
        ({"candidates": [[9.0, 9.0]]}, "outside"),
        ({"candidates": "grid"}, "points to predict at are"),
    ],
)
def test_what_is_no_design(options, sentence):
    table, candidates = survey(1)
    arguments = {"add": 4, "candidates": candidates, **options}
    with pytest.raises(gs.InputError, match=sentence):
        gs.design(fitted(table), **arguments)


def test_the_command(tmp_path, capsys):
    write_survey(tmp_path)
    with quietly_in(tmp_path):
        assert main(["design", "bay.toml", "--add", "3", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert len(told["sites"]) == 3
        made = {path.name for path in (tmp_path / "out-design").iterdir()}
        assert {"design.csv", "present.csv", "design.gpkg", "design.png", "gain.png", "run.log"} == made
        present = pd.read_csv(tmp_path / "out-design" / "present.csv")
        assert (present["place"] == [f"sites.csv, line {row + 2}" for row in present["row"]]).all()
        sites = pd.read_csv(tmp_path / "sites.csv").loc[present["row"]]
        np.testing.assert_allclose(present[["x", "y"]], sites[["x", "y"]])
        ranks = gpd.read_file(tmp_path / "out-design" / "design.gpkg", layer="present")
        assert ranks["rank"].tolist() == [*range(1, len(present) + 1)]
        np.testing.assert_allclose(np.column_stack([ranks.geometry.x, ranks.geometry.y]), present[["x", "y"]])
        assert main(["design", "bay.toml", "--add", "0", "--overwrite"]) == 2
    assert "a positive whole number" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_with_costs_fixed_sites_and_vertices(tmp_path, capsys):
    write_survey(tmp_path)
    with quietly_in(tmp_path):
        rng = np.random.default_rng(1)
        table = pd.DataFrame(rng.uniform(100, 900, (30, 2)), columns=["x", "y"])
        table.assign(price=np.where(table["x"] < 500, 1.0, 1e6)).to_csv("some.csv", index=False)
        table.head(1).to_csv("decided.csv", index=False)
        design = ["design", "bay.toml", "--json", "--overwrite", "--add", "3"]
        near = ["--candidates", "some.csv", "--fixed", "decided.csv", "--min-distance", "50"]
        assert main([*design, *near, "--costs", "price"]) == 0
        sites = pd.DataFrame(json.loads(capsys.readouterr().out)["sites"])
        assert (sites["x"] < 500).all() and (sites["cost"] == 1).all()
        assert (np.hypot(*(sites[["x", "y"]] - table.loc[0]).to_numpy().T) >= 50).all()
        assert main([*design, "--candidates", "mesh"]) == 0
        sites = json.loads(capsys.readouterr().out)["sites"]
        assert main(["mesh", "bay.toml", "--quiet"]) == 0
        vertices = gpd.read_file("out/mesh.gpkg", layer="vertices").geometry
        assert len(sites) == 3
        assert all(vertices.distance(shapely.Point(site["x"], site["y"])).min() < 1e-6 for site in sites)
        for options, sentence in (
            ([*near, "--costs", "prise"], "some.csv has no column 'prise' for the costs: did you mean 'price'?"),
            (["--costs", "price"], "name that layer with --candidates"),
            (["--fixed", "none.csv"], "there is no file 'none.csv'"),
        ):
            assert main([*design, *options]) == 2
            assert sentence in capsys.readouterr().err


@pytest.mark.slow
def test_candidates_off_the_coast_are_left_out_with_a_warning(tmp_path, capsys):
    """Sites were chosen in the sea, metres off the coast, without a word."""
    run_file = write_survey(tmp_path)
    land = gpd.GeoSeries([shapely.box(-5, -5, 1005, 1005)])
    land.to_file(tmp_path / "coast.shp")
    run_file.write_text(run_file.read_text().replace("[survey]", '[survey]\ncoastline = "coast.shp"'))
    with quietly_in(tmp_path):
        places = [shapely.Point(x, 500) for x in (500, 501, -7, 1014)]
        for name, chosen in (("some", places), ("none", places[2:])):
            table = pd.DataFrame({"x": [p.x for p in chosen], "y": [p.y for p in chosen]})
            table.to_csv(f"{name}.csv", index=False)
        assert main(["design", "bay.toml", "--add", "2", "--candidates", "some.csv", "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert {site["x"] for site in told["sites"]} == {500, 501}
        log = (tmp_path / "out-design" / "run.log").read_text()
        assert "2 of 4 candidates lie off the coastline, by up to 9.00 m: they are left out" in log
        assert main(["design", "bay.toml", "--add", "1", "--candidates", "none.csv", "--overwrite"]) == 2
    assert "2 of 2 candidates lie off the coastline: check their" in capsys.readouterr().err
