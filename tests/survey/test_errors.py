"""Errors and warnings: fields that a program reads, one sentence that a person reads."""

import pickle

import numpy as np
import pandas as pd
import pytest

import geospde as gs
from geospde.errors import Place
from geospde.survey.numbers import as_numbers, finite_numbers

HERE = Place("sites.csv", 3, "depth", "line")


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({}, "it is wrong"),
        ({"remedy": "mend it"}, "it is wrong: mend it"),
        ({"where": HERE}, "sites.csv, line 3, column 'depth': it is wrong"),
        ({"where": HERE, "remedy": "mend it"}, "sites.csv, line 3, column 'depth': it is wrong; mend it"),
        ({"of": HERE, "remedy": "mend it"}, "sites.csv, line 3, column 'depth' it is wrong: mend it"),
    ],
)
@pytest.mark.parametrize("kind", [gs.InputError, gs.NumericalError, gs.GeospdeWarning])
def test_fields_are_one_sentence_and_survive_a_pickle(kind, fields, sentence):
    error = kind("it is wrong", **fields)
    again = pickle.loads(pickle.dumps(error))  # as from another process
    for made in (error, again):
        assert str(made) == sentence
        assert (made.what, made.where, made.remedy) == (
            "it is wrong", fields.get("where") or fields.get("of"), fields.get("remedy", "")
        )  # fmt: skip
    assert error.to_dict()["message"] == sentence and error.to_dict()["kind"] == kind.__name__


@pytest.mark.parametrize(
    ("cells", "row", "what", "remedy"),
    [
        ([1, "many", "few"], 1, "'many' is not a number; 1 further row like it", ""),
        ([1, "2,5", 3], 1, "'2,5' is not a number (write decimals with a point)", ""),
        ([1, 2, None], 2, "is empty (or NaN)", "give a number or leave the row out"),
        ([np.inf, 2, 3], 0, "is infinite", "give a finite number"),
        ([None, np.inf, "x"], 2, "'x' is not a number", ""),
    ],
)
def test_what_is_no_number_is_told_with_its_place(cells, row, what, remedy):
    with pytest.raises(gs.InputError) as caught:
        finite_numbers(pd.Series(cells), lambda i: Place("sites.csv", i, "depth"))
    assert (caught.value.what, caught.value.remedy) == (what, remedy)
    assert caught.value.where == Place("sites.csv", row, "depth")


def test_numbers_of_every_kind_of_column():
    for cells in ([1, 2.5], ["1", " 2.5"], pd.array([1, None], dtype="Int64"), np.array([True, False]), []):
        numbers = as_numbers(cells)
        assert numbers.dtype == float and len(numbers) == len(cells)


def test_a_survey_says_file_line_column_and_remedy_apart(tmp_path):
    path = tmp_path / "sites.csv"
    path.write_text("x,y,depth\n0,0,1\n5,5,\n900,0,3\n")
    with pytest.raises(gs.InputError) as caught:
        gs.read_survey(path, crs="local:m", numeric=["depth"])
    assert caught.value.to_dict() == {
        "kind": "InputError",
        "what": "is empty (or NaN)",
        "where": {"file": "sites.csv", "row": 3, "column": "depth", "word": "line"},
        "remedy": "give a number or leave the row out",
        "message": "sites.csv, line 3, column 'depth' is empty (or NaN): give a number or leave the row out",
    }


def test_complex_numbers_are_none_but_for_real_ones():
    """A cast dropped their imaginary part, and a fit was of what was left."""
    np.testing.assert_array_equal(as_numbers(np.array([1.5 + 0j, 2.0 + 1j])), [1.5, np.nan])


def test_nothing_that_is_quoted_fills_a_screen():
    long = "words of a name " * 1000
    place = str(Place("sites.csv", 3, long))
    assert len(place) < 100 and place.startswith("sites.csv, row 3, column 'words")
    assert len(str(Place("sites.csv", long))) < 100
    said = str(gs.InputError(f"is in {long} and the survey in another", of=Place("sites.csv"), remedy="mend it"))
    assert len(said) < 640 and said.startswith("sites.csv is in words") and said.endswith("in another: mend it")
