"""How objects look in a notebook and a terminal: the figures are there, and no name of a column or site is HTML."""

import base64
import io
import re
import struct
from functools import cache
from html.parser import HTMLParser

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from oracles import square_mesh
from PIL import Image
from rich.console import Console

import geospde as gs
from geospde.plots.thumbnails import _thinned, mesh_png
from geospde.results.summaries.posterior import Block, plain_text, posterior_blocks, show
from geospde.text.notebook import MOST_ROWS, card, facts, frame_table
from geospde.text.words import number, numbers_alike

EVIL = """<img src=x onerror=alert(1)>"'&<script>alert(2)</script>"""
KNOWN = {"div", "b", "table", "caption", "thead", "tbody", "tr", "th", "td", "img"}
ATTRIBUTES = {"class", "style", "src", "alt", "width"}


class Page(HTMLParser):
    """Text, tables and pictures of a fragment; fails on anything that geospde does not write."""

    def __init__(self, text):
        super().__init__()
        self.text, self.rows, self.pictures, self.open = "", [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        assert tag in KNOWN and {name for name, _ in attributes} <= ATTRIBUTES
        if tag == "img":
            source = dict(attributes)["src"]
            assert re.fullmatch(r"data:image/png;base64,[A-Za-z0-9+/=]+", source) and dict(attributes)["alt"]
            self.pictures.append(base64.b64decode(source.partition(",")[2]))
        else:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if self.open and self.open[-1] in ("td", "th"):
            self.rows[-1][-1] += data


def shown(thing):
    return Page(thing._repr_html_())


def cells(page, name):
    return next(row for row in page.rows if row and row[0] == name)


def is_drawn(png):
    """Whether a picture has more than one colour."""
    image = Image.open(io.BytesIO(png))
    return len(image.convert("RGB").getcolors(1_000_000)) > 5 and image.size == struct.unpack(">II", png[16:24])


@cache
def rongelap():
    return gs.load_dataset("rongelap")


@cache
def fit():
    table = pd.DataFrame(rongelap().points.drop(columns="geometry"))
    table["x"], table["y"] = (table["cX"] + 6100) / 6100, (table["cY"] + 3500) / 3600
    return gs.fit(
        "counts ~ 1 + spde(mesh)", table, mesh=square_mesh(6), coords=("x", "y"), family="poisson", exposure="time"
    )


def test_a_card_escapes_every_text():
    page = Page(card(EVIL, EVIL, facts({EVIL: EVIL}, EVIL), frame_table(pd.DataFrame({EVIL: [1.0]}, [EVIL]), EVIL)))
    assert page.text.count(EVIL) == 8


def test_a_survey_shows_its_columns_and_where_its_sites_are():
    page = shown(rongelap())
    assert "Survey rongelap" in page.text and "157 sites, coastline 2.12 km²" in page.text
    assert cells(page, "counts") == ["counts", "75 to 21,386"]
    (png,) = page.pictures
    assert is_drawn(png)


def test_a_survey_of_hostile_names_and_odd_columns():
    bay = shown(gs.Survey(rongelap().points, None, rongelap().crs, "bay: east>"))
    assert bay.text.startswith("Survey bay: east>157 sites, no coastline, ")
    points = gpd.GeoDataFrame(
        {
            EVIL: [EVIL, "b", None],
            "none": [np.nan, np.nan, np.nan],
            "gap": [1.5, np.nan, 2.5],
            "yes": [True, False, True],
            "when": pd.to_datetime(["2020-01-01", "2020-01-02", None]),
            "list": [[1], [2], [2]],
            7: [1, 2, 3],
        },
        geometry=gpd.points_from_xy([0, 5, 9], [0, 40, 3]),
    ).rename_geometry("place")
    survey = gs.Survey(points, None, rongelap().crs, EVIL)
    page = shown(survey)
    assert f"Survey {EVIL}" in page.text and cells(page, EVIL)[1] == "2 different values, 1 missing"
    assert cells(page, "gap")[1] == "1.5 to 2.5, 1 missing" and cells(page, "yes")[1] == "2 different values"
    assert cells(page, "none")[1] == "no values" and cells(page, "7")[1] == "1 to 3"
    assert not [row for row in page.rows if row[0] == "place"]


def test_long_tables_are_cut_and_say_so():
    page = Page(frame_table(pd.DataFrame({"mean": np.arange(1000.0)}, [f"s{i}" for i in range(1000)])))
    assert len(page.rows) == MOST_ROWS + 2 and page.rows[-1] == ["… and 970 more"]
    page = Page(facts({f"c{i}": "x" for i in range(31)}))
    assert page.rows[-1] == ["… and 1 more"]
    assert len(Page(facts({f"c{i}": "x" for i in range(30)})).rows) == 30


def test_a_mesh_shows_its_size_its_edges_and_itself():
    mesh = gs.build_mesh(rongelap().coastline, max_edge=(300, 600), offset=300, crs="local:m")
    page, quality = shown(mesh), mesh.quality()
    assert f"{mesh.n_vertices:,} vertices, {mesh.n_triangles:,} triangles" in page.text
    assert cells(page, "angles")[1] == f"{quality.min_angle:.1f}° to {quality.max_angle:.1f}°"
    assert f"median {quality.inner_edges[1]:.0f} m" in cells(page, "inner edges")[1]
    assert is_drawn(page.pictures[0])
    bare = shown(gs.Mesh([[0, 0], [1, 0], [0, 1]], [[0, 1, 2]]))
    assert cells(bare, "coordinates")[1] == "no CRS"


def test_a_fine_mesh_is_drawn_by_its_boundary():
    mesh = square_mesh(80)
    assert mesh.n_triangles > 8000 and is_drawn(mesh_png(mesh))


def test_a_fit_shows_its_tables():
    vars(fit()).pop("criteria", None)  # which another test may have asked for
    page = shown(fit())
    assert fit().formula in page.text and "poisson (log link), 157 observations" in page.text
    for table in (fit().fixed, fit().hyper):
        for name, row in table.iterrows():
            assert cells(page, name)[1:] == [number(value) for value in row]
    assert f"log marginal likelihood \N{MINUS SIGN}{-fit().log_marginal_likelihood:,.2f}" in page.text
    assert cells(page, "range(spde)") and "P(range < " in page.text
    assert "criteria" not in fit().__dict__  # a notebook does not wait for them


def test_a_fit_of_hostile_names():
    table = pd.DataFrame({"<b>x</b>": np.arange(30.0), "y": np.random.default_rng(0).normal(size=30)})
    table["g"] = [EVIL, "b", "c"] * 10
    page = shown(gs.fit("y ~ `<b>x</b>` + (1 | g)", table, method="eb"))
    assert "<b>x</b>" in page.text


def test_a_prediction_shows_its_columns_and_a_map():
    corner = shapely.box(0.1, 0.1, 0.9, 0.6)
    surface = fit().predict(gs.Grid.around(corner, cell=0.05), exceed=[8])
    page, frame = shown(surface), surface.to_frame()
    assert "Prediction of counts / time" in page.text and "counts ~ 1 + spde(mesh), poisson, inla" in page.text
    for name in ("mean", "sd", "q0.975", "exceed_8"):
        column = frame[name]
        assert cells(page, name)[1:] == [number(v) for v in (column.min(), column.mean(), column.max())]
    assert is_drawn(page.pictures[0])
    at_points = shown(fit().predict(np.array([[0.2, 0.3], [0.5, 0.5]])))
    assert "at 2 places" in at_points.text and is_drawn(at_points.pictures[0])


def test_a_prediction_without_places_has_no_map():
    table = pd.DataFrame({"y": np.random.default_rng(0).normal(size=30), "g": list("abc") * 10})
    page = shown(gs.fit("y ~ (1 | g)", table, method="eb").predict(table.head(2)))
    assert not page.pictures and cells(page, "mean")


@pytest.mark.parametrize("shape", [(7, 11), (900, 1700), (401, 399), (30, 2001)])
def test_a_small_picture_of_a_large_raster_stays_in_place(shape):
    region = shapely.Point(0, 0).buffer(10)
    grid = gs.Grid.around(region, shape=shape)
    for axis, side in ((0, "west"), (1, "south")):
        image, (west, south, east, north) = _thinned(grid, grid.centres[:, axis])
        assert max(image.shape) <= 400
        high, wide = (north - south) / image.shape[0], (east - west) / image.shape[1]
        rows, cols = np.indices(image.shape) + 0.5
        expected = west + wide * cols if side == "west" else north - high * rows
        off = np.abs(image - expected)[np.isfinite(image)]
        assert off.max() <= (wide if side == "west" else high)  # one of the cells that a pixel stands for
    assert np.isfinite(image).mean() == pytest.approx(grid.mask.mean(), abs=0.05)  # some are at the rim


@pytest.mark.slow
def test_validations_effects_and_explorations():
    table = pd.DataFrame({"x": np.linspace(0, 1, 40), "g": list("abcd") * 10})
    table["y"] = table["x"] + np.random.default_rng(1).normal(size=40)
    ours = gs.fit("y ~ x + (1 | g)", table, method="eb")
    validation = ours.validate("random", k=4)
    page = shown(validation)
    assert validation.describe() in page.text
    assert cells(page, "model")[1:] == [number(v) for v in validation.scores.loc["model"]]
    effects = shown(ours.effects("x"))
    assert "Effects of x on y" in effects.text and is_drawn(effects.pictures[0])
    exploration = gs.explore(rongelap(), "counts", "time", family="poisson")
    page = shown(exploration)
    assert cells(page, "sites") and all(f"{f.level}: {f.subject}" in page.text for f in exploration.findings)


# -- in a terminal --------------------------------------------------------------------------------------------


def printed(width, thing):
    out = io.StringIO()
    blocks = posterior_blocks(thing, thing.log_marginal_likelihood)
    show(blocks, Console(file=out, width=width, force_terminal=True, color_system=None, highlight=False))
    return out.getvalue()


def words_of(text):
    return re.sub(r"[\s─]+", " ", text).split()


def test_a_terminal_shows_the_words_of_the_plain_summary_in_ruled_tables(capsys):
    fit().summary()
    plain = capsys.readouterr().out
    ruled = printed(100, fit())
    assert "───" in ruled and "───" not in plain
    assert words_of(ruled) == words_of(plain)
    assert max(map(len, ruled.splitlines())) <= 100


def test_a_narrow_terminal_gets_whole_lines():
    narrow = printed(30, fit())
    assert "───" not in narrow
    table = plain_text([Block("Hyperparameters", fit().hyper)])
    assert table in narrow  # lines are left to the terminal to break


def test_names_are_no_markup_in_a_terminal():
    table = pd.DataFrame({"[red]x[/red]": np.arange(30.0), "y": np.random.default_rng(0).normal(size=30)})
    ours = gs.fit("y ~ `[red]x[/red]`", table, method="eb")
    assert "[red]x[/red]" in printed(120, ours).partition("Fixed effects")[2]


def test_what_is_no_terminal_gets_plain_text(capsys):
    fit().summary()
    out = capsys.readouterr().out
    assert "\x1b" not in out and plain_text([Block("Hyperparameters", fit().hyper)]) in out


def test_numbers_of_a_summary_have_the_decimals_of_a_report():
    """Two digits of the standard deviation along each row, here as on the page, in figures that can be copied."""
    row = plain_text([Block("", fit().hyper)]).splitlines()[2].split()
    values = fit().hyper.iloc[0]
    assert row == [fit().hyper.index[0], *numbers_alike(values, values["sd"])]
    table = pd.DataFrame({"mean": [-2500.0, np.nan], "sd": [310.0, np.inf]}, index=["a", "b"])
    assert plain_text([Block("", table)]).split() == ["mean", "sd", "a", "-2500", "310", "b", "-", "inf"]
