"""What `geospde init` makes of tables as people keep them: response, denominator, family, mesh, coordinates."""

import re

import numpy as np
import pandas as pd
import pyproj
import pytest
import rasterio
from affine import Affine
from small_run import quietly_in

import geospde as gs
from geospde.run.check import check
from geospde.run.config import read_config
from geospde.run.inputs import explore_survey, load_survey
from geospde.run.proposal import Guesser, propose
from geospde.run.proposal.columns import Column
from geospde.run.proposal.look import FirstLook
from geospde.run.proposal.names import RESPONSES, TRIALS, says
from geospde.run.proposal.roles import Options, guess_response
from geospde.run.proposal.writing import nested
from geospde.text.words import length

SITES = 70


@pytest.fixture
def sites():
    """Return 70 places near Nairobi, and the generator that drew them."""
    rng = np.random.default_rng(8)
    return {"lon": rng.uniform(36, 38, SITES).round(5), "lat": rng.uniform(-2, 0, SITES).round(5)}, rng


def proposed(folder, table, **options):
    """Return what is proposed for a table, and its keys."""
    pd.DataFrame(table).to_csv(folder / "sites.csv", index=False)
    with quietly_in(folder):
        proposal = propose(folder / "sites.csv", **options)
    return proposal, nested(proposal.entries)


def guess(source="t.csv", /, **columns):
    """Return the response that is guessed among columns, and what is said of the others."""
    table = {name: Column(name, np.asarray(values, dtype=float)) for name, values in columns.items()}
    guesser = Guesser()
    return guess_response(table, set(), source, guesser), guesser.doubts


def test_words_with_a_count_before_them():
    assert says({"numexamined"}, TRIALS) and says({"samplesize"}, TRIALS) and says({"npos"}, RESPONSES)
    assert not says({"name"}, RESPONSES) and not says({"n2"}, RESPONSES)


def test_a_denominator_makes_the_response(sites, tmp_path):
    places, rng = sites
    examined = rng.integers(20, 90, SITES)
    ill = rng.binomial(examined, 0.3)
    income = np.exp(rng.normal(10, 2, SITES)).round(1)
    for first, second in (("indicator", "samplesize"), ("Pf", "Ex"), ("npos", "numexamined"), ("stunted", "total")):
        table = {"income": income, second: examined, first: ill}
        assert guess(**table)[0] == first
    proposal, keys = proposed(tmp_path, {**places, **table})
    assert keys["model"]["formula"].startswith("p(stunted, total) ~ ") and keys["model"]["family"] == "binomial"
    assert proposal.doubts == ()


def test_what_explains_is_no_response_beside_what_is_mapped():
    rng = np.random.default_rng(1)
    people, height = rng.integers(20, 2000, SITES), rng.integers(5, 900, SITES)
    rate, rain = rng.gamma(4, 10, SITES), rng.gamma(4, 30, SITES)
    assert guess(pop_density=people, incidence_per_100000=rate) == ("incidence_per_100000", [])
    assert guess(elev_m=height, rain_mm=rain)[0] == "rain_mm"
    assert guess("rain.csv", temperature=rate, rain_mm=rain) == ("rain_mm", [])
    assert guess(elev_m=height)[0] == "elev_m"  # of what is left


def test_a_share_beside_its_denominator_and_an_amount_beside_its_effort_are_told(sites, tmp_path):
    places, rng = sites
    of = rng.integers(30, 90, SITES)
    share = rng.binomial(of, 0.3) / of
    for values in ((100 * share).round(1), share.round(3)):
        proposal, _ = proposed(tmp_path, {**places, "examined": of, "prevalence": values})
        assert any("'prevalence' is a share of 'examined'" in said for said in proposal.doubts)
    proposal, _ = proposed(tmp_path, {**places, "examined": of, "prevalence": rng.uniform(0, 1, SITES)})
    assert not any("is a share of" in said for said in proposal.doubts)
    caught = rng.gamma(1, 2, SITES).round(3) * rng.binomial(1, 0.6, SITES)
    proposal, keys = proposed(tmp_path, {**places, "swept_area_km2": rng.uniform(0.1, 1, SITES), "catch_kg": caught})
    assert keys["model"]["family"] == "tweedie" and "exposure" not in keys["model"]
    assert any("'catch_kg' over 'swept_area_km2'" in said for said in proposal.doubts)


def test_counts_of_few_that_differ_from_their_neighbours_are_negative_binomial(sites, tmp_path):
    """Noise by itself was thought to explain them: half of the zeros and ones of its rough predictor are noise."""
    places, rng = sites
    smooth = np.exp(1 + np.sin(4 * places["lon"]))
    for counts, family in ((rng.negative_binomial(1, 1 / (1 + smooth)), "nbinomial"), (rng.poisson(smooth), "poisson")):
        assert proposed(tmp_path, {**places, "birds": counts})[1]["model"]["family"] == family


def test_coordinates_in_german(sites, tmp_path):
    places, rng = sites
    names = {"Längengrad": places["lon"], "Breitengrad": places["lat"]}
    keys = proposed(tmp_path, {**names, "PM10": rng.gamma(9, 2, SITES)})[1]
    assert keys["survey"] == keys["survey"] | {"x": "Längengrad", "y": "Breitengrad", "crs": "EPSG:32737"}
    for first, code in ((3.5e6, "EPSG:31467"), (4.4e6, "EPSG:31468"), (5e5, "local:m")):
        grid = {"Rechtswert": first + 1e4 * rng.uniform(size=SITES), "Hochwert": 5.6e6 + 1e4 * rng.uniform(size=SITES)}
        assert proposed(tmp_path, {**grid, "Cd": rng.gamma(9, 2, SITES)})[1]["survey"]["crs"] == code


def test_grades_that_are_rounded_are_measurements(sites, tmp_path):
    """Whole numbers by a name of amounts: `grade` was taken for a count, and mapped as Poisson."""
    places, rng = sites
    grade = rng.integers(2, 16, SITES)
    assert proposed(tmp_path, {**places, "grade": grade})[1]["model"]["family"] in {"gaussian", "gamma"}
    assert proposed(tmp_path, {**places, "zzz": grade})[1]["model"]["family"] in {"poisson", "nbinomial"}


@pytest.mark.slow
def test_words_on_a_scale_are_ordered(sites, tmp_path, monkeypatch):
    places, rng = sites
    score = rng.choice(["many", "none", "few"], SITES)
    proposal, keys = proposed(tmp_path, {**places, "score": score}, options=Options(response="score"))
    assert keys["model"]["family"] == "ordinal" and keys["model"]["levels"] == ["none", "few", "many"]
    assert keys["output"]["label"] == "chance of score above none" and 0 < keys["prediction"]["exceed"][0] < 1
    assert proposal.doubts == ()
    monkeypatch.chdir(tmp_path)
    survey = load_survey(read_config(keys))
    assert survey.points["score"].tolist() == pd.Series(score).map({"none": 1, "few": 2, "many": 3}).tolist()
    _, keys = proposed(
        tmp_path, {**places, "seen": np.where(score == "few", "yes", "no")}, options=Options(response="seen")
    )
    assert keys["model"]["family"] == "bernoulli" and keys["model"]["levels"] == ["no", "yes"]
    soil = {**places, "soil": rng.choice(["clay", "peat", "sand"], SITES)}
    proposal, keys = proposed(tmp_path, soil, options=Options(response="soil"))
    assert "the words of 'soil' are in alphabetical order" in proposal.doubts[-1]
    keys["model"] |= {"levels": ["clay", "peat"]}
    with pytest.raises(gs.InputError, match="'sand' is none of the levels 'clay' and 'peat'"):
        load_survey(read_config(keys))
    keys["model"] |= {"family": "gaussian"}
    with pytest.raises(gs.InputError, match="levels are of family 'ordinal', or two of 'bernoulli', not of 'gaussian'"):
        load_survey(read_config(keys))
    with pytest.raises(gs.InputError, match="each once, the least first"):
        read_config(keys | {"model": keys["model"] | {"levels": ["clay", "clay"]}})


def test_values_of_which_bounds_are_known_are_censored(sites, tmp_path):
    places, rng = sites
    lead = np.exp(rng.normal(2, 0.7, SITES)).round(2)
    below = np.where(lead < 4, "left", "none")
    table = {**places, "lead": np.maximum(lead, 4), "lead_censored": below, "zinc_censored": "none"}
    proposal, keys = proposed(tmp_path, table)
    assert keys["model"]["formula"] == "cens(lead, lead_censored) ~ 1 + spde(mesh)"
    assert "lead_censored" not in explore_survey(read_config(keys), proposal.survey).covariates
    proposal, keys = proposed(tmp_path, table | {"lead_censored": below == "left"})
    assert keys["model"]["formula"] == "lead ~ 1 + spde(mesh)"
    assert "with 'none', 'left' and 'right' in it, cens(lead, lead_censored)" in proposal.doubts[-1]
    signed = np.where(below == "left", "<4", lead.astype(str))
    with pytest.raises(gs.InputError, match="'<4' is not a number but a bound: .* put 'left' into a column of its own"):
        proposed(tmp_path, {**places, "lead": signed}, options=Options(response="lead"))


def test_what_other_columns_say_more_is_no_response():
    catch = np.array([0.0, 0, 2.5, 0, 8.1, 3.3, 0, 1.2])
    response, doubts = guess(present=catch > 0, density=catch)
    assert response == "density" and "says no more than where 'density' is above 0" in doubts[0]
    ill, examined = np.array([3, 8, 5, 2]), np.array([31, 40, 17, 25])
    response, doubts = guess(prevalence=(100 * ill / examined).round(1), positive=ill, examined=examined)
    assert response == "positive" and "it is 'positive' by 'examined'" in doubts[0]


def test_substances_are_responses_and_replicates_are_not():
    numbers = {"field_dup": [1, 1, 2], "lab_rep": [2, 1, 1], "depth_cm": [10, 20, 5], "log_Zn": [7.3, 3.2, 5.5]}
    assert guess(**numbers) == ("log_Zn", [])
    assert guess(A=[95.2, 164.1, 150.0], WS=[0.9, 0.8, 0.1], PM10=[28, 22, 9])[0] == "PM10"


def test_what_a_file_is_called_after_is_its_response_and_records_are_none():
    rng = np.random.default_rng(3)
    birds = {"coast": rng.uniform(1, 200, 9), "swell": rng.uniform(1, 3, 9), "fulmar": rng.poisson(0.4, 9) / 0.3}
    assert guess("data/fulmar_1998.csv", **birds) == ("fulmar", [])
    assert guess("survey.csv", **birds)[0] == "swell"
    assert guess("survey.csv", survey=rng.integers(1, 4, 9), swell=birds["swell"])[0] == "swell"
    assert guess(record=rng.permutation(90)[:9], rate01=rng.normal(80, 2, 9))[0] == "rate01"


def test_rates_of_a_population_and_amounts_with_zeros(sites, tmp_path):
    places, rng = sites
    people = rng.integers(500, 5000, SITES)
    proposal, keys = proposed(tmp_path, {**places, "cases": rng.poisson(people / 300), "population": people})
    assert keys["model"]["exposure"] == "population" and keys["output"]["label"] == "cases per population"
    hauls = np.where(rng.uniform(size=SITES) < 0.4, 0, rng.gamma(2, 3, SITES)).round(2)
    proposal, keys = proposed(tmp_path, {**places, "catch_kg": hauls})
    assert keys["model"]["family"] == "tweedie" and "delta_gamma" in proposal.response.reason


def test_rows_without_a_response_are_left_out_and_rounded_substances_are_no_counts(sites, tmp_path):
    places, rng = sites
    pm10 = np.round(np.exp(rng.normal(3, 0.5, SITES)))
    pm10[[3, 40]] = np.nan
    pd.DataFrame({**places, "PM10": pm10}).to_csv(tmp_path / "sites.csv", index=False)
    with pytest.warns(gs.GeospdeWarning, match="line 5, column 'PM10': 2 rows of 70 without 'PM10' left out"):
        proposal = propose(tmp_path / "sites.csv")
    assert len(proposal.survey.points) == SITES - 2
    assert proposal.response.family.name == "gamma" and "rounded to whole numbers" in proposal.response.reason
    with quietly_in(tmp_path):
        survey = load_survey(read_config(nested(proposal.entries)))  # a run leaves them out, too
    assert len(survey.points) == SITES - 2
    assert survey.place(3).row == 6


@pytest.mark.slow
def test_years_become_levels_and_maps_of_each(sites, tmp_path):
    places, rng = sites
    table = {**places, "year": np.repeat([2019, 2020, 2022, 2023, 2024], SITES // 5), "count": rng.poisson(3, SITES)}
    proposal, keys = proposed(tmp_path, table)
    assert keys["model"]["formula"] == "count ~ 1 + C(year) + spde(mesh)"
    assert keys["prediction"]["at"] == {"year": [2019, 2020, 2022, 2023, 2024]}
    reason = next(entry.comment for entry in proposal.entries if entry.key == "formula")
    assert "5 from 2019 to 2024" in reason and "temporal='ar1'" in reason
    many = {**table, "year": 1980 + np.arange(SITES) % 35}
    keys = proposed(tmp_path, many)[1]
    assert keys["model"]["formula"] == "count ~ 1 + rw1(year) + spde(mesh)"
    assert keys["prediction"]["at"]["year"] == list(range(2009, 2015))
    assert "year" not in proposed(tmp_path, {**table, "year": 2020})[1]["model"]["formula"]


def test_classes_of_a_raster_are_seen_between_its_cells(sites, tmp_path, monkeypatch):
    places, rng = sites
    classes = rng.integers(1, 4, (30, 30)).astype("uint8")
    place = Affine(0.1, 0, 35.5, 0, -0.1, 0.5)
    kind = {"driver": "GTiff", "height": 30, "width": 30, "count": 1, "dtype": "uint8", "crs": "EPSG:4326"}
    with rasterio.open(tmp_path / "land.tif", "w", transform=place, **kind) as raster:
        raster.write(classes, 1)
    looks, look = [], FirstLook.at
    monkeypatch.setattr(FirstLook, "at", lambda *given: looks.append(given) or look(*given))
    keys = proposed(tmp_path, {**places, "level": rng.normal(size=SITES)}, covariates=[tmp_path / "land.tif"])[1]
    assert keys["model"]["formula"] == "level ~ 1 + C(land) + spde(mesh)"
    assert keys["covariates"]["land"]["method"] == "nearest"
    assert [given[2].shape for given in looks] == [(SITES, 2)]  # once, at what the classes leave


def test_a_raster_says_where_numbers_lie_and_has_bands(sites, tmp_path):
    _, rng = sites
    place, at = Affine(100, 0, 4e5, 0, -100, 57.1e5), rng.uniform(0, 5000, (2, SITES))
    kind = {"driver": "GTiff", "height": 100, "width": 100, "count": 2, "dtype": "float32", "crs": "EPSG:32609"}
    with rasterio.open(tmp_path / "bands.tif", "w", transform=place, **kind) as raster:
        raster.write(rng.normal(size=(2, 100, 100)).astype("float32"))
        raster.descriptions = ("red", "ndvi")
    table = {"x": 4e5 + at[0], "y": 57e5 + at[1], "level": rng.normal(size=SITES)}
    for band, name, key in (("ndvi", "ndvi", "ndvi"), ("2", "bands", 2)):
        proposal, keys = proposed(tmp_path, table, covariates=[tmp_path / f"bands.tif:{band}"])
        assert keys["model"]["formula"] == f"level ~ 1 + {name} + spde(mesh)"
        assert keys["covariates"][name]["band"] == key
        assert keys["survey"]["crs"] == "EPSG:32609"
        reason = next(entry.comment for entry in proposal.entries if entry.key == "crs")
        assert "it is the system of bands.tif" in reason
    with pytest.raises(gs.InputError, match="init takes --covariate bands.tif:red"):
        proposed(tmp_path, table, covariates=[tmp_path / "bands.tif"])
    far = {**table, "x": at[0]}  # not on the raster: its system is not theirs
    with pytest.raises(gs.InputError, match="local"):
        proposed(tmp_path, far, covariates=[tmp_path / "bands.tif:1"])


@pytest.mark.slow
def test_meshes_are_no_finer_than_sites_and_range_ask_for(sites, tmp_path):
    places, rng = sites
    smooth = np.sin(3 * places["lon"]) + np.cos(2 * places["lat"]) + rng.normal(0, 0.2, SITES)
    rough = rng.gamma(2, 3, SITES)
    for values in (smooth, rough):
        proposal, keys = proposed(tmp_path, {**places, "level": values.round(3)})
        assert proposal.mesh.n_vertices < 30 * SITES
        assert keys["mesh"]["max_edge"][0] > 4000  # a third of the sites' spacing: nothing finer is seen between them


def test_check_expects_the_range_of_the_proposal(sites, tmp_path):
    places, rng = sites
    level = np.sin(3 * places["lon"]) + np.cos(2 * places["lat"]) + rng.normal(0, 0.2, SITES)
    pd.DataFrame({**places, "level": level.round(3)}).to_csv(tmp_path / "sites.csv", index=False)
    with quietly_in(tmp_path):
        proposal = propose(tmp_path / "sites.csv")
        proposal.write(tmp_path / "run.toml")
        said = [str(finding) for finding in check(tmp_path / "run.toml")]
    (reason,) = re.findall(r"near ([\d,.]+ k?m)", " ".join(entry.comment for entry in proposal.entries))
    edges = next(words for words in said if "mesh edges" in words)
    reach = float(reason.split()[0].replace(",", "")) / (1 if reason.endswith("km") else 1000)
    assert f"a first look suggests a range of about {length(1000 * reach, 'm')}" in edges
    assert not any("variogram suggests" in words for words in said)


def test_the_system_beside_a_table(sites, tmp_path):
    """A .prj file of the table's name, as exports leave it, says what its numbers are in."""
    places, rng = sites
    x, y = 1e5 * (places["lon"] - 34.5), 1e5 * places["lat"] + 1e7
    (tmp_path / "sites.prj").write_text(as_prj("EPSG:32737"))
    proposal, keys = proposed(tmp_path, {"x": x.round(), "y": y.round(), "count": rng.poisson(3, SITES)})
    assert keys["survey"]["crs"] == "EPSG:32737" and "source_crs" not in keys["survey"]
    assert proposal.survey.crs.to_epsg() == 32737 and proposal.doubts == ()
    (tmp_path / "sites.prj").write_text(as_prj("EPSG:4267"))
    proposal, keys = proposed(tmp_path, {"x": places["lon"], "y": places["lat"], "count": rng.poisson(3, SITES)})
    assert keys["survey"]["source_crs"] == "EPSG:4267" and keys["survey"]["crs"] == "EPSG:32737"
    (tmp_path / "sites.prj").write_text("nothing of the kind")
    with pytest.raises(gs.InputError, match="sites.prj"):
        proposed(tmp_path, {"x": x, "y": y, "count": rng.poisson(3, SITES)})


def as_prj(code):
    return pyproj.CRS(code).to_wkt("WKT1_ESRI")


def test_one_place_in_two_systems_is_no_question(sites, tmp_path):
    places, rng = sites
    x, y = 111 * np.cos(np.radians(1)) * (places["lon"] - 36) + 388, 111 * places["lat"] + 9800
    table = {"X": x.round(3), "Y": y.round(3), **places, "count": rng.poisson(3, SITES)}
    proposal, keys = proposed(tmp_path, table)
    assert keys["survey"]["x"] == "lon" and proposal.doubts == ()


def test_utm_in_kilometres(sites, tmp_path):
    places, rng = sites
    table = {"UTMX": 111 * (places["lon"] - 32), "UTMY": 4900 + 111 * places["lat"], "count": rng.poisson(3, SITES)}
    assert proposed(tmp_path, table)[1]["survey"]["crs"] == "local:km"
