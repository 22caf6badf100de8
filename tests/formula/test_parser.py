"""The parser: its trees, their texts, what it refuses and how fast, whatever is written."""

import re
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import geospde as gs
from geospde.errors import GeospdeWarning, InputError
from geospde.formula.columns import Columns
from geospde.formula.formula import parse_formula
from geospde.formula.parser import parse_expression, parse_sides
from geospde.formula.response import read_response
from geospde.formula.syntax import (
    RANKS,
    Bar,
    Call,
    Chain,
    Constant,
    Listing,
    Node,
    Power,
    Signed,
    Symbol,
    quoted,
    symbols,
)
from geospde.terms.registry import special_names

names = st.one_of(
    st.sampled_from(["x", "z.1", "_u", "class", "in", "soil type", "2020_rain", "True", "température", "a:b", "'"]),
    st.text(st.characters(exclude_characters="`", exclude_categories=["Cs"]), min_size=1, max_size=6),
)
plain_names = st.sampled_from(["x", "log", "poly", "spde", "class", "np.log"])
leaves = st.one_of(
    names.map(Symbol),
    st.one_of(
        st.integers(0, 10**20), st.floats(0, allow_nan=False, allow_infinity=False),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=8), st.booleans(), st.none(),
    ).map(Constant),
)  # fmt: skip


def chains(inner: st.SearchStrategy[Node], signs: tuple[str, ...], most: int = 4) -> st.SearchStrategy[Node]:
    rest = st.lists(st.tuples(st.sampled_from(signs), inner), min_size=1, max_size=most).map(tuple)
    return st.builds(Chain, inner, rest)


def larger(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    groupings = st.lists(st.lists(names, min_size=1, max_size=2).map(tuple), min_size=1, max_size=3).map(tuple)
    options = st.dictionaries(st.sampled_from(["by", "k", "in"]), inner, max_size=2).map(lambda d: tuple(d.items()))
    return st.one_of(
        chains(inner, RANKS[0], most=1), *(chains(inner, signs) for signs in RANKS[1:]),
        st.builds(Signed, st.sampled_from("+-"), inner), st.builds(Power, inner, inner),
        st.builds(Call, plain_names, st.lists(inner, max_size=3).map(tuple), options),
        st.builds(Listing, st.lists(inner, max_size=3).map(tuple), st.just("[")),
        st.builds(Listing, st.lists(inner, min_size=1, max_size=3).map(tuple), st.just("(")),
        st.builds(Bar, inner, groupings, st.booleans()),
    )  # fmt: skip


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.recursive(leaves, larger, max_leaves=12))
def test_a_tree_written_and_read_again_is_the_same_tree(tree):
    assert parse_expression(str(tree)) == tree
    # what is read has the same text, too
    assert str(parse_expression(str(tree))) == str(tree)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40) | st.text(st.sampled_from("xyz~+-*/:^|()[]`'\",=.1 0%_{}in"), max_size=40))
def test_any_text_is_read_or_refused_in_a_sentence(text):
    try:
        parse_formula(text, special_names())
    except InputError as error:
        assert "\n" not in str(error) or "\n" in text


@pytest.mark.parametrize(
    "text, tree",
    [
        ("a - b + c", "Chain(a, -b, +c)"), ("a - (b + c)", "Chain(a, -Chain(b, +c))"), ("-x^2", "Signed(-Power(x, 2))"),
        ("-x % 2", "Chain(Signed(-x), %2)"), ("2 ** -x ** y", "Power(2, Signed(-Power(x, y)))"),
        ("a*b:c", "Chain(a, *Chain(b, :c))"), ("a:b^2", "Chain(a, :Power(b, 2))"),
        ("a/b %in% c", "Chain(a, /Chain(b, %in%c))"),
        ("a + b > c*2", "Chain(Chain(a, +b), >Chain(c, *2))"), ("-a:b", "Signed(-Chain(a, :b))"),
        ("1e3 + .5 + 1_000", "Chain(1000.0, +0.5, +1000)"), ("`a b` + class", "Chain(a b, +class)"),
    ],
)  # fmt: skip
def test_signs_bind_as_in_r(text, tree):
    def words(node):
        match node:
            case Symbol(name):
                return name
            case Constant(value):
                return repr(value)
            case Chain(first, rest):
                return f"Chain({', '.join([words(first), *(sign + words(each) for sign, each in rest)])})"
            case Signed(sign, operand):
                return f"Signed({sign}{words(operand)})"
            case Power(base, exponent):
                return f"Power({words(base)}, {words(exponent)})"

    assert words(parse_expression(text)) == tree


@pytest.mark.parametrize(
    "text, message",
    [
        ("y ~ x + 2020_rain", r"stands in backquotes, as `2020_rain`, at character 9 of the formula"),
        ("y ~ 2x", "in backquotes, as `2x`"),
        ("soil carbon ~ x", "a sign is missing before 'carbon'.*`soil carbon`.*at character 6"),
        ("y ~ x +", r"a term is missing beside '\+'.*at character 7"),
        ("y ~ spde(mesh, alpha=2", r"the bracket '\(' is not closed, at character 9"),
        ("y ~ log(x]", r"'\]' closes what '\(' opened"),
        ("y ~ x)", r"the bracket '\)' closes and was not opened"),
        ("y ~ `x", "the quote ` is not closed"),
        ("y ~ ``", "no name between the backquotes"),
        ("y ~ I('x)", "the quote ' is not closed"),
        ("y ~ x – z", "cannot read '–', at character 7"),
        ("y ~ .", "a formula names its columns"),
        ("y ~ I(1 < x < 2)", "a comparison has two sides"),
        ("y ~ s(x, k=3, k=4)", "appears twice"),
        ("y ~ s(k=3, x)", "stands before the options"),
        ("y ~ x + I(1e999)", "too large a number"),
        ("y ~ x*-1", "the sign of -1 stands in a product"),
        ("y ~ -a*b", "the sign of -a stands in a product"),
        ("y ~ 'x'", "is no term; a column's name stands in backquotes"),
        ("y ~ x + (1 | g", "is not closed"),
        ("y ~ " + "(" * 10_000 + "x" + ")" * 10_000, "more than 40 deep"),
        ("y ~ " + "-" * 10_000 + "x", "a term is missing|more than 40 deep"),
        ("y ~ I(" + "-" * 10_000 + "x)", "more than 40 deep"),
        ("y ~ x" + " ** x" * 10_000, "more than 40 deep"),
        ("y ~ " + "x + " * 50_000 + "x", "too long"),
        ("y ~ (" + "+".join(f"x{k}" for k in range(200)) + ")^2", "more than 10,000 terms"),
        ("y ~ " + "*".join(f"x{k}" for k in range(20)), "crosses more than 7"),
        ("y ~ ((a*b*c*d*e*f)*(g*h*i*j*k*l))*(m*n*o*p)", "more than 10,000 terms"),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_their_place(text, message):
    with pytest.raises(InputError, match=message) as caught:
        parse_formula(text, special_names())
    assert len(str(caught.value)) < 400


def test_long_sums_are_no_deep_trees():
    text = "y ~ " + " + ".join(f"x{k}" for k in range(5_000))
    formula = parse_formula(text, special_names())
    assert len(formula.fixed) == 5_000
    left, right = parse_sides(text)
    assert str(right) == text[4:]
    assert len(list(symbols(right))) == 5_000


@pytest.mark.parametrize(
    "name", ["class", "lambda", "in", "None", "TRUE", "2020_rain", "soil type", "a+b", "größe", "x.y"]
)
def test_any_column_but_one_with_a_backquote_can_be_named(name):
    data = pd.DataFrame({name: np.arange(6.0), "y": [1.0, 3, 2, 5, 4, 6]})
    assert Columns(f"1 + {quoted(name)}", data).names == ["Intercept", name]
    assert read_response(quoted(name), data).label == name
    assert list(gs.fit(f"y ~ {quoted(name)}", data, method="ml").fixed.index) == ["Intercept", name]


def test_a_column_called_intercept_is_refused():
    data = pd.DataFrame({"Intercept": np.arange(6.0), "y": [1.0, 3, 2, 5, 4, 6]})
    with pytest.raises(InputError, match="a column called 'Intercept' cannot be a term.*rename it"):
        gs.fit("y ~ Intercept", data, method="ml")


def test_a_power_of_a_column_is_the_column_as_in_r_and_that_is_said(capfd):
    data = pd.DataFrame({"x": np.arange(6.0), "y": [1.0, 3, 2, 5, 4, 6]})
    with pytest.warns(GeospdeWarning, match=r"x\^2 in a formula is x crossed with itself.* is I\(x \*\* 2\)"):
        fit = gs.fit("y ~ x + x^2", data, method="ml")
    assert list(fit.fixed.index) == ["Intercept", "x"]
    assert capfd.readouterr() == ("", "")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Columns("1 + (x + y)^2 + I(x^2)", data)


@pytest.mark.parametrize(
    ("term", "meant"), [("1/x", "I(1 / x)"), ("x*x", "I(x * x)"), ("x:x", "I(x * x)"), ("x/x", "I(x / x)")]
)
def test_what_looks_like_arithmetic_is_told_from_it(term: str, meant: str):
    table = pd.DataFrame({"x": [1.0, 2.0, 3.0, 5.0], "y": [1.0, 2.0, 2.5, 4.0]})
    with pytest.warns(GeospdeWarning, match=rf"{re.escape(term)} in a formula is .*{re.escape(meant)}"):
        assert list(gs.fit(f"y ~ {term}", table, method="ml").fixed.index) == ["Intercept", "x"]


def test_products_of_different_columns_are_told_nothing():
    table = pd.DataFrame(
        {"x": [1.0, 2.0, 3.0, 5.0, 6.0], "z": [0.0, 1.0, 0.0, 1.0, 1.0], "y": [1.0, 2.0, 2.5, 4.0, 7.0]}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gs.fit("y ~ x/z", table, method="ml")
        gs.fit("y ~ x*z", table, method="ml")
