"""Rows in messages of a run are those of the file: the first row of a csv stands in line 2."""

import numpy as np
import pandas as pd
import pytest

import geospde as gs
from geospde.results.checks import row_labels
from geospde.run.analysis import make_model
from geospde.run.config import read_config
from geospde.run.inputs import explore_survey, load_survey


def config_of(folder, **model):
    return read_config({
        "survey": {"points": str(folder / "s.csv"), "x": "x", "y": "y", "crs": "EPSG:32631"},
        "mesh": {"max_edge": [300, 600]}, "model": model, "output": {"dir": str(folder / "out")},
    })  # fmt: skip


BAD = {
    "missing": ("zinc ~ ph", {"ph": None}, "column 'ph' has no value in line 6 of s.csv"),
    "text": ("zinc ~ ph", {"ph": "6.1?"}, "'6.1[?]' in line 6 of s.csv"),
    "infinite": ("zinc ~ log(ph)", {"ph": -1.0}, "in line 6 of s.csv, ph = -1.0"),
    "word": ("cens(zinc, cen) ~ 1", {"cen": "below"}, "line 6 of s.csv holds 'below'"),
    "interval": ("cens(zinc, cen, top) ~ 1", {"cen": "interval", "top": 1.0}, "line 6 of s.csv goes from 5 to 1"),
}


@pytest.mark.filterwarnings("ignore::geospde.GeospdeWarning")
@pytest.mark.parametrize("name", BAD)
def test_a_message_names_the_line_of_the_file(name, tmp_path):
    formula, changes, words = BAD[name]
    rng = np.random.default_rng(4)
    table = pd.DataFrame({"x": 500_000 + rng.uniform(0, 1000, 20), "y": 4_000_000 + rng.uniform(0, 1000, 20)})
    table = table.assign(zinc=5.0, ph=np.linspace(5, 7, 20), cen="none", top=9.0).astype(object)
    for column, value in changes.items():
        table.loc[4, column] = value
    table.to_csv(tmp_path / "s.csv", index=False)
    config = config_of(tmp_path, formula=formula, family="gaussian")
    survey = load_survey(config)
    with pytest.raises(gs.InputError, match=words):
        make_model(config, survey, None)
    if "cens" in formula:  # which is read when the survey is looked at
        with pytest.raises(gs.InputError, match=words):
            explore_survey(config, survey)


def test_values_above_zero_have_the_rows_that_they_came_from():
    """The second part of a delta model counted among its own rows, and a check named the wrong ones."""
    data = pd.DataFrame({"catch": [0.0, 2.0, 0.0, 3.0, 1.0, 0.0, 4.0, 2.5]})
    fit = gs.fit("catch ~ 1", data, family="delta_gamma", method="eb", strategy="gaussian")
    assert row_labels(fit.model)[8:] == [("positive", k) for k in (1, 3, 4, 6, 7)]
