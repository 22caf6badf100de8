"""The report: self-contained, escaped, and true to the numbers it was given."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from layered import layered
from sample_run import made, predicted

import geospde as gs
from geospde.errors import InputError
from geospde.plots import canvas
from geospde.plots.figures import save_figures
from geospde.plots.frame import packed_png
from geospde.report.findings import findings
from geospde.report.page import Section, Table, frame_table, picture, regions_sections
from geospde.report.parts import RunParts
from geospde.report.report import write_report
from geospde.report.summaries import links

VOID = {"meta", "img", "br", "link", "input", "hr", "path"}
HOSTILE = "</script><script>hacked = 1</script><!-- <b onload=x> & \"'\u2028"


class Page(HTMLParser):
    """Tags, their attributes and the text of a page; raises where tags do not close in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.words, self.inside = [], [], [], {"script": [], "style": []}
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag in self.inside:
            self.inside[tag].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self.words.append(" " if tag in ("td", "th", "li") else "")

    def handle_data(self, data):
        if self.open and self.open[-1] in self.inside:
            self.inside[self.open[-1]][-1] += data
        else:
            self.words.append(data)

    @classmethod
    def of(cls, path):
        return cls(path.read_text(encoding="utf-8"))

    @property
    def text(self):
        return re.sub(r"\s+", " ", "".join(self.words))

    @property
    def data(self):
        """What the script draws."""
        return json.loads(self.inside["script"][0])

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def written(folder, **more):
    return Page.of(write_report(folder / "report.html", RunParts(**{"title": "t", **made(), **more})))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder, run = tmp_path_factory.mktemp("run"), made()
    path = write_report(
        folder / "report.html",
        RunParts(
            title="Long Island",
            figures=save_figures(folder / "figures", **run, dpi=60),
            settings={"mesh": {"max_edge": (300, 600), "seed": None}, "prediction": {"crop": False}},
            seconds={"mesh": 0.5, "fit": 1.25},
            notes=["1 site lies off the coastline"],
            **run,
        ),
    )
    return Page.of(path)


def test_nothing_is_fetched_from_elsewhere(page):
    for tag, attrs in page.tags:
        assert "style" not in attrs and not any(name.startswith("on") for name in attrs)
        assert attrs.get("src", "data:image/png;base64,").startswith("data:image/png;base64,")
        if "href" in attrs:  # a link waits for a click
            assert tag == "a" and re.match(r"#|https://doi\.org/10\.", attrs["href"])
    assert len(page.all("img")) == 6 and not page.all("link") and not page.all("iframe")
    style, script = page.inside["style"][0], page.inside["script"][1]
    assert "url(" not in style and "@import" not in style
    assert not re.search(r"\beval\b|new Function|fetch\(|XMLHttpRequest|import\(|innerHTML|document\.write", script)
    assert "http" not in script


def test_the_policy_lets_nothing_run_but_the_pages_own_script(page):
    policy = next(attrs["content"] for attrs in page.all("meta") if "http-equiv" in attrs)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    hashed = {
        name: "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"
        for name, text in (("style-src", page.inside["style"][0]), ("script-src", page.inside["script"][1]))
    }
    closed = dict.fromkeys(("default-src", "base-uri", "form-action"), "'none'")
    assert rules == {**closed, "img-src": "data:", **hashed}


def test_what_refers_to_a_part_of_the_page_finds_it(page):
    names = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(names) == len(set(names))
    for _, attrs in page.tags:
        wanted = [attrs[key] for key in ("for", "aria-labelledby", "aria-describedby") if key in attrs]
        wanted += [attrs["href"][1:]] if attrs.get("href", "").startswith("#") else []
        assert set(wanted) <= set(names)
    called = set(re.findall(r"find\('([\w-]+)'\)", page.inside["script"][1]))
    assert called - {"map-mark"} <= set(names)  # which the script makes


def test_every_control_and_picture_has_words(page):
    for attrs in page.all("img"):
        assert len(attrs["alt"]) > 20 and int(attrs["width"]) > 50 and int(attrs["height"]) > 50
    for attrs in page.all("canvas"):
        assert attrs["aria-label"] == "Map of counts / time" and attrs["tabindex"] == "0"
    labelled = re.findall(r"Mean|2.5 % limit|97.5 % limit|Standard deviation|Probability above 6", page.text)
    assert len(set(labelled)) == 5
    assert [a["value"] for a in page.all("input") if a.get("name") == "layer"] == [
        "mean", "q0.025", "q0.975", "sd", "exceed_6",
    ]  # fmt: skip
    assert [a["value"] for a in page.all("input") if a.get("name") == "overlay"] == ["sites", "coast", "clip", "mesh"]


def test_numbers_of_the_fit_stand_in_the_tables(page):
    for words in ("range(spde)", "310", "97.5 %", "−1,328.02", "1,234.57", "Intercept", "300, 600", "1.75", "16"):
        assert words in page.text
    assert "seed" not in page.text


def test_a_row_of_estimates_has_the_digits_of_its_standard_deviation():
    columns = ["estimate", "se", "z", "p", "lower", "upper"]
    rows = [[3.9317, 0.07636, 51.4894, 1.2e-9, 3.782, 4.0814], [1247.37, 312.3, 3.9941, 0.004, 635.26, 1859.5]]
    table = frame_table("", pd.DataFrame(rows, index=["a", "b"], columns=columns))
    assert table.rows == [
        ["a", "3.932", "0.076", "51.49", "1.2×10⁻⁹", "3.782", "4.081"],
        ["b", "1,247", "312", "3.994", "0.004", "635", "1,860"],
    ]


def test_quantiles_of_any_level_have_those_digits_and_weights_those_of_one_another():
    columns = ["mean", "sd", "q0.05", "q0.9", "weight", "covered"]
    rows = [[0.40007, 0.0281, 0.34794, 0.4566, 61008.0, 0.99979], [0.344, 0.0272, 0.3, 0.39983, 145713.31, 1.0]]
    table = frame_table("", pd.DataFrame(rows, index=["a", "b"], columns=columns))
    assert table.head == ["", "mean", "sd", "5 %", "90 %", "sum of weights", "part on the map"]
    assert table.rows == [
        ["a", "0.400", "0.028", "0.348", "0.457", "61,008", "1.000"],
        ["b", "0.344", "0.027", "0.300", "0.400", "145,713", "1.000"],
    ]


def test_several_layers_of_areas_are_told_apart():
    frame = pd.DataFrame({"area": ["a", "b"], "mean": [0.4, 0.3]})
    one = SimpleNamespace(
        name="communes",
        title="Mean",
        how="sums",
        table=frame,
        shown=[("Mean, and its sd.", packed_png(np.zeros((2, 2, 3), np.uint8), 100))],
    )
    other = SimpleNamespace(**{**vars(one), "name": "departments"})
    assert [section.tables[0].caption for section in regions_sections([one, other])] == [
        "communes: Mean",
        "departments: Mean",
    ]
    assert regions_sections([one, other])[1].pictures[0].caption == "departments: Mean, and its sd."
    assert regions_sections([one])[0].tables[0].caption == "Mean"


def test_the_layers_are_summed_up_in_numbers(page):
    assert "Layers over the land (200 cells)" in page.text
    assert "Posterior mean 4 4 6 8 8" in page.text  # half of the land has 4, half 8
    assert "Probability that counts / time is above 6 0.01 0.01 0.26 0.99 0.99" in page.text


def test_the_sentences_are_true_of_the_land(page):
    for words in (
        "averages 6 (posterior mean); nine tenths of the land lie between 4 and 8",
        "on 25 % of the land (0.500 km²), and 0.05 or less on 50 %; on the remaining 25 % the data do not decide",
        "25 % of the mean at the median of the land",
        "when 250 m apart (95 % limits 200 to 310 m)",
        "the 95 % limits are 4 and 16",
        "1 site lies off the coastline",
    ):
        assert words in page.text


def test_a_percent_sign_stays_on_the_line_of_its_number(page):
    assert "on 25\N{NO-BREAK SPACE}% of the land" in "".join(page.words)
    assert not re.findall(r"\d %", "".join(page.words))


def test_text_from_the_users_files_is_escaped_everywhere(tmp_path):
    run = made(response=HOSTILE, name=HOSTILE, place=[HOSTILE, "Ridge", "Bay"])
    hostile = Table(HOSTILE, [HOSTILE], [[HOSTILE, HOSTILE]])
    (tmp_path / "a<b>.txt").touch()
    path = write_report(
        tmp_path / "r.html",
        RunParts(
            title=HOSTILE,
            notes=[HOSTILE],
            settings={HOSTILE: {HOSTILE: HOSTILE}},
            seconds={HOSTILE: 1.0},
            checks=[{"level": HOSTILE, "subject": HOSTILE, "message": HOSTILE, "remedy": HOSTILE}],
            validation=Section([HOSTILE], [hostile]),
            files=[tmp_path / "a<b>.txt"],
            **run,
        ),
    )
    page = Page.of(path)
    assert len(page.all("script")) == 2 and not page.all("b")
    assert "hacked" not in page.inside["script"][1]
    assert page.text.count("hacked = 1") >= 15
    assert page.data["sites"]["rows"][0][page.data["sites"]["head"].index("place")] == HOSTILE
    assert "<" not in page.inside["script"][0] and "\u2028" not in page.inside["script"][0]


def test_parts_that_are_not_there_are_left_out(tmp_path):
    page = Page.of(write_report(tmp_path / "r.html", RunParts(title="Nothing yet")))
    assert "Nothing yet" in page.text and "Estimates" not in page.text
    assert not page.all("img") and not page.all("canvas") and not page.all("script")
    only = made()["prediction"]
    assert "Over the grid" in Page.of(write_report(tmp_path / "p.html", RunParts(title="p", prediction=only))).text


def test_a_table_without_places_still_gets_its_sentence(tmp_path):
    frame = pd.DataFrame({"mean": [1.0, 2.0], "sd": [0.1, 0.1]})
    prediction = layered(frame, "y")
    assert findings(prediction)[0].startswith("Over the rows, y averages 1.5 (posterior mean)")
    assert save_figures(tmp_path, prediction=prediction) == []
    page = Page.of(write_report(tmp_path / "r.html", RunParts(title="t", prediction=prediction)))
    assert not page.all("canvas") and "averages 1.5" in page.text


def test_a_missing_figure_is_told(tmp_path):
    with pytest.raises(InputError, match="cannot write the report.*none.png"):
        write_report(tmp_path / "r.html", RunParts(title="t", figures=[tmp_path / "none.png"]))
    assert not (tmp_path / "r.html").exists()


def test_a_joint_prior_is_said_once_and_the_label_in_words(tmp_path):
    run = made()
    told = {"priors": {"range(spde)": "the joint prior", "sigma(spde)": "the joint prior", "sd(g)": "another"}}
    run["fit"].describe = lambda: told
    page = Page.of(write_report(tmp_path / "r.html", RunParts(title="t", label="counts per second", **run)))
    assert "range(spde), sigma(spde): the joint prior; sd(g): another" in page.text  # among the settings
    assert "range(spde) and sigma(spde), the joint prior; sd(g), another." in page.text  # in the methods
    assert page.text.count("the joint prior") == 2
    assert "counts per second averages 6 (posterior mean)" in page.text
    assert "1,200 to 2,400, in all 5,100" in page.text  # still found by the names of the columns


def test_findings_stand_in_their_order_of_gravity(tmp_path):
    findings = [
        {"level": "ok", "subject": "angles", "message": "at least 21°"},
        SimpleNamespace(level="note", subject="sites", message="157 of them", remedy=""),
        {"level": "error", "subject": "mesh", "message": "too coarse", "remedy": "lower max_edge"},
    ]
    page = written(tmp_path, checks=findings)
    said = page.text[page.text.index("Checks Error") :]
    said = said[: said.index("Passed")].split()
    assert " ".join(said) == "Checks Error: mesh. too coarse; lower max_edge Note: sites. 157 of them 1 passed"
    assert "Checks" not in written(tmp_path).text


def test_a_validation_is_shown_with_its_table_and_picture(tmp_path):
    run = made()
    (figure,) = save_figures(tmp_path / "figures", mesh=run["mesh"], dpi=40)
    scores = Table("Scores", ["", "RMSE"], [["spde", "1.25"], ["intercept only", "2.5"]])
    page = written(tmp_path, validation=Section(["Ten blocks."], [scores], [picture(figure, "Calibration of blocks")]))
    assert "Ten blocks." in page.text and "intercept only 2.5" in page.text
    assert [attrs["alt"] for attrs in page.all("img")] == ["Calibration of blocks"]


def test_a_cross_validation_is_told_by_its_scores_and_drawn(tmp_path):
    from matplotlib.figure import Figure

    validation = SimpleNamespace(
        describe=lambda: "157 observations predicted from the rest",
        scores=pd.DataFrame({"crps": [1.25, 2.5], "cover_95": [0.94, 0.8]}, index=["model", "intercept only"]),
        differences=pd.DataFrame({"crps": [0.75], "crps_se": [0.1]}, index=["intercept only"]),
        plot=lambda: Figure(figsize=(6, 2)),
    )
    page = written(tmp_path, validation=validation)
    assert "157 observations predicted from the rest." in page.text
    words = page.text.split()
    at = words.index("CRPS")
    assert words[at : at + 11] == "CRPS in 95 % model 1.25 0.94 intercept only 2.5 0.8".split()
    drawn = page.all("img")[0]
    assert drawn["alt"].startswith("Calibration") and drawn["width"] == "780"  # 1.3 times half its pixels


@pytest.mark.slow
def test_an_exploration_takes_the_place_of_the_short_table(tmp_path):
    survey = gs.load_dataset("rongelap")
    explored = gs.explore(survey, response="counts", exposure="time", family="poisson")
    page = Page.of(write_report(tmp_path / "r.html", RunParts(title="t", survey=survey, exploration=explored)))
    assert "mean nearest neighbour" in page.text and "472,801" in page.text
    assert any("variogram" in attrs["alt"] for attrs in page.all("img"))
    assert "Warning: sites at sea." in page.text


def test_files_are_linked_from_where_the_page_is(tmp_path):
    (tmp_path / "figures").mkdir()
    for name in ("grid.csv", "figures/a map.png"):
        (tmp_path / name).write_text("x" * 2500)
    files = [tmp_path / name for name in ("grid.csv", "figures/a map.png", "run.json", "grid.csv")]
    page = written(tmp_path, files=[*files, tmp_path.parent / "other.csv"])
    links = [attrs["href"] for attrs in page.all("a") if not re.match("#|https://doi", attrs["href"])]
    assert sorted(links) == ["figures/a%20map.png", "grid.csv", "run.json"]
    assert "grid.csv the layers of the map, one row per cell 2 kB" in page.text


def test_a_file_whose_name_is_no_utf_8_is_linked(tmp_path):
    """Such a file in a run's folder ended the report in a fault."""
    (link,) = links([tmp_path / "a\udcff.csv"], tmp_path)
    assert (link.href, link.name) == ("a%FF.csv", "a?.csv")


@pytest.mark.slow
def test_the_report_of_rongelap_is_small(tmp_path, monkeypatch):
    monkeypatch.setattr(canvas, "USUAL", canvas.Style())  # with as many dots as a user's
    survey = gs.load_dataset("rongelap")
    mesh = gs.build_mesh(survey.coastline, sites=survey.points, max_edge=(150, 300), offset=300)
    grid = gs.Grid.around(survey.coastline, shape=(75, 150), buffer=50)
    x, y = grid.centres.T
    mean = np.exp(2 + 0.2 * np.sin(x / 300) * np.cos(y / 200))
    frame = pd.DataFrame({"x": x, "y": y, "mean": mean, "sd": 0.1 * mean, "q0.025": 0.8 * mean, "q0.975": 1.2 * mean})
    run = {"survey": survey, "mesh": mesh, "prediction": predicted(grid, frame)}
    path = write_report(tmp_path / "r.html", RunParts(title="t", figures=save_figures(tmp_path, **run), **run))
    assert 500_000 < path.stat().st_size < 5_000_000
