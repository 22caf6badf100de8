"""Mixed models of many links and designs against glmmTMB and survival (tests/reference/families/mixed.R)."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import geospde as gs

HERE = Path(__file__).parents[1] / "reference" / "families"
OPTIMA = pd.read_csv(HERE / "mixed_optima.csv")
QUICK = {"probit", "inverse"}


@pytest.fixture(scope="module")
def data():
    d = pd.read_csv(HERE / "mixed.csv", dtype={"g": str, "h": str})
    d["how"] = np.where(d.ev == 1, "none", "right")
    d["floored"], d["floor"] = np.maximum(d.gau, 0), np.where(d.gau > 0, "none", "left")
    return d


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(k, marks=() if link in QUICK else pytest.mark.slow, id=f"{OPTIMA.family[k]}-{link}-{k}")
        for k, link in enumerate(OPTIMA.link)
    ],
)
def test_optima_are_rs(data, row):
    formula, family, link, value, coefficients = OPTIMA.loc[row]
    fit = gs.fit(formula, data, family=family, link=link, method="ml")
    assert fit.log_likelihood == pytest.approx(value, abs=1e-6)
    # their searches end some 1e-6 of a log likelihood, a thousandth of a standard error, from the maximum
    expected = np.array(coefficients.split(), dtype=float)
    assert (np.abs(fit.fixed["estimate"] - expected) < 1e-3 * fit.fixed["se"]).all()
