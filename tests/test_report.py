"""The report: self-contained, escaped, and true to the numbers it was given."""

import re
from html.parser import HTMLParser
from types import SimpleNamespace

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from geospde.crs import parse_crs
from geospde.errors import InputError
from geospde.maps.figures import save_figures
from geospde.maps.findings import findings
from geospde.maps.report import write_report
from geospde.mesh.trimesh import Mesh
from geospde.prediction.grid import Grid

ISLAND = shapely.box(0, 0, 2000, 1000)
CRS = parse_crs("local:m")
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Tags, their attributes and the text of a page; raises where tags do not close in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.words = [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", "".join(self.words))

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def made(response="counts", name="Long Island"):
    """Make what a run hands to the report."""
    grid = Grid.around(ISLAND, cell=100, buffer=100, crs=CRS)
    x, y = grid.centres.T
    mean = 4 + 4 * (x > 1000)  # 4 in the west, 8 in the east
    frame = pd.DataFrame({"x": x, "y": y, "mean": mean, "sd": 0.25 * mean, "q0.025": 0.5 * mean, "q0.975": 2 * mean})
    frame["exceed_6"] = np.where(x > 1500, 0.99, np.where(x > 1000, 0.5, 0.01))
    label = f"{response} / time"
    prediction = SimpleNamespace(points=grid.centres, grid=grid, crs=CRS, label=label, to_frame=lambda: frame)
    sites = gpd.points_from_xy([100, 900, 1900], [500, 500, 500])
    points = gpd.GeoDataFrame({response: [1200, 1500, 2400], "time": [300.0, 300.0, 300.0]}, geometry=sites)
    survey = SimpleNamespace(points=points, coastline=ISLAND, crs=CRS, name=name)
    corners = [[-500, -500], [2500, -500], [2500, 1500], [-500, 1500]]
    columns = {"mean": [250.0], "sd": [30.0], "q0.025": [200.0], "q0.5": [248.0], "q0.975": [310.0]}
    fit = SimpleNamespace(
        fixed=pd.DataFrame({key: np.divide(value, 100) for key, value in columns.items()}, index=["Intercept"]),
        hyper=pd.DataFrame(columns, index=["range(spde)"]),
        fitted=pd.DataFrame({"mean": [4.1, 5, 7.9], "q0.025": [3.0, 4, 7], "q0.975": [5.0, 6, 9]}),
        criteria={"dic": 1234.567, "p_dic": 12.5},
        log_marginal_likelihood=-1328.0196,
        formula=f"{response} ~ 1 + spde(mesh)",
        family="poisson",
        describe=lambda: {"link": "log", "method": "inla", "theta points": 16},
    )
    return {"survey": survey, "mesh": Mesh(corners, [[0, 1, 2], [0, 2, 3]], CRS), "fit": fit, "prediction": prediction}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder, run = tmp_path_factory.mktemp("run"), made()
    path = write_report(
        folder / "report.html",
        title="Long Island",
        figures=save_figures(folder / "figures", **run, dpi=60),
        settings={"mesh": {"max_edge": (300, 600), "seed": None}, "prediction": {"crop": False}},
        seconds={"mesh": 0.5, "fit": 1.25},
        notes=["1 site lies off the coastline"],
        **run,
    )
    return Page(path.read_text(encoding="utf-8"))


def test_nothing_is_fetched_from_elsewhere(page):
    links = [value for _, attrs in page.tags for key, value in attrs.items() if key in ("src", "href")]
    assert len(links) == 6 and all(link.startswith("data:image/png;base64,") for link in links)
    assert not page.all("script") and not page.all("link")


def test_every_picture_has_words_and_a_size(page):
    for attrs in page.all("img"):
        assert len(attrs["alt"]) > 20 and int(attrs["width"]) > 50 and int(attrs["height"]) > 50


def test_the_maps_come_first(page):
    tags = [tag for tag, _ in page.tags]
    assert tags.index("img") < tags.index("table")
    assert page.all("img")[0]["alt"].startswith("Posterior mean and limits")


def test_numbers_of_the_fit_stand_in_the_tables(page):
    for words in ("range(spde)", "310", "97.5%", "−1,328.02", "1,234.57", "Intercept", "300, 600", "1.75", "16"):
        assert words in page.text
    assert "seed" not in page.text


def test_the_sentences_are_true_of_the_land(page):
    for words in (
        "averages 6; nine tenths of the land lie between 4 and 8",
        "on 25% of the land (0.500 km²), and 0.05 or less on 50%; on the remaining 25% the data do not decide",
        "25% of the mean at the median of the land",
        "when 250 m apart (95% limits 200 to 310 m)",
        "the 95% limits are 4 and 16",
        "1 site lies off the coastline",
    ):
        assert words in page.text


def test_names_from_the_users_files_are_escaped(tmp_path):
    run = made(response="<script>alert(1)</script>", name="<b>Isle</b> & Co")
    path = write_report(tmp_path / "r.html", title=run["survey"].name, notes=["<i>"], **run)
    text = path.read_text(encoding="utf-8")
    assert "<script" not in text and "<b>" not in text and "<i>" not in text
    assert "<b>Isle</b> & Co" in Page(text).text


def test_parts_that_are_not_there_are_left_out(tmp_path):
    text = write_report(tmp_path / "r.html", title="Nothing yet").read_text(encoding="utf-8")
    page = Page(text)
    assert "Nothing yet" in page.text and "Estimates" not in page.text and not page.all("img")
    only = made()["prediction"]
    assert "Over the grid" in Page(write_report(tmp_path / "p.html", title="p", prediction=only).read_text()).text


def test_a_table_without_places_still_gets_its_sentence(tmp_path):
    frame = pd.DataFrame({"mean": [1.0, 2.0], "sd": [0.1, 0.1]})
    prediction = SimpleNamespace(points=None, grid=None, crs=None, label="y", to_frame=lambda: frame)
    assert findings(prediction)[0].startswith("Over the rows, the posterior mean of y averages 1.5")
    assert save_figures(tmp_path, prediction=prediction) == []


def test_a_missing_figure_is_told(tmp_path):
    with pytest.raises(InputError, match="cannot write the report.*none.png"):
        write_report(tmp_path / "r.html", title="t", figures=[tmp_path / "none.png"])


def test_a_joint_prior_is_said_once_and_the_label_in_words(tmp_path):
    run = made()
    told = {"priors": {"range(spde)": "the joint prior", "sigma(spde)": "the joint prior", "sd(g)": "another"}}
    run["fit"].describe = lambda: told
    page = Page(write_report(tmp_path / "r.html", title="t", label="counts per second", **run).read_text("utf-8"))
    assert page.text.count("the joint prior") == 1 and "range(spde), sigma(spde): the joint prior" in page.text
    assert "posterior mean of counts per second averages 6" in page.text and "counts / time" not in page.text
    assert "1,200 to 2,400, in all 5,100" in page.text  # still found by the names of the columns
