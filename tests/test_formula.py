import pytest

from geospde.errors import InputError
from geospde.model.formula import Name, parse_formula


def test_terms_are_split_outside_brackets_only():
    f = parse_formula("y ~ x + log(a + b) + spde(mesh, prior_range=(100, 0.5)) - 1 + offset(z) + (1 | g)")
    assert (f.response, f.intercept, f.fixed) == ("y", False, ("x", "log(a + b)"))
    assert [t.name for t in f.terms] == ["spde", "offset", "group"]
    assert f.terms[0].arguments == (Name("mesh"),) and f.terms[0].options == {"prior_range": (100, 0.5)}
    assert f.terms[2].arguments == ("1", (Name("g"),))


@pytest.mark.parametrize("text, intercept", [("y ~ 1 + x", True), ("y ~ 0 + x", False), ("y ~ x", True)])
def test_the_intercept_is_in_unless_taken_out(text, intercept):
    assert parse_formula(text).intercept is intercept


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
        ("y ~ te(x)", "cannot be fitted"),
        (3, "is a string"),
    ],
)
def test_what_cannot_be_read_is_told(text, message):
    with pytest.raises(InputError, match=message):
        parse_formula(text)
