import io
import os
import subprocess
import sys
import tomllib

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from scipy.special import expit, kv

import geospde as gs
from geospde.cli.commands import main
from geospde.families.registry import family_by_name
from geospde.run import analysis, proposal
from geospde.run.config import read_config
from geospde.run.inputs import load_survey
from geospde.run.proposal import Guesser, Options, Terminal, propose
from geospde.run.proposal.columns import Column, words_of
from geospde.run.proposal.look import FirstLook, mixed, orthonormal, profile_likelihood, restricted_likelihood
from geospde.run.proposal.response import find_family, find_response
from geospde.run.proposal.roles import Roles, coordinate_pairs
from geospde.run.proposal.sizes import VERTICES
from geospde.run.proposal.writing import nested
from geospde.survey.datasets import data_folder

EARTH = 6371.0088e3  # mean radius in metres (IUGG)


def field(places, reach, rng):
    """Draw a Matérn field of smoothness 1 and standard deviation 1, by its covariance."""
    apart = np.sqrt(8) / reach * np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1))
    covariance = np.where(apart > 0, apart * kv(1, np.where(apart > 0, apart, 1.0)), 1.0)
    return np.linalg.cholesky(covariance + 1e-8 * np.eye(len(places))) @ rng.normal(size=len(places))


def settings(proposal):
    return nested(proposal.entries)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def counts():
    """Return a little survey: 40 counts in a square of 1000."""
    rng = np.random.default_rng(1)
    places = rng.uniform(0, 1000, (40, 2)).round(1)
    return pd.DataFrame({"x": places[:, 0], "y": places[:, 1], "count": rng.poisson(4, 40)})


@pytest.fixture
def samples():
    """Return 60 places near Freiburg, in degrees: a box of half a degree in the west of UTM zone 32."""
    rng = np.random.default_rng(2)
    return pd.DataFrame({"lon": rng.uniform(7.6, 8.1, 60).round(5), "lat": rng.uniform(47.7, 48.2, 60).round(5)})


# ---- names ----


@pytest.mark.parametrize(
    ("names", "pair"),
    [
        (["cX", "cY", "counts", "time"], ("cX", "cY")),
        (["Longitude", "Latitude", "y"], ("Longitude", "Latitude")),
        (["POINT_X", "POINT_Y"], ("POINT_X", "POINT_Y")),
        (["decimalLatitude", "decimalLongitude"], ("decimalLongitude", "decimalLatitude")),
        (["coords.x1", "coords.x2"], ("coords.x1", "coords.x2")),
        (["X_km", "Y_km"], ("X_km", "Y_km")),
        (["Eastings", "Northings"], ("Eastings", "Northings")),
        (["x", "y", "lon", "lat"], ("lon", "lat")),
    ],
)
def test_coordinates_are_found_by_their_names(names, pair):
    assert coordinate_pairs({name: Column(name, None) for name in names})[0] == pair


def test_words_of_names_are_in_the_singular():
    assert words_of("nTested") == ["n", "tested"]
    assert words_of("Deaths (2020)") == ["death", "2020"]
    assert words_of("biomass") == ["biomass"]


# ---- the family of values ----


FAMILIES = [
    ("presence", [0, 1, 1, 0], None, "bernoulli"),
    ("found", [True, False, True, True], None, "bernoulli"),
    ("catch", [0, 3, 12, 1], None, "poisson"),
    ("counts", [75, 371, 1931, 4357], None, "poisson"),
    ("z", [870, 793, 755, 690], None, "gaussian"),
    ("cases", [3, 0, 8, 2], [10, 5, 9, 30], "binomial"),
    ("cover", [0.2, 0.95, 0.5, 0.01], None, "beta"),
    ("prevalence", [0.01, 0.02, 0.05, 0.03], None, "beta"),
    ("zinc", [0.011, 0.002, 0.05, 0.003], None, "gamma"),
    ("weight", [71.2, 70.1, 69.0, 72.3], None, "gaussian"),
    ("dose", [1.0, 1.1, 1.2, 1.15, 1.05, 900.0], None, "lognormal"),
    ("anomaly", [-1.5, 0.2, 3.1, 0.0], None, "gaussian"),
    ("biomass", [0.0, 12.5, 0.0, 3.2], None, "tweedie"),
    ("balance", [-2.0, 12.5, 0.0, 3.2], None, "gaussian"),
    ("log_zinc", [3.2, 3.3, 3.5, 8.1, 3.4], None, "gaussian"),
]


@pytest.mark.parametrize(("name", "values", "trials", "family"), FAMILIES, ids=[f[0] for f in FAMILIES])
def test_values_suggest_a_family(name, values, trials, family):
    of = None if trials is None else Column("trials", np.array(trials, dtype=float))
    found, reason = find_family(Column(name, np.array(values, dtype=float)), of)
    assert found.name == family
    assert reason


# ---- the first look ----


@pytest.mark.parametrize("covariates", [0, 2])
def test_likelihoods_are_those_of_a_contrast_basis(covariates):
    """Restricted likelihood: that of the contrasts of the values, in any orthonormal basis of them."""
    rng = np.random.default_rng(3)
    root, values = rng.normal(size=(12, 12)), rng.normal(size=12)
    fixed = orthonormal(12, np.c_[rng.normal(size=(12, 2)), np.ones(12)] if covariates else None)  # a constant twice
    assert fixed.shape == (12, 1 + covariates)
    covariance = root @ root.T + np.eye(12)
    basis = np.linalg.svd(fixed.T)[2][1 + covariates :]
    of_contrasts = basis @ covariance @ basis.T
    square, free = (basis @ values) @ np.linalg.solve(of_contrasts, basis @ values), 11 - covariates
    half = 0.5 * np.linalg.slogdet(of_contrasts)[1]
    assert restricted_likelihood(covariance.copy(), values, fixed) == pytest.approx(-half - square / 2, rel=1e-10)
    scaled = -half - free / 2 * (1 + np.log(square / free))
    assert profile_likelihood(covariance.copy(), values, fixed) == pytest.approx(scaled, rel=1e-10)
    assert mixed(2.0, np.eye(2), 0.5).tolist() == [[2.5, 0.0], [0.0, 2.5]]


def test_a_first_look_takes_out_what_covariates_explain():
    """A short field beside a steep trend: the range of their sum is the trend's, of what is left the field's."""
    rng = np.random.default_rng(5)
    places = rng.uniform(0, 1, (150, 2))
    trend = 4 * places[:, :1]
    bound = family_by_name("gaussian").bind(trend[:, 0] + field(places, 0.1, rng) + rng.normal(0, 0.2, 150))
    whole, left = FirstLook.at(places, bound), FirstLook.at(places, bound, trend)
    assert not whole.less and left.less and left.seen
    assert 0.05 < left.range < 0.2 < whole.range


@pytest.mark.slow
@pytest.mark.parametrize(("family", "reach"), [("poisson", 0.12), ("gaussian", 0.12), ("gamma", 0.4)])
def test_a_first_look_finds_a_simulated_range(family, reach):
    """Over six fields of 150 sites; the likelihood of one has a relative error of about a third in the range."""
    found = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        places = rng.uniform(0, 1, (150, 2))
        eta = field(places, reach, rng)
        values = {
            "poisson": lambda eta=eta, rng=rng: rng.poisson(np.exp(2 + 0.7 * eta)),
            "gaussian": lambda eta=eta, rng=rng: eta + rng.normal(0, 0.3, eta.size),
            "gamma": lambda eta=eta, rng=rng: rng.gamma(5, np.exp(0.7 * eta) / 5),
        }[family]()
        look = FirstLook.at(places, family_by_name(family).bind(values.astype(float)))
        assert look.seen
        found.append(look.range)
    # the mean of six has an error of a seventh or so; the prior draws towards a fifth of the extent, 0.28
    assert 0.7 < np.exp(np.mean(np.log(found))) / reach < 1.4
    assert 0.4 < min(found) / reach
    assert max(found) / reach < 2.5


@pytest.mark.slow
def test_single_sites_that_scatter_ask_for_the_negative_binomial():
    answers = {"nothing": [], "few": [], "field": [], "scatter": []}
    for seed in range(1, 5):
        rng = np.random.default_rng(seed)
        places = rng.uniform(0, 1, (150, 2))
        smooth, rough = np.exp(2 + 0.7 * field(places, 0.3, rng)), np.exp(2 + rng.normal(size=150))
        means = {"nothing": np.full(150, 20.0), "few": np.full(150, 2.0), "field": smooth, "scatter": rough}
        for name, mean in means.items():
            look = FirstLook.at(places, family_by_name("poisson").bind(rng.poisson(mean).astype(float)))
            answers[name].append(look.overdispersed)
            assert name != "few" or look.scatter == 0  # such counts are labels rather than measurements
    assert not any(answers["nothing"] + answers["few"] + answers["field"])
    # the scatter gains about 8 units, with a standard deviation of 3; 3 are asked for, or Poisson stays
    assert sum(answers["scatter"]) >= 2


def families_proposed(draw, named="abundance"):
    """The families that are proposed for four surveys of a field, and the last reason."""
    found = []
    for seed in range(1, 5):
        rng = np.random.default_rng(seed)
        places = rng.uniform(0, 1, (150, 2))
        values = draw(field(places, 0.3, rng), rng).astype(float)
        roles = Roles(None, Column(named, values), None, None, ())
        response, _ = find_response(None, roles, places, None)
        found.append(response.family.name)
    return found, response.reason


@pytest.mark.slow
def test_sparse_counts_that_differ_between_neighbours_are_negative_binomial():
    # of Poisson counts a ratio three errors above 1 is one in a thousand: none of four
    assert families_proposed(lambda f, rng: rng.poisson(np.exp(-1 + f)))[0] == ["poisson"] * 4
    found, reason = families_proposed(lambda f, rng: rng.poisson(np.exp(-0.5 + f) * rng.gamma(0.4, 2.5, 150)))
    assert found == ["nbinomial"] * 4 and "times the variance of Poisson counts" in reason


def test_a_class_that_no_site_looked_at_is_in_says_nothing():
    trend = np.column_stack([np.arange(6.0), np.zeros(6)])
    span, without = orthonormal(6, trend), orthonormal(6, trend[:, :1])
    np.testing.assert_allclose(span @ span.T, without @ without.T, atol=1e-12)


@pytest.mark.slow
def test_logs_around_their_neighbours_tell_gamma_from_lognormal():
    # their skewness has an error of 0.3 where a gamma's of shape 1 is -1.14, a lognormal's 0
    found, reason = families_proposed(lambda f, rng: np.exp(f + 0.9 * rng.normal(size=150)), "level")
    assert found.count("lognormal") >= 3 and "logs have a skewness" in reason
    found, reason = families_proposed(lambda f, rng: np.exp(f) * rng.gamma(1, 1, 150), "level")
    assert found.count("gamma") >= 3 and "a lognormal's 0" in reason


def test_rongelap_stays_poisson_and_says_that_neighbours_differ():
    folder = data_folder() / "rongelap"
    with pytest.warns(gs.GeospdeWarning, match="2 of 157 sites"):
        proposal = propose(folder / "points.csv", folder / "coastline.csv")
    keys = settings(proposal)
    assert keys["model"] == {"formula": "counts ~ 1 + spde(mesh)", "family": "poisson", "exposure": "time"}
    assert keys["survey"]["crs"] == "local:m"
    assert "nbinomial" in proposal.response.reason
    # the full fit of this model puts the range at 150 m, 105 to 205
    assert 5 * keys["mesh"]["max_edge"][0] == pytest.approx(150, rel=0.5)
    assert proposal.mesh.n_vertices < 1.5 * VERTICES[1]
    assert proposal.doubts == ()


# ---- from the files to a map ----


@pytest.mark.slow
def test_a_simulated_survey_is_mapped_without_editing(here):
    """Counts of a known intensity: the map finds it, and its limits hold it as often as they say."""
    rng = np.random.default_rng(5)
    places = rng.uniform(0, 5000, (700, 2))
    eta = 1.5 + 0.8 * field(places, 1500, rng)
    effort = rng.uniform(1, 4, 700).round(1)
    seen = slice(0, 350)
    table = {"X": places[seen, 0], "Y": places[seen, 1], "cases": rng.poisson(effort * np.exp(eta))[seen]}
    pd.DataFrame({**table, "effort": effort[seen]}).to_csv("sites.csv", index=False)
    assert main(["init", "sites.csv"]) == 0
    config = read_config("run.toml")
    survey = load_survey(config)
    mesh = analysis.make_mesh(config, survey)
    fit = analysis.fit_model(config, analysis.make_model(config, survey, mesh))
    assert 0.5 < fit.hyper.loc["range(spde)", "q0.5"] / 1500 < 2
    surface = analysis.predict(config, fit, analysis.make_grid(config, survey, mesh)).to_frame()
    elsewhere, truth = places[350:], np.exp(eta[350:])
    gap = np.hypot(*(elsewhere[:, None] - surface[["x", "y"]].to_numpy()[None]).transpose(2, 0, 1))
    cell = surface.iloc[gap.argmin(axis=1)][gap.min(axis=1) < 40]  # cells of 50: those on the map
    truth = truth[gap.min(axis=1) < 40]
    assert len(truth) > 300
    assert np.corrcoef(np.log(cell["mean"]), np.log(truth))[0, 1] > 0.85
    # 0.95 for one place; 300 places on a dozen ranges are as many as 50 independent ones: sd 0.03
    assert 0.88 < np.mean((cell["q0.025"].to_numpy() < truth) & (truth < cell["q0.975"].to_numpy())) <= 1


def test_what_is_written_is_what_was_proposed_and_checks(here, counts, capsys):
    counts.to_csv("sites.csv", index=False)
    assert main(["init", "sites.csv"]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("run.toml is written\n")
    assert "Next: geospde check run.toml, then geospde run run.toml" in shown.out
    text = (here / "run.toml").read_text()
    proposal = propose("sites.csv")
    assert tomllib.loads(text) == settings(proposal)
    assert all(len(line) <= 110 for line in text.splitlines())
    for entry in proposal.entries:
        assert entry.comment or entry.key in ("y", "concave")
    before = sorted(os.listdir())
    assert main(["check", "run.toml"]) == 0
    assert sorted(os.listdir()) == before


@pytest.mark.slow
def test_a_whole_run_of_what_is_written(here, unrendered_here, samples):
    rng = np.random.default_rng(6)
    presence = rng.binomial(1, expit(8 * (samples["lon"] - 7.85)))
    samples.assign(presence=presence).to_csv("frogs.csv", index=False)
    assert main(["init", "frogs.csv", "--out", "frogs.toml", "--quiet"]) == 0
    assert main(["run", "frogs.toml", "--quiet"]) == 0
    grid = pd.read_csv("outputs/frogs/grid.csv")
    assert grid["mean"].between(0, 1).all()
    # frogs live in the east
    assert np.corrcoef(grid["x"], grid["mean"])[0, 1] > 0.5


def test_paths_are_written_from_the_run_file(here, counts):
    (here / "data").mkdir()
    (here / "runs").mkdir()
    counts.to_csv("data/herons.csv", index=False)
    propose("data/herons.csv").write("runs/a.toml")
    assert 'points = "../data/herons.csv"' in (here / "runs" / "a.toml").read_text()
    assert load_survey(read_config("runs/a.toml")).name == "herons"


# ---- coordinate systems ----


def haversine(a, b):
    """Distance of places in degrees on a sphere, in metres."""
    (lon, lat), (lon2, lat2) = np.radians(a), np.radians(b)
    chord = np.sin((lat2 - lat) / 2) ** 2 + np.cos(lat) * np.cos(lat2) * np.sin((lon2 - lon) / 2) ** 2
    return 2 * EARTH * np.arcsin(np.sqrt(chord))


@pytest.mark.parametrize(
    ("west", "south", "wide", "crs", "error"),
    [
        (7.6, 47.7, 0.5, "EPSG:32632", 0.006),  # UTM's scale is 0.9996 to 1.001, the sphere's own error 0.003
        (177.5, -18.0, 4.5, "EPSG:32760", 0.006),
        (-5.0, 40.0, 30.0, "+proj=laea", 0.03),  # an equal-area map of 30 degrees
    ],
)
def test_degrees_are_brought_into_lengths(here, west, south, wide, crs, error):
    rng = np.random.default_rng(7)
    lon, lat = rng.uniform(west, west + wide, 50).round(4), rng.uniform(south, south + wide / 2, 50).round(4)
    around = (lon + 180) % 360 - 180
    pd.DataFrame({"longitude": around, "latitude": lat, "zinc": rng.gamma(3, 1, 50)}).to_csv("z.csv", index=False)
    proposal = propose("z.csv")
    keys = settings(proposal)
    assert keys["survey"]["source_crs"] == "EPSG:4326"
    assert keys["survey"]["crs"].startswith(crs)
    places = proposal.survey.coordinates
    ours = np.hypot(*(places[1:] - places[0]).T)
    on_earth = haversine((lon[0], lat[0]), (lon[1:], lat[1:]))
    np.testing.assert_allclose(ours, on_earth, rtol=error)


def test_numbers_that_look_like_degrees_are_told(here, samples):
    samples.rename(columns={"lon": "x", "lat": "y"}).assign(catch=np.arange(60) % 7).to_csv("d.csv", index=False)
    proposal = propose("d.csv")
    assert settings(proposal)["survey"]["crs"] == "EPSG:32632"
    assert "--crs EPSG:4326 or --crs local:m" in proposal.doubts[0]
    said = propose("d.csv", options=Options(crs="local:km"))
    assert settings(said)["survey"]["crs"] == "local:km"
    assert said.doubts == ()


@pytest.mark.slow
def test_the_zone_of_eastings_and_northings_is_asked_for(here, counts):
    counts.assign(x=counts["x"] + 573_000, y=counts["y"] + 5_541_000).to_csv("grid.csv", index=False)
    proposal = propose("grid.csv")
    assert settings(proposal)["survey"]["crs"] == "local:m"
    assert "'grid'" in proposal.doubts[0] and "EPSG code" in proposal.doubts[0]
    assert propose("grid.csv", options=Options(crs="EPSG:32632")).doubts == ()
    assert propose("grid.csv", options=Options(crs="local:m")).doubts == ()


def test_a_unit_square_is_no_degrees(here, counts):
    counts.assign(x=counts["x"] / 1000, y=counts["y"] / 1000).to_csv("unit.csv", index=False)
    assert settings(propose("unit.csv"))["survey"]["crs"] == "local:unit"


def test_columns_name_their_unit(here, counts):
    counts.rename(columns={"x": "x_km", "y": "y_km"}).to_csv("km.csv", index=False)
    assert settings(propose("km.csv"))["survey"]["crs"] == "local:km"


def test_columns_called_degrees_that_are_not(here, counts, samples):
    counts.rename(columns={"x": "lon", "y": "lat"}).to_csv("metres.csv", index=False)
    proposal = propose("metres.csv")
    assert settings(proposal)["survey"]["crs"] == "local:m"
    assert "do not hold longitude and latitude" in proposal.doubts[0]
    swapped = samples.assign(lon=samples["lat"], lat=samples["lon"] + 100, n=np.arange(60) % 5)
    swapped.to_csv("swapped.csv", index=False)
    with pytest.raises(gs.InputError, match=r"cannot be longitude and latitude: .* \(are they swapped\?\)"):
        propose("swapped.csv")


@pytest.fixture
def zone(samples):
    """Return the survey's points and their land as layers: in UTM zone 32."""
    points = gpd.GeoDataFrame(
        {"zinc": np.random.default_rng(8).gamma(3, 1, 60)},
        geometry=gpd.points_from_xy(samples["lon"], samples["lat"]),
        crs="EPSG:4326",
    ).to_crs("EPSG:32632")
    land = gpd.GeoDataFrame(geometry=[points.union_all().convex_hull.buffer(2000)], crs="EPSG:32632")
    return points, land


def plain(points):
    """Return points as a table without a system."""
    return pd.DataFrame({"x": points.geometry.x, "y": points.geometry.y, "zinc": points["zinc"]})


def test_points_in_degrees_follow_a_projected_coastline(here, samples, zone):
    samples.assign(zinc=zone[0]["zinc"]).to_csv("p.csv", index=False)
    zone[1].to_crs("EPSG:25832").to_file("land.gpkg")
    proposal = propose("p.csv", "land.gpkg")
    assert settings(proposal)["survey"]["crs"] == "EPSG:25832"
    assert not proposal.survey.offshore().any()


def test_a_coastline_in_degrees_tells_the_zone_of_points_in_metres(here, zone):
    plain(zone[0]).to_csv("p.csv", index=False)
    zone[1].to_crs("EPSG:4326").to_file("land.gpkg")
    proposal = propose("p.csv", "land.gpkg")
    assert settings(proposal)["survey"]["crs"] == "EPSG:32632"
    assert not proposal.survey.offshore().any()


@pytest.mark.slow
def test_layers_that_state_their_systems(here, zone):
    zone[0].to_crs("EPSG:4326").to_file("both.gpkg", layer="sites")
    zone[1].to_file("both.gpkg", layer="land")
    proposal = propose("both.gpkg", "both.gpkg")
    keys = settings(proposal)["survey"]
    assert keys["crs"] == "EPSG:32632"
    assert "source_crs" not in keys
    assert "x" not in keys
    assert main(["init", "both.gpkg", "--coastline", "both.gpkg", "--quiet"]) == 0
    assert main(["check", "run.toml", "--quiet"]) == 0


def test_a_coastline_of_vertices_in_degrees_beside_a_projected_layer(here, zone):
    zone[0].to_file("sites.gpkg")
    ring = shapely.get_coordinates(zone[1].to_crs("EPSG:4326").geometry.iloc[0])
    pd.DataFrame(ring, columns=["lon", "lat"]).to_csv("ring.csv", index=False)
    proposal = propose("sites.gpkg", "ring.csv")
    assert settings(proposal)["survey"]["source_crs"] == "EPSG:4326"
    assert not proposal.survey.offshore().any()
    plain(zone[0]).to_csv("p.csv", index=False)
    with pytest.raises(gs.InputError, match="in different systems .* save one of them as a layer"):
        propose("p.csv", "ring.csv", options=Options(crs="EPSG:32632"))


# ---- roles ----


def test_ids_and_labels_are_no_counts(here, counts):
    counts.assign(fid=range(40), station=range(100, 140)).drop(columns="count").assign(zinc=range(2, 82, 2)).to_csv(
        "z.csv", index=False
    )
    assert propose("z.csv").response.column.name == "zinc"


def test_successes_and_trials_become_binomial(here, counts):
    counts.rename(columns={"count": "positive"}).assign(tested=30).to_csv("m.csv", index=False)
    keys = settings(propose("m.csv"))
    assert keys["model"]["formula"] == "p(positive, tested) ~ 1 + spde(mesh)"
    assert keys["model"]["family"] == "binomial"
    assert 0 < keys["prediction"]["exceed"][0] < 1
    said = settings(propose("m.csv", options=Options(response="p(positive, tested)")))
    assert said["model"] == keys["model"]


def test_options_win_over_guesses(here, counts):
    table = counts.assign(effort=np.linspace(1, 2, 40), zinc=np.linspace(3, 9, 40))
    table.rename(columns={"x": "a", "y": "b"}).to_csv("t.csv", index=False)
    options = Options(response="zinc", x="a", y="b", family="t", crs="32632")
    proposal = propose("t.csv", options=options)
    keys = settings(proposal)
    assert keys["model"] == {"formula": "zinc ~ 1 + spde(mesh)", "family": "t"}
    assert keys["survey"]["crs"] == "EPSG:32632"
    assert set(keys["priors"]) == {"range(spde)", "sigma(spde)", "sigma"}
    none = settings(propose("t.csv", options=Options(x="a", y="b", exposure="none", response="count")))
    assert "exposure" not in none["model"]


def test_hours_are_an_exposure_and_an_hour_is_not(here, counts):
    counts.assign(hours=np.linspace(0.5, 2, 40), hour=np.tile([6, 7, 8, 9], 10)).to_csv("t.csv", index=False)
    proposal = propose("t.csv")
    assert proposal.response.exposure.name == "hours" and not proposal.doubts


def test_bounds_of_an_assay_are_no_covariate(here, counts):
    table = counts.drop(columns="count").assign(depth=np.linspace(8, 90, 40).round())
    table["arsenic"] = ["<5" if k % 4 == 0 else f"{k}" for k in range(40)]
    table.to_csv("t.csv", index=False)
    with pytest.raises(gs.InputError, match="'<5' is not a number but a bound"):
        propose("t.csv")
    table.assign(zinc=np.linspace(3, 9, 40)).to_csv("t.csv", index=False)
    proposal = propose("t.csv")
    assert proposal.response.column.name == "zinc" and "'arsenic' is not used" in proposal.doubts[0]
    assert propose("t.csv", options=Options(response="depth")).response.column.name == "depth"


def test_an_exposure_that_cannot_be_one_is_told(here, counts):
    counts.assign(effort=[0.0] + [1.0] * 39).to_csv("t.csv", index=False)
    proposal = propose("t.csv")
    assert proposal.response.exposure is None
    assert "'effort'" in proposal.doubts[0]


@pytest.mark.slow
def test_what_is_not_sure_is_guessed_and_owned_up_to_or_asked(here, counts, monkeypatch, capsys):
    counts.assign(lead=np.linspace(1.5, 9, 40), zinc=np.linspace(2.5, 8, 40)).drop(columns="count").to_csv(
        "m.csv", index=False
    )
    proposal = propose("m.csv")
    assert proposal.response.column.name == "lead"
    assert proposal.doubts == ("the response is a guess: 'lead'; another is 'zinc' (--response)",)
    for answer, chosen in (("2\n", "zinc"), ("zinc\n", "zinc"), ("\n", "lead"), ("gold\n7\n1\n", "lead")):
        monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
        asked = propose("m.csv", guesser=Terminal())
        assert asked.response.column.name == chosen
        assert asked.doubts == ()
    capsys.readouterr()
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(gs.InputError, match="--response, or --yes"):
        propose("m.csv", guesser=Terminal())
    assert "1  lead" in capsys.readouterr().err


def test_no_terminal_no_question(here, counts, monkeypatch):
    class Terminals(Guesser):
        def choose(self, *_):
            raise AssertionError("asked")

    monkeypatch.setattr(proposal, "Terminal", Terminals)
    counts.assign(catch=[3, 1] * 20).to_csv("m.csv", index=False)
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert main(["init", "m.csv", "--quiet"]) == 0


# ---- the area ----


def test_sites_on_a_line_are_mapped_in_a_strip(here):
    along = np.linspace(0, 5000, 30)
    pd.DataFrame({"x": along, "y": 2 * along, "count": np.arange(30) % 6}).to_csv("line.csv", index=False)
    proposal = propose("line.csv")
    assert settings(proposal)["prediction"]["buffer"] > 0
    assert proposal.grid.n > 1000


def test_fine_edges_cover_the_hull_of_the_sites(here):
    """Sites on a crescent: what is mapped is their convex hull, and the mesh has no bay there."""
    turn = np.linspace(0, np.pi, 50)
    table = {"x": (1000 * np.cos(turn)).round(1), "y": (400 * np.sin(turn)).round(1), "count": np.arange(50) % 7}
    pd.DataFrame(table).to_csv("bay.csv", index=False)
    proposal = propose("bay.csv")
    assert proposal.mesh.inner[proposal.mesh.locate(proposal.grid.centres)].all()


def test_a_coastline_much_wider_than_the_survey_is_told(here, counts):
    counts.to_csv("s.csv", index=False)
    gpd.GeoDataFrame(geometry=[shapely.box(-4000, -4000, 5000, 5000)]).set_crs("EPSG:32632").to_file("land.gpkg")
    proposal = propose("s.csv", "land.gpkg")
    assert "9 times as wide as the survey" in proposal.doubts[0]
    assert proposal.mesh.n_vertices < 1.5 * VERTICES[1]


# ---- mistakes ----


HOSTILE = {
    "empty": (lambda t: "", [], "is empty: it needs a line of column names"),
    "no rows": (lambda t: "x,y,count\n", [], "has no rows"),
    "one column": (lambda t: t[["count"]], [], "has one column, 'count'"),
    "text": (lambda t: t.assign(x="a", y="b", count="c"), [], "column 'x': 'a' is not a number"),
    "unnamed": (lambda t: t.set_axis(["a", "b", "count"], axis=1), [], "--x and --y; it has 'a', 'b' and 'count'"),
    "duplicate columns": (lambda t: t.set_axis(["x", "x", "count"], axis=1), [], "two columns called 'x'"),
    "no header": (lambda t: t.to_csv(index=False, header=False), [], "has numbers in its first line"),
    "one site": (lambda t: t.head(1), [], "has one site"),
    "one place": (lambda t: t.assign(x=1.0, y=2.0), [], "at one place"),
    "ids": (lambda t: t[["x", "y"]].assign(id=range(40)), [], "'id' (numbers the rows); name one with --response"),
    "only coordinates": (lambda t: t[["x", "y"]], [], "it has coordinates only"),
    "huge": (lambda t: t.assign(x=t["x"] * 1e13), [], "beyond any survey"),
    "decimal comma": (lambda t: t.assign(z="1,5").to_csv(index=False, sep=";"), [], "write decimals with a point"),
    "gap": (
        lambda t: t.assign(n=(t["count"] + 1.0).where(t.index != 5)),
        ["--response", "p(count, n)"],
        "line 7, column 'n' is empty",
    ),
    "gap in x": (lambda t: t.assign(x=t["x"].where(t.index != 5)), [], "line 7, column 'x' is empty (or NaN)"),
    "infinite": (lambda t: t.assign(y=t["y"].where(t.index != 5, np.inf)), [], "column 'y' is infinite"),
    "constant": (lambda t: t.assign(count=3), [], "has a count of 3 in every row: there is nothing to map"),
    "not a name": (lambda t: t.rename(columns={"count": "count `n`"}), [], "rename it, say to 'count_n'"),
    "half a pair": (lambda t: t, ["--x", "x"], "give both --x and --y"),
    "column typo": (lambda t: t, ["--response", "coutn"], "no column 'coutn' (--response): did you mean 'count'?"),
    "family typo": (lambda t: t, ["--family", "poison"], "did you mean 'poisson'?"),
    "misfit": (lambda t: t.assign(count=t["count"] + 2), ["--family", "bernoulli"], "needs zeros and ones, not"),
    "exposure of what": (lambda t: t, ["--exposure", "x", "--family", "t"], "an exposure goes with counts"),
    "zero exposure": (lambda t: t.assign(effort=0), ["--exposure", "effort"], "must be above 0, not 0"),
    "too few trials": (lambda t: t.assign(n=1), ["--response", "p(count, n)"], "at most as many successes as trials"),
    "no such crs": (lambda t: t, ["--crs", "EPSG:99"], "is not a coordinate reference system"),
    "no degrees": (lambda t: t, ["--crs", "EPSG:4326"], "x and y cannot be longitude and latitude"),
    "two files": (lambda t: t, ["bank.gpkg"], "'bank.gpkg' stands beside it: write --boundary before the outline"),
    "a raster beside": (lambda t: t, ["elev.tif"], "'elev.tif' stands beside it: write --covariate before a raster"),
    "no coastline": (lambda t: t, ["--coastline", "none.gpkg"], "there is no file 'none.gpkg'"),
    "coastline elsewhere": (lambda t: t, ["--coastline", "far.gpkg"], "do not meet"),
    "coastline beside": (lambda t: t, ["--coastline", "land.csv"], "none of the 40 sites of s.csv lies in land.csv"),
    "coastline of points": (lambda t: t, ["--coastline", "dots.gpkg"], "where polygons or closed lines belong"),
    "out is a folder": (lambda t: t, ["--out", "."], "is a folder"),
    "out in no folder": (lambda t: t, ["--out", "a/b.toml"], "there is no folder 'a'"),
    "out is the data": (lambda t: t, ["--out", "s.csv", "--overwrite"], "is the survey's own file"),
    "out is there": (lambda t: t, ["--out", "old.toml"], "already exists"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_mistake_is_one_sentence_and_nothing_is_written(here, counts, capsys, name):
    spoil, arguments, sentence = HOSTILE[name]
    content = spoil(counts)
    (here / "s.csv").write_text(content if isinstance(content, str) else content.to_csv(index=False))
    (here / "old.toml").write_text("mine")
    if "far.gpkg" in arguments:
        gpd.GeoDataFrame(geometry=[shapely.box(5e6, 5e6, 6e6, 6e6)], crs="EPSG:32632").to_file("far.gpkg")
    if "dots.gpkg" in arguments:
        gpd.GeoDataFrame(geometry=[shapely.Point(1, 2)], crs="EPSG:32632").to_file("dots.gpkg")
    (here / "land.csv").write_text("x,y\n1100,0\n2000,0\n2000,900\n1100,900\n")
    before = {path: path.read_bytes() for path in here.iterdir()}
    assert main(["init", "s.csv", *arguments]) == 2
    error = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("warning: ")]
    assert len(error) == 1
    assert sentence in error[0]
    assert {path: path.read_bytes() for path in here.iterdir()} == before


@pytest.mark.parametrize("name", ["s.csv", "s.gpkg"])
def test_files_that_cannot_be_read(here, capsys, name):
    (here / name).write_bytes(b"\xff\xfe\x00 no table")
    assert main(["init", name]) == 2
    assert name in capsys.readouterr().err
    assert main(["init", "none.csv"]) == 2
    assert "there is no file 'none.csv'" in capsys.readouterr().err


def test_an_old_run_file_is_replaced_on_request_only(here, counts, capsys):
    counts.to_csv("s.csv", index=False)
    (here / "run.toml").write_text("mine")
    assert main(["init", "s.csv"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (here / "run.toml").read_text() == "mine"
    assert main(["init", "s.csv", "--overwrite", "--quiet"]) == 0
    assert "formula" in (here / "run.toml").read_text()
    assert sorted(os.listdir()) == ["run.toml", "s.csv"]


def test_semicolons_and_booleans_are_read(here, counts):
    counts.assign(presence=[True, False] * 20).drop(columns="count").to_csv("s.csv", index=False, sep=";")
    assert settings(propose("s.csv"))["model"]["family"] == "bernoulli"


# ---- the shell ----


def test_help_tells_the_exit_codes():
    done = subprocess.run([sys.executable, "-m", "geospde", "--help"], capture_output=True, text=True, check=True)
    told = " ".join(done.stdout.split())
    for meaning in (
        "0 success",
        "1 a fault in geospde",
        "2 a mistake in the input",
        "3 a computation",
        "130 interrupted",
    ):
        assert meaning in told


@pytest.mark.slow
def test_a_shell_can_complete_commands_and_options():
    def complete(words, at):
        line = {"_GEOSPDE_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(at)}
        done = subprocess.run(
            [sys.executable, "-m", "geospde"], capture_output=True, text=True, check=True, env={**os.environ, **line}
        )
        return done.stdout.split()

    assert "init" in complete("geospde in", 1)
    assert "--coastline" in complete("geospde init --co", 2)
