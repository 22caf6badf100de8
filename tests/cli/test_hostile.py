"""Hostile run files and surveys: one sentence, exit code 2, no traceback, nothing written."""

import json
import os
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hostile_covariates import COVARIATES
from hostile_densities import DENSITY, EVEN, FORGED, SITES
from hostile_fits import DAMAGED, ESTIMATES, ONE_POINT, PLAIN
from hostile_inputs import CASES, CLASSES, run_file
from hostile_keys import ANYTHING, KEYS, with_value
from hostile_rasters import RASTERS
from hostile_zips import HARMLESS, ZIPS
from thinning import every_other

from geospde.cli.commands import main
from geospde.errors import InputError
from geospde.run.config import Config, read_config
from geospde.run.step import Step
from geospde.run.work import Work


def survey():
    """25 sites."""
    rng = np.random.default_rng(1)
    table = pd.DataFrame(rng.uniform(0, 1000, (25, 2)), columns=["x", "y"])
    table["caught"] = rng.poisson(np.exp(1 + np.sin(table["x"] / 200)))
    return table


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", every_other([*CASES, *COVARIATES, *RASTERS, *KEYS]))
def test_a_hostile_input_gets_one_sentence(name, tmp_path, monkeypatch, capsys):
    make, words = (CASES | COVARIATES | RASTERS | KEYS)[name]
    monkeypatch.chdir(tmp_path)
    sections, table = make(), survey()
    sections.get("change", lambda t: None)(table)
    table.to_csv("sites.csv", index=False)
    (tmp_path / "bay.toml").write_text(run_file(sections))
    sections.get("write", lambda: None)()
    before = sorted(tmp_path.iterdir())
    code = main(["check", "bay.toml", "--quiet"])
    said = capsys.readouterr()
    if words is None:
        assert code == 0, said.err
        return
    assert code == 2, said.err
    assert "Traceback" not in said.err and re.search(words, said.err + said.out)
    assert all(len(line) < 500 for line in said.err.splitlines())
    assert sorted(tmp_path.iterdir()) == before


def keys_of_sections():
    """Each key of each section, and each section itself."""
    for section, field in Config.model_fields.items():
        yield section, None
        for key in getattr(field.annotation, "model_fields", ()):
            yield section, key


TRIED = [(*key, word) for key in keys_of_sections() for word in ANYTHING]


def test_any_value_of_any_key_is_taken_or_refused_in_one_sentence():
    refused = 0
    for section, key, word in TRIED:
        try:
            read_config(with_value(section, key, ANYTHING[word]))
        except InputError as error:
            said, refused = str(error), refused + 1
            assert section in said and len(said) < 450 and "\n" not in said and "\x1b" not in said, (section, key, word)
    assert refused > 0.8 * len(TRIED)  # 24 kinds of values, of which most keys take a few


def record(**changes):
    """What stands in a run's folder, with other keys."""

    def make():
        Path("out").mkdir()
        Path("out/run.json").write_text(json.dumps({"configuration": {}, **changes}))

    return make


def loop():
    """A link to itself."""
    Path("loop.csv").symlink_to("loop.csv")


def pipe(name):
    """A pipe that nobody writes to, in a folder that may be there."""

    def make():
        Path(name).parent.mkdir(exist_ok=True)
        os.mkfifo(name)

    return make


COMMANDS = {
    "a run file that is a pipe": (["check", "p.toml"], pipe("p.toml"), "'p.toml' is a pipe or a device"),
    "a record that is a pipe": (["info", "out"], pipe("out/run.json"), "run.json' is a pipe or a device"),
    "a long path": (["info", "a" * 5000], None, "cannot be used"),
    "a link to itself": (["init", "loop.csv"], loop, "loop"),
    "warnings that are a number": (["info", "out"], record(warnings=3), "not what a run writes"),
    "warnings of a step that are a number": (["info", "out"], record(steps={"fit": {"warnings": 3}}), "not what a run"),
    "inputs without sums": (["rerun", "out"], record(inputs=[{"path": 5}]), "not what a run writes"),
    "a record nested deep": (
        ["info", "out"],
        lambda: record()() or Path("out/run.json").write_text("[" * 100_000),
        "cannot be read",
    ),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_on_what_is_no_run_gets_one_sentence(name, tmp_path, monkeypatch, capsys):
    arguments, make, words = COMMANDS[name]
    monkeypatch.chdir(tmp_path)
    if make is not None:
        make()
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert re.search(words, said) and said.startswith("geospde: ") and said.count("\n") == 1 and len(said) < 400, said


@pytest.mark.parametrize("error", [TypeError("x"), RecursionError(), KeyError("a"), ZeroDivisionError(), OSError("y")])
def test_a_damaged_file_of_a_step_says_which_command_makes_it_again(error):
    def recall(work):
        raise error

    step = Step("numbers", "expected numbers", recall, recall=recall, of="predict")
    with pytest.raises(InputError, match="expected numbers in out cannot be read .*: geospde predict makes it"):
        Work.recall(SimpleNamespace(record=SimpleNamespace(require=lambda *_: None)), step, Path("out"))


PAGE = Path(__file__).parents[2] / "docs" / "reference" / "hostile-input.md"


def test_the_table_of_hostile_inputs_is_long():
    assert len(CASES) >= 300 and len(DAMAGED) >= 150


@pytest.mark.skipif(not PAGE.is_file(), reason="an installed package has no documentation")
def test_the_page_counts_what_is_tried():
    rows = re.findall(r"\| (\d+) \| (\d+) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert [int(tried) for tried, _ in rows] == [
        *map(len, CLASSES.values()),
        sum(map(len, (DAMAGED, ZIPS, HARMLESS, ESTIMATES, PLAIN, ONE_POINT, DENSITY, EVEN, SITES, *FORGED.values()))),
        *map(len, (RASTERS, KEYS, COVARIATES, TRIED)),
    ]
    assert all(tried == held for tried, held in rows)
