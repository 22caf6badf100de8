"""Signatures of what is public tell the truth, and a wrong keyword is answered by the method that was called."""

import inspect

import pytest

import geospde as gs
from geospde.prediction.validation import Validation
from geospde.results.effects import Effects

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


def test_a_method_of_an_object_answers_as_well():
    survey = gs.load_dataset("rongelap")
    with pytest.raises(gs.InputError, match=r"takes no 'cel': did you mean 'cell'\?"):
        gs.Grid.around(survey.coastline, cel=100)
