"""Hostile run files and surveys: one sentence, exit code 2, no traceback, nothing written."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hostile_fits import DAMAGED, ESTIMATES
from hostile_inputs import CASES, CLASSES, run_file
from hostile_rasters import RASTERS

from geospde.cli.commands import main


def survey():
    """25 sites."""
    rng = np.random.default_rng(1)
    table = pd.DataFrame(rng.uniform(0, 1000, (25, 2)), columns=["x", "y"])
    table["caught"] = rng.poisson(np.exp(1 + np.sin(table["x"] / 200)))
    return table


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*CASES, *RASTERS])
def test_a_hostile_input_gets_one_sentence(name, tmp_path, monkeypatch, capsys):
    make, words = (CASES | RASTERS)[name]
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


PAGE = Path(__file__).parents[2] / "docs" / "reference" / "hostile-input.md"


def test_the_table_of_hostile_inputs_is_long():
    assert len(CASES) >= 300 and len(DAMAGED) >= 150


@pytest.mark.skipif(not PAGE.is_file(), reason="an installed package has no documentation")
def test_the_page_counts_what_is_tried():
    rows = re.findall(r"\| (\d+) \| (\d+) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert [int(tried) for tried, _ in rows] == [*map(len, CLASSES.values()), len(DAMAGED) + len(ESTIMATES)]
    assert all(tried == held for tried, held in rows)
