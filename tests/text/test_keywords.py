"""Signatures of what is public tell the truth, and a wrong keyword is answered by the method that was called."""

import inspect
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import shapely
import xarray

import geospde as gs
from geospde.prediction.validation import Validation
from geospde.results.certificate import Certificate
from geospde.results.effects import Effects
from geospde.text.keywords import answers_keywords

OPEN = {("compare", "fits"), ("Mesh.with_values", "values")}  # any number of fits, of columns
CLASSES = [Effects, Validation, *(getattr(gs, name) for name in gs.__all__ if inspect.isclass(getattr(gs, name)))]
CLASSES = [one for one in CLASSES if not issubclass(one, Exception)]
FUNCTIONS = [getattr(gs, name) for name in gs.__all__ if inspect.isfunction(getattr(gs, name))]


def public():
    """Every public function, and method of a public class, with what to call it by."""
    yield from ((function.__name__, function) for function in FUNCTIONS)
    for kind in CLASSES:
        for name, member in inspect.getmembers(kind, lambda m: inspect.isfunction(m) or inspect.ismethod(m)):
            if member.__name__ == name and not name.startswith("_"):
                yield f"{kind.__name__}.{name}", member


PUBLIC = list(public())


@pytest.mark.parametrize(("name", "member"), PUBLIC, ids=lambda value: value if isinstance(value, str) else "")
def test_every_argument_is_in_the_signature(name, member):
    for parameter in inspect.signature(member).parameters.values():
        wide = parameter.kind in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
        assert not wide or (name, parameter.name) in OPEN, str(parameter)


@pytest.mark.parametrize(("name", "member"), PUBLIC, ids=lambda value: value if isinstance(value, str) else "")
def test_a_wrong_keyword_is_answered_by_what_was_called(name, member):
    if getattr(member, "__isabstractmethod__", False):
        return  # its kinds answer
    if any(p.kind is p.VAR_KEYWORD for p in inspect.signature(member).parameters.values()):
        return  # no keyword is wrong
    known = [p.name for p in inspect.signature(member).parameters.values() if p.kind is not p.VAR_POSITIONAL]
    nearest = max((n for n in known if n not in ("self", "cls")), key=len, default=None)
    wrong = f"{nearest}x" if nearest else "nonsense"
    with pytest.raises(gs.InputError, match=rf"{name.rpartition('.')[2]}\(\) takes no '{wrong}'") as raised:
        member(**{wrong: 1})
    assert isinstance(raised.value, TypeError)
    assert nearest is None or f"did you mean {nearest!r}?" in str(raised.value)


TRUTHS = [
    pytest.param(name, member, parameter.name, id=f"{name}-{parameter.name}")
    for name, member in PUBLIC
    for parameter in inspect.signature(member).parameters.values()
    if parameter.annotation in (bool, "bool")
    if not any(p.kind is p.VAR_KEYWORD for p in inspect.signature(member).parameters.values())
]


@pytest.mark.parametrize(("name", "member", "truth"), TRUTHS)
def test_what_is_neither_true_nor_false_is_told(name, member, truth):
    for odd in ("no", float("nan"), None, 0):
        with pytest.raises(gs.InputError, match=rf"{truth} of {name.rpartition('.')[2]}\(\) is True or False"):
            member(**{truth: odd})


def test_truths_are_known_by_their_place_and_those_of_numpy_are_taken():
    @answers_keywords
    def drawn(scale: float, filled: bool = True, *, legend: bool = False) -> tuple[bool, bool]:
        return bool(filled), bool(legend)

    assert drawn(1.0, np.False_, legend=np.True_) == (False, True)
    with pytest.raises(gs.InputError, match=r"filled of drawn\(\) is True or False, not 'yes'"):
        drawn(1.0, "yes")


def test_a_method_of_an_object_answers_as_well():
    survey = gs.load_dataset("rongelap")
    with pytest.raises(gs.InputError, match=r"takes no 'cel': did you mean 'cell'\?"):
        gs.Grid.around(survey.coastline, cel=100)


def test_a_warning_names_the_line_that_called():
    table = pd.DataFrame({"x": [0.0, 1, 2, 3], "y": [0.0, 2, 1, 5]})
    with pytest.warns(gs.GeospdeWarning, match="across") as told:  # several calls below the public one
        gs.read_survey(table, crs="local:m")
    assert {Path(one.filename) for one in told} == {Path(__file__)}


MESH = gs.Mesh([[0, 0], [1, 0], [0, 1]], [[0, 1, 2]])
GRID = gs.Grid.from_bounds((0, 0, 2, 2), cell=1)
WRONG = {
    "no arrays of a mesh": (lambda: gs.Mesh.from_arrays(3), "is read from the mapping"),
    "arrays that lack one": (lambda: gs.Mesh.from_arrays({"crs": ""}), "lack 'vertices', 'triangles' and 'inner'"),
    "values that are text": (lambda: MESH.with_values(depth="deep"), "a finite number for each"),
    "cells left out by a number": (lambda: GRID.without(3), "True or False for each of its 4 cells"),
    "cells left out by None": (lambda: GRID.without(None), "True or False for each of its 4 cells"),
    "no certificate": (lambda: Certificate.from_dict({}), r"to_dict\(\) gave"),
    "a colour that is none": (lambda: MESH.plot(edge_color="a"), "edge_color is a colour"),
    "a line as wide as a word": (lambda: MESH.plot(linewidth="x"), "linewidth must be a finite number"),
    "a survey without its parts": (lambda: gs.Survey(points=3), "missing a required argument: 'coastline'"),
    "a truth as an offset": (lambda: gs.build_mesh(shapely.box(0, 0, 9, 9), max_edge=3, offset=True), "offset must be"),
    "a truth as a cutoff": (lambda: gs.build_mesh(shapely.box(0, 0, 9, 9), max_edge=3, cutoff=True), "cutoff must be"),
    "a table of another package": (lambda: gs.read_survey(xarray.Dataset(), crs="local:m"), r"with to_dataframe\(\)"),
    "no text as a formula": (lambda: gs.simulate(3, pd.DataFrame({"x": [1.0]})), "the formula, a text, not a int"),
}


@pytest.mark.parametrize("name", WRONG)
def test_an_argument_of_another_kind_is_answered_in_a_sentence(name):
    call, words = WRONG[name]
    with pytest.raises(gs.InputError, match=words):
        call()


def test_so_does_one_from_within_a_context_of_its_own():
    """Which contextlib enters, between geospde and itself."""
    scope = {"__name__": "geospde.made_up"}
    source = """
from contextlib import contextmanager
from geospde.errors import alert

@contextmanager
def waiting():
    alert("soon")
    yield

def called():
    with waiting():
        pass
"""
    exec(source, scope)  # a module of geospde's
    with pytest.warns(gs.GeospdeWarning, match="soon") as told:
        scope["called"]()
    assert {Path(one.filename) for one in told} == {Path(__file__)}
