"""Columns of fixed effects: against hand-built matrices and R's values; what cannot be read; new data."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.interpolate import CubicSpline

import geospde as gs
from geospde.errors import GeospdeWarning, InputError
from geospde.formula.columns import Columns, FixedEffects
from geospde.formula.expressions import learn
from geospde.formula.formula import parse_formula
from geospde.formula.grouping import Grouping
from geospde.model.build import build_model


def table(m=36):
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"x": rng.normal(size=m), "z": rng.uniform(1, 3, m), "my col": rng.normal(size=m)})
    frame["x.y"] = rng.normal(size=m)
    frame["_u"] = np.arange(m) % 7
    frame["text"] = np.tile(["b", "a", "c"], m // 3)
    size = np.repeat(["mid", "lo", "hi"], m // 3)
    frame["size"] = pd.Categorical(size, categories=["lo", "mid", "hi", "never"], ordered=True)
    frame["plain"] = pd.Categorical(size, categories=["mid", "lo", "hi"])
    frame["period"] = pd.Categorical(np.tile([1, 2, 3, 4], m // 4))
    frame["flag"] = np.tile([True, False], m // 2)
    return frame


DATA = table()
ONE = np.ones(len(DATA))


def dummy(column, *levels):
    return {f"{column}[{level}]": (DATA[column].astype(str) == str(level)).to_numpy(float) for level in levels}


A, B, C = dummy("text", "a", "b", "c").values()
LO, MID, HI = dummy("size", "lo", "mid", "hi").values()
X, Z = DATA["x"].to_numpy(), DATA["z"].to_numpy()

SUMS = {
    "1 + x": {"Intercept": ONE, "x": X},
    "0 + x": {"x": X},
    "x - 1": {"x": X},
    "(x + z - 1)": {"x": X, "z": Z},
    "1 + log(z) + sqrt( z )": {"Intercept": ONE, "log(z)": np.log(Z), "sqrt(z)": np.sqrt(Z)},
    "0 + log10(z) + log1p(z) + exp(x) + abs(x)": {
        "log10(z)": np.log10(Z), "log1p(z)": np.log1p(Z), "exp(x)": np.exp(X), "abs(x)": np.abs(X),
    },
    "0 + I(x^2) + I((x + 1) / z) + I(-x % 2)": {
        "I(x ** 2)": X**2, "I((x + 1) / z)": (X + 1) / Z, "I(-x % 2)": -X % 2,
    },
    # truth values are labels, as in R: a factor of two levels
    "1 + I(x > 0) + I(text == 'b') + I(period != 2)": {
        "Intercept": ONE, "I(x > 0)[True]": X > 0, "I(text == 'b')[True]": B,
        "I(period != 2)[True]": 1 - dummy("period", 2)["period[2]"],
    },
    "0 + I(x > 0)": {"I(x > 0)[False]": X <= 0, "I(x > 0)[True]": X > 0},
    "0 + flag": {"flag[False]": ~DATA["flag"], "flag[True]": DATA["flag"]},
    "0 + I(flag * x) + abs(flag) + I((x > 0) + (z > 2))": {
        "I(flag * x)": X * DATA["flag"], "abs(flag)": DATA["flag"], "I((x > 0) + (z > 2))": (X > 0) + 1.0 * (Z > 2),
    },
    "0 + `my col` + x.y + _u + log(`my col` + 9)": {
        "my col": DATA["my col"], "x.y": DATA["x.y"], "_u": DATA["_u"], "log(my col + 9)": np.log(DATA["my col"] + 9),
    },
    "1 + text": {"Intercept": ONE, "text[b]": B, "text[c]": C},
    "0 + text": {"text[a]": A, "text[b]": B, "text[c]": C},
    "1 + size": {"Intercept": ONE, "size[mid]": MID, "size[hi]": HI},
    "1 + plain": {"Intercept": ONE, "plain[lo]": LO, "plain[hi]": HI},
    "1 + period": {"Intercept": ONE} | dummy("period", 2, 3, 4),
    "1 + flag": {"Intercept": ONE, "flag[True]": DATA["flag"]},
    "1 + C(_u > 2)": {"Intercept": ONE, "C(_u > 2)[True]": DATA["_u"] > 2},
    "0 + x:text": {"x:text[a]": X * A, "x:text[b]": X * B, "x:text[c]": X * C},
    "1 + x*text": {
        "Intercept": ONE, "x": X, "text[b]": B, "text[c]": C, "x:text[b]": X * B, "x:text[c]": X * C,
    },
    "1 + text/x": {
        "Intercept": ONE, "text[b]": B, "text[c]": C, "text[a]:x": X * A, "text[b]:x": X * B, "text[c]:x": X * C,
    },
    "1 + (x + z + flag)**2 - z:x": {
        "Intercept": ONE, "x": X, "z": Z, "flag[True]": DATA["flag"], "x:flag[True]": X * DATA["flag"],
        "z:flag[True]": Z * DATA["flag"],
    },
    "1 + x %in% text": {"Intercept": ONE, "x:text[a]": X * A, "x:text[b]": X * B, "x:text[c]": X * C},
    "1 + x*z + flag + z:x": {"Intercept": ONE, "x": X, "z": Z, "x:z": X * Z, "flag[True]": DATA["flag"]},
    # factors of shared sums keep their own coding, with and without the intercept
    "0 + (text + size)*flag": {
        "text[a]": A, "text[b]": B, "text[c]": C, "size[mid]": MID, "size[hi]": HI, "flag[True]": DATA["flag"],
        "text[b]:flag[True]": B * DATA["flag"], "text[c]:flag[True]": C * DATA["flag"],
        "size[mid]:flag[True]": MID * DATA["flag"], "size[hi]:flag[True]": HI * DATA["flag"],
    },
    "1 + text:size": {
        "Intercept": ONE, "size[mid]": MID, "size[hi]": HI,
        "text[b]:size[lo]": B * LO, "text[b]:size[mid]": B * MID, "text[b]:size[hi]": B * HI,
        "text[c]:size[lo]": C * LO, "text[c]:size[mid]": C * MID, "text[c]:size[hi]": C * HI,
    },
    "1 + C(period, reference=3)": {"Intercept": ONE} | {
        f"C(period, reference=3)[{k}]": v for k, v in zip((1, 2, 4), dummy("period", 1, 2, 4).values())
    },
    "1 + factor(text, levels=['c', 'a', 'b'])": {
        "Intercept": ONE, "factor(text, levels=['c', 'a', 'b'])[a]": A, "factor(text, levels=['c', 'a', 'b'])[b]": B,
    },
}  # fmt: skip


@pytest.mark.parametrize("text", SUMS)
def test_columns_are_those_built_by_hand(text):
    columns = Columns(text, DATA)
    assert columns.names == list(SUMS[text])
    by_hand = np.column_stack([np.asarray(v, dtype=float) for v in SUMS[text].values()])
    # a logarithm may differ in its last digit between vectors of different strides
    np.testing.assert_allclose(columns.matrix, by_hand, rtol=1e-14)
    some = [30, 1, 17]
    np.testing.assert_allclose(columns.of(DATA.iloc[some]), by_hand[some], rtol=1e-14)


def test_scale_and_center_are_by_definition_and_remember():
    columns = Columns("0 + scale(x) + center(x) + scale(z, center=False) + scale(x, scale=False)", DATA)
    # R's scale: divisor n - 1, and the root mean square of the same divisor where not centred
    rms = np.sqrt((Z**2).sum() / (len(Z) - 1))
    by_hand = np.column_stack([(X - X.mean()) / X.std(ddof=1), X - X.mean(), Z / rms, X - X.mean()])
    assert np.allclose(columns.matrix, by_hand, atol=1e-14)
    new = columns.of(pd.DataFrame({"x": [5.0], "z": [2.0]}))
    assert np.allclose(new, [[(5 - X.mean()) / X.std(ddof=1), 5 - X.mean(), 2 / rms, 5 - X.mean()]], atol=1e-14)


def test_poly_is_rs():
    # R 4: poly(1:10, 2), to the digits that it prints
    first = [-0.49543369, -0.38533732, -0.27524094, -0.16514456, -0.05504819]
    second = [0.52223297, 0.17407766, -0.08703883, -0.26111648, -0.34815531]
    data = pd.DataFrame({"x": np.arange(1, 11)})
    columns = Columns("0 + poly(x, 2)", data)
    assert columns.names == ["poly(x, 2)[0]", "poly(x, 2)[1]"]
    expected = np.column_stack([first + [-v for v in first[::-1]], second + second[::-1]])
    assert np.allclose(columns.matrix, expected, atol=1e-8)
    # both columns are polynomials: at 11 they go on as those through the ten points
    at = [np.polyval(np.polyfit(data.x, column, k + 1), 11) for k, column in enumerate(expected.T)]
    assert np.allclose(columns.of(pd.DataFrame({"x": [11]})), [at], atol=1e-6)
    powers = data.x.to_numpy()[:, None] ** [1, 2, 3]
    for true in ("True", "TRUE"):  # in Python's words, and in R's
        np.testing.assert_allclose(Columns(f"0 + poly(x, 3, raw={true})", data).matrix, powers, rtol=1e-14)


def test_high_degrees_stay_orthogonal_far_from_zero():
    x = 6.5e6 + np.linspace(0, 5e4, 200)  # northings in metres
    matrix = Columns("0 + poly(x, 6)", pd.DataFrame({"x": x})).matrix
    # x itself is rounded to 1e-9 of its spread
    assert np.allclose(matrix.T @ matrix, np.eye(6), atol=1e-7)
    assert np.allclose(matrix.sum(axis=0), 0, atol=1e-7)


def test_cubic_b_splines_without_inner_knots_are_bernstein_polynomials():
    t = np.linspace(0, 1, 21)
    data = pd.DataFrame({"t": 3 + 2 * t})
    columns = Columns("0 + bs(t, df=3)", data)
    bernstein = np.column_stack([3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3])
    assert np.allclose(columns.matrix, bernstein, atol=1e-12)
    # beyond the data the polynomial goes on
    assert np.allclose(columns.of(pd.DataFrame({"t": [7.0]})), [[3 * 2 * 1, 3 * 4 * -1, 8]], atol=1e-10)


def test_inner_knots_are_quantiles():
    data = pd.DataFrame({"t": np.random.default_rng(1).exponential(size=80)})
    knots = np.quantile(data.t, [1 / 3, 2 / 3]).tolist()
    for by_number, by_knots in (("bs(t, df=5)", f"bs(t, knots={knots})"), ("ns(t, df=3)", f"ns(t, knots={knots})")):
        of_number, of_knots = (Columns(f"0 + {term}", data).matrix for term in (by_number, by_knots))
        np.testing.assert_allclose(of_number, of_knots, rtol=0, atol=1e-12)


@pytest.mark.parametrize("term", ["ns(t, knots=[1.0, 1.5])", "cr(t, df=3)"])
def test_natural_splines_span_the_natural_interpolants(term):
    data = pd.DataFrame({"t": np.r_[np.linspace(0, 1, 30), 1.0, 1.0, np.linspace(1, 4, 11)]})
    columns = Columns(f"1 + {term}", data)
    inner = [1.0, 1.5] if "ns" in term else np.quantile(np.unique(data.t), [1 / 3, 2 / 3])
    through = CubicSpline([0, *inner, 4], [0.3, -1, 2, 0.7], bc_type="natural")
    weights, *_ = np.linalg.lstsq(columns.matrix, through(data.t), rcond=None)
    assert columns.matrix.shape[1] == 4
    assert np.allclose(columns.matrix @ weights, through(data.t), atol=1e-10)
    # straight beyond the data
    far = columns.of(pd.DataFrame({"t": [-2.0, 9.0]})) @ weights
    assert np.allclose(far, [through(0) - 2 * through(0, 1), through(4) + 5 * through(4, 1)], atol=1e-9)


def test_a_function_of_a_function_remembers_both():
    columns = Columns("0 + scale(log(z)) + poly(scale(x), 2)", DATA)
    log = np.log(Z)
    assert np.allclose(columns.matrix[:, 0], (log - log.mean()) / log.std(ddof=1), atol=1e-13)
    assert np.allclose(columns.matrix[:, 1:], Columns("0 + poly(x, 2)", DATA).matrix, atol=1e-12)
    assert np.allclose(columns.of(DATA.iloc[:2]), columns.matrix[:2], atol=1e-13)


def test_levels_of_new_data_are_known_by_their_text_too():
    columns = Columns("1 + period", DATA)
    expected = [[1, 1, 0, 0], [1, 0, 0, 1]]
    for values in (["2", "4"], [2, 4], [2.0, 4.0], pd.Categorical(["2", "4"])):
        assert np.array_equal(columns.of(pd.DataFrame({"period": values})), expected)


def test_numbers_kept_as_objects_are_numbers():
    data = pd.DataFrame({"x": pd.Series([1, 2.5, 3], dtype=object), "n": pd.array([1, 2, 4], dtype="Int64")})
    assert np.array_equal(Columns("0 + x + n", data).matrix, [[1, 1], [2.5, 2], [3, 4]])


@pytest.mark.parametrize(
    "text, message",
    [
        ("xx", "no column 'xx' in the data; did you mean 'x'"),
        ("log(zz)", "no column 'zz'"),
        ("lg(z)", "cannot call 'lg'.*did you mean 'log'"),
        ("ploy(x, 2)", "did you mean 'poly'"),
        ("np.log(z)", "own names: log, not np.log"),
        ("x z", "a sign is missing before 'z'"),
        ("x (z)", "cannot call 'x'"),
        ("(x)(z)", "a sign is missing"),
        ("x *", "signs stand between terms"),
        ("x:", "signs stand between terms"),
        ("()", "a term is missing between brackets"),
        ("x ** z", "power of a sum"),
        ("2 * x", "arithmetic reads I"),
        ("x ** 100", "arithmetic reads I"),
        ("*".join(["x"] * 9), "crosses more than 7"),
        ("{x + 1}", "arithmetic reads I"),
        ("x > 2", "arithmetic reads I"),
        ("x % z", "arithmetic reads I"),
        ("x < z", "arithmetic reads I"),
        ("x - z", "no 'z' to take out"),
        ("x*z - x:text", "no 'x:text' to take out"),
        ("log(x)", "in row .*x = -.*log.x. is no finite number"),
        ("I(1)", "no column in it"),
        ("I('a')", "not a number to calculate with"),
        ("I(text + 1)", "'text' is not a number"),
        ("log(poly(x, 2))", "not a number to calculate with"),
        ("I(text > 'a')", "only equal"),
        ("log(x, 2)", "one argument"),
        ("log()", "a column first"),
        ("poly(x, 0)", "whole number from 1 on"),
        ("poly(x, True)", "whole number from 1 on"),
        ("poly(_u, 7)", "more than 7 different values"),
        ("poly(x, z)", "numbers, texts and lists"),
        ("poly(x, y=2)", "its options: degree, raw"),
        ("poly(text, 2)", "takes numbers"),
        ("scale(I(0 * x))", "all its values are the same"),
        ("bs(x)", "either df or knots"),
        ("bs(x, df=2)", "from 3 on"),
        ("bs(x, knots=[99])", "inner knots lie between"),
        ("bs(x, knots=['a'])", "a list of numbers"),
        ("ns(flag, df=4)", "more knots than"),
        ("bs(x, df=1000000000)", "more knots than there are values"),
        ("poly(x, 1000000000, raw=True)", "more than 1000000000 different values"),
        ("scale(x, center='a')", "center and scale are True or False"),
        ("C(period, levels=3)", "levels is a list of the column's levels, not 3"),
        ("C(period, reference=9)", "no level 9; the levels are"),
        ("C(period, levels=[1, 2, 3])", "has '4', too"),
        ("C(period, levels=[1, 2, 3, 4, 5])", "has no '5'"),
        ("C(period, levels=[1, 2, 3, 4, 4])", "each once"),
    ],
)
def test_what_cannot_be_read_is_told(text, message):
    with pytest.raises(InputError, match=message):
        Columns(f"1 + {text}", DATA)


@pytest.mark.parametrize(
    "text",
    [
        "os.system('touch hacked')",
        "__import__('os').system('touch hacked')",
        "I(__import__('os'))",
        "x.__class__",
        "I(x.__class__.__mro__)",
        "I((lambda: 1)())",
        "I([c for c in x])",
        "I(x if x else z)",
        "I(x := 3)",
        "I(f'{x}')",
        "I(x[0])",
        "I(x @ z)",
        "I(*x)",
        "log(**{'x': 1})",
        "eval('1')",
        "getattr(x, 'y')",
        "C(x, levels=open('hacked', 'w'))",
        "I(x ** 10 ** 10 ** 10)",
        "I(10 ** 10000 * x)",
        "I('a' * 10 ** 10)",
        "I(" + "(" * 500 + "x" + ")" * 500 + ")",
        "I(" + "1 + " * 3000 + "x)",
        "x; import os",
        "x\\",
        "x #",
        "x\0",
    ],
)
def test_hostile_formulas_are_refused_and_run_nothing(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError):
        Columns(f"1 + {text}", DATA)
    assert not list(tmp_path.iterdir())


def test_missing_values_dates_and_double_columns_are_told_and_unused_ones_do_not_matter():
    data = DATA.assign(hole=DATA.x.where(DATA.index != 4), when=pd.Timestamp("2020-01-01"))
    data["gap"] = data["text"].where(data.index != 5)
    assert Columns("1 + z", data).matrix.shape == (36, 2)
    for text, message in [
        ("hole", "column 'hole' has no value in row 4"),
        ("log(hole)", "column 'hole' has no value in row 4"),
        ("gap", "column 'gap' has no value in row 5"),
        ("when", "holds datetime64 values"),
    ]:
        with pytest.raises(InputError, match=message):
            Columns(f"1 + {text}", data)
    with pytest.raises(InputError, match="2 columns of the data are called 'x'"):
        Columns("1 + x", pd.concat([data[["x", "z"]], data[["x"]]], axis=1))


def test_new_data_must_have_the_columns_values_and_levels():
    columns = Columns("1 + x + text + log(z)", DATA)
    new = DATA.loc[[8, 9], ["x", "text", "z"]]
    assert columns.needs == ["x", "text", "z"]
    for data, message in [
        (new.drop(columns="z"), "prediction needs the column 'z' .* as at={'z': ...}"),
        (new.assign(x=np.nan), "column 'x' has no value in row 8"),
        (new.assign(x=[0, np.inf]), "in row 9, x = inf: x is no finite number"),
        (new.assign(text=["a", "zz"]), "in row 9, text = zz: text is a level that the fit has not seen.*'b' and 'c'"),
        (new.assign(z=[1, -1]), r"in row 9, z = -1: log\(z\) is no finite number"),
    ]:
        with pytest.raises(InputError, match=message):
            columns.of(data)


def test_new_data_are_of_the_kind_that_the_fit_has():
    columns = Columns("1 + x + poly(z, 2) + flag + text + I(_u > 2)", DATA)
    new = DATA.loc[[8, 9], ["x", "z", "flag", "text", "_u"]].astype(object)
    assert np.array_equal(columns.of(new), columns.matrix[[8, 9]])
    assert np.array_equal(columns.of(new.assign(x=new.x.astype(str), flag=["True", "0"])), columns.matrix[[8, 9]])
    for data, message in [
        (new.assign(x=["0.5", "abc"]), "column 'x' holds 'abc' in row 9, where the fit has numbers"),
        (new.assign(x=[[1, 2], 3]), r"column 'x' holds \[1, 2\] in row 8, where the fit has numbers"),
        (new.assign(z=["a", "b"]), "column 'z' holds 'a' in row 8, where the fit has numbers; 1 further row like it"),
        (new.assign(x=pd.Timestamp("2020-01-01")), "column 'x' holds datetime.* values"),
        (new.assign(flag=["yes", True]), "column 'flag' holds 'yes' in row 8, where the fit has True and False"),
        (new.assign(flag=[1, 2]), "column 'flag' holds 2 in row 9, where the fit has True and False"),
    ]:
        with pytest.raises(InputError, match=message):
            columns.of(data)


@pytest.mark.parametrize(
    "values, message",
    [
        ([f"{k}.4 mg" for k in range(36)], r"nearly numbers, such as '0.4 mg' in row 0 and '1.4 mg' \(36"),
        (["1,019", *map(str, range(35))], "such as '1,019' in row 0: make numbers of it, or write C"),
        ([f"{k}%" for k in range(36)], "'0%' in row 0"),
        ([*map(str, range(34)), "<0.1", "≈ 3"], "'<0.1' in row 34 and '≈ 3'"),
        ([f"{k / 7:.3f}" for k in range(36)], "is text, all numbers, such as '0.000' in row 0"),
        ([*map(str, range(25)), *["n.d."] * 11], r"numbers but for 'n.d.' in row 25 and .* \(11 such rows\)"),
        (
            ["1.5", "2", "NA", "3"] * 9,
            r"text, numbers but for 'NA' in row 2; 8 further rows like it: make numbers of it",
        ),
        (["1", "2", " "] * 12, "numbers but for ' ' in row 2"),
        (["TRUE", "FALSE", "n/a"] * 12, "True and False but for 'n/a' in row 2"),
        (["1,5", "2", "3"] * 12, "nearly numbers, such as '1,5' in row 0"),
        ([f"2020-01-{1 + k % 28:02d}" for k in range(36)], "holds dates as text, such as '2020-01-01' in row 0: make"),
        ([f"{1 + k % 28}.1.2020" for k in range(36)], "holds dates as text"),
        *(
            ([*map(str, range(20)), *[text] * 16], f"nearly numbers, such as {re.escape(repr(text))} in row 20")
            for text in ("1 019", "1\u202f019", "(5)", "12*", "5±1", "12 €", "5e", "1'019", "5-", "~5 mg/l")
        ),
    ],
)
def test_text_that_is_nearly_numbers_is_told(values, message):
    data = DATA.assign(t=values)
    with pytest.raises(InputError, match=message):
        Columns("1 + t", data)
    assert Columns("1 + C(t)", data).matrix.shape == (36, len(set(values)))


@pytest.mark.parametrize("values", [[b"1", b"2"] * 18, [b"a", "b"] * 18])
def test_bytes_are_no_labels(values):
    for term in ("t", "C(t)"):
        with pytest.raises(InputError, match="column 't' holds bytes: make text of it"):
            Columns(f"1 + {term}", DATA.assign(t=values))


@pytest.mark.parametrize(
    "values", [pd.arrays.IntervalArray.from_breaks(range(37)), [(1, 2), (2, 3)] * 18, [len, max] * 18]
)
def test_intervals_tuples_and_functions_are_no_labels(values):
    data = DATA.assign(t=pd.Series(values, dtype=getattr(values, "dtype", object)))
    for term in ("t", "C(t)"):
        with pytest.raises(InputError, match=r"column 't' holds .* in row 0, which is no label"):
            Columns(f"1 + {term}", data)
    with pytest.raises(InputError, match="which is no label"):
        Grouping.learn(data, ("t",))
    assert Columns("1 + t", DATA.assign(t=pd.cut(np.arange(36), 3))).matrix.shape == (36, 3)


def test_levels_with_numbers_in_them_are_labels():
    for levels in (["5 mg", "10 mg", "20 mg"], ["1", "2", "3a"], ["2020-05-01", "2020-06-01", "x"], ["1", "2", "3"]):
        assert Columns("1 + t", DATA.assign(t=np.tile(levels, 12))).matrix.shape == (36, 3)
    assert Columns("1 + t", DATA.assign(t=[f"plot {k}" for k in range(36)])).matrix.shape == (36, 36)


def test_a_variable_is_learnt_once():
    variable = learn(" scale( x )", DATA)
    assert (variable.text, variable.columns) == ("scale(x)", ("x",))
    assert Columns("1 + scale(x) + scale( x )*_u", DATA).names == ["Intercept", "scale(x)", "_u", "scale(x):_u"]


def fixed(formula, data):
    return FixedEffects(parse_formula(f"y ~ {formula}", ()), data).estimable()


@pytest.mark.parametrize(
    "formula, dropped, message",
    [
        ("x + twice", ["twice"], "1 fixed effect .* is left out: x, twice are collinear, twice is a combination"),
        ("x + z + mix", ["mix"], "Intercept, x, z, mix are collinear, mix is a combination of the others"),
        ("x + z + mix + _u + flag", ["mix"], "Intercept, x, z, mix are collinear"),
        ("one + x", ["one"], "Intercept, one are collinear"),
        ("text + copy", ["copy[B]", "copy[C]"], r"text\[b\], copy\[B\] are collinear.*; text\[c\], copy\[C\] are"),
        ("text*size", ["text[b]:size[hi]"], r"'text\[b\]:size\[hi\]' has no row in its cell"),
        ("x + I(0 * x)", ["I(0 * x)"], r"'I\(0 \* x\)' is 0 in every row"),
        ("C(row) + C(row2)", [f"C(row2)[{k}]" for k in range(1, 20)], "19 fixed effects .* so it is with .* and 7"),
    ],
)  # fmt: skip
def test_columns_that_cannot_be_told_apart_are_left_out_and_named(formula, dropped, message):
    data = DATA.assign(twice=2 * X, mix=3 * X - Z + 2, one=1, copy=DATA["text"].str.upper(), row=np.arange(36) % 20)
    data["row2"] = data["row"]
    data.loc[(data["text"] == "b") & (data["size"] == "hi"), "size"] = "lo"
    with pytest.warns(GeospdeWarning, match=message):
        effects = fixed(formula, data)
    assert list(effects.dropped) == dropped
    every = Columns(parse_formula(f"y ~ {formula}", ()).effects, data)
    assert effects.names == [name for name in every.names if name not in dropped]
    matrix = effects.columns(data, False).toarray()
    assert np.linalg.matrix_rank(matrix) == np.linalg.matrix_rank(every.matrix) == matrix.shape[1]
    # the rows of the data are predicted as they are
    assert np.array_equal(effects.columns(data, True).toarray(), matrix)


def test_a_factor_of_one_level_has_no_effect_and_that_is_said():
    with pytest.warns(GeospdeWarning, match="the factor 'same' has one level, 'here', in these data, and no effect"):
        assert Columns("1 + x + same", DATA.assign(same="here")).names == ["Intercept", "x"]


def test_more_effects_than_observations_are_refused():
    data = DATA.assign(row=np.arange(36))
    with pytest.raises(InputError, match="36 observations cannot tell 37 fixed effects: take fewer terms, or make a"):
        fixed("C(row) + x", data)


def test_predictions_are_refused_only_where_the_data_do_not_tell(capsys):
    data = DATA.assign(twice=2 * X - 1)
    data.loc[(data["text"] == "b") & (data["size"] == "hi"), "size"] = "lo"
    data["y"] = np.random.default_rng(4).normal(size=36) + X
    with pytest.warns(GeospdeWarning, match="2 fixed effects cannot be estimated"):
        fit = gs.fit("y ~ text*size + x + twice", data, method="ml")
    least, *_ = np.linalg.lstsq(Columns("1 + text*size + x + twice", data).matrix, data.y, rcond=None)
    new = pd.DataFrame({"text": ["b", "a"], "size": ["lo", "hi"], "x": [0.5, 2.0], "twice": [0.0, 3.0]})
    by_hand = Columns("1 + text*size + x + twice", data).of(new) @ least
    assert np.allclose(fit.predict(new).to_frame()["mean"], by_hand, atol=1e-6)
    with pytest.raises(InputError, match=r"cannot tell the mean of row 0, where 'text\[b\]:size\[hi\]' is 1"):
        fit.predict(new.assign(size=["hi", "hi"]))
    with pytest.raises(InputError, match="cannot tell the mean of row 1, where 'twice' is 7"):
        fit.predict(new.assign(twice=[0.0, 7.0]))
    fit.summary()
    assert "fixed effects\n  text[b]:size[hi], twice" in capsys.readouterr().out
    assert len(fit.fixed) == 9


def test_where_priors_tell_coefficients_apart_nothing_is_left_out():
    data = DATA.assign(twice=2 * X - 1, y=X + np.random.default_rng(4).normal(size=36))
    proper = {"gaussian": [0, 10]}
    with warnings.catch_warnings():
        warnings.simplefilter("error", GeospdeWarning)
        model = build_model("y ~ x + twice", data, priors={name: proper for name in ("Intercept", "x", "twice")})
        assert model.effects.names == ["Intercept", "x", "twice"]
        # one proper prior is enough for one combination
        assert build_model("y ~ x + twice", data, priors={"twice": proper}).effects.dropped == ()
    with pytest.warns(GeospdeWarning, match="twice is a combination"):
        model = build_model("y ~ x + twice + z", data, priors={"z": proper})
    assert model.effects.names == ["Intercept", "x", "z"]
    assert model.fixed_precision.tolist() == [0, 0, 0.01]
    # a prior of the intercept at the covariates' means says nothing of a constant beside it
    with pytest.warns(GeospdeWarning, match="Intercept, one are collinear"):
        build_model("y ~ x + one", data.assign(one=1.0), priors="brms")


def test_columns_far_from_zero_are_no_combinations():
    data = pd.DataFrame({"year": 2000.0 + np.arange(20), "north": 6.5e6 + np.random.default_rng(1).uniform(0, 50, 20)})
    assert fixed("year + north", data).names == ["Intercept", "year", "north"]
    assert fixed("year*north", data).names[-1] == "year:north"


def test_many_rows_are_checked_in_little_memory():
    # the left singular vectors of so many rows would take 80 GB
    data = pd.DataFrame({"x": np.random.default_rng(1).normal(size=100_000)}).assign(z=lambda d: 2 * d.x)
    with pytest.warns(GeospdeWarning, match="x, z are collinear"):
        fixed("x + z", data)


def test_an_offset_is_any_number_of_the_columns_and_is_asked_for_again():
    data = pd.DataFrame({"y": [3, 5, 9, 2], "time": [1.0, 2.0, 4.0, 1.0], "text": list("abab")})
    model = build_model("y ~ 1 + offset(log(time)) + offset(time)", data, family="poisson", offset="time")
    assert np.allclose(model.offset, np.log(data.time) + 2 * data.time, rtol=1e-15)
    assert np.allclose(model.offsets.of(pd.DataFrame({"time": [3.0]})), np.log(3) + 6, rtol=1e-15)
    with pytest.raises(InputError, match="the model has an offset: give predict the column 'time', or offset=0"):
        model.offsets.of(pd.DataFrame({"x": [3.0]}))
    by_row = build_model("y ~ 1 + offset(time)", data, family="poisson", offset=np.ones(4))
    assert np.array_equal(by_row.offset, data.time + 1)
    with pytest.raises(InputError, match="give predict offset="):
        by_row.offsets.of(data)
    wrong = [("tme", "did you mean 'time'"), ("text", "one number per row"), ("", "cannot read"), ("1", "no column")]
    for text, message in wrong:
        with pytest.raises(InputError, match=message):
            build_model(f"y ~ 1 + offset({text})", data, family="poisson")


def test_a_column_with_dots_or_spaces_is_saved_with_the_fit(tmp_path):
    data = DATA.assign(y=X + np.random.default_rng(5).normal(size=36))
    fit = gs.fit("y ~ x.y + `my col` + poly(z, 2) + offset(_u)", data, method="eb")
    fit.save(tmp_path / "mine")
    again = gs.load_fit(tmp_path / "mine")
    assert again.fixed.index.tolist() == ["Intercept", "x.y", "my col", "poly(z, 2)[0]", "poly(z, 2)[1]"]
    new = pd.DataFrame({"x.y": [0.1], "my col": [1.0], "z": [1.4], "_u": [2]})
    pd.testing.assert_frame_equal(fit.predict(new).to_frame(), again.predict(new).to_frame(), rtol=1e-10, atol=0)


def test_dates_among_numbers_and_periods_are_told():
    table = pd.DataFrame({"y": np.arange(12.0) % 5, "x": np.arange(12.0)})
    table["mixed"] = pd.Series([1.0, pd.Timestamp("2020")] * 6, dtype=object)
    table["month"] = pd.period_range("2020", periods=12, freq="M")
    with pytest.raises(InputError, match="'mixed' holds dates among other values, the first in row 1"):
        gs.fit("y ~ mixed", table, family="gaussian")
    for formula in ("month ~ x", "y ~ s(month)", "y ~ rw1(month)"):
        with pytest.raises(InputError, match="'month' holds dates"):
            gs.fit(formula, table, family="gaussian")


def test_arrow_dictionaries_are_labels_and_lists_are_none():
    pa = pytest.importorskip("pyarrow")
    table = pd.DataFrame({"y": np.arange(12.0) % 5, "g": list("abc") * 4})
    table["d"] = table["g"].astype(pd.ArrowDtype(pa.dictionary(pa.int8(), pa.string())))
    table["l"] = pd.Series([[1], [2]] * 6, dtype=pd.ArrowDtype(pa.list_(pa.int8())))
    plain, fit = (gs.fit(f"y ~ {name}", table, family="gaussian", method="ml") for name in "gd")
    assert list(fit.fixed.index) == ["Intercept", "d[b]", "d[c]"]
    np.testing.assert_array_equal(fit.fixed.to_numpy(), plain.fixed.to_numpy())
    with pytest.raises(InputError, match="no label"):
        gs.fit("y ~ l", table, family="gaussian")
