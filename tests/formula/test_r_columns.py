"""Columns of fixed effects and of group terms against those of R's model.matrix and lme4's lFormula.

`reference/formula/columns.R` makes the numbers (R 4.2.2, lme4 1.1-31) from `data.csv`.
"""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from geospde.formula.columns import Columns
from geospde.model.build import build_model

FOLDER = Path(__file__).parents[1] / "reference" / "formula"
FIXED = json.loads((FOLDER / "fixed.json").read_text())
MIXED = json.loads((FOLDER / "mixed.json").read_text())
DATA = pd.read_csv(FOLDER / "data.csv").assign(size=lambda d: pd.Categorical(d["size"], ["lo", "mid", "hi"]))
# without all margins R has more columns than the rank and lm leaves some out; ours are of full rank, spanning the same
RECODED = {
    "~ text:size", "~ text:size + x", "~ size %in% text", "~ text * size - text - size", "~ text:flag",
    "~ text:I(x > 0)", "~ (text + x) / size",
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:x.2 in a formula is x")
@pytest.mark.parametrize("text", FIXED)
def test_fixed_effects_are_rs(text):
    by_r = np.array(FIXED[text]["values"])
    ours = Columns(text.removeprefix("~"), DATA)
    assert ours.matrix.shape == by_r.shape
    both = np.hstack([ours.matrix, by_r])
    # the singular values of columns that are no combinations of each other lie above 0.1 here
    assert np.linalg.matrix_rank(both, tol=1e-6) == np.linalg.matrix_rank(by_r, tol=1e-6) == by_r.shape[1]
    if text not in RECODED:
        nearest = np.abs(ours.matrix[:, :, None] - by_r[:, None, :]).max(axis=0)
        # R's values are stored to 12 decimals
        assert np.allclose(nearest.min(axis=0), 0, atol=1e-10) and np.allclose(nearest.min(axis=1), 0, atol=1e-10)


@pytest.mark.parametrize("text, more", [("(x + text):size", 2), ("0 + (x + text):size", 3), ("(x + text):age", 1)])
def test_a_number_stands_for_no_factor(text, more):
    """R takes ``size`` for spanned by ``x:size``: what it fits of ``text:size`` depends on which text comes first."""
    data = DATA.assign(age=np.linspace(1, 2, len(DATA)) ** 2)
    levels = sorted(data["text"].unique())
    ours = Columns(text, data).matrix
    other = Columns(text, data.assign(text=pd.Categorical(data["text"], levels[::-1]))).matrix
    rank = np.linalg.matrix_rank
    assert rank(np.hstack([ours, other]), tol=1e-6) == rank(ours, tol=1e-6) == ours.shape[1]
    by = pd.get_dummies(data["size"]).to_numpy(float) if "size" in text else data[["age"]].to_numpy()
    contrasts = pd.get_dummies(data["text"]).to_numpy(float)[:, 1:]
    numbers = [data[["x"]].to_numpy(), contrasts]
    by_r = [(n[:, :, None] * by[:, None, :]).reshape(len(data), -1) for n in numbers]
    by_r = np.hstack([*by_r, np.ones((len(data), int(not text.startswith("0"))))])
    assert rank(np.hstack([ours, by_r]), tol=1e-6) == ours.shape[1] == by_r.shape[1] + more


@pytest.mark.parametrize("text", MIXED)
def test_group_terms_are_lme4s(text):
    model = build_model(f"y ~ 1 + {text}", DATA)
    blocks = [part.columns(DATA, None, False).toarray() for part in model.terms]
    terms = list(MIXED[text])
    assert len(blocks) == len(terms)
    for part, block in zip(model.terms, blocks):
        # lme4 orders terms by their numbers of levels, and nested groups from the finest on
        name = set(part.grouping.name.split(":"))
        same = [
            t for t in terms
            if set(re.findall(r"\w+", t["group"].split(".")[0])) == name
            and len(t["effects"]) == len(part.effects.names) and t["levels"] == len(part.grouping.numbers)
            and np.allclose(block.sum(axis=1), t["sums"], atol=1e-10)
        ]  # fmt: skip
        assert len(same) == 1
        assert np.allclose((block**2).sum(axis=1), same[0]["squares"], atol=1e-10)
        assert np.allclose(np.sort(block.sum(axis=0)), same[0]["columns"], atol=1e-10)
        terms.remove(same[0])


def test_the_list_of_formulas_is_long():
    assert len(FIXED) >= 34 and len(MIXED) >= 29
    assert RECODED <= set(FIXED)
