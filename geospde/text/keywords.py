"""Arguments that a function does not take: answered with the nearest one that it does, or with what it takes."""

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature
from types import FunctionType
from typing import Any, TypeVar, cast

from geospde.errors import GeospdeError, KeywordError
from geospde.text.hints import CAUSES, explain, refuse_no_truths, truths_of
from geospde.text.words import did_you_mean

Public = TypeVar("Public", bound=Callable[..., Any])
Kind = TypeVar("Kind")


def answers_keywords(public: Public) -> Public:
    """Let a function, or each public method of a class, answer a wrong keyword in a sentence.

    So does an argument of another kind than its signature says, where the function fails at it, and one that lacks.
    Its signature stays what it is.

    Raises
    ------
    KeywordError
        When it is called with a keyword that it does not take; it is an `InputError` and a `TypeError`.

    Examples
    --------
    >>> @answers_keywords
    ... def predict(where, *, quantiles=()):
    ...     return quantiles
    >>> predict("here", quantile=[0.5])
    Traceback (most recent call last):
    geospde.errors.KeywordError: predict() takes no 'quantile': did you mean 'quantiles'?
    """
    if isinstance(public, type):
        for name, member in list(vars(public).items()):
            if name.startswith("_"):
                continue
            if isinstance(member, FunctionType) and member.__name__ == name:  # no function that is a field
                setattr(public, name, _answering(member))
            elif isinstance(member, (classmethod, staticmethod)):
                setattr(public, name, type(member)(_answering(member.__func__)))
        return public
    return cast(Public, _answering(public))


def answers_kinds(kind: type[Kind]) -> type[Kind]:
    """Let a class answer arguments of another kind than its signature says in a sentence, where it fails at them."""
    made = kind.__init__
    own = signature(made)
    truths = truths_of(own)

    @wraps(made)
    def answering(self: Any, *args: Any, **options: Any) -> None:
        refuse_no_truths(kind.__name__, truths, (self, *args), options)
        try:
            made(self, *args, **options)
        except GeospdeError:
            raise
        except CAUSES as error:
            explain(made, own, (self, *args), options, error, kind.__name__)
            raise

    kind.__init__ = answering  # type: ignore[method-assign]
    return kind


def _answering(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with a sentence for keywords that it does not take."""
    own = signature(function)
    parameters = own.parameters.values()
    if getattr(function, "__isabstractmethod__", False) or any(p.kind is Parameter.VAR_KEYWORD for p in parameters):
        return function
    named = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    truths = truths_of(own)
    known = [p.name for p in parameters if p.kind in named and p.name not in ("self", "cls")]

    @wraps(function)
    def answering(*args: Any, **options: Any) -> Any:
        for name in options:
            if name not in known:
                what = f"{function.__name__}() takes no {name!r}"
                remedy = did_you_mean(name, known, "arguments") if known else "it takes no argument by name"
                raise KeywordError(what, remedy=remedy)
        refuse_no_truths(function.__name__, truths, args, options)
        try:
            return function(*args, **options)
        except GeospdeError:
            raise
        except CAUSES as error:
            explain(function, own, args, options, error)
            raise

    return answering
