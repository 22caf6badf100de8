import numpy as np
import pandas as pd
import pytest
from oracles import square_mesh

from geospde import fit
from geospde.errors import InputError
from geospde.formula.formula import Name, parse_formula
from geospde.formula.response import read_response
from geospde.model.build import build_model
from geospde.terms.registry import TERMS, special_names

SPECIAL = special_names()


def test_terms_are_split_outside_brackets_only():
    f = parse_formula("y ~ x + log(a + b) + spde(mesh, prior_range=(100, 0.5)) - 1 + offset(z) + (1 | g)", SPECIAL)
    assert (f.response, f.intercept, f.fixed) == ("y", False, ("x", "log(a + b)"))
    assert [t.name for t in f.terms] == ["spde", "offset", "group"]
    assert f.terms[0].arguments == (Name("mesh"),) and f.terms[0].options == {"prior_range": (100, 0.5)}
    assert f.terms[2].arguments == ("1", (Name("g"),))


def test_pictures_name_a_response_without_backquotes():
    formula = parse_formula("log(`Zn (mg/kg)`) ~ 1", ())
    assert (formula.response, formula.response_name) == ("log(`Zn (mg/kg)`)", "log(Zn (mg/kg))")


@pytest.mark.parametrize("text, intercept", [("y ~ 1 + x", True), ("y ~ 0 + x", False), ("y ~ x", True)])
def test_the_intercept_is_in_unless_taken_out(text, intercept):
    assert parse_formula(text, SPECIAL).intercept is intercept


@pytest.mark.parametrize(
    "text, message",
    [
        ("counts", "response ~ terms"),
        ("~ x", "response ~ terms"),
        ("y ~ ", "response ~ terms"),
        ("y ~ a ~ b", "response ~ terms"),
        ("y ~ spde(mesh", "not closed"),
        ("y ~ x)", "closes"),
        ("y ~ x + + z", "missing"),
        ("y ~ x +", "missing"),
        ("y ~ sdpe(mesh)", "did you mean 'spde'"),
        ("y ~ spde(mesh, alpha=__import__('os'))", "numbers, names, strings"),
        ("y ~ spde(mesh, **x)", r"\*\*"),
        ("y ~ spde(mesh).x", "stand alone"),
        ("y ~ x - offset(z)", "only fixed effects"),
        ("y ~ t2(x)", r"there is no term t2.*there is te\(x, y\)"),
        (3, "is a string"),
    ],
)
def test_what_cannot_be_read_is_told(text, message):
    with pytest.raises(InputError, match=message):
        parse_formula(text, SPECIAL)


@pytest.mark.parametrize(
    "left, message",
    [
        ("cbind(sick, well)", "successes and trials, not failures"),
        ("log(sick)", r"make a column of log\(...\) first"),
        ("p(sick, sizes)", "did you mean 'size'"),
        ("sik", "did you mean 'sick'"),
        ("well", "row 1 holds nan"),
        ("__import__('os')", "make a column"),
    ],
)
def test_a_left_side_that_cannot_be_read_is_told(left, message):
    with pytest.raises(InputError, match=message):
        read_response(left, pd.DataFrame({"sick": [1, 2], "size": [3, 4], "well": [2.0, None]}))


@pytest.mark.parametrize(
    "family, values, message",
    [
        ("poisson", [3, -1, 2], "row 1 holds -1"),
        ("poisson", [3, 1, 2.5], "row 2 holds 2.5"),
        ("binomial", [0, 1, 2], "row 2 holds 2 of 1"),
        ("bernoulli", [0, 1, 0.5], "row 2 holds 0.5"),
        ("gamma", [3, 0, 2], "row 1 holds 0"),
        ("beta", [0.3, 1, 0.2], "row 1 holds 1"),
        ("lognormal", [3, 2, -2], "row 2 holds -2"),
    ],
)
def test_a_response_outside_the_support_is_told_with_row_and_value(family, values, message):
    with pytest.raises(InputError, match=message):
        build_model("y ~ 1", pd.DataFrame({"y": values}), family=family)


@pytest.mark.parametrize("name", sorted(set(SPECIAL) - {"offset"}))
def test_every_special_term_has_a_reader_and_stands_alone(name):
    assert name in TERMS
    with pytest.raises(InputError, match=rf"{name}\(...\) must stand alone"):
        parse_formula(f"y ~ x:{name}(z)", SPECIAL)


@pytest.mark.parametrize("term", ["flag", "(1 | flag)", "s(x, by=flag, k=4)", "spde(mesh, by=flag)"])
def test_true_and_false_are_known_as_text(term):
    rng = np.random.default_rng(1)
    d = pd.DataFrame({"x": rng.uniform(0, 1, 40), "z": rng.uniform(0, 1, 40), "flag": np.resize([True, False], 40)})
    model = build_model(f"y ~ {term}", d.assign(y=d.x + d.flag), mesh=square_mesh(3), coords=("x", "z"))
    part = model.effects if not model.terms else model.terms[0]
    points = (d[["x", "z"]].to_numpy(),) if model.terms else ()
    for texts in (["TRUE", "FALSE"], ["true", "false"], ["True", "False"], ["1", "0"], [1, 0]):
        told = part.columns(d.assign(flag=np.resize(np.array(texts, dtype=object), 40)), *points, True)
        assert abs(told - part.columns(d, *points, True)).max() == 0
    with pytest.raises(InputError, match=r"'?perhaps'?"):
        part.columns(d.assign(flag="perhaps"), *points, True)


@pytest.mark.parametrize("term", ["soil", "(1 | soil)", "s(x, by=soil, k=4)", "spde(mesh, by=soil)"])
def test_lists_are_no_labels(term):
    d = pd.DataFrame(
        {"x": np.linspace(0, 1, 40), "z": 0.5, "soil": [["a", "b"] if k == 7 else "ab"[k % 2] for k in range(40)]}
    )
    d["y"] = d.x
    with pytest.raises(InputError, match=r"column 'soil' holds \['a', 'b'\] in row 7, which is no label"):
        build_model(f"y ~ {term}", d, mesh=square_mesh(3), coords=("x", "z"))


@pytest.mark.parametrize(
    ("family", "far"), [("gaussian", 1e39), ("gaussian", -1e14), ("gamma", 1e39), ("nbinomial", 1e14)]
)
def test_a_response_beside_which_all_others_are_nothing_is_refused(family, far):
    d = pd.DataFrame({"y": np.resize([3.0, 1.0, 4.0, 1.0, 5.0], 40)})
    build_model("y ~ 1", d.assign(y=d.y.where(d.index != 7, 1e9)), family=family)
    with pytest.raises(InputError, match="the response of row 7 is .* correct it, or leave the row out"):
        build_model("y ~ 1", d.assign(y=d.y.where(d.index != 7, far)), family=family)
    with pytest.raises(InputError, match="not a MaskedConstant"):
        fit("y ~ 1", np.ma.masked)
