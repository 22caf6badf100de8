"""What an exploration says of a survey, what its pictures show, and what the command writes."""

import base64
import io
import json
import subprocess
import sys
import warnings
from dataclasses import replace
from itertools import combinations
from types import SimpleNamespace

import matplotlib
import numpy as np
import pandas as pd
import pytest
import shapely
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from scipy.spatial.distance import cdist
from scipy.stats import spearmanr

import geospde as gs
from geospde.cli.commands import main
from geospde.explore.observed import observe
from geospde.explore.robust import robust_z
from geospde.mesh.build import build_mesh
from geospde.plots.exploration import (
    exploration_section,
    plot_exploration,
    plot_histogram,
    plot_rates,
    plot_trend,
    plot_variogram,
    trend_names,
)
from geospde.run import analysis
from geospde.run import check as checks

matplotlib.use("agg")


@pytest.fixture(scope="module")
def rongelap():
    return gs.explore(gs.load_dataset("rongelap"), "counts", "time", family="poisson")


def many_columns(n=60):
    """A table with every kind of column that a survey may carry."""
    rng = np.random.default_rng(2)
    x, y = rng.uniform(478_000, 482_000, n), rng.uniform(1_240_000, 1_252_000, n)
    tested = rng.integers(20, 200, n)
    return pd.DataFrame(
        {
            "x": x,
            "y": y,
            "lon": 166 + x * 9e-6 + y * 1e-8,
            "id": np.arange(n) + 100,
            "name": [f"site {k}" for k in range(n)],
            "date": pd.date_range("2020-01-01", periods=n),
            "empty": np.nan,
            "tested": tested,
            "cases": rng.binomial(tested, 0.3 + 0.4 * (y - 1_240_000) / 12_000),
            "depth": rng.gamma(3, 10, n),
            "soil": rng.choice(["clay", "limestone rubble", "peat"], n),
            "wet": rng.random(n) < 0.4,
            "year": rng.choice([2001, 2002, 2003], n),
        }
    )


def read(table, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gs.GeospdeWarning)
        return gs.read_survey(table, **({"x": "x", "y": "y", "crs": "EPSG:32658"} | options))


# ---- numbers ----


def test_the_facts_are_those_of_the_data(rongelap):
    """Counts, times and area as the data's source has them; spacing from all distances."""
    facts, points = rongelap.table()["value"], rongelap.survey.points
    apart = cdist(rongelap.survey.coordinates, rongelap.survey.coordinates)
    np.fill_diagonal(apart, np.inf)
    assert facts["sites"] == 157
    assert facts["total counts"] == 472_801
    assert facts["total exposure (time)"] == 63_100
    assert facts["overall counts / time"] == pytest.approx(472_801 / 63_100)
    assert facts["area of the coastline"] == pytest.approx(2_120_283.32, abs=0.01)
    assert facts["sites off the coastline"] == 2
    assert facts["furthest off the coastline"] == pytest.approx(19.34, abs=0.01)
    assert facts["mean nearest neighbour"] == pytest.approx(apart.min(axis=0).mean())
    spread = rongelap.quantiles()
    rates = points["counts"] / points["time"]
    expected = [157, rates.mean(), *np.quantile(rates, [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1])]
    np.testing.assert_allclose(spread.loc["counts / time"], expected)
    np.testing.assert_allclose(spread.loc["nearest neighbour", "median"], np.median(apart.min(axis=0)))


@pytest.mark.parametrize(
    ("family", "exposure", "label"),
    [
        (None, "tested", "log(cases / tested)"),
        (None, None, "cases"),
        ("poisson", None, "log(cases)"),
        ("NegBin", "tested", "log(cases / tested)"),
        ("binomial", "tested", "logit(cases / tested)"),
        ("gaussian", None, "cases"),
        ("lognormal", None, "log(cases)"),
    ],
)
def test_the_scale_is_the_familys(family, exposure, label):
    assert observe(read(many_columns()), "cases", exposure, family).scale_label == label


def test_zero_counts_and_full_successes_stay_finite():
    table = many_columns()
    table.loc[0, "cases"] = 0
    table.loc[1, "cases"] = table.loc[1, "tested"]
    survey = read(table)
    counted = observe(survey, "cases", "tested", "poisson")
    assert counted.scaled[0] == pytest.approx(np.log(0.5 / table.loc[0, "tested"]))
    trials = observe(survey, "cases", "tested", "binomial")
    assert trials.scaled[1] == pytest.approx(np.log((table.loc[1, "tested"] + 0.5) / 0.5))


@pytest.mark.slow
def test_the_half_takes_the_bias_of_the_logarithm_away():
    """E log(Y + 1/2) is log(mean) to second order (Cox & Snell): 0.003 at a mean of 10, where log Y is off by 0.05."""
    draws = np.random.default_rng(0).poisson(10, 200_000)
    table = pd.DataFrame({"x": np.arange(200_000.0), "y": 0.0, "c": draws})
    off = observe(read(table, crs="local:m"), "c", None, "poisson").scaled.mean() - np.log(10)
    assert abs(off) < 0.01
    assert np.log(draws[draws > 0]).mean() - np.log(10) < -0.04


def test_robust_z_scores_are_z_scores_where_all_is_gaussian():
    values = np.random.default_rng(0).normal(3, 2, 100_000)
    np.testing.assert_allclose(robust_z(values), (values - 3) / 2, atol=0.1)  # 0.03 of location and scale, at z = 4
    assert robust_z([1, 1, 1, 1, 9]).round(2)[-1] == pytest.approx(8 / (1.2533 * 8 / 5), abs=0.01)
    np.testing.assert_array_equal(robust_z([np.nan, 2, 2])[1:], [0, 0])


def test_covariates_are_found_and_labels_are_not():
    found = gs.explore(read(many_columns()), "cases", "tested", family="binomial")
    assert list(found.covariates) == ["depth", "soil", "wet", "year"]
    assert trend_names(found) == ["easting", "northing", "depth", "soil", "wet", "year"]
    assert list(gs.explore(read(many_columns()), "cases", covariates=["id"]).covariates) == ["id"]


def test_json_holds_everything(rongelap):
    told = json.loads(json.dumps(rongelap.to_dict()))
    assert told["response"] == "counts / time"
    assert told["facts"]["sites"]["value"] == 157
    assert len(told["variogram"]["bins"]) == 15
    assert told["variogram"]["matern"]["range"] == pytest.approx(rongelap.variogram.structure.range)
    assert {f["subject"] for f in told["findings"]} >= {"sites at sea", "outliers"}


HOSTILE = [
    ({"response": "case"}, "no column 'case': did you mean 'cases'"),
    ({"response": "soil"}, "column 'soil' is 'clay', which is no finite number; 59 further rows|no finite number"),
    ({"response": "empty"}, "column 'empty' is empty; 59 further rows"),
    ({"response": "geometry"}, "no column 'geometry'"),
    ({"exposure": "test"}, "no column 'test': did you mean 'tested'"),
    ({"covariates": ["depht"]}, "no column 'depht': did you mean 'depth'"),
    ({"family": "poison"}, "did you mean 'poisson'"),
    ({"response": "depth", "family": "poisson"}, "column 'depth': family 'poisson' needs counts"),
    ({"response": "tested", "exposure": "cases", "family": "binomial"}, "more successes than trials"),
]


@pytest.mark.parametrize(("spoilt", "sentence"), HOSTILE, ids=[h[1][:30] for h in HOSTILE])
def test_a_mistake_is_told(spoilt, sentence):
    arguments = {"response": "cases", "exposure": "tested"} | spoilt
    with pytest.raises(gs.InputError, match=sentence):
        gs.explore(read(many_columns()), **arguments)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [2, 3, 4, 6])
def test_a_handful_of_sites_is_explored_without_fault(rows):
    found = gs.explore(read(many_columns().head(rows)), "cases", "tested")
    assert (found.variogram is None) == (rows < 5)
    assert [f.level for f in found.findings if f.subject == "number of sites"] == ["warning"]
    FigureCanvasAgg(plot_exploration(found, Figure())).draw()
    assert "Exploration of cases / tested" in repr(found)


@pytest.mark.slow
def test_nothing_to_rate_is_explored_without_fault():
    found = gs.explore(read(many_columns().assign(tested=0)), "cases", "tested")
    assert found.variogram is None
    assert np.isnan(found.summary.rate)
    FigureCanvasAgg(plot_exploration(found, Figure())).draw()


# ---- pictures ----


@pytest.mark.slow
@pytest.mark.parametrize("case", ["rongelap", "tall", "no unit"])
def test_nothing_is_clipped_and_no_panels_overlap(case, rongelap):
    if case == "rongelap":
        found = rongelap
    elif case == "tall":
        land = shapely.box(477_900, 1_239_900, 482_100, 1_252_100)
        found = gs.explore(read(many_columns(), coastline=land), "cases", "tested", family="binomial")
    else:
        found = gs.explore(read(many_columns().assign(x=lambda t: t["x"] / 4e6), crs="local:unit"), "cases")
    figure = plot_exploration(found, Figure())
    FigureCanvasAgg(figure).draw()
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
    panels = [ax.get_tightbbox() for ax in figure.axes[1:]]  # the map's title may reach over its colour bar
    assert not any(one.overlaps(other) for one, other in combinations(panels, 2))


@pytest.mark.slow
def test_odd_names_and_values_of_columns_are_drawn_as_they_are():
    """A pair of dollar signs is no formula, a list is no number, and a long name leaves room for the panel."""
    table = many_columns().rename(columns={"cases": "$cases{$", "depth": "$depth_{$", "tested": "a $ b"})
    table["lists"], table["mixed"], table["complex"] = [[1]] * 60, ["1", 2] * 30, 1j
    table["a name that goes on and on and on and on"] = table["x"] ** 2 % 7
    found = gs.explore(read(table), "$cases{$", "a $ b")
    assert {"lists", "mixed"} <= set(found.covariates)
    assert "complex" not in found.covariates
    figure = plot_exploration(found, Figure())
    FigureCanvasAgg(figure).draw()
    assert figure.get_tightbbox().x1 <= figure.get_figwidth()
    assert json.dumps(found.to_dict())


def test_rates_over_decades_have_logarithmic_colours():
    table = many_columns()
    table["cases"] = np.round(np.geomspace(10, 1e5, 60))
    found = gs.explore(read(table.assign(tested=10)), "cases", "tested", family="poisson")
    figure = Figure()
    ax = plot_rates(found, figure.add_axes((0.1, 0.1, 0.6, 0.8)))
    (bar,) = ax.child_axes
    ticks = {
        float(label.get_text().replace(",", "")): place for place, label in zip(bar.get_yticks(), bar.get_yticklabels())
    }
    assert list(ticks) == [10, 100, 1000, 10_000]
    np.testing.assert_allclose(list(ticks.values()), np.log(list(ticks)))


def test_rates_are_drawn_where_they_are_and_as_large_as_their_exposure(rongelap):
    ax = plot_rates(rongelap, Figure().add_axes((0.1, 0.1, 0.8, 0.8)))
    dots = max(ax.collections, key=lambda c: len(c.get_offsets()))
    order = np.lexsort(dots.get_offsets().data.T)
    own = np.lexsort(rongelap.survey.coordinates.T)
    np.testing.assert_array_equal(dots.get_offsets().data[order], rongelap.survey.coordinates[own])
    np.testing.assert_allclose(dots.get_array()[order], rongelap.observed.rates[own])
    time = rongelap.observed.exposures
    usual = time <= 5 * np.median(time)  # the largest symbols are held at five times the median
    sizes = dots.get_sizes()[order][np.argsort(own)]
    np.testing.assert_allclose(sizes[usual] / time[usual], sizes[0] / time[0])
    rings = [c for c in ax.collections if c.get_facecolor().size == 0 and len(c.get_offsets())]
    at_sea_or_wild = {row for f in rongelap.findings if f.level != "ok" for row in f.rows}
    assert sum(len(c.get_offsets()) for c in rings) == len(at_sea_or_wild) == 4  # one is both


def test_a_trend_has_its_rank_correlation_and_medians():
    found = gs.explore(read(many_columns()), "cases", "tested", family="binomial")
    ax = plot_trend(found, "northing", Figure().add_axes((0.2, 0.2, 0.7, 0.7)))
    rank = spearmanr(found.survey.coordinates[:, 1], found.observed.rates).statistic
    assert ax.get_title(loc="left") == f"northing, ρ = {rank:.2f}"
    course = ax.lines[0].get_xydata()
    assert course[-1, 1] > course[0, 1] + 0.5  # from 0.3 to 0.7
    levels = plot_trend(found, "soil", Figure().add_axes((0.2, 0.2, 0.7, 0.7)))
    assert [t.get_text() for t in levels.get_yticklabels()] == ["peat", "limest…", "clay"]
    with pytest.raises(gs.InputError, match="did you mean 'soil'"):
        plot_trend(found, "soill")


def test_yes_and_no_are_drawn_as_shares():
    """Quartiles of zeros and ones jump between the two, and a robust variogram is of Gaussian differences."""
    x, y = np.random.default_rng(3).uniform(0, 1000, (2, 200))
    table = pd.DataFrame({"x": x, "y": y, "seen": ((x > 400) ^ (np.arange(200) % 7 == 0)).astype(int)})
    found = gs.explore(read(table), "seen", family="bernoulli")
    (line,) = plot_trend(found, "easting", Figure().subplots()).lines
    share = line.get_ydata()
    assert ((share >= 0) & (share <= 1)).all() and ((share > 0) & (share < 1)).sum() > 6
    estimates = found.variogram.table
    np.testing.assert_array_equal(estimates["robust"], estimates["semivariance"])
    fitted = found.variogram.structure
    assert fitted.nugget + fitted.sill == pytest.approx(found.variogram.variance, rel=0.25)  # of one variogram's bins


def test_the_mean_of_a_standardised_column_is_nothing():
    found = gs.explore(
        read(many_columns().assign(z=lambda t: (t["depth"] - t["depth"].mean()) / t["depth"].std())), "cases"
    )
    assert found.quantiles().loc["z", "mean"] == 0.0 and found.quantiles().loc["depth", "mean"] > 10


def test_small_rates_are_told_per_so_many(rongelap):
    survey = read(many_columns().assign(people=lambda t: 5000 * t["tested"]))
    found = gs.explore(survey, "cases", "people", family="poisson")
    ax = plot_rates(found, Figure().subplots())
    assert ax.get_title(loc="left").replace("\n", " ").startswith("Observed cases per 100,000 people")
    ticks = [float(text.get_text()) for text in plot_histogram(found, Figure().subplots()).get_xticklabels()]
    shown = 1e5 * found.observed.rates
    assert shown.min() / 2 < min(ticks) <= max(ticks) < 2 * shown.max()


def test_axes_of_scaled_rates_are_labelled_with_rates(rongelap):
    ax = plot_histogram(rongelap, Figure().add_axes((0.2, 0.2, 0.7, 0.7)))
    for place, label in zip(ax.get_xticks(), ax.get_xticklabels()):
        assert np.exp(place) == pytest.approx(float(label.get_text()))
    assert sum(patch.get_height() for patch in ax.patches) == 157


def test_the_variogram_is_drawn_in_its_envelope(rongelap):
    table = rongelap.variogram.table
    ax = plot_variogram(rongelap.variogram, Figure().add_axes((0.2, 0.2, 0.7, 0.7)))
    classical = next(line for line in ax.lines if line.get_label() == "classical")
    np.testing.assert_allclose(classical.get_xydata(), table[["distance", "semivariance"]])
    (band,) = ax.collections
    corners = band.get_paths()[0].vertices
    for limit in ("lower", "upper"):
        for corner in table[["distance", limit]].to_numpy():
            assert np.isclose(corners, corner).all(axis=1).any()
    assert ax.get_ylim()[1] > table[["semivariance", "robust"]].to_numpy().max()


def test_pyplot_makes_the_axes_if_none_are_given(rongelap):
    from matplotlib import pyplot as plt

    for draw in (plot_rates, plot_histogram):
        assert draw(rongelap).get_figure() in map(plt.figure, plt.get_fignums())
    assert rongelap.variogram.plot().get_xlabel() == "distance (km)"
    assert len(rongelap.plot().axes) == 6
    plt.close("all")


@pytest.mark.slow
def test_the_section_is_text_and_pictures(rongelap):
    section = exploration_section(rongelap, dpi=60)
    assert ["area of the coastline", "2.12 km²"] in section["facts"]
    assert [row[0] for row in section["quantiles"]["rows"]][:2] == ["counts", "time"]
    assert all(len(row) == len(section["quantiles"]["head"]) for row in section["quantiles"]["rows"])
    assert [p["name"] for p in section["pictures"]] == ["rates", "variogram", "histogram", "trends"]
    for picture in section["pictures"]:
        kind, data = picture["uri"].split(",")
        assert kind == "data:image/png;base64"
        width, height = Image.open(io.BytesIO(base64.b64decode(data))).size
        assert width / height == pytest.approx(picture["width"] / picture["height"], rel=0.02)
        assert picture["caption"]
    assert json.loads(json.dumps(section)) == section
    from matplotlib import pyplot as plt

    told = replace(rongelap.findings[0], level="warning", rows=(3, 5))
    for findings, rings in (((), 0), ((told,), 2)):
        one = replace(rongelap, findings=findings)
        drawn = [c for c in plot_rates(one).collections if len(c.get_facecolor()) == 0 and len(c.get_offsets()) == 2]
        caption = next(picture["caption"] for picture in exploration_section(one, dpi=60)["pictures"])
        assert len(drawn) == (rings > 0) == ("red ring marks sites" in caption)
    plt.close("all")


# ---- the commands ----


@pytest.fixture
def run_file(island, monkeypatch):
    monkeypatch.chdir(island)
    return island / "survey.toml"


FILES = {
    "exploration.png", "rates.png", "variogram.png", "histogram.png", "trends.png", "facts.csv", "quantiles.csv",
    "variogram.csv", "findings.csv", "explore.json",
}  # fmt: skip


@pytest.mark.slow
def test_explore_prints_tables_and_writes_a_folder(run_file, capsys):
    assert main(["explore", str(run_file)]) == 0
    shown = capsys.readouterr().out
    assert "2.12 km²" in shown
    assert "sites at sea" in shown
    assert shown.splitlines()[-1] == "pictures and tables: outputs/rongelap-explore"
    folder = run_file.parent / "outputs" / "rongelap-explore"
    assert {path.name for path in folder.iterdir()} == FILES
    assert len(pd.read_csv(folder / "variogram.csv")) == 15
    assert pd.read_csv(folder / "findings.csv")["level"].tolist().count("warning") == 1
    assert json.loads((folder / "explore.json").read_text())["folder"] == "outputs/rongelap-explore"


@pytest.mark.slow
@pytest.mark.usefixtures("unrendered_here")
def test_tables_on_80_columns_hold_every_number_whole(run_file, edit, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    edit(run_file.parent / "points.csv", "cX,cY,counts,time", "cX,cY,counts,minutes_of_counting")
    edit(run_file, 'exposure = "time"', 'exposure = "minutes_of_counting"')
    assert main(["explore", str(run_file), "--out", "seen"]) == 0
    shown = capsys.readouterr().out
    assert "\N{HORIZONTAL ELLIPSIS}" not in shown
    assert max(map(len, shown.splitlines())) <= 80
    ratios = pd.read_csv(run_file.parent / "seen" / "quantiles.csv").iloc[2]
    assert f"{ratios['25%']:.4g}" in shown and f"{ratios['75%']:.4g}" in shown


@pytest.mark.usefixtures("unrendered_here")
def test_explore_replaces_only_what_it_made_and_only_if_told_to(run_file, capsys):
    out = run_file.parent / "seen"
    assert main(["explore", str(run_file), "--out", str(out), "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["explore", str(run_file), "--out", str(out)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["explore", str(run_file), "--out", str(out), "--overwrite"]) == 0
    (out / "explore.json").unlink()
    assert main(["explore", str(run_file), "--out", str(out), "--overwrite"]) == 2
    assert len(list(out.iterdir())) == len(FILES) - 1


@pytest.mark.slow
@pytest.mark.usefixtures("unrendered_here")
def test_explore_json_writes_nothing_unless_told_where(run_file, capsys):
    before = sorted(run_file.parent.rglob("*"))
    assert main(["explore", str(run_file), "--json"]) == 0
    shown = capsys.readouterr()
    told = json.loads(shown.out)
    assert (told["survey"], told["scale"], told["folder"]) == ("Rongelap", "log", None)
    assert shown.err.splitlines() == [line for line in shown.err.splitlines() if line.startswith("warning: ")]
    assert sorted(run_file.parent.rglob("*")) == before
    assert main(["explore", str(run_file), "--json", "--out", "seen"]) == 0
    assert json.loads(capsys.readouterr().out)["folder"] == "seen"
    assert {path.name for path in (run_file.parent / "seen").iterdir()} == FILES


def test_a_failed_exploration_leaves_nothing(run_file, monkeypatch, capsys):
    def fail(*_):
        raise OSError(28, "No space left on device")

    before = sorted(run_file.parent.rglob("*"))
    monkeypatch.setattr(checks, "write_exploration", fail)
    assert main(["explore", str(run_file)]) == 2
    assert "is full" in capsys.readouterr().err
    assert sorted(run_file.parent.rglob("*")) == before


@pytest.mark.parametrize(
    ("file", "old", "new", "sentence"),
    [
        ("points.csv", "-6050,-3270,75", "-6050,-3270,many", "points.csv, line 2, column 'counts': 'many'"),
        ("survey.toml", "counts ~", "count ~", "did you mean 'counts'?"),
        ("survey.toml", '"time"', '"tme"', "did you mean 'time'?"),
        ("survey.toml", "counts ~ 1 +", "counts", "a formula reads 'response ~ terms'"),
        ("survey.toml", '"poisson"', '"poison"', "did you mean 'poisson'?"),
    ],
)
def test_explore_tells_a_mistake_in_one_sentence(run_file, edit, capsys, file, old, new, sentence):
    edit(run_file.parent / file, old, new)
    before = sorted(run_file.parent.rglob("*"))
    assert main(["explore", str(run_file)]) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("geospde")]
    assert sentence in line
    assert sorted(run_file.parent.rglob("*")) == before


def test_one_site_and_no_coastline(run_file, edit, capsys):
    edit(run_file, 'coastline = "coastline.csv"', "")
    assert main(["explore", str(run_file), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert "area of the coastline" not in told["facts"]
    assert ("note", "coastline") in [(f["level"], f["subject"]) for f in told["findings"]]
    points = run_file.parent / "points.csv"
    points.write_text("".join(points.read_text().splitlines(keepends=True)[:2]))
    assert main(["explore", str(run_file)]) == 2
    assert "has one site" in capsys.readouterr().err


def test_a_proportion_of_trials_is_explored_as_one(tmp_path):
    many_columns().to_csv(tmp_path / "herds.csv", index=False)
    sections = {
        "survey": {"points": str(tmp_path / "herds.csv"), "crs": "EPSG:32658", "x": "x", "y": "y"},
        "model": {"formula": "p(cases, tested) ~ 1 + spde(mesh)", "family": "binomial"},
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", gs.GeospdeWarning)
        found = checks.explore_run(sections, write=False).exploration
        assert found.observed.scale_label == "logit(cases / tested)"
        assert "total trials (tested)" in found.summary.table().index
        assert {"trials"} == {f.subject for f in found.findings if "'tested'" in f.message}
        sections["model"]["formula"] = "p(cases, 500) ~ 1 + spde(mesh)"
        found = checks.explore_run(sections, write=False).exploration
    assert found.observed.label == "cases / 500"
    np.testing.assert_allclose(found.observed.rates, found.survey.points["cases"] / 500)


def test_check_tells_findings_with_remedies(run_file, capsys):
    assert main(["check", str(run_file)]) == 0
    shown = capsys.readouterr().out
    for words in ("warning   sites at sea", "→ correct the sites", "note      mesh edges", "ok        model"):
        assert words in shown
    assert shown.splitlines()[-1].endswith("can be run (1 warning): geospde run " + str(run_file))


def test_check_json_is_for_scripts(run_file, capsys):
    assert main(["check", str(run_file), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["can_run"] is True
    assert (told["warning"], told["error"]) == (1, 0)
    assert {"mesh edges", "prediction", "model", "exposure"} <= {f["subject"] for f in told["findings"]}
    assert all(set(f) == {"level", "subject", "message", "remedy", "rows"} for f in told["findings"])


def test_an_error_among_the_findings_is_exit_2(run_file, monkeypatch, capsys):
    def beside(domain=None, *, sites=None, **options):
        return build_mesh(sites.union_all().envelope.buffer(200).difference(shapely.box(-3000, -5000, 900, 900)))

    monkeypatch.setattr(analysis, "build_mesh", beside)
    monkeypatch.setattr(
        analysis, "make_grid", lambda *_: gs.Grid.around(shapely.box(-6000, -3200, -5000, -3000), cell=50)
    )
    monkeypatch.setattr(analysis, "make_model", lambda *_: SimpleNamespace(crs=None, points=None))
    monkeypatch.setattr(checks, "System", lambda *_: SimpleNamespace(analysed=lambda: None))
    for name in ("check_predictable", "describe_model"):
        monkeypatch.setattr(analysis, name, lambda *_: "")
    assert main(["check", str(run_file)]) == 2
    assert "has 1 error to mend before a run" in capsys.readouterr().out
    assert main(["check", str(run_file), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["can_run"] is False


def test_a_warning_of_the_readers_is_among_the_findings_once(run_file, edit, capsys):
    points = run_file.parent / "points.csv"
    lines = points.read_text().splitlines()
    labelled = [f"{lines[0]},depth", *(f"{line},3.5" for line in lines[1:])]
    labelled[40] = labelled[40].replace(",3.5", ",deep")
    points.write_text("\n".join([*labelled, labelled[9]]))
    assert main(["check", str(run_file), "--json"]) == 0
    found = [f for f in json.loads(capsys.readouterr().out)["findings"] if f["level"] == "warning"]
    assert sorted(f["subject"] for f in found) == ["duplicated sites", "input", "sites at sea"]
    assert "'deep' among numbers" in next(f for f in found if f["subject"] == "input")["message"]


@pytest.mark.slow
def test_what_draws_nothing_imports_neither_matplotlib_nor_rasterio():
    code = "import sys, geospde as gs; gs.explore, gs.variogram; import geospde.run.check, geospde.run.proposal; "
    code += "print({'matplotlib', 'rasterio'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
