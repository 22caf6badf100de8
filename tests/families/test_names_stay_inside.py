"""No module outside the families names one: what differs between families is asked of them."""

import ast
import re
from pathlib import Path

import geospde
from geospde.families.registry import ALIASES, FAMILIES, REGISTERED

PACKAGE = Path(geospde.__file__).parent
# Words that mean something else, too. In sentences they are the distributions that statistics calls so; as strings of
# their own they are, in these rooms, a strategy of the latent marginals, a prior of fixed effects, a column of t
# values.
SHARED = {"gaussian", "normal", "t", "student", "gamma", "beta", "exponential", "weibull"}
ELSEWHERE = {
    "gaussian": {"results", "inference", "report", "model"}, "t": {"results"},
    "exponential": {"terms", "explore"}, "weibull": {"explore"},  # a covariance, a way to take quantiles
}  # fmt: skip
OWN = (set(FAMILIES) | set(ALIASES)) - SHARED
CLASSES = {family.__name__ for family in REGISTERED} | {family.likelihood.__name__ for family in REGISTERED}
# a module without any of these in its text names none
ANY = re.compile(rf"\b(?:{'|'.join(OWN | CLASSES | {'family'})})\b|['\"](?:{'|'.join(SHARED)})['\"]")


def docstrings(nodes):
    """The constants of a module that are docstrings, or strings below a name, which describe it."""
    for node in nodes:
        for a in getattr(node, "body", []) if isinstance(getattr(node, "body", None), list) else []:
            if isinstance(a, ast.Expr) and isinstance(a.value, ast.Constant):
                yield id(a.value)


def namings(tree, room=""):
    """Names of families in code: strings that are one or hold one as a word, classes, and comparisons of families."""
    nodes = list(ast.walk(tree))
    described = set(docstrings(nodes))
    # classes of other modules that are called as a family is: a prior, exponential families
    imports = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    own = [node for node in imports if str(node.module).startswith("geospde.families")]
    priors = [node for node in own if str(node.module).endswith("priors")]
    others = {a.name for node in imports if node not in own or node in priors for a in node.names}
    others |= {node.name for node in nodes if isinstance(node, ast.ClassDef)}
    classes = CLASSES - others
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in described:
            if node.value in SHARED and room not in ELSEWHERE.get(node.value, ()):
                yield node.lineno, node.value
            yield from ((node.lineno, word) for word in re.findall(r"\w+", node.value) if word in OWN)
        names = [node.id] if isinstance(node, ast.Name) else [node.attr] if isinstance(node, ast.Attribute) else []
        names += [alias.name for alias in node.names] if isinstance(node, ast.ImportFrom) else []
        yield from ((node.lineno, name) for name in names if name in classes)
        if isinstance(node, ast.Compare):
            parts = list(ast.walk(node))
            of_family = any(getattr(part, "attr", getattr(part, "id", "")) == "family" for part in parts)
            words = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
            yield from ((node.lineno, f"a family compared with {word}") for word in words if of_family)


def test_no_module_outside_the_families_names_one():
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        place = path.relative_to(PACKAGE)
        text = path.read_text("utf-8")
        if place.parts[0] != "families" and ANY.search(text):
            found += [f"{place}:{line} names {name!r}" for line, name in namings(ast.parse(text), place.parts[0])]
    assert not found, "\n".join(found)


def test_a_name_in_code_is_found_and_one_in_a_docstring_is_not():
    text = '"""Of poisson counts."""\nif fit.family == "gaussian":\n    hint = f"take {x}, or nbinomial"\nGamma\n'
    found = sorted(namings(ast.parse(text), "results"))
    assert found == [(2, "a family compared with gaussian"), (3, "nbinomial"), (4, "Gamma")]
