"""Splines as mgcv constructs them: its scores, degrees of freedom, smoothing parameters, fits; scipy's splines."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.interpolate import CubicSpline

import geospde as gs
from geospde.errors import InputError
from geospde.model.build import build_model
from geospde.terms.precisions.splines import SPLINES, ThinPlate, _largest

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


# the same mgcv, with f, z and yf made of the rows' numbers (see `more`): method, score, edf with the intercept, sp,
# predictions at `THERE`
FURTHER = [
    ("y ~ te(x, x2)", "reml", 64.954578405, 14.63301, (0.063657925, 11.316055), (0.8634388, 0.43615178, -0.46115664)),
    ("y ~ te(x, x2)", "ml", 59.411779095, 14.584646, (0.0626041, 11.5922876), (0.86364186, 0.43640103, -0.46115613)),
    ("y ~ te(x, x2, bs='tp', k=(5, 6))", "reml", 64.648991352, 15.00283, (0.0480635, 22.458347),
     (0.83809609, 0.42200391, -0.43876440)),
    ("y ~ te(x, x2, bs=('ps', 'cc'), k=(6, 7))", "reml", 98.514890678, 19.087734, (0.26704871, 1.50854322),
     (0.72940444, 0.41418811, -0.39358992)),
    ("n ~ te(x, x2)", "ubre", 0.2836163381, 11.184509, (0.33602116, 107.69788), (1.72414124, 1.45306174, 0.58141273)),
    ("n ~ te(x, x2)", "ml", 320.51200488, 11.128489, (0.44632659, 100.55276), (1.72976508, 1.46013368, 0.58971876)),
    ("y ~ te(x, x2)", "ubre", 0.097636085567, 13.491844, (0.12003507, 18.334739), (0.87038798, 0.4429277, -0.4623924)),
    ("yf ~ f + s(x, by=f, k=8)", "reml", 141.17788248, 18.610401, None, (1.35936411, 0.73892878, 1.08532526)),
    ("yf ~ f + s(x, by=f, bs='cr', k=8)", "ml", 129.37784661, 18.538446, (4.593955, 5.1983934, 5.2465322),
     (1.36658388, 0.73011173, 1.08405606)),
    ("y ~ s(x2, k=5) + s(x, by=z, bs='cr', k=8)", "reml", 234.97312154, 7.3816728, None,
     (0.40182830, 0.76743336, -0.41805755)),
    ("n ~ s(x, by=z, bs='cr', k=8)", "ubre", 1.1780980961, 4.9403152, (234.9419,), (2.4136979, 2.9433597, 0.8639763)),
    ("y ~ s(x, by=z, bs='cc', k=8)", "reml", 254.8177433, 4.3451286, (77.69858,), (0.63303131, 0.80153844, -0.1118761)),
    ("yf ~ f + te(x, x2, by=f, k=4)", "reml", 82.702472947, 30.006233,
     (0.018073422, 15.709930856, 0.020858893, 1.584701596, 0.021068741, 3.315307137),
     (1.00702760, 0.94013244, 0.88549464)),
    ("y ~ s(x)", "ml", 126.94459368, 7.3937521, None, (1.15438764, 0.34170305, -0.23521552)),
    ("y ~ s(x, bs='gp')", "ml", 127.90821777, 7.3639083, (0.0038580895,), (1.15396385, 0.34154356, -0.23246577)),
    ("y ~ s(x, x2, k=30)", "ml", 75.026332071, 25.010697, None, (0.75661912, 0.46039131, -0.35770423)),
    ("n ~ s(x, bs='cr') + s(x2, bs='cr')", "ml", 318.76408173, 8.5665895, None, (1.9397297, 1.3213233, 0.6080383)),
]  # fmt: skip
THERE = pd.DataFrame({"x": [0.1234, 0.5, 0.9], "x2": [0.3, 0.6, 0.2], "f": ["a", "b", "c"], "z": [0.5, -1.0, 2.0]})


@pytest.fixture(scope="module")
def more(data):
    k = np.arange(1, len(data) + 1)
    return data.assign(
        f=np.array(["a", "b", "c"])[k % 3], z=np.round(np.sin(3 * k) + 0.5 * data.x, 4),
        yf=data.y + 0.5 * (k % 3 + 1) * data.x,
    )  # fmt: skip


@pytest.mark.parametrize("formula, method, score, edf, sp, at", FURTHER, ids=lambda v: v if isinstance(v, str) else "")
def test_tensor_products_by_and_ml_are_mgcvs(more, formula, method, score, edf, sp, at):
    fit = gs.fit(formula, more, method=method, family="poisson" if formula[0] == "n" else "gaussian")
    assert fit.score == pytest.approx(score, rel=1e-7)
    # both stop where the score is flat: its best place is known to the root of its digits
    assert fit.edf == pytest.approx(edf, rel=1e-4)
    assert fit.predict(THERE).to_frame()["mean"].to_numpy() == pytest.approx(np.array(at), rel=1e-4)
    if sp is not None:
        own = fit.smooths.filter(regex="^sp").to_numpy().ravel()
        assert own == pytest.approx(np.array(sp), rel=1e-3)


def test_smooths_by_a_factor_are_one_a_level(more):
    fit = gs.fit("yf ~ f + s(x, by=f, k=8)", more, method="eb")
    assert [name for name in fit.hyper.index if "s(" in name] == ["sd(s(x):fa)", "sd(s(x):fb)", "sd(s(x):fc)"]
    frame = fit.effects("x:f", size=10).to_frame()
    assert (frame.groupby("f")["mean"].mean().diff().dropna() > 0).all()
    with pytest.raises(InputError, match="no smooth for the level 'q' of 'f'.*'?a"):
        fit.predict(THERE.assign(f="q"))
    ordered = more.assign(f=pd.Categorical(more.f, ordered=True))
    model = build_model("yf ~ f + s(x) + s(x, by=f)", ordered)
    assert [term.label for term in model.terms] == ["s(x)", "s(x):fb", "s(x):fc"]


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
        ("s(x, bs='ps', m=2)", "m is only for bs='gp'"),
        ("s(x, x2, bs='cr')", "this spline is of one covariate"),
        ("s(x, x2, y)", "this spline is of one or two covariates"),
        ("te(x)", "te takes two covariates or more"),
        ("te(x, x2, k=(5, 6, 7))", "k is one for all covariates, or one for each of 2"),
        ("te(x, x2, bs='gp')", "no margin bs='gp'"),
        ("te(x, x2, k=40)", "1,600 products are more than 1,000"),
        ("te(x, x2, m=2)", "te has no option 'm'"),
        ("te(x, x2) + s(x)", "the linear trend of s.x. is already in .*te"),
        ("x2 + s(x, by=x2)", "the constant or the linear trend of s.x.:x2 is already in x2"),
        ("s(x, by='x2')", "by is the name of a column"),
        ("s(x, bs='re', by=x2)", r"effects of a number are \(0 \+ x2 \| group\)"),
        ("ti(x, x2)", r"there is no term ti.*te\(x, y\), which has the main effects in it"),
        ("x + s(x)", r"the linear trend of s\(x\) is already in x"),
    ],
)
def test_a_mistake_is_told(data, term, message):
    with pytest.raises(InputError, match=message):
        build_model(f"n ~ {term}", data)


@pytest.mark.parametrize(
    ("unit", "there"),
    [(1.0, [1.352655746420, -0.936803514184]), (1e-3, [1.354504866872, -0.935958320664]),
     (1e3, [1.352909315818, -0.937097418482])],
)  # fmt: skip
def test_a_surface_moves_with_the_unit_of_length_as_mgcvs(unit, there):
    """``predict(gam(z ~ s(x, y), method = "REML"))`` of mgcv 1.8-41, with lengths times the unit."""
    rng = np.random.default_rng(4)
    x, y = rng.uniform(0, 1000, 120), rng.uniform(0, 1500, 120)
    z = np.sin(x / 200) + np.cos(y / 300) + rng.normal(0, 0.3, 120)
    fit = gs.fit("z ~ s(x, y)", pd.DataFrame({"x": unit * x, "y": unit * y, "z": z}), method="reml")
    new = pd.DataFrame({"x": [200 * unit, 700 * unit], "y": [300 * unit, 1200 * unit]})
    # where mgcv's search ends
    np.testing.assert_allclose(fit.predict(new).to_frame()["mean"], there, atol=2e-6)


@pytest.mark.slow
def test_criteria_beside_other_links_are_mgcvs():
    """mgcv 1.8-41's ``gam`` on a gamma with a log link (GCV and REML) and a probit (UBRE): score and edf."""
    rng = np.random.default_rng(7)
    u = np.linspace(0, 10, 150)
    mean = np.exp(0.5 + 0.5 * np.sin(u))
    table = pd.DataFrame({"u": u, "p": rng.gamma(2, mean / 2), "size": 8, "k": rng.binomial(8, mean / (1 + mean))})
    for left, options, score, edf in (
        ("p", {"family": "gamma", "method": "ubre"}, 0.54206074453, 6.77921961791),
        ("p", {"family": "gamma", "method": "reml"}, 209.9595219234, 6.8169635946),
        ("p(k, size)", {"family": "binomial", "link": "probit", "method": "ubre"}, 0.06876946735, 6.27271644117),
    ):
        fit = gs.fit(f"{left} ~ s(u)", table, **options)
        assert fit.score == pytest.approx(score, rel=1e-7)
        assert fit.edf == pytest.approx(edf, rel=1e-4)  # where mgcv's search ends


@pytest.mark.slow
def test_the_lowest_of_several_minima_of_ubre_is_found():
    rng = np.random.default_rng(5)
    table = pd.DataFrame(rng.uniform(size=(120, 2)), columns=["x", "z"])
    table["n"] = rng.poisson(np.exp(0.5 + np.sin(5 * table["x"])))
    fit = gs.fit("n ~ s(x, k=6) + s(z, bs='ps')", table, family="poisson", method="ubre")
    # gam of mgcv 1.8-41, from smooth z; from rough ones it ends at -0.0613, with 10.7 degrees of freedom
    assert fit.score == pytest.approx(-0.0816032, abs=1e-6)
    assert fit.edf == pytest.approx(5.2578, abs=1e-3)


@pytest.mark.parametrize("method, score, sp", [("reml", 402.886017, 70.47606), ("ml", 400.860318, 71.43142)])
def test_a_smoothing_parameter_is_in_units_of_a_tweedies_phi(method, score, sp):
    """mgcv 1.8-41's, ``gam(w ~ s(u, bs = "cr"), family = tw())``."""
    rng = np.random.default_rng(12)
    u = np.linspace(0, 1, 150)
    counts = rng.poisson(np.exp(1 + 1.5 * np.sin(6 * u)))
    table = pd.DataFrame({"u": u, "w": [rng.gamma(2 * k) if k else 0.0 for k in counts]})
    fit = gs.fit("w ~ s(u, bs='cr')", table, family="tweedie", method=method)
    assert fit.score == pytest.approx(score, abs=1e-5)
    assert fit.smooths.loc["s(u)", "sp"] == pytest.approx(sp, rel=1e-3)  # where mgcv's search ends


@pytest.mark.parametrize("size", [9, 31, 59])
@pytest.mark.parametrize("places", ["line", "lattice", "scattered"])
def test_the_largest_eigenvalues_are_those_of_the_whole_matrix(size, places):
    """Of a lattice many are pairs, of which Lanczos' method must find both."""
    x = np.linspace(-1, 1, 18)
    knots = {
        "line": np.linspace(-1, 1, 240)[:, None],
        "lattice": np.column_stack([a.ravel() for a in np.meshgrid(x, x)]),
        "scattered": np.random.default_rng(3).uniform(-1, 1, (240, 2)),
    }[places]
    r = np.linalg.norm(knots[:, None] - knots, axis=2)
    bends = r**3 if places == "line" else r**2 * np.log(np.where(r > 0, r, 1.0))
    values, vectors = _largest(bends, size)
    whole = np.linalg.eigvalsh(bends)
    expected = np.sort(whole[np.argsort(-np.abs(whole))[:size]])[::-1]
    rounding = 1e-13 * np.abs(whole).max()  # some hundreds of units of the last place
    assert np.abs(values - expected).max() < rounding
    assert np.abs(bends @ vectors - values * vectors).max() < rounding
    assert np.abs(vectors.T @ vectors - np.eye(size)).max() < 1e-12


@pytest.mark.parametrize("columns", [1, 2])
def test_thin_plate_functions_of_many_places_are_those_of_each(columns):
    places = np.random.default_rng(1).normal(size=(3000, columns))
    spline = ThinPlate(places[:200], 12)
    whole = spline.functions(places)
    np.testing.assert_array_equal(spline.functions(places.copy()), whole)  # as remembered
    parts = [spline.functions(part) for part in np.array_split(places, 7)]
    np.testing.assert_allclose(np.vstack(parts), whole, rtol=1e-9, atol=1e-12)
    assert spline.functions(places[:0]).shape == (0, 12)
