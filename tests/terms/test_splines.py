"""Splines as mgcv constructs them: its scores, degrees of freedom, smoothing parameters, fits; scipy's splines."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.interpolate import CubicSpline

import geospde as gs
from geospde.errors import InputError
from geospde.model.build import build_model
from geospde.terms.precisions.splines import SPLINES

REFERENCE = Path(__file__).parents[1] / "reference" / "splines" / "data.csv"

# mgcv 1.8-41: gam(y ~ s(x, bs=bs), method="REML") and gam(n ~ s(x, bs=bs), family=poisson): score, edf with the
# intercept, sp (of "tp" it depends on how eigenvectors are turned), predictions at 0.1234, 0.5 and 0.9
REML = {
    "tp": (129.4137257, 7.4700729, None, (1.15500989, 0.34122702, -0.23564953)),
    "cr": (128.1892469, 7.3970208, 17.682429, (1.15221997, 0.33232397, -0.23553197)),
    "cc": (127.3026497, 6.5242471, 16.171656, (1.16071442, 0.33041279, -0.23387063)),
    "ps": (127.3496391, 6.6427984, 4.698852, (1.14961860, 0.35002157, -0.23267989)),
}
UBRE = {
    "tp": (0.5301501068, 6.7908744, None, (2.82189803, 1.33349291, 0.86544344)),
    "cr": (0.5357599822, 6.117092, 82.170702, (2.85176515, 1.30659464, 0.87353365)),
    "cc": (0.5283135318, 4.9090234, 102.62305, (2.89049280, 1.30571345, 0.89403744)),
    "ps": (0.5341572151, 5.5510361, 25.091183, (2.90773802, 1.27605900, 0.86775344)),
}
AT = pd.DataFrame({"x": [0.1234, 0.5, 0.9]})


@pytest.fixture(scope="module")
def data():
    return pd.read_csv(REFERENCE)


@pytest.mark.parametrize("method, kind", [(m, k) for m in ("reml", "ubre") for k in REML])
def test_fits_are_mgcvs(data, method, kind):
    score, edf, smoothing, at = (REML if method == "reml" else UBRE)[kind]
    response, family = ("y", "gaussian") if method == "reml" else ("n", "poisson")
    fit = gs.fit(f"{response} ~ s(x, bs='{kind}')", data, method=method, family=family)
    assert fit.score == pytest.approx(score, rel=1e-7)
    # both stop where the score is flat: its best place is known to the root of its digits
    assert fit.edf == pytest.approx(edf, rel=1e-4)
    assert fit.predict(AT).to_frame()["mean"].to_numpy() == pytest.approx(np.array(at), rel=1e-4)
    if smoothing is not None:
        assert fit.smooths.loc["s(x)", "sp"] == pytest.approx(smoothing, rel=1e-3)


def test_a_surface_is_mgcvs(data):
    fit = gs.fit("y ~ s(x, x2, k=30)", data, method="reml")
    assert fit.score == pytest.approx(80.55602, abs=1e-4)
    assert fit.edf == pytest.approx(25.01774, rel=1e-4)
    assert fit.fitted.iloc[:3, 0].to_numpy() == pytest.approx([1.846, -0.5000325, 0.05470988], rel=1e-4)


@pytest.mark.parametrize("kind", ["cr", "cc"])
def test_cubic_splines_are_scipys(data, kind):
    """Through values at the knots, and the integral of the squared second derivative."""
    spline = SPLINES[kind](data[["x"]].to_numpy(), 7)
    rng = np.random.default_rng(0)
    values = rng.normal(size=len(spline.penalty))
    whole = np.r_[values, values[:1]] if kind == "cc" else values
    theirs = CubicSpline(spline.knots, whole, bc_type="periodic" if kind == "cc" else "natural")
    x = np.linspace(spline.knots[0], spline.knots[-1], 4001)
    assert spline.functions(x[:, None]) @ values == pytest.approx(theirs(x), abs=1e-10)
    bend = np.trapezoid(theirs(x, 2) ** 2, x)
    assert values @ spline.penalty @ values == pytest.approx(bend, rel=1e-4)  # of the rule
    outside = spline.functions(np.array([[-0.5], [1.5]])) @ values
    if kind == "cr":
        ends = theirs(spline.knots[[0, -1]]) + theirs(spline.knots[[0, -1]], 1) * ([-0.5, 1.5] - spline.knots[[0, -1]])
        assert outside == pytest.approx(ends, abs=1e-9)


def test_bayesian_curves_have_bands(data):
    fit = gs.fit("y ~ s(x) + s(x2, bs='ps', k=6)", data, method="eb")
    frame = fit.effects("x", size=20).to_frame()
    assert (frame["q0.975"] > frame["q0.025"]).all()
    assert fit.hyper.index.tolist() == ["sd(s(x))", "sd(s(x2))", "sigma"]


@pytest.mark.parametrize(
    "term, message",
    [
        ("s(x, bs='cr', k=2)", "k is a whole number from 3 to"),
        ("s(x, k=500)", "k=500 is more than the .* distinct places"),
        ("s(x, bs='ps', m=2)", "m is of bs='gp'"),
        ("s(x, x2, bs='cr')", "this spline is of one covariate"),
        ("s(x, x2, y)", "this spline is of one or two covariates"),
        ("x + s(x)", r"the linear trend of s\(x\) is already in x"),
    ],
)
def test_a_mistake_is_told(data, term, message):
    with pytest.raises(InputError, match=message):
        build_model(f"n ~ {term}", data)
