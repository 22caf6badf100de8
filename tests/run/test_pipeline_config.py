import re

import pytest

import geospde as gs
from geospde.run.config import read_config
from geospde.survey.datasets import data_folder


@pytest.fixture
def run_file(island):
    return island / "survey.toml"


def test_the_bundled_run_file_says_the_chapters_model():
    config = read_config(data_folder() / "rongelap" / "survey.toml")
    assert config.mesh.given() == {
        "max_edge": (300, 600),
        "offset": 100,
        "convex": (100, 200),
        "concave": (150, 200),
    }
    assert config.model.given() == {
        "formula": "counts ~ 1 + spde(mesh, alpha=1.5, constr=True, prior='spde2')",
        "family": "poisson",
        "exposure": "time",
    }
    assert config.prediction.shape == (75, 150)
    assert config.prediction.exceed == (8,)
    assert config.path("points.csv").is_file()


def test_what_a_run_file_leaves_out_has_a_default_and_is_not_passed_on():
    config = read_config({"survey": {"points": "p.csv"}, "model": {"formula": "y ~ 1"}})
    assert config.mesh.given() == {}
    assert config.inference.method == "inla"
    assert config.prediction.quantiles == (0.025, 0.5, 0.975)
    assert config.settings()["mesh"] == {"min_angle": 21.0, "use_sites": True}


def test_quantiles_and_thresholds_are_sorted_and_said_once():
    keys = {"survey": {"points": "p.csv"}, "model": {"formula": "y ~ 1"}}
    config = read_config({**keys, "prediction": {"quantiles": [0.9, 0.1, 0.9], "exceed": 8}})
    assert config.prediction.quantiles == (0.1, 0.9)
    assert config.prediction.exceed == (8,)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("max_edge", "max_edgs", "line 16: [mesh] has no key 'max_edgs': did you mean 'max_edge'?"),
        ("[mesh]", "[msh]", "line 15: there is no section [msh]: did you mean 'mesh'?"),
        ("[survey]", "speed = 2\n[survey]", "line 7: 'speed' stands outside of any section"),
        (
            "[survey]",
            "family = 2\n[survey]",
            "'family' stands outside of any section: it belongs into [model]",
        ),
        ("offset = 100", "exposure = 'time'", "[mesh] has no key 'exposure': it belongs into [model]"),
        (
            "[300, 600]",
            "'300'",
            "line 16: [mesh] max_edge must be a number or two, [inner, outer], not '300'",
        ),
        ("[300, 600]", "[1, 2, 3]", "max_edge must be a number or two"),
        ("[300, 600]", "[nan, 2]", "max_edge must be a number or two"),
        ("offset = 100", "max_vertices = 0", "line 17: [mesh] max_vertices must be at least 1, not 0"),
        ("offset = 100", "use_sites = 1", "[mesh] use_sites must be true or false, not 1"),
        ('"inla"', '"mcmc"', "[inference] method must be one of 'inla', 'eb', 'ml', 'reml' and 'ubre'"),
        ("[75, 150]", "[75.5, 150]", "[prediction] shape must be two whole numbers, [rows, columns]"),
        ("buffer = 50", "cell = 20", "[prediction] has both shape and cell: keep one"),
        ("shape = [75, 150]", "cell = -1", "[prediction] cell must be greater than 0, not -1"),
        ("0.975", "97.5", "[prediction] quantiles must lie between 0 and 1"),
        ("[8.0]", "['high']", "[prediction] exceed must be a list of numbers"),
        ('points = "points.csv"', "points = 3", "[survey] points must be text in quotes, not 3"),
        ('points = "points.csv"', "", "line 7: [survey] needs the key 'points'"),
        ("[mesh]", "[mesh", "survey.toml is not TOML:"),
        ("[mesh]", "[mesh]\nmax_edge = 3", "survey.toml is not TOML: cannot overwrite a value (at line 17"),
    ],
)
def test_a_mistake_in_the_run_file_names_line_and_key(run_file, edit, old, new, sentence):
    with pytest.raises(gs.InputError) as caught:
        read_config(edit(run_file, old, new))
    assert sentence in str(caught.value)
    assert str(caught.value).startswith("survey.toml")
    assert "\n" not in str(caught.value)


def test_missing_sections_and_unreadable_run_files_are_told(island):
    path = island / "survey.toml"
    path.write_text(re.sub(r"\[model\].*?\[inf", "[inf", path.read_text(), flags=re.S))
    with pytest.raises(gs.InputError, match=r"the section \[model\] is missing"):
        read_config(path)
    path.write_bytes(bytes(range(256)))
    with pytest.raises(gs.InputError, match="is not UTF-8 text"):
        read_config(path)
    with pytest.raises(gs.InputError, match="is a folder"):
        read_config(island)
    with pytest.raises(gs.InputError, match="there is no run file"):
        read_config(island / "none.toml")
