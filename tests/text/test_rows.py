"""Messages name a row as the user does: by its label in a table, by its line in a file, by its place in an array."""

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from oracles import square_mesh

import geospde as gs
from geospde.errors import InputError, Place, RowsCalled

MESH = square_mesh(4)


def table(**columns):
    """A table whose labels are not the places of its rows."""
    rng = np.random.default_rng(3)
    made = pd.DataFrame(rng.uniform(0.1, 0.9, (12, 2)), columns=["x", "y"])
    made = made.assign(n=np.arange(12) % 4, g=list("abcd") * 3, t=np.arange(12.0), w=1.0)
    for name, value in columns.items():
        made[name] = made[name].astype(object if isinstance(value, str) else float)
        made.loc[7, name] = value
    return made.set_axis(np.arange(100, 112))


def points(**columns):
    found = table(**columns)
    return gpd.GeoDataFrame(found, geometry=gpd.points_from_xy(found.x, found.y))


@pytest.mark.parametrize(("formula", "columns", "options", "told"), [
    ("n ~ 1", {"n": -1}, {}, "row 107 holds -1"),
    ("n ~ t", {"t": np.nan}, {}, "no value in row 107"),
    ("n ~ log(t)", {"t": -1}, {}, "in row 100"),
    ("n ~ 1", {"w": 0}, {"exposure": "w"}, "exposure must be positive: row 107 holds 0"),
    ("n ~ 1", {"w": -1}, {"weights": "w"}, "weights must not be negative: row 107 holds -1"),
    ("n ~ 1", {"w": 1e20}, {"weights": "w"}, "row 107 is 1e"),
    ("p(n, w) ~ 1", {}, {"family": "binomial"}, "successes as trials: row 102 holds 2 of 1"),
    ("n ~ 1 + spde(mesh)", {"x": 7}, {"mesh": MESH}, "the first is row 107"),
    ("n ~ 1 + besag(g, graph=w)", {"g": "z"}, {"graphs": {"w": {"a": ["b"], "b": ["c"], "c": ["d"], "d": []}}},
     "'z' of 'g', row 107"),
    ("n ~ 1", {"n": -1}, {"family": "delta_gamma"}, "row 107 holds -1"),
])  # fmt: skip
def test_a_fit_calls_rows_by_their_labels(formula, columns, options, told):
    with pytest.raises(InputError, match=told):
        gs.fit(formula, points(**columns), **{"family": "poisson", **options})


@pytest.mark.filterwarnings("ignore:2 rows without a response")
def test_a_row_left_out_before_does_not_move_the_others():
    data = table(w=-1).astype({"n": float})
    data.loc[[101, 103], "n"] = np.nan
    several = [gs.Observations("n ~ 1", data, family="poisson", weights="w", name="counts"),
               gs.Observations("t ~ 1", data, name="times")]  # fmt: skip
    with pytest.raises(InputError, match="^counts: weights must not be negative: row 107 holds -1$"):
        gs.fit(several)
    with pytest.raises(InputError, match="row 107 holds -1"):
        gs.fit("n ~ 1", data, family="poisson", weights="w")


@pytest.fixture(scope="module")
def fit():
    return gs.fit(
        "n ~ 1 + rw1(t, cyclic=True) + (1 | g) + spde(mesh)", points(), mesh=MESH, family="poisson", method="eb"
    )


@pytest.mark.parametrize(("columns", "told"), [
    ({"t": 40}, "row 107 is at 40"), ({"g": "z"}, "'z' of group 'g', row 107"), ({"x": 7}, "the first is row 107"),
    ({"t": np.nan}, "row 107 holds nan"),
])  # fmt: skip
def test_a_prediction_calls_rows_by_their_labels(fit, columns, told, monkeypatch):
    for chunk in (20_000, 5):  # one row of a later chunk, too
        monkeypatch.setattr("geospde.prediction.surface.CHUNK", chunk)
        with pytest.raises(InputError, match=told):
            fit.predict(points(**columns))


def test_a_mesh_calls_sites_by_their_labels():
    far = points(x=7)
    with pytest.raises(InputError, match="row 107"):
        MESH.basis(far)
    with pytest.raises(InputError, match="row 7"):
        MESH.basis(np.c_[far.x, far.y])


def test_a_label_of_words_is_quoted_and_a_file_has_lines():
    error = InputError("no depth in {row}", row=1, remedy="give it")
    assert str(error.labelled(["a", "b"])) == "no depth in row 'b': give it"
    with pytest.raises(InputError, match=r"^north: no depth in line 3 of s.csv; give it$"):
        with RowsCalled(lambda row: Place("s.csv", row + 2, word="line")):
            raise error.within("north")
