"""Arguments that a function does not take: answered with the nearest one that it does."""

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature
from types import FunctionType
from typing import Any, TypeVar

from geospde.errors import KeywordError
from geospde.text.words import did_you_mean

Public = TypeVar("Public", bound=Callable[..., Any])


def answers_keywords(public: Public) -> Public:
    """Let a function, or each public method of a class, answer a wrong keyword in a sentence.

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
            if not name.startswith("_") and isinstance(member, FunctionType):
                setattr(public, name, _answering(member))
        return public
    return _answering(public)  # type: ignore[return-value]


def _answering(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with a sentence for keywords that it does not take."""
    parameters = signature(function).parameters.values()
    if getattr(function, "__isabstractmethod__", False) or any(p.kind is Parameter.VAR_KEYWORD for p in parameters):
        return function
    known = {p.name for p in parameters if p.kind is not Parameter.POSITIONAL_ONLY and p.name != "self"}

    @wraps(function)
    def answering(*args: Any, **options: Any) -> Any:
        for name in options:
            if name not in known:
                what = f"{function.__name__}() takes no {name!r}"
                raise KeywordError(f"{what}: {did_you_mean(name, sorted(known), 'arguments')}")
        return function(*args, **options)

    return answering
